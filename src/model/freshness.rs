//! Whether a job is up to date, and why not. Workers decide by it, and `setlist explain` reports it.

use std::fmt::Write;

use super::{Call, Definition, FileRules, InputValues, Job, JobState, SourceChanges, SourceState};
use crate::stable_hash::{EMPTY, extend};
use crate::text;

/// How many names a reason lists.
const MAX_NAMES: usize = 3;

/// The files of a job as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedFiles {
    /// Its sources.
    pub sources: SourceState,
    /// The patterns of its outputs that match nothing.
    pub missing_outputs: Vec<String>,
}

/// Why a job is not up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// The request overrides conditions and freshness.
    Forced,
    /// It has not succeeded with these fields before.
    NoSuccess,
    /// A run after its last success did not succeed.
    NotSucceededSince,
    /// Its command, arguments, variables or working directory changed.
    CommandChanged,
    /// None of the patterns of its sources matches a file.
    NoSources,
    /// Sources changed.
    Sources(SourceChanges),
    /// These outputs don't exist.
    MissingOutputs(Vec<String>),
}

impl Job {
    /// The rules for its sources and outputs, if it has any.
    pub fn file_rules(&self) -> Option<&FileRules> {
        self.script()?.exec.files.as_deref()
    }

    /// Whether its request overrides conditions and freshness.
    pub fn is_forced(&self) -> bool {
        match self.state {
            JobState::Pending { wait, .. } => wait.forced,
            JobState::Running { forced, .. } => forced,
            JobState::Finished { .. } => false,
        }
    }

    /// Why it is not up to date if its files are these; empty if it is. For a job with sources or outputs.
    pub fn stale_reasons(&self, rules: &FileRules, now: &ObservedFiles) -> Vec<StaleReason> {
        let mut reasons: Vec<StaleReason> = self.is_forced().then_some(StaleReason::Forced).into_iter().collect();
        match self.success.as_deref() {
            None => reasons.push(StaleReason::NoSuccess),
            Some(success) => {
                reasons.extend(success.is_superseded.then_some(StaleReason::NotSucceededSince));
                let is_other_command = success.sources.command != now.sources.command;
                reasons.extend(is_other_command.then_some(StaleReason::CommandChanged));
                reasons.extend(now.sources.changes_since(&success.sources).map(StaleReason::Sources));
            }
        }
        if !rules.sources.is_empty() && now.sources.count == 0 {
            reasons.push(StaleReason::NoSources);
        }
        if !now.missing_outputs.is_empty() {
            reasons.push(StaleReason::MissingOutputs(now.missing_outputs.clone()));
        }
        reasons
    }
}

impl Definition {
    /// A digest of what a run with these inputs executes: see [`runs_same_as`](Self::runs_same_as). The values of secrets are
    /// no part of it. The same in all versions.
    pub fn command_digest(&self, inputs: &InputValues) -> u64 {
        let Call::Script(script) = &self.call else { return EMPTY };
        let exec = &script.exec;
        let parts = (&script.program, &self.arguments, &exec.env, &exec.env_files, &exec.pass_env);
        // Writing plain data as JSON can't fail.
        let text = serde_json::to_vec(&(parts, &exec.cwd, &exec.stdin, exec.pty)).unwrap_or_default();
        let digest = extend(EMPTY, text);
        let digest = exec.snapshot.map_or(digest, |snapshot| extend(digest, snapshot.as_str().bytes()));
        if inputs.is_empty() { digest } else { extend(digest, serde_json::to_vec(inputs).unwrap_or_default()) }
    }
}

impl StaleReason {
    /// The reason as one word, as in JSON. Scripts read these words: they never change.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::NoSuccess => "no_success",
            Self::NotSucceededSince => "not_succeeded_since",
            Self::CommandChanged => "command",
            Self::NoSources => "no_sources",
            Self::Sources(_) => "sources",
            Self::MissingOutputs(_) => "outputs",
        }
    }

    /// The reason in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Forced => "it is forced".to_owned(),
            Self::NoSuccess => "no success with these sources and outputs is recorded".to_owned(),
            Self::NotSucceededSince => "its latest run did not succeed".to_owned(),
            Self::CommandChanged => "its command changed".to_owned(),
            Self::NoSources => "no source exists".to_owned(),
            Self::Sources(changes) => changes.describe(),
            Self::MissingOutputs(patterns) => format!("missing {}", listed(patterns)),
        }
    }
}

impl SourceChanges {
    /// `changed in/a.wav, new in/b.wav, removed in/c.wav and 3 more`.
    fn describe(&self) -> String {
        let groups = [("changed", &self.changed), ("new", &self.appeared), ("removed", &self.vanished)];
        let groups = groups.into_iter().filter(|(_, names)| !names.is_empty());
        let text: Vec<String> = groups.map(|(word, names)| format!("{word} {}", listed(names))).collect();
        if text.is_empty() { "sources changed".to_owned() } else { text.join(", ") }
    }
}

/// The first of these names, and how many more there are.
fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(MAX_NAMES).map(|name| text::sanitize_line(name)).collect::<Vec<_>>().join(", ");
    if let Some(more) = names.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
        // Writing to a string can't fail.
        let _ = write!(text, " and {more} more");
    }
    text
}
