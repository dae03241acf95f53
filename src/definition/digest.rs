//! A fingerprint of a job's entry. It depends on what the entry says, not on the order of its keys.
//!
//! Stores keep it, so it must never change: a stable hash over the resolved tree. Map entries are hashed in the order
//! of their keys, and every text is preceded by its length, so different trees give different bytes.

use super::spanned_value::{Node, NodeKind, ScalarType};
use crate::stable_hash;

/// The fingerprint of an entry with aliases and merge keys resolved. A bare script equals one under `run`. The `id` is
/// excluded because it identifies the job rather than describing it.
pub(super) fn entry_digest(entry: &Node<'_>) -> i64 {
    let mut hash = TreeHash(stable_hash::EMPTY);
    if let NodeKind::Map(_) = entry.kind {
        hash.node(entry, &["id"]);
    } else {
        hash.header(b'm', 1);
        hash.text("run");
        hash.node(entry, &[]);
    }
    hash.0.cast_signed()
}

/// The fingerprint of one of the jobs of an entry, which its `field` defines. It depends on the job's own values and the
/// rest of the entry, not on the other values.
pub(super) fn variant_digest(entry: &Node<'_>, field: &str, mut values: Vec<(&str, ScalarType, &str)>) -> i64 {
    let mut hash = TreeHash(stable_hash::EMPTY);
    hash.node(entry, &["id", field]);
    values.sort_by_key(|(name, ..)| *name);
    hash.header(b'x', values.len());
    for (name, scalar_type, text) in values {
        hash.text(name);
        hash.scalar(scalar_type, text);
    }
    hash.0.cast_signed()
}

struct TreeHash(u64);

impl TreeHash {
    /// Hashes a value, without the keys `excluded` if it is a map.
    fn node(&mut self, node: &Node<'_>, excluded: &[&str]) {
        match &node.kind {
            NodeKind::Null => self.bytes(b"0"),
            NodeKind::Scalar(scalar_type, text) => self.scalar(*scalar_type, text),
            NodeKind::List(items) => {
                self.header(b'l', items.len());
                for item in items {
                    self.node(item, &[]);
                }
            }
            NodeKind::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().filter(|entry| !excluded.contains(&&*entry.key.text)).collect();
                sorted.sort_by(|a, b| a.key.text.cmp(&b.key.text));
                self.header(b'm', sorted.len());
                for entry in sorted {
                    self.text(&entry.key.text);
                    self.node(&entry.value, &[]);
                }
            }
            NodeKind::Tagged(_, inner) => self.node(inner, excluded),
        }
    }

    fn scalar(&mut self, scalar_type: ScalarType, text: &str) {
        self.bytes(match scalar_type {
            ScalarType::Bool => b"b",
            ScalarType::Integer | ScalarType::Decimal => b"n",
            ScalarType::Text => b"t",
        });
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn header(&mut self, kind: u8, length: usize) {
        self.bytes(&[kind]);
        self.bytes(&(length as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = stable_hash::extend(self.0, bytes.iter().copied());
    }
}
