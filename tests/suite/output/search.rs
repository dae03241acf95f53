//! Searching the output.

use proptest::prelude::*;
use ratatui::buffer::Cell;
use ratatui::style::Color;

use setlist::tui::output::Scroll;

use super::memory_log::{MemoryLog, ViewHarness};
use crate::rng::cases;

fn log() -> MemoryLog {
    let log = MemoryLog::default();
    for line in 0..100 {
        let word = if line % 30 == 7 { "Warning: \x1b[33munu\x1b[0msed" } else { "ok" };
        log.append(format!("{line} {word}\n"));
    }
    log
}

/// The text in the style of the current hit.
fn current(screen: &ViewHarness) -> String {
    let marked = screen.buffer.content.iter().filter(|cell| cell.bg == Color::Indexed(202));
    marked.map(Cell::symbol).collect()
}

#[test]
fn next_and_previous_wrap_around() {
    let mut screen = ViewHarness::new(&log(), 30, 5);
    screen.draw();
    screen.output.set_search(Some("unused"));
    screen.refresh();
    let mut go = |forwards| {
        screen.output.search_next(forwards);
        let rows = screen.rows();
        assert_eq!(current(&screen), "unused");
        rows.into_iter().find(|row| row.contains("unused")).unwrap()
    };
    // The first hit is already visible.
    assert_eq!(go(true), "97 Warning: unused");
    assert_eq!(go(true), "7 Warning: unused");
    assert_eq!(go(true), "37 Warning: unused");
    assert_eq!(go(false), "7 Warning: unused");
    assert_eq!(go(false), "97 Warning: unused");
    assert_eq!(go(true), "7 Warning: unused");
    let status = screen.draw();
    assert_eq!(status.search.map(|hits| (hits.count, hits.is_searching)), Some((4, false)));
    assert!(!status.is_following);
}

#[test]
fn case_is_ignored_unless_the_text_has_capitals() {
    let log = MemoryLog::of("Straße STRASSE straße\nÉté été\nE e\n");
    let mut screen = ViewHarness::new(&log, 30, 3);
    for (wanted, count) in [("straße", 2), ("Straße", 1), ("été", 2), ("É", 1), ("e", 5), ("E", 2), ("x", 0), ("", 0)]
    {
        screen.output.set_search(Some(wanted));
        screen.refresh();
        let hits = screen.draw().search.map_or(0, |hits| hits.count);
        assert_eq!(hits, count, "{wanted}");
    }
    screen.output.set_search(None);
    assert_eq!(screen.draw().search, None);
}

#[test]
fn hits_in_new_output_are_counted_when_their_line_is_complete() {
    let log = MemoryLog::of("hit\n");
    let mut screen = ViewHarness::new(&log, 30, 3);
    screen.output.set_search(Some("hit"));
    log.append("a hi");
    screen.refresh();
    assert_eq!(screen.draw().search.map(|hits| hits.count), Some(1));
    log.append("t, hit\n");
    screen.refresh();
    assert_eq!(screen.draw().search.map(|hits| hits.count), Some(3));
}

#[test]
fn a_far_hit_is_found_in_bounded_steps() {
    let log = MemoryLog::of(format!("{}\n", "x".repeat(99)).repeat(50_000));
    log.append("needle\nend\n");
    let mut screen = ViewHarness::new(&log, 30, 3);
    screen.draw();
    screen.output.scroll(Scroll::Home);
    screen.output.set_search(Some("needle"));
    log.take_read();
    screen.output.search_next(true);
    assert!(log.take_read() < 1 << 20);
    assert!(screen.draw().search.is_some_and(|hits| hits.is_searching));
    screen.refresh();
    screen.draw();
    assert_eq!(current(&screen), "needle");
}

#[test]
fn the_current_hit_has_a_number() {
    let text =
        (0..30_000).fold(String::new(), |text, line| text + "a hit and a hit in line " + &line.to_string() + "\n");
    let log = MemoryLog::of(text);
    let mut screen = ViewHarness::new(&log, 40, 5);
    screen.output.scroll(Scroll::Home);
    screen.output.set_search(Some("hit"));
    screen.output.search_next(true);
    // The hit is found at once, although not all hits have been counted.
    assert!(screen.draw().search.is_some_and(|hits| hits.is_searching && hits.count < 60_000));
    screen.refresh();
    assert!(screen.draw().search.is_some_and(|hits| !hits.is_searching && hits.count == 60_000));
    screen.output.search_next(false);
    let mut at = |forwards| {
        screen.output.search_next(forwards);
        screen.refresh();
        let hits = screen.draw().search.unwrap();
        (hits.current, hits.count)
    };
    assert_eq!([at(true), at(true), at(true)], [(Some(1), 60_000), (Some(2), 60_000), (Some(3), 60_000)]);
    assert_eq!([at(false), at(false)], [(Some(2), 60_000), (Some(1), 60_000)]);
    assert_eq!(
        [at(false), at(false)],
        [(Some(60_000), 60_000), (Some(59_999), 60_000)],
        "the search wraps around at the start"
    );
    log.append("one more hit\n");
    assert_eq!([at(true), at(true), at(true)], [(Some(60_000), 60_001), (Some(60_001), 60_001), (Some(1), 60_001)]);
}

