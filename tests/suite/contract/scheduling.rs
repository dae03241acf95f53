//! Scheduling of jobs, for every backend: needs, delays, retries, priority and weight.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Command, Definition, Event, FailureKind, Interruptions, JobId, JobRef, JobState, Need, NotBefore, NothingToDo,
    Outcome, OutcomeCondition, QueueId, QueueMode, Readiness, Refusal, RetryOn, RetryPolicy, RunId, RunReport,
    SchedulingOptions, Script, WorkerId,
};
use setlist::store::Store;

use super::{BackendSite, at, failed, join, queue, reconcile};

/// A site with one worker and a clock that the test sets.
struct ScheduledSite {
    store: Box<dyn Store>,
    worker: WorkerId,
    now: DateTime<Utc>,
}

impl ScheduledSite {
    /// The jobs are those of the file's only queue, which runs `parallel` at once.
    fn of(backend: &BackendSite, parallel: u32, jobs: &[(&str, SchedulingOptions)]) -> Self {
        let mut store = backend.connect();
        let worker = join(&mut *store);
        let mut scene = Self { store, worker, now: at(0) };
        let jobs = jobs.iter().map(|(name, terms)| named(name, terms.clone())).collect();
        scene.done(reconcile("one", parallel, jobs));
        scene
    }

    fn answer(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        self.store.execute(&[command], self.now).unwrap().remove(0)
    }

    fn done(&mut self, command: Command) -> Vec<Event> {
        self.answer(command).unwrap()
    }

    fn process(&mut self) {
        self.done(Command::Process { queue: queue() });
    }

    /// Claims a job; returns its name.
    fn claim(&mut self) -> Option<String> {
        let claim = Command::Claim { worker: self.worker, queues: None };
        match &*self.answer(claim).ok()? {
            [Event::Started { job, .. }] => Some(self.name(*job)),
            events => panic!("{events:?}"),
        }
    }

    fn claim_all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.claim()).collect()
    }

    /// Ends the current run of this job.
    fn end(&mut self, name: &str, outcome: Outcome) -> Vec<Event> {
        let (job, run) = (self.id(name), self.run(name).expect("it runs"));
        self.done(Command::EndRun { job, run, report: RunReport::new(outcome), on_failure: None })
    }

    /// Claims the next job, which must be this one, and ends it.
    fn run_to(&mut self, name: &str, outcome: Outcome) {
        assert_eq!(self.claim().as_deref(), Some(name));
        self.end(name, outcome);
    }

    fn id(&mut self, name: &str) -> JobId {
        self.store.load().unwrap().jobs().find(|job| job.name() == Some(name)).unwrap().id
    }

    fn run(&mut self, name: &str) -> Option<RunId> {
        let id = self.id(name);
        self.store.job(id).unwrap().unwrap().current_run()
    }

    fn name(&mut self, id: JobId) -> String {
        self.store.job(id).unwrap().unwrap().name().unwrap().to_owned()
    }

    fn state(&mut self, name: &str) -> JobState {
        let id = self.id(name);
        self.store.job(id).unwrap().unwrap().state
    }

    fn readiness(&mut self, name: &str) -> Option<Readiness> {
        let id = self.id(name);
        self.store.job(id).unwrap().unwrap().readiness()
    }

    fn skipped(&mut self, name: &str) -> Option<String> {
        match self.state(name) {
            JobState::Finished { outcome: Outcome::Skipped { reason, .. }, .. } => Some(reason.into_string()),
            _ => None,
        }
    }

    fn mode(&mut self) -> QueueMode {
        self.store.load().unwrap().queue(&queue()).unwrap().mode
    }

    fn advance_clock(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }
}

fn named(name: &str, terms: SchedulingOptions) -> Arc<Definition> {
    let mut definition = Definition::new(Script::shell("true"));
    definition.name = Some(name.into());
    definition.digest = Some(1);
    definition.scheduling = terms.into();
    Arc::new(definition)
}

fn plain() -> SchedulingOptions {
    SchedulingOptions::default()
}

fn needs(others: &[(&str, OutcomeCondition)]) -> SchedulingOptions {
    let need = |(name, on): &(&str, OutcomeCondition)| Need { job: JobRef::Named(queue(), (*name).into()), on: *on };
    SchedulingOptions { needs: others.iter().map(need).collect(), ..plain() }
}

