//! Property tests: for random commands at random times, a site behaves like a simple reference implementation.

mod reference;
mod steps;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use setlist::model::{
    Counters, EventRecord, Job, JobId, JobState, NothingToDo, Outcome, Phase, QueueId, QueueInfo, QueueMode,
    QueueState, Refusal, RunId, RunReport, Script, SiteState, Value, WorkerId,
};
use setlist::{Command, Site};

use crate::rng::cases;
use reference::{Reference, ReferenceJob, ReferenceQueue, ReferenceState, name};
use steps::{Step, reports, steps};

const QUEUES: [&str; 3] = ["c", "a", "not in the file"];

fn refusal_code(refusal: &Refusal) -> String {
    let word = match refusal {
        Refusal::UnknownJob(_) => "no job",
        Refusal::UnknownQueue(_) => "no queue",
        Refusal::WrongState { .. } => "state",
        Refusal::NeedsFailed(_) => "failed need",
        Refusal::AlreadyInMode { .. } => "already",
        Refusal::NothingToDo(NothingToDo::Claim { next_due: until }) => return format!("nothing until {until:?}"),
        Refusal::NothingToDo(_) => "nothing",
        Refusal::UnknownNeed(_) => "need",
        // No job of these has a key or returns items, and no queue has inputs.
        Refusal::NotUnique { .. }
        | Refusal::Inputs { .. }
        | Refusal::FileOutdated(_)
        | Refusal::FileReplaced
        | Refusal::Snapshot(_) => {
            unreachable!()
        }
        Refusal::CannotMove { .. } => "place",
        Refusal::Blocked { .. } => "held",
        Refusal::StaleRun { .. } => "stale",
        Refusal::UnknownWorker(_) => "worker",
        Refusal::WorkerBusy(_) => "busy",
    };
    word.to_owned()
}

/// A site, the reference, and a copy that follows the site through its events.
struct Trial {
    site: Site,
    reference: Reference,
    copy: SiteState,
    now: DateTime<Utc>,
}

