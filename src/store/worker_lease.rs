//! The lease by which a worker of a server is known to be alive, and how long it lasts.

use std::any::Any;
use std::time::Duration;

/// How long a worker is taken for alive after it has last renewed its lease.
pub const LEASE_TERM: Duration = Duration::from_secs(60);

/// How often a worker renews its lease.
pub(super) const LEASE_RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// How long a worker whose lease ran out has time to renew it, after that was noticed.
pub const LEASE_GRACE: Duration = Duration::from_secs(30);

/// The lease of a worker, which is renewed until this is dropped.
pub struct WorkerLease {
    _held: Box<dyn Any + Send>,
}

impl WorkerLease {
    /// A lease that is renewed until `held` is dropped.
    pub(super) fn keeping(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}
