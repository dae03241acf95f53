//! Which queues are still active: jobs in them will start or end without further commands.

use std::collections::HashSet;

use super::{Job, JobId, JobState, QueueId, QueueInfo, QueueMode, StateReader, WaitConditions};

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
        if queue.mode == QueueMode::Paused || (queue.is_processing() && reader.has_unblocked_jobs(&queue.id)?) {
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

/// Finds out whether blocked jobs will start.
struct ProgressCheck<'a, R> {
    reader: &'a R,
    active: &'a HashSet<QueueId>,
    approvals: Approvals,
}

impl<R: StateReader> ProgressCheck<'_, R> {
    fn has_job_that_can_progress(&self, queue: &QueueId) -> Result<bool, R::Error> {
        for id in self.reader.blocked_jobs(queue)? {
            if let Some(job) = self.reader.job(id)?
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
        for need in &job.needs {
            let Some(needed) = self.reader.job(need.job)? else { continue };
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
                    !wait.needs || (seen.insert(needed.id) && self.any_need_will_run(&needed, seen)?)
                }
                JobState::Pending { .. } | JobState::Finished { .. } => false,
            };
            if will_run {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
