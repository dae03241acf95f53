//! `setlist man`: manual pages, generated from the same arguments as `--help`.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::{ArgAction, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::args::Cli;
use super::error::CliError;
use super::exit::ExitStatus;
use super::help_blocks::Block;
use super::help_topics::{self, HelpTopic};
use super::safe_output;

/// What is at the bottom and at the top of each page.
const SOURCE: &str = concat!("setlist ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "Setlist manual";

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
    safe_output::raw_stdout().write_all(command_page(page)?.as_bytes())?;
    Ok(ExitStatus::Success)
}

fn write_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    write_command_pages(&cli, folder)?;
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

/// Writes the pages of a command and of those below it.
fn write_command_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_command_pages(below, folder)?;
    }
    let file = folder.join(Man::new(command.clone()).get_filename());
    fs::write(file, command_page(command.clone())?)
}

/// The manual page of a command.
fn command_page(command: Command) -> io::Result<String> {
    let after_help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let (synopsis, has_subcommands) = (synopsis(&command), command.get_subcommands().any(|below| !below.is_hide_set()));
    let man = Man::new(command).source(SOURCE).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend_from_slice(synopsis.as_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = bold_names(&String::from_utf8_lossy(&page));
    if let Some(after_help) = after_help {
        page += &after_help_sections(&after_help);
    }
    Ok(with_one_preamble(&page))
}

/// Each section defines how apostrophes are written: once is enough.
fn with_one_preamble(page: &str) -> String {
    let mut known = HashSet::new();
    let is_preamble = |line: &str| line.starts_with(".ie ") || line.starts_with(".el ");
    let kept = page.lines().filter(|line| !is_preamble(line) || known.insert(*line));
    kept.fold(String::with_capacity(page.len()), |page, line| page + line + "\n")
}

/// How a command is typed, with the values of its options.
fn synopsis(command: &Command) -> String {
    let mut words = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
    let options = command.get_arguments().filter(|argument| !argument.is_positional());
    for argument in options.chain(command.get_positionals()).filter(|argument| !argument.is_hide_set()) {
        let names = argument.get_value_names().unwrap_or_default();
        let takes_values = argument.is_positional() || argument.get_action().takes_values();
        let name = match (argument.get_short(), argument.get_long()) {
            (_, Some(long)) => Some(format!("--{long}")),
            (Some(short), None) => Some(format!("-{short}")),
            (None, None) => None,
        };
        let values = if takes_values && !names.is_empty() {
            names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        } else if argument.is_positional() {
            argument.get_id().as_str().to_uppercase()
        } else {
            String::new()
        };
        let is_many = argument.get_num_args().is_some_and(|range| range.max_values() > 1)
            || matches!(argument.get_action(), ArgAction::Append | ArgAction::Count);
        let is_required = argument.is_required_set();
        words.push(roman(if is_required { " " } else { " [" }));
        words.extend(name.as_ref().map(|name| bold(name.as_str())));
        words.push(roman(if name.is_some() && !values.is_empty() { " " } else { "" }));
        words.push(italic(values));
        words.push(roman(match (is_required, is_many) {
            (true, false) => "",
            (true, true) => "...",
            (false, false) => "]",
            (false, true) => "]...",
        }));
    }
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        words.extend([roman(" ["), italic("COMMAND"), roman("]")]);
    }
    let mut page = Roff::new();
    page.control("SH", ["SYNOPSIS"]);
    page.text(words);
    page.render()
}

/// The sections that the text below the options is: the exit status, examples, and notes.
fn after_help_sections(text: &str) -> String {
    let mut page = Roff::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        if let Some(status) = paragraph.strip_prefix("Exit status: ") {
            page.control("SH", ["EXIT STATUS"]);
            page.text(inline(&status.replace('\n', " ")));
        } else if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
            page.control("SH", ["EXAMPLES"]);
            add_lines(examples.lines(), &mut page);
        } else {
            page.control("SH", ["NOTES"]);
            add_lines(paragraph.lines(), &mut page);
        }
    }
    page.render()
}

/// Adds lines as they are.
fn add_lines<'l>(lines: impl Iterator<Item = &'l str>, page: &mut Roff) {
    page.control("nf", []);
    for line in lines {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

/// Makes what is in backticks bold, in the lines with text of a page.
fn bold_names(page: &str) -> String {
    let mut result = String::with_capacity(page.len());
    for line in page.lines() {
        let parts: Vec<&str> = line.split('`').collect();
        if line.starts_with('.') || parts.len().is_multiple_of(2) {
            result += line;
        } else {
            for (nth, part) in parts.iter().enumerate() {
                result += part;
                result += match nth {
                    _ if nth + 1 == parts.len() => "",
                    _ if nth.is_multiple_of(2) => "\\fB",
                    _ => "\\fR",
                };
            }
        }
        result.push('\n');
    }
    result
}

/// Text in which what is in backticks is bold.
fn inline(text: &str) -> Vec<Inline> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return vec![roman(text)];
    }
    parts.iter().enumerate().map(|(nth, part)| if nth.is_multiple_of(2) { roman(*part) } else { bold(*part) }).collect()
}

/// The manual page of a help topic.
fn topic_page(topic: &HelpTopic) -> String {
    let mut page = Roff::new();
    page.control("TH", [&*format!("setlist-{}", topic.name), "7", "", SOURCE, MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("setlist-{} - {}", topic.name, topic.title()))]);
    page.control("SH", ["DESCRIPTION"]);
    for block in topic.blocks() {
        match block {
            Block::Title(_) | Block::Gap => {}
            Block::Heading(heading) => drop(page.control("SH", [&*heading.replace('`', "")])),
            Block::Paragraph(text) => {
                page.control("PP", []);
                page.text(inline(&text));
            }
            Block::Item(text) => {
                page.control("IP", ["\\(bu", "2"]);
                page.text(inline(&text));
            }
            Block::Example(lines) => {
                page.control("PP", []);
                page.control("RS", ["4"]);
                add_lines(lines.into_iter(), &mut page);
                page.control("RE", []);
            }
            Block::Table(rows) => add_table(&rows, &mut page),
        }
    }
    page.render()
}

/// Adds a table: the last cell of each row below the others.
fn add_table(rows: &[Vec<String>], page: &mut Roff) {
    for row in rows.iter().skip(1) {
        let Some((last, others)) = row.split_last() else { continue };
        page.control("TP", []);
        let mut head = Vec::new();
        for cell in others {
            head.extend((!head.is_empty()).then(|| roman("   ")));
            head.extend(inline(cell));
        }
        page.text(head);
        page.text(inline(last));
    }
}
