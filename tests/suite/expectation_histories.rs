//! Random histories of an expectation on virtual time, compared with a rule that looks at all successes: downtime, killed
//! workers, edits, pauses and clock steps. What is overdue is the same for every reader, and no expected time is reported twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, Expectation, Failure, FailureKind, JobId, Outcome, QueueId,
    QueueSettings, Recurrence, RunReport, ScheduleTarget, SchedulingOptions, Script, Site, WorkerId, WorkerOptions,
};

use crate::rng::{TestRng, iterations};

const DAY: TimeDelta = TimeDelta::days(1);
const TARGET: ScheduleTarget = ScheduleTarget::Job(JobId(1));

struct History {
    site: Site,
    now: DateTime<Utc>,
    version: u32,
    worker: Option<WorkerId>,
    /// Whether a success is expected every day at 04:00 UTC; otherwise within a day.
    is_daily: bool,
    /// Since when a success is expected; `None` while none is.
    since: Option<DateTime<Utc>>,
    successes: Vec<DateTime<Utc>>,
    /// The expected times that hooks were started for.
    reported: HashSet<DateTime<Utc>>,
    /// Whether a worker has found it overdue, and no success has come since.
    is_reported: bool,
    log: Vec<String>,
}

fn queue() -> QueueId {
    QueueId::from("q")
}

impl History {
    fn new(is_daily: bool) -> Self {
        let mut history = Self {
            site: Site::new(),
            now: DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(12),
            version: 0,
            worker: None,
            is_daily,
            since: None,
            successes: Vec::new(),
            reported: HashSet::new(),
            is_reported: false,
            log: Vec::new(),
        };
        history.edit(true);
        history
    }

    fn submit(&mut self, command: &Command) -> Vec<Event> {
        let events = self.site.submit(command, self.now).unwrap_or_default();
        for event in &events {
            if let Event::Overdue { overdue, runs_hook: true, .. } = event {
                assert!(self.reported.insert(overdue.latest), "{} twice: {:#?}", overdue.latest, self.log);
                assert!(!self.is_reported, "again without a success: {:#?}", self.log);
                self.is_reported = true;
            }
        }
        events
    }

    /// Adds the expectation to the file, or removes it.
    fn edit(&mut self, is_expected: bool) {
        self.version += 1;
        let daily = || Expectation::By(vec![Recurrence::parse("0 4 * * *", chrono_tz::UTC).unwrap()]);
        let within = || Expectation::Within(Duration::from_secs(24 * 3600));
        let expect = is_expected.then(|| Arc::new(if self.is_daily { daily() } else { within() }));
        let definition = Definition {
            name: Some("job".into()),
            digest: Some(1),
            scheduling: Arc::new(SchedulingOptions { expect, ..SchedulingOptions::default() }),
            ..Definition::new(Script::shell("true"))
        };
        let settings = QueueSettings { is_in_file: true, ..QueueSettings::default() };
        let queues = vec![DesiredQueue { id: queue(), settings, jobs: vec![definition.into()] }];
        self.submit(&Command::Reconcile(Box::new(DesiredState {
            version: self.version.to_string(),
            queues,
            ..DesiredState::default()
        })));
        if self.since.is_some() != is_expected {
            self.is_reported = false;
            // Without an expectation, only the last run of a job is known.
            let last = self.site.read(|state| state.job(JobId(1)).and_then(|job| job.last_run.clone()));
            if last.and_then(|run| run.end).is_none_or(|end| end.outcome != Outcome::Succeeded) {
                self.successes.clear();
            }
        }
        self.since = if is_expected { self.since.or(Some(self.now)) } else { None };
    }

    /// Whether no success has come by the latest expected time, by a rule that knows all successes.
    fn is_overdue(&self) -> bool {
        let Some(since) = self.since else { return false };
        let last = self.successes.last().copied();
        if self.is_daily {
            let four = TimeDelta::hours(4);
            let midnight = (self.now - four).date_naive().and_hms_opt(0, 0, 0).unwrap().and_utc();
            let expected = midnight + four;
            expected > since && last.is_none_or(|last| last < expected - DAY)
        } else {
            let base = last.filter(|last| *last + DAY > since).unwrap_or(since);
            base + DAY <= self.now
        }
    }

