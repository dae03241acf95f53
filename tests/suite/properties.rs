//! Whatever is asked of a site, in whatever order and at whatever time: it does what a plain reference does.

mod reference;
mod steps;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use setlist::model::{
    Counters, Job, JobId, Ledger, Mode, NothingTo, Outcome, Phase, QueueId, QueueRecord, QueueView, Recorded, Refusal,
    Report, RunId, Script, State, Value, WorkerId,
};
use setlist::{Command, Site};

use crate::dice::cases;
use reference::{Card, Line, Reference, Stage, name};
use steps::{Step, reports, steps};

const QUEUES: [&str; 3] = ["c", "a", "not in the file"];

fn word(refusal: &Refusal) -> String {
    let word = match refusal {
        Refusal::NoJob(_) => "no job",
        Refusal::NoQueue(_) => "no queue",
        Refusal::WrongState { .. } => "state",
        Refusal::Already { .. } => "already",
        Refusal::Nothing(NothingTo::Start { until }) => return format!("nothing until {until:?}"),
        Refusal::Nothing(_) => "nothing",
        Refusal::NoNeed(_) => "need",
        Refusal::CantStand { .. } => "place",
        Refusal::Held { .. } => "held",
        Refusal::StaleRun { .. } => "stale",
        Refusal::NoWorker(_) => "worker",
        Refusal::Busy(_) => "busy",
    };
    word.to_owned()
}

/// A site, the reference, and a copy that follows the site by its events.
struct Trial {
    site: Site,
    reference: Reference,
    copy: Ledger,
    now: DateTime<Utc>,
}

