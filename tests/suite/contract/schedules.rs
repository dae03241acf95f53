//! Promise: each due time of a schedule is on record as ran, skipped or missed, and at most one run belongs to it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, DueCounts, DueOutcome, DuePage, DueRecord, DueResult, Event,
    Failure, FailureKind, JobId, JobRef, JobState, MissedPolicy, Need, NothingToDo, Outcome, OutcomeCondition,
    OverlapPolicy, QueueId, QueueMode, QueueSettings, Recurrence, Refusal, RetryPolicy, RunReport, Schedule,
    ScheduleTarget, SchedulingOptions, Script, StopSignal, WorkerId,
};
use setlist::store::Store;

use super::{BackendSite, join, queue};

/// A site with schedules, a worker and a clock.
struct NightlySite {
    store: Box<dyn Store>,
    worker: WorkerId,
    now: DateTime<Utc>,
    version: u32,
}

fn time(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc()
}

fn schedule(expression: &str) -> Schedule {
    let times = vec![Recurrence::parse(expression, chrono_tz::UTC).unwrap()];
    Schedule { times, jitter: Duration::ZERO, missed: MissedPolicy::Once, overlap: OverlapPolicy::Skip }
}

fn job(name: &str, scheduling: SchedulingOptions) -> Arc<Definition> {
    let definition = Definition::new(Script::shell("true"));
    Arc::new(Definition { name: Some(name.into()), digest: Some(1), scheduling: scheduling.into(), ..definition })
}

fn due(schedule: Schedule) -> SchedulingOptions {
    SchedulingOptions { schedule: Some(schedule.into()), ..SchedulingOptions::default() }
}

fn plain() -> SchedulingOptions {
    SchedulingOptions::default()
}

impl NightlySite {
    fn new(backend: &BackendSite) -> Self {
        let mut store = backend.connect();
        let worker = join(&mut *store);
        Self { store, worker, now: time("2026-03-01 12:00"), version: 0 }
    }

    /// Applies a file with one queue.
    fn apply_file(&mut self, schedule: Option<Schedule>, jobs: Vec<Arc<Definition>>) {
        self.version += 1;
        let settings = QueueSettings { is_in_file: true, schedule: schedule.map(Arc::new), ..QueueSettings::default() };
        let queues = vec![DesiredQueue { id: queue(), settings, jobs }];
        let desired = DesiredState { version: self.version.to_string(), queues, ..DesiredState::default() };
        self.answer(Command::Reconcile(Box::new(desired))).unwrap();
    }

    fn answer(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        self.store.execute(&[command], self.now).unwrap().remove(0)
    }

    fn set_clock(&mut self, text: &str) {
        self.now = time(text);
    }

    /// What a worker does when something is due; returns the names of the jobs that it starts.
    fn work(&mut self) -> Vec<String> {
        let _ = self.answer(Command::PromoteDue);
        let claim = Command::Claim { worker: self.worker, queues: None };
        let mut started = Vec::new();
        while let Ok(events) = self.answer(claim.clone()) {
            let Some(Event::Started { job, .. }) = events.first() else { panic!("{events:?}") };
            started.push(self.store.job(*job).unwrap().unwrap().name().unwrap().to_owned());
        }
        started
    }

    /// Ends all runs.
    fn finish(&mut self) {
        self.finish_as(&Outcome::Succeeded);
    }

    fn finish_as(&mut self, outcome: &Outcome) {
        for job in self.store.jobs_run_by(self.worker).unwrap() {
            let report = RunReport::new(outcome.clone());
            let run = job.current_run().unwrap();
            self.answer(Command::EndRun { job: job.id, run, report, on_failure: None }).unwrap();
        }
    }

    fn id(&mut self, name: &str) -> JobId {
        self.store.load().unwrap().job_named(&queue(), name).unwrap().id
    }

    /// The recorded due times of the queue or of a job, as `day hour:minute result`.
    fn records(&mut self, job: Option<&str>) -> Vec<String> {
        let target = job.map_or_else(|| ScheduleTarget::Queue(queue()), |name| ScheduleTarget::Job(self.id(name)));
        let line = |record: DueRecord| {
            let outcome = record.outcome.filter(|outcome| outcome.is_failure());
            let word = outcome.map_or(record.result.as_str(), DueOutcome::as_str);
            format!("{} {word}", record.due.format("%d %H:%M"))
        };
        self.all_records(&target).into_iter().map(line).collect()
    }

