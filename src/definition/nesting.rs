//! Refuses what nests too deep, and what is too much, before the parser sees it: brackets take it a time that grows with
//! their square, lists in lists on one line (`- - - a`) a lot of memory, and millions of values seconds.

/// Deeper nesting of `[` and `{`, or of `- ` on one line, than this is refused.
pub(super) const DEEPEST: usize = 128;

/// More items of lists and entries of maps than this are refused.
pub(super) const MOST: usize = 1_500_000;

/// What is refused, with its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// A bracket, or a `- `, that nests too deep.
    Depth(usize),
    /// An item or an entry beyond the most that there may be.
    Count(usize),
}

/// What there is too much of, if anything.
pub(super) fn excess(text: &str) -> Option<Excess> {
    // Few brackets can't nest deep, and few bytes are not many values; that spares most files the closer look.
    let brackets = memchr::memchr2_iter(b'[', b'{', text.as_bytes()).nth(DEEPEST).is_some();
    let closer = brackets || text.len() > MOST || text.lines().any(nests);
    closer.then(|| Scan { text: text.as_bytes(), at: 0, depth: 0, items: 0, count: 0 }.run())?
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
    depth: usize,
    /// How many items the line has begun.
    items: usize,
    /// How many items and entries there were.
    count: usize,
}

impl Scan<'_> {
    fn run(mut self) -> Option<Excess> {
        let mut indent = self.indent();
        // Whether a value can start here.
        let mut start = true;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => {
                    self.at += 1;
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
                b'[' | b'{' if start || self.depth > 0 => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Some(Excess::Depth(self.at));
                    }
                    start = true;
                }
                b']' | b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    start = false;
                }
                b'"' | b'\'' if start => {
                    self.quoted(byte);
                    start = false;
                    continue;
                }
                b'|' | b'>' if start && self.depth == 0 => {
                    self.block(indent);
                    indent = self.indent();
                    continue;
                }
                b'-' | b'?' | b':' if self.peek(1).is_none_or(|next| next.is_ascii_whitespace()) => {
                    self.items += usize::from(start && self.depth == 0);
                    if self.items > DEEPEST {
                        return Some(Excess::Depth(self.at));
                    }
                    self.count += usize::from(start || byte == b':');
                    start = true;
                }
                b',' | b':' if self.depth > 0 => {
                    self.count += usize::from(byte == b',');
                    start = true;
                }
                // An anchor or a tag stands before a value.
                b'&' | b'!' if start => {
                    while self.peek(1).is_some_and(|next| !next.is_ascii_whitespace()) {
                        self.at += 1;
                    }
                }
                _ => start = false,
            }
            if self.count > MOST {
                return Some(Excess::Count(self.at));
            }
            self.at += 1;
        }
        None
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
