//! Jobs that are written into a file: where they stand there, and that nothing else changes.

use proptest::prelude::*;
use setlist::definition::{self, save};
use setlist::model::{Definition, Need, Script, Target};

use super::written::{in_brackets, job, plan, written};
use super::*;
use crate::dice::cases;

fn make() -> Definition {
    let mut job = Definition::new(Script::command(["make", "-j4"]));
    job.title = "Make: it".into();
    job
}

fn saved(before: &str, queue: &str, jobs: &[Definition]) -> Option<String> {
    let saved = save::with_jobs("jobs.yaml", before, &queue.into(), jobs);
    saved.unwrap_or_else(|error| panic!("{error}\n{before}")).map(|(text, _)| text)
}

/// In `after`, what is new is marked with `+` at the beginning of its lines, or stands between `«` and `»`.
#[track_caller]
fn put(queue: &str, after: &str) {
    let before: String = after.split_inclusive('\n').filter(|line| !line.starts_with('+')).collect();
    let mut rest = before.as_str();
    let mut old = String::new();
    while let Some((kept, more)) = rest.split_once('«') {
        old += kept;
        rest = more.split_once('»').unwrap().1;
    }
    old += rest;
    let wanted: String = after.split_inclusive('\n').map(|line| line.strip_prefix('+').unwrap_or(line)).collect();
    assert_eq!(saved(&old, queue, &[make()]).unwrap(), wanted.replace(['«', '»'], ""), "{old}");
}

#[test]
fn what_somebody_else_writes_meanwhile_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    std::fs::write(&file, "queues: {q: [a]}\n").unwrap();
    let mut told = 0;
    let announce = |_: &[_]| {
        told += 1;
        if told == 1 {
            std::fs::write(&file, "queues: {q: [a, theirs]}\n").unwrap();
        }
        Ok(())
    };
    let saved = save::save_announced(&file, &"q".into(), &[make()], announce).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "queues: {q: [a, theirs, {title: \"Make: it\", command: [make, -j4]}]}\n");
    assert_eq!((told, saved.len()), (2, 1), "it is told of what is written in the end");
}

#[test]
fn behind_the_last_job_of_its_queue() {
    put(
        "build",
        "\
# Ours.
queues:
  build:   # the first
    parallel: 2
    jobs:
      - a     # one
      - id: b
        run:  |
          two
          # part of the script
+      - title: \"Make: it\"
+        command: [make, -j4]

      # nothing yet

  # The second.
  test: [c]
",
    );
    put("q", "queues:\n  q:\n  - a\n  - b\n+  - title: \"Make: it\"\n+    command: [make, -j4]\n  # end\n");
    put(
        "q",
        "queues:\n  q:\n    - >+\n      text\n\n\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n  r: []\n",
    );
    put("q", "queues:\n  q:\n    - \"one\ntwo\"\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n");
    put(
        "q",
        "queues:\n  q:\n    - run: [a][\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n"
            .replace("[a][", "a")
            .as_str(),
    );
    put("a b", "queues:\n  \"a b\": &all !!seq   # anchored\n    - a\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n  c: *all\n".replace("  c: *all\n", "").as_str());
}

