//! The environments that jobs run with: those of the users who have requested them, or that of a login.

use std::mem;
use std::sync::{Arc, LazyLock};

use crate::model::{Environment, EnvironmentId, Job, PassEnv};
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
    loaded: Vec<(EnvironmentId, Arc<Environment>)>,
}

/// The environment of work that no user has requested.
static LOGIN: LazyLock<Arc<Environment>> = LazyLock::new(|| Arc::new(runner::login_environment()));

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
        let user = self.load(id)?;
        Ok(match job.script().map(|script| &script.exec.pass_env) {
            None | Some(PassEnv::All) => user,
            Some(passed) => Arc::new(passed.select(&user, &LOGIN)),
        })
    }

    /// The environment of work that no user has requested.
    pub(super) fn login() -> Arc<Environment> {
        Arc::clone(&LOGIN)
    }

    /// Drops the environments from memory, because nothing runs any more; returns whether there were any.
    pub(super) fn unload(&mut self) -> bool {
        !mem::take(&mut self.loaded).is_empty()
    }

    fn load(&mut self, id: EnvironmentId) -> Result<Arc<Environment>, String> {
        if let Some((_, loaded)) = self.loaded.iter().find(|(known, _)| *known == id) {
            return Ok(Arc::clone(loaded));
        }
        let environment = match self.files.load(id) {
            Ok(Some(environment)) => Arc::new(environment),
            Ok(None) if self.is_on_server => return Ok(Self::login()),
            Ok(None) => {
                return Err("the environment of its request is no longer stored; `setlist retry` uses yours".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        if self.loaded.len() == MAX_LOADED {
            self.loaded.remove(0);
        }
        self.loaded.push((id, Arc::clone(&environment)));
        Ok(environment)
    }
}
