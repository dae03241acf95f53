//! A job as people write it in `jobs.yaml`: only what differs from a job that says nothing, in blocks or in brackets.

use std::fmt::Write;
use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::model::{
    After, Call, Definition, FailureKind, Hook, Need, On, Program, Retry, RetryOn, Setup, Target, Terms,
};

/// A job's entry; what can't be written in a file is none.
pub(super) fn of(job: &Definition, queue: &str) -> Option<Value> {
    let Call::Script(script) = &job.call else { return None };
    let (setup, terms) = (&*script.setup, &*job.terms);
    let mut entry = Map::new();
    let mut say = |name: &str, value: Value| drop(entry.insert(name.to_owned(), value));
    if !job.title.is_empty() {
        say("title", json!(job.title));
    }
    match &script.program {
        Program::Run { text, shell } => {
            say("run", json!(text));
            match &**shell {
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
    surroundings(setup, &mut say);
    conditions(terms, queue, &mut say)?;
    if !job.tags.is_empty() {
        say("tags", json!(job.tags));
    }
    // A script that says nothing else is an entry of its own.
    match entry.get("run") {
        Some(Value::String(text)) if entry.len() == 1 => Some(json!(text)),
        _ => Some(Value::Object(entry)),
    }
}

fn surroundings(setup: &Setup, say: &mut impl FnMut(&str, Value)) {
    let usual = Setup::plain();
    if !setup.env.is_empty() {
        say("env", json!(setup.env));
    }
    match &setup.env_files[..] {
        [] => {}
        [file] => say("env_file", json!(file)),
        files => say("env_file", json!(files)),
    }
    if let Some(cwd) = &setup.cwd {
        say("cwd", json!(cwd));
    }
    if let Some(stdin) = &setup.stdin {
        say("stdin", json!(stdin));
    }
    if let Some(timeout) = setup.timeout {
        say("timeout", time(timeout));
    }
    if setup.grace != usual.grace {
        say("grace", time(setup.grace));
    }
    if setup.ok_codes != usual.ok_codes {
        say("ok_codes", json!(setup.ok_codes));
    }
    if setup.pty {
        say("pty", json!(true));
    }
    if setup.log_limit != usual.log_limit {
        say("log_limit", json!(setup.log_limit));
    }
    if let Some(hook) = &setup.on_finish {
        say("on_finish", on_finish(hook));
    }
}

fn on_finish(hook: &Hook) -> Value {
    let (name, program) = match &hook.program {
        Program::Run { text, .. } => ("run", json!(text)),
        Program::Command(words) => ("command", json!(words)),
    };
    let mut map = Map::from_iter([(name.to_owned(), program)]);
    if hook.on != On::Finish {
        map.insert("on".to_owned(), json!(hook.on));
    }
    if hook.timeout != Hook::DEFAULT_TIMEOUT {
        map.insert("timeout".to_owned(), time(hook.timeout));
    }
    Value::Object(map)
}

fn conditions(terms: &Terms, queue: &str, say: &mut impl FnMut(&str, Value)) -> Option<()> {
    let usual = Terms::none();
    let needs: Vec<Value> = terms.needs.iter().map(|one| need(one, queue)).collect::<Option<_>>()?;
    if !needs.is_empty() {
        say("needs", Value::Array(needs));
    }
    match terms.after {
        None => {}
        Some(After::Delay(delay)) => say("after", time(delay)),
        Some(After::Time(at)) => say("after", json!(at.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
    }
    if terms.retry != usual.retry {
        say("retry", retry(&terms.retry));
    }
    if terms.priority != usual.priority {
        say("priority", json!(terms.priority));
    }
    if terms.weight != usual.weight {
        say("weight", json!(terms.weight));
    }
    if let Some(question) = &terms.confirm {
        say("confirm", json!(question));
    }
    Some(())
}

/// A job without a name can't be named.
fn need(need: &Need, queue: &str) -> Option<Value> {
    let Target::Named(its, name) = &need.job else { return None };
    let name = if its.as_str() == queue { name.to_string() } else { format!("{its}/{name}") };
    Some(if need.on == On::Success { json!(name) } else { json!({"job": name, "on": need.on}) })
}

fn retry(retry: &Retry) -> Value {
    let usual = Retry::times(retry.max);
    if *retry == usual {
        return json!(retry.max);
    }
    let mut map = json!({"max": retry.max, "delay": time(retry.delay)});
    if retry.backoff.total_cmp(&usual.backoff).is_ne() {
        map["backoff"] = json!(retry.backoff);
    }
    map["max_delay"] = time(retry.max_delay);
    if !retry.on.is_empty() {
        let word = |on: &RetryOn| match on {
            RetryOn::Code(code) => json!(code),
            RetryOn::Failure(kind) => json!(FailureKind::clone(kind)),
            RetryOn::Interrupted => json!("interrupted"),
        };
        map["on"] = retry.on.iter().map(word).collect();
    }
    map
}

fn time(duration: Duration) -> Value {
    json!(humantime::format_duration(duration).to_string())
}

/// The entry as an item of a list in blocks, whose dashes stand behind `pad`: its lines.
pub(super) fn in_blocks(entry: &Value, pad: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let Value::Object(fields) = entry else {
        said(entry, &format!("{pad}- "), &format!("{pad}  "), &mut lines);
        return lines;
    };
    for (nth, (name, value)) in fields.iter().enumerate() {
        let dash = if nth == 0 { '-' } else { ' ' };
        said(value, &format!("{pad}{dash} {name}: "), &format!("{pad}    "), &mut lines);
    }
    lines
}

/// A value behind the `beginning` of its line; if it takes several, the others are indented by `inner`.
fn said(value: &Value, beginning: &str, inner: &str, lines: &mut Vec<String>) {
    if let Value::String(text) = value
        && let Some(body) = text.strip_suffix('\n').or(Some(text)).filter(|body| fits_block(body))
    {
        lines.push(format!("{beginning}|{}", if text.ends_with('\n') { "" } else { "-" }));
        lines.extend(
            body.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{inner}{line}") }),
        );
        return;
    }
    lines.push(match value {
        Value::String(text) if is_plain(text) => format!("{beginning}{text}"),
        value => format!("{beginning}{}", in_brackets(value)),
    });
}

/// Whether a text of several lines can stand in a block as it is.
fn fits_block(text: &str) -> bool {
    let lines = || text.split('\n');
    lines().count() > 1
        && !text.starts_with([' ', '\t', '\n'])
        && !text.ends_with('\n')
        && text.chars().all(|c| c == '\n' || c == '\t' || is_shown(c))
        && lines().all(|line| line.is_empty() || !line.trim().is_empty())
}

/// A value in one line, in brackets or quotes where it needs them.
pub(super) fn in_brackets(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if is_plain(text) && !text.contains([',', '[', ']', '{', '}', ':']) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(in_brackets).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let key = |name: &String| in_brackets(&Value::String(name.clone()));
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", key(name), in_brackets(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether a text needs no quotes in a line of its own.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let option = text.trim_start_matches('-');
    let dashes = text.len() - option.len();
    let path = text.starts_with("./") || text.starts_with("../");
    (path || option.starts_with(|c: char| c.is_ascii_alphabetic() || dashes == 0 && "/_".contains(c)))
        && dashes < 3
        && text.parse::<f64>().is_err()
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && text.chars().all(is_shown)
}

/// Whether a character stands for itself in every kind of text.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_shown(c) => quoted.push(c),
            // A string takes whatever it is given.
            c => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
        }
    }
    quoted + "\""
}
