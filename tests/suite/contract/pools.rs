//! Pools: which units runs hold, and who gets them next, for every backend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use proptest::sample::select;
use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, InputDeclaration, InputType, JobId, Outcome, PoolSizes,
    PoolUse, QueueId, QueueMode, QueueSettings, Refusal, RunId, RunReport, SchedulingOptions, Script, SiteState,
    WorkerId,
};
use setlist::store::{MemoryStore, Store};
use tempfile::TempDir;

use super::{BackendSite, accept, at, execute, failed, join, report};
use crate::rng::cases;

contract! {
    runs_hold_units_of_pools_over_all_queues,
    a_job_that_uses_several_units_is_not_starved,
    a_job_that_waits_for_a_pool_keeps_a_slot_and_others_use_the_rest,
    a_requested_job_waits_for_its_pool_and_keeps_its_worker,
    a_mutex_is_a_pool_of_one,
    a_pool_by_key_has_units_for_each_key,
    a_job_that_uses_several_units_of_a_key_is_not_starved,
    an_input_can_be_the_key_of_a_pool,
    units_are_released_when_a_run_ends_however_it_does,
    a_pool_can_become_smaller_while_its_units_are_held,
    a_pool_holds_over_all_workers,
}

/// A job that uses these pools.
fn using(name: &str, uses: &[PoolUse]) -> Arc<Definition> {
    let scheduling = SchedulingOptions { uses: uses.to_vec(), ..SchedulingOptions::default() };
    let mut definition = Definition::new(Script::shell("true"));
    (definition.name, definition.digest) = (Some(name.into()), Some(1));
    definition.scheduling = scheduling.into();
    Arc::new(definition)
}

fn gpu(count: u32) -> PoolUse {
    PoolUse { count, ..PoolUse::one_of("gpu") }
}

/// One unit of a pool by key.
fn api(key: &str) -> PoolUse {
    PoolUse::one_of("api").with_key(key)
}

fn sizes(pools: &[(&str, u32)]) -> PoolSizes {
    pools.iter().map(|(name, size)| (Arc::from(*name), *size)).collect()
}

/// A file with these queues, each of which runs several jobs at once.
fn file(version: &str, pools: PoolSizes, queues: &[(&str, u32, Vec<Arc<Definition>>)]) -> Command {
    let queue = |(order, (id, parallel, jobs)): (u32, &(&str, u32, Vec<Arc<Definition>>))| {
        let settings = QueueSettings { parallel: *parallel, is_in_file: true, order, ..QueueSettings::default() };
        DesiredQueue { id: QueueId::from(*id), settings, jobs: jobs.clone() }
    };
    let queues = (0..).zip(queues).map(queue).collect();
    Command::Reconcile(Box::new(DesiredState { version: version.to_owned(), queues, pools, ..DesiredState::default() }))
}

/// A site with one worker, whose queues are being processed.
struct PoolSite {
    store: Box<dyn Store>,
    worker: WorkerId,
}

impl PoolSite {
    fn new(backend: &BackendSite, pools: &[(&str, u32)], queues: &[(&str, u32, Vec<Arc<Definition>>)]) -> Self {
        let mut store = backend.connect();
        let worker = join(&mut *store);
        accept(&mut *store, file("1", sizes(pools), queues));
        for (queue, ..) in queues {
            accept(&mut *store, Command::Process { queue: (*queue).into() });
        }
        Self { store, worker }
    }

    /// Claims the next job; returns its name and the units of pools that it holds.
    fn claim(&mut self) -> Option<(String, String)> {
        let claim = Command::Claim { worker: self.worker, queues: None };
        let events = execute(&mut *self.store, claim).ok()?;
        let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
        let holds = run.inputs.iter().flat_map(|inputs| &inputs.pools);
        let holds: Vec<String> = holds.map(|hold| format!("{}{:?}", hold.pool, hold.units)).collect();
        Some((self.store.job(*job).unwrap().unwrap().path(), holds.join(" ")))
    }

    fn claim_all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.claim()).map(|(job, holds)| format!("{job} {holds}").trim_end().to_owned()).collect()
    }

    fn end(&mut self, path: &str) {
        let (job, run) = self.running(path);
        accept(&mut *self.store, report(job, run, Outcome::Succeeded));
    }

    fn running(&mut self, path: &str) -> (JobId, RunId) {
        let site_state = self.store.load().unwrap();
        let job = site_state.jobs().find(|job| job.path() == path).unwrap();
        (job.id, job.current_run().expect("it runs"))
    }

    fn id(&mut self, path: &str) -> JobId {
        self.store.load().unwrap().jobs().find(|job| job.path() == path).unwrap().id
    }

    /// Why a job waits, an hour after all of it began.
    fn waits(&mut self, path: &str) -> String {
        let site_state = self.store.load().unwrap();
        let job = site_state.jobs().find(|job| job.path() == path).unwrap();
        site_state.wait_reason(job).unwrap().describe(at(3_600_000))
    }
}

