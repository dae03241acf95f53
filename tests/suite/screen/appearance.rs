//! Layout and styles: snapshots of several sizes, themes, ASCII, no colours.

use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::buffer::Cell;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier};
use setlist::model::{Outcome, Phase};
use setlist::tui::layout::{Focus, LayoutKind, MIN_SIZE, ScreenLayout, layout, phase_index, shared_area};
use setlist::tui::list_room::ListRoom;
use setlist::tui::message::{JobsFileError, Message};
use setlist::tui::theme::{Appearance, AppearanceOptions, Palette, ThemeName};

use super::harness::{ScreenHarness, failed, queue};

/// A site with jobs in every state.
fn busy_site(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
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
    let mut harness = ScreenHarness::with_appearance(queues, width, height, appearance);
    // The cursor was moved, so it stays with its job.
    harness.keys("g");
    harness.process("build");
    harness.run("build", 12, Outcome::Succeeded);
    harness.advance_seconds(60 * 60 * 20);
    harness.run("build", 3, Outcome::Succeeded);
    let unit = harness.start("build");
    harness.print(unit.1, "running 2 tests\n\x1b[31merror\x1b[0m: one failed\n");
    harness.advance_seconds(65);
    harness.end(unit, failed("exit code 101"));
    harness.start("build");
    harness.advance_seconds(5);
    let doc = harness.start("build");
    harness.print(doc.1, "\x1b[32m Documenting\x1b[0m setlist\n\x1b]9;4;1;40\x07");
    harness.advance_seconds(4);
    harness.keys("g");
    harness
}

fn colourful() -> Appearance {
    Appearance::new(Palette::Dark, false)
}

macro_rules! snapshot {
    ($name:expr, $shown:expr) => {
        insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
            assert_snapshot!($name, $shown);
        });
    };
}

/// The themes whose styles are in the snapshots.
const THEMES: [Palette; 5] = Palette::ALL;

/// The screen as text, then a letter for the style of each cell, then the meaning of each letter in each theme.
fn styled(width: u16, height: u16, keys: &str) -> String {
    styled_site(width, height, |appearance| {
        let mut harness = busy_site(width, height, appearance);
        harness.keys(keys);
        harness
    })
}

/// The same of a screen that is made for each theme.
pub(super) fn styled_site(width: u16, height: u16, site: impl Fn(Appearance) -> ScreenHarness) -> String {
    let mut text = String::new();
    let screens = THEMES.map(|palette| {
        let mut harness = site(Appearance::new(palette, false));
        text = harness.text();
        harness.buffer()
    });
    let mut styles: Vec<[String; THEMES.len()]> = vec![std::array::from_fn(|_| String::new())];
    let mut mask = String::new();
    for y in 0..height {
        let mut line = String::new();
        for x in 0..width {
            let style = screens.each_ref().map(|screen| describe_style(&screen[(x, y)]));
            let known = styles.iter().position(|other| *other == style);
            let nth = known.unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            line.push(".abcdefghijklmnopqrstuvwxyz".chars().nth(nth).expect("few styles"));
        }
        mask += line.trim_end_matches('.');
        mask.push('\n');
    }
    let mut legend = String::new();
    for (nth, style) in styles.iter().enumerate().skip(1) {
        let letter = ".abcdefghijklmnopqrstuvwxyz".chars().nth(nth).unwrap();
        let meanings = style.iter().zip(THEMES).map(|(style, palette)| format!("{}: {style}", palette.name()));
        legend += &[letter.to_string(), "  ".to_owned(), meanings.collect::<Vec<_>>().join(" | ") + "\n"].concat();
    }
    format!("{text}\n\n{mask}\n{legend}")
}

/// Describes the visible style of a cell.
fn describe_style(cell: &Cell) -> String {
    let mut words = Vec::new();
    let drawn = cell.symbol() != " ";
    if cell.fg != Color::Reset && (drawn || cell.modifier.contains(Modifier::REVERSED)) {
        words.push(cell.fg.to_string().to_lowercase());
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {}", cell.bg.to_string().to_lowercase()));
    }
    let visible = if drawn { Modifier::all() } else { Modifier::REVERSED | Modifier::UNDERLINED };
    words.extend((cell.modifier & visible).iter_names().map(|(name, _)| name.to_lowercase()));
    words.join(" ")
}

