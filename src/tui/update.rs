//! Handles messages: each one updates the screen and returns the effects to carry out.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::layout::Size;

use crate::model::{Command, Event, EventRecord, Job, JobId, Phase, QueueMode};

use super::action::{Action, Group};
use super::action_menu::MenuResponse;
use super::dialog::Dialog;
use super::effect::{Direction, Effect, ExitReason, Intent, StoreRequest, Submission};
use super::input_form::FormResponse;
use super::keys::{KeyCode, KeyPress};
use super::message::{Message, Reply};
use super::notifications::PendingNotifications;
use super::overview::OverviewResponse;
use super::queue_stats::SiteStats;
use super::reply_text;
use super::server_outage::{RequestKind, ServerOutage};
use super::state::{JobsFileState, Screen, UndoEntry};
use super::status_line::Severity;

/// How long a removal can be undone.
const UNDO_TIME: TimeDelta = TimeDelta::seconds(10);
/// How many steps a search for matches may take before a key acts: a few milliseconds.
const MAX_SCANS_BEFORE_KEY: usize = 10;

impl Screen {
    /// Handles a message for which enough of the site is loaded; returns the effects to carry out.
    pub(super) fn handle_at_once(&mut self, message: Message, now: DateTime<Utc>) -> Vec<Effect> {
        self.status_line.expire(now);
        self.undo.retain(|undo| undo.until > now);
        if self.stats.is_none() && !self.is_loading() {
            self.recount();
        }
        let mut effects = Vec::new();
        let is_input = message.is_user_input();
        match message {
            Message::Key(key) => effects = self.press(key, now),
            Message::Paste(text) => effects.extend(self.paste(&text, now)),
            Message::Mouse(mouse) => effects = self.click(mouse, now),
            Message::Resize { width, height } => self.size = Size { width, height },
            Message::Events(events) => effects.extend(self.apply_events(&events, now)),
            Message::SiteLoaded(site_state) => {
                self.site.replace_state(*site_state);
                self.with_lists(|lists, _, site_state| {
                    lists.refilter(site_state);
                    lists.marks_mut().refresh(site_state);
                });
                self.recount();
                if let Some(Dialog::Page(page)) = &mut self.dialog {
                    page.invalidate();
                }
            }
            Message::Reply(reply) => effects.extend(self.handle_reply(&reply, now)),
            Message::LogOpened { run, reader, input } => self.output.open(run, *reader, input),
            Message::RunSubscribed { run, reader, input } => self.subscriptions.open(run, *reader, input),
            Message::AdjacentRun { from, run: Some(run), .. } => effects.extend(self.pane_mut().show_run(from, run)),
            Message::AdjacentRun { run: None, direction, .. } => {
                let which = if direction == Direction::Earlier { "earliest" } else { "latest" };
                self.status_line.show(Severity::Warning, format!("This is the {which} run that is kept."), now);
            }
            Message::RunsToCompare(readers) => effects.push(Effect::OpenDiff(readers)),
            Message::RunHistory { job, runs, hook_result, machines } => {
                self.details.set_runs(job, runs, hook_result, machines);
            }
            Message::FoundRun { job, run } => effects.extend(self.show_found_run(job, run.map(|run| *run), now)),
            Message::RunsInPeriod { period, runs } => self.set_page_runs(&period, runs, now),
            Message::DueTimes(history) => self.due_times.set(*history),
            Message::LogSearch(results) => {
                if let Some(Dialog::SearchAll(search)) = &mut self.dialog {
                    search.add(results);
                }
            }
            Message::UsageSeen(usages) => self.usages.set(usages),
            Message::OutputGrown => {
                self.subscriptions.refresh();
                self.refresh_output();
            }
            Message::FileRead(Ok(plan)) => {
                self.file = JobsFileState::default();
                let commands = vec![Command::Reconcile(plan)];
                effects.push(Effect::submit(Submission::new(commands, Intent::Reload, self.is_any_queue_processing())));
            }
            Message::FileRead(Err(error)) => {
                // It may be about an earlier version of the file.
                self.status_line.clear_unless_error();
                self.file.error = Some(error);
                self.file.hidden = false;
                self.file.scroll = 0;
            }
            Message::WorkersChecked(check) => {
                if let Some(text) = reply_text::worker_check_text(&check, &self.settings.keymap) {
                    self.status_line.show(Severity::Error, text, now);
                }
            }
            Message::ServerOutage(outage) => self.set_outage(outage, now),
            Message::Error(text) => self.status_line.show(Severity::Error, text, now),
            // The session ends with the error.
            Message::LoadFailed(_) | Message::Tick => {}
            Message::Suspend => effects.push(Effect::Suspend),
            Message::Repaint => effects.push(Effect::Repaint),
            Message::Exit(reason) => effects.push(Effect::Exit(reason)),
        }
        self.update_missing_worker(now);
        // The result of a key press is drawn before other work continues.
        if !is_input {
            self.continue_work();
        }
        self.sync_lists();
        let output_effects = self.sync_output();
        // Subscribe before reading, so that no output is missed.
        effects.extend(self.sync_subscriptions());
        effects.extend(output_effects);
        effects.extend(self.ask_usage(now));
        // Before its selected job is asked for.
        effects.extend(self.sync_page(now));
        let needs_runs = self.shows_details() || self.shows_run_chart();
        let job = self.job_in_focus().filter(|_| needs_runs);
        effects.extend(self.details.show(job.as_ref()));
        let (due_times, local) = (&mut self.due_times, self.settings.local);
        let to_load = self.site.read(|site_state| {
            due_times.show(job.as_ref().and_then(|job| site_state.schedule_of_job(job)), now, local)
        });
        effects.extend(to_load.map(|request| Effect::Store(StoreRequest::LoadDueTimes(Box::new(request)))));
        self.sync_typing();
        self.refuse_in_outage(effects, now)
    }

