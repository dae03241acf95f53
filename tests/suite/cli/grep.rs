//! `setlist grep`: searches the output of all kept runs.

use chrono::Utc;
use serde_json::Value;
use setlist::model::{RunId, Stream};
use setlist::store::log::LogWriter;

use crate::temp_site::TempSite;

const SITE: &str = "\
queues:
  build:
    jobs:
      - {id: lint, run: 'printf \"one\\ntwo\\nWarning: three\\nfour\\nfive\\n\"'}
      - {id: unit, run: 'printf \"\\033[31mwarn\\033[0ming: red\\nlast line without an end\"; exit 1'}
  other:
    jobs:
      - {id: deploy, run: 'echo deployed to a.b; echo axb'}
";

fn processed() -> TempSite {
    let site = TempSite::with(SITE);
    assert_eq!(site.run(&["process", "--quiet"]).code, Some(1));
    site
}

/// The exit code and what was printed.
fn grep(site: &TempSite, args: &[&str]) -> (Option<i32>, String) {
    let done = site.run(&[&["grep"], args].concat());
    (done.code, done.stdout)
}

fn found(text: &str) -> (Option<i32>, String) {
    (Some(0), text.to_owned())
}

#[test]
fn lines_of_all_runs_are_found_as_rg_finds_them() {
    let site = processed();
    assert_eq!(grep(&site, &["-v", "warning"]), (Some(2), String::new()), "no lines that don't match are promised");
    assert_eq!(grep(&site, &["warning"]), found("build/unit:1:1:warning: red\n"), "without the colours of the output");
    assert_eq!(
        grep(&site, &["-i", "warning|deployed"]),
        found("build/lint:1:3:Warning: three\nbuild/unit:1:1:warning: red\nother/deploy:1:1:deployed to a.b\n")
    );
    assert_eq!(grep(&site, &["a.b", "other"]), found("other/deploy:1:1:deployed to a.b\nother/deploy:1:2:axb\n"));
    assert_eq!(grep(&site, &["-F", "a.b"]), found("other/deploy:1:1:deployed to a.b\n"));
    assert_eq!(grep(&site, &["last", "build/unit"]), found("build/unit:1:2:last line without an end\n"));
    assert_eq!(grep(&site, &["nothing like this"]), (Some(1), String::new()));
    let wrong = site.run(&["grep", "("]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("invalid pattern"), "{}", wrong.stderr);
    assert_eq!(site.run(&["grep", "x", "biuld"]).code, Some(2), "an unknown queue");
}

#[test]
fn lines_are_counted_and_shown_with_their_context() {
    let site = processed();
    assert_eq!(grep(&site, &["-ci", "[wf]"]).1, "build/lint:1:4\nbuild/unit:1:2\n");
    assert_eq!(grep(&site, &["-l", "o"]).1, "build/lint:1\nbuild/unit:1\nother/deploy:1\n");
    assert_eq!(
        grep(&site, &["-C1", "Warning"]).1,
        "build/lint-1-2-two\nbuild/lint:1:3:Warning: three\nbuild/lint-1-4-four\n"
    );
    assert_eq!(
        grep(&site, &["-A1", "one|four", "build/lint"]).1,
        "build/lint:1:1:one\nbuild/lint-1-2-two\n--\nbuild/lint:1:4:four\nbuild/lint-1-5-five\n"
    );
    let (code, json) = grep(&site, &["--json", "ed", "build"]);
    let record: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &record["job"], &record["run"], &record["line"]),
        (Some(0), &"build/unit".into(), &1.into(), &1.into())
    );
    assert_eq!(record["matches"], serde_json::json!([[10, 12]]));
}

#[test]
fn a_match_anywhere_in_a_long_line_is_found() {
    let site = TempSite::with(
        "queues: {q: [{id: long, run: 'head -c 1310717 /dev/zero | tr \"\\0\" a; echo NEEDLE; echo next'}]}\n",
    );
    site.ok(&["process", "--quiet"]);
    assert_eq!(grep(&site, &["-c", "NEEDLE"]), found("q/long:1:1\n"));
    assert_eq!(grep(&site, &["next"]), found("q/long:1:2:next\n"));
}

#[test]
fn every_kept_run_is_searched_and_since_leaves_old_ones_out() {
    let site = processed();
    assert_eq!(
        {
            site.ok(&["retry", "build/unit"]);
            site.run(&["wait", "build/unit"]).code
        },
        Some(1)
    );
    let both = "build/unit:1:1:warning: red\nbuild/unit:2:1:warning: red\n";
    assert_eq!(grep(&site, &["warning", "build"]).1, both);
    assert_eq!(grep(&site, &["warning", "build", "--since", "1h"]).1, both);
    assert_eq!(grep(&site, &["warning", "--since", "0s"]), (Some(1), String::new()));
}

#[test]
fn matches_are_coloured_on_request() {
    let site = processed();
    let (_, text) = grep(&site, &["--color", "always", "three"]);
    assert!(text.contains("1;31mthree\x1b[0m"), "{text:?}");
}

#[test]
fn lines_behind_a_dropped_part_have_their_numbers() {
    let site = TempSite::with("queues: {q: [{id: a, run: echo}]}\n");
    site.ok(&["process", "--quiet"]);
    let folder = site.join(".setlist/logs");
    let mut log = LogWriter::new(folder.clone(), RunId(1), 4096);
    for number in 1..=5000 {
        log.write(Stream::Out, format!("line {number}\n").as_bytes(), Utc::now()).unwrap();
    }
    log.finish().unwrap();
    assert_eq!(grep(&site, &["^line 7$|2500|4999"]), found("q/a:1:7:line 7\nq/a:1:4999:line 4999\n"));
    // What versions before this one have left does not say how many lines were dropped.
    let tail = std::fs::OpenOptions::new().write(true).open(folder.join("1.tail")).unwrap();
    tail.set_len(56).unwrap();
    assert_eq!(grep(&site, &["^line 7$|4999"]), found("q/a:1:7:line 7\nq/a:1:?:line 4999\n"));
    let (_, json) = grep(&site, &["--json", "4999"]);
    assert!(json.contains("\"line\":null"), "{json}");
}

#[test]
fn the_runs_of_many_jobs_are_printed_in_their_order() {
    let site = TempSite::with(
        "queues: {q: {parallel: 1, jobs: [{id: many, for_each: 1..40, run: 'seq 1 $((SETLIST_ITEM % 7 * 3000)); echo end $SETLIST_ITEM'}]}}\n",
    );
    site.ok(&["process", "--quiet"]);
    let (_, ends) = grep(&site, &["^end"]);
    let expected: Vec<String> = (1..=40).map(|n| format!("q/many[{n}]:1:{}:end {n}", n % 7 * 3000 + 1)).collect();
    assert_eq!(ends.lines().collect::<Vec<_>>(), expected);
    let (_, groups) = grep(&site, &["-B1", "^end [12]$"]);
    assert_eq!(groups.lines().filter(|line| *line == "--").count(), 1, "{groups}");
    let (_, all) = grep(&site, &["-c", ""]);
    assert_eq!(all.lines().nth(5), Some("q/many[6]:1:18001"));
}
