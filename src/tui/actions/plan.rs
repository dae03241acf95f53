//! What an action will do, worked out before anything changes.

use crate::model::Command;
use crate::tui::dialog::Dialog;
use crate::tui::effect::{Effect, Intent, Submission};

/// What an action does outside the screen's own state.
#[derive(Debug)]
pub(super) enum ActionPlan {
    /// Carry out these effects.
    Apply(Vec<Effect>),
    /// Open this dialog.
    Open(Box<Dialog>),
}

/// The plan of an action, or why it is unavailable.
pub(super) type PlanResult = Result<ActionPlan, String>;

impl ActionPlan {
    /// Sends commands to the store.
    pub(super) fn submit(commands: Vec<Command>, intent: Intent, needs_worker: bool) -> Self {
        Self::Apply(vec![Effect::submit(Submission::new(commands, intent, needs_worker))])
    }

    /// Opens a dialog.
    pub(super) fn open(dialog: Dialog) -> Self {
        Self::Open(Box::new(dialog))
    }

    /// Asks a question, and sends commands to the store on yes; `yes` is what that does, in words.
    pub(super) fn confirm(question: String, yes: &'static str, on_yes: Submission) -> Self {
        Self::open(Dialog::Confirm { question, yes, on_yes, on_no: None })
    }
}
