//! Collects the problems of a file, and of those that it includes, while they are checked, and finds their positions at the
//! end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, Related, Snippet};
use super::source::Source;
use super::spanned_value::{self, Checkpoints};
use super::value_path::ValuePath;

/// More problems are only counted.
const MAX_PROBLEMS: usize = 100;

/// Only a part of longer lines is shown, with at least this many bytes of context on both sides of the span.
const MAX_LINE_BYTES: usize = 4_096;
const MIN_CONTEXT_BYTES: usize = 512;

/// How many values before a reported one are located too.
const IDS_BEFORE: u32 = 8;

/// The problems of one file.
#[derive(Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    omitted: usize,
    /// The positions of some values, so that locating a value doesn't read the whole file again.
    pub(super) checkpoints: Checkpoints,
    /// The number of values.
    pub(super) id_count: u32,
}

/// A file that another one includes.
pub(super) struct IncludedFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its name in messages.
    pub(super) name: Arc<str>,
    /// Its text.
    pub(super) text: String,
    /// The id of its first value. Those of the following file are larger than all of its own.
    pub(super) first_id: u32,
    /// As in [`Problems`], with ids from 0.
    pub(super) checkpoints: Checkpoints,
}

/// One problem.
pub(crate) struct Problem {
    location: Location,
    path: String,
    message: String,
    expected: Option<String>,
    hint: Option<String>,
    related: Vec<(Location, Cow<'static, str>)>,
    /// The part of the value, as an offset and its text. Not shown if the value is written differently.
    part: Option<(usize, String)>,
    /// The tag before the value that the problem is about.
    tag: Option<String>,
}

/// The location of a problem.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Location {
    /// The value with this id.
    Value(u32),
    /// A range of bytes of a file: of `jobs.yaml` itself (0) or an included one, from 1.
    Bytes(usize, Range<usize>),
    /// A whole file.
    File(usize),
}

impl Problem {
    /// Creates a problem at the value or key with this id.
    pub(crate) fn new(id: u32, path: &ValuePath<'_>, message: impl Into<String>) -> Self {
        Self::at(Location::Value(id), path.to_string(), message.into())
    }

    /// Creates a problem at a range of the text, for errors before values are known.
    pub(super) fn in_text(span: Range<usize>, message: impl Into<String>) -> Self {
        Self::at(Location::Bytes(0, span), String::new(), message.into())
    }

    /// Creates a problem of the whole file.
    pub(super) fn in_file(message: impl Into<String>) -> Self {
        Self::at(Location::File(0), String::new(), message.into())
    }

    fn at(location: Location, path: String, message: String) -> Self {
        Self { location, path, message, expected: None, hint: None, related: Vec::new(), part: None, tag: None }
    }

    /// Sets what was expected at the location.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Sets the part of a text that the problem is about, as bytes of that text.
    pub(crate) fn in_part(mut self, text: &str, part: Range<usize>) -> Self {
        self.part = text.get(part.clone()).map(|part_text| (part.start, part_text.to_owned()));
        self
    }

    /// Says that the problem is the tag before the value.
    pub(super) fn in_tag(mut self, tag: String) -> Self {
        self.tag = Some(tag);
        self
    }

    /// Sets what to do about the problem.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a related value or key.
    pub(crate) fn with_related(mut self, id: u32, message: impl Into<Cow<'static, str>>) -> Self {
        self.related.push((Location::Value(id), message.into()));
        self
    }

