//! What stands where there is nothing to show: always with the key to press.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Ledger, Mode, Phase, QueueRecord, Waiting};
use crate::tui::action::Action;
use crate::tui::layout::SMALLEST;
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::{Strip, lines};

/// So many pending jobs are looked at to tell whether any of them could start: no frame looks at all.
const LOOKED_AT: usize = 64;

/// Why a list is empty, and what fills it.
pub(super) fn list(
    screen: &Screen,
    phase: Phase,
    (record, ledger): (&QueueRecord, &Ledger),
    area: Rect,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) {
    let all = screen.lists.is_of_all();
    let add = screen.key(Action::Add);
    let words = match (!screen.lists.filter_text().is_empty(), phase) {
        _ if screen.lists.is_scanning() => "looking…".to_owned(),
        (true, _) => format!("nothing matches; {} shows all", screen.key(Action::Back)),
        (false, Phase::Pending) if all => "nothing waits".to_owned(),
        (false, Phase::Pending) => format!("nothing waits: {add} adds a job"),
        (false, Phase::Running) => {
            let why =
                if all { standstill_of_all(screen, ledger, now) } else { standstill(screen, record, ledger, now) };
            match why {
                Some((why, _)) => format!("nothing runs: {why}"),
                None if all || record.pending.is_empty() => "nothing runs".to_owned(),
                None => "the next one starts soon".to_owned(),
            }
        }
        (false, Phase::Finished) => "nothing has finished yet".to_owned(),
    };
    note(screen, &words, area, buffer);
}

/// Why nothing of the queue in front runs though something waits, and how bad that is; none if something runs, or will in
/// a moment.
pub(super) fn standstill(
    screen: &Screen,
    record: &QueueRecord,
    ledger: &Ledger,
    now: DateTime<Utc>,
) -> Option<(String, Style)> {
    let theme = &screen.setup.look.theme;
    let first = ledger.job(*record.pending.front()?)?;
    if !record.running.is_empty() {
        return None;
    }
    let process = screen.key(Action::Process);
    let queue = screen.queue.id();
    Some(match record.mode {
        Mode::Idle if can_start(record, ledger) => (format!("{process} processes the queue"), theme.dim),
        Mode::Paused => (format!("paused; {process} goes on"), theme.warn),
        Mode::Stopped => (format!("stopped by a failure; {process} goes on"), theme.bad),
        Mode::Processing if screen.is_unattended(queue, ledger, now) => {
            (format!("no worker; {process} starts one"), theme.bad)
        }
        Mode::Processing | Mode::Idle => match ledger.waiting(first)? {
            Waiting::Turn => return None,
            waiting => {
                let words = Some(waiting.words(now)).filter(|words| !words.is_empty())?;
                let style = if matches!(waiting, Waiting::Confirm) { theme.warn } else { theme.dim };
                let label = text::plain_line(&first.label());
                let label = text::fit(&label, 24, screen.setup.look.signs.ellipsis);
                (format!("{label} waits, {}", text::plain_line(&words)), style)
            }
        },
    })
}

/// Why nothing of any queue runs though something waits, the worst reason first.
pub(super) fn standstill_of_all(screen: &Screen, ledger: &Ledger, now: DateTime<Utc>) -> Option<(String, Style)> {
    let theme = &screen.setup.look.theme;
    let queues = ledger.queues();
    if queues.iter().any(|(_, queue)| !queue.running.is_empty()) {
        return None;
    }
    let waiting = || queues.iter().filter(|(_, queue)| !queue.pending.is_empty());
    let process = screen.key(Action::ProcessAll);
    if waiting().any(|(id, _)| screen.is_unattended(id, ledger, now)) {
        return Some((format!("no worker; {process} starts one"), theme.bad));
    }
    let held = |mode, how| {
        let names: Vec<&str> = waiting().filter(|(_, queue)| queue.mode == mode).map(|(id, _)| id.as_str()).collect();
        match names[..] {
            [] => None,
            [name] => {
                Some(format!("{} is {how}", text::fit(&text::plain_line(name), 24, screen.setup.look.signs.ellipsis)))
            }
            _ => Some(format!("{} queues are {how}", names.len())),
        }
    };
    let idle = || waiting().any(|(_, queue)| queue.mode == Mode::Idle && can_start(queue, ledger));
    let stopped = held(Mode::Stopped, "stopped by a failure").map(|why| (why, theme.bad));
    let paused = || held(Mode::Paused, "paused").map(|why| (why, theme.warn));
    stopped.or_else(paused).or_else(|| idle().then(|| (format!("{process} processes all queues"), theme.dim)))
}

/// Whether a job of an idle queue would start if it were processed, as far as a look at the next ones tells.
fn can_start(record: &QueueRecord, ledger: &Ledger) -> bool {
    let next = record.pending.iter().take(LOOKED_AT);
    record.pending.len() > LOOKED_AT
        || next.filter_map(|id| ledger.waiting(ledger.job(*id)?)).any(|waiting| waiting == Waiting::Process)
}

/// A dimmed line at the top of a pane.
pub(super) fn note(screen: &Screen, words: &str, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    Strip::new(area, buffer, look.signs).left("   ", Style::new()).left(words, look.theme.dim);
}

/// A site without queues.
pub(super) fn no_queues(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let edit = screen.key(Action::Edit);
    let words = [
        "There are no queues yet.",
        "",
        &format!("{edit} opens jobs.yaml in your editor; for instance:"),
        "",
        "  queues:",
        "    build:",
        "      - cargo test",
    ];
    for (line, words) in lines(area).skip(1).zip(words) {
        Strip::new(line, buffer, look.signs).left("   ", Style::new()).left(words, Style::new());
    }
}

/// A terminal in which nothing fits: what is needed, then failures, quit and help as far as there is room.
pub(super) fn too_small(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let failed: usize = screen.site.read(|ledger| ledger.queues().iter().map(|(_, queue)| queue.failed).sum());
    let need = format!("needs {}x{}, has {}x{}", SMALLEST.width, SMALLEST.height, area.width, area.height);
    let failures = if failed > 0 { format!("{} {failed} failed", look.signs.failed) } else { String::new() };
    let quit = format!("{} quits", screen.key(Action::Quit));
    let words = [(failures, look.theme.bad), (need, Style::new()), (quit, look.theme.dim)];
    let said = words.into_iter().filter(|(words, _)| !words.is_empty());
    for (line, (words, style)) in lines(area).zip(said) {
        Strip::new(line, buffer, look.signs).left(&text::plain_line(&words), style);
    }
}
