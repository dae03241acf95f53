//! A job runs with the environment of the user who has requested it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use serde_json::json;
use setlist::model::{JobId, QueueId};
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{CommandOutput, TempSite, wait_for};

/// The file of the issue: `long` keeps a worker alive while the queue is processed.
const DEPLOY: &str = "
queues:
  d:
    parallel: 2
    jobs:
      - {id: long, run: 'echo $TARGET > long-got; while [ ! -e go ]; do sleep 0.01; done'}
      - {id: deploy, run: 'echo $TARGET > deploy-got'}
";

/// Runs the program with these variables.
fn run_with(site: &TempSite, variables: &[(&str, &str)], args: &[&str]) -> CommandOutput {
    let mut command = site.command(args);
    command.envs(variables.iter().copied());
    CommandOutput::from_output(&command.output().unwrap())
}

/// Runs the program in a shell after `setup`, which changes the umask or limits.
fn run_after(site: &TempSite, setup: &str, args: &[&str]) -> CommandOutput {
    let mut shell = Command::new("sh");
    site.set_environment(&mut shell);
    shell.args(["-c", &format!("{setup}; exec \"$@\""), "sh", crate::temp_site::SETLIST]).args(args);
    CommandOutput::from_output(&shell.output().unwrap())
}

fn stored(site: &TempSite) -> usize {
    fs::read_dir(site.join(".setlist/environments")).map_or(0, Iterator::count)
}

fn until_forgotten(site: &TempSite) {
    wait_for("the environment to be forgotten", || (stored(site) == 0).then_some(()));
}

#[test]
fn a_job_has_the_environment_of_its_request_not_of_the_worker() {
    let site = TempSite::with(DEPLOY);
    assert_eq!(run_with(&site, &[("TARGET", "staging")], &["retry", "d/long"]).code, Some(0));
    site.wait_until("d/long", |job| job["state"] == "running");
    let process = std::thread::scope(|scope| {
        let process = scope.spawn(|| run_with(&site, &[("TARGET", "prod")], &["process", "d"]));
        site.wait_until("d/deploy", |job| job["outcome"] == "succeeded");
        site.write("go", "");
        process.join().unwrap()
    });
    assert_eq!(process.code, Some(0), "{process:?}");
    assert_eq!((site.read("long-got"), site.read("deploy-got")), ("staging\n".to_owned(), "prod\n".to_owned()));
    until_forgotten(&site);
}

#[test]
fn the_first_of_two_requests_for_a_queue_counts_and_the_second_is_informed() {
    let site = TempSite::with(DEPLOY);
    let output = std::thread::scope(|scope| {
        let first = scope.spawn(|| run_with(&site, &[("TARGET", "staging")], &["process", "d"]));
        site.wait_until("d/long", |job| job["state"] == "running");
        let second = scope.spawn(|| run_with(&site, &[("TARGET", "prod")], &["process", "d"]));
        site.wait_until("d/deploy", |job| job["outcome"] == "succeeded");
        wait_for("the second process to join", || {
            (fs::read_dir(site.join(".setlist/workers")).unwrap().count() > 1).then_some(())
        });
        site.write("go", "");
        assert!(!first.join().unwrap().stderr.contains("not yours"));
        second.join().unwrap()
    });
    assert!(
        output.stderr.contains("d is already being processed: its jobs get the environment of that request"),
        "{output:?}"
    );
    assert_eq!(site.read("deploy-got"), "staging\n");
}

#[test]
fn an_added_job_and_its_retries_have_the_environment_of_their_own_request() {
    let site = TempSite::with("queues: {q: []}\n");
    let script = "echo $TARGET >> got; [ $SETLIST_ATTEMPT = 2 ]";
    run_with(&site, &[("TARGET", "mine")], &["add", "q", "--retry", "1", "--script", script]);
    run_with(&site, &[("TARGET", "yours")], &["process", "q", "--quiet"]);
    assert_eq!(site.read("got"), "mine\nmine\n");
    // The next request is that of the one who retries it.
    run_with(&site, &[("TARGET", "yours")], &["retry", "1"]);
    site.run(&["wait"]);
    assert!(site.read("got").starts_with("mine\nmine\nyours\n"), "{:?}", site.read("got"));
    run_with(&site, &[("TARGET", "theirs")], &["run", "--wait", "sh", "-c", "echo $TARGET > got"]);
    assert_eq!(site.read("got"), "theirs\n");
}

