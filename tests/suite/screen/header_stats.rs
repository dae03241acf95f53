//! The statistics in the header are always right, and explain why nothing is running.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use setlist::model::{
    Command, Job, JobId, JobRef, JobState, Need, OnFailure, Outcome, OutcomeCondition, Phase, QueueId, QueueMode,
    SchedulingOptions, SiteState, StopSignal,
};
use setlist::tui::message::Message;
use setlist::tui::queue_stats::QueueStats;

use super::harness::{ScreenHarness, failed, queue};

const JOBS: [(&str, &str); 5] = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), ("e", "E")];

fn harness() -> ScreenHarness {
    ScreenHarness::new(vec![queue("build", 2, 0, &JOBS), queue("other", 1, 1, &JOBS)], 120, 40)
}

/// The second line of the screen.
fn line(harness: &mut ScreenHarness) -> String {
    let text = harness.text();
    let line = text.lines().nth(1).unwrap_or_default();
    line.strip_suffix("~/app").unwrap_or(line).trim().to_owned()
}

/// The statistics of a queue, computed from all jobs of the site.
fn scan(queue: &QueueId, site_state: &SiteState, now: DateTime<Utc>) -> QueueStats {
    let slot = |at: DateTime<Utc>| at.timestamp().div_euclid(10);
    let jobs: Vec<&Job> = site_state.jobs().filter(|job| job.queue == *queue).collect();
    let finished = |job: &&&Job| match &job.state {
        JobState::Finished { outcome, at } => Some((outcome.clone(), *at)),
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
        let ending = run.end.as_ref()?;
        let whole = matches!(ending.outcome, Outcome::Succeeded | Outcome::Failed(_));
        whole.then(|| (ending.at - run.started).to_std().unwrap())
    };
    let times: Vec<Duration> = jobs.iter().filter_map(took).collect();
    let pending: Vec<&Job> = jobs.iter().filter(|job| job.phase() == Phase::Pending).copied().collect();
    let running: Vec<&Job> = jobs.iter().filter(|job| job.phase() == Phase::Running).copied().collect();
    let mode = site_state.queue(queue).unwrap().mode;
    let nothing = times.is_empty() || running.is_empty() || mode != QueueMode::Processing;
    let left = (!nothing).then_some(()).and_then(|()| {
        let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
        let rest = |job: &&Job| {
            let elapsed = (now - job.last_run.as_ref().unwrap().started).to_std().unwrap();
            mean.checked_sub(elapsed)
        };
        let rest: Vec<Duration> = running.iter().filter_map(rest).collect();
        let sum: Duration = pending.iter().map(|job| took(job).unwrap_or(mean)).chain(rest.iter().copied()).sum();
        let longest = *rest.iter().max()?;
        Some((sum / site_state.queue(queue).unwrap().settings.parallel).max(longest))
    });
    let goes = mode != QueueMode::Idle || !running.is_empty();
    QueueStats {
        failed: recent(360).filter(|(outcome, _)| is_failed(outcome)).count(),
        per_minute,
        oldest_pending: pending.iter().map(|job| job.enqueued).min().filter(|_| goes),
        time_left: left,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
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

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Step::Start),
        4 => (0..4_usize, any::<bool>()).prop_map(|(nth, good)| Step::End(nth, good)),
        3 => prop_oneof![0..30_i64, 0..4_000_i64].prop_map(Step::Later),
        2 => (0..12_usize).prop_map(Step::Run),
        1 => (0..12_usize).prop_map(Step::Cancel),
        1 => (0..12_usize).prop_map(Step::Remove),
        1 => Just(Step::Undo),
        1 => Just(Step::Add),
        1 => Just(Step::Filter),
        1 => Just(Step::Turn),
        1 => Just(Step::All),
    ]
}

