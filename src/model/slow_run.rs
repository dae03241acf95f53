//! Why a run took longer than its job usually does, as far as there is evidence for it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Job, Outcome, Run, Usage, WorkerId};
use crate::text;

/// How many earlier runs a run is compared with.
const MAX_COMPARED: usize = 20;
/// With fewer successful runs, it is not known what is usual.
const MIN_COMPARED: usize = 3;
/// A run that takes less than this longer than usual is not slow.
const MIN_EXTRA: Duration = Duration::from_secs(1);
/// A wait that is shorter is not mentioned.
const MIN_WAIT: Duration = Duration::from_secs(60);
/// More memory or disk than this, or none of it is mentioned.
const MIN_EXTRA_BYTES: u64 = 16 << 20;

/// A run that took longer than usual, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowRun {
    /// How long it took, or has been running.
    pub took: Duration,
    /// The median of the runs that it is compared with.
    pub usual: Duration,
    /// How many these are.
    pub compared: usize,
    /// What was different; may be empty.
    pub reasons: Vec<SlowReason>,
}

/// What was different in a run that took longer than usual. The first value is that of the run, the second the median.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlowReason {
    /// It used more processor time.
    Processor(Duration, Duration),
    /// It spent more time without using the processor: waiting for disks, the network or other processes.
    WithoutProcessor(Duration, Duration),
    /// Its peak memory was higher, in bytes.
    Memory(u64, u64),
    /// It read and wrote more on disks, in bytes.
    Disk(u64, u64),
    /// It ran on another machine than the others.
    Machine(String, String),
    /// It was the retry with this number.
    Retry(u32),
    /// It waited this long before it started.
    WaitedToStart(Duration),
}

/// What is known of a run besides its record.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunCircumstances {
    /// How long its job was pending before, if this is known.
    pub waited: Option<Duration>,
    /// Which attempt it was since its job became pending: 1 for the first.
    pub attempt: u32,
}

impl RunCircumstances {
    /// What is known of a run of this job.
    pub fn of(job: &Job, run: &Run) -> Self {
        let attempt = run.attempt.saturating_sub(job.prior_attempts);
        // Since when the job was pending is known of its latest runs only.
        let is_last = job.last_run.as_ref().is_some_and(|last| last.id == run.id);
        let waited = (run.started - job.enqueued).to_std().ok().filter(|_| is_last && attempt == 1);
        Self { waited, attempt }
    }
}

impl SlowRun {
    /// Compares a run that took this long with earlier runs of its job. None if it was not much slower than these, or if too
    /// few of them succeeded. `host_of` is the host of a worker, if it is known.
    pub fn find<'h>(
        run: &Run,
        took: Duration,
        earlier: &[Run],
        circumstances: RunCircumstances,
        host_of: impl Fn(WorkerId) -> Option<&'h str>,
    ) -> Option<Self> {
        let has_succeeded = |run: &&Run| run.end.as_ref().is_some_and(|end| end.outcome == Outcome::Succeeded);
        let is_earlier = |other: &&Run| other.id < run.id;
        let compared: Vec<&Run> =
            earlier.iter().rev().filter(is_earlier).filter(has_succeeded).take(MAX_COMPARED).collect();
        if compared.len() < MIN_COMPARED {
            return None;
        }
        let usual = median(compared.iter().filter_map(|run| run.duration()))?;
        let extra = took.checked_sub(usual).filter(|extra| *extra >= MIN_EXTRA && is_half_more(took, usual))?;
        let mut reasons = usage_reasons(run, took, extra, &compared);
        let hosts: Vec<&str> = compared.iter().filter_map(|run| host_of(run.worker)).collect();
        if let Some(host) = host_of(run.worker)
            && hosts.len() >= MIN_COMPARED
            && !hosts.contains(&host)
        {
            reasons.push(SlowReason::Machine(host.to_owned(), hosts[0].to_owned()));
        }
        reasons.extend((circumstances.attempt > 1).then(|| SlowReason::Retry(circumstances.attempt - 1)));
        let waited = circumstances.waited.filter(|waited| *waited >= MIN_WAIT.max(usual));
        reasons.extend(waited.map(SlowReason::WaitedToStart));
        Some(Self { took, usual, compared: compared.len(), reasons })
    }
}

impl SlowRun {
    /// The same for the run that is shown as the result of a job.
    pub fn of_result<'h>(
        job: &Job,
        runs: &[Run],
        now: DateTime<Utc>,
        host_of: impl Fn(WorkerId) -> Option<&'h str>,
    ) -> Option<Self> {
        let run = job.result_run()?;
        Self::find(run, run.elapsed(now), runs, RunCircumstances::of(job, run), host_of)
    }
}

