//! What the processes of runs use while they run, seen by a process that did not start them. Nothing where there is no
//! `/proc`.
//!
//! The processes of a run are the children of its worker that have its [`RunTag`], and their descendants. The kernel lists
//! the children of a process, so that a look costs as much as the run has processes, however many others there are.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::Pid;

use super::process_table::{ProcessIdentity, ProcessInfo, children_of};
use super::run_tag::RunTag;
use crate::model::LiveUsage;

/// Looks at the processes of runs from time to time.
#[derive(Debug, Default)]
pub struct UsageMonitor {
    /// The children of workers that have a tag, and its number.
    children: HashMap<ProcessIdentity, u64>,
    /// What each run used at an earlier look, by the number of its tag.
    last: HashMap<u64, EarlierLook>,
}

/// What a run used at an earlier look.
#[derive(Debug)]
struct EarlierLook {
    at: Instant,
    cpu: Duration,
    /// Its share of a processor before.
    percent: Option<u32>,
}

/// The times and the memory of one process.
pub(super) struct ProcessUsage {
    identity: ProcessIdentity,
    /// In user mode, with that of children that were waited for.
    pub(super) user: Duration,
    /// In the kernel, likewise.
    pub(super) system: Duration,
    memory: u64,
}

/// Two looks within this time don't tell the share of a processor: the kernel counts in hundredths of a second.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// The most processes of a run that are looked at.
const MAX_PROCESSES: usize = 1_000;

impl UsageMonitor {
    /// Looks at the runs with these tags, which the workers with these process ids have started. None for a run without
    /// processes.
    pub fn look(&mut self, workers: &[u32], tags: &[RunTag]) -> Vec<Option<LiveUsage>> {
        let mut roots: HashMap<u64, Vec<i32>> = HashMap::new();
        let mut seen = HashMap::new();
        for pid in workers.iter().filter_map(|pid| i32::try_from(*pid).ok()).flat_map(children_of) {
            let Some(process) = Pid::from_raw(pid).and_then(ProcessInfo::read) else { continue };
            let known = self.children.get(&process.identity()).copied();
            if let Some(number) = known.or_else(|| process.tag_number(tags)) {
                seen.insert(process.identity(), number);
                roots.entry(number).or_default().push(pid);
            }
        }
        self.children = seen;
        let now = Instant::now();
        let usages: Vec<_> = tags.iter().map(|tag| self.usage_of(tag, roots.remove(&tag.number()), now)).collect();
        let numbers: HashSet<u64> = tags.iter().map(RunTag::number).collect();
        self.last.retain(|number, _| numbers.contains(number));
        usages
    }

    fn usage_of(&mut self, tag: &RunTag, roots: Option<Vec<i32>>, now: Instant) -> Option<LiveUsage> {
        let mut usage = LiveUsage::default();
        let (mut next, mut visited) = (roots?, HashSet::new());
        while let Some(pid) = next.pop().filter(|_| usage.processes < MAX_PROCESSES) {
            let Some(process) = ProcessUsage::read(pid).filter(|process| visited.insert(process.identity)) else {
                continue;
            };
            usage.processes += 1;
            usage.cpu += process.user + process.system;
            usage.memory = usage.memory.saturating_add(process.memory);
            next.extend(children_of(pid));
        }
        let first = EarlierLook { at: now, cpu: usage.cpu, percent: None };
        let last = self.last.entry(tag.number()).or_insert(first);
        let passed = now.duration_since(last.at);
        if passed >= MIN_INTERVAL {
            let percent = Some(percent(usage.cpu.saturating_sub(last.cpu), passed));
            *last = EarlierLook { at: now, cpu: usage.cpu, percent };
        }
        usage.cpu_percent = last.percent;
        (usage.processes > 0).then_some(usage)
    }
}

impl ProcessUsage {
    pub(super) fn read(pid: i32) -> Option<Self> {
        Self::parse(Pid::from_raw(pid)?, &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
    }

    /// Parses `/proc/PID/stat`.
    fn parse(pid: Pid, stat: &str) -> Option<Self> {
        let identity = ProcessInfo::parse_stat(pid, stat)?.identity();
        let fields: Vec<u64> = stat.rsplit_once(')')?.1.split_ascii_whitespace().map(parse_number).collect();
        let time = |own: usize, children: usize| {
            let ticks = fields.get(own)?.saturating_add(*fields.get(children)?);
            Some(Duration::from_millis(ticks.saturating_mul(1000) / clock_ticks_per_second().max(1)))
        };
        let (user, system) = (time(11, 13)?, time(12, 14)?);
        Some(Self { identity, user, system, memory: fields.get(21)?.saturating_mul(page_size() as u64) })
    }
}

fn parse_number(field: &str) -> u64 {
    field.parse().unwrap_or_default()
}

fn percent(cpu: Duration, passed: Duration) -> u32 {
    let millis = passed.as_millis().max(1);
    u32::try_from((cpu.as_millis() * 100 + millis / 2) / millis).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_include_those_of_its_children() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 200 0 0 10 20 30 40 20 0 1 0 777 1000000 3 18446744073709551615";
        let pid = Pid::from_raw(7).unwrap();
        let usage = ProcessUsage::parse(pid, stat).unwrap();
        let ticks = |count: u64| Duration::from_millis(count * 1000 / clock_ticks_per_second());
        assert_eq!((usage.user, usage.system), (ticks(10 + 30), ticks(20 + 40)));
        assert_eq!(usage.memory, 3 * page_size() as u64);
        assert!(ProcessUsage::parse(pid, "7 (a").is_none() && ProcessUsage::parse(pid, "7 (a) S 1 7").is_none());
        assert_eq!(percent(Duration::from_millis(1500), Duration::from_secs(1)), 150);
    }

    #[test]
    fn a_share_stays_known_when_the_next_look_follows_at_once() {
        let tag = RunTag::new(&[("SETLIST_TAG", std::ffi::OsStr::new("here/run-1"))]);
        let mut monitor = UsageMonitor::default();
        let first = Instant::now();
        let mut share = |millis| {
            let roots = Some(vec![i32::try_from(std::process::id()).unwrap()]);
            monitor.usage_of(&tag, roots, first + Duration::from_millis(millis)).unwrap().cpu_percent
        };
        assert_eq!(share(0), None);
        let known = share(1000);
        assert!(known.is_some());
        assert_eq!(share(1050), known);
    }

    #[test]
    fn an_unknown_run_and_an_unknown_worker_use_nothing() {
        let tag = RunTag::new(&[("SETLIST_TAG", std::ffi::OsStr::new("nowhere/run-1"))]);
        let mut monitor = UsageMonitor::default();
        assert_eq!(monitor.look(&[std::process::id(), u32::MAX, 0], &[tag]), [None]);
    }
}
