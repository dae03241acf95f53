//! Random histories of a schedule on virtual time: downtime, killed workers, clock steps, edits and pauses. Each due time is
//! accounted for once, and runs at most once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, DueRecord, DueResult, Event, JobId, MissedPolicy, Outcome,
    OverlapPolicy, QueueId, QueueMode, QueueSettings, Recurrence, RunReport, Schedule, ScheduleTarget,
    SchedulingOptions, Script, Site, SiteState, WorkerId, WorkerOptions,
};

use crate::rng::{TestRng, iterations};

const EXPRESSIONS: [&str; 5] = ["0 2 * * *", "30 */6 * * *", "@every 8h", "0 0 1 * *", "15 3 * * mon"];

struct History {
    site: Site,
    now: DateTime<Utc>,
    version: u32,
    worker: Option<WorkerId>,
    runs: usize,
    /// How often each due time has run.
    ran: HashMap<DateTime<Utc>, usize>,
    /// The due times that have a record.
    recorded: HashSet<DateTime<Utc>>,
    log: Vec<String>,
}

fn queue() -> QueueId {
    QueueId::from("q")
}

const TARGET: ScheduleTarget = ScheduleTarget::Job(JobId(1));

impl History {
    fn new(rng: &mut TestRng) -> Self {
        let mut history = Self {
            site: Site::new(),
            now: DateTime::UNIX_EPOCH + TimeDelta::days(20_000),
            version: 0,
            worker: None,
            runs: 0,
            ran: HashMap::new(),
            recorded: HashSet::new(),
            log: Vec::new(),
        };
        history.edit(rng);
        history
    }

    fn submit(&mut self, command: &Command) -> Vec<Event> {
        let events = self.site.submit(command, self.now).unwrap_or_default();
        for event in &events {
            match event {
                Event::DueRecorded { records, .. } => self.check_records(records),
                Event::DueWithdrawn { after, .. } => {
                    let ran = &self.ran;
                    self.recorded.retain(|due| due <= after || ran.contains_key(due));
                }
                Event::Started { .. } => self.runs += 1,
                _ => {}
            }
        }
        events
    }

    fn check_records(&mut self, records: &[DueRecord]) {
        for DueRecord { due, result, outcome, .. } in records {
            // How the run of a recorded due time ended.
            if outcome.is_some() {
                assert!(self.ran.contains_key(due), "{due} has an outcome without a run: {:#?}", self.log);
                continue;
            }
            assert!(*due <= self.now, "{due} has not come at {}: {:#?}", self.now, self.log);
            assert!(self.recorded.insert(*due), "{due} is recorded twice: {:#?}", self.log);
            if *result == DueResult::Ran {
                let times = self.ran.entry(*due).or_default();
                *times += 1;
                assert_eq!(*times, 1, "{due} runs twice: {:#?}", self.log);
            }
        }
    }

    /// Changes the file: another expression or another policy.
    fn edit(&mut self, rng: &mut TestRng) {
        self.version += 1;
        let schedule = Schedule {
            times: vec![
                Recurrence::parse(EXPRESSIONS[rng.in_range(0..EXPRESSIONS.len())], chrono_tz::Europe::Berlin).unwrap(),
            ],
            jitter: Duration::from_secs(if rng.one_in(3) { 600 } else { 0 }),
            missed: *rng.pick(&[MissedPolicy::Skip, MissedPolicy::Once, MissedPolicy::All]),
            overlap: *rng.pick(&[OverlapPolicy::Skip, OverlapPolicy::Wait]),
        };
        let definition = Definition {
            name: Some("job".into()),
            digest: Some(1),
            scheduling: Arc::new(SchedulingOptions { schedule: Some(schedule.into()), ..SchedulingOptions::default() }),
            ..Definition::new(Script::shell("true"))
        };
        let settings = QueueSettings { is_in_file: true, ..QueueSettings::default() };
        let queues = vec![DesiredQueue { id: queue(), settings, jobs: vec![definition.into()] }];
        self.submit(&Command::Reconcile(Box::new(DesiredState {
            version: self.version.to_string(),
            queues,
            ..DesiredState::default()
        })));
    }

