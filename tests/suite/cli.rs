//! The command line as a user meets it: output, JSON and exit codes of the real program on real sites.

mod approve;
mod approve_on_terminal;
mod broken_output;
mod change;
mod contract;
mod file_kinds;
mod follow;
mod grep;
mod help;
mod hints;
mod history;
mod init;
mod job_options;
mod last_run;
mod list;
mod log;
mod nested;
mod own_job;
mod process;
mod process_again;
mod queues;
mod removed;
mod results;
mod run;
mod save;
mod selection;
mod wait;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, TempSite, wait_for};

const BUILD: &str = "\
queues:
  build:
    parallel: 1
    jobs:
      - {id: lint, title: Lint, run: echo no warnings}
      - {id: test, run: 'echo one; echo two >&2; exit 3'}
      - {id: ship, command: ['true']}
";

#[test]
fn process_prints_a_line_per_job_and_counts() {
    let site = TempSite::with(BUILD);
    let output = site.run(&["process", "build"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let lines: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split("  ").collect()).collect();
    assert_eq!((lines[0][0], lines[0][1], lines[0][3]), ("build/lint", "succeeded", "no warnings"));
    assert_eq!((lines[1][0], lines[1][1], lines[1][3]), ("build/test", "failed", "exit code 3: two"));
    assert_eq!((lines[2][0], lines[2][1]), ("build/ship", "succeeded"));
    assert_eq!(lines[3][0], "2 succeeded, 1 failed");
    assert_eq!(lines.len(), 4);
}

#[test]
fn process_succeeds_if_all_jobs_succeed_or_are_finished() {
    let site = TempSite::with("queues: {q: ['true', 'true']}\n");
    assert_eq!(site.run(&["process"]).code, Some(0));
    let again = site.run(&["process"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""));
    assert!(again.stderr.contains("no pending jobs"), "{again:?}");
}

#[test]
fn process_stops_at_the_first_failure_where_the_file_says_so() {
    let site = TempSite::with(
        "queues:\n  q: {on_failure: stop, jobs: ['true', {id: bad, run: exit 1}, {id: later, run: 'true'}]}\n",
    );
    assert_eq!(site.run(&["process"]).code, Some(1));
    let status: Value = serde_json::from_str(&site.ok(&["status", "--json"])).unwrap();
    assert_eq!((&status["state"], &status["pending"], &status["finished"]), (&json!("stopped"), &json!(2), &json!(1)));
    assert_eq!(site.job("q/bad")["error"], json!("exit code 1"));
    assert_eq!(site.job("q/later")["attempt"], json!(0));
}

#[test]
fn dry_run_runs_nothing() {
    let site = TempSite::with("queues: {q: [touch one, touch two]}\n");
    assert_eq!(site.ok(&["process", "--dry-run"]).lines().count(), 2);
    assert!(!site.join("one").exists());
    assert_eq!(site.ok(&["list", "--state", "pending"]).lines().count(), 2);
}

#[test]
fn a_job_as_json_has_every_field() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, title: An A, command: [sh, -c, 'echo 7; exit 2'], ok_codes: [2], tags: [x]}\n",
    );
    let fresh = site.job("q/a");
    assert_eq!(fresh["state"], json!("pending"));
    for field in
        ["outcome", "exit_code", "signal", "started_at", "executed_at", "wait_ms", "run_ms", "value", "error", "worker"]
    {
        assert_eq!(fresh[field], Value::Null, "{field}");
    }
    site.ok(&["process"]);
    let job = site.job("#1");
    let mut fields: Vec<&str> = job.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "id queue name title state outcome exit_code signal attempt max_attempts run_count run_id enqueued_at \
                    started_at executed_at wait_ms run_ms value parameters items_for error cause usage command needs tags worker priority \
                    waiting waiting_for not_before confirm approval stalled_since overdue_since runs on_finish schedule next_due_at \
                    runs_on uses pools unique removed_from_file skipped_by usage_now artifacts slow machine";
    let mut expected: Vec<&str> = expected.split_whitespace().collect();
    expected.sort_unstable();
    fields.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(job["outcome"], json!("succeeded"));
    assert_eq!(job["exit_code"], json!(2));
    assert_eq!(job["value"], json!("7"));
    assert_eq!(job["command"], json!("sh -c 'echo 7; exit 2'"));
    assert_eq!((&job["attempt"], &job["tags"]), (&json!(1), &json!(["x"])));
    let executed = job["executed_at"].as_str().unwrap();
    assert!(executed.ends_with('Z') && executed.len() == "2026-01-01T00:00:00.000Z".len(), "{executed}");
}

