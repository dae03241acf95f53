//! A connection to a site on a server, and its transactions.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::fetch::SiteFetch;
use super::output_upload::OutputUploader;
use super::partial_site::{Access, PartialSite, rollback};
use super::prefetch::prefetch;
use super::row_changes::RowChanges;
use super::schema::{self, LOCK_CLASS};
use super::server_address::ServerAddress;
use super::server_failure::unreachable;
use super::session::{AnswerLimit, ServerSession, begin};
use super::site_client::SiteClient;
use super::site_frame::{SiteFrame, SiteHead, head_sql};
use super::site_load::{load_sql, read_site};
use super::sql_text::{literal, number};
use super::terminal_forwarding::TerminalForwarding;
use postgres::SimpleQueryRow;

use crate::crash;
use crate::model::{Command, DecideError, Event, SiteState, perform};
use crate::store::backend::{TimedCommand, TransactionReport};
use crate::store::error::StoreError;
use crate::store::log::LostNotes;
use crate::store::site_id::SiteId;
use crate::store::state_dir::StateDir;
use crate::store::store_clock::StoreClock;

/// How often to connect again to find out whether a transaction was committed, and how long to wait in between.
const COMMIT_CHECKS: u32 = 8;
const COMMIT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How many transactions a connection commits between two deletions of the numbers of earlier ones.
const TRANSACTIONS_PER_PRUNE: u64 = 256;

/// The index of the first statement after the beginning of a transaction and the lock.
const FIRST_READ: usize = 4;

