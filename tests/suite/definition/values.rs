//! Placeholders for values of needed jobs, and `unique`, in a file: what is reported.

use super::{assert_report, parse_valid};

#[test]
fn values_of_needed_jobs_may_be_used() {
    parse_valid(
        "defaults: {env: {FROM: \"${needs.build.value}\"}}\nqueues:\n  a:\n    - {id: build, run: a, env: {FROM: x}}\n  q:\n    \
         - {id: build, run: b, env: {FROM: x}}\n    - {id: c, needs: [build, a/build], command: [c, '${needs.build.value}', \
         '${needs.a/build.value.key}'], args: ['${needs.q/build.value}'], cwd: 'x/${needs.build.value}'}\n    \
         - {run: 'node x', shell: node, needs: build}\n    - {id: d, matrix: {os: [mac]}, run: d, env: {FROM: x}}\n    \
         - {id: e, needs: 'd-${matrix.os}', matrix: {os: [mac]}, command: [e, '${needs.d-${matrix.os}.value}'], env: {FROM: x}}\n",
    );
}

#[test]
fn values_of_no_single_job() {
    assert_report(
        "values_of_no_single_job",
        "queues:\n  q:\n    - {id: own, command: [a, '${needs.own.value}']}\n    - {id: each, for_each: 1..3, run: b}\n    \
         - {id: sum, needs: each, command: [c, '${needs.each.value}']}\n",
    );
}

#[test]
fn wrong_values() {
    assert_report(
        "wrong_values",
        "queues:\n  q:\n    - {id: build, run: make}\n    - {id: a, command: [a, '${needs.build.value}']}\n    \
         - {id: b, needs: build, command: [b, '${needs.biuld.value}']}\n    \
         - {id: c, needs: build, run: 'echo ${needs.build.value}'}\n    \
         - {id: d, needs: build, command: [bash, -lc, 'echo ${needs.build.value}']}\n    \
         - {id: e, needs: build, args: ['${needs.build}'], run: e}\n    \
         - {id: f, needs: build, title: '${needs.build.value}', run: f}\n    \
         - {id: g, matrix: {os: [mac]}, command: [g, '${needs.x-${matrix.os}.value}']}\n    \
         - {id: h, needs: build, run: h, if: 'test ${needs.build.value} = 1'}\n",
    );
    assert_report(
        "inherited_values",
        "queues:\n  q:\n    env: {V: '${needs.build.value}'}\n    jobs: [a, {id: b, needs: a, run: b}]\n",
    );
}

#[test]
fn wrong_keys() {
    assert_report(
        "wrong_keys",
        "queues:\n  q:\n    - {run: a, unique: x}\n    - {run: b, unique: x}\n    \
         - {run: c, matrix: {n: [1, 2]}, unique: y}\n    - {run: d, matrix: {n: [1, 2]}, unique: 'z${matrix.n}'}\n    \
         - {run: e, unique: ''}\n",
    );
}
