//! Suggestions for a command that doesn't exist: a typo, or the name of the same thing in another tool.

use std::ffi::OsStr;

use clap::CommandFactory;

use super::args::Cli;
use crate::text;

/// Names that other tools use, and what to type here.
const ALIASES: [(&str, &str); 53] = [
    ("abort", "cancel"),
    ("accept", "approve"),
    ("attach", "log -f"),
    ("begin", "start"),
    ("bg", "start"),
    ("cat", "log"),
    ("confirm", "approve"),
    ("cron", "schedule"),
    ("continue", "resume"),
    ("create", "add"),
    ("delete", "remove"),
    ("del", "remove"),
    ("deny", "approve --refuse"),
    ("dequeue", "remove"),
    ("enqueue", "add"),
    ("exec", "run"),
    ("flush", "clear --finished"),
    ("follow", "log -f"),
    ("halt", "cancel"),
    ("hold", "pause"),
    ("info", "show"),
    ("inspect", "show"),
    ("jobs", "list"),
    ("kill", "cancel --kill"),
    ("launch", "start"),
    ("lint", "check"),
    ("logs", "log"),
    ("ls", "list"),
    ("mv", "move"),
    ("new", "init"),
    ("output", "log"),
    ("parallel", "set QUEUE parallel=N"),
    ("print", "log"),
    ("ps", "status"),
    ("purge", "clear --finished"),
    ("push", "add"),
    ("queue", "add"),
    ("queues", "status"),
    ("refuse", "approve --refuse"),
    ("reject", "approve --refuse"),
    ("rerun", "retry"),
    ("restart", "retry"),
    ("rm", "remove"),
    ("sh", "run"),
    ("stop", "cancel"),
    ("submit", "add"),
    ("tail", "log -f"),
    ("undo", "restore"),
    ("unremove", "restore"),
    ("unpause", "resume"),
    ("validate", "check"),
    ("watch", "log -f"),
    ("work", "worker"),
];

/// What to type instead of a word that is neither a command nor a queue, with the names that follow it; `None` if nothing is
/// close.
pub(super) fn suggestion(word: &str, names: &[String]) -> Option<String> {
    let cli = Cli::command();
    let commands: Vec<&str> =
        cli.get_subcommands().filter(|known| !known.is_hide_set()).map(clap::Command::get_name).collect();
    let alias = ALIASES.iter().find(|(name, _)| *name == word).map(|(_, command)| *command);
    let is_near = |name: &&&str| strsim::damerau_levenshtein(word, name) == 1 || strsim::jaro_winkler(word, name) > 0.9;
    let command = alias.or_else(|| commands.iter().find(is_near).copied())?;
    let has_names = !names.is_empty() && !command.contains("QUEUE");
    let names = if has_names { format!(" {}", text::shell_command(names)) } else { String::new() };
    Some(format!("{word:?} is not a command; did you mean `setlist {command}{names}`?"))
}

/// The first argument that is neither an option nor the value of one, unless it is a command. And what follows it, if that is
/// only names: options may mean something else.
pub(super) fn unknown_command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Option<(String, Vec<String>)> {
    let cli = Cli::command();
    let takes_value = |option: &str| {
        let mut known = cli.get_arguments();
        known.any(|arg| {
            let is_long = arg
                .get_long_and_visible_aliases()
                .is_some_and(|names| names.iter().any(|name| option == format!("--{name}")));
            let is_short = arg.get_short().is_some_and(|short| option == format!("-{short}"));
            (is_long || is_short) && arg.get_action().takes_values()
        })
    };
    let mut skip = false;
    let mut args = args.into_iter().skip(1);
    while let Some(arg) = args.next() {
        let arg = arg.as_ref().to_str()?;
        if std::mem::take(&mut skip) {
            continue;
        }
        if arg == "--" {
            return None;
        }
        if arg.starts_with('-') {
            skip = takes_value(arg);
            continue;
        }
        let word = cli.find_subcommand(arg).is_none().then(|| arg.to_owned())?;
        let names: Option<Vec<String>> = args.map(|arg| arg.as_ref().to_str().map(str::to_owned)).collect();
        let is_plain = |names: &Vec<String>| !names.iter().any(|name| name.starts_with('-'));
        return Some((word, names.filter(is_plain).unwrap_or_default()));
    }
    None
}
