//! Files that arrive in a folder: `for_each: {watch: PATTERN}`. A file is an item when it has been unchanged for a while, so
//! that no job gets a file that is still being written.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::item_data::SourceItem;
use crate::clock;
use crate::model::ArrivalRule;

/// How long a file must be unchanged unless the entry says otherwise.
pub(super) const DEFAULT_SETTLE: Duration = Duration::from_secs(2);

/// Keeps the files that have been unchanged for long enough, with their versions. Returns how long each of the others takes.
pub(super) fn keep_settled(folder: &Path, rule: &ArrivalRule, items: &mut Vec<SourceItem>) -> Vec<Duration> {
    let now = clock::now();
    let mut settle_in = Vec::new();
    items.retain_mut(|item| {
        // A file that has just been removed is not an item.
        let Ok(metadata) = folder.join(&item.text).metadata() else { return false };
        let left = rule.settle.saturating_sub(unchanged_for(&metadata, now));
        if left > Duration::ZERO {
            settle_in.push(left);
            return false;
        }
        item.version = Some(version(&metadata).into());
        true
    });
    settle_in
}

/// What changes when a file is written again, but not when it is moved away and back.
fn version(metadata: &Metadata) -> String {
    format!("{}-{}.{:09}", metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// How long a file has been unchanged. Copies may keep an old time of modification, so the time of the last change of the
/// file's attributes counts, too. A time of modification in the future says nothing.
fn unchanged_for(metadata: &Metadata, now: DateTime<Utc>) -> Duration {
    let time = |seconds: i64, nanos: i64| DateTime::from_timestamp(seconds, u32::try_from(nanos).unwrap_or_default());
    let modified = time(metadata.mtime(), metadata.mtime_nsec()).filter(|modified| *modified <= now);
    let changed = time(metadata.ctime(), metadata.ctime_nsec());
    let last = modified.max(changed);
    last.map_or(TimeDelta::MAX, |last| now - last).to_std().unwrap_or_default()
}
