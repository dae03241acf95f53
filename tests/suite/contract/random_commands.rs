//! Random commands on every backend: all give the same results, and every copy equals a fresh load.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZero;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use ratatui::layout::Size;
use rusqlite::{Connection, Row};
use setlist::model::{
    Cause, CauseKind, Command, Definition, DesiredQueue, DesiredState, DiskUsage, DuePage, Exit, Expectation, Failure,
    FailureKind, Growth, Interruptions, Job, JobId, JobRef, MissedPolicy, Need, NeedCounts, NeededState, NotBefore,
    OnFailure, Outcome, OutcomeCondition, OverlapPolicy, Phase, Placement, PoolUse, QueueId, QueueSettings, QueueState,
    Recurrence, Reservation, Retention, RetryOn, RetryPolicy, RetryScale, RunId, RunPeriod, RunReport, Schedule,
    SchedulingOptions, Script, Site, SiteState, SkipKind, SourceState, StateReader, StopSignal, TreeUsage, Usage,
    WorkerId, WorkerInfo, WorkerOptions,
};
use setlist::store::{JobName, ListPosition, MemoryStore, SqliteStore, Store};
use tempfile::TempDir;

use super::job_counts::count_jobs;
use super::pools::held_units;
use super::requests::requested_by;
use super::{BackendSite, StateDir, at};
use crate::rng::cases;
use crate::screen::harness::first_frame;

/// A command whose state-dependent parts, such as the run of a report, are chosen when it is executed.
#[derive(Clone, Debug)]
enum CommandTemplate {
    Plain(Command),
    /// The end of the nth running job.
    End(usize, RunReport, Option<OnFailure>),
    /// A stall of the nth running job.
    Stall(usize, Option<DateTime<Utc>>),
    /// A request for the nth finished job, or its reset.
    Again(usize, bool),
    /// The start of the nth reserved job.
    Begin(usize),
    /// The death of this worker, after some of its reserved jobs have started.
    ReapWorker(WorkerId, bool),
}

impl CommandTemplate {
    fn command(&self, site_state: &SiteState) -> Command {
        match self {
            Self::Plain(command) => command.clone(),
            Self::End(nth, report, on_failure) => {
                let mut running: Vec<_> =
                    site_state.jobs().filter_map(|job| Some((job.id, job.current_run()?))).collect();
                running.sort();
                let none = (JobId(1), RunId(1));
                let (job, run) = running.get(nth % running.len().max(1)).copied().unwrap_or(none);
                Command::EndRun { job, run, report: report.clone(), on_failure: *on_failure }
            }
            Self::Stall(nth, since) => {
                let Command::EndRun { job, run, .. } =
                    Self::End(*nth, RunReport::new(Outcome::Succeeded), None).command(site_state)
                else {
                    panic!("it ends a run")
                };
                Command::RecordStall { job, run, since: *since }
            }
            Self::Again(nth, is_reset) => {
                let finished = site_state.jobs().filter(|job| job.phase() == Phase::Finished);
                let mut finished: Vec<JobId> = finished.map(|job| job.id).collect();
                finished.sort();
                let job = finished.get(nth % finished.len().max(1)).copied().unwrap_or(JobId(1));
                if *is_reset { Command::Reset { job } } else { Command::Run { job, force: false } }
            }
            Self::Begin(nth) => {
                let reserved = |worker: &WorkerInfo| {
                    let id = worker.id;
                    worker.reserved.clone().into_iter().map(move |one| (id, one))
                };
                let reserved: Vec<_> = site_state.workers().flat_map(reserved).collect();
                match reserved.get(nth % reserved.len().max(1)) {
                    Some((worker, Reservation { job, run })) => {
                        Command::StartReserved { worker: *worker, job: *job, run: *run }
                    }
                    None => Command::StartReserved { worker: WorkerId(1), job: JobId(1), run: RunId(1) },
                }
            }
            Self::ReapWorker(worker, odd) => {
                let reserved =
                    site_state.workers().filter(|known| known.id == *worker).flat_map(|known| &known.reserved);
                let started_runs = reserved.map(|one| one.run).filter(|run| (run.0 % 2 == 1) == *odd).collect();
                Command::ReapWorker { worker: *worker, started_runs, unreachable_host: None }
            }
        }
    }
}

