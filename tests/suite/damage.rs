//! Truncated, overwritten and corrupted state files: no panic, no jobs missing without an error, and always a message
//! that names the file and what to do.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::Utc;
use rusqlite::Connection;
use setlist::model::{Command, Definition, Event, JobId, Outcome, RunReport, Script, WorkerOptions};
use setlist::store::{SqliteStore, StateDir, Store, StoreError};
use tempfile::TempDir;

use crate::rng::{TestRng, iterations};
use crate::temp_site::TempSite;

const PAGE: usize = 4096;
/// A page in the log with its header, and the log's header.
const FRAME: usize = 24 + PAGE;
const LOG_HEADER: usize = 32;
const JOBS: usize = 48;
/// How many random corruptions there are of each kind of site.
const ROUNDS: usize = 40;

/// The files of a site with some history: the database, its log and the record of the last event.
#[derive(Clone)]
pub(crate) struct SiteFiles([Vec<u8>; 3]);

const NAMES: [&str; 3] = ["state.db", "state.db-wal", "turn"];

impl SiteFiles {
    /// A site of [`JOBS`] jobs whose latest changes, or all but the first ones, are in the log.
    fn with_log(all: bool) -> Self {
        let home = TempDir::new().unwrap();
        let folder = StateDir::new(home.path().join("state"));
        let mut store = SqliteStore::open(&folder).unwrap();
        // While it reads, the log is not started again.
        let reader = all.then(|| {
            let reader = Connection::open(folder.database()).unwrap();
            reader.execute_batch("BEGIN; SELECT seq FROM events;").unwrap();
            reader
        });
        fill(&mut store, JOBS / 2);
        if reader.is_none() {
            drop(store);
            store = SqliteStore::open(&folder).unwrap();
        }
        fill(&mut store, JOBS / 2);
        Self::read_from(&folder)
    }

    /// A site whose log was checkpointed when the last connection was closed.
    pub(crate) fn without_log() -> Self {
        let home = TempDir::new().unwrap();
        let folder = StateDir::new(home.path().join("state"));
        fill(&mut SqliteStore::open(&folder).unwrap(), JOBS);
        Self::read_from(&folder)
    }

    fn read_from(folder: &StateDir) -> Self {
        Self(NAMES.map(|name| fs::read(folder.path().join(name)).unwrap_or_default()))
    }

    /// Writes the files to an unused directory.
    pub(crate) fn write_to(&self, folder: &StateDir) {
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

/// A directory for one site after another.
fn folder(home: &TempDir) -> StateDir {
    StateDir::new(home.path().join("state"))
}

/// Adds jobs of several kinds and runs some of them.
fn fill(store: &mut dyn Store, jobs: usize) {
    let worker = Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    let events = execute(store, worker);
    let worker = events.iter().find_map(|event| match event {
        Event::WorkerJoined { worker } => Some(worker.id),
        _ => None,
    });
    let worker = worker.unwrap();
    for nth in 0..jobs {
        let mut definition = Definition::new(Script::shell(format!("echo {nth}; {}", "true; ".repeat(nth * 7 % 300))));
        definition.title = format!("Job {nth}").into();
        definition.tags = [format!("tag{}", nth % 3)].into();
        let queue = if nth % 4 == 0 { "few" } else { "many" };
        execute(store, Command::Add { queue: queue.into(), jobs: vec![Arc::new(definition)] });
        if nth % 3 == 0 {
            execute(store, Command::Process { queue: queue.into() });
            let events = execute(store, Command::Claim { worker, queues: None });
            for event in events {
                if let Event::Started { job, run } = event {
                    let report = RunReport { value: Some("fine".into()), ..RunReport::new(Outcome::Succeeded) };
                    execute(store, Command::EndRun { job, run: run.id, report, on_failure: None });
                }
            }
        }
    }
    execute(store, Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None });
}

fn execute(store: &mut dyn Store, command: Command) -> Vec<Event> {
    store.execute(&[command], Utc::now()).unwrap().remove(0).unwrap_or_default()
}

/// Opens a site and uses it as the program does; returns the number of jobs.
pub(crate) fn exercise(folder: &StateDir) -> Result<usize, StoreError> {
    let mut store = SqliteStore::open(folder)?;
    let jobs = store.load()?.jobs().count();
    for id in 1..=JOBS as u64 {
        store.job(JobId(id))?;
        store.runs(JobId(id))?;
    }
    store.events_after(0)?;
    let join = Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    let add = Command::Add { queue: "few".into(), jobs: vec![Arc::new(Definition::new(Script::shell("true")))] };
    let work = ["few", "many"].map(|queue| Command::Process { queue: queue.into() });
    for command in [join, add].into_iter().chain(work) {
        store.execute(&[command], Utc::now())?;
    }
    let worker = store.workers()?.first().map(|worker| worker.id).unwrap_or_default();
    store.execute(
        &[
            Command::Claim { worker, queues: None },
            Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None },
        ],
        Utc::now(),
    )?;
    assert_eq!(store.load()?.jobs().count(), jobs + 1);
    Ok(jobs)
}

