//! Limits on what a run may use: they hold, a failure at one names it, and `check` reports what can't be kept.

use std::fs;
use std::path::Path;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};

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
    - {run: g, limits: {cpus: 0}}
    - {run: h, limits: {cpus: many}}
    - {run: i, limits: {nice: 20}}
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
        "expected a number of processors from 0.01 to 100000, found `0`",
        "expected a number of processors, found",
        "expected a whole number from -20 to 19, found `20`",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
}

/// Where this machine has the hierarchy of cgroups, and a folder in which this user may create some.
fn writable_cgroup() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = format!("{mount}{}", own.lines().find_map(|line| line.strip_prefix("0::"))?);
    let probe = Path::new(&folder).join(format!("setlist-test-{}", std::process::id()));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok().then_some(folder)
}

/// Whether cgroups of runs have this controller here.
fn has_controller(name: &str) -> bool {
    let enabled =
        writable_cgroup().and_then(|folder| fs::read_to_string(format!("{folder}/cgroup.subtree_control")).ok());
    enabled.is_some_and(|enabled| enabled.split_whitespace().any(|known| known == name))
}

#[test]
fn processors_and_niceness_are_limited_and_what_is_not_kept_is_on_record() {
    if has_controller("cpu") {
        eprintln!("SKIPPED: cgroups limit processors here");
        return;
    }
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: one, run: nproc, limits: {cpus: 1}}\n    - {id: half, run: nproc, limits: {cpus: 0.5}}\n    - {id: nice, run: nice, limits: {nice: 7}}\n    - {id: all, run: nproc, limits: {cpus: 100000}}\n",
    );
    let check = site.run(&["check"]).stderr;
    assert!(
        check.contains("warning: q/half: the limit of 0.5 processors becomes 1 without a cgroup of the run"),
        "{check}"
    );
    assert!(!check.contains("q/one") && !check.contains("q/nice"), "{check}");
    site.ok(&["process", "--quiet"]);
    let value = |name: &str| site.job(name)["value"].clone();
    assert_eq!([value("q/one"), value("q/half"), value("q/nice")], [json!("1"), json!("1"), json!("7")]);
    assert_ne!(value("q/all"), json!("0"));
    assert_eq!(site.job("q/one")["runs"][0]["unkept_limits"], json!([]));
    let half = site.job("q/half");
    let unkept = half["runs"][0]["unkept_limits"][0].as_str().unwrap_or_default();
    assert!(unkept.starts_with("the limit of 0.5 processors becomes 1"), "{half}");
    let shown = site.ok(&["show", "q/half"]);
    assert!(shown.contains("  limits    cpus 0.5\n") && shown.contains("  not kept  the limit of 0.5 "), "{shown}");
}

#[test]
fn a_retry_after_out_of_memory_has_more_memory_up_to_a_maximum() {
    let allocate = "[dd, if=/dev/zero, of=/dev/null, bs=150M, count=1]";
    let site = TempSite::with(&format!(
        "defaults:\n  limits: {{memory: 64MiB}}\n  retry: {{max: 4, delay: 0s, on: [oom], scale: {{memory: 2}}}}\nqueues:\n  q:\n    \
         - {{id: grows, command: {allocate}}}\n    \
         - {{id: capped, command: {allocate}, retry: {{max: 2, delay: 0s, on: oom, scale: {{memory: {{by: 1.5, max: 80MiB}}}}}}}}\n    \
         - {{id: other, run: exit 3}}\n    \
         - {{id: late, run: exec sleep 1000, timeout: 50ms, retry: {{max: 1, delay: 0s, scale: {{timeout: 2}}}}}}\n"
    ));
    site.run(&["process", "--quiet"]);
    let limits = |name: &str| {
        let job = site.job(name);
        let runs = job["runs"].as_array().unwrap();
        runs.iter().map(|run| run["scaled_limits"]["memory"].clone()).collect::<Vec<Value>>()
    };
    let mebibytes = |count: u64| json!(count << 20);
    assert_eq!(limits("q/grows"), [Value::Null, mebibytes(128), mebibytes(256)]);
    let grows = site.job("q/grows");
    assert_eq!(grows["outcome"], "succeeded");
    assert!(site.ok(&["show", "q/grows"]).contains("  scaled    memory 256 MiB\n"));
    assert_eq!(limits("q/capped"), [Value::Null, mebibytes(80), mebibytes(80)]);
    let text = site.job("q/capped")["cause"]["text"].clone();
    assert!(text.as_str().is_some_and(|text| text.starts_with("out of memory (limit 80 MiB)")), "{text}");
    assert_eq!(limits("q/other"), [Value::Null], "another cause is not retried");
    let late = site.job("q/late");
    assert_eq!(late["runs"][1]["scaled_limits"], json!({"memory": null, "timeout_ms": 100}), "{late}");
    assert_eq!(late["cause"]["limit"], "100ms");
    // A request starts with the limit of the job again.
    site.ok(&["retry", "q/grows"]);
    site.ok(&["wait", "q/grows"]);
    let runs = site.job("q/grows")["runs"].clone();
    assert_eq!(runs[3]["scaled_limits"], Value::Null, "{runs}");
}

