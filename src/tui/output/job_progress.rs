//! The progress that a job reports with `ESC ] 9 ; 4 ; state ; percent`, ended by BEL or `ESC \`, as many tools do.

use std::str;

use memchr::memmem;

/// The progress reported by a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobProgress {
    /// Nothing was reported, or the report was cleared.
    #[default]
    None,
    /// This many percent are done, 0 to 100.
    Normal(u8),
    /// An error occurred at this percentage.
    Error(u8),
    /// The job works for an unknown time.
    Indeterminate,
    /// The job is paused at this percentage.
    Paused(u8),
}

const INTRODUCER: &[u8] = b"\x1b]9;4;";

impl JobProgress {
    /// The last report in a piece of output.
    pub fn find_last(bytes: &[u8]) -> Option<Self> {
        memmem::rfind_iter(bytes, INTRODUCER).find_map(|at| Self::parse(&bytes[at + INTRODUCER.len()..]))
    }

    /// The percentage, if it is known.
    pub fn percent(self) -> Option<u8> {
        match self {
            Self::Normal(percent) | Self::Error(percent) | Self::Paused(percent) => Some(percent),
            Self::None | Self::Indeterminate => None,
        }
    }

    fn parse(report: &[u8]) -> Option<Self> {
        // `4;100` is the longest report; 16 bytes leave room for leading zeros.
        let end = report.iter().take(16).position(|byte| matches!(byte, 0x07 | 0x1b))?;
        let mut numbers = str::from_utf8(&report[..end]).ok()?.split(';');
        let state = numbers.next()?.parse::<u8>().ok()?;
        let percent = match numbers.next() {
            None | Some("") => 0,
            Some(percent) => percent.parse::<u8>().ok()?.min(100),
        };
        match state {
            0 => Some(Self::None),
            1 => Some(Self::Normal(percent)),
            2 => Some(Self::Error(percent)),
            3 => Some(Self::Indeterminate),
            4 => Some(Self::Paused(percent)),
            _ => None,
        }
    }
}
