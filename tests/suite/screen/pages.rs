//! The pages of a job and of the site: history, needs, results, workers.

use std::sync::Arc;
use std::time::Duration;

use ratatui::layout::Position;
use serde_json::json;
use setlist::model::{
    Command, DesiredQueue, JobRef, MatrixValues, Need, Outcome, OutcomeCondition, RunReport, SchedulingOptions,
    TreeUsage, Usage, WorkerOptions,
};
use setlist::tui::message::Message;
use setlist::tui::mouse::{MouseAction, MouseInput};
use setlist::tui::theme::{Appearance, Palette};

use super::harness::{ScreenHarness, failed, queue};

/// Four runs after another: 10 s, 10 s and failed, 12 s, 60 s; with 10, 20, 30 and 40 MiB.
fn runs(harness: &mut ScreenHarness) {
    let outcomes = [Outcome::Succeeded, failed("exit code 3"), Outcome::Succeeded, Outcome::Succeeded];
    for ((seconds, outcome), nth) in [10, 10, 12, 60].into_iter().zip(outcomes).zip(1..) {
        harness.keys("gr");
        let started = harness.start("line");
        harness.print(started.1, &format!("output of run {nth}\n"));
        harness.advance_seconds(seconds);
        let usage = Usage {
            user: Duration::from_secs(1),
            system: Duration::ZERO,
            peak_memory: (nth * 10) << 20,
            is_peak_bound: false,
            io: None,
            tree: TreeUsage::default(),
        };
        let value = (outcome == Outcome::Succeeded).then(|| json!(format!("value {nth}")));
        let report = RunReport { usage: Some(Box::new(usage)), value, ..RunReport::new(outcome) };
        harness.end_report(started, report);
    }
}

fn history(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let jobs = vec![queue("line", 1, 0, &[("one", "One"), ("two", "Two")])];
    let mut harness = ScreenHarness::with_appearance(jobs, width, height, appearance);
    runs(&mut harness);
    harness.keys("C");
    harness
}

fn dark() -> Appearance {
    Appearance::new(Palette::Dark, false)
}

