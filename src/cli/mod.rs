//! Floor 3: the command line. The only place that names everyone: it finds the site, opens its store and hands both
//! to the screen, a worker or a command.

mod add;
mod args;
mod change;
mod completions;
mod error;
mod examples;
mod file;
mod inspect;
mod line;
mod listening;
mod log;
mod man;
mod manager;
mod own_job;
mod process;
mod queues;
mod record;
mod screen;
mod signals;
mod site;
mod tally;
mod target;
mod terms;
mod transcript;
mod wait;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::slice::from_ref;

use clap::Parser;

use args::{Cli, Command, Jobs, When};
use error::CliError;
use site::OpenSite;

use crate::model::Phase;
use crate::runner;

/// What a command came to, as an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Fine = 0,
    JobFailed = 1,
    Usage = 2,
    Store = 3,
    Interrupted = 130,
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    runner::isolate_children();
    completions::answer();
    let cli = Cli::try_parse();
    let color = colored(cli.as_ref().map_or(When::Auto, |cli| cli.site.color), &io::stderr());
    let exit = match cli.map_or_else(|asked| explain(&asked), run) {
        Ok(exit) => exit,
        // Whoever read our output has seen enough (`| head`).
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
        Err(error) => {
            error.print(color);
            error.exit()
        }
    };
    ExitCode::from(exit as u8)
}

fn run(cli: Cli) -> Result<Exit, CliError> {
    let Cli { queue, site, taste, command } = cli;
    match command {
        None => screen::open(&site, taste, queue),
        Some(Command::Init) => file::init(&site),
        Some(Command::Check { path, json }) => file::check(&site, path, json),
        Some(Command::Schema) => file::schema(),
        Some(Command::Worker { queues, exit_when_idle, detached }) => {
            worker::work(&site, &queues, exit_when_idle, detached)
        }
        Some(Command::Completions { shell }) => completions::print(shell),
        Some(Command::Man { command, dir }) => man::print(command.as_deref(), dir.as_deref()),
        Some(Command::Process(options)) => {
            let color = colored(site.color, &io::stderr());
            let open = if options.dry_run { OpenSite::to_look_at } else { OpenSite::with };
            process::process(open(&site, &options.queues)?, &options, color)
        }
        Some(Command::Add(options)) => add::add(OpenSite::with(&site, from_ref(&options.queue))?, &options),
        Some(Command::Retry { jobs, failed, json }) => {
            change::retry(OpenSite::with(&site, &jobs)?, &jobs, failed, json)
        }
        Some(Command::Cancel { jobs: Jobs { jobs, json }, kill }) => {
            change::cancel(OpenSite::with(&site, &jobs)?, &jobs, kill, json)
        }
        Some(Command::Remove(Jobs { jobs, json })) => change::remove(OpenSite::with(&site, &jobs)?, &jobs, json),
        Some(Command::Restore(Jobs { jobs, json })) => change::restore(OpenSite::with(&site, &jobs)?, &jobs, json),
        Some(Command::Move(options)) => change::put(OpenSite::with(&site, &options.jobs.jobs)?, &options),
        Some(Command::Reset { names, json }) => change::reset(OpenSite::with(&site, &names)?, &names, json),
        Some(Command::Clear { queues, finished, pending, json }) => {
            let phases = [finished.then_some(Phase::Finished), pending.then_some(Phase::Pending)];
            queues::clear(OpenSite::with(&site, &queues)?, &queues, phases.into_iter().flatten(), json)
        }
        Some(Command::Pause { queues, json }) => queues::pause(OpenSite::with(&site, &queues)?, &queues, json),
        Some(Command::Resume { queues, json }) => queues::resume(OpenSite::with(&site, &queues)?, &queues, json),
        Some(Command::Wait(options)) => wait::wait(OpenSite::with(&site, &options.names)?, &options),
        Some(Command::Status { json, all: true, .. }) => inspect::all(OpenSite::all(&site)?, json),
        Some(Command::Status { queues, json, .. }) => {
            inspect::status(OpenSite::to_look_at(&site, &queues)?, &queues, json)
        }
        Some(Command::List(options)) => inspect::list(OpenSite::to_look_at(&site, &options.queues)?, &options),
        Some(Command::Show { job, json }) => inspect::show(OpenSite::to_look_at(&site, from_ref(&job))?, &job, json),
        Some(Command::Log(options)) => {
            let color = colored(site.color, &io::stdout());
            log::print(OpenSite::to_look_at(&site, &options.names)?, &options, color)
        }
    }
}

/// Prints the help or the version that was asked for, or says why the arguments can't be understood.
fn explain(asked: &clap::Error) -> Result<Exit, CliError> {
    if asked.use_stderr() {
        // Where it can't be said there is nobody to tell.
        let _ = asked.print();
        return Ok(Exit::Usage);
    }
    // Its own printing hides that there is no room for it.
    let text = asked.render();
    let text = if colored(When::Auto, &io::stdout()) { text.ansi().to_string() } else { text.to_string() };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Exit::Fine)
}

/// Whether to use colour on this stream.
fn colored(when: When, stream: &impl IsTerminal) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
