//! `setlist history`, `metrics`, `log --diff`, and what makes a run slower than usual.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use setlist::model::{Command, JobId, Outcome, RunReport, TreeUsage, Usage, WorkerId, WorkerOptions};
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::TempSite;

const SITE: &str = r#"
queues:
  q"1:
    jobs:
      - id: build
        run: |
          echo start
          for i in 1 2 3 4 5 6 7 8; do echo "step $i of 8"; done
          echo "run at $(date +%s%N)"
          test -e second && { echo "a <new> line"; exit 3; }
          echo '=1+2, "quoted"'
      - {id: other, run: 'true'}
  idle: [{id: waits, run: 'true'}]
"#;

/// `build` has run twice, and failed the second time.
fn ran_twice() -> TempSite {
    let site = TempSite::with(SITE);
    site.ok(&["process", "q\"1", "--quiet"]);
    site.write("second", "");
    site.ok(&["retry", "build"]);
    assert_eq!(site.run(&["wait", "build"]).code, Some(1));
    site
}

#[test]
fn the_history_is_a_table_with_what_is_usual() {
    let site = ran_twice();
    let text = site.ok(&["history", "build"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("q\"1/build"), "{text}");
    let words = |nth: usize| lines[nth].split_whitespace().collect::<Vec<_>>();
    assert_eq!(words(1), ["RUN", "STARTED", "OUTCOME", "TOOK", "CPU", "MEMORY", "RESULT"]);
    assert_eq!((words(2)[0], words(2)[3]), ("1", "succeeded"), "{text}");
    assert!(lines[2].ends_with("=1+2, \"quoted\""), "{text}");
    assert!(words(3)[3] == "failed" && lines[3].contains("exit code 3"), "{text}");
    assert!(lines[4].starts_with("2 runs, 1 succeeded: usually "), "{text}");
    let queue = site.ok(&["history", "q\"1"]);
    assert!(queue.contains("q\"1/build") && queue.contains("q\"1/other"), "{queue}");
    let none = site.run(&["history", "build", "--since", "0s"]);
    assert!(none.code == Some(0) && none.stderr.contains("setlist: no runs"), "{none:?}");
}

#[test]
fn the_history_as_csv_and_json_has_every_run() {
    let site = ran_twice();
    let csv = site.ok(&["history", "build", "--csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("job,run,run_id,outcome,exit_code,signal,started_at,"), "{csv}");
    assert!(lines[1].starts_with("\"q\"\"1/build\",1,") && lines[1].contains(",succeeded,0,,20"), "{csv}");
    assert!(lines[1].contains(",\"'=1+2, \"\"quoted\"\"\",,"), "no formula: {csv}");
    assert!(lines[2].contains(",failed,3,,") && lines[2].contains(",exited,"), "{csv}");
    let json = site.ok(&["history", "build", "--json"]);
    let runs: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<&str> = runs.iter().map(|run| run["outcome"].as_str().unwrap()).collect();
    assert_eq!((outcomes, runs[1]["job"].as_str()), (vec!["succeeded", "failed"], Some("q\"1/build")));
}

#[test]
fn a_diff_shows_what_changed_since_the_run_before() {
    let site = ran_twice();
    let different = site.run(&["log", "build", "--diff"]);
    assert_eq!(different.code, Some(1), "{different:?}");
    let text = different.stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("--- q\"1/build run 1  ") && lines[1].starts_with("+++ q\"1/build run 2  "), "{text}");
    assert_eq!(lines[2..6], ["@@ -7,5 +7,5 @@", " step 6 of 8", " step 7 of 8", " step 8 of 8"], "{text}");
    assert!(lines[6].starts_with("-run at ") && lines.contains(&"-=1+2, \"quoted\""), "{text}");
    assert!(lines.contains(&"+a <new> line"), "{text}");
    let numbers = site.run(&["log", "build", "--diff", "--ignore-numbers"]).stdout;
    assert!(!numbers.contains("-run at") && numbers.contains("+a <new> line"), "{numbers}");
    let first = site.run(&["log", "build", "--diff", "--run", "1"]);
    assert!(first.code == Some(2) && first.stderr.contains("no kept run before run 1"), "{first:?}");
    // The same again.
    site.ok(&["retry", "build"]);
    site.run(&["wait", "build"]);
    let same = site.run(&["log", "build", "--diff", "--ignore-numbers"]);
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), ""), "{same:?}");
}

/// The samples of a text in the format of Prometheus, with the type of their metric. Fails where it breaks a rule of it.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, (String, f64)> {
    let (mut samples, mut types, mut done) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').unwrap();
            assert!(done.insert(name.to_owned()), "{name} has two descriptions");
            name.clone_into(&mut current);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert!(["gauge", "histogram", "counter"].contains(&kind));
            types.insert(name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| {
                let base = name.strip_suffix(end).unwrap_or(name);
                if types.get(base).is_some_and(|kind| kind == "histogram") { base } else { name }
            });
            assert_eq!(base, current, "samples of a metric are together");
            assert!(name.chars().all(|character| character.is_ascii_lowercase() || character == '_'), "{name}");
            let value = value.parse().unwrap();
            assert!(samples.insert(series.to_owned(), (types[base].clone(), value)).is_none(), "{series} twice");
        }
    }
    samples
}

