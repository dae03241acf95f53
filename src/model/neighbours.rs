//! A hash for jobs' numbers that keeps neighbours together: jobs are looked at in their order, thousands at once.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes tables in which so many jobs with numbers in a row stand side by side.
pub(super) type Neighbours = BuildHasherDefault<ByNumber>;

/// So many, as bits of a number. More would stand in the way of others.
const ROW: u32 = 6;

/// Nobody chooses numbers to make this slow.
#[derive(Default)]
pub(super) struct ByNumber(u64);

impl Hasher for ByNumber {
    fn write_u64(&mut self, number: u64) {
        // The first digits of the golden ratio, which scatter rows well. The lowest bits of a hash are a place in the
        // table, the highest tell apart what is tried there.
        let row = (number >> ROW).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let place = (row ^ (row >> 32) ^ (row >> 48)) << ROW;
        self.0 = (place | number & ((1 << ROW) - 1)) ^ (number << 57);
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
    fn neighbours_stand_side_by_side_and_rows_do_not_meet() {
        let place = |number: u64| Neighbours::default().hash_one(number) & 0xFFFF;
        assert_eq!(place(641), place(640) + 1);
        for step in [1, 64, 4096, 1 << 20, 1 << 40] {
            let rows: HashSet<u64> = (0..512).map(|nth| place(64 * step * nth)).collect();
            assert!(rows.len() > 256, "512 rows stand in {} places", rows.len());
        }
    }
}
