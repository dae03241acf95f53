//! The overview of all queues, the search for a queue, and the tabs around the current one.

use ratatui::layout::Position;
use setlist::model::{Outcome, QueueMode};
use setlist::tui::message::Message;
use setlist::tui::mouse::{MouseAction, MouseInput};

use super::harness::{ScreenHarness, failed, queue};
use super::mode;

const NAMES: [&str; 15] = [
    "backup",
    "billing",
    "cache-warm",
    "certs",
    "crawl",
    "deploy",
    "docs",
    "encode",
    "etl",
    "feeds",
    "geo",
    "images",
    "invoices",
    "mail",
    "nightly",
];

/// Many queues of two jobs; one job of `docs`, two of `mail` have failed.
fn harness(width: u16, height: u16) -> ScreenHarness {
    let jobs = [("first", "First"), ("second", "Second")];
    let queues = NAMES.iter().zip(0..).map(|(name, order)| queue(name, 1, order, &jobs)).collect();
    let mut harness = ScreenHarness::new(queues, width, height);
    for (name, failures) in [("docs", 1), ("mail", 2)] {
        harness.process(name);
        for _ in 0..failures {
            harness.run(name, 5, failed("exit code 1"));
        }
    }
    harness
}

/// The row of a queue in the overview.
fn row(harness: &mut ScreenHarness, name: &str) -> String {
    let text = harness.text();
    let row = text.lines().skip(3).find(|line| line.split_whitespace().any(|word| word == name));
    row.unwrap_or_else(|| panic!("{name} in\n{text}")).to_owned()
}

fn is_open(harness: &mut ScreenHarness) -> bool {
    harness.text().contains("─ Queues 15")
}

#[test]
fn many_queues_open_with_an_overview_that_leads_to_each_and_back() {
    let mut harness = harness(120, 40);
    assert!(is_open(&mut harness), "{}", harness.text());
    for name in NAMES {
        row(&mut harness, name);
    }
    let words: Vec<String> = row(&mut harness, "docs").split_whitespace().map(str::to_owned).collect();
    assert_eq!(
        words[3..],
        ["1", "0", "1", "✗", "1", "▅", "processing"],
        "pending, running, finished, failed: {words:?}"
    );
    harness.keys("jj<Enter>");
    assert!(!is_open(&mut harness));
    assert_eq!(harness.screen.queue().id().as_str(), "cache-warm");
    harness.keys("b");
    assert!(is_open(&mut harness) && row(&mut harness, "cache-warm").starts_with('›'), "the current queue is selected");
    harness.keys("<Esc>");
    assert_eq!((is_open(&mut harness), harness.screen.queue().id().as_str()), (false, "cache-warm"));
    // Few queues don't.
    let mut few = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "A")])], 120, 40);
    assert!(!few.text().contains("─ Queues"), "{}", few.text());
}

#[test]
fn a_queue_is_found_by_a_part_of_its_name() {
    let mut harness = harness(120, 40);
    harness.keys("<Esc>Bngt");
    let text = harness.text();
    assert!(text.contains("1 matches \"ngt\"") && text.contains("nightly"), "{text}");
    harness.keys("<Enter>");
    assert_eq!(harness.screen.queue().id().as_str(), "nightly");
    harness.keys("b/zzz");
    assert!(harness.text().contains("No matching queue."), "{}", harness.text());
    harness.keys("<Enter><Esc>");
    assert!(is_open(&mut harness) && row(&mut harness, "backup").contains("backup"), "Esc ends the search first");
}

#[test]
fn the_overview_is_sorted_by_failures_and_by_work() {
    let mut harness = harness(120, 40);
    let first = |harness: &mut ScreenHarness| harness.text().lines().nth(4).unwrap().to_owned();
    harness.keys("c");
    assert!(first(&mut harness).contains("mail"), "{}", harness.text());
    assert!(harness.text().contains("most failed first"));
    harness.keys("c");
    assert!(harness.text().contains("most time left first"));
    harness.keys("c");
    assert!(first(&mut harness).contains("backup"), "{}", harness.text());
    harness.keys("ccg<Enter>");
    assert_eq!(harness.screen.queue().id().as_str(), "backup");
}

