//! What is wrong with a `jobs.yaml`, ready to be shown: places, the lines themselves, and what to do.

use std::fmt;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet as Shown};

/// All that is wrong with one file; never empty. Displays as one line, [`render`](Self::render)s as a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// What the file is called in messages.
    pub name: String,
    /// The errors, in the file's order.
    pub list: Vec<Diagnostic>,
    /// How many more there are that were only counted.
    pub more: usize,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The way to the value: `queues.build.jobs[3].timeout`; `""` where the text is no YAML.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What was expected at the place.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself.
    pub snippet: Snippet,
    /// Other places that belong to the error.
    pub related: Vec<Related>,
}

/// A line of the file with the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line, without its break; of a very long one what is around the part that is meant. Empty when the file as a
    /// whole is meant.
    pub text: Arc<str>,
    /// How many bytes of the line were left out before `text`.
    pub skipped: usize,
    /// The part that is meant, as bytes of `text`. Empty where something is missing.
    pub span: Range<usize>,
}

/// Another place that belongs to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The place.
    pub snippet: Snippet,
    /// What is there.
    pub message: String,
}

impl Diagnostics {
    /// The whole report, as a compiler would print it, without a last newline.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut reports: Vec<String> = self.list.iter().map(|diagnostic| self.report(diagnostic, &renderer)).collect();
        if self.more > 0 {
            reports.push(renderer.render(&[Group::with_title(
                Level::NOTE.secondary_title(format!("{} more errors are not shown", self.more)),
            )]));
        }
        reports.join("\n\n")
    }

    fn report(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let group = Level::ERROR.primary_title(diagnostic.message.as_str());
        let mut elsewhere: Vec<(&Snippet, Shown<'_, Annotation<'_>>)> = Vec::new();
        let Diagnostic { line, column, snippet, .. } = diagnostic;
        let mut group = if snippet.text.is_empty() {
            group.element(Origin::path(self.name.as_str()).line(*line).char_column(*column))
        } else {
            let mut shown = self.shown(snippet, AnnotationKind::Primary, diagnostic.expected.as_deref());
            for Related { snippet: other, message } in &diagnostic.related {
                let also = AnnotationKind::Context.span(other.span.clone()).label(message.as_str());
                if other.is_beside(snippet) {
                    shown = shown.annotation(also);
                } else if let Some(at) = elsewhere.iter().position(|(known, _)| known.is_beside(other)) {
                    let (known, shown) = elsewhere.swap_remove(at);
                    elsewhere.push((known, shown.annotation(also)));
                } else {
                    elsewhere.push((other, self.shown(other, AnnotationKind::Context, Some(message))));
                }
            }
            elsewhere.sort_by_key(|(snippet, _)| (snippet.line, snippet.column));
            group.element(shown)
        };
        let places: Vec<&Snippet> = iter::once(snippet).chain(elsewhere.iter().map(|(snippet, _)| *snippet)).collect();
        group = group.elements(elsewhere.into_iter().map(|(_, shown)| shown));
        if !diagnostic.path.is_empty() {
            group = group.element(Level::NOTE.message(format!("in {}", diagnostic.path)));
        }
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        with_columns(renderer.render(&[group]), &places)
    }

    fn shown<'a>(
        &'a self,
        snippet: &'a Snippet,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> Shown<'a, Annotation<'a>> {
        Shown::source(&*snippet.text)
            .path(self.name.as_str())
            .line_start(snippet.line)
            .annotation(kind.span(snippet.span.clone()).label(label))
    }
}

/// The report with the columns of these places, which it has in this order: the renderer counts them in what it is given
/// of a line.
fn with_columns(mut report: String, places: &[&Snippet]) -> String {
    let mut from = report.find('\n').unwrap_or_default();
    for place in places.iter().filter(|place| place.skipped > 0) {
        let counted = place.text[..place.span.start].chars().count() + 1;
        let counted = format!(":{}:{counted}", place.line);
        if let Some(at) = report[from..].find(&counted) {
            let told = format!(":{}:{}", place.line, place.column);
            report.replace_range(from + at..from + at + counted.len(), &told);
            from += at + told.len();
        }
    }
    report
}

impl Snippet {
    /// Whether both are parts of the same piece of the file.
    fn is_beside(&self, other: &Self) -> bool {
        self.line == other.line && self.skipped == other.skipped && self.text.len() == other.text.len()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.list.first() else { return f.write_str(&self.name) };
        write!(f, "{}:{}:{}: {}", self.name, first.line, first.column, first.message)?;
        match self.list.len() - 1 + self.more {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}
