//! Commands that a job runs on its own site.

use serde_json::json;

use crate::temp_site::{SETLIST, TempSite};

#[test]
fn a_job_cannot_wait_for_itself() {
    let site = TempSite::with(&format!(
        "queues:
  q:
    parallel: 2
    jobs:
      - {{id: queue, run: {SETLIST} wait q}}
      - {{id: all, run: {SETLIST} wait}}
      - {{id: job, run: {SETLIST} wait other q/job}}
      - {{id: process, run: {SETLIST} process q}}
      - {{id: chain, run: {SETLIST} wait other/last}}
      - {{id: follow, run: {SETLIST} log -f q/follow}}
      - {{id: follow-all, run: {SETLIST} log -f other q}}
      - {{id: fine, run: {SETLIST} wait other/first}}
  other:
    - {{id: first, run: 'true'}}
    - {{id: last, run: 'true', needs: [q/chain]}}
"
    ));
    site.ok(&["process", "other", "--next"]);
    site.run(&["process", "q"]);
    for name in ["queue", "all", "job", "process", "chain", "follow", "follow-all"] {
        assert_eq!(site.job(&format!("q/{name}"))["exit_code"], json!(2), "{name}");
        let log = site.ok(&["log", &format!("q/{name}")]);
        assert!(log.contains(&format!("q/{name} runs this command and would wait for itself")), "{name}: {log}");
    }
    assert_eq!(site.job("q/fine")["outcome"], json!("succeeded"));
}

#[test]
fn names_of_queues_can_be_printed_and_typed() {
    let site = TempSite::with("queues: {}\n");
    for (name, why) in [
        ("", "must not be empty"),
        ("a\nb", "must not contain line breaks"),
        ("\u{1b}[31mred", "must not contain line breaks, control characters"),
        ("a\u{202e}b", "invisible characters"),
    ] {
        for input in [&["--", "true"][..], &["--stdin"]] {
            let output = site.run(&[&["add", name], input].concat());
            assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{name:?}");
            assert!(output.stderr.starts_with("setlist: a queue's name ") && output.stderr.contains(why), "{output:?}");
            assert!(!output.stderr.contains(['\u{1b}', '\u{202e}']), "{output:?}");
        }
    }
    assert_eq!(site.ok(&["list"]), "");
}
