//! `for_each: {value: JOB}`: the jobs of the items of a list that another job has returned.

use std::fs;

use serde_json::{Value, json};

use crate::temp_site::TempSite;

/// A job that returns the list in the file `list`, a job for each item, one for the same item, and one that needs all.
const SITE: &str = r#"
queues:
  films:
    - {id: list, run: 'cat list > "$SETLIST_VALUE"'}
    - {id: encode, for_each: {value: list}, run: 'echo "$SETLIST_ITEM" | tee -a calls; [ "$SETLIST_ITEM" != bad ]'}
    - {id: check, for_each: {value: list}, needs: "encode[${item}]", run: 'grep -x "$SETLIST_ITEM" calls'}
    - {id: sum, needs: [encode, check], run: 'echo sum >> calls; wc -l < calls'}
"#;

fn site_with(list: &str) -> TempSite {
    let site = TempSite::with(SITE);
    site.write("list", list);
    site.write("calls", "");
    site
}

fn calls(site: &TempSite) -> Vec<String> {
    let calls = site.read("calls");
    calls.lines().map(str::to_owned).collect()
}

/// The jobs of the queue with their states or outcomes.
fn states(site: &TempSite) -> Vec<String> {
    let list = site.ok(&["list", "films", "--json"]);
    let jobs = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let state = |job: &Value| job["outcome"].as_str().or(job["state"].as_str()).unwrap_or_default().to_owned();
    jobs.map(|job| format!("{} {}", job["name"].as_str().unwrap_or_default(), state(&job))).collect()
}

