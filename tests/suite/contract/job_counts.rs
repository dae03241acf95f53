//! The counts of jobs that an overview has, for every way in which they change.

use std::collections::BTreeMap;
use std::fs;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use setlist::model::{Failure, FailureKind, JobCounts, Outcome, Phase, QueueId, SiteState};
use setlist::store::{SqliteStore, StateDir};
use tempfile::TempDir;

use crate::crash::OLD_FORMATS;

/// How many jobs the queues have in each phase, counted one by one.
pub(super) fn count_jobs(site_state: &SiteState) -> BTreeMap<QueueId, JobCounts> {
    let mut counts: BTreeMap<QueueId, JobCounts> = BTreeMap::new();
    for job in site_state.jobs() {
        let of_queue = counts.entry(job.queue.clone()).or_default();
        match job.phase() {
            Phase::Pending => of_queue.pending += 1,
            Phase::Running => of_queue.running += 1,
            Phase::Finished => of_queue.finished += 1,
        }
        of_queue.failed += usize::from(job.outcome().is_some_and(counts_as_failed));
    }
    counts
}

fn counts_as_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. })
}

/// What a row of a job is counted by.
#[derive(Clone, Debug)]
struct CountedRow {
    queue: &'static str,
    state: i64,
    outcome: Option<Outcome>,
    is_removed: bool,
}

impl CountedRow {
    /// A row for each state and outcome, in two queues, removed or not.
    fn all() -> Vec<Self> {
        let failed = Failure { kind: FailureKind::Exit, message: "exit code 1".to_owned() };
        let outcomes = [
            Outcome::Succeeded,
            Outcome::Cancelled,
            Outcome::Failed(failed.into()),
            Outcome::Interrupted,
            Outcome::Unreachable { host: "there".into() },
        ];
        let finished = outcomes.map(|outcome| (0, Some(outcome)));
        let states: Vec<_> = (1..=8).map(|state| (state, None)).chain(finished).collect();
        let places = [("a", false), ("a", true), ("b", false), ("b", true)];
        let rows = places.into_iter().flat_map(|(queue, is_removed)| {
            states.iter().cloned().map(move |(state, outcome)| Self { queue, state, outcome, is_removed })
        });
        rows.collect()
    }

    /// The columns with their values.
    fn columns(&self) -> [(&'static str, Value); 4] {
        let outcome = self.outcome.as_ref().map(|outcome| serde_json::to_string(outcome).unwrap());
        let removed = self.is_removed.then(|| "\"user\"".to_owned());
        [
            ("queue", self.queue.to_owned().into()),
            ("state", self.state.into()),
            ("outcome", outcome.into()),
            ("removed", removed.into()),
        ]
    }

    fn insert(&self, db: &Connection) {
        let sql = "INSERT INTO jobs (id, queue, state, outcome, removed, position, rank, weight, flags, attempts, \
                   earlier, enqueued) VALUES (1, ?1, ?2, ?3, ?4, 0, 0, 1, 0, 0, 0, 0)";
        let values = self.columns().map(|(_, value)| value);
        db.prepare_cached(sql).unwrap().execute(params_from_iter(values)).unwrap();
    }

    /// Sets the columns that differ from those of `before`, or else all.
    fn update(&self, db: &Connection, before: Option<&Self>) {
        let before = before.map(Self::columns).into_iter().flatten().collect::<Vec<_>>();
        let (set, values): (Vec<_>, Vec<_>) = self
            .columns()
            .into_iter()
            .filter(|column| !before.contains(column))
            .map(|(name, value)| (format!("{name} = ?"), value))
            .unzip();
        if !set.is_empty() {
            let sql = format!("UPDATE jobs SET {}", set.join(", "));
            db.prepare_cached(&sql).unwrap().execute(params_from_iter(values)).unwrap();
        }
    }

    /// The counts of its queue if it is the only row.
    fn counts(&self) -> BTreeMap<String, [i64; 4]> {
        let is_failed = self.outcome.as_ref().is_some_and(counts_as_failed);
        let counts = [self.state > 3, (1..=3).contains(&self.state), self.state == 0, is_failed].map(i64::from);
        if self.is_removed { BTreeMap::new() } else { [(self.queue.to_owned(), counts)].into() }
    }
}

/// The counts that the database keeps, without queues that have none.
fn stored_counts(db: &Connection) -> BTreeMap<String, [i64; 4]> {
    let mut statement = db.prepare_cached("SELECT queue, pending, running, finished, failed FROM job_counts").unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])));
    let counts = rows.unwrap().map(Result::unwrap);
    counts.filter(|(_, counts)| *counts != [0; 4]).collect()
}

/// Checks the triggers of an empty database with a row that gets every value after every other.
fn counts_follow_each_change(db: &mut Connection) {
    let db = &*db.transaction().unwrap();
    let rows = CountedRow::all();
    for before in &rows {
        before.insert(db);
        assert_eq!(stored_counts(db), before.counts(), "inserted {before:?}");
        for after in &rows {
            for changes in [None, Some(before)] {
                after.update(db, changes);
                assert_eq!(stored_counts(db), after.counts(), "{after:?} after {before:?}");
                before.update(db, None);
                assert_eq!(stored_counts(db), before.counts(), "{before:?} after {after:?}");
            }
        }
        db.execute("DELETE FROM jobs", ()).unwrap();
        assert_eq!(stored_counts(db), BTreeMap::new(), "deleted {before:?}");
    }
}

#[test]
fn the_triggers_count_each_change_of_a_row() {
    let folder = TempDir::new().unwrap();
    let state_dir = StateDir::new(folder.path());
    drop(SqliteStore::open(&state_dir).unwrap());
    counts_follow_each_change(&mut Connection::open(state_dir.database()).unwrap());
}

#[test]
fn a_migrated_database_has_the_same_indexes_and_triggers() {
    let objects = |database: &[u8]| -> BTreeMap<String, String> {
        let folder = TempDir::new().unwrap();
        let state_dir = StateDir::new(folder.path());
        if !database.is_empty() {
            state_dir.create().unwrap();
            fs::write(state_dir.database(), database).unwrap();
        }
        drop(SqliteStore::open(&state_dir).unwrap());
        let db = Connection::open(state_dir.database()).unwrap();
        let sql = "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL";
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let new = objects(b"");
    for (format, old) in OLD_FORMATS {
        assert_eq!(objects(old), new, "from format {format}");
    }
}
