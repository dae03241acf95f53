//! The command line: finds the site, opens its store and passes both to the screen, a worker or a command. The only layer
//! that uses all others.

mod add;
mod adopt;
mod approval_prompt;
mod approve;
mod args;
mod artifacts;
mod background_printer;
mod bash_completer;
mod cancel;
mod candidates;
mod change_waiter;
mod command_hints;
mod completions;
mod drain;
mod entry_jobs;
mod error;
mod examples;
mod exit;
mod explain;
mod file_commands;
mod grep;
mod grep_args;
mod help_blocks;
mod help_command;
mod help_topics;
mod history;
mod import;
mod input_args;
mod job_args;
mod job_commands;
mod job_lookup;
mod job_option_args;
mod job_options;
mod job_pages;
mod job_selection;
mod json_records;
mod list;
mod log;
mod log_args;
mod log_diff;
mod log_printer;
mod man;
mod metrics;
mod name_syntax;
mod open_site;
mod ordered_output;
mod output_file;
mod own_job;
mod process;
mod programs;
mod progress_reporter;
mod publish;
mod queue_commands;
mod queue_or_job;
mod reload;
mod report;
mod results;
mod run_command;
mod run_feed;
mod safe_output;
mod schedule;
mod screen;
mod service;
mod service_manager;
mod set_command;
mod show;
mod show_environment;
mod signals;
mod site_args;
mod site_files;
mod snapshot_record;
mod start;
mod status;
mod status_check;
mod store_choice;
mod store_command;
mod summary_line;
mod templates;
mod time_text;
mod usage_now;
mod value_parsers;
mod wait;
mod worker;
mod worker_args;
mod workers;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::slice::from_ref;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::{Cli, CliCommand};
use error::{CliError, warn};
use exit::ExitStatus;
use open_site::OpenSite;
use site_args::ColorChoice;

use crate::model::Phase;
use crate::runner;
use crate::store::report_waits;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    runner::isolate_children();
    completions::complete_and_exit();
    let cli = Cli::try_parse();
    let color = uses_color(cli.as_ref().map_or(ColorChoice::Auto, |cli| cli.site.color), &safe_output::raw_stderr());
    let changes_site = cli.as_ref().is_ok_and(|cli| cli.command.as_ref().is_some_and(CliCommand::changes_site));
    let exit = match cli.map_or_else(|error| print_clap_message(&error), run) {
        Ok(exit) => exit,
        // The reader of our output has exited (`| head`).
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Success,
        Err(error) => {
            error.print(color);
            if changes_site && matches!(error, CliError::Output(_)) {
                warn("what was asked for has been done all the same: don't repeat it");
            }
            error.exit()
        }
    };
    ExitCode::from(exit.code())
}

