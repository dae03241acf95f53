//! The screen, driven by keys: what a person sees and what becomes of the jobs.

mod config;
mod cursor;
mod detail;
mod keys;
mod looks;
mod marks;
mod menu;
mod mouse;
mod notices;
mod numbers;
mod progress;
mod questions;
pub(crate) mod stage;
mod take;
mod tiles;
mod times;
mod typing;

use setlist::model::{Command, Mode, Outcome, Phase, QueueId};
use setlist::tui::wake::{Broken, Spot, Wake, Why};
use stage::{Stage, failed, plan, queue};

const JOBS: [(&str, &str); 5] =
    [("fetch", ""), ("lint", "Lint"), ("unit", "Unit tests"), ("doc", "Documentation"), ("pack", "Package")];

fn stage() -> Stage {
    Stage::new(vec![queue("build", 2, 0, &JOBS), queue("deploy", 1, 1, &[("prod", "Production")])], 80, 24)
}

fn mode(stage: &Stage, id: &str) -> Mode {
    stage.screen.queue().site().read(|ledger| ledger.queue(&QueueId::from(id)).unwrap().mode)
}

fn phase(stage: &Stage, name: &str) -> Option<Phase> {
    stage.screen.queue().site().read(|ledger| ledger.named(&"build".into(), name).map(setlist::Job::phase))
}

#[test]
fn opening_starts_nothing() {
    let mut stage = stage();
    assert_eq!(mode(&stage, "build"), Mode::Idle);
    assert!(stage.text().contains("Pending 5"), "{}", stage.text());
    assert_eq!(stage.hired(), 0);
}

#[test]
fn p_processes_and_pauses() {
    let mut stage = stage();
    stage.keys("p");
    assert_eq!((mode(&stage, "build"), mode(&stage, "deploy")), (Mode::Processing, Mode::Idle));
    assert_eq!((stage.message().as_str(), stage.hired()), ("processing build", 1));
    stage.keys("p");
    assert_eq!(mode(&stage, "build"), Mode::Paused);
    assert_eq!(stage.hired(), 1, "nobody is needed for a pause");
    stage.keys("P");
    assert_eq!((mode(&stage, "build"), mode(&stage, "deploy")), (Mode::Processing, Mode::Processing));
    stage.keys("P");
    assert_eq!((mode(&stage, "build"), mode(&stage, "deploy")), (Mode::Paused, Mode::Paused));
}

#[test]
fn p_has_somebody_go_on_with_what_nobody_does() {
    let mut stage = stage();
    stage.keys("p");
    stage.bury();
    stage.later(2);
    assert!(!stage.text().contains("no worker"), "one that was just hired has still to join");
    stage.later(2);
    assert!(stage.text().starts_with(" 1 build 0/2 processing, no worker  2 deploy"), "{}", stage.text());
    stage.later(60);
    stage.wake(Wake::Tick);
    assert_eq!(stage.message(), "nobody runs the jobs of build; p starts a worker");
    let hired = stage.hired();
    stage.keys("p");
    assert_eq!((stage.message().as_str(), stage.hired()), ("starting a worker for build", hired + 1));
    stage.keys("P");
    assert_eq!((mode(&stage, "build"), stage.hired()), (Mode::Processing, hired + 2));
    stage.elsewhere(&[Command::Join { host: "here".to_owned(), pid: 2, queues: Some(vec!["build".into()]) }]);
    assert!(!stage.text().contains("no worker"));
    stage.keys("p");
    assert_eq!(mode(&stage, "build"), Mode::Paused);
}

#[test]
fn r_runs_the_job_under_the_cursor() {
    let mut stage = stage();
    stage.keys("jjr");
    let (job, run) = stage.start("build");
    assert_eq!(stage.chosen().as_deref(), Some("unit"));
    assert_eq!(stage.screen.chosen().unwrap().id, job);
    stage.keys("r");
    assert_eq!(stage.message(), format!("{job} is running: it can be run again when it has finished"));
    stage.end((job, run), Outcome::Succeeded);
    assert_eq!(mode(&stage, "build"), Mode::Idle, "one job was asked for, not the queue");
}

#[test]
fn failed_jobs_run_again_after_a_question() {
    let mut stage = stage();
    stage.process("build");
    for outcome in [failed("exit code 1"), Outcome::Succeeded, failed("exit code 2")] {
        stage.run("build", 1, outcome);
    }
    stage.keys("pR");
    assert_eq!(stage.message(), "Run 2 failed jobs in build again? y/N");
    stage.keys("<Enter>");
    assert_eq!(stage.message(), "Run 2 failed jobs in build again? y/N", "Enter is no answer");
    stage.keys("n");
    assert_eq!(stage.shown(Phase::Finished).len(), 3);
    stage.keys("Ry");
    assert_eq!(stage.shown(Phase::Finished), ["lint"]);
    assert_eq!(stage.message(), "running 2 failed jobs again");
    stage.keys("R");
    assert_eq!(stage.message(), "no failed job is shown");
}

