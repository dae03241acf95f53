//! Desktop notifications: which events send one.

use setlist::model::{Command, Outcome};
use setlist::tui::config::Config;
use setlist::tui::notifications::NotificationSettings;

use super::harness::{ScreenHarness, failed, queue};

fn harness() -> ScreenHarness {
    let mut harness = ScreenHarness::new(vec![queue("build", 3, 0, &[("a", "A"), ("b", "B"), ("c", "C")])], 80, 24);
    harness.process("build");
    harness
}

#[test]
fn a_failure_and_the_end_of_a_queue_are_notified_once() {
    let mut harness = harness();
    harness.run("build", 1, Outcome::Succeeded);
    assert_eq!(harness.notified, [""; 0]);
    harness.run("build", 1, failed("exit code 3\u{1b}]0;evil\u{7}"));
    assert_eq!(harness.notified.len(), 1);
    let output = harness.notified.remove(0);
    assert!(output.starts_with("setlist: build/b failed: exit code 3"), "{output}");
    assert!(!output.contains(char::is_control), "{output:?}");
    harness.run("build", 1, Outcome::Succeeded);
    assert_eq!(harness.notified, ["setlist: build is done: 3 finished, 1 failed"]);
    harness.advance_seconds(1);
    assert_eq!(harness.notified.len(), 1);
}

#[test]
fn simultaneous_failures_are_notified_together() {
    let mut harness = harness();
    harness.start("build");
    harness.start("build");
    harness.reap_worker();
    assert_eq!(harness.notified, ["setlist: 2 jobs failed"]);
}

#[test]
fn a_queue_that_stops_early_reports_what_is_left() {
    let mut harness = harness();
    harness.run("build", 1, Outcome::Succeeded);
    harness.execute_elsewhere(&[Command::Pause { queue: "build".into() }]);
    assert_eq!(harness.notified, [""; 0], "pausing does not notify");
    harness.process("build");
    harness.execute_elsewhere(&[Command::StopProcessing { queue: "build".into() }]);
    assert_eq!(harness.notified, ["setlist: build is idle: 1 finished, 2 pending"]);
}

#[test]
fn they_are_sent_only_if_configured() {
    let notify = |text: &str| Config::parse("config.yaml", text).unwrap().notify;
    assert_eq!(notify("theme: dark"), NotificationSettings::default());
    assert_eq!(notify("notify: failed"), NotificationSettings { failed: true, drained: false });
    assert_eq!(notify("notify: [drained, failed]"), NotificationSettings { failed: true, drained: true });
    assert_eq!(notify("notify: []"), NotificationSettings::default());
    let errors = Config::parse("config.yaml", "notify: [fail]").unwrap_err().render(false);
    assert!(errors.contains("expected `failed` or `drained`, found `fail`"), "{errors}");
}
