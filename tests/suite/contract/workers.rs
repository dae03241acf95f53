//! Labels and slots of workers, and draining, for every backend.

use std::num::NonZero;
use std::sync::Arc;

use setlist::model::{
    Command, Definition, DesiredQueue, DesiredState, Event, Outcome, QueueId, QueueSettings, Refusal,
    SchedulingOptions, Script, WorkerId, WorkerOptions,
};
use setlist::store::Store;

use super::{BackendSite, accept, at, execute, report};

contract! {
    a_job_runs_on_workers_with_its_labels,
    a_job_without_a_worker_blocks_no_other_and_says_so,
    a_job_for_another_worker_that_is_free_keeps_its_slot,
    a_worker_runs_no_more_jobs_than_it_has_slots,
    a_heavy_job_waits_for_the_slots_of_its_worker,
    a_draining_worker_starts_nothing_and_leaves_when_its_jobs_have_ended,
    a_worker_does_not_stay_for_jobs_that_no_worker_can_run,
    jobs_for_labels_keep_no_pool_from_others,
    the_options_of_a_worker_are_stored,
}

/// A job that needs these labels.
fn job(name: &str, labels: &[&str], weight: u32) -> Arc<Definition> {
    let runs_on = labels.iter().map(|label| Arc::from(*label)).collect();
    let scheduling = SchedulingOptions { runs_on, weight, ..SchedulingOptions::default() };
    let mut definition = Definition::new(Script::shell("true"));
    (definition.name, definition.digest) = (Some(name.into()), Some(1));
    definition.scheduling = scheduling.into();
    Arc::new(definition)
}

/// A site with queues that are being processed.
struct LabelledSite(Box<dyn Store>);

impl LabelledSite {
    fn new(backend: &BackendSite, queues: &[(&str, u32, Vec<Arc<Definition>>)]) -> Self {
        let mut store = backend.connect();
        let queue = |(order, (id, parallel, jobs)): (u32, &(&str, u32, Vec<Arc<Definition>>))| {
            let settings = QueueSettings { parallel: *parallel, is_in_file: true, order, ..QueueSettings::default() };
            DesiredQueue { id: QueueId::from(*id), settings, jobs: jobs.clone() }
        };
        let pools = [(Arc::from("disk"), 1)].into_iter().collect();
        let queues: Vec<DesiredQueue> = (0..).zip(queues).map(queue).collect();
        let names: Vec<QueueId> = queues.iter().map(|queue| queue.id.clone()).collect();
        accept(
            &mut *store,
            Command::Reconcile(Box::new(DesiredState {
                version: "1".to_owned(),
                queues,
                pools,
                ..DesiredState::default()
            })),
        );
        for queue in names {
            accept(&mut *store, Command::Process { queue });
        }
        Self(store)
    }

    fn join(&mut self, slots: u32, labels: &[&str], queues: Option<&[&str]>) -> WorkerId {
        let labels = labels.iter().map(|label| Arc::from(*label)).collect();
        let options = WorkerOptions { slots: NonZero::new(slots), labels };
        let queues = queues.map(|queues| queues.iter().copied().map(QueueId::from).collect());
        let join = Command::Join { host: "here".to_owned(), pid: 7, queues, options };
        let events = accept(&mut *self.0, join);
        let [Event::WorkerJoined { worker }] = &events[..] else { panic!("{events:?}") };
        worker.id
    }

    fn claim(&mut self, worker: WorkerId) -> Option<String> {
        let events = execute(&mut *self.0, Command::Claim { worker, queues: None }).ok()?;
        let [Event::Started { job, .. }] = &events[..] else { panic!("{events:?}") };
        Some(self.0.job(*job).unwrap().unwrap().name().unwrap().to_owned())
    }

    fn claim_all(&mut self, worker: WorkerId) -> Vec<String> {
        std::iter::from_fn(|| self.claim(worker)).collect()
    }

    fn end(&mut self, name: &str) {
        let site_state = self.0.load().unwrap();
        let job = site_state.jobs().find(|job| job.name() == Some(name)).unwrap();
        accept(&mut *self.0, report(job.id, job.current_run().expect("it runs"), Outcome::Succeeded));
    }

