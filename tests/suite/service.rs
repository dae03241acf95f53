//! `setlist worker` as a service: its messages to the service manager, its shutdown, and as process 1 of a container.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use setlist::store::{SqliteStore, StateDir, Store};

use crate::readme::{block, help_topic};
use crate::temp_site::{CommandOutput, SETLIST, TempSite, WAIT_TIMEOUT, wait_for};

/// A job that cleans up on TERM, one that fails, and one that prints the socket of the service manager.
const SERVED: &str = "\
queues:
  q:
    parallel: 2
    jobs:
      - {id: long, run: \"trap 'echo tidied; exit 7' TERM; touch up; while :; do sleep 0.01 || :; done\"}
      - {id: bad, run: exit 3}
      - {id: nosy, run: 'echo ${NOTIFY_SOCKET-unset}'}
";

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        Self(socket)
    }

    /// Waits for a message that contains this text.
    #[track_caller]
    fn wait_for_message(&self, wanted: &str) -> String {
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let len = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted:?} after {received:?}: {error}"));
            let text = String::from_utf8(buffer[..len].to_vec()).unwrap();
            if text.contains(wanted) {
                return text;
            }
            received.push(text);
        }
    }
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

#[test]
fn a_worker_reports_its_state_to_the_service_manager() {
    let site = TempSite::with(SERVED);
    let path = site.join("notify");
    let abstract_name = format!("setlist-test-{}", std::process::id());
    for (name, address) in [
        (path.to_str().unwrap().to_owned(), SocketAddr::from_pathname(&path).unwrap()),
        (format!("@{abstract_name}"), SocketAddr::from_abstract_name(&abstract_name).unwrap()),
    ] {
        let manager = Manager::at(&address);
        let mut worker = site.command(&["worker"]);
        let worker = worker.env("NOTIFY_SOCKET", &name).stderr(Stdio::piped()).spawn().unwrap();
        let ready = manager.wait_for_message("READY=1");
        assert!(ready.contains("STATUS=ready: 1 queue of /") && ready.ends_with("/jobs.yaml"), "{ready}");
        site.ok(&["retry", "q/bad", "q/nosy"]);
        let status = manager.wait_for_message("1 run succeeded, 1 did not");
        assert_eq!(status, "STATUS=0 running, 1 run succeeded, 1 did not");
        assert_eq!(site.job("q/nosy")["value"], json!("unset"));
        signal(&worker, Signal::TERM);
        manager.wait_for_message("STOPPING=1");
        let output = CommandOutput::from_output(&worker.wait_with_output().unwrap());
        assert_eq!(output.code, Some(0), "{output:?}");
        for line in
            ["ready: 1 queue of /", "WARN q/bad  failed  ", "INFO q/nosy  succeeded  ", "INFO exited; 1 run suc"]
        {
            assert_eq!(output.stderr.matches(line).count(), 1, "{line}: {output:?}");
        }
    }
}

#[test]
fn a_signalled_worker_stops_its_jobs_and_records_them() {
    for (how, code) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let site = TempSite::with(SERVED);
        let worker = site.command(&["worker"]).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the worker", || site.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
        site.ok(&["retry", "q/long"]);
        wait_for("the job", || site.join("up").exists().then_some(()));
        signal(&worker, how);
        let output = CommandOutput::from_output(&worker.wait_with_output().unwrap());
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stderr.contains("shutting down: stopping running jobs"), "{output:?}");
        let long = site.job("q/long");
        assert_eq!((&long["outcome"], &long["exit_code"]), (&json!("interrupted"), &json!(7)));
        assert_eq!(site.ok(&["log", "q/long", "--stdout"]), "tidied\n");
        assert!(site.ok(&["status", "--json"]).contains("\"workers\":0"));
    }
}

/// A command that runs another one in a container, if containers can be created here.
fn container() -> Option<Command> {
    let options = ["-r", "-p", "-u", "-f", "--mount-proc", "--kill-child"];
    let possible = Command::new("unshare").args(options).arg("true").stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no container can be made here (unshare -r -p)");
        return None;
    }
    let mut container = Command::new("unshare");
    container.args(options);
    Some(container)
}

/// Runs a command where nothing can be watched with inotify, if such a place can be made here.
fn without_inotify(site: &TempSite, args: &str) -> Option<Command> {
    let limit = "echo 0 > /proc/sys/user/max_inotify_instances";
    let limited = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-r", "sh", "-c", &format!("{limit} && {script}"), SETLIST]);
        command
    };
    if !limited("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: nothing can be limited here (unshare -r)");
        return None;
    }
    let mut command = limited(&format!("exec \"$0\" {args}"));
    site.set_environment(&mut command);
    Some(command)
}

