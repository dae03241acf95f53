//! The log view: following, scrolling, wrapping and drawing logs that grow, are huge, or have gaps.

use proptest::prelude::*;
use ratatui::layout::Rect;
use setlist::tui::output::{JobProgress, NewOutput, Scroll};

use super::memory_log::{MemoryLog, ViewHarness};
use crate::rng::cases;

fn numbered(lines: std::ops::Range<usize>) -> String {
    lines.fold(String::new(), |text, line| text + "line " + &line.to_string() + "\n")
}

#[test]
fn it_follows_the_end() {
    let log = MemoryLog::of(numbered(0..100));
    let mut screen = ViewHarness::new(&log, 20, 3);
    assert_eq!(screen.rows(), ["line 97", "line 98", "line 99"]);
    log.append("unfinished");
    screen.refresh();
    assert_eq!(screen.rows(), ["line 98", "line 99", "unfinished"]);
    let status = screen.draw();
    assert!(status.is_following);
    assert_eq!(status.position_label(), "line 101 of 101");
    assert_eq!(status.new_output_label(false), None);
}

#[test]
fn scrolling_up_pauses_the_view_and_counts_new_lines() {
    let log = MemoryLog::of(numbered(0..100));
    let mut screen = ViewHarness::new(&log, 20, 3);
    screen.draw();
    screen.output.scroll(Scroll::Rows(-1));
    let held = screen.rows();
    assert_eq!(held, ["line 96", "line 97", "line 98"]);
    log.append(numbered(100..1_334));
    screen.refresh();
    assert_eq!(screen.rows(), held);
    let status = screen.draw();
    assert_eq!(status.position_label(), "line 99 of 1,334");
    assert_eq!(status.new_output_label(false).as_deref(), Some("▼ 1,234 new lines"));
    assert_eq!(status.new_output_label(true).as_deref(), Some("v 1,234 new lines"));
    screen.output.scroll(Scroll::End);
    assert_eq!(screen.rows(), ["line 1331", "line 1332", "line 1333"]);
    assert!(screen.draw().is_following);
}

#[test]
fn scrolling_down_to_the_end_follows_again() {
    let log = MemoryLog::of(numbered(0..10));
    let mut screen = ViewHarness::new(&log, 20, 3);
    screen.draw();
    screen.output.scroll(Scroll::Rows(-2));
    screen.output.scroll(Scroll::Rows(1));
    assert!(!screen.output.is_following());
    screen.output.scroll(Scroll::Rows(1));
    assert!(screen.output.is_following());
}

#[test]
fn follow_can_be_toggled_in_place() {
    let log = MemoryLog::of(numbered(0..10));
    let mut screen = ViewHarness::new(&log, 20, 3);
    let before = screen.rows();
    screen.output.toggle_follow();
    log.append("one more\n");
    screen.refresh();
    assert_eq!(screen.rows(), before);
    assert_eq!(screen.draw().new_output_label(false).as_deref(), Some("▼ 1 new line"));
    screen.output.toggle_follow();
    assert_eq!(screen.rows(), ["line 8", "line 9", "one more"]);
}

#[test]
fn pages_home_and_end() {
    let log = MemoryLog::of(numbered(0..100));
    let mut screen = ViewHarness::new(&log, 20, 5);
    screen.draw();
    let mut first = |scroll| {
        screen.output.scroll(scroll);
        screen.rows()[0].clone()
    };
    assert_eq!(first(Scroll::Pages(-1)), "line 91");
    assert_eq!(first(Scroll::HalfPages(-1)), "line 89");
    assert_eq!(first(Scroll::HalfPages(1)), "line 91");
    assert_eq!(first(Scroll::Home), "line 0");
    assert_eq!(first(Scroll::Rows(-5)), "line 0");
    assert_eq!(first(Scroll::Pages(2)), "line 8");
    assert_eq!(first(Scroll::Rows(isize::MAX)), "line 95");
}

#[test]
fn output_that_fits_does_not_scroll() {
    let mut screen = ViewHarness::new(&MemoryLog::of("a\nb\n"), 20, 5);
    screen.draw();
    for scroll in [Scroll::Rows(-1), Scroll::Home, Scroll::Pages(-1), Scroll::Rows(1)] {
        screen.output.scroll(scroll);
        assert!(screen.output.is_following());
        assert_eq!(screen.rows(), ["a", "b", "", "", ""]);
    }
}

