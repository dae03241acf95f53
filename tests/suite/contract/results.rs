//! The value, duration and exit code of a job are those of its last run, or none.

use std::time::Duration;

use setlist::model::{
    Cause, CauseKind, Command, DesiredQueue, DesiredState, DiskUsage, Exit, Failure, FailureKind, Job, JobId,
    OnFailure, Outcome, Phase, QueueId, QueueSettings, RunEnd, RunPeriod, RunReport, RunSpan, StopSignal, TreeUsage,
    Usage,
};
use setlist::store::Store;

use super::{BackendSite, add, at, claim, join, process, queue, settings};

pub(super) fn failed() -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Exit, message: "exit code 3".to_owned() }.into())
}

/// Runs the only job from one time to another; returns it.
fn run(store: &mut dyn Store, from: i64, to: i64, outcome: Outcome, exit: i32) -> Job {
    let worker = store.workers().unwrap()[0].id;
    assert!(store.execute(&[claim(worker)], at(from)).unwrap()[0].is_ok());
    let run = job(store).current_run().unwrap();
    let value = (outcome == Outcome::Succeeded).then(|| "fine".into());
    let report = RunReport { exit: Some(Exit::Code(exit)), value, ..RunReport::new(outcome) };
    let end = Command::EndRun { job: JobId(1), run, report, on_failure: None };
    assert!(store.execute(&[end], at(to)).unwrap()[0].is_ok());
    job(store)
}

fn job(store: &mut dyn Store) -> Job {
    store.job(JobId(1)).unwrap().unwrap()
}

fn execute(store: &mut dyn Store, command: Command, time: i64) {
    assert!(store.execute(&[command], at(time)).unwrap()[0].is_ok());
}

/// What is shown of a job: its value, duration and exit code.
fn result(job: &Job) -> (Option<&str>, Option<u128>, Option<Exit>) {
    let run = job.result_run();
    let exit = run.and_then(|run| run.end.as_ref()?.exit);
    (job.result_value().and_then(|value| value.as_str()), run.and_then(|run| Some(run.duration()?.as_millis())), exit)
}

const NONE: (Option<&str>, Option<u128>, Option<Exit>) = (None, None, None);

pub(super) fn a_job_has_the_result_of_its_last_run_or_none(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    join(store);
    execute(store, add(1), 0);
    assert_eq!(result(&job(store)), NONE);
    execute(store, process(), 10);
    let succeeded = run(store, 20, 50, Outcome::Succeeded, 0);
    assert_eq!(result(&succeeded), (Some("fine"), Some(30), Some(Exit::Code(0))));
    execute(store, Command::Run { job: JobId(1), force: false }, 60);
    assert_eq!(result(&job(store)), NONE, "requested");
    let failed_run = run(store, 70, 75, failed(), 3);
    assert_eq!(result(&failed_run), (None, Some(5), Some(Exit::Code(3))), "no value of the run before");
    assert!(failed_run.failure().is_some());
    let values = |store: &mut dyn Store| -> Vec<Option<String>> {
        let runs = store.runs(JobId(1)).unwrap().into_iter();
        runs.map(|run| Some(run.end?.value?.as_str()?.to_owned())).collect()
    };
    assert_eq!(values(store), [Some("fine".to_owned()), None], "each run keeps its value");
    execute(store, Command::Reset { job: JobId(1) }, 80);
    assert_eq!((result(&job(store)), job(store).failure().is_some()), (NONE, false), "reset");
    execute(store, Command::Cancel { job: JobId(1), stop: StopSignal::Terminate }, 90);
    assert_eq!((result(&job(store)), job(store).phase()), (NONE, Phase::Finished), "cancelled before it ran");
    // A fresh load and another connection agree.
    let loaded = backend.connect().load().unwrap();
    assert_eq!(result(loaded.job(JobId(1)).unwrap()), NONE);
}

