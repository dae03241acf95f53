//! The styles in which output is drawn.

use chrono::{DateTime, NaiveDateTime, Utc};
use ratatui::style::Style;

use crate::text;

/// The styles in which output is drawn, chosen by the caller.
#[derive(Clone, Copy, Debug)]
pub struct OutputStyles {
    /// Text that the job did not style, and the background.
    pub text: Style,
    /// Notes that are not output, and timestamps.
    pub note: Style,
    /// The bar that marks standard error.
    pub stderr: Style,
    /// Search hits.
    pub hit: Style,
    /// The current search hit.
    pub current_hit: Style,
    /// Whether the job's colours are shown. Attributes such as bold and underline always are.
    pub show_colours: bool,
    /// Whether signs are drawn in ASCII.
    pub ascii: bool,
    /// Converts to local time.
    pub to_local: fn(DateTime<Utc>) -> NaiveDateTime,
}

impl OutputStyles {
    /// The style of a character to which the job gave `style`.
    pub(super) fn for_text(&self, style: Style) -> Style {
        let style =
            if self.show_colours { style } else { Style { fg: None, bg: None, underline_color: None, ..style } };
        self.text.patch(style)
    }

    pub(super) fn ellipsis(&self) -> &'static str {
        if self.ascii { text::ASCII_ELLIPSIS } else { text::ELLIPSIS }
    }
}
