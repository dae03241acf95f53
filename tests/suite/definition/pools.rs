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
fn the_key_of_a_pool_is_an_item_a_matrix_value_a_kwarg_or_an_input() {
    let file = "pools: {api: {per: customer, size: 3}, gpu: 1}\ninputs: {customer: acme}\nqueues:\n  q:\n    uses: {api: 2}\n    jobs:\n      \
                - {run: a, for_each: [{customer: x, n: 1}, {customer: y, n: 2}]}\n      \
                - {run: b, matrix: {customer: [z]}, uses: [gpu, api]}\n      - {run: c, kwargs: {customer: 7}}\n      \
                - {run: d, kwargs: {customer: \"${inputs.customer}\"}}\n      - e\n";
    let api = |key: &str| units("api", 2).with_key(key);
    let input = || vec![api("${inputs.customer}")];
    let two = vec![units("gpu", 1), units("api", 1).with_key("z")];
    assert_eq!(uses(file), [vec![api("x")], vec![api("y")], two, vec![api("7")], input(), input()]);
    assert_eq!(parse_valid(file).pools.get("api"), Some(&3));
}

#[test]
fn jobs_without_the_key_of_a_pool() {
    assert_report(
        "keys_of_pools",
        "pools: {api: {per: customer, size: 3}}\nqueues:\n  q:\n    inputs: {other: {type: secret}}\n    jobs:\n      \
         - {run: a, uses: api}\n      - {run: b, uses: {api: 4}, kwargs: {customer: x}}\n      \
         - {id: n, run: echo}\n      - {run: c, uses: api, needs: n, kwargs: {customer: \"${needs.n.value}\"}}\n",
    );
    assert_report(
        "secret_key_of_a_pool",
        "pools: {api: {per: customer, size: 3}}\nqueues:\n  q:\n    inputs: {customer: {type: secret}}\n    jobs:\n      - {run: a, uses: api}\n",
    );
    assert_report(
        "wrong_pools_by_key",
        "pools: {api: {per: customer}, b: {size: 1, pr: x}, c: {size: 0, per: ''}}\n\
         queues: {q: [{run: a, uses: [api, b, c]}]}\n",
    );
}

#[test]
fn wrong_pools() {
    assert_report(
        "wrong_pools",
        "pools:\n  gpu: 2\n  licence: 0\n  two words: 1\n  api: {per: customer, size: many}\nqueues: {}\n",
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
