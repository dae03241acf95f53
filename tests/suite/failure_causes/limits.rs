//! Limits on what a run may use: they hold, a failure at one names it, and `check` reports what can't be kept.

use crate::temp_site::TempSite;

/// A site whose jobs each reach a limit.
const JOBS: &str = "\
defaults:
  limits: {memory: 64MiB, open_files: 64}
queues:
  q:
    parallel: 2
    jobs:
      - {id: memory, command: [dd, if=/dev/zero, of=/dev/null, bs=1G, count=1]}
      - {id: enough, command: [dd, if=/dev/zero, of=/dev/null, bs=1G, count=1], limits: {memory: none}}
      - {id: files, run: 'exec 3< jobs.yaml 4< jobs.yaml', limits: {open_files: 4}}
      - {id: cpu, run: 'while :; do :; done', limits: {cpu_time: 900ms}}
      - {id: size, run: 'head -c 1000000 /dev/zero > big; true', limits: {file_size: 64KiB}}
      - {id: hard, run: 'ulimit -n 100', limits: none}
      - {id: lowered, run: 'test \"$(ulimit -H -n)\" = 64 && test \"$(ulimit -S -n)\" = 64'}
      - {id: inherited, run: 'test \"$(ulimit -H -n)\" = 50 && test \"$(ulimit -d)\" = 65536', limits: {open_files: 50}}
";

#[test]
fn limits_hold_and_a_failure_names_the_one_that_was_reached() {
    let site = TempSite::with(JOBS);
    site.run(&["process", "--quiet"]);
    let cause = |name: &str| site.job(name)["cause"].clone();
    let text = |name: &str| cause(name)["text"].as_str().unwrap_or_default().to_owned();
    assert!(
        text("q/memory").starts_with("out of memory (limit 64 MiB): dd: memory exhausted"),
        "{}",
        cause("q/memory")
    );
    assert!(text("q/files").starts_with("too many open files (limit 4): "), "{}", cause("q/files"));
    assert_eq!(text("q/cpu"), "processor time used up (limit 1s)");
    assert_eq!(text("q/size"), "file too large (limit 64 KiB)");
    assert_eq!(cause("q/memory")["limit"], "64 MiB");
    for name in ["q/enough", "q/hard", "q/lowered", "q/inherited"] {
        assert_eq!(site.job(name)["outcome"], "succeeded", "{name}: {}", site.job(name));
    }
    let show = site.ok(&["show", "q/memory"]);
    assert!(show.contains("  limits    memory 64 MiB, open_files 64\n"), "{show}");
    assert!(show.contains("  fix       Raise `limits.memory`, if the job needs more.\n"), "{show}");
}

#[test]
fn check_warns_of_limits_that_the_machine_cannot_keep() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'true', limits: {memory: 100TiB}}\n    - {id: b, run: 'true', limits: {open_files: 4294967295}}\n    - {id: c, run: 'true', limits: {memory: 16MiB, open_files: 8}}\n",
    );
    let output = site.run(&["check"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    for part in [
        "warning: q/a: the memory limit of 100 TiB is more than this machine has, ",
        "warning: q/b: the limit of 4294967295 open files is more than ",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
    assert!(!output.stderr.contains("q/c"), "{output:?}");
}

#[test]
fn invalid_limits_are_errors_with_their_place() {
    let site = TempSite::with(
        "\
queues:
  q:
    - {run: a, limits: {memory: 4k}}
    - {run: b, limits: {memory: lots}}
    - {run: c, limits: {cpu_time: 0s}}
    - {run: d, limits: {open_files: 0}}
    - {run: e, limits: {memry: 1GiB}}
    - {run: f, limits: 5}
",
    );
    let output = site.run(&["check"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    for part in [
        "a memory limit must be at least 1MiB",
        "invalid size `lots`",
        "a limit on processor time must be at least 1s",
        "in queues.q[3].limits.open_files",
        "did you mean `memory`?",
        "in queues.q[5].limits",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
}
