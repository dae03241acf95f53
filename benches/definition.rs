//! P8: a `jobs.yaml` with 100,000 jobs, read, checked and reconciled, against a bare typed parse of the same text.
//!
//! `cargo bench --bench definition`; every round runs all sides one after the other, and the medians are compared.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Deserialize;
use setlist::{Command, Site, definition};

const JOBS: u32 = 100_000;
const ROUNDS: usize = 5;

/// What a program would read that trusts its file.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read, as a bare parse does")]
struct File {
    queues: BTreeMap<String, Queue>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read, as a bare parse does")]
struct Queue {
    #[serde(default)]
    env: BTreeMap<String, String>,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read, as a bare parse does")]
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
    let small = |nth: u32| format!("{{id: j{nth}, command: [\"true\"]}}");
    let usual = |nth: u32| {
        format!(
            "id: j{nth}\n        title: Job number {nth}\n        run: |\n          echo begin\n          ./work --number \
             {nth}\n        env: {{NUMBER: \"{nth}\"}}\n        timeout: 10m\n        retry: 2"
        )
    };
    let chained = |nth: u32| match nth.checked_sub(1) {
        Some(before) => format!("{{id: j{nth}, command: [\"true\"], needs: [j{before}]}}"),
        None => small(nth),
    };
    println!("P8  {JOBS} jobs, median of {ROUNDS} rounds");
    for (name, text) in [("small", file(small)), ("usual", file(usual)), ("chained", file(chained))] {
        compare(name, &text)?;
    }
    Ok(())
}

fn compare(name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let mut sides = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let file: File = serde_yaml::from_str(text)?;
        sides[0].push(began.elapsed());
        drop(black_box(file));

        let began = Instant::now();
        let mut plan = definition::parse("jobs.yaml", text)?;
        sides[1].push(began.elapsed());
        "1".clone_into(&mut plan.stamp);
        let site = Site::new();
        site.submit(&Command::Reconcile(Box::new(plan)), Utc::now())?;
        sides[2].push(began.elapsed());
    }
    let [bare, read, all] = sides.map(median);
    println!("    {name}, {} KiB", text.len() / 1024);
    for (side, time) in [("bare typed parse", bare), ("read and checked", read), ("and reconciled", all)] {
        println!("        {side:<20} {:>6.0} ms", 1000.0 * time.as_secs_f64());
    }
    println!("        {:<20} {:>6.2}   (at most 2)", "against the bare one", all.as_secs_f64() / bare.as_secs_f64());
    Ok(())
}

fn file(job: impl Fn(u32) -> String) -> String {
    let mut file = String::from("queues:\n  q:\n    env: {A: a, B: b}\n    jobs:\n");
    for nth in 0..JOBS {
        // Writing to a String can't fail.
        let _ = writeln!(file, "      - {}", job(nth));
    }
    file
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