    /// The server of the site is away, or no longer.
    fn set_outage(&mut self, outage: Option<ServerOutage>, now: DateTime<Utc>) {
        let before = std::mem::replace(&mut self.outage, outage);
        match (before, &self.outage) {
            (Some(before), None) => self.status_line.show(Severity::Info, before.end_text(), now),
            // The header says so.
            (None, Some(_)) => self.status_line.clear(),
            _ => {}
        }
    }

    /// Drops requests that need the server while it is away, and says so.
    fn refuse_in_outage(&mut self, mut effects: Vec<Effect>, now: DateTime<Utc>) -> Vec<Effect> {
        let Some(outage) = &self.outage else { return effects };
        let mut refused = None;
        effects.retain(|effect| {
            let kind = if let Effect::Store(request) = effect { request.kind() } else { None };
            refused = refused.or(kind);
            kind.is_none()
        });
        if let Some(kind) = refused {
            self.status_line.show(Severity::Warning, outage.refusal(kind), now);
        }
        effects
    }

    /// Continues scanning for matches and reading output, which are done in bounded steps.
    fn continue_work(&mut self) {
        self.scan_for_matches();
        if self.is_reading() {
            self.refresh_output();
        }
    }

    fn scan_for_matches(&mut self) {
        self.with_lists(|lists, _, site_state| {
            if let Some(filter) = lists.filter_mut() {
                filter.scan_more(site_state);
            }
        });
    }

