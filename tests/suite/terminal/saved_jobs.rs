//! Desktop notifications, and jobs that are saved into the file.

use super::*;

#[test]
fn the_terminal_gets_desktop_notifications() {
    let site = TempSite::with("queues: {q: [{id: a, run: exit 3}]}\n");
    std::fs::create_dir_all(site.join("config/setlist")).unwrap();
    site.write("config/setlist/config.yaml", "notify: [failed, drained]\n");
    let mut terminal = Terminal::open(&site, &[]);
    terminal.wait_for_text("p process");
    terminal.keys("p");
    let is_notified = |text: &str| {
        let raw = terminal.drawn.lock().unwrap().raw.clone();
        String::from_utf8_lossy(&raw).contains(text)
    };
    terminal.wait_until("the notices", |_| {
        is_notified("\x1b]9;setlist: q/a failed: exit code 3\x1b\\")
            && is_notified("\x1b]9;setlist: q is done: 1 finished, 1 failed\x1b\\")
    });
    terminal.keys("q");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn an_added_job_is_saved_and_runs_once() {
    let site = TempSite::with("# Ours.\nqueues:\n  q:\n    parallel: 1\n    jobs: []   # none yet\n");
    site.ok(&["add", "q", "--title", "Added later", "--script", "echo run >> book"]);
    let mut terminal = Terminal::open(&site, &[]);
    terminal.wait_for_text("Added later");
    terminal.keys("S");
    wait_for("the file", || site.read("jobs.yaml").contains("Added later").then_some(()));
    let job = site.wait_until("q/added-later", |job| job["name"] == json!("added-later"));
    assert_eq!(job["id"], json!(1), "the saved entry is the same job");
    assert!(
        site.read("jobs.yaml")
            .starts_with("# Ours.\nqueues:\n  q:\n    parallel: 1\n    jobs: [{title: Added later, run: ")
    );
    assert!(site.read("jobs.yaml").ends_with("}]   # none yet\n"), "{}", site.read("jobs.yaml"));
    terminal.keys("S");
    // This must hold whether or not the screen has read the change yet.
    terminal.wait_for_text("is already in jobs.yaml");
    terminal.keys("p");
    site.wait_until("q/added-later", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(site.ok(&["list"]).lines().count(), 1);
    assert_eq!(
        site.run(&["process"]).stderr,
        "setlist: no pending jobs; 1 job has finished, and `--again` runs it again\n"
    );
    assert_eq!(site.read("book"), "run\n");
    terminal.keys("q");
    assert!(terminal.wait_for_exit().success());
}
