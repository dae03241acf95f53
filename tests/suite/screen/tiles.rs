//! The tiled view: the output of all running jobs side by side.

use proptest::prelude::*;
use setlist::model::{JobId, Outcome, Phase, RunId, TerminalInput};
use setlist::store::{Store, TerminalInputReader};

use super::harness::{ScreenHarness, failed, queue, with_pty};

const JOBS: [(&str, &str); 6] =
    [("a", "Alpha"), ("b", "Beta"), ("c", "Gamma"), ("d", "Delta"), ("e", "Epsilon"), ("f", "Zeta")];

/// `running` jobs that have each printed hello.
fn harness(running: usize, width: u16, height: u16) -> (ScreenHarness, Vec<(JobId, RunId)>) {
    let queues = vec![queue("build", 8, 0, &JOBS), queue("deploy", 8, 1, &[("prod", "Production"), ("test", "Test")])];
    let mut harness = ScreenHarness::new(queues, width, height);
    harness.process("build");
    let started: Vec<_> = (0..running).map(|_| harness.start("build")).collect();
    for (nth, run) in started.iter().enumerate() {
        harness.append_output(run.1, &format!("hello {nth}\n"));
    }
    (harness, started)
}

#[test]
fn all_running_jobs_are_tiled_and_live() {
    let (mut harness, started) = harness(3, 120, 40);
    harness.keys("T");
    let text = harness.text();
    for shown in ["▸ Alpha", "▸ Beta", "▸ Gamma", "hello 0", "hello 1", "hello 2"] {
        assert!(text.contains(shown), "{shown}:\n{text}");
    }
    assert!(!text.contains("Finished"), "{text}");
    for (nth, run) in started.iter().enumerate() {
        harness.append_output(run.1, &format!("more {nth}\n"));
    }
    let text = harness.text();
    assert!((0..3).all(|nth| text.contains(&format!("more {nth}"))), "{text}");
    harness.keys("<Esc>");
    assert!(harness.text().contains("Finished"), "{}", harness.text());
    assert!(harness.text().contains("more 0"), "what came meanwhile is there:\n{}", harness.text());
}

#[test]
fn a_finished_tile_stays_until_its_space_is_needed() {
    let (mut harness, started) = harness(2, 120, 40);
    harness.keys("T");
    let place = |harness: &mut ScreenHarness, word: &str| {
        let text = harness.text();
        let row = text.lines().position(|line| line.contains(word));
        row.map(|row| (row, text.lines().nth(row).unwrap().find(word).unwrap()))
    };
    let (alpha, beta) = (place(&mut harness, "Alpha"), place(&mut harness, "Beta"));
    assert!(alpha.is_some() && beta.is_some());
    harness.end(started[1], failed("exit code 3"));
    assert_eq!((place(&mut harness, "Alpha"), place(&mut harness, "✗ Beta").is_some()), (alpha, true));
    assert!(harness.text().contains("hello 1"), "its output can still be read:\n{}", harness.text());
    let next = harness.start("build");
    harness.append_output(next.1, "hello next\n");
    assert_eq!((place(&mut harness, "Alpha"), place(&mut harness, "Gamma")), (alpha, beta), "{}", harness.text());
    assert!(harness.text().contains("hello next") && !harness.text().contains("hello 1"));
    // The focused tile is not replaced.
    harness.end(started[0], Outcome::Succeeded);
    harness.start("build");
    assert!(harness.text().contains("✓ Alpha") && harness.text().contains("▸ Delta"), "{}", harness.text());
}

#[test]
fn marks_do_not_apply_in_the_tiled_view() {
    let (mut harness, _) = harness(2, 120, 40);
    harness.keys("*T");
    harness.keys("x");
    assert_eq!(harness.message(), "Asked build/a to stop. Press X to kill it.");
}

#[test]
fn keys_act_on_the_focused_tile() {
    let (mut harness, started) = harness(3, 120, 40);
    harness.keys("T");
    assert_eq!(harness.selected_job_name().as_deref(), Some("a"));
    harness.keys("<Tab>");
    assert_eq!(harness.selected_job_name().as_deref(), Some("b"));
    harness.keys("<S-Tab><S-Tab>");
    assert_eq!(harness.selected_job_name().as_deref(), Some("c"), "wraps around");
    for run in &started {
        harness.append_output(run.1, &"line\n".repeat(100));
    }
    harness.keys("k");
    let text = harness.text();
    assert_eq!(text.matches(" of 101").count(), 1, "only one is scrolled:\n{text}");
    harness.keys("/hello<Enter>");
    assert!(harness.text().contains("1 match"), "{}", harness.text());
    harness.keys("x");
    harness.end(started[2], Outcome::Cancelled);
    assert_eq!(harness.screen.selected_job().unwrap().phase(), Phase::Finished);
    harness.keys("<Esc>");
    assert_eq!(
        (harness.focused_list(), harness.selected_job_name().as_deref()),
        (Phase::Finished, Some("c")),
        "the cursor is where one looked"
    );
}

