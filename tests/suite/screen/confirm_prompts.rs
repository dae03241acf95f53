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
        assert_eq!(harness.message(), "Deploy: To production? (1 more job needs confirmation) y/N");
        let hints = harness.text().lines().last().unwrap().trim().to_owned();
        assert_eq!(hints, "y yes  n run the others only  Esc cancel");
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
        assert_eq!(harness.message(), "Deploy: To production? y/N");
        harness.keys(answer);
        assert_eq!(run_ready_jobs(&mut harness), runs, "{answer}");
    }
}

#[test]
fn the_question_of_the_first_of_several_jobs_is_asked() {
    let mut harness = harness();
    harness.keys("*r");
    assert_eq!(harness.message(), "Run 3 marked jobs in build? (Deploy: To production?) y/N");
    harness.keys("y");
    assert_eq!(run_ready_jobs(&mut harness), ["deploy", "lint", "tell"]);
}
