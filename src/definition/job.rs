//! Reads one entry of a queue's jobs and builds its definition.

use std::sync::Arc;

use super::expect;
use super::fields::{FieldScope, JobField};
use super::inherited_fields::InheritedFields;
use super::interner::Interner;
use super::job_names;
use super::needs;
use super::problems::{Problem, Problems};
use super::program;
use super::schedule;
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::start_checks;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{
    Arguments, Conditions, Definition, ExecOptions, Expectation, FileRules, Program, Schedule, SchedulingOptions,
    Script,
};

/// The question of a job with `confirm: true`.
const DEFAULT_QUESTION: &str = "Run this job?";

/// The fields of a job entry.
pub(super) struct JobEntry {
    title: String,
    program: ProgramSource,
    stdin: Option<String>,
    /// Boxed like `own_fields` because most jobs have none and it is large.
    arguments: Option<Box<Arguments>>,
    confirm: Option<String>,
    schedule: Option<Arc<Schedule>>,
    unique: Option<Arc<str>>,
    expect: Option<Arc<Expectation>>,
    /// Boxed, because few jobs have them.
    conditions: Option<Box<Conditions>>,
    files: Option<Box<FileRules>>,
    /// Resolved when all jobs are known.
    pub(super) needs: Vec<needs::UnresolvedNeed>,
    own_fields: Option<Box<InheritedFields>>,
}

/// The inherited values that all jobs of a queue share.
pub(super) struct InheritedScope {
    inherited: InheritedFields,
    /// The options of a job that sets none of its own.
    exec: Arc<ExecOptions>,
    scheduling: Arc<SchedulingOptions>,
    memory_size: usize,
    tags_memory_size: usize,
}

impl InheritedScope {
    pub(super) fn new(inherited: InheritedFields, interner: &mut Interner) -> Self {
        let exec = interner.exec_options(inherited.exec_options(None));
        let scheduling = interner.scheduling_options(inherited.scheduling_options(None, None, None));
        let (memory_size, tags_memory_size) = (inherited.memory_size(), inherited.tags_memory_size());
        Self { inherited, exec, scheduling, memory_size, tags_memory_size }
    }

    /// The approximate memory size in bytes of a copy for a job with fields of its own.
    pub(super) fn memory_size(&self) -> usize {
        self.memory_size
    }
}

/// The program before its shell is known.
enum ProgramSource {
    Run(String),
    Command(Vec<String>),
}

impl JobEntry {
    /// Reads an entry: a script, or a map of fields. Returns `None` if its program is invalid.
    pub(super) fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Self> {
        let mut entry = Self {
            title: String::new(),
            program: ProgramSource::Command(Vec::new()),
            stdin: None,
            arguments: None,
            confirm: None,
            schedule: None,
            unique: None,
            expect: None,
            conditions: None,
            files: None,
            needs: Vec::new(),
            own_fields: None,
        };
        match &node.kind {
            NodeKind::Scalar(..) => {
                entry.program = ProgramSource::Run(value::non_empty_text(node, path, "the script", problems)?);
                Some(entry)
            }
            NodeKind::Map(_) => {
                entry.program = entry.read_fields(node, path, problems)?;
                Some(entry)
            }
            _ => value::unexpected(node, path, "a script or a map of a job's fields", problems),
        }
    }

