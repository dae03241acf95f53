//! A site whose jobs write a journal of their own, and the checks after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, TempSite, WAIT_TIMEOUT, wait_for};

const QUEUES: &str = "\
queues:
  wide: {parallel: 3, jobs: []}
  narrow: {parallel: 1, jobs: []}
";

/// The script of a job. It appends a line to the journal when it starts and when it ends, and does something short in
/// between.
const JOB: &str = r#"
echo "begun $SETLIST_JOB_ID $SETLIST_RUN_ID" >> book
case $1 in
  short) sleep 0.02 ;;
  long) until [ -e calm ]; do sleep 0.02; done ;;
  noisy) seq 3000 ;;
  # Something that has left the group, and would stay if nobody stopped it.
  far) setsid sleep 1000 > /dev/null 2>&1 & until [ -e calm ]; do sleep 0.02; done; kill $! ;;
  bare) env -i "PATH=$PATH" setsid sleep 1000 > /dev/null 2>&1 & until [ -e calm ]; do sleep 0.02; done; kill $! ;;
  wrong) exit 3 ;;
esac
echo "ended $SETLIST_JOB_ID $SETLIST_RUN_ID" >> book
"#;

/// The kinds of jobs.
pub(super) const KINDS: [&str; 8] = ["quick", "quick", "short", "long", "noisy", "far", "bare", "wrong"];

/// A site with such jobs, and what was acknowledged.
pub(super) struct CrashSite {
    pub(super) site: TempSite,
    /// Acknowledged jobs.
    added: BTreeSet<u64>,
    /// The number of jobs in each batch that may have been added, by its tag.
    batches: BTreeMap<String, usize>,
    /// Jobs that were reported as succeeded.
    reported: BTreeSet<u64>,
    /// The attempt at which jobs succeeded.
    succeeded: BTreeMap<u64, u64>,
    /// The last attempt of each job whose runs have been checked.
    reviewed: BTreeMap<u64, u64>,
    /// Jobs that may have been cancelled.
    cancelled: BTreeSet<u64>,
}

impl CrashSite {
    pub(super) fn new() -> Self {
        let site = TempSite::with(QUEUES);
        site.write("job.sh", JOB);
        site.ok(&["status"]);
        Self {
            site,
            added: BTreeSet::new(),
            batches: BTreeMap::new(),
            reported: BTreeSet::new(),
            succeeded: BTreeMap::new(),
            reviewed: BTreeMap::new(),
            cancelled: BTreeSet::new(),
        }
    }

