//! The details of the chosen job: what it is, how it came to be where it is, what it needs, and how its runs went.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Call, Job, JobId, Ledger, On, Outcome, Phase, Program, Run, State, Value};
use crate::tui::detail::{History, took};
use crate::tui::layout::Layout;
use crate::tui::state::Screen;
use crate::tui::text;
use crate::tui::theme::Look;

use super::paint::{Strip, lines};
use super::{empty, row, when};

/// Pieces of text, each with its style.
type Line = Vec<(String, Style)>;

/// From this width on, there are two columns.
const TWO_COLUMNS: u16 = 96;
/// What is left out where there is no room for everything: further lines of a script, and further runs.
const FEW: usize = 6;
/// How deep needs of needs are looked at, and how many of them.
const DEEP: usize = 4;
const MANY: usize = 16;

/// What is drawn from.
struct Subject<'a> {
    job: &'a Job,
    ledger: &'a Ledger,
    screen: &'a Screen,
    now: DateTime<Utc>,
    /// There is room for everything.
    whole: bool,
    width: usize,
}

pub(super) fn draw(screen: &mut Screen, layout: &Layout, buffer: &mut Buffer, now: DateTime<Utc>) {
    let area = layout.detail;
    if area.is_empty() {
        return;
    }
    let whole = screen.lists.focus().detail;
    let body = layout.detail_text();
    let Some(job) = screen.chosen() else {
        title(screen, None, whole, 0, area, buffer);
        empty::note(screen, "no job is selected", body, buffer);
        return;
    };
    let two = body.width >= TWO_COLUMNS;
    let width = usize::from(if two { body.width / 2 - 1 } else { body.width });
    let columns = screen.site.read(|ledger| {
        let subject = Subject { job: &job, ledger, screen, now, whole, width };
        let (about, past) = (subject.about(), subject.past());
        if two { vec![about, past] } else { vec![[about, vec![Line::new()], past].concat()] }
    });
    let height = usize::from(body.height);
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let scroll = if whole { screen.detail.scroll.min(longest.saturating_sub(height)) } else { 0 };
    if whole {
        screen.detail.scroll = scroll;
    }
    title(screen, Some(&job), whole, longest.saturating_sub(scroll + height), area, buffer);
    let look = &screen.setup.look;
    for (nth, column) in columns.iter().enumerate() {
        let x = body.x + u16::try_from(nth * (width + 2)).unwrap_or(0);
        let place = Rect { x, width: u16::try_from(width).unwrap_or(body.width), ..body };
        for (line, pieces) in lines(place).zip(column.iter().skip(scroll)) {
            let mut strip = Strip::new(line, buffer, look.signs);
            for (piece, style) in pieces {
                strip.left(piece, *style);
            }
        }
    }
}

fn title(screen: &Screen, job: Option<&Job>, focused: bool, hidden: usize, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let rule = if focused { look.theme.focus } else { look.theme.rule };
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, rule).left(" ", Style::new());
    strip.left("Details", if focused { look.theme.focus } else { look.theme.title });
    if hidden > 0 {
        strip.right(&format!(" {}{hidden} ", look.signs.below), look.theme.dim);
    }
    if let Some(job) = job {
        let path = text::plain_line(&format!("{} {}", job.id, job.path()));
        let room = strip.room().saturating_sub(5);
        strip.left(&format!(" {} ", look.signs.dot), look.theme.dim);
        strip.left(&text::fit(&path, room, look.signs.ellipsis), Style::new());
    }
    strip.left(" ", Style::new());
    strip.fill(look.signs.rule, rule);
}

