//! Notices for a person who looks elsewhere.

use setlist::model::{Command, Outcome};
use setlist::tui::config::Config;
use setlist::tui::notify::Notify;

use super::stage::{Stage, failed, queue};

fn stage() -> Stage {
    let mut stage = Stage::new(vec![queue("build", 3, 0, &[("a", "A"), ("b", "B"), ("c", "C")])], 80, 24);
    stage.process("build");
    stage
}

#[test]
fn a_failure_and_the_end_of_a_queue_are_told_once() {
    let mut stage = stage();
    stage.run("build", 1, Outcome::Succeeded);
    assert_eq!(stage.notified, [""; 0]);
    stage.run("build", 1, failed("exit code 3\u{1b}]0;evil\u{7}"));
    assert_eq!(stage.notified.len(), 1);
    let said = stage.notified.remove(0);
    assert!(said.starts_with("setlist: build/b failed: exit code 3"), "{said}");
    assert!(!said.contains(char::is_control), "{said:?}");
    stage.run("build", 1, Outcome::Succeeded);
    assert_eq!(stage.notified, ["setlist: build is done: 3 finished, 1 failed"]);
    stage.later(1);
    assert_eq!(stage.notified.len(), 1);
}

#[test]
fn what_fails_at_once_is_told_at_once() {
    let mut stage = stage();
    stage.start("build");
    stage.start("build");
    stage.bury();
    assert_eq!(stage.notified, ["setlist: 2 jobs failed"]);
}

#[test]
fn a_queue_that_rests_before_its_end_says_what_is_left() {
    let mut stage = stage();
    stage.run("build", 1, Outcome::Succeeded);
    stage.elsewhere(&[Command::Pause { queue: "build".into() }]);
    assert_eq!(stage.notified, [""; 0], "who pauses a queue knows");
    stage.process("build");
    stage.elsewhere(&[Command::Halt { queue: "build".into() }]);
    assert_eq!(stage.notified, ["setlist: build is idle: 1 finished, 2 pending"]);
}

#[test]
fn they_come_only_if_they_are_asked_for() {
    let notify = |text: &str| Config::parse("config.yaml", text).unwrap().notify;
    assert_eq!(notify("theme: dark"), Notify::default());
    assert_eq!(notify("notify: failed"), Notify { failed: true, drained: false });
    assert_eq!(notify("notify: [drained, failed]"), Notify { failed: true, drained: true });
    assert_eq!(notify("notify: []"), Notify::default());
    let errors = Config::parse("config.yaml", "notify: [fail]").unwrap_err().render(false);
    assert!(errors.contains("expected `failed` or `drained`, found `fail`"), "{errors}");
}
