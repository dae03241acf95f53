//! Fields that a job inherits from its queue, and both from `defaults`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::field::JobInherits;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Entry, Kind, Node};
use super::{hook, retry, value, written};
use crate::model::{After, Hook, Retry, Setup, Terms};

/// What one level of the file says; `None` where it says nothing.
#[derive(Clone, Default)]
pub(super) struct Inherited {
    /// Merged by name over the levels; all other fields replace.
    pub(super) env: BTreeMap<String, Option<String>>,
    env_files: Option<Vec<PathBuf>>,
    pub(super) shell: Option<Arc<[String]>>,
    cwd: Option<PathBuf>,
    timeout: Option<Limit<Duration>>,
    grace: Option<Duration>,
    retry: Option<Retry>,
    /// A delay of nothing is none.
    after: Option<After>,
    priority: Option<i32>,
    weight: Option<u32>,
    ok_codes: Option<Arc<[i32]>>,
    pty: Option<bool>,
    log_limit: Option<u64>,
    on_finish: Option<Limit<Arc<Hook>>>,
    pub(super) tags: Option<Vec<String>>,
}

/// A limit.
#[derive(Clone, Copy)]
pub(super) enum Limit<T> {
    /// There is none, whatever an outer level says.
    None,
    /// This is it.
    At(T),
}

impl<T> Limit<T> {
    /// Where the limit is, if there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::At(value) => Some(value),
        }
    }
}

impl Inherited {
    /// Takes a field, if it is one of these; `path` is the field's. Tells whether it was.
    pub(super) fn take(&mut self, entry: &Entry<'_>, path: &Path<'_>, problems: &mut Problems) -> bool {
        let node = &entry.value;
        let Some(field) = JobInherits::of(&entry.key.text) else { return false };
        match field {
            JobInherits::EnvFile => self.env_files = env_files(node, path, problems),
            JobInherits::Env => self.env = value::variables(node, path, problems).unwrap_or_default(),
            JobInherits::Shell => self.shell = shell(node, path, problems).map(Into::into),
            JobInherits::Cwd => self.cwd = value::filled(node, path, "the path", problems).map(PathBuf::from),
            JobInherits::Timeout => self.timeout = limit(node, path, problems),
            JobInherits::Grace => self.grace = value::duration(node, path, problems),
            JobInherits::Retry => self.retry = retry::read(node, path, problems),
            JobInherits::After => self.after = after(node, path, problems),
            JobInherits::Priority => self.priority = number(node, path, i32::MIN.into()..=i32::MAX.into(), problems),
            JobInherits::Weight => self.weight = number(node, path, 1..=u32::MAX.into(), problems),
            JobInherits::OkCodes => self.ok_codes = ok_codes(node, path, problems).map(Into::into),
            JobInherits::Pty => self.pty = value::flag(node, path, problems),
            JobInherits::LogLimit => self.log_limit = log_limit(node, path, problems),
            JobInherits::OnFinish => self.on_finish = hook::read(node, path, problems),
            JobInherits::Tags => {
                self.tags = value::list(node, path, "a list of tags", problems, |node, path, problems| {
                    value::filled(node, path, "the tag", problems)
                });
            }
        }
        true
    }

    /// Whether a field is one of these.
    pub(super) fn has(entry: &Entry<'_>) -> bool {
        JobInherits::of(&entry.key.text).is_some()
    }

