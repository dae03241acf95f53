//! The screen's state: a copy of the site, and what the user has selected. It makes no decisions about jobs.
//!
//! # Why the screen holds all jobs
//!
//! It could hold the rows that it shows, and ask the store for others. For a site of 1,000,000 jobs, half of them finished,
//! this takes `SQLite`, with its indexes, when all pages are in memory: counts, the ends of a list, and the rows after one
//! that is known, less than 0.1 ms; rows in the middle of a list, or the place of a job in it, 70 to 210 ms; the jobs that
//! a text matches, 1.2 to 1.4 s; a list sorted by duration, 0.3 s for its top and 1.1 to 3 s for the rest. Each change of
//! the site would need them again, because the selected job stays selected and rows must not jump. In memory, a key takes
//! about a millisecond, and events change single rows. A job takes about 0.38 KiB.

use std::collections::HashMap;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ratatui::layout::Size;

use crate::model::{Job, JobId, JobState, Queue, QueueId, QueueMode, QueueState, RunId, Site, SiteState};

use super::action::Action;
use super::details_pane::DetailsPane;
use super::dialog::Dialog;
use super::due_history::DueTimesPane;
use super::first_hints::FirstHints;
use super::job_lists::JobLists;
use super::job_terminal::TypingSession;
use super::keymap::Keymap;
use super::layout::{ScreenLayout, layout};
use super::log_search::LogSearch;
use super::message::{JobsFileError, Message};
use super::mouse::ClickTargets;
use super::notifications::NotificationSettings;
use super::output_pane::OutputPane;
use super::output_subscription::OutputSubscriptions;
use super::overview::{MIN_QUEUES_TO_OPEN, Overview};
use super::queue_stats::{QueueStats, SPARKLINE_CELLS, SiteStats};
use super::run_usage::{RunUsage, RunUsages};
use super::server_outage::ServerOutage;
use super::status_line::StatusLine;
use super::theme::Appearance;
use super::tiles::Tiles;

/// The screen without a terminal: [`handle`](Self::handle) takes messages and returns effects, [`draw`](Self::draw)
/// draws a frame.
#[derive(Debug)]
pub struct Screen {
    pub(super) settings: ScreenSettings,
    pub(super) size: Size,
    pub(super) site: Site,
    pub(super) queue: Queue,
    pub(super) lists: JobLists,
    /// The lists of the other queues, and of all queues together (`None`).
    pub(super) other_lists: HashMap<Option<QueueId>, JobLists>,
    pub(super) output: OutputPane,
    /// The output of several running jobs, in place of the lists and the output.
    pub(super) tiles: Option<Tiles>,
    /// The visible running jobs.
    pub(super) subscriptions: OutputSubscriptions,
    /// What they use.
    pub(super) usages: RunUsages,
    pub(super) details: DetailsPane,
    /// The due times of the schedule of the selected job.
    pub(super) due_times: DueTimesPane,
    /// None until the first frame is drawn, which doesn't wait for them.
    pub(super) stats: Option<SiteStats>,
    pub(super) dialog: Option<Dialog>,
    pub(super) status_line: StatusLine,
    pub(super) file: JobsFileState,
    /// Recent removals, the latest last.
    pub(super) undo: Vec<UndoEntry>,
    /// Since when a queue is processing without a worker.
    worker_missing_since: Option<DateTime<Utc>>,
    /// Whether the mouse is captured.
    pub(super) captures_mouse: bool,
    /// What a click activates.
    pub(super) click_targets: ClickTargets,
    /// The server of the site, while it is away.
    pub(super) outage: Option<ServerOutage>,
    /// The job that receives the keys, if one does.
    pub(super) typing: Option<TypingSession>,
    /// The last search over all output, and the run that was opened from it.
    pub(super) last_search: Option<(Box<LogSearch>, Option<RunId>)>,
    /// While only a part of the site is loaded: the input that waits for the rest, in order.
    pub(super) waiting_input: Option<Vec<Message>>,
}

/// How long a queue may be processing without a worker before that is shown: a worker takes a moment to start.
const WORKER_START_GRACE: TimeDelta = TimeDelta::seconds(3);

