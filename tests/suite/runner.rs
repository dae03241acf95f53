//! Tests of the runner with real processes.

mod driver;
mod pty;
mod values;
mod variables;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use setlist::model::{
    Definition, ExecOptions, Exit, FailureKind, Job, Outcome, Program, RunId, RunReport, Script, StopSignal, Stream,
    Value,
};
use setlist::runner::{Launch, Output, PtyOptions, Runner, run};

/// A timeout that only a hanging test reaches.
const LONG: Duration = Duration::from_secs(60);

/// Collects the output of a run and sends a message for every piece of it.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Pieces>>, Option<Sender<()>>);

type Pieces = Vec<(Stream, Vec<u8>)>;

impl Output for Printed {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.0.lock().unwrap().push((stream, bytes.to_vec()));
        if let Some(sender) = &self.1 {
            let _ = sender.send(());
        }
    }
    fn finish(self: Box<Self>) {}
}

impl Printed {
    fn of(&self, stream: Stream) -> Vec<u8> {
        let pieces = self.0.lock().unwrap();
        pieces.iter().filter(|piece| piece.0 == stream).flat_map(|piece| piece.1.clone()).collect()
    }
    fn text(&self) -> String {
        String::from_utf8(self.of(Stream::Out)).unwrap()
    }
}

/// A started run.
struct Started {
    printed: Printed,
    pieces: Receiver<()>,
    report: Receiver<RunReport>,
}

impl Started {
    fn on(runner: &Runner, run: u64, launch: Launch) -> Self {
        let (sender, pieces) = channel();
        let printed = Printed(Arc::default(), Some(sender));
        let (sender, report) = channel();
        let done = Box::new(move |report| drop(sender.send(report)));
        runner.launch(RunId(run), launch, Box::new(printed.clone()), done).expect("enough resources");
        Self { printed, pieces, report }
    }
    /// Waits until it has printed this much on standard output.
    fn lines(&self, count: usize) -> Vec<String> {
        loop {
            let lines: Vec<_> = self.printed.text().lines().map(str::to_owned).collect();
            if lines.len() >= count {
                return lines;
            }
            self.pieces.recv_timeout(LONG).expect("some more output");
        }
    }
    fn report(&self) -> RunReport {
        self.report.recv_timeout(LONG).expect("the report of a run that has ended")
    }
}

fn outcome_and_exit(report: &RunReport) -> (&Outcome, Option<Exit>) {
    (&report.outcome, report.exit)
}

fn launch(definition: impl Into<Arc<Definition>>) -> Launch {
    crate::temp_site::reset_signals_of_children();
    let folder = std::env::temp_dir();
    let pty = PtyOptions::default();
    Launch {
        definition: definition.into(),
        folder,
        environment: None,
        env: Vec::new(),
        tag: None,
        value_file: None,
        secrets: Vec::new(),
        pty,
    }
}

fn of(script: Script) -> Launch {
    launch(Definition::new(script))
}

fn sh(text: &str) -> Launch {
    of(Script::shell(text))
}

fn with_shell(shell: &[&str], text: &str) -> Script {
    Script::new(Program::Run {
        text: text.into(),
        shell: shell.iter().map(ToString::to_string).collect::<Vec<_>>().into(),
    })
}

/// Runs it to its end; returns the report and the standard output.
fn ran(launch: Launch) -> (RunReport, String) {
    let printed = Printed::default();
    let report = run(launch, Box::new(printed.clone()));
    let text = String::from_utf8_lossy(&printed.of(Stream::Out)).into_owned();
    (report, text)
}

fn failure(report: &RunReport) -> (FailureKind, &str) {
    let failure = report.outcome.failure().expect("a failure");
    (failure.kind, &failure.message)
}

fn value_of(text: &str) -> Option<Value> {
    ran(sh(text)).0.value
}

/// Whether the process is alive and not a zombie.
fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

/// Waits for a process to end: KILL takes effect asynchronously.
fn dies(pid: &str) -> bool {
    let start = Instant::now();
    while lives(pid) && start.elapsed() < LONG {
        std::thread::yield_now();
    }
    !lives(pid)
}

