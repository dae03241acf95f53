//! Timeline, needs, history, results and changes as text with styles, at three sizes and in all themes.

use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use setlist::model::{
    Command, DesiredQueue, JobId, JobRef, MatrixValues, Need, Outcome, OutcomeCondition, Phase, RunReport,
    SchedulingOptions, TreeUsage, Usage,
};
use setlist::tui::theme::Appearance;

use super::appearance::styled_site;
use super::harness::{ScreenHarness, failed, queue};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// Compares a page at each size with its snapshot.
fn assert_page(name: &str, site: impl Fn(u16, u16, Appearance) -> ScreenHarness) {
    for (width, height) in SIZES {
        let shown = styled_site(width, height, |appearance| site(width, height, appearance));
        insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
            assert_snapshot!(format!("{width}x{height}-{name}"), shown);
        });
    }
}

fn report(outcome: Outcome, mebibytes: u64) -> RunReport {
    let usage = Usage {
        user: Duration::from_secs(1),
        system: Duration::ZERO,
        peak_memory: mebibytes << 20,
        is_peak_bound: false,
        io: None,
        tree: TreeUsage::default(),
    };
    RunReport { usage: Some(Box::new(usage)), ..RunReport::new(outcome) }
}

/// `fetch`, then `lint`, `unit` and `docs`, then `pack`, then `upload` and `notify`; and a job that nothing needs.
fn release() -> Vec<DesiredQueue> {
    let jobs = [
        ("fetch", "Fetch sources"),
        ("lint", "Lint"),
        ("unit", "Unit tests"),
        ("docs", "Documentation"),
        ("pack", "Package"),
        ("upload", "Upload to the mirrors in Frankfurt and Oregon"),
        ("notify", "Notify"),
        ("tidy", "Tidy up"),
    ];
    let mut build = queue("release", 3, 0, &jobs);
    let needs: [(usize, &[&str]); 6] = [
        (1, &["fetch"]),
        (2, &["fetch"]),
        (3, &["fetch"]),
        (4, &["lint", "unit", "docs"]),
        (5, &["pack"]),
        (6, &["upload"]),
    ];
    for (job, names) in needs {
        let need = |name: &&str| Need {
            job: JobRef::Named("release".into(), Arc::from(*name)),
            on: OutcomeCondition::Success,
        };
        let scheduling = SchedulingOptions { needs: names.iter().map(need).collect(), ..SchedulingOptions::default() };
        Arc::make_mut(&mut build.jobs[job]).scheduling = Arc::new(scheduling);
    }
    vec![build, queue("nightly", 1, 1, &[("backup", "Back up the database")])]
}

/// The release while it is being packed: the unit tests have failed once, and the upload waits.
fn releasing(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let mut harness = ScreenHarness::with_appearance(release(), width, height, appearance);
    harness.keys("g");
    harness.process("release");
    let fetch = harness.start("release");
    let tidy = harness.start("release");
    harness.advance_seconds(20);
    harness.end(fetch, Outcome::Succeeded);
    let lint = harness.start("release");
    let unit = harness.start("release");
    harness.advance_seconds(5);
    harness.end(tidy, Outcome::Cancelled);
    let docs = harness.start("release");
    harness.advance_seconds(30);
    harness.end(unit, failed("exit code 101"));
    harness.end(lint, Outcome::Succeeded);
    harness.advance_seconds(15);
    harness.execute_elsewhere(&[Command::Run { job: unit.0, force: false }]);
    let unit = harness.start("release");
    harness.advance_seconds(25);
    harness.end(docs, Outcome::Succeeded);
    harness.advance_seconds(20);
    harness.end(unit, Outcome::Succeeded);
    harness.start("release");
    harness.advance_seconds(12);
    harness
}

/// 24 runs of a job: two have failed, one took very long and needed much memory.
fn history(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let jobs = vec![queue("nightly", 1, 0, &[("backup", "Back up the database")])];
    let mut harness = ScreenHarness::with_appearance(jobs, width, height, appearance);
    for nth in 0..24_u64 {
        harness.keys("gr");
        let started = harness.start("nightly");
        let spread = nth * 7 % 11;
        let (seconds, mebibytes) = if nth == 17 { (410, 900) } else { (90 + 4 * spread, 200 + 10 * spread + 4 * nth) };
        harness.advance_seconds(i64::try_from(seconds).unwrap());
        let outcome = if [5, 21].contains(&nth) { failed("exit code 2") } else { Outcome::Succeeded };
        harness.end_report(started, report(outcome, mebibytes));
        harness.advance_seconds(24 * 3_600);
    }
    harness.keys("Ch");
    harness
}

