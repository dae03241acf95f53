//! Programs: a text for an interpreter, or an argument vector.

use std::sync::{Arc, LazyLock};

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize};

/// The program of a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A text run by an interpreter.
    Run {
        /// The script's text.
        text: CompactString,
        /// The interpreter as written: one word is a known shell or a program, several are an argument vector to
        /// which the script is appended.
        #[serde(default = "Program::default_shell", skip_serializing_if = "is_default_shell")]
        shell: Arc<Vec<String>>,
    },
    /// A program and its first arguments, without a shell. Never empty.
    Command(#[serde(deserialize_with = "without_spare_capacity")] Vec<String>),
}

impl Program {
    /// The default interpreter.
    pub fn default_shell() -> Arc<Vec<String>> {
        static SH: LazyLock<Arc<Vec<String>>> = LazyLock::new(|| vec!["sh".to_owned()].into());
        Arc::clone(&SH)
    }
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
