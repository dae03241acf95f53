//! Work runs with the environment of the user who has requested it.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use setlist::model::{
    Command, Definition, EnvironmentId, Event, JobId, JobRef, Need, OnFailure, Outcome, OutcomeCondition, RetryPolicy,
    SchedulingOptions, WorkerId,
};
use setlist::store::Store;

use super::{BackendSite, accept, add, at, claim, definition, execute, failed, join, process, queue, report};

pub(super) fn user(number: u64) -> EnvironmentId {
    EnvironmentId(NonZero::new(number).unwrap())
}

/// The command, by a user with this environment.
pub(super) fn requested_by(number: u64, command: Command) -> Command {
    Command::Request { environment: user(number), inputs: None, command: Box::new(command) }
}

/// Starts the next job; returns it with the environment that it runs with.
fn start(store: &mut dyn Store, worker: WorkerId) -> (JobId, Option<u64>) {
    let report = store.transact(&[(&claim(worker), at(0))]).unwrap();
    let job = &report.claimed[0];
    assert_eq!(Some(job), store.job(job.id).unwrap().as_ref(), "the worker gets the job as it is stored");
    (job.id, job.environment.map(|environment| environment.0.get()))
}

fn end(store: &mut dyn Store, job: JobId, outcome: Outcome) {
    let run = store.job(job).unwrap().unwrap().current_run().unwrap();
    accept(store, report(job, run, outcome));
}

fn in_use(store: &mut dyn Store) -> Vec<u64> {
    store.environments_in_use().unwrap().into_iter().map(|environment| environment.0.get()).collect()
}

pub(super) fn a_job_runs_for_the_user_who_requested_it(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    let worker = join(store);
    accept(store, add(2));
    accept(store, requested_by(1, Command::Run { job: JobId(2), force: false }));
    assert_eq!(start(store, worker), (JobId(2), Some(1)));
    end(store, JobId(2), Outcome::Succeeded);
    accept(store, requested_by(2, process()));
    assert_eq!(start(store, worker), (JobId(1), Some(2)), "the request of the other job doesn't matter");
    end(store, JobId(1), Outcome::Succeeded);
    // The job that someone adds is requested by that user, also if another one processes the queue.
    accept(store, requested_by(3, add(1)));
    accept(store, requested_by(2, process()));
    assert_eq!(start(store, worker), (JobId(3), Some(3)));
    end(store, JobId(3), Outcome::Succeeded);
    // Once it has run, the next request counts.
    accept(store, Command::Reset { job: JobId(3) });
    assert_eq!(store.job(JobId(3)).unwrap().unwrap().environment, None);
    accept(store, requested_by(2, process()));
    assert_eq!(start(store, worker), (JobId(3), Some(2)));
    end(store, JobId(3), Outcome::Succeeded);
    accept(store, Command::Run { job: JobId(3), force: false });
    assert_eq!(start(store, worker), (JobId(3), None), "requested by no user");
}

pub(super) fn the_first_request_for_a_queue_counts_until_it_is_idle(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    let worker = join(store);
    accept(store, add(2));
    accept(store, requested_by(1, process()));
    assert!(execute(store, requested_by(2, process())).is_err(), "it is already being processed");
    assert_eq!(start(store, worker), (JobId(1), Some(1)));
    end(store, JobId(1), Outcome::Succeeded);
    accept(store, Command::Pause { queue: queue() });
    assert_eq!(in_use(store), [0_u64; 0]);
    accept(store, requested_by(2, process()));
    assert_eq!(in_use(store), [2]);
    assert_eq!(start(store, worker), (JobId(2), Some(2)));
    end(store, JobId(2), Outcome::Succeeded);
    assert_eq!(store.load().unwrap().queue(&queue()).unwrap().environment, None);
}

pub(super) fn what_follows_from_a_request_has_its_environment(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    let worker = join(store);
    // A retry is part of the request.
    let retry = RetryPolicy { max: 1, delay: Duration::ZERO, ..RetryPolicy::never() };
    let with = |title: &str, scheduling: SchedulingOptions| {
        Arc::new(Definition { scheduling: Arc::new(scheduling), ..(*definition(title)).clone() })
    };
    let first = with("first", SchedulingOptions { retry, ..SchedulingOptions::default() });
    accept(store, Command::Add { queue: queue(), jobs: vec![first] });
    accept(store, requested_by(1, process()));
    assert_eq!(start(store, worker), (JobId(1), Some(1)));
    end(store, JobId(1), failed());
    accept(store, Command::PromoteDue);
    assert_eq!(start(store, worker), (JobId(1), Some(1)));
    // A job that was skipped runs when the job that it needs is requested again.
    let need = Need { job: JobRef::Number(JobId(1)), on: OutcomeCondition::Success };
    let second = with("second", SchedulingOptions { needs: vec![need], ..SchedulingOptions::default() });
    accept(store, Command::Add { queue: queue(), jobs: vec![second] });
    end(store, JobId(1), failed());
    assert_eq!(store.job(JobId(2)).unwrap().unwrap().outcome().map(Outcome::as_str), Some("skipped"));
    accept(store, requested_by(2, Command::Run { job: JobId(1), force: false }));
    assert_eq!(start(store, worker), (JobId(1), Some(2)));
    end(store, JobId(1), Outcome::Succeeded);
    assert_eq!(start(store, worker), (JobId(2), Some(2)));
    end(store, JobId(2), Outcome::Succeeded);
    // A job that stops its queue waits for the next request.
    let settings = setlist::model::QueueSettings { on_failure: OnFailure::Stop, ..super::settings(1) };
    let desired = setlist::model::DesiredQueue { id: queue(), settings, jobs: Vec::new() };
    let file = setlist::model::DesiredState { version: "1".to_owned(), queues: vec![desired], ..Default::default() };
    accept(store, Command::Reconcile(Box::new(file)));
    accept(store, requested_by(1, Command::Run { job: JobId(2), force: false }));
    assert_eq!(start(store, worker), (JobId(2), Some(1)));
    end(store, JobId(2), failed());
    accept(store, requested_by(3, process()));
    assert_eq!(start(store, worker), (JobId(2), Some(3)));
}

pub(super) fn an_environment_is_in_use_until_its_jobs_have_finished(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    let worker = join(store);
    accept(store, requested_by(1, add(1)));
    accept(store, requested_by(2, add(1)));
    accept(store, requested_by(3, add(1)));
    assert_eq!(in_use(store), [1, 2, 3]);
    accept(store, Command::Cancel { job: JobId(2), stop: setlist::model::StopSignal::Terminate });
    assert_eq!(in_use(store), [1, 3]);
    accept(store, Command::Remove { jobs: vec![JobId(3)] });
    assert_eq!(in_use(store), [1, 3], "it can be restored");
    let restored = accept(store, Command::Restore { jobs: vec![JobId(3)] });
    assert!(matches!(&restored[..], [Event::Restored { job }] if job.environment == Some(user(3))), "{restored:?}");
    accept(store, requested_by(4, process()));
    assert_eq!(start(store, worker), (JobId(1), Some(1)));
    assert_eq!(in_use(store), [1, 3, 4]);
    end(store, JobId(1), Outcome::Succeeded);
    assert_eq!(start(store, worker), (JobId(3), Some(3)));
    end(store, JobId(3), failed());
    assert_eq!(in_use(store), [0_u64; 0]);
}
