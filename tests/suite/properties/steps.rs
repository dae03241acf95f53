//! What can be asked of a site, drawn at random: every command, every term of a job, every way in which a run ends.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use setlist::Command;
use setlist::model::{
    After, Beside, Definition, Exit, Failure, FailureKind, JobId, Keep, Need, On, OnFailure, Outcome, Phase, Plan,
    QueueId, QueuePlan, Report, Retry, RetryOn, RunId, Script, Settings, Stop, Target, Terms, Value, WorkerId,
};

use super::QUEUES;
use super::reference::{Card, Reference, Stage};

/// The jobs of the files, each with its queue. One needs only those before it, so that no need leads back.
const NAMES: [(usize, &str); 6] = [(0, "n0"), (1, "n1"), (0, "n2"), (1, "n3"), (0, "n4"), (1, "n5")];

/// A command whose numbers are still to be chosen from those that exist by then; or time that passes.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Pass(i64),
    /// A file that names the first two queues, with these settings and these jobs.
    File {
        parallel: [u32; 2],
        stop: [bool; 2],
        jobs: Vec<Entry>,
    },
    Open(usize),
    Add(usize, Vec<Draft>),
    Process(usize),
    Pause(usize),
    Halt(usize),
    Run(Index),
    Confirm(Vec<Index>),
    Reset(Index),
    Cancel(Index, Stop),
    Remove(Vec<Index>),
    Clear(usize, Phase),
    Restore(Vec<Index>),
    Move(Vec<Index>, Index, bool),
    Transfer(Vec<Index>, usize),
    Parallel(usize, NonZero<u32>),
    Join,
    Ripen,
    Retire,
    Claim(Index, Option<Vec<usize>>),
    Start(Index, Index),
    Reserve(Index, Vec<(usize, usize)>),
    /// One that is reserved has begun; seldom one that isn't.
    Begin {
        which: Index,
        stale: bool,
    },
    Release(Index),
    Report {
        job: Index,
        stale: bool,
        report: Report,
        on_failure: Option<OnFailure>,
    },
    /// Every so many of the reserved jobs have begun.
    Bury(Index, usize),
    Leave(Index, Option<Vec<usize>>),
}

/// A job of a file: which of the names, what it says, and whether its entry was rewritten since.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    name: usize,
    draft: Draft,
    digest: i64,
}

/// A job that somebody adds.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    terms: Terms,
    needs: Vec<(Other, On)>,
    /// Not before so many seconds from now.
    at: Option<i64>,
}

#[derive(Clone, Debug)]
enum Other {
    Number(Index),
    Name(Index),
}

/// A file, a worker, and whatever else happens.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    (file(), prop::collection::vec(step(), 1..70)).prop_map(|(file, steps)| {
        let first = [file, Step::Open(2), Step::Join, Step::Process(0)];
        first.into_iter().chain(steps).collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES.len();
    let queues = || prop::option::weighted(0.2, prop::collection::vec(0..QUEUES.len(), 0..3));
    let index = any::<Index>;
    let some = || prop::collection::vec(any::<Index>(), 1..4);
    let stop = prop_oneof![Just(Stop::Terminate), Just(Stop::Kill)];
    let phase = select(vec![Phase::Pending, Phase::Running, Phase::Finished]);
    prop_oneof![
        6 => (0..15_i64).prop_map(Step::Pass),
        3 => file(),
        1 => queue().prop_map(Step::Open),
        5 => (queue(), prop::collection::vec(draft(), 0..4)).prop_map(|(queue, jobs)| Step::Add(queue, jobs)),
        10 => queue().prop_map(Step::Process),
        1 => queue().prop_map(Step::Pause),
        1 => queue().prop_map(Step::Halt),
        4 => index().prop_map(Step::Run),
        4 => some().prop_map(Step::Confirm),
        6 => index().prop_map(Step::Reset),
        4 => (index(), stop).prop_map(|(job, stop)| Step::Cancel(job, stop)),
        2 => some().prop_map(Step::Remove),
        1 => (queue(), phase).prop_map(|(queue, phase)| Step::Clear(queue, phase)),
        3 => some().prop_map(Step::Restore),
        3 => (some(), index(), any::<bool>()).prop_map(|(jobs, other, behind)| Step::Move(jobs, other, behind)),
        2 => (some(), queue()).prop_map(|(jobs, queue)| Step::Transfer(jobs, queue)),
        1 => (queue(), 1..4_u32).prop_map(|(queue, parallel)| Step::Parallel(queue, NonZero::new(parallel).unwrap())),
        2 => Just(Step::Join),
        8 => Just(Step::Ripen),
        2 => Just(Step::Retire),
        20 => (index(), queues()).prop_map(|(worker, queues)| Step::Claim(worker, queues)),
        3 => (index(), index()).prop_map(|(worker, job)| Step::Start(worker, job)),
        25 => (index(), prop::bool::weighted(0.1), reports(), on_failure())
            .prop_map(|(job, stale, report, on_failure)| Step::Report { job, stale, report, on_failure }),
        8 => (index(), prop::collection::vec((queue(), 0..5_usize), 0..4)).prop_map(|(worker, queues)| Step::Reserve(worker, queues)),
        10 => (index(), prop::bool::weighted(0.1)).prop_map(|(which, stale)| Step::Begin { which, stale }),
        3 => index().prop_map(Step::Release),
        2 => (index(), 1..4_usize).prop_map(|(worker, every)| Step::Bury(worker, every)),
        1 => (index(), queues()).prop_map(|(worker, queues)| Step::Leave(worker, queues)),
    ]
}

