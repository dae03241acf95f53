//! Reads and writes colours and text attributes as the ANSI sequence `CSI … m` (SGR).

use std::fmt::Write;

use ratatui::style::{Color, Modifier, Style};
use vte::Params;

/// Applies `CSI params m` to `style`. Concealed text stays visible.
pub(super) fn apply_sgr(style: &mut Style, params: &Params) {
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let Some(&code) = param.first() else { continue };
        match code {
            0 => *style = Style::new(),
            1 => add_modifier(style, Modifier::BOLD),
            2 => add_modifier(style, Modifier::DIM),
            3 => add_modifier(style, Modifier::ITALIC),
            // `4:0` switches the underline off, `4:3` is a curly underline.
            4 if param.get(1) == Some(&0) => remove_modifier(style, Modifier::UNDERLINED),
            4 | 21 => add_modifier(style, Modifier::UNDERLINED),
            5 | 6 => add_modifier(style, Modifier::SLOW_BLINK),
            7 => add_modifier(style, Modifier::REVERSED),
            9 => add_modifier(style, Modifier::CROSSED_OUT),
            22 => remove_modifier(style, Modifier::BOLD | Modifier::DIM),
            23 => remove_modifier(style, Modifier::ITALIC),
            24 => remove_modifier(style, Modifier::UNDERLINED),
            25 => remove_modifier(style, Modifier::SLOW_BLINK),
            27 => remove_modifier(style, Modifier::REVERSED),
            29 => remove_modifier(style, Modifier::CROSSED_OUT),
            30..=37 => style.fg = Some(basic(code - 30)),
            39 => style.fg = None,
            40..=47 => style.bg = Some(basic(code - 40)),
            49 => style.bg = None,
            38 => style.fg = extended(param, &mut params).or(style.fg),
            48 => style.bg = extended(param, &mut params).or(style.bg),
            58 => style.underline_color = extended(param, &mut params).or(style.underline_color),
            59 => style.underline_color = None,
            90..=97 => style.fg = Some(basic(code - 90 + 8)),
            100..=107 => style.bg = Some(basic(code - 100 + 8)),
            _ => {}
        }
    }
}

fn add_modifier(style: &mut Style, modifier: Modifier) {
    style.add_modifier |= modifier;
}

fn remove_modifier(style: &mut Style, modifier: Modifier) {
    style.add_modifier -= modifier;
}

/// The 16 basic colours in the order of their codes.
const BASIC_COLOURS: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

fn basic(index: u16) -> Color {
    BASIC_COLOURS.get(usize::from(index)).copied().unwrap_or_default()
}

/// The colour `index` of the 256-colour palette. The first 16 are the basic colours.
pub(super) fn indexed_colour(index: u8) -> Color {
    BASIC_COLOURS.get(usize::from(index)).copied().unwrap_or(Color::Indexed(index))
}

/// The colour after code 38, 48 or 58. `38;2;r;g;b` uses several parameters, `38:2::r:g:b` one parameter with parts.
fn extended<'a>(param: &[u16], rest: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    if let [_, parts @ ..] = param
        && !parts.is_empty()
    {
        return match parts {
            [5, index, ..] => indexed(*index),
            // The sixth part exists when a colour space is given.
            [2, _, red, green, blue, ..] | [2, red, green, blue] => rgb(*red, *green, *blue),
            _ => None,
        };
    }
    let mut next = || rest.next().and_then(|param| param.first().copied());
    match next()? {
        5 => indexed(next()?),
        2 => rgb(next()?, next()?, next()?),
        _ => None,
    }
}

fn indexed(index: u16) -> Option<Color> {
    u8::try_from(index).ok().map(Color::Indexed)
}

fn rgb(red: u16, green: u16, blue: u16) -> Option<Color> {
    let channel = |value: u16| u8::try_from(value).ok();
    Some(Color::Rgb(channel(red)?, channel(green)?, channel(blue)?))
}

/// Writes the sequence that changes any style to this one.
pub(super) fn write_sgr(style: Style, out: &mut String) {
    const MODIFIERS: [(Modifier, &str); 7] = [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::ITALIC, ";3"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::SLOW_BLINK, ";5"),
        (Modifier::REVERSED, ";7"),
        (Modifier::CROSSED_OUT, ";9"),
    ];
    out.push_str("\x1b[0");
    for (modifier, code) in MODIFIERS {
        if style.add_modifier.contains(modifier) {
            out.push_str(code);
        }
    }
    for (color, base) in [(style.fg, 30), (style.bg, 40), (style.underline_color, 50)] {
        if let Some(color) = color {
            write_color(color, base, out);
        }
    }
    out.push('m');
}

/// `base` is 30 for the foreground, 40 for the background and 50 for the underline.
fn write_color(color: Color, base: usize, out: &mut String) {
    let written = match color {
        Color::Rgb(red, green, blue) => write!(out, ";{};2;{red};{green};{blue}", base + 8),
        Color::Indexed(index) => write!(out, ";{};5;{index}", base + 8),
        color => match BASIC_COLOURS.iter().position(|basic| *basic == color) {
            Some(index) if index < 8 => write!(out, ";{}", base + index),
            Some(index) => write!(out, ";{}", base + 60 + index - 8),
            None => Ok(()),
        },
    };
    debug_assert!(written.is_ok(), "writing to a string");
}
