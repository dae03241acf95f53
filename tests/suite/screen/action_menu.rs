//! The action menu and the help: fuzzy search, running an action with Enter, reasons why one is unavailable.

use setlist::model::{Outcome, Phase, QueueMode};
use setlist::tui::action::{Action, TABLE};
use setlist::tui::keymap::Keymap;

use super::harness::{ScreenHarness, queue};

fn harness() -> ScreenHarness {
    ScreenHarness::new(vec![queue("build", 2, 0, &[("lint", "Lint"), ("unit", "")]), queue("ship", 1, 1, &[])], 140, 40)
}

/// The line of the screen that contains this text.
#[track_caller]
fn line(harness: &mut ScreenHarness, part: &str) -> String {
    let text = harness.text();
    text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part:?} in\n{text}")).to_owned()
}

#[test]
fn a_few_letters_find_an_action_and_enter_runs_it() {
    let mut harness = harness();
    harness.keys(":proc");
    assert!(line(&mut harness, "›").contains("process this queue"), "the best match is chosen: {}", harness.text());
    assert_eq!(harness.message(), "action: proc");
    harness.keys("<Enter>");
    let mode = harness.screen.queue().read(|record, _| record.mode);
    assert_eq!((mode, harness.message().as_str()), (QueueMode::Processing, "Processing build."));
    harness.keys(":klsl");
    assert!(harness.text().contains("No matching action") || harness.text().contains("›"));
    harness.keys("<^u>queue 2<Enter>");
    assert_eq!(harness.screen.queue().id().as_str(), "ship");
}

#[test]
fn letters_scattered_over_a_help_text_find_nothing() {
    let mut harness = harness();
    harness.keys(":pro");
    let text = harness.text();
    assert!(text.contains("process this queue") && !text.contains("stop following"), "{text}");
    harness.keys("<^u>clrfin");
    assert!(line(&mut harness, "›").contains("remove all shown finished jobs"), "{}", harness.text());
}

#[test]
fn a_match_at_the_start_of_a_word_ranks_first() {
    let mut harness = harness();
    harness.keys(":pau");
    assert!(line(&mut harness, "›").contains("or pause it"), "{}", harness.text());
}

#[test]
fn an_unavailable_action_says_why_before_and_after_it_is_tried() {
    let mut harness = harness();
    harness.keys(":kill");
    let text = harness.text();
    assert!(text.contains("· #1 is pending, not running. Press x to cancel it."), "{text}");
    harness.keys("<Enter>");
    assert_eq!(harness.message(), "#1 is pending, not running. Press x to cancel it.");
    harness.process("build");
    harness.run("build", 1, Outcome::Succeeded);
    harness.keys("pg:cancel");
    let cancel = line(&mut harness, "cancel the selected");
    assert!(cancel.ends_with("#1 is finished: there is nothing to cancel."), "as the store would say: {cancel}");
    harness.keys("<^u>undo");
    assert!(line(&mut harness, "undo the last").ends_with("Nothing was removed in the last 10 seconds."));
    harness.keys("<Esc>d:undo");
    assert!(line(&mut harness, "undo the last").trim_end().ends_with("for 10 seconds"), "now it is available");
}

#[test]
fn checking_availability_changes_nothing() {
    let mut harness = harness();
    harness.process("build");
    harness.start("build");
    let before = harness.screen.queue().site().read(Clone::clone);
    for _ in 0..TABLE.len() {
        harness.keys(":").text();
        harness.keys("<Down>").text();
        harness.keys("<Esc>");
    }
    assert_eq!(harness.screen.queue().site().read(Clone::clone), before);
    assert_eq!(harness.exit_reason, None);
}

#[test]
fn the_help_is_searched_and_runs_actions() {
    let mut harness = harness();
    harness.keys("?");
    assert!(harness.text().contains("Jobs and queues"));
    harness.keys("/process all");
    let text = harness.text();
    assert!(text.contains("process all queues") && !text.contains("cancel the selected"), "{text}");
    harness.keys("<Esc>");
    assert!(harness.text().contains("Jobs and queues"), "the first Esc ends the search");
    harness.keys("<Esc>");
    assert!(harness.text().contains("Pending"));
    harness.keys("?/remove the job<Enter>");
    assert_eq!(harness.message(), "Removed 1 job. Press u to undo.");
    harness.keys("?jjk<Enter>");
    assert_eq!(harness.message(), "Processing build.", "the first match is this queue");
}

