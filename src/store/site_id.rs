//! The identity of a site: a random number in the file `id` of its state directory.
//!
//! It stays the same when the directory is moved, and tags the processes of the site's runs. A copied directory has the
//! id of its original until it is adopted.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::error::StoreError;
use super::state_dir::{StateDir, open_private};

/// The identity of a site: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SiteId(String);

/// The number of hexadecimal digits.
const LEN: usize = 32;

impl SiteId {
    /// A new random id.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; LEN / 2];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
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

impl Display for SiteId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl StateDir {
    /// The id of the site. [`create`](Self::create) makes one where there is none.
    pub fn site_id(&self) -> Result<SiteId, StoreError> {
        let path = self.id_file();
        self.find_site_id()?.ok_or_else(|| StoreError::io(path, io::ErrorKind::NotFound.into()))
    }

    /// The id of the site; none if the directory was made by a version without ids.
    pub fn find_site_id(&self) -> Result<Option<SiteId>, StoreError> {
        let path = self.id_file();
        match fs::read_to_string(&path) {
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
        if path.exists() {
            return Ok(());
        }
        let id = SiteId::random().map_err(|source| StoreError::io(&path, source))?;
        let draft = self.path().join(format!("id.{id}.new"));
        let write = |file: &mut File| {
            file.write_all(format!("{id}\n").as_bytes())?;
            file.sync_all()
        };
        let written = open_private(&draft).and_then(|mut file| {
            write(&mut file).and_then(|()| fs::hard_link(&draft, &path)).map_err(|source| StoreError::io(&path, source))
        });
        // If this fails, the draft remains without effect.
        let _ = fs::remove_file(&draft);
        match written {
            Err(_) if path.exists() => Ok(()),
            written => written,
        }
    }

    fn id_file(&self) -> PathBuf {
        self.path().join("id")
    }
}