pub(super) fn higher_priority_starts_first_and_weight_uses_slots(backend: &BackendSite) {
    let weighs = |priority, weight| SchedulingOptions { priority, weight, ..plain() };
    let jobs = [
        ("low", weighs(-1, 1)),
        ("first", plain()),
        ("second", plain()),
        ("big", weighs(5, 9)),
        ("high", weighs(7, 2)),
    ];
    let mut scene = ScheduledSite::of(backend, 3, &jobs);
    let listed: Vec<_> = scene.store.load().unwrap().queue(&queue()).unwrap().pending.iter().copied().collect();
    let listed: Vec<_> = listed.into_iter().map(|id| scene.name(id)).collect();
    assert_eq!(listed, ["high", "big", "first", "second", "low"], "pending jobs are listed in their order");
    scene.process();
    assert_eq!(scene.claim_all(), ["high"], "the next takes more than is left, and is waited for");
    scene.end("high", Outcome::Succeeded);
    assert_eq!(scene.claim_all(), ["big"], "what weighs more than there is has the queue to itself");
    scene.end("big", Outcome::Succeeded);
    assert_eq!(scene.claim_all(), ["first", "second", "low"]);
}

pub(super) fn a_job_waits_for_its_needs(backend: &BackendSite) {
    let jobs = [
        ("last", needs(&[("a", OutcomeCondition::Success), ("b", OutcomeCondition::Success)])),
        ("a", plain()),
        ("b", plain()),
    ];
    let mut scene = ScheduledSite::of(backend, 9, &jobs);
    assert_eq!(scene.readiness("last"), Some(Readiness::Blocked), "before anything runs");
    scene.process();
    assert_eq!(scene.claim_all(), ["a", "b"]);
    scene.end("a", Outcome::Succeeded);
    assert_eq!(scene.claim(), None, "one is not enough");
    scene.end("b", Outcome::Succeeded);
    scene.run_to("last", Outcome::Succeeded);
    assert_eq!(scene.mode(), QueueMode::Idle);

    let last = scene.id("last");
    scene.done(Command::Reset { job: last });
    assert_eq!(scene.readiness("last"), Some(Readiness::Ready), "what it needs has succeeded");
    let a = scene.id("a");
    scene.done(Command::Reset { job: a });
    assert_eq!(scene.readiness("last"), Some(Readiness::Blocked), "and is to be done again");
    scene.done(Command::Run { job: last, force: false });
    assert_eq!(scene.claim(), None, "a request doesn't override needs");
    scene.done(Command::Run { job: a, force: false });
    scene.run_to("a", Outcome::Succeeded);
    scene.run_to("last", Outcome::Succeeded);
    scene.done(Command::Reset { job: a });
    scene.done(Command::Run { job: last, force: true });
    assert_eq!(scene.claim().as_deref(), Some("last"), "unless it is forced");
}

pub(super) fn a_job_whose_need_fails_is_skipped_and_comes_back_when_it_succeeds(backend: &BackendSite) {
    let jobs = [
        ("lint", plain()),
        ("test", needs(&[("lint", OutcomeCondition::Success)])),
        ("ship", needs(&[("test", OutcomeCondition::Success)])),
    ];
    let mut scene = ScheduledSite::of(backend, 1, &jobs);
    scene.process();
    scene.run_to("lint", failed());
    assert_eq!(scene.skipped("test").as_deref(), Some("needs build/lint, which failed"));
    assert_eq!(scene.skipped("ship").as_deref(), Some("needs build/test, which was skipped"));
    assert_eq!(scene.mode(), QueueMode::Idle, "nothing is left to do");

    let lint = scene.id("lint");
    scene.done(Command::Run { job: lint, force: false });
    scene.run_to("lint", failed());
    assert!(scene.skipped("test").is_some(), "it failed again");
    scene.done(Command::Run { job: lint, force: false });
    scene.run_to("lint", Outcome::Succeeded);
    scene.run_to("test", Outcome::Succeeded);
    scene.run_to("ship", Outcome::Succeeded);

    for name in ["lint", "test"] {
        let job = scene.id(name);
        scene.done(Command::Reset { job });
    }
    scene.done(Command::Run { job: lint, force: false });
    scene.run_to("lint", failed());
    assert_eq!(scene.readiness("test"), Some(Readiness::Blocked), "nothing is skipped unless the queue is processed");
    scene.process();
    assert!(scene.skipped("test").is_some());
}