#[test]
fn x_cancels_and_the_neighbour_is_next() {
    let mut stage = stage();
    stage.keys("jx");
    assert_eq!(phase(&stage, "lint"), Some(Phase::Finished));
    assert_eq!((stage.list(), stage.chosen().as_deref()), (Phase::Pending, Some("unit")));
    stage.keys("xxx");
    assert_eq!(stage.shown(Phase::Pending), ["fetch"]);
    assert_eq!(stage.chosen().as_deref(), Some("fetch"));
}

#[test]
fn killing_asks_and_only_a_running_job_can_be_killed() {
    let mut stage = stage();
    stage.keys("X");
    assert_eq!(stage.message(), "#1 is pending: there is no process to kill; x cancels it");
    stage.keys("r");
    stage.start("build");
    stage.keys("x");
    assert_eq!(stage.message(), "asked #1 to stop; X kills it");
    stage.keys("X");
    assert_eq!(stage.message(), "Stop 1 running job in build at once (#1 ./fetch.sh)? y/N");
    stage.keys("<Esc>");
    assert_eq!(stage.message(), "nothing was done");
    stage.keys("Xy");
    assert_eq!(stage.message(), "killing #1");
    assert!(stage.text().contains("killing"));
}

#[test]
fn removals_can_be_undone_for_ten_seconds() {
    let mut stage = stage();
    stage.keys("dd");
    assert_eq!(stage.shown(Phase::Pending), ["unit", "doc", "pack"]);
    assert_eq!(stage.message(), "removed 1 job; u undoes");
    stage.keys("u");
    assert_eq!(stage.shown(Phase::Pending), ["lint", "unit", "doc", "pack"]);
    stage.keys("u");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "lint", "unit", "doc", "pack"]);
    stage.keys("u");
    assert_eq!(stage.message(), "nothing was removed in the last 10 s");
    stage.keys("d");
    stage.later(11);
    stage.keys("u");
    assert_eq!(stage.shown(Phase::Pending).len(), 4);
}

#[test]
fn clearing_takes_only_what_is_shown() {
    let mut stage = stage();
    stage.process("build");
    for _ in 0..4 {
        stage.run("build", 1, Outcome::Succeeded);
    }
    stage.keys("/unit<Enter>D");
    assert_eq!(stage.message(), "removed 1 job; u undoes");
    stage.keys("<Esc>");
    assert_eq!(stage.shown(Phase::Finished), ["doc", "lint", "fetch"]);
    stage.keys("D");
    assert_eq!(stage.message(), "removed 3 jobs; u undoes");
    stage.keys("D");
    assert_eq!(stage.message(), "nothing is finished in build");
}

#[test]
fn a_adds_a_job_and_chooses_it() {
    let mut stage = stage();
    stage.keys("aecho hello<Enter>");
    assert_eq!(stage.message(), "added #7 to build");
    assert_eq!(stage.chosen().as_deref(), Some("echo hello"));
    assert_eq!(stage.screen.chosen().unwrap().title(), "");
    stage.keys("a<Enter>aq<Esc>");
    assert_eq!(stage.left, None, "keys are text while one types");
    assert_eq!(stage.shown(Phase::Pending).len(), 6);
    stage.keys("a");
    stage.wake(Wake::Paste("echo a\necho b\n".to_owned()));
    stage.keys("<Enter>");
    assert_eq!(stage.chosen().as_deref(), Some("echo a echo b"));
}

#[test]
fn quitting_leaves_jobs_alone() {
    let mut stage = stage();
    stage.process("build");
    stage.start("build");
    stage.keys("<Esc><Esc><Esc>");
    assert_eq!(stage.left, None);
    assert_eq!(stage.message(), "this is the top level; q quits");
    stage.keys("q");
    assert_eq!(stage.left, Some(Why::Asked));
    assert_eq!((phase(&stage, "fetch"), stage.screen.running()), (Some(Phase::Running), 1));
}

#[test]
fn stopping_everything_asks_and_leaves() {
    let mut stage = stage();
    stage.process("build");
    stage.start("build");
    stage.start("build");
    stage.keys("Q");
    assert_eq!(stage.message(), "Stop 2 running jobs in build and quit? y/N");
    stage.keys("n");
    assert_eq!(stage.left, None);
    stage.keys("Qy");
    assert_eq!(stage.left, Some(Why::Asked));
    assert_eq!(mode(&stage, "build"), Mode::Paused, "or the next ones would start");
    assert_eq!(stage.screen.running(), 0, "none goes on");
}

#[test]
fn queues_are_switched_and_remember_where_one_was() {
    let mut stage = stage();
    stage.keys("jj]");
    assert_eq!((stage.screen.queue().id().as_str(), stage.chosen().as_deref()), ("deploy", Some("prod")));
    stage.keys("]");
    assert_eq!((stage.screen.queue().id().as_str(), stage.chosen().as_deref()), ("build", Some("unit")));
    stage.keys("2");
    assert_eq!(stage.screen.queue().id().as_str(), "deploy");
    stage.keys("[9");
    assert_eq!(stage.screen.queue().id().as_str(), "build");
    assert_eq!(stage.message(), "there are only 2 queues");
}