/// Returns whether the site is intact. If it isn't, the error names the file and what to do; and if it could not be
/// opened, its files are unchanged.
#[track_caller]
fn is_intact_or_refused(site: &SiteFiles, home: &TempDir, what: &str) -> bool {
    let folder = folder(home);
    site.write_to(&folder);
    if let Err(error) = SqliteStore::open(&folder) {
        assert!(SiteFiles::read_from(&folder).0 == site.0, "{what}: {error}, and the files were changed");
    }
    site.write_to(&folder);
    match catch_unwind(AssertUnwindSafe(|| exercise(&folder))).unwrap_or_else(|_| panic!("{what}: a panic")) {
        Ok(jobs) => {
            assert_eq!(jobs, JOBS, "{what}: jobs were lost in silence");
            true
        }
        Err(error) => {
            let output = error.to_string();
            assert!(output.contains(folder.database().to_str().unwrap()), "{what}: {output}");
            let way_out = match error {
                StoreError::Unreadable { .. } | StoreError::MissingChanges { .. } => {
                    ["move it away", "remove the file"]
                }
                // The format number itself was changed.
                StoreError::TooNew { .. } => ["upgrade setlist"; 2],
                _ => panic!("{what}: {output}"),
            };
            assert!(way_out.iter().any(|words| output.contains(words)), "{what}: {output}");
            false
        }
    }
}

#[test]
fn truncated_databases_are_refused() {
    let home = TempDir::new().unwrap();
    for site in [SiteFiles::without_log(), SiteFiles::with_log(false)] {
        let length = site.0[0].len();
        for cut in (0..length).step_by(PAGE).chain([1, 99, 100, length - 1]) {
            let mut site = site.clone();
            site.database().truncate(cut);
            assert!(!is_intact_or_refused(&site, &home, &format!("cut off at {cut} of {length}")));
        }
        assert!(is_intact_or_refused(&site, &home, "all of it"));
    }
}

#[test]
fn truncated_wals_are_refused() {
    let home = TempDir::new().unwrap();
    for site in [SiteFiles::with_log(false), SiteFiles::with_log(true)] {
        let length = site.0[1].len();
        for cut in (LOG_HEADER..length).step_by(FRAME * 7).chain([0, 1, length - FRAME, length - 1]) {
            let mut site = site.clone();
            site.log().truncate(cut);
            assert!(!is_intact_or_refused(&site, &home, &format!("the log was cut off at {cut} of {length}")));
        }
    }
}

#[test]
fn overwritten_files_are_refused() {
    let home = TempDir::new().unwrap();
    let mut rng = TestRng::new();
    for nth in [0, 1] {
        let whole = SiteFiles::with_log(false);
        let length = whole.0[nth].len();
        let other: [Vec<u8>; 4] = [
            vec![0; length],
            (0..length).map(|_| rng.next_u64().to_le_bytes()[0]).collect(),
            b"queues: {}\n".to_vec(),
            whole.0[1 - nth].clone(),
        ];
        for (which, bytes) in other.into_iter().enumerate() {
            let mut site = whole.clone();
            site.0[nth] = bytes;
            assert!(!is_intact_or_refused(&site, &home, &format!("{} is the {which}th other thing", NAMES[nth])));
        }
    }
}

#[test]
fn flipped_bits_are_detected_or_change_only_a_value() {
    let home = TempDir::new().unwrap();
    let mut rng = TestRng::new();
    let rounds = iterations(ROUNDS);
    let mut refused = 0;
    for site in [SiteFiles::without_log(), SiteFiles::with_log(false), SiteFiles::with_log(true)] {
        for round in 0..rounds {
            let mut damaged = site.clone();
            let file = if site.0[1].is_empty() { 0 } else { rng.in_range(0..2) };
            let bytes = &mut damaged.0[file];
            let flips: Vec<_> =
                (0..1 << rng.in_range(0..6)).map(|_| (rng.in_range(0..bytes.len()), rng.in_range(0..8))).collect();
            for (at, bit) in &flips {
                bytes[*at] ^= 1 << bit;
            }
            let what = format!("round {round}: {} of {} bytes with bits {flips:?} flipped", NAMES[file], bytes.len());
            refused += usize::from(!is_intact_or_refused(&damaged, &home, &what));
        }
    }
    assert!(refused > rounds, "only {refused} were noticed");
}

