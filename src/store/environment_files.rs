//! The environments of users who have requested work: a private file for each, named by the hash of its content.
//!
//! A file is complete and durable before a command that refers to it is committed. It is removed when no unfinished job
//! and no processed queue refers to it, since an environment may hold secrets. Between the two, a request holds a shared
//! lock on the file until its command has been committed, and a file is removed only under an exclusive lock. So a file
//! that a committed command refers to is never removed.
//!
//! A file has a line for the version, one for the umask and for each limit, an empty line, and the variables, each with a
//! NUL byte at its end.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::StoreError;
use super::private_files::{create_private_dir, is_at, open, open_to_read, options};
use crate::model::{Environment, EnvironmentId};
use crate::stable_hash::stable_hash;

const FIRST_LINE: &[u8] = b"setlist environment 1";

/// The stored environments of a site.
#[derive(Clone, Debug)]
pub struct EnvironmentFiles {
    dir: PathBuf,
}

/// An environment as it is stored.
#[derive(Debug)]
pub struct EncodedEnvironment {
    bytes: Vec<u8>,
    hash: u64,
}

/// A stored environment, which is not removed until this is dropped.
#[derive(Debug)]
pub struct SavedEnvironment {
    id: EnvironmentId,
    _lock: File,
}

impl SavedEnvironment {
    /// The id of the environment.
    pub fn id(&self) -> EnvironmentId {
        self.id
    }
}

impl EncodedEnvironment {
    /// Encodes an environment. Environments that differ only in the order of their variables are equal.
    pub fn new(environment: &Environment) -> Self {
        let mut bytes = FIRST_LINE.to_vec();
        bytes.push(b'\n');
        if let Some(umask) = environment.umask {
            bytes.extend(format!("umask {umask:04o}\n").bytes());
        }
        for (name, limit) in &environment.soft_limits {
            let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
            bytes.extend(format!("limit {name} {limit}\n").bytes());
        }
        bytes.push(b'\n');
        let mut variables: Vec<_> = environment.variables.iter().collect();
        variables.sort();
        for (name, value) in variables {
            for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
                bytes.extend(part);
            }
        }
        let hash = stable_hash(bytes.iter().copied());
        Self { bytes, hash }
    }

    /// The ids that it may have: the first that no other environment has.
    fn ids(&self) -> impl Iterator<Item = EnvironmentId> {
        (0..).map(|nth| self.hash.wrapping_add(nth)).filter_map(NonZero::new).map(EnvironmentId)
    }
}

impl EnvironmentFiles {
    /// The environments in this directory. Nothing is created.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Stores an environment unless it is stored already.
    pub fn save(&self, environment: &EncodedEnvironment) -> Result<SavedEnvironment, StoreError> {
        create_private_dir(&self.dir)?;
        let mut ids = environment.ids();
        let mut next = ids.next();
        while let Some(id) = next {
            let path = self.path(id);
            let failed = |source| StoreError::io(&path, source);
            match Self::lock_existing(&path).map_err(failed)? {
                Some((lock, bytes)) if bytes == environment.bytes => {
                    // Another process may have created it and not synced its name yet.
                    File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
                    return Ok(SavedEnvironment { id, _lock: lock });
                }
                // Another environment has the same hash.
                Some(_) => next = ids.next(),
                None => self.create(&path, &environment.bytes).map_err(failed)?,
            }
        }
        Err(StoreError::io(&self.dir, io::ErrorKind::AlreadyExists.into()))
    }

    /// A stored environment; `None` if there is no such file.
    pub fn load(&self, id: EnvironmentId) -> Result<Option<Environment>, StoreError> {
        let path = self.path(id);
        let mut bytes = Vec::new();
        match open_to_read(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(path, error)),
        }
        let unreadable = || StoreError::Unreadable { path: path.clone(), reason: "not an environment".to_owned() };
        decode(&bytes).map(Some).ok_or_else(unreadable)
    }

    /// Removes the environments that are not in use; `in_use` says which are. Those that can't be checked are kept.
    pub fn remove_unused(
        &self,
        mut in_use: impl FnMut() -> Result<BTreeSet<EnvironmentId>, StoreError>,
    ) -> Result<(), StoreError> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Ok(()) };
        let files: Vec<_> = entries.flatten().map(|entry| (entry.path(), id_of(&entry.file_name()))).collect();
        if files.is_empty() {
            return Ok(());
        }
        let used = in_use()?;
        let is_unused = |id: &Option<EnvironmentId>| id.is_none_or(|id| !used.contains(&id));
        for (path, id) in files.into_iter().filter(|(_, id)| is_unused(id)) {
            let Ok(file) = open_to_read(&path) else { continue };
            if file.try_lock().is_err() || !is_at(&file, &path) {
                continue;
            }
            // A request may have been committed since.
            if id.is_some_and(|id| in_use().map_or(true, |used| used.contains(&id))) {
                continue;
            }
            fs::remove_file(&path).map_err(|source| StoreError::io(&path, source))?;
        }
        Ok(())
    }

    /// Removes all environments.
    pub fn remove_all(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(&self.dir, error)),
            _ => Ok(()),
        }
    }

    fn path(&self, id: EnvironmentId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// Locks and reads a file; `None` if it doesn't exist, or no longer.
    fn lock_existing(path: &Path) -> io::Result<Option<(File, Vec<u8>)>> {
        let mut file = match open_to_read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.lock_shared()?;
        if !is_at(&file, path) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some((file, bytes)))
    }

    /// Creates a file with this content, unless another process has created one.
    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let draft = self.dir.join(format!("new-{}-{number}", std::process::id()));
        // The number of an earlier process may be ours.
        let _ = fs::remove_file(&draft);
        let mut file = open(options().create_new(true).write(true), &draft)?;
        file.lock_shared()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // Unlike a rename, this doesn't replace a file that others have locked.
        let mut linked = fs::hard_link(&draft, path);
        if linked.is_err() && !path.exists() {
            // The file system has no hard links.
            linked = fs::rename(&draft, path);
        }
        let _ = fs::remove_file(&draft);
        match linked {
            Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }
}

