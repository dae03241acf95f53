//! Random steps: every command, every scheduling option, every way a run can end.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use setlist::Command;
use setlist::model::{
    Call, Cause, CauseKind, Definition, DesiredQueue, DesiredState, Exit, Failure, FailureKind, Interruptions, JobId,
    JobRef, Need, NotBefore, OnFailure, Outcome, OutcomeCondition, Phase, Placement, QueueId, QueueSettings, Retention,
    RetryOn, RetryPolicy, RetryScale, RunId, RunReport, SchedulingOptions, Script, StopSignal, Value, WorkerId,
    WorkerOptions,
};

use super::QUEUES;
use super::reference::{Reference, ReferenceJob, ReferenceState};

/// The jobs of the files, each with its queue. A job needs only earlier ones, so that there are no cycles.
const NAMES: [(usize, &str); 6] = [(0, "n0"), (1, "n1"), (0, "n2"), (1, "n3"), (0, "n4"), (1, "n5")];

/// The scripts of the jobs of the files.
const SCRIPTS: [&str; 2] = ["true", "false"];

/// A command whose ids are chosen from those that exist when it runs, or an advance of time.
#[derive(Clone, Debug)]
pub(super) enum Step {
    AdvanceTime(i64),
    /// A file with the first two queues, these settings and these jobs.
    Reconcile {
        parallel: [u32; 2],
        stop: [bool; 2],
        jobs: Vec<Entry>,
    },
    EnsureQueue(usize),
    Add(usize, Vec<Draft>),
    Process(usize),
    Pause(usize),
    StopProcessing(usize),
    Run(Index, bool),
    Approve(Vec<Index>),
    Refuse(Vec<Index>),
    Reset(Index),
    Cancel(Index, StopSignal),
    Remove(Vec<Index>),
    Clear(usize, Phase),
    Restore(Vec<Index>),
    Move(Vec<Index>, Index, bool),
    Transfer(Vec<Index>, usize),
    SetParallel(usize, NonZero<u32>),
    OverrideParallel(Index, usize, NonZero<u32>),
    Join,
    PromoteDue,
    PruneFinished,
    Claim(Index, Option<Vec<usize>>),
    Start(Index, Index),
    Reserve(Index, Vec<(usize, usize)>),
    /// A reserved job has started; rarely one that is not reserved.
    StartReserved {
        which: Index,
        stale: bool,
    },
    Release(Index),
    EndRun {
        job: Index,
        stale: bool,
        report: RunReport,
        on_failure: Option<OnFailure>,
    },
    /// The worker dies after it has started every n-th of the reserved jobs.
    ReapWorker(Index, usize),
    Leave(Index, Option<Vec<usize>>),
}

/// An entry of a file: the index of its name, its content, the index of its script and what else its digest depends on.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    name: usize,
    draft: Draft,
    script: usize,
    digest: i64,
}

/// The content of a job.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    scheduling: SchedulingOptions,
    needs: Vec<(Other, OutcomeCondition)>,
    /// Its earliest start, in seconds from now.
    at: Option<i64>,
}

#[derive(Clone, Debug)]
enum Other {
    Number(Index),
    Name(Index),
}

