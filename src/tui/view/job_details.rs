//! Draws the details of the selected job: its state and timeline, command, needs and runs.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Call, Job, JobState, Phase, Program, RunId, SiteState, SlowRun, Snapshot, Value};
use crate::text;
use crate::tui::action::Action;
use crate::tui::details_pane::RunHistory;
use crate::tui::due_history::DueTimesPane;
use crate::tui::layout::ScreenLayout;
use crate::tui::outcome_text::outcome_text;
use crate::tui::run_usage::RunUsage;
use crate::tui::sort_order::SortOrder;
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::detail_column::{DetailColumn, DetailLine};
use super::line_painter::{LinePainter, lines};
use super::{empty_states, job_row, time_format};

/// The minimum width for two columns.
const TWO_COLUMNS_MIN_WIDTH: u16 = 96;

/// The data from which the details are drawn.
pub(super) struct JobDetails<'a> {
    pub(super) settings: &'a ScreenSettings,
    /// The site, and the selected job.
    pub(super) site: &'a SiteState,
    pub(super) job: Option<&'a Job>,
    /// The runs of the job, once they are loaded.
    pub(super) history: Option<&'a RunHistory>,
    /// The due times of its schedule, once they are loaded.
    pub(super) due_times: &'a DueTimesPane,
    /// The run whose output is shown.
    pub(super) shown_run: Option<RunId>,
    /// Whether the details are expanded, so that nothing is left out.
    pub(super) is_expanded: bool,
    /// The order of the lists.
    pub(super) sort: SortOrder,
    /// What it uses, if it is running.
    pub(super) usage: Option<RunUsage>,
    pub(super) now: DateTime<Utc>,
}

impl JobDetails<'_> {
    /// Draws the details from line `scroll` on. Expanded details limit `scroll` to their length.
    pub(super) fn draw(&self, scroll: &mut usize, layout: &ScreenLayout, buffer: &mut Buffer) {
        let (area, body) = (layout.details, layout.details_text());
        let appearance = &self.settings.appearance;
        if area.is_empty() {
            return;
        }
        let Some(job) = self.job else {
            self.draw_title(0, area, buffer);
            empty_states::draw_note("No job selected.", appearance, body, buffer);
            return;
        };
        let has_two_columns = body.width >= TWO_COLUMNS_MIN_WIDTH;
        let width = usize::from(if has_two_columns { body.width / 2 - 1 } else { body.width });
        let column = DetailColumn {
            settings: self.settings,
            site: self.site,
            job,
            history: self.history,
            due_times: self.due_times,
            shown_run: self.shown_run,
            is_expanded: self.is_expanded,
            sort: self.sort,
            usage: self.usage,
            now: self.now,
            width,
        };
        let (overview, runs) = (column.overview(), column.run_history());
        let columns = if has_two_columns {
            vec![overview, runs]
        } else {
            vec![[overview, vec![DetailLine::new()], runs].concat()]
        };
        let height = usize::from(body.height);
        let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
        let mut first = 0;
        if self.is_expanded {
            *scroll = (*scroll).min(longest.saturating_sub(height));
            first = *scroll;
        }
        self.draw_title(longest.saturating_sub(first + height), area, buffer);
        for (index, column) in columns.iter().enumerate() {
            let x = body.x + u16::try_from(index * (width + 2)).unwrap_or(0);
            let place = Rect { x, width: u16::try_from(width).unwrap_or(body.width), ..body };
            for (line, pieces) in lines(place).zip(column.iter().skip(first)) {
                let mut painter = LinePainter::new(line, buffer, appearance.symbols);
                for (piece, style) in pieces {
                    painter.left(piece, *style);
                }
            }
        }
    }

    /// Draws the title, with the number of lines below the visible ones.
    fn draw_title(&self, hidden: usize, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let rule = if self.is_expanded { theme.focus } else { theme.rule };
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(symbols.rule, rule).left(" ", Style::new());
        painter.left("Details", if self.is_expanded { theme.focus } else { theme.title });
        if hidden > 0 {
            painter.right(&format!(" {}{hidden} ", symbols.below), theme.dim);
        }
        if let Some(job) = self.job {
            let path = text::sanitize_line(&format!("{} {}", job.id, job.path()));
            let room = painter.room().saturating_sub(5);
            painter.left(&format!(" {} ", symbols.dot), theme.dim);
            painter.left(&text::fit(&path, room, symbols.ellipsis), Style::new());
        }
        painter.left(" ", Style::new());
        painter.fill(symbols.rule, rule);
    }
}

