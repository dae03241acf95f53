//! Needs: found by name in all queues, and rejected if they can never be met.

use std::fmt::Write;
use std::sync::Arc;

use setlist::model::{JobRef, OutcomeCondition};

use super::*;

/// The needs of a job as `queue/name`, with the required outcome unless it is `success`.
fn needs(plan: &DesiredState, queue: usize, job: usize) -> Vec<String> {
    let needs = plan.queues[queue].jobs[job].scheduling.needs.iter();
    let needs = needs.map(|need| match need.on {
        OutcomeCondition::Success => need.job.to_string(),
        on => format!("{}:{on:?}", need.job),
    });
    needs.collect()
}

#[test]
fn needs_name_jobs_of_this_queue_or_others() {
    let plan = parse_valid(
        r"
queues:
  build:
    - {title: Unit tests, run: a, needs: [lint, deploy/check]}
    - {id: lint, run: b, needs: cargo-fetch}
    - cargo fetch
    - {run: c, needs: [{job: lint, on: failure}, {job: unit-tests, on: finish}, {job: cargo-fetch}]}
    - {run: d, needs: {job: lint, on: success}}
    - {run: e, needs: build/lint}
    - {run: f, needs: []}
  deploy:
    jobs: [{id: check, run: a, needs: 'odd/queue/x'}]
  odd/queue: [x]
",
    );
    assert_eq!(needs(&plan, 0, 0), ["build/lint", "deploy/check"]);
    assert_eq!(needs(&plan, 0, 1), ["build/cargo-fetch"]);
    assert_eq!(needs(&plan, 0, 3), ["build/lint:Failure", "build/unit-tests:Finish", "build/cargo-fetch"]);
    assert_eq!([needs(&plan, 0, 4), needs(&plan, 0, 5)], [["build/lint"], ["build/lint"]]);
    assert_eq!([needs(&plan, 0, 2), needs(&plan, 0, 6)], [[""; 0], [""; 0]]);
    assert_eq!(plan.queues[1].jobs[0].scheduling.needs[0].job, JobRef::Named("odd/queue".into(), "x".into()));
}

#[test]
fn unknown_needs() {
    assert_report(
        "unknown_needs",
        "queues:
  build:
    - {id: lint, run: a}
    - {title: Unit tests, run: b, needs: lnt}
    - {run: c, needs: [Unit tests, package]}
    - {run: d, needs: [deploy/pakage, deplyo/package, nowhere/x]}
    - {run: e, needs: ['#7', 7]}
    - {run: f, needs: [pakage, quite something else]}
    - {run: g, needs: [{job: Lint, on: finished}, {jbo: lint}, {on: finish}, [lint], '', ~]}
  deploy:
    jobs: [{id: package, run: a, needs: build/unit-test}]
",
    );
    assert_report(
        "needs_of_a_queue",
        "defaults: {needs: [a], confirm: x}\nqueues:\n  q:\n    needs: [a]\n    matrix: {a: [1]}\n",
    );
    assert_report(
        "duplicate_needs",
        "queues:\n  q:\n    - a\n    - {run: b, needs: [a, q/a]}\n    - {run: c, needs: [a, {job: a, on: failure}]}\n",
    );
    assert_report(
        "needs_itself",
        "queues:\n  q:\n    - {id: a, run: a, needs: a}\n    - {id: b, run: a, needs: [q/b]}\n",
    );

    for (many, twice) in [(5, 2), (16, 0), (17, 0), (40, 1), (40, 39)] {
        let (jobs, needs): (String, String) =
            (0..many).map(|n| (format!("    - {{id: j{n}, run: a}}\n"), format!("j{n}, "))).unzip();
        let yaml = format!("queues:\n  q:\n{jobs}    - {{run: b, needs: [{needs}j{twice}]}}\n");
        let report = parse_invalid(&yaml);
        assert_eq!(report.errors.len(), 1);
        assert_eq!(report.errors[0].message, format!("duplicate need `j{twice}`"));
        assert_eq!(report.errors[0].related[0].message, "first used here");
    }
}