impl Trial {
    /// A site after these steps.
    fn after(steps: &[Step]) -> Self {
        let (site, reference, copy) = (Site::new(), Reference::default(), Ledger::default());
        let mut trial = Self { site, reference, copy, now: DateTime::UNIX_EPOCH };
        trial.take(&Step::File { parallel: [1, 2], stop: [false, true], jobs: Vec::new() });
        for step in steps {
            trial.take(step);
        }
        trial
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Pass(seconds) => self.now += TimeDelta::seconds(*seconds),
            _ => drop(self.submit(&step.command(&self.reference, self.now))),
        }
    }

    /// Submits the command to all three and compares them; tells what became of it.
    fn submit(&mut self, command: &Command) -> Result<(), Refusal> {
        self.now += TimeDelta::milliseconds(1);
        let before = self.site.read(Ledger::clone);
        let mut expected = self.reference.clone();
        let expectation = expected.apply(command, self.now);
        let answer = self.site.submit(command, self.now);
        match &answer {
            Ok(events) => {
                assert_eq!(expectation, Ok(()), "{command:?} was accepted");
                match command {
                    Command::Reconcile(plan) => self.site.read(|site| expected.adopt_places_of(plan, site)),
                    Command::Move { .. } => self.site.read(|site| expected.adopt_moves(site)),
                    _ => {}
                }
                self.reference = expected;
                for event in events {
                    let told = Recorded { seq: self.copy.seq() + 1, at: self.now, event: event.clone() };
                    let text = serde_json::to_string(&told).unwrap();
                    let read: Recorded = serde_json::from_str(&text).unwrap();
                    assert_eq!(read, told, "events survive being written: {text}");
                    self.copy.apply(&read);
                }
            }
            Err(refusal) => {
                assert_eq!(expectation, Err(word(refusal)), "{command:?} was refused: {refusal}");
                self.site.read(|site| assert_eq!(*site, before, "a refused command changes nothing"));
            }
        }
        self.site.read(|site| {
            self.same_as_reference(site);
            assert_eq!(*site, self.copy, "who applies the events has the same");
            assert_eq!(*site, reloaded(site), "who loads the site has the same");
        });
        if let (Command::Claim { .. }, Ok(_)) = (command, &answer) {
            let running = |line: &Line| self.reference.list(line.name, Phase::Running).len();
            let before = |line: &Line| before.queue(&line.name.into()).map_or(0, |queue| queue.running.len());
            let mut grown = self.reference.queues.iter().filter(|line| running(line) > before(line));
            let fits = |line: &Line| running(line) == 1 || self.reference.taken(line.name) <= line.parallel;
            assert!(grown.all(fits), "a claim fills no queue beyond its limit");
        }
        answer.map(drop)
    }

    fn same_as_reference(&self, site: &Ledger) {
        let names: Vec<_> = site.queues().into_iter().map(|(id, _)| name(id)).collect();
        assert_eq!(names, self.reference.queues.iter().map(|line| line.name).collect::<Vec<_>>());
        assert_eq!(site.stamp().unwrap_or_default(), self.reference.stamp);
        for (line, (_, queue)) in self.reference.queues.iter().zip(site.queues()) {
            assert_eq!(queue.mode, line.mode, "mode of {}", line.name);
            for phase in [Phase::Pending, Phase::Running, Phase::Finished] {
                let listed: Vec<_> = queue.list(phase).iter().map(|id| id.0).collect();
                assert_eq!(listed, self.reference.list(line.name, phase), "{} of {}", phase.word(), line.name);
            }
            let failed = |card: &&Card| {
                let Stage::Finished { outcome, .. } = &card.stage else { return false };
                card.gone.is_none() && matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted)
            };
            let own = self.reference.jobs.iter().filter(|card| card.queue == line.name);
            assert_eq!(queue.failed, own.filter(failed).count());
        }
        for card in &self.reference.jobs {
            match site.job(JobId(card.id)) {
                None => assert!(card.gone.is_some(), "job {} is there", card.id),
                Some(job) => self.same_as_card(job, card),
            }
        }
        let lists = site.queues().into_iter().map(|(_, queue)| [&queue.pending, &queue.running, &queue.finished]);
        let listed: usize = lists.flatten().map(std::collections::VecDeque::len).sum();
        assert_eq!(listed, site.jobs().count(), "every job is in one list");
        let place = |job: &Job| site.queue(&job.queue).unwrap().list(job.phase())[site.place(job.id).unwrap()];
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

    fn same_as_card(&self, job: &Job, card: &Card) {
        assert_eq!(job.state, self.reference.state(card), "state of {} in {:#?}", job.id, self.reference);
        let there = Card {
            id: job.id.0,
            queue: name(&job.queue),
            definition: job.definition.clone(),
            needs: job.needs.iter().map(|need| (need.job.0, need.on)).collect(),
            gone: None,
            tries: job.attempt(),
            attempts: job.attempts,
            run: job.last_run.as_ref().map(|run| run.id.0),
            started: job.last_run.as_ref().map(|run| run.started),
            worker: job.last_run.as_ref().map_or(0, |run| run.worker.0),
            failed: job.failure().is_some(),
            value: job.value.clone(),
            executed: job.executed,
            enqueued: job.enqueued,
            // Compared already, as they show.
            place: card.place,
            stage: card.stage.clone(),
        };
        assert_eq!(there, *card);
    }

    fn running(&self) -> Vec<Card> {
        self.reference.jobs.iter().filter(|card| card.phase() == Phase::Running).cloned().collect()
    }

    /// Lets a worker do all that there is to do, and time pass. Runs end as told, in turn; at `None`, the worker dies.
    fn run_dry(&mut self, ends: &mut impl Iterator<Item = Option<Report>>) {
        for round in 0.. {
            assert!(round < 2_000, "it goes on for ever");
            let worker = WorkerId(self.reference.workers);
            for card in self.running() {
                let Some(report) = ends.next().unwrap() else {
                    // It may be a worker that came before.
                    self.submit(&Command::Bury { worker: WorkerId(card.worker), begun: Vec::new() }).unwrap();
                    self.take(&Step::Join);
                    break;
                };
                let (job, run) = (JobId(card.id), RunId(card.run.unwrap()));
                self.submit(&Command::Report { job, run, report, on_failure: None }).unwrap();
            }
            if !self.running().is_empty() || worker.0 != self.reference.workers {
                continue;
            }
            // What waited for this moment is ready.
            let _ = self.submit(&Command::Ripen);
            let started = match self.submit(&Command::Claim { worker, queues: None }) {
                Ok(()) => true,
                Err(Refusal::Nothing(NothingTo::Start { until: Some(until) })) => {
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

    fn queues_that(&self, mode: Mode) -> Vec<&'static str> {
        self.reference.queues.iter().filter(|line| line.mode == mode).map(|line| line.name).collect()
    }

    /// The pending jobs of a queue, each with what it waits for.
    fn pending(&self, queue: &str) -> Vec<(Job, bool)> {
        self.site.read(|site| {
            let job = |id: &JobId| site.job(*id).unwrap().clone();
            let waits = |job: Job| match job.state {
                State::Pending { wait, .. } => Some((job, !wait.is_over())),
                _ => None,
            };
            let queue = site.queue(&queue.into());
            queue.map(|queue| queue.pending.iter().map(job).filter_map(waits).collect()).unwrap_or_default()
        })
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
    let view = |(id, queue): (&QueueId, &QueueRecord)| QueueView {
        id: id.clone(),
        settings: queue.settings.clone(),
        mode: queue.mode,
    };
    let queues: Vec<_> = site.queues().into_iter().map(view).collect();
    loaded.restore(queues, site.workers().cloned(), site.stamp().map(str::to_owned), site.counters());
    loaded
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_site_does_what_the_reference_does(steps in steps()) {
        Trial::after(&steps);
    }

    #[test]
    fn a_queue_that_processes_comes_to_an_end(
        steps in steps(),
        ends in prop::collection::vec(prop::option::weighted(0.9, reports()), 1..20),
    ) {
        let mut trial = Trial::after(&steps);
        // Should the worker die each time, nothing would ever end.
        let survives = Some(Report::from(Ok(None)));
        let mut ends = ends.into_iter().chain([survives]).cycle();
        trial.take(&Step::Join);
        for worker in trial.reference.present.clone() {
            trial.submit(&Command::Release { worker: WorkerId(worker) }).unwrap();
        }
        for queue in QUEUES {
            let _ = trial.submit(&Command::Process { queue: queue.into() });
        }
        trial.run_dry(&mut ends);
        for queue in trial.queues_that(Mode::Processing) {
            prop_assert!(!trial.queues_that(Mode::Paused).is_empty(), "{} waits for nobody", queue);
        }
        for queue in trial.queues_that(Mode::Paused) {
            // Refused where nothing that is left in it can start.
            if trial.submit(&Command::Process { queue: queue.into() }).is_err() {
                let jobs = trial.pending(queue).iter().map(|(job, _)| job.id).collect();
                trial.submit(&Command::Remove { jobs }).unwrap();
                trial.submit(&Command::Process { queue: queue.into() }).unwrap();
            }
        }
        trial.run_dry(&mut ends);
        prop_assert_eq!(trial.queues_that(Mode::Processing), Vec::<&str>::new(), "all has come to its end");
        for queue in QUEUES {
            for (job, waits) in trial.pending(queue) {
                let asked = matches!(job.state, State::Pending { asked: true, .. });
                prop_assert!(waits || !asked, "somebody has asked for {}, and waits for ever", job.id);
            }
        }
        // Nothing is left to do, so the worker may go.
        let worker = WorkerId(trial.reference.workers);
        prop_assert_eq!(trial.submit(&Command::Leave { worker, queues: None }), Ok(()));
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