impl Subject<'_> {
    fn look(&self) -> &Look {
        &self.screen.setup.look
    }

    fn moment(&self, at: DateTime<Utc>) -> String {
        let local = self.screen.setup.local;
        when::moment(local(at), local(self.now))
    }

    /// What it is and how it stands.
    fn about(&self) -> Vec<Line> {
        let mut lines = vec![self.title(), self.standing()];
        lines.push(Line::new());
        lines.extend(self.timeline());
        lines.push(Line::new());
        lines.extend(self.command());
        lines.extend(self.hook());
        lines.extend(self.needs());
        lines
    }

    fn title(&self) -> Line {
        vec![(text::plain_line(&self.job.label()), Style::new().add_modifier(Modifier::BOLD))]
    }

    /// Its state in words, which attempt this is, and its value.
    fn standing(&self) -> Line {
        let (job, look) = (self.job, self.look());
        let (sign, words, style) = match &job.state {
            State::Pending { .. } => {
                let waiting = self.ledger.waiting(job).map(|waiting| waiting.words(self.now)).unwrap_or_default();
                let words = if waiting.is_empty() { "pending".to_owned() } else { format!("pending: {waiting}") };
                ("", words, Style::new())
            }
            State::Running { stop, .. } => {
                (look.signs.running, if stop.is_some() { "stopping" } else { "running" }.to_owned(), look.theme.live)
            }
            State::Finished { outcome, .. } => {
                let (sign, style) = look.outcome(outcome);
                (sign, row::outcome_words(outcome), style)
            }
        };
        let sign = if sign.is_empty() { String::new() } else { format!("{sign} ") };
        let mut line = vec![(sign + &text::plain_line(&words), style)];
        if job.max_attempts() > 1 && job.attempt() > 0 {
            line.push((format!(", attempt {} of {}", job.attempt(), job.max_attempts()), look.theme.dim));
        }
        let value = job.value.as_ref().filter(|value| job.outcome().is_some() && !value.is_null());
        if let Some(value) = value.map(shown).filter(|value| !value.is_empty()) {
            line.push((format!(" {} value {value}", look.signs.dot), look.theme.dim));
        }
        line
    }

    /// From waiting to done: how long, and since when.
    fn timeline(&self) -> Vec<Line> {
        let (job, look) = (self.job, self.look());
        let (dim, live) = (look.theme.dim, look.theme.live);
        // What was before it became pending anew is another story.
        let run = job.last_run.as_deref().filter(|run| run.started >= job.enqueued);
        let first = self.history().and_then(|history| history.runs.iter().find(|run| run.attempt > job.earlier));
        let first = first.filter(|run| run.started >= job.enqueued).or(run);
        let waited = |until: DateTime<Utc>| text::duration(span(until - job.enqueued));
        let mut stages: Vec<(String, String, Style)> = Vec::new();
        let enqueued = self.moment(job.enqueued);
        match (&job.state, first, run) {
            (State::Pending { .. }, None, _) | (State::Pending { .. }, _, None) => {
                stages.push((format!("waiting {}", seconds(self.now - job.enqueued)), enqueued, live));
                stages.push(("runs".to_owned(), String::new(), dim));
                stages.push(("done".to_owned(), String::new(), dim));
            }
            (_, Some(first), Some(run)) => {
                stages.push((format!("waited {}", waited(first.started)), enqueued, Style::new()));
                if first.id != run.id {
                    let tried = run.attempt - first.attempt;
                    let words = if tried == 1 { "tried".to_owned() } else { format!("tried {tried} times") };
                    stages.push((words, self.moment(first.started), look.theme.warn));
                }
                let started = self.moment(run.started);
                match &run.ending {
                    None => {
                        let about = self.history().and_then(|history| history.median);
                        let about = about.map(|median| format!(" of about {}", text::duration(median)));
                        let words = format!("running {}{}", when::elapsed(job, self.now), about.unwrap_or_default());
                        stages.push((words, started, live));
                        stages.push(("done".to_owned(), String::new(), dim));
                    }
                    Some(ending) => {
                        let ran = text::duration(when::taken(run, self.now));
                        stages.push((format!("ran {ran}"), started, Style::new()));
                        let style = look.outcome(&ending.outcome).1;
                        stages.push((ending.outcome.word().to_owned(), self.moment(ending.at), style));
                        if job.phase() == Phase::Pending {
                            stages.push(("runs again".to_owned(), String::new(), dim));
                        }
                    }
                }
            }
            (State::Finished { outcome, at }, ..) => {
                stages.push((format!("waited {}", waited(*at)), enqueued, Style::new()));
                stages.push((outcome.word().to_owned(), self.moment(*at), look.outcome(outcome).1));
            }
            _ => {}
        }
        let (mut above, mut below) = (Line::new(), Line::new());
        let last = stages.len().saturating_sub(1);
        for (nth, (words, moment, style)) in stages.into_iter().enumerate() {
            let arrow = if nth < last { format!(" {} ", look.signs.then) } else { String::new() };
            let width = text::width(&words).max(text::width(&moment));
            let (gap, under) = (width - text::width(&words), width - text::width(&moment) + text::width(&arrow));
            above.push((words, style));
            above.push((" ".repeat(gap) + &arrow, dim));
            below.push((moment + &" ".repeat(under), dim));
        }
        vec![above, below]
    }

    /// What it runs, and on what terms.
    fn command(&self) -> Vec<Line> {
        let (job, dim) = (self.job, self.look().theme.dim);
        let definition = &job.definition;
        let mut terms = Vec::new();
        let mut script = Vec::new();
        match &definition.call {
            Call::Script(call) => {
                match &call.program {
                    Program::Run { text, shell } => {
                        terms.push(shell.join(" "));
                        script.extend(text::plain(text).lines().map(|line| format!("  {line}")));
                    }
                    Program::Command(words) => {
                        script.push(format!("  {}", typed(words)));
                    }
                }
                let setup = &call.setup;
                terms.extend(setup.cwd.as_ref().map(|cwd| format!("in {}", cwd.display())));
                terms.extend(setup.timeout.map(|timeout| format!("timeout {}", text::duration(timeout))));
                terms.extend(setup.pty.then(|| "in a terminal".to_owned()));
            }
            Call::Function(_) => script.push("  a function of this program".to_owned()),
        }
        let retries = definition.terms.retry.max;
        terms.extend((retries > 0).then(|| format!("retry {retries}")));
        terms.extend((definition.terms.priority != 0).then(|| format!("priority {}", definition.terms.priority)));
        terms.extend((definition.terms.weight != 1).then(|| format!("weight {}", definition.terms.weight)));
        terms.extend(definition.terms.confirm.is_some().then(|| "asks first".to_owned()));
        terms.extend((!definition.tags.is_empty()).then(|| format!("tags {}", definition.tags.join(" "))));
        let arguments = &definition.arguments;
        let positional = arguments.args.iter().map(shown);
        let named = arguments.kwargs.iter().map(|(name, value)| format!("--{name} {}", shown(value)));
        let passed: Vec<String> = positional.chain(named).collect();
        let mut lines = vec![self.heading("Command", &text::plain_line(&terms.join(", ")))];
        let script = script.into_iter().map(|line| vec![(line, Style::new())]).collect();
        lines.extend(self.some_of(script, "line"));
        if !passed.is_empty() {
            let passed = text::plain_line(&passed.join(" "));
            lines.push(vec![("  with ".to_owned(), dim), (passed, Style::new())]);
        }
        lines
    }

    /// What is run when it has finished, and how that went.
    fn hook(&self) -> Vec<Line> {
        let Some(hook) = self.job.hook() else { return Vec::new() };
        let script = match &hook.program {
            Program::Run { text, .. } => text::plain(text).lines().map(|line| format!("  {line}")).collect(),
            Program::Command(words) => vec![format!("  {}", typed(words))],
        };
        let script = script.into_iter().map(|line| vec![(line, Style::new())]).collect();
        let mut lines = vec![Line::new(), self.heading("On finish", &hook.terms())];
        lines.extend(self.some_of(script, "line"));
        if let Some(end) = self.history().and_then(|history| history.hook_end.as_ref()) {
            let (sign, style) = self.look().outcome(&end.outcome);
            let mut line = vec![(format!("  {sign} {}", row::outcome_words(&end.outcome)), style)];
            let said = text::plain_line(&end.said);
            if !said.is_empty() {
                line.push((format!(": {said}"), Style::new()));
            }
            line.push((format!("  {}", self.moment(end.at)), self.look().theme.dim));
            lines.push(line);
        }
        lines
    }

    /// What it needs, what that needs, and who needs it.
    fn needs(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut left = MANY;
        self.tree(self.job, "", 0, &mut left, &mut lines);
        if !lines.is_empty() {
            lines.insert(0, self.heading("Needs", ""));
            lines.insert(0, Line::new());
        }
        let mut dependants = self.ledger.dependants_of(self.job.id);
        let names: Vec<String> = dependants.by_ref().take(3).map(|job| self.name(job)).collect();
        if !names.is_empty() {
            let more = dependants.count();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(Line::new());
            lines.push(self.heading("Needed by", &text::plain_line(&(names.join(", ") + &more))));
        }
        lines
    }

    fn tree(&self, job: &Job, indent: &str, depth: usize, left: &mut usize, lines: &mut Vec<Line>) {
        let look = self.look();
        let (dim, signs) = (look.theme.dim, look.signs);
        for (nth, need) in job.needs.iter().enumerate() {
            let last = nth + 1 == job.needs.len();
            let mut line = vec![(format!("{indent}{} ", if last { signs.elbow } else { signs.tee }), dim)];
            if *left == 0 {
                line[0].0 = format!("{indent}{} ", signs.elbow);
                line.push((format!("and {} more", job.needs.len() - nth), dim));
                lines.push(line);
                return;
            }
            *left -= 1;
            let needed = self.ledger.job(need.job);
            line.extend(self.need(need.job, needed));
            match need.on {
                On::Success => {}
                On::Failure => line.push((" (has to fail)".to_owned(), dim)),
                On::Finish => line.push((" (has to finish)".to_owned(), dim)),
            }
            lines.push(line);
            if let Some(needed) = needed.filter(|_| depth + 1 < DEEP) {
                let bar = if last { " " } else { signs.upright };
                self.tree(needed, &format!("{indent}{bar} "), depth + 1, left, lines);
            }
        }
    }

    /// A needed job and how it stands.
    fn need(&self, id: JobId, needed: Option<&Job>) -> Line {
        let look = self.look();
        let Some(job) = needed else {
            return vec![(format!("{} {id}, which is gone", look.signs.failed), look.theme.bad)];
        };
        let (sign, style, words) = match &job.state {
            State::Pending { .. } => {
                let words = self.ledger.waiting(job).map(|waiting| waiting.words(self.now)).unwrap_or_default();
                (look.signs.dot, look.theme.dim, if words.is_empty() { "pending".to_owned() } else { words })
            }
            State::Running { .. } => {
                (look.signs.running, look.theme.live, format!("running {}", when::elapsed(job, self.now)))
            }
            State::Finished { outcome, .. } => {
                let (sign, style) = look.outcome(outcome);
                (sign, style, row::outcome_words(outcome))
            }
        };
        let words = text::plain_line(&words);
        let words_style = if job.outcome() == Some(&Outcome::Succeeded) { look.theme.dim } else { style };
        vec![(format!("{sign} "), style), (self.name(job), Style::new()), (format!("  {words}"), words_style)]
    }

    fn name(&self, job: &Job) -> String {
        let here = job.queue == self.job.queue;
        text::plain_line(&match job.name() {
            Some(name) if here => name.to_owned(),
            None if here => job.id.to_string(),
            _ => job.path(),
        })
    }

    fn history(&self) -> Option<&History> {
        self.screen.detail.history().filter(|_| self.job.last_run.is_some())
    }

    /// Its runs: how long they took as a picture, then each of them, latest first.
    fn past(&self) -> Vec<Line> {
        let look = self.look();
        if self.job.last_run.is_none() {
            return vec![self.heading("Runs", "none yet")];
        }
        let Some(history) = self.history() else {
            return vec![self.heading("Runs", &format!("looking{}", look.signs.ellipsis))];
        };
        // The copy of the site may know more of the latest run than was known when the store was asked.
        let latest = self.job.last_run.as_deref();
        let mut runs: Vec<&Run> =
            history.runs.iter().filter(|run| latest.is_none_or(|last| run.id < last.id)).collect();
        runs.extend(latest);
        let counted = history.counted;
        let kind = match (history.good, counted) {
            (true, 1) => "success",
            (true, _) => "successes",
            (false, 1) => "run",
            (false, _) => "runs",
        };
        let median = history.median.map(|median| format!("median {} of {counted} {kind}", text::duration(median)));
        let mut lines = vec![self.heading("Runs", &median.unwrap_or_default())];
        if counted > 1 || runs.len() > 2 {
            lines.extend(self.sparkline(&runs));
        }
        let rows = runs.iter().rev().map(|run| self.run(run)).collect();
        lines.extend(self.some_of(rows, "run"));
        lines
    }

    /// A bar for each run, as high as it was long, and a sign below each that did not succeed.
    fn sparkline(&self, runs: &[&Run]) -> Vec<Line> {
        let look = self.look();
        let room = self.width.saturating_sub(2);
        let ended: Vec<&&Run> = runs.iter().filter(|run| run.ending.is_some()).collect();
        let ended = &ended[ended.len().saturating_sub(room)..];
        let longest = ended.iter().filter_map(|run| took(run)).max().unwrap_or_default().as_millis().max(1);
        let (mut bars, mut marks) = (vec![("  ".to_owned(), Style::new())], vec![("  ".to_owned(), Style::new())]);
        let mut any = false;
        for run in ended {
            let Some(ending) = &run.ending else { continue };
            let (sign, style) = look.outcome(&ending.outcome);
            let good = ending.outcome == Outcome::Succeeded;
            any |= !good;
            let steps = look.signs.bars.len() as u128;
            let height = took(run).unwrap_or_default().as_millis() * steps / (longest + 1);
            let bar = look.signs.bars[usize::try_from(height).unwrap_or(0).min(look.signs.bars.len() - 1)];
            bars.push((bar.to_owned(), style));
            marks.push((if good { " " } else { sign }.to_owned(), style));
        }
        if any { vec![bars, marks] } else { vec![bars] }
    }

    fn run(&self, run: &Run) -> Line {
        let look = self.look();
        let shown = self.screen.output.run() == Some(run.id);
        let (sign, style, words) = match &run.ending {
            None => (look.signs.running, look.theme.live, "running".to_owned()),
            Some(ending) => {
                let (sign, style) = look.outcome(&ending.outcome);
                (sign, style, row::outcome_words(&ending.outcome))
            }
        };
        let moment = self.moment(run.started);
        let took = text::duration(when::taken(run, self.now));
        let (number, ellipsis) = (format!("{:>4} ", run.attempt), look.signs.ellipsis);
        let fixed = 2 + text::width(&number) + 1 + text::width(&moment) + 10;
        let words = text::pad(&text::plain_line(&words), self.width.saturating_sub(fixed).clamp(9, 34), ellipsis);
        let words_style = if run.ending.as_ref().is_some_and(|end| end.outcome == Outcome::Succeeded) {
            look.theme.dim
        } else {
            style
        };
        vec![
            (if shown { look.signs.cursor } else { " " }.to_owned(), look.theme.live),
            (sign.to_owned(), style),
            (number, Style::new()),
            (words, words_style),
            (format!(" {moment}"), look.theme.dim),
            (format!(" {took:>8}"), look.theme.dim),
        ]
    }

    fn heading(&self, heading: &str, note: &str) -> Line {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        vec![(heading.to_owned(), bold), (format!("  {note}"), self.look().theme.dim)]
    }

    /// Some of the lines, and how many there are besides; all where there is room.
    fn some_of(&self, mut lines: Vec<Line>, what: &str) -> Vec<Line> {
        let more = if self.whole { 0 } else { lines.len().saturating_sub(FEW) };
        // A line that says that there is one more is no shorter than that one.
        if more > 1 {
            let look = self.look();
            lines.truncate(FEW);
            lines.push(vec![(format!("  {} {more} more {what}s", look.signs.ellipsis), look.theme.dim)]);
        }
        lines
    }
}

/// A command as one would type it.
fn typed(words: &[String]) -> String {
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    text::plain_line(&quoted.unwrap_or_else(|_| words.join(" ")))
}

fn shown(value: &Value) -> String {
    text::plain_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn span(delta: TimeDelta) -> std::time::Duration {
    delta.to_std().unwrap_or_default()
}

/// In whole seconds, so that the last digit doesn't flicker.
fn seconds(delta: TimeDelta) -> String {
    let whole = delta.num_seconds().max(0);
    if whole < 60 { format!("{whole}s") } else { text::duration(span(TimeDelta::seconds(whole))) }
}
