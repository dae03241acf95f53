//! Arbitrary input: no text may panic, hang, or give an error without a position.

use proptest::prelude::*;
use setlist::definition;

use super::schema;
use crate::rng::cases;

const PIECES: [&str; 46] = [
    "queues:",
    "defaults:",
    "jobs:",
    "run:",
    "command:",
    "env:",
    "timeout:",
    "id:",
    "needs: ",
    "matrix: ",
    "${matrix.a}",
    "${",
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
    #![proptest_config(cases(256))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        check_invariants(&text);
    }

    #[test]
    fn no_yaml_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        check_invariants(&pieces.concat());
    }

    #[test]
    fn no_shape_panics(defaults in shapes(), queues in shapes(), queue in shapes()) {
        check_invariants(&format!("defaults:{defaults}queues:{queues}").replace('\n', "\n  ").replace("\n  queues", "\nqueues"));
        check_invariants(&format!("queues:\n  q:{}", queue.replace('\n', "\n    ")));
    }

    #[test]
    fn no_mutation_panics(at in 0..definition::STARTER.len(), cut in 0..20_usize, piece in prop::sample::select(&PIECES[..])) {
        let text = definition::STARTER;
        let end = (at + cut).min(text.len());
        check_invariants(&format!("{}{piece}{}", &text[..at], &text[end..]));
    }
}

/// Values of all types under field names, in block style, to provoke many errors.
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
            "2026-03-29 02:30",
            "16MiB",
            "timeout",
            "all",
            "q/a",
            "x-${matrix.a}",
            "${{ matrix.é }",
            "日本",
        ][..],
    );
    let keys = prop::sample::select(
        &[
            "jobs",
            "run",
            "command",
            "env",
            "timeout",
            "args",
            "kwargs",
            "id",
            "title",
            "<<",
            "tags",
            "shell",
            "é",
            "parallel",
            "needs",
            "job",
            "matrix",
            "retry",
            "max",
            "max_delay",
            "on",
            "after",
            "keep",
            "runs",
            "size",
            "env_file",
            "pass_env",
            "pty",
            "log_limit",
            "limits",
            "memory",
            "cpu_time",
            "open_files",
            "cpus",
            "nice",
            "scale",
            "pools",
            "per",
            "weight",
            "confirm",
            "if",
            "unless",
            "sources",
            "paths",
            "outputs",
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

/// Every error must have a position in the text and a report.
pub(crate) fn check_invariants(text: &str) {
    match definition::parse("jobs.yaml", text) {
        Ok(_) => schema::assert_schema_accepts(text),
        Err(diagnostics) => {
            assert!(!diagnostics.render(false).is_empty());
            for diagnostic in &diagnostics.errors {
                let line = text.split('\n').nth(diagnostic.line - 1).map(|line| line.chars().count());
                assert!(line.is_some_and(|length| diagnostic.column <= length + 1));
                assert!(diagnostic.snippet.text.is_char_boundary(diagnostic.snippet.span.end));
            }
        }
    }
    let _ = definition::line_of(text, "hello", "count");
}
