//! The lines in a log that say which output is missing: omitted because of the limit, or deleted later.

use std::io;

use chrono::{DateTime, Local, Utc};

use super::log_file::LogFile;
use crate::text;

/// The longest notice that replaces deleted output. Deleting a log that is not longer frees nothing.
pub(super) const MAX_NOTICE_LEN: usize = 256;
/// The start and the end of the notice.
const NOTICE_PREFIX: &str = "[setlist: ";
const NOTICE_SUFFIX: &str = " to make room]\n";

/// The line that replaces `bytes` of output that were not kept.
pub fn omission_notice(bytes: u64) -> String {
    format!("[setlist: {} omitted]", text::bytes(bytes))
}

/// The notice that replaces `bytes` of output that are deleted.
pub(super) fn deletion_notice(bytes: u64, now: DateTime<Utc>) -> String {
    let day = now.with_timezone(&Local).format("%Y-%m-%d");
    format!("{NOTICE_PREFIX}{} of output deleted on {day}{NOTICE_SUFFIX}", text::bytes(bytes))
}

/// The notice that replaces deleted output, if there is one; without the line feed.
pub(super) fn read_deletion_notice(log: &LogFile) -> io::Result<Option<String>> {
    let mut bytes = [0; MAX_NOTICE_LEN];
    let len = log.read_at(&mut bytes, 0)?;
    let line = str::from_utf8(&bytes[..len])
        .ok()
        .filter(|line| line.starts_with(NOTICE_PREFIX) && line.ends_with(NOTICE_SUFFIX));
    Ok(line.map(|line| line.trim_end().to_owned()))
}
