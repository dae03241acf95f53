//! What lists and panes call a job: its title, and the name that every command takes.

use std::sync::Arc;

use setlist::model::{
    Command, Definition, DesiredQueue, JobRef, MatrixValues, Need, Outcome, OutcomeCondition, SchedulingOptions, Script,
};

use super::harness::{ScreenHarness, failed, queue};

/// Jobs with and without titles in two queues.
fn site() -> Vec<DesiredQueue> {
    vec![
        queue("build", 1, 0, &[("fetch", "Fetch sources"), ("untitled", ""), ("unit", "Unit tests")]),
        queue("deploy", 1, 1, &[("roll-out", "Roll out to the fleet")]),
    ]
}

/// The line with `part`, between the borders of its pane, with single spaces.
#[track_caller]
fn row(harness: &mut ScreenHarness, part: &str) -> String {
    let text = harness.text();
    let line = text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in\n{text}"));
    let pane = line.split('│').find(|pane| pane.contains(part)).unwrap_or(line);
    pane.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_job_without_a_title_is_listed_by_its_name_with_the_script_behind_it() {
    for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 18)] {
        let mut harness = ScreenHarness::new(site(), width, height);
        assert_eq!(row(&mut harness, "./untitled.sh"), "untitled ./untitled.sh", "{width}x{height}");
    }
    // A job that was added has a number.
    let mut harness = ScreenHarness::new(site(), 80, 24);
    let jobs = vec![Arc::new(Definition::new(Script::shell("make -j4")))];
    harness.execute_elsewhere(&[Command::Add { queue: "build".into(), jobs }]);
    assert_eq!(row(&mut harness, "make -j4"), "#5 make -j4");
    // Without room for the script, the name is left.
    let name = "a-name-almost-as-long-as-a-list";
    let mut harness = ScreenHarness::new(vec![queue("q", 1, 0, &[(name, "")])], 80, 24);
    let text = harness.text();
    assert!(text.contains(&format!("›  {name}  ")) && !text.contains(&format!("{name}  .")), "{text}");
}

#[test]
fn names_of_jobs_with_titles_are_shown_where_there_is_room() {
    let mut harness = ScreenHarness::new(site(), 200, 60);
    assert_eq!(row(&mut harness, "› "), "› Fetch sources fetch");
    assert_eq!(row(&mut harness, "Unit tests"), "Unit tests unit");
    let text = harness.text();
    let rows = text.lines().map(|line| line.split('│').next().unwrap_or(line).replace('›', " "));
    let column = |part: &str| rows.clone().find_map(|row| row.find(part));
    assert!(column(" unit ").is_some() && column(" unit ") == column(" fetch "), "names are aligned:\n{text}");
    let mut harness = ScreenHarness::new(site(), 80, 24);
    assert_eq!(row(&mut harness, "Unit tests"), "Unit tests", "a list of half the width has only titles");
}

#[test]
fn the_title_of_the_output_says_what_to_type() {
    for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 18), (40, 10)] {
        let mut harness = ScreenHarness::new(site(), width, height);
        let text = harness.keys("<Enter>").text();
        assert!(text.contains("Output · build/fetch · Fetch sour"), "{width}x{height}:\n{text}");
        harness.keys("<Esc>j<Enter>");
        assert!(harness.text().contains("Output · build/untitled · ./un"), "{}", harness.text());
    }
    // The name is cut last.
    let mut harness = ScreenHarness::new(
        vec![queue("build", 1, 0, &[("fetch-the-sources", "Fetch the sources of all parts")])],
        40,
        10,
    );
    assert!(harness.keys("<Enter>").text().contains("Output · build/fetch-the-sources "), "{}", harness.text());
}

#[test]
fn queues_are_no_part_of_a_title_when_all_queues_are_shown() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut harness = ScreenHarness::new(site(), width, height);
        let text = harness.keys("0").text();
        assert!(!text.contains("/Fetch") && !text.contains("deploy/Roll"), "{text}");
        assert!(row(&mut harness, "Roll out to").starts_with("deploy Roll out to"), "{text}");
        assert!(row(&mut harness, "untitled").starts_with("build untitled"), "{text}");
        // The titles are below each other.
        let lists = text.lines().map(|line| line.trim_start_matches(['›', ' ']));
        let column = |part: &str| lists.clone().find_map(|line| line.find(part).filter(|at| *at < 12));
        assert_eq!(column("Fetch so"), column("Roll out"), "{text}");
    }
}

#[test]
fn pages_of_several_queues_name_jobs_as_commands_do() {
    let mut harness = ScreenHarness::new(site(), 120, 30);
    harness.process("build");
    harness.start("build");
    assert_eq!(row(harness.keys("W"), "build/fetch"), "▸ build/fetch Fetch sources 0s");
}

