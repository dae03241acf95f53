//! Looking programs up in a job's `PATH`, so that the child needn't try every folder while we wait for it.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::variables::Variables;

/// What was found is remembered for so long: whoever installs a program before starting a job of it gets that one.
const FRESH: Duration = Duration::from_secs(1);

/// Where programs were found a moment ago.
#[derive(Debug, Default)]
pub(super) struct Programs {
    found: HashMap<(OsString, String), PathBuf>,
    since: Option<Instant>,
}

impl Programs {
    /// Where a job with these variables finds a program. None where that is not to be searched or has no such program:
    /// then it is the operating system's to say why.
    pub(super) fn find(&mut self, program: &str, variables: &Variables, cwd: &Path) -> Option<PathBuf> {
        if program.contains('/') {
            return None;
        }
        let folders = match variables.get("PATH") {
            Some(own) => own.as_ref().map(OsString::from),
            None => env::var_os("PATH"),
        }?;
        if self.since.is_none_or(|since| since.elapsed() > FRESH) {
            self.found.clear();
            self.since = Some(Instant::now());
        }
        let key = (folders, program.to_owned());
        if let Some(found) = self.found.get(&key).filter(|found| is_program(found)) {
            return Some(found.clone());
        }
        let place = |folder: PathBuf| cwd.join(folder).join(program);
        let found = env::split_paths(&key.0).map(place).find(|path| is_program(path))?;
        // What the working directory has a say in is another for every job.
        if env::split_paths(&key.0).all(|folder| folder.is_absolute()) {
            self.found.insert(key, found.clone());
        }
        Some(found)
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}