#[test]
fn enter_zooms_and_esc_goes_back_one_level() {
    let (mut harness, _) = harness(3, 80, 24);
    harness.keys("<Enter>T<Tab>");
    let all = harness.text();
    harness.keys("<Enter>");
    let text = harness.text();
    assert!(text.contains("hello 1") && !text.contains("hello 0"), "{text}");
    harness.keys("<Tab>");
    assert!(harness.text().contains("hello 2") && !harness.text().contains("hello 1"), "{}", harness.text());
    harness.keys("<S-Tab><Esc>");
    assert_eq!(harness.text(), all);
    harness.keys("<Esc>");
    assert!(harness.text().contains("Output"), "{}", harness.text());
    assert!(!harness.text().contains("Pending"), "the output had the whole screen before:\n{}", harness.text());
}

#[test]
fn the_same_key_shows_all_queues_then_closes() {
    let (mut harness, _) = harness(1, 120, 40);
    harness.keys("T");
    assert!(harness.text().contains("Alpha"));
    harness.process("deploy");
    let other = harness.start("deploy");
    harness.append_output(other.1, "out it goes\n");
    assert!(!harness.text().contains("out it goes"));
    harness.keys("T");
    let text = harness.text();
    assert!(text.contains("build · Alpha") && text.contains("deploy · Production"), "{text}");
    assert!(text.contains("hello 0") && text.contains("out it goes"), "{text}");
    harness.keys("T");
    assert!(harness.text().contains("Finished"));
    // Another selected queue has its own tiles.
    harness.keys("T]");
    let text = harness.text();
    assert!(text.contains("out it goes") && !text.contains("hello 0"), "{text}");
}

#[test]
fn there_are_no_tiles_if_nothing_runs() {
    let (mut harness, _) = harness(0, 80, 24);
    harness.keys("T");
    assert_eq!(harness.message(), "Nothing is running. Press p to process this queue.");
    assert!(harness.text().contains("Finished"));
    harness.process("deploy");
    harness.start("deploy");
    harness.keys("T");
    assert!(harness.text().contains("deploy · Production"), "what runs elsewhere is shown:\n{}", harness.text());
}

#[test]
fn tiles_that_do_not_fit_are_counted() {
    let (mut harness, _) = harness(6, 40, 10);
    harness.keys("T");
    assert!(harness.text().contains("+5 more"), "{}", harness.text());
    harness.resize(120, 40);
    assert!(!harness.text().contains("more"), "{}", harness.text());
    harness.resize(40, 10);
    assert!(harness.text().contains("+5 more"), "{}", harness.text());
}

#[test]
fn a_pty_job_has_the_size_of_its_tile_and_takes_input() {
    let mut harness = ScreenHarness::new(vec![with_pty(queue("q", 2, 0, &JOBS[..2]))], 120, 40);
    harness.process("q");
    let started = [harness.start("q"), harness.start("q")];
    let mut lines = started.map(|(_, run)| harness.store.terminal_inputs().open_reader(run).unwrap());
    for (_, run) in started {
        harness.set_pty_size(run, 80, 24);
        harness.append_output(run, "name? ");
    }
    harness.keys("T");
    let size = |typed: &TerminalInput| if let TerminalInput::Size(size) = typed { Some(*size) } else { None };
    let sizes = lines.each_mut().map(|line| line.read().iter().rev().find_map(size).unwrap());
    // The second one has a border and a margin.
    assert_eq!(sizes.map(|size| size.columns), [59, 58]);
    harness.keys("<Tab>i");
    assert!(harness.text().contains("TYPING"), "{}", harness.text());
    harness.keys("T<Tab>x<^z>");
    let typed = lines.each_mut().map(TerminalInputReader::read);
    assert_eq!(typed[0], []);
    assert_eq!(typed[1].iter().filter(|typed| matches!(typed, TerminalInput::Bytes(_))).count(), 3);
    assert!(!harness.text().contains("TYPING"));
    assert_eq!(harness.selected_job_name().as_deref(), Some("b"));
    harness.keys("<Esc>");
    let received = lines[1].read();
    assert!(
        matches!(received.last(), Some(TerminalInput::Size(_))),
        "it has the size of the output pane again: {received:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The focused job always keeps its tile and the focus, and nothing panics at any size.
    #[test]
    fn the_focus_stays_with_its_job(steps in proptest::collection::vec((0_u8..5, any::<u16>()), 0..40)) {
        let (mut harness, mut running) = harness(2, 100, 30);
        harness.keys("T");
        for (act, number) in steps {
            let before = harness.selected_job_name();
            match act {
                0 if running.len() < 6 && harness.screen.queue().read(|record, _| !record.pending.is_empty()) => {
                    running.push(harness.start("build"));
                }
                1 if !running.is_empty() => {
                    let nth = usize::from(number) % running.len();
                    harness.end(running.remove(nth), Outcome::Succeeded);
                }
                2 => harness.resize(40 + number % 150, 10 + number / 150 % 60),
                3 => drop(harness.keys("<Enter>")),
                _ => drop(harness.text()),
            }
            prop_assert_eq!(harness.selected_job_name(), before);
            harness.text();
        }
    }
}
