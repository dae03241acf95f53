//! Progress that jobs report, as bars beside those that run.

use setlist::model::{JobId, Outcome, RunId};
use setlist::tui::keys::Key;
use setlist::tui::wake::Wake;

use super::stage::{Stage, queue};

fn stage(width: u16, height: u16) -> (Stage, Vec<(JobId, RunId)>) {
    let jobs = [("a", "Alpha"), ("b", "Beta"), ("c", "Gamma")];
    let mut stage = Stage::new(vec![queue("q", 3, 0, &jobs)], width, height);
    stage.process("q");
    let started = (0..3).map(|_| stage.start("q")).collect();
    (stage, started)
}

fn row(stage: &mut Stage, title: &str) -> String {
    let text = stage.text();
    let row = text.lines().find(|line| line.contains(title) && line.contains('▸'));
    row.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn every_job_in_view_shows_how_far_it_is() {
    let (mut stage, started) = stage(120, 40);
    stage.says(started[0].1, "compiling\r\n\x1b]9;4;1;40\x07");
    stage.says(started[1].1, "\x1b]9;4;3\x1b\\");
    assert!(row(&mut stage, "Alpha").contains("━━━━──────  40%") || row(&mut stage, "Alpha").contains("─ 40%"));
    assert!(row(&mut stage, "Beta").contains("working"));
    assert!(!row(&mut stage, "Gamma").contains('%'));
    stage.says(started[0].1, "\x1b]9;4;1;4");
    assert!(row(&mut stage, "Alpha").contains("40%"), "half a report is none");
    stage.says(started[0].1, "5\x07");
    assert!(row(&mut stage, "Alpha").contains("45%"));
    stage.says(started[1].1, "\x1b]9;4;2;70\x07");
    assert!(row(&mut stage, "Beta").contains("70% error"));
    stage.says(started[0].1, "\x1b]9;4;0\x07");
    assert!(!row(&mut stage, "Alpha").contains('%'));
}

#[test]
fn reports_are_found_below_much_output() {
    let (mut stage, started) = stage(80, 24);
    stage.says(started[1].1, &format!("\x1b]9;4;1;10\x07{}", "noise\n".repeat(20_000)));
    assert!(row(&mut stage, "Beta").contains("10%"), "{}", stage.text());
    stage.says(started[1].1, &format!("{}\x1b]9;4;1;90\x07", "noise\n".repeat(100_000)));
    assert!(row(&mut stage, "Beta").contains("90%"), "{}", stage.text());
}

#[test]
fn the_key_that_chooses_a_job_in_view_shows_what_it_prints() {
    let (mut stage, started) = stage(80, 24);
    stage.says(started[0].1, "from alpha\n");
    stage.says(started[1].1, "from beta\n");
    stage.keys("g");
    let first = stage.chosen();
    assert!(stage.text().contains("from alpha"), "{}", stage.text());
    // Nobody else is asked for anything.
    let effects = stage.screen.handle(Wake::Key(Key::row("j").unwrap()[0]), stage.now);
    assert!(effects.is_empty(), "{effects:?}");
    assert_ne!(stage.chosen(), first);
    let text = stage.text();
    assert!(text.contains("from beta") && !text.contains("from alpha"), "{text}");
    // What it prints next is seen as well.
    stage.says(started[1].1, "more\n");
    assert!(stage.text().contains("more"), "{}", stage.text());
}

#[test]
fn only_what_is_in_view_is_attended_to() {
    let jobs: Vec<(String, String)> = (0..60).map(|n| (format!("j{n}"), format!("Job {n}"))).collect();
    let jobs: Vec<_> = jobs.iter().map(|(name, title)| (name.as_str(), title.as_str())).collect();
    let mut stage = Stage::new(vec![queue("q", 60, 0, &jobs)], 120, 40);
    stage.process("q");
    let started: Vec<_> = (0..60).map(|_| stage.start("q")).collect();
    assert!(stage.attended.len() < 12, "{:?}", stage.attended);
    for run in &started {
        stage.says(run.1, "\x1b]9;4;1;33\x07");
    }
    stage.keys("G");
    assert!(stage.attended.contains(&started[59].1) && !stage.attended.contains(&started[0].1));
    assert!(row(&mut stage, "Job 59").contains("33%"));
    for run in started {
        stage.end(run, Outcome::Succeeded);
    }
    assert_eq!(stage.attended, [], "nobody listens when nothing runs");
}
