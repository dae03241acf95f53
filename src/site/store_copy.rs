//! Copies a site with its history between a folder and a server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::definition;
use crate::store::{
    CopyError, CopyReport, PostgresStore, ServerAddress, SiteId, SqliteStore, StateDir, Store as _, StoreError,
    check_state_dir, compare_sites, copy_site, refuse_workers,
};

/// Where a site is kept.
pub enum StoreLocation {
    /// In the folder of its state.
    Folder(StateDir),
    /// On a server.
    Server(Box<ServerAddress>),
}

impl StoreLocation {
    /// The site in this folder, which has a `jobs.yaml` or is that of a state.
    pub fn of_folder(folder: PathBuf) -> Self {
        let state = StateDir::for_file(&folder.join(definition::FILE_NAME));
        let is_state = StateDir::new(&folder).has_database() || folder.file_name() == state.path().file_name();
        Self::Folder(if is_state { StateDir::new(folder) } else { state })
    }
}

/// A folder that is removed at the end, for the logs of a server's site.
struct ScratchFolder(PathBuf);

impl ScratchFolder {
    fn create() -> Result<Self, StoreError> {
        let temp = std::env::temp_dir();
        let name = SiteId::random().map_err(|source| StoreError::io(&temp, source))?;
        let folder = Self(temp.join(format!("setlist-copy-{}", name.as_str())));
        folder.state().create()?;
        Ok(folder)
    }

    fn state(&self) -> StateDir {
        StateDir::new(&self.0)
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // What remains of it has no effect.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies the site in a folder to a server, and compares the two.
pub fn copy_to_server(from: &StateDir, to: &ServerAddress) -> Result<CopyReport, CopyError> {
    if !from.database().exists() {
        return Err(StoreError::NothingToCopy { path: from.path().to_owned() }.into());
    }
    check_state_dir(from.path())?;
    let mut source = SqliteStore::open_to_read(from)?;
    refuse_workers(&mut source)?;
    let scratch = ScratchFolder::create()?;
    let mut target = PostgresStore::open(to, &scratch.state())?;
    if target.last_seq()? > 0 {
        return Err(StoreError::NotEmpty { store: to.to_string() }.into());
    }
    copy_site(&mut source, &mut target, clock::now())?;
    // Read from the server, not from what this process has written here.
    let fresh = ScratchFolder::create()?;
    let report = compare_sites(&mut source, &mut PostgresStore::open_copy(to, &fresh.state())?)?;
    target.mark_complete()?;
    Ok(report)
}

/// Copies a site on a server to a folder, and compares the two.
pub fn copy_to_folder(from: &ServerAddress, to: &StateDir) -> Result<CopyReport, CopyError> {
    if to.is_incomplete() {
        return Err(StoreError::IncompleteCopy { store: to.path().display().to_string() }.into());
    }
    if to.has_database() {
        return Err(StoreError::NotEmpty { store: to.path().display().to_string() }.into());
    }
    let scratch = ScratchFolder::create()?;
    let mut source = PostgresStore::open(from, &scratch.state())?;
    refuse_workers(&mut source)?;
    if source.last_seq()? == 0 {
        return Err(CopyError::Empty);
    }
    let file = to.path().parent().unwrap_or(Path::new("/")).join(definition::FILE_NAME);
    to.take_ownership(&file, false)?;
    to.mark_incomplete(true)?;
    copy_site(&mut source, &mut SqliteStore::open_copy(to)?, clock::now())?;
    let report = compare_sites(&mut source, &mut SqliteStore::open_copy(to)?)?;
    to.mark_incomplete(false)?;
    Ok(report)
}
