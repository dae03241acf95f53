//! State files that were cut off, overwritten or flipped: never a panic, never a queue that is silently shorter, always
//! a message that names the file and the way out.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::Utc;
use setlist::model::{Command, Definition, Event, JobId, Outcome, Report, Script};
use setlist::store::{Folder, Sqlite, Store, StoreError};
use tempfile::TempDir;

use crate::dice::{Dice, often};
use crate::room::Room;

const PAGE: usize = 4096;
/// A page in the log, with what stands before it; and what stands before the first.
const FRAME: usize = 24 + PAGE;
const LOG_HEADER: usize = 32;
const JOBS: usize = 48;
/// How often damage is left to the dice, for each kind of site.
const ROUNDS: usize = 40;

/// The files of a site with some history: the database, its log, and how far it has come.
#[derive(Clone)]
pub(crate) struct Site([Vec<u8>; 3]);

const NAMES: [&str; 3] = ["state.db", "state.db-wal", "turn"];

impl Site {
    /// A site of [`JOBS`] jobs whose latest changes, or all but the first ones, are in the log.
    fn with_log(all: bool) -> Self {
        let home = TempDir::new().unwrap();
        let folder = Folder::new(home.path().join("state"));
        let mut store = Sqlite::open(&folder).unwrap();
        fill(&mut store, JOBS / 2);
        if !all {
            drop(store);
            store = Sqlite::open(&folder).unwrap();
        }
        fill(&mut store, JOBS / 2);
        Self::found(&folder)
    }

    /// One whose log was copied into the database when the last connection was closed.
    pub(crate) fn without_log() -> Self {
        let home = TempDir::new().unwrap();
        let folder = Folder::new(home.path().join("state"));
        fill(&mut Sqlite::open(&folder).unwrap(), JOBS);
        Self::found(&folder)
    }

    fn found(folder: &Folder) -> Self {
        Self(NAMES.map(|name| fs::read(folder.path().join(name)).unwrap_or_default()))
    }

    /// Lays the files into a folder in which nobody is.
    pub(crate) fn lay(&self, folder: &Folder) {
        folder.create().unwrap();
        let _ = fs::remove_file(folder.path().join("state.db-shm"));
        for (name, bytes) in NAMES.iter().zip(&self.0) {
            let path = folder.path().join(name);
            if *name == NAMES[1] && bytes.is_empty() {
                let _ = fs::remove_file(path);
            } else {
                fs::write(path, bytes).unwrap();
            }
        }
    }

    fn database(&mut self) -> &mut Vec<u8> {
        &mut self.0[0]
    }

    fn log(&mut self) -> &mut Vec<u8> {
        &mut self.0[1]
    }
}

/// A folder for one site after another.
fn folder(home: &TempDir) -> Folder {
    Folder::new(home.path().join("state"))
}

/// Adds jobs of several looks, and runs some of them.
fn fill(store: &mut dyn Store, jobs: usize) {
    let worker = Command::Join { host: "here".to_owned(), pid: 1, queues: None };
    let events = execute(store, worker);
    let worker = events.iter().find_map(|event| match event {
        Event::WorkerJoined { worker } => Some(worker.id),
        _ => None,
    });
    let worker = worker.unwrap();
    for nth in 0..jobs {
        let mut definition = Definition::new(Script::shell(format!("echo {nth}; {}", "true; ".repeat(nth * 7 % 300))));
        definition.title = format!("Job {nth}");
        definition.tags = vec![format!("tag{}", nth % 3)];
        let queue = if nth % 4 == 0 { "few" } else { "many" };
        execute(store, Command::Add { queue: queue.into(), jobs: vec![Arc::new(definition)] });
        if nth % 3 == 0 {
            execute(store, Command::Process { queue: queue.into() });
            let events = execute(store, Command::Claim { worker, queues: None });
            for event in events {
                if let Event::Started { job, run } = event {
                    let report = Report { outcome: Outcome::Succeeded, exit: None, value: Some("fine".into()) };
                    execute(store, Command::Report { job, run: run.id, report, on_failure: None });
                }
            }
        }
    }
    execute(store, Command::Bury { worker, begun: Vec::new() });
}

fn execute(store: &mut dyn Store, command: Command) -> Vec<Event> {
    store.execute(&[command], Utc::now()).unwrap().remove(0).unwrap_or_default()
}

/// Does with a site what the program does with it. Tells how many jobs there are.
pub(crate) fn use_site(folder: &Folder) -> Result<usize, StoreError> {
    let mut store = Sqlite::open(folder)?;
    let jobs = store.load()?.jobs().count();
    for id in 1..=JOBS as u64 {
        store.job(JobId(id))?;
        store.runs(JobId(id))?;
    }
    store.events_after(0)?;
    let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None };
    let add = Command::Add { queue: "few".into(), jobs: vec![Arc::new(Definition::new(Script::shell("true")))] };
    let work = ["few", "many"].map(|queue| Command::Process { queue: queue.into() });
    for command in [join, add].into_iter().chain(work) {
        store.execute(&[command], Utc::now())?;
    }
    let worker = store.workers()?.first().map(|worker| worker.id).unwrap_or_default();
    store
        .execute(&[Command::Claim { worker, queues: None }, Command::Bury { worker, begun: Vec::new() }], Utc::now())?;
    assert_eq!(store.load()?.jobs().count(), jobs + 1);
    Ok(jobs)
}

