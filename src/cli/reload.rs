//! `setlist reload`: reads `jobs.yaml` and the items of its jobs again, and prints what has changed.

use std::io::Write;

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::safe_output;
use crate::model::Event;
use crate::site::read_file;
use crate::text::count_noun;

/// Prints what the file has changed in the site, which was reconciled with it when it was opened.
pub(super) fn reload(site: OpenSite) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    for warning in read_file(site.store.as_mut(), &site.paths)?.map(|(_, odd)| odd).unwrap_or_default() {
        warn(&format!("warning: {warning}"));
    }
    writeln!(safe_output::stdout(), "{}", changes_line(&site.file_changes))?;
    Ok(ExitStatus::Success)
}

/// `2 jobs added, 1 job removed`.
fn changes_line(events: &[Event]) -> String {
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let counts = [
        (count(|event| matches!(event, Event::Added { .. } | Event::Restored { .. })), "added"),
        (count(|event| matches!(event, Event::Redefined { .. }) && !event.is_removal_from_file()), "changed"),
        (count(|event| matches!(event, Event::Removed { .. })), "removed"),
        (count(Event::is_removal_from_file), "only kept as a record"),
    ];
    let counts = counts.into_iter().filter(|(jobs, _)| *jobs > 0);
    let parts: Vec<String> = counts.map(|(jobs, verb)| format!("{} {verb}", count_noun(jobs, "job"))).collect();
    let is_other =
        |event: &Event| matches!(event, Event::QueueDefined { .. } | Event::Moved { .. } | Event::PoolsDefined { .. });
    match &parts[..] {
        [] if events.iter().any(is_other) => "settings or order changed".to_owned(),
        [] => "nothing changed".to_owned(),
        parts => parts.join(", "),
    }
}
