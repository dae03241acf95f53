//! A matrix: one entry that makes a job for each combination of values, which stand in the places that its fields have
//! for them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::blanks::{self, Blank};
use super::names::slug_of;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Entry, Kind, Node};
use super::value;
use super::words::{nearest, one_of, quoted};

/// A matrix that makes more jobs than this is refused.
const MOST: usize = 10_000;

/// The values of an entry, by name.
pub(super) struct Matrix {
    axes: Vec<Axis>,
}

struct Axis {
    name: String,
    values: Vec<Value>,
}

/// A value, and how it stands in a name.
struct Value {
    text: String,
    class: Class,
    slug: String,
}

/// One value of each name.
pub(super) struct Combination<'m>(Vec<(&'m str, &'m Value)>);

impl Matrix {
    /// The matrix of an entry.
    pub(super) fn of(entry: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Self> {
        let (node, path) = (entry.get("matrix")?, &path.key("matrix"));
        let before = problems.count();
        let entries = value::map(node, path, "a map of lists of values", problems)?;
        let jobs = entries.iter().try_fold(1_usize, |jobs, entry| match &entry.value.kind {
            Kind::List(values) => jobs.checked_mul(values.len()),
            _ => Some(jobs),
        });
        if jobs.is_none_or(|jobs| jobs > MOST) {
            let jobs = jobs.map_or_else(|| "far too many".to_owned(), |jobs| jobs.to_string());
            let message = format!("this matrix makes {jobs} jobs, at most {MOST} are allowed");
            problems.add(Problem::new(node.id, path, message));
            return None;
        }
        let axes: Vec<Axis> = entries.iter().filter_map(|entry| axis(entry, path, problems)).collect();
        if entries.is_empty() {
            let problem = Problem::new(node.id, path, "the matrix has no values");
            problems.add(problem.expected("expected `{NAME: [VALUE, …]}`"));
        }
        (problems.count() == before).then_some(Self { axes })
    }

    /// How many jobs it makes.
    pub(super) fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).product()
    }

    /// All combinations; the values of the last name change fastest.
    pub(super) fn combinations(&self) -> impl Iterator<Item = Combination<'_>> {
        (0..self.len()).map(|number| {
            let mut rest = number;
            let mut values: Vec<_> = self
                .axes
                .iter()
                .rev()
                .map(|axis| {
                    let value = &axis.values[rest % axis.values.len()];
                    rest /= axis.values.len();
                    (axis.name.as_str(), value)
                })
                .collect();
            values.reverse();
            Combination(values)
        })
    }
}