#[test]
fn without_inotify_changes_are_found_by_looking() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}, {id: b, run: 'true'}]}\n");
    let Some(mut process) = without_inotify(&site, "process") else { return };
    let output = CommandOutput::from_output(&process.output().unwrap());
    assert_eq!(output.code, Some(0), "{output:?}");

    let mut worker = without_inotify(&site, "worker").unwrap().stderr(Stdio::null()).spawn().unwrap();
    wait_for("the worker", || site.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
    site.write("jobs.yaml", "queues: {q: [{id: a, run: 'true'}, {id: b, run: 'true'}, {id: c, run: echo printed}]}\n");
    wait_for("the worker to read the file", || {
        let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
        store.load().unwrap().job_named(&"q".into(), "c").map(drop)
    });
    site.ok(&["retry", "q/c"]);
    let waited = CommandOutput::from_output(&without_inotify(&site, "wait q/c").unwrap().output().unwrap());
    assert_eq!(waited.code, Some(0), "{waited:?}");
    let followed = CommandOutput::from_output(&without_inotify(&site, "log -f q/c").unwrap().output().unwrap());
    assert_eq!((followed.code, followed.stdout.as_str()), (Some(0), "printed\n"), "{followed:?}");
    signal(&worker, Signal::TERM);
    worker.wait().unwrap();
}

#[test]
fn a_worker_in_a_container_can_be_suspended() {
    let Some(mut container) = container() else { return };
    let site = TempSite::with(SERVED);
    site.set_environment(&mut container);
    // No process in the container is a session leader, so the session id is 0.
    let script = "\
set -em
\"$0\" worker 2> worker-output &
until grep -q ready worker-output; do kill -0 $!; sleep 0.01; done
kill -TSTP $!
until grep -q '^State:.T' /proc/$!/status; do kill -0 $!; sleep 0.01; done
kill -CONT $!
kill -TERM $!
wait -f $!
";
    let output =
        CommandOutput::from_output(&container.args(["timeout", "30", "bash", "-c", script, SETLIST]).output().unwrap());
    assert_eq!(output.code, Some(0), "{output:?} {}", site.read("worker-output"));
}

#[test]
fn a_worker_as_process_1_reaps_orphans_and_is_found_dead_from_outside() {
    let Some(mut container) = container() else { return };
    let site = TempSite::with(
        "\
queues:
  q:
    - {id: orphan, run: '(sleep 0 &) ; (sleep 0.01 &)'}
    - {id: look, run: 'hostname; while grep -qs \"^State:.Z\" /proc/[0-9]*/status; do sleep 0.01; done', timeout: 20s}
    - {id: long, run: 'touch up; sleep 600'}
",
    );
    site.set_environment(&mut container);
    container.args(["sh", "-c", "hostname within && exec \"$0\" worker", SETLIST]);
    let mut container = container.stderr(Stdio::null()).spawn().unwrap();
    wait_for("the worker", || site.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
    // The request comes from outside and starts no second worker.
    site.ok(&["retry", "q/orphan"]);
    site.wait_until("q/orphan", |job| job["outcome"] == json!("succeeded"));
    site.ok(&["retry", "q/look", "q/long"]);
    let look = site.wait_until("q/look", |job| job["state"] == json!("finished"));
    assert_eq!((&look["outcome"], &site.ok(&["log", "q/look"])[..]), (&json!("succeeded"), "within\n"));
    wait_for("the job", || site.join("up").exists().then_some(()));
    container.kill().unwrap();
    container.wait().unwrap();
    site.wait_until("q/long", |job| job["outcome"] == json!("interrupted"));
}

#[test]
fn the_unit_file_is_valid() {
    let unit = block(&help_topic("service"), "# A worker", "ini").replace("%h/.cargo/bin/setlist", SETLIST);
    assert!(unit.contains(SETLIST) && unit.contains("Type=notify") && unit.contains("KillMode=mixed"), "{unit}");
    let site = TempSite::with(SERVED);
    site.write("setlist.service", &unit);
    let verified = Command::new("systemd-analyze").arg("verify").arg(site.join("setlist.service")).output();
    let Ok(verified) = verified else {
        eprintln!("SKIPPED: there is no systemd-analyze here");
        return;
    };
    let output = CommandOutput::from_output(&verified);
    assert!(output.code == Some(0) && !output.stderr.contains("setlist.service"), "{output:?}");
    // Its command line is valid.
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words = shlex::split(&line.replace("%h/app", site.path().to_str().unwrap())).unwrap();
    let mut worker = site.command(&words[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(worker.arg("--exit-when-idle").stderr(Stdio::null()).status().unwrap().code(), Some(0));
    assert!(fs::exists(site.join(".setlist")).unwrap());
}
