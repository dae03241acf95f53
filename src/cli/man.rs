//! `setlist man`: manual pages, generated from the same arguments as `--help`.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use super::args::Cli;
use super::error::CliError;
use super::exit::ExitStatus;

/// Prints the page of the program or of a command, or writes all pages into a folder.
pub(super) fn print(command: Option<&str>, folder: Option<&Path>) -> Result<ExitStatus, CliError> {
    // Building sets names such as `setlist-log`, and adds the global options.
    let mut cli = Cli::command();
    cli.build();
    if let Some(folder) = folder {
        let write_pages =
            || std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
        write_pages().with_context(|| format!("cannot write the pages to {}", folder.display()))?;
        return Ok(ExitStatus::Success);
    }
    let page = match command {
        None => cli,
        Some(name) => {
            let found = cli.get_subcommands().find(|known| known.get_name() == name && !known.is_hide_set());
            let found = found.ok_or_else(|| CliError::Usage(format!("there is no command {name:?}")))?;
            found.clone()
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text)?;
    io::stdout().lock().write_all(&text)?;
    Ok(ExitStatus::Success)
}
