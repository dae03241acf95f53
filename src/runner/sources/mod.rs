//! Looks at the sources and outputs of a job: which files match their patterns, and what is in them.

mod file_hashes;
mod file_walk;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3Default;

pub use file_hashes::FileHashes;
use file_hashes::FileStamp;
use file_walk::FileWalk;
pub use file_walk::ObserveError;

use super::launch::Launch;
use super::os_error::describe_os_error;
use super::secret_masker::SecretMasker;
use crate::model::{Call, FilePattern, FileRules, ObservedFiles, SourceComparison, SourceState};
use crate::regular_file::open_regular;
use crate::text;

/// How much of a file is read at once, in bytes. Between two of these, the observation can be cancelled.
const READ_BYTES: usize = 256 * 1024;

/// Observes the sources and outputs of the job that `launch` runs, whose command has the digest `command`. `is_cancelled` is
/// asked often. An error is without the secret inputs.
pub fn observe_files(
    launch: &Launch,
    rules: &FileRules,
    command: u64,
    hashes: &FileHashes,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<ObservedFiles, ObserveError> {
    observe(launch, rules, command, hashes, is_cancelled).map_err(|error| {
        match (error, SecretMasker::for_inputs(launch)) {
            (ObserveError::Failed(message), Some(masker)) => {
                ObserveError::Failed(masker.mask_text(&message).into_owned())
            }
            (error, _) => error,
        }
    })
}

fn observe(
    launch: &Launch,
    rules: &FileRules,
    command: u64,
    hashes: &FileHashes,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<ObservedFiles, ObserveError> {
    let Call::Script(script) = &launch.definition.call else {
        return Err(ObserveError::Failed("a function has no sources".to_owned()));
    };
    let folder = launch.working_folder(script);
    // A folder whose name has a secret input in it is not recorded.
    let masker = SecretMasker::for_inputs(launch);
    let is_secret = |masker: &SecretMasker| masker.hides_part_of(folder.as_os_str().as_bytes());
    let hashes = Some(hashes).filter(|_| !masker.as_ref().is_some_and(is_secret));
    let mut observation = Observation { rules, hashes, is_cancelled, files: BTreeMap::new() };
    let (excluded, included): (Vec<_>, Vec<_>) = rules.sources.iter().partition(|pattern| pattern.starts_with('!'));
    let excluded = excluded.into_iter().map(|pattern| parse(launch, &pattern[1..])).collect::<Result<Vec<_>, _>>()?;
    for pattern in included {
        let pattern = parse(launch, pattern)?;
        let mut walk = FileWalk::new(&folder, is_cancelled);
        walk.find(&pattern, &mut |name, path| {
            if excluded.iter().any(|excluded| excluded.matches(name)) { Ok(()) } else { observation.add(name, path) }
        })?;
    }
    // What they set is part of the environment of the job.
    for file in script.exec.env_files.iter().filter(|_| !rules.sources.is_empty()) {
        observation.add(file, &launch.absolute_path(file))?;
    }
    let mut missing_outputs = Vec::new();
    for output in &rules.outputs {
        let mut walk = FileWalk::new(&folder, is_cancelled);
        if !walk.exists(&parse(launch, output)?)? {
            missing_outputs.push(FilePattern::plain_text(output).into_owned());
        }
    }
    if let Some(hashes) = hashes {
        hashes.save();
    }
    let files = observation.files;
    Ok(ObservedFiles { sources: SourceState::new(command, files), missing_outputs })
}

/// How many files a pattern of sources or outputs matches, at most `most`; for `check`.
pub fn count_matches(folder: &Path, pattern: &FilePattern, most: usize) -> Result<usize, ObserveError> {
    FileWalk::new(folder, &|| false).count(pattern, most)
}

fn parse(launch: &Launch, pattern: &str) -> Result<FilePattern, ObserveError> {
    let expanded = match pattern.strip_prefix("~/") {
        Some(_) => launch.absolute_path(Path::new(pattern)).to_string_lossy().into_owned(),
        None => pattern.to_owned(),
    };
    FilePattern::parse(&expanded).map_err(|error| ObserveError::Failed(format!("pattern {pattern}: {error}")))
}

/// The sources that have been found.
struct Observation<'a> {
    rules: &'a FileRules,
    /// The known hashes, if new ones may be recorded.
    hashes: Option<&'a FileHashes>,
    is_cancelled: &'a dyn Fn() -> bool,
    files: BTreeMap<String, u64>,
}

impl Observation<'_> {
    /// Adds a file. One that has been removed meanwhile, or is neither a file nor a link, is left out.
    fn add(&mut self, name: &Path, path: &Path) -> Result<(), ObserveError> {
        let name = text_of(name.as_os_str());
        if self.files.contains_key(&name) {
            return Ok(());
        }
        let failed = |error: &io::Error| {
            let path = text::sanitize_line(&path.to_string_lossy());
            ObserveError::Failed(format!("source {path}: {}", describe_os_error(error)))
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(()),
            // A link that leads nowhere is known by where it leads.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Ok(target) = fs::read_link(path) {
                    self.files.insert(name, digest_of(target.as_os_str().as_bytes()));
                }
                return Ok(());
            }
            Err(error) => return Err(failed(&error)),
        };
        let digest = match self.rules.on {
            SourceComparison::Mtime => digest_of(format!("{} {}", metadata.len(), modified(&metadata)).as_bytes()),
            SourceComparison::Content => match self.hash(path, &metadata) {
                Ok(Some(hash)) => hash,
                Ok(None) => return Err(ObserveError::Cancelled),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed(&error)),
            },
        };
        self.files.insert(name, digest);
        Ok(())
    }

    /// The hash of the content of a file; none if that was cancelled.
    fn hash(&self, path: &Path, metadata: &Metadata) -> io::Result<Option<u64>> {
        let stamp = FileStamp::of(metadata);
        if let Some(hash) = self.hashes.and_then(|hashes| hashes.find(path, stamp)) {
            return Ok(Some(hash));
        }
        let mut file = open_regular(path)?;
        let (mut hash, mut buffer) = (Xxh3Default::new(), vec![0; READ_BYTES]);
        loop {
            if (self.is_cancelled)() {
                return Ok(None);
            }
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hash.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let hash = hash.digest();
        // Only if it was not changed while it was read.
        if let Some(hashes) = self.hashes
            && FileStamp::of(&file.metadata()?) == stamp
        {
            hashes.remember(path, stamp, hash);
        }
        Ok(Some(hash))
    }
}

fn digest_of(bytes: &[u8]) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(bytes);
    hash.digest()
}

/// When a file was modified, in nanoseconds.
fn modified(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

/// A name as text, the same for equal names only: bytes that are not UTF-8 are escaped.
fn text_of(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}
