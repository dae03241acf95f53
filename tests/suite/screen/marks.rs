//! Marked jobs and what is done to all of them; orders, filters and the view of all queues.

use setlist::model::{Command, Mode, Outcome, Phase, QueueId};

use super::stage::{Stage, failed, queue};

const JOBS: [(&str, &str); 5] = [("fetch", ""), ("lint", "Lint"), ("unit", "Unit"), ("doc", "Docs"), ("pack", "Pack")];

fn stage() -> Stage {
    Stage::new(
        vec![queue("build", 2, 0, &JOBS), queue("deploy", 1, 1, &[("prod", "Production"), ("test", "")])],
        80,
        24,
    )
}

fn marked(stage: &Stage) -> usize {
    stage.screen.lists().marks().len()
}

#[test]
fn marks_are_set_and_taken_away() {
    let mut stage = stage();
    stage.keys("<Space><Space>");
    assert_eq!((marked(&stage), stage.chosen().as_deref()), (2, Some("unit")), "the cursor goes on");
    assert!(stage.text().contains("Pending 5 · 2 marked"), "{}", stage.text());
    assert!(stage.text().contains("•Lint"), "{}", stage.text());
    stage.keys("k<Space>");
    assert_eq!(marked(&stage), 1);
    stage.keys("*");
    assert_eq!(marked(&stage), 5, "all that the list shows");
    stage.keys("*");
    assert_eq!(marked(&stage), 0);
    stage.keys("*<Esc>");
    assert_eq!(marked(&stage), 0, "Esc takes them away before anything else");
    stage.keys("<Tab>*");
    assert_eq!(stage.message(), "there is nothing to mark: nothing running is shown");
}

#[test]
fn what_is_done_to_marked_jobs_says_to_how_many_and_where() {
    let mut stage = stage();
    stage.keys("<Space><Space><Space>x");
    assert_eq!(stage.message(), "Cancel 3 marked jobs in build? y/N");
    stage.keys("n");
    assert_eq!((stage.shown(Phase::Pending).len(), marked(&stage)), (5, 3));
    stage.keys("xy");
    assert_eq!(stage.message(), "cancelled 3 jobs");
    assert_eq!((stage.shown(Phase::Pending).len(), marked(&stage)), (2, 0));
    assert_eq!(stage.shown(Phase::Finished).len(), 3);
}

#[test]
fn running_and_finished_ones_among_them_are_told_apart() {
    let mut stage = stage();
    stage.keys("<Space><Space><Space>gr");
    stage.keys("n");
    stage.process("build");
    stage.run("build", 1, Outcome::Succeeded);
    stage.start("build");
    stage.keys("x");
    assert_eq!(stage.message(), "Cancel 2 of 3 marked jobs in build (1 running)? y/N");
    stage.keys("y");
    assert_eq!(stage.message(), "cancelled 1 job, asked 1 to stop");
    let mut stage = self::stage();
    stage.keys("*X");
    assert_eq!(stage.message(), "none of the marked jobs runs: there is no process to kill; x cancels them");
}

#[test]
fn removed_at_once_they_come_back_at_once() {
    let mut stage = stage();
    stage.keys("<Space>j<Space>d");
    assert_eq!(stage.message(), "removed 2 jobs; u undoes");
    assert_eq!(stage.shown(Phase::Pending), ["lint", "doc", "pack"]);
    stage.keys("u");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "lint", "unit", "doc", "pack"]);
    assert_eq!(marked(&stage), 0);
}

#[test]
fn a_filter_keeps_marked_jobs_that_it_hides_from_harm() {
    let mut stage = stage();
    stage.keys("*/l<Enter>x");
    assert_eq!(stage.message(), "Cancel 1 marked job in build, not 4 that the filter hides? y/N");
    stage.keys("y");
    assert_eq!(stage.message(), "cancelled 1 job");
    stage.keys("<Esc>");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "unit", "doc", "pack"]);
    stage.keys("*/nothing<Enter>d");
    assert_eq!(stage.message(), "the filter hides 4 marked jobs");
}