    fn waits(&mut self, name: &str) -> String {
        let site_state = self.0.load().unwrap();
        let job = site_state.jobs().find(|job| job.name() == Some(name)).unwrap();
        site_state.wait_reason(job).unwrap().describe(at(0))
    }

    fn leave(&mut self, worker: WorkerId) -> bool {
        execute(&mut *self.0, Command::Leave { worker, queues: None }).is_ok()
    }
}

fn a_job_runs_on_workers_with_its_labels(backend: &BackendSite) {
    let jobs = vec![job("train", &["gpu"], 1), job("huge", &["gpu", "big"], 1), job("plain", &[], 1)];
    let mut site = LabelledSite::new(backend, &[("build", 9, jobs)]);
    let plain = site.join(0, &[], None);
    assert_eq!(site.claim_all(plain), ["plain"]);
    let gpu = site.join(0, &["gpu"], None);
    assert_eq!(site.claim_all(gpu), ["train"]);
    assert_eq!(site.waits("huge"), "no worker has labels gpu and big");
    let big = site.join(0, &["big", "gpu", "new"], None);
    assert_eq!(site.waits("huge"), "next");
    assert_eq!(site.claim_all(big), ["huge"]);
}

fn a_job_without_a_worker_blocks_no_other_and_says_so(backend: &BackendSite) {
    let jobs = vec![job("train", &["gpu"], 1), job("heavy", &["gpu"], 2), job("a", &[], 1), job("b", &[], 1)];
    let mut site = LabelledSite::new(backend, &[("build", 2, jobs)]);
    let plain = site.join(0, &[], None);
    let elsewhere = site.join(0, &["gpu"], Some(&["other"]));
    assert_eq!(site.waits("train"), "no worker has label gpu");
    assert_eq!(site.claim_all(plain), ["a", "b"]);
    assert_eq!(site.claim_all(elsewhere), Vec::<String>::new(), "the queue has no free slot");
    site.end("a");
    site.end("b");
    assert_eq!(site.claim_all(plain), Vec::<String>::new());
    assert_eq!(site.waits("heavy"), "no worker has label gpu");
}

fn a_job_for_another_worker_that_is_free_keeps_its_slot(backend: &BackendSite) {
    let jobs = vec![job("train", &["gpu"], 1), job("next", &["gpu"], 1), job("a", &[], 1), job("b", &[], 1)];
    let mut site = LabelledSite::new(backend, &[("build", 2, jobs)]);
    let (plain, gpu) = (site.join(0, &[], None), site.join(1, &["gpu"], None));
    assert_eq!(site.claim_all(plain), ["a"], "one slot is left for the worker that can run the first job");
    assert_eq!(site.claim_all(gpu), ["train"]);
    assert_eq!(site.waits("next"), "waiting for a worker with gpu");
    site.end("a");
    assert_eq!(site.claim_all(plain), ["b"], "the other worker is busy");
}

fn a_worker_runs_no_more_jobs_than_it_has_slots(backend: &BackendSite) {
    let names = ["a", "b", "c", "d", "e"];
    let mut site = LabelledSite::new(backend, &[("build", 9, names.map(|name| job(name, &[], 1)).into())]);
    let (small, large) = (site.join(1, &[], None), site.join(3, &[], None));
    assert_eq!(site.claim_all(small), ["a"]);
    assert_eq!(site.claim_all(large), ["b", "c", "d"]);
    site.end("a");
    assert_eq!(site.claim_all(large), Vec::<String>::new());
    assert_eq!(site.claim_all(small), ["e"]);
}

fn a_heavy_job_waits_for_the_slots_of_its_worker(backend: &BackendSite) {
    let jobs = vec![job("a", &[], 2), job("heavy", &[], 3), job("b", &[], 1), job("giant", &[], 9)];
    let mut site = LabelledSite::new(backend, &[("build", 20, jobs)]);
    let worker = site.join(3, &[], None);
    assert_eq!(site.claim_all(worker), ["a"], "later jobs don't delay the heavy one for ever");
    site.end("a");
    assert_eq!(site.claim_all(worker), ["heavy"]);
    site.end("heavy");
    assert_eq!(site.claim_all(worker), ["b"]);
    site.end("b");
    assert_eq!(site.claim_all(worker), ["giant"], "a job that is heavier than its worker runs alone");
}

