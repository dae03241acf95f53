//! Writes events about schedules and expectations to the database.

use rusqlite::Result;

use super::columns::{Json, Nanos};
use super::tx_state::TxState;
use crate::model::{DueRecord, DueResult, Event, MAX_DUE_RECORDS};

impl TxState<'_> {
    /// Applies an event about a schedule or an expectation.
    pub(super) fn apply_to_schedules(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::ScheduleChanged { state } => {
                let schedules = &mut self.cache.schedules;
                match schedules.binary_search_by(|known| known.target.cmp(&state.target)) {
                    Ok(at) => schedules[at] = (**state).clone(),
                    Err(at) => schedules.insert(at, (**state).clone()),
                }
                let sql = "INSERT INTO schedules (target, state) VALUES (?1, ?2) \
                           ON CONFLICT (target) DO UPDATE SET state = excluded.state";
                self.execute(sql, (Json(&state.target), Json(state)))
            }
            Event::ScheduleEnded { target } => {
                self.cache.schedules.retain(|known| known.target != *target);
                self.execute("DELETE FROM schedules WHERE target = ?1", [Json(target)])
            }
            Event::DueRecorded { target, records } => {
                let sql = "INSERT OR REPLACE INTO due_times (target, due, start, at, result, outcome, earlier) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                for DueRecord { due, start, at, result, outcome, earlier } in records {
                    let times = (Nanos(*due), Nanos(*start), Nanos(*at));
                    let (outcome, earlier) = (outcome.map(Json), earlier.cast_signed());
                    self.execute(sql, (Json(target), times.0, times.1, times.2, Json(result), outcome, earlier))?;
                }
                let sql = "DELETE FROM due_times WHERE target = ?1 AND due <= ( \
                               SELECT due FROM due_times WHERE target = ?1 ORDER BY due DESC LIMIT 1 OFFSET ?2 \
                           )";
                self.execute(sql, (Json(target), i64::try_from(MAX_DUE_RECORDS).unwrap_or(i64::MAX)))
            }
            Event::DueWithdrawn { target, after } => {
                let sql = "DELETE FROM due_times WHERE target = ?1 AND due > ?2 AND result != ?3";
                self.execute(sql, (Json(target), Nanos(*after), Json(DueResult::Ran)))
            }
            Event::ExpectationChanged { state } => {
                let expectations = &mut self.cache.expectations;
                match expectations.binary_search_by(|known| known.target.cmp(&state.target)) {
                    Ok(at) => expectations[at] = (**state).clone(),
                    Err(at) => expectations.insert(at, (**state).clone()),
                }
                let sql = "INSERT INTO expectations (target, state) VALUES (?1, ?2) \
                           ON CONFLICT (target) DO UPDATE SET state = excluded.state";
                self.execute(sql, (Json(&state.target), Json(state)))
            }
            Event::ExpectationEnded { target } => {
                self.cache.expectations.retain(|known| known.target != *target);
                self.execute("DELETE FROM expectations WHERE target = ?1", [Json(target)])
            }
            _ => Ok(()),
        }
    }
}
