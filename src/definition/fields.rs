//! Declares the fields of `jobs.yaml` and reports unknown ones.

use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, MapKey};
use super::spelling::{closest_keyword, one_of, quoted};
use super::value_path::ValuePath;

/// A map with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldScope {
    /// The top level of the file.
    Top,
    /// `defaults`.
    Defaults,
    /// A queue.
    Queue,
    /// A job.
    Job,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldType {
    After,
    AgeKept,
    Arguments,
    PositiveDuration,
    PositiveInteger,
    PositiveIntegerOrPlaceholder,
    ExitCodes,
    Count,
    Defaults,
    Duration,
    BackoffFactor,
    RetryFailures,
    NonEmptyText,
    Boolean,
    Jobs,
    Keep,
    LogLimit,
    Matrix,
    Name,
    NamedArguments,
    NeedOutcome,
    Needs,
    OnFailure,
    OnFinish,
    Paths,
    Queues,
    Retry,
    RunsKept,
    Shell,
    SizeKept,
    Tags,
    Text,
    Timeout,
    Variables,
    Integer,
    CommandLine,
}

/// A field: its name, its type and its description in the schema.
pub(super) struct FieldSpec {
    pub(super) name: &'static str,
    pub(super) field_type: FieldType,
    pub(super) description: &'static str,
}