#[test]
fn the_output_of_the_chosen_job_is_shown() {
    let mut stage = stage();
    stage.keys("r");
    let started = stage.start("build");
    stage.print(started.1, "first\nsecond\n\x1b]0;title\x07\x1b[2Jthird\n");
    let text = stage.text();
    assert!(text.contains("first\n") && text.contains(" third"), "{text}");
    stage.keys("<Enter>");
    assert!(!stage.text().contains("Pending"), "the output has the whole screen");
    stage.keys("/sec<Enter>");
    assert!(stage.text().contains("1 match"), "{}", stage.text());
    stage.keys("<Esc>");
    assert!(stage.text().contains("Pending"));
}

#[test]
fn the_editor_opens_at_the_job() {
    let mut stage = stage();
    stage.keys("je");
    assert_eq!(stage.edits, [Spot::Job { queue: "build".into(), name: "lint".into() }]);
}

#[test]
fn a_broken_file_is_shown_until_it_is_mended() {
    let mut stage = stage();
    let text = "error: unknown field `timeot`\n --> jobs.yaml:7:9".to_owned();
    stage.wake(Wake::File(Err(Broken { text, errors: 1, line: Some(7) })));
    assert!(stage.text().contains("error: unknown field `timeot`"));
    stage.keys("d");
    assert_eq!(stage.shown(Phase::Pending).len(), 5, "what is hidden is out of reach");
    stage.keys("e");
    assert_eq!(stage.edits, [Spot::Line(7)]);
    stage.keys("<Esc>");
    stage.later(60);
    stage.wake(Wake::Tick);
    assert!(stage.text().contains("Pending 5"));
    assert_eq!(stage.message(), "✗ jobs.yaml has an error; the last good one stays in force; e edits it");
    let jobs = [("lint", "Lint!"), ("unit", "Unit tests"), ("doc", "Documentation"), ("pack", "Package"), ("new", "")];
    let better = plan("2", vec![queue("build", 2, 0, &jobs), queue("deploy", 1, 1, &[("prod", "Production")])]);
    stage.wake(Wake::File(Ok(Box::new(better))));
    assert_eq!(stage.message(), "jobs.yaml reloaded: +1 ~1 -1");
}

#[test]
fn a_file_that_was_never_good_is_not_said_to_stay_in_force() {
    let mut stage = Stage::new(Vec::new(), 80, 24);
    stage.wake(Wake::File(Err(Broken { text: "error: no map".to_owned(), errors: 1, line: Some(1) })));
    assert!(stage.text().contains("e edits it there") && !stage.text().contains("last good one"), "{}", stage.text());
    assert_eq!(stage.message(), "✗ jobs.yaml has an error; e edits it");
}

#[test]
fn what_a_new_file_changes_is_said_whoever_reads_it_first() {
    let mut stage = stage();
    let more = [JOBS.as_slice(), &[("new", "New")]].concat();
    let both = |stamp| plan(stamp, vec![queue("build", 2, 0, &more), queue("deploy", 1, 1, &[("prod", "Production")])]);
    stage.elsewhere(&[Command::Reconcile(Box::new(both("2")))]);
    assert_eq!(stage.message(), "jobs.yaml reloaded: +1 ~0 -0");
    // The screen reads the same version a moment later.
    stage.wake(Wake::File(Ok(Box::new(both("2")))));
    assert_eq!(stage.message(), "jobs.yaml reloaded: +1 ~0 -0");
    stage.wake(Wake::File(Ok(Box::new(both("3")))));
    assert_eq!(stage.message(), "jobs.yaml reloaded: nothing changed");
}

#[test]
fn a_change_that_waits_for_a_running_job_is_made_up_for() {
    let mut stage = stage();
    stage.keys("r");
    let started = stage.start("build");
    let less = plan("2", vec![queue("build", 2, 0, &JOBS[1..])]);
    stage.wake(Wake::File(Ok(Box::new(less))));
    assert!(stage.message().ends_with("a running job changes at its end"), "{}", stage.message());
    stage.end(started, Outcome::Succeeded);
    assert_eq!(stage.rereads, 1);
}

#[test]
fn what_others_do_is_shown() {
    let mut stage = stage();
    stage.elsewhere(&[Command::Open { queue: "late".into() }]);
    assert!(stage.text().contains("3 late"));
    stage.process("build");
    stage.run("build", 3, failed("exit code 3"));
    let text = stage.text();
    assert!(text.contains("✗ 1 failed") && text.contains("exit code 3") && text.contains("12:00:03"), "{text}");
}

#[test]
fn a_site_without_queues_says_what_to_do() {
    let mut stage = Stage::new(Vec::new(), 80, 24);
    assert!(stage.text().contains("There are no queues yet."));
    stage.keys("pPrRxXdDuaghjkl<Tab>[]19/x<Esc>JKfw");
    stage.keys("e");
    assert_eq!(stage.edits, [Spot::Top]);
    stage.elsewhere(&[Command::Open { queue: "first".into() }]);
    assert_eq!(stage.screen.queue().id().as_str(), "first");
}
