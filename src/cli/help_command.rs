//! `setlist help`: the help of the program, of a command or of a topic.

use std::io::Write;

use clap::{Command, CommandFactory};

use super::args::Cli;
use super::command_hints;
use super::error::CliError;
use super::exit::ExitStatus;
use super::help_topics;
use super::safe_output;

/// Prints the help of a command (`store copy` is one) or topic, or the general help with a list of topics.
pub(super) fn print(words: &[String]) -> Result<ExitStatus, CliError> {
    let mut cli = Cli::command();
    cli.build();
    let name = words.join(" ");
    let text = if words.is_empty() {
        format!("{}\n{}", cli.render_long_help(), list_topics())
    } else {
        match (help_topics::find(&name), find_command(&mut cli, words)) {
            (Some(topic), _) => topic.text(safe_output::stdout_width()),
            (None, Some(command)) => command.render_long_help().to_string(),
            (None, None) => help_topics::about(&name).ok_or_else(|| unknown_topic(&name))?,
        }
    };
    let mut out = safe_output::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitStatus::Success)
}

fn find_command<'c>(cli: &'c mut Command, words: &[String]) -> Option<&'c mut Command> {
    words.iter().try_fold(cli, |command, word| command.find_subcommand_mut(word))
}

fn list_topics() -> String {
    let topics = help_topics::all().iter().map(|topic| format!("  {:<13} {}\n", topic.name, topic.title()));
    let fields = "`setlist help FIELD` explains a field of jobs.yaml, such as `confirm`.";
    format!("{fields}\n\nTopics (`setlist help TOPIC`):\n{}", topics.collect::<String>())
}

fn unknown_topic(name: &str) -> CliError {
    let names: Vec<&str> = help_topics::all().iter().map(|topic| topic.name).collect();
    let near = names.iter().copied().find(|topic| strsim::jaro_winkler(name, topic) > 0.8);
    let suggest = |topic: &str| format!("; did you mean `setlist help {topic}`?");
    let hint = near.map(suggest).or_else(|| command_hints::suggestion(name, &[]).map(|hint| format!("; {hint}")));
    let hint = hint.or_else(|| help_topics::closest_name(name).map(|name| suggest(&name)));
    let hint = hint.unwrap_or_else(|| format!("; the topics are {}", names.join(", ")));
    CliError::Usage(format!("there is no command or help topic {name:?}{hint}"))
}
