//! A site in an `SQLite` database: the default store, shared by any number of processes on one machine.
//!
//! Writers take turns on a lock file, which wakes the next one at once, where `SQLite` itself would sleep and try
//! again. A batch of commands is one transaction and one fsync.

mod apply;
mod codec;
mod definition;
mod known;
mod load;
mod migrate;
mod open;
mod place;
mod prune;
mod read_only;
mod rows;
mod together;
mod turn;
mod whole;

use std::mem;

use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::bell::Bells;
use super::gate::Gate;
use super::log::{LogReader, LogWriter, keep_hook_end};
use super::{Folder, Lines, Listener, Pruned, Ring, Store, StoreError, Timed, Transacted};
use crate::crash;
use crate::model::{
    Call, Command, Definition, Event, HookEnd, Job, JobId, Ledger, QueueView, Recorded, Run, RunId, Undecided, Worker,
    WorkerId, perform,
};
use known::Known;
use place::Place;
use rows::Rows;
use turn::Turn;

/// A connection to the site in a folder's database.
#[derive(Debug)]
pub struct Sqlite {
    db: Connection,
    folder: Folder,
    place: Place,
    turn: Turn,
    /// None where nobody can write.
    gate: Option<Gate>,
    bells: Bells,
    known: Option<Known>,
}

impl Sqlite {
    /// Opens the site in `folder`; the folder and the database are made if they aren't there. A file that is not a
    /// database of ours, or is damaged or too new, is refused and left as it is.
    pub fn open(folder: &Folder) -> Result<Self, StoreError> {
        open::open(folder)
    }

    /// Opens the site in `folder` to read it as it was left, where nothing can be written; every change is refused. What
    /// stands in the log alone can't always be read there.
    pub fn open_to_read(folder: &Folder) -> Result<Self, StoreError> {
        read_only::open(folder)
    }

