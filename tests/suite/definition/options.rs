//! Options of jobs and queues: their meaning, inheritance and sharing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeZone, Utc};
use setlist::model::{
    ExecOptions, FailureKind, Hook, Interruptions, NotBefore, OutcomeCondition, PassEnv, Retention, RetryOn,
    RetryPolicy, RetryScale, SchedulingOptions,
};

use super::*;

fn scheduling(job: &str) -> Arc<SchedulingOptions> {
    Arc::clone(&parse_valid(&format!("queues: {{q: [{job}]}}")).queues[0].jobs[0].scheduling)
}

fn exec(job: &str) -> Arc<ExecOptions> {
    Arc::clone(&script(&parse_valid(&format!("queues: {{q: [{job}]}}")).queues[0].jobs[0]).exec)
}

#[test]
fn retry_is_a_number_or_a_map() {
    assert_eq!(scheduling("{run: a, retry: 2}").retry, RetryPolicy::times(2));
    assert_eq!(scheduling("{run: a, retry: {max: 3}}").retry, RetryPolicy::times(3));
    let (seconds, failure) = (Duration::from_secs, RetryOn::Failure);
    assert_eq!(
        scheduling(
            "{run: a, retry: {max: 5, delay: 10s, backoff: 1.5, max_delay: 1m, on: [exit, signal, timeout, not_started, interrupted, 75]}}"
        )
        .retry,
        RetryPolicy {
            max: 5,
            delay: seconds(10),
            backoff: 1.5,
            max_delay: seconds(60),
            on: vec![
                failure(FailureKind::Exit),
                failure(FailureKind::Signal),
                failure(FailureKind::Timeout),
                failure(FailureKind::NotStarted),
                RetryOn::Interrupted,
                RetryOn::Code(75)
            ],
            interrupted: Interruptions::Counted,
            scale: RetryScale::default()
        }
    );
    assert_eq!(scheduling("{run: a, retry: {max: 1, on: timeout}}").retry.on, [failure(FailureKind::Timeout)]);
    assert_eq!(scheduling("{run: a, retry: {max: 1, on: 75}}").retry.on, [RetryOn::Code(75)]);
    let free = RetryPolicy { interrupted: Interruptions::Free, ..RetryPolicy::never() };
    assert_eq!(scheduling("{run: a, retry: {interrupted: free}}").retry, free);
    let long = scheduling("{run: a, retry: {max: 1, delay: 1h}}").retry.clone();
    assert_eq!(
        (long.delay, long.max_delay),
        (seconds(3600), seconds(3600)),
        "a first delay longer than the default maximum"
    );
    assert_eq!(long.delay(3), seconds(3600));
}

#[test]
fn after_is_a_delay_or_a_time() {
    let time = |text: &str| scheduling(&format!("{{run: a, after: {text}}}")).after;
    assert_eq!(time("10m"), Some(NotBefore::Delay(Duration::from_secs(600))));
    assert_eq!(time("90"), Some(NotBefore::Delay(Duration::from_secs(90))));
    assert_eq!(time("none"), None);
    assert_eq!(time("0"), None);
    let at = Some(NotBefore::Time(Utc.with_ymd_and_hms(2026, 11, 22, 17, 0, 0).unwrap()));
    assert_eq!(time("2026-11-22T18:00:00+01:00"), at);
    assert_eq!(time("'2026-11-22T17:00:00Z'"), at);
    let local = chrono::Local.with_ymd_and_hms(2026, 11, 22, 18, 0, 0).unwrap();
    for text in ["2026-11-22 18:00", "2026-11-22 18:00:00", "2026-11-22T18:00", "'2026-11-22 18:00'"] {
        assert_eq!(time(text), Some(NotBefore::Time(local.to_utc())), "{text}");
    }
    let midnight = chrono::Local.with_ymd_and_hms(2026, 11, 22, 0, 0, 0).unwrap();
    assert_eq!(time("2026-11-22"), Some(NotBefore::Time(midnight.to_utc())));
}

