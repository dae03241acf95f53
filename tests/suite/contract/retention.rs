//! What is kept of finished jobs, and for how long.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{
    Command, DesiredQueue, DesiredState, HookResult, JobId, Outcome, Phase, QueueSettings, Retention, RunId, Stream,
};
use setlist::store::{PruneReport, Store};

use super::{BackendSite, add, at, claim, definition, join, queue, report, started};

/// A site whose only queue has one job of the file and this retention.
pub(super) fn site(backend: &BackendSite, retention: Retention) -> Box<dyn Store> {
    let mut store = backend.connect();
    let mut job = (*definition("filed")).clone();
    (job.name, job.digest) = (Some("filed".into()), Some(1));
    let settings = QueueSettings { retention, ..QueueSettings::default() };
    let queues = vec![DesiredQueue { id: queue(), settings, jobs: vec![job.into()] }];
    let file =
        Command::Reconcile(Box::new(DesiredState { version: "one".to_owned(), queues, ..DesiredState::default() }));
    assert!(store.execute(&[file], at(0)).unwrap()[0].is_ok());
    store
}

/// Requests and runs a job that writes `says` to its log; returns its run.
fn run(store: &mut dyn Store, job: u64, says: &[u8], now: DateTime<Utc>) -> RunId {
    let worker = join(store);
    let commands = [Command::Run { job: JobId(job), force: false }, claim(worker)];
    let (job, run) = started(&store.execute(&commands, now).unwrap()[1]).unwrap();
    let mut log = store.log_writer(run, 1 << 20);
    log.write(Stream::Out, says, now).unwrap();
    log.finish().unwrap();
    assert!(store.execute(&[report(job, run, Outcome::Succeeded)], now).unwrap()[0].is_ok());
    run
}

pub(super) fn days(count: i64) -> DateTime<Utc> {
    at(0) + TimeDelta::days(count)
}

pub(super) fn old_runs_are_pruned_except_the_latest(backend: &BackendSite) {
    let mut store =
        site(backend, Retention { max_runs: Some(2), max_age_seconds: Some(10 * 86_400), max_output_bytes: None });
    for day in 0..4 {
        run(&mut *store, 1, b"printed", days(day));
    }
    let runs = |store: &mut dyn Store| store.runs(JobId(1)).unwrap().iter().map(|run| run.id.0).collect::<Vec<_>>();
    assert_eq!(store.prune(days(4)).unwrap().runs, 2);
    assert_eq!(runs(&mut *store), [3, 4], "two are kept");
    assert_eq!(store.prune(days(4)).unwrap(), PruneReport::default(), "nothing is left to prune");
    store.prune(days(12)).unwrap();
    assert_eq!(runs(&mut *store), [3, 4], "neither is too old");
    store.prune(days(99)).unwrap();
    assert_eq!(runs(&mut *store), [4], "the latest is kept whatever its age");
    assert_eq!(store.load().unwrap().queue(&queue()).unwrap().finished.len(), 1);
}

pub(super) fn old_jobs_are_pruned_unless_the_file_has_them(backend: &BackendSite) {
    let mut store = site(backend, Retention { max_runs: None, max_age_seconds: Some(86_400), max_output_bytes: None });
    store.execute(&[add(1)], at(0)).unwrap();
    run(&mut *store, 1, b"filed", days(0));
    run(&mut *store, 2, b"added", days(0));
    let mut copy = store.load().unwrap();
    assert_eq!(store.prune(days(1)).unwrap().jobs, 0, "it is not too old yet");
    assert_eq!(store.prune(days(2)).unwrap().jobs, 1);
    let fresh = store.load().unwrap();
    assert_eq!(fresh.jobs().map(|job| job.id.0).collect::<Vec<_>>(), [1]);
    for recorded in store.events_after(copy.seq()).unwrap().unwrap() {
        copy.apply(&recorded);
    }
    assert_eq!(copy, fresh, "a follower gets the events");
    assert_eq!(copy.queue(&queue()).unwrap().jobs_in(Phase::Finished).len(), 1);
}

/// The output of a run; none if it was deleted.
fn log(backend: &BackendSite, run: RunId) -> Option<String> {
    let mut reader = backend.connect().log_reader(run);
    let mut buffer = vec![0; 1 << 16];
    let len = reader.read_at(0, &mut buffer).unwrap().len;
    (!reader.is_deleted().unwrap()).then(|| String::from_utf8(buffer[..len].to_vec()).unwrap())
}

/// So much output that it stays in its file.
fn large(text: &str) -> String {
    format!("{text:5000}")
}

#[test]
fn output_being_read_is_not_pruned() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: Some(1), max_age_seconds: None, max_output_bytes: None });
    let first = run(&mut *store, 1, large("first").as_bytes(), days(0));
    let second = run(&mut *store, 1, large("second").as_bytes(), days(0));
    let mut reader = store.log_reader(first);
    assert_eq!(reader.len().unwrap(), 5000);
    assert_eq!(store.prune(days(1)).unwrap(), PruneReport::default(), "its output is being read");
    assert_eq!((log(&backend, first), store.runs(JobId(1)).unwrap().len()), (Some(large("first")), 2));
    drop(reader);
    let pruned = store.prune(days(1)).unwrap();
    assert!(pruned.runs == 1 && pruned.bytes >= 5000, "{pruned:?}");
    assert_eq!((log(&backend, first), log(&backend, second)), (None, Some(large("second"))));
}

