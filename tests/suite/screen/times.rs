//! The key that shows when output was printed.

use setlist::model::Outcome;

use super::stage::{Stage, queue};

const OUT: &str = "12:00:00.000   compiling";
const ERR: &str = "12:00:01.000 │ warning: unused";

/// Two jobs that have printed something on both streams; the cursor is on the later one.
fn stage() -> Stage {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[("a", ""), ("b", "")])], 80, 24);
    stage.process("build");
    for _ in 0..2 {
        let started = stage.start("build");
        stage.print_both(started.1, "compiling\n", "warning: unused\n");
        stage.end(started, Outcome::Succeeded);
    }
    stage.keys("g");
    assert!(stage.chosen().is_some(), "{}", stage.text());
    stage
}

#[test]
fn t_shows_times_whichever_job_is_looked_at() {
    let mut stage = stage();
    assert!(stage.text().contains(" compiling\n warning: unused\n"), "{}", stage.text());
    for keys in ["t", "j", "k", "<Enter>", "<Esc>"] {
        stage.keys(keys);
        let text = stage.text();
        assert!(text.contains(OUT) && text.contains(ERR), "after {keys}:\n{text}");
    }
    stage.keys("tj");
    assert!(!stage.text().contains("12:00:01.000"), "{}", stage.text());
}

#[test]
fn wrapping_stays_as_it_was_chosen() {
    let mut stage = stage();
    let long = "x".repeat(200);
    let run = stage.screen.chosen().unwrap().last_run.unwrap().id;
    stage.print(run, &long);
    stage.keys("jkw");
    let cut = |stage: &mut Stage| stage.text().contains("xx…");
    assert!(cut(&mut stage), "{}", stage.text());
    stage.keys("jk");
    assert!(cut(&mut stage), "{}", stage.text());
    stage.keys("wjk");
    assert!(!cut(&mut stage), "{}", stage.text());
}

#[test]
fn t_says_why_there_are_no_times() {
    let mut stage = stage();
    let run = stage.screen.chosen().unwrap().last_run.unwrap().id;
    stage.forget_times(run);
    // Another look at it.
    stage.keys("jkt");
    assert_eq!(stage.message(), "when this was printed isn't known; perhaps an older setlist has written it");
    assert!(stage.text().contains(" compiling\n"), "{}", stage.text());
    // It is not forgotten that times are wanted, where they are known.
    stage.keys("jt");
    assert!(stage.text().contains(OUT), "{}", stage.text());
    stage.keys("k");
    assert!(stage.text().contains(" compiling\n"), "{}", stage.text());
    stage.keys("t");
    assert!(!stage.text().contains("12:00:01"), "{}", stage.text());
    let mut empty = Stage::new(vec![queue("build", 1, 0, &[("a", "")])], 80, 24);
    empty.keys("t");
    assert_eq!(empty.message(), "there is no output here");
}