#[test]
fn other_options() {
    let all = scheduling("{run: a, priority: -3, weight: 4, confirm: Really?}");
    assert_eq!((all.priority, all.weight, all.confirm.as_deref()), (-3, 4, Some("Really?")));
    let all = exec("{run: a, pty: true, log_limit: 64KiB, env_file: .env}");
    assert_eq!((all.pty, all.log_limit, &*all.env_files), (true, 65536, &[PathBuf::from(".env")][..]));
    assert_eq!(exec("{run: a, env_file: [a.env, b.env]}").env_files.len(), 2);
    for (text, bytes) in [("500kB", 500_000), ("16MiB", 16 << 20), ("4096", 4096), ("1.5 GiB", 3 << 29)] {
        assert_eq!(exec(&format!("{{run: a, log_limit: {text}}}")).log_limit, bytes);
    }
}

#[test]
fn options_are_inherited() {
    let plan = parse_valid(
        r"
defaults: {retry: 1, after: 1m, priority: 1, weight: 2, pty: true, log_limit: 1MiB, env_file: [a.env], keep: {runs: 5, age: 1d}}
queues:
  plain: [a]
  own:
    retry: 3
    priority: 5
    env_file: b.env
    keep: {age: all, size: 2GiB}
    jobs:
      - b
      - {run: c, retry: 0, after: none, priority: 0, weight: 1, pty: false, log_limit: 16MiB, env_file: []}
  all: {keep: all}
",
    );
    let job = |queue: usize, job: usize| {
        let job = &plan.queues[queue].jobs[job];
        let (terms, setup) = (&job.scheduling, &script(job).exec);
        let after = terms.after.is_some();
        (
            terms.retry.max,
            after,
            terms.priority,
            terms.weight,
            setup.pty,
            setup.log_limit >> 20,
            setup.env_files.clone(),
        )
    };
    assert_eq!(job(0, 0), (1, true, 1, 2, true, 1, vec!["a.env".into()]));
    assert_eq!(job(1, 0), (3, true, 5, 2, true, 1, vec!["b.env".into()]));
    assert_eq!(job(1, 1), (0, false, 0, 1, false, 16, vec![]));

    let keep: Vec<Retention> = plan.queues.iter().map(|queue| queue.settings.retention).collect();
    let day = 24 * 60 * 60;
    assert_eq!(
        keep[0],
        Retention {
            max_runs: Some(5),
            max_age_seconds: Some(day),
            max_output_bytes: Retention::default().max_output_bytes
        }
    );
    assert_eq!(keep[1], Retention { max_runs: Some(5), max_age_seconds: None, max_output_bytes: Some(2 << 30) });
    assert_eq!(keep[2], Retention { max_runs: None, max_age_seconds: None, max_output_bytes: None });
    assert_eq!(parse_valid("queues: {q: [a]}").queues[0].settings.retention, Retention::default());
}

#[test]
fn equal_options_are_shared() {
    let plan = parse_valid(
        r"
queues:
  plain: [a, {run: b, retry: 0, timeout: none}]
  q:
    env: {A: 1}
    shell: bash
    retry: 2
    jobs:
      - a
      - b
      - {run: c, env: {B: 2}, retry: 3}
      - {run: d, env: {B: 2}, retry: 3, tags: [x]}
      - {run: e, env: {B: 3}, retry: 2}
",
    );
    let [bare, jobs] = &plan.queues[..] else { panic!() };
    for job in &bare.jobs {
        assert!(
            Arc::ptr_eq(&job.scheduling, &SchedulingOptions::shared_default())
                && Arc::ptr_eq(&script(job).exec, &ExecOptions::shared_default())
        );
    }
    let same = |a: usize, b: usize| {
        let (a, b) = (&jobs.jobs[a], &jobs.jobs[b]);
        (Arc::ptr_eq(&a.scheduling, &b.scheduling), Arc::ptr_eq(&script(a).exec, &script(b).exec))
    };
    assert_eq!(
        [same(0, 1), same(2, 3), same(0, 4), same(0, 2)],
        [(true, true), (true, true), (true, false), (false, false)]
    );
    let shell = |job: usize| match &script(&jobs.jobs[job]).program {
        Program::Run { shell, .. } => Arc::clone(shell),
        Program::Command(_) => panic!(),
    };
    assert!(Arc::ptr_eq(&shell(0), &shell(2)));
}

