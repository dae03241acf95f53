//! The details of a job: beside the other panes on a wide screen, in place of them on a narrow one.

use std::sync::Arc;

use setlist::model::{
    Command, Definition, DesiredQueue, ExecOptions, Hook, JobId, JobRef, Need, Outcome, OutcomeCondition, Program,
    RetryPolicy, SchedulingOptions, Script, StopSignal,
};

use super::harness::{ScreenHarness, failed, queue};

/// `lint` and `unit` need `fetch`; `pack` needs them, and that `smoke` fails.
fn pipeline() -> Vec<DesiredQueue> {
    let jobs = [("fetch", "Fetch"), ("lint", "Lint"), ("unit", "Unit tests"), ("smoke", ""), ("pack", "Package")];
    let mut build = queue("build", 2, 0, &jobs);
    let needs = |queue: &mut DesiredQueue, nth: usize, names: &[(&str, OutcomeCondition)]| {
        let need = |(name, on): &(&str, OutcomeCondition)| Need {
            job: JobRef::Named("build".into(), Arc::from(*name)),
            on: *on,
        };
        let terms = SchedulingOptions { needs: names.iter().map(need).collect(), ..SchedulingOptions::default() };
        Arc::make_mut(&mut queue.jobs[nth]).scheduling = Arc::new(terms);
    };
    needs(&mut build, 1, &[("fetch", OutcomeCondition::Success)]);
    needs(&mut build, 2, &[("fetch", OutcomeCondition::Success)]);
    needs(
        &mut build,
        4,
        &[
            ("lint", OutcomeCondition::Success),
            ("unit", OutcomeCondition::Finish),
            ("smoke", OutcomeCondition::Failure),
        ],
    );
    vec![build]
}

/// The lines of the details pane.
fn details(harness: &mut ScreenHarness) -> Vec<String> {
    let text = harness.text();
    let mut lines = text.lines().skip_while(|line| !line.contains("Details · "));
    let column = lines.next().unwrap_or_else(|| panic!("no details:\n{text}")).find("─ Details").unwrap();
    let start = text.lines().find(|line| line.contains("─ Details")).unwrap()[..column].chars().count();
    let body = lines.take_while(|line| !line.starts_with(" #") && !line.contains(" p process"));
    body.map(|line| line.chars().skip(start).collect::<String>().trim_end().to_owned()).collect()
}

#[track_caller]
fn assert_details(harness: &mut ScreenHarness, expected: &[&str]) {
    let details = details(harness);
    let found =
        details.windows(expected.len()).any(|lines| lines.iter().zip(expected).all(|(line, part)| line.contains(part)));
    assert!(found, "expected {expected:#?} in\n{}", details.join("\n"));
}

#[test]
fn they_are_shown_on_a_wide_screen() {
    for (width, height, shown) in
        [(159, 60, false), (160, 35, false), (160, 36, true), (200, 60, true), (219, 30, false), (220, 30, true)]
    {
        let mut harness = ScreenHarness::new(pipeline(), width, height);
        assert_eq!(harness.text().contains("Details"), shown, "{width}x{height}");
    }
}

#[test]
fn v_opens_them_on_a_narrow_screen() {
    for (width, height) in [(80, 24), (60, 18), (40, 10)] {
        let mut harness = ScreenHarness::new(pipeline(), width, height);
        harness.keys("jv");
        assert_details(&mut harness, &["Lint"]);
        assert!(!harness.text().contains("Output"), "{}", harness.text());
        harness.keys("v");
        assert!(!harness.text().contains("Details"));
        harness.keys("v<Esc>");
        assert!(!harness.text().contains("Details"));
        assert_eq!(harness.selected_job_name().as_deref(), Some("lint"));
    }
}

#[test]
fn needs_are_a_tree_with_states() {
    let mut harness = ScreenHarness::new(pipeline(), 200, 60);
    harness.keys("g");
    harness.process("build");
    harness.run("build", 2, Outcome::Succeeded);
    harness.start("build");
    harness.advance_seconds(3);
    harness.start("build");
    harness.advance_seconds(7);
    harness.execute_elsewhere(&[Command::Pause { queue: "build".into() }]);
    // From the finished job to the running one to the last pending one.
    harness.keys("hhG");
    assert_eq!(harness.selected_job_name().as_deref(), Some("pack"));
    assert_details(
        &mut harness,
        &["Needs", "├ ▸ lint  running 10s", "│ └ ✓ fetch  succeeded", "├ ▸ unit  running 7s (must finish)"],
    );
    assert_details(&mut harness, &["└ · smoke  paused (must fail)"]);
}

#[test]
fn dependent_jobs_are_named() {
    let mut harness = ScreenHarness::new(pipeline(), 200, 60);
    assert_details(&mut harness, &["Needed by  lint, unit"]);
}

#[test]
fn a_finished_job_has_a_timeline() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("lint", "Lint")])], 80, 24);
    harness.keys("v");
    harness.advance_seconds(5);
    assert_details(&mut harness, &["waiting 5s ▸ run ▸ done", "12:00:00"]);
    harness.process("build");
    let started = harness.start("build");
    harness.advance_seconds(61);
    assert_details(&mut harness, &["waited 5.0s ▸ running 1m 01s ▸ done", "12:00:00      12:00:05"]);
    harness.end(started, failed("exit code 9"));
    assert_details(&mut harness, &["✗ exit code 9"]);
    assert_details(&mut harness, &["waited 5.0s ▸ ran 1m 01s ▸ failed", "12:00:00      12:00:05     12:01:06"]);
}

