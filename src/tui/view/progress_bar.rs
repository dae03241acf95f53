//! Draws the progress that a job reports as a bar.

use ratatui::style::Style;

use crate::tui::output::JobProgress;
use crate::tui::theme::Appearance;

/// `━━━─── 42%` with a bar of `width` cells, or a word if the percentage is unknown. `None` if the job reports no
/// progress.
pub(super) fn progress_bar(progress: JobProgress, width: usize, appearance: &Appearance) -> Option<(String, Style)> {
    let (full, empty) = if appearance.is_ascii() { ("#", ".") } else { ("━", "─") };
    let (word, style) = match progress {
        JobProgress::None => return None,
        JobProgress::Indeterminate => return Some(("working".to_owned(), appearance.theme.accent)),
        JobProgress::Normal(_) => ("", appearance.theme.accent),
        JobProgress::Error(_) => (" error", appearance.theme.failure),
        JobProgress::Paused(_) => (" paused", appearance.theme.warning),
    };
    let percent = progress.percent()?;
    let done = usize::from(percent) * width / 100;
    let gap = if width > 0 { " " } else { "" };
    Some((format!("{}{}{gap}{percent}%{word}", full.repeat(done), empty.repeat(width - done)), style))
}
