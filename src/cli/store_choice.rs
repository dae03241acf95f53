//! Which server has a site: `--store`, `SETLIST_STORE` or `store` in `config.yaml`, in this order.

use std::path::Path;

use anyhow::Context;

use super::error::CliError;
use super::site_args::SiteArgs;
use crate::definition;
use crate::site;
use crate::store::{ServerAddress, StateDir, Store};
use crate::tui::config::Config;

/// The server that has the site of this file; `None` if the site is in a folder of this machine.
pub(super) fn server_of(args: &SiteArgs, file: &Path) -> Result<Option<ServerAddress>, CliError> {
    if args.store.is_some() || args.state.is_some() {
        return Ok(args.store.clone());
    }
    let Some(path) = definition::user_config_file() else { return Ok(None) };
    let config = Config::read(&path)?;
    let folder = file.canonicalize().ok().and_then(|file| Some(file.parent()?.to_owned()));
    let folder = folder.as_deref().or_else(|| file.parent()).unwrap_or(file);
    let Some(url) = config.stores.address(folder) else { return Ok(None) };
    let address = ServerAddress::parse(url).with_context(|| format!("`store` in {}", path.display()))?;
    Ok(Some(address))
}

/// The state folder of a site; for a site on a server, what belongs to this machine.
pub(super) fn state_dir(args: &SiteArgs, file: &Path) -> Result<StateDir, CliError> {
    if let Some(named) = &args.state {
        return Ok(StateDir::new(named));
    }
    Ok(match server_of(args, file)? {
        Some(address) => StateDir::for_server(file, &address),
        None => StateDir::for_file(file),
    })
}

/// The store in this folder, to read it. `None` if there is none, or if it is not known to be that of the user: then
/// nothing of it is read, not even which server it names.
pub(super) fn open_own_store(args: &SiteArgs, state: &StateDir) -> Option<Box<dyn Store>> {
    let is_own = state.has_database() && state.check_ownership(args.state.is_some()).is_ok();
    is_own.then(|| site::open_store_to_read(state).ok()).flatten()
}
