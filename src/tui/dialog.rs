//! What is asked of the person, over everything else.

use super::line::Line;
use super::menu::Menu;
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
        /// What is done on no, the others of several jobs run say; nothing without it.
        otherwise: Option<Order>,
    },
    /// A new job.
    Add(Draft),
    /// What the lists are filtered by.
    Filter(Line),
    /// What the output is searched for.
    Search(Line),
    /// Actions to choose from.
    Menu(Menu),
}

/// A new job that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What it runs.
    pub(super) script: Line,
    /// What people call it.
    pub(super) title: Line,
    /// The title is being typed, not the script.
    pub(super) on_title: bool,
}

impl Draft {
    /// The line that is being typed.
    pub(super) fn line_mut(&mut self) -> &mut Line {
        if self.on_title { &mut self.title } else { &mut self.script }
    }
}

impl Dialog {
    /// The line that is being typed, if one is.
    pub(super) fn line_mut(&mut self) -> Option<&mut Line> {
        match self {
            Self::Add(draft) => Some(draft.line_mut()),
            Self::Filter(line) | Self::Search(line) => Some(line),
            Self::Menu(menu) => menu.typing.then_some(&mut menu.line),
            Self::Ask { .. } => None,
        }
    }
}
