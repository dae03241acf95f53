//! What each action does: it moves something on the screen, or becomes commands for the store.
//!
//! What becomes of jobs and queues is worked out without changing anything ([`Screen::deed`]), so that the palette can
//! tell beforehand why an action can't be done.

mod add;
mod jobs;
mod marked;
mod queues;
mod travel;

use chrono::{DateTime, Utc};

use super::action::{Action, Group};
use super::dialog::Dialog;
use super::line::Line;
use super::menu::Menu;
use super::notice::Tone;
use super::output::Scroll;
use super::state::Screen;
use super::wake::{Asked, Effect, Order, Spot, Way, Why};
use crate::model::{Command, Job};

/// How far `J` and `K` go.
const NUDGE: isize = 3;

/// How far `H` and `L` go, in cells.
const SIDEWAYS: isize = 16;

/// What is to be done, or asked before; or why it can't be.
type Acted = Result<Deed, String>;

/// What an action comes to that changes nothing on the screen itself.
#[derive(Debug)]
pub(super) enum Deed {
    /// Do this.
    Do(Vec<Effect>),
    /// Ask first.
    Ask(Dialog),
}

impl Screen {
    /// Does what a key asks for, or says why it can't be done.
    pub(super) fn act(&mut self, action: Action, now: DateTime<Utc>) -> Vec<Effect> {
        let acted =
            if self.diagnosis().is_some() { self.act_on_diagnosis(action, now) } else { self.attempt(action, now) };
        acted.unwrap_or_else(|why| {
            self.notices.say(Tone::Refused, why, now);
            Vec::new()
        })
    }

    /// Why an action can't be done now, if it can't.
    pub(super) fn hindrance(&self, action: Action, now: DateTime<Utc>) -> Option<String> {
        if self.diagnosis().is_some() && !on_diagnosis(action) {
            return Some(self.mend_first());
        }
        match self.deed(action, now) {
            Some(Err(why)) => Some(why),
            Some(Ok(Deed::Do(effects))) => self.refusal(&effects, now),
            Some(Ok(Deed::Ask(_))) => None,
            None => self.standstill(action),
        }
    }

    /// Why the store would refuse all that is to be done, if it would.
    fn refusal(&self, effects: &[Effect], now: DateTime<Utc>) -> Option<String> {
        let [Effect::Submit(order)] = effects else { return None };
        let mut refused = None;
        for command in &order.commands {
            match self.site.would(command, now) {
                Ok(()) => return None,
                Err(refusal) => refused = refused.or(Some(refusal.to_string())),
            }
        }
        refused
    }

    /// Why nothing on the screen would move, if nothing would.
    fn standstill(&self, action: Action) -> Option<String> {
        let group = action.entry().map(|entry| entry.group);
        match action {
            Action::Open | Action::Detail | Action::Mark => self.chosen_or_why().err(),
            Action::Type => self.can_type().err(),
            Action::NthQueue(nth) => self.nth(usize::from(nth)).err(),
            Action::Tiles => self.next_tiles().err(),
            Action::Back => self.is_at_the_top().then(|| self.top_level()),
            Action::Find => None,
            _ if group == Some(Group::Output) && !self.pane().is_open() => Some("there is no output here".to_owned()),
            _ => None,
        }
    }

    fn attempt(&mut self, action: Action, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        if let Some(deed) = self.deed(action, now) {
            return Ok(match deed? {
                Deed::Do(effects) => effects,
                Deed::Ask(dialog) => {
                    self.dialog = Some(dialog);
                    Vec::new()
                }
            });
        }
        let (top, wrap) = (self.key(Action::First), self.key(Action::Wrap));
        match action {
            Action::Follow => self.pane_mut().toggle_follow()?,
            Action::Wrap => self.pane_mut().toggle_wrap()?,
            Action::Times => self.pane_mut().toggle_times()?,
            Action::Type => self.begin_to_type()?,
            Action::Failures => self.filter_by(&self.failures_only(), now),
            Action::OutputLeft => self.pane_mut().scroll_sideways(-SIDEWAYS, &wrap)?,
            Action::OutputRight => self.pane_mut().scroll_sideways(SIDEWAYS, &wrap)?,
            Action::Mouse => return Ok(self.toggle_mouse(now)),
            Action::Page => return self.page(),
            Action::Copy => return self.copy(now),
            Action::CopyAll => return self.copy_all(now),
            Action::FindNext => self.pane_mut().find_again(true)?,
            Action::FindPrevious => self.pane_mut().find_again(false)?,
            Action::OutputDown => self.pane_mut().scroll(Scroll::Rows(NUDGE), &top)?,
            Action::OutputUp => self.pane_mut().scroll(Scroll::Rows(-NUDGE), &top)?,
            other => self.turn_to(other)?,
        }
        Ok(Vec::new())
    }

