//! Kills at the most critical points. They are named in `src/crash.rs` and exist in debug builds only.

use std::fs;

use serde_json::{Value, json};

use super::crash_site::{CrashSite, job_numbers, wait_with_output};
use crate::temp_site::wait_for;

/// Whether this build has crash points; prints a note if not.
pub(super) fn has_crash_points() -> bool {
    let there = cfg!(debug_assertions);
    if !there {
        eprintln!("SKIPPED: a release build has no points at which it could be killed");
    }
    there
}

/// Runs the program until it is killed at a point; returns its output.
#[track_caller]
fn killed_at(scene: &mut CrashSite, point: &str, args: &[&str]) -> String {
    let child = scene.start(point, args);
    let output = scene.wait_and_record(child);
    assert_eq!(output.code, None, "never came to {point}: {output:?}");
    output.stdout
}

/// Adds these jobs and runs a worker until it is killed at a point; the site is checked, but not drained.
#[track_caller]
fn worked_until_killed_at(point: &str, kinds: &[&str]) -> (CrashSite, Vec<Value>) {
    let mut scene = CrashSite::new();
    let numbers = scene.add("narrow", kinds);
    killed_at(&mut scene, point, &["process"]);
    scene.check();
    let jobs = scene.jobs();
    let jobs = numbers.iter().map(|number| jobs[number].clone()).collect();
    (scene, jobs)
}

#[track_caller]
fn outcomes(jobs: &[Value], expected: &[Option<&str>]) {
    let outcomes: Vec<_> = jobs.iter().map(|job| job["outcome"].as_str()).collect();
    assert_eq!(outcomes, expected);
}

const WAITS: Option<&str> = None;
const INTERRUPTED: Option<&str> = Some("interrupted");
const SUCCEEDED: Option<&str> = Some("succeeded");

#[test]
fn killed_between_claim_and_spawn_a_run_is_interrupted() {
    if has_crash_points() {
        let (mut scene, jobs) = worked_until_killed_at("claimed:2", &["quick", "quick", "quick"]);
        outcomes(&jobs, &[SUCCEEDED, INTERRUPTED, WAITS]);
        assert!(!scene.site.read("book").contains(&format!("begun {}", jobs[1]["id"])));
        scene.drain();
    }
}

#[test]
fn killed_between_spawn_and_commit_a_run_is_interrupted_without_orphans() {
    if has_crash_points() {
        for kind in ["far", "bare", "long", "quick"] {
            let (mut scene, jobs) = worked_until_killed_at("started", &[kind, "quick"]);
            outcomes(&jobs, &[INTERRUPTED, WAITS]);
            scene.drain();
        }
    }
}

#[test]
fn killed_between_exit_and_commit_a_run_is_interrupted_and_not_repeated() {
    if has_crash_points() {
        let (mut scene, jobs) = worked_until_killed_at("finished:2", &["quick", "quick", "quick"]);
        outcomes(&jobs[..2], &[SUCCEEDED, INTERRUPTED]);
        // It may have started in place of the second.
        assert!([WAITS, INTERRUPTED].contains(&jobs[2]["outcome"].as_str()), "{}", jobs[2]);
        assert!(scene.site.read("book").contains(&format!("ended {} {}", jobs[1]["id"], jobs[1]["run_id"])));
        let child = scene.start("", &["process"]);
        assert_eq!(scene.wait_and_record(child).code, Some(0));
        scene.check();
        assert_eq!(scene.site.job(&jobs[1]["id"].to_string())["run_count"], json!(1));
        scene.drain();
    }
}

#[test]
fn killed_after_commit_a_success_is_not_repeated() {
    if has_crash_points() {
        let (mut scene, jobs) = worked_until_killed_at("recorded", &["quick", "wrong", "quick"]);
        assert_eq!(jobs[0]["outcome"], json!("succeeded"));
        scene.drain();
        assert_eq!(scene.site.job(&jobs[0]["id"].to_string())["run_count"], json!(1));
    }
}

/// A site with many short jobs, whose worker was killed at a point while it had reservations.
#[track_caller]
fn killed_with_reservations(queue: &str, point: &str) -> CrashSite {
    let mut scene = CrashSite::new();
    for _ in 0..20 {
        scene.add(queue, &["quick"; 30]);
        // On a busy machine no job is short enough for reservations.
        let child = scene.start(point, &["process"]);
        let killed = scene.wait_and_record(child).code.is_none();
        scene.check();
        if killed {
            return scene;
        }
    }
    panic!("never came to {point}");
}

#[test]
fn unstarted_reservations_of_a_killed_worker_are_released() {
    if has_crash_points() {
        for (queue, nth) in [("narrow", 1), ("narrow", 7), ("wide", 4)] {
            let mut scene = killed_with_reservations(queue, &format!("reserved:{nth}"));
            let book = scene.site.read("book");
            let jobs = scene.jobs();
            let waits = jobs.values().filter(|job| job["state"] == json!("pending"));
            assert!(waits.clone().count() > 0, "some are left");
            for job in waits {
                assert_eq!(job["run_count"], json!(0), "{job}");
                assert!(!book.contains(&format!("begun {} ", job["id"])), "{job}");
            }
            scene.drain();
        }
    }
}

#[test]
fn started_reservations_of_a_killed_worker_are_interrupted() {
    if has_crash_points() {
        for (queue, nth) in [("narrow", 1), ("narrow", 6), ("wide", 9)] {
            let mut scene = killed_with_reservations(queue, &format!("reserved-started:{nth}"));
            let jobs = scene.jobs();
            let interrupted = jobs.values().filter(|job| job["outcome"] == json!("interrupted")).count();
            // That run itself, and those that ended or started since the last transaction.
            assert!((1..=20).contains(&interrupted), "{interrupted} were interrupted");
            scene.drain();
        }
    }
}

