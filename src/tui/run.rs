//! The screen in a real terminal: waits for what wakes it, takes all of it in, draws once.

use std::fmt;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, Utc};

use crate::crash;
use crate::model::{Command, QueueId, Site};
use crate::store::{Folder, Store, StoreError};

use super::keymap::Keymap;
use super::link::{Hire, Link, Request, Tend};
use super::notify::Notify;
use super::state::{Screen, Setup};
use super::terminal::{PanicGuard, Terminal};
use super::theme::Look;
use super::wake::{Asked, Bell, Broken, Effect, Order, Wake, Why};
use super::watch::Watch;
use super::{editor, input, pager, signals};

/// What the screen needs to know.
pub struct Options {
    /// A connection of its own to the site.
    pub store: Box<dyn Store>,
    /// The site's `jobs.yaml`.
    pub file: PathBuf,
    /// The folder of the site's state.
    pub state: Folder,
    /// What the site is called on the screen.
    pub site_name: String,
    /// The queue to show first; it is created if it isn't there. Without it, the first one.
    pub queue: Option<QueueId>,
    /// What is wrong with `jobs.yaml`: the screen opens on it.
    pub broken: Option<Broken>,
    /// Colours and signs.
    pub look: Look,
    /// Which key does what.
    pub keymap: Keymap,
    /// What the terminal is to tell a person who looks elsewhere.
    pub notify: Notify,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// Makes sure that a worker lives. Called, off the screen's own thread, after commands that ask for work.
    pub hire: Hire,
    /// Looks after the workers while the screen is open, off its own thread.
    pub tend: Tend,
}

/// How the screen was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Why.
    pub why: Why,
    /// How many jobs were running then. They go on.
    pub running: usize,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The site can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The terminal can't be used.
    #[error("the terminal can't be used: {0}")]
    Terminal(#[from] io::Error),
}

/// The shortest time between two frames when nobody is typing.
const FRAME: Duration = Duration::from_millis(12);

/// Between frames at least so many times as long goes by as a frame takes, with all that was read for it.
const SHARE: u32 = 6;

/// But no more than this.
const LONGEST_FRAME: Duration = Duration::from_millis(60);

/// So long is output read for a frame.
const TURN: Duration = Duration::from_millis(4);

/// Keys that come so soon after one another share a frame.
const BURST: Duration = Duration::from_millis(2);

/// How many wake-ups are taken in before the next frame, if it isn't due before; no flood keeps the screen still.
const BATCH: usize = 2_048;

/// Opens the screen, and returns when it is left. The terminal is given back on every way out.
pub fn run(options: Options) -> Result<Left, TuiError> {
    let Options { mut store, file, state, site_name, queue, broken, look, keymap, notify, mouse, hire, tend } = options;
    let ledger = store.load()?;
    let seq = ledger.seq();
    let opens = queue.as_ref().filter(|queue| ledger.queue(queue).is_none()).cloned();
    let stamp = ledger.stamp().map(str::to_owned);
    let site = Site::holding(ledger, file.display().to_string());
    let (sender, wakes) = channel();
    let _panics = PanicGuard::new(sender.clone());
    // Before the terminal is taken: no signal may find it taken and nobody to give it back.
    let signals = signals::SignalWatch::start(sender.clone())?;
    let mut terminal = Terminal::take(mouse)?;
    let local = |at: DateTime<Utc>| at.with_timezone(&Local).naive_local();
    let setup = Setup { look, site_name, file: file.clone(), keymap, notify, mouse, local };
    let mut screen = Screen::new(setup, site, queue.as_ref(), terminal.size()?);
    if let Some(broken) = broken {
        screen = screen.broken(broken);
    }
    // The first frame waits for nothing else.
    terminal.draw(|frame| screen.draw(frame, Utc::now()))?;
    let grown = Bell::default();
    let link = Link::new(store, seq, hire, sender.clone(), grown.clone()).tending(tend).spawn(&state)?;
    if let Some(queue) = opens {
        let order = Order { commands: vec![Command::Open { queue }], asked: Asked::Open, hire: false };
        let _ = link.send(Request::Submit(order));
    }
    let watch = watch(file.clone(), stamp.as_deref(), &sender);
    let input = input::Input::start(sender.clone())?;
    // Opens the output of the job that is chosen at first.
    let _ = sender.send(Wake::Tick);
    let mut session = Session { screen, terminal, input, signals, link, watch, wakes, sender, grown, file };
    session.serve()
}

/// A watch that can't be set up costs the reload, not the screen.
fn watch(file: PathBuf, stamp: Option<&str>, sender: &Sender<Wake>) -> Option<Watch> {
    match Watch::new(file, stamp, sender.clone()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            let _ = sender.send(Wake::Trouble(error.to_string()));
            None
        }
    }
}

/// An open screen with all that serves it.
struct Session {
    screen: Screen,
    terminal: Terminal,
    input: input::Input,
    signals: signals::SignalWatch,
    link: Sender<Request>,
    watch: Option<Watch>,
    wakes: Receiver<Wake>,
    sender: Sender<Wake>,
    grown: Bell,
    file: PathBuf,
}

