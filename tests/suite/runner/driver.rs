//! Which thread drives the runs: the caller of `drive`, or the fallback thread.

use std::time::Duration;

use setlist::model::{ExecOptions, FailureKind, Outcome, RunId, Script, StopSignal};
use setlist::runner::Runner;

use super::{LONG, Started, failure, of, sh};

/// Drives the runner until the run has ended.
fn drive_to_end(runner: &Runner, started: &Started) -> Outcome {
    loop {
        match started.report.try_recv() {
            Ok(report) => return report.outcome,
            Err(_) => runner.drive(LONG),
        }
    }
}

#[test]
fn the_fallback_thread_drives_the_runs_meanwhile() {
    let runner = Runner::new().unwrap();
    runner.drive(Duration::ZERO);
    let first = Started::on(&runner, 1, sh("echo hello"));
    assert_eq!(drive_to_end(&runner, &first), Outcome::Succeeded);

    // More than a pipe holds, so it ends only if its output is read.
    let flood = Started::on(&runner, 2, sh("head -c 3000000 /dev/zero"));
    let options = ExecOptions { timeout: Some(Duration::from_millis(50)), ..ExecOptions::default() };
    let late = Started::on(&runner, 3, of(Script::shell("exec sleep 600").with_exec(options)));
    assert_eq!(flood.report().outcome, Outcome::Succeeded, "the fallback thread reads output");
    assert_eq!(failure(&late.report()).0, FailureKind::Timeout, "and enforces timeouts");

    let waiting = Started::on(&runner, 4, sh("echo first; exec sleep 600"));
    waiting.lines(1);
    runner.waker().wake();
    // The fallback thread may have consumed the wake-up.
    runner.drive(60 * LONG);
    runner.stop(&[(RunId(4), StopSignal::Kill)]);
    assert_eq!(drive_to_end(&runner, &waiting), Outcome::Cancelled, "and hands the runs back");
    let last = Started::on(&runner, 5, sh("exit 0"));
    assert_eq!(drive_to_end(&runner, &last), Outcome::Succeeded);
}
