//! Waits for processes that have ended, and measures what they used.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use wait4::Wait4;

use super::cgroup::CgroupUsage;
use crate::model::{DiskUsage, Exit, TreeUsage, Usage};

/// What is read and written is not looked up for shorter runs: most of these use no disk, and each look takes time.
const MIN_DURATION_WITH_IO: Duration = Duration::from_millis(50);

/// How exactly the kernel counts memory: each processor has a part of the counter.
const PEAK_TOLERANCE: u64 = 4 << 20;

/// A process that has been waited for.
pub(super) struct Ended {
    /// How it ended.
    pub(super) exit: Exit,
    /// What it and its descendants used. None where that is unknown.
    pub(super) usage: Option<Usage>,
}

/// Measures what processes used.
#[derive(Debug, Default)]
pub(super) struct UsageMeter {
    /// The peak memory of this process when it was last looked up.
    own_peak: u64,
}

impl Ended {
    /// Takes into account what the cgroup of the run has counted. Neither is more than what was used: this is without
    /// processes that no parent has waited for, and a cgroup that was entered late may miss what was used before.
    pub(super) fn add_usage_of(&mut self, cgroup: &CgroupUsage) {
        let Some(usage) = &mut self.usage else { return };
        if let Some((user, system)) = cgroup.cpu {
            // Together: what is more of the one may be less of the other.
            if user.saturating_add(system) > usage.cpu() {
                (usage.user, usage.system) = (user, system);
            }
            usage.tree.has_cpu = true;
        }
        if let Some(io) = cgroup.io {
            let own = usage.io.unwrap_or_default();
            usage.io = Some(DiskUsage { read: io.read.max(own.read), written: io.written.max(own.written) });
            usage.tree.has_io = true;
        }
        let largest = if usage.is_peak_bound { 0 } else { usage.peak_memory };
        usage.tree.peak_memory = cgroup.peak_memory.map(|peak| peak.max(largest));
    }
}

impl UsageMeter {
    /// Waits for a child that has ended, after it ran for that long.
    pub(super) fn wait(&mut self, child: &mut Child, elapsed: Duration) -> io::Result<Ended> {
        // Gone as soon as it has been waited for.
        let io = if elapsed >= MIN_DURATION_WITH_IO { read_io(child.id()) } else { None };
        let used = child.wait4()?;
        let usage = Usage {
            user: used.rusage.utime,
            system: used.rusage.stime,
            peak_memory: used.rusage.maxrss,
            is_peak_bound: !self.exceeds_own_peak(used.rusage.maxrss),
            io,
            tree: TreeUsage::default(),
        };
        Ok(Ended { exit: to_exit(used.status.code(), used.status.signal())?, usage: Some(usage) })
    }

    /// Whether a peak is larger than that of this process. The kernel counts what a child shared with its parent before it
    /// became another program, so a smaller peak is this process's.
    fn exceeds_own_peak(&mut self, peak: u64) -> bool {
        let exceeds = |own_peak: u64| peak > own_peak.saturating_add(PEAK_TOLERANCE);
        if exceeds(self.own_peak) {
            // It only grows, so most of the time the known one is enough.
            self.own_peak = own_peak();
        }
        exceeds(self.own_peak)
    }
}

/// How a process ended: by its exit code, or else by a signal.
pub(super) fn to_exit(code: Option<i32>, signal: Option<i32>) -> io::Result<Exit> {
    let exit = code.map(Exit::Code).or(signal.map(Exit::Signal));
    exit.ok_or_else(|| io::Error::other("neither an exit code nor a signal"))
}

/// The peak memory of this process since it became this program, in bytes. That of `getrusage` includes what its own parent
/// had. 0 where there is no `/proc`; other systems don't count the memory of the parent.
fn own_peak() -> u64 {
    parse_peak(&fs::read_to_string("/proc/self/status").unwrap_or_default()).unwrap_or_default()
}

/// Parses `/proc/PID/status`: `VmHWM:   12345 kB`.
fn parse_peak(status: &str) -> Option<u64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

/// What a process, and its descendants that were waited for, read from and wrote to disks. Known until the process has been
/// waited for itself.
pub(super) fn read_io(pid: u32) -> Option<DiskUsage> {
    parse_io(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

/// Parses `/proc/PID/io`. What was written to files that were deleted before it reached the disk does not count.
fn parse_io(text: &str) -> Option<DiskUsage> {
    let number = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
        value.trim().parse::<u64>().ok()
    };
    let written = number("write_bytes")?.saturating_sub(number("cancelled_write_bytes").unwrap_or_default());
    Some(DiskUsage { read: number("read_bytes")?, written })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_output_was_not_written() {
        let text = "rchar: 9\nwchar: 9\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 12288\n\
                    cancelled_write_bytes: 8192\n";
        assert_eq!(parse_io(text), Some(DiskUsage { read: 4096, written: 4096 }));
        assert_eq!(parse_io("read_bytes: x\nwrite_bytes: 1\n"), None);
    }

    #[test]
    fn what_a_cgroup_has_counted_only_adds_to_what_was_waited_for() {
        let millis = Duration::from_millis;
        let usage = Usage {
            user: millis(900),
            system: millis(100),
            peak_memory: 5 << 20,
            is_peak_bound: false,
            io: Some(DiskUsage { read: 1, written: 20 }),
            tree: TreeUsage::default(),
        };
        let with = |cpu, is_peak_bound| {
            let mut ended = Ended { exit: Exit::Code(0), usage: Some(Usage { is_peak_bound, ..usage }) };
            let io = Some(DiskUsage { read: 10, written: 2 });
            ended.add_usage_of(&CgroupUsage { cpu: Some(cpu), peak_memory: Some(1 << 20), io });
            ended.usage.unwrap()
        };
        // It was entered late, and misses a moment.
        let late = with((millis(880), millis(110)), false);
        assert_eq!((late.user, late.system), (millis(900), millis(100)));
        assert_eq!(late.io, Some(DiskUsage { read: 10, written: 20 }));
        assert_eq!(late.tree, TreeUsage { has_cpu: true, has_io: true, peak_memory: Some(5 << 20) });
        // A process in the background used more.
        let background = with((millis(2000), millis(90)), true);
        assert_eq!((background.user, background.system), (millis(2000), millis(90)));
        assert_eq!(background.tree.peak_memory, Some(1 << 20), "the other peak is that of the worker");
    }

    #[test]
    fn a_peak_counts_only_above_that_of_this_process() {
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"), Some(12345 << 10));
        let mut meter = UsageMeter::default();
        assert!(!meter.exceeds_own_peak(1) && !meter.exceeds_own_peak(PEAK_TOLERANCE + 1));
        assert!(meter.exceeds_own_peak(u64::MAX));
    }
}
