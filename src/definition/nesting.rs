//! Refuses what nests too deep, and what is too much, before the parser sees it: brackets take it a time that grows with
//! their square, lists in lists on one line (`- - - a`) a lot of memory, and millions of values or of bytes seconds.

use super::problems::Problem;
use super::syntax::{FEWER, TOO_MUCH};

/// Deeper nesting of `[` and `{`, or of `- ` on one line, than this is refused.
const DEEPEST: usize = 128;

/// More items of lists and entries of maps than this are refused, in the file and in one of them.
pub(super) const MOST: usize = 1_000_000;
const MOST_TOGETHER: usize = 200_000;

/// A longer text than this is refused, in bytes.
const LONGEST: usize = 4 << 20;

/// More lines than this that declare a tag are refused: the parser compares each with all before it.
const MOST_TAGS: usize = 100;

/// What is refused, with its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// A bracket, or a `- `, that nests too deep.
    Depth(usize),
    /// An item or an entry beyond the most that there may be.
    Count(usize),
    /// The same in one list or map.
    Together(usize),
    /// A text that is too long.
    Length(usize),
    /// A declaration of a tag beyond the most.
    Tags(usize),
}

impl Excess {
    /// What is said of it.
    pub(super) fn problem(self) -> Problem {
        let (at, message) = match self {
            Self::Depth(at) => (at, format!("this nests deeper than {DEEPEST} levels")),
            Self::Count(at) => (at, TOO_MUCH.to_owned()),
            Self::Together(at) => (at, format!("this list or map has more than {MOST_TOGETHER} entries")),
            Self::Length(at) => (at, format!("this text is longer than {} MiB", LONGEST >> 20)),
            Self::Tags(at) => (at, "too many lines that start with `%TAG`".to_owned()),
        };
        let problem = Problem::in_text(at..at + 1, message);
        match self {
            Self::Depth(_) => problem,
            Self::Count(_) | Self::Together(_) => problem.hint(FEWER),
            Self::Length(_) => problem.hint("a long script, or a long input, may stand in a file of its own"),
            Self::Tags(_) => problem.hint("leave them out: tags mean nothing here"),
        }
    }
}

/// What there is too much of, if anything.
pub(super) fn excess(text: &str) -> Option<Excess> {
    let tags = memchr::memmem::find_iter(text.as_bytes(), "\n%TAG");
    if let Some(at) = tags.into_iter().nth(MOST_TAGS) {
        return Some(Excess::Tags(at + 1));
    }
    // Few brackets can't nest deep, and few bytes are not many values; that spares most files the closer look.
    let brackets = memchr::memchr2_iter(b'[', b'{', text.as_bytes()).nth(DEEPEST).is_some();
    let closer = brackets || text.len() > MOST_TOGETHER || text.lines().any(nests);
    closer.then(|| Scan::new(text).run())?
}

/// Whether a line may begin too many lists in one another.
fn nests(line: &str) -> bool {
    line.len() > 2 * DEEPEST
        && line.split_ascii_whitespace().take(DEEPEST + 1).filter(|word| matches!(*word, "-" | "?")).count() > DEEPEST
}

/// As much of a YAML scanner as it takes to tell brackets from brackets in texts.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    /// Where the line starts.
    line: usize,
    /// How many items the line has begun.
    items: usize,
    /// How many items and entries there were.
    count: usize,
    /// The open lists and maps in brackets.
    flow: Vec<Flow>,
    /// Those on lines of their own, the deepest last.
    block: Vec<Block>,
}

/// A list or a map in brackets, with how much was in it.
struct Flow {
    map: bool,
    count: usize,
}

