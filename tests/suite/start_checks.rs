//! Jobs that are skipped when their turn comes, as a user sees them: `if`, `unless`, `sources` and `outputs`.

mod random_edits;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};

#[test]
fn a_condition_decides_whether_a_job_runs() {
    let site = TempSite::with(
        "queues:\n  q:\n    env: {PLACE: here}\n    cwd: sub\n    jobs:\n      \
         - {id: no, if: 'echo \"$PLACE\"; echo the disk is not mounted >&2; test -e disk', run: echo ran}\n      \
         - {id: silent, unless: [test, -e, there], run: echo ran}\n      \
         - {id: yes, if: 'printf checked; test -e there', unless: [test, -e, disk], run: echo ran}\n      \
         - {id: next, needs: no, run: echo ran}\n      - {id: always, needs: {job: no, on: finish}, run: echo ran}\n",
    );
    fs::create_dir(site.join("sub")).unwrap();
    site.write("sub/there", "");
    let processed = site.run(&["process"]);
    assert_eq!(processed.code, Some(0), "a skipped job is no failure: {processed:?}");
    assert!(processed.stdout.contains("q/no  skipped    condition: the disk is not mounted\n"), "{processed:?}");
    let no = site.job("q/no");
    assert_eq!((&no["outcome"], &no["skipped_by"]), (&json!("skipped"), &json!("condition")));
    assert_eq!((&no["run_count"], &no["executed_at"]), (&json!(1), &Value::Null));
    assert_eq!(no["runs"][0]["error"], json!("condition: the disk is not mounted"));
    assert_eq!(site.ok(&["log", "q/no"]), "if: here\nif: the disk is not mounted\n");
    assert_eq!(site.job("q/silent")["error"], json!("condition: `unless` exited with 0"));
    assert_eq!(site.ok(&["log", "q/yes"]), "if: checked\nran\n");
    assert_eq!(site.job("q/yes")["value"], json!("ran"));
    assert_eq!(site.job("q/next")["skipped_by"], json!("needs"));
    assert_eq!(site.job("q/always")["value"], json!("ran"));
    assert!(site.ok(&["show", "q/silent"]).contains("  unless    test -e there\n"));
}

