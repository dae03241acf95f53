//! A matrix: one entry that defines a job for each combination of values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::digest;
use super::job_names::slug_of;
use super::job_variant::{JobVariant, ValueForm, replace_variable};
use super::matrix_placeholders;
use super::placeholder::Placeholder;
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::spelling::{closest_keyword, one_of, quoted};
use super::value;
use super::value_path::ValuePath;
use crate::model::MatrixValues;
use crate::text::{count, count_noun};

/// The most jobs that one matrix may define.
const MAX_JOBS: usize = 10_000;

/// The names of a matrix with their values.
pub(super) struct Matrix {
    axes: Vec<Axis>,
}

struct Axis {
    name: Arc<str>,
    values: Vec<AxisValue>,
}

/// A value, and its form in job names.
struct AxisValue {
    text: Arc<str>,
    scalar_type: ScalarType,
    slug: String,
}

/// One value of each name.
pub(super) struct Combination<'m>(Vec<(&'m Arc<str>, &'m AxisValue)>);

impl Matrix {
    /// Reads the matrix of an entry.
    pub(super) fn read(entry: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Self> {
        let (node, path) = (entry.get("matrix")?, &path.key("matrix"));
        let before = problems.count();
        let entries = value::map(node, path, "a map of lists of values", problems)?;
        let jobs = entries.iter().try_fold(1_usize, |jobs, entry| match &entry.value.kind {
            NodeKind::List(values) => jobs.checked_mul(values.len()),
            _ => Some(jobs),
        });
        if jobs.is_none_or(|jobs| jobs > MAX_JOBS) {
            let jobs = jobs.map_or_else(|| "too many jobs".to_owned(), |jobs| count_noun(jobs, "job"));
            let message = format!("this matrix defines {jobs}; at most {} are allowed", count(MAX_JOBS));
            problems.add(Problem::new(node.id, path, message));
            return None;
        }
        let axes: Vec<Axis> = entries.iter().filter_map(|entry| read_axis(entry, path, problems)).collect();
        if entries.is_empty() {
            let problem = Problem::new(node.id, path, "the matrix is empty");
            problems.add(problem.expected("expected `{NAME: [VALUE, …]}`"));
        }
        (problems.count() == before).then_some(Self { axes })
    }

    /// The number of jobs.
    pub(super) fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).product()
    }

    /// All combinations. The values of the last name change fastest.
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
                    (&axis.name, value)
                })
                .collect();
            values.reverse();
            Combination(values)
        })
    }
}

fn read_axis(entry: &MapEntry<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Axis> {
    let (key, path) = (&entry.key, &path.key(&entry.key.text));
    let before = problems.count();
    if key.invalid.is_some() {
        return None;
    }
    if !matrix_placeholders::is_variable_name(&key.text) {
        let problem = Problem::new(key.id, path, format!("invalid variable name {}", quoted(&key.text)));
        problems.add(problem.hint("use letters, digits and `_`, and don't start with a digit"));
    } else if key.text.starts_with("SETLIST_") {
        problems.add(Problem::new(key.id, path, "names that start with `SETLIST_` are reserved"));
    }
    let mut known: HashMap<Arc<str>, u32> = HashMap::new();
    let values = value::list(&entry.value, path, "a list of values", problems, |node, path, problems| {
        let value = AxisValue::read(node, path, problems)?;
        if let Some(first) = known.insert(Arc::clone(&value.text), node.id) {
            let problem = Problem::new(node.id, path, format!("duplicate value {}", quoted(&value.text)));
            problems.add(problem.with_related(first, "first used here"));
        }
        Some(value)
    })?;
    if values.is_empty() && problems.count() == before {
        problems.add(Problem::new(entry.value.id, path, "this list must not be empty"));
    }
    Some(Axis { name: Arc::from(&*key.text), values })
}

impl AxisValue {
    fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Self> {
        let text = value::text(node, path, problems)?;
        let NodeKind::Scalar(scalar_type, _) = node.kind else { return None };
        let mut slug = slug_of(&text);
        if slug.is_empty() {
            // No character can be part of a name, so use the code points.
            let numbers: Vec<String> = text.chars().take(4).map(|c| format!("u{:x}", u32::from(c))).collect();
            slug = if numbers.is_empty() { "empty".to_owned() } else { numbers.join("-") };
        }
        Some(Self { text: text.into(), scalar_type, slug })
    }
}

impl JobVariant for Combination<'_> {
    const FIELD: &'static str = "matrix";

    fn name(&self, base: &str) -> String {
        self.0.iter().fold(base.to_owned(), |name, (_, value)| name + "-" + &value.slug)
    }

    /// Without a title, it is the first line of the script with its variables replaced, followed by the values that this
    /// doesn't show.
    fn title(&self, title: &str, first_line: &str) -> String {
        if !title.is_empty() {
            return format!("{title} ({self})");
        }
        let mut shown = first_line.to_owned();
        let mut hidden: Vec<&str> = Vec::new();
        for (name, value) in &self.0 {
            match replace_variable(&shown, name, &value.text) {
                Some(replaced) => shown = replaced,
                None => hidden.push(&value.text),
            }
        }
        if hidden.is_empty() { shown } else { format!("{shown} ({})", hidden.join(", ")) }
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_string(), value.text.to_string())).collect()
    }

    fn parameters(&self, base: &Arc<str>) -> MatrixValues {
        let values = self.0.iter().map(|(name, value)| (Arc::clone(name), Arc::clone(&value.text))).collect();
        MatrixValues { entry: Arc::clone(base), values, is_item: false, version: None }
    }

    fn digest(&self, entry: &Node<'_>) -> i64 {
        let values = self.0.iter().map(|(name, value)| (&***name, value.scalar_type, &*value.text)).collect();
        digest::variant_digest(entry, Self::FIELD, values)
    }

    fn find_placeholder(text: &str) -> Option<Placeholder<'_>> {
        matrix_placeholders::find_first(text)
    }

    fn resolve(
        &self,
        name: &str,
        form: ValueForm,
        id: u32,
        path: &ValuePath<'_>,
    ) -> Result<(ScalarType, Cow<'_, str>), Box<Problem>> {
        let found = self.0.iter().find(|(known, _)| ***known == *name);
        let (_, value) = found.ok_or_else(|| Box::new(self.unknown_variable(id, name, path)))?;
        let text = if form == ValueForm::Name { &*value.slug } else { &*value.text };
        Ok((value.scalar_type, text.into()))
    }

    fn malformed(id: u32, text: &str, path: &ValuePath<'_>) -> Problem {
        matrix_placeholders::malformed_problem(id, text, path)
    }

    fn reject_in_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
        matrix_placeholders::reject_in_script(node, path, problems);
    }

    fn reject_in_id(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
        matrix_placeholders::reject_in_id(node, path, problems);
    }
}

impl Combination<'_> {
    fn unknown_variable(&self, id: u32, name: &str, path: &ValuePath<'_>) -> Problem {
        let known: Vec<&str> = self.0.iter().map(|(name, _)| &***name).collect();
        let problem = Problem::new(id, path, format!("unknown matrix variable {}", quoted(name)));
        match known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .copied()
            .or_else(|| closest_keyword(name, &known))
        {
            Some(suggestion) => problem.hint(format!("did you mean `${{matrix.{suggestion}}}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    }
}

impl fmt::Display for Combination<'_> {
    /// Writes the values, without the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<&str> = self.0.iter().map(|(_, value)| &*value.text).collect();
        f.write_str(&values.join(", "))
    }
}
