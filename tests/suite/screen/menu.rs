//! The palette and the help: found by a few letters, run with Enter, and what can't be done says why.

use setlist::model::{Mode, Outcome, Phase};
use setlist::tui::action::{Action, TABLE};
use setlist::tui::keymap::Keymap;

use super::stage::{Stage, queue};

fn stage() -> Stage {
    Stage::new(vec![queue("build", 2, 0, &[("lint", "Lint"), ("unit", "")]), queue("ship", 1, 1, &[])], 140, 40)
}

/// The line of the screen that has this text.
#[track_caller]
fn line(stage: &mut Stage, part: &str) -> String {
    let text = stage.text();
    text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part:?} in\n{text}")).to_owned()
}

#[test]
fn a_few_letters_find_an_action_and_enter_does_it() {
    let mut stage = stage();
    stage.keys(":proc");
    assert!(line(&mut stage, "›").contains("process this queue"), "the best match is chosen: {}", stage.text());
    assert_eq!(stage.message(), "action: proc");
    stage.keys("<Enter>");
    let mode = stage.screen.queue().read(|record, _| record.mode);
    assert_eq!((mode, stage.message().as_str()), (Mode::Processing, "processing build"));
    stage.keys(":klsl");
    assert!(stage.text().contains("no action matches") || stage.text().contains("›"));
    stage.keys("<^u>queue 2<Enter>");
    assert_eq!(stage.screen.queue().id().as_str(), "ship");
}

#[test]
fn letters_scattered_over_a_help_text_find_nothing() {
    let mut stage = stage();
    stage.keys(":pro");
    let text = stage.text();
    assert!(text.contains("process this queue") && !text.contains("hold it"), "{text}");
    stage.keys("<^u>clrfin");
    assert!(line(&mut stage, "›").contains("remove all finished jobs"), "{}", stage.text());
}

#[test]
fn the_beginning_of_a_word_is_meant_before_letters_that_a_name_happens_to_have() {
    let mut stage = stage();
    stage.keys(":pau");
    assert!(line(&mut stage, "›").contains("or pause it"), "{}", stage.text());
}

#[test]
fn what_cannot_be_done_says_why_before_and_after() {
    let mut stage = stage();
    stage.keys(":kill");
    let kill = line(&mut stage, "kill the running job");
    assert!(kill.ends_with("#1 is pending: there is no process to kill; x cancels it"), "{kill}");
    stage.keys("<Enter>");
    assert_eq!(stage.message(), "#1 is pending: there is no process to kill; x cancels it");
    stage.process("build");
    stage.run("build", 1, Outcome::Succeeded);
    stage.keys("pg:cancel");
    let cancel = line(&mut stage, "cancel the job");
    assert!(cancel.ends_with("#1 is finished: there is nothing to cancel"), "as the store would say: {cancel}");
    stage.keys("<^u>undo");
    assert!(line(&mut stage, "undo the last").ends_with("nothing was removed in the last 10 s"));
    stage.keys("<Esc>d:undo");
    assert!(line(&mut stage, "undo the last").trim_end().ends_with("for 10 s"), "now it can be done");
}

#[test]
fn asking_beforehand_changes_nothing() {
    let mut stage = stage();
    stage.process("build");
    stage.start("build");
    let before = stage.screen.queue().site().read(Clone::clone);
    for _ in 0..TABLE.len() {
        stage.keys(":").text();
        stage.keys("<Down>").text();
        stage.keys("<Esc>");
    }
    assert_eq!(stage.screen.queue().site().read(Clone::clone), before);
    assert_eq!(stage.left, None);
}

