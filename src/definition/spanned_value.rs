//! A YAML document as a tree of nodes that keep their spelling. Every value and key has an id, by which its position is
//! found.
//!
//! `serde_yaml` reveals positions only in errors. To locate a scalar, the visitor raises an error on purpose and takes
//! the position from its message; the parser has consumed the scalar and continues after it. Numbers and booleans are
//! read the same way because only the source has their spelling (`1.10`, `0o022`), unless they directly follow their
//! key, whose position in the source is known.
//!
//! Ids are assigned in the order of reading. A file without errors is read once. For a file with errors, a second
//! reading finds the positions of the ids that the errors name.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::ops::Range;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::source::{MAX_FILE_BYTES, Source};

/// Limits on the number of values and the size of their text, with aliases expanded.
const MAX_VALUES: usize = 2_500_000;
const MAX_TEXT_BYTES: u64 = MAX_FILE_BYTES;

/// A value.
#[derive(Clone)]
pub(crate) struct Node<'s> {
    /// The value's id: its number in the order of reading.
    pub(crate) id: u32,
    /// The value itself.
    pub(crate) kind: NodeKind<'s>,
}

/// The kinds of values.
#[derive(Clone)]
pub(crate) enum NodeKind<'s> {
    /// Nothing, `null` or `~`.
    Null,
    /// A scalar as spelled in the source.
    Scalar(ScalarType, Cow<'s, str>),
    /// A list.
    List(Vec<Node<'s>>),
    /// A map in the file's order. Contains duplicates and merge keys until [`resolve`](super::merge_keys::resolve).
    Map(Vec<MapEntry<'s>>),
    /// A value with an application-specific tag, such as `!vault`.
    Tagged(String, Box<Node<'s>>),
}

/// How an unquoted scalar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Bool,
    Integer,
    Decimal,
    Text,
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct MapEntry<'s> {
    pub(crate) key: MapKey<'s>,
    pub(crate) value: Node<'s>,
}

/// A key as spelled in the source.
#[derive(Clone)]
pub(crate) struct MapKey<'s> {
    pub(crate) id: u32,
    pub(crate) text: Cow<'s, str>,
    /// The type of the value found instead, if this can't be a key.
    pub(crate) invalid: Option<&'static str>,
}

/// A parsed document.
pub(super) struct ParsedDocument<'s> {
    pub(super) root: Node<'s>,
    /// The requested positions, as byte ranges of the source.
    pub(super) spans: Vec<(u32, Range<usize>)>,
    /// Positions from which later searches can stop early.
    pub(super) checkpoints: Checkpoints,
    /// The number of ids.
    pub(super) id_count: u32,
}

/// Ids in ascending order, each with a byte before which all values with smaller ids end.
pub(super) type Checkpoints = Vec<(u32, usize)>;

/// The number of ids between two checkpoints.
const CHECKPOINT_INTERVAL: u32 = 4_096;

/// Why a document could not be read.
pub(super) enum ReadError {
    /// The parser failed.
    Parser(serde_yaml::Error),
    /// The document is too large, possibly because of aliases.
    TooMuch(serde_yaml::Error),
    /// The document has no content.
    Empty,
    /// A second document starts at this byte.
    SecondDocument(usize),
}

/// Reads a document and finds the positions of the values `wanted_ids`, which are in ascending order.
pub(super) fn read<'s>(source: &Source<'s>, wanted_ids: &[u32]) -> Result<ParsedDocument<'s>, ReadError> {
    let mut documents = serde_yaml::Deserializer::from_str(source.text);
    let mut reader = NodeReader::new(source, wanted_ids);
    let first = documents.next().ok_or(ReadError::Empty)?;
    let root = match NodeSeed(&mut reader).deserialize(first) {
        Ok(root) => root,
        Err(error) if reader.is_over_limit() => return Err(ReadError::TooMuch(error)),
        Err(error) => return Err(ReadError::Parser(error)),
    };
    let NodeReader { spans, checkpoints, next_id: id_count, .. } = reader;
    if let Some(second) = documents.next() {
        let mut reader = NodeReader::new(source, &[0]);
        NodeSeed(&mut reader).deserialize(second).map_err(ReadError::Parser)?;
        let start = reader.spans.first().map_or(source.text.len(), |(_, span)| span.start);
        return Err(ReadError::SecondDocument(start));
    }
    match root.kind {
        NodeKind::Null => Err(ReadError::Empty),
        _ => Ok(ParsedDocument { root, spans, checkpoints, id_count }),
    }
}

