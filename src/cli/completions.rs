//! Completions: the shell asks the program itself, which knows the queues and jobs of the site.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{CommandFactory, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use super::args::{Cli, SiteArgs};
use super::{CliError, Exit, site};
use crate::definition;
use crate::model::SiteState;
use crate::site::open_store;
use crate::store::StateDir;

/// In this variable a shell says who it is when it asks for completions.
const ASKED: &str = "SETLIST_COMPLETE";

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
}

/// Answers a shell that asks for completions, and ends this process; returns if none does.
pub(super) fn answer() {
    CompleteEnv::with_factory(Cli::command).var(ASKED).bin("setlist").completer("setlist").complete();
}

/// Prints what has a shell ask.
pub(super) fn print(shell: Shell) -> Result<Exit, CliError> {
    let shells = Shells::builtins();
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Elvish => "elvish",
    };
    let mut out = io::stdout().lock();
    if let Some(completer) = shells.completer(name) {
        completer.write_registration(ASKED, "setlist", "setlist", "setlist", &mut out)?;
    }
    if let Shell::Zsh = shell {
        // As a file in zsh's search path it is read when it is first needed, and has to complete at once.
        writeln!(out, "\n[[ ${{funcstack[1]}} = _setlist ]] && _clap_dynamic_completer_setlist \"$@\"")?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// The queues that can be named.
pub(super) fn queues() -> Vec<CompletionCandidate> {
    names().into_iter().filter(|name| !name.is_job).map(Name::candidate).collect()
}

/// The jobs that can be named.
pub(super) fn jobs() -> Vec<CompletionCandidate> {
    names().into_iter().filter(|name| name.is_job).map(Name::candidate).collect()
}

/// Both.
pub(super) fn targets() -> Vec<CompletionCandidate> {
    names().into_iter().map(Name::candidate).collect()
}

/// A queue or job, with what people call it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    is_job: bool,
    text: String,
    title: String,
}

impl Name {
    fn candidate(self) -> CompletionCandidate {
        let title = (!self.title.is_empty() && self.title != self.text).then(|| self.title.into());
        CompletionCandidate::new(self.text).help(title)
    }
}

/// What can be named here. Nothing is made or changed for it, and what can't be read has no names.
fn names() -> BTreeSet<Name> {
    let args = asked_for();
    let files = site::sites(&args).unwrap_or_default();
    let files = files.into_iter().filter(|file| args.file.is_some() || site::stranger(file).is_none());
    let mut names = BTreeSet::new();
    for file in files {
        let state = args.state.clone().map_or_else(|| StateDir::beside(&file), StateDir::new);
        let site_state = state.path().join("state.db").exists().then(|| open_store(&state).ok()?.load().ok()).flatten();
        match site_state {
            Some(site_state) => of_ledger(&site_state, &mut names),
            None => of_file(&file, &mut names),
        }
    }
    names
}

fn of_ledger(site_state: &SiteState, names: &mut BTreeSet<Name>) {
    for (id, queue) in site_state.queues() {
        names.insert(Name { is_job: false, text: id.to_string(), title: queue.settings.title.clone() });
    }
    for job in site_state.jobs().filter(|job| job.name().is_some()) {
        names.insert(Name { is_job: true, text: job.path(), title: job.title().to_owned() });
    }
}

fn of_file(file: &std::path::Path, names: &mut BTreeSet<Name>) {
    let Ok(plan) = definition::read(file) else { return };
    for queue in plan.queues {
        for job in &queue.jobs {
            if let Some(name) = &job.name {
                let text = format!("{}/{name}", queue.id);
                names.insert(Name { is_job: true, text, title: job.title.clone() });
            }
        }
        names.insert(Name { is_job: false, text: queue.id.to_string(), title: queue.settings.title });
    }
}

/// The site options on the line that is being completed, which may not be a whole one yet.
fn asked_for() -> SiteArgs {
    let words: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(2).collect();
    let value = |long: &str, short: &str| {
        let pair = words.windows(2).find(|pair| pair[0] == long || pair[0] == short).map(|pair| pair[1].clone());
        pair.or_else(|| words.iter().find_map(|word| Some(word.strip_prefix(long)?.strip_prefix('=')?.to_owned())))
    };
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    SiteArgs {
        file: value("--file", "-f").map(PathBuf::from).or_else(|| variable("SETLIST_FILE")),
        state: value("--state", "--state-dir").map(PathBuf::from).or_else(|| variable("SETLIST_STATE")),
        ..SiteArgs::default()
    }
}
