//! Plans of the actions on jobs: run, cancel, kill, remove, restore and move.

use chrono::{DateTime, Utc};

use super::plan::{ActionPlan, PlanResult};
use super::targets::{ActionTargets, location};
use crate::model::{Command, Job, JobId, JobState, Outcome, Phase, Placement, StopSignal, WaitConditions, WaitReason};
use crate::site::user_name;
use crate::text::count_noun;
use crate::tui::action::Action;
use crate::tui::dialog::Dialog;
use crate::tui::effect::{BulkAction, Effect, Intent, Submission};
use crate::tui::job_label::title_or_name;
use crate::tui::sort_order::SortOrder;
use crate::tui::state::Screen;

impl Screen {
    pub(super) fn plan_run(&self, now: DateTime<Utc>) -> PlanResult {
        let targets = self.targets()?;
        if let Some(job) = targets.single() {
            return Ok(self.plan_run_one(job, now));
        }
        let jobs = targets.filter(|job| job.phase() != Phase::Running);
        if jobs.is_empty() {
            return Err(format!("{}.", targets.all_are("already running")));
        }
        let question_of_job = first_question(jobs.iter().copied());
        let question = format!("Run {}?{question_of_job}", targets.scope(&jobs, "marked job"));
        let submission = Submission::new(self.requests(&jobs), Intent::Marked(BulkAction::Run), true);
        Ok(ActionPlan::confirm(question, "run them", submission))
    }

    /// Runs the selected job. If it needs other jobs or approval, asks first.
    fn plan_run_one(&self, job: &Job, now: DateTime<Utc>) -> ActionPlan {
        let submission = |commands| Submission::new(commands, Intent::Run(job.id), true);
        let request = submission(self.requests(&[job]));
        let unmet = self.site.read(|site| site.unmet_requirements(job));
        let title = title_or_name(job);
        let question = asks(job).map(|question| format!(" ({question})")).unwrap_or_default();
        match unmet.first() {
            // Running jobs are refused without a question.
            _ if job.phase() == Phase::Running => ActionPlan::Apply(vec![Effect::submit(request)]),
            None => ActionPlan::Apply(vec![Effect::submit(request)]),
            Some(WaitReason::Confirm) => {
                let question = asks(job).unwrap_or_default();
                ActionPlan::confirm(format!("{title}: {question}"), "run it", request)
            }
            Some(needs) => {
                let force = submission(vec![Command::Run { job: job.id, force: true }]);
                let later = submission(vec![Command::Run { job: job.id, force: false }]);
                let will_wait = matches!(needs, WaitReason::Needs(_));
                ActionPlan::open(Dialog::Confirm {
                    question: format!("{title} {}. Run it anyway?{question}", needs.describe(now)),
                    yes: "run it anyway",
                    on_yes: force,
                    on_no: will_wait.then_some(("run it after that", later)),
                })
            }
        }
    }

    /// The commands that run these jobs, those that others need first. Their questions have been answered.
    fn requests(&self, jobs: &[&Job]) -> Vec<Command> {
        self.requests_with(jobs, |job| Command::Run { job, force: false })
    }

    /// Same, with this command for each job.
    fn requests_with(&self, jobs: &[&Job], request: impl Fn(JobId) -> Command) -> Vec<Command> {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let ordered = self.site.read(|site| site.needed_first(&ids));
        let mut commands: Vec<Command> = ordered.into_iter().map(request).collect();
        let asking: Vec<JobId> = jobs.iter().filter(|job| asks(job).is_some()).map(|job| job.id).collect();
        if !asking.is_empty() {
            commands.push(Command::Approve { jobs: asking, by: user_name() });
        }
        commands
    }

