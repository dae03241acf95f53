//! Values as results that can be compared: numbers as numbers, everything else as text.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Job, Outcome};
use crate::text;

/// A condition on the value of a job: `<0.3`, `>=10`, `=ok`, or text that it contains.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ValueTest {
    /// A number in this relation to another one.
    Number(Relation, f64),
    /// Exactly this text.
    Text(String),
    /// Text that contains this; case-sensitive if it has an upper-case letter.
    Contains(String),
}

/// The relation of one number to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

impl ValueTest {
    /// Parses a test; `None` if a number is expected and there is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        const RELATIONS: [(&str, Relation); 4] =
            [("<=", Relation::AtMost), (">=", Relation::AtLeast), ("<", Relation::Less), (">", Relation::Greater)];
        if let Some((number, relation)) =
            RELATIONS.iter().find_map(|(sign, relation)| Some((text.strip_prefix(sign)?, *relation)))
        {
            return parse_number(number).map(|number| Self::Number(relation, number));
        }
        Some(match text.strip_prefix('=') {
            Some(exact) => {
                parse_number(exact).map_or_else(|| Self::Text(exact.to_owned()), |n| Self::Number(Relation::Equal, n))
            }
            None => Self::Contains(text.to_owned()),
        })
    }

    /// Whether the value of a job passes. A job without a value never does.
    pub(super) fn matches(&self, job: &Job) -> bool {
        let Some(value) = job.result() else { return false };
        match self {
            Self::Number(relation, expected) => number(value).is_some_and(|number| match relation {
                Relation::Less => number < *expected,
                Relation::AtMost => number <= *expected,
                Relation::Equal => number.total_cmp(expected) == Ordering::Equal,
                Relation::AtLeast => number >= *expected,
                Relation::Greater => number > *expected,
            }),
            Self::Text(expected) => text_of(value) == *expected,
            Self::Contains(part) if part.chars().any(char::is_uppercase) => text_of(value).contains(part),
            Self::Contains(part) => text_of(value).to_lowercase().contains(part),
        }
    }
}

impl Job {
    /// Its value, if it has finished with one. Null and an empty text are not a result.
    pub fn result(&self) -> Option<&Value> {
        let is_result = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        self.result_value().filter(|_| self.outcome() == Some(&Outcome::Succeeded)).filter(is_result)
    }

    /// Whether both were made for the same matrix.
    pub fn is_in_matrix_of(&self, other: &Self) -> bool {
        match (&self.definition.matrix, &other.definition.matrix) {
            (Some(a), Some(b)) => a.entry == b.entry && self.queue == other.queue,
            _ => false,
        }
    }

    /// Its value in a line; empty if it has none.
    pub fn result_line(&self) -> String {
        self.result().map(|value| text::sanitize_line(&text_of(value))).unwrap_or_default()
    }
}

/// The number that a value is: a JSON number, or text that is one.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().map(positive_zero),
        Value::String(text) => parse_number(text),
        _ => None,
    }
}

/// Parses a number as programs print it: `0.25`, `-3`, `1e-4`, `inf`.
fn parse_number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| !number.is_nan()).map(positive_zero)
}

/// 0 and -0 are the same number.
fn positive_zero(number: f64) -> f64 {
    number + 0.0
}

/// A value as text: text as it is, anything else as JSON.
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Compares two values: numbers by size, before all other values, which are compared as text.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => text_of(a).cmp(&text_of(b)),
    }
}

/// Sorts jobs by their values. Text follows numbers, and jobs without a value are last, in the order in which they were.
pub fn sort(jobs: &mut [&Job], highest_first: bool) {
    jobs.sort_by(|a, b| match (a.result(), b.result()) {
        (Some(a), Some(b)) if highest_first && number(a).is_some() && number(b).is_some() => compare(b, a),
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
}

/// Whether the values of these jobs are results to compare: different numbers, or different values of one matrix.
pub fn are_comparable<'a>(jobs: impl Iterator<Item = &'a Job>) -> bool {
    let mut comparison = ValueComparison::default();
    jobs.into_iter().any(|job| comparison.add(job))
}

/// Decides whether the values of jobs that come one after another are results to compare.
#[derive(Clone, Debug, Default)]
pub struct ValueComparison {
    first_number: Option<f64>,
    first_of_matrix: Option<Box<Job>>,
    is_useful: bool,
}

impl ValueComparison {
    /// Adds a job; returns whether the values until now are results to compare.
    pub fn add(&mut self, job: &Job) -> bool {
        let Some(value) = job.result().filter(|_| !self.is_useful) else { return self.is_useful };
        if let Some(number) = number(value) {
            let first = *self.first_number.get_or_insert(number);
            self.is_useful |= first.total_cmp(&number) != Ordering::Equal;
        }
        if job.definition.matrix.is_some() {
            match &self.first_of_matrix {
                None => self.first_of_matrix = Some(Box::new(job.clone())),
                Some(first) => self.is_useful |= job.is_in_matrix_of(first) && first.result() != Some(value),
            }
        }
        self.is_useful
    }

    /// Whether they are results to compare.
    pub fn is_useful(&self) -> bool {
        self.is_useful
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers_and_before_text() {
        let mut values = [json!("b"), json!("10"), json!(9), json!("-1e3"), json!("a"), json!(" 0.5 "), json!("nan")];
        values.sort_by(compare);
        let expected = [json!("-1e3"), json!(" 0.5 "), json!(9), json!("10"), json!("a"), json!("b"), json!("nan")];
        assert_eq!(values, expected);
        assert_eq!(compare(&json!("-0"), &json!(0)), Ordering::Equal);
    }
}
