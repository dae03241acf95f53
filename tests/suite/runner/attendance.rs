//! Who looks after the runs: whoever attends, or somebody who stands in.

use std::time::Duration;

use setlist::model::{FailureKind, Outcome, RunId, Script, Setup, Stop};
use setlist::runner::Runner;

use super::{LONG, Started, failure, of, sh};

/// Attends until the run is over.
fn attended(runner: &Runner, started: &Started) -> Outcome {
    loop {
        match started.report.try_recv() {
            Ok(report) => return report.outcome,
            Err(_) => runner.attend(LONG),
        }
    }
}

#[test]
fn whoever_attends_may_stay_away() {
    let runner = Runner::new().unwrap();
    runner.attend(Duration::ZERO);
    let first = Started::on(&runner, 1, sh("echo hello"));
    assert_eq!(attended(&runner, &first), Outcome::Succeeded);

    // More than a pipe holds: without anybody who reads, it would never end.
    let flood = Started::on(&runner, 2, sh("head -c 3000000 /dev/zero"));
    let setup = Setup { timeout: Some(Duration::from_millis(50)), ..Setup::default() };
    let late = Started::on(&runner, 3, of(Script::shell("exec sleep 600").with(setup)));
    assert_eq!(flood.report().outcome, Outcome::Succeeded, "somebody stands in");
    assert_eq!(failure(&late.report()).0, FailureKind::Timeout, "for the timeouts too");

    let waiting = Started::on(&runner, 4, sh("echo first; exec sleep 600"));
    waiting.lines(1);
    runner.waker().wake();
    // The one who stands in may have taken the call.
    runner.attend(60 * LONG);
    runner.stop(RunId(4), Stop::Kill);
    assert_eq!(attended(&runner, &waiting), Outcome::Cancelled, "and gives way to whoever comes back");
    let last = Started::on(&runner, 5, sh("exit 0"));
    assert_eq!(attended(&runner, &last), Outcome::Succeeded);
}
