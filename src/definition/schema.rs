//! Builds the JSON Schema of `jobs.yaml`, which editors use to complete, explain and check the file.
//!
//! Fields, keywords and descriptions come from the parser's tables. The schema accepts everything that the parser
//! accepts, but can't check all it checks, such as whether a needed job exists.

use std::slice;

use serde_json::{Map, Value, json};

use super::fields::{
    ExpectField, FieldScope, FieldSpec, FieldType, ForEachField, GrowthField, HookField, InputField, KeepField,
    LimitField, NeedField, PoolField, RetryField, ScaleField, ScheduleField, SourcesField, StallField,
};
use super::{desired_state, inputs, needs, pass_env, pools, retry, schedule, stall, start_checks};
use crate::model::Interpreter;

/// The name of a pool.
const POOL_NAME: &str = r"^[^\s\[\]$]+$";

/// Returns the schema (draft 7).
pub fn schema() -> Value {
    let file = object(FieldScope::Top.fields());
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "jobs.yaml",
        "anyOf": [{"required": ["queues"]}, {"required": ["include"]}],
        // Reserved for anchors.
        "patternProperties": {"^x-": {}},
        "definitions": {
            "job": job(),
            "queue": {"anyOf": [jobs(), queue()]},
            "text": text(),
            "non_empty_text": non_empty_text(),
            "duration": duration(0),
            "placeholder": placeholder(),
            "variable": {"pattern": "^[^=]+$"},
        },
    });
    if let (Some(schema), Value::Object(file)) = (schema.as_object_mut(), file) {
        schema.extend(file);
    }
    schema
}

