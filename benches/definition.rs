//! P8: reads, checks and reconciles a `jobs.yaml` with 100,000 jobs, compared with a typed `serde_yaml` parse of the
//! same text.
//!
//! Run with `cargo bench --bench definition`. Every round runs all sides in turn, and the medians are compared.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Deserialize;
use setlist::{Command, Site, definition};

const JOBS: u32 = 100_000;
const ROUNDS: usize = 5;

/// The types a program would read without checking the file.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are parsed and never used")]
struct File {
    queues: BTreeMap<String, Queue>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are parsed and never used")]
struct Queue {
    #[serde(default)]
    env: BTreeMap<String, String>,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are parsed and never used")]
struct Job {
    id: String,
    title: Option<String>,
    run: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    timeout: Option<String>,
    retry: Option<u32>,
    #[serde(default)]
    needs: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let short = |nth: u32| format!("{{id: j{nth}, command: [\"true\"]}}");
    let typical = |nth: u32| {
        format!(
            "id: j{nth}\n        title: Job number {nth}\n        run: |\n          echo begin\n          ./work --number \
             {nth}\n        env: {{NUMBER: \"{nth}\"}}\n        timeout: 10m\n        retry: 2"
        )
    };
    let chained = |nth: u32| match nth.checked_sub(1) {
        Some(previous) => format!("{{id: j{nth}, command: [\"true\"], needs: [j{previous}]}}"),
        None => short(nth),
    };
    println!("P8  {JOBS} jobs, median of {ROUNDS} rounds");
    for (name, text) in [("short", file(short)), ("typical", file(typical)), ("chained", file(chained))] {
        compare(name, &text, None)?;
    }
    // The same jobs, written as one entry for the lines of a file.
    let folder = tempfile::tempdir()?;
    let lines: Vec<String> = (0..JOBS).map(|nth| format!("j{nth}")).collect();
    fs::write(folder.path().join("lines"), lines.join("\n"))?;
    let jobs_file = folder.path().join("jobs.yaml");
    fs::write(
        &jobs_file,
        "queues:\n  q:\n    - {id: j, for_each: {lines: lines}, command: [\"true\", \"${item}\"]}\n",
    )?;
    let item = |nth: u32| format!("{{id: \"j[j{nth}]\", command: [\"true\", \"j{nth}\"]}}");
    compare("for_each of lines", &file(item), Some(&jobs_file))
}

/// Compares a typed parse of the text with reading it, or another file with the same jobs.
fn compare(name: &str, text: &str, read: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let file: File = serde_yaml::from_str(text)?;
        times[0].push(start.elapsed());
        drop(black_box(file));

        let start = Instant::now();
        let mut plan = match read {
            Some(file) => definition::read(file)?,
            None => definition::parse("jobs.yaml", text)?,
        };
        times[1].push(start.elapsed());
        "1".clone_into(&mut plan.version);
        let site = Site::new();
        site.submit(&Command::Reconcile(Box::new(plan)), Utc::now())?;
        times[2].push(start.elapsed());
    }
    let [bare, checked, reconciled] = times.map(median);
    println!("    {name}, {} KiB", text.len() / 1024);
    for (variant, time) in [("bare typed parse", bare), ("read and checked", checked), ("and reconciled", reconciled)] {
        println!("        {variant:<20} {:>6.0} ms", 1000.0 * time.as_secs_f64());
    }
    println!(
        "        {:<20} {:>6.2}   (at most 2.0)",
        "ratio to bare parse",
        reconciled.as_secs_f64() / bare.as_secs_f64()
    );
    Ok(())
}

fn file(job: impl Fn(u32) -> String) -> String {
    let mut file = String::from("queues:\n  q:\n    env: {A: a, B: b}\n    jobs:\n");
    for nth in 0..JOBS {
        // Writing to a `String` can't fail.
        let _ = writeln!(file, "      - {}", job(nth));
    }
    file
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
