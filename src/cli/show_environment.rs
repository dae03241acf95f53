//! `setlist show --env`: the environment of a job, and where each variable comes from.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use serde::Serialize;

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::open_site::OpenSite;
use super::safe_output;
use crate::definition::{VariableLevel, variable_levels};
use crate::model::{Environment, Job, JobState, MASK, PassEnv, QueueMode};
use crate::runner::{self, ListedVariable, VariableSource};
use crate::site;
use crate::store::EnvironmentFiles;
use crate::text;
use crate::worker::job_variables;

/// Parts of names of variables whose values are masked.
const SECRET_PARTS: [&str; 7] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "PRIVATE"];
/// What the last word of a name of several words may end with, besides one of these parts.
const SECRET_ENDS: [&str; 5] = ["PASS", "PWD", "AUTH", "JWT", "PAT"];
/// What precedes a secret within a value: the options of a data source, the parameters of a URL.
const SECRET_PARAMETERS: [&str; 4] = ["password=", "passwd=", "token=", "secret="];

/// The environment that a job inherits.
enum Inherited {
    /// That of the user who has requested it.
    Request(Environment),
    /// That of a login: no user has requested it.
    Login(Environment),
    /// That of this process: no request has been made yet.
    Own(Environment),
    /// It was that of a request, and is no longer stored.
    Forgotten,
}

#[derive(Serialize)]
struct EnvironmentRecord<'a> {
    id: u64,
    environment: &'static str,
    umask: Option<String>,
    limits: BTreeMap<&'a str, Option<u64>>,
    variables: Vec<VariableRecord>,
}

#[derive(Serialize)]
struct VariableRecord {
    name: String,
    value: Option<String>,
    masked: bool,
    source: String,
}

/// Prints the environment of a job. Values that look like secrets are masked unless `reveal` is set.
pub(super) fn show(mut site: OpenSite, job: &Job, reveal: bool, json: bool) -> Result<ExitStatus, CliError> {
    let inherited = inherited(&mut site, job)?;
    let environment = inherited.environment(job);
    let variables = job_variables(job, environment.clone().map(Arc::new), &site.paths);
    let variables = variables.map_err(|failure| CliError::Usage(failure.message))?;
    let levels = job.name().map(|name| variable_levels(&site.paths.file, job.queue.as_str(), name)).unwrap_or_default();
    let source = |variable: &ListedVariable| match &variable.source {
        VariableSource::Inherited => inherited.source(job, variable).to_owned(),
        VariableSource::Terminal => "pty".to_owned(),
        VariableSource::EnvFile(path) => format!("env_file {}", path.display()),
        VariableSource::Run => "setlist".to_owned(),
        VariableSource::Definition => match variable.name.to_str().and_then(|name| levels.get(name)) {
            Some(VariableLevel::Job) => "jobs.yaml, job".to_owned(),
            Some(VariableLevel::Queue) => "jobs.yaml, queue".to_owned(),
            Some(VariableLevel::Defaults) => "jobs.yaml, defaults".to_owned(),
            None if job.name().is_some() => "jobs.yaml".to_owned(),
            None => "added with the job".to_owned(),
        },
    };
    let records: Vec<_> =
        variables.iter().map(|variable| VariableRecord::new(variable, source(variable), reveal)).collect();
    let mut out = BufWriter::new(safe_output::stdout());
    if json {
        let limits = environment.iter().flat_map(|environment| &environment.soft_limits);
        let record = EnvironmentRecord {
            id: job.id.0,
            environment: inherited.as_str(),
            umask: environment.as_ref().and_then(|environment| environment.umask).map(|mask| format!("{mask:04o}")),
            limits: limits.map(|(name, limit)| (name.as_str(), *limit)).collect(),
            variables: records,
        };
        write_json(&mut out, &record)?;
        out.flush()?;
        drop(out);
        return site.finish(ExitStatus::Success);
    }
    writeln!(out, "# {}: {}", text::sanitize_line(&job.path()), inherited.describe())?;
    if let Some(mask) = environment.as_ref().and_then(|environment| environment.umask) {
        writeln!(out, "# umask {mask:04o}")?;
    }
    for VariableRecord { name, value, source, .. } in &records {
        let assignment = match value {
            Some(value) => format!("{}={}", text::sanitize_line(name), text::sanitize_line(value)),
            None => format!("{} is unset", text::sanitize_line(name)),
        };
        writeln!(out, "{assignment}  # {}", text::sanitize_line(source))?;
    }
    out.flush()?;
    drop(out);
    if records.iter().any(|record| record.masked) {
        warn("values that look like secrets are masked; --reveal shows them");
    }
    site.finish(ExitStatus::Success)
}