#[test]
fn a_needed_queue_means_all_of_its_jobs() {
    let plan = parse_valid(
        "
queues:
  build:
    - {id: lint, run: a}
    - {id: test, run: b, matrix: {v: [1, 2]}}
  a/b: [{id: c, run: a}]
  ship:
    - {id: pack, run: a, needs: [build]}
    - {id: sign, run: a, needs: ['build/*', 'a/b']}
    - {id: told, run: a, needs: {job: 'a/b/*', on: finish}}
    - {id: named, run: a, needs: [named-like-a-queue]}
    - {id: named-like-a-queue, run: a, needs: [named-like-a-queue/*]}
  named-like-a-queue: [{id: x, run: a}]
",
    );
    let build = ["build/lint", "build/test-1", "build/test-2"];
    assert_eq!(needs(&plan, 2, 0), build);
    assert_eq!(needs(&plan, 2, 1), [&build[..], &["a/b/c"]].concat());
    assert_eq!(needs(&plan, 2, 2), ["a/b/c:Finish"]);
    assert_eq!(needs(&plan, 2, 3), ["ship/named-like-a-queue"], "a job takes precedence");
    assert_eq!(needs(&plan, 2, 4), ["named-like-a-queue/x"]);
    assert_report(
        "needed_queues",
        "queues:
  build: [{id: lint, run: a, needs: ship}]
  empty: []
  ship:
    - {id: pack, run: a, needs: [build]}
    - {id: sign, run: a, needs: [ship, 'ship/*', empty, 'empty/*', biuld, 'biuld/*']}
    - {id: send, run: a, needs: [build/lint, build]}
",
    );
    // Errors of a queue may hide its jobs.
    let report = parse_invalid("queues:\n  a: text\n  b: [{run: x, needs: a}]\n");
    assert_eq!(report.errors.len(), 1, "{report:?}");
}

#[test]
fn needs_of_unreadable_jobs_are_not_reported() {
    let report = parse_invalid(
        "queues:\n  q:\n    - {id: a, run: a, tiemout: 1}\n    - {run: b, needs: [a, r/x, s/y]}\n    - {id: c}\n    - {run: d, needs: c}\n  r: text\n  s: {jobs: text}\n",
    );
    let messages: Vec<&str> = report.errors.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "unknown field `tiemout`",
            "this job has neither `run` nor `command`",
            "expected a list of jobs or a map of the queue's fields, found text",
            "expected a list of jobs, found text"
        ]
    );
}

#[test]
fn dependency_cycles() {
    assert_report(
        "cycle_of_two",
        "queues:\n  q:\n    - {id: a, run: a, needs: b}\n    - {id: b, run: b, needs: [a]}\n",
    );
    assert_report(
        "cycle_across_queues",
        "queues:
  build:
    - id: test
      run: a
      needs: [lint, deploy/check]
    - id: lint
      run: b
    - id: pack
      run: c
      needs:
        - job: test
          on: finish
  deploy:
    jobs:
      - {id: check, run: d, needs: [build/lint, build/pack]}
",
    );
    let long: String = (0..6).fold(String::new(), |mut yaml, n| {
        writeln!(yaml, "    - {{id: j{n}, run: a, needs: [j{}]}}", (n + 1) % 6).unwrap();
        yaml
    });
    assert_report("cycle_of_many", &format!("queues:\n  q:\n{long}"));
    assert_report(
        "two_cycles",
        "queues:\n  q:\n    - {id: a, run: a, needs: b}\n    - {id: b, run: b, needs: [a, c]}\n    - {id: c, run: c, needs: b}\n",
    );
}

/// A queue in which each job needs the previous one and `also`.
fn chain(length: usize, also: impl Fn(usize) -> String) -> String {
    (0..length).fold(String::from("queues:\n  q:\n    - {id: j0, run: a}\n"), |mut yaml, n| {
        writeln!(yaml, "    - {{id: j{}, run: a, needs: [j{n}{}]}}", n + 1, also(n)).unwrap();
        yaml
    })
}

#[test]
fn long_chains_are_resolved_quickly() {
    let plan = parse_valid(&chain(20_000, |n| if n == 0 { String::new() } else { ", j0".to_owned() }));
    assert_eq!(plan.queues[0].jobs.len(), 20_001);
    assert_eq!(needs(&plan, 0, 20_000), ["q/j19999", "q/j0"]);

    let cycle = chain(20_000, |_| String::new()).replacen("run: a", "run: a, needs: j20000", 1);
    let report = parse_invalid(&cycle);
    assert_eq!(report.errors[0].message, "dependency cycle of 20,001 jobs");
    assert_eq!(report.errors[0].related.len(), 49);

    // Each of them forms a cycle with all jobs before it.
    let cycles = chain(3000, |n| if n == 0 { String::new() } else { ", j3000".to_owned() });
    assert_eq!(parse_invalid(&cycles).errors.len(), 100);

    // The number of name comparisons is limited.
    let unknown = chain(3000, |n| format!(", i{n}"));
    let report = parse_invalid(&unknown);
    assert_eq!((report.errors.len(), report.omitted), (100, 2900));
}

#[test]
fn too_many_needs_are_rejected() {
    let values = format!("[{}]", (0..32).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    let all = format!("matrix: {{a: {values}, b: {values}}}");
    let yaml = format!("queues: {{q: [{{id: a, run: a, {all}}}, {{id: b, run: b, needs: a, {all}}}]}}");
    assert_report_of_long_file("too_many_needs", &yaml);
    let plan = parse_valid(&yaml.replace(", 31]", "]"));
    let [first, .., last] = &plan.queues[0].jobs[31 * 31..] else { panic!() };
    assert_eq!(last.scheduling.needs.len(), 31 * 31);
    assert!(Arc::ptr_eq(&first.scheduling, &last.scheduling));
}