pub(super) fn each_run_keeps_its_cause_and_what_it_used(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    join(store);
    execute(store, add(1), 0);
    let worker = store.workers().unwrap()[0].id;
    let cause = Cause::new(CauseKind::OutOfMemory, "sort: memory exhausted").with_limit(Some("4.0 GiB".to_owned()));
    let used = |millis: u64, io| Usage {
        user: Duration::from_millis(millis),
        system: Duration::from_micros(7),
        peak_memory: 1 << 32,
        is_peak_bound: io,
        io: io.then_some(DiskUsage { read: 4096, written: u64::MAX }),
        tree: TreeUsage { has_cpu: io, has_io: false, peak_memory: Some(u64::MAX) },
    };
    let reports = [
        RunReport {
            exit: Some(Exit::Code(2)),
            cause: Some(Box::new(cause)),
            usage: Some(Box::new(used(1500, true))),
            ..RunReport::new(failed())
        },
        RunReport { usage: Some(Box::new(used(3, false))), ..RunReport::new(Outcome::Succeeded) },
        RunReport::new(failed()),
    ];
    for (time, report) in (1..).zip(&reports) {
        execute(store, Command::Run { job: JobId(1), force: false }, 10 * time);
        execute(store, claim(worker), 10 * time + 1);
        let run = job(store).current_run().unwrap();
        let end = Command::EndRun { job: JobId(1), run, report: report.clone(), on_failure: None };
        execute(store, end, 10 * time + 2);
    }
    let findings = |end: &RunEnd| (end.cause.clone(), end.usage.clone());
    let expected: Vec<_> = reports.iter().map(|report| (report.cause.clone(), report.usage.clone())).collect();
    for mut reader in [store.new_connection().unwrap(), backend.connect()] {
        let ends: Vec<RunEnd> = reader.runs(JobId(1)).unwrap().into_iter().filter_map(|run| run.end).collect();
        assert_eq!(ends.iter().map(findings).collect::<Vec<_>>(), expected);
        let last = reader.load().unwrap().job(JobId(1)).unwrap().last_run.clone().unwrap();
        assert_eq!(Some(findings(&last.end.unwrap())).as_ref(), expected.last(), "the run of the job itself");
    }
}

pub(super) fn a_job_that_stopped_its_queue_keeps_its_result(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    join(store);
    execute(store, add(1), 0);
    let settings = QueueSettings { on_failure: OnFailure::Stop, ..settings(1) };
    let file = DesiredState {
        version: "1".to_owned(),
        queues: vec![DesiredQueue { id: queue(), settings, jobs: Vec::new() }],
        ..DesiredState::default()
    };
    execute(store, Command::Reconcile(Box::new(file)), 5);
    execute(store, process(), 10);
    let stopped = run(store, 20, 50, failed(), 3);
    assert_eq!((stopped.phase(), result(&stopped)), (Phase::Pending, (None, Some(30), Some(Exit::Code(3)))));
    assert!(stopped.failure().is_some());
    execute(store, Command::Cancel { job: JobId(1), stop: StopSignal::Terminate }, 52);
    execute(store, Command::Reset { job: JobId(1) }, 54);
    assert_eq!((result(&job(store)), job(store).failure().is_some()), (NONE, false), "reset");
    let succeeded = {
        execute(store, process(), 60);
        run(store, 70, 80, Outcome::Succeeded, 0)
    };
    assert_eq!(result(&succeeded), (Some("fine"), Some(10), Some(Exit::Code(0))));
}

pub(super) fn the_runs_of_a_period_are_found_by_time_and_queue(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    join(store);
    execute(store, add(1), 0);
    execute(store, process(), 10);
    run(store, 20, 50, Outcome::Succeeded, 0);
    for (from, to, outcome) in [(70, 75, failed()), (80, 100, Outcome::Succeeded)] {
        execute(store, Command::Run { job: JobId(1), force: false }, from - 1);
        run(store, from, to, outcome, 0);
    }
    execute(store, Command::Run { job: JobId(1), force: false }, 110);
    let worker = store.workers().unwrap()[0].id;
    assert!(store.execute(&[claim(worker)], at(120)).unwrap()[0].is_ok());
    let mut found = |queue: Option<&str>, from: Option<i64>, until: Option<i64>, limit| -> Vec<(u32, i64, bool)> {
        let queue = queue.map(QueueId::from);
        let period = RunPeriod { queue, from: from.map(at), until: until.map(at), limit };
        let spans = store.runs_in(&period).unwrap();
        assert!(spans.iter().all(|span| span.job == JobId(1) && span.outcome.is_some() == span.ended.is_some()));
        let failed = |span: &RunSpan| span.outcome.as_ref().is_some_and(|outcome| outcome.failure().is_some());
        spans.iter().map(|span| (span.attempt, (span.started - at(0)).num_milliseconds(), failed(span))).collect()
    };
    let unit = (at(1) - at(0)).num_milliseconds();
    let all = vec![(4, 120 * unit, false), (3, 80 * unit, false), (2, 70 * unit, true), (1, 20 * unit, false)];
    assert_eq!(found(None, None, None, 10), all);
    assert_eq!(found(None, None, None, 2), all[..2], "the latest");
    assert_eq!(found(Some(queue().as_str()), Some(75), Some(100), 10), all[1..3], "in progress in the period");
    assert_eq!(found(None, Some(101), None, 10), all[..1], "one that is still running");
    assert_eq!(found(None, None, Some(60), 10), all[3..]);
    assert_eq!(found(Some("elsewhere"), None, None, 10), []);
}
