//! What a run used: processor time, memory and disk.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// What the processes of a run used, as the kernel counts it: the process that was started, and those of its descendants
/// that their parents waited for; or all its processes, as far as its cgroup tells.
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
    /// What is known of all processes together.
    pub tree: TreeUsage,
}

/// What the cgroup of a run tells about all its processes together, those in the background included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeUsage {
    /// The processor time is that of all of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_cpu: bool,
    /// What was read and written is that of all of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_io: bool,
    /// Their peak memory together with the files that the kernel kept in memory for them, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
}

/// What was read from and written to disks, in bytes. The page cache is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Read from disks.
    pub read: u64,
    /// Written to disks.
    pub written: u64,
}

/// What all processes of a run use together while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveUsage {
    /// The processor time so far, without that of background processes that have ended.
    pub cpu: Duration,
    /// The recent share of one processor, in percent; none before the second look.
    pub cpu_percent: Option<u32>,
    /// The memory that they have resident, in bytes. What they share counts for each of them.
    pub memory: u64,
    /// How many processes there are.
    pub processes: usize,
}

/// A short form, because there is one for each run: microseconds, bytes, and bytes read and written. Earlier versions
/// stored no usage of the tree.
#[derive(Serialize, Deserialize)]
struct StoredUsage(
    u64,
    u64,
    u64,
    bool,
    Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "TreeUsage::is_empty")] TreeUsage,
);

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

impl TreeUsage {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Usage {
    /// `1.3s CPU (1.1s user, 0.2s system), 120 MiB memory, 1.0 MiB read, 0 B written`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [cpu, user, system] = [self.cpu(), self.user, self.system].map(text::duration);
        write!(f, "{cpu} CPU ({user} user, {system} system), {} memory", self.memory_text())?;
        if let Some(peak) = self.tree.peak_memory {
            write!(f, ", {} in all with cached files", text::bytes(peak))?;
        }
        if let Some(DiskUsage { read, written }) = self.io {
            write!(f, ", {} read, {} written", text::bytes(read), text::bytes(written))?;
        }
        Ok(())
    }
}

impl From<Usage> for StoredUsage {
    fn from(usage: Usage) -> Self {
        let io = usage.io.map(|DiskUsage { read, written }| (read, written));
        Self(micros(usage.user), micros(usage.system), usage.peak_memory, usage.is_peak_bound, io, usage.tree)
    }
}

impl From<StoredUsage> for Usage {
    fn from(StoredUsage(user, system, peak_memory, is_peak_bound, io, tree): StoredUsage) -> Self {
        Self {
            user: Duration::from_micros(user),
            system: Duration::from_micros(system),
            peak_memory,
            is_peak_bound,
            io: io.map(|(read, written)| DiskUsage { read, written }),
            tree,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_earlier_versions_loads_and_new_parts_are_stored_only_if_there_are_any() {
        let earlier = "[1000,2000,4096,true,[1,2]]";
        let usage: Usage = serde_json::from_str(earlier).unwrap();
        assert_eq!(
            (usage.user, usage.io, usage.tree),
            (Duration::from_millis(1), Some(DiskUsage { read: 1, written: 2 }), TreeUsage::default(),)
        );
        assert_eq!(serde_json::to_string(&usage).unwrap(), earlier);
        let tree = TreeUsage { has_cpu: true, has_io: false, peak_memory: Some(5 << 20) };
        let usage = Usage { tree, ..usage };
        let stored = serde_json::to_string(&usage).unwrap();
        assert_eq!(serde_json::from_str::<Usage>(&stored).unwrap(), usage, "{stored}");
        assert!(
            usage.to_string().contains("at most 4.0 KiB memory, 5.0 MiB in all with cached files, 1 B read"),
            "{usage}"
        );
    }
}
