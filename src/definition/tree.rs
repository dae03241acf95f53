//! The file as a tree whose values keep their spelling and know, by number, where they stand.
//!
//! The parser tells a place only with an error. So a scalar whose place is wanted is read by raising an error on
//! purpose and taking the place from it; the parser has consumed the scalar and goes on behind it. Numbers and bools
//! are read that way too, because only the source still has their spelling (`1.10`, `0o022`), unless they stand right
//! behind their key, which is a piece of the source.
//!
//! Everything that is read gets a number in the order of reading. A file without errors is read once; for one with
//! errors, a second reading finds the places of the numbers that the errors name.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::ops::Range;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::file::LARGEST;
use super::source::Source;

/// No more values than this are read, nor more text in them than in a file without aliases.
const MOST_VALUES: usize = 2_500_000;
const MOST_TEXT: u64 = LARGEST;

/// A value, as written.
#[derive(Clone)]
pub(crate) struct Node<'s> {
    /// Its number in the order of reading.
    pub(crate) id: u32,
    /// What it is.
    pub(crate) kind: Kind<'s>,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Kind<'s> {
    /// Nothing, `null` or `~`.
    Null,
    /// Anything that is one piece of text, in its own spelling.
    Scalar(Class, Cow<'s, str>),
    /// A list.
    List(Vec<Node<'s>>),
    /// A map, in the file's order; before [`resolve`](super::resolve::resolve) with duplicates and merge keys.
    Map(Vec<Entry<'s>>),
    /// A value with a tag of its own, such as `!vault`.
    Tagged(String, Box<Node<'s>>),
}

/// How an unquoted scalar reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Bool,
    Whole,
    Decimal,
    Text,
}

/// A key with its value.
#[derive(Clone)]
pub(crate) struct Entry<'s> {
    pub(crate) key: Key<'s>,
    pub(crate) value: Node<'s>,
}

/// A key, as written.
#[derive(Clone)]
pub(crate) struct Key<'s> {
    pub(crate) id: u32,
    pub(crate) text: Cow<'s, str>,
    /// What stands there instead, if it can't be a key.
    pub(crate) unfit: Option<&'static str>,
}

/// A file, read.
pub(super) struct Reading<'s> {
    pub(super) root: Node<'s>,
    /// Where the wanted values stand, as bytes of the source.
    pub(super) places: Vec<(u32, Range<usize>)>,
    /// Where some of the others stand.
    pub(super) marks: Marks,
}

/// Numbers of values in ascending order, each with a byte up to which there is nothing but the values before it.
pub(super) type Marks = Vec<(u32, usize)>;

/// One of so many values is marked.
const APART: u32 = 4_096;

/// Why a file could not be read.
pub(super) enum Fault {
    /// The parser stopped.
    Parser(serde_yaml::Error),
    /// There is too much, if only because aliases repeat it.
    TooMuch(serde_yaml::Error),
    /// Nothing but comments.
    Empty,
    /// A second document starts at this byte.
    SecondDocument(usize),
}

/// Reads a file, and finds the places of the values with these numbers, which are in ascending order.
pub(super) fn read<'s>(source: &Source<'s>, wanted: &[u32]) -> Result<Reading<'s>, Fault> {
    let mut documents = serde_yaml::Deserializer::from_str(source.text);
    let mut reader = Reader::new(source, wanted);
    let first = documents.next().ok_or(Fault::Empty)?;
    let root = match Seed(&mut reader).deserialize(first) {
        Ok(root) => root,
        Err(error) if reader.over() => return Err(Fault::TooMuch(error)),
        Err(error) => return Err(Fault::Parser(error)),
    };
    let Reader { places, marks, .. } = reader;
    if let Some(second) = documents.next() {
        let mut reader = Reader::new(source, &[0]);
        Seed(&mut reader).deserialize(second).map_err(Fault::Parser)?;
        let start = reader.places.first().map_or(source.text.len(), |(_, place)| place.start);
        return Err(Fault::SecondDocument(start));
    }
    match root.kind {
        Kind::Null => Err(Fault::Empty),
        _ => Ok(Reading { root, places, marks }),
    }
}

