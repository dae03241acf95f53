//! Pauses between reads of output, so that several writes are read at once.
//!
//! Without pauses, a job that prints all the time and the thread that reads its output would switch tens of thousands of
//! times a second, and a kernel may then starve other processes, such as the screen. A job that prints occasionally is
//! read at once, so its standard output and standard error are logged in the order in which it wrote them.

use std::time::{Duration, Instant};

/// The shortest pause, too short for anyone to notice.
const MIN_PAUSE: Duration = Duration::from_micros(500);
/// The longest pause. Longer ones would leave a pipe full.
const MAX_PAUSE: Duration = Duration::from_millis(5);
/// The pause while a job prints small pieces without end. A pipe is far from full by then, and [`MIN_PAUSE`] would mean two
/// thousand thread switches a second.
const SMALL_READ_PAUSE: Duration = Duration::from_millis(3);
/// A pause lasts this fraction of the time that reading took, so a job that floods its output loses a third of its rate
/// at most, once reading takes longer than [`MIN_PAUSE`].
const READ_TIME_PER_PAUSE: u32 = 2;
/// A read of this many bytes is a flood: the capacity of a pipe that has not been enlarged.
const FLOOD_BYTES: usize = 64 * 1024;
/// How far the reads may get ahead of one per [`MIN_PAUSE`] before they are throttled.
const BURST_ALLOWANCE: Duration = Duration::from_millis(16);

/// Decides when output is read next.
#[derive(Debug, Default)]
pub(super) struct ReadThrottle {
    /// The end and the length of the pause after the last read, if there was one.
    last_pause: Option<(Instant, Duration)>,
    /// When all reads so far would be over at one per [`MIN_PAUSE`].
    paced_until: Option<Instant>,
}

impl ReadThrottle {
    /// Records that `bytes` of output have been read since `started`, and begins a pause if that is a flood. The pause is
    /// short if the output comes from a `small_buffer`.
    pub(super) fn record_read(&mut self, bytes: usize, small_buffer: bool, started: Instant, now: Instant) {
        // Output that is there as soon as a pause ends may have come all through it, so the pause counts as reads.
        let paused = self.last_pause.filter(|(end, _)| started < *end + MIN_PAUSE);
        let paused = paused.map_or(Duration::ZERO, |(_, length)| length);
        let paced_until = self.paced_until.map_or(now, |until| until.max(now)) + paused + MIN_PAUSE;
        let paced_until = paced_until.min(now + 2 * BURST_ALLOWANCE);
        self.paced_until = Some(paced_until);
        let pause = if bytes >= FLOOD_BYTES {
            Some((now.saturating_duration_since(started) / READ_TIME_PER_PAUSE).clamp(MIN_PAUSE, MAX_PAUSE))
        } else {
            (paced_until > now + BURST_ALLOWANCE).then_some(if small_buffer { MIN_PAUSE } else { SMALL_READ_PAUSE })
        };
        self.last_pause = pause.map(|pause| (now + pause, pause));
    }

    /// How long the pause still lasts; none if output may be read.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        let (end, _) = self.last_pause?;
        let remaining = end.saturating_duration_since(now);
        (!remaining.is_zero()).then_some(remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn occasional_output_is_read_at_once() {
        let (mut throttle, mut now) = (ReadThrottle::default(), Instant::now());
        for _ in 0..1000 {
            throttle.record_read(100, false, now, now);
            assert_eq!(throttle.remaining(now), None);
            now += MS;
        }
        // A burst of lines too.
        for _ in 0..20 {
            throttle.record_read(100, false, now, now);
            assert_eq!(throttle.remaining(now), None);
        }
        // A longer burst is throttled.
        for _ in 0..20 {
            throttle.record_read(100, false, now, now);
        }
        assert_eq!(throttle.remaining(now), Some(SMALL_READ_PAUSE));
    }

    /// How many reads happen in 100 ms if there is always output.
    fn count_reads(throttle: &mut ReadThrottle, small_buffer: bool, now: &mut Instant) -> u32 {
        let (started, mut times) = (*now, 0);
        while *now - started < 100 * MS && times < 1000 {
            throttle.record_read(1, small_buffer, *now, *now);
            *now += throttle.remaining(*now).unwrap_or_default();
            times += 1;
        }
        times
    }

    #[test]
    fn endless_small_writes_are_throttled() {
        let (mut throttle, mut now) = (ReadThrottle::default(), Instant::now());
        // A burst first, then pauses.
        assert_eq!(count_reads(&mut throttle, false, &mut now), 32 + 34);
        assert_eq!(count_reads(&mut throttle, false, &mut now), 34);
        // A short silence restores the allowance.
        now += 40 * MS;
        assert_eq!(count_reads(&mut throttle, false, &mut now), 32 + 34);
    }

    #[test]
    fn a_small_buffer_is_read_more_often() {
        let (mut throttle, mut now) = (ReadThrottle::default(), Instant::now());
        assert_eq!(count_reads(&mut throttle, true, &mut now), 32 + 200);
    }

    #[test]
    fn a_flood_pauses_in_proportion_to_the_time_spent_reading() {
        let (mut throttle, now) = (ReadThrottle::default(), Instant::now());
        for (spent, pause) in [(0, MIN_PAUSE), (4, 2 * MS), (100, 5 * MS)] {
            throttle.record_read(64 * 1024, false, now, now + spent * MS);
            assert_eq!(throttle.remaining(now + spent * MS), Some(pause));
            assert_eq!(throttle.remaining(now + spent * MS + pause), None);
        }
    }
}