fn runs_hold_units_of_pools_over_all_queues(backend: &BackendSite) {
    let train = |names: &[&str]| names.iter().map(|name| using(name, &[gpu(1)])).collect::<Vec<_>>();
    let mut site = PoolSite::new(
        backend,
        &[("gpu", 2), ("licence", 1)],
        &[("train", 9, train(&["a", "b", "c"])), ("eval", 9, vec![using("d", &[gpu(1), PoolUse::one_of("licence")])])],
    );
    assert_eq!(site.claim_all(), ["train/a gpu[0]", "train/b gpu[1]"]);
    assert_eq!(site.waits("train/c"), "waiting for gpu (held by train/a since 1h, and 1 more)");
    site.end("train/b");
    assert_eq!(site.claim_all(), ["train/c gpu[1]"], "the unit that is free");
    site.end("train/a");
    assert_eq!(site.claim_all(), ["eval/d gpu[0] licence[0]"]);
    site.end("train/c");
    site.end("eval/d");
    let runs = {
        let job = site.id("eval/d");
        site.store.runs(job).unwrap()
    };
    assert_eq!(runs[0].inputs.as_ref().unwrap().pools.len(), 2, "it is recorded with the run");
    // A later run holds its own units, and the earlier one keeps its record.
    let job = site.id("eval/d");
    accept(&mut *site.store, Command::Run { job, force: false });
    assert_eq!(site.claim_all(), ["eval/d gpu[0] licence[0]"]);
    assert_eq!(site.store.runs(job).unwrap()[0], runs[0]);
}

fn a_job_that_uses_several_units_is_not_starved(backend: &BackendSite) {
    let small: Vec<_> = ["a", "b", "c", "d"].map(|name| using(name, &[gpu(1)])).into();
    let mut site = PoolSite::new(
        backend,
        &[("gpu", 2)],
        &[("small", 9, small[..1].to_vec()), ("big", 1, vec![using("e", &[gpu(2)])])],
    );
    assert_eq!(site.claim_all(), ["small/a gpu[0]"]);
    // Later jobs of a queue that comes first would fit.
    let queues = [("small", 9, small), ("big", 1, vec![using("e", &[gpu(2)])])];
    accept(&mut *site.store, file("2", sizes(&[("gpu", 2)]), &queues));
    site.store.execute(&[Command::Process { queue: "small".into() }], at(5)).unwrap();
    assert_eq!(site.claim_all(), [""; 0], "the free unit is kept for the job that has waited for longer");
    assert_eq!(site.waits("big/e"), "waiting for gpu (held by small/a since 1h)");
    assert_eq!(site.waits("small/b"), "waiting for gpu (big/e is next)");
    site.end("small/a");
    assert_eq!(site.claim_all(), ["big/e gpu[0, 1]"]);
    site.end("big/e");
    assert_eq!(site.claim_all(), ["small/b gpu[0]", "small/c gpu[1]"]);
}

fn a_job_that_waits_for_a_pool_keeps_a_slot_and_others_use_the_rest(backend: &BackendSite) {
    let jobs = vec![using("a", &[gpu(1)]), using("b", &[gpu(1)]), using("plain", &[]), using("later", &[])];
    let mut site = PoolSite::new(backend, &[("gpu", 1)], &[("q", 3, jobs)]);
    assert_eq!(site.claim_all(), ["q/a gpu[0]", "q/plain"]);
    assert_eq!(site.waits("q/b"), "waiting for gpu (held by q/a since 1h)");
    site.end("q/plain");
    assert_eq!(site.claim_all(), ["q/later"], "not in the slot that is kept");
    site.end("q/a");
    assert_eq!(site.claim_all(), ["q/b gpu[0]"]);
}

