//! The results of a matrix or a list of items: a row per job with its parameters and what its value holds.

use std::cmp::Ordering;

use crate::model::{Job, JobId, QueueId, SiteState, Value, result_value};

use super::action::Action;
use super::keys::{KeyCode, KeyPress};
use super::page_context::{PageContext, PageResponse, next_row, scrolled_to};

/// In a queue with more jobs than this, the jobs of a matrix are not looked up while the screen is drawn.
const MAX_QUEUE_JOBS: usize = 20_000;
/// How many keys of values have a column.
const MAX_VALUE_COLUMNS: usize = 12;
/// Words in the names of values of which the highest is best.
const HIGHEST_IS_BEST: [&str; 9] =
    ["acc", "score", "f1", "auc", "reward", "throughput", "precision", "recall", "speedup"];

/// The table, one of its jobs selected.
#[derive(Debug)]
pub(super) struct ResultsTable {
    /// A job of the matrix.
    job: JobId,
    pub(super) selected: Option<JobId>,
    /// The column by which it is sorted; by default the first one of the values.
    column: Option<usize>,
    /// Whether the highest comes first; by default what is best, as far as its name says.
    highest_first: Option<bool>,
    /// The first visible row.
    pub(super) offset: usize,
}

/// The jobs of a matrix with what is compared.
#[derive(Debug)]
pub(super) struct MatrixResults<'a> {
    /// The name of the entry.
    pub(super) entry: &'a str,
    pub(super) queue: &'a QueueId,
    /// The names of the parameters, then those of the values.
    pub(super) columns: Vec<String>,
    /// How many of the columns are parameters.
    pub(super) parameters: usize,
    /// The jobs in order, each with the text of its columns.
    pub(super) rows: Vec<ResultRow<'a>>,
    /// The column by which the rows are sorted, and whether the highest comes first.
    pub(super) order: (usize, bool),
}

/// A job of the matrix.
#[derive(Debug)]
pub(super) struct ResultRow<'a> {
    pub(super) job: &'a Job,
    cells: Vec<Option<Value>>,
}

impl ResultRow<'_> {
    /// The text of a column; empty without a value.
    pub(super) fn text(&self, column: usize) -> String {
        self.cells.get(column).and_then(Option::as_ref).map(result_value::text_of).unwrap_or_default()
    }

    /// Whether a column has a number.
    pub(super) fn is_number(&self, column: usize) -> bool {
        self.cells.get(column).and_then(Option::as_ref).is_some_and(|value| result_value::number(value).is_some())
    }
}

impl ResultsTable {
    /// The results of the matrix of this job.
    pub(super) fn new(job: JobId) -> Self {
        Self { job, selected: Some(job), column: None, highest_first: None, offset: 0 }
    }