#[track_caller]
fn assert_shows(harness: &mut ScreenHarness, parts: &[&str]) {
    let text = harness.text();
    for part in parts {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_page_shows_the_details_of_its_job_where_there_is_room() {
    let mut harness = history(200, 60, dark());
    for (key, page) in [("", "─ History · line/one"), ("<Esc>s", "─ Timeline")] {
        harness.keys(key);
        assert_shows(&mut harness, &[page, "─ Details · #1 line/one", "✓ succeeded · value value 4", "Runs"]);
    }
    // They follow the cursor of the page, with the runs of its job.
    harness.keys("<Esc>gr");
    harness.run("line", 5, Outcome::Succeeded);
    harness.keys("sj");
    assert!(harness.message().contains("line/"), "{}", harness.message());
    let other = if harness.message().contains("line/one") {
        "─ Details · #1 line/one"
    } else {
        "─ Details · #2 line/two"
    };
    assert_shows(&mut harness, &[other, "median"]);
    for (width, height) in [(120, 40), (80, 24), (200, 30)] {
        harness.resize(width, height);
        assert!(!harness.text().contains("─ Details"), "{width}x{height}: {}", harness.text());
    }
}

#[test]
fn the_history_of_a_job_is_a_chart_of_durations_memory_and_outcomes() {
    let mut harness = history(100, 24, dark());
    assert_shows(
        &mut harness,
        &["─ History · line/one · 4 runs · ✗ 1 failed · median 12s", "1m 00s", "took", " median"],
    );
    assert_shows(
        &mut harness,
        &["40 MiB", "memory", "✓ succeeded · run 4 · 1m 00s", " · 40 MiB memory", "value value 4"],
    );
    let text = harness.text();
    let outcomes = text.lines().find(|line| line.starts_with(" outcome")).unwrap();
    assert_eq!(outcomes.split_whitespace().collect::<Vec<_>>(), ["outcome", "·", "✗", "·", "·"]);
    // The highest bar is that of the longest run.
    let top = text.lines().find(|line| line.starts_with(" 1m 00s")).unwrap();
    assert_eq!(top.chars().filter(|sign| *sign == '█').count(), 3, "{top}");
    harness.keys("hh");
    assert_shows(&mut harness, &["✗ exit code 3 · run 2 · 10s", " · 20 MiB memory"]);
    assert!(!harness.text().contains("   value value"), "a failed run has none: {}", harness.text());
    harness.keys("g");
    assert_shows(&mut harness, &["run 1 ", "value value 1"]);
    let text = harness.keys("<Enter>").text();
    assert!(text.contains("output of run 1") && text.contains("run 1 of 4"), "{text}");
}

#[test]
fn in_a_high_terminal_the_runs_are_listed_below_bars_of_bounded_size() {
    for (width, height) in [(100, 30), (120, 40), (200, 60), (250, 80)] {
        let mut harness = history(width, height, dark());
        let text = harness.text();
        let bars: Vec<&str> = text.lines().filter(|line| line.contains('█')).collect();
        assert!(bars.len() <= 18 && bars.iter().all(|line| line.matches('█').count() <= 4 * 3), "{text}");
        let row = |run: &str| text.lines().find(|line| line.split_whitespace().any(|word| word == run)).unwrap();
        let heading = text.lines().find(|line| line.contains("Outcome")).unwrap();
        assert_eq!(
            heading.split_whitespace().collect::<Vec<_>>(),
            ["Run", "Started", "Outcome", "Took", "CPU", "Memory", "Value"]
        );
        let second: Vec<&str> = row("12:00:10").split_whitespace().collect();
        assert_eq!(second, ["✗", "2", "12:00:10", "exit", "code", "3", "10s", "1.0s", "20", "MiB"], "{text}");
        assert!(row("12:00:32").ends_with("40 MiB  value 4"), "{text}");
        assert!(row("12:00:32").starts_with("›✓"), "the selected run is marked: {text}");
        let text = harness.keys("gl").text();
        assert!(text.lines().any(|line| line.starts_with("›✗     2")), "{text}");
    }
}

#[test]
fn the_table_of_runs_follows_the_selected_run() {
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &[("one", "One")])], 100, 30);
    for _ in 0..60 {
        harness.keys("gr");
        let started = harness.start("line");
        harness.advance_seconds(10);
        harness.end(started, Outcome::Succeeded);
    }
    harness.keys("C");
    for keys in ["", "h", "g", "<PgDn>", "<PgDn>", "l", "G"] {
        let text = harness.keys(keys).text();
        assert!(text.lines().any(|line| line.starts_with("›✓")), "after {keys}:\n{text}");
        let rows = text.lines().skip_while(|line| !line.contains("Outcome")).filter(|line| line.contains("succeeded"));
        assert!(rows.count() >= 8, "no line stays free: {text}");
    }
}

#[test]
fn a_run_that_took_unusually_long_is_marked() {
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &[("one", "One")])], 100, 24);
    for seconds in [10, 11, 9, 10, 70, 10] {
        harness.keys("gr");
        let started = harness.start("line");
        harness.advance_seconds(seconds);
        harness.end(started, Outcome::Succeeded);
    }
    harness.keys("Ch");
    let text = harness.text();
    let outcomes = text.lines().find(|line| line.starts_with(" outcome")).unwrap();
    assert_eq!(outcomes.split_whitespace().collect::<Vec<_>>(), ["outcome", "·", "·", "·", "·", "↑", "·"]);
    assert_shows(&mut harness, &["run 5", "1m 10s · slower than usual"]);
}

#[test]
fn a_job_without_runs_has_no_history_yet() {
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &[("one", "One")])], 60, 12);
    harness.keys("C");
    assert_shows(&mut harness, &["─ History · line/one · 0 runs", "This job has not run yet. Press r to run it."]);
    harness.keys("hl<Enter>");
    assert_shows(&mut harness, &["─ History"]);
    let started = {
        harness.keys("r");
        harness.start("line")
    };
    assert_shows(&mut harness, &["1 run", "▸ running · run 1"]);
    assert!(harness.screen.next_tick(harness.now).is_some());
    harness.end(started, Outcome::Succeeded);
    assert_shows(&mut harness, &["✓ succeeded"]);
}