#[test]
fn a_queue_is_processed_from_its_row_and_the_row_is_live() {
    let mut harness = harness(120, 40);
    harness.keys("jp");
    assert!(is_open(&mut harness), "{}", harness.text());
    assert_eq!(harness.message(), "Processing billing.");
    assert_eq!((mode(&harness, "billing"), mode(&harness, "backup")), (QueueMode::Processing, QueueMode::Idle));
    let started = harness.start("billing");
    let words = |harness: &mut ScreenHarness| {
        row(harness, "billing").split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert!(words(&mut harness).contains(" 1 1 0 0 "), "{}", words(&mut harness));
    assert!(harness.screen.next_tick(harness.now).is_some(), "the remaining time counts down");
    harness.advance_seconds(5);
    harness.end(started, Outcome::Succeeded);
    assert!(words(&mut harness).contains(" 1 0 1 0 "), "{}", words(&mut harness));
    // Other keys act on the current queue, and close the overview.
    harness.keys("v");
    assert!(!is_open(&mut harness));
}

#[test]
fn a_click_on_a_row_goes_into_the_queue() {
    let mut harness = harness(80, 24);
    let y = harness.text().lines().position(|line| line.contains("encode") && line.contains(" 8 ")).unwrap();
    let at = Position { x: 30, y: u16::try_from(y).unwrap() };
    harness.send(Message::Mouse(MouseInput { at, action: MouseAction::Click }));
    assert_eq!((is_open(&mut harness), harness.screen.queue().id().as_str()), (false, "encode"));
}

#[test]
fn the_rows_scroll_with_the_cursor_and_the_columns_fit_any_size() {
    let mut harness = harness(120, 40);
    for (width, height) in [(40, 10), (60, 12), (80, 24), (100, 20), (140, 40), (250, 80)] {
        harness.resize(width, height);
        for keys in ["G", "g", "<PgDn>", "k"] {
            harness.keys(keys);
            let text = harness.text();
            let selected = text.lines().skip(2).filter(|line| line.starts_with('›')).count();
            assert_eq!(selected, 1, "{keys} at {width}x{height}:\n{text}");
            assert!(text.lines().all(|line| setlist::text::width(line) <= usize::from(width)), "{text}");
        }
        // Failures have room at every width.
        let text = harness.keys("G").text();
        assert!(text.contains("✗ 2"), "{width}:\n{text}");
    }
}

#[test]
fn the_last_hour_is_shown_beside_names_that_are_not_cut_for_it() {
    let text = harness(120, 40).text();
    assert!(text.contains("Last hour") && text.contains("cache-warm"), "{text}");
    let long = "a-queue-with-quite-a-long-name";
    let queues = (0..10).map(|order| queue(&format!("{order}-{long}"), 1, order, &[("a", "A")])).collect();
    let text = ScreenHarness::new(queues, 120, 40).keys("b").text();
    assert!(!text.contains("Last hour") && text.contains(&format!("9-{long}")), "{text}");
}

#[test]
fn tabs_are_shown_around_the_current_one_and_count_failures_elsewhere() {
    let mut harness = harness(80, 24);
    harness.keys("<Esc>");
    let header = |harness: &mut ScreenHarness| harness.text().lines().next().unwrap().to_owned();
    assert!(header(&mut harness).contains("… ✗3"), "{}", header(&mut harness));
    harness.keys("/x<Esc>b/geo<Enter>");
    let line = header(&mut harness);
    assert!(line.starts_with(" … ✗1 ") && line.contains("… ✗2"), "{line}");
    let around = ["10 feeds", "11 geo", "12 images"];
    assert!(around.iter().all(|tab| line.contains(tab)), "{line}");
}