#[test]
fn metrics_are_valid_and_count_jobs_and_runs() {
    let site = ran_twice();
    let text = site.ok(&["metrics"]);
    let found = samples(&text);
    let value = |series: &str| found.get(series).unwrap_or_else(|| panic!("{series}: {text}")).1;
    for (series, expected) in [
        (r#"setlist_jobs{queue="q\"1",state="succeeded"}"#, 1.0),
        (r#"setlist_jobs{queue="q\"1",state="failed"}"#, 1.0),
        (r#"setlist_jobs{queue="idle",state="pending"}"#, 1.0),
        (r#"setlist_kept_runs{queue="q\"1",outcome="succeeded"}"#, 2.0),
        (r#"setlist_kept_runs{queue="q\"1",outcome="failed"}"#, 1.0),
        (r#"setlist_run_duration_seconds_count{queue="q\"1"}"#, 3.0),
        (r#"setlist_run_duration_seconds_bucket{queue="q\"1",le="+Inf"}"#, 3.0),
        (r#"setlist_run_duration_seconds_bucket{queue="q\"1",le="86400"}"#, 3.0),
        (r#"setlist_oldest_wait_seconds{queue="idle"}"#, 0.0),
        (r#"setlist_missed_due_times{queue="idle"}"#, 0.0),
        (r#"setlist_queue_processing{queue="idle"}"#, 0.0),
    ] {
        assert!((value(series) - expected).abs() < 1e-9, "{series}: {text}");
    }
    assert!(value(r#"setlist_last_success_timestamp_seconds{queue="q\"1"}"#) > 1.7e9);
    assert!(value("setlist_workers") >= 0.0);
    let one = site.ok(&["metrics", "idle"]);
    assert!(!one.contains("q\\\"1") && one.contains("queue=\"idle\""), "{one}");
    assert_eq!(site.ok(&["metrics", "-o", "setlist.prom"]), "");
    assert_eq!(samples(&site.read("setlist.prom")).len(), found.len());
}

/// Runs the only job from one second to another, with so much processor time.
fn run(store: &mut dyn Store, worker: WorkerId, from: i64, to: i64, cpu: u64) {
    let at = |second: i64| Utc::now() - TimeDelta::hours(2) + TimeDelta::seconds(second);
    let start = [Command::Run { job: JobId(1), force: false }, Command::Claim { worker, queues: None }];
    store.execute(&start, at(from)).unwrap().into_iter().for_each(|result| drop(result.unwrap()));
    let run = store.job(JobId(1)).unwrap().unwrap().current_run().unwrap();
    let usage = Usage {
        user: Duration::from_secs(cpu),
        system: Duration::ZERO,
        peak_memory: 1 << 20,
        is_peak_bound: false,
        io: None,
        tree: TreeUsage::default(),
    };
    let report = RunReport { usage: Some(usage.into()), ..RunReport::new(Outcome::Succeeded) };
    let end = Command::EndRun { job: JobId(1), run, report, on_failure: None };
    store.execute(&[end], at(to)).unwrap().remove(0).unwrap();
}

#[test]
fn a_run_that_is_slower_than_usual_is_explained() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    site.ok(&["list"]);
    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
    let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    store.execute(&[join], Utc::now()).unwrap().remove(0).unwrap();
    let worker = store.workers().unwrap()[0].id;
    for nth in 0..3 {
        run(&mut store, worker, nth * 100, nth * 100 + 60, 50);
    }
    let usual = site.ok(&["show", "q/a"]);
    assert!(!usual.contains("  slow "), "{usual}");
    // The worker is dead, so it joins again.
    let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    store.execute(&[join], Utc::now()).unwrap().remove(0).unwrap();
    let worker = store.workers().unwrap()[0].id;
    run(&mut store, worker, 1000, 1300, 50);
    for command in ["show", "explain"] {
        let text = site.ok(&[command, "q/a"]);
        let line = text.lines().find(|line| line.starts_with("  slow ")).unwrap_or_else(|| panic!("{text}"));
        let expected = "5m 00s, usually 1m 00s (3 runs): 4m 10s waiting for disks, the network or others, usually 10s";
        assert_eq!(line.trim_start_matches("  slow").trim_start(), expected);
        let json: Value = serde_json::from_str(&site.ok(&[command, "q/a", "--json"])).unwrap();
        assert_eq!(json["slow"]["reasons"], serde_json::json!(["without_processor"]), "{json}");
    }
    let report = site.ok(&["report"]);
    assert!(report.contains("q/a  run 4  (slow: 5m 00s, usually 1m 00s (3 runs): "), "{report}");
    assert!(site.ok(&["history", "q/a"]).contains("(slow)\n"));
}
