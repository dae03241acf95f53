//! Sites that benches build once and keep in the target folder, by the format of their database.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::sync::Arc;

use chrono::Utc;
use setlist::model::{
    Command, Definition, Event, JobId, Outcome, RunId, RunReport, Script, Stream, WorkerId, WorkerOptions,
};
use setlist::store::{SqliteStore, StateDir, Store};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What each run prints.
pub(crate) const LINE: &str =
    "copied 1,204 files (3.1 GiB) from /srv/photos/2026/11 to backup:/photos in 12.4 s, 0 errors, 17 skipped\n";
/// The `jobs.yaml` of a kept site.
const EMPTY_FILE: &str = "queues: {kept: {parallel: 4000, jobs: []}}\n";
/// How many jobs or runs are written in a transaction.
const BATCH: usize = 2_000;

/// The folder of a site whose queue `kept` has this many jobs, each of which has run this often and printed a line. It is
/// built if it doesn't exist. Benches must not change it.
pub(crate) fn kept_site(jobs: usize, runs_per_job: usize) -> Result<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let draft = tempfile::tempdir_in(home)?;
    create_site(draft.path())?;
    let format: u32 =
        rusqlite::Connection::open(state(draft.path()).database())?
            .query_row("PRAGMA user_version", (), |row| row.get(0))?;
    let folder = home.join(format!("site-format-{format}-jobs-{jobs}-runs-{runs_per_job}"));
    if folder.exists() {
        return Ok(folder);
    }
    println!("    (building a site of {jobs} jobs that have run {runs_per_job} times, once)");
    add_jobs(draft.path(), jobs)?;
    for _ in 0..runs_per_job {
        run_all(draft.path(), LINE)?;
    }
    // A site that is moved is known by its id.
    fs::rename(draft.keep(), &folder)?;
    run(&mut setlist(&folder, &["status"]))?;
    checkpoint(&folder)?;
    Ok(folder)
}

/// Creates a site with an empty queue.
pub(crate) fn create_site(folder: &Path) -> Result {
    fs::write(folder.join("jobs.yaml"), EMPTY_FILE)?;
    run(&mut setlist(folder, &["status"]))
}

/// The state folder of a site.
pub(crate) fn state(folder: &Path) -> StateDir {
    StateDir::new(folder.join(".setlist"))
}

/// Opens the store of a site.
pub(crate) fn open(folder: &Path) -> Result<Box<dyn Store>> {
    Ok(Box::new(SqliteStore::open(&state(folder))?))
}

/// A command for a site.
pub(crate) fn setlist(folder: &Path, args: &[&str]) -> Program {
    let mut command = Program::new(env!("CARGO_BIN_EXE_setlist"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

pub(crate) fn add_jobs(folder: &Path, count: usize) -> Result {
    let mut store = open(folder)?;
    for from in (0..count).step_by(BATCH * 5) {
        let jobs = (from..count.min(from + BATCH * 5)).map(|_| definition()).collect();
        store.execute(&[Command::Add { queue: "kept".into(), jobs }], Utc::now())?.remove(0)?;
    }
    Ok(())
}

/// Runs all jobs once, as a worker records it; each prints this.
pub(crate) fn run_all(folder: &Path, printed: &str) -> Result {
    let mut store = open(folder)?;
    let worker = join(store.as_mut())?;
    let ids: Vec<JobId> = store
        .load()?
        .queue(&"kept".into())
        .map_or_else(Vec::new, |queue| queue.pending.iter().chain(&queue.finished).copied().collect());
    for ids in ids.chunks(BATCH) {
        let requests = ids.iter().map(|id| Command::Run { job: *id, force: false });
        let claims = ids.iter().map(|_| Command::Claim { worker, queues: None });
        let commands: Vec<Command> = requests.chain(claims).collect();
        let mut ends = Vec::new();
        for result in store.execute(&commands, Utc::now())? {
            for event in result? {
                if let Event::Started { job, run, .. } = event {
                    print(store.as_ref(), run.id, printed)?;
                    let report = RunReport::new(Outcome::Succeeded);
                    ends.push(Command::EndRun { job, run: run.id, report, on_failure: None });
                }
            }
        }
        for result in store.execute(&ends, Utc::now())? {
            result?;
        }
    }
    store.execute(&[Command::Leave { worker, queues: None }], Utc::now())?.remove(0)?;
    Ok(())
}

/// Moves all changes into the database, and flushes the disk.
pub(crate) fn checkpoint(folder: &Path) -> Result {
    let db = rusqlite::Connection::open(state(folder).database())?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    run(&mut Program::new("sync"))
}

pub(crate) fn definition() -> Arc<Definition> {
    Arc::new(Definition::new(Script::shell("true")))
}

fn join(store: &mut dyn Store) -> Result<WorkerId> {
    let join = Command::Join { host: "bench".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() };
    match store.execute(&[join], Utc::now())?.remove(0)?.first() {
        Some(Event::WorkerJoined { worker }) => Ok(worker.id),
        _ => Err("no worker".into()),
    }
}

fn print(store: &dyn Store, run: RunId, printed: &str) -> Result {
    if !printed.is_empty() {
        let mut log = store.log_writer(run, 1 << 20);
        log.write(Stream::Out, printed.as_bytes(), Utc::now())?;
        log.finish()?;
    }
    Ok(())
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Program) -> Result {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