fn file() -> impl Strategy<Value = Step> {
    let settings = (prop::array::uniform2(1..4_u32), any::<[bool; 2]>());
    (settings, entries()).prop_map(|((parallel, stop), jobs)| Step::File { parallel, stop, jobs })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = |name| (draft(), 0..3_i64).prop_map(move |(draft, digest)| Entry { name, draft, digest });
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
    let on = select(vec![On::Success, On::Success, On::Failure, On::Finish]);
    let needs = prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec((other, on), 1..3)];
    let delay = prop::option::weighted(0.15, (0..20_000_u64).prop_map(Duration::from_millis));
    let at = prop::option::weighted(0.1, -10..20_i64);
    let priority = prop_oneof![4 => Just(0), 1 => -2..3_i32];
    let weight = prop_oneof![4 => Just(1), 1 => 1..5_u32];
    let confirm = prop::option::weighted(0.15, Just("Really?".to_owned()));
    let terms = (delay, priority, weight, retry(), confirm);
    (terms, needs, at).prop_map(|((delay, priority, weight, retry, confirm), needs, at)| {
        let terms = Terms { needs: Vec::new(), after: delay.map(After::Delay), priority, weight, retry, confirm };
        Draft { terms, needs, at }
    })
}

fn retry() -> impl Strategy<Value = Retry> {
    let on = vec![
        RetryOn::Failure(FailureKind::Exit),
        RetryOn::Failure(FailureKind::Signal),
        RetryOn::Failure(FailureKind::Timeout),
        RetryOn::Failure(FailureKind::NotStarted),
        RetryOn::Failure(FailureKind::Error),
        RetryOn::Code(3),
        RetryOn::Interrupted,
    ];
    let on = prop_oneof![1 => Just(Vec::new()), 1 => Just(on.clone()), 2 => subsequence(on, 1..4)];
    let millis = |some: Vec<u64>| select(some).prop_map(Duration::from_millis);
    let delays = (millis(vec![0, 400, 4_000]), millis(vec![0, 1_000, 8_000]), select(vec![0.5, 1.0, 1.5, 2.0, 3.0]));
    let some = (1..4_u32, delays, on).prop_map(|(max, (delay, max_delay, backoff), on)| Retry {
        max,
        delay,
        backoff,
        max_delay,
        on,
    });
    prop_oneof![1 => Just(Retry::never()), 1 => some]
}

/// How a run may end.
pub(super) fn reports() -> impl Strategy<Value = Report> {
    let kinds =
        [FailureKind::Exit, FailureKind::Signal, FailureKind::Timeout, FailureKind::NotStarted, FailureKind::Error];
    let failures = kinds.map(|kind| Outcome::Failed(Failure { kind, message: format!("{kind:?}") })).to_vec();
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
    (outcome, exit, value).prop_map(|(outcome, exit, value)| Report { outcome, exit, value })
}

