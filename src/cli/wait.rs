//! `setlist wait`: until jobs have finished.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

use chrono::Utc;

use super::args::Wait;
use super::error::complain;
use super::listening::Listening;
use super::own_job::refuse_to_wait_for_itself;
use super::record::{JobRecord, QueueObject, print};
use super::site::OpenSite;
use super::target::{Target, catch_up};
use super::{CliError, Exit, line};
use crate::model::SiteState;
use crate::text;

/// Waits until all of them rest; says how each of them is then.
pub(super) fn wait(mut site: OpenSite, options: &Wait) -> Result<Exit, CliError> {
    let listening = Listening::to(&site)?;
    let mut site_state = site.site_state()?;
    let mut targets = site.targets(&site_state, &options.names)?;
    refuse_to_wait_for_itself(&site, &site_state, |job| targets.iter().any(|target| target.means(job)))?;
    let until = options.timeout.map(|timeout| Instant::now() + timeout);
    let file = site.context.file.to_string_lossy().into_owned();
    let mut exit = Exit::Fine;
    let mut hindered = Vec::new();
    site.tend(false)?;
    loop {
        catch_up(&mut site_state, site.store.as_mut())?;
        let (resting, busy): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.rests(&site_state));
        for target in &resting {
            if !tell(target, &site_state, options, &file)? {
                exit = Exit::JobFailed;
            }
        }
        if busy.is_empty() {
            return site.close(exit);
        }
        targets = busy;
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            complain(&format!("{} after this time", still(&targets, &site_state)));
            return Ok(Exit::JobFailed);
        }
        for why in targets.iter().filter_map(|target| target.hindrance(&site_state)) {
            if !hindered.contains(&why) {
                complain(&why);
                hindered.push(why);
            }
        }
        if let Some(died) = listening.wait(left) {
            site.tend(died)?;
        }
    }
}

/// Says how it stands with something that rests; tells whether all is well with it.
fn tell(target: &Target, site_state: &SiteState, options: &Wait, file: &str) -> Result<bool, CliError> {
    let mut out = io::stdout().lock();
    match target {
        Target::Job(id) => {
            let Some(job) = site_state.job(*id) else {
                complain(&format!("{id} was removed"));
                return Ok(false);
            };
            if options.json {
                print(&mut out, &JobRecord::of(job, None, Utc::now()))?;
            } else if !options.quiet
                && let Some(outcome) = job.outcome()
            {
                writeln!(out, "{}", line::of(job, outcome))?;
            }
            Ok(!site_state.counts_as_failure(job))
        }
        Target::Queue(id) => {
            let Some(queue) = site_state.queue(id) else { return Ok(true) };
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for outcome in queue.finished.iter().filter_map(|id| site_state.job(*id)?.outcome()) {
                *counts.entry(outcome.as_str()).or_default() += 1;
            }
            *counts.entry("pending").or_default() += queue.pending.len();
            if options.json {
                print(&mut out, &QueueObject::of(id, queue, site_state, file))?;
            } else if !options.quiet {
                let words = line::counts(&counts).unwrap_or_else(|| "empty".to_owned());
                writeln!(out, "{}  {words}", text::plain_line(id.as_str()))?;
            }
            let mut finished = queue.finished.iter().filter_map(|id| site_state.job(*id));
            Ok(queue.pending.is_empty() && !finished.any(|job| site_state.counts_as_failure(job)))
        }
    }
}

/// What has not come to rest, in words.
fn still(targets: &[Target], site_state: &SiteState) -> String {
    let name = |target: &Target| match target {
        Target::Queue(queue) => queue.to_string(),
        Target::Job(id) => site_state.job(*id).map_or_else(|| id.to_string(), crate::model::Job::path),
    };
    let names: Vec<String> = targets.iter().map(name).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb} not finished", text::plain_line(&names.join(", ")))
}
