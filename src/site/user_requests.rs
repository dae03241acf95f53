//! Requests of the user of this process: the work that they ask for runs with the environment of this process.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};

use super::process_tags::VARIABLES;
use crate::model::{Command, Event, JobId};
use crate::runner;
use crate::store::{
    CommandResult, EncodedEnvironment, EnvironmentFiles, SavedEnvironment, StateDir, Store, StoreError,
};

/// Executes commands of the user of this process. The environment is stored before a command that refers to it.
pub fn execute_requests(
    store: &mut dyn Store,
    state: &StateDir,
    commands: Vec<Command>,
    now: DateTime<Utc>,
) -> Result<Vec<CommandResult>, StoreError> {
    if !commands.iter().any(requests_work) {
        return store.execute(&commands, now);
    }
    let saved = save_own_environment(state)?;
    let request = |command: Command| {
        if requests_work(&command) {
            Command::Request { environment: saved.id(), command: Box::new(command) }
        } else {
            command
        }
    };
    let commands: Vec<_> = commands.into_iter().map(request).collect();
    let results = store.execute(&commands, now)?;
    if let Some(job) = commands.iter().zip(&results).rev().find_map(|(command, result)| job_of(command, result)) {
        state.record_last_requested_job(job);
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
    let own = OWN.get_or_init(|| EncodedEnvironment::new(&runner::own_environment(&VARIABLES)));
    EnvironmentFiles::new(state.environments()).save(own)
}

/// Removes the stored environments that no unfinished job and no processed queue refers to.
pub fn forget_unused_environments(store: &mut dyn Store, state: &StateDir) -> Result<(), StoreError> {
    EnvironmentFiles::new(state.environments()).remove_unused(|| store.environments_in_use())
}

fn requests_work(command: &Command) -> bool {
    matches!(command, Command::Add { .. } | Command::Process { .. } | Command::Run { .. } | Command::RunFailed { .. })
}