/// Finds the places of the values with these numbers, which are in ascending order, in a file that was read before; no
/// more of it is read than must be.
pub(super) fn places(source: &Source<'_>, wanted: &[u32], marks: &Marks) -> Vec<(u32, Range<usize>)> {
    let behind = marks.partition_point(|(id, _)| wanted.last().is_some_and(|last| id <= last));
    let end = marks.get(behind).map_or(source.text.len(), |(_, end)| *end);
    let start = Source::new(&source.text[..end]);
    let mut reader = Reader::new(&start, wanted);
    reader.limit = limit(source);
    if let Some(document) = serde_yaml::Deserializer::from_str(start.text).next() {
        // What is cut off in the middle ends with an error, behind all that is wanted.
        let _ = Seed(&mut reader).deserialize(document);
    }
    reader.places
}

/// How many values there may be. Those that are written out take some bytes each; only aliases make more of them.
fn limit(source: &Source<'_>) -> usize {
    source.text.len().saturating_mul(16).saturating_add(100_000).min(MOST_VALUES)
}

impl<'s> Node<'s> {
    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'s>> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// Its text, if it is a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(_, text) => Some(text),
            _ => None,
        }
    }

    /// How much memory a copy takes at most, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        let inner: usize = match &self.kind {
            Kind::Null => 0,
            Kind::Scalar(_, text) => text.len(),
            Kind::List(items) => items.iter().map(Node::weight).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| size_of::<Key>() + entry.value.weight()).sum(),
            Kind::Tagged(_, node) => node.weight(),
        };
        size_of::<Self>() + inner
    }

    /// What it is, in words.
    pub(crate) fn found(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(Class::Bool, _) => "a bool",
            Kind::Scalar(Class::Whole | Class::Decimal, _) => "a number",
            Kind::Scalar(Class::Text, _) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Tagged(..) => "a tagged value",
        }
    }
}

struct Reader<'r, 's> {
    source: &'r Source<'s>,
    /// The number of the next value.
    next: u32,
    limit: usize,
    /// How many bytes of text there may still be.
    room: u64,
    wanted: &'r [u32],
    /// Collections whose place is wanted: that of the first scalar in them.
    owed: Vec<u32>,
    /// The scalar for whose place an error was raised.
    raised: Option<Kind<'s>>,
    places: Vec<(u32, Range<usize>)>,
    /// The first byte behind the value that was located last.
    behind: usize,
    /// The first byte behind the text read last, if it is a piece of the source that was not read before.
    behind_text: Option<usize>,
    /// The last of all of these.
    furthest: usize,
    /// The same for the key whose value is read next.
    behind_key: Option<usize>,
    marks: Marks,
    /// The items and entries of the collections that are being read.
    items: Vec<Node<'s>>,
    entries: Vec<Entry<'s>>,
}

