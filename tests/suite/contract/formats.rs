//! Sites as programs wrote them that knew only an older format, and as this one does: never change the files in
//! `frozen`, they have to be readable for ever.

use std::fs;
use std::time::Duration;

use setlist::model::{Command, Exit, JobId, Ledger, Mode, Outcome, Phase, Reservation, RunId, Site, Turn, WorkerId};
use setlist::store::Store;

use super::{Place, at};

/// A site in which this database lies, opened.
fn site(database: &[u8]) -> (Place, Box<dyn Store>, Ledger) {
    let place = Place::sqlite();
    place.folder().create().unwrap();
    fs::write(place.folder().database(), database).unwrap();
    let mut store = place.connect();
    let ledger = store.load().unwrap();
    (place, store, ledger)
}

/// The worker died at work. It is buried, a job is asked for, and whoever follows the site sees the same.
fn goes_on(store: &mut dyn Store, ledger: Ledger, worker: u64, job: u64) {
    let commands = [Command::Bury { worker: WorkerId(worker), begun: Vec::new() }, Command::Run { job: JobId(job) }];
    let answers = store.execute(&commands, at(0)).unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let followed = Site::holding(ledger, "");
    followed.follow(&store.events_after(followed.read(Ledger::seq)).unwrap().unwrap());
    assert!(followed.read(|copy| *copy == store.load().unwrap()));
}

/// A copy of the database was kept, and it is opened again as it is now.
fn was_kept(place: &Place, format: u32) {
    let kept = fs::read(place.folder().path().join(format!("state.db.format-{format}"))).unwrap();
    assert!(kept.starts_with(b"SQLite format 3\0"), "the copy is there");
    assert!(place.connect().load().is_ok(), "and the site is opened again");
}

#[test]
fn a_site_of_format_1_is_brought_up_to_date_after_a_copy_was_kept() {
    let (place, mut store, ledger) = site(include_bytes!("frozen/format-1.db"));
    let job = |id: u64| ledger.job(JobId(id)).unwrap();
    let fetch = job(1);
    assert_eq!(
        (fetch.path(), fetch.title(), fetch.outcome()),
        ("build/fetch".to_owned(), "Fetch", Some(&Outcome::Succeeded))
    );
    assert_eq!(fetch.value, Some("fetched --locked 3 --jobs 2 --quiet".into()));
    assert_eq!((fetch.attempts, fetch.attempt(), fetch.max_attempts()), (1, 1, 1));
    let setup = &fetch.script().unwrap().setup;
    assert_eq!(setup.timeout, Some(Duration::from_secs(3600)));
    assert_eq!(setup.env["COLOR"].as_deref(), Some("always"));
    assert_eq!(setup.env["GONE"], None, "a variable that is taken away");
    assert_eq!(job(2).failure().unwrap().message, "exit code 3");
    assert_eq!(job(2).script().unwrap().setup.grace, Duration::from_secs(1));
    assert_eq!((job(4).turn(), job(4).failure().is_some()), (Some(Turn::Ready), true), "it stopped its queue");
    assert_eq!((job(6).phase(), job(6).running()), (Phase::Running, Some(RunId(5))));
    assert!(ledger.job(JobId(9)).is_none() && store.job(JobId(9)).unwrap().is_some(), "removed by hand");
    assert_eq!(ledger.queue(&"strict".into()).unwrap().mode, Mode::Stopped);
    goes_on(&mut *store, ledger, 3, 5);
    was_kept(&place, 1);
}

#[test]
fn a_site_of_format_2_is_brought_up_to_date_after_a_copy_was_kept() {
    let (place, mut store, ledger) = site(include_bytes!("frozen/format-2.db"));
    everything_is_there(&mut *store, &ledger);
    assert_eq!(ledger.counters().run, 15);
    goes_on(&mut *store, ledger, 7, 11);
    was_kept(&place, 2);
}

#[test]
fn a_site_of_format_3_is_brought_up_to_date_after_a_copy_was_kept() {
    let (place, mut store, ledger) = site(include_bytes!("frozen/format-3.db"));
    everything_is_there(&mut *store, &ledger);
    assert_eq!(ledger.counters().run, 15);
    goes_on(&mut *store, ledger, 7, 11);
    was_kept(&place, 3);
}

