//! Whether the programs of jobs are installed here, and what was meant if they aren't.

use std::env;
use std::path::{Path, PathBuf};

use super::args::NewJobArgs;
use super::entry_jobs::jobs_of_entry;
use super::error::{CliError, warn};
use super::open_site::OpenSite;
use crate::model::{Job, Program, QueueId, Script, SiteState};
use crate::text;

/// Whether a program exists, as a run in `folder` looks for it: a path, or a name in `PATH`.
pub(super) fn is_installed(program: &str, folder: &Path) -> bool {
    if program.contains('/') {
        return folder.join(program).is_file();
    }
    // Where the system looks without a PATH.
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The program of a new job, if it is not here. A job with a `PATH` of its own may find it.
pub(super) fn missing_program<'s>(script: &'s Script, options: &NewJobArgs) -> Option<&'s String> {
    let Program::Command(words) = &script.program else { return None };
    let program = words.first()?;
    let here = env::current_dir().unwrap_or_default();
    let folder: PathBuf = options.cwd.as_deref().map_or_else(|| here.clone(), |cwd| here.join(cwd));
    let has_own_path = options.env.iter().any(|pair| pair.starts_with("PATH="));
    (!has_own_path && !is_installed(program, &folder)).then_some(program)
}

/// Whether an argument looks like a line for a shell.
pub(super) fn is_shell_line(text: &str) -> bool {
    let is_special = |c: char| c.is_whitespace() || "|&;<>()$`\\\"'*?[{!#".contains(c);
    text.trim().contains(is_special)
}

/// Warns that a job would find no program of this name.
pub(super) fn warn_of_missing(program: &str, hint: &str) {
    let place = if program.contains('/') { "" } else { " in PATH" };
    warn(&text::sanitize_line(&format!(
        "there is no program {program:?}{place}; the job will fail unless there is one by then{hint}"
    )));
}

/// What runs these, if they are no program but jobs or a queue of the site.
pub(super) fn runs_instead(site: &mut OpenSite, names: &[String]) -> Result<Option<String>, CliError> {
    let site_state = site.site_state()?;
    let is_queue = |name: &String| site_state.queue(&QueueId::from(name.as_str())).is_some();
    let is_job = |name: &String| name.contains('/') && !jobs_named(&site_state, name).is_empty();
    let (what, command) = match names {
        [name] if is_job(name) => ("a job", "retry"),
        [name] if is_queue(name) => ("a queue", "process"),
        [_, _, ..] if names.iter().all(is_job) => ("jobs", "retry"),
        [_, _, ..] if names.iter().all(is_queue) => ("queues", "process"),
        _ => return Ok(None),
    };
    let words = ["setlist", command].into_iter().map(str::to_owned).chain(names.iter().cloned());
    let (is, listed) = (text::is_or_are(names.len()), names.join(" and "));
    let pronoun = if names.len() == 1 { "it" } else { "them" };
    let command = text::shell_command(&words.collect::<Vec<_>>());
    Ok(Some(text::sanitize_line(&format!("{listed} {is} {what}: `{command}` runs {pronoun}"))))
}

/// The jobs that `queue/name` means: one, or all of an entry.
fn jobs_named<'s>(site_state: &'s SiteState, path: &str) -> Vec<&'s Job> {
    let named = path.rsplit_once('/').and_then(|(queue, name)| site_state.job_named(&QueueId::from(queue), name));
    named.map_or_else(|| jobs_of_entry(site_state, path), |job| vec![job])
}
