//! What each wake-up changes, and what is to be done about it.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::layout::Size;

use crate::model::{Command, Event, JobId, Recorded};

use super::action::Action;
use super::dialog::Dialog;
use super::keys::{Code, Key};
use super::menu::Pressed;
use super::notice::Tone;
use super::notify::Noticed;
use super::pulse::Pulse;
use super::state::{FileState, Screen, Undo};
use super::told;
use super::wake::{Answered, Asked, Effect, Order, Wake, Way, Why};

impl Screen {
    /// Takes in what has happened; returns what is to be done.
    pub fn handle(&mut self, wake: Wake, now: DateTime<Utc>) -> Vec<Effect> {
        self.notices.expire(now);
        self.undo.retain(|undo| undo.until > now);
        if self.pulse.is_none() {
            self.recount();
        }
        let mut effects = Vec::new();
        let asked = wake.is_of_a_person();
        match wake {
            Wake::Key(key) => effects = self.press(key, now),
            Wake::Paste(text) => self.paste(&text, now),
            Wake::Mouse(mouse) => effects = self.click(mouse, now),
            Wake::Resize { width, height } => self.size = Size { width, height },
            Wake::News(news) => effects.extend(self.follow(&news, now)),
            Wake::Fresh(ledger) => {
                self.site.replace(*ledger);
                self.with_lists(|lists, _, ledger| lists.refilter(ledger));
                self.recount();
            }
            Wake::Answer(answered) => effects.extend(self.answered(&answered, now)),
            Wake::Log { run, reader, line } => self.output.open(run, *reader, line),
            Wake::Attended { run, reader, line } => self.attendance.open(run, *reader, line),
            Wake::Turned { from, run: Some(run), .. } => effects.extend(self.pane_mut().turn_to(from, run)),
            Wake::Turned { run: None, way, .. } => {
                let which = if way == Way::Earlier { "first" } else { "latest" };
                self.notices.say(Tone::Refused, format!("this is the {which} of its runs that is kept"), now);
            }
            Wake::Runs { job, runs, hook_end } => self.detail.take(job, runs, hook_end),
            Wake::Grown => {
                self.attendance.refresh();
                self.refresh_output();
            }
            Wake::File(Ok(plan)) => {
                self.file = FileState::default();
                let commands = vec![Command::Reconcile(plan)];
                effects.push(Effect::Submit(Order { commands, asked: Asked::Reload, hire: self.any_processing() }));
            }
            Wake::File(Err(broken)) => {
                self.file.broken = Some(broken);
                self.file.hidden = false;
                self.file.scroll = 0;
            }
            Wake::Tended(tended) => {
                if let Some(text) = told::tended(&tended, &self.setup.keymap) {
                    self.notices.say(Tone::Failed, text, now);
                }
            }
            Wake::Trouble(text) => self.notices.say(Tone::Failed, text, now),
            Wake::Tick => {}
            Wake::Suspend => effects.push(Effect::Suspend),
            Wake::Repaint => effects.push(Effect::Repaint),
            Wake::Leave(why) => effects.push(Effect::Leave(why)),
        }
        self.attend(now);
        // Whoever has pressed a key sees what it does before anything else goes on.
        if !asked {
            self.proceed();
        }
        self.settle();
        let shown = self.show_output();
        // First somebody listens, then it is read.
        effects.extend(self.attend_to_runs());
        effects.extend(shown);
        let job = self.chosen().filter(|_| self.shows_details());
        effects.extend(self.detail.show(job.as_ref()));
        self.mind_typing();
        effects
    }

    /// Goes on with what was too much for one step.
    fn proceed(&mut self) {
        self.with_lists(|lists, _, ledger| {
            if let Some(filter) = lists.filter_mut() {
                filter.step(ledger);
            }
        });
        if self.is_reading() {
            self.refresh_output();
        }
    }

