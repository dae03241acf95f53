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

const TOPICS: [HelpTopic; 21] = topics![
    "jobs.yaml" "schedules" "monitoring" "values" "inputs" "items" "conditions" "pools" "environment" "failures" "keys" "filters"
    "json" "state" "machines" "service" "config" "import" "from" "other-tools" "what-happens"
];

/// What people look for, and the field or topic that it is about.
const OTHER_WORDS: [(&str, &str); 25] = [
    ("approvals", "confirm"),
    ("approval", "confirm"),
    ("concurrency", "parallel"),
    ("batch", "for_each"),
    ("dependencies", "needs"),
    ("dependency", "needs"),
    ("exit-codes", "ok_codes"),
    ("gpu", "runs_on"),
    ("hook", "on_finish"),
    ("hooks", "on_finish"),
    ("labels", "runs_on"),
    ("label", "runs_on"),
    ("notifications", "on_finish"),
    ("notify", "on_finish"),
    ("parallelism", "parallel"),
    ("parameters", "matrix"),
    ("priorities", "priority"),
    ("question", "confirm"),
    ("questions", "confirm"),
    ("retention", "keep"),
    ("retries", "retry"),
    ("terminal", "pty"),
    ("timeouts", "timeout"),
    ("value", "values"),
    ("variables", "SETLIST_QUEUE"),
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

/// What the topics say about a field or another name in backticks: rows of tables, or else paragraphs. None if it isn't
/// explained anywhere.
pub(super) fn about(word: &str) -> Option<String> {
    let word = OTHER_WORDS.iter().find(|(other, _)| *other == word).map_or(word, |(_, name)| name);
    // `keep: {runs: 100}` explains `keep`.
    let names = [format!("`{word}`"), format!("`{word}: ")];
    let mentions = |text: &str| names.iter().any(|name| text.contains(name));
    let rows_of = |topic: &HelpTopic| -> Vec<Vec<String>> {
        let rows = topic.markdown.lines().filter(|line| line.starts_with('|')).map(cells);
        rows.filter(|row| row.first().is_some_and(|cell| mentions(cell))).collect()
    };
    let paragraphs_of = |topic: &HelpTopic| -> Vec<&'static str> {
        let paragraphs = topic.markdown.split("\n\n").filter(|text| !text.starts_with('|'));
        paragraphs.filter(|text| mentions(text) && !text.contains("```")).collect()
    };
    let mut text = String::new();
    for topic in &TOPICS {
        let rows = rows_of(topic);
        if !rows.is_empty() {
            let _ = writeln!(text, "{} (`setlist help {}`)\n", topic.title(), topic.name);
            write_table(&rows, &mut text);
            text.push('\n');
        }
    }
    if text.is_empty() {
        for topic in &TOPICS {
            for paragraph in paragraphs_of(topic) {
                let _ =
                    writeln!(text, "{} (`setlist help {}`)\n\n{}\n", topic.title(), topic.name, paragraph.trim_end());
            }
        }
    }
    (!text.is_empty()).then(|| text.trim_end().to_owned() + "\n")
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
