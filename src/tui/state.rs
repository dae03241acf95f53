//! What the person sees and has chosen, over a copy of the site. Nothing here decides anything about jobs.

use std::collections::HashMap;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ratatui::layout::Size;

use crate::model::{Job, JobId, Ledger, Mode, Phase, Queue, QueueId, QueueRecord, Site, State};

use super::action::Action;
use super::attend::Attendance;
use super::detail::Detail;
use super::dialog::Dialog;
use super::keymap::Keymap;
use super::layout::{Layout, layout};
use super::lists::Lists;
use super::mouse::Targets;
use super::notice::Notices;
use super::notify::Notify;
use super::pane::OutputPane;
use super::pulse::{Numbers, Pulse};
use super::theme::Look;
use super::tiles::Tiles;
use super::typing::Typing;
use super::wake::Broken;

/// The screen without a terminal: [`handle`](Self::handle) takes what happens and returns what is to be done,
/// [`draw`](Self::draw) shows it.
#[derive(Debug)]
pub struct Screen {
    pub(super) setup: Setup,
    pub(super) size: Size,
    pub(super) site: Site,
    pub(super) queue: Queue,
    pub(super) lists: Lists,
    /// Where the person was in the other queues, and in the view of all.
    pub(super) elsewhere: HashMap<Option<QueueId>, Lists>,
    pub(super) output: OutputPane,
    /// The output of all that runs, in place of lists and output.
    pub(super) tiles: Option<Tiles>,
    /// What goes on in view.
    pub(super) attendance: Attendance,
    pub(super) detail: Detail,
    /// None until after the first frame, which doesn't wait for it.
    pub(super) pulse: Option<Pulse>,
    pub(super) dialog: Option<Dialog>,
    pub(super) notices: Notices,
    pub(super) file: FileState,
    /// What was removed of late, the latest last.
    pub(super) undo: Vec<Undo>,
    /// Since when some queue is processed by nobody.
    unattended: Option<DateTime<Utc>>,
    /// Whether the mouse is ours.
    pub(super) mouse: bool,
    /// What a click presses.
    pub(super) targets: Targets,
    /// What the keys go to, in place of the screen.
    pub(super) typing: Option<Typing>,
}

/// How long a queue may be processed by nobody before that is said: a worker that was just hired has still to join.
const BIRTH: TimeDelta = TimeDelta::seconds(3);

/// What the screen is told once.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Colours and signs.
    pub look: Look,
    /// What the site is called.
    pub site_name: String,
    /// The site's `jobs.yaml`.
    pub file: PathBuf,
    /// Which key does what.
    pub keymap: Keymap,
    /// What the terminal is to tell a person who looks elsewhere.
    pub notify: Notify,
    /// Whether the mouse is ours at first.
    pub mouse: bool,
    /// The local time of an instant.
    pub local: fn(DateTime<Utc>) -> NaiveDateTime,
}

/// How `jobs.yaml` is.
#[derive(Debug, Default)]
pub(super) struct FileState {
    /// What is wrong with it; the last good version stays in force.
    pub(super) broken: Option<Broken>,
    /// The diagnosis was put away for now.
    pub(super) hidden: bool,
    /// The first line of the diagnosis that is shown.
    pub(super) scroll: usize,
}

/// What was removed at once, and until when it can be put back.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    pub(super) jobs: Vec<JobId>,
    pub(super) until: DateTime<Utc>,
}

impl Screen {
    /// A screen of `site`, in front the queue named `queue`, or else the first one.
    pub fn new(setup: Setup, site: Site, queue: Option<&QueueId>, room: Size) -> Self {
        let first = site.read(|ledger| ledger.queues().first().map(|(id, _)| (*id).clone()));
        // Without any queue there is an empty one in front that belongs to no site.
        let queue = queue.cloned().or(first).map_or_else(Queue::new, |id| site.get_queue(id));
        let lists = queue.read(|record, _| Lists::new(queue.id().clone(), record));
        let mut screen = Self {
            mouse: setup.mouse,
            targets: Targets::default(),
            setup,
            size: room,
            site,
            queue,
            lists,
            elsewhere: HashMap::new(),
            output: OutputPane::default(),
            tiles: None,
            attendance: Attendance::default(),
            detail: Detail::default(),
            pulse: None,
            dialog: None,
            notices: Notices::default(),
            file: FileState::default(),
            undo: Vec::new(),
            unattended: None,
            typing: None,
        };
        // What was so before is so for longer than any birth takes.
        screen.attend(DateTime::UNIX_EPOCH);
        screen.settle();
        screen
    }

