//! An item of `for_each`: its content, and its key, which is part of the name of its job.

use std::fmt::Write;
use std::sync::Arc;

use super::spanned_value::ScalarType;
use crate::stable_hash;
use crate::text;

/// The longest key. A longer one is cut, and ends with a hash of all of it.
const MAX_KEY_CHARS: usize = 120;

/// The keys of a map that identify it, most telling first.
const IDENTIFYING_KEYS: [&str; 3] = ["id", "key", "name"];

/// An item.
pub(super) struct ItemData {
    /// Its form in names.
    pub(super) key: String,
    pub(super) content: ItemContent,
    /// The version of a file that has arrived.
    pub(super) version: Option<Arc<str>>,
}

/// An item of a source.
pub(super) struct SourceItem {
    pub(super) text: String,
    pub(super) key: String,
    /// The version of a file that has arrived.
    pub(super) version: Option<Arc<str>>,
}

impl SourceItem {
    /// An item with this key.
    pub(super) fn new(text: &str, key: &str) -> Self {
        Self { text: text.to_owned(), key: key.to_owned(), version: None }
    }
}

/// What an item is.
pub(super) enum ItemContent {
    Scalar(ScalarType, Arc<str>),
    Map(Vec<(Arc<str>, ScalarType, Arc<str>)>),
}

impl ItemData {
    /// An item with this key.
    pub(super) fn new(key: String, content: ItemContent) -> Self {
        Self { key, content, version: None }
    }

    /// An item from elsewhere.
    pub(super) fn of_source(item: &SourceItem) -> Self {
        let content = ItemContent::Scalar(ScalarType::Text, item.text.as_str().into());
        Self { version: item.version.clone(), ..Self::new(name_form(&item.key), content) }
    }

    /// Its text, or the values of its map.
    pub(super) fn label(&self) -> String {
        match &self.content {
            ItemContent::Scalar(_, text) => text.to_string(),
            ItemContent::Map(values) => {
                let values: Vec<&str> = values.iter().map(|(.., text)| &**text).collect();
                values.join(", ")
            }
        }
    }
}

/// The key of a map.
pub(super) fn map_key(values: &[(Arc<str>, ScalarType, Arc<str>)]) -> String {
    let find = |name: &&str| values.iter().find(|(known, ..)| **known == **name);
    if let Some((.., text)) = IDENTIFYING_KEYS.iter().find_map(find) {
        return name_form(text);
    }
    let forms: Vec<String> = values.iter().map(|(.., text)| name_form(text).replace(',', "%2C")).collect();
    shorten(forms.join(","))
}

/// The form of a text in names: characters that names can't have are escaped as in URLs, so that different texts stay
/// different.
pub(super) fn name_form(text: &str) -> String {
    let is_plain = |c: char| {
        !(c.is_whitespace() || c.is_control() || matches!(c, '/' | '%' | '[' | ']') || text::cells(c).is_none())
    };
    if text.chars().all(is_plain) {
        return shorten(text.to_owned());
    }
    let mut form = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_plain(c) {
            form.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(form, "%{byte:02X}");
            }
        }
    }
    shorten(form)
}

fn shorten(form: String) -> String {
    if form.len() <= MAX_KEY_CHARS {
        return form;
    }
    let Some((end, _)) = form.char_indices().nth(MAX_KEY_CHARS) else { return form };
    let hash = stable_hash::stable_hash(form.bytes());
    format!("{}~{hash:016x}", &form[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_texts_have_different_names() {
        assert_eq!(name_form("clip-7.mp4"), "clip-7.mp4");
        assert_eq!(name_form("a b/ü\t%[x]"), "a%20b%2Fü%09%25%5Bx%5D");
        assert_eq!(name_form("zero\u{200b}width"), "zero%E2%80%8Bwidth");
        let long = name_form(&"a".repeat(500));
        assert_eq!(long.len(), MAX_KEY_CHARS + 17);
        assert_ne!(long, name_form(&"a".repeat(501)));
    }
}
