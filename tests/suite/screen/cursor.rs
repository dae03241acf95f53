//! The cursor follows a job, not a row.

use std::cmp::Reverse;

use proptest::prelude::*;
use setlist::Job;
use setlist::model::{Command, JobId, JobState, Outcome, Phase, Query, QueueId};
use setlist::tui::sort_order::SortOrder;

use super::harness::{ScreenHarness, failed, queue};
use crate::rng::cases;

fn many(count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("job-{n}"), format!("Job {n}"))).collect()
}

fn harness(count: usize, parallel: u32, width: u16, height: u16) -> ScreenHarness {
    let jobs = many(count);
    let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    ScreenHarness::new(vec![queue("build", parallel, 0, &jobs)], width, height)
}

/// The row of the screen with the highlighted cursor.
fn cursor_row(harness: &mut ScreenHarness) -> Option<u16> {
    let buffer = harness.buffer();
    let lit = |y: &u16| (0..buffer.area.width).any(|x| buffer[(x, *y)].bg == ratatui::style::Color::Blue);
    (0..buffer.area.height).find(lit)
}

#[test]
fn a_filter_moves_the_cursor_to_its_matches_and_back() {
    let mut harness = harness(5, 2, 80, 24);
    harness.keys("g");
    harness.process("build");
    harness.run("build", 1, failed("exit code 1"));
    let running = harness.start("build");
    harness.keys("<Tab>");
    harness.keys("gg");
    let (list, chosen) = (harness.focused_list(), harness.selected_job_name());
    harness.keys("/state:failed");
    assert_eq!(
        (harness.focused_list(), harness.selected_job_name().as_deref()),
        (Phase::Finished, Some("job-0")),
        "{}",
        harness.text()
    );
    harness.keys(&"<Backspace>".repeat(6));
    assert_eq!(harness.focused_list(), list, "back in its list as soon as that has a match");
    harness.keys("<Esc>");
    assert_eq!((harness.focused_list(), harness.selected_job_name()), (list, chosen));
    harness.keys("/state:failed<Enter>");
    harness.keys("<Tab>");
    assert_ne!(harness.focused_list(), Phase::Finished, "an empty list can be focused");
    harness.end(running, failed("exit code 2"));
    assert_ne!(harness.focused_list(), Phase::Finished, "changes don't move the cursor");
}

#[test]
fn it_follows_its_job_from_list_to_list() {
    let mut harness = harness(4, 1, 80, 24);
    harness.keys("j");
    harness.process("build");
    let first = harness.start("build");
    assert_eq!((harness.focused_list(), harness.selected_job_name().as_deref()), (Phase::Pending, Some("job-1")));
    harness.end(first, Outcome::Succeeded);
    let second = harness.start("build");
    assert_eq!((harness.focused_list(), harness.selected_job_name().as_deref()), (Phase::Running, Some("job-1")));
    harness.end(second, failed("exit code 1"));
    assert_eq!((harness.focused_list(), harness.selected_job_name().as_deref()), (Phase::Finished, Some("job-1")));
    harness.start("build");
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-1"), "other jobs change");
}

#[test]
fn a_list_does_not_scroll_under_it() {
    let mut harness = harness(60, 1, 120, 40);
    harness.process("build");
    for _ in 0..25 {
        harness.run("build", 1, Outcome::Succeeded);
    }
    harness.keys("gjjj");
    let (job, row) = (harness.selected_job_name(), cursor_row(&mut harness));
    assert_eq!((harness.focused_list(), job.as_deref()), (Phase::Finished, Some("job-21")));
    assert!(row.is_some());
    for _ in 0..10 {
        harness.run("build", 1, Outcome::Succeeded);
        assert_eq!((harness.selected_job_name(), cursor_row(&mut harness)), (job.clone(), row));
    }
    assert!(harness.text().contains("↑10"), "new rows above are counted");
}

#[test]
fn pending_jobs_that_start_do_not_move_it() {
    let mut harness = harness(80, 1, 120, 40);
    harness.keys("<PgDn><PgDn>");
    let (job, row) = (harness.selected_job_name(), cursor_row(&mut harness));
    assert!(row.is_some());
    harness.process("build");
    for _ in 0..5 {
        harness.run("build", 1, Outcome::Succeeded);
        assert_eq!((harness.selected_job_name(), cursor_row(&mut harness)), (job.clone(), row));
    }
}

