//! The time gutter: when lines were printed, and which contain standard error.

use proptest::prelude::*;
use ratatui::layout::Rect;
use ratatui::style::Color;
use setlist::model::Stream;
use setlist::tui::output::Scroll;

use super::memory_log::{MemoryLog, ViewHarness, rows};

const DAY: i64 = 24 * 60 * 60 * 1000;

fn screen(log: &MemoryLog, width: u16, height: u16) -> ViewHarness {
    let mut screen = ViewHarness::new(log, width, height);
    screen.output.toggle_times();
    screen
}

/// A line on each stream, and a line from both.
fn both() -> MemoryLog {
    let log = MemoryLog::default();
    log.print(Stream::Out, 0, "out\n");
    log.print(Stream::Err, 1_250, "error\n");
    log.print(Stream::Out, 61_000, "be");
    log.print(Stream::Err, 62_000, "gun\n");
    log.print(Stream::Out, 3_600_000, "end");
    log
}

#[test]
fn lines_have_times_and_standard_error_has_a_bar() {
    let mut screen = screen(&both(), 40, 5);
    let shown = ["12:00:00.000   out", "12:00:01.250 │ error", "12:01:01.000 │ begun", "13:00:00.000   end", ""];
    assert_eq!(screen.rows(), shown);
    assert_eq!(screen.buffer[(13, 1)].fg, Color::Indexed(203));
    assert_eq!(screen.buffer[(0, 1)].fg, Color::Indexed(200));
    screen.styles.ascii = true;
    assert_eq!(screen.rows()[1], "12:00:01.250 | error");
    screen.output.toggle_times();
    assert_eq!(screen.rows()[..2], ["out", "error"]);
}

#[test]
fn the_gutter_leaves_room_for_the_output() {
    let mut screen = screen(&both(), 80, 5);
    for (width, row) in [
        (39, "12:00:01 │ error"),
        (24, "12:00:01 │ error"),
        (23, "│ error"),
        (8, "│ error"),
        (7, "error"),
        (5, "error"),
    ] {
        screen.area = Rect::new(0, 0, width, 5);
        assert_eq!(screen.rows()[1], row, "{width} cells");
    }
    for width in 0..5 {
        screen.area = Rect::new(0, 0, width, 3);
        screen.draw();
    }
}

#[test]
fn a_wrapped_line_has_one_time_and_a_bar_in_every_row() {
    let log = MemoryLog::default();
    log.print(Stream::Err, 5, "abcdefghijklmnopqrstuvwxyz0123456789\n");
    let mut screen = screen(&log, 40, 3);
    assert_eq!(screen.rows()[..2], ["12:00:00.005 │ abcdefghijklmnopqrstuvwxy", "             │ z0123456789"]);
    // If a line starts above the view, its first visible row has the time.
    screen.area = Rect::new(0, 0, 40, 1);
    assert_eq!(screen.rows(), ["12:00:00.005 │ z0123456789"]);
}

#[test]
fn output_over_several_days_has_dates() {
    let log = both();
    let mut screen = screen(&log, 60, 6);
    log.print(Stream::Out, DAY - 1, " of the day\nthe next");
    screen.refresh();
    assert_eq!(screen.rows()[4], "11-23 11:59:59.999   the next");
    assert_eq!(screen.rows()[1], "11-22 12:00:01.250 │ error");
    screen.area = Rect::new(0, 0, 30, 6);
    assert_eq!(screen.rows()[1], "12:00:01 │ error");
}

#[test]
fn unknown_times_are_blank() {
    let log = both();
    let mut screen = screen(&log, 40, 8);
    log.append("\n");
    log.mark(None);
    log.append("unknown\n");
    log.print(Stream::Out, 0, "known\n");
    screen.refresh();
    assert_eq!(screen.rows()[4..6], ["               unknown", "12:00:00.000   known"]);
    log.discard(10..15);
    let mut fresh = self::screen(&log, 40, 8);
    assert!(fresh.rows().contains(&"               … 5 B omitted …".to_owned()), "{:?}", fresh.rows());
}

