//! Approvals on the command line: when they are asked for, who gave them, and what overrides them.

use serde_json::json;

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
