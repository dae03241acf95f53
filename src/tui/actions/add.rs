//! Adds a job, and saves an added job to `jobs.yaml`.

use std::sync::Arc;

use super::plan::{ActionPlan, PlanResult};
use crate::model::{Command, Definition, JobRef, QueueMode, Script};
use crate::tui::dialog::{Dialog, JobDraft};
use crate::tui::effect::{Effect, Intent, StoreRequest, Submission};
use crate::tui::state::Screen;

impl Screen {
    pub(super) fn plan_add(&self) -> PlanResult {
        self.require_queue()?;
        Ok(ActionPlan::open(Dialog::Add(JobDraft::default())))
    }

    /// Saves the selected job to `jobs.yaml`, if it isn't from there.
    pub(super) fn plan_save(&self) -> PlanResult {
        let job = self.selected_job().ok_or("No job is selected.")?;
        if job.name().is_some() {
            return Err(format!("{} is already in jobs.yaml.", job.path()));
        }
        let mut definition = Definition { digest: None, ..(*job.definition).clone() };
        if !definition.scheduling.needs.is_empty() {
            // A file refers to jobs by name.
            self.site.read(|site_state| {
                for need in &mut Arc::make_mut(&mut definition.scheduling).needs {
                    let JobRef::Number(id) = need.job else { continue };
                    let known =
                        site_state.job(id).and_then(|job| Some((job.queue.clone(), job.definition.name.clone()?)));
                    if let Some((queue, name)) = known {
                        need.job = JobRef::Named(queue, name);
                    }
                }
            });
        }
        let file = self.settings.file.clone();
        let definition = Box::new(definition);
        let request = StoreRequest::SaveJob { file, job: job.id, queue: job.queue, definition };
        Ok(ActionPlan::Apply(vec![Effect::Store(request)]))
    }

    /// Adds a job with a shell script to the current queue; nothing without a script.
    pub(in super::super) fn add_job(&self, draft: &JobDraft) -> Option<Effect> {
        let script = draft.script.text().trim();
        if script.is_empty() {
            return None;
        }
        let queue = self.queue.id().clone();
        let title = draft.title.text().trim().to_owned();
        let jobs = vec![Arc::new(Definition { title: title.into(), ..Definition::new(Script::shell(script)) })];
        Some(Effect::submit(Submission::new(
            vec![Command::Add { queue: queue.clone(), jobs }],
            Intent::Add(queue),
            self.mode() == QueueMode::Processing,
        )))
    }
}
