//! Pools as a user sees them.

use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};

#[test]
fn a_job_that_waits_for_a_pool_says_who_holds_it() {
    let site = TempSite::with(
        "pools: {gpu: 2, a-b: 1}\nqueues:\n  train:\n    parallel: 3\n    jobs:\n      \
         - {id: a, run: 'echo on $SETLIST_POOL_GPU and $SETLIST_POOL_A_B; exec sleep 1000', uses: {gpu: 2, a-b: 1}}\n      \
         - {id: b, run: 'echo on $SETLIST_POOL_GPU', uses: gpu}\n      - {id: c, run: 'true', mutex: db}\n",
    );
    site.ok(&["retry", "train/a", "train/b", "train/c"]);
    site.wait_until("train/c", |job| job["outcome"] == "succeeded");
    let job = site.wait_until("train/a", |job| job["state"] == "running");
    assert_eq!((&job["uses"], &job["pools"]), (&json!({"a-b": 1, "gpu": 2}), &json!({"a-b": [0], "gpu": [0, 1]})));
    let job = site.job("train/b");
    assert_eq!((&job["waiting"], &job["pools"]), (&json!("pool"), &json!({})));
    let listed = site.ok(&["list"]);
    assert!(listed.contains("waiting for gpu (held by train/a since "), "{listed}");
    let shown = site.ok(&["show", "train/a"]);
    assert!(shown.contains("\n  uses      2 of gpu, a-b\n  holds     gpu 0,1; a-b 0\n"), "{shown}");
    assert!(site.ok(&["show", "train/c"]).contains("\n  uses      mutex db\n"));
    let variables = site.ok(&["show", "--env", "train/a"]);
    assert!(variables.contains("SETLIST_POOL_GPU"), "{variables}");

    site.ok(&["cancel", "train/a"]);
    let job = site.wait_until("train/b", |job| job["outcome"] == "succeeded");
    assert_eq!(job["value"], json!("on 0"));
    let job: Value = serde_json::from_str(&site.ok(&["show", "train/a", "--json"])).unwrap();
    assert_eq!(job["runs"][0]["pools"], json!({"a-b": [0], "gpu": [0, 1]}), "it is on record");
    assert_eq!(site.ok(&["log", "train/a"]), "on 0,1 and 0\n");
}

#[test]
fn a_pool_by_key_has_units_for_each_key() {
    let site = TempSite::with(
        "pools: {api: {per: customer, size: 1}}\nqueues:\n  sync:\n    parallel: 5\n    inputs: {customer: acme}\n    uses: api\n    jobs:\n      \
         - {id: a, run: exec sleep 1000, matrix: {customer: [acme, zeta]}}\n      \
         - {id: b, run: 'echo on $SETLIST_POOL_API'}\n",
    );
    site.ok(&["retry", "sync/a-acme", "sync/a-zeta"]);
    site.wait_until("sync/a-acme", |job| job["state"] == "running");
    let job = site.wait_until("sync/a-zeta", |job| job["state"] == "running");
    assert_eq!(job["pools"], json!({"api[zeta]": [0]}), "another key has units of its own");
    // Its key is an input.
    site.ok(&["retry", "sync/b"]);
    let listed = site.ok(&["list"]);
    assert!(listed.contains("waiting for api of acme (held by sync/a-acme since "), "{listed}");
    assert!(site.ok(&["show", "sync/a-acme"]).contains("\n  uses      api of acme\n  holds     api of acme 0\n"));
    site.ok(&["cancel", "sync/b"]);
    site.ok(&["retry", "sync/b", "--input", "customer=other"]);
    site.ok(&["wait", "sync/b"]);
    assert_eq!(site.job("sync/b")["value"], "on 0");
    assert_eq!(site.job("sync/b")["runs"][0]["pools"], json!({"api[other]": [0]}));
    site.ok(&["retry", "sync/b", "--input", "customer=acme"]);
    site.wait_until("sync/b", |job| job["waiting"] == "pool");
    site.ok(&["cancel", "sync/a-acme"]);
    site.wait_until("sync/b", |job| job["outcome"] == "succeeded");
    site.ok(&["cancel", "sync/a-zeta"]);
}

#[test]
fn a_job_of_another_queue_and_worker_starts_when_a_pool_is_free() {
    let site = TempSite::with(
        "pools: {gpu: 1}\nqueues:\n  a: [{id: x, run: exec sleep 1000, uses: gpu}]\n  b: [{id: y, run: 'true', uses: gpu}]\n",
    );
    site.ok(&["retry", "a/x"]);
    site.wait_until("a/x", |job| job["state"] == "running");
    // It has a worker of its own, which has nothing else to do.
    let mut process = site.command(&["process", "b", "--quiet"]).spawn().unwrap();
    site.wait_until("b/y", |job| job["waiting"] == "pool");
    site.ok(&["cancel", "a/x"]);
    assert!(wait_for("the end", || process.try_wait().unwrap()).success());
    assert_eq!(site.job("b/y")["outcome"], json!("succeeded"));
}
