//! Marked jobs and actions on all of them; sort orders, filters and the view of all queues.

use setlist::Job;
use setlist::model::{Command, Outcome, Phase, QueueId, QueueMode};

use super::harness::{ScreenHarness, failed, queue};

const JOBS: [(&str, &str); 5] = [("fetch", ""), ("lint", "Lint"), ("unit", "Unit"), ("doc", "Docs"), ("pack", "Pack")];

fn harness() -> ScreenHarness {
    ScreenHarness::new(
        vec![queue("build", 2, 0, &JOBS), queue("deploy", 1, 1, &[("prod", "Production"), ("test", "")])],
        80,
        24,
    )
}

fn count_marked(harness: &ScreenHarness) -> usize {
    harness.screen.lists().marks().iter().count()
}

#[test]
fn jobs_are_marked_and_unmarked() {
    let mut harness = harness();
    harness.keys("<Space><Space>");
    assert_eq!(
        (count_marked(&harness), harness.selected_job_name().as_deref()),
        (2, Some("unit")),
        "the cursor advances"
    );
    assert!(harness.text().contains("Pending 5 · 2 marked"), "{}", harness.text());
    assert!(harness.text().contains("•Lint"), "{}", harness.text());
    harness.keys("k<Space>");
    assert_eq!(count_marked(&harness), 1);
    harness.keys("*");
    assert_eq!(count_marked(&harness), 5, "every listed job");
    harness.keys("*");
    assert_eq!(count_marked(&harness), 0);
    harness.keys("*<Esc>");
    assert_eq!(count_marked(&harness), 0, "the first Esc removes the marks");
    harness.keys("<Tab>*");
    assert_eq!(harness.message(), "Nothing to mark: no running jobs are shown.");
}

#[test]
fn actions_on_marked_jobs_name_their_number_and_queue() {
    let mut harness = harness();
    harness.keys("<Space><Space><Space>x");
    assert_eq!(harness.question(), "Cancel 3 marked jobs in build? y cancel them · Esc go back");
    harness.keys("n");
    assert_eq!((harness.listed_jobs(Phase::Pending).len(), count_marked(&harness)), (5, 3));
    harness.keys("xy");
    assert_eq!(harness.message(), "Cancelled 3 jobs.");
    assert_eq!((harness.listed_jobs(Phase::Pending).len(), count_marked(&harness)), (2, 0));
    assert_eq!(harness.listed_jobs(Phase::Finished).len(), 3);
}

#[test]
fn running_and_finished_marked_jobs_are_distinguished() {
    let mut harness = harness();
    harness.keys("<Space><Space><Space>gr");
    harness.keys("n");
    harness.process("build");
    harness.run("build", 1, Outcome::Succeeded);
    harness.start("build");
    // The marks follow their jobs to the other lists.
    for heading in ["Pending 3 · 1 marked", "Running 1 · 1 marked", "Finished 1 · 1 marked"] {
        assert!(harness.text().contains(heading), "{heading}: {}", harness.text());
    }
    harness.keys("x");
    assert_eq!(harness.question(), "Cancel 2 of 3 marked jobs in build (1 running)? y cancel them · Esc go back");
    harness.keys("y");
    assert_eq!(harness.message(), "Cancelled 1 job, asked 1 to stop.");
    let mut harness = self::harness();
    harness.keys("*X");
    assert_eq!(harness.message(), "None of the marked jobs is running. Press x to cancel them.");
}

#[test]
fn jobs_removed_together_are_restored_together() {
    let mut harness = harness();
    harness.keys("<Space>j<Space>d");
    assert_eq!(harness.message(), "Removed 2 jobs. Press u to undo.");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint", "doc", "pack"]);
    harness.keys("u");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch", "lint", "unit", "doc", "pack"]);
    assert_eq!(count_marked(&harness), 0);
}

#[test]
fn marked_jobs_that_a_filter_hides_are_not_changed() {
    let mut harness = harness();
    harness.keys("*/l<Enter>x");
    assert_eq!(
        harness.question(),
        "Cancel 1 marked job in build (4 more are hidden by the filter)? y cancel them · Esc go back"
    );
    harness.keys("y");
    assert_eq!(harness.message(), "Cancelled 1 job.");
    harness.keys("<Esc>");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch", "unit", "doc", "pack"]);
    harness.keys("*/nothing<Enter>d");
    assert_eq!(harness.message(), "The filter hides 4 marked jobs.");
}

