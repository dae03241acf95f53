//! The form for the inputs of a queue: what it asks, what it refuses, and what the jobs get.

use std::num::NonZero;
use std::sync::Arc;

use ratatui::layout::Position;
use setlist::model::{
    Command, DesiredQueue, EnvironmentId, InputDeclaration, InputType, InputValues, Outcome, QueueMode, RequestInputs,
};
use setlist::tui::effect::Submission;
use setlist::tui::message::Message;
use setlist::tui::mouse::{MouseAction, MouseInput};
use setlist::tui::theme::{Appearance, Palette};

use super::harness::{ScreenHarness, queue};
use super::mode;

fn input(name: &str, input_type: InputType, default: Option<&str>, description: &str) -> InputDeclaration {
    let (default, description) = (default.map(str::to_owned), description.to_owned());
    InputDeclaration { name: name.into(), input_type, default, description }
}

/// A queue with an input of each kind.
fn release() -> DesiredQueue {
    let mut release = queue("release", 1, 0, &[("build", "Build"), ("upload", "Upload")]);
    let options = InputType::Options(["staging", "prod", "preview"].map(str::to_owned).to_vec());
    release.settings.inputs = Arc::from([
        input("env", options, Some("staging"), "where to"),
        input("version", InputType::Text, None, "the tag to release"),
        input("replicas", InputType::Number, Some("2"), ""),
        input("dry-run", InputType::Bool, Some("false"), ""),
        input("token", InputType::Secret, None, "of the registry"),
    ]);
    release
}

fn harness(width: u16, height: u16) -> ScreenHarness {
    ScreenHarness::new(vec![release(), queue("other", 1, 1, &[("only", "")])], width, height)
}

fn given(harness: &ScreenHarness) -> Vec<(String, Option<String>)> {
    let submission: &Submission = harness.submissions.last().unwrap();
    submission.inputs.values().iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

fn values(values: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value != "SECRET").then(|| (*value).to_owned()))).collect()
}

/// Another process requests a command with these values.
fn request(harness: &mut ScreenHarness, command: Command, values: &[(&str, &str)]) {
    let inputs: InputValues = self::values(values).into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
    let environment = EnvironmentId(NonZero::new(1).unwrap());
    harness.execute_elsewhere(&[Command::Request {
        environment,
        inputs: RequestInputs::of(inputs, None),
        command: Box::new(command),
    }]);
}

macro_rules! snapshot {
    ($name:literal, $shown:expr) => {
        insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $shown);
        });
    };
}

#[test]
fn the_form_fits_every_size_and_scrolls() {
    let mut harness = harness(80, 24);
    harness.keys("p");
    let wide = harness.text();
    harness.resize(40, 10);
    let top = harness.text();
    harness.keys("<Up><Up>");
    let bottom = harness.text();
    let ascii = Appearance::new(Palette::Mono, true);
    let mut plain = ScreenHarness::with_appearance(vec![release()], 60, 18, ascii);
    plain.keys("pv1<Tab>x<Tab><Tab>abc<Enter>");
    snapshot!("input-form", [wide, top, bottom, plain.text()].join("\n\n"));
}

#[test]
fn the_values_of_the_form_go_with_the_request() {
    let mut harness = harness(80, 24);
    harness.keys("p");
    assert_eq!(mode(&harness, "release"), QueueMode::Idle, "nothing starts before the values are there");
    // The cursor is in the first field without a value.
    harness.keys("1.2q<Tab><Backspace>3<Tab><Space><Down>sesame-open<Tab><Right><Enter>");
    assert_eq!(mode(&harness, "release"), QueueMode::Processing);
    assert_eq!((harness.message().as_str(), harness.worker_spawns()), ("Processing release.", 1));
    let all = [("dry-run", "true"), ("env", "prod"), ("replicas", "3"), ("token", "SECRET"), ("version", "1.2q")];
    assert_eq!(given(&harness), values(&all));
    assert!(!format!("{:?}", harness.submissions).contains("sesame"), "{:?}", harness.submissions);
    harness.keys("p");
    assert_eq!(mode(&harness, "release"), QueueMode::Paused, "pausing asks nothing");
}

#[test]
fn wrong_values_are_refused_under_their_field() {
    let mut harness = harness(80, 24);
    harness.keys("p<Enter>");
    let text = harness.text();
    assert_eq!(text.matches("✗ A value is required.").count(), 2, "{text}");
    harness.keys("v1");
    assert_eq!(harness.text().matches("✗ A value is required.").count(), 1, "an edited field is not wrong any more");
    harness.keys("<Tab>x<Tab>");
    assert!(harness.text().contains("✗ Expected a number."), "{}", harness.text());
    harness.keys("<Tab>open<Enter>");
    let text = harness.text();
    assert!(text.contains("✗ A secret needs at least 6 characters.") && !text.contains("open"), "{text}");
    assert!(text.contains("••••"), "{text}");
    assert!(harness.submissions.iter().all(|submission| submission.inputs.values().is_empty()));
    harness.keys("<Esc>");
    assert_eq!(harness.message(), "Nothing was started.");
    assert_eq!(mode(&harness, "release"), QueueMode::Idle);
    harness.keys("p");
    assert!(!harness.text().contains("Nothing was started."), "{}", harness.text());
    harness.keys("<Esc>");
    harness.keys("]p");
    assert_eq!(mode(&harness, "other"), QueueMode::Processing, "a queue without inputs asks nothing");
}

