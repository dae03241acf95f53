//! Refuses to wait for the job that runs the command, which would deadlock.

use std::collections::HashSet;
use std::path::Path;
use std::{env, fs};

use super::error::CliError;
use super::open_site::OpenSite;
use crate::model::{Job, JobId, Phase, SiteState};
use crate::text;

/// The job of the site that this process was started by.
pub(super) fn own_job<'s>(site: &OpenSite, site_state: &'s SiteState) -> Option<&'s Job> {
    let same = |a: &Path, b: &Path| fs::canonicalize(a).ok().is_some_and(|a| Some(a) == fs::canonicalize(b).ok());
    let folder = env::var_os("SETLIST_SITE")?;
    let id = env::var("SETLIST_JOB_ID").ok()?.parse().ok()?;
    // A reserved job may run before its start is recorded; then it is still pending.
    let job = site_state.job(JobId(id)).filter(|job| job.phase() != Phase::Finished)?;
    same(Path::new(&folder), site.paths.site_dir()).then_some(job)
}

/// Whether a job runs this command.
pub(super) fn runs_in_job() -> bool {
    env::var_os("SETLIST_SITE").is_some()
}

/// Refuses to wait for `targets` if they include the job that runs this command, or a job that waits for it.
pub(super) fn refuse_to_wait_for_itself(
    site: &OpenSite,
    site_state: &SiteState,
    is_target: impl Fn(&Job) -> bool,
) -> Result<(), CliError> {
    let Some(own) = own_job(site, site_state) else { return Ok(()) };
    let path = text::sanitize_line(&own.path());
    if is_target(own) {
        return Err(CliError::Usage(format!("{path} runs this command and would wait for itself")));
    }
    let (mut seen, mut next) = (HashSet::new(), vec![own.id]);
    while let Some(id) = next.pop() {
        for dependent in site_state.dependents_of(id).filter(|job| job.phase() == Phase::Pending) {
            if is_target(dependent) {
                let waiting = text::sanitize_line(&dependent.path());
                return Err(CliError::Usage(format!(
                    "{path} runs this command and would wait for itself: {waiting} needs it"
                )));
            }
            if seen.insert(dependent.id) {
                next.push(dependent.id);
            }
        }
    }
    Ok(())
}
