//! The identity of a site: a random number in the file `id` of its state directory.
//!
//! It stays the same when the directory is moved, and tags the processes of the site's runs. A copied directory has the
//! id of its original until it is adopted.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::private_files::{create_private_dir, open_private, read_to_string};
use super::state_dir::StateDir;
use super::trust::{OTHER_FILES_DIR, check_state_dir};

/// The identity of a site: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SiteId(String);

/// The number of hexadecimal digits.
const LEN: usize = 32;

impl SiteId {
    /// A new random id.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; LEN / 2];
        match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bytes = random_without_dev(),
            read => read?,
        }
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end();
        let is_valid = digits.len() == LEN && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_valid.then(|| Self(digits.to_owned()))
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Random bytes where there is no `/dev`, as in a root that holds only the program: the keys of std's hash maps come from
/// the kernel.
fn random_without_dev() -> [u8; LEN / 2] {
    let mut bytes = [0; LEN / 2];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
    }
    bytes
}

impl Display for SiteId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl StateDir {
    /// Creates the directory and its subdirectories where they don't exist, and an id. An existing directory is
    /// [checked](check_state_dir) first.
    ///
    /// An existing directory keeps its permissions. A `.gitignore` is only created if the directory is empty.
    pub fn create(&self) -> Result<(), StoreError> {
        check_state_dir(self.path())?;
        // The state of another file is below that of `jobs.yaml`, whose directory may not exist.
        let parent =
            self.path().parent().filter(|parent| parent.file_name().is_some_and(|name| name == OTHER_FILES_DIR));
        if let Some(base) = parent.and_then(Path::parent) {
            create_ignored_dir(base)?;
            create_private_dir(&base.join(OTHER_FILES_DIR))?;
        }
        create_ignored_dir(self.path())?;
        for dir in [self.logs(), self.values(), self.workers(), self.listeners()] {
            create_private_dir(&dir)?;
        }
        self.ensure_site_id()
    }

    /// The id of the site. [`create`](Self::create) makes one where there is none.
    pub fn site_id(&self) -> Result<SiteId, StoreError> {
        let path = self.id_file();
        self.find_site_id()?.ok_or_else(|| StoreError::io(path, io::ErrorKind::NotFound.into()))
    }

    /// The id of the site; none if the directory was made by a version without ids.
    pub fn find_site_id(&self) -> Result<Option<SiteId>, StoreError> {
        let path = self.id_file();
        match read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(path, error)),
            Ok(text) => match SiteId::parse(&text) {
                Some(id) => Ok(Some(id)),
                None => Err(StoreError::Unreadable { path, reason: "not a site id".to_owned() }),
            },
        }
    }

    /// Writes an id if there is none. Another process may do so at the same time: the first one wins.
    pub(super) fn ensure_site_id(&self) -> Result<(), StoreError> {
        let path = self.id_file();
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        let draft = self.draft_id()?;
        let linked = fs::hard_link(&draft, &path);
        // If this fails, the draft remains without effect.
        let _ = fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::io(path, error)),
            _ => Ok(()),
        }
    }

    /// Replaces the id.
    pub(super) fn renew_site_id(&self) -> Result<(), StoreError> {
        let draft = self.draft_id()?;
        fs::rename(&draft, self.id_file()).map_err(|source| StoreError::io(draft, source))
    }

    /// Writes a new id to a file of its own.
    fn draft_id(&self) -> Result<PathBuf, StoreError> {
        let id = SiteId::random().map_err(|source| StoreError::io(self.path(), source))?;
        let draft = self.path().join(format!("id.{id}.new"));
        let mut file = open_private(&draft)?;
        let written = file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all());
        written.map(|()| draft.clone()).map_err(|source| StoreError::io(draft, source))
    }

    fn id_file(&self) -> PathBuf {
        self.path().join("id")
    }
}

/// Creates a directory with a `.gitignore`, unless there is something in it.
fn create_ignored_dir(path: &Path) -> Result<(), StoreError> {
    create_private_dir(path)?;
    let mut entries = fs::read_dir(path).map_err(|source| StoreError::io(path, source))?;
    if entries.next().is_none() {
        let path = path.join(".gitignore");
        open_private(&path)?.write_all(b"*\n").map_err(|source| StoreError::io(path, source))?;
    }
    Ok(())
}
