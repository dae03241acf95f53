//! Sites written by older versions, and by this one. Never change the files in `frozen`: they have to stay readable.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use chrono::DateTime;
use setlist::model::{
    Command, Exit, Job, JobCounts, JobId, JobState, NeedCounts, Outcome, OutcomeCondition, Phase, QueueMode,
    QueueSettings, Readiness, Reservation, ResolvedNeed, RunId, RunReport, Script, Site, SiteState, StateReader,
    WaitConditions, WorkerId,
};
use setlist::store::{ListPosition, PostgresStore, ServerAddress, StateDir, Store, StoreError};
use tempfile::TempDir;

use super::random_commands::{
    counted_again, list_pages_equal_the_whole, overview_equals_the_whole, stored_need_counts,
};
use super::{BackendSite, accept, add, at};
use crate::own_server::OwnServer;

/// A site with this database.
fn site(database: &[u8]) -> (BackendSite, Box<dyn Store>, SiteState) {
    let backend = BackendSite::sqlite();
    backend.state_dir().create().unwrap();
    fs::write(backend.state_dir().database(), database).unwrap();
    let mut store = backend.connect();
    let site_state = store.load().unwrap();
    (backend, store, site_state)
}

/// The worker was killed. It is reaped, a job is requested, and a follower sees the same.
fn continues_working(store: &mut dyn Store, site_state: SiteState, worker: u64, job: u64) {
    let commands = [
        Command::ReapWorker { worker: WorkerId(worker), started_runs: Vec::new(), unreachable_host: None },
        Command::Run { job: JobId(job), force: false },
    ];
    let answers = store.execute(&commands, at(0)).unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let followed = Site::with_state(site_state, "");
    followed.apply_records(&store.events_after(followed.read(SiteState::seq)).unwrap().unwrap());
    assert!(followed.read(|copy| *copy == store.load().unwrap()));
}

/// The database was backed up, and can be opened again.
fn check_backup(backend: &BackendSite, format: u32) {
    let kept = fs::read(backend.state_dir().path().join(format!("state.db.format-{format}"))).unwrap();
    assert!(kept.starts_with(b"SQLite format 3\0"), "there is a backup");
    let site_state = backend.connect().load().unwrap();
    overview_equals_the_whole(&mut *backend.connect(), at(0)).unwrap();
    let stored = stored_need_counts(&backend.state_dir());
    for job in site_state.jobs() {
        assert_eq!(stored[&job.id], counted_again(&site_state, job), "the unmet needs of {}", job.path());
    }
}

#[test]
fn format_1_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-1.db"));
    let job = |id: u64| site_state.job(JobId(id)).unwrap();
    let fetch = job(1);
    assert_eq!(
        (fetch.path(), fetch.title(), fetch.outcome()),
        ("build/fetch".to_owned(), "Fetch", Some(&Outcome::Succeeded))
    );
    assert_eq!(fetch.value.as_deref(), Some(&"fetched --locked 3 --jobs 2 --quiet".into()));
    assert_eq!((fetch.attempts, fetch.current_attempt(), fetch.max_attempts()), (1, 1, 1));
    let setup = &fetch.script().unwrap().exec;
    assert_eq!(setup.timeout, Some(Duration::from_secs(3600)));
    assert_eq!(setup.env["COLOR"].as_deref(), Some("always"));
    assert_eq!(setup.env["GONE"], None, "a variable that is removed");
    assert_eq!(job(2).failure().unwrap().message, "exit code 3");
    assert_eq!(job(2).script().unwrap().exec.grace, Duration::from_secs(1));
    assert_eq!(
        (job(4).readiness(), job(4).failure().is_some()),
        (Some(Readiness::Ready), true),
        "it stopped its queue"
    );
    assert_eq!((job(6).phase(), job(6).current_run()), (Phase::Running, Some(RunId(5))));
    assert!(site_state.job(JobId(9)).is_none() && store.job(JobId(9)).unwrap().is_some(), "removed by a user");
    assert_eq!(site_state.queue(&"strict".into()).unwrap().mode, QueueMode::Stopped);
    continues_working(&mut *store, site_state, 3, 5);
    check_backup(&backend, 1);
}

