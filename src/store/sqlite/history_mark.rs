//! Detects that another state of the site was copied over the open database. Its events have the same numbers as those
//! that this connection has seen, so nothing else would tell them apart.

use rusqlite::{Connection, OptionalExtension, Result};

use crate::store::error::CorruptData;

/// The last event that a connection has seen.
#[derive(Debug, Default)]
pub(super) struct HistoryMark {
    /// The number of the event and when it happened, in nanoseconds.
    last_event: Option<(i64, i64)>,
    is_replaced: bool,
}

impl HistoryMark {
    /// Fails if the last event that was seen is not part of the history any more; else remembers the one that is last now.
    pub(super) fn advance(&mut self, db: &Connection) -> Result<()> {
        let newest: (i64, i64) = db
            .prepare_cached("SELECT seq, at FROM events ORDER BY seq DESC LIMIT 1")?
            .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some((seq, at)) = self.last_event.replace(newest).filter(|last_event| *last_event != newest) {
            let found: Option<i64> = db
                .prepare_cached("SELECT at FROM events WHERE seq = ?1")?
                .query_row([seq], |row| row.get(0))
                .optional()?;
            // Old events are deleted, but never the last one.
            self.is_replaced |= found.map_or(newest.0 <= seq, |found| found != at);
        }
        if self.is_replaced { Err(CorruptData("the state was replaced").into()) } else { Ok(()) }
    }

    /// Whether the database holds another history than the one that was seen.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced
    }
}
