//! A screen for tests: real keys in, the drawn buffer out, over a store in memory. The clock advances only when the
//! test says so, and the worker does what the test says.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Size;
use ratatui::{Frame, Terminal};
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, ExecOptions, Failure, FailureKind, HookResult, JobId,
    Outcome, Phase, QueueId, QueueSettings, RunId, RunReport, Script, Site, SiteState, Stream, Value, WindowSize,
    WorkerId, WorkerOptions,
};
use setlist::store::log::{LogReader, LogWriter};
use setlist::store::{MemoryStore, Store};
use setlist::tui::effect::{EditorPosition, Effect, ExitReason, StoreRequest, Submission};
use setlist::tui::first_hints::FirstHints;
use setlist::tui::keymap::Keymap;
use setlist::tui::keys::KeyPress;
use setlist::tui::message::Message;
use setlist::tui::notifications::NotificationSettings;
use setlist::tui::store_thread::StoreThread;
use setlist::tui::theme::{Appearance, Palette};
use setlist::tui::{Screen, ScreenSettings};
use tempfile::TempDir;

use crate::temp_site::WAIT_TIMEOUT;

pub(crate) struct ScreenHarness {
    pub(crate) store: MemoryStore,
    pub(crate) screen: Screen,
    pub(crate) now: DateTime<Utc>,
    /// Why the screen was closed, once it was.
    pub(crate) exit_reason: Option<ExitReason>,
    /// The positions at which the editor was opened.
    pub(crate) editor_positions: Vec<EditorPosition>,
    /// The texts that were copied to the clipboard.
    pub(crate) copied: Vec<String>,
    /// The desktop notifications that were sent.
    pub(crate) notified: Vec<String>,
    /// The outputs that were compared last.
    pub(crate) compared: Option<[LogReader; 2]>,
    /// How many times the pager was opened.
    pub(crate) pager_opens: usize,
    /// The runs whose artifacts were shown.
    pub(crate) artifacts_opened: Vec<RunId>,
    /// How many times a reload of the file was requested.
    pub(crate) file_reloads: usize,
    /// What was submitted to the store.
    pub(crate) submissions: Vec<Submission>,
    store_thread: StoreThread,
    messages: Receiver<Message>,
    worker: WorkerId,
    worker_spawns: Arc<AtomicUsize>,
    /// The runs whose output the screen is subscribed to.
    pub(crate) subscribed_runs: Vec<RunId>,
    /// The logs of unfinished runs.
    logs: HashMap<RunId, LogWriter>,
    size: Size,
    folder: TempDir,
}

/// A queue as declared in a file: name, parallelism, position, jobs as `(name, title)`.
pub(crate) fn queue(id: &str, parallel: u32, order: u32, jobs: &[(&str, &str)]) -> DesiredQueue {
    let settings = QueueSettings { parallel, order, is_in_file: true, ..QueueSettings::default() };
    let jobs = jobs.iter().map(|(name, title)| {
        let mut definition = Definition::new(Script::shell(format!("./{name}.sh")));
        definition.name = Some(Arc::from(*name));
        definition.title = (*title).into();
        definition.digest = Some(1);
        Arc::new(definition)
    });
    DesiredQueue { id: id.into(), settings, jobs: jobs.collect() }
}

/// The same queue with jobs that run in pseudo-terminals.
pub(crate) fn with_pty(mut queue: DesiredQueue) -> DesiredQueue {
    for (job, n) in queue.jobs.iter_mut().zip(0..) {
        let mut definition = Definition::new(
            Script::shell(format!("./{n}.sh")).with_exec(ExecOptions { pty: true, ..ExecOptions::default() }),
        );
        definition.name.clone_from(&job.name);
        definition.title.clone_from(&job.title);
        definition.digest = Some(1);
        *job = Arc::new(definition);
    }
    queue
}

pub(crate) fn plan(version: &str, queues: Vec<DesiredQueue>) -> DesiredState {
    DesiredState { version: version.to_owned(), queues, ..DesiredState::default() }
}

pub(crate) fn failed(message: &str) -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Exit, message: message.to_owned() }.into())
}

fn settings(appearance: Appearance, keymap: Keymap, hints: FirstHints) -> ScreenSettings {
    ScreenSettings {
        appearance,
        site_name: "~/app".to_owned(),
        file: "/app/jobs.yaml".into(),
        keymap,
        notifications: NotificationSettings { failed: true, drained: true },
        captures_mouse: true,
        hints,
        local: |at| at.naive_utc(),
    }
}

