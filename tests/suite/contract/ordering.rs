//! The order in which jobs start, and commands that change it or a queue's parallelism.

use std::num::NonZero;
use std::sync::Arc;

use setlist::model::{
    Command, Definition, Event, Job, JobId, JobRef, JobState, Need, Outcome, OutcomeCondition, Phase, Placement,
    QueueId, Refusal, SchedulingOptions, Script, WaitConditions,
};
use setlist::store::Store;

use super::{BackendSite, accept, add, at, definition, join, process, queue, reconcile, report, run_all, try_claim};

/// A queue with these jobs; upper-case ones have a higher priority.
fn site(backend: &BackendSite, names: &str) -> Box<dyn Store> {
    let mut store = backend.connect();
    let job = |name: char| {
        let priority = i32::from(name.is_ascii_uppercase());
        let definition = Definition::new(Script::shell("true"));
        let scheduling = Arc::new(SchedulingOptions { priority, ..SchedulingOptions::default() });
        Arc::new(Definition { name: Some(name.to_string().into()), digest: Some(1), scheduling, ..definition })
    };
    ask(&mut *store, reconcile("one", 1, names.chars().map(job).collect())).unwrap();
    store
}

fn ask(store: &mut dyn Store, command: Command) -> Result<Vec<Event>, Refusal> {
    store.execute(&[command], at(1)).unwrap().remove(0)
}

fn order(store: &mut dyn Store) -> String {
    let site_state = store.load().unwrap();
    let pending = site_state.queue(&queue()).unwrap().jobs_in(Phase::Pending).clone();
    pending.into_iter().map(|id| site_state.job(id).unwrap().name().unwrap().to_owned()).collect()
}

fn id(store: &mut dyn Store, name: char) -> JobId {
    store.load().unwrap().job_named(&queue(), &name.to_string()).unwrap().id
}

/// Moves these jobs before or after another one.
fn put(store: &mut dyn Store, names: &str, beside: fn(JobId) -> Placement, other: char) -> Result<Vec<Event>, Refusal> {
    let jobs = names.chars().map(|name| id(store, name)).collect();
    let placement = beside(id(store, other));
    ask(store, Command::Move { jobs, placement })
}

pub(super) fn jobs_start_in_queue_order(backend: &BackendSite) {
    let mut store = backend.connect();
    let named = |name: &str| {
        let mut definition = Definition::clone(&definition(name));
        definition.name = Some(name.into());
        definition.digest = Some(1);
        Arc::new(definition)
    };
    accept(&mut *store, reconcile("1", 1, vec![named("a"), named("c")]));
    accept(&mut *store, reconcile("2", 1, vec![named("a"), named("b"), named("c")]));
    accept(&mut *store, add(1));
    accept(&mut *store, process());
    let ran = run_all(&mut *store);
    let site_state = store.load().unwrap();
    let titles: Vec<_> = ran.iter().map(|job| site_state.job(*job).unwrap().title().to_owned()).collect();
    assert_eq!(titles, ["a", "b", "c", "job 1"]);
}

pub(super) fn jobs_come_in_pages_in_queue_order(backend: &BackendSite) {
    let mut store = site(backend, "abcde");
    put(&mut *store, "e", Placement::Before, 'b').unwrap();
    let removed = id(&mut *store, 'c');
    ask(&mut *store, Command::Remove { jobs: vec![removed] }).unwrap();
    accept(&mut *store, Command::Add { queue: "other".into(), jobs: vec![definition("elsewhere")] });
    ask(&mut *store, process()).unwrap();
    // They are in all phases.
    let worker = join(&mut *store);
    let (job, run) = try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, report(job, run, Outcome::Succeeded));
    try_claim(&mut *store, worker).unwrap();
    let name = |job: &Job| job.name().unwrap().to_owned();
    for limit in [1, 2, 3, 100] {
        let (mut names, mut last) = (String::new(), None);
        loop {
            let page = store.jobs_page(&queue(), last.as_ref(), limit).unwrap();
            assert!(page.len() <= limit);
            names.extend(page.iter().map(name));
            let Some(job) = page.into_iter().next_back() else { break };
            assert_eq!(store.job(job.id).unwrap().unwrap(), job);
            last = Some(job);
        }
        assert_eq!(names, "aebd", "in pages of {limit}");
    }
    assert!(store.jobs_page(&"unknown".into(), None, 1).unwrap().is_empty());
}

