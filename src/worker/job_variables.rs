//! The environment variables that a job runs with, for `setlist show --env`.

use std::sync::Arc;

use super::setlist_variables;
use crate::model::{Environment, Failure, Job, Phase};
use crate::runner::{Launch, ListedVariable, PtyOptions, list_variables};
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
