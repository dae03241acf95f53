//! A connection to the server, which is made again when it breaks.
//!
//! The client has no time limit for an answer. So each connection belongs to a thread, and its user waits for the thread as
//! long as an answer may take. After that the connection counts as broken, as when a firewall drops it without a word; the
//! thread ends when the system finds out as well.

use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Error, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::server_address::ServerAddress;
use super::server_failure::{check_server, server_error, unreachable, unusable};
use super::sql_text::ResultSets;
use crate::crash;
use crate::store::backend::{OutageEvent, OutageListener};
use crate::store::error::StoreError;
use crate::store::store_clock::StoreClock;

/// Settings of each connection.
const SETTINGS: &str = "SET standard_conforming_strings = on; SET client_min_messages = warning; \
     SET synchronous_commit = on; \
     SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off";

/// How long a client may stop between the two messages of a transaction, in which it has the lock of the site.
static MAX_IDLE_IN_TRANSACTION: LazyLock<Duration> = LazyLock::new(|| Duration::from_secs(10).min(*ANSWER_TIMEOUT));

/// The version of the server, and whether it is a standby.
const ABOUT_SERVER: &str = "SELECT current_setting('server_version_num'), pg_is_in_recovery()";

/// The number of the history of the database, which starts anew when a standby takes over.
const TIMELINE: &str = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

/// How long an answer may take: longer than the server waits for a lock.
static ANSWER_TIMEOUT: LazyLock<Duration> =
    LazyLock::new(|| crash::shortened("SETLIST_ANSWER_TIMEOUT", Duration::from_secs(75)));
/// How much longer for each MiB that is sent.
const TIMEOUT_PER_MIB: Duration = Duration::from_secs(5);
/// How long the answer with a whole site may take.
static LOAD_TIMEOUT: LazyLock<Duration> = LazyLock::new(|| *ANSWER_TIMEOUT * 8);
/// How long the answer of a small statement may take that waits for no lock.
static SHORT_TIMEOUT: LazyLock<Duration> = LazyLock::new(|| Duration::from_secs(20).min(*ANSWER_TIMEOUT));

/// How long to wait before connecting again while an outage is waited for, at first and at most.
const MIN_RETRY_INTERVAL: Duration = Duration::from_millis(500);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerLimit {
    /// For a statement that may wait for the lock of the site.
    Usual,
    /// For a small one that waits for no lock.
    Short,
    /// For one that reads a whole site.
    Load,
}

/// A connection to the server.
pub(super) struct ServerSession {
    address: ServerAddress,
    /// None if it is broken.
    connection: Option<ConnectionThread>,
    clock: StoreClock,
    /// The history of the database, as far as it is known: another one after a failover.
    timeline: Option<String>,
    /// How often it was found to be another one.
    failovers: u32,
    outages: Option<OutageTolerance>,
}

/// How long the server may be away before that is an error.
struct OutageTolerance {
    at_most: Duration,
    listener: OutageListener,
    /// Since when the server is away.
    since: Option<Instant>,
    interval: Duration,
}

/// A connection on a thread of its own, which ends when this is dropped.
struct ConnectionThread {
    statements: Sender<String>,
    answers: Receiver<ServerAnswer>,
}

struct ServerAnswer {
    result: Result<Vec<SimpleQueryMessage>, Error>,
    is_closed: bool,
}

/// A connection that was just made.
pub(super) struct NewConnection {
    pub(super) client: Client,
    /// The history of the database, if it is known.
    timeline: Option<String>,
}

impl AnswerLimit {
    fn duration(self, sql: &str) -> Duration {
        match self {
            Self::Usual => {
                let mebibytes = u32::try_from(sql.len() >> 20).unwrap_or(u32::MAX);
                *ANSWER_TIMEOUT + TIMEOUT_PER_MIB.saturating_mul(mebibytes)
            }
            Self::Short => *SHORT_TIMEOUT,
            Self::Load => *LOAD_TIMEOUT,
        }
    }
}

impl ServerSession {
    pub(super) fn connect(address: &ServerAddress, clock: StoreClock) -> Result<Self, StoreError> {
        let mut session = Self::disconnected(address, clock);
        session.reconnect()?;
        Ok(session)
    }

    /// A session that connects when it is used for the first time, with [`run_again`](Self::run_again).
    pub(super) fn disconnected(address: &ServerAddress, clock: StoreClock) -> Self {
        Self { address: address.clone(), connection: None, clock, timeline: None, failovers: 0, outages: None }
    }

