//! `setlist wait`: when it is over, and what it says then.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, TempSite};

const GATED: &str = "\
queues:
  q:
    - {id: gate, run: 'while [ ! -e go ]; do sleep 0.01; done'}
    - {id: bad, run: exit 3}
  r: [{id: fine, run: 'true'}]
";

fn waiting(site: &TempSite, args: &[&str]) -> Child {
    site.command(&[&["wait"], args].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn output(child: Child) -> CommandOutput {
    CommandOutput::from_output(&child.wait_with_output().unwrap())
}

#[test]
fn wait_works_for_jobs_of_any_worker() {
    let site = TempSite::with(GATED);
    let mut wait = waiting(&site, &["q/gate"]);
    site.ok(&["retry", "q/gate"]);
    site.wait_until("q/gate", |job| job["state"] == json!("running"));
    assert!(wait.try_wait().unwrap().is_none());
    site.write("go", "");
    let gate = output(wait);
    assert!(gate.code == Some(0) && gate.stdout.starts_with("q/gate  succeeded  "), "{gate:?}");
    // What is over needs no waiting, and still says how it went.
    site.ok(&["retry", "bad"]);
    site.wait_until("bad", |job| job["outcome"] == json!("failed"));
    let bad = site.run(&["wait", "q/bad", "q/gate"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.stdout.contains("q/bad  failed  ") && bad.stdout.contains("exit code 3\n"), "{bad:?}");
    assert_eq!(site.run(&["wait", "q/bad", "--quiet"]).stdout, "");
}

#[test]
fn a_queue_is_waited_for_until_nothing_runs_in_it() {
    let site = TempSite::with(GATED);
    let process = site.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("q/gate", |job| job["state"] == json!("running"));
    let (queue, all) = (waiting(&site, &["r"]), waiting(&site, &[]));
    let queue = output(queue);
    assert_eq!((queue.code, &queue.stdout[..]), (Some(0), "r  1 succeeded\n"));
    site.write("go", "");
    let all = output(all);
    assert_eq!(all.code, Some(1), "{all:?}");
    assert!(all.stdout.contains("q  1 succeeded, 1 failed\n") && all.stdout.contains("r  1 succeeded\n"), "{all:?}");
    let object: Value = serde_json::from_str(&site.run(&["wait", "r", "--json"]).stdout).unwrap();
    assert_eq!((&object["queue"], &object["finished"]), (&json!("r"), &json!(1)));
    drop(process.wait_with_output());
}

#[test]
fn a_job_that_nothing_runs_stays_pending() {
    let site = TempSite::with(GATED);
    let idle = site.run(&["wait", "q"]);
    assert_eq!((idle.code, &idle.stdout[..]), (Some(1), "q  2 pending\n"));
    let job = site.run(&["wait", "q/bad", "--timeout", "10ms"]);
    assert_eq!(job.code, Some(1));
    assert!(job.stderr.contains("q/bad waits, and q is not being processed; `setlist retry q/bad` runs it"), "{job:?}");
    assert!(job.stderr.contains("timed out: q/bad is not finished"), "{job:?}");
    site.ok(&["pause", "q"]);
    let paused = site.run(&["wait", "q", "--timeout", "10ms"]);
    assert!(paused.stderr.contains("q waits because q is paused; `setlist resume q` resumes it"), "{paused:?}");
    for (wrong, hint) in [("x", "there is no job \"x\""), ("q/baad", "did you mean \"q/bad\"?"), ("99", "no job #99")] {
        let unknown = site.run(&["wait", wrong]);
        assert!(unknown.code == Some(2) && unknown.stderr.contains(hint), "{unknown:?}");
    }
}

#[test]
fn a_job_that_is_removed_is_no_longer_waited_for() {
    let site = TempSite::with(GATED);
    let wait = waiting(&site, &["q/bad"]);
    // If it is not removed, the wait never ends.
    site.ok(&["remove", "q/bad"]);
    let gone = output(wait);
    assert!(gone.code == Some(1) || gone.code == Some(2), "{gone:?}");
    assert!(gone.stderr.contains("#2 was removed") || gone.stderr.contains("there is no job"), "{gone:?}");
}
