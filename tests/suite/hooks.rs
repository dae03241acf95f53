//! `on_finish` hooks: commands that run when a run has ended.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::{TempSite, wait_for};

/// A hook that appends a line to `outcomes` for every job.
const LOG_OUTCOME: &str =
    r#"echo "$SETLIST_QUEUE/$SETLIST_JOB $SETLIST_OUTCOME ${SETLIST_EXIT_CODE-none}" >> "$SETLIST_SITE/outcomes""#;

fn lines(site: &TempSite) -> Vec<String> {
    let mut lines: Vec<String> = site.read("outcomes").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_hook_gets_the_outcome_in_variables_only() {
    let site = TempSite::with(
        "\
queues:
  q:
    on_finish: {command: [./dump], on: finish}
    jobs:
      - id: good
        title: '$(touch evil); \"`touch evil`'
        run: |
          echo printed
          printf '{\"a\": 1}' > \"$SETLIST_VALUE\"
        env: {WHO: me, SETLIST_ERROR: not this}
      - {id: bad, cwd: sub, run: exit 7}
",
    );
    fs::create_dir(site.join("sub")).unwrap();
    let names = "QUEUE JOB JOB_ID RUN_ID ATTEMPT OUTCOME EXIT_CODE SIGNAL VALUE ERROR TITLE";
    site.script(
        "dump",
        &format!(
            "exec >> \"$SETLIST_JOB.env\"\nfor name in {names}; do\n  eval \"printf '%s=%s\\n' $name \\\"\\${{SETLIST_$name-none}}\\\"\"\ndone\n\
             test \"$SETLIST_RUN_MS\" -ge 0 && echo ran\npwd; echo $WHO; cat \"$SETLIST_LOG\"",
        ),
    );
    let output = site.run(&["process"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(1), ""));
    let here = site.path().canonicalize().unwrap();
    let here = here.display();
    assert_eq!(
        site.read("good.env"),
        format!(
            "QUEUE=q\nJOB=good\nJOB_ID=1\nRUN_ID=1\nATTEMPT=1\nOUTCOME=succeeded\nEXIT_CODE=0\nSIGNAL=none\nVALUE={{\"a\":1}}\n\
             ERROR=none\nTITLE=$(touch evil); \"`touch evil`\nran\n{here}\nme\nprinted\n"
        )
    );
    assert_eq!(
        site.read("bad.env"),
        format!(
            "QUEUE=q\nJOB=bad\nJOB_ID=2\nRUN_ID=2\nATTEMPT=1\nOUTCOME=failed\nEXIT_CODE=7\nSIGNAL=none\nVALUE=none\n\
             ERROR=exit code 7\nTITLE=exit 7\nran\n{here}\n\n"
        )
    );
    assert!(!site.join("evil").exists());
}

#[test]
fn a_hook_runs_after_the_last_attempt_and_the_requested_outcomes() {
    let site = TempSite::with(&format!(
        "\
queues:
  q:
    on_finish: |
      {LOG_OUTCOME}
    jobs:
      - {{id: flaky, retry: {{max: 2, delay: 1ms}}, run: test $SETLIST_ATTEMPT -eq 3}}
      - {{id: silent, run: 'true', on_finish: none}}
      - {{id: well, run: 'true', on_finish: {{run: echo well >> outcomes, on: failure}}}}
      - {{id: badly, run: 'false', on_finish: {{run: echo badly >> outcomes, on: failure}}}}
      - {{id: stopped, run: touch up; sleep 300}}
"
    ));
    let mut process = site.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the last job", || site.join("up").exists().then_some(()));
    site.ok(&["cancel", "q/stopped"]);
    process.wait().unwrap();
    assert_eq!(lines(&site), ["badly", "q/flaky succeeded 0", "q/stopped cancelled none"]);
}

#[test]
fn a_hook_runs_after_a_failure_that_stops_the_queue() {
    let site = TempSite::with(&format!(
        "queues:\n  q:\n    on_failure: stop\n    on_finish: |\n      {LOG_OUTCOME}\n    jobs: [{{id: a, run: exit 3}}, {{id: b, run: 'true'}}]\n"
    ));
    assert_eq!(site.run(&["process"]).code, Some(1));
    assert_eq!(lines(&site), ["q/a failed 3"]);
}

#[test]
fn a_failed_hook_is_logged_and_does_not_change_the_job() {
    let site = TempSite::with(
        "\
queues:
  q:
    - {id: a, run: 'true', on_finish: 'echo trying; echo no such host >&2; exit 6'}
    - {id: b, run: 'true', on_finish: [./not-there]}
    - {id: c, run: 'true', on_finish: {run: exec sleep 300, timeout: 10ms}}
",
    );
    let output = site.run(&["process", "--quiet"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{output:?}");
    let logged = |what: &str| output.stderr.contains(what);
    assert!(logged("on_finish of q/a: exit code 6: no such host\n"), "{output:?}");
    assert!(logged("on_finish of q/b: no such file or directory: ./not-there\n"), "{output:?}");
    assert!(logged("on_finish of q/c: "), "{output:?}");
    for job in ["q/a", "q/b", "q/c"] {
        assert_eq!(site.job(job)["outcome"], json!("succeeded"));
    }
    assert!(site.processes().is_empty(), "{:?}", site.processes());

    // A worker that was started by a screen or a command writes to its log.
    site.ok(&["retry", "q/a"]);
    wait_for("the worker log", || {
        site.read(".setlist/worker.log").contains("on_finish of q/a: exit code 6").then_some(())
    });
}

#[test]
fn show_prints_the_hook_and_its_last_result() {
    let site = TempSite::with(
        "\
queues:
  q:
    - id: a
      run: 'true'
      on_finish: |
        echo trying
        echo no such host >&2; exit 6
    - {id: b, run: 'false', on_finish: {command: [echo, so it, is], on: failure, timeout: 90s}}
    - {id: c, run: 'true'}
    - {id: d, run: 'true', on_finish: {run: echo no, on: failure}}
",
    );
    site.ok(&["status"]);
    assert_eq!(site.job("q/b")["on_finish"]["last"], json!(null));
    site.run(&["process"]);
    let hook_record = |job: &str| {
        let mut hook = site.job(job)["on_finish"].clone();
        if let Some(at) = hook.pointer_mut("/last/ended_at") {
            assert!(at.take().as_str().unwrap().ends_with('Z'));
        }
        hook
    };
    let last =
        json!({"run_id": 1, "outcome": "failed", "error": "exit code 6", "said": "no such host", "ended_at": null});
    let command = "echo trying\necho no such host >&2; exit 6\n";
    assert_eq!(hook_record("q/a"), json!({"command": command, "on": "finish", "timeout_ms": 60_000, "last": last}));
    let last = json!({"run_id": 2, "outcome": "succeeded", "error": null, "said": "so it is", "ended_at": null});
    assert_eq!(
        hook_record("q/b"),
        json!({"command": "echo 'so it' is", "on": "failure", "timeout_ms": 90_000, "last": last})
    );
    assert_eq!(hook_record("q/c"), json!(null));
    assert_eq!(hook_record("q/d"), json!({"command": "echo no", "on": "failure", "timeout_ms": 60_000, "last": null}));

    let text = site.ok(&["show", "q/a"]);
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.contains("on_finish")).map(str::trim).collect();
    let [first, second, terms, end] = lines[..] else { panic!("{text}") };
    assert_eq!([first, second], ["on_finish echo trying", "echo no such host >&2; exit 6"]);
    assert_eq!(terms, "after any outcome, timeout 1m");
    assert!(end.ends_with("  failed  exit code 6  no such host"), "{text}");
    assert!(site.ok(&["show", "q/b"]).contains("after a failure, timeout 1m 30s\n"));
    assert!(!site.ok(&["show", "q/c"]).contains("on_finish"));

    site.ok(&["retry", "q/b"]);
    wait_for("the next one", || {
        // Reserved jobs that were not started have used up ids.
        let job = site.job("q/b");
        (job["run_count"] == json!(2) && job["on_finish"]["last"]["run_id"] == job["run_id"]).then_some(())
    });
}

#[test]
fn a_hook_ends_with_its_worker() {
    for signal in [Signal::TERM, Signal::KILL] {
        let site = TempSite::with(
            "\
queues:
  q:
    - id: a
      run: 'true'
      on_finish:
        timeout: 1h
        run: |
          setsid sh -c 'touch up; exec sleep 3000' &
          wait
",
        );
        let mut process = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the hook", || site.join("up").exists().then_some(()));
        // The job has already finished.
        assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
        kill_process(Pid::from_child(&process), signal).unwrap();
        wait_for("the end of the worker", || process.try_wait().unwrap());
        // The next command reaps the dead worker.
        site.ok(&["status"]);
        wait_for("the end of all", || site.processes().is_empty().then_some(()));
        assert_eq!(site.job("q/a")["run_count"], json!(1));
        fs::remove_file(site.join("up")).unwrap();
        site.ok(&["status"]);
        assert!(!site.join("up").exists(), "it is not run again");
    }
}

#[test]
fn a_hook_can_add_a_job() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'true', on_finish: '\"$SETLIST\" add later --now -- touch done'}\n",
    );
    let output = site.command(&["process"]).env("SETLIST", crate::temp_site::SETLIST).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    wait_for("the other job", || site.join("done").exists().then_some(()));
}