fn on_failure() -> impl Strategy<Value = Option<OnFailure>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(OnFailure::Stop)), 1 => Just(Some(OnFailure::Continue))]
}

impl Step {
    /// The command, on a site that stands as the reference says.
    pub(super) fn command(&self, site: &Reference, now: DateTime<Utc>) -> Command {
        let queue = |queue: &usize| QueueId::from(QUEUES[*queue]);
        let queues = |queues: &Option<Vec<usize>>| queues.as_ref().map(|queues| queues.iter().map(queue).collect());
        let likely = |index: &Index, wanted: &dyn Fn(&Card) -> bool| {
            let wanted: Vec<u64> = site.jobs.iter().filter(|card| wanted(card)).map(|card| card.id).collect();
            JobId(pick(*index, &wanted, site.jobs.len() as u64))
        };
        let job = |index: &Index| likely(index, &|card| card.gone.is_none());
        let pending = |index: &Index| likely(index, &|card| card.phase() == Phase::Pending);
        let present: Vec<u64> = site.present.iter().copied().collect();
        let worker = |index: &Index| WorkerId(pick(*index, &present, site.workers));
        match self {
            Step::File { parallel, stop, jobs } => Command::Reconcile(Box::new(plan(*parallel, *stop, jobs, now))),
            Step::Open(name) => Command::Open { queue: queue(name) },
            Step::Add(name, drafts) => {
                let target = |other: &Other| match other {
                    Other::Number(index) => Target::Number(likely(index, &|_| true)),
                    Other::Name(index) => named(index.index(NAMES.len())),
                };
                let jobs = drafts.iter().map(|draft| Arc::new(draft.definition(now, target))).collect();
                Command::Add { queue: queue(name), jobs }
            }
            Step::Process(name) => Command::Process { queue: queue(name) },
            Step::Pause(name) => Command::Pause { queue: queue(name) },
            Step::Halt(name) => Command::Halt { queue: queue(name) },
            Step::Run(index) => {
                // What others were skipped for, if there is such a job.
                let skipped = |card: &&Card| matches!(&card.stage, Stage::Finished { outcome, .. } if outcome.word() == "skipped");
                let skipped = site.jobs.iter().filter(skipped);
                let missed: Vec<u64> = skipped.flat_map(|card| card.needs.iter().map(|(id, _)| *id)).collect();
                Command::Run { job: likely(index, &|card| missed.is_empty() || missed.contains(&card.id)) }
            }
            Step::Confirm(jobs) => {
                let asks = |card: &Card| matches!(card.stage, Stage::Pending { confirm: true, .. });
                Command::Confirm { jobs: jobs.iter().map(|index| likely(index, &asks)).collect() }
            }
            Step::Reset(index) => {
                Command::Reset { job: likely(index, &|card| card.phase() == Phase::Finished && card.gone.is_none()) }
            }
            Step::Cancel(index, how) => Command::Cancel { job: job(index), stop: *how },
            Step::Remove(jobs) => Command::Remove { jobs: jobs.iter().map(job).collect() },
            Step::Clear(name, phase) => Command::Clear { queue: queue(name), phase: *phase },
            Step::Restore(jobs) => {
                let gone = |card: &Card| card.gone.is_some();
                Command::Restore { jobs: jobs.iter().map(|index| likely(index, &gone)).collect() }
            }
            Step::Move(jobs, other, behind) => {
                let other = pending(other);
                let jobs = jobs.iter().map(pending).filter(|job| *job != other).collect();
                Command::Move { jobs, beside: if *behind { Beside::After(other) } else { Beside::Before(other) } }
            }
            Step::Transfer(jobs, name) => {
                let free = |card: &Card| card.definition.name.is_none() && card.gone.is_none();
                let jobs = jobs.iter().map(|index| likely(index, &free)).collect();
                Command::Transfer { jobs, queue: queue(name) }
            }
            Step::Parallel(name, parallel) => Command::Parallel { queue: queue(name), parallel: *parallel },
            Step::Join => Command::Join { host: "here".to_owned(), pid: 1, queues: None },
            Step::Ripen | Step::Pass(_) => Command::Ripen,
            Step::Retire => Command::Retire,
            Step::Claim(index, names) => Command::Claim { worker: worker(index), queues: queues(names) },
            Step::Start(index, other) => Command::Start { worker: worker(index), job: pending(other) },
            Step::Report { job: index, stale, report, on_failure } => {
                let running: Vec<&Card> = site.jobs.iter().filter(|card| card.phase() == Phase::Running).collect();
                if running.is_empty() && !stale {
                    return Command::Claim { worker: worker(index), queues: None };
                }
                let card = running.get(index.index(running.len().max(1)));
                let job = card.map_or_else(|| job(index), |card| JobId(card.id));
                let run = site.jobs.iter().find(|card| card.id == job.0).and_then(|card| card.run);
                let run = RunId(run.unwrap_or_default() + u64::from(*stale));
                Command::Report { job, run, report: report.clone(), on_failure: *on_failure }
            }
            Step::Reserve(index, names) => {
                let queues = names.iter().map(|(name, wanted)| (queue(name), *wanted)).collect();
                Command::Reserve { worker: worker(index), queues }
            }
            Step::Begin { which, stale } => match site.reserved.get(which.index(site.reserved.len().max(1))) {
                Some(reserved) => {
                    let run = RunId(reserved.run + u64::from(*stale));
                    Command::Begin { worker: WorkerId(reserved.worker), job: JobId(reserved.job), run }
                }
                None => Command::Begin { worker: worker(which), job: job(which), run: RunId(1) },
            },
            Step::Release(index) => Command::Release { worker: worker(index) },
            Step::Bury(index, every) => {
                let begun = site.reserved.iter().step_by(*every).map(|reserved| RunId(reserved.run)).collect();
                Command::Bury { worker: worker(index), begun }
            }
            Step::Leave(index, names) => Command::Leave { worker: worker(index), queues: queues(names) },
        }
    }
}

