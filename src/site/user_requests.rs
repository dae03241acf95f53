//! Requests of the user of this process: the work that they ask for runs with the environment of this process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use super::process_tags::VARIABLES;
use super::site_paths::SitePaths;
use super::snapshots::RequestSnapshots;
use crate::model::{
    Command, Environment, Event, INPUT_VARIABLE_PREFIX, InputDeclaration, InputValues, JobId, RequestInputs,
};
use crate::runner;
use crate::store::{
    CommandResult, EncodedEnvironment, EnvironmentFiles, SavedEnvironment, StateDir, Store, StoreError,
};

/// Values that a user has given for inputs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GivenInputs {
    /// The values that are recorded; `None` for each secret.
    values: InputValues,
    /// The variables of the secrets, which are kept with the environment of the request.
    secrets: BTreeMap<String, String>,
}

impl GivenInputs {
    /// Gives a value for an input.
    pub fn insert(&mut self, input: &InputDeclaration, value: String) {
        if input.is_secret() {
            self.values.insert(Arc::clone(&input.name), None);
            self.secrets.insert(input.variable(), value);
        } else {
            self.values.insert(Arc::clone(&input.name), Some(value));
        }
    }

    /// The values that are recorded; `None` for each secret.
    pub fn values(&self) -> &InputValues {
        &self.values
    }
}

impl fmt::Debug for GivenInputs {
    // Without the values of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenInputs").field("values", &self.values).finish_non_exhaustive()
    }
}

/// Executes commands of the user of this process. The environment is stored before a command that refers to it.
pub fn execute_requests(
    store: &mut dyn Store,
    paths: &SitePaths,
    commands: Vec<Command>,
    now: DateTime<Utc>,
) -> Result<Vec<CommandResult>, StoreError> {
    execute_requests_with(store, paths, commands, &GivenInputs::default(), now)
}

/// Same with values for the inputs of the queues. Jobs that run on a snapshot get one of now.
pub fn execute_requests_with(
    store: &mut dyn Store,
    paths: &SitePaths,
    commands: Vec<Command>,
    given: &GivenInputs,
    now: DateTime<Utc>,
) -> Result<Vec<CommandResult>, StoreError> {
    let state = &paths.state;
    let is_reset = |command: &Command| matches!(command, Command::Reset { .. });
    if !commands.iter().any(|command| requests_work(command) || is_reset(command)) {
        return store.execute(&commands, now);
    }
    let snapshots = RequestSnapshots::make(store, paths, &commands, now)?;
    let saved = save_environment_with(state, given)?;
    let mut refused = Vec::new();
    let mut requests = Vec::with_capacity(commands.len());
    for (index, command) in commands.into_iter().enumerate() {
        match snapshots.of(index) {
            Ok(snapshot) if requests_work(&command) || snapshot.is_some() => {
                let inputs = RequestInputs::of(given.values.clone(), snapshot);
                requests.push(Command::Request { environment: saved.id(), inputs, command: Box::new(command) });
            }
            Ok(_) => requests.push(command),
            Err(refusal) => refused.push((index, refusal)),
        }
    }
    let commands = requests;
    let mut results = store.execute(&commands, now)?;
    if let Some(job) = commands.iter().zip(&results).rev().find_map(|(command, result)| job_of(command, result)) {
        state.record_last_requested_job(job);
    }
    for (index, refusal) in refused {
        results.insert(index, Err(refusal));
    }
    Ok(results)
}

/// The job that an accepted command has added or asked for.
fn job_of(command: &Command, result: &CommandResult) -> Option<JobId> {
    let events = result.as_ref().ok()?;
    match command {
        Command::Request { command, .. } => job_of(command, result),
        Command::Run { job, .. } => Some(*job),
        Command::Add { .. } => events.iter().rev().find_map(|event| match event {
            Event::Added { job } => Some(job.id),
            _ => None,
        }),
        _ => None,
    }
}

/// Stores the environment of this process. It is kept at least until the returned value is dropped.
pub fn save_own_environment(state: &StateDir) -> Result<SavedEnvironment, StoreError> {
    // It doesn't change while the process runs.
    static OWN: OnceLock<EncodedEnvironment> = OnceLock::new();
    let own = OWN.get_or_init(|| EncodedEnvironment::new(&own_environment()));
    EnvironmentFiles::new(state.environments()).save(own)
}

/// Same with the secrets that were given for inputs. They are removed with the environment.
fn save_environment_with(state: &StateDir, given: &GivenInputs) -> Result<SavedEnvironment, StoreError> {
    if given.secrets.is_empty() {
        return save_own_environment(state);
    }
    let mut environment = own_environment();
    let secrets = given.secrets.iter().map(|(name, value)| (name.into(), value.into()));
    environment.variables.extend(secrets);
    EnvironmentFiles::new(state.environments()).save(&EncodedEnvironment::new(&environment))
}

/// The environment of this process without the variables that belong to a run.
fn own_environment() -> Environment {
    let mut environment = runner::own_environment(&VARIABLES);
    let is_of_run = |name: &OsString| name.as_bytes().starts_with(INPUT_VARIABLE_PREFIX.as_bytes());
    environment.variables.retain(|(name, _)| !is_of_run(name));
    environment
}

/// Removes the stored environments that no unfinished job and no processed queue refers to.
pub fn forget_unused_environments(store: &mut dyn Store, state: &StateDir) -> Result<(), StoreError> {
    EnvironmentFiles::new(state.environments()).remove_unused(|| store.environments_in_use())
}

fn requests_work(command: &Command) -> bool {
    matches!(command, Command::Add { .. } | Command::Process { .. } | Command::Run { .. } | Command::RunFailed { .. })
}
