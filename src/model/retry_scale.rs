//! How the limits of a job grow from one attempt to the next.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CauseKind, Limits, millis};
use crate::text;

/// The limits that grow after an attempt that has reached them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryScale {
    /// The limit on memory, after an attempt that ran out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Growth>,
    /// The timeout, after an attempt that timed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Growth>,
}

/// How a limit grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The factor from one attempt to the next; more than 1.
    pub factor: f64,
    /// The most that it grows to: bytes, or milliseconds. [`Growth::DEFAULT_CAP`] times the limit of the job by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// The limits of an attempt that differ from those of its job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScaledLimits {
    /// The limit on memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The timeout.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::optional")]
    pub timeout: Option<Duration>,
}

impl Growth {
    /// Without a maximum, a limit grows to at most this many times that of the job.
    pub const DEFAULT_CAP: u64 = 8;

    /// The next limit after `last`, where that of the job is `first`.
    fn next(self, first: u64, last: u64) -> u64 {
        let max = self.max.unwrap_or_else(|| first.saturating_mul(Self::DEFAULT_CAP));
        #[expect(clippy::cast_precision_loss, reason = "limits are rounded anyway")]
        let grown = (last as f64 * self.factor.max(1.0)).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
        let grown = grown as u64;
        // A maximum below the limit of the job does not lower it.
        grown.min(max).max(last)
    }
}

impl RetryScale {
    /// Whether nothing grows.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The limits of the attempt after one that had `last` and ended because of `reached`: what that has reached grows,
    /// and what has grown before stays. The job has the limits `memory` and `timeout`.
    pub(super) fn next(
        &self,
        last: ScaledLimits,
        reached: Option<CauseKind>,
        memory: Option<u64>,
        timeout: Option<Duration>,
    ) -> ScaledLimits {
        let next = |growth: Option<Growth>, first: Option<u64>, last: Option<u64>, kind| {
            let growth = growth.filter(|_| reached == Some(kind));
            growth.zip(first).map(|(growth, first)| growth.next(first, last.unwrap_or(first))).or(last)
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let timeout = next(self.timeout, timeout.map(millis), last.timeout.map(millis), CauseKind::TimedOut);
        ScaledLimits {
            memory: next(self.memory, memory, last.memory, CauseKind::OutOfMemory),
            timeout: timeout.map(Duration::from_millis),
        }
    }
}

impl ScaledLimits {
    /// Whether the attempt has the limits of its job.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The limits of an attempt.
    pub fn apply_to(&self, limits: &mut Limits, timeout: &mut Option<Duration>) {
        limits.memory = self.memory.or(limits.memory);
        *timeout = self.timeout.or(*timeout);
    }
}

impl fmt::Display for ScaledLimits {
    /// `memory 6.0 GiB, timeout 15m`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory.map(|bytes| format!("memory {}", text::bytes(bytes)));
        let timeout = self.timeout.map(|timeout| format!("timeout {}", text::exact_duration(timeout)));
        f.write_str(&memory.into_iter().chain(timeout).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_to_a_maximum_and_never_shrink() {
        let growth = Growth { factor: 1.5, max: Some(20) };
        let mut limits = vec![8];
        for _ in 0..4 {
            limits.push(growth.next(8, *limits.last().unwrap()));
        }
        assert_eq!(limits, [8, 12, 18, 20, 20]);
        assert_eq!(Growth { factor: 100.0, max: None }.next(8, 8), 64);
        assert_eq!(Growth { factor: 2.0, max: Some(4) }.next(8, 8), 8);
        assert_eq!(Growth { factor: f64::NAN, max: None }.next(8, 8), 8);
        assert_eq!(Growth { factor: 2.0, max: Some(u64::MAX) }.next(u64::MAX, u64::MAX), u64::MAX);
    }
}
