//! Performs actions: they navigate the screen, or become commands for the store.
//!
//! An action on jobs and queues is planned without changing anything ([`Screen::plan`]), so that the command palette can
//! show why an action is unavailable.

mod add;
mod inputs;
mod jobs;
mod navigation;
mod plan;
mod queues;
mod search;
mod targets;

use chrono::{DateTime, Utc};

use self::plan::{ActionPlan, PlanResult};
use super::action::{Action, Group};
use super::action_menu::ActionMenu;
use super::dialog::Dialog;
use super::effect::{Direction, EditorPosition, Effect, ExitReason, StoreRequest};
use super::line_editor::LineEditor;
use super::output::Scroll;
use super::overview::Overview;
use super::reply_text::refusal_text;
use super::state::Screen;
use super::status_line::Severity;
use crate::model::{Cause, Job, Phase};

/// How many lines `J` and `K` scroll.
const SCROLL_LINES: isize = 3;

/// How many cells `H` and `L` scroll.
const SCROLL_CELLS: isize = 16;

impl Screen {
    /// Performs an action, or shows why it is unavailable.
    pub(super) fn perform(&mut self, action: Action, now: DateTime<Utc>) -> Vec<Effect> {
        if selects_job(action) {
            self.lists.set_following(false);
        }
        let performed = if self.visible_file_error().is_some() {
            self.perform_over_file_error(action, now)
        } else {
            self.try_perform(action, now)
        };
        match performed {
            Ok(mut effects) => {
                effects.extend(self.settings.hints.take(action).map(Effect::RememberHint));
                effects
            }
            Err(why) => {
                self.status_line.show(Severity::Warning, why, now);
                Vec::new()
            }
        }
    }

    /// Why an action is unavailable now, if it is.
    pub(super) fn unavailable_reason(&self, action: Action, now: DateTime<Utc>) -> Option<String> {
        if self.visible_file_error().is_some() && !works_over_file_error(action) {
            return Some(self.fix_file_first());
        }
        match self.plan(action, now) {
            Some(Err(why)) => Some(why),
            Some(Ok(ActionPlan::Apply(effects))) => self.refusal(&effects, now),
            Some(Ok(ActionPlan::Open(_))) => None,
            None => self.navigation_unavailable(action),
        }
    }

    /// Why the store would refuse every command, if it would.
    fn refusal(&self, effects: &[Effect], now: DateTime<Utc>) -> Option<String> {
        let [Effect::Store(StoreRequest::Submit(submission))] = effects else { return None };
        let mut refused = None;
        for command in &submission.commands {
            match self.site.check(command, now) {
                Ok(()) => return None,
                Err(refusal) => refused = refused.or(Some(refusal_text(&refusal))),
            }
        }
        refused
    }

    /// Why a navigation action is unavailable, if it is.
    fn navigation_unavailable(&self, action: Action) -> Option<String> {
        let group = action.entry().map(|entry| entry.group);
        match action {
            Action::Open | Action::Detail | Action::Mark => self.require_selected().err(),
            Action::Type => self.can_type().err(),
            Action::NthQueue(nth) => self.nth(usize::from(nth)).err(),
            Action::Tiles => self.next_tiles().err(),
            Action::Approvals => self.next_approval().err(),
            Action::Back => self.is_at_top_level().then(|| self.top_level_text()),
            Action::Find => None,
            _ if group == Some(Group::Output) && !self.pane().is_open() => Some("There is no output here.".to_owned()),
            _ => None,
        }
    }

    fn try_perform(&mut self, action: Action, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if let Some(plan) = self.plan(action, now) {
            return Ok(match plan? {
                ActionPlan::Apply(effects) => self.ask_for_inputs(effects, now),
                ActionPlan::Open(dialog) => {
                    self.open_dialog(*dialog);
                    Vec::new()
                }
            });
        }
        let (top, wrap) = (self.key(Action::First), self.key(Action::Wrap));
        match action {
            Action::Follow => self.pane_mut().toggle_follow()?,
            Action::Wrap => self.pane_mut().toggle_wrap()?,
            Action::Times => self.pane_mut().toggle_times()?,
            Action::Type => self.start_typing()?,
            Action::Failures => self.filter_by(&self.toggled_failures_filter(), now),
            Action::OutputLeft => self.pane_mut().scroll_sideways(-SCROLL_CELLS, &wrap)?,
            Action::OutputRight => self.pane_mut().scroll_sideways(SCROLL_CELLS, &wrap)?,
            Action::FollowNewest => {
                self.lists.set_following(true);
                self.status_line.show(Severity::Info, "Following the newest job.", now);
            }
            Action::Approvals => {
                let next = self.next_approval()?;
                self.go_to_job(next, now);
            }
            Action::Mouse => return Ok(self.toggle_mouse(now)),
            Action::Page => return self.open_pager(),
            Action::Artifacts => return self.open_artifacts(),
            Action::Copy => return self.copy(now),
            Action::CopyAll => return self.copy_all(now),
            Action::FindNext => self.pane_mut().find_next(true)?,
            Action::FindPrevious => self.pane_mut().find_next(false)?,
            Action::OutputDown => self.pane_mut().scroll(Scroll::Rows(SCROLL_LINES), &top)?,
            Action::OutputUp => self.pane_mut().scroll(Scroll::Rows(-SCROLL_LINES), &top)?,
            other => self.navigate(other)?,
        }
        Ok(Vec::new())
    }

