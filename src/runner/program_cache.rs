//! Looks programs up in a job's `PATH`, so that the spawned child need not try every folder while the parent waits.

use std::collections::HashMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::launch::Launch;
use super::variables::Variables;

/// How long a found path is reused. Short, so that a job started after installing a program uses that one.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// The paths of recently used programs.
#[derive(Debug, Default)]
pub(super) struct ProgramCache {
    found: HashMap<(OsString, String), PathBuf>,
    since: Option<Instant>,
}

impl ProgramCache {
    /// The path of a program for a job with these variables. None if the name has a slash or `PATH` has no such program;
    /// spawning it then fails with the operating system's reason.
    pub(super) fn resolve(
        &mut self,
        program: &str,
        variables: &Variables<'_>,
        launch: &Launch,
        cwd: &Path,
    ) -> Option<PathBuf> {
        if program.contains('/') {
            return None;
        }
        let folders = search_path(variables, launch)?;
        if self.since.is_none_or(|since| since.elapsed() > CACHE_TTL) {
            self.found.clear();
            self.since = Some(Instant::now());
        }
        let key = (folders, program.to_owned());
        if let Some(found) = self.found.get(&key).filter(|found| is_program(found)) {
            return Some(found.clone());
        }
        let candidate = |folder: PathBuf| cwd.join(folder).join(program);
        let found = env::split_paths(&key.0).map(candidate).find(|path| is_program(path))?;
        // A relative folder in PATH depends on the working directory.
        if env::split_paths(&key.0).all(|folder| folder.is_absolute()) {
            self.found.insert(key, found.clone());
        }
        Some(found)
    }
}

/// The `PATH` of a job with these variables.
pub(super) fn search_path(variables: &Variables<'_>, launch: &Launch) -> Option<OsString> {
    match variables.get(OsStr::new("PATH")) {
        Some((path, _)) => path.as_deref().map(OsString::from),
        None if launch.environment.is_some() => None,
        None => env::var_os("PATH"),
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}
