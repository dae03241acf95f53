//! Placeholders for the values of needed jobs: `${needs.build.value}`, and `${needs.build.value.key}` where it is JSON.
//!
//! They are filled in when a run starts, as parts of whole arguments, variables, the working directory or the standard
//! input. Never in scripts, where a value could end a command and start another: scripts find values in their
//! environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::input::{InputPlaceholder, InputValues, MASK, input_placeholder};
use super::{
    Arguments, Call, Definition, Failure, FailureKind, Interpreter, Job, NeedResult, Program, RunInputs, Script,
};
use crate::text;

/// The start of a placeholder.
const PREFIX: &str = "${needs.";

/// A longer value is cut: the system limits the size of an argument and of an environment.
pub(super) const MAX_VALUE_BYTES: usize = 32 * 1024;

/// The longest argument that is made of values.
const MAX_WORD_BYTES: usize = 96 * 1024;

/// A placeholder for the value of a needed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValuePlaceholder<'t> {
    /// All of it, as written.
    pub text: &'t str,
    /// The needed job: `name`, or `queue/name`.
    pub job: &'t str,
    /// The keys within its value, separated by dots; empty for all of it.
    keys: &'t str,
}

impl<'t> ValuePlaceholder<'t> {
    /// The placeholders of a text, in order.
    pub fn find_all(text: &'t str) -> impl Iterator<Item = ValuePlaceholder<'t>> {
        // Most texts have no `$`.
        let has_any = memchr::memchr(b'$', text.as_bytes()).is_some();
        let starts = has_any.then(|| memchr::memmem::find_iter(text.as_bytes(), PREFIX)).into_iter().flatten();
        starts.filter_map(|start| Self::parse(&text[start..]))
    }

    /// The placeholder at the start of a text, if it is well-formed.
    pub fn parse(text: &'t str) -> Option<Self> {
        let text = &text[..=text.find('}')?];
        let inside = text.strip_prefix(PREFIX)?.strip_suffix('}')?;
        let ends = memchr::memmem::find_iter(inside.as_bytes(), ".value");
        let (job, keys) = ends.into_iter().find_map(|end| {
            let (job, rest) = (&inside[..end], &inside[end + ".value".len()..]);
            let keys = if rest.is_empty() { rest } else { rest.strip_prefix('.').filter(|keys| !keys.is_empty())? };
            Some((job, keys))
        })?;
        (!job.is_empty() && !job.contains(char::is_whitespace)).then_some(Self { text, job, keys })
    }

    /// What to fill in, and whether it was cut; the error says why there is nothing.
    fn resolve(&self, results: &[FullResult]) -> Result<(String, bool), String> {
        let Some(result) = results.iter().find(|result| result.is_of(self.job)) else {
            return Err(format!("{}: the job doesn't need {}", self.text, self.job));
        };
        let Some(mut value) = result.value.as_ref() else {
            return Err(match &*result.outcome {
                "succeeded" => format!("{}: {} has no value", self.text, result.name),
                outcome => format!("{}: {} has no value, because it {}", self.text, result.name, ended(outcome)),
            });
        };
        for key in self.keys.split('.').filter(|key| !key.is_empty()) {
            let inner = match value {
                Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                value => value.get(key),
            };
            value = inner.ok_or_else(|| format!("{}: the value of {} has no `{key}`", self.text, result.name))?;
        }
        let text = plain_text(value);
        let cut = cut_at(&text, MAX_VALUE_BYTES);
        Ok((cut.replace('\0', "\u{fffd}"), cut.len() < text.len()))
    }
}

/// The result of a needed job before its value is cut.
pub(super) struct FullResult {
    /// `name`, or `queue/name` for a job of another queue.
    pub(super) name: Arc<str>,
    /// `queue/name`.
    pub(super) path: String,
    pub(super) outcome: Arc<str>,
    pub(super) value: Option<Value>,
}

impl FullResult {
    fn is_of(&self, job: &str) -> bool {
        *self.name == *job || self.path == job
    }