#[test]
fn list_filters_and_streams_json_lines() {
    let site = TempSite::with(BUILD);
    site.run(&["process"]);
    let failed = site.ok(&["list", "--state", "failed", "--json"]);
    let failed: Vec<Value> = failed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["name"], json!("test"));
    assert_eq!(site.ok(&["list", "build", "--json", "--since", "1h"]).lines().count(), 3);
}

#[test]
fn json_does_not_steer_a_terminal() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: cp value.json \"$SETLIST_VALUE\"}\n");
    site.write("value.json", "\"\\u009bAred\\u007f\\u001b]0;x\\u0007\"");
    site.ok(&["process"]);
    for output in [site.ok(&["list", "--json"]), site.ok(&["show", "q/a", "--json"])] {
        assert_eq!(output.chars().filter(|c| c.is_control()).collect::<String>(), "\n", "{output:?}");
        let job: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(job["value"], json!("\u{9b}Ared\u{7f}\u{1b}]0;x\u{7}"));
    }
}

#[test]
fn log_prints_what_the_job_wrote_byte_for_byte() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: 'printf \"one\\ntwo\\n\\303\\050\\033[31mred\"'}\n");
    site.ok(&["process"]);
    let output = site.command(&["log", "q/a"]).output().unwrap();
    assert_eq!(output.stdout, b"one\ntwo\n\xc3(\x1b[31mred");
}

#[test]
fn log_follows_until_the_job_has_finished() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'echo first; while [ ! -e go ]; do sleep 0.01; done; echo last'}\n",
    );
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    let mut follower = site.command(&["log", "-f", "q/a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    site.write("go", "");
    output.read_to_string(&mut line).unwrap();
    assert_eq!(line, "first\nlast\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn add_appends_and_prints_numbers() {
    let site = TempSite::with("queues: {q: ['true']}\n");
    assert_eq!(site.ok(&["add", "q", "--title", "Hi", "--", "echo", "a b"]), "#2\n");
    assert_eq!(site.ok(&["add", "other", "--script", "echo $((1+1))"]), "#3\n");
    let mut stdin =
        site.command(&["add", "q", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut stdin.stdin.take().unwrap(), b"echo x\n\necho y\n").unwrap();
    assert_eq!(CommandOutput::from_output(&stdin.wait_with_output().unwrap()).stdout, "#4\n#5\n");
    site.ok(&["process"]);
    assert_eq!(site.job("2")["value"], json!("a b"));
    assert_eq!(site.job("3")["value"], json!("2"));
    assert_eq!(site.job("5")["value"], json!("y"));
}

#[test]
fn an_added_job_runs_even_if_its_number_cannot_be_printed() {
    let site = TempSite::with("queues: {}\n");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let added = site.command(&["add", "q", "--now", "--", "true"]).stdout(full).output().unwrap();
    assert_eq!(added.status.code(), Some(1));
    site.wait_until("1", |job| job["outcome"] == json!("succeeded"));
}

#[test]
fn an_added_job_runs_in_the_working_directory() {
    let site = TempSite::with("queues: {}\n");
    fs::create_dir(site.join("below")).unwrap();
    let printed = CommandOutput::from_output(
        &site.command(&["add", "q", "--", "pwd"]).current_dir(site.join("below")).output().unwrap(),
    );
    assert_eq!(printed.code, Some(0), "{printed:?}");
    site.ok(&["process"]);
    let below = fs::canonicalize(site.join("below")).unwrap();
    assert_eq!(site.job("1")["value"], json!(below.to_str().unwrap()));
}

#[test]
fn process_prints_every_attempt_and_counts_outcomes() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: shaky, run: 'test $SETLIST_ATTEMPT = 2', retry: {max: 2, delay: 1ms}}\n    \
         - {id: lost, run: exit 3, retry: {max: 1, delay: 1ms}}\n",
    );
    let ran = site.run(&["process"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for line in ["1  (attempt 2/3 follows)", "q/shaky  succeeded", "3  (attempt 2/2 follows)", "1 succeeded, 1 failed"]
    {
        assert!(ran.stdout.contains(line), "{line}: {ran:?}");
    }
    let lost = site.job("q/lost");
    assert_eq!((&lost["attempt"], &lost["max_attempts"], &lost["run_count"]), (&json!(2), &json!(2), &json!(2)));
    site.ok(&["retry", "q/lost"]);
    let lost = site.wait_until("q/lost", |job| job["run_count"] == json!(4));
    assert_eq!(lost["attempt"], json!(2), "who asks for it anew has all attempts again");
}

#[test]
fn a_pending_job_says_why_it_waits() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: later, run: 'true', after: 1h}\n    - {id: ship, run: 'true', confirm: 'Really?'}\n",
    );
    let later = site.job("q/later");
    assert_eq!((&later["waiting"], &later["state"]), (&json!("time"), &json!("pending")));
    assert!(
        ["in 1h", "in 59m"].iter().any(|words| later["waiting_for"].as_str().unwrap().starts_with(words)),
        "{later}"
    );
    assert!(later["not_before"].as_str().unwrap().ends_with('Z'));
    assert_eq!(site.job("q/ship")["waiting"], json!("confirm"));
    let list = site.ok(&["list"]);
    assert!(list.contains("needs approval") && list.contains("pending      in "), "{list}");
    let dry = site.ok(&["process", "--dry-run"]);
    assert!(dry.contains("q/ship  true  (needs approval)"), "{dry}");
}

