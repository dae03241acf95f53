//! The search over the output of all jobs: its text, its scope and what it has found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{JobId, QueueId, Run};

use super::keys::{KeyCode, KeyPress};
use super::line_editor::LineEditor;

/// How many lines are found at most.
pub(super) const MAX_HITS: usize = 1000;

/// A search, and the lines that it has found so far.
#[derive(Debug)]
pub(super) struct LogSearch {
    pub(super) line: LineEditor,
    /// The queue of the screen.
    queue: QueueId,
    /// The error of the selected job, which `Enter` searches for before a text is typed.
    error: Option<String>,
    /// Whether the jobs of all queues are searched, not only those of this one.
    pub(super) searches_all: bool,
    pub(super) hits: Vec<LogHit>,
    pub(super) state: LogSearchState,
    pub(super) selected: usize,
    /// The first visible line.
    pub(super) offset: usize,
    /// The number of the request whose results are shown.
    request: u64,
    /// Which request is in progress; others end.
    current: CurrentSearch,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogSearchState {
    /// Nothing is searched for.
    NoText,
    /// More lines may be found.
    Searching,
    /// All output was searched.
    Complete,
    /// There are more lines than are shown.
    Cut,
}

/// A line that was found.
#[derive(Clone, Debug)]
pub struct LogHit {
    /// Its job.
    pub job: JobId,
    /// The name of the job.
    pub path: String,
    /// Its run.
    pub run: Arc<Run>,
    /// Where the line starts in the output.
    pub offset: u64,
    /// Its number, if it is known.
    pub number: Option<u64>,
    /// The line, as it is shown.
    pub text: String,
}

/// A text to search for.
#[derive(Clone, Debug)]
pub struct LogSearchRequest {
    /// Its number.
    pub id: u64,
    /// The text. Case is ignored unless it contains capitals.
    pub text: String,
    /// The only queue to search.
    pub queue: Option<QueueId>,
    /// Ends when another one is current.
    pub current: CurrentSearch,
}

/// Some results of a search.
#[derive(Clone, Debug)]
pub struct LogSearchResults {
    /// The number of the request.
    pub id: u64,
    /// More lines.
    pub hits: Vec<LogHit>,
    /// Whether the search is over, and whether it was cut short.
    pub end: Option<bool>,
}

/// The number of the search in progress.
#[derive(Clone, Debug, Default)]
pub struct CurrentSearch(Arc<AtomicU64>);

/// The result of a key press in the search.
#[derive(Debug)]
pub(super) enum LogSearchResponse {
    /// It stays open.
    KeepOpen,
    /// It stays open, and this is to be searched for.
    Search(LogSearchRequest),
    /// It is closed.
    Close,
    /// It is closed, and this line is shown in its output.
    Show(LogHit),
}

impl CurrentSearch {
    /// Whether this request is still in progress.
    pub fn is(&self, id: u64) -> bool {
        self.0.load(Ordering::Relaxed) == id
    }

    /// Ends the search in progress; returns the number of the next.
    fn begin(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl LogSearch {
    /// A search from this queue, where a job has failed with this error.
    pub(super) fn new(queue: QueueId, error: Option<String>) -> Self {
        Self {
            line: LineEditor::default(),
            queue,
            error,
            searches_all: true,
            hits: Vec::new(),
            state: LogSearchState::NoText,
            selected: 0,
            offset: 0,
            request: 0,
            current: CurrentSearch::default(),
        }
    }

    /// The job of the selected line.
    pub(super) fn selected_job(&self) -> Option<JobId> {
        self.hits.get(self.selected).map(|hit| hit.job)
    }

    /// The error that `Enter` searches for, while nothing is typed.
    pub(super) fn error_to_find(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.line.text().is_empty())
    }

    /// Searches for the text from the start.
    pub(super) fn restart(&mut self) -> Option<LogSearchRequest> {
        self.hits.clear();
        (self.selected, self.offset) = (0, 0);
        self.request = self.current.begin();
        let text = self.line.text().to_owned();
        if text.trim().is_empty() {
            self.state = LogSearchState::NoText;
            return None;
        }
        self.state = LogSearchState::Searching;
        let queue = (!self.searches_all).then(|| self.queue.clone());
        Some(LogSearchRequest { id: self.request, text, queue, current: self.current.clone() })
    }

    /// Ends a search in progress, and keeps what it has found.
    pub(super) fn stop(&mut self) {
        self.current.begin();
        if self.state == LogSearchState::Searching {
            self.state = LogSearchState::Cut;
        }
    }

    /// Adds results, if they are those of the last request.
    pub(super) fn add(&mut self, results: LogSearchResults) {
        if results.id == self.request && self.state == LogSearchState::Searching {
            self.hits.extend(results.hits);
            match results.end {
                Some(true) => self.state = LogSearchState::Cut,
                Some(false) => self.state = LogSearchState::Complete,
                None => {}
            }
        }
    }

    /// Handles a key press; `page` is the number of visible lines.
    pub(super) fn press(&mut self, key: KeyPress, page: usize) -> LogSearchResponse {
        let last = self.hits.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => return LogSearchResponse::Close,
            KeyCode::Char('c' | 'g') if key.ctrl => return LogSearchResponse::Close,
            KeyCode::Enter if let Some(error) = self.error_to_find() => {
                self.line = LineEditor::new(error);
                return self.restart().map_or(LogSearchResponse::KeepOpen, LogSearchResponse::Search);
            }
            KeyCode::Enter => {
                let hit = self.hits.get(self.selected).cloned();
                return hit.map_or(LogSearchResponse::KeepOpen, LogSearchResponse::Show);
            }
            KeyCode::Tab | KeyCode::BackTab => {
                self.searches_all = !self.searches_all;
                return self.restart().map_or(LogSearchResponse::KeepOpen, LogSearchResponse::Search);
            }
            KeyCode::Down => self.selected = (self.selected + 1).min(last),
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = (self.selected + page).min(last),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(page),
            _ => {
                let before = self.line.text().to_owned();
                self.line.press(key);
                if self.line.text() != before {
                    return self.restart().map_or(LogSearchResponse::KeepOpen, LogSearchResponse::Search);
                }
            }
        }
        LogSearchResponse::KeepOpen
    }
}
