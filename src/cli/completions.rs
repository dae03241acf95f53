//! `setlist completions`: shell completion, for which the shell runs this program.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::env::{CompleteEnv, Elvish, Fish, Shells, Zsh};

use super::args::{Cli, Shell};
use super::bash_completer::QuotingBash;
use super::error::CliError;
use super::exit::ExitStatus;
use super::safe_output;

/// The environment variable in which a shell passes its name when it asks for completions.
const SHELL_ENV: &str = "SETLIST_COMPLETE";

const SHELLS: Shells<'static> = Shells(&[&QuotingBash, &Zsh, &Fish, &Elvish]);

/// If a shell asks for completions, prints them and exits; otherwise returns.
pub(super) fn complete_and_exit() {
    CompleteEnv::with_factory(Cli::command)
        .shells(SHELLS)
        .var(SHELL_ENV)
        .bin("setlist")
        .completer("setlist")
        .complete();
}

/// Prints the script that registers completion in a shell.
pub(super) fn print(shell: Shell) -> Result<ExitStatus, CliError> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Elvish => "elvish",
    };
    let mut out = safe_output::raw_stdout();
    if let Some(completer) = SHELLS.completer(name) {
        completer.write_registration(SHELL_ENV, "setlist", "setlist", "setlist", &mut out)?;
    }
    if let Shell::Zsh = shell {
        // When zsh autoloads the file, it runs it as the completion function for the first time.
        writeln!(out, "\n[[ ${{funcstack[1]}} = _setlist ]] && _clap_dynamic_completer_setlist \"$@\"")?;
    }
    out.flush()?;
    Ok(ExitStatus::Success)
}
