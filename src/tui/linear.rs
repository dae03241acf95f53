//! The linear mode, for screen readers: a line for each change, without boxes. The keys are those of the screen.
//!
//! The screen is drawn as always, but not shown: what it shows is compared with what was said before, and the parts that
//! have changed are printed.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

use crate::model::{Event, EventRecord, Job, JobId, MASK, Outcome, Phase, RunId, SiteState, WaitReason, pool_title};
use crate::text;

use super::action::Action;
use super::details_pane::RunHistory;
use super::dialog::Dialog;
use super::page::ScreenPage;
use super::run_chart::RunChart;
use super::server_outage::ServerOutage;
use super::state::Screen;

/// The size of the screen that is drawn but not shown.
pub(super) const LINEAR_SIZE: Size = Size { width: 80, height: 24 };
/// How many events are printed at once; of more, only the number.
const MAX_EVENTS: usize = 20;

/// What was printed last.
#[derive(Debug, Default)]
pub struct LinearView {
    queue: String,
    place: String,
    dialog: String,
    status: String,
    outage: String,
    file_error: String,
    details: Vec<String>,
    /// The run whose output has the focus, and its visible lines.
    output: Option<(Option<RunId>, Vec<String>)>,
}

impl LinearView {
    /// The lines about what has changed since the last call. `drawn` is the last frame.
    pub fn changes(
        &mut self,
        screen: &mut Screen,
        drawn: &Buffer,
        events: &[EventRecord],
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let mut lines = event_lines(screen, events);
        if self.queue.is_empty() {
            let keymap = &screen.settings.keymap;
            let (help, quit) = (keymap.key(Action::Help), keymap.key(Action::Quit));
            lines.push(format!("Setlist, a line for each change. {help} lists the keys, {quit} quits."));
        }
        let changed =
            |before: &mut String, now: String| (*before != now).then(|| before.clone_from(&now)).map(|()| now);
        lines.extend(changed(&mut self.queue, screen.queue_line()).filter(|line| !line.is_empty()));
        let file_error = screen.visible_file_error().map(|error| error.text.clone()).unwrap_or_default();
        if let Some(error) = changed(&mut self.file_error, file_error) {
            lines.extend(error.lines().map(str::to_owned));
        }
        let dialog = screen.dialog_line(now);
        let outage = screen.outage.as_ref().map(ServerOutage::describe).unwrap_or_default();
        lines.extend(changed(&mut self.outage, outage).filter(|line| !line.is_empty()));
        if screen.dialog.is_none() {
            lines.extend(changed(&mut self.place, screen.place_line()));
            self.add_details(screen, drawn, &mut lines);
            self.add_output(screen, &mut lines);
        }
        lines.extend(changed(&mut self.dialog, dialog).filter(|line| !line.is_empty()));
        let status = screen.status_line.shown().map(|status| status.text.clone()).unwrap_or_default();
        lines.extend(changed(&mut self.status, status).filter(|line| !line.is_empty()));
        lines.iter().map(|line| text::sanitize_line(line)).collect()
    }

    /// Adds the details of the selected job, when they are opened.
    fn add_details(&mut self, screen: &Screen, drawn: &Buffer, lines: &mut Vec<String>) {
        let details =
            if screen.lists.focus().details { text_in(screen.layout().details_text(), drawn) } else { Vec::new() };
        let new = new_lines(&self.details, &details);
        lines.extend(details.iter().skip(details.len() - new).filter(|line| !line.is_empty()).cloned());
        self.details = details;
    }

    /// Adds the visible output when it gets the focus, and later what is new.
    fn add_output(&mut self, screen: &mut Screen, lines: &mut Vec<String>) {
        if !screen.lists.focus().output {
            self.output = None;
            return;
        }
        let run = screen.pane().run();
        let visible: Vec<String> = match screen.pane_mut().visible_text() {
            Ok(visible) => visible.text.lines().map(str::to_owned).collect(),
            Err(_) => Vec::new(),
        };
        let before = self.output.take().filter(|(of, _)| *of == run).map(|(_, lines)| lines).unwrap_or_default();
        let new = new_lines(&before, &visible);
        lines.extend(visible.iter().skip(visible.len() - new).cloned());
        self.output = Some((run, visible));
    }
}

/// The page with what its selected row says.
fn page_line(page: &ScreenPage, site: &SiteState, history: Option<&RunHistory>) -> String {
    let name = match page {
        ScreenPage::Timeline(_) => "Timeline",
        ScreenPage::History(_) => "History",
        ScreenPage::Graph(_) => "Needs",
        ScreenPage::Results(_) => "Results",
        ScreenPage::Changes(_) => "Changes",
        ScreenPage::Workers(_) => "Workers",
    };
    let job = page.selected().and_then(|id| site.job(id));
    let row = match (page, job) {
        (ScreenPage::History(chart), Some(job)) => history_row(chart, job, history),
        (ScreenPage::Workers(table), None) => match table.selected_worker(site) {
            Some((worker, running)) => {
                let (host, running) = (&worker.host, text::count_noun(running, "running job"));
                format!("worker {} on {host}, process {}, {running}", worker.id.0, worker.pid)
            }
            None => "no worker is running".to_owned(),
        },
        (ScreenPage::Changes(table), Some(job)) => {
            let kind = table.rows().get(table.selected_row()).map(|row| row.kind.as_str()).unwrap_or_default();
            format!("{}, {kind}, {}", job.path(), state_text(job, site))
        }
        (ScreenPage::Changes(_), None) => "nothing has changed".to_owned(),
        (_, Some(job)) => format!("{}, {}", job.path(), state_text(job, site)),
        (ScreenPage::Timeline(_), None) => "nothing ran in this time".to_owned(),
        (ScreenPage::Graph(_), None) => "no job of this queue needs another one".to_owned(),
        (ScreenPage::History(_) | ScreenPage::Results(_), None) => "the job was removed".to_owned(),
    };
    format!("{name}: {row}.")
}