#[test]
fn at_80_by_24() {
    snapshot!("80x24", styled(80, 24, ""));
}

#[test]
fn at_120_by_40() {
    snapshot!("120x40", styled(120, 40, ""));
}

#[test]
fn at_200_by_60() {
    snapshot!("200x60", styled(200, 60, ""));
}

#[test]
fn at_60_by_18() {
    snapshot!("60x18", styled(60, 18, ""));
}

#[test]
fn at_40_by_10() {
    snapshot!("40x10", styled(40, 10, ""));
}

#[test]
fn in_ascii_at_80_by_24() {
    snapshot!("80x24-ascii", busy_site(80, 24, Appearance::new(Palette::Mono, true)).text());
}

#[test]
fn details_at_80_by_24() {
    snapshot!("80x24-details", styled(80, 24, "v"));
}

#[test]
fn output_at_80_by_24() {
    snapshot!("80x24-output", styled(80, 24, "<Enter>"));
}

#[test]
fn file_errors_at_80_by_24() {
    let mut harness = busy_site(80, 24, colourful());
    let text = "error: unknown field `paralel`\n --> jobs.yaml:3:5\n  |\n3 |     paralel: 2\n  |     ^^^^^^^\n  |\n  = note: in \
                queues.build.paralel\n  = help: did you mean `parallel`?";
    harness.send(Message::FileRead(Err(JobsFileError {
        problem: JobsFileError::HAS_ERRORS,
        text: text.to_owned(),
        errors: 1,
        line: Some(3),
        file: None,
    })));
    snapshot!("80x24-broken-file", harness.text());
    let buffer = harness.buffer();
    let red: String = buffer.content.iter().filter(|cell| cell.fg == Color::LightRed).map(Cell::symbol).collect();
    assert!(red.contains("error: unknown field `paralel`") && red.contains("^^^^^^^") && !red.contains("-->"), "{red}");
}

#[test]
fn failures_come_first_in_the_header() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("first", "First"), ("next", "Next")])], 80, 24);
    harness.process("build");
    harness.run("build", 1, failed("exit code 1"));
    harness.keys("p");
    let line = harness.text().lines().nth(1).unwrap_or_default().to_owned();
    assert!(line.starts_with(" 1 failed in the last hour  ·  nothing running: paused; press p to continue"), "{line}");
}

#[test]
fn an_empty_site_at_80_by_24() {
    let site = ScreenHarness::new(Vec::new(), 80, 24).text();
    let queue_without_jobs = ScreenHarness::new(vec![queue("build", 1, 0, &[])], 80, 24).text();
    let nothing_processed = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "A job")])], 80, 24).text();
    snapshot!("80x24-empty", [site, queue_without_jobs, nothing_processed].join("\n\n"));
}

#[test]
fn the_overview_at_80_by_24() {
    snapshot!("80x24-overview", styled(80, 24, "b"));
}

#[test]
fn the_overview_at_140_by_30() {
    snapshot!("140x30-overview", styled(140, 30, "b"));
}

#[test]
fn at_39_by_9() {
    snapshot!("39x9", busy_site(39, 9, colourful()).text());
}

#[test]
fn in_ascii() {
    let mut harness = busy_site(80, 24, Appearance::new(Palette::Mono, true));
    let ours = harness.text().replace("日本語", "");
    assert!(ours.is_ascii(), "{ours}");
}

#[test]
fn no_colour_is_set_without_colours() {
    let mut harness = busy_site(80, 24, Appearance::new(Palette::Mono, false));
    for keys in ["", "X", "n", "?", "<Esc>", "/doc", "<Enter>", "<Esc>", "a", "<Esc>", "<Enter>", "m"] {
        harness.keys(keys);
        let buffer = harness.buffer();
        for cell in &buffer.content {
            let colours = (cell.fg, cell.bg, cell.underline_color);
            assert_eq!(colours, (Color::Reset, Color::Reset, Color::Reset), "{cell:?} after {keys:?}");
        }
    }
}

