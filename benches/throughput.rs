//! P1, P2 and P7: what a job costs, everything durable, against `xargs`, which keeps nothing, and against bare spawning;
//! in a long queue against a short one; and a job that prints a gibibyte. Other tools get the same jobs where they are
//! installed.
//!
//! `cargo bench --bench throughput`, or only some of it: `cargo bench --bench throughput -- P7`. Every round runs all
//! sides one after the other, and the medians are compared.

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

use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

type Part = fn() -> Result;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
const ROUNDS: usize = 5;
/// P1, and how many of them other tools get, which take longer.
const JOBS: u32 = 3_000;
const JOBS_OF_OTHERS: u32 = 300;
/// P2: so many are processed, in a site of so many.
const PROCESSED: u32 = 1_000;
const SITES: [u32; 2] = [1_000, 100_000];
/// P7.
const PRINTED: u64 = 1 << 30;

fn main() -> Result {
    let wanted: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, Part); 3] = [("P1", cost_of_a_job), ("P2", cost_in_a_long_queue), ("P7", a_job_that_prints)];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            part()?;
        }
    }
    Ok(())
}

fn cost_of_a_job() -> Result {
    let mut sides = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let room = site(JOBS, 0)?;
        sides[0].push(timed(|| done(setlist(room.path()).args(["process", "--quiet"])))?);
        sides[1].push(timed(|| done(&mut sh(&format!("seq {JOBS} | xargs -P2 -n1 true"))))?);
        sides[2].push(timed(spawn_and_wait)?);
    }
    let [setlist, xargs, spawn] = sides.map(median);
    println!("P1  {JOBS} jobs of `true`, 2 at once, median of {ROUNDS} rounds");
    for (name, time) in [("setlist, durable", setlist), ("xargs -P2 -n1", xargs), ("bare spawn and wait", spawn)] {
        println!("    {name:<20} {:>7.3} ms a job", milliseconds(time) / f64::from(JOBS));
    }
    others()?;
    println!("    rate against xargs   {:>7.2}   (at least 1.0)", xargs.as_secs_f64() / setlist.as_secs_f64());
    println!("    bare against xargs   {:>7.2}   (the limit)", xargs.as_secs_f64() / spawn.as_secs_f64());
    println!("    rate against bare    {:>7.2}", spawn.as_secs_f64() / setlist.as_secs_f64());
    Ok(())
}

/// What the same jobs cost with other tools.
fn others() -> Result {
    let scripts = [
        ("GNU parallel", "parallel", format!("seq {JOBS_OF_OTHERS} | parallel --will-cite -j2 true")),
        (
            "task-spooler",
            "tsp",
            format!("tsp -S 2; for i in $(seq {JOBS_OF_OTHERS}); do tsp -n true; done; tsp -w; tsp -K"),
        ),
        (
            "pueue",
            "pueue",
            format!(
                "pueued -d; pueue parallel 2; for i in $(seq {JOBS_OF_OTHERS}); do pueue add -- true; done; \
                 pueue wait; pueue shutdown"
            ),
        ),
    ];
    for (name, program, script) in scripts {
        if !sh(&format!("command -v {program}")).stdout(Stdio::null()).status()?.success() {
            println!("    {name:<20} skipped: not installed");
            continue;
        }
        // Their state goes where it is of no use to anybody later.
        let home = tempfile::tempdir()?;
        let time =
            timed(|| done(sh(&script).env("HOME", home.path()).env("TMPDIR", home.path()).stderr(Stdio::null())))?;
        println!("    {name:<20} {:>7.3} ms a job", milliseconds(time) / f64::from(JOBS_OF_OTHERS));
    }
    Ok(())
}

fn cost_in_a_long_queue() -> Result {
    let mut sides = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (side, jobs) in sides.iter_mut().zip(SITES) {
            let room = site(PROCESSED, jobs - PROCESSED)?;
            side.push(first_to_last(room.path())?);
        }
    }
    let [short, long] = sides.map(median);
    println!(
        "P2  {PROCESSED} jobs of `true`, 2 at once, from the first that ended to the last, median of {ROUNDS} rounds"
    );
    for (jobs, time) in SITES.into_iter().zip([short, long]) {
        println!("    {jobs:>7} in the site  {:>7.3} ms a job", milliseconds(time) / f64::from(PROCESSED - 1));
    }
    println!("    cost in the longer   {:>7.2}   (at most 1.25)", long.as_secs_f64() / short.as_secs_f64());
    Ok(())
}

