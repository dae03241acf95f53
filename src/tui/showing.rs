//! What is shown of the output of runs: that of the chosen job, or the tiles; and who is listened to for that.

use std::time::{Duration, Instant};

use ratatui::layout::Size;

use crate::model::{Job, JobId, Phase, QueueId, WindowSize};

use super::state::Screen;
use super::tiles::Tiles;
use super::wake::Effect;

/// The longest that tiles read on before a frame is drawn.
const TURN: Duration = Duration::from_millis(6);

impl Screen {
    /// Whether there is more of the output to be read at once.
    pub(super) fn is_reading(&self) -> bool {
        self.tiles.as_ref().map_or(self.output.has_more(), Tiles::has_more)
    }

    /// Reads on, a bounded amount.
    pub(super) fn refresh_output(&mut self) {
        let Some(tiles) = &mut self.tiles else { return self.output.refresh() };
        let end = Instant::now() + TURN;
        tiles.refresh(|| Instant::now() < end);
    }

    /// Brings what is shown in line with the jobs, and gives it the room that it has.
    pub(super) fn show_output(&mut self) -> Vec<Effect> {
        let area = self.layout().output;
        if self.tiles.is_some() {
            let running = self.running_in_tiles();
            let Self { tiles: Some(tiles), site, attendance, output, .. } = self else { return Vec::new() };
            tiles.arrange(&running, area, output);
            site.read(|ledger| tiles.show(ledger));
            tiles.open(area, attendance);
            return Vec::new();
        }
        let job = self.chosen();
        let opens = self.output.show(job.as_ref()).and_then(|run| {
            // What is listened to is shown at once.
            let Some((reader, line)) = self.attendance.ends(run) else { return Some(Effect::OpenLog(run)) };
            self.output.open(run, reader, line);
            None
        });
        let Size { width: columns, height: rows } = self.layout().output_text().as_size();
        // None while it isn't shown.
        let fits = if columns == 0 || rows == 0 { None } else { self.output.fit(WindowSize { columns, rows }) };
        opens.into_iter().chain(fits).collect()
    }

    /// Attends to the runs that go on in view.
    pub(super) fn attend_to_runs(&mut self) -> Option<Effect> {
        let layout = self.layout();
        let (offset, height) = (self.lists.offset(Phase::Running), layout.rows(Phase::Running));
        let mut runs: Vec<_> = self.queue.read(|record, ledger| {
            let rows = self.lists.rows(record, Phase::Running);
            let seen = (offset..rows.len().min(offset + height)).filter_map(|row| ledger.job(rows.get(row)?));
            seen.filter_map(Job::running).collect()
        });
        match &self.tiles {
            Some(tiles) => runs.extend(tiles.runs()),
            None => runs.extend(self.chosen().as_ref().and_then(Job::running)),
        }
        self.attendance.want(runs)
    }

    /// Shows all that runs in a queue, or in all queues, side by side.
    pub(super) fn open_tiles(&mut self, queue: Option<QueueId>) {
        let chosen = self.chosen().map(|job| job.id);
        let before = self.tiles.as_ref().map_or(self.lists.focus(), |tiles| tiles.before);
        let mut tiles = Tiles::new(queue, before);
        self.lists.focus_output(true);
        let area = self.layout().output;
        self.tiles = Some(Tiles::new(tiles.queue.clone(), before));
        let running = self.running_in_tiles();
        tiles.arrange(&running, area, &self.output);
        if let Some(job) = chosen {
            tiles.choose(job);
        }
        self.tiles = Some(tiles);
    }

    /// Back to the lists, with the cursor on the job that was looked at if that is in view.
    pub(super) fn close_tiles(&mut self) {
        let job = self.chosen().filter(|job| job.queue == *self.queue.id());
        let Some(tiles) = self.tiles.take() else { return };
        if tiles.before.output {
            self.lists.focus_output(tiles.before.zoom);
        } else {
            self.lists.focus_list(tiles.before.list);
        }
        if let Some(job) = job {
            self.with_lists(|lists, _, ledger| lists.choose(job.id, ledger));
        }
        // Nobody has kept it up to date meanwhile, and the run was told of other sizes.
        self.output.refresh();
        if let Some(console) = self.output.console_mut() {
            console.insist();
        }
    }

    /// The running jobs that tiles are for. Those of one queue are those of the queue in front.
    fn running_in_tiles(&mut self) -> Vec<JobId> {
        let front = self.queue.id().clone();
        let Some(tiles) = &mut self.tiles else { return Vec::new() };
        if tiles.queue.as_ref().is_some_and(|queue| *queue != front) {
            *tiles = Tiles::new(Some(front), tiles.before);
        }
        let ours = |id: &QueueId| tiles.queue.as_ref().is_none_or(|queue| queue == id);
        self.site.read(|ledger| {
            let queues = ledger.queues().into_iter().filter(|(id, _)| ours(id));
            queues.flat_map(|(_, queue)| queue.running.iter().copied().collect::<Vec<_>>()).collect()
        })
    }
}