impl DetailColumn<'_> {
    /// The lines about the job itself.
    fn overview(&self) -> Vec<DetailLine> {
        let mut lines = vec![self.title(), self.state_line()];
        lines.extend(self.findings());
        lines.extend(self.machine());
        lines.extend(self.snapshot());
        lines.push(DetailLine::new());
        lines.extend(self.timeline());
        lines.push(DetailLine::new());
        lines.extend(self.matrix_results());
        lines.extend(self.command());
        lines.extend(self.hook());
        lines.extend(self.schedule());
        lines.extend(self.expectations());
        lines.extend(self.needs());
        lines
    }

    fn title(&self) -> DetailLine {
        vec![(text::sanitize_line(&self.job.display_title()), Style::new().add_modifier(Modifier::BOLD))]
    }

    /// Its state, attempt and value.
    fn state_line(&self) -> DetailLine {
        let (job, appearance) = (self.job, self.appearance());
        let (sign, words, style) = match &job.state {
            JobState::Pending { .. } => {
                let waiting = self.site.wait_reason(job).map(|waiting| waiting.describe(self.now)).unwrap_or_default();
                let words = if waiting.is_empty() { "pending".to_owned() } else { format!("pending: {waiting}") };
                ("", words, Style::new())
            }
            JobState::Running { stop: None, .. } if job.stalled_since().is_some() => {
                let since = job.stalled_since().unwrap_or(self.now);
                let text = job_row::stalled_text(since, self.now);
                (appearance.symbols.running, format!("running, {text}"), appearance.theme.failure)
            }
            JobState::Running { stop, .. } => (
                appearance.symbols.running,
                if stop.is_some() { "stopping" } else { "running" }.to_owned(),
                appearance.theme.accent,
            ),
            JobState::Finished { outcome, .. } => {
                let (sign, style) = appearance.outcome(outcome);
                (sign, outcome_text(outcome), style)
            }
        };
        let sign = if sign.is_empty() { String::new() } else { format!("{sign} ") };
        let mut line = vec![(sign + &text::sanitize_line(&words), style)];
        if let Some(overdue) = self.site.overdue_job(job, self.now) {
            line.push((
                format!(", {}", job_row::overdue_text(overdue, self.settings, self.now)),
                appearance.theme.failure,
            ));
        }
        // What a pending job waits for says its next attempt.
        if job.phase() != Phase::Pending && job.max_attempts() > 1 && job.current_attempt() > 0 {
            line.push((format!(", attempt {} of {}", job.current_attempt(), job.max_attempts()), appearance.theme.dim));
        }
        let value = job.result_value().filter(|value| !value.is_null());
        if let Some(value) = value.map(value_text).filter(|value| !value.is_empty()) {
            line.push((format!(" {} value {value}", appearance.symbols.dot), appearance.theme.dim));
        }
        line
    }

    /// Where its last run ran, on a site of several machines.
    fn machine(&self) -> Vec<DetailLine> {
        let worker = self.job.result_run().map(|run| run.worker);
        let machine = worker.and_then(|worker| self.history.as_ref()?.machines.get(&worker));
        let Some((worker, machine)) = worker.zip(machine) else { return Vec::new() };
        self.wrapped("Ran on ", &format!("{machine}, worker {worker}"), self.appearance().theme.dim)
    }

    /// The files that it was given, if it runs on a snapshot.
    fn snapshot(&self) -> Vec<DetailLine> {
        let snapshot = self.job.snapshot().map(Snapshot::describe);
        snapshot.map(|files| self.wrapped("Files  ", &files, self.appearance().theme.dim)).unwrap_or_default()
    }

    /// Why its last run did not succeed, what usually helps, and what the run used.
    fn findings(&self) -> Vec<DetailLine> {
        let theme = &self.appearance().theme;
        let Some(run) = self.job.result_run() else { return Vec::new() };
        let Some(end) = run.end.as_ref() else {
            let usage = self.usage.map(|usage| usage.describe()).filter(|usage| !usage.is_empty());
            return usage.map(|usage| self.wrapped("Uses   ", &usage, theme.dim)).unwrap_or_default();
        };
        let mut lines = Vec::new();
        if let Some(cause) = end.cause.as_deref().filter(|cause| cause.is_informative()) {
            let style = self.appearance().outcome(&end.outcome).1;
            lines.extend(self.wrapped("Cause  ", &cause.to_string(), style));
            if let Some(advice) = cause.advice() {
                let keymap = &self.settings.keymap;
                let run = keymap.key(Action::Run);
                let keys = match cause.field_to_fix().filter(|_| self.job.name().is_some()) {
                    Some(["command"]) => format!("{} edits the command, ", keymap.key(Action::Fix)),
                    Some(field) => format!("{} edits `{}`, ", keymap.key(Action::Fix), field.join(".")),
                    None if self.job.name().is_some() => format!("{} edits it, ", keymap.key(Action::Edit)),
                    None => String::new(),
                };
                lines.extend(self.wrapped("Fix    ", &format!("{advice} {keys}{run} runs it again."), theme.dim));
            }
        }
        if let Some(usage) = &end.usage {
            lines.extend(self.wrapped("Used   ", &usage.to_string(), theme.dim));
        }
        let machines = self.history.map(|history| &history.machines);
        let host_of = |id| {
            let present = self.site.workers().find(|worker| worker.id == id).map(|worker| &*worker.host);
            present.or_else(|| machines?.get(&id).map(String::as_str))
        };
        let slow = self.history.and_then(|history| SlowRun::of_result(self.job, &history.runs, self.now, host_of));
        lines.extend(slow.into_iter().flat_map(|slow| self.wrapped("Slow   ", &slow.to_string(), theme.dim)));
        if let Some(inputs) = run.inputs.as_deref() {
            if !inputs.scaled.is_empty() {
                lines.extend(self.wrapped("Scaled ", &inputs.scaled.to_string(), theme.dim));
            }
            for problem in &inputs.unkept_limits {
                lines.extend(self.wrapped("Note   ", &format!("Limit not kept: {problem}"), theme.dim));
            }
        }
        lines
    }

    /// A name and its text, on one line, or on as many as it takes if the details are expanded.
    fn wrapped(&self, name: &str, words: &str, style: Style) -> Vec<DetailLine> {
        let (words, dim) = (text::sanitize_line(words), self.appearance().theme.dim);
        let room = self.width.saturating_sub(text::width(name)).max(1);
        if !self.is_expanded {
            let words = text::fit(&words, room, self.appearance().symbols.ellipsis).into_owned();
            return vec![vec![(name.to_owned(), dim), (words, style)]];
        }
        let mut lines = vec![String::new()];
        for word in words.split_inclusive(' ') {
            let fits = lines.last().is_some_and(|line| text::width(line) + text::width(word.trim_end()) <= room);
            match lines.last_mut() {
                Some(line) if fits || line.is_empty() => line.push_str(word),
                _ => lines.push(word.to_owned()),
            }
        }
        let name = |first: bool| if first { name.to_owned() } else { " ".repeat(text::width(name)) };
        lines.into_iter().enumerate().map(|(at, line)| vec![(name(at == 0), dim), (line, style)]).collect()
    }

    /// The stages from waiting to done, with durations and times.
    fn timeline(&self) -> Vec<DetailLine> {
        let (job, appearance) = (self.job, self.appearance());
        let (dim, live) = (appearance.theme.dim, appearance.theme.accent);
        // Runs from before the job became pending again are not part of this timeline.
        let run = job.result_run();
        let first = self.history().and_then(|history| history.runs.iter().find(|run| run.attempt > job.prior_attempts));
        let first = first.filter(|run| run.started >= job.enqueued).or(run);
        let waited = |until: DateTime<Utc>| text::duration(to_duration(until - job.enqueued));
        let mut stages: Vec<(String, String, Style)> = Vec::new();
        let enqueued = self.time_text(job.enqueued);
        match (&job.state, first, run) {
            (JobState::Pending { .. }, None, _) | (JobState::Pending { .. }, _, None) => {
                stages.push((
                    format!("waiting {}", time_format::whole_seconds(to_duration(self.now - job.enqueued))),
                    enqueued,
                    live,
                ));
                stages.push(("run".to_owned(), String::new(), dim));
                stages.push(("done".to_owned(), String::new(), dim));
            }
            (_, Some(first), Some(run)) => {
                stages.push((format!("waited {}", waited(first.started)), enqueued, Style::new()));
                if first.id != run.id {
                    let tried = run.attempt - first.attempt;
                    let words = if tried == 1 {
                        "tried once".to_owned()
                    } else {
                        format!("tried {}", text::count_noun(tried, "time"))
                    };
                    stages.push((words, self.time_text(first.started), appearance.theme.warning));
                }
                let started = self.time_text(run.started);
                match &run.end {
                    None => {
                        let expected = self.history().and_then(|history| history.median);
                        let expected = expected.map(|median| format!(" of about {}", text::duration(median)));
                        let words = format!(
                            "running {}{}",
                            time_format::elapsed_seconds(job, self.now),
                            expected.unwrap_or_default()
                        );
                        stages.push((words, started, live));
                        stages.push(("done".to_owned(), String::new(), dim));
                    }
                    Some(ending) => {
                        let ran = text::duration(run.elapsed(self.now));
                        stages.push((format!("ran {ran}"), started, Style::new()));
                        let style = appearance.outcome(&ending.outcome).1;
                        stages.push((ending.outcome.as_str().to_owned(), self.time_text(ending.at), style));
                        match &job.state {
                            JobState::Pending { .. } => stages.push(("retry".to_owned(), String::new(), dim)),
                            // It was cancelled or skipped between two attempts.
                            JobState::Finished { outcome, at } if *outcome != ending.outcome => {
                                let style = appearance.outcome(outcome).1;
                                stages.push((outcome.as_str().to_owned(), self.time_text(*at), style));
                            }
                            _ => {}
                        }
                    }
                }
            }
            (JobState::Finished { outcome, at }, ..) => {
                stages.push((format!("waited {}", waited(*at)), enqueued, Style::new()));
                stages.push((outcome.as_str().to_owned(), self.time_text(*at), appearance.outcome(outcome).1));
            }
            _ => {}
        }
        let (mut above, mut below) = (DetailLine::new(), DetailLine::new());
        let last = stages.len().saturating_sub(1);
        for (index, (words, moment, style)) in stages.into_iter().enumerate() {
            let arrow = if index < last { format!(" {} ", appearance.symbols.arrow) } else { String::new() };
            let width = text::width(&words).max(text::width(&moment));
            let (gap, padding) = (width - text::width(&words), width - text::width(&moment) + text::width(&arrow));
            above.push((words, style));
            above.push((" ".repeat(gap) + &arrow, dim));
            below.push((moment + &" ".repeat(padding), dim));
        }
        vec![above, below]
    }

    /// The command and its options.
    fn command(&self) -> Vec<DetailLine> {
        let (job, dim) = (self.job, self.appearance().theme.dim);
        let definition = &job.definition;
        let mut terms = Vec::new();
        let mut script = Vec::new();
        match &definition.call {
            Call::Script(call) => {
                match &call.program {
                    Program::Run { text, shell } => {
                        terms.push(shell.join(" "));
                        script.extend(text::sanitize(text).lines().map(|line| format!("  {line}")));
                    }
                    Program::Command(words) => {
                        script.push(format!("  {}", command_text(words)));
                    }
                }
                let exec = &call.exec;
                terms.extend(exec.cwd.as_ref().map(|cwd| format!("in {}", cwd.display())));
                terms.extend(exec.timeout.map(|timeout| format!("timeout {}", text::duration(timeout))));
                terms.extend(
                    exec.files
                        .as_ref()
                        .filter(|files| !files.sources.is_empty())
                        .map(|files| format!("if {} changed", text::sanitize_line(&files.sources.join(", ")))),
                );
                terms.extend((!exec.limits.is_empty()).then(|| format!("limits {}", exec.limits)));
                terms.extend(exec.pty.then(|| "in a terminal".to_owned()));
            }
            Call::Function(_) => script.push("  a function of this program".to_owned()),
        }
        let retries = definition.scheduling.retry.max;
        terms.extend((retries > 0).then(|| format!("retry {retries}")));
        terms.extend(
            (definition.scheduling.priority != 0).then(|| format!("priority {}", definition.scheduling.priority)),
        );
        terms.extend((definition.scheduling.weight != 1).then(|| format!("weight {}", definition.scheduling.weight)));
        let labels = &definition.scheduling.runs_on;
        terms.extend((!labels.is_empty()).then(|| format!("on {}", labels.join(" and "))));
        terms.extend(definition.scheduling.confirm.is_some().then(|| "needs approval".to_owned()));
        terms.extend((!definition.tags.is_empty()).then(|| format!("tags {}", definition.tags.join(" "))));
        let arguments = &definition.arguments;
        let positional = arguments.args.iter().map(value_text);
        let named = arguments.kwargs.iter().map(|(name, value)| format!("--{name} {}", value_text(value)));
        let passed: Vec<String> = positional.chain(named).collect();
        let mut lines = vec![self.heading("Command", &text::sanitize_line(&terms.join(", ")))];
        let script = script.into_iter().map(|line| vec![(line, Style::new())]).collect();
        lines.extend(self.limited(script, "line"));
        if !passed.is_empty() {
            let passed = text::sanitize_line(&passed.join(" "));
            lines.push(vec![("  with ".to_owned(), dim), (passed, Style::new())]);
        }
        if let Some(matrix) = &definition.matrix {
            let values = text::sanitize_line(&matrix.to_string());
            lines.push(vec![("  where ".to_owned(), dim), (values, Style::new())]);
        }
        let item_entries = &definition.scheduling.item_entries;
        if !item_entries.is_empty() {
            let entries = text::sanitize_line(&item_entries.join(", "));
            lines.push(vec![("  returns the items for ".to_owned(), dim), (entries, Style::new())]);
        }
        lines
    }

    /// The `on_finish` hook and its last result.
    fn hook(&self) -> Vec<DetailLine> {
        let Some(hook) = self.job.hook() else { return Vec::new() };
        let script = match &hook.program {
            Program::Run { text, .. } => text::sanitize(text).lines().map(|line| format!("  {line}")).collect(),
            Program::Command(words) => vec![format!("  {}", command_text(words))],
        };
        let script = script.into_iter().map(|line| vec![(line, Style::new())]).collect();
        let mut lines = vec![DetailLine::new(), self.heading("On finish", &hook.summary())];
        lines.extend(self.limited(script, "line"));
        if let Some(end) = self.history().and_then(|history| history.hook_result.as_ref()) {
            let (sign, style) = self.appearance().outcome(&end.outcome);
            let mut line = vec![(format!("  {sign} {}", outcome_text(&end.outcome)), style)];
            let last_line = text::sanitize_line(&end.last_line);
            if !last_line.is_empty() {
                line.push((format!(": {last_line}"), Style::new()));
            }
            line.push((format!("  {}", self.time_text(end.at)), self.appearance().theme.dim));
            lines.push(line);
        }
        lines
    }
}

/// A command as typed in a shell.
fn command_text(words: &[String]) -> String {
    text::sanitize_line(&text::shell_command(words))
}

fn value_text(value: &Value) -> String {
    text::sanitize_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn to_duration(delta: TimeDelta) -> std::time::Duration {
    delta.to_std().unwrap_or_default()
}
