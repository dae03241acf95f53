//! A hasher for job ids that places consecutive ids next to each other, because jobs are usually visited in id order.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`IdHasher`]s.
pub(super) type IdHasherBuilder = BuildHasherDefault<IdHasher>;

/// Number of low id bits kept as they are: 64 consecutive ids form a row of adjacent buckets. Longer rows collide more.
const ROW_BITS: u32 = 6;

/// Not collision-resistant against chosen input; ids are assigned by the site, so they can't be chosen.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing scatters the rows. hashbrown takes the bucket from the lowest bits of the hash and the tag
        // that distinguishes entries from the highest ones.
        let row = (number >> ROW_BITS).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bucket = (row ^ (row >> 32) ^ (row >> 48)) << ROW_BITS;
        self.0 = (bucket | number & ((1 << ROW_BITS) - 1)) ^ (number << 57);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn consecutive_ids_are_adjacent_and_rows_do_not_collide() {
        let place = |number: u64| IdHasherBuilder::default().hash_one(number) & 0xFFFF;
        assert_eq!(place(641), place(640) + 1);
        for step in [1, 64, 4096, 1 << 20, 1 << 40] {
            let rows: HashSet<u64> = (0..512).map(|nth| place(64 * step * nth)).collect();
            assert!(rows.len() > 256, "512 rows stand in {} places", rows.len());
        }
    }
}
