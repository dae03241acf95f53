//! Entries whose items change: what needs all of them, and jobs whose names change, for every backend.

use std::sync::Arc;

use setlist::model::{
    Call, Command, Definition, FileRules, JobId, JobRef, MatrixValues, Need, Outcome, OutcomeCondition, Phase,
    SchedulingOptions, Script, SkipKind,
};
use setlist::store::Store;

use super::{BackendSite, accept, failed, join, process, queue, reconcile, report, try_claim};

contract! {
    a_pending_job_also_waits_for_items_that_come_later,
    a_job_that_waits_for_a_failed_need_also_waits_for_new_items,
    a_running_job_does_not_wait_for_new_items_until_it_is_retried,
    a_finished_job_with_sources_is_checked_again_when_an_item_comes,
    an_item_keeps_its_job_when_its_name_changes,
    names_that_change_places_keep_their_items,
}

fn job(name: &str) -> Definition {
    let mut definition = Definition::new(Script::shell("true"));
    (definition.name, definition.digest) = (Some(name.into()), Some(1));
    definition
}

/// The job of an item, which has this name.
fn named_item(name: &str, path: &str) -> Arc<Definition> {
    let values = vec![("item".into(), path.into())];
    let matrix = MatrixValues { entry: "encode".into(), values, is_item: true, version: None };
    Arc::new(Definition { matrix: Some(Arc::new(matrix)), ..job(name) })
}

fn item(name: &str) -> Arc<Definition> {
    named_item(name, name)
}

/// A job that needs these.
fn needing(name: &str, needs: &[&str], has_sources: bool) -> Arc<Definition> {
    let need = |name: &&str| Need { job: JobRef::Named(queue(), (*name).into()), on: OutcomeCondition::Success };
    let scheduling = SchedulingOptions { needs: needs.iter().map(need).collect(), ..SchedulingOptions::default() };
    let mut script = Script::shell("true");
    if has_sources {
        let rules = FileRules { sources: vec!["*".to_owned()], ..FileRules::default() };
        let mut exec = (*script.exec).clone();
        exec.files = Some(Arc::new(rules));
        script.exec = Arc::new(exec);
    }
    Arc::new(Definition { call: Call::Script(script), scheduling: scheduling.into(), ..job(name) })
}

fn id(store: &mut dyn Store, name: &str) -> JobId {
    store.load().unwrap().jobs().find(|job| job.name() == Some(name)).unwrap_or_else(|| panic!("no {name}")).id
}

fn phase(store: &mut dyn Store, name: &str) -> Phase {
    let id = id(store, name);
    let stored = store.job(id).unwrap().unwrap();
    assert_eq!(store.load().unwrap().job(id), Some(&stored));
    stored.phase()
}

/// Runs the next job, which must be this one.
fn run(store: &mut dyn Store, name: &str, outcome: Outcome) {
    let worker = join(store);
    let (job, run) = try_claim(store, worker).unwrap_or_else(|| panic!("{name} is not ready"));
    assert_eq!(store.job(job).unwrap().unwrap().name(), Some(name));
    accept(store, report(job, run, outcome));
}

fn a_pending_job_also_waits_for_items_that_come_later(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1, vec![item("a"), needing("sum", &["a"], false)]));
    accept(&mut *store, process());
    run(&mut *store, "a", Outcome::Succeeded);
    // It is ready now, but does not run yet.
    let jobs = vec![item("a"), item("b"), needing("sum", &["a", "b"], false)];
    accept(&mut *store, reconcile("2", 1, jobs));
    run(&mut *store, "b", Outcome::Succeeded);
    run(&mut *store, "sum", Outcome::Succeeded);
    assert!(backend.connect().load().unwrap().jobs().all(|job| job.phase() == Phase::Finished));
}

fn a_job_that_waits_for_a_failed_need_also_waits_for_new_items(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1, vec![item("a"), needing("sum", &["a"], false)]));
    let job = id(&mut *store, "a");
    let retry = Command::Run { job, force: false };
    accept(&mut *store, retry.clone());
    run(&mut *store, "a", failed());
    assert_eq!(
        phase(&mut *store, "sum"),
        Phase::Pending,
        "its queue is not being processed, so that it is not skipped"
    );
    accept(&mut *store, reconcile("2", 1, vec![item("a"), item("b"), needing("sum", &["a", "b"], false)]));
    accept(&mut *store, retry);
    run(&mut *store, "a", Outcome::Succeeded);
    accept(&mut *store, process());
    run(&mut *store, "b", Outcome::Succeeded);
    run(&mut *store, "sum", Outcome::Succeeded);
}

fn a_running_job_does_not_wait_for_new_items_until_it_is_retried(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1, vec![item("a"), needing("sum", &["a"], false)]));
    accept(&mut *store, process());
    run(&mut *store, "a", Outcome::Succeeded);
    let worker = join(&mut *store);
    let (sum, sum_run) = try_claim(&mut *store, worker).unwrap();
    accept(&mut *store, reconcile("2", 1, vec![item("a"), item("b"), needing("sum", &["a", "b"], false)]));
    assert_eq!(phase(&mut *store, "sum"), Phase::Running);
    accept(&mut *store, report(sum, sum_run, Outcome::Succeeded));
    assert_eq!(phase(&mut *store, "sum"), Phase::Finished);
    // It is the same after it has been made pending.
    accept(&mut *store, Command::Reset { job: sum });
    run(&mut *store, "b", Outcome::Succeeded);
    run(&mut *store, "sum", Outcome::Succeeded);
}

