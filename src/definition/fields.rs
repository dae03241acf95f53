//! Declares the fields of `jobs.yaml`.

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
    Pools,
    PoolSize,
    Uses,
    Mutex,
    ExitCodes,
    Count,
    Defaults,
    Duration,
    BackoffFactor,
    RetryFailures,
    RetryScale,
    Growth,
    GrowthFactor,
    GrowthMax,
    InputDefault,
    Inputs,
    InputTypeName,
    Interruptions,
    NonEmptyText,
    Boolean,
    Jobs,
    Keep,
    LimitCount,
    Cpus,
    Niceness,
    LimitSize,
    Limits,
    LogLimit,
    Matrix,
    ForEach,
    FilePatterns,
    Name,
    NamedArguments,
    NeedOutcome,
    Needs,
    OnFailure,
    OnFinish,
    PassEnv,
    Paths,
    Queues,
    Retry,
    RunsKept,
    Schedule,
    Expect,
    ExpectedTimes,
    EventHook,
    Stall,
    StallAction,
    Expressions,
    MissedPolicy,
    OverlapPolicy,
    TimeZone,
    Shell,
    Condition,
    Patterns,
    Snapshot,
    Sources,
    SourceComparison,
    SizeKept,
    Tags,
    Labels,
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
    Include "include" FilePatterns
        "Other files whose queues, defaults, pools, inputs and secrets join those of this file, relative to its folder."
    Defaults "defaults" Defaults "Default values for all queues and jobs."
    Pools "pools" Pools
        "Named resources over all queues, and how many units of each there are: `{gpu: 2, api: {per: customer, size: 3}}`."
    Inputs "inputs" Inputs
        "Values that are asked for when jobs are requested, by name: a default, a list of options, or a map."
    Secrets "secrets" Tags
        "Names of variables whose values are masked in the output, values and errors of jobs."
    Queues "queues" Queues "The queues by name."
}

fields! {
    /// Fields that only a queue has.
    QueueField:
    Title "title" Text "The title of the queue."
    Schedule "schedule" Schedule
        "When the jobs of the queue become pending and run: a cron expression, a list of them, or a map with options."
    Expect "expect" Expect
        "By when all jobs of the queue should have succeeded: a time of day such as `04:00`, a list, or `{within: 26h}`."
    Inputs "inputs" Inputs
        "Values that are asked for when jobs of the queue are requested, besides those of the file. `none` drops these."
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
    Needs "needs" Needs "The jobs to wait for: names of jobs in this queue, `queue/name`, or another queue for all of its jobs in this file."
    Confirm "confirm" NonEmptyText
        "The job waits for approval when its turn comes: the question that is asked, or `true` for the usual one."
    Unique "unique" NonEmptyText
        "A key that only one pending or running job has: `setlist add --unique KEY` returns that job."
    Schedule "schedule" Schedule
        "When the job becomes pending and runs: a cron expression, a list of them, or a map with options."
    Expect "expect" Expect
        "By when the job should have succeeded: a time of day such as `04:00`, a list, or `{within: 26h}`."
    If "if" Condition
        "A script or a command as a list. The job runs if it exits with 0 when its turn comes; otherwise it is skipped."
    Unless "unless" Condition
        "A script or a command as a list. The job is skipped if it exits with 0 when its turn comes."
    Sources "sources" Sources
        "Patterns of files. The job is skipped as up to date if they are as they were at its last success."
    Outputs "outputs" Patterns
        "Patterns of files that the job makes. It is not up to date unless each matches something."
    Matrix "matrix" Matrix
        "Lists of values. Each combination is one job; write `${matrix.NAME}` in fields and `$NAME` in scripts."
    ForEach "for_each" ForEach
        "A list, a range such as `1..40`, or files or lines. Each item is one job; write `${item}` in fields and `$SETLIST_ITEM` in scripts."
}

