//! `setlist init`, `check` and `schema`: commands about a `jobs.yaml`.

use std::borrow::Cow;
use std::collections::HashSet;
use std::env;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::args::InitArgs;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::programs::is_installed;
use super::safe_output;
use super::schedule::warn_if_file_not_kept;
use super::site_args::SiteArgs;
use super::site_files::nearest_file;
use super::store_choice::{open_own_store, state_dir};
use super::templates::{TEMPLATES, Template};
use crate::definition::{self, BARE, Diagnostic, STARTER};
use crate::model::{Call, Definition, DesiredQueue, DesiredState, FilePattern, Program, QueueId, Value};
use crate::runner::{count_matches, unkeepable_limits};
use crate::site::{FileContent, SitePaths, read_file};
use crate::text::{self, count_noun};

/// More warnings than this are only counted.
const MAX_WARNINGS: usize = 20;

/// Writes a first `jobs.yaml`; never overwrites one.
pub(super) fn init(args: &SiteArgs, options: &InitArgs) -> Result<ExitStatus, CliError> {
    if options.list {
        return list_templates();
    }
    let text = match &options.from {
        Some(name) => Template::find(name)?.text,
        None if options.bare => BARE,
        None => STARTER,
    };
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from("jobs.yaml"));
    let shown = file.display();
    match OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(mut new) => new.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!("{shown} already exists; it was not changed")));
        }
        Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot write {shown}")).into()),
    }
    if let Some(name) = &options.from {
        warn_if_programs_are_missing(Template::find(name)?);
    }
    let next = match (&options.from, options.bare) {
        (Some(_), _) => "change it to your needs; `setlist` opens it, and p processes a queue",
        (None, true) => "add jobs to it; `setlist` opens it",
        (None, false) => "run `setlist` to open it, and press p to process a queue",
    };
    writeln!(safe_output::stdout(), "wrote {shown}; {next}")?;
    Ok(ExitStatus::Success)
}

/// Writes the example with which a folder starts; never overwrites a file.
pub(super) fn write_starter(file: &Path) -> Result<(), CliError> {
    let created = OpenOptions::new().write(true).create_new(true).open(file);
    let written = created.and_then(|mut new| new.write_all(STARTER.as_bytes()));
    Ok(written.with_context(|| format!("cannot write {}", file.display()))?)
}

/// Prints the templates, one per line.
fn list_templates() -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    for template in &TEMPLATES {
        let needs = template.programs();
        let needs = if needs.is_empty() { String::new() } else { format!(" Needs {}.", needs.join(", ")) };
        writeln!(out, "{:<14}{}{needs}", template.name, template.summary())?;
    }
    out.flush()?;
    Ok(ExitStatus::Success)
}

/// Says which programs of a template are not installed.
fn warn_if_programs_are_missing(template: &Template) {
    let missing: Vec<&str> =
        template.programs().into_iter().filter(|program| !is_installed(program, Path::new("."))).collect();
    if !missing.is_empty() {
        warn(&format!("not installed here: {}", missing.join(", ")));
    }
}

