//! `for_each`: one entry that defines a job for each item of a list, a range, the files of a pattern or the lines of a file.
//!
//! Items are identified by their keys, which are part of the names of their jobs: `encode[clip-7.mp4]`. The order of the
//! items and the other items don't matter, so that a job keeps its history when they change.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::arrivals::DEFAULT_SETTLE;
use super::digest;
use super::fields::ForEachField;
use super::item_data::{ItemContent, ItemData, map_key, name_form};
use super::item_placeholders::{self, INDEX, ITEM, VARIABLE};
use super::item_sources::{ItemSource, ItemSources, MAX_ITEMS, is_ambiguous};
use super::job_variant::{JobVariant, ValueForm, replace_variable};
use super::placeholder::Placeholder;
use super::problems::{Problem, Problems};
use super::returned_items;
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::spelling::{closest_keyword, join_list, one_of, quoted};
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{ArrivalRule, ITEM_PARTS, MatrixValues, QueueId, item_part, variable_name};
use crate::text::{count, count_noun};

/// What `for_each` may be.
const EXPECTED: &str = "a list, a range such as `1..40`, or a map with `glob`, `lines`, `watch` or `value`";

/// The items of an entry.
pub(super) struct Items {
    items: Vec<ItemData>,
    /// The job whose value they are.
    producer: Option<ItemProducer>,
}

/// A job that returns the items of an entry.
#[derive(Clone)]
pub(super) struct ItemProducer {
    /// Its name as written: `name` or `queue/name`.
    pub(super) text: String,
    /// The id of the node with the name.
    pub(super) id: u32,
}

/// An item, with its number from 1.
pub(super) struct Item<'i> {
    data: &'i ItemData,
    number: usize,
}

impl Items {
    /// Reads the items of an entry.
    pub(super) fn read(
        node: &Node<'_>,
        path: &ValuePath<'_>,
        queue: &QueueId,
        sources: &mut ItemSources<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.count();
        let mut producer = None;
        let items = match &node.kind {
            NodeKind::List(items) => {
                if items.is_empty() {
                    let warning = "the list is empty, so this defines no jobs";
                    sources.warnings.push(Problem::new(node.id, path, warning));
                }
                read_list(node, items, path, problems)
            }
            NodeKind::Scalar(_, range) => read_range(range, node, path, problems)?,
            NodeKind::Map(entries) => match read_source(node, entries, path, problems)? {
                (ItemOrigin::Files(source), id, key) => match sources.read(source, id, &path.key(key)) {
                    Ok(read) => read.items.iter().map(ItemData::of_source).collect(),
                    Err(problem) => {
                        problems.add(*problem);
                        return None;
                    }
                },
                (ItemOrigin::Value(text), id, key) => {
                    let (of, name) = text.rsplit_once('/').unwrap_or((queue.as_str(), &text));
                    let items = read_value((of, name), id, &path.key(key), sources);
                    producer = Some(ItemProducer { text, id });
                    items
                }
            },
            _ => return value::unexpected(node, path, EXPECTED, problems),
        };
        (problems.count() == before).then_some(Self { items, producer })
    }

    /// The job whose value the items are.
    pub(super) fn producer(&self) -> Option<&ItemProducer> {
        self.producer.as_ref()
    }

    /// The number of items.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The items, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        (1..).zip(&self.items).map(|(number, data)| Item { data, number })
    }
}

fn read_list(list: &Node<'_>, nodes: &[Node<'_>], path: &ValuePath<'_>, problems: &mut Problems) -> Vec<ItemData> {
    if nodes.len() > MAX_ITEMS {
        let message =
            format!("this list has {}; at most {} are allowed", count_noun(nodes.len(), "item"), count(MAX_ITEMS));
        problems.add(Problem::new(list.id, path, message).hint("let each job do several of them"));
        return Vec::new();
    }
    let mut first_nodes: HashMap<String, u32, RandomState> = HashMap::default();
    first_nodes.reserve(nodes.len());
    let mut items = Vec::with_capacity(nodes.len());
    for (nth, node) in nodes.iter().enumerate() {
        let path = path.item(nth);
        let Some(item) = ItemData::read(node, &path, problems) else { continue };
        if let Some(first) = first_nodes.insert(item.key.clone(), node.id) {
            problems.add_with(|| {
                let problem = Problem::new(node.id, &path, format!("duplicate item {}", quoted(&item.label())));
                let problem = problem.with_related(first, "first used here");
                match item.content {
                    ItemContent::Scalar(..) => problem,
                    ItemContent::Map(_) => {
                        problem.hint("a map is identified by its `id`, `key` or `name`, or else by all of its values")
                    }
                }
            });
        }
        items.push(item);
    }
    items
}

