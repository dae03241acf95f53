//! A connection to a site on a server, and its transactions.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::output_upload::OutputUploader;
use super::row_changes::RowChanges;
use super::schema::{self, LOCK_CLASS};
use super::server_address::ServerAddress;
use super::session::{AnswerLimit, ServerSession, begin};
use super::site_client::SiteClient;
use super::site_copy::{LOAD_STATEMENTS, SiteCopy, SiteRow, events, load_sql, news_sql};
use super::sql_text::{ResultSets, literal, number};
use super::terminal_forwarding::TerminalForwarding;
use crate::crash;
use crate::model::{Command, DecideError, Event, EventRecord, SiteState, perform};
use crate::store::backend::{TimedCommand, TransactionReport};
use crate::store::error::StoreError;
use crate::store::site_id::SiteId;
use crate::store::state_dir::StateDir;
use crate::store::store_clock::StoreClock;

/// How often to connect again to find out whether a transaction was committed, and how long to wait in between.
const COMMIT_CHECKS: u32 = 8;
const COMMIT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The index of the first statement after the beginning of a transaction and the lock.
const FIRST_READ: usize = 4;

/// A connection to a site in a `PostgreSQL` database.
pub struct PostgresStore {
    pub(super) session: ServerSession,
    /// The id of the site in the database.
    pub(super) site: i32,
    /// None before the first use, and after an error.
    copy: Option<SiteCopy>,
    /// The number of failovers when the copy was loaded.
    copied_after: u32,
    /// The number of failovers that a follower of events knows of.
    pub(super) followed_after: u32,
    /// The random name of this connection.
    pub(super) client: String,
    /// The number of its last transaction.
    transactions: u64,
    /// The files of this machine that belong to the site.
    pub(super) local: StateDir,
    /// Sends the output of the runs of this connection, once there are any.
    pub(super) uploader: OnceLock<Option<OutputUploader>>,
    /// Forwards the input of terminals.
    pub(super) terminals: Arc<TerminalForwarding>,
}

/// Whether a site that is an incomplete copy can be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    Required,
    Any,
}

/// How a commit ended whose answer was an error.
pub(super) enum Commit {
    Done,
    NotDone,
}

impl PostgresStore {
    /// Opens a connection to a site, which is created if it does not exist. Files of this machine, such as the output of
    /// its runs, are in `local`.
    pub fn open(address: &ServerAddress, local: &StateDir) -> Result<Self, StoreError> {
        Self::open_with_clock(address, local, StoreClock::server(), Completeness::Required)
    }

    /// Opens a connection to a site that another one is being copied into.
    pub fn open_copy(address: &ServerAddress, local: &StateDir) -> Result<Self, StoreError> {
        Self::open_with_clock(address, local, StoreClock::server(), Completeness::Any)
    }

    pub(super) fn open_with_clock(
        address: &ServerAddress,
        local: &StateDir,
        clock: StoreClock,
        completeness: Completeness,
    ) -> Result<Self, StoreError> {
        let mut session = ServerSession::connect(address, clock)?;
        let (site, is_incomplete) = schema::prepare(&mut session)?;
        if is_incomplete && completeness == Completeness::Required {
            return Err(StoreError::IncompleteCopy { store: address.to_string() });
        }
        let client = SiteId::random().map_err(|source| StoreError::io(local.path(), source))?.as_str().to_owned();
        session.run(&format!(
            "DELETE FROM setlist.clients WHERE site = {site} AND at < clock_timestamp() - interval '1 day'"
        ))?;
        let clock = session.clock().clone();
        let terminals = SiteClient { address: address.clone(), clock, site, name: client.clone() };
        let terminals = Arc::new(TerminalForwarding::new(terminals));
        Ok(Self {
            session,
            site,
            copy: None,
            copied_after: 0,
            followed_after: 0,
            client,
            transactions: 0,
            local: local.clone(),
            uploader: OnceLock::new(),
            terminals,
        })
    }

