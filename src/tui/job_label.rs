//! What a list calls a job: its title; or, for one without a title, the name that every command takes, and its script.

use std::ops::Range;

use crate::model::Job;
use crate::text;

/// Between a name and a script.
const GAP: usize = 2;
/// With less room, the script behind a name is left out.
const MIN_SCRIPT_WIDTH: usize = 8;

/// The label of a job.
#[derive(Debug)]
pub(super) struct JobLabel {
    /// The name, if the job has no title.
    name: Option<String>,
    /// The title, or the first line of the script.
    text: String,
    /// Where in the title the values of a matrix are: they tell the job from the others.
    values: Vec<Range<usize>>,
}

/// The parts of a label that fit.
#[derive(Debug, Default)]
pub(super) struct FittingLabel {
    /// A title or a name.
    pub(super) main: String,
    /// The script behind a name, with a gap before it.
    pub(super) script: String,
}

impl JobLabel {
    /// The label of a job.
    pub(super) fn of(job: &Job) -> Self {
        let text = text::sanitize_line(&job.display_title());
        if !job.title().is_empty() {
            let values = matrix_values(job, &text);
            return Self { name: None, text, values };
        }
        let name = short_name(job);
        let text = if text == name { String::new() } else { text };
        Self { name: Some(name), text, values: Vec::new() }
    }

    /// Starts with the name that every command takes, with the title or the script behind it.
    pub(super) fn with_path(self, job: &Job) -> Self {
        Self { name: Some(text::sanitize_line(&job.path())), ..self }
    }

    /// The width if nothing of it is cut.
    pub(super) fn width(&self) -> usize {
        let gap = if self.text.is_empty() { 0 } else { GAP };
        self.name.as_ref().map_or(0, |name| text::width(name) + gap) + text::width(&self.text)
    }

    /// The label in at most `room` cells. What tells jobs apart is cut last.
    pub(super) fn fit(&self, room: usize, ellipsis: &str) -> FittingLabel {
        let Some(name) = &self.name else {
            return FittingLabel { main: self.fit_title(room, ellipsis), script: String::new() };
        };
        let main = text::fit_middle(name, room, None, ellipsis).into_owned();
        let left = room.saturating_sub(text::width(&main) + GAP);
        let script = if self.text.is_empty() || left < MIN_SCRIPT_WIDTH.min(text::width(&self.text)) {
            String::new()
        } else {
            format!("{}{}", " ".repeat(GAP), text::fit_middle(&self.text, left, None, ellipsis))
        };
        FittingLabel { main, script }
    }

    fn fit_title(&self, room: usize, ellipsis: &str) -> String {
        let first = self.values.iter().map(|range| range.start).min();
        let ends = first.map(|first| word_before(&self.text, first));
        let fits_at_end = ends.is_none_or(|start| text::width(self.text[start..].trim_start()) * 4 <= room * 3);
        if !fits_at_end && text::width(&self.text) > room {
            let fitting = text::fit_keeping(&self.text, room, &self.values, ellipsis);
            let values = self.values_alone();
            match fitting {
                // More than one gap is harder to read than the values alone.
                Some(fitting) if fitting.matches(ellipsis).count() < 2 => return fitting,
                _ if text::width(&values) <= room => return values,
                Some(fitting) => return fitting,
                None => {}
            }
        }
        text::fit_middle(&self.text, room, ends, ellipsis).into_owned()
    }

    /// The values of the matrix, in the order of the title.
    fn values_alone(&self) -> String {
        let mut ranges = self.values.clone();
        ranges.sort_by_key(|range| range.start);
        let values: Vec<&str> = ranges.into_iter().filter_map(|range| self.text.get(range)).collect();
        values.join(" ")
    }
}

impl FittingLabel {
    /// The label as one text.
    pub(super) fn join(self) -> String {
        self.main + &self.script
    }
}

/// The name of a job in its queue: that of the file, or its number.
pub(super) fn short_name(job: &Job) -> String {
    job.name().map_or_else(|| job.id.to_string(), text::sanitize_line)
}

/// The name of a job in its queue, if a list shows it by a title that says something else.
pub(super) fn name_beside_title(job: &Job) -> Option<String> {
    let name = short_name(job);
    (!job.title().is_empty() && job.title() != name).then_some(name)
}

/// The title of a job, or its name in its queue.
pub(super) fn title_or_name(job: &Job) -> String {
    if job.title().is_empty() { short_name(job) } else { text::sanitize_line(job.title()) }
}

/// Where the values of a job of a matrix are in its title.
fn matrix_values(job: &Job, label: &str) -> Vec<Range<usize>> {
    let Some(matrix) = &job.definition.matrix else { return Vec::new() };
    let values = matrix.values.iter().filter(|(_, value)| !value.is_empty());
    values.filter_map(|(_, value)| label.rfind(&**value).map(|at| at..at + value.len())).collect()
}

/// The start of the word before the one at `offset`.
fn word_before(label: &str, offset: usize) -> usize {
    let mut words = label[..offset].rmatch_indices(' ').map(|(space, _)| space);
    let starts_word = label[..offset].ends_with(' ');
    if starts_word { words.nth(1) } else { words.next() }.unwrap_or(0)
}
