//! The cursor: on a job, never on a row.

use std::cmp::Reverse;

use proptest::prelude::*;
use setlist::Job;
use setlist::model::{Command, JobId, Outcome, Phase, Query, QueueId, State};
use setlist::tui::sort::Sort;

use super::stage::{Stage, failed, queue};
use crate::dice::cases;

fn many(count: usize) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("job-{n}"), format!("Job {n}"))).collect()
}

fn stage(count: usize, parallel: u32, width: u16, height: u16) -> Stage {
    let jobs = many(count);
    let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    Stage::new(vec![queue("build", parallel, 0, &jobs)], width, height)
}

/// The row of the screen with the highlighted cursor.
fn cursor_row(stage: &mut Stage) -> Option<u16> {
    let buffer = stage.buffer();
    let lit = |y: &u16| (0..buffer.area.width).any(|x| buffer[(x, *y)].bg == ratatui::style::Color::Blue);
    (0..buffer.area.height).find(lit)
}

#[test]
fn a_filter_takes_the_cursor_to_what_it_finds_and_back() {
    let mut stage = stage(5, 2, 80, 24);
    stage.process("build");
    stage.run("build", 1, failed("exit code 1"));
    let running = stage.start("build");
    stage.keys("<Tab>");
    stage.keys("gg");
    let (list, chosen) = (stage.list(), stage.chosen());
    stage.keys("/state:failed");
    assert_eq!((stage.list(), stage.chosen().as_deref()), (Phase::Finished, Some("job-0")), "{}", stage.text());
    stage.keys(&"<Backspace>".repeat(6));
    assert_eq!(stage.list(), list, "back where it was, as soon as something is found there");
    stage.keys("<Esc>");
    assert_eq!((stage.list(), stage.chosen()), (list, chosen));
    stage.keys("/state:failed<Enter>");
    stage.keys("<Tab>");
    assert_ne!(stage.list(), Phase::Finished, "an empty list can be gone to");
    stage.end(running, failed("exit code 2"));
    assert_ne!(stage.list(), Phase::Finished, "news don't take the cursor away");
}

#[test]
fn it_goes_with_its_job_from_list_to_list() {
    let mut stage = stage(4, 1, 80, 24);
    stage.keys("j");
    stage.process("build");
    let first = stage.start("build");
    assert_eq!((stage.list(), stage.chosen().as_deref()), (Phase::Pending, Some("job-1")));
    stage.end(first, Outcome::Succeeded);
    let second = stage.start("build");
    assert_eq!((stage.list(), stage.chosen().as_deref()), (Phase::Running, Some("job-1")));
    stage.end(second, failed("exit code 1"));
    assert_eq!((stage.list(), stage.chosen().as_deref()), (Phase::Finished, Some("job-1")));
    stage.start("build");
    assert_eq!(stage.chosen().as_deref(), Some("job-1"), "other jobs come and go");
}

#[test]
fn a_list_does_not_move_under_it() {
    let mut stage = stage(60, 1, 120, 40);
    stage.process("build");
    for _ in 0..25 {
        stage.run("build", 1, Outcome::Succeeded);
    }
    stage.keys("gjjj");
    let (job, row) = (stage.chosen(), cursor_row(&mut stage));
    assert_eq!((stage.list(), job.as_deref()), (Phase::Finished, Some("job-21")));
    assert!(row.is_some());
    for _ in 0..10 {
        stage.run("build", 1, Outcome::Succeeded);
        assert_eq!((stage.chosen(), cursor_row(&mut stage)), (job.clone(), row));
    }
    assert!(stage.text().contains("↑10"), "what came above is counted");
}

#[test]
fn pending_jobs_that_start_do_not_move_it() {
    let mut stage = stage(80, 1, 120, 40);
    stage.keys("<PgDn><PgDn>");
    let (job, row) = (stage.chosen(), cursor_row(&mut stage));
    assert!(row.is_some());
    stage.process("build");
    for _ in 0..5 {
        stage.run("build", 1, Outcome::Succeeded);
        assert_eq!((stage.chosen(), cursor_row(&mut stage)), (job.clone(), row));
    }
}

