//! Reads the items of `for_each` that are not in `jobs.yaml`: the files that match a pattern, the lines of a file, and the
//! lists that jobs have returned.
//!
//! Each source is read once for a reading of `jobs.yaml`, so that all jobs see the same items. Their fingerprint is part
//! of the version of the file: the file counts as changed when they do.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::arrivals;
use super::file_glob::{self, GlobError};
use super::item_data::SourceItem;
use super::problems::Problem;
use super::source::MAX_FILE_BYTES;
use super::spelling::quoted;
use super::value_path::ValuePath;
use crate::model::{ArrivalRule, JobRef, Value, ValueRead};
use crate::regular_file::open_regular;
use crate::stable_hash;
use crate::text::count_noun;

/// The most jobs that one `for_each` may define.
pub(super) const MAX_ITEMS: usize = 100_000;

/// Looks up the value that a job has returned, by the names of its queue and its own.
pub type ReturnedValues<'v> = dyn FnMut(&str, &str) -> Option<Value> + 'v;

/// The files, lines and values of one reading of `jobs.yaml`.
pub(super) struct ItemSources<'v> {
    /// The folder of `jobs.yaml`.
    folder: PathBuf,
    values: &'v mut ReturnedValues<'v>,
    /// The values that were read.
    known_values: HashMap<JobRef, Option<Value>>,
    known: HashMap<ItemSource, Result<Rc<SourceItems>, SourceError>>,
    /// The hash of all items and included files; `None` if there are none.
    fingerprint: Option<u64>,
    /// What is odd about the items, with the id of the value that it is about.
    pub(super) warnings: Vec<Problem>,
}

/// Where items come from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum ItemSource {
    /// The files that match one of these patterns.
    Glob(Vec<String>),
    /// The lines of this file.
    Lines(String),
    /// The files that have arrived.
    Arrivals(ArrivalRule),
}

/// The items of a source, and what `check` warns about.
#[derive(Default)]
pub(super) struct SourceItems {
    pub(super) items: Vec<SourceItem>,
    notes: Vec<String>,
    /// The folders in which other files may appear.
    folders: Vec<PathBuf>,
}

/// Why a source can't be read, and what to do about it.
#[derive(Clone)]
struct SourceError {
    message: String,
    hint: Option<&'static str>,
}

impl<'v> ItemSources<'v> {
    /// Sources relative to this folder, and the values of jobs.
    pub(super) fn new(folder: &Path, values: &'v mut ReturnedValues<'v>) -> Self {
        Self {
            folder: folder.to_owned(),
            values,
            known_values: HashMap::new(),
            known: HashMap::new(),
            fingerprint: None,
            warnings: Vec::new(),
        }
    }

    /// The value that a job has returned, if it has.
    pub(super) fn value(&mut self, queue: &str, name: &str) -> Option<Value> {
        let job = JobRef::Named(queue.into(), name.into());
        if let Some(known) = self.known_values.get(&job) {
            return known.clone();
        }
        let value = (self.values)(queue, name);
        let text = value.as_ref().map(Value::to_string).unwrap_or_default();
        let start = self.fingerprint.unwrap_or(stable_hash::EMPTY);
        self.fingerprint = Some(stable_hash::extend(start, text.bytes().chain([2])));
        self.known_values.insert(job, value.clone());
        value
    }

    /// The values that were read, and the jobs that returned them.
    pub(super) fn values_read(&self) -> Vec<ValueRead> {
        let read = |(job, value): (&JobRef, &Option<Value>)| ValueRead::new(job.clone(), value.as_ref());
        let mut values: Vec<ValueRead> = self.known_values.iter().map(read).collect();
        values.sort_unstable_by(|a, b| a.job.cmp(&b.job));
        values
    }