fn a_requested_job_waits_for_its_pool_and_keeps_its_worker(backend: &BackendSite) {
    let queues = [("a", 1, vec![using("x", &[gpu(1)])]), ("b", 1, vec![using("y", &[gpu(1)])])];
    let mut site = PoolSite::new(backend, &[("gpu", 1)], &queues);
    assert_eq!(site.claim_all(), ["a/x gpu[0]"]);
    accept(&mut *site.store, Command::StopProcessing { queue: "b".into() });
    let y = site.id("b/y");
    // Even a forced request gets no unit that another run holds.
    accept(&mut *site.store, Command::Run { job: y, force: true });
    assert_eq!(site.claim_all(), [""; 0]);
    let other = join(&mut *site.store);
    let start = Command::Start { worker: other, job: y };
    assert!(matches!(execute(&mut *site.store, start), Err(Refusal::WrongState { .. })));
    let leave = Command::Leave { worker: other, queues: Some(vec!["b".into()]) };
    assert_eq!(execute(&mut *site.store, leave), Err(Refusal::WorkerBusy(other)));
    site.end("a/x");
    assert_eq!(site.claim_all(), ["b/y gpu[0]"]);
}

fn a_mutex_is_a_pool_of_one(backend: &BackendSite) {
    let jobs = ["x", "y"].map(|name| using(name, &[PoolUse::mutex("db")]));
    let mut site = PoolSite::new(backend, &[], &[("a", 9, jobs.to_vec()), ("b", 9, jobs.to_vec())]);
    for name in ["a/x", "a/y", "b/x", "b/y"] {
        assert_eq!(site.claim_all(), [format!("{name} db[0]")]);
        site.end(name);
    }
}

fn a_pool_by_key_has_units_for_each_key(backend: &BackendSite) {
    let jobs = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "y")].map(|(name, key)| using(name, &[api(key)]));
    let mut site = PoolSite::new(backend, &[("api", 2)], &[("q", 9, jobs.to_vec())]);
    assert_eq!(site.claim_all(), ["q/a api[x][0]", "q/b api[x][1]", "q/d api[y][0]"], "the others of x wait");
    assert_eq!(site.waits("q/c"), "waiting for api of x (held by q/a since 1h, and 1 more)");
    site.end("q/d");
    assert_eq!(site.claim_all(), [""; 0], "units of another key are no help");
    site.end("q/a");
    assert_eq!(site.claim_all(), ["q/c api[x][0]"]);
}

fn a_job_that_uses_several_units_of_a_key_is_not_starved(backend: &BackendSite) {
    let both = PoolUse { count: 2, ..api("x") };
    let jobs = vec![using("a", &[api("x")]), using("b", &[both]), using("c", &[api("x")]), using("d", &[api("y")])];
    let mut site = PoolSite::new(backend, &[("api", 2)], &[("q", 9, jobs)]);
    assert_eq!(site.claim_all(), ["q/a api[x][0]", "q/d api[y][0]"]);
    assert_eq!(site.waits("q/c"), "waiting for api of x (q/b is next)");
    site.end("q/a");
    assert_eq!(site.claim_all(), ["q/b api[x][0, 1]"]);
    site.end("q/b");
    assert_eq!(site.claim_all(), ["q/c api[x][0]"]);
}

fn an_input_can_be_the_key_of_a_pool(backend: &BackendSite) {
    let input = |default: &str| {
        let (name, default) = ("customer".into(), Some(default.to_owned()));
        InputDeclaration { name, default, input_type: InputType::Text, description: String::new() }
    };
    let jobs = |names: &[&str]| names.iter().map(|name| using(name, &[api("${inputs.customer}")])).collect::<Vec<_>>();
    let mut site = PoolSite::new(backend, &[("api", 1)], &[("p", 9, jobs(&["a", "b"])), ("q", 9, jobs(&["c"]))]);
    let with_default = |id: &str, order, jobs, default| {
        let settings = QueueSettings { parallel: 9, is_in_file: true, order, ..QueueSettings::default() };
        let settings = QueueSettings { inputs: [input(default)].into(), ..settings };
        DesiredQueue { id: QueueId::from(id), settings, jobs }
    };
    let queues = vec![with_default("p", 0, jobs(&["a", "b"]), "acme"), with_default("q", 1, jobs(&["c"]), "zeta")];
    let pools = sizes(&[("api", 1)]);
    let desired = DesiredState { version: "2".to_owned(), queues, pools, ..DesiredState::default() };
    accept(&mut *site.store, Command::Reconcile(Box::new(desired)));
    assert_eq!(site.claim_all(), ["p/a api[acme][0]", "q/c api[zeta][0]"]);
    assert_eq!(site.waits("p/b"), "waiting for api of acme (held by p/a since 1h)");
    site.end("p/a");
    assert_eq!(site.claim_all(), ["p/b api[acme][0]"]);
}

