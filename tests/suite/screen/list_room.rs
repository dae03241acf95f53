//! Room goes where the jobs are, and nothing moves under the cursor.

use proptest::prelude::*;
use ratatui::layout::Size;
use setlist::model::{Outcome, Phase};
use setlist::text;
use setlist::tui::layout::{Focus, PHASES, layout, phase_index, shared_area};
use setlist::tui::list_room::{HeldCursor, ListRoom, MIN_LIST_HEIGHT, SharedArea};

use super::harness::{ScreenHarness, failed, queue};
use crate::rng::cases;

fn harness(count: usize, width: u16, height: u16) -> ScreenHarness {
    let jobs: Vec<(String, String)> = (0..count).map(|n| (format!("job-{n}"), format!("Job {n}"))).collect();
    let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    ScreenHarness::new(vec![queue("build", 2, 0, &jobs), queue("other", 1, 1, &[("one", "One")])], width, height)
}

fn heights(harness: &ScreenHarness) -> [u16; 3] {
    let layout = harness.screen.layout();
    PHASES.map(|phase| layout.list(phase).height)
}

/// How many rows of jobs are drawn.
fn drawn_jobs(harness: &mut ScreenHarness) -> usize {
    let text = harness.text();
    text.lines().filter(|line| line.split('│').next().unwrap_or(line).contains(" Job ")).count()
}

#[test]
fn an_empty_list_has_its_title_and_one_line() {
    let mut harness = harness(23, 120, 40);
    assert_eq!(heights(&harness)[1..], [2, 10], "running and finished jobs: {}", harness.text());
    assert_eq!(drawn_jobs(&mut harness), 23, "every pending job is visible:\n{}", harness.text());
    harness.resize(80, 24);
    assert_eq!(heights(&harness)[2], MIN_LIST_HEIGHT, "no finished jobs:\n{}", harness.text());
    harness.process("build");
    for _ in 0..23 {
        harness.run("build", 1, Outcome::Succeeded);
    }
    assert_eq!(heights(&harness)[..2], [2, 2], "nothing is pending or running:\n{}", harness.text());
    harness.resize(120, 40);
    assert_eq!(drawn_jobs(&mut harness), 23, "every finished job is visible:\n{}", harness.text());
}

#[test]
fn room_follows_the_jobs_while_they_run() {
    let mut harness = harness(30, 120, 40);
    harness.process("build");
    for done in 1..=30 {
        harness.run("build", 1, Outcome::Succeeded);
        let rows = heights(&harness).map(|height| usize::from(height) - 1);
        let hidden = (30 - done_pending(rows[0], 30 - done)) - done.min(rows[2]);
        let blank = rows[0].saturating_sub(30 - done);
        assert!(hidden < 4 || blank < 4, "{done} done: {rows:?} rows\n{}", harness.text());
    }
    assert_eq!(drawn_jobs(&mut harness), 30);
}

/// How many of the pending jobs are visible in this many rows.
fn done_pending(rows: usize, pending: usize) -> usize {
    pending.min(rows)
}

#[test]
fn a_list_keeps_its_top_edge_while_it_has_the_cursor() {
    let mut harness = harness(40, 120, 40);
    harness.process("build");
    for _ in 0..12 {
        harness.run("build", 1, Outcome::Succeeded);
    }
    harness.keys("gjjj");
    assert_eq!(harness.focused_list(), Phase::Finished);
    let top = harness.screen.layout().list(Phase::Finished).y;
    for _ in 0..20 {
        harness.run("build", 1, Outcome::Succeeded);
        assert_eq!(harness.screen.layout().list(Phase::Finished).y, top);
    }
    harness.keys("<S-Tab><Tab>");
    assert!(harness.screen.layout().list(Phase::Finished).y < top, "the next move of the focus makes room");
}

#[test]
fn nothing_moves_for_a_few_rows_of_long_lists() {
    let area = SharedArea { is_stacked: false, size: Size::new(60, 30) };
    let mut room = ListRoom::default();
    let mut heights_for = |running| {
        room.update(area, [100, running, 100], None);
        room.heights
    };
    let before = heights_for(6);
    for running in [5, 4, 3] {
        assert_eq!(heights_for(running), before, "{running} jobs run");
    }
    let after = heights_for(2);
    assert!(after[0] > before[0] && after[2] > before[2], "{after:?} after {before:?}");
}

#[test]
fn going_to_another_queue_and_back_fits_the_room() {
    let mut harness = harness(12, 120, 40);
    let before = heights(&harness);
    harness.keys("]");
    assert_eq!(heights(&harness)[..2], [2, 2]);
    harness.keys("[");
    assert_eq!(heights(&harness), before);
}

