//! Dialogs: questions and input that take the keys.

use super::action_menu::ActionMenu;
use super::effect::Submission;
use super::input_form::InputForm;
use super::line_editor::LineEditor;
use super::log_search::LogSearch;
use super::overview::Overview;
use super::page::ScreenPage;

/// A dialog that takes the keys until it is closed.
#[derive(Debug)]
pub(super) enum Dialog {
    /// A question before something irreversible. Only `y` means yes.
    Confirm {
        /// The question, without the keys.
        question: String,
        /// What `y` does, in words: `run them`.
        yes: &'static str,
        /// What to submit on yes.
        on_yes: Submission,
        /// What `n` does, in words, and what to submit for it; otherwise `n` goes back.
        on_no: Option<(&'static str, Submission)>,
    },
    /// The inputs of the jobs that are requested.
    Inputs(InputForm),
    /// A new job.
    Add(JobDraft),
    /// The filter of the lists.
    Filter(LineEditor),
    /// A search in the output.
    Search(LineEditor),
    /// The command palette or the help.
    Menu(ActionMenu),
    /// The overview of all queues.
    Overview(Overview),
    /// The search over the output of all jobs.
    SearchAll(Box<LogSearch>),
    /// A view that fills the body.
    Page(Box<ScreenPage>),
}

/// A new job while it is being typed.
#[derive(Clone, Debug, Default)]
pub(super) struct JobDraft {
    /// Its script.
    pub(super) script: LineEditor,
    /// Its title.
    pub(super) title: LineEditor,
    /// Whether the title is being typed, not the script.
    pub(super) edits_title: bool,
}

impl JobDraft {
    /// The line that is being edited.
    pub(super) fn line_mut(&mut self) -> &mut LineEditor {
        if self.edits_title { &mut self.title } else { &mut self.script }
    }
}

impl Dialog {
    /// The line that is being typed, if one is.
    pub(super) fn line_mut(&mut self) -> Option<&mut LineEditor> {
        match self {
            Self::Inputs(form) => form.line_mut(),
            Self::Add(draft) => Some(draft.line_mut()),
            Self::Filter(line) | Self::Search(line) => Some(line),
            Self::SearchAll(search) => Some(&mut search.line),
            Self::Menu(menu) => menu.is_typing.then_some(&mut menu.line),
            Self::Overview(overview) => overview.is_typing.then_some(&mut overview.line),
            Self::Confirm { .. } | Self::Page(_) => None,
        }
    }
}
