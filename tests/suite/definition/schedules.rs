//! `schedule` in a file: what it means, and what is reported.

use std::time::Duration;

use setlist::definition;
use setlist::model::{MissedPolicy, OverlapPolicy, Schedule};

use super::assert_report;

/// The schedule of the queue `q`.
fn schedule(value: &str) -> Schedule {
    let file = format!("queues:\n  q:\n    schedule: {value}\n    jobs: [a]\n");
    let desired = definition::parse("jobs.yaml", &file).unwrap_or_else(|errors| panic!("{value}: {errors}"));
    let schedule = desired.queues[0].settings.schedule.clone().unwrap();
    (*schedule).clone()
}

fn expressions(schedule: &Schedule) -> Vec<String> {
    schedule.times.iter().map(ToString::to_string).collect()
}

#[test]
fn a_schedule_is_an_expression_a_list_or_a_map() {
    assert_eq!(expressions(&schedule("TZ=UTC 30 2 * * 1-5")), ["30 2 * * 1-5 (UTC)"]);
    assert_eq!(expressions(&schedule("'@every 90s'")), ["@every 90s"]);
    let list = schedule("[CRON_TZ=Asia/Tokyo 0 9 * * mon, TZ=europe/berlin @daily]");
    assert_eq!(expressions(&list), ["0 9 * * mon (Asia/Tokyo)", "@daily (Europe/Berlin)"]);
    let plain = schedule("{cron: [0 2 * * *, TZ=UTC 0 3 * * *], timezone: America/New_York}");
    assert_eq!(expressions(&plain), ["0 2 * * * (America/New_York)", "0 3 * * * (UTC)"]);
    assert_eq!((plain.jitter, plain.missed, plain.overlap), (Duration::ZERO, MissedPolicy::Once, OverlapPolicy::Skip));
    let full = schedule("{cron: 0 2 * * *, jitter: 10m, missed: all, overlap: wait}");
    assert_eq!(full.jitter, Duration::from_secs(600));
    assert_eq!((full.missed, full.overlap), (MissedPolicy::All, OverlapPolicy::Wait));
}

#[test]
fn a_job_has_a_schedule_of_its_own() {
    let file = "queues: {q: [{id: a, run: a, schedule: 0 2 * * *}, {id: b, run: b}, \
                {id: m, run: m, matrix: {hour: [3, 4]}, schedule: '0 ${matrix.hour} * * *'}]}";
    let desired = definition::parse("jobs.yaml", file).unwrap();
    let schedules = desired.queues[0]
        .jobs
        .iter()
        .map(|job| job.scheduling.schedule.as_ref().map(|schedule| schedule.times[0].expression().to_owned()));
    let at = |expression: &str| Some(expression.to_owned());
    assert_eq!(schedules.collect::<Vec<_>>(), [at("0 2 * * *"), None, at("0 3 * * *"), at("0 4 * * *")]);
}

#[test]
fn wrong_schedules() {
    let values = [
        "0 0 31 2 *",
        "0 0 30 feb *",
        "61 2 * * *",
        "0 24 * * *",
        "0 2 0 * *",
        "0 2 * 13 *",
        "0 2 * * monday",
        "mon 2 * * *",
        "0 2 * *",
        "0 0 2 * * *",
        "0 2 * * * backup",
        "''",
        "5",
        "'@every 0s'",
        "'@every 10 parsecs'",
        "'@every'",
        "'@every 200years'",
        "'@reboot'",
        "'@dialy'",
        "'@fortnightly'",
        "TZ=Europe/Berln 0 2 * * *",
        "TZ=berlin 0 2 * * *",
        "TZ=Mars/Olympus 0 2 * * *",
        "TZ=UTC",
        "[]",
        "[0 2 * * *, 0 2 * * *]",
        "{timezone: UTC}",
        "{cron: 0 2 * * *, timezone: Nowhere, jitter: 2d, missed: twice, overlap: wiat, zone: UTC}",
    ];
    let queues =
        values.iter().enumerate().map(|(nth, value)| format!("  q{nth}:\n    schedule: {value}\n    jobs: [a]\n"));
    assert_report("wrong_schedules", &format!("queues:\n{}", queues.collect::<Vec<_>>().concat()));
    assert_report("schedule_in_defaults", "defaults: {schedule: 0 2 * * *}\nqueues: {}\n");
    assert_report("schedule_that_is_an_alias", "queues:\n  q:\n    schedule: */5 * * * *\n    jobs: [a]\n");
    assert_report("schedule_with_an_at_sign", "queues:\n  q:\n    schedule: @daily\n    jobs: [a]\n");
}