    /// Opens a dialog or a page. What was said before is not about it.
    pub(super) fn open_dialog(&mut self, dialog: Dialog) {
        self.status_line.clear_unless_error();
        self.dialog = Some(dialog);
    }

    /// The plan of an action that doesn't change the screen's own state; none for other actions.
    fn plan(&self, action: Action, now: DateTime<Utc>) -> Option<PlanResult> {
        Some(match action {
            Action::Process => self.plan_process(now),
            Action::ProcessAll => self.plan_process_all(now),
            Action::MoreParallel => self.plan_parallel(true),
            Action::LessParallel => self.plan_parallel(false),
            Action::Run => self.plan_run(now),
            Action::RunFailed => self.plan_run_failed(),
            Action::Cancel => self.plan_cancel(),
            Action::Kill => self.plan_kill(),
            Action::Remove => self.plan_remove(),
            Action::ClearFinished => self.plan_clear_finished(),
            Action::Undo => self.plan_undo(),
            Action::MoveUp => self.plan_move(true),
            Action::MoveDown => self.plan_move(false),
            Action::Add => self.plan_add(),
            Action::Edit => Ok(ActionPlan::Apply(vec![Effect::OpenEditor(self.editor_position())])),
            Action::Fix => self.plan_fix(),
            Action::Save => self.plan_save(),
            Action::Reload => Ok(ActionPlan::Apply(vec![Effect::Store(StoreRequest::ReloadFile {
                needs_worker: self.is_any_queue_processing(),
            })])),
            Action::Find => Ok(ActionPlan::open(self.find_dialog())),
            Action::EarlierRun => self.plan_find_run(Direction::Earlier),
            Action::LaterRun => self.plan_find_run(Direction::Later),
            Action::Help => Ok(ActionPlan::open(Dialog::Menu(ActionMenu::help()))),
            Action::Overview => self.plan_overview(false),
            Action::FindQueue => self.plan_overview(true),
            Action::SearchAll => self.plan_search(),
            Action::Diff => self.plan_diff(),
            Action::Timeline
            | Action::History
            | Action::Graph
            | Action::Results
            | Action::Changes
            | Action::Workers => {
                self.page_of(action).map(|page| ActionPlan::Open(Box::new(Dialog::Page(Box::new(page)))))
            }
            Action::Copy => Ok(self.plan_approve(&self.selected_approval()?)),
            Action::CommandPalette => Ok(ActionPlan::open(Dialog::Menu(ActionMenu::palette()))),
            Action::Quit => Ok(ActionPlan::Apply(vec![Effect::Exit(ExitReason::Quit)])),
            Action::StopAndQuit => Ok(self.plan_stop_and_quit()),
            Action::Suspend => Ok(ActionPlan::Apply(vec![Effect::RequestSuspend])),
            _ => return None,
        })
    }

    /// While the errors of `jobs.yaml` cover the screen, only some actions work.
    fn perform_over_file_error(&mut self, action: Action, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        let scroll = self.file.scroll;
        match action {
            Action::Edit
            | Action::Reload
            | Action::Help
            | Action::CommandPalette
            | Action::Quit
            | Action::StopAndQuit
            | Action::Suspend => {
                return self.try_perform(action, now);
            }
            Action::Back => self.file.hidden = true,
            Action::Down | Action::OutputDown => self.file.scroll = scroll.saturating_add(1),
            Action::Up | Action::OutputUp => self.file.scroll = scroll.saturating_sub(1),
            Action::PageDown | Action::HalfDown => self.file.scroll = scroll.saturating_add(10),
            Action::PageUp | Action::HalfUp => self.file.scroll = scroll.saturating_sub(10),
            Action::First => self.file.scroll = 0,
            Action::Last => self.file.scroll = usize::MAX,
            _ => return Err(self.fix_file_first()),
        }
        Ok(Vec::new())
    }

