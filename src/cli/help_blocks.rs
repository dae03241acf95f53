//! The blocks of a help topic, written in a small part of Markdown: headings, paragraphs, lists, fenced examples and tables.

use std::iter::Peekable;

/// A part of a help topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block<'t> {
    /// The title of the topic.
    Title(&'t str),
    /// The heading of a section.
    Heading(&'t str),
    /// Some words, on one line.
    Paragraph(String),
    /// An item of a list, on one line.
    Item(String),
    /// The lines of an example.
    Example(Vec<&'t str>),
    /// The rows of a table, with its header and without the line below that.
    Table(Vec<Vec<String>>),
    /// An empty line.
    Gap,
}

/// Reads the blocks. Comments are left out.
pub(super) fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut lines = markdown.lines().filter(|line| !line.starts_with("<!--")).peekable();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        blocks.push(if line.starts_with("```") {
            Block::Example(lines.by_ref().take_while(|line| !line.starts_with("```")).collect())
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            rows.retain(|row| !row.iter().all(|cell| cell.starts_with("---")));
            Block::Table(rows)
        } else if let Some(heading) = line.strip_prefix("## ") {
            Block::Heading(heading)
        } else if let Some(title) = line.strip_prefix("# ") {
            Block::Title(title)
        } else if line.trim().is_empty() {
            Block::Gap
        } else if let Some(item) = line.strip_prefix("- ") {
            Block::Item(joined(item, &mut lines))
        } else {
            Block::Paragraph(joined(line, &mut lines))
        });
    }
    blocks
}

/// A line with those that continue it.
fn joined<'t>(first: &str, lines: &mut Peekable<impl Iterator<Item = &'t str>>) -> String {
    let begins_block = |line: &&str| line.trim().is_empty() || line.starts_with(['|', '#']) || line.starts_with("- ");
    let mut text = first.trim().to_owned();
    while let Some(line) = lines.next_if(|line| !begins_block(line) && !line.starts_with("```")) {
        text.push(' ');
        text.push_str(line.trim());
    }
    text
}

/// The cells of a row of a table.
pub(super) fn cells(row: &str) -> Vec<String> {
    // A pipe within a cell is escaped.
    let row = row.trim_matches('|').replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_until_the_next_block() {
        let read = blocks("# T\n\none\ntwo\n- a\n  b\n- c\n| x | y \\| z |\n|---|---|\n```\n run\n```\n## S\n");
        let paragraph = Block::Paragraph("one two".to_owned());
        let (first, second) = (Block::Item("a b".to_owned()), Block::Item("c".to_owned()));
        let table = Block::Table(vec![vec!["x".to_owned(), "y | z".to_owned()]]);
        let example = Block::Example(vec![" run"]);
        let expected = [Block::Title("T"), Block::Gap, paragraph, first, second, table, example, Block::Heading("S")];
        assert_eq!(read, expected);
    }
}
