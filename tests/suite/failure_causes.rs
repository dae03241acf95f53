//! Why jobs failed, found from evidence: each way to fail has its cause, and nothing is claimed without evidence.

mod display;
mod limits;
mod usage;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::temp_site::{TempSite, wait_for};

/// A job that fails, and its cause: its fields in `jobs.yaml`, the kind, and a part of the text.
type FailingJob = (&'static str, &'static str, &'static str);

/// The end of a report as it would be printed by a program that isn't everywhere.
macro_rules! prints {
    ($code:literal, $($line:literal),+) => {
        concat!("command: [sh, -c, 'printf \"%s\\n\" \"$@\" >&2; exit ", $code, "', sh" $(, ", \"", $line, "\"")+, "]")
    };
}

const FAILING_JOBS: &[FailingJob] = &[
    // The program can't be executed.
    ("command: [no-such-program, x]", "command_not_found", "no-such-program (searched "),
    (
        "{command: [no-such-program], env: {PATH: '/no/bin:/no/sbin'}}",
        "command_not_found",
        "(searched /no/bin:/no/sbin)",
    ),
    ("{command: [no-such-program], env: {PATH: null}}", "command_not_found", "(PATH is empty)"),
    ("run: no-such-program", "command_not_found", "no-such-program (searched "),
    ("{run: no-such-program, shell: bash}", "command_not_found", "no-such-program (searched "),
    ("command: [env, no-such-program]", "command_not_found", "no-such-program (searched "),
    ("command: [./missing]", "command_not_found", "./missing"),
    ("run: ./missing", "command_not_found", "./missing"),
    ("command: [./plain.txt]", "not_executable", "./plain.txt (chmod +x makes it executable)"),
    ("run: ./plain.txt", "not_executable", "./plain.txt (chmod +x"),
    ("{run: ./plain.txt, shell: bash}", "not_executable", "./plain.txt (chmod +x"),
    ("command: [./folder]", "not_executable", "./folder is a folder"),
    ("command: [./bad-interpreter]", "bad_interpreter", "/no/such/interpreter -x (first line of ./bad-interpreter)"),
    ("run: ./bad-interpreter", "bad_interpreter", "/no/such/interpreter -x (first line of"),
    ("{run: ./bad-interpreter, shell: bash}", "bad_interpreter", "/no/such/interpreter"),
    ("{run: 'true', cwd: nowhere}", "folder_missing", "/nowhere"),
    ("{run: 'true', cwd: plain.txt}", "folder_missing", "plain.txt is not a folder"),
    ("{run: 'true', env_file: no.env}", "not_started", "no.env (env_file): no such file or directory"),
    // It is stopped or gets a signal.
    ("{run: sleep 60, timeout: 100ms}", "timed_out", "timed out (limit 100ms)"),
    ("run: kill -KILL $$", "killed", "SIGKILL, not sent by Setlist"),
    ("run: kill -TERM $$", "killed", "SIGTERM, not sent by Setlist"),
    ("run: \"sh -c 'kill -KILL $$'; true\"", "killed", "SIGKILL to a command of the script, not sent by Setlist"),
    ("run: kill -SEGV $$", "crashed", "SIGSEGV"),
    ("run: \"sh -c 'kill -SEGV $$'; true\"", "crashed", "SIGSEGV"),
    ("run: 'echo x.c:3 Assertion failed. >&2; kill -ABRT $$'", "crashed", "SIGABRT: x.c:3 Assertion failed."),
    // It uses up what there is.
    ("run: cat jobs.yaml > /dev/full", "disk_full", "No space left on device"),
    ("command: [cp, jobs.yaml, /dev/full]", "disk_full", "No space left on device"),
    ("command: [dd, if=/dev/zero, of=/dev/full, bs=1k, count=1]", "disk_full", "No space left on device"),
    (
        prints!(2, "cp: error writing x: No space left on device", "make: *** [Makefile:2: all] Error 1"),
        "disk_full",
        "cp: error writing x",
    ),
    (
        prints!(1, "Traceback (most recent call last):", "OSError: [Errno 28] No space left on device: x"),
        "disk_full",
        "OSError",
    ),
    ("run: ulimit -f 1; head -c 1000000 /dev/zero > big; true", "file_size_limit", "file too large"),
    ("run: ulimit -S -t 1; while :; do :; done", "cpu_time_limit", "processor time used up"),
    ("run: ulimit -n 3; exec 3< jobs.yaml", "open_files_limit", "Too many open files"),
    (prints!(2, "sh: 1: Cannot fork"), "process_limit", "Cannot fork"),
    (prints!(254, "bash: fork: retry: Resource temporarily unavailable"), "process_limit", "bash: fork"),
    ("run: ulimit -v 60000; head -c 200000000 /dev/zero | tail", "out_of_memory", "memory exhausted"),
    ("run: ulimit -v 60000; dd if=/dev/zero of=/dev/null bs=1G count=1", "out_of_memory", "memory exhausted"),
    (prints!(1, "Traceback (most recent call last):", "MemoryError"), "out_of_memory", "MemoryError"),
    // The network.
    (prints!(6, "curl: (6) Could not resolve host: nowhere.invalid"), "name_not_resolved", "nowhere.invalid"),
    (
        prints!(
            128,
            "ssh: Could not resolve hostname nowhere: Name or service not known",
            "fatal: Could not read from remote repository."
        ),
        "name_not_resolved",
        "hostname nowhere",
    ),
    ("run: ./curl -s http://nowhere.invalid/", "name_not_resolved", "network name not resolved"),
    ("run: ./curl -s http://nowhere.invalid/ || exit 6", "exited", "no error message"),
    ("{run: 'exec ./curl', shell: bash}", "exited", "no error message"),
    (prints!(1, "cat: locked/key: Permission denied"), "permission_denied", "cat: locked/key: Permission denied"),
    // Otherwise there is the program's own last line.
    ("run: 'echo first >&2; echo cannot open the door >&2; echo out; exit 3'", "exited", "cannot open the door"),
    ("{run: 'echo cannot open the gate >&2; exit 3', pty: true}", "exited", "cannot open the gate"),
    ("run: exit 4", "exited", "no error message"),
    // Nothing is claimed without evidence.
    ("run: exit 137", "exited", "no error message"),
    ("run: 'echo sort: memory exhausted >&2; echo giving up >&2; exit 1'", "exited", "giving up"),
    ("run: 'echo sort: memory exhausted >&2; kill -KILL $$'", "killed", "SIGKILL, not sent by Setlist"),
    ("run: 'echo the test for out of memory failed >&2; exit 1'", "exited", "the test for out of memory failed"),
    ("run: 'echo sort: memory exhausted; exit 1'", "exited", "no error message"),
    (prints!(1, "CUDA out of memory. Tried to allocate 2.00 GiB"), "exited", "CUDA out of memory"),
];

/// A site with what the failing jobs use.
fn site(jobs: &str) -> TempSite {
    let site = TempSite::with(jobs);
    site.write("plain.txt", "echo ran\n");
    site.write("bad-interpreter", "#!/no/such/interpreter -x\n");
    fs::set_permissions(site.join("bad-interpreter"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(site.join("folder")).unwrap();
    site.script("curl", "exit 6");
    site
}

/// The cause of the last run of a job: its kind and its text.
fn cause(job: &Value) -> (&str, &str) {
    let cause = &job["cause"];
    (cause["kind"].as_str().unwrap_or("none"), cause["text"].as_str().unwrap_or_default())
}

#[test]
fn each_failure_has_its_cause() {
    let mut jobs = "queues:\n  q:\n    parallel: 2\n    jobs:\n".to_owned();
    for (fields, ..) in FAILING_JOBS {
        let fields = if fields.starts_with('{') { (*fields).to_owned() } else { fields.replace('\n', " ") };
        jobs.extend(["      - ", &fields, "\n"]);
    }
    let site = site(&jobs);
    let output = site.run(&["process", "--quiet"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let listed = site.ok(&["list", "q", "--json"]);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), FAILING_JOBS.len());
    let job = |id: usize| listed.iter().find(|job| job["id"] == id).unwrap();
    let mut wrong = Vec::new();
    for (id, (fields, kind, text)) in (1..).zip(FAILING_JOBS) {
        let found = cause(job(id));
        if found.0 != *kind || !found.1.contains(text) {
            wrong.push(format!("{fields}\n  expected {kind}: …{text}…\n  found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FAILING_JOBS.len(), wrong.join("\n"));
}

#[test]
fn jobs_that_succeed_have_no_cause_and_a_reset_job_has_none_either() {
    let site =
        site("queues:\n  q:\n    - {id: good, run: 'echo sort: memory exhausted >&2'}\n    - {id: bad, run: exit 3}\n");
    site.run(&["process", "--quiet"]);
    assert_eq!(site.job("q/good")["cause"], Value::Null);
    assert_eq!(cause(&site.job("q/bad")).0, "exited");
    site.ok(&["reset", "q/bad"]);
    assert_eq!(site.job("q/bad")["cause"], Value::Null, "it is pending again");
    assert_eq!(site.job("q/bad")["runs"][0]["cause"]["kind"], "exited", "its run keeps it");
}

#[test]
fn a_stop_on_request_differs_from_a_signal_from_outside() {
    let site = site(
        "queues:\n  q:\n    parallel: 2\n    jobs:\n      - {id: stopped, run: 'echo $$; exec sleep 300'}\n      - {id: killed, run: 'echo $$; exec sleep 300'}\n",
    );
    site.ok(&["retry", "q/stopped", "q/killed"]);
    let pid = |name: &str| {
        wait_for("the job to print its process id", || {
            let output = site.run(&["log", name]);
            output.stdout.trim().parse::<i32>().ok().and_then(Pid::from_raw)
        })
    };
    let (_, killed) = (pid("q/stopped"), pid("q/killed"));
    site.ok(&["cancel", "q/stopped"]);
    kill_process(killed, Signal::KILL).unwrap();
    let job = site.wait_until("q/killed", |job| job["state"] == "finished");
    assert_eq!(cause(&job), ("killed", "killed: SIGKILL, not sent by Setlist"), "and nothing says that memory ran out");
    let job = site.wait_until("q/stopped", |job| job["state"] == "finished");
    assert_eq!(cause(&job), ("stop_requested", "stopped on request: SIGTERM"));
}
