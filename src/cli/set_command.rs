//! `setlist set`: changes settings of a queue.

use std::io::Write;
use std::num::NonZero;

use super::args::SetArgs;
use super::error::CliError;
use super::exit::ExitStatus;
use super::json_records::{QueueRecord, write_json};
use super::name_syntax::suggestion;
use super::open_site::OpenSite;
use super::safe_output;
use super::value_parsers;
use crate::clock;
use crate::definition;
use crate::model::{Command, QueueId, QueueMode};
use crate::text;
use crate::text::count_noun;

/// Changes settings of a queue until its file is saved again.
pub(super) fn set(mut site: OpenSite, args: &SetArgs) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let queue = site.queues(&site_state, std::slice::from_ref(&args.queue))?.remove(0);
    let mut parallel = None;
    let mut is_from_file = false;
    for setting in &args.settings {
        let value = parallel_value(setting)?;
        is_from_file = matches!(value, "file" | "default");
        parallel = Some(if is_from_file {
            parallel_in_file(&site, &queue)?
        } else {
            value_parsers::parallel(value).map_err(|error| {
                CliError::Usage(format!("invalid value in {setting:?}: {error}, or `file` for that of jobs.yaml"))
            })?
        });
    }
    if let Some(parallel) = parallel {
        site.submit(Command::SetParallel { queue: queue.clone(), parallel })?;
    }
    let site_state = site.site_state()?;
    let Some(state) = site_state.queue(&queue) else { return site.finish(ExitStatus::Success) };
    let worker = if state.mode == QueueMode::Processing { site.ensure_worker() } else { Ok(()) };
    let mut out = safe_output::stdout();
    if args.json {
        let file = site.paths.file.to_string_lossy();
        write_json(&mut out, &QueueRecord::new(&queue, state, &site_state, &file, clock::now()))?;
    } else {
        let note = match (is_from_file, state.settings.is_in_file) {
            (true, _) => ", as in jobs.yaml",
            (false, true) => ", until jobs.yaml is saved again",
            (false, false) => "",
        };
        let count = count_noun(state.settings.parallel, "job");
        writeln!(out, "{}  runs up to {count} at once{note}", text::sanitize_line(queue.as_str()))?;
    }
    worker?;
    site.finish(ExitStatus::Success)
}

/// The value in `parallel=VALUE`, the only setting.
fn parallel_value(setting: &str) -> Result<&str, CliError> {
    const SETTING: &str = "parallel";
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    if name == SETTING && !value.is_empty() {
        return Ok(value);
    }
    let message = if name == SETTING {
        "`parallel` has no value; write parallel=N".to_owned()
    } else if setting.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("expected SETTING=VALUE, such as parallel={setting}")
    } else {
        let hint = suggestion(name, &[SETTING.to_owned()])
            .unwrap_or_else(|| "; only `parallel` can be set, other fields are in jobs.yaml".to_owned());
        format!("unknown setting {name:?}{hint}")
    };
    Err(CliError::Usage(text::sanitize_line(&message)))
}

/// How many jobs of a queue run at once according to the file.
fn parallel_in_file(site: &OpenSite, queue: &QueueId) -> Result<NonZero<u32>, CliError> {
    let file = definition::read(&site.paths.file)?;
    let desired = file.queues.iter().find(|desired| desired.id == *queue);
    desired
        .and_then(|desired| NonZero::new(desired.settings.parallel))
        .ok_or_else(|| CliError::Usage(text::sanitize_line(&format!("{queue} is not in jobs.yaml; write parallel=N"))))
}
