//! Repeatable random numbers: a test that fails prints its seed.

use std::env;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::Config;

/// The environment variable that sets the seed.
const SEED_ENV: &str = "SETLIST_SEED";

/// The number of random cases: `SETLIST_SOAK`, or the default.
pub(crate) fn iterations(default: usize) -> usize {
    env::var("SETLIST_SOAK").map_or(default, |often| often.parse().unwrap())
}

/// Same as a configuration of proptest.
pub(crate) fn cases(default: usize) -> Config {
    let cases = u32::try_from(iterations(default)).unwrap();
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Random numbers from a seed.
pub(crate) struct TestRng {
    seed: u64,
    state: u64,
}

impl TestRng {
    /// A generator with a different seed each time, or the one in the environment.
    pub(crate) fn new() -> Self {
        let seed = match env::var(SEED_ENV) {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
        };
        Self { seed, state: seed }
    }

    /// The next number of `SplitMix64`, by Steele, Lea and Flood.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in a range, which must not be empty.
    pub(crate) fn in_range(&mut self, range: Range<usize>) -> usize {
        let span = (range.end - range.start) as u64;
        range.start + usize::try_from(self.next_u64() % span).unwrap()
    }

    /// True once in `times` calls on average.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.in_range(0..times) == 0
    }

    /// A random element.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.in_range(0..of.len())]
    }
}

impl Drop for TestRng {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat this run, set {SEED_ENV}={}", self.seed);
        }
    }
}
