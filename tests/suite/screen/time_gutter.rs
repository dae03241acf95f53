//! The key that shows the time of each line of output.

use setlist::model::Outcome;

use super::harness::{ScreenHarness, queue};

const OUT: &str = "12:00:00.000   compiling";
const ERR: &str = "12:00:01.000 │ warning: unused";

/// Two jobs that have printed on both streams; the second one is selected.
fn harness() -> ScreenHarness {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", ""), ("b", "")])], 80, 24);
    harness.process("build");
    for _ in 0..2 {
        let started = harness.start("build");
        harness.print_both(started.1, "compiling\n", "warning: unused\n");
        harness.end(started, Outcome::Succeeded);
    }
    harness.keys("g");
    assert!(harness.selected_job_name().is_some(), "{}", harness.text());
    harness
}

#[test]
fn t_shows_times_for_every_job() {
    let mut harness = harness();
    assert!(harness.text().contains(" compiling\n warning: unused\n"), "{}", harness.text());
    for keys in ["t", "j", "k", "<Enter>", "<Esc>"] {
        harness.keys(keys);
        let text = harness.text();
        assert!(text.contains(OUT) && text.contains(ERR), "after {keys}:\n{text}");
    }
    harness.keys("tj");
    assert!(!harness.text().contains("12:00:01.000"), "{}", harness.text());
}

#[test]
fn the_choice_of_wrapping_is_kept() {
    let mut harness = harness();
    let long = "x".repeat(200);
    let run = harness.screen.selected_job().unwrap().last_run.unwrap().id;
    harness.print(run, &long);
    harness.keys("jkw");
    let cut = |harness: &mut ScreenHarness| harness.text().contains("xx…");
    assert!(cut(&mut harness), "{}", harness.text());
    harness.keys("jk");
    assert!(cut(&mut harness), "{}", harness.text());
    harness.keys("wjk");
    assert!(!cut(&mut harness), "{}", harness.text());
}

#[test]
fn t_says_why_there_are_no_times() {
    let mut harness = harness();
    let run = harness.screen.selected_job().unwrap().last_run.unwrap().id;
    harness.remove_times(run);
    // Open it again.
    harness.keys("jkt");
    assert_eq!(harness.message(), "No times were recorded for this output.");
    assert!(harness.text().contains(" compiling\n"), "{}", harness.text());
    // Times are shown again for a job that has them.
    harness.keys("jt");
    assert!(harness.text().contains(OUT), "{}", harness.text());
    harness.keys("k");
    assert!(harness.text().contains(" compiling\n"), "{}", harness.text());
    harness.keys("t");
    assert!(!harness.text().contains("12:00:01"), "{}", harness.text());
    let mut empty = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "")])], 80, 24);
    empty.keys("t");
    assert_eq!(empty.message(), "There is no output here.");
}