/// A file and a worker, followed by random steps.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    (file(), prop::collection::vec(step(), 1..70)).prop_map(|(file, steps)| {
        let first = [file, Step::EnsureQueue(2), Step::Join, Step::Process(0)];
        first.into_iter().chain(steps).collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES.len();
    let queues = || prop::option::weighted(0.2, prop::collection::vec(0..QUEUES.len(), 0..3));
    let index = any::<Index>;
    let some = || prop::collection::vec(any::<Index>(), 1..4);
    let stop = prop_oneof![Just(StopSignal::Terminate), Just(StopSignal::Kill)];
    let phase = select(vec![Phase::Pending, Phase::Running, Phase::Finished]);
    prop_oneof![
        6 => (0..15_i64).prop_map(Step::AdvanceTime),
        3 => file(),
        1 => queue().prop_map(Step::EnsureQueue),
        5 => (queue(), prop::collection::vec(draft(), 0..4)).prop_map(|(queue, jobs)| Step::Add(queue, jobs)),
        10 => queue().prop_map(Step::Process),
        1 => queue().prop_map(Step::Pause),
        1 => queue().prop_map(Step::StopProcessing),
        4 => (index(), prop::bool::weighted(0.2)).prop_map(|(index, force)| Step::Run(index, force)),
        4 => some().prop_map(Step::Approve),
        1 => some().prop_map(Step::Refuse),
        6 => index().prop_map(Step::Reset),
        4 => (index(), stop).prop_map(|(job, stop)| Step::Cancel(job, stop)),
        2 => some().prop_map(Step::Remove),
        1 => (queue(), phase).prop_map(|(queue, phase)| Step::Clear(queue, phase)),
        3 => some().prop_map(Step::Restore),
        3 => (some(), index(), any::<bool>()).prop_map(|(jobs, other, behind)| Step::Move(jobs, other, behind)),
        2 => (some(), queue()).prop_map(|(jobs, queue)| Step::Transfer(jobs, queue)),
        1 => (queue(), 1..4_u32).prop_map(|(queue, parallel)| Step::SetParallel(queue, NonZero::new(parallel).unwrap())),
        1 => (index(), queue(), 1..4_u32).prop_map(|(worker, queue, parallel)| {
            Step::OverrideParallel(worker, queue, NonZero::new(parallel).unwrap())
        }),
        2 => Just(Step::Join),
        8 => Just(Step::PromoteDue),
        2 => Just(Step::PruneFinished),
        20 => (index(), queues()).prop_map(|(worker, queues)| Step::Claim(worker, queues)),
        3 => (index(), index()).prop_map(|(worker, job)| Step::Start(worker, job)),
        25 => (index(), prop::bool::weighted(0.1), reports(), on_failure())
            .prop_map(|(job, stale, report, on_failure)| Step::EndRun { job, stale, report, on_failure }),
        8 => (index(), prop::collection::vec((queue(), 0..5_usize), 0..4)).prop_map(|(worker, queues)| Step::Reserve(worker, queues)),
        10 => (index(), prop::bool::weighted(0.1)).prop_map(|(which, stale)| Step::StartReserved { which, stale }),
        3 => index().prop_map(Step::Release),
        2 => (index(), 1..4_usize).prop_map(|(worker, every)| Step::ReapWorker(worker, every)),
        1 => (index(), queues()).prop_map(|(worker, queues)| Step::Leave(worker, queues)),
    ]
}

fn file() -> impl Strategy<Value = Step> {
    let settings = (prop::array::uniform2(1..4_u32), any::<[bool; 2]>());
    (settings, entries()).prop_map(|((parallel, stop), jobs)| Step::Reconcile { parallel, stop, jobs })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = |name| {
        (draft(), 0..SCRIPTS.len(), 0..2_i64).prop_map(move |(draft, script, digest)| Entry {
            name,
            draft,
            script,
            digest,
        })
    };
    let some = subsequence((0..NAMES.len()).collect::<Vec<_>>(), 0..=NAMES.len());
    let entries = some.prop_flat_map(move |names| names.into_iter().map(entry).collect::<Vec<_>>());
    (entries, any::<bool>()).prop_map(|(mut entries, reversed)| {
        if reversed {
            entries.reverse();
        }
        entries
    })
}