    /// What an action comes to, if it is one that changes nothing on the screen itself.
    fn deed(&self, action: Action, now: DateTime<Utc>) -> Option<Acted> {
        Some(match action {
            Action::Process => self.process(now),
            Action::ProcessAll => self.process_all(now),
            Action::MoreParallel => self.parallel(true),
            Action::LessParallel => self.parallel(false),
            Action::Run => self.run(),
            Action::RunFailed => self.run_failed(),
            Action::Cancel => self.cancel(),
            Action::Kill => self.kill(),
            Action::Remove => self.remove(),
            Action::ClearFinished => self.clear_finished(),
            Action::Undo => self.undo(),
            Action::MoveUp => self.move_jobs(true),
            Action::MoveDown => self.move_jobs(false),
            Action::Add => self.open_add(),
            Action::Edit => Ok(Deed::Do(vec![Effect::Edit(self.spot())])),
            Action::Save => self.save(),
            Action::Find => Ok(Deed::Ask(self.finder())),
            Action::EarlierRun => self.turn_run(Way::Earlier),
            Action::LaterRun => self.turn_run(Way::Later),
            Action::Help => Ok(Deed::Ask(Dialog::Menu(Menu::help()))),
            Action::Palette => Ok(Deed::Ask(Dialog::Menu(Menu::palette()))),
            Action::Quit => Ok(Deed::Do(vec![Effect::Leave(Why::Asked)])),
            Action::StopAndQuit => Ok(self.stop_and_quit()),
            Action::Suspend => Ok(Deed::Do(vec![Effect::AskToSuspend])),
            _ => return None,
        })
    }

    /// While the diagnosis is in view, the jobs under it are out of reach.
    fn act_on_diagnosis(&mut self, action: Action, now: DateTime<Utc>) -> Result<Vec<Effect>, String> {
        let scroll = self.file.scroll;
        match action {
            Action::Edit | Action::Help | Action::Palette | Action::Quit | Action::StopAndQuit | Action::Suspend => {
                return self.attempt(action, now);
            }
            Action::Back => self.file.hidden = true,
            Action::Down | Action::OutputDown => self.file.scroll = scroll.saturating_add(1),
            Action::Up | Action::OutputUp => self.file.scroll = scroll.saturating_sub(1),
            Action::PageDown | Action::HalfDown => self.file.scroll = scroll.saturating_add(10),
            Action::PageUp | Action::HalfUp => self.file.scroll = scroll.saturating_sub(10),
            Action::First => self.file.scroll = 0,
            Action::Last => self.file.scroll = usize::MAX,
            _ => return Err(self.mend_first()),
        }
        Ok(Vec::new())
    }

    fn mend_first(&self) -> String {
        let (edit, back) = (self.key(Action::Edit), self.key(Action::Back));
        format!("mend jobs.yaml first ({edit}), or put this away ({back})")
    }

    fn chosen_or_why(&self) -> Result<Job, String> {
        self.chosen().ok_or_else(|| format!("no job is selected: nothing is {}", self.lists.focus().list.word()))
    }

    fn turn_run(&self, way: Way) -> Acted {
        let job = self.chosen_or_why()?;
        Ok(Deed::Do(vec![self.pane().turn(&job, way)?]))
    }

    fn spot(&self) -> Spot {
        if let Some(broken) = &self.file.broken {
            return broken.line.map_or(Spot::Top, Spot::Line);
        }
        let named = self.chosen().and_then(|job| Some((job.queue.clone(), job.definition.name.clone()?)));
        named.map_or(Spot::Top, |(queue, name)| Spot::Job { queue, name })
    }

    fn finder(&self) -> Dialog {
        if self.lists.focus().output {
            return Dialog::Search(Line::default());
        }
        Dialog::Filter(Line::new(self.lists.filter_text()))
    }
}

fn on_diagnosis(action: Action) -> bool {
    let moves = action.entry().is_some_and(|entry| entry.group == Group::Move);
    let more =
        [Action::Edit, Action::Help, Action::Palette, Action::Quit, Action::StopAndQuit, Action::Suspend, Action::Back];
    moves || more.contains(&action)
}

fn submit(commands: Vec<Command>, asked: Asked, hire: bool) -> Deed {
    Deed::Do(vec![Effect::Submit(Order { commands, asked, hire })])
}

/// Asks a question; the order goes out on yes.
fn ask(question: String, then: Order) -> Deed {
    Deed::Ask(Dialog::Ask { question, then, otherwise: None })
}
