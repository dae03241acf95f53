//! The environments that jobs run with: those of the users who have requested them, or that of a login.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, LazyLock};

use crate::model::{Environment, EnvironmentId, Job, PassEnv, input_variable};
use crate::runner;
use crate::store::{EnvironmentFiles, StateDir};

/// How many environments are kept in memory. There are rarely more users or terminals at once.
const MAX_LOADED: usize = 8;

/// Loads environments, each once.
#[derive(Debug)]
pub(super) struct EnvironmentCache {
    files: EnvironmentFiles,
    /// Whether requests may come from other machines, whose environments are not those of this one.
    is_on_server: bool,
    /// The latest last.
    loaded: Vec<(EnvironmentId, Arc<LoadedEnvironment>)>,
}

/// An environment, and the secrets that were given for inputs with the request, by variable.
#[derive(Debug)]
struct LoadedEnvironment {
    environment: Arc<Environment>,
    secrets: BTreeMap<String, String>,
}

/// The environment of work that no user has requested.
static LOGIN: LazyLock<Arc<Environment>> = LazyLock::new(|| Arc::new(runner::login_environment()));

impl LoadedEnvironment {
    /// That of a login, without secrets.
    fn login() -> Self {
        Self { environment: Arc::clone(&LOGIN), secrets: BTreeMap::new() }
    }
}

impl EnvironmentCache {
    pub(super) fn new(state: &StateDir) -> Self {
        Self {
            files: EnvironmentFiles::new(state.environments()),
            is_on_server: state.is_on_server(),
            loaded: Vec::new(),
        }
    }

    /// The environment of a job, or why it is unavailable.
    pub(super) fn load_for(&mut self, job: &Job) -> Result<Arc<Environment>, String> {
        let Some(id) = job.environment else { return Ok(Self::login()) };
        let user = Arc::clone(&self.load(id)?.environment);
        Ok(match job.script().map(|script| &script.exec.pass_env) {
            None | Some(PassEnv::All) => user,
            Some(passed) => Arc::new(passed.select(&user, &LOGIN)),
        })
    }

    /// The values of the secret inputs of a run, by the names of the inputs; or which one is unavailable.
    pub(super) fn secrets_for(&mut self, job: &Job) -> Result<BTreeMap<Arc<str>, String>, String> {
        let inputs = job.last_run.as_deref().and_then(|run| run.inputs.as_deref()).map(|inputs| &inputs.inputs);
        let names: Vec<&Arc<str>> =
            inputs.into_iter().flatten().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        let loaded = match job.environment {
            _ if names.is_empty() => return Ok(BTreeMap::new()),
            Some(id) => Some(self.load(id)?),
            None => None,
        };
        let secret = |name: &Arc<str>| {
            let value = loaded.as_ref().and_then(|loaded| loaded.secrets.get(&input_variable(name)));
            let missing = || {
                format!(
                    "the secret input {name} is no longer stored; `setlist retry --input {name}=VALUE` gives it again"
                )
            };
            value.map(|value| (Arc::clone(name), value.clone())).ok_or_else(missing)
        };
        names.into_iter().map(secret).collect()
    }

    /// The environment of work that no user has requested.
    pub(super) fn login() -> Arc<Environment> {
        Arc::clone(&LOGIN)
    }

    /// Drops the environments from memory, because nothing runs any more; returns whether there were any.
    pub(super) fn unload(&mut self) -> bool {
        !mem::take(&mut self.loaded).is_empty()
    }

    fn load(&mut self, id: EnvironmentId) -> Result<Arc<LoadedEnvironment>, String> {
        if let Some((_, loaded)) = self.loaded.iter().find(|(known, _)| *known == id) {
            return Ok(Arc::clone(loaded));
        }
        let environment = match self.files.load(id) {
            Ok(Some(mut environment)) => {
                let secrets = environment.take_input_secrets();
                LoadedEnvironment { environment: Arc::new(environment), secrets }
            }
            Ok(None) if self.is_on_server => LoadedEnvironment::login(),
            Ok(None) => {
                return Err("the environment of its request is no longer stored; `setlist retry` uses yours".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        if self.loaded.len() == MAX_LOADED {
            self.loaded.remove(0);
        }
        let environment = Arc::new(environment);
        self.loaded.push((id, Arc::clone(&environment)));
        Ok(environment)
    }
}