#[test]
fn a_retry_shows_its_attempts() {
    let mut definition = Definition::new(Script::shell("./flaky.sh"));
    definition.scheduling =
        Arc::new(SchedulingOptions { retry: RetryPolicy::times(3), ..SchedulingOptions::default() });
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[])], 200, 60);
    harness.execute_elsewhere(&[Command::Add { queue: "build".into(), jobs: vec![Arc::new(definition)] }]);
    harness.process("build");
    harness.run("build", 2, failed("exit code 7"));
    assert_details(&mut harness, &["pending: attempt 2/4 in 1s"]);
    assert_details(&mut harness, &["waited 0ms ▸ ran 2.0s ▸ failed   ▸ retry"]);
    harness.execute_elsewhere(&[Command::Cancel { job: JobId(1), stop: StopSignal::Terminate }]);
    assert_details(&mut harness, &["waited 0ms ▸ ran 2.0s ▸ failed   ▸ cancelled"]);
}

#[test]
fn a_job_that_became_pending_again_shows_the_run_before_as_such() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("lint", "Lint")])], 200, 60);
    harness.process("build");
    let job = harness.run("build", 2, Outcome::Succeeded);
    assert!(harness.text().contains("Output · build/lint · Lint · 2.0s"), "{}", harness.text());
    harness.execute_elsewhere(&[Command::Reset { job }]);
    assert!(harness.text().contains("Output · build/lint · Lint · run 1 of 1, succeeded"), "{}", harness.text());
    harness.execute_elsewhere(&[Command::Cancel { job, stop: StopSignal::Terminate }]);
    assert!(harness.text().contains("Output · build/lint · Lint · run 1 of 1, succeeded"), "{}", harness.text());
    assert_details(&mut harness, &["⊘ cancelled"]);
    let details = details(&mut harness).join("\n");
    assert!(details.contains("▸ cancelled") && !details.contains("▸ ran 2.0s"), "{details}");
}

#[test]
fn its_runs_are_charted_and_listed() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("lint", "Lint")])], 80, 24);
    harness.process("build");
    let mut job = JobId(1);
    for (seconds, good) in [(10, true), (20, true), (40, false), (80, true)] {
        job = harness.run("build", seconds, if good { Outcome::Succeeded } else { failed("exit code 1") });
        harness.keys("r");
    }
    harness.run("build", 80, Outcome::Succeeded);
    assert_eq!(job, JobId(1));
    harness.keys("v");
    assert_details(&mut harness, &["Runs  median 1m 20s of 4 successful runs", "▁▂▄██", "  ✗"]);
    assert_details(&mut harness, &["›✓   5 succeeded", " ✓   4 succeeded", " ✗   3 exit code 1", " ✓   2", " ✓   1"]);
}

#[test]
fn a_long_script_is_truncated_until_the_pane_is_opened() {
    let script = (1..=40).map(|line| format!("echo line-{line}")).collect::<Vec<_>>().join("\n");
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[])], 200, 60);
    harness.execute_elsewhere(&[Command::Add {
        queue: "build".into(),
        jobs: vec![Arc::new(Definition::new(Script::shell(script)))],
    }]);
    harness.keys("j");
    assert_details(&mut harness, &["echo line-1", "echo line-2"]);
    assert_details(&mut harness, &["echo line-6", "… 34 more lines"]);
    harness.keys("v");
    assert_details(&mut harness, &["echo line-39", "echo line-40"]);
    harness.resize(80, 24);
    assert!(!harness.text().contains("line-40"));
    harness.keys("G");
    assert_details(&mut harness, &["echo line-40"]);
    harness.keys("g");
    assert_details(&mut harness, &["echo line-1"]);
}

#[test]
fn the_hook_is_shown_with_its_outcome() {
    let program = Program::Run { text: "mail me\nlogger done".into(), shell: Program::default_shell() };
    let hook = Hook { on: OutcomeCondition::Failure, ..Hook::new(program) };
    let exec = ExecOptions { on_finish: Some(Arc::new(hook)), ..ExecOptions::default() };
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[])], 200, 60);
    let definition = Definition::new(Script::shell("./pack.sh").with_exec(exec));
    harness.execute_elsewhere(&[Command::Add { queue: "build".into(), jobs: vec![Arc::new(definition)] }]);
    harness.keys("j");
    assert_details(&mut harness, &["On finish  after a failure, timeout 1m", "  mail me", "  logger done"]);
    harness.process("build");
    let run = harness.start("build");
    harness.end(run, failed("exit code 1"));
    let before = details(&mut harness);
    assert!(!before.iter().any(|line| line.contains("exit code 6")));
    harness.advance_seconds(5);
    harness.finish_hook(run.1, failed("exit code 6"), "no such host");
    assert_details(&mut harness, &["  logger done", "  ✗ exit code 6: no such host  12:00:05"]);
    // A later run without a hook leaves it as it is.
    harness.advance_seconds(5);
    harness.keys("r");
    let again = harness.start("build");
    harness.end(again, failed("exit code 1"));
    assert_details(&mut harness, &["  ✗ exit code 6: no such host  12:00:05"]);
    harness.finish_hook(again.1, Outcome::Succeeded, "");
    assert_details(&mut harness, &["  logger done", "  ✓ succeeded  12:00:10"]);
}
