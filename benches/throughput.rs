//! P1, P2, P7 and P10: time per durable job against `xargs`, which records nothing, and against bare spawning; in a long
//! queue against a short one; a job that prints 1 GiB; and jobs that compute for a while. Other job queues are measured where they are installed.
//!
//! `cargo bench --bench throughput`, or a part: `cargo bench --bench throughput -- P7`. Every round measures all variants
//! one after the other; medians are compared.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kept_site::kept_site;
use tempfile::TempDir;

#[path = "support/kept_site.rs"]
mod kept_site;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

type Benchmark = fn() -> Result;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
const ROUNDS: usize = 5;
/// P1: jobs of Setlist, `xargs` and bare spawning.
const JOBS: u32 = 3_000;
/// P1: jobs of other tools, which are slower.
const OTHER_TOOL_JOBS: u32 = 300;
/// P2: jobs that are processed.
const PROCESSED_JOBS: u32 = 1_000;
/// P2: all jobs of the short and of the long site.
const SITE_JOBS: [u32; 3] = [1_000, 100_000, KEPT_JOBS];
/// P2, P10: the jobs of a site that is kept for the next time.
const KEPT_JOBS: u32 = 1_000_000;
/// P10: jobs that compute, and the rounds.
const BUSY_JOBS: u32 = 400;
const BUSY_ROUNDS: usize = 3;
/// P10: counts to `n`. Not a shell, which counts slower the more variables its environment has.
const COUNT: &str = "BEGIN { for (i = 0; i < n; i++); }";
/// P7: bytes that the job prints.
const PRINTED_BYTES: u64 = 1 << 30;

fn main() -> Result {
    let selected: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let benchmarks: [(&str, Benchmark); 4] =
        [("P1", time_per_job), ("P2", time_per_job_in_a_long_queue), ("P7", large_output), ("P10", busy_jobs)];
    for (name, benchmark) in benchmarks {
        if selected.is_empty() || selected.iter().any(|selected| selected == name) {
            benchmark()?;
        }
    }
    Ok(())
}

fn time_per_job() -> Result {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let folder = site(JOBS, 0)?;
        times[0].push(timed(|| run(setlist(folder.path()).args(["process", "--quiet"])))?);
        times[1].push(timed(|| run(&mut sh(&format!("seq {JOBS} | xargs -P2 -n1 true"))))?);
        times[2].push(timed(spawn_and_wait)?);
    }
    let [setlist, xargs, spawn] = times.map(median);
    println!("P1  {JOBS} jobs of `true`, 2 at once, median of {ROUNDS} rounds");
    for (name, time) in [("setlist, durable", setlist), ("xargs -P2 -n1", xargs), ("bare spawn and wait", spawn)] {
        println!("    {name:<20} {:>7.3} ms a job", milliseconds(time) / f64::from(JOBS));
    }
    other_tools()?;
    println!("    rate against xargs   {:>7.2}   (at least 0.9)", xargs.as_secs_f64() / setlist.as_secs_f64());
    println!("    bare against xargs   {:>7.2}   (upper bound)", xargs.as_secs_f64() / spawn.as_secs_f64());
    println!("    rate against bare    {:>7.2}", spawn.as_secs_f64() / setlist.as_secs_f64());
    Ok(())
}

/// The same jobs with other tools.
fn other_tools() -> Result {
    let scripts = [
        ("GNU parallel", "parallel", format!("seq {OTHER_TOOL_JOBS} | parallel --will-cite -j2 true")),
        (
            "task-spooler",
            "tsp",
            format!("tsp -S 2; for i in $(seq {OTHER_TOOL_JOBS}); do tsp -n true; done; tsp -w; tsp -K"),
        ),
        (
            "pueue",
            "pueue",
            format!(
                "pueued -d; pueue parallel 2; for i in $(seq {OTHER_TOOL_JOBS}); do pueue add -- true; done; \
                 pueue wait; pueue shutdown"
            ),
        ),
    ];
    for (name, program, script) in scripts {
        if !sh(&format!("command -v {program}")).stdout(Stdio::null()).status()?.success() {
            println!("    {name:<20} skipped: not installed");
            continue;
        }
        // Their state goes into a temporary folder.
        let home = tempfile::tempdir()?;
        let time =
            timed(|| run(sh(&script).env("HOME", home.path()).env("TMPDIR", home.path()).stderr(Stdio::null())))?;
        println!("    {name:<20} {:>7.3} ms a job", milliseconds(time) / f64::from(OTHER_TOOL_JOBS));
    }
    Ok(())
}

