//! Which server has the site of a state directory, which then holds only what belongs to this machine, and whether it is an
//! incomplete copy.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use super::error::StoreError;
use super::postgres::ServerAddress;
use super::private_files::{open_private, read_to_string};
use super::state_dir::StateDir;
use super::trust::OTHER_FILES_DIR;
use crate::stable_hash::stable_hash;

impl StateDir {
    /// The directory of this machine for the site on a server that the jobs of this file belong to.
    pub fn for_server(file: &Path, address: &ServerAddress) -> Self {
        let hash = stable_hash(address.to_string().bytes());
        Self::new(Self::for_file(file).path().join(OTHER_FILES_DIR).join(format!("{}@{hash:016x}", address.site())))
    }

    /// The server that has the site, if it is not in the database here.
    pub fn server_address(&self) -> Result<Option<ServerAddress>, StoreError> {
        let path = self.server_record();
        let url = match read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| StoreError::io(&path, source))?,
        };
        let parsed = ServerAddress::parse(url.trim_end());
        parsed.map(Some).map_err(|error| StoreError::Unreadable { path, reason: error.to_string() })
    }

    /// Whether a server has the site, so that its workers may be on other machines.
    pub fn is_on_server(&self) -> bool {
        self.server_record().exists()
    }

    /// The version of `jobs.yaml` that this machine has last published, or has seen in force.
    pub fn last_published(&self) -> Option<String> {
        read_to_string(&self.path().join("published")).ok().filter(|version| !version.is_empty())
    }

    /// Records the version of `jobs.yaml` that this machine has published, or has seen in force.
    pub fn record_published(&self, version: &str) -> Result<(), StoreError> {
        if self.last_published().as_deref() == Some(version) {
            return Ok(());
        }
        let draft = self.draft_record("published", version)?;
        fs::rename(&draft, self.path().join("published")).map_err(|source| StoreError::io(draft, source))
    }

    /// Writes a record to a file of its own, so that no other process finds half of it.
    fn draft_record(&self, name: &str, content: &str) -> Result<PathBuf, StoreError> {
        let draft = self.path().join(format!("{name}.{}.new", process::id()));
        let mut file = open_private(&draft)?;
        let written = file.set_len(0).and_then(|()| file.write_all(content.as_bytes())).and_then(|()| file.sync_all());
        written.map_err(|source| StoreError::io(&draft, source))?;
        Ok(draft)
    }

    /// Records the server that has the site. Refused if the directory holds another site.
    pub fn record_server(&self, address: &ServerAddress) -> Result<(), StoreError> {
        let path = self.server_record();
        match self.server_address()? {
            Some(known) if known.to_string() == address.to_string() => return Ok(()),
            Some(known) => return Err(StoreError::OtherServer { path, server: known.to_string() }),
            None if self.database().exists() => {
                return Err(StoreError::OtherServer { path, server: self.database().display().to_string() });
            }
            None => {}
        }
        // Another process may do the same at the same time: the first one wins.
        let draft = self.draft_record("server", &format!("{address}\n"))?;
        let linked = fs::hard_link(&draft, &path);
        // If this fails, the draft remains without effect.
        let _ = fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.record_server(address),
            linked => linked.map_err(|source| StoreError::io(path, source)),
        }
    }

    /// Refuses a directory that another site was being copied into.
    pub(super) fn refuse_incomplete(&self) -> Result<(), StoreError> {
        if self.is_incomplete() {
            return Err(StoreError::IncompleteCopy { store: self.path().display().to_string() });
        }
        Ok(())
    }

    /// Whether another site is being copied into the directory, or was when that was interrupted.
    pub fn is_incomplete(&self) -> bool {
        self.copy_mark().exists()
    }

    /// Marks the directory as an incomplete copy, or as a complete one.
    pub fn mark_incomplete(&self, is_incomplete: bool) -> Result<(), StoreError> {
        let path = self.copy_mark();
        if is_incomplete {
            self.create()?;
            return open_private(&path)?.sync_all().map_err(|source| StoreError::io(path, source));
        }
        fs::remove_file(&path).map_err(|source| StoreError::io(path, source))
    }

    fn copy_mark(&self) -> PathBuf {
        self.path().join("incomplete-copy")
    }
}
