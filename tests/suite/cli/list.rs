//! `setlist list`: all jobs in their order, a page at a time.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::temp_site::TempSite;
use crate::terminal::Terminal;

/// Jobs of every kind.
const KINDS: &str = "\
pools: {disk: 1}
queues:
  build:
    on_failure: continue
    jobs:
      - {id: fetch, run: 'printf 3 > \"$SETLIST_VALUE\"', tags: [nightly]}
      - {id: compile, title: 'Compile: ü', run: 'exit 3', retry: {max: 1, delay: 10ms}}
      - {id: test, run: 'true', needs: compile}
      - {id: quiet, run: 'true', priority: 5}
  ask: [{id: deploy, run: 'true', confirm: Really?}, {id: later, run: 'true', after: 2100-01-01}]
  strict: {on_failure: stop, jobs: [{id: stops, run: 'kill -9 $$'}, {id: next, run: 'true'}]}
  disk:
    parallel: 2
    jobs:
      - {id: holds, run: 'until [ -e go ]; do sleep 0.01; done', uses: disk}
      - {id: waits, run: 'true', uses: disk}
      - {id: idle, run: 'true', runs_on: gpu}
      - {id: needs-two, run: 'true', needs: [holds, waits]}
  night: {schedule: '@daily', jobs: [{id: back-up, run: 'true', tags: [nightly]}]}
";

fn records(site: &TempSite, args: &[&str]) -> Vec<Value> {
    site.ok(&[&["list", "--json"], args].concat()).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_job_is_listed_with_what_it_waits_for() {
    let site = TempSite::with(KINDS);
    site.run(&["process", "build"]);
    site.run(&["process", "strict"]);
    site.ok(&["start", "disk"]);
    site.wait_until("disk/holds", |job| job["state"] == json!("running"));
    let summary = |job: &Value| {
        let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
        let waiting = text("waiting_for");
        let waiting = waiting.split(" since ").next().unwrap_or_default();
        let waiting = if waiting.starts_with("in ") { "later" } else { waiting };
        let state = job["outcome"].as_str().or(job["state"].as_str()).unwrap_or_default();
        format!("{}/{} {state} {waiting}", text("queue"), text("name")).trim_end().to_owned()
    };
    let all: Vec<String> = records(&site, &[]).iter().map(summary).collect();
    let due = all.iter().position(|line| line.starts_with("night/back-up pending next ")).unwrap();
    assert_eq!(
        [&all[..due], &all[due + 1..]].concat(),
        [
            "build/quiet succeeded",
            "build/fetch succeeded",
            "build/test skipped",
            "build/compile failed",
            "ask/deploy pending needs approval",
            "ask/later pending later",
            "strict/stops pending stopped",
            "strict/next pending stopped",
            "disk/holds running",
            "disk/waits pending waiting for disk (held by disk/holds",
            "disk/idle pending no worker has label gpu",
            "disk/needs-two pending needs holds +1",
        ]
        .map(str::to_owned)
    );
    // A part is listed as in the whole.
    let whole = records(&site, &[]);
    for queue in ["build", "ask", "strict", "disk", "night"] {
        let part: Vec<Value> = whole.iter().filter(|job| job["queue"] == json!(queue)).cloned().collect();
        assert_eq!(
            records(&site, &[queue]).iter().map(summary).collect::<Vec<_>>(),
            part.iter().map(summary).collect::<Vec<_>>()
        );
        for job in &part {
            let shown = site.job(&job["id"].to_string());
            assert_eq!((summary(job), &job["value"]), (summary(&shown), &shown["value"]));
        }
    }
    let names = |args: &[&str]| records(&site, args).iter().map(|job| job["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&["--tag", "nightly"]), ["fetch", "back-up"]);
    assert_eq!(names(&["disk", "-q", "tag:nightly"]), [""; 0]);
    assert_eq!(names(&["--state", "running,skipped"]), ["test", "holds"]);
    let unknown = site.run(&["list", "--tag", "nightley"]);
    assert_eq!(
        (unknown.code, &*unknown.stderr),
        (Some(2), "setlist: no job has the tag \"nightley\"; did you mean \"nightly\"?\n")
    );
    site.write("go", "");
    site.ok(&["wait", "disk/waits"]);
    site.ok(&["pause", "disk"]);
}

/// More jobs than are read at once.
#[test]
fn a_long_list_is_complete_and_its_columns_fit() {
    let site = TempSite::with(
        "queues: {first: [{id: z, run: 'true'}], many: [{id: n, for_each: 1..9000, run: 'true'}], last: [{id: a-name-that-is-longer-than-the-usual-width, run: 'true'}]}\n",
    );
    let listed = records(&site, &[]);
    assert_eq!(listed.len(), 9002);
    assert_eq!(
        listed.iter().map(|job| job["id"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=9002).collect::<Vec<_>>()
    );
    let text = site.ok(&["list"]);
    let column = |line: &str| line.find("  pending").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 9002 && lines.iter().all(|line| column(line) == column(lines[0])), "{}", lines[9001]);
}

/// The first lines come before the rest is read. What changes meanwhile is listed once.
#[test]
fn jobs_that_change_while_they_are_listed_are_listed_once() {
    let site = TempSite::with("queues: {many: [{id: n, for_each: 1..15000, run: 'true'}]}\n");
    site.ok(&["cancel", "many/n[7]"]);
    let mut child = site.command(&["list", "--json", "many"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    // It waits now until more of its first page is read. One of these was in that page; the others come later.
    site.ok(&["cancel", "many/n[9]", "many/n[14999]", "many/n[15000]"]);
    site.ok(&["remove", "many/n[14998]"]);
    site.ok(&["add", "many", "--", "true"]);
    let lines = std::iter::once(first).chain(lines.map(Result::unwrap));
    let listed = lines
        .map(|line| serde_json::from_str::<Value>(&line).unwrap())
        .map(|job| (job["id"].as_u64().unwrap(), job["state"] == json!("finished")));
    let listed: Vec<(u64, bool)> = listed.collect();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let pending = (1..=14_997).chain([15_001]).filter(|id| *id != 7).map(|id| (id, false));
    let expected: Vec<_> = [(7, true)].into_iter().chain(pending).chain([(14_999, true), (15_000, true)]).collect();
    let differs = listed.iter().zip(&expected).position(|(listed, expected)| listed != expected);
    assert_eq!((listed.len(), differs.map(|nth| listed[nth])), (expected.len(), None));
}

#[test]
fn rows_fit_into_a_terminal_and_failures_say_their_exit_code() {
    let title = "a title that is much longer than what is left of a line of eighty cells";
    let site = TempSite::with(&format!(
        "queues: {{q: {{on_failure: continue, jobs: [{{id: bad, run: exit 4}}, {{id: bad-with-a-long-name-too, run: exit 4}}, {{id: long, title: {title}, run: 'true'}}]}}}}\n"
    ));
    site.run(&["process", "--quiet"]);
    assert!(site.ok(&["list"]).contains("  (exit code 4)\n"), "{}", site.ok(&["list"]));
    assert!(site.ok(&["list"]).contains(title), "whole in a file: {}", site.ok(&["list"]));
    for command in ["list", "history"] {
        let mut terminal = Terminal::open(&site, &[command, "q"]);
        terminal.child.wait().unwrap();
        terminal.wait_until("the rows", |_| terminal.raw().contains("q/long"));
        let raw = terminal.raw();
        assert!(raw.lines().all(|line| line.trim_end().chars().count() <= 80), "{raw}");
        assert_eq!(raw.matches("exit code 4").count(), 2, "{raw}");
    }
}