fn draft() -> impl Strategy<Value = Draft> {
    let other = prop_oneof![any::<Index>().prop_map(Other::Number), any::<Index>().prop_map(Other::Name)];
    let on = select(vec![
        OutcomeCondition::Success,
        OutcomeCondition::Success,
        OutcomeCondition::Failure,
        OutcomeCondition::Finish,
    ]);
    let needs = prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec((other, on), 1..3)];
    let delay = prop::option::weighted(0.15, (0..20_000_u64).prop_map(Duration::from_millis));
    let at = prop::option::weighted(0.1, -10..20_i64);
    let priority = prop_oneof![4 => Just(0), 1 => -2..3_i32];
    let weight = prop_oneof![4 => Just(1), 1 => 1..5_u32];
    let confirm = prop::option::weighted(0.15, Just("Really?".to_owned()));
    let options = (delay, priority, weight, retry(), confirm);
    (options, needs, at).prop_map(|((delay, priority, weight, retry, confirm), needs, at)| {
        let scheduling = SchedulingOptions {
            needs: Vec::new(),
            after: delay.map(NotBefore::Delay),
            priority,
            weight,
            retry,
            confirm,
            ..SchedulingOptions::default()
        };
        Draft { scheduling, needs, at }
    })
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    let on = vec![
        RetryOn::Failure(FailureKind::Exit),
        RetryOn::Failure(FailureKind::Signal),
        RetryOn::Failure(FailureKind::Timeout),
        RetryOn::Failure(FailureKind::NotStarted),
        RetryOn::Failure(FailureKind::Error),
        RetryOn::Code(3),
        RetryOn::Interrupted,
        RetryOn::OutOfMemory,
    ];
    let on = prop_oneof![1 => Just(Vec::new()), 1 => Just(on.clone()), 2 => subsequence(on, 1..4)];
    let millis = |some: Vec<u64>| select(some).prop_map(Duration::from_millis);
    let delays = (millis(vec![0, 400, 4_000]), millis(vec![0, 1_000, 8_000]), select(vec![0.5, 1.0, 1.5, 2.0, 3.0]));
    let some = (1..4_u32, delays, on).prop_map(|(max, (delay, max_delay, backoff), on)| RetryPolicy {
        max,
        delay,
        backoff,
        max_delay,
        on,
        interrupted: Interruptions::Counted,
        scale: RetryScale::default(),
    });
    prop_oneof![1 => Just(RetryPolicy::never()), 1 => some]
}

/// The ways a run can end.
pub(super) fn reports() -> impl Strategy<Value = RunReport> {
    let kinds =
        [FailureKind::Exit, FailureKind::Signal, FailureKind::Timeout, FailureKind::NotStarted, FailureKind::Error];
    let failures = kinds.map(|kind| Outcome::Failed(Failure { kind, message: format!("{kind:?}") }.into())).to_vec();
    let outcome = prop_oneof![
        6 => Just(Outcome::Succeeded),
        5 => select(failures),
        1 => Just(Outcome::Cancelled),
        1 => Just(Outcome::Interrupted),
    ];
    let exit = select(vec![None, Some(Exit::Code(3)), Some(Exit::Code(0)), Some(Exit::Signal(9))]);
    let value = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some("".into())),
        any::<i32>().prop_map(|n| Some(n.into()))
    ];
    let cause = select(vec![None, Some(Box::new(Cause::new(CauseKind::Exited, "a line")))]);
    (outcome, exit, value, cause).prop_map(|(outcome, exit, value, cause)| RunReport {
        exit,
        cause,
        value,
        ..RunReport::new(outcome)
    })
}

fn on_failure() -> impl Strategy<Value = Option<OnFailure>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(OnFailure::Stop)), 1 => Just(Some(OnFailure::Continue))]
}

