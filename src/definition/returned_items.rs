//! The items of a JSON list that a job has returned: `for_each: {value: JOB}`.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::item_data::{ItemContent, ItemData, map_key, name_form};
use super::item_placeholders::is_part_name;
use super::item_sources::{MAX_ITEMS, is_ambiguous};
use super::spanned_value::ScalarType;
use super::spelling::quoted;
use crate::model::{MAX_VALUE_BYTES, Value};
use crate::text::{count, count_noun};

/// Checks that a value is a list of items. Returns how many there are, or what is wrong with it.
pub fn check_item_list(value: Option<&Value>) -> Result<usize, String> {
    read_list(value).map(|items| items.len())
}

/// The items of a value. A text that is a JSON list is one, too: the last line of an output is a text.
pub(super) fn read_list(value: Option<&Value>) -> Result<Vec<ItemData>, String> {
    let parsed;
    let list = match value {
        Some(Value::Array(list)) => list,
        Some(Value::String(text)) => {
            parsed = serde_json::from_str(text).map_err(|_| not_a_list(text))?;
            match &parsed {
                Value::Array(list) => list,
                Value::Object(_) => return Err(another_kind(&parsed)),
                _ => return Err(not_a_list(text)),
            }
        }
        Some(other) => return Err(another_kind(other)),
        None => return Err("is missing: write a JSON list to the file `$SETLIST_VALUE`".to_owned()),
    };
    if list.len() > MAX_ITEMS {
        let (items, most) = (count_noun(list.len(), "item"), count(MAX_ITEMS));
        return Err(format!("has {items}, and at most {most} are allowed: let each job do several of them"));
    }
    let mut numbers: HashMap<String, usize, RandomState> = HashMap::default();
    numbers.reserve(list.len());
    let mut items = Vec::with_capacity(list.len());
    for (number, value) in (1..).zip(list) {
        let item = read_item(value).map_err(|problem| format!("can't be used: item {number} {problem}"))?;
        if let Some(first) = numbers.insert(item.key.clone(), number) {
            let label = quoted(&item.label());
            return Err(format!("can't be used: item {number} is item {first} again: {label}{}", identity_hint(&item)));
        }
        items.push(item);
    }
    Ok(items)
}

fn another_kind(value: &Value) -> String {
    format!("is {}, not a JSON list", kind_of(value))
}

/// What a text is instead of a JSON list.
fn not_a_list(text: &str) -> String {
    // Without its line end.
    if text.len() + 2 >= MAX_VALUE_BYTES {
        return "is larger than 1 MiB and was cut: return a shorter list, such as one of file names".to_owned();
    }
    if text.trim_start().starts_with('[') {
        return "starts like a JSON list, but isn't a complete one: write it to the file `$SETLIST_VALUE` (at most 1 MiB)"
            .to_owned();
    }
    let start: String = text.chars().take(40).collect();
    let rest = if start.len() < text.len() { "…" } else { "" };
    format!("is the text {}{rest}, not a JSON list: write one to the file `$SETLIST_VALUE`", quoted(&start))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn identity_hint(item: &ItemData) -> &'static str {
    match item.content {
        ItemContent::Scalar(..) => "",
        ItemContent::Map(_) => " (a map is identified by its `id`, `key` or `name`, or else by all of its values)",
    }
}

/// Reads an item. Of a map, null is left out, and so is a key that no placeholder could name; lists and maps in it are
/// JSON texts.
fn read_item(value: &Value) -> Result<ItemData, String> {
    if let Value::Object(entries) = value {
        let mut values = Vec::with_capacity(entries.len());
        for (name, value) in entries.iter().filter(|(name, value)| !value.is_null() && is_part_name(name)) {
            let (scalar_type, text) = match value {
                Value::Array(_) | Value::Object(_) => (ScalarType::Text, value.to_string()),
                _ => read_scalar(value).map_err(|problem| format!("has a {}, which {problem}", quoted(name)))?,
            };
            values.push((Arc::from(&**name), scalar_type, Arc::from(text)));
        }
        if values.is_empty() {
            return Err("is a map without values".to_owned());
        }
        // A store may change the order of the keys.
        values.sort_by(|(a, ..): &(Arc<str>, _, _), (b, ..)| a.cmp(b));
        return Ok(ItemData::new(map_key(&values), ItemContent::Map(values)));
    }
    let (scalar_type, text) = read_scalar(value)?;
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(ItemData::new(name_form(&text), ItemContent::Scalar(scalar_type, text.into())))
}

fn read_scalar(value: &Value) -> Result<(ScalarType, String), String> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err("contains a NUL character, which can't be passed to a program".to_owned())
        }
        Value::String(text) if is_ambiguous(text) => Err("contains a placeholder for a value".to_owned()),
        Value::String(text) => Ok((ScalarType::Text, text.clone())),
        Value::Bool(_) => Ok((ScalarType::Bool, value.to_string())),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok((ScalarType::Integer, value.to_string())),
        Value::Number(_) => Ok((ScalarType::Decimal, value.to_string())),
        other => Err(format!("is {}, not text, a number, a boolean or a map of them", kind_of(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(value: &Value) -> Result<Vec<String>, String> {
        read_list(Some(value)).map(|items| items.into_iter().map(|item| item.key).collect())
    }

    #[test]
    fn lists_of_texts_numbers_and_maps_are_items() {
        assert_eq!(keys(&json!(["a b", 7, 1.5, true])).unwrap(), ["a%20b", "7", "1.5", "true"]);
        assert_eq!(keys(&json!([{"n": 2, "id": "x"}, {"b": [1], "a": null, "c": 3}])).unwrap(), ["x", "%5B1%5D,3"]);
        assert_eq!(keys(&json!("[\"last\", \"line\"]")).unwrap(), ["last", "line"]);
        assert_eq!(check_item_list(Some(&json!([]))), Ok(0));
        // The order of the keys means nothing.
        assert_eq!(keys(&json!([{"n": 2, "m": 1}])), keys(&json!([{"m": 1, "n": 2}])));
    }

    #[test]
    fn errors_name_the_item_and_the_reason() {
        let error = |value: Value| read_list(Some(&value)).err().unwrap();
        assert!(error(json!("done")).starts_with("is the text `done`, not a JSON list"));
        assert!(error(json!("[1, 2")).contains("isn't a complete one"));
        assert_eq!(error(json!({"a": 1})), "is a map, not a JSON list");
        assert_eq!(error(json!("{}")), "is a map, not a JSON list");
        assert!(
            error(json!(format!("[{}", "1,".repeat(MAX_VALUE_BYTES / 2)))).contains("larger than 1 MiB and was cut")
        );
        assert_eq!(error(json!(["a", ""])), "can't be used: item 2 is empty");
        assert_eq!(error(json!(["a", "b", "a"])), "can't be used: item 3 is item 1 again: `a`");
        assert!(error(json!([{"id": 1, "n": 1}, {"id": 1, "n": 2}])).contains("identified by its `id`"));
        assert_eq!(
            error(json!([["x"]])),
            "can't be used: item 1 is a list, not text, a number, a boolean or a map of them"
        );
        assert!(error(json!(["${needs.a.value}"])).contains("placeholder"));
        assert!(error((0..=MAX_ITEMS).collect()).contains("at most 100,000 are allowed"));
        assert!(read_list(None).err().unwrap().starts_with("is missing"));
    }
}
