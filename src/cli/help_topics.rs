//! Help topics: one text for `setlist help TOPIC`, the manual pages and the repository.

use std::fmt::Write;

use crate::text;

/// A help topic.
pub(super) struct HelpTopic {
    pub(super) name: &'static str,
    /// In Markdown, restricted to the elements that [`render`] knows.
    markdown: &'static str,
}

macro_rules! topics {
    ($($name:literal)*) => {
        [$(HelpTopic { name: $name, markdown: include_str!(concat!("help/", $name, ".md")) }),*]
    };
}

const TOPICS: [HelpTopic; 14] = topics![
    "jobs.yaml" "schedules" "pools" "environment" "failures" "keys" "filters" "json" "state" "service" "config"
    "import" "other-tools" "what-happens"
];

/// The longest line of a rendered topic, unless a word or an example is longer.
const MAX_WIDTH: usize = 100;

/// All topics.
pub(super) fn all() -> &'static [HelpTopic] {
    &TOPICS
}

/// The topic of this name.
pub(super) fn find(name: &str) -> Option<&'static HelpTopic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

impl HelpTopic {
    /// The heading.
    pub(super) fn title(&self) -> &str {
        self.markdown.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }

    /// The text for a terminal or a manual page.
    pub(super) fn text(&self) -> String {
        render(self.markdown)
    }
}

/// Renders headings, paragraphs, fenced examples and tables as plain text. Comments are left out.
fn render(markdown: &str) -> String {
    let mut rendered = String::new();
    let mut lines = markdown.lines().filter(|line| !line.starts_with("<!--")).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            for example in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                let _ = writeln!(rendered, "{}", format!("    {example}").trim_end());
            }
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            write_table(&rows, &mut rendered);
        } else {
            let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("# "));
            let _ = writeln!(rendered, "{}", heading.unwrap_or(line));
        }
    }
    rendered
}

/// The cells of a row of a table.
fn cells(row: &str) -> Vec<String> {
    // A pipe within a cell is escaped.
    let row = row.trim_matches('|').replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// Writes a table in columns; the last column is wrapped.
fn write_table(rows: &[Vec<String>], rendered: &mut String) {
    let rows: Vec<_> = rows.iter().filter(|row| !row.iter().all(|cell| cell.starts_with("---"))).collect();
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| text::width(cell))
            .max()
            .unwrap_or(0)
            .min(MAX_WIDTH / 3)
    };
    let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(width).collect();
    let indent = 2 + widths.iter().map(|width| width + 2).sum::<usize>();
    for row in rows {
        let mut line = "  ".to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            // A cell that is too wide pushes the rest of its row.
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(text::width(cell)) + 2));
        }
        for word in row.last().map_or("", String::as_str).split(' ') {
            if text::width(&line) > indent && text::width(&line) + text::width(word) > MAX_WIDTH {
                let _ = writeln!(rendered, "{}", line.trim_end());
                line = " ".repeat(indent);
            }
            line += word;
            line.push(' ');
        }
        let _ = writeln!(rendered, "{}", line.trim_end());
    }
}
