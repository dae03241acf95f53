//! Matrix jobs: their names, placeholders and errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;

/// The names and titles of the jobs of the first queue.
fn labels(plan: &DesiredState) -> Vec<(&str, &str)> {
    let jobs = plan.queues[0].jobs.iter();
    jobs.map(|job| (job.name.as_deref().unwrap(), job.title.as_str())).collect()
}

fn needs(job: &Definition) -> Vec<String> {
    job.scheduling.needs.iter().map(|need| need.job.to_string()).collect()
}

fn env(job: &Definition) -> BTreeMap<String, Option<String>> {
    script(job).exec.env.clone()
}

#[test]
fn a_matrix_defines_a_job_for_each_combination() {
    let plan = parse_valid(
        "queues: {q: [{title: Test, run: 'cargo +$rust test', matrix: {rust: [1.80, nightly], os: [linux, 'Mac OS']}}, last]}",
    );
    assert_eq!(
        labels(&plan),
        [
            ("test-1-80-linux", "Test (1.80, linux)"),
            ("test-1-80-mac-os", "Test (1.80, Mac OS)"),
            ("test-nightly-linux", "Test (nightly, linux)"),
            ("test-nightly-mac-os", "Test (nightly, Mac OS)"),
            ("last", ""),
        ]
    );
    let job = &plan.queues[0].jobs[1];
    assert_eq!(script(job).program, shell("cargo +$rust test"));
    let variables = [("os", "Mac OS"), ("rust", "1.80")];
    assert_eq!(env(job), variables.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into());
}

#[test]
fn placeholders_are_replaced_in_job_fields() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - id: all
      title: On ${matrix.os}, ${matrix.n} times
      command: ["run-${matrix.os}", "-n", "${matrix.n}", "$os ${other} ${{x}} $"]
      args: ["${matrix.n}", "${matrix.n}0", "${matrix.flag}"]
      kwargs: {os: "${matrix.os}"}
      env: {OS: "${matrix.os}", os: own}
      cwd: "in/${matrix.os}"
      stdin: "${matrix.os}${matrix.os}"
      confirm: Really on ${matrix.os}?
      tags: ["${matrix.os}"]
      env_file: ["${matrix.os}.env"]
      weight: ${matrix.n}
      timeout: ${matrix.n}m
      retry: {max: "${matrix.n}", delay: 1s}
      matrix: {os: [Linux], n: [2], flag: [true]}
    - {run: a, shell: "python${matrix.v}", matrix: {v: [3]}}
"#,
    );
    let job = &plan.queues[0].jobs[0];
    assert_eq!((job.name.as_deref(), &*job.title), (Some("all-linux-2-true"), "On Linux, 2 times"));
    let words = ["run-Linux", "-n", "2", "$os ${other} ${{x}} $"].map(String::from).to_vec();
    assert_eq!(script(job).program, Program::Command(words));
    assert_eq!(
        job.arguments.args,
        [json!(2), json!("20"), json!(true)],
        "a placeholder alone takes the type of its value"
    );
    assert_eq!(json!(job.arguments.kwargs), json!({"os": "Linux"}));
    assert_eq!((&env(job)["OS"], &env(job)["os"]), (&Some("Linux".into()), &Some("own".into())));
    let setup = &script(job).exec;
    assert_eq!((setup.cwd.as_deref(), setup.stdin.as_deref()), (Some("in/Linux".as_ref()), Some("LinuxLinux")));
    assert_eq!((&*setup.env_files, setup.timeout.unwrap().as_secs()), (&["Linux.env".into()][..], 120));
    assert_eq!(
        (job.scheduling.confirm.as_deref(), job.scheduling.weight, job.scheduling.retry.max),
        (Some("Really on Linux?"), 2, 2)
    );
    assert_eq!(*job.tags, ["Linux"]);
    let Program::Run { shell, .. } = &script(&plan.queues[0].jobs[1]).program else { panic!() };
    assert_eq!(**shell, ["python3"]);
}

#[test]
fn matrix_jobs_without_a_title_get_distinct_labels() {
    let plan = parse_valid(
        "queues: {q: [{run: \"\\n make all\", matrix: {a: [1]}}, {command: [make, all], matrix: {a: [1]}}, {command: [make, \"${matrix.a}\"], matrix: {a: [1]}}]}",
    );
    assert_eq!(labels(&plan), [("make-all-1", "make all (1)"), ("make-all-2-1", "make all (1)"), ("make-1", "")]);
}

