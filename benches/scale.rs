//! Sites of a million jobs and of hundreds of thousands of runs: lists, small outputs, retention, and many readers.
//!
//! `cargo bench --bench scale`, or a part: `-- list`, `-- P9`, `-- outputs`, `-- retention`, `-- readers`. Each part fills
//! sites through the library, and then measures the program. Those of `list` and `P9` are kept for the next time.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use kept_site::{LINE, kept_site, run, setlist};
use screen_process::ScreenProcess;
use setlist::model::{Command, DesiredQueue, DesiredState, QueueId, QueueSettings, Retention};
use setlist::store::{StateDir, Store};
use tempfile::TempDir;

#[path = "support/kept_site.rs"]
mod kept_site;
#[path = "support/screen_process.rs"]
mod screen_process;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

type Part = fn() -> Result;

/// list: how many jobs the sites have.
const LISTED_JOBS: [usize; 3] = [1_000, 100_000, 1_000_000];
/// P9: jobs, how often each has run on the long site, and rounds.
const KEPT_JOBS: usize = 2_000;
const RUNS_PER_KEPT_JOB: usize = 100;
const ROUNDS: usize = 15;
/// outputs: runs that print a line.
const PRINTING_RUNS: usize = 200_000;
/// retention: jobs, and how often each has run.
const RERUN_JOBS: usize = 1_000;
const RUNS_PER_JOB: usize = 100;
/// readers: commands that run at once, and how many jobs are added beside them.
const READERS: usize = 50;
const ADDED_JOBS: usize = 50;