/// Prints all errors of a file, or a summary line.
pub(super) fn check(args: &SiteArgs, path: Option<PathBuf>, json: bool) -> Result<ExitStatus, CliError> {
    let file = match path {
        Some(path) => path,
        None => nearest_file(args)?,
    };
    let plan = read_with_known_values(args, &file);
    if json {
        return print_json(&file, plan.map(|(plan, _)| plan));
    }
    let (plan, odd) = plan?;
    if needs_worker(&plan) {
        warn_if_file_not_kept(&SitePaths {
            state: state_dir(args, &file)?,
            file: file.clone(),
            program: PathBuf::new(),
        });
    }
    for warning in odd.into_iter().chain(warnings(&file, &plan)) {
        warn(&format!("warning: {warning}"));
    }
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

/// Reads a file, with the lists that the jobs of its site have returned, if there is one.
fn read_with_known_values(args: &SiteArgs, file: &Path) -> FileContent {
    let Ok(state) = state_dir(args, file) else { return definition::read_with_warnings(file) };
    let paths = SitePaths { file: file.to_owned(), state, program: PathBuf::new() };
    let known = open_own_store(args, &paths.state).and_then(|mut store| read_file(store.as_mut(), &paths).ok());
    known.unwrap_or_else(|| definition::read_with_warnings(file))
}

/// Whether a worker has to be there although nothing is to be done now: for schedules and expectations.
fn needs_worker(plan: &DesiredState) -> bool {
    let job_needs_worker = |job: &Arc<Definition>| job.scheduling.schedule.is_some() || job.scheduling.expect.is_some();
    let needs_worker = |queue: &DesiredQueue| {
        queue.settings.schedule.is_some() || queue.settings.expect.is_some() || queue.jobs.iter().any(job_needs_worker)
    };
    plan.queues.iter().any(needs_worker)
}

/// What jobs need that is missing on this machine: working directories, env files, shells, and what limits need. And variables
/// in texts, which are not replaced.
fn warnings(file: &Path, desired: &DesiredState) -> Vec<String> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut warnings = Vec::new();
    warnings.extend(desired.queues.iter().filter_map(|queue| name_warning(&queue.id)));
    let (outputs, mut matrices) = (all_outputs(desired), HashSet::new());
    for job in desired.queues.iter().flat_map(|queue| queue.jobs.iter().map(move |job| (queue, job))) {
        let (queue, definition) = job;
        let Call::Script(script) = &definition.call else { continue };
        let name = format!("{}/{}", queue.id, definition.name.as_deref().unwrap_or_default());
        let mut add = |what: String| warnings.push(format!("{}: {what}", text::sanitize_line(&name)));
        // The title of a matrix job may come from its script.
        let title = Some(definition.title.as_str()).filter(|_| definition.matrix.is_none());
        for (field, text) in [("title", title), ("confirm", definition.scheduling.confirm.as_deref())] {
            if let Some(variable) = text.and_then(definition::find_variable) {
                add(format!(
                    "{variable} in `{field}` is shown as it is; only `${{matrix.NAME}}` is replaced, in a job with a `matrix`, and `${{item}}` with `for_each`"
                ));
            }
        }
        let question = definition.scheduling.confirm.as_deref().unwrap_or_default();
        if ["yes", "no", "on", "off", "y", "n"].contains(&question.to_lowercase().as_str()) {
            let meant = matches!(question.to_lowercase().as_str(), "yes" | "on" | "y");
            add(format!("`confirm` asks the question {question:?}; did you mean `confirm: {meant}`?"));
        }
        // Of the jobs of a matrix, the first stands for all.
        if definition.matrix.as_ref().is_some_and(|matrix| matrices.insert((&queue.id, &matrix.entry))) {
            unfilled_value(definition).into_iter().for_each(&mut add);
        }
        if let Some(cwd) = script.exec.cwd.as_deref().filter(|cwd| !absolute(folder, cwd).is_dir()) {
            add(format!("the working directory {} does not exist", cwd.display()));
        }
        for file in script.exec.env_files.iter().filter(|file| !absolute(folder, file).is_file()) {
            add(format!("the env_file {} does not exist", file.display()));
        }
        unkeepable_limits(&script.exec.limits).into_iter().for_each(&mut add);
        let scale = &definition.scheduling.retry.scale;
        if scale.memory.is_some() && script.exec.limits.memory.is_none() {
            add("`retry.scale.memory` has no effect without `limits.memory`".to_owned());
        }
        if scale.timeout.is_some() && script.exec.timeout.is_none() {
            add("`retry.scale.timeout` has no effect without `timeout`".to_owned());
        }
        if let Some(rules) = &script.exec.files {
            let cwd = script.exec.cwd.as_deref().map_or_else(|| folder.to_owned(), |cwd| absolute(folder, cwd));
            source_warnings(&cwd, &rules.sources, &outputs).into_iter().for_each(&mut add);
        }
        // A job may set a PATH of its own.
        if let Program::Run { shell, .. } = &script.program
            && let Some(program) = shell.first()
            && !script.exec.env.contains_key("PATH")
            && !is_installed(program, folder)
        {
            add(format!("the shell {program} is not installed"));
        }
    }
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    warnings.truncate(MAX_WARNINGS);
    warnings.extend((more > 0).then(|| count_noun(more, "more warning")));
    warnings
}

/// Why commands don't take a name for that of a queue.
fn name_warning(queue: &QueueId) -> Option<String> {
    let name = queue.as_str();
    let why = if name.bytes().all(|byte| byte.is_ascii_digit()) {
        "commands take a number for that of a job"
    } else if name.starts_with('@') {
        "commands take a name with `@` for a special word, such as `@last`"
    } else if name.contains('/') {
        "commands take a name with `/` for that of a job"
    } else if name.contains(char::is_whitespace) {
        "a name with spaces has to be quoted in commands"
    } else {
        return None;
    };
    Some(format!("the queue {:?}: {why}; choose another name", text::sanitize_line(name)))
}

/// A parameter of a matrix that is named as a shell would, in a command that no shell reads.
fn unfilled_value(definition: &Definition) -> Option<String> {
    let (Call::Script(script), Some(matrix)) = (&definition.call, &definition.matrix) else { return None };
    let (Program::Command(words), false) = (&script.program, matrix.is_item) else { return None };
    let is_named = |name: &str| words.iter().any(|word| word.contains(&format!("${{{name}}}")));
    let (name, _) = matrix.values.iter().find(|(name, _)| is_named(name))?;
    Some(format!("${{{name}}} in `command` is passed as it is; did you mean `${{matrix.{name}}}`?"))
}

/// The patterns of what the jobs of the file make.
fn all_outputs(desired: &DesiredState) -> HashSet<Cow<'_, str>> {
    let scripts = desired.queues.iter().flat_map(|queue| &queue.jobs).filter_map(|job| match &job.call {
        Call::Script(script) => script.exec.files.as_deref(),
        Call::Function(_) => None,
    });
    scripts.flat_map(|files| &files.outputs).map(|pattern| FilePattern::plain_text(pattern)).collect()
}

/// Sources that match nothing and that no job makes, and those outside of the working directory.
fn source_warnings(cwd: &Path, sources: &[String], outputs: &HashSet<Cow<'_, str>>) -> Vec<String> {
    let mut warnings = Vec::new();
    for source in sources.iter().filter(|source| !source.starts_with('!')) {
        let Ok(pattern) = FilePattern::parse(source) else { continue };
        let name = FilePattern::plain_text(source);
        // A pattern with `~` is looked up when the job runs.
        if !source.starts_with('~') && !outputs.contains(&name) && count_matches(cwd, &pattern, 1) == Ok(0) {
            warnings.push(format!("no file matches the source {name}"));
        }
        if pattern.leaves_folder() {
            warnings.push(format!("the source {name} is outside of the working directory"));
        }
    }
    warnings
}

/// A path of a definition, as a run finds it.
fn absolute(folder: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
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
            for Diagnostic { line, column, path, message, hint, snippet, .. } in &diagnostics.errors {
                let at = json!({"line": line, "column": column, "path": path, "message": message, "hint": hint});
                let mut error = json!({"file": snippet.file.as_deref().map_or(file, Path::new)});
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
    let here = env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).display().to_string()
}
