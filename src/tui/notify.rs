//! Notices of the terminal (OSC 9) for a person who looks elsewhere: a job has failed, a queue has nothing more to do.

use std::io::{self, Write};

use crate::model::{Event, Job, JobId, Ledger, Mode, Outcome, QueueId, Then};

use super::clipboard::Multiplexer;
use super::text;
use super::told::jobs;

/// What a person wants to be told. Nothing, unless it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// That a job has failed, and is not tried again.
    pub failed: bool,
    /// That a queue was processed, and nothing more is to be done there.
    pub drained: bool,
}

/// What of the news is worth a notice.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    failed: Vec<(JobId, String)>,
    drained: Vec<QueueId>,
}

/// How wide a notice may be, in cells.
const LONGEST: usize = 120;

impl Notify {
    /// Whether there is anything to tell.
    pub(super) fn is_on(self) -> bool {
        self.failed || self.drained
    }
}

impl Noticed {
    /// Looks at an event, over the site as it was before.
    pub(super) fn look(&mut self, event: &Event, wanted: Notify, before: &Ledger) {
        match event {
            Event::Ended { job, report, then: Then::Finish | Then::Stay, .. } if wanted.failed => {
                let why = match &report.outcome {
                    Outcome::Failed(failure) => failure.message.as_str(),
                    Outcome::Interrupted => "interrupted",
                    _ => return,
                };
                self.failed.push((*job, why.to_owned()));
            }
            Event::ModeChanged { queue, mode: Mode::Idle | Mode::Stopped }
                if wanted.drained && before.queue(queue).is_some_and(|queue| queue.mode == Mode::Processing) =>
            {
                self.drained.push(queue.clone());
            }
            _ => {}
        }
    }

    /// What is told, over the site as it is now: a line for failures, however many there are at once, and one for each
    /// queue.
    pub(super) fn texts(&self, ledger: &Ledger) -> Vec<String> {
        let failed = match &self.failed[..] {
            [] => None,
            [(id, why)] => {
                let job = ledger.job(*id).map_or_else(|| id.to_string(), Job::path);
                Some(format!("{job} failed: {why}"))
            }
            several => Some(format!("{} failed", jobs(several.len(), "job"))),
        };
        let drained = self.drained.iter().filter_map(|id| {
            let queue = ledger.queue(id)?;
            let state = match queue.mode {
                Mode::Stopped => "has stopped",
                _ if queue.pending.is_empty() => "is done",
                _ => "is idle",
            };
            let counts =
                [(queue.finished.len(), "finished"), (queue.failed, "failed"), (queue.pending.len(), "pending")];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
            Some(format!("{id} {state}: {}", counts.join(", ")))
        });
        let texts = failed.into_iter().chain(drained);
        // The first word keeps a number from being taken for a command of the terminal's.
        texts
            .map(|line| text::fit(&text::plain_line(&format!("setlist: {line}")), LONGEST, text::ELLIPSIS).into_owned())
            .collect()
    }
}

/// Has the terminal show a notice; one that knows none ignores it.
pub(super) fn show(text: &str, terminal: &mut impl Write) -> io::Result<()> {
    let sequence = Multiplexer::of_this_process().wrapped(&format!("\x1b]9;{text}\x1b\\"));
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}
