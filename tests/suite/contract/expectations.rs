//! Promise: an expected time without a success is recorded as overdue once, its hook runs once, and the next success clears it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, Expectation, ExpectationState, JobId, MissedPolicy,
    NothingToDo, Outcome, OverlapPolicy, QueueSettings, Recurrence, Refusal, RunReport, Schedule, ScheduleTarget,
    SchedulingOptions, Script, WorkerId,
};
use setlist::store::Store;

use super::{BackendSite, failed, join, queue};

contract! {
    an_expected_time_without_a_success_is_overdue_once,
    a_success_must_not_be_older_than_the_limit,
    a_queue_has_succeeded_when_all_its_jobs_have,
    edits_start_change_and_end_expectations,
    a_paused_queue_may_be_overdue,
    steps_of_the_clock_report_nothing_twice,
    two_weeks_without_a_worker_are_reported_once,
    a_worker_stays_for_what_is_expected,
    a_stalled_run_is_recorded_until_it_prints_again,
}

/// A site with a worker and a clock.
struct WatchedSite {
    store: Box<dyn Store>,
    worker: WorkerId,
    now: DateTime<Utc>,
    version: u32,
}

fn time(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc()
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn by(expression: &str) -> Option<Arc<Expectation>> {
    Some(Arc::new(Expectation::By(vec![Recurrence::parse(expression, chrono_tz::UTC).unwrap()])))
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn within(hours: u64) -> Option<Arc<Expectation>> {
    Some(Arc::new(Expectation::Within(Duration::from_secs(hours * 3600))))
}

fn job(name: &str, expect: Option<Arc<Expectation>>) -> Arc<Definition> {
    let scheduling = SchedulingOptions { expect, ..SchedulingOptions::default() };
    let definition = Definition::new(Script::shell("true"));
    Arc::new(Definition { name: Some(name.into()), digest: Some(1), scheduling: scheduling.into(), ..definition })
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn schedule(expression: &str) -> Option<Arc<Schedule>> {
    let times = vec![Recurrence::parse(expression, chrono_tz::UTC).unwrap()];
    Some(Arc::new(Schedule {
        times,
        jitter: Duration::ZERO,
        missed: MissedPolicy::default(),
        overlap: OverlapPolicy::default(),
    }))
}

impl WatchedSite {
    fn new(backend: &BackendSite) -> Self {
        let mut store = backend.connect();
        let worker = join(&mut *store);
        Self { store, worker, now: time("2026-03-01 12:00"), version: 0 }
    }

    fn apply_file(&mut self, settings: QueueSettings, jobs: Vec<Arc<Definition>>) {
        self.version += 1;
        let queues = vec![DesiredQueue { id: queue(), settings: QueueSettings { is_in_file: true, ..settings }, jobs }];
        let desired = DesiredState { version: self.version.to_string(), queues, ..DesiredState::default() };
        self.answer(Command::Reconcile(Box::new(desired))).unwrap();
    }

    fn apply_jobs(&mut self, jobs: Vec<Arc<Definition>>) {
        self.apply_file(QueueSettings::default(), jobs);
    }

    fn answer(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        self.store.execute(&[command], self.now).unwrap().remove(0)
    }

    fn set_clock(&mut self, text: &str) {
        self.now = time(text);
    }

    /// What a worker does when something is due: the expected times that are recorded as overdue, and whether a hook runs.
    fn decide(&mut self) -> Vec<String> {
        let events = self.answer(Command::PromoteDue).unwrap_or_default();
        let recorded = events.into_iter().filter_map(|event| match event {
            Event::Overdue { overdue, runs_hook, .. } => {
                let hook = if runs_hook { " hook" } else { "" };
                Some(format!("{} x{}{hook}", overdue.latest.format("%d %H:%M"), overdue.missed))
            }
            _ => None,
        });
        recorded.collect()
    }

    /// Runs a job at the current time.
    fn run(&mut self, name: &str, outcome: Outcome) {
        let job = self.id(name);
        // Its queue may be processed already.
        let _ = self.answer(Command::Run { job, force: false });
        self.answer(Command::Start { worker: self.worker, job }).unwrap();
        let run = self.store.job(job).unwrap().unwrap().current_run().unwrap();
        let report = RunReport::new(outcome);
        self.answer(Command::EndRun { job, run, report, on_failure: None }).unwrap();
    }

    fn id(&mut self, name: &str) -> JobId {
        self.store.load().unwrap().job_named(&queue(), name).unwrap().id
    }

    fn expectation(&mut self, name: &str) -> Option<ExpectationState> {
        let target = ScheduleTarget::Job(self.id(name));
        self.store.load().unwrap().expectation(&target).cloned()
    }

    fn queue_expectation(&mut self) -> ExpectationState {
        self.store.load().unwrap().expectation(&ScheduleTarget::Queue(queue())).cloned().unwrap()
    }

    /// The expected time that a job has missed, for a reader at the current time.
    fn overdue(&mut self, name: &str) -> Option<String> {
        let now = self.now;
        self.expectation(name)?.overdue_at(now).map(|overdue| overdue.expected.format("%d %H:%M").to_string())
    }

    fn next_due(&mut self) -> Option<DateTime<Utc>> {
        match self.answer(Command::Claim { worker: self.worker, queues: None }) {
            Err(Refusal::NothingToDo(NothingToDo::Claim { next_due })) => next_due,
            other => panic!("{other:?}"),
        }
    }
}

fn an_expected_time_without_a_success_is_overdue_once(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", by("0 4 * * *"))]);
    assert_eq!(site.next_due(), Some(time("2026-03-02 04:00")), "a worker wakes up for it, and not earlier");
    assert_eq!(site.decide(), [""; 0]);
    site.run("backup", failed());
    site.set_clock("2026-03-02 03:59");
    assert_eq!(site.decide(), [""; 0]);
    assert_eq!(site.overdue("backup"), None);
    site.set_clock("2026-03-02 04:00");
    assert_eq!(site.overdue("backup"), Some("02 04:00".to_owned()), "also before a worker has recorded it");
    assert_eq!(site.decide(), ["02 04:00 x1 hook"]);
    assert_eq!(site.decide(), [""; 0], "not again");
    assert_eq!(site.next_due(), Some(time("2026-03-03 04:00")));
    site.set_clock("2026-03-03 04:00");
    assert_eq!(site.decide(), ["03 04:00 x2"], "the next expected time is recorded, and reported already");
    site.set_clock("2026-03-03 09:00");
    site.run("backup", Outcome::Succeeded);
    assert_eq!(site.overdue("backup"), None, "a success clears it");
    site.set_clock("2026-03-04 04:00");
    assert_eq!(site.decide(), [""; 0], "the success came since the last expected time");
    site.set_clock("2026-03-05 04:00");
    assert_eq!(site.decide(), ["05 04:00 x1 hook"], "it is reported again");
}

fn a_success_must_not_be_older_than_the_limit(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", within(26))]);
    assert_eq!(site.next_due(), Some(time("2026-03-02 14:00")), "since it was added");
    site.set_clock("2026-03-02 10:00");
    site.run("backup", Outcome::Succeeded);
    assert_eq!(site.next_due(), Some(time("2026-03-03 12:00")));
    site.set_clock("2026-03-03 11:59");
    assert_eq!(site.decide(), [""; 0]);
    site.set_clock("2026-03-05 12:00");
    assert_eq!(site.decide(), ["03 12:00 x1 hook"]);
    assert_eq!(site.next_due(), None, "nothing more is expected until it succeeds");
    site.run("backup", failed());
    assert_eq!(site.overdue("backup"), Some("03 12:00".to_owned()));
    site.run("backup", Outcome::Succeeded);
    assert_eq!((site.overdue("backup"), site.next_due()), (None, Some(time("2026-03-06 14:00"))));
}

fn a_queue_has_succeeded_when_all_its_jobs_have(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    let own = SchedulingOptions { schedule: schedule("0 9 * * *"), ..SchedulingOptions::default() };
    let own = Arc::new(Definition { scheduling: own.into(), ..(*job("own", None)).clone() });
    let settings = QueueSettings { expect: by("0 4 * * *"), ..QueueSettings::default() };
    site.apply_file(settings, vec![job("one", None), job("two", None), own]);
    site.set_clock("2026-03-02 02:00");
    site.run("one", Outcome::Succeeded);
    site.run("two", failed());
    assert_eq!(site.queue_expectation().last_success, None, "one has failed");
    site.set_clock("2026-03-02 04:00");
    assert_eq!(site.decide(), ["02 04:00 x1 hook"]);
    site.set_clock("2026-03-02 05:00");
    site.run("two", Outcome::Succeeded);
    let state = site.queue_expectation();
    assert_eq!((state.last_success, state.overdue), (Some(time("2026-03-02 02:00")), None));
    site.set_clock("2026-03-02 06:00");
    site.run("two", Outcome::Succeeded);
    assert_eq!(
        site.queue_expectation().last_success,
        Some(time("2026-03-02 02:00")),
        "one of them alone does not count"
    );
    site.set_clock("2026-03-03 04:00");
    assert_eq!(site.decide(), ["03 04:00 x1 hook"], "the first has not run since the last expected time");
}

fn edits_start_change_and_end_expectations(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", None)]);
    site.run("backup", Outcome::Succeeded);
    assert_eq!((site.expectation("backup"), site.next_due()), (None, None));
    site.set_clock("2026-03-02 03:00");
    site.apply_jobs(vec![job("backup", by("0 4 * * *"))]);
    site.set_clock("2026-03-02 04:00");
    assert_eq!(site.decide(), [""; 0], "it had succeeded before the line was written");
    site.set_clock("2026-03-03 04:00");
    assert_eq!(site.decide(), ["03 04:00 x1 hook"]);
    site.set_clock("2026-03-03 05:00");
    site.apply_jobs(vec![job("backup", by("0 6 * * *"))]);
    assert_eq!(site.overdue("backup"), None, "nothing was expected by the new time yet");
    site.set_clock("2026-03-03 06:00");
    assert_eq!(site.decide(), ["03 06:00 x1 hook"]);
    site.apply_jobs(vec![job("backup", None)]);
    assert_eq!((site.expectation("backup"), site.next_due()), (None, None));
    site.apply_jobs(vec![job("backup", within(1))]);
    assert_eq!(site.next_due(), Some(time("2026-03-03 07:00")), "a success long ago counts as none");
    let id = site.id("backup");
    site.answer(Command::Remove { jobs: vec![id] }).unwrap();
    assert_eq!(site.next_due(), None, "nothing is expected of a removed job");
    site.answer(Command::Restore { jobs: vec![id] }).unwrap();
    assert_eq!(site.next_due(), Some(time("2026-03-03 07:00")));
    site.run("backup", Outcome::Succeeded);
    site.apply_jobs(Vec::new());
    assert_eq!(site.next_due(), None, "nor of a job that has left the file");
}

fn a_paused_queue_may_be_overdue(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", by("0 4 * * *"))]);
    site.answer(Command::Pause { queue: queue() }).unwrap();
    site.set_clock("2026-03-02 04:00");
    assert_eq!(site.decide(), ["02 04:00 x1 hook"]);
}

fn steps_of_the_clock_report_nothing_twice(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", by("0 4 * * *"))]);
    site.set_clock("2026-03-02 04:00");
    assert_eq!(site.decide(), ["02 04:00 x1 hook"]);
    site.now -= TimeDelta::seconds(1);
    site.decide();
    assert_eq!(site.overdue("backup"), None, "the time has not come");
    site.now += TimeDelta::seconds(1);
    assert_eq!(site.decide(), ["02 04:00 x1"], "it is recorded again, and reported already");
    site.run("backup", Outcome::Succeeded);
    site.set_clock("2026-06-10 04:00");
    assert_eq!(site.decide(), ["10 04:00 x99 hook"], "the clock is far ahead");
    site.set_clock("2026-03-02 05:00");
    site.decide();
    assert_eq!(site.overdue("backup"), None);
    assert_eq!(site.next_due(), Some(time("2026-03-03 04:00")));
    site.set_clock("2026-03-03 04:00");
    assert_eq!(site.decide(), [""; 0], "it has succeeded since the last expected time");
    site.set_clock("2026-03-04 04:00");
    assert_eq!(site.decide(), ["04 04:00 x1 hook"]);
}

fn two_weeks_without_a_worker_are_reported_once(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", by("0 4 * * *"))]);
    let mut others: Vec<_> = (0..3).map(|_| backend.connect()).collect();
    site.set_clock("2026-03-15 12:00");
    let answers: Vec<_> =
        others.iter_mut().map(|store| store.execute(&[Command::PromoteDue], site.now).unwrap().remove(0)).collect();
    let recorded = answers.iter().flatten().flatten().filter(|event| matches!(event, Event::Overdue { .. }));
    assert_eq!(recorded.count(), 1, "{answers:?}");
    let overdue = site.expectation("backup").unwrap().overdue.unwrap();
    assert_eq!((overdue.missed, overdue.expected), (14, time("2026-03-02 04:00")));
    let fresh = backend.connect().load().unwrap();
    assert_eq!(fresh, site.store.load().unwrap());
}

fn a_worker_stays_for_what_is_expected(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", within(1))]);
    let leave = Command::Leave { worker: site.worker, queues: None };
    assert!(matches!(site.answer(leave.clone()), Err(Refusal::WorkerBusy(_))));
    site.apply_jobs(vec![job("backup", None)]);
    assert!(site.answer(leave).is_ok());
}

fn a_stalled_run_is_recorded_until_it_prints_again(backend: &BackendSite) {
    let mut site = WatchedSite::new(backend);
    site.apply_jobs(vec![job("backup", None)]);
    let id = site.id("backup");
    site.answer(Command::Run { job: id, force: false }).unwrap();
    site.answer(Command::Start { worker: site.worker, job: id }).unwrap();
    let run = site.store.job(id).unwrap().unwrap().current_run().unwrap();
    let since = Some(time("2026-03-01 11:50"));
    let stalled = |site: &mut WatchedSite| backend_stalled(site, backend, id);
    site.answer(Command::RecordStall { job: id, run, since }).unwrap();
    assert_eq!(stalled(&mut site), since);
    assert_eq!(site.answer(Command::RecordStall { job: id, run, since }), Ok(Vec::new()), "it is known");
    site.answer(Command::RecordStall { job: id, run, since: None }).unwrap();
    assert_eq!(stalled(&mut site), None);
    site.answer(Command::RecordStall { job: id, run, since }).unwrap();
    let report = RunReport::new(Outcome::Succeeded);
    site.answer(Command::EndRun { job: id, run, report, on_failure: None }).unwrap();
    assert_eq!(stalled(&mut site), None, "a run that has ended is not stalled");
    let late = site.answer(Command::RecordStall { job: id, run, since });
    assert_eq!(late, Err(Refusal::StaleRun { job: id, run }));
}

/// Since when the run is stalled, in the store, in a fresh load and in the history.
fn backend_stalled(site: &mut WatchedSite, backend: &BackendSite, job: JobId) -> Option<DateTime<Utc>> {
    let stalled = site.store.job(job).unwrap().unwrap().last_run.unwrap().stalled;
    let mut fresh = backend.connect();
    assert_eq!(fresh.load().unwrap(), site.store.load().unwrap());
    assert_eq!(fresh.runs(job).unwrap().pop().unwrap().stalled, stalled);
    stalled
}
