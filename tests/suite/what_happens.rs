//! The help topic `what-happens`: each of its sentences has a test, here or elsewhere.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::architecture::source::Source;
use crate::readme::{help_topic, read};
use crate::temp_site::TempSite;

/// The beginning of each sentence, and the tests that run it.
const TESTS: [(&str, &[&str]); 41] = [
    ("A new job becomes pending, a removed", &["a_saved_file_adds_removes_and_keeps_jobs"]),
    (
        "A finished job becomes pending again only if",
        &["only_a_changed_script_runs_again", "a_summary_with_sources_runs_again_when_a_file_appears"],
    ),
    ("A change to a running job", &["process_includes_a_change_of_the_last_running_job"]),
    ("A file with errors changes nothing", &["a_file_with_errors_changes_nothing"]),
    ("Two `setlist process` share", &["two_processes_share_a_queue_within_its_limit"]),
    ("`parallel` limits the running jobs", &["two_processes_share_a_queue_within_its_limit"]),
    ("If one of them is killed", &["of_two_processes_on_a_queue_one_does_the_work_of_the_other_after_a_crash"]),
    ("Each file has a state of its own", &["every_file_has_a_state_of_its_own"]),
    ("A state that is named with `--state`", &["one_named_state_is_refused_for_a_second_file"]),
    ("Its environment is that of the command", &["a_job_sees_the_environment_of_its_command_and_of_the_file"]),
    ("A value that was removed from `env`", &["values_of_env_are_forgotten_when_they_leave_the_file"]),
    ("What root creates in a state", &["what_root_creates_belongs_to_the_owner"]),
    ("`add --save` keeps the owner", &["saving_keeps_the_mode_the_owner_and_the_links"]),
    ("`after: 3s` and the delay", &["no_job_waits_longer_than_its_delay_after_the_clock_was_set_back"]),
    ("A jump ahead does not make", &["a_jump_is_not_trusted"]),
    ("If a backup is copied over", &["a_worker_under_which_older_state_is_restored_stops_its_jobs_and_leaves"]),
    ("`process` exits with 0", &["process_exits_with_the_documented_codes"]),
    ("`run --follow` and `run --wait`", &["follow_prints_the_output_and_exits_like_the_command"]),
    ("If the output is closed", &["a_closed_output_stops_no_job"]),
    ("It inherits only standard input", &["a_job_of_a_detached_worker_is_isolated_and_so_is_the_worker"]),
    ("All signals have their default", &["a_job_of_a_foreground_process_is_isolated"]),
    ("Its working directory is the folder", &["a_job_runs_in_the_folder_of_its_file_or_where_it_was_added"]),
    ("The first Ctrl-C of `process`", &["an_interrupt_stops_jobs_and_a_second_one_kills_them"]),
    ("Ctrl-Z suspends `process`", &["suspending_a_process_suspends_its_jobs"]),
    ("After `kill -STOP` of `process`", &["running_jobs_continue_while_process_is_stopped"]),
    ("Closing or killing the screen", &["killing_the_screen_does_not_stop_a_job"]),
    ("No acknowledged change is lost", &["a_full_disk_loses_nothing_and_stays_readable"]),
    ("A job that ends while the disk is full", &["a_job_that_ends_on_a_full_disk_is_recorded_later"]),
    ("`cancel` can't record its request while", &["a_full_disk_loses_nothing_and_stays_readable"]),
    ("In a read-only folder", &["a_read_only_directory_can_be_read"]),
    ("Its processing ends, its pending", &["a_queue_is_cancelled_with_all_of_its_jobs"]),
    ("Jobs of other queues that need", &["what_needs_a_job_of_a_cancelled_queue_is_skipped"]),
    ("`cancel QUEUE --running` pauses", &["the_running_jobs_of_a_queue_are_cancelled_and_the_others_stay"]),
    ("`retry QUEUE` runs its failed", &["the_failed_jobs_of_a_queue_are_retried"]),
    ("Its jobs end as interrupted", &["the_trees_of_a_dead_workers_jobs_are_gone_when_the_jobs_are_interrupted"]),
    ("A job with `retry: {on: [interrupted]}`", &["an_interrupted_job_is_retried_by_a_process_that_was_watching"]),
    ("A job finds what it has left", &["a_job_resumes_after_its_worker_was_killed_and_has_all_its_attempts"]),
    ("After three respawns", &["a_job_that_kills_its_workers_does_not_cause_endless_respawns"]),
    ("A copy of a site leaves", &["a_copied_site_leaves_the_processes_of_the_original_alone"]),
    ("If a site is renamed", &["a_renamed_site_ends_the_run_of_a_killed_worker_before_the_job_runs_again"]),
    (
        "If the state folder or one that holds it",
        &[
            "a_worker_whose_state_is_removed_stops_its_jobs_and_leaves",
            "a_busy_worker_notices_at_once_that_its_state_or_a_folder_above_was_moved",
        ],
    ),
];

