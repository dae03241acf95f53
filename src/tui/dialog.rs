//! What is asked of the person, over everything else.

use super::line::Line;
use super::wake::Order;

/// Something that takes the keys until it is answered.
#[derive(Debug)]
pub(super) enum Dialog {
    /// A question before something that can't be undone. Only `y` says yes.
    Ask {
        /// The question, without the keys.
        question: String,
        /// What is done on yes.
        then: Order,
        /// What is done on no; nothing without it.
        otherwise: Option<Order>,
    },
    /// The command line of a new job.
    Add(Line),
    /// What the lists are filtered by.
    Filter(Line),
    /// What the output is searched for.
    Search(Line),
    /// The help.
    Help {
        /// The first line shown.
        scroll: usize,
    },
}

impl Dialog {
    /// The line that is being typed, if one is.
    pub(super) fn line_mut(&mut self) -> Option<&mut Line> {
        match self {
            Self::Add(line) | Self::Filter(line) | Self::Search(line) => Some(line),
            Self::Ask { .. } | Self::Help { .. } => None,
        }
    }
}
