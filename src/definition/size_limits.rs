//! Rejects text that nests too deep or is too large, before the parser sees it. The parser's time is quadratic in the
//! depth of brackets; nested lists on one line (`- - - a`) use much memory, and millions of values or bytes take
//! seconds.

use super::problems::Problem;
use super::yaml_errors::{TOO_MANY_VALUES, USE_ADD_HINT};

/// The deepest nesting of `[` and `{`, or of `- ` on one line.
const MAX_DEPTH: usize = 128;

/// The most list items and map entries, in a file and in one collection.
pub(super) const MAX_ENTRIES: usize = 1_000_000;
const MAX_COLLECTION_LEN: usize = 200_000;

/// The longest scalar, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// The most `%TAG` directives. The parser compares each with all before it.
const MAX_TAG_DIRECTIVES: usize = 100;

/// A limit that is exceeded, with the byte where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExceededLimit {
    /// A bracket or `- ` that nests too deep.
    Depth(usize),
    /// Too many items and entries in the file.
    Count(usize),
    /// Too many items or entries in one list or map.
    CollectionLen(usize),
    /// A scalar that is too long.
    TextLen(usize),
    /// Too many tag directives.
    Tags(usize),
}

impl ExceededLimit {
    /// The problem to report.
    pub(super) fn problem(self) -> Problem {
        let (at, message) = match self {
            Self::Depth(at) => (at, format!("nested deeper than {MAX_DEPTH} levels")),
            Self::Count(at) => (at, TOO_MANY_VALUES.to_owned()),
            Self::CollectionLen(at) => (at, format!("this list or map has more than {MAX_COLLECTION_LEN} entries")),
            Self::TextLen(at) => (at, format!("this text is longer than {} MiB", MAX_TEXT_BYTES >> 20)),
            Self::Tags(at) => (at, "too many `%TAG` lines".to_owned()),
        };
        let problem = Problem::in_text(at..at + 1, message);
        match self {
            Self::Depth(_) => problem,
            Self::Count(_) | Self::CollectionLen(_) => problem.hint(USE_ADD_HINT),
            Self::TextLen(_) => problem.hint("move a long script or input to a file"),
            Self::Tags(_) => problem.hint("remove them: tags are not supported"),
        }
    }
}

/// Returns the first limit that the text exceeds.
pub(super) fn find_exceeded_limit(text: &str) -> Option<ExceededLimit> {
    let tags = memchr::memmem::find_iter(text.as_bytes(), "\n%TAG");
    if let Some(at) = tags.into_iter().nth(MAX_TAG_DIRECTIVES) {
        return Some(ExceededLimit::Tags(at + 1));
    }
    // Few brackets can't nest deep and a short text has few values, so most files need no scan.
    let brackets = memchr::memchr2_iter(b'[', b'{', text.as_bytes()).nth(MAX_DEPTH).is_some();
    let closer = brackets || text.len() > MAX_COLLECTION_LEN || text.lines().any(may_nest_deeply);
    closer.then(|| SizeScanner::new(text).run().err())?
}

/// Whether a line may start too many nested lists.
fn may_nest_deeply(line: &str) -> bool {
    line.len() > 2 * MAX_DEPTH
        && line.split_ascii_whitespace().take(MAX_DEPTH + 1).filter(|word| matches!(*word, "-" | "?")).count()
            > MAX_DEPTH
}

/// A minimal YAML scanner that distinguishes structure from brackets inside text.
struct SizeScanner<'t> {
    text: &'t [u8],
    position: usize,
    /// The start of the current line.
    line_start: usize,
    /// The indentation of the current line.
    indent: usize,
    /// Whether a value can start here.
    can_start: bool,
    /// Whether the next value is a new element of a flow collection.
    expects_element: bool,
    /// Where the current value or key started.
    value_start: usize,
    /// The number of items started on the current line.
    line_items: usize,
    /// The number of items and entries so far.
    count: usize,
    /// The open flow collections, outermost first.
    flow: Vec<FlowCollection>,
    /// The open block collections, outermost first.
    block: Vec<BlockCollection>,
}

/// A list or map in brackets.
struct FlowCollection {
    is_map: bool,
    count: usize,
}

/// A list or map on lines of its own.
struct BlockCollection {
    column: usize,
    is_map: bool,
    count: usize,
}