#[test]
fn a_job_that_needs_confirmation_is_left_without_an_answer() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: ship, run: 'true', confirm: 'Really?'}\n    - {id: a, run: 'true'}\n",
    );
    let ran = site.run(&["process"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("q/ship needs approval: Really? (`setlist approve q/ship` approves it)"), "{ran:?}");
    assert!(ran.stdout.contains("1 succeeded"), "{ran:?}");
    let again = site.run(&["process"]);
    assert!(again.stderr.contains("1 job left in q: q/ship needs approval"), "{again:?}");
    assert_eq!(again.code, Some(1));
    assert!(site.ok(&["process", "--yes"]).contains("q/ship  succeeded"));
}

#[test]
fn retry_runs_a_job_again_in_the_background() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: 'test -e ok'}\n");
    assert_eq!(site.run(&["process"]).code, Some(1));
    site.write("ok", "");
    site.ok(&["retry", "--failed"]);
    let job = site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    assert_eq!((&job["id"], &job["run_count"]), (&json!(1), &json!(2)));
    assert_eq!(job["runs"].as_array().unwrap().len(), 2);
    assert_eq!(job["runs"][0]["outcome"], json!("failed"));
    assert_eq!(site.ok(&["log", "q/a", "--run", "1"]), "");
    assert_eq!(site.run(&["retry", "--failed"]).stderr, "setlist: there are no failed jobs\n");
}

#[test]
fn cancel_stops_the_whole_group() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: 'sleep 1000 & echo $! > child; wait'}\n");
    site.ok(&["retry", "q/a"]);
    let child = wait_for("the child", || site.read("child").strip_suffix('\n').map(str::to_owned));
    site.ok(&["cancel", "q/a"]);
    let job = site.wait_until("q/a", |job| job["state"] == json!("finished"));
    assert_eq!((&job["outcome"], &job["signal"]), (&json!("cancelled"), &json!(15)));
    wait_for("the child's end", || ended(&child).then_some(()));
}

#[test]
fn a_timeout_ends_a_job() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: sleep 1000, timeout: 50ms}\n");
    assert_eq!(site.run(&["process"]).code, Some(1));
    let job = site.job("q/a");
    assert_eq!(job["outcome"], json!("failed"));
    assert!(job["error"].as_str().unwrap().contains("50ms"), "{job}");
}