#[test]
fn the_next_job_is_selected_when_its_job_is_removed() {
    let mut harness = harness(4, 1, 80, 24);
    harness.keys("jd");
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-2"));
    harness.keys("Gd");
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-2"), "the job above, at the end of the list");
    harness.keys("dd");
    assert_eq!(harness.selected_job_name(), None);
    harness.keys("dxr");
    assert_eq!(harness.message(), "No job is selected: there are no pending jobs.");
    harness.keys("u");
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-0"));
}

#[test]
fn it_moves_by_rows_and_pages_and_stays_in_view() {
    let mut harness = harness(100, 1, 120, 40);
    for (keys, chosen) in [("G", "job-99"), ("g", "job-0"), ("jjk", "job-1"), ("k<Up>", "job-0"), ("<End>", "job-99")] {
        harness.keys(keys);
        assert_eq!(harness.selected_job_name().as_deref(), Some(chosen), "{keys}");
        assert!(cursor_row(&mut harness).is_some());
    }
    let height = harness.screen.layout().rows(Phase::Pending);
    harness.keys("g<PgDn>");
    assert_eq!(harness.selected_job_name(), Some(format!("job-{}", height - 1)));
    harness.resize(60, 18);
    assert!(cursor_row(&mut harness).is_some(), "visible after a resize");
}

#[test]
fn the_focus_cycles_through_the_panes() {
    let mut harness = harness(6, 2, 80, 24);
    harness.process("build");
    harness.run("build", 1, Outcome::Succeeded);
    harness.start("build");
    harness.keys("g");
    harness.keys("h<Left>").keys("<S-Tab>");
    let mut seen = Vec::new();
    for _ in 0..5 {
        harness.keys("<Tab>");
        let focus = harness.screen.lists().focus();
        seen.push((focus.list, focus.output));
    }
    assert_eq!(seen[0], seen[4]);
    assert_eq!(seen.iter().take(4).filter(|(_, output)| *output).count(), 1);
}

#[test]
fn a_filter_is_applied_as_it_is_typed_and_has_smart_case() {
    let mut harness = harness(30, 1, 80, 24);
    harness.keys("/job-2");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 11);
    harness.keys("9");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["job-29"]);
    assert_eq!(harness.selected_job_name().as_deref(), Some("job-29"));
    harness.keys("<Backspace><Enter>");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 11);
    harness.keys("<Esc>");
    assert_eq!(harness.listed_jobs(Phase::Pending).len(), 30);
    harness.keys("/JOB");
    assert!(harness.listed_jobs(Phase::Pending).is_empty());
    assert!(harness.text().contains("No matches"));
    harness.keys("<Esc>/\"Job 3\"<Enter>");
    assert_eq!(harness.listed_jobs(Phase::Pending), ["job-3"]);
}

#[derive(Clone, Copy, Debug)]
enum Input {
    Key(&'static str),
    Start,
    Succeed,
    Fail,
    Cancel,
    Add,
    Resize(u16, u16),
}

fn input() -> impl Strategy<Value = Input> {
    let keys = [
        "j",
        "k",
        "g",
        "G",
        "<Tab>",
        "h",
        "d",
        "u",
        "x",
        "r",
        "<PgDn>",
        "<Enter>",
        "<Esc>",
        "/",
        "1",
        "D",
        "p",
        "c",
        "F",
        "0",
        "<Space>",
        "*",
        "{",
        "}",
        "z",
        "2",
        "y",
        "n",
        "/st<Enter>",
        "b",
        "+",
    ];
    prop_oneof![
        10 => proptest::sample::select(keys.to_vec()).prop_map(Input::Key),
        3 => Just(Input::Start),
        2 => Just(Input::Succeed),
        1 => Just(Input::Fail),
        1 => Just(Input::Cancel),
        1 => Just(Input::Add),
        1 => (0..130_u16, 0..45_u16).prop_map(|(width, height)| Input::Resize(width, height)),
    ]
}

fn apply(harness: &mut ScreenHarness, input: Input) {
    let build = harness.screen.queue().site().get_queue("build");
    let running = build.running().into_iter().next();
    let ended = running.as_ref().and_then(|job| Some((job.id, job.current_run()?)));
    match (input, ended) {
        (Input::Key(keys), _) => drop(harness.keys(keys)),
        (Input::Start, _) => {
            let ready = build.read(|record, _| {
                record.mode == setlist::model::QueueMode::Processing
                    && !record.pending.is_empty()
                    && record.running.len() < 2
            });
            if ready {
                harness.start("build");
            }
        }
        (Input::Succeed, Some(run)) => harness.end(run, Outcome::Succeeded),
        (Input::Fail, Some(run)) => harness.end(run, failed("exit code 1")),
        (Input::Cancel, _) => {
            if let Some(job) = build.pending().pop() {
                harness
                    .execute_elsewhere(&[Command::Cancel { job: job.id, stop: setlist::model::StopSignal::Terminate }]);
            }
        }
        (Input::Add, _) => {
            let definition = setlist::model::Definition::new(setlist::model::Script::shell("echo 11"));
            harness.execute_elsewhere(&[Command::Add { queue: "build".into(), jobs: vec![definition.into()] }]);
        }
        (Input::Resize(width, height), _) => harness.resize(width, height),
        (Input::Succeed | Input::Fail, None) => {}
    }
    harness.advance_seconds(1);
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn it_is_always_on_a_visible_job(inputs in proptest::collection::vec(input(), 1..40)) {
        let jobs = many(14);
        let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
        let other = [("ship", "Job 1 of another"), ("tell", "")];
        let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &jobs), queue("deploy", 1, 1, &other)], 80, 24);
        for input in inputs {
            apply(&mut harness, input);
            harness.text();
            let (lists, layout) = (harness.screen.lists(), harness.screen.layout());
            for phase in [Phase::Pending, Phase::Running, Phase::Finished] {
                let rows: Vec<_> = harness.screen.queue().read(|record, _| lists.rows(record, phase).iter().collect());
                prop_assert_eq!(&rows, &expected_rows(&harness, phase));
                prop_assert!(lists.offset(phase) <= rows.len());
                if let Some(chosen) = lists.selected_in(phase) {
                    let row = rows.iter().position(|id| *id == chosen);
                    prop_assert!(row.is_some(), "{chosen} is not in {phase:?}");
                    let seen = lists.offset(phase)..lists.offset(phase) + layout.rows(phase);
                    let hidden = layout.rows(phase) == 0 || lists.focus().list != phase;
                    prop_assert!(hidden || row.is_some_and(|row| seen.contains(&row)));
                }
            }
        }
    }
}