    /// Starts the program, to be killed at the point `towards` unless that is empty.
    pub(super) fn start(&self, towards: &str, args: &[&str]) -> Child {
        let mut command = self.site.command(args);
        command.env("SETLIST_CRASH", towards).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts to add jobs of these kinds in one transaction. `options` are options of `setlist add`.
    pub(super) fn start_adding(&mut self, towards: &str, queue: &str, kinds: &[&str], options: &[&str]) -> Child {
        let tag = self.batch(kinds.len());
        let args = [&["add", queue, "--stdin", "--tag", &tag], options].concat();
        let mut command = self.site.command(&args);
        command.env("SETLIST_CRASH", towards).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines: Vec<String> = kinds.iter().map(|kind| format!("sh ./job.sh {kind}\n")).collect();
        child.stdin.take().unwrap().write_all(lines.concat().as_bytes()).unwrap();
        child
    }

    /// The tag of a new batch of `count` jobs.
    pub(super) fn batch(&mut self, count: usize) -> String {
        let tag = format!("batch{}", self.batches.len());
        self.batches.insert(tag.clone(), count);
        tag
    }

    /// Adds jobs of these kinds; returns their numbers.
    pub(super) fn add(&mut self, queue: &str, kinds: &[&str]) -> Vec<u64> {
        let child = self.start_adding("", queue, kinds, &[]);
        let output = self.wait_and_record(child);
        assert_eq!(output.code, Some(0), "{output:?}");
        job_numbers(&output)
    }

    /// Starts to cancel a job.
    pub(super) fn start_cancelling(&mut self, job: u64) -> Child {
        self.cancelled.insert(job);
        self.start("", &["cancel", &job.to_string()])
    }

    /// Waits until the program has ended or was killed, and records what it has acknowledged.
    pub(super) fn wait_and_record(&mut self, child: Child) -> CommandOutput {
        let output = wait_with_output(child);
        for line in complete_lines(&output.stdout) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [number] => self.added.extend(parse(number)),
                [path, "succeeded", ..] => self.reported.extend(path.rsplit('/').next().and_then(parse)),
                _ => {}
            }
        }
        output
    }

    /// All jobs by number.
    pub(super) fn jobs(&mut self) -> BTreeMap<u64, Value> {
        let child = self.start("", &["list", "--json"]);
        let output = wait_with_output(child);
        assert_eq!(output.code, Some(0), "{output:?}");
        let jobs = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        jobs.map(|job| (job["id"].as_u64().unwrap(), job)).collect()
    }

    /// Kills all workers of the site, but no jobs; returns how many there were.
    pub(super) fn kill_workers(&self) -> usize {
        let mut killed = BTreeSet::new();
        wait_for("the end of all workers", || {
            let workers: Vec<_> = self.site.processes().into_iter().filter(|process| !process.belongs_to_job).collect();
            for worker in &workers {
                // It may have ended by itself.
                if kill_process(worker.pid, Signal::KILL).is_ok() {
                    killed.insert(worker.pid.as_raw_pid());
                }
            }
            workers.is_empty().then_some(())
        });
        killed.len()
    }

    /// Checks a site without workers.
    #[track_caller]
    pub(super) fn check(&mut self) {
        // The kernel takes a moment to end all threads of a process.
        let jobs = wait_for("the death of all workers to be noticed", || {
            Some(self.jobs()).filter(|jobs| jobs.values().all(|job| job["state"] != json!("running")))
        });
        let left_over = self.site.processes();
        assert!(left_over.is_empty(), "left over: {left_over:?}");

        for id in &self.added {
            assert!(jobs.contains_key(id), "#{id} was acknowledged and is gone");
        }
        for (tag, count) in &self.batches {
            let found = jobs.values().filter(|job| job["tags"] == json!([tag])).count();
            assert!(found == 0 || found == *count, "{found} of {count} jobs of {tag} are there");
        }
        for id in &self.reported {
            assert_eq!(jobs[id]["outcome"], json!("succeeded"), "#{id} has succeeded, it was printed");
        }
        self.compare_with_journal(&jobs);
        for (id, job) in &jobs {
            if job["outcome"] == json!("succeeded") {
                let attempt = job["run_count"].as_u64().unwrap();
                let known = *self.succeeded.entry(*id).or_insert(attempt);
                assert_eq!(known, attempt, "#{id} had succeeded and ran again");
            } else {
                assert!(!self.succeeded.contains_key(id), "#{id} had succeeded, and now has {job}");
            }
        }
    }

    /// Compares the jobs with their journal.
    fn compare_with_journal(&self, jobs: &BTreeMap<u64, Value>) {
        let book = self.site.read("book");
        let mut seen = BTreeSet::new();
        for line in book.lines() {
            assert!(seen.insert(line), "twice in the book: {line}");
            let [_, id, run] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let (id, run): (u64, u64) = (id.parse().unwrap(), run.parse().unwrap());
            let known = jobs.get(&id).and_then(|job| job["run_id"].as_u64()).unwrap_or(0);
            assert!(run <= known, "#{id} began its run {run}, and the last that is known is {known}");
        }
        for (id, job) in jobs {
            let line = |word: &str| format!("{word} {id} {}", job["run_id"]);
            let (begun, ended) = (seen.contains(&*line("begun")), seen.contains(&*line("ended")));
            let wrong = job["command"].as_str().unwrap().ends_with("wrong");
            match job["outcome"].as_str() {
                Some("succeeded") => assert!(begun && ended, "not in the book: {job}"),
                Some("failed") => assert!(begun && wrong && job["exit_code"] == json!(3), "{job}"),
                Some("cancelled") => assert!(self.cancelled.contains(id), "nobody cancelled this: {job}"),
                Some("interrupted") => self.check_runs(*id),
                Some(_) => panic!("{job}"),
                None => assert_eq!(job["state"], json!("pending")),
            }
        }
    }

    /// Every run has ended with an outcome, and at most the last one has succeeded.
    fn check_runs(&self, id: u64) {
        let job = self.site.job(&id.to_string());
        let runs: Vec<&str> =
            job["runs"].as_array().unwrap().iter().map(|run| run["outcome"].as_str().unwrap()).collect();
        assert_eq!(Some(runs.len() as u64), job["run_count"].as_u64(), "{job}");
        assert_eq!(runs.last().copied(), job["outcome"].as_str(), "{job}");
        assert!(!runs[..runs.len() - 1].contains(&"succeeded"), "{job}");
    }

    /// Runs everything to its end, interrupted jobs once more, and checks the result.
    #[track_caller]
    pub(super) fn drain(&mut self) {
        self.site.write("calm", "");
        let interrupted = self.jobs().into_iter().filter(|(_, job)| job["outcome"] == json!("interrupted"));
        let interrupted: Vec<String> = interrupted.map(|(id, _)| id.to_string()).collect();
        if !interrupted.is_empty() {
            let output = self.site.run(&[vec!["retry"], interrupted.iter().map(String::as_str).collect()].concat());
            assert_eq!(output.code, Some(0), "{output:?}");
        }
        let process = self.start("", &["process", "--resume"]);
        let output = self.wait_and_record(process);
        assert!(matches!(output.code, Some(0 | 1)), "{output:?}");
        // A spawned worker exits when nothing is left to do.
        wait_for("the last worker to leave", || self.site.processes().is_empty().then_some(()));
        let jobs = self.jobs();
        for (id, job) in &jobs {
            let fine = ["succeeded", "failed", "cancelled"].map(|outcome| json!(outcome)).contains(&job["outcome"]);
            assert!(fine, "#{id} should have been run: {job}");
        }
        self.check();
        for (id, job) in jobs {
            let attempts = job["run_count"].as_u64().unwrap();
            if attempts > 1 && self.reviewed.insert(id, attempts) != Some(attempts) {
                self.check_runs(id);
            }
        }
        fs::remove_file(self.site.join("calm")).unwrap();
    }
}

impl Drop for CrashSite {
    fn drop(&mut self) {
        for process in self.site.processes() {
            let _ = kill_process(process.pid, Signal::KILL);
        }
    }
}

/// Waits until the program has ended or was killed.
#[track_caller]
pub(super) fn wait_with_output(child: Child) -> CommandOutput {
    let pid = child.id();
    let (sender, output) = channel();
    thread::spawn(move || drop(sender.send(child.wait_with_output())));
    let output = output.recv_timeout(WAIT_TIMEOUT).unwrap_or_else(|_| panic!("process {pid} does not end"));
    CommandOutput::from_output(&output.unwrap())
}

/// The numbers printed by `setlist add`.
pub(super) fn job_numbers(output: &CommandOutput) -> Vec<u64> {
    complete_lines(&output.stdout).filter_map(parse).collect()
}

/// A line that was cut off by a kill acknowledges nothing.
fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

fn parse(number: &str) -> Option<u64> {
    number.strip_prefix('#')?.parse().ok()
}
