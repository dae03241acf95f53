//! Names and digests of jobs.

use super::*;

#[test]
fn names_are_generated_from_titles_and_scripts() {
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
        assert_eq!(job_names(&parse_valid(&format!("queues: {{q: [{entry}]}}")), 0), [name], "{entry}");
    }
}

#[test]
fn generated_names_are_unique_and_yield_to_explicit_ids() {
    let plan = parse_valid(
        "queues: {q: [a, a, {title: A, run: x}, {title: a-2, run: x}, {id: a, run: x}, {id: a-3, run: x}]}",
    );
    assert_eq!(job_names(&plan, 0), ["a-2", "a-4", "a-5", "a-2-2", "a", "a-3"]);
}

#[test]
fn the_digest_covers_only_the_entry_itself() {
    let digests = |yaml: &str| -> Vec<i64> {
        let plan = parse_valid(yaml);
        plan.queues.iter().flat_map(|queue| &queue.jobs).map(|job| job.digest.unwrap()).collect()
    };
    let entry = |entry: &str| digests(&format!("queues: {{q: [{entry}]}}"))[0];
    // Stores keep the digest, so it must never change.
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