fn queues() -> impl Strategy<Value = QueueId> {
    select(vec!["a", "ü. ", ""]).prop_map(QueueId::from)
}

fn jobs() -> impl Strategy<Value = JobId> {
    (1..14_u64).prop_map(JobId)
}

fn workers() -> impl Strategy<Value = WorkerId> {
    (1..4_u64).prop_map(WorkerId)
}

fn phases() -> impl Strategy<Value = Phase> {
    select(vec![Phase::Pending, Phase::Running, Phase::Finished])
}

fn stops() -> impl Strategy<Value = StopSignal> {
    select(vec![StopSignal::Terminate, StopSignal::Kill])
}

fn on_failure() -> impl Strategy<Value = OnFailure> {
    select(vec![OnFailure::Continue, OnFailure::Stop])
}

const KINDS: [FailureKind; 5] =
    [FailureKind::Exit, FailureKind::Signal, FailureKind::Timeout, FailureKind::NotStarted, FailureKind::Error];

fn reports() -> impl Strategy<Value = RunReport> {
    let failures = KINDS.map(|kind| Outcome::Failed(Failure { kind, message: format!("{kind:?} \0\u{1b}") }.into()));
    let others = [SkipKind::Needs, SkipKind::Condition, SkipKind::UpToDate]
        .map(|by| Outcome::Skipped { reason: "it says so itself".into(), by });
    let others = [Outcome::Cancelled, Outcome::Interrupted].into_iter().chain(others).collect::<Vec<_>>();
    let outcomes = prop_oneof![2 => Just(Outcome::Succeeded), 2 => select(failures.to_vec()), 1 => select(others)];
    let values =
        vec![None, Some(serde_json::Value::Null), Some("".into()), Some(serde_json::json!({"é": [1.5, "\0"]}))];
    let exits = vec![None, Some(Exit::Code(-3)), Some(Exit::Code(3)), Some(Exit::Signal(9))];
    let cause = Cause::new(CauseKind::DiskFull, "\u{1b}é").with_limit(Some("1 B".to_owned()));
    let causes = vec![None, Some(Box::new(Cause::new(CauseKind::Exited, ""))), Some(Box::new(cause))];
    let files = |digest| [("in/é\\xff".to_owned(), digest), ("b".to_owned(), u64::MAX)].into();
    let sources =
        [1, 2].map(|digest| Some(Box::new(SourceState::new(digest, files(digest))))).into_iter().chain([None]);
    let unkept = select(vec![Vec::new(), vec!["the limit of 0.5 processors becomes 1".to_owned()]]);
    let sources = select(sources.collect::<Vec<_>>());
    (outcomes, select(exits), select(values), select(causes), usages(), sources, unkept).prop_map(
        |(outcome, exit, value, cause, usage, sources, unkept_limits)| RunReport {
            outcome,
            exit,
            cause,
            usage,
            value,
            sources,
            unkept_limits,
        },
    )
}

fn usages() -> impl Strategy<Value = Option<Box<Usage>>> {
    let used = |(micros, peak_memory, is_peak_bound, io): (u64, u64, bool, Option<(u64, u64)>)| Usage {
        user: Duration::from_micros(micros),
        system: Duration::from_micros(micros / 3),
        peak_memory,
        is_peak_bound,
        io: io.map(|(read, written)| DiskUsage { read, written }),
        tree: TreeUsage { has_cpu: is_peak_bound, has_io: false, peak_memory: io.map(|(read, _)| read) },
    };
    any::<Option<(u64, u64, bool, Option<(u64, u64)>)>>()
        .prop_map(move |usage| usage.map(|usage| Box::new(used(usage))))
}

