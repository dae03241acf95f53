//! Snapshots: the files of a repository as they were when a job was requested.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How many characters of the id of a commit are shown.
const SHORT_ID_LEN: usize = 10;

/// Which files a job runs on in place of those in its working directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// Those of its git repository when it was requested, in a worktree of its own.
    Git,
}

/// The files of a repository at one time, as a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The id of the commit.
    pub commit: String,
    /// The top folder of the repository's working tree.
    pub repository: PathBuf,
    /// The branch that was checked out; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether the files differed from the last commit, so that the commit of the snapshot is one of its own.
    #[serde(rename = "changed", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_changes: bool,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The machine whose repository has the commit.
    pub host: String,
    /// Whether it was made when the run started, because none was made when the job was requested.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_start: bool,
}

impl SnapshotKind {
    /// Its name in `jobs.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
        }
    }
}

impl Snapshot {
    /// The first characters of the commit.
    pub fn short_id(&self) -> &str {
        self.commit.get(..SHORT_ID_LEN).unwrap_or(&self.commit)
    }

    /// `a1b2c3d4e5 of main, with uncommitted changes`.
    pub fn describe(&self) -> String {
        let branch = self.branch.as_ref().map(|branch| format!(" of {branch}")).unwrap_or_default();
        let changes = if self.has_changes { ", with uncommitted changes" } else { "" };
        let late = if self.at_start { ", made when the run started" } else { "" };
        format!("{}{branch}{changes}{late}", self.short_id())
    }
}
