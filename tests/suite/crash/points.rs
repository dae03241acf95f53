//! Killed at the points at which most could go wrong. They are named in `src/crash.rs`, and only a debug build has them.

use std::fs;

use serde_json::{Value, json};

use super::scene::{Scene, numbers, said};
use crate::room::wait_for;

/// Whether there are points at all; says so if not.
pub(super) fn there_are_points() -> bool {
    let there = cfg!(debug_assertions);
    if !there {
        eprintln!("SKIPPED: a release build has no points at which it could be killed");
    }
    there
}

/// Runs the program to a point, at which it must have been killed; returns what it had said by then.
#[track_caller]
fn killed_at(scene: &mut Scene, point: &str, args: &[&str]) -> String {
    let child = scene.start(point, args);
    let said = scene.hear(child);
    assert_eq!(said.code, None, "never came to {point}: {said:?}");
    said.out
}

/// A scene with these jobs, worked on until the worker is killed at a point; checked, and not drained yet.
#[track_caller]
fn worked_to(point: &str, kinds: &[&str]) -> (Scene, Vec<Value>) {
    let mut scene = Scene::new();
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
fn between_claim_and_start_the_run_is_interrupted_and_nothing_has_begun() {
    if there_are_points() {
        let (mut scene, jobs) = worked_to("claimed:2", &["quick", "quick", "quick"]);
        outcomes(&jobs, &[SUCCEEDED, INTERRUPTED, WAITS]);
        assert!(!scene.room.read("book").contains(&format!("begun {}", jobs[1]["id"])));
        scene.drain();
    }
}

#[test]
fn between_start_and_record_the_run_is_interrupted_and_its_processes_are_gone() {
    if there_are_points() {
        for kind in ["far", "bare", "long", "quick"] {
            let (mut scene, jobs) = worked_to("started", &[kind, "quick"]);
            outcomes(&jobs, &[INTERRUPTED, WAITS]);
            scene.drain();
        }
    }
}

#[test]
fn between_end_and_record_the_run_is_interrupted_and_not_run_again_unasked() {
    if there_are_points() {
        let (mut scene, jobs) = worked_to("finished:2", &["quick", "quick", "quick"]);
        outcomes(&jobs[..2], &[SUCCEEDED, INTERRUPTED]);
        // It may have begun in place of the second.
        assert!([WAITS, INTERRUPTED].contains(&jobs[2]["outcome"].as_str()), "{}", jobs[2]);
        assert!(scene.room.read("book").contains(&format!("ended {} {}", jobs[1]["id"], jobs[1]["run_id"])));
        let child = scene.start("", &["process"]);
        assert_eq!(scene.hear(child).code, Some(0));
        scene.check();
        assert_eq!(scene.room.job(&jobs[1]["id"].to_string())["run_count"], json!(1));
        scene.drain();
    }
}

#[test]
fn after_the_record_a_success_is_not_run_again() {
    if there_are_points() {
        let (mut scene, jobs) = worked_to("recorded", &["quick", "wrong", "quick"]);
        assert_eq!(jobs[0]["outcome"], json!("succeeded"));
        scene.drain();
        assert_eq!(scene.room.job(&jobs[0]["id"].to_string())["run_count"], json!(1));
    }
}

/// A scene with many short jobs, worked on until the worker is killed at a point on the way of one that is reserved.
#[track_caller]
fn killed_ahead(queue: &str, point: &str) -> Scene {
    let mut scene = Scene::new();
    for _ in 0..20 {
        scene.add(queue, &["quick"; 30]);
        // Where a machine is so busy that no job is short, none is reserved.
        let child = scene.start(point, &["process"]);
        let killed = scene.hear(child).code.is_none();
        scene.check();
        if killed {
            return scene;
        }
    }
    panic!("never came to {point}");
}

#[test]
fn what_was_reserved_and_has_not_begun_is_as_free_as_before() {
    if there_are_points() {
        for (queue, nth) in [("narrow", 1), ("narrow", 7), ("wide", 4)] {
            let mut scene = killed_ahead(queue, &format!("reserved:{nth}"));
            let book = scene.room.read("book");
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
fn what_was_reserved_and_has_begun_is_interrupted_and_gone() {
    if there_are_points() {
        for (queue, nth) in [("narrow", 1), ("narrow", 6), ("wide", 9)] {
            let mut scene = killed_ahead(queue, &format!("begun:{nth}"));
            let jobs = scene.jobs();
            let interrupted = jobs.values().filter(|job| job["outcome"] == json!("interrupted")).count();
            // That run itself, besides what has ended or begun since the last transaction.
            assert!((1..=20).contains(&interrupted), "{interrupted} were interrupted");
            scene.drain();
        }
    }
}

#[test]
fn in_the_middle_of_any_commit_of_a_worker() {
    if there_are_points() {
        let mut scene = Scene::new();
        let mut nth = 1;
        // A round of work has a handful of commits; beyond the last one the worker isn't killed.
        loop {
            scene.add("wide", &["quick", "short", "wrong", "quick"]);
            let killed = ["commit", "committed"].map(|point| {
                let child = scene.start(&format!("{point}:{nth}"), &["process"]);
                scene.hear(child).code.is_none()
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
fn a_batch_is_added_whole_or_not_at_all() {
    if there_are_points() {
        let mut scene = Scene::new();
        for (point, added) in [("commit", 0), ("committed", 3)] {
            let before = scene.jobs().len();
            let child = scene.start_adding(point, "wide", &["quick", "short", "quick"], &[]);
            let said = scene.hear(child);
            assert_eq!((said.code, numbers(&said).len()), (None, 0), "{said:?}");
            assert_eq!(scene.jobs().len(), before + added, "killed at {point}");
            scene.check();
        }
        scene.drain();
    }
}

#[test]
fn a_worker_that_dies_as_it_joins_is_on_nobodys_list() {
    if there_are_points() {
        let mut scene = Scene::new();
        scene.add("wide", &["quick"]);
        killed_at(&mut scene, "joined", &["worker"]);
        scene.check();
        scene.drain();
    }
}

#[test]
fn whoever_buries_the_dead_may_die_of_it() {
    if there_are_points() {
        for point in ["burying", "buried"] {
            let mut scene = Scene::new();
            let numbers = scene.add("narrow", &["far", "quick"]);
            killed_at(&mut scene, "started", &["process"]);
            // What the dead worker has just started holds its sign of life for another moment.
            wait_for("somebody to die of it", || said(scene.start(point, &["status"])).code.is_none().then_some(()));
            scene.check();
            outcomes(&[scene.room.job(&numbers[0].to_string())], &[INTERRUPTED]);
            scene.drain();
        }
    }
}

#[test]
fn a_site_that_was_not_made_to_its_end_is_made_by_the_next() {
    if there_are_points() {
        let mut scene = Scene::new();
        fs::remove_dir_all(scene.room.join(".setlist")).unwrap();
        killed_at(&mut scene, "made", &["status"]);
        assert!(!scene.room.join(".setlist/state.db").exists());
        scene.add("wide", &["quick"]);
        scene.drain();
    }
}

#[test]
fn a_long_log_whose_worker_died_while_it_was_put_together_is_whole() {
    if there_are_points() {
        let mut scene = Scene::new();
        // More than is kept of a run.
        let script = "seq 3000000";
        let said = said(scene.start("", &["add", "narrow", "--script", script]));
        let job = numbers(&said)[0].to_string();
        killed_at(&mut scene, "gathering:3", &["process"]);
        let log = scene.room.ok(&["log", &job]);
        assert!(log.starts_with("1\n2\n") && log.ends_with("\n3000000\n"), "{} bytes", log.len());
        let file = fs::read_to_string(scene.room.join(".setlist/logs/1.log")).unwrap();
        assert!(file.starts_with("1\n2\n") && file.ends_with("\n3000000\n"), "{} bytes", file.len());
        assert!(file.contains(" omitted]\n"));
        let shown = scene.room.job(&job);
        assert_eq!(shown["outcome"], json!("interrupted"), "{shown}");
    }
}