    /// The result as it is recorded, with its value cut to what is left of `budget`.
    pub(super) fn record(self, budget: &mut usize) -> NeedResult {
        let Self { name: job, outcome, value, .. } = self;
        let Some(value) = value else { return NeedResult { job, outcome, value: None, is_cut: false } };
        let text = plain_text(&value);
        let cut = cut_at(&text, MAX_VALUE_BYTES.min(*budget));
        *budget -= cut.len();
        let is_cut = cut.len() < text.len();
        let value = if is_cut { Value::String(cut.to_owned()) } else { value };
        NeedResult { job, outcome, value: Some(value), is_cut }
    }
}

/// What is filled in for each placeholder of a definition, and whether any of it was cut.
pub(super) fn resolve_placeholders(
    definition: &Definition,
    results: &[FullResult],
) -> Result<(BTreeMap<String, String>, bool), String> {
    let mut filled = BTreeMap::new();
    let mut is_any_cut = false;
    let mut failed = None;
    for_each_text(definition, &mut |text| {
        for placeholder in ValuePlaceholder::find_all(text) {
            // Other jobs may use the same syntax for something else.
            if !results.iter().any(|result| result.is_of(placeholder.job)) {
                continue;
            }
            match placeholder.resolve(results) {
                Ok((value, is_cut)) => {
                    is_any_cut |= is_cut;
                    filled.insert(placeholder.text.to_owned(), value);
                }
                Err(message) => failed = failed.take().or(Some(message)),
            }
        }
    });
    failed.map_or(Ok((filled, is_any_cut)), Err)
}

/// Whether a definition has placeholders for values.
pub(super) fn has_value_placeholders(definition: &Definition) -> bool {
    let mut has_any = false;
    for_each_text(definition, &mut |text| has_any |= ValuePlaceholder::find_all(text).next().is_some());
    has_any
}

/// Calls `visit` with each text of a definition in which placeholders are filled in.
pub fn for_each_text(definition: &Definition, visit: &mut impl FnMut(&str)) {
    let Call::Script(Script { program, exec }) = &definition.call else { return };
    if let Program::Command(words) = program {
        let words_that_run = script_words(words);
        words.iter().enumerate().filter(|(nth, _)| !words_that_run.contains(nth)).for_each(|(_, word)| visit(word));
    }
    for value in definition.arguments.args.iter().chain(definition.arguments.kwargs.values()) {
        value.as_str().into_iter().for_each(&mut *visit);
    }
    exec.env.values().flatten().for_each(|value| visit(value));
    exec.stdin.iter().for_each(|stdin| visit(stdin));
    exec.cwd.iter().filter_map(|cwd| cwd.to_str()).for_each(&mut *visit);
}

/// The words of a command that are scripts: those after the option `-c` of a shell, or `-e` of an interpreter.
pub fn script_words(words: &[String]) -> Vec<usize> {
    let mut interpreter = None;
    let mut scripts = Vec::new();
    for (nth, word) in words.iter().enumerate() {
        let option = nth.checked_sub(1).and_then(|before| words.get(before));
        let takes_script = |option: &String| {
            Interpreter::takes_script(option)
                || interpreter.is_some_and(|known: Interpreter| *option == known.script_option())
        };
        if interpreter.is_some() && option.is_some_and(takes_script) {
            scripts.push(nth);
        }
        interpreter = interpreter.or_else(|| Interpreter::from_program(word));
    }
    scripts
}

/// What is filled in for the inputs that a definition names.
pub(super) fn resolve_input_placeholders(definition: &Definition, values: &InputValues) -> BTreeMap<String, String> {
    let mut filled = BTreeMap::new();
    for_each_text(definition, &mut |text| {
        // Other placeholders may be meant for the program.
        for placeholder in InputPlaceholder::find_all(text) {
            if let Some(value) = values.get(placeholder.name) {
                let value = value.clone().unwrap_or_else(|| MASK.to_owned());
                filled.insert(placeholder.text.to_owned(), value);
            }
        }
    });
    filled
}

impl Job {
    /// Its definition with the values filled in that its latest run got; the failure of the run if one is missing. Secrets
    /// are masked.
    pub fn filled_definition(&self) -> Result<Arc<Definition>, Failure> {
        self.definition_with_secrets(&BTreeMap::new())
    }