    /// The recorded due times of a target, oldest first.
    fn all_records(&mut self, target: &ScheduleTarget) -> Vec<DueRecord> {
        let page = DuePage { limit: usize::MAX, oldest_first: true, ..DuePage::default() };
        self.store.due_records(target, &page).unwrap()
    }

    /// When the worker has to wake up.
    fn next_due(&mut self) -> Option<DateTime<Utc>> {
        match self.answer(Command::Claim { worker: self.worker, queues: None }) {
            Err(Refusal::NothingToDo(NothingToDo::Claim { next_due })) => next_due,
            other => panic!("{other:?}"),
        }
    }

    fn mode(&mut self) -> QueueMode {
        self.store.load().unwrap().queue(&queue()).unwrap().mode
    }
}

pub(super) fn a_due_job_runs_once_and_keeps_its_history(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(None, vec![job("backup", due(schedule("0 2 * * *"))), job("other", plain())]);
    assert_eq!(site.next_due(), Some(time("2026-03-02 02:00")));
    assert_eq!(site.work(), [""; 0], "nothing is due yet");
    for day in 2..=4 {
        site.set_clock(&format!("2026-03-0{day} 02:00"));
        assert_eq!(site.work(), ["backup"], "and no other job of the queue");
        site.finish();
    }
    assert_eq!(site.records(Some("backup")), ["02 02:00 ran", "03 02:00 ran", "04 02:00 ran"]);
    let id = site.id("backup");
    assert_eq!(site.store.runs(id).unwrap().len(), 3);
    assert_eq!(site.mode(), QueueMode::Idle);
    assert_eq!(site.next_due(), Some(time("2026-03-05 02:00")));
}

pub(super) fn a_due_queue_runs_its_jobs_again(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let jobs = || {
        let needs = vec![Need { job: JobRef::Named(queue(), "one".into()), on: OutcomeCondition::Success }];
        let two = SchedulingOptions { needs, ..plain() };
        vec![job("one", plain()), job("two", two), job("own", due(schedule("0 9 * * *")))]
    };
    site.apply_file(Some(schedule("0 2 * * *")), jobs());
    for day in 2..=3 {
        site.set_clock(&format!("2026-03-0{day} 02:00"));
        assert_eq!(site.work(), ["one"], "day {day}");
        site.finish();
        assert_eq!(site.work(), ["two"], "day {day}");
        site.finish();
        if day == 2 {
            assert_eq!(site.work(), ["own"], "it was pending when the queue was processed");
            site.finish();
        }
        assert_eq!((site.mode(), site.work()), (QueueMode::Idle, Vec::new()), "day {day}");
        site.set_clock(&format!("2026-03-0{day} 09:00"));
        assert_eq!(site.work(), ["own"], "day {day}");
        site.finish();
    }
    // An entry that was removed from the file leaves a record that doesn't run again.
    site.apply_file(Some(schedule("0 2 * * *")), jobs().split_off(1).split_off(1));
    site.set_clock("2026-03-04 02:00");
    assert_eq!(site.work(), [""; 0]);
    assert_eq!(site.records(None), ["02 02:00 ran", "03 02:00 ran", "04 02:00 skipped"]);
    site.set_clock("2026-03-04 09:00");
    assert_eq!(site.work(), ["own"]);
    site.finish();
    site.apply_file(Some(schedule("0 2 * * *")), jobs());
    site.set_clock("2026-03-05 02:00");
    assert_eq!(site.work(), ["one"], "it is back with its history");
    let id = site.id("one");
    assert_eq!(site.store.runs(id).unwrap().len(), 3);
}

pub(super) fn a_scheduled_job_waits_for_its_needs(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let needs = vec![Need { job: JobRef::Named(queue(), "first".into()), on: OutcomeCondition::Success }];
    let scheduled = SchedulingOptions { needs, ..due(schedule("0 2 * * *")) };
    site.apply_file(None, vec![job("first", plain()), job("nightly", scheduled)]);
    site.set_clock("2026-03-02 02:00");
    assert_eq!(site.work(), [""; 0], "its need has not run");
    let first = site.id("first");
    site.answer(Command::Run { job: first, force: false }).unwrap();
    assert_eq!(site.work(), ["first"]);
    site.set_clock("2026-03-03 02:00");
    assert_eq!(site.work(), [""; 0], "the job still waits");
    site.finish();
    assert_eq!(site.work(), ["nightly"]);
    assert_eq!(site.records(Some("nightly")), ["02 02:00 ran", "03 02:00 skipped"]);
}

