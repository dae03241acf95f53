//! What is missing from logs that could not be written at all, until the store records it with the end of the run, or a
//! server has it as the output of the run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::RunId;

/// The notices of runs whose log has no room for them.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct LostNotes(Arc<Mutex<HashMap<RunId, String>>>);

impl LostNotes {
    pub(super) fn add(&self, run: RunId, notice: String) {
        self.lock().insert(run, notice);
    }

    /// What is missing from the log of a run.
    pub(in crate::store) fn of(&self, run: RunId) -> Option<String> {
        self.lock().get(&run).cloned()
    }

    /// Forgets what was recorded.
    pub(in crate::store) fn forget(&self, run: RunId) {
        self.lock().remove(&run);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