/// The settings of a screen.
#[derive(Clone, Debug)]
pub struct ScreenSettings {
    /// Colours and symbols.
    pub appearance: Appearance,
    /// The name of the site.
    pub site_name: String,
    /// The site's `jobs.yaml`.
    pub file: PathBuf,
    /// The key bindings.
    pub keymap: Keymap,
    /// Which desktop notifications to show.
    pub notifications: NotificationSettings,
    /// Whether to capture the mouse at first.
    pub captures_mouse: bool,
    /// The keys that are hinted until they have been used.
    pub hints: FirstHints,
    /// Converts a time to local time.
    pub local: fn(DateTime<Utc>) -> NaiveDateTime,
}

/// The state of `jobs.yaml`.
#[derive(Debug, Default)]
pub(super) struct JobsFileState {
    /// Its errors; the last valid version stays in effect.
    pub(super) error: Option<JobsFileError>,
    /// Whether the errors were dismissed.
    pub(super) hidden: bool,
    /// The first visible line of the errors.
    pub(super) scroll: usize,
}

/// Jobs that were removed together, and until when they can be restored.
#[derive(Clone, Debug)]
pub(super) struct UndoEntry {
    pub(super) jobs: Vec<JobId>,
    pub(super) until: DateTime<Utc>,
}

impl Screen {
    /// A screen of `site` that shows the queue named `queue`, or else the first one.
    pub fn new(settings: ScreenSettings, site: Site, queue: Option<&QueueId>, screen_size: Size) -> Self {
        let (first, count) = site.read(|site_state| {
            let queues = site_state.queues();
            (queues.first().map(|(id, _)| (*id).clone()), queues.len())
        });
        let opens_overview = queue.is_none() && count >= MIN_QUEUES_TO_OPEN;
        // Without any queue, the screen shows an empty one that belongs to no site.
        let queue = queue.cloned().or(first).map_or_else(Queue::new, |id| site.get_queue(id));
        let lists = queue.read(|record, _| JobLists::new(queue.id().clone(), record));
        let mut screen = Self {
            captures_mouse: settings.captures_mouse,
            click_targets: ClickTargets::default(),
            settings,
            size: screen_size,
            site,
            queue,
            lists,
            other_lists: HashMap::new(),
            output: OutputPane::default(),
            tiles: None,
            subscriptions: OutputSubscriptions::default(),
            usages: RunUsages::default(),
            details: DetailsPane::default(),
            due_times: DueTimesPane::default(),
            stats: None,
            dialog: opens_overview.then(|| Dialog::Overview(Overview::new(None, false))),
            status_line: StatusLine::default(),
            file: JobsFileState::default(),
            undo: Vec::new(),
            worker_missing_since: None,
            outage: None,
            typing: None,
            last_search: None,
            waiting_input: None,
        };
        // A queue without a worker has lacked one for a while.
        screen.update_missing_worker(DateTime::UNIX_EPOCH);
        screen.sync_lists();
        screen
    }

    /// Shows the errors of `jobs.yaml` first.
    #[must_use]
    pub fn with_file_error(mut self, error: JobsFileError) -> Self {
        self.file.error = Some(error);
        self
    }

    /// The key of an action, as text.
    pub(super) fn key(&self, action: Action) -> String {
        self.settings.keymap.key(action)
    }

    /// The current queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The job under the cursor, or of the tile with the focus.
    pub fn selected_job(&self) -> Option<Job> {
        let selected = match &self.tiles {
            Some(tiles) => Some(tiles.focused()?.job),
            None => self.lists.selected(),
        };
        if self.tiles.is_some() || self.lists.shows_all_queues() {
            self.site.read(|site_state| site_state.job(selected?).cloned())
        } else {
            self.queue.job(selected?)
        }
    }

    /// The output of the selected job.
    pub(super) fn pane(&self) -> &OutputPane {
        self.tiles.as_ref().and_then(Tiles::focused).map_or(&self.output, |tile| &tile.pane)
    }

    /// The output of the selected job.
    pub(super) fn pane_mut(&mut self) -> &mut OutputPane {
        self.tiles.as_mut().and_then(Tiles::focused_mut).map_or(&mut self.output, |tile| &mut tile.pane)
    }

