//! Rests from reading output, in which more of it gathers.
//!
//! Who reads whenever there is anything changes places with a job that prints all the time, tens of thousands of times
//! a second and for little each time. A kernel may then keep all others waiting for a processor, a screen too. What a
//! job prints now and then is read at once, so that both its outputs are noted in the order in which they came.

use std::time::{Duration, Instant};

/// A rest is no shorter. Nobody sees output come later by this much.
const LEAST: Duration = Duration::from_micros(500);
/// Nor longer: somebody was kept from reading, and a pipe is full by then.
const MOST: Duration = Duration::from_millis(5);
/// So many times as long as a rest may be spent on reading: it costs a job that floods a third of its rate at most, as
/// soon as that takes longer than the shortest rest.
const WORK: u32 = 2;
/// So much at once, in bytes, is a flood: what a pipe holds that nobody has enlarged.
const FLOOD: usize = 64 * 1024;
/// Reading more often than with the shortest rests is no flood before it has gained this much time.
const BURST: Duration = Duration::from_millis(16);

/// When output is read next.
#[derive(Debug, Default)]
pub(super) struct Rest {
    until: Option<Instant>,
    /// When everything would have been read with the shortest rests.
    due: Option<Instant>,
}

impl Rest {
    /// Output was read since `begun`, so many bytes: time for a rest if that is a flood.
    pub(super) fn after(&mut self, bytes: usize, begun: Instant, now: Instant) {
        let due = self.due.map_or(now, |due| due.max(now)) + LEAST;
        self.due = Some(due);
        if bytes >= FLOOD || due > now + BURST {
            let spent = now.saturating_duration_since(begun);
            self.until = Some(now + (spent / WORK).clamp(LEAST, MOST));
        }
    }

    /// How long it lasts from now on; none when output may be read.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_comes_now_and_then_is_read_at_once() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        for _ in 0..1000 {
            rest.after(100, now, now);
            assert_eq!(rest.left(now), None);
            now += MS;
        }
        // And many lines at once.
        for _ in 0..20 {
            rest.after(100, now, now);
            assert_eq!(rest.left(now), None);
        }
        // But not as many as could have come in all that time.
        for _ in 0..20 {
            rest.after(100, now, now);
        }
        assert_eq!(rest.left(now), Some(LEAST));
    }

    #[test]
    fn small_pieces_without_end_are_left_to_gather() {
        let (mut rest, begun) = (Rest::default(), Instant::now());
        let mut now = begun;
        let mut times = 0;
        while now - begun < 100 * MS && times < 1000 {
            rest.after(1, now, now);
            now += rest.left(now).unwrap_or_default();
            times += 1;
        }
        assert_eq!(times, 2 * (100 + 16));
    }

    #[test]
    fn much_at_once_makes_for_a_rest_in_proportion() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        for (spent, left) in [(0, LEAST), (4, 2 * MS), (100, 5 * MS)] {
            rest.after(64 * 1024, now, now + spent * MS);
            assert_eq!(rest.left(now + spent * MS), Some(left));
            assert_eq!(rest.left(now + spent * MS + left), None);
        }
    }
}