/// What a job inherits or has inherited.
fn inherited(site: &mut OpenSite, job: &Job) -> Result<Inherited, CliError> {
    let is_pending = matches!(job.state, JobState::Pending { .. });
    let queue = site.store.queues()?.into_iter().find(|queue| queue.id == job.queue);
    let is_processing = queue.as_ref().is_some_and(|queue| queue.mode == QueueMode::Processing);
    let of_queue = queue.and_then(|queue| queue.environment).filter(|_| is_pending);
    let Some(id) = job.environment.or(of_queue) else {
        let is_requested = matches!(job.state, JobState::Pending { requested: true, .. });
        if is_pending && !is_processing && !is_requested {
            return Ok(Inherited::Own(runner::own_environment(&site::RUN_VARIABLES)));
        }
        return Ok(Inherited::Login(runner::login_environment()));
    };
    let stored = EnvironmentFiles::new(site.paths.state.environments()).load(id)?;
    Ok(stored.map_or(Inherited::Forgotten, Inherited::Request))
}

impl Inherited {
    /// The environment, with the variables that the job gets of it.
    fn environment(&self, job: &Job) -> Option<Environment> {
        let (Self::Request(environment) | Self::Own(environment)) = self else {
            return if let Self::Login(login) = self { Some(login.clone()) } else { None };
        };
        let passed = job.script().map_or(&PassEnv::All, |script| &script.exec.pass_env);
        Some(passed.select(environment, &runner::login_environment()))
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Login(_) => "login",
            Self::Own(_) => "own",
            Self::Forgotten => "forgotten",
        }
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::Request(_) => "the environment of the user who requested it",
            Self::Login(_) => "the environment of a login: no user requested it",
            Self::Own(_) => "not requested yet; if you request it here, it gets this",
            Self::Forgotten => "the environment of its request is no longer stored; it had these variables, too",
        }
    }

    /// Where a variable comes from that the job inherits.
    fn source(&self, job: &Job, variable: &ListedVariable) -> &'static str {
        let passed = job.script().map_or(&PassEnv::All, |script| &script.exec.pass_env);
        let (own, name) = match self {
            Self::Request(environment) => (environment, "request"),
            Self::Own(environment) => (environment, "your environment"),
            Self::Login(_) | Self::Forgotten => return "login",
        };
        if passed.includes(&variable.name) && own.get(&variable.name).is_some() { name } else { "login" }
    }
}

impl VariableRecord {
    fn new(variable: &ListedVariable, source: String, reveal: bool) -> Self {
        let name = variable.name.to_string_lossy().into_owned();
        let value = variable.value.as_ref().map(|value| value.to_string_lossy().into_owned());
        let masked = !reveal && value.as_ref().is_some_and(|value| looks_secret(&name, value));
        Self { value: if masked { Some(MASK.to_owned()) } else { value }, name, masked, source }
    }
}

/// Whether a value is probably a secret, by the name of its variable, or contains one.
fn looks_secret(name: &str, value: &str) -> bool {
    let name = name.to_uppercase();
    let has_password = |url: &str| {
        let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    };
    !value.is_empty()
        && (SECRET_PARTS.iter().any(|part| name.contains(part))
            || name.split('_').any(|word| word.ends_with("KEY"))
            || name.split_once('_').is_some_and(|_| SECRET_ENDS.iter().any(|end| name.ends_with(end)))
            || SECRET_PARAMETERS.iter().any(|parameter| value.to_lowercase().contains(parameter))
            || value.split_once("://").is_some_and(|(_, rest)| has_password(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognised_by_name_or_password() {
        for (name, value) in [
            ("GITHUB_TOKEN", "x"),
            ("client_secret", "x"),
            ("PGPASSWORD", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("APIKEY", "x"),
            ("DATABASE_URL", "postgres://me:pw@host/db"),
            ("DB_PASS", "x"),
            ("MY_PGPASS", "x"),
            ("MY_PWD", "x"),
            ("MY_AUTH", "x"),
            ("MY_JWT", "x"),
            ("GITHUB_PAT", "x"),
            ("DB_DSN", "host=x password=y"),
            ("HOOK", "https://host/?Token=x"),
        ] {
            assert!(looks_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("PATH", "/bin"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("KEYBOARD", "de"),
            ("PWD", "/home/me"),
            ("OLDPWD", "/home/me"),
            ("TOKEN", ""),
            ("URL", "https://host/a:b@c"),
            ("DATABASE_URL", "postgres://me@host/db"),
        ] {
            assert!(!looks_secret(name, value), "{name}");
        }
    }
}