/// Processes queue `q`; how long it takes from the first line that tells of a job to the last.
fn first_to_last(room: &Path) -> Result<Duration> {
    let mut child = setlist(room).args(["process", "q"]).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let (mut first, mut last) = (None, Instant::now());
    for line in BufReader::new(output).lines() {
        if line?.starts_with("q/") {
            last = Instant::now();
            first = first.or(Some(last));
        }
    }
    child.wait()?;
    Ok(last - first.ok_or("no job has ended")?)
}

fn a_job_that_prints() -> Result {
    let print = format!("yes a line such as a job prints | head -c {PRINTED}");
    let (mut sides, mut memory, mut on_disk) = ([Vec::new(), Vec::new()], 0, 0.0_f64);
    for _ in 0..ROUNDS {
        let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        write(room.path(), &format!("queues:\n  q:\n    jobs:\n      - {{id: chatty, run: {print}}}\n"))?;
        let began = Instant::now();
        memory = memory.max(most_resident(setlist(room.path()).args(["process", "--quiet"]))?);
        sides[0].push(began.elapsed());
        sides[1].push(timed(|| done(&mut sh(&format!("{{ {print}; }} | cat"))))?);
        on_disk = on_disk.max(size(&room.path().join(".setlist/logs"))?);
    }
    let [setlist, cat] = sides.map(median);
    println!("P7  a job that prints 1 GiB, median of {ROUNDS} rounds");
    for (name, time) in [("setlist, kept", setlist), ("| cat >/dev/null", cat)] {
        println!("    {name:<20} {:>7.0} MiB a second", 1024.0 / time.as_secs_f64());
    }
    println!("    rate against cat     {:>7.2}   (at least 0.5)", cat.as_secs_f64() / setlist.as_secs_f64());
    println!("    memory of the worker {:>7.1} MiB   (at most 30)", f64::from(memory) / 1024.0);
    println!("    its log on disk      {on_disk:>7.2} MiB   (at most 16, its limit)");
    Ok(())
}

/// Runs a process to its end; the most memory that it ever held, in KiB.
fn most_resident(command: &mut Command) -> Result<u32> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let (path, mut most) = (format!("/proc/{}/status", child.id()), 0);
    loop {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        most = most.max(now.unwrap_or_default());
        if child.try_wait()?.is_some() {
            return Ok(most);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// What the files of a folder take, in MiB.
fn size(folder: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for file in fs::read_dir(folder)? {
        // Blocks of 512 bytes: what they take, not how long they are.
        sum += u32::try_from(file?.metadata()?.blocks()).map(f64::from)? / 2_048.0;
    }
    Ok(sum)
}

/// A site whose file was read: so many jobs in queue `q`, so many in one that nobody processes.
fn site(jobs: u32, others: u32) -> Result<TempDir> {
    let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut file = String::from("queues:\n");
    for (queue, jobs) in [("q", jobs), ("others", others)].into_iter().filter(|(_, jobs)| *jobs > 0) {
        writeln!(file, "  {queue}:\n    parallel: 2\n    jobs:")?;
        for nth in 0..jobs {
            writeln!(file, "      - {{id: j{nth}, command: [\"true\"]}}")?;
        }
    }
    write(room.path(), &file)?;
    Ok(room)
}

/// Writes the file, and has it read. The disk is at rest afterwards: what was written for many jobs would be on its way
/// while the first of them are timed.
fn write(room: &Path, file: &str) -> Result {
    fs::write(room.join("jobs.yaml"), file)?;
    done(setlist(room).arg("status"))?;
    done(&mut Command::new("sync"))
}

fn setlist(room: &Path) -> Command {
    let mut command = Command::new(SETLIST);
    command.current_dir(room).stdin(Stdio::null());
    command
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn done(command: &mut Command) -> Result {
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
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

fn milliseconds(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