    pub(super) fn plan_cancel(&self) -> PlanResult {
        let targets = self.targets()?;
        let cancel = |job: JobId| Command::Cancel { job, stop: StopSignal::Terminate };
        if let Some(job) = targets.single() {
            return Ok(ActionPlan::submit(vec![cancel(job.id)], Intent::Cancel(job.id), false));
        }
        let jobs = targets.filter(|job| job.phase() != Phase::Finished);
        if jobs.is_empty() {
            return Err(format!("{}; there is nothing to cancel.", targets.all_are("finished")));
        }
        let running = jobs.iter().filter(|job| job.phase() == Phase::Running).count();
        let running = if running > 0 { format!(" ({running} running)") } else { String::new() };
        let question = format!("Cancel {}{running}?", targets.scope(&jobs, "marked job"));
        let commands = jobs.iter().map(|job| cancel(job.id)).collect();
        Ok(ActionPlan::confirm(
            question,
            "cancel them",
            Submission::new(commands, Intent::Marked(BulkAction::Cancel), false),
        ))
    }

    pub(super) fn plan_kill(&self) -> PlanResult {
        let targets = self.targets()?;
        let kill = |job: JobId| Command::Cancel { job, stop: StopSignal::Kill };
        let running = targets.filter(|job| job.phase() == Phase::Running);
        let cancel = self.key(Action::Cancel);
        match (targets.single(), &running[..]) {
            (Some(job), []) => {
                let hint = if job.phase() == Phase::Pending {
                    format!(" Press {cancel} to cancel it.")
                } else {
                    String::new()
                };
                Err(format!("{} is {}, not running.{hint}", job.id, job.phase().as_str()))
            }
            (Some(job), _) => {
                let (id, label) = (job.id.to_string(), title_or_name(job));
                let named = if label == id { id } else { format!("{id} {label}") };
                let question = format!("Kill 1 running job in {} ({named})?", job.queue);
                let submission = Submission::new(vec![kill(job.id)], Intent::Kill(job.id), false);
                Ok(ActionPlan::confirm(question, "kill it", submission))
            }
            (None, []) => Err(format!("None of the marked jobs is running. Press {cancel} to cancel them.")),
            (None, _) => {
                let question = format!("Kill {}?", targets.scope(&running, "marked job"));
                let commands = running.iter().map(|job| kill(job.id)).collect();
                Ok(ActionPlan::confirm(
                    question,
                    "kill them",
                    Submission::new(commands, Intent::Marked(BulkAction::Kill), false),
                ))
            }
        }
    }

    /// Removes jobs, without a question, as they can be restored.
    pub(super) fn plan_remove(&self) -> PlanResult {
        let targets = self.targets()?;
        let needs_worker = self.is_any_queue_processing();
        if let Some(job) = targets.single() {
            return Ok(ActionPlan::submit(vec![Command::Remove { jobs: vec![job.id] }], Intent::Remove, needs_worker));
        }
        let jobs = targets.filter(|job| job.phase() != Phase::Running);
        if jobs.is_empty() {
            let cancel = self.key(Action::Cancel);
            return Err(format!("{}. Press {cancel} to cancel them first.", targets.all_are("running")));
        }
        let jobs = jobs.iter().map(|job| job.id).collect();
        Ok(ActionPlan::submit(vec![Command::Remove { jobs }], Intent::Remove, needs_worker))
    }