    /// The items of a source. Problems and warnings are about the value `id`.
    pub(super) fn read(
        &mut self,
        source: ItemSource,
        id: u32,
        path: &ValuePath<'_>,
    ) -> Result<Rc<SourceItems>, Box<Problem>> {
        let known = self.known.get(&source).cloned();
        let read = known.unwrap_or_else(|| {
            let read = match &source {
                ItemSource::Glob(patterns) => find_files(&self.folder, patterns),
                ItemSource::Lines(file) => read_lines(&self.folder, file),
                ItemSource::Arrivals(rule) => find_files(&self.folder, &rule.patterns).map(|mut found| {
                    // There may be none yet.
                    found.notes.retain(|_| !found.items.is_empty());
                    arrivals::keep_settled(&self.folder, rule, &mut found.items);
                    found
                }),
            };
            let read = read.map(Rc::new);
            if let Ok(items) = &read {
                let start = self.fingerprint.unwrap_or(stable_hash::EMPTY);
                self.fingerprint = Some(stable_hash::extend(start, hashed_bytes(&items.items).chain([1])));
            }
            self.known.insert(source, read.clone());
            read
        });
        match read {
            Ok(items) => {
                if !items.notes.is_empty() {
                    self.warnings.push(Problem::new(id, path, items.notes.join("; ")));
                }
                Ok(items)
            }
            Err(SourceError { message, hint }) => {
                let problem = Problem::new(id, path, message);
                Err(Box::new(match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                }))
            }
        }
    }

    /// Adds a file that `jobs.yaml` includes to the fingerprint.
    pub(super) fn add_file(&mut self, name: &str, text: &str) {
        let start = self.fingerprint.unwrap_or(stable_hash::EMPTY);
        let bytes = name.bytes().chain([0]).chain(text.bytes()).chain([1]);
        self.fingerprint = Some(stable_hash::extend(start, bytes));
    }

    /// The files that become jobs when they arrive, always in the same order.
    pub(super) fn arrivals(&self) -> Vec<ArrivalRule> {
        let rules = self.known.keys().filter_map(|source| match source {
            ItemSource::Arrivals(rule) => Some(rule.clone()),
            _ => None,
        });
        let mut rules: Vec<ArrivalRule> = rules.collect();
        rules.sort_unstable_by(|a, b| (&a.patterns, a.settle).cmp(&(&b.patterns, b.settle)));
        rules
    }

    /// What items and included files add to the version of the file; nothing if all is in it.
    pub(super) fn version_suffix(&self) -> String {
        self.fingerprint.map(|fingerprint| format!("{VERSION_SEPARATOR}{fingerprint:016x}")).unwrap_or_default()
    }
}

/// The files that match a rule.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The same as long as the same files have arrived, and none of them has changed.
    pub fingerprint: u64,
    /// When the next file may have been unchanged for long enough.
    pub settles_in: Option<Duration>,
    /// When the last of those that are there now may have been.
    pub all_settle_in: Option<Duration>,
    /// How many files may still be written.
    pub settling: usize,
    /// The folders in which files may arrive.
    pub folders: Vec<PathBuf>,
}

/// Looks for the files of a rule. A folder that can't be read has none now.
pub fn look_for_arrivals(folder: &Path, rule: &ArrivalRule) -> Arrivals {
    let SourceItems { mut items, folders, .. } = find_files(folder, &rule.patterns).unwrap_or_default();
    let settle_in = arrivals::keep_settled(folder, rule, &mut items);
    let (settles_in, all_settle_in) = (settle_in.iter().min().copied(), settle_in.iter().max().copied());
    let fingerprint = stable_hash::extend(stable_hash::EMPTY, hashed_bytes(&items));
    Arrivals { fingerprint, settles_in, all_settle_in, settling: settle_in.len(), folders }
}

/// What is hashed of items.
fn hashed_bytes(items: &[SourceItem]) -> impl Iterator<Item = u8> {
    items.iter().flat_map(|item| {
        let version = item.version.as_deref().unwrap_or_default();
        item.text.bytes().chain([0]).chain(version.bytes())
    })
}

/// Between the version of `jobs.yaml` and the fingerprint of what is elsewhere.
const VERSION_SEPARATOR: char = '+';

/// Whether a file with this version has items from elsewhere or includes other files, so that it may have changed though
/// the file is the same.
pub fn has_items_from_elsewhere(version: &str) -> bool {
    version
        .rsplit_once(VERSION_SEPARATOR)
        .is_some_and(|(_, hash)| hash.len() == 16 && u64::from_str_radix(hash, 16).is_ok())
}

/// The version of the file alone, without that of the items that it takes from elsewhere.
pub fn version_of_file_alone(version: &str) -> &str {
    if !has_items_from_elsewhere(version) {
        return version;
    }
    version.rsplit_once(VERSION_SEPARATOR).map_or(version, |(file, _)| file)
}

/// The files that match one of these patterns.
fn find_files(folder: &Path, patterns: &[String]) -> Result<SourceItems, SourceError> {
    let (mut found, mut folders): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for pattern in patterns {
        let files = file_glob::find_files(folder, pattern, MAX_ITEMS).map_err(|error| glob_error(pattern, error))?;
        found.extend(files.files);
        folders.extend(files.folders);
    }
    found.sort_unstable();
    found.dedup();
    if let (true, Some(last)) = (found.len() > MAX_ITEMS, patterns.last()) {
        return Err(glob_error(last, GlobError::TooManyMatches));
    }
    let keys = FileKeys::new(patterns, &found);
    let (mut items, mut notes) = (Vec::with_capacity(found.len()), Vec::new());
    let (mut not_utf8, mut placeholders) = (Vec::new(), Vec::new());
    for path in &found {
        let Some(text) = path.to_str() else {
            not_utf8.push(path.to_string_lossy().into_owned());
            continue;
        };
        if is_ambiguous(text) {
            placeholders.push(text.to_owned());
            continue;
        }
        items.push(SourceItem::new(text, &keys.key(path, text)));
    }
    if found.is_empty() {
        let names: Vec<String> = patterns.iter().map(|pattern| quoted(pattern)).collect();
        notes.push(format!("no file matches {}, so this defines no jobs", names.join(" or ")));
    }
    for (files, reason) in [(not_utf8, "is not UTF-8"), (placeholders, "contains a placeholder")] {
        if let Some(first) = files.first() {
            let files = count_noun(files.len(), "file");
            notes.push(format!("left out {files} whose name {reason}, such as {} (rename it)", quoted(first)));
        }
    }
    Ok(SourceItems { items, notes, folders })
}