    fn follow(&mut self, news: &[Recorded], now: DateTime<Utc>) -> Vec<Effect> {
        let (wanted, mut noticed) = (self.setup.notify, Noticed::default());
        for recorded in news {
            if wanted.is_on() {
                self.site.read(|ledger| noticed.look(&recorded.event, wanted, ledger));
            }
            self.follow_one(recorded);
        }
        let texts = self.site.read(|ledger| noticed.texts(ledger));
        let mut effects: Vec<Effect> = texts.into_iter().map(Effect::Notify).collect();
        if let Some(told) = told::reloaded(news) {
            self.notices.say(told.tone, told.text, now);
        }
        let shown: Vec<_> = match &self.tiles {
            Some(tiles) => tiles.runs().collect(),
            None => self.output.run().into_iter().collect(),
        };
        let ended = |recorded: &Recorded, which: &dyn Fn(_) -> bool| match recorded.event {
            Event::Ended { run, .. } => which(run),
            _ => false,
        };
        if news.iter().any(|recorded| ended(recorded, &|run| shown.contains(&run))) {
            self.refresh_output();
        }
        if !self.has_queue() {
            let first = self.site.read(|ledger| ledger.queues().first().map(|(id, _)| (*id).clone()));
            if let Some(first) = first {
                self.show(&first);
            }
        }
        // A running job was in the way of a part of the file.
        let unfinished = self.site.read(|ledger| ledger.stamp() == Some(""));
        if unfinished && news.iter().any(|recorded| ended(recorded, &|_| true)) {
            effects.push(Effect::Reread);
        }
        effects
    }

    /// Takes in one event; what is counted and filtered hears how its job was, and how it is now.
    fn follow_one(&mut self, recorded: &Recorded) {
        let id = match &recorded.event {
            Event::Added { job } | Event::Restored { job } => Some(job.id),
            event => event.job(),
        };
        let Some(id) = id else {
            self.site.follow(std::slice::from_ref(recorded));
            // The order of the queues may be another one now.
            if matches!(recorded.event, Event::QueueDefined { .. }) && self.lists.is_of_all() {
                self.with_lists(|lists, _, ledger| lists.refilter(ledger));
            }
            return;
        };
        let Self { site, lists, pulse, .. } = self;
        let (mut filter, mut pulse) = (lists.filter_mut(), pulse.as_mut());
        site.read(|ledger| {
            let Some(job) = ledger.job(id) else { return };
            if let Some(filter) = &mut filter {
                filter.before(job, ledger);
            }
            if let Some(pulse) = &mut pulse {
                pulse.leave(job);
            }
        });
        site.follow(std::slice::from_ref(recorded));
        site.read(|ledger| {
            let Some(job) = ledger.job(id) else { return };
            if let Some(filter) = &mut filter {
                filter.after(job, ledger);
            }
            if let Some(pulse) = &mut pulse {
                pulse.enter(job);
            }
        });
    }

    fn recount(&mut self) {
        let mut pulse = Pulse::default();
        self.site.read(|ledger| pulse.recount(ledger));
        self.pulse = Some(pulse);
    }

    /// Shows the jobs that a query finds.
    pub(super) fn filter_by(&mut self, text: &str, now: DateTime<Utc>) {
        self.with_lists(|lists, _, ledger| lists.set_filter(text, ledger, now));
    }

    fn answered(&mut self, answered: &Answered, now: DateTime<Utc>) -> Option<Effect> {
        let leaves = answered.asked == Asked::StopAndLeave && answered.outcome.is_ok();
        let told = self.site.read(|ledger| told::told(answered, ledger, &self.setup.keymap));
        if matches!(answered.asked, Asked::These(_)) && told.tone == Tone::Done {
            self.lists.unmark();
        }
        if let Some(jobs) = told.removed {
            self.lists.mark(jobs.iter().copied(), false);
            let until = now + TimeDelta::seconds(10);
            self.undo.push(Undo { jobs, until });
            self.notices.say_until(told.tone, told.text, until);
        } else if !told.text.is_empty() {
            self.notices.say(told.tone, told.text, now);
        }
        if told.undone {
            self.undo.pop();
        }
        if let Some(added) = told.added {
            self.choose(added);
        }
        leaves.then_some(Effect::Leave(Why::Asked))
    }

