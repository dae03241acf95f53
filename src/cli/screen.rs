//! `setlist [QUEUE]`: the screen.

use std::io::{self, IsTerminal};

use anyhow::Context;

use super::args::{SiteArgs, When};
use super::site::OpenSite;
use super::{CliError, Exit};
use crate::store::Sqlite;
use crate::{tui, worker};

/// Opens the screen on the nearest site.
pub(super) fn open(args: &SiteArgs, queue: Option<String>) -> Result<Exit, CliError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let instead = "the screen needs a terminal; use `setlist status`, `list` or `process` here";
        return Err(CliError::Usage(instead.to_owned()));
    }
    let site = OpenSite::nearest(args)?;
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let (office, mut second) = (site.office.clone(), Sqlite::open(&site.office.state)?);
    let hire = move || worker::hire(&mut second, &office, &program).map_err(|error| error.to_string());
    todo!()
}
