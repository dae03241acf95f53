//! The screen on files that are not plain ones: links, and a state that came from elsewhere.

use std::os::unix::fs::symlink;

use super::*;

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
