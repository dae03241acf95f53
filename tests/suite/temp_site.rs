//! A temporary site: a folder with a `jobs.yaml` in which a test runs the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");

/// The longest that a test waits for something that must happen.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// An environment variable with the site's folder: identifies every process that the program and its jobs start there.
pub(crate) const SITE_ENV: &str = "SETLIST_TEST_SITE";

pub(crate) struct TempSite(TempDir);

/// The output of a command, and its exit code.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A process of a site.
#[derive(Debug)]
pub(crate) struct Process {
    pub pid: Pid,
    /// Whether it is a job or was started by one.
    pub belongs_to_job: bool,
    pub command: String,
}

impl TempSite {
    /// A site with this `jobs.yaml`.
    pub(crate) fn with(jobs: &str) -> Self {
        let site = Self::empty();
        site.write("jobs.yaml", jobs);
        site
    }

    /// Same below this folder, for example on another disk.
    pub(crate) fn on_disk(disk: &Path, jobs: &str) -> Self {
        let site = Self(tempfile::tempdir_in(disk).unwrap());
        site.write("jobs.yaml", jobs);
        site
    }

    /// A folder without a `jobs.yaml`, also in its parents.
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

    /// Registers state that a test has put into `.setlist`, as if it had been made here.
    pub(crate) fn register_state(&self) {
        let dir = setlist::store::StateDir::new(self.join(".setlist"));
        dir.create().unwrap();
        setlist::store::Registry::new(self.join("state-home/setlist/sites")).register(&dir).unwrap();
    }

    /// Writes an executable shell script.
    pub(crate) fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap_or_default()
    }

    /// A command that runs the program in this site.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SETLIST);
        self.set_environment(&mut command);
        command.args(args);
        command
    }

    /// Makes any command run in this site, isolated from the user's settings.
    pub(crate) fn set_environment(&self, command: &mut Command) {
        reset_signals_of_children();
        command.current_dir(self.path()).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.join("config")).env("XDG_STATE_HOME", self.join("state-home"));
        command.env("NO_COLOR", "1").env("TZ", "UTC");
        command.env(SITE_ENV, self.path());
        for name in ["SETLIST_FILE", "SETLIST_STATE", "SETLIST_STORE"] {
            command.env_remove(name);
        }
    }

    pub(crate) fn run(&self, args: &[&str]) -> CommandOutput {
        CommandOutput::from_output(&self.command(args).output().unwrap())
    }

    /// Runs the program and asserts that it succeeds; returns its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, Some(0), "setlist {args:?}: {output:?}");
        output.stdout
    }

    /// A job as JSON.
    #[track_caller]
    pub(crate) fn job(&self, name: &str) -> Value {
        serde_json::from_str(&self.ok(&["show", name, "--json"])).unwrap()
    }

    /// The process id of the only worker.
    pub(crate) fn worker_pid(&self) -> Pid {
        let signs = fs::read_dir(self.join(".setlist/workers")).unwrap();
        let [sign] =
            signs.map(|sign| fs::read_to_string(sign.unwrap().path()).unwrap()).collect::<Vec<_>>().try_into().unwrap();
        Pid::from_raw(sign.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// The running processes that were started in this site.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mark = format!("{SITE_ENV}={}", self.path().display());
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let marked = pids.filter_map(|pid: i32| {
            // A process that has ended has no environment.
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let has = |wanted: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted));
            let marked = has(mark.as_bytes());
            // A process may have cleared its environment.
            let is_here = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.path());
            if !marked && !is_here() {
                return None;
            }
            let of_a_job = !marked || has(b"SETLIST_RUN_ID=");
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
            Some(Process { pid: Pid::from_raw(pid)?, belongs_to_job: of_a_job, command })
        });
        marked.collect()
    }

    /// Waits until a job meets a condition.
    #[track_caller]
    pub(crate) fn wait_until(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{name} to meet the condition"), || Some(self.job(name)).filter(&wanted))
    }
}

impl CommandOutput {
    pub(crate) fn from_output(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// Waits until a process is suspended.
#[track_caller]
pub(crate) fn wait_until_stopped(process: u32) {
    let is_stopped = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
    wait_for("the process to be suspended", || {
        is_stopped(&fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default()).then_some(())
    });
}

/// Lets the processes that tests start begin with the default action for every signal, although `nohup` or the `&` of a
/// script have this one ignore some.
pub(crate) fn reset_signals_of_children() {
    static ISOLATED: Once = Once::new();
    ISOLATED.call_once(setlist::runner::isolate_children);
}

/// Polls until a condition holds, for changes that can't be waited for, such as in another process.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT_TIMEOUT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
