//! The first frame of a long site, which is drawn before all of its jobs are loaded.

use chrono::{TimeDelta, TimeZone, Utc};
use ratatui::layout::Size;
use setlist::model::{
    Command, Definition, DesiredQueue, Event, OnFailure, Outcome, QueueSettings, RunReport, Script, WorkerId,
    WorkerOptions,
};
use setlist::store::{PostgresStore, SqliteStore, StateDir, Store};
use tempfile::TempDir;

use super::harness::{failed, first_frame, plan, queue};
use crate::postgres_server;

const PENDING: usize = 700;
const FINISHED: usize = 600;

/// Fills a site: a queue with many finished jobs, every third of which has failed, a running one and many pending ones, and
/// another queue.
fn fill(store: &mut dyn Store) {
    let start = Utc.with_ymd_and_hms(2026, 11, 22, 11, 0, 0).unwrap();
    let queue = |id: &str, order| DesiredQueue {
        settings: QueueSettings { order, on_failure: OnFailure::Continue, ..QueueSettings::default() },
        ..queue(id, 1, order, &[])
    };
    let plan = plan("1", vec![queue("long", 0), queue("short", 1)]);
    let job = |nth| {
        let mut definition = Definition::new(Script::shell(format!("echo {nth}")));
        definition.title = format!("The job number {nth}");
        definition.into()
    };
    store
        .execute(
            &[
                Command::Reconcile(Box::new(plan)),
                Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() },
                Command::Add { queue: "long".into(), jobs: (0..=PENDING + FINISHED).map(job).collect() },
                Command::Add { queue: "short".into(), jobs: (0..5).map(job).collect() },
                Command::Process { queue: "long".into() },
            ],
            start,
        )
        .unwrap();
    for nth in 0..=FINISHED {
        let now = start + TimeDelta::seconds(i64::try_from(nth).unwrap());
        let claim = Command::Claim { worker: WorkerId(1), queues: None };
        let events = store.execute(&[claim], now).unwrap().remove(0).unwrap();
        let (job, run) = events
            .iter()
            .find_map(|event| match event {
                Event::Started { job, run, .. } => Some((*job, run.id)),
                _ => None,
            })
            .unwrap();
        if nth < FINISHED {
            let outcome = if nth % 3 == 0 { failed("exit code 1") } else { Outcome::Succeeded };
            let end = Command::EndRun { job, run, report: RunReport::new(outcome), on_failure: None };
            store.execute(&[end], now).unwrap().remove(0).unwrap();
        }
    }
}

#[test]
fn its_first_frame_shows_what_the_whole_site_shows() {
    let folder = TempDir::new().unwrap();
    first_frame_equals_the_whole(&mut SqliteStore::open(&StateDir::new(folder.path())).unwrap());
}

#[test]
fn its_first_frame_shows_what_the_whole_site_on_a_server_shows() {
    let Some(address) = postgres_server::new_site() else { return };
    let folder = TempDir::new().unwrap();
    first_frame_equals_the_whole(&mut PostgresStore::open(&address, &StateDir::new(folder.path())).unwrap());
}

fn first_frame_equals_the_whole(store: &mut dyn Store) {
    fill(store);
    let whole = store.load().unwrap();
    let jobs = whole.jobs().count();
    assert!(store.load_first_rows(None, jobs + 1).unwrap().is_none(), "a shorter site is loaded at once");
    let first_rows = store.load_first_rows(None, jobs).unwrap().unwrap();
    assert!(first_rows.jobs().count() < jobs, "all jobs were loaded");
    let now = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
    for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 250)] {
        let size = Size { width, height };
        let [first, later] = [&first_rows, &whole].map(|state| first_frame(state.clone(), None, size, now));
        assert_eq!(first, later, "{width}x{height}");
    }
}