#[test]
fn the_neighbour_is_chosen_when_its_job_is_removed() {
    let mut stage = stage(4, 1, 80, 24);
    stage.keys("jd");
    assert_eq!(stage.chosen().as_deref(), Some("job-2"));
    stage.keys("Gd");
    assert_eq!(stage.chosen().as_deref(), Some("job-2"), "the one above, at the end");
    stage.keys("dd");
    assert_eq!(stage.chosen(), None);
    stage.keys("dxr");
    assert_eq!(stage.message(), "no job is selected: nothing is pending");
    stage.keys("u");
    assert_eq!(stage.chosen().as_deref(), Some("job-0"));
}

#[test]
fn it_moves_by_rows_and_pages_and_stays_in_view() {
    let mut stage = stage(100, 1, 120, 40);
    for (keys, chosen) in [("G", "job-99"), ("g", "job-0"), ("jjk", "job-1"), ("k<Up>", "job-0"), ("<End>", "job-99")] {
        stage.keys(keys);
        assert_eq!(stage.chosen().as_deref(), Some(chosen), "{keys}");
        assert!(cursor_row(&mut stage).is_some());
    }
    let height = stage.screen.layout().rows(Phase::Pending);
    stage.keys("g<PgDn>");
    assert_eq!(stage.chosen(), Some(format!("job-{}", height - 1)));
    stage.resize(60, 18);
    assert!(cursor_row(&mut stage).is_some(), "in view after a resize");
}

#[test]
fn panes_are_visited_in_turn() {
    let mut stage = stage(6, 2, 80, 24);
    stage.process("build");
    stage.run("build", 1, Outcome::Succeeded);
    stage.start("build");
    stage.keys("g");
    stage.keys("h<Left>").keys("<S-Tab>");
    let mut seen = Vec::new();
    for _ in 0..5 {
        stage.keys("<Tab>");
        let focus = stage.screen.lists().focus();
        seen.push((focus.list, focus.output));
    }
    assert_eq!(seen[0], seen[4]);
    assert_eq!(seen.iter().take(4).filter(|(_, output)| *output).count(), 1);
}

#[test]
fn a_filter_is_live_and_knows_case() {
    let mut stage = stage(30, 1, 80, 24);
    stage.keys("/job-2");
    assert_eq!(stage.shown(Phase::Pending).len(), 11);
    stage.keys("9");
    assert_eq!(stage.shown(Phase::Pending), ["job-29"]);
    assert_eq!(stage.chosen().as_deref(), Some("job-29"));
    stage.keys("<Backspace><Enter>");
    assert_eq!(stage.shown(Phase::Pending).len(), 11);
    stage.keys("<Esc>");
    assert_eq!(stage.shown(Phase::Pending).len(), 30);
    stage.keys("/JOB");
    assert!(stage.shown(Phase::Pending).is_empty());
    assert!(stage.text().contains("nothing matches"));
    stage.keys("<Esc>/\"Job 3\"<Enter>");
    assert_eq!(stage.shown(Phase::Pending), ["job-3"]);
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Key(&'static str),
    Start,
    Succeed,
    Fail,
    Cancel,
    Add,
    Resize(u16, u16),
}

fn deed() -> impl Strategy<Value = Deed> {
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
        "+",
    ];
    prop_oneof![
        10 => proptest::sample::select(keys.to_vec()).prop_map(Deed::Key),
        3 => Just(Deed::Start),
        2 => Just(Deed::Succeed),
        1 => Just(Deed::Fail),
        1 => Just(Deed::Cancel),
        1 => Just(Deed::Add),
        1 => (0..130_u16, 0..45_u16).prop_map(|(width, height)| Deed::Resize(width, height)),
    ]
}

