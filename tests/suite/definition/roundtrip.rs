//! A plan that is written to a file and read back is unchanged, in block and flow style.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use setlist::definition;
use setlist::model::{
    Arguments, Conditions, Definition, DesiredQueue, DesiredState, ExecOptions, FailureKind, FileRules, Growth, Hook,
    Interruptions, JobRef, Limits, Need, NotBefore, OnFailure, OutcomeCondition, PassEnv, Program, QueueId,
    QueueSettings, Retention, RetryOn, RetryPolicy, RetryScale, SchedulingOptions, Script, SnapshotKind,
    SourceComparison, StallPolicy, StopSignal,
};

use super::{schema, shell};
use crate::rng::cases;

/// Text with characters and words that YAML interprets when unquoted.
const PIECES: [&str; 34] = [
    "a", "B", "0", "9", " ", "  ", "\n", "\t", "\"", "'", ": ", " #", "- ", "é", "日本", "🦀", "~", "null", "true",
    "1.10", "0x1f", "[", "]", "{", "}", "&", "*", "!", "|", ">", "\\", "%", "@", ", ",
];

fn text() -> impl Strategy<Value = String> {
    vec(select(&PIECES[..]), 0..6).prop_map(|pieces| pieces.concat())
}

fn non_empty_text() -> impl Strategy<Value = String> {
    (text(), select(&["x", "true", "5", "echo"][..]), text()).prop_map(|(a, b, c)| a + b + &c)
}

fn path() -> impl Strategy<Value = String> {
    non_empty_text().prop_filter("not the home folder of a user", |path| !path.starts_with('~'))
}

fn key() -> impl Strategy<Value = String> {
    non_empty_text().prop_filter("a merge key", |key| key != "<<")
}

fn millis() -> impl Strategy<Value = Duration> {
    (1..200_000_u64).prop_map(Duration::from_millis)
}

fn argument() -> impl Strategy<Value = Value> {
    prop_oneof![text().prop_map(Value::from), any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from)]
}

fn program() -> impl Strategy<Value = Program> {
    let shell = prop_oneof![
        Just(vec!["sh".to_owned()]),
        Just(vec!["python3".to_owned()]),
        Just(vec!["/usr/bin/fish".to_owned()]),
        (non_empty_text(), vec(text(), 1..3)).prop_map(|(program, words)| [vec![program], words].concat()),
    ];
    prop_oneof![
        (non_empty_text(), shell).prop_map(|(text, shell)| Program::Run { text: text.into(), shell: shell.into() }),
        (non_empty_text(), vec(text(), 0..3))
            .prop_map(|(program, words)| Program::Command([vec![program], words].concat())),
    ]
}

fn hook() -> impl Strategy<Value = Hook> {
    let program = prop_oneof![
        non_empty_text().prop_map(|text| shell(&text)),
        (non_empty_text(), vec(text(), 0..3))
            .prop_map(|(program, words)| Program::Command([vec![program], words].concat())),
    ];
    let on = select(&[OutcomeCondition::Success, OutcomeCondition::Failure, OutcomeCondition::Finish][..]);
    (program, on, millis()).prop_map(|(program, on, timeout)| Hook { program, on, timeout })
}

fn pass_env() -> impl Strategy<Value = PassEnv> {
    prop_oneof![
        3 => Just(PassEnv::All),
        1 => Just(PassEnv::None),
        1 => vec(key(), 0..3).prop_map(PassEnv::Names),
    ]
}