impl<'r, 's> Reader<'r, 's> {
    fn new(source: &'r Source<'s>, wanted: &'r [u32]) -> Self {
        let limit = limit(source);
        Self {
            source,
            next: 0,
            limit,
            room: MOST_TEXT,
            wanted,
            owed: Vec::new(),
            raised: None,
            places: Vec::new(),
            behind: 0,
            behind_text: None,
            furthest: 0,
            behind_key: None,
            marks: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn over(&self) -> bool {
        self.next as usize >= self.limit || self.room == 0
    }

    fn number(&mut self) -> u32 {
        let id = self.next;
        self.next += 1;
        id
    }

    fn wants(&mut self, id: u32) -> bool {
        while self.wanted.first().is_some_and(|wanted| *wanted < id) {
            self.wanted = &self.wanted[1..];
        }
        self.wanted.first() == Some(&id)
    }

    /// A collection begins; tells where in `owed` it waits for its place.
    fn enter(&mut self, id: u32) -> usize {
        let waiting = self.owed.len();
        if self.wants(id) {
            self.owed.push(id);
        }
        waiting
    }

    /// A collection ends. An empty one is written as brackets, behind the scalar before it.
    fn leave(&mut self, id: u32, waiting: usize) {
        if self.owed.get(waiting) == Some(&id) {
            self.owed.truncate(waiting);
            let from = self.source.floor(self.behind);
            let at = self.source.text[from..].find(['[', '{']).map_or(from, |at| from + at);
            self.places.push((id, at..at + 1));
            self.behind = at + 1;
        }
    }

    /// A text was read. A piece of the source tells where it is, unless an alias repeats it.
    fn pass(&mut self, id: u32, text: &str) {
        let start = (text.as_ptr() as usize).checked_sub(self.source.text.as_ptr() as usize);
        let end = start.map(|start| start + text.len()).filter(|end| *end > self.furthest);
        if let Some(end) = end.filter(|end| *end <= self.source.text.len()) {
            self.furthest = end;
            self.behind_text = Some(end);
            if id / APART > self.marks.last().map_or(0, |(id, _)| id / APART) {
                self.marks.push((id, end));
            }
        }
    }

    /// Takes the place out of the error that was raised for it, and the spelling from there.
    fn placed(&mut self, id: u32, kind: Kind<'s>, error: &impl Display) -> Kind<'s> {
        let (line, column) = place_in(&error.to_string());
        let text = self.source.text;
        let start = behind_properties(text, self.source.byte(line, column));
        let kind = match kind {
            Kind::Scalar(class @ (Class::Bool | Class::Whole | Class::Decimal), canonical) => {
                let spelling = spelling(&text[start..]);
                Kind::Scalar(class, if spelling.is_empty() { canonical } else { Cow::Borrowed(spelling) })
            }
            kind => kind,
        };
        if self.wants(id) || !self.owed.is_empty() {
            let place = start..start + length(&text[start..], &kind);
            self.behind = place.end.max(start + extent(&text[start..], &kind));
            let before = text[..start].trim_end_matches(' ');
            let bracket = before.ends_with(['[', '{']).then(|| before.len() - 1..before.len());
            let around = bracket.unwrap_or_else(|| place.clone());
            self.places.extend(self.owed.drain(..).map(|collection| (collection, around.clone())));
            self.places.push((id, place));
        }
        kind
    }
}

/// The number or the bool with which a text begins.
fn spelling(text: &str) -> &str {
    let length = text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(&byte));
    &text[..length.unwrap_or(text.len())]
}

/// The same of a text that stands behind a key.
fn spelling_behind_key(text: &str) -> Option<&str> {
    let value = text.trim_start_matches(' ').strip_prefix(": ")?;
    Some(spelling(value.trim_start_matches(' ')))
}

/// The line and column, from 0, at the end of an error's message; the parser leaves out the very first place.
fn place_in(message: &str) -> (usize, usize) {
    fn parse(message: &str) -> Option<(usize, usize)> {
        let (_, place) = message.rsplit_once(" at line ")?;
        let (line, column) = place.split_once(" column ")?;
        Some((line.parse::<usize>().ok()?.checked_sub(1)?, column.parse::<usize>().ok()?.checked_sub(1)?))
    }
    parse(message).unwrap_or_default()
}

/// Where a value itself starts, behind its anchor and tag.
fn behind_properties(text: &str, mut start: usize) -> usize {
    while text[start..].starts_with(['&', '!']) {
        let Some(gap) = text[start..].find(char::is_whitespace) else { return start };
        let Some(value) = text[start + gap..].find(|c: char| !c.is_whitespace()) else { return start };
        start += gap + value;
    }
    start
}

/// How many bytes of the source to underline: as much of a scalar as stands on its first line.
fn length(source: &str, kind: &Kind<'_>) -> usize {
    let line = source.lines().next().unwrap_or_default();
    let Kind::Scalar(_, text) = kind else { return usize::from(line.starts_with('~')) };
    let Some(quote @ ('"' | '\'')) = line.chars().next() else {
        let same = line.char_indices().zip(text.chars()).take_while(|((_, a), b)| a == b);
        let same = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
        return line[..same].trim_end().len().max(usize::from(!line.is_empty()));
    };
    let mut characters = line.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    line.len()
}

/// How many bytes of the source a scalar takes, at least.
fn extent(source: &str, kind: &Kind<'_>) -> usize {
    let Kind::Scalar(_, text) = kind else { return 0 };
    match source.chars().next() {
        // A block: its header and its lines.
        Some('|' | '>') => source.split_inclusive('\n').take(1 + text.matches('\n').count()).map(str::len).sum(),
        _ => text.len().min(source.len()),
    }
}

struct Seed<'a, 'r, 's>(&'a mut Reader<'r, 's>);

impl<'s> DeserializeSeed<'s> for Seed<'_, '_, 's> {
    type Value = Node<'s>;

    fn deserialize<D: Deserializer<'s>>(self, deserializer: D) -> Result<Node<'s>, D::Error> {
        let reader = self.0;
        if reader.over() {
            return Err(D::Error::custom("too many values"));
        }
        let id = reader.number();
        let behind_key = reader.behind_key.take();
        reader.behind_text = None;
        match deserializer.deserialize_any(Read { reader, id, behind_key }) {
            Ok(kind) => Ok(Node { id, kind }),
            Err(error) => match reader.raised.take() {
                Some(kind) => Ok(Node { id, kind: reader.placed(id, kind, &error) }),
                None => Err(error),
            },
        }
    }
}

