//! Reported progress, as bars beside the running jobs.

use setlist::model::{JobId, Outcome, RunId};
use setlist::tui::keys::KeyPress;
use setlist::tui::message::Message;

use super::harness::{ScreenHarness, queue};

fn harness(width: u16, height: u16) -> (ScreenHarness, Vec<(JobId, RunId)>) {
    let jobs = [("a", "Alpha"), ("b", "Beta"), ("c", "Gamma")];
    let mut harness = ScreenHarness::new(vec![queue("q", 3, 0, &jobs)], width, height);
    harness.process("q");
    let started = (0..3).map(|_| harness.start("q")).collect();
    (harness, started)
}

fn row(harness: &mut ScreenHarness, title: &str) -> String {
    let text = harness.text();
    let row = text.lines().find(|line| line.contains(title) && line.contains('▸'));
    row.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn every_visible_job_shows_its_progress() {
    let (mut harness, started) = harness(120, 40);
    harness.append_output(started[0].1, "compiling\r\n\x1b]9;4;1;40\x07");
    harness.append_output(started[1].1, "\x1b]9;4;3\x1b\\");
    assert!(row(&mut harness, "Alpha").contains("━━━━──────  40%") || row(&mut harness, "Alpha").contains("─ 40%"));
    assert!(row(&mut harness, "Beta").contains("working"));
    assert!(!row(&mut harness, "Gamma").contains('%'));
    harness.append_output(started[0].1, "\x1b]9;4;1;4");
    assert!(row(&mut harness, "Alpha").contains("40%"), "an incomplete report is ignored");
    harness.append_output(started[0].1, "5\x07");
    assert!(row(&mut harness, "Alpha").contains("45%"));
    harness.append_output(started[1].1, "\x1b]9;4;2;70\x07");
    assert!(row(&mut harness, "Beta").contains("70% error"));
    harness.append_output(started[0].1, "\x1b]9;4;0\x07");
    assert!(!row(&mut harness, "Alpha").contains('%'));
}

#[test]
fn reports_are_found_before_much_output() {
    let (mut harness, started) = harness(80, 24);
    harness.append_output(started[1].1, &format!("\x1b]9;4;1;10\x07{}", "noise\n".repeat(20_000)));
    assert!(row(&mut harness, "Beta").contains("10%"), "{}", harness.text());
    harness.append_output(started[1].1, &format!("{}\x1b]9;4;1;90\x07", "noise\n".repeat(100_000)));
    assert!(row(&mut harness, "Beta").contains("90%"), "{}", harness.text());
}

#[test]
fn selecting_a_visible_job_shows_its_output_at_once() {
    let (mut harness, started) = harness(80, 24);
    harness.append_output(started[0].1, "from alpha\n");
    harness.append_output(started[1].1, "from beta\n");
    harness.keys("g");
    let first = harness.selected_job_name();
    assert!(harness.text().contains("from alpha"), "{}", harness.text());
    // Nothing else is requested.
    let effects = harness.screen.handle(Message::Key(KeyPress::parse_sequence("j").unwrap()[0]), harness.now);
    assert!(effects.is_empty(), "{effects:?}");
    assert_ne!(harness.selected_job_name(), first);
    let text = harness.text();
    assert!(text.contains("from beta") && !text.contains("from alpha"), "{text}");
    // Later output is shown too.
    harness.append_output(started[1].1, "more\n");
    assert!(harness.text().contains("more"), "{}", harness.text());
}

#[test]
fn only_visible_runs_are_subscribed_to() {
    let jobs: Vec<(String, String)> = (0..60).map(|n| (format!("j{n}"), format!("Job {n}"))).collect();
    let jobs: Vec<_> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    let mut harness = ScreenHarness::new(vec![queue("q", 60, 0, &jobs)], 120, 40);
    harness.process("q");
    let started: Vec<_> = (0..60).map(|_| harness.start("q")).collect();
    assert!(harness.subscribed_runs.len() < 40, "{:?}", harness.subscribed_runs);
    for run in &started {
        harness.append_output(run.1, "\x1b]9;4;1;33\x07");
    }
    harness.keys("G");
    assert!(harness.subscribed_runs.contains(&started[59].1) && !harness.subscribed_runs.contains(&started[0].1));
    assert!(row(&mut harness, "Job 59").contains("33%"));
    for run in started {
        harness.end(run, Outcome::Succeeded);
    }
    assert_eq!(harness.subscribed_runs, [], "there are no subscriptions when nothing runs");
}