    /// Adds a related range of the text.
    pub(super) fn with_related_text(mut self, span: Range<usize>, message: &'static str) -> Self {
        self.related.push((Location::Bytes(0, span), message.into()));
        self
    }
}

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a problem that is only built if it will be shown. For problems that may be very many.
    pub(super) fn add_with(&mut self, problem: impl FnOnce() -> Problem) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(problem());
        } else {
            self.omitted += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of problems, shown or not.
    pub(super) fn count(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Adds the problems of the included file with this number, whose values have the ids from `first_id` on.
    pub(super) fn add_of_file(&mut self, file: usize, first_id: u32, others: Self) {
        let shift = |location: &mut Location| match location {
            Location::Value(id) => *id += first_id,
            Location::Bytes(of, _) | Location::File(of) => *of = file,
        };
        for mut problem in others.list {
            shift(&mut problem.location);
            problem.related.iter_mut().for_each(|(location, _)| shift(location));
            self.add(problem);
        }
        self.omitted += others.omitted;
    }

    /// Locates the problems in the file called `name`.
    pub(super) fn into_diagnostics(self, name: &str, source: &Source<'_>) -> Diagnostics {
        self.into_diagnostics_of_files(name, source, &[])
    }

    /// Locates the problems in the file called `name` and in those that it includes.
    pub(super) fn into_diagnostics_of_files(
        self,
        name: &str,
        source: &Source<'_>,
        included: &[IncludedFile],
    ) -> Diagnostics {
        let sources: Vec<Source<'_>> = included.iter().map(|file| Source::new(&file.text)).collect();
        let own = Locator::new(None, source, 0, &self.checkpoints);
        let others = included.iter().zip(&sources);
        let others = others.map(|(file, source)| Locator::new(Some(file), source, file.first_id, &file.checkpoints));
        let mut locators: Vec<Locator<'_, '_>> = std::iter::once(own).chain(others).collect();
        for problem in &self.list {
            for location in std::iter::once(&problem.location).chain(problem.related.iter().map(|(at, _)| at)) {
                if let Location::Value(id) = location {
                    let file = file_of(&locators, location);
                    locators[file].wanted_ids.push(*id);
                }
            }
        }
        locators.iter_mut().for_each(Locator::find_spans);
        let mut list: Vec<(usize, Diagnostic)> =
            self.list.into_iter().map(|problem| diagnostic(problem, &mut locators)).collect();
        list.sort_by_key(|(file, diagnostic)| (*file, diagnostic.line, diagnostic.column));
        // A problem in an anchor is found again at every alias, and one mistake may break several rules.
        list.dedup_by_key(|(file, diagnostic)| (*file, diagnostic.line, diagnostic.column));
        let errors = list.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        Diagnostics { name: name.to_owned(), errors, omitted: self.omitted }
    }
}

/// The number of the file that a location is in.
fn file_of(locators: &[Locator<'_, '_>], location: &Location) -> usize {
    match location {
        // A file that can't be read has no values, and the same first id as the next one.
        Location::Value(id) => locators.partition_point(|file| file.first_id <= *id).saturating_sub(1),
        Location::Bytes(file, _) | Location::File(file) => *file,
    }
}

fn diagnostic(problem: Problem, locators: &mut [Locator<'_, '_>]) -> (usize, Diagnostic) {
    let file = file_of(locators, &problem.location);
    let location = locators[file].part_location(&problem).unwrap_or(problem.location);
    let snippet = locators[file].snippet(&location);
    let related = problem.related.into_iter().map(|(at, message)| {
        let file = file_of(locators, &at);
        Related { snippet: locators[file].snippet(&at), message: message.into_owned() }
    });
    let related = related.collect();
    let diagnostic = Diagnostic {
        line: snippet.line,
        column: snippet.column,
        path: problem.path,
        message: problem.message,
        expected: problem.expected,
        hint: problem.hint,
        snippet,
        related,
    };
    (file, diagnostic)
}

/// Finds locations in one file.
struct Locator<'a, 's> {
    /// The name of an included file.
    name: Option<Arc<str>>,
    source: &'a Source<'s>,
    first_id: u32,
    checkpoints: &'a Checkpoints,
    wanted_ids: Vec<u32>,
    values: HashMap<u32, Range<usize>>,
    /// The last line shown. Many problems may be on one very long line.
    last: Option<VisibleLine>,
}

/// A line, or the part of it that is shown.
struct VisibleLine {
    line: Range<usize>,
    number: usize,
    /// The part that is shown.
    part: Range<usize>,
    text: Arc<str>,
    /// A byte of the line and the number of characters before it.
    counted: (usize, usize),
}

impl<'a, 's> Locator<'a, 's> {
    fn new(file: Option<&IncludedFile>, source: &'a Source<'s>, first_id: u32, checkpoints: &'a Checkpoints) -> Self {
        let name = file.map(|file| Arc::clone(&file.name));
        Self { name, source, first_id, checkpoints, wanted_ids: Vec::new(), values: HashMap::new(), last: None }
    }

    /// Finds the positions of the wanted values.
    fn find_spans(&mut self) {
        // An empty collection is located by the values before it.
        let local = self.wanted_ids.drain(..).map(|id| id - self.first_id);
        let mut wanted_ids: Vec<u32> = local.flat_map(|id| id.saturating_sub(IDS_BEFORE)..=id).collect();
        if wanted_ids.is_empty() {
            return;
        }
        wanted_ids.sort_unstable();
        wanted_ids.dedup();
        let spans = spanned_value::find_spans(self.source, &wanted_ids, self.checkpoints);
        self.values = spans.into_iter().map(|(id, span)| (id + self.first_id, span)).collect();
    }

    /// Where the part of a value is that a problem is about.
    fn part_location(&self, problem: &Problem) -> Option<Location> {
        let Location::Value(id) = &problem.location else { return None };
        let value = self.values.get(id)?.start;
        if let Some(tag) = &problem.tag {
            let before = self.source.text.get(..value)?.trim_end();
            let end = before.ends_with(tag.as_str()).then_some(before.len())?;
            return Some(Location::Bytes(0, end - tag.len()..end));
        }
        let (offset, part) = problem.part.as_ref()?;
        let written = self.source.text.get(value..)?;
        // Of a block, the value is only the line with `|`.
        if written.starts_with(['|', '>']) && !part.is_empty() {
            let start = value + written.find(part.as_str())?;
            return Some(Location::Bytes(0, start..start + part.len()));
        }
        let quote = usize::from(written.starts_with(['\'', '"']));
        let start = value + quote + offset;
        let is_found = !part.is_empty() && self.source.text.get(start..)?.starts_with(part.as_str());
        is_found.then(|| Location::Bytes(0, start..start + part.len()))
    }

    fn snippet(&mut self, at: &Location) -> Snippet {
        let bytes = match at {
            Location::Value(id) => self.values.get(id).cloned().unwrap_or_default(),
            Location::Bytes(_, bytes) => bytes.clone(),
            Location::File(_) => {
                let file = self.name.clone();
                return Snippet { file, line: 1, column: 1, text: Arc::default(), skipped_bytes: 0, span: 0..0 };
            }
        };
        let start = self.source.floor_char_boundary(bytes.start);
        let mut shown = self.visible_line(start);
        // Count from the last known column.
        let (known, characters) = if shown.counted.0 <= start { shown.counted } else { (shown.line.start, 0) };
        let start = start.clamp(shown.line.start, shown.line.end);
        let column = characters + self.source.text[known..start].chars().count();
        shown.counted = (start, column);
        let from = start - shown.part.start;
        let to =
            (self.source.floor_char_boundary(bytes.end).saturating_sub(shown.part.start)).clamp(from, shown.text.len());
        let snippet = Snippet {
            file: self.name.clone(),
            line: shown.number,
            column: column + 1,
            text: Arc::clone(&shown.text),
            skipped_bytes: shown.part.start - shown.line.start,
            span: from..to,
        };
        self.last = Some(shown);
        snippet
    }

    /// Returns the line that contains the byte `start`, or the part of it to show.
    fn visible_line(&mut self, start: usize) -> VisibleLine {
        let text = self.source.text;
        let last = self.last.take();
        let (line, number, counted) = match &last {
            Some(last) if last.line.contains(&start) => (last.line.clone(), last.number, last.counted),
            _ => {
                let line = self.source.line_range(start);
                let number = match &last {
                    Some(last) => self.source.line_number_from(last.line.start, last.number, line.start),
                    None => self.source.line_number(line.start),
                };
                let counted = (line.start, 0);
                (line, number, counted)
            }
        };
        let context_around =
            |at: usize| (at.saturating_sub(MIN_CONTEXT_BYTES).max(line.start), (at + MIN_CONTEXT_BYTES).min(line.end));
        match last {
            Some(last)
                if last.line == line
                    && last.part.start <= context_around(start).0
                    && context_around(start).1 <= last.part.end =>
            {
                VisibleLine { counted, ..last }
            }
            _ if line.len() <= MAX_LINE_BYTES => {
                VisibleLine { part: line.clone(), text: text[line.clone()].into(), line, number, counted }
            }
            _ => {
                let part = start.saturating_sub(MAX_LINE_BYTES / 2).max(line.start)
                    ..(start + MAX_LINE_BYTES / 2).min(line.end);
                let part = self.source.floor_char_boundary(part.start)..self.source.floor_char_boundary(part.end);
                VisibleLine { text: text[part.clone()].into(), part, line, number, counted }
            }
        }
    }
}
