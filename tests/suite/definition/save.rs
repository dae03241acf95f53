//! Adding jobs to a file: where they are inserted, and that nothing else changes.

use proptest::prelude::*;
use setlist::definition::{self, save};
use setlist::model::{Definition, JobRef, Need, Script};

use super::roundtrip::{job, plan, plan_to_value, to_flow};
use super::*;
use crate::rng::cases;

fn make_job() -> Definition {
    let mut job = Definition::new(Script::command(["make", "-j4"]));
    job.title = "Make: it".into();
    job
}

fn text_with_jobs(before: &str, queue: &str, jobs: &[Definition]) -> Option<String> {
    let saved = save::with_jobs("jobs.yaml", before, &queue.into(), jobs);
    saved.unwrap_or_else(|error| panic!("{error}\n{before}")).map(|(text, _)| text)
}

/// In `after`, new lines start with `+`, and new text within a line is between `«` and `»`.
#[track_caller]
fn assert_inserted(queue: &str, after: &str) {
    let before: String = after.split_inclusive('\n').filter(|line| !line.starts_with('+')).collect();
    let mut rest = before.as_str();
    let mut old = String::new();
    while let Some((kept, more)) = rest.split_once('«') {
        old += kept;
        rest = more.split_once('»').unwrap().1;
    }
    old += rest;
    let wanted: String = after.split_inclusive('\n').map(|line| line.strip_prefix('+').unwrap_or(line)).collect();
    assert_eq!(text_with_jobs(&old, queue, &[make_job()]).unwrap(), wanted.replace(['«', '»'], ""), "{old}");
}

#[test]
fn a_concurrent_edit_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    std::fs::write(&file, "queues: {q: [a]}\n").unwrap();
    let mut announcements = 0;
    let announce = |_: &[_]| {
        announcements += 1;
        if announcements == 1 {
            std::fs::write(&file, "queues: {q: [a, theirs]}\n").unwrap();
        }
        Ok(())
    };
    let saved = save::save_with_announcement(&file, &"q".into(), &[make_job()], announce).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "queues: {q: [a, theirs, {title: \"Make: it\", command: [make, -j4]}]}\n");
    assert_eq!((announcements, saved.len()), (2, 1), "`announce` gets the final jobs");
}

#[test]
fn jobs_are_inserted_after_the_last_job_of_their_queue() {
    assert_inserted(
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
    assert_inserted("q", "queues:\n  q:\n  - a\n  - b\n+  - title: \"Make: it\"\n+    command: [make, -j4]\n  # end\n");
    assert_inserted(
        "q",
        "queues:\n  q:\n    - >+\n      text\n\n\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n  r: []\n",
    );
    assert_inserted(
        "q",
        "queues:\n  q:\n    - \"one\ntwo\"\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n",
    );
    assert_inserted(
        "q",
        "queues:\n  q:\n    - run: [a][\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n"
            .replace("[a][", "a")
            .as_str(),
    );
    assert_inserted("a b", "queues:\n  \"a b\": &all !!seq   # anchored\n    - a\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n  c: *all\n".replace("  c: *all\n", "").as_str());
}

#[test]
fn flow_style_is_kept() {
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
        assert_eq!(text_with_jobs(before, "q", &[make_job()]).unwrap(), after.replace("MAKE", MAKE));
    }
}

#[test]
fn missing_queues_and_keys_are_created() {
    let item = "+  q:\n+    - title: \"Make: it\"\n+      command: [make, -j4]\n";
    assert_inserted("q", &format!("queues:\n  r:\n    jobs: [a]\n{item}# the end\n"));
    assert_inserted("q", &format!("+queues:\n{item}"));
    assert_inserted("q", &format!("# only this\n+queues:\n{item}"));
    assert_inserted("q", &format!("defaults: {{timeout: 1h}}\n+queues:\n{item}"));
    assert_inserted(
        "q",
        "queues:\n   q:\n     title: Q\n+     jobs:\n+       - title: \"Make: it\"\n+         command: [make, -j4]\n   r: []\n",
    );
}