/// Finds the positions of the values `wanted_ids`, which are in ascending order, in a document that was read before.
/// Reads no further than the next checkpoint.
pub(super) fn find_spans(
    source: &Source<'_>,
    wanted_ids: &[u32],
    checkpoints: &Checkpoints,
) -> Vec<(u32, Range<usize>)> {
    let located_end = checkpoints.partition_point(|(id, _)| wanted_ids.last().is_some_and(|last| id <= last));
    let end = checkpoints.get(located_end).map_or(source.text.len(), |(_, end)| *end);
    let start = Source::new(&source.text[..end]);
    let mut reader = NodeReader::new(&start, wanted_ids);
    reader.max_values = max_values(source);
    if let Some(document) = serde_yaml::Deserializer::from_str(start.text).next() {
        // The truncated text ends with an error after the last wanted value.
        let _ = NodeSeed(&mut reader).deserialize(document);
    }
    reader.spans
}

/// The maximum number of values. It grows with the text, so only aliases reach it.
fn max_values(source: &Source<'_>) -> usize {
    source.text.len().saturating_mul(16).saturating_add(100_000).min(MAX_VALUES)
}

impl<'s> Node<'s> {
    /// Returns the value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'s>> {
        let NodeKind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// Returns the text, if this is a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar(_, text) => Some(text),
            _ => None,
        }
    }

    /// The same value with other ids, from `first_id` on, and without the source.
    pub(super) fn into_owned(self, first_id: u32) -> Node<'static> {
        let kind = match self.kind {
            NodeKind::Null => NodeKind::Null,
            NodeKind::Scalar(scalar_type, text) => NodeKind::Scalar(scalar_type, Cow::Owned(text.into_owned())),
            NodeKind::List(items) => NodeKind::List(items.into_iter().map(|item| item.into_owned(first_id)).collect()),
            NodeKind::Map(entries) => {
                let entry = |MapEntry { key, value }: MapEntry<'s>| MapEntry {
                    key: MapKey {
                        id: key.id + first_id,
                        text: Cow::Owned(key.text.into_owned()),
                        invalid: key.invalid,
                    },
                    value: value.into_owned(first_id),
                };
                NodeKind::Map(entries.into_iter().map(entry).collect())
            }
            NodeKind::Tagged(tag, node) => NodeKind::Tagged(tag, Box::new(node.into_owned(first_id))),
        };
        Node { id: self.id + first_id, kind }
    }

    /// The approximate memory size of a copy, in bytes.
    pub(super) fn memory_size(&self) -> usize {
        let inner: usize = match &self.kind {
            NodeKind::Null => 0,
            NodeKind::Scalar(_, text) => text.len(),
            NodeKind::List(items) => items.iter().map(Node::memory_size).sum(),
            NodeKind::Map(entries) => entries.iter().map(|entry| size_of::<MapKey>() + entry.value.memory_size()).sum(),
            NodeKind::Tagged(_, node) => node.memory_size(),
        };
        size_of::<Self>() + inner
    }

    /// Whether a text in it is a wanted one.
    pub(super) fn contains_text(&self, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        match &self.kind {
            NodeKind::Null => false,
            NodeKind::Scalar(_, text) => is_wanted(text),
            NodeKind::List(items) => items.iter().any(|item| item.contains_text(is_wanted)),
            NodeKind::Map(entries) => entries.iter().any(|entry| entry.value.contains_text(is_wanted)),
            NodeKind::Tagged(_, node) => node.contains_text(is_wanted),
        }
    }

    /// The type of the value, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Scalar(ScalarType::Bool, _) => "a boolean",
            NodeKind::Scalar(ScalarType::Integer | ScalarType::Decimal, _) => "a number",
            NodeKind::Scalar(ScalarType::Text, _) => "text",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a map",
            NodeKind::Tagged(..) => "a tagged value",
        }
    }
}