#[test]
fn empty_output_draws_nothing() {
    let mut screen = ViewHarness::new(&MemoryLog::default(), 20, 5);
    assert!(screen.output.is_empty());
    for scroll in [Scroll::Rows(-1), Scroll::Home, Scroll::Pages(1), Scroll::End] {
        screen.output.scroll(scroll);
    }
    screen.output.toggle_follow();
    screen.output.set_search(Some("x"));
    screen.output.search_next(true);
    assert_eq!(screen.rows(), ["", "", "", "", ""]);
    assert_eq!(screen.draw().position_label(), "");
}

#[test]
fn long_lines_wrap_or_are_cut() {
    let log = MemoryLog::of("first\nabcdefghij\n日本語日本語x\ne\u{301}e\u{301}e\u{301}e\u{301}e\u{301}\n");
    let mut screen = ViewHarness::new(&log, 5, 7);
    assert_eq!(
        screen.rows(),
        ["first", "abcde", "fghij", "日本", "語日", "本語x", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"]
    );
    screen.output.toggle_wrap();
    assert!(!screen.output.is_wrapping());
    assert_eq!(screen.rows()[..4], ["first", "abcd…", "日本…", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"]);
    screen.styles.ascii = true;
    assert_eq!(screen.rows()[1], "abcd~");
}

#[test]
fn the_end_of_a_long_line_is_followed() {
    let log = MemoryLog::of(format!("start\n{}end", "x".repeat(50)));
    let mut screen = ViewHarness::new(&log, 10, 3);
    assert_eq!(screen.rows(), ["xxxxxxxxxx", "xxxxxxxxxx", "end"]);
    screen.output.scroll(Scroll::Rows(-1));
    let held = screen.rows();
    log.append("more and more");
    screen.refresh();
    assert_eq!(screen.rows(), held);
    // A wider view shows the same position.
    screen.area = Rect::new(0, 0, 20, 2);
    assert!(screen.rows()[0].starts_with("xxxxxxxxxx"));
}

#[test]
fn a_wide_character_in_a_pane_of_one_cell_is_not_split() {
    let mut screen = ViewHarness::new(&MemoryLog::of("日a\n"), 1, 3);
    assert_eq!(screen.rows(), ["…", "a", ""]);
}

#[test]
fn a_pane_that_grows_shows_more() {
    let log = MemoryLog::of(numbered(0..10));
    let mut screen = ViewHarness::new(&log, 20, 3);
    screen.draw();
    screen.output.scroll(Scroll::Rows(-1));
    screen.area = Rect::new(0, 0, 20, 12);
    assert_eq!(screen.rows()[..2], ["line 0", "line 1"]);
    screen.area = Rect::new(0, 0, 0, 0);
    screen.draw();
}

#[test]
fn a_redrawn_progress_bar_is_one_line() {
    let log = MemoryLog::of("start\n");
    let mut screen = ViewHarness::new(&log, 20, 3);
    for step in 0..60_000 {
        log.append(format!("\rstep {step}\x1b[K"));
        if step % 10_000 == 0 {
            screen.refresh();
            assert_eq!(screen.rows(), ["start", &format!("step {step}"), ""]);
        }
    }
    log.append("\nend\n");
    screen.refresh();
    assert_eq!(screen.rows(), ["start", "step 59999", "end"]);
    assert_eq!(screen.draw().lines, Some((3, 3)));
}

#[test]
fn reported_progress_is_parsed() {
    let log = MemoryLog::of("working\n");
    let mut screen = ViewHarness::new(&log, 20, 3);
    assert_eq!(screen.output.progress(), JobProgress::None);
    for (report, progress) in [
        ("\x1b]9;4;1;40\x07", JobProgress::Normal(40)),
        ("\x1b]9;4;2;41\x1b\\", JobProgress::Error(41)),
        ("\x1b]9;4;3\x07", JobProgress::Indeterminate),
        ("\x1b]9;4;4;50\x07", JobProgress::Paused(50)),
        ("\x1b]9;4;1;250\x07", JobProgress::Normal(100)),
        ("\x1b]9;4;1;60", JobProgress::Normal(100)),
        ("\x07", JobProgress::Normal(60)),
        ("\x1b]9;4;7;1\x07\x1b]9;notify\x07", JobProgress::Normal(60)),
        ("\x1b]9;4;0\x07", JobProgress::None),
        ("\x1b]9;4;1;70\x07x\n", JobProgress::Normal(70)),
    ] {
        log.append(report);
        screen.refresh();
        assert_eq!(screen.output.progress(), progress, "{report:?}");
    }
    // Progress stays until it is cleared, however much is written after it.
    log.append(numbered(0..30_000));
    screen.refresh();
    assert_eq!(screen.draw().progress, JobProgress::Normal(70));
}

#[test]
fn a_read_error_is_shown_until_a_read_succeeds() {
    let log = MemoryLog::of(numbered(0..10));
    log.fail_reads(true);
    let mut screen = ViewHarness::unread(&log, 80, 2);
    assert!(!screen.output.refresh());
    assert!(screen.rows()[0].starts_with("The output can't be read: /logs/7: "), "{:?}", screen.rows());
    log.fail_reads(false);
    screen.refresh();
    assert_eq!(screen.rows(), ["line 8", "line 9"]);
}

/// More than one refresh reads.
fn large() -> (MemoryLog, usize) {
    let lines = 1_000_000;
    (MemoryLog::of(numbered(0..lines)), lines)
}

#[test]
fn a_large_log_shows_its_end_at_once_and_both_ends_soon() {
    let (log, lines) = large();
    let mut screen = ViewHarness::unread(&log, 20, 3);
    assert!(screen.output.refresh(), "one refresh does not read everything");
    assert_eq!(screen.rows(), ["line 999997", "line 999998", "line 999999"]);
    let status = screen.draw();
    assert_eq!((status.lines, status.position_label()), (None, "100%".to_owned()));
    assert!(log.take_read() < 4 << 20, "opening reads little");

    // Far enough up to leave the part of the end that the first refresh has read.
    for _ in 0..3 {
        screen.output.scroll(Scroll::Rows(-40_000));
    }
    assert_eq!(screen.rows(), ["line 879997", "line 879998", "line 879999"]);
    screen.output.scroll(Scroll::Rows(-1));
    let held = screen.rows();
    screen.output.scroll(Scroll::Home);
    assert_eq!(screen.rows(), ["line 0", "line 1", "line 2"]);
    screen.output.scroll(Scroll::End);
    for _ in 0..3 {
        screen.output.scroll(Scroll::Rows(-40_000));
    }
    screen.output.scroll(Scroll::Rows(-1));
    assert_eq!(screen.rows(), held);

    // The numbers arrive; the view does not move.
    log.append(numbered(lines..lines + 5));
    screen.refresh();
    assert_eq!(screen.rows(), held);
    let status = screen.draw();
    assert_eq!(status.lines, Some((879_999, 1_000_005)));
    assert_eq!(status.new_output_label(false).as_deref(), Some("▼ 5 new lines"));
}

#[test]
fn a_key_press_reads_little_of_a_large_log() {
    let (log, _) = large();
    let mut screen = ViewHarness::new(&log, 80, 40);
    screen.draw();
    for scroll in [Scroll::Rows(-1), Scroll::Pages(-3), Scroll::Home, Scroll::Pages(20), Scroll::End] {
        log.take_read();
        screen.output.scroll(scroll);
        screen.draw();
        assert!(log.take_read() < 512 * 1024, "{scroll:?}");
    }
    log.append("one more\n");
    log.take_read();
    screen.refresh();
    screen.draw();
    assert!(log.take_read() < 256 * 1024, "only new output and its block are read");
}

#[test]
fn discarded_bytes_are_one_line() {
    let log = MemoryLog::of(numbered(0..1_000));
    log.discard(70..8_791);
    let mut screen = ViewHarness::new(&log, 30, 12);
    screen.draw();
    screen.output.scroll(Scroll::Home);
    let rows = screen.rows();
    assert_eq!(rows[..3], ["line 0", "line 1", "line 2"]);
    assert!(rows.contains(&"… 8.5 KiB omitted …".to_owned()), "{rows:?}");
    assert_eq!(rows[11], "line 989");
    screen.styles.ascii = true;
    assert!(screen.rows().contains(&"... 8.5 KiB omitted ...".to_owned()));
}

#[test]
fn a_growing_gap_below_the_view_keeps_lines_and_numbers() {
    let (log, _) = large();
    let mut screen = ViewHarness::new(&log, 30, 3);
    screen.draw();
    screen.output.scroll(Scroll::Pages(-2));
    let held = screen.rows();
    let lines = screen.draw().lines;
    // The worker keeps the start and the end while the log grows.
    for round in 0..5 {
        log.discard(100_000..11_000_000 + round * 100_000);
        log.append(numbered(0..10));
        screen.refresh();
        assert_eq!(screen.rows(), held);
        assert_eq!(screen.draw().lines.map(|lines| lines.0), lines.map(|lines| lines.0));
    }
    // From the start through the gap to the end, the lines are consecutive; the gap is one of them.
    screen.output.scroll(Scroll::Home);
    screen.area = Rect::new(0, 0, 30, 100);
    screen.draw();
    let mut gaps = 0;
    let mut previous: Vec<String> = Vec::new();
    while !screen.output.is_following() {
        screen.output.scroll(Scroll::Pages(1));
        let rows = screen.rows();
        if rows != previous {
            gaps += rows[1..].iter().filter(|row| row.contains("omitted")).count();
        }
        previous = rows;
        if gaps > 0 {
            break;
        }
    }
    assert_eq!(gaps, 1);
}

#[test]
fn visible_lines_may_be_discarded() {
    let (log, _) = large();
    let mut screen = ViewHarness::new(&log, 30, 3);
    screen.draw();
    screen.output.scroll(Scroll::Home);
    screen.output.scroll(Scroll::Rows(300_000));
    assert_eq!(screen.rows()[0], "line 300000");
    log.discard(1_000..10_000_000);
    // Scrolls away and back, so that nothing is cached.
    screen.output.scroll(Scroll::Rows(-100_000));
    screen.output.scroll(Scroll::End);
    screen.draw();
    screen.output.scroll(Scroll::Home);
    screen.draw();
    screen.output.scroll(Scroll::Rows(200));
    let rows = screen.rows();
    assert!(rows.iter().any(|row| row.starts_with("line ")), "{rows:?}");
}

#[derive(Clone, Debug)]
enum ViewAction {
    Append(String),
    Scroll(Scroll),
    Follow,
    Resize(u16, u16),
}

fn actions() -> impl Strategy<Value = Vec<ViewAction>> {
    let act = prop_oneof![
        4 => "([a-z日é]{0,30}\n?){0,20}".prop_map(ViewAction::Append),
        1 => (0_usize..4).prop_map(|lines| ViewAction::Append(numbered(0..lines * 4_000))),
        4 => (-30_isize..30).prop_map(|rows| ViewAction::Scroll(Scroll::Rows(rows))),
        1 => Just(ViewAction::Scroll(Scroll::Home)),
        1 => Just(ViewAction::Scroll(Scroll::End)),
        1 => Just(ViewAction::Follow),
        1 => (2_u16..30, 1_u16..12).prop_map(|(width, height)| ViewAction::Resize(width, height)),
    ];
    proptest::collection::vec(act, 0..30)
}

/// Lines in groups: many short ones, or a few that are about as long as the maximum.
fn chunks() -> impl Strategy<Value = Vec<Vec<String>>> {
    let line = |len: usize| (b'a'..=b'z').cycle().skip(len % 26).take(len).map(char::from).collect::<String>();
    let chunk = prop_oneof![
        4 => (0_usize..20_000, 0_usize..4).prop_map(move |(lines, most)| (0..lines).map(|nth| line(nth % (most + 1))).collect()),
        2 => (8_180_usize..8_200).prop_map(move |len| vec![line(len); 3]),
        2 => (16_380_usize..16_390).prop_map(move |len| vec![line(len)]),
        1 => (0_usize..70_000).prop_map(move |len| vec![line(len)]),
    ];
    proptest::collection::vec(chunk, 0..8)
}

/// A line as it is shown: one that is too long continues in the next line. Its end may be exactly at a cut.
fn parts(mut line: &str) -> Vec<&str> {
    const PART: usize = 16 * 1024;
    let mut parts = Vec::new();
    while line.len() > PART + 1 {
        let (part, rest) = line.split_at(PART);
        parts.push(part);
        line = rest;
    }
    parts.push(line);
    parts
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn lines_of_any_length_are_counted_and_found(chunks in chunks(), sizes in proptest::collection::vec(1_usize..100_000, 1..6), places in proptest::collection::vec(any::<prop::sample::Index>(), 3)) {
        let lines: Vec<String> = chunks.concat();
        let text = lines.join("\n") + "\n";
        let (log, mut rest) = (MemoryLog::default(), if lines.is_empty() { &[] } else { text.as_bytes() });
        let mut screen = ViewHarness::new(&log, 20, 1);
        screen.output.toggle_wrap();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            log.append(piece);
            screen.refresh();
            screen.draw();
            rest = after;
        }
        let parts: Vec<&str> = lines.iter().flat_map(|line| parts(line)).collect();
        prop_assert_eq!(screen.draw().lines.map(|lines| lines.1), Some(parts.len() as u64));
        for place in places.iter().filter(|_| parts.len() > 1) {
            let place = place.index(parts.len() - 1);
            screen.output.scroll(Scroll::Home);
            screen.output.scroll(Scroll::Rows(place.try_into().unwrap()));
            prop_assert_eq!(screen.draw().lines, Some((place as u64 + 1, parts.len() as u64)));
            let (shown, part) = (screen.rows().remove(0), parts[place]);
            let start = shown.strip_suffix('…').unwrap_or(&shown);
            prop_assert!(part.starts_with(start) && (part == start || start.len() == 19), "{:?} of {:?}", shown, part);
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn appending_never_moves_a_paused_view_and_a_following_view_shows_the_end(actions in actions()) {
        let log = MemoryLog::default();
        let mut all = String::new();
        let mut screen = ViewHarness::new(&log, 12, 5);
        screen.draw();
        for act in actions {
            let (paused, before) = (!screen.output.is_following(), screen.rows());
            match act {
                ViewAction::Append(text) => {
                    log.append(&text);
                    all.push_str(&text);
                    screen.refresh();
                    let after = screen.rows();
                    if paused {
                        // The unfinished last row may have grown.
                        let full = before.iter().rposition(|row| !row.is_empty()).unwrap_or(0);
                        prop_assert_eq!(&after[..full], &before[..full]);
                    }
                }
                ViewAction::Scroll(scroll) => screen.output.scroll(scroll),
                ViewAction::Follow => screen.output.toggle_follow(),
                ViewAction::Resize(width, height) => screen.area = Rect::new(0, 0, width, height),
            }
            let status = screen.draw();
            if status.is_following {
                prop_assert_eq!(status.new_output, NewOutput::None);
                let (last, rows) = (all.lines().last().unwrap_or_default(), screen.rows());
                let shown = rows.iter().rev().find(|row| !row.is_empty()).cloned().unwrap_or_default();
                prop_assert!(last.is_empty() || last.ends_with(&shown), "{:?} ends in {:?}", last, shown);
            }
            prop_assert_eq!(status.lines.map(|lines| lines.1), Some(all.lines().count() as u64));
        }
    }

    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive(text in "([a-z\u{1b}\\[0-9m;\r\t]{0,40}\n){0,40}", sizes in proptest::collection::vec(1_usize..200, 1..20)) {
        let (whole, grown) = (MemoryLog::of(&text), MemoryLog::default());
        let mut once = ViewHarness::new(&whole, 20, 40);
        let mut often = ViewHarness::new(&grown, 20, 40);
        let mut rest = text.as_bytes();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            grown.append(piece);
            often.refresh();
            often.draw();
            rest = after;
        }
        once.draw();
        often.draw();
        prop_assert_eq!(once.buffer, often.buffer);
    }
}

#[test]
fn cut_lines_scroll_horizontally() {
    let log = MemoryLog::of("0123456789abcdefghij\nshort\n日本語日本語日本語\n");
    let mut screen = ViewHarness::new(&log, 10, 4);
    screen.output.toggle_wrap();
    assert_eq!(screen.rows(), ["012345678…", "short", "日本語日 …", ""]);
    assert!(screen.output.scroll_horizontally(4));
    assert_eq!(screen.rows(), ["…56789abc…", "…", "… 日本語 …", ""]);
    assert!(screen.output.scroll_horizontally(100));
    assert_eq!(screen.rows(), ["…bcdefghij", "", "… 日本語", ""]);
    assert!(!screen.output.scroll_horizontally(1), "there is no text further right");
    assert!(screen.output.scroll_horizontally(-100));
    assert_eq!(screen.rows()[0], "012345678…");
    assert!(!screen.output.scroll_horizontally(-1));
    screen.output.scroll_horizontally(5);
    screen.output.toggle_wrap();
    assert_eq!(screen.rows(), ["abcdefghij", "short", "日本語日本", "語日本語"], "wrapped lines have all their text");
}

#[test]
fn a_hit_far_to_the_right_becomes_visible() {
    let log = MemoryLog::of(format!("{}needle{}\nneedle\n", "x".repeat(100), "y".repeat(100)));
    let mut screen = ViewHarness::new(&log, 20, 3);
    screen.output.toggle_wrap();
    screen.draw();
    screen.output.set_search(Some("needle"));
    screen.output.search_next(true);
    screen.refresh();
    assert!(screen.rows()[0].contains("needle"), "{:?}", screen.rows());
    screen.output.search_next(true);
    assert_eq!(screen.rows()[1], "needle", "a hit at the start of a line");
}
