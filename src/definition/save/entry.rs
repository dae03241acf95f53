//! Writes a job as a `jobs.yaml` entry, in block or flow style, with only the fields that differ from the defaults.

use std::fmt::Write;
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::model::{
    Call, Definition, ExecOptions, FailureKind, FileRules, Growth, Hook, Interruptions, JobRef, Limits, Need,
    NotBefore, OutcomeCondition, PassEnv, Program, RetryOn, RetryPolicy, RetryScale, SchedulingOptions,
    SourceComparison, StallPolicy, StopSignal,
};
use crate::text;

/// Converts a job to an entry. Returns `None` if a file can't express it.
pub(super) fn to_value(job: &Definition, queue: &str) -> Option<Value> {
    let Call::Script(script) = &job.call else { return None };
    let (exec, scheduling) = (&*script.exec, &*job.scheduling);
    let mut entry = Map::new();
    let mut say = |name: &str, value: Value| drop(entry.insert(name.to_owned(), value));
    if !job.title.is_empty() {
        say("title", json!(job.title));
    }
    match &script.program {
        Program::Run { text, shell } => {
            say("run", json!(text));
            match shell.as_slice() {
                [name] if name == "sh" => {}
                [name] => say("shell", json!(name)),
                words => say("shell", json!(words)),
            }
        }
        Program::Command(words) => say("command", json!(words)),
    }
    if !job.arguments.args.is_empty() {
        say("args", json!(job.arguments.args));
    }
    if !job.arguments.kwargs.is_empty() {
        say("kwargs", json!(job.arguments.kwargs));
    }
    write_exec_options(exec, &mut say);
    write_scheduling_options(scheduling, queue, &mut say)?;
    if !job.tags.is_empty() {
        say("tags", json!(job.tags));
    }
    // A script without other fields is written as text.
    match entry.get("run") {
        Some(Value::String(text)) if entry.len() == 1 => Some(json!(text)),
        _ => Some(Value::Object(entry)),
    }
}

fn write_exec_options(exec: &ExecOptions, say: &mut impl FnMut(&str, Value)) {
    let defaults = ExecOptions::shared_default();
    if !exec.env.is_empty() {
        say("env", json!(exec.env));
    }
    match &exec.env_files[..] {
        [] => {}
        [file] => say("env_file", json!(file)),
        files => say("env_file", json!(files)),
    }
    match &exec.pass_env {
        PassEnv::All => {}
        PassEnv::None => say("pass_env", json!("none")),
        PassEnv::Names(names) => say("pass_env", json!(names)),
    }
    if let Some(cwd) = &exec.cwd {
        say("cwd", json!(cwd));
    }
    if let Some(snapshot) = exec.snapshot {
        say("snapshot", json!(snapshot.as_str()));
    }
    if let Some(stdin) = &exec.stdin {
        say("stdin", json!(stdin));
    }
    if let Some(timeout) = exec.timeout {
        say("timeout", duration(timeout));
    }
    if exec.grace != defaults.grace {
        say("grace", duration(exec.grace));
    }
    if exec.ok_codes != defaults.ok_codes {
        say("ok_codes", json!(exec.ok_codes));
    }
    if exec.pty {
        say("pty", json!(true));
    }
    if exec.log_limit != defaults.log_limit {
        say("log_limit", json!(exec.log_limit));
    }
    if !exec.limits.is_empty() {
        say("limits", limits(&exec.limits));
    }
    for (kind, program) in exec.conditions.iter().flat_map(|conditions| conditions.programs()) {
        say(
            kind.as_str(),
            match program {
                Program::Run { text, .. } => json!(text),
                Program::Command(words) => json!(words),
            },
        );
    }
    if let Some(files) = &exec.files {
        write_file_rules(files, say);
    }
    if let Some(hook) = &exec.on_finish {
        say("on_finish", hook_map(hook));
    }
    if let Some(stall) = exec.stall {
        say("stall", stall_value(stall));
    }
    if let Some(hook) = &exec.on_stall {
        say("on_stall", hook_map(hook));
    }
    if let Some(hook) = &exec.on_overdue {
        say("on_overdue", hook_map(hook));
    }
}