/// `pack` needs `unit` and `docs`, which need `fetch`; nothing needs `tidy`.
fn diamond() -> Vec<DesiredQueue> {
    let jobs = [("fetch", "Fetch"), ("unit", "Unit tests"), ("docs", "Docs"), ("pack", "Package"), ("tidy", "Tidy up")];
    let mut build = queue("build", 2, 0, &jobs);
    for (nth, names) in [(1, &["fetch"][..]), (2, &["fetch"]), (3, &["unit", "docs"])] {
        let need =
            |name: &&str| Need { job: JobRef::Named("build".into(), Arc::from(*name)), on: OutcomeCondition::Success };
        let needs: Vec<Need> = names.iter().map(need).collect();
        let scheduling = SchedulingOptions { needs, ..SchedulingOptions::default() };
        Arc::make_mut(&mut build.jobs[nth]).scheduling = Arc::new(scheduling);
    }
    vec![build]
}

/// The lines of a page, without the cursor.
fn tree(harness: &mut ScreenHarness) -> Vec<String> {
    let text = harness.text();
    let lines = text.lines().skip_while(|line| !line.starts_with("─ Needs")).skip(1);
    lines.map(|line| line.chars().skip(2).collect::<String>()).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn needs_are_a_tree_in_both_directions_and_a_diamond_is_drawn_once() {
    let mut harness = ScreenHarness::new(diamond(), 100, 30);
    harness.process("build");
    harness.run("build", 5, Outcome::Succeeded);
    harness.run("build", 5, failed("exit code 1"));
    harness.keys("m<Tab>");
    let expected = [
        "✓ Fetch  succeeded",
        "├ ✗ Unit tests  exit code 1  blocks 1 job",
        "│ └ · Package  needs build/unit",
        "└ · Docs  pending",
    ];
    let lines = tree(&mut harness);
    assert!(lines[0].starts_with(expected[0]) && lines[1].contains("Unit tests"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Docs")), "{lines:#?}");
    let packages = lines.iter().filter(|line| line.contains("Package")).count();
    assert_eq!(packages, 2, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("Tidy")), "{lines:#?}");
    // From the job at the end, back to the first.
    harness.keys("Gl");
    assert_shows(&mut harness, &["─ Needs · job build/pack", "is needed by no other job"]);
    let lines = tree(&mut harness);
    assert_eq!(lines[1], "needs");
    assert!(lines[2].starts_with("├ ✗ Unit tests") && lines[3].starts_with("│ └ ✓ Fetch"), "{lines:#?}");
    assert!(lines[4].starts_with("└ ") && lines[5].contains("Fetch"), "{lines:#?}");
    harness.keys("j<Enter>");
    assert_eq!(harness.selected_job_name().as_deref(), Some("unit"));
    assert!(!harness.text().contains("─ Needs"));
    harness.keys("m");
    assert_shows(&mut harness, &["─ Needs · job build/unit", "is needed by"]);
}

#[test]
fn what_follows_from_a_job_that_comes_up_again_is_above() {
    let mut queues = diamond();
    let need = Need { job: JobRef::Named("build".into(), Arc::from("pack")), on: OutcomeCondition::Failure };
    let scheduling = SchedulingOptions { needs: vec![need], ..SchedulingOptions::default() };
    Arc::make_mut(&mut queues[0].jobs[4]).scheduling = Arc::new(scheduling);
    let mut harness = ScreenHarness::new(queues, 100, 30);
    harness.keys("m");
    let lines = tree(&mut harness);
    assert_eq!(lines[1], "needs no other job");
    let above: Vec<&String> = lines.iter().filter(|line| line.contains("↑ Package  see above")).collect();
    assert_eq!(above.len(), 1, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Tidy up (must fail)")), "{lines:#?}");
    assert!(lines[0].contains("Fetch") && lines[0].contains("blocks 4 jobs"), "{lines:#?}");
}

#[test]
fn a_queue_without_needs_says_so_and_a_long_chain_is_no_problem() {
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &[("one", "One")])], 60, 12);
    harness.keys("m");
    assert_shows(&mut harness, &["─ Needs · queue line", "No job of this queue needs another one."]);
    harness.keys("jk<Enter><Tab>l");
    let names: Vec<String> = (0..3_000).map(|nth| format!("job-{nth}")).collect();
    let jobs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let mut chain = queue("chain", 1, 0, &jobs);
    for nth in 1..names.len() {
        let need = Need {
            job: JobRef::Named("chain".into(), Arc::from(names[nth - 1].as_str())),
            on: OutcomeCondition::Success,
        };
        let scheduling = SchedulingOptions { needs: vec![need], ..SchedulingOptions::default() };
        Arc::make_mut(&mut chain.jobs[nth]).scheduling = Arc::new(scheduling);
    }
    let mut harness = ScreenHarness::new(vec![chain], 80, 24);
    harness.keys("mG");
    assert_shows(&mut harness, &["and more…"]);
    let text = harness.text();
    assert!(text.lines().all(|line| setlist::text::width(line) <= 80), "{text}");
}

/// Four jobs of a matrix; three have a value with a loss and an accuracy.
fn sweep(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let rates = ["0.1", "0.01", "1", "10"];
    let names: Vec<String> = (0..4).map(|nth| format!("train-{nth}")).collect();
    let jobs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let mut sweep = queue("sweep", 1, 0, &jobs);
    for (job, rate) in sweep.jobs.iter_mut().zip(rates) {
        let values = vec![("rate".into(), rate.into()), ("depth".into(), "2".into())];
        Arc::make_mut(job).matrix =
            Some(Arc::new(MatrixValues { entry: "train".into(), values, is_item: false, version: None }));
    }
    let mut harness = ScreenHarness::with_appearance(vec![sweep], width, height, appearance);
    harness.process("sweep");
    for (loss, accuracy) in [(0.5, 0.7), (0.25, 0.9), (10.0, 0.1)] {
        let started = harness.start("sweep");
        harness.advance_seconds(3);
        harness.print(started.1, &format!("loss {loss}\n"));
        harness.end_with(started, Outcome::Succeeded, Some(json!({"loss": loss, "accuracy": accuracy})));
    }
    harness
}

/// The values of a column of the results, from top to bottom.
fn column(harness: &mut ScreenHarness, nth: usize) -> Vec<String> {
    let text = harness.text();
    let rows = text.lines().skip_while(|line| !line.starts_with("─ Results")).skip(2).take(4);
    rows.map(|row| row.chars().skip(3).collect::<String>().split_whitespace().nth(nth).unwrap_or("").to_owned())
        .collect()
}

#[test]
fn results_are_compared_in_columns_best_first() {
    let mut harness = sweep(100, 24, dark());
    harness.keys("V");
    assert_shows(&mut harness, &["─ Results · sweep/train · 4 jobs", "rate", "depth", "loss", "accuracy", "State"]);
    assert_shows(&mut harness, &["lowest loss first", "loss↑"]);
    assert_eq!(column(&mut harness, 2)[..3], ["0.25", "0.5", "10.0"], "{}", harness.text());
    assert_shows(&mut harness, &["· 3.0s"]);
    harness.keys("c");
    assert_eq!(column(&mut harness, 2)[..3], ["10.0", "0.5", "0.25"], "{}", harness.text());
    harness.keys("l");
    assert_shows(&mut harness, &["highest accuracy first"]);
    assert_eq!(column(&mut harness, 3)[..3], ["0.9", "0.7", "0.1"], "{}", harness.text());
    harness.keys("l");
    assert_shows(&mut harness, &["lowest rate first"]);
    assert_eq!(column(&mut harness, 0), ["0.01", "0.1", "1", "10"], "{}", harness.text());
    harness.keys("g");
    let text = harness.keys("<Enter>").text();
    assert!(text.contains("loss 0.25"), "{text}");
}

#[test]
fn results_before_and_without_values() {
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &[("one", "One")])], 80, 24);
    harness.keys("V");
    assert_eq!(harness.message(), "#1 has no matrix or list of items to compare.");
    let mut harness = sweep(80, 24, dark());
    harness.keys("0V");
    assert_shows(&mut harness, &["4 jobs"]);
}

