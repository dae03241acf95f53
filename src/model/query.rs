//! The language in which people look for jobs: `state:failed tag:nightly since:1h text`.
//!
//! All terms have to hold. A term is a word of the job's title, name or tags, or a field with a value; several values
//! with commas between them are alternatives, and `!` before a term turns it round. Quotes keep spaces and colons
//! together: `"Unit tests"`, `tag:"two words"`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Exit, Job, JobId, State};

/// What is looked for. The empty query finds every job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    text: String,
    terms: Vec<Term>,
}

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// It must not hold.
    turned: bool,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// A word to find; capitals count when there is one in it.
    Word { word: String, exact: bool },
    /// One of these states or outcomes.
    State(Vec<&'static str>),
    /// In one of these queues.
    Queue(Vec<Name>),
    /// With one of these tags.
    Tag(Vec<Name>),
    /// Something last happened to it at this time or later.
    Since(DateTime<Utc>),
    /// Nothing has happened to it from this time on.
    Before(DateTime<Utc>),
    /// Its latest run took so long.
    Took { least: bool, time: Duration },
    /// Its latest run ended with one of these exit codes.
    Exit(Vec<i32>),
}

/// A name, or with `*` behind it the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    text: String,
    open: bool,
}

/// The fields that there are.
const FIELDS: [&str; 7] = ["state", "tag", "queue", "since", "before", "took", "exit"];

/// What `state:` knows.
const STATES: [&str; 8] =
    ["pending", "running", "finished", "succeeded", "failed", "cancelled", "interrupted", "skipped"];

