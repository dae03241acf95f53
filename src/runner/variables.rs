//! The environment variables of a script: those of its env files and its own. The files are read for every run and not
//! kept. Error messages name a line of a file, never its content, which may be secret.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::invocation::not_started;
use super::os_error::describe_os_error;
use crate::model::{ExecOptions, Failure};

/// Environment variables by name; `None` removes one.
pub(super) type Variables = BTreeMap<String, Option<String>>;

/// The largest env file that is read; what can be passed to a program is much smaller.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The variables that a script of the site in `folder` sets over the worker's environment.
pub(super) fn resolve_variables<'s>(options: &'s ExecOptions, folder: &Path) -> Result<Cow<'s, Variables>, Failure> {
    if options.env_files.is_empty() {
        return Ok(Cow::Borrowed(&options.env));
    }
    let mut variables = Variables::new();
    for file in &options.env_files {
        let path = folder.join(file);
        add_file(&path, &mut variables).map_err(|problem| not_started(format!("{}{problem}", path.display())))?;
    }
    variables.extend(options.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Cow::Owned(variables))
}

/// Adds the variables of a file; later lines win. The error message continues after the file's name.
fn add_file(path: &Path, variables: &mut Variables) -> Result<(), String> {
    let text = read_text(path).map_err(|error| format!(" (env_file): {}", describe_os_error(&error)))?;
    let read = Cell::new(0);
    let mut items = dotenvy::Iter::new(LineReader { rest: text.as_bytes(), read: &read });
    loop {
        let before = read.get();
        match items.next() {
            None => return Ok(()),
            Some(Ok((name, value))) if !value.contains('\0') => _ = variables.insert(name, Some(value)),
            Some(_) => {
                return Err(format!(", line {}: not NAME=value (env_file)", first_entry_line(&text, before)));
            }
        }
    }
}

/// The number of the first line after `behind` lines that is neither blank nor a comment.
fn first_entry_line(text: &str, behind: usize) -> usize {
    let has_entry = |line: &str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
    let skipped = text.lines().skip(behind).take_while(|line| !has_entry(line)).count();
    behind + skipped + 1
}

/// The text of a file, with a final newline.
fn read_text(path: &Path) -> io::Result<String> {
    // Reading a pipe could block all runs.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let text = String::from_utf8(fs::read(path)?).map_err(|_| io::Error::other("not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(format!("{text}\n"))
}

/// Reads one line at a time and counts them, so that an error can name its line.
struct LineReader<'t> {
    rest: &'t [u8],
    read: &'t Cell<usize>,
}

impl Read for LineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |end| end + 1);
        let count = line.min(buffer.len());
        let (now, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.rest = rest;
        self.read.set(self.read.get() + usize::from(now.ends_with(b"\n")));
        Ok(count)
    }
}