impl<'t> SizeScanner<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text: text.as_bytes(),
            position: 0,
            line_start: 0,
            indent: 0,
            can_start: true,
            expects_element: false,
            value_start: 0,
            line_items: 0,
            count: 0,
            flow: Vec::new(),
            block: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(), ExceededLimit> {
        self.indent = self.indentation();
        while let Some(byte) = self.peek(0) {
            self.step(byte)?;
        }
        Ok(())
    }

    /// Scans one token, or one byte of plain text.
    fn step(&mut self, byte: u8) -> Result<(), ExceededLimit> {
        let here = self.position;
        self.count_flow_element(byte)?;
        match byte {
            b'\n' => {
                self.position += 1;
                self.start_line();
                self.can_start = true;
                self.line_items = 0;
                return Ok(());
            }
            b' ' | b'\t' | b'\r' => {}
            b'#' if self.can_start || self.follows_blank() => {
                self.skip_line();
                return Ok(());
            }
            b'[' | b'{' if self.can_start || !self.flow.is_empty() => {
                if self.flow.len() == MAX_DEPTH {
                    return Err(ExceededLimit::Depth(here));
                }
                self.flow.push(FlowCollection { is_map: byte == b'{', count: 0 });
                (self.can_start, self.expects_element) = (true, true);
            }
            b']' | b'}' if !self.flow.is_empty() => {
                self.flow.pop();
                (self.can_start, self.expects_element) = (false, false);
            }
            b'"' | b'\'' if self.can_start => {
                (self.can_start, self.value_start) = (false, here);
                self.skip_quoted(byte);
                return self.check_text_length(here);
            }
            b'|' | b'>' if self.can_start && self.flow.is_empty() => {
                self.skip_block_scalar(self.indent);
                self.check_text_length(here)?;
                self.start_line();
                return Ok(());
            }
            b'-' | b'?' | b':'
                if (self.can_start || byte == b':') && self.peek(1).is_none_or(|next| next.is_ascii_whitespace()) =>
            {
                self.indicator(byte)?;
            }
            b',' if !self.flow.is_empty() => (self.can_start, self.expects_element) = (true, true),
            b':' if !self.flow.is_empty() => self.can_start = true,
            // An anchor or tag precedes a value.
            b'&' | b'!' if self.can_start => {
                while self.peek(1).is_some_and(|next| !next.is_ascii_whitespace()) {
                    self.position += 1;
                }
                self.check_text_length(here)?;
            }
            _ => {
                if self.can_start {
                    (self.can_start, self.value_start) = (false, here);
                }
                self.check_text_length(self.value_start)?;
            }
        }
        if self.count > MAX_ENTRIES {
            return Err(ExceededLimit::Count(here));
        }
        self.position += 1;
        Ok(())
    }

    /// Counts the next element of the innermost flow collection, if it starts with `byte`.
    fn count_flow_element(&mut self, byte: u8) -> Result<(), ExceededLimit> {
        if !self.expects_element || matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'#' | b',' | b']' | b'}') {
            return Ok(());
        }
        self.expects_element = false;
        if let Some(open) = self.flow.last_mut() {
            open.count += 1;
            self.count += 1;
            if open.count > MAX_COLLECTION_LEN {
                return Err(ExceededLimit::CollectionLen(self.position));
            }
        }
        Ok(())
    }

    /// Handles a `-`, `?` or `:` that is followed by white space.
    fn indicator(&mut self, byte: u8) -> Result<(), ExceededLimit> {
        let here = self.position;
        if self.flow.is_empty() {
            self.line_items += usize::from(self.can_start);
            if self.line_items > MAX_DEPTH {
                return Err(ExceededLimit::Depth(here));
            }
            let column = if self.can_start { here } else { self.value_start }.saturating_sub(self.line_start);
            if self.count_entry(column, byte != b'-') > MAX_COLLECTION_LEN {
                return Err(ExceededLimit::CollectionLen(here));
            }
        } else if byte == b':' && self.flow.last().is_some_and(|open| !open.is_map) {
            // `[a: 1]` is a map in a list.
            self.count += 1;
        }
        self.can_start = true;
        Ok(())
    }

    /// Rejects text from `start` to the current position if it is too long.
    fn check_text_length(&self, start: usize) -> Result<(), ExceededLimit> {
        if self.position - start > MAX_TEXT_BYTES { Err(ExceededLimit::TextLen(start)) } else { Ok(()) }
    }

    fn start_line(&mut self) {
        self.line_start = self.position;
        self.indent = self.indentation();
    }

    /// Counts an item, or an entry if `is_map`, that starts in this column. Returns the number of elements of its
    /// collection.
    fn count_entry(&mut self, column: usize, is_map: bool) -> usize {
        self.count += 1;
        // The items of a list may start in the column of their key.
        let inner = |open: &BlockCollection| open.column > column || (open.column == column && is_map && !open.is_map);
        let kept = self.block.iter().rposition(|open| !inner(open)).map_or(0, |last| last + 1);
        self.block.truncate(kept);
        match self.block.last_mut() {
            Some(open) if open.column == column && open.is_map == is_map => {
                open.count += 1;
                open.count
            }
            _ => {
                self.block.push(BlockCollection { column, is_map, count: 1 });
                1
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.position + ahead).copied()
    }

    fn follows_blank(&self) -> bool {
        self.position.checked_sub(1).and_then(|before| self.text.get(before)).is_none_or(u8::is_ascii_whitespace)
    }

    /// The indentation of the line that starts here.
    fn indentation(&self) -> usize {
        self.text[self.position..].iter().take_while(|byte| **byte == b' ').count()
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.position..];
        self.position += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.position += 1;
        while let Some(byte) = self.peek(0) {
            self.position += 1;
            if byte == b'\\' && quote == b'"' {
                self.position += 1;
            } else if byte == quote {
                return;
            }
        }
    }

    /// Skips a block scalar: all lines indented further than the line with its header.
    fn skip_block_scalar(&mut self, indent: usize) {
        self.skip_line();
        while self.position < self.text.len() {
            self.position += 1;
            let depth = self.indentation();
            let is_blank_line = matches!(self.peek(depth), None | Some(b'\n' | b'\r'));
            if depth <= indent && !is_blank_line {
                return;
            }
            self.skip_line();
        }
    }
}