fn exec_options() -> impl Strategy<Value = ExecOptions> {
    let surroundings = (
        btree_map(key(), option::of(text()), 0..3),
        vec(path(), 0..3),
        option::of(path()),
        option::of(text()),
        pass_env(),
    );
    let limits = (
        option::of(millis()),
        millis(),
        vec(0..256_i32, 1..3),
        any::<bool>(),
        prop_oneof![Just(4096), 5_000..1_u64 << 40],
        (option::of(hook()), option::of(stall()), option::of(event_hook()), limits()),
    );
    (surroundings, limits, start_checks()).prop_map(
        |((env, files, cwd, stdin, pass_env), (timeout, grace, ok_codes, pty, log_limit, hooks), checks)| ExecOptions {
            secrets: Arc::default(),
            env,
            env_files: files.into_iter().map(Into::into).collect(),
            pass_env,
            cwd: cwd.map(Into::into),
            snapshot: checks.2.filter(|_| checks.1.as_ref().is_none_or(|files| files.outputs.is_empty())),
            stdin,
            timeout,
            grace,
            ok_codes: ok_codes.into(),
            pty,
            log_limit,
            conditions: checks.0,
            files: checks.1,
            on_finish: hooks.0.map(Into::into),
            stall: hooks.1,
            on_stall: hooks.2.filter(|_| hooks.1.is_some()).map(Into::into),
            on_overdue: None,
            limits: hooks.3,
        },
    )
}

fn start_checks() -> impl Strategy<Value = (Option<Arc<Conditions>>, Option<Arc<FileRules>>, Option<SnapshotKind>)> {
    let program = prop_oneof![
        non_empty_text().prop_map(|text| shell(&text)),
        vec(non_empty_text(), 1..3).prop_map(Program::Command)
    ];
    let conditions = (option::of(program.clone()), option::of(program))
        .prop_map(|(run_if, run_unless)| Conditions { run_if, run_unless })
        .prop_map(|conditions| (!conditions.is_empty()).then(|| Arc::new(conditions)));
    let pattern =
        || select(&["in/*.wav", "src/**", "a b/é", "~/x/[ab]?", "{a,b}.txt", "/abs"][..]).prop_map(str::to_owned);
    let on = select(&[SourceComparison::Content, SourceComparison::Mtime][..]);
    let files =
        (vec(pattern(), 0..3), on, vec(pattern(), 0..3), any::<bool>()).prop_map(|(sources, on, outputs, excludes)| {
            let on = if sources.is_empty() { SourceComparison::Content } else { on };
            let excluded = (excludes && !sources.is_empty()).then(|| "!x/*".to_owned());
            FileRules { sources: sources.into_iter().chain(excluded).collect(), on, outputs }
        });
    let files = files.prop_map(|files| (files != FileRules::default()).then(|| Arc::new(files)));
    (conditions, files, option::of(Just(SnapshotKind::Git)))
}

fn stall() -> impl Strategy<Value = StallPolicy> {
    let stop = select(&[None, Some(StopSignal::Terminate), Some(StopSignal::Kill)][..]);
    (1_000..10_000_000_u64, stop).prop_map(|(millis, stop)| StallPolicy { after: Duration::from_millis(millis), stop })
}

/// A hook that follows no outcome.
fn event_hook() -> impl Strategy<Value = Hook> {
    hook().prop_map(|hook| Hook { on: OutcomeCondition::Finish, ..hook })
}

fn limits() -> impl Strategy<Value = Limits> {
    let seconds = (1..100_000_u64).prop_map(Duration::from_secs);
    let (count, bytes) = (1..1_u64 << 32, 1_u64 << 20..1 << 60);
    let limits = (option::of(bytes.clone()), option::of(seconds), option::of(count.clone()), option::of(count));
    let (cpus, nice) = (option::of(10..1_000_000_u32), option::of(-20..20_i8));
    (limits, option::of(bytes), cpus, nice).prop_map(
        |((memory, cpu_time, open_files, processes), file_size, millicpus, nice)| Limits {
            memory,
            cpu_time,
            open_files,
            processes,
            file_size,
            millicpus,
            nice,
        },
    )
}

fn retry_policy() -> impl Strategy<Value = RetryPolicy> {
    let on = prop_oneof![
        select(
            &[
                FailureKind::Exit,
                FailureKind::Signal,
                FailureKind::Timeout,
                FailureKind::Stalled,
                FailureKind::NotStarted,
            ][..]
        )
        .prop_map(RetryOn::Failure),
        (0..256_i32).prop_map(RetryOn::Code),
        Just(RetryOn::Interrupted),
        Just(RetryOn::OutOfMemory),
    ];
    let (delay, backoff) = (millis(), select(&[1.0, 1.5, 2.0, 1e3][..]));
    let interrupted = select(&[Interruptions::Counted, Interruptions::Free][..]);
    (any::<u32>(), delay, backoff, millis(), vec(on, 0..3), interrupted, scales()).prop_map(
        |(max, delay, backoff, more, on, interrupted, scale)| RetryPolicy {
            max,
            delay,
            backoff,
            max_delay: delay + more,
            on,
            interrupted,
            scale,
        },
    )
}

