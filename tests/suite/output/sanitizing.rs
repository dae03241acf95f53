//! Parsing the bytes of a job into safe styled text.

use proptest::prelude::*;
use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier, Style};
use setlist::text;
use setlist::tui::output::{StreamSanitizer, sanitize_coloured, sanitize_plain};

use super::memory_log::{MemoryLog, ViewHarness};
use crate::rng::cases;

/// The text of a line.
#[test]
fn control_sequences_act_as_on_a_terminal() {
    for (bytes, shown) in [
        // Carriage returns, erasing, backspace: the last state is shown.
        (&b"10%\r20%\r30%"[..], "30%"),
        (b"downloading\rdone", "doneloading"),
        (b"downloading\r\x1b[Kdone", "done"),
        (b"downloading\x1b[2K\x1b[1Gdone", "done"),
        (b"downloading\r\x1b[Jdone", "done"),
        (b"abcdef\x1b[3D\x1b[1K", "    ef"),
        (b"done\r", "done"),
        (b"ab\x08c", "ac"),
        (b"\x08\x08a", "a"),
        (b"ab\x1b[2DX", "Xb"),
        (b"a\x1b[3Cb", "a   b"),
        (b"a\x1b[5Gb", "a   b"),
        // Wide characters are overwritten as a whole.
        ("日本\r-".as_bytes(), "- 本"),
        ("日本\x1b[2G-".as_bytes(), " -本"),
        ("abc\r日".as_bytes(), "日c"),
        ("a日\r日".as_bytes(), "日 "),
        // Tabs move to the next multiple of eight columns.
        (b"a\tb", "a       b"),
        (b"12345678\tb", "12345678        b"),
        (b"abcdefghij\r\tX", "abcdefghXj"),
        // Sequences without effect.
        (b"a\x07b\x00c\x0b\x0c\x0e\x7fd", "abcd"),
        (b"\x1b[2J\x1b[H\x1b[10;10Ha\x1b[Ab\x1b[?1049h\x1b[?25lc", "abc"),
        (b"\x1b]0;title\x07a\x1b]2;title\x1b\\b", "ab"),
        (b"\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]52;c;ZXZpbA==\x07a", "a"),
        (b"\x1bPq#0;2;0;0;0#0~~\x1b\\a\x1b_Gi=1;AAAA\x1b\\b\x1b^x\x1b\\c\x1bXx\x1b\\d", "abcd"),
        (b"\x1bc\x1b7\x1b8\x1b(0a\x1b=b", "ab"),
        (b"\x1b[6n\x1b[c\x1b[>q\x1b[18ta", "a"),
        (b"\x1b[", ""),
        (b"a\x1b", "a"),
        // Invalid UTF-8, and C1 control characters.
        (b"caf\xe9!", "caf\u{fffd}!"),
        (b"caf\xc3", "caf\u{fffd}"),
        (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        (b"a\x9b31mb", "a\u{fffd}31mb"),
        (b"a\xc2\x9b31mb", "a\u{fffd}31mb"),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        // Invisible characters and changes of direction.
        ("a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{e0041}f".as_bytes(), "abcdef"),
        // Combining marks are kept up to a limit.
        ("e\u{301}x".as_bytes(), "e\u{301}x"),
        ("e\u{301}\u{301}\u{301}\u{301}\u{301}x".as_bytes(), "e\u{301}\u{301}\u{301}x"),
        ("\u{301}x".as_bytes(), "x"),
        ("日\u{301}\r-".as_bytes(), "- "),
    ] {
        assert_eq!(sanitize_plain(bytes), shown, "{:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn line_ends_are_kept_as_they_are() {
    assert_eq!(sanitize_plain(b"a\n\nb\r\nc"), "a\n\nb\nc");
    assert_eq!(sanitize_plain(b"a\n"), "a\n");
    assert_eq!(sanitize_plain(b""), "");
}

#[test]
fn a_sequence_that_is_never_ended_hides_one_line_at_most() {
    assert_eq!(sanitize_plain(b"a\x1b]0;oops\nb\x1bP oops\nc\x1b[12\nd"), "a\nb\nc\nd");
}

/// The styles of the cells of the first row.
fn styles(bytes: &[u8]) -> Vec<Style> {
    let mut screen = ViewHarness::new(&MemoryLog::of(bytes), 8, 1);
    let shown = text::width(&screen.rows()[0]);
    screen.buffer.content[..shown].iter().map(Cell::style).collect()
}

#[test]
fn colours_and_attributes_are_kept() {
    let fg = |color| Style::new().fg(color);
    let with = |modifier| Style::new().add_modifier(modifier);
    for (bytes, style) in [
        (&b"\x1b[31mx"[..], fg(Color::Red)),
        (b"\x1b[1;92mx", fg(Color::LightGreen).add_modifier(Modifier::BOLD)),
        (b"\x1b[38;5;123mx", fg(Color::Indexed(123))),
        (b"\x1b[38;2;1;2;3mx", fg(Color::Rgb(1, 2, 3))),
        (b"\x1b[38:2::1:2:3mx", fg(Color::Rgb(1, 2, 3))),
        (b"\x1b[38:2:1:2:3mx", fg(Color::Rgb(1, 2, 3))),
        (b"\x1b[38:5:9;4mx", fg(Color::Indexed(9)).add_modifier(Modifier::UNDERLINED)),
        (b"\x1b[44;103mx", Style::new().bg(Color::LightYellow)),
        (b"\x1b[48;5;1m\x1b[49mx", Style::new()),
        (b"\x1b[2;3;7;9mx", with(Modifier::DIM | Modifier::ITALIC | Modifier::REVERSED | Modifier::CROSSED_OUT)),
        (b"\x1b[1;2;22;4;24;4:3mx", with(Modifier::UNDERLINED)),
        (b"\x1b[4:3;58;2;9;8;7mx", with(Modifier::UNDERLINED).underline_color(Color::Rgb(9, 8, 7))),
        (b"\x1b[31m\x1b[mx", Style::new()),
        (b"\x1b[31m\x1b[0mx", Style::new()),
        // Concealed text is shown; invalid codes are ignored.
        (b"\x1b[8mx", Style::new()),
        (b"\x1b[38;2;300;0;0mx", Style::new()),
        (b"\x1b[38mx\x1b[999m", Style::new()),
        (b"\x1b[?31mx", Style::new()),
    ] {
        let cell = styles(bytes)[0];
        let expected = Style::new().fg(Color::Reset).bg(Color::Reset).underline_color(Color::Reset).patch(style);
        assert_eq!((cell.fg, cell.bg, cell.underline_color), (expected.fg, expected.bg, expected.underline_color));
        assert_eq!(cell.add_modifier, style.add_modifier, "{:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn a_style_continues_in_the_next_lines() {
    let mut screen = ViewHarness::new(&MemoryLog::of(b"\x1b[32ma\nb\n\x1b[0mc\n"), 3, 3);
    screen.draw();
    let colours: Vec<_> = (0..3).map(|y| screen.buffer[(0, y)].fg).collect();
    assert_eq!(colours, [Color::Green, Color::Green, Color::Reset]);
}

#[test]
fn styles_without_colours_keep_attributes() {
    let mut screen = ViewHarness::new(&MemoryLog::of(b"\x1b[1;31;44mx"), 3, 1);
    screen.styles.show_colours = false;
    screen.draw();
    let cell = &screen.buffer[(0, 0)];
    assert_eq!((cell.fg, cell.bg, cell.modifier), (Color::Reset, Color::Reset, Modifier::BOLD));
}

#[test]
fn coloured_text_has_no_other_control_sequences() {
    assert_eq!(
        sanitize_coloured(b"a\x1b[1;31mb\x1b]0;t\x07\nc\x1b[2J\x1b[0md\n"),
        "a\x1b[0;1;31mb\x1b[0m\n\x1b[0;1;31mc\x1b[0md\n"
    );
    assert_eq!(sanitize_coloured(b"\x1b[38;5;7;48;2;1;2;3;96mx"), "\x1b[0;96;48;2;1;2;3mx\x1b[0m");
    assert_eq!(sanitize_coloured(b"\x1b[4;58;5;3mx"), "\x1b[0;4;58;5;3mx\x1b[0m");
}

#[test]
fn a_line_without_end_is_printed_completely_in_bounded_memory() {
    let long = "äx".repeat(100_000);
    assert_eq!(sanitize_plain(long.as_bytes()), long);
    // A progress bar that was redrawn for hours, and an image larger than the maximum line length.
    let bar = (0..100_000).fold(String::new(), |bar, step| bar + "\rstep " + &step.to_string());
    assert_eq!(sanitize_plain(bar.as_bytes()), "step 99999");
    let image = format!("a\n\x1b]1337;File=:{}\x07b\n", "A".repeat(200_000));
    assert_eq!(sanitize_plain(image.as_bytes()), "a\nb\n");
}

/// Hostile bytes: escapes and controls are far more frequent than in random bytes.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..8),
        4 => "[ -~]{0,12}".prop_map(String::into_bytes),
        2 => "\\PC{0,6}".prop_map(String::into_bytes),
        2 => "[\u{80}-\u{9f}\u{200b}-\u{206f}\u{300}-\u{310}\u{1f468}\u{1f3fb}\u{fe0f}日本]{0,6}".prop_map(String::into_bytes),
        4 => "\x1b\\[[0-9;:?]{0,12}[@-~]".prop_map(String::into_bytes),
        1 => "\x1b[\\]PX^_][0-9;:a-z]{0,12}(\x07|\x1b\\\\)?".prop_map(String::into_bytes),
        2 => proptest::sample::select(vec![b"\n".to_vec(), b"\r".to_vec(), b"\t".to_vec(), b"\x1b".to_vec(), b"\x08".to_vec()]),
        1 => (0_usize..20_000).prop_map(|len| vec![b'x'; len]),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn no_control_character_reaches_a_cell(bytes in hostile(), width in 1_u16..40, wrap: bool) {
        let mut screen = ViewHarness::new(&MemoryLog::of(&bytes), width, 12);
        if !wrap {
            screen.output.toggle_wrap();
        }
        screen.draw();
        for row in screen.buffer.content.chunks(width as usize) {
            for (column, cell) in row.iter().enumerate() {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
                // The view and the buffer agree on the width of each cell, and nothing is drawn beyond the edge.
                let wide = text::width(cell.symbol());
                prop_assert!(wide == 1 || wide == 2, "{:?}", cell.symbol());
                if wide == 2 {
                    prop_assert!(column + 2 <= row.len());
                }
            }
        }
    }

    #[test]
    fn a_line_end_does_not_change_the_style(pieces in proptest::collection::vec("[a-z]{0,3}|\x1b\\[[0-9;]{0,6}m|\x1b\\[[0-7]?m|\x1b\\[[0-7]?m|\x1b\\[3[1-7]|\x1b[\\[\\]P_]|[\x07;0m]", 0..12)) {
        // An unfinished sequence ends with the line.
        let [next, same] = ["\n", "\x18"].map(|between| {
            let mut screen = ViewHarness::new(&MemoryLog::of(pieces.concat() + between + "X"), 100, 2);
            screen.draw();
            let cells = &screen.buffer.content;
            cells.iter().find(|cell| cell.symbol() == "X").map(Cell::style)
        });
        prop_assert!(next.is_some());
        prop_assert_eq!(next, same);
    }

    #[test]
    fn no_control_character_is_printed(bytes in hostile()) {
        prop_assert!(!sanitize_plain(&bytes).chars().any(|c| c.is_control() && c != '\n'));
        // Coloured text without its colours is the plain text, except that very long lines are cut at other places.
        let sanitize_coloured = sanitize_coloured(&bytes);
        let is_short = |text: &[u8]| text.split(|byte| *byte == b'\n').all(|line| line.len() < 16 * 1024);
        if is_short(&bytes) && is_short(sanitize_coloured.as_bytes()) {
            prop_assert_eq!(sanitize_plain(sanitize_coloured.as_bytes()), sanitize_plain(&bytes));
        }
        let mut rest = sanitize_coloured.as_str();
        while let Some(at) = rest.find('\x1b') {
            let sequence = &rest[at..];
            let end = sequence.find('m').unwrap();
            prop_assert!(sequence[1..end].starts_with('['));
            prop_assert!(sequence[2..end].bytes().all(|byte| byte.is_ascii_digit() || byte == b';'));
            rest = &sequence[end..];
        }
    }

    #[test]
    fn sanitizing_does_not_depend_on_how_bytes_arrive(bytes in hostile(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut printer = StreamSanitizer::coloured();
        let mut out = String::new();
        let mut from = 0;
        for cut in cuts {
            printer.push(&bytes[from..cut], &mut out);
            from = cut;
        }
        printer.push(&bytes[from..], &mut out);
        printer.finish(&mut out);
        prop_assert_eq!(out, sanitize_coloured(&bytes));
    }
}
