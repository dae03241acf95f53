//! Approvals on the command line: when they are asked for, who gave them, and what overrides them.

use serde_json::{Value, json};

use crate::temp_site::TempSite;

const RELEASE: &str = "\
queues:
  release:
    - {id: build, run: 'echo built > built'}
    - {id: deploy, run: 'test -e built', needs: [build], confirm: 'To production?'}
    - {id: announce, run: 'true', needs: [deploy]}
    - {id: report, run: 'true'}
";

#[test]
fn process_goes_on_to_the_approval_and_says_how_to_give_it() {
    let site = TempSite::with(RELEASE);
    let ran = site.run(&["process"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let asked = ran.stderr.find("release/deploy needs approval: To production?");
    let left =
        ran.stderr.find("2 jobs left in release: release/deploy needs approval; `setlist approve release/deploy`");
    assert!(asked.is_some() && left.is_some(), "{ran:?}");
    assert!(ran.stdout.contains("release/build  succeeded") && ran.stdout.contains("release/report  succeeded"));

    let status = site.ok(&["status"]);
    assert!(status.contains("release  needs approval        2        0         2       0"), "{status}");
    assert!(status.contains("`setlist approve release/deploy` approves it"), "{status}");
    assert_eq!(site.job("release/deploy")["waiting"], json!("confirm"));

    // The rest runs in the background.
    let approved = site.ok(&["approve", "release/deploy"]);
    assert_eq!(approved, "#2  release/deploy  approved\n");
    site.ok(&["wait", "release"]);
    let deploy = site.job("release/deploy");
    assert_eq!((&deploy["outcome"], &deploy["runs"][0]["approval"]["granted"]), (&json!("succeeded"), &json!(true)));
    let by = deploy["approval"]["by"].as_str().unwrap().to_owned();
    assert!(!by.is_empty() && deploy["approval"]["at"].is_string());
    let shown = site.ok(&["show", "release/deploy"]);
    assert!(
        shown.contains(&format!("  approved  by {by} at ")) && shown.contains(&format!("approved by {by}")),
        "{shown}"
    );
    assert_eq!(site.job("release/announce")["outcome"], json!("succeeded"));
    let again = site.run(&["approve", "release/deploy"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("none of the jobs waits for approval"), "{again:?}");
}

#[test]
fn a_refused_job_is_cancelled_and_what_needs_it_is_skipped() {
    let site = TempSite::with(RELEASE);
    site.run(&["process"]);
    assert_eq!(site.ok(&["approve", "--refuse", "release/deploy"]), "#2  release/deploy  refused\n");
    let deploy = site.job("release/deploy");
    assert_eq!((&deploy["outcome"], &deploy["approval"]["granted"]), (&json!("cancelled"), &json!(false)));
    assert_eq!(site.job("release/announce")["outcome"], json!("skipped"));
    assert!(
        site.ok(&["show", "release/deploy"]).contains("  refused   by "),
        "{}",
        site.ok(&["show", "release/deploy"])
    );
    assert!(site.ok(&["status"]).contains("release  idle"));
}

#[test]
fn an_approval_can_come_before_the_turn() {
    let site = TempSite::with(RELEASE);
    let approved = site.ok(&["approve", "release/deploy"]);
    assert_eq!(approved, "#2  release/deploy  approved; needs build\n");
    let ran = site.run(&["process"]);
    assert_eq!((ran.code, ran.stderr.contains("approval")), (Some(0), false), "{ran:?}");
}

#[test]
fn a_request_overrides_neither_needs_nor_approval_unless_it_is_forced() {
    let site = TempSite::with(RELEASE);
    let waits = site.ok(&["retry", "release/deploy"]);
    assert_eq!(waits, "#2  release/deploy  waits: needs build; `--force` runs it now\n");
    site.ok(&["retry", "release/build"]);
    site.ok(&["wait", "release/build"]);
    let asks = site.ok(&["retry", "release/deploy"]);
    assert_eq!(asks, "#2  release/deploy  waits: needs approval; `setlist approve release/deploy` approves it\n");
    assert!(site.ok(&["status"]).contains("release  needs approval"), "{}", site.ok(&["status"]));
    let forced = site.ok(&["retry", "--force", "release/deploy"]);
    assert_eq!(forced, "#2  release/deploy  will run, although it needs approval\n");
    site.ok(&["wait", "release/deploy"]);
    assert_eq!(site.job("release/deploy")["approval"], json!(null), "nobody approved it");
}

#[test]
fn a_request_for_a_job_whose_need_failed_says_so() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: build, run: 'test -e fixed'}\n    - {id: deploy, run: 'true', needs: [build]}\n",
    );
    site.run(&["process"]);
    let refused = site.run(&["retry", "q/deploy"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("q/deploy: needs q/build, which failed; --force runs it anyway"), "{refused:?}");
    // Both together are accepted in any order.
    site.write("fixed", "");
    let both = site.ok(&["retry", "q/deploy", "q/build"]);
    assert_eq!(both, "#1  q/build  will run\n#2  q/deploy  waits: needs build; `--force` runs it now\n");
    assert!(site.ok(&["wait", "q/deploy"]).contains("q/deploy  succeeded"));
}

#[test]
fn a_request_overrides_a_pause_but_not_one_that_comes_later() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}, {id: b, run: 'true'}]}\n");
    site.ok(&["pause", "q"]);
    site.ok(&["retry", "q/a"]);
    assert!(site.ok(&["wait", "q/a"]).contains("q/a  succeeded"));
    assert_eq!(site.job("q/b")["state"], json!("pending"));
    assert!(site.ok(&["status"]).contains("q      paused"), "{}", site.ok(&["status"]));
}

