//! A site on a server, used from folders with homes of their own, as if they were on different machines.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use setlist::store::{LEASE_GRACE, LEASE_TERM, ServerAddress};

use super::postgres_server;
use super::temp_site::{CommandOutput, TempSite, wait_for, wait_until_stopped};
use super::terminal::Terminal;

/// A machine: a folder with a copy of `jobs.yaml`.
pub(crate) struct Machine {
    pub(crate) site: TempSite,
    pub(crate) address: ServerAddress,
}

/// Machines that share a site. `None` without a server.
pub(crate) fn machines<const COUNT: usize>(jobs: &str) -> Option<[Machine; COUNT]> {
    let address = postgres_server::new_site()?;
    Some(std::array::from_fn(|_| Machine { site: TempSite::with(jobs), address: address.clone() }))
}

impl Machine {
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.site.command(args);
        command.env("SETLIST_STORE", self.address.to_string());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> CommandOutput {
        CommandOutput::from_output(&self.command(args).output().unwrap())
    }

    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, Some(0), "setlist {args:?}: {output:?}");
        output.stdout
    }

    #[track_caller]
    pub(crate) fn wait_for_job(&self, job: &str, text: &str) -> String {
        wait_for(text, || Some(self.ok(&["show", job])).filter(|shown| shown.contains(text)))
    }

    /// Starts a worker.
    pub(crate) fn worker(&self, args: &[&str]) -> RunningWorker {
        let mut command = self.command(&["worker"]);
        command.args(args);
        RunningWorker::start(command)
    }
}

/// A worker that is killed at the end of the test.
pub(crate) struct RunningWorker(Child);

impl RunningWorker {
    /// Starts this command.
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Starts this command, whose messages go into a file.
    pub(crate) fn start_logged(mut command: Command, log: &Path) -> Self {
        Self(command.stdout(Stdio::null()).stderr(File::create(log).unwrap()).spawn().unwrap())
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    /// Kills it, and what it runs.
    pub(crate) fn kill(&mut self, machine: &Machine) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        for process in machine.site.processes() {
            // It may have ended.
            let _ = kill_process(process.pid, Signal::KILL);
        }
    }

    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        // It may have ended.
        let _ = (self.0.kill(), self.0.wait());
    }
}

const JOBS: &str = "
queues:
  build:
    parallel: 2
    jobs:
      - {id: where, run: 'pwd'}
      - {id: wait, run: '[ -e go ] || { touch started; cat fifo; }'}
";

