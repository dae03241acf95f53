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
/// A rest in which small pieces gather: a pipe is far from full by then. The shortest would have us change places with a
/// shell in a loop two thousand times a second.
const GATHER: Duration = Duration::from_millis(3);
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
    /// The end of the last one, if the last read was followed by any, and how long it was.
    last: Option<(Instant, Duration)>,
    /// When everything would have been read with the shortest rests.
    due: Option<Instant>,
}

impl Rest {
    /// Output was read since `begun`, so many bytes: time for a rest if that is a flood. It is short if some of it was
    /// from a `small` buffer.
    pub(super) fn after(&mut self, bytes: usize, small: bool, begun: Instant, now: Instant) {
        // What is there as soon as a rest is over may have come all the time.
        let gathered = self.last.filter(|(end, _)| begun < *end + LEAST).map_or(Duration::ZERO, |(_, long)| long);
        let due = (self.due.map_or(now, |due| due.max(now)) + gathered + LEAST).min(now + 2 * BURST);
        self.due = Some(due);
        let rest = if bytes >= FLOOD {
            Some((now.saturating_duration_since(begun) / WORK).clamp(LEAST, MOST))
        } else {
            (due > now + BURST).then_some(if small { LEAST } else { GATHER })
        };
        self.last = rest.map(|rest| (now + rest, rest));
    }

    /// How long it lasts from now on; none when output may be read.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let (end, _) = self.last?;
        let left = end.saturating_duration_since(now);
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
            rest.after(100, false, now, now);
            assert_eq!(rest.left(now), None);
            now += MS;
        }
        // And many lines at once.
        for _ in 0..20 {
            rest.after(100, false, now, now);
            assert_eq!(rest.left(now), None);
        }
        // But not as many as could have come in all that time.
        for _ in 0..20 {
            rest.after(100, false, now, now);
        }
        assert_eq!(rest.left(now), Some(GATHER));
    }

    /// How often one reads in a tenth of a second, if there always is something.
    fn reads(rest: &mut Rest, small: bool, now: &mut Instant) -> u32 {
        let (begun, mut times) = (*now, 0);
        while *now - begun < 100 * MS && times < 1000 {
            rest.after(1, small, *now, *now);
            *now += rest.left(*now).unwrap_or_default();
            times += 1;
        }
        times
    }

    #[test]
    fn small_pieces_without_end_are_left_to_gather() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        // Some at once, and then rests.
        assert_eq!(reads(&mut rest, false, &mut now), 32 + 34);
        assert_eq!(reads(&mut rest, false, &mut now), 34);
        // A short pause is enough.
        now += 40 * MS;
        assert_eq!(reads(&mut rest, false, &mut now), 32 + 34);
    }

    #[test]
    fn what_holds_little_is_read_more_often() {
        let (mut rest, mut now) = (Rest::default(), Instant::now());
        assert_eq!(reads(&mut rest, true, &mut now), 32 + 200);
    }

    #[test]
    fn much_at_once_makes_for_a_rest_in_proportion() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        for (spent, left) in [(0, LEAST), (4, 2 * MS), (100, 5 * MS)] {
            rest.after(64 * 1024, false, now, now + spent * MS);
            assert_eq!(rest.left(now + spent * MS), Some(left));
            assert_eq!(rest.left(now + spent * MS + left), None);
        }
    }
}
