//! Inputs of queues, for every backend.

use std::collections::BTreeSet;
use std::sync::Arc;

use setlist::model::{
    Call, Command, Definition, DesiredQueue, DesiredState, EnvironmentId, ExecOptions, InputDeclaration, InputType,
    InputValues, JobId, JobRef, Need, Outcome, OutcomeCondition, Program, QueueSettings, Refusal, RequestInputs,
    RunInputs, SchedulingOptions, Script, Snapshot, SnapshotKind,
};
use setlist::store::Store;

use super::requests::user;
use super::{BackendSite, accept, at, claim, execute, failed, join, queue, report};

contract! {
    a_job_starts_with_the_values_that_were_given,
    a_request_without_a_required_value_changes_nothing,
    a_job_without_a_value_fails_with_a_reason,
    the_values_of_a_request_end_with_it,
    an_added_job_gets_the_values_of_the_request_that_runs_it,
    snapshots_that_records_name_are_in_use,
}

fn declared(name: &str, input_type: InputType, default: Option<&str>) -> InputDeclaration {
    InputDeclaration { name: name.into(), input_type, default: default.map(str::to_owned), description: String::new() }
}

fn values(values: &[(&str, Option<&str>)]) -> InputValues {
    values.iter().map(|(name, value)| (Arc::from(*name), value.map(str::to_owned))).collect()
}

fn job(name: &str, needs: &[&str]) -> Arc<Definition> {
    let need = |name: &&str| Need { job: JobRef::Named(queue(), (*name).into()), on: OutcomeCondition::Success };
    let words = ["deploy", "${inputs.env}", "x${inputs.token}y", "${inputs.other}"];
    let mut definition = Definition::new(Script::command(words));
    (definition.name, definition.digest) = (Some(name.into()), Some(1));
    let needs = needs.iter().map(need).collect();
    definition.scheduling = Arc::new(SchedulingOptions { needs, ..SchedulingOptions::default() });
    Arc::new(definition)
}

/// A site whose queue has the inputs `env`, with a default, and `token`, which is secret.
fn with_inputs(store: &mut dyn Store, jobs: Vec<Arc<Definition>>) {
    let options = InputType::Options(vec!["staging".to_owned(), "prod".to_owned()]);
    let inputs = [declared("env", options, Some("staging")), declared("token", InputType::Secret, None)].into();
    let settings = QueueSettings { inputs, is_in_file: true, order: 0, ..QueueSettings::default() };
    let queues = vec![DesiredQueue { id: queue(), settings, jobs }];
    accept(store, Command::Reconcile(Box::new(DesiredState { version: "1".to_owned(), queues, ..Default::default() })));
}

fn request(given: &InputValues, command: Command) -> Command {
    let inputs = RequestInputs::of(given.clone(), None);
    Command::Request { environment: user(1), inputs, command: Box::new(command) }
}

fn process() -> Command {
    Command::Process { queue: queue() }
}

fn run_inputs(store: &mut dyn Store, job: JobId) -> RunInputs {
    let found = store.job(job).unwrap().unwrap();
    assert_eq!(store.load().unwrap().job(job), Some(&found));
    *found.last_run.unwrap().inputs.unwrap()
}

fn a_job_starts_with_the_values_that_were_given(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    with_inputs(store, vec![job("a", &[]), job("b", &["a"])]);
    let worker = join(store);
    let given = values(&[("env", Some("prod")), ("token", None), ("of another queue", Some("1"))]);
    accept(store, request(&given, process()));
    for id in [JobId(1), JobId(2)] {
        accept(store, claim(worker));
        let inputs = run_inputs(store, id);
        assert_eq!(inputs.inputs, values(&[("env", Some("prod")), ("token", None)]));
        assert_eq!(
            inputs.command.as_deref(),
            Some("deploy prod 'x•••y' '${inputs.other}'"),
            "secrets are not on record"
        );
        let started = store.job(id).unwrap().unwrap();
        let secrets = [(Arc::from("token"), "$(rm)".to_owned())].into();
        let filled = started.definition_with_secrets(&secrets).unwrap();
        let Call::Script(Script { program: Program::Command(words), .. }) = &filled.call else { panic!("{filled:?}") };
        assert_eq!(words[1..3], ["prod", "x$(rm)y"]);
        let run = started.current_run().unwrap();
        accept(store, report(id, run, Outcome::Succeeded));
    }
    // Run again, it keeps the values, except for secrets.
    let run = |given: &InputValues| request(given, Command::Run { job: JobId(1), force: false });
    let refused = execute(store, run(&values(&[])));
    assert!(matches!(refused, Err(Refusal::Inputs { .. })), "{refused:?}");
    accept(store, run(&values(&[("token", None)])));
    accept(store, claim(worker));
    assert_eq!(run_inputs(store, JobId(1)).inputs, values(&[("env", Some("prod")), ("token", None)]));
    assert_eq!(store.runs(JobId(1)).unwrap().len(), 2);
    let all = store.runs(JobId(1)).unwrap();
    let recorded = all.iter().map(|run| run.inputs.as_deref().unwrap().inputs.len());
    assert_eq!(recorded.collect::<Vec<_>>(), [2, 2], "each run keeps its values");
}