fn a_draining_worker_starts_nothing_and_leaves_when_its_jobs_have_ended(backend: &BackendSite) {
    let names = ["a", "b", "c"];
    let mut site = LabelledSite::new(backend, &[("build", 1, names.map(|name| job(name, &[], 1)).into())]);
    let (first, second) = (site.join(0, &[], None), site.join(0, &[], None));
    assert_eq!(site.claim(first).as_deref(), Some("a"));
    assert!(matches!(
        &accept(&mut *site.0, Command::Drain { worker: first })[..],
        [Event::WorkerDraining { worker }] if *worker == first
    ));
    assert_eq!(accept(&mut *site.0, Command::Drain { worker: first }), [], "it is draining");
    assert!(!site.leave(first), "it runs a job");
    site.end("a");
    assert_eq!(site.claim(first), None);
    let reserve = Command::Reserve { worker: first, queues: vec![("build".into(), 2)] };
    assert_eq!(accept(&mut *site.0, reserve), []);
    let known = backend.connect().workers().unwrap();
    assert_eq!(known.iter().map(|worker| worker.draining).collect::<Vec<_>>(), [true, false]);
    assert!(site.leave(first), "whatever is left in the queue");
    assert_eq!(site.claim(second).as_deref(), Some("b"));
    let unknown = WorkerId(99);
    assert_eq!(execute(&mut *site.0, Command::Drain { worker: unknown }), Err(Refusal::UnknownWorker(unknown)));
}

fn a_worker_does_not_stay_for_jobs_that_no_worker_can_run(backend: &BackendSite) {
    let mut site = LabelledSite::new(backend, &[("build", 1, vec![job("train", &["gpu"], 1)])]);
    let plain = site.join(0, &[], None);
    let gpu = site.join(1, &["gpu"], None);
    assert!(!site.leave(plain), "another worker will run it");
    accept(&mut *site.0, Command::Drain { worker: gpu });
    assert_eq!(site.waits("train"), "no worker has label gpu", "one that is draining runs nothing");
    assert!(site.leave(plain));
    assert!(site.0.load().unwrap().queue(&"build".into()).unwrap().mode.as_str() == "processing", "it may still join");
}

fn jobs_for_labels_keep_no_pool_from_others(backend: &BackendSite) {
    let using = |name: &str, labels: &[&str]| {
        let mut definition = Definition::clone(&job(name, labels, 1));
        let scheduling = Arc::make_mut(&mut definition.scheduling);
        scheduling.uses = vec![setlist::model::PoolUse::one_of("disk")];
        Arc::new(definition)
    };
    let jobs = vec![using("train", &["gpu"]), using("a", &[]), using("b", &[])];
    let mut site = LabelledSite::new(backend, &[("build", 3, jobs)]);
    let plain = site.join(0, &[], None);
    assert_eq!(site.claim_all(plain), ["a"]);
    site.end("a");
    assert_eq!(site.claim_all(plain), ["b"]);
}

fn the_options_of_a_worker_are_stored(backend: &BackendSite) {
    let mut site = LabelledSite::new(backend, &[("build", 1, vec![job("a", &[], 1)])]);
    site.join(2, &["gpu", "it's"], Some(&["build"]));
    site.join(0, &[], Some(&["build"]));
    site.join(0, &["gpu"], None);
    let workers = site.0.load().unwrap().workers().cloned().collect::<Vec<_>>();
    assert_eq!(backend.connect().workers().unwrap(), workers);
    let [first, second, third] = &workers[..] else { panic!("{workers:?}") };
    assert_eq!(first.options.slots.map(u32::from), Some(2));
    assert_eq!(first.options.labels.iter().map(|label| &**label).collect::<Vec<_>>(), ["gpu", "it's"]);
    assert_eq!((second.options.slots, second.queues.as_deref()), (None, Some(&["build".into()][..])));
    assert_eq!((third.options.labels.len(), third.queues.as_deref()), (1, None));
}