/// The first frame of a screen with this state of a site.
pub(crate) fn first_frame(state: SiteState, queue: Option<&QueueId>, size: Size, now: DateTime<Utc>) -> Buffer {
    frame_of(&mut screen_of(state, queue, size), size, now)
}

/// A screen with this state of a site, and nothing behind it.
pub(crate) fn screen_of(state: SiteState, queue: Option<&QueueId>, size: Size) -> Screen {
    let settings = settings(Appearance::new(Palette::Dark, false), Keymap::default(), FirstHints::none());
    Screen::new(settings, Site::with_state(state, "/app/jobs.yaml"), queue, size)
}

/// The next frame of a screen.
pub(crate) fn frame_of(screen: &mut Screen, size: Size, now: DateTime<Utc>) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
    terminal.draw(|frame| _ = screen.draw(frame, now)).unwrap();
    terminal.backend().buffer().clone()
}

impl ScreenHarness {
    /// A screen of `width` x `height` cells that shows these queues.
    pub(crate) fn new(queues: Vec<DesiredQueue>, width: u16, height: u16) -> Self {
        Self::with_appearance(queues, width, height, Appearance::new(Palette::Dark, false))
    }

    /// Same with this theme.
    pub(crate) fn with_appearance(queues: Vec<DesiredQueue>, width: u16, height: u16, appearance: Appearance) -> Self {
        Self::with(queues, Size { width, height }, appearance, Keymap::default(), FirstHints::none())
    }

    /// Same at 80x24 with these keys.
    pub(crate) fn with_keys(queues: Vec<DesiredQueue>, keymap: Keymap) -> Self {
        let appearance = Appearance::new(Palette::Dark, false);
        Self::with(queues, Size { width: 80, height: 24 }, appearance, keymap, FirstHints::none())
    }

    /// Same at 80x24 with these hints.
    pub(crate) fn with_hints(queues: Vec<DesiredQueue>, hints: FirstHints) -> Self {
        let appearance = Appearance::new(Palette::Dark, false);
        Self::with(queues, Size { width: 80, height: 24 }, appearance, Keymap::default(), hints)
    }