pub(super) fn many_missed_due_times_run_once(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(Some(schedule("0 2 * * *")), vec![job("backup", plain())]);
    site.set_clock("2026-03-15 12:00");
    assert_eq!(site.work(), ["backup"]);
    site.finish();
    assert_eq!(site.work(), [""; 0]);
    let records = site.records(None);
    assert_eq!(records.len(), 14, "{records:?}");
    assert!(records[..13].iter().all(|record| record.ends_with("missed")), "{records:?}");
    assert_eq!(records[13], "15 02:00 ran");
    // Nothing is made up for with `skip`.
    let never = Schedule { missed: MissedPolicy::Skip, ..schedule("0 3 * * *") };
    site.apply_file(Some(never), vec![job("backup", plain())]);
    site.set_clock("2026-03-16 12:00");
    assert_eq!(site.work(), [""; 0]);
    site.set_clock("2026-03-17 03:01");
    assert_eq!(site.work(), ["backup"], "a minute late is on time");
    assert_eq!(site.records(None)[14..], ["16 03:00 missed", "17 03:00 ran"]);
}

pub(super) fn all_missed_due_times_are_made_up_for_if_configured(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let all = Schedule { missed: MissedPolicy::All, ..schedule("0 2 * * *") };
    site.apply_file(Some(all), vec![job("backup", plain())]);
    site.set_clock("2026-03-11 12:00");
    let mut runs = 0;
    while site.work() == ["backup"] {
        runs += 1;
        site.finish();
    }
    assert_eq!(runs, 7, "those of the last seven days");
    let records = site.records(None);
    assert_eq!(records.len(), 10, "{records:?}");
    assert!(records[..3].iter().all(|record| record.ends_with("missed")), "{records:?}");
    assert!(records[3..].iter().all(|record| record.ends_with("ran")), "{records:?}");
}

pub(super) fn due_times_overlap_as_configured(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let wait = Schedule { overlap: OverlapPolicy::Wait, ..schedule("0 * * * *") };
    site.apply_file(None, vec![job("skips", due(schedule("0 * * * *"))), job("waits", due(wait))]);
    for hour in 13..=15 {
        site.set_clock(&format!("2026-03-01 {hour}:00"));
        site.work();
        site.work();
    }
    // Only one of them at a time runs in this queue.
    site.finish();
    site.work();
    site.set_clock("2026-03-01 15:30");
    while !site.store.jobs_run_by(site.worker).unwrap().is_empty() {
        site.finish();
        site.work();
    }
    assert_eq!(site.records(Some("skips")), ["01 13:00 ran", "01 14:00 skipped", "01 15:00 skipped"]);
    assert_eq!(site.records(Some("waits")), ["01 13:00 ran", "01 14:00 skipped", "01 15:00 ran"]);
    let waits = site.id("waits");
    assert_eq!(site.store.runs(waits).unwrap().len(), 2);
}

pub(super) fn a_paused_queue_skips_its_due_times(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(Some(schedule("0 2 * * *")), vec![job("backup", plain())]);
    site.answer(Command::Pause { queue: queue() }).unwrap();
    site.set_clock("2026-03-02 02:00");
    assert_eq!(site.work(), [""; 0]);
    // No worker was there for the next one, and the queue is processed again after it.
    site.set_clock("2026-03-03 12:00");
    site.answer(Command::Process { queue: queue() }).unwrap();
    assert_eq!(site.work(), ["backup"], "because it was pending and the queue is processed");
    site.finish();
    assert_eq!(site.work(), [""; 0]);
    assert_eq!(site.records(None), ["02 02:00 skipped", "03 02:00 skipped"]);
    let records = site.all_records(&ScheduleTarget::Queue(queue()));
    let reasons: Vec<_> = records.iter().map(|record| record.result.reason().unwrap()).collect();
    assert_eq!(reasons, ["the queue was paused"; 2]);
}