/// Declares the fields of a kind of map, for the parser and the schema.
macro_rules! fields {
    ($(#[$doc:meta])* $kind:ident: $($field:ident $name:literal $type:ident $description:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) enum $kind {
            $($field),*
        }

        impl $kind {
            /// All fields.
            pub(super) const ALL: &[FieldSpec] =
                &[$(FieldSpec { name: $name, field_type: FieldType::$type, description: $description }),*];

            /// Returns the field with this name.
            pub(super) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    /// Fields of the file.
    FileField:
    Defaults "defaults" Defaults "Default values for all queues and jobs."
    Queues "queues" Queues "The queues by name."
}

fields! {
    /// Fields that only a queue has.
    QueueField:
    Title "title" Text "The title of the queue."
    Jobs "jobs" Jobs "The jobs of the queue, in order."
}

fields! {
    /// Fields of a queue that it inherits from `defaults`.
    InheritableQueueField:
    Parallel "parallel" PositiveInteger "The number of jobs that run at the same time, across all workers. Default: 1."
    OnFailure "on_failure" OnFailure
        "After a failure, `continue` (default) runs the next job; `stop` keeps the job pending and stops the queue."
    Keep "keep" Keep "How many finished runs to keep. `all` keeps everything."
}

fields! {
    /// Fields that only a job has.
    JobField:
    Id "id" Name
        "The job's name in its queue, used as `queue/name`. Default: generated from the title or the script."
    Title "title" Text "The title of the job. Default: the first line of the script."
    Run "run" NonEmptyText
        "The script to run in the shell, with `args` as `$1`, `$2` and so on. A job has either `run` or `command`."
    Command "command" CommandLine "The program to run and its arguments, without a shell."
    Args "args" Arguments "Positional arguments."
    Kwargs "kwargs" NamedArguments
        "Named arguments. `key: value` is passed as `--key value`, `key: true` as `--key`; false and null are omitted."
    Stdin "stdin" Text "The standard input of the job. Default: empty."
    Needs "needs" Needs "The jobs to wait for: names of jobs in this queue, or `queue/name`."
    Confirm "confirm" NonEmptyText "A question to confirm before the job runs."
    Matrix "matrix" Matrix
        "Lists of values. Each combination is one job; write `${matrix.NAME}` in fields and `$NAME` in scripts."
}

fields! {
    /// Fields of a job that it inherits from its queue and `defaults`.
    InheritableJobField:
    Env "env" Variables "Environment variables. Null unsets a variable."
    EnvFile "env_file" Paths "Files with environment variables, relative to the folder of this file."
    Shell "shell" Shell
        "The shell or interpreter for the script, or a command as a list that takes the script. Default: `sh`."
    Cwd "cwd" NonEmptyText "The working directory, relative to the folder of this file. Default: that folder."
    Timeout "timeout" Timeout "The job is stopped after this time. Default: `none`."
    Grace "grace" Duration "The time between stopping a job and killing it. Default: `10s`."
    Retry "retry" Retry
        "The number of retries after a failure, or a map with the delays and the failures to retry. Default: 0."
    After "after" After
        "The earliest start: a delay, or a date with an optional time of day. `none` removes an inherited one."
    Priority "priority" Integer "Jobs with a higher priority run first. Default: 0."
    Weight "weight" PositiveIntegerOrPlaceholder
        "The number of the queue's `parallel` slots that the job takes. Default: 1."
    OkCodes "ok_codes" ExitCodes "The exit codes that mean success. Default: `[0]`."
    Pty "pty" Boolean "Whether to run the job in a pseudo-terminal. Default: false."
    LogLimit "log_limit" LogLimit
        "How much output of a run to keep. The middle of longer output is dropped. Default: `16MiB`."
    OnFinish "on_finish" OnFinish
        "What to run when a job finishes: a script, a command as a list, or a map. `none` removes an inherited one."
    Tags "tags" Tags "Words for finding and filtering jobs."
}

fields! {
    /// Fields of `on_finish`.
    HookField:
    Run "run" NonEmptyText "The script to run in `sh`. Use either `run` or `command`."
    Command "command" CommandLine "The program to run and its arguments, without a shell."
    On "on" NeedOutcome "When to run: after `success`, `failure` or `finish`, which is any outcome. Default: `finish`."
    Timeout "timeout" PositiveDuration "It is stopped after this time. Default: `1m`."
}

fields! {
    /// Fields of `retry`.
    RetryField:
    Max "max" Count "The number of retries."
    Delay "delay" Duration "The delay before the first retry. Default: `1s`."
    Backoff "backoff" BackoffFactor "The factor by which each delay grows. Default: 2."
    MaxDelay "max_delay" Duration "The longest delay. Default: `10m`."
    On "on" RetryFailures "The failures to retry: kinds or exit codes. Default: all except `interrupted`."
}

fields! {
    /// Fields of `keep`.
    KeepField:
    Runs "runs" RunsKept "The number of runs to keep of each job. Default: 100."
    Age "age" AgeKept "How long to keep finished runs. Default: `90d`."
    Size "size" SizeKept "How much output to keep of all jobs of the queue. Default: `1GiB`."
}

fields! {
    /// Fields of an item of `needs`.
    NeedField:
    Job "job" NonEmptyText "The name of a job in this queue, or `queue/name`."
    On "on" NeedOutcome "The required outcome. Default: `success`."
}

/// Names that other tools use for our fields.
const SYNONYMS: [(&str, &str); 17] = [
    ("cmd", "command"),
    ("concurrency", "parallel"),
    ("delay", "after"),
    ("depends", "needs"),
    ("depends_on", "needs"),
    ("dir", "cwd"),
    ("environment", "env"),
    ("hook", "on_finish"),
    ("notify", "on_finish"),
    ("on_exit", "on_finish"),
    ("requires", "needs"),
    ("retries", "retry"),
    ("script", "run"),
    ("tty", "pty"),
    ("workdir", "cwd"),
    ("working_dir", "cwd"),
    ("working_directory", "cwd"),
];

/// Parts of unknown names, with the fields for what they are probably about.
const TOPICS: [(&[&str], &str); 14] = [
    (&["cron", "every", "interval", "schedule"], "schedules: run `setlist process QUEUE` from cron or a timer"),
    (&["attempt", "backoff", "retries", "retry", "tries"], "retries: `retry`"),
    (&["deadline", "duration", "kill", "time"], "time limits: `timeout` and `grace`"),
    (&["dotenv", "env", "secret", "var"], "environment variables: `env` and `env_file`"),
    (&["cwd", "dir", "folder", "path"], "the working directory: `cwd`"),
    (&["depend", "need", "require", "wait"], "dependencies: `needs`"),
    (&["arg", "flag", "option", "param"], "arguments: `args` and `kwargs`"),
    (&["allow", "code", "error", "exit", "fail", "ignore"], "accepted exit codes: `ok_codes`; failures: `on_failure`"),
    (&["log", "output", "stderr", "stdout"], "output: `log_limit`"),
    (&["callback", "done", "finish", "hook", "mail", "notif"], "actions after a job: `on_finish`"),
    (&["concurren", "cpu", "limit", "memory", "mutex", "parallel", "slot"], "concurrency: `parallel` and `weight`"),
    (&["categor", "group", "label"], "labels: `tags`"),
    (&["comment", "desc", "help", "name"], "names: `id` and `title`"),
    (&["bash", "exec", "prog", "script", "shell"], "what runs: `run`, `command` and `shell`"),
];

impl FieldScope {
    /// The fields of this map.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static FieldSpec> {
        let groups: &[&[FieldSpec]] = match self {
            Self::Top => &[FileField::ALL],
            Self::Defaults => &[InheritableQueueField::ALL, InheritableJobField::ALL],
            Self::Queue => &[QueueField::ALL, InheritableQueueField::ALL, InheritableJobField::ALL],
            Self::Job => &[JobField::ALL, InheritableJobField::ALL],
        };
        groups.iter().copied().flatten()
    }

    fn field_names(self) -> Vec<&'static str> {
        self.fields().map(|field| field.name).collect()
    }

    fn location(self) -> &'static str {
        match self {
            Self::Top => "at the top level",
            Self::Defaults => "in `defaults`",
            Self::Queue => "in a queue",
            Self::Job => "in a job",
        }
    }
}