/// A connection to a site in a `PostgreSQL` database.
pub struct PostgresStore {
    pub(super) session: ServerSession,
    /// The id of the site in the database.
    pub(super) site: i32,
    /// None before the first use, and after an error.
    frame: Option<SiteFrame>,
    /// The number of failovers that a follower of events knows of.
    pub(super) followed_after: u32,
    /// The random name of this connection.
    pub(super) client: String,
    /// The number of its last transaction.
    transactions: u64,
    /// The files of this machine that belong to the site.
    pub(super) local: StateDir,
    /// What is missing from the logs of running jobs that can't be written.
    pub(super) lost_notes: LostNotes,
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

/// How the attempt to execute commands ended.
enum Attempt {
    Done(TransactionReport),
    /// Nothing was changed, because the connection broke.
    Broken,
}

/// How a commit ended whose answer was an error.
#[derive(Clone, Copy, PartialEq, Eq)]
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
            frame: None,
            followed_after: 0,
            client,
            transactions: 0,
            local: local.clone(),
            lost_notes: LostNotes::default(),
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
        match self.try_commands(commands)? {
            Attempt::Done(report) => Ok(report),
            Attempt::Broken => match self.try_commands(commands)? {
                Attempt::Done(report) => Ok(report),
                Attempt::Broken => Err(unreachable(
                    self.session.address(),
                    "the connection broke twice; nothing was changed: try again",
                )),
            },
        }
    }

    fn try_commands(&mut self, commands: &[TimedCommand<'_>]) -> Result<Attempt, StoreError> {
        let fetches = prefetch(commands, self.frame.as_ref());
        let frame = self.frame.take();
        let mut partial = PartialSite::begin(&mut self.session, self.site, frame, Access::Change, &fetches)?;
        let (report, changes) = match decide(&mut partial, commands) {
            Ok(decided) => decided,
            Err(error) => {
                drop(partial);
                return self.undecided(error);
            }
        };
        if changes.events.is_empty() {
            self.frame = Some(partial.into_frame([false; 4]));
            rollback(&mut self.session);
            return Ok(Attempt::Done(report));
        }
        let (rows, seq) = (changes.to_sql(self.site, &partial.known()), partial.known().state.seq());
        let frame = partial.into_frame(changes.changed_tables());
        match self.commit(&rows, seq)? {
            Commit::Done => {
                self.frame = Some(frame);
                Ok(Attempt::Done(report))
            }
            Commit::NotDone => Ok(Attempt::Broken),
        }
    }

    /// Ends a transaction that could not be decided, because more could not be read.
    fn undecided(&mut self, error: StoreError) -> Result<Attempt, StoreError> {
        if self.session.is_closed() {
            return Ok(Attempt::Broken);
        }
        rollback(&mut self.session);
        Err(error)
    }

    /// Takes the lock of the site. It is held until the end of the transaction.
    pub(super) fn lock(&mut self) -> Result<(), StoreError> {
        let lock = format!("{}; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {})", begin(), self.site);
        self.session.run_again(&lock).map(drop)
    }

    /// Writes changes, commits, and notifies others. `seq` is the number of the last event.
    pub(super) fn commit(&mut self, rows: &str, seq: u64) -> Result<Commit, StoreError> {
        self.transactions += 1;
        let (site, client, number) = (self.site, literal(&self.client), self.transactions);
        let mut token = format!("INSERT INTO setlist.clients VALUES ({site}, {client}, {number});");
        if number % TRANSACTIONS_PER_PRUNE == 0 {
            let first = number.saturating_sub(2 * TRANSACTIONS_PER_PRUNE);
            // A failure to write to a string is impossible.
            let _ = write!(
                token,
                "DELETE FROM setlist.clients WHERE site = {site} AND id = {client} \
                 AND transaction >= {first} AND transaction < {number};"
            );
        }
        let payload = literal(&format!("{seq} {}", self.client));
        // Within the transaction, the notification would take a lock of the whole database.
        let notify = format!("NOTIFY setlist_{site}, {payload}");
        let sql = format!("{rows}{token} COMMIT; {notify}");
        crash::point("commit");
        match self.session.run(&sql) {
            Ok(_) => {
                crash::point("committed");
                Ok(Commit::Done)
            }
            Err(error) => {
                let commit = self.check_commit(number).unwrap_or(Err(error))?;
                if commit == Commit::Done {
                    // The server may have been stopped before it. If that fails too, others find the change when they look.
                    let _ = self.session.run_again(&notify);
                }
                Ok(commit)
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
        Some(Err(StoreError::CommitUnknown { reason }))
    }

    /// The number of the last committed transaction of this connection. With the lock of the site: a commit that the
    /// server still works on holds it.
    fn last_transaction(&mut self) -> Result<u64, StoreError> {
        let (site, client) = (self.site, literal(&self.client));
        let mut sets = self.session.run_again(&format!(
            "{}; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {site}); \
             SELECT coalesce(max(transaction), 0) FROM setlist.clients WHERE site = {site} AND id = {client}; ROLLBACK",
            begin()
        ))?;
        sets.take(FIRST_READ).first().map_or(Ok(0), |row| number(row, 0))
    }

    /// Reads one snapshot of the site, with what is needed of its jobs. If the connection breaks, it is read again.
    pub(super) fn read<T>(
        &mut self,
        fetches: &[SiteFetch],
        mut read: impl FnMut(&PartialSite<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut is_again = false;
        loop {
            let frame = self.frame.take();
            let partial = PartialSite::begin(&mut self.session, self.site, frame, Access::Read, fetches)?;
            let result = read(&partial);
            let frame = partial.into_frame([false; 4]);
            if result.is_err() && self.session.is_closed() && !is_again {
                is_again = true;
                continue;
            }
            rollback(&mut self.session);
            self.frame = Some(frame);
            return result;
        }
    }

    /// The rows of each of some statements, which are read from one snapshot.
    pub(super) fn rows(&mut self, statements: &[String]) -> Result<Vec<Vec<SimpleQueryRow>>, StoreError> {
        let sql = statements.join("; ");
        let mut sets = if statements.len() > 1 {
            self.session.run_again(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {sql}; COMMIT"))?
        } else {
            self.session.run_again(&sql)?
        };
        let first = usize::from(statements.len() > 1);
        Ok((first..first + statements.len()).map(|nth| sets.take(nth)).collect())
    }

    /// The head of the site.
    pub(super) fn head(&mut self) -> Result<SiteHead, StoreError> {
        let head = SiteHead::read(&self.session.run_again(&head_sql(self.site))?.take(0))?;
        self.session.clock().set(head.now);
        Ok(head)
    }

    /// Loads the whole site.
    pub(super) fn load_all(&mut self) -> Result<SiteState, StoreError> {
        let load = load_sql(self.site);
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {load}; COMMIT");
        let mut sets = self.session.run_again_within(&sql, AnswerLimit::Load)?;
        let (state, now) = read_site(&mut sets, 1)?;
        self.session.clock().set(now);
        Ok(state)
    }
}

/// Decides commands and applies their events.
fn decide(
    partial: &mut PartialSite<'_>,
    commands: &[TimedCommand<'_>],
) -> Result<(TransactionReport, RowChanges), StoreError> {
    let mut changes = RowChanges::default();
    let mut report = TransactionReport { seq_before: partial.seq_before, ..TransactionReport::default() };
    for &(command, now) in commands {
        let apply = |partial: &mut PartialSite<'_>, events: Vec<Event>| partial.apply(events, now, &mut changes);
        report.results.push(match perform(partial, command, now, apply) {
            Ok(events) => Ok(events),
            Err(DecideError::Refused(refusal)) => Err(refusal),
            Err(DecideError::Read(error)) => return Err(error),
        });
    }
    let claimed = report.results.iter().flatten().flatten().flat_map(|event| match event {
        Event::Started { job, .. } => vec![*job],
        Event::Reserved { jobs, .. } => jobs.iter().map(|reservation| reservation.job).collect(),
        _ => Vec::new(),
    });
    report.claimed = claimed.filter_map(|job| partial.known().state.job(job).cloned()).collect();
    Ok((report, changes))
}