    /// Puts the cursor on a job, if it is in the queue in front.
    fn choose(&mut self, id: JobId) {
        self.with_lists(|lists, _, ledger| lists.choose(id, ledger));
    }

    pub(super) fn press(&mut self, key: Key, now: DateTime<Utc>) -> Vec<Effect> {
        if let Some(typing) = self.typing {
            self.type_key(typing, key, now);
            return Vec::new();
        }
        if let Some(dialog) = self.dialog.take() {
            return self.answer(dialog, key, now);
        }
        if let Some(action) = self.setup.keymap.action(key, self.lists.focus().output) {
            return self.act(action, now);
        }
        let help = self.key(Action::Help);
        self.notices.say(Tone::Refused, format!("{key} does nothing here; {help} shows all keys"), now);
        Vec::new()
    }

    /// A dialog takes the key.
    fn answer(&mut self, mut dialog: Dialog, key: Key, now: DateTime<Utc>) -> Vec<Effect> {
        let cancels = key.code == Code::Esc || (key.ctrl && matches!(key.code, Code::Char('c' | 'g')));
        match &mut dialog {
            Dialog::Ask { then, otherwise, .. } => match key.typed() {
                Some('y' | 'Y') => return vec![Effect::Submit(then.clone())],
                Some('n' | 'N') if otherwise.is_some() => {
                    return otherwise.take().map(Effect::Submit).into_iter().collect();
                }
                Some('n' | 'N') => self.notices.say(Tone::Done, "nothing was done", now),
                _ if cancels => self.notices.say(Tone::Done, "nothing was done", now),
                // Enter and slips of the finger are no answer.
                _ => self.dialog = Some(dialog),
            },
            Dialog::Menu(menu) => match menu.press(key, &self.setup.keymap) {
                Pressed::Stay => self.dialog = Some(dialog),
                Pressed::Close => {}
                Pressed::Run(action) => return self.act(action, now),
            },
            Dialog::Add(draft) => match key.code {
                _ if cancels => {}
                Code::Enter => return self.add(draft).into_iter().collect(),
                Code::Tab | Code::BackTab | Code::Up | Code::Down => {
                    draft.on_title = !draft.on_title;
                    self.dialog = Some(dialog);
                }
                _ => {
                    draft.line_mut().press(key);
                    self.dialog = Some(dialog);
                }
            },
            Dialog::Filter(line) => match key.code {
                _ if cancels => self.with_lists(|lists, _, ledger| lists.clear_filter(ledger)),
                Code::Enter => {
                    // What is wrong with it is said beside it.
                    if self.lists.fault().is_some() {
                        self.dialog = Some(dialog);
                    }
                }
                _ => {
                    line.press(key);
                    let text = line.text().to_owned();
                    self.dialog = Some(dialog);
                    self.filter_by(&text, now);
                }
            },
            Dialog::Search(line) => match key.code {
                // A search that never was is as good as ended.
                _ if cancels => drop(self.pane_mut().search("")),
                Code::Enter => {
                    let text = line.text().to_owned();
                    if let Err(why) = self.pane_mut().search(&text) {
                        self.notices.say(Tone::Refused, why, now);
                    }
                }
                _ => {
                    line.press(key);
                    self.dialog = Some(dialog);
                }
            },
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, now: DateTime<Utc>) {
        if let Some(typing) = self.typing {
            return self.type_text(typing, text, now);
        }
        let Some(line) = self.dialog.as_mut().and_then(Dialog::line_mut) else { return };
        line.insert(text);
        if let Some(Dialog::Filter(line)) = &self.dialog {
            let text = line.text().to_owned();
            self.filter_by(&text, now);
        }
    }
}
