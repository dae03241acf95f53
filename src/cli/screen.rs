//! `setlist [QUEUE]`: the screen.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use chrono::Local;

use super::args::AppearanceArgs;
use super::command_hints;
use super::error::CliError;
use super::exit::ExitStatus;
use super::file_commands;
use super::open_site::OpenSite;
use super::safe_output;
use super::site_args::{ColorChoice, SiteArgs};
use crate::definition;
use crate::model::QueueId;
use crate::store::Registry;
use crate::text;
use crate::tui::config::Config;
use crate::tui::effect::ExitReason;
use crate::tui::first_hints::FirstHints;
use crate::tui::theme::{Appearance, AppearanceOptions, Palette, ThemeName};
use crate::tui::{self, ScreenParams, ScreenSettings, TuiError};

/// Opens the screen on the nearest site.
pub(super) fn open(args: &SiteArgs, appearance: AppearanceArgs, queue: Option<String>) -> Result<ExitStatus, CliError> {
    if let Some(word) = queue.as_deref().filter(|word| word.contains('/')) {
        let hint = format!(
            "{word:?} is not a queue; of a job, `setlist show {word}` shows it and `setlist retry {word}` runs it"
        );
        return Err(CliError::Usage(text::sanitize_line(&hint)));
    }
    let is_linear = appearance.plain;
    let is_dumb = !is_linear && env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !safe_output::is_stdout_terminal() || !io::stdin().is_terminal() {
        if let Some(hint) = queue.as_deref().and_then(|word| command_hints::suggestion(word, &[])) {
            return Err(CliError::Usage(hint));
        }
        let hint = "the screen needs a terminal; use `setlist status`, `list` or `process` instead";
        // It may be a queue, which the screen would show.
        let not_a_command = |queue: String| format!("; {queue:?} is not a command (`setlist help` lists them)");
        return Err(CliError::Usage(hint.to_owned() + &queue.map(not_a_command).unwrap_or_default()));
    }
    if is_dumb {
        let hint = "the screen can't be drawn here: TERM is `dumb`; use `setlist --plain`, `status`, `list` or `process` instead";
        return Err(CliError::Usage(hint.to_owned()));
    }
    let config = definition::user_config_file().map_or_else(|| Ok(Config::default()), |path| Config::read(&path))?;
    let appearance = resolve_appearance(args.color, appearance, config.appearance)?;
    let mut site = match OpenSite::open(args, queue.as_slice()) {
        Err(CliError::NoFile(here)) if queue.is_none() && accepts_starter(&here)? => {
            file_commands::write_starter(&here.join(definition::FILE_NAME))?;
            OpenSite::open(args, &[])?
        }
        opened => opened?,
    };
    if let Some(queue) = &queue {
        reject_mistyped_command(&mut site, queue)?;
    }
    let settings = ScreenSettings {
        appearance,
        site_name: display_path(site.paths.site_dir()),
        file: site.paths.file.clone(),
        keymap: config.keymap,
        notifications: config.notify,
        captures_mouse: config.mouse,
        hints: FirstHints::remembered_in(Registry::user_state_dir().map(|dir| dir.join("used-hints"))),
        local: |at| at.with_timezone(&Local).naive_local(),
    };
    let summary = tui::run(ScreenParams {
        store: site.store,
        paths: site.paths,
        queue: queue.map(QueueId::from),
        file_error: site.file_error.map(Into::into),
        settings,
        is_linear,
    })?;
    if summary.reason != ExitReason::Quit {
        return Ok(ExitStatus::Interrupted);
    }
    if let Some(message) = summary.running_jobs_message() {
        writeln!(safe_output::stdout(), "{message}")?;
    }
    Ok(ExitStatus::Success)
}

/// Offers to write an example of a `jobs.yaml`. Enter means yes, the end of the input no.
fn accepts_starter(here: &Path) -> Result<bool, CliError> {
    let mut out = safe_output::stdout();
    writeln!(out, "There is no {} in {} or above it.", definition::FILE_NAME, display_path(here))?;
    write!(out, "Write an example with a few harmless jobs there and open it? [Y/n] ")?;
    out.flush()?;
    let mut answer = String::new();
    let is_open = io::stdin().read_line(&mut answer)? > 0;
    Ok(is_open && matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"))
}

/// An unknown queue is created, unless its name looks like a mistyped command.
fn reject_mistyped_command(site: &mut OpenSite, queue: &str) -> Result<(), CliError> {
    if site.store.queues()?.iter().any(|known| known.id.as_str() == queue) {
        return Ok(());
    }
    command_hints::suggestion(queue, &[]).map_or(Ok(()), |hint| Err(CliError::Usage(hint)))
}

impl From<TuiError> for CliError {
    fn from(error: TuiError) -> Self {
        match error {
            TuiError::Store(error) => Self::Store(error),
            TuiError::Terminal(_) => Self::Other(error.into()),
        }
    }
}

/// The appearance from the arguments, the environment and the settings.
fn resolve_appearance(
    color: ColorChoice,
    args: AppearanceArgs,
    settings: AppearanceOptions,
) -> Result<Appearance, CliError> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let parse_theme = |name: OsString| match name.to_string_lossy().parse() {
        Ok(theme) => Ok(theme),
        Err(why) => Err(CliError::Usage(format!("SETLIST_THEME={}: {why}", name.to_string_lossy()))),
    };
    let requested = match args.theme {
        Some(theme) => Some(theme),
        None => variable("SETLIST_THEME").map(parse_theme).transpose()?,
    };
    let theme = match color {
        ColorChoice::Never => ThemeName::Palette(Palette::Mono),
        ColorChoice::Auto | ColorChoice::Always => requested.unwrap_or(settings.theme),
    };
    let ignored = if color == ColorChoice::Always { "NO_COLOR" } else { "" };
    let options = AppearanceOptions { theme, ascii: args.ascii.then_some(true).or(settings.ascii), ..settings };
    Ok(Appearance::resolve(options, |name| variable(name).filter(|_| name != ignored)))
}

/// Displays a path relative to the home folder: `~/src/app`.
fn display_path(path: &Path) -> String {
    let home = env::var_os("HOME").filter(|home: &OsString| !home.is_empty());
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) if below.as_os_str().is_empty() => "~".to_owned(),
        Some(below) => format!("~/{}", below.display()),
        None => path.display().to_string(),
    }
}
