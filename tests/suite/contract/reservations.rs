//! Jobs that are reserved for a worker, for every backend.

use std::sync::Arc;

use setlist::Job;
use setlist::model::{
    AfterRun, Command, Definition, DesiredQueue, DesiredState, Event, ExecOptions, JobId, JobRef, Need, OnFailure,
    Outcome, OutcomeCondition, Phase, Placement, PoolUse, QueueMode, QueueSettings, Refusal, Reservation, RunId,
    SchedulingOptions, Script, StopSignal, WorkerId,
};
use setlist::store::Store;

use super::{
    BackendSite, CommandResult, accept, add, at, claim, definition, execute, join, process, queue, reconcile, report,
    run_all, try_claim,
};

fn reserve(worker: WorkerId, jobs: usize) -> Command {
    Command::Reserve { worker, queues: vec![(queue(), jobs)] }
}

fn begin(worker: WorkerId, job: u64, run: u64) -> Command {
    Command::StartReserved { worker, job: JobId(job), run: RunId(run) }
}

fn reservation(job: u64, run: u64) -> Reservation {
    Reservation { job: JobId(job), run: RunId(run) }
}

/// The reservations of a worker according to the store.
fn reserved(store: &mut dyn Store, worker: WorkerId) -> Vec<Reservation> {
    let known = store.workers().unwrap().into_iter().find(|known| known.id == worker).unwrap().reserved;
    let loaded = store.load().unwrap().workers().find(|known| known.id == worker).unwrap().reserved.clone();
    assert_eq!(known, loaded);
    known
}

fn phases(store: &mut dyn Store) -> Vec<Phase> {
    let site_state = store.load().unwrap();
    (1..=site_state.counters().job).map(|id| site_state.job(JobId(id)).unwrap().phase()).collect()
}

/// A queue with this many jobs that is being processed, two at once, and a worker.
fn begun(backend: &BackendSite, jobs: usize) -> (Box<dyn Store>, WorkerId) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 2, Vec::new()));
    accept(&mut *store, add(jobs));
    accept(&mut *store, process());
    let worker = join(&mut *store);
    (store, worker)
}

pub(super) fn a_reserved_job_starts_when_another_ends_and_is_not_claimed_by_others(backend: &BackendSite) {
    let (mut store, worker) = begun(backend, 6);
    let mut other_store = backend.connect();
    let other = join(&mut *other_store);
    assert_eq!(try_claim(&mut *store, worker), Some((JobId(1), RunId(1))));
    let done_so = store.transact(&[(&reserve(worker, 2), at(1))]).unwrap();
    let jobs: Vec<&Job> = done_so.claimed.iter().collect();
    assert_eq!(
        jobs.iter().map(|job| (job.id.0, job.phase())).collect::<Vec<_>>(),
        [(2, Phase::Pending), (3, Phase::Pending)]
    );
    assert_eq!(reserved(&mut *store, worker), [reservation(2, 2), reservation(3, 3)]);
    assert_eq!(reserved(&mut *other_store, worker), [reservation(2, 2), reservation(3, 3)], "others see it");

    // The other worker gets the job after them, and its run has a number of its own.
    assert_eq!(try_claim(&mut *other_store, other), Some((JobId(4), RunId(4))));
    assert_eq!(
        try_claim(&mut *other_store, other),
        None,
        "the queue is full: nothing that is reserved has left its position"
    );
    assert_eq!(execute(&mut *other_store, begin(other, 2, 2)), Err(Refusal::StaleRun { job: JobId(2), run: RunId(2) }));
    assert_eq!(execute(&mut *store, begin(worker, 2, 3)), Err(Refusal::StaleRun { job: JobId(2), run: RunId(3) }));

    // The end of one job and the start of the other are one transaction, each with its own time.
    let (end, start) = (report(JobId(1), RunId(1), Outcome::Succeeded), begin(worker, 2, 2));
    let answers = store.transact(&[(&end, at(10)), (&start, at(11)), (&reserve(worker, 2), at(12))]).unwrap().results;
    let [Ok(ended), Ok(started), Ok(more)] = &answers[..] else { panic!("{answers:?}") };
    assert!(matches!(ended[..], [Event::Ended { after_run: AfterRun::Finish, .. }]), "{ended:?}");
    assert!(matches!(&started[..], [Event::Started { run, .. }] if run.started == at(11)), "{started:?}");
    assert_eq!(*more, [Event::Reserved { worker, jobs: vec![reservation(3, 3), reservation(5, 5)] }]);
    let job = store.job(JobId(2)).unwrap().unwrap();
    assert_eq!((job.current_run(), job.attempts), (Some(RunId(2)), 1));
    assert_eq!(store.job(JobId(1)).unwrap().unwrap().executed, Some(at(10)));

    // The remaining reservations are released, and are claimed next.
    accept(&mut *store, Command::Release { worker });
    assert_eq!(reserved(&mut *other_store, worker), []);
    assert_eq!(accept(&mut *store, Command::Release { worker }), [], "there is nothing to release");
    accept(&mut *store, report(JobId(2), RunId(2), Outcome::Succeeded));
    assert_eq!(try_claim(&mut *other_store, other), Some((JobId(3), RunId(6))), "a number is never given twice");
}