fn axis(entry: &Entry<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Axis> {
    let (key, path) = (&entry.key, &path.key(&entry.key.text));
    let before = problems.count();
    if key.unfit.is_some() {
        return None;
    }
    if !blanks::is_variable(&key.text) {
        let problem = Problem::new(key.id, path, format!("{} can't be a variable's name", quoted(&key.text)));
        problems.add(problem.hint("letters, digits and `_`, beginning with no digit"));
    } else if key.text.starts_with("SETLIST_") {
        problems.add(Problem::new(key.id, path, "names that begin with `SETLIST_` are set for every run"));
    }
    let mut known: HashMap<String, u32> = HashMap::new();
    let values = value::list(&entry.value, path, "a list of values", problems, |node, path, problems| {
        let value = Value::of(node, path, problems)?;
        if let Some(first) = known.insert(value.text.clone(), node.id) {
            let problem = Problem::new(node.id, path, format!("{} is in this list twice", quoted(&value.text)));
            problems.add(problem.also(first, "first here"));
        }
        Some(value)
    })?;
    if values.is_empty() && problems.count() == before {
        problems.add(Problem::new(entry.value.id, path, "without a value this makes no job"));
    }
    Some(Axis { name: key.text.to_string(), values })
}

impl Value {
    fn of(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Self> {
        let text = value::text(node, path, problems)?;
        let Kind::Scalar(class, _) = node.kind else { return None };
        let mut slug = slug_of(&text);
        if slug.is_empty() {
            // Its characters have no names that could stand in a name; their numbers do.
            let numbers: Vec<String> = text.chars().take(4).map(|c| format!("u{:x}", u32::from(c))).collect();
            slug = if numbers.is_empty() { "empty".to_owned() } else { numbers.join("-") };
        }
        Some(Self { text, class, slug })
    }
}

impl Combination<'_> {
    /// The name of its job, before it is known whether that is taken.
    pub(super) fn name(&self, base: &str) -> String {
        self.0.iter().fold(base.to_owned(), |name, (_, value)| name + "-" + &value.slug)
    }

    /// What each job has in its environment.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), value.text.clone()))
    }

    /// The names with their values, as they are spelled and as they were read.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, Class, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.class, value.text.as_str()))
    }

    /// The entry with the values in their places.
    pub(super) fn fill<'s>(&self, entry: &Node<'s>, path: &Path<'_>, problems: &mut Problems) -> Node<'s> {
        let Kind::Map(entries) = &entry.kind else { return entry.clone() };
        let fields = entries.iter().filter(|field| field.key.text != "matrix").map(|field| {
            let path = &path.key(&field.key.text);
            let value = match &*field.key.text {
                "run" => {
                    blanks::none_in_script(&field.value, path, problems);
                    field.value.clone()
                }
                "id" => {
                    blanks::none_in_id(&field.value, path, problems);
                    field.value.clone()
                }
                "on_finish" => {
                    blanks::none_in_script(&field.value, path, problems);
                    if let Some(script) = field.value.get("run") {
                        blanks::none_in_script(script, &path.key("run"), problems);
                    }
                    self.filled(&field.value, path, problems, |value| &value.text)
                }
                // There the values are as they are in names.
                "needs" => self.filled(&field.value, path, problems, |value| &value.slug),
                _ => self.filled(&field.value, path, problems, |value| &value.text),
            };
            Entry { key: field.key.clone(), value }
        });
        Node { id: entry.id, kind: Kind::Map(fields.collect()) }
    }

    fn filled<'s>(
        &self,
        node: &Node<'s>,
        path: &Path<'_>,
        problems: &mut Problems,
        written: fn(&Value) -> &str,
    ) -> Node<'s> {
        let kind = match &node.kind {
            Kind::Scalar(class, text) => match self.text(node.id, text, path, problems, written) {
                Some((class, text)) => Kind::Scalar(class, Cow::Owned(text)),
                None => Kind::Scalar(*class, text.clone()),
            },
            Kind::List(items) => {
                let items = items.iter().enumerate();
                Kind::List(items.map(|(nth, node)| self.filled(node, &path.item(nth), problems, written)).collect())
            }
            Kind::Map(entries) => {
                let entries = entries.iter().map(|entry| {
                    let path = path.key(&entry.key.text);
                    Entry { key: entry.key.clone(), value: self.filled(&entry.value, &path, problems, written) }
                });
                Kind::Map(entries.collect())
            }
            kind => kind.clone(),
        };
        Node { id: node.id, kind }
    }

    /// A text with the values in their places, if it has places for any. One that is nothing but a value is what the
    /// value is: a number, say.
    fn text(
        &self,
        id: u32,
        text: &str,
        path: &Path<'_>,
        problems: &mut Problems,
        written: fn(&Value) -> &str,
    ) -> Option<(Class, String)> {
        let mut filled = String::new();
        let mut class = None;
        let mut rest = text;
        let mut any = false;
        while let Some(Blank { before, said, name, behind }) = blanks::first(rest) {
            any = true;
            filled.push_str(before);
            let value = name.map(|name| self.0.iter().find(|(known, _)| *known == name).ok_or(name));
            match value {
                Some(Ok((_, value))) => {
                    class = (said.len() == text.len()).then_some(value.class);
                    filled.push_str(written(value));
                }
                Some(Err(name)) => problems.add(self.unknown(id, name, path)),
                None => problems.add(blanks::misspelt(id, said, path)),
            }
            rest = behind;
        }
        filled.push_str(rest);
        any.then(|| (class.unwrap_or(Class::Text), filled))
    }

    fn unknown(&self, id: u32, name: &str, path: &Path<'_>) -> Problem {
        let known: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        let problem = Problem::new(id, path, format!("there is no {} in this matrix", quoted(name)));
        match known.iter().find(|known| known.eq_ignore_ascii_case(name)).copied().or_else(|| nearest(name, &known)) {
            Some(meant) => problem.hint(format!("did you mean `${{matrix.{meant}}}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    }
}

impl fmt::Display for Combination<'_> {
    /// The values alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<&str> = self.0.iter().map(|(_, value)| value.text.as_str()).collect();
        f.write_str(&values.join(", "))
    }
}

/// How much memory one job of an entry takes, in bytes, roughly, beside what it inherits.
pub(super) fn weight(entry: &Node<'_>) -> usize {
    const ALWAYS: usize = 256;
    ALWAYS + entry.weight().saturating_sub(entry.get("matrix").map_or(0, Node::weight))
}

/// Whether the jobs of an entry can be told apart by what is shown of them.
pub(super) fn tells_apart(entry: &Node<'_>) -> bool {
    let has = |node: &Node<'_>| matches!(&node.kind, Kind::Scalar(_, text) if blanks::are_in(text));
    match (entry.get("title").map(|title| &title.kind), entry.get("command").map(|command| &command.kind)) {
        (Some(Kind::Scalar(_, title)), _) if !title.is_empty() => blanks::are_in(title),
        (_, Some(Kind::List(words))) => words.iter().any(has),
        _ => false,
    }
}