fn perform(harness: &mut ScreenHarness, step: Step) {
    let job = |nth: usize| JobId(1 + nth as u64);
    match step {
        Step::Start(queue) => _ = harness.try_start(["build", "other"][queue]),
        Step::End(nth, good) => {
            let outcome = if good { Outcome::Succeeded } else { failed("exit code 1") };
            let running = harness.screen.queue().site().read(|site_state| {
                let running = site_state.jobs().filter_map(|job| Some((job.id, job.current_run()?)));
                let mut running: Vec<_> = running.collect();
                running.sort_unstable();
                running
            });
            if let Some(started) = running.get(nth) {
                harness.end(*started, outcome);
            }
        }
        Step::Later(seconds) => harness.advance_seconds(seconds),
        Step::Run(nth) => _ = harness.execute_elsewhere(&[Command::Run { job: job(nth), force: false }]),
        Step::Cancel(nth) => {
            _ = harness.execute_elsewhere(&[Command::Cancel { job: job(nth), stop: StopSignal::Terminate }]);
        }
        Step::Remove(nth) => _ = harness.execute_elsewhere(&[Command::Remove { jobs: vec![job(nth)] }]),
        Step::Undo => _ = harness.keys("du"),
        Step::Add => _ = harness.keys("atrue<Enter>"),
        Step::Filter => _ = harness.keys("/a<Enter>"),
        Step::Turn => _ = harness.keys("]"),
        Step::All => _ = harness.keys("0"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn they_equal_a_full_scan(steps in proptest::collection::vec(step(), 1..60)) {
        let mut harness = harness();
        harness.process("build");
        harness.process("other");
        for step in steps {
            perform(&mut harness, step);
            let (now, id) = (harness.now, harness.screen.queue().id().clone());
            let expected = harness.screen.queue().site().read(|site_state| {
                if !harness.screen.lists().shows_all_queues() {
                    return scan(&id, site_state, now);
                }
                let [one, other] = ["build", "other"].map(|id| scan(&id.into(), site_state, now));
                let paces: Vec<f64> = one.per_minute.into_iter().chain(other.per_minute).collect();
                QueueStats {
                    failed: one.failed + other.failed,
                    per_minute: (!paces.is_empty()).then(|| paces.iter().sum()),
                    oldest_pending: one.oldest_pending.into_iter().chain(other.oldest_pending).min(),
                    time_left: one.time_left.into_iter().chain(other.time_left).max(),
                }
            });
            prop_assert_eq!(harness.screen.queue_stats(now), expected);
        }
    }
}

#[test]
fn they_show_rate_remaining_time_and_oldest_wait() {
    let mut harness = harness();
    assert_eq!(line(&mut harness), "nothing running: press p to process the queue");
    harness.keys("p");
    harness.run("build", 30, Outcome::Succeeded);
    harness.run("build", 50, failed("exit code 1"));
    harness.start("build");
    assert_eq!(line(&mut harness), "1 failed in the last hour  ·  done in ~1m  ·  2 jobs/min  ·  oldest wait 1m");
    harness.advance_seconds(3_580);
    harness.send(Message::Tick);
    let unknown = "1 failed in the last hour  ·  oldest wait 1h 01m";
    assert_eq!(line(&mut harness), unknown, "a run that takes longer than others says nothing about the rest");
    harness.advance_seconds(20);
    assert_eq!(line(&mut harness), "oldest wait 1h 01m", "the failure was more than an hour ago");
}

#[test]
fn a_failure_is_not_counted_once_its_job_runs_again() {
    let mut harness = harness();
    harness.process("build");
    let job = harness.run("build", 1, failed("exit code 1"));
    assert!(line(&mut harness).contains("1 failed in the last hour"));
    harness.execute_elsewhere(&[Command::Run { job, force: false }]);
    assert!(!line(&mut harness).contains("failed"), "{}", line(&mut harness));
}

#[test]
fn the_reason_why_nothing_runs_is_shown() {
    let mut harness = harness();
    let why = |harness: &mut ScreenHarness| {
        let line = line(harness);
        let output = line.split("  ·  ").next().unwrap_or_default().to_owned();
        let reason = output.strip_prefix("nothing running: ").map(str::to_owned).unwrap_or(output);
        // The empty list shows the same reason as a sentence.
        let sentence = format!("  {}{}. ", reason[..1].to_uppercase(), &reason[1..]);
        assert!(harness.text().contains(&sentence), "{}", harness.text());
        reason
    };
    assert_eq!(why(&mut harness), "press p to process the queue");
    harness.keys("pp");
    assert_eq!(why(&mut harness), "paused; press p to continue");
    harness.keys("p");
    harness.reap_worker();
    harness.advance_seconds(10);
    harness.send(Message::Tick);
    assert_eq!(why(&mut harness), "no worker; press p to start one");
}

/// A processed queue of two jobs; the first one has these scheduling options.
fn with_options(terms: &SchedulingOptions, on_failure: OnFailure) -> ScreenHarness {
    let mut plan = queue("build", 1, 0, &JOBS[..2]);
    plan.settings.on_failure = on_failure;
    for (job, nth) in plan.jobs.iter_mut().zip(0..) {
        let waits = nth == 0 || terms.confirm.is_some();
        Arc::make_mut(job).scheduling = Arc::new(if waits { terms.clone() } else { SchedulingOptions::default() });
    }
    let mut harness = ScreenHarness::new(vec![plan, queue("other", 1, 1, &[("x", "X")])], 120, 40);
    harness.process("build");
    harness
}

#[test]
fn a_blocked_job_is_named_with_its_reason() {
    let need = Need { job: JobRef::Named("other".into(), "x".into()), on: OutcomeCondition::Success };
    let needs = SchedulingOptions { needs: vec![need], ..SchedulingOptions::default() };
    let mut harness = with_options(&needs, OnFailure::Continue);
    harness.run("build", 1, Outcome::Succeeded);
    let line = line(&mut harness);
    assert!(line.starts_with("nothing running: A needs other/x"), "{line}");
}

#[test]
fn a_missing_confirmation_is_shown_as_the_reason() {
    let asks = SchedulingOptions { confirm: Some("Sure?".to_owned()), ..SchedulingOptions::default() };
    let mut harness = with_options(&asks, OnFailure::Continue);
    assert_eq!(line(&mut harness).split("  ·  ").next().unwrap(), "nothing running: A needs approval; press y on it");
}

#[test]
fn a_failure_that_stopped_the_queue_is_shown_as_the_reason() {
    let mut harness = with_options(&SchedulingOptions::default(), OnFailure::Stop);
    harness.run("build", 1, failed("exit code 1"));
    let line = line(&mut harness);
    assert!(line.starts_with("nothing running: stopped by build/a; press p to continue"), "{line}");
}

#[test]
fn reported_progress_is_used_for_the_remaining_time() {
    let mut harness = harness();
    harness.keys("p");
    for _ in 0..4 {
        harness.run("build", 1, Outcome::Succeeded);
    }
    let run = harness.start("build");
    harness.advance_seconds(60);
    harness.append_output(run.1, "\x1b]9;4;1;25\x07");
    assert!(line(&mut harness).contains("done in ~3m"), "{}", line(&mut harness));
    harness.append_output(run.1, "\x1b]9;4;1;50\x07");
    assert!(line(&mut harness).contains("done in ~1m"), "{}", line(&mut harness));
}

#[test]
fn a_finished_queue_says_so() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &JOBS[..1])], 80, 24);
    harness.process("build");
    harness.run("build", 1, Outcome::Succeeded);
    harness.advance_seconds(3_600);
    assert_eq!(line(&mut harness), "1 job finished");
}

