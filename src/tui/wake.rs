//! What wakes the screen, and what it wants done: two closed lists between which everything else is pure.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::model::{Command, Definition, HookEnd, JobId, Ledger, Plan, QueueId, Recorded, Run, RunId, WindowSize};
use crate::store::log::LogReader;
use crate::store::{Answer, LineWriter, Ring};

use super::keys::Key;
use super::link::Tended;
use super::mouse::Mouse;

/// Why the screen wakes up.
#[derive(Debug)]
pub enum Wake {
    /// A key was pressed.
    Key(Key),
    /// A text was pasted.
    Paste(String),
    /// Something was done with the mouse.
    Mouse(Mouse),
    /// The terminal has another size.
    #[expect(missing_docs, reason = "in cells")]
    Resize { width: u16, height: u16 },
    /// The site has changed.
    News(Vec<Recorded>),
    /// The site, when so much has changed that it was loaded anew.
    Fresh(Box<Ledger>),
    /// What became of an [`Order`].
    Answer(Answered),
    /// The output of a run can be read here.
    Log {
        /// Of this run.
        run: RunId,
        /// Here.
        reader: Box<LogReader>,
        /// And, if it has a terminal, typed into here.
        line: LineWriter,
    },
    /// The output of a run that is attended to, by [`Effect::Attend`].
    #[expect(missing_docs, reason = "as above")]
    Attended { run: RunId, reader: Box<LogReader>, line: LineWriter },
    /// The run that was asked for by [`Effect::Turn`], if there is one.
    Turned {
        /// The run from which one turned.
        from: RunId,
        /// The other one.
        run: Option<Run>,
        /// Where it was looked for.
        way: Way,
    },
    /// All runs of a job that are kept, earliest first, as [`Effect::Runs`] asked for them.
    Runs {
        /// Of this job.
        job: JobId,
        /// With what is still known of them.
        runs: Vec<Run>,
        /// What came of `on_finish` after the latest run of which that is known.
        hook_end: Option<HookEnd>,
    },
    /// The output of a run that is attended to has grown.
    Grown,
    /// `jobs.yaml` was read again.
    File(Result<Box<Plan>, Broken>),
    /// Somebody has looked after the workers, and found something to tell.
    Tended(Tended),
    /// Something outside failed; the text says what.
    Trouble(String),
    /// Time has passed.
    Tick,
    /// Somebody wants the program stopped for a while.
    Suspend,
    /// The terminal's content may be spoilt.
    Repaint,
    /// Leave, and why.
    Leave(Why),
}

impl Wake {
    /// Whether a person has done something, and waits to see what comes of it.
    pub(super) fn is_of_a_person(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Paste(_) | Self::Mouse(_) | Self::Resize { .. })
    }
}

/// What the screen wants done.
#[derive(Debug)]
pub enum Effect {
    /// Send commands to the store.
    Submit(Order),
    /// Open the output of this run.
    OpenLog(RunId),
    /// Say when the output of these runs grows, and of no others.
    Attend(Vec<RunId>),
    /// Find the run of a job before or after another one; that comes back as [`Wake::Turned`].
    Turn {
        /// Of this job.
        job: JobId,
        /// The run from which to look.
        from: RunId,
        /// Where to.
        way: Way,
    },
    /// Find all runs of a job; they come back as [`Wake::Runs`].
    Runs {
        /// Of this job.
        job: JobId,
    },
    /// Let terminals of runs to come have this size.
    Window(WindowSize),
    /// Read `jobs.yaml` again.
    Reread,
    /// Open the pager on the output that can be read here.
    Page(Box<LogReader>),
    /// Put a text into the clipboard.
    Copy(String),
    /// Write a job that was added by hand into `jobs.yaml`.
    Save {
        /// Which job.
        job: JobId,
        /// The queue in which it stands.
        queue: QueueId,
        /// What is written.
        definition: Box<Definition>,
    },
    /// Have the terminal show this to a person who looks elsewhere.
    Notify(String),
    /// Open the editor on `jobs.yaml`.
    Edit(Spot),
    /// Have the shell's job, of which this process is a part, stopped; that comes back as [`Wake::Suspend`].
    AskToSuspend,
    /// Stop this process until the shell continues it.
    Suspend,
    /// Take the mouse, or let go of it.
    Mouse(bool),
    /// Draw everything anew.
    Repaint,
    /// Leave the screen.
    Leave(Why),
}

/// Backwards or forwards in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the run before.
    Earlier,
    /// To the run after.
    Later,
}

/// Commands, and what for.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Decided together, in order.
    pub commands: Vec<Command>,
    /// What the person wanted, for the words of the answer.
    pub asked: Asked,
    /// Whether a worker is needed when any of them is accepted, or there are none.
    pub hire: bool,
}

/// What became of an [`Order`].
#[derive(Debug)]
pub struct Answered {
    /// What the person wanted.
    pub asked: Asked,
    /// One answer for each command, or why the store failed.
    pub outcome: Result<Vec<Answer>, String>,
}

/// What a person wanted with an [`Order`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Make sure that the queue in front exists.
    Open,
    /// Process these queues.
    Process(Vec<QueueId>),
    /// Have somebody go on with these queues, which nobody does though they are being processed.
    GoOn(Vec<QueueId>),
    /// Pause these queues.
    Pause(Vec<QueueId>),
    /// Run this job.
    Run(JobId),
    /// Run all these failed jobs again.
    RunFailed,
    /// Cancel this job.
    Cancel(JobId),
    /// Kill this job.
    Kill(JobId),
    /// Do this to the marked jobs.
    These(Doing),
    /// Remove jobs, by one key or another.
    Remove,
    /// Move jobs in their queue.
    Move,
    /// Let so many jobs of this queue run at once.
    Parallel(QueueId, NonZero<u32>),
    /// Put back what was removed.
    Undo,
    /// Add a job to this queue.
    Add(QueueId),
    /// Write this job into `jobs.yaml`, where it has this name then.
    Save(JobId, String),
    /// Bring the site in line with `jobs.yaml`.
    Reload,
    /// Stop everything, then leave.
    StopAndLeave,
}

/// What is done to marked jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// They run, or run again.
    Run,
    /// They are cancelled.
    Cancel,
    /// They are killed.
    Kill,
}

/// Where the editor opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// At the top.
    Top,
    /// At this line, counted from 1.
    Line(usize),
    /// Where this job is defined.
    Job {
        /// Its queue.
        queue: QueueId,
        /// Its name there.
        name: Arc<str>,
    },
}

/// Why the screen is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A person asked for it.
    Asked,
    /// A signal did.
    Signal(i32),
    /// The terminal has gone.
    Vanished,
    /// A thread of the screen has died.
    Broken,
}

/// What is wrong with `jobs.yaml`, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// All errors with their snippets, without colours.
    pub text: String,
    /// How many there are.
    pub errors: usize,
    /// The line of the first one, counted from 1.
    pub line: Option<usize>,
}

/// Sends one wake-up however often it is rung before somebody has looked.
#[derive(Clone, Default)]
pub struct Bell(Arc<AtomicBool>);

impl Bell {
    /// Something that rings by sending `message()`, once until [`Bell::heard`].
    pub fn ring<T: Send + 'static>(&self, sender: Sender<T>, message: fn() -> T) -> Ring {
        let rung = Arc::clone(&self.0);
        Arc::new(move || {
            if !rung.swap(true, Ordering::AcqRel) {
                // Nobody listens any more when the screen is being left.
                let _ = sender.send(message());
            }
        })
    }

    /// Call this before looking at what the bell announced: what changes afterwards rings again.
    pub fn heard(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}
