//! `setlist add`: adds jobs that are not in `jobs.yaml`, or saves them into it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufWriter, Read, Write};
use std::slice::from_ref;
use std::sync::Arc;

use anyhow::Context;

use super::args::{AddArgs, NewJobArgs};
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::job_options::from_folder;
use super::json_records::{JobRecord, write_json};
use super::name_syntax::suggestion;
use super::open_site::OpenSite;
use super::programs::{is_shell_line, missing_program, runs_instead, warn_of_missing};
use super::safe_output;
use crate::clock;
use crate::definition;
use crate::model::{
    Command, Definition, Event, JobId, JobRef, Need, QueueId, QueueInfo, QueueMode, Refusal, SchedulingOptions, Script,
};
use crate::store::SaveLock;
use crate::text::{self, count_noun, is_or_are};

/// The limits of standard input. All of its jobs are added in one transaction.
const MAX_STDIN_JOBS: usize = 250_000;
const MAX_STDIN_BYTES: u64 = 64 << 20;

/// The number of invalid lines that are reported.
const MAX_REPORTED_LINES: usize = 10;

/// Appends jobs and prints their numbers.
pub(super) fn add(site: OpenSite, options: &AddArgs) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let queue = QueueId::from(options.queue.as_str());
    let known: Vec<String> = site.store.queues()?.iter().map(|known| known.id.to_string()).collect();
    let is_new = !known.contains(&options.queue);
    if let Some(reason) = QueueId::invalid_name_reason(&options.queue)
        && is_new
    {
        return Err(CliError::Usage(reason.to_owned()));
    }
    let now = options.now;
    let scripts = read_scripts(&mut site, options)?;
    let scheduling = Arc::new(options.job.scheduling_options(&mut site, &queue)?);
    let define = |script| definition_of(script, &options.job, &scheduling);
    let jobs: Vec<_> = scripts.into_iter().map(define).collect::<Result<_, _>>()?;
    if jobs.is_empty() {
        return Err(CliError::Usage("nothing to add: standard input is empty".to_owned()));
    }
    let added: Vec<JobId> =
        if options.save { save_jobs(&mut site, &queue, &jobs)? } else { add_or_find(&mut site, &queue, jobs)? };
    let started = start_added(&mut site, &queue, &added, is_new.then_some(&known), now);
    if options.save || options.now || options.json || !safe_output::is_stderr_terminal() {
        // A script knows.
    } else if let Some(hint) = start_hint(&mut site, &queue)? {
        warn(&hint);
    }
    // Printed last: a closed pipe must not keep the jobs from running.
    let mut out = BufWriter::new(safe_output::stdout());
    let now = clock::now();
    for id in &added {
        // The number is known even if the store fails now.
        let read = options.json.then(|| site.store.job(*id)).filter(|read| read.is_ok() || started.is_ok());
        match read.transpose()?.flatten() {
            Some(job) => write_json(&mut out, &JobRecord::new(&job, None, now))?,
            None => writeln!(out, "{id}")?,
        }
    }
    out.flush()?;
    // The jobs were added even if they don't run.
    started?;
    Ok(ExitStatus::Success)
}

/// What runs the jobs of a queue that is not being processed.
fn start_hint(site: &mut OpenSite, queue: &QueueId) -> Result<Option<String>, CliError> {
    let mode = site.store.queues()?.into_iter().find(|known| known.id == *queue).map(|known| known.mode);
    let (state, command) = match mode {
        None | Some(QueueMode::Processing) => return Ok(None),
        Some(QueueMode::Paused) => ("paused", "resume"),
        Some(QueueMode::Idle | QueueMode::Stopped) => ("not being processed", "start"),
    };
    let command = text::shell_command(&["setlist".to_owned(), command.to_owned(), queue.to_string()]);
    Ok(Some(text::sanitize_line(&format!("{queue} is {state}; `{command}` runs its jobs"))))
}

/// Requests the jobs that were added if they are to run now, and starts a worker if they need one. `known` are the names of
/// the queues before, if the queue is new.
fn start_added(
    site: &mut OpenSite,
    queue: &QueueId,
    added: &[JobId],
    known: Option<&Vec<String>>,
    now: bool,
) -> Result<(), CliError> {
    let queues = site.store.queues()?;
    // A job that was found by its key is in another queue.
    if let Some(known) = known
        && queues.iter().any(|known| known.id == *queue)
    {
        let hint = suggestion(queue.as_str(), known).unwrap_or_default();
        warn(&text::sanitize_line(&format!("created the queue {queue}{hint}")));
    }
    if now {
        // Refused for a job that has been requested already.
        let commands: Vec<_> = added.iter().map(|job| Command::Run { job: *job, force: false }).collect();
        site.execute(commands)?;
    }
    let is_processing = |known: &QueueInfo| known.id == *queue && known.mode == QueueMode::Processing;
    if now || queues.iter().any(is_processing) { site.ensure_worker() } else { Ok(()) }
}

/// Adds the jobs, and returns their numbers; or that of the job that is pending or running with the same key.
pub(super) fn add_or_find(
    site: &mut OpenSite,
    queue: &QueueId,
    jobs: Vec<Arc<Definition>>,
) -> Result<Vec<JobId>, CliError> {
    let results = site.execute(vec![Command::Add { queue: queue.clone(), jobs }])?;
    match results.into_iter().next().unwrap_or(Ok(Vec::new())) {
        Err(refusal @ Refusal::NotUnique { job, .. }) => {
            warn(&refusal.to_string());
            Ok(vec![job])
        }
        added => {
            let id = |event: &Event| if let Event::Added { job } = event { Some(job.id) } else { None };
            Ok(added?.iter().filter_map(id).collect())
        }
    }
}

