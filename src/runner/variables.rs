//! The variables of a script: what the files say that it names, and what it says itself. They are read anew for every
//! run and kept nowhere; messages tell a place in a file, never what stands there.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::invocation::not_started;
use super::spawn::words;
use crate::model::{Failure, Setup};

/// Variables by name; `None` removes one.
pub(super) type Variables = BTreeMap<String, Option<String>>;

/// Larger files are refused, in bytes: what is passed to a program has to fit into much less.
const LARGEST: u64 = 4 << 20;

/// What is laid over the worker's environment for a script of the site in `folder`.
pub(super) fn variables<'s>(setup: &'s Setup, folder: &Path) -> Result<Cow<'s, Variables>, Failure> {
    if setup.env_files.is_empty() {
        return Ok(Cow::Borrowed(&setup.env));
    }
    let mut variables = Variables::new();
    for file in &setup.env_files {
        let path = folder.join(file);
        add(&path, &mut variables).map_err(|problem| not_started(format!("{}{problem}", path.display())))?;
    }
    variables.extend(setup.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Cow::Owned(variables))
}

/// Adds what a file says; later lines win. The error goes on behind the file's name.
fn add(path: &Path, variables: &mut Variables) -> Result<(), String> {
    let text = text(path).map_err(|error| format!(" (env_file): {}", words(&error)))?;
    let read = Cell::new(0);
    let mut items = dotenvy::Iter::new(Lines { rest: text.as_bytes(), read: &read });
    loop {
        let before = read.get();
        match items.next() {
            None => return Ok(()),
            Some(Ok((name, value))) if !value.contains('\0') => _ = variables.insert(name, Some(value)),
            Some(_) => {
                return Err(format!(", line {}: not NAME=value (env_file)", first_line(&text, before)));
            }
        }
    }
}

/// The number of the first line behind so many that says something.
fn first_line(text: &str, behind: usize) -> usize {
    let says = |line: &str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
    let silent = text.lines().skip(behind).take_while(|line| !says(line)).count();
    behind + silent + 1
}

/// The whole file, its last line ended.
fn text(path: &Path) -> io::Result<String> {
    // A pipe may have nobody at its other end, and all runs would wait for it.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    let text = String::from_utf8(fs::read(path)?).map_err(|_| io::Error::other("it is no UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(format!("{text}\n"))
}

/// Hands out a line at a time, so that it is known how many have been looked at.
struct Lines<'t> {
    rest: &'t [u8],
    read: &'t Cell<usize>,
}

impl Read for Lines<'_> {
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