struct NodeReader<'r, 's> {
    source: &'r Source<'s>,
    /// The id of the next value.
    next_id: u32,
    max_values: usize,
    /// The number of bytes of text that may still be read.
    text_budget: u64,
    wanted_ids: &'r [u32],
    /// Collections to locate. They take the position of their first scalar.
    unplaced_collections: Vec<u32>,
    /// The scalar that was interrupted to learn its position.
    interrupted: Option<NodeKind<'s>>,
    spans: Vec<(u32, Range<usize>)>,
    /// The first byte after the last located value.
    located_end: usize,
    /// The first byte after the last text, if the text borrows from the source and was not read before.
    text_end: Option<usize>,
    /// The largest `text_end` so far.
    furthest_end: usize,
    /// The first byte after the key whose value is read next.
    key_end: Option<usize>,
    checkpoints: Checkpoints,
    /// Items and entries of the collections that are being read.
    items: Vec<Node<'s>>,
    entries: Vec<MapEntry<'s>>,
}

impl<'r, 's> NodeReader<'r, 's> {
    fn new(source: &'r Source<'s>, wanted_ids: &'r [u32]) -> Self {
        let max_values = max_values(source);
        Self {
            source,
            next_id: 0,
            max_values,
            text_budget: MAX_TEXT_BYTES,
            wanted_ids,
            unplaced_collections: Vec::new(),
            interrupted: None,
            spans: Vec::new(),
            located_end: 0,
            text_end: None,
            furthest_end: 0,
            key_end: None,
            checkpoints: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn is_over_limit(&self) -> bool {
        self.next_id as usize >= self.max_values || self.text_budget == 0
    }

    fn allocate_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn wants_span(&mut self, id: u32) -> bool {
        while self.wanted_ids.first().is_some_and(|wanted| *wanted < id) {
            self.wanted_ids = &self.wanted_ids[1..];
        }
        self.wanted_ids.first() == Some(&id)
    }

    /// Begins a collection. Returns its index in `unplaced_collections`, if it is added there.
    fn begin_collection(&mut self, id: u32) -> usize {
        let index = self.unplaced_collections.len();
        if self.wants_span(id) {
            self.unplaced_collections.push(id);
        }
        index
    }

    /// Ends a collection. If it is empty, its position is that of the next bracket after the last located value.
    fn end_collection(&mut self, id: u32, index: usize) {
        if self.unplaced_collections.get(index) == Some(&id) {
            self.unplaced_collections.truncate(index);
            let from = self.source.floor_char_boundary(self.located_end);
            let at = self.source.text[from..].find(['[', '{']).map_or(from, |at| from + at);
            self.spans.push((id, at..at + 1));
            self.located_end = at + 1;
        }
    }

    /// Records where a text ends, if it borrows from the source and isn't repeated by an alias.
    fn record_text(&mut self, id: u32, text: &str) {
        let start = (text.as_ptr() as usize).checked_sub(self.source.text.as_ptr() as usize);
        let end = start.map(|start| start + text.len()).filter(|end| *end > self.furthest_end);
        if let Some(end) = end.filter(|end| *end <= self.source.text.len()) {
            self.furthest_end = end;
            self.text_end = Some(end);
            if id / CHECKPOINT_INTERVAL > self.checkpoints.last().map_or(0, |(id, _)| id / CHECKPOINT_INTERVAL) {
                self.checkpoints.push((id, end));
            }
        }
    }

    /// Takes the position of an interrupted scalar from the error, and the spelling from the source.
    fn locate(&mut self, id: u32, kind: NodeKind<'s>, error: &impl Display) -> NodeKind<'s> {
        let (line, column) = position_in(&error.to_string());
        let text = self.source.text;
        let start = skip_properties(text, self.source.byte_at(line, column));
        let kind = match kind {
            NodeKind::Scalar(
                scalar_type @ (ScalarType::Bool | ScalarType::Integer | ScalarType::Decimal),
                canonical,
            ) => {
                let spelling = number_literal(&text[start..]);
                NodeKind::Scalar(scalar_type, if spelling.is_empty() { canonical } else { Cow::Borrowed(spelling) })
            }
            kind => kind,
        };
        if self.wants_span(id) || !self.unplaced_collections.is_empty() {
            let span = start..start + underline_length(&text[start..], &kind);
            self.located_end = span.end.max(start + min_source_length(&text[start..], &kind));
            let before = text[..start].trim_end_matches(' ');
            let bracket = before.ends_with(['[', '{']).then(|| before.len() - 1..before.len());
            let collection_span = bracket.unwrap_or_else(|| span.clone());
            self.spans
                .extend(self.unplaced_collections.drain(..).map(|collection| (collection, collection_span.clone())));
            self.spans.push((id, span));
        }
        kind
    }
}

/// Returns the number or boolean at the start of a text.
fn number_literal(text: &str) -> &str {
    let length = text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(&byte));
    &text[..length.unwrap_or(text.len())]
}

/// Returns the number or boolean after a key's colon.
fn number_literal_after_key(text: &str) -> Option<&str> {
    let value = text.trim_start_matches(' ').strip_prefix(": ")?;
    Some(number_literal(value.trim_start_matches(' ')))
}

/// Parses the line and column, from 0, at the end of an error message. The message has none for the very first
/// position.
fn position_in(message: &str) -> (usize, usize) {
    fn parse(message: &str) -> Option<(usize, usize)> {
        let (_, span) = message.rsplit_once(" at line ")?;
        let (line, column) = span.split_once(" column ")?;
        Some((line.parse::<usize>().ok()?.checked_sub(1)?, column.parse::<usize>().ok()?.checked_sub(1)?))
    }
    parse(message).unwrap_or_default()
}

/// Returns where a value starts after its anchor and tag.
fn skip_properties(text: &str, mut start: usize) -> usize {
    while text[start..].starts_with(['&', '!']) {
        let Some(gap) = text[start..].find(char::is_whitespace) else { return start };
        let Some(value) = text[start + gap..].find(|c: char| !c.is_whitespace()) else { return start };
        start += gap + value;
    }
    start
}

/// The number of bytes to underline: the part of a scalar on its first line.
fn underline_length(source: &str, kind: &NodeKind<'_>) -> usize {
    let line = source.lines().next().unwrap_or_default();
    let NodeKind::Scalar(_, text) = kind else { return usize::from(line.starts_with('~')) };
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

/// The minimum number of source bytes that a scalar takes.
fn min_source_length(source: &str, kind: &NodeKind<'_>) -> usize {
    let NodeKind::Scalar(_, text) = kind else { return 0 };
    match source.chars().next() {
        // A block scalar: its header and its lines.
        Some('|' | '>') => source.split_inclusive('\n').take(1 + text.matches('\n').count()).map(str::len).sum(),
        _ => text.len().min(source.len()),
    }
}

struct NodeSeed<'a, 'r, 's>(&'a mut NodeReader<'r, 's>);

impl<'s> DeserializeSeed<'s> for NodeSeed<'_, '_, 's> {
    type Value = Node<'s>;

    fn deserialize<D: Deserializer<'s>>(self, deserializer: D) -> Result<Node<'s>, D::Error> {
        let reader = self.0;
        if reader.is_over_limit() {
            return Err(D::Error::custom("too many values"));
        }
        let id = reader.allocate_id();
        let key_end = reader.key_end.take();
        reader.text_end = None;
        match deserializer.deserialize_any(KindVisitor { reader, id, key_end }) {
            Ok(kind) => Ok(Node { id, kind }),
            Err(error) => match reader.interrupted.take() {
                Some(kind) => Ok(Node { id, kind: reader.locate(id, kind, &error) }),
                None => Err(error),
            },
        }
    }
}

struct KindVisitor<'a, 'r, 's> {
    reader: &'a mut NodeReader<'r, 's>,
    id: u32,
    key_end: Option<usize>,
}

