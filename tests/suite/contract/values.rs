//! The values of needed jobs, and unique keys, for every backend.

use std::sync::Arc;

use serde_json::{Value, json};
use setlist::model::{
    Arguments, Call, Command, Definition, Event, ExecOptions, Job, JobId, JobRef, Need, Outcome, OutcomeCondition,
    Phase, Program, Refusal, Run, RunReport, SchedulingOptions, Script, StopSignal,
};
use setlist::store::Store;

use super::{BackendSite, accept, execute, failed, join, process, queue, reconcile, report};

contract! {
    the_values_of_needed_jobs_are_filled_in_when_a_job_starts,
    a_value_that_is_not_there_fails_the_job,
    a_value_is_absent_where_a_need_has_failed,
    a_value_that_is_too_large_is_cut,
    values_are_never_part_of_a_script,
    one_job_is_pending_or_running_per_key,
}

fn named(name: &str, script: Script, needs: &[(&str, OutcomeCondition)]) -> Definition {
    let need = |(name, on): &(&str, OutcomeCondition)| Need { job: JobRef::Named(queue(), (*name).into()), on: *on };
    let needs = needs.iter().map(need).collect();
    let mut definition = Definition::new(script);
    (definition.name, definition.digest) = (Some(name.into()), Some(1));
    definition.scheduling = Arc::new(SchedulingOptions { needs, ..SchedulingOptions::default() });
    definition
}

/// A site with the job `build`, which has ended with this report, and one that needs it and has started.
fn started_after(backend: &BackendSite, build: &RunReport, dependent: Definition) -> (Box<dyn Store>, Job) {
    let mut store = backend.connect();
    let jobs = vec![Arc::new(named("build", Script::shell("make"), &[])), Arc::new(dependent)];
    accept(&mut *store, reconcile("1", 1, jobs));
    accept(&mut *store, process());
    let worker = join(&mut *store);
    let claim = || Command::Claim { worker, queues: None };
    accept(&mut *store, claim());
    let run = store.job(JobId(1)).unwrap().unwrap().current_run().unwrap();
    accept(&mut *store, Command::EndRun { job: JobId(1), run, report: build.clone(), on_failure: None });
    accept(&mut *store, claim());
    let job = store.job(JobId(2)).unwrap().unwrap();
    assert_eq!(job.phase(), Phase::Running);
    assert_eq!(store.load().unwrap().job(JobId(2)), Some(&job));
    (store, job)
}

fn returned(value: Value) -> RunReport {
    RunReport { value: Some(value), ..RunReport::new(Outcome::Succeeded) }
}

fn run(job: &Job) -> &Run {
    job.last_run.as_deref().unwrap()
}

/// The words of the command that the job runs.
fn words(job: &Job) -> Vec<String> {
    match &job.filled_definition().unwrap().call {
        Call::Script(Script { program: Program::Command(words), .. }) => words.clone(),
        other => panic!("{other:?}"),
    }
}

const SUCCESS: OutcomeCondition = OutcomeCondition::Success;

