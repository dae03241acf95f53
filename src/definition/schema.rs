//! The JSON Schema of `jobs.yaml`, by which editors complete, explain and check it as it is typed.
//!
//! Its fields, words and descriptions are those of the parser's own tables. It says less than the parser does: a schema
//! can't tell whether a need exists. It never refuses what the parser takes.

use std::slice;

use serde_json::{Map, Value, json};

use super::field::{Described, OfHook, OfKeep, OfNeed, OfRetry, Place};
use super::{needs, plan, retry};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    After,
    AgeKept,
    Arguments,
    AtLeastAMilli,
    AtLeastOne,
    AtLeastOneOrBlank,
    Codes,
    Count,
    Defaults,
    Duration,
    Factor,
    Failures,
    Filled,
    Flag,
    Jobs,
    Keep,
    LogLimit,
    Matrix,
    Name,
    NamedArguments,
    NeedOn,
    Needs,
    OnFailure,
    OnFinish,
    Paths,
    Queues,
    Retry,
    RunsKept,
    Shell,
    SizeKept,
    Tags,
    Text,
    Timeout,
    Variables,
    Whole,
    Words,
}

/// Shells and interpreters that are known by name.
const SHELLS: [&str; 7] = ["sh", "bash", "zsh", "python3", "node", "perl", "ruby"];

/// The schema, as editors understand it (draft 7).
pub fn schema() -> Value {
    let file = map(Place::Top.fields());
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "jobs.yaml",
        "required": ["queues"],
        // A place for anchors that is no queue.
        "patternProperties": {"^x-": {}},
        "definitions": {
            "job": job(),
            "queue": {"anyOf": [jobs(), map(Place::Queue.fields())]},
            "text": text(),
            "filled": filled(),
            "duration": duration(0),
            "blank": blank(),
            "variable": {"pattern": "^[^=]+$"},
        },
    });
    if let (Some(schema), Value::Object(file)) = (schema.as_object_mut(), file) {
        schema.extend(file);
    }
    schema
}

impl Shape {
    fn schema(self) -> Value {
        match self {
            Self::Text => a("text"),
            Self::Filled => a("filled"),
            Self::Name => json!({"type": ["string", "number", "boolean"], "pattern": r"^[^\s/#][^\s/]*$"}),
            Self::Flag => or_blank(json!({"type": "boolean"})),
            Self::Whole => or_blank(whole(i64::from(i32::MIN), i64::from(i32::MAX))),
            Self::AtLeastOne => whole(1, i64::from(u32::MAX)),
            Self::AtLeastOneOrBlank => or_blank(whole(1, i64::from(u32::MAX))),
            Self::Count => or_blank(whole(0, i64::from(u32::MAX))),
            Self::Factor => or_blank(json!({"type": "number", "minimum": 1})),
            Self::Codes => list(&or_blank(whole(0, 255))),
            Self::Duration => a("duration"),
            Self::AtLeastAMilli => duration(1),
            Self::Timeout => any([duration(1), word("none")]),
            Self::After => any([a("duration"), word("none")]),
            Self::LogLimit => or_blank(size(4096)),
            Self::Words => list(&a("text")),
            Self::Shell => {
                let name = json!({"type": ["string", "number", "boolean"], "pattern": r"^\S+$"});
                any([json!({"enum": SHELLS}), name, list(&a("text"))])
            }
            Self::Paths => any([a("filled"), json!({"type": "array", "items": a("filled")})]),
            Self::Tags => json!({"type": "array", "items": a("filled")}),
            Self::Arguments => json!({"type": "array", "items": a("text")}),
            Self::NamedArguments | Self::Variables => {
                let value = any([a("text"), json!({"type": "null"})]);
                json!({"type": "object", "propertyNames": a("variable"), "additionalProperties": value})
            }
            Self::Matrix => json!({
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"pattern": "^SETLIST_"}},
                "additionalProperties": list(&a("text")),
            }),
            Self::Retry => {
                let mut map = map(OfRetry::ALL.iter());
                map["required"] = json!(["max"]);
                any([Self::Count.schema(), map])
            }
            Self::Failures => one_or_more(&any([
                words(retry::FAILURES.iter().map(|(word, _)| *word)),
                Self::Codes.schema()["items"].take(),
            ])),
            Self::Needs => {
                let mut map = map(OfNeed::ALL.iter());
                map["required"] = json!(["job"]);
                let need = any([a("filled"), map]);
                any([need.clone(), json!({"type": "array", "items": need})])
            }
            Self::NeedOn => or_blank(words(needs::ON.iter().map(|(word, _)| *word))),
            Self::OnFailure => words(plan::ON_FAILURE.iter().map(|(word, _)| *word)),
            Self::OnFinish => {
                let mut map = map(OfHook::ALL.iter());
                map["oneOf"] = json!([{"required": ["run"]}, {"required": ["command"]}]);
                any([a("filled"), list(&a("text")), map])
            }
            Self::Keep => any([word("all"), map(OfKeep::ALL.iter())]),
            Self::RunsKept => any([whole(1, i64::from(u32::MAX)), word("all")]),
            Self::AgeKept => any([duration(1), word("all")]),
            Self::SizeKept => any([size(1), word("all")]),
            Self::Jobs => jobs(),
            Self::Defaults => map(Place::Defaults.fields()),
            Self::Queues => json!({"type": "object", "additionalProperties": a("queue")}),
        }
    }
}

/// A map of these fields and no others.
fn map(fields: impl Iterator<Item = &'static Described>) -> Value {
    let properties: Map<String, Value> = fields
        .map(|field| {
            let mut schema = field.shape.schema();
            // Beside a reference, nothing else would be read.
            if schema.get("$ref").is_some() {
                schema = json!({"allOf": [schema]});
            }
            schema["description"] = field.about.into();
            (field.name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn job() -> Value {
    let mut fields = map(Place::Job.fields());
    fields["oneOf"] = json!([{"required": ["run"]}, {"required": ["command"], "not": {"required": ["shell"]}}]);
    any([a("filled"), fields])
}

fn jobs() -> Value {
    json!({"type": "array", "items": a("job")})
}

/// What is defined once for the whole file.
fn a(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn any<const N: usize>(of: [Value; N]) -> Value {
    json!({"anyOf": Vec::from(of)})
}

/// Numbers and bools are text as they are spelled.
fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn filled() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": r"\S"})
}

/// Where the value of a matrix may stand.
fn blank() -> Value {
    json!({"type": "string", "pattern": r"\$\{matrix\."})
}

fn or_blank(schema: Value) -> Value {
    any([schema, a("blank")])
}

fn whole(from: i64, to: i64) -> Value {
    json!({"type": "integer", "minimum": from, "maximum": to})
}

/// A number of seconds, or text: more than how it begins can't be told in a pattern that people could read.
fn duration(least: u64) -> Value {
    any([json!({"type": "integer", "minimum": least}), json!({"type": "string", "pattern": r"^\s*[0-9]"}), a("blank")])
}

fn size(least: u64) -> Value {
    any([json!({"type": "integer", "minimum": least}), json!({"type": "string", "pattern": r"^\s*[0-9.]"})])
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "minItems": 1, "items": items})
}

fn one_or_more(item: &Value) -> Value {
    any([item.clone(), list(item)])
}

fn word(word: &'static str) -> Value {
    words(slice::from_ref(&word).iter().copied())
}

fn words(words: impl Iterator<Item = &'static str>) -> Value {
    json!({"enum": words.collect::<Vec<_>>()})
}
