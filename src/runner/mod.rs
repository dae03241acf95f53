//! Runs scripts as operating-system processes: starts them, reads their output, stops them and reports their outcome.
//!
//! A [`Runner`] supervises all runs from one thread at a time, which sleeps in `poll` until there is output, a child has
//! ended, another thread wakes it or a deadline passes. That is the thread that [drives](Runner::drive) the runner, or
//! else a thread of its own.
//!
//! A run is over when its root process ends. Its background processes keep running, and their output is discarded. A run
//! that is stopped, however, ends with its whole process tree, including processes in other sessions.

mod cgroup;
mod cgroup_controllers;
mod cgroup_entry;
mod descriptor_limit;
mod driver;
mod env_file;
mod error_lines;
mod error_tail;
mod exit_check_throttle;
mod failure_cause;
mod git;
mod inherited_state;
mod invocation;
mod launch;
mod limits;
mod live_usage;
mod oom_evidence;
mod orphans;
mod os_error;
mod own_environment;
mod pipe;
mod process_table;
mod process_tree;
mod program_cache;
mod pty;
mod read_throttle;
mod run_process;
mod run_tag;
mod secret_masker;
mod sigchld_mask;
mod sources;
mod spawn;
mod stall_timer;
mod supervisor;
mod usage_meter;
mod value;
mod variable_list;
mod variables;
mod waker;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use crate::model::{RunId, RunReport, StopSignal};
use descriptor_limit::DescriptorLimit;
use driver::Driver;
pub use git::{
    SnapshotPlace, Worktree, WorktreeRequest, check_out, names_git_repository, remove_refs_except,
    remove_worktree_record, take_snapshot,
};
pub use inherited_state::{isolate_children, was_ignored_at_start};
pub use launch::{Done, Launch, OutOfResources, Output};
pub use limits::unkeepable_limits;
pub use live_usage::UsageMonitor;
pub use orphans::{OrphanReport, is_pid_namespace_visible, kill_orphans};
pub use own_environment::{login_environment, own_environment};
pub use process_tree::detach_from_run;
pub use pty::{PtyInput, PtyOptions};
use run_process::RunCallbacks;
pub use run_tag::RunTag;
pub use sigchld_mask::with_sigchld_blocked;
pub use sources::{FileHashes, ObserveError, count_matches, observe_files};
use supervisor::Supervisor;
pub use variable_list::{ListedVariable, list_variables};
pub use variables::VariableSource;
pub use waker::Waker;

/// Starts and supervises runs.
///
/// Dropping it stops no run: the processes keep running unsupervised with their output pipes closed, and `done` is never
/// called. Stop the runs first and wait for their reports.
pub struct Runner {
    driver: Arc<Driver>,
    descriptor_limit: Arc<DescriptorLimit>,
    fallback_thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Creates a runner with a thread that supervises the runs whenever no other thread [drives](Self::drive) it.
    pub fn new() -> io::Result<Self> {
        Self::build(false)
    }

    /// Creates a runner that makes this process a subreaper, for a process that only runs jobs and spawns no others.
    /// Descendants of a job become children of this process when their parent ends, and carry the tag of the run. So a
    /// stop finds them wherever they have moved, and none stays a zombie. The runner waits for every child that ends.
    pub fn subreaper() -> io::Result<Self> {
        Self::build(true)
    }

    fn build(is_subreaper: bool) -> io::Result<Self> {
        let (supervisor, waker) = Supervisor::new(is_subreaper)?;
        let descriptor_limit = Arc::clone(&supervisor.descriptor_limit);
        let driver = Arc::new(Driver::new(supervisor, waker));
        let shared = Arc::clone(&driver);
        let fallback_thread = thread::Builder::new().name("runner".to_owned());
        let fallback_thread = with_sigchld_blocked(|| fallback_thread.spawn(move || shared.run_fallback()))?;
        Ok(Self { driver, descriptor_limit, fallback_thread: Some(fallback_thread) })
    }

    /// Starts a run on the calling thread. `output` receives its output; `done` is called once with the report, also if
    /// the run could not start. Both are called on the thread that drives the runs at the time, which may be this one.
    ///
    /// If the system lacks resources for it, neither is called, and the caller may launch it again later.
    pub fn launch(
        &self,
        run: RunId,
        launch: Launch,
        output: Box<dyn Output>,
        done: Done,
    ) -> Result<(), OutOfResources> {
        self.driver.lock().launch(run, launch, RunCallbacks { output, done })
    }

    /// How many runs may be open at once under the limit on open files. If `wanted` are more, the soft limit of this
    /// process is raised first; runs still get the original one.
    pub fn max_runs(&self, wanted: usize) -> usize {
        self.descriptor_limit.max_runs(wanted)
    }

    /// Calls `suspend`, which suspends this process, while all runs are suspended too. That time does not count towards
    /// their timeouts.
    pub fn suspend_with_runs(&self, suspend: impl FnOnce()) {
        self.driver.lock().suspend_with_runs(suspend);
    }

    /// Supervises the runs on the calling thread until something has happened, a [`Waker`] wakes it or the time is up.
    /// From the first call on, the end of a run wakes only the driving thread; the runner's own thread takes over only
    /// if that one stays away for long.
    pub fn drive(&self, at_most: Duration) {
        self.driver.drive(at_most);
    }

    /// Ends [`drive`](Self::drive) from another thread.
    pub fn waker(&self) -> Waker {
        self.driver.waker().clone()
    }

    /// Stops runs: sends TERM to all their processes and KILL after the script's `grace`, or KILL at once. A second call may
    /// upgrade TERM to KILL. A run that has ended is not affected. The processes of all of them are looked up once.
    pub fn stop(&self, stops: &[(RunId, StopSignal)]) {
        if !stops.is_empty() {
            self.driver.lock().stop(stops);
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.driver.close();
        if let Some(fallback_thread) = self.fallback_thread.take()
            // A `done` callback may own the last handle.
            && fallback_thread.thread().id() != thread::current().id()
        {
            // A panic in a callback has already been printed.
            let _ = fallback_thread.join();
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// Runs one script to its end on the calling thread.
pub fn run(launch: Launch, output: Box<dyn Output>) -> RunReport {
    supervisor::run_one(launch, output)
}
