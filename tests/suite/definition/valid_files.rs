//! The meaning of valid files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use setlist::definition;
use setlist::model::{Definition, OnFailure, Program, Script};

use super::*;

#[test]
fn the_readme_example_is_valid() {
    let plan = parse_valid(
        r#"
defaults: {timeout: 1h}
queues:
  build:
    title: Build and test
    parallel: 2
    on_failure: continue
    env: {CARGO_TERM_COLOR: always}
    jobs:
      - cargo fetch
      - id: lint
        title: Lint
        run: |
          cargo fmt --check
          cargo clippy -- -D warnings
      - title: Unit tests
        run: cargo test "$@"
        args: [--locked]
        timeout: 10m
  nightly: [./backup.sh, ./report.sh]
"#,
    );
    let build = &plan.queues[0];
    assert_eq!((build.id.as_str(), &*build.settings.title), ("build", "Build and test"));
    assert_eq!((build.settings.parallel, build.settings.on_failure), (2, OnFailure::Continue));
    assert!(build.settings.is_in_file);
    assert_eq!(job_names(&plan, 0), ["cargo-fetch", "lint", "unit-tests"]);
    assert_eq!(job_names(&plan, 1), ["backup-sh", "report-sh"]);

    let mut fetch = Script::shell("cargo fetch");
    fetch.exec_mut().env = BTreeMap::from([("CARGO_TERM_COLOR".to_owned(), Some("always".to_owned()))]);
    fetch.exec_mut().timeout = Some(Duration::from_secs(3600));
    assert_eq!(*script(&build.jobs[0]), fetch);
    assert_eq!(script(&build.jobs[1]).program, shell("cargo fmt --check\ncargo clippy -- -D warnings\n"));
    assert_eq!(build.jobs[1].title, "Lint");
    assert_eq!(build.jobs[2].arguments.args, [json!("--locked")]);
    assert_eq!(script(&build.jobs[2]).exec.timeout, Some(Duration::from_secs(600)));

    let nightly = &plan.queues[1];
    assert_eq!((nightly.settings.parallel, nightly.settings.order), (1, 1));
    assert_eq!(script(&nightly.jobs[0]).program, shell("./backup.sh"));
}

#[test]
fn all_job_fields_are_read() {
    let plan = parse_valid(
        r#"
queues:
  q:
    - id: all
      title: Everything
      run: echo "$@"
      shell: [bash, -eu, -c]
      args: [one, 2, true, 1.5, 1.10, 0x1F]
      kwargs: {flag: true, off: false, none: null, name: text, n: 3}
      env: {A: text, B: 12, C: true, D: null, E: 1.10, F: 0o022, G: "~"}
      cwd: sub/folder
      stdin: |
        line
      timeout: 1h 30m
      grace: 500ms
      ok_codes: [0, 3]
      tags: [slow, 5]
    - {command: [sleep, 0.1], grace: 0, timeout: 90}
"#,
    );
    let job = &plan.queues[0].jobs[0];
    let all = script(job);
    assert_eq!((job.name.as_deref(), &*job.title), (Some("all"), "Everything"));
    assert_eq!(
        all.program,
        Program::Run { text: "echo \"$@\"".into(), shell: vec!["bash".into(), "-eu".into(), "-c".into()].into() }
    );
    assert_eq!(
        job.arguments.args,
        [json!("one"), json!(2), json!(true), json!(1.5), json!("1.10"), json!("0x1F")],
        "a number that would be spelled differently stays text"
    );
    assert_eq!(json!(job.arguments.kwargs), json!({"flag": true, "off": false, "none": null, "name": "text", "n": 3}));
    let env = |name: &str| all.exec.env[name].as_deref();
    assert_eq!([env("A"), env("B"), env("C"), env("D")], [Some("text"), Some("12"), Some("true"), None]);
    assert_eq!([env("E"), env("F"), env("G")], [Some("1.10"), Some("0o022"), Some("~")]);
    assert_eq!(all.exec.cwd, Some(PathBuf::from("sub/folder")));
    assert_eq!(all.exec.stdin.as_deref(), Some("line\n"));
    assert_eq!((all.exec.timeout, all.exec.grace), (Some(Duration::from_secs(5400)), Duration::from_millis(500)));
    assert_eq!((&*all.exec.ok_codes, &*job.tags), (&[0, 3][..], &["slow".to_owned(), "5".to_owned()][..]));

    let second = script(&plan.queues[0].jobs[1]);
    assert_eq!(second.program, Program::Command(vec!["sleep".into(), "0.1".into()]));
    assert_eq!((second.exec.timeout, second.exec.grace), (Some(Duration::from_secs(90)), Duration::ZERO));
}

#[test]
fn numbers_and_booleans_are_accepted_as_text() {
    let plan =
        parse_valid("queues: {1: [true, {command: [false, 007, +1, -5, 1e3, .5]}, {id: v1.0, title: 2024, run: 1}]}");
    assert_eq!(plan.queues[0].id.as_str(), "1");
    let jobs = &plan.queues[0].jobs;
    assert_eq!(script(&jobs[0]).program, shell("true"));
    assert_eq!(
        script(&jobs[1]).program,
        Program::Command(["false", "007", "+1", "-5", "1e3", ".5"].map(String::from).to_vec())
    );
    assert_eq!(jobs[2].title, "2024");
    assert_eq!(script(&jobs[2]).program, shell("1"));
}

