//! The mouse: it selects what is under it, scrolls, and presses what the tabs and hints say.

use ratatui::layout::Position;
use setlist::model::Phase;
use setlist::tui::mouse::{Mouse, Move};
use setlist::tui::wake::Wake;

use super::stage::{Stage, failed, queue};

const JOBS: [(&str, &str); 5] =
    [("fetch", ""), ("lint", "Lint"), ("unit", "Unit tests"), ("doc", "Documentation"), ("pack", "Package")];

fn stage(width: u16, height: u16) -> Stage {
    Stage::new(vec![queue("build", 2, 0, &JOBS), queue("deploy", 1, 1, &[("prod", "Production")])], width, height)
}

/// The cell where a text begins.
#[track_caller]
fn place(stage: &mut Stage, text: &str) -> Position {
    let screen = stage.text();
    let found = screen.lines().zip(0..).find_map(|(line, row)| {
        let column = line.find(text)?;
        Some(Position::new(u16::try_from(line[..column].chars().count()).unwrap(), row))
    });
    found.unwrap_or_else(|| panic!("no {text:?} in\n{screen}"))
}

fn at(stage: &mut Stage, what: Move, at: Position) {
    stage.wake(Wake::Mouse(Mouse { at, what }));
}

#[track_caller]
fn click(stage: &mut Stage, text: &str) {
    let cell = place(stage, text);
    at(stage, Move::Click, cell);
}

#[test]
fn a_click_selects_what_is_under_it() {
    let mut stage = stage(80, 24);
    click(&mut stage, "Documentation");
    assert_eq!(stage.chosen().as_deref(), Some("doc"));
    click(&mut stage, "Lint");
    assert_eq!(stage.chosen().as_deref(), Some("lint"));
    click(&mut stage, "Pending 5");
    assert_eq!(stage.chosen().as_deref(), Some("lint"), "a title is no job");
}

#[test]
fn a_click_goes_to_another_list_and_to_the_output() {
    let mut stage = stage(80, 24);
    stage.process("build");
    let run = stage.start("build");
    stage.print(run.1, "said something\n");
    stage.end(run, failed("exit code 3"));
    stage.keys("gj");
    click(&mut stage, "fetch");
    assert_eq!((stage.list(), stage.chosen().as_deref()), (Phase::Finished, Some("fetch")));
    click(&mut stage, "said something");
    assert!(stage.screen.lists().focus().output);
    click(&mut stage, "Lint");
    assert_eq!((stage.list(), stage.screen.lists().focus().output), (Phase::Pending, false));
    assert_eq!(stage.chosen().as_deref(), Some("lint"));
}

#[test]
fn a_row_is_what_it_shows_also_in_a_scrolled_list() {
    let jobs: Vec<(String, String)> = (0..50).map(|n| (format!("job-{n}"), format!("Number {n}."))).collect();
    let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    let mut stage = Stage::new(vec![queue("build", 2, 0, &jobs)], 80, 24);
    stage.keys("G");
    click(&mut stage, "Number 48.");
    assert_eq!(stage.chosen().as_deref(), Some("job-48"));
    let cell = place(&mut stage, "Number 48.");
    for _ in 0..40 {
        at(&mut stage, Move::WheelUp, cell);
    }
    assert_eq!(stage.chosen().as_deref(), Some("job-0"));
    at(&mut stage, Move::WheelDown, cell);
    assert_eq!(stage.chosen().as_deref(), Some("job-3"));
}

#[test]
fn the_wheel_scrolls_the_output_and_leaves_the_list_alone() {
    let mut stage = stage(80, 24);
    stage.process("build");
    let run = stage.start("build");
    for n in 0..100 {
        stage.says(run.1, &format!("line {n}.\n"));
    }
    let cell = place(&mut stage, "line 99.");
    let chosen = stage.chosen();
    at(&mut stage, Move::WheelUp, cell);
    let text = stage.text();
    assert!(!text.contains("line 97.") && text.contains("line 96."), "{text}");
    assert_eq!((stage.chosen(), stage.screen.lists().focus().output), (chosen, false));
    at(&mut stage, Move::WheelDown, cell);
    assert!(stage.text().contains("line 99."));
}

#[test]
fn tabs_are_clicked() {
    let mut wide = stage(80, 24);
    click(&mut wide, "deploy");
    assert_eq!(wide.screen.queue().id().as_str(), "deploy");
    click(&mut wide, "1 build");
    assert_eq!(wide.screen.queue().id().as_str(), "build");
    let mut small = stage(60, 18);
    click(&mut small, "Finished");
    assert_eq!(small.list(), Phase::Finished);
    click(&mut small, "Pending");
    assert_eq!(small.list(), Phase::Pending);
}

#[test]
fn hints_are_pressed_and_what_lies_under_a_question_is_not() {
    let mut stage = stage(80, 24);
    click(&mut stage, "d remove");
    assert!(!stage.shown(Phase::Pending).contains(&"fetch".to_owned()), "{}", stage.text());
    stage.process("build");
    let run = stage.start("build");
    stage.says(run.1, "hello\n");
    stage.keys("X");
    assert!(stage.text().contains("y/N"), "{}", stage.text());
    let chosen = stage.chosen();
    click(&mut stage, "Documentation");
    assert_eq!(stage.chosen(), chosen);
    assert!(stage.text().contains("y/N"), "{}", stage.text());
    stage.keys("<Esc>");
    click(&mut stage, "x cancel");
    assert!(stage.message().starts_with("asked #2 to stop"), "{}", stage.text());
    click(&mut stage, "q quit");
    assert!(stage.left.is_some());
}

#[test]
fn the_help_and_the_palette_are_scrolled() {
    let mut stage = stage(80, 24);
    click(&mut stage, "? help");
    let before = stage.text();
    at(&mut stage, Move::WheelDown, Position::new(10, 10));
    assert_ne!(stage.text(), before, "the wheel moves its cursor");
    at(&mut stage, Move::WheelUp, Position::new(10, 10));
    assert_eq!(stage.text(), before);
}

#[test]
fn the_mouse_is_let_go_and_taken_again() {
    let mut stage = stage(80, 24);
    stage.keys("M");
    assert_eq!(stage.message(), "the terminal has the mouse: it selects text; M takes it again");
    stage.keys("M");
    assert_eq!(stage.message(), "the mouse selects and scrolls here; M lets go of it");
}

#[test]
fn no_click_anywhere_is_too_much() {
    for (width, height) in [(39, 9), (40, 10), (60, 18), (80, 24), (200, 60)] {
        for keys in ["", "?", ":", "T", "v", "0", "a", "z"] {
            let mut stage = stage(width, height);
            for row in (0..height + 2).step_by(4) {
                for column in (0..width + 2).step_by(19) {
                    stage.keys(keys);
                    for what in [Move::WheelUp, Move::WheelDown, Move::Click] {
                        at(&mut stage, what, Position::new(column, row));
                    }
                    stage.buffer();
                }
            }
        }
    }
}
