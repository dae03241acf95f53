//! How things look: sixteen colours on the terminal's own background, or none at all, and the signs.
//!
//! Nothing is told by colour alone: every colour comes with a sign or a word.

use std::ffi::OsString;

use ratatui::style::{Color, Modifier, Style};

use crate::model::Outcome;

/// Colours and signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The styles.
    pub theme: Theme,
    /// The signs.
    pub signs: &'static Signs,
}

/// Which colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light one.
    Light,
    /// No colour is set anywhere, as `NO_COLOR` asks; bold, dim and reverse remain.
    Mono,
}

/// A style for each meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Which palette this is.
    pub palette: Palette,
    /// What is of less interest now.
    pub dim: Style,
    /// Lines between panes.
    pub rule: Style,
    /// The title of a pane.
    pub title: Style,
    /// The title of the pane that has the focus.
    pub focus: Style,
    /// The tab in front.
    pub tab: Style,
    /// The row under the cursor.
    pub cursor: Style,
    /// The row that would be under the cursor if its pane had the focus.
    pub marked: Style,
    /// Something went well.
    pub good: Style,
    /// Something went wrong.
    pub bad: Style,
    /// Something needs thought.
    pub warn: Style,
    /// Something is going on.
    pub live: Style,
    /// A key in a hint.
    pub key: Style,
}

/// The signs, each one cell wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named for what they stand for")]
pub struct Signs {
    pub succeeded: &'static str,
    pub failed: &'static str,
    pub cancelled: &'static str,
    pub interrupted: &'static str,
    pub skipped: &'static str,
    pub running: &'static str,
    pub stopping: &'static str,
    pub asked: &'static str,
    pub cursor: &'static str,
    pub rule: &'static str,
    pub upright: &'static str,
    pub above: &'static str,
    pub below: &'static str,
    pub dot: &'static str,
    pub ellipsis: &'static str,
}

impl Look {
    /// The look of this palette, with signs in ASCII only or not.
    pub fn new(palette: Palette, ascii: bool) -> Self {
        Self { theme: Theme::new(palette), signs: if ascii { &Signs::ASCII } else { &Signs::PRETTY } }
    }

    /// The look that suits the environment: `NO_COLOR`, `TERM`, `COLORFGBG` and the locale are asked for.
    pub fn of_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        let term = text("TERM").unwrap_or_default();
        let light = text("COLORFGBG").is_some_and(|both| matches!(both.rsplit(';').next(), Some("7" | "15")));
        let palette = match () {
            () if text("NO_COLOR").is_some() || term == "dumb" => Palette::Mono,
            () if light => Palette::Light,
            () => Palette::Dark,
        };
        let locale = text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG")).unwrap_or_default();
        let ascii = term == "linux" || matches!(locale.as_str(), "C" | "POSIX");
        Self::new(palette, ascii)
    }

    /// Whether only ASCII is drawn.
    pub fn is_ascii(&self) -> bool {
        *self.signs == Signs::ASCII
    }

    /// The sign and the style of an outcome.
    pub fn outcome(&self, outcome: &Outcome) -> (&'static str, Style) {
        match outcome {
            Outcome::Succeeded => (self.signs.succeeded, self.theme.good),
            Outcome::Failed(_) => (self.signs.failed, self.theme.bad),
            Outcome::Cancelled => (self.signs.cancelled, self.theme.dim),
            Outcome::Interrupted => (self.signs.interrupted, self.theme.bad),
            Outcome::Skipped { .. } => (self.signs.skipped, self.theme.dim),
        }
    }
}

impl Theme {
    /// The styles of a palette.
    pub fn new(palette: Palette) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let mono = Self {
            palette,
            dim,
            rule: dim,
            title: plain,
            focus: bold,
            tab: bold.add_modifier(Modifier::UNDERLINED),
            cursor: plain.add_modifier(Modifier::REVERSED),
            marked: plain,
            good: plain,
            bad: bold,
            warn: bold,
            live: bold,
            key: bold,
        };
        let cursor = Style::new().bg(Color::Blue).fg(Color::White).add_modifier(Modifier::BOLD);
        match palette {
            Palette::Mono => mono,
            Palette::Dark => Self {
                focus: bold.fg(Color::Cyan),
                tab: bold.fg(Color::Cyan).add_modifier(Modifier::UNDERLINED),
                cursor,
                good: plain.fg(Color::Green),
                bad: bold.fg(Color::LightRed),
                warn: plain.fg(Color::Yellow),
                live: plain.fg(Color::Cyan),
                key: plain.fg(Color::Cyan),
                ..mono
            },
            Palette::Light => Self {
                focus: bold.fg(Color::Blue),
                tab: bold.fg(Color::Blue).add_modifier(Modifier::UNDERLINED),
                cursor,
                good: plain.fg(Color::Green),
                bad: bold.fg(Color::Red),
                warn: plain.fg(Color::Magenta),
                live: plain.fg(Color::Blue),
                key: plain.fg(Color::Blue),
                ..mono
            },
        }
    }
}

impl Signs {
    /// One cell wide in every locale.
    pub const PRETTY: Self = Self {
        succeeded: "✓",
        failed: "✗",
        cancelled: "⊘",
        interrupted: "!",
        skipped: "~",
        running: "▸",
        stopping: "▪",
        asked: "»",
        cursor: "›",
        rule: "─",
        upright: "│",
        above: "↑",
        below: "↓",
        dot: "·",
        ellipsis: "…",
    };

    /// For terminals and fonts that have nothing else.
    pub const ASCII: Self = Self {
        succeeded: "+",
        failed: "x",
        cancelled: "-",
        interrupted: "!",
        skipped: "~",
        running: ">",
        stopping: "#",
        asked: "*",
        cursor: ">",
        rule: "-",
        upright: "|",
        above: "^",
        below: "v",
        dot: "-",
        ellipsis: "~",
    };
}
