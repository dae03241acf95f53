//! Reserved jobs: short jobs follow each other without waiting for the disk, and other processes see nothing of it.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use chrono::Utc;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use setlist::model::{Command, Event, EventRecord, JobId, QueueMode, Reservation, WorkerId};
use setlist::store::{SqliteStore, StartedRuns, StateDir, Store};

use crate::temp_site::{TempSite, wait_for};

/// A site with a queue of very short jobs, two at once, that is being processed.
fn site(jobs: usize) -> TempSite {
    let mut file = "queues:\n  q:\n    parallel: 2\n    jobs:\n".to_owned();
    for nth in 0..jobs {
        writeln!(file, "      - {{id: j{nth}, command: ['true']}}").unwrap();
    }
    let site = TempSite::with(&file);
    site.ok(&["status"]);
    store(&site).execute(&[Command::Process { queue: "q".into() }], Utc::now()).unwrap().remove(0).unwrap();
    site
}

/// The same with a running worker, so that no command starts one.
fn busy_site(jobs: usize) -> (TempSite, Child) {
    let site = site(jobs);
    let mut worker = site.command(&["worker", "--exit-when-idle"]);
    let worker = worker.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (site, worker)
}

fn store(site: &TempSite) -> SqliteStore {
    SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap()
}

/// Waits until jobs are reserved.
fn wait_for_reservations(site: &TempSite) -> usize {
    let mut store = store(site);
    wait_for("jobs to be reserved", || {
        let reserved = store.workers().unwrap().iter().map(|worker| worker.reserved.len()).max();
        reserved.filter(|reserved| *reserved > 0)
    })
}

fn events(site: &TempSite, after: u64) -> Vec<EventRecord> {
    store(site).events_after(after).unwrap().expect("not so many have happened")
}

#[test]
fn each_job_runs_once_in_order_within_the_limit() {
    let (site, mut worker) = busy_site(400);
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());
    let (mut started, mut running, mut most_reserved) = (Vec::new(), 0_u32, 0);
    for EventRecord { event, .. } in events(&site, 0) {
        match event {
            Event::Started { job, .. } => {
                started.push(job);
                running += 1;
                assert!(running <= 2, "more than two at once");
            }
            Event::Ended { .. } => running -= 1,
            Event::Reserved { jobs, .. } => most_reserved = most_reserved.max(jobs.len()),
            _ => {}
        }
    }
    assert_eq!(started.len(), 400);
    // Two parallel jobs may be recorded in either order.
    let late = started.iter().enumerate().map(|(nth, job)| (nth as u64 + 1).abs_diff(job.0)).max();
    assert!(late <= Some(8), "the order of the queue");
    assert!(most_reserved > 1, "the test needs reserved jobs");
    let listed = site.ok(&["list", "--json"]);
    assert!(listed.lines().all(|job| job.contains("\"run_count\":1") && job.contains("\"succeeded\"")));
}

