//! One connection to a database, and how it runs transactions.

use std::mem;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connected_db::ConnectedDb;
use super::history_mark::HistoryMark;
use super::migrate;
use super::output_rows::{self, EndedOutputs};
use super::removal_check::DbIdentity;
use super::tx_cache::TxCache;
use super::tx_state::TxState;
use super::write_lock::WriteLock;
use crate::crash;
use crate::model::{DecideError, Event, RunId, perform};
use crate::store::backend::{TimedCommand, TransactionReport};
use crate::store::error::StoreError;
use crate::store::log::{LostNotes, StoredOutput, StoredOutputs};
use crate::store::notifier::Notifier;
use crate::store::reservation_lock::ReservationLock;
use crate::store::state_dir::StateDir;

/// A connection to the site in the database of a state directory.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) db: Connection,
    /// Dropped after the connection.
    #[expect(dead_code, reason = "it only has to be kept")]
    pub(super) file: ConnectedDb,
    pub(super) dir: StateDir,
    pub(super) identity: DbIdentity,
    pub(super) history: HistoryMark,
    pub(super) write_lock: WriteLock,
    /// None when the site was opened read-only.
    pub(super) reservation_lock: Option<ReservationLock>,
    pub(super) notifier: Notifier,
    pub(super) cache: Option<TxCache>,
    /// What readers of output use. It has a connection of its own.
    pub(super) outputs: StoredOutputs,
    /// What is missing from the logs of running jobs that can't be written.
    pub(super) lost_notes: LostNotes,
}

impl SqliteStore {
    /// Runs commands in one transaction while holding the write lock, then notifies other connections.
    pub(super) fn run_commands(&mut self, commands: &[TimedCommand<'_>]) -> Result<TransactionReport, StoreError> {
        let mut outputs = EndedOutputs::read(&self.dir.logs(), &self.lost_notes, commands);
        self.write_lock.lock()?;
        let report = self.check_in_place().and_then(|()| {
            let report = self.run_transaction(commands, &mut outputs);
            self.checked(report)
        });
        let changes = report.iter().flat_map(|report| &report.results).flatten().map(Vec::len).sum::<usize>();
        if let Ok(report) = &report
            && changes > 0
        {
            self.write_lock.record_seq(report.seq_before + changes as u64);
        }
        self.write_lock.unlock()?;
        let report = report?;
        if changes > 0 {
            self.notifier.notify_others();
        }
        outputs.remove_files(&self.dir.logs(), &self.lost_notes);
        Ok(report)
    }

    fn run_transaction(
        &mut self,
        commands: &[TimedCommand<'_>],
        outputs: &mut EndedOutputs,
    ) -> rusqlite::Result<TransactionReport> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.history.advance(&transaction)?;
        let mut state = TxState::new(&transaction, self.cache.take())?;
        let seq_before = state.seq_before;
        let mut results = Vec::with_capacity(commands.len());
        for (nth, &(command, now)) in commands.iter().enumerate() {
            let apply = |state: &mut TxState<'_>, events: Vec<Event>| state.apply(&events, now).map(|()| events);
            let result = match perform(&mut state, command, now, apply) {
                Ok(events) => Ok(events),
                Err(DecideError::Refused(refusal)) => Err(refusal),
                Err(DecideError::Read(error)) => return Err(error),
            };
            outputs.store(&state, nth, &result)?;
            results.push(result);
        }
        let has_removed_secrets = state.has_removed_secrets;
        let claimed = mem::take(&mut state.claimed);
        let cache = state.finish()?;
        if cache.counters.seq > seq_before {
            crash::point("commit");
            transaction.commit()?;
            crash::point("committed");
        } else {
            drop(transaction);
        }
        if has_removed_secrets {
            // Overwrites the pages in the database. If readers prevent that, the next checkpoint does.
            let _ = self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
        }
        self.cache = Some(cache);
        Ok(TransactionReport { seq_before, results, claimed })
    }

    /// Changes rows without an event, in a transaction and under the write lock.
    pub(super) fn write_rows(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.write_lock.lock()?;
        let written = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            migrate::check_format(&transaction)?;
            write(&transaction)?;
            transaction.commit()
        });
        self.write_lock.unlock()?;
        self.checked(written)
    }

    /// Reads one consistent snapshot, after checking that the database was neither migrated by a newer program nor replaced.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let result = self.db.transaction().and_then(|snapshot| {
            migrate::check_format(&snapshot)?;
            self.history.advance(&snapshot)?;
            read(&snapshot)
        });
        self.checked(result)
    }

    /// The output of a run, if it is stored here.
    pub(super) fn find_output(&mut self, run: RunId) -> Result<Option<StoredOutput>, StoreError> {
        self.read(|snapshot| output_rows::find(snapshot, run))
    }

    /// Fails if the database file was removed or replaced while it was open.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        if self.notifier.is_removed() || self.history.is_replaced() {
            Err(self.identity.removed_error())
        } else {
            self.identity.check_unchanged()
        }
    }

    /// Converts the error of a database operation and reacts to it: a removed site is reported as such, and a corrupt
    /// database is left as it is.
    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, StoreError> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(_) if self.history.is_replaced() => return Err(self.identity.removed_error()),
            Err(error) => StoreError::database(&self.dir.database(), error),
        };
        match error {
            StoreError::Database { .. } if self.check_in_place().is_err() || self.identity.is_wal_missing() => {
                Err(self.identity.removed_error())
            }
            StoreError::Unreadable { .. } => {
                // If this fails, closing the connection checkpoints the log as usual.
                let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                Err(error)
            }
            error => Err(error),
        }
    }
}
