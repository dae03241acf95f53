//! Why a job failed, on the screen: in its row and in its details, with what usually helps and what the run used.

use std::time::Duration;

use setlist::model::{Cause, CauseKind, DiskUsage, Outcome, RunReport, TreeUsage, Usage};
use setlist::tui::effect::EditorPosition;

use super::harness::{ScreenHarness, failed, queue};

/// A screen on which a job has failed with this cause.
fn failed_with(cause: Cause, width: u16, height: u16) -> ScreenHarness {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("copy", "Copy")])], width, height);
    harness.process("build");
    let started = harness.start("build");
    harness.advance_seconds(2);
    let usage = Usage {
        user: Duration::from_millis(1100),
        system: Duration::from_millis(250),
        peak_memory: 120 << 20,
        is_peak_bound: false,
        io: Some(DiskUsage { read: 1 << 20, written: 0 }),
        tree: TreeUsage::default(),
    };
    let report = RunReport {
        cause: Some(Box::new(cause)),
        usage: Some(Box::new(usage)),
        ..RunReport::new(failed("exit code 1"))
    };
    harness.end_report(started, report);
    harness
}

#[test]
fn a_row_says_why_a_job_failed() {
    let cause = Cause::new(CauseKind::DiskFull, "cp: error writing x: No space left on device");
    let mut harness = failed_with(cause, 120, 30);
    let text = harness.text();
    let row = text.lines().find(|line| line.contains("✗ Copy")).unwrap();
    assert!(row.contains("disk full: c"), "{text}");
    let cause = "· started 12:00:00 · disk full: cp: error writing x: No space left on device";
    assert!(text.contains(cause), "the line of the selected job has more room: {text}");
    // The row has no room for the program's last line.
    let mut harness = failed_with(Cause::new(CauseKind::Exited, "cannot open the door"), 120, 30);
    let text = harness.text();
    let row = text.lines().find(|line| line.contains("✗ Copy")).unwrap();
    assert!(row.contains("exit code 1"), "{text}");
    assert!(text.contains("last error: cannot open the door"), "{text}");
}

#[test]
fn the_details_have_the_cause_the_fix_and_what_was_used() {
    let cause = Cause::new(CauseKind::OutOfMemory, "sort: memory exhausted").with_limit(Some("4.0 GiB".to_owned()));
    let mut harness = failed_with(cause, 110, 30);
    harness.keys("v");
    let text = harness.text();
    for part in [
        "Cause  out of memory (limit 4.0 GiB): sort: memory exhausted",
        "Fix    Raise `limits.memory`, if the job needs more. E edits `limits.memory`, r runs it again.",
        "Used   1.3s CPU (1.1s user, 0.2s system), 120 MiB memory, 1.0 MiB read, 0 B written",
    ] {
        let shown = part.chars().take(45).collect::<String>();
        assert!(text.contains(&shown), "{part}: {text}");
    }
}

#[test]
fn one_key_edits_the_field_that_fixes_a_failure() {
    let cause = Cause::new(CauseKind::OutOfMemory, "").with_limit(Some("4.0 GiB".to_owned()));
    let mut harness = failed_with(cause, 200, 30);
    assert!(harness.text().contains(" E fix"), "{}", harness.text());
    harness.keys("E");
    let field: &[&str] = &["limits", "memory"];
    let position = EditorPosition::Field { queue: "build".into(), name: "copy".into(), field };
    assert_eq!(harness.editor_positions, [position]);
    // What no field fixes has no such key.
    let mut harness = failed_with(Cause::new(CauseKind::DiskFull, "cp: error writing x"), 200, 30);
    assert!(!harness.text().contains(" E fix"), "{}", harness.text());
    harness.keys("E");
    assert!(harness.text().contains("No field of jobs.yaml fixes this failure. Press e to edit the job."));
    assert!(harness.editor_positions.is_empty());
}

#[test]
fn a_success_has_no_cause() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("copy", "Copy")])], 110, 30);
    harness.process("build");
    harness.run("build", 1, Outcome::Succeeded);
    harness.keys("v");
    let text = harness.text();
    assert!(!text.contains("Cause") && !text.contains("Fix "), "{text}");
}