    /// What a job uses that is running.
    pub(super) fn usage_of(&self, job: &Job) -> Option<RunUsage> {
        Some(self.usages.of(job.current_run()?, &self.subscriptions))
    }

    /// The lists of the current queue.
    pub fn lists(&self) -> &JobLists {
        &self.lists
    }

    /// The layout of the screen.
    pub fn layout(&self) -> ScreenLayout {
        layout(self.size, self.lists.focus(), self.lists.room())
    }

    /// Whether the details of the selected job are visible.
    pub(super) fn shows_details(&self) -> bool {
        let layout = self.layout();
        let is_page = matches!(self.dialog, Some(Dialog::Page(_) | Dialog::SearchAll(_)));
        let details = if is_page { layout.page().1 } else { layout.details };
        !details.is_empty()
    }

    /// How many jobs of the site are running and haven't been asked to stop.
    pub fn count_running(&self) -> usize {
        self.site.read(|site_state| {
            let queues = site_state.queues();
            let running = queues.iter().flat_map(|(_, queue)| &queue.running).filter_map(|id| site_state.job(*id));
            running.filter(|job| matches!(job.state, JobState::Running { stop: None, .. })).count()
        })
    }

    /// Whether there is more work to do at once: scanning for matches, or reading output.
    pub fn is_busy(&self) -> bool {
        self.is_scanning() || self.is_reading()
    }

    /// Whether a scan for matches is in progress.
    pub(super) fn is_scanning(&self) -> bool {
        self.lists.is_scanning()
    }

    /// When the screen changes without a message, if it does: each second while a job is running or scheduled, when
    /// something becomes overdue, and when the status text expires.
    pub fn next_tick(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let has_clock = |id: &QueueId, queue: &QueueState, site_state: &SiteState| {
            !queue.running.is_empty() || site_state.next_scheduled_time(id).is_some_and(|time| time > now)
        };
        let ticks = if self.shows_every_queue() {
            self.site.read(|site_state| site_state.queues().iter().any(|(id, queue)| has_clock(id, queue, site_state)))
        } else {
            self.queue.read(|record, site_state| has_clock(self.queue.id(), record, site_state))
        };
        if let Some(Dialog::Page(page)) = &self.dialog {
            let page_tick = self.in_page_context(now, |context| page.next_tick(context));
            return page_tick.into_iter().chain(self.status_line.clone().expire(now)).min();
        }
        let second = ticks.then(|| now + TimeDelta::milliseconds(1000 - i64::from(now.timestamp_subsec_millis())));
        let expiry = self.status_line.clone().expire(now);
        let stats_change = self.stats.as_ref().and_then(|stats| {
            if self.shows_every_queue() {
                self.site.read(|site_state| {
                    site_state.queues().iter().filter_map(|(id, _)| stats.next_change(id, now)).min()
                })
            } else {
                stats.next_change(self.queue.id(), now)
            }
        });
        let minute = self
            .queue_stats(now)
            .oldest_pending
            .map(|since| now + TimeDelta::seconds(60 - (now - since).num_seconds() % 60));
        let expected = self.site.read(SiteState::next_expected).filter(|time| *time > now);
        let grace_end = self.worker_missing_since.map(|since| since + WORKER_START_GRACE).filter(|time| *time > now);
        second.into_iter().chain(expiry).chain(stats_change).chain(minute).chain(grace_end).chain(expected).min()
    }

    /// The statistics of the current queue, or of all queues.
    pub fn queue_stats(&self, now: DateTime<Utc>) -> QueueStats {
        let Some(stats) = &self.stats else { return QueueStats::default() };
        let percent = |run| self.subscriptions.progress(run).percent();
        if self.lists.shows_all_queues() {
            return self.site.read(|site_state| {
                let each = site_state
                    .queues()
                    .into_iter()
                    .map(|(id, record)| stats.stats(id, record, site_state, percent, now));
                each.fold(QueueStats::default(), QueueStats::combine)
            });
        }
        self.queue.read(|record, site_state| stats.stats(self.queue.id(), record, site_state, percent, now))
    }

