//! `setlist store copy`: copies a site with its history between a folder and a server.

use std::io::Write;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::exit::ExitStatus;
use super::safe_output;
use crate::site::{StoreLocation, copy_to_folder, copy_to_server};
use crate::store::{CopyError, CopyReport, ServerAddress, StoreError};
use crate::text;

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copy a site with its history, and compare the copy. The source is not changed.
    #[command(after_help = super::examples::STORE_COPY)]
    Copy(CopyArgs),
}

#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// The folder of a `jobs.yaml` or of its state, or `postgres://USER@HOST/DATABASE?site=NAME`.
    #[arg(value_name = "FROM")]
    from: String,
    /// The same; it must not hold a site yet.
    #[arg(value_name = "TO")]
    to: String,
}

pub(super) fn run(command: &StoreCommand) -> Result<ExitStatus, CliError> {
    let StoreCommand::Copy(CopyArgs { from, to }) = command;
    let copied = match (location(from)?, location(to)?) {
        (StoreLocation::Folder(from), StoreLocation::Server(to)) => copy_to_server(&from, &to),
        (StoreLocation::Server(from), StoreLocation::Folder(to)) => copy_to_folder(&from, &to),
        _ => {
            let reason = format!("one of {from} and {to} has to be a folder, and the other a server");
            return Err(CliError::Usage(text::sanitize_line(&reason)));
        }
    };
    let CopyReport { jobs, runs, output, hash } = copied.map_err(|error| match error {
        CopyError::Store(StoreError::NotEmpty { .. } | StoreError::NothingToCopy { .. }) => {
            CliError::Usage(error.to_string())
        }
        CopyError::Store(error) => error.into(),
        error => CliError::Usage(format!("{}: {error}", text::sanitize_line(from))),
    })?;
    let (jobs, runs, output) = (text::count_noun(jobs, "job"), text::count_noun(runs, "run"), text::bytes(output));
    let to = text::sanitize_line(to);
    writeln!(safe_output::stdout(), "copied {jobs}, {runs} and {output} of output to {to}; compared: {hash:016x}")?;
    Ok(ExitStatus::Success)
}

fn location(text: &str) -> Result<StoreLocation, CliError> {
    if text.contains("://") {
        let address = ServerAddress::parse(text).map_err(|error| CliError::Usage(error.to_string()))?;
        return Ok(StoreLocation::Server(Box::new(address)));
    }
    let folder = std::path::absolute(text).map_err(|error| CliError::Usage(format!("{text}: {error}")))?;
    Ok(StoreLocation::of_folder(folder))
}
