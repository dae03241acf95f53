//! `setlist pause`, `resume` and `clear`: commands that change whole queues.

use std::io::{self, BufWriter, Write};

use super::error::complain;
use super::file::count;
use super::record::{JobRecord, QueueObject, print};
use super::site::OpenSite;
use super::{CliError, Exit};
use crate::clock;
use crate::model::{Command, Event, Job, NothingToDo, Phase, QueueId, QueueMode, QueueState, Refusal, SiteState};
use crate::text;

/// Has nothing new start in these queues, or in all that are processed.
pub(super) fn pause(mut site: OpenSite, names: &[String], json: bool) -> Result<Exit, CliError> {
    let site_state = site.site_state()?;
    let queues = chosen(&site, &site_state, names, |queue| queue.mode == QueueMode::Processing)?;
    if queues.is_empty() {
        complain("no queue is processed");
    }
    let exit = each(
        &mut site,
        &queues,
        json,
        |queue| Command::Pause { queue },
        |id, _| match site_state.queue(id).map_or(0, |queue| queue.running.len()) {
            0 => "paused".to_owned(),
            running => format!("paused; {} to the end", goes_on(running)),
        },
    )?;
    site.close(exit)
}

/// Goes on with these queues, or with all that are paused.
pub(super) fn resume(site: OpenSite, names: &[String], json: bool) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let site_state = site.site_state()?;
    let queues = chosen(&site, &site_state, names, |queue| queue.mode == QueueMode::Paused)?;
    let (held, others): (Vec<_>, Vec<_>) = queues.into_iter().partition(|id| {
        site_state.queue(id).is_some_and(|queue| matches!(queue.mode, QueueMode::Paused | QueueMode::Stopped))
    });
    let mut exit = Exit::Fine;
    for id in &others {
        let mode = site_state.queue(id).map_or(QueueMode::Idle, |queue| queue.mode);
        let hint = if mode == QueueMode::Idle { "; `setlist process` runs its jobs" } else { "" };
        complain(&format!("{}: it is not paused but {}{hint}", text::plain_line(id.as_str()), mode.as_str()));
        exit = Exit::Usage;
    }
    if held.is_empty() && others.is_empty() {
        complain("no queue is paused");
    }
    let resumed = each(
        &mut site,
        &held,
        json,
        |queue| Command::Process { queue },
        |_, events| {
            let goes_on = |event: &Event| matches!(event, Event::ModeChanged { mode: QueueMode::Processing, .. });
            if events.iter().any(goes_on) {
                "goes on".to_owned()
            } else {
                "no longer held; nothing is pending".to_owned()
            }
        },
    );
    if !held.is_empty() {
        site.hire()?;
    }
    Ok(if resumed? == Exit::Fine { exit } else { Exit::Usage })
}

/// Takes all finished or pending jobs out of these queues, or of all.
pub(super) fn clear(
    mut site: OpenSite,
    names: &[String],
    phases: impl Iterator<Item = Phase>,
    json: bool,
) -> Result<Exit, CliError> {
    let site_state = site.site_state()?;
    let queues = site.queues(&site_state, names)?;
    let mut removed = 0;
    let mut out = BufWriter::new(io::stdout().lock());
    for phase in phases {
        let commands: Vec<_> = queues.iter().map(|queue| Command::Clear { queue: queue.clone(), phase }).collect();
        for (queue, answer) in queues.iter().zip(site.store.execute(&commands, clock::now())?) {
            match answer {
                Ok(events) => {
                    let taken = events.iter().filter(|event| matches!(event, Event::Removed { .. }));
                    let taken: Vec<&Job> = taken.filter_map(|event| site_state.job(event.job()?)).collect();
                    if json {
                        let now = clock::now();
                        taken.iter().try_for_each(|job| print(&mut out, &JobRecord::of(job, None, now)))?;
                    } else {
                        let jobs = count(taken.len(), &format!("{} job", phase.as_str()));
                        writeln!(out, "{}  {jobs} removed", text::plain_line(queue.as_str()))?;
                    }
                    removed += taken.len();
                }
                Err(Refusal::NothingToDo(NothingToDo::Clear(..))) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }
    out.flush()?;
    drop(out);
    if removed == 0 {
        complain("there is nothing to remove");
    }
    site.close(Exit::Fine)
}

/// The queues of these names; where none is named, those that are `meant`.
fn chosen(
    site: &OpenSite,
    site_state: &SiteState,
    names: &[String],
    meant: impl Fn(&QueueState) -> bool,
) -> Result<Vec<QueueId>, CliError> {
    let mut queues = site.queues(site_state, names)?;
    if names.is_empty() {
        queues.retain(|id| site_state.queue(id).is_some_and(&meant));
    }
    Ok(queues)
}

/// Submits a command for each queue in one transaction, and says what became of each.
fn each(
    site: &mut OpenSite,
    queues: &[QueueId],
    json: bool,
    command: impl Fn(QueueId) -> Command,
    done: impl Fn(&QueueId, &[Event]) -> String,
) -> Result<Exit, CliError> {
    let commands: Vec<_> = queues.iter().cloned().map(command).collect();
    let mut exit = Exit::Fine;
    let answers = site.store.execute(&commands, clock::now())?;
    let site_state = if json { site.site_state()? } else { SiteState::default() };
    let file = site.context.file.to_string_lossy();
    let mut out = io::stdout().lock();
    for (queue, answer) in queues.iter().zip(answers) {
        match answer {
            Ok(_) if json => {
                if let Some(record) = site_state.queue(queue) {
                    print(&mut out, &QueueObject::of(queue, record, &site_state, &file))?;
                }
            }
            Ok(events) => writeln!(out, "{}  {}", text::plain_line(queue.as_str()), done(queue, &events))?,
            Err(refusal) => {
                complain(&refusal.to_string());
                exit = Exit::Usage;
            }
        }
    }
    Ok(exit)
}

fn goes_on(running: usize) -> String {
    if running == 1 { "1 running job goes on".to_owned() } else { format!("{running} running jobs go on") }
}
