//! Scripts: what a scripted job runs, as data.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::{ExecOptions, Program};

/// A program and its execution options. A site can hold many scripts, so parts that most jobs share are reference-counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// The program.
    pub program: Program,
    /// How it is executed.
    #[serde(rename = "setup", default = "ExecOptions::shared_default", skip_serializing_if = "is_default_exec")]
    pub exec: Arc<ExecOptions>,
}

impl Script {
    /// A script for the default shell with default options.
    pub fn shell(text: impl Into<CompactString>) -> Self {
        Self::new(Program::Run { text: text.into(), shell: Program::default_shell() })
    }

    /// A program with its arguments, run without a shell, with default options.
    pub fn command<I, S>(words: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self::new(Program::Command(words.into_iter().map(Into::into).collect()))
    }

    /// A script that runs `program` with default options.
    pub fn new(program: Program) -> Self {
        Self { program, exec: ExecOptions::shared_default() }
    }

    /// Sets the execution options.
    #[must_use]
    pub fn with_exec(mut self, setup: ExecOptions) -> Self {
        self.exec = setup.into();
        self
    }

    /// Mutable access to the execution options, copied if they are shared.
    pub fn exec_mut(&mut self) -> &mut ExecOptions {
        Arc::make_mut(&mut self.exec)
    }

    /// The first line of the script, shown when the job has no title.
    pub fn first_line(&self) -> String {
        match &self.program {
            Program::Run { text, .. } => {
                text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
            }
            Program::Command(words) => words.join(" "),
        }
    }
}

fn is_default_exec(setup: &ExecOptions) -> bool {
    *setup == *ExecOptions::shared_default()
}
