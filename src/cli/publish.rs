//! `setlist publish`: puts this `jobs.yaml` in force for all machines.

use std::io::Write;

use super::error::CliError;
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::safe_output;
use crate::site::{Publishing, apply_file, read_file};
use crate::text;

/// Puts the file of the site in force, whichever is now.
pub(super) fn publish(mut site: OpenSite) -> Result<ExitStatus, CliError> {
    let (desired, _) = read_file(site.store.as_mut(), &site.paths)??;
    apply_file(site.store.as_mut(), &site.paths, desired, Publishing::AnyFile)?;
    let file = text::sanitize_line(&site.paths.file.display().to_string());
    writeln!(safe_output::stdout(), "{file} is in force")?;
    Ok(ExitStatus::Success)
}