/// Reads a range such as `1..40`, which includes both ends, or `001..040`.
fn read_range(range: &str, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<ItemData>> {
    let problem = |message: String| Problem::new(node.id, path, message);
    let Some((first, last)) = range.split_once("..") else {
        let found = problem(format!("expected {EXPECTED}, found {}", node.type_name()));
        problems.add(if range.contains(['*', '?']) {
            found.hint(format!("write `{{glob: \"{range}\"}}`"))
        } else {
            found
        });
        return None;
    };
    let (first, last) = (first.trim(), last.trim());
    let ends = first.parse::<i64>().ok().zip(last.parse::<i64>().ok());
    let Some((from, to)) = ends else {
        let invalid = problem(format!("invalid range {}", quoted(range)));
        problems.add(invalid.expected("expected two whole numbers, such as `1..40`, which includes both"));
        return None;
    };
    let length = to.checked_sub(from).and_then(|length| usize::try_from(length.checked_add(1)?).ok());
    if from > to {
        problems.add(problem(format!("the range {} ends before it starts", quoted(range))));
        return None;
    }
    let Some(length) = length.filter(|length| *length <= MAX_ITEMS) else {
        let message = format!("the range {} has more than {} numbers", quoted(range), count(MAX_ITEMS));
        problems.add(problem(message).hint("let each job do several of them"));
        return None;
    };
    let is_padded = first.trim_start_matches('-').starts_with('0') && first.trim_start_matches('-').len() > 1;
    let width = if is_padded { first.len() } else { 0 };
    let numbers = (from..=to).map(|number| {
        let text = format!("{number:0width$}");
        ItemData::new(text.clone(), ItemContent::Scalar(ScalarType::Integer, text.into()))
    });
    let mut items = Vec::with_capacity(length);
    items.extend(numbers);
    Some(items)
}

/// The items of the list that a job has returned. Empty with a warning before it has returned one, and if its value is not a
/// list: the run that returned it has failed, or the job had another purpose before.
fn read_value(
    (queue, name): (&str, &str),
    id: u32,
    path: &ValuePath<'_>,
    sources: &mut ItemSources<'_>,
) -> Vec<ItemData> {
    let value = sources.value(queue, name);
    let warning = match (&value, returned_items::read_list(value.as_ref())) {
        (Some(_), Ok(items)) if !items.is_empty() => return items,
        (Some(_), Ok(_)) => format!("{queue}/{name} returned an empty list, so this defines no jobs"),
        (None, _) => format!("{queue}/{name} has not returned a list yet; this defines jobs when it has succeeded"),
        (Some(_), Err(problem)) => {
            format!("the value of {queue}/{name} {problem}; this defines no jobs until it has run again")
        }
    };
    sources.warnings.push(Problem::new(id, path, warning));
    Vec::new()
}

/// Where items come from.
enum ItemOrigin {
    Files(ItemSource),
    /// A job.
    Value(String),
}

/// Reads a map: where the items come from, with the id and the key of that value.
fn read_source<'n>(
    node: &Node<'_>,
    entries: &'n [MapEntry<'_>],
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<(ItemOrigin, u32, &'n str)> {
    let (mut source, mut settle) = (None, None);
    for entry in entries {
        let (value_node, path) = (&entry.value, &path.key(&entry.key.text));
        let read = match ForEachField::from_name(&entry.key.text) {
            Some(ForEachField::Glob) => {
                read_patterns(value_node, path, problems).map(|patterns| ItemOrigin::Files(ItemSource::Glob(patterns)))
            }
            Some(ForEachField::Lines) => value::non_empty_text(value_node, path, "the path", problems)
                .map(|file| ItemOrigin::Files(ItemSource::Lines(file))),
            Some(ForEachField::Watch) => read_patterns(value_node, path, problems).map(|patterns| {
                ItemOrigin::Files(ItemSource::Arrivals(ArrivalRule { patterns, settle: DEFAULT_SETTLE }))
            }),
            Some(ForEachField::Settle) => {
                settle = Some((entry.key.id, value::duration(value_node, path, problems)?));
                continue;
            }
            Some(ForEachField::Value) => {
                value::non_empty_text(value_node, path, "the name", problems).map(ItemOrigin::Value)
            }
            None => {
                unknown_fields::report_in(entry, ForEachField::ALL, path, problems);
                continue;
            }
        };
        if source.is_some() {
            problems.add(Problem::new(
                entry.key.id,
                path,
                "`for_each` can have only one of `glob`, `lines`, `watch` and `value`",
            ));
            return None;
        }
        source = Some((read, value_node.id, entry.key.text.as_ref()));
    }
    let Some((source, id, key)) = source else {
        problems.add_with(|| {
            Problem::new(node.id, path, "missing `glob`, `lines`, `watch` or `value`")
                .expected("expected `{glob: \"in/*.mp4\"}`, `{lines: FILE}`, `{watch: \"in/*.mp4\"}` or `{value: JOB}`")
        });
        return None;
    };
    let mut source = source?;
    if let Some((settle_id, duration)) = settle {
        let ItemOrigin::Files(ItemSource::Arrivals(rule)) = &mut source else {
            problems.add(Problem::new(settle_id, &path.key("settle"), "`settle` belongs to `watch`"));
            return None;
        };
        rule.settle = duration;
    }
    Some((source, id, key))
}

