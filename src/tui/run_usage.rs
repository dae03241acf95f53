//! What the visible running jobs use: looked at once a second while there are any.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{LiveUsage, RunId, WorkerInfo};
use crate::text;

use super::effect::{Effect, StoreRequest};
use super::output_subscription::OutputSubscriptions;

/// What runs use, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct RunUsages {
    usages: HashMap<RunId, LiveUsage>,
    /// When they were asked for, and of which runs.
    asked: Option<(DateTime<Utc>, Vec<RunId>)>,
}

/// What one run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunUsage {
    /// What its processes use, where this machine sees them.
    pub(super) live: Option<LiveUsage>,
    /// The bytes that it has written.
    pub(super) output: Option<u64>,
}

/// A little less than the interval of ticks, so that each of them asks.
const MIN_INTERVAL: TimeDelta = TimeDelta::milliseconds(900);

/// The shortest interval while other runs become visible, so that a queue of short jobs isn't looked at for each of them.
const MIN_INTERVAL_OF_NEW: TimeDelta = TimeDelta::milliseconds(250);

impl RunUsages {
    /// Asks what these runs use, unless that was asked just before.
    pub(super) fn ask(
        &mut self,
        runs: &[RunId],
        workers: impl FnOnce() -> Vec<WorkerInfo>,
        now: DateTime<Utc>,
    ) -> Option<Effect> {
        if runs.is_empty() {
            *self = Self::default();
            return None;
        }
        if let Some((at, asked)) = &self.asked {
            let has_new = runs.iter().any(|run| !asked.contains(run));
            if (now - at).abs() < if has_new { MIN_INTERVAL_OF_NEW } else { MIN_INTERVAL } {
                return None;
            }
        }
        self.asked = Some((now, runs.to_vec()));
        Some(Effect::Store(StoreRequest::LookAtUsage { runs: runs.to_vec(), workers: workers() }))
    }

    /// The answer.
    pub(super) fn set(&mut self, usages: HashMap<RunId, LiveUsage>) {
        self.usages = usages;
    }

    /// What a run uses.
    pub(super) fn of(&self, run: RunId, subscriptions: &OutputSubscriptions) -> RunUsage {
        RunUsage { live: self.usages.get(&run).copied(), output: subscriptions.written(run) }
    }
}

impl RunUsage {
    /// The width of [`row_text`](Self::row_text), with and without the output.
    pub(super) const ROW_WIDTHS: [usize; 2] = [33, 20];

    /// The text in a row of this width, the same for all rows.
    pub(super) fn row_text(&self, width: usize) -> String {
        let percent = self.live.and_then(|live| live.cpu_percent).map(|percent| format!("{percent}% CPU"));
        let memory = self.live.map(|live| text::bytes(live.memory)).unwrap_or_default();
        let processes = format!("{:>10} {memory:>9}", percent.unwrap_or_default());
        if width < Self::ROW_WIDTHS[0] {
            return processes;
        }
        let output = self.output.map(|output| format!("{} out", text::bytes(output))).unwrap_or_default();
        format!("{processes} {output:>12}")
    }

    /// All of it in words: `85% CPU, 120 MiB memory, 3.4 MiB output, 3.2s CPU time, 2 processes`.
    pub(super) fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(live) = self.live {
            parts.extend(live.cpu_percent.map(|percent| format!("{percent}% CPU")));
            parts.push(format!("{} memory", text::bytes(live.memory)));
        }
        parts.extend(self.output.map(|output| format!("{} output", text::bytes(output))));
        if let Some(live) = self.live {
            parts.push(format!("{} CPU time", text::duration(live.cpu)));
            parts.extend((live.processes > 1).then(|| text::count_noun(live.processes, "process")));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_columns_of_all_rows_have_the_same_width() {
        let live =
            LiveUsage { cpu: Duration::from_secs(90), cpu_percent: Some(12_800), memory: 1023 << 30, processes: 2 };
        for usage in [
            RunUsage::default(),
            RunUsage { live: Some(LiveUsage { cpu_percent: None, ..live }), output: None },
            RunUsage { live: Some(live), output: Some(1023 << 20) },
        ] {
            for width in RunUsage::ROW_WIDTHS {
                assert_eq!(text::width(&usage.row_text(width)), width, "{usage:?}");
            }
        }
    }

    #[test]
    fn runs_are_asked_about_once_a_second_and_at_once_when_they_are_new() {
        let mut usages = RunUsages::default();
        let at = |millis: i64| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis);
        let mut asks = |runs: &[u64], millis: i64| {
            let runs: Vec<RunId> = runs.iter().map(|run| RunId(*run)).collect();
            usages.ask(&runs, Vec::new, at(millis)).is_some()
        };
        assert!(!asks(&[], 0));
        assert!(asks(&[1], 0) && !asks(&[1], 500) && asks(&[1, 2], 600) && !asks(&[1], 700) && asks(&[1], 1_550));
        assert!(!asks(&[3], 1_650) && !asks(&[4], 1_750) && asks(&[5], 1_850), "short jobs");
        assert!(!asks(&[], 3_000) && asks(&[1], 3_001));
    }
}
