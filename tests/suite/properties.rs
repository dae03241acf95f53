//! Whatever is asked of a site, in whatever order: it does what a plain reference does, on a virtual clock.
//!
mod reference;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::Index;
use setlist::model::{
    Counters, Definition, Event, Failure, JobId, Ledger, Mode, OnFailure, Outcome, Phase, Plan, QueueId, QueuePlan,
    QueueView, Recorded, Refusal, Report, RunId, Script, Settings, State, Stop, Value, WorkerId,
};
use setlist::{Command, Job, Site};

use reference::{Card, Line, Reference, Refused, name};

const QUEUES: [&str; 3] = ["c", "a", "not in the file"];

/// A command whose numbers are still to be chosen from those that exist by then.
#[derive(Clone, Debug)]
enum Step {
    File { parallel: [u32; 2], stop: [bool; 2] },
    Open(usize),
    Add(usize, usize),
    Process(usize),
    Pause(usize),
    Halt(usize),
    Run(Index),
    Reset(Index),
    Cancel(Index, Stop),
    Remove(Vec<Index>),
    Clear(usize, Phase),
    Restore(Vec<Index>),
    Join,
    Claim(Index, Option<Vec<usize>>),
    Start(Index, Index),
    Report { job: Index, stale: bool, outcome: Outcome, value: Option<Value>, on_failure: Option<OnFailure> },
    Bury(Index),
    Leave(Index, Option<Vec<usize>>),
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES.len();
    let queues = || prop::option::weighted(0.3, prop::collection::vec(0..QUEUES.len(), 0..3));
    let index = any::<Index>;
    let some = || prop::collection::vec(any::<Index>(), 1..4);
    let stop = prop_oneof![Just(Stop::Terminate), Just(Stop::Kill)];
    let phase = prop_oneof![Just(Phase::Pending), Just(Phase::Running), Just(Phase::Finished)];
    prop_oneof![
        1 => (prop::array::uniform2(1..4_u32), any::<[bool; 2]>()).prop_map(|(parallel, stop)| Step::File { parallel, stop }),
        1 => queue().prop_map(Step::Open),
        6 => (queue(), 0..4_usize).prop_map(|(queue, jobs)| Step::Add(queue, jobs)),
        5 => queue().prop_map(Step::Process),
        1 => queue().prop_map(Step::Pause),
        1 => queue().prop_map(Step::Halt),
        4 => index().prop_map(Step::Run),
        3 => index().prop_map(Step::Reset),
        3 => (index(), stop).prop_map(|(job, stop)| Step::Cancel(job, stop)),
        2 => some().prop_map(Step::Remove),
        1 => (queue(), phase).prop_map(|(queue, phase)| Step::Clear(queue, phase)),
        3 => some().prop_map(Step::Restore),
        3 => Just(Step::Join),
        15 => (index(), queues()).prop_map(|(worker, queues)| Step::Claim(worker, queues)),
        3 => (index(), index()).prop_map(|(worker, job)| Step::Start(worker, job)),
        20 => (index(), prop::bool::weighted(0.1), outcome(), value(), on_failure())
            .prop_map(|(job, stale, outcome, value, on_failure)| Step::Report { job, stale, outcome, value, on_failure }),
        1 => index().prop_map(Step::Bury),
        2 => (index(), queues()).prop_map(|(worker, queues)| Step::Leave(worker, queues)),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Succeeded),
        2 => Just(Outcome::Failed(Failure::error("broken"))),
        1 => Just(Outcome::Cancelled),
    ]
}

fn value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![Just(None), Just(Some(Value::Null)), Just(Some("".into())), any::<i32>().prop_map(|n| Some(n.into()))]
}

fn on_failure() -> impl Strategy<Value = Option<OnFailure>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(OnFailure::Stop)), 1 => Just(Some(OnFailure::Continue))]
}

fn word(refusal: &Refusal) -> Refused {
    match refusal {
        Refusal::NoJob(_) => "no job",
        Refusal::NoQueue(_) => "no queue",
        Refusal::WrongState { .. } => "state",
        Refusal::Already { .. } => "already",
        Refusal::Nothing(_) => "nothing",
        Refusal::NoNeed(_) => "need",
        Refusal::Held { .. } => "held",
        Refusal::StaleRun { .. } => "stale",
        Refusal::NoWorker(_) => "worker",
        Refusal::Busy(_) => "busy",
    }
}

/// A site, the reference, and a copy that follows the site by its events.
struct Trial {
    site: Site,
    reference: Reference,
    copy: Ledger,
    now: DateTime<Utc>,
}

impl Trial {
    fn new() -> Self {
        let (site, reference, copy) = (Site::new(), Reference::default(), Ledger::default());
        let mut trial = Self { site, reference, copy, now: DateTime::UNIX_EPOCH };
        trial.take(&Step::File { parallel: [1, 2], stop: [false, true] });
        trial
    }

    fn take(&mut self, step: &Step) -> bool {
        self.submit(&self.command(step))
    }

