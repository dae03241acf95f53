//! Jobs that are set aside for a worker, as every store keeps them.

use std::sync::Arc;

use setlist::Job;
use setlist::model::{
    Beside, Command, Definition, Event, JobId, Mode, Need, On, OnFailure, Outcome, Phase, Plan, QueuePlan, Refusal,
    Reservation, RunId, Script, Settings, Setup, Stop, Target, Terms, Then, WorkerId,
};
use setlist::store::Store;

use super::{
    Answer, Place, add, answer, at, claim, claimed, definition, done, file, join, process, queue, report, work,
};

fn reserve(worker: WorkerId, jobs: usize) -> Command {
    Command::Reserve { worker, queues: vec![(queue(), jobs)] }
}

fn begin(worker: WorkerId, job: u64, run: u64) -> Command {
    Command::Begin { worker, job: JobId(job), run: RunId(run) }
}

fn reservation(job: u64, run: u64) -> Reservation {
    Reservation { job: JobId(job), run: RunId(run) }
}

/// What is reserved for a worker, by whoever looks.
fn reserved(store: &mut dyn Store, worker: WorkerId) -> Vec<Reservation> {
    let known = store.workers().unwrap().into_iter().find(|known| known.id == worker).unwrap().reserved;
    let loaded = store.load().unwrap().workers().find(|known| known.id == worker).unwrap().reserved.clone();
    assert_eq!(known, loaded);
    known
}

fn phases(store: &mut dyn Store) -> Vec<Phase> {
    let ledger = store.load().unwrap();
    (1..=ledger.counters().job).map(|id| ledger.job(JobId(id)).unwrap().phase()).collect()
}

/// A queue of so many jobs that is processed, two at once, and a worker.
fn begun(place: &Place, jobs: usize) -> (Box<dyn Store>, WorkerId) {
    let mut store = place.connect();
    done(&mut *store, file("1", 2, Vec::new()));
    done(&mut *store, add(jobs));
    done(&mut *store, process());
    let worker = join(&mut *store);
    (store, worker)
}

pub(super) fn a_reserved_job_is_nobody_elses_and_begins_in_place_of_another(place: &Place) {
    let (mut store, worker) = begun(place, 6);
    let mut fellow = place.connect();
    let other = join(&mut *fellow);
    assert_eq!(claimed(&mut *store, worker), Some((JobId(1), RunId(1))));
    let done_so = store.transact(&[(&reserve(worker, 2), at(1))]).unwrap();
    let jobs: Vec<&Job> = done_so.taken_up.iter().collect();
    assert_eq!(
        jobs.iter().map(|job| (job.id.0, job.phase())).collect::<Vec<_>>(),
        [(2, Phase::Pending), (3, Phase::Pending)]
    );
    assert_eq!(reserved(&mut *store, worker), [reservation(2, 2), reservation(3, 3)]);
    assert_eq!(reserved(&mut *fellow, worker), [reservation(2, 2), reservation(3, 3)], "others see it");

    // The fellow takes what is next after them, and its run has a number of its own.
    assert_eq!(claimed(&mut *fellow, other), Some((JobId(4), RunId(4))));
    assert_eq!(claimed(&mut *fellow, other), None, "the queue is full: nothing that is reserved has left its place");
    assert_eq!(answer(&mut *fellow, begin(other, 2, 2)), Err(Refusal::StaleRun { job: JobId(2), run: RunId(2) }));
    assert_eq!(answer(&mut *store, begin(worker, 2, 3)), Err(Refusal::StaleRun { job: JobId(2), run: RunId(3) }));

    // The end of the one and the start of the other are one change, each at its own time.
    let (end, start) = (report(JobId(1), RunId(1), Outcome::Succeeded), begin(worker, 2, 2));
    let answers = store.transact(&[(&end, at(10)), (&start, at(11)), (&reserve(worker, 2), at(12))]).unwrap().answers;
    let [Ok(ended), Ok(started), Ok(more)] = &answers[..] else { panic!("{answers:?}") };
    assert!(matches!(ended[..], [Event::Ended { then: Then::Finish, .. }]), "{ended:?}");
    assert!(matches!(&started[..], [Event::Started { run, .. }] if run.started == at(11)), "{started:?}");
    assert_eq!(*more, [Event::Reserved { worker, jobs: vec![reservation(3, 3), reservation(5, 5)] }]);
    let job = store.job(JobId(2)).unwrap().unwrap();
    assert_eq!((job.running(), job.attempts), (Some(RunId(2)), 1));
    assert_eq!(store.job(JobId(1)).unwrap().unwrap().executed, Some(at(10)));

    // Whatever is left is given back, and is next for whoever asks first.
    done(&mut *store, Command::Release { worker });
    assert_eq!(reserved(&mut *fellow, worker), []);
    assert_eq!(done(&mut *store, Command::Release { worker }), [], "there is nothing to release");
    done(&mut *store, report(JobId(2), RunId(2), Outcome::Succeeded));
    assert_eq!(claimed(&mut *fellow, other), Some((JobId(3), RunId(6))), "a number is never given twice");
}

