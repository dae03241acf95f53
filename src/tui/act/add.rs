//! A job that is added on the screen: a script, and a title if it gets one.

use std::sync::Arc;

use super::{Acted, Deed};
use crate::model::{Command, Definition, Mode, Script};
use crate::tui::dialog::{Dialog, Draft};
use crate::tui::state::Screen;
use crate::tui::wake::{Asked, Effect, Order};

impl Screen {
    pub(super) fn open_add(&self) -> Acted {
        self.with_queue()?;
        Ok(Deed::Ask(Dialog::Add(Draft::default())))
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
