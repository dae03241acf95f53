//! Whether the programs of jobs are installed here.

use std::env;
use std::path::{Path, PathBuf};

use super::error::warn;
use crate::text;

/// Whether a program exists, as a run in `folder` looks for it: a path, or a name in `PATH`.
pub(super) fn is_installed(program: &str, folder: &Path) -> bool {
    if program.contains('/') {
        return folder.join(program).is_file();
    }
    // Where the system looks without a PATH.
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Warns if a job that runs in `cwd`, or else in this folder, would find no program of this name. A job with a `PATH` of its
/// own may.
pub(super) fn warn_if_missing(program: &str, cwd: Option<&Path>, variables: &[String]) {
    let here = env::current_dir().unwrap_or_default();
    let folder: PathBuf = cwd.map_or_else(|| here.clone(), |cwd| here.join(cwd));
    let has_own_path = variables.iter().any(|pair| pair.starts_with("PATH="));
    if !has_own_path && !is_installed(program, &folder) {
        let place = if program.contains('/') { "" } else { " in PATH" };
        warn(&text::sanitize_line(&format!(
            "there is no program {program:?}{place}; the job will fail unless there is one by then"
        )));
    }
}
