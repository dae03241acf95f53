//! Arguments that every command takes: the site, colour and verbosity.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::store::ServerAddress;

/// Which site to use, and how to print.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SiteArgs {
    /// The jobs.yaml to use, instead of the nearest one.
    #[arg(short, long, global = true, value_name = "FILE", env = "SETLIST_FILE")]
    pub file: Option<PathBuf>,
    /// The folder of the state, instead of `.setlist` beside the file.
    #[arg(
        id = "state_dir",
        long = "state",
        alias = "state-dir",
        global = true,
        value_name = "DIR",
        env = "SETLIST_STATE"
    )]
    pub state: Option<PathBuf>,
    /// The server with the site, `postgres://USER@HOST/DATABASE?site=NAME`, instead of the database in the state folder.
    #[arg(long, global = true, value_name = "URL", env = "SETLIST_STORE", value_parser = ServerAddress::parse)]
    pub store: Option<ServerAddress>,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Log more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl SiteArgs {
    /// Whether they name a store, so that only the nearest site is meant.
    pub(super) fn names_store(&self) -> bool {
        self.state.is_some() || self.store.is_some()
    }
}
