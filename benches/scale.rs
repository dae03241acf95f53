//! Sites of a million jobs and of hundreds of thousands of runs: lists, small outputs, retention, and many readers.
//!
//! `cargo bench --bench scale`, or a part: `-- list`, `-- outputs`, `-- retention`, `-- readers`. Each part fills a site of its
//! own through the library, and then measures the program.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, JobId, Outcome, QueueId, QueueSettings, Retention, RunId,
    RunReport, Script, Stream, WorkerId, WorkerOptions,
};
use setlist::store::{SqliteStore, StateDir, Store};
use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

type Part = fn() -> Result;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
/// list: the jobs of the short and of the long site.
const LISTED_JOBS: [usize; 2] = [1_000, 1_000_000];
/// outputs: runs that print a line, and what each prints.
const PRINTING_RUNS: usize = 200_000;
const LINE: &str =
    "copied 1,204 files (3.1 GiB) from /srv/photos/2026/11 to backup:/photos in 12.4 s, 0 errors, 17 skipped\n";
/// retention: jobs, and how often each has run.
const RERUN_JOBS: usize = 1_000;
const RUNS_PER_JOB: usize = 100;
/// readers: commands that run at once, and how many jobs are added beside them.
const READERS: usize = 50;
const ADDED_JOBS: usize = 50;
/// How many jobs or runs are written in a transaction.
const BATCH: usize = 2_000;

fn main() -> Result {
    let selected: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, Part); 4] =
        [("list", list), ("outputs", outputs), ("retention", retention), ("readers", readers)];
    for (name, part) in parts {
        if selected.is_empty() || selected.iter().any(|selected| selected == name) {
            part()?;
        }
    }
    Ok(())
}

fn list() -> Result {
    println!("list: the first line of `list --json`, and all of it");
    for jobs in LISTED_JOBS {
        let site = Site::new()?;
        site.add(jobs)?;
        let started = Instant::now();
        let mut child = site.program(&["list", "--json"]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        child.wait()?;
        let first = started.elapsed();
        let (json, memory) = measured(&mut site.program(&["list", "--json"]))?;
        let (text, _) = measured(&mut site.program(&["list"]))?;
        println!(
            "    {jobs:>9} jobs: first {:>6.1} ms, all {:>8.1} ms, as text {:>8.1} ms, memory {:>6.1} MiB",
            millis(first),
            millis(json),
            millis(text),
            memory / 1024.0
        );
    }
    Ok(())
}

fn outputs() -> Result {
    let mut sizes = Vec::new();
    for printed in ["", LINE] {
        let site = Site::new()?;
        site.add(PRINTING_RUNS)?;
        site.run_all(printed)?;
        site.checkpoint()?;
        sizes.push(disk_usage(&site.state())?);
    }
    let (silent, printing) = (sizes[0], sizes[1]);
    let content = (PRINTING_RUNS * LINE.len()) as u64;
    let limit = content + 200 * PRINTING_RUNS as u64;
    println!("outputs: {PRINTING_RUNS} runs that print a line of {} bytes", LINE.len());
    println!("    without output     {:>8.1} MiB on disk", mebibytes(silent));
    println!("    with output        {:>8.1} MiB on disk", mebibytes(printing));
    println!("    for output         {:>8.1} MiB", mebibytes(printing - silent));
    println!("    content            {:>8.1} MiB   (with 200 bytes a run {:.1})", mebibytes(content), mebibytes(limit));
    Ok(())
}

fn retention() -> Result {
    let site = Site::new()?;
    site.add(RERUN_JOBS)?;
    for _ in 0..RUNS_PER_JOB {
        site.run_all(LINE)?;
    }
    site.checkpoint()?;
    let before = disk_usage(&site.state())?;
    let mut store = site.open()?;
    Site::keep(store.as_mut(), Retention { max_runs: Some(1), ..Retention::default() })?;
    let is_over = AtomicBool::new(false);
    let (pruned, took, mut waits) = thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| -> Vec<Duration> {
            let Ok(mut store) = site.open() else { return Vec::new() };
            let mut waits = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let started = Instant::now();
                let add = Command::Add { queue: "other".into(), jobs: vec![definition()] };
                if store.execute(&[add], Utc::now()).is_ok() {
                    waits.push(started.elapsed());
                }
                thread::sleep(Duration::from_millis(2));
            }
            waits
        });
        let started = Instant::now();
        let pruned = store.prune(Utc::now() + TimeDelta::seconds(1));
        let took = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        Ok((pruned?, took, writer.join().unwrap_or_default()))
    })?;
    drop(store);
    site.checkpoint()?;
    waits.sort();
    println!("retention: {} runs deleted while another process adds jobs", pruned.runs);
    println!(
        "    {:>8.0} runs a second   (at least 10,000)",
        f64::from(u32::try_from(pruned.runs)?) / took.as_secs_f64()
    );
    println!(
        "    a writer takes {:.1} ms (median), {:.1} ms at most   (held by retention at most 20)",
        waits.get(waits.len() / 2).map_or(0.0, |wait| millis(*wait)),
        waits.last().map_or(0.0, |wait| millis(*wait))
    );
    println!("    {:.1} MiB on disk before, {:.1} MiB after", mebibytes(before), mebibytes(disk_usage(&site.state())?));
    Ok(())
}

