//! Jobs that don't have to run: skipped by their condition or because they are up to date, for every backend.

use std::collections::BTreeMap;
use std::sync::Arc;

use setlist::model::{
    Command, Definition, FileRules, InputValues, JobId, JobRef, JobState, Need, ObservedFiles, Outcome,
    OutcomeCondition, Phase, RunReport, SchedulingOptions, Script, SkipKind, SourceState, StaleReason,
};
use setlist::store::Store;

use super::{BackendSite, accept, execute, failed, join, process, queue, reconcile, try_claim};

contract! {
    what_the_sources_were_at_the_last_success_is_kept,
    an_up_to_date_job_counts_as_done,
    a_job_skipped_by_its_condition_skips_its_dependents_and_is_no_failure,
    a_command_changes_by_what_it_runs_and_not_by_its_title,
}

/// A job of the file that needs these.
fn needing(name: &str, needs: &[(&str, OutcomeCondition)]) -> Arc<Definition> {
    let need = |(name, on): &(&str, OutcomeCondition)| Need { job: JobRef::Named(queue(), (*name).into()), on: *on };
    let scheduling = SchedulingOptions { needs: needs.iter().map(need).collect(), ..SchedulingOptions::default() };
    let mut definition = Definition::new(Script::shell("true"));
    (definition.name, definition.digest, definition.scheduling) = (Some(name.into()), Some(1), scheduling.into());
    Arc::new(definition)
}

fn sources(files: &[(&str, u64)]) -> SourceState {
    let files: BTreeMap<String, u64> = files.iter().map(|(name, digest)| ((*name).to_owned(), *digest)).collect();
    SourceState::new(Definition::new(Script::shell("true")).command_digest(&InputValues::default()), files)
}

fn skipped(by: SkipKind) -> RunReport {
    RunReport::new(Outcome::Skipped { reason: "no need".into(), by })
}

/// Runs the next job, which must be this one.
fn run(store: &mut dyn Store, name: &str, report: RunReport) {
    let worker = join(store);
    let (job, run) = try_claim(store, worker).expect("a job is ready");
    assert_eq!(store.job(job).unwrap().unwrap().name(), Some(name));
    accept(store, Command::EndRun { job, run, report, on_failure: None });
}

fn id(store: &mut dyn Store, name: &str) -> JobId {
    store.load().unwrap().jobs().find(|job| job.name() == Some(name)).unwrap().id
}

fn state(store: &mut dyn Store, name: &str) -> JobState {
    let id = id(store, name);
    store.job(id).unwrap().unwrap().state
}

fn again(store: &mut dyn Store, name: &str) {
    let id = id(store, name);
    accept(store, Command::Reset { job: id });
    accept(store, process());
}

fn what_the_sources_were_at_the_last_success_is_kept(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1, vec![needing("encode", &[])]));
    accept(&mut *store, process());
    let first = sources(&[("a", 1), ("b", 2)]);
    let report = RunReport {
        sources: Some(Box::new(first.clone())),
        value: Some(7.into()),
        ..RunReport::new(Outcome::Succeeded)
    };
    run(&mut *store, "encode", report);
    let job = |store: &mut dyn Store| {
        let job = id(store, "encode");
        let stored = store.job(job).unwrap().unwrap();
        assert_eq!(backend.connect().load().unwrap().job(job), Some(&stored));
        stored
    };
    let stale = |store: &mut dyn Store, files: &[(&str, u64)], missing_outputs: Vec<String>| {
        let observed = ObservedFiles { sources: sources(files), missing_outputs };
        let reasons = job(store).stale_reasons(&FileRules::default(), &observed);
        reasons.iter().map(StaleReason::describe).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(job(&mut *store).success.as_ref().unwrap().sources, first);
    assert_eq!(stale(&mut *store, &[("a", 1), ("b", 2)], Vec::new()), "");
    assert_eq!(stale(&mut *store, &[("a", 3), ("c", 2)], Vec::new()), "changed a, new c, removed b");
    assert_eq!(stale(&mut *store, &[("a", 1), ("b", 2)], vec!["out/*".to_owned()]), "missing out/*");

    again(&mut *store, "encode");
    run(&mut *store, "encode", skipped(SkipKind::UpToDate));
    let up_to_date = job(&mut *store);
    assert_eq!(up_to_date.success.as_ref().unwrap().run.0, 1, "the success that made it so");
    assert_eq!(up_to_date.result_value(), Some(&7.into()), "its value is that of the success");
    assert_eq!(stale(&mut *store, &[("a", 1), ("b", 2)], Vec::new()), "");

    again(&mut *store, "encode");
    run(&mut *store, "encode", RunReport::new(failed()));
    assert_eq!(stale(&mut *store, &[("a", 1), ("b", 2)], Vec::new()), "its latest run did not succeed");
}

