//! How far a job says it is: `ESC ] 9 ; 4 ; state ; percent`, ended by BEL or `ESC \`, as many tools send it.

use std::str;

use memchr::memmem;

/// How far a job says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It doesn't say, or has taken back what it said.
    #[default]
    None,
    /// So many percent are done, 0 to 100.
    Normal(u8),
    /// Something went wrong at so many percent.
    Error(u8),
    /// It works, and can't say how long.
    Indeterminate,
    /// It rests at so many percent.
    Paused(u8),
}

const INTRODUCER: &[u8] = b"\x1b]9;4;";

impl Progress {
    /// The last report in a piece of output, if there is one.
    pub fn last_in(bytes: &[u8]) -> Option<Self> {
        memmem::rfind_iter(bytes, INTRODUCER).find_map(|at| Self::parse(&bytes[at + INTRODUCER.len()..]))
    }

    /// How much of the bar is filled, in percent, where that is known.
    pub fn percent(self) -> Option<u8> {
        match self {
            Self::Normal(percent) | Self::Error(percent) | Self::Paused(percent) => Some(percent),
            Self::None | Self::Indeterminate => None,
        }
    }

    fn parse(report: &[u8]) -> Option<Self> {
        // `4;100` is the longest report; a little room for leading zeros.
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
