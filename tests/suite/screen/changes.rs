//! What has changed since some time ago: jobs that end otherwise now, take longer or less, or ran for the first time.

use setlist::model::{Command, Outcome, Phase, RunReport};

use super::harness::{ScreenHarness, failed, queue};

const JOBS: [(&str, &str); 7] = [
    ("breaks", "Breaks"),
    ("heals", "Heals"),
    ("slows", "Slows"),
    ("speeds", "Speeds"),
    ("stays", "Stays"),
    ("worsens", "Worsens"),
    ("stops", "Stops"),
];

/// Each job has run 8 days ago and now, in two queues; `deploy/first` only now.
fn compared(width: u16, height: u16) -> ScreenHarness {
    let queues = vec![queue("build", 1, 0, &JOBS), queue("deploy", 1, 1, &[("first", "First")])];
    let mut harness = ScreenHarness::new(queues, width, height);
    let ok = || Outcome::Succeeded;
    let before =
        [(10, ok()), (10, failed("exit code 1")), (10, ok()), (60, ok()), (10, ok()), (1, failed("a")), (5, ok())];
    let after = [
        (11, failed("exit code 2")),
        (10, ok()),
        (75, ok()),
        (20, ok()),
        (12, ok()),
        (1, failed("b")),
        (5, Outcome::Cancelled),
    ];
    harness.process("build");
    for (seconds, outcome) in before {
        harness.run("build", seconds, outcome);
    }
    harness.advance_seconds(8 * 24 * 3_600);
    let jobs: Vec<_> = harness.screen.queue().read(|queue, _| queue.jobs_in(Phase::Finished).iter().copied().collect());
    let again: Vec<Command> = jobs.into_iter().map(|job| Command::Reset { job }).collect();
    harness.execute_elsewhere(&again);
    harness.process("build");
    for (seconds, outcome) in after {
        harness.run("build", seconds, outcome);
    }
    harness.process("deploy");
    harness.run("deploy", 3, Outcome::Succeeded);
    harness
}

/// The rows of the page: the job, and the words after it.
fn rows(harness: &mut ScreenHarness) -> Vec<String> {
    let text = harness.text();
    let rows = text.lines().skip_while(|line| !line.contains("Change  ")).skip(1).take_while(|line| line.contains('/'));
    rows.map(|row| row.chars().skip(1).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn jobs_that_end_otherwise_or_take_longer_or_less_are_listed_the_worst_first() {
    let mut harness = compared(100, 24);
    let text = harness.keys(",").text();
    assert!(text.contains("─ Changes · since 1 week ago · all queues · 7 jobs · 1 fail now"), "{text}");
    let expected = [
        "✗ build/breaks Breaks fails now 10s 11s, exit code 2",
        "✗ build/worsens Worsens other failure 1.0s, a 1.0s, b",
        "✓ build/slows Slows slower 10s 1m 15s",
        "✓ build/speeds Speeds faster 1m 00s 20s",
        "⊘ build/stops Stops other outcome 5.0s 5.0s, cancelled",
        "✓ build/heals Heals succeeds now 10s, exit code 1 10s",
        "✓ deploy/first First first run 3.0s",
    ];
    assert_eq!(rows(&mut harness), expected, "{text}");
    harness.keys("0");
    assert!(harness.text().contains("1 week ago · build · 6 jobs"), "{}", harness.text());
    assert_eq!(rows(&mut harness), expected[..6]);
    harness.keys("0jj<Enter>");
    assert_eq!(harness.selected_job_name().as_deref(), Some("slows"));
    assert!(!harness.text().contains("─ Changes"));
}

#[test]
fn the_compared_time_is_changed_and_what_runs_meanwhile_is_compared() {
    let mut harness = compared(100, 24);
    let text = harness.keys(",+").text();
    assert!(text.contains("since 30 days ago") && text.contains("No run is older than 30 days. Press -"), "{text}");
    harness.keys("+");
    assert_eq!(harness.message(), "This is the longest time.");
    harness.keys("-");
    assert_eq!(rows(&mut harness).len(), 7, "{}", harness.text());
    let failing = harness.execute_elsewhere(&[Command::Run { job: setlist::model::JobId(1), force: false }]);
    assert!(!failing.is_empty());
    let started = harness.start("build");
    harness.advance_seconds(10);
    harness.end_report(started, RunReport::new(Outcome::Succeeded));
    let rows = rows(&mut harness);
    assert!(rows.len() == 6 && !rows.iter().any(|row| row.contains("breaks")), "{rows:#?}");
    let text = harness.keys("--").text();
    assert!(text.contains("since 1 hour ago · all queues · 6 jobs"), "{text}");
    harness.keys("-");
    assert_eq!(harness.message(), "This is the shortest time.");
    harness.keys(",");
    assert!(!harness.text().contains("─ Changes"), "{}", harness.text());
}
