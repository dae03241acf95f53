//! Help topics: one text for `setlist help TOPIC`, the manual pages and the repository.

use std::fmt::Write;

use super::help_blocks::{self, Block, cells};
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

const TOPICS: [HelpTopic; 22] = topics![
    "jobs.yaml" "schedules" "monitoring" "values" "inputs" "items" "conditions" "snapshots" "pools" "environment" "failures" "keys" "filters"
    "json" "state" "machines" "service" "config" "import" "from" "other-tools" "what-happens"
];

/// What people look for, and the field or topic that it is about.
const OTHER_WORDS: [(&str, &str); 27] = [
    ("approvals", "confirm"),
    ("approval", "confirm"),
    ("concurrency", "parallel"),
    ("batch", "for_each"),
    ("dependencies", "needs"),
    ("dependency", "needs"),
    ("exit-codes", "ok_codes"),
    ("git", "snapshots"),
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
    ("worktree", "snapshots"),
    ("variables", "SETLIST_QUEUE"),
];

/// The longest line of a rendered topic, unless a word or an example is longer.
const MAX_WIDTH: usize = 100;

/// On narrower terminals, lines are broken by the terminal.
const MIN_WIDTH: usize = 30;

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
            write_table(&rows, MAX_WIDTH, &mut text);
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

/// The name that [`about`] explains which is most like this one.
pub(super) fn closest_name(word: &str) -> Option<String> {
    let names = TOPICS.iter().flat_map(|topic| topic.markdown.split('`').skip(1).step_by(2));
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let scored = names.filter(is_name).map(|name| (strsim::jaro_winkler(word, name), name));
    let near = scored.filter(|(score, name)| *score > 0.9 && about(name).is_some());
    near.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name.to_owned())
}

impl HelpTopic {
    /// The heading.
    pub(super) fn title(&self) -> &str {
        self.markdown.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }

    /// The text for a file, or for a terminal of this width.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        render(self.markdown, width)
    }

    /// Its parts.
    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        help_blocks::blocks(self.markdown)
    }
}

/// Renders a topic as plain text. Without a width, paragraphs keep their lines.
fn render(markdown: &str, width: Option<usize>) -> String {
    let mut rendered = String::new();
    let Some(width) = width else {
        return render_lines(markdown);
    };
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    for block in help_blocks::blocks(markdown) {
        match block {
            Block::Title(line) | Block::Heading(line) => fill("", 0, line, width, &mut rendered),
            Block::Paragraph(text) => fill("", 0, &text, width, &mut rendered),
            Block::Item(text) => fill("- ", 2, &text, width, &mut rendered),
            Block::Example(lines) => write_example(&lines, &mut rendered),
            Block::Table(rows) => write_table(&rows, width, &mut rendered),
            Block::Gap => rendered.push('\n'),
        }
    }
    rendered
}

/// Renders a topic with the lines that it is written in. Comments are left out.
fn render_lines(markdown: &str) -> String {
    let mut rendered = String::new();
    let mut lines = markdown.lines().filter(|line| !line.starts_with("<!--")).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let example: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            write_example(&example, &mut rendered);
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            write_table(&rows, MAX_WIDTH, &mut rendered);
        } else {
            let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("# "));
            let _ = writeln!(rendered, "{}", heading.unwrap_or(line));
        }
    }
    rendered
}

fn write_example(lines: &[&str], rendered: &mut String) {
    for example in lines {
        let _ = writeln!(rendered, "{}", format!("    {example}").trim_end());
    }
}

/// Writes words in lines of this width behind what the first line starts with, and indents the others. Longer words stay
/// whole.
fn fill(start: &str, indent: usize, words: &str, width: usize, rendered: &mut String) {
    let mut line = start.to_owned();
    for word in words.split(' ') {
        if text::width(&line) > indent && text::width(&line) + text::width(word) > width {
            let _ = writeln!(rendered, "{}", line.trim_end());
            line = " ".repeat(indent);
        }
        line += word;
        line.push(' ');
    }
    let _ = writeln!(rendered, "{}", line.trim_end());
}

/// Writes a table in columns; the last column is wrapped. Where the others leave no room for it, it is below them.
fn write_table(rows: &[Vec<String>], width: usize, rendered: &mut String) {
    let rows: Vec<_> = rows.iter().filter(|row| !row.iter().all(|cell| cell.starts_with("---"))).collect();
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let column_width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| text::width(cell)).max().unwrap_or(0).min(width / 3)
    };
    let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(column_width).collect();
    let indent = 2 + widths.iter().map(|width| width + 2).sum::<usize>();
    let is_below = indent > width * 2 / 3;
    for row in rows {
        let mut line = "  ".to_owned();
        for (cell, width) in row.iter().zip(&widths) {
            // A cell that is too wide pushes the rest of its row.
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(text::width(cell)) + 2));
        }
        let last = row.last().map_or("", String::as_str);
        if is_below {
            let _ = writeln!(rendered, "{}", line.trim_end());
            fill("      ", 6, last, width, rendered);
        } else {
            fill(&line, indent, last, width, rendered);
        }
    }
}