    /// Opens on what is wrong with `jobs.yaml`.
    #[must_use]
    pub fn broken(mut self, broken: Broken) -> Self {
        self.file.broken = Some(broken);
        self
    }

    /// The key to press for an action, as text.
    pub(super) fn key(&self, action: Action) -> String {
        self.setup.keymap.key(action)
    }

    /// The queue in front.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The job under the cursor, or of the tile with the focus.
    pub fn chosen(&self) -> Option<Job> {
        let chosen = match &self.tiles {
            Some(tiles) => Some(tiles.focused()?.job),
            None => self.lists.chosen(),
        };
        if self.tiles.is_some() || self.lists.is_of_all() {
            self.site.read(|ledger| ledger.job(chosen?).cloned())
        } else {
            self.queue.job(chosen?)
        }
    }

    /// The output of that job.
    pub(super) fn pane(&self) -> &OutputPane {
        self.tiles.as_ref().and_then(Tiles::focused).map_or(&self.output, |tile| &tile.pane)
    }

    /// The output of that job.
    pub(super) fn pane_mut(&mut self) -> &mut OutputPane {
        self.tiles.as_mut().and_then(Tiles::focused_mut).map_or(&mut self.output, |tile| &mut tile.pane)
    }

    /// The cursor and the scroll positions.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Where everything is drawn.
    pub fn layout(&self) -> Layout {
        layout(self.size, self.lists.focus())
    }

    /// Whether the details of the chosen job are in view.
    pub(super) fn shows_details(&self) -> bool {
        !self.layout().detail.is_empty()
    }

    /// How many jobs run in the whole site and go on: nobody has told them to stop.
    pub fn running(&self) -> usize {
        self.site.read(|ledger| {
            let queues = ledger.queues();
            let running = queues.iter().flat_map(|(_, queue)| &queue.running).filter_map(|id| ledger.job(*id));
            running.filter(|job| matches!(job.state, State::Running { stop: None, .. })).count()
        })
    }

    /// Whether there is more to do without waiting for anything: a scan goes on, or output is being read.
    pub fn is_busy(&self) -> bool {
        self.is_scanning() || self.is_reading()
    }

    /// Whether jobs are being looked for.
    pub(super) fn is_scanning(&self) -> bool {
        self.lists.is_scanning()
    }

