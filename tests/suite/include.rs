//! `include` as a user sees it: files that are watched, the editor, and jobs that are added.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};
use crate::terminal::Terminal;

const MAIN: &str = "include: [parts/shared.yaml]\nqueues:\n  work: ['true']\n";
const SHARED: &str = "queues:\n  shared:\n    - {id: first, title: The first one, run: 'echo first'}\n";

fn site() -> TempSite {
    let site = TempSite::empty();
    fs::create_dir(site.join("parts")).unwrap();
    site.write("parts/shared.yaml", SHARED);
    site.write("jobs.yaml", MAIN);
    site
}

#[test]
fn every_command_sees_a_change_of_an_included_file() {
    let site = site();
    site.ok(&["process", "--quiet"]);
    assert_eq!(site.job("shared/first")["value"], json!("first"));
    site.write("parts/shared.yaml", &SHARED.replace("echo first", "echo second"));
    assert_eq!(site.job("shared/first")["state"], json!("pending"), "what it runs has changed");
    assert_eq!(site.job("work/true")["state"], json!("finished"));
    assert!(site.ok(&["check"]).ends_with("2 queues, 2 jobs\n"));
    // Errors name the file, also as JSON.
    site.write("parts/shared.yaml", "queues: {shared: [{run: a, timeout: x}]}\n");
    let check = site.run(&["check"]);
    assert!(check.code == Some(2) && check.stderr.contains("parts/shared.yaml:1:37"), "{check:?}");
    let json: Value = serde_json::from_str(site.run(&["check", "--json"]).stdout.lines().next().unwrap()).unwrap();
    assert!(json["file"].as_str().unwrap().ends_with("/parts/shared.yaml") && json["line"] == 1, "{json}");
    let status = site.run(&["status"]);
    assert!(status.stdout.contains("\nshared  "), "the last valid version stays in effect: {status:?}");
}

#[test]
fn a_worker_applies_a_change_of_an_included_file() {
    let site = site();
    let waiting = "queues:\n  shared:\n    parallel: 2\n    jobs:\n      \
                   - {id: wait, run: 'touch begun; while [ ! -e go ]; do sleep 0.01; done'}\n";
    site.write("parts/shared.yaml", waiting);
    site.ok(&["start", "shared", "--quiet"]);
    let exists = |name: &str| wait_for(name, || site.join(name).exists().then_some(()));
    exists("begun");
    // No command looks at the site from here on.
    site.write("parts/shared.yaml", &format!("{waiting}      - {{id: next, run: touch made}}\n"));
    exists("made");
    site.write("go", "");
    site.ok(&["wait", "shared"]);
}

#[test]
fn the_screen_reloads_and_edits_the_right_file() {
    let site = site();
    site.script("editor", "echo \"$@\" > edited");
    let mut screen = Terminal::open(&site, &["shared"]);
    screen.wait_for_text("The first one");
    site.write("parts/shared.yaml", &format!("\n{}", SHARED.replace("The first one", "Another title")));
    screen.wait_for_text("Another title");
    site.write("parts/shared.yaml", "include: [deep.yaml]\n");
    screen.wait_for_text("deep.yaml");
    site.write("parts/deep.yaml", &SHARED.replace("The first one", "Deep inside"));
    screen.wait_for_text("Deep inside");
    screen.keys("e");
    let edited =
        wait_for("the editor", || fs::read_to_string(site.join("edited")).ok().filter(|text| text.ends_with('\n')));
    assert!(edited.trim_end().ends_with("parts/deep.yaml"), "{edited}");
    screen.wait_for_text("Deep inside");
    // The errors of an included file, and the way to it.
    site.write("parts/deep.yaml", "queues:\n  shared:\n    - {run: a, timeout: x}\n");
    screen.wait_for_text("parts/deep.yaml:3:25");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn jobs_are_saved_to_the_file_of_the_site_only() {
    let site = site();
    let out = site.run(&["add", "shared", "--save", "--", "echo", "more"]);
    assert!(out.code != Some(0) && out.stderr.contains("the queue shared is in "), "{out:?}");
    assert!(
        out.stderr.contains("parts/shared.yaml, which ") && out.stderr.contains("- command: [echo, more]"),
        "{out:?}"
    );
    assert_eq!(site.read("parts/shared.yaml"), SHARED);
    site.ok(&["add", "work", "--save", "--needs", "shared/first", "--", "echo", "more"]);
    site.ok(&["add", "new", "--save", "--", "echo", "more"]);
    let text = site.read("jobs.yaml");
    assert!(
        text.starts_with("include: [parts/shared.yaml]\n") && text.contains("shared/first") && text.contains("new:"),
        "{text}"
    );
    site.ok(&["process", "--quiet"]);
}

#[test]
fn a_file_that_others_can_change_is_refused() {
    let site = site();
    fs::set_permissions(site.join("parts/shared.yaml"), fs::Permissions::from_mode(0o666)).unwrap();
    let out = site.run(&["list"]);
    assert!(
        out.stderr.contains("can't use `parts/shared.yaml`") && out.stderr.contains("can be written by other users")
    );
    fs::set_permissions(site.join("parts/shared.yaml"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(site.join("parts"), fs::Permissions::from_mode(0o777)).unwrap();
    let out = site.run(&["check"]);
    assert!(out.code == Some(2) && out.stderr.contains("can be written by other users"), "{out:?}");
}
