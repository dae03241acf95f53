//! Values as results: columns, filters, tables and `@failed`.

use serde_json::{Value, json};

use crate::temp_site::TempSite;

/// A matrix whose values are numbers of different length, one of which fails, and one is text.
const SWEEP: &str = "\
queues:
  sweep:
    parallel: 4
    jobs:
      - id: train
        title: rate ${matrix.rate}
        matrix: {rate: [0.1, 0.01, 10, 1, oops, none], depth: [2]}
        run: |
          case $rate in
            0.1) echo 0.25 ;;
            0.01) echo 9e-2 ;;
            10) echo 10 ;;
            1) echo 9 ;;
            oops) echo 0.001; exit 1 ;;
            none) echo diverged ;;
          esac
  plain: ['echo 3', 'echo 20']
";

fn processed() -> TempSite {
    let site = TempSite::with(SWEEP);
    assert_eq!(site.run(&["process", "--quiet"]).code, Some(1));
    site
}

/// The words of each line.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn results_are_a_table_of_the_parameters_best_first() {
    let site = processed();
    let table = site.ok(&["results", "sweep"]);
    let rows = words(&table);
    assert_eq!(rows[0], ["sweep/train"]);
    assert_eq!(rows[1], ["rate", "depth", "VALUE", "STATE", "JOB"]);
    // Numbers are compared as numbers, text follows, and what failed is last.
    let column = |nth: usize| rows[2..].iter().map(|row| row[nth]).collect::<Vec<_>>();
    assert_eq!(column(0), ["0.01", "0.1", "1", "10", "none", "oops"], "{table}");
    assert_eq!(rows[2], ["0.01", "2", "9e-2", "succeeded", "sweep/train-0-01-2"]);
    assert_eq!(rows[7], ["oops", "2", "failed", "sweep/train-oops-2"]);
    let highest = site.ok(&["results", "sweep", "--highest"]);
    let first: Vec<&str> = words(&highest)[2..].iter().map(|row| row[0]).collect();
    assert_eq!(first, ["10", "1", "0.1", "0.01", "none", "oops"], "{highest}");
    // A queue without a matrix has its jobs with a value; without arguments, there are all queues.
    let all = site.ok(&["results"]);
    assert!(all.contains("\nplain\nVALUE  STATE      JOB\n3      succeeded  plain/echo-3\n20 "), "{all}");
}

#[test]
fn results_as_json_have_the_parameters() {
    let site = processed();
    let lines = site.ok(&["results", "sweep", "--json"]);
    let best: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&best["value"], &best["parameters"]), (&json!("9e-2"), &json!({"rate": "0.01", "depth": "2"})));
    assert_eq!(site.job("plain/echo-3")["parameters"], Value::Null);
}

#[test]
fn jobs_without_values_have_no_table() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true', matrix: {n: [1, 2]}}]}\n");
    site.ok(&["process"]);
    let output = site.run(&["results"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{output:?}");
    assert!(output.stderr.contains("no job has a value"), "{output:?}");
}

#[test]
fn a_list_has_a_column_of_values_where_they_differ() {
    let site = processed();
    let list = site.ok(&["list", "sweep"]);
    let line = list.lines().find(|line| line.contains("train-0-01-2")).unwrap();
    assert!(line.ends_with("  9e-2      rate 0.01"), "{list}");
    assert!(list.lines().any(|line| line.ends_with("            rate oops  (exit code 1)")), "{list}");
    // The last lines of unrelated jobs are not results.
    let site = TempSite::with("queues: {q: ['echo Finished in 3 s', 'echo all is well', 'echo 7']}\n");
    site.ok(&["process"]);
    assert!(site.ok(&["list"]).lines().any(|line| line.ends_with("s  echo 7")), "{}", site.ok(&["list"]));
}

#[test]
fn values_filter_as_numbers_or_text() {
    let site = processed();
    let found = |query: &str| {
        let list = site.ok(&["list", "sweep", "--json", "--query", query]);
        let values = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["value"].clone());
        let mut values: Vec<String> = values.map(|value| value.as_str().unwrap_or("null").to_owned()).collect();
        values.sort();
        values.join(" ")
    };
    assert_eq!(found("value:<0.3"), "0.25 9e-2");
    assert_eq!(found("value:>9"), "10");
    assert_eq!(found("value:>=9"), "10 9");
    assert_eq!(found("value:<=9e-2"), "9e-2");
    assert_eq!(found("value:=0.090"), "9e-2");
    assert_eq!(found("value:=diverged"), "diverged");
    assert_eq!(found("value:diver"), "diverged");
    assert_eq!(found("!value:<0.3 state:succeeded"), "10 9 diverged");
    let output = site.run(&["list", "-q", "value:<soon"]);
    assert!(output.code == Some(2) && output.stderr.contains("value: expected a number such as <0.3"), "{output:?}");
}

#[test]
fn the_last_job_and_the_last_failed_one_have_names() {
    let site = TempSite::with("queues: {q: [{id: bad, run: 'echo broken; exit 3'}]}\n");
    site.run(&["process"]);
    site.ok(&["run", "--wait", "sh", "-c", "echo fine"]);
    assert_eq!((site.ok(&["log", "@failed"]), site.ok(&["log", "@last"])), ("broken\n".into(), "fine\n".into()));
    assert_eq!((&site.job("@failed")["name"], &site.job("@last")["queue"]), (&json!("bad"), &json!("adhoc")));
    assert_eq!(site.run(&["wait", "@failed"]).code, Some(1));
    site.ok(&["retry", "@last"]);
    site.ok(&["wait", "@last"]);
    assert_eq!(site.job("@last")["run_count"], json!(2));
    site.ok(&["run", "sleep", "1000"]);
    site.wait_until("@last", |job| job["state"] == "running");
    site.ok(&["cancel", "@last"]);
    site.wait_until("@last", |job| job["outcome"] == "cancelled");
    site.ok(&["reset", "@failed"]);
    let unknown = site.run(&["show", "@first"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("use @last or @failed"), "{unknown:?}");
}

#[test]
fn a_command_can_have_a_hook() {
    let site = TempSite::with("queues: {}\n");
    let hook = "echo \"$SETLIST_OUTCOME $SETLIST_EXIT_CODE\" > told";
    site.run(&["run", "--wait", "--on-finish", hook, "sh", "-c", "exit 5"]);
    crate::temp_site::wait_for("the hook", || (site.read("told") == "failed 5\n").then_some(()));
    site.ok(&["add", "q", "--save", "--on-finish", "echo done", "true"]);
    assert!(site.read("jobs.yaml").contains("on_finish"), "{}", site.read("jobs.yaml"));
    assert_eq!(site.run(&["run", "--on-finish", " ", "true"]).code, Some(2));
}

#[test]
fn values_beside_a_matrix_are_a_table_of_their_own() {
    let jobs = "queues: {q: [{id: fit, matrix: {lr: [1, 2]}, run: 'echo $lr >$SETLIST_VALUE'}, \
                {id: best, run: 'echo 2 >$SETLIST_VALUE'}, {id: silent, run: 'true'}]}\n";
    let site = TempSite::with(jobs);
    site.ok(&["process"]);
    let tables = site.ok(&["results"]);
    assert!(tables.contains("q/fit") && tables.contains("q/best") && !tables.contains("q/silent"), "{tables}");
}