impl Step {
    /// The command for a site in the state of the reference.
    pub(super) fn command(&self, site: &Reference, now: DateTime<Utc>) -> Command {
        let queue = |queue: &usize| QueueId::from(QUEUES[*queue]);
        let queues = |queues: &Option<Vec<usize>>| queues.as_ref().map(|queues| queues.iter().map(queue).collect());
        let likely = |index: &Index, wanted: &dyn Fn(&ReferenceJob) -> bool| {
            let wanted: Vec<u64> =
                site.jobs.iter().filter(|ref_job| wanted(ref_job)).map(|ref_job| ref_job.id).collect();
            JobId(pick(*index, &wanted, site.jobs.len() as u64))
        };
        let job = |index: &Index| likely(index, &|ref_job| ref_job.removed.is_none());
        let pending = |index: &Index| likely(index, &|ref_job| ref_job.phase() == Phase::Pending);
        let present: Vec<u64> = site.present.iter().copied().collect();
        let worker = |index: &Index| WorkerId(pick(*index, &present, site.workers));
        match self {
            Step::Reconcile { parallel, stop, jobs } => Command::Reconcile(Box::new(plan(*parallel, *stop, jobs, now))),
            Step::EnsureQueue(name) => Command::EnsureQueue { queue: queue(name) },
            Step::Add(name, drafts) => {
                let target = |other: &Other| match other {
                    Other::Number(index) => JobRef::Number(likely(index, &|_| true)),
                    Other::Name(index) => named(index.index(NAMES.len())),
                };
                let jobs = drafts.iter().map(|draft| Arc::new(draft.definition(now, target))).collect();
                Command::Add { queue: queue(name), jobs }
            }
            Step::Process(name) => Command::Process { queue: queue(name) },
            Step::Pause(name) => Command::Pause { queue: queue(name) },
            Step::StopProcessing(name) => Command::StopProcessing { queue: queue(name) },
            Step::Run(index, force) => {
                // Prefer a job because of which others were skipped.
                let skipped = |ref_job: &&ReferenceJob| matches!(&ref_job.stage, ReferenceState::Finished { outcome, .. } if outcome.as_str() == "skipped");
                let skipped = site.jobs.iter().filter(skipped);
                let missed: Vec<u64> = skipped.flat_map(|ref_job| ref_job.needs.iter().map(|(id, _)| *id)).collect();
                Command::Run {
                    job: likely(index, &|ref_job| missed.is_empty() || missed.contains(&ref_job.id)),
                    force: *force,
                }
            }
            Step::Approve(jobs) => Command::Approve { jobs: awaiting_approval(jobs, site), by: "tester".to_owned() },
            Step::Refuse(jobs) => Command::Refuse { jobs: awaiting_approval(jobs, site), by: "tester".to_owned() },
            Step::Reset(index) => Command::Reset {
                job: likely(index, &|ref_job| ref_job.phase() == Phase::Finished && ref_job.removed.is_none()),
            },
            Step::Cancel(index, how) => Command::Cancel { job: job(index), stop: *how },
            Step::Remove(jobs) => Command::Remove { jobs: jobs.iter().map(job).collect() },
            Step::Clear(name, phase) => Command::Clear { queue: queue(name), phase: *phase },
            Step::Restore(jobs) => {
                let removed = |ref_job: &ReferenceJob| ref_job.removed.is_some();
                Command::Restore { jobs: jobs.iter().map(|index| likely(index, &removed)).collect() }
            }
            Step::Move(jobs, other, behind) => {
                let other = pending(other);
                let jobs = jobs.iter().map(pending).filter(|job| *job != other).collect();
                let placement = if *behind { Placement::After(other) } else { Placement::Before(other) };
                Command::Move { jobs, placement }
            }
            Step::Transfer(jobs, name) => {
                let free = |ref_job: &ReferenceJob| ref_job.definition.name.is_none() && ref_job.removed.is_none();
                let jobs = jobs.iter().map(|index| likely(index, &free)).collect();
                Command::Transfer { jobs, queue: queue(name) }
            }
            Step::SetParallel(name, parallel) => Command::SetParallel { queue: queue(name), parallel: *parallel },
            Step::OverrideParallel(index, name, parallel) => {
                Command::OverrideParallel { worker: worker(index), queue: queue(name), parallel: *parallel }
            }
            Step::Join => join(),
            Step::PromoteDue | Step::AdvanceTime(_) => Command::PromoteDue,
            Step::PruneFinished => Command::PruneFinished,
            Step::Claim(index, names) => Command::Claim { worker: worker(index), queues: queues(names) },
            Step::Start(index, other) => Command::Start { worker: worker(index), job: pending(other) },
            Step::EndRun { job: index, stale, report, on_failure } => {
                let running: Vec<&ReferenceJob> =
                    site.jobs.iter().filter(|ref_job| ref_job.phase() == Phase::Running).collect();
                if running.is_empty() && !stale {
                    return Command::Claim { worker: worker(index), queues: None };
                }
                let ref_job = running.get(index.index(running.len().max(1)));
                let job = ref_job.map_or_else(|| job(index), |ref_job| JobId(ref_job.id));
                let run = site.jobs.iter().find(|ref_job| ref_job.id == job.0).and_then(|ref_job| ref_job.run);
                let run = RunId(run.unwrap_or_default() + u64::from(*stale));
                Command::EndRun { job, run, report: report.clone(), on_failure: *on_failure }
            }
            Step::Reserve(index, names) => {
                let queues = names.iter().map(|(name, wanted)| (queue(name), *wanted)).collect();
                Command::Reserve { worker: worker(index), queues }
            }
            Step::StartReserved { which, stale } => match site.reserved.get(which.index(site.reserved.len().max(1))) {
                Some(reserved) => {
                    let run = RunId(reserved.run + u64::from(*stale));
                    Command::StartReserved { worker: WorkerId(reserved.worker), job: JobId(reserved.job), run }
                }
                None => Command::StartReserved { worker: worker(which), job: job(which), run: RunId(1) },
            },
            Step::Release(index) => Command::Release { worker: worker(index) },
            Step::ReapWorker(index, every) => {
                let started_runs = site.reserved.iter().step_by(*every).map(|reserved| RunId(reserved.run)).collect();
                Command::ReapWorker { worker: worker(index), started_runs, unreachable_host: None }
            }
            Step::Leave(index, names) => Command::Leave { worker: worker(index), queues: queues(names) },
        }
    }
}

