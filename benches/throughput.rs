//! P1: jobs a second, everything durable, against `xargs`, which keeps nothing, and against bare spawning.
//!
//! `cargo bench --bench throughput`; every round runs all sides one after the other, and the medians are compared.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const JOBS: u32 = 3_000;
const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let mut sides = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        sides[0].push(setlist()?);
        sides[1].push(xargs()?);
        sides[2].push(spawn());
    }
    let [setlist, xargs, spawn] = sides.map(median);
    println!("P1  {JOBS} jobs of `true`, 2 at once, median of {ROUNDS} rounds");
    for (name, time) in [("setlist, durable", setlist), ("xargs -P2 -n1", xargs), ("bare spawn and wait", spawn)] {
        println!("    {name:<20} {:>6.3} ms a job", 1_000.0 * time.as_secs_f64() / f64::from(JOBS));
    }
    println!("    rate against xargs   {:.2}   (at least 1.0)", xargs.as_secs_f64() / setlist.as_secs_f64());
    println!("    bare against xargs   {:.2}   (the limit)", xargs.as_secs_f64() / spawn.as_secs_f64());
    Ok(())
}

/// `setlist process` on a file that was read before.
fn setlist() -> io::Result<Duration> {
    let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut file = String::from("queues:\n  q:\n    parallel: 2\n    jobs:\n");
    for nth in 0..JOBS {
        // Writing to a String can't fail.
        let _ = writeln!(file, "      - {{id: j{nth}, command: [\"true\"]}}");
    }
    fs::write(room.path().join("jobs.yaml"), file)?;
    run(room.path(), &["status"])?;
    let began = Instant::now();
    run(room.path(), &["process", "--quiet"])?;
    Ok(began.elapsed())
}

fn run(room: &Path, args: &[&str]) -> io::Result<()> {
    let status =
        Command::new(env!("CARGO_BIN_EXE_setlist")).args(args).current_dir(room).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("setlist {args:?}: {status}"))) }
}

fn xargs() -> io::Result<Duration> {
    let script = format!("seq {JOBS} | xargs -P2 -n1 true");
    let began = Instant::now();
    Command::new("sh").args(["-c", &script]).status()?;
    Ok(began.elapsed())
}

fn spawn() -> Duration {
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..JOBS / 2 {
                    // `true` is everywhere.
                    let _ = Command::new("true").stdin(Stdio::null()).status();
                }
            });
        }
    });
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
