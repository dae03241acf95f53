//! Names the jobs of a queue: by their `id`, or generated from the title or the first words of the script.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;

use unicode_width::UnicodeWidthChar;

use super::matrix_placeholders;
use super::spanned_value::{Node, NodeKind};
use crate::text;

/// The maximum length of a generated name. It ends before the word that exceeds it.
const MAX_SLUG_CHARS: usize = 48;

/// The number of words of a script in a generated name.
const MAX_SCRIPT_WORDS: usize = 3;

/// The names used in one queue. Explicit ids are reserved before names are generated.
#[derive(Default)]
pub(super) struct JobNames {
    /// The names, with the id of the node for an explicit one.
    taken: HashMap<Arc<str>, Option<u32>, RandomState>,
    /// The next number to append to a generated name.
    next: HashMap<String, u32, RandomState>,
}

impl JobNames {
    /// Allocates for about this many jobs.
    pub(super) fn for_jobs(count: usize) -> Self {
        let taken = HashMap::with_capacity_and_hasher(count, RandomState::default());
        Self { taken, next: HashMap::default() }
    }

    /// Reserves the explicit name in the node `id`. Returns the node that had it before.
    pub(super) fn reserve(&mut self, name: &str, id: u32) -> Option<u32> {
        self.taken.insert(name.into(), Some(id)).flatten()
    }

    /// Names an entry: by its `id`, or from its title, or from the first line of its script. Returns `None` if it has
    /// none of them.
    pub(super) fn name_entry(&mut self, entry: &Node<'_>) -> Option<Arc<str>> {
        if let Some((name, _)) = explicit_id(entry) {
            return Some(self.taken.get_key_value(name).map_or_else(|| name.into(), |(name, _)| Arc::clone(name)));
        }
        let title = entry.get("title").and_then(Node::text).map(matrix_placeholders::strip);
        if let Some(title) = title.filter(|title| !title.trim().is_empty()) {
            let base = slug_of(&title);
            if !base.is_empty() {
                return Some(self.reserve_unique(&non_numeric(base)));
            }
        }
        let script = match (entry.text(), entry.get("run"), entry.get("command")) {
            (Some(text), ..) => Cow::Borrowed(text),
            (None, Some(run), _) => Cow::Borrowed(run.text()?),
            (None, None, Some(Node { kind: NodeKind::List(words), .. })) => {
                let words: Vec<Cow<'_, str>> =
                    words.iter().filter_map(|word| Some(matrix_placeholders::strip(word.text()?))).collect();
                Cow::Owned(words.join(" "))
            }
            (None, None, Some(command)) => Cow::Borrowed(command.text()?),
            (None, None, None) => return None,
        };
        Some(self.reserve_unique(&non_numeric(slug(first_words(&script)))))
    }

    /// Reserves a generated name, with `-2` and so on appended if it is in use.
    pub(super) fn reserve_unique(&mut self, base: &str) -> Arc<str> {
        let mut next = self.next.get(base).copied().unwrap_or(1);
        loop {
            let name: Arc<str> = if next == 1 { base.into() } else { format!("{base}-{next}").into() };
            next += 1;
            if let Entry::Vacant(free) = self.taken.entry(Arc::clone(&name)) {
                free.insert(None);
                self.next.insert(base.to_owned(), next);
                return name;
            }
        }
    }
}

/// Returns the valid explicit id of an entry and its node's id.
pub(super) fn explicit_id<'n>(entry: &'n Node<'_>) -> Option<(&'n str, u32)> {
    let id = entry.get("id")?;
    let name = id.text().filter(|name| invalid_id_reason(name).is_none())?;
    Some((name, id.id))
}

/// Makes sure that a generated name is neither empty nor a number.
fn non_numeric(base: String) -> String {
    match base.bytes().all(|byte| byte.is_ascii_digit()) {
        true if base.is_empty() => "job".to_owned(),
        true => format!("job-{base}"),
        false => base,
    }
}

/// Returns why a name is invalid. `queue/name`, `#7` and `7` must be distinguishable on a command line.
pub(super) fn invalid_id_reason(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("an id must not be empty")
    } else if name.contains('/') {
        Some("an id must not contain `/`, which separates queue and job")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("an id must not contain spaces or control characters")
    } else if name.chars().any(|c| text::cells(c).is_none()) {
        Some("an id must not contain invisible characters")
    } else if name.starts_with('-') {
        Some("an id must not start with `-`, like an option")
    } else if name.starts_with('#') || name.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("an id must not look like a job number")
    } else {
        None
    }
}

/// Returns the words that describe a script: those before the first option or operator of its first line of code.
fn first_words(script: &str) -> impl Iterator<Item = &str> {
    let line = script.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.unwrap_or_default()
        .split_whitespace()
        .take_while(|word| !word.starts_with(['-', '|', '&', ';', '>', '<']))
        .take(MAX_SCRIPT_WORDS)
}

/// Converts text to its form in a name. Empty if no character is allowed there.
pub(super) fn slug_of(text: &str) -> String {
    slug(text.split_whitespace())
}

/// Joins lower-case words with `-`. Keeps letters and digits of all scripts and drops apostrophes.
fn slug<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut slug = String::new();
    let mut length = 0;
    for word in words {
        let lower = word.to_lowercase().replace(['\'', '’'], "");
        for part in lower.split(|c| !is_slug_char(c)).filter(|part| !part.is_empty()) {
            length += part.chars().count() + 1;
            if length > MAX_SLUG_CHARS && !slug.is_empty() {
                return slug;
            }
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.extend(part.chars().take(MAX_SLUG_CHARS));
        }
    }
    slug
}

/// Letters, digits, `_` and combining marks.
fn is_slug_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || (!c.is_ascii() && c.width() == Some(0))
}
