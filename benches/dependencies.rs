//! Jobs that need each other against as many independent ones: a chain, a job that needs all others, and layers with all
//! edges between neighbours. Each is read, processed, reset, requested and shown.
//!
//! Run with `cargo bench --bench dependencies`, or for some graphs: `-- fan-in`. The times are per job.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The needs of a job.
type Needs = fn(u32) -> Range<u32>;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");

/// A graph: its name, the number of its jobs, how many of them run at once at most, and the needs of each.
const GRAPHS: [(&str, u32, u32, Needs); 3] = [
    ("chain", 20_000, 1, |nth| nth.saturating_sub(1)..nth),
    ("fan-in", 10_001, 2, |nth| 0..if nth == 10_000 { nth } else { 0 }),
    ("layers", 3_030, 2, |nth| (nth / 30 * 30).saturating_sub(30)..nth / 30 * 30),
];

/// The commands that are timed, in this order on the same site. `JOB` is the last job.
const STEPS: [(&str, &[&str]); 7] = [
    ("read", &["status"]),
    ("process", &["process", "--quiet"]),
    ("reset", &["reset", "q"]),
    ("request", &["retry", "q/*"]),
    ("run all", &["wait", "q"]),
    ("list", &["list"]),
    ("show", &["show", "JOB"]),
];

fn main() -> Result {
    let selected: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, jobs, parallel, needs) in GRAPHS {
        if !selected.is_empty() && !selected.iter().any(|selected| selected == name) {
            continue;
        }
        let independent = times(jobs, parallel, |_| 0..0)?;
        let dependent = times(jobs, parallel, needs)?;
        println!("{name}, {jobs} jobs: time per job, that of independent jobs, and the ratio (at most 2)");
        for ((step, _), (time, other)) in STEPS.iter().zip(dependent.into_iter().zip(independent)) {
            let per_job = |time: Duration| 1e6 * time.as_secs_f64() / f64::from(jobs);
            let ratio = time.as_secs_f64() / other.as_secs_f64();
            println!("    {step:<8} {:>9.1} us {:>9.1} us {ratio:>7.2}", per_job(time), per_job(other));
        }
    }
    Ok(())
}

/// How long each step takes.
fn times(jobs: u32, parallel: u32, needs: impl Fn(u32) -> Range<u32>) -> Result<Vec<Duration>> {
    let folder = TempDir::new()?;
    let mut text = format!("queues:\n  q:\n    parallel: {parallel}\n    jobs:\n");
    for nth in 0..jobs {
        let needs: Vec<String> = needs(nth).map(|needed| format!("j{needed}")).collect();
        writeln!(text, "      - {{id: j{nth}, command: [\"true\"], needs: [{}]}}", needs.join(", "))?;
    }
    fs::write(folder.path().join("jobs.yaml"), text)?;
    STEPS.iter().map(|(_, args)| time(folder.path(), args, jobs - 1)).collect()
}

fn time(folder: &Path, args: &[&str], last: u32) -> Result<Duration> {
    let last = format!("q/j{last}");
    let args = args.iter().map(|arg| if *arg == "JOB" { last.as_str() } else { arg });
    let start = Instant::now();
    let status = Command::new(SETLIST)
        .args(args)
        .current_dir(folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(start.elapsed()) } else { Err(format!("setlist failed: {status}").into()) }
}
