//! Floor 1: operating-system processes: start, output, stop, outcome.
//!
//! A [`Runner`] looks after all runs from one thread at a time: it sleeps in `poll` over their pipes, the signal that a
//! child has ended, calls from other threads and the next deadline. That thread is whoever [attends](Runner::attend),
//! else one of its own.
//!
//! A run is over when its process ends: what that has left in the background goes on, and what it prints from then on is
//! thrown away. But a run that has to stop takes its whole tree with it, down to what has moved to a session of its own.

mod attendance;
mod census;
mod interruption;
mod invocation;
mod leftovers;
mod mark;
mod pipe;
mod process;
mod programs;
mod rest;
mod spawn;
mod supervisor;
mod terminal;
mod tree;
mod value;
mod variables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use crate::model::{Definition, Report, RunId, Stop, Stream, WindowSize};
use attendance::Attendance;
pub use attendance::Waker;
pub use interruption::undisturbed;
pub use leftovers::{Leftovers, kill_leftovers};
pub use mark::{Mark, release};
use process::Listener;
use supervisor::Supervisor;
pub use terminal::{Input, Terminal};

/// Starts runs and looks after them.
///
/// Dropping it kills nothing: runs that are under way go on unobserved, their output pipes closed, and their `done` is
/// never called. Stop them first, and wait for their reports.
pub struct Runner {
    attendance: Arc<Attendance>,
    stand_in: Option<JoinHandle<()>>,
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

/// Takes what a run prints. It is called on the thread that looks after all runs at the time, so it must not wait.
pub trait Output: Send {
    /// Some more output, in the order in which it arrived.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
    /// What comes from now on is printed in a terminal of this size.
    fn resized(&mut self, _size: WindowSize) {}
    /// There is no more; called once, before the report.
    fn finish(self: Box<Self>);
}

/// What is called with the report of a run.
pub type Done = Box<dyn FnOnce(Report) + Send>;

impl Runner {
    /// One with a thread that looks after the runs whenever nobody [attends](Self::attend) to them.
    pub fn new() -> io::Result<Self> {
        Self::of(false)
    }

    /// The same, in a process that does nothing but run jobs and starts nobody else. What a job starts falls to this
    /// process when its own parent ends, and bears the run's mark: so a stop finds it however it has gone about leaving,
    /// and none stays a zombie. Any child that ends is waited for here.
    pub fn sole() -> io::Result<Self> {
        Self::of(true)
    }

    fn of(sole: bool) -> io::Result<Self> {
        let (supervisor, waker) = Supervisor::new(sole)?;
        let attendance = Arc::new(Attendance::of(supervisor, waker));
        let shared = Arc::clone(&attendance);
        let stand_in = thread::Builder::new().name("runner".to_owned());
        let stand_in = undisturbed(|| stand_in.spawn(move || shared.stand_in()))?;
        Ok(Self { attendance, stand_in: Some(stand_in) })
    }

    /// Starts a run, on the calling thread. `output` gets what it prints; `done` is called once with the report, also
    /// of a run that could not start. Both are called on the thread that looks after the runs at the time, which may
    /// be this one.
    pub fn launch(&self, run: RunId, launch: Launch, output: Box<dyn Output>, done: Done) {
        self.attendance.hold().launch(run, launch, Listener { output, done });
    }

    /// Looks after the runs on the calling thread, until something has happened, a [`Waker`] wakes it or this much time
    /// has passed. From the first call on, nobody is woken when a run ends but who attends; the runner's own thread
    /// looks after the runs only when that one stays away for long.
    pub fn attend(&self, at_most: Duration) {
        self.attendance.attend(at_most);
    }

    /// What ends [`attend`](Self::attend) on another thread.
    pub fn waker(&self) -> Waker {
        self.attendance.waker().clone()
    }

    /// Stops a run: TERM to all that it has started and KILL after the script's `grace`, or KILL at once. A second stop may
    /// upgrade the first; a run that is over already is left alone.
    pub fn stop(&self, run: RunId, stop: Stop) {
        self.attendance.hold().stop(run, stop);
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.attendance.close();
        if let Some(stand_in) = self.stand_in.take()
            // A `done` may hold the last handle.
            && stand_in.thread().id() != thread::current().id()
        {
            // A panic of a callback has been printed by then.
            let _ = stand_in.join();
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// Runs one script to its end on the calling thread.
pub fn run(launch: Launch, output: Box<dyn Output>) -> Report {
    supervisor::run_one(launch, output)
}