fn the_values_of_needed_jobs_are_filled_in_when_a_job_starts(backend: &BackendSite) {
    let command =
        ["upload", "${needs.build.value.tag}", "v-${needs.build/build.value.files.1}.tgz", "${needs.x.value}"];
    let exec = ExecOptions {
        env: [("ALL".to_owned(), Some("<${needs.build.value}>".to_owned()))].into(),
        cwd: Some("out/${needs.build.value.tag}".into()),
        stdin: Some("tag ${needs.build.value.tag}\n".to_owned()),
        ..ExecOptions::default()
    };
    let mut upload = named("upload", Script::command(command).with_exec(exec), &[("build", SUCCESS)]);
    let kwargs = [("tag".to_owned(), json!("${needs.build.value.tag}"))].into_iter().collect();
    upload.arguments = Arc::new(Arguments { args: vec![json!(1)], kwargs });
    let value = json!({"tag": "v1; rm -rf", "files": ["a", "b c"]});
    let (mut store, job) = started_after(backend, &returned(value.clone()), upload);
    assert_eq!(words(&job), ["upload", "v1; rm -rf", "v-b c.tgz", "${needs.x.value}"], "of another job it is left");
    let filled = job.filled_definition().unwrap();
    let Call::Script(script) = &filled.call else { unreachable!() };
    assert_eq!(script.exec.env["ALL"], Some(format!("<{value}>")));
    assert_eq!(script.exec.cwd.as_deref(), Some("out/v1; rm -rf".as_ref()));
    assert_eq!(script.exec.stdin.as_deref(), Some("tag v1; rm -rf\n"));
    let inputs = run(&job).inputs.as_deref().unwrap();
    let expected = "upload 'v1; rm -rf' 'v-b c.tgz' '${needs.x.value}' 1 --tag 'v1; rm -rf'";
    assert_eq!(inputs.command.as_deref(), Some(expected));
    assert_eq!((&*inputs.needs[0].job, &*inputs.needs[0].outcome), ("build", "succeeded"));
    assert_eq!((&inputs.needs[0].value, inputs.is_cut), (&Some(value), false));
    // A later run gets the value of then, and the record of the earlier one stays.
    accept(&mut *store, report(JobId(2), run(&job).id, Outcome::Succeeded));
    let earlier = store.runs(JobId(2)).unwrap();
    let worker = join(&mut *store);
    for (id, value) in [(1, json!({"tag": "v2", "files": ["a", "b"]})), (2, Value::Null)] {
        accept(&mut *store, Command::Run { job: JobId(id), force: false });
        let claimed = accept(&mut *store, Command::Claim { worker, queues: None });
        let Some(Event::Started { job, run }) = claimed.first() else { panic!("{claimed:?}") };
        let end = Command::EndRun { job: *job, run: run.id, report: returned(value), on_failure: None };
        accept(&mut *store, end);
    }
    let runs = store.runs(JobId(2)).unwrap();
    assert_eq!(runs[0], earlier[0]);
    assert!(runs[1].inputs.as_ref().unwrap().command.as_ref().unwrap().starts_with("upload v2 v-b.tgz "));
}

fn a_value_that_is_not_there_fails_the_job(backend: &BackendSite) {
    let problem = |value: Option<Value>, placeholder: &str| {
        let dependent = named("upload", Script::command(["upload", placeholder]), &[("build", SUCCESS)]);
        let report = RunReport { value, ..RunReport::new(Outcome::Succeeded) };
        let site = BackendSite::memory();
        let (_, job) = started_after(&site, &report, dependent);
        job.filled_definition().unwrap_err().message
    };
    assert_eq!(problem(None, "${needs.build.value}"), "${needs.build.value}: build has no value");
    let (value, placeholder) = (json!({"a": [1]}), "${needs.build.value.tag}");
    assert_eq!(problem(Some(value.clone()), placeholder), format!("{placeholder}: the value of build has no `tag`"));
    let placeholder = "${needs.build.value.a.1}";
    assert_eq!(problem(Some(value), placeholder), format!("{placeholder}: the value of build has no `1`"));
    let placeholder = "${needs.build.value.a}";
    assert_eq!(problem(Some(json!("text")), placeholder), format!("{placeholder}: the value of build has no `a`"));
    // Every backend knows.
    let dependent = named("upload", Script::command(["${needs.build.value}"]), &[("build", SUCCESS)]);
    let (mut store, job) = started_after(backend, &RunReport::new(Outcome::Succeeded), dependent);
    let problem = run(&job).inputs.as_ref().unwrap().problem.clone();
    assert_eq!(problem.as_deref(), Some("${needs.build.value}: build has no value"));
    assert_eq!(store.runs(JobId(2)).unwrap()[0].inputs.as_ref().unwrap().problem, problem);
}

fn a_value_is_absent_where_a_need_has_failed(backend: &BackendSite) {
    let finish = [("build", OutcomeCondition::Finish)];
    let report = RunReport { value: Some("old".into()), ..RunReport::new(failed()) };
    let (_, job) = started_after(backend, &report, named("tell", Script::shell("mail"), &finish));
    let inputs = run(&job).inputs.as_deref().unwrap();
    assert_eq!((&*inputs.needs[0].outcome, &inputs.needs[0].value), ("failed", &None));
    assert!(inputs.problem.is_none() && job.filled_definition().is_ok(), "a script can cope with that");

    let site = BackendSite::memory();
    let dependent = named("tell", Script::command(["mail", "${needs.build.value}"]), &finish);
    let (_, job) = started_after(&site, &report, dependent);
    let message = job.filled_definition().unwrap_err().message;
    assert_eq!(message, "${needs.build.value}: build has no value, because it failed");
}