    /// Submits the command to all three and compares them; tells whether it was accepted.
    fn submit(&mut self, command: &Command) -> bool {
        self.now += TimeDelta::milliseconds(1);
        let before = self.site.read(Ledger::clone);
        let expected = self.reference.clone().apply(command, self.now);
        match self.site.submit(command, self.now) {
            Ok(events) => {
                assert_eq!(expected, Ok(()), "{command:?} was accepted");
                self.reference.apply(command, self.now).unwrap();
                self.follow(events);
            }
            Err(refusal) => {
                assert_eq!(expected, Err(word(&refusal)), "{command:?} was refused: {refusal}");
                self.site.read(|site| assert_eq!(*site, before, "a refused command changes nothing"));
            }
        }
        self.site.read(|site| {
            self.same_as_reference(site);
            assert_eq!(*site, self.copy, "who applies the events has the same");
            assert_eq!(*site, reloaded(site), "who loads the site has the same");
        });
        if let (Command::Claim { .. }, Ok(())) = (command, expected) {
            let full = |line: &Line| self.reference.list(line.name, Phase::Running).len() > line.parallel;
            let before = |line: &Line| before.queue(&line.name.into()).map_or(0, |queue| queue.running.len());
            let more = |line: &&Line| self.reference.list(line.name, Phase::Running).len() > before(line);
            assert!(!self.reference.queues.iter().filter(more).any(full), "a claim fills no queue beyond its limit");
        }
        expected.is_ok()
    }

    fn follow(&mut self, events: Vec<Event>) {
        for event in events {
            let told = Recorded { seq: self.copy.seq() + 1, at: self.now, event };
            let text = serde_json::to_string(&told).unwrap();
            let read: Recorded = serde_json::from_str(&text).unwrap();
            assert_eq!(read, told, "events survive being written: {text}");
            self.copy.apply(&read);
        }
    }

    fn same_as_reference(&self, site: &Ledger) {
        let names: Vec<_> = site.queues().into_iter().map(|(id, _)| name(id)).collect();
        assert_eq!(names, self.reference.queues.iter().map(|line| line.name).collect::<Vec<_>>());
        for (line, (_, queue)) in self.reference.queues.iter().zip(site.queues()) {
            assert_eq!(queue.mode, line.mode, "mode of {}", line.name);
            for phase in [Phase::Pending, Phase::Running, Phase::Finished] {
                let listed: Vec<_> = queue.list(phase).iter().map(|id| id.0).collect();
                assert_eq!(listed, self.reference.list(line.name, phase), "{} of {}", phase.word(), line.name);
            }
            let failed = |card: &&Card| {
                let State::Finished { outcome, .. } = &card.state else { return false };
                !card.gone && matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted)
            };
            let own = self.reference.jobs.iter().filter(|card| card.queue == line.name);
            assert_eq!(queue.failed, own.filter(failed).count());
        }
        for card in &self.reference.jobs {
            let Some(job) = site.job(JobId(card.id)) else {
                assert!(card.gone, "job {} is there", card.id);
                continue;
            };
            let there = Card {
                id: job.id.0,
                queue: name(&job.queue),
                gone: false,
                state: job.state.clone(),
                attempts: job.attempts,
                run: job.last_run.as_ref().map(|run| run.id.0),
                worker: job.last_run.as_ref().map_or(0, |run| run.worker.0),
                failed: job.failure().is_some(),
                value: job.value.clone(),
                executed: job.executed,
                enqueued: job.enqueued,
            };
            assert_eq!(there, *card);
            assert_eq!(site.queue(&job.queue).unwrap().list(job.phase())[site.place(job.id).unwrap()], job.id);
        }
        let listed: usize = site
            .queues()
            .iter()
            .map(|(_, queue)| queue.pending.len() + queue.running.len() + queue.finished.len())
            .sum();
        assert_eq!(listed, site.jobs().count(), "every job is in one list");
        assert_eq!(site.workers().map(|worker| worker.id.0).collect::<BTreeSet<_>>(), self.reference.present);
        let Counters { job, run, worker, .. } = site.counters();
        assert_eq!((job, run, worker), (self.reference.jobs.len() as u64, self.reference.runs, self.reference.workers));
    }

    fn command(&self, step: &Step) -> Command {
        let queue = |queue: &usize| QueueId::from(QUEUES[*queue]);
        let queues = |queues: &Option<Vec<usize>>| queues.as_ref().map(|queues| queues.iter().map(queue).collect());
        // One more than there are, so that some commands are about what isn't there.
        let job = |index: &Index| JobId(index.index(self.reference.jobs.len() + 1) as u64 + 1);
        let worker =
            |index: &Index| WorkerId(index.index(usize::try_from(self.reference.workers).unwrap() + 1) as u64 + 1);
        match step {
            Step::File { parallel, stop } => Command::Reconcile(Box::new(self.plan(*parallel, *stop))),
            Step::Open(name) => Command::Open { queue: queue(name) },
            Step::Add(name, count) => Command::Add {
                queue: queue(name),
                jobs: (0..*count).map(|_| Arc::new(Definition::new(Script::shell("true")))).collect(),
            },
            Step::Process(name) => Command::Process { queue: queue(name) },
            Step::Pause(name) => Command::Pause { queue: queue(name) },
            Step::Halt(name) => Command::Halt { queue: queue(name) },
            Step::Run(index) => Command::Run { job: job(index) },
            Step::Reset(index) => Command::Reset { job: job(index) },
            Step::Cancel(index, how) => Command::Cancel { job: job(index), stop: *how },
            Step::Remove(jobs) => Command::Remove { jobs: jobs.iter().map(job).collect() },
            Step::Clear(name, phase) => Command::Clear { queue: queue(name), phase: *phase },
            Step::Restore(jobs) => Command::Restore { jobs: jobs.iter().map(job).collect() },
            Step::Join => Command::Join { host: "here".to_owned(), pid: 1, queues: None },
            Step::Claim(index, names) => Command::Claim { worker: worker(index), queues: queues(names) },
            Step::Start(index, other) => Command::Start { worker: worker(index), job: job(other) },
            Step::Report { job: index, stale, outcome, value, on_failure } => {
                let running: Vec<_> =
                    self.reference.jobs.iter().filter(|card| card.phase() == Phase::Running).collect();
                let job = if running.is_empty() { job(index) } else { JobId(running[index.index(running.len())].id) };
                let run = self.reference.jobs.iter().find(|card| card.id == job.0).and_then(|card| card.run);
                let run = RunId(run.unwrap_or_default() + u64::from(*stale));
                let report = Report { outcome: outcome.clone(), exit: None, value: value.clone() };
                Command::Report { job, run, report, on_failure: *on_failure }
            }
            Step::Bury(index) => Command::Bury { worker: worker(index) },
            Step::Leave(index, names) => Command::Leave { worker: worker(index), queues: queues(names) },
        }
    }

    /// A file that names the first two queues, with these settings and without jobs.
    fn plan(&self, parallel: [u32; 2], stop: [bool; 2]) -> Plan {
        let queue = |nth: usize| QueuePlan {
            id: QUEUES[nth].into(),
            settings: Settings {
                parallel: parallel[nth],
                on_failure: if stop[nth] { OnFailure::Stop } else { OnFailure::Continue },
                declared: true,
                order: u32::try_from(nth).unwrap(),
                ..Settings::default()
            },
            jobs: Vec::new(),
        };
        Plan { stamp: self.now.to_string(), queues: vec![queue(0), queue(1)] }
    }
}

