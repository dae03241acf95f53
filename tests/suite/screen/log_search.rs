//! The search over the output of all jobs, and the differences between two runs.

use setlist::model::{Cause, CauseKind, Outcome, RunReport};

use super::harness::{ScreenHarness, failed, queue};

/// Two queues whose jobs have printed lines with errors; `build/unit` has run twice.
fn printed() -> ScreenHarness {
    let queues = vec![
        queue("build", 1, 0, &[("lint", "Lint"), ("unit", "Unit tests")]),
        queue("deploy", 1, 1, &[("prod", "Production")]),
    ];
    let mut harness = ScreenHarness::new(queues, 100, 24);
    let mut run = |queue: &str, keys: &str, text: &str, outcome: Outcome| {
        harness.keys(keys);
        let started = harness.start(queue);
        harness.print(started.1, text);
        harness.end(started, outcome);
    };
    let many = (1..=300).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
    run("build", "r", &format!("{many}Error: first\n"), failed("exit code 1"));
    run("build", "<Tab><Tab>r", "all is well\n", Outcome::Succeeded);
    run("build", "<Tab>r", "an error of unit\n", Outcome::Succeeded);
    run("deploy", "]r", "no ERROR here\n", Outcome::Succeeded);
    harness.keys("[");
    harness
}

#[test]
fn a_search_over_all_output_shows_lines_while_it_is_typed() {
    let mut harness = printed();
    harness.keys("<^f>");
    let text = harness.text();
    assert!(text.contains("Search · all queues") && text.contains("Type a text to find it"), "{text}");
    assert!(text.contains("search all output:"), "{text}");
    harness.keys("error");
    let text = harness.wait_for_text("3 lines");
    let lines: Vec<&str> =
        text.lines().filter(|line| line.to_lowercase().contains("error") && line.contains('/')).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("build/lint:1:301  Error: first"), "{text}");
    assert!(lines[1].contains("build/unit:2:1") && lines[2].contains("deploy/prod:1:1"), "{text}");
    // Capitals count once there are some; only this queue.
    harness.keys("<Backspace><Backspace><Backspace><Backspace><Backspace>Error<Tab>");
    let text = harness.wait_for_text("1 line ");
    assert!(text.contains("this queue") && !text.contains("deploy/prod:"), "{text}");
    harness.keys("x");
    harness.wait_for_text("No line has this text.");
    harness.keys("<Esc>");
    assert!(harness.text().contains("Finished"), "{}", harness.text());
}

#[test]
fn enter_finds_the_error_of_the_selected_job_elsewhere() {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "A"), ("b", "B")])], 100, 24);
    harness.process("build");
    for outcome in [Outcome::Succeeded, failed("exit code 1")] {
        let started = harness.start("build");
        harness.print(started.1, "connection reset by peer\nand more\n");
        let cause =
            (outcome != Outcome::Succeeded).then(|| Box::new(Cause::new(CauseKind::Exited, "connection reset…")));
        harness.end_report(started, RunReport { cause, ..RunReport::new(outcome) });
    }
    harness.keys("<^f>");
    let text = harness.text();
    assert!(text.contains("all kept runs.\n   Enter finds: connection reset\n"), "{text}");
    assert!(text.contains("Enter find the error"), "{text}");
    harness.keys("<Enter>");
    let text = harness.wait_for_text("2 lines");
    assert!(text.contains("search all output: connection reset"), "{text}");
    assert!(text.contains("\n  Job:run:line  Text ") && text.contains(" Run started\n"), "{text}");
    assert!(text.contains("build/a:1:1   connection reset by peer") && text.contains(" 12:00:00\n"), "{text}");
    // On a large screen, with the details of its job.
    harness.resize(200, 60);
    assert!(harness.text().contains("─ Details · #1 build/a"), "{}", harness.text());
    assert!(harness.keys("<Down>").text().contains("─ Details · #2 build/b"), "{}", harness.text());
    harness.resize(100, 24);
    harness.keys("<Up>");
    // Where nothing has failed, Enter does nothing.
    harness.keys("<Esc>j<^f><Enter>");
    let text = harness.text();
    assert!(text.contains("all kept runs.") && !text.contains("Enter finds"), "{text}");
}

#[test]
fn enter_shows_the_place_in_the_output_of_its_run_and_esc_goes_back() {
    let mut harness = printed();
    harness.keys("<^f>Error");
    harness.wait_for_text("1 line ─");
    harness.keys("<Enter>");
    let text = harness.wait_for_text("Error: first");
    assert!(text.contains("Lint") && text.contains("line 298"), "an earlier run of lint, at the line: {text}");
    assert!(!text.contains("Search ·"), "{text}");
    assert_eq!(harness.selected_job_name().as_deref(), Some("lint"));
    harness.keys("<Esc>");
    let text = harness.text();
    assert!(text.contains("Search · all queues · 1 line ") && text.contains("build/lint:1:301"), "{text}");
    harness.keys("<Esc>");
    assert!(harness.text().contains("Finished"), "{}", harness.text());
    // A job of another queue.
    harness.keys("<^f>ERROR");
    harness.wait_for_text("1 line ─");
    harness.keys("<Enter>");
    harness.wait_for_text("no ERROR here");
    assert_eq!(harness.selected_job_name().as_deref(), Some("prod"));
}

#[test]
fn the_selected_line_stays_visible_among_many() {
    let mut harness = printed();
    harness.keys("<^f>line");
    let text = harness.wait_for_text("300 lines");
    assert!(text.contains("build/lint:1:1 "), "{text}");
    harness.keys("<PgDn><PgDn><Down>");
    let text = harness.text();
    assert!(text.contains("›") && !text.contains("build/lint:1:1 "), "{text}");
}

#[test]
fn the_output_is_compared_with_that_of_the_run_before() {
    let mut harness = printed();
    harness.keys("=");
    assert_eq!(harness.selected_job_name().as_deref(), Some("unit"), "{}", harness.text());
    let [mut old, mut new] = harness.compared.take().expect("two outputs");
    assert_eq!((old.len().unwrap(), new.len().unwrap()), (12, 17));
    harness.keys("<lt>=");
    assert_eq!(harness.message(), "There is no kept run before this one.");
}
