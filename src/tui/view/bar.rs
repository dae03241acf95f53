//! How far a job says it is, as a bar.

use ratatui::style::Style;

use crate::tui::output::Progress;
use crate::tui::theme::Look;

/// `━━━─── 42%` with so many cells for the bar itself, or a word where it isn't known how far it is; none where nothing is
/// said.
pub(super) fn bar(progress: Progress, cells: usize, look: &Look) -> Option<(String, Style)> {
    let (full, empty) = if look.is_ascii() { ("#", ".") } else { ("━", "─") };
    let (word, style) = match progress {
        Progress::None => return None,
        Progress::Indeterminate => return Some(("working".to_owned(), look.theme.live)),
        Progress::Normal(_) => ("", look.theme.live),
        Progress::Error(_) => (" error", look.theme.bad),
        Progress::Paused(_) => (" paused", look.theme.warn),
    };
    let percent = progress.percent()?;
    let done = usize::from(percent) * cells / 100;
    let gap = if cells > 0 { " " } else { "" };
    Some((format!("{}{}{gap}{percent}%{word}", full.repeat(done), empty.repeat(cells - done)), style))
}