pub(super) fn what_is_reserved_is_left_alone_until_it_is_released(place: &Place) {
    let (mut store, worker) = begun(place, 5);
    let named = |name: &str, title: &str| {
        let digest = Some(i64::from(title.as_bytes()[0]));
        Arc::new(Definition { name: Some(name.into()), digest, ..Arc::unwrap_or_clone(definition(title)) })
    };
    done(&mut *store, Command::Clear { queue: queue(), phase: Phase::Pending });
    done(&mut *store, file("2", 2, vec![named("a", "a"), named("b", "b"), named("c", "c")]));
    done(&mut *store, process());
    claimed(&mut *store, worker).unwrap();
    done(&mut *store, reserve(worker, 1));
    let job = JobId(7);
    assert_eq!(reserved(&mut *store, worker), [reservation(7, 2)]);

    let before = store.load().unwrap();
    let refused = [
        Command::Run { job },
        Command::Cancel { job, stop: Stop::Kill },
        Command::Remove { jobs: vec![JobId(8), job] },
        Command::Clear { queue: queue(), phase: Phase::Pending },
        Command::Move { jobs: vec![job], beside: Beside::After(JobId(8)) },
        Command::Start { worker, job },
        Command::Leave { worker, queues: None },
    ];
    for command in refused {
        let refusal = answer(&mut *store, command.clone()).unwrap_err();
        let expected = if matches!(command, Command::Leave { .. }) { "has work to do" } else { "is about to start" };
        assert!(refusal.to_string().contains(expected), "{command:?}: {refusal}");
    }
    assert!(store.load().unwrap() == before, "a refused command changes nothing");

    // What the file says of it has to wait, as for a job that runs.
    let read = done(&mut *store, file("3", 2, vec![named("a", "a"), named("c", "C")]));
    assert!(read.contains(&Event::FileRead { stamp: String::new() }), "{read:?}");
    assert_eq!(store.job(job).unwrap().unwrap().title(), "b");
    assert_eq!(store.job(JobId(8)).unwrap().unwrap().title(), "C");
    done(&mut *store, Command::Release { worker });
    let read = done(&mut *store, file("3", 2, vec![named("a", "a"), named("c", "C")]));
    assert!(read.iter().any(|event| matches!(event, Event::Removed { job: gone, .. } if *gone == job)), "{read:?}");
}