    /// The results as they are now; `None` if the job is gone, or its queue has too many jobs.
    pub(super) fn results<'a>(&self, site: &'a SiteState) -> Option<MatrixResults<'a>> {
        let job = site.job(self.job)?;
        let matrix = job.definition.matrix.as_deref()?;
        let jobs = matrix_jobs(job, site)?;
        let names: Vec<&str> = matrix.names().collect();
        let keys = value_keys(&jobs);
        let mut columns: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        columns.extend(if keys.is_empty() { vec!["value".to_owned()] } else { keys.clone() });
        let rows = jobs.into_iter().map(|job| {
            let parameters = job.definition.matrix.as_deref();
            let parameter = |name: &&str| parameters.and_then(|values| values.get(name)).map(Value::from);
            let mut cells: Vec<Option<Value>> = names.iter().map(parameter).collect();
            match job.result() {
                result if keys.is_empty() => cells.push(result.cloned()),
                result => cells.extend(keys.iter().map(|key| result?.get(key).cloned())),
            }
            ResultRow { job, cells }
        });
        let (rows, parameters) = (rows.collect(), names.len());
        let column = self.column.unwrap_or(parameters).min(columns.len() - 1);
        let is_best = |word: &&str| columns[column].to_lowercase().contains(*word);
        let highest_first = self.highest_first.unwrap_or(column >= parameters && HIGHEST_IS_BEST.iter().any(is_best));
        let mut results = MatrixResults {
            entry: &matrix.entry,
            queue: &job.queue,
            columns,
            parameters,
            rows,
            order: (column, highest_first),
        };
        results.sort();
        Some(results)
    }

    /// The index of the selected job, or else of the first one.
    pub(super) fn selected_row(&self, results: &MatrixResults<'_>) -> usize {
        results.rows.iter().position(|row| Some(row.job.id) == self.selected).unwrap_or(0)
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, action: Option<Action>, context: &PageContext<'_>) -> PageResponse {
        let Some(results) = self.results(context.site) else {
            return action.map_or(PageResponse::KeepOpen, PageResponse::Perform);
        };
        let row = self.selected_row(&results);
        if let Some(next) = next_row(key, action, row, visible_rows(context.height), results.rows.len()) {
            self.selected = results.rows.get(next).map(|row| row.job.id);
            return PageResponse::KeepOpen;
        }
        let ((column, highest_first), last) = (results.order, results.columns.len() - 1);
        match (key.code, action) {
            (KeyCode::Enter, _) => {
                if let Some(row) = results.rows.get(row) {
                    return PageResponse::ShowRun(row.job.id, None);
                }
            }
            (KeyCode::Left | KeyCode::BackTab, _) | (_, Some(Action::PreviousPane)) => {
                (self.column, self.highest_first) = (Some(column.checked_sub(1).unwrap_or(last)), None);
            }
            (KeyCode::Right | KeyCode::Tab, _) | (_, Some(Action::NextPane)) => {
                (self.column, self.highest_first) = (Some(if column < last { column + 1 } else { 0 }), None);
            }
            (_, Some(Action::Sort)) => self.highest_first = Some(!highest_first),
            (_, Some(action)) => return PageResponse::Perform(action),
            (_, None) => {}
        }
        PageResponse::KeepOpen
    }

    /// Selects a visible row; returns whether it was selected before.
    pub(super) fn click(&mut self, row: usize, context: &PageContext<'_>) -> bool {
        let Some(results) = self.results(context.site) else { return false };
        let Some(clicked) = results.rows.get(self.offset + row).map(|row| row.job.id) else { return false };
        let was_selected = results.rows.get(self.selected_row(&results)).is_some_and(|row| row.job.id == clicked);
        self.selected = Some(clicked);
        was_selected
    }

    /// Keeps the selected row visible.
    pub(super) fn sync(&mut self, context: &PageContext<'_>) {
        let Some(results) = self.results(context.site) else { return };
        let row = self.selected_row(&results);
        self.selected = results.rows.get(row).map(|row| row.job.id).or(self.selected);
        self.offset = scrolled_to(row, self.offset, visible_rows(context.height), results.rows.len());
    }
}

impl MatrixResults<'_> {
    /// Sorts the rows by their column: numbers before text, jobs without a value last.
    fn sort(&mut self) {
        let (column, highest_first) = self.order;
        self.rows.sort_by(|a, b| match (&a.cells[column], &b.cells[column]) {
            (Some(a), Some(b)) => {
                let (is_number, order) = (result_value::number(a).is_some(), result_value::compare(a, b));
                let both = is_number == result_value::number(b).is_some();
                if highest_first && both { order.reverse() } else { order }
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
    }

    /// Whether any job has a value.
    pub(super) fn has_values(&self) -> bool {
        self.rows.iter().any(|row| row.cells[self.parameters..].iter().any(Option::is_some))
    }

    /// The order in words.
    pub(super) fn order_text(&self) -> String {
        let (column, highest_first) = self.order;
        format!("{} {} first", if highest_first { "highest" } else { "lowest" }, self.columns[column])
    }
}

/// The jobs of the matrix of `job`, in the order of the file; `None` if the queue has too many jobs.
pub(super) fn matrix_jobs<'a>(job: &Job, site: &'a SiteState) -> Option<Vec<&'a Job>> {
    let queue = site.queue(&job.queue)?;
    let lists = [&queue.finished, &queue.running, &queue.pending];
    if lists.iter().map(|list| list.len()).sum::<usize>() > MAX_QUEUE_JOBS {
        return None;
    }
    let all = lists.into_iter().flatten().filter_map(|id| site.job(*id));
    let mut jobs: Vec<&Job> = all.filter(|other| other.is_in_matrix_of(job)).collect();
    jobs.sort_by_key(|job| (job.position, job.id));
    Some(jobs)
}

/// The rows of a body of this height.
pub(super) fn visible_rows(height: u16) -> usize {
    usize::from(height.saturating_sub(2))
}

/// The keys of the values that are maps; empty if none is.
fn value_keys(jobs: &[&Job]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for map in jobs.iter().filter_map(|job| job.result()?.as_object()) {
        for key in map.keys() {
            if keys.len() < MAX_VALUE_COLUMNS && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    keys
}