fn scales() -> impl Strategy<Value = RetryScale> {
    let growth = || {
        let factor = select(&[1.5, 2.0, 1e3][..]);
        option::of((factor, option::of(1..1_u64 << 40)).prop_map(|(factor, max)| Growth { factor, max }))
    };
    (growth(), growth()).prop_map(|(memory, timeout)| RetryScale { memory, timeout })
}

/// Scheduling options without needs.
fn scheduling_options() -> impl Strategy<Value = SchedulingOptions> {
    let after = option::of(millis().prop_map(NotBefore::Delay));
    (after, any::<i32>(), 1..u32::MAX, retry_policy(), option::of(non_empty_text())).prop_map(
        |(after, priority, weight, retry, confirm)| SchedulingOptions {
            needs: Vec::new(),
            after,
            priority,
            weight,
            retry,
            confirm,
            ..SchedulingOptions::default()
        },
    )
}

pub(super) fn job() -> impl Strategy<Value = Definition> {
    let output = ("[a-z][a-z0-9_.-]{0,6}", text(), vec(non_empty_text(), 0..3));
    let passed = (vec(argument(), 0..3), vec((key(), prop_oneof![Just(Value::Null), argument()]), 0..3));
    (output, program(), passed, exec_options(), scheduling_options()).prop_map(
        |((name, title, tags), program, (args, kwargs), exec, terms)| {
            let mut job = Definition::new(Script { program, exec: exec.into() });
            job.name = Some(name.into());
            job.title = title.into();
            job.tags = tags.into();
            job.arguments = Arguments { args, kwargs: kwargs.into_iter().collect() }.into();
            job.scheduling = terms.into();
            job
        },
    )
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let on_failure = select(&[OnFailure::Continue, OnFailure::Stop][..]);
    let keep = (option::of(1..u32::MAX), option::of(1..1_000_000_u64), option::of(1..1_u64 << 50));
    (text(), 1..u32::MAX, on_failure, keep).prop_map(|(title, parallel, on_failure, (runs, seconds, bytes))| {
        QueueSettings {
            parallel_override: None,
            title,
            parallel,
            on_failure,
            retention: Retention { max_runs: runs, max_age_seconds: seconds, max_output_bytes: bytes },
            schedule: None,
            expect: None,
            on_overdue: None,
            inputs: Arc::default(),
            has_snapshots: false,
            is_in_file: true,
            order: 0,
        }
    })
}

/// Queues whose jobs need some of the jobs before them, so there are no cycles.
pub(super) fn plan() -> impl Strategy<Value = DesiredState> {
    let on = select(&[OutcomeCondition::Success, OutcomeCondition::Failure, OutcomeCondition::Finish][..]);
    let jobs = vec((job(), vec((any::<prop::sample::Index>(), on), 0..3)), 0..4);
    let name = key().prop_filter("a name for queues", |name| QueueId::invalid_name_reason(name).is_none());
    vec((name, settings(), jobs), 0..4).prop_map(|queues| {
        let mut plan = DesiredState::default();
        let mut known: Vec<JobRef> = Vec::new();
        for (order, (id, settings, jobs)) in queues.into_iter().enumerate() {
            let id = QueueId::from(format!("{id}{order}"));
            let settings = QueueSettings { order: order.try_into().unwrap(), ..settings };
            let mut queue = DesiredQueue { id, settings, jobs: Vec::new() };
            for (nth, (mut job, needs)) in jobs.into_iter().enumerate() {
                let name: Arc<str> = format!("{}-{nth}", job.name.as_deref().unwrap()).into();
                job.name = Some(Arc::clone(&name));
                let mut needed: Vec<Need> = Vec::new();
                for (index, on) in needs.into_iter().filter(|_| !known.is_empty()) {
                    let job = index.get(&known).clone();
                    if needed.iter().all(|need| need.job != job) {
                        needed.push(Need { job, on });
                    }
                }
                Arc::make_mut(&mut job.scheduling).needs = needed;
                queue.jobs.push(job.into());
                known.push(JobRef::Named(queue.id.clone(), name));
            }
            queue.settings.has_snapshots = queue.jobs.iter().any(|job| job.runs_on_snapshot());
            plan.queues.push(queue);
        }
        plan
    })
}

