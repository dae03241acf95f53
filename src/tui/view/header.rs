//! The top: a tab per queue and how many jobs of the site have failed; below it, how the queue in front goes.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::model::{Mode, QueueId, QueueRecord};
use crate::tui::layout::Layout;
use crate::tui::mouse::{Target, Targets};
use crate::tui::pulse::{Numbers, about};
use crate::tui::state::Screen;
use crate::tui::text;
use crate::tui::theme::Look;

use super::empty;
use super::paint::Strip;

/// What a queue does, as its tab says.
#[derive(Clone, Copy)]
enum State {
    Is(Mode),
    /// It is processed, and nobody is there to do it.
    Unattended,
}

/// A tab in pieces, each with its style.
struct Tab {
    /// None for all queues together.
    queue: Option<QueueId>,
    pieces: Vec<(String, Style)>,
    in_front: bool,
}

pub(super) fn draw(screen: &Screen, layout: &Layout, buffer: &mut Buffer, now: DateTime<Utc>, targets: &mut Targets) {
    let look = &screen.setup.look;
    if !layout.numbers.is_empty() {
        numbers(screen, &mut Strip::new(layout.numbers, buffer, look.signs), now);
    }
    let mut strip = Strip::new(layout.header, buffer, look.signs);
    screen.site.read(|ledger| {
        let queues = ledger.queues();
        let failed: usize = queues.iter().map(|(_, queue)| queue.failed).sum();
        if failed > 0 {
            strip.right(&format!(" {} {failed} failed ", look.signs.failed), look.theme.alarm);
        }
        let all_in_front = screen.lists.is_of_all();
        let front = |id: &QueueId| screen.has_queue() && !all_in_front && screen.queue.id() == id;
        let tabs = |words: bool| -> Vec<Tab> {
            let one = |(nth, (id, queue)): (usize, &(&QueueId, &QueueRecord))| {
                let state =
                    if screen.is_unattended(id, ledger, now) { State::Unattended } else { State::Is(queue.mode) };
                tab(nth + 1, id, queue, state, front(id), words, look)
            };
            let everything = all_in_front.then(|| all(look));
            everything.into_iter().chain(queues.iter().enumerate().map(one)).collect()
        };
        let long = tabs(true);
        let fitting = if total(&long) <= strip.room() { long } else { tabs(false) };
        let site = screen.setup.site_name.as_str();
        if layout.numbers.is_empty() && total(&fitting) + text::width(site) + 4 <= strip.room() {
            strip.right(&format!("  {site}  "), look.theme.dim);
        }
        put(&fitting, &mut strip, look, |columns, queue| targets.add(layout.header, columns, Target::Queue(queue)));
    });
}

/// How the queue in front goes, or all together, what matters most first; what doesn't fit is left out.
fn numbers(screen: &Screen, strip: &mut Strip<'_>, now: DateTime<Utc>) {
    let look = &screen.setup.look;
    let numbers = screen.numbers(now);
    let facts = if screen.lists.is_of_all() {
        screen.site.read(|ledger| {
            let all: Vec<&QueueRecord> = ledger.queues().into_iter().map(|(_, record)| record).collect();
            facts(look, &numbers, empty::standstill_of_all(screen, ledger, now), &all, now)
        })
    } else {
        screen.queue.read(|record, ledger| {
            facts(look, &numbers, empty::standstill(screen, record, ledger, now), &[record], now)
        })
    };
    for (nth, fact) in facts.iter().enumerate() {
        let apart = if nth == 0 { " ".to_owned() } else { format!("  {}  ", look.signs.dot) };
        let width: usize = fact.iter().map(|(piece, _)| text::width(piece)).sum();
        if text::width(&apart) + width > strip.room() {
            break;
        }
        strip.left(&apart, look.theme.rule);
        for (piece, style) in fact {
            strip.left(piece, *style);
        }
    }
    strip.right(&format!("  {} ", text::plain_line(&screen.setup.site_name)), look.theme.dim);
}

type Fact = Vec<(String, Style)>;

