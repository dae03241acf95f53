//! The position of a view in the output, and the search status, as text.

use super::job_progress::JobProgress;
use crate::text;

/// The status of a view after it was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewStatus {
    /// The number of the last visible line, from 1, and the number of lines. `None` while they are being counted.
    pub lines: Option<(u64, u64)>,
    /// The position of the last visible line, in percent of all bytes.
    pub percent: u8,
    /// Whether the view follows the end.
    pub is_following: bool,
    /// Output that arrived since the view was paused.
    pub new_output: NewOutput,
    /// The last progress that the job reported.
    pub progress: JobProgress,
    /// The search status, if a search is active.
    pub search: Option<SearchStatus>,
}

/// Output that arrived since the view was paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewOutput {
    /// None.
    #[default]
    None,
    /// This many lines.
    Counted(u64),
    /// Output whose lines have not been counted yet.
    Uncounted,
}

/// The status of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchStatus {
    /// The number of the current hit, from 1, if it is known.
    pub current: Option<u64>,
    /// The number of hits found so far.
    pub count: u64,
    /// Whether the search is still running.
    pub is_searching: bool,
    /// Whether the requested hit was not found yet.
    pub is_seeking: bool,
}

impl SearchStatus {
    /// `3 of 12 matches`, `3 of 12+ matches` while they are being counted, or `searching…` before the first one is found.
    pub fn label(&self, ellipsis: &str) -> String {
        if self.is_searching && (self.count == 0 || self.is_seeking) {
            return match self.count {
                0 => format!("searching{ellipsis}"),
                count => format!("{}+ {}, searching{ellipsis}", text::count(count), text::noun_for(count, "match")),
            };
        }
        let more = if self.is_searching { "+" } else { "" };
        let noun = text::noun_for(self.count, "match");
        let current = self.current.map(|number| format!("{} of ", text::count(number))).unwrap_or_default();
        format!("{current}{}{more} {noun}", text::count(self.count))
    }
}

impl ViewStatus {
    /// `line 120 of 4,512`, or `87%` while the lines are being counted; empty if there is no output.
    pub fn position_label(&self) -> String {
        match self.lines {
            Some((_, 0)) => String::new(),
            Some((line, of)) => format!("line {} of {}", text::count(line), text::count(of)),
            None => format!("{}%", self.percent),
        }
    }

    /// `▼ 123 new lines` if there are any below the view.
    pub fn new_output_label(&self, ascii: bool) -> Option<String> {
        let arrow = if ascii { 'v' } else { '▼' };
        match self.new_output {
            NewOutput::None => None,
            NewOutput::Counted(count) => Some(format!("{arrow} {}", text::count_noun(count, "new line"))),
            NewOutput::Uncounted => Some(format!("{arrow} new output")),
        }
    }
}