fields! {
    /// Fields of a job that it inherits from its queue and `defaults`.
    InheritableJobField:
    Env "env" Variables "Environment variables. Null unsets a variable."
    EnvFile "env_file" Paths "Files with environment variables, relative to the folder of this file."
    PassEnv "pass_env" PassEnv
        "Which variables the job gets of the user who asks for it: `all` (default), `none`, or a list of names."
    Shell "shell" Shell
        "The shell or interpreter for the script, or a command as a list that takes the script. Default: `sh`."
    Cwd "cwd" NonEmptyText "The working directory, relative to the folder of this file. Default: that folder."
    Snapshot "snapshot" Snapshot
        "`git`: the job runs on the files of its git repository as they were when it was requested. Default: `none`."
    Timeout "timeout" Timeout "The job is stopped after this time. Default: `none`."
    Grace "grace" Duration "The time between stopping a job and killing it. Default: `10s`."
    Retry "retry" Retry
        "The number of retries after a failure, or a map with the delays and the failures to retry. Default: 0."
    After "after" After
        "The earliest start: a delay, or a date with an optional time of day. `none` removes an inherited one."
    Priority "priority" Integer "Jobs with a higher priority run first. Default: 0."
    RunsOn "runs_on" Labels
        "The labels that a worker must have to run the job: `setlist worker --label gpu`. One, or a list. Default: none."
    Weight "weight" PositiveIntegerOrPlaceholder
        "The number of the queue's `parallel` slots that the job takes. Default: 1."
    Uses "uses" Uses
        "The pools that the job uses units of while it runs: a name, a list, or a map such as `{gpu: 2}`."
    Mutex "mutex" Mutex
        "A name that only one job at a time runs with, in any queue. `none` removes an inherited one."
    OkCodes "ok_codes" ExitCodes "The exit codes that mean success. Default: `[0]`."
    Pty "pty" Boolean "Whether to run the job in a pseudo-terminal. Default: false."
    LogLimit "log_limit" LogLimit
        "How much output of a run to keep. The middle of longer output is dropped. Default: `16MiB`."
    Limits "limits" Limits
        "What the job may use: `memory`, `cpus`, `cpu_time`, `open_files`, `processes`, `file_size`, `nice`. `none` removes them."
    OnFinish "on_finish" OnFinish
        "What to run when a job finishes: a script, a command as a list, or a map. `none` removes an inherited one."
    Stall "stall" Stall
        "How long the job may print nothing before it counts as stalled, or a map. `none` removes an inherited one."
    OnStall "on_stall" EventHook
        "What to run the first time that a run stalls: a script, a command as a list, or a map. `none` removes it."
    OnOverdue "on_overdue" EventHook
        "What to run when a success is overdue (see `expect`): a script, a command as a list, or a map. `none` removes it."
    Tags "tags" Tags "Words for finding and filtering jobs."
}

fields! {
    /// Fields of an input.
    InputField:
    Type "type" InputTypeName "The values that it takes. Default: that of `default`, or `text`."
    Options "options" Tags "The values to choose from."
    Default "default" InputDefault "The value where none is given. An input without one is required."
    Description "description" Text "What it is for."
}

fields! {
    /// Fields of `for_each`.
    ForEachField:
    Glob "glob" FilePatterns "The files that match a pattern, such as `in/*.mp4`, or one of a list of patterns."
    Lines "lines" NonEmptyText "The lines of this file, without empty ones."
    Watch "watch" FilePatterns "Like `glob`, but files become jobs when they arrive, and these jobs run, while a worker stays."
    Settle "settle" Duration "How long a file of `watch` must be unchanged. Default: `2s`."
    Value "value" NonEmptyText "The JSON list that this job returned: `name` or `queue/name`. The jobs appear when it has succeeded."
}

fields! {
    /// Fields of a pool.
    PoolField:
    Size "size" PoolSize "How many units there are, for each value of the key if it has one."
    Per "per" NonEmptyText
        "The name of a key, such as `customer`: a value of the job's matrix, item, `kwargs` or inputs. Each value has units of its own."
}

