//! The query language of filters: `state:failed tag:nightly since:1h text`.
//!
//! A job matches a query if it matches all terms. A term is a word in the title, name or tags of the job, or a field
//! with a value. Several values separated by commas are alternatives, and `!` before a term negates it. Quotes protect
//! spaces and colons: `"Unit tests"`, `tag:"two words"`.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::result_value::ValueTest;
use super::{Exit, Job, JobId, JobState, Run, SiteState};
use crate::text::{self, DurationError};

/// A parsed query. The empty query matches every job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    text: String,
    terms: Vec<QueryTerm>,
}

/// Why a query is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(String);

/// A tag or queue that a query names and that no job has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownName {
    /// A tag.
    Tag(String),
    /// A queue.
    Queue(String),
}

#[derive(Clone, Debug, PartialEq)]
struct QueryTerm {
    negated: bool,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// Contains this word; case-sensitive if the word contains an upper-case letter.
    Word { word: String, case_sensitive: bool },
    /// Has one of these states or outcomes.
    State(Vec<&'static str>),
    /// Is in one of these queues.
    Queue(Vec<NamePattern>),
    /// Has one of these tags.
    Tag(Vec<NamePattern>),
    /// Last changed at this time or later.
    Since(DateTime<Utc>),
    /// Last changed before this time.
    Before(DateTime<Utc>),
    /// Its latest run took at least this long, or less.
    Took { at_least: bool, duration: Duration },
    /// Its latest run ended with one of these exit codes.
    Exit(Vec<i32>),
    /// It returned a value that passes this test.
    Value(ValueTest),
}

/// A name, or a prefix followed by `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamePattern {
    text: String,
    is_prefix: bool,
}

/// All fields.
const FIELD_NAMES: [&str; 8] = ["state", "tag", "queue", "since", "before", "took", "exit", "value"];

/// All values of `state:`.
const STATE_NAMES: [&str; 8] =
    ["pending", "running", "finished", "succeeded", "failed", "cancelled", "interrupted", "skipped"];