/// The selected run with its outcome and duration.
fn history_row(chart: &RunChart, job: &Job, history: Option<&RunHistory>) -> String {
    let (runs, path) = (RunChart::runs(history, job), job.path());
    let Some(run) = runs.get(chart.selected_index(&runs)) else { return format!("{path} has not run yet") };
    let how = match &run.end {
        None => "running".to_owned(),
        Some(end) => match end.outcome.failure() {
            Some(failure) => format!("{}: {}", end.outcome, failure.message),
            None => end.outcome.to_string(),
        },
    };
    let took = run.duration().map(|took| format!(", took {}", text::duration(took))).unwrap_or_default();
    format!("{path}, run {}, {how}{took}", run.attempt)
}

impl Screen {
    /// The current queue with its state and counts, unless only the counts have changed.
    fn queue_line(&self) -> String {
        if !self.has_queue() {
            return "There are no queues yet.".to_owned();
        }
        if self.lists.shows_all_queues() {
            return "All queues.".to_owned();
        }
        self.queue
            .read(|_, site| format!("Queue {}, {}.", self.queue.id(), site.queue_status(self.queue.id()).as_str()))
    }

    /// The selected job, or that there is none.
    fn place_line(&self) -> String {
        let focus = self.lists.focus();
        let list = focus.list.as_str();
        let Some(job) = self.selected_job() else { return format!("The {list} list is empty.") };
        let (row, count) = self.queue.read(|record, _| {
            let rows = self.lists.rows(record, focus.list);
            (rows.iter().position(|id| id == job.id), rows.len())
        });
        let marked = if self.lists.marks().contains(job.id) { ", marked" } else { "" };
        let state = self.site.read(|site| state_text(&job, site));
        let of = row.map(|row| format!(" {} of {count}", row + 1)).unwrap_or_default();
        let title = job.display_title();
        match focus {
            _ if focus.output => format!("Output of {}: {title}, {state}.", job.path()),
            _ if focus.details => format!("Details of {}.", job.path()),
            _ => format!("{list}{of}: {title}, {state}{marked}."),
        }
    }

    /// The dialog, with what is selected in it.
    fn dialog_line(&self, now: DateTime<Utc>) -> String {
        let keymap = &self.settings.keymap;
        match &self.dialog {
            None => self.typing.map(|typing| format!("Keys go to {}; ^z returns.", typing.job)).unwrap_or_default(),
            Some(Dialog::Confirm { question, yes, on_no, .. }) => {
                let no = on_no.as_ref().map(|(no, _)| format!(" n: {no}.")).unwrap_or_default();
                format!("{question} y: {yes}.{no} Esc: go back.")
            }
            Some(Dialog::Add(draft)) if draft.edits_title => format!("Title: {}", draft.title.text()),
            Some(Dialog::Add(draft)) => format!("Script of the new job: {}", draft.script.text()),
            Some(Dialog::Filter(line)) => format!("Filter: {}", line.text()),
            Some(Dialog::Search(line)) => format!("Search: {}", line.text()),
            Some(Dialog::Inputs(form)) => {
                let Some(field) = form.focused() else { return form.title.clone() };
                let value = if field.declaration().is_secret() { MASK } else { field.text() };
                let error = field.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
                let (nth, count) = (form.focus + 1, form.fields.len());
                format!("{}: {nth} of {count}: {}: {value}{error}", form.title, field.declaration().name)
            }
            Some(Dialog::Menu(menu)) => {
                let items = menu.items(keymap);
                let typed = if menu.is_typing { format!("Find {}: ", menu.line.text()) } else { String::new() };
                match items.get(menu.selected) {
                    Some(item) => {
                        let (nth, count) = (menu.selected + 1, items.len());
                        format!("{typed}{nth} of {count}: {}: {}", item.keys(keymap), item.help())
                    }
                    None => format!("{typed}nothing matches."),
                }
            }
            Some(Dialog::Overview(overview)) => self.site.read(|site| {
                let rows = overview.rows(site, &|id, queue| self.stats_of(id, queue, site, now).0.time_left);
                let row = overview.selected_row(&rows);
                let typed = if overview.is_typing { format!("Find {}: ", overview.line.text()) } else { String::new() };
                let Some(selected) = rows.get(row) else { return format!("{typed}no matching queue.") };
                let (status, queue) = (site.queue_status(selected.id).as_str(), selected.queue);
                let (pending, running) = (queue.pending.len(), queue.running.len());
                let (finished, failed) = (queue.finished.len(), site.failed_count(selected.id));
                format!(
                    "{typed}Queue {} of {}: {}, {status}, {pending} pending, {running} running, {finished} finished, {failed} \
                     failed.",
                    row + 1,
                    rows.len(),
                    selected.id
                )
            }),
            Some(Dialog::Page(page)) => self.site.read(|site| page_line(page, site, self.details.history())),
            Some(Dialog::SearchAll(search)) => {
                let typed = format!("Search all output: {}", search.line.text());
                match search.hits.get(search.selected) {
                    Some(hit) => {
                        let (nth, count) = (search.selected + 1, search.hits.len());
                        let number = hit.number.map(|number| format!(" line {number}")).unwrap_or_default();
                        format!("{typed}. {nth} of {count}: {} run {}{number}: {}", hit.path, hit.run.attempt, hit.text)
                    }
                    None => typed,
                }
            }
        }
    }
}

