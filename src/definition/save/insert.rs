//! Where new jobs go in the text of a file: behind the last one of their queue. Only ever is text put in between; nothing
//! that stands there is touched.
//!
//! The parser tells where values begin, not where they end. So several places are offered, the likeliest first, and
//! whoever takes one has to read the file back.

use std::ops::Range;

use serde_json::Value;

use super::super::source::Source;
use super::super::tree::{self, Entry, Fault, Kind, Node};
use super::entry::{in_blocks, in_brackets};

/// How many places behind the likeliest one are offered: in a text that goes on with less indentation, it is further on.
const MORE: usize = 12;

/// The text with these entries in the queue, in one way or another.
pub(super) fn candidates(text: &str, queue: &str, items: &[Value]) -> Vec<String> {
    let source = Source::new(text);
    let root = match tree::read(&source, &[]) {
        Ok(reading) => Some(reading.root),
        Err(Fault::Empty) => None,
        Err(_) => return Vec::new(),
    };
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let file = File { source: &source, end };
    let queues = root.as_ref().and_then(|root| entry(root, "queues"));
    let Some(queues) = queues else {
        let first = text.find(|c: char| !c.is_whitespace()).filter(|at| text[*at..].starts_with('{'));
        return match first {
            Some(open) => {
                file.in_flow(open, &format!("queues: {{{}}}", queue_in_brackets(queue, items))).into_iter().collect()
            }
            None => vec![file.at_the_end(&[vec!["queues:".to_owned()], queue_in_blocks(queue, items, "  ")].concat())],
        };
    };
    let Some(known) = entry(&queues.value, queue) else {
        return match file.value_of(queues) {
            Some((_, Shape::Flow(open))) => file.in_flow(open, &queue_in_brackets(queue, items)).into_iter().collect(),
            Some((key, Shape::Block)) => {
                let pad = file.pad(&key, false).unwrap_or("  ");
                file.behind(&key, &queue_in_blocks(queue, items, pad))
            }
            _ => Vec::new(),
        };
    };
    let (list, is_map) = match &known.value.kind {
        Kind::Map(_) => (entry(&known.value, "jobs"), true),
        _ => (Some(known), false),
    };
    let flow = || items.iter().map(in_brackets).collect::<Vec<_>>().join(", ");
    match list.map(|list| file.value_of(list)) {
        Some(Some((_, Shape::Flow(open)))) => file.in_flow(open, &flow()).into_iter().collect(),
        Some(Some((key, Shape::Block))) => match file.pad(&key, true) {
            Some(pad) => file.behind(&key, &blocks(items, pad)),
            None => Vec::new(),
        },
        None if is_map => match file.value_of(known) {
            Some((_, Shape::Flow(open))) => file.in_flow(open, &format!("jobs: [{}]", flow())).into_iter().collect(),
            Some((key, Shape::Block)) => {
                let pad = file.pad(&key, false).unwrap_or("    ");
                let jobs = vec![format!("{pad}jobs:")];
                file.behind(&key, &[jobs, blocks(items, &format!("{pad}  "))].concat())
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn entry<'n, 's>(node: &'n Node<'s>, key: &str) -> Option<&'n Entry<'s>> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|entry| entry.key.unfit.is_none() && entry.key.text == key)
}

fn blocks(items: &[Value], pad: &str) -> Vec<String> {
    items.iter().flat_map(|item| in_blocks(item, pad)).collect()
}

fn queue_in_blocks(queue: &str, items: &[Value], pad: &str) -> Vec<String> {
    let key = in_brackets(&Value::from(queue));
    [vec![format!("{pad}{key}:")], blocks(items, &format!("{pad}  "))].concat()
}

fn queue_in_brackets(queue: &str, items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(in_brackets).collect();
    format!("{}: [{}]", in_brackets(&Value::from(queue)), items.join(", "))
}

/// How a value is written.
enum Shape {
    /// In brackets or braces, which open here.
    Flow(usize),
    Block,
}

struct File<'f, 's> {
    source: &'f Source<'s>,
    /// How its lines end.
    end: &'static str,
}

impl<'s> File<'_, 's> {
    fn text(&self) -> &'s str {
        self.source.text
    }

    /// Where the key of an entry stands, and how its value is written; none where it stands somewhere else.
    fn value_of(&self, entry: &Entry<'_>) -> Option<(Range<usize>, Shape)> {
        let wanted = [entry.key.id];
        let places = tree::read(self.source, &wanted).ok()?.places;
        let key = places.into_iter().find(|(id, _)| *id == entry.key.id)?.1;
        let mut at = self.skip(key.end);
        at = self.skip(at + self.text()[at..].strip_prefix(':').map(|_| 1)?);
        while self.text()[at..].starts_with(['&', '!']) {
            let length = self.text()[at..].find(char::is_whitespace)?;
            at = self.skip(at + length);
        }
        match self.text()[at..].chars().next() {
            Some('[' | '{') => Some((key, Shape::Flow(at))),
            Some('*') => None,
            _ => Some((key, Shape::Block)),
        }
    }

    /// The next byte at or behind `at` that is no space and in no comment.
    fn skip(&self, mut at: usize) -> usize {
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

    /// The lines behind that of the byte `at`: where each begins, and what stands in it.
    fn lines_behind(&self, at: usize) -> impl Iterator<Item = (usize, &'s str)> {
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

    /// What the first line below a key is indented by; of a list, only if it begins with a dash.
    fn pad(&self, key: &Range<usize>, list: bool) -> Option<&'s str> {
        let (_, line) = self.lines_behind(key.end).find(|(_, line)| says(line))?;
        let content = line.trim_start_matches(' ');
        (!list || is_item(content)).then(|| &line[..line.len() - content.len()])
    }

    /// The text with these lines behind all that belongs to a key.
    fn behind(&self, key: &Range<usize>, lines: &[String]) -> Vec<String> {
        let line = self.source.line_around(key.start);
        let column = key.start - line.start;
        let belongs = |line: &str| {
            let content = line.trim_start_matches(' ');
            let indent = line.len() - content.len();
            indent > column || indent == column && is_item(content)
        };
        let mut ends = vec![line.end];
        let mut inside = true;
        for (start, line) in self.lines_behind(line.start) {
            inside &= !says(line) || belongs(line);
            if inside && says(line) {
                ends.clear();
            }
            if ends.len() > MORE {
                break;
            }
            ends.push(start + line.len());
        }
        let put = |at: usize| {
            let (before, after) = self.text().split_at(at);
            let lines = lines.iter().flat_map(|line| [self.end, line]);
            [before].into_iter().chain(lines).chain([after]).collect()
        };
        ends.into_iter().map(put).collect()
    }

    /// The text with these lines behind all others.
    fn at_the_end(&self, lines: &[String]) -> String {
        let mut text = self.text().to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str(self.end);
        }
        for line in lines {
            text.extend([line, self.end]);
        }
        text
    }

    /// The text with something more behind what stands in the brackets that open at this byte.
    fn in_flow(&self, open: usize, more: &str) -> Option<String> {
        let text = self.text();
        let inside = Inside::of(text, open)?;
        let line = self.source.line_around(inside.last);
        let first = text[open + 1..].trim_start_matches([' ', '\t']);
        let gap = match inside.separated {
            // One of several lines stays so.
            Some(_) if first.starts_with(['\n', '\r']) => {
                let line = &text[line];
                format!("{}{}", self.end, &line[..line.len() - line.trim_start_matches(' ').len()])
            }
            Some(_) => " ".to_owned(),
            None => String::new(),
        };
        let comma = if inside.separated == Some(false) { "," } else { "" };
        let (before, after) = text.split_at(inside.last);
        Some([before, comma, &gap, more, after].concat())
    }
}

