//! Limits on what a run may use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use crate::text;

/// Limits on what each process of a run may use; `None` leaves a limit as it is where the job is requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The memory of a process, in bytes: what it allocates, not what it maps from files or shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The processor time of a process, in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::optional")]
    pub cpu_time: Option<Duration>,
    /// The number of files that a process has open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// The number of processes and threads of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// The size of a file that is written, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
}

impl fmt::Display for Limits {
    /// `memory 4.0 GiB, cpu_time 10m`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            self.memory.map(|bytes| format!("memory {}", text::bytes(bytes))),
            self.cpu_time.map(|time| format!("cpu_time {}", text::exact_duration(time))),
            self.open_files.map(|count| format!("open_files {count}")),
            self.processes.map(|count| format!("processes {count}")),
            self.file_size.map(|bytes| format!("file_size {}", text::bytes(bytes))),
        ];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Limits {
    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
