//! `setlist worker`: runs jobs for whoever asks.

use std::io::{self, IsTerminal};
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::filter::LevelFilter;

use super::args::SiteArgs;
use super::site::OpenSite;
use super::{CliError, Exit, signals};
use crate::runner;
use crate::store::Folder;
use crate::worker::Shift;

/// Works in the foreground until there is nothing to do, or until a signal comes.
pub(super) fn work(args: &SiteArgs, names: &[String], exit_when_idle: bool, detached: bool) -> Result<Exit, CliError> {
    if detached {
        // Fails only where this process leads a group already, and then nothing binds it to the terminal either.
        let _ = rustix::process::setsid();
        // It may be a job that has hired it.
        runner::release();
    }
    let mut site = OpenSite::nearest(args)?;
    diary(&site.office.state, args.verbose, detached)?;
    if let Some(error) = &site.broken {
        tracing::warn!(%error, "jobs.yaml has errors; the last good one stays in force");
    }
    let queues =
        if names.is_empty() { None } else { Some(site.ledger().and_then(|ledger| site.queues(&ledger, names))?) };
    let shift = Shift::begin(site.store, site.office, queues, !exit_when_idle)?;
    let interrupted = signals::watch(shift.leave()).context("signals can't be watched")?;
    tracing::info!(pid = std::process::id(), "ready");
    shift.work(|_, recorded, _| tracing::debug!(seq = recorded.seq, event = ?recorded.event))?;
    tracing::info!("done");
    Ok(if interrupted.yes() { Exit::Interrupted } else { Exit::Fine })
}

/// A detached worker writes to the site's diary, one in the foreground to standard error.
fn diary(state: &Folder, verbose: u8, detached: bool) -> Result<(), CliError> {
    let level = [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE][usize::from(verbose.min(2))];
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    // That a line can't be written, to a terminal that has gone say, must not end the work.
    let subscriber = subscriber.log_internal_errors(false);
    if detached {
        subscriber.with_ansi(false).with_writer(Mutex::new(state.open_diary()?)).init();
    } else {
        subscriber.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init();
    }
    Ok(())
}