/// Reports an unknown field.
pub(super) fn report_unknown(entry: &MapEntry<'_>, scope: FieldScope, path: &ValuePath<'_>, problems: &mut Problems) {
    if let MapKey { id, text, invalid: None } = &entry.key {
        problems.add_with(|| unknown_field_problem(*id, text, scope, path));
    }
}

fn unknown_field_problem(id: u32, text: &str, scope: FieldScope, path: &ValuePath<'_>) -> Problem {
    let known = scope.field_names();
    let name = quoted(text);
    let problem = |message: String| Problem::new(id, path, message);
    let synonym = SYNONYMS.iter().find(|(foreign, _)| *foreign == text).map(|(_, own)| *own);
    let suggestion = synonym.filter(|own| known.contains(own)).or_else(|| closest_keyword(text, &known));
    if let Some(suggestion) = suggestion {
        problem(format!("unknown field {name}")).hint(format!("did you mean `{suggestion}`?"))
    } else if let Some(valid_scope) =
        [FieldScope::Job, FieldScope::Queue, FieldScope::Top].into_iter().find(|p| p.field_names().contains(&text))
    {
        let hint = match (valid_scope, scope) {
            (FieldScope::Job, _) if text == "needs" => "set `needs` on each job".to_owned(),
            (FieldScope::Job, _) if text == "confirm" => "set `confirm` on each job".to_owned(),
            (FieldScope::Job, _) if text == "matrix" => "set `matrix` on a single job".to_owned(),
            (FieldScope::Job, FieldScope::Defaults) => format!("{name} can't be a default: set it on a job"),
            (FieldScope::Queue, FieldScope::Defaults) => format!("{name} can't be a default: set it on a queue"),
            (FieldScope::Queue, FieldScope::Top) => format!("put it in a queue: `queues: {{NAME: {{{text}: …}}}}`"),
            _ => format!("it belongs {}", valid_scope.location()),
        };
        problem(format!("{name} isn't allowed {}", scope.location())).hint(hint)
    } else if text.contains(' ') {
        problem(format!("unknown field {name}")).hint("quote text that contains `: `")
    } else if let Some(topic) = topic_of(text).filter(|_| scope != FieldScope::Top) {
        problem(format!("unknown field {name}")).hint(topic)
    } else {
        problem(format!("unknown field {name}")).expected(format!("expected {}", one_of(&known)))
    }
}

fn topic_of(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    TOPICS.iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part))).map(|(_, topic)| *topic)
}

/// Reports an unknown field of a nested map.
pub(super) fn report_unknown_in(
    entry: &MapEntry<'_>,
    fields: &[FieldSpec],
    path: &ValuePath<'_>,
    problems: &mut Problems,
) {
    let MapKey { id, text, invalid: None } = &entry.key else { return };
    problems.add_with(|| {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let problem = Problem::new(*id, path, format!("unknown field {}", quoted(text)));
        match closest_keyword(text, &known) {
            Some(suggestion) => problem.hint(format!("did you mean `{suggestion}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    });
}
