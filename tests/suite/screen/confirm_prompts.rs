//! Jobs that need approval: when they are asked for, and what each answer does.

use std::sync::Arc;

use setlist::model::{DesiredQueue, JobRef, Need, Outcome, OutcomeCondition, Phase, QueueMode, SchedulingOptions};

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

/// A job, one that needs approval after it, and one that doesn't.
fn with_gate() -> DesiredQueue {
    let mut plan = queue("build", 1, 0, &[("build", "Build"), ("deploy", "Deploy"), ("lint", "Lint")]);
    let options = SchedulingOptions { confirm: Some("To production?".to_owned()), ..SchedulingOptions::default() };
    Arc::make_mut(&mut plan.jobs[1]).scheduling = Arc::new(options);
    plan
}

/// Moves from list to list until this job is selected.
fn select(harness: &mut ScreenHarness, name: &str) {
    let is_selected = |harness: &mut ScreenHarness| {
        harness.keys("<Tab>");
        harness.selected_job_name().as_deref() == Some(name)
    };
    assert!((0..4).any(|_| is_selected(harness)), "{}", harness.text());
}

/// Runs every job that can start; returns the finished ones.
fn run_ready_jobs(harness: &mut ScreenHarness) -> Vec<&'static str> {
    while let Some(started) = harness.try_start("build") {
        harness.end(started, Outcome::Succeeded);
    }
    ["deploy", "lint", "tell"].into_iter().filter(|name| phase(harness, name) == Some(Phase::Finished)).collect()
}

#[test]
fn a_job_that_needs_approval_waits_at_its_turn_while_others_run() {
    let mut harness = ScreenHarness::new(vec![with_gate()], 80, 24);
    harness.keys("gp");
    assert_eq!(
        (harness.message().as_str(), harness.question()),
        ("Processing build.", String::new()),
        "nothing is asked"
    );
    let build = harness.start("build");
    assert!(!harness.text().contains("build 1/1 needs approval"), "its turn has not come: {}", harness.text());
    harness.end(build, Outcome::Succeeded);
    assert_eq!(run_ready_jobs(&mut harness), ["lint"], "the others run");
    let text = harness.text();
    assert!(text.lines().next().unwrap().contains("build 0/1 needs approval"), "{text}");
    assert!(text.contains("nothing running: Deploy needs approval; press y on it"), "{text}");
    assert_eq!(harness.notified.last().unwrap(), "setlist: build/deploy needs approval: To production?");

    // `y` on it, or processing the queue again, asks. Other keys don't answer.
    select(&mut harness, "deploy");
    harness.keys("y");
    let question = "Deploy: To production? y approve and run it · n refuse and cancel it · Esc go back";
    assert_eq!(harness.question(), question);
    harness.keys("<enter><esc>");
    assert_eq!(run_ready_jobs(&mut harness), ["lint"]);
    harness.keys("p");
    assert_eq!(harness.question(), question);
    let spawns = harness.worker_spawns();
    harness.keys("y");
    assert_eq!((harness.message().as_str(), harness.worker_spawns()), ("Approved build/deploy.", spawns + 1));
    assert_eq!(mode(&harness, "build"), QueueMode::Processing);
    assert_eq!(run_ready_jobs(&mut harness), ["deploy", "lint"]);
}

#[test]
fn a_job_that_is_refused_is_cancelled_and_so_is_what_needs_it() {
    let mut plan = with_gate();
    let needs = vec![Need { job: JobRef::Named("build".into(), "deploy".into()), on: OutcomeCondition::Success }];
    Arc::make_mut(&mut plan.jobs[2]).scheduling = Arc::new(SchedulingOptions { needs, ..SchedulingOptions::default() });
    let mut harness = ScreenHarness::new(vec![plan], 80, 24);
    harness.keys("gp");
    assert!(run_ready_jobs(&mut harness).is_empty());
    select(&mut harness, "deploy");
    harness.keys("yn");
    assert_eq!(harness.message(), "Refused build/deploy.");
    assert_eq!(run_ready_jobs(&mut harness), ["deploy", "lint"], "cancelled and skipped");
    assert_eq!(mode(&harness, "build"), QueueMode::Idle);
}

#[test]
fn an_approval_does_not_resume_a_paused_queue() {
    let mut plan = with_gate();
    plan.jobs.truncate(2);
    let mut harness = ScreenHarness::new(vec![plan], 80, 24);
    harness.keys("gp");
    let build = harness.start("build");
    harness.keys("p");
    harness.end(build, Outcome::Succeeded);
    select(&mut harness, "deploy");
    harness.keys("yy");
    assert_eq!(harness.message(), "Approved build/deploy.");
    assert_eq!((mode(&harness, "build"), harness.try_start("build")), (QueueMode::Paused, None));
    harness.keys("p");
    assert!(harness.try_start("build").is_some(), "it was approved");
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
    let mut plan = queue("build", 1, 0, &[("deploy", "Deploy")]);
    let terms = SchedulingOptions { confirm: Some("To production? ".repeat(40)), ..SchedulingOptions::default() };
    Arc::make_mut(&mut plan.jobs[0]).scheduling = Arc::new(terms);
    let mut harness = ScreenHarness::new(vec![plan], 40, 10);
    harness.keys("gy");
    let question = harness.question();
    assert!(question.ends_with("y approve it n refuse and cancel it · Esc go back"), "{}", harness.text());
    harness.keys("y");
    assert_eq!(harness.message(), "Approved build/deploy.");
}

#[test]
fn running_a_job_before_what_it_needs_is_confirmed() {
    let mut plan = queue("build", 1, 0, &[("build", "Build"), ("deploy", "Deploy")]);
    let needs = vec![Need { job: JobRef::Named("build".into(), "build".into()), on: OutcomeCondition::Success }];
    let options = SchedulingOptions { needs, ..SchedulingOptions::default() };
    Arc::make_mut(&mut plan.jobs[1]).scheduling = Arc::new(options);
    let mut harness = ScreenHarness::new(vec![plan], 80, 24);
    harness.keys("Gr");
    assert_eq!(
        harness.question(),
        "Deploy needs build. Run it anyway? y run it anyway · n run it after that · Esc go back"
    );
    harness.keys("<esc>");
    assert_eq!(harness.try_start("build"), None);
    harness.keys("rn");
    assert_eq!(harness.message(), "#2 runs later: it needs build.");
    assert_eq!(harness.try_start("build"), None);
    harness.keys("ry");
    let (job, _) = harness.try_start("build").unwrap();
    assert_eq!(job.0, 2);
}

#[test]
fn a_cursor_that_was_not_moved_goes_to_the_job_that_needs_approval() {
    let mut harness = ScreenHarness::new(vec![with_gate()], 80, 24);
    harness.keys("p");
    assert_eq!(run_ready_jobs(&mut harness), ["lint"]);
    assert_eq!(harness.selected_job_name().as_deref(), Some("deploy"));
    assert!(harness.text().lines().last().unwrap().starts_with(" y approve "), "{}", harness.text());
    harness.keys("yy");
    assert_eq!(run_ready_jobs(&mut harness), ["deploy", "lint"]);
}