    /// Connects again.
    pub(super) fn reconnect(&mut self) -> Result<(), StoreError> {
        self.connection = None;
        let NewConnection { client, timeline } = connect(&self.address, "")?;
        self.connection = Some(ConnectionThread::start(client, &self.address)?);
        if let Some(timeline) = timeline {
            let before = self.timeline.replace(timeline);
            self.failovers += u32::from(before.is_some() && before != self.timeline);
        }
        Ok(())
    }

    /// How often this session has found that another server has taken over, which may miss the last changes and has
    /// other ones under their numbers.
    pub(super) fn failovers(&self) -> u32 {
        self.failovers
    }

    /// Waits so long while the server is away, in place of failing at once.
    pub(super) fn tolerate_outages(&mut self, at_most: Duration, listener: OutageListener) {
        self.outages = Some(OutageTolerance { at_most, listener, since: None, interval: MIN_RETRY_INTERVAL });
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_none()
    }

    pub(super) fn address(&self) -> &ServerAddress {
        &self.address
    }

    pub(super) fn clock(&self) -> &StoreClock {
        &self.clock
    }

    /// Sends statements as one message. After an error no transaction is open.
    pub(super) fn run(&mut self, sql: &str) -> Result<ResultSets, StoreError> {
        self.run_within(sql, AnswerLimit::Usual)
    }

    /// Like [`run`](Self::run), with another limit for the answer.
    pub(super) fn run_within(&mut self, sql: &str, limit: AnswerLimit) -> Result<ResultSets, StoreError> {
        let limit = limit.duration(sql);
        let error = match self.connection.as_ref().map(|connection| connection.ask(sql, limit)) {
            Some(Some(ServerAnswer { result: Ok(messages), .. })) => return Ok(ResultSets::new(messages)),
            Some(Some(ServerAnswer { result: Err(error), is_closed })) => {
                let rolled_back = || {
                    let answer = self.connection.as_ref()?.ask("ROLLBACK", *SHORT_TIMEOUT)?;
                    answer.result.is_ok().then_some(())
                };
                if is_closed || rolled_back().is_none() {
                    self.connection = None;
                }
                server_error(&self.address, &error)
            }
            Some(None) => {
                self.connection = None;
                no_answer(&self.address, limit)
            }
            None => broken(&self.address),
        };
        Err(error)
    }

    /// Like [`run`](Self::run), for what can be sent twice: if the connection was broken, it is made again first.
    pub(super) fn run_again(&mut self, sql: &str) -> Result<ResultSets, StoreError> {
        self.run_again_within(sql, AnswerLimit::Usual)
    }

    /// Like [`run_again`](Self::run_again), with another limit for the answer.
    pub(super) fn run_again_within(&mut self, sql: &str, limit: AnswerLimit) -> Result<ResultSets, StoreError> {
        loop {
            let result = self.run_or_reconnect(sql, limit);
            let Some(outages) = &mut self.outages else { return result };
            match &result {
                Err(error) if error.is_outage() => match outages.next_wait(&self.address) {
                    Some(wait) => thread::sleep(wait),
                    None => return result,
                },
                _ => {
                    outages.end(&self.address);
                    return result;
                }
            }
        }
    }

    fn run_or_reconnect(&mut self, sql: &str, limit: AnswerLimit) -> Result<ResultSets, StoreError> {
        if self.is_closed() {
            self.reconnect()?;
        }
        match self.run_within(sql, limit) {
            Err(_) if self.is_closed() => {
                self.reconnect()?;
                self.run_within(sql, limit)
            }
            result => result,
        }
    }
}

impl OutageTolerance {
    /// How long to wait before the next attempt; none if the server was away for too long.
    fn next_wait(&mut self, address: &ServerAddress) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(|| {
            (self.listener)(&OutageEvent::Began { host: address.host() });
            Instant::now()
        });
        let wait = self.interval;
        self.interval = MAX_RETRY_INTERVAL.min(wait * 2);
        let left = self.at_most.saturating_sub(since.elapsed());
        (!left.is_zero()).then(|| wait.min(left))
    }

    fn end(&mut self, address: &ServerAddress) {
        if self.since.take().is_some() {
            self.interval = MIN_RETRY_INTERVAL;
            (self.listener)(&OutageEvent::Ended { host: address.host() });
        }
    }
}

