//! `expect`, `stall` and their hooks in a file: what they mean, and what is reported.

use std::time::Duration;

use setlist::definition;
use setlist::model::{DesiredState, ExecOptions, Expectation, Program, StallPolicy, StopSignal};

use super::assert_report;

fn parse(file: &str) -> DesiredState {
    definition::parse("jobs.yaml", file).unwrap_or_else(|errors| panic!("{file}: {errors}"))
}

/// What is expected of the queue `q`.
fn expect(value: &str) -> String {
    let desired = parse(&format!("queues:\n  q:\n    expect: {value}\n    jobs: [a]\n"));
    desired.queues[0].settings.expect.as_ref().unwrap().to_string()
}

fn exec(job: &str) -> ExecOptions {
    let desired = parse(&format!("queues:\n  q:\n    stall: 5m\n    on_stall: shared\n    jobs:\n      - {job}\n"));
    let script = match &desired.queues[0].jobs[0].call {
        setlist::model::Call::Script(script) => script.clone(),
        setlist::model::Call::Function(_) => panic!("not a script"),
    };
    (*script.exec).clone()
}

fn script_of(hook: Option<&setlist::model::Hook>) -> Option<&str> {
    match &hook?.program {
        Program::Run { text, .. } => Some(text),
        Program::Command(_) => None,
    }
}

#[test]
fn a_success_is_expected_by_a_time_or_within_a_time() {
    assert_eq!(expect("TZ=UTC 04:00"), "by 04:00 (UTC)");
    assert_eq!(expect("4:05 Europe/Berlin"), "by 04:05 (Europe/Berlin)");
    assert_eq!(expect("mon-fri 04:00 UTC"), "by 0 4 * * mon-fri (UTC)");
    assert_eq!(expect("TZ=UTC 30 4 * * 1,4"), "by 30 4 * * 1,4 (UTC)");
    assert_eq!(expect("['04:00 UTC', '16:00 asia/tokyo']"), "by 04:00 (UTC), 16:00 (Asia/Tokyo)");
    assert_eq!(expect("{by: 04:00, timezone: Asia/Tokyo}"), "by 04:00 (Asia/Tokyo)");
    assert_eq!(expect("{by: [04:00, mon 12:00], timezone: UTC}"), "by 04:00 (UTC), 0 12 * * mon (UTC)");
    assert_eq!(expect("{within: 26h}"), "within 1day 2h");
    let desired = parse("queues: {q: [{run: a, expect: '04:00 UTC'}, b]}");
    let expected = desired.queues[0].jobs.iter().map(|job| job.scheduling.expect.is_some());
    assert_eq!(expected.collect::<Vec<_>>(), [true, false]);
    let file = "queues: {q: {schedule: 0 2 * * mon-fri, expect: mon-fri 04:00, jobs: [a]}, \
                r: {schedule: '@daily', expect: {within: 26h}, jobs: [a]}}";
    assert!(matches!(parse(file).queues[1].settings.expect.as_deref(), Some(Expectation::Within(_))));
}

#[test]
fn stalls_and_hooks_are_inherited() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let plain = exec("a");
    assert_eq!(plain.stall, Some(StallPolicy { after: minutes(5), stop: None }));
    assert_eq!(script_of(plain.on_stall.as_deref()), Some("shared"));
    let own = exec("{run: a, stall: {after: 10m, then: cancel}, on_stall: own}");
    assert_eq!(own.stall, Some(StallPolicy { after: minutes(10), stop: Some(StopSignal::Terminate) }));
    assert_eq!(script_of(own.on_stall.as_deref()), Some("own"));
    let kill = exec("{run: a, stall: {after: 1h, then: kill}}");
    assert_eq!(kill.stall.unwrap().stop, Some(StopSignal::Kill));
    assert_eq!(exec("{run: a, stall: {after: 1h, then: report}}").stall.unwrap().stop, None);
    let none = exec("{run: a, stall: none, on_stall: none}");
    assert_eq!((none.stall, none.on_stall), (None, None));

    let file = "defaults: {on_overdue: mail, env: {TO: me}}\n\
                queues: {q: {expect: 04:00, env: {A: b}, jobs: [{run: a, expect: 05:00}]}, r: [b]}";
    let desired = parse(file);
    let hook = desired.queues[0].settings.on_overdue.as_ref().unwrap();
    assert_eq!(script_of(Some(&hook.hook)), Some("mail"));
    assert_eq!(hook.env.keys().collect::<Vec<_>>(), ["A", "TO"]);
    assert_eq!(desired.queues[1].settings.on_overdue, None, "nothing is expected of it");
}

#[test]
fn wrong_expectations() {
    let values = [
        "26h",
        "5",
        "04:60",
        "24:00",
        "nightly",
        "monday 04:00",
        "04:00 Europe/Berln",
        "'@every 10m'",
        "0 0 31 2 *",
        "0 4 * *",
        "[]",
        "[04:00, 5]",
        "{}",
        "{by: 04:00, within: 26h}",
        "{within: 0s}",
        "{within: 26h, timezone: UTC}",
        "{by: 04:00, timezone: Nowhere, at: 5}",
    ];
    let queues =
        values.iter().enumerate().map(|(nth, value)| format!("  q{nth}:\n    expect: {value}\n    jobs: [a]\n"));
    assert_report("wrong_expectations", &format!("queues:\n{}", queues.collect::<Vec<_>>().concat()));
    assert_report("expect_in_defaults", "defaults: {expect: 04:00}\nqueues: {}\n");
    assert_report(
        "expectations_that_cannot_be_kept",
        "queues:
  empty: {expect: 04:00}
  bare: {expect: {within: 26h}, jobs: []}
  own: {expect: 04:00, jobs: [{run: a, schedule: '@daily'}]}
  weekend: {schedule: TZ=UTC 0 2 * * mon-fri, expect: 04:00 UTC, jobs: [a]}
  short: {schedule: TZ=UTC 0 2 * * mon-fri, expect: {within: 26h}, jobs: [a]}
  job: [{run: a, schedule: '@hourly', expect: {within: 30m}}]
",
    );
}

#[test]
fn wrong_stalls_and_hooks() {
    assert_report(
        "wrong_stalls",
        "queues:
  q:
    on_overdue: mail
    jobs:
      - {run: a, stall: 0}
      - {run: b, stall: [10m]}
      - {run: c, stall: {then: cancel}}
      - {run: d, stall: {after: 10m, than: kill}}
      - {run: e, stall: {after: 10m, then: canel}}
      - {run: f, on_stall: mail}
      - {run: g, on_overdue: mail}
      - {run: h, stall: 10m, on_stall: {run: mail, on: failure}}
      - {run: i, stall: 10m, on_stall: {timeout: 5s}}
      - {run: j, expect: 04:00, on_overdue: {run: a, command: [b]}}
",
    );
}