#[test]
fn in_brackets_it_stays_in_brackets() {
    const MAKE: &str = "{title: \"Make: it\", command: [make, -j4]}";
    for (before, after) in [
        ("queues: {q: [a, 'b]', \"c]\\\"\"]}\n", "queues: {q: [a, 'b]', \"c]\\\"\", MAKE]}\n"),
        ("queues: {q: []}  # none\n", "queues: {q: [MAKE]}  # none\n"),
        ("queues: {q: [don't, b ], r: [x]}\n", "queues: {q: [don't, b, MAKE ], r: [x]}\n"),
        ("queues:\n  q: [\n    a, # ]\n    b,\n  ]\n", "queues:\n  q: [\n    a, # ]\n    b,\n    MAKE\n  ]\n"),
        ("queues:\n  q: [\n    a,\n    b # last\n  ]\n", "queues:\n  q: [\n    a,\n    b,\n    MAKE # last\n  ]\n"),
        ("queues: {q: {parallel: 2}}\n", "queues: {q: {parallel: 2, jobs: [MAKE]}}\n"),
        ("queues: {q: {jobs: [a], parallel: 2}}\n", "queues: {q: {jobs: [a, MAKE], parallel: 2}}\n"),
        ("queues: {}\n", "queues: {q: [MAKE]}\n"),
        ("queues: {r: [a]}\n", "queues: {r: [a], q: [MAKE]}\n"),
        ("{defaults: {timeout: 1h}, queues: {}}", "{defaults: {timeout: 1h}, queues: {q: [MAKE]}}"),
    ] {
        assert_eq!(saved(before, "q", &[make()]).unwrap(), after.replace("MAKE", MAKE));
    }
}

#[test]
fn what_is_missing_is_made() {
    let item = "+  q:\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n";
    put("q", &format!("queues:\n  r:\n    jobs: [a]\n{item}# the end\n"));
    put("q", &format!("+queues:\n{item}"));
    put("q", &format!("# only this\n+queues:\n{item}"));
    put("q", &format!("defaults: {{timeout: 1h}}\n+queues:\n{item}"));
    put(
        "q",
        "queues:\n   q:\n     title: Q\n+     jobs:\n+       - title: \"Make: it\"\n+         command: [make, -j4]\n   r: []\n",
    );
}

#[test]
fn lines_end_as_they_did() {
    assert_eq!(
        saved("queues:\r\n  q:\r\n    - a\r\n  r: []\r\n", "q", &[make()]).unwrap(),
        "queues:\r\n  q:\r\n    - a\r\n    - title: \"Make: it\"\r\n      command: [make, -j4]\r\n  r: []\r\n"
    );
    assert_eq!(
        saved("queues:\n  q:\n    - a", "q", &[make()]).unwrap(),
        "queues:\n  q:\n    - a\n    - title: \"Make: it\"\n      command: [make, -j4]"
    );
}

#[test]
fn it_says_what_it_is_and_inherits_the_rest() {
    let one = |script: &str| Definition::new(Script::shell(script));
    let text = saved(
        "defaults: {timeout: 1h, cwd: src}\nqueues:\n  q: []\n  r:\n    - a\n",
        "r",
        &[one("cargo test"), one("if true; then\n  echo: 'x' # y\nfi"), one("- odd: #\t\u{1b}"), one("1.10")],
    );
    let text = text.unwrap();
    assert!(
        text.ends_with(
            "    - a
    - run: cargo test
      cwd: .
    - run: |-
        if true; then
          echo: 'x' # y
        fi
      cwd: .
    - run: \"- odd: #\\t\\U0000001b\"
      cwd: .
    - run: \"1.10\"
      cwd: .
"
        ) || text.ends_with("cwd: \".\"\n"),
        "{text}"
    );
    let plan = good(&text);
    let setup = &script(&plan.queues[1].jobs[1]).setup;
    assert_eq!((setup.timeout.map(|limit| limit.as_secs()), setup.cwd.as_deref()), (Some(3600), Some(".".as_ref())));
    assert_eq!(
        saved("queues:\n  q:\n    - a\n", "q", &[one("true && b")]).unwrap(),
        "queues:\n  q:\n    - a\n    - true && b\n"
    );
}

