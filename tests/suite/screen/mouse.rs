//! The mouse: clicks select, press tabs and key hints; the wheel scrolls.

use ratatui::layout::Position;
use setlist::model::Phase;
use setlist::tui::message::Message;
use setlist::tui::mouse::{MouseAction, MouseInput};

use super::harness::{ScreenHarness, failed, queue};

const JOBS: [(&str, &str); 5] =
    [("fetch", ""), ("lint", "Lint"), ("unit", "Unit tests"), ("doc", "Documentation"), ("pack", "Package")];

fn harness(width: u16, height: u16) -> ScreenHarness {
    ScreenHarness::new(
        vec![queue("build", 2, 0, &JOBS), queue("deploy", 1, 1, &[("prod", "Production")])],
        width,
        height,
    )
}

/// The first cell of a text.
#[track_caller]
fn position_of(harness: &mut ScreenHarness, text: &str) -> Position {
    let screen = harness.text();
    let found = screen.lines().zip(0..).find_map(|(line, row)| {
        let column = line.find(text)?;
        Some(Position::new(u16::try_from(line[..column].chars().count()).unwrap(), row))
    });
    found.unwrap_or_else(|| panic!("no {text:?} in\n{screen}"))
}

fn at(harness: &mut ScreenHarness, what: MouseAction, at: Position) {
    harness.send(Message::Mouse(MouseInput { at, action: what }));
}

#[track_caller]
fn click(harness: &mut ScreenHarness, text: &str) {
    let cell = position_of(harness, text);
    at(harness, MouseAction::Click, cell);
}

#[test]
fn a_click_selects_the_job_under_the_pointer() {
    let mut harness = harness(80, 24);
    click(&mut harness, "Documentation");
    assert_eq!(harness.selected_job_name().as_deref(), Some("doc"));
    click(&mut harness, "Lint");
    assert_eq!(harness.selected_job_name().as_deref(), Some("lint"));
    click(&mut harness, "Pending 5");
    assert_eq!(harness.selected_job_name().as_deref(), Some("lint"), "clicking a pane's title selects nothing");
}

#[test]
fn a_click_focuses_another_list_or_the_output() {
    let mut harness = harness(80, 24);
    harness.process("build");
    let run = harness.start("build");
    harness.print(run.1, "printed something\n");
    harness.end(run, failed("exit code 3"));
    harness.keys("gj");
    click(&mut harness, "fetch");
    assert_eq!((harness.focused_list(), harness.selected_job_name().as_deref()), (Phase::Finished, Some("fetch")));
    click(&mut harness, "printed something");
    assert!(harness.screen.lists().focus().output);
    click(&mut harness, "Lint");
    assert_eq!((harness.focused_list(), harness.screen.lists().focus().output), (Phase::Pending, false));
    assert_eq!(harness.selected_job_name().as_deref(), Some("lint"));
}

#[test]
fn a_click_in_a_scrolled_list_selects_the_row_that_is_drawn() {
    let jobs: Vec<(String, String)> = (0..50).map(|n| (format!("job-{n}"), format!("Number {n}."))).collect();
    let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &jobs)], 80, 24);
    harness.keys("G");
    click(&mut harness, "Number 48.");
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-48"));
    let cell = position_of(&mut harness, "Number 48.");
    for _ in 0..40 {
        at(&mut harness, MouseAction::WheelUp, cell);
    }
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-0"));
    at(&mut harness, MouseAction::WheelDown, cell);
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-3"));
}

#[test]
fn the_wheel_scrolls_the_output_and_not_the_list() {
    let mut harness = harness(80, 24);
    harness.process("build");
    let run = harness.start("build");
    for n in 0..100 {
        harness.append_output(run.1, &format!("line {n}.\n"));
    }
    let cell = position_of(&mut harness, "line 99.");
    let chosen = harness.selected_job_name();
    at(&mut harness, MouseAction::WheelUp, cell);
    let text = harness.text();
    assert!(!text.contains("line 97.") && text.contains("line 96."), "{text}");
    assert_eq!((harness.selected_job_name(), harness.screen.lists().focus().output), (chosen, false));
    at(&mut harness, MouseAction::WheelDown, cell);
    assert!(harness.text().contains("line 99."));
}

#[test]
fn tabs_are_clicked() {
    let mut wide = harness(80, 24);
    click(&mut wide, "deploy");
    assert_eq!(wide.screen.queue().id().as_str(), "deploy");
    click(&mut wide, "1 build");
    assert_eq!(wide.screen.queue().id().as_str(), "build");
    let mut small = harness(60, 18);
    click(&mut small, "Finished");
    assert_eq!(small.focused_list(), Phase::Finished);
    click(&mut small, "Pending");
    assert_eq!(small.focused_list(), Phase::Pending);
}

#[test]
fn key_hints_are_clicked_and_nothing_behind_a_prompt_is() {
    let mut harness = harness(80, 24);
    click(&mut harness, "d remove");
    assert!(!harness.listed_jobs(Phase::Pending).contains(&"fetch".to_owned()), "{}", harness.text());
    harness.process("build");
    let run = harness.start("build");
    harness.append_output(run.1, "hello\n");
    harness.keys("X");
    assert!(harness.text().contains("Esc go back"), "{}", harness.text());
    let chosen = harness.selected_job_name();
    click(&mut harness, "Documentation");
    assert_eq!(harness.selected_job_name(), chosen);
    assert!(harness.text().contains("Esc go back"), "{}", harness.text());
    harness.keys("<Esc>");
    click(&mut harness, "x cancel");
    assert!(harness.message().starts_with("Asked build/lint to stop"), "{}", harness.text());
    click(&mut harness, "q quit");
    assert!(harness.exit_reason.is_some());
}

#[test]
fn the_wheel_scrolls_the_help_and_the_action_menu() {
    let mut harness = harness(80, 24);
    click(&mut harness, "? help");
    let before = harness.text();
    at(&mut harness, MouseAction::WheelDown, Position::new(10, 10));
    assert_ne!(harness.text(), before, "the wheel moves the cursor of the menu");
    at(&mut harness, MouseAction::WheelUp, Position::new(10, 10));
    assert_eq!(harness.text(), before);
}

#[test]
fn the_mouse_is_released_and_captured_again() {
    let mut harness = harness(80, 24);
    harness.keys("M");
    assert_eq!(harness.message(), "The mouse selects text in the terminal. Press M to capture it again.");
    harness.keys("M");
    assert_eq!(harness.message(), "The mouse selects and scrolls here. Press M to release it.");
}

#[test]
fn a_click_anywhere_is_handled() {
    for (width, height) in [(39, 9), (40, 10), (60, 18), (80, 24), (200, 60)] {
        for keys in ["", "?", ":", "T", "v", "0", "a", "z"] {
            let mut harness = harness(width, height);
            for row in (0..height + 2).step_by(4) {
                for column in (0..width + 2).step_by(19) {
                    harness.keys(keys);
                    for what in [MouseAction::WheelUp, MouseAction::WheelDown, MouseAction::Click] {
                        at(&mut harness, what, Position::new(column, row));
                    }
                    harness.buffer();
                }
            }
        }
    }
}
