//! Keeps the visible output in step with the jobs: the output pane or the tiles, and the subscriptions.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ratatui::layout::Size;

use crate::model::{Job, JobId, Phase, QueueId, WindowSize};

use super::effect::{Effect, StoreRequest};
use super::state::Screen;
use super::tiles::Tiles;

/// How long tiles read output before a frame is drawn.
const READ_BUDGET: Duration = Duration::from_millis(6);

impl Screen {
    /// Whether there is more output to read at once.
    pub(super) fn is_reading(&self) -> bool {
        self.tiles.as_ref().map_or(self.output.has_more(), Tiles::has_more)
    }

    /// Reads more output, a bounded amount.
    pub(super) fn refresh_output(&mut self) {
        let Some(tiles) = &mut self.tiles else { return self.output.refresh() };
        let end = Instant::now() + READ_BUDGET;
        tiles.refresh(|| Instant::now() < end);
    }

    /// Updates the visible output for the current jobs and layout.
    pub(super) fn sync_output(&mut self) -> Vec<Effect> {
        let area = self.layout().output;
        if self.tiles.is_some() {
            let running = self.running_in_tiles();
            let Self { tiles: Some(tiles), site, subscriptions: attendance, output, .. } = self else {
                return Vec::new();
            };
            tiles.arrange(&running, area, output);
            site.read(|site_state| tiles.show_jobs(site_state));
            tiles.open(area, attendance);
            return Vec::new();
        }
        let job = self.selected_job();
        let log_request = self.output.show_job(job.as_ref()).and_then(|run| {
            // A subscribed run is open already.
            let Some((reader, input)) = self.subscriptions.reader_and_writer(run) else {
                return Some(Effect::Store(StoreRequest::OpenLog(run)));
            };
            self.output.open(run, reader, input);
            None
        });
        let Size { width: columns, height: rows } = self.layout().output_text().as_size();
        // Nothing while it is hidden.
        let size_request =
            if columns == 0 || rows == 0 { None } else { self.output.resize(WindowSize { columns, rows }) };
        log_request.into_iter().chain(size_request).collect()
    }

    /// Subscribes to the output of the visible running jobs.
    pub(super) fn sync_subscriptions(&mut self) -> Option<Effect> {
        let layout = self.layout();
        let (offset, height) = (self.lists.offset(Phase::Running), layout.rows(Phase::Running));
        let mut runs: Vec<_> = self.queue.read(|record, site_state| {
            let rows = self.lists.rows(record, Phase::Running);
            let seen = (offset..rows.len().min(offset + height)).filter_map(|row| site_state.job(rows.get(row)?));
            seen.filter_map(Job::current_run).collect()
        });
        match &self.tiles {
            Some(tiles) => runs.extend(tiles.runs()),
            None => runs.extend(self.selected_job().as_ref().and_then(Job::current_run)),
        }
        self.subscriptions.subscribe(runs)
    }

    /// Asks what the visible running jobs use.
    pub(super) fn ask_usage(&mut self, now: DateTime<Utc>) -> Option<Effect> {
        let Self { usages, subscriptions, site, .. } = self;
        usages.ask(subscriptions.runs(), || site.read(|site_state| site_state.workers().cloned().collect()), now)
    }

    /// Shows the running jobs of a queue, or of all queues, side by side.
    pub(super) fn open_tiles(&mut self, queue: Option<QueueId>) {
        let selected = self.selected_job().map(|job| job.id);
        let before = self.tiles.as_ref().map_or(self.lists.focus(), |tiles| tiles.focus_before);
        let mut tiles = Tiles::new(queue, before);
        self.lists.focus_output(true);
        let area = self.layout().output;
        self.tiles = Some(Tiles::new(tiles.queue.clone(), before));
        let running = self.running_in_tiles();
        tiles.arrange(&running, area, &self.output);
        if let Some(job) = selected {
            tiles.focus_job(job);
        }
        self.tiles = Some(tiles);
    }

    /// Returns to the lists, and selects the job of the focused tile if they show it.
    pub(super) fn close_tiles(&mut self) {
        let job = self.selected_job().filter(|job| job.queue == *self.queue.id());
        let Some(tiles) = self.tiles.take() else { return };
        if tiles.focus_before.output {
            self.lists.focus_output(tiles.focus_before.zoom);
        } else {
            self.lists.focus_list(tiles.focus_before.list);
        }
        if let Some(job) = job {
            self.with_lists(|lists, _, site_state| lists.select(job.id, site_state));
        }
        // The pane was not updated meanwhile, and the tiles have resized the terminal of the run.
        self.output.refresh();
        if let Some(console) = self.output.job_terminal_mut() {
            console.resend_size();
        }
    }

    /// The running jobs for the tiles. The tiles of one queue follow the current queue.
    fn running_in_tiles(&mut self) -> Vec<JobId> {
        let front = self.queue.id().clone();
        let Some(tiles) = &mut self.tiles else { return Vec::new() };
        if tiles.queue.as_ref().is_some_and(|queue| *queue != front) {
            *tiles = Tiles::new(Some(front), tiles.focus_before);
        }
        let ours = |id: &QueueId| tiles.queue.as_ref().is_none_or(|queue| queue == id);
        self.site.read(|site_state| {
            let queues = site_state.queues().into_iter().filter(|(id, _)| ours(id));
            queues.flat_map(|(_, queue)| queue.running.iter().copied().collect::<Vec<_>>()).collect()
        })
    }
}