/// The rows of a list, computed from all jobs.
fn expected_rows(harness: &ScreenHarness, phase: Phase) -> Vec<JobId> {
    let lists = harness.screen.lists();
    let (query, _) = Query::parse_partial(lists.filter_text(), harness.now);
    harness.screen.queue().site().read(|site_state| {
        let here = |queue: &QueueId| lists.shows_all_queues() || queue == harness.screen.queue().id();
        let orders: Vec<&QueueId> = site_state.queues().iter().map(|(id, _)| *id).collect();
        let mut jobs: Vec<&Job> = site_state.jobs().filter(|job| job.phase() == phase && here(&job.queue)).collect();
        // The selected job stays though it no longer matches.
        jobs.retain(|job| query.matches(job) || lists.selected() == Some(job.id));
        let run = |job: &Job| job.last_run.as_ref().map(|run| (run.started, run.id));
        let took = |job: &Job| {
            // A job that is requested again has no duration until it runs.
            let run = job.result_run()?;
            Some(run.end.as_ref()?.at - run.started)
        };
        let at = |job: &Job| if let JobState::Finished { at, .. } = job.state { Some(at) } else { None };
        let order = |job: &Job| orders.iter().position(|queue| **queue == job.queue);
        let natural = lists.sort() == SortOrder::Queue;
        jobs.sort_by_key(|job| job.id);
        match phase {
            Phase::Pending if natural => jobs.sort_by_key(|job| (order(job), job.position)),
            Phase::Pending => jobs.sort_by_key(|job| job.position),
            Phase::Running => jobs.sort_by_key(|job| run(job)),
            Phase::Finished => jobs.sort_by_key(|job| (at(job), run(job).map(|run| run.1))),
        }
        if phase == Phase::Finished {
            // Jobs that were cancelled together without a run keep their relative order.
            jobs.reverse();
            if !natural {
                jobs.sort_by_key(|job| (Reverse(at(job)), Reverse(run(job).map(|run| run.1)), job.id));
            }
        }
        match lists.sort() {
            SortOrder::Title => jobs.sort_by_key(|job| job.display_title().to_lowercase()),
            SortOrder::Duration => jobs.sort_by_key(|job| Reverse(took(job).unwrap_or_default())),
            SortOrder::Outcome => jobs.sort_by_key(|job| match job.outcome().map(Outcome::as_str) {
                Some("failed") => 0,
                Some("interrupted") => 1,
                None if job.failure().is_some() => 1,
                Some("skipped") => 2,
                Some("cancelled") => 3,
                _ => 4,
            }),
            // No job of these tests has a value.
            SortOrder::Queue | SortOrder::Memory | SortOrder::LowestValue | SortOrder::HighestValue => {}
        }
        jobs.into_iter().map(|job| job.id).collect()
    })
}