fields! {
    /// Fields of `limits`.
    LimitField:
    Memory "memory" LimitSize "The memory of the job; where it has no cgroup, what each process may allocate."
    Cpus "cpus" Cpus "How many processors the job may use at a time, such as `2` or `0.5`."
    CpuTime "cpu_time" Timeout "The processor time that a process may use, in whole seconds."
    OpenFiles "open_files" LimitCount "The number of files that a process may have open."
    Processes "processes" LimitCount "The number of processes and threads of the job; where it has no cgroup, those of the user."
    FileSize "file_size" LimitSize "The size of the files that a process may write."
    Nice "nice" Niceness "How much the job gives way to others: from -20 to 19, for the least processor time."
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
    /// Fields of `schedule`.
    ScheduleField:
    Cron "cron" Expressions
        "A cron expression of five fields, `@daily` or the like, `@every 10m`, or a list. `TZ=NAME` before one sets its zone."
    Timezone "timezone" TimeZone "The time zone, such as `Europe/Berlin`. Default: that of this machine."
    Jitter "jitter" Duration "The longest delay after each due time, which spreads the load. Default: 0."
    Missed "missed" MissedPolicy
        "When no worker was running: `skip`, run `once` (default), or `all` of the last 7 days, at most 100."
    Overlap "overlap" OverlapPolicy "When the previous run has not finished: `skip` (default) or `wait`."
}

fields! {
    /// Fields of `expect`.
    ExpectField:
    By "by" ExpectedTimes
        "A time of day such as `04:00`, `mon-fri 04:00` or `04:00 Europe/Berlin`, a cron expression, or a list."
    Within "within" PositiveDuration "The longest time between two successes, such as `26h`."
    Timezone "timezone" TimeZone "The time zone of `by`. Default: that of this machine."
}

fields! {
    /// Fields of `stall`.
    StallField:
    After "after" PositiveDuration "How long the job may print nothing."
    Then "then" StallAction
        "What happens then: `report` (default) shows it and runs `on_stall`; `cancel` and `kill` also stop the run."
}

fields! {
    /// Fields of `sources`.
    SourcesField:
    Paths "paths" Patterns "Patterns of files, relative to the working directory; `!` before one leaves files out."
    On "on" SourceComparison "What makes a file a changed one: its `content` (default), or its size or `mtime`."
}

fields! {
    /// Fields of `retry`.
    RetryField:
    Max "max" Count "The number of retries."
    Delay "delay" Duration "The delay before the first retry. Default: `1s`."
    Backoff "backoff" BackoffFactor "The factor by which each delay grows. Default: 2."
    MaxDelay "max_delay" Duration "The longest delay. Default: `10m`."
    On "on" RetryFailures "The failures to retry: kinds or exit codes. Default: all except `interrupted`."
    Scale "scale" RetryScale "The limits that grow after an attempt that has reached them: `{memory: 1.5}`."
    Interrupted "interrupted" Interruptions
        "Whether a run whose worker died is one of the attempts: `counted`, or `free`, which always runs it again. Default: `counted`."
}

fields! {
    /// Fields of `scale`.
    ScaleField:
    Memory "memory" Growth "The factor of `limits.memory` after an attempt that ran out of memory, or `{by: 1.5, max: 16GiB}`."
    Timeout "timeout" Growth "The factor of `timeout` after an attempt that timed out, or `{by: 2, max: 1h}`."
}

fields! {
    /// Fields of a limit that grows.
    GrowthField:
    By "by" GrowthFactor "The factor from one attempt to the next."
    Max "max" GrowthMax "The most that it grows to: a size, or a duration. Default: 8 times the limit."
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

/// The fields of a job with a command that runs after an event. Their scripts get values in variables.
pub(super) const HOOK_FIELDS: [&str; 3] = ["on_finish", "on_stall", "on_overdue"];

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

    /// Their names.
    pub(super) fn field_names(self) -> Vec<&'static str> {
        self.fields().map(|field| field.name).collect()
    }
}
