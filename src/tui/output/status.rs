//! Where the pane is in the output, in words.

use super::progress::Progress;
use crate::tui::text;

/// What there is to tell about the pane, after it was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The number of the last line on the screen, from 1, and how many there are; none while they are counted.
    pub lines: Option<(u64, u64)>,
    /// How far down the screen is, in percent of all bytes.
    pub percent: u8,
    /// Whether the end is followed.
    pub following: bool,
    /// What has come since it is not.
    pub news: News,
    /// The last progress that the job reported.
    pub progress: Progress,
    /// What the search has found by now.
    pub search: Option<Hits>,
}

/// What has come since the view was paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    #[default]
    None,
    /// So many lines.
    Lines(u64),
    /// Something that is not counted yet.
    Some,
}

/// How a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hits {
    /// Which one was gone to last, counted from 1; none where that isn't known yet.
    pub nth: Option<u64>,
    /// Hits counted by now.
    pub count: u64,
    /// Whether there is more to look through.
    pub looking: bool,
}

impl Status {
    /// `line 120 of 4,512`, or `87%` while the lines are counted; nothing where there is no output.
    pub fn position(&self) -> String {
        match self.lines {
            Some((_, 0)) => String::new(),
            Some((line, of)) => format!("line {} of {}", text::count(line), text::count(of)),
            None => format!("{}%", self.percent),
        }
    }

    /// `▼ 123 new lines` when there are any below the screen.
    pub fn below(&self, ascii: bool) -> Option<String> {
        let arrow = if ascii { 'v' } else { '▼' };
        match self.news {
            News::None => None,
            News::Lines(1) => Some(format!("{arrow} 1 new line")),
            News::Lines(count) => Some(format!("{arrow} {} new lines", text::count(count))),
            News::Some => Some(format!("{arrow} new output")),
        }
    }
}
