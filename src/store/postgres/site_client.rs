//! A client of a site on a server, as its other connections need it.

use super::server_address::ServerAddress;
use crate::store::store_clock::StoreClock;

/// A client of a site on a server.
#[derive(Clone)]
pub(super) struct SiteClient {
    pub(super) address: ServerAddress,
    pub(super) clock: StoreClock,
    pub(super) site: i32,
    /// Its random name.
    pub(super) name: String,
}
