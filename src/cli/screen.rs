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
use crate::store::{Sqlite, Store};
use crate::tui::config::Config;
use crate::tui::link::{self, Tended};
use crate::tui::theme::{Look, Palette, Taste, ThemeName};
use crate::tui::wake::Why;
use crate::tui::{self, Options, TuiError};
use crate::worker::{self, Office, Succession, WorkerError};

/// Opens the screen on the nearest site.
pub(super) fn open(args: &SiteArgs, taste: TasteArgs, queue: Option<String>) -> Result<Exit, CliError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let instead = "the screen needs a terminal; use `setlist status`, `list` or `process` here";
        return Err(CliError::Usage(instead.to_owned()));
    }
    let config = definition::own_config().map_or_else(|| Ok(Config::default()), |path| Config::read(&path))?;
    let look = look(args.color, taste, config.taste)?;
    let mut site = OpenSite::with(args, queue.as_slice())?;
    if let Some(queue) = &queue {
        refuse_slip(&mut site, queue)?;
    }
    let (office, mut second) = (site.office.clone(), Sqlite::open(&site.office.state)?);
    let hire = move || worker::hire(&mut second, &office).map_err(|error| error.to_string());
    let (office, mut third) = (site.office.clone(), None);
    let tend = move |died| tend(&mut third, &office, died).map_err(|error| error.to_string());
    let left = tui::run(Options {
        store: site.store,
        site_name: name(site.office.home()),
        file: site.office.file,
        state: site.office.state,
        queue: queue.map(QueueId::from),
        broken: site.broken.map(Into::into),
        look,
        keymap: config.keymap,
        notify: config.notify,
        mouse: config.mouse,
        hire: Box::new(hire),
        tend: Box::new(tend),
    })?;
    if left.why != Why::Asked {
        return Ok(Exit::Interrupted);
    }
    if let Some(farewell) = left.farewell() {
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

/// Ends the runs of workers that have died, and has somebody go on with their work if one did while the screen was open:
/// opening it starts nothing. The store is opened when somebody first looks: the first frame comes before.
fn tend(store: &mut Option<Sqlite>, office: &Office, died: bool) -> Result<Tended, WorkerError> {
    let store = match store {
        Some(store) => store,
        None => store.insert(Sqlite::open(&office.state)?),
    };
    let buried = worker::bury_the_dead(store, office)?;
    let work = if died || buried.workers > 0 { worker::replace(store, office)? } else { Succession::Settled };
    let work = match work {
        Succession::Settled => link::Succession::Settled,
        Succession::Hired => link::Succession::Hired,
        Succession::Hopeless => link::Succession::Hopeless,
    };
    Ok(Tended { interrupted: buried.jobs, workers: !store.workers()?.is_empty(), work })
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
fn look(when: When, taste: TasteArgs, settings: Taste) -> Result<Look, CliError> {
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
        When::Never => ThemeName::Of(Palette::Mono),
        When::Auto | When::Always => asked.unwrap_or(settings.theme),
    };
    let ignored = if when == When::Always { "NO_COLOR" } else { "" };
    let taste = Taste { theme, ascii: taste.ascii.then_some(true).or(settings.ascii) };
    Ok(Look::of(taste, |name| variable(name).filter(|_| name != ignored)))
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
