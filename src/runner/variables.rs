//! The environment variables of a run, and what sets each. Env files are read for every run and not kept. Error messages
//! name a line of a file, never its content, which may be secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::env_file::parse_env_file;
use super::invocation::not_started;
use super::launch::Launch;
use super::os_error::describe_os_error;
use super::own_environment::SERVICE_VARIABLES;
use super::pty::terminal_variables;
use crate::model::{ExecOptions, Failure};
use crate::regular_file::open_regular;

/// What sets a variable of a run. Later sources win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableSource {
    /// The environment that the run inherits.
    Inherited,
    /// The pseudo-terminal of the run.
    Terminal,
    /// An env file.
    EnvFile(PathBuf),
    /// The `env` of the job.
    Definition,
    /// The worker, for this run.
    Run,
}

/// The variables of a run by name, each with its value, or none if it is unset, and with what sets or unsets it.
pub(super) type Variables<'v> = BTreeMap<Cow<'v, OsStr>, (Option<Cow<'v, OsStr>>, VariableSource)>;

/// The variables of an env file in its order; later ones win.
type FileVariables = Vec<(String, String)>;

/// The largest env file that is read; what can be passed to a program is much smaller.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The variables of a run. If it inherits what this process has, they are set over that. The variables by which a service
/// manager talks to a service are never inherited.
pub(super) fn resolve_variables<'v>(options: &'v ExecOptions, launch: &'v Launch) -> Result<Variables<'v>, Failure> {
    let mut variables = Variables::new();
    for (name, value) in launch.environment.iter().flat_map(|environment| &environment.variables) {
        variables.insert(borrowed(name), (Some(borrowed(value)), VariableSource::Inherited));
    }
    for name in SERVICE_VARIABLES {
        variables.insert(borrowed(name), (None, VariableSource::Inherited));
    }
    for (name, value) in terminal_variables().filter(|_| options.pty) {
        variables.insert(borrowed(name), (value.map(borrowed), VariableSource::Terminal));
    }
    for (path, of_file) in read_env_files(options, launch)? {
        for (name, value) in of_file {
            let value = Some(Cow::Owned(OsString::from(value)));
            variables.insert(Cow::Owned(name.into()), (value, VariableSource::EnvFile(path.clone())));
        }
    }
    for (name, value) in &options.env {
        variables.insert(borrowed(name), (value.as_ref().map(borrowed), VariableSource::Definition));
    }
    for (name, value) in &launch.env {
        variables.insert(borrowed(name), (Some(borrowed(value)), VariableSource::Run));
    }
    Ok(variables)
}

fn borrowed<Text: AsRef<OsStr> + ?Sized>(text: &Text) -> Cow<'_, OsStr> {
    Cow::Borrowed(text.as_ref())
}

/// The variables of the env files of a script, in their order.
fn read_env_files(options: &ExecOptions, launch: &Launch) -> Result<Vec<(PathBuf, FileVariables)>, Failure> {
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
    let file = open_regular(path)?;
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text"))
}