#[test]
fn numbers_keep_their_spelling_after_anchors_tags_and_wide_characters() {
    let plan = parse_valid(
        "# ±\u{2028}# é\r\nqueues:\r\n  é日本: [{run: a, env: {Ü: &x 1.10, V: *x, W: !!float 2.50, Z: &y !!int 0x1F, T: !!str 1.0}}]\r\n",
    );
    let env = &script(&plan.queues[0].jobs[0]).exec.env;
    let text = |name: &str| env[name].clone().unwrap();
    assert_eq!([text("Ü"), text("V"), text("W"), text("Z"), text("T")], ["1.10", "1.10", "2.50", "0x1F", "1.0"]);
}

#[test]
fn numbers_after_keys_keep_their_spelling() {
    let plan = parse_valid(
        r#"
x-some: &some {K: 1.50, L: &l 7.0, M: &m J}
queues:
  q:
    - run: a
      env:
        A : 1.10 # a space before the colon
        B:    2.0
        "C": 3.00
        'D' : 0b11
        ? E
        : 4.0
        F:
          5.0
        G: *l
        <<: *some
        I: TRUE
        *m : 6.0
        O: !!float 8.0
        "a\u0050": 9.0
        Q: .inf
        R: -0
        S: +12
        T: false
"#,
    );
    let env = &script(&plan.queues[0].jobs[0]).exec.env;
    let found: Vec<String> =
        env.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        found.join(" "),
        "A=1.10 B=2.0 C=3.00 D=0b11 E=4.0 F=5.0 G=7.0 I=TRUE J=6.0 K=1.50 L=7.0 M=J O=8.0 Q=.inf R=-0 S=+12 T=false \
         aP=9.0"
    );
}

#[test]
fn a_job_overrides_its_queue_and_a_queue_overrides_the_defaults() {
    let plan = parse_valid(
        r"
queues:
  plain:
    - a
  own:
    parallel: 1
    on_failure: continue
    shell: zsh
    timeout: 5m
    env: {B: queue, C: queue, D: queue}
    jobs:
      - a
      - run: a
        shell: python3
        timeout: none
        env: {C: job, D: null}
        tags: []
defaults:
  parallel: 3
  on_failure: stop
  shell: [bash, -c]
  timeout: 1m
  grace: 1s
  cwd: here
  ok_codes: [0, 1]
  tags: [all]
  env: {A: top, B: top}
",
    );
    let [bare, own] = &plan.queues[..] else { panic!() };
    assert_eq!((bare.settings.parallel, bare.settings.on_failure), (3, OnFailure::Stop));
    assert_eq!((own.settings.parallel, own.settings.on_failure), (1, OnFailure::Continue));
    let parts = |job: &Arc<Definition>| {
        let script = script(job).clone();
        let Program::Run { shell, .. } = script.program else { panic!() };
        let env =
            script.exec.env.clone().into_iter().map(|(name, value)| format!("{name}={}", value.unwrap_or("-".into())));
        (shell.join(" "), script.exec.timeout.map(|timeout| timeout.as_secs()), env.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(parts(&bare.jobs[0]), ("bash -c".into(), Some(60), "A=top B=top".into()));
    assert_eq!(parts(&own.jobs[0]), ("zsh".into(), Some(300), "A=top B=queue C=queue D=queue".into()));
    assert_eq!(parts(&own.jobs[1]), ("python3".into(), None, "A=top B=queue C=job D=-".into()));
    let inherited = script(&own.jobs[1]);
    assert_eq!((inherited.exec.grace.as_secs(), &*inherited.exec.ok_codes), (1, &[0, 1][..]));
    assert_eq!(inherited.exec.cwd, Some(PathBuf::from("here")));
    assert_eq!((&*own.jobs[0].tags, &*own.jobs[1].tags), (&["all".to_owned()][..], &[][..]));
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let plan = parse_valid(
        r"
x-base: &base {timeout: 1m, tags: [base], env: &env {A: 1, B: 2}}
x-more: &more {timeout: 2m, grace: 3s}
queues:
  q:
    - {<<: *base, run: a}
    - {run: b, <<: [*more, *base], tags: [own]}
    - run: c
      env: {<<: *env, B: own}
    - &job {run: d}
    - *job
  again: [*job]
",
    );
    let jobs = &plan.queues[0].jobs;
    assert_eq!((script(&jobs[0]).exec.timeout.unwrap().as_secs(), &*jobs[0].tags), (60, &["base".to_owned()][..]));
    assert_eq!((script(&jobs[1]).exec.timeout.unwrap().as_secs(), &*jobs[1].tags), (120, &["own".to_owned()][..]));
    assert_eq!(script(&jobs[1]).exec.grace.as_secs(), 3);
    assert_eq!(script(&jobs[1]).exec.env["A"].as_deref(), Some("1"));
    assert_eq!(script(&jobs[2]).exec.env["A"].as_deref(), Some("1"));
    assert_eq!(script(&jobs[2]).exec.env["B"].as_deref(), Some("own"));
    assert_eq!(job_names(&plan, 0)[3..], ["d", "d-2"]);
    assert_eq!(job_names(&plan, 1), ["d"]);
}

#[test]
fn a_queue_may_be_empty() {
    let plan = parse_valid("queues: {a: [], b: {title: B}, c: {jobs: []}, d: [x], 'odd/näme': []}");
    assert_eq!(plan.queues.iter().map(|queue| queue.jobs.len()).collect::<Vec<_>>(), [0, 0, 0, 1, 0]);
    assert!(parse_valid("queues: {}").queues.is_empty());
}

#[test]
fn the_starter_is_valid() {
    parse_valid(definition::BARE);
    let plan = parse_valid(definition::STARTER);
    assert_eq!(job_names(&plan, 0), ["echo-greeting-from", "count", "a-program-without-a-shell", "arguments"]);
    assert_eq!(job_names(&plan, 1), ["date", "uptime"]);
}