#[test]
fn format_2_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-2.db"));
    everything_is_there(&mut *store, &site_state);
    assert_eq!(site_state.counters().run, 15);
    continues_working(&mut *store, site_state, 7, 11);
    check_backup(&backend, 2);
}

#[test]
fn format_3_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-3.db"));
    everything_is_there(&mut *store, &site_state);
    assert_eq!(site_state.counters().run, 15);
    continues_working(&mut *store, site_state, 7, 11);
    check_backup(&backend, 3);
}

#[test]
fn format_4_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-4.db"));
    everything_is_there(&mut *store, &site_state);
    let reserved =
        |site_state: &SiteState| site_state.workers().flat_map(|worker| worker.reserved.clone()).collect::<Vec<_>>();
    assert_eq!(reserved(&site_state), [Reservation { job: JobId(15), run: RunId(16) }]);
    assert_eq!(site_state.counters().run, 16);
    continues_working(&mut *store, site_state, 7, 11);
    assert_eq!(reserved(&store.load().unwrap()), []);
    check_backup(&backend, 4);
}

#[test]
fn format_5_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-5.db"));
    let job = |id: u64| site_state.job(JobId(id)).unwrap();
    let counts = |id: u64| StateReader::need_counts(&site_state, JobId(id)).unwrap();
    let end = job(2).result_run().unwrap().end.clone().unwrap();
    assert_eq!(end.cause.unwrap().to_string(), "last error: no space");
    // Needs of every kind: met, failed and not finished.
    assert_eq!(counts(3), NeedCounts { pending: 0, failed: 1 });
    assert_eq!(counts(5), NeedCounts::default());
    assert_eq!(counts(7), NeedCounts { pending: 1, failed: 0 });
    assert_eq!(counts(9), NeedCounts { pending: 1, failed: 0 });
    assert_eq!((job(6).phase(), job(11).phase()), (Phase::Running, Phase::Running));
    assert_eq!(job(11).definition.scheduling.unique.as_deref(), Some("sync"));
    let night = site_state.queue(&"night".into()).unwrap();
    assert!(night.settings.schedule.is_some() && night.mode == QueueMode::Paused);
    assert!(job(10).definition.scheduling.expect.is_some());
    assert!(site_state.job(JobId(8)).is_none() && store.job(JobId(8)).unwrap().is_some(), "removed by a user");
    continues_working(&mut *store, site_state, 1, 10);
    check_backup(&backend, 5);
}

#[test]
fn format_6_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-6.db"));
    overview_equals_the_whole(&mut *store, at(0)).unwrap();
    let counts = store.load_overview().unwrap().counts;
    let count = |queue: &str| {
        let JobCounts { pending, running, finished, failed } = counts[queue];
        (pending, running, finished, failed)
    };
    assert_eq!(count("build"), (0, 0, 5, 2));
    assert_eq!(count("strict"), (2, 0, 0, 0));
    assert_eq!(count("ask"), (2, 0, 1, 0));
    assert_eq!(count("slow"), (0, 1, 1, 0));
    assert_eq!(count("later"), (1, 0, 0, 0), "one was removed");
    assert_eq!(site_state.stop_reason(&"strict".into()), "stopped by strict/stops");
    continues_working(&mut *store, site_state, 3, 1);
    overview_equals_the_whole(&mut *store, at(0)).unwrap();
    check_backup(&backend, 6);
}

#[test]
fn format_7_is_backed_up_and_migrated() {
    let (backend, mut store, site_state) = site(include_bytes!("frozen/format-7.db"));
    let queue = |name: &str| site_state.queue(&name.into()).unwrap();
    let finished = [1, 5, 6, 3, 2, 4].map(JobId);
    assert!(queue("build").finished.iter().eq(&finished), "{:?}", queue("build").finished);
    let page = store.list_page(&["build".into()], &ListPosition::default(), 100).unwrap();
    assert_eq!(page.jobs, finished);
    for limit in [1, 4, 100] {
        list_pages_equal_the_whole(&mut *store, limit, at(0)).unwrap();
    }
    assert_eq!(store.job_tags().unwrap().into_iter().collect::<Vec<_>>(), ["nightly"]);
    assert_eq!((queue("ask").pending.len(), queue("slow").running.len()), (2, 1));
    assert!(site_state.job(JobId(8)).is_none() && store.job(JobId(8)).unwrap().is_some(), "removed by a user");
    assert_eq!(site_state.stop_reason(&"strict".into()), "stopped by strict/stops");
    continues_working(&mut *store, site_state, 2, 1);
    overview_equals_the_whole(&mut *store, at(0)).unwrap();
    check_backup(&backend, 7);
}

