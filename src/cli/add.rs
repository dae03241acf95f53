//! `setlist add`: jobs that stand in no `jobs.yaml`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufWriter, Read, Write};
use std::sync::Arc;

use anyhow::Context;
use chrono::Utc;

use super::args::Add;
use super::record::{JobRecord, print};
use super::site::OpenSite;
use super::terms::from_folder;
use super::{CliError, Exit};
use crate::definition;
use crate::model::{
    Command, Definition, Event, JobId, JobRef, Need, QueueId, QueueInfo, QueueMode, SchedulingOptions, Script,
};

/// No more than this is read from standard input at once, in jobs and in bytes: all of it is one transaction.
const MOST_JOBS: usize = 250_000;
const MOST_TEXT: u64 = 64 << 20;

/// So many lines that are wrong are named.
const MOST_WRONG: usize = 10;

/// Appends jobs and prints their numbers.
pub(super) fn add(site: OpenSite, options: &Add) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let queue = QueueId::from(options.queue.as_str());
    if let Some(reason) = QueueId::invalid_name_reason(&options.queue)
        && !site.store.queues()?.iter().any(|known| known.id == queue)
    {
        return Err(CliError::Usage(reason.to_owned()));
    }
    let now = options.now;
    let scripts = scripts(options)?;
    let terms = Arc::new(options.terms.terms(&mut site, &queue)?);
    let define = |script| define(script, options, &terms);
    let jobs: Vec<_> = scripts.into_iter().map(define).collect::<Result<_, _>>()?;
    if jobs.is_empty() {
        return Err(CliError::Usage("nothing to add: standard input is empty".to_owned()));
    }
    if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(CliError::Usage("a timeout must be at least a millisecond".to_owned()));
    }
    let added: Vec<JobId> = if options.save {
        save(&mut site, &queue, &jobs)?
    } else {
        let events = site.submit(Command::Add { queue: queue.clone(), jobs })?;
        events.iter().filter_map(|event| if let Event::Added { job } = event { Some(job.id) } else { None }).collect()
    };
    if now {
        let commands: Vec<_> = added.iter().map(|job| Command::Run { job: *job }).collect();
        site.store.execute(&commands, Utc::now())?;
    }
    let processing = |known: &QueueInfo| known.id == queue && known.mode == QueueMode::Processing;
    if now || site.store.queues()?.iter().any(processing) {
        site.hire()?;
    }
    // Last, so that nobody who has stopped reading keeps the jobs from being run.
    let mut out = BufWriter::new(io::stdout().lock());
    let now = Utc::now();
    for id in &added {
        match options.json.then(|| site.store.job(*id)).transpose()?.flatten() {
            Some(job) => print(&mut out, &JobRecord::of(&job, None, now))?,
            None => writeln!(out, "{id}")?,
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// Writes the jobs into the site's file; returns the numbers that they have since.
fn save(site: &mut OpenSite, queue: &QueueId, jobs: &[Arc<Definition>]) -> Result<Vec<JobId>, CliError> {
    let mut written = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut job = Definition::clone(job);
        if !job.scheduling.needs.is_empty() {
            for need in &mut Arc::make_mut(&mut job.scheduling).needs {
                named(site, need)?;
            }
        }
        written.push(job);
    }
    let saved = definition::save::save(&site.context.file, queue, &written)?;
    site.reload()?;
    let site_state = site.site_state()?;
    let number = |job: &Arc<Definition>| Some(site_state.job_named(queue, job.name.as_deref()?)?.id);
    Ok(saved.iter().filter_map(number).collect())
}

/// In a file, jobs are named.
fn named(site: &mut OpenSite, need: &mut Need) -> Result<(), CliError> {
    if let JobRef::Number(id) = need.job
        && let Some(job) = site.store.job(id)?
        && let Some(name) = &job.definition.name
    {
        need.job = JobRef::Named(job.queue.clone(), Arc::clone(name));
    }
    Ok(())
}

fn scripts(options: &Add) -> Result<Vec<Script>, CliError> {
    if let Some(text) = &options.script {
        if text.trim().is_empty() {
            return Err(CliError::Usage("the script is empty".to_owned()));
        }
        return Ok(vec![Script::shell(text)]);
    }
    if options.stdin {
        return lines(io::stdin().lock());
    }
    if options.command.first().is_some_and(String::is_empty) {
        return Err(CliError::Usage("the program's name is empty".to_owned()));
    }
    if options.command.is_empty() {
        let usage = "say what to run: `setlist add QUEUE -- CMD…`, `--script TEXT` or `--stdin`";
        return Err(CliError::Usage(usage.to_owned()));
    }
    Ok(vec![Script::command(&options.command)])
}

/// The scripts in these lines. All that is wrong with them is told at once.
fn lines(mut input: impl BufRead) -> Result<Vec<Script>, CliError> {
    let mut scripts = Vec::new();
    let mut wrong = Vec::new();
    let mut room = MOST_TEXT;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input.by_ref().take(room + 1).read_until(b'\n', &mut line);
        let read = read.context("standard input can't be read")? as u64;
        if read == 0 {
            break;
        }
        if read > room || scripts.len() == MOST_JOBS {
            return Err(CliError::Usage(format!(
                "line {number}: that is too much at once; at most {MOST_JOBS} jobs and {} MiB are added together",
                MOST_TEXT >> 20
            )));
        }
        room -= read;
        match std::str::from_utf8(&line).map(str::trim) {
            Ok("") => {}
            Ok(text) if text.contains('\0') => wrong.push(format!("line {number}: no script can hold a NUL byte")),
            Ok(text) => scripts.push(Script::shell(text)),
            Err(_) => wrong.push(format!("line {number}: this is no UTF-8 text")),
        }
    }
    if wrong.is_empty() {
        return Ok(scripts);
    }
    let more = wrong.len().saturating_sub(MOST_WRONG);
    wrong.truncate(MOST_WRONG);
    wrong.extend((more > 0).then(|| format!("{more} more are wrong")));
    Err(CliError::Usage(format!("nothing was added\n{}", wrong.join("\n"))))
}

fn define(mut script: Script, options: &Add, terms: &Arc<SchedulingOptions>) -> Result<Arc<Definition>, CliError> {
    // A command runs where it was typed, as in a shell.
    let here = std::env::current_dir().context("can't tell the working directory")?;
    let setup = script.exec_mut();
    setup.cwd = Some(options.cwd.as_ref().map_or_else(|| here.clone(), |cwd| from_folder(&here, cwd)));
    setup.timeout = options.timeout;
    options.terms.set_up(setup, &here);
    setup.env = options.env.iter().map(|pair| variable(pair)).collect::<Result<BTreeMap<_, _>, _>>()?;
    let mut definition = Definition::new(script);
    definition.title.clone_from(&options.title);
    definition.tags.clone_from(&options.tag);
    definition.scheduling = Arc::clone(terms);
    Ok(Arc::new(definition))
}

fn variable(pair: &str) -> Result<(String, Option<String>), CliError> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), Some(value.to_owned()))),
        _ => Err(CliError::Usage(format!("--env takes NAME=VALUE, not {pair:?}"))),
    }
}
