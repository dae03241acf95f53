//! `jobs.yaml`: what it means, and what is said of one that is wrong. The reports stand in `definition/`, one file
//! for each bad file, with the file as the description.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use setlist::definition::{self, Diagnostics, Error};
use setlist::model::{Call, Definition, OnFailure, Plan, Program, Script};

// What a good file means.

#[test]
fn the_example_of_the_manual() {
    let plan = good(
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
    assert!(build.settings.declared);
    assert_eq!(names(&plan, 0), ["cargo-fetch", "lint", "unit-tests"]);
    assert_eq!(names(&plan, 1), ["backup-sh", "report-sh"]);

    let mut fetch = Script::shell("cargo fetch");
    fetch.env = BTreeMap::from([("CARGO_TERM_COLOR".to_owned(), Some("always".to_owned()))]);
    fetch.timeout = Some(Duration::from_secs(3600));
    assert_eq!(*script(&build.jobs[0]), fetch);
    assert_eq!(script(&build.jobs[1]).program, shell("cargo fmt --check\ncargo clippy -- -D warnings\n"));
    assert_eq!(build.jobs[1].title, "Lint");
    assert_eq!(build.jobs[2].arguments.args, [json!("--locked")]);
    assert_eq!(script(&build.jobs[2]).timeout, Some(Duration::from_secs(600)));

    let nightly = &plan.queues[1];
    assert_eq!((nightly.settings.parallel, nightly.settings.order), (1, 1));
    assert_eq!(script(&nightly.jobs[0]).program, shell("./backup.sh"));
}

#[test]
fn every_field_of_a_job() {
    let plan = good(
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
        Program::Run { text: "echo \"$@\"".into(), shell: vec!["bash".into(), "-eu".into(), "-c".into()] }
    );
    assert_eq!(
        job.arguments.args,
        [json!("one"), json!(2), json!(true), json!(1.5), json!("1.10"), json!("0x1F")],
        "a number that would be spelled differently stays text"
    );
    assert_eq!(json!(job.arguments.kwargs), json!({"flag": true, "off": false, "none": null, "name": "text", "n": 3}));
    let env = |name: &str| all.env[name].as_deref();
    assert_eq!([env("A"), env("B"), env("C"), env("D")], [Some("text"), Some("12"), Some("true"), None]);
    assert_eq!([env("E"), env("F"), env("G")], [Some("1.10"), Some("0o022"), Some("~")]);
    assert_eq!(all.cwd, Some(PathBuf::from("sub/folder")));
    assert_eq!(all.stdin.as_deref(), Some("line\n"));
    assert_eq!((all.timeout, all.grace), (Some(Duration::from_secs(5400)), Duration::from_millis(500)));
    assert_eq!((&*all.ok_codes, &*job.tags), (&[0, 3][..], &["slow".to_owned(), "5".to_owned()][..]));

    let second = script(&plan.queues[0].jobs[1]);
    assert_eq!(second.program, Program::Command(vec!["sleep".into(), "0.1".into()]));
    assert_eq!((second.timeout, second.grace), (Some(Duration::from_secs(90)), Duration::ZERO));
}

#[test]
fn what_looks_like_a_number_or_a_bool_is_text_where_text_is_wanted() {
    let plan = good("queues: {1: [true, {command: [false, 007, +1, -5, 1e3, .5]}, {id: v1.0, title: 2024, run: 1}]}");
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
fn the_spelling_of_a_number_survives_anchors_tags_and_wide_characters() {
    let plan = good(
        "# ±\u{2028}# é\r\nqueues:\r\n  é日本: [{run: a, env: {Ü: &x 1.10, V: *x, W: !!float 2.50, Z: &y !!int 0x1F, T: !!str 1.0}}]\r\n",
    );
    let env = &script(&plan.queues[0].jobs[0]).env;
    let text = |name: &str| env[name].clone().unwrap();
    assert_eq!([text("Ü"), text("V"), text("W"), text("Z"), text("T")], ["1.10", "1.10", "2.50", "0x1F", "1.0"]);
}

#[test]
fn a_job_beats_its_queue_and_a_queue_beats_the_defaults() {
    let plan = good(
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
        let env = script.env.into_iter().map(|(name, value)| format!("{name}={}", value.unwrap_or("-".into())));
        (shell.join(" "), script.timeout.map(|timeout| timeout.as_secs()), env.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(parts(&bare.jobs[0]), ("bash -c".into(), Some(60), "A=top B=top".into()));
    assert_eq!(parts(&own.jobs[0]), ("zsh".into(), Some(300), "A=top B=queue C=queue D=queue".into()));
    assert_eq!(parts(&own.jobs[1]), ("python3".into(), None, "A=top B=queue C=job D=-".into()));
    let inherited = script(&own.jobs[1]);
    assert_eq!((inherited.grace.as_secs(), &*inherited.ok_codes), (1, &[0, 1][..]));
    assert_eq!(inherited.cwd, Some(PathBuf::from("here")));
    assert_eq!((&own.jobs[0].tags, &own.jobs[1].tags), (&vec!["all".to_owned()], &vec![]));
}

#[test]
fn anchors_aliases_and_merge_keys() {
    let plan = good(
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
    assert_eq!((script(&jobs[0]).timeout.unwrap().as_secs(), &*jobs[0].tags), (60, &["base".to_owned()][..]));
    assert_eq!((script(&jobs[1]).timeout.unwrap().as_secs(), &*jobs[1].tags), (120, &["own".to_owned()][..]));
    assert_eq!(script(&jobs[1]).grace.as_secs(), 3);
    assert_eq!(script(&jobs[1]).env["A"].as_deref(), Some("1"));
    assert_eq!(script(&jobs[2]).env["A"].as_deref(), Some("1"));
    assert_eq!(script(&jobs[2]).env["B"].as_deref(), Some("own"));
    assert_eq!(names(&plan, 0)[3..], ["d", "d-2"]);
    assert_eq!(names(&plan, 1), ["d"]);
}

#[test]
fn a_queue_may_be_empty() {
    let plan = good("queues: {a: [], b: {title: B}, c: {jobs: []}, '': [x], 'odd/näme': []}");
    assert_eq!(plan.queues.iter().map(|queue| queue.jobs.len()).collect::<Vec<_>>(), [0, 0, 0, 1, 0]);
    assert!(good("queues: {}").queues.is_empty());
}

#[test]
fn the_starter_is_a_good_file() {
    let plan = good(definition::STARTER);
    assert_eq!(names(&plan, 0), ["echo-greeting-from", "count", "a-program-without-a-shell", "arguments"]);
    assert_eq!(names(&plan, 1), ["date", "uptime"]);
}

// Names and fingerprints.

#[test]
fn names_are_made_from_titles_and_scripts() {
    let cases = [
        ("{title: Build & Test!, run: x}", "build-test"),
        ("{title: Don't panic, run: x}", "dont-panic"),
        ("{title: Größe prüfen, run: x}", "größe-prüfen"),
        ("{title: 构建 项目, run: x}", "构建-项目"),
        ("{title: \"cafe\u{301} noir\", run: x}", "cafe\u{301}-noir"),
        ("{title: हिन्दी परीक्षण, run: x}", "हिन्दी-परीक्षण"),
        ("{title: '🚀', run: cargo run}", "cargo-run"),
        ("{title: '2024', run: x}", "job-2024"),
        ("cargo test --workspace", "cargo-test"),
        ("./backup_db.sh", "backup_db-sh"),
        ("{command: [/usr/bin/make, -j4, all]}", "usr-bin-make"),
        ("{run: \"#!/bin/sh\\n# Say it.\\n\\n  echo hello big world\\n\"}", "echo-hello-big"),
        ("':'", "job"),
        (
            "{title: A title that goes on and on until nobody wants to type it any more, run: x}",
            "a-title-that-goes-on-and-on-until-nobody-wants",
        ),
    ];
    for (entry, name) in cases {
        assert_eq!(names(&good(&format!("queues: {{q: [{entry}]}}")), 0), [name], "{entry}");
    }
}

#[test]
fn made_names_never_clash_and_give_way_to_written_ones() {
    let plan =
        good("queues: {q: [a, a, {title: A, run: x}, {title: a-2, run: x}, {id: a, run: x}, {id: a-3, run: x}]}");
    assert_eq!(names(&plan, 0), ["a-2", "a-4", "a-5", "a-2-2", "a", "a-3"]);
}

#[test]
fn the_digest_is_of_what_the_entry_itself_says() {
    let digests = |yaml: &str| -> Vec<i64> {
        let plan = good(yaml);
        plan.queues.iter().flat_map(|queue| &queue.jobs).map(|job| job.digest.unwrap()).collect()
    };
    let entry = |entry: &str| digests(&format!("queues: {{q: [{entry}]}}"))[0];
    // It is kept in stores, so it may never change.
    assert_eq!(entry("cargo fetch"), DIGEST_OF_CARGO_FETCH);

    let same = entry("{run: a b, env: {A: 1, B: 2}, timeout: 1m}");
    assert_eq!(entry("{timeout: 1m, env: {B: 2, A: 1}, run: 'a b'}"), same, "order and quotes of texts don't matter");
    assert_eq!(entry("{id: other, timeout: 1m, env: {B: 2, A: 1}, run: a b}"), same, "the id says which job it is");
    assert_eq!(entry("a b"), entry("{run: a b}"));
    assert_eq!(entry("a b"), entry("{run: \"a b\"}"));

    for other in [
        "{run: a c, env: {A: 1, B: 2}, timeout: 1m}",
        "{run: a b, env: {A: 2, B: 1}, timeout: 1m}",
        "{run: a b, env: {A: 1, B: '2'}, timeout: 1m}",
        "{run: a b, env: {A: 1, B: 2}, timeout: 60s}",
        "{run: a b, env: {A: 1, B: 2}}",
        "{run: a b, env: {A: 1, B: 2}, timeout: 1m, title: T}",
    ] {
        assert_ne!(entry(other), same, "{other}");
    }
    assert_ne!(entry("{run: a, args: [b, c]}"), entry("{run: a, args: [c, b]}"));

    let inherits = digests("{defaults: {timeout: 2m}, queues: {q: {env: {X: 1}, jobs: [a b]}}}");
    assert_eq!(inherits, [entry("a b")], "what a job inherits is not its own");
    let merged = digests("{x-a: &a {timeout: 1m, env: {A: 1, B: 2}}, queues: {q: [{<<: *a, run: a b}]}}");
    assert_eq!(merged, [same], "aliases and merge keys are resolved");
}

const DIGEST_OF_CARGO_FETCH: i64 = 1_360_086_758_686_489_318;

// What is wrong with a bad file.

#[test]
fn unknown_fields() {
    bad("typo_in_a_job", "queues:\n  build:\n    jobs:\n      - run: a\n        tiemout: 10m\n");
    bad("typo_in_a_queue", "queues:\n  build:\n    paralel: 2\n    jobs: [a]\n");
    bad("typo_at_the_top", "default: {}\nqueues: {}\n");
    bad("typo_in_defaults", "defaults: {on-failure: stop}\nqueues: {}\n");
    bad("unknown_field", "queues:\n  q:\n    - run: a\n      colour: red\n");
    bad("field_of_a_queue_in_a_job", "queues:\n  q:\n    - run: a\n      parallel: 3\n");
    bad("field_of_a_job_in_a_queue", "queues:\n  q:\n    run: a\n");
    bad("field_of_a_job_in_defaults", "defaults:\n  args: [a]\n  title: T\nqueues: {}\n");
    bad("jobs_at_the_top", "jobs: [a]\nqueues: {}\n");
    bad(
        "fields_that_come_later",
        "queues:\n  q:\n    - run: a\n      retry: 2\n      needs: [x]\n      pty: true\n      matrix: {a: [1]}\n",
    );
    bad("hostile_field", "queues:\n  q:\n    - run: a\n      \"\\e[31m\\u0007evil\\n\": 1\n");
}

#[test]
fn duplicates() {
    bad("duplicate_field", "queues:\n  q:\n    - run: a\n      timeout: 1m\n      run: b\n");
    bad("duplicate_variable", "queues:\n  q:\n    - run: a\n      env:\n        A: 1\n        B: 2\n        A: 3\n");
    bad("duplicate_kwarg", "queues: {q: [{run: a, kwargs: {k: 1, \"k\": 2}}]}\n");
    bad("duplicate_queue", "queues:\n  q: [a]\n  r: [b]\n  q: [c]\n");
    bad(
        "duplicate_among_many",
        &format!("queues:\n{}  q7: []\n", (0..40).map(|n| format!("  q{n}: []\n")).collect::<Vec<_>>().concat()),
    );
    bad("duplicate_merge_key", "x-a: &a {timeout: 1m}\nqueues:\n  q:\n    - <<: *a\n      <<: *a\n      run: a\n");
    bad("duplicate_id", "queues:\n  q:\n    - id: lint\n      run: a\n    - run: b\n    - id: lint\n      run: c\n");
}

#[test]
fn wrong_types() {
    bad("top_is_a_list", "- a\n- b\n");
    bad("top_is_text", "hello\n");
    bad("queues_is_a_list", "queues:\n  - a\n");
    bad("queues_is_missing", "defaults: {timeout: 1m}\n");
    bad("queues_is_nothing", "queues:\n");
    bad("queue_is_nothing", "queues:\n  build:\n  test: []\n");
    bad("queue_is_text", "queues:\n  build: cargo build\n");
    bad("jobs_is_a_map", "queues:\n  build:\n    jobs:\n      lint: a\n");
    bad("job_is_nothing", "queues:\n  build:\n    - a\n    -\n");
    bad("job_is_a_list", "queues:\n  build:\n    - [a, b]\n");
    bad("job_is_an_unquoted_map", "queues:\n  build:\n    - echo hello: world\n");
    bad(
        "every_field_wrong",
        "queues:
  q:
    parallel: two
    on_failure: [stop]
    title: {}
    jobs:
      - id: [x]
        title:
        run: {a: b}
        shell: {}
        args: {a: b}
        kwargs: [a]
        env: [A]
        cwd: []
        stdin: ~
        timeout: [1m]
        grace: {}
        ok_codes: 1
        tags: slow
",
    );
    bad(
        "wrong_items",
        "queues:\n  q:\n    - run: a\n      args: [a, [b], null]\n      env: {A: [1], B: {c: d}}\n      ok_codes: [0, one, 256, -1]\n      tags: ['', ~]\n      kwargs: {k: []}\n",
    );
    bad("key_is_no_text", "queues:\n  q:\n    - run: a\n      env: {[a]: 1, ~: 2, {b: c}: 3}\n");
    bad("braces_without_quotes", "queues:\n  q:\n    - run: {{ script }}\n");
    bad("tag", "queues:\n  q:\n    - run: !secret a\n    - !job {run: b}\n");
    bad("merge_of_text", "queues:\n  q:\n    - {<<: text, run: a}\n    - {<<: [1], run: b}\n");
}

#[test]
fn wrong_values() {
    bad(
        "parallel",
        "queues:\n  a: {parallel: 0}\n  b: {parallel: \"2\"}\n  c: {parallel: 1.5}\n  d: {parallel: 99999999999}\n",
    );
    bad("on_failure", "queues:\n  a: {on_failure: stopp}\n  b: {on_failure: explode}\n");
    bad(
        "durations",
        "queues:
  q:
    - {run: a, timeout: 10 parsecs}
    - {run: b, timeout: ''}
    - {run: c, timeout: 0}
    - {run: d, timeout: -5}
    - {run: e, timeout: 1.5}
    - {run: f, timeout: true}
    - {run: g, grace: none}
    - {run: h, timeout: 1000years}
    - {run: i, timeout: 99999999999999999999}
    - {run: j, timeout: 1ns}
",
    );
    bad("empty_scripts", "queues:\n  q:\n    - ''\n    - run: ''\n    - run: |\n\n    - run: '  '\n    - run:\n");
    bad(
        "empty_commands",
        "queues:\n  q:\n    - command: []\n    - command: ['']\n    - command: echo a, b\n    - command: [a, [b]]\n",
    );
    bad("neither_run_nor_command", "queues:\n  q:\n    - title: Nothing\n    - {}\n");
    bad("both_run_and_command", "queues:\n  q:\n    - run: a\n      command: [b]\n");
    bad(
        "shells",
        "queues:\n  q:\n    - {run: a, shell: bash -x}\n    - {run: a, shell: []}\n    - {run: a, shell: ''}\n    - {command: [a], shell: bash}\n",
    );
    bad(
        "ids",
        "queues:\n  q:\n    - {id: a/b, run: a}\n    - {id: a b, run: a}\n    - {id: 12, run: a}\n    - {id: '#3', run: a}\n    - {id: '', run: a}\n",
    );
    bad("no_success", "queues:\n  q:\n    - {run: a, ok_codes: []}\n");
    bad("names_of_variables", "queues:\n  q:\n    - run: a\n      env: {'': 1, A=B: 2}\n      kwargs: {'': 1}\n");
    bad("nul", "queues:\n  q:\n    - run: \"a\\0b\"\n      env: {A: \"\\0\"}\n");
}

#[test]
fn bad_yaml() {
    bad("tab", "queues:\n\tbuild: [a]\n");
    bad("tab_in_a_script", "queues:\n  q:\n    - run: |\n\t  a\n");
    bad("indentation", "queues:\n  q:\n    - run: a\n     timeout: 1m\n");
    bad("item_out_of_line", "queues:\n  q:\n    - a\n   - b\n");
    bad("colon_in_a_script", "queues:\n  q:\n    - run: echo a: b\n");
    bad("open_bracket", "queues:\n  q: [a, b\n  r: [c]\n");
    bad("open_quote", "queues:\n  q:\n    - run: \"a\n    - b\n");
    bad("missing_colon", "queues:\n  q\n  r: []\n");
    bad("backtick", "queues:\n  q:\n    - `date`\n");
    bad("at_sign", "queues:\n  q: [@a]\n");
    bad("percent", "queues:\n  q:\n    - %a\n");
    bad("escape", "queues:\n  q:\n    - \"\\d+\"\n");
    bad("unknown_alias", "queues:\n  q: [*nobody]\n");
    bad("alias_in_itself", "queues: &a\n  q: *a\n");
    bad("control_character", "queues:\n  q: [a\u{7}b]\n");
    bad("two_documents", "queues: {}\n---\nqueues: {q: [a]}\n");
    bad("empty", "");
    bad("only_comments", "# nothing\n\n");
    bad("merge_conflict", "queues:\n<<<<<<< HEAD\n  a: []\n=======\n  b: []\n>>>>>>> x\n");
}

#[test]
fn places_behind_aliases_and_wide_characters() {
    bad("in_an_anchor", "x-a: &a {timeout: soon}\nqueues:\n  q:\n    - {<<: *a, run: a}\n    - {<<: *a, run: b}\n");
    bad("wide_characters", "queues:\n  日本語: [{run: a, título: b, env: {é: [1]}}]\n");
    bad("long_line", &format!("queues: {{q: [{} {{run: a, timeout: x}}]}}\n", "echo 'a long line', ".repeat(20)));
    bad("windows_lines", "queues:\r\n  q:\r\n    - run: a\r\n      timeout: x\r\n");
    bad("quoted_value", "queues:\n  q:\n    - run: a\n      timeout: \"x y\"\n");
    bad("empty_collections", "queues:\n  q:\n    - run: a\n      timeout: [ ]\n    - {}\n    - []\n");
}

#[test]
fn more_errors_than_anybody_reads() {
    let yaml = format!("queues:\n  q:\n{}", "    - {run: a, nmae: b}\n".repeat(250));
    let diagnostics = definition::parse("jobs.yaml", &yaml).unwrap_err();
    assert_eq!((diagnostics.list.len(), diagnostics.more), (100, 150));
    assert_eq!(diagnostics.to_string(), "jobs.yaml:3:16: unknown field `nmae`, and 249 more");
    assert!(diagnostics.render(false).ends_with("150 more errors are not shown"));
}

#[test]
fn a_diagnostic_has_what_a_screen_needs() {
    let diagnostics = definition::parse("x/jobs.yaml", "queues:\n  q:\n    - run: a\n      tiemout: 1m\n").unwrap_err();
    let [only] = &diagnostics.list[..] else { panic!() };
    assert_eq!((only.line, only.column, &*only.path), (4, 7, "queues.q[0].tiemout"));
    assert_eq!(&only.snippet.text[only.snippet.span.clone()], "tiemout");
    assert_eq!(only.hint.as_deref(), Some("did you mean `timeout`?"));
    assert_eq!(diagnostics.to_string(), "x/jobs.yaml:4:7: unknown field `tiemout`");
    assert!(diagnostics.render(true).contains("\u{1b}["));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}

// Hostile files.

#[test]
fn alias_bombs_are_refused() {
    let levels = (1..12).map(|n| format!("x-{n}: &x{n} [{}]\n", vec![format!("*x{}", n - 1); 9].join(", ")));
    let bomb = format!("x-0: &x0 [lol]\n{}queues: {{}}\n", levels.collect::<String>());
    assert_eq!(refused(&bomb).list[0].message, "aliases repeat this too often");

    let wide = format!("x-0: &x [{}]\nqueues:\n{}", "a, ".repeat(3000), "  q: [*x]\n".repeat(3000));
    assert_eq!(refused(&wide).list[0].message, "aliases repeat this too often");
}

#[test]
fn deep_nesting_is_refused_before_it_is_read() {
    for open in ["[", "{a: ", "[{a: ", "- [", "[\n", "[']', "] {
        let yaml = format!("queues: {{}}\nx-a: {}", open.repeat(100_000));
        let message = &refused(&yaml).list[0].message;
        assert!(message.starts_with("brackets nest deeper than 128 levels"), "{open}: {message}");
    }
    for open in ["- ", "? "] {
        assert_eq!(refused(&open.repeat(50_000)).list[0].message, "nested too deep");
    }
}

#[test]
fn brackets_in_texts_are_no_nesting() {
    let script = "if [ -f x ]; then echo '{[' \"[[\" {{{ ; fi # [[[";
    let block = format!("    - run: |\n        {script}\n\n        {script}\n    - >-\n      {script}\n");
    let plain = "    - echo [ {{ [ # [[\n    - 'it''s [[[[' # '\n    - \"\\\"[[[[\"\n    - &a !!str a[[[\n";
    let yaml = format!("queues:\n  q:\n{}{}", block.repeat(100), plain.repeat(100));
    assert_eq!(good(&yaml).queues[0].jobs.len(), 600);
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let yaml = format!("queues: {{}}\n{}", "#".repeat(usize::try_from(definition::LARGEST).unwrap()));
    assert_eq!(refused(&yaml).to_string(), "jobs.yaml:1:1: the file is larger than 64 MiB");
}

#[test]
fn many_jobs_with_the_same_words_are_named_quickly() {
    let plan = good(&format!("queues:\n  q:\n{}", "    - echo a\n".repeat(20_000)));
    assert_eq!(plan.queues[0].jobs[19_999].name.as_deref(), Some("echo-a-20000"));
}

// Files.

#[test]
fn a_file_is_read_with_its_stamp() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    assert!(matches!(definition::read(&file), Err(Error::Missing(path)) if path == file));
    assert!(matches!(definition::read(folder.path()), Err(Error::Unreadable { .. })));
    assert!(definition::stamp(&file).is_err());

    fs::write(&file, "queues: {q: [a]}").unwrap();
    let plan = definition::read(&file).unwrap();
    assert_eq!(plan.stamp, definition::stamp(&file).unwrap());
    assert_eq!(names(&plan, 0), ["a"]);

    let saved = folder.path().join("saved");
    fs::write(&saved, "queues: {q: [b]}").unwrap();
    fs::rename(&saved, &file).unwrap();
    assert_ne!(plan.stamp, definition::stamp(&file).unwrap(), "another file of the same length");

    fs::write(&file, "queues: [").unwrap();
    let Err(Error::Invalid(diagnostics)) = definition::read(&file) else { panic!() };
    assert_eq!(diagnostics.name, file.display().to_string());

    fs::write(&file, b"queues:\n  q: [\"\xff\"]\n").unwrap();
    let error = definition::read(&file).unwrap_err().to_string();
    assert!(error.ends_with("jobs.yaml:2:8: this is no UTF-8 text"), "{error}");
}

#[test]
fn the_nearest_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (outer, inner) = (folder.path().join("jobs.yaml"), folder.path().join("a/jobs.yaml"));
    fs::create_dir_all(folder.path().join("a/b/jobs.yaml")).unwrap();
    fs::write(&outer, "").unwrap();
    fs::write(&inner, "").unwrap();
    let deep = folder.path().join("a/b");
    assert_eq!(definition::find(&deep), Some(inner.clone()), "a folder of that name is no file");
    assert_eq!(definition::find(folder.path()), Some(outer.clone()));
    assert_eq!(definition::find_all(&deep)[..2], [inner, outer]);
}

#[test]
fn the_line_of_a_job() {
    let yaml = "queues:\n  q:\n    jobs:\n      - a\n      - id: x\n        run: b\n      -\n        run: a\n      - tiemout: 1\n        run: c\n  bare: [d,\n    [], e]\n";
    let line = |queue, name| definition::line_of(yaml, queue, name);
    assert_eq!(
        [line("q", "a"), line("q", "x"), line("q", "a-2"), line("q", "c")],
        [Some(4), Some(5), Some(8), Some(9)]
    );
    assert_eq!([line("bare", "d"), line("bare", "e")], [Some(11), Some(12)]);
    assert_eq!([line("q", "nobody"), line("nowhere", "a")], [None, None]);
    assert_eq!(definition::line_of("queues: [", "q", "a"), None);
}

// Anything at all.

const PIECES: [&str; 42] = [
    "queues:",
    "defaults:",
    "jobs:",
    "run:",
    "command:",
    "env:",
    "timeout:",
    "id:",
    "<<:",
    " ",
    "  ",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "a",
    "1",
    "1.10",
    "true",
    "~",
    "'",
    "\"",
    "|",
    ">",
    "#",
    "&a ",
    "*a",
    "&é ",
    "*é",
    "!t ",
    "\t",
    "é",
    "\u{2028}",
    "\r",
    "\\",
    "---\n",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        checked(&text);
    }

    #[test]
    fn no_yaml_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        checked(&pieces.concat());
    }

    #[test]
    fn no_shape_panics(defaults in shapes(), queues in shapes(), queue in shapes()) {
        checked(&format!("defaults:{defaults}queues:{queues}").replace('\n', "\n  ").replace("\n  queues", "\nqueues"));
        checked(&format!("queues:\n  q:{}", queue.replace('\n', "\n    ")));
    }

    #[test]
    fn no_mutation_panics(at in 0..definition::STARTER.len(), cut in 0..20_usize, piece in prop::sample::select(&PIECES[..])) {
        let text = definition::STARTER;
        let end = (at + cut).min(text.len());
        checked(&format!("{}{piece}{}", &text[..at], &text[end..]));
    }
}

/// Values of all shapes under the names of fields, in blocks, so that there is much to say about them.
fn shapes() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "a",
            "~",
            "5",
            "1.5",
            "true",
            "''",
            "\"é\\n\"",
            "[]",
            "{}",
            "[[], {a: []}]",
            "*é",
            "&é b",
            "!t c",
            "|\n [",
            "10m",
            "日本",
        ][..],
    );
    let keys = prop::sample::select(
        &[
            "jobs", "run", "command", "env", "timeout", "args", "kwargs", "id", "title", "<<", "tags", "shell", "é",
            "parallel",
        ][..],
    );
    let leaf = leaf.prop_map(|leaf| format!(" {leaf}\n"));
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let prefix = prop::sample::select(&["", " &é", " !t", "  # é"][..]);
        let indent = |text: String| text.replace('\n', "\n  ").trim_end_matches(' ').to_owned();
        let list = prop::collection::vec(inner.clone().prop_map(move |item| format!("-{}", indent(item))), 1..4);
        let map = prop::collection::vec((keys.clone(), inner), 1..4).prop_map(move |entries| {
            entries.into_iter().map(|(key, value)| format!("{key}:{}", indent(value))).collect::<Vec<_>>()
        });
        (prefix, prop_oneof![list, map]).prop_map(|(prefix, lines)| format!("{prefix}\n{}", lines.concat()))
    })
}