/// Whether there is more in a line than a comment.
fn says(line: &str) -> bool {
    let content = line.trim_start();
    !content.is_empty() && !content.starts_with('#')
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// What stands in brackets.
struct Inside {
    /// Behind the last of it.
    last: usize,
    /// Whether a comma stands there; none where there is nothing.
    separated: Option<bool>,
}

impl Inside {
    fn of(text: &str, open: usize) -> Option<Self> {
        let mut inside = Self { last: open + 1, separated: None };
        let mut depth = 1;
        // What may begin a text in quotes is behind one of these, spaces aside.
        let mut fresh = true;
        let mut spaced = true;
        let mut rest = text[open + 1..].char_indices().map(|(at, c)| (open + 1 + at, c)).peekable();
        while let Some((at, c)) = rest.next() {
            match c {
                '#' if spaced => {
                    while rest.next_if(|(_, c)| *c != '\n').is_some() {}
                    continue;
                }
                c if c.is_whitespace() => {
                    spaced = true;
                    continue;
                }
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                '"' if fresh => {
                    while let Some((_, c)) = rest.next_if(|(_, c)| *c != '"') {
                        if c == '\\' {
                            rest.next();
                        }
                    }
                    rest.next()?;
                }
                '\'' if fresh => loop {
                    while rest.next_if(|(_, c)| *c != '\'').is_some() {}
                    rest.next()?;
                    if rest.next_if(|(_, c)| *c == '\'').is_none() {
                        break;
                    }
                },
                _ => {}
            }
            if depth == 0 {
                return Some(inside);
            }
            fresh = matches!(c, '[' | '{' | ',' | ':');
            spaced = false;
            let end = rest.peek().map_or(text.len(), |(at, _)| *at);
            inside = Self { last: end.max(at + 1), separated: Some(c == ',') };
        }
        None
    }
}