#[test]
fn a_condition_that_cannot_be_evaluated_fails_the_job() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: absent, if: [no-such-program], run: echo ran}\n    \
         - {id: typo, unless: no-such-program --version, run: echo ran}\n    \
         - {id: killed, if: 'kill -KILL $$', run: echo ran}\n    \
         - {id: slow, if: sleep 600, timeout: 100ms, run: echo ran}\n",
    );
    assert_eq!(site.run(&["process"]).code, Some(1));
    let error = |name: &str| {
        let job = site.job(name);
        assert_eq!((&job["outcome"], &job["value"]), (&json!("failed"), &Value::Null), "{name}");
        job["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(error("q/absent"), "`if`: no such file or directory: no-such-program (not in PATH)");
    assert!(error("q/typo").starts_with("`unless` could not be executed (exit code 127): "), "{}", error("q/typo"));
    assert_eq!(error("q/killed"), "`if`: killed by SIGKILL");
    assert_eq!(error("q/slow"), "`if`: timed out after 100ms");
}

#[test]
fn a_request_does_not_override_a_condition_unless_it_is_forced() {
    let site = TempSite::with(
        "queues: {q: [{id: no, if: 'false', run: echo ran}, \
         {id: fresh, sources: in, outputs: out, run: 'echo ran; touch out'}]}\n",
    );
    site.write("in", "1");
    site.ok(&["process", "--quiet"]);
    for (force, outcome) in [(None, "skipped"), (Some("--force"), "succeeded")] {
        let arguments: Vec<&str> = ["retry", "q/no", "q/fresh"].into_iter().chain(force).collect();
        site.ok(&arguments);
        site.ok(&["wait", "q/no", "q/fresh"]);
        assert_eq!(site.job("q/no")["outcome"], json!(outcome));
        assert_eq!(site.job("q/fresh")["outcome"], json!(outcome));
    }
}

#[test]
fn a_condition_blocks_no_other_job_and_can_be_cancelled() {
    let site = TempSite::with(
        "queues:\n  q:\n    parallel: 2\n    jobs:\n      - {id: waits, if: 'echo asked; sleep 600', run: echo ran}\n      \
         - {id: other, run: echo ran}\n      - {id: third, run: echo ran}\n",
    );
    site.ok(&["start", "q"]);
    site.wait_until("q/third", |job| job["outcome"] == "succeeded");
    wait_for("the condition to run", || Some(()).filter(|()| site.ok(&["log", "q/waits"]) == "if: asked\n"));
    assert_eq!(site.job("q/waits")["state"], json!("running"));
    site.ok(&["cancel", "q/waits"]);
    let cancelled = site.wait_until("q/waits", |job| job["state"] == "finished");
    assert_eq!((&cancelled["outcome"], &cancelled["run_count"]), (&json!("cancelled"), &json!(1)));
    wait_for("its processes to end", || site.processes().is_empty().then_some(()));
}

/// A job that copies `in` to `out`.
const COPY: &str = "queues: {q: [{id: copy, sources: 'in/*', outputs: 'out/*', \
                    run: 'mkdir -p out; cp in/* out; echo copied'}, {id: use, needs: copy, run: echo used}]}\n";

/// Processes everything again; returns whether the job ran.
#[track_caller]
fn runs_again(site: &TempSite) -> bool {
    site.ok(&["process", "--again", "--quiet"]);
    let job = site.job("q/copy");
    let outcome = job["outcome"].as_str().unwrap().to_owned();
    assert_eq!(job["value"], json!("copied"), "a job that is up to date keeps its value");
    assert_eq!(job["skipped_by"], if outcome == "skipped" { json!("up_to_date") } else { Value::Null });
    outcome == "succeeded"
}

#[test]
fn a_job_is_skipped_while_its_sources_are_those_of_its_last_success() {
    let site = TempSite::with(COPY);
    fs::create_dir(site.join("in")).unwrap();
    site.write("in/a", "1");
    site.write("in/.hidden", "1");
    assert!(runs_again(&site), "it never ran");
    assert!(!runs_again(&site));
    assert_eq!(site.job("q/use")["outcome"], json!("succeeded"), "what needs it runs");
    site.write("in/a", "2");
    assert!(runs_again(&site), "another content");
    site.write("in/a", "2");
    site.write("in/.hidden", "2");
    assert!(!runs_again(&site), "written again with the same content");
    site.write("in/b", "2");
    assert!(runs_again(&site), "a new source");
    fs::remove_file(site.join("in/b")).unwrap();
    assert!(runs_again(&site), "a source is gone");
    fs::remove_dir_all(site.join("out")).unwrap();
    assert!(runs_again(&site), "its output is gone");
    site.write("jobs.yaml", &COPY.replace("{id: copy,", "{id: copy, title: Copies, tags: [x], retry: 2, timeout: 1h,"));
    assert!(!runs_again(&site), "other fields make no difference");
    site.write("jobs.yaml", &COPY.replace("{id: copy,", "{id: copy, env: {X: '1'},"));
    assert!(runs_again(&site), "a variable is part of the command");
    assert!(!runs_again(&site));
}

#[test]
fn a_run_that_did_not_succeed_makes_the_next_one_necessary() {
    let site = TempSite::with("queues: {q: [{id: copy, sources: in, run: 'test ! -e bad && echo copied'}]}\n");
    site.write("in", "1");
    assert!(runs_again(&site));
    site.write("bad", "");
    site.ok(&["retry", "--force", "q/copy"]);
    site.run(&["wait", "q/copy"]);
    assert_eq!(site.job("q/copy")["outcome"], json!("failed"));
    fs::remove_file(site.join("bad")).unwrap();
    assert!(runs_again(&site), "it may have left outputs that are not complete");
    assert!(!runs_again(&site));
}

#[test]
fn a_source_that_changes_during_a_run_makes_the_job_run_again() {
    let site =
        TempSite::with("queues: {q: [{id: copy, sources: in, run: 'test -e done || echo 2 > in; echo copied'}]}\n");
    site.write("in", "1");
    assert!(runs_again(&site));
    site.write("done", "");
    assert!(runs_again(&site), "the file had another content when the run started");
    assert!(!runs_again(&site));
}

#[test]
fn times_are_compared_if_asked_for() {
    let site = TempSite::with("queues: {q: [{id: copy, sources: {paths: [in], on: mtime}, run: echo copied}]}\n");
    site.write("in", "1");
    let set_time = |seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(site.join("in")).unwrap().set_modified(time).unwrap();
    };
    set_time(1_000_000_000);
    assert!(runs_again(&site));
    assert!(!runs_again(&site));
    set_time(1_000_000_001);
    assert!(runs_again(&site), "the same content with another time");
    site.write("in", "2");
    set_time(1_000_000_001);
    assert!(!runs_again(&site), "another content with the same size and time");
}