fn main() -> Result {
    let selected: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, Part); 5] =
        [("list", list), ("P9", kept_runs), ("outputs", outputs), ("retention", retention), ("readers", readers)];
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
        let site = kept_site(jobs, 0)?;
        let started = Instant::now();
        let mut child = setlist(&site, &["list", "--json"]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        child.wait()?;
        let first = started.elapsed();
        let (json, memory) = measured(&mut setlist(&site, &["list", "--json"]))?;
        let (text, _) = measured(&mut setlist(&site, &["list"]))?;
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

fn kept_runs() -> Result {
    println!("P9  jobs that have run often, and once; medians of {ROUNDS} rounds");
    let sites = [kept_site(KEPT_JOBS, 1)?, kept_site(KEPT_JOBS, RUNS_PER_KEPT_JOB)?];
    let mut times: [[Vec<Duration>; 3]; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (times, site) in times.iter_mut().zip(&sites) {
            times[0].push(timed(|| run(&mut setlist(site, &["status"])))?);
            times[1].push(timed(|| run(&mut setlist(site, &["list"])))?);
            times[2].push(ScreenProcess::open(site)?.first_frame);
        }
    }
    let medians = times.map(|times| times.map(median));
    for (nth, name) in ["status", "list", "first frame"].into_iter().enumerate() {
        let [few, many] = [medians[0][nth], medians[1][nth]];
        println!(
            "    {name:<12} {:>6.1} ms with {KEPT_JOBS} runs, {:>6.1} ms with {}: {:.2} times   (at most 1.5)",
            millis(few),
            millis(many),
            KEPT_JOBS * RUNS_PER_KEPT_JOB,
            ratio(many, few)
        );
    }
    Ok(())
}

fn outputs() -> Result {
    let mut sizes = Vec::new();
    for printed in ["", LINE] {
        let site = Site::new()?;
        kept_site::add_jobs(site.path(), PRINTING_RUNS)?;
        kept_site::run_all(site.path(), printed)?;
        kept_site::checkpoint(site.path())?;
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
    kept_site::add_jobs(site.path(), RERUN_JOBS)?;
    for _ in 0..RUNS_PER_JOB {
        kept_site::run_all(site.path(), LINE)?;
    }
    kept_site::checkpoint(site.path())?;
    let before = disk_usage(&site.state())?;
    let mut store = kept_site::open(site.path())?;
    keep(store.as_mut(), Retention { max_runs: Some(1), ..Retention::default() })?;
    let is_over = AtomicBool::new(false);
    let (pruned, took, mut waits) = thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| -> Vec<Duration> {
            let Ok(mut store) = kept_site::open(site.path()) else { return Vec::new() };
            let mut waits = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let started = Instant::now();
                let add = Command::Add { queue: "other".into(), jobs: vec![kept_site::definition()] };
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
    kept_site::checkpoint(site.path())?;
    waits.sort();
    println!("retention: {} runs deleted while another process adds jobs", pruned.runs);
    println!(
        "    {:>8.0} runs a second   (at least 10,000)",
        f64::from(u32::try_from(pruned.runs)?) / took.as_secs_f64()
    );
    println!("    writers are kept waiting for {:.1} ms at most   (at most 20)", millis(pruned.longest_hold));
    println!(
        "    a writer takes {:.1} ms (median), {:.1} ms (p99), {:.1} ms at most, with the disk and the processors",
        waits.get(waits.len() / 2).map_or(0.0, |wait| millis(*wait)),
        waits.get(waits.len() * 99 / 100).map_or(0.0, |wait| millis(*wait)),
        waits.last().map_or(0.0, |wait| millis(*wait))
    );
    println!("    {:.1} MiB on disk before, {:.1} MiB after", mebibytes(before), mebibytes(disk_usage(&site.state())?));
    Ok(())
}

fn readers() -> Result {
    let site = Site::new()?;
    kept_site::add_jobs(site.path(), 1_000)?;
    let add = || run(&mut setlist(site.path(), &["add", "q", "--", "true"]));
    let page = format!("of={}", site.path().join("page").display());
    let write = || run(Program::new("dd").args(["if=/dev/zero", &page, "bs=4096", "count=1", "conv=fsync"]));
    let status = |_: &AtomicBool| run(&mut setlist(site.path(), &["status"]));
    let status_twice_a_second = |is_over: &AtomicBool| {
        thread::sleep(Duration::from_millis(if is_over.load(Ordering::Relaxed) { 0 } else { 500 }));
        run(&mut setlist(site.path(), &["status"]))
    };
    let spin = |is_over: &AtomicBool| {
        let mut child = Program::new("sh").args(["-c", "while :; do :; done"]).spawn()?;
        while !is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        child.kill()?;
        child.wait().map(drop).map_err(Into::into)
    };
    println!("readers: `setlist add`, and `dd` that writes a page durably, beside {READERS} loops; medians");
    let alone = (median_of(&add)?, median_of(&write)?);
    println!("    alone                            {:>7.1} ms   dd {:>6.1} ms", millis(alone.0), millis(alone.1));
    let loops: [(&str, &str, &Loop<'_>); 3] = [
        ("`status` twice a second", "   (at most 2)", &status_twice_a_second),
        ("`status` without a pause", "   (the processors are busy: compare with dd)", &status),
        ("a shell that counts (no reader)", "", &spin),
    ];
    for (name, bar, repeat) in loops {
        let (add, write) = (beside(repeat, &add)?, beside(repeat, &write)?);
        println!(
            "    {name:<32} {:>7.1} ms, {:>4.1} times   dd {:>6.1} ms, {:>4.1} times{bar}",
            millis(add),
            ratio(add, alone.0),
            millis(write),
            ratio(write, alone.1)
        );
    }
    Ok(())
}

/// What a reader does again and again, until it is over.
type Loop<'a> = dyn Fn(&AtomicBool) -> Result + Sync + 'a;

/// The median time of some work beside readers.
fn beside(repeat: &Loop<'_>, work: &dyn Fn() -> Result) -> Result<Duration> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if repeat(&is_over).is_err() {
                        break;
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(500));
        let result = median_of(work);
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

fn median_of(work: &dyn Fn() -> Result) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..ADDED_JOBS {
        times.push(timed(work)?);
    }
    Ok(median(times))
}

fn timed(work: impl FnOnce() -> Result) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A site of a bench, in a folder that is removed in the end.
struct Site(TempDir);

impl Site {
    fn new() -> Result<Self> {
        let site = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?);
        kept_site::create_site(site.path())?;
        Ok(site)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn state(&self) -> StateDir {
        kept_site::state(self.path())
    }
}

/// Changes the retention of the queue.
fn keep(store: &mut dyn Store, retention: Retention) -> Result {
    let settings = QueueSettings { retention, ..QueueSettings::default() };
    let queues = vec![DesiredQueue { id: QueueId::from("kept"), settings, jobs: Vec::new() }];
    let desired = DesiredState { version: "keep".to_owned(), queues, ..DesiredState::default() };
    store.execute(&[Command::Reconcile(Box::new(desired))], Utc::now())?.remove(0)?;
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