#[test]
fn workers_are_shown_with_what_they_run() {
    let mut harness = ScreenHarness::new(diamond(), 100, 24);
    harness.execute_elsewhere(&[Command::Join {
        host: "gpu-2".to_owned(),
        pid: 77,
        queues: Some(vec!["build".into()]),
        options: WorkerOptions::default(),
    }]);
    harness.keys("W");
    assert_shows(&mut harness, &["─ Workers · 2 workers · 0 running", "gpu-2  process 77  0 of 2 slots  build"]);
    assert_shows(&mut harness, &["here  process 1  0 of 2 slots  all queues"]);
    harness.keys("<Enter>");
    assert_eq!(harness.message(), "Select a job below the worker to show its output.");
    assert!(!harness.text().contains("Enter output"), "{}", harness.text());
    harness.advance_seconds(10);
    harness.send(Message::Tick);
    assert_eq!(harness.screen.next_tick(harness.now), None, "nothing wakes the screen while nothing runs");
    harness.process("build");
    let fetch = harness.start("build");
    harness.print(fetch.1, "fetching\n");
    harness.advance_seconds(75);
    harness.send(Message::Tick);
    assert_shows(
        &mut harness,
        &["2 workers · 1 running", "here  process 1  1 of 2 slots", "▸ build/fetch  Fetch", "1m 15s"],
    );
    assert!(harness.screen.next_tick(harness.now).is_some());
    let y = harness.text().lines().position(|line| line.contains("build/fetch")).unwrap();
    let click = MouseInput { at: Position { x: 8, y: u16::try_from(y).unwrap() }, action: MouseAction::Click };
    harness.send(Message::Mouse(click));
    harness.send(Message::Mouse(click));
    assert_shows(&mut harness, &["fetching"]);
    assert_eq!(harness.selected_job_name().as_deref(), Some("fetch"));
}