pub(super) fn a_removed_schedule_ends(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let jobs = || vec![job("backup", plain()), job("report", due(schedule("0 4 * * *")))];
    site.apply_file(Some(schedule("0 2 * * *")), jobs());
    site.set_clock("2026-03-02 12:00");
    site.apply_file(Some(schedule("0 3 * * *")), vec![job("backup", plain()), job("report", plain())]);
    assert_eq!(site.records(None), ["02 02:00 missed"], "the time that the old schedule had");
    assert_eq!(site.records(Some("report")), ["02 04:00 missed"]);
    assert_eq!(site.next_due(), Some(time("2026-03-03 03:00")));
    site.apply_file(None, jobs());
    assert_eq!(site.next_due(), Some(time("2026-03-03 04:00")));
    let report = site.id("report");
    site.answer(Command::Remove { jobs: vec![report] }).unwrap();
    assert_eq!(site.next_due(), None);
    site.set_clock("2026-03-09 12:00");
    assert_eq!(site.work(), [""; 0]);
    site.answer(Command::Restore { jobs: vec![report] }).unwrap();
    assert_eq!(site.next_due(), Some(time("2026-03-10 04:00")), "what came while it was removed was not due");
    assert!(matches!(site.store.job(report).unwrap().unwrap().state, JobState::Pending { requested: false, .. }));
}

pub(super) fn no_due_time_is_decided_twice(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(None, vec![job("backup", due(schedule("@every 10m")))]);
    let mut others: Vec<_> = (0..3).map(|_| backend.connect()).collect();
    for _ in 0..20 {
        site.now += TimeDelta::minutes(10);
        let results: Vec<_> =
            others.iter_mut().map(|store| store.execute(&[Command::PromoteDue], site.now).unwrap().remove(0)).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert_eq!(site.work(), ["backup"]);
        site.finish();
    }
    let id = site.id("backup");
    assert_eq!(site.store.runs(id).unwrap().len(), 20);
    assert_eq!(site.records(Some("backup")).len(), 20);
}

pub(super) fn due_times_decided_ahead_of_the_clock_are_decided_again(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(None, vec![job("backup", due(schedule("0 2 * * *")))]);
    // The clock is wrong for a while.
    site.set_clock("2026-03-04 12:00");
    assert_eq!(site.work(), ["backup"]);
    site.finish();
    assert_eq!(site.records(Some("backup")), ["02 02:00 missed", "03 02:00 missed", "04 02:00 ran"]);
    site.set_clock("2026-03-01 13:00");
    assert!(site.next_due() < Some(site.now), "something has to be decided");
    assert_eq!(site.work(), [""; 0]);
    assert_eq!(site.records(Some("backup")), ["04 02:00 ran"]);
    assert_eq!(site.next_due(), Some(time("2026-03-02 02:00")));
    let mut runs = 1;
    for day in 2..=5 {
        site.set_clock(&format!("2026-03-0{day} 02:00"));
        runs += site.work().len();
        site.finish();
    }
    assert_eq!(site.records(Some("backup")), ["02 02:00 ran", "03 02:00 ran", "04 02:00 ran", "05 02:00 ran"]);
    assert_eq!(runs, 4, "the fourth of March had run");
    // An hour back, over a due time that has run.
    site.set_clock("2026-03-05 01:30");
    assert_eq!(site.work(), [""; 0]);
    site.set_clock("2026-03-05 02:00");
    assert_eq!(site.work(), [""; 0], "it does not run twice");
    assert_eq!(site.records(Some("backup")).len(), 4);
}

pub(super) fn very_many_due_times_are_counted(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(None, vec![job("often", due(schedule("@every 30s")))]);
    site.now += TimeDelta::days(10);
    assert_eq!(site.work(), ["often"]);
    site.finish();
    let target = ScheduleTarget::Job(site.id("often"));
    let records = site.all_records(&target);
    let counted: u64 = records.iter().map(|record| record.earlier + 1).sum();
    assert_eq!(counted, 10 * 24 * 60 * 2, "each is accounted for");
    assert_eq!(records.len(), 1_000, "but the oldest together");
    assert_eq!(records.iter().filter(|record| record.result == DueResult::Ran).count(), 1);
    let unknown = ScheduleTarget::Queue(QueueId::from("unknown"));
    assert_eq!(site.all_records(&unknown), []);
    assert_eq!(site.store.recorded_targets().unwrap(), [target]);
}

fn failed() -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Exit, message: "exit code 1".to_owned() }.into())
}