pub(super) fn a_need_can_accept_failure_or_any_outcome(backend: &BackendSite) {
    let jobs = [
        ("try", plain()),
        ("mend", needs(&[("try", OutcomeCondition::Failure)])),
        ("tidy", needs(&[("try", OutcomeCondition::Finish), ("mend", OutcomeCondition::Finish)])),
    ];
    let mut scene = ScheduledSite::of(backend, 1, &jobs);
    scene.process();
    scene.run_to("try", Outcome::Succeeded);
    assert_eq!(scene.skipped("mend").as_deref(), Some("needs build/try to fail, which succeeded"));
    scene.run_to("tidy", Outcome::Succeeded);
    for name in ["try", "mend", "tidy"] {
        let job = scene.id(name);
        scene.done(Command::Reset { job });
    }
    scene.process();
    scene.run_to("try", failed());
    scene.run_to("mend", Outcome::Succeeded);
    scene.run_to("tidy", Outcome::Succeeded);
    assert_eq!(scene.mode(), QueueMode::Idle);
}

pub(super) fn a_queue_waits_for_needs_in_other_queues_unless_they_cannot_progress(backend: &BackendSite) {
    let mut scene = ScheduledSite::of(backend, 1, &[("make", plain())]);
    let scheduling = needs_of(&[JobRef::Named(queue(), "make".into())]).into();
    let ship = Definition { scheduling, ..Definition::new(Script::shell("true")) };
    let other = || QueueId::from("other");
    scene.done(Command::Add { queue: other(), jobs: vec![Arc::new(ship)] });

    let refusal = scene.answer(Command::Process { queue: other() }).unwrap_err();
    assert_eq!(refusal.to_string(), "nothing in other can start: other/#2 needs build/make");
    scene.process();
    scene.done(Command::Process { queue: other() });
    let mode = |scene: &mut ScheduledSite| scene.store.load().unwrap().queue(&other()).unwrap().mode;
    assert_eq!(mode(&mut scene), QueueMode::Processing, "the other queue is at it");
    scene.done(Command::StopProcessing { queue: queue() });
    assert_eq!(mode(&mut scene), QueueMode::Idle, "not running");
    scene.process();
    scene.done(Command::Process { queue: other() });
    scene.run_to("make", Outcome::Succeeded);
    let claim = Command::Claim { worker: scene.worker, queues: None };
    assert!(matches!(&*scene.done(claim), [Event::Started { job: JobId(2), .. }]));
    let unknown = needs_of(&[JobRef::Number(JobId(99))]);
    let lost = Definition { scheduling: unknown.into(), ..Definition::new(Script::shell("true")) };
    let refusal = scene.answer(Command::Add { queue: other(), jobs: vec![Arc::new(lost)] }).unwrap_err();
    assert_eq!(refusal.to_string(), "needs #99, which does not exist");
}

pub(super) fn no_job_waits_longer_than_its_delay_after_the_clock_was_set_back(backend: &BackendSite) {
    let retry = RetryPolicy { delay: Duration::from_secs(10), ..RetryPolicy::times(1) };
    let delayed = SchedulingOptions { after: Some(NotBefore::Delay(Duration::from_secs(3))), ..plain() };
    let timed = SchedulingOptions { after: Some(NotBefore::Time(at(1_000_000))), ..plain() };
    let jobs = [("shaky", SchedulingOptions { retry, ..plain() }), ("delayed", delayed), ("timed", timed)];
    let mut scene = ScheduledSite::of(backend, 1, &jobs);
    scene.process();
    scene.run_to("shaky", failed());
    assert!(scene.answer(Command::ShortenWaits).is_err(), "no wait is too long");
    scene.advance_clock(-2 * 24 * 60 * 60);
    let shortened = scene.done(Command::ShortenWaits);
    assert_eq!(shortened.len(), 2, "not the job that waits for a time: {shortened:?}");
    scene.advance_clock(3);
    let [Event::WaitChanged { job, .. }] = scene.done(Command::PromoteDue)[..] else { panic!("one job is due") };
    assert_eq!(job, scene.id("delayed"));
    scene.advance_clock(7);
    let [Event::WaitChanged { job, .. }] = scene.done(Command::PromoteDue)[..] else { panic!("one job is due") };
    assert_eq!(job, scene.id("shaky"));
}

