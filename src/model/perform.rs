//! Performs a command: decides it, applies its events and propagates their effects.

use chrono::{DateTime, Utc};

use super::decide::decide;
use super::due_outcomes::ended_due_runs;
use super::due_times::schedule_changes;
use super::overdue::expectation_changes;
use super::propagate::{can_end_queue, finished_queues, needs_changes};
use super::{Command, DecideError, Event, StateReader};

/// Decides a command and applies its events and all events that follow from them; returns all events.
///
/// `apply` applies events and returns them as applied. It is not called for a refused command, which changes nothing.
pub fn perform<R: StateReader>(
    reader: &mut R,
    command: &Command,
    now: DateTime<Utc>,
    mut apply: impl FnMut(&mut R, Vec<Event>) -> Result<Vec<Event>, R::Error>,
) -> Result<Vec<Event>, DecideError<R::Error>> {
    let decided = decide(reader, command, now)?;
    let mut events = apply(reader, decided)?;
    let mut propagated = 0;
    loop {
        let mut more = needs_changes(reader, command, &events[propagated..], now)?;
        more.extend(schedule_changes(reader, &events[propagated..], now)?);
        more.extend(expectation_changes(reader, &events[propagated..], now)?);
        propagated = events.len();
        // A queue is finished only when none of its jobs changes any more.
        if more.is_empty() && events.iter().any(can_end_queue) {
            more = finished_queues(reader)?;
        }
        if more.is_empty() {
            more = ended_due_runs(reader, &events)?;
        }
        if more.is_empty() {
            return Ok(events);
        }
        events.append(&mut apply(reader, more)?);
    }
}