impl Query {
    /// Parses a query. Times such as `since:1h` are relative to `now`.
    pub fn parse(text: &str, now: DateTime<Utc>) -> Result<Self, QueryError> {
        let terms = tokenize(text).iter().map(|token| parse_term(token, now)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), terms })
    }

    /// Parses an incomplete query, which is being typed: returns the valid terms and the first error.
    pub fn parse_partial(text: &str, now: DateTime<Utc>) -> (Self, Option<QueryError>) {
        let mut query = Self { text: text.to_owned(), terms: Vec::new() };
        let mut first_error = None;
        for token in tokenize(text) {
            match parse_term(&token, now) {
                Ok(term) => query.terms.push(term),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        (query, first_error)
    }

    /// The text of the query.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches every job.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it matches `job`.
    pub fn matches(&self, job: &Job) -> bool {
        self.terms.iter().all(|term| term.condition.matches(job) != term.negated)
    }

    /// The first of the tags and queues that it names, without `!`, that doesn't exist: it was probably mistyped.
    pub fn unknown_name<'a>(
        &self,
        site_state: &SiteState,
        tags: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Option<UnknownName> {
        let queues = site_state.queues();
        self.terms.iter().filter(|term| !term.negated).find_map(|term| match &term.condition {
            Condition::Tag(names) => {
                let unknown = names.iter().find(|name| !tags.clone().any(|tag| name.matches(tag)));
                unknown.map(|name| UnknownName::Tag(name.to_string()))
            }
            Condition::Queue(names) => {
                let unknown = names.iter().find(|name| !queues.iter().any(|(id, _)| name.matches(id.as_str())));
                unknown.map(|name| UnknownName::Queue(name.to_string()))
            }
            _ => None,
        })
    }

    /// Whether every job that it matches also matches `wider`, so that a search can start from those results.
    pub fn narrows(&self, wider: &Self) -> bool {
        wider.terms.iter().all(|wide| self.terms.iter().any(|term| term.narrows(wide)))
    }
}

/// A part of a query between spaces.
#[derive(Clone, Debug, Default)]
struct QueryToken {
    text: String,
    /// The byte index of the first colon outside quotes.
    colon: Option<usize>,
    /// Whether it starts with a quote.
    quoted: bool,
}

/// Splits a query into tokens. An unclosed quote extends to the end.
fn tokenize(text: &str) -> Vec<QueryToken> {
    let mut tokens = Vec::new();
    let mut token: Option<QueryToken> = None;
    let mut in_quotes = false;
    for character in text.chars() {
        match character {
            '"' => {
                in_quotes = !in_quotes;
                let token = token.get_or_insert_default();
                token.quoted |= token.text.trim_start_matches('!').is_empty();
            }
            space if space.is_whitespace() && !in_quotes => tokens.extend(token.take()),
            other => {
                let token = token.get_or_insert_default();
                if other == ':' && !in_quotes && !token.quoted {
                    token.colon.get_or_insert(token.text.len());
                }
                token.text.push(other);
            }
        }
    }
    tokens.extend(token);
    tokens.retain(|token| !token.text.is_empty());
    tokens
}

fn parse_term(token: &QueryToken, now: DateTime<Utc>) -> Result<QueryTerm, QueryError> {
    let bare = token.text.strip_prefix('!').filter(|rest| !rest.is_empty());
    let negated = bare.is_some();
    let plain = bare.unwrap_or(&token.text);
    let field = token.colon.map(|colon| (&token.text[usize::from(negated)..colon], &token.text[colon + 1..]));
    if let Some((field, value)) = split_comparison(plain).filter(|_| field.is_none() && !token.quoted) {
        return fail(format!("a colon is missing: write `{field}:{value}`, or put the text in quotes"));
    }
    let condition = match field {
        Some((field, values)) if FIELD_NAMES.contains(&field) => parse_condition(field, values, now)?,
        // A URL, a time of day and a word that ends with a colon are text.
        Some((field, values)) if is_field_like(field, values) => {
            let hint = closest_field(field).map_or_else(
                || format!("fields are {}; put text with a colon in quotes", FIELD_NAMES.join(", ")),
                |meant| format!("did you mean `{meant}:`?"),
            );
            return fail(format!("unknown field `{field}:`; {hint}"));
        }
        _ => word_condition(plain),
    };
    Ok(QueryTerm { negated, condition })
}

/// Splits `took>1m`, which begins with a field, into the field and its value.
fn split_comparison(text: &str) -> Option<(&'static str, &str)> {
    let start = text.find(['<', '>', '='])?;
    let field = if &text[..start] == "duration" { "took" } else { &text[..start] };
    let field = FIELD_NAMES.into_iter().find(|name| *name == field)?;
    let value = &text[start..];
    let value = if matches!(field, "took" | "value") { value } else { value.trim_start_matches('=') };
    let is_complete = !value.trim_start_matches(['<', '>', '=']).is_empty();
    is_complete.then_some((field, value))
}

fn is_field_like(field: &str, values: &str) -> bool {
    let is_name = field.len() > 2 && field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name && !values.starts_with("//") && (!values.is_empty() || closest_field(field).is_some())
}

fn word_condition(text: &str) -> Condition {
    Condition::Word { word: text.to_owned(), case_sensitive: text.chars().any(char::is_uppercase) }
}

fn parse_condition(field: &str, values: &str, now: DateTime<Utc>) -> Result<Condition, QueryError> {
    let alternatives: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    if alternatives.is_empty() {
        return fail(format!("{field}: expected {}", expected(field)));
    }
    let names = || alternatives.iter().map(|name| NamePattern::new(name)).collect();
    Ok(match field {
        "state" => Condition::State(
            alternatives.iter().map(|value| parse_state(value)).collect::<Result<Vec<_>, _>>()?.concat(),
        ),
        "queue" => Condition::Queue(names()),
        "tag" => Condition::Tag(names()),
        "since" => Condition::Since(parse_time_ago(field, values, now)?),
        "before" => Condition::Before(parse_time_ago(field, values, now)?),
        "took" => {
            let at_least = !values.starts_with('<');
            Condition::Took { at_least, duration: parse_duration(field, values.trim_start_matches(['<', '>', '=']))? }
        }
        "value" => match ValueTest::parse(values) {
            Some(test) => Condition::Value(test),
            None => return invalid_value(field, values),
        },
        _ => {
            let code = |value: &&str| value.parse().or_else(|_| invalid_value(field, value));
            Condition::Exit(alternatives.iter().map(code).collect::<Result<_, _>>()?)
        }
    })
}

/// Describes the values of a field.
fn expected(field: &str) -> String {
    match field {
        "state" => format!("one of {}", STATE_NAMES.join(", ")),
        "tag" => "a tag, or a prefix followed by *".to_owned(),
        "queue" => "a queue, or a prefix followed by *".to_owned(),
        "took" => "a duration such as >1m or <10s".to_owned(),
        "exit" => "an exit code such as 1".to_owned(),
        "value" => "a number such as <0.3 or >=10, =TEXT for exactly this text, or a part of it".to_owned(),
        _ => "a duration such as 30m, 8h or 2d".to_owned(),
    }
}

/// The states with this name or prefix.
fn parse_state(value: &str) -> Result<Vec<&'static str>, QueryError> {
    let lower = value.to_lowercase();
    let states: Vec<_> = STATE_NAMES.into_iter().filter(|state| state.starts_with(&lower)).collect();
    if states.is_empty() { invalid_value("state", value) } else { Ok(states) }
}