/// The site is whole, or somebody is told what is wrong with which file and what to do about it. One that isn't even
/// opened is left as it is. Tells whether it is whole.
#[track_caller]
fn whole_or_refused(site: &Site, home: &TempDir, what: &str) -> bool {
    let folder = folder(home);
    site.lay(&folder);
    if let Err(error) = Sqlite::open(&folder) {
        assert!(Site::found(&folder).0 == site.0, "{what}: {error}, and the files were changed");
    }
    site.lay(&folder);
    match catch_unwind(AssertUnwindSafe(|| use_site(&folder))).unwrap_or_else(|_| panic!("{what}: a panic")) {
        Ok(jobs) => {
            assert_eq!(jobs, JOBS, "{what}: jobs were lost in silence");
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(folder.database().to_str().unwrap()), "{what}: {said}");
            let way_out = match error {
                StoreError::Unreadable { .. } | StoreError::Behind { .. } => ["move it away", "remove the file"],
                // What was flipped is the very number of the format.
                StoreError::TooNew { .. } => ["upgrade setlist"; 2],
                _ => panic!("{what}: {said}"),
            };
            assert!(way_out.iter().any(|words| said.contains(words)), "{what}: {said}");
            false
        }
    }
}

#[test]
fn a_database_that_was_cut_off_is_refused() {
    let home = TempDir::new().unwrap();
    for site in [Site::without_log(), Site::with_log(false)] {
        let length = site.0[0].len();
        for cut in (0..length).step_by(PAGE).chain([1, 99, 100, length - 1]) {
            let mut site = site.clone();
            site.database().truncate(cut);
            assert!(!whole_or_refused(&site, &home, &format!("cut off at {cut} of {length}")));
        }
        assert!(whole_or_refused(&site, &home, "all of it"));
    }
}

#[test]
fn a_log_that_was_cut_off_is_refused() {
    let home = TempDir::new().unwrap();
    for site in [Site::with_log(false), Site::with_log(true)] {
        let length = site.0[1].len();
        for cut in (LOG_HEADER..length).step_by(FRAME * 7).chain([0, 1, length - FRAME, length - 1]) {
            let mut site = site.clone();
            site.log().truncate(cut);
            assert!(!whole_or_refused(&site, &home, &format!("the log was cut off at {cut} of {length}")));
        }
    }
}

#[test]
fn a_file_that_is_something_else_is_refused() {
    let home = TempDir::new().unwrap();
    let mut dice = Dice::new();
    for nth in [0, 1] {
        let whole = Site::with_log(false);
        let length = whole.0[nth].len();
        let other: [Vec<u8>; 4] = [
            vec![0; length],
            (0..length).map(|_| dice.any().to_le_bytes()[0]).collect(),
            b"queues: {}\n".to_vec(),
            whole.0[1 - nth].clone(),
        ];
        for (which, bytes) in other.into_iter().enumerate() {
            let mut site = whole.clone();
            site.0[nth] = bytes;
            assert!(!whole_or_refused(&site, &home, &format!("{} is the {which}th other thing", NAMES[nth])));
        }
    }
}

#[test]
fn flipped_bits_are_noticed_or_change_no_more_than_a_word() {
    let home = TempDir::new().unwrap();
    let mut dice = Dice::new();
    let rounds = often(ROUNDS);
    let mut refused = 0;
    for site in [Site::without_log(), Site::with_log(false), Site::with_log(true)] {
        for round in 0..rounds {
            let mut damaged = site.clone();
            let file = if site.0[1].is_empty() { 0 } else { dice.below(0..2) };
            let bytes = &mut damaged.0[file];
            let flips: Vec<_> =
                (0..1 << dice.below(0..6)).map(|_| (dice.below(0..bytes.len()), dice.below(0..8))).collect();
            for (at, bit) in &flips {
                bytes[*at] ^= 1 << bit;
            }
            let what = format!("round {round}: {} of {} bytes with bits {flips:?} flipped", NAMES[file], bytes.len());
            refused += usize::from(!whole_or_refused(&damaged, &home, &what));
        }
    }
    assert!(refused > rounds, "only {refused} were noticed");
}

#[test]
fn an_older_database_is_refused_until_somebody_says_that_it_will_do() {
    let home = TempDir::new().unwrap();
    let mut site = Site::with_log(false);
    site.log().clear();
    assert!(!whole_or_refused(&site, &home, "a log that is gone"));
    let folder = folder(&home);
    site.lay(&folder);
    let said = Sqlite::open(&folder).unwrap_err().to_string();
    assert!(said.contains("latest changes are missing") && said.contains("`turn`"), "{said}");
    fs::remove_file(folder.turn()).unwrap();
    assert_eq!(Sqlite::open(&folder).unwrap().load().unwrap().jobs().count(), JOBS / 2);
}

#[test]
fn every_command_says_what_is_wrong_and_touches_nothing() {
    let room = Room::with("queues: {few: ['true'], many: []}\n");
    let folder = Folder::new(room.join(".setlist"));
    let mut damaged = Site::with_log(false);
    damaged.database().truncate(5 * PAGE);
    let mut without = Site::without_log();
    without.database().truncate(5 * PAGE);
    let mut empty = Site::without_log();
    empty.database().clear();
    let mut behind = Site::with_log(true);
    behind.log().truncate(0);
    for (site, words) in
        [(damaged, "is cut off"), (without, "is damaged"), (empty, "is empty"), (behind, "changes are missing")]
    {
        site.lay(&folder);
        for args in [
            &["status"][..],
            &["list", "--json"],
            &["show", "1"],
            &["log", "1"],
            &["add", "few", "--", "true"],
            &["retry", "1"],
            &["cancel", "1"],
            &["process"],
            &["worker", "--exit-when-idle"],
        ] {
            let said = room.run(args);
            assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{args:?}: {said:?}");
            let names = said.err.contains(&*folder.database().canonicalize().unwrap().to_string_lossy());
            assert!(names && said.err.contains(words) && said.err.lines().count() == 1, "{args:?}: {said:?}");
            assert!(Site::found(&folder).0 == site.0, "{args:?} has changed the files");
        }
    }
}