fn units_are_released_when_a_run_ends_however_it_does(backend: &BackendSite) {
    let jobs = ["a", "b", "c"].map(|name| using(name, &[gpu(2)]));
    let mut site = PoolSite::new(backend, &[("gpu", 2)], &[("q", 9, jobs.to_vec())]);
    assert_eq!(site.claim_all(), ["q/a gpu[0, 1]"]);
    let (job, run) = site.running("q/a");
    accept(&mut *site.store, report(job, run, failed()));
    assert_eq!(site.claim_all(), ["q/b gpu[0, 1]"]);
    let dead = site.worker;
    site.worker = join(&mut *site.store);
    assert_eq!(site.claim_all(), [""; 0]);
    accept(&mut *site.store, Command::ReapWorker { worker: dead, started_runs: Vec::new(), unreachable_host: None });
    assert_eq!(site.claim_all(), ["q/c gpu[0, 1]"]);
}

fn a_pool_can_become_smaller_while_its_units_are_held(backend: &BackendSite) {
    let jobs: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| using(name, &[gpu(1)])).into();
    let mut site = PoolSite::new(backend, &[("gpu", 3)], &[("q", 9, jobs.clone())]);
    assert_eq!(site.claim_all(), ["q/a gpu[0]", "q/b gpu[1]", "q/c gpu[2]"]);
    accept(&mut *site.store, file("2", sizes(&[("gpu", 2)]), &[("q", 9, jobs)]));
    assert_eq!(site.store.load().unwrap().pool_sizes(), &sizes(&[("gpu", 2)]));
    site.end("q/a");
    assert_eq!(site.claim_all(), [""; 0], "two are still held");
    site.end("q/b");
    assert_eq!(site.claim_all(), ["q/d gpu[0]"], "unit 2 is still held, so only one more may be");
    site.end("q/c");
    assert_eq!(site.claim_all(), ["q/e gpu[1]"]);
    // A job that is no longer in the file gets what there is.
    let (d, e) = (site.running("q/d"), site.running("q/e"));
    for (job, run) in [d, e] {
        accept(&mut *site.store, report(job, run, Outcome::Succeeded));
    }
    let left = Command::Add { queue: "q".into(), jobs: vec![using("big", &[gpu(7)])] };
    accept(&mut *site.store, left);
    accept(&mut *site.store, Command::Process { queue: "q".into() });
    assert_eq!(site.claim_all().len(), 1);
}

fn a_pool_holds_over_all_workers(backend: &BackendSite) {
    const JOBS: usize = 60;
    let jobs = |queue: &str| (0..JOBS).map(|nth| using(&format!("{queue}{nth}"), &[gpu(1)])).collect::<Vec<_>>();
    let queues = [("a", 50, jobs("a")), ("b", 50, jobs("b"))];
    drop(PoolSite::new(backend, &[("gpu", 3)], &queues));
    let work = || {
        let mut store = backend.connect();
        let worker = join(&mut *store);
        let mut ran = 0;
        loop {
            match execute(&mut *store, Command::Claim { worker, queues: None }).as_deref() {
                Ok([Event::Started { job, run }]) => {
                    let held = held_units(&store.load().unwrap());
                    assert!(held.get("gpu").is_none_or(|units| units.iter().max() < Some(&3)), "{held:?}");
                    accept(&mut *store, report(*job, run.id, Outcome::Succeeded));
                    ran += 1;
                }
                _ if store.load().unwrap().jobs().all(|job| job.outcome().is_some()) => return ran,
                _ => thread::yield_now(),
            }
        }
    };
    let ran: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(ran, 2 * JOBS);
}

/// The units that are held of each pool. No unit is held twice.
pub(super) fn held_units(site_state: &SiteState) -> BTreeMap<Arc<str>, BTreeSet<u32>> {
    let mut held: BTreeMap<Arc<str>, BTreeSet<u32>> = BTreeMap::new();
    for hold in site_state.jobs().flat_map(setlist::Job::held_pools) {
        for unit in &hold.units {
            assert!(held.entry(hold.pool.clone()).or_default().insert(*unit), "two runs hold {}{unit}", hold.pool);
        }
    }
    held
}

/// What a worker or a user does.
#[derive(Clone, Debug)]
enum Step {
    Claim,
    End(usize),
    Resize(u32, u32),
    Run(usize),
    Reap,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Claim),
        5 => (0..8_usize).prop_map(Step::End),
        1 => (1..4_u32, 1..4_u32).prop_map(|(gpu, licence)| Step::Resize(gpu, licence)),
        1 => (0..8_usize).prop_map(Step::Run),
        1 => Just(Step::Reap),
    ]
}

