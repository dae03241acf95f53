//! Text in HTML and XML.

use super::{sanitize, sanitize_line};

/// Text as content or as a quoted attribute of HTML and XML. Characters that XML does not allow, and all that [`sanitize`]
/// removes, are left out.
pub fn escape_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in sanitize(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => {}
            '\n' => escaped.push('\n'),
            character if character.is_control() => {}
            character => escaped.push(character),
        }
    }
    escaped
}

/// Like [`escape_markup`], on one line.
pub fn escape_line(text: &str) -> String {
    escape_markup(&sanitize_line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        let text = "<script>alert('1 & \"2\"')</script>\x1b[31m\u{0}\u{b}\u{202e}\u{ffff}é\nend";
        let safe = "&lt;script&gt;alert(&#39;1 &amp; &quot;2&quot;&#39;)&lt;/script&gt;é\nend";
        assert_eq!(escape_markup(text), safe);
    }
}