/// Writes the jobs into the site's file; returns their numbers.
fn save_jobs(site: &mut OpenSite, queue: &QueueId, jobs: &[Arc<Definition>]) -> Result<Vec<JobId>, CliError> {
    let mut named_jobs = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut job = Definition::clone(job);
        if !job.scheduling.needs.is_empty() {
            for need in &mut Arc::make_mut(&mut job.scheduling).needs {
                name_need(site, need)?;
            }
        }
        named_jobs.push(job);
    }
    let lock = SaveLock::take(&site.paths.state)?;
    let saved = definition::save::save(&site.paths.file, queue, &named_jobs)?;
    drop(lock);
    site.reload()?;
    let site_state = site.site_state()?;
    let id_of = |job: &Arc<Definition>| Some(site_state.job_named(queue, job.name.as_deref()?)?.id);
    Ok(saved.iter().filter_map(id_of).collect())
}

/// Replaces the number of a needed job by its name: in a file, needs are names.
fn name_need(site: &mut OpenSite, need: &mut Need) -> Result<(), CliError> {
    if let JobRef::Number(id) = need.job
        && let Some(job) = site.store.job(id)?
        && let Some(name) = &job.definition.name
    {
        need.job = JobRef::Named(job.queue.clone(), Arc::clone(name));
    }
    Ok(())
}

fn read_scripts(site: &mut OpenSite, options: &AddArgs) -> Result<Vec<Script>, CliError> {
    if let Some(text) = &options.script {
        if text.trim().is_empty() {
            return Err(CliError::Usage("the script is empty".to_owned()));
        }
        return Ok(vec![Script::shell(text)]);
    }
    if options.stdin {
        return read_script_lines(io::stdin().lock());
    }
    if options.command.is_empty() {
        let usage = "no command given: use `setlist add QUEUE CMD…`, `--script TEXT` or `--stdin`";
        return Err(CliError::Usage(usage.to_owned()));
    }
    let script = command_script(&options.command, &options.job)?;
    if let Some(program) = missing_program(&script, &options.job) {
        let hint = runs_instead(site, from_ref(program))?.map(|hint| format!("; {hint}"));
        warn_of_missing(program, &hint.unwrap_or_default());
    }
    Ok(vec![script])
}

/// What a command runs: a program without a shell; or, if its only argument isn't a program and has white space or characters
/// that a shell interprets, that argument as a script.
pub(super) fn command_script(command: &[String], options: &NewJobArgs) -> Result<Script, CliError> {
    if command.first().is_some_and(String::is_empty) {
        return Err(CliError::Usage("the program's name is empty".to_owned()));
    }
    let script = Script::command(command);
    Ok(match command {
        [line] if is_shell_line(line) && missing_program(&script, options).is_some() => Script::shell(line),
        _ => script,
    })
}

/// Reads a script from each line, and reports all invalid lines together.
fn read_script_lines(mut input: impl BufRead) -> Result<Vec<Script>, CliError> {
    let mut scripts = Vec::new();
    let mut errors = Vec::new();
    let mut remaining_bytes = MAX_STDIN_BYTES;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input.by_ref().take(remaining_bytes + 1).read_until(b'\n', &mut line);
        let read = read.context("cannot read standard input")? as u64;
        if read == 0 {
            break;
        }
        if read > remaining_bytes || scripts.len() == MAX_STDIN_JOBS {
            return Err(CliError::Usage(format!(
                "line {number}: too much input: at most {MAX_STDIN_JOBS} jobs and {} MiB can be added at once",
                MAX_STDIN_BYTES >> 20
            )));
        }
        remaining_bytes -= read;
        match std::str::from_utf8(&line).map(str::trim) {
            Ok("") => {}
            Ok(text) if text.contains('\0') => errors.push(format!("line {number}: a script can't contain a NUL byte")),
            Ok(text) => scripts.push(Script::shell(text)),
            Err(_) => errors.push(format!("line {number}: not valid UTF-8")),
        }
    }
    if errors.is_empty() {
        return Ok(scripts);
    }
    let more = errors.len().saturating_sub(MAX_REPORTED_LINES);
    errors.truncate(MAX_REPORTED_LINES);
    errors.extend((more > 0).then(|| format!("{} {} invalid", count_noun(more, "more line"), is_or_are(more))));
    Err(CliError::Usage(format!("nothing was added\n{}", errors.join("\n"))))
}

/// Defines a job from its script and options.
pub(super) fn definition_of(
    mut script: Script,
    options: &NewJobArgs,
    scheduling: &Arc<SchedulingOptions>,
) -> Result<Arc<Definition>, CliError> {
    if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(CliError::Usage("the timeout must be at least 1ms".to_owned()));
    }
    // A command runs in the current folder, as in a shell.
    let here = std::env::current_dir().context("cannot determine the working directory")?;
    let exec = script.exec_mut();
    exec.cwd = Some(options.cwd.as_ref().map_or_else(|| here.clone(), |cwd| from_folder(&here, cwd)));
    exec.timeout = options.timeout;
    options.options.set_exec_options(exec, &here);
    exec.env = options.env.iter().map(|pair| parse_variable(pair)).collect::<Result<BTreeMap<_, _>, _>>()?;
    let mut definition = Definition::new(script);
    definition.title = options.title.as_str().into();
    definition.tags = options.tag.as_slice().into();
    definition.scheduling = Arc::clone(scheduling);
    Ok(Arc::new(definition))
}

fn parse_variable(pair: &str) -> Result<(String, Option<String>), CliError> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Some(value.to_owned()))),
        _ => Err(CliError::Usage(format!("--env takes NAME=VALUE, not {pair:?}"))),
    }
}