fn the_outcome_of_a_due_run_is_recorded(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let retry = RetryPolicy::times(1);
    site.apply_file(None, vec![job("backup", SchedulingOptions { retry, ..due(schedule("0 2 * * *")) })]);
    let mut run = |day: u32, outcomes: &[Outcome]| {
        site.set_clock(&format!("2026-03-0{day} 02:00"));
        for outcome in outcomes {
            assert_eq!(site.work(), ["backup"], "day {day}");
            let target = ScheduleTarget::Job(site.id("backup"));
            let running = site.all_records(&target).pop().unwrap();
            assert_eq!((running.outcome, running.result), (None, DueResult::Ran), "day {day}");
            site.finish_as(outcome);
            site.now += TimeDelta::hours(1);
        }
    };
    run(2, &[Outcome::Succeeded]);
    run(3, &[failed(), Outcome::Succeeded]);
    run(4, &[failed(), failed()]);
    run(5, &[Outcome::Interrupted]);
    // Pausing withdraws the request for the job before it starts.
    site.set_clock("2026-03-06 02:00");
    site.answer(Command::PromoteDue).unwrap();
    site.answer(Command::Pause { queue: queue() }).unwrap();
    site.answer(Command::Process { queue: queue() }).unwrap();
    site.work();
    site.finish();
    // A user cancels it instead.
    site.set_clock("2026-03-07 02:00");
    site.answer(Command::PromoteDue).unwrap();
    let backup = site.id("backup");
    site.answer(Command::Cancel { job: backup, stop: StopSignal::Terminate }).unwrap();
    let expected = [
        "02 02:00 ran",
        "03 02:00 ran",
        "04 02:00 failed",
        "05 02:00 interrupted",
        "06 02:00 skipped",
        "07 02:00 cancelled",
    ];
    assert_eq!(site.records(Some("backup")), expected);
    let first = site.all_records(&ScheduleTarget::Job(backup)).remove(0);
    assert_eq!(first.outcome, Some(DueOutcome::Succeeded));
}

fn the_outcome_of_a_due_queue_is_the_worst_of_its_jobs(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let jobs = || vec![job("one", plain()), job("two", plain()), job("own", due(schedule("30 2 * * *")))];
    site.apply_file(Some(schedule("0 2 * * *")), jobs());
    let mut night = |day: u32, outcomes: [Outcome; 2]| {
        site.set_clock(&format!("2026-03-0{day} 02:00"));
        for outcome in &outcomes {
            assert_eq!(site.work().len(), 1, "day {day}");
            site.finish_as(outcome);
        }
        site.set_clock(&format!("2026-03-0{day} 02:30"));
        site.work();
        site.finish_as(&failed());
        site.work();
        site.finish();
    };
    night(2, [Outcome::Succeeded, Outcome::Succeeded]);
    night(3, [Outcome::Succeeded, Outcome::Succeeded]);
    night(4, [Outcome::Interrupted, failed()]);
    night(5, [Outcome::Interrupted, Outcome::Succeeded]);
    assert_eq!(site.records(None)[1..], ["03 02:00 ran", "04 02:00 failed", "05 02:00 interrupted"]);
    // It is stopped before it has run all jobs.
    site.set_clock("2026-03-06 02:00");
    assert_eq!(site.work(), ["one"]);
    site.answer(Command::StopProcessing { queue: queue() }).unwrap();
    site.finish();
    assert_eq!(site.records(None)[4..], ["06 02:00 unfinished"]);
}

fn due_times_wait_while_earlier_ones_are_made_up_for(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let all = Schedule { missed: MissedPolicy::All, overlap: OverlapPolicy::Skip, ..schedule("0 * * * *") };
    site.apply_file(None, vec![job("import", due(all))]);
    site.set_clock("2026-03-01 15:30");
    assert_eq!(site.work(), ["import"], "the first of three");
    site.set_clock("2026-03-01 16:00");
    assert_eq!(site.work(), [""; 0]);
    for hour in [14, 15, 16] {
        site.set_clock(&format!("2026-03-01 16:{hour}"));
        site.finish();
        assert_eq!(site.work(), ["import"], "that of {hour}:00");
        // One more comes while the last one is made up for.
        if hour == 16 {
            site.set_clock("2026-03-01 17:00");
            site.work();
        }
    }
    site.finish();
    assert_eq!(site.work(), ["import"]);
    site.set_clock("2026-03-01 18:00");
    site.work();
    site.finish();
    let ran = ["01 13:00 ran", "01 14:00 ran", "01 15:00 ran", "01 16:00 ran", "01 17:00 ran", "01 18:00 skipped"];
    assert_eq!(site.records(Some("import")), ran, "it had caught up when the last one came");
}

