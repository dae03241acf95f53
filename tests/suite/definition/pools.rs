//! `pools`, `uses` and `mutex` in a file: what they mean, and what is reported.

use super::{assert_report, parse_valid};
use setlist::model::PoolUse;

/// What each job of the file uses.
fn uses(yaml: &str) -> Vec<Vec<PoolUse>> {
    let desired = parse_valid(yaml);
    desired.queues.iter().flat_map(|queue| &queue.jobs).map(|job| job.scheduling.uses.clone()).collect()
}

fn units(pool: &str, count: u32) -> PoolUse {
    PoolUse { count, ..PoolUse::one_of(pool) }
}

#[test]
fn jobs_use_units_of_pools() {
    let file = "pools: {gpu: 2, licence: 1}\nqueues:\n  q:\n    - {run: a, uses: gpu}\n    - {run: b, uses: [gpu, licence]}\n    \
                - {run: c, uses: {gpu: 2}, mutex: db}\n    - {run: d, mutex: db}\n    - e\n";
    let [gpu, licence, db] = [units("gpu", 1), units("licence", 1), PoolUse::mutex("db")];
    let expected = [vec![gpu.clone()], vec![gpu, licence], vec![units("gpu", 2), db.clone()], vec![db], Vec::new()];
    assert_eq!(uses(file), expected);
    let desired = parse_valid(file);
    assert_eq!(
        desired.pools.iter().map(|(name, size)| (&**name, *size)).collect::<Vec<_>>(),
        [("gpu", 2), ("licence", 1)]
    );
}

#[test]
fn uses_are_inherited_and_replaced() {
    let file = "pools: {gpu: 2, disk: 9}\ndefaults: {uses: {disk: 3}, mutex: m}\nqueues:\n  q:\n    uses: gpu\n    jobs:\n      \
                - a\n      - {run: b, uses: []}\n      - {run: c, uses: disk, mutex: none}\n  r: [d]\n";
    let m = PoolUse::mutex("m");
    let expected =
        [vec![units("gpu", 1), m.clone()], vec![m.clone()], vec![units("disk", 1)], vec![units("disk", 3), m]];
    assert_eq!(uses(file), expected);
}

#[test]
fn a_matrix_fills_in_uses() {
    let file = "pools: {fast: 1, slow: 4}\nqueues:\n  q:\n    - run: a\n      matrix: {kind: [fast, slow], count: [1]}\n      \
                uses: {slow: \"${matrix.count}\"}\n    - {run: b, matrix: {kind: [fast, slow]}, uses: '${matrix.kind}', mutex: 'on-${matrix.kind}'}\n";
    let on = |kind: &str| vec![units(kind, 1), PoolUse::mutex(format!("on-{kind}"))];
    assert_eq!(uses(file), [vec![units("slow", 1)], vec![units("slow", 1)], on("fast"), on("slow")]);
}

#[test]
fn wrong_pools() {
    assert_report(
        "wrong_pools",
        "pools:\n  gpu: 2\n  licence: 0\n  two words: 1\n  api: {per: customer, size: 3}\nqueues: {}\n",
    );
    assert_report("pools_is_a_list", "pools: [gpu]\nqueues: {}\n");
    assert_report(
        "wrong_uses",
        "pools: {gpu: 2, disk: 1}\ndefaults: {mutex: disk}\nqueues:\n  q:\n    uses: {gpu: 3}\n    jobs:\n      - a\n      - b\n      \
         - {run: c, uses: gpi}\n      - {run: d, uses: [gpu, tape]}\n      - {run: e, uses: [gpu, gpu]}\n      \
         - {run: f, uses: {gpu: 0, 'a b': 1}}\n      - {run: g, uses: [{gpu: 1}]}\n      - {run: h, uses: null}\n      \
         - {run: i, mutex: 'a b'}\n",
    );
    assert_report("a_pool_that_is_too_small", "pools: {gpu: 2}\nqueues:\n  q:\n    - {run: a, uses: {gpu: 3}}\n");
    assert_report(
        "pools_of_a_matrix",
        "pools: {gpu: 2}\nqueues:\n  q:\n    - {run: a, matrix: {n: [1, 2, 3]}, uses: {gpu: '${matrix.n}'}}\n",
    );
    assert_report("pools_in_a_queue", "queues:\n  q:\n    pools: {gpu: 1}\n    jobs: [a]\n");
}
