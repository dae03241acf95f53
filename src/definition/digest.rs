//! A fingerprint of a job's own entry: equal as long as the entry says the same, whatever the order of its keys.
//!
//! It is kept in stores, so it must be the same for ever: 64-bit FNV-1a over the entry's resolved tree. A map is its
//! entries in the order of their keys; every text is preceded by its length, so that no two trees give the same bytes.

use super::matrix::Combination;
use super::tree::{Class, Kind, Node};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The fingerprint of an entry, aliases and merge keys resolved. A bare script is the same as one under `run`.
/// The `id` is left out: it says which job this is, not what it does.
pub(super) fn of_entry(entry: &Node<'_>) -> i64 {
    let mut hash = Fnv(OFFSET);
    if let Kind::Map(_) = entry.kind {
        hash.node(entry, &["id"]);
    } else {
        hash.head(b'm', 1);
        hash.text("run");
        hash.node(entry, &[]);
    }
    hash.0.cast_signed()
}

/// The fingerprint of one job of a matrix: of its values and of all else in the entry, so that another value beside its
/// own changes nothing.
pub(super) fn of_combination(entry: &Node<'_>, combination: &Combination<'_>) -> i64 {
    let mut hash = Fnv(OFFSET);
    hash.node(entry, &["id", "matrix"]);
    let mut values: Vec<_> = combination.values().collect();
    values.sort_by_key(|(name, ..)| *name);
    hash.head(b'x', values.len());
    for (name, class, text) in values {
        hash.text(name);
        hash.scalar(class, text);
    }
    hash.0.cast_signed()
}

struct Fnv(u64);

impl Fnv {
    /// A value; of a map without the keys `but`.
    fn node(&mut self, node: &Node<'_>, but: &[&str]) {
        match &node.kind {
            Kind::Null => self.bytes(b"0"),
            Kind::Scalar(class, text) => self.scalar(*class, text),
            Kind::List(items) => {
                self.head(b'l', items.len());
                for item in items {
                    self.node(item, &[]);
                }
            }
            Kind::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().filter(|entry| !but.contains(&&*entry.key.text)).collect();
                sorted.sort_by(|a, b| a.key.text.cmp(&b.key.text));
                self.head(b'm', sorted.len());
                for entry in sorted {
                    self.text(&entry.key.text);
                    self.node(&entry.value, &[]);
                }
            }
            Kind::Tagged(_, inner) => self.node(inner, but),
        }
    }

    fn scalar(&mut self, class: Class, text: &str) {
        self.bytes(match class {
            Class::Bool => b"b",
            Class::Whole | Class::Decimal => b"n",
            Class::Text => b"t",
        });
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn head(&mut self, kind: u8, length: usize) {
        self.bytes(&[kind]);
        self.bytes(&(length as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
}