/// Nearly always one of the likely numbers; else any up to `last`, or the one after it, which isn't there.
fn pick(index: Index, likely: &[u64], last: u64) -> u64 {
    if likely.is_empty() || index.index(50) == 0 {
        index.index(usize::try_from(last).unwrap() + 1) as u64 + 1
    } else {
        likely[index.index(likely.len())]
    }
}

impl Draft {
    fn definition(&self, now: DateTime<Utc>, mut target: impl FnMut(&Other) -> Target) -> Definition {
        let needs = self.needs.iter().map(|(other, on)| Need { job: target(other), on: *on }).collect();
        let after = self.at.map_or(self.terms.after, |at| Some(After::Time(now + TimeDelta::seconds(at))));
        let terms = Terms { needs, after, ..self.terms.clone() };
        Definition { terms: Arc::new(terms), ..Definition::new(Script::shell("true")) }
    }
}

fn named(name: usize) -> Target {
    let (queue, name) = NAMES[name];
    Target::Named(QUEUES[queue].into(), name.into())
}

fn plan(parallel: [u32; 2], stop: [bool; 2], jobs: &[Entry], now: DateTime<Utc>) -> Plan {
    let definition = |entry: &Entry| {
        // Only those that are in the file, and come before it.
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
        Arc::new(Definition { name: Some(NAMES[entry.name].1.into()), digest: Some(entry.digest), ..definition })
    };
    let queue = |nth: usize| QueuePlan {
        id: QUEUES[nth].into(),
        settings: Settings {
            parallel: parallel[nth],
            on_failure: if stop[nth] { OnFailure::Stop } else { OnFailure::Continue },
            declared: true,
            order: u32::try_from(nth).unwrap(),
            keep: Keep { seconds: Some(u64::from(parallel[nth]) * 5), ..Keep::default() },
            ..Settings::default()
        },
        jobs: jobs.iter().filter(|entry| NAMES[entry.name].0 == nth).map(definition).collect(),
    };
    Plan { stamp: now.to_string(), queues: vec![queue(0), queue(1)] }
}