fn readers() -> Result {
    let site = Site::new()?;
    site.add(1_000)?;
    let add_all = || -> Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..ADDED_JOBS {
            let started = Instant::now();
            run(&mut site.program(&["add", "q", "--", "true"]))?;
            times.push(started.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2])
    };
    // Beside commands that run again and again, one in each loop.
    let beside = |args: &'static [&str]| -> Result<Duration> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        if run(&mut site.program(args)).is_err() {
                            break;
                        }
                    }
                });
            }
            let result = add_all();
            is_over.store(true, Ordering::Relaxed);
            result
        })
    };
    let (alone, beside, busy) = (add_all()?, beside(&["status"])?, beside(&["--version"])?);
    println!("readers: `add` alone and beside {READERS} loops, median");
    println!("    alone                    {:>7.1} ms", millis(alone));
    println!(
        "    beside `status`          {:>7.1} ms   ({:.1} times; at most 2)",
        millis(beside),
        ratio(beside, alone)
    );
    println!("    beside `--version`       {:>7.1} ms   (no reader: what the processors allow)", millis(busy));
    Ok(())
}

/// A site of a bench, in a folder that is removed in the end.
struct Site(TempDir);

impl Site {
    fn new() -> Result<Self> {
        let site = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?);
        fs::write(site.0.path().join("jobs.yaml"), "queues: {q: {parallel: 4000, jobs: []}}\n")?;
        run(&mut site.program(&["status"]))?;
        Ok(site)
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.0.path().join(".setlist"))
    }

    fn open(&self) -> Result<Box<dyn Store>> {
        Ok(Box::new(SqliteStore::open(&self.state())?))
    }

    fn program(&self, args: &[&str]) -> Program {
        let mut command = Program::new(SETLIST);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn add(&self, count: usize) -> Result {
        let mut store = self.open()?;
        for from in (0..count).step_by(BATCH * 5) {
            let jobs = (from..count.min(from + BATCH * 5)).map(|_| definition()).collect();
            store.execute(&[Command::Add { queue: "q".into(), jobs }], Utc::now())?.remove(0)?;
        }
        Ok(())
    }

    /// Runs all jobs once, as a worker records it; each prints this.
    fn run_all(&self, printed: &str) -> Result {
        let mut store = self.open()?;
        let worker = join(store.as_mut())?;
        let ids: Vec<JobId> = store
            .load()?
            .queue(&"q".into())
            .map_or_else(Vec::new, |queue| queue.pending.iter().chain(&queue.finished).copied().collect());
        for ids in ids.chunks(BATCH) {
            let requests = ids.iter().map(|id| Command::Run { job: *id, force: false });
            let claims = ids.iter().map(|_| Command::Claim { worker, queues: None });
            let commands: Vec<Command> = requests.chain(claims).collect();
            let mut ends = Vec::new();
            for result in store.execute(&commands, Utc::now())? {
                for event in result? {
                    if let Event::Started { job, run, .. } = event {
                        print(store.as_ref(), run.id, printed)?;
                        let report = RunReport::new(Outcome::Succeeded);
                        ends.push(Command::EndRun { job, run: run.id, report, on_failure: None });
                    }
                }
            }
            for result in store.execute(&ends, Utc::now())? {
                result?;
            }
        }
        store.execute(&[Command::Leave { worker, queues: None }], Utc::now())?.remove(0)?;
        Ok(())
    }

    /// Changes the retention of the queue.
    fn keep(store: &mut dyn Store, retention: Retention) -> Result {
        let settings = QueueSettings { retention, ..QueueSettings::default() };
        let queues = vec![DesiredQueue { id: QueueId::from("q"), settings, jobs: Vec::new() }];
        let desired = DesiredState { version: "keep".to_owned(), queues, ..DesiredState::default() };
        store.execute(&[Command::Reconcile(Box::new(desired))], Utc::now())?.remove(0)?;
        Ok(())
    }

    fn checkpoint(&self) -> Result {
        let db = rusqlite::Connection::open(self.state().database())?;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        run(&mut Program::new("sync"))
    }
}

fn definition() -> Arc<Definition> {
    Arc::new(Definition::new(Script::shell("true")))
}

fn join(store: &mut dyn Store) -> Result<WorkerId> {
    let join = Command::Join { host: "bench".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    match store.execute(&[join], Utc::now())?.remove(0)?.first() {
        Some(Event::WorkerJoined { worker }) => Ok(worker.id),
        _ => Err("no worker".into()),
    }
}

fn print(store: &dyn Store, run: RunId, printed: &str) -> Result {
    if !printed.is_empty() {
        let mut log = store.log_writer(run, 1 << 20);
        log.write(Stream::Out, printed.as_bytes(), Utc::now())?;
        log.finish()?;
    }
    Ok(())
}

/// Runs a program to its end; returns the time and its peak memory in KiB.
fn measured(command: &mut Program) -> Result<(Duration, f64)> {
    let started = Instant::now();
    let mut child = command.spawn()?;
    let (path, mut peak) = (format!("/proc/{}/status", child.id()), 0.0_f64);
    while child.try_wait()?.is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default());
        thread::sleep(Duration::from_millis(2));
    }
    Ok((started.elapsed(), peak))
}

/// The disk space of a state folder in bytes, as `du` counts it.
fn disk_usage(state: &StateDir) -> Result<u64> {
    fn add(path: &Path) -> Result<u64> {
        let metadata = fs::symlink_metadata(path)?;
        let mut sum = metadata.blocks() * 512;
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                sum += add(&entry?.path())?;
            }
        }
        Ok(sum)
    }
    add(state.path())
}

fn run(command: &mut Program) -> Result {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

fn millis(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}

fn ratio(time: Duration, other: Duration) -> f64 {
    time.as_secs_f64() / other.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "sizes of disks are printed with a digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