#[test]
fn the_lists_widen_before_titles_are_cut_and_keep_the_end() {
    let long = "Encode the recordings of the conference in hall B with quality 31 and speed 2";
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("long", long), ("next", "Next")])], 200, 50);
    assert!(harness.text().contains(&format!("{long} ")), "all of it fits beside the output:\n{}", harness.text());
    harness.resize(120, 40);
    let text = harness.text();
    assert!(text.contains("Encode the recordings") && text.contains("31 and speed 2"), "{text}");
    assert!(harness.screen.layout().output.width >= 52);
    harness.process("build");
    harness.run("build", 1, failed("the encoder said that its input was truncated"));
    harness.resize(200, 50);
    let text = harness.text();
    assert!(text.contains("the encoder said that its input"), "the outcome too:\n{text}");
}

#[test]
fn text_is_cut_in_the_middle_as_little_as_needed() {
    let cut = |cells, end| text::fit_middle("train on all data, lr 0.01, batch 16", cells, end, "…");
    assert_eq!(cut(40, None), "train on all data, lr 0.01, batch 16");
    assert_eq!(cut(30, None), "train on all data, lr…batch 16");
    assert_eq!(cut(30, Some(18)), "train on all…lr 0.01, batch 16");
    assert_eq!(cut(20, Some(18)), "train on all data…16", "too little room for all of the end");
    assert_eq!(cut(8, Some(18)), "train o…");
    assert_eq!(text::fit_middle("日本語のタイトルの番号", 15, None, "…"), "日本語のタ…番号");
}

#[test]
fn words_that_tell_texts_apart_are_kept() {
    let text = "Fit the forest with rate 0.01 on small data";
    let range = |word: &str| text.find(word).map(|at| at..at + word.len()).unwrap();
    let kept = [range("forest"), range("0.01"), range("small")];
    let cut = |cells| text::fit_keeping(text, cells, &kept, "…");
    assert_eq!(cut(60).as_deref(), Some(text));
    assert_eq!(cut(38).as_deref(), Some("Fit the forest with rate 0.01…small…"));
    assert_eq!(cut(30).as_deref(), Some("Fit the forest…0.01…small…"));
    assert_eq!(cut(20).as_deref(), Some("…forest…0.01…small…"));
    assert_eq!(cut(18).as_deref(), Some("forest…0.01…small"));
    assert_eq!(cut(16), None);
    assert_eq!(text::fit_keeping(text, 20, &[], "…"), None);
}

fn counts() -> impl Strategy<Value = [usize; 3]> {
    let count = || prop_oneof![3 => 0..4_usize, 3 => 0..40_usize, 1 => Just(100_000_usize)];
    [count(), count(), count()]
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn sizes_stay_below_a_cursor_and_leave_no_room_unused(
        width in 80..200_u16,
        height in 20..60_u16,
        steps in proptest::collection::vec((counts(), 0..3_usize, any::<bool>()), 1..20),
    ) {
        let size = Size { width, height };
        let area = shared_area(size);
        let mut room = ListRoom::default();
        for (rows, list, is_held) in steps {
            let list = PHASES[list];
            let index = phase_index(list);
            let before = layout(size, Focus::on(list), room);
            let row = before.rows(list).min(rows[index]).saturating_sub(1);
            let is_first = room == ListRoom::default();
            let held = (is_held && !is_first && rows[index] > 0).then_some(HeldCursor { list, row });
            room.update(area, rows, held);
            let after = layout(size, Focus::on(list), room);
            for phase in PHASES {
                prop_assert!(after.list(phase).height >= MIN_LIST_HEIGHT, "{after:?}");
            }
            if held.is_some() {
                prop_assert_eq!(after.list(list).y, before.list(list).y, "{:?} {:?}", rows, room);
                prop_assert!(after.rows(list) > row, "the cursor stays visible: {:?} {:?} {}", rows, room, row);
                continue;
            }
            // No list hides many rows while another one has as many blank lines.
            let hidden = PHASES.iter().map(|phase| rows[phase_index(*phase)].saturating_sub(after.rows(*phase)));
            let blank = PHASES.iter().map(|phase| after.rows(*phase).saturating_sub(rows[phase_index(*phase)].max(1)));
            if width >= 110 {
                prop_assert!(
                    hidden.max().unwrap_or(0) == 0 || blank.max().unwrap_or(0) <= 4,
                    "{:?} in {:?}", rows, room
                );
            }
        }
    }
}
