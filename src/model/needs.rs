//! Needs: whether the jobs that a job needs have finished as required.

use std::collections::HashSet;

use super::{Job, JobId, JobState, Outcome, OutcomeCondition, ResolvedNeed, SiteState, SkipKind, StateReader};

impl SiteState {
    /// These jobs without duplicates, each after those of them that it needs, otherwise in the same order. For requests,
    /// which are refused while a need of the job has failed: a failed need that is requested first is pending.
    pub fn needed_first(&self, ids: &[JobId]) -> Vec<JobId> {
        let wanted: HashSet<JobId> = ids.iter().copied().collect();
        let mut ordered = Vec::with_capacity(ids.len());
        let mut added = HashSet::new();
        // Depth first, without recursion: a chain of needs may be long.
        for &id in ids {
            let mut stack = vec![id];
            let mut entered = HashSet::new();
            while let Some(&id) = stack.last() {
                let needs = self.job(id).map(|job| &job.needs[..]).unwrap_or_default();
                let is_first = entered.insert(id);
                let open =
                    needs.iter().map(|need| need.job).filter(|need| wanted.contains(need) && !added.contains(need));
                let before = stack.len();
                stack.extend(open.filter(|need| is_first && !entered.contains(need)));
                if stack.len() == before {
                    stack.pop();
                    if added.insert(id) {
                        ordered.push(id);
                    }
                }
            }
        }
        ordered
    }
}

/// The status of the needs of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NeedsStatus {
    /// All needed jobs finished as required.
    Met,
    /// Some have not finished yet.
    Pending,
    /// One finished otherwise or was removed. Holds the reason.
    Failed(String),
}

/// The status of the needs of `job`.
pub(super) fn needs_status<R: StateReader>(reader: &R, job: &Job) -> Result<NeedsStatus, R::Error> {
    let mut all = NeedsStatus::Met;
    for need in &job.needs {
        match need_status(reader, need)? {
            NeedsStatus::Met => {}
            NeedsStatus::Pending => all = NeedsStatus::Pending,
            failed @ NeedsStatus::Failed(_) => return Ok(failed),
        }
    }
    Ok(all)
}

/// Why a blocked job can't start: its first unmet need, or a missing approval.
pub(super) fn blocked_reason<R: StateReader>(reader: &R, job: &Job) -> Result<String, R::Error> {
    for need in &job.needs {
        match need_status(reader, need)? {
            NeedsStatus::Met => {}
            NeedsStatus::Failed(reason) => return Ok(format!("{} {reason}", job.path())),
            NeedsStatus::Pending => {
                let needed = reader.job(need.job)?.map_or_else(|| need.job.to_string(), |needed| needed.path());
                return Ok(format!("{} needs {needed}", job.path()));
            }
        }
    }
    Ok(format!("{} needs approval", job.path()))
}

/// The status of the needs of `job`, of which only the need for `changed` has changed since they were last checked. Stops at
/// the first unmet one, because a job with thousands of needs is checked whenever one of them finishes. A failed need is
/// reported only if `changed` is not pending: others were handled when they failed.
pub(super) fn needs_status_after<R: StateReader>(
    reader: &R,
    job: &Job,
    changed: JobId,
) -> Result<NeedsStatus, R::Error> {
    let mut status = NeedsStatus::Met;
    for need in job.needs.iter().filter(|need| need.job == changed) {
        status = match need_status(reader, need)? {
            NeedsStatus::Met => continue,
            unmet => unmet,
        };
    }
    if status == NeedsStatus::Met {
        status = any_unmet(reader, job)?;
    }
    match status {
        // The reason names the first failed need.
        NeedsStatus::Failed(_) => needs_status(reader, job),
        status => Ok(status),
    }
}

/// The status of an unmet need, if there is one. The needs are visited in an order that finds one soon, whether the unmet
/// needs are adjacent or scattered.
fn any_unmet<R: StateReader>(reader: &R, job: &Job) -> Result<NeedsStatus, R::Error> {
    let count = job.needs.len();
    // Steps by the golden ratio spread evenly; a step without a common divisor visits every need.
    let stride = (count * 618 / 1000..count).find(|step| gcd(*step, count) == 1).unwrap_or(1);
    for nth in 0..count {
        let status = need_status(reader, &job.needs[nth * stride % count])?;
        if status != NeedsStatus::Met {
            return Ok(status);
        }
    }
    Ok(NeedsStatus::Met)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether the needs of a skipped job are unmet because of a failure, rather than because a required failure didn't happen.
/// Follows chains of skipped jobs.
pub(super) fn is_skipped_by_failure<R: StateReader>(reader: &R, job: &Job) -> Result<bool, R::Error> {
    let mut jobs = vec![job.clone()];
    let mut seen = HashSet::new();
    while let Some(job) = jobs.pop() {
        for need in job.needs.iter().filter(|need| seen.insert((need.job, need.on))) {
            let Some(needed) = reader.job(need.job)? else { return Ok(true) };
            match (need.on, needed.outcome()) {
                (OutcomeCondition::Failure, Some(Outcome::Succeeded)) => {}
                (_, Some(Outcome::Skipped { .. })) => jobs.push(needed),
                _ if need_status(reader, need)? == NeedsStatus::Met => {}
                _ => return Ok(true),
            }
        }
    }
    Ok(false)
}

fn need_status<R: StateReader>(reader: &R, need: &ResolvedNeed) -> Result<NeedsStatus, R::Error> {
    let (job, removed) = match reader.job(need.job)? {
        Some(job) => (job, false),
        None => match reader.removed_job(need.job)? {
            Some(job) => (job, true),
            None => return Ok(NeedsStatus::Failed(format!("needs {}, which no longer exists", need.job))),
        },
    };
    let JobState::Finished { outcome, .. } = &job.state else {
        let reason = format!("needs {}, which was removed", job.path());
        return Ok(if removed { NeedsStatus::Failed(reason) } else { NeedsStatus::Pending });
    };
    let met = match (need.on, outcome) {
        (OutcomeCondition::Finish, _)
        | (OutcomeCondition::Success, Outcome::Succeeded | Outcome::Skipped { by: SkipKind::UpToDate, .. })
        | (OutcomeCondition::Failure, Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. }) => true,
        (OutcomeCondition::Success | OutcomeCondition::Failure, _) => false,
    };
    if met {
        return Ok(NeedsStatus::Met);
    }
    let path = job.path();
    let ended = match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "was cancelled",
        Outcome::Interrupted | Outcome::Unreachable { .. } => "was interrupted",
        Outcome::Skipped { by: SkipKind::UpToDate, .. } => "is up to date",
        Outcome::Skipped { .. } => "was skipped",
    };
    Ok(NeedsStatus::Failed(match need.on {
        OutcomeCondition::Failure => format!("needs {path} to fail, which {ended}"),
        _ => format!("needs {path}, which {ended}"),
    }))
}
