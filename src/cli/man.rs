//! `setlist man`: the manual, made from the same arguments as `--help`.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use super::args::Cli;
use super::{CliError, Exit};

/// Prints the page of the program or of one of its commands, or writes all of them into a folder.
pub(super) fn print(command: Option<&str>, folder: Option<&Path>) -> Result<Exit, CliError> {
    // Commands have names such as `setlist-log`, and the global options, once they are built.
    let mut cli = Cli::command();
    cli.build();
    if let Some(folder) = folder {
        let written =
            || std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
        written().with_context(|| format!("the pages can't be written to {}", folder.display()))?;
        return Ok(Exit::Fine);
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
    Ok(Exit::Fine)
}
