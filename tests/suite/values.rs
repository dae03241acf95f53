//! Values between jobs, and unique keys, as a user sees them.

use serde_json::{Value, json};

use crate::temp_site::TempSite;

#[test]
fn a_job_gets_the_values_of_the_jobs_that_it_needs() {
    let site = TempSite::with(
        "queues:\n  a: [{id: count, run: 'echo 3'}]\n  q:\n    jobs:\n      \
         - {id: build, run: 'echo \"{\\\"tag\\\": \\\"v 1\\\"}\" > $SETLIST_VALUE'}\n      - {id: bad, run: 'false'}\n      \
         - {id: upload, needs: [build, a/count], command: [printf, '%s|', '${needs.build.value.tag}', '${needs.a/count.value}']}\n      \
         - id: tell\n        needs: [build, a/count, {job: bad, on: finish}]\n        \
         run: echo \"$SETLIST_NEEDS_BUILD $SETLIST_NEEDS_A_COUNT ${SETLIST_NEEDS_BAD-none} $SETLIST_NEEDS_BAD_OUTCOME\"\n      \
         - {id: lost, needs: {job: bad, on: finish}, command: [echo, '${needs.bad.value}']}\n",
    );
    site.run(&["process", "--quiet"]);
    assert_eq!(site.ok(&["log", "q/upload"]), "v 1|3|");
    assert_eq!(site.job("q/tell")["value"], json!("{\"tag\":\"v 1\"} 3 none failed"));
    let lost = site.job("q/lost");
    assert_eq!(lost["error"], json!("${needs.bad.value}: bad has no value, because it failed"));
    assert_eq!(lost["outcome"], json!("failed"));
    let shown = site.ok(&["show", "q/upload"]);
    assert!(shown.contains("\n               ran printf '%s|' 'v 1' 3\n"), "{shown}");
    let shown: Value = serde_json::from_str(&site.ok(&["show", "q/upload", "--json"])).unwrap();
    assert_eq!(shown["runs"][0]["command"], json!("printf '%s|' 'v 1' 3"));
    assert_eq!(
        shown["runs"][0]["needs"][1],
        json!({"job": "a/count", "outcome": "succeeded", "value": "3", "cut": false})
    );
    assert_eq!(shown["command"], json!("printf '%s|' '${needs.build.value.tag}' '${needs.a/count.value}'"));
    let variables = site.ok(&["show", "--env", "q/upload"]);
    assert!(variables.contains("SETLIST_NEEDS_BUILD_OUTCOME"), "{variables}");
}

#[test]
fn a_value_that_is_too_large_is_cut_and_said_so() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: big, run: 'yes | head -c 300000 | tr -d \"\\n\" > $SETLIST_VALUE'}\n    \
         - {id: use, needs: big, command: [sh, -c, 'echo ${#1} ${#SETLIST_NEEDS_BIG}', sh, '${needs.big.value}']}\n",
    );
    site.ok(&["process", "--quiet"]);
    assert_eq!(site.job("q/use")["value"], json!("32768 32768"));
    assert!(site.ok(&["show", "q/use"]).contains("a value that it got was cut to 32 KiB"));
}

#[test]
fn a_key_finds_the_job_that_is_pending_or_running() {
    let site = TempSite::with("queues: {q: [{id: report, run: 'true', unique: report}]}\n");
    let again = site.run(&["add", "r", "--unique", "report", "--", "true"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "#1\n"));
    assert_eq!(again.stderr, "setlist: q/report is already pending with the key \"report\"\n");
    let first = site.ok(&["run", "--unique", "sync", "sh", "-c", "until test -e go; do sleep 0.01; done; echo done"]);
    site.wait_until(first.trim(), |job| job["state"] == "running");
    let second = site.run(&["run", "--unique", "sync", "false"]);
    assert_eq!((second.code, &second.stdout), (Some(0), &first), "{second:?}");
    assert!(second.stderr.contains("is already running with the key"), "{second:?}");
    let json = site.ok(&["add", "q", "--json", "--unique", "sync", "--", "false"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["unique"], json!("sync"));
    site.write("go", "");
    let followed = site.run(&["run", "--follow", "--unique", "sync", "echo", "next"]);
    // It either follows the first, or is a job of its own.
    assert!(followed.code == Some(0) && ["done\n", "next\n"].contains(&&*followed.stdout), "{followed:?}");
    site.wait_until(first.trim(), |job| job["outcome"] == "succeeded");
    let third = site.ok(&["run", "--wait", "--unique", "sync", "true"]);
    assert!(third.is_empty());
    let refused = site.run(&["add", "q", "--stdin", "--unique", "x"]);
    assert_eq!(refused.code, Some(2), "one key is for one job: {refused:?}");
}
