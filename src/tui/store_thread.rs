//! The thread that talks to the store for the screen, so that a key press never waits for a disk.

mod outage;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::definition::{self, save};
use crate::model::{Command, Definition, DuePage, Event, JobId, QueueId, Run, RunId, RunPeriod, WorkerId, WorkerInfo};
use crate::site::{
    self, AppliedFile, Coalescer, Publishing, Reconciled, Respawn, RunMonitor, SiteError, SitePaths, WorkerCheck,
};
use crate::store::log::{LogReader, WatchedRuns};
use crate::store::{
    CommandResult, LivenessWatch, SaveLock, StateDir, Store, StoreError, Subscription, TerminalInputWriter,
    WorkerMachines,
};

use super::due_history::{DueHistory, DueTimesRequest};
use super::effect::{Direction, Intent, StoreRequest, Submission};
use super::log_search::LogSearchRequest;
use super::log_search_thread;
use super::message::{JobsFileError, Message, Reply};
use super::reply_text::{missing_artifacts_text, refusal_text, worker_error_text};
use super::response_watch::ResponseWatch;
use super::server_outage::CurrentOutage;

/// Starts a worker if none is running; the error says why none could be started.
pub type EnsureWorker = Box<dyn Fn(&mut dyn Store) -> Result<(), SiteError> + Send>;

/// How many past due times of a schedule are shown.
const MAX_DUE_TIMES: usize = 14;

/// How often the workers are checked, for those whose death can't be watched.
const WORKER_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A connection to the store that follows its changes. It sends what it learns as messages, in order: events come before
/// the reply to the command that made them.
pub struct StoreThread {
    store: Box<dyn Store>,
    ensure_worker: EnsureWorker,
    /// The paths for checking the workers. Without them, the workers aren't checked.
    paths: Option<SitePaths>,
    /// Looks at what runs use, once a job is running.
    run_monitor: Option<RunMonitor>,
    /// Whether the last look has found something.
    has_usage: bool,
    /// Reports the death of a worker.
    liveness_watch: Option<LivenessWatch>,
    messages: Sender<Message>,
    /// The last event that was sent.
    seq: u64,
    /// Whether the whole site is to be sent first.
    loads_site: bool,
    /// Reports that subscribed output has grown. Without it, nothing reports that.
    output_grown: Option<Coalescer>,
    watched_runs: WatchedRuns,
    subscribed: Vec<RunId>,
    output_subscription: Option<Subscription>,
    /// The latest run of the job whose runs were sent last, while the result of its `on_finish` isn't known.
    awaits_hook: Option<(JobId, Run)>,
    /// The server of the site, while it is away.
    outage: Option<CurrentOutage>,
}

impl StoreThread {
    /// A store thread that has sent everything up to event `seq`.
    pub fn new(store: Box<dyn Store>, seq: u64, ensure_worker: EnsureWorker, messages: Sender<Message>) -> Self {
        Self {
            store,
            ensure_worker,
            paths: None,
            run_monitor: None,
            has_usage: false,
            liveness_watch: None,
            messages,
            seq,
            loads_site: false,
            output_grown: None,
            watched_runs: WatchedRuns::default(),
            subscribed: Vec::new(),
            output_subscription: None,
            awaits_hook: None,
            outage: None,
        }
    }

    /// Also checks the workers, and looks at what runs use.
    #[must_use]
    pub fn with_worker_checks(self, paths: SitePaths) -> Self {
        Self { paths: Some(paths), ..self }
    }

    /// Sends the whole site first, of which the screen shows a part.
    #[must_use]
    pub fn loading_site(self) -> Self {
        Self { loads_site: true, ..self }
    }

    /// Also reports when subscribed output grows.
    #[must_use]
    pub fn with_output_reports(self, output_grown: Coalescer) -> Self {
        Self { output_grown: Some(output_grown), ..self }
    }

