//! The screen on a stage: real keys in, the drawn buffer out, over a store in memory. A clock that stands still until
//! it is told to move, and a worker that does what the test says.

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
    Command, Definition, Event, Failure, FailureKind, HookEnd, JobId, Outcome, Phase, Plan, QueueId, QueuePlan, Report,
    RunId, Script, Settings, Setup as JobSetup, Site, Stream, WindowSize, WorkerId,
};
use setlist::store::log::LogWriter;
use setlist::store::{Memory, Store};
use setlist::tui::keymap::Keymap;
use setlist::tui::keys::Key;
use setlist::tui::link::{Link, Request};
use setlist::tui::notify::Notify;
use setlist::tui::theme::{Look, Palette};
use setlist::tui::wake::{Bell, Effect, Spot, Wake, Why};
use setlist::tui::{Screen, Setup};
use tempfile::TempDir;

pub(crate) struct Stage {
    pub(crate) store: Memory,
    pub(crate) screen: Screen,
    pub(crate) now: DateTime<Utc>,
    /// Why the screen was left, once it was.
    pub(crate) left: Option<Why>,
    /// Where the editor was opened.
    pub(crate) edits: Vec<Spot>,
    /// What was put into the clipboard.
    pub(crate) copied: Vec<String>,
    /// What the terminal was to tell.
    pub(crate) notified: Vec<String>,
    /// How often the pager was opened.
    pub(crate) pages: usize,
    /// How often the file was to be read again.
    pub(crate) rereads: usize,
    link: Link,
    wakes: Receiver<Wake>,
    worker: WorkerId,
    hired: Arc<AtomicUsize>,
    /// The runs whose output wakes the screen.
    pub(crate) attended: Vec<RunId>,
    /// The logs of runs that go on.
    logs: HashMap<RunId, LogWriter>,
    size: Size,
    folder: TempDir,
}

/// A queue as a file would have it: name, room, jobs as `(name, title)`.
pub(crate) fn queue(id: &str, parallel: u32, order: u32, jobs: &[(&str, &str)]) -> QueuePlan {
    let settings = Settings { parallel, order, declared: true, ..Settings::default() };
    let jobs = jobs.iter().map(|(name, title)| {
        let mut definition = Definition::new(Script::shell(format!("./{name}.sh")));
        definition.name = Some(Arc::from(*name));
        definition.title = (*title).to_owned();
        definition.digest = Some(1);
        Arc::new(definition)
    });
    QueuePlan { id: id.into(), settings, jobs: jobs.collect() }
}

/// The same queue with jobs that run in pseudo-terminals.
pub(crate) fn with_pty(mut queue: QueuePlan) -> QueuePlan {
    for (job, n) in queue.jobs.iter_mut().zip(0..) {
        let mut definition =
            Definition::new(Script::shell(format!("./{n}.sh")).with(JobSetup { pty: true, ..JobSetup::default() }));
        definition.name.clone_from(&job.name);
        definition.title.clone_from(&job.title);
        definition.digest = Some(1);
        *job = Arc::new(definition);
    }
    queue
}

pub(crate) fn plan(stamp: &str, queues: Vec<QueuePlan>) -> Plan {
    Plan { stamp: stamp.to_owned(), queues }
}

pub(crate) fn failed(message: &str) -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Exit, message: message.to_owned() })
}

impl Stage {
    /// A screen on these queues, `width` x `height` cells.
    pub(crate) fn new(queues: Vec<QueuePlan>, width: u16, height: u16) -> Self {
        Self::with_look(queues, width, height, Look::new(Palette::Dark, false))
    }

    /// The same in another look.
    pub(crate) fn with_look(queues: Vec<QueuePlan>, width: u16, height: u16, look: Look) -> Self {
        Self::with(queues, Size { width, height }, look, Keymap::default())
    }

    /// A screen of the usual size with other keys.
    pub(crate) fn with_keys(queues: Vec<QueuePlan>, keymap: Keymap) -> Self {
        Self::with(queues, Size { width: 80, height: 24 }, Look::new(Palette::Dark, false), keymap)
    }

