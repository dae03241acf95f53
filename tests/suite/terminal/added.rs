//! What goes beyond the screen itself: notices of the terminal, and jobs that are written into the file.

use super::*;

#[test]
fn the_terminal_tells_who_looks_elsewhere() {
    let room = Room::with("queues: {q: [{id: a, run: exit 3}]}\n");
    std::fs::create_dir_all(room.join("config/setlist")).unwrap();
    room.write("config/setlist/config.yaml", "notify: [failed, drained]\n");
    let mut terminal = Terminal::open(&room, &[]);
    terminal.until_shows("p process");
    terminal.keys("p");
    let told = |text: &str| {
        let raw = terminal.drawn.lock().unwrap().raw.clone();
        String::from_utf8_lossy(&raw).contains(text)
    };
    terminal.until("the notices", |_| {
        told("\x1b]9;setlist: q/a failed: exit code 3\x1b\\")
            && told("\x1b]9;setlist: q is done: 1 finished, 1 failed\x1b\\")
    });
    terminal.keys("q");
    assert!(terminal.ended().success());
}

#[test]
fn a_job_that_was_added_by_hand_is_saved_and_runs_once() {
    let room = Room::with("# Ours.\nqueues:\n  q:\n    parallel: 1\n    jobs: []   # none yet\n");
    room.ok(&["add", "q", "--title", "By hand", "--script", "echo run >> book"]);
    let mut terminal = Terminal::open(&room, &[]);
    terminal.until_shows("By hand");
    terminal.keys("S");
    wait_for("the file", || room.read("jobs.yaml").contains("By hand").then_some(()));
    let job = room.until("q/by-hand", |job| job["name"] == json!("by-hand"));
    assert_eq!(job["id"], json!(1), "the entry is the job that was there");
    assert!(
        room.read("jobs.yaml")
            .starts_with("# Ours.\nqueues:\n  q:\n    parallel: 1\n    jobs: [{title: By hand, run: ")
    );
    assert!(room.read("jobs.yaml").ends_with("}]   # none yet\n"), "{}", room.read("jobs.yaml"));
    terminal.keys("S");
    // Whether the screen has heard of it yet or not.
    terminal.until_shows("stands in jobs.yaml already");
    terminal.keys("p");
    room.until("q/by-hand", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(room.ok(&["list"]).lines().count(), 1);
    assert_eq!(room.run(&["process"]).err, "setlist: nothing is pending\n");
    assert_eq!(room.read("book"), "run\n");
    terminal.keys("q");
    assert!(terminal.ended().success());
}
