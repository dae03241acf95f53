//! Draws the header: a tab per queue and the number of failed jobs, and below it the statistics of the current queue.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::model::{QueueId, QueueState, QueueStatus};
use crate::text;
use crate::tui::action::Action;
use crate::tui::layout::ScreenLayout;
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::queue_stats::QueueStats;
use crate::tui::server_outage::ServerOutage;
use crate::tui::theme::Appearance;

use super::idle_reason::{IdleCheck, IdleReason};
use super::line_painter::LinePainter;
use super::time_format;

/// How many jobs that need approval are counted for each frame.
const MAX_APPROVALS: usize = 99;

/// What is shown where schedules are not kept, with the width that each notice leaves for the tabs at least.
const UNKEPT_NOTICES: [(&str, usize); 3] = [
    ("schedules not kept: `setlist service install`", 40),
    ("no worker: `setlist service install`", 28),
    ("schedules not kept", 0),
];

/// The width that is left for the tabs at least beside the longer text about a server that is away.
const OUTAGE_TABS_WIDTH: usize = 20;

/// The state of a queue as shown in its tab.
#[derive(Clone, Copy)]
enum TabState {
    Status(QueueStatus),
    /// The queue is processing, but no worker is running.
    NoWorker,
}

/// What a tab shows beside the name of its queue.
struct TabContent {
    state: TabState,
    /// The state in words, or when the queue is due next.
    label: String,
    failed: usize,
    is_overdue: bool,
    is_current: bool,
    with_states: bool,
}

/// A tab as styled pieces.
struct Tab {
    /// `None` for the tab of all queues.
    queue: Option<QueueId>,
    pieces: Vec<(String, Style)>,
    failed: usize,
    is_current: bool,
}

/// The data from which the header is drawn.
pub(super) struct Header<'a> {
    pub(super) idle: IdleCheck<'a>,
    /// The current queue. `None` if there are no queues.
    pub(super) queue: Option<(&'a QueueId, &'a QueueState)>,
    pub(super) shows_all_queues: bool,
    /// The statistics of the current queue or of all queues.
    pub(super) stats: &'a QueueStats,
    /// The server of the site, while it is away.
    pub(super) outage: Option<&'a ServerOutage>,
}

