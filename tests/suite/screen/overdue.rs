//! Overdue and stalled jobs on the screen: in the first line, the tab, the row and the details, with a word as well as a colour.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeZone, Utc};
use ratatui::style::Color;
use setlist::model::{Command, DesiredQueue, Expectation, Outcome, Phase, QueueSettings};

use super::harness::{ScreenHarness, queue};

/// A queue of which a success is expected every hour.
fn hourly() -> DesiredQueue {
    let queue = queue("nightly", 1, 0, &[("backup", "Back up"), ("report", "Report")]);
    let expect = Some(Arc::new(Expectation::Within(Duration::from_secs(3600))));
    let settings = QueueSettings { expect: expect.clone(), ..queue.settings };
    let mut jobs = queue.jobs;
    let scheduling = Arc::make_mut(&mut Arc::make_mut(&mut jobs[0]).scheduling);
    scheduling.expect = expect;
    DesiredQueue { settings, jobs, ..queue }
}

/// The colour of the first cell of this text.
fn color_of(harness: &mut ScreenHarness, text: &str) -> Option<Color> {
    let buffer = harness.buffer();
    let lines: Vec<String> = harness.text().lines().map(str::to_owned).collect();
    let (row, line) = lines.iter().enumerate().find(|(_, line)| line.contains(text)).unwrap();
    let column = line[..line.find(text).unwrap()].chars().count();
    buffer[(u16::try_from(column).unwrap(), u16::try_from(row).unwrap())].style().fg
}

#[test]
fn what_is_overdue_is_shown_in_words_and_in_red() {
    let mut harness = ScreenHarness::new(vec![hourly()], 120, 40);
    harness.process("nightly");
    harness.run("nightly", 1, Outcome::Succeeded);
    harness.run("nightly", 1, Outcome::Succeeded);
    assert!(!harness.text().contains("overdue"));
    harness.advance_seconds(3600);
    // No worker has recorded it yet, and no message has come.
    let text = harness.text();
    let first = text.lines().next().unwrap();
    assert!(first.contains(" nightly 0/1 idle ! overdue ") && first.ends_with(" ! 2 overdue"), "{text}");
    assert!(text.contains(" ! Back up") && text.contains("  overdue 13:00 "), "{text}");
    assert_eq!(color_of(&mut harness, "overdue 13:00"), Some(Color::LightRed));
    assert_eq!(color_of(&mut harness, "! overdue"), Some(Color::LightRed));
    harness.keys("jv");
    let text = harness.text();
    assert!(text.contains("Expected  within 1h") && text.contains("Expected of the queue  within 1h"), "{text}");
    assert!(text.contains("  last success ") && text.contains("succeeded, overdue since"), "{text}");
    harness.execute_elsewhere(&[Command::PromoteDue]);
    assert!(harness.text().lines().next().unwrap().ends_with(" ! 2 overdue"));
    let job = harness.listed_jobs(Phase::Finished);
    assert_eq!(job.len(), 2);
    harness.keys("r");
    harness.run("nightly", 1, Outcome::Succeeded);
    let first = harness.text().lines().next().unwrap().to_owned();
    assert!(!first.contains("2 overdue"), "{first}");
}

#[test]
fn a_stalled_job_is_shown_for_how_long() {
    let mut harness = ScreenHarness::new(vec![hourly()], 120, 40);
    harness.process("nightly");
    let (job, run) = harness.start("nightly");
    let since = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
    harness.advance_seconds(720);
    assert!(!harness.text().contains("stalled"));
    harness.execute_elsewhere(&[Command::RecordStall { job, run, since: Some(since) }]);
    let text = harness.text();
    assert!(text.contains(" stalled 12m "), "{text}");
    harness.keys("v");
    assert!(harness.text().contains("running, stalled 12m"), "{}", harness.text());
    harness.execute_elsewhere(&[Command::RecordStall { job, run, since: None }]);
    assert!(!harness.text().contains("stalled"), "{}", harness.text());
}