/// A time in the near or the very far future.
fn moments() -> impl Strategy<Value = DateTime<Utc>> {
    let far = vec![DateTime::UNIX_EPOCH, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC];
    prop_oneof![4 => (90..200_i64).prop_map(at), 1 => select(far)]
}

fn delays() -> impl Strategy<Value = Duration> {
    prop_oneof![4 => 0..30_u64, 1 => Just(u64::MAX)].prop_map(Duration::from_millis)
}

fn retries() -> impl Strategy<Value = RetryPolicy> {
    let mut on: Vec<_> = KINDS.map(RetryOn::Failure).to_vec();
    on.extend([RetryOn::Code(3), RetryOn::Code(-3), RetryOn::Interrupted, RetryOn::OutOfMemory]);
    let on = prop_oneof![1 => Just(Vec::new()), 2 => subsequence(on, 1..8)];
    let max = select(vec![0, 1, 2, u32::MAX]);
    let backoff = select(vec![1.0, 2.0, 0.1 + 0.2, 1.1, 3.000_000_000_000_000_4, f64::MAX, 0.0]);
    let interrupted = select(vec![Interruptions::Counted, Interruptions::Free]);
    let growth = Growth { factor: 1.5, max: Some(1 << 34) };
    let grown = RetryScale { memory: Some(growth), timeout: Some(Growth { max: None, ..growth }) };
    let scale = select(vec![RetryScale::default(), grown]);
    (max, delays(), backoff, delays(), on, interrupted, scale).prop_map(
        |(max, delay, backoff, max_delay, on, interrupted, scale)| RetryPolicy {
            max,
            delay,
            backoff,
            max_delay,
            on,
            interrupted,
            scale,
        },
    )
}

fn schedules() -> impl Strategy<Value = Option<Arc<Schedule>>> {
    let expression = select(vec!["@every 1s", "@every 7s", "* * * * *", "0 0 29 2 *"]);
    let missed = select(vec![MissedPolicy::Skip, MissedPolicy::Once, MissedPolicy::All]);
    let overlap = select(vec![OverlapPolicy::Skip, OverlapPolicy::Wait]);
    let schedule = (expression, missed, overlap).prop_map(|(expression, missed, overlap)| {
        let times = vec![Recurrence::parse(expression, chrono_tz::UTC).unwrap()];
        Some(Arc::new(Schedule { times, jitter: Duration::ZERO, missed, overlap }))
    });
    prop_oneof![3 => Just(None), 1 => schedule]
}

fn labels() -> impl Strategy<Value = Vec<Arc<str>>> {
    let labels = [&[][..], &["gpu"], &["gpu", "big"], &["it's"]];
    let weights = [6, 2, 1, 1];
    let strategies = labels.map(|labels| Just(labels.iter().map(|label| Arc::from(*label)).collect::<Vec<Arc<str>>>()));
    proptest::strategy::Union::new_weighted(weights.into_iter().zip(strategies).collect())
}

fn worker_options() -> impl Strategy<Value = WorkerOptions> {
    (0..4_u32, labels()).prop_map(|(slots, labels)| WorkerOptions { slots: NonZero::new(slots), labels })
}

fn uses() -> impl Strategy<Value = Vec<PoolUse>> {
    let one = (select(vec!["gpu", "é "]), 1..4_u32, any::<bool>());
    let one = one.prop_map(|(pool, count, mutex)| vec![PoolUse { pool: pool.into(), count, mutex }]);
    prop_oneof![3 => Just(Vec::new()), 1 => one]
}

fn expectations() -> impl Strategy<Value = Option<Arc<Expectation>>> {
    let by = |expression| Expectation::By(vec![Recurrence::parse(expression, chrono_tz::UTC).unwrap()]);
    let expectation = prop_oneof![
        select(vec!["@every 2s", "* * * * *"]).prop_map(by),
        select(vec![1, 20]).prop_map(|seconds| Expectation::Within(Duration::from_secs(seconds))),
    ];
    prop_oneof![3 => Just(None), 1 => expectation.prop_map(|expectation| Some(Arc::new(expectation)))]
}