    fn with(queues: Vec<DesiredQueue>, size: Size, appearance: Appearance, keymap: Keymap, hints: FirstHints) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = MemoryStore::new(folder.path());
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
        let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
        let commands = [Command::Reconcile(Box::new(plan("1", queues))), join];
        let answers = store.execute(&commands, now).unwrap();
        let worker = answers[1].as_ref().unwrap().iter().find_map(|event| match event {
            Event::WorkerJoined { worker } => Some(worker.id),
            _ => None,
        });
        let state = store.load().unwrap();
        let (sender, messages) = channel();
        let worker_spawns = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&worker_spawns);
        let spawn_worker = Box::new(move |_: &mut dyn Store| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let store_thread = StoreThread::new(Box::new(store.clone()), state.seq(), spawn_worker, sender);
        let settings = settings(appearance, keymap, hints);
        let screen = Screen::new(settings, Site::with_state(state, "/app/jobs.yaml"), None, size);
        let mut harness = Self {
            store,
            screen,
            now,
            exit_reason: None,
            editor_positions: Vec::new(),
            copied: Vec::new(),
            notified: Vec::new(),
            compared: None,
            pager_opens: 0,
            artifacts_opened: Vec::new(),
            file_reloads: 0,
            submissions: Vec::new(),
            store_thread,
            messages,
            worker: worker.unwrap(),
            worker_spawns,
            subscribed_runs: Vec::new(),
            logs: HashMap::new(),
            size,
            folder,
        };
        harness.send(Message::Tick);
        harness
    }

    /// Presses keys; special keys are written by name, such as `<Enter>`.
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        for key in KeyPress::parse_sequence(keys).unwrap() {
            self.send(Message::Key(key));
        }
        self
    }

    /// Handles a message, its effects, and the messages that follow from them.
    pub(crate) fn send(&mut self, message: Message) {
        let mut next = Some(message);
        while let Some(message) = next {
            for effect in self.screen.handle(message, self.now) {
                match effect {
                    Effect::Store(StoreRequest::SaveJob { job, queue, definition, .. }) => {
                        let file = self.folder.path().join("jobs.yaml");
                        self.store_thread.execute(StoreRequest::SaveJob { file, job, queue, definition }, self.now);
                    }
                    Effect::Store(request) => {
                        match &request {
                            StoreRequest::Subscribe(runs) => self.subscribed_runs.clone_from(runs),
                            StoreRequest::Submit(submission) => self.submissions.push(submission.clone()),
                            _ => {}
                        }
                        self.store_thread.execute(request, self.now);
                    }
                    Effect::ReloadFile => self.file_reloads += 1,
                    Effect::OpenEditor(spot) => self.editor_positions.push(spot),
                    Effect::CopyToClipboard(text) => self.copied.push(text),
                    Effect::Notify(text) => self.notified.push(text),
                    Effect::OpenPager(_) => self.pager_opens += 1,
                    Effect::OpenDiff(readers) => self.compared = Some(*readers),
                    Effect::OpenArtifacts(run) => self.artifacts_opened.push(run),
                    Effect::Exit(why) => self.exit_reason = Some(why),
                    Effect::RememberHint(hint) => hint.remember().unwrap(),
                    Effect::RequestSuspend | Effect::Suspend | Effect::Repaint | Effect::CaptureMouse(_) => {}
                }
            }
            next = self.messages.try_recv().ok().or_else(|| self.screen.is_busy().then_some(Message::Tick));
        }
    }

    /// Another process executes commands, and the screen reads the changes.
    pub(crate) fn execute_elsewhere(&mut self, commands: &[Command]) -> Vec<Event> {
        let answers = self.store.execute(commands, self.now).unwrap();
        self.store_thread.execute(StoreRequest::ReadChanges, self.now);
        self.send(Message::Tick);
        answers.into_iter().flatten().flatten().collect()
    }

    /// The `on_finish` hook of a run ends, and the screen reads the change.
    pub(crate) fn finish_hook(&mut self, run: RunId, outcome: Outcome, last_line: &str) {
        self.store
            .save_hook_result(run, &HookResult { at: self.now, outcome, last_line: last_line.to_owned() })
            .unwrap();
        self.store_thread.execute(StoreRequest::ReadChanges, self.now);
        self.send(Message::Tick);
    }

    /// The worker starts the next job of a queue.
    pub(crate) fn start(&mut self, queue: &str) -> (JobId, RunId) {
        self.try_start(queue).expect("a job is ready")
    }

    /// Same, if a job is ready.
    pub(crate) fn try_start(&mut self, queue: &str) -> Option<(JobId, RunId)> {
        let events =
            self.execute_elsewhere(&[Command::Claim { worker: self.worker, queues: Some(vec![queue.into()]) }]);
        events.iter().find_map(|event| match event {
            Event::Started { job, run } => Some((*job, run.id)),
            _ => None,
        })
    }

    /// The run prints something, and its log is complete.
    pub(crate) fn print(&mut self, run: RunId, text: &str) {
        self.print_both(run, text, "");
    }

    /// Same on standard output, and a second later on standard error.
    pub(crate) fn print_both(&mut self, run: RunId, text: &str, error: &str) {
        let mut log = self.store.log_writer(run, 1 << 20);
        log.write(Stream::Out, text.as_bytes(), self.now).unwrap();
        log.write(Stream::Err, error.as_bytes(), self.now + TimeDelta::seconds(1)).unwrap();
        log.finish().unwrap();
        self.send(Message::OutputGrown);
    }

    /// The run prints something and keeps running.
    pub(crate) fn append_output(&mut self, run: RunId, text: &str) {
        let log = self.logs.entry(run).or_insert_with(|| self.store.log_writer(run, 1 << 20));
        log.write(Stream::Out, text.as_bytes(), self.now).unwrap();
        self.send(Message::OutputGrown);
    }

    /// The terminal of a run gets this size.
    pub(crate) fn set_pty_size(&mut self, run: RunId, columns: u16, rows: u16) {
        let log = self.logs.entry(run).or_insert_with(|| self.store.log_writer(run, 1 << 20));
        log.resize(WindowSize { columns, rows });
    }

    /// Removes the times from the log of a run, as if an older version had written it.
    pub(crate) fn remove_times(&mut self, run: RunId) {
        std::fs::remove_file(self.folder.path().join(format!("{run}.marks"))).unwrap();
    }

    /// The run ends.
    pub(crate) fn end(&mut self, started: (JobId, RunId), outcome: Outcome) {
        self.end_with(started, outcome, None);
    }

    /// The run ends with a value.
    pub(crate) fn end_with(&mut self, started: (JobId, RunId), outcome: Outcome, value: Option<Value>) {
        self.end_report(started, RunReport { value, ..RunReport::new(outcome) });
    }

    /// The run ends with this report.
    pub(crate) fn end_report(&mut self, (job, run): (JobId, RunId), report: RunReport) {
        if let Some(log) = self.logs.remove(&run) {
            log.finish().unwrap();
        }
        self.execute_elsewhere(&[Command::EndRun { job, run, report, on_failure: None }]);
    }

    /// The next job of a queue starts and ends some seconds later.
    pub(crate) fn run(&mut self, queue: &str, seconds: i64, outcome: Outcome) -> JobId {
        let started = self.start(queue);
        self.advance_seconds(seconds);
        self.end(started, outcome);
        started.0
    }

    /// The worker dies and is reaped.
    pub(crate) fn reap_worker(&mut self) {
        self.execute_elsewhere(&[Command::ReapWorker {
            worker: self.worker,
            started_runs: Vec::new(),
            unreachable_host: None,
        }]);
    }

    pub(crate) fn advance_seconds(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.size = Size { width, height };
        self.send(Message::Resize { width, height });
    }

    /// The drawn cells, with their styles.
    pub(crate) fn buffer(&mut self) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(self.size.width, self.size.height)).unwrap();
        let draw = |frame: &mut Frame<'_>| {
            let _cursor = self.screen.draw(frame, self.now);
        };
        terminal.draw(draw).unwrap();
        terminal.backend().buffer().clone()
    }

    /// The drawn cells as text.
    pub(crate) fn text(&mut self) -> String {
        let buffer = self.buffer();
        let rows = buffer.content.chunks(usize::from(buffer.area.width.max(1)));
        let line = |keys: &[ratatui::buffer::Cell]| {
            let mut line = String::new();
            let mut hidden = 0;
            for cell in keys {
                if hidden == 0 {
                    line.push_str(cell.symbol());
                    hidden = setlist::text::width(cell.symbol()).max(1);
                }
                hidden -= 1;
            }
            line.trim_end().to_owned()
        };
        rows.map(line).collect::<Vec<_>>().join("\n")
    }

    /// Handles messages of other threads until the screen shows a text; returns all that it shows.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, wanted: &str) -> String {
        loop {
            let text = self.text();
            if text.contains(wanted) && !self.screen.is_busy() {
                return text;
            }
            let next =
                if self.screen.is_busy() { Some(Message::Tick) } else { self.messages.recv_timeout(WAIT_TIMEOUT).ok() };
            let Some(message) = next else { panic!("timed out waiting for {wanted:?}: {text}") };
            self.send(message);
        }
    }

    /// The status line.
    pub(crate) fn message(&mut self) -> String {
        let text = self.text();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.pop();
        lines.pop().unwrap_or_default().trim().to_owned()
    }

    /// The question in the box in the middle, with its answers; empty without one.
    pub(crate) fn question(&mut self) -> String {
        let text = self.text();
        let mut lines =
            text.lines().map(|line| line.chars().collect::<Vec<_>>()).skip_while(|line| !line.contains(&'┌'));
        let Some(top) = lines.next() else { return String::new() };
        let column = |corner| top.iter().position(|sign| *sign == corner).unwrap();
        let inside = column('┌') + 1..column('┐');
        let lines = lines.take_while(|line| line[inside.start - 1] == '│');
        let words = lines.flat_map(|line| {
            line[inside.clone()].iter().collect::<String>().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The name of the selected job.
    pub(crate) fn selected_job_name(&self) -> Option<String> {
        self.screen.selected_job().map(|job| job.name().map_or_else(|| job.display_title(), str::to_owned))
    }

    /// The list that has the focus.
    pub(crate) fn focused_list(&self) -> Phase {
        self.screen.lists().focus().list
    }

    /// The names of the jobs in a list, from top to bottom.
    pub(crate) fn listed_jobs(&self, phase: Phase) -> Vec<String> {
        self.screen.queue().read(|record, state| {
            let rows = self.screen.lists().rows(record, phase);
            rows.iter().filter_map(|id| state.job(id)).map(|job| job.name().unwrap_or("-").to_owned()).collect()
        })
    }

    pub(crate) fn worker_spawns(&self) -> usize {
        self.worker_spawns.load(Ordering::Relaxed)
    }

    pub(crate) fn process(&mut self, queue: &str) {
        self.execute_elsewhere(&[Command::Process { queue: QueueId::from(queue) }]);
    }
}