fn drafts() -> impl Strategy<Value = Vec<(Vec<PoolUse>, i32, u32)>> {
    let uses = prop_oneof![
        1 => Just(Vec::new()),
        2 => (1..4_u32).prop_map(|count| vec![gpu(count)]),
        1 => Just(vec![PoolUse::one_of("licence")]),
        1 => (1..3_u32).prop_map(|count| vec![gpu(count), PoolUse::one_of("licence")]),
        1 => Just(vec![PoolUse::mutex("db"), gpu(1)]),
        2 => (1..3_u32, select(&["x", "y"][..])).prop_map(|(count, key)| vec![PoolUse { count, ..api(key) }, gpu(1)]),
    ];
    proptest::collection::vec((uses, prop_oneof![3 => Just(0), 1 => -1..2_i32], 1..3_u32), 1..7)
}

proptest! {
    #![proptest_config(cases(96))]

    /// No two runs hold a unit, no pool is exceeded, and when runs end, every job gets its turn.
    #[test]
    fn units_are_held_once_and_every_job_gets_its_turn(
        first in drafts(), second in drafts(), parallel in (1..4_u32, 1..4_u32), steps in proptest::collection::vec(steps(), 0..60),
    ) {
        let folder = TempDir::new().unwrap();
        let mut store = MemoryStore::new(folder.path());
        let store: &mut dyn Store = &mut store;
        let jobs = |drafts: &[(Vec<PoolUse>, i32, u32)]| -> Vec<Arc<Definition>> {
            (0..).zip(drafts).map(|(nth, (uses, priority, weight))| {
                let mut definition = (*using(&format!("j{nth}"), uses)).clone();
                let scheduling = Arc::make_mut(&mut definition.scheduling);
                (scheduling.priority, scheduling.weight) = (*priority, *weight);
                Arc::new(definition)
            }).collect()
        };
        let queues = [("a", parallel.0, jobs(&first)), ("b", parallel.1, jobs(&second))];
        let (mut limits, mut version) = ((3, 2), 1);
        accept(store, file("1", sizes(&[("gpu", 3), ("licence", 2)]), &queues));
        let mut worker = join(store);
        let process = |store: &mut dyn Store| {
            for queue in ["a", "b"] {
                // Refused if it is processing already, or if nothing is pending.
                drop(execute(store, Command::Process { queue: queue.into() }));
            }
        };
        process(store);
        for step in steps {
            match step {
                Step::Claim => {
                    let before = held_units(&store.load().unwrap());
                    if let Ok([Event::Started { run, .. }]) = execute(store, Command::Claim { worker, queues: None }).as_deref() {
                        let after = held_units(&store.load().unwrap());
                        for hold in run.inputs.iter().flat_map(|inputs| &inputs.pools) {
                            let size = match &*hold.pool { "gpu" => limits.0, "licence" => limits.1, _ => 1 };
                            prop_assert!(hold.units.iter().all(|unit| *unit < size));
                            prop_assert!(after[&hold.pool].len() <= size as usize, "{before:?} {after:?}");
                        }
                    }
                }
                Step::End(nth) => end_nth(store, nth),
                Step::Resize(gpu, licence) => {
                    (limits, version) = ((gpu, licence), version + 1);
                    accept(store, file(&version.to_string(), sizes(&[("gpu", gpu), ("licence", licence)]), &queues));
                }
                Step::Run(nth) => {
                    let id = JobId(1 + nth as u64);
                    drop(execute(store, Command::Run { job: id, force: false }));
                }
                Step::Reap => {
                    accept(store, Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None });
                    worker = join(store);
                }
            }
            held_units(&store.load().unwrap());
        }
        // From now on nothing new is requested, and runs end.
        process(store);
        for _ in 0..200 {
            while execute(store, Command::Claim { worker, queues: None }).is_ok() {
                held_units(&store.load().unwrap());
            }
            end_nth(store, 0);
        }
        let site_state = store.load().unwrap();
        let pending: Vec<String> = site_state.jobs().filter(|job| job.outcome().is_none()).map(setlist::Job::path).collect();
        prop_assert!(pending.is_empty(), "{pending:?} never ran");
        prop_assert!(site_state.queues().iter().all(|(_, queue)| queue.mode == QueueMode::Idle));
    }
}

/// Ends the nth running job, if there is any.
fn end_nth(store: &mut dyn Store, nth: usize) {
    let mut running: Vec<(JobId, RunId)> =
        store.load().unwrap().jobs().filter_map(|job| Some((job.id, job.current_run()?))).collect();
    running.sort();
    if let Some((job, run)) = running.get(nth % running.len().max(1)) {
        let report = RunReport::new(Outcome::Succeeded);
        accept(store, Command::EndRun { job: *job, run: *run, report, on_failure: None });
    }
}
