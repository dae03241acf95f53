//! `setlist process` for people and for cron.

use serde_json::{Value, json};

use crate::temp_site::TempSite;

const MIXED: &str = "\
queues:
  q:
    - {id: fine, run: echo well}
    - {id: bad, run: 'for n in $(seq 1 12); do echo line $n; done; printf \"\\033[2Jred \\033[31mend\" >&2; exit 3'}
    - {id: later, run: sleep 600}
    - {id: last, run: 'true', needs: bad}
";

#[test]
fn a_failure_shows_its_last_lines() {
    let site = TempSite::with(MIXED);
    site.ok(&["cancel", "later"]);
    let output = site.run(&["process"]);
    let shown: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(shown[0], "    line 4", "{output:?}");
    assert_eq!(shown[8..], ["    line 12", "    red end", "    (last lines; `setlist log q/bad` prints all)"]);
    assert!(!output.stdout.contains("line 4"));
    let small = TempSite::with("queues: {q: [echo why; exit 1, exit 1]}\n");
    assert_eq!(small.run(&["process"]).stderr, "    why\n");
}

#[test]
fn quiet_prints_only_failures() {
    let site = TempSite::with("queues: {q: [echo a, echo b]}\n");
    let well = site.run(&["process", "--quiet"]);
    assert_eq!((well.code, &well.stdout[..], &well.stderr[..]), (Some(0), "", ""));
    let none = site.run(&["process", "--quiet"]);
    // In cron nothing would ever run again, which is worth a mail.
    assert_eq!((none.code, &none.stdout[..]), (Some(0), ""));
    assert!(none.stderr.contains("`--again` runs them again"), "{none:?}");
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: fresh, sources: jobs.yaml, run: 'true'}\n    - {id: asked, if: 'false', run: 'true'}\n    \
         - {id: unneeded, needs: asked, run: 'true'}\n",
    );
    for _ in 0..2 {
        let skipped = site.run(&["process", "--again", "--quiet"]);
        assert_eq!((skipped.code, &skipped.stdout[..], &skipped.stderr[..]), (Some(0), "", ""));
    }
    assert_eq!(site.job("q/unneeded")["outcome"], "skipped");
    let site = TempSite::with(MIXED);
    site.run(&["cancel", "q/later"]);
    let ill = site.run(&["process", "-q"]);
    assert_eq!(ill.code, Some(1));
    assert!(!ill.stdout.contains("q/fine") && ill.stdout.contains("q/bad  failed"), "{ill:?}");
    assert!(ill.stdout.contains("1 succeeded, 1 failed, 1 skipped") && ill.stderr.contains("line 12"), "{ill:?}");
}

#[test]
fn next_runs_one_job() {
    let site = TempSite::with("queues:\n  a: [{id: held, run: 'true', confirm: Really?}]\n  b: [echo 1, echo 2]\n");
    let first = site.run(&["process", "--next"]);
    assert_eq!(first.code, Some(0));
    assert!(first.stdout.contains("b/echo-1  succeeded") && first.stdout.contains("1 succeeded"), "{first:?}");
    assert_eq!(site.job("b/echo-2")["state"], json!("pending"));
    site.ok(&["process", "b", "--next"]);
    let none = site.run(&["process", "--next"]);
    assert_eq!((none.code, &none.stderr[..]), (Some(0), "setlist: no job is ready to start\n"));
    assert!(site.ok(&["status", "b"]).contains("idle"));
}

#[test]
fn finished_jobs_are_printed_as_json() {
    let site = TempSite::with(MIXED);
    site.run(&["cancel", "q/later"]);
    let preview = site.ok(&["process", "--dry-run", "--json"]);
    let waiting: Vec<Value> = preview.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((waiting.len(), &waiting[2]["waiting"]), (3, &json!("needs")));
    let output = site.run(&["process", "--json"]);
    let jobs: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<_> = jobs.iter().map(|job| (&job["name"], &job["outcome"])).collect();
    assert_eq!(json!(outcomes), json!([["fine", "succeeded"], ["bad", "failed"], ["last", "skipped"]]));
}

#[test]
fn parallel_is_restored_after_process() {
    // Each waits for the other.
    let meet = |a: &str, b: &str| format!("touch {a}; until [ -e {b} ]; do sleep 0.01; done");
    let site = TempSite::with(&format!("queues:\n  q: [{}, {}]\n", json!(meet("a", "b")), json!(meet("b", "a"))));
    let parallel = || serde_json::from_str::<Value>(&site.ok(&["status", "q", "--json"])).unwrap()["parallel"].clone();
    assert_eq!(site.run(&["process", "--parallel", "2"]).code, Some(0));
    assert_eq!(parallel(), json!(1));
    assert!(site.run(&["process", "--parallel", "2"]).stderr.contains("no pending jobs"));
    assert_eq!(parallel(), json!(1));
}

#[test]
fn a_line_of_process_is_a_line() {
    let site = TempSite::with("queues: {q: ['head -c 100000 /dev/zero | tr \"\\0\" x']}\n");
    let output = site.ok(&["process"]);
    assert!(output.lines().all(|line| line.chars().count() < 200), "{} bytes", output.len());
    assert!(output.lines().next().unwrap().ends_with("xxx…"));
}

#[test]
fn jobs_that_the_worker_of_a_schedule_runs_are_reported_and_counted() {
    let site = TempSite::with("queues: {q: {schedule: 0 0 29 2 *, jobs: [{id: a, run: exit 1}]}}\n");
    // The first one leaves a worker, which is faster than the others now and then.
    for nth in 1..=20 {
        let output = site.run(&["process", "q", "--again"]);
        assert_eq!(output.code, Some(1), "{nth}: {output:?}");
        assert!(output.stdout.starts_with("q/a  failed  ") && output.stdout.contains("\n1 failed  in "), "{output:?}");
        assert_eq!(site.job("q/a")["run_count"], nth);
    }
}

#[test]
fn a_preview_says_how_a_needed_job_must_end() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: 'true'}, {id: b, run: 'true', needs: a}, {id: c, run: 'true', needs: {job: a, on: failure}}, {id: d, run: 'true', needs: {job: a, on: finish}}]}\n",
    );
    let preview = site.ok(&["process", "--dry-run"]);
    let reasons: Vec<&str> = preview.lines().filter_map(|line| line.split_once("  (").map(|(_, why)| why)).collect();
    assert_eq!(reasons, ["needs a)", "needs a, which must fail)", "needs a, which must finish)"], "{preview}");
}