fn read_patterns(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let expected = "a pattern or a list of patterns";
    if let NodeKind::Scalar(..) = node.kind {
        return value::non_empty_text(node, path, "the pattern", problems).map(|pattern| vec![pattern]);
    }
    let NodeKind::List(nodes) = &node.kind else { return value::unexpected(node, path, expected, problems) };
    if nodes.is_empty() {
        problems.add_with(|| Problem::new(node.id, path, "this list must not be empty"));
        return None;
    }
    let before = problems.count();
    let patterns = value::list(node, path, expected, problems, |node, path, problems| {
        value::non_empty_text(node, path, "the pattern", problems)
    })?;
    (problems.count() == before).then_some(patterns)
}

impl ItemData {
    fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            NodeKind::Scalar(scalar_type, _) => {
                let text = read_item_text(node, path, problems)?;
                Some(Self::new(name_form(&text), ItemContent::Scalar(*scalar_type, text.into())))
            }
            NodeKind::Map(entries) if entries.is_empty() => {
                problems.add_with(|| Problem::new(node.id, path, "this map must not be empty"));
                None
            }
            NodeKind::Map(entries) => {
                let mut values = Vec::with_capacity(entries.len());
                for MapEntry { key, value } in entries {
                    let path = path.key(&key.text);
                    if key.invalid.is_none() && !item_placeholders::is_part_name(&key.text) {
                        let problem = Problem::new(key.id, &path, format!("invalid name {}", quoted(&key.text)));
                        problems.add(problem.hint("use letters, digits, `_` and `-`"));
                    }
                    let NodeKind::Scalar(scalar_type, _) = value.kind else {
                        return value::unexpected(value, &path, "text, a number or a boolean", problems);
                    };
                    let text = read_item_text(value, &path, problems)?;
                    values.push((Arc::from(&*key.text), scalar_type, Arc::from(text)));
                }
                Some(Self::new(map_key(&values), ItemContent::Map(values)))
            }
            _ => value::unexpected(node, path, "text, a number, a boolean or a map of them", problems),
        }
    }
}

fn read_item_text(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    let text = value::non_empty_text(node, path, "the item", problems)?;
    if is_ambiguous(&text) {
        problems.add(Problem::new(node.id, path, "an item can't contain a placeholder for a value"));
        return None;
    }
    Some(text)
}

