//! Typing into a job that runs in a pseudo-terminal: every key goes to the job, except the one that leaves.

use chrono::{DateTime, Utc};

use crate::model::{Job, JobId, Phase, RunId};
use crate::store::TerminalInputError;

use super::action::Action;
use super::job_terminal::{LEAVE_KEY, TypingSession};
use super::keys::{KeyCode, KeyPress};
use super::state::Screen;
use super::status_line::Severity;

impl Screen {
    /// The selected job and its run, if it can be typed into; or why not.
    pub(super) fn can_type(&self) -> Result<(JobId, RunId), String> {
        let job = self.selected_job().ok_or("No job is selected.")?;
        if !job.script().is_some_and(|script| script.exec.pty) {
            return Err(format!("{} has no terminal. Set `pty: true` in jobs.yaml.", job.id));
        }
        let run = self.key(Action::Run);
        match (job.phase(), job.current_run()) {
            (Phase::Running, Some(run)) => Ok((job.id, run)),
            (Phase::Finished, _) => Err(format!("{} has finished. Press {run} to run it again.", job.id)),
            _ => Err(format!("{} is not running yet. Press {run} to run it now.", job.id)),
        }
    }

    /// Sends keys to the selected job from now on.
    pub(super) fn start_typing(&mut self) -> Result<(), String> {
        let (job, run) = self.can_type()?;
        let focus_before = self.lists.focus();
        let terminal =
            self.pane_mut().job_terminal_mut().ok_or_else(|| format!("{job} is still starting. Try again."))?;
        terminal.resend_size();
        terminal.shows_log = false;
        terminal.view.follow();
        self.lists.focus_output(focus_before.zoom);
        self.typing = Some(TypingSession { job, run, run_ended: false, focus_before });
        Ok(())
    }

    /// Handles a key press while typing into a job.
    pub(super) fn type_key(&mut self, typing: TypingSession, key: KeyPress, now: DateTime<Utc>) {
        let leaves_ended = typing.run_ended && key == KeyPress::plain(KeyCode::Esc);
        if key == LEAVE_KEY || leaves_ended {
            self.typing = None;
            self.status_line.clear();
            let before = typing.focus_before;
            if before.output {
                self.lists.focus_output(before.zoom);
            } else {
                // The list that the job is in by now.
                self.lists.focus_list(self.lists.focus().list);
            }
            return;
        }
        let bytes = self.pane_mut().job_terminal_mut().map(|terminal| terminal.view.key_encoder().encode_key(key));
        self.send(typing, &bytes.unwrap_or_default(), now);
    }

    /// Handles pasted text while typing into a job.
    pub(super) fn type_text(&mut self, typing: TypingSession, text: &str, now: DateTime<Utc>) {
        let bytes = self.pane_mut().job_terminal_mut().map(|terminal| terminal.view.key_encoder().encode_paste(text));
        self.send(typing, &bytes.unwrap_or_default(), now);
    }

    fn send(&mut self, typing: TypingSession, bytes: &[u8], now: DateTime<Utc>) {
        if typing.run_ended || self.pane().run() != Some(typing.run) {
            return;
        }
        let Some(terminal) = self.pane_mut().job_terminal_mut() else { return };
        terminal.view.follow();
        let unreachable = format!("{} can't be reached.", typing.job);
        let why = match terminal.send(bytes) {
            Ok(()) => {
                self.status_line.clear_text(&unreachable);
                return self.pane_mut().refresh();
            }
            Err(TerminalInputError::BufferFull) => {
                format!("{} isn't reading its input; some keys were lost.", typing.job)
            }
            Err(TerminalInputError::NotConnected) => unreachable,
        };
        self.status_line.show(Severity::Error, why, now);
    }

    /// Records that the run has ended.
    pub(super) fn sync_typing(&mut self) {
        let Some(typing) = self.typing else { return };
        let is_running =
            self.site.read(|site_state| site_state.job(typing.job).and_then(Job::current_run)) == Some(typing.run);
        if !is_running || self.pane().run() != Some(typing.run) {
            self.typing = Some(TypingSession { run_ended: true, ..typing });
        }
    }
}