#[test]
fn failures_stand_out() {
    let mut harness = busy_site(80, 24, colourful());
    let buffer = harness.keys("j").buffer();
    let red: String = buffer.content.iter().filter(|cell| cell.fg == Color::LightRed).map(Cell::symbol).collect();
    assert!(red.contains("exit code 101") && red.contains("✗ 1 failed"), "{red}");
    assert!(!red.contains("succeeded"));
    let bold = buffer
        .content
        .iter()
        .filter(|cell| cell.fg == Color::LightRed)
        .all(|cell| cell.modifier.contains(Modifier::BOLD));
    assert!(bold, "the state is not shown by colour alone");
}

#[test]
fn failures_quit_and_help_are_dropped_last() {
    for (width, height) in [(80, 24), (60, 18), (40, 10)] {
        let text = busy_site(width, height, colourful()).text();
        for word in ["1 failed", "q quit", "? help"] {
            assert!(text.contains(word), "{word} at {width}x{height}:\n{text}");
        }
    }
    let small = busy_site(20, 3, colourful()).text();
    assert!(small.contains("1 failed") && small.contains("q to quit"), "{small}");
}

#[test]
fn panes_never_overlap_or_leave_the_screen() {
    let lists = [Phase::Pending, Phase::Running, Phase::Finished];
    let focuses = lists.into_iter().flat_map(|list| {
        let kinds = [(false, false, false), (true, false, false), (true, true, false), (false, false, true)];
        kinds.map(|(output, zoom, detail)| Focus { list, output, zoom, details: detail })
    });
    // A zoomed pane has the same area whichever list had the focus.
    let focuses = focuses.filter(|focus| !focus.zoom || focus.list == Phase::Pending);
    for focus in focuses {
        for (width, height) in (0..250).flat_map(|width| (0..80).map(move |height| (width, height))) {
            let size = Size { width, height };
            let layout = layout(size, focus, room(size, [1, 0, 300], usize::from(width) % 200));
            let screen = Rect::new(0, 0, width, height);
            let parts = [
                layout.header,
                layout.stats,
                layout.phase_tabs,
                layout.output,
                layout.details,
                layout.status_line,
                layout.hints,
            ];
            let parts: Vec<Rect> =
                parts.into_iter().chain(layout.dividers).chain(layout.lists).filter(|part| !part.is_empty()).collect();
            for (nth, part) in parts.iter().enumerate() {
                assert_eq!(screen.intersection(*part), *part, "{width}x{height}");
                let clash = parts[nth + 1..].iter().any(|other| part.intersects(*other));
                assert!(!clash, "{width}x{height} {focus:?} {parts:?}");
            }
        }
    }
}

/// The room of lists with this many rows, of which the widest takes so many columns.
fn room(size: Size, rows: [usize; 3], widest: usize) -> ListRoom {
    let mut room = ListRoom::default();
    room.update(shared_area(size), rows, None);
    room.widen(widest);
    room
}

/// Asserts that every essential pane has an area at this size and focus.
fn assert_essentials(size: Size, focus: Focus, rows: [usize; 3], widest: usize) {
    let layout = layout(size, focus, room(size, rows, widest));
    let screen = Rect::new(0, 0, size.width, size.height);
    let ScreenLayout { kind, header, status_line, hints, .. } = layout;
    if kind == LayoutKind::TooSmall {
        assert!(size.width < MIN_SIZE.width || size.height < MIN_SIZE.height, "{size}");
        assert_eq!(layout.body, screen);
        return;
    }
    for line in [header, status_line, hints] {
        assert_eq!((line.width, line.height), (size.width, 1), "{size}");
    }
    let shown = layout.lists.iter().filter(|list| !list.is_empty()).count();
    match focus {
        Focus { details: true, .. } => assert_eq!((layout.details, shown), (layout.body, 0), "{size}"),
        Focus { output: true, zoom: true, .. } => assert_eq!((layout.output, shown), (layout.body, 0), "{size}"),
        Focus { output: true, .. } => assert!(layout.output_text().height >= 2, "{size}: {layout:?}"),
        Focus { list, .. } => {
            let wanted = rows[phase_index(list)].clamp(1, 2);
            assert!(layout.rows(list) >= wanted, "{size}: {layout:?}");
        }
    }
    if matches!(kind, LayoutKind::Stacked | LayoutKind::Wide) && focus == Focus::on(focus.list) {
        assert!(shown == 3 && layout.lists.iter().all(|list| list.width >= 39 && list.height >= 2), "{layout:?}");
        assert!(layout.output_text().width >= 50 && layout.output_text().height >= 5, "{size}: {layout:?}");
    }
    let detail = layout.details_text();
    assert!(detail.is_empty() || focus.details || (detail.width >= 50 && detail.height >= 12), "{size}: {layout:?}");
}