#[test]
fn line_endings_are_kept() {
    assert_eq!(
        text_with_jobs("queues:\r\n  q:\r\n    - a\r\n  r: []\r\n", "q", &[make_job()]).unwrap(),
        "queues:\r\n  q:\r\n    - a\r\n    - title: \"Make: it\"\r\n      command: [make, -j4]\r\n  r: []\r\n"
    );
    assert_eq!(
        text_with_jobs("queues:\n  q:\n    - a", "q", &[make_job()]).unwrap(),
        "queues:\n  q:\n    - a\n    - title: \"Make: it\"\n      command: [make, -j4]"
    );
}

#[test]
fn only_values_that_are_not_inherited_are_written() {
    let one = |script: &str| Definition::new(Script::shell(script));
    let text = text_with_jobs(
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
    let plan = parse_valid(&text);
    let setup = &script(&plan.queues[1].jobs[1]).exec;
    assert_eq!((setup.timeout.map(|limit| limit.as_secs()), setup.cwd.as_deref()), (Some(3600), Some(".".as_ref())));
    assert_eq!(
        text_with_jobs("queues:\n  q:\n    - a\n", "q", &[one("true && b")]).unwrap(),
        "queues:\n  q:\n    - a\n    - true && b\n"
    );
}

#[test]
fn jobs_are_not_inserted_where_they_would_change_others() {
    for before in [
        "x-all: &all [a]\nqueues:\n  q: *all\n  r: *all\n",
        "x-all: &all {jobs: [a]}\nqueues:\n  q:\n    <<: *all\n",
        "x-all: &all\n  jobs: [a]\nqueues:\n  q: {<<: *all}\n",
        // It would end a script that ends with the file.
        "queues:\n  q:\n    - |\n      a",
        // The jobs of the anchor also belong to another queue.
        "queues:\n  q: &all\n    - a\n  r: *all\n",
    ] {
        assert_eq!(text_with_jobs(before, "q", &[make_job()]), None, "{before}");
    }
    let mut needy = make_job();
    let need = |job| vec![Need { job, on: setlist::model::OutcomeCondition::Success }];
    std::sync::Arc::make_mut(&mut needy.scheduling).needs = need(JobRef::Number(setlist::model::JobId(7)));
    let error = save::with_jobs("jobs.yaml", "queues: {q: []}\n", &"q".into(), &[needy.clone()]).unwrap_err();
    assert_eq!(error.to_string(), "it needs #7, which isn't in a jobs.yaml");
    std::sync::Arc::make_mut(&mut needy.scheduling).needs = need(JobRef::Named("r".into(), "a".into()));
    assert_eq!(
        text_with_jobs("queues: {q: [], r: [a]}\n", "q", &[needy]).unwrap(),
        "queues: {q: [{title: \"Make: it\", command: [make, -j4], needs: [r/a]}], r: [a]}\n"
    );
    let broken = save::with_jobs("jobs.yaml", "queues:\n  q: [a\n", &"q".into(), &[make_job()]).unwrap_err();
    assert!(broken.to_string().starts_with("jobs.yaml:"), "{broken}");
}

/// Adds comments and blank lines before and after some lines.
fn with_comments_and_blank_lines(text: &str, seed: u64) -> String {
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
    fn everything_else_stays_unchanged(
        plan in plan(), mut jobs in prop::collection::vec(job(), 1..3), which in any::<prop::sample::Index>(), seed in any::<u64>(),
    ) {
        for job in &mut jobs {
            job.name = None;
        }
        let value = plan_to_value(&plan);
        let blocks = serde_yaml::to_string(&value).unwrap();
        let mut known: Vec<String> = plan.queues.iter().map(|queue| queue.id.to_string()).collect();
        known.push("a new one".to_owned());
        let queue = which.get(&known);
        let mut texts = vec![with_comments_and_blank_lines(&blocks, seed), blocks];
        if !value.to_string().contains('🦀') {
            texts.push(to_flow(&value));
        }
        for text in texts {
            // A comment inside a script is part of the script.
            let Ok(before) = definition::parse("jobs.yaml", &text) else { continue };
            let Some(after) = text_with_jobs(&text, queue, &jobs) else {
                // Only text that changes with its end can't be followed by anything.
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
