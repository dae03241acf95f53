//! Where jobs stand in their queue: positions with room between them, so that few jobs move when the file's order changes.

/// The distance between the positions of neighbours, so that a job fits between two others.
pub(super) const STRIDE: i64 = 1 << 20;

/// A position for each job of a file, in the file's order; `known` are the positions that they have so far, and `end`
/// is the last one of the queue. As many jobs as possible keep theirs. The others go between their neighbours; where
/// there is no room, all from there on go behind the end.
pub(super) fn places(known: &[Option<i64>], end: i64) -> Vec<i64> {
    let kept = longest_rise(known);
    let mut places = Vec::with_capacity(kept.len());
    let mut last = 0;
    loop {
        let rest = &kept[places.len()..];
        let fresh = (0_i64..).zip(rest).find_map(|(fresh, position)| Some((fresh, (*position)?)));
        match fresh {
            Some((fresh, next)) if next - last > fresh => {
                let step = (next - last) / (fresh + 1);
                places.extend((1..=fresh).map(|nth| last + nth * step));
                places.push(next);
                last = next;
            }
            _ => {
                places.extend((1..).zip(rest).map(|(nth, _)| end + nth * STRIDE));
                return places;
            }
        }
    }
}

/// Places for so many jobs between two others, or behind the last; none where there is no room. 0 is before the first.
pub(super) fn between(before: i64, behind: Option<i64>, count: usize) -> Option<Vec<i64>> {
    let parts = i64::try_from(count).ok()?.checked_add(1)?;
    let behind = behind.map_or_else(|| before.checked_add(STRIDE.checked_mul(parts)?), Some)?;
    let step = behind.checked_sub(before)? / parts;
    (step > 0).then(|| (1..parts).map(|nth| before + nth * step).collect())
}

/// The longest rising selection of the positions; what is not selected becomes `None`.
fn longest_rise(positions: &[Option<i64>]) -> Vec<Option<i64>> {
    // For each length, where the selection of that length ends that ends lowest.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; positions.len()];
    for (here, position) in positions.iter().enumerate().filter(|(_, position)| position.is_some()) {
        let length = ends.partition_point(|&end| positions[end] < *position);
        before[here] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = here,
            None => ends.push(here),
        }
    }
    let mut kept = vec![None; positions.len()];
    let mut next = ends.last().copied();
    while let Some(here) = next {
        kept[here] = positions[here];
        next = before[here];
    }
    kept
}
