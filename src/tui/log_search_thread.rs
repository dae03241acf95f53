//! Searches the output of all jobs on a thread of its own, which ends when another search begins.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::store::log::{LinePattern, LineSearch, OutputLine};
use crate::store::{Store, StoreError};
use crate::text;

use super::log_search::{LogHit, LogSearchRequest, LogSearchResults, MAX_HITS};
use super::message::Message;

/// How many jobs are read at once.
const PAGE_LENGTH: usize = 200;
/// The longest part of a line that is shown, in cells.
const MAX_LINE_CELLS: usize = 400;
/// How many lines are sent at once.
const BATCH_LENGTH: usize = 50;

/// A search in progress.
struct Searcher<'s> {
    request: &'s LogSearchRequest,
    messages: &'s Sender<Message>,
    batch: Vec<LogHit>,
    found: usize,
}

/// Searches until it is done, or until another request is current. The latest runs of a job come first.
pub(super) fn search(mut store: Box<dyn Store>, request: &LogSearchRequest, messages: &Sender<Message>) {
    let ignores_case = !request.text.chars().any(char::is_uppercase);
    let mut searcher = Searcher { request, messages, batch: Vec::new(), found: 0 };
    let end = match LinePattern::new(&request.text, ignores_case, true) {
        Ok(pattern) => searcher.search_site(&pattern, store.as_mut()).map_err(|error| error.to_string()),
        Err(_) => Err("This text is too long to search for.".to_owned()),
    };
    if !request.current.is(request.id) {
        return;
    }
    searcher.send(Some(end.is_err() || searcher.found >= MAX_HITS));
    if let Err(error) = end {
        // The receiver is gone while the screen closes.
        let _ = messages.send(Message::Error(error));
    }
}

impl Searcher<'_> {
    fn search_site(&mut self, pattern: &LinePattern, store: &mut dyn Store) -> Result<(), StoreError> {
        let queues = store.queues()?.into_iter().map(|queue| queue.id);
        let is_wanted = |id: &_| self.request.queue.as_ref().is_none_or(|queue| queue == id);
        for queue in queues.filter(is_wanted).collect::<Vec<_>>() {
            let mut last = None;
            loop {
                let mut page = store.jobs_page(&queue, last.as_ref(), PAGE_LENGTH)?;
                for job in &page {
                    let runs = if job.attempts > 1 {
                        store.runs(job.id)?
                    } else {
                        Vec::from_iter(job.last_run.as_deref().cloned())
                    };
                    for run in runs.into_iter().rev() {
                        let (run, path) = (Arc::new(run), job.path());
                        let mut log = store.log_reader(run.id);
                        LineSearch::new(pattern, false).run(&mut log, &mut |line| {
                            self.add(line, |line, text| LogHit {
                                job: job.id,
                                path: path.clone(),
                                run: Arc::clone(&run),
                                offset: line.offset,
                                number: line.number,
                                text,
                            })
                        })?;
                        if self.is_over() {
                            return Ok(());
                        }
                    }
                    // What was found in a job is shown at once.
                    self.send(None);
                }
                if page.len() < PAGE_LENGTH {
                    break;
                }
                last = page.pop();
            }
        }
        Ok(())
    }

    fn add(&mut self, line: &OutputLine<'_>, hit: impl FnOnce(&OutputLine<'_>, String) -> LogHit) -> ControlFlow<()> {
        let text = text::fit(line.text.trim_start(), MAX_LINE_CELLS, text::ELLIPSIS).into_owned();
        self.batch.push(hit(line, text));
        self.found += 1;
        if self.batch.len() >= BATCH_LENGTH {
            self.send(None);
        }
        if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_over(&self) -> bool {
        self.found >= MAX_HITS || !self.request.current.is(self.request.id)
    }

    /// Sends what was found; `end` says that the search is over, and whether it was cut short.
    fn send(&mut self, end: Option<bool>) {
        if self.batch.is_empty() && end.is_none() {
            return;
        }
        let results = LogSearchResults { id: self.request.id, hits: std::mem::take(&mut self.batch), end };
        // The receiver is gone while the screen closes.
        let _ = self.messages.send(Message::LogSearch(results));
    }
}