    /// Adds a variable that this level doesn't set itself.
    pub(super) fn add_variable(&mut self, name: String, value: String) {
        self.env.entry(name).or_insert(Some(value));
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
            env_files: self.env_files.or_else(|| outer.env_files.clone()),
            shell: self.shell.or_else(|| outer.shell.clone()),
            cwd: self.cwd.or_else(|| outer.cwd.clone()),
            timeout: self.timeout.or(outer.timeout),
            grace: self.grace.or(outer.grace),
            retry: self.retry.or_else(|| outer.retry.clone()),
            after: self.after.or(outer.after),
            priority: self.priority.or(outer.priority),
            weight: self.weight.or(outer.weight),
            ok_codes: self.ok_codes.or_else(|| outer.ok_codes.clone()),
            pty: self.pty.or(outer.pty),
            log_limit: self.log_limit.or(outer.log_limit),
            on_finish: self.on_finish.or_else(|| outer.on_finish.clone()),
            tags: self.tags.or_else(|| outer.tags.clone()),
        }
    }

    /// How much memory a copy takes, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        let variables = self.env.iter();
        let variables =
            variables.map(|(name, value)| 2 * size_of::<String>() + name.len() + value.as_ref().map_or(0, String::len));
        let files = self.env_files.iter().flatten();
        let files = files.map(|file| size_of::<PathBuf>() + file.as_os_str().len());
        variables.chain(files).sum::<usize>() + self.weight_of_tags()
    }

    /// The same of the tags alone.
    pub(super) fn weight_of_tags(&self) -> usize {
        self.tags.iter().flatten().map(|tag| size_of::<String>() + tag.len()).sum()
    }

    /// The setup of a job with this standard input, when nothing more is around this level.
    pub(super) fn setup(&self, stdin: Option<String>) -> Setup {
        let usual = Setup::plain();
        Setup {
            env: self.env.clone(),
            env_files: self.env_files.clone().unwrap_or_default(),
            cwd: self.cwd.clone(),
            stdin,
            timeout: self.timeout.and_then(Limit::value),
            grace: self.grace.unwrap_or(usual.grace),
            ok_codes: self.ok_codes.clone().unwrap_or_else(Setup::default_ok_codes),
            pty: self.pty.unwrap_or(usual.pty),
            log_limit: self.log_limit.unwrap_or(usual.log_limit),
            on_finish: self.on_finish.clone().and_then(Limit::value),
        }
    }

    /// The terms of a job that asks this before it runs, when nothing more is around this level; what it needs is seen
    /// to later.
    pub(super) fn terms(&self, confirm: Option<String>) -> Terms {
        Terms {
            needs: Vec::new(),
            after: self.after.filter(|after| *after != After::Delay(Duration::ZERO)),
            priority: self.priority.unwrap_or_default(),
            weight: self.weight.unwrap_or(1),
            retry: self.retry.clone().unwrap_or_else(Retry::never),
            confirm,
        }
    }
}

/// A duration longer than nothing, or `none`.
fn limit(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Limit<Duration>> {
    if matches!(&node.kind, Kind::Scalar(Class::Text, text) if text == "none") {
        return Some(Limit::None);
    }
    let limit = value::duration(node, path, problems)?;
    if limit.is_zero() {
        let problem = Problem::new(node.id, path, "a timeout must be at least a millisecond");
        problems.add(problem.hint("`none` means that there is none"));
        return None;
    }
    Some(Limit::At(limit))
}

/// A delay or a time, or `none`, which is a delay of nothing.
fn after(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<After> {
    if matches!(&node.kind, Kind::Scalar(Class::Text, text) if text == "none") {
        return Some(After::Delay(Duration::ZERO));
    }
    value::after(node, path, problems)
}

fn number<T: TryFrom<i64>>(
    node: &Node<'_>,
    path: &Path<'_>,
    range: RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<T> {
    value::whole(node, path, *range.start(), *range.end(), problems).and_then(|number| T::try_from(number).ok())
}

fn log_limit(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<u64> {
    let limit = value::size(node, path, problems)?;
    written::enough_log(limit).map_err(|reason| problems.add(Problem::new(node.id, path, reason))).ok()
}

/// A path or a list of paths.
fn env_files(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Vec<PathBuf>> {
    let file = |node: &Node<'_>, path: &Path<'_>, problems: &mut Problems| {
        value::filled(node, path, "the path", problems).map(PathBuf::from)
    };
    match node.kind {
        Kind::Scalar(..) => file(node, path, problems).map(|file| vec![file]),
        _ => value::list(node, path, "a path or a list of paths", problems, file),
    }
}

/// A name or a list: an interpreter, or the arguments to which the script is added.
fn shell(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let Kind::Scalar(..) = node.kind else {
        return words(node, path, "the name of a shell, or a list of its words", problems);
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