fn id_of(name: &std::ffi::OsStr) -> Option<EnvironmentId> {
    let number = u64::from_str_radix(name.to_str().filter(|name| name.len() == 16)?, 16).ok()?;
    NonZero::new(number).map(EnvironmentId)
}

fn decode(bytes: &[u8]) -> Option<Environment> {
    let head_len = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, variables) = (&bytes[..head_len], &bytes[head_len + 2..]);
    let mut lines = head.split(|byte| *byte == b'\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut environment = Environment::default();
    for line in lines {
        let words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').collect();
        match words[..] {
            ["umask", mask] => environment.umask = Some(u32::from_str_radix(mask, 8).ok()?),
            ["limit", name, "unlimited"] => environment.soft_limits.push((name.to_owned(), None)),
            ["limit", name, limit] => environment.soft_limits.push((name.to_owned(), Some(limit.parse().ok()?))),
            _ => return None,
        }
    }
    for variable in variables.strip_suffix(b"\0").into_iter().flat_map(|all| all.split(|byte| *byte == 0)) {
        // A name may start with `=`.
        let end = 1 + variable.get(1..)?.iter().position(|byte| *byte == b'=')?;
        let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        environment.variables.push((part(&variable[..end]), part(&variable[end + 1..])));
    }
    Some(environment)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn environment(variables: &[(&str, &[u8])]) -> Environment {
        let variable = |(name, value): &(&str, &[u8])| (OsString::from(*name), OsString::from_vec(value.to_vec()));
        Environment {
            variables: variables.iter().map(variable).collect(),
            umask: Some(0o027),
            soft_limits: vec![("nofile".to_owned(), Some(1024)), ("core".to_owned(), None)],
        }
    }

    fn names(files: &EnvironmentFiles) -> Vec<String> {
        fs::read_dir(&files.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn an_environment_is_stored_once_and_read_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let files = EnvironmentFiles::new(folder.path().join("environments"));
        let big = vec![b'x'; 2 << 20];
        let stored = environment(&[("A", b"1\n\n2"), ("B", b"\xff=\xfe"), ("BIG", &big), ("C", b"")]);
        let first = files.save(&EncodedEnvironment::new(&stored)).unwrap();
        let mut reordered = stored.clone();
        reordered.variables.reverse();
        let second = files.save(&EncodedEnvironment::new(&reordered)).unwrap();
        assert_eq!((first.id(), names(&files)), (second.id(), vec![first.id().to_string()]));
        assert_eq!(files.load(first.id()).unwrap(), Some(stored));
        let mode = fs::metadata(files.path(first.id())).unwrap().mode();
        assert_eq!((mode & 0o777, fs::metadata(&files.dir).unwrap().mode() & 0o777), (0o600, 0o700));
        let empty = files.save(&EncodedEnvironment::new(&Environment::default())).unwrap();
        assert_eq!(files.load(empty.id()).unwrap(), Some(Environment::default()));
    }

    #[test]
    fn environments_with_the_same_hash_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let files = EnvironmentFiles::new(folder.path());
        let with_hash = |value: &[u8]| EncodedEnvironment {
            hash: u64::MAX,
            ..EncodedEnvironment::new(&environment(&[("A", value)]))
        };
        let (one, two) = (files.save(&with_hash(b"1")).unwrap(), files.save(&with_hash(b"2")).unwrap());
        assert_eq!((one.id().0.get(), two.id().0.get()), (u64::MAX, 1));
        assert_eq!(files.load(two.id()).unwrap().unwrap().get("A"), Some("2".as_ref()));
    }

    #[test]
    fn an_environment_is_kept_while_a_request_is_being_committed_or_it_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let files = EnvironmentFiles::new(folder.path());
        fs::write(folder.path().join("new-1-1"), "of a process that was killed").unwrap();
        let saved = files.save(&EncodedEnvironment::new(&environment(&[]))).unwrap();
        let id = saved.id();
        files.remove_unused(|| Ok(BTreeSet::new())).unwrap();
        assert_eq!(names(&files), [id.to_string()], "it is locked");
        drop(saved);
        files.remove_unused(|| Ok(BTreeSet::from([id]))).unwrap();
        assert_eq!(names(&files), [id.to_string()], "it is in use");
        // Committed just before the lock was taken.
        let mut answers = [BTreeSet::new(), BTreeSet::from([id])].into_iter();
        files.remove_unused(|| Ok(answers.next().unwrap())).unwrap();
        assert_eq!(names(&files), [id.to_string()]);
        files.remove_unused(|| Ok(BTreeSet::new())).unwrap();
        assert_eq!((names(&files), files.load(id).unwrap()), (vec![], None));
    }

    #[test]
    fn a_damaged_file_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let files = EnvironmentFiles::new(folder.path());
        let id = EnvironmentId(NonZero::<u64>::MIN);
        for content in
            ["", "setlist environment 2\n\n", "setlist environment 1\nlimit x\n\n", "setlist environment 1\n\nA\0"]
        {
            fs::write(files.path(id), content).unwrap();
            assert!(matches!(files.load(id), Err(StoreError::Unreadable { .. })), "{content:?}");
        }
    }
}
