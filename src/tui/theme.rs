//! The appearance: sixteen colours on the terminal's background, or no colours, and symbols.
//!
//! No meaning is conveyed by colour alone: every colour comes with a symbol or a word. For colour-blind users there is a
//! palette of blue and orange, from the colours that terminals don't redefine.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};

use crate::model::Outcome;

use super::role_colors::{ColorRole, RoleColors};

/// Colours and symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// The styles.
    pub theme: Theme,
    /// The symbols.
    pub symbols: &'static Symbols,
}

/// The wanted appearance; the environment decides what is unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppearanceOptions {
    /// The theme.
    pub theme: ThemeName,
    /// Whether to draw only ASCII.
    pub ascii: Option<bool>,
    /// The colours that replace those of the theme.
    pub colors: RoleColors,
}

/// A theme by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// Chosen from the environment.
    #[default]
    Auto,
    /// This palette.
    Palette(Palette),
}

/// A set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// Blue and orange in place of green and red, for a dark background.
    Colorblind,
    /// Blue and orange for a light background.
    ColorblindLight,
    /// No colours, as with `NO_COLOR`; only bold, dim and reverse.
    Mono,
}

/// A style for each meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// The palette.
    pub palette: Palette,
    /// Less important text.
    pub dim: Style,
    /// Lines between panes.
    pub rule: Style,
    /// The title of a pane.
    pub title: Style,
    /// The title of the focused pane.
    pub focus: Style,
    /// The current tab.
    pub tab: Style,
    /// The row under the cursor.
    pub cursor: Style,
    /// The selected row of a pane without the focus.
    pub selected: Style,
    /// Success.
    pub success: Style,
    /// Failure.
    pub failure: Style,
    /// The most important failure.
    pub critical: Style,
    /// A warning.
    pub warning: Style,
    /// What is active: jobs that run, and the cursor's sign.
    pub accent: Style,
    /// A key in a hint.
    pub key: Style,
}

/// The symbols, each one cell wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named for what they stand for")]
pub struct Symbols {
    pub succeeded: &'static str,
    pub failed: &'static str,
    pub cancelled: &'static str,
    pub interrupted: &'static str,
    pub skipped: &'static str,
    pub running: &'static str,
    pub stopping: &'static str,
    pub requested: &'static str,
    pub overdue: &'static str,
    pub cursor: &'static str,
    pub mark: &'static str,
    pub rule: &'static str,
    pub vertical: &'static str,
    pub above: &'static str,
    pub below: &'static str,
    pub dot: &'static str,
    pub ellipsis: &'static str,
    pub arrow: &'static str,
    pub tee: &'static str,
    pub elbow: &'static str,
    /// Top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    pub bar: &'static str,
    pub wait: &'static str,
    pub path: &'static str,
    /// From low to high.
    pub bars: [&'static str; 8],
}

impl Appearance {
    /// The appearance with this palette, in ASCII only or not.
    pub fn new(palette: Palette, ascii: bool) -> Self {
        Self { theme: Theme::new(palette), symbols: if ascii { &Symbols::ASCII } else { &Symbols::UNICODE } }
    }

    /// The wanted appearance; `NO_COLOR`, `TERM`, `COLORFGBG` and the locale decide what is unset. A named theme overrides
    /// `NO_COLOR`.
    pub fn resolve(taste: AppearanceOptions, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        let term = text("TERM").unwrap_or_default();
        let light = text("COLORFGBG").is_some_and(|both| matches!(both.rsplit(';').next(), Some("7" | "15")));
        let palette = match taste.theme {
            ThemeName::Palette(palette) => palette,
            ThemeName::Auto if text("NO_COLOR").is_some() || term == "dumb" => Palette::Mono,
            ThemeName::Auto if light => Palette::Light,
            ThemeName::Auto => Palette::Dark,
        };
        let locale = || text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG")).unwrap_or_default();
        let ascii = taste.ascii.unwrap_or_else(|| term == "linux" || matches!(locale().as_str(), "C" | "POSIX"));
        let appearance = Self::new(palette, ascii);
        let has_true_color = text("COLORTERM").is_some_and(|value| matches!(&*value, "truecolor" | "24bit"));
        let colors = if has_true_color { taste.colors } else { taste.colors.without_true_color() };
        Self { theme: appearance.theme.with_colors(&colors), ..appearance }
    }

    /// Whether only ASCII is drawn.
    pub fn is_ascii(&self) -> bool {
        *self.symbols == Symbols::ASCII
    }