fn write_file_rules(files: &FileRules, say: &mut impl FnMut(&str, Value)) {
    match files.on {
        _ if files.sources.is_empty() => {}
        SourceComparison::Content => say("sources", json!(files.sources)),
        SourceComparison::Mtime => say("sources", json!({"paths": files.sources, "on": files.on})),
    }
    if !files.outputs.is_empty() {
        say("outputs", json!(files.outputs));
    }
}

fn stall_value(StallPolicy { after, stop }: StallPolicy) -> Value {
    match stop {
        None => duration(after),
        Some(StopSignal::Terminate) => json!({"after": duration(after), "then": "cancel"}),
        Some(StopSignal::Kill) => json!({"after": duration(after), "then": "kill"}),
    }
}

fn limits(limits: &Limits) -> Value {
    let Limits { memory, cpu_time, open_files, processes, file_size, millicpus, nice } = *limits;
    let fields = [
        ("memory", memory.map(|bytes| json!(bytes))),
        ("cpus", millicpus.map(|thousandths| json!(f64::from(thousandths) / 1000.0))),
        ("cpu_time", cpu_time.map(duration)),
        ("open_files", open_files.map(|count| json!(count))),
        ("processes", processes.map(|count| json!(count))),
        ("file_size", file_size.map(|bytes| json!(bytes))),
        ("nice", nice.map(|nice| json!(nice))),
    ];
    Value::Object(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn hook_map(hook: &Hook) -> Value {
    let (name, program) = match &hook.program {
        Program::Run { text, .. } => ("run", json!(text)),
        Program::Command(words) => ("command", json!(words)),
    };
    let mut map = Map::from_iter([(name.to_owned(), program)]);
    if hook.on != OutcomeCondition::Finish {
        map.insert("on".to_owned(), json!(hook.on));
    }
    if hook.timeout != Hook::DEFAULT_TIMEOUT {
        map.insert("timeout".to_owned(), duration(hook.timeout));
    }
    Value::Object(map)
}

fn write_scheduling_options(
    scheduling: &SchedulingOptions,
    queue: &str,
    say: &mut impl FnMut(&str, Value),
) -> Option<()> {
    let defaults = SchedulingOptions::shared_default();
    let needs: Vec<Value> = scheduling.needs.iter().map(|one| need(one, queue)).collect::<Option<_>>()?;
    if !needs.is_empty() {
        say("needs", Value::Array(needs));
    }
    match scheduling.after {
        None => {}
        Some(NotBefore::Delay(delay)) => say("after", duration(delay)),
        Some(NotBefore::Time(at)) => say("after", json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
    }
    if scheduling.retry != defaults.retry {
        say("retry", retry(&scheduling.retry));
    }
    if scheduling.priority != defaults.priority {
        say("priority", json!(scheduling.priority));
    }
    if scheduling.weight != defaults.weight {
        say("weight", json!(scheduling.weight));
    }
    if !scheduling.runs_on.is_empty() {
        say("runs_on", json!(scheduling.runs_on));
    }
    match &scheduling.uses.iter().filter(|wanted| !wanted.mutex).collect::<Vec<_>>()[..] {
        [] => {}
        [wanted] if wanted.count == 1 => say("uses", json!(wanted.declared_pool())),
        uses => {
            let counts = uses.iter().map(|wanted| (wanted.declared_pool().to_owned(), json!(wanted.count)));
            say("uses", Value::Object(counts.collect()));
        }
    }
    if let Some(mutex) = scheduling.uses.iter().find(|wanted| wanted.mutex) {
        say("mutex", json!(mutex.pool));
    }
    if let Some(key) = &scheduling.unique {
        say("unique", json!(key));
    }
    if let Some(question) = &scheduling.confirm {
        say("confirm", json!(question));
    }
    Some(())
}

/// Returns `None` if the needed job has no name.
fn need(need: &Need, queue: &str) -> Option<Value> {
    let JobRef::Named(its, name) = &need.job else { return None };
    let name = if its.as_str() == queue { name.to_string() } else { format!("{its}/{name}") };
    Some(if need.on == OutcomeCondition::Success { json!(name) } else { json!({"job": name, "on": need.on}) })
}

fn retry(retry: &RetryPolicy) -> Value {
    let defaults = RetryPolicy::times(retry.max);
    if *retry == defaults {
        return json!(retry.max);
    }
    let mut map = json!({"max": retry.max, "delay": duration(retry.delay)});
    if retry.backoff.total_cmp(&defaults.backoff).is_ne() {
        map["backoff"] = json!(retry.backoff);
    }
    map["max_delay"] = duration(retry.max_delay);
    if retry.interrupted == Interruptions::Free {
        map["interrupted"] = json!("free");
    }
    if !retry.on.is_empty() {
        let word = |on: &RetryOn| match on {
            RetryOn::Code(code) => json!(code),
            RetryOn::Failure(kind) => json!(FailureKind::clone(kind)),
            RetryOn::Interrupted => json!("interrupted"),
            RetryOn::OutOfMemory => json!("oom"),
        };
        map["on"] = retry.on.iter().map(word).collect();
    }
    if !retry.scale.is_none() {
        let RetryScale { memory, timeout } = retry.scale;
        let grown = |growth: Option<Growth>, max: fn(u64) -> Value| {
            growth.map(|growth| match growth.max {
                None => json!(growth.factor),
                Some(most) => json!({"by": growth.factor, "max": max(most)}),
            })
        };
        let memory = grown(memory, |bytes| json!(bytes));
        let timeout = grown(timeout, |millis| duration(Duration::from_millis(millis)));
        let fields = [("memory", memory), ("timeout", timeout)];
        map["scale"] = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    }
    map
}

fn duration(duration: Duration) -> Value {
    json!(text::exact_duration(duration))
}

/// Returns the lines of the entry as an item of a block list indented by `pad`.
pub(super) fn to_block_lines(entry: &Value, pad: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let Value::Object(fields) = entry else {
        push_value(entry, &format!("{pad}- "), &format!("{pad}  "), &mut lines);
        return lines;
    };
    for (nth, (name, value)) in fields.iter().enumerate() {
        let dash = if nth == 0 { '-' } else { ' ' };
        push_value(value, &format!("{pad}{dash} {name}: "), &format!("{pad}    "), &mut lines);
    }
    lines
}

/// Returns the lines of a field of a block map indented by `pad`.
pub(super) fn to_field_lines(name: &str, value: &Value, pad: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let name = to_flow(&Value::String(name.to_owned()));
    push_value(value, &format!("{pad}{name}: "), &format!("{pad}  "), &mut lines);
    lines
}

/// Writes a value after the `beginning` of its line. Further lines are indented by `inner`.
fn push_value(value: &Value, beginning: &str, inner: &str, lines: &mut Vec<String>) {
    if let Value::String(text) = value
        && let Some(body) = text.strip_suffix('\n').or(Some(text)).filter(|body| fits_block_scalar(body))
    {
        lines.push(format!("{beginning}|{}", if text.ends_with('\n') { "" } else { "-" }));
        lines.extend(
            body.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{inner}{line}") }),
        );
        return;
    }
    lines.push(match value {
        Value::String(text) if is_plain(text) => format!("{beginning}{text}"),
        value => format!("{beginning}{}", to_flow(value)),
    });
}

/// Whether a multi-line text can be written as a block scalar.
fn fits_block_scalar(text: &str) -> bool {
    let lines = || text.split('\n');
    lines().count() > 1
        && !text.starts_with([' ', '\t', '\n'])
        && !text.ends_with('\n')
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        && lines().all(|line| line.is_empty() || !line.trim().is_empty())
}

/// Writes a value on one line in flow style.
pub(super) fn to_flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if is_plain(text) && !text.contains([',', '[', ']', '{', '}', ':']) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(to_flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let key = |name: &String| to_flow(&Value::String(name.clone()));
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", key(name), to_flow(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether a text needs no quotes on a line of its own.
fn is_plain(text: &str) -> bool {
    const YAML_KEYWORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let option = text.trim_start_matches('-');
    let dashes = text.len() - option.len();
    let path = text.starts_with("./") || text.starts_with("../");
    (path || option.starts_with(|c: char| c.is_ascii_alphabetic() || dashes == 0 && "/_".contains(c)))
        && dashes < 3
        && text.parse::<f64>().is_err()
        && !YAML_KEYWORDS.contains(&text.to_ascii_lowercase().as_str())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && text.chars().all(is_printable)
}

/// Whether a character needs no escape.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            // Writing to a string can't fail.
            c => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
        }
    }
    quoted + "\""
}
