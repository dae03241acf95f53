//! The leases of workers: rows that each worker renews on a connection of its own, by the clock of the server.

use std::mem;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::server_address::ServerAddress;
use super::server_failure::unusable;
use super::session::{AnswerLimit, ServerSession};
use super::sql_text::number;
use crate::model::WorkerId;
use crate::store::error::StoreError;
use crate::store::notifier::NotifyFn;
use crate::store::store_clock::StoreClock;
use crate::store::worker_lease::{LEASE_GRACE, LEASE_RENEWAL_INTERVAL, LEASE_TERM, WorkerLease};

/// How long to wait before renewing again after that has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Renews the lease of a worker until the result is dropped.
pub(super) fn keep(
    address: &ServerAddress,
    clock: StoreClock,
    site: i32,
    worker: WorkerId,
    on_loss: NotifyFn,
) -> Result<WorkerLease, StoreError> {
    let mut session = ServerSession::connect(address, clock)?;
    let (held, dropped): (Sender<()>, _) = channel();
    let sql = format!(
        "UPDATE setlist.workers SET renewed = clock_timestamp(), overdue = NULL WHERE site = {site} AND id = {} \
         RETURNING id",
        worker.0
    );
    if session.run_within(&sql, AnswerLimit::Short)?.take(0).is_empty() {
        on_loss();
        return Ok(WorkerLease::keeping(held));
    }
    let renew = move || {
        let (mut wait, mut is_failing) = (LEASE_RENEWAL_INTERVAL, false);
        while dropped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match session.run_again_within(&sql, AnswerLimit::Short).map(|mut sets| sets.take(0)) {
                Ok(rows) if rows.is_empty() => {
                    tracing::warn!(%worker, "the lease of this worker has run out");
                    return on_loss();
                }
                Ok(_) => {
                    is_failing = false;
                    LEASE_RENEWAL_INTERVAL
                }
                Err(error) => {
                    if !mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "can't renew the lease of this worker, trying again");
                    }
                    RETRY_INTERVAL
                }
            };
        }
    };
    let failed = |source| unusable(address, format!("no thread can be started: {source}"));
    thread::Builder::new().name("lease".to_owned()).spawn(renew).map_err(failed)?;
    Ok(WorkerLease::keeping(held))
}

/// When each worker has last renewed its lease.
pub(super) fn renewals(session: &mut ServerSession, site: i32) -> Result<Vec<(WorkerId, DateTime<Utc>)>, StoreError> {
    let sql = format!(
        "SELECT id, floor(extract(epoch FROM renewed) * 1000)::bigint FROM setlist.workers WHERE site = {site}"
    );
    let rows = session.run_again(&sql)?.take(0);
    let renewal = |row| {
        let at = DateTime::from_timestamp_millis(number(row, 1)?).unwrap_or_default();
        Ok((WorkerId(number(row, 0)?), at))
    };
    rows.iter().map(renewal).collect()
}

/// The workers whose lease has run out. Those whose lease was still thought to hold are only marked.
pub(super) fn workers_without(session: &mut ServerSession, site: i32) -> Result<Vec<WorkerId>, StoreError> {
    let (term, grace) = (LEASE_TERM.as_secs(), LEASE_GRACE.as_secs());
    let ran_out = format!("site = {site} AND renewed < clock_timestamp() - make_interval(secs => {term})");
    let found = session.run_again(&format!("SELECT 1 FROM setlist.workers WHERE {ran_out} LIMIT 1"))?.take(0);
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut sets = session.run_again(&format!(
        "SELECT id FROM setlist.workers WHERE {ran_out} AND overdue < clock_timestamp() - make_interval(secs => {grace}); \
         UPDATE setlist.workers SET overdue = clock_timestamp() WHERE {ran_out} AND overdue IS NULL"
    ))?;
    sets.take(0).iter().map(|row| number(row, 0).map(WorkerId)).collect()
}
