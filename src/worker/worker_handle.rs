//! The handle of a worker that has joined its site.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::WorkerError;
use super::event_loop::EventLoop;
use super::message::{Shutdown, WorkerMessage};
use crate::model::{EventRecord, Job, QueueId, WorkerId, WorkerOptions};
use crate::site::SitePaths;
use crate::store::Store;

/// A worker of a site: [`join`](Worker::join) registers it, [`run`](Worker::run) works until it has left. The process
/// must not spawn other children meanwhile, because it adopts the orphans of its jobs
/// ([`Runner::subreaper`](crate::runner::Runner::subreaper)).
pub struct Worker {
    store: Box<dyn Store>,
    event_loop: EventLoop,
}

impl Worker {
    /// Joins the site to run jobs of `queues`, or of all queues. A worker that `stays_when_idle` waits for more jobs when
    /// there is nothing to do.
    pub fn join(
        mut store: Box<dyn Store>,
        paths: SitePaths,
        queues: Option<Vec<QueueId>>,
        options: WorkerOptions,
        stays_when_idle: bool,
    ) -> Result<Self, WorkerError> {
        let event_loop = EventLoop::join(store.as_mut(), paths, queues, options, stays_when_idle)?;
        Ok(Self { store, event_loop })
    }

    /// Limits how many jobs of each of its queues run at once, over all workers, until this worker leaves.
    pub fn with_parallel(mut self, parallel: NonZero<u32>) -> Result<Self, WorkerError> {
        self.event_loop.limit_parallel(self.store.as_mut(), parallel)?;
        Ok(self)
    }

    /// The id of this worker.
    pub fn id(&self) -> WorkerId {
        self.event_loop.id()
    }

    /// A function that shuts the worker down from another thread, such as a signal handler's.
    pub fn shutdown_handle(&self) -> impl Fn(Shutdown) + Send + 'static {
        let sender = self.event_loop.sender();
        move |shutdown| sender.send(WorkerMessage::Shutdown(shutdown))
    }

    /// Set it in the handler of SIGINT: a job that was just being started got the signal too, and counts as interrupted.
    pub fn interrupt_flag(&self) -> Arc<AtomicBool> {
        self.event_loop.sender().interrupted
    }

    /// A function that suspends the process and its running jobs as soon as no other worker waits for it.
    pub fn suspend_handle(&self) -> impl Fn() + Send + 'static {
        let sender = self.event_loop.sender();
        move || sender.send(WorkerMessage::Suspend)
    }

    /// The worker does not leave while `answer_awaited` is set: a user is asked for an approval. Call
    /// [`wake_handle`](Self::wake_handle) after it is cleared.
    pub fn keep_running_while(&mut self, answer_awaited: Arc<AtomicBool>) {
        self.event_loop.keep_running_while(answer_awaited);
    }

    /// A function that lets the worker check again whether there is something to do.
    pub fn wake_handle(&self) -> impl Fn() + Send + 'static {
        let sender = self.event_loop.sender();
        move || sender.send(WorkerMessage::SiteChanged)
    }

    /// Works until there is nothing to do or the worker is shut down. `on_change` is called with every change of the site,
    /// and with the job if it ran here.
    pub fn run(self, on_change: impl FnMut(&mut dyn Store, &EventRecord, Option<&Job>)) -> Result<(), WorkerError> {
        self.event_loop.run(self.store, on_change)
    }
}