impl Header<'_> {
    pub(super) fn draw(&self, layout: &ScreenLayout, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let appearance = &self.idle.settings.appearance;
        if !layout.stats.is_empty() {
            self.draw_stats(&mut LinePainter::new(layout.stats, buffer, appearance.symbols));
        }
        let mut painter = LinePainter::new(layout.header, buffer, appearance.symbols);
        self.draw_outage(&mut painter);
        let failed: usize = self.idle.site.queues().iter().map(|(id, _)| self.idle.site.failed_count(id)).sum();
        if failed > 0 {
            painter.right(&format!(" {} {failed} failed ", appearance.symbols.failed), appearance.theme.critical);
        }
        let overdue = self.idle.site.overdue(self.idle.now).count();
        if overdue > 0 {
            painter.right(" ", Style::new());
            painter.right(&format!(" {} {overdue} overdue ", appearance.symbols.overdue), appearance.theme.critical);
        }
        let queues = self.idle.site.queues();
        let due = queues.iter().flat_map(|(id, _)| self.idle.site.approvals_due(id));
        let approvals = due.take(MAX_APPROVALS + 1).count();
        if approvals > 0 {
            let keymap = &self.idle.settings.keymap;
            let end = painter.end();
            let count = if approvals > MAX_APPROVALS { format!("{MAX_APPROVALS}+") } else { approvals.to_string() };
            painter.right(&format!("{count} to approve "), appearance.theme.warning);
            painter.right(&format!(" {} ", keymap.key(Action::Approvals)), appearance.theme.key);
            if let Some(key) = keymap.keys(Action::Approvals).first() {
                targets.add(layout.header, painter.end()..end, ClickTarget::Key(*key));
            }
        }
        if self.idle.lacks_schedule_worker() {
            let fits = |(notice, tabs): &&(&str, usize)| text::width(notice) + 2 + tabs <= painter.room();
            let fitting = UNKEPT_NOTICES.iter().find(fits).map_or("", |(notice, _)| notice);
            painter.right(&format!(" {fitting} "), appearance.theme.critical);
        }
        let long = self.tabs(true);
        let fitting = if total_width(&long) <= painter.room() { long } else { self.tabs(false) };
        let site_name = self.idle.settings.site_name.as_str();
        if layout.stats.is_empty() && total_width(&fitting) + text::width(site_name) + 4 <= painter.room() {
            painter.right(&format!("  {site_name}  "), appearance.theme.dim);
        }
        draw_tabs(&fitting, &mut painter, appearance, |columns, queue| {
            targets.add(layout.header, columns, ClickTarget::Queue(queue));
        });
    }

    /// Says that the server of the site is away, and since when if there is room.
    fn draw_outage(&self, painter: &mut LinePainter<'_>) {
        let Some(outage) = self.outage else { return };
        let local = self.idle.settings.local;
        let since = time_format::format_time(local(outage.since), local(self.idle.now));
        let short = outage.describe();
        let long = format!("{short} since {since}");
        let has_room = text::width(&long) + 2 + OUTAGE_TABS_WIDTH <= painter.room();
        painter
            .right(&format!(" {} ", if has_room { long } else { short }), self.idle.settings.appearance.theme.warning);
    }

    /// The tabs, with the state of every queue if `with_states` is set.
    fn tabs(&self, with_states: bool) -> Vec<Tab> {
        let appearance = &self.idle.settings.appearance;
        let current = self.queue.filter(|_| !self.shows_all_queues).map(|(id, _)| id);
        let mut tabs: Vec<Tab> = self.shows_all_queues.then(|| all_queues_tab(appearance)).into_iter().collect();
        let overdue: BTreeSet<&QueueId> =
            self.idle.site.overdue(self.idle.now).map(|(state, _)| &state.queue).collect();
        for (index, (id, queue)) in self.idle.site.queues().into_iter().enumerate() {
            let state = if self.idle.lacks_worker(id) {
                TabState::NoWorker
            } else {
                TabState::Status(self.idle.site.queue_status(id))
            };
            // Computed only if it is shown: it looks at all schedules.
            let is_idle = matches!(state, TabState::Status(QueueStatus::Idle));
            let next = if with_states && is_idle { self.idle.next_due(id) } else { None };
            let label = next.unwrap_or_else(|| state.label().to_owned());
            let failed = self.idle.site.failed_count(id);
            let is_current = current == Some(id);
            let is_overdue = overdue.contains(id);
            tabs.push(queue_tab(
                index + 1,
                id,
                queue,
                TabContent { state, label, failed, is_overdue, is_current, with_states },
                appearance,
            ));
        }
        tabs
    }

    /// Draws the statistics of the current queue or of all queues, the most important first. What doesn't fit is left
    /// out.
    fn draw_stats(&self, painter: &mut LinePainter<'_>) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        for (index, stat) in self.stat_texts().iter().enumerate() {
            let separator = if index == 0 { " ".to_owned() } else { format!("  {}  ", symbols.dot) };
            let width: usize = stat.iter().map(|(piece, _)| text::width(piece)).sum();
            if text::width(&separator) + width > painter.room() {
                break;
            }
            painter.left(&separator, theme.rule);
            for (piece, style) in stat {
                painter.left(piece, *style);
            }
        }
        painter.right(&format!("  {} ", text::sanitize_line(&self.idle.settings.site_name)), theme.dim);
    }

    fn stat_texts(&self) -> Vec<Stat> {
        let appearance = &self.idle.settings.appearance;
        let (reason, queues) = if self.shows_all_queues {
            let queues = self.idle.site.queues().into_iter().map(|(_, queue)| queue).collect();
            (self.idle.site_reason(), queues)
        } else if let Some((id, queue)) = self.queue {
            (self.idle.queue_reason(id, queue), vec![queue])
        } else {
            (None, Vec::new())
        };
        stat_texts(appearance, self.stats, reason, &queues, self.idle.now)
    }
}