    fn check(&self) {
        let overdue = self.site.read(|state| {
            let overdue = state.expectation(&TARGET).and_then(|expectation| expectation.overdue_at(self.now));
            assert_eq!(state.overdue(self.now).count(), usize::from(overdue.is_some()), "the index: {:#?}", self.log);
            overdue
        });
        assert_eq!(overdue.is_some(), self.is_overdue(), "{} {:?} {:#?}", self.now, self.successes, self.log);
    }

    /// What two workers do when they wake up.
    fn work(&mut self) {
        for _ in 0..2 {
            self.submit(&Command::PromoteDue);
        }
        assert!(!self.is_overdue() || self.is_reported, "not reported: {:#?}", self.log);
    }

    fn run(&mut self, outcome: Outcome) {
        let worker = self.worker.unwrap_or_else(|| {
            let events = self.submit(&Command::Join {
                host: "here".to_owned(),
                pid: 1,
                queues: None,
                options: WorkerOptions::default(),
            });
            let Some(Event::WorkerJoined { worker }) = events.first() else { panic!("{events:?}") };
            worker.id
        });
        self.worker = Some(worker);
        self.submit(&Command::Run { job: JobId(1), force: false });
        self.submit(&Command::Start { worker, job: JobId(1) });
        let run = self.site.read(|state| state.job(JobId(1)).unwrap().current_run()).unwrap();
        if outcome == Outcome::Succeeded {
            self.successes.push(self.now);
            self.is_reported = false;
        }
        let report = RunReport::new(outcome);
        self.submit(&Command::EndRun { job: JobId(1), run, report, on_failure: None });
    }

    fn step(&mut self, rng: &mut TestRng) {
        let kind = rng.in_range(0..12);
        self.log.push(format!("{} {kind}", self.now));
        let failure = Failure { kind: FailureKind::Exit, message: "exit code 1".to_owned() };
        match kind {
            0..=3 => {
                self.now += TimeDelta::minutes(i64::try_from(rng.in_range(1..900)).unwrap());
                self.work();
            }
            4 | 5 => self.run(Outcome::Succeeded),
            6 => self.run(Outcome::Failed(failure.into())),
            7 => self.now += TimeDelta::days(i64::try_from(rng.in_range(1..20)).unwrap()),
            8 => {
                if let Some(worker) = self.worker.take() {
                    self.submit(&Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None });
                }
            }
            9 if rng.one_in(3) => self.edit(self.since.is_none()),
            10 => drop(self.submit(&Command::Pause { queue: queue() })),
            _ => drop(self.submit(&Command::Process { queue: queue() })),
        }
        self.check();
    }
}

#[test]
fn what_is_overdue_follows_from_the_successes() {
    let mut rng = TestRng::new();
    for _ in 0..iterations(400) {
        let mut history = History::new(rng.one_in(2));
        for _ in 0..60 {
            history.step(&mut rng);
        }
    }
}

#[test]
fn clock_steps_report_no_expected_time_twice() {
    let mut rng = TestRng::new();
    for _ in 0..iterations(400) {
        let mut history = History::new(rng.one_in(2));
        for _ in 0..60 {
            // It may become overdue again when the clock is set back and time passes again.
            history.is_reported = false;
            history.log.push(history.now.to_string());
            match rng.in_range(0..4) {
                0 | 1 => history.now += TimeDelta::hours(if rng.one_in(2) { 1 } else { -1 }),
                2 if rng.one_in(3) => history.run(Outcome::Succeeded),
                _ => history.now += TimeDelta::minutes(i64::try_from(rng.in_range(1..900)).unwrap()),
            }
            for _ in 0..2 {
                history.submit(&Command::PromoteDue);
            }
            history.site.read(|state| {
                let expectation = state.expectation(&TARGET).unwrap();
                let is_ahead = expectation.overdue.is_some_and(|overdue| overdue.latest > history.now);
                assert!(!is_ahead, "overdue by a time that has not come: {expectation:?}");
                assert!(expectation.decided_until <= history.now, "{expectation:?}");
            });
        }
    }
}
