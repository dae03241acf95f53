//! Reads other YAML files, such as the settings, with the same diagnostics as `jobs.yaml`.

use std::path::Path as FilePath;

use super::diagnostic::Diagnostics;
use super::file_text::{self, Error};
use super::root::parse_root;
use super::source::Source;
use super::spanned_value::ReadError;
use super::{size_limits, spanned_value};

pub(crate) use super::problems::{Problem, Problems};
pub(crate) use super::spanned_value::{MapEntry, Node, NodeKind};
pub(crate) use super::spelling::{closest_name, quoted};
pub(crate) use super::value::{boolean, keyword, map, text};
pub(crate) use super::value_path::ValuePath;

/// Reads a file and converts it with `check`. Returns `None` if the file doesn't exist.
pub(crate) fn read<T: Default>(
    path: &FilePath,
    check: impl FnOnce(&Node<'_>, &mut Problems) -> T,
) -> Result<Option<T>, Error> {
    match file_text::read_text(path) {
        Ok((_, name, text)) => Ok(Some(parse(&name, &text, check)?)),
        Err(Error::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Parses the text of a file. `name` is the file's name in messages. An empty file gives the default.
pub(crate) fn parse<T: Default>(
    name: &str,
    text: &str,
    check: impl FnOnce(&Node<'_>, &mut Problems) -> T,
) -> Result<T, Diagnostics> {
    let source = Source::new(text);
    let mut problems = Problems::default();
    let empty = size_limits::find_exceeded_limit(text).is_none()
        && matches!(spanned_value::read(&source, &[]), Err(ReadError::Empty));
    let root = if empty { None } else { parse_root(&source, &mut problems) };
    let value = root.map(|root| check(&root, &mut problems)).unwrap_or_default();
    if problems.is_empty() { Ok(value) } else { Err(problems.into_diagnostics(name, &source)) }
}