/// Room for an ellipsis and the number of failed jobs at each end of the tabs.
const HIDDEN_TABS_WIDTH: usize = 12;

type Stat = Vec<(String, Style)>;

/// The statistics of `queues` as styled texts. `reason` says why none of their jobs is running.
fn stat_texts(
    appearance: &Appearance,
    stats: &QueueStats,
    reason: Option<IdleReason>,
    queues: &[&QueueState],
    now: DateTime<Utc>,
) -> Vec<Stat> {
    let (plain, dim) = (Style::new(), appearance.theme.dim);
    let mut stat_texts: Vec<Stat> = Vec::new();
    if stats.failed > 0 {
        stat_texts
            .push(vec![(format!("{} failed in the last hour", text::count(stats.failed)), appearance.theme.failure)]);
    }
    if let Some(reason) = reason {
        stat_texts.push(vec![("nothing running: ".to_owned(), dim), (reason.text, reason.style)]);
    }
    if let Some(left) = stats.time_left {
        stat_texts.push(vec![("done in ".to_owned(), dim), (format!("~{}", text::approximate_duration(left)), plain)]);
    }
    if let Some(pace) = stats.per_minute {
        let (pace, unit) = if pace < 1.0 { (60.0 * pace, "h") } else { (pace, "min") };
        let pace = format!("{pace:.0}");
        let noun = text::noun_for(u64::from(pace == "1"), "job");
        stat_texts.push(vec![(pace, plain), (format!(" {noun}/{unit}"), dim)]);
    }
    if let Some(since) = stats.oldest_pending {
        let wait = (now - since).to_std().unwrap_or_default();
        let wait = if wait.as_secs() < 60 { "<1m".to_owned() } else { text::approximate_duration(wait) };
        stat_texts.push(vec![("oldest wait ".to_owned(), dim), (wait, plain)]);
    }
    let finished: usize = queues.iter().map(|queue| queue.finished.len()).sum();
    let over = queues.iter().all(|queue| queue.pending.is_empty() && queue.running.is_empty());
    if stat_texts.is_empty() && over && finished > 0 {
        let finished_text = if finished == 1 {
            "1 job finished".to_owned()
        } else {
            format!("all {} finished", text::count_noun(finished, "job"))
        };
        let good = queues.iter().all(|queue| queue.failed == 0);
        stat_texts.push(vec![(finished_text, if good { appearance.theme.success } else { dim })]);
    }
    stat_texts
}

/// Draws as many tabs as fit, including the current one.
fn draw_tabs(
    tabs: &[Tab],
    painter: &mut LinePainter<'_>,
    appearance: &Appearance,
    mut on_drawn: impl FnMut(Range<u16>, QueueId),
) {
    let room = painter.room();
    let current = tabs.iter().position(|tab| tab.is_current).unwrap_or(0);
    let mut first = 0;
    // Leaves room at each end for an ellipsis with the number of failed jobs, and shows the tab after the current one too.
    let end = (current + 2).min(tabs.len());
    let is_scrolled = |first: usize| total_width(&tabs[first..end]) + HIDDEN_TABS_WIDTH > room;
    if total_width(tabs) > room {
        while first < current && is_scrolled(first) {
            first += 1;
        }
    }
    if first > 0 {
        draw_hidden_tabs(&tabs[..first], painter, appearance);
    }
    for (index, tab) in tabs.iter().enumerate().skip(first) {
        // An ellipsis, and a gap before what is at the right end.
        let more = if index + 1 < tabs.len() { 3 } else { 0 };
        let rest = hidden_failures(&tabs[index + 1..], appearance);
        if index > current && tab.width() + more + text::width(&rest) > painter.room() {
            draw_hidden_tabs(&tabs[index..], painter, appearance);
            return;
        }
        let start = painter.column();
        for (piece, style) in &tab.pieces {
            painter.left(piece, *style);
        }
        if let Some(queue) = &tab.queue {
            on_drawn(start..painter.column(), queue.clone());
        }
    }
}