/// All frozen sites have the same history: retries, needs, a matrix, a confirmation, a delay, a stopped queue, a
/// signal, an added job, a rerun and a killed worker.
fn everything_is_there(store: &mut dyn Store, site_state: &SiteState) {
    let job = |id: u64| site_state.job(JobId(id)).unwrap();
    let runs = |store: &mut dyn Store, id: u64| {
        let runs = store.runs(JobId(id)).unwrap();
        runs.into_iter()
            .map(|run| (run.attempt, run.end.map(|ending| (ending.outcome.as_str(), ending.exit))))
            .collect::<Vec<_>>()
    };
    let (succeeded, failed) = (Some(("succeeded", Some(Exit::Code(0)))), Some(("failed", Some(Exit::Code(1)))));

    assert_eq!(job(1).value.as_deref(), Some(&"fetched --locked 3 --jobs 2 --quiet".into()));
    assert_eq!((job(1).attempts, job(1).current_attempt()), (2, 1), "it was requested again");
    assert_eq!(runs(store, 1), [(1, succeeded), (2, succeeded)]);
    assert_eq!(job(2).failure().unwrap().message, "exit code 3");
    assert_eq!(job(2).script().unwrap().exec.grace, Duration::from_secs(1));
    assert_eq!((job(3).value.as_deref(), job(3).max_attempts()), (Some(&"third time".into()), 3));
    assert_eq!((job(3).definition.scheduling.priority, job(3).definition.scheduling.weight), (5, 2));
    assert_eq!(runs(store, 3), [(1, failed), (2, failed), (3, succeeded)]);
    assert_eq!(job(4).outcome().map(Outcome::as_str), Some("skipped"));
    assert_eq!((job(4).needs[0].job, job(5).needs[0].job, job(4).last_run.is_none()), (JobId(2), JobId(2), true));
    let counts = |id: u64| StateReader::need_counts(site_state, JobId(id)).unwrap();
    assert_eq!((counts(4), counts(5)), (NeedCounts { pending: 0, failed: 1 }, NeedCounts::default()));
    assert_eq!((job(5).outcome(), job(5).value.as_deref()), (Some(&Outcome::Succeeded), Some(&"sorry".into())));
    assert_eq!(
        (job(6).readiness(), site_state.awaiting_approval(&"build".into()).count()),
        (Some(Readiness::Blocked), 1),
        "it needs confirmation"
    );
    assert_eq!(job(7).script().unwrap().exec.env["size"].as_deref(), Some("small"));
    assert_eq!(
        (job(10).readiness(), job(10).failure().is_some()),
        (Some(Readiness::Ready), true),
        "it stopped its queue"
    );
    assert_eq!(runs(store, 10), [(1, failed), (2, failed)]);
    assert_eq!(job(12).readiness(), Some(Readiness::Scheduled { requested: false }));
    assert_eq!(site_state.next_scheduled_time(&"later".into()).unwrap().timestamp(), 4_070_908_800);
    assert_eq!(job(13).last_run.as_ref().unwrap().end.as_ref().unwrap().exit, Some(Exit::Signal(9)));
    assert_eq!((job(14).phase(), job(14).current_run()), (Phase::Running, Some(RunId(15))));
    assert_eq!((runs(store, 14), store.jobs_run_by(WorkerId(7)).unwrap().len()), (vec![(1, None)], 1));
    assert_eq!((job(15).readiness(), runs(store, 15)), (Some(Readiness::Ready), Vec::new()));
    assert_eq!((job(16).title(), job(16).name()), ("By hand", None));
    assert_eq!(site_state.jobs().count(), 16);
    let mode = |queue: &str| site_state.queue(&queue.into()).unwrap().mode;
    assert_eq!(
        (mode("build"), mode("strict"), mode("slow")),
        (QueueMode::Idle, QueueMode::Stopped, QueueMode::Processing)
    );
    let counters = site_state.counters();
    assert_eq!((counters.job, counters.worker), (16, 7));
    assert!(site_state.file_version().is_some());
}

