//! The screen, driven by keys: what it shows and how the jobs change.

mod action_menu;
mod appearance;
mod approvals;
mod causes;
mod changes;
mod config;
mod confirm_prompts;
mod copy;
mod cursor;
mod first_hints;
mod following;
mod golden_pages;
pub(crate) mod harness;
mod header_stats;
mod input_form;
mod job_details;
mod job_names;
mod job_progress;
mod keys;
mod last_night;
mod list_room;
mod log_search;
mod long_site;
mod marks;
mod mouse;
mod notifications;
mod overdue;
mod overview;
mod pages;
mod results;
mod run_usage;
mod schedules;
mod tiles;
mod time_gutter;
mod timeline;
mod typing;

use std::sync::Arc;

use harness::{ScreenHarness, failed, plan, queue};
use setlist::model::{Command, Outcome, Phase, QueueId, QueueMode, RunReport, SchedulingOptions, WorkerOptions};
use setlist::tui::effect::{EditorPosition, ExitReason};
use setlist::tui::message::{JobsFileError, Message};

const JOBS: [(&str, &str); 5] =
    [("fetch", ""), ("lint", "Lint"), ("unit", "Unit tests"), ("doc", "Documentation"), ("pack", "Package")];

fn harness() -> ScreenHarness {
    ScreenHarness::new(vec![queue("build", 2, 0, &JOBS), queue("deploy", 1, 1, &[("prod", "Production")])], 80, 24)
}

fn mode(harness: &ScreenHarness, id: &str) -> QueueMode {
    harness.screen.queue().site().read(|site_state| site_state.queue(&QueueId::from(id)).unwrap().mode)
}

fn phase(harness: &ScreenHarness, name: &str) -> Option<Phase> {
    harness
        .screen
        .queue()
        .site()
        .read(|site_state| site_state.job_named(&"build".into(), name).map(setlist::Job::phase))
}

#[test]
fn opening_starts_nothing() {
    let mut harness = harness();
    assert_eq!(mode(&harness, "build"), QueueMode::Idle);
    assert!(harness.text().contains("Pending 5"), "{}", harness.text());
    assert_eq!(harness.worker_spawns(), 0);
}

#[test]
fn p_processes_and_pauses() {
    let mut harness = harness();
    harness.keys("p");
    assert_eq!((mode(&harness, "build"), mode(&harness, "deploy")), (QueueMode::Processing, QueueMode::Idle));
    assert_eq!((harness.message().as_str(), harness.worker_spawns()), ("Processing build.", 1));
    harness.keys("p");
    assert_eq!(mode(&harness, "build"), QueueMode::Paused);
    assert_eq!(harness.worker_spawns(), 1, "pausing needs no worker");
    harness.keys("P");
    assert_eq!((mode(&harness, "build"), mode(&harness, "deploy")), (QueueMode::Processing, QueueMode::Processing));
    harness.keys("P");
    assert_eq!((mode(&harness, "build"), mode(&harness, "deploy")), (QueueMode::Paused, QueueMode::Paused));
}

#[test]
fn p_starts_a_worker_for_a_queue_that_has_none() {
    let mut harness = harness();
    harness.keys("p");
    harness.reap_worker();
    harness.advance_seconds(2);
    assert!(!harness.text().contains("no worker"), "a worker that was just started has not joined yet");
    harness.advance_seconds(2);
    assert!(harness.text().starts_with(" 1 build 0/2 processing, no worker  2 deploy"), "{}", harness.text());
    harness.advance_seconds(60);
    harness.send(Message::Tick);
    assert_eq!(harness.message(), "No worker is running the jobs of build. Press p to start one.");
    let spawns = harness.worker_spawns();
    harness.keys("p");
    assert_eq!((harness.message().as_str(), harness.worker_spawns()), ("Starting a worker for build.", spawns + 1));
    harness.keys("P");
    assert_eq!((mode(&harness, "build"), harness.worker_spawns()), (QueueMode::Processing, spawns + 2));
    harness.execute_elsewhere(&[Command::Join {
        host: "here".to_owned(),
        pid: 2,
        queues: Some(vec!["build".into()]),
        options: WorkerOptions::default(),
    }]);
    assert!(!harness.text().contains("no worker"));
    harness.keys("p");
    assert_eq!(mode(&harness, "build"), QueueMode::Paused);
}

#[test]
fn r_runs_the_job_under_the_cursor() {
    let mut harness = harness();
    harness.keys("jjr");
    let (job, run) = harness.start("build");
    assert_eq!(harness.selected_job_name().as_deref(), Some("unit"));
    assert_eq!(harness.screen.selected_job().unwrap().id, job);
    harness.keys("r");
    assert_eq!(harness.message(), format!("{job} is running: it can be run again when it has finished."));
    harness.end((job, run), Outcome::Succeeded);
    assert_eq!(mode(&harness, "build"), QueueMode::Idle, "only the job was requested, not the queue");
}