    /// Applies new events.
    fn apply_events(&mut self, events: &[EventRecord], now: DateTime<Utc>) -> Vec<Effect> {
        let (settings, mut notifications) = (self.settings.notifications, PendingNotifications::default());
        for record in events {
            if settings.is_enabled() {
                self.site.read(|site_state| notifications.add_event(&record.event, settings, site_state));
            }
            self.apply_event(record);
            self.clear_outdated_status(&record.event);
        }
        let texts = self.site.read(|site_state| notifications.texts(site_state));
        let mut effects: Vec<Effect> = texts.into_iter().map(Effect::Notify).collect();
        if let Some(reload) = self.site.read(|site_state| reply_text::reload_text(events, site_state)) {
            self.status_line.show(reload.severity, reload.text, now);
        }
        let shown: Vec<_> = match &self.tiles {
            Some(tiles) => tiles.runs().collect(),
            None => self.output.run().into_iter().collect(),
        };
        let ended = |record: &EventRecord, is_wanted: &dyn Fn(_) -> bool| match record.event {
            Event::Ended { run, .. } => is_wanted(run),
            _ => false,
        };
        if events.iter().any(|record| ended(record, &|run| shown.contains(&run))) {
            self.refresh_output();
        }
        if !self.has_queue() {
            let first = self.site.read(|site_state| site_state.queues().first().map(|(id, _)| (*id).clone()));
            if let Some(first) = first {
                self.switch_queue(&first);
            }
        }
        // A running job kept a part of the file from being applied.
        let is_incomplete = self.site.read(|site_state| site_state.file_version() == Some(""));
        if is_incomplete && events.iter().any(|record| ended(record, &|_| true)) {
            effects.push(Effect::ReloadFile);
        }
        effects
    }

    /// Removes a status text that says that a queue is being processed or paused, or that a job is being stopped, when that
    /// ends.
    fn clear_outdated_status(&mut self, event: &Event) {
        match event {
            Event::ModeChanged { queue, mode } => self.status_line.clear_about(queue, *mode),
            Event::Ended { job, .. } => self.status_line.clear_about_run(*job),
            _ => {}
        }
    }

    /// Applies an event to the site, and keeps the filter and the statistics up to date.
    fn apply_event(&mut self, record: &EventRecord) {
        let id = match &record.event {
            Event::Added { job } | Event::Restored { job } => Some(job.id),
            event => event.job(),
        };
        let Some(id) = id else {
            self.site.apply_records(std::slice::from_ref(record));
            // The order of the queues may have changed.
            if matches!(record.event, Event::QueueDefined { .. }) && self.lists.shows_all_queues() {
                self.with_lists(|lists, _, site_state| lists.refilter(site_state));
            }
            return;
        };
        let Self { site, lists, stats, dialog, .. } = self;
        let (mut filter, mut stats) = (lists.filter_mut(), stats.as_mut());
        site.read(|site_state| {
            let Some(job) = site_state.job(id) else { return };
            if let Some(filter) = &mut filter {
                filter.remove_job(job, site_state);
            }
            if let Some(stats) = &mut stats {
                stats.remove(job);
            }
        });
        site.apply_records(std::slice::from_ref(record));
        let phase = site.read(|site_state| site_state.job(id).map(Job::phase));
        site.read(|site_state| {
            let Some(job) = site_state.job(id) else { return };
            if let Some(filter) = &mut filter {
                filter.add_job(job, site_state);
            }
            if let Some(stats) = &mut stats {
                stats.add(job);
            }
            if let Some(Dialog::Page(page)) = dialog {
                page.observe(job);
            }
        });
        self.lists.marks_mut().note_change(id, phase);
    }

    fn recount(&mut self) {
        let mut stats = SiteStats::default();
        self.site.read(|site_state| stats.recount(site_state));
        self.stats = Some(stats);
    }

    /// Shows the jobs that a query finds.
    pub(super) fn filter_by(&mut self, text: &str, now: DateTime<Utc>) {
        self.with_lists(|lists, _, site_state| lists.set_filter(text, site_state, now));
    }