impl<'s> KindVisitor<'_, '_, 's> {
    fn interrupt<E: Error>(self, kind: NodeKind<'s>) -> Result<NodeKind<'s>, E> {
        self.reader.interrupted = Some(kind);
        Err(E::custom(""))
    }

    fn number<E: Error, T: FromStr + PartialEq + Display>(
        mut self,
        scalar_type: ScalarType,
        value: &T,
    ) -> Result<NodeKind<'s>, E> {
        if !self.needs_span() {
            let source: &'s str = self.reader.source.text;
            let there = self.key_end.and_then(|end| number_literal_after_key(&source[end..]));
            if let Some(there) = there.filter(|there| there.parse().is_ok_and(|there: T| there == *value)) {
                return Ok(NodeKind::Scalar(scalar_type, Cow::Borrowed(there)));
            }
        }
        self.interrupt(NodeKind::Scalar(scalar_type, Cow::Owned(value.to_string())))
    }

    fn plain<E: Error>(mut self, kind: NodeKind<'s>) -> Result<NodeKind<'s>, E> {
        if self.needs_span() { self.interrupt(kind) } else { Ok(kind) }
    }

    fn needs_span(&mut self) -> bool {
        self.reader.wants_span(self.id) || !self.reader.unplaced_collections.is_empty()
    }
}

impl<'s> Visitor<'s> for KindVisitor<'_, '_, 's> {
    type Value = NodeKind<'s>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<NodeKind<'s>, E> {
        self.plain(NodeKind::Null)
    }

