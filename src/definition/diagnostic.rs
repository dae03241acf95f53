//! What is wrong with a `jobs.yaml`, ready to be shown: places, the lines themselves, and what to do.

use std::fmt;
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
    /// The whole line, without its break; empty when the file as a whole is meant.
    pub text: Arc<str>,
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
        let mut reports: Vec<String> =
            self.list.iter().map(|diagnostic| renderer.render(&[self.report(diagnostic)])).collect();
        if self.more > 0 {
            reports.push(renderer.render(&[Group::with_title(
                Level::NOTE.secondary_title(format!("{} more errors are not shown", self.more)),
            )]));
        }
        reports.join("\n\n")
    }

    fn report<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let mut group = Level::ERROR
            .primary_title(diagnostic.message.as_str())
            .element(Origin::path(self.name.as_str()).line(diagnostic.line).char_column(diagnostic.column));
        if !diagnostic.snippet.text.is_empty() {
            let mut shown = self.shown(&diagnostic.snippet, AnnotationKind::Primary, diagnostic.expected.as_deref());
            let mut elsewhere: Vec<(usize, Shown<'a, Annotation<'a>>)> = Vec::new();
            for Related { snippet, message } in &diagnostic.related {
                let also = AnnotationKind::Context.span(snippet.span.clone()).label(message.as_str());
                if snippet.line == diagnostic.line {
                    shown = shown.annotation(also);
                } else if let Some(at) = elsewhere.iter().position(|(line, _)| *line == snippet.line) {
                    let (line, other) = elsewhere.swap_remove(at);
                    elsewhere.push((line, other.annotation(also)));
                } else {
                    let other = self.shown(snippet, AnnotationKind::Context, Some(message));
                    elsewhere.push((snippet.line, other));
                }
            }
            elsewhere.sort_by_key(|(line, _)| *line);
            let elsewhere = elsewhere.into_iter().map(|(_, shown)| shown);
            group = Level::ERROR.primary_title(diagnostic.message.as_str()).element(shown).elements(elsewhere);
        }
        if !diagnostic.path.is_empty() {
            group = group.element(Level::NOTE.message(format!("in {}", diagnostic.path)));
        }
        match &diagnostic.hint {
            Some(hint) => group.element(Level::HELP.message(hint.as_str())),
            None => group,
        }
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
