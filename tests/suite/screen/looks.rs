//! How it looks, in every size and without colours.

use insta::assert_snapshot;
use ratatui::buffer::Cell;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier};
use setlist::model::{Outcome, Phase};
use setlist::tui::layout::{Focus, layout};
use setlist::tui::theme::{Look, Palette, Taste, ThemeName};

use super::stage::{Stage, failed, queue};

/// A site on which something has happened.
fn busy(width: u16, height: u16, look: Look) -> Stage {
    let jobs = [
        ("fetch", ""),
        ("lint", "Lint"),
        ("unit", "Unit tests"),
        ("e2e", "End-to-end tests in a real terminal"),
        ("doc", "Documentation"),
        ("upload", "Upload 日本語 artefacts"),
        ("smoke", "Smoke \x1b[31mtest"),
        ("tidy", ""),
    ];
    let queues = vec![queue("build", 2, 0, &jobs), queue("nightly", 1, 1, &[("backup", "Back up the database")])];
    let mut stage = Stage::with_look(queues, width, height, look);
    stage.process("build");
    stage.run("build", 12, Outcome::Succeeded);
    stage.later(60 * 60 * 20);
    stage.run("build", 3, Outcome::Succeeded);
    let unit = stage.start("build");
    stage.print(unit.1, "running 2 tests\n\x1b[31merror\x1b[0m: one failed\n");
    stage.later(65);
    stage.end(unit, failed("exit code 101"));
    stage.start("build");
    stage.later(5);
    let doc = stage.start("build");
    stage.print(doc.1, "\x1b[32m Documenting\x1b[0m setlist\n\x1b]9;4;1;40\x07");
    stage.later(4);
    stage.keys("g");
    stage
}

fn colourful() -> Look {
    Look::new(Palette::Dark, false)
}

macro_rules! snapshot {
    ($name:expr, $stage:expr) => {
        insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
            assert_snapshot!($name, $stage.text());
        });
    };
}

#[test]
fn at_80_by_24() {
    snapshot!("80x24", busy(80, 24, colourful()));
}

#[test]
fn at_120_by_40() {
    snapshot!("120x40", busy(120, 40, colourful()));
}

#[test]
fn at_200_by_60() {
    snapshot!("200x60", busy(200, 60, colourful()));
}

#[test]
fn at_60_by_18() {
    snapshot!("60x18", busy(60, 18, colourful()));
}

#[test]
fn at_40_by_10() {
    snapshot!("40x10", busy(40, 10, colourful()));
}

#[test]
fn at_39_by_9() {
    snapshot!("39x9", busy(39, 9, colourful()));
}

#[test]
fn in_ascii() {
    let mut stage = busy(80, 24, Look::new(Palette::Mono, true));
    let ours = stage.text().replace("日本語", "");
    assert!(ours.is_ascii(), "{ours}");
}

#[test]
fn without_colours_no_colour_is_set_anywhere() {
    let mut stage = busy(80, 24, Look::new(Palette::Mono, false));
    for keys in ["", "X", "n", "?", "<Esc>", "/doc", "<Enter>", "<Esc>", "a", "<Esc>", "<Enter>", "m"] {
        stage.keys(keys);
        let buffer = stage.buffer();
        for cell in &buffer.content {
            let colours = (cell.fg, cell.bg, cell.underline_color);
            assert_eq!(colours, (Color::Reset, Color::Reset, Color::Reset), "{cell:?} after {keys:?}");
        }
    }
}

#[test]
fn the_eye_goes_to_failures() {
    let mut stage = busy(80, 24, colourful());
    let buffer = stage.keys("j").buffer();
    let red: String = buffer.content.iter().filter(|cell| cell.fg == Color::LightRed).map(Cell::symbol).collect();
    assert!(red.contains("exit code 101") && red.contains("✗ 1 failed"), "{red}");
    assert!(!red.contains("succeeded"));
    let bold = buffer
        .content
        .iter()
        .filter(|cell| cell.fg == Color::LightRed)
        .all(|cell| cell.modifier.contains(Modifier::BOLD));
    assert!(bold, "not by colour alone");
}

#[test]
fn failures_quit_and_help_are_dropped_last() {
    for (width, height) in [(80, 24), (60, 18), (40, 10)] {
        let text = busy(width, height, colourful()).text();
        for word in ["1 failed", "q quit", "? help"] {
            assert!(text.contains(word), "{word} at {width}x{height}:\n{text}");
        }
    }
    let small = busy(20, 3, colourful()).text();
    assert!(small.contains("1 failed") && small.contains("q quits"), "{small}");
}

