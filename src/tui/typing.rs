//! Typing into a job that runs in a pseudo-terminal: every key goes to the job, but the one that leads out.

use chrono::{DateTime, Utc};

use crate::model::{Job, JobId, Phase, RunId};
use crate::store::Unreachable;

use super::action::Action;
use super::keys::{Code, Key};
use super::layout::Focus;
use super::notice::Tone;
use super::state::Screen;

/// The key that leads out.
pub(super) const WAY_OUT: Key = Key { code: Code::Char('z'), ctrl: true, alt: false };

/// What the keys go to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typing {
    /// The job.
    pub(super) job: JobId,
    run: RunId,
    /// The run is over. Keys go nowhere until the person has seen that: they were not meant for the screen.
    pub(super) over: bool,
    before: Focus,
}

impl Screen {
    /// Why nothing can be typed into the chosen job; or which job and run it is.
    pub(super) fn can_type(&self) -> Result<(JobId, RunId), String> {
        let job = self.chosen().ok_or("no job is selected")?;
        if !job.script().is_some_and(|script| script.setup.pty) {
            return Err(format!("{} has no terminal; `pty: true` in jobs.yaml gives it one", job.id));
        }
        let run = self.key(Action::Run);
        match (job.phase(), job.running()) {
            (Phase::Running, Some(run)) => Ok((job.id, run)),
            (Phase::Finished, _) => Err(format!("{} has ended; {run} runs it again", job.id)),
            _ => Err(format!("{} doesn't run yet; {run} runs it now", job.id)),
        }
    }

    /// From now on, keys go to the chosen job.
    pub(super) fn begin_to_type(&mut self) -> Result<(), String> {
        let (job, run) = self.can_type()?;
        let before = self.lists.focus();
        let console = self.pane_mut().console_mut().ok_or_else(|| format!("{job} has only just begun; try again"))?;
        console.insist();
        console.aside = false;
        console.view.follow();
        self.lists.focus_output(before.zoom);
        self.typing = Some(Typing { job, run, over: false, before });
        Ok(())
    }

    /// A key was pressed while keys go to a job.
    pub(super) fn type_key(&mut self, typing: Typing, key: Key, now: DateTime<Utc>) {
        let seen = typing.over && key == Key::plain(Code::Esc);
        if key == WAY_OUT || seen {
            self.typing = None;
            self.notices.clear();
            let before = typing.before;
            if before.output {
                self.lists.focus_output(before.zoom);
            } else {
                // Where the job is by now.
                self.lists.focus_list(self.lists.focus().list);
            }
            return;
        }
        let bytes = self.pane_mut().console_mut().map(|console| console.view.keyboard().press(key));
        self.send(typing, &bytes.unwrap_or_default(), now);
    }

    /// A text was pasted meanwhile.
    pub(super) fn type_text(&mut self, typing: Typing, text: &str, now: DateTime<Utc>) {
        let bytes = self.pane_mut().console_mut().map(|console| console.view.keyboard().paste(text));
        self.send(typing, &bytes.unwrap_or_default(), now);
    }

    fn send(&mut self, typing: Typing, bytes: &[u8], now: DateTime<Utc>) {
        if typing.over || self.pane().run() != Some(typing.run) {
            return;
        }
        let Some(console) = self.pane_mut().console_mut() else { return };
        console.view.follow();
        let why = match console.send(bytes) {
            Ok(()) => return self.pane_mut().refresh(),
            Err(Unreachable::Full) => "it doesn't read what is typed; some of that is lost",
            Err(Unreachable::Gone) => "it can't be reached",
        };
        self.notices.say(Tone::Failed, format!("{}: {why}", typing.job), now);
    }

    /// Takes note when the run that keys go to is over.
    pub(super) fn mind_typing(&mut self) {
        let Some(typing) = self.typing else { return };
        let runs = self.site.read(|ledger| ledger.job(typing.job).and_then(Job::running)) == Some(typing.run);
        if !runs || self.pane().run() != Some(typing.run) {
            self.typing = Some(Typing { over: true, ..typing });
        }
    }
}