/// A list or a map on lines of its own, with how much was in it.
struct Block {
    column: usize,
    map: bool,
    count: usize,
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 0, items: 0, count: 0, flow: Vec::new(), block: Vec::new() }
    }

    fn run(mut self) -> Option<Excess> {
        let mut indent = self.indent();
        // Whether a value can start here, and whether it would be the next one in brackets.
        let mut start = true;
        let mut fresh = false;
        // Where the value started, or the key.
        let mut began = 0;
        while let Some(byte) = self.peek(0) {
            let here = self.at;
            if fresh && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'#' | b',' | b']' | b'}') {
                fresh = false;
                if let Some(open) = self.flow.last_mut() {
                    open.count += 1;
                    self.count += 1;
                    if open.count > MOST_TOGETHER {
                        return Some(Excess::Together(here));
                    }
                }
            }
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line = self.at;
                    indent = self.indent();
                    start = true;
                    self.items = 0;
                    continue;
                }
                b' ' | b'\t' | b'\r' => {}
                b'#' if start || self.before_is_blank() => {
                    self.skip_line();
                    continue;
                }
                b'[' | b'{' if start || !self.flow.is_empty() => {
                    if self.flow.len() == DEEPEST {
                        return Some(Excess::Depth(here));
                    }
                    self.flow.push(Flow { map: byte == b'{', count: 0 });
                    (start, fresh) = (true, true);
                }
                b']' | b'}' if !self.flow.is_empty() => {
                    self.flow.pop();
                    (start, fresh) = (false, false);
                }
                b'"' | b'\'' if start => {
                    (start, began) = (false, here);
                    self.quoted(byte);
                    if self.at - here > LONGEST {
                        return Some(Excess::Length(here));
                    }
                    continue;
                }
                b'|' | b'>' if start && self.flow.is_empty() => {
                    self.block(indent);
                    if self.at - here > LONGEST {
                        return Some(Excess::Length(here));
                    }
                    self.line = self.at;
                    indent = self.indent();
                    continue;
                }
                b'-' | b'?' | b':'
                    if (start || byte == b':') && self.peek(1).is_none_or(|next| next.is_ascii_whitespace()) =>
                {
                    if self.flow.is_empty() {
                        self.items += usize::from(start);
                        if self.items > DEEPEST {
                            return Some(Excess::Depth(here));
                        }
                        let column = if start { here } else { began }.saturating_sub(self.line);
                        if self.entry(column, byte != b'-') > MOST_TOGETHER {
                            return Some(Excess::Together(here));
                        }
                    } else if byte == b':' && self.flow.last().is_some_and(|open| !open.map) {
                        // `[a: 1]` is a map in a list.
                        self.count += 1;
                    }
                    start = true;
                }
                b',' if !self.flow.is_empty() => (start, fresh) = (true, true),
                b':' if !self.flow.is_empty() => start = true,
                // An anchor or a tag stands before a value.
                b'&' | b'!' if start => {
                    while self.peek(1).is_some_and(|next| !next.is_ascii_whitespace()) {
                        self.at += 1;
                    }
                    if self.at - here > LONGEST {
                        return Some(Excess::Length(here));
                    }
                }
                _ => {
                    if start {
                        (start, began) = (false, here);
                    }
                    if here - began > LONGEST {
                        return Some(Excess::Length(began));
                    }
                }
            }
            if self.count > MOST {
                return Some(Excess::Count(here));
            }
            self.at += 1;
        }
        None
    }

    /// Counts what begins in this column, an entry of a map or an item; tells how many there are in the same one.
    fn entry(&mut self, column: usize, map: bool) -> usize {
        self.count += 1;
        // The items of a list may stand below their key, without being indented.
        let inner = |open: &Block| open.column > column || (open.column == column && map && !open.map);
        let kept = self.block.iter().rposition(|open| !inner(open)).map_or(0, |last| last + 1);
        self.block.truncate(kept);
        match self.block.last_mut() {
            Some(open) if open.column == column && open.map == map => {
                open.count += 1;
                open.count
            }
            _ => {
                self.block.push(Block { column, map, count: 1 });
                1
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn before_is_blank(&self) -> bool {
        self.at.checked_sub(1).and_then(|before| self.text.get(before)).is_none_or(u8::is_ascii_whitespace)
    }

    /// How far the line that starts here is indented.
    fn indent(&self) -> usize {
        self.text[self.at..].iter().take_while(|byte| **byte == b' ').count()
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == b'\\' && quote == b'"' {
                self.at += 1;
            } else if byte == quote {
                return;
            }
        }
    }

    /// Skips a block of text: all lines that are indented further than the one that announces it.
    fn block(&mut self, indent: usize) {
        self.skip_line();
        while self.at < self.text.len() {
            self.at += 1;
            let depth = self.indent();
            let blank = matches!(self.peek(depth), None | Some(b'\n' | b'\r'));
            if depth <= indent && !blank {
                return;
            }
            self.skip_line();
        }
    }
}
