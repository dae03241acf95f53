//! The fields that there are, where each may stand, and what is said of one that isn't known there.

use super::path::Path;
use super::problems::{Problem, Problems};
use super::schema::Shape;
use super::tree::{Entry, Key};
use super::words::{nearest, one_of, quoted};

/// A kind of map that has fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The top level of the file.
    Top,
    /// `defaults`.
    Defaults,
    /// A queue.
    Queue,
    /// A job.
    Job,
}

/// A field: its name in the file, what it holds and what it is for.
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) about: &'static str,
}

/// Declares the fields of a kind of map, once for the parser, which takes them one by one, and for whoever tells of them.
macro_rules! fields {
    ($(#[$doc:meta])* $kind:ident: $($field:ident $name:literal $shape:ident $about:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) enum $kind {
            $($field),*
        }

        impl $kind {
            /// All of them.
            pub(super) const ALL: &[Described] =
                &[$(Described { name: $name, shape: Shape::$shape, about: $about }),*];

            /// The field of this name.
            pub(super) fn of(name: &str) -> Option<Self> {
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
    OfFile:
    Defaults "defaults" Defaults "What every queue and job says unless it says otherwise."
    Queues "queues" Queues "The queues, by name."
}

fields! {
    /// Fields of a queue alone.
    OfQueue:
    Title "title" Text "What people call the queue."
    Jobs "jobs" Jobs "The jobs, in their order."
}

fields! {
    /// Fields of a queue that it can inherit from `defaults`.
    QueueInherits:
    Parallel "parallel" AtLeastOne "How many jobs run at once, over all workers; default 1."
    OnFailure "on_failure" OnFailure
        "What a failure does: `continue` (the default) goes on; with `stop` the job stays pending and the queue stops."
    Keep "keep" Keep "How much is kept of what has finished; `all` keeps everything."
}

fields! {
    /// Fields of a job alone.
    OfJob:
    Id "id" Name "The job's name in its queue: `queue/name` finds it. Default: made from the title or the script."
    Title "title" Text "What people call the job. When it is empty, the first line of the script stands in."
    Run "run" Filled "A script for the shell; args become `$1` and so on. A job has either `run` or `command`."
    Command "command" Words "A program and its arguments, run without a shell."
    Args "args" Arguments "Positional arguments."
    Kwargs "kwargs" NamedArguments
        "Named arguments: `key: value` is passed as `--key value`, `key: true` as `--key`, and false or null not at all."
    Stdin "stdin" Text "What the job reads from its standard input; default nothing."
    Needs "needs" Needs "Jobs that this one waits for: names of this queue, or `queue/name`."
    Confirm "confirm" Filled "Asked before the job runs."
    Matrix "matrix" Matrix
        "Lists of values: one job for each combination. `${matrix.NAME}` is a value in a field, `$NAME` in a script."
}

fields! {
    /// Fields of a job that it can inherit: they may also stand in its queue and in `defaults`.
    JobInherits:
    Env "env" Variables "Variables of the environment; null takes one away."
    EnvFile "env_file" Paths "Files of variables, relative to the folder of this one."
    Shell "shell" Shell
        "What runs the script: a shell or interpreter by name, or a list of words to which the script is added; default `sh`."
    Cwd "cwd" Filled "Where the job runs, relative to the folder of this file, which is the default."
    Timeout "timeout" Timeout "After so long the job is stopped; `none` (the default) is no limit."
    Grace "grace" Duration "How long a job that is to stop has before it is killed; default `10s`."
    Retry "retry" Retry "How many more runs may follow one that failed, or a map that also says when; default 0."
    After "after" After "Not before: a delay, or a date with or without a time of day; `none` takes one away."
    Priority "priority" Whole "Higher goes first; default 0."
    Weight "weight" AtLeastOneOrBlank "How many of the queue's slots the job takes; default 1."
    OkCodes "ok_codes" Codes "Exit codes that are a success; default `[0]`."
    Pty "pty" Flag "Whether the job runs in a terminal of its own; default false."
    LogLimit "log_limit" LogLimit "How much output is kept of a run, its head and its tail; default `16MiB`."
    OnFinish "on_finish" OnFinish
        "A script, a command as a list of words, or a map: what is run when a job has finished; `none` takes it away."
    Tags "tags" Tags "Words by which jobs are found."
}

fields! {
    /// Fields of `on_finish`.
    OfHook:
    Run "run" Filled "A script for `sh`. There is either `run` or `command`."
    Command "command" Words "A program and its arguments, run without a shell."
    On "on" NeedOn "After what: `success`, `failure` or `finish`, whatever the outcome, which is the default."
    Timeout "timeout" AtLeastAMilli "After so long it is stopped; default `1m`."
}

fields! {
    /// Fields of `retry`.
    OfRetry:
    Max "max" Count "How many more runs may follow."
    Delay "delay" Duration "How long to wait before the first of them; default `1s`."
    Backoff "backoff" Factor "Each delay is so many times the one before; default 2."
    MaxDelay "max_delay" Duration "No delay is longer; default `10m`."
    On "on" Failures "Which failures are tried again: kinds or exit codes; default any but `interrupted`."
}

fields! {
    /// Fields of `keep`.
    OfKeep:
    Runs "runs" RunsKept "So many runs of each job; default 100."
    Age "age" AgeKept "What has finished within this time; default `90d`."
    Size "size" SizeKept "So much output of all jobs of the queue; default `1GiB`."
}

fields! {
    /// Fields of something needed.
    OfNeed:
    Job "job" Filled "The job's name, or `queue/name`."
    On "on" NeedOn "How it has to finish; default `success`."
}

/// What other tools call some of them.
const ELSEWHERE: [(&str, &str); 17] = [
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

impl Place {
    /// The fields that may stand there.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static Described> {
        let groups: &[&[Described]] = match self {
            Self::Top => &[OfFile::ALL],
            Self::Defaults => &[QueueInherits::ALL, JobInherits::ALL],
            Self::Queue => &[OfQueue::ALL, QueueInherits::ALL, JobInherits::ALL],
            Self::Job => &[OfJob::ALL, JobInherits::ALL],
        };
        groups.iter().copied().flatten()
    }

    fn names(self) -> Vec<&'static str> {
        self.fields().map(|field| field.name).collect()
    }

    fn preposition(self) -> &'static str {
        match self {
            Self::Top => "at the top level",
            Self::Defaults => "in `defaults`",
            Self::Queue => "in a queue",
            Self::Job => "in a job",
        }
    }
}

/// Reports a field that isn't known in its place.
pub(super) fn unknown(entry: &Entry<'_>, place: Place, path: &Path<'_>, problems: &mut Problems) {
    if let Key { id, text, unfit: None } = &entry.key {
        problems.tell(|| problem(*id, text, place, path));
    }
}

fn problem(id: u32, text: &str, place: Place, path: &Path<'_>) -> Problem {
    let known = place.names();
    let name = quoted(text);
    let problem = |message: String| Problem::new(id, path, message);
    let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| *theirs == text).map(|(_, ours)| *ours);
    let meant = elsewhere.filter(|ours| known.contains(ours)).or_else(|| nearest(text, &known));
    if let Some(meant) = meant {
        problem(format!("unknown field {name}")).hint(format!("did you mean `{meant}`?"))
    } else if let Some(home) = [Place::Job, Place::Queue, Place::Top].into_iter().find(|p| p.names().contains(&text)) {
        let hint = match (home, place) {
            (Place::Job, _) if text == "needs" => "each job says itself what it needs".to_owned(),
            (Place::Job, _) if text == "confirm" => "each job that asks before it runs says so itself".to_owned(),
            (Place::Job, _) if text == "matrix" => "it stands in the job of which it makes several".to_owned(),
            (Place::Job, Place::Defaults) => format!("{name} belongs to one job and can't be a default"),
            (Place::Queue, Place::Defaults) => format!("{name} belongs to one queue and can't be a default"),
            (Place::Queue, Place::Top) => format!("put it into a queue: `queues: {{NAME: {{{text}: …}}}}`"),
            _ => format!("it stands {}", home.preposition()),
        };
        problem(format!("{name} can't stand {}", place.preposition())).hint(hint)
    } else if text.contains(' ') {
        problem(format!("unknown field {name}")).hint("text that contains `: ` needs quotes")
    } else {
        problem(format!("unknown field {name}")).expected(format!("expected {}", one_of(&known)))
    }
}

/// Reports a field that isn't among the known ones of a small map.
pub(super) fn unknown_among(entry: &Entry<'_>, fields: &[Described], path: &Path<'_>, problems: &mut Problems) {
    let Key { id, text, unfit: None } = &entry.key else { return };
    problems.tell(|| {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let problem = Problem::new(*id, path, format!("unknown field {}", quoted(text)));
        match nearest(text, &known) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    });
}
