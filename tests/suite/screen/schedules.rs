//! Schedules on the screen: when a queue and a job are due, and what became of earlier due times.

use std::sync::Arc;
use std::time::Duration;

use setlist::model::{
    Command, DesiredQueue, Failure, FailureKind, MissedPolicy, Outcome, OverlapPolicy, QueueSettings, Recurrence,
    Schedule,
};

use super::harness::{ScreenHarness, queue};

fn nightly() -> DesiredQueue {
    let queue = queue("nightly", 1, 0, &[("backup", "Back up"), ("report", "Report")]);
    let schedule = Schedule {
        times: vec![Recurrence::parse("@every 1h", chrono_tz::UTC).unwrap()],
        jitter: Duration::ZERO,
        missed: MissedPolicy::Once,
        overlap: OverlapPolicy::Skip,
    };
    let settings = QueueSettings { schedule: Some(Arc::new(schedule)), ..queue.settings };
    DesiredQueue { settings, ..queue }
}

#[test]
fn the_tab_and_the_rows_show_when_a_queue_is_due() {
    let mut harness = ScreenHarness::new(vec![nightly()], 120, 30);
    let text = harness.text();
    assert!(text.starts_with(" 1 nightly 0/1 next at "), "{text}");
    assert!(text.contains("Back up  ") && text.contains("  next at "), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("   next at ")).count(), 2, "each row: {text}");
}

#[test]
fn the_details_show_the_schedule_and_what_became_of_due_times() {
    let mut harness = ScreenHarness::new(vec![nightly()], 120, 40);
    harness.advance_seconds(3 * 3600);
    harness.execute_elsewhere(&[Command::PromoteDue]);
    harness.run("nightly", 1, Outcome::Succeeded);
    harness.keys("v");
    let text = harness.text();
    assert!(text.contains("Schedule") && text.contains("@every 1h"), "{text}");
    assert!(text.contains(" ran") && text.contains(" missed: no worker was running"), "{text}");
}

#[test]
fn the_details_show_a_calendar_of_the_last_two_weeks() {
    let mut harness = ScreenHarness::new(vec![nightly()], 120, 40);
    harness.keys("v");
    // Each day its last due time runs, at first in time; the others are missed from the second day on.
    let failed = Outcome::Failed(Failure { kind: FailureKind::Exit, message: "exit code 1".to_owned() }.into());
    for (hours, outcome) in [(1, Outcome::Succeeded), (24, Outcome::Succeeded), (48, failed)] {
        harness.advance_seconds(hours * 3600);
        harness.execute_elsewhere(&[Command::PromoteDue]);
        harness.run("nightly", 1, Outcome::Succeeded);
        harness.run("nightly", 1, outcome);
    }
    let text = harness.text();
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {text}"));
    let legend = line("M missed");
    assert!(line("due ").contains("ran, failed"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| *line == legend).unwrap();
    let signs: Vec<&str> = lines[at - 1].split_whitespace().collect();
    let dates: Vec<&str> = lines[at - 2].split_whitespace().collect();
    assert_eq!((signs.len(), dates.len()), (14, 14), "{text}");
    assert_eq!(signs[..10], ["·"; 10], "nothing was due then: {text}");
    assert!(signs[10..].iter().all(|sign| *sign == "M"), "{text}");
}

#[test]
fn a_schedule_without_a_worker_is_reported_in_the_first_line() {
    let mut harness = ScreenHarness::new(vec![nightly()], 120, 30);
    assert!(!harness.text().contains("not kept"));
    harness.reap_worker();
    harness.text();
    harness.advance_seconds(30);
    let text = harness.text();
    let first = text.lines().next().unwrap().to_owned();
    assert!(first.contains("schedules not kept: `setlist service install`"), "{text}");
    harness.resize(80, 24);
    let text = harness.text();
    let first = text.lines().next().unwrap();
    assert!(first.contains("no worker: `setlist service install`") && first.contains("1 nightly"), "{first}");
    harness.resize(60, 24);
    assert!(harness.text().lines().next().unwrap().contains("schedules not kept"), "{}", harness.text());
}
