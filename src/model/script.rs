//! What a scripted job calls, as data; the runner knows how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// A program to run, and how. Inherited fields (a queue's `env`, the file's `defaults`) are already merged in.
/// What is the same for nearly all jobs of a site is shared: many are held in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// What is run.
    pub program: Program,
    /// Variables laid over the worker's environment; `None` removes one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Working directory, relative to the site's folder, which is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Text for standard input; nothing by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// After this long the process group gets TERM; never by default.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_millis")]
    pub timeout: Option<Duration>,
    /// From TERM to KILL.
    #[serde(default = "Script::default_grace", skip_serializing_if = "is_default_grace", with = "millis")]
    pub grace: Duration,
    /// Exit codes that are a success.
    #[serde(default = "Script::default_ok_codes", skip_serializing_if = "is_default_ok_codes")]
    pub ok_codes: Arc<[i32]>,
}

/// What a script runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        Self {
            program,
            env: BTreeMap::new(),
            cwd: None,
            stdin: None,
            timeout: None,
            grace: Self::default_grace(),
            ok_codes: Self::default_ok_codes(),
        }
    }

    /// From TERM to KILL when nothing else is said.
    pub fn default_grace() -> Duration {
        Duration::from_secs(10)
    }

    /// The exit codes that are a success when nothing else is said.
    pub fn default_ok_codes() -> Arc<[i32]> {
        static ZERO: LazyLock<Arc<[i32]>> = LazyLock::new(|| [0].into());
        Arc::clone(&ZERO)
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

fn is_default_grace(grace: &Duration) -> bool {
    *grace == Script::default_grace()
}

fn is_default_ok_codes(codes: &[i32]) -> bool {
    codes == [0]
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

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::millis::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
