//! `setlist run`: runs a command as a job, in the background or followed to its end.

use std::fs;
use std::io::{self, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::add::{add_or_find, command_script, definition_of};
use super::args::RunArgs;
use super::error::{CliError, print_line, warn};
use super::exit::ExitStatus;
use super::job_args::WaitArgs;
use super::log;
use super::log_args::LogArgs;
use super::open_site::OpenSite;
use super::programs::{missing_program, runs_instead, warn_of_missing};
use super::safe_output;
use super::site_args::SiteArgs;
use super::summary_line;
use super::wait;
use crate::definition;
use crate::model::{Command, Exit, FailureKind, JobId, Outcome, Phase, QueueId, Refusal};
use crate::runner::{was_ignored_at_start, with_sigchld_blocked};
use crate::text;

/// The contents of the user's own `jobs.yaml`, where there was none.
const EMPTY_FILE: &str = "# Your own jobs, for commands outside of any other site.\nqueues: {}\n";

/// The queue of commands for which none is named.
const DEFAULT_QUEUE: &str = "adhoc";

/// Opens the site that has the queue, or that of this folder if none is named; where there is none, the user's own, which is
/// created.
pub(super) fn open_site(args: &SiteArgs, queue: Option<&str>) -> Result<OpenSite, CliError> {
    let names: Vec<String> = queue.into_iter().map(str::to_owned).collect();
    match OpenSite::open(args, &names) {
        Err(CliError::NoFile(here)) => {
            let file = definition::user_file().ok_or(CliError::NoFile(here))?;
            let folder = file.parent().unwrap_or(&file);
            let created = fs::create_dir_all(folder).and_then(|()| fs::write(&file, EMPTY_FILE));
            created.with_context(|| format!("cannot create {}", file.display()))?;
            warn(&text::sanitize_line(&format!(
                "there is no jobs.yaml here or above: the job is in your own site, {}",
                file.display()
            )));
            OpenSite::open(args, &names)
        }
        site => site,
    }
}

/// Adds the job, requests its run and prints its number, or follows it to its end.
pub(super) fn run(mut site: OpenSite, options: &RunArgs, color: bool) -> Result<ExitStatus, CliError> {
    let queue = QueueId::from(options.queue.as_deref().unwrap_or(DEFAULT_QUEUE));
    let info = site.store.queues()?.into_iter().find(|known| known.id == queue);
    let is_new_queue = info.is_none();
    site.inputs = options.inputs.for_queue(info.as_ref())?;
    let scheduling = Arc::new(options.job.scheduling_options(&mut site, &queue)?);
    let script = command_script(&options.command, &options.job)?;
    if let Some(program) = missing_program(&script, &options.job) {
        if let Some(hint) = runs_instead(&mut site, &options.command)? {
            return Err(CliError::Usage(format!("there is no such program; {hint}")));
        }
        if !options.follow && !options.wait {
            warn_of_missing(program, "");
        }
    }
    let definition = definition_of(script, &options.job, &scheduling)?;
    let added = add_or_find(&mut site, &queue, vec![definition])?;
    let id = *added.first().context("the job was not added")?;
    if is_new_queue {
        // Commands that are run one after the other don't wait for each other.
        let parallel =
            thread::available_parallelism().ok().and_then(|count| NonZero::new(u32::try_from(count.get()).ok()?));
        site.submit(Command::SetParallel { queue, parallel: parallel.unwrap_or(NonZero::<u32>::MIN) })?;
    }
    // A job with the same key that runs, or has ended meanwhile, is not run again.
    let is_pending = site.job(&id.0.to_string())?.phase() == Phase::Pending;
    let request = is_pending.then_some(Command::Run { job: id, force: false });
    let requested = site.execute(request.into_iter().collect())?;
    if let Some(Err(refusal)) = requested.into_iter().next()
        && !matches!(refusal, Refusal::WrongState { .. })
    {
        return Err(refusal.into());
    }
    let worker = site.ensure_worker();
    if let Err(error) = worker {
        // The job was added, and runs with the next worker.
        writeln!(safe_output::stdout(), "{id}")?;
        return Err(error);
    }
    let name = id.0.to_string();
    if options.follow || options.wait {
        explain_interrupt(id);
    }
    if options.follow {
        let exit = match log::print_logs(&mut site, &LogArgs::follow(&name), color) {
            Err(CliError::Output(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                warn(&format!("cannot write the output: {error}; {id} continues, and `setlist log {name}` prints it"));
                wait::wait_for(&mut site, &WaitArgs::quiet(&name))?;
                ExitStatus::Success
            }
            printed => printed?,
        };
        return if exit == ExitStatus::Success { exit_status_of(&mut site, id) } else { Ok(exit) };
    }
    if options.wait {
        wait::wait_for(&mut site, &WaitArgs::quiet(&name))?;
        report_failure(&mut site, id)?;
        return exit_status_of(&mut site, id);
    }
    writeln!(safe_output::stdout(), "{id}")?;
    site.finish(ExitStatus::Success)
}

/// Says that the job keeps running, if the user interrupts the command that follows it.
fn explain_interrupt(id: JobId) {
    if was_ignored_at_start(SIGINT) {
        return;
    }
    // Without it, the interrupt ends the process without a word.
    let Ok(mut signals) = Signals::new([SIGINT]) else { return };
    with_sigchld_blocked(|| {
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                let number = id.0;
                warn(&format!(
                    "{id} keeps running: `setlist log -f {number}` follows it, `setlist cancel {number}` stops it"
                ));
                // If the process can't be ended by the signal, it exits as if it were.
                let _ = emulate_default_handler(SIGINT);
                std::process::exit(ExitStatus::Interrupted.code().into());
            }
        })
    });
}

/// Says how a job ended that did not succeed, unless the reason why it could not start is reported.
fn report_failure(site: &mut OpenSite, id: JobId) -> Result<(), CliError> {
    if let Some(job) = site.store.job(id)?
        && let Some(outcome) = job.outcome().filter(|outcome| **outcome != Outcome::Succeeded)
        && outcome.failure().is_none_or(|failure| failure.kind != FailureKind::NotStarted)
    {
        print_line(&summary_line::describe_outcome(&job, outcome));
    }
    Ok(())
}

/// The exit status of a command that was not found, and of one that can't be executed, as in a shell.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// The exit status of the job's last run, as a shell reports it: 128 and more for a signal. Says why it could not start.
fn exit_status_of(site: &mut OpenSite, id: JobId) -> Result<ExitStatus, CliError> {
    let Some(job) = site.store.job(id)? else { return Ok(ExitStatus::JobFailed) };
    let end = job.last_run.as_ref().and_then(|run| run.end.as_ref());
    if let Some(failure) = end.and_then(|end| end.outcome.failure())
        && failure.kind == FailureKind::NotStarted
    {
        warn(&text::sanitize_line(&failure.message));
        let was_found = failure.message.starts_with("permission denied");
        return Ok(ExitStatus::OfJob(if was_found { NOT_EXECUTABLE } else { NOT_FOUND }));
    }
    Ok(match end.and_then(|end| end.exit) {
        Some(Exit::Code(code)) => u8::try_from(code).map_or(ExitStatus::JobFailed, ExitStatus::OfJob),
        Some(Exit::Signal(signal)) => u8::try_from(128 + signal).map_or(ExitStatus::JobFailed, ExitStatus::OfJob),
        None => ExitStatus::JobFailed,
    })
}
