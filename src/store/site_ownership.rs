//! The ownership of a state directory: whether it may be used, and for which file.
//!
//! A state belongs to one `jobs.yaml`, whose path is recorded in the file `file` of the state directory. The state of
//! `jobs.yaml` is `.setlist` beside it; that of another file in the same directory is below `.setlist/files`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::Local;

use super::environment_files::EnvironmentFiles;
use super::error::StoreError;
use super::private_files::{open_private, open_to_read};
use super::registry::{Registration, Registry, record_root};
use super::state_dir::StateDir;
use super::trust::{OTHER_FILES_DIR, check_state_dir};

const DEFAULT_FILE_NAME: &str = "jobs.yaml";

impl StateDir {
    /// The state directory of this file, where none is named.
    pub fn for_file(file: &Path) -> Self {
        let beside = Self::beside(file);
        let Some(name) = file.file_name().filter(|name| *name != DEFAULT_FILE_NAME) else { return beside };
        // Older versions kept one state for all files; it stays with the file that used it.
        let is_its_own = match beside.recorded_file() {
            Some(recorded) => is_same_file(&recorded, file),
            None => beside.has_database() && !file.with_file_name(DEFAULT_FILE_NAME).exists(),
        };
        if is_its_own { beside } else { Self::new(beside.path().join(OTHER_FILES_DIR).join(name)) }
    }

    /// Whether there is any state: a database or what is left of one.
    pub fn has_database(&self) -> bool {
        let exists = |path: PathBuf| path.symlink_metadata().is_ok();
        exists(self.database()) || exists(self.server_record()) || exists(self.path().join("state.db-wal"))
    }

    /// Makes sure that this directory may be used as the state of `file`; creates and registers it if there is no state
    /// yet. The user vouches for a directory that `is_named`: it need not be registered.
    pub fn take_ownership(&self, file: &Path, is_named: bool) -> Result<(), StoreError> {
        check_state_dir(self.path())?;
        let registry = Registry::of_user();
        if self.has_database() {
            self.check_registration(registry.as_ref(), is_named)?;
            if is_named {
                self.ensure_site_id()?;
                if let Some(registry) = registry
                    && registry.lookup(self)? == Registration::Unknown
                {
                    // It is named each time, so it need not be registered.
                    let _ = registry.register(self);
                }
            }
        } else {
            self.create()?;
            let registered = match &registry {
                // A copy without the database would share the id of its original.
                Some(registry) => match registry.lookup(self)? {
                    Registration::Registered => Ok(()),
                    Registration::Elsewhere(_) => self.renew_site_id().and_then(|()| registry.register(self)),
                    Registration::Unknown => registry.register(self),
                },
                None => Ok(()),
            };
            if !is_named {
                registered?;
            }
            // Without it, the owner is asked to adopt the state.
            let _ = record_root(self);
        }
        self.bind_to_file(file)
    }

    /// Makes sure that this directory may be read as the state of `file`; writes nothing to it.
    pub fn check_ownership(&self, is_named: bool) -> Result<(), StoreError> {
        check_state_dir(self.path())?;
        if !self.has_database() {
            return Ok(());
        }
        self.check_registration(Registry::of_user().as_ref(), is_named)
    }

    fn check_registration(&self, registry: Option<&Registry>, is_named: bool) -> Result<(), StoreError> {
        if is_named {
            return Ok(());
        }
        let registration = registry.map_or(Ok(Registration::Unknown), |registry| registry.lookup(self))?;
        let origin = match registration {
            Registration::Registered => return Ok(()),
            Registration::Elsewhere(path) if path.as_path() != self.path() => {
                format!("is a copy of {}", path.display())
            }
            Registration::Elsewhere(_) => "was made on another machine".to_owned(),
            Registration::Unknown if self.find_site_id()?.is_none() => {
                "was made by an older version, or not here".to_owned()
            }
            Registration::Unknown => match registry {
                Some(registry) => format!("is not in the list of your sites, {},", registry.path().display()),
                None => "can't be found in a list of your sites, because HOME is not set,".to_owned(),
            },
        };
        Err(StoreError::Unregistered { path: self.path().to_owned(), origin })
    }

    /// Records that this is the state of `file`; refused if it is that of another existing file.
    fn bind_to_file(&self, file: &Path) -> Result<(), StoreError> {
        let owner = match self.recorded_file() {
            Some(recorded) if recorded == file => return Ok(()),
            Some(recorded) => Some(recorded),
            // State of an older version belongs to the `jobs.yaml` beside it.
            None if self.has_database() => Some(self.path().with_file_name(DEFAULT_FILE_NAME)),
            None => None,
        };
        // A default directory belongs to its file by its path.
        let is_default = is_same_file(self.path(), Self::for_file(file).path());
        if !is_default && let Some(owner) = owner.filter(|owner| owner.exists() && !is_same_file(owner, file)) {
            return Err(StoreError::OtherFile { path: self.path().to_owned(), owner, file: file.to_owned() });
        }
        let path = self.file_record();
        let write = |mut record: fs::File| {
            record.set_len(0)?;
            record.write_all(file.as_os_str().as_bytes())
        };
        open_private(&path).and_then(|record| write(record).map_err(|source| StoreError::io(path, source)))
    }

    /// The file that this state belongs to, as far as it is recorded.
    pub fn recorded_file(&self) -> Option<PathBuf> {
        let mut bytes = Vec::new();
        open_to_read(&self.file_record()).ok()?.read_to_end(&mut bytes).ok()?;
        (!bytes.is_empty()).then(|| PathBuf::from(OsString::from_vec(bytes)))
    }

    fn file_record(&self) -> PathBuf {
        self.path().join("file")
    }

    /// Registers this directory with a new id, after the user has accepted what is in it.
    pub fn adopt(&self, file: &Path) -> Result<(), StoreError> {
        check_state_dir(self.path())?;
        // Someone else may have chosen the variables in them.
        EnvironmentFiles::new(self.environments()).remove_all()?;
        self.renew_site_id()?;
        if let Some(registry) = Registry::of_user() {
            registry.register(self)?;
        }
        let _ = record_root(self);
        let path = self.file_record();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(path, error)),
            _ => {}
        }
        self.bind_to_file(file)
    }

    /// Renames this directory, so that a new one can be made; returns the new path.
    pub fn put_aside(&self) -> Result<PathBuf, StoreError> {
        let mut name = self.path().file_name().unwrap_or_default().to_owned();
        name.push(Local::now().format(".old-%Y%m%d-%H%M%S").to_string());
        let aside = self.path().with_file_name(name);
        fs::rename(self.path(), &aside).map_err(|source| StoreError::io(self.path(), source))?;
        Ok(aside)
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    one == other || inode(one).is_some_and(|one| Some(one) == inode(other))
}