fn a_finished_job_with_sources_is_checked_again_when_an_item_comes(backend: &BackendSite) {
    let mut store = backend.connect();
    let jobs = |items: &[&str]| {
        let mut jobs: Vec<_> = items.iter().map(|name| item(name)).collect();
        // Those in front need what follows.
        jobs.push(needing("index", &["sum"], true));
        jobs.push(needing("sum", items, true));
        jobs.push(needing("mail", items, false));
        jobs.push(needing("failed", items, true));
        jobs.push(needing("other", &["mail"], true));
        jobs
    };
    accept(&mut *store, reconcile("1", 1, jobs(&["a"])));
    accept(&mut *store, process());
    for name in ["a", "sum", "index", "mail"] {
        run(&mut *store, name, Outcome::Succeeded);
    }
    let names = ["index", "sum", "mail", "failed", "other"];
    run(&mut *store, "failed", failed());
    run(&mut *store, "other", Outcome::Succeeded);
    accept(&mut *store, reconcile("2", 1, jobs(&["a", "b"])));
    let pending = |store: &mut dyn Store| {
        names.into_iter().filter(|name| phase(store, name) == Phase::Pending).collect::<Vec<_>>()
    };
    assert_eq!(pending(&mut *store), ["index", "sum"]);
    accept(&mut *store, process());
    run(&mut *store, "b", Outcome::Succeeded);
    let up_to_date = Outcome::Skipped { reason: "up to date".into(), by: SkipKind::UpToDate };
    run(&mut *store, "sum", up_to_date.clone());
    run(&mut *store, "index", up_to_date);
    // An item that goes away changes nothing.
    accept(&mut *store, reconcile("3", 1, jobs(&["b"])));
    assert_eq!(pending(&mut *store), Vec::<&str>::new());
}

fn an_item_keeps_its_job_when_its_name_changes(backend: &BackendSite) {
    let mut store = backend.connect();
    let (a, b, sum) = (named_item("a", "in/a"), named_item("b", "in/b"), needing("sum", &["a", "b"], false));
    accept(&mut *store, reconcile("1", 2, vec![a, b, sum]));
    accept(&mut *store, process());
    run(&mut *store, "a", Outcome::Succeeded);
    let worker = join(&mut *store);
    let (b, b_run) = try_claim(&mut *store, worker).unwrap();
    let a = id(&mut *store, "a");
    let before = store.job(a).unwrap().unwrap();
    let renamed = |names: &[&str; 2]| {
        let sum = needing("sum", names, false);
        vec![named_item(names[0], "in/a"), named_item(names[1], "in/b"), sum]
    };
    accept(&mut *store, reconcile("2", 2, renamed(&["in%2Fa", "in%2Fb"])));
    assert_eq!(id(&mut *store, "in%2Fa"), a);
    let after = store.job(a).unwrap().unwrap();
    assert_eq!((&after.last_run, &after.state), (&before.last_run, &before.state));
    assert_eq!(store.load().unwrap().jobs().count(), 3);
    accept(&mut *store, report(b, b_run, Outcome::Succeeded));
    assert_eq!(id(&mut *store, "in%2Fb"), b, "a job that is running is renamed when its run ends");
    assert_eq!(store.job(b).unwrap().unwrap().phase(), Phase::Finished);
    run(&mut *store, "sum", Outcome::Succeeded);
    accept(&mut *store, reconcile("3", 2, renamed(&["a", "b"])));
    assert_eq!((id(&mut *store, "a"), id(&mut *store, "b")), (a, b));
    assert!(
        store.load().unwrap().jobs().all(|job| job.phase() == Phase::Finished && !job.definition.is_removed_from_file)
    );
}

fn names_that_change_places_keep_their_items(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1, vec![named_item("x", "in/x"), named_item("in%2Fx", "in/in/x")]));
    let (outer, inner) = (id(&mut *store, "x"), id(&mut *store, "in%2Fx"));
    accept(&mut *store, process());
    run(&mut *store, "x", Outcome::Succeeded);
    accept(&mut *store, reconcile("2", 1, vec![named_item("in%2Fx", "in/x"), named_item("in%2Fin%2Fx", "in/in/x")]));
    assert_eq!((id(&mut *store, "in%2Fx"), id(&mut *store, "in%2Fin%2Fx")), (outer, inner));
    assert_eq!((phase(&mut *store, "in%2Fx"), phase(&mut *store, "in%2Fin%2Fx")), (Phase::Finished, Phase::Pending));
    // The other one goes away, and comes back under another name.
    accept(&mut *store, reconcile("3", 1, vec![named_item("x", "in/x")]));
    assert!(store.load().unwrap().job(inner).is_none());
    accept(&mut *store, reconcile("4", 1, vec![named_item("y", "in/in/x"), named_item("x", "in/x")]));
    assert_eq!((id(&mut *store, "x"), id(&mut *store, "y")), (outer, inner));
}
