//! `setlist run`: one command as a job.

use std::fs;

use serde_json::json;

use crate::temp_site::TempSite;
use crate::terminal::Terminal;

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
    let missing = site.run(&["run", "--wait", "./missing"]);
    let expected = (Some(127), "setlist: no such file or directory: ./missing\n");
    assert_eq!((missing.code, &*missing.stderr), expected);
    site.write("not-executable", "");
    let denied = site.run(&["run", "--follow", "./not-executable"]);
    assert!(denied.code == Some(126) && denied.stderr.contains("is not executable"), "{denied:?}");
    assert_eq!(site.run(&["run", "--wait", "./missing"]).code, Some(127));
    assert_eq!(site.run(&["run", "--wait", "true"]).code, Some(0));
    assert_eq!(site.job("@failed")["command"], json!("./missing"));
    assert_eq!(site.job("@last-failed")["command"], json!("./missing"));
    assert_eq!(site.run(&["run"]).code, Some(2));
}

#[test]
fn a_program_that_does_not_exist_gets_a_warning() {
    let site = TempSite::with("queues: {q: []}\n");
    for (args, words) in [
        (&["run", "no-such-program"][..], "there is no program \"no-such-program\" in PATH; the job will fail"),
        (&["run", "./missing", "arg"], "there is no program \"./missing\"; the job will fail"),
        (&["add", "q", "no-such-program"], "there is no program \"no-such-program\" in PATH; the job will fail"),
    ] {
        let output = site.run(args);
        assert!(output.code == Some(0) && output.stderr.contains(words), "{args:?}: {output:?}");
    }
    site.script("there", "true");
    for args in [&["run", "sh", "there"][..], &["add", "q", "--env", "PATH=/opt/bin", "tool"], &["run", "true"]] {
        assert_eq!(site.run(args).stderr, "", "{args:?}");
    }
    site.run(&["wait", "adhoc"]);
}

#[test]
fn the_last_job_is_the_one_that_was_asked_for_last() {
    let site = TempSite::with("queues: {q: {parallel: 1, jobs: [{id: a, run: 'true'}, {id: b, run: 'true'}]}}\n");
    let last = || site.job("@last")["id"].clone();
    site.ok(&["run", "--wait", "true"]);
    assert_eq!(last(), json!(3));
    // What a queue starts is not asked for by itself.
    site.ok(&["process", "q"]);
    assert_eq!(last(), json!(3));
    site.ok(&["retry", "q/a"]);
    assert_eq!(last(), json!(1));
    site.ok(&["add", "q", "--", "true"]);
    assert_eq!(last(), json!(4));
    site.ok(&["wait", "q/a"]);
    // A job that is gone is not the last one.
    site.ok(&["remove", "4"]);
    assert_ne!(last(), json!(4));
}

#[test]
fn no_file_is_needed() {
    let site = TempSite::empty();
    let output = site.run(&["run", "--follow", "pwd"]);
    let here = fs::canonicalize(site.path()).unwrap();
    assert_eq!((output.code, output.stdout.trim_end()), (Some(0), here.to_str().unwrap()), "{output:?}");
    assert!(output.stderr.contains("the job is in your own site, "), "{output:?}");
    assert_eq!(site.run(&["run", "--follow", "true"]).stderr, "", "it is said once");
    assert!(site.join("config/setlist/jobs.yaml").exists() && !site.join(".setlist").exists());
    // Any other folder uses the same site.
    assert!(site.ok(&["list"]).contains("adhoc/#1"));
    let unknown = site.run(&["log", "@first"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("use @last or @failed"), "{unknown:?}");
}

#[test]
fn a_program_that_cannot_start_says_why() {
    let site =
        TempSite::with("queues:\n  q:\n    - {id: gone, command: [./gone]}\n    - {id: plain, command: [./plain]}\n");
    site.write("plain", "");
    assert_eq!(site.run(&["process"]).code, Some(1));
    assert!(site.job("q/gone")["error"].as_str().unwrap().to_lowercase().contains("no such file"));
    assert!(site.job("q/plain")["error"].as_str().unwrap().to_lowercase().contains("permission denied"));
}

#[test]
fn an_interrupted_follower_says_that_the_job_keeps_running() {
    let site = TempSite::with("queues: {}\n");
    let mut terminal =
        Terminal::open(&site, &["run", "--follow", "sh", "-c", "echo begun; until [ -e go ]; do sleep 0.01; done"]);
    terminal.wait_for_text("begun");
    terminal.keys("\x03");
    terminal.wait_until("what it says", |_| {
        terminal.raw().contains("#1 keeps running: `setlist log -f 1` follows it, `setlist cancel 1` stops it")
    });
    terminal.child.wait().unwrap();
    assert_eq!(site.job("1")["state"], json!("running"));
    site.write("go", "");
    site.ok(&["wait", "1"]);
}

#[test]
fn a_refusal_names_its_job_once() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    site.ok(&["run", "--wait", "true"]);
    site.ok(&["process", "--quiet"]);
    for (job, path) in [("#2", "adhoc/#2"), ("q/a", "q/a")] {
        let refused = site.run(&["cancel", job]);
        assert_eq!(refused.stderr, format!("setlist: {path} is finished: there is nothing to cancel\n"));
    }
}