impl Session {
    fn serve(&mut self) -> Result<Left, TuiError> {
        let (mut drawn, mut frame) = (Instant::now(), FRAME);
        let mut held = None;
        loop {
            let Some(first) = held.take().or_else(|| self.wait()) else { return Ok(self.left(Why::Broken)) };
            let (mut typed, begun) = (None, Instant::now());
            let (mut next, mut taken, mut spent) = (Some(first), 0, Duration::ZERO);
            let mut grown = false;
            while let Some(wake) = next {
                crash::point("woken");
                let taking = Instant::now();
                if wake.is_of_a_person() {
                    typed.get_or_insert(taking);
                }
                // Whoever floods a log would have us read it all the time: once a frame is enough.
                if matches!(wake, Wake::Grown) && mem::replace(&mut grown, true) {
                    held = Some(wake);
                } else if let Some(why) = self.take_in(wake)? {
                    return Ok(self.left(why));
                }
                spent += taking.elapsed();
                taken += 1;
                // A key is answered at once; everything else may gather until the next frame is due.
                let pause = frame.saturating_sub(drawn.elapsed());
                next = match () {
                    () if taken >= BATCH || begun.elapsed() >= frame => None,
                    () if typed.is_some_and(|typed| typed.elapsed() >= BURST) => None,
                    () if typed.is_some() || pause.is_zero() => self.wakes.try_recv().ok(),
                    () if self.screen.is_busy() && (spent < TURN || self.screen.is_scanning()) => {
                        Some(self.wakes.try_recv().unwrap_or(Wake::Tick))
                    }
                    () => self.wakes.recv_timeout(pause).ok(),
                };
            }
            let (screen, drawing) = (&mut self.screen, Instant::now());
            if self.terminal.draw(|frame| screen.draw(frame, Utc::now())).is_err() {
                // There is nothing left to draw on, nor anybody to tell.
                return Ok(self.left(Why::Vanished));
            }
            drawn = Instant::now();
            // Whoever always asks for a processor is the last to get one, and a key would wait with us.
            frame = ((spent + (drawn - drawing)) * SHARE).clamp(FRAME, LONGEST_FRAME);
        }
    }

    /// Waits for something to happen; none when nothing ever will.
    fn wait(&mut self) -> Option<Wake> {
        if self.screen.is_busy() {
            return Some(self.wakes.try_recv().unwrap_or(Wake::Tick));
        }
        let now = Utc::now();
        let Some(tick) = self.screen.next_tick(now) else { return self.wakes.recv().ok() };
        match self.wakes.recv_timeout((tick - now).to_std().unwrap_or_default()) {
            Ok(wake) => Some(wake),
            Err(RecvTimeoutError::Timeout) => Some(Wake::Tick),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Lets the screen take something in, and does what it wants done; tells if that is to leave.
    fn take_in(&mut self, wake: Wake) -> Result<Option<Why>, TuiError> {
        if matches!(wake, Wake::Grown) {
            self.grown.heard();
        }
        for effect in self.screen.handle(wake, Utc::now()) {
            match effect {
                Effect::Submit(order) => self.ask(Request::Submit(order)),
                Effect::OpenLog(run) => self.ask(Request::OpenLog(run)),
                Effect::Attend(runs) => {
                    self.grown.heard();
                    self.ask(Request::Attend { runs, grow: true });
                }
                Effect::Turn { job, from, way } => self.ask(Request::Turn { job, from, way }),
                Effect::Runs { job } => self.ask(Request::Runs { job }),
                Effect::Window(size) => self.ask(Request::Window(size)),
                Effect::Reread => {
                    if let Some(watch) = &self.watch {
                        watch.reread();
                    }
                }
                Effect::Edit(spot) => {
                    let file = self.file.clone();
                    self.lend(|| editor::edit(&file, &spot))?;
                }
                Effect::Page(reader) => self.lend(|| pager::page(*reader))?,
                Effect::Copy(text) => {
                    if let Err(error) = self.terminal.copy(&text) {
                        self.tell(Wake::Trouble(format!("it could not be copied: {error}")));
                    }
                }
                Effect::Save { job, queue, definition } => {
                    self.ask(Request::Save { file: self.file.clone(), job, queue, definition });
                }
                // A terminal that can't be written is found out with the next frame.
                Effect::Notify(text) => drop(self.terminal.notify(&text)),
                Effect::AskToSuspend => {
                    if !signals::ask_to_suspend() {
                        let why = "there is no shell to come back from; q quits, and jobs go on";
                        self.tell(Wake::Trouble(why.to_owned()));
                    }
                }
                Effect::Suspend => self.terminal.lend(signals::stop)??,
                Effect::Mouse(ours) => self.terminal.capture(ours)?,
                Effect::Repaint => self.terminal.retake()?,
                Effect::Leave(why) => return Ok(Some(why)),
            }
        }
        Ok(None)
    }

    fn ask(&self, request: Request) {
        // A link that has died has taken the screen with it: the panic is a wake-up of its own.
        let _ = self.link.send(request);
    }

    fn tell(&self, wake: Wake) {
        let _ = self.sender.send(wake);
    }

    /// Leaves the terminal and its keys to another program for a while.
    fn lend(&mut self, meanwhile: impl FnOnce() -> Result<(), String>) -> Result<(), TuiError> {
        let Self { terminal, input, signals, .. } = self;
        let done = input.lend(|| signals.lend(|| terminal.lend(meanwhile)))??;
        if let Err(why) = done {
            self.tell(Wake::Trouble(why));
        }
        let size = self.terminal.size()?;
        self.tell(Wake::Resize { width: size.width, height: size.height });
        Ok(())
    }

    fn left(&self, why: Why) -> Left {
        Left { why, running: self.screen.running() }
    }
}

impl Left {
    /// What to say about jobs that go on, if any do.
    pub fn farewell(&self) -> Option<String> {
        match self.running {
            0 => None,
            1 => Some("1 job goes on; setlist shows it again".to_owned()),
            count => Some(format!("{count} jobs go on; setlist shows them again")),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("file", &self.file).field("queue", &self.queue).finish_non_exhaustive()
    }
}