fn parse_time_ago(field: &str, value: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, QueryError> {
    let age = TimeDelta::from_std(parse_duration(field, value)?).ok();
    // An age beyond the supported range matches all times.
    Ok(age.and_then(|age| now.checked_sub_signed(age)).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

fn parse_duration(field: &str, value: &str) -> Result<Duration, QueryError> {
    text::parse_duration(value).or_else(|error| match error {
        DurationError::Invalid => invalid_value(field, value),
        DurationError::AmbiguousUnit => fail(format!("{field}: {error}")),
    })
}

/// A field with a similar name, as a suggestion.
fn closest_field(typed: &str) -> Option<&'static str> {
    const OTHER_NAMES: [(&str, &str); 6] = [
        ("code", "exit"),
        ("duration", "took"),
        ("job", "queue"),
        ("outcome", "state"),
        ("status", "state"),
        ("time", "took"),
    ];
    if let Some((_, field)) = OTHER_NAMES.iter().find(|(name, _)| *name == typed) {
        return Some(field);
    }
    let is_close = |field: &&str| strsim::damerau_levenshtein(typed, field) <= (field.len() / 3).max(1);
    FIELD_NAMES.into_iter().find(is_close)
}

fn invalid_value<T>(field: &str, value: &str) -> Result<T, QueryError> {
    fail(format!("{field}: expected {}, not `{value}`", expected(field)))
}

fn fail<T>(message: String) -> Result<T, QueryError> {
    Err(QueryError(message))
}

impl QueryTerm {
    fn narrows(&self, wide: &Self) -> bool {
        if self.negated || wide.negated {
            return self == wide;
        }
        match (&self.condition, &wide.condition) {
            (
                Condition::Word { word, case_sensitive },
                Condition::Word { word: wide_word, case_sensitive: wide_case_sensitive },
            ) => word.contains(wide_word) && (*case_sensitive || !wide_case_sensitive),
            (Condition::Since(later), Condition::Since(time)) => later >= time,
            (Condition::Before(earlier), Condition::Before(time)) => earlier <= time,
            (condition, wide) => condition == wide,
        }
    }
}

impl Condition {
    fn matches(&self, job: &Job) -> bool {
        match self {
            Self::Word { word, case_sensitive } => contains_word(word, *case_sensitive, job),
            Self::State(states) => {
                let word = job.outcome().map(super::Outcome::as_str);
                states.contains(&job.phase().as_str())
                    || word.is_some_and(|word| states.contains(&word))
                    || (job.has_failed() && states.contains(&"failed"))
            }
            Self::Queue(names) => names.iter().any(|name| name.matches(job.queue.as_str())),
            Self::Tag(names) => job.definition.tags.iter().any(|tag| names.iter().any(|name| name.matches(tag))),
            Self::Since(time) => last_change(job) >= *time,
            Self::Before(time) => last_change(job) < *time,
            Self::Took { at_least, duration } => {
                let took = job.result_run().and_then(Run::duration);
                took.is_some_and(|took| if *at_least { took >= *duration } else { took < *duration })
            }
            Self::Exit(codes) => {
                let exit = job.result_run().and_then(|run| run.end.as_ref()).and_then(|end| end.exit);
                matches!(exit, Some(Exit::Code(code)) if codes.contains(&code))
            }
            Self::Value(test) => test.matches(job),
        }
    }
}

fn contains_word(word: &str, case_sensitive: bool, job: &Job) -> bool {
    let found = |text: &str| if case_sensitive { text.contains(word) } else { text.to_lowercase().contains(word) };
    let number = word.strip_prefix('#').and_then(|number| number.parse().ok());
    found(&job.display_title())
        || job.name().is_some_and(found)
        || job.definition.tags.iter().any(|tag| found(tag))
        || number.is_some_and(|number| job.id == JobId(number))
}

/// When a job last finished, started, or became pending.
fn last_change(job: &Job) -> DateTime<Utc> {
    match (&job.state, &job.last_run) {
        (JobState::Finished { at, .. }, _) => *at,
        (JobState::Running { .. }, Some(run)) => run.started,
        _ => job.enqueued,
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str(if self.is_prefix { "*" } else { "" })
    }
}

impl NamePattern {
    fn new(text: &str) -> Self {
        let (text, is_prefix) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        Self { text: text.to_lowercase(), is_prefix }
    }

    fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}
