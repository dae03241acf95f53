//! The numbers in the header: right whatever happens, and in words that tell why nothing goes on.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use setlist::model::{
    Command, Job, JobId, Ledger, Mode, Need, On, OnFailure, Outcome, Phase, QueueId, State, Stop, Target, Terms,
};
use setlist::tui::pulse::Numbers;
use setlist::tui::wake::Wake;

use super::stage::{Stage, failed, queue};

const JOBS: [(&str, &str); 5] = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), ("e", "E")];

fn stage() -> Stage {
    Stage::new(vec![queue("build", 2, 0, &JOBS), queue("other", 1, 1, &JOBS)], 120, 40)
}

/// The second line of the screen.
fn line(stage: &mut Stage) -> String {
    let text = stage.text();
    let line = text.lines().nth(1).unwrap_or_default();
    line.strip_suffix("~/app").unwrap_or(line).trim().to_owned()
}

/// The numbers of a queue, by looking at all jobs of the site.
fn scan(queue: &QueueId, ledger: &Ledger, now: DateTime<Utc>) -> Numbers {
    let slot = |at: DateTime<Utc>| at.timestamp().div_euclid(10);
    let jobs: Vec<&Job> = ledger.jobs().filter(|job| job.queue == *queue).collect();
    let finished = |job: &&&Job| match &job.state {
        State::Finished { outcome, at } => Some((outcome.clone(), *at)),
        _ => None,
    };
    let is_failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted);
    let done: Vec<(Outcome, DateTime<Utc>)> = jobs.iter().filter_map(|job| finished(&job)).collect();
    let recent = |slots: i64| done.iter().filter(move |(_, at)| slot(*at) > slot(now) - slots);
    let ran: Vec<_> = recent(60).filter(|(outcome, _)| is_failed(outcome) || *outcome == Outcome::Succeeded).collect();
    let per_minute = ran.iter().map(|(_, at)| slot(*at) * 10).min().map(|first| {
        let seconds = (now - DateTime::from_timestamp(first, 0).unwrap()).as_seconds_f64();
        60.0 * f64::from(u32::try_from(ran.len()).unwrap()) / seconds.max(60.0)
    });
    let took = |job: &&Job| -> Option<Duration> {
        let run = job.last_run.as_ref()?;
        let ending = run.ending.as_ref()?;
        let whole = matches!(ending.outcome, Outcome::Succeeded | Outcome::Failed(_));
        whole.then(|| (ending.at - run.started).to_std().unwrap())
    };
    let times: Vec<Duration> = jobs.iter().filter_map(took).collect();
    let pending: Vec<&Job> = jobs.iter().filter(|job| job.phase() == Phase::Pending).copied().collect();
    let running: Vec<&Job> = jobs.iter().filter(|job| job.phase() == Phase::Running).copied().collect();
    let mode = ledger.queue(queue).unwrap().mode;
    let nothing = times.is_empty() || running.is_empty() || mode != Mode::Processing;
    let left = (!nothing).then(|| {
        let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
        let rest = |job: &&Job| {
            let elapsed = (now - job.last_run.as_ref().unwrap().started).to_std().unwrap();
            mean.checked_sub(elapsed).unwrap_or(elapsed)
        };
        let sum: Duration = pending.iter().map(|job| took(job).unwrap_or(mean)).chain(running.iter().map(rest)).sum();
        let longest = running.iter().map(rest).max().unwrap_or_default();
        (sum / ledger.queue(queue).unwrap().settings.parallel).max(longest)
    });
    let goes = mode != Mode::Idle || !running.is_empty();
    Numbers {
        failed: recent(360).filter(|(outcome, _)| is_failed(outcome)).count(),
        per_minute,
        oldest: pending.iter().map(|job| job.enqueued).min().filter(|_| goes),
        left,
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Start(usize),
    End(usize, bool),
    Later(i64),
    Run(usize),
    Cancel(usize),
    Remove(usize),
    Undo,
    Add,
    Filter,
    Turn,
    All,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Act::Start),
        4 => (0..4_usize, any::<bool>()).prop_map(|(nth, good)| Act::End(nth, good)),
        3 => prop_oneof![0..30_i64, 0..4_000_i64].prop_map(Act::Later),
        2 => (0..12_usize).prop_map(Act::Run),
        1 => (0..12_usize).prop_map(Act::Cancel),
        1 => (0..12_usize).prop_map(Act::Remove),
        1 => Just(Act::Undo),
        1 => Just(Act::Add),
        1 => Just(Act::Filter),
        1 => Just(Act::Turn),
        1 => Just(Act::All),
    ]
}

