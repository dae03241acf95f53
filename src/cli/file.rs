//! `setlist init`, `check` and `schema`: commands about the file itself.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::args::SiteArgs;
use super::record::print;
use super::{CliError, Exit, site};
use crate::definition::{self, Diagnostic, STARTER};
use crate::model::{DesiredState, Value};

/// Writes a first `jobs.yaml`; never over one that is there.
pub(super) fn init(args: &SiteArgs) -> Result<Exit, CliError> {
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from("jobs.yaml"));
    let shown = file.display();
    match OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(mut new) => new.write_all(STARTER.as_bytes()).with_context(|| format!("{shown} can't be written"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!("{shown} is there already, and is left as it is")));
        }
        Err(error) => return Err(anyhow::Error::new(error).context(format!("{shown} can't be written")).into()),
    }
    writeln!(io::stdout(), "wrote {shown}; `setlist` opens it, `p` processes a queue")?;
    Ok(Exit::Fine)
}

/// All errors of a file, or one line of what it holds.
pub(super) fn check(args: &SiteArgs, path: Option<PathBuf>, json: bool) -> Result<Exit, CliError> {
    let file = match path {
        Some(path) => path,
        None => site::find(args)?,
    };
    let plan = definition::read(&file);
    if json {
        return in_json(&file, plan);
    }
    let plan = plan?;
    let jobs: usize = plan.queues.iter().map(|queue| queue.jobs.len()).sum();
    let queues = plan.queues.len();
    writeln!(io::stdout(), "{}: {}, {}", name(&file), count(queues, "queue"), count(jobs, "job"))?;
    Ok(Exit::Fine)
}

/// The queues of a file, or what is wrong with it, as objects.
fn in_json(file: &Path, plan: Result<DesiredState, definition::Error>) -> Result<Exit, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let exit = match plan {
        Ok(plan) => {
            for queue in &plan.queues {
                let jobs: Vec<&str> = queue.jobs.iter().filter_map(|job| job.name.as_deref()).collect();
                print(&mut out, &json!({"queue": queue.id, "title": queue.settings.title, "jobs": jobs}))?;
            }
            Exit::Fine
        }
        Err(definition::Error::Invalid(diagnostics)) => {
            for Diagnostic { line, column, path, message, hint, .. } in &diagnostics.errors {
                let at = json!({"line": line, "column": column, "path": path, "message": message, "hint": hint});
                let mut error = json!({"file": file});
                if let (Value::Object(error), Value::Object(at)) = (&mut error, at) {
                    error.extend(at);
                }
                print(&mut out, &error)?;
            }
            Exit::Usage
        }
        Err(error) => return Err(error.into()),
    };
    out.flush()?;
    Ok(exit)
}

/// The JSON Schema of such files.
pub(super) fn schema() -> Result<Exit, CliError> {
    writeln!(io::stdout(), "{:#}", definition::schema())?;
    Ok(Exit::Fine)
}

/// `1 job`, `2 jobs`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn name(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).display().to_string()
}
