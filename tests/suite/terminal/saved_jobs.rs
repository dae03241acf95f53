//! Desktop notifications, jobs that are saved into the file, linked files, and a state that came from elsewhere.

use std::os::unix::fs::symlink;

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
fn the_artifacts_of_a_run_are_listed_in_the_pager() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: 'echo page > \"$SETLIST_ARTIFACTS/index.html\"'}, {id: b, run: 'true'}]}\n",
    );
    site.script("pager", "cat > paged.new; mv paged.new paged");
    site.ok(&["process"]);
    let mut terminal = Terminal::open(&site, &[]);
    // The run that the screen shows, not just its job.
    terminal.wait_for_text("No output.");
    terminal.keys("O");
    terminal.wait_for_text("This run has left no artifacts.");
    terminal.keys("jO");
    let paged = wait_for("the pager", || Some(site.read("paged")).filter(|paged| !paged.is_empty()));
    assert!(paged.contains("/.setlist/artifacts/1\n1 file, 5 B\n") && paged.ends_with("5 B  index.html\n"), "{paged}");
    terminal.wait_for_text("Finished 2");
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

#[test]
fn a_change_of_the_target_of_a_link_is_shown() {
    let site = TempSite::empty();
    let file = |title: &str| format!("queues: {{q: [{{id: a, title: {title}, run: 'true'}}]}}\n");
    for version in ["v1", "v2"] {
        std::fs::create_dir(site.join(version)).unwrap();
        site.write(&format!("{version}/jobs.yaml"), &file("First"));
    }
    symlink("v1", site.join("..data")).unwrap();
    symlink("..data/jobs.yaml", site.join("jobs.yaml")).unwrap();
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("First");
    site.write("v1/jobs.yaml", &file("Edited"));
    screen.wait_for_text("Edited");
    // A link on the way is replaced, as Kubernetes does.
    site.write("v2/jobs.yaml", &file("Swapped"));
    symlink("v2", site.join("..next")).unwrap();
    std::fs::rename(site.join("..next"), site.join("..data")).unwrap();
    screen.wait_for_text("Swapped");
    site.write("v2/jobs.yaml", &file("Again"));
    screen.wait_for_text("Again");
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
}

#[test]
fn a_state_that_was_not_made_here_is_not_opened() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'touch proof'}]}\n");
    site.ok(&["status"]);
    // It is processed, and has no worker.
    site.ok(&["add", "q", "--script", "touch proof"]);
    std::fs::create_dir(site.join("clone")).unwrap();
    for name in ["jobs.yaml", ".setlist"] {
        let copied = std::process::Command::new("cp").arg("-a").args([site.join(name), site.join("clone")]).status();
        assert!(copied.unwrap().success());
    }
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(site.join("clone/.setlist"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let screen = Terminal::open(&site, &["--file", "clone/jobs.yaml"]);
    let text = screen.wait_for_text("is a copy of");
    assert!(!text.contains("p process"), "{text}");
    screen.wait_for_text("setlist adopt");
    assert_eq!(screen.wait_for_exit().exit_code(), 3);
    assert_eq!(files(), before, "nothing was written");
    assert!(!site.join("proof").exists() && !site.join("clone/proof").exists());
}

/// The file may have come with a repository that was just cloned.
#[test]
fn looking_at_a_site_with_schedules_starts_nothing() {
    let site = TempSite::with("queues: {q: [{id: a, schedule: '@every 1s', run: touch done}]}\n");
    let mut terminal = Terminal::open(&site, &[]);
    terminal.wait_for_text("no worker: `setlist service install`");
    assert!(site.processes().iter().all(|process| !process.belongs_to_job && !process.command.contains(" worker ")));
    terminal.keys("q");
    assert!(terminal.wait_for_exit().success());
    assert!(std::fs::read_dir(site.join(".setlist/workers")).is_ok_and(|mut workers| workers.next().is_none()));
    assert!(!site.join("done").exists());
}
