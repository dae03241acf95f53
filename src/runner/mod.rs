//! Floor 1: operating-system processes: start, output, stop, outcome.
//!
//! A [`Runner`] has one thread that looks after all runs: it sleeps in `poll` over their pipes, the signal that a
//! child has ended, orders from other threads and the next deadline.
//!
//! A run is over when its process ends: what that has left in the background goes on, and what it prints from then on is
//! thrown away. But a run that has to stop takes its whole tree with it, down to what has moved to a session of its own.

mod census;
mod invocation;
mod leftovers;
mod mark;
mod pipe;
mod process;
mod spawn;
mod supervisor;
mod terminal;
mod tree;
mod value;
mod variables;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Definition, Report, RunId, Stop, Stream};
pub use leftovers::{Leftovers, kill_leftovers};
pub use mark::{Mark, release};
use process::Listener;
use supervisor::{Orders, Supervisor};
pub use terminal::{Input, Terminal};

/// Starts runs and looks after them on a thread of its own.
///
/// Dropping it ends that thread at once and kills nothing: runs that are under way go on unobserved, their output
/// pipes closed, and their `done` is never called. Stop them first, and wait for their reports.
#[derive(Debug)]
pub struct Runner {
    orders: Orders,
}

/// What to run, and where.
#[derive(Debug)]
pub struct Launch {
    /// The job; it has to call a script.
    pub definition: Arc<Definition>,
    /// The site's folder: where a relative `cwd` starts, and the default.
    pub folder: PathBuf,
    /// Variables of the run itself (`SETLIST_…`), laid over those of the script.
    pub env: Vec<(String, OsString)>,
    /// What tells the run's processes from all others. Without it, one that has left the process group is found only by
    /// the chain of those that have started it.
    pub mark: Option<Mark>,
    /// Where the job may write its value. Read and removed when the run is over.
    pub value_file: Option<PathBuf>,
    /// For a job that wants a terminal.
    pub terminal: Terminal,
}

/// Takes what a run prints. It is called on the thread that looks after all runs, so it must not wait.
pub trait Output: Send {
    /// Some more output, in the order in which it arrived.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
    /// There is no more; called once, before the report.
    fn finish(self: Box<Self>);
}

/// What is called with the report of a run.
pub type Done = Box<dyn FnOnce(Report) + Send>;

impl Runner {
    /// Starts the supervising thread.
    pub fn new() -> io::Result<Self> {
        Ok(Self { orders: Supervisor::start(false)? })
    }

    /// The same, in a process that does nothing but run jobs and starts nobody else. What a job starts falls to this
    /// process when its own parent ends, and bears the run's mark: so a stop finds it however it has gone about leaving,
    /// and none stays a zombie. Any child that ends is waited for here.
    pub fn sole() -> io::Result<Self> {
        Ok(Self { orders: Supervisor::start(true)? })
    }

    /// Starts a run. `output` gets what it prints; `done` is called once with the report, also of a run that could
    /// not start. Both are called on the supervising thread, which also spawns: the caller goes on at once.
    pub fn launch(&self, run: RunId, launch: Launch, output: Box<dyn Output>, done: Done) {
        self.orders.launch(run, launch, Listener { output, done });
    }

    /// Stops a run: TERM to all that it has started and KILL after the script's `grace`, or KILL at once. A second stop may
    /// upgrade the first; a run that is over already is left alone.
    pub fn stop(&self, run: RunId, stop: Stop) {
        self.orders.stop(run, stop);
    }
}

/// Runs one script to its end on the calling thread.
pub fn run(launch: Launch, output: Box<dyn Output>) -> Report {
    supervisor::run_one(launch, output)
}