pub(super) fn requested_jobs_start_first(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(4));
    accept(&mut *store, Command::Run { job: JobId(3), force: false });
    let worker = join(&mut *store);
    let (job, run) = try_claim(&mut *store, worker).unwrap();
    assert_eq!(job, JobId(3));
    accept(&mut *store, report(job, run, Outcome::Succeeded));
    assert_eq!(try_claim(&mut *store, worker), None, "the queue itself is idle");
    accept(&mut *store, process());
    assert_eq!(run_all(&mut *store), [JobId(1), JobId(2), JobId(4)]);
}

pub(super) fn jobs_can_be_reordered(backend: &BackendSite) {
    positions_do_not_run_out_when_jobs_are_moved(backend);
    let mut store = site(backend, "abcdeXY");
    let store = &mut *store;
    assert_eq!(order(store), "XYabcde");
    for (names, beside, other, expected) in [
        ("d", Placement::Before as fn(JobId) -> Placement, 'b', "XYadbce"),
        ("a", Placement::After, 'e', "XYdbcea"),
        ("ae", Placement::Before, 'd', "XYaedbc"),
        ("bd", Placement::After, 'c', "XYaecbd"),
        ("Y", Placement::Before, 'X', "YXaecbd"),
        ("cc", Placement::Before, 'a', "YXcaebd"),
    ] {
        put(store, names, beside, other).unwrap();
        assert_eq!(order(store), expected, "{names} beside {other}");
    }
    let why = |answer: Result<Vec<Event>, Refusal>| answer.unwrap_err().to_string();
    let refused = why(put(store, "aX", Placement::Before, 'b'));
    let expected =
        format!("cannot move {} next to #2: it has a different priority, which takes precedence", id(store, 'X'));
    assert_eq!(refused, expected);
    assert_eq!(why(put(store, "b", Placement::After, 'b')), "cannot move #2 next to #2: it is the same job");
    let worker = join(store);
    let job = id(store, 'c');
    ask(store, Command::Start { worker, job }).unwrap();
    assert_eq!(why(put(store, "c", Placement::After, 'a')), "#3 is running: only pending jobs can be moved");
    assert_eq!(order(store), "YXaebd", "a refused command changes nothing");
}

pub(super) fn jobs_are_reordered_by_a_store_that_has_read_none(backend: &BackendSite) {
    let mut store = site(backend, "abcdeXY");
    for (names, beside, other, expected) in [
        ("d", Placement::Before as fn(JobId) -> Placement, 'b', "XYadbce"),
        ("a", Placement::After, 'e', "XYdbcea"),
        ("b", Placement::After, 'd', "XYdbcea"),
        ("ae", Placement::Before, 'd', "XYaedbc"),
        ("d", Placement::Before, 'b', "XYaedbc"),
        ("b", Placement::Before, 'e', "XYabedc"),
    ] {
        let jobs = names.chars().map(|name| id(&mut *store, name)).collect();
        let placement = beside(id(&mut *store, other));
        ask(&mut *backend.connect(), Command::Move { jobs, placement }).unwrap();
        assert_eq!(order(&mut *store), expected, "{names} beside {other}");
    }
}

fn positions_do_not_run_out_when_jobs_are_moved(backend: &BackendSite) {
    let mut store = site(backend, "abcd");
    let store = &mut *store;
    for round in 0..60 {
        put(store, "c", Placement::Before, 'b').unwrap();
        assert_eq!(order(store), "acbd", "round {round}");
        put(store, "b", Placement::Before, 'c').unwrap();
        assert_eq!(order(store), "abcd", "round {round}");
        let first = order(store).chars().next().unwrap();
        put(store, "d", Placement::Before, first).unwrap();
        put(store, "d", Placement::After, 'c').unwrap();
        assert_eq!(order(store), "abcd", "round {round}");
    }
    let moved = reconcile(
        "two",
        1,
        vec![Definition { name: Some("z".into()), digest: Some(1), ..Definition::new(Script::shell("true")) }.into()],
    );
    ask(store, moved).unwrap();
    assert_eq!(order(store), "z", "the file has the last word");
}