pub(super) fn reserved_jobs_are_not_changed_until_released(backend: &BackendSite) {
    let (mut store, worker) = begun(backend, 5);
    let named = |name: &str, title: &str| {
        let digest = Some(i64::from(title.as_bytes()[0]));
        Arc::new(Definition { name: Some(name.into()), digest, ..Arc::unwrap_or_clone(definition(title)) })
    };
    accept(&mut *store, Command::Clear { queue: queue(), phase: Phase::Pending });
    accept(&mut *store, reconcile("2", 2, vec![named("a", "a"), named("b", "b"), named("c", "c")]));
    accept(&mut *store, process());
    try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, reserve(worker, 1));
    let job = JobId(7);
    assert_eq!(reserved(&mut *store, worker), [reservation(7, 2)]);

    let before = store.load().unwrap();
    let refused = [
        Command::Run { job, force: false },
        Command::Cancel { job, stop: StopSignal::Kill },
        Command::Remove { jobs: vec![JobId(8), job] },
        Command::Clear { queue: queue(), phase: Phase::Pending },
        Command::Move { jobs: vec![job], placement: Placement::After(JobId(8)) },
        Command::Start { worker, job },
        Command::Leave { worker, queues: None },
    ];
    for command in refused {
        let refusal = execute(&mut *store, command.clone()).unwrap_err();
        let expected =
            if matches!(command, Command::Leave { .. }) { "still has work to do" } else { "is about to start" };
        assert!(refusal.to_string().contains(expected), "{command:?}: {refusal}");
    }
    assert!(store.load().unwrap() == before, "a refused command changes nothing");

    // The file's change of the job has to wait, as for a running job.
    let read = accept(&mut *store, reconcile("3", 2, vec![named("a", "a"), named("c", "C")]));
    assert!(read.contains(&Event::FileApplied { file_version: String::new() }), "{read:?}");
    assert_eq!(store.job(job).unwrap().unwrap().title(), "b");
    assert_eq!(store.job(JobId(8)).unwrap().unwrap().title(), "C");
    accept(&mut *store, Command::Release { worker });
    let read = accept(&mut *store, reconcile("3", 2, vec![named("a", "a"), named("c", "C")]));
    assert!(read.iter().any(|event| matches!(event, Event::Removed { job: gone, .. } if *gone == job)), "{read:?}");
}

