//! Chance that can be repeated: every test that leaves something to it says its seed when it fails.

use std::env;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::Config;

/// Sets the seed of all dice.
const SEED: &str = "SETLIST_SEED";

/// How often a test leaves something to chance: as `SETLIST_SOAK` says, or as usual.
pub(crate) fn often(usual: usize) -> usize {
    env::var("SETLIST_SOAK").map_or(usual, |often| often.parse().unwrap())
}

/// The same for what proptest makes up.
pub(crate) fn cases(usual: usize) -> Config {
    let cases = u32::try_from(often(usual)).unwrap();
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Random numbers from a seed.
pub(crate) struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// Dice that fall differently each time, or as the environment says.
    pub(crate) fn new() -> Self {
        let seed = match env::var(SEED) {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
        };
        Self { seed, state: seed }
    }

    /// Any number: `SplitMix64`, by Steele, Lea and Flood.
    pub(crate) fn any(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range, which isn't empty.
    pub(crate) fn below(&mut self, range: Range<usize>) -> usize {
        let span = (range.end - range.start) as u64;
        range.start + usize::try_from(self.any() % span).unwrap()
    }

    /// One time in so many.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(0..times) == 0
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(0..of.len())]
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the dice fell like this with {SEED}={}", self.seed);
        }
    }
}
