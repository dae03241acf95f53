//! `--input` and `--inputs`: values for the inputs of queues, checked before anything is requested.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::error::{CliError, warn};
use super::safe_output;
use crate::definition;
use crate::definition::yaml_file::{self, Node, NodeKind, Problem, Problems, ValuePath};
use crate::model::{
    InputDeclaration, InputError, InputType, InputValues, Job, QueueId, QueueInfo, QueueMode, Refusal, SiteState,
    check_inputs,
};
use crate::site::GivenInputs;
use crate::text;

/// The longest standard input that is read.
const MAX_INPUT_BYTES: u64 = 128 << 20;

/// Values for the inputs of queues.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct InputArgs {
    /// A value for an input of the queues (`inputs` in jobs.yaml). May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub input: Vec<String>,
    /// A YAML or JSON file with values for inputs, by name; `-` for standard input. --input wins.
    #[arg(long, value_name = "FILE")]
    pub inputs: Option<PathBuf>,
}

/// A queue whose jobs are requested, and its inputs.
type QueueInputs<'q> = (&'q QueueId, &'q [InputDeclaration]);

impl InputArgs {
    /// The values for queues that are processed, `again` also their finished jobs. On a terminal, `asks` makes it ask for those that are missing.
    pub(super) fn for_queues(
        &self,
        site_state: &SiteState,
        queues: &[QueueId],
        again: bool,
        asks: bool,
    ) -> Result<GivenInputs, CliError> {
        let queues: Vec<QueueInputs<'_>> = queues
            .iter()
            // A queue without pending jobs starts nothing, but its inputs may be given.
            .filter_map(|id| Some((id, &*site_state.queue(id)?.settings.inputs)))
            .collect();
        let mut given = self.given(&queues)?;
        if again {
            keep_last_values(site_state, &queues, &mut given);
        }
        let needs_values = |id: &QueueId| {
            let queue = site_state.queue(id);
            queue.is_some_and(|queue| !queue.pending.is_empty() || (again && !queue.finished.is_empty()))
        };
        let is_missing = |input: &&InputDeclaration, given: &GivenInputs| {
            input.default.is_none() && !given.values().contains_key(&input.name)
        };
        for (_, declared) in queues.iter().filter(|(id, _)| needs_values(id)) {
            for input in *declared {
                if asks && is_missing(&input, &given) {
                    match ask(input)? {
                        Some(value) => given.insert(input, value),
                        None => break,
                    }
                }
            }
        }
        for (id, declared) in queues.iter().filter(|(id, _)| needs_values(id)) {
            require(id, declared, given.values())?;
            refuse_other_values(site_state, id, declared, &given)?;
        }
        Ok(given)
    }

    /// The values with which finished jobs of queues would run again.
    pub(super) fn for_plan(&self, site_state: &SiteState, queues: &[QueueId]) -> Result<GivenInputs, CliError> {
        let declared = |id| Some((id, &*site_state.queue(id)?.settings.inputs));
        let queues: Vec<QueueInputs<'_>> = queues.iter().filter_map(declared).collect();
        let mut given = self.given(&queues)?;
        keep_last_values(site_state, &queues, &mut given);
        Ok(given)
    }

    /// The values for one queue whose job is added and run.
    pub(super) fn for_queue(&self, queue: Option<&QueueInfo>) -> Result<GivenInputs, CliError> {
        let queues: Vec<QueueInputs<'_>> = queue.iter().map(|info| (&info.id, &*info.settings.inputs)).collect();
        let given = self.given(&queues)?;
        queues.iter().try_for_each(|(id, declared)| require(id, declared, given.values()))?;
        Ok(given)
    }

    /// The values for jobs that are run again, which keep those of their last run that are not given.
    pub(super) fn for_jobs(&self, queues: &[QueueInfo], jobs: &[Job]) -> Result<GivenInputs, CliError> {
        let of_jobs = |info: &&QueueInfo| jobs.iter().any(|job| job.queue == info.id);
        let declared: Vec<QueueInputs<'_>> =
            queues.iter().filter(of_jobs).map(|info| (&info.id, &*info.settings.inputs)).collect();
        let given = self.given(&declared)?;
        for job in jobs {
            if let Some((id, declared)) = declared.iter().find(|(id, _)| **id == job.queue) {
                require(id, declared, &job.input_values(declared, given.values()))?;
            }
        }
        Ok(given)
    }