#[test]
fn the_space_of_many_pruned_runs_is_given_back() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: Some(2), max_age_seconds: None, max_output_bytes: None });
    (0..3).for_each(|day| _ = run(&mut *store, 1, b"printed", days(day)));
    let database = backend.state_dir().database();
    let other = rusqlite::Connection::open(&database).unwrap();
    // More runs with long values.
    let earlier = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 9000) \
                   INSERT INTO runs (job, id, attempt, worker, started, ended, outcome, value) \
                   SELECT 1, 1000 + n, 0, 1, n, n, '\"succeeded\"', '\"' || hex(zeroblob(1000)) || '\"' FROM n";
    assert_eq!(other.execute(earlier, ()).unwrap(), 9000);
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
    let before = fs::metadata(&database).unwrap().len();
    assert_eq!(store.prune(days(3)).unwrap().runs, 9001);
    assert_eq!(store.runs(JobId(1)).unwrap().iter().map(|run| run.id.0).collect::<Vec<_>>(), [10_000, 3]);
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
    let after = fs::metadata(&database).unwrap().len();
    assert!(before > 18 << 20 && after < 5 << 20, "{before} bytes before, {after} after");
    let integrity: String = other.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
}

#[test]
fn very_many_old_jobs_are_pruned_in_several_transactions() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: None, max_age_seconds: Some(86_400), max_output_bytes: None });
    store.execute(&[add(300)], at(0)).unwrap();
    let jobs = 2..=301_u64;
    let worker = join(&mut *store);
    for job in jobs.clone() {
        let commands = [Command::Run { job: JobId(job), force: false }, claim(worker)];
        let (job, run) = started(&store.execute(&commands, days(0)).unwrap()[1]).unwrap();
        assert!(store.execute(&[report(job, run, Outcome::Succeeded)], days(0)).unwrap()[0].is_ok());
    }
    let mut copy = store.load().unwrap();
    assert_eq!(store.prune(days(2)).unwrap().jobs, 300);
    assert!(jobs.into_iter().all(|job| store.job(JobId(job)).unwrap().is_none()), "their rows are gone");
    for recorded in store.events_after(copy.seq()).unwrap().unwrap() {
        copy.apply(&recorded);
    }
    assert_eq!(copy, store.load().unwrap(), "a follower gets the events");
    assert_eq!(store.prune(days(2)).unwrap(), PruneReport::default(), "nothing is left to prune");
}

#[test]
fn a_job_whose_output_is_being_read_is_not_pruned() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: None, max_age_seconds: Some(86_400), max_output_bytes: None });
    store.execute(&[add(1)], at(0)).unwrap();
    let run = run(&mut *store, 2, large("added").as_bytes(), days(0));
    assert!(store.execute(&[Command::Remove { jobs: vec![JobId(2)] }], days(1)).unwrap()[0].is_ok());
    let mut reader = store.log_reader(run);
    assert_eq!(reader.len().unwrap(), 5000);
    store.prune(days(9)).unwrap();
    assert!(store.job(JobId(2)).unwrap().is_some(), "its output is being read");
    assert_eq!(log(&backend, run), Some(large("added")));
    drop(reader);
    store.prune(days(9)).unwrap();
    assert_eq!((store.job(JobId(2)).unwrap(), log(&backend, run)), (None, None));
}

#[test]
fn hook_results_are_kept_as_long_as_their_runs() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: Some(1), max_age_seconds: None, max_output_bytes: Some(1) });
    let end =
        |day, output: &str| HookResult { at: days(day), outcome: Outcome::Succeeded, last_line: output.to_owned() };
    let result_of = |store: &mut dyn Store, run: RunId| {
        let runs = store.runs(JobId(1)).unwrap();
        let run = runs.iter().find(|known| known.id == run)?.clone();
        store.log_reader(run.id).hook_result(&run)
    };
    // A result left by a run of the same number, in a site that was lost.
    store.save_hook_result(RunId(1), &end(0, "of another run")).unwrap();
    let first = run(&mut *store, 1, b"first", days(1));
    assert_eq!((first, result_of(&mut *store, first)), (RunId(1), None));
    for output in ["early", &"late ".repeat(200)] {
        store.save_hook_result(first, &end(1, output)).unwrap();
        assert_eq!(result_of(&mut *store, first), Some(end(1, output)));
    }
    assert_eq!(store.prune(days(2)).unwrap(), PruneReport::default());
    assert_eq!(log(&backend, first).as_deref(), Some("first"), "it does not count as output");
    let silent = run(&mut *store, 1, b"", days(2));
    store.save_hook_result(silent, &end(2, "")).unwrap();
    assert_eq!(store.prune(days(3)).unwrap().runs, 1);
    assert_eq!(result_of(&mut *store, silent), Some(end(2, "")));
    run(&mut *store, 1, b"third", days(3));
    assert_eq!(store.prune(days(4)).unwrap().runs, 1);
    let left = fs::read_dir(backend.state_dir().logs()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = left.map(|name| name.into_string().unwrap()).filter(|name| name.contains("hook")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_oldest_output_is_deleted_first_and_leaves_a_notice() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: None, max_age_seconds: None, max_output_bytes: Some(2_700) });
    let runs: Vec<RunId> = (0..3).map(|day| run(&mut *store, 1, &[b'x'; 1_000], days(day))).collect();
    assert!(store.prune(days(3)).unwrap().bytes > 900);
    let first = log(&backend, runs[0]).unwrap();
    assert!(first.starts_with("[setlist: 1.0 KiB of output deleted on "), "{first}");
    assert!(first.ends_with(" to make room]\n"), "{first}");
    assert_eq!(log(&backend, runs[2]).unwrap().len(), 1_000, "the others are whole");
    assert_eq!(log(&backend, runs[1]).unwrap().len(), 1_000);
    assert_eq!(store.runs(JobId(1)).unwrap().len(), 3, "the runs are kept");
    assert_eq!(store.prune(days(4)).unwrap(), PruneReport::default());
}