#[test]
fn failed_jobs_run_again_after_confirmation() {
    let mut harness = harness();
    harness.process("build");
    for outcome in [failed("exit code 1"), Outcome::Succeeded, failed("exit code 2")] {
        harness.run("build", 1, outcome);
    }
    harness.keys("pR");
    assert_eq!(harness.question(), "Run 2 failed jobs in build again? y run them · Esc go back");
    harness.keys("<Enter>");
    assert_eq!(
        harness.question(),
        "Run 2 failed jobs in build again? y run them · Esc go back",
        "Enter does not answer"
    );
    harness.keys("n");
    assert_eq!(harness.listed_jobs(Phase::Finished).len(), 3);
    harness.keys("Ry");
    assert_eq!(harness.listed_jobs(Phase::Finished), ["lint"]);
    assert_eq!(harness.message(), "Running 2 failed jobs again.");
    harness.keys("R");
    assert_eq!(harness.message(), "No failed jobs are shown.");
}

#[test]
fn x_cancels_and_selects_the_next_job() {
    let mut harness = harness();
    harness.keys("jx");
    assert_eq!(phase(&harness, "lint"), Some(Phase::Finished));
    assert_eq!((harness.focused_list(), harness.selected_job_name().as_deref()), (Phase::Pending, Some("unit")));
    harness.keys("xxx");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch"]);
    assert_eq!(harness.selected_job_name().as_deref(), Some("fetch"));
}

#[test]
fn killing_needs_confirmation_and_a_running_job() {
    let mut harness = harness();
    harness.keys("X");
    assert_eq!(harness.message(), "#1 is pending, not running. Press x to cancel it.");
    harness.keys("r");
    harness.start("build");
    harness.keys("x");
    assert_eq!(harness.message(), "Asked build/fetch to stop. Press X to kill it.");
    harness.keys("X");
    assert_eq!(harness.question(), "Kill 1 running job in build (#1 fetch)? y kill it · Esc go back");
    harness.keys("<Esc>");
    assert_eq!(harness.message(), "Nothing was changed.");
    harness.keys("Xy");
    assert_eq!(harness.message(), "Killing build/fetch.");
    assert!(harness.text().contains("killing"));
}

#[test]
fn a_message_about_a_run_or_the_file_goes_when_it_is_no_longer_so() {
    let mut harness = harness();
    harness.keys("r");
    let started = harness.start("build");
    harness.keys("x");
    assert_eq!(harness.message(), "Asked build/fetch to stop. Press X to kill it.");
    harness.end(started, Outcome::Cancelled);
    assert!(!harness.message().contains("to stop"), "{}", harness.message());
    let more = [JOBS.as_slice(), &[("new", "New")]].concat();
    let both = plan("2", vec![queue("build", 2, 0, &more), queue("deploy", 1, 1, &[("prod", "Production")])]);
    harness.execute_elsewhere(&[Command::Reconcile(Box::new(both))]);
    assert_eq!(harness.message(), "Reloaded jobs.yaml: 1 added.");
    let missing = setlist::definition::Error::Missing("jobs.yaml".into());
    harness.send(Message::FileRead(Err(JobsFileError::from(missing))));
    assert!(harness.text().contains(" jobs.yaml is missing ─"), "{}", harness.text());
    assert_eq!(harness.message(), "✗ jobs.yaml is missing; the last valid version is used. Press e to edit it.");
}

#[test]
fn a_removal_can_be_undone_for_ten_seconds() {
    let mut harness = harness();
    harness.keys("dd");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["unit", "doc", "pack"]);
    assert_eq!(harness.message(), "Removed 1 job. Press u to undo.");
    harness.keys("u");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint", "unit", "doc", "pack"]);
    harness.keys("u");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch", "lint", "unit", "doc", "pack"]);
    harness.keys("u");
    assert_eq!(harness.message(), "Nothing was removed in the last 10 seconds.");
    harness.keys("d");
    harness.advance_seconds(11);
    harness.keys("u");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 4);
}

#[test]
fn clearing_removes_only_the_jobs_that_are_shown() {
    let mut harness = harness();
    harness.process("build");
    for _ in 0..4 {
        harness.run("build", 1, Outcome::Succeeded);
    }
    harness.keys("/unit<Enter>D");
    assert_eq!(harness.message(), "Removed 1 job. Press u to undo.");
    harness.keys("<Esc>");
    assert_eq!(harness.listed_jobs(Phase::Finished), ["doc", "lint", "fetch"]);
    harness.keys("D");
    assert_eq!(harness.message(), "Removed 3 jobs. Press u to undo.");
    harness.keys("D");
    assert_eq!(harness.message(), "build has no finished jobs.");
}

