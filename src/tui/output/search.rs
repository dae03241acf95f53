//! Search in the shown text of a log, in bounded steps.

use std::ops::Range;

use memchr::memmem;

use super::index::Content;
use super::lines::Lines;
use super::view::Place;
use crate::store::StoreError;

/// How many bytes one step looks through at most.
const BUDGET: u64 = 128 * 1024;

/// A line costs as much as so many bytes, be it ever so short.
const PER_LINE: u64 = 64;

/// What is searched for: a plain text; without capitals it stands for capitals too.
#[derive(Debug)]
pub(super) struct Needle {
    text: String,
    exact: bool,
}

impl Needle {
    /// None for an empty text.
    pub(super) fn new(text: &str) -> Option<Self> {
        let exact = text.chars().any(char::is_uppercase);
        (!text.is_empty()).then(|| Self { text: text.to_owned(), exact })
    }

    /// Where it is found in a line, in bytes; hits don't overlap.
    pub(super) fn hits(&self, line: &str) -> Vec<Range<usize>> {
        if self.exact {
            return memmem::find_iter(line.as_bytes(), &self.text).map(|at| at..at + self.text.len()).collect();
        }
        let mut hits = Vec::new();
        let mut from = 0;
        while let Some(hit) = self.hit_from(line, from) {
            from = hit.end;
            hits.push(hit);
        }
        hits
    }

    fn hit_from(&self, line: &str, from: usize) -> Option<Range<usize>> {
        line[from..].char_indices().find_map(|(at, _)| {
            let start = from + at;
            self.matches(&line[start..]).map(|len| start..start + len)
        })
    }

    /// The length of the beginning of `line` that it matches, whatever the case.
    fn matches(&self, line: &str) -> Option<usize> {
        let mut wanted = self.text.chars();
        for (at, character) in line.char_indices() {
            let mut rest = wanted.clone();
            if rest.next().is_none() {
                return Some(at);
            }
            for lower in character.to_lowercase() {
                if wanted.next() != Some(lower) {
                    return None;
                }
            }
        }
        wanted.next().is_none().then_some(line.len())
    }
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    pub needle: Needle,
    /// The hit that was gone to last: its line, and where in the line's text.
    pub current: Option<Hit>,
    /// How many hits there are in the lines before `counted_to`.
    pub count: u64,
    counted_to: u64,
    /// Not all that is there has been looked through for the count.
    counting: bool,
    /// Lines on the way, and how many hits there are before each.
    marks: Vec<(u64, u64)>,
    /// The current hit, and how many there are before it.
    placed: Option<(Hit, u64)>,
    wanted: Option<Wanted>,
}

/// A place where the needle was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub line: u64,
    pub range: Range<usize>,
}

/// The next or previous hit is still looked for.
#[derive(Debug)]
struct Wanted {
    forwards: bool,
    /// The line to look in next.
    line: u64,
    /// Only hits on this side of it count there.
    limit: Option<usize>,
    /// Where the search began; past it, having gone round once, there is no hit.
    origin: u64,
    round: bool,
}

impl Search {
    pub(super) fn new(needle: Needle) -> Self {
        let (marks, placed, wanted) = (Vec::new(), None, None);
        Self { needle, current: None, count: 0, counted_to: 0, counting: true, marks, placed, wanted }
    }

    /// Looks for the next or previous hit, from the current one or else from `top`.
    pub(super) fn want(&mut self, forwards: bool, top: Place) {
        let (line, limit) = match &self.current {
            Some(hit) => (hit.line, Some(if forwards { hit.range.end } else { hit.range.start })),
            None if forwards => (top.line, Some(top.at)),
            None => (top.line, None),
        };
        self.wanted = Some(Wanted { forwards, line, limit, origin: line, round: false });
    }

    /// Whether something is still looked for, or counted.
    pub(super) fn is_looking(&self) -> bool {
        self.wanted.is_some() || self.counting
    }

    /// Goes on looking for the wanted hit; returns it when it is found.
    pub(super) fn look(&mut self, lines: &mut Lines) -> Result<Option<Hit>, StoreError> {
        let mut spent = 0;
        while let Some(wanted) = &mut self.wanted {
            if spent > BUDGET {
                break;
            }
            let Some(line) = lines.at(wanted.line)? else {
                self.wanted = None;
                break;
            };
            spent += line.end - line.start + PER_LINE;
            if let Content::Line(text) = &line.content {
                let hits = self.needle.hits(text.text());
                let limit = wanted.limit;
                let range = if wanted.forwards {
                    hits.into_iter().find(|hit| limit.is_none_or(|limit| hit.start >= limit))
                } else {
                    hits.into_iter().rfind(|hit| limit.is_none_or(|limit| hit.end <= limit))
                };
                if let Some(range) = range {
                    let hit = Hit { line: line.start, range };
                    self.wanted = None;
                    self.current = Some(hit.clone());
                    return Ok(Some(hit));
                }
            }
            let next = if wanted.forwards { lines.after(&line)? } else { lines.before(&line)? };
            let around = match next {
                Some(_) => None,
                None if wanted.forwards => lines.at(0)?,
                None => lines.last()?,
            };
            let past_origin = if wanted.forwards { line.start >= wanted.origin } else { line.start <= wanted.origin };
            if wanted.round && (past_origin || next.is_none()) {
                self.wanted = None;
                break;
            }
            wanted.round |= next.is_none();
            wanted.limit = None;
            match next.or(around) {
                Some(next) => wanted.line = next.start,
                None => self.wanted = None,
            }
        }
        Ok(None)
    }

    /// Goes on counting.
    pub(super) fn count(&mut self, lines: &mut Lines) -> Result<(), StoreError> {
        let mut spent = 0;
        self.counting = false;
        while self.counted_to < lines.written() {
            if spent > BUDGET {
                self.counting = true;
                break;
            }
            let Some(line) = lines.at(self.counted_to)?.filter(|line| line.ended) else { break };
            if let Content::Line(text) = &line.content {
                self.count += self.needle.hits(text.text()).len() as u64;
            }
            spent += line.end - line.start + PER_LINE;
            self.counted_to = line.end;
            if self.counted_to - self.marks.last().map_or(0, |mark| mark.0) >= BUDGET {
                self.marks.push((self.counted_to, self.count));
            }
        }
        Ok(())
    }

    /// Which of all hits the current one is, counted from 1, as far as that is known.
    pub(super) fn nth(&self) -> Option<u64> {
        let (hit, before) = self.placed.as_ref()?;
        (self.current.as_ref() == Some(hit)).then_some(before + 1)
    }

    /// Finds that out, once the hits up to there have been counted.
    pub(super) fn place(&mut self, lines: &mut Lines) -> Result<(), StoreError> {
        let Some(hit) = self.current.clone() else { return Ok(()) };
        if self.nth().is_some() || self.counted_to <= hit.line {
            return Ok(());
        }
        let mark = self.marks.partition_point(|mark| mark.0 <= hit.line);
        let (mut at, mut before) = mark.checked_sub(1).map_or((0, 0), |mark| self.marks[mark]);
        while let Some(line) = lines.at(at)? {
            if let Content::Line(text) = &line.content {
                let hits = self.needle.hits(text.text());
                if line.start >= hit.line {
                    before += hits.iter().filter(|other| other.start < hit.range.start).count() as u64;
                    break;
                }
                before += hits.len() as u64;
            }
            at = line.end;
        }
        self.placed = Some((hit, before));
        Ok(())
    }
}
