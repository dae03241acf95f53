//! The user's registry of sites: which state directories were made here, so that one that came with a clone, a copy or an
//! archive is recognised.
//!
//! A file per site in `$XDG_STATE_HOME/setlist/sites`, named by the site's id, holds the device and inode of the state
//! directory, the machine, and the path. It is outside of the state directory, so no copy brings it along.
//!
//! Where root makes the state of another user, it can't safely write into that user's registry. It leaves the file
//! `made-by-root` in the state directory: it belongs to root, so that its owner can't have got it with a clone or an archive,
//! and names the id, the inode and the machine, so that it is worth nothing in a copy that root makes.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::error::StoreError;
use super::private_files::{create_private_dir, open_private, open_to_read, options};
use super::site_id::SiteId;
use super::state_dir::StateDir;
use super::trust::check_state_dir;
use crate::account::Account;

/// The file in a state directory by which root says that it has made it here.
const ROOT_RECORD: &str = "made-by-root";

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
        if actual.was_made_by_root(&id) {
            // If this fails, what root has recorded stays.
            let _ = self.write(&id, &actual);
            return Ok(Registration::Registered);
        }
        Ok(registration)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
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
        let read = open_to_read(&path).and_then(|mut file| file.read_to_end(&mut bytes));
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

/// Records in a state directory of another user that root has made it here. Does nothing for other users.
pub(super) fn record_root(dir: &StateDir) -> Result<(), StoreError> {
    if !geteuid().is_root() || dir.path().symlink_metadata().is_ok_and(|metadata| metadata.uid() == 0) {
        return Ok(());
    }
    let (id, site) = (dir.site_id()?, RegisteredSite::of(dir)?);
    let (path, draft) = (
        dir.path().join(ROOT_RECORD),
        dir.path().join(format!(
            "{ROOT_RECORD}.{}.new",
            SiteId::random().map_err(|source| StoreError::io(dir.path(), source))?
        )),
    );
    let failed = |source| StoreError::io(&path, source);
    let record = site.root_record(&id);
    if options()
        .read(true)
        .open(&path)
        .and_then(|file| io::read_to_string(file.take(1 << 12)))
        .is_ok_and(|recorded| recorded == record)
    {
        return Ok(());
    }
    // It stays root's, and its owner can read it.
    let mut file = options().write(true).create_new(true).open(&draft).map_err(failed)?;
    let written =
        file.write_all(record.as_bytes()).and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o644)));
    written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, &path)).map_err(failed)
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

    /// What root records in the state directory.
    fn root_record(&self, id: &SiteId) -> String {
        format!("{id} {} {} {}\n", self.device, self.inode, self.machine)
    }

    /// Whether root has recorded that it made this state directory, which belongs to another user, here.
    fn was_made_by_root(&self, id: &SiteId) -> bool {
        let owner = fs::symlink_metadata(&self.path).map(|metadata| metadata.uid());
        // Root would give what it opens to the owner, and doesn't need it.
        if geteuid().is_root() || owner.is_ok_and(|owner| owner == 0) {
            return false;
        }
        let Ok(mut file) = open_to_read(&self.path.join(ROOT_RECORD)) else { return false };
        let is_roots = file.metadata().is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o022 == 0);
        let mut text = String::new();
        is_roots && file.read_to_string(&mut text).is_ok() && text == self.root_record(id)
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