fn an_up_to_date_job_counts_as_done(backend: &BackendSite) {
    let mut store = backend.connect();
    let jobs = vec![needing("encode", &[]), needing("upload", &[("encode", OutcomeCondition::Success)])];
    accept(&mut *store, reconcile("1", 1, jobs));
    accept(&mut *store, process());
    run(&mut *store, "encode", skipped(SkipKind::UpToDate));
    run(&mut *store, "upload", RunReport::new(Outcome::Succeeded));
    assert!(store.load().unwrap().jobs().all(|job| job.outcome().is_some_and(Outcome::is_success)));
}

fn a_job_skipped_by_its_condition_skips_its_dependents_and_is_no_failure(backend: &BackendSite) {
    let mut store = backend.connect();
    let jobs = vec![
        needing("mount", &[]),
        needing("copy", &[("mount", OutcomeCondition::Success)]),
        needing("verify", &[("copy", OutcomeCondition::Success)]),
        needing("report", &[("copy", OutcomeCondition::Finish)]),
    ];
    accept(&mut *store, reconcile("1", 1, jobs));
    accept(&mut *store, process());
    run(&mut *store, "mount", RunReport::new(Outcome::Succeeded));
    run(&mut *store, "copy", skipped(SkipKind::Condition));
    run(&mut *store, "report", RunReport::new(Outcome::Succeeded));
    let site = store.load().unwrap();
    let reason = "needs build/copy, which was skipped".to_owned();
    let verify = Outcome::Skipped { reason: reason.into(), by: SkipKind::Needs };
    assert_eq!(site.jobs().find(|job| job.name() == Some("verify")).unwrap().outcome(), Some(&verify));
    assert!(site.jobs().all(|job| !site.counts_as_failure(job)), "nothing has failed");
    let copy = site.jobs().find(|job| job.name() == Some("copy")).unwrap();
    assert_eq!((copy.executed, copy.attempts), (None, 1), "its run is on record, but it did not execute");

    // What it needs is done again, which is no reason to ask its condition again.
    again(&mut *store, "mount");
    run(&mut *store, "mount", RunReport::new(Outcome::Succeeded));
    let site = store.load().unwrap();
    assert!(site.jobs().all(|job| job.phase() == Phase::Finished));
    let worker = join(&mut *store);
    assert!(execute(&mut *store, Command::Claim { worker, queues: None }).is_err());
    assert!(matches!(state(&mut *store, "copy"), JobState::Finished { .. }));
}

fn a_command_changes_by_what_it_runs_and_not_by_its_title(_: &BackendSite) {
    let definition = Definition::new(Script::shell("true"));
    let cosmetic = Definition { title: "Another".into(), tags: ["new".to_owned()].into(), ..definition.clone() };
    assert_eq!(cosmetic.command_digest(&InputValues::default()), definition.command_digest(&InputValues::default()));
    let mut timed = definition.clone();
    let mut moved = definition.clone();
    if let (setlist::model::Call::Script(timed), setlist::model::Call::Script(moved)) =
        (&mut timed.call, &mut moved.call)
    {
        timed.exec_mut().timeout = Some(std::time::Duration::from_secs(1));
        moved.exec_mut().cwd = Some("elsewhere".into());
    }
    assert_eq!(timed.command_digest(&InputValues::default()), definition.command_digest(&InputValues::default()));
    assert_ne!(moved.command_digest(&InputValues::default()), definition.command_digest(&InputValues::default()));
    assert_ne!(
        Definition::new(Script::shell("false")).command_digest(&InputValues::default()),
        definition.command_digest(&InputValues::default())
    );
}
