//! A site in one of the backends.

use std::fs;
use std::time::Duration;

use setlist::store::{MemoryStore, PostgresStore, ServerAddress, SqliteStore, StateDir, Store, StoreClock};
use tempfile::TempDir;

use super::at;
use crate::postgres_server;

/// A site in one of the backends.
pub(crate) struct BackendSite {
    backend: Backend,
    folder: TempDir,
}

enum Backend {
    Memory(MemoryStore),
    Sqlite,
    Postgres(Box<ServerAddress>),
}

impl BackendSite {
    pub(crate) fn memory() -> Self {
        let folder = TempDir::new().unwrap();
        Self { backend: Backend::Memory(MemoryStore::new(folder.path())), folder }
    }

    /// A site in memory with leases by a clock that only moves when told to.
    pub(crate) fn memory_with_leases() -> Self {
        let folder = TempDir::new().unwrap();
        let store = MemoryStore::with_leases(folder.path(), StoreClock::manual(at(0)));
        Self { backend: Backend::Memory(store), folder }
    }

    /// Lets time pass for the leases of workers.
    pub(super) fn pass(&self, time: Duration) {
        match &self.backend {
            Backend::Memory(store) => store.clock().advance(time),
            Backend::Sqlite => {}
            Backend::Postgres(address) => postgres_server::pass(address, time),
        }
    }

    pub(crate) fn sqlite() -> Self {
        Self { backend: Backend::Sqlite, folder: TempDir::new().unwrap() }
    }

    /// A site on the test server; none if there is no server.
    pub(crate) fn postgres() -> Option<Self> {
        let address = postgres_server::new_site()?;
        Some(Self { backend: Backend::Postgres(address.into()), folder: TempDir::new().unwrap() })
    }

    /// Its folder, which is removed with the result.
    pub(super) fn into_folder(self) -> TempDir {
        self.folder
    }

    pub(super) fn state_dir(&self) -> StateDir {
        StateDir::new(self.folder.path().join(".setlist"))
    }

    /// Opens another connection to the site.
    pub(super) fn connect(&self) -> Box<dyn Store> {
        match &self.backend {
            Backend::Memory(memory) => Box::new(memory.clone()),
            Backend::Sqlite => Box::new(SqliteStore::open(&self.state_dir()).unwrap()),
            Backend::Postgres(address) => {
                let local = self.state_dir();
                fs::create_dir_all(local.logs()).unwrap();
                Box::new(PostgresStore::open(address, &local).unwrap())
            }
        }
    }
}