/// What the use of resources says about a run that took `extra` longer.
fn usage_reasons(run: &Run, took: Duration, extra: Duration, compared: &[&Run]) -> Vec<SlowReason> {
    let Some(usage) = usage_of(run) else { return Vec::new() };
    let mut reasons = Vec::new();
    let is_much = |more: Duration| more.saturating_mul(3) >= extra;
    let all = || compared.iter().filter_map(|run| Some((run.duration()?, usage_of(run)?)));
    if let Some(usual) = median(all().map(|(_, usage)| usage.cpu())) {
        let cpu = usage.cpu();
        reasons.extend(is_much(cpu.saturating_sub(usual)).then_some(SlowReason::Processor(cpu, usual)));
    }
    if let Some(usual) = median(all().map(|(took, usage)| took.saturating_sub(usage.cpu()))) {
        let without = took.saturating_sub(usage.cpu());
        let is_reason = is_much(without.saturating_sub(usual));
        reasons.extend(is_reason.then_some(SlowReason::WithoutProcessor(without, usual)));
    }
    let is_more =
        |bytes: u64, usual: u64| bytes > usual.saturating_add(usual / 2).max(usual.saturating_add(MIN_EXTRA_BYTES));
    let peaks = all().filter(|(_, usage)| !usage.is_peak_bound).map(|(_, usage)| usage.peak_memory);
    if let Some(usual) = median(peaks).filter(|usual| !usage.is_peak_bound && is_more(usage.peak_memory, *usual)) {
        reasons.push(SlowReason::Memory(usage.peak_memory, usual));
    }
    let disk = |usage: &Usage| usage.io.map(|io| io.read.saturating_add(io.written));
    if let (Some(bytes), Some(usual)) = (disk(usage), median(all().filter_map(|(_, usage)| disk(usage))))
        && is_more(bytes, usual)
    {
        reasons.push(SlowReason::Disk(bytes, usual));
    }
    reasons
}

fn usage_of(run: &Run) -> Option<&Usage> {
    run.end.as_ref()?.usage.as_deref()
}

fn is_half_more(took: Duration, usual: Duration) -> bool {
    took.saturating_mul(2) >= usual.saturating_mul(3)
}

/// The median: of an even number, the lower of the two in the middle.
pub fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

impl SlowReason {
    /// The reason as one word, as in JSON. Scripts read these words: they never change.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Processor(..) => "processor",
            Self::WithoutProcessor(..) => "without_processor",
            Self::Memory(..) => "memory",
            Self::Disk(..) => "disk",
            Self::Machine(..) => "machine",
            Self::Retry(_) => "retry",
            Self::WaitedToStart(_) => "waited_to_start",
        }
    }
}

impl fmt::Display for SlowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |duration: &Duration| text::duration(*duration);
        let size = |bytes: &u64| text::bytes(*bytes);
        match self {
            Self::Processor(cpu, usual) => write!(f, "{} of processor time, usually {}", time(cpu), time(usual)),
            Self::WithoutProcessor(without, usual) => {
                write!(f, "{} waiting for disks, the network or others, usually {}", time(without), time(usual))
            }
            Self::Memory(bytes, usual) => write!(f, "{} of memory, usually {}", size(bytes), size(usual)),
            Self::Disk(bytes, usual) => write!(f, "{} read and written, usually {}", size(bytes), size(usual)),
            Self::Machine(host, usual) => write!(f, "on {host}, usually on {usual}"),
            Self::Retry(number) => write!(f, "retry {number}"),
            Self::WaitedToStart(waited) => write!(f, "waited {} before it started", time(waited)),
        }
    }
}

