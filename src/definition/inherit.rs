//! Fields that a job inherits from its queue, and both from `defaults`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Entry, Kind, Node};
use super::value;

/// What one level of the file says; `None` where it says nothing.
#[derive(Clone, Default)]
pub(super) struct Inherited {
    /// Merged by name over the levels; all other fields replace.
    pub(super) env: BTreeMap<String, Option<String>>,
    pub(super) shell: Option<Vec<String>>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) timeout: Option<Limit>,
    pub(super) grace: Option<Duration>,
    pub(super) ok_codes: Option<Vec<i32>>,
    pub(super) tags: Option<Vec<String>>,
}

/// A limit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// There is none, whatever an outer level says.
    None,
    /// After this long.
    After(Duration),
}

impl Limit {
    /// The duration, if there is a limit.
    pub(super) fn duration(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::After(duration) => Some(duration),
        }
    }
}

impl Inherited {
    /// Takes a field, if it is one of these; `path` is the field's. Tells whether it was.
    pub(super) fn take(&mut self, entry: &Entry<'_>, path: &Path<'_>, problems: &mut Problems) -> bool {
        let node = &entry.value;
        match &*entry.key.text {
            "env" => self.env = value::variables(node, path, problems).unwrap_or_default(),
            "shell" => self.shell = shell(node, path, problems),
            "cwd" => self.cwd = value::filled(node, path, "the path", problems).map(PathBuf::from),
            "timeout" => self.timeout = limit(node, path, problems),
            "grace" => self.grace = value::duration(node, path, problems),
            "ok_codes" => self.ok_codes = ok_codes(node, path, problems),
            "tags" => {
                self.tags = value::list(node, path, "a list of tags", problems, |node, path, problems| {
                    value::filled(node, path, "the tag", problems)
                });
            }
            _ => return false,
        }
        true
    }

    /// This level with what it doesn't say itself taken from the level around it.
    pub(super) fn over(mut self, outer: &Self) -> Self {
        for (name, value) in &outer.env {
            if !self.env.contains_key(name) {
                self.env.insert(name.clone(), value.clone());
            }
        }
        Self {
            env: self.env,
            shell: self.shell.or_else(|| outer.shell.clone()),
            cwd: self.cwd.or_else(|| outer.cwd.clone()),
            timeout: self.timeout.or(outer.timeout),
            grace: self.grace.or(outer.grace),
            ok_codes: self.ok_codes.or_else(|| outer.ok_codes.clone()),
            tags: self.tags.or_else(|| outer.tags.clone()),
        }
    }
}

/// A duration longer than nothing, or `none`.
fn limit(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Limit> {
    if matches!(&node.kind, Kind::Scalar(Class::Text, text) if text == "none") {
        return Some(Limit::None);
    }
    let limit = value::duration(node, path, problems)?;
    if limit.is_zero() {
        let problem = Problem::new(node.id, path, "a timeout must be at least a millisecond");
        problems.add(problem.hint("`none` means that there is none"));
        return None;
    }
    Some(Limit::After(limit))
}

/// A name or a list: an interpreter, or the arguments to which the script is added.
fn shell(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if let Kind::List(_) = node.kind {
        return words(node, path, "a shell or a list of its words", problems);
    }
    let Kind::Scalar(..) = node.kind else {
        return value::unexpected(node, path, "the name of a shell, or a list of its words", problems);
    };
    let name = value::filled(node, path, "the shell", problems)?;
    if name.contains(char::is_whitespace) {
        let words: Vec<_> = name.split_whitespace().collect();
        let problem = Problem::new(node.id, path, "a shell with arguments must be a list");
        problems.add(problem.hint(format!("write `[{}]`", words.join(", "))));
        return None;
    }
    Some(vec![name])
}

/// A program with its arguments: a list of which the first word is not empty.
pub(super) fn words(node: &Node<'_>, path: &Path<'_>, expected: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let mut complete = true;
    let words = value::list(node, path, expected, problems, |node, path, problems| {
        let word = value::text(node, path, problems);
        complete &= word.is_some();
        word
    })?;
    if !complete {
        return None;
    }
    if words.first().is_none_or(|program| program.trim().is_empty()) {
        problems.add(Problem::new(node.id, path, "no program to run").expected("expected a program and its arguments"));
        return None;
    }
    Some(words)
}

fn ok_codes(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Vec<i32>> {
    let codes = value::list(node, path, "a list of exit codes", problems, |node, path, problems| {
        value::whole(node, path, 0, 255, problems).and_then(|code| i32::try_from(code).ok())
    })?;
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        problems.add(Problem::new(node.id, path, "no exit code would be a success"));
        return None;
    }
    Some(codes)
}
