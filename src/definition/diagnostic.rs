//! The errors of a file, ready to be shown: positions, source lines and hints.

use std::fmt;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet as SourceSnippet};

use crate::text::{count_noun, is_or_are};

/// The errors of one file; at least one. `Display` writes one line, [`render`](Self::render) a full report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file's name in messages.
    pub name: String,
    /// The errors, sorted by position.
    pub errors: Vec<Diagnostic>,
    /// How many more errors were found but not kept.
    pub omitted: usize,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The path of the value, such as `queues.build.jobs[3].timeout`. Empty if the text isn't valid YAML.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What was expected.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The source line.
    pub snippet: Snippet,
    /// Other positions that explain the error.
    pub related: Vec<Related>,
}

/// A line of the file with a highlighted span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The name of the file, if it is one that is included.
    pub file: Option<Arc<str>>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line without its line break, or the part around the span if the line is very long. Empty if the error is
    /// about the whole file.
    pub text: Arc<str>,
    /// How many bytes of the line are omitted before `text`.
    pub skipped_bytes: usize,
    /// The highlighted bytes of `text`. Empty where something is missing.
    pub span: Range<usize>,
}

/// Another position that explains an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The position.
    pub snippet: Snippet,
    /// What is there.
    pub message: String,
}

impl Diagnostics {
    /// Formats the full report, as a compiler does, without a final newline.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut reports: Vec<String> =
            self.errors.iter().map(|diagnostic| self.report(diagnostic, &renderer)).collect();
        if self.omitted > 0 {
            reports.push(renderer.render(&[Group::with_title(Level::NOTE.secondary_title(format!(
                "{} {} not shown",
                count_noun(self.omitted, "more error"),
                is_or_are(self.omitted)
            )))]));
        }
        reports.join("\n\n")
    }

    fn report(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let group = Level::ERROR.primary_title(diagnostic.message.as_str());
        let mut other_lines: Vec<(&Snippet, SourceSnippet<'_, Annotation<'_>>)> = Vec::new();
        let Diagnostic { line, column, snippet, .. } = diagnostic;
        let mut group = if snippet.text.is_empty() {
            group.element(Origin::path(self.file_of(snippet)).line(*line).char_column(*column))
        } else {
            let mut shown = self.annotated_source(snippet, AnnotationKind::Primary, diagnostic.expected.as_deref());
            for Related { snippet: other, message } in &diagnostic.related {
                let also = AnnotationKind::Context.span(other.span.clone()).label(message.as_str());
                if other.is_beside(snippet) {
                    shown = shown.annotation(also);
                } else if let Some(at) = other_lines.iter().position(|(known, _)| known.is_beside(other)) {
                    let (known, shown) = other_lines.swap_remove(at);
                    other_lines.push((known, shown.annotation(also)));
                } else {
                    other_lines.push((other, self.annotated_source(other, AnnotationKind::Context, Some(message))));
                }
            }
            other_lines.sort_by_key(|(snippet, _)| (snippet.file.clone(), snippet.line, snippet.column));
            group.element(shown)
        };
        let snippets: Vec<&Snippet> =
            iter::once(snippet).chain(other_lines.iter().map(|(snippet, _)| *snippet)).collect();
        group = group.elements(other_lines.into_iter().map(|(_, shown)| shown));
        if !diagnostic.path.is_empty() {
            group = group.element(Level::NOTE.message(format!("in {}", diagnostic.path)));
        }
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        fix_columns(renderer.render(&[group]), &snippets)
    }

    /// The name of the file in which a snippet is.
    pub fn file_of<'a>(&'a self, snippet: &'a Snippet) -> &'a str {
        snippet.file.as_deref().unwrap_or(&self.name)
    }

    fn annotated_source<'a>(
        &'a self,
        snippet: &'a Snippet,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> SourceSnippet<'a, Annotation<'a>> {
        SourceSnippet::source(&*snippet.text)
            .path(self.file_of(snippet))
            .line_start(snippet.line)
            .annotation(kind.span(snippet.span.clone()).label(label))
    }
}

/// Corrects the columns in a report: the renderer counts them from the start of the text that is shown, not of the
/// line. `places` are in the order of the report.
fn fix_columns(mut report: String, snippets: &[&Snippet]) -> String {
    let mut from = report.find('\n').unwrap_or_default();
    for snippet in snippets.iter().filter(|snippet| snippet.skipped_bytes > 0) {
        let shown_column = snippet.text[..snippet.span.start].chars().count() + 1;
        let shown_column = format!(":{}:{shown_column}", snippet.line);
        if let Some(at) = report[from..].find(&shown_column) {
            let actual = format!(":{}:{}", snippet.line, snippet.column);
            report.replace_range(from + at..from + at + shown_column.len(), &actual);
            from += at + actual.len();
        }
    }
    report
}

impl Snippet {
    /// Whether both show the same part of the file.
    fn is_beside(&self, other: &Self) -> bool {
        self.file == other.file
            && self.line == other.line
            && self.skipped_bytes == other.skipped_bytes
            && self.text.len() == other.text.len()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.errors.first() else { return f.write_str(&self.name) };
        write!(f, "{}:{}:{}: {}", self.file_of(&first.snippet), first.line, first.column, first.message)?;
        match self.errors.len() - 1 + self.omitted {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}
