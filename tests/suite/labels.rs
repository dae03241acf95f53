//! Workers with labels and slots, and draining, on one machine and across machines.

use super::temp_site::TempSite;
use super::two_machines::{RunningWorker, machines};

const JOBS: &str = "
queues:
  build:
    parallel: 3
    jobs:
      - {id: train, runs_on: gpu, run: 'echo on; [ ! -e fifo ] || cat fifo'}
      - {id: plain, run: 'true'}
";

#[test]
fn a_job_without_a_worker_for_its_labels_says_so_and_blocks_nothing() {
    let site = TempSite::with(JOBS);
    let left = site.run(&["process"]);
    assert_eq!(left.code, Some(1), "{left:?}");
    assert!(left.stderr.contains("1 job left in build: build/train: no worker has label gpu"), "{left:?}");
    assert!(site.ok(&["list"]).contains("no worker has label gpu"));
    assert!(site.ok(&["status"]).contains("build/train: no worker has label gpu"));
    assert!(site.run(&["status", "--check"]).stdout.contains("no worker has label gpu"));
    let job = site.job("build/train");
    assert_eq!(job["waiting"], "labels");
    assert_eq!(job["runs_on"][0], "gpu");
    assert!(site.ok(&["explain", "build/train"]).contains("a worker with gpu: none has joined"));
    site.ok(&["worker", "--label", "gpu", "--exit-when-idle"]);
    assert_eq!(site.job("build/train")["outcome"], "succeeded");
    assert_eq!(site.run(&["worker", "--label", "two words"]).code, Some(2));
    assert_eq!(site.run(&["worker", "--slots", "0"]).code, Some(2));
}

#[test]
fn an_added_job_names_labels_and_is_saved_with_them() {
    let site = TempSite::with("queues: {build: {runs_on: gpu, jobs: []}}");
    site.ok(&["add", "build", "--runs-on", "a100", "--save", "--", "true"]);
    assert!(site.read("jobs.yaml").contains("a100"));
    site.ok(&["check"]);
    assert!(site.ok(&["show", "build/true"]).contains("a100"));
    site.write("jobs.yaml", "queues: {build: {runs_on: [gpu, 'a b'], jobs: [{run: 'true'}]}}");
    let refused = site.run(&["check"]);
    assert!(
        refused.stderr.contains("invalid label \"a b\"") || refused.stderr.contains("invalid label `a b`"),
        "{refused:?}"
    );
}

#[test]
fn a_drained_worker_finishes_what_it_runs_and_exits() {
    let site = TempSite::with(JOBS);
    assert!(std::process::Command::new("mkfifo").arg(site.join("fifo")).status().unwrap().success());
    let command = site.command(&["worker", "--label", "gpu", "--slots", "1"]);
    let worker = RunningWorker::start(command);
    super::temp_site::wait_for("the worker", || site.ok(&["workers"]).contains("gpu").then_some(()));
    site.ok(&["start", "build"]);
    site.wait_until("build/train", |job| job["state"] == "running");
    let shown = site.ok(&["workers"]);
    assert!(shown.contains("build/train") && shown.contains("MACHINE"), "{shown}");
    let record: serde_json::Value = serde_json::from_str(&site.ok(&["workers", "--json"])).unwrap();
    assert_eq!(
        (record["slots"].as_u64(), &record["labels"][0], record["draining"].as_bool()),
        (Some(1), &"gpu".into(), Some(false))
    );
    assert_eq!(record["running"][0]["job"], "build/train");
    let number = record["worker"].to_string();
    assert!(site.ok(&["drain", &number]).contains("it exits after 1 running job"));
    assert!(site.ok(&["workers"]).contains("build/train (draining)"));
    let refused = site.run(&["drain", "99"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("there is no worker 99"), "{refused:?}");
    std::fs::write(site.join("fifo"), "").unwrap();
    assert!(worker.wait().success());
    assert_eq!(site.job("build/train")["outcome"], "succeeded");
    assert_eq!(site.job("build/plain")["state"], "pending", "it had one slot, and was draining");
}

#[test]
fn a_job_does_not_wait_for_its_own_worker_and_process_says_that_it_was_drained() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: '$SETLIST drain $(cat worker) --wait || $SETLIST drain $(cat worker)'}, {id: b, run: 'true'}]}",
    );
    site.write("worker", "1");
    let mut process = site.command(&["process"]);
    process.env("SETLIST", super::temp_site::SETLIST);
    let output = super::temp_site::CommandOutput::from_output(&process.output().unwrap());
    assert_eq!(output.code, Some(1), "{output:?}");
    let log = site.ok(&["log", "q/a"]);
    assert!(log.contains("setlist: q/a runs this command on worker 1 and would wait for itself"), "{log}");
    assert!(log.contains("worker 1 starts no more jobs; it exits after 1 running job"), "{log}");
    let left = "1 job left in q: their worker was drained; `setlist start q` starts another one";
    assert!(output.stderr.contains(left), "{output:?}");
    site.ok(&["start", "q"]);
    site.ok(&["wait", "q"]);
    assert_eq!(site.job("q/b")["outcome"], "succeeded");
}

