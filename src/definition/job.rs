//! One entry of a queue's jobs: checked, and made into a definition.

use std::sync::Arc;

use super::field::{self, OfJob, Place};
use super::inherit::{self, Inherited};
use super::names;
use super::needs;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::shared::Shared;
use super::tree::{Kind, Node};
use super::value;
use super::words::quoted;
use crate::model::{Arguments, Definition, Program, Script, Setup, Terms};

/// What an entry says of itself.
pub(super) struct Entry {
    title: String,
    program: Written,
    stdin: Option<String>,
    /// None where nothing is passed. Most jobs have none, and it is large; so is `own`.
    arguments: Option<Box<Arguments>>,
    confirm: Option<String>,
    /// What it needs, which is resolved when all jobs are known.
    pub(super) needs: Vec<needs::Written>,
    own: Option<Box<Inherited>>,
}

/// What the levels around a queue's jobs say for all of them.
pub(super) struct Around {
    inherited: Inherited,
    /// The setup and the terms of a job that says nothing of its own.
    setup: Arc<Setup>,
    terms: Arc<Terms>,
    weight: usize,
    weight_of_tags: usize,
}

impl Around {
    pub(super) fn new(inherited: Inherited, shared: &mut Shared) -> Self {
        let setup = shared.setup(inherited.setup(None));
        let terms = shared.terms(inherited.terms(None));
        let (weight, weight_of_tags) = (inherited.weight(), inherited.weight_of_tags());
        Self { inherited, setup, terms, weight, weight_of_tags }
    }

    /// How much memory it takes in a job that says something of its own, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

/// What is to run, before the shell is known.
enum Written {
    Run(String),
    Command(Vec<String>),
}

impl Entry {
    /// Reads an entry: a script, or a map of fields. There is none if what it runs can't be told.
    pub(super) fn read(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Self> {
        let mut entry = Self {
            title: String::new(),
            program: Written::Command(Vec::new()),
            stdin: None,
            arguments: None,
            confirm: None,
            needs: Vec::new(),
            own: None,
        };
        match &node.kind {
            Kind::Scalar(..) => {
                entry.program = Written::Run(value::filled(node, path, "the script", problems)?);
                Some(entry)
            }
            Kind::Map(_) => {
                entry.program = entry.fields(node, path, problems)?;
                Some(entry)
            }
            _ => value::unexpected(node, path, "a script or a map of a job's fields", problems),
        }
    }

    fn fields(&mut self, node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Written> {
        let Kind::Map(entries) = &node.kind else { return None };
        let (mut run, mut command) = (None, None);
        for entry in entries {
            let node = &entry.value;
            let path = &path.key(&entry.key.text);
            match OfJob::of(&entry.key.text) {
                Some(OfJob::Id) => id(node, path, problems),
                Some(OfJob::Title) => self.title = value::text(node, path, problems).unwrap_or_default(),
                Some(OfJob::Run) => run = Some((entry.key.id, value::filled(node, path, "the script", problems))),
                Some(OfJob::Command) => command = Some((entry.key.id, self::command(node, path, problems))),
                Some(OfJob::Stdin) => self.stdin = value::text(node, path, problems),
                Some(OfJob::Args) => {
                    let args = value::list(node, path, "a list of arguments", problems, value::argument);
                    self.arguments.get_or_insert_default().args = args.unwrap_or_default();
                }
                Some(OfJob::Kwargs) => {
                    let kwargs = value::named_arguments(node, path, problems);
                    self.arguments.get_or_insert_default().kwargs = kwargs.unwrap_or_default();
                }
                Some(OfJob::Confirm) => self.confirm = value::filled(node, path, "the question", problems),
                Some(OfJob::Needs) => self.needs = needs::read(node, path, problems),
                // It was read before: it makes several jobs of the entry.
                Some(OfJob::Matrix) => {}
                None if Inherited::has(entry) => {
                    self.own.get_or_insert_default().take(entry, path, problems);
                }
                None => field::unknown(entry, Place::Job, path, problems),
            }
        }
        match (run, command) {
            (Some((_, text)), None) => text.map(Written::Run),
            (None, Some((_, words))) => {
                if let Some(shell) = entries.iter().find(|entry| entry.key.text == "shell") {
                    let problem = Problem::new(shell.key.id, &path.key("shell"), "a `command` runs without a shell");
                    problems.add(problem.hint("leave out `shell`, or write a script under `run`"));
                }
                words.map(Written::Command)
            }
            (Some((run, _)), Some((command, _))) => {
                let (first, second) = (run.min(command), run.max(command));
                let problem = Problem::new(second, path, "a job has either `run` or `command`, not both");
                problems.add(problem.also(first, "and this one"));
                None
            }
            (None, None) => {
                problems.tell(|| {
                    Problem::new(node.id, path, "this job has nothing to run")
                        .expected("expected `run` (a script) or `command` (a program and its arguments)")
                });
                None
            }
        }
    }

    /// Adds a variable, unless the entry sets it itself.
    pub(super) fn add_variable(&mut self, name: String, value: String) {
        self.own.get_or_insert_default().add_variable(name, value);
    }

    /// How much memory its copy of what it inherits takes, in bytes, roughly.
    pub(super) fn inherits(&self, around: &Around) -> usize {
        if self.own.is_some() || self.stdin.is_some() { around.weight } else { around.weight_of_tags }
    }

    /// The definition, with what it inherits from the levels around it.
    pub(super) fn define(self, name: Arc<str>, around: &Around, shared: &mut Shared) -> Definition {
        let (own, stdin, confirm) = (self.own.map(|own| own.over(&around.inherited)), self.stdin, self.confirm);
        let inherited = own.as_ref().unwrap_or(&around.inherited);
        let program = match self.program {
            Written::Run(text) => {
                Program::Run { text, shell: inherited.shell.clone().unwrap_or_else(Program::default_shell) }
            }
            Written::Command(words) => Program::Command(words),
        };
        let same = |told: bool| own.is_none() && !told;
        let setup =
            if same(stdin.is_some()) { Arc::clone(&around.setup) } else { shared.setup(inherited.setup(stdin)) };
        let mut definition = Definition::new(Script { program, setup });
        definition.name = Some(name);
        definition.title = self.title;
        if let Some(arguments) = self.arguments.filter(|arguments| !arguments.is_empty()) {
            definition.arguments = Arc::new(*arguments);
        }
        definition.terms =
            if same(confirm.is_some()) { Arc::clone(&around.terms) } else { shared.terms(inherited.terms(confirm)) };
        definition.tags = inherited.tags.clone().unwrap_or_default();
        definition
    }
}

fn id(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) {
    let Some(name) = value::text(node, path, problems) else { return };
    if let Some(objection) = names::objection(&name) {
        problems.add(Problem::new(node.id, path, objection));
    }
}

fn command(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if let Kind::Scalar(_, text) = &node.kind {
        let problem = Problem::new(node.id, path, "expected a program and its arguments as a list, found text");
        let words: Vec<_> = text.split_whitespace().map(|word| word.replace(',', "")).collect();
        problems.add(problem.hint(format!("write {}, or use `run`", quoted(&format!("[{}]", words.join(", "))))));
        return None;
    }
    inherit::words(node, path, "a program and its arguments as a list", problems)
}