impl Trial {
    /// A site after these steps.
    fn after(steps: &[Step]) -> Self {
        let (site, reference, copy) = (Site::new(), Reference::default(), SiteState::default());
        let mut trial = Self { site, reference, copy, now: DateTime::UNIX_EPOCH };
        trial.perform(&Step::Reconcile { parallel: [1, 2], stop: [false, true], jobs: Vec::new() });
        for step in steps {
            trial.perform(step);
        }
        trial
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::AdvanceTime(seconds) => self.now += TimeDelta::seconds(*seconds),
            _ => drop(self.submit(&step.command(&self.reference, self.now))),
        }
    }

    /// Submits the command to all three and compares them; returns the answer of the site.
    fn submit(&mut self, command: &Command) -> Result<(), Refusal> {
        self.now += TimeDelta::milliseconds(1);
        let before = self.site.read(SiteState::clone);
        let mut expected = self.reference.clone();
        let expectation = expected.apply(command, self.now);
        let answer = self.site.submit(command, self.now);
        match &answer {
            Ok(events) => {
                assert_eq!(expectation, Ok(()), "{command:?} was accepted");
                match command {
                    Command::Reconcile(plan) => self.site.read(|site| expected.adopt_reconciled_positions(plan, site)),
                    Command::Move { .. } => self.site.read(|site| expected.adopt_moved_positions(site)),
                    _ => {}
                }
                self.reference = expected;
                for event in events {
                    let record = EventRecord { seq: self.copy.seq() + 1, at: self.now, event: event.clone() };
                    let text = serde_json::to_string(&record).unwrap();
                    let read: EventRecord = serde_json::from_str(&text).unwrap();
                    assert_eq!(read, record, "events survive serialization: {text}");
                    self.copy.apply(&read);
                }
            }
            Err(refusal) => {
                assert_eq!(expectation, Err(refusal_code(refusal)), "{command:?} was refused: {refusal}");
                self.site.read(|site| assert_eq!(*site, before, "a refused command changes nothing"));
            }
        }
        self.site.read(|site| {
            self.assert_equals_reference(site);
            assert_eq!(*site, self.copy, "a copy that applies the events is equal");
            assert_eq!(*site, reloaded(site), "a site that is loaded again is equal");
        });
        if let (Command::Claim { .. }, Ok(_)) = (command, &answer) {
            let running = |ref_queue: &ReferenceQueue| self.reference.list(ref_queue.name, Phase::Running).len();
            let before = |ref_queue: &ReferenceQueue| {
                before.queue(&ref_queue.name.into()).map_or(0, |queue| queue.running.len())
            };
            let mut grown = self.reference.queues.iter().filter(|ref_queue| running(ref_queue) > before(ref_queue));
            let fits = |ref_queue: &ReferenceQueue| {
                running(ref_queue) == 1 || self.reference.taken(ref_queue.name) <= ref_queue.slots()
            };
            assert!(grown.all(fits), "a claim fills no queue beyond its limit");
        }
        answer.map(drop)
    }

    fn assert_equals_reference(&self, site: &SiteState) {
        let names: Vec<_> = site.queues().into_iter().map(|(id, _)| name(id)).collect();
        assert_eq!(names, self.reference.queues.iter().map(|ref_queue| ref_queue.name).collect::<Vec<_>>());
        assert_eq!(site.file_version().unwrap_or_default(), self.reference.file_version);
        for (ref_queue, (_, queue)) in self.reference.queues.iter().zip(site.queues()) {
            assert_eq!(queue.mode, ref_queue.mode, "mode of {}", ref_queue.name);
            assert_eq!(queue.settings.max_parallel(), ref_queue.slots(), "slots of {}", ref_queue.name);
            for phase in [Phase::Pending, Phase::Running, Phase::Finished] {
                let listed: Vec<_> = queue.jobs_in(phase).iter().map(|id| id.0).collect();
                assert_eq!(
                    listed,
                    self.reference.list(ref_queue.name, phase),
                    "{} of {}",
                    phase.as_str(),
                    ref_queue.name
                );
            }
            let failed = |ref_job: &&ReferenceJob| {
                let ReferenceState::Finished { outcome, .. } = &ref_job.stage else { return false };
                ref_job.removed.is_none() && matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted)
            };
            let own = self.reference.jobs.iter().filter(|ref_job| ref_job.queue == ref_queue.name);
            assert_eq!(queue.failed, own.filter(failed).count());
        }
        for ref_job in &self.reference.jobs {
            match site.job(JobId(ref_job.id)) {
                None => assert!(ref_job.removed.is_some(), "job {} is there", ref_job.id),
                Some(job) => self.assert_job_equals(job, ref_job),
            }
        }
        let lists = site.queues().into_iter().map(|(_, queue)| [&queue.pending, &queue.running, &queue.finished]);
        let listed: usize = lists.flatten().map(std::collections::VecDeque::len).sum();
        assert_eq!(listed, site.jobs().count(), "every job is in one list");
        let place = |job: &Job| site.queue(&job.queue).unwrap().jobs_in(job.phase())[site.list_index(job.id).unwrap()];
        assert!(site.jobs().all(|job| place(job) == job.id), "every job is found in its list");
        assert_eq!(site.workers().map(|worker| worker.id.0).collect::<BTreeSet<_>>(), self.reference.present);
        for worker in site.workers() {
            let reserved = self.reference.reserved.iter().filter(|reserved| reserved.worker == worker.id.0);
            let there = worker.reserved.iter().map(|reservation| (reservation.job.0, reservation.run.0));
            assert!(there.eq(reserved.map(|reserved| (reserved.job, reserved.run))), "reserved for {}", worker.id);
        }
        let Counters { job, run, worker, .. } = site.counters();
        assert_eq!((job, run, worker), (self.reference.jobs.len() as u64, self.reference.runs, self.reference.workers));
    }

    fn assert_job_equals(&self, job: &Job, ref_job: &ReferenceJob) {
        assert_eq!(job.state, self.reference.state(ref_job), "state of {} in {:#?}", job.id, self.reference);
        let there = ReferenceJob {
            id: job.id.0,
            queue: name(&job.queue),
            definition: job.definition.clone(),
            needs: job.needs.iter().map(|need| (need.job.0, need.on)).collect(),
            removed: None,
            tries: job.current_attempt(),
            attempts: job.attempts,
            run: job.last_run.as_ref().map(|run| run.id.0),
            started: job.last_run.as_ref().map(|run| run.started),
            worker: job.last_run.as_ref().map_or(0, |run| run.worker.0),
            failed: job.last_run.as_ref().and_then(|run| run.end.as_ref()?.outcome.failure()).is_some(),
            value: job.value.as_deref().cloned(),
            executed: job.executed,
            enqueued: job.enqueued,
            // Compared above.
            place: ref_job.place,
            stage: ref_job.stage.clone(),
        };
        assert_eq!(there, *ref_job);
    }

    fn running(&self) -> Vec<ReferenceJob> {
        self.reference.jobs.iter().filter(|ref_job| ref_job.phase() == Phase::Running).cloned().collect()
    }

    /// Runs all jobs that can run, advancing time. Runs end with the next report; `None` means that the worker dies.
    fn run_until_idle(&mut self, ends: &mut impl Iterator<Item = Option<RunReport>>) {
        for round in 0.. {
            assert!(round < 2_000, "it does not end");
            let worker = WorkerId(self.reference.workers);
            for ref_job in self.running() {
                let Some(report) = ends.next().unwrap() else {
                    // The run may belong to an earlier worker.
                    self.submit(&Command::ReapWorker {
                        worker: WorkerId(ref_job.worker),
                        started_runs: Vec::new(),
                        unreachable_host: None,
                    })
                    .unwrap();
                    self.perform(&Step::Join);
                    break;
                };
                let (job, run) = (JobId(ref_job.id), RunId(ref_job.run.unwrap()));
                self.submit(&Command::EndRun { job, run, report, on_failure: None }).unwrap();
            }
            if !self.running().is_empty() || worker.0 != self.reference.workers {
                continue;
            }
            // Refused if no job is due.
            let _ = self.submit(&Command::PromoteDue);
            let started = match self.submit(&Command::Claim { worker, queues: None }) {
                Ok(()) => true,
                Err(Refusal::NothingToDo(NothingToDo::Claim { next_due: Some(until) })) => {
                    self.now = self.now.max(until);
                    true
                }
                Err(_) => false,
            };
            if !started {
                return;
            }
        }
    }

    fn queues_in_mode(&self, mode: QueueMode) -> Vec<&'static str> {
        self.reference
            .queues
            .iter()
            .filter(|ref_queue| ref_queue.mode == mode)
            .map(|ref_queue| ref_queue.name)
            .collect()
    }

    /// The pending jobs of a queue, each with whether it waits for something.
    /// A job that waits for nothing but approval.
    fn awaiting_approval(&self) -> Option<JobId> {
        self.site.read(|site| site.jobs().filter(|job| job.awaits_approval()).map(|job| job.id).min())
    }

    fn pending(&self, queue: &str) -> Vec<(Job, bool)> {
        self.site.read(|site| {
            let job = |id: &JobId| site.job(*id).unwrap().clone();
            let waits = |job: Job| match job.state {
                JobState::Pending { wait, .. } => Some((job, !wait.is_met())),
                _ => None,
            };
            let queue = site.queue(&queue.into());
            queue.map(|queue| queue.pending.iter().map(job).filter_map(waits).collect()).unwrap_or_default()
        })
    }
}