pub(super) fn only_jobs_that_fit_any_slot_are_reserved(backend: &BackendSite) {
    let bare = || Arc::unwrap_or_clone(SchedulingOptions::shared_default());
    let terms = |terms: SchedulingOptions| {
        Arc::new(Definition { scheduling: Arc::new(terms), ..Arc::unwrap_or_clone(definition("x")) })
    };
    let plain = || terms(bare());
    let exec = Arc::new(ExecOptions { pty: true, ..ExecOptions::default() });
    let in_terminal = Arc::new(Definition::new(Script { exec, ..Script::shell("true") }));
    let need = Need { job: JobRef::Number(JobId(1)), on: OutcomeCondition::Finish };
    let others = [
        terms(SchedulingOptions { weight: 2, ..bare() }),
        terms(SchedulingOptions { needs: vec![need], ..bare() }),
        in_terminal,
        terms(SchedulingOptions { uses: vec![PoolUse::one_of("gpu")], ..bare() }),
    ];
    for other in others {
        let mut store = backend.connect();
        let backend = store.load().unwrap().counters().job;
        accept(&mut *store, reconcile(&backend.to_string(), 2, Vec::new()));
        accept(&mut *store, Command::Add { queue: queue(), jobs: vec![plain(), plain(), other, plain()] });
        accept(&mut *store, process());
        let worker = join(&mut *store);
        let (job, run) = try_claim(&mut *store, worker).unwrap();
        accept(&mut *store, report(job, run, Outcome::Succeeded));
        accept(&mut *store, reserve(worker, 3));
        let ids: Vec<u64> =
            reserved(&mut *store, worker).iter().map(|reservation| reservation.job.0 - backend).collect();
        assert_eq!(ids, [2], "the third is waited for");
        accept(&mut *store, Command::Release { worker });
        accept(&mut *store, Command::Clear { queue: queue(), phase: Phase::Pending });
    }

    let (mut store, worker) = begun(backend, 3);
    let none = |store: &mut dyn Store, why: &str| {
        assert_eq!(accept(store, reserve(worker, 3)), [], "{why}");
    };
    accept(&mut *store, Command::Pause { queue: queue() });
    none(&mut *store, "the queue is paused");
    accept(&mut *store, process());
    let last = JobId(store.load().unwrap().counters().job);
    accept(&mut *store, Command::Run { job: last, force: false });
    none(&mut *store, "another job was requested");
    run_all(&mut *store);
    let settings = QueueSettings { on_failure: OnFailure::Stop, ..QueueSettings::default() };
    let queues = vec![DesiredQueue { id: queue(), settings, jobs: Vec::new() }];
    accept(
        &mut *store,
        Command::Reconcile(Box::new(DesiredState { version: "stop".to_owned(), queues, ..DesiredState::default() })),
    );
    accept(&mut *store, add(3));
    accept(&mut *store, process());
    none(&mut *store, "a failure stops the queue");
    assert!(execute(&mut *store, reserve(WorkerId(99), 1)).is_err(), "there is no such worker");
    assert_eq!(accept(&mut *store, Command::Reserve { worker, queues: vec![("nowhere".into(), 9)] }), []);
}

pub(super) fn started_reservations_of_a_dead_worker_are_interrupted(backend: &BackendSite) {
    let (mut store, worker) = begun(backend, 5);
    try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, reserve(worker, 3));
    let mut other_store = backend.connect();
    let events = accept(
        &mut *other_store,
        Command::ReapWorker { worker, started_runs: vec![RunId(2), RunId(3), RunId(77)], unreachable_host: None },
    );
    assert_eq!(events.last(), Some(&Event::WorkerLeft { worker }));
    let (over, open) = (Phase::Finished, Phase::Pending);
    assert_eq!(phases(&mut *other_store), [over, over, over, open, open]);
    for (job, run) in [(1, 1), (2, 2), (3, 3)] {
        let job = other_store.job(JobId(job)).unwrap().unwrap();
        assert_eq!(job.outcome(), Some(&Outcome::Interrupted));
        assert_eq!((job.last_run.unwrap().id, job.attempts), (RunId(run), 1));
        assert_eq!(other_store.runs(job.id).unwrap().len(), 1);
    }
    // At no time did more jobs run than allowed.
    let mut running = 1;
    for event in &events {
        match event {
            Event::Started { .. } => running += 1,
            Event::Ended { .. } => running -= 1,
            _ => {}
        }
        assert!(running <= 2, "{events:?}");
    }
    let other = join(&mut *other_store);
    let Ok(next) = execute(&mut *other_store, claim(other)) as CommandResult else { panic!("the rest is free") };
    assert!(matches!(&next[..], [Event::Started { job: JobId(4), run }] if run.id == RunId(5)), "{next:?}");
    assert_eq!(other_store.load().unwrap().queue(&queue()).unwrap().mode, QueueMode::Processing);
}