#[test]
fn output_without_times_has_no_gutter() {
    let log = MemoryLog::of("old\n");
    let mut screen = screen(&log, 40, 2);
    assert!(screen.output.shows_times() && !screen.output.has_times());
    assert_eq!(screen.rows()[0], "old");
    let mut empty = self::screen(&MemoryLog::default(), 40, 2);
    assert_eq!(empty.rows(), ["", ""]);
}

#[test]
fn search_works_beside_the_gutter() {
    let log = both();
    let mut screen = screen(&log, 40, 2);
    screen.output.set_search(Some("error"));
    screen.output.search_next(true);
    screen.refresh();
    let shown = screen.rows();
    let row = shown.iter().position(|row| row.ends_with("│ error")).unwrap();
    let row = u16::try_from(row).unwrap();
    let marked: Vec<u16> = (0..40).filter(|x| screen.buffer[(*x, row)].bg == Color::Indexed(202)).collect();
    assert_eq!(marked, (15..20).collect::<Vec<_>>());
}

#[test]
fn a_frame_makes_few_lookups() {
    let log = MemoryLog::default();
    for line in 0..20_000 {
        let stream = if line % 2 == 0 { Stream::Out } else { Stream::Err };
        log.print(stream, line, "x\n");
    }
    // One line of equally many spans.
    for piece in 0..20_000 {
        log.print(Stream::Out, 20_000 + piece, ".");
        log.mark(None);
        log.append(".");
    }
    let mut screen = screen(&log, 80, 50);
    for scroll in [Scroll::End, Scroll::Rows(-1), Scroll::Pages(-20), Scroll::Home] {
        log.take_lookups();
        screen.output.scroll(scroll);
        screen.draw();
        assert!(log.take_lookups() < 50 * 70, "{scroll:?}");
    }
}

#[derive(Clone, Debug)]
enum ViewAction {
    Print(bool, String),
    Scroll(Scroll),
    Follow,
    Wrap,
}

fn actions() -> impl Strategy<Value = Vec<ViewAction>> {
    let act = prop_oneof![
        4 => (any::<bool>(), "([a-z日é]{0,60}\n?){0,8}").prop_map(|(error, text)| ViewAction::Print(error, text)),
        4 => (-30_isize..30).prop_map(|rows| ViewAction::Scroll(Scroll::Rows(rows))),
        1 => Just(ViewAction::Scroll(Scroll::Home)),
        1 => Just(ViewAction::Scroll(Scroll::End)),
        1 => Just(ViewAction::Follow),
        1 => Just(ViewAction::Wrap),
    ];
    proptest::collection::vec(act, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With a gutter, the output is that of a narrower view.
    #[test]
    fn the_gutter_only_narrows_the_output(actions in actions()) {
        const GUTTER: u16 = 15;
        let log = MemoryLog::default();
        log.print(Stream::Out, 0, "begin\n");
        let (mut plain, mut timed) = (ViewHarness::new(&log, 30, 6), screen(&log, 30 + GUTTER, 6));
        for (nth, act) in (0..).zip(actions) {
            for screen in [&mut plain, &mut timed] {
                match &act {
                    ViewAction::Print(..) => {}
                    ViewAction::Scroll(scroll) => screen.output.scroll(*scroll),
                    ViewAction::Follow => screen.output.toggle_follow(),
                    ViewAction::Wrap => screen.output.toggle_wrap(),
                }
            }
            if let ViewAction::Print(error, text) = act {
                log.print(if error { Stream::Err } else { Stream::Out }, nth, &text);
            }
            plain.refresh();
            timed.refresh();
            prop_assert_eq!(plain.draw(), timed.draw());
            for y in 0..6 {
                for x in 0..30 {
                    prop_assert_eq!(&plain.buffer[(x, y)], &timed.buffer[(x + GUTTER, y)]);
                }
            }
            for row in rows(&timed.buffer) {
                prop_assert!(row.is_empty() || row.starts_with("12:00:") || row.starts_with("            "), "{row:?}");
            }
        }
    }
}
