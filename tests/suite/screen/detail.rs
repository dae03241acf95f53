//! The details of a job: beside everything else where there is room, in place of it where there is none.

use std::sync::Arc;

use setlist::model::{
    Command, Definition, Hook, JobId, Need, On, Outcome, Program, QueuePlan, Retry, Script, Setup, Target, Terms,
};

use super::stage::{Stage, failed, queue};

/// `fetch` ← `lint`, `unit` ← `pack`; `pack` also has to see `smoke` fail.
fn pipeline() -> Vec<QueuePlan> {
    let jobs = [("fetch", "Fetch"), ("lint", "Lint"), ("unit", "Unit tests"), ("smoke", ""), ("pack", "Package")];
    let mut build = queue("build", 2, 0, &jobs);
    let needs = |queue: &mut QueuePlan, nth: usize, names: &[(&str, On)]| {
        let need = |(name, on): &(&str, On)| Need { job: Target::Named("build".into(), Arc::from(*name)), on: *on };
        let terms = Terms { needs: names.iter().map(need).collect(), ..Terms::default() };
        Arc::make_mut(&mut queue.jobs[nth]).terms = Arc::new(terms);
    };
    needs(&mut build, 1, &[("fetch", On::Success)]);
    needs(&mut build, 2, &[("fetch", On::Success)]);
    needs(&mut build, 4, &[("lint", On::Success), ("unit", On::Finish), ("smoke", On::Failure)]);
    vec![build]
}

/// The part of the screen that shows them, line by line.
fn details(stage: &mut Stage) -> Vec<String> {
    let text = stage.text();
    let mut lines = text.lines().skip_while(|line| !line.contains("Details · "));
    let column = lines.next().unwrap_or_else(|| panic!("no details:\n{text}")).find("─ Details").unwrap();
    let start = text.lines().find(|line| line.contains("─ Details")).unwrap()[..column].chars().count();
    let body = lines.take_while(|line| !line.starts_with(" #") && !line.contains(" p process"));
    body.map(|line| line.chars().skip(start).collect::<String>().trim_end().to_owned()).collect()
}

#[track_caller]
fn has(stage: &mut Stage, expected: &[&str]) {
    let details = details(stage);
    let found =
        details.windows(expected.len()).any(|lines| lines.iter().zip(expected).all(|(line, part)| line.contains(part)));
    assert!(found, "expected {expected:#?} in\n{}", details.join("\n"));
}

#[test]
fn they_are_there_where_there_is_room() {
    for (width, height, shown) in
        [(159, 60, false), (160, 35, false), (160, 36, true), (200, 60, true), (219, 30, false), (220, 30, true)]
    {
        let mut stage = Stage::new(pipeline(), width, height);
        assert_eq!(stage.text().contains("Details"), shown, "{width}x{height}");
    }
}

#[test]
fn v_opens_them_where_there_is_none() {
    for (width, height) in [(80, 24), (60, 18), (40, 10)] {
        let mut stage = Stage::new(pipeline(), width, height);
        stage.keys("jv");
        has(&mut stage, &["Lint"]);
        assert!(!stage.text().contains("Output"), "{}", stage.text());
        stage.keys("v");
        assert!(!stage.text().contains("Details"));
        stage.keys("v<Esc>");
        assert!(!stage.text().contains("Details"));
        assert_eq!(stage.chosen().as_deref(), Some("lint"));
    }
}

#[test]
fn needs_are_a_tree_with_states() {
    let mut stage = Stage::new(pipeline(), 200, 60);
    stage.process("build");
    stage.run("build", 2, Outcome::Succeeded);
    stage.start("build");
    stage.later(3);
    stage.start("build");
    stage.later(7);
    stage.elsewhere(&[Command::Pause { queue: "build".into() }]);
    // From the finished job, over what runs, to the last of those that wait.
    stage.keys("hhG");
    assert_eq!(stage.chosen().as_deref(), Some("pack"));
    has(
        &mut stage,
        &["Needs", "├ ▸ lint  running 10s", "│ └ ✓ fetch  succeeded", "├ ▸ unit  running 7s (has to finish)"],
    );
    has(&mut stage, &["└ · smoke  paused (has to fail)"]);
}

#[test]
fn those_that_need_it_are_named() {
    let mut stage = Stage::new(pipeline(), 200, 60);
    has(&mut stage, &["Needed by  lint, unit"]);
}