fn terms(targets: impl Strategy<Value = JobRef>) -> impl Strategy<Value = SchedulingOptions> {
    let need = (targets, select(vec![OutcomeCondition::Success, OutcomeCondition::Failure, OutcomeCondition::Finish]));
    let needs = proptest::collection::vec(need.prop_map(|(job, on)| Need { job, on }), 0..3);
    let after = prop_oneof![
        4 => Just(None),
        1 => delays().prop_map(|delay| Some(NotBefore::Delay(delay))),
        1 => moments().prop_map(|time| Some(NotBefore::Time(time))),
    ];
    let priority = prop_oneof![4 => Just(0), 1 => select(vec![i32::MIN, -1, 1, i32::MAX])];
    let weight = prop_oneof![4 => Just(1), 1 => select(vec![2, 3, u32::MAX])];
    let confirm =
        prop_oneof![4 => Just(None), 1 => select(vec!["", "Really?\0"]).prop_map(|text| Some(text.to_owned()))];
    let terms = (needs, after, priority, weight, retries(), confirm, schedules(), (uses(), expectations(), labels()));
    let terms =
        terms.prop_map(|(needs, after, priority, weight, retry, confirm, schedule, (uses, expect, runs_on))| {
            SchedulingOptions {
                needs,
                after,
                priority,
                weight,
                retry,
                confirm,
                schedule,
                uses,
                runs_on,
                expect,
                ..SchedulingOptions::default()
            }
        });
    prop_oneof![1 => Just(SchedulingOptions::default()), 2 => terms]
}

