//! `setlist man`: manual pages, generated from the same arguments as `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::args::Cli;
use super::error::CliError;
use super::exit::ExitStatus;
use super::help_topics::{self, HelpTopic};
use super::safe_output;

/// Prints the page of the program, of a command or of a help topic, or writes all pages into a folder.
pub(super) fn print(name: Option<&str>, folder: Option<&Path>) -> Result<ExitStatus, CliError> {
    // Building sets names such as `setlist-log`, and adds the global options.
    let mut cli = Cli::command();
    cli.build();
    if let Some(folder) = folder {
        write_pages(folder).with_context(|| format!("cannot write the pages to {}", folder.display()))?;
        return Ok(ExitStatus::Success);
    }
    if let Some(topic) = name.and_then(help_topics::find) {
        safe_output::raw_stdout().write_all(topic_page(topic).as_bytes())?;
        return Ok(ExitStatus::Success);
    }
    let page = match name {
        None => cli,
        Some(name) => {
            let found = cli.get_subcommands().find(|known| known.get_name() == name && !known.is_hide_set());
            let found = found.ok_or_else(|| CliError::Usage(format!("there is no command or help topic {name:?}")))?;
            found.clone()
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text)?;
    safe_output::raw_stdout().write_all(&text)?;
    Ok(ExitStatus::Success)
}

fn write_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    // Section 7 holds what is not a command.
    let section = match folder.file_name() {
        Some(name) if name == "man1" => folder.with_file_name("man7"),
        _ => folder.to_owned(),
    };
    fs::create_dir_all(&section)?;
    for topic in help_topics::all() {
        fs::write(section.join(format!("setlist-{}.7", topic.name)), topic_page(topic))?;
    }
    Ok(())
}

/// The manual page of a help topic.
fn topic_page(topic: &HelpTopic) -> String {
    let mut page = Roff::new();
    page.control("TH", [&*format!("setlist-{}", topic.name), "7"]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("setlist-{} - {}", topic.name, topic.title()))]);
    page.control("SH", ["DESCRIPTION"]);
    page.control("nf", []);
    page.text([roman(topic.text())]);
    page.control("fi", []);
    page.to_roff()
}