    /// The symbol and the style of an outcome.
    pub fn outcome(&self, outcome: &Outcome) -> (&'static str, Style) {
        match outcome {
            Outcome::Succeeded => (self.symbols.succeeded, self.theme.success),
            Outcome::Failed(_) => (self.symbols.failed, self.theme.failure),
            Outcome::Cancelled => (self.symbols.cancelled, self.theme.dim),
            Outcome::Interrupted | Outcome::Unreachable { .. } => (self.symbols.interrupted, self.theme.failure),
            Outcome::Skipped { .. } => (self.symbols.skipped, self.theme.dim),
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
            selected: plain,
            success: plain,
            failure: bold,
            critical: bold.add_modifier(Modifier::REVERSED),
            warning: bold,
            accent: bold,
            key: bold,
        };
        let cursor = bold.bg(Color::Blue).fg(Color::White);
        match palette {
            Palette::Mono => mono,
            Palette::Dark => mono.coloured(Color::Cyan, Color::Green, Color::LightRed, Color::Yellow, cursor),
            Palette::Light => mono.coloured(Color::Blue, Color::Green, Color::Red, Color::Magenta, cursor),
            // From the 240 colours that terminals don't redefine.
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

    /// The theme with other colours for some roles. A theme without colours stays without.
    #[must_use]
    pub fn with_colors(self, colors: &RoleColors) -> Self {
        if self.palette == Palette::Mono {
            return self;
        }
        let of = |style: Style, role| colors.get(role).map_or(style, |color| style.fg(color));
        let selection = colors.get(ColorRole::Selection);
        let cursor = selection.map_or(self.cursor, |color| self.cursor.bg(color));
        let accented = |style| of(style, ColorRole::Accent);
        // A colour for less important text replaces its dimness, which would add to it.
        let undimmed = |style: Style, role| match colors.get(role) {
            Some(color) => Style { add_modifier: style.add_modifier - Modifier::DIM, ..style.fg(color) },
            None => style,
        };
        Self {
            dim: undimmed(self.dim, ColorRole::Dim),
            rule: undimmed(self.rule, ColorRole::Rule),
            focus: accented(self.focus),
            tab: accented(self.tab),
            accent: accented(self.accent),
            key: accented(self.key),
            cursor: of(cursor, ColorRole::SelectionText),
            success: of(self.success, ColorRole::Success),
            failure: of(self.failure, ColorRole::Failure),
            critical: of(self.critical, ColorRole::Failure),
            warning: of(self.warning, ColorRole::Warning),
            ..self
        }
    }

    /// Adds colours.
    fn coloured(self, accent: Color, success: Color, failure: Color, warning: Color, cursor: Style) -> Self {
        let plain = Style::new();
        Self {
            focus: self.focus.fg(accent),
            tab: self.tab.fg(accent),
            cursor,
            success: plain.fg(success),
            failure: self.failure.fg(failure),
            critical: self.critical.fg(failure),
            warning: plain.fg(warning),
            accent: plain.fg(accent),
            key: plain.fg(accent),
            ..self
        }
    }
}

impl Palette {
    /// All palettes.
    pub const ALL: [Self; 5] = [Self::Dark, Self::Light, Self::Colorblind, Self::ColorblindLight, Self::Mono];

    /// The name.
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
    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        std::iter::once("auto").chain(Palette::ALL.into_iter().map(Palette::name))
    }
}

impl FromStr for ThemeName {
    type Err = UnknownTheme;

    fn from_str(name: &str) -> Result<Self, UnknownTheme> {
        let palette = || Palette::ALL.into_iter().find(|palette| palette.name() == name);
        if name == "auto" { Ok(Self::Auto) } else { palette().map(Self::Palette).ok_or(UnknownTheme) }
    }
}

impl fmt::Display for ThemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Palette(palette) => palette.name(),
        })
    }
}

/// An unknown theme name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownTheme;

impl fmt::Display for UnknownTheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = ThemeName::names().collect();
        write!(f, "unknown theme; expected one of {}", names.join(", "))
    }
}

impl Symbols {
    /// Unicode symbols that are one cell wide in every locale.
    pub const UNICODE: Self = Self {
        succeeded: "✓",
        failed: "✗",
        cancelled: "⊘",
        interrupted: "!",
        skipped: "~",
        running: "▸",
        stopping: "▪",
        requested: "»",
        overdue: "!",
        cursor: "›",
        // One cell wide everywhere, and unlike the other symbols.
        mark: "•",
        rule: "─",
        vertical: "│",
        above: "↑",
        below: "↓",
        dot: "·",
        ellipsis: "…",
        arrow: "▸",
        tee: "├",
        elbow: "└",
        corners: ["┌", "┐", "└", "┘"],
        bar: "━",
        wait: "┄",
        path: "*",
        bars: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    };

    /// ASCII symbols, for terminals and fonts without others.
    pub const ASCII: Self = Self {
        succeeded: "+",
        failed: "x",
        cancelled: "-",
        interrupted: "!",
        skipped: "~",
        running: ">",
        stopping: "#",
        requested: "*",
        overdue: "!",
        cursor: ">",
        mark: "*",
        rule: "-",
        vertical: "|",
        above: "^",
        below: "v",
        dot: "-",
        ellipsis: "~",
        arrow: ">",
        tee: "|",
        elbow: "`",
        corners: ["+", "+", "+", "+"],
        bar: "=",
        wait: ".",
        path: "@",
        bars: ["_", ".", ":", "-", "=", "+", "*", "#"],
    };
}