#[test]
fn the_help_is_searched_and_does_what_it_shows() {
    let mut stage = stage();
    stage.keys("?");
    assert!(stage.text().contains("Jobs and queues"));
    stage.keys("/process all");
    let text = stage.text();
    assert!(text.contains("process all queues") && !text.contains("cancel the job"), "{text}");
    stage.keys("<Esc>");
    assert!(stage.text().contains("Jobs and queues"), "Esc ends the search first");
    stage.keys("<Esc>");
    assert!(stage.text().contains("Pending"));
    stage.keys("?/remove the job<Enter>");
    assert_eq!(stage.message(), "removed 1 job; u undoes");
    stage.keys("?jjk<Enter>");
    assert_eq!(stage.message(), "processing build", "the second line is for all queues that wait");
}

#[test]
fn other_keys_are_shown_wherever_keys_are_shown() {
    let mut keymap = Keymap::default();
    keymap.set(Action::Remove, vec!["^x".parse().unwrap(), "Del".parse().unwrap()]);
    keymap.set(Action::Undo, Vec::new());
    let mut stage = Stage::with_keys(vec![queue("build", 1, 0, &[("lint", ""), ("unit", "")])], keymap);
    assert!(stage.text().contains("^x remove"), "{}", stage.text());
    stage.keys("d");
    assert_eq!(stage.message(), "d does nothing here; ? shows all keys");
    stage.keys("<^x>");
    assert_eq!(stage.message(), "removed 1 job; :undo undoes");
    stage.keys("<Del>:undo<Enter>");
    assert_eq!(stage.shown(Phase::Pending).len(), 1);
    stage.keys("?");
    assert!(stage.text().contains("^x Del"), "{}", stage.text());
}

#[test]
fn why_the_chosen_action_cannot_be_done_is_told_whole() {
    let why = "nothing was removed in the last 10 s";
    for (width, height, keys, row) in [
        (80, 24, ":undo", "undo the last removal, for 10 s"),
        (80, 24, "?/undo", "undo the last removal, for 10 s"),
        (60, 18, ":undo", "undo the last removal, for 10 s"),
    ] {
        let mut stage = Stage::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], width, height);
        let text = stage.keys(keys).text();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let chosen = lines.iter().position(|line| line.contains('›')).unwrap();
        assert!(lines[chosen].ends_with(row), "{text}");
        assert_eq!(lines[chosen + 1].trim(), format!("· {why}"), "{text}");
    }
    // Where both fit, they share a row.
    let mut stage = stage();
    stage.keys(":undo");
    assert!(line(&mut stage, "›").trim_end().ends_with(&format!("for 10 s · {why}")));

    // Of the others as much of the reason is told as leaves enough of what they do.
    let mut stage = Stage::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], 80, 24);
    stage.keys("0:pau<Down>");
    let row = line(&mut stage, "process this queue");
    assert!(row.contains("  process this queue, or … · all queues are shown; ] or 1 shows…"), "{row}");

    // However little room there is, it is in view, in lines of whole words.
    let mut stage = Stage::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], 40, 10);
    stage.keys(":");
    for _ in 0..TABLE.len() {
        let text = stage.keys("<Down>").text();
        let chosen: Vec<&str> = text.lines().skip_while(|line| !line.contains('›')).collect();
        assert!(!chosen.is_empty(), "{text}");
    }
    stage.keys("<^u>kill");
    let text = stage.text();
    let told: Vec<&str> = text.lines().skip_while(|line| !line.contains('›')).skip(1).take(2).map(str::trim).collect();
    assert_eq!(told, ["· #1 is pending: there is no process", "to kill; x cancels it"], "{text}");
}

#[test]
fn the_last_of_the_help_is_in_view_with_why_it_cannot_be_done() {
    let mut stage = Stage::new(vec![queue("build", 2, 0, &[("lint", "Lint")])], 60, 18);
    stage.keys("?");
    let mut told = 0;
    for _ in 0..TABLE.len() {
        let text = stage.keys("j").text();
        let lines: Vec<&str> = text.lines().collect();
        let chosen = lines.iter().position(|line| line.contains('›')).unwrap_or_else(|| panic!("{text}"));
        told += usize::from(lines[chosen + 1].trim_start().starts_with('·'));
    }
    assert!(told > 5, "only {told}");
}
