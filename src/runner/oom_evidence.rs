//! Whether the kernel killed a process because memory ran out. The signal alone does not tell: anyone can send KILL.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::cgroup::RunCgroup;

/// The initial PID namespace, whose ids the kernel's log has.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
/// How far the clock of the kernel's log may differ.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);
/// More than the kernel's log holds.
const MAX_RECORDS: usize = 1 << 17;

/// Who ran out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OomKill {
    /// The machine.
    Machine,
    /// A cgroup, at its limit.
    Cgroup,
    /// The run, at its own limit.
    Run,
    /// The machine or a cgroup.
    Unknown,
}

impl OomKill {
    /// Whether these are the words of some evidence.
    pub(super) fn is_description(words: &str) -> bool {
        [Self::Machine, Self::Cgroup, Self::Unknown].iter().any(|kill| kill.describe() == words)
    }

    /// The evidence in words.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Machine => "killed by the kernel: the machine had no memory left",
            Self::Cgroup => "killed by the kernel at the memory limit of its cgroup",
            // The limit says it.
            Self::Run => "",
            Self::Unknown => "killed by the kernel, which had no memory left",
        }
    }
}

/// Whether the kernel killed a process of the run for memory: according to the run's own cgroup, or this process according
/// to the kernel's log, where that can be read.
pub(super) fn find_oom_kill(pid: Option<i32>, cgroup: Option<&RunCgroup>, ran_for: Duration) -> Option<OomKill> {
    let (kills, reached_own_limit) = cgroup.map(RunCgroup::oom_events).unwrap_or_default();
    if kills > 0 && reached_own_limit {
        return Some(OomKill::Run);
    }
    // The kernel's log tells who had no memory left.
    find_in_kernel_log(pid, ran_for).or((kills > 0).then_some(OomKill::Unknown))
}

fn find_in_kernel_log(pid: Option<i32>, ran_for: Duration) -> Option<OomKill> {
    let pid = pid.filter(|_| is_in_initial_namespace())?;
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).ok()?;
    let since = now.saturating_sub(ran_for + CLOCK_TOLERANCE);
    let mut found = None;
    read_kernel_log(|record| found = parse_kill(record, pid, since).or(found));
    found
}

fn is_in_initial_namespace() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == INITIAL_PID_NAMESPACE)
}

/// Calls `take` with each record of the kernel's log. Only some users may read it.
fn read_kernel_log(mut take: impl FnMut(&str)) {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/kmsg") else { return };
    let mut buffer = vec![0; 8192];
    for _ in 0..MAX_RECORDS {
        match log.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => take(&String::from_utf8_lossy(&buffer[..len])),
            // Older records were dropped meanwhile.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => return,
        }
    }
}

/// Parses a record: `3,812,5140900123,-;Memory cgroup out of memory: Killed process 4242 (sort) total-vm:…`, with the time
/// in microseconds since the start of the machine. None unless it is about this process and not older than `since`.
fn parse_kill(record: &str, pid: i32, since: Duration) -> Option<OomKill> {
    let (header, text) = record.split_once(';')?;
    let time = Duration::from_micros(header.split(',').nth(2)?.parse().ok()?);
    let (before, killed) = text.split_once("Killed process ")?;
    let (killed, _) = killed.split_once(" (")?;
    let is_it = killed.parse() == Ok(pid) && time >= since;
    match before {
        "Memory cgroup out of memory: " if is_it => Some(OomKill::Cgroup),
        "Out of memory: " if is_it => Some(OomKill::Machine),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_about_this_process_and_time_is_evidence() {
        let cgroup = "3,812,5140900123,-;Memory cgroup out of memory: Killed process 4242 (sort) total-vm:1kB, UID:0\n";
        let machine = "3,812,5140900123,-;Out of memory: Killed process 4242 (sort) total-vm:1kB, UID:0\n";
        let (before, after) = (Duration::from_secs(5140), Duration::from_secs(5141));
        assert_eq!(parse_kill(cgroup, 4242, before), Some(OomKill::Cgroup));
        assert_eq!(parse_kill(machine, 4242, before), Some(OomKill::Machine));
        assert_eq!(parse_kill(machine, 424, before), None, "another process");
        assert_eq!(parse_kill(machine, 4242, after), None, "an earlier process of this number");
        for other in [
            "6,1,5140900123,-;oom_reaper: reaped process 4242 (sort), now anon-rss:0kB\n",
            "6,1,5140900123,-;job 4242: Out of memory: Killed process 4242 (x)\n",
            "6,1,x,-;Out of memory: Killed process 4242 (x)\n",
            "",
        ] {
            assert_eq!(parse_kill(other, 4242, before), None, "{other}");
        }
    }
}