fn added() -> impl Strategy<Value = Arc<Definition>> {
    let named = (queues(), 0..NAMES.len()).prop_map(|(queue, name)| JobRef::Named(queue, NAMES[name].into()));
    let targets = prop_oneof![3 => jobs().prop_map(JobRef::Number), 1 => named];
    terms(targets).prop_map(|terms| {
        Arc::new(Definition { scheduling: Arc::new(terms), ..Definition::new(Script::shell("true")) })
    })
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A file with some of five jobs in each queue, in either order, some of them changed. They only need jobs with smaller
/// names, so that there are no cycles.
fn plans() -> impl Strategy<Value = DesiredState> {
    let job = |name: usize| {
        let earlier = (queues(), 0..name.max(1)).prop_map(|(queue, name)| JobRef::Named(queue, NAMES[name].into()));
        (terms(earlier), 0..3_i64).prop_map(move |(mut terms, digest)| {
            if name == 0 {
                terms.needs.clear();
            }
            named(NAMES[name], terms, digest)
        })
    };
    let jobs = subsequence((0..NAMES.len()).collect::<Vec<_>>(), 0..=NAMES.len())
        .prop_flat_map(move |names| names.into_iter().map(job).collect::<Vec<_>>());
    let keep = select(vec![None, Some(0), Some(u64::MAX)])
        .prop_map(|seconds| Retention { max_age_seconds: seconds, ..Retention::default() });
    let queue = (queues(), jobs, any::<bool>(), 1..4_u32, on_failure(), keep, (schedules(), expectations()));
    let queue = queue.prop_map(|(id, mut jobs, reversed, parallel, on_failure, retention, (schedule, expect))| {
        if reversed {
            jobs.reverse();
        }
        let settings = QueueSettings {
            parallel,
            on_failure,
            retention,
            schedule,
            expect,
            is_in_file: true,
            order: parallel,
            ..QueueSettings::default()
        };
        DesiredQueue { id, settings, jobs }
    });
    let pools = proptest::collection::btree_map(select(vec!["gpu", "é "]).prop_map(Arc::from), 1..4_u32, 0..3);
    (0..1_000_u32, proptest::collection::vec(queue, 0..3), pools).prop_map(|(stamp, mut queues, pools)| {
        queues.sort_by(|a, b| a.id.cmp(&b.id));
        queues.dedup_by(|a, b| a.id == b.id);
        DesiredState { version: stamp.to_string(), queues, pools, ..DesiredState::default() }
    })
}

fn named(name: &str, terms: SchedulingOptions, digest: i64) -> Arc<Definition> {
    let mut definition = Definition::new(Script::command(["echo", name]));
    definition.name = Some(name.into());
    definition.digest = Some(digest * i64::from(name < "c"));
    definition.tags = [digest.to_string()].into();
    definition.scheduling = Arc::new(terms);
    Arc::new(definition)
}

fn asks() -> impl Strategy<Value = CommandTemplate> {
    let some = || proptest::option::of(proptest::collection::vec(queues(), 1..3));
    let plain = prop_oneof![
        2 => plans().prop_map(|plan| Command::Reconcile(Box::new(plan))),
        1 => queues().prop_map(|queue| Command::EnsureQueue { queue }),
        3 => (queues(), proptest::collection::vec(added(), 0..3)).prop_map(|(queue, jobs)| Command::Add { queue, jobs }),
        6 => queues().prop_map(|queue| Command::Process { queue }),
        1 => queues().prop_map(|queue| Command::Pause { queue }),
        1 => queues().prop_map(|queue| Command::StopProcessing { queue }),
        3 => Just(Command::PromoteDue),
        1 => Just(Command::PruneFinished),
        1 => proptest::collection::vec(jobs(), 1..8).prop_map(|jobs| Command::PruneJobs { jobs }),
        2 => proptest::collection::vec(jobs(), 1..3).prop_map(|jobs| Command::Approve { jobs, by: "tester".to_owned() }),
        2 => jobs().prop_map(|job| Command::Run { job, force: false }),
        1 => jobs().prop_map(|job| Command::Reset { job }),
        2 => (jobs(), stops()).prop_map(|(job, stop)| Command::Cancel { job, stop }),
        1 => proptest::collection::vec(jobs(), 1..3).prop_map(|jobs| Command::Remove { jobs }),
        1 => (queues(), phases()).prop_map(|(queue, phase)| Command::Clear { queue, phase }),
        2 => proptest::collection::vec(jobs(), 1..3).prop_map(|jobs| Command::Restore { jobs }),
        3 => (proptest::collection::vec(jobs(), 1..4), jobs(), any::<bool>()).prop_map(|(jobs, other, behind)| {
            Command::Move { jobs, placement: if behind { Placement::After(other) } else { Placement::Before(other) } }
        }),
        1 => (queues(), 1..4_u32).prop_map(|(queue, parallel)| {
            Command::SetParallel { queue, parallel: NonZero::new(parallel).unwrap() }
        }),
        1 => (workers(), queues(), 1..4_u32).prop_map(|(worker, queue, parallel)| {
            Command::OverrideParallel { worker, queue, parallel: NonZero::new(parallel).unwrap() }
        }),
        2 => (1..9_u32, some(), worker_options()).prop_map(|(pid, queues, options)| Command::Join { host: "here".to_owned(), pid, queues, options }),
        1 => workers().prop_map(|worker| Command::Drain { worker }),
        8 => (workers(), some()).prop_map(|(worker, queues)| Command::Claim { worker, queues }),
        1 => (workers(), jobs()).prop_map(|(worker, job)| Command::Start { worker, job }),
        4 => (workers(), proptest::collection::vec((queues(), 0..4_usize), 0..3)).prop_map(|(worker, queues)| {
            Command::Reserve { worker, queues }
        }),
        1 => workers().prop_map(|worker| Command::Release { worker }),
        1 => (workers(), some()).prop_map(|(worker, queues)| Command::Leave { worker, queues }),
    ];
    prop_oneof![
        5 => (plain, proptest::option::of(1..4_u64)).prop_map(|(command, user)| {
            CommandTemplate::Plain(user.map_or(command.clone(), |user| requested_by(user, command)))
        }),
        2 => (0..5_usize, reports(), proptest::option::of(on_failure())).prop_map(|(nth, report, on_failure)| {
            CommandTemplate::End(nth, report, on_failure)
        }),
        1 => (0..5_usize, proptest::option::of((90..200_i64).prop_map(at)))
            .prop_map(|(nth, since)| CommandTemplate::Stall(nth, since)),
        1 => (0..5_usize, any::<bool>()).prop_map(|(nth, is_reset)| CommandTemplate::Again(nth, is_reset)),
        1 => (0..5_usize).prop_map(CommandTemplate::Begin),
        1 => (workers(), any::<bool>()).prop_map(|(worker, odd)| CommandTemplate::ReapWorker(worker, odd)),
    ]
}

/// How many milliseconds the clock moves: now and then past several due times, or back.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -5..20_i64, 2 => 900..20_000_i64, 1 => -5_000..0_i64]
}

