//! Lists the environment variables of a run, and where each comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::launch::Launch;
use super::own_environment::is_service_variable;
use super::pty::terminal_variables;
use super::variables::read_variables;
use crate::model::{Call, Failure};

/// A variable of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVariable {
    /// Its name.
    pub name: OsString,
    /// Its value; none if it is unset.
    pub value: Option<OsString>,
    /// What sets or unsets it.
    pub source: VariableSource,
}

/// What sets a variable of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableSource {
    /// The environment that the run inherits.
    Inherited,
    /// The pseudo-terminal of the run.
    Terminal,
    /// An env file.
    EnvFile(PathBuf),
    /// The `env` of the job.
    Definition,
    /// The worker, for this run.
    Run,
}

/// The variables of a run, by name. They are set in the same order as when it is spawned.
pub fn list_variables(launch: &Launch) -> Result<Vec<ListedVariable>, Failure> {
    let mut list: BTreeMap<OsString, (Option<OsString>, VariableSource)> = BTreeMap::new();
    for (name, value) in launch.environment.iter().flat_map(|environment| &environment.variables) {
        list.insert(name.clone(), (Some(value.clone()), VariableSource::Inherited));
    }
    if let Call::Script(script) = &launch.definition.call {
        for (name, value) in terminal_variables().filter(|_| script.exec.pty) {
            match value {
                None => drop(list.remove(&OsString::from(name))),
                Some(value) => drop(list.insert(name.into(), (Some(value.into()), VariableSource::Terminal))),
            }
        }
        list.retain(|name, _| !name.to_str().is_some_and(is_service_variable));
        for (path, variables) in read_variables(&script.exec, launch)? {
            for (name, value) in variables {
                list.insert(name.into(), (Some(value.into()), VariableSource::EnvFile(path.clone())));
            }
        }
        for (name, value) in &script.exec.env {
            list.insert(name.into(), (value.as_ref().map(OsString::from), VariableSource::Definition));
        }
    }
    for (name, value) in &launch.env {
        list.insert(name.into(), (Some(value.clone()), VariableSource::Run));
    }
    Ok(list.into_iter().map(|(name, (value, source))| ListedVariable { name, value, source }).collect())
}
