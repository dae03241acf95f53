//! `setlist process` on a terminal asks for approval when a job is next to start.

use crate::temp_site::TempSite;
use crate::terminal::Terminal;

const RELEASE: &str = "\
queues:
  release:
    - {id: build, run: 'true'}
    - {id: deploy, run: 'true', needs: [build], confirm: 'To production?'}
    - {id: announce, run: 'true', needs: [deploy]}
";

#[test]
fn process_asks_when_the_turn_has_come() {
    let site = TempSite::with(RELEASE);
    let mut process = Terminal::open(&site, &["process"]);
    let text = process.wait_for_text("release/deploy needs approval: To production? [y/N]");
    assert!(text.find("release/build  succeeded") < text.find("needs approval"), "not before: {text}");
    process.keys("y\n");
    process.wait_for_text("3 succeeded");
    assert_eq!(process.wait_for_exit().exit_code(), 0);
    assert_eq!(site.job("release/deploy")["approval"]["granted"], serde_json::json!(true));
}

#[test]
fn without_approval_the_job_is_left() {
    let site = TempSite::with(RELEASE);
    let mut process = Terminal::open(&site, &["process"]);
    process.wait_for_text("[y/N]");
    process.keys("n\n");
    process.wait_for_text("2 jobs left in release: release/deploy needs approval");
    assert_eq!(process.wait_for_exit().exit_code(), 1);
    assert_eq!(site.job("release/deploy")["state"], serde_json::json!("pending"));
}

#[test]
fn an_approval_from_elsewhere_answers_the_question() {
    let site = TempSite::with(RELEASE);
    let process = Terminal::open(&site, &["process"]);
    process.wait_for_text("[y/N]");
    site.ok(&["approve", "release/deploy"]);
    process.wait_for_text("3 succeeded");
    assert_eq!(process.wait_for_exit().exit_code(), 0);
}