impl Query {
    /// Reads a query. Times such as `since:1h` are counted back from `now`. The error says what is meant in a few words.
    pub fn parse(text: &str, now: DateTime<Utc>) -> Result<Self, QueryError> {
        let terms = pieces(text).iter().map(|piece| term(piece, now)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), terms })
    }

    /// The query as far as it makes sense, for one that is still being typed, and what is wrong with the rest.
    pub fn so_far(text: &str, now: DateTime<Utc>) -> (Self, Option<QueryError>) {
        let mut query = Self { text: text.to_owned(), terms: Vec::new() };
        let mut wrong = None;
        for piece in pieces(text) {
            match term(&piece, now) {
                Ok(term) => query.terms.push(term),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        (query, wrong)
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it finds every job.
    pub fn finds_all(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it finds `job`.
    pub fn finds(&self, job: &Job) -> bool {
        self.terms.iter().all(|term| term.test.holds(job) != term.turned)
    }

    /// Whether it can find nothing but what `wider` finds: a search for it may start from there.
    pub fn narrows(&self, wider: &Self) -> bool {
        wider.terms.iter().all(|wide| self.terms.iter().any(|term| term.narrows(wide)))
    }
}

/// A piece of a query between spaces.
#[derive(Clone, Debug, Default)]
struct Piece {
    text: String,
    /// The first colon outside quotes, as a byte of `text`.
    colon: Option<usize>,
    /// It starts with a quote.
    quoted: bool,
}

/// Takes a query apart. A quote that isn't closed yet goes on to the end.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut piece: Option<Piece> = None;
    let mut within = false;
    for character in text.chars() {
        match character {
            '"' => {
                within = !within;
                let piece = piece.get_or_insert_default();
                piece.quoted |= piece.text.trim_start_matches('!').is_empty();
            }
            space if space.is_whitespace() && !within => pieces.extend(piece.take()),
            other => {
                let piece = piece.get_or_insert_default();
                if other == ':' && !within && !piece.quoted {
                    piece.colon.get_or_insert(piece.text.len());
                }
                piece.text.push(other);
            }
        }
    }
    pieces.extend(piece);
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}

fn term(piece: &Piece, now: DateTime<Utc>) -> Result<Term, QueryError> {
    let bare = piece.text.strip_prefix('!').filter(|rest| !rest.is_empty());
    let turned = bare.is_some();
    let plain = bare.unwrap_or(&piece.text);
    let field = piece.colon.map(|colon| (&piece.text[usize::from(turned)..colon], &piece.text[colon + 1..]));
    let test = match field {
        Some((field, values)) if FIELDS.contains(&field) => test(field, values, now)?,
        // An address or a time of day is text; a field that is nearly one was meant to be one.
        Some((field, _)) if field.len() > 2 => match near(field) {
            Some(meant) => return fail(format!("there is no `{field}:`; did you mean `{meant}:`?")),
            None => word(plain),
        },
        _ => word(plain),
    };
    Ok(Term { turned, test })
}

fn word(text: &str) -> Test {
    Test::Word { word: text.to_owned(), exact: text.chars().any(char::is_uppercase) }
}

fn test(field: &str, values: &str, now: DateTime<Utc>) -> Result<Test, QueryError> {
    let all: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    if all.is_empty() {
        return fail(format!("{field}: {}", expected(field)));
    }
    let names = || all.iter().map(|name| Name::new(name)).collect();
    Ok(match field {
        "state" => Test::State(all.iter().map(|value| states(value)).collect::<Result<Vec<_>, _>>()?.concat()),
        "queue" => Test::Queue(names()),
        "tag" => Test::Tag(names()),
        "since" => Test::Since(ago(field, values, now)?),
        "before" => Test::Before(ago(field, values, now)?),
        "took" => {
            let least = !values.starts_with('<');
            Test::Took { least, time: duration(field, values.trim_start_matches(['<', '>', '=']))? }
        }
        _ => {
            let code = |value: &&str| value.parse().or_else(|_| fail(format!("`{value}` is no exit code")));
            Test::Exit(all.iter().map(code).collect::<Result<_, _>>()?)
        }
    })
}

/// What may stand behind a field.
fn expected(field: &str) -> String {
    match field {
        "state" => STATES.join(", "),
        "tag" => "a tag, or its beginning and *".to_owned(),
        "queue" => "a queue, or its beginning and *".to_owned(),
        "took" => "such as >1m or <10s".to_owned(),
        "exit" => "a code such as 1".to_owned(),
        _ => "such as 30m, 8h or 2d".to_owned(),
    }
}

/// The states that are meant: by name, or by the beginning of it.
fn states(value: &str) -> Result<Vec<&'static str>, QueryError> {
    let lower = value.to_lowercase();
    let meant: Vec<_> = STATES.into_iter().filter(|state| state.starts_with(&lower)).collect();
    if meant.is_empty() { fail(format!("no state `{value}`: {}", expected("state"))) } else { Ok(meant) }
}

fn ago(field: &str, value: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, QueryError> {
    let time = TimeDelta::from_std(duration(field, value)?).ok();
    // Longer ago than any clock tells is before everything.
    Ok(time.and_then(|time| now.checked_sub_signed(time)).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

fn duration(field: &str, value: &str) -> Result<Duration, QueryError> {
    humantime::parse_duration(value)
        .or_else(|_| fail(format!("{field}: `{value}` is no duration; {}", expected(field))))
}

/// The field that differs so little that it was probably meant.
fn near(typed: &str) -> Option<&'static str> {
    let near = |field: &&str| strsim::damerau_levenshtein(typed, field) <= (field.len() / 3).max(1);
    FIELDS.into_iter().find(near)
}

fn fail<T>(why: String) -> Result<T, QueryError> {
    Err(QueryError(why))
}

impl Term {
    fn narrows(&self, wide: &Self) -> bool {
        if self.turned || wide.turned {
            return self == wide;
        }
        match (&self.test, &wide.test) {
            (Test::Word { word, exact }, Test::Word { word: part, exact: strict }) => {
                word.contains(part) && (*exact || !strict)
            }
            (Test::Since(later), Test::Since(time)) => later >= time,
            (Test::Before(earlier), Test::Before(time)) => earlier <= time,
            (test, wide) => test == wide,
        }
    }
}

impl Test {
    fn holds(&self, job: &Job) -> bool {
        match self {
            Self::Word { word, exact } => is_in(word, *exact, job),
            Self::State(states) => {
                let word = job.outcome().map(super::Outcome::word);
                states.contains(&job.phase().word()) || word.is_some_and(|word| states.contains(&word))
            }
            Self::Queue(names) => names.iter().any(|name| name.is(job.queue.as_str())),
            Self::Tag(names) => job.definition.tags.iter().any(|tag| names.iter().any(|name| name.is(tag))),
            Self::Since(time) => latest(job) >= *time,
            Self::Before(time) => latest(job) < *time,
            Self::Took { least, time } => {
                took(job).is_some_and(|took| if *least { took >= *time } else { took < *time })
            }
            Self::Exit(codes) => {
                let exit = job.last_run.as_ref().and_then(|run| run.ending.as_ref()).and_then(|ending| ending.exit);
                matches!(exit, Some(Exit::Code(code)) if codes.contains(&code))
            }
        }
    }
}

fn is_in(word: &str, exact: bool, job: &Job) -> bool {
    let found = |text: &str| if exact { text.contains(word) } else { text.to_lowercase().contains(word) };
    let number = word.strip_prefix('#').and_then(|number| number.parse().ok());
    found(&job.label())
        || job.name().is_some_and(found)
        || job.definition.tags.iter().any(|tag| found(tag))
        || number.is_some_and(|number| job.id == JobId(number))
}

/// When something last happened to it: it finished, started, or became pending.
fn latest(job: &Job) -> DateTime<Utc> {
    match (&job.state, &job.last_run) {
        (State::Finished { at, .. }, _) => *at,
        (State::Running { .. }, Some(run)) => run.started,
        _ => job.enqueued,
    }
}

fn took(job: &Job) -> Option<Duration> {
    let run = job.last_run.as_ref()?;
    (run.ending.as_ref()?.at - run.started).to_std().ok()
}

impl Name {
    fn new(text: &str) -> Self {
        let (text, open) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        Self { text: text.to_lowercase(), open }
    }

    fn is(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        if self.open { name.starts_with(&self.text) } else { name == self.text }
    }
}