fn perform(stage: &mut Stage, act: Act) {
    let job = |nth: usize| JobId(1 + nth as u64);
    match act {
        Act::Start(queue) => _ = stage.try_start(["build", "other"][queue]),
        Act::End(nth, good) => {
            let outcome = if good { Outcome::Succeeded } else { failed("exit code 1") };
            let running = stage.screen.queue().site().read(|ledger| {
                let running = ledger.jobs().filter_map(|job| Some((job.id, job.running()?)));
                let mut running: Vec<_> = running.collect();
                running.sort_unstable();
                running
            });
            if let Some(started) = running.get(nth) {
                stage.end(*started, outcome);
            }
        }
        Act::Later(seconds) => stage.later(seconds),
        Act::Run(nth) => _ = stage.elsewhere(&[Command::Run { job: job(nth) }]),
        Act::Cancel(nth) => _ = stage.elsewhere(&[Command::Cancel { job: job(nth), stop: Stop::Terminate }]),
        Act::Remove(nth) => _ = stage.elsewhere(&[Command::Remove { jobs: vec![job(nth)] }]),
        Act::Undo => _ = stage.keys("du"),
        Act::Add => _ = stage.keys("atrue<Enter>"),
        Act::Filter => _ = stage.keys("/a<Enter>"),
        Act::Turn => _ = stage.keys("]"),
        Act::All => _ = stage.keys("0"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn they_are_those_of_a_look_at_all_jobs(acts in proptest::collection::vec(act(), 1..60)) {
        let mut stage = stage();
        stage.process("build");
        stage.process("other");
        for act in acts {
            perform(&mut stage, act);
            let (now, id) = (stage.now, stage.screen.queue().id().clone());
            let expected = stage.screen.queue().site().read(|ledger| {
                if !stage.screen.lists().is_of_all() {
                    return scan(&id, ledger, now);
                }
                let [one, other] = ["build", "other"].map(|id| scan(&id.into(), ledger, now));
                let paces: Vec<f64> = one.per_minute.into_iter().chain(other.per_minute).collect();
                Numbers {
                    failed: one.failed + other.failed,
                    per_minute: (!paces.is_empty()).then(|| paces.iter().sum()),
                    oldest: one.oldest.into_iter().chain(other.oldest).min(),
                    left: one.left.into_iter().chain(other.left).max(),
                }
            });
            prop_assert_eq!(stage.screen.numbers(now), expected);
        }
    }
}

#[test]
fn they_tell_how_it_goes() {
    let mut stage = stage();
    assert_eq!(line(&mut stage), "nothing runs: p processes the queue");
    stage.keys("p");
    stage.run("build", 30, Outcome::Succeeded);
    stage.run("build", 50, failed("exit code 1"));
    stage.start("build");
    assert_eq!(line(&mut stage), "1 failed in 1 h  ·  done in ~1m  ·  2 jobs/min  ·  oldest wait 1m");
    stage.later(3_580);
    stage.wake(Wake::Tick);
    assert_eq!(line(&mut stage), "1 failed in 1 h  ·  done in ~59m  ·  oldest wait 1h 01m");
    stage.later(20);
    assert_eq!(line(&mut stage), "done in ~1h 00m  ·  oldest wait 1h 01m", "that was more than an hour ago");
}

#[test]
fn a_failure_counts_no_longer_when_its_job_is_run_again() {
    let mut stage = stage();
    stage.process("build");
    let job = stage.run("build", 1, failed("exit code 1"));
    assert!(line(&mut stage).contains("1 failed in 1 h"));
    stage.elsewhere(&[Command::Run { job }]);
    assert!(!line(&mut stage).contains("failed"), "{}", line(&mut stage));
}

#[test]
fn why_nothing_runs_is_said() {
    let mut stage = stage();
    let why = |stage: &mut Stage| {
        let line = line(stage);
        let said = line.split("  ·  ").next().unwrap_or_default().to_owned();
        // The empty pane says the same.
        assert!(stage.text().contains(&format!("  {said} ")), "{}", stage.text());
        said.strip_prefix("nothing runs: ").map(str::to_owned).unwrap_or(said)
    };
    assert_eq!(why(&mut stage), "p processes the queue");
    stage.keys("pp");
    assert_eq!(why(&mut stage), "paused; p goes on");
    stage.keys("p");
    stage.bury();
    stage.later(10);
    stage.wake(Wake::Tick);
    assert_eq!(why(&mut stage), "no worker; p starts one");
}

/// What the header says when a queue of two jobs, the first of which has these terms, is processed.
fn on_terms(terms: &Terms, on_failure: OnFailure) -> Stage {
    let mut plan = queue("build", 1, 0, &JOBS[..2]);
    plan.settings.on_failure = on_failure;
    for (job, nth) in plan.jobs.iter_mut().zip(0..) {
        let waits = nth == 0 || terms.confirm.is_some();
        Arc::make_mut(job).terms = Arc::new(if waits { terms.clone() } else { Terms::default() });
    }
    let mut stage = Stage::new(vec![plan, queue("other", 1, 1, &[("x", "X")])], 120, 40);
    stage.process("build");
    stage
}

#[test]
fn a_job_that_holds_up_the_others_is_named_with_its_reason() {
    let need = Need { job: Target::Named("other".into(), "x".into()), on: On::Success };
    let needs = Terms { needs: vec![need], ..Terms::default() };
    let mut stage = on_terms(&needs, OnFailure::Continue);
    stage.run("build", 1, Outcome::Succeeded);
    let line = line(&mut stage);
    assert!(line.starts_with("nothing runs: A waits, needs other/x"), "{line}");
}

#[test]
fn a_question_that_nobody_has_answered_is_why_nothing_runs() {
    let asks = Terms { confirm: Some("Sure?".to_owned()), ..Terms::default() };
    let mut stage = on_terms(&asks, OnFailure::Continue);
    assert_eq!(line(&mut stage).split("  ·  ").next().unwrap(), "nothing runs: A waits, asks first");
}

#[test]
fn a_failure_that_stops_the_queue_is_why_nothing_runs() {
    let mut stage = on_terms(&Terms::default(), OnFailure::Stop);
    stage.run("build", 1, failed("exit code 1"));
    let line = line(&mut stage);
    assert!(line.starts_with("nothing runs: stopped by a failure; p goes on"), "{line}");
}

#[test]
fn a_run_that_tells_its_progress_is_taken_at_its_word() {
    let mut stage = stage();
    stage.keys("p");
    for _ in 0..4 {
        stage.run("build", 1, Outcome::Succeeded);
    }
    let run = stage.start("build");
    stage.later(60);
    stage.says(run.1, "\x1b]9;4;1;25\x07");
    assert!(line(&mut stage).contains("done in ~3m"), "{}", line(&mut stage));
    stage.says(run.1, "\x1b]9;4;1;50\x07");
    assert!(line(&mut stage).contains("done in ~1m"), "{}", line(&mut stage));
}

#[test]
fn when_all_is_done_that_is_said() {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &JOBS[..1])], 80, 24);
    stage.process("build");
    stage.run("build", 1, Outcome::Succeeded);
    stage.later(3_600);
    assert_eq!(line(&mut stage), "all 1 finished");
}