impl FieldType {
    fn schema(self) -> Value {
        match self {
            Self::Text => definition_ref("text"),
            Self::NonEmptyText | Self::TimeZone => definition_ref("non_empty_text"),
            Self::Name => json!({"type": ["string", "number", "boolean"], "pattern": r"^[^\s/#][^\s/]*$"}),
            Self::Boolean => or_placeholder(json!({"type": "boolean"})),
            Self::Integer => or_placeholder(integer(i64::from(i32::MIN), i64::from(i32::MAX))),
            Self::PositiveInteger => integer(1, i64::from(u32::MAX)),
            Self::PositiveIntegerOrPlaceholder => or_placeholder(integer(1, i64::from(u32::MAX))),
            Self::Pools => pool_map(&any_of([Self::PoolSize.schema(), object_with(PoolField::ALL, "size")])),
            Self::PoolSize => integer(1, i64::from(pools::MAX_POOL_SIZE)),
            Self::Uses => uses(),
            Self::Labels => any_of([pool_name(), json!({"type": "array", "items": pool_name()})]),
            Self::Mutex => pool_name(),
            Self::Count => or_placeholder(integer(0, i64::from(u32::MAX))),
            Self::BackoffFactor => or_placeholder(json!({"type": "number", "minimum": 1})),
            Self::ExitCodes => non_empty_list(&or_placeholder(integer(0, 255))),
            Self::Duration => definition_ref("duration"),
            Self::PositiveDuration => duration(1),
            Self::Timeout => any_of([duration(1), constant("none")]),
            Self::After => any_of([definition_ref("duration"), constant("none")]),
            Self::LimitCount | Self::Cpus | Self::Niceness => self.limit_schema(),
            Self::LimitSize => any_of([size(0), constant("none"), definition_ref("placeholder")]),
            Self::Limits => any_of([constant("none"), object(LimitField::ALL.iter())]),
            Self::LogLimit => or_placeholder(size(4096)),
            Self::CommandLine => non_empty_list(&definition_ref("text")),
            Self::Shell => {
                let names = Interpreter::NAMES.join("|");
                let name = json!({"type": "string", "pattern": format!(r"^(.*/)?({names}|python[0-9.]*)$")});
                let list = non_empty_list(&definition_ref("text"));
                any_of([json!({"enum": Interpreter::NAMES}), name, list, definition_ref("placeholder")])
            }
            Self::Paths => any_of([
                definition_ref("non_empty_text"),
                json!({"type": "array", "items": definition_ref("non_empty_text")}),
            ]),
            Self::PassEnv => any_of([
                one_of(pass_env::KEYWORDS.iter().copied()),
                json!({"type": "array", "items": {
                    "allOf": [definition_ref("non_empty_text"), definition_ref("variable")],
                }}),
            ]),
            Self::Tags => json!({"type": "array", "items": definition_ref("non_empty_text")}),
            Self::Arguments => json!({"type": "array", "items": definition_ref("text")}),
            Self::NamedArguments | Self::Variables => {
                let value = any_of([definition_ref("text"), json!({"type": "null"})]);
                json!({"type": "object", "propertyNames": definition_ref("variable"), "additionalProperties": value})
            }
            Self::Matrix => matrix(),
            Self::ForEach => for_each(),
            Self::FilePatterns => one_or_more(&definition_ref("non_empty_text")),
            Self::Retry => {
                let mut map = object(RetryField::ALL.iter());
                map["anyOf"] = json!([{"required": ["max"]}, {"required": ["interrupted"]}]);
                any_of([Self::Count.schema(), map])
            }
            Self::Interruptions => or_placeholder(one_of(retry::INTERRUPTED_VALUES.iter().map(|(word, _)| *word))),
            Self::RetryScale => object(ScaleField::ALL.iter()),
            Self::GrowthFactor => json!({"type": "number", "exclusiveMinimum": 1}),
            Self::GrowthMax => any_of([size(1), duration(1)]),
            Self::Growth => any_of([Self::GrowthFactor.schema(), object_with(GrowthField::ALL, "by")]),
            Self::RetryFailures => one_or_more(&any_of([
                one_of(retry::FAILURE_NAMES.iter().map(|(word, _)| *word)),
                Self::ExitCodes.schema()["items"].take(),
            ])),
            Self::Needs => {
                let mut map = object(NeedField::ALL.iter());
                map["required"] = json!(["job"]);
                let need = any_of([definition_ref("non_empty_text"), map]);
                any_of([need.clone(), json!({"type": "array", "items": need})])
            }
            Self::NeedOutcome => or_placeholder(one_of(needs::ON_OUTCOMES.iter().map(|(word, _)| *word))),
            Self::OnFailure => one_of(desired_state::ON_FAILURE_VALUES.iter().map(|(word, _)| *word)),
            Self::OnFinish => hook(HookField::ALL.iter()),
            Self::EventHook => hook(HookField::ALL.iter().filter(|field| field.name != "on")),
            Self::Expect => expect(),
            Self::ExpectedTimes => one_or_more(&json!({"type": "string", "pattern": r"[:\s@]"})),
            Self::Stall => any_of([duration(1), constant("none"), object_with(StallField::ALL, "after")]),
            Self::Condition | Self::Patterns | Self::Snapshot | Self::Sources | Self::SourceComparison => {
                self.start_check_schema()
            }
            Self::StallAction => or_placeholder(one_of(stall::THEN_VALUES.iter().map(|(word, _)| *word))),
            Self::InputDefault => json!({"type": ["string", "number", "boolean", "null"]}),
            Self::InputTypeName => one_of(inputs::TYPES.iter().map(|(word, _)| *word)),
            Self::Inputs => input_map(),
            Self::Schedule => any_of([Self::Expressions.schema(), object_with(ScheduleField::ALL, "cron")]),
            Self::Expressions => one_or_more(&json!({"type": "string", "pattern": r"\S"})),
            Self::MissedPolicy => or_placeholder(one_of(schedule::MISSED_VALUES.iter().map(|(word, _)| *word))),
            Self::OverlapPolicy => or_placeholder(one_of(schedule::OVERLAP_VALUES.iter().map(|(word, _)| *word))),
            Self::Keep => any_of([constant("all"), object(KeepField::ALL.iter())]),
            Self::RunsKept => any_of([integer(1, i64::from(u32::MAX)), constant("all")]),
            Self::AgeKept => any_of([duration(1), constant("all")]),
            Self::SizeKept => any_of([size(1), constant("all")]),
            Self::Jobs => jobs(),
            Self::Defaults => object(FieldScope::Defaults.fields()),
            Self::Queues => json!({"type": "object", "additionalProperties": definition_ref("queue")}),
        }
    }
}

impl FieldType {
    /// The schema of a limit that is a number.
    fn limit_schema(self) -> Value {
        let number = match self {
            Self::Cpus => json!({"type": "number", "minimum": 0.01}),
            Self::Niceness => integer(-20, 19),
            _ => integer(1, i64::from(u32::MAX)),
        };
        any_of([number, constant("none"), definition_ref("placeholder")])
    }

    /// The schema of what decides whether a job runs.
    fn start_check_schema(self) -> Value {
        let patterns = one_or_more(&definition_ref("non_empty_text"));
        match self {
            Self::Condition => any_of([definition_ref("non_empty_text"), Self::CommandLine.schema()]),
            Self::SourceComparison => or_placeholder(one_of(start_checks::ON_VALUES.iter().map(|(word, _)| *word))),
            Self::Sources => any_of([patterns, object_with(SourcesField::ALL, "paths")]),
            Self::Snapshot => or_placeholder(one_of(start_checks::SNAPSHOT_VALUES.iter().map(|(word, _)| *word))),
            _ => patterns,
        }
    }
}

fn queue() -> Value {
    let mut map = object(FieldScope::Queue.fields());
    map["patternProperties"] = json!({"^x-": {}});
    map
}

fn pool_name() -> Value {
    any_of([json!({"type": ["string", "number", "boolean"], "pattern": POOL_NAME}), definition_ref("placeholder")])
}

