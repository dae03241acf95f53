//! Reads env files: lines of `NAME=value`.
//!
//! Values are literal: nothing is substituted for `$`. A value may be in quotes, which may span lines. In double quotes
//! a backslash escapes `"`, `\`, `$`, `n`, `r` and `t`. ` #` starts a comment after a value, and `#` one on a line of its
//! own. `export` before a name is ignored.

use std::str::CharIndices;

/// A line that can't be read. Its content may be secret and is never part of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EnvFileError {
    /// The line, from 1. For an open quote, the line of the quote.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) reason: &'static str,
}

/// The variables of a file in its order; later ones win.
pub(super) fn parse_env_file(text: &str) -> Result<Vec<(String, String)>, EnvFileError> {
    let mut variables = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let (end, next) = rest.find('\n').map_or((rest.len(), rest.len()), |end| (end, end + 1));
        let entry = rest[..end].trim();
        if entry.is_empty() || entry.starts_with('#') {
            rest = &rest[next..];
            line += 1;
            continue;
        }
        let error = |reason| EnvFileError { line, reason };
        let Some(equals) = rest[..end].find('=') else { return Err(error("missing `=` after the name")) };
        let name = variable_name(&rest[..equals]).map_err(error)?;
        let (value, length) = value(&rest[equals + 1..]).map_err(error)?;
        if value.contains('\0') {
            return Err(error("a NUL character can't be passed to a program"));
        }
        variables.push((name.to_owned(), value));
        line += rest[..equals + 1 + length].matches('\n').count();
        rest = &rest[equals + 1 + length..];
    }
    Ok(variables)
}

fn variable_name(text: &str) -> Result<&str, &'static str> {
    let name = text.trim();
    let name = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map_or(name, str::trim_start);
    if name.is_empty() {
        Err("missing name before `=`")
    } else if name.contains(char::is_whitespace) {
        Err("a name can't contain spaces")
    } else if name.contains(|c: char| matches!(c, '"' | '\'' | '`' | '\\' | '$' | '#') || c.is_control()) {
        Err("invalid character in the name")
    } else {
        Ok(name)
    }
}

/// Reads a value up to the end of its line. Returns it with the number of bytes read, including the line break.
fn value(text: &str) -> Result<(String, usize), &'static str> {
    let start = text.len() - text.trim_start_matches([' ', '\t']).len();
    let Some(quote @ ('"' | '\'')) = text[start..].chars().next() else {
        let line = line_length(text);
        return Ok((unquoted(&text[..line])?.to_owned(), line));
    };
    let (value, length) = quoted(&text[start + 1..], quote)?;
    let after = start + 1 + length;
    let line = line_length(&text[after..]);
    let comment = text[after..after + line].trim_start();
    if comment.is_empty() || comment.starts_with('#') {
        Ok((value, after + line))
    } else {
        Err("unexpected text after the closing quote")
    }
}

/// The number of bytes of the first line, including its line break.
fn line_length(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// Reads text up to its closing quote. Returns it with the number of bytes read, including the quote.
fn quoted(text: &str, quote: char) -> Result<(String, usize), &'static str> {
    let mut value = String::new();
    let mut characters: CharIndices<'_> = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((value, at + 1)),
            '\\' if quote == '"' => value.push(match characters.next() {
                Some((_, escaped @ ('"' | '\\' | '$'))) => escaped,
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                _ => {
                    return Err("unknown escape after a backslash; write `\\\\` for a backslash, or use single quotes");
                }
            }),
            _ => value.push(character),
        }
    }
    Err("the quote is not closed")
}

fn unquoted(line: &str) -> Result<&str, &'static str> {
    let comment = line.char_indices().zip(line.chars().skip(1)).find(|((_, a), b)| a.is_whitespace() && *b == '#');
    let value = comment.map_or(line, |((at, _), _)| &line[..at]).trim();
    if value.starts_with('#') {
        Ok("")
    } else if value.contains(char::is_whitespace) {
        Err("a value with spaces needs quotes")
    } else if value.contains('\\') {
        Err("a value with a backslash needs single quotes")
    } else if value.contains(['"', '\'']) {
        Err("a quote inside a value: put the whole value in quotes")
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse_env_file(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
    }

    #[test]
    fn values_are_literal() {
        for (text, value) in [
            ("A=abc$def", "abc$def"),
            ("A=pa$$word", "pa$$word"),
            ("A=${B}nd", "${B}nd"),
            ("A=\"$B `c`\"", "$B `c`"),
            ("A='\\n\"$B'", "\\n\"$B"),
            ("A=\"a\\\"b\\\\c\\$d\\ne\\tf\"", "a\"b\\c$d\ne\tf"),
            ("A=a#b", "a#b"),
            ("A=a=b", "a=b"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A=\"\"", ""),
            ("export A = b ", "b"),
            ("A='x' # comment", "x"),
            ("A=x\t# comment", "x"),
            ("\u{feff}A=b\r\n", "b"),
            ("A='é\nü'", "é\nü"),
        ] {
            assert_eq!(parsed(text), [("A".to_owned(), value.to_owned())], "{text:?}");
        }
        assert_eq!(parsed("# A=1\n\n  # B=2\n"), []);
        let many = [("A".into(), "1\n2".into()), ("export".into(), "x".into()), ("A".into(), "3".into())];
        assert_eq!(parsed("A=\"1\n2\"\nexport=x\nexport A=3"), many);
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why() {
        for (text, line, reason) in [
            ("A", 1, "missing `=`"),
            ("A=1\n\nB C=2", 3, "name can't contain spaces"),
            ("=x", 1, "missing name"),
            ("$A=x", 1, "invalid character in the name"),
            ("A=b c", 1, "with spaces needs quotes"),
            ("A=1\nB=a\\b", 2, "backslash needs single quotes"),
            ("A=it's", 1, "quote inside a value"),
            ("A=1\nB='a\n\nb", 2, "quote is not closed"),
            ("A='a\nb'\nB=\"\\d\"", 3, "unknown escape"),
            ("A='a'b", 1, "after the closing quote"),
            ("A=\0", 1, "NUL character"),
        ] {
            let error = parse_env_file(text).unwrap_err();
            assert!(error.line == line && error.reason.contains(reason), "{text:?}: {error:?}");
        }
    }
}