/// Converts a plan to the content of its file.
pub(super) fn plan_to_value(plan: &DesiredState) -> Value {
    let queues = plan.queues.iter().map(|queue| {
        let QueueSettings { title, parallel, on_failure, retention, .. } = &queue.settings;
        let or_all = |value: Option<Value>| value.unwrap_or_else(|| "all".into());
        let keep = json!({
            "runs": or_all(retention.max_runs.map(Value::from)),
            "age": or_all(retention.max_age_seconds.map(|seconds| format!("{seconds}s").into())),
            "size": or_all(retention.max_output_bytes.map(Value::from)),
        });
        let jobs: Vec<Value> = queue.jobs.iter().map(|job| job_to_value(job)).collect();
        let fields =
            json!({"title": title, "parallel": parallel, "on_failure": on_failure, "keep": keep, "jobs": jobs});
        (queue.id.to_string(), fields)
    });
    json!({"queues": queues.collect::<Map<_, _>>()})
}

fn job_to_value(job: &Definition) -> Value {
    let time = |duration: Duration| Value::from(format!("{}ms", duration.as_millis()));
    let or_none = |value: Option<Value>| value.unwrap_or_else(|| "none".into());
    let script = super::script(job);
    let (setup, terms) = (&script.exec, &job.scheduling);
    let mut fields = json!({
        "id": job.name,
        "title": job.title,
        "args": job.arguments.args,
        "kwargs": job.arguments.kwargs,
        "tags": job.tags,
        "env": setup.env,
        "env_file": setup.env_files,
        "snapshot": or_none(setup.snapshot.map(|kind| kind.as_str().into())),
        "pass_env": match &setup.pass_env {
            PassEnv::All => json!("all"),
            PassEnv::None => json!("none"),
            PassEnv::Names(names) => json!(names),
        },
        "grace": time(setup.grace),
        "ok_codes": setup.ok_codes,
        "pty": setup.pty,
        "log_limit": setup.log_limit,
        "limits": {
            "memory": or_none(setup.limits.memory.map(Value::from)),
            "cpu_time": or_none(setup.limits.cpu_time.map(time)),
            "open_files": or_none(setup.limits.open_files.map(Value::from)),
            "processes": or_none(setup.limits.processes.map(Value::from)),
            "file_size": or_none(setup.limits.file_size.map(Value::from)),
            "cpus": or_none(setup.limits.millicpus.map(|cpus| json!(f64::from(cpus) / 1000.0))),
            "nice": or_none(setup.limits.nice.map(Value::from)),
        },
        "priority": terms.priority,
        "weight": terms.weight,
    });
    for (kind, program) in setup.conditions.iter().flat_map(|conditions| conditions.programs()) {
        fields[kind.as_str()] = match program {
            Program::Run { text, .. } => json!(text),
            Program::Command(words) => json!(words),
        };
    }
    if let Some(files) = &setup.files {
        if !files.sources.is_empty() {
            fields["sources"] = json!({"paths": files.sources, "on": files.on});
        }
        if let [output] = &files.outputs[..] {
            fields["outputs"] = json!(output);
        } else if !files.outputs.is_empty() {
            fields["outputs"] = json!(files.outputs);
        }
    }
    match &script.program {
        Program::Run { text, shell } => {
            fields["run"] = text.as_str().into();
            fields["shell"] = if shell.len() == 1 { shell[0].as_str().into() } else { json!(shell) };
        }
        Program::Command(words) => fields["command"] = json!(words),
    }
    fields["retry"] = retry_to_value(&terms.retry);
    fields["needs"] = terms.needs.iter().map(|need| json!({"job": need.job, "on": need.on})).collect();
    fields["timeout"] = setup.timeout.map_or_else(|| "none".into(), time);
    fields["on_finish"] = hook_value(setup.on_finish.as_deref());
    fields["stall"] = setup.stall.map_or_else(
        || "none".into(),
        |StallPolicy { after, stop }| {
            let then = match stop {
                None => "report",
                Some(StopSignal::Terminate) => "cancel",
                Some(StopSignal::Kill) => "kill",
            };
            json!({"after": time(after), "then": then})
        },
    );
    fields["on_stall"] = hook_value(setup.on_stall.as_deref());
    if let Some(map) = fields["on_stall"].as_object_mut() {
        map.remove("on");
    }
    if let Some(cwd) = &setup.cwd {
        fields["cwd"] = json!(cwd);
    }
    if let Some(stdin) = &setup.stdin {
        fields["stdin"] = json!(stdin);
    }
    if let Some(NotBefore::Delay(delay)) = terms.after {
        fields["after"] = time(delay);
    }
    if let Some(confirm) = &terms.confirm {
        fields["confirm"] = json!(confirm);
    }
    fields
}