impl Item<'_> {
    fn unknown_part(&self, part: &str, id: u32, path: &ValuePath<'_>) -> Problem {
        let (known, message): (Vec<&str>, _) = match &self.data.content {
            ItemContent::Scalar(..) => (ITEM_PARTS.to_vec(), format!("unknown part {} of an item", quoted(part))),
            ItemContent::Map(values) => {
                let known = values.iter().map(|(name, ..)| &**name).collect();
                (known, format!("the item {} has no {}", quoted(&self.data.label()), quoted(part)))
            }
        };
        let problem = Problem::new(id, path, message);
        match closest_keyword(part, &known) {
            Some(suggestion) => problem.hint(format!("did you mean `${{item.{suggestion}}}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    }
}

impl JobVariant for Item<'_> {
    const FIELD: &'static str = "for_each";

    fn name(&self, base: &str) -> String {
        format!("{base}[{}]", self.data.key)
    }

    fn title(&self, title: &str, first_line: &str) -> String {
        if !title.is_empty() {
            return format!("{title} ({})", self.data.label());
        }
        let mut shown = first_line.to_owned();
        let mut is_shown = false;
        let mut replace = |name: &str, value: &str| {
            if let Some(replaced) = replace_variable(&shown, name, value) {
                (shown, is_shown) = (replaced, true);
            }
        };
        match &self.data.content {
            ItemContent::Scalar(_, text) => {
                replace(VARIABLE, text);
                for part in ITEM_PARTS {
                    replace(&variable_name("SETLIST_ITEM_", part), item_part(text, part).unwrap_or_default());
                }
            }
            ItemContent::Map(values) => {
                for (name, _, text) in values {
                    replace(&variable_name("SETLIST_ITEM_", name), text);
                }
            }
        }
        if is_shown { shown } else { format!("{shown} ({})", self.data.label()) }
    }

    fn variables(&self) -> Vec<(String, String)> {
        // The worker makes them of the parameters.
        Vec::new()
    }

    fn parameters(&self, base: &Arc<str>) -> MatrixValues {
        let values = match &self.data.content {
            ItemContent::Scalar(_, text) => vec![(Arc::from(ITEM), Arc::clone(text))],
            ItemContent::Map(values) => {
                values.iter().map(|(name, _, text)| (format!("item.{name}").into(), Arc::clone(text))).collect()
            }
        };
        MatrixValues { entry: Arc::clone(base), values, is_item: true, version: self.data.version.clone() }
    }

    fn digest(&self, entry: &Node<'_>) -> i64 {
        let mut values = match &self.data.content {
            ItemContent::Scalar(scalar_type, text) => vec![("", *scalar_type, &**text)],
            ItemContent::Map(values) => values.iter().map(|(name, kind, text)| (&**name, *kind, &**text)).collect(),
        };
        values.extend(self.data.version.iter().map(|version| (" version", ScalarType::Text, &**version)));
        digest::variant_digest(entry, Self::FIELD, values)
    }

    fn find_placeholder(text: &str) -> Option<Placeholder<'_>> {
        item_placeholders::find_first(text)
    }

    fn resolve(
        &self,
        name: &str,
        form: ValueForm,
        id: u32,
        path: &ValuePath<'_>,
    ) -> Result<(ScalarType, Cow<'_, str>), Box<Problem>> {
        if name == INDEX {
            return Ok((ScalarType::Integer, self.number.to_string().into()));
        }
        let (scalar_type, text) = match (name.strip_prefix("item."), &self.data.content) {
            (None, _) if form == ValueForm::Name => return Ok((ScalarType::Text, (&*self.data.key).into())),
            (None, ItemContent::Scalar(scalar_type, text)) => (*scalar_type, &**text),
            (None, ItemContent::Map(values)) => {
                let known: Vec<String> = values.iter().map(|(name, ..)| format!("`${{item.{name}}}`")).collect();
                let problem = Problem::new(id, path, "`${item}` is a map");
                return Err(Box::new(problem.hint(format!("write {}", join_list(&known, "or")))));
            }
            (Some(part), ItemContent::Scalar(_, text)) => {
                let part = item_part(text, part).ok_or_else(|| Box::new(self.unknown_part(part, id, path)))?;
                (ScalarType::Text, part)
            }
            (Some(part), ItemContent::Map(values)) => {
                let value = values.iter().find(|(known, ..)| **known == *part);
                let (_, scalar_type, text) = value.ok_or_else(|| Box::new(self.unknown_part(part, id, path)))?;
                (*scalar_type, &**text)
            }
        };
        Ok(match form {
            ValueForm::Text | ValueForm::Pattern => (scalar_type, text.into()),
            ValueForm::Name => (ScalarType::Text, name_form(text).into()),
        })
    }

    fn malformed(id: u32, text: &str, path: &ValuePath<'_>) -> Problem {
        item_placeholders::malformed_problem(id, text, path)
    }

    fn reject_in_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
        item_placeholders::reject_in_script(node, path, problems);
    }

    fn reject_in_id(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
        item_placeholders::reject_in_id(node, path, problems);
    }

    fn reject_in_command(command: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
        item_placeholders::reject_in_command(command, path, problems);
    }
}
