//! What becomes of jobs: run, cancelled, killed, removed, put back, moved.

use super::marked::{Targets, these, whereabouts};
use super::{Acted, Deed, ask, submit};
use crate::model::{Beside, Command, Job, JobId, Outcome, Phase, Stop};
use crate::tui::action::Action;
use crate::tui::sort::Sort;
use crate::tui::state::Screen;
use crate::tui::wake::{Asked, Doing, Effect, Order};

impl Screen {
    pub(super) fn run(&self) -> Acted {
        let targets = self.targets()?;
        if let Some(job) = targets.only() {
            let (commands, asked) = (vec![Command::Run { job: job.id }], Asked::Run(job.id));
            let order = Order { commands, asked, hire: true };
            return Ok(match &job.definition.terms.confirm {
                // What can't be done is told, not asked.
                Some(question) if job.phase() != Phase::Running => ask(format!("{}: {question}", job.label()), order),
                _ => Deed::Do(vec![Effect::Submit(order)]),
            });
        }
        let rest = targets.those(|job| job.phase() != Phase::Running);
        if rest.is_empty() {
            return Err(format!("{} already", targets.all("running")));
        }
        let asks = asks(rest.iter().copied());
        let question = format!("Run {}?{asks}", targets.scope(&rest, "marked job"));
        let commands = rest.iter().map(|job| Command::Run { job: job.id }).collect();
        Ok(ask(question, Order { commands, asked: Asked::These(Doing::Run), hire: true }))
    }

    pub(super) fn cancel(&self) -> Acted {
        let targets = self.targets()?;
        let cancel = |job: JobId| Command::Cancel { job, stop: Stop::Terminate };
        if let Some(job) = targets.only() {
            return Ok(submit(vec![cancel(job.id)], Asked::Cancel(job.id), false));
        }
        let rest = targets.those(|job| job.phase() != Phase::Finished);
        if rest.is_empty() {
            return Err(format!("{}: there is nothing to cancel", targets.all("finished")));
        }
        let running = rest.iter().filter(|job| job.phase() == Phase::Running).count();
        let running = if running > 0 { format!(" ({running} running)") } else { String::new() };
        let question = format!("Cancel {}{running}?", targets.scope(&rest, "marked job"));
        let commands = rest.iter().map(|job| cancel(job.id)).collect();
        Ok(ask(question, Order { commands, asked: Asked::These(Doing::Cancel), hire: false }))
    }

    pub(super) fn kill(&self) -> Acted {
        let targets = self.targets()?;
        let kill = |job: JobId| Command::Cancel { job, stop: Stop::Kill };
        let running = targets.those(|job| job.phase() == Phase::Running);
        let cancel = self.key(Action::Cancel);
        match (targets.only(), &running[..]) {
            (Some(job), []) => {
                let hint = if job.phase() == Phase::Pending { format!("; {cancel} cancels it") } else { String::new() };
                Err(format!("{} is {}: there is no process to kill{hint}", job.id, job.phase().word()))
            }
            (Some(job), _) => {
                let question = format!("Stop 1 running job in {} at once ({} {})?", job.queue, job.id, job.label());
                let order = Order { commands: vec![kill(job.id)], asked: Asked::Kill(job.id), hire: false };
                Ok(ask(question, order))
            }
            (None, []) => {
                Err(format!("none of the marked jobs runs: there is no process to kill; {cancel} cancels them"))
            }
            (None, _) => {
                let question = format!("Stop {} at once?", targets.scope(&running, "marked job"));
                let commands = running.iter().map(|job| kill(job.id)).collect();
                Ok(ask(question, Order { commands, asked: Asked::These(Doing::Kill), hire: false }))
            }
        }
    }

    /// What is removed can be put back: nobody has to be asked.
    pub(super) fn remove(&self) -> Acted {
        let targets = self.targets()?;
        let hire = self.any_processing();
        if let Some(job) = targets.only() {
            return Ok(submit(vec![Command::Remove { jobs: vec![job.id] }], Asked::Remove, hire));
        }
        let rest = targets.those(|job| job.phase() != Phase::Running);
        if rest.is_empty() {
            let cancel = self.key(Action::Cancel);
            return Err(format!("{}: {cancel} cancels them first", targets.all("running")));
        }
        let jobs = rest.iter().map(|job| job.id).collect();
        Ok(submit(vec![Command::Remove { jobs }], Asked::Remove, hire))
    }