#[test]
fn umask_and_limits_are_those_of_the_request() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'umask > a; ulimit -S -n >> a; ulimit -S -c >> a; : > made'}\n    - {id: b, run: 'while [ ! -e go ]; do sleep 0.01; done'}\n",
    );
    assert_eq!(run_after(&site, "umask 022; ulimit -S -n 512", &["retry", "q/b"]).code, Some(0));
    site.wait_until("q/b", |job| job["state"] == "running");
    assert_eq!(run_after(&site, "umask 0137; ulimit -S -n 300; ulimit -S -c 0", &["retry", "q/a"]).code, Some(0));
    site.write("go", "");
    site.ok(&["wait"]);
    assert_eq!(site.read("a").lines().collect::<Vec<_>>(), ["0137", "300", "0"]);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(site.join("made")).unwrap());
    assert_eq!(mode & 0o777, 0o640);
    let log = format!(".setlist/logs/{}.log", site.job("q/a")["run_id"]);
    let state = [".setlist/state.db".to_owned(), log];
    for file in state.iter().filter(|file| site.join(file).exists()) {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(site.join(file)).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{file}: the worker's own files are not affected");
    }
}

#[test]
fn work_that_no_user_has_requested_gets_the_environment_of_a_login() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'env > got', env: {MINE: '1'}}]}\n");
    site.ok(&["list"]);
    {
        let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
        let command = setlist::Command::Process { queue: QueueId::from("q") };
        assert!(store.execute(&[command], chrono::Utc::now()).unwrap()[0].is_ok());
    }
    let output = run_with(&site, &[("TARGET", "prod"), ("NOTIFY_SOCKET", "/none")], &["worker", "--exit-when-idle"]);
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"), "{output:?}");
    let got = site.read("got");
    let has = |name: &str| got.lines().any(|line| line.starts_with(&format!("{name}=")));
    for name in ["HOME", "USER", "LOGNAME", "SHELL", "PATH", "MINE", "SETLIST_JOB", "SETLIST_RUN_ID"] {
        assert!(has(name), "{name}: {got}");
    }
    for name in ["TARGET", "NOTIFY_SOCKET", "XDG_STATE_HOME"] {
        assert!(!has(name), "{name}: {got}");
    }
}

#[test]
fn any_variable_of_the_user_is_passed_on_except_those_of_a_process() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'env -0 > got'}]}\n");
    let mut command = site.command(&["process", "q", "--quiet"]);
    let value = OsStr::from_bytes(b"\xff=\n\xfe");
    let long = "x".repeat(100_000);
    command.env("ODD", value).env("LONG", &long).env("NOTIFY_SOCKET", "/none").env("SETLIST_RUN_ID", "77");
    assert!(command.output().unwrap().status.success());
    let printed = fs::read(site.join("got")).unwrap();
    let has = |variable: &[u8]| printed.split(|byte| *byte == 0).any(|known| known == variable);
    assert!(has(b"ODD=\xff=\n\xfe") && has(format!("LONG={long}").as_bytes()), "{}", String::from_utf8_lossy(&printed));
    assert!(!has(b"NOTIFY_SOCKET=/none") && !has(b"SETLIST_RUN_ID=77"));
}

#[test]
fn a_job_that_requests_others_passes_its_environment_on_without_its_tags() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: outer, env: {TARGET: inner}, run: '$SETLIST retry r/b; echo $SETLIST_RUN_ID > outer'}\n  \
         r:\n    - {id: b, run: 'echo $TARGET $SETLIST_JOB > got; echo $SETLIST_RUN_ID > inner'}\n",
    );
    let program = [("SETLIST", crate::temp_site::SETLIST), ("TARGET", "outside")];
    assert_eq!(run_with(&site, &program, &["process", "q"]).code, Some(0));
    site.ok(&["wait"]);
    assert_eq!(site.read("got"), "inner b\n");
    assert_ne!(site.read("inner"), site.read("outer"));
}

#[test]
fn pass_env_says_which_variables_a_job_gets() {
    let site = TempSite::with(
        "defaults: {pass_env: none}\nqueues:\n  q:\n    pass_env: [A, HOME]\n    jobs:\n      - {id: some, run: 'echo [$A] [$B] $HOME > some'}\n      \
         - {id: all, pass_env: all, run: 'echo [$A] [$B] > all'}\n  r:\n    - {id: none, run: 'echo [$A] [$B] ${PATH:+path} > none'}\n",
    );
    assert_eq!(run_with(&site, &[("A", "1"), ("B", "2"), ("HOME", "/here")], &["process"]).code, Some(0));
    let got = ["some", "all", "none"].map(|name| site.read(name));
    assert_eq!(got, ["[1] [] /here\n", "[1] [2]\n", "[] [] path\n"]);
}

