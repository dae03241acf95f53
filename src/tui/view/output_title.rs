//! The parts that the titles of the output pane and of the tiles share.

use ratatui::style::{Modifier, Style};

use crate::tui::job_terminal::TypingSession;
use crate::tui::output::{OutputStyles, ViewStatus};
use crate::tui::state::ScreenSettings;
use crate::tui::theme::{Appearance, Palette, Theme};

use super::progress_bar::progress_bar;

/// The badge shown while keys are sent to a job.
pub(super) fn typing_badge(typing: TypingSession, theme: &Theme) -> (&'static str, Style) {
    let (label, style) = if typing.run_ended { (" ENDED ", theme.failure) } else { (" TYPING ", theme.accent) };
    (label, style.add_modifier(Modifier::REVERSED))
}

/// The facts at the right end of a title of this width, the most important first.
pub(super) fn status_facts(status: &ViewStatus, width: u16, appearance: &Appearance) -> Vec<(String, Style)> {
    let mut facts = Vec::new();
    if let Some(search) = status.search {
        facts.push((search.label(appearance.symbols.ellipsis), appearance.theme.warning));
    }
    facts.extend(status.new_output_label(appearance.is_ascii()).map(|label| (label, appearance.theme.accent)));
    let position = status.position_label();
    if !position.is_empty() && !status.is_following {
        facts.push((position, appearance.theme.dim));
    }
    facts.extend(progress_bar(status.progress, usize::from(width / 8).min(12), appearance));
    facts
}

/// The styles of the output.
pub(super) fn output_styles(settings: &ScreenSettings) -> OutputStyles {
    let (appearance, plain) = (&settings.appearance, Style::new());
    OutputStyles {
        text: plain,
        note: appearance.theme.dim,
        stderr: appearance.theme.failure,
        hit: appearance.theme.warning.add_modifier(Modifier::UNDERLINED),
        current_hit: plain.add_modifier(Modifier::REVERSED),
        show_colours: appearance.theme.palette != Palette::Mono,
        ascii: appearance.is_ascii(),
        to_local: settings.local,
    }
}