    /// Executes commands in one transaction. If the connection breaks, it is made again, and the commands are executed
    /// again unless the transaction was committed.
    pub(super) fn run_commands(&mut self, commands: &[TimedCommand<'_>]) -> Result<TransactionReport, StoreError> {
        if let Some(Some(uploader)) = self.uploader.get() {
            // All output is there once a run is known to have ended.
            uploader.wait_until_sent(commands.iter().filter_map(|(command, _)| match command {
                Command::EndRun { run, .. } => Some(*run),
                _ => None,
            }));
        }
        self.begin()?;
        let (report, changes) = self.decide(commands)?;
        if changes.events.is_empty() {
            self.rollback();
            return Ok(report);
        }
        match self.commit(&changes)? {
            Commit::Done => Ok(report),
            Commit::NotDone => {
                self.begin()?;
                let (report, changes) = self.decide(commands)?;
                match self.commit(&changes)? {
                    Commit::Done => Ok(report),
                    Commit::NotDone => Err(StoreError::Unreachable {
                        server: self.session.address().to_string(),
                        reason: "the connection broke twice; nothing was changed".to_owned(),
                    }),
                }
            }
        }
    }

    /// Begins a transaction: takes the lock of the site and brings the copy up to date.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        let reads = match &self.copy {
            Some(copy) => news_sql(self.site, copy.state.seq()),
            None => load_sql(self.site),
        };
        let lock = format!("{}; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {})", begin(), self.site);
        let mut sets = self.session.run_again_within(&format!("{lock}; {reads}"), self.read_limit())?;
        if self.copy.is_some() {
            if self.follow(&mut sets, FIRST_READ).inspect_err(|_| self.rollback())? {
                return Ok(());
            }
            sets = self.session.run_within(&load_sql(self.site), AnswerLimit::Load)?;
            return self.load(&mut sets, 0).inspect_err(|_| self.rollback());
        }
        self.load(&mut sets, FIRST_READ).inspect_err(|_| self.rollback())
    }

    /// How long the answer to what [`begin`](Self::begin) asks may take.
    fn read_limit(&self) -> AnswerLimit {
        if self.copy.is_some() { AnswerLimit::Usual } else { AnswerLimit::Load }
    }

    /// Ends a transaction that has changed nothing.
    pub(super) fn rollback(&mut self) {
        // If it fails, the connection is broken; then the transaction has ended as well.
        let _ = self.session.run("ROLLBACK");
    }

    /// Applies the results of [`news_sql`], which start at `first`, to the copy. Returns whether it is up to date; if not,
    /// it is dropped.
    fn follow(&mut self, sets: &mut ResultSets, first: usize) -> Result<bool, StoreError> {
        let site = SiteRow::read(&sets.take(first))?;
        self.session.clock().set(site.now);
        let events = events(&sets.take(first + 1))?;
        let is_same_server = self.copied_after == self.session.failovers();
        let is_current = is_same_server && self.copy.as_mut().is_some_and(|copy| copy.follow(&site, &events));
        if !is_current {
            self.copy = None;
        }
        Ok(is_current)
    }

    /// Makes a copy from the results of [`load_sql`], which start at `first`.
    fn load(&mut self, sets: &mut ResultSets, first: usize) -> Result<(), StoreError> {
        let (copy, now) = SiteCopy::load(sets, first)?;
        self.session.clock().set(now);
        self.copy = Some(copy);
        self.copied_after = self.session.failovers();
        Ok(())
    }

    /// Decides the commands, and applies their events to the copy.
    fn decide(&mut self, commands: &[TimedCommand<'_>]) -> Result<(TransactionReport, RowChanges), StoreError> {
        let state = self.state()?;
        let mut changes = RowChanges::default();
        let mut report = TransactionReport { seq_before: state.seq(), ..TransactionReport::default() };
        for &(command, now) in commands {
            let apply = |state: &mut SiteState, events: Vec<Event>| {
                for event in &events {
                    let record = EventRecord { seq: state.seq() + 1, at: now, event: event.clone() };
                    changes.record(state, &record);
                    state.apply(&record);
                }
                Ok(events)
            };
            report.results.push(match perform(state, command, now, apply) {
                Ok(events) => Ok(events),
                Err(DecideError::Refused(refusal)) => Err(refusal),
                Err(DecideError::Read(never)) => match never {},
            });
        }
        let claimed = report.results.iter().flatten().flatten().flat_map(|event| match event {
            Event::Started { job, .. } => vec![*job],
            Event::Reserved { jobs, .. } => jobs.iter().map(|reservation| reservation.job).collect(),
            _ => Vec::new(),
        });
        report.claimed = claimed.filter_map(|job| state.job(job).cloned()).collect();
        Ok((report, changes))
    }

    /// Writes the changes, commits, and notifies others.
    pub(super) fn commit(&mut self, changes: &RowChanges) -> Result<Commit, StoreError> {
        self.transactions += 1;
        let (site, client, number) = (self.site, literal(&self.client), self.transactions);
        let state = self.state()?;
        let (rows, seq) = (changes.to_sql(site, state), state.seq());
        let token = format!(
            "INSERT INTO setlist.clients VALUES ({site}, {client}, {number}) ON CONFLICT (site, id) \
             DO UPDATE SET transaction = excluded.transaction, at = clock_timestamp();"
        );
        let payload = literal(&format!("{seq} {}", self.client));
        // Within the transaction, the notification would take a lock of the whole database.
        let sql = format!("{rows}{token} COMMIT; NOTIFY setlist_{site}, {payload}");
        crash::point("commit");
        match self.session.run(&sql) {
            Ok(_) => {
                crash::point("committed");
                Ok(Commit::Done)
            }
            Err(error) => {
                self.copy = None;
                self.check_commit(number).unwrap_or(Err(error))
            }
        }
    }

    /// Finds out whether a transaction was committed whose answer was an error. None if it was not, and executing it again
    /// would fail in the same way.
    fn check_commit(&mut self, transaction: u64) -> Option<Result<Commit, StoreError>> {
        let is_broken = self.session.is_closed();
        let mut error = None;
        for attempt in 0..COMMIT_CHECKS {
            if attempt > 0 {
                thread::sleep(COMMIT_CHECK_INTERVAL);
            }
            match self.last_transaction() {
                Ok(last) if last >= transaction => return Some(Ok(Commit::Done)),
                Ok(_) if is_broken => return Some(Ok(Commit::NotDone)),
                Ok(_) => return None,
                Err(failed) => error = Some(failed),
            }
        }
        let reason = error.map(|error| error.to_string()).unwrap_or_default();
        Some(Err(StoreError::CommitUnknown { server: self.session.address().to_string(), reason }))
    }

    /// The number of the last committed transaction of this connection. With the lock of the site: a commit that the
    /// server still works on holds it.
    fn last_transaction(&mut self) -> Result<u64, StoreError> {
        let (site, client) = (self.site, literal(&self.client));
        let mut sets = self.session.run_again(&format!(
            "{}; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {site}); \
             SELECT transaction FROM setlist.clients WHERE site = {site} AND id = {client}; ROLLBACK",
            begin()
        ))?;
        sets.take(FIRST_READ).first().map_or(Ok(0), |row| number(row, 0))
    }

    /// The copy. It is only there between [`begin`](Self::begin) or [`read`](Self::read) and an error.
    pub(super) fn state(&mut self) -> Result<&mut SiteState, StoreError> {
        let missing = || StoreError::UnreadableRow { reason: "the site was not loaded".to_owned() };
        self.copy.as_mut().map(|copy| &mut copy.state).ok_or_else(missing)
    }

    /// Brings the copy up to date and reads it.
    pub(super) fn read<T>(&mut self, read: impl FnOnce(&SiteState) -> T) -> Result<T, StoreError> {
        self.read_with("SELECT 1", |state, _| Ok(read(state)))
    }

    /// Like [`read`](Self::read), together with the rows of a statement as of the same moment.
    pub(super) fn read_with<T>(
        &mut self,
        statement: &str,
        read: impl FnOnce(&SiteState, &[postgres::SimpleQueryRow]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        if let Some(copy) = &self.copy {
            let news = news_sql(self.site, copy.state.seq());
            let mut sets = self.session.run_again(&format!("{snapshot}; {news}; {statement}; COMMIT"))?;
            if self.follow(&mut sets, 1)? {
                return read(self.state()?, &sets.take(3));
            }
        }
        let load = load_sql(self.site);
        let mut sets =
            self.session.run_again_within(&format!("{snapshot}; {load}; {statement}; COMMIT"), AnswerLimit::Load)?;
        self.load(&mut sets, 1)?;
        let rows = sets.take(1 + LOAD_STATEMENTS);
        read(self.state()?, &rows)
    }
}