#[test]
fn panes_never_overlap_nor_leave_the_screen() {
    let lists = [Phase::Pending, Phase::Running, Phase::Finished];
    let focuses = lists.into_iter().flat_map(|list| {
        let kinds = [(false, false, false), (true, false, false), (true, true, false), (false, false, true)];
        kinds.map(|(output, zoom, detail)| Focus { list, output, zoom, detail })
    });
    // What is zoomed has the same place whichever list was left.
    let focuses = focuses.filter(|focus| !focus.zoom || focus.list == Phase::Pending);
    for focus in focuses {
        for (width, height) in (0..250).flat_map(|width| (0..80).map(move |height| (width, height))) {
            let layout = layout(Size { width, height }, focus);
            let screen = Rect::new(0, 0, width, height);
            let parts = [
                layout.header,
                layout.numbers,
                layout.states,
                layout.output,
                layout.detail,
                layout.message,
                layout.hints,
            ];
            let parts: Vec<Rect> =
                parts.into_iter().chain(layout.divides).chain(layout.lists).filter(|part| !part.is_empty()).collect();
            for (nth, part) in parts.iter().enumerate() {
                assert_eq!(screen.intersection(*part), *part, "{width}x{height}");
                let clash = parts[nth + 1..].iter().any(|other| part.intersects(*other));
                assert!(!clash, "{width}x{height} {focus:?} {parts:?}");
            }
        }
    }
}

#[test]
fn it_can_be_drawn_in_any_size() {
    let mut stage = busy(80, 24, colourful());
    for keys in ["", "<Enter>", "<Esc>?", "<Esc>/o", "<Esc>a日本", "<Esc>X"] {
        stage.keys(keys);
        for (width, height) in (0..130).step_by(7).flat_map(|width| (0..44).step_by(3).map(move |h| (width, h))) {
            stage.resize(width, height);
            stage.text();
        }
    }
}

/// A colour as somebody sees it who has no cones for green (Machado, Oliveira and Fernandes 2009), in linear light.
fn without_green(color: Color) -> [f64; 3] {
    let Color::Indexed(index @ 16..=231) = color else { panic!("{color:?} may look like anything") };
    let steps = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
    let place = usize::from(index) - 16;
    let linear = |step: usize| (steps[step] / 255.0_f64).powf(2.2);
    let (r, g, b) = (linear(place / 36), linear(place / 6 % 6), linear(place % 6));
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
        .map(|row| (row[0] * r + row[1] * g + row[2] * b).clamp(0.0, 1.0))
}

fn luminance(color: Color) -> f64 {
    let [r, g, b] = without_green(color);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

#[test]
fn without_green_cones_good_and_bad_differ_and_all_can_be_read() {
    for (palette, background) in [(Palette::Colorblind, 16), (Palette::ColorblindLight, 231)] {
        let theme = Look::new(palette, false).theme;
        let [good, bad, warn, live] = [theme.good, theme.bad, theme.warn, theme.live].map(|style| style.fg.unwrap());
        for (a, b) in [(good, bad), (good, warn), (live, bad), (live, good)] {
            let (seen_a, seen_b) = (without_green(a), without_green(b));
            let distance: f64 = seen_a.iter().zip(seen_b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            assert!(distance > 0.3, "{palette:?}: {a:?} and {b:?} look alike: {distance}");
        }
        for style in [theme.good, theme.bad, theme.warn, theme.live] {
            let (a, b) = (luminance(style.fg.unwrap()) + 0.05, luminance(Color::Indexed(background)) + 0.05);
            // What the accessibility guidelines (WCAG) demand of bold text, and of other.
            let least = if style.add_modifier.contains(Modifier::BOLD) { 3.0 } else { 4.5 };
            assert!(a.max(b) / a.min(b) > least, "{palette:?}: too little contrast: {style:?}");
        }
    }
}

#[test]
fn a_theme_has_the_name_that_it_is_called_by() {
    for name in ThemeName::names() {
        assert_eq!(name.parse::<ThemeName>().unwrap().to_string(), name);
    }
    let error = "purple".parse::<ThemeName>().unwrap_err().to_string();
    assert_eq!(error, "no such theme; there are auto, dark, light, colorblind, colorblind-light, mono");
}

#[test]
fn the_environment_is_asked_for_what_nobody_named() {
    let look = |theme: &str, ascii, set: &[(&str, &str)]| {
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
        let look = Look::of(Taste { theme: theme.parse().unwrap(), ascii }, variable);
        (look.theme.palette, look.is_ascii())
    };
    assert_eq!(look("auto", None, &[]), (Palette::Dark, false));
    assert_eq!(look("auto", None, &[("NO_COLOR", "1"), ("COLORFGBG", "0;15")]), (Palette::Mono, false));
    assert_eq!(look("auto", None, &[("NO_COLOR", "")]), (Palette::Dark, false), "set but empty is not set");
    assert_eq!(look("auto", None, &[("COLORFGBG", "0;15")]), (Palette::Light, false));
    assert_eq!(look("auto", None, &[("TERM", "linux"), ("LANG", "en_GB.UTF-8")]), (Palette::Dark, true));
    assert_eq!(look("auto", None, &[("LC_ALL", "C")]), (Palette::Dark, true));
    assert_eq!(look("auto", Some(false), &[("LC_ALL", "C")]), (Palette::Dark, false));
    assert_eq!(look("colorblind", Some(true), &[("NO_COLOR", "1")]), (Palette::Colorblind, true), "named goes first");
}
