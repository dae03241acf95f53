//! Taking something out of the screen: into the clipboard, or into the pager.

use chrono::{DateTime, Utc};

use crate::model::Program;

use super::action::Action;
use super::notice::Tone;
use super::output::Taken;
use super::state::Screen;
use super::text;
use super::wake::Effect;

/// More than that is too much for many a clipboard that is reached through a terminal, in bytes.
const MOST: usize = 256 * 1024;

impl Screen {
    /// Opens the output in the pager.
    pub(super) fn page(&self) -> Result<Vec<Effect>, String> {
        let job = self.chosen().ok_or("no job is selected")?;
        let reader = self.pane().reader().ok_or_else(|| match job.last_run {
            None => format!("{} has not run yet", job.id),
            Some(_) => "there is no output here yet".to_owned(),
        })?;
        if self.pane().is_empty() {
            return Err(format!("{} has printed nothing", job.id));
        }
        Ok(vec![Effect::Page(Box::new(reader))])
    }

    /// Copies what one looks at: the name of the job, or its output.
    pub(super) fn copy(&mut self, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if self.lists.focus().output {
            let taken = self.pane_mut().in_view()?;
            return self.take(taken.text, &format!("copied {}", words(taken.what, taken.lines)), now);
        }
        let job = self.chosen().ok_or("no job is selected")?;
        // What every command takes.
        let name = if job.name().is_some() { job.path() } else { job.id.0.to_string() };
        let said = format!("copied {name}; {} copies the command", self.key(Action::CopyAll));
        self.take(name, &said, now)
    }

    /// Copies the whole of it: the command of the job, or all output.
    pub(super) fn copy_all(&mut self, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if self.lists.focus().output {
            let pager = self.key(Action::Page);
            let much = |size| format!("that is {} of output, too much to copy; {pager} opens it", text::bytes(size));
            let taken = self.pane().all(MOST)?.map_err(much)?;
            return self.take(taken.text, &format!("copied {}", words(taken.what, taken.lines)), now);
        }
        let job = self.chosen().ok_or("no job is selected")?;
        let script = job.script().ok_or_else(|| format!("{} is no command", job.id))?;
        let (what, command) = match &script.program {
            Program::Run { text, .. } => ("script", text.clone()),
            Program::Command(command) => {
                ("command", command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
            }
        };
        self.take(command, &format!("copied the {what} of {}", job.path()), now)
    }

    fn take(&mut self, text: String, said: &str, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if text.len() > MOST {
            return Err(format!("that is {}, too much to copy", text::bytes(text.len() as u64)));
        }
        self.notices.say(Tone::Done, said, now);
        Ok(vec![Effect::Copy(text)])
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "%+,-./:=@_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn words(what: Taken, lines: usize) -> String {
    let count = if lines == 1 { "1 line".to_owned() } else { format!("{} lines", text::count(lines as u64)) };
    match what {
        Taken::Found => "the line found".to_owned(),
        Taken::View => format!("{count} of the output"),
        Taken::All => format!("all output, {count}"),
    }
}
