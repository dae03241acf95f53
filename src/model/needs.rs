//! Needs: whether the jobs that a job needs have finished as required.

use std::collections::HashSet;

use super::{
    Job, JobId, NeedStatus, NeededJob, NeededState, Outcome, OutcomeCondition, ResolvedNeed, SiteState, SkipKind,
    StateReader,
};

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

/// The status of the needs of `job`.
pub(super) fn needs_status<R: StateReader>(reader: &R, job: &Job) -> Result<NeedStatus, R::Error> {
    if job.needs.is_empty() { Ok(NeedStatus::Met) } else { Ok(reader.need_counts(job.id)?.status()) }
}

/// Why the needs of `job` have failed: the first of them that has. It looks at all needs, so it is for jobs that will be
/// skipped or are shown.
pub(super) fn failed_reason<R: StateReader>(reader: &R, job: &Job) -> Result<Option<String>, R::Error> {
    for need in &job.needs {
        let needed = reader.needed_job(need.job)?;
        if state_of(needed.as_ref()).status(need.on) == NeedStatus::Failed {
            return Ok(Some(describe_failed(need, needed.as_ref())));
        }
    }
    Ok(None)
}

/// Why a blocked job can't start: its first unmet need, or a missing approval.
pub(super) fn blocked_reason<R: StateReader>(reader: &R, job: &Job) -> Result<String, R::Error> {
    let path = job.path();
    for need in &job.needs {
        let needed = reader.needed_job(need.job)?;
        match state_of(needed.as_ref()).status(need.on) {
            NeedStatus::Met => {}
            NeedStatus::Failed => return Ok(format!("{path} {}", describe_failed(need, needed.as_ref()))),
            NeedStatus::Pending => {
                let needed = needed.map_or_else(|| need.job.to_string(), |needed| needed.job.path());
                return Ok(format!("{path} needs {needed}"));
            }
        }
    }
    Ok(format!("{path} needs approval"))
}

fn state_of(needed: Option<&NeededJob>) -> NeededState {
    needed.map_or(NeededState::Missing, |NeededJob { job, is_removed }| NeededState::of(&job.state, *is_removed))
}

fn describe_failed(need: &ResolvedNeed, needed: Option<&NeededJob>) -> String {
    let Some(NeededJob { job, .. }) = needed else { return format!("needs {}, which no longer exists", need.job) };
    let path = job.path();
    let ended = match job.outcome() {
        None => return format!("needs {path}, which was removed"),
        Some(Outcome::Succeeded) => "succeeded",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Cancelled) => "was cancelled",
        Some(Outcome::Interrupted | Outcome::Unreachable { .. }) => "was interrupted",
        Some(Outcome::Skipped { by: SkipKind::UpToDate, .. }) => "is up to date",
        Some(Outcome::Skipped { .. }) => "was skipped",
    };
    match need.on {
        OutcomeCondition::Failure => format!("needs {path} to fail, which {ended}"),
        _ => format!("needs {path}, which {ended}"),
    }
}

/// Whether the needs of a skipped job are unmet because of a failure, rather than because a required failure didn't happen.
/// Follows chains of skipped jobs.
pub(super) fn is_skipped_by_failure<R: StateReader>(reader: &R, job: &Job) -> Result<bool, R::Error> {
    has_failed_need(job, |id| reader.job(id))
}

/// Whether a job was skipped because of a failure, as told by its needs, which `find` looks up.
pub fn has_failed_need<E>(job: &Job, mut find: impl FnMut(JobId) -> Result<Option<Job>, E>) -> Result<bool, E> {
    let mut jobs = vec![job.clone()];
    let mut seen = HashSet::new();
    while let Some(job) = jobs.pop() {
        for need in job.needs.iter().filter(|need| seen.insert((need.job, need.on))) {
            let Some(needed) = find(need.job)? else { return Ok(true) };
            match (need.on, needed.outcome()) {
                (OutcomeCondition::Failure, Some(Outcome::Succeeded)) => {}
                (_, Some(Outcome::Skipped { .. })) => jobs.push(needed),
                _ if NeededState::of(&needed.state, false).status(need.on) == NeedStatus::Met => {}
                _ => return Ok(true),
            }
        }
    }
    Ok(false)
}
