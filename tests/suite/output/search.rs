//! Searching the output.

use ratatui::buffer::Cell;
use ratatui::style::Color;

use setlist::tui::output::Scroll;

use super::memory_log::{MemoryLog, ViewHarness};

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