/// The site as loaded from a store, whose order of jobs is different.
fn reloaded(site: &SiteState) -> SiteState {
    let mut loaded = SiteState::default();
    let mut jobs: Vec<_> = site.jobs().cloned().collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    for job in jobs {
        loaded.insert(job);
    }
    let view = |(id, queue): (&QueueId, &QueueState)| QueueInfo {
        id: id.clone(),
        settings: queue.settings.clone(),
        mode: queue.mode,
        environment: queue.environment,
        inputs: queue.inputs.clone(),
    };
    let queues: Vec<_> = site.queues().into_iter().map(view).collect();
    let file = (site.file_version().map(str::to_owned), site.pool_sizes().clone());
    loaded.set_site_info(queues, site.workers().cloned(), file, site.counters());
    loaded
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_site_behaves_like_the_reference(steps in steps()) {
        Trial::after(&steps);
    }

    #[test]
    fn a_processing_queue_finishes(
        steps in steps(),
        ends in prop::collection::vec(prop::option::weighted(0.9, reports()), 1..20),
    ) {
        let mut trial = Trial::after(&steps);
        // At least one run must survive, or nothing would ever end.
        let survives = Some(RunReport::from(Ok(None)));
        let mut ends = ends.into_iter().chain([survives]).cycle();
        trial.perform(&Step::Join);
        for worker in trial.reference.present.clone() {
            trial.submit(&Command::Release { worker: WorkerId(worker) }).unwrap();
        }
        for queue in QUEUES {
            let _ = trial.submit(&Command::Process { queue: queue.into() });
        }
        trial.run_until_idle(&mut ends);
        while let Some(job) = trial.awaiting_approval() {
            trial.submit(&Command::Approve { jobs: vec![job], by: "tester".to_owned() }).unwrap();
            trial.run_until_idle(&mut ends);
        }
        for queue in trial.queues_in_mode(QueueMode::Processing) {
            prop_assert!(!trial.queues_in_mode(QueueMode::Paused).is_empty(), "{} waits for a paused queue", queue);
        }
        for queue in trial.queues_in_mode(QueueMode::Paused) {
            // Refused if none of its jobs can start.
            if trial.submit(&Command::Process { queue: queue.into() }).is_err() {
                let jobs = trial.pending(queue).iter().map(|(job, _)| job.id).collect();
                trial.submit(&Command::Remove { jobs }).unwrap();
                trial.submit(&Command::Process { queue: queue.into() }).unwrap();
            }
        }
        trial.run_until_idle(&mut ends);
        while let Some(job) = trial.awaiting_approval() {
            trial.submit(&Command::Refuse { jobs: vec![job], by: "tester".to_owned() }).unwrap();
            trial.run_until_idle(&mut ends);
        }
        prop_assert_eq!(trial.queues_in_mode(QueueMode::Processing), Vec::<&str>::new(), "all queues are finished");
        for queue in QUEUES {
            for (job, waits) in trial.pending(queue) {
                let requested = matches!(job.state, JobState::Pending { requested: true, .. });
                prop_assert!(waits || !requested, "{} was requested but never runs", job.id);
            }
        }
        // The worker has no work left, so it may leave.
        let worker = WorkerId(trial.reference.workers);
        prop_assert_eq!(trial.submit(&Command::Leave { worker, queues: None }), Ok(()));
    }
}

#[test]
fn no_value_and_an_empty_value_survive_serialization() {
    for value in [None, Some(Value::Null), Some("".into()), Some(0.into())] {
        let job = Job {
            value: value.map(Box::new),
            ..Job::new(Script::shell("true")).arg(Value::Null).kwarg("x", Value::Null)
        };
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job, "{text}");
    }
}