#[test]
fn a_worker_can_be_killed_in_any_commit() {
    if has_crash_points() {
        let mut scene = CrashSite::new();
        let mut nth = 1;
        // A worker makes a handful of commits; beyond the last one it isn't killed.
        loop {
            scene.add("wide", &["quick", "short", "wrong", "quick"]);
            let killed = ["commit", "committed"].map(|point| {
                let child = scene.start(&format!("{point}:{nth}"), &["process"]);
                scene.wait_and_record(child).code.is_none()
            });
            scene.check();
            scene.drain();
            if killed == [false, false] {
                break;
            }
            nth += 1;
        }
        assert!(nth > 5, "only {nth} commits");
    }
}

#[test]
fn a_batch_is_added_completely_or_not_at_all() {
    if has_crash_points() {
        let mut scene = CrashSite::new();
        for (point, added) in [("commit", 0), ("committed", 3)] {
            let before = scene.jobs().len();
            let child = scene.start_adding(point, "wide", &["quick", "short", "quick"], &[]);
            let output = scene.wait_and_record(child);
            assert_eq!((output.code, job_numbers(&output).len()), (None, 0), "{output:?}");
            assert_eq!(scene.jobs().len(), before + added, "killed at {point}");
            scene.check();
        }
        scene.drain();
    }
}

#[test]
fn a_worker_killed_while_joining_is_not_registered() {
    if has_crash_points() {
        let mut scene = CrashSite::new();
        scene.add("wide", &["quick"]);
        killed_at(&mut scene, "joined", &["worker"]);
        scene.check();
        scene.drain();
    }
}

#[test]
fn a_process_can_be_killed_while_reaping_workers() {
    if has_crash_points() {
        for point in ["reaping", "reaped"] {
            let mut scene = CrashSite::new();
            let numbers = scene.add("narrow", &["far", "quick"]);
            killed_at(&mut scene, "started", &["process"]);
            // A process that the dead worker has just spawned holds its lock for a moment.
            wait_for("a process to be killed", || {
                wait_with_output(scene.start(point, &["status"])).code.is_none().then_some(())
            });
            scene.check();
            outcomes(&[scene.site.job(&numbers[0].to_string())], &[INTERRUPTED]);
            scene.drain();
        }
    }
}

#[test]
fn an_incomplete_site_is_completed_by_the_next_process() {
    if has_crash_points() {
        let mut scene = CrashSite::new();
        fs::remove_dir_all(scene.site.join(".setlist")).unwrap();
        killed_at(&mut scene, "made", &["status"]);
        assert!(!scene.site.join(".setlist/state.db").exists());
        scene.add("wide", &["quick"]);
        scene.drain();
    }
}

#[test]
fn a_log_whose_compaction_was_killed_is_complete() {
    if has_crash_points() {
        let mut scene = CrashSite::new();
        // More than a run's limit.
        let script = "seq 3000000";
        let output = wait_with_output(scene.start("", &["add", "narrow", "--script", script]));
        let job = job_numbers(&output)[0].to_string();
        killed_at(&mut scene, "compacting:3", &["process"]);
        let log = scene.site.ok(&["log", &job]);
        assert!(log.starts_with("1\n2\n") && log.ends_with("\n3000000\n"), "{} bytes", log.len());
        let file = fs::read_to_string(scene.site.join(".setlist/logs/1.log")).unwrap();
        assert!(file.starts_with("1\n2\n") && file.ends_with("\n3000000\n"), "{} bytes", file.len());
        assert!(file.contains(" omitted]\n"));
        let shown = scene.site.job(&job);
        assert_eq!(shown["outcome"], json!("interrupted"), "{shown}");
    }
}

/// Killed before or after the commit that stores them, or while their files are deleted, each is there once.
#[test]
fn a_small_output_is_in_its_file_or_in_the_store() {
    if has_crash_points() {
        let scene = CrashSite::new();
        let (mut kills, mut interrupted_after) = (0, false);
        for nth in 1.. {
            let mut is_over = true;
            for point in ["commit", "committed", "moving-output"] {
                // It ends when the worker has written what it has printed.
                let script = "echo one; echo two >&2; log=.setlist/logs/$SETLIST_RUN_ID.log; \
                              until grep -qs two $log; do sleep 0.01; done; : > written-$SETLIST_JOB_ID";
                let added = wait_with_output(scene.start("", &["add", "narrow", "--script", script]));
                let killed = scene.start(&format!("{point}:{nth}"), &["process"]);
                if wait_with_output(killed).code.is_none() {
                    (kills, is_over) = (kills + 1, false);
                }
                let job = scene.site.job(&job_numbers(&added)[0].to_string());
                let log = scene.site.run(&["log", &job["id"].to_string(), "--stderr"]).stdout;
                let is_written = scene.site.join(&format!("written-{}", job["id"])).exists();
                match job["outcome"].as_str() {
                    Some("succeeded") => assert_eq!(log, "two\n", "at {point}:{nth}"),
                    Some("interrupted") if is_written => assert_eq!(log, "two\n", "at {point}:{nth}"),
                    Some("interrupted") => assert!(["", "two\n"].contains(&&*log), "{log:?} at {point}:{nth}"),
                    outcome => assert_eq!((outcome, &*log), (None, ""), "at {point}:{nth}"),
                }
                interrupted_after |= is_written && job["outcome"] == json!("interrupted");
            }
            scene.site.run(&["process"]);
            if is_over {
                break;
            }
        }
        assert!(kills > 8, "only {kills} kills");
        assert!(interrupted_after, "none between the output and the commit of its end");
    }
}