#[test]
fn an_interrupt_stops_what_runs_and_reports() {
    let site =
        TempSite::with("queues:\n  q:\n    - {id: a, run: 'touch up; sleep 1000'}\n    - {id: b, run: 'true'}\n");
    let process = site.command(&["process"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the job", || site.join("up").exists().then_some(()));
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
    assert_eq!(output.code, Some(130), "{output:?}");
    assert!(output.stdout.contains("q/a  interrupted"), "{output:?}");
    assert!(output.stdout.contains("1 interrupted, 1 pending  in "), "{output:?}");
    assert_eq!(site.job("q/b")["state"], json!("pending"));
    assert!(site.ok(&["status"]).contains("idle"));
}

#[test]
fn a_job_gets_variables_that_identify_it() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'echo $SETLIST_QUEUE $SETLIST_JOB $SETLIST_JOB_ID $SETLIST_ATTEMPT; cd \"$SETLIST_SITE\"; test -e jobs.yaml; echo \"{\\\"n\\\": $SETLIST_RUN_ID}\" > \"$SETLIST_VALUE\"'}\n",
    );
    site.ok(&["process"]);
    assert_eq!(site.ok(&["log", "q/a"]), "q a 1 1\n");
    assert_eq!(site.job("q/a")["value"], json!({"n": 1}));
}