    pub(super) fn plan_run_failed(&self) -> PlanResult {
        let visible = self.visible_jobs(Phase::Finished)?;
        let failed: Vec<Job> = self.site.read(|site_state| {
            let failed = |job: &&Job| {
                !job.definition.is_removed_from_file
                    && matches!(
                        job.outcome(),
                        Some(Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. })
                    )
            };
            visible.into_iter().filter_map(|id| site_state.job(id)).filter(failed).cloned().collect()
        });
        let question_of_job = first_question(failed.iter());
        // The store decides whether each has still failed: another process may have run it since.
        let request = |job| Command::RunFailed { job, force: false };
        let commands = self.requests_with(&failed.iter().collect::<Vec<_>>(), request);
        let submission = Submission::new(commands, Intent::RunFailed, true);
        match &failed[..] {
            [] => Err("No failed jobs are shown.".to_owned()),
            [_] if question_of_job.is_empty() => Ok(ActionPlan::Apply(vec![Effect::submit(submission)])),
            failed => {
                let count = count_noun(failed.len(), "failed job");
                let place = location(failed.iter().map(|job| &job.queue));
                Ok(ActionPlan::confirm(format!("Run {count} {place} again?{question_of_job}"), "run them", submission))
            }
        }
    }

    pub(super) fn plan_clear_finished(&self) -> PlanResult {
        if self.lists.filter_text().is_empty() && !self.lists.shows_all_queues() {
            let queue = self.require_queue()?;
            return Ok(ActionPlan::submit(
                vec![Command::Clear { queue, phase: Phase::Finished }],
                Intent::Remove,
                false,
            ));
        }
        // Removes only visible jobs.
        let jobs = self.visible_jobs(Phase::Finished)?;
        if jobs.is_empty() {
            return Err("No finished jobs are shown.".to_owned());
        }
        Ok(ActionPlan::submit(vec![Command::Remove { jobs }], Intent::Remove, false))
    }

    pub(super) fn plan_undo(&self) -> PlanResult {
        let undo = self.undo.last().ok_or("Nothing was removed in the last 10 seconds.")?;
        Ok(ActionPlan::submit(
            vec![Command::Restore { jobs: undo.jobs.clone() }],
            Intent::Undo,
            self.is_any_queue_processing(),
        ))
    }

    /// Moves jobs before the job above them, or after the job below.
    pub(super) fn plan_move(&self, up: bool) -> PlanResult {
        let targets = self.targets()?;
        if self.lists.sort() != SortOrder::Queue {
            let sort = self.key(Action::Sort);
            return Err(format!("The lists are sorted {}. Press {sort} to change that.", self.lists.sort().label()));
        }
        let jobs: Vec<JobId> = targets.filter(|job| job.phase() == Phase::Pending).iter().map(|job| job.id).collect();
        let Some(first) = targets.jobs.iter().find(|job| job.phase() == Phase::Pending) else {
            let phase = targets.jobs.first().map_or("running", |job| job.phase().as_str());
            return Err(format!("Only pending jobs can be moved; this one is {phase}."));
        };
        self.require_complete_lists()?;
        let end = if up { jobs.first() } else { jobs.last() };
        let beside = self.queue.read(|record, site_state| {
            let visible = self.lists.rows(record, Phase::Pending);
            let row = visible.row_of(*end?, site_state)?;
            visible.get(if up { row.checked_sub(1)? } else { row + 1 })
        });
        let same = self
            .site
            .read(|site_state| beside.filter(|id| site_state.job(*id).is_some_and(|job| job.queue == first.queue)));
        let Some(beside) = same else {
            return Err(format!("It is already {} in {}.", if up { "first" } else { "last" }, first.queue));
        };
        let placement = if up { Placement::Before(beside) } else { Placement::After(beside) };
        Ok(ActionPlan::submit(vec![Command::Move { jobs, placement }], Intent::Move, false))
    }
}

impl ActionTargets {
    fn filter(&self, is_wanted: impl Fn(&Job) -> bool) -> Vec<&Job> {
        self.jobs.iter().filter(|job| is_wanted(job)).collect()
    }

    /// `The marked job is running`, `All 3 marked jobs are running`.
    fn all_are(&self, what: &str) -> String {
        match self.jobs.len() {
            1 => format!("The marked job is {what}"),
            count => format!("All {count} marked jobs are {what}"),
        }
    }
}

/// The question of a job that will need approval when it is requested.
fn asks(job: &Job) -> Option<&str> {
    let is_answered = matches!(job.state, JobState::Pending { wait: WaitConditions { confirm: false, .. }, .. });
    job.definition.scheduling.confirm.as_deref().filter(|_| !is_answered)
}

/// The question of the first job that needs approval.
fn first_question<'a>(mut jobs: impl Iterator<Item = &'a Job>) -> String {
    let question = |job: &'a Job| Some(format!(" ({}: {})", title_or_name(job), asks(job)?));
    jobs.find_map(question).unwrap_or_default()
}