#[test]
fn marked_jobs_run_after_confirmation() {
    let mut harness = harness();
    harness.keys("j<Space><Space>r");
    assert_eq!(harness.question(), "Run 2 marked jobs in build? y run them · Esc go back");
    harness.keys("y");
    assert_eq!((harness.message().as_str(), harness.worker_spawns()), ("Running 2 jobs.", 1));
    let names = [harness.start("build"), harness.start("build")];
    assert_eq!(names.map(|(job, _)| job.0), [2, 3]);
}

#[test]
fn jobs_are_moved_and_the_cursor_follows() {
    let mut harness = harness();
    harness.keys("j}}");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch", "unit", "doc", "lint", "pack"]);
    assert_eq!(harness.selected_job_name().as_deref(), Some("lint"));
    harness.keys("{{{{");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint", "fetch", "unit", "doc", "pack"]);
    assert_eq!(harness.message(), "It is already first in build.");
    harness.keys("<Space>j<Space>}");
    assert_eq!(
        harness.listed_jobs(Phase::Pending),
        ["fetch", "doc", "lint", "unit", "pack"],
        "marked ones move together"
    );
    harness.keys("}}");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch", "doc", "pack", "lint", "unit"]);
    assert_eq!(harness.message(), "It is already last in build.");
    harness.keys("c}");
    assert_eq!(harness.message(), "The lists are sorted longest first. Press c to change that.");
}

#[test]
fn parallelism_is_changed_until_the_file_is_reloaded() {
    let mut harness = harness();
    harness.keys("+");
    assert_eq!(harness.message(), "build runs up to 3 jobs at once, until jobs.yaml is saved again.");
    assert!(harness.text().contains("build 0/3"));
    harness.keys("---");
    assert_eq!(harness.message(), "build already runs 1 at once. Press p to pause it.");
}

#[test]
fn lists_are_sorted_and_filtered_by_failure() {
    let mut harness = harness();
    harness.process("build");
    for (seconds, outcome) in [(5, Outcome::Succeeded), (9, failed("exit code 1")), (1, Outcome::Succeeded)] {
        harness.run("build", seconds, outcome);
    }
    harness.keys("p");
    assert_eq!(harness.listed_jobs(Phase::Finished), ["unit", "lint", "fetch"], "latest first");
    for (order, names) in [
        ("longest first", ["lint", "fetch", "unit"]),
        ("most memory first", ["unit", "lint", "fetch"]),
        ("by title", ["fetch", "lint", "unit"]),
        ("failures first", ["lint", "unit", "fetch"]),
    ] {
        harness.keys("c");
        assert_eq!(harness.listed_jobs(Phase::Finished), names, "{order}");
        assert!(harness.text().contains(&format!("Finished 3 · {order}")), "{}", harness.text());
    }
    harness.keys("cccF");
    assert_eq!(harness.listed_jobs(Phase::Finished), ["lint"]);
    assert!(harness.text().contains("Finished 3 · failures only "), "{}", harness.text());
    harness.keys("/ li<Enter>");
    assert!(harness.text().contains("Finished 3 · failures only, 1 matches \"li\""), "{}", harness.text());
    assert_eq!(harness.listed_jobs(Phase::Finished), ["lint"]);
    harness.keys("F");
    assert_eq!(harness.screen.lists().filter_text(), "li");
    harness.keys("D");
    assert_eq!(harness.message(), "Removed 1 job. Press u to undo.", "only the listed jobs");
}

#[test]
fn an_invalid_filter_says_so_and_changes_nothing() {
    let mut harness = harness();
    harness.keys("/lint");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint"]);
    harness.keys(" stat:f");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint"], "the valid part is applied");
    assert!(harness.text().contains("unknown field `stat:`; did you mean `state:`?"), "{}", harness.text());
    harness.keys("<Enter>");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint"]);
    harness.keys("<Esc>");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 5);
    harness.keys("/state:pen !unit<Enter>");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["fetch", "lint", "doc", "pack"]);
}

#[test]
fn a_zoomed_list_fills_the_screen() {
    let mut harness = harness();
    harness.keys("z");
    let text = harness.text();
    assert!(text.contains("Pending 5") && !text.contains("Finished") && !text.contains("Output"), "{text}");
    harness.keys("z");
    assert!(harness.text().contains("Finished"));
    harness.keys("z<Esc>");
    assert!(harness.text().contains("Finished"), "Esc leaves the zoom");
}

