//! Checks shared by the decisions: each returns what a command needs, or the refusal.

use super::{Event, Job, JobId, QueueId, QueueInfo, Refusal, StateReader};

/// Why a command has no events: it was refused, or the state could not be read.
#[derive(Debug)]
pub enum DecideError<E> {
    /// The command was refused; nothing changes.
    Refused(Refusal),
    /// The reader returned an error.
    Read(E),
}

impl<E> From<E> for DecideError<E> {
    fn from(error: E) -> Self {
        Self::Read(error)
    }
}

/// The events of a command, or why there are none.
pub(super) type Decision<R> = Result<Vec<Event>, DecideError<<R as StateReader>::Error>>;

/// Refuses a command.
pub(super) fn refuse<T, E>(refusal: Refusal) -> Result<T, DecideError<E>> {
    Err(DecideError::Refused(refusal))
}

/// Refuses a command because of the state of a job.
pub(super) fn wrong_state<T, E>(job: &Job, hint: &'static str) -> Result<T, DecideError<E>> {
    refuse(Refusal::WrongState { job: job.id, phase: job.phase(), hint })
}

/// The job, which must be in a queue.
pub(super) fn existing_job<R: StateReader>(reader: &R, job: JobId) -> Result<Job, DecideError<R::Error>> {
    reader.job(job)?.map_or_else(|| refuse(Refusal::UnknownJob(job)), Ok)
}

/// The queue, which must exist.
pub(super) fn existing_queue<R: StateReader>(reader: &R, queue: &QueueId) -> Result<QueueInfo, DecideError<R::Error>> {
    reader.queue(queue)?.map_or_else(|| refuse(Refusal::UnknownQueue(queue.to_string())), Ok)
}
