//! What is put under faults: a queue of jobs on a server, with workers that are processes. The faults and what must hold
//! after them know no more of it than this trait, so that another queue can be put under the same faults.

use std::collections::{BTreeMap, BTreeSet};

use super::effects::Effects;

/// A queue whose jobs each append the numbers of the job and the run to the file of effects.
pub(super) trait FaultyQueue {
    /// Adds a job that runs as soon as a worker is there. Returns its number if that was acknowledged.
    fn add(&self) -> Option<u64>;

    /// What is on record of all jobs.
    fn records(&self) -> BTreeMap<u64, JobRecord>;

    /// Asks for another run of a job that was interrupted.
    fn retry(&self, job: u64);

    fn effects(&self) -> &Effects;

    /// What helps to find out why a test has failed.
    fn diagnostics(&self) -> String;
}

/// What is on record of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobRecord {
    pub(super) state: RecordedState,
    pub(super) runs: BTreeMap<u64, RunEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordedState {
    /// Pending or running.
    Open,
    Succeeded,
    Interrupted,
    /// Anything else, which no fault explains.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    Open,
    Succeeded,
    /// It may have had its effect.
    Interrupted,
    Other,
}

/// Waits until all jobs have succeeded; those that were interrupted are requested again. Then checks that no acknowledged
/// job is missing, and that each effect is on record.
#[track_caller]
pub(super) fn check(queue: &impl FaultyQueue, acknowledged: &[u64], what: &str) {
    wait_until(queue, what, "all jobs to succeed", |records| {
        for (job, record) in records {
            if record.state == RecordedState::Interrupted {
                queue.retry(*job);
            }
        }
        records.values().all(|record| record.state == RecordedState::Succeeded)
    });
    check_records(queue, acknowledged, what);
}

/// Waits until the records of all jobs meet a condition.
#[track_caller]
pub(super) fn wait_until(
    queue: &impl FaultyQueue,
    what: &str,
    wanted: &str,
    mut is_met: impl FnMut(&BTreeMap<u64, JobRecord>) -> bool,
) {
    let end = std::time::Instant::now() + crate::temp_site::WAIT_TIMEOUT;
    loop {
        let records = queue.records();
        if is_met(&records) {
            return;
        }
        assert!(
            std::time::Instant::now() < end,
            "{what}: timed out waiting for {wanted}\n{records:#?}\n{}",
            queue.diagnostics()
        );
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

#[track_caller]
fn check_records(queue: &impl FaultyQueue, acknowledged: &[u64], what: &str) {
    let (records, effects) = (queue.records(), queue.effects().read());
    let context = || format!("{what}\nrecords: {records:#?}\neffects: {effects:?}\n{}", queue.diagnostics());
    for job in acknowledged {
        assert!(records.contains_key(job), "job {job} was acknowledged, and is lost: {}", context());
    }
    let seen: BTreeSet<_> = effects.iter().collect();
    assert_eq!(seen.len(), effects.len(), "a run had its effect twice: {}", context());
    for (job, run) in &effects {
        let end = records.get(job).and_then(|record| record.runs.get(run));
        assert!(end.is_some(), "run {run} of job {job} is not on record: {}", context());
    }
    for (job, record) in &records {
        let succeeded: Vec<_> = record.runs.iter().filter(|(_, end)| **end == RunEnd::Succeeded).collect();
        assert_eq!(succeeded.len(), 1, "job {job} must succeed once: {}", context());
        for (run, end) in &record.runs {
            let has_effect = seen.contains(&(*job, *run));
            let is_explained = match end {
                RunEnd::Succeeded => has_effect,
                RunEnd::Interrupted => true,
                RunEnd::Open | RunEnd::Other => false,
            };
            assert!(is_explained, "run {run} of job {job} ended as {end:?}: {}", context());
        }
    }
}