fn focus() -> impl Strategy<Value = Focus> {
    let lists = proptest::sample::select(vec![Phase::Pending, Phase::Running, Phase::Finished]);
    let kinds = [(false, false, false), (true, false, false), (true, true, false), (false, false, true)];
    let kinds = proptest::sample::select(kinds.to_vec());
    (lists, kinds).prop_map(|(list, (output, zoom, detail))| Focus { list, output, zoom, details: detail })
}

/// How many rows each list has: mostly few.
fn rows() -> impl Strategy<Value = [usize; 3]> {
    let count = || prop_oneof![2 => Just(0_usize), 4 => 1..8_usize, 2 => 8..60_usize, 1 => Just(100_000_usize)];
    [count(), count(), count()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn essential_panes_have_an_area(
        width in 0..250_u16,
        height in 0..80_u16,
        focus in focus(),
        rows in rows(),
        widest in 0..300_usize,
    ) {
        assert_essentials(Size { width, height }, focus, rows, widest);
    }
}

#[test]
fn essential_panes_are_drawn_at_any_size() {
    let mut harness = busy_site(80, 24, colourful());
    for keys in ["", "<Enter>", "<Esc>v", "<Esc><Tab>"] {
        harness.keys(keys);
        for (width, height) in (40..250).step_by(13).flat_map(|width| (10..80).step_by(7).map(move |h| (width, h))) {
            harness.resize(width, height);
            let text = harness.text();
            for word in ["1 failed", "q quit", "? help"] {
                assert!(text.contains(word), "{word} at {width}x{height} after {keys:?}:\n{text}");
            }
        }
    }
}

#[test]
fn the_screen_can_be_drawn_at_any_size() {
    let mut harness = busy_site(80, 24, colourful());
    for keys in ["", "<Enter>", "v", "<Esc>?", "<Esc>/o", "<Esc>a日本", "<Esc>X", "<Esc>b"] {
        harness.keys(keys);
        for (width, height) in (0..130).step_by(7).flat_map(|width| (0..44).step_by(3).map(move |h| (width, h))) {
            harness.resize(width, height);
            harness.text();
        }
    }
}

/// A colour as seen with deuteranopia (Machado, Oliveira and Fernandes 2009), in linear light.
fn with_deuteranopia(color: Color) -> [f64; 3] {
    let Color::Indexed(index @ 16..=231) = color else { panic!("{color:?} may look like anything") };
    let steps = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
    let place = usize::from(index) - 16;
    let linear = |step: usize| (steps[step] / 255.0_f64).powf(2.2);
    let (r, g, b) = (linear(place / 36), linear(place / 6 % 6), linear(place % 6));
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
        .map(|row| (row[0] * r + row[1] * g + row[2] * b).clamp(0.0, 1.0))
}

fn luminance(color: Color) -> f64 {
    let [r, g, b] = with_deuteranopia(color);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

#[test]
fn colours_differ_and_are_readable_with_deuteranopia() {
    for (palette, background) in [(Palette::Colorblind, 16), (Palette::ColorblindLight, 231)] {
        let theme = Appearance::new(palette, false).theme;
        let [good, bad, warn, live] =
            [theme.success, theme.failure, theme.warning, theme.accent].map(|style| style.fg.unwrap());
        for (a, b) in [(good, bad), (good, warn), (live, bad), (live, good)] {
            let (seen_a, seen_b) = (with_deuteranopia(a), with_deuteranopia(b));
            let distance: f64 = seen_a.iter().zip(seen_b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            assert!(distance > 0.3, "{palette:?}: {a:?} and {b:?} look alike: {distance}");
        }
        for style in [theme.success, theme.failure, theme.warning, theme.accent] {
            let (a, b) = (luminance(style.fg.unwrap()) + 0.05, luminance(Color::Indexed(background)) + 0.05);
            // The contrast that WCAG requires of bold text and of other text.
            let least = if style.add_modifier.contains(Modifier::BOLD) { 3.0 } else { 4.5 };
            assert!(a.max(b) / a.min(b) > least, "{palette:?}: too little contrast: {style:?}");
        }
    }
}

#[test]
fn theme_names_round_trip() {
    for name in ThemeName::names() {
        assert_eq!(name.parse::<ThemeName>().unwrap().to_string(), name);
    }
    let error = "purple".parse::<ThemeName>().unwrap_err().to_string();
    assert_eq!(error, "unknown theme; expected one of auto, dark, light, colorblind, colorblind-light, mono");
}

#[test]
fn the_environment_decides_what_was_not_set() {
    let resolve = |theme: &str, ascii, set: &[(&str, &str)]| {
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
        let appearance = Appearance::resolve(
            AppearanceOptions { theme: theme.parse().unwrap(), ascii, ..AppearanceOptions::default() },
            variable,
        );
        (appearance.theme.palette, appearance.is_ascii())
    };
    assert_eq!(resolve("auto", None, &[]), (Palette::Dark, false));
    assert_eq!(resolve("auto", None, &[("NO_COLOR", "1"), ("COLORFGBG", "0;15")]), (Palette::Mono, false));
    assert_eq!(resolve("auto", None, &[("NO_COLOR", "")]), (Palette::Dark, false), "an empty variable counts as unset");
    assert_eq!(resolve("auto", None, &[("COLORFGBG", "0;15")]), (Palette::Light, false));
    assert_eq!(resolve("auto", None, &[("TERM", "linux"), ("LANG", "en_GB.UTF-8")]), (Palette::Dark, true));
    assert_eq!(resolve("auto", None, &[("LC_ALL", "C")]), (Palette::Dark, true));
    assert_eq!(resolve("auto", Some(false), &[("LC_ALL", "C")]), (Palette::Dark, false));
    assert_eq!(
        resolve("colorblind", Some(true), &[("NO_COLOR", "1")]),
        (Palette::Colorblind, true),
        "an explicit choice comes first"
    );
}

#[test]
fn no_title_disturbs_the_cells_beside_it() {
    let titles = [
        ("plain", "Plain".to_owned()),
        ("long", "A title that goes on and on ".repeat(20)),
        ("wide", "日本語のタイトル".repeat(12)),
        ("marks", format!("e{}", "\u{301}".repeat(300))),
        ("right-to-left", "שלום עולם 123".to_owned()),
        ("overridden", "safe \u{202e}gnp.exe\u{202c} \u{2066}isolated\u{2069}".to_owned()),
        ("escapes", "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31mred".to_owned()),
        ("lines", "one\ntwo\r\nthree\u{2028}four\tfive".to_owned()),
        ("family", "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️".to_owned()),
        ("unseen", "a\u{200b}\u{ad}\u{feff}b".to_owned()),
    ];
    let jobs: Vec<(&str, &str)> = titles.iter().map(|(name, title)| (*name, title.as_str())).collect();
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &jobs)], 120, 60);
    harness.process("build");
    for _ in &jobs {
        harness.run("build", 12, Outcome::Succeeded);
    }
    for keys in ["", "G", "v"] {
        let text = harness.keys(keys).text();
        let strange = |c: &char| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert_eq!(text.chars().filter(|c| *c != '\n').find(strange), None, "{text}");
        for line in text.lines() {
            assert!(setlist::text::width(line) <= 120, "{line}");
            let marks = line.chars().filter(|c| *c == '\u{301}').count();
            assert!(marks <= 8, "a pile of marks would stand in the lines above: {line}");
        }
    }
    let text = harness.keys("v").text();
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("✓")).collect();
    assert_eq!(rows.len(), jobs.len(), "{text}");
    for row in rows {
        let (before, _) = row.split_once('│').unwrap();
        let (plain, _) = text.lines().find(|line| line.contains("✓ Plain")).unwrap().split_once('│').unwrap();
        let width = setlist::text::width;
        assert_eq!(width(before), width(plain), "{row}");
    }
}

#[test]
fn the_timeline_in_ascii_at_40_by_10() {
    let mut harness = busy_site(40, 10, Appearance::new(Palette::Mono, true));
    snapshot!("40x10-timeline-ascii", harness.keys("s").text());
}

#[test]
fn the_workers_at_80_by_24() {
    snapshot!("80x24-workers", styled(80, 24, "W"));
}