#[test]
fn marked_jobs_run_after_a_question() {
    let mut stage = stage();
    stage.keys("j<Space><Space>r");
    assert_eq!(stage.message(), "Run 2 marked jobs in build? y/N");
    stage.keys("y");
    assert_eq!((stage.message().as_str(), stage.hired()), ("running 2 jobs", 1));
    let names = [stage.start("build"), stage.start("build")];
    assert_eq!(names.map(|(job, _)| job.0), [2, 3]);
}

#[test]
fn jobs_are_moved_and_the_cursor_goes_with_them() {
    let mut stage = stage();
    stage.keys("j}}");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "unit", "doc", "lint", "pack"]);
    assert_eq!(stage.chosen().as_deref(), Some("lint"));
    stage.keys("{{{{");
    assert_eq!(stage.shown(Phase::Pending), ["lint", "fetch", "unit", "doc", "pack"]);
    assert_eq!(stage.message(), "it is the first that waits in build");
    stage.keys("<Space>j<Space>}");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "doc", "lint", "unit", "pack"], "marked ones move together");
    stage.keys("}}");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "doc", "pack", "lint", "unit"]);
    assert_eq!(stage.message(), "it is the last that waits in build");
    stage.keys("c}");
    assert_eq!(stage.message(), "the lists are sorted by title; c changes that");
}

#[test]
fn parallel_is_changed_until_the_file_is_saved() {
    let mut stage = stage();
    stage.keys("+");
    assert_eq!(stage.message(), "build runs 3 at once, until jobs.yaml is saved again");
    assert!(stage.text().contains("build 0/3"));
    stage.keys("---");
    assert_eq!(stage.message(), "build runs 1 at once; p pauses it");
}

#[test]
fn lists_are_sorted_and_failures_are_shown_alone() {
    let mut stage = stage();
    stage.process("build");
    for (seconds, outcome) in [(5, Outcome::Succeeded), (9, failed("exit code 1")), (1, Outcome::Succeeded)] {
        stage.run("build", seconds, outcome);
    }
    stage.keys("p");
    assert_eq!(stage.shown(Phase::Finished), ["unit", "lint", "fetch"], "latest first");
    for (order, names) in [
        ("by title", ["fetch", "lint", "unit"]),
        ("longest first", ["lint", "fetch", "unit"]),
        ("failures first", ["lint", "unit", "fetch"]),
    ] {
        stage.keys("c");
        assert_eq!(stage.shown(Phase::Finished), names, "{order}");
        assert!(stage.text().contains(&format!("Finished 3 · {order}")), "{}", stage.text());
    }
    stage.keys("cF");
    assert_eq!(stage.shown(Phase::Finished), ["lint"]);
    assert!(stage.text().contains("1 match state:failed,interrupted"), "{}", stage.text());
    stage.keys("/ li<Enter>");
    assert_eq!(stage.shown(Phase::Finished), ["lint"]);
    stage.keys("F");
    assert_eq!(stage.screen.lists().filter_text(), "li");
    stage.keys("D");
    assert_eq!(stage.message(), "removed 1 job; u undoes", "only what is shown");
}

#[test]
fn a_filter_that_makes_no_sense_says_so_and_changes_nothing() {
    let mut stage = stage();
    stage.keys("/lint");
    assert_eq!(stage.shown(Phase::Pending), ["lint"]);
    stage.keys(" stat:f");
    assert_eq!(stage.shown(Phase::Pending), ["lint"], "the rest holds");
    assert!(stage.text().contains("there is no `stat:`; did you mean `state:`?"), "{}", stage.text());
    stage.keys("<Enter>");
    assert_eq!(stage.shown(Phase::Pending), ["lint"]);
    stage.keys("<Esc>");
    assert_eq!(stage.shown(Phase::Pending).len(), 5);
    stage.keys("/state:pen !unit<Enter>");
    assert_eq!(stage.shown(Phase::Pending), ["fetch", "lint", "doc", "pack"]);
}