#[test]
fn every_sentence_has_a_test() {
    let page = read(&help_topic("what-happens"));
    let sentences: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    for sentence in &sentences {
        let tests = TESTS.iter().filter(|(beginning, _)| sentence.starts_with(beginning)).count();
        assert_eq!(tests, 1, "{sentence}");
    }
    assert_eq!(sentences.len(), TESTS.len());
    let sources = Source::read_all(&["tests", "src"]);
    for test in TESTS.iter().flat_map(|(_, tests)| *tests) {
        // The contract suite lists its tests, which run with every store.
        let is_listed =
            |source: &Source| source.path.ends_with("tests/suite/contract.rs") && source.contains(&[test, ","]);
        let is_test = |source: &Source| source.contains(&["#", "[", "test", "]", "fn", test, "("]) || is_listed(source);
        assert!(sources.iter().any(is_test), "there is no test {test}");
    }
}

fn interrupt(process: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

#[test]
fn a_saved_file_adds_removes_and_keeps_jobs() {
    let site = TempSite::with("queues: {q: [{id: stays, run: 'true'}, {id: goes, run: 'true'}]}\n");
    site.ok(&["process", "--next"]);
    site.write("jobs.yaml", "queues: {q: [{id: stays, run: 'true'}, {id: comes, run: 'true'}]}\n");
    assert_eq!(site.job("q/comes")["state"], json!("pending"));
    assert_eq!(site.job("q/stays")["outcome"], json!("succeeded"));
    assert_eq!(site.run(&["show", "q/goes"]).code, Some(2));
}

#[test]
fn only_a_changed_script_runs_again() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo 1'}]}\n");
    site.ok(&["process"]);
    site.write("jobs.yaml", "queues: {q: [{id: a, run: 'echo 1', title: New, timeout: 5s, tags: [t]}]}\n");
    assert_eq!(site.job("q/a")["state"], json!("finished"));
    for changed in ["{id: a, run: 'echo 2'}", "{id: a, run: 'echo 2', env: {A: b}}", "{id: a, run: 'echo 2', cwd: /}"] {
        site.write("jobs.yaml", &format!("queues: {{q: [{changed}]}}\n"));
        assert_eq!(site.job("q/a")["state"], json!("pending"), "{changed}");
        site.ok(&["process"]);
    }
}

#[test]
fn a_file_with_errors_changes_nothing() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    site.ok(&["status"]);
    site.write("jobs.yaml", "queues: {q: [{id: b, rum: 'true'}]}\n");
    for args in [&["process"][..], &["retry", "q/a"], &["add", "q", "true"]] {
        let output = site.run(args);
        assert!(output.code == Some(2) && output.stderr.contains("unknown field `rum`"), "{args:?}: {output:?}");
    }
    assert!(site.run(&["list"]).stdout.contains("q/a") && !site.run(&["list"]).stdout.contains("q/b"));
}

