//! Other files of ours, read with the same care as a `jobs.yaml`: all errors at once, each with its place.

use std::path::Path as FilePath;

use super::diagnostic::Diagnostics;
use super::file::{self, Error};
use super::source::Source;
use super::tree::Fault;
use super::{nesting, tree};

pub(crate) use super::path::Path;
pub(crate) use super::problems::{Problem, Problems};
pub(crate) use super::tree::{Entry, Kind, Node};
pub(crate) use super::value::{flag, map, text, word};
pub(crate) use super::words::{closest, quoted};

/// Reads a file and has `check` make something of it; none where there is no such file.
pub(crate) fn read<T: Default>(
    path: &FilePath,
    check: impl FnOnce(&Node<'_>, &mut Problems) -> T,
) -> Result<Option<T>, Error> {
    match file::text(path) {
        Ok((_, name, text)) => Ok(Some(parse(&name, &text, check)?)),
        Err(Error::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same for the text of a file called `name` in messages. One without anything in it is as good as none.
pub(crate) fn parse<T: Default>(
    name: &str,
    text: &str,
    check: impl FnOnce(&Node<'_>, &mut Problems) -> T,
) -> Result<T, Diagnostics> {
    let source = Source::new(text);
    let mut problems = Problems::default();
    let empty = nesting::excess(text).is_none() && matches!(tree::read(&source, &[]), Err(Fault::Empty));
    let root = if empty { None } else { tree(&source, &mut problems) };
    let made = root.map(|root| check(&root, &mut problems)).unwrap_or_default();
    if problems.is_empty() { Ok(made) } else { Err(problems.locate(name, &source)) }
}