#[test]
fn folders_links_and_names_that_are_not_utf8_can_be_sources() {
    let site = TempSite::with("queues: {q: [{id: copy, sources: [in, 'links/**', '!in/made'], run: echo copied}]}\n");
    fs::create_dir_all(site.join("in/deep/er")).unwrap();
    fs::create_dir_all(site.join("links")).unwrap();
    let odd = site.join("in/deep").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::write(&odd, "1").unwrap();
    site.write("in/deep/er/file", "1");
    site.write("target", "1");
    symlink("../target", site.join("links/file")).unwrap();
    symlink("..", site.join("links/folder")).unwrap();
    symlink("nowhere", site.join("links/broken")).unwrap();
    assert!(runs_again(&site));
    assert!(!runs_again(&site));
    fs::write(&odd, "2").unwrap();
    assert!(runs_again(&site), "a name that is not UTF-8");
    site.write("target", "2");
    assert!(runs_again(&site), "what a link leads to");
    site.write("in/deep/er/file", "2");
    assert!(runs_again(&site), "a file in a folder");
    fs::create_dir_all(site.join("in/made")).unwrap();
    site.write("in/made/x", "2");
    site.write("other", "2");
    assert!(!runs_again(&site), "what is left out");
    fs::remove_file(site.join("links/broken")).unwrap();
    symlink("elsewhere", site.join("links/broken")).unwrap();
    assert!(runs_again(&site), "where a link leads that leads nowhere");
}

#[test]
fn sources_that_cannot_be_read_fail_the_job_and_check_warns_of_what_matches_nothing() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: copy, sources: [/proc/self/mem], run: echo ran}\n    \
         - {id: none, sources: 'in/*.wav', outputs: made, run: echo ran}\n    \
         - {id: later, sources: made, run: echo ran}\n",
    );
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, Some(0));
    let warnings = "setlist: warning: q/copy: the source /proc/self/mem is outside of the working directory\n\
                    setlist: warning: q/none: no file matches the source in/*.wav\n";
    assert_eq!(checked.stderr, warnings);
    site.run(&["process", "--quiet"]);
    let error = site.job("q/copy")["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("source /proc/self/mem: "), "{error}");
    for _ in 0..2 {
        site.ok(&["retry", "q/none"]);
        site.ok(&["wait", "q/none"]);
        assert_eq!(site.job("q/none")["outcome"], json!("succeeded"), "without sources it always runs");
    }
}

#[test]
fn looking_at_sources_can_be_cancelled() {
    let site = TempSite::with("queues: {q: [{id: big, sources: big, run: echo ran}, {id: after, run: echo ran}]}\n");
    // Takes no space, but longer to read than the test waits.
    fs::File::create(site.join("big")).unwrap().set_len(1 << 43).unwrap();
    site.ok(&["start", "q"]);
    site.wait_until("q/big", |job| job["state"] == "running");
    site.ok(&["cancel", "q/big"]);
    let cancelled = site.wait_until("q/big", |job| job["state"] == "finished");
    assert_eq!(cancelled["outcome"], json!("cancelled"));
    site.wait_until("q/after", |job| job["outcome"] == "succeeded");
    wait_for("the worker to end", || site.processes().is_empty().then_some(()));
}
