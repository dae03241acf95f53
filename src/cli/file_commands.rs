//! `setlist init`, `check` and `schema`: commands about a `jobs.yaml`.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::error::CliError;
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::safe_output;
use super::site_args::SiteArgs;
use super::site_files::nearest_file;
use crate::definition::{self, Diagnostic, STARTER};
use crate::model::{DesiredState, Value};
use crate::text::count_noun;

/// Writes a first `jobs.yaml`; never overwrites one.
pub(super) fn init(args: &SiteArgs) -> Result<ExitStatus, CliError> {
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from("jobs.yaml"));
    let shown = file.display();
    match OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(mut new) => new.write_all(STARTER.as_bytes()).with_context(|| format!("cannot write {shown}"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!("{shown} already exists; it was not changed")));
        }
        Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot write {shown}")).into()),
    }
    writeln!(safe_output::stdout(), "wrote {shown}; run `setlist` to open it, and press p to process a queue")?;
    Ok(ExitStatus::Success)
}

/// Prints all errors of a file, or a summary line.
pub(super) fn check(args: &SiteArgs, path: Option<PathBuf>, json: bool) -> Result<ExitStatus, CliError> {
    let file = match path {
        Some(path) => path,
        None => nearest_file(args)?,
    };
    let plan = definition::read(&file);
    if json {
        return print_json(&file, plan);
    }
    let plan = plan?;
    let jobs: usize = plan.queues.iter().map(|queue| queue.jobs.len()).sum();
    let queues = plan.queues.len();
    writeln!(
        safe_output::stdout(),
        "{}: {}, {}",
        relative_path(&file),
        count_noun(queues, "queue"),
        count_noun(jobs, "job")
    )?;
    Ok(ExitStatus::Success)
}

/// Prints the queues or the errors of a file as JSON.
fn print_json(file: &Path, plan: Result<DesiredState, definition::Error>) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    let exit = match plan {
        Ok(plan) => {
            for queue in &plan.queues {
                let jobs: Vec<&str> = queue.jobs.iter().filter_map(|job| job.name.as_deref()).collect();
                write_json(&mut out, &json!({"queue": queue.id, "title": queue.settings.title, "jobs": jobs}))?;
            }
            ExitStatus::Success
        }
        Err(definition::Error::Invalid(diagnostics)) => {
            for Diagnostic { line, column, path, message, hint, .. } in &diagnostics.errors {
                let at = json!({"line": line, "column": column, "path": path, "message": message, "hint": hint});
                let mut error = json!({"file": file});
                if let (Value::Object(error), Value::Object(at)) = (&mut error, at) {
                    error.extend(at);
                }
                write_json(&mut out, &error)?;
            }
            ExitStatus::Usage
        }
        Err(error) => return Err(error.into()),
    };
    out.flush()?;
    Ok(exit)
}

/// Prints the JSON Schema of `jobs.yaml`.
pub(super) fn schema() -> Result<ExitStatus, CliError> {
    writeln!(safe_output::raw_stdout(), "{:#}", definition::schema())?;
    Ok(ExitStatus::Success)
}

fn relative_path(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).display().to_string()
}
