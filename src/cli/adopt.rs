//! `setlist adopt`: accepts state that was not made here, after showing what it holds, or puts it aside.

use std::io::{self, IsTerminal, Write};

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::safe_output;
use super::site_args::SiteArgs;
use super::site_files::nearest_file;
use super::store_choice::state_dir;
use crate::definition;
use crate::model::{Call, Command, Job, JobState, Phase, Program, SiteState, StopSignal};
use crate::site;
use crate::store::{StateDir, Store, StoreError, check_jobs_file, check_state_dir};
use crate::text;

/// Adopts the state of the site, or starts afresh.
pub(super) fn adopt(args: &SiteArgs, fresh: bool, yes: bool) -> Result<ExitStatus, CliError> {
    let file = nearest_file(args)?;
    if args.file.is_none() {
        check_jobs_file(&file)?;
    }
    let dir = state_dir(args, &file)?;
    if !fresh {
        check_state_dir(dir.path())?;
    }
    if !dir.has_database() {
        let shown = dir.path().display();
        return Err(CliError::Usage(if dir.path().exists() {
            format!("there is no state to adopt: {shown} has no database, and the next command creates one")
        } else {
            format!("there is no state to adopt: {shown} does not exist")
        }));
    }
    if fresh {
        return start_afresh(&dir, &file);
    }
    let is_own = dir.check_ownership(false).is_ok() && dir.recorded_file().is_none_or(|recorded| recorded == file);
    let held = site::open_store_to_read(&dir).and_then(|mut store| store.load());
    if is_own && held.is_ok() {
        warn(&format!("{} was made here: nothing to adopt", dir.path().display()));
        return Ok(ExitStatus::Success);
    }
    refuse_live_workers(&dir)?;
    match held {
        Ok(held) => show(&held, &file)?,
        Err(
            error @ (StoreError::Unreadable { .. } | StoreError::MissingChanges { .. } | StoreError::Database { .. }),
        ) => {
            return Err(CliError::Usage(format!(
                "this state is damaged and can't be adopted: {error}; `setlist adopt --fresh` puts it aside and starts with \
                 an empty one"
            )));
        }
        // A database of an older format can only be read once it is migrated.
        Err(_) => {}
    }
    if !yes && !confirm()? {
        return Err(CliError::Usage("not adopted".to_owned()));
    }
    dir.adopt(&file)?;
    let mut store = site::open_store(&dir)?;
    stop_everything(store.as_mut(), &dir)?;
    warn(&format!("adopted {}", dir.path().display()));
    Ok(ExitStatus::Success)
}

fn start_afresh(dir: &StateDir, file: &std::path::Path) -> Result<ExitStatus, CliError> {
    refuse_live_workers(dir)?;
    let aside = dir.put_aside()?;
    dir.take_ownership(file, false)?;
    warn(&format!("the old state is in {}", aside.display()));
    Ok(ExitStatus::Success)
}

fn refuse_live_workers(dir: &StateDir) -> Result<(), CliError> {
    match dir.live_worker_pid() {
        Some(process) => Err(CliError::Usage(format!(
            "a worker uses {} (process {process}): stop it first, with `kill {process}`",
            dir.path().display()
        ))),
        None => Ok(()),
    }
}

/// Prints the jobs that are not in the file, and the counts of everything else.
fn show(held: &SiteState, file: &std::path::Path) -> Result<(), CliError> {
    let paths_in_file: Vec<String> = definition::read(file)
        .map(|desired| {
            let paths = desired.queues.iter().flat_map(|queue| {
                queue.jobs.iter().filter_map(move |job| Some(format!("{}/{}", queue.id, job.name.as_deref()?)))
            });
            paths.collect()
        })
        .unwrap_or_default();
    let mut out = safe_output::stdout();
    let mut jobs: Vec<&Job> = held.jobs().filter(|job| !paths_in_file.contains(&job.path())).collect();
    jobs.sort_by_key(|job| job.id);
    if held.jobs().next().is_none() {
        writeln!(out, "this state has no jobs")?;
        return Ok(out.flush()?);
    }
    let (pending, workers) = (jobs.iter().filter(|job| job.phase() != Phase::Finished).count(), held.workers().count());
    writeln!(
        out,
        "{} that jobs.yaml doesn't have, {pending} of them not finished; {}",
        text::count_noun(jobs.len(), "job"),
        text::count_noun(workers, "worker")
    )?;
    for job in jobs {
        let command = match &job.definition.call {
            Call::Script(script) => match &script.program {
                Program::Run { text, .. } => text.to_string(),
                Program::Command(words) => words.join(" "),
            },
            Call::Function(_) => String::new(),
        };
        writeln!(out, "{} {}: {}", job.id, text::sanitize_line(&job.path()), text::sanitize_line(&command))?;
    }
    out.flush()?;
    Ok(())
}

fn confirm() -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage("adopting needs confirmation: `setlist adopt --yes`".to_owned()));
    }
    let mut err = safe_output::stderr(false);
    write!(err, "Adopt this state? Its jobs run when you ask for them. [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Unregisters all workers and withdraws all requests, so that nothing runs before the user asks for it.
fn stop_everything(store: &mut dyn Store, dir: &StateDir) -> Result<(), CliError> {
    let mut commands = Vec::new();
    for worker in store.workers()? {
        commands.push(Command::ReapWorker {
            worker: worker.id,
            started_runs: Vec::new(),
            unreachable_host: (worker.host != site::hostname()).then(|| worker.host.clone()),
        });
        dir.remove_worker_file(worker.id);
    }
    commands.extend(store.queues()?.into_iter().map(|queue| Command::StopProcessing { queue: queue.id }));
    // Some are refused, such as stopping a queue that is idle.
    store.execute(&commands, store.clock().now())?;
    let requested = |job: &&Job| matches!(job.state, JobState::Pending { requested: true, .. });
    let requested: Vec<_> = store.load()?.jobs().filter(requested).map(|job| job.id).collect();
    let withdraw = requested
        .into_iter()
        .flat_map(|job| [Command::Cancel { job, stop: StopSignal::Terminate }, Command::Reset { job }]);
    store.execute(&withdraw.collect::<Vec<_>>(), store.clock().now())?;
    Ok(())
}