#[test]
fn the_view_of_all_queues_lists_the_jobs_of_all_queues() {
    let mut harness = harness();
    harness.keys("0");
    let text = harness.text();
    assert!(text.starts_with(" 0 all "), "{text}");
    assert!(text.contains("Pending 7") && text.contains("  build   Lint"), "{text}");
    assert!(text.contains("nothing running: press P to process all queues"), "{text}");
    harness.keys("p");
    assert!(harness.message().contains("Press P to process all of them."), "{}", harness.message());
    harness.keys("a");
    assert!(harness.message().starts_with("All queues are shown"), "{}", harness.message());
    harness.keys("G");
    assert!(harness.text().contains("  deploy  Production"), "{}", harness.text());
    harness.keys("{");
    assert_eq!(harness.selected_job_name().as_deref(), Some("test"));
    harness.keys("{");
    assert_eq!(harness.message(), "It is already first in deploy.");
    harness.keys("P");
    let mode =
        |id: &str| harness.screen.queue().site().read(|site_state| site_state.queue(&QueueId::from(id)).unwrap().mode);
    assert_eq!((mode("build"), mode("deploy")), (QueueMode::Processing, QueueMode::Processing));
    let run = harness.start("deploy");
    assert_eq!(
        (harness.focused_list(), harness.selected_job_name().as_deref()),
        (Phase::Running, Some("test")),
        "the cursor goes with its job"
    );
    harness.end(run, failed("exit code 1"));
    harness.run("build", 1, failed("exit code 2"));
    harness.keys("R");
    assert_eq!(harness.question(), "Run 2 failed jobs in 2 queues again? y run them · Esc go back");
    harness.keys("y");
    harness.execute_elsewhere(&[Command::EnsureQueue { queue: "later".into() }]);
    harness.keys("*x");
    assert!(harness.question().contains("in 2 queues? y "), "{}", harness.question());
    harness.keys("n<Esc><Esc>");
    assert_eq!(harness.screen.lists().filter_text(), "");
    assert!(harness.text().starts_with(" 1 build"), "Esc leads back to the queue: {}", harness.text());
    harness.keys("0]");
    assert!(!harness.screen.lists().shows_all_queues());
}

#[test]
fn an_added_job_may_have_a_title() {
    let mut harness = harness();
    harness.keys("amake all<Tab>Make it<Tab> -j4<Enter>");
    let job = harness.screen.selected_job().unwrap();
    assert_eq!((job.title(), job.script().unwrap().first_line().as_str()), ("Make it", "make all -j4"));
}

#[test]
fn marked_jobs_keep_their_order_when_moved() {
    let mut harness = harness();
    // First `unit`, then `unit` and `fetch` together behind `lint`.
    harness.keys("jj{{");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["unit", "fetch", "lint", "doc", "pack"]);
    harness.keys("g<Space><Space>}");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["lint", "unit", "fetch", "doc", "pack"]);
}

#[test]
fn failed_jobs_run_again_in_queue_order() {
    let mut harness = harness();
    harness.process("build");
    let (first, second) = (harness.start("build"), harness.start("build"));
    harness.advance_seconds(1);
    harness.end(second, failed("exit code 1"));
    harness.advance_seconds(1);
    harness.end(first, failed("exit code 1"));
    harness.keys("Ry");
    let again: Vec<_> = (0..2).map(|_| harness.start("build").0).collect();
    assert_eq!(again, [first.0, second.0]);
}

#[test]
fn a_failed_job_that_has_succeeded_meanwhile_is_not_run_again() {
    let mut harness = harness();
    harness.process("build");
    let first = harness.run("build", 1, failed("exit code 1"));
    let second = harness.run("build", 1, failed("exit code 1"));
    harness.keys("R");
    assert!(harness.question().starts_with("Run 2 failed jobs in build again?"), "{}", harness.question());
    // Another process runs the first job while the question is shown.
    harness.execute_elsewhere(&[Command::Run { job: first, force: false }]);
    assert_eq!(harness.run("build", 1, Outcome::Succeeded), first);
    harness.keys("y");
    assert_eq!(harness.message(), "Running 1 failed job again.");
    let jobs = harness.screen.queue().site();
    let outcome = |id| jobs.read(|site| site.job(id).and_then(Job::outcome).cloned());
    assert_eq!((outcome(first), outcome(second)), (Some(Outcome::Succeeded), None), "the success is kept");
}
