//! Finds the `jobs.yaml` files of the sites that a command can use.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::error::CliError;
use super::site_args::SiteArgs;
use crate::definition;

/// The file that the arguments name, or the nearest one, as an absolute path.
pub(super) fn nearest_file(args: &SiteArgs) -> Result<PathBuf, CliError> {
    site_files(args).map(|mut files| files.swap_remove(0))
}

/// The file that the arguments name, or else all files that apply here, the nearest first; at least one. As absolute
/// paths.
pub(super) fn site_files(args: &SiteArgs) -> Result<Vec<PathBuf>, CliError> {
    if let Some(file) = &args.file {
        let file = std::path::absolute(file).with_context(|| file.display().to_string())?;
        return Ok(vec![file]);
    }
    let here = std::env::current_dir().context("cannot determine the working directory")?;
    let files = definition::find_all(&here);
    if files.is_empty() || here.join(definition::FILE_NAME).is_dir() { Err(no_file(here)) } else { Ok(files) }
}

/// The owner of a file, if that is neither this user nor root: the owner could make this user run any command.
pub(super) fn foreign_owner(file: &Path) -> Option<u32> {
    let owner = file.metadata().ok()?.uid();
    (owner != rustix::process::geteuid().as_raw() && owner != 0).then_some(owner)
}

/// The error that there is no file, or none that can be read.
fn no_file(here: PathBuf) -> CliError {
    let file = here.join(definition::FILE_NAME);
    if file.is_symlink() && !file.exists() {
        return CliError::Usage(definition::describe_missing(&file));
    }
    if file.symlink_metadata().is_ok() {
        return CliError::Usage(format!("{} exists, but is not a regular file", file.display()));
    }
    CliError::NoFile(here)
}
