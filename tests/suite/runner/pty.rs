//! Runs in a pseudo-terminal: its environment, typed input, size and output.

use setlist::model::WindowSize;
use setlist::store::{TerminalInputError, TerminalInputPipes, TerminalInputWriter};
use tempfile::TempDir;

use super::*;
use crate::temp_site::wait_for;

/// A run in a terminal that the test types into.
struct PtyHarness {
    runner: Runner,
    started: Started,
    line: TerminalInputWriter,
    _folder: TempDir,
}

impl PtyHarness {
    fn with(text: &str, options: ExecOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = TerminalInputPipes::new(folder.path().to_owned());
        let (runner, line) = (Runner::new().unwrap(), lines.writer(RunId(1)));
        let size = WindowSize { columns: 100, rows: 30 };
        let pty = PtyOptions { size, input: Some(Box::new(lines.open_reader(RunId(1)).unwrap())) };
        let launch = Launch { pty, ..of(Script::shell(text).with_exec(ExecOptions { pty: true, ..options })) };
        Self { started: Started::on(&runner, 1, launch), runner, line, _folder: folder }
    }

    fn new(text: &str) -> Self {
        Self::with(text, ExecOptions::default())
    }

    /// Waits until the run has printed this text.
    fn until(&self, text: &str) {
        while !self.started.printed.text().contains(text) {
            self.started.pieces.recv_timeout(LONG).unwrap_or_else(|_| panic!("{:?}", self.started.printed.text()));
        }
    }

    fn ended(self) -> (RunReport, String) {
        (self.started.report(), self.started.printed.text().replace("\r\n", "\n"))
    }
}

/// A shell loop that waits for a signal.
const IDLE: &str = "while :; do sleep 0.01; done";

#[test]
fn the_job_has_a_terminal_of_its_own() {
    let (report, printed) = PtyHarness::new(
        "test -t 0; test -t 1; test -t 2; : </dev/tty; echo $TERM ${COLUMNS-unset} ${LINES-unset}; stty size
         ps -o pid=,pgid=,sid=,tpgid= -p $$ | awk '{ print ($1 == $2 && $2 == $3 && $3 == $4) }'; echo error >&2",
    )
    .ended();
    assert_eq!(report.outcome, Outcome::Succeeded, "{printed}");
    assert_eq!(printed, "xterm-256color unset unset\n30 100\n1\nerror\n");
    let other = [("TERM".to_owned(), Some("dumb".to_owned())), ("COLUMNS".to_owned(), Some("7".to_owned()))];
    let (_, printed) =
        PtyHarness::with("echo $TERM $COLUMNS", ExecOptions { env: other.into(), ..ExecOptions::default() }).ended();
    assert_eq!(printed, "dumb 7\n");
}

#[test]
fn a_job_without_pty_has_none() {
    let (report, _) = ran(sh("test -t 1 || : </dev/tty"));
    assert_eq!(failure(&report).0, FailureKind::Exit);
}

#[test]
fn typed_input_reaches_the_job() {
    let mut harness = PtyHarness::new("printf 'name? '; read name; echo \"hello $name\"");
    harness.until("name? ");
    harness.line.send("wö\x7forld\r".as_bytes()).unwrap();
    let (report, printed) = harness.ended();
    assert_eq!(report.value, Some(json!("hello world")), "{printed}");
}

#[test]
fn a_password_is_not_echoed() {
    let mut harness = PtyHarness::new("stty -echo; echo ready; read password; stty echo; echo ${#password}");
    harness.until("ready");
    harness.line.send(b"secret\r").unwrap();
    let (_, printed) = harness.ended();
    assert_eq!(printed, "ready\n6\n");
}

#[test]
fn a_typed_ctrl_c_sends_sigint() {
    let mut harness = PtyHarness::new(&format!("trap 'echo caught; exit 7' INT; echo ready; {IDLE}"));
    harness.until("ready");
    harness.line.send(b"\x03").unwrap();
    let (report, printed) = harness.ended();
    assert_eq!(report.exit, Some(Exit::Code(7)), "{printed}");
}