fn a_value_that_is_too_large_is_cut(backend: &BackendSite) {
    let value = json!("é".repeat(100_000));
    let dependent = named("upload", Script::command(["upload", "${needs.build.value}"]), &[("build", SUCCESS)]);
    let (_, job) = started_after(backend, &returned(value), dependent);
    assert_eq!(words(&job)[1], "é".repeat(16 * 1024), "32 KiB of whole characters");
    let inputs = run(&job).inputs.as_deref().unwrap();
    assert!(inputs.is_cut && inputs.needs[0].is_cut);
    assert_eq!(inputs.needs[0].value, Some(json!("é".repeat(16 * 1024))));
}

fn values_are_never_part_of_a_script(backend: &BackendSite) {
    let placeholder = "${needs.build.value}";
    let command = ["sh", "-c", "echo ${needs.build.value}", placeholder];
    let (_, job) = started_after(
        backend,
        &returned(json!("$(rm x)")),
        named("upload", Script::command(command), &[("build", SUCCESS)]),
    );
    assert_eq!(words(&job), ["sh", "-c", "echo ${needs.build.value}", "$(rm x)"]);
    let site = BackendSite::memory();
    let script = Script::shell("echo ${needs.build.value}");
    let (_, job) = started_after(&site, &returned(json!("x")), named("upload", script.clone(), &[("build", SUCCESS)]));
    assert_eq!(job.filled_definition().unwrap().call, Call::Script(script));
}

fn one_job_is_pending_or_running_per_key(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = &mut *store;
    let keyed = |key: &str| {
        let scheduling = SchedulingOptions { unique: Some(key.into()), ..SchedulingOptions::default() };
        Arc::new(Definition { scheduling: scheduling.into(), ..Definition::new(Script::shell("true")) })
    };
    let add = |jobs: &[&str]| Command::Add { queue: queue(), jobs: jobs.iter().map(|key| keyed(key)).collect() };
    let taken =
        |phase| Err(Refusal::NotUnique { job: JobId(1), path: "build/#1".to_owned(), phase, key: "nightly".into() });
    accept(store, add(&["nightly", "other"]));
    assert_eq!(execute(store, add(&["nightly"])), taken(Phase::Pending));
    let elsewhere = Command::Add { queue: "elsewhere".into(), jobs: vec![keyed("nightly")] };
    assert_eq!(execute(store, elsewhere.clone()), taken(Phase::Pending), "in any queue");
    accept(store, process());
    let worker = join(store);
    let Event::Started { run, .. } = accept(store, Command::Claim { worker, queues: None }).remove(0) else { panic!() };
    assert_eq!(execute(store, add(&["free", "nightly"])), taken(Phase::Running), "and none of the others is added");
    assert_eq!(store.load().unwrap().jobs().count(), 2);
    accept(store, report(JobId(1), run.id, Outcome::Succeeded));
    accept(store, elsewhere);
    // The finished one can't become pending meanwhile.
    let taken = || {
        Err(Refusal::NotUnique {
            job: JobId(3),
            path: "elsewhere/#3".into(),
            phase: Phase::Pending,
            key: "nightly".into(),
        })
    };
    assert_eq!(execute(store, Command::Run { job: JobId(1), force: true }), taken());
    assert_eq!(execute(store, Command::Reset { job: JobId(1) }), taken());
    accept(store, Command::Run { job: JobId(3), force: false });
    accept(store, Command::Remove { jobs: vec![JobId(3)] });
    accept(store, Command::Reset { job: JobId(1) });
    assert!(execute(store, Command::Restore { jobs: vec![JobId(3)] }).is_err());
    accept(store, Command::Cancel { job: JobId(1), stop: StopSignal::Terminate });
    accept(store, Command::Restore { jobs: vec![JobId(3)] });
    assert!(execute(store, add(&["twice", "twice"])).is_err());
}