#[test]
fn a_job_says_that_it_waits_for_slots_of_a_worker_also_where_another_queue_uses_them() {
    let site = TempSite::with(
        "queues: {build: {parallel: 3, jobs: [{id: hold, run: 'cat fifo'}, {id: next, run: 'true'}]}, \
         other: [{id: tune, runs_on: gpu, run: 'true'}]}",
    );
    assert!(std::process::Command::new("mkfifo").arg(site.join("fifo")).status().unwrap().success());
    let worker = RunningWorker::start(site.command(&["worker", "--label", "gpu", "--slots", "1"]));
    super::temp_site::wait_for("the worker", || site.ok(&["workers"]).contains("gpu").then_some(()));
    site.ok(&["start", "build", "other"]);
    site.wait_until("build/hold", |job| job["state"] == "running");
    let explained = site.ok(&["explain", "build/next"]);
    assert!(explained.contains("free slots of worker ") && explained.contains("build/hold since"), "{explained}");
    assert!(!explained.contains("parallel"), "{explained}");
    for args in [&["list"][..], &["list", "other"], &["show", "other/tune"]] {
        let printed = site.ok(args);
        assert!(printed.contains("waiting for a worker with gpu"), "{args:?}: {printed}");
    }
    std::fs::write(site.join("fifo"), "").unwrap();
    for job in ["build/next", "other/tune"] {
        site.wait_until(job, |job| job["outcome"] == "succeeded");
    }
    worker.stop();
}

#[test]
fn a_worker_is_drained_from_another_machine() {
    let Some([here, there, third]) = machines(JOBS) else { return };
    here.ok(&["start", "build"]);
    assert!(std::process::Command::new("mkfifo").arg(there.site.join("fifo")).status().unwrap().success());
    let worker = there.worker(&["--label", "gpu", "--slots", "1"]);
    here.wait_for_job("build/train", "running");
    let record: serde_json::Value = serde_json::from_str(&third.ok(&["workers", "--json"])).unwrap();
    assert!(record["last_seen"].as_str().is_some_and(|seen| seen.ends_with('Z')), "{record}");
    assert!(here.ok(&["workers"]).contains(" ago "));
    here.ok(&["drain", &record["worker"].to_string()]);
    let other = third.worker(&[]);
    here.wait_for_job("build/plain", "succeeded");
    std::fs::write(there.site.join("fifo"), "").unwrap();
    assert!(worker.wait().success());
    assert!(here.ok(&["show", "build/train"]).contains("succeeded"));
    other.stop();
}

#[test]
fn the_example_of_three_machines_in_the_readme_works() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("## More than one machine\n").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let jobs = "queues: {build: {jobs: [{id: make, run: 'echo made'}, {id: train, runs_on: gpu, run: 'cat where', needs: make}]}}";
    let Some(sites) = machines::<3>(jobs) else { return };
    for (nth, machine) in (1..).zip(&sites) {
        machine.site.write("where", &format!("trained on {nth}\n"));
    }
    let mut workers = Vec::new();
    let mut printed = String::new();
    // Each machine of the test has its store set.
    for line in block.lines().skip(1) {
        let (command, comment) = line.split_once('#').unwrap();
        let machine: usize = comment.trim()[..1].parse().unwrap();
        let words: Vec<String> = shlex::split(command).unwrap();
        let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let machine = &sites[machine - 1];
        if args[0] == "worker" {
            workers.push(machine.worker(&args[1..]));
            let count = workers.len();
            super::temp_site::wait_for("the worker", || {
                (sites[0].ok(&["workers", "--json"]).lines().count() == count).then_some(())
            });
        } else {
            printed += &machine.ok(&args);
        }
    }
    assert!(printed.contains("trained on 3"), "{printed}");
    assert_eq!(workers.len(), 2);
    assert!(workers.into_iter().all(|worker| worker.wait().success()));
}
