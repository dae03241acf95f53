//! The tiled view: the output of all running jobs side by side.

use proptest::prelude::*;
use setlist::model::{JobId, Outcome, Phase, RunId, Typed};
use setlist::store::{LineReader, Store};

use super::stage::{Stage, failed, queue, with_pty};

const JOBS: [(&str, &str); 6] =
    [("a", "Alpha"), ("b", "Beta"), ("c", "Gamma"), ("d", "Delta"), ("e", "Epsilon"), ("f", "Zeta")];

/// So many running jobs, each of which has said hello.
fn stage(running: usize, width: u16, height: u16) -> (Stage, Vec<(JobId, RunId)>) {
    let queues = vec![queue("build", 8, 0, &JOBS), queue("deploy", 8, 1, &[("prod", "Production"), ("test", "Test")])];
    let mut stage = Stage::new(queues, width, height);
    stage.process("build");
    let started: Vec<_> = (0..running).map(|_| stage.start("build")).collect();
    for (nth, run) in started.iter().enumerate() {
        stage.says(run.1, &format!("hello {nth}\n"));
    }
    (stage, started)
}

#[test]
fn all_that_runs_is_side_by_side_and_live() {
    let (mut stage, started) = stage(3, 120, 40);
    stage.keys("T");
    let text = stage.text();
    for shown in ["▸ Alpha", "▸ Beta", "▸ Gamma", "hello 0", "hello 1", "hello 2"] {
        assert!(text.contains(shown), "{shown}:\n{text}");
    }
    assert!(!text.contains("Finished"), "{text}");
    for (nth, run) in started.iter().enumerate() {
        stage.says(run.1, &format!("more {nth}\n"));
    }
    let text = stage.text();
    assert!((0..3).all(|nth| text.contains(&format!("more {nth}"))), "{text}");
    stage.keys("<Esc>");
    assert!(stage.text().contains("Finished"), "{}", stage.text());
    assert!(stage.text().contains("more 0"), "what came meanwhile is there:\n{}", stage.text());
}

#[test]
fn a_tile_stays_until_its_place_is_needed() {
    let (mut stage, started) = stage(2, 120, 40);
    stage.keys("T");
    let place = |stage: &mut Stage, word: &str| {
        let text = stage.text();
        let row = text.lines().position(|line| line.contains(word));
        row.map(|row| (row, text.lines().nth(row).unwrap().find(word).unwrap()))
    };
    let (alpha, beta) = (place(&mut stage, "Alpha"), place(&mut stage, "Beta"));
    assert!(alpha.is_some() && beta.is_some());
    stage.end(started[1], failed("exit code 3"));
    assert_eq!((place(&mut stage, "Alpha"), place(&mut stage, "✗ Beta").is_some()), (alpha, true));
    assert!(stage.text().contains("hello 1"), "its output can still be read:\n{}", stage.text());
    let next = stage.start("build");
    stage.says(next.1, "hello next\n");
    assert_eq!((place(&mut stage, "Alpha"), place(&mut stage, "Gamma")), (alpha, beta), "{}", stage.text());
    assert!(stage.text().contains("hello next") && !stage.text().contains("hello 1"));
    // The one with the focus is being read.
    stage.end(started[0], Outcome::Succeeded);
    stage.start("build");
    assert!(stage.text().contains("✓ Alpha") && stage.text().contains("▸ Delta"), "{}", stage.text());
}

#[test]
fn what_is_marked_is_not_meant_where_it_is_not_seen() {
    let (mut stage, runs) = stage(2, 120, 40);
    stage.keys("*T");
    stage.keys("x");
    assert!(stage.message().contains(&runs[0].0.to_string()), "{}", stage.message());
}

#[test]
fn keys_are_for_the_tile_with_the_focus() {
    let (mut stage, started) = stage(3, 120, 40);
    stage.keys("T");
    assert_eq!(stage.chosen().as_deref(), Some("a"));
    stage.keys("<Tab>");
    assert_eq!(stage.chosen().as_deref(), Some("b"));
    stage.keys("<S-Tab><S-Tab>");
    assert_eq!(stage.chosen().as_deref(), Some("c"), "round the end");
    for run in &started {
        stage.says(run.1, &"line\n".repeat(100));
    }
    stage.keys("k");
    let text = stage.text();
    assert_eq!(text.matches(" of 101").count(), 1, "only one is scrolled:\n{text}");
    stage.keys("/hello<Enter>");
    assert!(stage.text().contains("1 match"), "{}", stage.text());
    stage.keys("x");
    stage.end(started[2], Outcome::Cancelled);
    assert_eq!(stage.screen.chosen().unwrap().phase(), Phase::Finished);
    stage.keys("<Esc>");
    assert_eq!(
        (stage.list(), stage.chosen().as_deref()),
        (Phase::Finished, Some("c")),
        "the cursor is where one looked"
    );
}

