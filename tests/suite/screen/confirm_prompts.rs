//! Jobs that need confirmation: the question, and what each answer does.

use std::sync::Arc;

use setlist::model::{Outcome, Phase, QueueMode, SchedulingOptions};

use super::harness::{ScreenHarness, queue};
use super::{mode, phase};

/// Two jobs that need confirmation, and one between them that doesn't.
fn harness() -> ScreenHarness {
    let mut plan = queue("build", 1, 0, &[("deploy", "Deploy"), ("lint", "Lint"), ("tell", "Tell")]);
    for (nth, question) in [(0, "To production?"), (2, "To everybody?")] {
        let terms = SchedulingOptions { confirm: Some(question.to_owned()), ..SchedulingOptions::default() };
        Arc::make_mut(&mut plan.jobs[nth]).scheduling = Arc::new(terms);
    }
    ScreenHarness::new(vec![plan], 80, 24)
}

/// Runs every job that can start; returns the finished ones.
fn run_ready_jobs(harness: &mut ScreenHarness) -> Vec<&'static str> {
    while let Some(started) = harness.try_start("build") {
        harness.end(started, Outcome::Succeeded);
    }
    ["deploy", "lint", "tell"].into_iter().filter(|name| phase(harness, name) == Some(Phase::Finished)).collect()
}

#[test]
fn a_queue_asks_for_its_jobs_and_n_runs_the_others() {
    for (answer, runs) in [("y", &["deploy", "lint", "tell"][..]), ("n", &["lint"]), ("<esc>", &[])] {
        let mut harness = harness();
        harness.keys("p");
        assert_eq!(
            harness.question(),
            "Deploy: To production? (1 more job needs confirmation) y run them · n skip, and run the rest · Esc go back"
        );
        harness.keys("<enter>");
        assert_eq!(mode(&harness, "build"), QueueMode::Idle, "other keys do not answer");
        harness.keys(answer);
        let then = if runs.is_empty() { QueueMode::Idle } else { QueueMode::Processing };
        assert_eq!((mode(&harness, "build"), &run_ready_jobs(&mut harness)[..]), (then, runs), "{answer}");
    }
}

#[test]
fn a_job_asks_and_n_does_nothing() {
    for (answer, runs) in [("y", &["deploy"][..]), ("n", &[]), ("<esc>", &[])] {
        let mut harness = harness();
        harness.keys("r");
        assert_eq!(harness.question(), "Deploy: To production? y run it · Esc go back");
        harness.keys(answer);
        assert_eq!(run_ready_jobs(&mut harness), runs, "{answer}");
    }
}

#[test]
fn the_question_of_the_first_of_several_jobs_is_asked() {
    let mut harness = harness();
    harness.keys("*r");
    assert_eq!(harness.question(), "Run 3 marked jobs in build? (Deploy: To production?) y run them · Esc go back");
    harness.keys("y");
    assert_eq!(run_ready_jobs(&mut harness), ["deploy", "lint", "tell"]);
}

#[test]
fn a_question_is_a_box_in_the_middle_that_covers_nothing_else() {
    let mut harness = harness();
    harness.keys("r");
    let text = harness.text();
    let rows: Vec<&str> = text.lines().collect();
    let top = rows.iter().position(|row| row.contains('┌')).unwrap();
    assert!(rows[top + 1].contains("│ Deploy: To production? "), "{text}");
    assert!(rows[top + 3].contains("│ y run it · Esc go back │"), "{text}");
    assert!(rows[0].contains("build") && rows.iter().any(|row| row.contains("Lint")), "the rest is visible: {text}");

    // It fits the smallest screen: the answers wrap, and a long question is cut before them.
    let mut plan = queue("build", 1, 0, &[("deploy", "Deploy"), ("lint", "Lint")]);
    let terms = SchedulingOptions { confirm: Some("To production? ".repeat(40)), ..SchedulingOptions::default() };
    Arc::make_mut(&mut plan.jobs[0]).scheduling = Arc::new(terms);
    let mut harness = ScreenHarness::new(vec![plan], 40, 10);
    harness.keys("p");
    let question = harness.question();
    assert!(question.ends_with("y run it · n skip, and run the rest Esc go back"), "{}", harness.text());
    harness.keys("y");
    assert_eq!(mode(&harness, "build"), QueueMode::Processing);
}
