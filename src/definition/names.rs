//! The names of a queue's jobs: as written, or made from the title or the script's first words.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;

use unicode_width::UnicodeWidthChar;

use super::blanks;
use super::tree::{Kind, Node};

/// Names made from titles and scripts end at the word that goes beyond this many characters.
const LONGEST: usize = 48;

/// How many words of a script make a name.
const SCRIPT_WORDS: usize = 3;

/// The names taken in one queue. Names as written come first, whatever the order of the jobs.
#[derive(Default)]
pub(super) struct Names {
    /// With the number of the value that says so, if one does.
    taken: HashMap<Arc<str>, Option<u32>, RandomState>,
    /// The number that a made name tries next.
    next: HashMap<String, u32, RandomState>,
}

impl Names {
    /// For so many jobs, or so.
    pub(super) fn for_jobs(count: usize) -> Self {
        let taken = HashMap::with_capacity_and_hasher(count, RandomState::default());
        Self { taken, next: HashMap::default() }
    }

    /// Takes a name as written in the value of this number; tells that of the value that had taken it before.
    pub(super) fn take(&mut self, name: &str, id: u32) -> Option<u32> {
        self.taken.insert(name.into(), Some(id)).flatten()
    }

    /// Names an entry: as written, or after its title or, if that is empty, the first line of its script. There is
    /// none for an entry that has nothing to be named after.
    pub(super) fn of(&mut self, entry: &Node<'_>) -> Option<Arc<str>> {
        if let Some((name, _)) = written(entry) {
            return Some(self.taken.get_key_value(name).map_or_else(|| name.into(), |(name, _)| Arc::clone(name)));
        }
        let title = entry.get("title").and_then(Node::text).map(blanks::left);
        if let Some(title) = title.filter(|title| !title.trim().is_empty()) {
            let base = slug_of(&title);
            if !base.is_empty() {
                return Some(self.claim(&made(base)));
            }
        }
        let script = match (entry.text(), entry.get("run"), entry.get("command")) {
            (Some(text), ..) => Cow::Borrowed(text),
            (None, Some(run), _) => Cow::Borrowed(run.text()?),
            (None, None, Some(Node { kind: Kind::List(words), .. })) => {
                let words: Vec<Cow<'_, str>> =
                    words.iter().filter_map(|word| Some(blanks::left(word.text()?))).collect();
                Cow::Owned(words.join(" "))
            }
            (None, None, Some(command)) => Cow::Borrowed(command.text()?),
            (None, None, None) => return None,
        };
        Some(self.claim(&made(slug(first_words(&script)))))
    }

    /// Takes a name, with `-2` and so on behind it where it is taken already.
    pub(super) fn claim(&mut self, base: &str) -> Arc<str> {
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

/// The name that an entry says it has, if it can be one, with the number of the value.
pub(super) fn written<'n>(entry: &'n Node<'_>) -> Option<(&'n str, u32)> {
    let id = entry.get("id")?;
    let name = id.text().filter(|name| objection(name).is_none())?;
    Some((name, id.id))
}

/// A made name, where nothing could be made of the words, or only a number.
fn made(base: String) -> String {
    match base.bytes().all(|byte| byte.is_ascii_digit()) {
        true if base.is_empty() => "job".to_owned(),
        true => format!("job-{base}"),
        false => base,
    }
}

/// Why a name can't be one, so that `queue/name`, `#7` and `7` can be told apart on a command line.
pub(super) fn objection(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("an id can't be empty")
    } else if name.contains('/') {
        Some("an id can't contain `/`, which stands between queue and job")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}') {
        // The last is a space that nobody sees, left behind where files were put together.
        Some("an id can't contain spaces or control characters")
    } else if name.starts_with('#') || name.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("an id can't look like a job's number")
    } else {
        None
    }
}

/// The words that say what a script does: up to the first option or operator, of its first line that is no comment.
fn first_words(script: &str) -> impl Iterator<Item = &str> {
    let line = script.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.unwrap_or_default()
        .split_whitespace()
        .take_while(|word| !word.starts_with(['-', '|', '&', ';', '>', '<']))
        .take(SCRIPT_WORDS)
}

/// What stands for a text in a name; empty where there is nothing in it that could.
pub(super) fn slug_of(text: &str) -> String {
    slug(text.split_whitespace())
}

/// Lower case, words joined with `-`; letters and digits of all scripts are kept, apostrophes are dropped.
fn slug<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut slug = String::new();
    let mut length = 0;
    for word in words {
        let lower = word.to_lowercase().replace(['\'', '’'], "");
        for part in lower.split(|c| !belongs(c)).filter(|part| !part.is_empty()) {
            length += part.chars().count() + 1;
            if length > LONGEST && !slug.is_empty() {
                return slug;
            }
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.extend(part.chars().take(LONGEST));
        }
    }
    slug
}

/// Letters, digits, `_`, and the marks that letters of some scripts are written with.
fn belongs(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || (!c.is_ascii() && c.width() == Some(0))
}