/// A matrix of two parameters with long titles.
fn sweep() -> Vec<DesiredQueue> {
    let mut sweep = queue("sweep", 1, 0, &[("a", ""), ("b", ""), ("c", ""), ("d", "")]);
    let values = [("linear", "0.1"), ("linear", "0.001"), ("boosting", "0.1"), ("boosting", "0.001")];
    for (job, (model, rate)) in sweep.jobs.iter_mut().zip(values) {
        let definition = Arc::make_mut(job);
        definition.title = format!("Fit the {model} model at the learning rate {rate} on the large set").into();
        let values = vec![("model".into(), model.into()), ("rate".into(), rate.into())];
        definition.matrix =
            Some(Arc::new(MatrixValues { entry: "sweep".into(), values, is_item: false, version: None }));
    }
    vec![sweep]
}

#[test]
fn the_values_of_a_matrix_are_cut_last() {
    for (width, height) in [(80, 24), (110, 30), (120, 40), (160, 40)] {
        let mut harness = ScreenHarness::new(sweep(), width, height);
        harness.process("sweep");
        harness.run("sweep", 1, failed("exit code 3"));
        harness.run("sweep", 1, Outcome::Succeeded);
        for text in [harness.text(), harness.keys("s").text()] {
            let shown = |model: &str, rate: &str| {
                let is_meant = |line: &str| line.contains(model) && line.split(['…', ' ']).any(|word| word == rate);
                text.lines().any(is_meant)
            };
            assert!(shown("linear", "0.1") && shown("linear", "0.001"), "{width}x{height}:\n{text}");
        }
    }
}

#[test]
fn without_room_for_more_the_values_of_a_matrix_are_shown_alone() {
    let mut harness = ScreenHarness::new(sweep(), 80, 24);
    harness.process("sweep");
    let row = harness.text().lines().find(|line| line.contains("boosting")).unwrap_or_default().to_owned();
    assert!(row.trim_end().ends_with("  boosting 0.1"), "{row}");
}

#[test]
fn with_all_queues_the_titles_of_all_lists_are_below_each_other() {
    let short = queue("q", 1, 0, &[("a", "First"), ("b", "Second"), ("c", "Third")]);
    let mut harness = ScreenHarness::new(vec![short, queue("a-longer-name", 1, 1, &[("d", "Other")])], 120, 40);
    harness.process("q");
    harness.run("q", 1, Outcome::Succeeded);
    harness.start("q");
    let text = harness.keys("0").text();
    let column = |title: &str| {
        // The title of the output names a job, too.
        let row = text.lines().skip(3).find(|line| line.contains(title));
        let row = row.unwrap_or_else(|| panic!("{title} in\n{text}"));
        row[..row.find(title).unwrap()].chars().count()
    };
    assert_eq!(["Other", "Second", "First"].map(column), [column("Third"); 3], "{text}");
}

#[test]
fn lists_widen_for_the_reason_why_a_job_waits() {
    let jobs = [("a-need-with-a-long-name-of-its-own", "A"), ("b", "Report what the others have found")];
    let mut site = queue("q", 1, 0, &jobs);
    let need = Need {
        job: JobRef::Named("q".into(), Arc::from("a-need-with-a-long-name-of-its-own")),
        on: OutcomeCondition::Success,
    };
    let scheduling = SchedulingOptions { needs: vec![need], ..SchedulingOptions::default() };
    Arc::make_mut(&mut site.jobs[1]).scheduling = Arc::new(scheduling);
    let mut harness = ScreenHarness::new(vec![site], 150, 40);
    let text = harness.text();
    assert!(text.contains("needs a-need-with-a-long-name-of-its-own"), "{text}");
    assert!(text.contains("Report what the others have found"), "{text}");
}

#[test]
fn a_short_text_of_an_outcome_is_not_cut_beside_a_short_title() {
    let jobs = [
        ("a", "Deploy"),
        ("b", "A job whose title is so long that no list in a small terminal has the room to show it"),
    ];
    for (width, height) in [(80, 24), (120, 40)] {
        let mut harness = ScreenHarness::new(vec![queue("q", 1, 0, &jobs)], width, height);
        harness.process("q");
        harness.run("q", 1, failed("connection refused by peer"));
        harness.run("q", 1, failed("exit code 3"));
        let text = harness.text();
        assert!(text.contains("connection refused by peer"), "{width}x{height}:\n{text}");
        assert!(text.contains("exit code 3"), "{width}x{height}:\n{text}");
    }
}