#[test]
fn enter_zooms_and_escape_goes_back_level_by_level() {
    let (mut stage, _) = stage(3, 80, 24);
    stage.keys("<Enter>T<Tab>");
    let all = stage.text();
    stage.keys("<Enter>");
    let text = stage.text();
    assert!(text.contains("hello 1") && !text.contains("hello 0"), "{text}");
    stage.keys("<Tab>");
    assert!(stage.text().contains("hello 2") && !stage.text().contains("hello 1"), "{}", stage.text());
    stage.keys("<S-Tab><Esc>");
    assert_eq!(stage.text(), all);
    stage.keys("<Esc>");
    assert!(stage.text().contains("Output"), "{}", stage.text());
    assert!(!stage.text().contains("Pending"), "the output had the whole screen before:\n{}", stage.text());
}

#[test]
fn the_same_key_widens_to_all_queues_and_closes() {
    let (mut stage, _) = stage(1, 120, 40);
    stage.keys("T");
    assert!(stage.text().contains("Alpha"));
    stage.process("deploy");
    let other = stage.start("deploy");
    stage.says(other.1, "out it goes\n");
    assert!(!stage.text().contains("out it goes"));
    stage.keys("T");
    let text = stage.text();
    assert!(text.contains("build · Alpha") && text.contains("deploy · Production"), "{text}");
    assert!(text.contains("hello 0") && text.contains("out it goes"), "{text}");
    stage.keys("T");
    assert!(stage.text().contains("Finished"));
    // Another queue in front has tiles of its own.
    stage.keys("T]");
    let text = stage.text();
    assert!(text.contains("out it goes") && !text.contains("hello 0"), "{text}");
}

#[test]
fn without_anything_that_runs_there_are_no_tiles() {
    let (mut stage, _) = stage(0, 80, 24);
    stage.keys("T");
    assert_eq!(stage.message(), "nothing runs; p processes this queue");
    assert!(stage.text().contains("Finished"));
    stage.process("deploy");
    stage.start("deploy");
    stage.keys("T");
    assert!(stage.text().contains("deploy · Production"), "what runs elsewhere is shown:\n{}", stage.text());
}

#[test]
fn what_has_no_room_is_counted() {
    let (mut stage, _) = stage(6, 40, 10);
    stage.keys("T");
    assert!(stage.text().contains("+5 more"), "{}", stage.text());
    stage.resize(120, 40);
    assert!(!stage.text().contains("more"), "{}", stage.text());
    stage.resize(40, 10);
    assert!(stage.text().contains("+5 more"), "{}", stage.text());
}

#[test]
fn a_job_in_a_terminal_has_the_size_of_its_tile_and_is_typed_into() {
    let mut stage = Stage::new(vec![with_pty(queue("q", 2, 0, &JOBS[..2]))], 120, 40);
    stage.process("q");
    let started = [stage.start("q"), stage.start("q")];
    let mut lines = started.map(|(_, run)| stage.store.lines().reader(run).unwrap());
    for (_, run) in started {
        stage.in_terminal(run, 80, 24);
        stage.says(run, "name? ");
    }
    stage.keys("T");
    let size = |typed: &Typed| if let Typed::Size(size) = typed { Some(*size) } else { None };
    let sizes = lines.each_mut().map(|line| line.read().iter().rev().find_map(size).unwrap());
    assert!(sizes.iter().all(|size| size.columns == 59), "{sizes:?}");
    stage.keys("<Tab>i");
    assert!(stage.text().contains("TYPING"), "{}", stage.text());
    stage.keys("T<Tab>x<^z>");
    let typed = lines.each_mut().map(LineReader::read);
    assert_eq!(typed[0], []);
    assert_eq!(typed[1].iter().filter(|typed| matches!(typed, Typed::Bytes(_))).count(), 3);
    assert!(!stage.text().contains("TYPING"));
    assert_eq!(stage.chosen().as_deref(), Some("b"));
    stage.keys("<Esc>");
    let told = lines[1].read();
    assert!(matches!(told.last(), Some(Typed::Size(size)) if *size != sizes[1]), "it is shown elsewhere now: {told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, the job with the focus keeps its place and the focus, and nothing panics at any size.
    #[test]
    fn the_focus_stays_with_its_job(acts in proptest::collection::vec((0_u8..5, any::<u16>()), 0..40)) {
        let (mut stage, mut running) = stage(2, 100, 30);
        stage.keys("T");
        for (act, number) in acts {
            let before = stage.chosen();
            match act {
                0 if running.len() < 6 && stage.screen.queue().read(|record, _| !record.pending.is_empty()) => {
                    running.push(stage.start("build"));
                }
                1 if !running.is_empty() => {
                    let nth = usize::from(number) % running.len();
                    stage.end(running.remove(nth), Outcome::Succeeded);
                }
                2 => stage.resize(40 + number % 150, 10 + number / 150 % 60),
                3 => drop(stage.keys("<Enter>")),
                _ => drop(stage.text()),
            }
            prop_assert_eq!(stage.chosen(), before);
            stage.text();
        }
    }
}