    /// When the screen changes by itself, if it does: each second while a job runs
    /// or waits for a time, or when a message expires.
    pub fn next_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let counts = |id: &QueueId, queue: &QueueRecord, ledger: &Ledger| {
            !queue.running.is_empty() || ledger.next_time(id).is_some_and(|time| time > now)
        };
        let runs = if self.lists.is_of_all() {
            self.site.read(|ledger| ledger.queues().iter().any(|(id, queue)| counts(id, queue, ledger)))
        } else {
            self.queue.read(|record, ledger| counts(self.queue.id(), record, ledger))
        };
        let second = runs.then(|| now + TimeDelta::milliseconds(1000 - i64::from(now.timestamp_subsec_millis())));
        let expiry = self.notices.clone().expire(now);
        let numbers = self.pulse.as_ref().and_then(|pulse| {
            if self.lists.is_of_all() {
                self.site.read(|ledger| ledger.queues().iter().filter_map(|(id, _)| pulse.next_change(id, now)).min())
            } else {
                pulse.next_change(self.queue.id(), now)
            }
        });
        let minute =
            self.numbers(now).oldest.map(|since| now + TimeDelta::seconds(60 - (now - since).num_seconds() % 60));
        let lonely = self.unattended.map(|since| since + BIRTH).filter(|time| *time > now);
        second.into_iter().chain(expiry).chain(numbers).chain(minute).chain(lonely).min()
    }

    /// How the queue in front goes, or how all go together.
    pub fn numbers(&self, now: DateTime<Utc>) -> Numbers {
        let Some(pulse) = &self.pulse else { return Numbers::default() };
        let percent = |run| self.attendance.progress(run).percent();
        if self.lists.is_of_all() {
            return self.site.read(|ledger| {
                let each =
                    ledger.queues().into_iter().map(|(id, record)| pulse.numbers(id, record, ledger, percent, now));
                each.fold(Numbers::default(), Numbers::and)
            });
        }
        self.queue.read(|record, ledger| pulse.numbers(self.queue.id(), record, ledger, percent, now))
    }

    /// Whether a queue is processed by nobody, and not just since a moment ago.
    pub(super) fn is_unattended(&self, queue: &QueueId, ledger: &Ledger, now: DateTime<Utc>) -> bool {
        self.unattended.is_some_and(|since| since + BIRTH <= now) && ledger.is_unattended(queue)
    }

    /// Takes note of queues that are processed by nobody.
    pub(super) fn attend(&mut self, now: DateTime<Utc>) {
        let any = self.site.read(|ledger| ledger.queues().iter().any(|(id, _)| ledger.is_unattended(id)));
        self.unattended = any.then(|| self.unattended.unwrap_or(now));
    }

    /// Whether there is a queue at all.
    pub(super) fn has_queue(&self) -> bool {
        self.queue.site() == &self.site
    }

    /// The diagnosis, while it is in view.
    pub(super) fn diagnosis(&self) -> Option<&Broken> {
        self.file.broken.as_ref().filter(|_| !self.file.hidden)
    }

    /// Shows another queue.
    pub(super) fn show(&mut self, id: &QueueId) {
        if self.queue.id() == id && self.has_queue() && !self.lists.is_of_all() {
            return;
        }
        let queue = self.site.get_queue(id);
        let known = self.elsewhere.remove(&Some(id.clone()));
        let lists = known.unwrap_or_else(|| queue.read(|record, _| Lists::new(id.clone(), record)));
        self.put_in_front(lists);
        self.queue = queue;
    }

    /// Shows the jobs of all queues together.
    pub(super) fn show_all(&mut self) {
        if self.lists.is_of_all() || !self.has_queue() {
            return;
        }
        let lists = self.elsewhere.remove(&None).unwrap_or_else(|| self.site.read(Lists::of_all));
        self.put_in_front(lists);
    }

    fn put_in_front(&mut self, mut lists: Lists) {
        // While they were not in front nobody kept their filter up to date.
        self.site.read(|ledger| lists.refilter(ledger));
        let before = std::mem::replace(&mut self.lists, lists);
        let key = if before.is_of_all() { None } else { Some(self.queue.id().clone()) };
        self.elsewhere.insert(key, before);
    }

    /// Changes the lists in view of what is in them.
    pub(super) fn with_lists<T>(&mut self, change: impl FnOnce(&mut Lists, &QueueRecord, &Ledger) -> T) -> T {
        let lists = &mut self.lists;
        self.queue.read(|record, ledger| change(lists, record, ledger))
    }

    /// Brings cursor and scroll positions in line with everything else.
    pub(super) fn settle(&mut self) {
        let layout = self.layout();
        self.with_lists(|lists, record, ledger| lists.settle(record, ledger, &layout));
    }

    /// What the queue in front is doing.
    pub(super) fn mode(&self) -> Mode {
        self.queue.read(|record, _| record.mode)
    }

    /// Whether a worker would have to run what is added to a queue.
    pub(super) fn any_processing(&self) -> bool {
        self.site.read(|ledger| ledger.queues().iter().any(|(_, queue)| queue.mode == Mode::Processing))
    }

    /// How many jobs of the queue in front, or of all, are in a phase.
    pub(super) fn count(&self, phase: Phase) -> usize {
        if self.lists.is_of_all() {
            self.site.read(|ledger| ledger.queues().iter().map(|(_, queue)| queue.list(phase).len()).sum())
        } else {
            self.queue.read(|record, _| record.list(phase).len())
        }
    }
}