#[test]
fn two_processes_share_a_queue_within_its_limit() {
    // Each job notes how many of them run; the first ones wait for both processes.
    let job = "mkdir run-$SETLIST_JOB_ID; ls -d run-* | wc -l >> counts; while [ ! -e go ]; do sleep 0.01; done; \
               rmdir run-$SETLIST_JOB_ID; echo $SETLIST_JOB_ID >> ran";
    let jobs: Vec<_> = (1..=6).map(|nth| json!({"id": format!("j{nth}"), "run": job})).collect();
    let site = TempSite::with(&json!({"queues": {"q": {"parallel": 2, "jobs": jobs}}}).to_string());
    let process = || site.command(&["process", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let processes = [process(), process()];
    site.wait_until("q/j2", |job| job["state"] == json!("running"));
    site.write("go", "");
    for process in processes {
        assert!(process.wait_with_output().unwrap().status.success());
    }
    let mut ran: Vec<_> = site.read("ran").lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["1", "2", "3", "4", "5", "6"], "each job once");
    assert!(site.read("counts").lines().all(|count| count.trim() == "1" || count.trim() == "2"));
}

#[test]
fn process_exits_with_the_documented_codes() {
    let site =
        TempSite::with("queues: {good: ['true'], bad: ['false'], long: [{id: a, run: 'touch begun; sleep 600'}]}\n");
    assert_eq!(site.run(&["process", "good"]).code, Some(0));
    assert_eq!(site.run(&["process", "bad"]).code, Some(1));
    assert_eq!(site.run(&["process", "missing"]).code, Some(2));
    let mut process = site.command(&["process", "long"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("long/a", |_| site.join("begun").exists());
    interrupt(&process, Signal::INT);
    assert_eq!(process.wait().unwrap().code(), Some(130));
}

#[test]
fn a_closed_output_stops_no_job() {
    let site = TempSite::with("queues: {q: ['true', 'false', touch last]}\n");
    let mut process = site.command(&["process"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    assert_eq!(process.wait().unwrap().code(), Some(1));
    assert!(site.join("last").exists());
}

#[test]
fn a_job_runs_in_the_folder_of_its_file_or_where_it_was_added() {
    let site = TempSite::with("queues: {q: [{id: a, run: pwd}]}\n");
    fs::create_dir(site.join("below")).unwrap();
    let below =
        |args: &[&str]| assert!(site.command(args).current_dir(site.join("below")).output().unwrap().status.success());
    below(&["add", "q", "pwd"]);
    below(&["process"]);
    let folder = fs::canonicalize(site.path()).unwrap();
    assert_eq!(site.job("q/a")["value"], json!(folder));
    assert_eq!(site.job("#2")["value"], json!(folder.join("below")));
}

#[test]
fn an_interrupt_stops_jobs_and_a_second_one_kills_them() {
    let site = TempSite::with(
        "queues: {q: [{id: a, grace: 10m, run: 'trap \"touch asked\" TERM; touch begun; while :; do sleep 0.01 || :; done'}]}\n",
    );
    let mut process = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    site.wait_until("q/a", |_| site.join("begun").exists());
    interrupt(&process, Signal::INT);
    // The job ignores TERM.
    site.wait_until("q/a", |_| site.join("asked").exists());
    assert!(process.try_wait().unwrap().is_none());
    interrupt(&process, Signal::INT);
    assert_eq!(process.wait().unwrap().code(), Some(130));
    let job = site.job("q/a");
    assert!(job["outcome"] == json!("interrupted") || job["state"] == json!("pending"), "{job}");
}

#[test]
fn running_jobs_continue_while_process_is_stopped() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: 'touch begun; while [ ! -e go ]; do sleep 0.01; done; touch over'}]}\n",
    );
    let mut process = site.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("q/a", |_| site.join("begun").exists());
    interrupt(&process, Signal::STOP);
    site.write("go", "");
    crate::temp_site::wait_for("the job to continue", || site.join("over").exists().then_some(()));
    interrupt(&process, Signal::CONT);
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
}

#[test]
fn a_job_sees_the_environment_of_its_command_and_of_the_file() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo $A $B $C \"$D\"', env_file: .env, env: {A: job}}]}\n");
    site.write(".env", "A=file\nB=file\nD='literal $HOME'\n");
    let run = |args: &[&str], c: &str| {
        let mut command = site.command(args);
        let output = command.env("A", "command").env("B", "command").env("C", c).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(&["process"], "process");
    assert_eq!(site.job("q/a")["value"], json!("job file process literal $HOME"));
    run(&["retry", "q/a"], "retry");
    site.ok(&["wait", "q/a"]);
    assert_eq!(site.job("q/a")["value"], json!("job file retry literal $HOME"));
}