pub(super) fn a_failed_job_is_retried_after_its_delay(backend: &BackendSite) {
    let retry = RetryPolicy {
        delay: Duration::from_secs(10),
        on: vec![RetryOn::Failure(FailureKind::Exit)],
        ..RetryPolicy::times(2)
    };
    let mut scene = ScheduledSite::of(backend, 1, &[("shaky", SchedulingOptions { retry, ..plain() })]);
    scene.process();
    scene.run_to("shaky", failed());
    assert_eq!(scene.readiness("shaky"), Some(Readiness::Scheduled { requested: false }));
    assert_eq!(scene.mode(), QueueMode::Processing);
    let next_due = Some(scene.now + TimeDelta::seconds(10));
    let claim = Command::Claim { worker: scene.worker, queues: None };
    assert_eq!(scene.answer(claim), Err(Refusal::NothingToDo(NothingToDo::Claim { next_due })));
    scene.advance_clock(9);
    assert_eq!(scene.answer(Command::PromoteDue), Err(Refusal::NothingToDo(NothingToDo::PromoteDue)));
    scene.advance_clock(1);
    scene.done(Command::PromoteDue);
    scene.run_to("shaky", failed());
    scene.advance_clock(19);
    assert!(scene.answer(Command::PromoteDue).is_err(), "the second delay is twice as long");
    scene.advance_clock(1);
    scene.done(Command::PromoteDue);
    scene.run_to("shaky", failed());
    assert!(matches!(scene.state("shaky"), JobState::Finished { outcome: Outcome::Failed(_), .. }));
    assert_eq!(scene.mode(), QueueMode::Idle);
    let id = scene.id("shaky");
    assert_eq!(scene.store.runs(id).unwrap().len(), 3, "every attempt is kept");

    scene.done(Command::Run { job: id, force: false });
    scene.run_to("shaky", failed());
    assert_eq!(
        scene.readiness("shaky"),
        Some(Readiness::Scheduled { requested: true }),
        "who asks for it anew has all tries again"
    );
    scene.advance_clock(10);
    scene.done(Command::PromoteDue);
    scene.run_to("shaky", Outcome::Succeeded);
    assert_eq!(scene.store.job(id).unwrap().unwrap().current_attempt(), 2);
}

pub(super) fn an_interrupted_job_is_retried_if_configured(backend: &BackendSite) {
    let retry = RetryPolicy { delay: Duration::ZERO, on: vec![RetryOn::Interrupted], ..RetryPolicy::times(1) };
    let mut scene =
        ScheduledSite::of(backend, 2, &[("tough", SchedulingOptions { retry, ..plain() }), ("plain", plain())]);
    scene.process();
    assert_eq!(scene.claim_all(), ["tough", "plain"]);
    scene.done(Command::ReapWorker { worker: scene.worker, started_runs: Vec::new(), unreachable_host: None });
    assert!(matches!(scene.state("plain"), JobState::Finished { outcome: Outcome::Interrupted, .. }));
    assert_eq!(scene.readiness("tough"), Some(Readiness::Scheduled { requested: false }));
    scene.worker = join(&mut *scene.store);
    scene.done(Command::PromoteDue);
    scene.run_to("tough", failed());
    assert!(
        matches!(scene.state("tough"), JobState::Finished { outcome: Outcome::Failed(_), .. }),
        "only if interrupted"
    );
}

pub(super) fn an_interruption_need_not_count_as_an_attempt(backend: &BackendSite) {
    let retry =
        RetryPolicy { delay: Duration::from_secs(5), interrupted: Interruptions::Free, ..RetryPolicy::times(1) };
    let mut scene = ScheduledSite::of(backend, 1, &[("tough", SchedulingOptions { retry, ..plain() })]);
    scene.process();
    for _ in 0..4 {
        assert_eq!(scene.claim_all(), ["tough"]);
        scene.done(Command::ReapWorker { worker: scene.worker, started_runs: Vec::new(), unreachable_host: None });
        assert_eq!(scene.readiness("tough"), Some(Readiness::Scheduled { requested: false }));
        scene.worker = join(&mut *scene.store);
        scene.advance_clock(5);
        scene.done(Command::PromoteDue);
    }
    // Its two attempts are still to come, and fail.
    for attempt in 1..=2 {
        assert_eq!(scene.claim_all(), ["tough"]);
        let id = scene.id("tough");
        let job = scene.store.job(id).unwrap().unwrap();
        assert_eq!((job.current_attempt(), job.attempts), (attempt, attempt + 4));
        scene.end("tough", failed());
        scene.advance_clock(60);
        let promoted = scene.answer(Command::PromoteDue);
        assert_eq!(promoted.is_ok(), attempt == 1, "a retry, and then none");
    }
    assert!(matches!(scene.state("tough"), JobState::Finished { outcome: Outcome::Failed(_), .. }));
    let id = scene.id("tough");
    assert_eq!(scene.store.runs(id).unwrap().len(), 6);
}

