//! The timeline: runs as bars over time, what they waited for, and the critical path.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use ratatui::layout::Position;
use setlist::model::{
    Command, DesiredQueue, JobRef, Need, Outcome, OutcomeCondition, QueueMode, RetryPolicy, SchedulingOptions,
    StopSignal,
};
use setlist::tui::message::Message;
use setlist::tui::mouse::{MouseAction, MouseInput};
use setlist::tui::theme::{Appearance, Palette};

use super::harness::{ScreenHarness, failed, queue};
use super::mode;

/// `pack` needs `unit`, which needs `fetch`; two slots.
fn pipeline() -> Vec<DesiredQueue> {
    let jobs = [("fetch", "Fetch"), ("lint", "Lint"), ("unit", "Unit tests"), ("pack", "Package")];
    let mut build = queue("build", 2, 0, &jobs);
    for (nth, name) in [(2, "fetch"), (3, "unit")] {
        let need = Need { job: JobRef::Named("build".into(), Arc::from(name)), on: OutcomeCondition::Success };
        let scheduling = SchedulingOptions { needs: vec![need], ..SchedulingOptions::default() };
        Arc::make_mut(&mut build.jobs[nth]).scheduling = Arc::new(scheduling);
    }
    vec![build, queue("deploy", 1, 1, &[("prod", "Production")])]
}

/// Fetch for 20 s, beside it Lint for 30 s, which fails; then Unit tests for 60 s and Package, which runs.
fn site(width: u16, height: u16, appearance: Appearance) -> ScreenHarness {
    let mut harness = ScreenHarness::with_appearance(pipeline(), width, height, appearance);
    harness.process("build");
    harness.advance_seconds(5);
    let (fetch, lint) = (harness.start("build"), harness.start("build"));
    harness.advance_seconds(20);
    harness.end(fetch, Outcome::Succeeded);
    let unit = harness.start("build");
    harness.print(unit.1, "two tests\n");
    harness.advance_seconds(10);
    harness.end(lint, failed("exit code 2"));
    harness.advance_seconds(50);
    harness.end(unit, Outcome::Succeeded);
    harness.start("build");
    harness.advance_seconds(15);
    harness
}

fn dark() -> Appearance {
    Appearance::new(Palette::Dark, false)
}

fn opened(width: u16, height: u16) -> ScreenHarness {
    let mut harness = site(width, height, dark());
    harness.keys("s");
    harness
}

/// The row of a job.
fn row(harness: &mut ScreenHarness, label: &str) -> String {
    let text = harness.text();
    let row = text.lines().skip(2).find(|line| line.contains(label) && !line.contains("Critical"));
    row.unwrap_or_else(|| panic!("{label} in\n{text}")).to_owned()
}

/// How many cells of a row show this.
fn cells(row: &str, sign: char) -> usize {
    row.chars().filter(|other| *other == sign).count()
}

#[test]
fn bars_show_when_jobs_waited_and_ran_and_how_they_ended() {
    let mut harness = opened(120, 40);
    let text = harness.text();
    assert!(text.contains("─ Timeline · build · 4 runs · ✗ 1 failed · 2 min until now"), "{text}");
    let (fetch, lint, unit) = (row(&mut harness, "Fetch"), row(&mut harness, "Lint"), row(&mut harness, "Unit tests"));
    // 120 s in 97 cells.
    assert!((16..=18).contains(&cells(&fetch, '━')) && (3..=5).contains(&cells(&fetch, '┄')), "{fetch}");
    assert!(lint.starts_with(" ✗") && cells(&lint, '✗') == 2, "a sign at its start, and at its end: {lint}");
    assert!(cells(&unit, '┄') > cells(&fetch, '┄') && cells(&unit, '━') > 30, "{unit}");
    assert!(unit.ends_with("1m 00s"), "{unit}");
    let package = row(&mut harness, "Package");
    assert!(package.starts_with("›▸") && package.contains('━'), "{package}");
    assert!(text.contains("12:00:30") && text.contains("12:01:00"), "{text}");
}