    fn perform(&mut self, commands: &[Timed<'_>]) -> rusqlite::Result<Transacted> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut rows = Rows::new(&transaction, self.known.take())?;
        let before = rows.began;
        let mut answers = Vec::with_capacity(commands.len());
        for &(command, now) in commands {
            let apply = |rows: &mut Rows<'_>, events: Vec<Event>| rows.apply(&events, now).map(|()| events);
            answers.push(match perform(&mut rows, command, now, apply) {
                Ok(events) => Ok(events),
                Err(Undecided::Refused(refusal)) => Err(refusal),
                Err(Undecided::View(error)) => return Err(error),
            });
        }
        let taken_up = mem::take(&mut rows.taken_up);
        let known = rows.finish()?;
        if known.counters.seq > before {
            crash::point("commit");
            transaction.commit()?;
            crash::point("committed");
        }
        self.known = Some(known);
        Ok(Transacted { before, answers, taken_up })
    }

    /// Refuses if the site was taken away while it was open.
    fn in_place(&self) -> Result<(), StoreError> {
        if self.bells.are_lost() { Err(self.place.gone()) } else { self.place.check() }
    }

    /// Makes the transaction when it is this connection's turn.
    fn in_turn(&mut self, commands: &[Timed<'_>]) -> Result<Transacted, StoreError> {
        self.turn.begin()?;
        let done = self.in_place().and_then(|()| self.perform(commands).map_err(self.failed()));
        let changes = done.iter().flat_map(|done| &done.answers).flatten().map(Vec::len).sum::<usize>();
        if let Ok(done) = &done
            && changes > 0
        {
            self.turn.note(done.before + changes as u64);
        }
        self.turn.end()?;
        let done = done?;
        if changes > 0 {
            self.bells.ring();
        }
        Ok(done)
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<'_> {
        |error| {
            // What it no longer understands is no damage.
            let error = migrate::check(&self.db).err().filter(migrate::is_newer).unwrap_or(error);
            let error = StoreError::database(&self.folder.database(), error);
            // Taken away in the middle of it.
            if matches!(error, StoreError::Database { .. }) && (self.in_place().is_err() || self.place.is_torn()) {
                return self.place.gone();
            }
            if matches!(error, StoreError::Unreadable { .. }) {
                // What is damaged is left as it is. If that is refused, the log is copied back as ever.
                let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            }
            error
        }
    }
}

impl Store for Sqlite {
    fn transact(&mut self, commands: &[Timed<'_>]) -> Result<Transacted, StoreError> {
        only_scripts(commands)?;
        let gate = self.gate.take();
        let passes = commands.iter().any(|(command, _)| !command.is_routine());
        let passage = gate.as_ref().filter(|_| passes).map(Gate::pass).transpose();
        let done = passage.and_then(|_passage| self.in_turn(commands));
        self.gate = gate;
        done
    }

    fn gate(&self) -> Result<Option<Gate>, StoreError> {
        self.gate.is_some().then(|| Gate::at(&self.folder)).transpose()
    }

    fn load(&mut self) -> Result<Ledger, StoreError> {
        self.in_place()?;
        load::ledger(&mut self.db).map_err(self.failed())
    }

    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<Recorded>>, StoreError> {
        self.in_place()?;
        load::events_after(&mut self.db, seq).map_err(self.failed())
    }

    fn queues(&mut self) -> Result<Vec<QueueView>, StoreError> {
        rows::queues(&self.db).map_err(self.failed())
    }

    fn workers(&mut self) -> Result<Vec<Worker>, StoreError> {
        rows::workers(&self.db).map_err(self.failed())
    }

    fn run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        rows::run_by(&self.db, worker).map_err(self.failed())
    }

    fn stamp(&mut self) -> Result<Option<String>, StoreError> {
        rows::stamp(&self.db).map_err(self.failed())
    }

    fn seq(&mut self) -> Result<u64, StoreError> {
        Ok(rows::counters(&self.db).map_err(self.failed())?.seq)
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let found = rows::find(&self.db, id).map_err(self.failed())?;
        Ok(found.map(|(job, _)| job))
    }

    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError> {
        load::runs(&mut self.db, job).map_err(self.failed())
    }

    fn prune(&mut self, now: DateTime<Utc>) -> Result<Pruned, StoreError> {
        self.give_up(now)
    }

    fn another(&self) -> Result<Box<dyn Store>, StoreError> {
        let another = open::open_again(&self.folder).map_err(|error| self.in_place().err().unwrap_or(error))?;
        // Another site may have been put in its place.
        if another.place == self.place { Ok(Box::new(another)) } else { Err(self.place.gone()) }
    }

    fn log(&self, run: RunId) -> LogReader {
        LogReader::new(self.folder.logs(), run)
    }

    fn keep_hook_end(&mut self, run: RunId, end: &HookEnd) -> Result<(), StoreError> {
        keep_hook_end(&self.folder.logs(), run, end)?;
        self.bells.ring();
        Ok(())
    }

    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter {
        LogWriter::new(self.folder.logs(), run, limit)
    }

    fn lines(&self) -> Lines {
        Lines::new(self.folder.lines())
    }

    fn listen(&self, ring: Ring) -> Result<Listener, StoreError> {
        // Whoever removes a folder removes one file after the other.
        let removed = |error| if self.folder.bells().exists() { error } else { self.place.gone() };
        self.bells.listen(ring).map_err(removed)
    }
}

/// A function of this process can't be kept for another one.
fn only_scripts(commands: &[Timed<'_>]) -> Result<(), StoreError> {
    let refuse = |definition: &Definition| match definition.call {
        Call::Script(_) => Ok(()),
        Call::Function(_) => Err(StoreError::NotAScript { title: definition.title.clone() }),
    };
    commands.iter().try_for_each(|(command, _)| match command {
        Command::Add { jobs, .. } => jobs.iter().try_for_each(|job| refuse(job)),
        Command::Reconcile(plan) => plan.queues.iter().flat_map(|queue| &queue.jobs).try_for_each(|job| refuse(job)),
        _ => Ok(()),
    })
}