pub(super) fn a_changed_parallel_lasts_until_the_file_changes(backend: &BackendSite) {
    let mut store = site(backend, "abc");
    let store = &mut *store;
    let worker = join(store);
    ask(store, Command::Process { queue: queue() }).unwrap();
    let claim = Command::Claim { worker, queues: None };
    ask(store, claim.clone()).unwrap();
    assert!(ask(store, claim.clone()).is_err(), "there is room for one");
    ask(store, Command::SetParallel { queue: queue(), parallel: NonZero::new(2).unwrap() }).unwrap();
    ask(store, claim.clone()).unwrap();
    assert!(ask(store, claim).is_err());
    let again = ask(store, Command::SetParallel { queue: queue(), parallel: NonZero::new(2).unwrap() });
    assert_eq!(again, Ok(Vec::new()), "nothing changes");
    ask(store, reconcile("two", 1, Vec::new())).unwrap();
    assert_eq!(store.load().unwrap().queue(&queue()).unwrap().settings.parallel, 1);
    let other = Command::SetParallel { queue: "other".into(), parallel: NonZero::new(2).unwrap() };
    assert_eq!(ask(store, other), Err(Refusal::UnknownQueue("other".to_owned())));
}

pub(super) fn a_limit_for_a_worker_ends_with_it(backend: &BackendSite) {
    let mut store = site(backend, "abc");
    let store = &mut *store;
    let (first, second) = (join(store), join(store));
    let slots = |store: &mut dyn Store| store.load().unwrap().queue(&queue()).unwrap().settings.max_parallel();
    let limit = |worker, parallel| Command::OverrideParallel {
        worker,
        queue: queue(),
        parallel: NonZero::new(parallel).unwrap(),
    };
    ask(store, limit(first, 3)).unwrap();
    ask(store, Command::Process { queue: queue() }).unwrap();
    let claim = Command::Claim { worker: second, queues: None };
    for _ in 0..3 {
        ask(store, claim.clone()).unwrap();
    }
    ask(store, reconcile("two", 2, Vec::new())).unwrap();
    assert_eq!(slots(store), 3, "a change of the file keeps it");
    ask(store, limit(second, 5)).unwrap();
    accept(store, Command::ReapWorker { worker: first, started_runs: Vec::new(), unreachable_host: None });
    assert_eq!(slots(store), 5, "the last one counts, and ends with its own worker");
    assert_eq!(ask(store, limit(first, 4)), Err(Refusal::UnknownWorker(first)));
    accept(store, Command::ReapWorker { worker: second, started_runs: Vec::new(), unreachable_host: None });
    assert_eq!(slots(store), 2, "the file's");
    let third = join(store);
    ask(store, limit(third, 4)).unwrap();
    ask(store, Command::SetParallel { queue: queue(), parallel: NonZero::new(1).unwrap() }).unwrap();
    assert_eq!(slots(store), 1, "a later explicit change counts");
    ask(store, limit(third, 4)).unwrap();
    accept(store, Command::Leave { worker: third, queues: None });
    assert_eq!(slots(store), 1);
}