#[test]
fn the_critical_path_is_marked_and_said() {
    let mut harness = opened(120, 40);
    for (label, is_on_path) in [("Fetch", true), ("Lint", false), ("Unit tests", true), ("Package", true)] {
        let sign = row(&mut harness, label).chars().nth(2);
        assert_eq!(sign == Some('*'), is_on_path, "{label}: {sign:?}");
    }
    let text = harness.text();
    let path =
        "* Critical path so far, 1m 35s in 3 runs: Fetch 20s ▸ needs it: Unit tests 1m 00s ▸ needs it: Package 15s";
    assert!(text.contains(path), "{text}");
    // Where a slot was the reason, that is said.
    let jobs = [("one", "One"), ("two", "Two")];
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &jobs)], 120, 40);
    harness.process("line");
    harness.run("line", 30, Outcome::Succeeded);
    harness.run("line", 10, Outcome::Succeeded);
    let text = harness.keys("s").text();
    assert!(text.contains("* Critical path, 40s in 2 runs: One 30s ▸ got its slot: Two 10s"), "{text}");
}

#[test]
fn it_is_live_and_redrawn_only_when_a_bar_grows() {
    let mut harness = opened(120, 40);
    let before = harness.text();
    let tick = harness.screen.next_tick(harness.now).unwrap();
    assert!(tick - harness.now <= TimeDelta::seconds(2));
    // Until then nothing moves but the duration.
    harness.now = tick - TimeDelta::milliseconds(1);
    let bars = |text: &str| {
        text.lines()
            .filter(|line| line.contains('━'))
            .map(|line| line.chars().take(110).collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(bars(&harness.text()), bars(&before));
    harness.now = tick;
    harness.send(Message::Tick);
    assert_ne!(bars(&harness.text()), bars(&before), "a cell later");
    harness.keys("------");
    let tick = harness.screen.next_tick(harness.now).unwrap();
    assert!(tick - harness.now > TimeDelta::seconds(5), "longer cells grow more slowly: {}", tick - harness.now);
    // A run that ends is drawn at once, and then nothing wakes the screen.
    let (job, run) = harness.screen.queue().site().read(|site| {
        let job = site.job_named(&"build".into(), "pack").unwrap();
        (job.id, job.current_run().unwrap())
    });
    harness.end((job, run), failed("exit code 1"));
    assert!(row(&mut harness, "Package").contains("✗"));
    harness.advance_seconds(20);
    harness.send(Message::Tick);
    assert_eq!(harness.screen.next_tick(harness.now), None);
}

#[test]
fn it_opens_with_all_that_runs_and_what_ran_just_before() {
    let mut harness = ScreenHarness::new(pipeline(), 120, 40);
    harness.process("build");
    harness.start("build");
    harness.advance_seconds(10);
    // The latest run ended more than a minute ago.
    harness.run("build", 5, Outcome::Succeeded);
    harness.advance_seconds(85);
    let text = harness.keys("s").text();
    assert!(text.contains("2 runs · 2 min until now"), "{text}");
    // Long after all has ended, the first run is at the left end.
    let mut harness = ScreenHarness::new(pipeline(), 120, 40);
    harness.process("build");
    let (fetch, lint) = (harness.start("build"), harness.start("build"));
    harness.advance_seconds(70);
    harness.end(fetch, Outcome::Succeeded);
    harness.end(lint, Outcome::Succeeded);
    harness.advance_seconds(50_000);
    harness.keys("s");
    let row = row(&mut harness, "Fetch");
    let before = row.split('━').next().unwrap_or_default().trim_end_matches(['┄', ' ']).chars().count();
    assert!(row.contains('━') && row.find('━').unwrap() < 30 && before < 16, "{row}");
}

#[test]
fn labels_are_as_wide_as_the_longest_one_needs() {
    let first_bar = |title: &str| {
        let jobs = [("one", title), ("two", "Two")];
        let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &jobs)], 120, 40);
        harness.process("line");
        harness.run("line", 30, Outcome::Succeeded);
        harness.advance_seconds(50_000);
        let row = row(harness.keys("s"), "✓");
        assert!(row.contains(title), "{row}");
        row.chars().position(|sign| matches!(sign, '┄' | '━')).unwrap()
    };
    assert!(first_bar("A title that is longer than a quarter of it") > first_bar("One") + 20);
}