#[test]
fn an_older_database_is_refused_until_its_record_is_removed() {
    let home = TempDir::new().unwrap();
    let mut site = SiteFiles::with_log(false);
    site.log().clear();
    assert!(!is_intact_or_refused(&site, &home, "a log that is gone"));
    let folder = folder(&home);
    site.write_to(&folder);
    let output = SqliteStore::open(&folder).unwrap_err().to_string();
    assert!(output.contains("latest changes are missing") && output.contains("`turn`"), "{output}");
    fs::remove_file(folder.write_lock()).unwrap();
    assert_eq!(SqliteStore::open(&folder).unwrap().load().unwrap().jobs().count(), JOBS / 2);
}

#[test]
fn commands_report_damage_and_change_nothing() {
    let site = TempSite::with("queues: {few: ['true'], many: []}\n");
    let folder = StateDir::new(site.join(".setlist"));
    let mut damaged = SiteFiles::with_log(false);
    let len = damaged.database().len();
    damaged.database().truncate(len - PAGE);
    let mut without = SiteFiles::without_log();
    without.database().truncate(5 * PAGE);
    let mut empty = SiteFiles::without_log();
    empty.database().clear();
    let mut behind = SiteFiles::with_log(true);
    behind.log().truncate(0);
    for (damaged, words) in
        [(damaged, "is truncated"), (without, "is damaged"), (empty, "is empty"), (behind, "changes are missing")]
    {
        damaged.write_to(&folder);
        site.register_state();
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
            let output = site.run(args);
            assert_eq!((output.code, output.stdout.as_str()), (Some(3), ""), "{args:?}: {output:?}");
            let names = output.stderr.contains(&*folder.database().canonicalize().unwrap().to_string_lossy());
            assert!(
                names && output.stderr.contains(words) && output.stderr.lines().count() == 1,
                "{args:?}: {output:?}"
            );
            assert!(SiteFiles::read_from(&folder).0 == damaged.0, "{args:?} has changed the files");
        }
    }
}

#[test]
fn a_dead_worker_is_not_reaped_in_a_damaged_database() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'touch up; sleep 600'}, {id: b, run: 'true'}]}\n");
    let mut process = site.command(&["process"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    crate::temp_site::wait_for("the job", || site.join("up").exists().then_some(()));
    process.kill().unwrap();
    process.wait().unwrap();
    let database = Connection::open(site.join(".setlist/state.db")).unwrap();
    database.execute("UPDATE definitions SET needs = '[oops' WHERE job = 2", ()).unwrap();
    let seq = || database.query_row("SELECT max(seq) FROM events", (), |row| row.get::<_, i64>(0)).unwrap();
    let before = seq();
    for args in [&["status"][..], &["retry", "q/a"], &["process"], &["worker", "--exit-when-idle"]] {
        let output = site.run(args);
        assert!(output.code == Some(3) && output.stderr.contains("state.db"), "{args:?}: {output:?}");
        assert_eq!(seq(), before, "{args:?}");
    }
    database.execute("UPDATE definitions SET needs = NULL WHERE job = 2", ()).unwrap();
    assert!(site.ok(&["list"]).contains("interrupted"));
    assert!(site.processes().is_empty(), "{:?}", site.processes());
}

#[test]
fn commands_about_a_job_read_only_that_job_and_its_needs() {
    let site = TempSite::with(
        "queues:\n  q:\n    jobs:\n      - {id: build, run: echo built}\n      - {id: test, run: echo tested, needs: [build]}\n  \
         other:\n    jobs:\n      - {id: deploy, run: echo deployed}\n",
    );
    site.ok(&["process", "q", "--quiet"]);
    site.ok(&["reset", "q/test"]);
    let db = Connection::open(site.join(".setlist/state.db")).unwrap();
    let damage = "UPDATE definitions SET rest = '{' WHERE name = 'deploy'";
    assert_eq!(db.execute(damage, ()).unwrap(), 1);
    drop(db);
    assert_eq!(site.run(&["list"]).code, Some(3), "a command about all jobs reads the damaged one");
    for name in ["q/build", "build", "1", "#1"] {
        assert!(site.ok(&["show", name]).contains("q/build"), "{name}");
        assert_eq!(site.ok(&["log", name]), "built\n", "{name}");
    }
    assert!(site.ok(&["show", "test"]).contains("needs     q/build"));
    assert!(site.ok(&["reset", "q/build"]).contains("pending"));
    assert!(site.ok(&["show", "q/test"]).contains("waits     needs build"));
    assert!(site.ok(&["cancel", "test"]).contains("cancelled"));
    assert_eq!(site.run(&["show", "deploy"]).code, Some(3));
}
