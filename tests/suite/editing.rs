//! Editing `jobs.yaml` while the jobs run.

use serde_json::json;

use crate::temp_site::{SETLIST, TempSite};

/// A site whose only job replaces `jobs.yaml` by `next.yaml` during its first run.
fn self_editing_site(next: &str) -> TempSite {
    let edit = format!("echo first >> book; cp next.yaml jobs.yaml; {SETLIST} list > listing");
    let site = TempSite::with(&format!("queues: {{q: [{{id: a, run: {}}}]}}\n", json!(edit)));
    site.write("next.yaml", next);
    site
}

#[test]
fn process_includes_a_change_of_the_last_running_job() {
    let site = self_editing_site("queues: {q: [{id: a, run: echo second >> book}]}\n");
    site.ok(&["process"]);
    assert_eq!(site.read("book"), "first\nsecond\n");
    let job = site.job("q/a");
    assert_eq!((&job["state"], &job["command"]), (&json!("finished"), &json!("echo second >> book")));
}

#[test]
fn wait_ends_after_a_change_of_the_running_job() {
    let site = self_editing_site("queues: {q: [{id: a, run: echo second >> book}]}\n");
    site.ok(&["retry", "q/a"]);
    site.ok(&["wait", "q/a"]);
    assert_eq!(site.read("book"), "first\nsecond\n");
}

#[test]
fn a_new_title_does_not_rerun_the_running_job() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo ran >> book'}]}\n");
    site.ok(&["process"]);
    site.write("jobs.yaml", "queues: {q: [{id: a, title: New, tags: [x], timeout: 1h, run: 'echo ran >> book'}]}\n");
    site.ok(&["process"]);
    assert_eq!(site.read("book"), "ran\n");
    let job = site.job("q/a");
    assert_eq!((&job["state"], &job["title"]), (&json!("finished"), &json!("New")));
}

#[test]
fn a_changed_inherited_variable_reruns_a_finished_job() {
    let site = TempSite::with("queues: {q: {env: {A: '1'}, jobs: [{id: a, run: 'echo $A >> book'}]}}\n");
    site.ok(&["process"]);
    site.write("jobs.yaml", "queues: {q: {env: {A: '2'}, jobs: [{id: a, run: 'echo $A >> book'}]}}\n");
    site.ok(&["process"]);
    assert_eq!(site.read("book"), "1\n2\n");
}