#[test]
fn without_a_job_what_needs_approval_is_listed() {
    let site = TempSite::with(RELEASE);
    let later = site.run(&["approve"]);
    assert_eq!((later.code, &later.stdout[..]), (Some(0), "#2  release/deploy  To production?  (needs build)\n"));
    assert_eq!(later.stderr, "setlist: `setlist approve release/deploy` approves it; `--refuse` cancels it\n");
    site.run(&["process"]);
    assert_eq!(site.ok(&["approve"]), "#2  release/deploy  To production?  (its turn has come)\n");
    let listed: Value = serde_json::from_str(&site.ok(&["approve", "--json"])).unwrap();
    assert_eq!((&listed["id"], &listed["waiting"]), (&json!(2), &json!("confirm")));
    let queue = site.run(&["approve", "release"]);
    assert_eq!((queue.code, &queue.stderr[..]), (Some(2), "setlist: release is a queue; write release/deploy\n"));
    let refused = site.run(&["approve", "--refuse"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("name the jobs to refuse"), "{refused:?}");
    assert_eq!(site.ok(&["approve", "release/*"]), "#2  release/deploy  approved\n");
    site.ok(&["wait", "release"]);
    let nothing = site.run(&["approve"]);
    assert_eq!(
        (nothing.code, &nothing.stdout[..], &nothing.stderr[..]),
        (Some(0), "", "setlist: no job needs approval\n")
    );
    let none = site.run(&["approve", "release"]);
    assert_eq!(none.stderr, "setlist: release is a queue; none of its jobs needs approval\n");
    // Output that can't be written is an error, a reader that has gone is none.
    site.ok(&["reset", "release"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(site.command(&["approve"]).stdout(full).output().unwrap().status.code(), Some(1));
}

#[test]
fn an_approved_job_gets_the_environment_of_its_request() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo $TARGET > got', confirm: 'Sure?'}]}\n");
    let with = |target: &str, args: &[&str]| {
        let output = site.command(args).env("TARGET", target).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // The request is accepted, so retrying it is a success, also twice.
    let waits = "#1  q/a  waits: needs approval; `setlist approve q/a` approves it\n".to_owned();
    assert_eq!(with("mine", &["retry", "q/a"]), (Some(0), waits.clone()));
    assert_eq!(with("mine", &["retry", "q/a"]), (Some(0), waits));
    let approved = "#1  q/a  approved; it gets the environment of the request for it, not yours\n".to_owned();
    assert_eq!(with("other", &["approve", "q/a"]), (Some(0), approved));
    site.ok(&["wait", "q/a"]);
    assert_eq!(site.read("got"), "mine\n");
    // Nothing is said where both are the same.
    with("mine", &["retry", "q/a"]);
    assert_eq!(with("mine", &["approve", "q/a"]), (Some(0), "#1  q/a  approved\n".to_owned()));
    site.ok(&["wait", "q/a"]);
}

#[test]
fn a_question_may_be_the_usual_one() {
    let jobs = "[{id: a, run: 'true', confirm: true}, {id: b, run: 'true', confirm: false}]";
    let site = TempSite::with(&format!("queues: {{q: {jobs}}}\n"));
    assert_eq!(site.job("q/a")["confirm"], "Run this job?");
    assert_eq!(site.job("q/b")["confirm"], Value::Null);
    assert_eq!((&site.job("q/a")["waiting"], &site.job("q/b")["waiting"]), (&"confirm".into(), &"process".into()));
}