#[test]
fn zoom_gives_a_list_the_whole_screen() {
    let mut stage = stage();
    stage.keys("z");
    let text = stage.text();
    assert!(text.contains("Pending 5") && !text.contains("Finished") && !text.contains("Output"), "{text}");
    stage.keys("z");
    assert!(stage.text().contains("Finished"));
    stage.keys("z<Esc>");
    assert!(stage.text().contains("Finished"), "Esc leads back");
}

#[test]
fn the_view_of_all_queues_has_the_jobs_of_all() {
    let mut stage = stage();
    stage.keys("0");
    let text = stage.text();
    assert!(text.starts_with(" 0 all "), "{text}");
    assert!(text.contains("Pending 7") && text.contains("build/Lint"), "{text}");
    assert!(text.contains("nothing runs: P processes all queues"), "{text}");
    stage.keys("p");
    assert!(stage.message().contains("P processes all of them"), "{}", stage.message());
    stage.keys("a");
    assert!(stage.message().starts_with("all queues are shown"), "{}", stage.message());
    stage.keys("G");
    assert!(stage.text().contains("deploy/Production"), "{}", stage.text());
    stage.keys("{");
    assert_eq!(stage.chosen().as_deref(), Some("test"));
    stage.keys("{");
    assert_eq!(stage.message(), "it is the first that waits in deploy");
    stage.keys("P");
    let mode = |id: &str| stage.screen.queue().site().read(|ledger| ledger.queue(&QueueId::from(id)).unwrap().mode);
    assert_eq!((mode("build"), mode("deploy")), (Mode::Processing, Mode::Processing));
    let run = stage.start("deploy");
    assert_eq!(
        (stage.list(), stage.chosen().as_deref()),
        (Phase::Running, Some("test")),
        "the cursor goes with its job"
    );
    stage.end(run, failed("exit code 1"));
    stage.run("build", 1, failed("exit code 2"));
    stage.keys("R");
    assert_eq!(stage.message(), "Run 2 failed jobs in 2 queues again? y/N");
    stage.keys("y");
    stage.elsewhere(&[Command::Open { queue: "later".into() }]);
    stage.keys("*x");
    assert!(stage.message().ends_with("in 2 queues? y/N"), "{}", stage.message());
    stage.keys("n<Esc><Esc>");
    assert_eq!(stage.screen.lists().filter_text(), "");
    assert!(stage.text().starts_with(" 1 build"), "Esc leads back to the queue: {}", stage.text());
    stage.keys("0]");
    assert!(!stage.screen.lists().is_of_all());
}

#[test]
fn an_added_job_may_have_a_title() {
    let mut stage = stage();
    stage.keys("amake all<Tab>Make it<Tab> -j4<Enter>");
    let job = stage.screen.chosen().unwrap();
    assert_eq!((job.title(), job.script().unwrap().first_line().as_str()), ("Make it", "make all -j4"));
}

#[test]
fn marked_jobs_move_in_the_order_in_which_they_stand() {
    let mut stage = stage();
    // `unit` first, then it and `fetch` together behind `lint`.
    stage.keys("jj{{");
    assert_eq!(stage.shown(Phase::Pending), ["unit", "fetch", "lint", "doc", "pack"]);
    stage.keys("g<Space><Space>}");
    assert_eq!(stage.shown(Phase::Pending), ["lint", "unit", "fetch", "doc", "pack"]);
}

#[test]
fn failed_jobs_run_again_in_the_order_of_their_queue() {
    let mut stage = stage();
    stage.process("build");
    let (first, second) = (stage.start("build"), stage.start("build"));
    stage.later(1);
    stage.end(second, failed("exit code 1"));
    stage.later(1);
    stage.end(first, failed("exit code 1"));
    stage.keys("Ry");
    let again: Vec<_> = (0..2).map(|_| stage.start("build").0).collect();
    assert_eq!(again, [first.0, second.0]);
}