/// How many needs of a job are not met, from the states of the jobs that it needs.
pub(super) fn counted_again(site_state: &SiteState, job: &Job) -> NeedCounts {
    let mut counts = NeedCounts::default();
    let needs: HashSet<(JobId, OutcomeCondition)> = job.needs.iter().map(|need| (need.job, need.on)).collect();
    for (needed, on) in needs {
        let Ok(found) = StateReader::needed_job(site_state, needed);
        let state = found.map(|needed| NeededState::of(&needed.job.state, needed.is_removed));
        counts.add(state.unwrap_or(NeededState::Missing).status(on));
    }
    counts
}

/// How many needs of each job are not met according to the database.
pub(super) fn stored_need_counts(state_dir: &StateDir) -> HashMap<JobId, NeedCounts> {
    let db = Connection::open(state_dir.database()).unwrap();
    let mut statement = db.prepare("SELECT id, pending_needs, failed_needs FROM jobs").unwrap();
    let read = |row: &Row<'_>| {
        let counts = NeedCounts { pending: row.get(1)?, failed: row.get(2)? };
        Ok((JobId(row.get::<_, i64>(0)?.cast_unsigned()), counts))
    };
    statement.query_map((), read).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A part of the site, by each name of a job, knows the same of that job as the whole site.
fn parts_equal_the_whole(job: &Job, stores: &mut [&mut dyn Store]) -> Result<(), TestCaseError> {
    let of_name = |name| [JobName::InQueue(job.queue.as_str(), name), JobName::InAnyQueue(name)];
    let names = job.name().into_iter().flat_map(of_name).chain([JobName::Number(job.id)]);
    let names: Vec<JobName<'_>> = names.collect();
    let same_name = |state: &SiteState| {
        let jobs = state.jobs().filter(|other| other.name().is_some() && other.name() == job.name());
        jobs.map(|other| other.id).collect::<BTreeSet<_>>()
    };
    for store in stores {
        // Memory knows removed jobs, a file only that they are not there.
        let whole = store.load().unwrap();
        for name in &names {
            let part = store.load_part(slice::from_ref(name)).unwrap();
            prop_assert_eq!(part.job(job.id), Some(job));
            prop_assert_eq!(part.schedule_of_job(job), whole.schedule_of_job(job));
            prop_assert_eq!(part.queue(&job.queue).unwrap().mode, whole.queue(&job.queue).unwrap().mode);
            if job.definition.scheduling.uses.is_empty() {
                prop_assert_eq!(part.wait_reason(job), whole.wait_reason(job));
                prop_assert_eq!(part.unmet_requirements(job), whole.unmet_requirements(job));
            }
            if let JobName::InAnyQueue(_) = name {
                prop_assert_eq!(same_name(&part), same_name(&whole));
            }
        }
    }
    Ok(())
}

