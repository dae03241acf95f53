//! Positions of jobs in their queue, with gaps, so that few jobs have to move when the order in the file changes.

/// The gap between consecutive positions, so that jobs can be inserted between two others.
pub(super) const POSITION_STRIDE: i64 = 1 << 20;

/// Assigns a position to each job of a file, in the file's order. `current` holds their present positions, `end` is the
/// last position of the queue. As many jobs as possible keep their position, the others get one between their
/// neighbours. Where the gap is too small, all jobs from there on are moved after the end.
pub(super) fn assign_positions(current: &[Option<i64>], end: i64) -> Vec<i64> {
    let kept = longest_increasing(current);
    let mut assigned = Vec::with_capacity(kept.len());
    let mut last = 0;
    loop {
        let rest = &kept[assigned.len()..];
        let next_kept = (0_i64..).zip(rest).find_map(|(gap, position)| Some((gap, (*position)?)));
        match next_kept {
            Some((gap, next)) if next - last > gap => {
                let step = (next - last) / (gap + 1);
                assigned.extend((1..=gap).map(|nth| last + nth * step));
                assigned.push(next);
                last = next;
            }
            _ => {
                assigned.extend((1..).zip(rest).map(|(nth, _)| end + nth * POSITION_STRIDE));
                return assigned;
            }
        }
    }
}

/// `count` positions between two others, or after the last one if `after` is `None`; `None` if the gap is too small. 0 is
/// before the first position.
pub(super) fn positions_between(before: i64, after: Option<i64>, count: usize) -> Option<Vec<i64>> {
    let parts = i64::try_from(count).ok()?.checked_add(1)?;
    let after = after.map_or_else(|| before.checked_add(POSITION_STRIDE.checked_mul(parts)?), Some)?;
    let step = after.checked_sub(before)? / parts;
    (step > 0).then(|| (1..parts).map(|nth| before + nth * step).collect())
}

/// The longest increasing subsequence of the positions; other positions become `None`.
fn longest_increasing(positions: &[Option<i64>]) -> Vec<Option<i64>> {
    // For each length, the end of the subsequence of that length with the lowest last position.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous = vec![None; positions.len()];
    for (here, position) in positions.iter().enumerate().filter(|(_, position)| position.is_some()) {
        let length = ends.partition_point(|&end| positions[end] < *position);
        previous[here] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = here,
            None => ends.push(here),
        }
    }
    let mut kept = vec![None; positions.len()];
    let mut next = ends.last().copied();
    while let Some(here) = next {
        kept[here] = positions[here];
        next = previous[here];
    }
    kept
}