fn act(stage: &mut Stage, deed: Deed) {
    let build = stage.screen.queue().site().get_queue("build");
    let running = build.running().into_iter().next();
    let ended = running.as_ref().and_then(|job| Some((job.id, job.running()?)));
    match (deed, ended) {
        (Deed::Key(keys), _) => drop(stage.keys(keys)),
        (Deed::Start, _) => {
            let ready = build.read(|record, _| {
                record.mode == setlist::model::Mode::Processing
                    && !record.pending.is_empty()
                    && record.running.len() < 2
            });
            if ready {
                stage.start("build");
            }
        }
        (Deed::Succeed, Some(run)) => stage.end(run, Outcome::Succeeded),
        (Deed::Fail, Some(run)) => stage.end(run, failed("exit code 1")),
        (Deed::Cancel, _) => {
            if let Some(job) = build.pending().pop() {
                stage.elsewhere(&[Command::Cancel { job: job.id, stop: setlist::model::Stop::Terminate }]);
            }
        }
        (Deed::Add, _) => {
            let definition = setlist::model::Definition::new(setlist::model::Script::shell("echo 11"));
            stage.elsewhere(&[Command::Add { queue: "build".into(), jobs: vec![definition.into()] }]);
        }
        (Deed::Resize(width, height), _) => stage.resize(width, height),
        (Deed::Succeed | Deed::Fail, None) => {}
    }
    stage.later(1);
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn whatever_happens_it_is_on_a_job_in_view(deeds in proptest::collection::vec(deed(), 1..40)) {
        let jobs = many(14);
        let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
        let other = [("ship", "Job 1 of another"), ("tell", "")];
        let mut stage = Stage::new(vec![queue("build", 2, 0, &jobs), queue("deploy", 1, 1, &other)], 80, 24);
        for deed in deeds {
            act(&mut stage, deed);
            stage.text();
            let (lists, layout) = (stage.screen.lists(), stage.screen.layout());
            for phase in [Phase::Pending, Phase::Running, Phase::Finished] {
                let rows: Vec<_> = stage.screen.queue().read(|record, _| lists.rows(record, phase).iter().collect());
                prop_assert_eq!(&rows, &plainly(&stage, phase));
                prop_assert!(lists.offset(phase) <= rows.len());
                if let Some(chosen) = lists.chosen_in(phase) {
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

/// What a list shows, found by looking at every job.
fn plainly(stage: &Stage, phase: Phase) -> Vec<JobId> {
    let lists = stage.screen.lists();
    let (query, _) = Query::so_far(lists.filter_text(), stage.now);
    stage.screen.queue().site().read(|ledger| {
        let here = |queue: &QueueId| lists.is_of_all() || queue == stage.screen.queue().id();
        let orders: Vec<&QueueId> = ledger.queues().iter().map(|(id, _)| *id).collect();
        let mut jobs: Vec<&Job> = ledger.jobs().filter(|job| job.phase() == phase && here(&job.queue)).collect();
        jobs.retain(|job| query.finds(job));
        let run = |job: &Job| job.last_run.as_ref().map(|run| (run.started, run.id));
        let took = |job: &Job| {
            let run = job.last_run.as_ref()?;
            Some(run.ending.as_ref()?.at - run.started)
        };
        let at = |job: &Job| if let State::Finished { at, .. } = job.state { Some(at) } else { None };
        let order = |job: &Job| orders.iter().position(|queue| **queue == job.queue);
        let natural = lists.sort() == Sort::Queue;
        jobs.sort_by_key(|job| job.id);
        match phase {
            Phase::Pending if natural => jobs.sort_by_key(|job| (order(job), job.position)),
            Phase::Pending => jobs.sort_by_key(|job| job.position),
            Phase::Running => jobs.sort_by_key(|job| run(job)),
            Phase::Finished => jobs.sort_by_key(|job| (at(job), run(job).map(|run| run.1))),
        }
        if phase == Phase::Finished {
            // Jobs that were cancelled at once without a run stand as they do in the other orders.
            jobs.reverse();
            if !natural {
                jobs.sort_by_key(|job| (Reverse(at(job)), Reverse(run(job).map(|run| run.1)), job.id));
            }
        }
        match lists.sort() {
            Sort::Queue => {}
            Sort::Title => jobs.sort_by_key(|job| job.label().to_lowercase()),
            Sort::Took => jobs.sort_by_key(|job| Reverse(took(job).unwrap_or_default())),
            Sort::Outcome => jobs.sort_by_key(|job| match job.outcome().map(Outcome::word) {
                Some("failed") => 0,
                Some("interrupted") => 1,
                None if job.failure().is_some() => 1,
                Some("skipped") => 2,
                Some("cancelled") => 3,
                _ => 4,
            }),
        }
        jobs.into_iter().map(|job| job.id).collect()
    })
}