    /// What a worker does when it wakes up, which it does twice.
    fn work(&mut self) {
        let worker = if let Some(worker) = self.worker {
            worker
        } else {
            let events = self.submit(&Command::Join {
                host: "here".to_owned(),
                pid: 1,
                queues: None,
                options: WorkerOptions::default(),
            });
            let Some(Event::WorkerJoined { worker }) = events.first() else { panic!("{events:?}") };
            worker.id
        };
        self.worker = Some(worker);
        for _ in 0..2 {
            self.submit(&Command::PromoteDue);
            self.submit(&Command::Claim { worker, queues: None });
        }
    }

    fn finish(&mut self) {
        let running = self.site.read(|state| state.jobs().find_map(|job| Some((job.id, job.current_run()?))));
        if let Some((job, run)) = running {
            let report = RunReport::new(Outcome::Succeeded);
            self.submit(&Command::EndRun { job, run, report, on_failure: None });
        }
    }

    fn kill_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.submit(&Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None });
        }
    }

    fn step(&mut self, rng: &mut TestRng) {
        let kind = rng.in_range(0..13);
        self.log.push(format!("{} {kind}", self.now));
        match kind {
            0..=3 => {
                self.now += TimeDelta::minutes(i64::try_from(rng.in_range(1..600)).unwrap());
                self.work();
            }
            4 | 5 => self.finish(),
            6 => self.kill_worker(),
            7 => self.now += TimeDelta::days(i64::try_from(rng.in_range(1..20)).unwrap()),
            8 => self.now += TimeDelta::hours(if rng.one_in(2) { 1 } else { -1 }),
            9 if rng.one_in(3) => self.now += TimeDelta::days(if rng.one_in(2) { 100 } else { -100 }),
            10 => self.edit(rng),
            11 => drop(self.submit(&Command::Pause { queue: queue() })),
            12 => drop(self.submit(&Command::Process { queue: queue() })),
            _ => self.work(),
        }
    }

    /// All due times since the schedule began are accounted for, and each record of a run has a run.
    fn check(&mut self) {
        if self.site.read(|state| state.queue(&queue()).unwrap().mode) == QueueMode::Paused {
            self.submit(&Command::Process { queue: queue() });
        }
        for _ in 0..200 {
            self.work();
            self.finish();
        }
        self.site.read(|state: &SiteState| {
            let schedule = state.schedule(&TARGET).unwrap();
            assert!(schedule.held.is_empty(), "{:#?}", self.log);
            let records: BTreeMap<_, _> = state.due_records(&TARGET).map(|record| (record.due, record)).collect();
            let next = |due: &DateTime<Utc>| schedule.schedule.next_after(*due);
            let start = |due: &DateTime<Utc>| schedule.schedule.start_time(&TARGET, *due);
            let due = std::iter::successors(next(&schedule.since), next).take_while(|due| start(due) <= self.now);
            let mut uncounted = 0;
            for due in due {
                match records.get(&due) {
                    None => uncounted += 1,
                    Some(record) => {
                        assert_eq!(record.earlier, uncounted, "before {due}: {:#?}", self.log);
                        uncounted = 0;
                    }
                }
            }
            assert_eq!(uncounted, 0, "the latest due times have no record at {}: {:#?}", self.now, self.log);
        });
        // A pending job that was never due runs when its queue is processed.
        assert!(self.runs >= self.ran.len(), "{} of {} ran: {:#?}", self.runs, self.ran.len(), self.log);
    }
}

#[test]
fn each_due_time_is_accounted_for_once() {
    let mut rng = TestRng::new();
    for _ in 0..iterations(40) {
        let mut history = History::new(&mut rng);
        for _ in 0..60 {
            history.step(&mut rng);
        }
        history.check();
    }
}