impl ConnectionThread {
    fn start(mut client: Client, address: &ServerAddress) -> Result<Self, StoreError> {
        let (statements, received) = channel::<String>();
        let (answered, answers) = channel();
        let serve = move || {
            for sql in received {
                let result = client.simple_query(&sql);
                // The user may have stopped waiting; then it sends nothing else.
                if answered.send(ServerAnswer { result, is_closed: client.is_closed() }).is_err() {
                    return;
                }
            }
        };
        spawn_thread("connection", address, serve)?;
        Ok(Self { statements, answers })
    }

    /// Sends statements as one message. None if no answer arrives in time.
    fn ask(&self, sql: &str, limit: Duration) -> Option<ServerAnswer> {
        self.statements.send(sql.to_owned()).ok()?;
        self.answers.recv_timeout(limit).ok()
    }
}

/// Begins a transaction that takes a lock. Its limits are repeated because those of the connection don't hold behind a
/// pooler, which may give each transaction another one. It is three statements.
pub(super) fn begin() -> String {
    format!("BEGIN; {}", transaction_limits("SET LOCAL"))
}

/// How long a transaction waits for a lock, and for its client.
fn transaction_limits(set: &str) -> String {
    let idle = MAX_IDLE_IN_TRANSACTION.as_millis();
    format!("{set} idle_in_transaction_session_timeout = {idle}; {set} lock_timeout = '60s'")
}

/// Connects with the settings that all statements rely on, and executes some statements.
pub(super) fn connect(address: &ServerAddress, statements: &str) -> Result<NewConnection, StoreError> {
    let per_host = address.config().get_connect_timeout().copied().unwrap_or_default() + *SHORT_TIMEOUT;
    let limit = per_host * u32::try_from(address.config().get_hosts().len()).unwrap_or(1).max(1);
    let (connected, connection) = channel();
    let (to, statements) = (address.clone(), format!("{SETTINGS}; {}; {statements}", transaction_limits("SET")));
    // A connection that is made too late is closed.
    spawn_thread("connection", address, move || drop(connected.send(connect_without_limit(&to, &statements))))?;
    connection.recv_timeout(limit).unwrap_or_else(|_| Err(no_answer(address, limit)))
}

fn connect_without_limit(address: &ServerAddress, statements: &str) -> Result<NewConnection, StoreError> {
    let failed = |error: Error| match (server_error(address, &error), address.warning()) {
        // The server may miss the password that is in this file.
        (StoreError::Server { server, reason }, Some(warning)) => {
            StoreError::Server { server, reason: format!("{reason} ({warning})") }
        }
        (error, _) => error,
    };
    let encryption = address.tls().map_err(|reason| unusable(address, reason))?;
    let client = match encryption {
        Some(tls) => address.config().connect(tls),
        None => address.config().connect(NoTls),
    };
    let mut client = client.map_err(failed)?;
    let answer = client.simple_query(&format!("{ABOUT_SERVER}; {statements}")).map_err(failed)?;
    if let Some(about) = first_row(&answer) {
        let column = |nth| about.try_get(nth).ok().flatten().unwrap_or_default();
        check_server(address, column(0), column(1) == "t")?;
    }
    // Unknown where the server doesn't allow to ask.
    let answer = client.simple_query(TIMELINE).unwrap_or_default();
    let timeline = first_row(&answer).and_then(|row| row.try_get(0).ok().flatten().map(str::to_owned));
    Ok(NewConnection { client, timeline })
}

fn first_row(answer: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    answer.iter().find_map(|message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None })
}

/// How long an answer may take.
pub(super) fn answer_timeout() -> Duration {
    *ANSWER_TIMEOUT
}

/// Whether the server answers on this connection.
pub(super) fn is_answered(client: &mut Client) -> bool {
    client.is_valid(*SHORT_TIMEOUT).is_ok()
}

/// Starts a thread for a connection to the server.
pub(super) fn spawn_thread(
    name: &str,
    address: &ServerAddress,
    run: impl FnOnce() + Send + 'static,
) -> Result<(), StoreError> {
    let failed = |source| unusable(address, format!("no thread can be started: {source}"));
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(failed)
}

fn no_answer(address: &ServerAddress, limit: Duration) -> StoreError {
    let seconds = limit.as_secs();
    unreachable(
        address,
        format!("no answer within {seconds}s; does PostgreSQL listen there, or is it overloaded or cut off?"),
    )
}

fn broken(address: &ServerAddress) -> StoreError {
    unreachable(address, "the connection broke; try again")
}