fn due_times_of_one_outage_are_missed_for_one_reason(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(None, vec![job("poll", due(schedule("* * * * *")))]);
    site.set_clock("2026-03-01 13:00");
    assert_eq!(site.work(), ["poll"]);
    let poll = ScheduleTarget::Job(site.id("poll"));
    let records = site.all_records(&poll);
    let reasons: Vec<_> = records.iter().filter_map(|record| record.result.reason()).collect();
    assert_eq!(reasons, ["no worker was running"; 59]);
    site.finish();
    // A worker that is only busy for a moment.
    site.set_clock("2026-03-01 13:02");
    assert_eq!(site.work(), ["poll"]);
    let reasons: Vec<_> = site.all_records(&poll).iter().rev().take(2).map(|record| record.result.clone()).collect();
    let missed = DueResult::Missed { reason: "the next due time had come already".to_owned() };
    assert_eq!(reasons, [DueResult::Ran, missed]);
}

fn a_run_is_late_two_minutes_after_its_jitter(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    let delayed = Schedule { jitter: Duration::from_secs(3600), ..schedule("0 2 * * *") };
    site.apply_file(None, vec![job("backup", due(delayed.clone()))]);
    let target = ScheduleTarget::Job(site.id("backup"));
    for (day, minutes) in [(2, 0), (3, 1), (4, 3)] {
        let start = delayed.start_time(&target, time(&format!("2026-03-0{day} 02:00")));
        site.now = start + TimeDelta::minutes(minutes);
        assert_eq!(site.work(), ["backup"]);
        site.finish();
        let last = site.all_records(&target).pop().unwrap();
        assert_eq!((last.start, last.is_late()), (start, minutes > 2), "day {day}");
    }
    let day = time("2026-03-02 00:00")..time("2026-03-03 00:00");
    let later = time("2026-03-03 00:00")..time("2026-03-05 00:00");
    let counts = site.store.due_counts(&target, &[day, later]).unwrap();
    let expected =
        [DueCounts { ran: 1, ..DueCounts::default() }, DueCounts { ran: 1, late: 1, ..DueCounts::default() }];
    assert_eq!(counts, expected);
}

fn recorded_due_times_are_read_in_pages(backend: &BackendSite) {
    let mut site = NightlySite::new(backend);
    site.apply_file(None, vec![job("often", due(schedule("@every 1h")))]);
    site.now += TimeDelta::hours(10);
    site.work();
    let target = ScheduleTarget::Job(site.id("often"));
    let hours = |site: &mut NightlySite, page: DuePage| -> Vec<String> {
        let records = site.store.due_records(&target, &page).unwrap();
        records.iter().map(|record| record.due.format("%H").to_string()).collect()
    };
    let page = DuePage { limit: 3, ..DuePage::default() };
    assert_eq!(hours(&mut site, page), ["22", "21", "20"]);
    assert_eq!(hours(&mut site, DuePage { before: Some(time("2026-03-01 20:00")), ..page }), ["19", "18", "17"]);
    let since = DuePage { since: Some(time("2026-03-01 20:30")), ..page };
    assert_eq!(hours(&mut site, since), ["22", "21"]);
    assert_eq!(hours(&mut site, DuePage { oldest_first: true, ..since }), ["21", "22"]);
    assert_eq!(hours(&mut site, DuePage { oldest_first: true, ..page }), ["13", "14", "15"]);
    let state = site.store.load().unwrap();
    assert_eq!(state.due_records(&target).count(), 0, "a copy of the site has none");
    assert_eq!(state, site.store.load().unwrap());
}

contract!(
    the_outcome_of_a_due_run_is_recorded,
    the_outcome_of_a_due_queue_is_the_worst_of_its_jobs,
    due_times_wait_while_earlier_ones_are_made_up_for,
    due_times_of_one_outage_are_missed_for_one_reason,
    a_run_is_late_two_minutes_after_its_jitter,
    recorded_due_times_are_read_in_pages,
);
