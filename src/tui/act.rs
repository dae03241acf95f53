//! What each action does: it moves something on the screen, or becomes commands for the store.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::{Command, Definition, Job, JobId, Mode, Outcome, Phase, QueueId, Script, Stop};

use super::action::Action;
use super::dialog::Dialog;
use super::layout::{Focus, PHASES, index};
use super::line::Line;
use super::lists::Step;
use super::notice::Tone;
use super::output::Scroll;
use super::pane::OutputPane;
use super::state::Screen;
use super::wake::{Asked, Effect, Order, Spot, Way, Why};

/// How far `J` and `K` go.
const NUDGE: isize = 3;

/// How far `H` and `L` go, in cells.
const SIDEWAYS: isize = 16;

/// What an action comes to: effects, or why it can't be done.
type Acted = Result<Vec<Effect>, String>;

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

    fn attempt(&mut self, action: Action, now: DateTime<Utc>) -> Acted {
        match action {
            Action::Process => self.process(now),
            Action::ProcessAll => self.process_all(now),
            Action::Run => self.run_chosen(),
            Action::RunFailed => self.run_failed(),
            Action::Cancel => {
                let cancel = |job: JobId| Command::Cancel { job, stop: Stop::Terminate };
                self.on_chosen(|job| (cancel(job.id), Asked::Cancel(job.id)), false)
            }
            Action::Kill => self.kill(),
            Action::Remove => {
                let hire = self.any_processing();
                self.on_chosen(|job| (Command::Remove { jobs: vec![job.id] }, Asked::Remove), hire)
            }
            Action::ClearFinished => self.clear_finished(),
            Action::Undo => self.undo(),
            Action::Add => {
                self.with_queue()?;
                Ok(self.open(Dialog::Add(Line::default())))
            }
            Action::Edit => Ok(vec![Effect::Edit(self.spot())]),
            Action::Find => {
                let dialog = self.finder();
                Ok(self.open(dialog))
            }
            Action::Back => self.back(),
            Action::Open => self.open_output(),
            Action::Detail => self.turn_detail(),
            Action::NextPane => Ok(self.turn(1)),
            Action::PreviousPane => Ok(self.turn(3)),
            Action::PreviousQueue => Ok(self.turn_queue(false)),
            Action::NextQueue => Ok(self.turn_queue(true)),
            Action::NthQueue(nth) => self.nth_queue(usize::from(nth)),
            Action::Follow => self.on_output(OutputPane::toggle_follow),
            Action::Wrap => self.on_output(OutputPane::toggle_wrap),
            Action::Times => self.on_output(OutputPane::toggle_times),
            Action::EarlierRun => self.turn_run(Way::Earlier),
            Action::LaterRun => self.turn_run(Way::Later),
            Action::OutputLeft => self.on_output(|output| output.scroll_sideways(-SIDEWAYS)),
            Action::OutputRight => self.on_output(|output| output.scroll_sideways(SIDEWAYS)),
            Action::Tiles => self.turn_tiles(),
            Action::Page => self.page(),
            Action::Copy => self.copy(now),
            Action::CopyAll => self.copy_all(now),
            Action::Type => {
                self.begin_to_type()?;
                Ok(Vec::new())
            }
            Action::FindNext => self.on_output(|output| output.find_again(true)),
            Action::FindPrevious => self.on_output(|output| output.find_again(false)),
            Action::OutputDown => self.on_output(|output| output.scroll(Scroll::Rows(NUDGE))),
            Action::OutputUp => self.on_output(|output| output.scroll(Scroll::Rows(-NUDGE))),
            Action::Help => Ok(self.open(Dialog::Help { scroll: 0 })),
            Action::Quit => Ok(vec![Effect::Leave(Why::Asked)]),
            Action::StopAndQuit => Ok(self.stop_and_quit()),
            Action::Suspend => Ok(vec![Effect::AskToSuspend]),
            Action::Down
            | Action::Up
            | Action::First
            | Action::Last
            | Action::PageDown
            | Action::PageUp
            | Action::HalfDown
            | Action::HalfUp => {
                self.travel(action);
                Ok(Vec::new())
            }
        }
    }

    /// While the diagnosis is in view, the jobs under it are out of reach.
    fn act_on_diagnosis(&mut self, action: Action, now: DateTime<Utc>) -> Acted {
        let scroll = self.file.scroll;
        match action {
            Action::Edit | Action::Help | Action::Quit | Action::StopAndQuit | Action::Suspend => {
                return self.attempt(action, now);
            }
            Action::Back => self.file.hidden = true,
            Action::Down | Action::OutputDown => self.file.scroll = scroll.saturating_add(1),
            Action::Up | Action::OutputUp => self.file.scroll = scroll.saturating_sub(1),
            Action::PageDown | Action::HalfDown => self.file.scroll = scroll.saturating_add(10),
            Action::PageUp | Action::HalfUp => self.file.scroll = scroll.saturating_sub(10),
            Action::First => self.file.scroll = 0,
            Action::Last => self.file.scroll = usize::MAX,
            _ => {
                let (edit, back) = (Action::Edit.key(), Action::Back.key());
                return Err(format!("mend jobs.yaml first ({edit}), or put this away ({back})"));
            }
        }
        Ok(Vec::new())
    }

    fn open(&mut self, dialog: Dialog) -> Vec<Effect> {
        self.dialog = Some(dialog);
        Vec::new()
    }

    fn ask(&mut self, question: String, then: Order) -> Vec<Effect> {
        self.open(Dialog::Ask { question, then, otherwise: None })
    }

    fn on_output(&mut self, change: impl FnOnce(&mut OutputPane) -> Result<(), String>) -> Acted {
        change(self.pane_mut())?;
        Ok(Vec::new())
    }

    fn on_chosen(&self, order: impl FnOnce(&Job) -> (Command, Asked), hire: bool) -> Acted {
        let job = self.chosen_or_why()?;
        let (command, asked) = order(&job);
        Ok(submit(vec![command], asked, hire))
    }

    fn chosen_or_why(&self) -> Result<Job, String> {
        self.chosen().ok_or_else(|| format!("no job is selected: nothing is {}", self.lists.focus().list.word()))
    }

    fn with_queue(&self) -> Result<QueueId, String> {
        let edit = Action::Edit.key();
        if self.has_queue() {
            Ok(self.queue.id().clone())
        } else {
            Err(format!("there is no queue yet; {edit} edits jobs.yaml"))
        }
    }

    fn turn_run(&self, way: Way) -> Acted {
        let job = self.chosen_or_why()?;
        Ok(vec![self.pane().turn(&job, way)?])
    }

    fn run_chosen(&mut self) -> Acted {
        let job = self.chosen_or_why()?;
        let (commands, asked) = (vec![Command::Run { job: job.id }], Asked::Run(job.id));
        let order = Order { commands, asked, hire: true };
        Ok(match &job.definition.terms.confirm {
            // What can't be done is told, not asked.
            Some(question) if job.phase() != Phase::Running => self.ask(format!("{}: {question}", job.label()), order),
            _ => vec![Effect::Submit(order)],
        })
    }

    fn process(&mut self, now: DateTime<Utc>) -> Acted {
        let queue = self.with_queue()?;
        match self.mode() {
            Mode::Processing if self.site.read(|ledger| self.is_unattended(&queue, ledger, now)) => {
                Ok(submit(Vec::new(), Asked::GoOn(vec![queue]), true))
            }
            Mode::Processing => {
                Ok(submit(vec![Command::Pause { queue: queue.clone() }], Asked::Pause(vec![queue]), false))
            }
            Mode::Idle | Mode::Paused | Mode::Stopped => Ok(self.process_these(vec![queue])),
        }
    }

    /// Processes queues, after the questions that their jobs ask.
    fn process_these(&mut self, queues: Vec<QueueId>) -> Vec<Effect> {
        let (jobs, question) = self.site.read(|ledger| {
            let mut asking = queues.iter().flat_map(|queue| ledger.asking(queue));
            let first = asking.next();
            let rest: Vec<JobId> = asking.map(|job| job.id).collect();
            let question = first.map(|job| {
                let others = if rest.is_empty() { String::new() } else { format!(" (and {} more ask)", rest.len()) };
                let text = job.definition.terms.confirm.as_deref().unwrap_or_default();
                format!("{}: {text}{others}; no runs the others only", job.label())
            });
            (first.map(|job| job.id).into_iter().chain(rest).collect::<Vec<_>>(), question)
        });
        let process: Vec<_> = queues.iter().map(|queue| Command::Process { queue: queue.clone() }).collect();
        let order = Order { commands: process, asked: Asked::Process(queues), hire: true };
        let Some(question) = question else { return vec![Effect::Submit(order)] };
        let mut confirmed = order.clone();
        confirmed.commands.insert(0, Command::Confirm { jobs });
        self.open(Dialog::Ask { question, then: confirmed, otherwise: Some(order) })
    }

    fn process_all(&mut self, now: DateTime<Utc>) -> Acted {
        let queues = |wanted: fn(Mode, bool) -> bool| -> Vec<QueueId> {
            self.site.read(|ledger| {
                let queues = ledger.queues();
                let wanted = queues.into_iter().filter(|(_, queue)| wanted(queue.mode, !queue.pending.is_empty()));
                wanted.map(|(id, _)| id.clone()).collect()
            })
        };
        let processing = queues(|mode, _| mode == Mode::Processing);
        let unattended: Vec<QueueId> = self.site.read(|ledger| {
            let mine = processing.iter().filter(|queue| self.is_unattended(queue, ledger, now));
            mine.cloned().collect()
        });
        if !unattended.is_empty() {
            return Ok(submit(Vec::new(), Asked::GoOn(unattended), true));
        }
        if !processing.is_empty() {
            let pause = processing.iter().map(|queue| Command::Pause { queue: queue.clone() }).collect();
            return Ok(submit(pause, Asked::Pause(processing), false));
        }
        let waiting = queues(|_, pending| pending);
        if waiting.is_empty() {
            return Err("nothing is pending in any queue".to_owned());
        }
        Ok(self.process_these(waiting))
    }

    fn run_failed(&mut self) -> Acted {
        let (failed, asks) = self.queue.read(|record, ledger| {
            let failed = |id: &JobId| {
                let outcome = ledger.job(*id).and_then(Job::outcome);
                matches!(outcome, Some(Outcome::Failed(_) | Outcome::Interrupted))
            };
            let failed: Vec<JobId> = self.lists.rows(record, Phase::Finished).iter().filter(failed).collect();
            let asks = |job: &Job| Some(format!("{}: {}", job.label(), job.definition.terms.confirm.as_ref()?));
            let asks = failed.iter().filter_map(|id| ledger.job(*id)).find_map(asks);
            (failed, asks)
        });
        let count = failed.len();
        // They were shown latest first; they run in the order in which they failed.
        let commands = failed.into_iter().rev().map(|job| Command::Run { job }).collect();
        let order = Order { commands, asked: Asked::RunFailed, hire: true };
        match count {
            0 => Err("no failed job is shown".to_owned()),
            1 => match asks {
                Some(question) => Ok(self.ask(question, order)),
                None => Ok(vec![Effect::Submit(order)]),
            },
            _ => {
                let asks = asks.map(|asks| format!(" ({asks})")).unwrap_or_default();
                Ok(self.ask(format!("Run {count} failed jobs in {} again?{asks}", self.queue.id()), order))
            }
        }
    }

    fn kill(&mut self) -> Acted {
        let job = self.chosen_or_why()?;
        if job.phase() != Phase::Running {
            let cancel = Action::Cancel.key();
            let hint = if job.phase() == Phase::Pending { format!("; {cancel} cancels it") } else { String::new() };
            return Err(format!("{} is {}: there is no process to kill{hint}", job.id, job.phase().word()));
        }
        let commands = vec![Command::Cancel { job: job.id, stop: Stop::Kill }];
        let question = format!("Stop 1 running job in {} at once ({} {})?", job.queue, job.id, job.label());
        Ok(self.ask(question, Order { commands, asked: Asked::Kill(job.id), hire: false }))
    }

    fn clear_finished(&self) -> Acted {
        let queue = self.with_queue()?;
        let clear = match self.lists.filter() {
            None => Command::Clear { queue, phase: Phase::Finished },
            // Only what is shown is removed.
            Some(filter) if filter.is_scanning() => return Err("still looking for matches; try again".to_owned()),
            Some(filter) => {
                let jobs: Vec<_> = filter.rows(Phase::Finished).iter().collect();
                if jobs.is_empty() {
                    return Err(format!("no finished job matches {:?}", filter.text()));
                }
                Command::Remove { jobs }
            }
        };
        Ok(submit(vec![clear], Asked::Remove, false))
    }

    fn undo(&self) -> Acted {
        let undo = self.undo.last().ok_or("nothing was removed in the last 10 s")?;
        Ok(submit(vec![Command::Restore { jobs: undo.jobs.clone() }], Asked::Undo, self.any_processing()))
    }

    /// Adds a job that runs `text` in the shell.
    pub(super) fn add(&self, text: &str) -> Option<Effect> {
        let text = text.trim();
        let queue = self.queue.id().clone();
        let jobs = vec![Arc::new(Definition::new(Script::shell(text)))];
        let order = Order {
            commands: vec![Command::Add { queue: queue.clone(), jobs }],
            asked: Asked::Add(queue),
            hire: self.mode() == Mode::Processing,
        };
        (!text.is_empty()).then_some(Effect::Submit(order))
    }

    fn stop_and_quit(&mut self) -> Vec<Effect> {
        let running: Vec<(QueueId, Vec<JobId>)> = self.site.read(|ledger| {
            let queues = ledger.queues().into_iter().filter(|(_, queue)| !queue.running.is_empty());
            queues.map(|(id, queue)| (id.clone(), queue.running.iter().copied().collect())).collect()
        });
        let names: Vec<&str> = running.iter().map(|(queue, _)| queue.as_str()).collect();
        let jobs: Vec<JobId> = running.iter().flat_map(|(_, jobs)| jobs).copied().collect();
        if jobs.is_empty() {
            return vec![Effect::Leave(Why::Asked)];
        }
        let plural = if jobs.len() == 1 { "" } else { "s" };
        let question = format!("Stop {} running job{plural} in {} and quit?", jobs.len(), names.join(", "));
        // Paused first: otherwise the next jobs would start in place of those that are stopped.
        let pauses = running
            .iter()
            .filter(|(queue, _)| self.site.get_queue(queue).read(|record, _| record.mode) == Mode::Processing);
        let pause = pauses.map(|(queue, _)| Command::Pause { queue: queue.clone() });
        let stop = jobs.iter().map(|job| Command::Cancel { job: *job, stop: Stop::Terminate });
        let commands = pause.chain(stop).collect();
        self.ask(question, Order { commands, asked: Asked::StopAndLeave, hire: false })
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
        let text = self.lists.filter().map(|filter| filter.text().to_owned()).unwrap_or_default();
        Dialog::Filter(Line::new(text))
    }

    fn open_output(&mut self) -> Acted {
        self.chosen_or_why()?;
        if let Some(tiles) = &mut self.tiles {
            tiles.zoom = !tiles.zoom;
            return Ok(Vec::new());
        }
        self.lists.focus_output(true);
        Ok(Vec::new())
    }

    /// Opens the details, or closes them.
    fn turn_detail(&mut self) -> Acted {
        self.chosen_or_why()?;
        self.close_tiles();
        let focus = self.lists.focus();
        if focus.detail {
            self.lists.focus_list(focus.list);
        } else {
            self.lists.focus_detail();
        }
        Ok(Vec::new())
    }

    fn back(&mut self) -> Acted {
        let focus = self.lists.focus();
        if let Some(tiles) = &mut self.tiles {
            if tiles.zoom {
                tiles.zoom = false;
            } else {
                self.close_tiles();
            }
        } else if focus.output || focus.detail {
            self.lists.focus_list(focus.list);
        } else if self.lists.filter().is_some() {
            self.lists.clear_filter();
        } else if self.file.broken.is_some() && self.file.hidden {
            self.file.hidden = false;
        } else {
            return Err(format!("this is the top level; {} quits", Action::Quit.key()));
        }
        Ok(Vec::new())
    }

    /// The focus goes round: the three lists, then the output.
    fn turn(&mut self, by: usize) -> Vec<Effect> {
        if let Some(tiles) = &mut self.tiles {
            tiles.turn(1, by == 1);
            return Vec::new();
        }
        let focus = self.lists.focus();
        let now = if focus.output { PHASES.len() } else { index(focus.list) };
        match PHASES.get((now + by) % (PHASES.len() + 1)) {
            Some(phase) => self.lists.focus_list(*phase),
            None => self.lists.focus_output(false),
        }
        Vec::new()
    }

    /// The tiles of this queue, then those of all queues, then none.
    fn turn_tiles(&mut self) -> Acted {
        let queues = self.site.read(|ledger| {
            let running = ledger.queues().into_iter().filter(|(_, queue)| !queue.running.is_empty());
            running.map(|(id, _)| id.clone()).collect::<Vec<_>>()
        });
        let here = queues.contains(self.queue.id());
        let scope = match &self.tiles {
            None if queues.is_empty() => {
                return Err(format!("nothing runs; {} processes this queue", Action::Process.key()));
            }
            None => Some(here.then(|| self.queue.id().clone())),
            Some(tiles) if tiles.queue.is_some() && queues.len() > usize::from(here) => Some(None),
            Some(_) => None,
        };
        match scope {
            Some(queue) => self.open_tiles(queue),
            None => self.close_tiles(),
        }
        Ok(Vec::new())
    }

    fn turn_queue(&mut self, forward: bool) -> Vec<Effect> {
        let queues = self.queues();
        if let Some(now) = queues.iter().position(|id| id == self.queue.id()) {
            let step = if forward { 1 } else { queues.len() - 1 };
            self.show(&queues[(now + step) % queues.len()]);
        }
        Vec::new()
    }

    fn nth_queue(&mut self, nth: usize) -> Acted {
        let queues = self.queues();
        let id = queues.get(nth - 1).ok_or_else(|| match queues.len() {
            1 => "there is only 1 queue".to_owned(),
            count => format!("there are only {count} queues"),
        })?;
        self.show(id);
        Ok(Vec::new())
    }

    fn queues(&self) -> Vec<QueueId> {
        self.site.read(|ledger| ledger.queues().into_iter().map(|(id, _)| id.clone()).collect())
    }

    fn travel(&mut self, action: Action) {
        let layout = self.layout();
        let focus = self.lists.focus();
        let page = match focus {
            Focus { detail: true, .. } => usize::from(layout.detail.height),
            Focus { output: true, .. } => usize::from(layout.output.height),
            _ => layout.rows(focus.list),
        };
        // A line of the page before stays in view.
        let page = page.saturating_sub(1).max(1);
        let half = (page / 2).max(1);
        let step = match action {
            Action::Down => Step::Down(1),
            Action::Up => Step::Up(1),
            Action::PageDown => Step::Down(page),
            Action::PageUp => Step::Up(page),
            Action::HalfDown => Step::Down(half),
            Action::HalfUp => Step::Up(half),
            Action::Last => Step::Last,
            _ => Step::First,
        };
        if focus.detail {
            self.detail.step(step);
        } else if focus.output {
            // There may be nothing to scroll yet, which is plain to see.
            let _ = self.pane_mut().scroll(step.into());
        } else {
            self.with_lists(|lists, record, _| lists.step(step, record));
        }
    }
}

fn submit(commands: Vec<Command>, asked: Asked, hire: bool) -> Vec<Effect> {
    vec![Effect::Submit(Order { commands, asked, hire })]
}