    pub(super) fn run_failed(&self) -> Acted {
        let shown = self.all_shown(Phase::Finished)?;
        let failed: Vec<Job> = self.site.read(|ledger| {
            let failed = |job: &&Job| matches!(job.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted));
            shown.into_iter().filter_map(|id| ledger.job(id)).filter(failed).cloned().collect()
        });
        let asks = asks(failed.iter());
        let commands = failed.iter().map(|job| Command::Run { job: job.id }).collect();
        let order = Order { commands, asked: Asked::RunFailed, hire: true };
        match &failed[..] {
            [] => Err("no failed job is shown".to_owned()),
            [_] if asks.is_empty() => Ok(Deed::Do(vec![Effect::Submit(order)])),
            failed => {
                let count = these(failed.len(), "failed job");
                let place = whereabouts(failed.iter().map(|job| &job.queue));
                Ok(ask(format!("Run {count} {place} again?{asks}"), order))
            }
        }
    }

    pub(super) fn clear_finished(&self) -> Acted {
        if self.lists.filter_text().is_empty() && !self.lists.is_of_all() {
            let queue = self.with_queue()?;
            return Ok(submit(vec![Command::Clear { queue, phase: Phase::Finished }], Asked::Remove, false));
        }
        // Only what is shown is removed.
        let jobs = self.all_shown(Phase::Finished)?;
        if jobs.is_empty() {
            return Err("no finished job is shown".to_owned());
        }
        Ok(submit(vec![Command::Remove { jobs }], Asked::Remove, false))
    }

    pub(super) fn undo(&self) -> Acted {
        let undo = self.undo.last().ok_or("nothing was removed in the last 10 s")?;
        Ok(submit(vec![Command::Restore { jobs: undo.jobs.clone() }], Asked::Undo, self.any_processing()))
    }

    /// Puts jobs before the one that is shown above them, or behind the one below.
    pub(super) fn move_jobs(&self, up: bool) -> Acted {
        let targets = self.targets()?;
        if self.lists.sort() != Sort::Queue {
            let sort = self.key(Action::Sort);
            return Err(format!("the lists are sorted {}; {sort} changes that", self.lists.sort().words()));
        }
        let jobs: Vec<JobId> = targets.those(|job| job.phase() == Phase::Pending).iter().map(|job| job.id).collect();
        let Some(first) = targets.jobs.iter().find(|job| job.phase() == Phase::Pending) else {
            let phase = targets.jobs.first().map_or("running", |job| job.phase().word());
            return Err(format!("only pending jobs move in their queue; this is {phase}"));
        };
        let shown = self.all_shown(Phase::Pending)?;
        let row = |job: Option<&JobId>| shown.iter().position(|other| Some(other) == job);
        let end = if up { row(jobs.first()) } else { row(jobs.last()) };
        let next = end.and_then(|row| if up { row.checked_sub(1) } else { row.checked_add(1) });
        let beside = next.and_then(|row| shown.get(row)).copied();
        let same =
            self.site.read(|ledger| beside.filter(|id| ledger.job(*id).is_some_and(|job| job.queue == first.queue)));
        let Some(beside) = same else {
            return Err(format!("it is the {} that waits in {}", if up { "first" } else { "last" }, first.queue));
        };
        let beside = if up { Beside::Before(beside) } else { Beside::After(beside) };
        Ok(submit(vec![Command::Move { jobs, beside }], Asked::Move, false))
    }
}

impl Targets {
    fn those(&self, wanted: impl Fn(&Job) -> bool) -> Vec<&Job> {
        self.jobs.iter().filter(|job| wanted(job)).collect()
    }

    /// `the marked job is running`, `all 3 marked jobs are running`.
    fn all(&self, what: &str) -> String {
        match self.jobs.len() {
            1 => format!("the marked job is {what}"),
            count => format!("all {count} marked jobs are {what}"),
        }
    }
}

/// What the first of the jobs asks that asks something.
fn asks<'a>(mut jobs: impl Iterator<Item = &'a Job>) -> String {
    let asks = |job: &'a Job| Some(format!(" ({}: {})", job.label(), job.definition.terms.confirm.as_ref()?));
    jobs.find_map(asks).unwrap_or_default()
}