fn hook_value(hook: Option<&Hook>) -> Value {
    let Some(hook) = hook else { return "none".into() };
    let mut map = json!({"on": hook.on, "timeout": format!("{}ms", hook.timeout.as_millis())});
    match &hook.program {
        Program::Run { text, .. } => map["run"] = text.as_str().into(),
        Program::Command(words) => map["command"] = json!(words),
    }
    map
}

/// Formats a value as JSON, with more escapes so that it is YAML.
pub(super) fn to_flow(value: &Value) -> String {
    let mut escaped = String::new();
    for character in value.to_string().chars() {
        match character {
            ' '..='~' => escaped.push(character),
            _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(escaped, "\\u{unit:04x}").unwrap()),
        }
    }
    escaped
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_plan_survives_a_roundtrip(plan in plan()) {
        let value = plan_to_value(&plan);
        let blocks = serde_yaml::to_string(&value).unwrap();
        schema::assert_schema_accepts(&blocks);
        let read = definition::parse("jobs.yaml", &blocks);
        let read = read.map_err(|wrong| TestCaseError::fail(format!("{}\n{blocks}", wrong.render(false))))?;
        // The crab needs two escapes in JSON.
        if !value.to_string().contains('🦀') {
            let brackets = to_flow(&value);
            let other = definition::parse("jobs.yaml", &brackets);
            let other = other.map_err(|wrong| TestCaseError::fail(format!("{}\n{brackets}", wrong.render(false))))?;
            prop_assert_eq!(&other, &read, "{}", brackets);
        }
        let mut read = read;
        for job in read.queues.iter_mut().flat_map(|queue| &mut queue.jobs) {
            prop_assert!(Arc::make_mut(job).digest.take().is_some());
        }
        prop_assert_eq!(read, plan, "{}", blocks);
    }
}

fn scale_to_value(scale: &RetryScale) -> Value {
    let grown = |growth: Option<Growth>, max: fn(u64) -> Value| {
        growth.map(|Growth { factor, max: most }| {
            most.map_or(json!(factor), |most| json!({"by": factor, "max": max(most)}))
        })
    };
    let memory = grown(scale.memory, |bytes| json!(bytes));
    let timeout = grown(scale.timeout, |millis| json!(format!("{millis}ms")));
    let fields = [("memory", memory), ("timeout", timeout)];
    Value::Object(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn retry_to_value(retry: &RetryPolicy) -> Value {
    let time = |duration: Duration| Value::from(format!("{}ms", duration.as_millis()));
    let on = |on: &RetryOn| match on {
        RetryOn::Code(code) => json!(code),
        RetryOn::Failure(kind) => json!(kind),
        RetryOn::Interrupted => json!("interrupted"),
        RetryOn::OutOfMemory => json!("oom"),
    };
    let RetryPolicy { max, delay, backoff, max_delay, on: failures, interrupted, scale } = retry;
    let mut value = json!({"max": max, "delay": time(*delay), "backoff": backoff, "max_delay": time(*max_delay)});
    value["interrupted"] = json!(interrupted);
    value["scale"] = scale_to_value(scale);
    if !failures.is_empty() {
        value["on"] = failures.iter().map(on).collect();
    }
    value
}