    /// Runs on a thread until every sender of requests is gone. A change of the store becomes
    /// [`StoreRequest::ReadChanges`], the death of a worker [`StoreRequest::CheckWorkers`].
    pub fn spawn(mut self, folder: &StateDir) -> Result<Sender<StoreRequest>, StoreError> {
        let (requests, inbox) = channel();
        let deaths = requests.clone();
        let on_death = Arc::new(move || drop(deaths.send(StoreRequest::CheckWorkers)));
        // Where deaths can't be watched, the regular checks find them.
        self.liveness_watch = LivenessWatch::start(folder, on_death).ok();
        let host = self.store.server_host();
        let response_watch = host.map(|host| ResponseWatch::start(host, self.messages.clone())).transpose()?;
        let changes = Coalescer::default();
        let subscription = self.store.subscribe(changes.callback(requests.clone(), || StoreRequest::ReadChanges))?;
        let work = move || {
            let mut store_thread = self;
            // The whole site, or changes before the subscription.
            if let Err(error) = store_thread.send_changes() {
                if store_thread.loads_site && !error.is_outage() {
                    return store_thread.send(Message::LoadFailed(error.into()));
                }
                store_thread.report_error(&error);
            }
            // Deaths before the watch.
            store_thread.reap_dead_workers();
            store_thread.serve(&inbox, &changes, response_watch.as_ref());
            drop(subscription);
        };
        thread::Builder::new().name("store".to_owned()).spawn(work).map_err(|error| StoreError::io("thread", error))?;
        Ok(requests)
    }