/// What is said of the status of queues without most jobs is what the whole site says.
pub(super) fn overview_equals_the_whole(store: &mut dyn Store, now: DateTime<Utc>) -> Result<(), TestCaseError> {
    let (whole, overview) = (store.load().unwrap(), store.load_overview().unwrap());
    prop_assert_eq!(&overview.counts, &count_jobs(&whole));
    prop_assert_eq!(overview.counts, whole.all_job_counts());
    let ids = |state: &SiteState| state.queues().into_iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    prop_assert_eq!(ids(&overview.state), ids(&whole));
    for id in ids(&whole) {
        let status = |state: &SiteState| {
            let overdue: Vec<_> = state.overdue_in(&id, now).map(|(state, _)| state.target.clone()).collect();
            let paths: Vec<_> = overdue.iter().map(|target| state.target_path(target)).collect();
            let due: Vec<_> = state.approvals_due(&id).map(Job::path).collect();
            let stopped: Vec<_> = state.stopped_by(&id).map(Job::path).collect();
            let stalled: Vec<_> = state.stalled_in(&id).map(|(job, since)| (job.path(), since)).collect();
            let next = state.next_due_in(&id, now).map(|(due, _)| due);
            let lacks_worker = (state.lacks_worker(&id), state.waits_for_approval(&id));
            (state.queue_status(&id), state.stop_reason(&id), (paths, due, stopped, stalled), next, lacks_worker)
        };
        prop_assert_eq!(status(&overview.state), status(&whole));
    }
    Ok(())
}