/// Draws an ellipsis in place of tabs, with the number of their failed jobs.
fn draw_hidden_tabs(tabs: &[Tab], painter: &mut LinePainter<'_>, appearance: &Appearance) {
    painter.left(&format!(" {}", appearance.symbols.ellipsis), appearance.theme.dim);
    let failures = hidden_failures(tabs, appearance);
    if text::width(&failures) <= painter.room() {
        painter.left(&failures, appearance.theme.failure);
    }
}

/// The number of failed jobs of tabs that are not drawn.
fn hidden_failures(tabs: &[Tab], appearance: &Appearance) -> String {
    match tabs.iter().map(|tab| tab.failed).sum() {
        0 => String::new(),
        failed => format!(" {}{}", appearance.symbols.failed, text::count(failed)),
    }
}

/// The tab of all queues, shown while it is current.
fn all_queues_tab(appearance: &Appearance) -> Tab {
    let pieces = vec![
        (" 0 ".to_owned(), appearance.theme.dim),
        ("all".to_owned(), appearance.theme.tab),
        (" ".to_owned(), Style::new()),
    ];
    Tab { queue: None, pieces, failed: 0, is_current: true }
}

fn queue_tab(
    index: usize,
    id: &QueueId,
    queue: &QueueState,
    TabContent { state, label, failed, is_overdue, is_current, with_states }: TabContent,
    appearance: &Appearance,
) -> Tab {
    let theme = &appearance.theme;
    let title = if queue.settings.title.is_empty() { id.as_str() } else { &queue.settings.title };
    let name = text::sanitize_line(title);
    let name = text::fit(if name.is_empty() { "\"\"" } else { &name }, 24, appearance.symbols.ellipsis).into_owned();
    let mut pieces = vec![(" ".to_owned(), Style::new())];
    pieces.push((format!("{index} "), theme.dim));
    pieces.push((name, if is_current { theme.tab } else { Style::new() }));
    let is_running = !queue.running.is_empty();
    if is_running || with_states || is_current {
        let style = if is_running { theme.accent } else { theme.dim };
        pieces.push((format!(" {}/{}", queue.running.len(), queue.settings.max_parallel()), style));
    }
    let urgent =
        matches!(state, TabState::NoWorker | TabState::Status(QueueStatus::NeedsApproval | QueueStatus::Stopped));
    if with_states || is_current || urgent {
        pieces.push((format!(" {label}"), state.style(appearance)));
    }
    if failed > 0 {
        pieces.push((format!(" {}{failed}", appearance.symbols.failed), theme.failure));
    }
    if is_overdue {
        pieces.push((format!(" {} overdue", appearance.symbols.overdue), theme.failure));
    }
    pieces.push((" ".to_owned(), Style::new()));
    Tab { queue: Some(id.clone()), pieces, failed, is_current }
}

impl TabState {
    fn label(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::NoWorker => "processing, no worker",
        }
    }

    fn style(self, appearance: &Appearance) -> Style {
        match self {
            Self::Status(QueueStatus::Idle) => appearance.theme.dim,
            Self::Status(QueueStatus::Running | QueueStatus::Processing) => appearance.theme.accent,
            Self::Status(QueueStatus::Paused | QueueStatus::NeedsApproval) => appearance.theme.warning,
            Self::Status(QueueStatus::Stopped) | Self::NoWorker => appearance.theme.failure,
        }
    }
}

fn total_width(tabs: &[Tab]) -> usize {
    tabs.iter().map(Tab::width).sum()
}

impl Tab {
    fn width(&self) -> usize {
        self.pieces.iter().map(|(piece, _)| text::width(piece)).sum()
    }
}