#[test]
fn invalid_options() {
    assert_report(
        "retries",
        "queues:
  q:
    - {run: a, retry: often}
    - {run: b, retry: -1}
    - {run: c, retry: [2]}
    - {run: d, retry: {delay: 1s}}
    - {run: e, retry: {max: 2, backof: 2, times: 3}}
    - {run: f, retry: {max: 2, backoff: 0.5}}
    - {run: g, retry: {max: 2, backoff: twice}}
    - {run: h, retry: {max: 2, backoff: .inf}}
    - {run: i, retry: {max: two, delay: soon}}
    - run: j
      retry:
        max: 2
        delay: 1m
        max_delay: 10s
    - {run: k, retry: {max: 2, max_delay: 10ms}}
",
    );
    assert_report(
        "retry_on",
        "queues:
  q:
    - {run: a, retry: {max: 2, on: cancelled}}
    - {run: b, retry: {max: 2, on: [timeout, skipped]}}
    - {run: c, retry: {max: 2, on: any}}
    - {run: d, retry: {max: 2, on: []}}
    - {run: e, retry: {max: 2, on: [256, timeuot, 1.5, [exit]]}}
",
    );
    assert_report(
        "times",
        "queues:
  q:
    - {run: a, after: tomorrow}
    - {run: b, after: 2026-02-30}
    - {run: c, after: 2026-11-22 25:00}
    - {run: d, after: '18:00'}
    - {run: e, after: [10m]}
    - {run: f, after: 1.5}
    - {run: g, after: 1000years}
    - {run: h, after: 0001-01-01}
    - {run: h, after: 2999-01-01T00:00:00Z}
    - {run: i, after: -5}
    - {run: j, after: true}
",
    );
    assert_report(
        "numbers_and_sizes",
        "queues:
  q:
    - {run: a, priority: high}
    - {run: b, priority: 2147483648}
    - {run: c, weight: 0}
    - {run: d, weight: \"2\"}
    - {run: e, log_limit: 1kB}
    - {run: f, log_limit: lots}
    - {run: g, log_limit: 16 megs}
    - {run: h, log_limit: 99999999999}
    - {run: i, log_limit: 99EB}
    - {run: j, log_limit: 9999999999999999999}
    - {run: k, log_limit: 1.5}
    - {run: l, log_limit: -1}
",
    );
    assert_report(
        "confirm_pty_and_env_files",
        "queues:
  q:
    - {run: a, confirm: ''}
    - {run: b, confirm: [Really?]}
    - {run: c, pty: yes}
    - {run: d, pty: 1}
    - {run: e, env_file: ''}
    - {run: f, env_file: {a: b}}
    - {run: g, env_file: [.env, [b]]}
",
    );
    assert_report(
        "keep",
        "queues:
  a: {keep: {runs: 0}}
  b: {keep: {age: 1ms}}
  c: {keep: {size: 0}}
  d: {keep: {rusn: 1, days: 90}}
  e: {keep: 100}
  f: {keep: {runs: none, age: ever, size: 1 gig}}
  g: [{run: a, keep: {runs: 1}}]
",
    );
    assert_report(
        "field_synonyms",
        "queues:\n  q:\n    concurrency: 2\n    jobs:\n      - {script: a}\n      - {run: b, retries: 2, depends_on: [a], environment: {}, dir: x}\n",
    );
}

#[test]
fn names_of_other_tools_lead_to_ours() {
    let job_fields = [
        ("script", "x", "run"),
        ("cmd", "x", "run"),
        ("steps", "[x]", "run"),
        ("cron", "'@daily'", "schedule"),
        ("env_vars", "{}", "env"),
        ("working-directory", "x", "cwd"),
        ("depends_on", "[x]", "needs"),
        ("when", "x", "if"),
        ("loop", "[x]", "for_each"),
        ("with_items", "[x]", "for_each"),
        ("foreach", "[x]", "for_each"),
        ("labels", "[x]", "tags"),
    ];
    let queue_fields = [("steps", "[x]", "jobs"), ("parameters", "{}", "inputs"), ("workers", "2", "parallel")];
    let input_fields = [("choices", "[a]", "options"), ("desc", "x", "description"), ("value", "x", "default")];
    let types = [
        ("password", "secret"),
        ("string", "text"),
        ("boolean", "bool"),
        ("int", "number"),
        ("enum", "options"),
        ("select", "options"),
    ];
    let of_job = job_fields.map(|(name, value, own)| (format!("queues: {{q: [{{id: a, {name}: {value}}}]}}"), own));
    let of_queue =
        queue_fields.map(|(name, value, own)| (format!("queues: {{q: {{{name}: {value}, jobs: [x]}}}}"), own));
    let of_input =
        input_fields.map(|(name, value, own)| (format!("inputs: {{i: {{{name}: {value}}}}}\nqueues: {{}}"), own));
    let of_type = types.map(|(name, own)| (format!("inputs: {{i: {{type: {name}}}}}\nqueues: {{}}"), own));
    for (file, own) in of_job.into_iter().chain(of_queue).chain(of_input).chain(of_type) {
        let errors = definition::parse("jobs.yaml", &file).unwrap_err().errors;
        let hint = format!("did you mean `{own}`?");
        assert!(errors.iter().any(|error| error.hint.as_ref() == Some(&hint)), "{file}: {errors:?}");
    }
}

#[test]
fn pass_env_is_inherited_and_replaced() {
    let parsed = parse_valid(
        "defaults: {pass_env: none}\nqueues:\n  q: [{run: a}, {run: b, pass_env: all}, {run: c, pass_env: [A, B]}, {run: d, pass_env: []}]\n",
    );
    let exec = |nth: usize| script(&parsed.queues[0].jobs[nth]).exec.pass_env.clone();
    let named = |names: &[&str]| PassEnv::Names(names.iter().copied().map(str::to_owned).collect());
    assert_eq!([0, 1, 2, 3].map(exec), [PassEnv::None, PassEnv::All, named(&["A", "B"]), named(&[])]);
    assert_report(
        "pass_env",
        "queues:
  q:
    - {run: a, pass_env: HOME}
    - {run: b, pass_env: noen}
    - {run: c, pass_env: [A, B=1, '']}
    - {run: d, pass_env: {a: b}}
",
    );
}

#[test]
fn invalid_hooks() {
    assert_report(
        "on_finish",
        "queues:
  q:
    on_finish: ~
    jobs:
      - {run: a, on_finish: ''}
      - {run: b, on_finish: []}
      - {run: c, on_finish: {on: failure}}
      - {run: d, on_finish: {run: x, command: [y]}}
      - {run: e, on_finish: {run: '', on: failed, timeout: 0, shell: sh}}
      - {run: f, on_finish: {command: mail me}}
      - {run: g, notify: x}
      - {run: h, on_finish: 'say ${matrix.a}', matrix: {a: [1]}}
      - {run: i, on_finish: {run: 'say ${matrix.a}'}, matrix: {a: [1]}}
",
    );
}

#[test]
fn on_finish_is_a_script_a_command_or_a_map() {
    let plan = parse_valid(
        r#"
defaults: {on_finish: ./tell.sh}
queues:
  q:
    - a
    - {run: b, on_finish: none}
    - {run: c, on_finish: [notify-send, done]}
    - {run: d, on_finish: {run: 'mail me', on: failure, timeout: 5s}}
    - {run: e, on_finish: [say, "${matrix.word}"], matrix: {word: [hi]}}
  r:
    on_finish: {command: [x], on: success}
    jobs: [f]
"#,
    );
    let hooks: Vec<Option<Hook>> = plan
        .queues
        .iter()
        .flat_map(|queue| &queue.jobs)
        .map(|job| script(job).exec.on_finish.as_deref().cloned())
        .collect();
    let command = |words: &[&str]| Hook::new(Program::Command(words.iter().map(|word| (*word).to_owned()).collect()));
    let five = Duration::from_secs(5);
    let expected = [
        Some(Hook::new(shell("./tell.sh"))),
        None,
        Some(command(&["notify-send", "done"])),
        Some(Hook { on: OutcomeCondition::Failure, timeout: five, ..Hook::new(shell("mail me")) }),
        Some(command(&["say", "hi"])),
        Some(Hook { on: OutcomeCondition::Success, ..command(&["x"]) }),
    ];
    assert_eq!(hooks, expected);
    assert_eq!(
        hooks[0].as_ref().map(|hook| (hook.on, hook.timeout)),
        Some((OutcomeCondition::Finish, Duration::from_secs(60)))
    );
}

#[test]
fn invalid_scales() {
    assert_report(
        "scales",
        "queues:
  q:
    - {run: a, retry: {max: 1, scale: {memory: 1}}}
    - {run: b, retry: {max: 1, scale: {cpus: 2}}}
    - {run: c, retry: {max: 1, scale: {memory: {max: 1GiB}}}}
    - {run: d, retry: {max: 1, on: [memory]}}
    - {run: e, retry: {max: 1, scale: 2}}
    - {run: f, retry: {max: 1, scale: {timeout: {by: twice, max: 1GiB, most: 1}}}}
",
    );
}

#[test]
fn invalid_limits() {
    assert_report(
        "limits",
        "queues:
  q:
    - {run: a, limits: {memory: 4k}}
    - {run: b, limits: {memory: lots}}
    - {run: c, limits: {cpu_time: 0s}}
    - {run: d, limits: {open_files: 0}}
    - {run: e, limits: {memry: 1GiB}}
    - {run: f, limits: 5}
    - {run: g, limits: {cpus: 0}}
    - {run: h, limits: {cpus: many}}
    - {run: i, limits: {nice: 20}}
    - {run: g, max_memory: 5}
",
    );
}

#[test]
fn wrong_conditions_sources_and_outputs() {
    assert_report(
        "wrong_start_checks",
        "queues:
  q:
    if: a
    jobs:
      - {run: a, if: ''}
      - {run: b, unless: {run: b}}
      - {run: c, if: []}
      - {run: d, sources: []}
      - {run: e, sources: ['!a/*']}
      - {run: f, sources: {on: mtime}}
      - {run: g, sources: {paths: a, on: hash}}
      - {run: h, sources: {path: a}}
      - {run: i, sources: ['a[', '{a,b', '*/../b', ' ']}
      - {run: j, outputs: ['out', '!out/a']}
      - {run: k, outputs: {paths: a}}
      - {run: l, source: a}
      - {run: m, only_if: a}
      - {run: n, if: 'test ${matrix.a}', matrix: {a: [1]}}
      - {run: o, sources: '{1,2,3,4,5,6,7,8,9,10,11}{1,2,3,4,5,6,7,8,9,10}'}
",
    );
}

#[test]
fn snapshots() {
    assert_report(
        "snapshot",
        "defaults: {snapshot: git}
queues:
  q:
    - {run: a, outputs: out.bin}
    - {run: b, outputs: [/data/out.bin, ~/out.bin]}
    - {run: c, snapshot: none, outputs: out.bin}
    - {run: d, snapshot: hg}
    - {run: e, snapshot: true}
",
    );
}
