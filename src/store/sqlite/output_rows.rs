//! The output of runs that have printed little, as rows. Each is written with the end of its run.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::columns::Nanos;
use super::tx_state::TxState;
use crate::model::{Command, Job, JobId, RunId, StateReader};
use crate::store::backend::{CommandResult, TimedCommand};
use crate::store::log::{LostNotes, StoredOutput};

/// The small outputs of the runs that a transaction ends, read before it begins.
#[derive(Default)]
pub(super) struct EndedOutputs {
    /// By the index of the command.
    outputs: HashMap<usize, EndedOutput>,
    /// The runs whose output was stored.
    stored: Vec<RunId>,
}

/// The small output of a run that a transaction ends.
struct EndedOutput {
    job: JobId,
    run: RunId,
    output: StoredOutput,
    /// Whether its files can't hold what it says.
    is_only_here: bool,
}

impl EndedOutputs {
    /// Reads the output of the runs that these commands end. One that can't be read stays in its files.
    pub(super) fn read(logs: &Path, lost_notes: &LostNotes, commands: &[TimedCommand<'_>]) -> Self {
        let output = |(nth, (command, _)): (usize, &TimedCommand<'_>)| match command.requested() {
            Command::EndRun { job, run, .. } => {
                let (stored, note) = (StoredOutput::read_files(logs, *run).ok().flatten(), lost_notes.of(*run));
                let is_only_here = note.is_some();
                let output = match (stored, note) {
                    (stored, Some(note)) => stored.unwrap_or_default().followed_by(&note),
                    (stored, None) => stored?,
                };
                Some((nth, EndedOutput { job: *job, run: *run, output, is_only_here }))
            }
            _ => None,
        };
        Self { outputs: commands.iter().enumerate().filter_map(output).collect(), stored: Vec::new() }
    }

    /// Stores the output of the run that a command has ended.
    pub(super) fn store(&mut self, state: &TxState<'_>, nth: usize, result: &CommandResult) -> Result<()> {
        // A transaction without events is not committed.
        let has_ended = result.as_ref().is_ok_and(|events| !events.is_empty());
        let Some(ended) = self.outputs.remove(&nth).filter(|_| has_ended) else { return Ok(()) };
        let EndedOutput { job, run, output, is_only_here } = ended;
        // A hook reads the file.
        if is_only_here || !state.job(job)?.is_some_and(|job| runs_hook(&job)) {
            insert(state.db, run, &output)?;
            self.stored.push(run);
        }
        Ok(())
    }

    /// Deletes the files of what was stored, after the transaction was committed.
    pub(super) fn remove_files(self, logs: &Path, lost_notes: &LostNotes) {
        for run in self.stored {
            lost_notes.forget(run);
            StoredOutput::remove_files(logs, run);
        }
    }
}

/// Whether `on_finish` of a job runs after its end.
fn runs_hook(job: &Job) -> bool {
    job.hook().zip(job.outcome()).is_some_and(|(hook, outcome)| hook.runs_after(outcome))
}

/// The output of a run, if it is stored. The stream index is in the column `marks`, its older name.
pub(super) fn find(db: &Connection, run: RunId) -> Result<Option<StoredOutput>> {
    let read = |row: &Row<'_>| {
        let bytes = |column| row.get::<_, Option<Vec<u8>>>(column).map(Option::unwrap_or_default);
        Ok(StoredOutput { head: bytes(0)?, index: bytes(1)?, sizes: bytes(2)? })
    };
    db.prepare_cached("SELECT head, marks, sizes FROM outputs WHERE run = ?1")?.query_row([run], read).optional()
}

/// Stores the output of a run.
pub(super) fn insert(db: &Connection, run: RunId, StoredOutput { head, index, sizes }: &StoredOutput) -> Result<()> {
    let filled = |bytes| Some(bytes).filter(|bytes: &&Vec<u8>| !bytes.is_empty());
    db.prepare_cached("INSERT OR REPLACE INTO outputs (run, head, marks, sizes) VALUES (?1, ?2, ?3, ?4)")?
        .execute((run, head, filled(index), filled(sizes)))
        .map(drop)
}

/// Stores the output of a run unless it is stored already: then its files are left from a process that was killed.
pub(super) fn insert_missing(db: &Connection, run: RunId, output: &StoredOutput) -> Result<()> {
    let is_stored = db.prepare_cached("SELECT 1 FROM outputs WHERE run = ?1")?.exists([run])?;
    if is_stored { Ok(()) } else { insert(db, run, output) }
}

/// Deletes the output of a run; returns how many bytes it had.
pub(super) fn delete(db: &Connection, run: RunId) -> Result<u64> {
    let sql = "DELETE FROM outputs WHERE run = ?1 \
               RETURNING length(head) + coalesce(length(marks), 0) + coalesce(length(sizes), 0)";
    let len: Option<i64> = db.prepare_cached(sql)?.query_row([run], |row| row.get(0)).optional()?;
    Ok(len.unwrap_or_default().cast_unsigned())
}

/// Replaces the output of a run by a notice; returns how many bytes are freed.
pub(super) fn replace_by_notice(db: &Connection, run: RunId, now: DateTime<Utc>) -> Result<u64> {
    let Some(output) = find(db, run)? else { return Ok(0) };
    let notice = StoredOutput::deleted(output.len(), now);
    insert(db, run, &notice)?;
    Ok(output.len().saturating_sub(notice.len()))
}

/// The size of the output of each run that has some here, in bytes.
pub(super) fn sizes(db: &Connection) -> Result<HashMap<RunId, u64>> {
    let sql = "SELECT run, length(head) + coalesce(length(marks), 0) + coalesce(length(sizes), 0) FROM outputs";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
    db.prepare_cached(sql)?.query_map((), read)?.collect()
}

/// Those of these runs, which are sorted, that have ended before a time.
pub(super) fn ended_before(db: &Connection, runs: &[RunId], before: DateTime<Utc>) -> Result<HashSet<RunId>> {
    let sql = "SELECT run FROM jobs WHERE ended < ?1 UNION ALL SELECT id FROM runs WHERE ended < ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([Nanos(before)])?;
    let mut ended = HashSet::new();
    while let Some(row) = rows.next()? {
        let run: RunId = row.get(0)?;
        if runs.binary_search(&run).is_ok() {
            ended.insert(run);
        }
    }
    Ok(ended)
}
