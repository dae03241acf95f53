//! Why a server can't be reached or used, in words: what happened, where, and what to do.

use std::error::Error as _;
use std::io;

use postgres::Error;
use postgres::error::{DbError, SqlState};
use tokio_rustls::rustls::{self, CertificateError};

use super::server_address::{ServerAddress, describe};
use crate::store::error::StoreError;
use crate::text;

/// The oldest version that has all that the statements need, as `server_version_num`.
const OLDEST_VERSION: u32 = 140_000;

/// How the client says that it doesn't understand the server.
const UNKNOWN_MESSAGE: &str = "bytes remaining on stream";

/// How the client says that a name can't be looked up.
const LOOKUP_FAILED: &str = "failed to lookup address information: ";

const STANDBY: &str =
    "it is a standby, which can't be changed; name its primary in the address, or both (`HOST1,HOST2`)";

/// Converts an error of the client.
pub(super) fn server_error(address: &ServerAddress, error: &Error) -> StoreError {
    let reason = reason(address, error);
    if is_outage(error) { unreachable(address, reason) } else { unusable(address, reason) }
}

/// The server is away. Trying again may help.
pub(super) fn unreachable(address: &ServerAddress, reason: impl Into<String>) -> StoreError {
    StoreError::Unreachable { server: address.place(), reason: reason.into() }
}

/// The server refuses something, or can't be used.
pub(super) fn unusable(address: &ServerAddress, reason: impl Into<String>) -> StoreError {
    StoreError::Server { server: address.place(), reason: reason.into() }
}

/// Refuses a server that is too old or can't be changed. `version` is its `server_version_num`.
pub(super) fn check_server(address: &ServerAddress, version: &str, is_standby: bool) -> Result<(), StoreError> {
    if let Ok(version) = version.parse::<u32>()
        && version < OLDEST_VERSION
    {
        let (found, oldest) = (version / 10_000, OLDEST_VERSION / 10_000);
        return Err(unusable(address, format!("it is version {found}, and setlist needs {oldest} or later")));
    }
    // It may take over at any time.
    if is_standby { Err(unreachable(address, STANDBY)) } else { Ok(()) }
}

/// Whether an error says that the server is away, rather than that it refuses something.
fn is_outage(error: &Error) -> bool {
    if let Some(code) = error.code() {
        let codes = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        return codes.contains(code);
    }
    let source = io_source(error);
    error.is_closed() || source.is_some_and(|source| source.kind() != io::ErrorKind::InvalidData)
}

fn io_source(error: &Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

fn reason(address: &ServerAddress, error: &Error) -> String {
    if let Some(reported) = error.as_db_error() {
        return of_report(address, reported);
    }
    if let Some(source) = io_source(error) {
        let encryption = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        return encryption.map_or_else(|| of_connection(source), |error| of_encryption(address, error));
    }
    if error.is_closed() {
        return "the connection was closed; try again".to_owned();
    }
    match &*error.source().map(ToString::to_string).unwrap_or_default() {
        "password missing" => {
            format!("{} needs a password; set `PGPASSWORD`, or add a line to `~/.pgpass`", address.user())
        }
        "server does not support TLS" => {
            "it does not encrypt connections, as `sslmode` demands; turn on `ssl` on the server, or change `sslmode`"
                .to_owned()
        }
        "both host and hostaddr are missing" => {
            "the address has no host; write `postgres://USER@HOST/DATABASE?site=NAME`, or name the folder of a socket \
             with `&host=/var/run/postgresql`"
                .to_owned()
        }
        _ => describe(error),
    }
}

/// What the server reports.
fn of_report(address: &ServerAddress, reported: &DbError) -> String {
    let message = text::sanitize_line(reported.message());
    let (user, database) = (address.user(), address.database());
    let code = reported.code();
    let known = [
        (SqlState::INVALID_PASSWORD, format!("it refuses the password of {user}; correct `PGPASSWORD` or `~/.pgpass`")),
        (
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("{message}; check the user and `sslmode`, and `pg_hba.conf` on the server"),
        ),
        (
            SqlState::INVALID_CATALOG_NAME,
            format!("there is no such database; create it with `createdb {database}` on the server, or check the name"),
        ),
        (SqlState::INSUFFICIENT_PRIVILEGE, missing_privilege(&message, &user, &database)),
        (SqlState::READ_ONLY_SQL_TRANSACTION, STANDBY.to_owned()),
        (SqlState::ADMIN_SHUTDOWN, "the server is shutting down; try again when it is back".to_owned()),
        (SqlState::CRASH_SHUTDOWN, "the server has crashed; try again when it is back".to_owned()),
        (SqlState::CANNOT_CONNECT_NOW, format!("{message}; try again")),
        (SqlState::TOO_MANY_CONNECTIONS, format!("{message}; try again, or raise `max_connections` on the server")),
        (SqlState::DISK_FULL, format!("{message}; nothing was changed: make room on the server and try again")),
        (
            SqlState::LOCK_NOT_AVAILABLE,
            "another client keeps the site locked; nothing was changed: try again".to_owned(),
        ),
    ];
    known.into_iter().find_map(|(state, reason)| (state == *code).then_some(reason)).unwrap_or(message)
}

fn missing_privilege(message: &str, user: &str, database: &str) -> String {
    if message.contains("for database") {
        return format!(
            "{message}; its owner can allow it with `GRANT CONNECT, CREATE ON DATABASE \"{database}\" TO \"{user}\"`"
        );
    }
    format!(
        "{message}; connect as the owner of the schema `setlist`, who can also grant {user} its use, with all privileges \
         on its tables and sequences"
    )
}

/// An error of the network or a socket.
fn of_connection(error: &io::Error) -> String {
    use io::ErrorKind;
    let text = error.to_string();
    let is_other_protocol =
        matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) || text == UNKNOWN_MESSAGE;
    if is_other_protocol {
        return format!("what answers there is no PostgreSQL server ({text}); check the host and the port");
    }
    if let Some(why) = text.strip_prefix(LOOKUP_FAILED) {
        return format!("the name of the host can't be looked up ({}); check the address", why.to_lowercase());
    }
    let advice = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused; is the server running, and is the port right?",
        ErrorKind::NotFound => "there is no such socket; is the server running on this machine?",
        ErrorKind::PermissionDenied if text == "database does not allow writes" => STANDBY,
        ErrorKind::TimedOut => {
            "the connection timed out; is the address right, and is the server not behind a firewall?"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no route to the host; is the network up, and is the address right?"
        }
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => "the connection broke; try again",
        _ => return text,
    };
    advice.to_owned()
}

/// An error of the encryption, or a certificate that is not accepted.
fn of_encryption(address: &ServerAddress, error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return format!("the connection can't be encrypted ({error}); check the host, the port and `sslmode`");
    };
    match certificate {
        CertificateError::UnknownIssuer => format!(
            "its certificate was not issued by one of those in {}; name the right file with `sslrootcert`",
            address.root_certificates().unwrap_or("the file of root certificates")
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is for another host ({certificate}); use that name in the address")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it on the server, or set the clock here".to_owned()
        }
        other => format!("its certificate is not accepted ({other})"),
    }
}