#[test]
fn configured_keys_are_shown_everywhere() {
    let mut keymap = Keymap::default();
    keymap.set(Action::Remove, vec!["^x".parse().unwrap(), "Del".parse().unwrap()]);
    keymap.set(Action::Undo, Vec::new());
    let mut harness = ScreenHarness::with_keys(vec![queue("build", 1, 0, &[("lint", ""), ("unit", "")])], keymap);
    assert!(harness.text().contains("^x remove"), "{}", harness.text());
    harness.keys("d");
    assert_eq!(harness.message(), "d does nothing here. Press ? to show all keys.");
    harness.keys("<^x>");
    assert_eq!(harness.message(), "Removed 1 job. Press :undo to undo.");
    harness.keys("<Del>:undo<Enter>");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 1);
    harness.keys("?");
    assert!(harness.text().contains("^x Del"), "{}", harness.text());
}

#[test]
fn the_reason_why_the_selected_action_is_unavailable_is_shown_in_full() {
    let why = "Nothing was removed in the last 10 seconds.";
    for (width, height, keys, row) in [
        (80, 24, ":undo", "undo the last removal, for 10 seconds"),
        (80, 24, "?/undo", "undo the last removal, for 10 seconds"),
        (60, 18, ":undo", "undo the last removal, for 10 seconds"),
    ] {
        let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], width, height);
        let text = harness.keys(keys).text();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let chosen = lines.iter().position(|line| line.contains('›')).unwrap();
        assert!(lines[chosen].ends_with(row), "{text}");
        assert_eq!(lines[chosen + 1].trim(), format!("· {why}"), "{text}");
    }
    // Where both fit, they share a row.
    let mut harness = harness();
    harness.keys(":undo");
    assert!(line(&mut harness, "›").trim_end().ends_with(&format!("for 10 seconds · {why}")));

    // For other actions the reason is truncated to leave space for the description.
    let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], 80, 24);
    harness.keys("0:pau<Down>");
    let row = line(&mut harness, "process this queue");
    assert!(row.contains("  process this queue, or … · All queues are shown. Press ] or 1…"), "{row}");

    // Even on a small screen the whole reason is visible, wrapped at words.
    let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], 40, 10);
    harness.keys(":");
    for _ in 0..TABLE.len() {
        let text = harness.keys("<Down>").text();
        let chosen: Vec<&str> = text.lines().skip_while(|line| !line.contains('›')).collect();
        assert!(!chosen.is_empty(), "{text}");
    }
    harness.keys("<^u>kill");
    let text = harness.text();
    let reason: Vec<&str> =
        text.lines().skip_while(|line| !line.contains('›')).skip(1).take(2).map(str::trim).collect();
    assert_eq!(reason, ["· #1 is pending, not running. Press", "x to cancel it."], "{text}");
}

#[test]
fn the_help_is_wrapped_on_a_narrow_screen() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("lint", "Lint")])], 40, 24);
    let text = harness.keys("?").text();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let first =
        lines.iter().position(|line| line.ends_with("process this queue, or")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(lines[first + 1], "pause it", "{text}");
    // The last line is that of the keys.
    assert!(!lines[..lines.len() - 1].iter().any(|line| line.contains('…')), "{text}");
}

#[test]
fn the_last_help_entry_is_visible_with_its_reason() {
    let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], 60, 18);
    harness.keys("?");
    let mut reasons = 0;
    for _ in 0..TABLE.len() {
        let text = harness.keys("j").text();
        let lines: Vec<&str> = text.lines().collect();
        let chosen = lines.iter().position(|line| line.contains('›')).unwrap_or_else(|| panic!("{text}"));
        reasons += usize::from(lines[chosen + 1].trim_start().starts_with('·'));
    }
    assert!(reasons > 5, "only {reasons}");
}