    /// The given values. Some queue must have an input for each.
    fn given(&self, queues: &[QueueInputs<'_>]) -> Result<GivenInputs, CliError> {
        let mut texts = self.inputs.as_deref().map_or_else(|| Ok(BTreeMap::new()), read_values)?;
        for argument in &self.input {
            let Some((name, value)) = argument.split_once('=') else {
                let message = format!("--input {argument}: expected NAME=VALUE");
                return Err(CliError::Usage(text::sanitize_line(&message)));
            };
            texts.insert(name.to_owned(), value.to_owned());
        }
        let mut given = GivenInputs::default();
        for (name, value) in texts {
            let named = queues.iter().flat_map(|(_, declared)| *declared).filter(|input| *input.name == *name);
            let named: Vec<&InputDeclaration> = named.collect();
            let Some(input) = named.iter().find(|input| input.is_secret()).or(named.first()) else {
                return Err(unknown_input(&name, queues));
            };
            for input in &named {
                input.check(&value).map_err(|error| CliError::Usage(text::sanitize_line(&error.to_string())))?;
            }
            given.insert(input, value);
        }
        Ok(given)
    }
}

/// Adds the values of the last run of each queue for inputs that were not given.
fn keep_last_values(site_state: &SiteState, queues: &[QueueInputs<'_>], given: &mut GivenInputs) {
    for (id, declared) in queues {
        let last = site_state.input_values(id, &InputValues::default());
        for input in declared.iter().filter(|input| !input.is_secret()) {
            // Another queue may have an input of this name.
            let mut named = queues.iter().flat_map(|(_, declared)| *declared).filter(|other| other.name == input.name);
            if let Some(Some(value)) = last.get(&input.name)
                && !given.values().contains_key(&input.name)
                && named.all(|other| other.check(value).is_ok())
            {
                given.insert(input, value.clone());
            }
        }
    }
}

/// Says which values of their last run queues are run again with.
pub(super) fn report_kept_values(site_state: &SiteState, queues: &[QueueId], args: &InputArgs, given: &GivenInputs) {
    let typed: Vec<&str> = args.input.iter().filter_map(|input| Some(input.split_once('=')?.0)).collect();
    for id in queues {
        let last = site_state.input_values(id, &InputValues::default());
        let kept =
            last.iter().filter(|(name, value)| given.values().get(*name) == Some(*value) && !typed.contains(&&***name));
        let kept: Vec<String> = kept
            .filter_map(|(name, value)| Some(format!("{name}={}", text::shell_command(&[value.clone()?]))))
            .collect();
        if !kept.is_empty() {
            warn(&text::sanitize_line(&format!("{id} runs again with {}, as last time", kept.join(" "))));
        }
    }
}

/// What to do about inputs that have no value.
pub(super) fn refusal_hint(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Inputs { error: InputError::Missing { .. }, .. } => "; give it with --input NAME=VALUE",
        _ => "",
    }
}

fn require(queue: &QueueId, declared: &[InputDeclaration], values: &InputValues) -> Result<(), CliError> {
    let Err(error) = check_inputs_of(declared, values) else { return Ok(()) };
    let message = match &error {
        InputError::Missing { names } => {
            let missing = declared.iter().filter(|input| names.iter().any(|name| **name == *input.name));
            let lines: Vec<String> = missing
                .map(|input| {
                    let about = if input.description.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", text::sanitize_line(&input.description))
                    };
                    format!("  --input {}={}{about}", input.name, placeholder_of(input))
                })
                .collect();
            let (noun, pronoun) = if lines.len() == 1 { ("a value", "it") } else { ("values", "them") };
            let hint = format!("give {pronoun} with --input, or in a file with --inputs");
            format!("{queue} needs {noun}; {hint}:\n{}", lines.join("\n"))
        }
        error => format!("{queue}: {error}"),
    };
    Err(CliError::Usage(text::sanitize(&message)))
}

