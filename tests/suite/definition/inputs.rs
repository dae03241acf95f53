//! `inputs` in `jobs.yaml`.

use setlist::definition::parse;
use setlist::model::{InputDeclaration, InputType};

use super::assert_report;

/// The inputs of the queue `q`.
fn inputs(text: &str) -> Vec<InputDeclaration> {
    let desired = parse("jobs.yaml", text).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    desired.queues[0].settings.inputs.to_vec()
}

#[test]
fn inputs_have_short_forms_and_a_queue_adds_to_those_of_the_file() {
    let text = "inputs:\n  env: staging\n  count: 3\n  dry-run: False\n  version:\n  where: [eu, us]\n\
        queues:\n  q:\n    inputs:\n      env: {options: [staging, prod], default: prod, description: Where to}\n      \
        token: {type: secret}\n      size: {default: 1.5}\n    jobs: [x]\n  r: {inputs: none, jobs: [x]}\n";
    let found: Vec<String> = inputs(text)
        .iter()
        .map(|input| format!("{} {} {:?} {}", input.name, input.input_type.as_str(), input.default, input.description))
        .collect();
    assert_eq!(
        found,
        [
            "env options Some(\"prod\") Where to",
            "count number Some(\"3\") ",
            "dry-run bool Some(\"false\") ",
            "version text None ",
            "where options None ",
            "token secret None ",
            "size number Some(\"1.5\") ",
        ]
    );
    assert_eq!(inputs(text)[4].input_type, InputType::Options(vec!["eu".to_owned(), "us".to_owned()]));
    assert!(parse("jobs.yaml", text).unwrap().queues[1].settings.inputs.is_empty());
}

#[test]
fn placeholders_are_allowed_where_values_are_filled_in() {
    let text = "queues:\n  q:\n    inputs: {env: staging}\n    env: {TARGET: 'x${inputs.env}'}\n    jobs:\n      \
        - {command: [deploy, '${inputs.env}'], args: ['${inputs.env}'], cwd: '${inputs.env}', stdin: '${inputs.env}'}\n      \
        - {command: [node, -p, x], args: ['${inputs.env}']}\n      - echo $SETLIST_INPUT_ENV\n";
    assert_eq!(inputs(text).len(), 1);
}

#[test]
fn wrong_inputs() {
    assert_report(
        "wrong_inputs",
        "inputs:\n  1st: x\n  env: {option: [a]}\n  n: {type: number, default: many}\n  o: {options: [a, a]}\n  \
         t: {type: text, options: [a]}\n  s: {type: secret, default: hunter2}\n  p: {type: options}\n  \
         d: {options: [a], default: b}\n  k: {type: strings}\n  e: {options: []}\n  a-b: 1\n  a_b: 2\n  l: {default: [1]}\n  m: !x 1\n  o2: {options: a}\n  o3: ['']\n  r: {required: true}\n\
         queues: {q: {inputs: [x], jobs: [x]}}\n",
    );
}

#[test]
fn a_type_is_no_default() {
    assert_report(
        "types_as_defaults",
        "inputs:\n  token: secret\n  pin: Password\n  count: number\n  yes: boolean\n  env: options\n  \
         name: {default: secret}\n  format: text\n  zone: secrets\nqueues: {}\n",
    );
}

#[test]
fn wrong_placeholders_of_inputs() {
    assert_report(
        "wrong_placeholders_of_inputs",
        "queues:\n  q:\n    inputs: {env: staging}\n    jobs:\n      - {command: [a, '${inputs.enw}']}\n      \
         - echo ${inputs.env}\n      - {title: 'to ${inputs.env}', run: x}\n      - {command: [a, '${inputs.zone}']}\n      \
         - {command: [sh, -c, 'echo ${inputs.env}']}\n      - {command: [a, '${inputs.a b}']}\n      \
         - {command: [a, '${inputs.}']}\n      - {command: [a, '${inputs.ünv}']}\n      \
         - {run: y, if: 'test ${inputs.env} = prod'}\n      - {run: z, unless: [sh, -c, 'test ${inputs.env}']}\n",
    );
}

#[test]
fn a_schedule_needs_a_default_for_each_input() {
    assert_report(
        "schedules_with_inputs",
        "inputs: {version: }\nqueues:\n  nightly:\n    schedule: '@daily'\n    jobs: [x]\n  q:\n    jobs:\n      \
         - {run: x, schedule: '@daily'}\n  r: {inputs: {version: '1'}, schedule: '@daily', jobs: [x]}\n  \
         s: {inputs: none, schedule: '@daily', jobs: [x]}\n",
    );
}

#[test]
fn wrong_secrets() {
    assert_report("wrong_secrets", "secrets: TOKEN\nqueues: {q: {secrets: [A], jobs: [x]}}\n");
    assert_report("wrong_names_of_secrets", "secrets: [A=1, '', {b: c}]\nqueues: {q: [x]}\n");
}

#[test]
fn keys_for_anchors_are_ignored() {
    let text = "x-env: &env {A: b}\nqueues:\n  q:\n    x-job: &job {run: make, env: *env}\n    \
        inputs: {env: staging}\n    jobs: [*job]\n";
    assert_eq!(inputs(text).len(), 1);
    assert_report("key_for_anchors_in_a_job", "queues: {q: [{x-a: 1, run: x}]}\n");
}