#[test]
fn exit_codes() {
    let (report, _) = ran(sh("true"));
    assert_eq!((report.outcome, report.exit, report.value), (Outcome::Succeeded, Some(Exit::Code(0)), None));
    let (report, _) = ran(sh("echo no; exit 3"));
    assert_eq!(failure(&report), (FailureKind::Exit, "exit code 3"));
    assert_eq!((report.exit, report.value), (Some(Exit::Code(3)), None));
    let lenient = Script::shell("exit 3").with_exec(ExecOptions { ok_codes: [0, 3].into(), ..ExecOptions::default() });
    assert_eq!(ran(of(lenient)).0.outcome, Outcome::Succeeded);
    let strict = Script::shell("exit 0").with_exec(ExecOptions { ok_codes: [3].into(), ..ExecOptions::default() });
    assert_eq!(failure(&ran(of(strict)).0), (FailureKind::Exit, "exit code 0"));
}

#[test]
fn a_signal_is_reported_by_name() {
    let (report, _) = ran(sh("kill -SEGV $$"));
    assert_eq!(failure(&report), (FailureKind::Signal, "killed by SIGSEGV"));
    assert_eq!(report.exit, Some(Exit::Signal(11)));
}

#[test]
fn a_failed_start_has_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let file = |name: &str, text: &str, mode| {
        fs::write(path.join(name), text).unwrap();
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    file("plain.sh", "#!/bin/sh\n", 0o600);
    file("orphan.sh", "#!/no/such/interpreter\n", 0o700);
    file("bare", "echo no first line\n", 0o700);
    let reason = |script: Script| {
        let (report, _) = ran(Launch { folder: path.to_owned(), ..of(script) });
        let (kind, message) = failure(&report);
        assert_eq!(kind, FailureKind::NotStarted);
        assert_eq!(report.exit, None);
        message.to_owned()
    };
    assert_eq!(reason(Script::command(["./backup.sh"])), "no such file or directory: ./backup.sh");
    assert_eq!(reason(Script::command(["no-such-tool"])), "no such file or directory: no-such-tool (not in PATH)");
    assert_eq!(reason(Script::command(["./plain.sh"])), "permission denied: ./plain.sh is not executable");
    assert_eq!(
        reason(Script::command(["./orphan.sh"])),
        "no such file or directory: ./orphan.sh is there, but the interpreter that its first line names is not"
    );
    assert_eq!(
        reason(Script::command(["./bare"])),
        "exec format error: ./bare (a script needs a first line like #!/bin/sh)"
    );
    assert_eq!(reason(Script::command(["nul\0"])), "nul byte found in provided data: nul\0");
    let lost =
        Script::command(["true"]).with_exec(ExecOptions { cwd: Some("no/such".into()), ..ExecOptions::default() });
    let lost_path = path.join("no/such");
    assert_eq!(reason(lost), format!("no such file or directory: {} (the working directory)", lost_path.display()));
    let long = with_shell(&["env"], &"x".repeat(200 * 1024));
    assert!(reason(long).starts_with("the script is too long for env"));
    let report = run(launch(Definition::new(|| 1)), Box::new(Printed::default()));
    assert_eq!(failure(&report).0, FailureKind::NotStarted);
}

#[test]
fn a_failed_start_is_reported_like_any_other_end() {
    let runner = Runner::new().unwrap();
    let bad = Started::on(&runner, 1, of(Script::command(["no-such-tool"])));
    let good = Started::on(&runner, 2, sh("echo fine"));
    assert_eq!(failure(&bad.report()).0, FailureKind::NotStarted);
    assert_eq!(good.report().outcome, Outcome::Succeeded);
}

#[test]
fn shells_stop_at_the_first_failing_line() {
    for shell in ["sh", "bash", "dash", "ksh", "zsh", "/bin/sh"] {
        let (report, text) = ran(of(with_shell(&[shell], "echo before\nfalse\necho after")));
        if is_not_installed(&report) {
            continue;
        }
        assert_eq!((failure(&report).1, text.as_str()), ("exit code 1", "before\n"), "{shell}");
    }
    assert_eq!(ran(of(with_shell(&["sh"], "false | true"))).0.outcome, Outcome::Succeeded);
    assert_eq!(failure(&ran(of(with_shell(&["bash"], "false | true"))).0).1, "exit code 1");
    let (report, _) = ran(of(with_shell(&["bash"], "yes | head -n 1")));
    assert_eq!(failure(&report).1, "exit code 141: ended by SIGPIPE (a pipe closed early; see pipefail)");
}