/// Refuses values for a queue that is already being processed with others: its jobs would run with those.
fn refuse_other_values(
    site_state: &SiteState,
    id: &QueueId,
    declared: &[InputDeclaration],
    given: &GivenInputs,
) -> Result<(), CliError> {
    let Some(queue) = site_state.queue(id).filter(|queue| queue.mode == QueueMode::Processing) else { return Ok(()) };
    let first = queue.inputs.as_deref().map(|inputs| &inputs.values);
    let is_other = |input: &InputDeclaration| {
        given
            .values()
            .get(&input.name)
            .is_some_and(|value| first.and_then(|first| first.get(&input.name)) != Some(value))
    };
    if !declared.iter().any(is_other) {
        return Ok(());
    }
    let message = format!("{id} is already being processed with other inputs; `setlist pause {id}` stops that first");
    Err(CliError::Usage(text::sanitize_line(&message)))
}

/// Checks the values that this queue has an input for.
fn check_inputs_of(declared: &[InputDeclaration], values: &InputValues) -> Result<(), InputError> {
    let mut own = values.clone();
    own.retain(|name, _| declared.iter().any(|input| input.name == *name));
    check_inputs(declared, &own)
}

/// The values that an input takes, for an example.
fn placeholder_of(input: &InputDeclaration) -> String {
    match &input.input_type {
        InputType::Options(options) => options.join("|"),
        other => other.as_str().to_uppercase(),
    }
}

fn unknown_input(name: &str, queues: &[QueueInputs<'_>]) -> CliError {
    let mut known: Vec<&str> = queues.iter().flat_map(|(_, declared)| *declared).map(|input| &*input.name).collect();
    known.sort_unstable();
    known.dedup();
    let hint = match yaml_file::closest_name(name, known.iter().copied()) {
        Some(closest) => format!("; did you mean {closest:?}?"),
        None if known.is_empty() => "; these queues have none".to_owned(),
        None if known.len() == 1 => format!("; the only one is {}", known[0]),
        None => format!("; the inputs are {}", known.join(", ")),
    };
    CliError::Usage(text::sanitize_line(&format!("there is no input {name:?}{hint}")))
}

/// Reads a file with values by name.
fn read_values(path: &Path) -> Result<BTreeMap<String, String>, CliError> {
    let check = |root: &Node<'_>, problems: &mut Problems| {
        let mut values = BTreeMap::new();
        let top = ValuePath::Top;
        for entry in yaml_file::map(root, &top, "a map of values by name", problems).unwrap_or_default() {
            let path = top.key(&entry.key.text);
            match &entry.value.kind {
                NodeKind::Scalar(_, text) => drop(values.insert(entry.key.text.to_string(), text.to_string())),
                _ => problems.add(Problem::new(entry.value.id, &path, "expected text, a number or a boolean")),
            }
        }
        values
    };
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(yaml_file::parse("standard input", &text, check).map_err(definition::Error::from)?);
    }
    let read = yaml_file::read(path, check)?;
    read.ok_or_else(|| CliError::Usage(text::sanitize_line(&format!("{} does not exist", path.display()))))
}

/// Asks for a value on the terminal until it is valid. `None` at the end of the input.
fn ask(input: &InputDeclaration) -> Result<Option<String>, CliError> {
    loop {
        let about = if input.description.is_empty() { String::new() } else { format!(" ({})", input.description) };
        let expected = match &input.input_type {
            InputType::Text => String::new(),
            InputType::Secret => ", not shown".to_owned(),
            other => format!(", {}", other.expected()),
        };
        warn(&text::sanitize_line(&format!("{}{about}{expected}:", input.name)));
        let hidden = input.is_secret().then(HiddenTyping::start);
        let mut line = String::new();
        let len = io::stdin().read_line(&mut line).context("cannot read standard input")?;
        drop(hidden);
        if len == 0 {
            return Ok(None);
        }
        let value = line.trim_end_matches(['\n', '\r']);
        match input.check(value) {
            Ok(()) if !value.is_empty() => return Ok(Some(value.to_owned())),
            Ok(()) => warn("a value is required"),
            Err(error) => warn(&text::sanitize_line(&error.to_string())),
        }
    }
}

/// Whether questions can be asked on this terminal.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && safe_output::is_stderr_terminal()
}

/// Keeps the terminal from showing what is typed.
struct HiddenTyping(Option<Termios>);

impl HiddenTyping {
    fn start() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut hidden) = before.clone() {
            hidden.local_modes -= LocalModes::ECHO;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hidden);
        }
        Self(before)
    }
}

impl Drop for HiddenTyping {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