/// Jobs that wait for approval, if there are any.
fn awaiting_approval(indexes: &[Index], site: &Reference) -> Vec<JobId> {
    let asks = |ref_job: &&ReferenceJob| matches!(ref_job.stage, ReferenceState::Pending { confirm: true, .. });
    let asking: Vec<u64> = site.jobs.iter().filter(asks).map(|ref_job| ref_job.id).collect();
    indexes.iter().map(|index| JobId(pick(*index, &asking, site.jobs.len() as u64))).collect()
}

/// Usually one of the likely ids; rarely any id up to `last`, or the one after it, which doesn't exist.
fn pick(index: Index, likely: &[u64], last: u64) -> u64 {
    if likely.is_empty() || index.index(50) == 0 {
        index.index(usize::try_from(last).unwrap() + 1) as u64 + 1
    } else {
        likely[index.index(likely.len())]
    }
}

impl Draft {
    fn definition(&self, now: DateTime<Utc>, mut target: impl FnMut(&Other) -> JobRef) -> Definition {
        let needs = self.needs.iter().map(|(other, on)| Need { job: target(other), on: *on }).collect();
        let after = self.at.map_or(self.scheduling.after, |at| Some(NotBefore::Time(now + TimeDelta::seconds(at))));
        let scheduling = SchedulingOptions { needs, after, ..self.scheduling.clone() };
        Definition { scheduling: Arc::new(scheduling), ..Definition::new(Script::shell("true")) }
    }
}

fn named(name: usize) -> JobRef {
    let (queue, name) = NAMES[name];
    JobRef::Named(QUEUES[queue].into(), name.into())
}

fn plan(parallel: [u32; 2], stop: [bool; 2], jobs: &[Entry], now: DateTime<Utc>) -> DesiredState {
    let definition = |entry: &Entry| {
        // Only earlier entries of the same file.
        let others: Vec<usize> = jobs.iter().map(|other| other.name).filter(|name| *name < entry.name).collect();
        let mut draft = entry.draft.clone();
        if others.is_empty() {
            draft.needs.clear();
        }
        let target = |other: &Other| {
            let (Other::Number(index) | Other::Name(index)) = other;
            named(others[index.index(others.len())])
        };
        let definition = draft.definition(now, target);
        Arc::new(Definition {
            name: Some(NAMES[entry.name].1.into()),
            digest: Some(2 * i64::try_from(entry.script).unwrap() + entry.digest),
            call: Call::Script(Script::shell(SCRIPTS[entry.script])),
            ..definition
        })
    };
    let queue = |nth: usize| DesiredQueue {
        id: QUEUES[nth].into(),
        settings: QueueSettings {
            parallel: parallel[nth],
            on_failure: if stop[nth] { OnFailure::Stop } else { OnFailure::Continue },
            is_in_file: true,
            order: u32::try_from(nth).unwrap(),
            retention: Retention { max_age_seconds: Some(u64::from(parallel[nth]) * 5), ..Retention::default() },
            ..QueueSettings::default()
        },
        jobs: jobs.iter().filter(|entry| NAMES[entry.name].0 == nth).map(definition).collect(),
    };
    DesiredState { version: now.to_string(), queues: vec![queue(0), queue(1)], ..DesiredState::default() }
}

fn join() -> Command {
    Command::Join { host: "here".to_owned(), pid: 1, queues: None, options: WorkerOptions::default() }
}