fn retry_list(site: &TempSite) {
    site.ok(&["retry", "films/list"]);
    site.ok(&["wait", "films/list"]);
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn the_jobs_of_a_list_appear_when_its_job_has_succeeded_and_those_that_need_them_wait() {
    let site = site_with(r#"["b", "a c"]"#);
    assert_eq!(states(&site), ["list pending", "sum pending"]);
    let dry_run = site.run(&["process", "--dry-run"]);
    let note = "films/list returns the items of films/encode and films/check, which may change the jobs";
    assert!(dry_run.stderr.contains("2 jobs pending") && dry_run.stderr.contains(note), "{dry_run:?}");
    let output = site.run(&["process", "films"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(calls(&site), ["b", "a c", "sum"]);
    let done = ["check[a%20c]", "check[b]", "encode[a%20c]", "encode[b]", "list", "sum"];
    let done = done.map(|name| format!("{name} succeeded"));
    assert_eq!(sorted(states(&site)), done);
    let job = site.job("films/encode[a%20c]");
    assert_eq!(job["parameters"], json!({"item": "a c"}));
    assert_eq!(site.job("films/list")["items_for"], json!(["films/encode", "films/check"]));
    // The list stays when the file is read again.
    assert_eq!(site.ok(&["reload"]), "nothing changed\n");
    site.write("jobs.yaml", &format!("{SITE}    - {{id: more, run: echo}}\n"));
    assert_eq!(site.ok(&["reload"]), "1 job added\n");
    assert_eq!(sorted(states(&site)).len(), 7);
    assert_eq!(site.job("films/encode[a%20c]"), job);
    assert_eq!(site.ok(&["check"]), "jobs.yaml: 1 queue, 7 jobs\n");
}

#[test]
fn another_list_adds_and_removes_jobs_and_the_others_stay_done() {
    let site = site_with(r#"["a", "b"]"#);
    site.ok(&["process", "films", "--quiet"]);
    let first = site.job("films/encode[b]");
    site.write("list", r#"["new", "b"]"#);
    site.write("calls", "b\n");
    retry_list(&site);
    assert_eq!(calls(&site), ["b"], "only the job itself was asked for");
    assert!(states(&site).contains(&"encode[new] pending".to_owned()), "{:?}", states(&site));
    site.ok(&["process", "films", "--quiet"]);
    assert_eq!(calls(&site), ["b", "new"]);
    assert_eq!(site.job("films/encode[b]"), first);
    // Pending jobs of items that are gone are removed.
    site.ok(&["reset", "films/encode[new]"]);
    site.write("list", "[]");
    retry_list(&site);
    assert!(!states(&site).iter().any(|state| state.starts_with("encode[new]")), "{:?}", states(&site));
    let reload = site.run(&["reload"]);
    assert!(reload.stderr.contains("films/list returned an empty list, so this defines no jobs"), "{reload:?}");
}

#[test]
fn a_value_that_is_no_list_of_items_fails_the_job_with_the_reason() {
    let site = site_with("nothing here");
    let cases = [
        ("nothing here", "is the text `nothing here`, not a JSON list"),
        (r#"{"a": 1}"#, "is a map, not a JSON list"),
        (r#"["a", "b", "a"]"#, "can't be used: item 3 is item 1 again: `a`"),
        (r#"["a", [1]]"#, "can't be used: item 2 is a list"),
    ];
    for (list, problem) in cases {
        site.write("list", list);
        let output = site.run(&["process", "films"]);
        assert_eq!(output.code, Some(1), "{output:?}");
        let job = site.job("films/list");
        let error = job["error"].as_str().unwrap_or_default();
        assert!(error.contains(problem), "{job}");
        assert!(error.ends_with(" (for_each of films/encode, films/check)"), "{error}");
        assert!(output.stdout.contains(problem) || output.stderr.contains(problem), "{output:?}");
        assert_eq!(sorted(states(&site)), ["list failed", "sum skipped"]);
        site.ok(&["reset", "films/list", "films/sum"]);
    }
    let huge: Vec<usize> = (0..=100_000).collect();
    site.write("list", &serde_json::to_string(&huge).unwrap());
    site.run(&["process", "films"]);
    let error = site.job("films/list")["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("has 100,001 items, and at most 100,000 are allowed"), "{error}");
}

#[test]
fn an_empty_list_defines_no_jobs_and_what_needs_them_runs() {
    let site = site_with("[]");
    let output = site.run(&["process", "films"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(calls(&site), ["sum"]);
}

#[test]
fn a_failed_item_skips_what_needs_all() {
    let site = site_with(r#"["good", "bad"]"#);
    assert_eq!(site.run(&["process", "films", "--quiet"]).code, Some(1));
    let states = sorted(states(&site));
    assert_eq!(
        states,
        [
            "check[bad] skipped",
            "check[good] succeeded",
            "encode[bad] failed",
            "encode[good] succeeded",
            "list succeeded",
            "sum skipped"
        ]
    );
}

#[test]
fn a_worker_that_is_killed_at_the_end_of_the_list_loses_no_jobs() {
    for point in ["finished", "recorded"] {
        let site = site_with(r#"["a", "b"]"#);
        let died = site.command(&["process", "films"]).env("SETLIST_CRASH", point).output().unwrap();
        assert!(!died.status.success(), "{died:?}");
        let (list, states) = (site.job("films/list")["outcome"].clone(), states(&site));
        let items = states.iter().filter(|state| state.starts_with("encode[")).count();
        // Both are recorded, or none.
        match point {
            "finished" => assert_eq!((list, items), (json!("interrupted"), 0), "{states:?}"),
            _ => assert_eq!((list, items), (json!("succeeded"), 2), "{states:?}"),
        }
        // A job that it had already started was interrupted.
        for name in ["films/list", "films/encode"] {
            site.run(&["reset", name]);
        }
        site.ok(&["process", "films", "--quiet"]);
        let calls: std::collections::BTreeSet<String> = calls(&site).into_iter().collect();
        assert_eq!(Vec::from_iter(calls), ["a", "b", "sum"], "{point}");
    }
}

#[test]
fn a_file_with_errors_fails_the_job_whose_items_it_defines() {
    let site = site_with(r#"["a"]"#);
    let file = SITE.replace("cat list", "echo queues: [ > jobs.yaml; cat list");
    site.write("jobs.yaml", &file);
    let output = site.run(&["process", "films"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    site.write("jobs.yaml", &file);
    let error = site.job("films/list")["error"].as_str().unwrap_or_default().to_owned();
    assert_eq!(error, "can't make the jobs of the items that it returned: jobs.yaml has 1 error");
    assert_eq!(site.job("films/sum")["outcome"], "skipped");
}

#[test]
fn a_list_read_before_its_job_returned_another_one_is_not_applied() {
    use setlist::model::{Command, Refusal};
    use setlist::store::{SqliteStore, StateDir, Store};

    let site = site_with(r#"["a"]"#);
    site.ok(&["list"]);
    // Read without the store, as on a thread that watches the file.
    let stale = setlist::definition::read(&site.join("jobs.yaml")).unwrap();
    site.ok(&["process", "films", "--quiet"]);
    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
    let results = store.execute(&[Command::Reconcile(Box::new(stale))], chrono::Utc::now()).unwrap();
    assert!(matches!(results[..], [Err(Refusal::FileOutdated(_))]), "{results:?}");
    drop(store);
    fs::remove_file(site.join("list")).unwrap();
    assert_eq!(states(&site).len(), 4);
}
