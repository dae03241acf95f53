//! `setlist run`: one command as a job.

use std::fs;

use serde_json::json;

use crate::temp_site::TempSite;

#[test]
fn a_command_runs_at_once_in_the_background() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    assert_eq!(site.ok(&["run", "sh", "-c", "echo hi > made; echo done"]), "#2\n");
    site.ok(&["wait", "@last"]);
    assert_eq!(site.read("made"), "hi\n");
    let job = site.job("@last");
    assert_eq!((&job["queue"], &job["id"], &job["outcome"]), (&json!("adhoc"), &json!(2), &json!("succeeded")));
    assert_eq!(site.ok(&["log", "@last"]), "done\n");
    assert_eq!(site.job("q/a")["state"], json!("pending"), "nothing else runs");
    // In a named queue, with the options of a job.
    site.ok(&["run", "-q", "q", "--title", "Named", "--wait", "true"]);
    assert_eq!((&site.job("@last")["queue"], &site.job("@last")["title"]), (&json!("q"), &json!("Named")));
}

#[test]
fn commands_do_not_wait_for_each_other() {
    let site = TempSite::with("queues: {}\n");
    site.ok(&["run", "sh", "-c", "while [ ! -e go ]; do sleep 0.01; done"]);
    // If this CPU were alone, they would run one after the other.
    if std::thread::available_parallelism().unwrap().get() > 1 {
        site.ok(&["run", "--wait", "true"]);
    }
    site.write("go", "");
    assert_eq!(site.run(&["wait"]).code, Some(0));
}

#[test]
fn follow_prints_the_output_and_exits_like_the_command() {
    let site = TempSite::with("queues: {}\n");
    let output = site.run(&["run", "--follow", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((output.code, &output.stdout[..]), (Some(7), "out\nerr\n"), "{output:?}");
    assert_eq!(site.run(&["run", "--wait", "sh", "-c", "kill -TERM $$"]).code, Some(128 + 15));
    assert_eq!(site.run(&["run", "--wait", "./missing"]).code, Some(1));
    assert_eq!(site.run(&["run", "--wait", "true"]).code, Some(0));
    assert_eq!(site.job("@failed")["command"], json!("./missing"));
    assert_eq!(site.job("@last-failed")["command"], json!("./missing"));
    assert_eq!(site.run(&["run"]).code, Some(2));
}

#[test]
fn no_file_is_needed() {
    let site = TempSite::empty();
    let output = site.run(&["run", "--follow", "pwd"]);
    let here = fs::canonicalize(site.path()).unwrap();
    assert_eq!((output.code, output.stdout.trim_end()), (Some(0), here.to_str().unwrap()), "{output:?}");
    assert!(site.join("config/setlist/jobs.yaml").exists() && !site.join(".setlist").exists());
    // Any other folder uses the same site.
    assert!(site.ok(&["list"]).contains("adhoc/#1"));
    let unknown = site.run(&["log", "@first"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("use @last or @failed"), "{unknown:?}");
}