    /// Same with the values of secret inputs, by name.
    pub fn definition_with_secrets(&self, secrets: &BTreeMap<Arc<str>, String>) -> Result<Arc<Definition>, Failure> {
        match self.last_run.as_deref().and_then(|run| run.inputs.as_deref()) {
            Some(RunInputs { problem: Some(message), .. }) => {
                Err(Failure { kind: FailureKind::NotStarted, message: message.clone() })
            }
            Some(inputs) if !inputs.filled.is_empty() || !inputs.scaled.is_empty() => {
                let mut filled = inputs.filled.clone();
                for (name, secret) in secrets {
                    filled.entry(input_placeholder(name)).and_modify(|value| value.clone_from(secret));
                }
                let mut definition = fill(&self.definition, &filled);
                if let Call::Script(script) = &mut definition.call
                    && !inputs.scaled.is_empty()
                {
                    let exec = script.exec_mut();
                    inputs.scaled.apply_to(&mut exec.limits, &mut exec.timeout);
                }
                Ok(Arc::new(definition))
            }
            _ => Ok(Arc::clone(&self.definition)),
        }
    }
}

/// The definition with the values that a run got.
pub(super) fn fill(definition: &Definition, values: &BTreeMap<String, String>) -> Definition {
    let mut filled = definition.clone();
    let fill_value = |value: &mut Value| {
        if let Value::String(text) = value
            && let Cow::Owned(changed) = fill_text(text, values)
        {
            *text = changed;
        }
    };
    let arguments: &mut Arguments = Arc::make_mut(&mut filled.arguments);
    arguments.args.iter_mut().for_each(fill_value);
    arguments.kwargs.values_mut().for_each(fill_value);
    if let Call::Script(script) = &mut filled.call {
        if let Program::Command(words) = &mut script.program {
            let words_that_run = script_words(words);
            for (_, word) in words.iter_mut().enumerate().filter(|(nth, _)| !words_that_run.contains(nth)) {
                *word = fill_text(word, values).into_owned();
            }
        }
        let exec = script.exec_mut();
        for value in exec.env.values_mut().flatten() {
            *value = fill_text(value, values).into_owned();
        }
        exec.stdin = exec.stdin.as_deref().map(|stdin| fill_text(stdin, values).into_owned());
        exec.cwd = exec.cwd.take().map(|cwd| match cwd.to_str().map(|cwd| fill_text(cwd, values)) {
            Some(Cow::Owned(changed)) => PathBuf::from(changed),
            _ => cwd,
        });
    }
    filled
}

fn fill_text<'t>(text: &'t str, filled: &BTreeMap<String, String>) -> Cow<'t, str> {
    if next_placeholder(text).is_none() {
        return Cow::Borrowed(text);
    }
    let (mut result, mut rest) = (String::with_capacity(text.len()), text);
    // Values are not searched for further placeholders.
    while let Some((at, placeholder)) = next_placeholder(rest) {
        result.push_str(&rest[..at]);
        result.push_str(filled.get(placeholder).map_or(placeholder, String::as_str));
        rest = &rest[at + placeholder.len()..];
    }
    result.push_str(rest);
    let end = cut_at(&result, MAX_WORD_BYTES).len();
    result.truncate(end);
    Cow::Owned(result)
}

/// The first placeholder of a text for the value of a job or an input, and where it starts.
fn next_placeholder(text: &str) -> Option<(usize, &str)> {
    memchr::memmem::find_iter(text.as_bytes(), "${").find_map(|at| {
        let rest = &text[at..];
        let input = || InputPlaceholder::parse(rest).map(|found| found.text);
        ValuePlaceholder::parse(rest).map(|found| found.text).or_else(input).map(|found| (at, found))
    })
}

/// The command line of a definition: the words of a command, or a script with its arguments.
pub(super) fn command_line(definition: &Definition) -> Option<String> {
    let Call::Script(script) = &definition.call else { return None };
    let arguments = definition.arguments.words();
    Some(match &script.program {
        Program::Command(words) => text::shell_command(&[&words[..], &arguments].concat()),
        Program::Run { text, .. } if arguments.is_empty() => text.to_string(),
        Program::Run { text, .. } => format!("{}\n# with {}", text.trim_end(), text::shell_command(&arguments)),
    })
}

/// A value as text: a text as it is, everything else as JSON.
pub fn plain_text(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

/// The longest start of a text of at most so many bytes.
fn cut_at(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}

fn ended(outcome: &str) -> &str {
    match outcome {
        "failed" => "failed",
        "cancelled" => "was cancelled",
        "interrupted" => "was interrupted",
        "skipped" => "was skipped",
        _ => "has not run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(&str, &str)> {
        ValuePlaceholder::parse(text).map(|found| (found.job, found.keys))
    }

    #[test]
    fn placeholders_name_a_job_and_keys() {
        assert_eq!(parsed("${needs.build.value}"), Some(("build", "")));
        assert_eq!(parsed("${needs.q/build.value.a.0}/x"), Some(("q/build", "a.0")));
        assert_eq!(parsed("${needs.v1.2.value}"), Some(("v1.2", "")));
        assert_eq!(parsed("${needs.build.values}"), None);
        for wrong in
            ["${needs.build}", "${needs.build.value", "${needs.value}", "${needs.a b.value}", "${needs.a.value.}"]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
        let all: Vec<_> = ValuePlaceholder::find_all("a ${needs.x.value}${HOME} ${needs.y.value.k}").collect();
        assert_eq!(all.iter().map(|found| found.job).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn words_that_are_scripts_are_known() {
        let words = |words: &[&str]| script_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["sh", "-c", "echo $1", "x", "-c", "y"]), [2, 5]);
        assert_eq!(words(&["sudo", "/bin/bash", "-lc", "echo"]), [3]);
        assert_eq!(words(&["python3", "-c", "print()"]), [2]);
        assert_eq!(words(&["node", "-e", "x"]), [2]);
        assert_eq!(words(&["tar", "-c", "x"]), [0; 0]);
    }

    #[test]
    fn values_are_not_searched_for_placeholders() {
        let filled = BTreeMap::from([
            ("${needs.a.value}".to_owned(), "${needs.b.value}".to_owned()),
            ("${needs.b.value}".to_owned(), "B".to_owned()),
        ]);
        assert_eq!(fill_text("<${needs.a.value}|${needs.b.value}>", &filled), "<${needs.b.value}|B>");
        assert_eq!(fill_text("${needs.c.value}", &filled), "${needs.c.value}");
    }
}