fn time_per_job_in_a_long_queue() -> Result {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let longest = copy_of_kept_site()?;
    for round in 0..ROUNDS {
        for (times, jobs) in times.iter_mut().zip(SITE_JOBS) {
            if jobs == KEPT_JOBS {
                write_and_reconcile(longest.path(), &list_of_jobs(&format!("round-{round}-"), PROCESSED_JOBS, 0)?)?;
                times.push(first_to_last(longest.path())?);
            } else {
                let folder = site(PROCESSED_JOBS, jobs - PROCESSED_JOBS)?;
                times.push(first_to_last(folder.path())?);
            }
        }
    }
    let times = times.map(median);
    println!(
        "P2  {PROCESSED_JOBS} jobs of `true`, 2 at once, from the first end to the last, median of {ROUNDS} rounds"
    );
    for (jobs, time) in SITE_JOBS.into_iter().zip(times) {
        println!("    {jobs:>7} in the site  {:>7.3} ms a job", milliseconds(time) / f64::from(PROCESSED_JOBS - 1));
    }
    let [short, long, longest] = times.map(|time| time.as_secs_f64());
    println!("    ratio to the short  {:>8.2}, {:.2}   (at most 1.25, 1.5)", long / short, longest / short);
    Ok(())
}

/// A copy of a site with very many jobs in a queue that is not processed.
fn copy_of_kept_site() -> Result<TempDir> {
    let kept = kept_site(KEPT_JOBS as usize, 0)?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let copy = format!("cp -R '{}/.' '{}'", kept.display(), folder.path().display());
    run(&mut sh(&copy))?;
    kept_site::run(setlist(folder.path()).args(["adopt", "--yes"]))?;
    Ok(folder)
}

/// Processes queue `q`; returns the time from the first line about a job to the last.
fn first_to_last(folder: &Path) -> Result<Duration> {
    let mut child = setlist(folder).args(["process", "q"]).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let (mut first, mut last) = (None, Instant::now());
    for line in BufReader::new(output).lines() {
        if line?.starts_with("q/") {
            last = Instant::now();
            first = first.or(Some(last));
        }
    }
    child.wait()?;
    Ok(last - first.ok_or("no job ended")?)
}

fn large_output() -> Result {
    let print = format!("yes a line such as a job prints | head -c {PRINTED_BYTES}");
    let (mut times, mut memory, mut on_disk) = ([Vec::new(), Vec::new()], 0, 0.0_f64);
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        write_and_reconcile(
            folder.path(),
            &format!("queues:\n  q:\n    jobs:\n      - {{id: chatty, run: {print}}}\n"),
        )?;
        let start = Instant::now();
        memory = memory.max(peak_memory(setlist(folder.path()).args(["process", "--quiet"]))?);
        times[0].push(start.elapsed());
        times[1].push(timed(|| run(&mut sh(&format!("{{ {print}; }} | cat"))))?);
        on_disk = on_disk.max(disk_usage(&folder.path().join(".setlist/logs"))?);
    }
    let [setlist, cat] = times.map(median);
    println!("P7  a job that prints 1 GiB, median of {ROUNDS} rounds");
    for (name, time) in [("setlist, kept", setlist), ("| cat >/dev/null", cat)] {
        println!("    {name:<20} {:>7.0} MiB a second", 1024.0 / time.as_secs_f64());
    }
    println!("    rate against cat     {:>7.2}   (at least 0.8)", cat.as_secs_f64() / setlist.as_secs_f64());
    println!("    memory of the worker {:>7.1} MiB   (at most 20)", f64::from(memory) / 1024.0);
    println!("    its log on disk      {on_disk:>7.2} MiB   (at most 16, its limit)");
    Ok(())
}

