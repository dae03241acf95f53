//! Values on the screen: a column where they can be compared, the order of the lists, filters, and the table of a matrix.

use std::sync::Arc;

use serde_json::{Value, json};
use setlist::model::{DesiredQueue, MatrixValues, Outcome};

use super::harness::{ScreenHarness, queue};

const RATES: [&str; 4] = ["0.1", "0.01", "1", "10"];

/// A queue with the jobs of a matrix.
fn sweep() -> DesiredQueue {
    let jobs = [("train-0", "rate 0.1"), ("train-1", "rate 0.01"), ("train-2", "rate 1"), ("train-3", "rate 10")];
    let mut sweep = queue("sweep", 1, 0, &jobs);
    for (job, rate) in sweep.jobs.iter_mut().zip(RATES) {
        let values = vec![("rate".into(), rate.into()), ("depth".into(), "2".into())];
        Arc::make_mut(job).matrix =
            Some(Arc::new(MatrixValues { entry: "train".into(), values, is_item: false, version: None }));
    }
    sweep
}

/// The next job ends with this value.
fn end(harness: &mut ScreenHarness, value: Value) {
    let started = harness.start("sweep");
    harness.advance_seconds(1);
    harness.end_with(started, Outcome::Succeeded, Some(value));
}

fn finished(values: &[Value], height: u16, width: u16) -> ScreenHarness {
    let mut harness = ScreenHarness::new(vec![sweep()], width, height);
    harness.keys("p");
    for value in values {
        end(&mut harness, value.clone());
    }
    harness
}

#[test]
fn the_details_show_the_values_of_the_parameters() {
    let mut harness = ScreenHarness::new(vec![sweep()], 160, 40);
    let text = harness.text();
    assert!(text.contains("  where rate=0.1, depth=2"), "{text}");
}

/// The titles of the finished jobs, from top to bottom.
fn titles(harness: &mut ScreenHarness) -> Vec<String> {
    let text = harness.text();
    let rows = text.lines().filter(|line| line.contains("✓") && line.contains("rate "));
    rows.map(|line| line.split("rate ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn values_have_a_column_where_they_differ() {
    let mut harness = finished(&[json!("0.25"), json!("0.25")], 24, 80);
    assert!(!harness.text().contains("0.25"), "{}", harness.text());
    end(&mut harness, json!("9e-2"));
    let text = harness.text();
    let row = |title: &str| text.lines().find(|line| line.contains(title)).unwrap().to_owned();
    let column = |row: &str, value: &str| row[..row.find(value).unwrap()].chars().count() + value.len();
    assert_eq!(column(&row("rate 0.1 "), "0.25"), column(&row("rate 1 "), "9e-2"), "{text}");
    assert!(row("rate 0.1 ").trim_end().ends_with("1.0s"), "{text}");
}

#[test]
fn the_lists_are_sorted_by_value_as_numbers() {
    let mut harness = finished(&[json!("0.25"), json!("9e-2"), json!(9), json!("10")], 24, 80);
    harness.keys("ccccc");
    assert!(harness.text().contains("Finished 4 · lowest value first"), "{}", harness.text());
    assert_eq!(titles(&mut harness), ["0.01", "0.1", "1", "10"]);
    harness.keys("c");
    assert!(harness.text().contains("Finished 4 · highest value first"), "{}", harness.text());
    assert_eq!(titles(&mut harness), ["10", "1", "0.1", "0.01"]);
    harness.keys("c");
    assert!(!harness.text().contains("first"), "in queue order again: {}", harness.text());
}

#[test]
fn a_filter_compares_values() {
    let mut harness = finished(&[json!("0.25"), json!("9e-2"), json!(9), json!("text")], 24, 80);
    harness.keys("/value:<lt>0.3<Enter>");
    assert_eq!(titles(&mut harness), ["0.01", "0.1"]);
}

#[test]
fn the_details_of_a_matrix_job_compare_the_parameters() {
    let mut harness = finished(&[json!("0.25"), json!("9e-2"), json!(9)], 60, 200);
    harness.keys("v");
    let text = harness.text();
    let (_, table) = text.split_once("Results  lowest first").unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).take(5).map(|line| line.split_whitespace().collect()).collect();
    let has = |row: &[&str], words: &[&str]| row.windows(words.len()).any(|part| part == words);
    assert!(has(&rows[0], &["rate", "depth", "value"]), "{text}");
    for (row, words) in rows[1..].iter().zip([["0.01", "2", "9e-2"], ["0.1", "2", "0.25"], ["1", "2", "9"]]) {
        assert!(has(row, &words), "{words:?} in {row:?}:\n{text}");
    }
    // The order is that of the lists.
    harness.keys("vcccccc");
    harness.keys("v");
    let text = harness.text();
    let (_, table) = text.split_once("Results  highest first").unwrap();
    assert!(table.lines().nth(2).unwrap().contains("  1     2      9"), "{text}");
}
