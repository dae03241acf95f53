//! The screen in a terminal: the event loop that receives messages, carries out effects and draws frames.

use std::fmt;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::clock;
use crate::crash;
use crate::definition;
use crate::model::{Command, DesiredState, EventRecord, QueueId, RunId, Site};
use crate::site::{self, Coalescer, FileWatch, SitePaths};
use crate::store::job_folders::list_artifacts;
use crate::store::{StateDir, Store, StoreError};
use crate::text;

use super::effect::{Effect, ExitReason, Intent, StoreRequest, Submission};
use super::host_terminal::{HostTerminal, PanicGuard};
use super::linear::LinearView;
use super::message::{JobsFileError, Message};
use super::state::{Screen, ScreenSettings};
use super::store_thread::StoreThread;
use super::{editor, input_thread, pager, signals};

/// What the screen needs to run.
pub struct ScreenParams {
    /// The site's store, opened for the screen.
    pub store: Box<dyn Store>,
    /// The site's paths.
    pub paths: SitePaths,
    /// The queue to show first, created if it doesn't exist; by default the first one.
    pub queue: Option<QueueId>,
    /// The errors of `jobs.yaml`, shown when the screen opens.
    pub file_error: Option<JobsFileError>,
    /// How it looks and responds.
    pub settings: ScreenSettings,
    /// Whether to print a line for each change instead of drawing.
    pub is_linear: bool,
}

/// How the screen closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitSummary {
    /// Why it closed.
    pub reason: ExitReason,
    /// How many jobs were still running.
    pub running_jobs: usize,
}

/// Why the screen can't run.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The terminal failed.
    #[error("can't use the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// The shortest time between two frames without user input.
const MIN_FRAME_INTERVAL: Duration = Duration::from_millis(12);

/// The time between two frames is at least this many times what a frame costs.
const FRAME_COST_FACTOR: u32 = 6;

/// The longest time between two frames.
const MAX_FRAME_INTERVAL: Duration = Duration::from_millis(60);

/// How long output is read before a frame is drawn.
const READ_BUDGET: Duration = Duration::from_millis(4);

/// Keys that arrive within this time share a frame.
const KEY_BURST: Duration = Duration::from_millis(2);

/// How many messages are handled at most before the next frame.
const MAX_MESSAGES_PER_FRAME: usize = 2_048;

/// A site with at least so many jobs takes longer to load than a key may take.
const LONG_SITE: usize = 20_000;

/// Runs the screen until it closes. The terminal is restored on every way out.
pub fn run(params: ScreenParams) -> Result<ExitSummary, TuiError> {
    let ScreenParams { mut store, paths, queue, file_error, settings, is_linear } = params;
    let file = paths.file.clone();
    // A long site is drawn before all of it is loaded.
    let first_rows = store.load_first_rows(queue.as_ref(), LONG_SITE)?;
    let is_long = first_rows.is_some();
    let site_state = first_rows.map_or_else(|| store.load(), Ok)?;
    let seq = site_state.seq();
    let missing_queue = queue.as_ref().filter(|queue| site_state.queue(queue).is_none()).cloned();
    let file_version = site_state.file_version().map(str::to_owned);
    let copy = Site::with_state(site_state, file.display().to_string());
    let (sender, messages) = channel();
    let _panic_guard = PanicGuard::new(sender.clone());
    // Before the terminal is entered, so that every signal finds a handler that restores it.
    let signals = signals::SignalWatch::start(sender.clone())?;
    let mut terminal =
        if is_linear { HostTerminal::enter_linear()? } else { HostTerminal::enter(settings.captures_mouse)? };
    let mut screen = Screen::new(settings, copy, queue.as_ref(), terminal.size()?);
    if let Some(error) = file_error {
        screen = screen.with_file_error(error);
    }
    // The first frame doesn't wait for anything else.
    terminal.draw(|frame| screen.draw(frame, clock::now()))?;
    let output_grown = Coalescer::default();
    let worker_paths = paths.clone();
    let ensure_worker = Box::new(move |store: &mut dyn Store| site::ensure_worker(store, &worker_paths));
    let mut store_thread = StoreThread::new(store, seq, ensure_worker, sender.clone())
        .with_worker_checks(paths.clone())
        .with_output_reports(output_grown.clone());
    if is_long {
        screen = screen.while_loading();
        store_thread = store_thread.loading_site();
    }
    let store_requests = store_thread.spawn(&paths.state)?;
    let state = paths.state.clone();
    if let Some(queue) = missing_queue {
        let submission = Submission::new(vec![Command::EnsureQueue { queue }], Intent::Open, false);
        let _ = store_requests.send(StoreRequest::Submit(submission));
    }
    // Of a site on a server, the file is published when it is opened.
    let file_watch =
        if state.is_on_server() { None } else { watch_file(file.clone(), file_version.as_deref(), &sender) };
    let input = input_thread::InputThread::start(sender.clone())?;
    // Opens the output of the selected job.
    let _ = sender.send(Message::Tick);
    let mut session = Session {
        screen,
        terminal,
        input,
        signals,
        store_requests,
        file_watch,
        messages,
        sender,
        output_grown,
        file,
        state,
        linear: is_linear.then(LinearView::default),
        events: Vec::new(),
    };
    session.print_changes()?;
    session.serve()
}