fn a_request_without_a_required_value_changes_nothing(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    with_inputs(store, vec![job("a", &[])]);
    let before = store.load().unwrap();
    let refused = execute(store, request(&values(&[("env", Some("prod"))]), process()));
    assert_eq!(refused.unwrap_err().to_string(), format!("{}: input without a value: token", queue()));
    let refused = execute(store, request(&values(&[("env", Some("moon")), ("token", None)]), process()));
    let message = "input env: expected `staging` or `prod`, found \"moon\"";
    assert_eq!(refused.unwrap_err().to_string(), format!("{}: {message}", queue()));
    assert_eq!(store.load().unwrap(), before);
}

fn a_job_without_a_value_fails_with_a_reason(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    with_inputs(store, vec![job("a", &[])]);
    let worker = join(store);
    // Without a request, as by a schedule that an earlier version of the file had.
    accept(store, process());
    accept(store, claim(worker));
    let started = store.job(JobId(1)).unwrap().unwrap();
    let problem = started.filled_definition().unwrap_err().message;
    assert_eq!(problem, "input token has no value; give one with --input token=VALUE");
}

fn the_values_of_a_request_end_with_it(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    with_inputs(store, vec![job("a", &[])]);
    let worker = join(store);
    let given = values(&[("env", Some("prod")), ("token", None)]);
    accept(store, request(&given, process()));
    let of_queue = |store: &mut dyn Store| store.queues().unwrap()[0].inputs.clone();
    assert_eq!(of_queue(store).as_deref().map(|inputs| &inputs.values), Some(&given));
    accept(store, claim(worker));
    let run = store.job(JobId(1)).unwrap().unwrap().current_run().unwrap();
    accept(store, report(JobId(1), run, failed()));
    assert_eq!(of_queue(store), None);
    accept(store, Command::Reset { job: JobId(1) });
    let job = store.job(JobId(1)).unwrap().unwrap();
    assert_eq!((job.inputs, job.environment), (None, None));
}

/// The environment and the values of a job.
fn request_of(store: &mut dyn Store, job: JobId) -> (Option<EnvironmentId>, Option<InputValues>) {
    let found = store.job(job).unwrap().unwrap();
    assert_eq!(store.load().unwrap().job(job), Some(&found));
    (found.environment, found.inputs.map(|inputs| inputs.values.clone()))
}

fn an_added_job_gets_the_values_of_the_request_that_runs_it(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    with_inputs(store, vec![job("a", &[])]);
    let worker = join(store);
    let add = || Command::Add { queue: queue(), jobs: vec![Arc::new(Definition::new(Script::shell("true")))] };
    let by = |environment: EnvironmentId, given: &InputValues, command| Command::Request {
        environment,
        inputs: RequestInputs::of(given.clone(), None),
        command: Box::new(command),
    };
    accept(store, by(user(1), &values(&[]), add()));
    let given = values(&[("env", Some("prod")), ("token", None)]);
    accept(store, by(user(2), &given, process()));
    // Added while its queue is processed.
    accept(store, by(user(3), &values(&[]), add()));
    for id in [JobId(1), JobId(2), JobId(3)] {
        accept(store, claim(worker));
        // The secret is stored with the environment of the request that has given it.
        assert_eq!(request_of(store, id), (Some(user(2)), Some(given.clone())), "{id}");
        assert_eq!(run_inputs(store, id).inputs, given, "{id}");
        let run = store.job(id).unwrap().unwrap().current_run().unwrap();
        accept(store, report(id, run, Outcome::Succeeded));
    }
}

fn snapshots_that_records_name_are_in_use(backend: &BackendSite) {
    let mut store = backend.connect();
    let store = store.as_mut();
    let exec = ExecOptions { snapshot: Some(SnapshotKind::Git), ..ExecOptions::default() };
    let mut definition = Definition::new(Script::command(["true"]).with_exec(exec));
    (definition.name, definition.digest) = (Some("a".into()), Some(1));
    with_inputs(store, vec![Arc::new(definition), job("b", &[])]);
    let worker = join(store);
    let snapshot = |commit: &str| {
        Arc::new(Snapshot {
            commit: commit.to_owned(),
            repository: "/repository".into(),
            branch: None,
            has_changes: true,
            at: at(0),
            host: "here".to_owned(),
            at_start: false,
        })
    };
    let in_use = |store: &mut dyn Store| {
        store.snapshots_in_use().unwrap().into_iter().map(|snapshot| snapshot.commit).collect::<BTreeSet<_>>()
    };
    assert!(in_use(store).is_empty());
    for (commit, expected) in [("first", &["first"][..]), ("second", &["first", "second"])] {
        accept(store, request(&values(&[("token", None)]), Command::Run { job: JobId(1), force: false }));
        accept(store, Command::RecordSnapshot { job: JobId(1), run: None, snapshot: snapshot(commit) });
        assert_eq!(in_use(store).iter().collect::<Vec<_>>(), expected, "of a job that waits");
        accept(store, claim(worker));
        let run = store.job(JobId(1)).unwrap().unwrap().current_run().unwrap();
        accept(store, report(JobId(1), run, Outcome::Succeeded));
        assert_eq!(in_use(store).iter().collect::<Vec<_>>(), expected, "of runs that have ended");
    }
    let inputs = RequestInputs::of(values(&[("token", None)]), Some(snapshot("of the queue")));
    accept(store, Command::Request { environment: user(1), inputs, command: Box::new(process()) });
    assert!(in_use(store).contains("of the queue"));
}