    /// Shows the result of a submission.
    fn handle_reply(&mut self, reply: &Reply, now: DateTime<Utc>) -> Option<Effect> {
        let exits = reply.intent == Intent::StopAndQuit && reply.outcome.is_ok();
        let response =
            self.site.read(|site_state| reply_text::reply_text(reply, site_state, &self.settings.keymap, now));
        if matches!(reply.intent, Intent::Marked(_)) && response.severity == Severity::Info {
            self.lists.marks_mut().clear();
        }
        if let Some(jobs) = response.removed {
            self.lists.marks_mut().unmark(&jobs);
            let until = now + UNDO_TIME;
            self.undo.push(UndoEntry { jobs, until });
            self.status_line.show_until(response.severity, response.text, until);
        } else if !response.text.is_empty() {
            self.status_line.show(response.severity, response.text, now);
            match (&reply.intent, &reply.outcome) {
                (Intent::Process(queues), Ok(_)) => self.status_line.set_subject(queues, QueueMode::Processing),
                (Intent::Cancel(job) | Intent::Kill(job), Ok(answers)) => {
                    let is_stop = |event: &Event| matches!(event, Event::StopRequested { .. });
                    let stops_run = answers.iter().flatten().flatten().any(is_stop);
                    let is_running =
                        self.site.read(|site| site.job(*job).is_some_and(|job| job.phase() == Phase::Running));
                    // The end of the run may have been read before the reply.
                    match stops_run {
                        true if is_running => self.status_line.set_subject_run(*job),
                        true => self.status_line.clear(),
                        false => {}
                    }
                }
                _ => {}
            }
        }
        if response.undone {
            self.undo.pop();
        }
        if reply.intent == Intent::ReloadNow && reply.outcome.is_ok() {
            self.file = JobsFileState::default();
        }
        if let Some(added) = response.added {
            self.select(added);
        }
        exits.then_some(Effect::Exit(ExitReason::Quit))
    }

    /// Selects a job, if the lists show it.
    fn select(&mut self, id: JobId) {
        self.lists.set_following(false);
        self.with_lists(|lists, _, site_state| lists.select(id, site_state));
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, now: DateTime<Utc>) -> Vec<Effect> {
        if let Some(typing) = self.typing {
            self.type_key(typing, key, now);
            return Vec::new();
        }
        if let Some(outage) = &self.outage
            && key.code == KeyCode::Enter
            && matches!(self.dialog, Some(Dialog::Add(_) | Dialog::Inputs(_)))
        {
            // What was typed is kept.
            self.status_line.show(Severity::Warning, outage.refusal(RequestKind::Changes), now);
            return Vec::new();
        }
        match self.dialog.take() {
            Some(Dialog::SearchAll(search)) => return self.press_in_search(search, key, now),
            Some(dialog) => return self.press_in_dialog(dialog, key, now),
            None => {}
        }
        self.find_matches_before_key();
        if let Some(action) = self.settings.keymap.action(key, self.lists.focus().output) {
            return self.perform(action, now);
        }
        let help = self.key(Action::Help);
        self.status_line.show(
            Severity::Warning,
            format!("{key} does nothing here. Press {help} to show all keys."),
            now,
        );
        Vec::new()
    }

    /// A key that is typed right after one that filters or sorts the lists is about what they show then. So the matches are
    /// found before it acts, unless there are very many jobs.
    fn find_matches_before_key(&mut self) {
        if !self.is_scanning() {
            return;
        }
        for _ in 0..MAX_SCANS_BEFORE_KEY {
            self.scan_for_matches();
        }
        self.sync_lists();
    }