#[test]
fn bad_usage_exits_with_2_and_helps() {
    let site = TempSite::with(BUILD);
    for (args, hint) in [
        (&["process", "biuld"][..], "did you mean \"build\"?"),
        (&["show", "build/lnt"], "did you mean \"build/lint\"?"),
        (&["show", "99"], "there is no job #99"),
        (&["log", "build/lint"], "has not run yet"),
        (&["add", "q"], "no command given"),
        (&["list", "--frobnicate"], "Usage"),
        (&["cancel", "build/lint", "build/nope"], "there is no job"),
    ] {
        let output = site.run(args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(output.stderr.contains(hint), "{args:?}: {output:?}");
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn without_a_file_it_says_what_to_do() {
    let site = TempSite::empty();
    let output = site.run(&["status"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("setlist init"), "{output:?}");
    site.ok(&["init"]);
    site.ok(&["check"]);
    site.ok(&["process"]);
    let again = site.run(&["init"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("already exists; it was not changed"), "{again:?}");
}

#[test]
fn the_schema_is_for_editors() {
    let schema: Value = serde_json::from_str(&TempSite::empty().ok(&["schema"])).unwrap();
    assert_eq!(schema, setlist::definition::schema());
}

#[test]
fn without_a_terminal_it_says_which_command_to_use() {
    let output = TempSite::with(BUILD).run(&[]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("setlist status"), "{output:?}");
}

#[test]
fn a_broken_file_changes_nothing_and_is_reported() {
    let site = TempSite::with(BUILD);
    site.ok(&["status"]);
    site.write("jobs.yaml", "queues:\n  build:\n    parralel: 2\n    jobs: ['']\n");
    for command in ["process", "status", "list", "check"] {
        let output = site.run(&[command]);
        assert_eq!(output.code, Some(2), "{command}: {output:?}");
        assert!(output.stderr.contains("parralel") && output.stderr.contains("parallel"), "{command}: {output:?}");
    }
    assert!(site.run(&["status"]).stdout.contains("build"));
    site.write("jobs.yaml", BUILD);
    assert_eq!(site.ok(&["list"]).lines().count(), 3);
}

#[test]
fn a_changed_file_is_taken_up_by_the_next_command() {
    let site = TempSite::with("queues:\n  q: [{id: a, run: echo 1}, {id: b, run: echo 1}, {id: c, run: echo 1}]\n");
    site.ok(&["process"]);
    site.write("jobs.yaml", "queues:\n  q: [{id: a, run: echo 1}, {id: b, run: echo 22}, {id: d, run: echo 1}]\n");
    let pending = site.ok(&["list", "--state", "pending"]);
    assert!(pending.contains("q/b") && pending.contains("q/d") && !pending.contains("q/a"), "{pending}");
    assert!(site.ok(&["list", "--state", "finished"]).contains("q/c"));
    let b = site.job("q/b");
    assert_eq!((&b["id"], b["runs"].as_array().unwrap().len()), (&json!(2), 1));
}

#[test]
fn a_file_that_is_saved_while_only_a_worker_is_there_is_taken_up() {
    let site =
        TempSite::with("queues:\n  q:\n    - {id: a, run: 'touch up; while [ ! -e go ]; do sleep 0.01; done'}\n");
    let process = site.command(&["process"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the job", || site.join("up").exists().then_some(()));
    // The running job changes and another one is new: the one waits for its end, the other runs now.
    site.write(
        "jobs.yaml",
        "queues:\n  q:\n    parallel: 2\n    jobs: [{id: a, run: echo changed}, {id: b, run: touch go}]\n",
    );
    let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(site.job("q/b")["outcome"], json!("succeeded"));
    site.wait_until("q/a", |job| job["command"] == json!("echo changed"));
}

#[test]
fn a_store_that_cannot_be_used_exits_with_3_and_is_left_alone() {
    let site = TempSite::with(BUILD);
    fs::create_dir(site.join(".setlist")).unwrap();
    site.write(".setlist/state.db", "this is no database, but it may be dear to somebody");
    site.register_state();
    for args in [&["status"][..], &["process"], &["add", "q", "--", "true"]] {
        let output = site.run(args);
        assert_eq!(output.code, Some(3), "{output:?}");
        assert!(output.stderr.contains("state.db"), "{output:?}");
    }
    assert_eq!(site.read(".setlist/state.db"), "this is no database, but it may be dear to somebody");
}

#[test]
fn the_state_is_private() {
    let site = TempSite::with(BUILD);
    site.run(&["process"]);
    let mode = |name: &str| fs::metadata(site.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".setlist"), 0o700);
    assert_eq!(mode(".setlist/state.db"), 0o600);
    assert_eq!(site.read(".setlist/.gitignore").trim(), "*");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let site = TempSite::with("queues: {}\n");
    let lines = "true\n".repeat(20_000);
    site.write("lines", &lines);
    let mut add = site.command(&["add", "q", "--stdin"]);
    add.stdin(fs::File::open(site.join("lines")).unwrap());
    assert_eq!(add.output().unwrap().status.code(), Some(0));
    let mut list = site.command(&["list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(list.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let printed = CommandOutput::from_output(&list.wait_with_output().unwrap());
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
}

#[test]
fn two_concurrent_processes_share_the_work() {
    let site = TempSite::with("queues:\n  q:\n    parallel: 4\n    jobs: []\n");
    site.write("lines", &"echo $SETLIST_JOB_ID >> ran\n".repeat(100));
    let mut add = site.command(&["add", "q", "--stdin"]);
    add.stdin(fs::File::open(site.join("lines")).unwrap());
    assert!(add.output().unwrap().status.success());
    let start = || site.command(&["process"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for process in [start(), start()] {
        let printed = CommandOutput::from_output(&process.wait_with_output().unwrap());
        assert_eq!(printed.code, Some(0), "{printed:?}");
    }
    let ran = site.read("ran");
    let mut ran: Vec<u32> = ran.lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_killed_worker_leaves_an_interrupted_job_and_loses_nothing() {
    let site = TempSite::with("queues:\n  q:\n    - {id: a, run: sh spread.sh}\n    - {id: b, run: 'true'}\n");
    // One child in the job's group, one that has left it for a session of its own.
    site.write("spread.sh", "sleep 1000 & echo $! > near; setsid sleep 1000 & echo $! > far; wait");
    let mut worker = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let child = |name: &str| wait_for(name, || site.read(name).strip_suffix('\n').map(str::to_owned));
    let children = [child("near"), child("far")];
    worker.kill().unwrap();
    worker.wait().unwrap();
    let output = site.run(&["process"]);
    assert_eq!(output.code, Some(1), "it has found the interrupted job: {output:?}");
    assert_eq!(site.job("q/a")["outcome"], json!("interrupted"));
    assert_eq!(site.job("q/b")["outcome"], json!("succeeded"));
    for child in children {
        wait_for("the end of what the job started", || ended(&child).then_some(()));
    }
}

/// Whether a process is gone or a zombie.
fn ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn the_runs_of_a_dead_worker_are_interrupted_for_every_command() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo $$ > pid; exec sleep 600'}]}\n");
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |_| !site.read("pid").is_empty());
    kill_process(site.worker_pid(), Signal::KILL).unwrap();

    // It takes the kernel a moment to end all its threads.
    let output = wait_for("the death to be noticed", || {
        Some(site.run(&["status", "--json"])).filter(|output| output.stderr.contains("a worker died"))
    });
    assert!(output.stderr.contains("1 job interrupted; `setlist retry --failed`"), "{output:?}");
    let status: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&status["running"], &status["finished"]), (&json!(0), &json!(1)));
    assert_eq!(site.job("q/a")["outcome"], json!("interrupted"));
    let job = Pid::from_raw(site.read("pid").trim().parse().unwrap()).unwrap();
    wait_for("the job's process to be gone", || (!lives(job)).then_some(()));
}

/// Whether a process runs, as opposed to being gone or waiting for its parent to notice.
fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(") ").map_or("", |(_, rest)| &rest[..1]), "" | "Z" | "X")
}

#[test]
fn a_worker_finds_a_state_folder_given_by_a_relative_path() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    fs::create_dir(site.join("below")).unwrap();
    let here = |args: &[&str]| {
        let args = [&["--state", "../kept"], args].concat();
        CommandOutput::from_output(&site.command(&args).current_dir(site.join("below")).output().unwrap())
    };
    assert_eq!(here(&["retry", "q/a"]).code, Some(0));
    wait_for("the job to run", || here(&["list", "--state", "succeeded"]).stdout.contains("q/a").then_some(()));
    assert!(here(&["list", "--state-dir", "../kept"]).stdout.contains("succeeded"));
}

#[test]
fn no_state_is_created_for_a_missing_file() {
    let site = TempSite::empty();
    let output = site.run(&["-f", "jbos.yaml", "status"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains("does not exist"), "{output:?}");
    assert_eq!(site.run(&["-f", ".", "status"]).code, Some(2));
    assert!(!site.join(".setlist").exists());

    fs::create_dir(site.join("jobs.yaml")).unwrap();
    let output = site.run(&["status"]);
    assert!(output.stderr.contains("is not a regular file"), "{output:?}");
    assert_eq!(output.code, Some(2));
}

#[test]
fn process_exits_with_the_outcome_after_the_pipe_is_closed() {
    let site = TempSite::with("queues: {q: [exit 3]}\n");
    let mut process = site.command(&["process"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    assert_eq!(process.wait().unwrap().code(), Some(1));
}

#[test]
fn retry_and_cancel_continue_after_a_refusal() {
    let site = TempSite::with("queues: {q: [{id: a, run: sleep 600}, {id: b, run: echo b}]}\n");
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    site.run(&["cancel", "q/b"]);
    // One is refused since it runs; the other one runs all the same.
    let output = site.run(&["retry", "q/a", "q/b"]);
    assert_eq!((output.code, output.stderr.lines().count()), (Some(2), 1), "{output:?}");
    assert!(output.stderr.starts_with("setlist: q/a is running"), "{output:?}");
    assert!(output.stdout.contains("q/b  will run"), "{output:?}");
    assert!(site.ok(&["cancel", "q/a"]).contains("stopping"));
    site.wait_until("q/b", |job| job["outcome"] == json!("succeeded"));
    site.wait_until("q/a", |job| job["outcome"] == json!("cancelled"));
}

#[test]
fn add_refuses_what_the_file_would_refuse() {
    let site = TempSite::with("queues: {q: []}\n");
    for wrong in [&["--script", " "][..], &["--", ""], &["--timeout", "0s", "--", "true"]] {
        let output = site.run(&[&["add", "q"], wrong].concat());
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{wrong:?}: {output:?}");
    }
}

#[test]
fn output_that_cannot_be_written_breaks_nothing() {
    let site = TempSite::with("queues: {q: ['true']}\n");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = site.command(&["show", "99"]);
    assert_eq!(command.stderr(full()).status().unwrap().code(), Some(2));
    let output = site.command(&["status"]).stdout(full()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"setlist: cannot write the output: "), "{output:?}");
}

#[test]
fn a_name_that_is_only_in_a_broken_file() {
    let site = TempSite::with("queues: {new: ['true'], broken: 3}\n");
    assert!(site.run(&["status", "new"]).stderr.contains("jobs.yaml has errors"));
    assert!(site.run(&["show", "new/true"]).stderr.contains("jobs.yaml has errors"));
}
