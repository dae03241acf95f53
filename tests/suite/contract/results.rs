//! The value, duration and exit code of a job are those of its last run, or none.

use setlist::model::{
    Command, DesiredQueue, DesiredState, Exit, Job, JobId, OnFailure, Outcome, Phase, QueueSettings, RunReport,
    StopSignal,
};
use setlist::store::Store;

use super::{BackendSite, add, at, claim, failed, join, process, queue, settings};

/// Runs the only job from one time to another; returns it.
fn run(store: &mut dyn Store, from: i64, to: i64, outcome: Outcome, exit: i32) -> Job {
    let worker = store.workers().unwrap()[0].id;
    assert!(store.execute(&[claim(worker)], at(from)).unwrap()[0].is_ok());
    let run = job(store).current_run().unwrap();
    let value = (outcome == Outcome::Succeeded).then(|| "fine".into());
    let report = RunReport { outcome, exit: Some(Exit::Code(exit)), value };
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

pub(super) fn a_job_that_stopped_its_queue_keeps_its_result(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    join(store);
    execute(store, add(1), 0);
    let settings = QueueSettings { on_failure: OnFailure::Stop, ..settings(1) };
    let file = DesiredState {
        version: "1".to_owned(),
        queues: vec![DesiredQueue { id: queue(), settings, jobs: Vec::new() }],
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