/// A map from the names of pools to such values.
fn expect() -> Value {
    let mut map = object(ExpectField::ALL.iter());
    let by = json!({"required": ["by"], "not": {"required": ["within"]}});
    map["oneOf"] = json!([by, {"required": ["within"], "not": {"required": ["timezone"]}}]);
    any_of([FieldType::ExpectedTimes.schema(), map])
}

fn input_map() -> Value {
    let options = json!({"type": "array", "items": definition_ref("non_empty_text"), "minItems": 1});
    let input = any_of([FieldType::InputDefault.schema(), options, object(InputField::ALL.iter())]);
    any_of([constant("none"), json!({"type": "object", "additionalProperties": input})])
}

fn uses() -> Value {
    let map = pool_map(&or_placeholder(integer(1, i64::from(pools::MAX_POOL_SIZE))));
    any_of([pool_name(), json!({"type": "array", "items": pool_name()}), map])
}

fn pool_map(value: &Value) -> Value {
    json!({"type": "object", "propertyNames": {"pattern": POOL_NAME}, "additionalProperties": value})
}

/// A map of these fields and no others.
fn object(fields: impl Iterator<Item = &'static FieldSpec>) -> Value {
    let properties: Map<String, Value> = fields
        .map(|field| {
            let mut schema = field.field_type.schema();
            // Draft 7 ignores keywords beside a `$ref`.
            if schema.get("$ref").is_some() {
                schema = json!({"allOf": [schema]});
            }
            schema["description"] = field.description.into();
            (field.name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// A script, a command, or a map with these fields.
/// A map that must have one of its fields.
fn object_with(fields: &'static [FieldSpec], required: &str) -> Value {
    let mut map = object(fields.iter());
    map["required"] = json!([required]);
    map
}

fn hook(fields: impl Iterator<Item = &'static FieldSpec>) -> Value {
    let mut map = object(fields);
    map["oneOf"] = json!([{"required": ["run"]}, {"required": ["command"]}]);
    any_of([definition_ref("non_empty_text"), non_empty_list(&definition_ref("text")), map])
}

fn matrix() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"pattern": "^SETLIST_"}},
        "additionalProperties": non_empty_list(&definition_ref("text")),
    })
}

/// The items of `for_each`: a list, a range, or a map that says where they are.
fn for_each() -> Value {
    let values =
        json!({"type": "object", "minProperties": 1, "additionalProperties": definition_ref("non_empty_text")});
    let items = json!({"type": "array", "items": any_of([definition_ref("non_empty_text"), values])});
    let range = json!({"type": "string", "pattern": r"^\s*-?[0-9]+\s*\.\.\s*-?[0-9]+\s*$"});
    let mut source = object(ForEachField::ALL.iter());
    source["oneOf"] =
        json!([{"required": ["glob"]}, {"required": ["lines"]}, {"required": ["value"]}, {"required": ["watch"]}]);
    source["dependencies"] = json!({"settle": ["watch"]});
    any_of([items, range, source])
}

fn job() -> Value {
    let mut fields = object(FieldScope::Job.fields());
    fields["oneOf"] = json!([{"required": ["run"]}, {"required": ["command"], "not": {"required": ["shell"]}}]);
    any_of([definition_ref("non_empty_text"), fields])
}

fn jobs() -> Value {
    json!({"type": "array", "items": definition_ref("job")})
}

/// A reference to a shared definition.
fn definition_ref(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn any_of<const N: usize>(of: [Value; N]) -> Value {
    json!({"anyOf": Vec::from(of)})
}

/// Numbers and booleans are accepted as text.
fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn non_empty_text() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": r"\S"})
}

/// A string with a placeholder of a matrix or an item.
fn placeholder() -> Value {
    json!({"type": "string", "pattern": r"\$\{(matrix\.|item|index)"})
}

fn or_placeholder(schema: Value) -> Value {
    any_of([schema, definition_ref("placeholder")])
}

fn integer(from: i64, to: i64) -> Value {
    json!({"type": "integer", "minimum": from, "maximum": to})
}

/// Seconds, or text. The pattern only checks the first character, to keep it readable.
fn duration(least: u64) -> Value {
    any_of([
        json!({"type": "integer", "minimum": least}),
        json!({"type": "string", "pattern": r"^\s*[0-9]"}),
        definition_ref("placeholder"),
    ])
}

fn size(least: u64) -> Value {
    any_of([json!({"type": "integer", "minimum": least}), json!({"type": "string", "pattern": r"^\s*[0-9.]"})])
}

fn non_empty_list(items: &Value) -> Value {
    json!({"type": "array", "minItems": 1, "items": items})
}

fn one_or_more(item: &Value) -> Value {
    any_of([item.clone(), non_empty_list(item)])
}

fn constant(word: &'static str) -> Value {
    one_of(slice::from_ref(&word).iter().copied())
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Value {
    json!({"enum": words.collect::<Vec<_>>()})
}