fn run(cli: Cli) -> Result<ExitStatus, CliError> {
    let Cli { queue, site, appearance, command } = cli;
    let Some(command) = command else { return screen::open(&site, appearance, queue) };
    report_waits(warn);
    match command {
        CliCommand::Init(args) => file_commands::init(&site, &args),
        CliCommand::Check { path, json } => file_commands::check(&site, path, json),
        CliCommand::Import(args) => import::import(&args),
        CliCommand::Reload => reload::reload(OpenSite::open(&site, &[])?),
        CliCommand::Schema => file_commands::schema(),
        CliCommand::Workers { json } => workers::workers(OpenSite::open_read_only(&site, &[])?, json),
        CliCommand::Drain(args) => drain::drain(OpenSite::open_read_only(&site, &[])?, &args),
        CliCommand::Publish => publish::publish(OpenSite::open(&site, &[])?),
        CliCommand::Store { command } => store_command::run(&command),
        CliCommand::Adopt { fresh, yes } => adopt::adopt(&site, fresh, yes),
        CliCommand::Worker(args) => worker::work(&site, &args),
        CliCommand::Completions { shell } => completions::print(shell),
        CliCommand::Help { topic } => help_command::print(&topic),
        CliCommand::Man { page, dir } => man::print(page.as_deref(), dir.as_deref()),
        CliCommand::Process(args) => {
            let color = uses_color(site.color, &safe_output::raw_stderr());
            let open = if args.dry_run { OpenSite::open_read_only } else { OpenSite::open };
            let site = open(&site, &args.queues)?;
            let paths = site.paths.clone();
            let result = process::process(site, &args, color);
            if !args.dry_run {
                schedule::leave_schedule_worker(&paths);
            }
            result
        }
        CliCommand::Start(args) => start::start(OpenSite::open(&site, &args.queues)?, &args),
        CliCommand::Set(args) => set_command::set(OpenSite::open(&site, from_ref(&args.queue))?, &args),
        CliCommand::Add(args) => add::add(OpenSite::open(&site, from_ref(&args.queue))?, &args),
        CliCommand::Run(args) => {
            let color = uses_color(site.color, &safe_output::raw_stdout());
            run_command::run(run_command::open_site(&site, args.queue.as_deref())?, &args, color)
        }
        CliCommand::Retry(args) => job_commands::retry(OpenSite::open(&site, &args.jobs)?, &args),
        CliCommand::Approve(args) => approve::approve(OpenSite::open(&site, &args.jobs)?, &args),
        CliCommand::Cancel(args) => cancel::cancel(&site, &args),
        CliCommand::Remove(args) => job_commands::remove(OpenSite::open(&site, &args.jobs)?, &args),
        CliCommand::Restore(args) => job_commands::restore(OpenSite::open(&site, &args.jobs)?, &args),
        CliCommand::Move(args) => job_commands::move_jobs(OpenSite::open(&site, &args.jobs.jobs)?, &args),
        CliCommand::Reset { names, filter, json } => {
            job_commands::reset(OpenSite::open(&site, &names)?, &names, &filter, json)
        }
        CliCommand::Clear { queues, finished, pending, json } => {
            let phases = [finished.then_some(Phase::Finished), pending.then_some(Phase::Pending)];
            queue_commands::clear(OpenSite::open(&site, &queues)?, &queues, phases.into_iter().flatten(), json)
        }
        CliCommand::Pause { queues, json } => queue_commands::pause(OpenSite::open(&site, &queues)?, &queues, json),
        CliCommand::Resume { queues, json } => queue_commands::resume(OpenSite::open(&site, &queues)?, &queues, json),
        CliCommand::Schedule(args) => schedule::print(OpenSite::open_read_only(&site, &args.names)?, &args),
        CliCommand::Service { action } => service::run(&site, action),
        CliCommand::Wait(args) => wait::wait(OpenSite::open(&site, &args.names)?, &args),
        CliCommand::Status { queues, json, all, check: true } => {
            let sites = if all { OpenSite::open_all(&site)? } else { vec![OpenSite::open_read_only(&site, &queues)?] };
            status_check::check(sites, &queues, json)
        }
        CliCommand::Status { json, all: true, .. } => status::status_of_all(OpenSite::open_all(&site)?, json),
        CliCommand::Status { queues, json, .. } => {
            status::status(OpenSite::open_read_only(&site, &queues)?, &queues, json)
        }
        CliCommand::List(args) => list::list(OpenSite::open_read_only(&site, &args.queues)?, &args),
        CliCommand::Results(args) => results::results(OpenSite::open_read_only(&site, &args.queues)?, &args),
        CliCommand::Show(args) => {
            let mut site = OpenSite::open_read_only(&site, args.job.as_slice())?.with_removed_jobs();
            let job = site.select_one_job(args.job.as_slice(), &args.filter)?;
            if args.env {
                show_environment::show(site, &job, args.reveal, args.json)
            } else {
                show::show(site, &job, args.json)
            }
        }
        CliCommand::Grep(args) => {
            let color = uses_color(site.color, &safe_output::raw_stdout());
            if site.verbose > 0 {
                return Err(CliError::Usage(
                    "`-v` is `--verbose`: the lines that don't match can't be printed".to_owned(),
                ));
            }
            grep::grep(OpenSite::open_read_only(&site, &args.names)?, &args, color)
        }
        CliCommand::Report(args) => report::report(OpenSite::open_read_only(&site, &args.queues)?, &args),
        CliCommand::History(args) => history::history(OpenSite::open_read_only(&site, &args.names)?, &args),
        CliCommand::Metrics(args) => metrics::metrics(OpenSite::open_read_only(&site, &args.queues)?, &args),
        CliCommand::Explain(args) => {
            let mut site = OpenSite::open_read_only(&site, args.job.as_slice())?;
            let job = site.select_one_job(args.job.as_slice(), &args.filter)?;
            explain::explain(site, &job, args.json)
        }
        CliCommand::Log(args) => {
            let color = uses_color(site.color, &safe_output::raw_stdout());
            log::print(OpenSite::open_read_only(&site, &args.names)?.with_removed_jobs(), &args, color)
        }
    }
}

/// Prints the help, the version or an error of the arguments.
fn print_clap_message(message: &clap::Error) -> Result<ExitStatus, CliError> {
    if message.use_stderr() {
        let is_unknown = matches!(message.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
        let word = is_unknown.then(|| command_hints::unknown_command(std::env::args_os())).flatten();
        if let Some(hint) = word.as_ref().and_then(|(word, names)| command_hints::suggestion(word, names)) {
            return Err(CliError::Usage(hint));
        }
        // A queue has no arguments.
        if let (ErrorKind::UnknownArgument, Some((word, _)), Some(ContextValue::String(argument))) =
            (message.kind(), word, message.get(ContextKind::InvalidArg))
            && !argument.starts_with('-')
        {
            return Err(CliError::Usage(format!(
                "unexpected argument '{argument}': {word:?} is not a command; `setlist help` lists them"
            )));
        }
        // Standard error may be closed; the exit status still reports the error.
        let color = uses_color(ColorChoice::Auto, &safe_output::raw_stderr());
        let text = message.render();
        let text = if color { text.ansi().to_string() } else { text.to_string() };
        safe_output::print_error(text.trim_end(), color);
        return Ok(ExitStatus::Usage);
    }
    // `clap::Error::print` ignores a full disk.
    let text = message.render();
    let color = uses_color(ColorChoice::Auto, &safe_output::raw_stdout());
    let text = if color { text.ansi().to_string() } else { text.to_string() };
    let mut out = safe_output::coloured_stdout(color);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitStatus::Success)
}

/// Whether to use colour on this stream.
fn uses_color(choice: ColorChoice, stream: &impl IsTerminal) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}
