//! Colours by role: what the user sets in place of the colours of a theme.

use ratatui::style::Color;

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorRole {
    /// The focus, keys, and what is running.
    Accent,
    /// Success.
    Success,
    /// Failure.
    Failure,
    /// What needs attention.
    Warning,
    /// Less important text.
    Dim,
    /// Lines between panes.
    Rule,
    /// The background of the row under the cursor.
    Selection,
    /// The text of that row.
    SelectionText,
}

/// The colours of some roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleColors([Option<Color>; ColorRole::ALL.len()]);

/// A text that is not a colour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid colour {0:?}; write a name such as cyan or bright-cyan, a number up to 255, or #rrggbb")]
pub struct InvalidColor(String);

/// The names of the sixteen colours, in the order of their numbers.
const NAMES: [(&str, Color); 16] = [
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("white", Color::Gray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("bright-white", Color::White),
];

/// The values of the six steps of each channel in the cube of the 256 colours.
const CUBE_STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

impl ColorRole {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Accent,
        Self::Success,
        Self::Failure,
        Self::Warning,
        Self::Dim,
        Self::Rule,
        Self::Selection,
        Self::SelectionText,
    ];

    /// The name in `config.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accent => "accent",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Warning => "warning",
            Self::Dim => "dim",
            Self::Rule => "rule",
            Self::Selection => "selection",
            Self::SelectionText => "selection-text",
        }
    }
}

impl RoleColors {
    /// The colour of a role, if it is set.
    pub fn get(&self, role: ColorRole) -> Option<Color> {
        ColorRole::ALL.iter().zip(self.0).find(|(other, _)| **other == role).and_then(|(_, color)| color)
    }

    /// Sets the colour of a role.
    pub fn set(&mut self, role: ColorRole, color: Color) {
        let place = ColorRole::ALL.iter().zip(&mut self.0).find(|(other, _)| **other == role);
        if let Some((_, place)) = place {
            *place = Some(color);
        }
    }

    /// The same with the nearest of 256 colours, for a terminal that knows no others.
    #[must_use]
    pub fn without_true_color(self) -> Self {
        Self(self.0.map(|color| color.map(nearest_indexed)))
    }
}

/// Parses a colour: `cyan`, `bright-cyan`, `208`, `#7aa2f7`.
pub fn parse_color(text: &str) -> Result<Color, InvalidColor> {
    let name = text.trim().to_lowercase().replace('_', "-");
    if let Some((_, color)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*color);
    }
    let hex = name.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if let Some(value) = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
        let [_, red, green, blue] = value.to_be_bytes();
        return Ok(Color::Rgb(red, green, blue));
    }
    name.parse().map(Color::Indexed).map_err(|_| InvalidColor(text.to_owned()))
}

fn nearest_indexed(color: Color) -> Color {
    let Color::Rgb(red, green, blue) = color else { return color };
    let nearest = |value: u8| {
        let steps = CUBE_STEPS.iter().zip(0_u8..);
        steps.min_by_key(|(step, _)| step.abs_diff(value)).map_or(0, |(_, index)| index)
    };
    Color::Indexed(16 + 36 * nearest(red) + 6 * nearest(green) + nearest(blue))
}