#[test]
fn a_retry_is_on_the_path_however_long_it_waited() {
    let mut line = queue("line", 1, 0, &[("one", "One")]);
    let retry = RetryPolicy { delay: Duration::from_secs(60), ..RetryPolicy::times(1) };
    Arc::make_mut(&mut line.jobs[0]).scheduling = Arc::new(SchedulingOptions { retry, ..SchedulingOptions::default() });
    let mut harness = ScreenHarness::new(vec![line], 120, 40);
    harness.process("line");
    harness.run("line", 30, failed("exit code 1"));
    harness.advance_seconds(60);
    harness.execute_elsewhere(&[Command::PromoteDue]);
    harness.run("line", 30, Outcome::Succeeded);
    let text = harness.keys("s").text();
    assert!(text.contains("* Critical path, 2m 00s in 2 runs: One 30s ▸ retried: One 30s"), "{text}");
}

#[test]
fn it_zooms_from_a_minute_to_a_month_and_pans() {
    let mut harness = opened(120, 40);
    harness.keys("+");
    assert!(harness.text().contains("1 min until now"), "{}", harness.text());
    harness.keys("++++");
    assert!(harness.text().contains("15 s until now"), "{}", harness.text());
    harness.keys("--------------------");
    assert!(harness.text().contains("30 d until now"), "{}", harness.text());
    assert!(harness.text().contains("Nov 19"), "{}", harness.text());
    harness.keys("+++++++++++++++++++++----h");
    let text = harness.text();
    assert!(text.contains("5 min 2026-11-22"), "{text}");
    harness.keys("hhhhhhh");
    assert!(harness.text().contains("Nothing ran in this time."), "{}", harness.text());
    harness.keys(".");
    assert!(harness.text().contains("until now"), "{}", harness.text());
    harness.keys("hl");
    assert!(harness.text().contains("until now"), "back at the end, it follows the time: {}", harness.text());
}

#[test]
fn beyond_the_last_zoom_nothing_moves() {
    let mut harness = opened(120, 40);
    harness.keys("hk++++++++++++");
    let before = harness.text();
    assert!(before.contains(" 15 s ") && harness.message() == "This is the closest zoom.", "{before}");
    assert_eq!(harness.keys("+").text(), before);
    harness.keys("-------------------");
    assert!(harness.text().contains(" 30 d ") && harness.message() == "This is the widest zoom.", "{}", harness.text());
}

#[test]
fn the_message_line_and_actions_are_about_the_row_with_the_cursor() {
    let mut harness = opened(120, 40);
    // Production has not run, so that it has no row.
    harness.keys("<Esc>]s0");
    let text = harness.text();
    assert!(row(&mut harness, "Package").starts_with('›') && harness.message().contains("build/pack"), "{text}");
    harness.keys("C");
    assert!(harness.text().contains("─ History · build/pack"), "{}", harness.text());
    harness.keys("<Esc>sk");
    assert!(row(&mut harness, "Unit tests").starts_with('›') && harness.message().contains("build/unit"));
}

#[test]
fn without_a_row_no_job_behind_the_timeline_is_changed() {
    let mut harness = ScreenHarness::new(pipeline(), 80, 24);
    harness.keys("sr");
    assert_eq!(harness.message(), "No job is selected on this page.");
    assert!(harness.text().contains("─ Timeline") && harness.try_start("build").is_none());
}

#[test]
fn enter_opens_the_output_of_the_selected_run() {
    let mut harness = opened(120, 40);
    harness.keys("k");
    assert!(row(&mut harness, "Unit tests").starts_with('›'));
    assert!(harness.message().contains("build/unit"), "{}", harness.message());
    let text = harness.keys("<Enter>").text();
    assert!(text.contains("two tests") && !text.contains("─ Timeline"), "{text}");
    assert_eq!(harness.selected_job_name().as_deref(), Some("unit"));
}

#[test]
fn an_earlier_run_is_selected_in_its_row() {
    let mut harness = ScreenHarness::new(vec![queue("line", 1, 0, &[("one", "One")])], 120, 40);
    harness.process("line");
    for (text, outcome) in [("first run\n", failed("exit code 1")), ("second run\n", Outcome::Succeeded)] {
        harness.keys("gr");
        let started = harness.start("line");
        harness.print(started.1, text);
        harness.advance_seconds(30);
        harness.end(started, outcome);
        harness.advance_seconds(10);
    }
    harness.keys("s");
    assert!(harness.text().contains("2 runs · ✗ 1 failed"), "{}", harness.text());
    assert!(row(&mut harness, "One").contains('✗'), "the first run: {}", harness.text());
    let text = harness.keys("<lt><Enter>").text();
    assert!(text.contains("first run") && text.contains("run 1"), "{text}");
    let text = harness.keys("<Esc>s<Enter>").text();
    assert!(text.contains("second run"), "{text}");
}

