//! Which queues are still active: jobs in them will start or end without further commands.

use std::collections::HashSet;

use super::label_set::LabelSet;
use super::worker_match::has_worker;
use super::{
    Job, JobId, JobState, NeededJob, QueueId, QueueInfo, QueueMode, Readiness, ResolvedNeed, StateReader,
    WaitConditions,
};

/// How many blocked jobs of a queue are checked before the ids of all are read.
const FIRST_JOBS: usize = 8;

/// Whether jobs that wait for approval count as active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approvals {
    /// Yes: an approval is expected.
    Expected,
    /// No: only jobs that need no user count.
    Ignored,
}

/// The active queues: paused ones, and processing ones in which a job will start or end without further commands than
/// approvals.
///
/// Queues that only wait for each other are not active: a chain of waiting queues must end in one that progresses on
/// its own.
pub(super) fn active_queues<R: StateReader>(
    reader: &R,
    queues: &[QueueInfo],
    approvals: Approvals,
) -> Result<HashSet<QueueId>, R::Error> {
    let mut active = HashSet::new();
    let mut waiting = Vec::new();
    for queue in queues {
        // A paused queue will be resumed.
        if queue.mode == QueueMode::Paused
            || (queue.is_processing() && has_unblocked_jobs(reader, &queue.id, approvals)?)
        {
            active.insert(queue.id.clone());
        } else if queue.is_processing() {
            waiting.push(queue);
        }
    }
    loop {
        let progress = ProgressCheck { reader, active: &active, approvals };
        let (mut now_active, mut still_waiting) = (Vec::new(), Vec::new());
        for queue in waiting {
            if progress.has_job_that_can_progress(&queue.id)? {
                now_active.push(queue.id.clone());
            } else {
                still_waiting.push(queue);
            }
        }
        if now_active.is_empty() {
            return Ok(active);
        }
        active.extend(now_active);
        waiting = still_waiting;
    }
}

/// Whether a job of the queue is running, or pending and not blocked. Of these, jobs whose labels no worker has count only
/// if users are expected to act.
fn has_unblocked_jobs<R: StateReader>(reader: &R, queue: &QueueId, approvals: Approvals) -> Result<bool, R::Error> {
    if !reader.has_unblocked_jobs(queue)? {
        return Ok(false);
    }
    if approvals == Approvals::Expected
        || reader.used_slots(queue)? > 0
        || reader.next_due_time(queue, false)?.is_some()
    {
        return Ok(true);
    }
    for reserved in reader.reserved_jobs()? {
        if reader.job(reserved)?.is_some_and(|job| job.queue == *queue) {
            return Ok(true);
        }
    }
    let mut excluded: Vec<LabelSet> = Vec::new();
    for readiness in [Readiness::Requested, Readiness::Ready] {
        while let Some(job) = reader.next_jobs(queue, readiness, 1, &excluded)?.pop() {
            if has_worker(reader, &job)? {
                return Ok(true);
            }
            excluded.push(job.definition.scheduling.runs_on.clone());
        }
    }
    Ok(false)
}

/// Finds out whether blocked jobs will start.
struct ProgressCheck<'a, R> {
    reader: &'a R,
    active: &'a HashSet<QueueId>,
    approvals: Approvals,
}

impl<R: StateReader> ProgressCheck<'_, R> {
    fn has_job_that_can_progress(&self, queue: &QueueId) -> Result<bool, R::Error> {
        // Usually one of the first can progress.
        let first = self.reader.blocked_jobs(queue, FIRST_JOBS)?;
        if self.any_can_progress(&first)? {
            return Ok(true);
        }
        let has_more = first.len() == FIRST_JOBS;
        Ok(has_more && self.any_can_progress(&self.reader.blocked_jobs(queue, usize::MAX)?[FIRST_JOBS..])?)
    }

    fn any_can_progress(&self, blocked: &[JobId]) -> Result<bool, R::Error> {
        for id in blocked {
            if let Some(job) = self.reader.job(*id)?
                && self.can_progress(&job)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a blocked job waits for approval, or for other jobs of which one is running or will run: an explicitly
    /// requested job, or a job of another queue that is active.
    ///
    /// Other jobs of its own queue don't count: the queue has been found to have no unblocked job.
    fn can_progress(&self, job: &Job) -> Result<bool, R::Error> {
        let JobState::Pending { wait: WaitConditions { needs, confirm, .. }, .. } = job.state else { return Ok(false) };
        match self.approvals {
            Approvals::Expected if confirm && !needs => Ok(true),
            Approvals::Ignored if confirm => Ok(false),
            _ => self.any_need_will_run(job, &mut HashSet::from([job.id])),
        }
    }

    fn any_need_will_run(&self, job: &Job, seen: &mut HashSet<JobId>) -> Result<bool, R::Error> {
        for need in spread_out(&job.needs) {
            // Its own needs, if it was requested, are read only then.
            let Some(NeededJob { job: needed, is_removed: false }) = self.reader.needed_job(need.job)? else {
                continue;
            };
            let is_active = needed.queue != job.queue && self.active.contains(&needed.queue);
            let will_run = match needed.state {
                JobState::Running { .. } => true,
                JobState::Pending { wait: WaitConditions { confirm: true, .. }, .. }
                    if self.approvals == Approvals::Ignored =>
                {
                    false
                }
                JobState::Pending { .. } if is_active => true,
                JobState::Pending { requested: true, wait } => {
                    if wait.needs {
                        seen.insert(needed.id) && self.will_requested_job_run(needed.id, seen)?
                    } else {
                        self.approvals == Approvals::Expected || self.has_worker(needed.id)?
                    }
                }
                JobState::Pending { .. } | JobState::Finished { .. } => false,
            };
            if will_run {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a worker has the labels of a job. Of a needed job, these were not read.
    fn has_worker(&self, id: JobId) -> Result<bool, R::Error> {
        Ok(match self.reader.job(id)? {
            Some(job) => has_worker(self.reader, &job)?,
            None => false,
        })
    }

    fn will_requested_job_run(&self, id: JobId, seen: &mut HashSet<JobId>) -> Result<bool, R::Error> {
        match self.reader.job(id)? {
            Some(job) => self.any_need_will_run(&job, seen),
            None => Ok(false),
        }
    }
}

/// Needs in an order in which an unmet one comes soon, whether the unmet needs are adjacent or scattered.
fn spread_out(needs: &[ResolvedNeed]) -> impl Iterator<Item = &ResolvedNeed> {
    let count = needs.len();
    // Steps by the golden ratio spread evenly; a step without a common divisor visits every need.
    let stride = (count * 618 / 1000..count).find(|step| gcd(*step, count) == 1).unwrap_or(1);
    (0..count).map(move |nth| &needs[nth * stride % count])
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