#[test]
fn the_screen_wakes_when_they_change_and_not_before() {
    let mut stage = stage();
    assert_eq!(stage.screen.next_tick(stage.now), None, "nobody waits for a queue that is idle");
    stage.process("build");
    stage.run("build", 1, failed("exit code 1"));
    stage.keys("p");
    // What is said of the pause is gone, and so is the rate; what remains are the wait and the failure.
    stage.later(1_000);
    stage.wake(Wake::Tick);
    let mut before = line(&mut stage);
    let mut ticks = 0;
    while let Some(tick) = stage.screen.next_tick(stage.now).filter(|_| ticks < 100) {
        assert!(tick > stage.now);
        stage.now = tick - TimeDelta::milliseconds(1);
        assert_eq!(line(&mut stage), before, "before {tick}");
        stage.now = tick;
        stage.wake(Wake::Tick);
        before = line(&mut stage);
        ticks += 1;
    }
    assert_eq!(before.matches("failed").count(), 0, "{before}");
}

#[test]
fn all_queues_together_say_how_they_go() {
    let mut stage = stage();
    stage.keys("0");
    assert_eq!(line(&mut stage), "nothing runs: P processes all queues");
    stage.keys("P");
    let (one, other) = (stage.start("build"), stage.start("other"));
    stage.later(60);
    stage.end(one, failed("exit code 1"));
    stage.end(other, Outcome::Succeeded);
    stage.start("other");
    // In the other queue they run one by one.
    assert_eq!(line(&mut stage), "1 failed in 1 h  ·  done in ~4m  ·  2 jobs/min  ·  oldest wait 1m");
}