#[test]
fn a_adds_a_job_and_selects_it() {
    let mut harness = harness();
    harness.keys("aecho hello<Enter>");
    assert_eq!(harness.message(), "Added #7 to build.");
    assert_eq!(harness.selected_job_name().as_deref(), Some("echo hello"));
    assert_eq!(harness.screen.selected_job().unwrap().title(), "");
    harness.keys("a<Enter>aq<Esc>");
    assert_eq!(harness.exit_reason, None, "keys are text while a line is edited");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 6);
    harness.keys("a");
    harness.send(Message::Paste("echo a\necho b\n".to_owned()));
    harness.keys("<Enter>");
    assert_eq!(harness.selected_job_name().as_deref(), Some("echo a echo b"));
}

#[test]
fn quitting_does_not_stop_jobs() {
    let mut harness = harness();
    harness.process("build");
    harness.start("build");
    harness.keys("<Esc><Esc><Esc>");
    assert_eq!(harness.exit_reason, None);
    assert_eq!(harness.message(), "This is the top level. Press q to quit.");
    harness.keys("q");
    assert_eq!(harness.exit_reason, Some(ExitReason::Quit));
    assert_eq!((phase(&harness, "fetch"), harness.screen.count_running()), (Some(Phase::Running), 1));
}

#[test]
fn stopping_everything_needs_confirmation_and_quits() {
    let mut harness = harness();
    harness.process("build");
    harness.start("build");
    harness.start("build");
    harness.keys("Q");
    assert_eq!(harness.question(), "Stop 2 running jobs in build and quit? y stop them and quit · Esc go back");
    harness.keys("n");
    assert_eq!(harness.exit_reason, None);
    harness.keys("Qy");
    assert_eq!(harness.exit_reason, Some(ExitReason::Quit));
    assert_eq!(mode(&harness, "build"), QueueMode::Paused, "otherwise the next jobs would start");
    assert_eq!(harness.screen.count_running(), 0, "no job is running");
}

#[test]
fn each_queue_keeps_its_selection() {
    let mut harness = harness();
    harness.keys("jj]");
    assert_eq!(
        (harness.screen.queue().id().as_str(), harness.selected_job_name().as_deref()),
        ("deploy", Some("prod"))
    );
    harness.keys("]");
    assert_eq!((harness.screen.queue().id().as_str(), harness.selected_job_name().as_deref()), ("build", Some("unit")));
    harness.keys("2");
    assert_eq!(harness.screen.queue().id().as_str(), "deploy");
    harness.keys("[9");
    assert_eq!(harness.screen.queue().id().as_str(), "build");
    assert_eq!(harness.message(), "There are only 2 queues.");
}

#[test]
fn the_output_of_the_selected_job_is_shown() {
    let mut harness = harness();
    harness.keys("r");
    let started = harness.start("build");
    harness.print(started.1, "first\nsecond\n\x1b]0;title\x07\x1b[2Jthird\n");
    let text = harness.text();
    assert!(text.contains("first\n") && text.contains(" third"), "{text}");
    harness.keys("<Enter>");
    assert!(!harness.text().contains("Pending"), "the output fills the screen");
    harness.keys("/sec<Enter>");
    assert!(harness.text().contains("1 match"), "{}", harness.text());
    harness.keys("<Esc>");
    assert!(harness.text().contains("Pending"));
}

#[test]
fn the_editor_opens_at_the_job() {
    let mut harness = harness();
    harness.keys("je");
    assert_eq!(harness.editor_positions, [EditorPosition::Job { queue: "build".into(), name: "lint".into() }]);
}

#[test]
fn file_errors_are_shown_until_they_are_fixed() {
    let mut harness = harness();
    let text = "error: unknown field `timeot`\n --> jobs.yaml:7:9".to_owned();
    harness.send(Message::FileRead(Err(JobsFileError {
        problem: JobsFileError::HAS_ERRORS,
        text,
        errors: 1,
        line: Some(7),
        file: None,
    })));
    assert!(harness.text().contains("error: unknown field `timeot`"));
    harness.keys("d");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 5, "hidden jobs can't be removed");
    harness.keys("e");
    assert_eq!(harness.editor_positions, [EditorPosition::Line(7)]);
    harness.keys("<Esc>");
    harness.advance_seconds(60);
    harness.send(Message::Tick);
    assert!(harness.text().contains("Pending 5"));
    assert_eq!(harness.message(), "✗ jobs.yaml has 1 error; the last valid version is used. Press e to edit it.");
    let jobs = [("lint", "Lint!"), ("unit", "Unit tests"), ("doc", "Documentation"), ("pack", "Package"), ("new", "")];
    let better = plan("2", vec![queue("build", 2, 0, &jobs), queue("deploy", 1, 1, &[("prod", "Production")])]);
    harness.send(Message::FileRead(Ok(Box::new(better))));
    assert_eq!(harness.message(), "Reloaded jobs.yaml: 1 added, 1 changed, 1 removed.");
}

