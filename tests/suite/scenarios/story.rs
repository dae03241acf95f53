//! A story on virtual time: a `jobs.yaml`, what its jobs do, what people ask for, and what they see of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Command, Event, Exit, Failure, FailureKind, Job, JobId, Ledger, Mode, NothingTo, Outcome, Phase, QueueId,
    QueueRecord, Refusal, Report, RunId, Stop, Then, WorkerId,
};
use setlist::{Site, definition};

/// A site with one worker, which is replaced at once when it dies.
pub(super) struct Story {
    site: Site,
    /// How long the runs of a job take and how they end; the last one stands for all that follow.
    runs: BTreeMap<String, VecDeque<(TimeDelta, &'static str)>>,
    asked: VecDeque<(TimeDelta, &'static str)>,
    /// The runs under way, by when they end.
    ends: BTreeMap<(TimeDelta, RunId), (JobId, &'static str)>,
    /// When the next job's time comes.
    due: Option<TimeDelta>,
    worker: WorkerId,
    now: TimeDelta,
    told: String,
}

impl Story {
    /// Nothing has happened yet. A job takes a minute and succeeds, unless something else is said.
    pub(super) fn of(yaml: &str) -> Self {
        let mut plan = definition::parse("jobs.yaml", yaml).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        "1".clone_into(&mut plan.stamp);
        let mut story = Self {
            site: Site::new(),
            runs: BTreeMap::new(),
            asked: VecDeque::new(),
            ends: BTreeMap::new(),
            due: None,
            worker: WorkerId(0),
            now: TimeDelta::zero(),
            told: String::new(),
        };
        story.submit(&Command::Reconcile(Box::new(plan))).unwrap();
        story.join();
        story
    }

    /// What becomes of the runs of a job, one after the other: `5m ok`, `20s exit 3`, `1h timeout`, `2m dies` (with
    /// its worker).
    pub(super) fn job(mut self, path: &str, runs: &[&'static str]) -> Self {
        self.id(path);
        let run = |run: &&'static str| {
            let (time, end) = run.split_once(' ').unwrap();
            (span(time), end)
        };
        self.runs.insert(path.to_owned(), runs.iter().map(run).collect());
        self
    }

    /// What somebody asks for at that time, much as on the command line: `process build`, `run build/lint`.
    pub(super) fn at(mut self, time: &str, asked: &'static str) -> Self {
        self.asked.push_back((span(time), asked));
        self
    }

    /// Plays it to its end; tells what happened at which time, and how things stood then.
    pub(super) fn told(mut self) -> String {
        while let Some(time) = self.next() {
            self.now = time;
            writeln!(self.told, "at {}", words(time)).unwrap();
            while let Some((&(end, run), &(job, how))) = self.ends.first_key_value()
                && end <= self.now
            {
                self.ends.remove(&(end, run));
                self.end(job, run, how);
            }
            while let Some(&(time, asked)) = self.asked.front()
                && time <= self.now
            {
                self.asked.pop_front();
                self.ask(asked);
            }
            self.work();
            self.look();
        }
        self.told
    }

    /// When something happens next.
    fn next(&self) -> Option<TimeDelta> {
        let end = self.ends.first_key_value().map(|((end, _), _)| *end);
        let asked = self.asked.front().map(|(time, _)| *time);
        end.into_iter().chain(asked).chain(self.due).min()
    }

    /// The worker starts all that may start now.
    fn work(&mut self) {
        // Refused when no job's time has come.
        let _ = self.submit(&Command::Ripen);
        loop {
            let events = match self.submit(&Command::Claim { worker: self.worker, queues: None }) {
                Ok(events) => events,
                Err(Refusal::Nothing(NothingTo::Start { until })) => {
                    self.due = until.map(|until| until - DateTime::UNIX_EPOCH);
                    return;
                }
                Err(refusal) => panic!("{refusal}"),
            };
            let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
            let (takes, how) = match self.runs.get_mut(&self.path(*job)) {
                Some(runs) if runs.len() > 1 => runs.pop_front().unwrap(),
                Some(runs) => runs[0],
                None => (TimeDelta::minutes(1), "ok"),
            };
            self.ends.insert((self.now + takes, run.id), (*job, how));
        }
    }

    fn end(&mut self, job: JobId, run: RunId, how: &str) {
        let failed = |kind, message: &str| Outcome::Failed(Failure { kind, message: message.to_owned() });
        let (outcome, exit) = match how {
            "ok" => (Outcome::Succeeded, Some(Exit::Code(0))),
            "timeout" => (failed(FailureKind::Timeout, "timed out"), Some(Exit::Signal(15))),
            "dies" => {
                writeln!(self.told, "    the worker dies").unwrap();
                self.ends.clear();
                self.submit(&Command::Bury { worker: self.worker, begun: Vec::new() }).unwrap();
                self.join();
                return;
            }
            _ => {
                let code = how.strip_prefix("exit ").unwrap();
                (failed(FailureKind::Exit, &format!("exit code {code}")), Some(Exit::Code(code.parse().unwrap())))
            }
        };
        self.report(job, run, outcome, exit);
    }

    fn report(&mut self, job: JobId, run: RunId, outcome: Outcome, exit: Option<Exit>) {
        let report = Report { outcome, exit, value: None };
        self.submit(&Command::Report { job, run, report, on_failure: None }).unwrap();
    }

    fn ask(&mut self, asked: &str) {
        writeln!(self.told, "    > {asked}").unwrap();
        let (verb, name) = asked.split_once(' ').unwrap();
        let queue = || QueueId::from(name);
        let command = match verb {
            "process" => Command::Process { queue: queue() },
            "pause" => Command::Pause { queue: queue() },
            "run" => Command::Run { job: self.id(name) },
            "confirm" => Command::Confirm { jobs: vec![self.id(name)] },
            "cancel" => Command::Cancel { job: self.id(name), stop: Stop::Terminate },
            "reset" => Command::Reset { job: self.id(name) },
            _ => panic!("{asked}"),
        };
        match self.submit(&command).as_deref() {
            // It obeys at once.
            Ok([Event::StopAsked { job, run, .. }]) => {
                self.ends.retain(|(_, other), _| other != run);
                self.report(*job, *run, Outcome::Cancelled, None);
            }
            Ok(_) => {}
            Err(refusal) => writeln!(self.told, "    {refusal}").unwrap(),
        }
    }

    fn join(&mut self) {
        self.submit(&Command::Join { host: "here".to_owned(), pid: 1, queues: None }).unwrap();
        self.worker.0 += 1;
    }

    fn submit(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let events = self.site.submit(command, self.clock())?;
        let lines: String = events.iter().filter_map(|event| Some(format!("    {}\n", self.line(event)?))).collect();
        self.told.push_str(&lines);
        Ok(events)
    }

    /// What a user hears of an event, if it is not to be seen afterwards anyway.
    fn line(&self, event: &Event) -> Option<String> {
        let path = event.job().map(|id| self.path(id)).unwrap_or_default();
        Some(match event {
            Event::ModeChanged { queue, mode: Mode::Idle } => format!("{queue} falls idle"),
            Event::ModeChanged { queue, mode: Mode::Stopped } => format!("{queue} stops"),
            Event::Started { run, .. } if run.attempt > 1 => format!("{path} starts, its run {}", run.attempt),
            Event::Started { .. } => format!("{path} starts"),
            Event::Ended { report, then, .. } => {
                let outcome = match &report.outcome {
                    Outcome::Failed(failure) => format!("failed: {failure}"),
                    outcome => outcome.to_string(),
                };
                let stays = if *then == Then::Stay { "; it stays pending" } else { "" };
                format!("{path} {outcome}{stays}")
            }
            Event::Cancelled { .. } => format!("{path} cancelled"),
            Event::Skipped { reason, .. } => format!("{path} skipped: {reason}"),
            Event::Reopened { .. } => format!("{path} is pending again"),
            _ => return None,
        })
    }

    /// What is to be seen of the queues in which something is open.
    fn look(&mut self) {
        let now = self.clock();
        let queue = |ledger: &Ledger, id: &QueueId, queue: &QueueRecord| {
            let list = |phase: Phase| {
                let jobs = queue.list(phase).iter().filter_map(|id| ledger.job(*id));
                let jobs: Vec<String> = jobs.map(|job| shown(job, ledger, now)).collect();
                (!jobs.is_empty()).then(|| format!("{} {}", phase.word(), jobs.join(", ")))
            };
            let open: Vec<_> = [Phase::Running, Phase::Pending].into_iter().filter_map(list).collect();
            (!open.is_empty()).then(|| format!("    {id} ({}): {}\n", queue.mode.word(), open.join("; ")))
        };
        let seen: String = self
            .site
            .read(|ledger| ledger.queues().into_iter().filter_map(|(id, record)| queue(ledger, id, record)).collect());
        self.told.push_str(&seen);
    }

    fn id(&self, path: &str) -> JobId {
        let id = self.site.read(|ledger| ledger.jobs().find(|job| job.path() == path).map(|job| job.id));
        id.unwrap_or_else(|| panic!("there is no {path}"))
    }

    fn path(&self, id: JobId) -> String {
        self.site.read(|ledger| ledger.job(id).map(Job::path).unwrap_or_default())
    }

    fn clock(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + self.now
    }
}

/// A job with what it waits for.
fn shown(job: &Job, ledger: &Ledger, now: DateTime<Utc>) -> String {
    let name = job.name().unwrap_or_default();
    let words = ledger.waiting(job).map(|waiting| waiting.words(now)).unwrap_or_default();
    if words.is_empty() { name.to_owned() } else { format!("{name} [{words}]") }
}

/// `90s`, `5m`, `1h 30m`.
fn span(text: &str) -> TimeDelta {
    TimeDelta::from_std(humantime::parse_duration(text).unwrap()).unwrap()
}

fn words(time: TimeDelta) -> String {
    humantime::format_duration(time.to_std().unwrap()).to_string()
}
