//! Finds where to insert new jobs in the text of a file: after the last job of their queue. Existing text isn't
//! changed.
//!
//! The parser knows where values start but not where they end, so there are several candidates, most likely first. The
//! caller reads each result back to verify it.

use std::ops::Range;

use serde_json::Value;

use super::super::source::Source;
use super::super::spanned_value::{self, MapEntry, Node, NodeKind, ReadError};
use super::entry::{to_block_lines, to_flow};

/// The maximum number of further candidates, for scalars that continue with less indentation.
const MAX_EXTRA_CANDIDATES: usize = 12;

/// Returns texts that may contain these entries in the queue.
pub(super) fn candidates(text: &str, queue: &str, items: &[Value]) -> Vec<String> {
    let source = Source::new(text);
    let root = match spanned_value::read(&source, &[]) {
        Ok(document) => Some(document.root),
        Err(ReadError::Empty) => None,
        Err(_) => return Vec::new(),
    };
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let file = DocumentText { source: &source, newline };
    let queues = root.as_ref().and_then(|root| entry(root, "queues"));
    let Some(queues) = queues else {
        let first = text.find(|c: char| !c.is_whitespace()).filter(|at| text[*at..].starts_with('{'));
        return match first {
            Some(open) => {
                file.insert_in_flow(open, &format!("queues: {{{}}}", queue_flow(queue, items))).into_iter().collect()
            }
            None => vec![file.append(&[vec!["queues:".to_owned()], queue_block_lines(queue, items, "  ")].concat())],
        };
    };
    let Some(queue_entry) = entry(&queues.value, queue) else {
        return match file.find_value(queues) {
            Some((_, NodeStyle::Flow(open))) => {
                file.insert_in_flow(open, &queue_flow(queue, items)).into_iter().collect()
            }
            Some((key, NodeStyle::Block)) => {
                let indent = file.child_indent(&key, false).unwrap_or("  ");
                file.insert_after(&key, &queue_block_lines(queue, items, indent))
            }
            _ => Vec::new(),
        };
    };
    let (list, is_map) = match &queue_entry.value.kind {
        NodeKind::Map(_) => (entry(&queue_entry.value, "jobs"), true),
        _ => (Some(queue_entry), false),
    };
    let flow = || items.iter().map(to_flow).collect::<Vec<_>>().join(", ");
    match list.map(|list| file.find_value(list)) {
        Some(Some((_, NodeStyle::Flow(open)))) => file.insert_in_flow(open, &flow()).into_iter().collect(),
        Some(Some((key, NodeStyle::Block))) => match file.child_indent(&key, true) {
            Some(indent) => file.insert_after(&key, &blocks(items, indent)),
            None => Vec::new(),
        },
        None if is_map => match file.find_value(queue_entry) {
            Some((_, NodeStyle::Flow(open))) => {
                file.insert_in_flow(open, &format!("jobs: [{}]", flow())).into_iter().collect()
            }
            Some((key, NodeStyle::Block)) => {
                let indent = file.child_indent(&key, false).unwrap_or("    ");
                let jobs = vec![format!("{indent}jobs:")];
                file.insert_after(&key, &[jobs, blocks(items, &format!("{indent}  "))].concat())
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn entry<'n, 's>(node: &'n Node<'s>, key: &str) -> Option<&'n MapEntry<'s>> {
    let NodeKind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|entry| entry.key.invalid.is_none() && entry.key.text == key)
}

fn blocks(items: &[Value], indent: &str) -> Vec<String> {
    items.iter().flat_map(|item| to_block_lines(item, indent)).collect()
}

fn queue_block_lines(queue: &str, items: &[Value], indent: &str) -> Vec<String> {
    let key = to_flow(&Value::from(queue));
    [vec![format!("{indent}{key}:")], blocks(items, &format!("{indent}  "))].concat()
}

fn queue_flow(queue: &str, items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(to_flow).collect();
    format!("{}: [{}]", to_flow(&Value::from(queue)), items.join(", "))
}

/// The style of a collection.
enum NodeStyle {
    /// In brackets that open at this byte.
    Flow(usize),
    Block,
}

/// The text to edit.
struct DocumentText<'f, 's> {
    source: &'f Source<'s>,
    /// The line break.
    newline: &'static str,
}

impl<'s> DocumentText<'_, 's> {
    fn text(&self) -> &'s str {
        self.source.text
    }

    /// Returns the position of an entry's key and the style of its value, or `None` if the value is an alias.
    fn find_value(&self, entry: &MapEntry<'_>) -> Option<(Range<usize>, NodeStyle)> {
        let wanted_ids = [entry.key.id];
        let spans = spanned_value::read(self.source, &wanted_ids).ok()?.spans;
        let key = spans.into_iter().find(|(id, _)| *id == entry.key.id)?.1;
        let mut at = self.skip_blanks(key.end);
        at = self.skip_blanks(at + self.text()[at..].strip_prefix(':').map(|_| 1)?);
        while self.text()[at..].starts_with(['&', '!']) {
            let length = self.text()[at..].find(char::is_whitespace)?;
            at = self.skip_blanks(at + length);
        }
        match self.text()[at..].chars().next() {
            Some('[' | '{') => Some((key, NodeStyle::Flow(at))),
            Some('*') => None,
            _ => Some((key, NodeStyle::Block)),
        }
    }

    /// Returns the next byte at or after `at` that isn't in white space or a comment.
    fn skip_blanks(&self, mut at: usize) -> usize {
        loop {
            let rest = &self.text()[at..];
            at += rest.len() - rest.trim_start().len();
            let rest = &self.text()[at..];
            if !rest.starts_with('#') {
                return at;
            }
            at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// Returns the lines after the line that contains `at`, with the byte where each starts.
    fn lines_after(&self, at: usize) -> impl Iterator<Item = (usize, &'s str)> {
        let text = self.text();
        let mut next = text[at..].find('\n').map(|end| at + end + 1);
        std::iter::from_fn(move || {
            let start = next?;
            let length = text[start..].find('\n');
            next = length.map(|length| start + length + 1);
            let line = &text[start..length.map_or(text.len(), |length| start + length)];
            Some((start, line.strip_suffix('\r').unwrap_or(line)))
        })
    }

    /// Returns the indentation of the first line below a key. For a list, the line must start with a dash.
    fn child_indent(&self, key: &Range<usize>, list: bool) -> Option<&'s str> {
        let (_, line) = self.lines_after(key.end).find(|(_, line)| has_content(line))?;
        let content = line.trim_start_matches(' ');
        (!list || is_item(content)).then(|| &line[..line.len() - content.len()])
    }

    /// Returns texts with the lines inserted after the value of a key.
    fn insert_after(&self, key: &Range<usize>, lines: &[String]) -> Vec<String> {
        let line = self.source.line_range(key.start);
        let column = key.start - line.start;
        let belongs = |line: &str| {
            let content = line.trim_start_matches(' ');
            let indent = line.len() - content.len();
            indent > column || indent == column && is_item(content)
        };
        let mut ends = vec![line.end];
        let mut inside = true;
        for (start, line) in self.lines_after(line.start) {
            inside &= !has_content(line) || belongs(line);
            if inside && has_content(line) {
                ends.clear();
            }
            if ends.len() > MAX_EXTRA_CANDIDATES {
                break;
            }
            ends.push(start + line.len());
        }
        let insert_at = |at: usize| {
            let (before, after) = self.text().split_at(at);
            let lines = lines.iter().flat_map(|line| [self.newline, line]);
            [before].into_iter().chain(lines).chain([after]).collect()
        };
        ends.into_iter().map(insert_at).collect()
    }

    /// Returns the text with the lines appended.
    fn append(&self, lines: &[String]) -> String {
        let mut text = self.text().to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str(self.newline);
        }
        for line in lines {
            text.extend([line, self.newline]);
        }
        text
    }

    /// Returns the text with `more` inserted before the closing bracket of the collection that opens at this byte.
    fn insert_in_flow(&self, open: usize, more: &str) -> Option<String> {
        let text = self.text();
        let contents = FlowContents::scan(text, open)?;
        let line = self.source.line_range(contents.end);
        let first = text[open + 1..].trim_start_matches([' ', '\t']);
        let gap = match contents.ends_with_comma {
            // Keep a collection on several lines that way.
            Some(_) if first.starts_with(['\n', '\r']) => {
                let line = &text[line];
                format!("{}{}", self.newline, &line[..line.len() - line.trim_start_matches(' ').len()])
            }
            Some(_) => " ".to_owned(),
            None => String::new(),
        };
        let comma = if contents.ends_with_comma == Some(false) { "," } else { "" };
        let (before, after) = text.split_at(contents.end);
        Some([before, comma, &gap, more, after].concat())
    }
}

/// Whether a line has content other than a comment.
fn has_content(line: &str) -> bool {
    let content = line.trim_start();
    !content.is_empty() && !content.starts_with('#')
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// The contents of a flow collection.
struct FlowContents {
    /// The end of the last token.
    end: usize,
    /// Whether the last token is a comma. `None` if the collection is empty.
    ends_with_comma: Option<bool>,
}

impl FlowContents {
    fn scan(text: &str, open: usize) -> Option<Self> {
        let mut contents = Self { end: open + 1, ends_with_comma: None };
        let mut depth = 1;
        // A quoted scalar can start only after one of these tokens.
        let mut may_quote = true;
        let mut after_space = true;
        let mut rest = text[open + 1..].char_indices().map(|(at, c)| (open + 1 + at, c)).peekable();
        while let Some((at, c)) = rest.next() {
            match c {
                '#' if after_space => {
                    while rest.next_if(|(_, c)| *c != '\n').is_some() {}
                    continue;
                }
                c if c.is_whitespace() => {
                    after_space = true;
                    continue;
                }
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                '"' if may_quote => {
                    while let Some((_, c)) = rest.next_if(|(_, c)| *c != '"') {
                        if c == '\\' {
                            rest.next();
                        }
                    }
                    rest.next()?;
                }
                '\'' if may_quote => loop {
                    while rest.next_if(|(_, c)| *c != '\'').is_some() {}
                    rest.next()?;
                    if rest.next_if(|(_, c)| *c == '\'').is_none() {
                        break;
                    }
                },
                _ => {}
            }
            if depth == 0 {
                return Some(contents);
            }
            may_quote = matches!(c, '[' | '{' | ',' | ':');
            after_space = false;
            let end = rest.peek().map_or(text.len(), |(at, _)| *at);
            contents = Self { end: end.max(at + 1), ends_with_comma: Some(c == ',') };
        }
        None
    }
}
