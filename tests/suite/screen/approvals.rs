//! Approvals as things to do: counted in the header, a key away, and never in the way of the key that processes.

use std::sync::Arc;

use ratatui::layout::Position;
use setlist::model::{QueueMode, SchedulingOptions};
use setlist::tui::message::Message;
use setlist::tui::mouse::{MouseAction, MouseInput};

use super::harness::{ScreenHarness, queue};
use super::mode;

/// Two queues; the first job of `deploy` and the second of `build` need approval.
fn harness() -> ScreenHarness {
    let mut build = queue("build", 2, 0, &[("unit", "Unit tests"), ("sign", "Sign it")]);
    let mut deploy = queue("deploy", 1, 1, &[("prod", "Production")]);
    for job in [&mut build.jobs[1], &mut deploy.jobs[0]] {
        let scheduling = SchedulingOptions { confirm: Some("Sure?".into()), ..SchedulingOptions::default() };
        Arc::make_mut(job).scheduling = Arc::new(scheduling);
    }
    ScreenHarness::new(vec![build, deploy], 100, 30)
}

fn header(harness: &mut ScreenHarness) -> String {
    harness.text().lines().next().unwrap().to_owned()
}

#[test]
fn jobs_that_need_approval_are_counted_and_found_with_a_key() {
    let mut harness = harness();
    harness.keys("A");
    assert_eq!(harness.message(), "No job needs approval now.");
    assert!(!header(&mut harness).contains("approve"), "nothing is being processed");
    harness.process("build");
    harness.process("deploy");
    assert!(header(&mut harness).contains("A 1 to approve"), "another job is ahead: {}", header(&mut harness));
    harness.start("build");
    assert!(header(&mut harness).contains("A 2 to approve"), "{}", header(&mut harness));
    harness.keys("A");
    assert_eq!(harness.selected_job_name().as_deref(), Some("sign"));
    harness.keys("A");
    assert_eq!(harness.selected_job_name().as_deref(), Some("prod"));
    assert_eq!(harness.screen.queue().id().as_str(), "deploy");
    harness.keys("A");
    assert_eq!(harness.selected_job_name().as_deref(), Some("sign"), "around");
    harness.keys("yy");
    assert!(header(&mut harness).contains("A 1 to approve"), "{}", header(&mut harness));
    let x = header(&mut harness).find("to approve").unwrap();
    let at = Position { x: u16::try_from(header(&mut harness)[..x].chars().count()).unwrap(), y: 0 };
    harness.send(Message::Mouse(MouseInput { at, action: MouseAction::Click }));
    assert_eq!(harness.selected_job_name().as_deref(), Some("prod"));
}

#[test]
fn approvals_are_not_in_the_way_of_processing() {
    let mut harness = harness();
    harness.keys("p");
    assert_eq!((mode(&harness, "build"), harness.question()), (QueueMode::Processing, String::new()));
    harness.keys("p");
    assert_eq!((mode(&harness, "build"), harness.question()), (QueueMode::Paused, String::new()));
}
