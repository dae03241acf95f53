//! What jobs have done, which no record can change.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;

/// A file to which jobs append their number and that of the run.
pub(super) struct Effects {
    folder: TempDir,
    /// Ends of the fifo, so that what was written remains.
    held: Mutex<Vec<File>>,
}

impl Effects {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        assert!(Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap().success());
        Self { folder, held: Mutex::default() }
    }

    /// The command of a job.
    pub(super) fn command(&self) -> String {
        format!("echo \"$SETLIST_JOB_ID $SETLIST_RUN_ID\" >>'{}'", self.path().display())
    }

    /// The command of a job that also waits until [`finish`](Self::finish) is called.
    pub(super) fn long_command(&self) -> String {
        format!("{}; [ -e '{1}' ] || read -r line <'{2}'", self.command(), self.done().display(), self.fifo().display())
    }

    /// Lets all long jobs end, those that wait and later ones.
    pub(super) fn finish(&self) {
        fs::write(self.done(), "").unwrap();
        // Open for reading too, so that it never waits.
        let mut fifo = File::options().read(true).write(true).open(self.fifo()).unwrap();
        fifo.write_all(&b"\n".repeat(100)).unwrap();
        self.held.lock().unwrap().push(fifo);
    }

    fn done(&self) -> PathBuf {
        self.folder.path().join("done")
    }

    fn fifo(&self) -> PathBuf {
        self.folder.path().join("fifo")
    }

    /// The numbers of jobs and runs, in order.
    pub(super) fn read(&self) -> Vec<(u64, u64)> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        let number = |text: &str| text.trim_start_matches('#').parse().unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap()).map(|(job, run)| (number(job), number(run))).collect()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("effects")
    }
}