#[test]
fn no_last_valid_version_is_mentioned_if_there_was_none() {
    let mut harness = ScreenHarness::new(Vec::new(), 80, 24);
    harness.send(Message::FileRead(Err(JobsFileError {
        problem: JobsFileError::HAS_ERRORS,
        text: "error: no map".to_owned(),
        errors: 1,
        line: Some(1),
        file: None,
    })));
    assert!(
        harness.text().contains("Press e to edit it.") && !harness.text().contains("last valid version"),
        "{}",
        harness.text()
    );
    assert_eq!(harness.message(), "✗ jobs.yaml has 1 error. Press e to edit it.");
}

#[test]
fn a_reload_reports_its_changes_whichever_process_reads_the_file_first() {
    let mut harness = harness();
    let more = [JOBS.as_slice(), &[("new", "New")]].concat();
    let both = |stamp| plan(stamp, vec![queue("build", 2, 0, &more), queue("deploy", 1, 1, &[("prod", "Production")])]);
    harness.execute_elsewhere(&[Command::Reconcile(Box::new(both("2")))]);
    assert_eq!(harness.message(), "Reloaded jobs.yaml: 1 added.");
    // The screen reads the same version a moment later.
    harness.send(Message::FileRead(Ok(Box::new(both("2")))));
    assert_eq!(harness.message(), "Reloaded jobs.yaml: 1 added.");
    harness.send(Message::FileRead(Ok(Box::new(both("3")))));
    assert_eq!(harness.message(), "Reloaded jobs.yaml: nothing changed.");
}

#[test]
fn jobs_of_a_returned_list_are_not_a_reload_of_the_file() {
    let returning = |version, jobs: &[(&str, &str)]| {
        let mut build = queue("build", 2, 0, jobs);
        let scheduling = SchedulingOptions { item_entries: vec!["each".into()], ..SchedulingOptions::default() };
        Arc::make_mut(&mut build.jobs[0]).scheduling = Arc::new(scheduling);
        plan(version, vec![build])
    };
    let mut harness = ScreenHarness::new(returning("1", &[("list", "List")]).queues, 80, 24);
    harness.process("build");
    let (job, run) = harness.start("build");
    let jobs = [("list", "List"), ("each-1", ""), ("each-2", "")];
    let report = RunReport::new(Outcome::Succeeded);
    let end = Command::EndRun { job, run, report, on_failure: None };
    harness.execute_elsewhere(&[Command::Reconcile(Box::new(returning("2", &jobs))), end]);
    assert_eq!(harness.message(), "build/list returned a list: 2 added.");
}

#[test]
fn a_change_of_a_running_job_is_applied_when_it_ends() {
    let mut harness = harness();
    harness.keys("r");
    let started = harness.start("build");
    let less = plan("2", vec![queue("build", 2, 0, &JOBS[1..])]);
    harness.send(Message::FileRead(Ok(Box::new(less))));
    assert!(harness.message().ends_with("a running job changes when it ends."), "{}", harness.message());
    harness.end(started, Outcome::Succeeded);
    assert_eq!(harness.file_reloads, 1);
}

#[test]
fn changes_by_other_processes_are_shown() {
    let mut harness = harness();
    harness.execute_elsewhere(&[Command::EnsureQueue { queue: "late".into() }]);
    assert!(harness.text().contains("3 late"));
    harness.process("build");
    harness.run("build", 3, failed("exit code 3"));
    let text = harness.text();
    assert!(text.contains("✗ 1 failed") && text.contains("exit code 3") && text.contains("12:00:03"), "{text}");
}

#[test]
fn a_site_without_queues_shows_what_to_do() {
    let mut harness = ScreenHarness::new(Vec::new(), 80, 24);
    assert!(harness.text().contains("There are no queues yet."));
    harness.keys("pPrRxXdDuaghjkl<Tab>[]19/x<Esc>JKfw");
    harness.keys("e");
    assert_eq!(harness.editor_positions, [EditorPosition::Top]);
    harness.execute_elsewhere(&[Command::EnsureQueue { queue: "first".into() }]);
    assert_eq!(harness.screen.queue().id().as_str(), "first");
}
