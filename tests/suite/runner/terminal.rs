//! Runs in a pseudo-terminal: what the job finds there, and what reaches it.

use setlist::model::WindowSize;
use setlist::store::{LineWriter, Lines, Unreachable};
use tempfile::TempDir;

use super::*;

/// A run in a terminal, into which the test types.
struct Stage {
    runner: Runner,
    started: Started,
    line: LineWriter,
    _folder: TempDir,
}

impl Stage {
    fn with(text: &str, setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = Lines::new(folder.path().to_owned());
        let (runner, line) = (Runner::new().unwrap(), lines.writer(RunId(1)));
        let size = WindowSize { columns: 100, rows: 30 };
        let terminal = Terminal { size, input: Some(Box::new(lines.reader(RunId(1)).unwrap())) };
        let launch = Launch { terminal, ..of(Script::shell(text).with(Setup { pty: true, ..setup })) };
        Self { started: Started::on(&runner, 1, launch), runner, line, _folder: folder }
    }

    fn new(text: &str) -> Self {
        Self::with(text, Setup::default())
    }

    /// Waits until it has printed this.
    fn until(&self, text: &str) {
        while !self.started.printed.text().contains(text) {
            self.started.pieces.recv_timeout(LONG).unwrap_or_else(|_| panic!("{:?}", self.started.printed.text()));
        }
    }

    fn ended(self) -> (Report, String) {
        (self.started.report(), self.started.printed.text().replace("\r\n", "\n"))
    }
}

/// Does nothing until a signal comes.
const IDLE: &str = "while :; do sleep 0.01; done";

#[test]
fn the_job_has_a_terminal_of_its_own() {
    let (report, printed) = Stage::new(
        "test -t 0; test -t 1; test -t 2; : </dev/tty; echo $TERM ${COLUMNS-unset} ${LINES-unset}; stty size
         ps -o pid=,pgid=,sid=,tpgid= -p $$ | awk '{ print ($1 == $2 && $2 == $3 && $3 == $4) }'; echo error >&2",
    )
    .ended();
    assert_eq!(report.outcome, Outcome::Succeeded, "{printed}");
    assert_eq!(printed, "xterm-256color unset unset\n30 100\n1\nerror\n");
    let other = [("TERM".to_owned(), Some("dumb".to_owned())), ("COLUMNS".to_owned(), Some("7".to_owned()))];
    let (_, printed) = Stage::with("echo $TERM $COLUMNS", Setup { env: other.into(), ..Setup::default() }).ended();
    assert_eq!(printed, "dumb 7\n");
}

#[test]
fn a_job_without_pty_has_none() {
    let (report, _) = ran(sh("test -t 1 || : </dev/tty"));
    assert_eq!(failure(&report).0, FailureKind::Exit);
}

#[test]
fn what_is_typed_reaches_the_job() {
    let mut stage = Stage::new("printf 'name? '; read name; echo \"hello $name\"");
    stage.until("name? ");
    stage.line.send("wö\x7forld\r".as_bytes()).unwrap();
    let (report, printed) = stage.ended();
    assert_eq!(report.value, Some(json!("hello world")), "{printed}");
}

#[test]
fn a_password_is_not_echoed() {
    let mut stage = Stage::new("stty -echo; echo ready; read password; stty echo; echo ${#password}");
    stage.until("ready");
    stage.line.send(b"secret\r").unwrap();
    let (_, printed) = stage.ended();
    assert_eq!(printed, "ready\n6\n");
}

#[test]
fn a_typed_interrupt_is_a_signal() {
    let mut stage = Stage::new(&format!("trap 'echo caught; exit 7' INT; echo ready; {IDLE}"));
    stage.until("ready");
    stage.line.send(b"\x03").unwrap();
    let (report, printed) = stage.ended();
    assert_eq!(report.exit, Some(Exit::Code(7)), "{printed}");
}

#[test]
fn another_size_is_a_signal() {
    let mut stage = Stage::new(&format!("trap 'stty size; exit' WINCH; echo ready; {IDLE}"));
    stage.until("ready");
    stage.line.resize(WindowSize { columns: 61, rows: 17 }).unwrap();
    assert_eq!(stage.ended().1, "ready\n17 61\n");
}

#[test]
fn a_text_for_standard_input_is_typed_and_ends() {
    for text in ["one\ntwo\n", "one\ntwo"] {
        let setup = Setup { stdin: Some(text.to_owned()), ..Setup::default() };
        let (report, printed) = Stage::with("stty -echo; sort -r | tr '\\n' ' '", setup).ended();
        assert_eq!(report.outcome, Outcome::Succeeded);
        assert!(printed.ends_with("two one "), "{printed:?}");
    }
}

#[test]
fn all_output_is_read_and_ends_with_the_job() {
    let (_, printed) = Stage::new("seq 1 20000").ended();
    assert_eq!(printed.lines().count(), 20_000);
    assert!(printed.ends_with("\n20000\n"));
}

#[test]
fn a_background_process_that_holds_the_terminal_does_not_hold_the_run() {
    let (report, printed) = Stage::new("trap '' HUP; yes & echo pid $!").ended();
    assert_eq!(report.outcome, Outcome::Succeeded);
    let pid = printed.lines().find_map(|line| line.trim().strip_prefix("pid ")).unwrap();
    // Its terminal has gone, so it can't print any more.
    assert!(dies(pid));
}

#[test]
fn a_job_may_close_its_terminal_and_open_it_again() {
    let stage = Stage::new(&format!("exec >/dev/null 2>&1 </dev/null; sleep 0.05; echo back >/dev/tty; {IDLE}"));
    stage.until("back");
    stage.runner.stop(RunId(1), Stop::Kill);
    stage.ended();
}

#[test]
fn a_stop_hangs_up_too() {
    let patient = Setup { grace: LONG * 10, ..Setup::default() };
    let stage = Stage::with(&format!("trap '' TERM; trap 'exit 0' HUP; echo ready; {IDLE}"), patient);
    stage.until("ready");
    stage.runner.stop(RunId(1), Stop::Terminate);
    assert_eq!(stage.ended().0.outcome, Outcome::Cancelled);
}

#[test]
fn typing_at_a_job_that_does_not_read_never_waits() {
    let mut stage = Stage::new(&format!("stty raw; echo ready; {IDLE}"));
    stage.until("ready");
    let (piece, mut sent) = ([b'x'; 500], 0);
    for _ in 0..100_000 {
        match stage.line.send(&piece) {
            Ok(()) => sent += piece.len(),
            Err(Unreachable::Full) => std::thread::yield_now(),
            Err(Unreachable::Gone) => panic!("the job is there"),
        }
    }
    // What nobody reads is not fetched into the worker's memory without end.
    assert!(sent < 4 << 20, "{sent}");
    stage.runner.stop(RunId(1), Stop::Kill);
    let mut line = stage.line;
    assert_eq!(stage.started.report().outcome, Outcome::Cancelled);
    assert_eq!(line.send(b"x"), Err(Unreachable::Gone));
}

#[test]
fn a_terminal_leaves_nothing_open_in_others() {
    let stage = Stage::new(&format!("echo ready; {IDLE}"));
    stage.until("ready");
    let (_, printed) = ran(of(Script::command(["ls", "-l", "/proc/self/fd"])));
    assert!(!printed.contains("ptmx") && !printed.contains("pts") && !printed.contains("lines"), "{printed}");
    stage.runner.stop(RunId(1), Stop::Kill);
    stage.ended();
}
