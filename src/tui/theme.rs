//! How things look: sixteen colours on the terminal's own background, or none at all, and the signs.
//!
//! Nothing is told by colour alone: every colour comes with a sign or a word. For eyes that red and green look alike to
//! there is a palette of blue and orange, whose colours are fixed ones, so that they are what they were chosen to be.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

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

/// What somebody wants it to look like; what they say nothing of is taken from the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taste {
    /// Which colours.
    pub theme: ThemeName,
    /// Whether only ASCII is drawn.
    pub ascii: Option<bool>,
}

/// The themes by the names that people give them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// What suits the environment.
    #[default]
    Auto,
    /// This one.
    Of(Palette),
}

/// Which colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light one.
    Light,
    /// Blue and orange in place of green and red, for a dark background.
    Colorblind,
    /// The same for a light one.
    ColorblindLight,
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
    /// The one thing that must be seen first.
    pub alarm: Style,
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
    pub mark: &'static str,
    pub rule: &'static str,
    pub upright: &'static str,
    pub above: &'static str,
    pub below: &'static str,
    pub dot: &'static str,
    pub ellipsis: &'static str,
    pub then: &'static str,
    pub tee: &'static str,
    pub elbow: &'static str,
    /// From low to high.
    pub bars: [&'static str; 8],
}

impl Look {
    /// The look of this palette, with signs in ASCII only or not.
    pub fn new(palette: Palette, ascii: bool) -> Self {
        Self { theme: Theme::new(palette), signs: if ascii { &Signs::ASCII } else { &Signs::PRETTY } }
    }

    /// The look that somebody wants; `NO_COLOR`, `TERM`, `COLORFGBG` and the locale are asked for what they left open.
    /// A theme that they name goes before `NO_COLOR`, as its own rules have it.
    pub fn of(taste: Taste, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        let term = text("TERM").unwrap_or_default();
        let light = text("COLORFGBG").is_some_and(|both| matches!(both.rsplit(';').next(), Some("7" | "15")));
        let palette = match taste.theme {
            ThemeName::Of(palette) => palette,
            ThemeName::Auto if text("NO_COLOR").is_some() || term == "dumb" => Palette::Mono,
            ThemeName::Auto if light => Palette::Light,
            ThemeName::Auto => Palette::Dark,
        };
        let locale = || text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG")).unwrap_or_default();
        let ascii = taste.ascii.unwrap_or_else(|| term == "linux" || matches!(locale().as_str(), "C" | "POSIX"));
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
            alarm: bold.add_modifier(Modifier::REVERSED),
            warn: bold,
            live: bold,
            key: bold,
        };
        let cursor = bold.bg(Color::Blue).fg(Color::White);
        match palette {
            Palette::Mono => mono,
            Palette::Dark => mono.coloured(Color::Cyan, Color::Green, Color::LightRed, Color::Yellow, cursor),
            Palette::Light => mono.coloured(Color::Blue, Color::Green, Color::Red, Color::Magenta, cursor),
            // Of the 240 colours that terminals don't redefine.
            Palette::Colorblind => {
                let cursor = bold.bg(Color::Indexed(25)).fg(Color::Indexed(231));
                mono.coloured(Color::Indexed(231), Color::Indexed(39), Color::Indexed(208), Color::Indexed(222), cursor)
            }
            Palette::ColorblindLight => {
                let cursor = bold.bg(Color::Indexed(25)).fg(Color::Indexed(231));
                mono.coloured(Color::Indexed(16), Color::Indexed(26), Color::Indexed(166), Color::Indexed(90), cursor)
            }
        }
    }

    /// The same with colours.
    fn coloured(self, live: Color, good: Color, bad: Color, warn: Color, cursor: Style) -> Self {
        let plain = Style::new();
        Self {
            focus: self.focus.fg(live),
            tab: self.tab.fg(live),
            cursor,
            good: plain.fg(good),
            bad: self.bad.fg(bad),
            alarm: self.alarm.fg(bad),
            warn: plain.fg(warn),
            live: plain.fg(live),
            key: plain.fg(live),
            ..self
        }
    }
}

impl Palette {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Dark, Self::Light, Self::Colorblind, Self::ColorblindLight, Self::Mono];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Colorblind => "colorblind",
            Self::ColorblindLight => "colorblind-light",
            Self::Mono => "mono",
        }
    }
}

impl ThemeName {
    /// All names that can be given.
    pub fn names() -> impl Iterator<Item = &'static str> {
        std::iter::once("auto").chain(Palette::ALL.into_iter().map(Palette::name))
    }
}

impl FromStr for ThemeName {
    type Err = UnknownTheme;

    fn from_str(name: &str) -> Result<Self, UnknownTheme> {
        let palette = || Palette::ALL.into_iter().find(|palette| palette.name() == name);
        if name == "auto" { Ok(Self::Auto) } else { palette().map(Self::Of).ok_or(UnknownTheme) }
    }
}

impl fmt::Display for ThemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Of(palette) => palette.name(),
        })
    }
}

/// No theme has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownTheme;

impl fmt::Display for UnknownTheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = ThemeName::names().collect();
        write!(f, "no such theme; there are {}", names.join(", "))
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
        // A braille sign: one cell wide everywhere, and like nothing else here.
        mark: "•",
        rule: "─",
        upright: "│",
        above: "↑",
        below: "↓",
        dot: "·",
        ellipsis: "…",
        then: "▸",
        tee: "├",
        elbow: "└",
        bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
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
        mark: "*",
        rule: "-",
        upright: "|",
        above: "^",
        below: "v",
        dot: "-",
        ellipsis: "~",
        then: ">",
        tee: "|",
        elbow: "`",
        bars: ["_", ".", ":", "-", "=", "+", "*", "#"],
    };
}