#[test]
fn the_tables_of_a_server_are_upgraded_and_those_of_a_newer_version_refused() {
    let Some(server) = OwnServer::start_with(&["fsync=off"], |_| ()) else { return };
    let mut client = server.client().unwrap();
    client.batch_execute(include_str!("../../../src/store/postgres/schema.sql")).unwrap();
    let worker = r#"{"id": 7, "host": "b", "pid": 1}"#;
    let mut rows = format!(
        "INSERT INTO setlist.sites (name, seq, job, worker) VALUES ('app', 9, 4, 7); \
         INSERT INTO setlist.events VALUES (1, 9, 0, '{{}}'); \
         INSERT INTO setlist.workers (site, id, body) VALUES (1, 7, '{worker}'); \
         INSERT INTO setlist.queues VALUES (1, '\"build\"', '{}', '\"processing\"');",
        serde_json::to_string(&QueueSettings::default()).unwrap()
    );
    let at = DateTime::UNIX_EPOCH;
    let finished = |outcome| JobState::Finished { outcome, at };
    let pending =
        |needs| JobState::Pending { requested: false, wait: WaitConditions { needs, ..WaitConditions::default() } };
    let need = |job| ResolvedNeed { job: JobId(job), on: OutcomeCondition::Success };
    let jobs = [
        (1, finished(Outcome::Succeeded), vec![], "NULL"),
        (2, pending(false), vec![need(1)], "NULL"),
        (3, pending(true), vec![need(1), need(2)], "NULL"),
        (4, finished(Outcome::Cancelled), vec![], r#"'"hand"'"#),
    ];
    for (id, state, needs, removed) in jobs {
        let mut job = Job::new(Script::shell("true"));
        (job.id, job.queue, job.position) = (JobId(id), "build".into(), i64::try_from(id).unwrap());
        (job.state, job.needs) = (state, needs.into());
        let body = serde_json::to_string(&job).unwrap();
        write!(rows, "INSERT INTO setlist.jobs VALUES (1, {id}, '\"build\"', {removed}, 0, '{body}');").unwrap();
    }
    client.batch_execute(&rows).unwrap();
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=app&sslmode=disable", server.port);
    let (address, folder) = (ServerAddress::parse(&url).unwrap(), TempDir::new().unwrap());
    let open = || PostgresStore::open(&address, &StateDir::new(folder.path()));
    let mut store = open().unwrap();
    assert_eq!(store.worker_machines(&[WorkerId(7)]).unwrap(), [(WorkerId(7), "b".to_owned())].into());
    // What queries look for is in columns now.
    let counts = JobCounts { pending: 2, running: 0, finished: 1, failed: 0 };
    assert_eq!(store.load_overview().unwrap().counts, [("build".into(), counts)].into());
    assert_eq!(store.removed_jobs().unwrap().iter().map(|job| job.id).collect::<Vec<_>>(), [JobId(4)]);
    let (seq, next) = store.next_ready_job(WorkerId(7), None).unwrap();
    assert_eq!((seq, next), (9, Some(JobId(2))));
    accept(&mut store, Command::Claim { worker: WorkerId(7), queues: None });
    let end = RunReport::new(Outcome::Succeeded);
    accept(&mut store, Command::EndRun { job: JobId(2), run: RunId(1), report: end, on_failure: None });
    assert_eq!(store.next_ready_job(WorkerId(7), None).unwrap().1, Some(JobId(3)));
    accept(&mut store, add(1));
    assert_eq!(open().unwrap().load().unwrap().jobs().count(), 4);
    // A program that knows only format 2 fails.
    assert!(client.batch_execute("SELECT seq, generation FROM setlist.sites").is_err());
    client.batch_execute("UPDATE setlist.format SET version = 99").unwrap();
    let refused = open().err().unwrap();
    assert!(matches!(refused, StoreError::ServerTooNew { found: 99, known: 3, .. }), "{refused}");
    let format: i32 = client.query_one("SELECT version FROM setlist.format", &[]).unwrap().get(0);
    assert_eq!(format, 99);
}
