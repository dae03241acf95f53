//! Jobs that need others: whether they may start, never will, or have to wait.

use std::collections::HashSet;

use super::{Job, Needed, On, Outcome, QueueId, State, View};

/// How the needs of a job stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// All have finished as they should.
    Met,
    /// Some have not finished.
    Open,
    /// One has finished otherwise, or is gone: which, and what became of it.
    Lost(String),
}

/// How the needs of `job` stand.
pub(super) fn standing<V: View>(view: &V, job: &Job) -> Result<Standing, V::Error> {
    let mut all = Standing::Met;
    for need in &job.needs {
        match one(view, need)? {
            Standing::Met => {}
            Standing::Open => all = Standing::Open,
            lost @ Standing::Lost(_) => return Ok(lost),
        }
    }
    Ok(all)
}

/// Whether a job that is held waits for nothing but others, and one of them runs or will: of those in other queues, if
/// its own queue is `alive`.
///
/// Jobs of its own queue don't count: if none of them can start, neither will they.
pub(super) fn coming<V: View>(view: &V, alive: &HashSet<QueueId>, job: &Job) -> Result<bool, V::Error> {
    if matches!(job.state, State::Pending { wait, .. } if wait.confirm) {
        return Ok(false);
    }
    for need in &job.needs {
        let Some(needed) = view.job(need.job)? else { continue };
        let comes = match needed.state {
            State::Running { .. } => true,
            // Somebody asked for it; but it may ask a person first.
            State::Pending { asked: true, wait } if !wait.confirm => true,
            State::Pending { .. } => needed.queue != job.queue && alive.contains(&needed.queue),
            State::Finished { .. } => false,
        };
        if comes {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the first of the needs that aren't met waits for, for people to read.
pub(super) fn reason<V: View>(view: &V, job: &Job) -> Result<String, V::Error> {
    for need in &job.needs {
        match one(view, need)? {
            Standing::Met => {}
            Standing::Lost(reason) => return Ok(format!("{} {reason}", job.path())),
            Standing::Open => {
                let needed = view.job(need.job)?.map_or_else(|| need.job.to_string(), |needed| needed.path());
                return Ok(format!("{} needs {needed}", job.path()));
            }
        }
    }
    Ok(format!("{} asks a person first", job.path()))
}

fn one<V: View>(view: &V, need: &Needed) -> Result<Standing, V::Error> {
    let (job, removed) = match view.job(need.job)? {
        Some(job) => (job, false),
        None => match view.removed(need.job)? {
            Some(job) => (job, true),
            None => return Ok(Standing::Lost(format!("needs {}, which is gone", need.job))),
        },
    };
    let State::Finished { outcome, .. } = &job.state else {
        let lost = format!("needs {}, which was removed", job.path());
        return Ok(if removed { Standing::Lost(lost) } else { Standing::Open });
    };
    let met = match (need.on, outcome) {
        (On::Finish, _)
        | (On::Success, Outcome::Succeeded)
        | (On::Failure, Outcome::Failed(_) | Outcome::Interrupted) => true,
        (On::Success | On::Failure, _) => false,
    };
    if met {
        return Ok(Standing::Met);
    }
    let path = job.path();
    let became = match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "was cancelled",
        Outcome::Interrupted => "was interrupted",
        Outcome::Skipped { .. } => "was skipped",
    };
    Ok(Standing::Lost(match need.on {
        On::Failure => format!("needs {path} to fail, which {became}"),
        _ => format!("needs {path}, which {became}"),
    }))
}
