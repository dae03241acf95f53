//! Identifiers of jobs, runs, workers and queues.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::text;

/// A job's number in its site: shown as `#7`, never reused. 0 until the job is added to a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// The number of a run (one attempt at a job), unique in its site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

/// The number of a worker process, unique in its site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub u64);

/// A queue's name; any string is valid. Cheap to clone, and as small as a pointer: each job has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(Arc<Box<str>>);

impl QueueId {
    /// The name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Why a queue can't be given this name in a file or on a command line, where names are printed and typed.
    pub fn invalid_name_reason(name: &str) -> Option<&'static str> {
        if name.trim().is_empty() {
            Some("a queue's name must not be empty")
        } else if name.starts_with('-') {
            Some("a queue's name must not start with `-`, like an option")
        } else if name.chars().any(|c| text::cells(c).is_none()) {
            Some("a queue's name must not contain line breaks, control characters or invisible characters")
        } else {
            None
        }
    }
}

impl From<&str> for QueueId {
    fn from(name: &str) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl From<String> for QueueId {
    fn from(name: String) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl From<&QueueId> for QueueId {
    fn from(id: &QueueId) -> Self {
        id.clone()
    }
}

impl Borrow<str> for QueueId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
