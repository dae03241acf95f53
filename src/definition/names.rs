//! The names of a queue's jobs: as written, or made from the title or the script's first words.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use unicode_width::UnicodeWidthChar;

/// Names made from titles and scripts end at the word that goes beyond this many characters.
const LONGEST: usize = 48;

/// How many words of a script make a name.
const SCRIPT_WORDS: usize = 3;

/// The names taken in one queue. Names as written come first, whatever the order of the jobs.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<Arc<str>>,
    /// The number that a made name tries next.
    next: HashMap<String, u32>,
}

impl Names {
    /// Takes a name as written.
    pub(super) fn take(&mut self, name: &Arc<str>) {
        self.taken.insert(Arc::clone(name));
    }

    /// Makes a name from a title or, if that is empty, from the first line of a script; `-2` and so on on a clash.
    pub(super) fn make(&mut self, title: &str, script: &str) -> Arc<str> {
        let mut base = slug(title.split_whitespace());
        if base.is_empty() {
            base = slug(first_words(script));
        }
        if base.is_empty() || base.bytes().all(|byte| byte.is_ascii_digit()) {
            base = if base.is_empty() { "job".to_owned() } else { format!("job-{base}") };
        }
        let next = self.next.entry(base.clone()).or_insert(1);
        loop {
            let name: Arc<str> = if *next == 1 { base.as_str().into() } else { format!("{base}-{next}").into() };
            *next += 1;
            if self.taken.insert(Arc::clone(&name)) {
                return name;
            }
        }
    }
}

/// Why a name can't be one, so that `queue/name`, `#7` and `7` can be told apart on a command line.
pub(super) fn objection(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("an id can't be empty")
    } else if name.contains('/') {
        Some("an id can't contain `/`, which stands between queue and job")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
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