#[test]
fn the_next_tick_is_when_they_change() {
    let mut harness = harness();
    assert_eq!(harness.screen.next_tick(harness.now), None, "an idle queue has no next tick");
    harness.process("build");
    harness.run("build", 1, failed("exit code 1"));
    harness.keys("p");
    // The message and the rate have expired; the wait and the failure remain.
    harness.advance_seconds(1_000);
    harness.send(Message::Tick);
    let mut before = line(&mut harness);
    let mut ticks = 0;
    while let Some(tick) = harness.screen.next_tick(harness.now).filter(|_| ticks < 100) {
        assert!(tick > harness.now);
        harness.now = tick - TimeDelta::milliseconds(1);
        assert_eq!(line(&mut harness), before, "before {tick}");
        harness.now = tick;
        harness.send(Message::Tick);
        before = line(&mut harness);
        ticks += 1;
    }
    assert_eq!(before.matches("failed").count(), 0, "{before}");
}

#[test]
fn the_statistics_of_all_queues_are_summed() {
    let mut harness = harness();
    harness.keys("0");
    assert_eq!(line(&mut harness), "nothing running: press P to process all queues");
    harness.keys("P");
    let (one, other) = (harness.start("build"), harness.start("other"));
    harness.advance_seconds(60);
    harness.end(one, failed("exit code 1"));
    harness.end(other, Outcome::Succeeded);
    harness.start("other");
    // The other queue runs one job at a time.
    assert_eq!(line(&mut harness), "1 failed in the last hour  ·  done in ~4m  ·  2 jobs/min  ·  oldest wait 1m");
}

#[test]
fn the_statistics_of_all_queues_change_with_each_queue() {
    let mut harness = harness();
    harness.process("other");
    harness.run("other", 1, failed("exit code 1"));
    harness.execute_elsewhere(&[Command::Pause { queue: "other".into() }]);
    harness.advance_seconds(60);
    harness.send(Message::Tick);
    let next = |harness: &ScreenHarness| harness.screen.next_tick(harness.now).map(|at| at - harness.now);
    assert_eq!(next(&harness), None, "the selected queue has no next tick");
    harness.keys("0").send(Message::Tick);
    assert!(next(&harness).is_some_and(|wait| wait <= TimeDelta::seconds(10)), "{:?}", next(&harness));
}

#[test]
fn the_reason_why_no_queue_runs_is_shown() {
    let mut harness = harness();
    harness.process("build");
    harness.execute_elsewhere(&[Command::Pause { queue: "build".into() }]);
    harness.keys("0");
    assert!(line(&mut harness).starts_with("nothing running: build is paused"), "{}", line(&mut harness));
    assert!(harness.text().lines().any(|line| line.contains("   build is paused.")), "{}", harness.text());
    harness.process("other");
    harness.execute_elsewhere(&[Command::Pause { queue: "other".into() }]);
    assert!(line(&mut harness).starts_with("nothing running: 2 queues are paused"), "{}", line(&mut harness));
    harness.reap_worker();
    harness.process("other");
    harness.advance_seconds(60);
    assert!(
        line(&mut harness).starts_with("nothing running: no worker; press P to start one"),
        "{}",
        line(&mut harness)
    );

    let mut harness = with_options(&SchedulingOptions::default(), OnFailure::Stop);
    harness.run("build", 1, failed("exit code 1"));
    harness.process("other");
    harness.execute_elsewhere(&[Command::Pause { queue: "other".into() }]);
    harness.keys("0");
    let line = line(&mut harness);
    assert!(line.contains("nothing running: build was stopped by build/a"), "{line}");
}

#[test]
fn all_queues_finished_says_so() {
    let mut harness = harness();
    harness.keys("0P");
    for queue in ["build", "other"] {
        while let Some(started) = harness.try_start(queue) {
            harness.end(started, Outcome::Succeeded);
        }
    }
    harness.advance_seconds(4_000);
    assert_eq!(line(&mut harness), "all 10 jobs finished");
}