#[test]
fn matrix_jobs_without_a_title_show_their_values() {
    let plan = parse_valid(
        "queues: {q: [{run: './train --n=$n ${mode}s $nn', matrix: {n: [23], mode: [fast]}}, {run: 'echo $n$n', matrix: {mode: [a b], n: [1]}}, {run: 'a $$n ${n', matrix: {n: [$x]}}]}",
    );
    let titles: Vec<_> = labels(&plan).iter().map(|(_, title)| *title).collect();
    assert_eq!(titles, ["./train --n=23 fasts $nn", "echo 11 (a b)", "a $$x ${n"]);
    let plan = parse_valid("queues: {q: [{title: 'T $n', run: 'echo $n', matrix: {n: [1]}}]}");
    assert_eq!(labels(&plan)[0].1, "T $n (1)", "a title is text");
}

#[test]
fn matrix_job_names_are_unique() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - {id: t, run: a, matrix: {v: [a b, a-b, "", "+", "1", "²", "日本"]}}
    - {id: t-a-b, run: x}
    - {title: T, run: x}
    - {title: "Test ${matrix.v}", run: x, matrix: {v: [1]}}
    - {title: Test, run: x}
"#,
    );
    let names: Vec<&str> = labels(&plan).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["t-a-b-2", "t-a-b-3", "t-empty", "t-u2b", "t-1", "t-²", "t-日本", "t-a-b", "t-2", "test-1", "test-2"]
    );
}

#[test]
fn a_matrix_job_keeps_its_identity_when_values_change() {
    let jobs = |matrix: &str| {
        let plan = parse_valid(&format!("queues: {{q: [{{id: t, run: a, timeout: 1m, matrix: {matrix}}}]}}"));
        let jobs = plan.queues[0].jobs.iter();
        jobs.map(|job| (job.name.clone().unwrap(), job.digest.unwrap())).collect::<BTreeMap<Arc<str>, i64>>()
    };
    let before = jobs("{v: [1, 2], w: [x]}");
    let after = jobs("{v: [0, 1, 2], w: [x, y]}");
    assert_eq!((before.len(), after.len()), (2, 6));
    assert!(before.iter().all(|job| after.get(job.0) == Some(job.1)));
    let mut digests: Vec<i64> = after.into_values().collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 6);
    let digest = |entry: &str| parse_valid(&format!("queues: {{q: [{entry}]}}")).queues[0].jobs[0].digest.unwrap();
    let one = digest("{run: a, timeout: 1m, matrix: {v: [1], w: [x]}}");
    assert_eq!(one, before["t-1-x"]);
    for other in [
        "{run: a, timeout: 2m, matrix: {v: [1], w: [x]}}",
        "{run: a, timeout: 1m, matrix: {v: ['1'], w: [x]}}",
        "{run: a, timeout: 1m, matrix: {w: [1], v: [x]}}",
        "{run: a, timeout: 1m}",
    ] {
        assert_ne!(digest(other), one, "{other}");
    }
    // Stores keep the digest, so it must never change.
    assert_eq!(one, DIGEST_OF_A_COMBINATION);
}

const DIGEST_OF_A_COMBINATION: i64 = 233_513_787_693_007_030;

#[test]
fn needs_can_name_a_matrix_or_one_of_its_jobs() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - {id: build, run: a, matrix: {os: [linux, Mac OS]}}
    - {id: test, run: b, matrix: {os: [Mac OS, linux]}, needs: ["build-${matrix.os}"]}
    - {id: pack, run: c, needs: [test]}
    - {id: one, run: d, needs: [test-linux]}
  r:
    - {run: e, needs: [{job: q/build, on: finish}]}
"#,
    );
    let jobs = &plan.queues[0].jobs;
    assert_eq!([needs(&jobs[2]), needs(&jobs[3])], [["q/build-mac-os"], ["q/build-linux"]]);
    assert_eq!(needs(&jobs[4]), ["q/test-mac-os", "q/test-linux"]);
    assert_eq!(needs(&jobs[5]), ["q/test-linux"]);
    assert_eq!(needs(&plan.queues[1].jobs[0]), ["q/build-linux", "q/build-mac-os"]);
}

#[test]
fn line_of_finds_a_matrix_job() {
    let yaml = "queues:\n  q:\n    - {run: a, matrix: {v: [1, 2]}}\n    - a-2\n    - {id: x, run: a, matrix: {v: [1, 2]}}\n    - a\n";
    let plan = parse_valid(yaml);
    let lines = labels(&plan).into_iter().map(|(name, _)| (name, definition::line_of(yaml, "q", name).unwrap()));
    assert_eq!(lines.collect::<Vec<_>>(), [("a-1", 3), ("a-2", 3), ("a-2-2", 4), ("x-1", 5), ("x-2", 5), ("a-3", 6)]);
}

