//! The files that a run was given, in JSON.

use serde::Serialize;

use super::time_text::iso_time;
use crate::model::Snapshot;

/// The files that a run was given.
#[derive(Serialize)]
pub(super) struct SnapshotRecord<'a> {
    commit: &'a str,
    branch: Option<&'a str>,
    uncommitted_changes: bool,
    repository: String,
    machine: &'a str,
    taken_at: String,
    taken_at_start: bool,
}

impl<'a> SnapshotRecord<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            commit: &snapshot.commit,
            branch: snapshot.branch.as_deref(),
            uncommitted_changes: snapshot.has_changes,
            repository: snapshot.repository.to_string_lossy().into_owned(),
            machine: &snapshot.host,
            taken_at: iso_time(snapshot.at),
            taken_at_start: snapshot.at_start,
        }
    }
}