    /// The statistics of one queue, and how many of its jobs finished in each part of the last hour.
    pub(super) fn stats_of(
        &self,
        id: &QueueId,
        queue: &QueueState,
        site_state: &SiteState,
        now: DateTime<Utc>,
    ) -> (QueueStats, [usize; SPARKLINE_CELLS]) {
        let Some(stats) = &self.stats else { return (QueueStats::default(), [0; SPARKLINE_CELLS]) };
        let percent = |run| self.subscriptions.progress(run).percent();
        (stats.stats(id, queue, site_state, percent, now), stats.last_hour(id, now))
    }

    /// Whether all queues are visible: their jobs together, or the overview.
    fn shows_every_queue(&self) -> bool {
        self.lists.shows_all_queues() || matches!(self.dialog, Some(Dialog::Overview(_)))
    }

    /// Whether a queue has been processing without a worker for longer than the grace period.
    pub(super) fn lacks_worker(&self, queue: &QueueId, site_state: &SiteState, now: DateTime<Utc>) -> bool {
        self.reports_missing_worker(now) && site_state.lacks_worker(queue)
    }

    /// Whether some queue or schedule has been without a worker for long enough to report it.
    pub(super) fn reports_missing_worker(&self, now: DateTime<Utc>) -> bool {
        self.worker_missing_since.is_some_and(|since| since + WORKER_START_GRACE <= now)
    }

    /// Records since when a queue is processing, or a schedule is to be kept, without a worker.
    pub(super) fn update_missing_worker(&mut self, now: DateTime<Utc>) {
        let any = self.site.read(|site_state| {
            let mut queues = site_state.queues().into_iter();
            queues.any(|(id, _)| site_state.lacks_worker(id)) || site_state.lacks_schedule_worker()
        });
        self.worker_missing_since = any.then(|| self.worker_missing_since.unwrap_or(now));
    }

    /// Whether the site has a queue.
    pub(super) fn has_queue(&self) -> bool {
        self.queue.site() == &self.site
    }

    /// The errors of `jobs.yaml`, while they are visible.
    pub(super) fn visible_file_error(&self) -> Option<&JobsFileError> {
        self.file.error.as_ref().filter(|_| !self.file.hidden)
    }

    /// Switches to another queue.
    pub(super) fn switch_queue(&mut self, id: &QueueId) {
        if self.queue.id() == id && self.has_queue() && !self.lists.shows_all_queues() {
            return;
        }
        let queue = self.site.get_queue(id);
        let lists = self.other_lists.remove(&Some(id.clone()));
        let lists = lists.unwrap_or_else(|| queue.read(|record, _| JobLists::new(id.clone(), record)));
        self.replace_lists(lists);
        self.queue = queue;
    }

    /// Shows the jobs of all queues together.
    pub(super) fn show_all_queues(&mut self) {
        if self.lists.shows_all_queues() || !self.has_queue() {
            return;
        }
        let lists = self.other_lists.remove(&None).unwrap_or_else(|| self.site.read(JobLists::all_queues));
        self.replace_lists(lists);
    }

    fn replace_lists(&mut self, mut lists: JobLists) {
        // Hidden lists don't follow events.
        self.site.read(|site_state| {
            lists.refilter(site_state);
            lists.marks_mut().refresh(site_state);
        });
        lists.reset_room();
        let before = std::mem::replace(&mut self.lists, lists);
        let key = if before.shows_all_queues() { None } else { Some(self.queue.id().clone()) };
        self.other_lists.insert(key, before);
    }

    /// Changes the current lists, given the queue and the site.
    pub(super) fn with_lists<T>(&mut self, change: impl FnOnce(&mut JobLists, &QueueState, &SiteState) -> T) -> T {
        let lists = &mut self.lists;
        self.queue.read(|record, site_state| change(lists, record, site_state))
    }

    /// Updates cursor and scroll positions after a change.
    pub(super) fn sync_lists(&mut self) {
        let size = self.size;
        self.with_lists(|lists, record, site_state| lists.sync(record, site_state, size));
    }

    /// The mode of the current queue.
    pub(super) fn mode(&self) -> QueueMode {
        self.queue.read(|record, _| record.mode)
    }

    /// Whether any queue is processing.
    pub(super) fn is_any_queue_processing(&self) -> bool {
        self.site.read(|site_state| site_state.queues().iter().any(|(_, queue)| queue.mode == QueueMode::Processing))
    }
}