/// What the search for `wanted` finds, by `n` until it has been everywhere: the rows with the current hit.
fn found(log: &MemoryLog, wanted: &str, forwards: bool) -> (u64, Vec<(Option<u64>, String)>) {
    let mut screen = ViewHarness::new(log, 200, 8);
    screen.draw();
    screen.output.scroll(Scroll::Home);
    screen.output.set_search(Some(wanted));
    screen.refresh();
    let count = screen.draw().search.map_or(0, |hits| hits.count);
    let hits = (0..=count).map(|_| {
        screen.output.search_next(forwards);
        screen.refresh();
        (screen.draw().search.unwrap().current, current(&screen))
    });
    let hits = hits.collect();
    (count, hits)
}

proptest! {
    #![proptest_config(cases(48))]

    /// Whole blocks of plain lines are searched at once, all others line by line.
    #[test]
    fn plain_and_coloured_lines_have_the_same_hits(lines in proptest::collection::vec("[abB ]{0,12}", 1..60), long in 0_usize..3) {
        let mut lines = lines;
        lines.insert(lines.len() / 2, "ab".repeat(long * 9_000));
        lines.push("b".repeat(40 * 1024));
        let plain = MemoryLog::of(lines.join("\n") + "\n");
        let coloured = MemoryLog::of(lines.join("\x1b[0m\n") + "\x1b[0m\n");
        for (wanted, forwards) in [("aab", true), ("bba", false), ("aB", true)] {
            prop_assert_eq!(found(&plain, wanted, forwards), found(&coloured, wanted, forwards));
        }
    }
}

#[test]
fn a_text_over_the_end_of_a_line_that_was_cut_is_no_hit() {
    let log = MemoryLog::of(format!("first\n{}needle{}\nneedle\n", "x".repeat(16 * 1024 - 3), "x".repeat(9_000)));
    assert_eq!(found(&log, "needle", true).0, 1);
    assert_eq!(found(&log, "needle", false).0, 1);
}

#[test]
fn a_key_does_not_start_a_search_again() {
    let log = MemoryLog::of(format!("{}\n", "x".repeat(99)).repeat(200_000));
    log.append("needle\nend\n");
    let mut screen = ViewHarness::new(&log, 30, 3);
    screen.draw();
    screen.output.scroll(Scroll::Home);
    let label = |screen: &mut ViewHarness| screen.draw().search.unwrap().label("…");
    screen.output.set_search(Some("needle"));
    log.take_read();
    for _ in 0..100 {
        screen.output.search_next(true);
        assert!(log.take_read() < 1 << 20, "a key reads a bounded amount");
        if current(&screen) == "needle" {
            break;
        }
        assert!(label(&mut screen) == "searching…" || current(&screen) == "needle", "{}", label(&mut screen));
    }
    assert_eq!(current(&screen), "needle", "each key continues the search");
    screen.refresh();
    assert_eq!(label(&mut screen), "1 of 1 match");
    // Searching for the same text again continues at the current hit.
    log.append("needle\n");
    screen.refresh();
    log.take_read();
    screen.output.set_search(Some("needle"));
    screen.output.search_next(true);
    screen.refresh();
    assert!(log.take_read() < 1 << 20, "the output before is not counted again");
    assert_eq!(label(&mut screen), "2 of 2 matches");
}

#[test]
fn a_long_log_is_searched_in_few_steps() {
    let log = MemoryLog::of(format!("{}\n", "x".repeat(99)).repeat(160_000));
    let mut screen = ViewHarness::new(&log, 30, 3);
    screen.output.set_search(Some("needle"));
    let mut steps = 1;
    while screen.output.refresh() {
        steps += 1;
    }
    assert!(steps <= 70, "{steps} steps for 16 MB");
}
