//! Scripts: what a scripted job runs, as data.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize};

use super::ExecOptions;

/// A program and its execution options. A site can hold many scripts, so parts that most jobs share are reference-counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// The program.
    pub program: Program,
    /// How it is executed.
    #[serde(rename = "setup", default = "ExecOptions::shared_default", skip_serializing_if = "is_default_exec")]
    pub exec: Arc<ExecOptions>,
}

/// The program of a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A text run by an interpreter.
    Run {
        /// The script's text.
        text: String,
        /// The interpreter as written: one word is a known shell or a program, several are an argument vector to
        /// which the script is appended.
        #[serde(default = "Program::default_shell", skip_serializing_if = "is_default_shell")]
        shell: Arc<[String]>,
    },
    /// A program and its first arguments, without a shell. Never empty.
    Command(#[serde(deserialize_with = "without_spare_capacity")] Vec<String>),
}

impl Script {
    /// A script for the default shell with default options.
    pub fn shell(text: impl Into<String>) -> Self {
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

impl Program {
    /// The default interpreter.
    pub fn default_shell() -> Arc<[String]> {
        static SH: LazyLock<Arc<[String]>> = LazyLock::new(|| ["sh".to_owned()].into());
        Arc::clone(&SH)
    }
}

fn is_default_exec(setup: &ExecOptions) -> bool {
    *setup == *ExecOptions::shared_default()
}

fn is_default_shell(shell: &[String]) -> bool {
    shell == ["sh"]
}

/// Deserializes a list without spare capacity, because a site may hold 100,000 jobs in memory.
fn without_spare_capacity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Vec::deserialize(deserializer).map(|mut words: Vec<String>| {
        words.shrink_to_fit();
        words
    })
}