#[test]
fn nothing_starts_after_a_pause_was_acknowledged() {
    let (site, mut worker) = busy_site(3_000);
    let mut caught = 0;
    for _ in 0..12 {
        caught += usize::from(wait_for_reservations(&site) > 0);
        let before = store(&site).last_seq().unwrap();
        site.ok(&["pause", "q"]);
        let acknowledged = store(&site).last_seq().unwrap();
        let paused =
            |recorded: &EventRecord| matches!(recorded.event, Event::ModeChanged { mode: QueueMode::Paused, .. });
        let new_events = events(&site, before);
        let at = new_events.iter().position(paused).expect("it is paused");
        assert!(
            !new_events[at..].iter().any(|recorded| matches!(recorded.event, Event::Started { .. })),
            "{:?}",
            &new_events[at..]
        );
        // Running jobs end, and no others start.
        wait_for("running jobs to end", || {
            store(&site).load().unwrap().queue(&"q".into()).unwrap().running.is_empty().then_some(())
        });
        let later = events(&site, acknowledged);
        assert!(!later.iter().any(|recorded| matches!(recorded.event, Event::Started { .. })), "{later:?}");
        assert!(store(&site).workers().unwrap().iter().all(|worker| worker.reserved.is_empty()));
        site.ok(&["resume", "q"]);
    }
    assert_eq!(caught, 12);
    kill_process(Pid::from_child(&worker), Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
}

#[test]
fn reserved_jobs_can_be_removed_moved_or_requested() {
    let (site, mut worker) = busy_site(3_000);
    wait_for_reservations(&site);
    for nth in 0..8 {
        // The next jobs are the reserved ones.
        let next = || store(&site).load().unwrap().queue(&"q".into()).unwrap().pending.front().copied();
        let Some(JobId(job)) = next() else { break };
        let (job, last) = (job.to_string(), (3_000 - nth).to_string());
        let changes: [&[&str]; 4] =
            [&["remove", &job], &["cancel", &job], &["move", &last, "--before", &job], &["retry", &job]];
        let output = site.run(changes[nth % 4]);
        // The job may have started or finished meanwhile, but no command is refused because it is reserved.
        assert!(!output.stderr.contains("about to start"), "{output:?}");
    }
    kill_process(Pid::from_child(&worker), Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
    let mut store = store(&site);
    let site_state = store.load().unwrap();
    assert!(site_state.jobs().all(|job| job.attempts <= 2 && job.current_run().is_none()));
}

/// Waits until a process is suspended.
fn wait_until_stopped(pid: Pid) {
    let status = format!("/proc/{}/stat", pid.as_raw_pid());
    wait_for("it to stop", || fs::read_to_string(&status).unwrap().contains(") T ").then_some(()));
}

/// Whether a transaction could begin at once.
fn is_free(site: &TempSite) -> bool {
    File::open(site.join(".setlist/turn")).unwrap().try_lock_shared().is_ok()
}

#[test]
fn a_worker_suspended_with_tstp_holds_no_reservations_and_no_lock() {
    let (site, mut worker) = busy_site(3_000);
    let pid = Pid::from_child(&worker);
    for _ in 0..6 {
        wait_for_reservations(&site);
        kill_process(pid, Signal::TSTP).unwrap();
        wait_until_stopped(pid);
        assert!(is_free(&site), "it is suspended between two transactions");
        let mut store = store(&site);
        assert!(store.workers().unwrap().iter().all(|worker| worker.reserved.is_empty()));
        site.ok(&["pause", "q"]);
        site.ok(&["resume", "q"]);
        kill_process(pid, Signal::CONT).unwrap();
    }
    kill_process(pid, Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
}

#[test]
fn a_worker_suspended_with_stop_blocks_no_other_process_and_keeps_its_reservations() {
    let (site, mut worker) = busy_site(3_000);
    let pid = Pid::from_child(&worker);
    // It may be suspended when nothing is reserved, or all reserved jobs have started.
    let free = || -> Vec<Reservation> {
        let StartedRuns::Exactly(started) = StateDir::new(site.join(".setlist")).runs_started_by(WorkerId(1)) else {
            return Vec::new();
        };
        let reserved = store(&site).workers().unwrap().into_iter().flat_map(|worker| worker.reserved);
        reserved.filter(|reservation| !started.contains(&reservation.run)).collect()
    };
    let free = wait_for("a moment when jobs are reserved", || {
        wait_for_reservations(&site);
        kill_process(pid, Signal::STOP).unwrap();
        wait_until_stopped(pid);
        // Suspended during a transaction, it would block all others.
        let free = if is_free(&site) { free() } else { Vec::new() };
        if free.is_empty() {
            kill_process(pid, Signal::CONT).unwrap();
        }
        Some(free).filter(|free| !free.is_empty())
    });
    let held = free[0];
    let output = site.run(&["remove", &held.job.0.to_string()]);
    assert!(output.code == Some(2) && output.stderr.contains("is about to start"), "{output:?}");
    site.ok(&["remove", "3000"]);
    site.ok(&["pause", "q"]);
    let paused = store(&site).last_seq().unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    wait_for("the release of the reservations", || {
        store(&site).workers().unwrap().iter().all(|worker| worker.reserved.is_empty()).then_some(())
    });
    wait_for("running jobs to end", || {
        store(&site).load().unwrap().queue(&"q".into()).unwrap().running.is_empty().then_some(())
    });
    // Jobs that had started are recorded now; the others have not started.
    for Reservation { job, .. } in free {
        assert_eq!(site.job(&job.0.to_string())["state"], json!("pending"), "{:?}", events(&site, paused));
    }
    site.ok(&["remove", &held.job.0.to_string()]);
    kill_process(pid, Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
}

#[test]
fn a_panic_during_a_commit_ends_the_worker_and_the_next_one_continues() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no crash points");
        return;
    }
    let site = site(400);
    let mut panics_on_commit_thread = 0;
    for nth in [10, 20, 30] {
        let mut worker = site.command(&["worker", "--exit-when-idle"]);
        let worker = worker.env("SETLIST_PANIC", format!("commit:{nth}")).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut worker = worker.spawn().unwrap();
        let code = wait_for("the worker to end", || worker.try_wait().unwrap()).code();
        let output = std::io::read_to_string(worker.stderr.take().unwrap()).unwrap();
        assert_eq!(code, Some(101), "{output}");
        panics_on_commit_thread += usize::from(output.contains("'commit'"));
    }
    assert!(panics_on_commit_thread > 0, "the test needs a panic on the commit thread");
    site.run(&["retry", "--failed"]);
    site.run(&["process", "--quiet"]);
    let listed = site.ok(&["list", "--json"]);
    assert_eq!(listed.lines().filter(|job| job.contains("\"succeeded\"")).count(), 400);
}

/// A worker that holds reservations must not wait for itself before a command that others have to release them for.
#[test]
fn jobs_become_due_while_short_jobs_are_running() {
    let mut file = "queues:\n  q:\n    parallel: 4\n    jobs:\n".to_owned();
    for nth in 0..400 {
        let after = if nth % 2 == 0 { String::new() } else { format!(", after: {nth}ms") };
        writeln!(file, "      - {{id: j{nth}, command: ['true']{after}}}").unwrap();
    }
    let site = TempSite::with(&file);
    let output = site.run(&["process", "--quiet"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    assert!(site.ok(&["list", "--json"]).lines().all(|job| job.contains("\"succeeded\"")));
}
