//! Whose logs somebody listens to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::RunId;

/// The runs whose output somebody listens to, which may be others from one moment to the next. Clones are the same runs.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<HashSet<RunId>>>);

impl Heard {
    /// These runs and no others are listened to from now on.
    pub fn set(&self, runs: impl IntoIterator<Item = RunId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = runs.into_iter().collect();
    }

    /// Whether a change of a file with this name is of interest.
    pub(super) fn hears(&self, name: &str) -> bool {
        let Some((run, kind)) = name.split_once('.') else { return false };
        let run = run.parse().map(RunId);
        // Marks are written with what they are about.
        kind != "marks" && run.is_ok_and(|run| self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&run))
    }
}
