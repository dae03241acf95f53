//! Floor 3: the command line. The only place that names everyone: it finds the site, opens its store and hands both
//! to the screen, a worker or a command.

mod args;
mod change;
mod error;
mod file;
mod inspect;
mod line;
mod log;
mod manager;
mod process;
mod record;
mod screen;
mod signals;
mod site;
mod terms;
mod transcript;
mod worker;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, When};
use error::CliError;
use site::OpenSite;

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
    let cli = Cli::parse();
    let color = colored(cli.site.color, &io::stderr());
    let exit = match run(cli) {
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
        Some(Command::Check { path }) => file::check(&site, path),
        Some(Command::Worker { queues, exit_when_idle, detached }) => {
            worker::work(&site, &queues, exit_when_idle, detached)
        }
        Some(Command::Process(options)) => {
            let site = if options.dry_run { OpenSite::to_look_at(&site)? } else { OpenSite::nearest(&site)? };
            process::process(site, &options)
        }
        Some(Command::Add(options)) => change::add(OpenSite::nearest(&site)?, &options),
        Some(Command::Retry { jobs, failed }) => change::retry(OpenSite::nearest(&site)?, &jobs, failed),
        Some(Command::Cancel { jobs, kill }) => change::cancel(OpenSite::nearest(&site)?, &jobs, kill),
        Some(Command::Status { queues, json }) => inspect::status(OpenSite::to_look_at(&site)?, &queues, json),
        Some(Command::List(options)) => inspect::list(OpenSite::to_look_at(&site)?, &options),
        Some(Command::Show { job, json }) => inspect::show(OpenSite::to_look_at(&site)?, &job, json),
        Some(Command::Log(options)) => {
            let color = colored(site.color, &io::stdout());
            log::print(OpenSite::to_look_at(&site)?, &options, color)
        }
    }
}

/// Whether to use colour on this stream.
fn colored(when: When, stream: &impl IsTerminal) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
