//! A job that is added on the screen: a script, and a title if it gets one.

use std::sync::Arc;

use super::{Acted, Deed};
use crate::model::{Command, Definition, Mode, Script, Target};
use crate::tui::dialog::{Dialog, Draft};
use crate::tui::state::Screen;
use crate::tui::wake::{Asked, Effect, Order};

impl Screen {
    pub(super) fn open_add(&self) -> Acted {
        self.with_queue()?;
        Ok(Deed::Ask(Dialog::Add(Draft::default())))
    }

    /// Writes the selected job into `jobs.yaml`, where it stands in none.
    pub(super) fn save(&self) -> Acted {
        let job = self.chosen().ok_or("no job is selected")?;
        if job.name().is_some() {
            return Err(format!("{} stands in jobs.yaml already", job.path()));
        }
        let mut definition = Definition { digest: None, ..(*job.definition).clone() };
        if !definition.terms.needs.is_empty() {
            // In a file, jobs are named.
            self.site.read(|ledger| {
                for need in &mut Arc::make_mut(&mut definition.terms).needs {
                    let Target::Number(id) = need.job else { continue };
                    let known = ledger.job(id).and_then(|job| Some((job.queue.clone(), job.definition.name.clone()?)));
                    if let Some((queue, name)) = known {
                        need.job = Target::Named(queue, name);
                    }
                }
            });
        }
        Ok(Deed::Do(vec![Effect::Save { job: job.id, queue: job.queue, definition: Box::new(definition) }]))
    }

    /// Appends a job to the queue in front that runs a script in the shell; none where nothing was written.
    pub(in super::super) fn add(&self, draft: &Draft) -> Option<Effect> {
        let script = draft.script.text().trim();
        if script.is_empty() {
            return None;
        }
        let queue = self.queue.id().clone();
        let title = draft.title.text().trim().to_owned();
        let jobs = vec![Arc::new(Definition { title, ..Definition::new(Script::shell(script)) })];
        Some(Effect::Submit(Order {
            commands: vec![Command::Add { queue: queue.clone(), jobs }],
            asked: Asked::Add(queue),
            hire: self.mode() == Mode::Processing,
        }))
    }
}