#[test]
fn mistakes_in_scale_are_errors_with_their_place() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {run: a, retry: {max: 1, scale: {memory: 1}}}\n    - {run: b, retry: {max: 1, scale: {cpus: 2}}}\n    - {run: c, retry: {max: 1, scale: {memory: {max: 1GiB}}}}\n    - {run: d, retry: {max: 1, on: [memory]}}\n    - {run: e, retry: {max: 1, scale: 2}}\n",
    );
    let output = site.run(&["check"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    for part in [
        "expected a factor of more than 1, found `1`",
        "in queues.q[0].retry.scale.memory",
        "in queues.q[1].retry.scale.cpus",
        "missing `by`",
        "`oom`",
        "in queues.q[4].retry.scale",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
}

#[test]
fn a_limit_that_can_not_grow_is_a_warning_of_check() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'true', retry: {max: 1, scale: {memory: 2, timeout: 2}}}\n    - {id: b, run: 'true', timeout: 1h, limits: {memory: 1GiB}, retry: {max: 1, scale: {memory: 2, timeout: 2}}}\n",
    );
    let stderr = site.run(&["check"]).stderr;
    for part in [
        "warning: q/a: `retry.scale.memory` has no effect without `limits.memory`",
        "warning: q/a: `retry.scale.timeout` has no effect without `timeout`",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!stderr.contains("q/b"), "{stderr}");
}

/// Starts a process that is busy before the run is in its cgroup, writes its time in ticks, and ends when both are in it.
/// No process waits for that one, so that its time counts for none.
const BUSY: &str = "mkfifo gate 2> /dev/null
(MAIN=$$ setsid sh busy-orphan.sh &)
read orphan < gate
while kill -0 $orphan 2> /dev/null; do sleep 0.05; done
grep ^0:: /proc/self/cgroup
";
const BUSY_ORPHAN: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done
cut -d ' ' -f 14,15 /proc/$$/stat > ticks
for pid in $MAIN $$; do
    until grep -q /setlist-run- /proc/$pid/cgroup; do sleep 0.05; done
done
echo $$ > gate
";

#[test]
fn the_cgroup_of_a_run_tells_what_all_its_processes_used_and_is_removed() {
    let Some(folder) = writable_cgroup() else {
        eprintln!("SKIPPED: this user may not create cgroups (version 2) here");
        return;
    };
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: sh busy.sh}\n    - {id: killed, run: '. ./enter.sh; grep ^0:: /proc/self/cgroup > own; exec sleep 1000'}\n",
    );
    site.write("enter.sh", "until grep -q /setlist-run- /proc/$$/cgroup; do sleep 0.02; done\n");
    site.write("busy.sh", BUSY);
    site.write("busy-orphan.sh", BUSY_ORPHAN);
    site.ok(&["retry", "q/a"]);
    site.ok(&["wait", "q/a"]);
    let usage = site.job("q/a")["usage"].clone();
    assert_eq!(usage["tree_cpu"], true, "{usage}");
    let (ticks, per_second) = (site.read("ticks"), rustix::param::clock_ticks_per_second());
    let busy: u64 = ticks.split_whitespace().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    let total = usage["user_ms"].as_u64().unwrap() + usage["system_ms"].as_u64().unwrap();
    assert!(total + 1 >= busy * 1000 / per_second, "{usage}, but the busy process used {busy} ticks");
    let path = |line: &str| format!("{folder}/{}", line.trim().rsplit('/').next().unwrap());
    let cgroup = path(&site.ok(&["log", "q/a"]));
    assert!(cgroup.contains("/setlist-run-"), "{cgroup}");
    wait_for("its removal", || (!Path::new(&cgroup).exists()).then_some(()));

    // That of a run whose worker is killed is removed by the next worker.
    site.ok(&["retry", "q/killed"]);
    let own = wait_for("the run", || Some(site.read("own")).filter(|own| own.ends_with('\n')));
    let cgroup = path(&own);
    assert!(Path::new(&cgroup).is_dir(), "{cgroup}");
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    let lock = fs::read_dir(site.join(".setlist/workers")).unwrap().next().unwrap().unwrap().path();
    // The kernel releases its lock when its last thread has ended.
    wait_for("the worker to die", || fs::File::open(&lock).unwrap().try_lock_shared().is_ok().then_some(()));
    site.ok(&["retry", "q/a"]);
    site.ok(&["wait", "q/a"]);
    assert_eq!(site.job("q/killed")["outcome"], "interrupted");
    wait_for("its removal", || (!Path::new(&cgroup).exists()).then_some(()));
}