#[test]
fn one_argument_that_is_no_program_is_a_script() {
    let site = TempSite::with("queues: {q: []}\n");
    let output = site.run(&["run", "--follow", "echo two | tr a-z A-Z"]);
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (Some(0), "TWO\n", ""));
    let output = site.run(&["add", "q", "--save", "for i in 1 2; do echo $i; done"]);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{output:?}");
    assert!(site.read("jobs.yaml").contains("for i in 1 2; do echo $i; done"));
    site.ok(&["process", "q", "--quiet"]);
    assert_eq!(site.ok(&["log", output.stdout.trim()]), "1\n2\n");
    // A program with such a name stays one; and so does a command with arguments.
    site.script("my tool", "echo tool");
    assert_eq!(site.run(&["run", "--follow", "./my tool"]).stdout, "tool\n");
    assert_eq!(site.run(&["run", "--follow", "echo", "a | b"]).stdout, "a | b\n");
}

#[test]
fn the_name_of_a_job_or_queue_is_not_run_as_a_program() {
    let site = TempSite::with(
        "queues:\n  ship: [{id: build, run: 'true'}, {id: enc, for_each: [a, b], run: 'true'}]\n  other: ['true']\n",
    );
    for (args, words) in [
        (&["run", "ship/build"][..], "ship/build is a job: `setlist retry ship/build` runs it"),
        (&["run", "--follow", "ship/enc"], "ship/enc is a job: `setlist retry ship/enc` runs it"),
        (&["run", "ship"], "ship is a queue: `setlist process ship` runs it"),
        (&["run", "ship", "other"], "ship and other are queues: `setlist process ship other` runs them"),
        (&["ship/build"], "`setlist retry ship/build` runs it"),
    ] {
        let output = site.run(args);
        assert!(output.code == Some(2) && output.stderr.contains(words), "{args:?}: {output:?}");
    }
    assert!(!site.ok(&["list"]).contains("adhoc"), "nothing was added");
    let added = site.run(&["add", "other", "ship/build"]);
    assert!(added.code == Some(0) && added.stderr.contains("unless there is one by then; ship/build is a job"));
    fs::create_dir(site.join("ship")).unwrap();
    site.script("ship/build", "echo built");
    assert_eq!(site.run(&["run", "--follow", "ship/build"]).stdout, "built\n");
}

#[test]
fn wait_says_how_a_job_ended_that_did_not_succeed() {
    let site = TempSite::with("queues: {}\n");
    let failed = site.run(&["run", "--wait", "exit 7"]);
    assert!(failed.code == Some(7) && failed.stderr.contains("adhoc/#1  failed"), "{failed:?}");
    let late = site.run(&["run", "--wait", "--timeout", "10ms", "sleep 1000"]);
    assert!(late.stderr.contains("timed out"), "{late:?}");
    assert_eq!(site.run(&["run", "--wait", "true"]).stderr, "");
}

#[test]
fn add_says_on_a_terminal_what_runs_the_job() {
    let site = TempSite::with("queues: {q: []}\n");
    let terminal = Terminal::open(&site, &["add", "q", "true"]);
    terminal.wait_for_text("q is not being processed; `setlist start q` runs its jobs");
    assert!(terminal.wait_for_exit().success());
    assert_eq!(site.run(&["add", "q", "true"]).stderr, "");
}
