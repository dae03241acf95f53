//! The system clock.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::crash;

/// The current time. Unlike `Utc::now`, it does not panic if the clock is set to a time before 1970.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from(SystemTime::now()) + crash::clock_offset()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_before_1970_are_times() {
        let time: DateTime<Utc> = (UNIX_EPOCH - Duration::from_secs(86_400)).into();
        assert_eq!(time.to_rfc3339(), "1969-12-31T00:00:00+00:00");
    }
}