/// Whether the value of a needed job or an input would be filled into the text of an item.
pub(super) fn is_ambiguous(text: &str) -> bool {
    text.contains("${needs.") || text.contains("${inputs.")
}

/// The keys of files. They depend on the first pattern, and not on those that follow, so that all keys stay the same when
/// a pattern is added.
struct FileKeys<'f> {
    /// The folder of the first pattern without wildcards. It is not part of the keys of files in it.
    folder: PathBuf,
    /// The keys of the files in it, if there are others.
    in_folder: HashSet<&'f Path>,
}

impl<'f> FileKeys<'f> {
    fn new(patterns: &[String], files: &'f [PathBuf]) -> Self {
        let folder = patterns.first().map(|pattern| file_glob::literal_folder(pattern)).unwrap_or_default();
        let has_others = patterns.len() > 1 && files.iter().any(|file| !file.starts_with(&folder));
        let in_folder =
            files.iter().filter(|_| has_others).filter_map(|file| file.strip_prefix(&folder).ok()).collect();
        Self { folder, in_folder }
    }

    /// The path from that folder to the file, or else all of its path.
    fn key<'t>(&self, path: &'t Path, text: &'t str) -> Cow<'t, str> {
        match path.strip_prefix(&self.folder).ok().and_then(Path::to_str).filter(|key| !key.is_empty()) {
            Some(key) => key.into(),
            // `in/b/x` has the key `b/x`, too.
            None if self.in_folder.contains(path) => format!("./{text}").into(),
            None => text.into(),
        }
    }
}

fn glob_error(pattern: &str, error: GlobError) -> SourceError {
    let pattern = quoted(pattern);
    match error {
        GlobError::Invalid(error) => {
            SourceError { message: format!("invalid pattern {pattern}: {error}"), hint: Some(PATTERN_HINT) }
        }
        GlobError::TooManyMatches => SourceError {
            message: format!("more than {} match {pattern}", count_noun(MAX_ITEMS, "file")),
            hint: Some("use a narrower pattern"),
        },
        GlobError::TooManyVisited => SourceError {
            message: format!("{pattern} searches too many files"),
            hint: Some("start it with the name of a folder, and use `*` instead of `**`"),
        },
        GlobError::Unreadable(folder, error) => {
            SourceError { message: format!("can't read the folder {}: {error}", folder.display()), hint: None }
        }
    }
}

const PATTERN_HINT: &str = "`*`, `?`, `[a-z]`, `{a,b}` and `**` are wildcards; write `[*]` for a `*` in a name";

fn read_lines(folder: &Path, file: &str) -> Result<SourceItems, SourceError> {
    let name = quoted(file);
    let error = |message: String| SourceError { message, hint: None };
    let path = match (file.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(file),
    };
    let bytes = match read_file(&path) {
        Ok(bytes) => bytes,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            let note = format!("{name} does not exist, so this defines no jobs");
            return Ok(SourceItems { notes: vec![note], ..SourceItems::default() });
        }
        Err(reason) => return Err(error(format!("can't read {name}: {reason}"))),
    };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(error(format!("{name} is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|invalid| {
        let valid = &invalid.as_bytes()[..invalid.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', valid).count() + 1;
        error(format!("line {line} of {name} isn't valid UTF-8"))
    })?;
    let (mut items, mut first_lines) = (Vec::new(), HashMap::new());
    let mut duplicates: Vec<(usize, usize)> = Vec::new();
    for (line, text) in
        (1..).zip(text.trim_start_matches('\u{feff}').lines()).filter(|(_, text)| !text.trim().is_empty())
    {
        let reason = match text {
            _ if text.contains('\0') => Some("contains a NUL character, which can't be passed to a program"),
            _ if is_ambiguous(text) => Some("contains a placeholder for a value"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(error(format!("line {line} of {name} {reason}")));
        }
        if let Some(first) = first_lines.get(text) {
            duplicates.push((line, *first));
            continue;
        }
        first_lines.insert(text, line);
        items.push(SourceItem::new(text, text));
        if items.len() > MAX_ITEMS {
            let message = format!("{name} has more than {}", count_noun(MAX_ITEMS, "line"));
            return Err(SourceError { message, hint: Some("let each job do several lines, or split the file") });
        }
    }
    let mut notes = Vec::new();
    if items.is_empty() {
        notes.push(format!("{name} has no lines, so this defines no jobs"));
    }
    if let Some((line, first)) = duplicates.first() {
        let repeated = count_noun(duplicates.len(), "line");
        notes.push(format!(
            "{name} repeats {repeated}, such as line {line}, which is line {first} again; they are one job"
        ));
    }
    Ok(SourceItems { items, notes, folders: Vec::new() })
}

/// Reads a regular file, or a little more of it than is allowed.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