/// Pages of this length list the jobs of all queues in their order, and say what the whole site says of each.
pub(super) fn list_pages_equal_the_whole(
    store: &mut dyn Store,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<(), TestCaseError> {
    let whole = store.load().unwrap();
    let queues: Vec<QueueId> = whole.queues().into_iter().map(|(id, _)| id.clone()).collect();
    let lists = whole.queues().into_iter().flat_map(|(_, queue)| [&queue.finished, &queue.running, &queue.pending]);
    let expected: Vec<JobId> = lists.flatten().copied().collect();
    let (mut listed, mut next) = (Vec::new(), Some(ListPosition::default()));
    while let Some(from) = next {
        let page = store.list_page(&queues, &from, limit).unwrap();
        for id in &page.jobs {
            let job = whole.job(*id).unwrap();
            prop_assert_eq!(page.state.job(*id), Some(job));
            prop_assert_eq!(page.state.wait_reason(job), whole.wait_reason(job), "of {}", job.path());
            prop_assert_eq!(page.state.overdue_job(job, now), whole.overdue_job(job, now));
        }
        listed.extend(page.jobs);
        next = page.next;
        prop_assert!(listed.len() <= expected.len());
    }
    prop_assert_eq!(listed, expected);
    let tags = whole.jobs().flat_map(|job| job.definition.tags.iter().cloned()).collect::<BTreeSet<_>>();
    prop_assert_eq!(store.job_tags().unwrap(), tags);
    for shown in queues.iter().map(Some).chain([None]) {
        let Some(part) = store.load_first_rows(shown, 0).unwrap() else { continue };
        first_rows_equal_the_whole(part, &whole, shown, now)?;
    }
    Ok(())
}

/// What a screen shows first has the lists of the whole site, and looks like it.
fn first_rows_equal_the_whole(
    part: SiteState,
    whole: &SiteState,
    shown: Option<&QueueId>,
    now: DateTime<Utc>,
) -> Result<(), TestCaseError> {
    let lists = |state: &SiteState| {
        let of_queue = |(id, queue): (&QueueId, &QueueState)| (id.clone(), queue.clone());
        state.queues().into_iter().map(of_queue).collect::<Vec<_>>()
    };
    prop_assert_eq!(lists(&part), lists(whole));
    prop_assert_eq!((part.seq(), part.file_version()), (whole.seq(), whole.file_version()));
    for job in part.jobs() {
        prop_assert_eq!(Some(job), whole.job(job.id));
    }
    let size = Size { width: 120, height: 40 };
    let [first, later] = [part, whole.clone()].map(|state| first_frame(state, shown, size, now));
    prop_assert!(first == later, "of {shown:?}:\n{first:?}\n{later:?}");
    Ok(())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn all_backends_and_copies_agree(
        // The clock may stand still, and even go back.
        batches in proptest::collection::vec((proptest::collection::vec(asks(), 1..8), steps()), 1..16),
    ) {
        let folder = TempDir::new().unwrap();
        let mut memory = MemoryStore::new(folder.path());
        let reopen = || -> Box<dyn Store> { Box::new(SqliteStore::open(&StateDir::new(folder.path())).unwrap()) };
        let server = BackendSite::postgres();
        let mut others = vec![reopen()];
        others.extend(server.as_ref().map(BackendSite::connect));
        let mut copies = vec![Site::with_state(memory.load().unwrap(), "")];
        copies.extend(others.iter_mut().map(|store| Site::with_state(store.load().unwrap(), "")));
        let mut clock = 100;
        for (asks, passed) in &batches {
            clock += passed;
            let site_state = memory.load().unwrap();
            let commands: Vec<Command> = asks.iter().map(|ask| ask.command(&site_state)).collect();
            let answers = memory.execute(&commands, at(clock)).unwrap();
            for store in &mut others {
                prop_assert_eq!(&store.execute(&commands, at(clock)).unwrap(), &answers);
                list_pages_equal_the_whole(&mut **store, 3, at(clock))?;
                for from in [None, Some(at(clock)), Some(at(clock - 10))] {
                    let period = RunPeriod { queue: None, from, until: None, limit: 100 };
                    prop_assert_eq!(store.runs_in(&period).unwrap(), memory.runs_in(&period).unwrap());
                }
            }
            let counts = count_jobs(&memory.load().unwrap());
            let stores = std::iter::once(&mut memory as &mut dyn Store).chain(others.iter_mut().map(|store| &mut **store as _));
            for (copy, store) in copies.iter().zip(stores) {
                let seq = copy.read(SiteState::seq);
                copy.apply_records(&store.events_after(seq).unwrap().unwrap());
                prop_assert_eq!(&store.load_overview().unwrap().counts, &counts);
                prop_assert_eq!(&copy.read(SiteState::all_job_counts), &counts);
            }
        }
        let fresh = memory.load().unwrap();
        held_units(&fresh);
        for copy in &copies {
            prop_assert!(copy.read(|copy| *copy == fresh), "{:#?}\nis not\n{:#?}", copy.read(SiteState::clone), fresh);
        }
        let reopened = std::iter::once(reopen()).chain(server.as_ref().map(BackendSite::connect));
        for mut store in reopened.chain(others) {
            prop_assert_eq!(&store.load().unwrap(), &fresh);
            overview_equals_the_whole(&mut *store, at(clock))?;
            for limit in [1, 2, 7, 1_000] {
                list_pages_equal_the_whole(&mut *store, limit, at(clock))?;
            }
            prop_assert_eq!(memory.environments_in_use().unwrap(), store.environments_in_use().unwrap());
            for job in (1..=fresh.counters().job).map(JobId) {
                prop_assert_eq!(memory.job(job).unwrap(), store.job(job).unwrap());
                prop_assert_eq!(memory.runs(job).unwrap(), store.runs(job).unwrap());
            }
            for target in memory.recorded_targets().unwrap() {
                let page = DuePage { limit: usize::MAX, ..DuePage::default() };
                prop_assert_eq!(memory.due_records(&target, &page).unwrap(), store.due_records(&target, &page).unwrap());
            }
        }
        // What each backend has counted event by event is what is counted now.
        let kept = memory.load().unwrap();
        let stored = stored_need_counts(&StateDir::new(folder.path()));
        for job in kept.jobs() {
            let Ok(counts) = StateReader::need_counts(&kept, job.id);
            prop_assert_eq!((job.id, counts), (job.id, counted_again(&kept, job)));
            prop_assert_eq!((job.id, stored.get(&job.id)), (job.id, Some(&counts)));
        }
        for job in fresh.jobs() {
            parts_equal_the_whole(job, &mut [&mut memory, &mut *reopen()])?;
        }
    }
}