/// A sweep of twelve jobs: nine have values, one has failed, one runs, one waits.
fn results(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let parameters: Vec<(&str, &str)> = ["0.001", "0.01", "0.1"]
        .iter()
        .flat_map(|rate| ["2", "4", "8", "16"].iter().map(|depth| (*rate, *depth)))
        .collect();
    let names: Vec<String> = (0..12).map(|nth| format!("train-{nth}")).collect();
    let titles: Vec<String> =
        parameters.iter().map(|(rate, depth)| format!("Train with rate {rate}, depth {depth}")).collect();
    let jobs: Vec<(&str, &str)> = names.iter().zip(&titles).map(|(name, title)| (&**name, &**title)).collect();
    let mut sweep = queue("sweep", 1, 0, &jobs);
    for (job, (rate, depth)) in sweep.jobs.iter_mut().zip(&parameters) {
        let values = vec![("rate".into(), (*rate).into()), ("depth".into(), (*depth).into())];
        Arc::make_mut(job).matrix =
            Some(Arc::new(MatrixValues { entry: "train".into(), values, is_item: false, version: None }));
    }
    let mut harness = ScreenHarness::with_appearance(vec![sweep], width, height, appearance);
    harness.process("sweep");
    for nth in 0..10_u32 {
        let started = harness.start("sweep");
        harness.advance_seconds(40 + i64::from(nth * 17 % 60));
        if nth == 8 {
            harness.end(started, failed("killed by SIGKILL"));
            continue;
        }
        let loss = f64::from((nth * 37 + 11) % 90) / 100.0;
        let value = json!({"loss": loss, "accuracy": 1.0 - loss / 2.0, "epochs": 20 + nth});
        harness.end_with(started, Outcome::Succeeded, Some(value));
    }
    harness.start("sweep");
    harness.advance_seconds(9);
    harness.keys("V");
    harness
}

/// A week later: one job fails, one is slower, one runs again, one is new.
fn changes(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let jobs = [
        ("backup", "Back up the database"),
        ("report", "Report"),
        ("index", "Build the search index of all documents"),
        ("mail", "Send mail"),
        ("sync", "Sync"),
    ];
    let mut harness = ScreenHarness::with_appearance(vec![queue("nightly", 1, 0, &jobs)], width, height, appearance);
    let ok = || Outcome::Succeeded;
    let weeks = [
        vec![(90, ok()), (20, failed("exit code 1")), (300, ok()), (4, ok())],
        vec![(95, failed("disk full")), (22, ok()), (1_460, ok()), (4, ok()), (11, ok())],
    ];
    for week in weeks {
        harness.process("nightly");
        for (seconds, outcome) in week {
            harness.run("nightly", seconds, outcome);
        }
        harness.execute_elsewhere(&[Command::Pause { queue: "nightly".into() }]);
        let finished: Vec<JobId> =
            harness.screen.queue().read(|queue, _| queue.jobs_in(Phase::Finished).iter().copied().collect());
        if finished.len() < jobs.len() {
            harness.execute_elsewhere(&finished.into_iter().map(|job| Command::Reset { job }).collect::<Vec<_>>());
            harness.advance_seconds(8 * 24 * 3_600);
        }
    }
    harness.keys(",");
    harness
}

#[test]
fn the_timeline() {
    assert_page("timeline", |width, height, appearance| {
        let mut harness = releasing(width, height, appearance);
        harness.keys("s");
        harness
    });
}

#[test]
fn the_needs() {
    assert_page("needs", |width, height, appearance| {
        let mut harness = releasing(width, height, appearance);
        harness.keys("m");
        harness
    });
}

#[test]
fn the_history() {
    assert_page("history", history);
}

#[test]
fn the_results() {
    assert_page("results", results);
}

#[test]
fn the_changes() {
    assert_page("changes", changes);
}