/// The state of a job in words.
fn state_text(job: &Job, site: &SiteState) -> String {
    match job.outcome() {
        Some(outcome) => match job.failure() {
            Some(failure) => format!("{outcome}: {}", failure.message),
            None => outcome.to_string(),
        },
        None if job.phase() == Phase::Pending => {
            let waiting = site.wait_reason(job).map(|reason| waiting_text(&reason)).unwrap_or_default();
            if waiting.is_empty() { "pending".to_owned() } else { format!("pending, {waiting}") }
        }
        None => job.phase().as_str().to_owned(),
    }
}

/// Why a job is waiting, as in `setlist list`, but without times that count: each change would be printed.
fn waiting_text(reason: &WaitReason) -> String {
    match reason {
        WaitReason::Time(_) => "not due yet".to_owned(),
        WaitReason::Retry { attempt, max_attempts, .. } => format!("attempt {attempt}/{max_attempts} follows"),
        WaitReason::Schedule { shown, .. } => format!("next {}", shown.format("%Y-%m-%d %H:%M")),
        WaitReason::Pool { pool, held_by: Some((holder, _)), .. } => {
            format!("waiting for {} (held by {holder})", pool_title(pool))
        }
        other => other.describe(DateTime::<Utc>::UNIX_EPOCH),
    }
}

/// A line for each event that users care about.
fn event_lines(screen: &Screen, events: &[EventRecord]) -> Vec<String> {
    let mut lines: Vec<String> =
        screen.site.read(|site| events.iter().filter_map(|record| event_line(&record.event, site)).collect());
    let more = lines.len().saturating_sub(MAX_EVENTS);
    lines.truncate(MAX_EVENTS);
    lines.extend((more > 0).then(|| format!("And {}.", text::count_noun(more, "more change"))));
    lines
}

fn event_line(event: &Event, site: &SiteState) -> Option<String> {
    let path = |id: &JobId| site.job(*id).map(Job::path);
    Some(match event {
        Event::Started { job, .. } => format!("{} has started.", path(job)?),
        Event::Ended { job, report, .. } => {
            let took = site.job(*job).and_then(|job| job.last_run.as_ref()?.duration());
            let took = took.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
            let why = report.outcome.failure().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
            match &report.outcome {
                Outcome::Cancelled | Outcome::Interrupted => format!("{} was {}{took}.", path(job)?, report.outcome),
                outcome => format!("{} {outcome}{took}{why}.", path(job)?),
            }
        }
        Event::Cancelled { job } => format!("{} was cancelled.", path(job)?),
        Event::Skipped { job, reason } => format!("{} was skipped: {reason}.", path(job)?),
        Event::Added { job } => format!("{} was added.", job.path()),
        Event::StallChanged { job, since: Some(_), .. } => format!("{} prints nothing.", path(job)?),
        Event::Overdue { target, .. } => format!("{} is overdue.", site.target_path(target)),
        _ => return None,
    })
}

/// How many lines at the end are new: those that are not at the end of what was there before.
fn new_lines(before: &[String], now: &[String]) -> usize {
    let longest = before.len().min(now.len());
    let kept = (0..=longest).rev().find(|kept| before[before.len() - kept..] == now[..*kept]).unwrap_or(0);
    now.len() - kept
}

/// The text in an area.
fn text_in(area: Rect, drawn: &Buffer) -> Vec<String> {
    let area = area.intersection(drawn.area);
    let line = |y: u16| (area.left()..area.right()).map(|x| drawn[(x, y)].symbol()).collect::<String>();
    (area.top()..area.bottom()).map(|y| line(y).trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_lines_are_printed() {
        let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (before, now, new) in [
            ("", "a b", 2),
            ("a b", "a b", 0),
            ("a b", "a b c", 1),
            ("a b c", "b c d", 1),
            ("a b", "x", 1),
            ("a b", "", 0),
        ] {
            assert_eq!(new_lines(&lines(before), &lines(now)), new, "{before} {now}");
        }
    }
}
