//! Sources and outputs of a job, and what its sources were at its last success.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::RunId;
use crate::stable_hash::{EMPTY, extend};

/// How many bytes of names of sources are recorded with a success. Of more sources, only the digest of all is.
const MAX_RECORDED_BYTES: usize = 256 * 1024;

/// The sources of a job and how they are compared, and its outputs. Patterns are relative to its working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct FileRules {
    /// The patterns of its sources; one that starts with `!` leaves files out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// What makes a source a changed one.
    #[serde(skip_serializing_if = "SourceComparison::is_content")]
    pub on: SourceComparison,
    /// The patterns of its outputs, each of which has to match something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

/// What makes a source a changed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceComparison {
    /// Another content.
    #[default]
    Content,
    /// Another size or time of modification.
    Mtime,
}

/// The sources of a job at one time, and the command that it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// A digest of the command.
    pub command: u64,
    /// The number of sources.
    pub count: u64,
    /// A digest of all names and contents.
    pub digest: u64,
    /// The digest of each source by its name, unless there are too many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, u64>,
}

/// The last success of a job that has sources or outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSuccess {
    /// The run that succeeded.
    pub run: RunId,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The sources before it started.
    pub sources: SourceState,
    /// Whether a later run did not succeed, which may have left outputs that are not complete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_superseded: bool,
}

/// The sources that changed since the last success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceChanges {
    /// Those with another content.
    pub changed: Vec<String>,
    /// New ones.
    pub appeared: Vec<String>,
    /// Those that are gone.
    pub vanished: Vec<String>,
}

impl SourceComparison {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_content(&self) -> bool {
        *self == Self::Content
    }
}

impl SourceState {
    /// The state of these sources, of a job whose command has this digest.
    pub fn new(command: u64, files: BTreeMap<String, u64>) -> Self {
        let mut digest = EMPTY;
        for (name, file) in &files {
            digest = extend(extend(digest, name.bytes().chain([0])), file.to_le_bytes());
        }
        let count = files.len() as u64;
        let names: usize = files.keys().map(String::len).sum();
        let files = if names > MAX_RECORDED_BYTES { BTreeMap::new() } else { files };
        Self { command, count, digest, files }
    }

    /// What changed from `before` to this; none where nothing did.
    pub(super) fn changes_since(&self, before: &Self) -> Option<SourceChanges> {
        if (self.digest, self.count) == (before.digest, before.count) {
            return None;
        }
        let mut changes = SourceChanges::default();
        // Where the names of one side are not recorded, it is only known that something changed.
        if self.files.len() as u64 == self.count && before.files.len() as u64 == before.count {
            for (name, digest) in &self.files {
                match before.files.get(name) {
                    Some(known) if known == digest => {}
                    Some(_) => changes.changed.push(name.clone()),
                    None => changes.appeared.push(name.clone()),
                }
            }
            changes.vanished.extend(before.files.keys().filter(|name| !self.files.contains_key(*name)).cloned());
        }
        Some(changes)
    }
}