#[test]
fn jobs_requested_on_one_machine_run_on_another() {
    let Some([here, there]) = machines("queues: {build: {jobs: [{id: where, run: pwd}]}}") else { return };
    let output = here.run(&["start", "build"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("no worker is running for this site"), "{output:?}");
    assert_eq!(here.site.processes().len(), 0, "a machine runs jobs only if it was told to");
    assert!(here.ok(&["status"]).contains("processing"));
    let worker = there.worker(&["--exit-when-idle"]);
    here.wait_for_job("build/where", "succeeded");
    let expected = there.site.path().canonicalize().unwrap().display().to_string();
    for machine in [&there, &here] {
        assert_eq!(machine.ok(&["log", "build/where"]).trim(), expected, "the output of a job is on every machine");
    }
    drop(worker);
    // The environment of the request is on the machine that made it.
    assert!(here.ok(&["process", "--again"]).contains("succeeded"));
}

#[test]
fn output_that_its_machine_could_not_write_is_missing_on_every_machine() {
    // A file in place of the folder, as if nothing could be created in it.
    let jobs = "queues:\n  build:\n    - {id: lost, run: 'rm -rf .setlist/files/*/logs; for f in .setlist/files/*; do : > $f/logs; \
                done; echo done'}\n    - {id: restore, run: 'rm .setlist/files/*/logs'}\n";
    let Some([here, there]) = machines(jobs) else { return };
    there.ok(&["process", "--quiet"]);
    for machine in [&here, &there] {
        let log = machine.ok(&["log", "build/lost"]);
        assert_eq!(log, "[setlist: 5 B lost: Not a directory (os error 20)]\n");
    }
}

#[test]
fn a_job_whose_worker_lost_its_lease_runs_again_only_on_request() {
    let Some([here, there]) = machines::<2>(JOBS) else { return };
    for machine in [&here, &there] {
        assert!(Command::new("mkfifo").arg(machine.site.join("fifo")).status().unwrap().success());
    }
    here.ok(&["start", "build"]);
    let mut worker = there.worker(&[]);
    wait_for("the job", || there.site.join("started").exists().then_some(()));
    let workers = here.ok(&["workers"]);
    assert!(workers.lines().count() == 2 && workers.contains("build/wait"), "{workers}");
    assert!(here.ok(&["show", "build/wait"]).contains("running"), "its worker is on another machine, and alive");
    worker.kill(&there);
    postgres_server::pass(&here.address, 2 * LEASE_TERM);
    here.ok(&["status"]);
    assert!(here.ok(&["show", "build/wait"]).contains("running"), "the worker may renew its lease");
    postgres_server::pass(&here.address, 2 * LEASE_GRACE);
    here.ok(&["status"]);
    let shown = here.ok(&["show", "build/wait"]);
    assert!(shown.contains("interrupted (may still be running on "), "{shown}");
    here.site.write("go", "");
    let next = here.worker(&[]);
    let other = here.ok(&["run", "-q", "build", "--", "true"]);
    here.wait_for_job(other.trim(), "succeeded");
    let shown = here.ok(&["show", "build/wait"]);
    assert!(shown.contains("interrupted (may"), "nobody has asked for it: {shown}");
    here.ok(&["retry", "build/wait"]);
    here.wait_for_job("build/wait", "succeeded");
    next.stop();
}

#[test]
fn another_jobs_yaml_is_refused_until_it_is_published() {
    let Some([here, there]) = machines("queues: {build: {jobs: [{id: one, run: 'true'}]}}") else { return };
    here.ok(&["status"]);
    there.ok(&["status"]);
    // A copy that was the same may change: this is an edit.
    there.site.write("jobs.yaml", "queues: {build: {jobs: [{id: two, run: 'true'}]}}");
    assert!(there.ok(&["list"]).contains("build/two"));
    let refused = here.run(&["process"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let expected = format!("from {}", there.site.join("jobs.yaml").display());
    for text in ["another jobs.yaml is in force", &expected, "`setlist publish`"] {
        assert!(refused.stderr.contains(text), "{refused:?}");
    }
    assert!(here.run(&["list"]).stdout.contains("build/two"), "nothing was changed");
    here.ok(&["publish"]);
    assert!(here.ok(&["list"]).contains("build/one"));
    assert_eq!(there.run(&["process"]).code, Some(2));
}

#[test]
fn output_is_followed_while_the_job_runs_on_another_machine() {
    let jobs = "queues: {build: {jobs: [{id: talk, run: 'echo first; echo second >&2; cat fifo; echo last'}]}}";
    let Some([here, there]) = machines::<2>(jobs) else { return };
    assert!(Command::new("mkfifo").arg(there.site.join("fifo")).status().unwrap().success());
    here.ok(&["start", "build"]);
    let worker = there.worker(&["--exit-when-idle"]);
    here.wait_for_job("build/talk", "running");
    let mut follower = here.command(&["log", "--follow", "build/talk"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    // Opening it waits until the job reads.
    std::fs::write(there.site.join("fifo"), "through the pipe\n").unwrap();
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["through the pipe", "last"]);
    assert!(follower.wait().unwrap().success());
    drop(worker);
    let long = here.ok(&["run", "-q", "build", "--", "seq", "200000"]);
    let worker = there.worker(&["--exit-when-idle"]);
    here.wait_for_job(long.trim(), "succeeded");
    drop(worker);
    let lines: Vec<String> = here.ok(&["log", long.trim()]).lines().map(str::to_owned).collect();
    assert!(
        lines.iter().map(String::as_str).eq((1..=200_000).map(|nth| nth.to_string()).collect::<Vec<_>>()),
        "{}",
        lines.len()
    );
}

#[test]
fn of_two_files_that_are_published_at_once_one_is_refused() {
    let Some([here, there]) = machines("queues: {build: {jobs: [{id: one, run: 'true'}]}}") else { return };
    here.ok(&["status"]);
    there.ok(&["status"]);
    here.site.write("jobs.yaml", "queues: {build: {jobs: [{id: two, run: 'true'}]}}");
    there.site.write("jobs.yaml", "queues: {build: {jobs: [{id: three, run: 'true'}]}}");
    // It has seen which file is in force, and stops before it replaces that.
    let mut slow = here.command(&["list"]).env("SETLIST_STOP", "publish").stdout(Stdio::null()).spawn().unwrap();
    wait_until_stopped(slow.id());
    assert!(there.ok(&["list"]).contains("build/three"));
    kill_process(Pid::from_child(&slow), Signal::CONT).unwrap();
    slow.wait().unwrap();
    let refused = here.run(&["process"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("another jobs.yaml is in force"), "{refused:?}");
    assert!(there.ok(&["list"]).contains("build/three"), "it was not replaced");
}

#[test]
fn jobs_on_another_machine_are_cancelled_killed_retried_and_approved() {
    let jobs = "
queues:
  build:
    parallel: 3
    jobs:
      - {id: polite, run: 'trap \"echo bye; exit 1\" TERM; echo ready; while :; do sleep 0.1; done'}
      - {id: stubborn, grace: 1h, run: 'trap \"\" TERM; echo ready; while :; do sleep 0.1; done'}
      - {id: ask, confirm: Really?, run: 'echo approved'}
";
    let Some([here, there]) = machines::<2>(jobs) else { return };
    let worker = there.worker(&[]);
    here.ok(&["start", "build"]);
    for job in ["build/polite", "build/stubborn"] {
        wait_for("its output", || here.run(&["log", job]).stdout.contains("ready").then_some(()));
    }
    here.ok(&["cancel", "build/polite"]);
    here.wait_for_job("build/polite", "cancelled");
    assert!(here.ok(&["log", "build/polite"]).contains("bye"));
    here.ok(&["cancel", "--kill", "build/stubborn"]);
    here.wait_for_job("build/stubborn", "cancelled");
    assert!(here.ok(&["show", "build/ask"]).contains("needs approval"));
    here.ok(&["approve", "build/ask"]);
    here.wait_for_job("build/ask", "succeeded");
    here.ok(&["retry", "build/ask", "--force"]);
    wait_for("the second run", || {
        let job: serde_json::Value = serde_json::from_str(&here.ok(&["show", "build/ask", "--json"])).unwrap();
        (job["run_count"] == 2 && job["outcome"] == "succeeded").then_some(())
    });
    worker.stop();
}

#[test]
fn the_result_of_a_hook_is_on_every_machine() {
    let jobs = "queues: {build: {jobs: [{id: one, run: 'true', on_finish: 'echo told them; exit 3'}]}}";
    let Some([here, there]) = machines::<2>(jobs) else { return };
    here.ok(&["start", "build"]);
    let worker = there.worker(&["--exit-when-idle"]);
    let shown = here.wait_for_job("build/one", "exit code 3");
    assert!(shown.contains("told them"), "{shown}");
    assert!(worker.wait().success());
}

#[test]
fn a_run_is_shown_with_its_machine_and_its_artifacts() {
    let jobs = "queues: {build: {jobs: [{id: one, run: 'echo content >$SETLIST_ARTIFACTS/report.txt'}]}}";
    let Some([here, there]) = machines::<2>(jobs) else { return };
    here.ok(&["start", "build"]);
    let worker = there.worker(&["--exit-when-idle"]);
    let shown = here.wait_for_job("build/one", "state     succeeded");
    assert!(shown.contains("scp -r "), "{shown}");
    // Also after its worker has left.
    assert!(worker.wait().success());
    assert_eq!(here.ok(&["show", "build/one"]), shown);
    let uname = rustix::system::uname();
    let machine = uname.nodename().to_str().unwrap();
    let folder = there.site.path().canonicalize().unwrap().display().to_string();
    for text in [&format!("on {machine}, worker 1"), &format!("`scp -r {machine}:{folder}/"), "8 B", "1 file"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let json = |from: &Machine| -> serde_json::Value {
        serde_json::from_str(&from.ok(&["show", "build/one", "--json"])).unwrap()
    };
    let job = json(&here);
    assert_eq!([&job["machine"], &job["runs"][0]["machine"], &job["artifacts"][0]["machine"]], [machine; 3]);
    let job = json(&there);
    assert_eq!(job["artifacts"][0]["machine"], serde_json::Value::Null, "they are here");
    assert!(job["artifacts"][0]["folder"].as_str().unwrap().starts_with(&folder), "{job}");
    let mut screen = Terminal::open(&here.site, &["--store", &here.address.to_string()]);
    screen.wait_for_text("Finished 1");
    screen.keys("O");
    screen.wait_for_text(&format!("This run's artifacts are on {machine}; `setlist show` says how to copy them."));
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
    let history = here.ok(&["history", "build/one"]);
    assert!(history.contains("MACHINE") && history.contains(machine), "{history}");
    let csv = here.ok(&["history", "build/one", "--csv"]);
    assert!(csv.lines().next().unwrap().ends_with(",machine") && csv.trim_end().ends_with(machine), "{csv}");
}