pub(super) fn jobs_can_be_transferred_between_queues(backend: &BackendSite) {
    let mut store = site(backend, "a");
    let other = QueueId::from("other");
    ask(&mut *store, Command::EnsureQueue { queue: other.clone() }).unwrap();
    accept(&mut *store, add(3));
    let [ran, waits, runs] = [JobId(2), JobId(3), JobId(4)];
    let worker = join(&mut *store);
    for id in [ran, runs] {
        accept(&mut *store, Command::Run { job: id, force: false });
    }
    let (job, run) = try_claim(&mut *store, worker).unwrap();
    assert_eq!(job, ran);
    accept(&mut *store, report(job, run, Outcome::Succeeded));
    assert_eq!(try_claim(&mut *store, worker).unwrap().0, runs);
    // A job whose need is transferred keeps waiting for it.
    let needy = Definition {
        scheduling: Arc::new(SchedulingOptions {
            needs: vec![Need { job: JobRef::Number(waits), on: OutcomeCondition::Success }],
            ..SchedulingOptions::default()
        }),
        ..Definition::new(Script::shell("true"))
    };
    accept(&mut *store, Command::Add { queue: queue(), jobs: vec![needy.into()] });

    let site = setlist::Site::with_state(store.load().unwrap(), "copy");
    let before = store.load().unwrap();
    for (jobs, to, why) in [
        (vec![waits, runs], &other, "#4 is running: it can be moved when it has finished"),
        (vec![JobId(1)], &other, "#1 is pending: it is in jobs.yaml; move it there"),
        (vec![waits], &queue(), "#3 is pending: it is already in that queue"),
        (vec![JobId(99)], &other, "there is no job #99"),
        (vec![waits], &"none".into(), "there is no queue \"none\""),
    ] {
        let refused = ask(&mut *store, Command::Transfer { jobs, queue: to.clone() }).unwrap_err();
        assert_eq!(refused.to_string(), why);
        assert_eq!(store.load().unwrap(), before, "a refused command changes nothing");
    }
    ask(&mut *store, Command::Transfer { jobs: vec![waits, ran, waits], queue: other.clone() }).unwrap();
    let site_state = store.load().unwrap();
    let record = site_state.queue(&other).unwrap();
    assert_eq!((record.jobs_in(Phase::Pending), record.jobs_in(Phase::Finished)), (&[waits].into(), &[ran].into()));
    assert_eq!(site_state.job(ran).unwrap().attempts, 1);
    assert_eq!(store.runs(ran).unwrap().len(), 1, "its runs go with it");
    assert!(matches!(
        site_state.job(JobId(5)).unwrap().state,
        JobState::Pending { wait: WaitConditions { needs: true, .. }, .. }
    ));
    site.apply_records(&store.events_after(before.seq()).unwrap().unwrap());
    site.read(|copy| assert_eq!(*copy, site_state));
    assert_eq!(backend.connect().load().unwrap(), site_state);
    ask(&mut *store, Command::Process { queue: other }).unwrap();
    assert_eq!(try_claim(&mut *store, worker).unwrap().0, waits);
}

pub(super) fn a_job_adopts_the_file_entry_announced_for_it(backend: &BackendSite) {
    let mut store = site(backend, "a");
    accept(&mut *store, add(2));
    let entry = |name: &str, digest| {
        Arc::new(Definition { name: Some(name.into()), digest: Some(digest), ..Definition::new(Script::shell("true")) })
    };
    let refused = ask(&mut *store, Command::AdoptEntry { job: JobId(1), digest: 7 }).unwrap_err();
    assert_eq!(refused.to_string(), "#1 is pending: it is already in jobs.yaml");
    ask(&mut *store, Command::AdoptEntry { job: JobId(3), digest: 7 }).unwrap();
    // A file without the entry removes nothing.
    ask(&mut *store, reconcile("two", 1, vec![entry("a", 1)])).unwrap();
    assert_eq!(store.load().unwrap().job(JobId(3)).unwrap().phase(), Phase::Pending);
    ask(&mut *store, reconcile("three", 1, vec![entry("a", 1), entry("late", 7), entry("new", 7)])).unwrap();
    let site_state = store.load().unwrap();
    let id = |name: &str| site_state.job_named(&queue(), name).map(|job| job.id);
    assert_eq!(
        (id("a"), id("late"), id("new")),
        (Some(JobId(1)), Some(JobId(3)), Some(JobId(4))),
        "one entry is one job"
    );
    assert_eq!(site_state.jobs().count(), 4);
    // A running job takes the entry over when it has ended.
    let worker = join(&mut *store);
    ask(&mut *store, Command::Run { job: JobId(2), force: false }).unwrap();
    let (job, run) = try_claim(&mut *store, worker).unwrap();
    ask(&mut *store, Command::AdoptEntry { job, digest: 9 }).unwrap();
    let all = || vec![entry("a", 1), entry("late", 7), entry("new", 7), entry("ran", 9)];
    ask(&mut *store, reconcile("four", 1, all())).unwrap();
    let site_state = store.load().unwrap();
    assert_eq!(
        (site_state.jobs().count(), site_state.job(job).unwrap().name(), site_state.file_version()),
        (4, None, Some("four"))
    );
    accept(&mut *store, report(job, run, Outcome::Succeeded));
    ask(&mut *store, reconcile("four", 1, all())).unwrap();
    let site_state = store.load().unwrap();
    let ran = site_state.job(job).unwrap();
    assert_eq!((site_state.jobs().count(), ran.name(), ran.phase()), (4, Some("ran"), Phase::Finished));
    // From now on they are like all jobs of the file.
    ask(&mut *store, reconcile("five", 1, vec![entry("a", 1)])).unwrap();
    assert_eq!(store.load().unwrap().jobs().count(), 2, "pending ones have left");
}