/// Watches `jobs.yaml`. If that fails, the screen runs without reloading it.
fn watch_file(file: PathBuf, last_version: Option<&str>, sender: &Sender<Message>) -> Option<FileWatch> {
    let messages = sender.clone();
    let on_read = move |read: Result<DesiredState, definition::Error>| {
        // The receiver is gone while the screen closes.
        let _ = messages.send(Message::FileRead(read.map(Box::new).map_err(JobsFileError::from)));
    };
    match FileWatch::start(file, last_version, on_read) {
        Ok(watch) => Some(watch),
        Err(error) => {
            let _ = sender.send(Message::Error(error.to_string()));
            None
        }
    }
}

/// An open screen with its threads and its terminal.
struct Session {
    screen: Screen,
    terminal: HostTerminal,
    input: input_thread::InputThread,
    signals: signals::SignalWatch,
    store_requests: Sender<StoreRequest>,
    file_watch: Option<FileWatch>,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    output_grown: Coalescer,
    file: PathBuf,
    state: StateDir,
    /// What was printed, if lines are printed instead of frames.
    linear: Option<LinearView>,
    /// The events that are not printed yet.
    events: Vec<EventRecord>,
}

impl Session {
    fn serve(&mut self) -> Result<ExitSummary, TuiError> {
        let (mut drawn, mut interval) = (Instant::now(), MIN_FRAME_INTERVAL);
        let mut deferred = None;
        loop {
            let Some(first) = deferred.take().or_else(|| self.wait()) else {
                return Ok(self.exit_summary(ExitReason::ThreadPanicked));
            };
            let (mut typed, begun) = (None, Instant::now());
            let (mut next, mut handled, mut spent) = (Some(first), 0, Duration::ZERO);
            let (mut read_output, mut needs_frame) = (false, false);
            while let Some(message) = next {
                crash::point("woken");
                let handling = Instant::now();
                if message.is_user_input() {
                    typed.get_or_insert(handling);
                }
                needs_frame |= !message.waits_for_frame();
                // Growing output is read once a frame.
                if matches!(message, Message::OutputGrown) && mem::replace(&mut read_output, true) {
                    deferred = Some(message);
                } else if let Some(reason) = self.handle(message)? {
                    return Ok(self.exit_summary(reason));
                }
                spent += handling.elapsed();
                handled += 1;
                // A key press is drawn at once; everything else waits until the next frame is due.
                let pause = interval.saturating_sub(drawn.elapsed());
                next = match () {
                    () if handled >= MAX_MESSAGES_PER_FRAME || begun.elapsed() >= interval => None,
                    () if typed.is_some_and(|typed| typed.elapsed() >= KEY_BURST) => None,
                    () if typed.is_some() || pause.is_zero() => self.messages.try_recv().ok(),
                    () if self.screen.is_busy() && (spent < READ_BUDGET || self.screen.is_scanning()) => {
                        Some(self.messages.try_recv().unwrap_or(Message::Tick))
                    }
                    () => self.messages.recv_timeout(pause).ok(),
                };
            }
            if !needs_frame {
                continue;
            }
            let (screen, drawing) = (&mut self.screen, Instant::now());
            if self.terminal.draw(|frame| screen.draw(frame, clock::now())).is_err() {
                // The terminal is gone.
                return Ok(self.exit_summary(ExitReason::TerminalLost));
            }
            self.print_changes()?;
            drawn = Instant::now();
            // A process that is always busy gets the processor last, and the next key press would wait for it.
            let cost = spent + (drawn - drawing);
            interval = (cost * FRAME_COST_FACTOR).clamp(MIN_FRAME_INTERVAL, MAX_FRAME_INTERVAL);
        }
    }

    /// Prints what has changed, if lines are printed instead of frames.
    fn print_changes(&mut self) -> Result<(), TuiError> {
        if let (Some(linear), Some(drawn)) = (&mut self.linear, self.terminal.drawn()) {
            let lines = linear.changes(&mut self.screen, drawn, &mem::take(&mut self.events), clock::now());
            HostTerminal::print(&lines)?;
        }
        Ok(())
    }

