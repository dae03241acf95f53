//! A simulation in virtual time: a `jobs.yaml`, scripted outcomes of its jobs, user requests, and the resulting timeline.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    AfterRun, Command, Event, Exit, Failure, FailureKind, Job, JobId, NothingToDo, Outcome, Phase, QueueId, QueueMode,
    QueueState, Refusal, RunId, RunReport, SiteState, StopSignal, WorkerId, WorkerOptions,
};
use setlist::{Site, definition};

/// A simulated site with one worker, which is replaced at once when it dies.
pub(super) struct Simulation {
    site: Site,
    /// The duration and end of each run of a job; the last entry is used for all further runs.
    scripted_runs: BTreeMap<String, VecDeque<(TimeDelta, &'static str)>>,
    requests: VecDeque<(TimeDelta, &'static str)>,
    /// The current runs, by their end.
    run_ends: BTreeMap<(TimeDelta, RunId), (JobId, &'static str)>,
    /// When the next scheduled job is due.
    next_due: Option<TimeDelta>,
    worker: WorkerId,
    now: TimeDelta,
    timeline: String,
}

impl Simulation {
    /// A simulation of this file, at time 0. By default, a job takes a minute and succeeds.
    pub(super) fn new(yaml: &str) -> Self {
        let mut desired =
            definition::parse("jobs.yaml", yaml).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        "1".clone_into(&mut desired.version);
        let mut simulation = Self {
            site: Site::new(),
            scripted_runs: BTreeMap::new(),
            requests: VecDeque::new(),
            run_ends: BTreeMap::new(),
            next_due: None,
            worker: WorkerId(0),
            now: TimeDelta::zero(),
            timeline: String::new(),
        };
        simulation.submit(&Command::Reconcile(Box::new(desired))).unwrap();
        simulation.join();
        simulation
    }

    /// Scripts the runs of a job, in order: `5m ok`, `20s exit 3`, `1h timeout`, `2m dies` (with its worker).
    pub(super) fn job(mut self, path: &str, runs: &[&'static str]) -> Self {
        self.id(path);
        let run = |run: &&'static str| {
            let (time, end) = run.split_once(' ').unwrap();
            (parse_duration(time), end)
        };
        self.scripted_runs.insert(path.to_owned(), runs.iter().map(run).collect());
        self
    }

    /// Adds a user request at this time, as on the command line: `process build`, `run build/lint`.
    pub(super) fn at(mut self, time: &str, request: &'static str) -> Self {
        self.requests.push_back((parse_duration(time), request));
        self
    }

    /// Runs the simulation to its end; returns the timeline of events and queue states.
    pub(super) fn run(mut self) -> String {
        while let Some(time) = self.next_time() {
            self.now = time;
            writeln!(self.timeline, "at {}", format_duration(time)).unwrap();
            while let Some((&(end, run), &(job, how))) = self.run_ends.first_key_value()
                && end <= self.now
            {
                self.run_ends.remove(&(end, run));
                self.end(job, run, how);
            }
            while let Some(&(time, request)) = self.requests.front()
                && time <= self.now
            {
                self.requests.pop_front();
                self.request(request);
            }
            self.start_ready_jobs();
            self.log_queues();
        }
        self.timeline
    }

    /// The time of the next run end, request or due job.
    fn next_time(&self) -> Option<TimeDelta> {
        let end = self.run_ends.first_key_value().map(|((end, _), _)| *end);
        let request = self.requests.front().map(|(time, _)| *time);
        end.into_iter().chain(request).chain(self.next_due).min()
    }

    /// Starts all jobs that can start now.
    fn start_ready_jobs(&mut self) {
        // Refused if no job is due.
        let _ = self.submit(&Command::PromoteDue);
        loop {
            let events = match self.submit(&Command::Claim { worker: self.worker, queues: None }) {
                Ok(events) => events,
                Err(Refusal::NothingToDo(NothingToDo::Claim { next_due: until })) => {
                    self.next_due = until.map(|until| until - DateTime::UNIX_EPOCH);
                    return;
                }
                Err(refusal) => panic!("{refusal}"),
            };
            let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
            let (takes, how) = match self.scripted_runs.get_mut(&self.path(*job)) {
                Some(runs) if runs.len() > 1 => runs.pop_front().unwrap(),
                Some(runs) => runs[0],
                None => (TimeDelta::minutes(1), "ok"),
            };
            self.run_ends.insert((self.now + takes, run.id), (*job, how));
        }
    }

    fn end(&mut self, job: JobId, run: RunId, how: &str) {
        let failed = |kind, message: &str| Outcome::Failed(Failure { kind, message: message.to_owned() }.into());
        let (outcome, exit) = match how {
            "ok" => (Outcome::Succeeded, Some(Exit::Code(0))),
            "timeout" => (failed(FailureKind::Timeout, "timed out"), Some(Exit::Signal(15))),
            "dies" => {
                writeln!(self.timeline, "    the worker dies").unwrap();
                self.run_ends.clear();
                self.submit(&Command::ReapWorker {
                    worker: self.worker,
                    started_runs: Vec::new(),
                    unreachable_host: None,
                })
                .unwrap();
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
        let report = RunReport { exit, ..RunReport::new(outcome) };
        self.submit(&Command::EndRun { job, run, report, on_failure: None }).unwrap();
    }

    fn request(&mut self, request: &str) {
        writeln!(self.timeline, "    > {request}").unwrap();
        let (verb, name) = request.split_once(' ').unwrap();
        let queue = || QueueId::from(name);
        let command = match verb {
            "process" => Command::Process { queue: queue() },
            "pause" => Command::Pause { queue: queue() },
            "run" => Command::Run { job: self.id(name), force: false },
            "approve" => Command::Approve { jobs: vec![self.id(name)], by: "tester".to_owned() },
            "cancel" => Command::Cancel { job: self.id(name), stop: StopSignal::Terminate },
            "reset" => Command::Reset { job: self.id(name) },
            _ => panic!("{request}"),
        };
        match self.submit(&command).as_deref() {
            // The job stops at once.
            Ok([Event::StopRequested { job, run, .. }]) => {
                self.run_ends.retain(|(_, other), _| other != run);
                self.report(*job, *run, Outcome::Cancelled, None);
            }
            Ok(_) => {}
            Err(refusal) => writeln!(self.timeline, "    {refusal}").unwrap(),
        }
    }

    fn join(&mut self) {
        self.submit(&Command::Join {
            host: "here".to_owned(),
            pid: 1,
            queues: None,
            options: WorkerOptions::default(),
        })
        .unwrap();
        self.worker.0 += 1;
    }

    fn submit(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let events = self.site.submit(command, self.clock())?;
        let lines: String =
            events.iter().filter_map(|event| Some(format!("    {}\n", self.event_line(event)?))).collect();
        self.timeline.push_str(&lines);
        Ok(events)
    }

    /// The line of an event, unless the queue states show it anyway.
    fn event_line(&self, event: &Event) -> Option<String> {
        let path = event.job().map(|id| self.path(id)).unwrap_or_default();
        Some(match event {
            Event::ModeChanged { queue, mode: QueueMode::Idle } => format!("{queue} becomes idle"),
            Event::ModeChanged { queue, mode: QueueMode::Stopped } => format!("{queue} stops"),
            Event::Started { run, .. } if run.attempt > 1 => format!("{path} starts (run {})", run.attempt),
            Event::Started { .. } => format!("{path} starts"),
            Event::Ended { report, after_run, .. } => {
                let outcome = match &report.outcome {
                    Outcome::Failed(failure) => format!("failed: {failure}"),
                    outcome => outcome.to_string(),
                };
                let stays = if *after_run == AfterRun::StayPending { "; stays pending" } else { "" };
                format!("{path} {outcome}{stays}")
            }
            Event::Cancelled { .. } => format!("{path} cancelled"),
            Event::Skipped { reason, .. } => format!("{path} skipped: {reason}"),
            Event::Requeued { .. } => format!("{path} is pending again"),
            _ => return None,
        })
    }

    /// Logs the queues that have running or pending jobs.
    fn log_queues(&mut self) {
        let now = self.clock();
        let queue = |site_state: &SiteState, id: &QueueId, queue: &QueueState| {
            let list = |phase: Phase| {
                let jobs = queue.jobs_in(phase).iter().filter_map(|id| site_state.job(*id));
                let jobs: Vec<String> = jobs.map(|job| job_text(job, site_state, now)).collect();
                (!jobs.is_empty()).then(|| format!("{} {}", phase.as_str(), jobs.join(", ")))
            };
            let open: Vec<_> = [Phase::Running, Phase::Pending].into_iter().filter_map(list).collect();
            (!open.is_empty()).then(|| format!("    {id} ({}): {}\n", queue.mode.as_str(), open.join("; ")))
        };
        let lines: String = self.site.read(|site_state| {
            site_state.queues().into_iter().filter_map(|(id, record)| queue(site_state, id, record)).collect()
        });
        self.timeline.push_str(&lines);
    }

    fn id(&self, path: &str) -> JobId {
        let id = self.site.read(|site_state| site_state.jobs().find(|job| job.path() == path).map(|job| job.id));
        id.unwrap_or_else(|| panic!("there is no {path}"))
    }

    fn path(&self, id: JobId) -> String {
        self.site.read(|site_state| site_state.job(id).map(Job::path).unwrap_or_default())
    }

    fn clock(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + self.now
    }
}

/// A job with the reason why it waits.
fn job_text(job: &Job, site_state: &SiteState, now: DateTime<Utc>) -> String {
    let name = job.name().unwrap_or_default();
    let words = site_state.wait_reason(job).map(|waiting| waiting.describe(now)).unwrap_or_default();
    if words.is_empty() { name.to_owned() } else { format!("{name} [{words}]") }
}

/// `90s`, `5m`, `1h 30m`.
fn parse_duration(text: &str) -> TimeDelta {
    TimeDelta::from_std(humantime::parse_duration(text).unwrap()).unwrap()
}

fn format_duration(time: TimeDelta) -> String {
    humantime::format_duration(time.to_std().unwrap()).to_string()
}
