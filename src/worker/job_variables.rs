//! What a job would run with: its environment variables, for `setlist show --env`, and its files, for `setlist explain`.

use std::sync::Arc;

use super::setlist_variables;
use crate::model::{Definition, Environment, Failure, InputValues, Job, ObservedFiles, Phase};
use crate::runner::{FileHashes, Launch, ListedVariable, ObserveError, PtyOptions, list_variables, observe_files};
use crate::site::{SitePaths, tag_prefix};

/// The variables of the latest run of a job, or of its next one if it is pending: the ids of that are not known yet.
pub fn job_variables(
    job: &Job,
    inherited: Option<Arc<Environment>>,
    paths: &SitePaths,
) -> Result<Vec<ListedVariable>, Failure> {
    let run = job.last_run.as_deref().filter(|_| job.phase() != Phase::Pending);
    let env = run.map(|run| {
        setlist_variables::run_variables(job, run, paths, &tag_prefix(paths), &paths.state.value_file(run.id))
    });
    let filled = run.and_then(|_| job.filled_definition().ok());
    list_variables(&Launch {
        definition: filled.unwrap_or_else(|| Arc::clone(&job.definition)),
        folder: paths.site_dir().to_owned(),
        environment: Some(inherited.unwrap_or_default()),
        env: env.unwrap_or_default(),
        secrets: Vec::new(),
        tag: None,
        value_file: None,
        pty: PtyOptions::default(),
    })
}

/// The sources and outputs of a job now, as a run of this definition with these inputs would find them.
pub fn observe_job(
    job: &Job,
    definition: Arc<Definition>,
    inputs: &InputValues,
    paths: &SitePaths,
) -> Result<ObservedFiles, ObserveError> {
    let command = definition.command_digest(inputs);
    let launch = Launch {
        definition,
        folder: paths.site_dir().to_owned(),
        environment: None,
        env: Vec::new(),
        secrets: Vec::new(),
        tag: None,
        value_file: None,
        pty: PtyOptions::default(),
    };
    let rules = job.file_rules().cloned().unwrap_or_default();
    observe_files(&launch, &rules, command, &FileHashes::new(paths.state.file_hashes()), &|| false)
}
