//! Limits on what a run may use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use crate::text;

/// Limits on what a run may use; `None` leaves a limit as it is where the job is requested. In a cgroup of the run, `memory`,
/// `cpus` and `processes` hold for all its processes together; elsewhere, for each process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The memory, in bytes. Where it holds for each process, what that allocates, not what it maps from files or shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The processor time of a process, in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::optional")]
    pub cpu_time: Option<Duration>,
    /// The number of files that a process has open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// The number of processes and threads: of the run, or elsewhere of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// The size of a file that is written, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// How many processors are used at a time, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millicpus: Option<u32>,
    /// The niceness: from -20 for the most to 19 for the least processor time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i8>,
}

impl fmt::Display for Limits {
    /// `memory 4.0 GiB, cpu_time 10m`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            self.memory.map(|bytes| format!("memory {}", text::bytes(bytes))),
            self.millicpus.map(|thousandths| format!("cpus {}", Self::cpus_text(thousandths))),
            self.cpu_time.map(|time| format!("cpu_time {}", text::exact_duration(time))),
            self.open_files.map(|count| format!("open_files {count}")),
            self.processes.map(|count| format!("processes {count}")),
            self.file_size.map(|bytes| format!("file_size {}", text::bytes(bytes))),
            self.nice.map(|nice| format!("nice {nice}")),
        ];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Limits {
    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These limits but for those that `kept` has.
    #[must_use]
    pub fn without(&self, kept: &Self) -> Self {
        Self {
            memory: self.memory.filter(|_| kept.memory.is_none()),
            cpu_time: self.cpu_time.filter(|_| kept.cpu_time.is_none()),
            open_files: self.open_files.filter(|_| kept.open_files.is_none()),
            processes: self.processes.filter(|_| kept.processes.is_none()),
            file_size: self.file_size.filter(|_| kept.file_size.is_none()),
            millicpus: self.millicpus.filter(|_| kept.millicpus.is_none()),
            nice: self.nice.filter(|_| kept.nice.is_none()),
        }
    }

    /// A number of processors as in `jobs.yaml`: `2`, `0.5`.
    pub fn cpus_text(thousandths: u32) -> String {
        let (whole, rest) = (thousandths / 1000, thousandths % 1000);
        let decimals = format!("{rest:03}");
        match decimals.trim_end_matches('0') {
            "" => whole.to_string(),
            decimals => format!("{whole}.{decimals}"),
        }
    }
}
