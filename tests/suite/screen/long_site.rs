//! The first frame of a long site, which is drawn before all of its jobs are loaded, and the keys that are pressed then.

use std::sync::mpsc::channel;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Size;
use setlist::model::{
    Command, Definition, DesiredQueue, Event, OnFailure, Outcome, QueueSettings, RunReport, Script, SiteState,
    WorkerId, WorkerOptions,
};
use setlist::store::{PostgresStore, SqliteStore, StateDir, Store};
use setlist::tui::Screen;
use setlist::tui::effect::{Effect, ExitReason};
use setlist::tui::keys::KeyPress;
use setlist::tui::message::Message;
use setlist::tui::store_thread::StoreThread;
use tempfile::TempDir;

use super::harness::{failed, first_frame, frame_of, plan, queue, screen_of};
use crate::postgres_server;
use crate::temp_site::WAIT_TIMEOUT;

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
        definition.title = format!("The job number {nth}").into();
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

const SIZE: Size = Size { width: 120, height: 40 };
const LOADING: &str = "Loading all jobs";

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

/// The first rows of the site, and all of it.
fn load() -> (SiteState, SiteState) {
    let folder = TempDir::new().unwrap();
    let mut store = SqliteStore::open(&StateDir::new(folder.path())).unwrap();
    fill(&mut store);
    (store.load_first_rows(None, 0).unwrap().unwrap(), store.load().unwrap())
}

fn press(screen: &mut Screen, keys: &str) -> Vec<Effect> {
    let keys = KeyPress::parse_sequence(keys).unwrap().into_iter();
    keys.flat_map(|key| screen.handle(Message::Key(key), noon())).collect()
}

fn text(screen: &mut Screen) -> String {
    let buffer: Buffer = frame_of(screen, SIZE, noon());
    buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
}

fn exits(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Exit(ExitReason::Quit)))
}

#[test]
fn keys_that_need_only_loaded_rows_are_answered_before_all_jobs_are_loaded() {
    let (first_rows, whole) = load();
    let keys =
        ["jjk", "<Tab>jj", "<Tab>", "<S-Tab>jjjj<PgDn><PgDn>k", "<Tab>Gkk<PgUp>", "<S-Tab>zjj", "?jj", "?jj<Esc>j"];
    for keys in keys {
        let mut screen = screen_of(first_rows.clone(), None, SIZE).while_loading();
        let mut expected = screen_of(whole.clone(), None, SIZE);
        press(&mut screen, keys);
        press(&mut expected, keys);
        let place = |screen: &Screen| {
            let lists = screen.lists();
            (lists.focus(), lists.selected(), lists.offset(lists.focus().list))
        };
        assert_eq!(place(&screen), place(&expected), "{keys}");
        assert!(!text(&mut screen).contains(LOADING), "{keys}");
        screen.handle(Message::SiteLoaded(Box::new(whole.clone())), noon());
        assert_eq!(frame_of(&mut screen, SIZE, noon()), frame_of(&mut expected, SIZE, noon()), "{keys}");
    }
    let mut screen = screen_of(first_rows, None, SIZE).while_loading();
    assert!(exits(&press(&mut screen, "jq")));
}

#[test]
fn keys_that_need_all_jobs_wait_for_them_in_order() {
    let (first_rows, whole) = load();
    let many_pages = format!("<Tab>{}", "<PgDn>".repeat(20));
    for keys in ["j<Space>jj", "/number 55<Enter>jj", "FG", "]j[", "cj", "<Tab><Tab>zj", &many_pages, "?j<Enter>j"] {
        let mut screen = screen_of(first_rows.clone(), None, SIZE).while_loading();
        let mut expected = screen_of(whole.clone(), None, SIZE);
        let early = press(&mut screen, keys);
        let mut selected = screen.lists().selected();
        let waiting = text(&mut screen);
        assert!(waiting.contains(LOADING), "{keys}: {waiting}");
        // A blank row would be one of a job that is not loaded.
        assert!(selected.take().is_none_or(|id| first_rows.job(id).is_some()), "{keys}");
        let late = screen.handle(Message::SiteLoaded(Box::new(whole.clone())), noon());
        let effects = press(&mut expected, keys);
        while screen.is_busy() || expected.is_busy() {
            screen.handle(Message::Tick, noon());
            expected.handle(Message::Tick, noon());
        }
        assert_eq!(frame_of(&mut screen, SIZE, noon()), frame_of(&mut expected, SIZE, noon()), "{keys}");
        assert_eq!(exits(&early) || exits(&late), exits(&effects), "{keys}");
    }
    // What follows a key that waits has to wait, too.
    let mut screen = screen_of(first_rows, None, SIZE).while_loading();
    assert!(!exits(&press(&mut screen, "<Space>q")));
    assert!(exits(&screen.handle(Message::SiteLoaded(Box::new(whole)), noon())));
}

#[test]
fn the_store_thread_sends_the_whole_site_first_or_why_it_can_not_be_loaded() {
    let folder = TempDir::new().unwrap();
    let state_dir = StateDir::new(folder.path());
    let mut store = SqliteStore::open(&state_dir).unwrap();
    fill(&mut store);
    let jobs = store.load().unwrap().jobs().count();
    let first_message = || {
        let store = SqliteStore::open(&state_dir).unwrap();
        let (sender, messages) = channel();
        let thread = StoreThread::new(Box::new(store), 0, Box::new(|_| Ok(())), sender).loading_site();
        let _requests = thread.spawn(&state_dir).unwrap();
        messages.recv_timeout(WAIT_TIMEOUT).unwrap()
    };
    match first_message() {
        Message::SiteLoaded(state) => assert_eq!(state.jobs().count(), jobs),
        other => panic!("{other:?}"),
    }
    let db = rusqlite::Connection::open(state_dir.database()).unwrap();
    db.execute("DELETE FROM definitions WHERE job = 5", ()).unwrap();
    match first_message() {
        Message::LoadFailed(error) => assert!(error.to_string().contains("damaged"), "{error}"),
        other => panic!("{other:?}"),
    }
}