#[test]
fn actions_mean_the_job_of_the_row() {
    let mut harness = opened(120, 40);
    harness.keys("gj");
    assert!(row(&mut harness, "Lint").starts_with('›'));
    harness.keys("r");
    assert!(harness.text().contains("─ Timeline"), "{}", harness.text());
    assert_eq!(harness.start("build").0, harness.screen.selected_job().unwrap().id);
    assert!(row(&mut harness, "Lint").starts_with("›▸"), "{}", harness.text());
    harness.keys("x");
    let stopped = harness.execute_elsewhere(&[]);
    assert!(stopped.is_empty());
    let stop =
        harness.screen.queue().site().read(|site| site.job_named(&"build".into(), "lint").unwrap().state.clone());
    assert!(format!("{stop:?}").contains(&format!("{:?}", StopSignal::Terminate)), "{stop:?}");
    harness.keys("p");
    assert_eq!((mode(&harness, "build"), harness.text().contains("─ Timeline")), (QueueMode::Paused, true));
    harness.keys("<Esc>");
    assert!(!harness.text().contains("─ Timeline"));
}

#[test]
fn all_queues_together() {
    let mut harness = opened(120, 40);
    harness.process("deploy");
    harness.run("deploy", 5, Outcome::Succeeded);
    assert!(!harness.text().contains("Production"));
    let text = harness.keys("0").text();
    assert!(text.contains("─ Timeline · all queues · 5 runs") && text.contains("deploy · Production"), "{text}");
    harness.keys("<Enter>");
    harness.keys("<Esc>s0");
    assert!(harness.text().contains("all queues"), "{}", harness.text());
}

#[test]
fn a_click_selects_a_row_and_a_second_one_opens_it() {
    let mut harness = opened(80, 24);
    let y = harness.text().lines().position(|line| line.contains("Unit tests")).unwrap();
    let click = MouseInput { at: Position { x: 40, y: u16::try_from(y).unwrap() }, action: MouseAction::Click };
    harness.send(Message::Mouse(click));
    assert!(row(&mut harness, "Unit tests").starts_with('›'));
    harness.send(Message::Mouse(click));
    assert!(harness.text().contains("two tests"), "{}", harness.text());
    harness.keys("<Esc>s");
    harness.send(Message::Mouse(MouseInput { action: MouseAction::WheelUp, ..click }));
    assert!(row(&mut harness, "Fetch").starts_with('›'), "{}", harness.text());
}

#[test]
fn without_runs_it_says_so() {
    let mut harness = ScreenHarness::new(pipeline(), 60, 12);
    let text = harness.keys("s").text();
    assert!(text.contains("Nothing has run yet."), "{text}");
    harness.keys("jkhl+-.<lt>><Enter>");
    assert!(harness.text().contains("─ Timeline"));
}

#[test]
fn it_fits_any_size_without_colours_and_in_ascii() {
    for ascii in [false, true] {
        let mut harness = site(120, 40, Appearance::new(Palette::Mono, ascii));
        harness.keys("s");
        for (width, height) in [(40, 10), (60, 18), (80, 24), (120, 40), (200, 60), (250, 80)] {
            harness.resize(width, height);
            let text = harness.text();
            assert!(text.lines().all(|line| setlist::text::width(line) <= usize::from(width)), "{text}");
            assert!(text.lines().skip(2).any(|line| line.starts_with(if ascii { '>' } else { '›' })), "{text}");
            assert!(!ascii || text.is_ascii(), "{text}");
        }
    }
}

#[test]
fn what_was_missed_is_loaded_again() {
    let mut harness = opened(120, 40);
    let state = harness.screen.queue().site().read(Clone::clone);
    harness.execute_elsewhere(&[Command::Pause { queue: "build".into() }]);
    harness.send(Message::SiteLoaded(Box::new(state)));
    assert!(harness.text().contains("4 runs"), "{}", harness.text());
}