#[test]
fn a_request_is_forgotten_when_it_is_withdrawn() {
    let site = TempSite::with("queues: {q: []}\n");
    run_with(&site, &[("TOKEN", "secret")], &["add", "q", "true"]);
    assert_eq!(stored(&site), 1);
    site.ok(&["cancel", "1"]);
    assert_eq!(stored(&site), 0);
}

#[test]
fn a_job_whose_environment_is_missing_does_not_run_with_another_one() {
    let site = TempSite::with("queues: {q: []}\n");
    site.ok(&["add", "q", "touch", "made"]);
    fs::remove_dir_all(site.join(".setlist/environments")).unwrap();
    let output = run_with(&site, &[("OTHER", "1")], &["process", "q"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let job = site.job("1");
    assert!(job["error"].as_str().unwrap().contains("no longer stored; `setlist retry` uses yours"), "{job}");
    site.ok(&["retry", "1"]);
    site.ok(&["wait"]);
    assert!(site.join("made").exists());
    assert_eq!(site.job("1")["id"], json!(JobId(1).0));
}

#[test]
fn show_env_says_where_each_variable_comes_from() {
    let site = TempSite::with(
        "defaults: {env: {D: '1'}}\nqueues:\n  q:\n    env: {Q: '2', D: '3'}\n    jobs:\n      - {id: a, pty: true, env: {J: '4', GONE: null}, \
         env_file: x.env, run: 'env -0 > part; mv part got; while [ ! -e go ]; do sleep 0.01; done'}\n",
    );
    site.write("x.env", "F=5\nJ=no\n");
    let variables = [("A", "6"), ("MY_TOKEN", "secret"), ("GONE", "no"), ("TERM", "dumb"), ("COLUMNS", "1")];
    let before = run_with(&site, &variables, &["show", "--env", "q/a"]);
    assert!(
        before.stdout.contains("not requested yet") && before.stdout.contains("A=6  # your environment"),
        "{before:?}"
    );
    run_with(&site, &variables, &["retry", "q/a"]);
    site.wait_until("q/a", |job| job["state"] == "running");
    let output = site.run(&["show", "--env", "q/a"]);
    for line in [
        "# q/a: the environment of the user who requested it",
        "A=6  # request",
        "MY_TOKEN=•••  # request",
        "D=3  # jobs.yaml, queue",
        "Q=2  # jobs.yaml, queue",
        "J=4  # jobs.yaml, job",
        "GONE is unset  # jobs.yaml, job",
        &format!("F=5  # env_file {}", fs::canonicalize(site.join("x.env")).unwrap().display()),
        "SETLIST_JOB=a  # setlist",
        "TERM=xterm-256color  # pty",
    ] {
        assert!(output.stdout.lines().any(|known| known == line), "{line}: {output:?}");
    }
    assert!(output.stderr.contains("--reveal") && !output.stdout.contains("COLUMNS"), "{output:?}");
    // It lists what the job really got. The shell sets some variables itself.
    let json: serde_json::Value =
        serde_json::from_str(&site.ok(&["show", "--env", "--reveal", "--json", "q/a"])).unwrap();
    let listed: Vec<String> = json["variables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|variable| !variable["value"].is_null())
        .map(|variable| format!("{}={}", variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap()))
        .collect();
    let got = wait_for("the variables", || Some(site.read("got")).filter(|got| got.contains("SETLIST_JOB=")));
    let by_shell = |variable: &&str| ["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|name| variable.starts_with(name));
    let mut got: Vec<&str> = got.split_terminator('\0').filter(|variable| !by_shell(variable)).collect();
    let mut listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    got.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, got);
    assert_eq!(json["environment"], json!("request"));
    site.write("go", "");
    site.ok(&["wait"]);
    until_forgotten(&site);
    let after = site.ok(&["show", "--env", "q/a"]);
    assert!(
        after.contains("no longer stored") && !after.contains("A=6") && after.contains("J=4  # jobs.yaml, job"),
        "{after}"
    );
}

#[test]
fn a_worker_that_stays_forgets_the_environments_of_ended_requests() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    let mut worker = site.command(&["worker"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_for("the worker", || site.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
    assert_eq!(run_with(&site, &[("TOKEN", "secret")], &["retry", "q/a"]).code, Some(0));
    site.wait_until("q/a", |job| job["outcome"] == "succeeded");
    until_forgotten(&site);
    assert_eq!(worker.try_wait().unwrap(), None, "it is still there");
    worker.kill().unwrap();
    worker.wait().unwrap();
}