#[test]
fn the_numbers_of_all_queues_change_with_those_of_each() {
    let mut stage = stage();
    stage.process("other");
    stage.run("other", 1, failed("exit code 1"));
    stage.elsewhere(&[Command::Pause { queue: "other".into() }]);
    stage.later(60);
    stage.wake(Wake::Tick);
    let next = |stage: &Stage| stage.screen.next_tick(stage.now).map(|at| at - stage.now);
    assert_eq!(next(&stage), None, "the queue in front has no numbers");
    stage.keys("0").wake(Wake::Tick);
    assert!(next(&stage).is_some_and(|wait| wait <= TimeDelta::seconds(10)), "{:?}", next(&stage));
}

#[test]
fn all_queues_together_say_why_nothing_runs() {
    let mut stage = stage();
    stage.process("build");
    stage.elsewhere(&[Command::Pause { queue: "build".into() }]);
    stage.keys("0");
    assert!(line(&mut stage).starts_with("nothing runs: build is paused"), "{}", line(&mut stage));
    assert!(stage.text().lines().any(|line| line.contains("   nothing runs: build is paused")), "{}", stage.text());
    stage.process("other");
    stage.elsewhere(&[Command::Pause { queue: "other".into() }]);
    assert!(line(&mut stage).starts_with("nothing runs: 2 queues are paused"), "{}", line(&mut stage));
    stage.bury();
    stage.process("other");
    stage.later(60);
    assert!(line(&mut stage).starts_with("nothing runs: no worker; P starts one"), "{}", line(&mut stage));

    let mut stage = on_terms(&Terms::default(), OnFailure::Stop);
    stage.run("build", 1, failed("exit code 1"));
    stage.process("other");
    stage.elsewhere(&[Command::Pause { queue: "other".into() }]);
    stage.keys("0");
    let line = line(&mut stage);
    assert!(line.contains("nothing runs: build is stopped by a failure"), "{line}");
}

#[test]
fn when_all_of_all_queues_is_done_that_is_said() {
    let mut stage = stage();
    stage.keys("0P");
    for queue in ["build", "other"] {
        while let Some(started) = stage.try_start(queue) {
            stage.end(started, Outcome::Succeeded);
        }
    }
    stage.later(4_000);
    assert_eq!(line(&mut stage), "all 10 finished");
}
