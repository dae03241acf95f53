//! The environment variables of a script: those of its env files and its own. The files are read for every run and not
//! kept. Error messages name a line of a file, never its content, which may be secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::env_file::parse_env_file;
use super::invocation::not_started;
use super::launch::Launch;
use super::os_error::describe_os_error;
use crate::model::{ExecOptions, Failure};

/// Environment variables by name; `None` removes one.
pub(super) type Variables = BTreeMap<String, Option<String>>;

/// The variables of an env file in its order; later ones win.
pub(super) type FileVariables = Vec<(String, String)>;

/// The largest env file that is read; what can be passed to a program is much smaller.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The variables that a script sets over the worker's environment.
pub(super) fn resolve_variables<'s>(options: &'s ExecOptions, launch: &Launch) -> Result<Cow<'s, Variables>, Failure> {
    if options.env_files.is_empty() {
        return Ok(Cow::Borrowed(&options.env));
    }
    let mut variables = Variables::new();
    for (_, of_file) in read_variables(options, launch)? {
        variables.extend(of_file.into_iter().map(|(name, value)| (name, Some(value))));
    }
    variables.extend(options.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Cow::Owned(variables))
}

/// The variables of the env files of a script, in their order.
pub(super) fn read_variables(options: &ExecOptions, launch: &Launch) -> Result<Vec<(PathBuf, FileVariables)>, Failure> {
    let read = |file: &PathBuf| {
        let path = launch.absolute_path(file);
        let variables = read_file(&path).map_err(|problem| not_started(format!("{}{problem}", path.display())))?;
        Ok((path, variables))
    };
    options.env_files.iter().map(read).collect()
}

/// The variables of a file. The error message continues after the file's name.
fn read_file(path: &Path) -> Result<FileVariables, String> {
    let text = read_text(path).map_err(|error| format!(" (env_file): {}", describe_os_error(&error)))?;
    parse_env_file(&text).map_err(|error| format!(", line {}: {} (env_file)", error.line, error.reason))
}

fn read_text(path: &Path) -> io::Result<String> {
    // Opening a pipe without a writer would block, and so would reading one.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text"))
}
