//! The user's registry of sites: which state directories were made here, so that one that came with a clone, a copy or an
//! archive is recognised.
//!
//! A file per site in `$XDG_STATE_HOME/setlist/sites`, named by the site's id, holds the device and inode of the state
//! directory, the machine, and the path. It is outside of the state directory, so no copy brings it along.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::error::StoreError;
use super::private_files::{create_private_dir, open_private, open_to_read};
use super::site_id::SiteId;
use super::state_dir::StateDir;
use super::trust::check_state_dir;
use crate::account::Account;

/// The registry of one user.
#[derive(Clone, Debug)]
pub struct Registry {
    dir: PathBuf,
}

/// What the registry says of a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It was made here.
    Registered,
    /// Its id belongs to a state directory elsewhere: it is a copy of that one.
    Elsewhere(PathBuf),
    /// Its id is unknown, or it has none.
    Unknown,
}

/// A site as registered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RegisteredSite {
    device: u64,
    inode: u64,
    machine: String,
    path: PathBuf,
}

impl Registry {
    /// The registry in this directory, which is created when a site is registered.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The registry of the user, in `$XDG_STATE_HOME` or `~/.local/state`. None without a home directory.
    pub fn of_user() -> Option<Self> {
        Some(Self::new(Self::user_state_dir()?.join("sites")))
    }

    /// Where the user's own state is kept, that of no site: `$XDG_STATE_HOME/setlist` or `~/.local/state/setlist`.
    pub fn user_state_dir() -> Option<PathBuf> {
        let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = base.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
        Some(base.join("setlist"))
    }

    /// The registry of the owner of a state directory, which root uses too.
    fn of_owner(dir: &StateDir) -> Option<Self> {
        let owner = fs::symlink_metadata(dir.path()).ok()?.uid();
        if !geteuid().is_root() || owner == 0 {
            return None;
        }
        Some(Self::new(Path::new(&Account::find(owner)?.home).join(".local/state/setlist/sites")))
    }

    /// What the registry says of a state directory. A directory that was moved is registered at its new path.
    pub fn lookup(&self, dir: &StateDir) -> Result<Registration, StoreError> {
        let Some(id) = dir.find_site_id()? else { return Ok(Registration::Unknown) };
        let actual = RegisteredSite::of(dir)?;
        let mut registration = Registration::Unknown;
        for registry in [Some(self.clone()), Self::of_owner(dir)].into_iter().flatten() {
            match registry.read(&id)? {
                Some(entry) if entry.is_same_site(&actual) => {
                    if entry != actual {
                        // If this fails, the old path stays registered, with the same inode.
                        let _ = registry.write(&id, &actual);
                    }
                    return Ok(Registration::Registered);
                }
                Some(entry) => registration = Registration::Elsewhere(entry.path),
                None => {}
            }
        }
        Ok(registration)
    }

    /// Registers a state directory.
    pub fn register(&self, dir: &StateDir) -> Result<(), StoreError> {
        self.write(&dir.site_id()?, &RegisteredSite::of(dir)?)
    }

    fn read(&self, id: &SiteId) -> Result<Option<RegisteredSite>, StoreError> {
        let path = self.dir.join(id.as_str());
        // The registry is trusted like a state directory.
        check_state_dir(&self.dir)?;
        let mut bytes = Vec::new();
        let read = open_to_read(&path).and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes));
        match read {
            Ok(_) => Ok(RegisteredSite::parse(&bytes)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(StoreError::io(path, error)),
        }
    }

    fn write(&self, id: &SiteId, entry: &RegisteredSite) -> Result<(), StoreError> {
        create_private_dir(&self.dir)?;
        check_state_dir(&self.dir)?;
        let path = self.dir.join(id.as_str());
        let draft = self.dir.join(format!("{id}.{}.new", std::process::id()));
        let mut file = open_private(&draft)?;
        let write = file.set_len(0).and_then(|()| file.write_all(&entry.bytes())).and_then(|()| file.sync_all());
        write.and_then(|()| fs::rename(&draft, &path)).map_err(|source| StoreError::io(path, source))
    }
}

impl RegisteredSite {
    fn of(dir: &StateDir) -> Result<Self, StoreError> {
        let failed = |source| StoreError::io(dir.path(), source);
        let path = dir.path().canonicalize().map_err(failed)?;
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), machine: machine(), path })
    }

    fn is_same_site(&self, other: &Self) -> bool {
        let same_inode = (self.device, self.inode) == (other.device, other.inode);
        self.machine == other.machine && (self.path == other.path || same_inode)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} {}\n", self.device, self.inode, self.machine).into_bytes();
        bytes.extend_from_slice(self.path.as_os_str().as_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', bytes)?;
        let mut words = str::from_utf8(&bytes[..end]).ok()?.splitn(3, ' ');
        let (device, inode) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let path = PathBuf::from(OsString::from_vec(bytes[end + 1..].to_vec()));
        Some(Self { device, inode, machine: words.next()?.to_owned(), path })
    }
}

/// The id of this machine, or its host name.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    match id.split_whitespace().next() {
        Some(id) => id.to_owned(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}
