//! Which job is selected while the user has not moved the cursor, and what keeps a job under it.

use setlist::model::{Outcome, Phase};

use super::harness::{ScreenHarness, failed, queue};

fn harness() -> ScreenHarness {
    ScreenHarness::new(vec![queue("build", 2, 0, &[("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")])], 80, 24)
}

fn selected(harness: &ScreenHarness) -> (String, Phase) {
    (harness.selected_job_name().unwrap(), harness.focused_list())
}

#[test]
fn until_the_cursor_is_moved_it_follows_the_newest_job() {
    let mut harness = harness();
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Pending));
    harness.process("build");
    let (a, b) = (harness.start("build"), harness.start("build"));
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Running), "a running job is shown until it ends");
    harness.end(a, Outcome::Succeeded);
    assert_eq!(selected(&harness), ("b".to_owned(), Phase::Running), "then the newest one that runs");
    let c = harness.start("build");
    harness.end(b, failed("exit code 1"));
    assert_eq!(selected(&harness), ("c".to_owned(), Phase::Running));
    harness.end(c, Outcome::Succeeded);
    assert_eq!(selected(&harness), ("c".to_owned(), Phase::Finished), "without one, the one that finished last");
    let d = harness.start("build");
    assert_eq!(selected(&harness), ("d".to_owned(), Phase::Running));
    harness.end(d, Outcome::Succeeded);
    assert_eq!(selected(&harness), ("d".to_owned(), Phase::Finished));
}

#[test]
fn a_cursor_that_was_moved_stays_until_a_key_follows_again() {
    let mut harness = harness();
    harness.process("build");
    let (a, b) = (harness.start("build"), harness.start("build"));
    harness.keys("k");
    let stays = selected(&harness);
    assert_eq!(stays, ("a".to_owned(), Phase::Running));
    harness.end(a, Outcome::Succeeded);
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Finished), "the cursor stays on its job");
    harness.keys(".");
    assert_eq!(harness.message(), "Following the newest job.");
    assert_eq!(selected(&harness), ("b".to_owned(), Phase::Running));
    harness.end(b, Outcome::Succeeded);
    // A key for the selected job keeps it selected, too.
    harness.keys("x");
    harness.start("build");
    assert_eq!(selected(&harness), ("b".to_owned(), Phase::Finished));
}

#[test]
fn a_job_that_no_longer_matches_stays_under_the_cursor() {
    let mut harness = harness();
    harness.process("build");
    harness.run("build", 1, failed("exit code 1"));
    harness.run("build", 1, failed("exit code 1"));
    harness.keys("F");
    assert_eq!(harness.listed_jobs(Phase::Finished), ["b", "a"]);
    harness.keys("gj");
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Finished));
    harness.keys("r");
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Pending), "{}", harness.text());
    let run = harness.start("build");
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Running), "{}", harness.text());
    harness.end(run, Outcome::Succeeded);
    assert_eq!(selected(&harness), ("a".to_owned(), Phase::Finished));
    assert_eq!(harness.listed_jobs(Phase::Finished), ["a", "b"], "it is shown though it has not failed");
    harness.keys("j");
    assert_eq!(selected(&harness), ("b".to_owned(), Phase::Finished));
    assert_eq!(harness.listed_jobs(Phase::Finished), ["b"], "once another job is selected, only matches are shown");
}