    /// Waits for the next message; none when every sender is gone.
    fn wait(&mut self) -> Option<Message> {
        if self.screen.is_busy() {
            return Some(self.messages.try_recv().unwrap_or(Message::Tick));
        }
        let now = clock::now();
        let Some(tick) = self.screen.next_tick(now) else { return self.messages.recv().ok() };
        match self.messages.recv_timeout((tick - now).to_std().unwrap_or_default()) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => Some(Message::Tick),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Handles a message and carries out its effects; returns why the screen closes, if it does.
    fn handle(&mut self, message: Message) -> Result<Option<ExitReason>, TuiError> {
        if matches!(message, Message::OutputGrown) {
            self.output_grown.reset();
        }
        let message = match message {
            Message::LoadFailed(error) => return Err((*error).into()),
            message => message,
        };
        match &message {
            Message::Events(events) if self.linear.is_some() => self.events.extend_from_slice(events),
            // The frame that is not shown keeps its size.
            Message::Resize { .. } if self.linear.is_some() => return Ok(None),
            _ => {}
        }
        for effect in self.screen.handle(message, clock::now()) {
            match effect {
                Effect::Store(request) => {
                    if matches!(request, StoreRequest::Subscribe(_)) {
                        self.output_grown.reset();
                    }
                    // If the store thread has panicked, the panic guard closes the screen.
                    let _ = self.store_requests.send(request);
                }
                Effect::ReloadFile => {
                    if let Some(watch) = &self.file_watch {
                        watch.reload();
                    }
                }
                Effect::OpenEditor(position) => {
                    let file = self.file.clone();
                    self.suspend_while(|| editor::edit(&file, &position))?;
                }
                Effect::OpenPager(reader) => self.suspend_while(|| pager::page(*reader))?,
                Effect::OpenDiff(readers) => self.suspend_while(|| pager::page_diff(*readers))?,
                Effect::OpenArtifacts(run) => self.open_artifacts(run)?,
                Effect::CopyToClipboard(text) => {
                    if let Err(error) = self.terminal.copy(&text) {
                        self.send(Message::Error(format!("Copying failed: {error}")));
                    }
                }
                // If it can't be remembered, it is shown again.
                Effect::RememberHint(hint) => drop(hint.remember()),
                // The next frame finds out if the terminal can't be written.
                Effect::Notify(text) => drop(self.terminal.notify(&text)),
                Effect::RequestSuspend => {
                    if !signals::request_suspend() {
                        let why = "Can't suspend: there is no shell to return to.";
                        self.send(Message::Error(why.to_owned()));
                    }
                }
                Effect::Suspend => self.terminal.release_while(signals::stop)??,
                Effect::CaptureMouse(captures) => self.terminal.capture_mouse(captures)?,
                Effect::Repaint => self.terminal.reenter()?,
                Effect::Exit(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }

    fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Leaves the terminal and the keyboard to another program while `meanwhile` runs.
    fn suspend_while(&mut self, meanwhile: impl FnOnce() -> Result<(), String>) -> Result<(), TuiError> {
        let Self { terminal, input, signals, .. } = self;
        let result = input.pause_while(|| signals.ignore_while(|| terminal.release_while(meanwhile)))??;
        if let Err(why) = result {
            self.send(Message::Error(why));
        }
        let size = self.terminal.size()?;
        self.send(Message::Resize { width: size.width, height: size.height });
        Ok(())
    }

    /// Shows the artifacts of a run in the pager, if it has left some on this machine.
    fn open_artifacts(&mut self, run: RunId) -> Result<(), TuiError> {
        let folder = self.state.artifacts_of(run);
        let list = list_artifacts(&folder);
        if list.count == 0 {
            let _ = self.store_requests.send(StoreRequest::FindArtifacts(run));
            return Ok(());
        }
        self.suspend_while(|| pager::page_artifacts(&folder, &list))
    }

    fn exit_summary(&self, reason: ExitReason) -> ExitSummary {
        ExitSummary { reason, running_jobs: self.screen.count_running() }
    }
}

impl ExitSummary {
    /// The message about jobs that are still running, if any.
    pub fn running_jobs_message(&self) -> Option<String> {
        match self.running_jobs {
            0 => None,
            1 => Some("1 job is still running; open setlist again to see it".to_owned()),
            count => {
                Some(format!("{} are still running; open setlist again to see them", text::count_noun(count, "job")))
            }
        }
    }
}

impl fmt::Debug for ScreenParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScreenParams")
            .field("file", &self.paths.file)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