pub(super) fn a_job_does_not_start_before_its_time(backend: &BackendSite) {
    let later = SchedulingOptions { after: Some(NotBefore::Delay(Duration::from_secs(60))), ..plain() };
    let at_noon = SchedulingOptions { after: Some(NotBefore::Time(at(0) + TimeDelta::seconds(90))), ..plain() };
    let past = SchedulingOptions { after: Some(NotBefore::Time(at(0) - TimeDelta::days(1))), ..plain() };
    let mut scene = ScheduledSite::of(backend, 9, &[("noon", at_noon), ("later", later), ("past", past)]);
    scene.process();
    assert_eq!(scene.claim_all(), ["past"]);
    scene.end("past", Outcome::Succeeded);
    let leave = Command::Leave { worker: scene.worker, queues: None };
    assert!(scene.answer(leave).is_err(), "a worker has to start it when it is due");
    scene.advance_clock(60);
    scene.done(Command::PromoteDue);
    assert_eq!(scene.claim_all(), ["later"]);
    scene.advance_clock(30);
    scene.done(Command::PromoteDue);
    assert_eq!(scene.claim_all(), ["noon"]);
}

pub(super) fn a_job_that_needs_approval_waits_for_it_and_nothing_else_does(backend: &BackendSite) {
    let mut scene = ScheduledSite::of(backend, 1, &[("ship", asks()), ("plain", plain())]);
    scene.process();
    scene.run_to("plain", Outcome::Succeeded);
    assert_eq!((scene.claim(), scene.mode()), (None, QueueMode::Processing), "the approval is still to come");
    let leave = Command::Leave { worker: scene.worker, queues: None };
    scene.done(leave);
    scene.worker = join(&mut *scene.store);
    let ship = scene.id("ship");
    let approve = || Command::Approve { jobs: vec![ship], by: "ann".to_owned() };
    scene.done(approve());
    assert_eq!(scene.answer(approve()), Err(Refusal::NothingToDo(NothingToDo::Approve)));
    let leave = Command::Leave { worker: scene.worker, queues: None };
    assert_eq!(scene.answer(leave), Err(Refusal::WorkerBusy(scene.worker)), "a worker has to start it");
    scene.run_to("ship", failed());
    assert_eq!(scene.mode(), QueueMode::Idle);
    let run = scene.store.runs(ship).unwrap().pop().unwrap();
    assert_eq!(run.approval.map(|approval| (approval.by, approval.granted)), Some(("ann".to_owned(), true)));

    scene.done(Command::Reset { job: ship });
    assert_eq!(scene.readiness("ship"), Some(Readiness::Blocked), "it needs approval each time");
    assert_eq!(scene.store.load().unwrap().job(ship).unwrap().approval, None);
    scene.process();
    scene.done(Command::Refuse { jobs: vec![ship], by: "bob".to_owned() });
    let refused = scene.store.job(ship).unwrap().unwrap();
    assert_eq!((refused.outcome(), scene.mode()), (Some(&Outcome::Cancelled), QueueMode::Idle));
    assert_eq!(refused.approval.map(|approval| (approval.by, approval.granted)), Some(("bob".to_owned(), false)));
    assert_eq!(scene.store.load().unwrap().job(ship), scene.store.job(ship).unwrap().as_ref());
}

