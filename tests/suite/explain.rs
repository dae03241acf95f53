//! `setlist explain`: why a job would run or not now.

use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};

/// What `explain` prints about a job, without times.
fn explained(site: &TempSite, job: &str) -> String {
    let text = site.ok(&["explain", job]);
    let without_times = |line: &str| {
        let words = line.split_whitespace().map(|word| {
            let word = word.to_owned();
            let inner = word.trim_end_matches(')');
            let is_time = word.starts_with(|c: char| c.is_ascii_digit()) && inner.ends_with(['s', 'm']);
            if is_time { word.replace(inner, "TIME") } else { word }
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().skip(1).map(without_times).collect()
}

fn record(site: &TempSite, job: &str) -> Value {
    serde_json::from_str(&site.ok(&["explain", job, "--json"])).unwrap()
}

#[test]
fn a_waiting_job_says_who_holds_what_it_waits_for() {
    let site = TempSite::with(
        "pools: {gpu: 1}\nqueues:\n  train:\n    parallel: 3\n    jobs:\n      \
         - {id: first, uses: gpu, run: 'until test -e go; do sleep 0.01; done'}\n      \
         - {id: second, uses: gpu, run: 'true'}\n      - {id: report, needs: [first, second], run: 'true'}\n      \
         - {id: asks, confirm: Really?, run: 'true'}\n  \
         build:\n    - {id: busy, run: 'until test -e go; do sleep 0.01; done'}\n    - {id: next, run: 'true'}\n  \
         idle: [{id: job, run: 'true'}]\n",
    );
    site.ok(&["start", "train", "build"]);
    site.wait_until("train/first", |job| job["state"] == "running");
    site.wait_until("build/busy", |job| job["state"] == "running");
    assert_eq!(
        explained(&site, "train/second"),
        "now it waits\nwaits for gpu (held by train/first since TIME)\nheld by train/first since TIME\n"
    );
    assert_eq!(
        explained(&site, "train/report"),
        "now it waits\nbecause it needs first +1\nneeds train/first: running since TIME\n\
         needs train/second: pending: waiting for gpu (held by train/first since TIME)\n"
    );
    assert_eq!(
        explained(&site, "build/next"),
        "now it waits\nwaits for a free slot of build (parallel: 1)\nheld by build/busy since TIME\n"
    );
    assert_eq!(
        explained(&site, "train/asks"),
        "now it waits; `setlist approve train/asks` approves it\nbecause it needs approval\n"
    );
    assert_eq!(
        explained(&site, "idle/job"),
        "now it waits; `setlist process idle` processes its queue\nbecause its queue is not being processed\n"
    );
    let second = record(&site, "train/second");
    assert_eq!((&second["verdict"], &second["waiting"]), (&json!("waits"), &json!("pool")));
    assert_eq!(second["holders"][0]["job"], json!("train/first"));
    let report = record(&site, "train/report");
    assert_eq!((&report["needs"][1]["state"], &report["needs"][1]["met"]), (&json!("pending"), &Value::Null));
    site.ok(&["pause", "build"]);
    assert!(explained(&site, "build/next").contains("because build is paused\n"));
    site.write("go", "");
    site.run(&["cancel", "train/asks"]);
    wait_for("the workers to end", || site.processes().is_empty().then_some(()));
}

#[test]
fn a_finished_job_says_which_sources_changed_and_why_it_failed() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: copy, sources: ['*.in', '!c.in'], outputs: out, run: 'cat *.in > out'}\n    \
         - {id: bad, run: 'echo the disk is gone >&2; exit 3'}\n    - {id: maybe, if: 'test -e x', run: 'true'}\n",
    );
    site.write("a.in", "1");
    site.write("b.in", "1");
    assert!(explained(&site, "q/copy").contains("files no success with these sources and outputs is recorded\n"));
    site.run(&["process", "--quiet"]);
    let fresh = explained(&site, "q/copy");
    let first = "now it has finished; if it was requested again, it would be skipped: it is up to date\nfiles up to date\n\
                 success run 1 succeeded TIME ago with 2 sources\noutcome succeeded TIME ago\n";
    assert_eq!(fresh, first);
    site.write("a.in", "2");
    site.write("c.in", "2");
    site.write("d.in", "2");
    std::fs::remove_file(site.join("b.in")).unwrap();
    std::fs::remove_file(site.join("out")).unwrap();
    let stale = explained(&site, "q/copy");
    assert!(stale.contains("it would run\nfiles changed a.in, new d.in, removed b.in\nfiles missing out\n"), "{stale}");
    let files = &record(&site, "q/copy")["files"];
    assert_eq!((&files["up_to_date"], &files["reasons"]), (&json!(false), &json!(["sources", "outputs"])), "{files}");
    assert_eq!(
        (&files["changed"], &files["appeared"], &files["vanished"], &files["missing_outputs"]),
        (&json!(["a.in"]), &json!(["d.in"]), &json!(["b.in"]), &json!(["out"]))
    );
    let bad = explained(&site, "q/bad");
    assert!(bad.ends_with("outcome failed TIME ago\nerror exit code 3: the disk is gone\n"), "{bad}");
    assert_eq!(record(&site, "q/bad")["cause"], json!("exited"));
    let maybe = explained(&site, "q/maybe");
    assert!(maybe.contains("its conditions would decide\nif test -e x (asked when its turn comes)\n"), "{maybe}");
    assert!(maybe.contains("outcome skipped TIME ago: condition: `if` exited with 1\n"), "{maybe}");
    assert_eq!(site.run(&["explain", "q/none"]).code, Some(2));
}