fn busy_jobs() -> Result {
    // How far it counts in 50 to 300 ms here.
    let time_of_ten_million = timed(|| run(&mut count_to(10_000_000)))?.as_micros();
    let count = |nth: u32| u128::from(50 + nth * 97 % 251) * 10_000_000_000 / time_of_ten_million;
    let counts: Vec<u128> = (0..BUSY_JOBS).map(count).collect();
    let list: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let mut file = "queues:\n  q:\n    parallel: 2\n    jobs:\n".to_owned();
    for (nth, count) in counts.iter().enumerate() {
        writeln!(file, "      - {{id: j{nth}, command: [awk, -v, n={count}, '{COUNT}']}}")?;
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..BUSY_ROUNDS {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        write_and_reconcile(folder.path(), &file)?;
        times[0].push(timed(|| run(setlist(folder.path()).args(["process", "q", "--quiet"])))?);
        let folder = copy_of_kept_site()?;
        write_and_reconcile(folder.path(), &file)?;
        times[1].push(timed(|| run(setlist(folder.path()).args(["process", "q", "--quiet"])))?);
        let xargs = format!("printf 'n=%s\\n' {} | xargs -P2 -I{{}} awk -v {{}} '{COUNT}'", list.join(" "));
        times[2].push(timed(|| run(&mut sh(&xargs)))?);
    }
    let times = times.map(median);
    println!("P10 {BUSY_JOBS} jobs that compute for 50 to 300 ms, 2 at once, median of {BUSY_ROUNDS} rounds");
    let names = ["setlist, durable".to_owned(), format!("same, {KEPT_JOBS} others"), "xargs -P2 -n1".to_owned()];
    for (name, time) in names.iter().zip(times) {
        println!("    {name:<20} {:>7.3} s", time.as_secs_f64());
    }
    let overhead = |time: Duration| 100.0 * (time.as_secs_f64() / times[2].as_secs_f64() - 1.0);
    println!("    overhead             {:>7.1} %, {:.1} %   (at most 2)", overhead(times[0]), overhead(times[1]));
    Ok(())
}

fn count_to(count: u32) -> Command {
    let mut command = Command::new("awk");
    command.args(["-v", &format!("n={count}"), COUNT]);
    command
}

/// Runs a process to its end; returns its peak resident memory in KiB.
fn peak_memory(command: &mut Command) -> Result<u32> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let (path, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    loop {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(now.unwrap_or_default());
        if child.try_wait()?.is_some() {
            return Ok(peak);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The disk space of the files in a folder, in MiB.
fn disk_usage(folder: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for file in fs::read_dir(folder)? {
        // Blocks of 512 bytes: the space in use, not the length.
        sum += u32::try_from(file?.metadata()?.blocks()).map(f64::from)? / 2_048.0;
    }
    Ok(sum)
}

/// A reconciled site: `jobs` jobs in queue `q`, `others` in a queue that is not processed.
fn site(jobs: u32, others: u32) -> Result<TempDir> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    write_and_reconcile(folder.path(), &list_of_jobs("", jobs, others)?)?;
    Ok(folder)
}

/// A file with these jobs, whose names begin with a prefix.
fn list_of_jobs(prefix: &str, jobs: u32, others: u32) -> Result<String> {
    let mut file = String::from("queues:\n");
    for (queue, jobs) in [("q", jobs), ("others", others)].into_iter().filter(|(_, jobs)| *jobs > 0) {
        writeln!(file, "  {queue}:\n    parallel: 2\n    jobs:")?;
        for nth in 0..jobs {
            writeln!(file, "      - {{id: {prefix}j{nth}, command: [\"true\"]}}")?;
        }
    }
    Ok(file)
}

/// Writes and reconciles the file, then flushes the disk, so that writes for the jobs don't disturb the measurement.
fn write_and_reconcile(folder: &Path, file: &str) -> Result {
    fs::write(folder.join("jobs.yaml"), file)?;
    run(setlist(folder).arg("status"))?;
    run(&mut Command::new("sync"))
}

fn setlist(folder: &Path) -> Command {
    let mut command = Command::new(SETLIST);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn run(command: &mut Command) -> Result {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

fn spawn_and_wait() -> Result {
    thread::scope(|scope| {
        let half = || (0..JOBS / 2).try_for_each(|_| Command::new("true").stdin(Stdio::null()).status().map(drop));
        let other = scope.spawn(half);
        half().and(other.join().unwrap_or(Ok(())))
    })?;
    Ok(())
}

fn timed(work: impl FnOnce() -> Result) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn milliseconds(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
