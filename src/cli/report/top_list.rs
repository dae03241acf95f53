//! The first few of any number of items by a key.

/// Keeps the items with the smallest keys.
#[derive(Debug)]
pub(super) struct TopList<K, T> {
    limit: usize,
    items: Vec<(K, T)>,
    /// How many items were added.
    pub(super) total: u64,
}

impl<K: Ord, T> TopList<K, T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, items: Vec::new(), total: 0 }
    }

    /// Adds an item, and drops items that are no longer among the first.
    pub(super) fn push(&mut self, key: K, item: T) {
        self.total += 1;
        self.items.push((key, item));
        if self.items.len() >= self.limit.saturating_mul(2).max(16) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.items.sort_by(|(first, _), (second, _)| first.cmp(second));
        self.items.truncate(self.limit);
    }

    /// The first items in order.
    pub(super) fn into_sorted(mut self) -> Vec<T> {
        self.cut();
        self.items.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_keys_are_kept_in_order() {
        let mut list = TopList::new(3);
        for key in (0..100).rev().chain([50, 1]) {
            list.push(key, key * 10);
            assert!(list.items.len() < 16);
        }
        assert_eq!(list.total, 102);
        assert_eq!(list.into_sorted(), [0, 10, 10]);
    }
}