pub(super) fn a_request_does_not_override_approval_unless_it_is_forced(backend: &BackendSite) {
    let mut scene = ScheduledSite::of(backend, 1, &[("ship", asks())]);
    let ship = scene.id("ship");
    scene.done(Command::Run { job: ship, force: false });
    assert_eq!((scene.claim(), scene.mode()), (None, QueueMode::Idle));
    scene.done(Command::Approve { jobs: vec![ship], by: "ann".to_owned() });
    scene.run_to("ship", Outcome::Succeeded);
    scene.done(Command::Run { job: ship, force: false });
    assert_eq!(scene.claim(), None, "it needs approval each time");
    scene.done(Command::Run { job: ship, force: true });
    scene.run_to("ship", Outcome::Succeeded);
    assert_eq!(scene.store.runs(ship).unwrap().pop().unwrap().approval, None, "nobody approved it");
}

pub(super) fn a_request_for_a_job_whose_need_failed_is_refused_unless_it_is_forced(backend: &BackendSite) {
    let retry = RetryPolicy { delay: Duration::ZERO, ..RetryPolicy::times(1) };
    let ship = SchedulingOptions { retry, ..needs(&[("lint", OutcomeCondition::Success)]) };
    let mut scene = ScheduledSite::of(backend, 1, &[("lint", plain()), ("ship", ship)]);
    scene.process();
    scene.run_to("lint", failed());
    let (lint, ship) = (scene.id("lint"), scene.id("ship"));
    let refusal = scene.answer(Command::Run { job: ship, force: false }).unwrap_err();
    assert_eq!(refusal.to_string(), "needs build/lint, which failed");
    scene.done(Command::Run { job: ship, force: true });
    scene.run_to("ship", failed());
    scene.done(Command::PromoteDue);
    scene.run_to("ship", failed());
    assert_eq!(scene.store.runs(ship).unwrap().len(), 2, "retries are forced, too");

    // Requested together, in either order, both run.
    let order = scene.store.load().unwrap().needed_first(&[ship, lint]);
    assert_eq!(order, [lint, ship]);
    for job in order {
        scene.done(Command::Run { job, force: false });
    }
    scene.run_to("lint", failed());
    assert_eq!(scene.skipped("ship").as_deref(), Some("needs build/lint, which failed"), "its turn has come");
}

pub(super) fn a_request_overrides_a_pause_unless_it_came_before(backend: &BackendSite) {
    let mut scene = ScheduledSite::of(backend, 1, &[("a", plain()), ("b", plain()), ("c", plain())]);
    let [a, b, c] = ["a", "b", "c"].map(|name| scene.id(name));
    scene.done(Command::Run { job: a, force: false });
    scene.done(Command::Run { job: b, force: false });
    assert_eq!(scene.claim().as_deref(), Some("a"));
    scene.done(Command::Pause { queue: queue() });
    scene.end("a", Outcome::Succeeded);
    assert_eq!(scene.claim(), None, "nothing starts after a pause");
    scene.done(Command::Run { job: c, force: false });
    scene.run_to("c", Outcome::Succeeded);
    assert_eq!((scene.claim(), scene.mode()), (None, QueueMode::Paused));
    let loaded = backend.connect().load().unwrap();
    assert_eq!((loaded.job(b), loaded.job(b).unwrap().is_requested()), (scene.store.job(b).unwrap().as_ref(), false));
    scene.process();
    scene.run_to("b", Outcome::Succeeded);
}

pub(super) fn a_job_waits_for_its_time_before_approval(backend: &BackendSite) {
    let later = SchedulingOptions { after: Some(NotBefore::Delay(Duration::from_secs(60))), ..asks() };
    let mut scene = ScheduledSite::of(backend, 1, &[("ship", later)]);
    scene.process();
    assert_eq!(scene.readiness("ship"), Some(Readiness::Scheduled { requested: false }));
    let due = |scene: &mut ScheduledSite| scene.store.load().unwrap().approvals_due(&queue()).count();
    assert_eq!(due(&mut scene), 0);
    scene.advance_clock(60);
    scene.done(Command::PromoteDue);
    assert_eq!((scene.readiness("ship"), due(&mut scene)), (Some(Readiness::Blocked), 1));
}

fn asks() -> SchedulingOptions {
    SchedulingOptions { confirm: Some("Really?".to_owned()), ..plain() }
}

fn needs_of(targets: &[JobRef]) -> SchedulingOptions {
    let needs = targets.iter().map(|job| Need { job: job.clone(), on: OutcomeCondition::Success }).collect();
    SchedulingOptions { needs, ..plain() }
}
