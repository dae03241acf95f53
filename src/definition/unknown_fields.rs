//! Reports unknown fields, with the field that was probably meant.

use super::fields::{FieldScope, FieldSpec};
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, MapKey, Node, NodeKind};
use super::spelling::{closest_keyword, invisible_name, look_alike, one_of, quoted};
use super::value_path::ValuePath;

/// More fields than this are not listed in a message.
const MAX_LISTED: usize = 12;

/// Names that other tools use for our fields. The first one that the map has counts.
const SYNONYMS: [(&[&str], &str); 23] = [
    (&["bash", "cmd", "commands", "exec", "entrypoint", "script", "sh", "shell_command", "steps", "tasks"], "run"),
    (&["program"], "command"),
    (&["steps", "tasks"], "jobs"),
    (&["tasks", "pipelines"], "queues"),
    (&["concurrency", "jobs_max", "max_parallel", "parallelism", "slots", "workers"], "parallel"),
    (&["at", "cron", "every", "interval"], "schedule"),
    (&["delay", "start_at", "wait"], "after"),
    (&["depends", "depends_on", "dependencies", "deps", "need", "requires", "wait_for"], "needs"),
    (&["chdir", "dir", "directory", "workdir", "working_dir", "working_directory"], "cwd"),
    (&["env_vars", "environ", "environment", "variables", "vars"], "env"),
    (&["dotenv", "env_files"], "env_file"),
    (&["artifacts", "creates", "generates"], "outputs"),
    (&["hook", "notify", "on_exit"], "on_finish"),
    (&["condition", "only_if", "when"], "if"),
    (&["skip_if"], "unless"),
    (&["attempts", "max_attempts", "max_retries", "max_tries", "retries", "tries"], "retry"),
    (&["tty"], "pty"),
    (&["each", "foreach", "items", "loop", "with_items"], "for_each"),
    (&["strategy"], "matrix"),
    (&["label", "labels"], "tags"),
    (&["resources"], "limits"),
    (&["parameters", "params"], "inputs"),
    (&["import", "imports", "includes"], "include"),
];

/// Those for the fields of nested maps.
const NESTED_SYNONYMS: [(&[&str], &str); 10] = [
    (&["bash", "cmd", "script", "sh"], "run"),
    (&["choices", "enum", "select", "values"], "options"),
    (&["initial", "value"], "default"),
    (&["comment", "desc", "help", "label", "prompt", "title"], "description"),
    (&["kind"], "type"),
    (&["files", "path", "paths", "pattern"], "glob"),
    (&["file"], "lines"),
    (&["attempts", "count", "limit", "max_attempts", "retries", "times", "tries"], "max"),
    (&["tz", "zone", "time_zone"], "timezone"),
    (&["cpu"], "cpus"),
];

/// Parts of unknown names, with the fields for what they are probably about.
const TOPICS: [(&[&str], &str); 19] = [
    (&["cron", "every", "interval", "schedule"], "times at which it runs: `schedule`"),
    (&["attempt", "backoff", "retries", "retry", "tries"], "retries: `retry`"),
    (&["deadline", "duration", "kill", "time"], "time limits: `timeout` and `grace`"),
    (&["dotenv", "env", "secret", "var"], "environment variables: `env` and `env_file`"),
    (&["cwd", "dir", "folder", "path"], "the working directory: `cwd`"),
    (&["depend", "need", "require", "wait"], "dependencies: `needs`"),
    (&["arg", "flag", "option", "param"], "arguments: `args` and `kwargs`"),
    (&["allow", "code", "error", "exit", "fail", "ignore"], "accepted exit codes: `ok_codes`; failures: `on_failure`"),
    (&["log", "output", "stderr", "stdout"], "output: `log_limit`"),
    (&["callback", "done", "finish", "hook", "mail", "notif"], "actions after a job: `on_finish`"),
    (&["cpu", "limit", "memory"], "what a job may use: `limits`"),
    (&["concurren", "parallel", "slot"], "concurrency: `parallel`, `weight` and `uses`"),
    (&["categor", "group", "label"], "labels: `tags`"),
    (&["comment", "desc", "help", "name"], "names: `id` and `title`"),
    (&["approv", "gate", "manual"], "approval before it runs: `confirm`"),
    (&["after_", "before", "condition", "order", "then", "when"], "what runs first: `needs` and `priority`"),
    (&["input", "stdin"], "the standard input: `stdin`"),
    (&["runas", "run_as", "sudo", "user"], "jobs run as you: use `sudo -u USER` in the script"),
    (&["bash", "exec", "prog", "script", "shell"], "what runs: `run`, `command` and `shell`"),
];

/// Reports an unknown field.
pub(super) fn report(entry: &MapEntry<'_>, scope: FieldScope, path: &ValuePath<'_>, problems: &mut Problems) {
    if let MapKey { id, text, invalid: None } = &entry.key {
        problems.add_with(|| unknown_field_problem(*id, (text, &entry.value), scope, path));
    }
}

