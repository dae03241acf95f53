//! Copies to the clipboard, and opens the pager.

use chrono::{DateTime, Utc};

use crate::model::Program;

use super::action::Action;
use super::effect::Effect;
use super::output::CopiedPart;
use super::state::Screen;
use super::status_line::Severity;
use crate::text;

/// The most bytes to copy: clipboards reached through a terminal have limits.
const MAX_COPY_BYTES: usize = 256 * 1024;

impl Screen {
    /// Opens the output in the pager.
    pub(super) fn open_pager(&self) -> Result<Vec<Effect>, String> {
        let job = self.selected_job().ok_or("No job is selected.")?;
        let reader = self.pane().reader().ok_or_else(|| match job.last_run {
            None => format!("{} has not run yet.", job.id),
            Some(_) => "There is no output here yet.".to_owned(),
        })?;
        if self.pane().is_empty() {
            return Err(format!("{} has printed nothing.", job.id));
        }
        Ok(vec![Effect::OpenPager(Box::new(reader))])
    }

    /// Shows what the run whose output is shown has left.
    pub(super) fn open_artifacts(&self) -> Result<Vec<Effect>, String> {
        let job = self.selected_job().ok_or("No job is selected.")?;
        let run = self.pane().run_of(&job)?;
        Ok(vec![Effect::OpenArtifacts(run)])
    }

    /// Copies the name of the job, or the visible output.
    pub(super) fn copy(&mut self, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if self.lists.focus().output {
            let copied = self.pane_mut().visible_text()?;
            return self.copy_text(copied.text, &format!("Copied {}.", describe(copied.part, copied.lines)), now);
        }
        let job = self.selected_job().ok_or("No job is selected.")?;
        // The name that every command takes.
        let name = if job.name().is_some() { job.path() } else { job.id.0.to_string() };
        let status = format!("Copied {name}. Press {} to copy the command.", self.key(Action::CopyAll));
        self.copy_text(name, &status, now)
    }

    /// Copies the command of the job, or the whole output.
    pub(super) fn copy_all(&mut self, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if self.lists.focus().output {
            let pager = self.key(Action::Page);
            let too_large = |size| {
                format!("The output is too large to copy ({}). Press {pager} to open it in a pager.", text::bytes(size))
            };
            let copied = self.pane().all_text(MAX_COPY_BYTES)?.map_err(too_large)?;
            return self.copy_text(copied.text, &format!("Copied {}.", describe(copied.part, copied.lines)), now);
        }
        let job = self.selected_job().ok_or("No job is selected.")?;
        let script = job.script().ok_or_else(|| format!("{} has no command to copy.", job.id))?;
        let (what, command) = match &script.program {
            Program::Run { text, .. } => ("script", text.to_string()),
            Program::Command(command) => ("command", text::shell_command(command)),
        };
        self.copy_text(command, &format!("Copied the {what} of {}.", job.path()), now)
    }

    fn copy_text(&mut self, text: String, status: &str, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if text.len() > MAX_COPY_BYTES {
            return Err(format!("The text is too large to copy ({}).", text::bytes(text.len() as u64)));
        }
        self.status_line.show(Severity::Info, status, now);
        Ok(vec![Effect::CopyToClipboard(text)])
    }
}

fn describe(part: CopiedPart, lines: usize) -> String {
    let count = text::count_noun(lines, "line");
    match part {
        CopiedPart::CurrentHit => "the matching line".to_owned(),
        CopiedPart::Visible => format!("{count} of the output"),
        CopiedPart::All => format!("the whole output, {count}"),
    }
}