impl fmt::Display for SlowRun {
    /// `12m 00s, usually 4m 00s (12 runs): 9m 00s of processor time, usually 3m 00s; on b, usually on a`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (took, usual) = (text::duration(self.took), text::duration(self.usual));
        write!(f, "{took}, usually {usual} ({})", text::count_noun(self.compared, "run"))?;
        for (nth, reason) in self.reasons.iter().enumerate() {
            write!(f, "{} {reason}", if nth == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{DiskUsage, RunEnd, RunId, TreeUsage};

    const MIB: u64 = 1 << 20;

    /// A run with its duration and processor time in seconds, its peak memory and what it wrote in MiB.
    fn run(id: u64, worker: u64, took: i64, cpu: u64, memory: u64, disk: u64) -> Run {
        let started = DateTime::UNIX_EPOCH;
        let usage = Usage {
            user: Duration::from_secs(cpu),
            system: Duration::ZERO,
            peak_memory: memory * MIB,
            is_peak_bound: false,
            io: Some(DiskUsage { read: 0, written: disk * MIB }),
            tree: TreeUsage::default(),
        };
        let at = started + TimeDelta::seconds(took);
        let outcome = Outcome::Succeeded;
        let end = RunEnd { at, outcome, exit: None, cause: None, usage: Some(usage.into()), value: None };
        Run {
            id: RunId(id),
            attempt: 1,
            worker: WorkerId(worker),
            started,
            stalled: None,
            end: Some(end),
            approval: None,
            inputs: None,
        }
    }

    fn host_of(worker: WorkerId) -> Option<&'static str> {
        [None, Some("one"), Some("two")][usize::try_from(worker.0).unwrap()]
    }

    /// How a run compares with runs of 60 s on `one`, of which 20 s are processor time, with 100 MiB of memory and disk.
    fn compared(run: &Run, circumstances: RunCircumstances) -> Option<String> {
        let mut earlier: Vec<Run> = (1..=5).map(|id| self::run(id, 1, 60, 20, 100, 100)).collect();
        earlier.push(run.clone());
        SlowRun::find(run, run.duration().unwrap(), &earlier, circumstances, host_of).map(|slow| slow.to_string())
    }

    #[test]
    fn a_slow_run_is_explained_by_what_was_different() {
        let first = RunCircumstances { waited: None, attempt: 1 };
        let retry = RunCircumstances { waited: None, attempt: 3 };
        let late = RunCircumstances { waited: Some(Duration::from_secs(600)), attempt: 1 };
        let soon = RunCircumstances { waited: Some(Duration::from_secs(59)), attempt: 1 };
        let table = [
            (run(9, 1, 89, 20, 100, 100), first, None),
            (run(9, 1, 180, 140, 100, 100), first, Some(": 2m 20s of processor time, usually 20s")),
            (
                run(9, 1, 180, 20, 110, 100),
                soon,
                Some(": 2m 40s waiting for disks, the network or others, usually 40s"),
            ),
            (
                run(9, 1, 180, 80, 300, 900),
                first,
                Some(
                    ": 1m 20s of processor time, usually 20s; 1m 40s waiting for disks, the network or others, usually \
                     40s; 300 MiB of memory, usually 100 MiB; 900 MiB read and written, usually 100 MiB",
                ),
            ),
            (
                run(9, 2, 180, 140, 100, 100),
                retry,
                Some(": 2m 20s of processor time, usually 20s; on two, usually on one; retry 2"),
            ),
            (
                run(9, 0, 180, 140, 100, 100),
                late,
                Some(": 2m 20s of processor time, usually 20s; waited 10m 00s before it started"),
            ),
        ];
        for (run, circumstances, expected) in table {
            let expected = expected.map(|reasons| format!("3m 00s, usually 1m 00s (5 runs){reasons}"));
            assert_eq!(compared(&run, circumstances), expected, "{run:?}");
        }
    }

    #[test]
    fn what_is_usual_is_the_median_of_successes_before_the_run() {
        let slow = run(99, 1, 100, 20, 100, 100);
        let find = |earlier: &[Run]| {
            let found = SlowRun::find(&slow, slow.duration().unwrap(), earlier, RunCircumstances::default(), |_| None);
            found.map(|slow| (slow.usual.as_secs(), slow.compared))
        };
        let with = |times: &[i64]| (1..).zip(times).map(|(id, took)| run(id, 1, *took, 1, 1, 1)).collect::<Vec<_>>();
        assert_eq!(find(&with(&[10, 12])), None, "too few");
        assert_eq!(find(&with(&[10, 500, 12])), Some((12, 3)));
        assert_eq!(find(&with(&[90, 80, 100])), None, "not much slower");
        let mut failed = with(&[10, 10, 10]);
        failed[0].end.as_mut().unwrap().outcome = Outcome::Interrupted;
        assert_eq!(find(&failed), None, "runs that did not succeed are not usual");
        let mut later = with(&[10, 10, 10]);
        later[2].id = RunId(100);
        assert_eq!(find(&later), None, "nor are later ones");
        assert_eq!(find(&with(&[1; 30])).unwrap().1, MAX_COMPARED);
    }

    #[test]
    fn runs_of_milliseconds_are_never_slow() {
        let mut earlier: Vec<Run> = (1..=5).map(|id| run(id, 1, 0, 0, 1, 1)).collect();
        earlier.push(run(9, 1, 0, 0, 1, 1));
        let took = Duration::from_millis(900);
        assert_eq!(SlowRun::find(&earlier[5], took, &earlier, RunCircumstances::default(), |_| None), None);
    }
}