#[test]
fn invalid_matrices() {
    assert_report(
        "matrices",
        "queues:
  q:
    - {run: a, matrix: {}}
    - {run: b, matrix: [x]}
    - {run: c, matrix: {v: []}}
    - {run: d, matrix: {v: x}}
    - {run: e, matrix: {v: [1, ~, [2]]}}
    - {run: f, matrix: {v: [1, 2, 1]}}
    - {run: g, matrix: {rust-version: [1], 2v: [1], SETLIST_JOB: [1]}}
    - {run: h, matrix: {v: [1], v: [2]}}
",
    );
    assert_report(
        "placeholders",
        r#"queues:
  q:
    - title: Test ${matrix.oss}
      command: [make, "${matrix.target}", "${{ matrix.os }}", "${matrix.os"]
      env: {A: "${ matrix.os }"}
      matrix: {os: [linux, mac]}
    - id: x-${matrix.os}
      run: |
        echo "${matrix.os}"
      matrix: {os: [linux, mac]}
    - run: a
      timeout: ${matrix.time}
      matrix: {time: [1m, soon, later]}
    - run: echo ${{ matrix.os }}
      matrix: {os: [linux]}
"#,
    );
    assert_report(
        "placeholders_without_a_matrix",
        r#"defaults: {cwd: "${matrix.os}"}
queues:
  q:
    env: {A: "${matrix.os}"}
    jobs:
      - {title: "T ${matrix.os}", run: "node ${matrix.os}", args: ["${matrix.os}"]}
"#,
    );
    assert_report(
        "needs_of_a_matrix",
        r#"queues:
  q:
    - {id: a, run: a, matrix: {v: [1, 2]}, needs: [a]}
    - {id: b, run: a, matrix: {v: [1, 2]}, needs: [b-1]}
    - {id: c, run: a, matrix: {v: [1, 2]}, needs: ["a-${matrix.v}", "e-${matrix.v}"]}
    - {id: d, run: a, needs: [a, a-2]}
"#,
    );
    assert_report(
        "cycle_of_a_matrix",
        r#"queues:
  q:
    - {id: a, run: a, matrix: {v: [1, 2]}, needs: ["b-${matrix.v}"]}
    - {id: b, run: a, matrix: {v: [1, 2]}, needs: ["a-${matrix.v}"]}
"#,
    );
    let list = format!("[{}]", (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    assert_report_of_long_file(
        "large_matrix",
        &format!("queues: {{q: [{{run: a, matrix: {{a: {list}, b: {list}}}}}]}}"),
    );
    let many: Vec<String> = ('a'..='z').map(|name| format!("{name}: {list}")).collect();
    assert_report_of_long_file("huge_matrix", &format!("queues: {{q: [{{run: a, matrix: {{{}}}}}]}}", many.join(", ")));
}

#[test]
fn matrix_jobs_are_limited_in_memory() {
    let list = format!("&l [{}]", (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    let text = "x".repeat(100_000);
    let one = format!("{{run: {text}, matrix: {{a: {list}}}}}");
    assert_eq!(parse_valid(&format!("queues: {{q: [{one}]}}")).queues[0].jobs.len(), 100);
    let large = "the `matrix` jobs of this file take more than 64 MiB of memory";
    let seven = one.replacen("&l ", "", 1) + ", ";
    assert_eq!(parse_invalid(&format!("queues: {{q: [{}]}}", seven.repeat(7))).errors[0].message, large);
    let square = format!("queues: {{q: [{{run: {text}, matrix: {{a: {list}, b: *l}}}}]}}");
    assert_report_of_long_file("large_jobs_of_a_matrix", &square);
    let around = format!("queues: {{q: {{env: {{A: {text}}}, jobs: [{{run: a, matrix: {{a: {list}, b: *l}}}}]}}}}");
    assert_eq!(parse_invalid(&around).errors[0].message, large);
}

#[test]
fn a_text_may_contain_many_placeholders() {
    let title = "${matrix.v}".repeat(100_000);
    let plan = parse_valid(&format!("queues: {{q: [{{title: '{title}', run: a, matrix: {{v: [1]}}}}]}}"));
    assert_eq!(labels(&plan), [("a-1", &*"1".repeat(100_000))]);
}
