//! Reports of invalid and hostile files.

use setlist::definition;

use super::*;

#[test]
fn a_message_is_about_the_part_that_is_wrong() {
    assert_report(
        "block_that_is_not_indented",
        "queues:\n  q:\n    - id: a\n      run: |\n      echo hi\n      echo ho\n",
    );
    assert_report("tag_before_a_value", "queues:\n  q:\n    - id: a\n      run: !env FOO\n");
    assert_report("pattern_with_an_open_bracket", "queues:\n  q:\n    - {id: a, run: b, sources: \"a[\"}\n");
    assert_report(
        "item_in_a_block",
        "queues:\n  q:\n    - id: a\n      for_each: [x, y]\n      run: |\n        echo one\n        echo ${item.customer}\n",
    );
    assert_report("secret_of_an_input", "queues:\n  q:\n    inputs: {TOKEN: {secret: true}}\n    jobs: [ls]\n");
    assert_report("need_of_one_letter", "queues:\n  q:\n    - {id: x, run: a}\n    - {run: b, needs: [z]}\n");
    assert_report("number_that_is_not_whole", "queues:\n  q:\n    - {run: a, priority: 1.5}\n");
}

#[test]
fn characters_that_look_like_others_are_named() {
    assert_report("cyrillic_letter", "qu\u{435}ues: {q: [echo]}\n");
    assert_report("greek_letter", "queues: {q: {j\u{3bf}bs: [echo]}}\n");
    assert_report("invisible_character", "queues: {q: [{run: echo, pr\u{200b}iority: 1}]}\n");
    assert_report("no_break_space_before_a_field", "queues:\n  q:\n    - run: a\n\u{a0}     env: {A: b}\n");
    assert_report("wide_space_before_a_field", "queues:\n  q:\n    - run: a\n\u{2003}     env: {A: b}\n");
    assert_report("no_break_spaces_as_indentation", "queues:\n\u{a0}\u{a0}q:\n\u{a0}\u{a0}\u{a0}\u{a0}- echo\n");
    assert_report("look_alike_in_a_nested_map", "queues: {q: [{run: a, on_finish: {c\u{43e}mmand: [a]}}]}\n");
}

#[test]
fn a_key_and_a_number_that_are_too_large_name_the_limit() {
    assert_report("long_key", &format!("queues:\n  q:\n    - run: x\n  {}: [x]\n", "k".repeat(1100)));
    assert_report("long_key_in_braces", &format!("queues: {{q: [{{run: x, {}: 1}}]}}\n", "k".repeat(1100)));
    assert_report("number_that_is_too_large", "queues: {q: {parallel: 99999999999999999999, jobs: [echo]}}\n");
    // A byte-order mark has no column.
    assert_report("byte_order_mark", "\u{feff}queuess: {q: [echo]}\n");
}

#[test]
fn unknown_fields() {
    assert_report("typo_in_a_job", "queues:\n  build:\n    jobs:\n      - run: a\n        tiemout: 10m\n");
    assert_report("typo_in_a_queue", "queues:\n  build:\n    paralel: 2\n    jobs: [a]\n");
    assert_report("typo_at_the_top", "default: {}\nqueues: {}\n");
    assert_report("typo_in_defaults", "defaults: {on-failure: stop}\nqueues: {}\n");
    assert_report("unknown_field", "queues:\n  q:\n    - run: a\n      colour: red\n");
    let topics = [
        "cron_time",
        "attempt_limit",
        "time_limit",
        "dotenv_secrets",
        "folder",
        "wait_for_all",
        "options",
        "allowed_errors",
        "stdout",
        "email",
        "memory_limit",
        "slots",
        "label_group",
        "description",
        "bash_script",
        "manual",
        "before",
        "stdin_file",
        "run_as_user",
    ];
    let fields = topics.map(|topic| format!("      {topic}: 1\n")).concat();
    assert_report("topics_of_unknown_fields", &format!("queues:\n  q:\n    - run: a\n{fields}"));
    assert_report("field_of_a_queue_in_a_job", "queues:\n  q:\n    - run: a\n      parallel: 3\n");
    assert_report("field_of_a_job_in_a_queue", "queues:\n  q:\n    run: a\n");
    assert_report("field_of_a_job_in_defaults", "defaults:\n  args: [a]\n  title: T\nqueues: {}\n");
    assert_report("jobs_in_defaults", "defaults: {jobs: [a]}\nqueues: {}\n");
    assert_report("jobs_at_the_top", "jobs: [a]\nqueues: {}\n");
    assert_report("hostile_field", "queues:\n  q:\n    - run: a\n      \"\\e[31m\\u0007evil\\n\": 1\n");
}