#[test]
fn a_job_that_has_run_says_what_it_waited_for() {
    let site = TempSite::with(
        "pools: {db: 1}\nqueues:\n  a: [{id: users, uses: db, run: 'until test -e go; do sleep 0.01; done; sleep 1'}, \
         {id: next, run: 'true'}]\n  b: [{id: orders, uses: db, run: 'true'}]\n",
    );
    site.ok(&["start", "a"]);
    site.wait_until("a/users", |job| job["state"] == "running");
    site.ok(&["start", "b"]);
    site.write("go", "");
    site.ok(&["wait"]);
    let users = site.job("a/users")["run_id"].clone();
    let expected = |text: &str| format!("waited TIME for {text} run {users} of a/users ended\n");
    assert!(explained(&site, "b/orders").contains(&expected("db, until")), "{}", explained(&site, "b/orders"));
    assert!(explained(&site, "a/next").contains(&expected("a free slot, until")), "{}", explained(&site, "a/next"));
    let orders = record(&site, "b/orders")["waited"].clone();
    assert_eq!((&orders["reason"], &orders["pool"], &orders["job"]), (&json!("pool"), &json!("db"), &json!("a/users")));
    assert_eq!(orders["run"], users);
    // A run that succeeded earlier is no attempt before this one.
    assert_eq!(record(&site, "a/users")["waited"], json!(null));
    site.ok(&["retry", "a/users"]);
    site.ok(&["wait"]);
    assert_eq!(record(&site, "a/users")["waited"], json!(null));
}

#[test]
fn a_job_behind_one_that_waits_for_a_pool_says_so() {
    let site = TempSite::with(
        "pools: {gpu: 1}\nqueues:\n  a:\n    parallel: 2\n    jobs:\n      \
         - {id: holds, uses: gpu, run: 'until test -e go; do sleep 0.01; done'}\n      \
         - {id: wants, uses: gpu, run: 'true'}\n      - {id: cpu, run: 'true'}\n  \
         b: [{id: big, uses: gpu, run: 'true'}, {id: plain, run: 'true'}]\n",
    );
    site.ok(&["start", "a"]);
    site.wait_until("a/holds", |job| job["state"] == "running");
    site.ok(&["start", "b"]);
    assert_eq!(
        explained(&site, "a/cpu"),
        "now it waits\nwaits for a free slot of a (parallel: 2)\nheld by a/holds since TIME\n\
         behind a/wants: waiting for gpu (held by a/holds since TIME)\n"
    );
    assert!(explained(&site, "b/plain").starts_with("now it waits\n"), "{}", explained(&site, "b/plain"));
    assert_eq!(record(&site, "b/plain")["ahead"], json!(["b/big"]));
    site.write("go", "");
    site.ok(&["wait"]);
}