/// The site as somebody sees it who loads it from a store, in an order of the store's own.
fn reloaded(site: &Ledger) -> Ledger {
    let mut loaded = Ledger::default();
    let mut jobs: Vec<_> = site.jobs().cloned().collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    for job in jobs {
        loaded.insert(job);
    }
    let view = |(id, queue): (&QueueId, &setlist::model::QueueRecord)| QueueView {
        id: id.clone(),
        settings: queue.settings.clone(),
        mode: queue.mode,
    };
    let queues: Vec<_> = site.queues().into_iter().map(view).collect();
    loaded.restore(queues, site.workers().cloned(), site.stamp().map(str::to_owned), site.counters());
    loaded
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_site_does_what_the_reference_does(steps in prop::collection::vec(step(), 1..60)) {
        let mut trial = Trial::new();
        for step in &steps {
            trial.take(step);
        }
    }

    #[test]
    fn a_queue_that_processes_ends_idle_or_stopped(
        steps in prop::collection::vec(step(), 1..60),
        outcomes in prop::collection::vec((outcome(), value()), 1..20),
    ) {
        let mut trial = Trial::new();
        for step in &steps {
            trial.take(step);
        }
        let mut outcomes = outcomes.into_iter().cycle();
        trial.take(&Step::Join);
        let worker = WorkerId(trial.reference.workers);
        for queue in QUEUES {
            trial.submit(&Command::Process { queue: queue.into() });
            // What ran before, and then all that the worker can get.
            for _ in 0..=trial.reference.jobs.len() {
                for card in trial.reference.jobs.clone().iter().filter(|card| card.phase() == Phase::Running) {
                    let (outcome, value) = outcomes.next().unwrap();
                    let report = Report { outcome, exit: None, value };
                    let run = RunId(card.run.unwrap());
                    assert!(trial.submit(&Command::Report { job: JobId(card.id), run, report, on_failure: None }));
                }
                if !trial.submit(&Command::Claim { worker, queues: Some(vec![queue.into()]) }) {
                    break;
                }
            }
            let mode = trial.site.read(|site| site.queue(&queue.into()).map(|queue| queue.mode));
            prop_assert!(matches!(mode, None | Some(Mode::Idle | Mode::Stopped)), "{queue} is {mode:?}");
        }
        // Nothing is left to do for it, so it may go.
        let stopped = |line: &&Line| line.mode == Mode::Stopped;
        if trial.reference.queues.iter().find(stopped).is_none() {
            let left = trial.submit(&Command::Leave { worker, queues: None });
            prop_assert!(left);
        }
    }
}

#[test]
fn no_value_and_an_empty_value_survive_being_written() {
    for value in [None, Some(Value::Null), Some("".into()), Some(0.into())] {
        let job = Job { value, ..Job::new(Script::shell("true")).arg(Value::Null).kwarg("x", Value::Null) };
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job, "{text}");
    }
}