/// What there is to say of these queues; `why` nothing of them runs, if so.
fn facts(
    look: &Look,
    numbers: &Numbers,
    why: Option<(String, Style)>,
    queues: &[&QueueRecord],
    now: DateTime<Utc>,
) -> Vec<Fact> {
    let (plain, dim) = (Style::new(), look.theme.dim);
    let mut facts: Vec<Fact> = Vec::new();
    if numbers.failed > 0 {
        facts.push(vec![(format!("{} failed in 1 h", count(numbers.failed)), look.theme.bad)]);
    }
    if let Some((why, style)) = why {
        facts.push(vec![("nothing runs: ".to_owned(), dim), (why, style)]);
    }
    if let Some(left) = numbers.left {
        let left = TimeDelta::from_std(left).unwrap_or(TimeDelta::MAX);
        facts.push(vec![("done in ".to_owned(), dim), (format!("~{}", about(left)), plain)]);
    }
    if let Some(pace) = numbers.per_minute {
        let (pace, unit) = if pace < 1.0 { (60.0 * pace, "h") } else { (pace, "min") };
        facts.push(vec![(format!("{pace:.0}"), plain), (format!(" jobs/{unit}"), dim)]);
    }
    if let Some(since) = numbers.oldest {
        let waits = if now - since < TimeDelta::minutes(1) { "<1m".to_owned() } else { about(now - since) };
        facts.push(vec![("oldest wait ".to_owned(), dim), (waits, plain)]);
    }
    let finished: usize = queues.iter().map(|queue| queue.finished.len()).sum();
    let over = queues.iter().all(|queue| queue.pending.is_empty() && queue.running.is_empty());
    if facts.is_empty() && over && finished > 0 {
        let good = queues.iter().all(|queue| queue.failed == 0);
        facts.push(vec![(format!("all {} finished", count(finished)), if good { look.theme.good } else { dim })]);
    }
    facts
}

fn count(count: usize) -> String {
    text::count(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Puts as many tabs as fit, the one in front among them.
fn put(tabs: &[Tab], strip: &mut Strip<'_>, look: &Look, mut drawn: impl FnMut(Range<u16>, QueueId)) {
    let room = strip.room();
    let front = tabs.iter().position(|tab| tab.in_front).unwrap_or(0);
    let mut first = 0;
    // Room for a sign at each end.
    while first < front && total(&tabs[first..=front]) + 4 > room {
        first += 1;
    }
    if first > 0 {
        strip.left(&format!(" {}", look.signs.ellipsis), look.theme.dim);
    }
    for (nth, tab) in tabs.iter().enumerate().skip(first) {
        let more = if nth + 1 < tabs.len() { 2 } else { 0 };
        if nth > front && tab.width() + more > strip.room() {
            strip.left(&format!(" {}", look.signs.ellipsis), look.theme.dim);
            return;
        }
        let start = strip.column();
        for (piece, style) in &tab.pieces {
            strip.left(piece, *style);
        }
        if let Some(queue) = &tab.queue {
            drawn(start..strip.column(), queue.clone());
        }
    }
}

/// The tab of all queues together, while they are in front.
fn all(look: &Look) -> Tab {
    let pieces =
        vec![(" 0 ".to_owned(), look.theme.dim), ("all".to_owned(), look.theme.tab), (" ".to_owned(), Style::new())];
    Tab { queue: None, pieces, in_front: true }
}

fn tab(nth: usize, id: &QueueId, queue: &QueueRecord, state: State, in_front: bool, words: bool, look: &Look) -> Tab {
    let theme = &look.theme;
    let title = if queue.settings.title.is_empty() { id.as_str() } else { &queue.settings.title };
    let name = text::plain_line(title);
    let name = text::fit(if name.is_empty() { "\"\"" } else { &name }, 24, look.signs.ellipsis).into_owned();
    let mut pieces = vec![(" ".to_owned(), Style::new())];
    pieces.push((format!("{nth} "), theme.dim));
    pieces.push((name, if in_front { theme.tab } else { Style::new() }));
    let running = if queue.running.is_empty() { theme.dim } else { theme.live };
    pieces.push((format!(" {}/{}", queue.running.len(), queue.settings.parallel), running));
    let urgent = matches!(state, State::Unattended | State::Is(Mode::Stopped));
    if words || in_front || urgent {
        pieces.push((format!(" {}", state.words()), state.style(look)));
    }
    if queue.failed > 0 {
        pieces.push((format!(" {}{}", look.signs.failed, queue.failed), theme.bad));
    }
    pieces.push((" ".to_owned(), Style::new()));
    Tab { queue: Some(id.clone()), pieces, in_front }
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::Is(mode) => mode.word(),
            Self::Unattended => "processing, no worker",
        }
    }

    fn style(self, look: &Look) -> Style {
        match self {
            Self::Is(Mode::Idle) => look.theme.dim,
            Self::Is(Mode::Processing) => look.theme.live,
            Self::Is(Mode::Paused) => look.theme.warn,
            Self::Is(Mode::Stopped) | Self::Unattended => look.theme.bad,
        }
    }
}

fn total(tabs: &[Tab]) -> usize {
    tabs.iter().map(Tab::width).sum()
}

impl Tab {
    fn width(&self) -> usize {
        self.pieces.iter().map(|(piece, _)| text::width(piece)).sum()
    }
}
