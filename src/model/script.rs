//! What a scripted job calls, as data; the runner knows how.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize};

use super::Setup;

/// A program to run, and how. What is the same for nearly all jobs of a site is shared: many are held in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// What is run.
    pub program: Program,
    /// In what surroundings, and within which limits. The same for many jobs, so it is shared.
    #[serde(default = "Setup::plain", skip_serializing_if = "is_plain")]
    pub setup: Arc<Setup>,
}

/// What a script runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A text for an interpreter.
    Run {
        /// The script's text.
        text: String,
        /// The interpreter as written: one word is a known shell or a program, several are an argument vector
        /// to which the script is added.
        #[serde(default = "Program::default_shell", skip_serializing_if = "is_default_shell")]
        shell: Arc<[String]>,
    },
    /// A program and its first arguments, without a shell. Never empty.
    Command(#[serde(deserialize_with = "exact")] Vec<String>),
}

impl Script {
    /// A script for the default shell, everything else as it is when `jobs.yaml` says nothing.
    pub fn shell(text: impl Into<String>) -> Self {
        Self::new(Program::Run { text: text.into(), shell: Program::default_shell() })
    }

    /// A program with its arguments, run without a shell.
    pub fn command<I, S>(words: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self::new(Program::Command(words.into_iter().map(Into::into).collect()))
    }

    /// Runs `program` with the defaults of every other field.
    pub fn new(program: Program) -> Self {
        Self { program, setup: Setup::plain() }
    }

    /// With this setup.
    #[must_use]
    pub fn with(mut self, setup: Setup) -> Self {
        self.setup = setup.into();
        self
    }

    /// What can be changed of the setup of this script alone.
    pub fn setup_mut(&mut self) -> &mut Setup {
        Arc::make_mut(&mut self.setup)
    }

    /// One line that stands for the script where there is no title.
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
    /// The interpreter when nothing else is said.
    pub fn default_shell() -> Arc<[String]> {
        static SH: LazyLock<Arc<[String]>> = LazyLock::new(|| ["sh".to_owned()].into());
        Arc::clone(&SH)
    }
}

fn is_plain(setup: &Setup) -> bool {
    *setup == *Setup::plain()
}

fn is_default_shell(shell: &[String]) -> bool {
    shell == ["sh"]
}

/// Reads a list without room to grow: a site of 100,000 jobs is held in memory.
fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Vec::deserialize(deserializer).map(|mut words: Vec<String>| {
        words.shrink_to_fit();
        words
    })
}