    fn fix_file_first(&self) -> String {
        let (edit, back) = (self.key(Action::Edit), self.key(Action::Back));
        format!("Fix jobs.yaml first ({edit} edits it), or press {back} to dismiss.")
    }

    pub(super) fn require_selected(&self) -> Result<Job, String> {
        self.selected_job()
            .ok_or_else(|| format!("No job is selected: there are no {} jobs.", self.lists.focus().list.as_str()))
    }

    /// Opens the overview, or its search for a queue.
    fn plan_overview(&self, finds: bool) -> PlanResult {
        if !self.has_queue() {
            return Err("There are no queues yet.".to_owned());
        }
        let overview = Overview::new(Some(self.queue.id().clone()), finds);
        Ok(ActionPlan::open(Dialog::Overview(overview)))
    }

    fn plan_find_run(&self, direction: Direction) -> PlanResult {
        let job = self.require_selected()?;
        Ok(ActionPlan::Apply(vec![self.pane().request_adjacent_run(&job, direction)?]))
    }

    /// Compares the output that is shown with that of the run before.
    fn plan_diff(&self) -> PlanResult {
        let job = self.require_selected()?;
        let run = self.pane().run_of(&job)?;
        Ok(ActionPlan::Apply(vec![Effect::Store(StoreRequest::OpenRunsToCompare(job.id, run))]))
    }

    fn editor_position(&self) -> EditorPosition {
        if let Some(broken) = &self.file.error {
            return match (broken.line, &broken.file) {
                (Some(line), Some(file)) => EditorPosition::Included { file: file.clone(), line },
                (Some(line), None) => EditorPosition::Line(line),
                (None, _) => EditorPosition::Top,
            };
        }
        let named = self.selected_job().and_then(|job| Some((job.queue.clone(), job.definition.name.clone()?)));
        named.map_or(EditorPosition::Top, |(queue, name)| EditorPosition::Job { queue, name })
    }

    /// Whether a field of `jobs.yaml` fixes the selected failure.
    pub(super) fn can_fix(&self) -> bool {
        self.plan_fix().is_ok()
    }

    /// Edits the field that belongs to the cause of the selected failure, if there is one.
    fn plan_fix(&self) -> PlanResult {
        let job = self.require_selected()?;
        let end = job.result_run().and_then(|run| run.end.as_ref()).filter(|_| job.phase() != Phase::Running);
        let Some(end) = end.filter(|end| end.outcome.failure().is_some()) else {
            return Err(format!("{} has not failed, so there is nothing to fix.", job.id));
        };
        let Some(field) = end.cause.as_deref().and_then(Cause::field_to_fix) else {
            let edit = self.key(Action::Edit);
            return Err(format!("No field of jobs.yaml fixes this failure. Press {edit} to edit the job."));
        };
        let Some(name) = job.definition.name.clone() else {
            let save = self.key(Action::Save);
            return Err(format!("{} is not in jobs.yaml. Press {save} to save it there first.", job.id));
        };
        let position = EditorPosition::Field { queue: job.queue.clone(), name, field };
        Ok(ActionPlan::Apply(vec![Effect::OpenEditor(position)]))
    }

    fn find_dialog(&self) -> Dialog {
        if self.lists.focus().output {
            return Dialog::Search(LineEditor::default());
        }
        Dialog::Filter(LineEditor::new(self.lists.filter_text()))
    }
}

fn works_over_file_error(action: Action) -> bool {
    let moves = action.entry().is_some_and(|entry| entry.group == Group::Move);
    let more = [
        Action::Edit,
        Action::Reload,
        Action::Help,
        Action::CommandPalette,
        Action::Quit,
        Action::StopAndQuit,
        Action::Suspend,
        Action::Back,
    ];
    moves || more.contains(&action)
}

/// Whether an action means the selected job, so that the cursor must not leave it by itself.
pub(super) fn selects_job(action: Action) -> bool {
    !matches!(
        action,
        Action::Process
            | Action::ProcessAll
            | Action::MoreParallel
            | Action::LessParallel
            | Action::RunFailed
            | Action::ClearFinished
            | Action::Undo
            | Action::Add
            | Action::Reload
            | Action::PreviousQueue
            | Action::NextQueue
            | Action::NthQueue(_)
            | Action::AllQueues
            | Action::Overview
            | Action::FindQueue
            | Action::SearchAll
            | Action::Timeline
            | Action::Changes
            | Action::Workers
            | Action::FollowNewest
            | Action::Follow
            | Action::Wrap
            | Action::Times
            | Action::Tiles
            | Action::Mouse
            | Action::CommandPalette
            | Action::Help
            | Action::Back
            | Action::Suspend
            | Action::Quit
            | Action::StopAndQuit
    )
}
