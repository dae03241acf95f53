//! A folder of its own for each test, with a `jobs.yaml`, in which the program is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");

/// How long a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Marks every process of a room, with its folder: also those that the program and its jobs have started.
pub(crate) const MARK: &str = "SETLIST_TEST_ROOM";

pub(crate) struct Room(TempDir);

/// What a command said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A process of a room.
#[derive(Debug)]
#[expect(dead_code, reason = "the command is there to be printed")]
pub(crate) struct Process {
    pub pid: Pid,
    /// A job, or started by one.
    pub of_a_job: bool,
    pub command: String,
}

impl Room {
    /// A room with this `jobs.yaml`.
    pub(crate) fn with(jobs: &str) -> Self {
        let room = Self::empty();
        room.write("jobs.yaml", jobs);
        room
    }

    /// The same in some folder, on a disk of its own say.
    pub(crate) fn on(disk: &Path, jobs: &str) -> Self {
        let room = Self(tempfile::tempdir_in(disk).unwrap());
        room.write("jobs.yaml", jobs);
        room
    }

    /// A room without a `jobs.yaml`, here or above.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.join(name), text).unwrap();
    }

    /// A program that the shell runs.
    pub(crate) fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap_or_default()
    }

    /// The program in this room, ready to be run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SETLIST);
        self.furnish(&mut command);
        command.args(args);
        command
    }

    /// Has any program run in this room, for itself alone.
    pub(crate) fn furnish(&self, command: &mut Command) {
        command.current_dir(self.path()).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.join("config")).env("NO_COLOR", "1").env("TZ", "UTC");
        command.env(MARK, self.path());
        for name in ["SETLIST_FILE", "SETLIST_STATE", "SETLIST_STORE"] {
            command.env_remove(name);
        }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(&self.command(args).output().unwrap())
    }

    /// Runs it and expects it to be fine; returns its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(said.code, Some(0), "setlist {args:?}: {said:?}");
        said.out
    }

    /// One job as JSON.
    #[track_caller]
    pub(crate) fn job(&self, name: &str) -> Value {
        serde_json::from_str(&self.ok(&["show", name, "--json"])).unwrap()
    }

    /// The process of the only worker.
    pub(crate) fn worker(&self) -> Pid {
        let signs = fs::read_dir(self.join(".setlist/workers")).unwrap();
        let [sign] =
            signs.map(|sign| fs::read_to_string(sign.unwrap().path()).unwrap()).collect::<Vec<_>>().try_into().unwrap();
        Pid::from_raw(sign.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// The processes that were started in this room and still run.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mark = format!("{MARK}={}", self.path().display());
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let marked = pids.filter_map(|pid: i32| {
            // One that has ended has none.
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let has = |wanted: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted));
            let marked = has(mark.as_bytes());
            // Its environment may have been wiped.
            let is_here = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.path());
            if !marked && !is_here() {
                return None;
            }
            let of_a_job = !marked || has(b"SETLIST_RUN_ID=");
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
            Some(Process { pid: Pid::from_raw(pid)?, of_a_job, command })
        });
        marked.collect()
    }

    /// Waits until a job is as `wanted` says.
    #[track_caller]
    pub(crate) fn until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{name} to be as wanted"), || Some(self.job(name)).filter(&wanted))
    }
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Waits for a condition for which nobody rings, in another process say.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
