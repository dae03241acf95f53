//! Blanks: `${matrix.NAME}` in a field of a job with a matrix, to be filled with a value.
//!
//! A script has none: put into its text, a value could end a command and begin another. Scripts get the values in their
//! environment.

use std::borrow::Cow;

use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Entry, Kind, Node};

/// How a blank begins.
const MARK: &str = "${matrix.";

/// A blank in a text.
pub(super) struct Blank<'t> {
    /// What stands before it.
    pub(super) before: &'t str,
    /// The blank as written.
    pub(super) said: &'t str,
    /// Whose value belongs there; none where that is written otherwise than it should.
    pub(super) name: Option<&'t str>,
    /// What stands behind it.
    pub(super) behind: &'t str,
}

/// The first blank of a text.
pub(super) fn first(text: &str) -> Option<Blank<'_>> {
    let starts = memchr::memmem::find_iter(text.as_bytes(), "${");
    starts.into_iter().find_map(|start| {
        let (before, rest) = text.split_at(start);
        let inside = rest[2..].trim_start_matches(['{', ' ']);
        let behind = inside.strip_prefix("matrix")?;
        if !behind.starts_with(['.', ' ']) {
            return None;
        }
        // `${{ matrix.NAME }}`, as others write it, ends with as many braces as it has.
        let end = rest.find('}').map_or(rest.len(), |end| {
            let braces = rest[1..].bytes().take_while(|byte| *byte == b'{').count();
            end + rest[end..].bytes().take(braces).take_while(|byte| *byte == b'}').count()
        });
        let (said, behind) = rest.split_at(end);
        let name = said.strip_prefix(MARK).and_then(|said| said.strip_suffix('}'));
        let name = name.filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        Some(Blank { before, said, name, behind })
    })
}

/// Whether there are blanks in the text.
pub(super) fn are_in(text: &str) -> bool {
    // Most texts have nothing of the kind, and are short.
    memchr::memchr(b'$', text.as_bytes()).is_some() && text.contains(MARK)
}

/// The text with its blanks left blank.
pub(super) fn left(text: &str) -> Cow<'_, str> {
    let mut without = Cow::Borrowed("");
    let mut rest = text;
    while let Some(Blank { before, behind, .. }) = first(rest) {
        without.to_mut().push_str(before);
        rest = behind;
    }
    if rest.len() == text.len() { Cow::Borrowed(text) } else { without + rest }
}

/// Whether it can be the name of a value, which is that of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// That a blank is written otherwise than it should.
pub(super) fn misspelt(id: u32, said: &str, path: &Path<'_>) -> Problem {
    Problem::new(id, path, "this is not how a value of the matrix is written")
        .hint(format!("write `{MARK}{}}}`", named(said)))
}

/// Whose value was probably meant.
fn named(said: &str) -> &str {
    let name = said.split("matrix").nth(1).unwrap_or_default();
    let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
    if is_variable(name) { name } else { "NAME" }
}

/// Reports a blank in a script.
pub(super) fn none_in_script(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) {
    let Kind::Scalar(_, text) = &node.kind else { return };
    let Some(Blank { said, .. }) = first(text) else { return };
    let name = named(said);
    let message = format!("`{MARK}{name}}}` can't stand in a script, where the value would be read as code");
    let problem = Problem::new(node.id, path, message);
    problems.add(problem.hint(format!("write `\"${name}\"`: every job has its values in its environment")));
}

/// Reports a blank in an id.
pub(super) fn none_in_id(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) {
    let Kind::Scalar(_, text) = &node.kind else { return };
    if first(text).is_some() {
        let problem = Problem::new(node.id, path, "an id has no values in it");
        problems.add(problem.hint("they are added: the jobs of `test` are `test-VALUE`, and `test` means all of them"));
    }
}

/// Reports blanks in the fields of a map to which no matrix belongs.
pub(super) fn none_in_fields(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) {
    let Kind::Map(entries) = &node.kind else { return };
    // A script and its input may be in a language that says something else with this.
    for Entry { key, value } in entries.iter().filter(|entry| !matches!(&*entry.key.text, "run" | "stdin" | "jobs")) {
        none_in(value, &path.key(&key.text), problems);
    }
}

fn none_in(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) {
    match &node.kind {
        Kind::Scalar(_, text) if are_in(text) => {
            let problem = Problem::new(node.id, path, "there is no matrix here of which this could be a value");
            problems.add(problem.hint("values stand in the fields of a job with a `matrix`"));
        }
        Kind::List(items) => items.iter().enumerate().for_each(|(nth, node)| none_in(node, &path.item(nth), problems)),
        Kind::Map(entries) => {
            for Entry { key, value } in entries {
                none_in(value, &path.key(&key.text), problems);
            }
        }
        _ => {}
    }
}
