//! Jobs that ask first: what is asked, and what each answer does.

use std::sync::Arc;

use setlist::model::{Mode, Outcome, Phase, Terms};

use super::stage::{Stage, queue};
use super::{mode, phase};

/// Two jobs that ask, and one between them that doesn't.
fn stage() -> Stage {
    let mut plan = queue("build", 1, 0, &[("deploy", "Deploy"), ("lint", "Lint"), ("tell", "Tell")]);
    for (nth, question) in [(0, "To production?"), (2, "To everybody?")] {
        let terms = Terms { confirm: Some(question.to_owned()), ..Terms::default() };
        Arc::make_mut(&mut plan.jobs[nth]).terms = Arc::new(terms);
    }
    Stage::new(vec![plan], 80, 24)
}

/// Runs all that can start; what has finished then.
fn ran(stage: &mut Stage) -> Vec<&'static str> {
    while let Some(started) = stage.try_start("build") {
        stage.end(started, Outcome::Succeeded);
    }
    ["deploy", "lint", "tell"].into_iter().filter(|name| phase(stage, name) == Some(Phase::Finished)).collect()
}

#[test]
fn a_queue_asks_for_its_jobs_and_no_runs_the_others() {
    for (answer, runs) in [("y", &["deploy", "lint", "tell"][..]), ("n", &["lint"]), ("<esc>", &[])] {
        let mut stage = stage();
        stage.keys("p");
        assert_eq!(stage.message(), "Deploy: To production? (and 1 more asks) y/N");
        let hints = stage.text().lines().last().unwrap().trim().to_owned();
        assert_eq!(hints, "y yes  n runs the others only  Esc runs none");
        stage.keys("<enter>");
        assert_eq!(mode(&stage, "build"), Mode::Idle, "that is no answer");
        stage.keys(answer);
        let then = if runs.is_empty() { Mode::Idle } else { Mode::Processing };
        assert_eq!((mode(&stage, "build"), &ran(&mut stage)[..]), (then, runs), "{answer}");
    }
}

#[test]
fn a_job_asks_and_no_does_nothing() {
    for (answer, runs) in [("y", &["deploy"][..]), ("n", &[]), ("<esc>", &[])] {
        let mut stage = stage();
        stage.keys("r");
        assert_eq!(stage.message(), "Deploy: To production? y/N");
        stage.keys(answer);
        assert_eq!(ran(&mut stage), runs, "{answer}");
    }
}

#[test]
fn of_several_jobs_the_first_question_is_asked() {
    let mut stage = stage();
    stage.keys("*r");
    assert_eq!(stage.message(), "Run 3 marked jobs in build? (Deploy: To production?) y/N");
    stage.keys("y");
    assert_eq!(ran(&mut stage), ["deploy", "lint", "tell"]);
}
