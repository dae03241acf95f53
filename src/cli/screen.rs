//! `setlist [QUEUE]`: the screen.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, SiteArgs, TasteArgs, When};
use super::site::OpenSite;
use super::{CliError, Exit};
use crate::definition;
use crate::model::QueueId;
use crate::tui::config::Config;
use crate::tui::effect::ExitReason;
use crate::tui::theme::{Appearance, AppearanceOptions, Palette, ThemeName};
use crate::tui::{self, ScreenOptions, TuiError};

/// Opens the screen on the nearest site.
pub(super) fn open(args: &SiteArgs, taste: TasteArgs, queue: Option<String>) -> Result<Exit, CliError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let instead = "the screen needs a terminal; use `setlist status`, `list` or `process` here";
        return Err(CliError::Usage(instead.to_owned()));
    }
    let config = definition::user_config_file().map_or_else(|| Ok(Config::default()), |path| Config::read(&path))?;
    let look = look(args.color, taste, config.appearance)?;
    let mut site = OpenSite::with(args, queue.as_slice())?;
    if let Some(queue) = &queue {
        refuse_slip(&mut site, queue)?;
    }
    let left = tui::run(ScreenOptions {
        store: site.store,
        site_name: name(site.context.site_dir()),
        context: site.context,
        queue: queue.map(QueueId::from),
        file_error: site.broken.map(Into::into),
        appearance: look,
        keymap: config.keymap,
        notifications: config.notify,
        captures_mouse: config.mouse,
    })?;
    if left.reason != ExitReason::Quit {
        return Ok(Exit::Interrupted);
    }
    if let Some(farewell) = left.running_jobs_message() {
        writeln!(io::stdout(), "{farewell}")?;
    }
    Ok(Exit::Fine)
}

/// A queue that isn't there is created, but not one that is named like a command with a letter wrong.
fn refuse_slip(site: &mut OpenSite, queue: &str) -> Result<(), CliError> {
    if site.store.queues()?.iter().any(|known| known.id.as_str() == queue) {
        return Ok(());
    }
    let cli = Cli::command();
    let near = |name: &&str| strsim::damerau_levenshtein(queue, name) == 1 || strsim::jaro_winkler(queue, name) > 0.9;
    match cli.get_subcommands().map(clap::Command::get_name).find(near) {
        Some(name) => Err(CliError::Usage(format!(
            "there is no queue {queue:?}, nor such a command; did you mean `setlist {name}`?"
        ))),
        None => Ok(()),
    }
}

impl From<TuiError> for CliError {
    fn from(error: TuiError) -> Self {
        match error {
            TuiError::Store(error) => Self::Store(error),
            TuiError::Terminal(_) => Self::Other(error.into()),
        }
    }
}

/// Colours and signs as they were asked for, else as they suit the environment.
fn look(when: When, taste: TasteArgs, settings: AppearanceOptions) -> Result<Appearance, CliError> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let named = |name: OsString| match name.to_string_lossy().parse() {
        Ok(theme) => Ok(theme),
        Err(why) => Err(CliError::Usage(format!("SETLIST_THEME={}: {why}", name.to_string_lossy()))),
    };
    let asked = match taste.theme {
        Some(theme) => Some(theme),
        None => variable("SETLIST_THEME").map(named).transpose()?,
    };
    let theme = match when {
        When::Never => ThemeName::Palette(Palette::Mono),
        When::Auto | When::Always => asked.unwrap_or(settings.theme),
    };
    let ignored = if when == When::Always { "NO_COLOR" } else { "" };
    let taste = AppearanceOptions { theme, ascii: taste.ascii.then_some(true).or(settings.ascii) };
    Ok(Appearance::resolve(taste, |name| variable(name).filter(|_| name != ignored)))
}

/// The site's folder as one would type it: `~/src/app`.
fn name(home: &Path) -> String {
    let own = env::var_os("HOME").filter(|own: &OsString| !own.is_empty());
    match own.and_then(|own| home.strip_prefix(own).ok()) {
        Some(below) if below.as_os_str().is_empty() => "~".to_owned(),
        Some(below) => format!("~/{}", below.display()),
        None => home.display().to_string(),
    }
}