#[test]
fn duplicates() {
    assert_report("duplicate_field", "queues:\n  q:\n    - run: a\n      timeout: 1m\n      run: b\n");
    assert_report(
        "duplicate_variable",
        "queues:\n  q:\n    - run: a\n      env:\n        A: 1\n        B: 2\n        A: 3\n",
    );
    assert_report("duplicate_kwarg", "queues: {q: [{run: a, kwargs: {k: 1, \"k\": 2}}]}\n");
    assert_report("duplicate_queue", "queues:\n  q: [a]\n  r: [b]\n  q: [c]\n");
    assert_report(
        "duplicate_among_many",
        &format!("queues:\n{}  q7: []\n", (0..40).map(|n| format!("  q{n}: []\n")).collect::<Vec<_>>().concat()),
    );
    assert_report(
        "duplicate_merge_key",
        "x-a: &a {timeout: 1m}\nqueues:\n  q:\n    - <<: *a\n      <<: *a\n      run: a\n",
    );
    assert_report(
        "duplicate_id",
        "queues:\n  q:\n    - id: lint\n      run: a\n    - run: b\n    - id: lint\n      run: c\n",
    );
}

#[test]
fn wrong_types() {
    assert_report("top_is_a_list", "- a\n- b\n");
    assert_report("top_is_text", "hello\n");
    assert_report("queues_is_a_list", "queues:\n  - a\n");
    assert_report("queues_is_missing", "defaults: {timeout: 1m}\n");
    assert_report("queues_is_nothing", "queues:\n");
    assert_report("defaults_is_a_list", "defaults: [timeout]\nqueues: {}\n");
    assert_report("queue_is_nothing", "queues:\n  build:\n  test: []\n");
    assert_report("queue_is_text", "queues:\n  build: cargo build\n");
    assert_report("jobs_is_a_map", "queues:\n  build:\n    jobs:\n      lint: a\n");
    assert_report("job_is_nothing", "queues:\n  build:\n    - a\n    -\n");
    assert_report("job_is_a_list", "queues:\n  build:\n    - [a, b]\n");
    assert_report("job_is_an_unquoted_map", "queues:\n  build:\n    - echo hello: world\n");
    assert_report(
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
    assert_report(
        "wrong_items",
        "queues:\n  q:\n    - run: a\n      args: [a, [b], null]\n      env: {A: [1], B: {c: d}}\n      ok_codes: [0, one, 256, -1]\n      tags: ['', ~]\n      kwargs: {k: []}\n",
    );
    assert_report("key_is_not_text", "queues:\n  q:\n    - run: a\n      env: {[a]: 1, ~: 2, {b: c}: 3}\n");
    assert_report("key_with_a_tag", "queues:\n  q:\n    - run: a\n      env: {!secret a: 1}\n");
    assert_report("braces_without_quotes", "queues:\n  q:\n    - run: {{ script }}\n");
    assert_report("tag", "queues:\n  q:\n    - run: !secret a\n    - !job {run: b}\n");
    assert_report("merge_of_text", "queues:\n  q:\n    - {<<: text, run: a}\n    - {<<: [1], run: b}\n");
}

#[test]
fn wrong_values() {
    assert_report(
        "parallel",
        "queues:\n  a: {parallel: 0}\n  b: {parallel: \"2\"}\n  c: {parallel: 1.5}\n  d: {parallel: 99999999999}\n  e: {retry: 999999999999}\n",
    );
    assert_report("on_failure", "queues:\n  a: {on_failure: stopp}\n  b: {on_failure: explode}\n");
    assert_report(
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
    - {run: k, timeout: 1M}
    - {run: l, after: 2h 1M}
",
    );
    assert_report(
        "empty_scripts",
        "queues:\n  q:\n    - ''\n    - run: ''\n    - run: |\n\n    - run: '  '\n    - run:\n",
    );
    assert_report(
        "empty_commands",
        "queues:\n  q:\n    - command: []\n    - command: ['']\n    - command: echo a, b\n    - command: [a, [b]]\n",
    );
    assert_report("neither_run_nor_command", "queues:\n  q:\n    - title: Nothing\n    - {}\n");
    assert_report("both_run_and_command", "queues:\n  q:\n    - run: a\n      command: [b]\n");
    assert_report(
        "shells",
        "queues:\n  q:\n    - {run: a, shell: bash -x}\n    - {run: a, shell: []}\n    - {run: a, shell: ''}\n    - {command: [a], shell: bash}\n    - {run: a, shell: bsh}\n    - {run: a, shell: ./mine}\n    - {run: a, shell: [bash, -l]}\n    - {run: a, shell: my shell}\n",
    );
    assert_report(
        "ids",
        "queues:\n  q:\n    - {id: a/b, run: a}\n    - {id: a b, run: a}\n    - {id: 12, run: a}\n    - {id: '#3', run: a}\n    - {id: '', run: a}\n    - {id: -f, run: a}\n    - {id: \"a\\u200bb\", run: a}\n",
    );
    assert_report(
        "names_of_queues",
        "queues:\n  '': [a]\n  -q: [a]\n  \"a\\nb\": [a]\n  \"a\\e[31m\": [a]\n  \"a\\u202eb\": [a]\n  ' ': [a]\n",
    );
    assert_report(
        "home_folders",
        "queues:\n  q:\n    - {run: a, cwd: ~other/x}\n    - {run: a, env_file: [~/ok, ~x]}\n    - {run: a, cwd: '${HOME}/x'}\n    - {run: a, cwd: a/$USER}\n    - {run: a, cwd: ~}\n",
    );
    assert_report(
        "unknown_placeholders",
        "queues:\n  q:\n    title: '${jobs.a}'\n    jobs:\n      - {run: a, stdin: 'v ${jobs.version.output}'}\n      - {run: 'echo ${inputs.env}', args: ['${{ inputs.env }}']}\n      - {command: [sh, -c, 'echo ${HOME} ${x%.*}'], env: {A: '${matrx.os}'}}\n      - {command: [node, -e, '`${process.env.HOME}`'], matrix: {os: [a]}, title: '${maxtrix.os} ${matrix.os}'}\n",
    );
    assert_report(
        "placeholders_with_other_names",
        "queues:\n  q:\n    inputs: {token: {type: secret}}\n    jobs:\n      - {id: b, run: x}\n      \
         - {command: [echo, 'a ${b.value}'], needs: [b]}\n      - {command: [echo, '${b.value.key}']}\n      \
         - {command: [echo, '${input.token}']}\n      - {command: [echo, '${need.b.value}'], needs: [b]}\n      \
         - {command: [echo, '${steps.b.outputs.x}'], needs: [b]}\n      - {command: [echo, '${items.name}'], for_each: [{name: a}]}\n      \
         - {command: [echo, '${secrets.token}', '${{ inputs.token }}']}\n      - {command: [echo, '${env.HOME}']}\n      \
         - {command: [echo, '${other.value}']}\n      - {command: [echo, '${github.sha}']}\n",
    );
    assert_report(
        "commands_for_a_shell",
        "queues:\n  q:\n    - {id: a, command: echo hello && date}\n    - {id: b, command: echo hello}\n    \
         - {id: c, command: \"echo 'a: b' | wc\"}\n    - {id: d, cmd: 'make -j4 && make test'}\n    - {id: e, cmd: [make]}\n    \
         - {id: f, run: [make, make test]}\n    - {id: g, shell: make test}\n    - {id: h, steps: [a]}\n",
    );
    assert_report("no_success", "queues:\n  q:\n    - {run: a, ok_codes: []}\n");
    assert_report(
        "names_of_variables",
        "queues:\n  q:\n    - run: a\n      env: {'': 1, A=B: 2}\n      kwargs: {'': 1}\n",
    );
    assert_report("nul", "queues:\n  q:\n    - run: \"a\\0b\"\n      env: {A: \"\\0\"}\n");
}

#[test]
fn bad_yaml() {
    assert_report("tab", "queues:\n\tbuild: [a]\n");
    assert_report("tab_in_a_script", "queues:\n  q:\n    - run: |\n\t  a\n");
    assert_report("indentation", "queues:\n  q:\n    - run: a\n     timeout: 1m\n");
    assert_report("misaligned_item", "queues:\n  q:\n    - a\n   - b\n");
    assert_report("colon_in_a_script", "queues:\n  q:\n    - run: echo a: b\n");
    assert_report("open_bracket", "queues:\n  q: [a, b\n  r: [c]\n");
    assert_report("open_brace", "queues: {q: [a]\nr: {b\n");
    assert_report("list_on_the_line_of_its_key", "queues: - a\n");
    assert_report("text_after_quotes", "queues:\n  q: [\"a\" b]\n");
    assert_report("after_the_document_end", "queues: {}\n...\nx\n");
    assert_report("directive", "%YAML 9.9\n---\nqueues: {}\n");
    assert_report("open_quote", "queues:\n  q:\n    - run: \"a\n    - b\n");
    assert_report("missing_colon", "queues:\n  q\n  r: []\n");
    assert_report("line_without_a_colon", "queues:\nnonsense\n  q: []\n");
    assert_report("backtick", "queues:\n  q:\n    - `date`\n");
    assert_report("at_sign", "queues:\n  q: [@a]\n");
    assert_report("percent", "queues:\n  q:\n    - %a\n");
    assert_report("escape", "queues:\n  q:\n    - \"\\d+\"\n");
    assert_report("escape_with_a_letter", "queues:\n  q: [\"\\xZZ\"]\n");
    assert_report("escape_of_invalid_character", "queues:\n  q: [\"\\uD800\"]\n");
    assert_report("text_after_a_bar", "queues:\n  q:\n    - | a\n");
    assert_report("indentation_of_zero", "queues:\n  q:\n    - |0\n     a\n");
    assert_report("tag_with_undeclared_handle", "queues:\n  q: [!e!foo a]\n");
    assert_report("tag_without_a_name", "queues:\n  q:\n    - ! a\n");
    assert_report("tag_without_an_end", "queues:\n  q:\n    - !<a b\n");
    assert_report("star", "queues:\n  q: [{command: [ls, *.txt]}]\n");
    assert_report("after_quotes", "queues:\n  q:\n    - \"a\" && \"b\"\n");
    assert_report("document_in_quotes", "queues:\n  q: [\"a\n---\n\"]\n");
    assert_report("comma", "queues: {q: [,]}\n");
    assert_report("directives", "%YAML 1.1\n%YAML 1.1\n---\nqueues: {}\n");
    assert_report("items_without_spaces", "queues:\n  q:\n    -a\n    -b\n");
    assert_report("schedule_in_a_flow_map", "queues:\n  q: {schedule: * 3 * * *, jobs: [a]}\n");
    assert_report("daily_without_quotes", "queues:\n  q:\n    schedule: @daily  # at night\n    jobs: [a]\n");
    assert_report("unknown_alias", "queues:\n  q: [*missing]\n");
    assert_report("alias_in_itself", "queues: &a\n  q: *a\n");
    assert_report("control_character", "queues:\n  q: [a\u{7}b]\n");
    assert_report("two_documents", "queues: {}\n---\nqueues: {q: [a]}\n");
    assert_report("empty", "");
    assert_report("only_comments", "# nothing\n\n");
    assert_report("merge_conflict", "queues:\n<<<<<<< HEAD\n  a: []\n=======\n  b: []\n>>>>>>> x\n");
}

#[test]
fn positions_after_aliases_and_wide_characters() {
    assert_report(
        "in_an_anchor",
        "x-a: &a {timeout: soon}\nqueues:\n  q:\n    - {<<: *a, run: a}\n    - {<<: *a, run: b}\n",
    );
    assert_report("wide_characters", "queues:\n  日本語: [{run: a, título: b, env: {é: [1]}}]\n");
    assert_report(
        "long_line",
        &format!("queues: {{q: [{} {{run: a, timeout: x}}]}}\n", "echo 'a long line', ".repeat(20)),
    );
    assert_report("windows_lines", "queues:\r\n  q:\r\n    - run: a\r\n      timeout: x\r\n");
    assert_report("quoted_value", "queues:\n  q:\n    - run: a\n      timeout: \"x y\"\n");
    assert_report("empty_collections", "queues:\n  q:\n    - run: a\n      timeout: [ ]\n    - {}\n    - []\n");
}

#[test]
fn errors_beyond_a_hundred_are_counted() {
    let yaml = format!("queues:\n  q:\n{}", "    - {run: a, nmae: b}\n".repeat(250));
    let diagnostics = definition::parse("jobs.yaml", &yaml).unwrap_err();
    assert_eq!((diagnostics.errors.len(), diagnostics.omitted), (100, 150));
    assert_eq!(diagnostics.to_string(), "jobs.yaml:3:16: unknown field `nmae`, and 249 more");
    assert!(diagnostics.render(false).ends_with("150 more errors are not shown"));
}

#[test]
fn a_diagnostic_has_position_path_hint_and_span() {
    let diagnostics = definition::parse("x/jobs.yaml", "queues:\n  q:\n    - run: a\n      tiemout: 1m\n").unwrap_err();
    let [only] = &diagnostics.errors[..] else { panic!() };
    assert_eq!((only.line, only.column, &*only.path), (4, 7, "queues.q[0].tiemout"));
    assert_eq!(&only.snippet.text[only.snippet.span.clone()], "tiemout");
    assert_eq!(only.hint.as_deref(), Some("did you mean `timeout`?"));
    assert_eq!(diagnostics.to_string(), "x/jobs.yaml:4:7: unknown field `tiemout`");
    assert!(diagnostics.render(true).contains("\u{1b}["));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}

#[test]
fn alias_bombs_are_rejected() {
    let levels = (1..12).map(|n| format!("x-{n}: &x{n} [{}]\n", vec![format!("*x{}", n - 1); 9].join(", ")));
    let bomb = format!("x-0: &x0 [lol]\n{}queues: {{}}\n", levels.collect::<String>());
    assert_eq!(parse_invalid(&bomb).errors[0].message, "aliases repeat this too many times");

    let wide = format!("x-0: &x [{}]\nqueues:\n{}", "a, ".repeat(3000), "  q: [*x]\n".repeat(3000));
    assert_eq!(parse_invalid(&wide).errors[0].message, "aliases repeat this too many times");

    // Little text, but too many values.
    let many = format!("x-0: &x [{}]\nqueues:\n  q:\n{}", "a, ".repeat(100), "  - [*x]\n".repeat(30_000));
    assert_eq!(parse_invalid(&many).errors[0].message, "aliases repeat this too many times");

    let long = format!("x-0: &x {}\nqueues:\n  q: [{}]\n", "a".repeat(100_000), "*x, ".repeat(1_000));
    assert_report_of_long_file("aliases_of_a_long_text", &long);
}

#[test]
fn deep_nesting_is_rejected_before_parsing() {
    for open in ["[", "{a: ", "[{a: ", "- [", "[\n", "[']', "] {
        let yaml = format!("queues: {{}}\nx-a: {}", open.repeat(100_000));
        let message = &parse_invalid(&yaml).errors[0].message;
        assert_eq!(message, "nested deeper than 128 levels", "{open}");
    }
    for open in ["- ", "? ", "-\t? "] {
        let yaml = format!("queues:\n  q:\n    {}", open.repeat(50_000));
        assert_eq!(parse_invalid(&yaml).errors[0].message, "nested deeper than 128 levels", "{open}");
    }
    let lists: Vec<String> = (0..500).map(|level| " ".repeat(level) + "- \n").collect();
    assert_eq!(parse_invalid(&lists.concat()).errors[0].message, "nested too deep");
    assert_report_of_long_file("nested_too_deep", &format!("queues: {}", "[".repeat(200)));
}

#[test]
fn brackets_in_text_do_not_count_as_nesting() {
    let script = "if [ -f x ]; then echo '{[' \"[[\" {{{ ; fi # [[[";
    let block = format!("    - run: |\n        {script}\n\n        {script}\n    - >-\n      {script}\n");
    let dashes = "- ".repeat(200);
    let block = format!("{block}    - >\n      {dashes}\n    - '{dashes}'\n");
    let plain = "    - echo [ {{ [ # [[\n    - 'it''s [[[[' # '\n    - \"\\\"[[[[\"\n    - &a !!str a[[[\n";
    let yaml = format!("queues:\n  q:\n{}{}", block.repeat(100), plain.repeat(100));
    assert_eq!(parse_valid(&yaml).queues[0].jobs.len(), 800);
}

#[test]
fn a_file_larger_than_the_limit_is_rejected() {
    let yaml = format!("queues: {{}}\n{}", "#".repeat(usize::try_from(definition::MAX_FILE_BYTES).unwrap()));
    assert_report_of_long_file("too_large", &yaml);
}

#[test]
fn too_many_values_are_rejected_before_parsing() {
    const MANY: usize = 250_000;
    let at_once = "a,".repeat(MANY);
    let in_brackets = format!("queues: {{q: [{at_once}]}}\n");
    assert_report_of_long_file("long_list", &in_brackets);
    for (yaml, line) in [
        ("a: 1\n".repeat(MANY), 200_001),
        (format!("queues:\n  q:\n    - run: a\n      env: {{{}}}\n", "A: 1, ".repeat(MANY)), 4),
        (format!("queues:\n  q:\n{}", "  -\n".repeat(MANY)), 200_003),
        (format!("queues:\n  q:\n{}", "    - {}\n".repeat(MANY)), 200_003),
        (format!("queues:\n{}", "? a\n".repeat(MANY)), 200_001),
        (format!("queues:\n  q:\n{}", "    - id: a\n      run: a\n".repeat(MANY)), 400_003),
    ] {
        let report = parse_invalid(&yaml);
        assert_eq!((report.errors.len(), report.omitted), (1, 0));
        assert_eq!(report.errors[0].message, "this list or map has more than 200000 entries");
        assert_eq!(report.errors[0].line, line);
        assert!(report.render(false).len() < 1_000, "a long line is not shown whole");
    }

    assert_report_of_long_file(
        "many_lists",
        &format!("queues:\n{}", format!("  q: [{}]\n", "a,".repeat(150_000)).repeat(7)),
    );
    for nested in ["[[[[[[[[a]]]]]]]],", "[a: {b: {c: }}],", "{a: [[a: [a]]]},"] {
        let yaml = format!("queues:\n{}", format!("  q: [{}]\n", nested.repeat(30_000)).repeat(10));
        assert_eq!(parse_invalid(&yaml).errors[0].message, "this file has too many values", "{nested}");
    }
}

#[test]
fn many_large_jobs_are_within_the_limits() {
    let job = "  - run: a\n    args: [a, b, {}]\n    env: {A: 1, B: '2', C: \"[\"}\n    # - a: b, {\n";
    let queue = |name| format!("  {name}:\n{}", job.repeat(30_000));
    // The parser stops at the first line without reading the long text.
    let yaml = format!("queues: - a\n{}{}{}", queue("q"), queue("r"), queue("s"));
    assert_eq!(parse_invalid(&yaml).errors[0].message, "a list can't start here");
    // List items may start in the column of their key.
    let queue = |name| format!("  {name}:\n{}", "  - a\n".repeat(150_000));
    let yaml = format!("queues: - a\n{}{}", queue("q"), queue("r"));
    assert_eq!(parse_invalid(&yaml).errors[0].message, "a list can't start here");
}

#[test]
fn too_long_text_is_rejected_before_parsing() {
    const MEGABYTE: usize = 1 << 20;
    let long = "a".repeat(5 * MEGABYTE);
    let lines = "      a b\n".repeat(MEGABYTE / 2);
    assert_report_of_long_file("long_text", &format!("queues:\n  q:\n    - a\n    - title: {long}\n      run: a\n"));
    for (text, column) in [
        (format!("{long}\n"), 7),
        (format!("\"{long}\"\n"), 7),
        (format!("'{long}'\n"), 7),
        (format!("'{long}"), 7),
        (format!("\"{}\"\n", "\n        a".repeat(MEGABYTE)), 7),
        (format!("[a, {long}]\n"), 11),
        (format!("|\n{lines}"), 7),
        (format!("title: >-\n{}", lines.replace("      ", "        ")), 14),
        (format!("&{long} a\n"), 7),
        (format!("*{long}\n"), 7),
        (format!("{long}: a\n"), 7),
        (format!("a {}", "b ".repeat(3 * MEGABYTE)), 7),
    ] {
        let report = parse_invalid(&format!("queues:\n  q:\n    - {text}"));
        assert_eq!(report.errors[0].message, "this text is longer than 4 MiB");
        assert_eq!((report.errors[0].line, report.errors[0].column), (3, column));
        assert!(report.render(false).len() < 1_000);
    }
    let comments = format!("# {long}\n{}", "# a\n".repeat(MEGABYTE));
    let blanks = format!("{}\n{}", " ".repeat(5 * MEGABYTE), "\r\n".repeat(MEGABYTE));
    let below = "a".repeat(4 * MEGABYTE - 100);
    let fine = format!("queues: - a\n{comments}  q: # {long}\n    - a{blanks}    - {below}\n    - |\n     {below}\n");
    assert_eq!(parse_invalid(&fine).errors[0].message, "a list can't start here");
}

#[test]
fn inherited_values_are_limited_in_memory() {
    let jobs = |inherited: &str, job: &str, count| {
        format!("queues:\n  q:\n    {inherited}\n    jobs:\n{}", format!("      - {job}\n").repeat(count))
    };
    let text = "x".repeat(100_000);
    let (env, tags) = (format!("env: {{A: {text}}}"), format!("tags: [{text}]"));
    assert_report_of_long_file("too_much_inherited", &jobs(&env, "{run: a, timeout: 1m}", 3_000));
    for (inherited, job) in [
        (&env, "{run: a, env: {B: 1}}"),
        (&env, "{run: a, stdin: b}"),
        (&format!("env_file: {text}"), "{run: a, env: {B: 1}}"),
        (&tags, "a"),
        (&tags, "{run: a, timeout: 1m}"),
    ] {
        let report = parse_invalid(&jobs(inherited, job, 3_000));
        let message = "the inherited values of the jobs of this file take more than 256 MiB of memory";
        assert_eq!((report.errors.len(), report.omitted, &*report.errors[0].message), (1, 0, message), "{job}");
    }
    // Equal options are shared.
    assert_eq!(parse_valid(&jobs(&env, "a", 3_000)).queues[0].jobs.len(), 3_000);
    assert_eq!(parse_valid(&jobs(&env, "{run: a, env: {B: 1}}", 10)).queues[0].jobs.len(), 10);
}

#[test]
fn many_tag_directives_are_rejected() {
    let tags: Vec<String> = (0..200).map(|nth| format!("%TAG !e{nth}! a\n")).collect();
    assert_report_of_long_file("many_tags", &format!("# none\n{}---\nqueues: {{}}\n", tags.concat()));
}

#[test]
fn utf_16_without_a_byte_order_mark_is_recognised() {
    let zeros: String = "queues: {}\n".chars().flat_map(|c| [c, '\0']).collect();
    assert_report("utf_16_without_a_mark", &zeros);
}

#[test]
fn only_a_part_of_a_very_long_line_is_shown() {
    let many = |count| "echo a, ".repeat(count);
    let line = |after: &str| format!("queues:\n  q: [{}{after}, {}]\n", many(5_000), many(5_000));
    assert_report_of_long_file("part_of_a_long_line", &line("{run: a, timeout: é}"));
    assert_report_of_long_file("two_near_parts_of_a_long_line", &line("{run: a, run: b}"));
    let far = format!("{{id: x, run: a}}, {}{{id: x, run: b}}", many(5_000));
    assert_report_of_long_file("two_far_parts_of_a_long_line", &line(&far));
    assert_report_of_long_file("end_of_a_long_line", &format!("queues:\n  q: [{}{{run: a, timeout: x", many(5_000)));
    assert_report_of_long_file(
        "long_word_in_a_long_line",
        &line(&format!("{{run: a, timeout: {}}}", "日".repeat(3_000))),
    );

    // Columns count from the start of the line, whatever part is shown.
    let job = "{run: é, timeout: x}, ";
    let report = parse_invalid(&format!("queues: {{q: [{}]}}\n", job.repeat(20_000)));
    let columns: Vec<usize> = report.errors.iter().map(|error| error.column).collect();
    assert_eq!(columns, (0..100).map(|nth| 14 + nth * job.chars().count() + 18).collect::<Vec<_>>());
    for error in &report.errors {
        assert!(error.snippet.text.len() <= 4_096);
        assert_eq!(&error.snippet.text[error.snippet.span.clone()], "x");
    }
}

#[test]
fn a_report_of_many_errors_is_bounded() {
    const MANY: usize = 30_000;
    let lines = |line: &str| format!("queues:\n  q:\n    - run: a\n{}", line.repeat(MANY));
    for (what, yaml) in [
        ("unknown field `nmae`", lines("    - {run: a, nmae: b}\n")),
        ("duplicate key `A`", format!("queues: {{q: [{{run: a, env: {{A: 1, {}}}}}]}}\n", "A: 1, ".repeat(MANY))),
        ("this job has neither `run` nor `command`", lines("    - {}\n")),
        ("unsupported tag `!x`", lines("    - !x a\n")),
        ("a key must be text, found a list", lines("    - {[]: a, run: a}\n")),
        ("expected a script or a map of a job's fields, found nothing", lines("    -\n")),
        ("no job `b` in this queue", lines("    - {run: a, needs: [b]}\n")),
    ] {
        let report = parse_invalid(&yaml);
        assert_eq!((report.errors.len(), report.omitted), (100, MANY - 100), "{what}");
        assert!(report.errors.iter().all(|error| error.message == what), "{what}");
        assert!(report.render(false).len() < 100_000, "{what}");
    }
}

#[test]
fn distant_errors_in_a_long_file_have_the_right_positions() {
    let mut lines = vec!["    - {run: a, args: [1, b], env: {A: 1.10}}"; 20_000];
    for (line, wrong) in [(10, "    - {rum: a}"), (9_000, "    - {run: a, env: []}"), (19_999, "    - {run: ''}")] {
        lines[line] = wrong;
        let report = parse_invalid(&format!("queues:\n  q:\n{}\n", lines.join("\n")));
        let last = report.errors.last().unwrap();
        assert_eq!((last.line, &*last.snippet.text), (line + 3, wrong));
        assert!(last.column >= 7, "{wrong}");
    }
}

#[test]
fn many_jobs_with_the_same_words_are_named_quickly() {
    let plan = parse_valid(&format!("queues:\n  q:\n{}", "    - echo a\n".repeat(20_000)));
    assert_eq!(plan.queues[0].jobs[19_999].name.as_deref(), Some("echo-a-20000"));
}
