//! What a run used: processor time, memory and disk.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// What the processes of a run used, as the kernel counts it: the process that was started, and those of its descendants
/// that their parents waited for. Background processes are not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredUsage", into = "StoredUsage")]
pub struct Usage {
    /// Processor time in user mode, in whole microseconds.
    pub user: Duration,
    /// Processor time in the kernel, in whole microseconds.
    pub system: Duration,
    /// The peak memory of the largest process, in bytes.
    pub peak_memory: u64,
    /// The peak is at most this: no process was larger than the worker that started it, whose size the kernel counts too.
    pub is_peak_bound: bool,
    /// What was read from and written to disks, if it is known.
    pub io: Option<DiskUsage>,
}

/// What was read from and written to disks, in bytes. The page cache is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// Read from disks.
    pub read: u64,
    /// Written to disks.
    pub written: u64,
}

/// A short form, because there is one for each run: microseconds, bytes, and bytes read and written.
type StoredUsage = (u64, u64, u64, bool, Option<(u64, u64)>);

impl Usage {
    /// The processor time.
    pub fn cpu(&self) -> Duration {
        self.user.saturating_add(self.system)
    }

    /// The peak memory in words: `120 MiB`, or `at most 20 MiB`.
    pub fn memory_text(&self) -> String {
        let size = text::bytes(self.peak_memory);
        if self.is_peak_bound { format!("at most {size}") } else { size }
    }
}

impl fmt::Display for Usage {
    /// `1.3s CPU (1.1s user, 0.2s system), 120 MiB memory, 1.0 MiB read, 0 B written`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [cpu, user, system] = [self.cpu(), self.user, self.system].map(text::duration);
        write!(f, "{cpu} CPU ({user} user, {system} system), {} memory", self.memory_text())?;
        if let Some(DiskUsage { read, written }) = self.io {
            write!(f, ", {} read, {} written", text::bytes(read), text::bytes(written))?;
        }
        Ok(())
    }
}

impl From<Usage> for StoredUsage {
    fn from(usage: Usage) -> Self {
        let io = usage.io.map(|DiskUsage { read, written }| (read, written));
        (micros(usage.user), micros(usage.system), usage.peak_memory, usage.is_peak_bound, io)
    }
}

impl From<StoredUsage> for Usage {
    fn from((user, system, peak_memory, is_peak_bound, io): StoredUsage) -> Self {
        Self {
            user: Duration::from_micros(user),
            system: Duration::from_micros(system),
            peak_memory,
            is_peak_bound,
            io: io.map(|(read, written)| DiskUsage { read, written }),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