#[test]
fn a_page_that_opens_clears_the_message_but_not_an_error() {
    let mut harness = ScreenHarness::new(diamond(), 100, 24);
    harness.keys("<Esc>");
    assert!(harness.message().starts_with("This is the top level."), "{}", harness.message());
    harness.keys("m");
    assert!(harness.message().starts_with("#1 build/fetch"), "{}", harness.message());
    harness.keys("<Esc>");
    harness.send(Message::Error("The disk is full.".to_owned()));
    harness.keys("W");
    assert_eq!(harness.message(), "The disk is full.");
}

#[test]
fn without_workers_the_page_says_how_to_start_one() {
    let mut harness = ScreenHarness::new(diamond(), 100, 24);
    harness.reap_worker();
    harness.keys("W");
    assert_shows(&mut harness, &["No worker is running. Press p to process the queue, which starts one."]);
    harness.keys("jk<Enter>");
}

#[test]
fn pages_lead_to_each_other_and_fit_any_size_and_ascii() {
    for ascii in [false, true] {
        let appearance = Appearance::new(Palette::Mono, ascii);
        let mut sites = [history(80, 24, appearance), sweep(80, 24, appearance)];
        sites[1].keys("<Esc>");
        for harness in &mut sites {
            for keys in ["s", "C", "m", "W", "V"] {
                harness.keys(keys);
                for (width, height) in [(40, 10), (60, 18), (80, 24), (120, 40), (200, 60), (250, 80)] {
                    harness.resize(width, height);
                    let text = harness.text();
                    assert!(text.lines().all(|line| setlist::text::width(line) <= usize::from(width)), "{text}");
                    assert!(!ascii || text.is_ascii(), "{text}");
                }
                harness.keys("jjkkhlG");
            }
            harness.keys("<Esc><Esc>");
        }
    }
}
