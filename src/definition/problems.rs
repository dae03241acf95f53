//! What is wrong with a file, collected while it is checked; its places are found when all of it is known.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, Related, Snippet};
use super::path::Path;
use super::source::Source;
use super::tree::{self, Marks};

/// More errors than this are only counted.
const MOST: usize = 100;

/// Of longer lines than this only a part is shown, in bytes, and so much on both sides of what is meant at least.
const LONGEST_LINE: usize = 4_096;
const AROUND: usize = 512;

/// So many values before one are located with it.
const BEFORE: u32 = 8;

/// The problems of one file.
#[derive(Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    uncounted: usize,
    /// Where some of the values stand, by which the place of one is found without reading all of the file again.
    pub(super) marks: Marks,
}

/// One thing that is wrong.
pub(crate) struct Problem {
    at: At,
    path: String,
    message: String,
    expected: Option<String>,
    hint: Option<String>,
    also: Vec<(At, Cow<'static, str>)>,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum At {
    /// The value with this number in the order of reading.
    Value(u32),
    /// These bytes.
    Bytes(Range<usize>),
    /// The file as a whole.
    File,
}

impl Problem {
    /// At the value or key with this number.
    pub(crate) fn new(id: u32, path: &Path<'_>, message: impl Into<String>) -> Self {
        Self::at(At::Value(id), path.to_string(), message.into())
    }

    /// Somewhere in the text, before there are values.
    pub(super) fn in_text(place: Range<usize>, message: impl Into<String>) -> Self {
        Self::at(At::Bytes(place), String::new(), message.into())
    }

    /// With the file as a whole.
    pub(super) fn in_file(message: impl Into<String>) -> Self {
        Self::at(At::File, String::new(), message.into())
    }

    fn at(at: At, path: String, message: String) -> Self {
        Self { at, path, message, expected: None, hint: None, also: Vec::new() }
    }

    /// What was expected at the place.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// One more value or key that belongs to it.
    pub(crate) fn also(mut self, id: u32, message: impl Into<Cow<'static, str>>) -> Self {
        self.also.push((At::Value(id), message.into()));
        self
    }

    /// One more place in the text that belongs to it.
    pub(super) fn also_in_text(mut self, place: Range<usize>, message: &'static str) -> Self {
        self.also.push((At::Bytes(place), message.into()));
        self
    }
}

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        if self.list.len() < MOST {
            self.list.push(problem);
        } else {
            self.uncounted += 1;
        }
    }

    /// The same for what a file may be full of: what only counts is not put into words.
    pub(super) fn tell(&mut self, problem: impl FnOnce() -> Problem) {
        if self.list.len() < MOST {
            self.list.push(problem());
        } else {
            self.uncounted += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len() + self.uncounted
    }

    /// The problems with their places in the file called `name`.
    pub(super) fn locate(self, name: &str, source: &Source<'_>) -> Diagnostics {
        let mut places = Places { source, values: self.places(source), last: None };
        let mut list: Vec<Diagnostic> = self.list.into_iter().map(|problem| places.diagnostic(problem)).collect();
        list.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        // What is wrong in an anchor is found again through every alias, and one mistake may break several rules.
        list.dedup_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        Diagnostics { name: name.to_owned(), list, more: self.uncounted }
    }

    fn places(&self, source: &Source<'_>) -> HashMap<u32, Range<usize>> {
        let also = self.list.iter().flat_map(|problem| problem.also.iter().map(|(at, _)| at));
        let values = self.list.iter().map(|problem| &problem.at).chain(also).filter_map(|at| match at {
            At::Value(id) => Some(*id),
            _ => None,
        });
        // An empty collection is found behind the values before it.
        let mut wanted: Vec<u32> = values.flat_map(|id| id.saturating_sub(BEFORE)..=id).collect();
        if wanted.is_empty() {
            return HashMap::new();
        }
        wanted.sort_unstable();
        wanted.dedup();
        tree::places(source, &wanted, &self.marks).into_iter().collect()
    }
}

struct Places<'a, 's> {
    source: &'a Source<'s>,
    values: HashMap<u32, Range<usize>>,
    /// What was shown last: many errors may be on one very long line.
    last: Option<Shown>,
}

/// A line, or as much of one as is shown.
struct Shown {
    line: Range<usize>,
    number: usize,
    /// What is shown of it.
    cut: Range<usize>,
    text: Arc<str>,
    /// A byte of the line, with how many characters stand before it.
    counted: (usize, usize),
}

impl Places<'_, '_> {
    fn diagnostic(&mut self, problem: Problem) -> Diagnostic {
        let snippet = self.snippet(&problem.at);
        let related = problem.also.into_iter();
        let related = related
            .map(|(at, message)| Related { snippet: self.snippet(&at), message: message.into_owned() })
            .collect();
        Diagnostic {
            line: snippet.line,
            column: snippet.column,
            path: problem.path,
            message: problem.message,
            expected: problem.expected,
            hint: problem.hint,
            snippet,
            related,
        }
    }

    fn snippet(&mut self, at: &At) -> Snippet {
        let bytes = match at {
            At::Value(id) => self.values.get(id).cloned().unwrap_or_default(),
            At::Bytes(bytes) => bytes.clone(),
            At::File => return Snippet { line: 1, column: 1, text: Arc::default(), skipped: 0, span: 0..0 },
        };
        let start = self.source.floor(bytes.start);
        let mut shown = self.shown(start);
        // Counted on from where the column is known.
        let (known, characters) = if shown.counted.0 <= start { shown.counted } else { (shown.line.start, 0) };
        let start = start.min(shown.line.end);
        let column = characters + self.source.text[known..start].chars().count();
        shown.counted = (start, column);
        let from = start - shown.cut.start;
        let to = (self.source.floor(bytes.end).saturating_sub(shown.cut.start)).clamp(from, shown.text.len());
        let snippet = Snippet {
            line: shown.number,
            column: column + 1,
            text: Arc::clone(&shown.text),
            skipped: shown.cut.start - shown.line.start,
            span: from..to,
        };
        self.last = Some(shown);
        snippet
    }

    /// What is shown of the line around a byte.
    fn shown(&mut self, start: usize) -> Shown {
        let text = self.source.text;
        let last = self.last.take();
        let (line, number, counted) = match &last {
            Some(last) if last.line.contains(&start) => (last.line.clone(), last.number, last.counted),
            _ => {
                let line = self.source.line_around(start);
                let number = match &last {
                    Some(last) => self.source.line_number_from(last.line.start, last.number, line.start),
                    None => self.source.line_number(line.start),
                };
                let counted = (line.start, 0);
                (line, number, counted)
            }
        };
        let near = |at: usize| (at.saturating_sub(AROUND).max(line.start), (at + AROUND).min(line.end));
        match last {
            Some(last) if last.line == line && last.cut.start <= near(start).0 && near(start).1 <= last.cut.end => {
                Shown { counted, ..last }
            }
            _ if line.len() <= LONGEST_LINE => {
                Shown { cut: line.clone(), text: text[line.clone()].into(), line, number, counted }
            }
            _ => {
                let cut =
                    start.saturating_sub(LONGEST_LINE / 2).max(line.start)..(start + LONGEST_LINE / 2).min(line.end);
                let cut = self.source.floor(cut.start)..self.source.floor(cut.end);
                Shown { text: text[cut.clone()].into(), cut, line, number, counted }
            }
        }
    }
}
