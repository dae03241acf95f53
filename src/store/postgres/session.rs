//! A connection to the server, which is made again when it breaks.

use postgres::{Client, Error, NoTls};

use super::server_address::{ServerAddress, describe};
use super::sql_text::ResultSets;
use crate::store::error::StoreError;
use crate::store::store_clock::StoreClock;

/// Settings of each connection. A client that stops between the two messages of a transaction must not keep the lock of
/// the site.
const SETTINGS: &str = "SET standard_conforming_strings = on; SET client_min_messages = warning; \
     SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '60s'; SET synchronous_commit = on; \
     SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off";

/// A connection to the server.
pub(super) struct ServerSession {
    address: ServerAddress,
    client: Client,
    clock: StoreClock,
}

impl ServerSession {
    pub(super) fn connect(address: &ServerAddress, clock: StoreClock) -> Result<Self, StoreError> {
        let client = connect(address)?;
        Ok(Self { address: address.clone(), client, clock })
    }

    /// Connects again.
    pub(super) fn reconnect(&mut self) -> Result<(), StoreError> {
        self.client = connect(&self.address)?;
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn address(&self) -> &ServerAddress {
        &self.address
    }

    pub(super) fn clock(&self) -> &StoreClock {
        &self.clock
    }

    /// Sends statements as one message. After an error no transaction is open.
    pub(super) fn run(&mut self, sql: &str) -> Result<ResultSets, StoreError> {
        match self.client.simple_query(sql) {
            Ok(messages) => Ok(ResultSets::new(messages)),
            Err(error) => {
                // It fails if the connection is broken; then there is no transaction either.
                let _ = self.client.simple_query("ROLLBACK");
                Err(server_error(&self.address, &error))
            }
        }
    }

    /// Like [`run`](Self::run), for what can be sent twice: if the connection was broken, it is made again first.
    pub(super) fn run_again(&mut self, sql: &str) -> Result<ResultSets, StoreError> {
        if self.is_closed() {
            self.reconnect()?;
        }
        match self.run(sql) {
            Err(_) if self.is_closed() => {
                self.reconnect()?;
                self.run(sql)
            }
            result => result,
        }
    }
}

/// Connects with the settings that all statements rely on.
pub(super) fn connect(address: &ServerAddress) -> Result<Client, StoreError> {
    let failed = |error: Error| match address.warning() {
        // The server may miss the password that is in this file.
        Some(warning) => {
            StoreError::Server { server: address.to_string(), reason: format!("{} ({warning})", describe(&error)) }
        }
        None => server_error(address, &error),
    };
    let encryption = address.tls().map_err(|reason| StoreError::Server { server: address.to_string(), reason })?;
    let client = match encryption {
        Some(tls) => address.config().connect(tls),
        None => address.config().connect(NoTls),
    };
    let mut client = client.map_err(failed)?;
    client.batch_execute(SETTINGS).map_err(failed)?;
    Ok(client)
}

pub(super) fn server_error(address: &ServerAddress, error: &Error) -> StoreError {
    StoreError::Server { server: address.to_string(), reason: describe(error) }
}
