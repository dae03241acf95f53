//! A hash that is the same in all versions and on all machines, for what is stored or found again by its hash: 64-bit
//! FNV-1a. It is not collision-resistant against chosen input.

/// The hash of no bytes.
pub(crate) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of these bytes.
pub(crate) fn stable_hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    extend(EMPTY, bytes)
}

/// The hash of what `hash` was made of, followed by these bytes.
pub(crate) fn extend(hash: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // <http://www.isthe.com/chongo/tech/comp/fnv/>
        assert_eq!(stable_hash(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stable_hash(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(stable_hash(*b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(extend(stable_hash(*b"foo"), *b"bar"), stable_hash(*b"foobar"));
    }
}