    fn serve(&mut self, inbox: &Receiver<StoreRequest>, changes: &Coalescer, watch: Option<&ResponseWatch>) {
        let mut next_check = Some(Instant::now() + WORKER_CHECK_INTERVAL);
        loop {
            let first = match self.reconnect_at().or(next_check) {
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(RecvTimeoutError::from),
            };
            let first = match first {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) if self.outage.is_some() => {
                    self.reconnect(self.store.clock().now());
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let has_workers = self.watched(watch, |store_thread| store_thread.check_workers(false));
                    next_check = has_workers.then(|| Instant::now() + WORKER_CHECK_INTERVAL);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // A worker may have started.
            next_check = next_check.or_else(|| Some(Instant::now() + WORKER_CHECK_INTERVAL));
            changes.reset();
            let mut requests: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
            // Of these requests the last one makes the earlier ones superfluous.
            let last_log = requests.iter().rposition(|request| matches!(request, StoreRequest::OpenLog(_)));
            let last_runs = requests.iter().rposition(|request| matches!(request, StoreRequest::LoadRuns(_)));
            let last_period = requests.iter().rposition(|request| matches!(request, StoreRequest::LoadPeriod(_)));
            let last_due = requests.iter().rposition(|request| matches!(request, StoreRequest::LoadDueTimes(_)));
            let last_look = requests.iter().rposition(|request| matches!(request, StoreRequest::LookAtUsage { .. }));
            let last_read = requests.iter().rposition(|request| matches!(request, StoreRequest::ReadChanges));
            for (nth, request) in requests.drain(..).enumerate() {
                let is_stale = match request {
                    StoreRequest::OpenLog(_) => Some(nth) != last_log,
                    StoreRequest::LoadRuns(_) => Some(nth) != last_runs,
                    StoreRequest::LoadPeriod(_) => Some(nth) != last_period,
                    StoreRequest::LoadDueTimes(_) => Some(nth) != last_due,
                    StoreRequest::LookAtUsage { .. } => Some(nth) != last_look,
                    StoreRequest::ReadChanges => Some(nth) != last_read,
                    StoreRequest::Submit(_)
                    | StoreRequest::Subscribe(_)
                    | StoreRequest::FindAdjacentRun { .. }
                    | StoreRequest::SearchLogs(_)
                    | StoreRequest::OpenRunsToCompare(..)
                    | StoreRequest::FindRun { .. }
                    | StoreRequest::FindArtifacts(_)
                    | StoreRequest::SaveJob { .. }
                    | StoreRequest::SetWindowSize(_)
                    | StoreRequest::ReloadFile { .. }
                    | StoreRequest::CheckWorkers => false,
                };
                if !is_stale {
                    let now = self.store.clock().now();
                    self.watched(watch, |store_thread| store_thread.execute(request, now));
                }
            }
        }
    }

    /// Does something that the server may not answer; the screen shows it if that takes long.
    fn watched<R>(&mut self, watch: Option<&ResponseWatch>, work: impl FnOnce(&mut Self) -> R) -> R {
        // While it connects again, that is shown.
        watch.filter(|_| self.outage.is_none()).inspect(|watch| watch.begin());
        let result = work(self);
        // What was shown as waiting for the server has ended.
        if watch.is_some_and(ResponseWatch::end) && self.outage.is_none() {
            self.send(Message::ServerOutage(None));
        }
        result
    }

    /// Executes a request. While the server of the site is away, it is answered without it.
    pub fn execute(&mut self, request: StoreRequest, now: DateTime<Utc>) {
        let Some(request) = self.answer_in_outage(request, now) else { return };
        match request {
            StoreRequest::Submit(submission) => self.submit(submission, now),
            StoreRequest::OpenLog(run) => {
                let (reader, input) = self.open(run);
                self.send(Message::LogOpened { run, reader: Box::new(reader), input });
            }
            StoreRequest::Subscribe(runs) => self.subscribe(runs),
            StoreRequest::FindAdjacentRun { job, from, direction } => self.find_adjacent_run(job, from, direction),
            StoreRequest::FindRun { job, run } => self.find_run(job, run),
            StoreRequest::FindArtifacts(run) => self.find_artifacts(run),
            StoreRequest::LoadPeriod(period) => self.load_period(period),
            StoreRequest::LoadRuns(job) => self.load_runs(job),
            StoreRequest::OpenRunsToCompare(job, run) => self.open_runs_to_compare(job, run),
            StoreRequest::SearchLogs(request) => self.search_logs(request),
            StoreRequest::LoadDueTimes(request) => self.load_due_times(*request),
            StoreRequest::SaveJob { file, job, queue, definition } => {
                self.save_job(&file, job, &queue, &definition, now);
            }
            // If the size can't be recorded, terminals start with the default size.
            StoreRequest::SetWindowSize(size) => drop(self.store.terminal_inputs().record_size(size)),
            StoreRequest::ReadChanges => {
                self.read_changes();
                self.check_awaited_hook();
            }
            StoreRequest::LookAtUsage { runs, workers } => self.look_at_usage(&runs, &workers),
            StoreRequest::CheckWorkers => drop(self.check_workers(true)),
            StoreRequest::ReloadFile { needs_worker } => self.reload_file(needs_worker),
        }
    }

    fn submit(&mut self, submission: Submission, now: DateTime<Utc>) {
        let Submission { commands, intent, needs_worker, inputs } = submission;
        let is_empty = commands.is_empty();
        let outcome = match &self.paths {
            Some(paths) if intent == Intent::Reload => self.apply_file(&paths.clone(), commands),
            Some(paths) => site::execute_requests_with(self.store.as_mut(), paths, commands, &inputs, now),
            None => self.store.execute(&commands, now),
        };
        let outcome = outcome.map_err(|error| self.explain_failure(&error));
        // Without commands, only a worker was asked for.
        let accepted = is_empty || outcome.iter().flatten().any(Result::is_ok);
        self.reply(intent, outcome, needs_worker && accepted);
    }

    /// Sends what has changed and then the reply, and starts a worker where one is needed.
    fn reply(&mut self, intent: Intent, outcome: Result<Vec<CommandResult>, String>, needs_worker: bool) {
        self.read_changes();
        self.send(Message::Reply(Reply { intent, outcome }));
        if needs_worker && self.outage.is_none() {
            if let Err(error) = (self.ensure_worker)(self.store.as_mut()) {
                self.send(Message::Error(worker_error_text(&error)));
            }
            // Dead workers may have been reaped.
            self.read_changes();
        }
    }

    /// Makes the site what a file describes that was read. If a job has returned another list since, it is read again.
    fn apply_file(&mut self, paths: &SitePaths, commands: Vec<Command>) -> Result<Vec<CommandResult>, StoreError> {
        let mut results = Vec::new();
        for command in commands {
            let Command::Reconcile(desired) = command else { continue };
            results.push(Ok(match site::apply_file(self.store.as_mut(), paths, *desired, Publishing::SameCopy)? {
                AppliedFile::Applied(events) => events,
                AppliedFile::OtherInForce(published) => {
                    self.send_file_error(definition::Error::NotInForce { path: paths.file.clone(), published });
                    Vec::new()
                }
                AppliedFile::Unreadable(error) => {
                    self.send_file_error(error);
                    Vec::new()
                }
            }));
        }
        Ok(results)
    }

    fn send_file_error(&self, error: definition::Error) {
        self.send(Message::FileRead(Err(JobsFileError::from(error))));
    }

    /// Reads `jobs.yaml` and the items of its jobs again.
    fn reload_file(&mut self, needs_worker: bool) {
        let Some(paths) = &self.paths else { return };
        let outcome = match site::reconcile_with_file(self.store.as_mut(), paths) {
            Ok(Reconciled { file_error: Some(error), .. }) => return self.send_file_error(error),
            Ok(Reconciled { events, .. }) => Ok(vec![Ok(events)]),
            Err(error) => Err(self.explain_failure(&error)),
        };
        self.reply(Intent::ReloadNow, outcome, needs_worker);
    }

    /// Writes a job to the file. The entry is recorded in the store first, so that the next reconciliation matches it
    /// with this job.
    fn save_job(&mut self, file: &Path, job: JobId, queue: &QueueId, definition: &Definition, now: DateTime<Utc>) {
        let store = &mut self.store;
        let announce = |written: &[Arc<Definition>]| {
            let digest = written.first().and_then(|definition| definition.digest).unwrap_or_default();
            let answers =
                store.execute(&[Command::AdoptEntry { job, digest }], now).map_err(|error| error.to_string())?;
            answers.into_iter().find_map(Result::err).map_or(Ok(()), |refusal| Err(refusal_text(&refusal)))
        };
        let lock = self.paths.as_ref().map(|paths| SaveLock::take(&paths.state)).transpose();
        let saved = lock.map_err(|error| error.to_string()).and_then(|_lock| {
            let saved = save::save_with_announcement(file, queue, std::slice::from_ref(definition), announce);
            saved.map_err(|error| error.to_string())
        });
        self.read_changes();
        let name = saved.as_ref().ok().and_then(|saved| Some(format!("{queue}/{}", saved.first()?.name.as_deref()?)));
        let outcome = saved.map(|_| Vec::new()).map_err(|error| error.replace('\n', " "));
        self.send(Message::Reply(Reply { intent: Intent::Save(job, name.unwrap_or_default()), outcome }));
    }

    /// Reaps workers that died before the screen opened. That starts no other worker.
    fn reap_dead_workers(&mut self) {
        let Some(paths) = &self.paths else { return };
        match site::reap_dead_workers(self.store.as_mut(), paths) {
            Ok(reaped) => self.report(WorkerCheck { reaped, respawn: Respawn::NotNeeded }),
            Err(error) => self.report_site_error(&error),
        }
    }

    fn report(&mut self, check: WorkerCheck) {
        if check.needs_reporting() {
            self.read_changes();
            self.send(Message::WorkersChecked(check));
        }
    }

    /// Checks the workers; returns whether there are any.
    fn check_workers(&mut self, died: bool) -> bool {
        let Some(paths) = &self.paths else { return false };
        let check = site::check_workers(self.store.as_mut(), paths, died);
        let checked = check.and_then(|check| Ok((check, !self.store.workers()?.is_empty())));
        match checked {
            Ok((check, has_workers)) => {
                self.report(check);
                has_workers
            }
            Err(error) => {
                self.report_site_error(&error);
                true
            }
        }
    }

    fn read_changes(&mut self) {
        if let Err(error) = self.send_changes() {
            self.report_error(&error);
        }
    }

    /// Sends what has changed.
    fn send_changes(&mut self) -> Result<(), StoreError> {
        if self.loads_site {
            return self.load_site();
        }
        let Some(events) = self.store.events_after(self.seq)? else { return self.load_site() };
        if let Some(last) = events.last() {
            self.seq = last.seq;
            if events.iter().any(|recorded| matches!(recorded.event, Event::WorkerJoined { .. })) {
                self.watch_new_workers();
            }
            self.send(Message::Events(events));
        }
        Ok(())
    }

    fn load_site(&mut self) -> Result<(), StoreError> {
        let state = self.store.load()?;
        (self.seq, self.loads_site) = (state.seq(), false);
        self.watch_new_workers();
        self.send(Message::SiteLoaded(Box::new(state)));
        Ok(())
    }

    fn watch_new_workers(&self) {
        if let Some(watch) = &self.liveness_watch {
            watch.rescan();
        }
    }

    fn load_runs(&mut self, job: JobId) {
        let runs = match self.store.runs(job) {
            Ok(runs) => runs,
            Err(error) => return self.report_error(&error),
        };
        // Where a server has the site, it is asked for each result that is not known here.
        let has_hook = self.store.job(job).is_ok_and(|job| job.is_some_and(|job| job.hook().is_some()));
        let hook_result = |run: &Run| has_hook.then(|| self.store.log_reader(run.id).hook_result(run)).flatten();
        let latest = runs.last().filter(|run| has_hook && run.end.is_some() && hook_result(run).is_none());
        let awaits_hook = latest.map(|run| (job, run.clone()));
        let hook_result = runs.iter().rev().find_map(hook_result);
        self.awaits_hook = awaits_hook;
        let workers: Vec<WorkerId> = runs.iter().map(|run| run.worker).collect();
        // They are only of interest where there are several.
        let is_on_server = self.store.server_host().is_some();
        let machines = if is_on_server { self.store.worker_machines(&workers) } else { Ok(WorkerMachines::new()) };
        match machines {
            Ok(machines) => self.send(Message::RunHistory { job, runs, hook_result, machines }),
            Err(error) => self.report_error(&error),
        }
    }

    /// Searches on another thread, so that a key press never waits for it.
    fn search_logs(&mut self, request: LogSearchRequest) {
        let messages = self.messages.clone();
        let started = self.store.new_connection().and_then(|store| {
            let search = move || log_search_thread::search(store, &request, &messages);
            let thread = thread::Builder::new().name("log-search".to_owned()).spawn(search);
            thread.map_err(|error| StoreError::io("thread", error))
        });
        if let Err(error) = started {
            self.report_error(&error);
        }
    }

    fn load_due_times(&mut self, DueTimesRequest { target, days }: DueTimesRequest) {
        let (dates, periods): (Vec<_>, Vec<_>) = days.into_iter().unzip();
        let page = DuePage { limit: MAX_DUE_TIMES, ..DuePage::default() };
        let records = self.store.due_records(&target, &page);
        match records.and_then(|records| Ok((records, self.store.due_counts(&target, &periods)?))) {
            Ok((records, counts)) => {
                let days = dates.into_iter().zip(counts).collect();
                self.send(Message::DueTimes(Box::new(DueHistory { target, records, days })));
            }
            Err(error) => self.report_error(&error),
        }
    }

    /// Sends the runs again once the awaited `on_finish` has ended.
    fn check_awaited_hook(&mut self) {
        let has_ended = |(_, run): &mut (JobId, Run)| self.store.log_reader(run.id).hook_result(run).is_some();
        if let Some((job, _)) = self.awaits_hook.take_if(has_ended) {
            self.load_runs(job);
        }
    }

    fn find_adjacent_run(&mut self, job: JobId, from: RunId, direction: Direction) {
        let runs = match self.store.runs(job) {
            Ok(runs) => runs,
            Err(error) => return self.report_error(&error),
        };
        let run = match direction {
            Direction::Earlier => runs.into_iter().take_while(|run| run.id < from).last(),
            Direction::Later => runs.into_iter().find(|run| run.id > from),
        };
        self.send(Message::AdjacentRun { from, run, direction });
    }

    fn open_runs_to_compare(&mut self, job: JobId, run: RunId) {
        let runs = match self.store.runs(job) {
            Ok(runs) => runs,
            Err(error) => return self.report_error(&error),
        };
        let Some(before) = runs.iter().take_while(|other| other.id < run).last() else {
            return self.send(Message::Error("There is no kept run before this one.".to_owned()));
        };
        let readers = [before.id, run].map(|run| self.store.log_reader(run));
        self.send(Message::RunsToCompare(Box::new(readers)));
    }

    fn find_run(&mut self, job: JobId, run: RunId) {
        match self.store.runs(job) {
            Ok(runs) => {
                let run = runs.into_iter().find(|other| other.id == run).map(Box::new);
                self.send(Message::FoundRun { job, run });
            }
            Err(error) => self.report_error(&error),
        }
    }

    fn find_artifacts(&mut self, run: RunId) {
        match self.store.announced_artifacts(&[run]) {
            Ok(announced) => self.send(Message::Error(missing_artifacts_text(announced.get(&run)))),
            Err(error) => self.report_error(&error),
        }
    }

    fn load_period(&mut self, period: RunPeriod) {
        match self.store.runs_in(&period) {
            Ok(runs) => self.send(Message::RunsInPeriod { period, runs }),
            Err(error) => self.report_error(&error),
        }
    }

    fn open(&self, run: RunId) -> (LogReader, TerminalInputWriter) {
        let reader = self.store.log_reader(run);
        reader.prefetch();
        (reader, self.store.terminal_inputs().writer(run))
    }

    fn subscribe(&mut self, runs: Vec<RunId>) {
        // Before the readers are sent, so that no growth is missed.
        if let Err(error) = self.watched_runs.set(runs.iter().copied()) {
            self.send(Message::Error(format!("Can't watch the output of some jobs: {error}")));
        }
        match (runs.first(), &self.output_grown) {
            (None, _) => self.output_subscription = None,
            (Some(run), Some(output_grown)) if self.output_subscription.is_none() => {
                let on_growth = output_grown.callback(self.messages.clone(), || Message::OutputGrown);
                match self.store.log_reader(*run).subscribe_to(&self.watched_runs, on_growth) {
                    Ok(subscription) => self.output_subscription = Some(subscription),
                    Err(error) => self.report_error(&error),
                }
            }
            (Some(_), _) => {}
        }
        for run in runs.iter().filter(|run| !self.subscribed.contains(run)) {
            let (reader, input) = self.open(*run);
            self.send(Message::RunSubscribed { run: *run, reader: Box::new(reader), input });
        }
        self.subscribed = runs;
    }

    fn look_at_usage(&mut self, runs: &[RunId], workers: &[WorkerInfo]) {
        let Some(paths) = &self.paths else { return };
        let monitor = self.run_monitor.get_or_insert_with(|| RunMonitor::new(paths.clone()));
        let usages = monitor.look(workers, runs);
        // Nothing is known of the runs of other machines.
        let had_usage = std::mem::replace(&mut self.has_usage, !usages.is_empty());
        if had_usage || self.has_usage {
            self.send(Message::UsageSeen(usages));
        }
    }

    fn send(&self, message: Message) {
        // The receiver is gone while the screen closes.
        let _ = self.messages.send(message);
    }
}

impl fmt::Debug for StoreThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreThread").field("seq", &self.seq).finish_non_exhaustive()
    }
}
