//! The JSON Schema accepts every file that the parser accepts, and rejects what it can check.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use setlist::definition;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft7::new(&definition::schema()).unwrap());

/// The file as JSON, or `None` if it is invalid or loses information as JSON.
fn to_json(yaml: &str) -> Option<Value> {
    let mut file: serde_yaml::Value = serde_yaml::from_str(yaml).ok()?;
    file.apply_merge().ok()?;
    serde_json::to_value(file).ok()
}

/// Checks that the schema accepts a file that the parser accepts.
#[track_caller]
pub(crate) fn assert_schema_accepts(yaml: &str) {
    let Some(file) = to_json(yaml) else { return };
    let errors: Vec<String> =
        SCHEMA.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in\n{yaml}");
}

#[test]
fn the_schema_accepts_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let topics = ["jobs.yaml", "config"].map(|topic| read(&format!("src/cli/help/{topic}.md")));
    let documents = read("README.md") + &topics.concat();
    let examples: Vec<&str> =
        documents.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    let files =
        fs::read_dir(root.join("examples")).unwrap().filter_map(|file| fs::read_to_string(file.unwrap().path()).ok());
    let files: Vec<String> = files.collect();
    let own = [&read("jobs.yaml"), definition::STARTER, definition::BARE];
    for yaml in own.into_iter().chain(files.iter().map(String::as_str)).chain(examples) {
        // The example of the schema line isn't a whole file, and `config.yaml` has another schema.
        if yaml.lines().all(|line| line.starts_with('#')) || yaml.starts_with("theme:") {
            continue;
        }
        assert!(to_json(yaml).is_some(), "{yaml}");
        assert_schema_accepts(yaml);
    }
}

/// Invalid files that a schema can't reject.
const NOT_REJECTED: [&str; 32] = [
    "a_pool_that_is_too_small",
    "cycle_across_queues",
    "cycle_of_a_matrix",
    "cycle_of_many",
    "cycle_of_two",
    "duplicate_id",
    "duplicate_needs",
    "expectations_that_cannot_be_kept",
    "inherited_values",
    "item_in_a_block",
    "keys_of_pools",
    "names_of_queues",
    "need_of_one_letter",
    "needed_queues",
    "needs_itself",
    "needs_of_a_matrix",
    "nul",
    "pattern_with_an_open_bracket",
    "placeholders",
    "placeholders_with_other_names",
    "placeholders_without_a_matrix",
    "pools_of_a_matrix",
    "schedules_with_inputs",
    "secret_key_of_a_pool",
    "two_cycles",
    "types_as_defaults",
    "unknown_placeholders",
    "values_of_no_single_job",
    "wrong_items_in_fields",
    "wrong_needs_of_items",
    "wrong_placeholders_of_inputs",
    "wrong_values",
];

#[test]
fn the_schema_rejects_invalid_files() {
    assert!(jsonschema::meta::is_valid(&definition::schema()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/definition");
    let mut taken = Vec::new();
    let mut rejected = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".snap") else { continue };
        let text = fs::read_to_string(&path).unwrap();
        let head: Value = serde_yaml::from_str(text.split("---\n").nth(1).unwrap()).unwrap();
        let Some(file) = to_json(head["description"].as_str().unwrap()) else { continue };
        if SCHEMA.is_valid(&file) {
            taken.push(name.to_owned());
        } else {
            rejected += 1;
        }
    }
    taken.sort();
    assert_eq!(taken, NOT_REJECTED);
    assert!(rejected > 50, "only {rejected}");
}

#[test]
fn every_field_has_a_description() {
    fn check(schema: &Value, fields: &mut usize) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, field) in properties.into_iter().flatten() {
            assert!(field["description"].as_str().is_some_and(|about| about.ends_with('.')), "{name}: {field}");
            *fields += 1;
        }
        match schema {
            Value::Array(items) => items.iter().for_each(|item| check(item, fields)),
            Value::Object(map) => map.values().for_each(|value| check(value, fields)),
            _ => {}
        }
    }
    let mut fields = 0;
    check(&definition::schema(), &mut fields);
    assert!(fields > 60, "only {fields}");
}