    fn visit_none<E: Error>(self) -> Result<NodeKind<'s>, E> {
        Ok(NodeKind::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<NodeKind<'s>, E> {
        self.number(ScalarType::Bool, &value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<NodeKind<'s>, E> {
        self.number(ScalarType::Integer, &value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<NodeKind<'s>, E> {
        self.number(ScalarType::Integer, &value)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<NodeKind<'s>, E> {
        self.number(ScalarType::Integer, &value)
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<NodeKind<'s>, E> {
        self.number(ScalarType::Integer, &value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<NodeKind<'s>, E> {
        self.number(ScalarType::Decimal, &value)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'s str) -> Result<NodeKind<'s>, E> {
        self.reader.record_text(self.id, text);
        self.reader.text_budget = self.reader.text_budget.saturating_sub(text.len() as u64);
        self.plain(NodeKind::Scalar(ScalarType::Text, Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NodeKind<'s>, E> {
        self.reader.text_budget = self.reader.text_budget.saturating_sub(text.len() as u64);
        self.plain(NodeKind::Scalar(ScalarType::Text, Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'s>>(self, mut seq: A) -> Result<NodeKind<'s>, A::Error> {
        let index = self.reader.begin_collection(self.id);
        let before = self.reader.items.len();
        while let Some(item) = seq.next_element_seed(NodeSeed(self.reader))? {
            self.reader.items.push(item);
        }
        let items = self.reader.items.drain(before..).collect();
        self.reader.end_collection(self.id, index);
        Ok(NodeKind::List(items))
    }

    fn visit_map<A: MapAccess<'s>>(self, mut map: A) -> Result<NodeKind<'s>, A::Error> {
        let index = self.reader.begin_collection(self.id);
        let before = self.reader.entries.len();
        while let Some(key) = map.next_key_seed(NodeSeed(self.reader))? {
            self.reader.key_end = self.reader.text_end.take();
            let value = map.next_value_seed(NodeSeed(self.reader))?;
            self.reader.entries.push(MapEntry { key: MapKey::from(key), value });
        }
        let entries = self.reader.entries.drain(before..).collect();
        self.reader.end_collection(self.id, index);
        Ok(NodeKind::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'s>>(self, tagged: A) -> Result<NodeKind<'s>, A::Error> {
        let (tag, content) = tagged.variant::<String>()?;
        let node = content.newtype_variant_seed(NodeSeed(self.reader))?;
        Ok(NodeKind::Tagged(tag, Box::new(node)))
    }
}

impl<'s> From<Node<'s>> for MapKey<'s> {
    fn from(node: Node<'s>) -> Self {
        let type_name = node.type_name();
        match node.kind {
            NodeKind::Scalar(_, text) => Self { id: node.id, text, invalid: None },
            // The tag itself has no position.
            NodeKind::Tagged(_, inner) => Self { id: inner.id, text: Cow::Borrowed(""), invalid: Some(type_name) },
            _ => Self { id: node.id, text: Cow::Borrowed(""), invalid: Some(type_name) },
        }
    }
}