    fn with(queues: Vec<QueuePlan>, size: Size, look: Look, keymap: Keymap) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Memory::new(folder.path());
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
        let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None };
        let commands = [Command::Reconcile(Box::new(plan("1", queues))), join];
        let answers = store.execute(&commands, now).unwrap();
        let worker = answers[1].as_ref().unwrap().iter().find_map(|event| match event {
            Event::WorkerJoined { worker } => Some(worker.id),
            _ => None,
        });
        let ledger = store.load().unwrap();
        let (sender, wakes) = channel();
        let hired = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&hired);
        let hire = Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let link = Link::new(Box::new(store.clone()), ledger.seq(), hire, sender, Bell::default());
        let setup = Setup {
            look,
            site_name: "~/app".to_owned(),
            file: "/app/jobs.yaml".into(),
            keymap,
            notify: Notify { failed: true, drained: true },
            mouse: true,
            local: |at| at.naive_utc(),
        };
        let screen = Screen::new(setup, Site::holding(ledger, "/app/jobs.yaml"), None, size);
        let mut stage = Self {
            store,
            screen,
            now,
            left: None,
            edits: Vec::new(),
            copied: Vec::new(),
            notified: Vec::new(),
            pages: 0,
            rereads: 0,
            link,
            wakes,
            worker: worker.unwrap(),
            hired,
            attended: Vec::new(),
            logs: HashMap::new(),
            size,
            folder,
        };
        stage.wake(Wake::Tick);
        stage
    }

    /// Types keys, `<Enter>` and the like by name.
    pub(crate) fn keys(&mut self, row: &str) -> &mut Self {
        for key in Key::row(row).unwrap() {
            self.wake(Wake::Key(key));
        }
        self
    }

    /// Something happens, and all that follows from it.
    pub(crate) fn wake(&mut self, wake: Wake) {
        let mut next = Some(wake);
        while let Some(wake) = next {
            for effect in self.screen.handle(wake, self.now) {
                match effect {
                    Effect::Submit(order) => self.link.obey(Request::Submit(order), self.now),
                    Effect::OpenLog(run) => self.link.obey(Request::OpenLog(run), self.now),
                    // Nobody rings while a test runs: it says itself when there is something to read.
                    Effect::Attend(runs) => {
                        self.attended.clone_from(&runs);
                        self.link.obey(Request::Attend { runs, grow: false }, self.now);
                    }
                    Effect::Turn { job, from, way } => self.link.obey(Request::Turn { job, from, way }, self.now),
                    Effect::Runs { job } => self.link.obey(Request::Runs { job }, self.now),
                    Effect::Window(size) => self.link.obey(Request::Window(size), self.now),
                    Effect::Reread => self.rereads += 1,
                    Effect::Edit(spot) => self.edits.push(spot),
                    Effect::Copy(text) => self.copied.push(text),
                    Effect::Save { job, queue, definition } => {
                        let file = self.folder.path().join("jobs.yaml");
                        self.link.obey(Request::Save { file, job, queue, definition }, self.now);
                    }
                    Effect::Notify(text) => self.notified.push(text),
                    Effect::Page(_) => self.pages += 1,
                    Effect::Leave(why) => self.left = Some(why),
                    Effect::AskToSuspend | Effect::Suspend | Effect::Repaint | Effect::Mouse(_) => {}
                }
            }
            next = self.wakes.try_recv().ok().or_else(|| self.screen.is_busy().then_some(Wake::Tick));
        }
    }

    /// Somebody else asks something of the store, and the screen hears of it.
    pub(crate) fn elsewhere(&mut self, commands: &[Command]) -> Vec<Event> {
        let answers = self.store.execute(commands, self.now).unwrap();
        self.link.obey(Request::Look, self.now);
        self.wake(Wake::Tick);
        answers.into_iter().flatten().flatten().collect()
    }

    /// What was run after a run has ended, and the screen hears of it.
    pub(crate) fn hook_end(&mut self, run: RunId, outcome: Outcome, said: &str) {
        self.store.keep_hook_end(run, &HookEnd { at: self.now, outcome, said: said.to_owned() }).unwrap();
        self.link.obey(Request::Look, self.now);
        self.wake(Wake::Tick);
    }

    /// The worker starts the next job of a queue.
    pub(crate) fn start(&mut self, queue: &str) -> (JobId, RunId) {
        self.try_start(queue).expect("a job is ready")
    }

    /// The same, if a job is ready.
    pub(crate) fn try_start(&mut self, queue: &str) -> Option<(JobId, RunId)> {
        let events = self.elsewhere(&[Command::Claim { worker: self.worker, queues: Some(vec![queue.into()]) }]);
        events.iter().find_map(|event| match event {
            Event::Started { job, run } => Some((*job, run.id)),
            _ => None,
        })
    }

    /// The run prints something.
    pub(crate) fn print(&mut self, run: RunId, text: &str) {
        self.print_both(run, text, "");
    }

    /// The run prints something on standard output, and a second later something on standard error.
    pub(crate) fn print_both(&mut self, run: RunId, text: &str, error: &str) {
        let mut log = self.store.log_writer(run, 1 << 20);
        log.write(Stream::Out, text.as_bytes(), self.now).unwrap();
        log.write(Stream::Err, error.as_bytes(), self.now + TimeDelta::seconds(1)).unwrap();
        log.finish().unwrap();
        self.wake(Wake::Grown);
    }

    /// The run prints something, and goes on.
    pub(crate) fn says(&mut self, run: RunId, text: &str) {
        let log = self.logs.entry(run).or_insert_with(|| self.store.log_writer(run, 1 << 20));
        log.write(Stream::Out, text.as_bytes(), self.now).unwrap();
        self.wake(Wake::Grown);
    }

    /// The run goes on in a terminal of this size.
    pub(crate) fn in_terminal(&mut self, run: RunId, columns: u16, rows: u16) {
        let log = self.logs.entry(run).or_insert_with(|| self.store.log_writer(run, 1 << 20));
        log.resize(WindowSize { columns, rows });
    }

    /// Makes the log of a run one that an older version has written.
    pub(crate) fn forget_times(&mut self, run: RunId) {
        std::fs::remove_file(self.folder.path().join(format!("{run}.marks"))).unwrap();
    }

    /// The run ends.
    pub(crate) fn end(&mut self, (job, run): (JobId, RunId), outcome: Outcome) {
        if let Some(log) = self.logs.remove(&run) {
            log.finish().unwrap();
        }
        let report = Report { outcome, exit: None, value: None };
        self.elsewhere(&[Command::Report { job, run, report, on_failure: None }]);
    }

    /// The next job of a queue starts, and ends some seconds later.
    pub(crate) fn run(&mut self, queue: &str, seconds: i64, outcome: Outcome) -> JobId {
        let started = self.start(queue);
        self.later(seconds);
        self.end(started, outcome);
        started.0
    }

    /// The worker has died, and somebody has noticed.
    pub(crate) fn bury(&mut self) {
        self.elsewhere(&[Command::Bury { worker: self.worker, begun: Vec::new() }]);
    }

    pub(crate) fn later(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.size = Size { width, height };
        self.wake(Wake::Resize { width, height });
    }

    /// What is drawn, with its styles.
    pub(crate) fn buffer(&mut self) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(self.size.width, self.size.height)).unwrap();
        let draw = |frame: &mut Frame<'_>| {
            let _cursor = self.screen.draw(frame, self.now);
        };
        terminal.draw(draw).unwrap();
        terminal.backend().buffer().clone()
    }

    /// What is drawn, as text.
    pub(crate) fn text(&mut self) -> String {
        let buffer = self.buffer();
        let rows = buffer.content.chunks(usize::from(buffer.area.width.max(1)));
        let line = |row: &[ratatui::buffer::Cell]| {
            let mut line = String::new();
            let mut hidden = 0;
            for cell in row {
                if hidden == 0 {
                    line.push_str(cell.symbol());
                    hidden = setlist::tui::text::width(cell.symbol()).max(1);
                }
                hidden -= 1;
            }
            line.trim_end().to_owned()
        };
        rows.map(line).collect::<Vec<_>>().join("\n")
    }

    /// The line with the message.
    pub(crate) fn message(&mut self) -> String {
        let text = self.text();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.pop();
        lines.pop().unwrap_or_default().trim().to_owned()
    }

    /// The name of the job under the cursor.
    pub(crate) fn chosen(&self) -> Option<String> {
        self.screen.chosen().map(|job| job.name().map_or_else(|| job.label(), str::to_owned))
    }

    /// The list that the cursor is in.
    pub(crate) fn list(&self) -> Phase {
        self.screen.lists().focus().list
    }

    /// The names of the jobs that a list shows, from top to bottom.
    pub(crate) fn shown(&self, phase: Phase) -> Vec<String> {
        self.screen.queue().read(|record, ledger| {
            let rows = self.screen.lists().rows(record, phase);
            rows.iter().filter_map(|id| ledger.job(id)).map(|job| job.name().unwrap_or("-").to_owned()).collect()
        })
    }

    pub(crate) fn hired(&self) -> usize {
        self.hired.load(Ordering::Relaxed)
    }

    pub(crate) fn process(&mut self, queue: &str) {
        self.elsewhere(&[Command::Process { queue: QueueId::from(queue) }]);
    }
}
