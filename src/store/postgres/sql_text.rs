//! SQL as text: literals, and rows of several statements that were sent as one message.

use chrono::{DateTime, Utc};
use postgres::{SimpleQueryMessage, SimpleQueryRow};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::error::StoreError;

/// How many rows one statement writes at most.
const ROWS_PER_STATEMENT: usize = 1_000;

/// A string literal. The session has `standard_conforming_strings` on, so a backslash is an ordinary character. A NUL
/// can't be sent; JSON has none.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', "\u{fffd}"))
}

/// A literal with JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    // Only maps with keys that are not strings fail; the model has none.
    literal(&serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
}

/// A literal with JSON, or NULL.
pub(super) fn json_or_null(value: Option<&impl Serialize>) -> String {
    value.map_or_else(|| "NULL".to_owned(), json)
}

/// A time in nanoseconds since 1970. A time outside of the range that these can express becomes the end of the range.
pub(super) fn nanos(time: DateTime<Utc>) -> i64 {
    let end_of_range = if time < DateTime::UNIX_EPOCH { i64::MIN } else { i64::MAX };
    time.timestamp_nanos_opt().unwrap_or(end_of_range)
}

/// Statements that insert rows, in chunks; `row_values` are lists of literals without parentheses.
pub(super) fn insert(into: &str, row_values: &[String], on_conflict: &str, sql: &mut String) {
    for chunk in row_values.chunks(ROWS_PER_STATEMENT) {
        sql.push_str("INSERT INTO setlist.");
        sql.push_str(into);
        sql.push_str(" VALUES (");
        sql.push_str(&chunk.join("), ("));
        sql.push_str(") ");
        sql.push_str(on_conflict);
        sql.push_str(";\n");
    }
}

/// The rows of each statement of a message.
#[derive(Debug, Default)]
pub(super) struct ResultSets(Vec<Vec<SimpleQueryRow>>);

impl ResultSets {
    pub(super) fn new(messages: Vec<SimpleQueryMessage>) -> Self {
        let mut sets = vec![Vec::new()];
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    if let Some(set) = sets.last_mut() {
                        set.push(row);
                    }
                }
                SimpleQueryMessage::CommandComplete(_) => sets.push(Vec::new()),
                _ => {}
            }
        }
        Self(sets)
    }

    /// Takes the rows of the statement with this index.
    pub(super) fn take(&mut self, index: usize) -> Vec<SimpleQueryRow> {
        self.0.get_mut(index).map(std::mem::take).unwrap_or_default()
    }
}

/// A column of a row, as text.
pub(super) fn text(row: &SimpleQueryRow, column: usize) -> Result<Option<&str>, StoreError> {
    row.try_get(column).map_err(|error| StoreError::UnreadableRow { reason: error.to_string() })
}

/// A column with a number.
pub(super) fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: usize) -> Result<T, StoreError> {
    let number = text(row, column)?.and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::UnreadableRow { reason: "a number is missing".to_owned() })
}

/// A column with JSON; `None` if it is NULL.
pub(super) fn parsed<T: DeserializeOwned>(row: &SimpleQueryRow, column: usize) -> Result<Option<T>, StoreError> {
    let parse = |text| {
        serde_json::from_str(text).map_err(|error| StoreError::UnreadableRow { reason: format!("{error} in {text}") })
    };
    text(row, column)?.map(parse).transpose()
}

/// A column with JSON that must not be NULL.
pub(super) fn required<T: DeserializeOwned>(row: &SimpleQueryRow, column: usize) -> Result<T, StoreError> {
    parsed(row, column)?.ok_or_else(|| StoreError::UnreadableRow { reason: "a value is missing".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_does_not_end_a_literal() {
        assert_eq!(literal("it's \\'; DROP"), "'it''s \\''; DROP'");
        assert_eq!(json(&"a'\0\\"), "'\"a''\\u0000\\\\\"'");
    }
}