    fn read_fields(&mut self, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<ProgramSource> {
        let NodeKind::Map(entries) = &node.kind else { return None };
        let (mut run, mut command, mut is_misspelled) = (None, None, false);
        for entry in entries {
            let node = &entry.value;
            let path = &path.key(&entry.key.text);
            match JobField::from_name(&entry.key.text) {
                Some(JobField::Id) => check_id(node, path, problems),
                Some(JobField::Title) => self.title = value::text(node, path, problems).unwrap_or_default(),
                Some(JobField::Run) => {
                    run = Some((entry.key.id, program::read_script(node, path, problems)));
                }
                Some(JobField::Command) => {
                    command = Some((entry.key.id, program::read_job_command(node, path, problems)));
                }
                Some(JobField::Stdin) => self.stdin = value::text(node, path, problems),
                Some(JobField::Args) => {
                    let args = value::list(node, path, "a list of arguments", problems, value::argument);
                    self.arguments.get_or_insert_default().args = args.unwrap_or_default();
                }
                Some(JobField::Kwargs) => {
                    let kwargs = value::named_arguments(node, path, problems);
                    self.arguments.get_or_insert_default().kwargs = kwargs.unwrap_or_default();
                }
                Some(JobField::Confirm) => self.confirm = read_question(node, path, problems),
                Some(JobField::Unique) => {
                    self.unique = value::non_empty_text(node, path, "the key", problems).map(Into::into);
                }
                Some(JobField::Schedule) => self.schedule = schedule::read_schedule(node, path, problems),
                Some(JobField::Expect) => self.expect = expect::read_expect(node, path, problems),
                Some(JobField::If) => {
                    self.conditions.get_or_insert_default().run_if = start_checks::read_condition(node, path, problems);
                }
                Some(JobField::Unless) => {
                    self.conditions.get_or_insert_default().run_unless =
                        start_checks::read_condition(node, path, problems);
                }
                Some(JobField::Sources) => {
                    if let Some((sources, on)) = start_checks::read_sources(node, path, problems) {
                        let files = self.files.get_or_insert_default();
                        (files.sources, files.on) = (sources, on);
                    }
                }
                Some(JobField::Outputs) => {
                    self.files.get_or_insert_default().outputs =
                        start_checks::read_outputs(node, path, problems).unwrap_or_default();
                }
                Some(JobField::Needs) => self.needs = needs::read_needs(node, path, problems),
                // Read earlier, because it defines several jobs.
                Some(JobField::Matrix | JobField::ForEach) => {}
                None if InheritedFields::is_inheritable(entry) => {
                    let before = problems.count();
                    self.own_fields.get_or_insert_default().read_field(entry, path, problems);
                    // A wrong `shell` is probably the script.
                    is_misspelled |= entry.key.text == "shell" && problems.count() > before;
                }
                None => {
                    is_misspelled |= unknown_fields::is_meant_as_program(entry);
                    unknown_fields::report(entry, FieldScope::Job, path, problems);
                }
            }
        }
        self.check_expect(node, path, problems);
        match (run, command) {
            (Some((_, text)), None) => text.map(ProgramSource::Run),
            (None, Some((_, words))) => {
                if let Some(shell) = entries.iter().find(|entry| entry.key.text == "shell") {
                    let problem = Problem::new(shell.key.id, &path.key("shell"), "a `command` doesn't use a shell");
                    problems.add(problem.hint("remove `shell`, or use `run` instead of `command`"));
                }
                words.map(ProgramSource::Command)
            }
            (Some((run, _)), Some((command, _))) => {
                let (first, second) = (run.min(command), run.max(command));
                let problem = Problem::new(second, path, "a job can't have both `run` and `command`");
                problems.add(problem.with_related(first, "conflicts with this"));
                None
            }
            // Its field is reported already.
            (None, None) if is_misspelled => None,
            (None, None) => {
                problems.add_with(|| {
                    Problem::new(node.id, path, "this job has neither `run` nor `command`")
                        .expected("expected `run` (a script) or `command` (a program and its arguments)")
                });
                None
            }
        }
    }

    /// Reports an expectation that can't be kept, and a hook for one that there isn't.
    fn check_expect(&self, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
        match (&self.expect, node.get("expect"), &self.schedule, node.get("schedule")) {
            (Some(expectation), Some(expect), Some(schedule), Some(scheduled)) => {
                let (expected, schedule) = ((&**expectation, expect.id), (&**schedule, scheduled.id));
                expect::check_schedule(expected, schedule, &path.key("expect"), problems);
            }
            (_, None, ..) if self.own_fields.as_ref().is_some_and(|own| own.has_overdue_hook()) => {
                expect::report_useless_hook(node, path, problems);
            }
            _ => {}
        }
    }

    /// Reports fields that have no effect or can't work with those that the job inherits.
    pub(super) fn check_with_inherited(
        &self,
        node: &Node<'_>,
        scope: &InheritedScope,
        path: &ValuePath<'_>,
        problems: &mut Problems,
    ) {
        self.check_stall_hook(node, scope, path, problems);
        self.check_outputs(node, scope, path, problems);
    }

    /// Reports outputs in a worktree that is removed when the run ends.
    fn check_outputs(&self, node: &Node<'_>, scope: &InheritedScope, path: &ValuePath<'_>, problems: &mut Problems) {
        let outputs = self.files.iter().flat_map(|files| &files.outputs);
        let is_inside = |output: &&String| !output.starts_with('/') && !output.starts_with("~/");
        let has_snapshot = match self.own_fields.as_deref() {
            Some(own) => own.has_snapshot(&scope.inherited),
            None => scope.exec.snapshot.is_some(),
        };
        if let (true, Some(node), Some(output)) = (has_snapshot, node.get("outputs"), outputs.clone().find(is_inside)) {
            let message = format!("{} would be in the worktree of the `snapshot`, which is removed", quoted(output));
            let problem = Problem::new(node.id, &path.key("outputs"), message);
            problems.add(
                problem.hint("write an absolute path, copy it to `$SETLIST_ARTIFACTS`, or write `snapshot: none`"),
            );
        }
    }

    /// Reports a hook for stalled runs if no run can stall.
    fn check_stall_hook(&self, node: &Node<'_>, scope: &InheritedScope, path: &ValuePath<'_>, problems: &mut Problems) {
        let is_useless = |own: &InheritedFields| own.has_useless_stall_hook(&scope.inherited);
        if let Some(hook) = node.get("on_stall").filter(|_| self.own_fields.as_deref().is_some_and(is_useless)) {
            let problem = Problem::new(hook.id, &path.key("on_stall"), "`on_stall` without `stall`");
            problems.add(problem.hint("write how long the job may print nothing, such as `stall: 10m`"));
        }
    }

    /// Adds a variable, unless the entry sets it.
    pub(super) fn add_variable(&mut self, name: String, value: String) {
        self.own_fields.get_or_insert_default().add_variable(name, value);
    }

    /// The approximate memory size in bytes of the job's own copy of inherited values.
    pub(super) fn inherited_memory_size(&self, scope: &InheritedScope) -> usize {
        if self.own_fields.is_some() || self.has_own_exec() { scope.memory_size } else { scope.tags_memory_size }
    }

    /// Whether it has execution options that are not inherited.
    fn has_own_exec(&self) -> bool {
        self.stdin.is_some() || self.conditions.is_some() || self.files.is_some()
    }

    /// Builds the definition with the values inherited from `scope`.
    pub(super) fn into_definition(self, name: Arc<str>, scope: &InheritedScope, interner: &mut Interner) -> Definition {
        let has_own_exec = self.has_own_exec();
        let (stdin, confirm, schedule) = (self.stdin, self.confirm, self.schedule);
        let conditions = self.conditions.filter(|conditions| !conditions.is_empty()).map(|own| Arc::new(*own));
        let files = self.files.map(|own| Arc::new(*own));
        let (expect, unique) = (self.expect, self.unique);
        let own = self.own_fields.map(|own| own.inherit_from(&scope.inherited));
        let inherited = own.as_ref().unwrap_or(&scope.inherited);
        let program = match self.program {
            ProgramSource::Run(text) => {
                let shell = inherited.shell.clone().unwrap_or_else(Program::default_shell);
                Program::Run { text: text.into(), shell }
            }
            ProgramSource::Command(words) => Program::Command(words),
        };
        let is_inherited = |is_set: bool| own.is_none() && !is_set;
        let exec = if is_inherited(has_own_exec) {
            Arc::clone(&scope.exec)
        } else {
            interner.exec_options(ExecOptions { conditions, files, ..inherited.exec_options(stdin) })
        };
        let mut definition = Definition::new(Script { program, exec });
        definition.name = Some(name);
        definition.title = self.title.into();
        if let Some(arguments) = self.arguments.filter(|arguments| !arguments.is_empty()) {
            definition.arguments = Arc::new(*arguments);
        }
        let is_own = confirm.is_some() || schedule.is_some() || expect.is_some() || unique.is_some();
        definition.scheduling = if is_inherited(is_own) {
            Arc::clone(&scope.scheduling)
        } else {
            let options = inherited.scheduling_options(confirm, schedule, expect);
            interner.scheduling_options(SchedulingOptions { unique, ..options })
        };
        definition.tags = inherited.tags.clone().unwrap_or_default().into();
        definition
    }
}

/// Reads the question of a job that needs approval: a text, `true` for the usual one, or `false` for none.
fn read_question(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    match &node.kind {
        NodeKind::Scalar(ScalarType::Bool, text) => {
            text.eq_ignore_ascii_case("true").then(|| DEFAULT_QUESTION.to_owned())
        }
        _ => value::non_empty_text(node, path, "the question", problems),
    }
}

fn check_id(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let Some(name) = value::text(node, path, problems) else { return };
    if let Some(reason) = job_names::invalid_id_reason(&name) {
        problems.add(Problem::new(node.id, path, reason));
    }
}
