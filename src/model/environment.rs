//! The environment of the user who has requested work, which its jobs run with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZero;

use serde::{Deserialize, Serialize};

use super::input::INPUT_VARIABLE_PREFIX;

/// What a process passes on to its children besides files: variables, umask and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The variables, by name.
    pub variables: Vec<(OsString, OsString)>,
    /// The permissions that new files don't get; `None` keeps those of the worker.
    pub umask: Option<u32>,
    /// Soft limits, by the names of `limits.conf` (`nofile`); a limit of `None` is unlimited.
    pub soft_limits: Vec<(String, Option<u64>)>,
}

/// Identifies a stored [`Environment`]: a hash of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnvironmentId(pub NonZero<u64>);

/// Which of the requesting user's variables a job gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassEnv {
    /// All of them.
    #[default]
    All,
    /// None: it gets those that a login sets.
    None,
    /// These, and those that a login sets.
    Names(Vec<String>),
}

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }
}

impl Environment {
    /// Takes the values of secret inputs out of it, by the names of their variables.
    pub fn take_input_secrets(&mut self) -> BTreeMap<String, String> {
        let secret = |(name, value): &(OsString, OsString)| {
            let name = name.to_str().filter(|name| name.starts_with(INPUT_VARIABLE_PREFIX))?;
            Some((name.to_owned(), value.to_str()?.to_owned()))
        };
        let secrets: BTreeMap<String, String> = self.variables.iter().filter_map(secret).collect();
        if !secrets.is_empty() {
            self.variables.retain(|(name, _)| name.to_str().is_none_or(|name| !secrets.contains_key(name)));
        }
        secrets
    }
}

impl PassEnv {
    /// Whether a job gets this variable.
    pub fn includes(&self, name: &OsStr) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Names(names) => names.iter().any(|known| OsStr::new(known) == name),
        }
    }

    /// Whether a job gets all variables.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// The environment of a job: that of the user, with only the variables that it gets over those of a login.
    pub fn select(&self, user: &Environment, login: &Environment) -> Environment {
        let passed = user.variables.iter().filter(|(name, _)| self.includes(name));
        let of_login = login.variables.iter().filter(|(name, _)| !self.includes(name) || user.get(name).is_none());
        let variables = match self {
            Self::All => user.variables.clone(),
            _ => of_login.chain(passed).cloned().collect(),
        };
        Environment { variables, ..user.clone() }
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