/// Whatever is wrong has a place in the text and a report.
fn checked(text: &str) {
    if let Err(diagnostics) = definition::parse("jobs.yaml", text) {
        assert!(!diagnostics.render(false).is_empty());
        for diagnostic in &diagnostics.list {
            let line = text.split('\n').nth(diagnostic.line - 1).map(|line| line.chars().count());
            assert!(line.is_some_and(|length| diagnostic.column <= length + 1));
            assert!(diagnostic.snippet.text.is_char_boundary(diagnostic.snippet.span.end));
        }
    }
    let _ = definition::line_of(text, "hello", "count");
}

fn good(yaml: &str) -> Plan {
    definition::parse("jobs.yaml", yaml).unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)))
}

fn refused(yaml: &str) -> Diagnostics {
    match definition::parse("jobs.yaml", yaml) {
        Ok(_) => panic!("the file is bad"),
        Err(diagnostics) => diagnostics,
    }
}

/// Compares the report of a bad file with the one that was agreed on.
fn bad(name: &str, yaml: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("definition");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(yaml);
    settings.bind(|| insta::assert_snapshot!(name, refused(yaml).render(false)));
}

fn names(plan: &Plan, queue: usize) -> Vec<&str> {
    plan.queues[queue].jobs.iter().map(|job| job.name.as_deref().unwrap_or_default()).collect()
}

fn script(job: &Definition) -> &Script {
    match &job.call {
        Call::Script(script) => script,
        Call::Function(_) => panic!("a job from a file is a script"),
    }
}

fn shell(text: &str) -> Program {
    Program::Run { text: text.into(), shell: Program::default_shell() }
}