#[test]
fn a_queue_offers_the_values_of_its_last_run_and_a_job_keeps_them() {
    let mut harness = harness(80, 24);
    let first = [("version", "1.1"), ("env", "prod"), ("token", "SECRET")];
    request(&mut harness, Command::Process { queue: "release".into() }, &first);
    harness.run("release", 1, Outcome::Succeeded);
    harness.keys("p");
    assert_eq!(mode(&harness, "release"), QueueMode::Paused);
    harness.keys("p");
    let text = harness.text();
    assert!(text.contains("the tag to release · last: 1.1") && text.contains("where to · last: prod"), "{text}");
    assert!(text.contains("< staging >  1 of 3"), "the defaults are filled in: {text}");
    harness.keys("<^r>");
    assert!(harness.text().contains("< prod >  2 of 3"), "{}", harness.text());
    harness.keys("<Up><Up>sesame-open<Enter>");
    assert_eq!(given(&harness)[1], ("env".to_owned(), Some("prod".to_owned())));
    // A job that runs again starts with the values of its last run.
    harness.keys("pr");
    assert!(harness.text().contains("─ Run release/build ─"), "{}", harness.text());
    assert!(harness.text().contains("< prod >  2 of 3"), "{}", harness.text());
    harness.keys("sesame-open<Enter>");
    assert_eq!(given(&harness)[4], ("version".to_owned(), Some("1.1".to_owned())));
}

#[test]
fn a_queue_without_pending_jobs_asks_for_nothing() {
    let mut empty = release();
    empty.jobs.clear();
    let mut harness = ScreenHarness::new(vec![empty], 80, 24);
    harness.keys("p");
    assert_eq!(harness.message(), "release has no pending jobs.");
}

#[test]
fn several_queues_and_jobs_share_a_form() {
    let mut other = queue("other", 1, 1, &[("only", "")]);
    other.settings.inputs =
        Arc::from([input("version", InputType::Number, None, ""), input("region", InputType::Text, Some("eu"), "")]);
    let mut harness = ScreenHarness::new(vec![release(), other], 80, 24);
    harness.keys("P");
    let text = harness.text();
    assert!(text.contains("─ Start 2 queues ─") && text.contains("region"), "{text}");
    assert_eq!(text.matches("version").count(), 1, "{text}");
    harness.keys("v1<Up><Up><Up>token1<Enter>");
    assert!(harness.text().contains("✗ Expected a number."), "of the other queue: {}", harness.text());
    harness.keys("<Backspace><Backspace>7<Enter>");
    assert_eq!((mode(&harness, "release"), mode(&harness, "other")), (QueueMode::Processing, QueueMode::Processing));
    // Marked jobs: only what they lack is asked for.
    let mut harness = self::harness(80, 24);
    harness.keys("<Space><Space>ry");
    let text = harness.text();
    assert!(text.contains("─ Run 2 jobs ─") && text.contains("version") && !text.contains("replicas"), "{text}");
}

#[test]
fn the_mouse_chooses_fields_and_options() {
    let mut harness = harness(80, 24);
    harness.keys("p");
    let click = |harness: &mut ScreenHarness, text: &str| {
        let shown = harness.text();
        let (y, line) = (0..).zip(shown.lines()).find(|(_, line)| line.contains(text)).unwrap();
        let x = line.split(text).next().unwrap().chars().count();
        let at = Position { x: u16::try_from(x).unwrap(), y };
        harness.send(Message::Mouse(MouseInput { at, action: MouseAction::Click }));
    };
    click(&mut harness, " >  1 of 3");
    click(&mut harness, "[ ] false");
    click(&mut harness, "replicas");
    harness.keys("0");
    let text = harness.text();
    assert!(text.contains("< prod >") && text.contains("[x] true") && text.contains("replicas  20"), "{text}");
    harness.send(Message::Mouse(MouseInput { at: Position { x: 40, y: 10 }, action: MouseAction::WheelUp }));
    harness.send(Message::Paste("v\n1".to_owned()));
    assert!(harness.text().contains("v 1"), "{}", harness.text());
    click(&mut harness, "Enter");
    assert!(harness.text().contains("✗ A value is required."), "{}", harness.text());
    click(&mut harness, "Esc");
    assert_eq!(harness.message(), "Nothing was started.");
}