fn is_not_installed(report: &RunReport) -> bool {
    report.outcome.failure().is_some_and(|failure| failure.message.ends_with("(not in PATH)"))
}

/// The arguments `a b`, `3`, `["x"]` and the options `--flag`, `--name v`; those that are false or null are left out.
fn with_arguments(script: Script) -> Launch {
    let job = Job::new(script).arg("a b").arg(3).arg(json!(["x"]));
    let job = job.kwarg("flag", true).kwarg("off", false).kwarg("none", Value::Null).kwarg("name", "v");
    launch(job.definition)
}

#[test]
fn arguments_reach_scripts_and_programs() {
    let expected = "a b\n3\n[\"x\"]\n--flag\n--name\nv\n";
    let scripts = [
        ("sh", r#"printf '%s\n' "$@""#),
        ("bash", r#"printf '%s\n' "$@""#),
        ("python3", "import sys\nfor a in sys.argv[1:]: print(a)"),
        ("node", "process.argv.slice(1).forEach(a => console.log(a))"),
        ("perl", r#"print "$_\n" for @ARGV"#),
        ("ruby", "puts ARGV"),
        ("zsh", r#"printf '%s\n' "$@""#),
        ("dash", r#"printf '%s\n' "$@""#),
        ("ksh", r#"printf '%s\n' "$@""#),
        ("fish", r"printf '%s\n' $argv"),
        ("python", "import sys\nfor a in sys.argv[1:]: print(a)"),
        ("pwsh", "$args | ForEach-Object { $_ }"),
    ];
    for (shell, text) in scripts {
        // A script that is too long for one argument behaves the same.
        let comment = if shell == "node" { "//" } else { "#" };
        let long = format!("{text}\n{}", format!("{comment} {}\n", "x".repeat(98)).repeat(2000));
        for text in [text, &long] {
            let (report, printed) = ran(with_arguments(with_shell(&[shell], text)));
            if is_not_installed(&report) {
                eprintln!("{shell} is not installed here");
                continue;
            }
            assert_eq!(report.outcome, Outcome::Succeeded, "{shell}");
            assert_eq!(printed, expected, "{shell}");
        }
    }
    let (_, printed) = ran(with_arguments(Script::command(["printf", "%s\\n"])));
    assert_eq!(printed, expected);
    for shell in [&["bash", "-l", "-c"][..], &["sh", "-ec"]] {
        let (_, printed) = ran(with_arguments(with_shell(shell, r#"printf '%s\n' "$@""#)));
        assert_eq!(printed, expected, "{shell:?}");
    }
    let (_, printed) = ran(with_arguments(with_shell(&["printf", "%s\\n"], "the script")));
    assert_eq!(printed, format!("the script\n{expected}"));
    assert_eq!(ran(of(with_shell(&["echo"], "one word"))).1, "one word\n");
}

#[test]
fn a_long_script_behaves_like_a_short_one_and_leaves_no_file() {
    let filler = format!("# {}\n", "x".repeat(98)).repeat(2000);
    let text =
        format!("{filler}echo \"$0\" \"$1\"\nls /tmp/setlist-{}-* | head -1\nfalse\necho after", std::process::id());
    let job = Job::new(Script::shell(text)).arg("it's");
    let (report, printed) = ran(launch(job.definition));
    assert_eq!(failure(&report).1, "exit code 1");
    let (first, path) = printed.split_once('\n').unwrap();
    assert_eq!(first, "sh it's");
    assert!(!Path::new(path.trim()).exists(), "{path}");
}

#[test]
fn variables_of_the_script_and_of_the_run_override_inherited_ones() {
    let mut script = Script::shell(r#"echo "${PATH:+path} $MINE $SETLIST_JOB ${HOME-no home}""#);
    script.exec_mut().env.insert("MINE".to_owned(), Some("mine".to_owned()));
    script.exec_mut().env.insert("HOME".to_owned(), None);
    script.exec_mut().env.insert("SETLIST_JOB".to_owned(), Some("forged".to_owned()));
    let env = vec![("SETLIST_JOB".to_owned(), OsString::from("lint"))];
    let (_, printed) = ran(Launch { env, ..of(script) });
    assert_eq!(printed, "path mine lint no home\n");
}

#[test]
fn programs_are_found_in_the_scripts_own_path() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("a-tool-of-ours");
    fs::write(&tool, "#!/bin/sh\necho found\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap();
    let mut script = Script::command(["a-tool-of-ours"]);
    script.exec_mut().env.insert("PATH".to_owned(), Some(format!("{}:/usr/bin:/bin", folder.path().display())));
    assert_eq!(ran(of(script)).1, "found\n");
}

#[test]
fn the_working_directory_is_relative_to_the_site_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    let pwd = |cwd: Option<&str>| {
        let script = Script::command(["pwd", "-P"])
            .with_exec(ExecOptions { cwd: cwd.map(PathBuf::from), ..ExecOptions::default() });
        ran(Launch { folder: root.clone(), ..of(script) }).1
    };
    assert_eq!(pwd(None), format!("{}\n", root.display()));
    assert_eq!(pwd(Some("sub")), format!("{}/sub\n", root.display()));
    assert_eq!(pwd(Some("/")), "/\n");
}

#[test]
fn standard_input_is_the_text_or_empty() {
    assert_eq!(ran(of(Script::command(["cat"]))).1, "");
    let lines: Vec<String> = (0..110_000).map(|number| format!("{number:09}")).collect();
    let text = lines.join("\n");
    let script =
        Script::command(["cat"]).with_exec(ExecOptions { stdin: Some(text.clone()), ..ExecOptions::default() });
    assert!(ran(of(script)).1 == text, "a mebibyte through cat comes back whole");
    let script = Script::shell("read line; echo $line; exec 0<&-; echo closed")
        .with_exec(ExecOptions { stdin: Some(text), ..ExecOptions::default() });
    let (report, printed) = ran(of(script));
    assert_eq!((report.outcome, printed.as_str()), (Outcome::Succeeded, "000000000\nclosed\n"));
}

#[test]
fn stdout_and_stderr_are_separate_and_pass_any_bytes() {
    let printed = Printed::default();
    let report = run(sh(r"printf 'out\377\n'; printf 'err\376\n' >&2"), Box::new(printed.clone()));
    assert_eq!(printed.of(Stream::Out), b"out\xff\n");
    assert_eq!(printed.of(Stream::Err), b"err\xfe\n");
    assert_eq!(report.value, Some(json!("out\u{fffd}")));
}

#[test]
fn large_output_arrives_complete() {
    let (report, printed) = ran(sh("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end"));
    assert_eq!(printed.len(), 20_000_005);
    assert_eq!(report.value, Some(json!("end")));
    let (report, _) = ran(sh("head -c 20000000 /dev/zero | tr '\\0' x"));
    assert_eq!(report.value, Some(json!("x".repeat(1000))));
}

#[test]
fn a_run_beyond_its_timeout_is_stopped() {
    let script = Script::shell("echo begun; sleep 600")
        .with_exec(ExecOptions { timeout: Some(Duration::from_millis(50)), ..ExecOptions::default() });
    let (report, printed) = ran(of(script));
    assert_eq!(failure(&report), (FailureKind::Timeout, "timed out after 50ms"));
    assert_eq!((report.exit, report.value), (Some(Exit::Signal(15)), None));
    assert_eq!(printed, "begun\n");
    let script =
        Script::shell("true").with_exec(ExecOptions { timeout: Some(Duration::MAX), ..ExecOptions::default() });
    assert_eq!(ran(of(script)).0.outcome, Outcome::Succeeded);
}

#[test]
fn a_run_that_ignores_term_is_killed_after_the_grace_period() {
    let script = Script::shell("trap '' TERM; while :; do sleep 600; done").with_exec(ExecOptions {
        timeout: Some(Duration::from_millis(50)),
        grace: Duration::from_millis(50),
        ..ExecOptions::default()
    });
    let (report, _) = ran(of(script));
    assert_eq!(failure(&report).0, FailureKind::Timeout);
    assert_eq!(report.exit, Some(Exit::Signal(9)));
}

#[test]
fn a_stopped_run_is_cancelled_whatever_its_exit_code() {
    let runner = Runner::new().unwrap();
    let plain = Started::on(&runner, 1, sh("echo up; sleep 600"));
    let tidy = Started::on(
        &runner,
        2,
        sh("exec perl -e '$| = 1; $SIG{TERM} = sub { print \"tidied\\n\"; exit }; print \"up\\n\"; sleep 600'"),
    );
    let other = Started::on(&runner, 3, sh("echo up; sleep 600"));
    for started in [&plain, &tidy, &other] {
        started.lines(1);
    }
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    runner.stop(&[(RunId(2), StopSignal::Terminate)]);
    runner.stop(&[(RunId(99), StopSignal::Kill)]);
    assert_eq!(outcome_and_exit(&plain.report()), (&Outcome::Cancelled, Some(Exit::Signal(15))));
    assert_eq!(outcome_and_exit(&tidy.report()), (&Outcome::Cancelled, Some(Exit::Code(0))));
    assert_eq!(tidy.printed.text(), "up\ntidied\n");
    assert!(other.report.try_recv().is_err(), "the third keeps running");
    runner.stop(&[(RunId(3), StopSignal::Kill)]);
    assert_eq!(other.report().exit, Some(Exit::Signal(9)));
}

#[test]
fn a_second_stop_may_kill() {
    let runner = Runner::new().unwrap();
    let deaf = Started::on(&runner, 1, sh("trap 'echo no' TERM; echo up; while :; do sleep 600 & wait || :; done"));
    deaf.lines(1);
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    deaf.lines(2);
    runner.stop(&[(RunId(1), StopSignal::Kill)]);
    assert_eq!(outcome_and_exit(&deaf.report()), (&Outcome::Cancelled, Some(Exit::Signal(9))));
}

#[test]
fn a_suspended_process_can_be_stopped() {
    let runner = Runner::new().unwrap();
    let suspended = Started::on(&runner, 1, sh("echo up; kill -STOP $$; sleep 600"));
    suspended.lines(1);
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    assert_eq!(suspended.report().outcome, Outcome::Cancelled);
}

#[test]
fn a_stop_reaches_grandchildren() {
    let runner = Runner::new().unwrap();
    let nested = Started::on(&runner, 1, sh("sh -c 'echo $$; sleep 600' & sleep 600 & echo $!; wait"));
    let pids = nested.lines(2);
    assert!(pids.iter().all(|pid| lives(pid)));
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    assert_eq!(nested.report().outcome, Outcome::Cancelled);
    assert!(pids.iter().all(|pid| dies(pid)), "{pids:?}");
}

/// A shell exits at once on TERM; its children still get the grace period.
#[test]
fn children_of_a_shell_get_the_grace_period() {
    let runner = Runner::new().unwrap();
    // Not a shell: what one forks while it has a trap may miss a TERM that comes before its exec.
    let inner = r#"$| = 1; $SIG{TERM} = sub { open my $gate, "<", "gate"; print "tidied ", scalar <$gate>; exit };
        print "up\n"; sleep 600"#;
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status().unwrap();
    assert!(made.success());
    let script = Script::shell(format!("perl -e '{inner}'; true"))
        .with_exec(ExecOptions { grace: LONG, ..ExecOptions::default() });
    let tidy = Started::on(&runner, 1, Launch { folder: folder.path().to_owned(), ..of(script) });
    tidy.lines(1);
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    // Opening a FIFO for reading and writing does not block. It stays open until the trap has read from it.
    let mut held = fs::OpenOptions::new().read(true).write(true).open(&gate).unwrap();
    held.write_all(b"well\n").unwrap();
    assert_eq!(tidy.report().outcome, Outcome::Cancelled);
    assert_eq!(tidy.printed.text(), "up\ntidied well\n");
}

#[test]
fn children_that_outlive_the_grace_period_are_killed() {
    let runner = Runner::new().unwrap();
    let script = Script::shell("sh -c 'trap \"\" TERM; echo $$; while :; do sleep 600; done' >pid-out & echo up; wait")
        .with_exec(ExecOptions { grace: Duration::from_millis(50), ..ExecOptions::default() });
    let folder = tempfile::tempdir().unwrap();
    let stubborn = Started::on(&runner, 1, Launch { folder: folder.path().to_owned(), ..of(script) });
    stubborn.lines(1);
    let pid = loop {
        let text = fs::read_to_string(folder.path().join("pid-out")).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        std::thread::yield_now();
    };
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    assert_eq!(stubborn.report().outcome, Outcome::Cancelled);
    assert!(dies(&pid));
}

#[test]
fn a_background_process_does_not_delay_the_end_of_the_run() {
    let runner = Runner::new().unwrap();
    let started = Started::on(&runner, 1, sh("sleep 600 & echo $!"));
    assert_eq!(started.report().outcome, Outcome::Succeeded);
    let pid = started.lines(1).remove(0);
    assert!(lives(&pid), "background processes are left alone");
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_flood_does_not_starve_other_runs() {
    let runner = Runner::new().unwrap();
    let flood = Started::on(
        &runner,
        1,
        of(Script::command(["yes"]).with_exec(ExecOptions { stdin: None, ..ExecOptions::default() })),
    );
    flood.lines(1);
    let script = Script::shell("sleep 600")
        .with_exec(ExecOptions { timeout: Some(Duration::from_millis(50)), ..ExecOptions::default() });
    let timed = Started::on(&runner, 2, of(script));
    let quick = Started::on(&runner, 3, sh("echo hello"));
    assert_eq!(quick.report().value, Some(json!("hello")));
    assert_eq!(failure(&timed.report()).0, FailureKind::Timeout);
    runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    assert_eq!(flood.report().outcome, Outcome::Cancelled);
}

#[test]
fn endless_small_writes_are_read_in_larger_pieces() {
    let printed = Printed::default();
    let start = Instant::now();
    // The shell writes each line separately.
    let script = "i=0; while [ $i -lt 30000 ]; do echo $i; i=$((i + 1)); done";
    assert_eq!(run(sh(script), Box::new(printed.clone())).outcome, Outcome::Succeeded);
    let expected: Vec<_> = (0..30_000).map(|i| i.to_string()).collect();
    assert!(printed.text().lines().eq(expected));
    let (pieces, elapsed) = (printed.0.lock().unwrap().len() as u128, start.elapsed());
    // Two reads per millisecond, plus the initial burst and the rest at the end.
    assert!(pieces <= 2 * elapsed.as_millis() + 40, "{pieces} pieces in {elapsed:?}");
}

#[test]
fn each_of_many_runs_gets_its_own_report() {
    let runner = Runner::new().unwrap();
    let runs: Vec<_> = (0..100).map(|n| Started::on(&runner, n, sh(&format!("echo {n}; exit {}", n % 3)))).collect();
    for (n, started) in runs.iter().enumerate() {
        assert_eq!(started.report().exit, Some(Exit::Code(i32::try_from(n % 3).unwrap())));
        assert_eq!(started.printed.text(), format!("{n}\n"));
    }
}

#[test]
fn a_run_inherits_no_file_descriptors() {
    // The test process may have inherited more descriptors than the standard three.
    let ours = std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap();
    let ours = String::from_utf8(ours.stdout).unwrap();
    let runner = Runner::new().unwrap();
    let other = Started::on(
        &runner,
        1,
        of(Script::shell("sleep 600")
            .with_exec(ExecOptions { stdin: Some("x".repeat(1 << 20)), ..ExecOptions::default() })),
    );
    let (_, printed) = ran(of(Script::command(["ls", "/proc/self/fd"])));
    assert!(printed.lines().all(|fd| ours.lines().any(|ours| ours == fd)), "{printed} but {ours}");
    runner.stop(&[(RunId(1), StopSignal::Kill)]);
    other.report();
}

#[test]
fn dropping_the_runner_stops_no_run() {
    let runner = Runner::new().unwrap();
    let started = Started::on(&runner, 1, sh("echo $$; sleep 600"));
    let pid = started.lines(1).remove(0);
    drop(runner);
    assert!(started.report.recv().is_err(), "there is no report");
    assert!(lives(&pid));
    let group = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_moved_program_is_found_at_its_new_path() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let install = |folder: &Path, says: &str| {
        let tool = folder.join("tool");
        fs::write(&tool, format!("#!/bin/sh\necho {says}\n")).unwrap();
        fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
        tool
    };
    let mut script = Script::command(["tool"]);
    let path = format!("{}:{}", first.path().display(), second.path().display());
    script.exec_mut().env.insert("PATH".to_owned(), Some(path));
    let runner = Runner::new().unwrap();
    let says = |run| Started::on(&runner, run, of(script.clone())).report().value;
    let gone = install(first.path(), "first");
    install(second.path(), "second");
    assert_eq!(says(1), Some("first".into()));
    fs::remove_file(gone).unwrap();
    assert_eq!(says(2), Some("second".into()), "despite the cached path");
}