#[test]
fn a_site_of_format_4_is_read_as_it_is() {
    let (place, mut store, ledger) = site(include_bytes!("frozen/format-4.db"));
    everything_is_there(&mut *store, &ledger);
    let reserved = |ledger: &Ledger| ledger.workers().flat_map(|worker| worker.reserved.clone()).collect::<Vec<_>>();
    assert_eq!(reserved(&ledger), [Reservation { job: JobId(15), run: RunId(16) }]);
    assert_eq!(ledger.counters().run, 16);
    goes_on(&mut *store, ledger, 7, 11);
    assert_eq!(reserved(&store.load().unwrap()), []);
    assert!(fs::read_dir(place.folder().path()).unwrap().count() > 0);
    assert!(!place.folder().path().join("state.db.format-4").exists(), "there is nothing to copy");
}

/// The same was done with all of them: retries, needs, a matrix, a question, a time, a queue that stopped, a signal, a job added
/// by hand, one run again, and a worker that was killed.
fn everything_is_there(store: &mut dyn Store, ledger: &Ledger) {
    let job = |id: u64| ledger.job(JobId(id)).unwrap();
    let runs = |store: &mut dyn Store, id: u64| {
        let runs = store.runs(JobId(id)).unwrap();
        runs.into_iter()
            .map(|run| (run.attempt, run.ending.map(|ending| (ending.outcome.word(), ending.exit))))
            .collect::<Vec<_>>()
    };
    let (succeeded, failed) = (Some(("succeeded", Some(Exit::Code(0)))), Some(("failed", Some(Exit::Code(1)))));

    assert_eq!(job(1).value, Some("fetched --locked 3 --jobs 2 --quiet".into()));
    assert_eq!((job(1).attempts, job(1).attempt()), (2, 1), "it was asked for again");
    assert_eq!(runs(store, 1), [(1, succeeded), (2, succeeded)]);
    assert_eq!(job(2).failure().unwrap().message, "exit code 3");
    assert_eq!(job(2).script().unwrap().setup.grace, Duration::from_secs(1));
    assert_eq!((job(3).value.clone(), job(3).max_attempts()), (Some("third time".into()), 3));
    assert_eq!((job(3).definition.terms.priority, job(3).definition.terms.weight), (5, 2));
    assert_eq!(runs(store, 3), [(1, failed), (2, failed), (3, succeeded)]);
    assert_eq!(job(4).outcome().map(Outcome::word), Some("skipped"));
    assert_eq!((job(4).needs[0].job, job(5).needs[0].job, job(4).last_run.is_none()), (JobId(2), JobId(2), true));
    assert_eq!((job(5).outcome(), job(5).value.clone()), (Some(&Outcome::Succeeded), Some("sorry".into())));
    assert_eq!((job(6).turn(), ledger.asking(&"build".into()).count()), (Some(Turn::Held), 1), "it asks first");
    assert_eq!(job(7).script().unwrap().setup.env["size"].as_deref(), Some("small"));
    assert_eq!((job(10).turn(), job(10).failure().is_some()), (Some(Turn::Ready), true), "it stopped its queue");
    assert_eq!(runs(store, 10), [(1, failed), (2, failed)]);
    assert_eq!(job(12).turn(), Some(Turn::Timed { asked: false }));
    assert_eq!(ledger.next_time(&"later".into()).unwrap().timestamp(), 4_070_908_800);
    assert_eq!(job(13).last_run.as_ref().unwrap().ending.as_ref().unwrap().exit, Some(Exit::Signal(9)));
    assert_eq!((job(14).phase(), job(14).running()), (Phase::Running, Some(RunId(15))));
    assert_eq!((runs(store, 14), store.run_by(WorkerId(7)).unwrap().len()), (vec![(1, None)], 1));
    assert_eq!((job(15).turn(), runs(store, 15)), (Some(Turn::Ready), Vec::new()));
    assert_eq!((job(16).title(), job(16).name()), ("By hand", None));
    assert_eq!(ledger.jobs().count(), 16);
    let mode = |queue: &str| ledger.queue(&queue.into()).unwrap().mode;
    assert_eq!((mode("build"), mode("strict"), mode("slow")), (Mode::Idle, Mode::Stopped, Mode::Processing));
    let counters = ledger.counters();
    assert_eq!((counters.job, counters.worker), (16, 7));
    assert!(ledger.stamp().is_some());
}
