//! Pauses between looks at the runs that are being stopped.
//!
//! A look reads the process table and asks for the state of every run, so it takes longer the more runs there are. Without
//! pauses, many runs that end one after another would each cause one, and stopping them would take quadratic time.

use std::time::{Duration, Instant};

/// A pause lasts so many times as long as the look before it, so that looks take at most a quarter of the time.
const PAUSE_PER_LOOK: u32 = 3;
/// The longest pause, by which the end of a run may be noticed late.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Decides when the next look at the runs that are being stopped is due.
#[derive(Debug, Default)]
pub(super) struct ExitCheckThrottle {
    /// When the pause after the last look ends.
    paused_until: Option<Instant>,
    /// A look was requested in the pause.
    is_requested: bool,
}

impl ExitCheckThrottle {
    /// Whether a look may begin now. Otherwise it will be [due](Self::is_due) after the pause.
    pub(super) fn request(&mut self, now: Instant) -> bool {
        self.is_requested = self.paused_until.is_some_and(|until| now < until);
        !self.is_requested
    }

    /// Begins the pause after a look.
    pub(super) fn record_look(&mut self, started: Instant, now: Instant) {
        let pause = now.saturating_duration_since(started).saturating_mul(PAUSE_PER_LOOK).min(MAX_PAUSE);
        self.paused_until = Some(now + pause);
    }

    /// How long it takes until a requested look is due.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        let until = self.paused_until.filter(|_| self.is_requested)?;
        Some(until.saturating_duration_since(now))
    }

    /// Whether a look that was requested in a pause may begin.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.remaining(now).is_some_and(|remaining| remaining.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_look_after_a_long_silence_is_never_delayed() {
        let (mut throttle, mut now) = (ExitCheckThrottle::default(), Instant::now());
        for _ in 0..10 {
            assert!(throttle.request(now) && !throttle.is_due(now));
            assert_eq!(throttle.remaining(now), None);
            throttle.record_look(now, now + 50 * MS);
            now += 1000 * MS;
        }
    }

    #[test]
    fn an_end_in_a_pause_is_noticed_when_it_is_over() {
        let (mut throttle, now) = (ExitCheckThrottle::default(), Instant::now());
        throttle.record_look(now, now + 10 * MS);
        assert!(!throttle.request(now + 11 * MS));
        assert_eq!(throttle.remaining(now + 11 * MS), Some(29 * MS));
        assert!(!throttle.is_due(now + 39 * MS) && throttle.is_due(now + 40 * MS));
        assert!(throttle.request(now + 40 * MS));
        assert!(!throttle.is_due(now + 41 * MS), "it has been taken");
        throttle.record_look(now, now + 3000 * MS);
        assert!(!throttle.request(now + 3001 * MS));
        assert_eq!(throttle.remaining(now + 3000 * MS), Some(MAX_PAUSE));
    }

    #[test]
    fn runs_that_end_one_after_another_share_looks() {
        // 2,000 runs end within two seconds, and a look takes 10 µs for each that is left.
        let (mut throttle, start) = (ExitCheckThrottle::default(), Instant::now());
        let (mut looks, mut cost, mut free_at) = (0, Duration::ZERO, start);
        for nth in 0..2000 {
            let now = free_at.max(start + nth * MS);
            if throttle.request(now) {
                let look = (2000 - nth) * Duration::from_micros(10);
                (looks, cost, free_at) = (looks + 1, cost + look, now + look);
                throttle.record_look(now, free_at);
            }
        }
        assert!(looks < 200, "{looks} looks");
        assert!(cost < 600 * MS, "{cost:?}");
    }
}
