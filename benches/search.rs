//! The search in the output of many runs: its first line, and all of it, beside `rg` over the same files.
//!
//! `cargo bench --bench search`, or `-- GIBIBYTES`: 2 without it, 10 as in the plan. The output is in 20,000 runs of large
//! files; some of them, spread over the runs, have the text that is searched for. Files are read once before.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use setlist::model::{Command, Definition, Event, Outcome, RunReport, Script, Stream, WorkerOptions};
use setlist::store::{SqliteStore, StateDir, Store};
use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
const RUNS: usize = 20_000;
const BATCH: usize = 1_000;
/// Each nth run has a line that is found.
const FOUND_EVERY: usize = 100;
const ROUNDS: usize = 3;
const LINE: &str = "2026-11-22T04:12:31Z INFO copied part of /srv/photos/2026/11 to the backup, 1204 files, 0 errors\n";
const FOUND_LINE: &str = "2026-11-22T04:12:32Z ERROR connection to mirror-7 refused by peer\n";

fn main() -> Result {
    let gibibytes = env::args().skip(1).find_map(|arg| arg.parse::<usize>().ok()).unwrap_or(2);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    std::fs::write(folder.path().join("jobs.yaml"), "queues: {}\n")?;
    // Creates the site.
    setlist(&folder, &["status"]).output()?;
    let logs = fill(folder.path(), gibibytes << 30)?;
    println!("search: {RUNS} runs with {gibibytes} GiB of output, {} of them with a match", RUNS / FOUND_EVERY);
    for pattern in ["mirror-7 refused", "mirror-[0-9] refused"] {
        let grep = || setlist(&folder, &["grep", pattern]);
        let rg = || {
            let mut rg = Program::new("rg");
            rg.args(["--no-ignore", "--hidden", "--no-filename", pattern]).arg(&logs);
            rg
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let _warm = (searched(&mut grep())?, searched(&mut rg())?);
        for _ in 0..ROUNDS {
            ours.push(searched(&mut grep())?);
            theirs.push(searched(&mut rg())?);
        }
        let best = |of: &[Search], time: fn(&Search) -> Duration| of.iter().map(time).min().unwrap_or_default();
        let (all, rg_all) = (best(&ours, |search| search.all), best(&theirs, |search| search.all));
        println!("    `{pattern}`: {} lines, rg {}", ours[0].lines, theirs[0].lines);
        println!("        first line {:>8.1} ms   (at most 100)", millis(best(&ours, |search| search.first)));
        println!("        all        {:>8.1} ms, rg {:.1} ms", millis(all), millis(rg_all));
        println!("        ratio      {:>8.2}      (at most 1.5)", all.as_secs_f64() / rg_all.as_secs_f64());
    }
    Ok(())
}

/// How long a search took.
struct Search {
    first: Duration,
    all: Duration,
    lines: usize,
}

/// Runs a search and reads what it prints.
fn searched(program: &mut Program) -> Result<Search> {
    let started = Instant::now();
    let mut child = program.stdout(Stdio::piped()).spawn()?;
    let (mut first, mut lines) = (None, 0);
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).split(b'\n') {
        line?;
        first.get_or_insert_with(|| started.elapsed());
        lines += 1;
    }
    child.wait()?;
    Ok(Search { first: first.ok_or("nothing was found")?, all: started.elapsed(), lines })
}

fn setlist(folder: &TempDir, args: &[&str]) -> Program {
    let mut program = Program::new(SETLIST);
    program.args(args).current_dir(folder.path());
    program
}

/// Records runs with so many bytes of output together; returns the folder of their files.
fn fill(folder: &Path, bytes: usize) -> Result<PathBuf> {
    let state = StateDir::new(folder.join(".setlist"));
    let mut store = SqliteStore::open(&state)?;
    let now = Utc::now();
    let jobs = (0..RUNS).map(|_| Arc::new(Definition::new(Script::shell("true")))).collect();
    let join = Command::Join { host: "bench".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    let mut results = store.execute(&[Command::Add { queue: "q".into(), jobs }, join], now)?;
    let worker = match results.remove(1)?.first() {
        Some(Event::WorkerJoined { worker }) => worker.id,
        _ => return Err("no worker".into()),
    };
    let queue = || "q".into();
    store
        .execute(&[Command::SetParallel { queue: queue(), parallel: std::num::NonZero::<u32>::MAX }], now)?
        .remove(0)?;
    store.execute(&[Command::Process { queue: queue() }], now)?.remove(0)?;
    let text = LINE.repeat(bytes / RUNS / LINE.len());
    let middle = text.len() / LINE.len() / 2 * LINE.len();
    let mut nth = 0;
    while nth < RUNS {
        let claims: Vec<Command> = (0..BATCH).map(|_| Command::Claim { worker, queues: None }).collect();
        let mut ends = Vec::new();
        for event in store.execute(&claims, now)?.into_iter().flatten().flatten() {
            let Event::Started { job, run } = event else { continue };
            let mut log = store.log_writer(run.id, u64::MAX);
            log.write(Stream::Out, &text.as_bytes()[..middle], now)?;
            if nth.is_multiple_of(FOUND_EVERY) {
                log.write(Stream::Out, FOUND_LINE.as_bytes(), now)?;
            }
            log.write(Stream::Out, &text.as_bytes()[middle..], now)?;
            log.finish()?;
            let report = RunReport::new(Outcome::Succeeded);
            ends.push(Command::EndRun { job, run: run.id, report, on_failure: None });
            nth += 1;
        }
        if ends.is_empty() {
            return Err("no job is ready".into());
        }
        for result in store.execute(&ends, now)? {
            result?;
        }
    }
    store.execute(&[Command::Leave { worker, queues: None }], now)?.remove(0)?;
    Ok(state.path().join("logs"))
}

fn millis(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}
