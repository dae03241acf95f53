//! The schema for editors: it takes every file that the parser takes, and refuses what it can judge.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use setlist::definition;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft7::new(&definition::schema()).unwrap());

/// A file as an editor sees it; none where it can't be read, or not without loss.
fn seen(yaml: &str) -> Option<Value> {
    let mut file: serde_yaml::Value = serde_yaml::from_str(yaml).ok()?;
    file.apply_merge().ok()?;
    serde_json::to_value(file).ok()
}

/// The parser has taken this file.
#[track_caller]
pub(crate) fn takes(yaml: &str) {
    let Some(file) = seen(yaml) else { return };
    let errors: Vec<String> =
        SCHEMA.iter_errors(&file).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in\n{yaml}");
}

#[test]
fn the_examples_are_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let readme = read("README.md");
    let examples: Vec<&str> = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for yaml in [&read("jobs.yaml"), definition::STARTER].into_iter().chain(examples) {
        // The line for editors alone is no file, and the screen's config.yaml is another one.
        if yaml.lines().all(|line| line.starts_with('#')) || yaml.starts_with("theme:") {
            continue;
        }
        assert!(seen(yaml).is_some(), "{yaml}");
        takes(yaml);
    }
}

/// Files that are wrong in a way that takes more than a schema to see.
const BEYOND: [&str; 12] = [
    "blanks",
    "blanks_without_a_matrix",
    "circle_of_a_matrix",
    "circle_of_many",
    "circle_of_two",
    "circle_over_queues",
    "duplicate_id",
    "needs_itself",
    "needs_of_a_matrix",
    "needs_twice",
    "nul",
    "two_circles",
];

#[test]
fn bad_files_are_refused() {
    assert!(jsonschema::meta::is_valid(&definition::schema()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/definition");
    let mut taken = Vec::new();
    let mut refused = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".snap") else { continue };
        let text = fs::read_to_string(&path).unwrap();
        let head: Value = serde_yaml::from_str(text.split("---\n").nth(1).unwrap()).unwrap();
        let Some(file) = seen(head["description"].as_str().unwrap()) else { continue };
        if SCHEMA.is_valid(&file) {
            taken.push(name.to_owned());
        } else {
            refused += 1;
        }
    }
    taken.sort();
    assert_eq!(taken, BEYOND);
    assert!(refused > 50, "only {refused}");
}

#[test]
fn every_field_is_described() {
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