pub(super) fn only_what_can_take_any_place_is_reserved(place: &Place) {
    let bare = || Arc::unwrap_or_clone(Terms::none());
    let terms = |terms: Terms| Arc::new(Definition { terms: Arc::new(terms), ..Arc::unwrap_or_clone(definition("x")) });
    let plain = || terms(bare());
    let setup = Arc::new(Setup { pty: true, ..Setup::default() });
    let in_terminal = Arc::new(Definition::new(Script { setup, ..Script::shell("true") }));
    let need = Need { job: Target::Number(JobId(1)), on: On::Finish };
    let others = [terms(Terms { weight: 2, ..bare() }), terms(Terms { needs: vec![need], ..bare() }), in_terminal];
    for other in others {
        let mut store = place.connect();
        let place = store.load().unwrap().counters().job;
        done(&mut *store, file(&place.to_string(), 2, Vec::new()));
        done(&mut *store, Command::Add { queue: queue(), jobs: vec![plain(), plain(), other, plain()] });
        done(&mut *store, process());
        let worker = join(&mut *store);
        let (job, run) = claimed(&mut *store, worker).unwrap();
        done(&mut *store, report(job, run, Outcome::Succeeded));
        done(&mut *store, reserve(worker, 3));
        let ids: Vec<u64> = reserved(&mut *store, worker).iter().map(|reservation| reservation.job.0 - place).collect();
        assert_eq!(ids, [2], "the third is waited for");
        done(&mut *store, Command::Release { worker });
        done(&mut *store, Command::Clear { queue: queue(), phase: Phase::Pending });
    }

    let (mut store, worker) = begun(place, 3);
    let none = |store: &mut dyn Store, why: &str| {
        assert_eq!(done(store, reserve(worker, 3)), [], "{why}");
    };
    done(&mut *store, Command::Pause { queue: queue() });
    none(&mut *store, "the queue is paused");
    done(&mut *store, process());
    let last = JobId(store.load().unwrap().counters().job);
    done(&mut *store, Command::Run { job: last });
    none(&mut *store, "somebody has asked for another one");
    work(&mut *store);
    let settings = Settings { on_failure: OnFailure::Stop, ..Settings::default() };
    let queues = vec![QueuePlan { id: queue(), settings, jobs: Vec::new() }];
    done(&mut *store, Command::Reconcile(Box::new(Plan { stamp: "stop".to_owned(), queues })));
    done(&mut *store, add(3));
    done(&mut *store, process());
    none(&mut *store, "a failure stops the queue");
    assert!(answer(&mut *store, reserve(WorkerId(99), 1)).is_err(), "there is no such worker");
    assert_eq!(done(&mut *store, Command::Reserve { worker, queues: vec![("nowhere".into(), 9)] }), []);
}

pub(super) fn of_what_was_reserved_for_a_dead_worker_the_begun_is_interrupted(place: &Place) {
    let (mut store, worker) = begun(place, 5);
    claimed(&mut *store, worker).unwrap();
    done(&mut *store, reserve(worker, 3));
    let mut fellow = place.connect();
    let events = done(&mut *fellow, Command::Bury { worker, begun: vec![RunId(2), RunId(3), RunId(77)] });
    assert_eq!(events.last(), Some(&Event::WorkerLeft { worker }));
    let (over, open) = (Phase::Finished, Phase::Pending);
    assert_eq!(phases(&mut *fellow), [over, over, over, open, open]);
    for (job, run) in [(1, 1), (2, 2), (3, 3)] {
        let job = fellow.job(JobId(job)).unwrap().unwrap();
        assert_eq!(job.outcome(), Some(&Outcome::Interrupted));
        assert_eq!((job.last_run.unwrap().id, job.attempts), (RunId(run), 1));
        assert_eq!(fellow.runs(job.id).unwrap().len(), 1);
    }
    // At no moment did more run than may.
    let mut running = 1;
    for event in &events {
        match event {
            Event::Started { .. } => running += 1,
            Event::Ended { .. } => running -= 1,
            _ => {}
        }
        assert!(running <= 2, "{events:?}");
    }
    let other = join(&mut *fellow);
    let Ok(next) = answer(&mut *fellow, claim(other)) as Answer else { panic!("the rest is free") };
    assert!(matches!(&next[..], [Event::Started { job: JobId(4), run }] if run.id == RunId(5)), "{next:?}");
    assert_eq!(fellow.load().unwrap().queue(&queue()).unwrap().mode, Mode::Processing);
}