/// Whether an unknown field of a job is probably what the job runs.
pub(super) fn is_meant_as_program(entry: &MapEntry<'_>) -> bool {
    let known = FieldScope::Job.field_names();
    let suggestion = look_alike(&entry.key.text, &known).map(|(same, _)| same);
    let suggestion = suggestion.or_else(|| suggested_field(&entry.key.text, &entry.value, &known));
    matches!(suggestion, Some("run" | "command"))
}

/// The field of a map that an unknown one probably means.
fn suggested_field(text: &str, value: &Node<'_>, known: &[&'static str]) -> Option<&'static str> {
    // The name of a topic is not a mistyped field.
    let is_topic = TOPICS.iter().any(|(parts, _)| parts.contains(&text));
    match synonym(text, &SYNONYMS, known) {
        // A list of words is no script.
        Some("run") if matches!(text, "cmd" | "exec" | "entrypoint") && matches!(value.kind, NodeKind::List(_)) => {
            Some("command")
        }
        Some(own) => Some(own),
        None => closest_keyword(text, known).filter(|_| !is_topic),
    }
}

/// The known field that has this name in other tools.
fn synonym(text: &str, synonyms: &[(&[&str], &'static str)], known: &[&str]) -> Option<&'static str> {
    let name = text.to_lowercase().replace('-', "_");
    synonyms.iter().find(|(foreign, own)| foreign.contains(&&*name) && known.contains(own)).map(|(_, own)| *own)
}

fn unknown_field_problem(
    id: u32,
    (text, value): (&str, &Node<'_>),
    scope: FieldScope,
    path: &ValuePath<'_>,
) -> Problem {
    let known = scope.field_names();
    let name = quoted(text);
    let problem = |message: String| Problem::new(id, path, message);
    let suggestion = suggested_field(text, value, &known);
    let mut indentation = text.chars().take_while(|c| c.is_whitespace());
    if let Some((same, difference)) = look_alike(text, &known) {
        problem(format!("unknown field {name}")).hint(format!("write `{same}`: {difference}"))
    } else if let Some(odd) = indentation.find(|c| !c.is_ascii()) {
        let hint = format!("indent with spaces: there is {} before it", invisible_name(odd));
        problem(format!("unknown field {name}")).hint(hint)
    } else if let Some(suggestion) = suggestion {
        problem(format!("unknown field {name}")).hint(format!("did you mean `{suggestion}`?"))
    } else if let Some(valid_scope) =
        [FieldScope::Job, FieldScope::Queue, FieldScope::Top].into_iter().find(|p| p.field_names().contains(&text))
    {
        let hint = match (valid_scope, scope) {
            (FieldScope::Job, _) if text == "needs" => "set `needs` on each job".to_owned(),
            (FieldScope::Job, _) if text == "confirm" => "set `confirm` on each job".to_owned(),
            (FieldScope::Job, FieldScope::Defaults) if text == "schedule" => {
                "set `schedule` on a queue or a job".to_owned()
            }
            (FieldScope::Job, _) if matches!(text, "matrix" | "for_each") => format!("set {name} on a single job"),
            (FieldScope::Job, FieldScope::Defaults) => format!("{name} can't be a default: set it on a job"),
            (FieldScope::Queue, FieldScope::Defaults) => format!("{name} can't be a default: set it on a queue"),
            (FieldScope::Queue, FieldScope::Top) => format!("put it in a queue: `queues: {{NAME: {{{text}: …}}}}`"),
            _ => format!("it belongs {}", location(valid_scope)),
        };
        problem(format!("{name} isn't allowed {}", location(scope))).hint(hint)
    } else if text.contains(' ') {
        problem(format!("unknown field {name}")).hint("quote text that contains `: `")
    } else if let Some(topic) = topic_of(text).filter(|_| scope != FieldScope::Top) {
        problem(format!("unknown field {name}")).hint(topic)
    } else if known.len() > MAX_LISTED {
        problem(format!("unknown field {name}")).hint("`setlist help jobs.yaml` lists all fields")
    } else {
        problem(format!("unknown field {name}")).expected(format!("expected {}", one_of(&known)))
    }
}

fn topic_of(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    TOPICS.iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part))).map(|(_, topic)| *topic)
}

/// Reports an unknown field of a nested map.
pub(super) fn report_in(entry: &MapEntry<'_>, fields: &[FieldSpec], path: &ValuePath<'_>, problems: &mut Problems) {
    let MapKey { id, text, invalid: None } = &entry.key else { return };
    problems.add_with(|| {
        let known: Vec<&'static str> = fields.iter().map(|field| field.name).collect();
        let problem = Problem::new(*id, path, format!("unknown field {}", quoted(text)));
        if let Some((same, difference)) = look_alike(text, &known) {
            return problem.hint(format!("write `{same}`: {difference}"));
        }
        match synonym(text, &NESTED_SYNONYMS, &known).or_else(|| closest_keyword(text, &known)) {
            Some(suggestion) => problem.hint(format!("did you mean `{suggestion}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    });
}

/// Where a map with these fields is.
fn location(scope: FieldScope) -> &'static str {
    match scope {
        FieldScope::Top => "at the top level",
        FieldScope::Defaults => "in `defaults`",
        FieldScope::Queue => "in a queue",
        FieldScope::Job => "in a job",
    }
}
