//! Lists the environment variables of a run, and where each comes from.

use std::borrow::Cow;
use std::ffi::OsString;

use super::launch::Launch;
use super::variables::{VariableSource, resolve_variables};
use crate::model::{Call, ExecOptions, Failure};

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

/// The variables of a run, by name, with those that its definition unsets.
pub fn list_variables(launch: &Launch) -> Result<Vec<ListedVariable>, Failure> {
    let default_options = ExecOptions::shared_default();
    let options = match &launch.definition.call {
        Call::Script(script) => &script.exec,
        Call::Function(_) => &default_options,
    };
    let variables = resolve_variables(options, launch)?.into_iter();
    Ok(variables
        .filter(|(_, (value, source))| value.is_some() || *source == VariableSource::Definition)
        .map(|(name, (value, source))| ListedVariable {
            name: name.into_owned(),
            value: value.map(Cow::into_owned),
            source,
        })
        .collect())
}
