//! Reports unknown fields, with the field that was probably meant.

use super::fields::{FieldScope, FieldSpec};
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, MapKey};
use super::spelling::{closest_keyword, invisible_name, look_alike, one_of, quoted};
use super::value_path::ValuePath;

/// More fields than this are not listed in a message.
const MAX_LISTED: usize = 12;

/// Names that other tools use for our fields.
const SYNONYMS: [(&str, &str); 23] = [
    ("cmd", "command"),
    ("concurrency", "parallel"),
    ("cron", "schedule"),
    ("every", "schedule"),
    ("interval", "schedule"),
    ("delay", "after"),
    ("depends", "needs"),
    ("depends_on", "needs"),
    ("dir", "cwd"),
    ("environment", "env"),
    ("generates", "outputs"),
    ("hook", "on_finish"),
    ("notify", "on_finish"),
    ("only_if", "if"),
    ("on_exit", "on_finish"),
    ("requires", "needs"),
    ("retries", "retry"),
    ("script", "run"),
    ("skip_if", "unless"),
    ("tty", "pty"),
    ("workdir", "cwd"),
    ("working_dir", "cwd"),
    ("working_directory", "cwd"),
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
        problems.add_with(|| unknown_field_problem(*id, text, scope, path));
    }
}

fn unknown_field_problem(id: u32, text: &str, scope: FieldScope, path: &ValuePath<'_>) -> Problem {
    let known = scope.field_names();
    let name = quoted(text);
    let problem = |message: String| Problem::new(id, path, message);
    let synonym = SYNONYMS.iter().find(|(foreign, _)| *foreign == text).map(|(_, own)| *own);
    // The name of a topic is not a mistyped field.
    let is_topic = TOPICS.iter().any(|(parts, _)| parts.contains(&text));
    let closest = || closest_keyword(text, &known).filter(|_| !is_topic);
    let suggestion = synonym.filter(|own| known.contains(own)).or_else(closest);
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
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let problem = Problem::new(*id, path, format!("unknown field {}", quoted(text)));
        if let Some((same, difference)) = look_alike(text, &known) {
            return problem.hint(format!("write `{same}`: {difference}"));
        }
        match closest_keyword(text, &known) {
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