#[test]
fn where_it_would_change_something_else_it_is_not_put() {
    for before in [
        "x-all: &all [a]\nqueues:\n  q: *all\n  r: *all\n",
        "x-all: &all {jobs: [a]}\nqueues:\n  q:\n    <<: *all\n",
        "x-all: &all\n  jobs: [a]\nqueues:\n  q: {<<: *all}\n",
        // It would end the line of a script that has no end.
        "queues:\n  q:\n    - |\n      a",
        // All jobs of the anchor are those of another queue.
        "queues:\n  q: &all\n    - a\n  r: *all\n",
    ] {
        assert_eq!(saved(before, "q", &[make()]), None, "{before}");
    }
    let mut needy = make();
    let need = |job| vec![Need { job, on: setlist::model::On::Success }];
    std::sync::Arc::make_mut(&mut needy.terms).needs = need(Target::Number(setlist::model::JobId(7)));
    let refused = save::with_jobs("jobs.yaml", "queues: {q: []}\n", &"q".into(), &[needy.clone()]).unwrap_err();
    assert_eq!(refused.to_string(), "it needs #7, which stands in no jobs.yaml");
    std::sync::Arc::make_mut(&mut needy.terms).needs = need(Target::Named("r".into(), "a".into()));
    assert_eq!(
        saved("queues: {q: [], r: [a]}\n", "q", &[needy]).unwrap(),
        "queues: {q: [{title: \"Make: it\", command: [make, -j4], needs: [r/a]}], r: [a]}\n"
    );
    let broken = save::with_jobs("jobs.yaml", "queues:\n  q: [a\n", &"q".into(), &[make()]).unwrap_err();
    assert!(broken.to_string().starts_with("jobs.yaml:"), "{broken}");
}

/// Comments and empty lines in front of some lines, and behind others.
fn disturbed(text: &str, seed: u64) -> String {
    let mut seed = seed;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 60
    };
    let lines = text.lines().map(|line| match next() {
        0 => format!("# {line}\n{line}\n"),
        1 => format!("\n{line}\n"),
        2 => format!("{}# here\n{line}\n", " ".repeat(line.len() - line.trim_start().len())),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn all_else_stays_as_it_is(
        plan in plan(), mut jobs in prop::collection::vec(job(), 1..3), which in any::<prop::sample::Index>(), seed in any::<u64>(),
    ) {
        for job in &mut jobs {
            job.name = None;
        }
        let value = written(&plan);
        let blocks = serde_yaml::to_string(&value).unwrap();
        let mut known: Vec<String> = plan.queues.iter().map(|queue| queue.id.to_string()).collect();
        known.push("a new one".to_owned());
        let queue = which.get(&known);
        let mut texts = vec![disturbed(&blocks, seed), blocks];
        if !value.to_string().contains('🦀') {
            texts.push(in_brackets(&value));
        }
        for text in texts {
            // Among the lines of a script, a comment is none.
            let Ok(before) = definition::parse("jobs.yaml", &text) else { continue };
            let Some(after) = saved(&text, queue, &jobs) else {
                // Only a text that its end would change can't be followed by anything.
                return Err(TestCaseError::fail(format!("no place in {queue:?} for {jobs:?} in\n{text}")));
            };
            let same = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            let more = after.len() - text.len();
            prop_assert!(
                (0..=same).rev().any(|at| text.as_bytes()[at..] == after.as_bytes()[at + more..]),
                "more than an insertion:\n{}\n{}", text, after
            );
            let now = definition::parse("jobs.yaml", &after).unwrap();
            let mut rest = Vec::new();
            for (nth, found) in now.queues.iter().enumerate() {
                let old = before.queues.get(nth).map_or(&[][..], |queue| &queue.jobs);
                prop_assert_eq!(&found.jobs[..old.len()], old);
                rest.extend(found.jobs[old.len()..].iter().map(|job| (found.id.to_string(), job.clone())));
            }
            prop_assert_eq!(rest.len(), jobs.len());
            for ((id, found), job) in rest.iter().zip(&jobs) {
                let mut found = (**found).clone();
                prop_assert_eq!(id, queue);
                prop_assert!(found.digest.take().is_some() && found.name.take().is_some());
                prop_assert_eq!(&found, job);
            }
        }
    }
}