struct Read<'a, 'r, 's> {
    reader: &'a mut Reader<'r, 's>,
    id: u32,
    behind_key: Option<usize>,
}

impl<'s> Read<'_, '_, 's> {
    fn raise<E: Error>(self, kind: Kind<'s>) -> Result<Kind<'s>, E> {
        self.reader.raised = Some(kind);
        Err(E::custom(""))
    }

    fn number<E: Error, T: FromStr + PartialEq + Display>(mut self, class: Class, value: &T) -> Result<Kind<'s>, E> {
        if !self.must_be_placed() {
            let source: &'s str = self.reader.source.text;
            let there = self.behind_key.and_then(|end| spelling_behind_key(&source[end..]));
            if let Some(there) = there.filter(|there| there.parse().is_ok_and(|there: T| there == *value)) {
                return Ok(Kind::Scalar(class, Cow::Borrowed(there)));
            }
        }
        self.raise(Kind::Scalar(class, Cow::Owned(value.to_string())))
    }

    fn plain<E: Error>(mut self, kind: Kind<'s>) -> Result<Kind<'s>, E> {
        if self.must_be_placed() { self.raise(kind) } else { Ok(kind) }
    }

    fn must_be_placed(&mut self) -> bool {
        self.reader.wants(self.id) || !self.reader.owed.is_empty()
    }
}

impl<'s> Visitor<'s> for Read<'_, '_, 's> {
    type Value = Kind<'s>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Kind<'s>, E> {
        self.plain(Kind::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Kind<'s>, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Kind<'s>, E> {
        self.number(Class::Bool, &value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Kind<'s>, E> {
        self.number(Class::Whole, &value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Kind<'s>, E> {
        self.number(Class::Whole, &value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Kind<'s>, E> {
        self.number(Class::Whole, &value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Kind<'s>, E> {
        self.number(Class::Whole, &value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Kind<'s>, E> {
        self.number(Class::Decimal, &value)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'s str) -> Result<Kind<'s>, E> {
        self.reader.pass(self.id, text);
        self.reader.room = self.reader.room.saturating_sub(text.len() as u64);
        self.plain(Kind::Scalar(Class::Text, Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Kind<'s>, E> {
        self.reader.room = self.reader.room.saturating_sub(text.len() as u64);
        self.plain(Kind::Scalar(Class::Text, Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'s>>(self, mut seq: A) -> Result<Kind<'s>, A::Error> {
        let waiting = self.reader.enter(self.id);
        let before = self.reader.items.len();
        while let Some(item) = seq.next_element_seed(Seed(self.reader))? {
            self.reader.items.push(item);
        }
        let items = self.reader.items.drain(before..).collect();
        self.reader.leave(self.id, waiting);
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'s>>(self, mut map: A) -> Result<Kind<'s>, A::Error> {
        let waiting = self.reader.enter(self.id);
        let before = self.reader.entries.len();
        while let Some(key) = map.next_key_seed(Seed(self.reader))? {
            self.reader.behind_key = self.reader.behind_text.take();
            let value = map.next_value_seed(Seed(self.reader))?;
            self.reader.entries.push(Entry { key: Key::from(key), value });
        }
        let entries = self.reader.entries.drain(before..).collect();
        self.reader.leave(self.id, waiting);
        Ok(Kind::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'s>>(self, tagged: A) -> Result<Kind<'s>, A::Error> {
        let (tag, content) = tagged.variant::<String>()?;
        let node = content.newtype_variant_seed(Seed(self.reader))?;
        Ok(Kind::Tagged(tag, Box::new(node)))
    }
}

impl<'s> From<Node<'s>> for Key<'s> {
    fn from(node: Node<'s>) -> Self {
        let found = node.found();
        match node.kind {
            Kind::Scalar(_, text) => Self { id: node.id, text, unfit: None },
            // Only what the tag belongs to has a place.
            Kind::Tagged(_, inner) => Self { id: inner.id, text: Cow::Borrowed(""), unfit: Some(found) },
            _ => Self { id: node.id, text: Cow::Borrowed(""), unfit: Some(found) },
        }
    }
}
