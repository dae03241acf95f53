//! Which jobs and runs have a snapshot, and how it is recorded.

use std::sync::Arc;

use super::checks::{Decision, existing_job, refuse};
use super::{Call, Definition, Event, Job, JobId, Phase, Refusal, Run, RunId, Snapshot, StateReader};

impl Definition {
    /// Whether it runs on the files of a snapshot.
    pub fn runs_on_snapshot(&self) -> bool {
        matches!(&self.call, Call::Script(script) if script.exec.snapshot.is_some())
    }
}

impl Run {
    /// The snapshot that it runs on, if it does and it is known.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.inputs.as_deref()?.snapshot.as_deref()
    }
}

impl Job {
    /// Whether it runs on the files of a snapshot.
    pub fn runs_on_snapshot(&self) -> bool {
        self.definition.runs_on_snapshot()
    }

    /// The snapshots that its record names.
    pub fn recorded_snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        let given = self.inputs.as_deref().and_then(|inputs| inputs.snapshot.as_deref());
        given.into_iter().chain(self.last_run.as_deref().and_then(Run::snapshot))
    }

    /// The snapshot that its current run or else its next one runs on, as far as it is known.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match self.phase() {
            Phase::Pending => self.inputs.as_deref()?.snapshot.as_deref().filter(|_| self.runs_on_snapshot()),
            _ => self.last_run.as_deref()?.snapshot(),
        }
    }
}

/// Records the files that the current run of a job, or else its next one, runs on.
pub(super) fn record<R: StateReader>(
    reader: &R,
    id: JobId,
    run: Option<RunId>,
    snapshot: &Arc<Snapshot>,
) -> Decision<R> {
    let job = existing_job(reader, id)?;
    match run {
        Some(run) if job.current_run() != Some(run) => return refuse(Refusal::StaleRun { job: id, run }),
        // It has started meanwhile, was cancelled, or was requested with a snapshot.
        None if job.phase() != Phase::Pending || job.inputs.is_some_and(|inputs| inputs.snapshot.is_some()) => {
            return Ok(Vec::new());
        }
        _ => {}
    }
    Ok(vec![Event::SnapshotTaken { job: id, snapshot: Arc::clone(snapshot) }])
}