#[test]
fn a_new_size_sends_sigwinch() {
    let mut harness = PtyHarness::new(&format!("trap 'stty size; exit' WINCH; echo ready; {IDLE}"));
    harness.until("ready");
    harness.line.resize(WindowSize { columns: 61, rows: 17 }).unwrap();
    assert_eq!(harness.ended().1, "ready\n17 61\n");
}

#[test]
fn a_stdin_text_is_typed_and_ends() {
    for text in ["one\ntwo\n", "one\ntwo"] {
        let options = ExecOptions { stdin: Some(text.to_owned()), ..ExecOptions::default() };
        let (report, printed) = PtyHarness::with("stty -echo; sort -r | tr '\\n' ' '", options).ended();
        assert_eq!(report.outcome, Outcome::Succeeded);
        assert!(printed.ends_with("two one "), "{printed:?}");
    }
}

#[test]
fn all_output_is_read_until_the_job_ends() {
    let (_, printed) = PtyHarness::new("seq 1 20000").ended();
    assert_eq!(printed.lines().count(), 20_000);
    assert!(printed.ends_with("\n20000\n"));
}

#[test]
fn a_background_process_on_the_terminal_does_not_delay_the_end_of_the_run() {
    let (report, printed) = PtyHarness::new("trap '' HUP; yes & echo pid $!").ended();
    assert_eq!(report.outcome, Outcome::Succeeded);
    let pid = printed.lines().find_map(|line| line.trim().strip_prefix("pid ")).unwrap();
    // Its terminal is closed, so its writes fail.
    assert!(dies(pid));
}

#[test]
fn a_job_may_close_its_terminal_and_open_it_again() {
    let harness = PtyHarness::new(&format!("exec >/dev/null 2>&1 </dev/null; sleep 0.05; echo back >/dev/tty; {IDLE}"));
    harness.until("back");
    harness.runner.stop(&[(RunId(1), StopSignal::Kill)]);
    harness.ended();
}

#[test]
fn a_stop_also_sends_hup() {
    let patient = ExecOptions { grace: LONG * 10, ..ExecOptions::default() };
    let harness = PtyHarness::with(&format!("trap '' TERM; trap 'exit 0' HUP; echo ready; {IDLE}"), patient);
    harness.until("ready");
    harness.runner.stop(&[(RunId(1), StopSignal::Terminate)]);
    assert_eq!(harness.ended().0.outcome, Outcome::Cancelled);
}

#[test]
fn typing_never_blocks_if_the_job_does_not_read() {
    let mut harness = PtyHarness::new(&format!("stty raw; echo ready; {IDLE}"));
    harness.until("ready");
    let (piece, mut sent) = ([b'x'; 500], 0);
    for _ in 0..100_000 {
        match harness.line.send(&piece) {
            Ok(()) => sent += piece.len(),
            Err(TerminalInputError::BufferFull) => std::thread::yield_now(),
            Err(TerminalInputError::NotConnected) => panic!("the job is there"),
        }
    }
    // Unread input does not accumulate in the worker's memory.
    assert!(sent < 4 << 20, "{sent}");
    harness.runner.stop(&[(RunId(1), StopSignal::Kill)]);
    let mut line = harness.line;
    assert_eq!(harness.started.report().outcome, Outcome::Cancelled);
    // The terminal may be closed a moment after the run was reported.
    wait_for("the closed terminal", || {
        line.send(b"x").is_err_and(|error| error == TerminalInputError::NotConnected).then_some(())
    });
}

#[test]
fn other_runs_inherit_no_terminal_descriptors() {
    let harness = PtyHarness::new(&format!("echo ready; {IDLE}"));
    harness.until("ready");
    let (_, printed) = ran(of(Script::command(["ls", "-l", "/proc/self/fd"])));
    assert!(!printed.contains("ptmx") && !printed.contains("pts") && !printed.contains("lines"), "{printed}");
    harness.runner.stop(&[(RunId(1), StopSignal::Kill)]);
    harness.ended();
}