#[test]
fn a_job_that_waits_runs_and_ends_has_a_timeline() {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[("lint", "Lint")])], 80, 24);
    stage.keys("v");
    stage.later(5);
    has(&mut stage, &["waiting 5s ▸ runs ▸ done", "12:00:00"]);
    stage.process("build");
    let started = stage.start("build");
    stage.later(61);
    has(&mut stage, &["waited 5.0s ▸ running 1m 01s ▸ done", "12:00:00      12:00:05"]);
    stage.end(started, failed("exit code 9"));
    has(&mut stage, &["✗ exit code 9"]);
    has(&mut stage, &["waited 5.0s ▸ ran 1m 01s ▸ failed", "12:00:00      12:00:05     12:01:06"]);
}

#[test]
fn a_retry_tells_of_the_tries() {
    let mut definition = Definition::new(Script::shell("./flaky.sh"));
    definition.terms = Arc::new(Terms { retry: Retry::times(3), ..Terms::default() });
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[])], 200, 60);
    stage.elsewhere(&[Command::Add { queue: "build".into(), jobs: vec![Arc::new(definition)] }]);
    stage.process("build");
    stage.run("build", 2, failed("exit code 7"));
    has(&mut stage, &["pending: retry 2/4 in 1s, attempt 1 of 4"]);
    has(&mut stage, &["waited 0ms ▸ ran 2.0s ▸ failed   ▸ runs again"]);
}

#[test]
fn its_runs_are_drawn_and_listed() {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[("lint", "Lint")])], 80, 24);
    stage.process("build");
    let mut job = JobId(1);
    for (seconds, good) in [(10, true), (20, true), (40, false), (80, true)] {
        job = stage.run("build", seconds, if good { Outcome::Succeeded } else { failed("exit code 1") });
        stage.keys("r");
    }
    stage.run("build", 80, Outcome::Succeeded);
    assert_eq!(job, JobId(1));
    stage.keys("v");
    has(&mut stage, &["Runs  median 1m 20s of 4 successes", "▁▂▄██", "  ✗"]);
    has(&mut stage, &["›✓   5 succeeded", " ✓   4 succeeded", " ✗   3 exit code 1", " ✓   2", " ✓   1"]);
}

#[test]
fn a_long_script_is_cut_in_the_pane_and_whole_when_opened() {
    let script = (1..=40).map(|line| format!("echo line-{line}")).collect::<Vec<_>>().join("\n");
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[])], 200, 60);
    stage.elsewhere(&[Command::Add {
        queue: "build".into(),
        jobs: vec![Arc::new(Definition::new(Script::shell(script)))],
    }]);
    stage.keys("j");
    has(&mut stage, &["echo line-1", "echo line-2"]);
    has(&mut stage, &["echo line-6", "… 34 more lines"]);
    stage.keys("v");
    has(&mut stage, &["echo line-39", "echo line-40"]);
    stage.resize(80, 24);
    assert!(!stage.text().contains("line-40"));
    stage.keys("G");
    has(&mut stage, &["echo line-40"]);
    stage.keys("g");
    has(&mut stage, &["echo line-1"]);
}

#[test]
fn what_is_run_when_a_job_has_finished_is_told_with_how_it_went() {
    let program = Program::Run { text: "mail me\nlogger done".to_owned(), shell: Program::default_shell() };
    let hook = Hook { on: On::Failure, ..Hook::new(program) };
    let setup = Setup { on_finish: Some(Arc::new(hook)), ..Setup::default() };
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[])], 200, 60);
    let definition = Definition::new(Script::shell("./pack.sh").with(setup));
    stage.elsewhere(&[Command::Add { queue: "build".into(), jobs: vec![Arc::new(definition)] }]);
    stage.keys("j");
    has(&mut stage, &["On finish  after a failure, timeout 1m", "  mail me", "  logger done"]);
    stage.process("build");
    let run = stage.start("build");
    stage.end(run, failed("exit code 1"));
    let before = details(&mut stage);
    assert!(!before.iter().any(|line| line.contains("exit code 6")));
    stage.later(5);
    stage.hook_end(run.1, failed("exit code 6"), "no such host");
    has(&mut stage, &["  logger done", "  ✗ exit code 6: no such host  12:00:05"]);
    // Another run changes nothing of that, as long as nothing was run after it.
    stage.later(5);
    stage.keys("r");
    let again = stage.start("build");
    stage.end(again, failed("exit code 1"));
    has(&mut stage, &["  ✗ exit code 6: no such host  12:00:05"]);
    stage.hook_end(again.1, Outcome::Succeeded, "");
    has(&mut stage, &["  logger done", "  ✓ succeeded  12:00:10"]);
}