    /// Handles a key press in a dialog.
    fn press_in_dialog(&mut self, mut dialog: Dialog, key: KeyPress, now: DateTime<Utc>) -> Vec<Effect> {
        let cancels = key.code == KeyCode::Esc || (key.ctrl && matches!(key.code, KeyCode::Char('c' | 'g')));
        match &mut dialog {
            Dialog::Confirm { on_yes, on_no, .. } => match key.typed_char() {
                Some('y' | 'Y') => return self.ask_for_inputs(vec![Effect::submit(on_yes.clone())], now),
                Some('n' | 'N') if on_no.is_some() => {
                    let submissions = on_no.take().map(|(_, submission)| Effect::submit(submission));
                    return self.ask_for_inputs(submissions.into_iter().collect(), now);
                }
                Some('n' | 'N') => self.status_line.show(Severity::Info, "Nothing was changed.", now),
                _ if cancels => self.status_line.show(Severity::Info, "Nothing was changed.", now),
                // Other keys, Enter among them, don't answer the question.
                _ => self.dialog = Some(dialog),
            },
            Dialog::Inputs(form) => match form.press(key) {
                FormResponse::KeepOpen => self.dialog = Some(dialog),
                FormResponse::Cancel => self.status_line.show(Severity::Info, "Nothing was started.", now),
                FormResponse::Submit(submission) => return vec![Effect::submit(submission)],
            },
            Dialog::Menu(menu) => match menu.press(key, &self.settings.keymap) {
                MenuResponse::KeepOpen => self.dialog = Some(dialog),
                MenuResponse::Close => {}
                MenuResponse::Run(action) => return self.perform(action, now),
            },
            Dialog::Overview(overview) => {
                let page = usize::from(self.layout().body.height.saturating_sub(2)).max(1);
                let keymap = &self.settings.keymap;
                let answer = self.site.read(|site| {
                    overview.press(
                        key,
                        keymap,
                        site,
                        &|id, queue| self.stats_of(id, queue, site, now).0.time_left,
                        page,
                    )
                });
                match answer {
                    OverviewResponse::KeepOpen => self.dialog = Some(dialog),
                    OverviewResponse::Close => {}
                    OverviewResponse::Enter(queue) => self.switch_queue(&queue),
                    OverviewResponse::Leave(action) => return self.perform_over(dialog, action, now),
                    OverviewResponse::Perform(queue, action) => {
                        self.switch_queue(&queue);
                        return self.perform_over(dialog, action, now);
                    }
                }
            }
            Dialog::Page(_) => {
                if let Dialog::Page(page) = dialog {
                    return self.press_on_page(*page, key, now);
                }
            }
            Dialog::Add(draft) => match key.code {
                _ if cancels => {}
                KeyCode::Enter => return self.add_job(draft).into_iter().collect(),
                KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => {
                    draft.edits_title = !draft.edits_title;
                    self.dialog = Some(dialog);
                }
                _ => {
                    draft.line_mut().press(key);
                    self.dialog = Some(dialog);
                }
            },
            Dialog::Filter(line) => match key.code {
                _ if cancels => self.with_lists(|lists, _, site_state| lists.clear_filter(site_state)),
                KeyCode::Enter => {
                    // The error is shown beside the filter.
                    if self.lists.query_error().is_some() {
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
            // It takes its keys itself.
            Dialog::SearchAll(_) => self.dialog = Some(dialog),
            Dialog::Search(line) => match key.code {
                // Fails only where there is no search to end.
                _ if cancels => drop(self.pane_mut().search("")),
                KeyCode::Enter => {
                    let text = line.text().to_owned();
                    if let Err(why) = self.pane_mut().search(&text) {
                        self.status_line.show(Severity::Warning, why, now);
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

    /// Performs an action, and shows the dialog again unless the action goes elsewhere.
    pub(super) fn perform_over(&mut self, dialog: Dialog, action: Action, now: DateTime<Utc>) -> Vec<Effect> {
        let effects = self.perform(action, now);
        let is_on_jobs = action.entry().is_some_and(|entry| entry.group == Group::Jobs);
        let stays = match &dialog {
            Dialog::Page(_) => is_on_jobs || action == Action::Mouse,
            _ => matches!(
                action,
                Action::Process | Action::ProcessAll | Action::MoreParallel | Action::LessParallel | Action::Mouse
            ),
        };
        if stays && self.dialog.is_none() {
            self.dialog = Some(dialog);
        }
        effects
    }

    fn paste(&mut self, text: &str, now: DateTime<Utc>) -> Option<Effect> {
        if let Some(typing) = self.typing {
            self.type_text(typing, text, now);
            return None;
        }
        let line = self.dialog.as_mut().and_then(Dialog::line_mut)?;
        line.insert(text);
        if let Some(Dialog::SearchAll(search)) = &mut self.dialog {
            return search.restart().map(|request| Effect::Store(StoreRequest::SearchLogs(request)));
        }
        if let Some(Dialog::Filter(line)) = &self.dialog {
            let text = line.text().to_owned();
            self.filter_by(&text, now);
        }
        None
    }
}
