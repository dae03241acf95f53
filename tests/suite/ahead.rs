//! Short jobs follow each other without waiting for the disk: nobody who changes the site meanwhile notices.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use chrono::Utc;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use setlist::model::{Command, Event, JobId, Mode, Recorded, Reservation, WorkerId};
use setlist::store::{Begun, Folder, Sqlite, Store};

use crate::room::{Room, wait_for};

/// A room with a queue of very short jobs, two at once, that is processed.
fn room(jobs: usize) -> Room {
    let mut file = "queues:\n  q:\n    parallel: 2\n    jobs:\n".to_owned();
    for nth in 0..jobs {
        writeln!(file, "      - {{id: j{nth}, command: ['true']}}").unwrap();
    }
    let room = Room::with(&file);
    room.ok(&["status"]);
    store(&room).execute(&[Command::Process { queue: "q".into() }], Utc::now()).unwrap().remove(0).unwrap();
    room
}

/// The same, and a worker, so that nobody hires another one.
fn busy(jobs: usize) -> (Room, Child) {
    let room = room(jobs);
    let mut worker = room.command(&["worker", "--exit-when-idle"]);
    let worker = worker.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (room, worker)
}

fn store(room: &Room) -> Sqlite {
    Sqlite::open(&Folder::new(room.join(".setlist"))).unwrap()
}

/// Waits until jobs are reserved.
fn reserved(room: &Room) -> usize {
    let mut store = store(room);
    wait_for("jobs to be reserved", || {
        let reserved = store.workers().unwrap().iter().map(|worker| worker.reserved.len()).max();
        reserved.filter(|reserved| *reserved > 0)
    })
}

fn events(room: &Room, after: u64) -> Vec<Recorded> {
    store(room).events_after(after).unwrap().expect("not so many have happened")
}

#[test]
fn each_runs_once_in_order_and_never_more_than_may() {
    let (room, mut worker) = busy(400);
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());
    let (mut started, mut running, mut most_reserved) = (Vec::new(), 0_u32, 0);
    for Recorded { event, .. } in events(&room, 0) {
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
    // Two that run side by side may be recorded in either order.
    let late = started.iter().enumerate().map(|(nth, job)| (nth as u64 + 1).abs_diff(job.0)).max();
    assert!(late <= Some(8), "the order of the queue");
    assert!(most_reserved > 1, "this is about jobs that are reserved");
    let listed = room.ok(&["list", "--json"]);
    assert!(listed.lines().all(|job| job.contains("\"run_count\":1") && job.contains("\"succeeded\"")));
}

#[test]
fn after_a_pause_was_acknowledged_nothing_starts() {
    let (room, mut worker) = busy(3_000);
    let mut caught = 0;
    for _ in 0..12 {
        caught += usize::from(reserved(&room) > 0);
        let before = store(&room).seq().unwrap();
        room.ok(&["pause", "q"]);
        let acknowledged = store(&room).seq().unwrap();
        let paused = |recorded: &Recorded| matches!(recorded.event, Event::ModeChanged { mode: Mode::Paused, .. });
        let news = events(&room, before);
        let at = news.iter().position(paused).expect("it is paused");
        assert!(
            !news[at..].iter().any(|recorded| matches!(recorded.event, Event::Started { .. })),
            "{:?}",
            &news[at..]
        );
        // What runs comes to its end, and nothing follows it.
        wait_for("what runs to end", || {
            store(&room).load().unwrap().queue(&"q".into()).unwrap().running.is_empty().then_some(())
        });
        let later = events(&room, acknowledged);
        assert!(!later.iter().any(|recorded| matches!(recorded.event, Event::Started { .. })), "{later:?}");
        assert!(store(&room).workers().unwrap().iter().all(|worker| worker.reserved.is_empty()));
        room.ok(&["resume", "q"]);
    }
    assert_eq!(caught, 12);
    kill_process(Pid::from_child(&worker), Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
}

#[test]
fn any_pending_job_can_be_removed_moved_or_asked_for_meanwhile() {
    let (room, mut worker) = busy(3_000);
    reserved(&room);
    for nth in 0..8 {
        // The jobs that are about to start are those that are reserved.
        let next = || store(&room).load().unwrap().queue(&"q".into()).unwrap().pending.front().copied();
        let Some(JobId(job)) = next() else { break };
        let (job, last) = (job.to_string(), (3_000 - nth).to_string());
        let changes: [&[&str]; 4] =
            [&["remove", &job], &["cancel", &job], &["move", &last, "--before", &job], &["retry", &job]];
        let said = room.run(changes[nth % 4]);
        // It may have started by then, or finished; but nobody is told that it is about to.
        assert!(!said.err.contains("about to start"), "{said:?}");
    }
    kill_process(Pid::from_child(&worker), Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
    let mut store = store(&room);
    let ledger = store.load().unwrap();
    assert!(ledger.jobs().all(|job| job.attempts <= 2 && job.running().is_none()));
}

/// Waits until a process that was told to stop has done so.
fn stopped(pid: Pid) {
    let status = format!("/proc/{}/stat", pid.as_raw_pid());
    wait_for("it to stop", || fs::read_to_string(&status).unwrap().contains(") T ").then_some(()));
}

/// Whether a transaction could be made at once.
fn is_free(room: &Room) -> bool {
    File::open(room.join(".setlist/turn")).unwrap().try_lock_shared().is_ok()
}

#[test]
fn a_worker_that_the_terminal_suspends_has_recorded_all_and_holds_nothing() {
    let (room, mut worker) = busy(3_000);
    let pid = Pid::from_child(&worker);
    for _ in 0..6 {
        reserved(&room);
        kill_process(pid, Signal::TSTP).unwrap();
        stopped(pid);
        assert!(is_free(&room), "it is suspended between two transactions");
        let mut store = store(&room);
        assert!(store.workers().unwrap().iter().all(|worker| worker.reserved.is_empty()));
        room.ok(&["pause", "q"]);
        room.ok(&["resume", "q"]);
        kill_process(pid, Signal::CONT).unwrap();
    }
    kill_process(pid, Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
}

#[test]
fn a_worker_that_is_suspended_keeps_nobody_waiting_and_what_is_reserved_is_left_alone() {
    let (room, mut worker) = busy(3_000);
    let pid = Pid::from_child(&worker);
    // It may be suspended at a moment at which nothing is reserved, or all of it has begun.
    let free = || -> Vec<Reservation> {
        let Begun::Runs(begun) = Folder::new(room.join(".setlist")).begun_by(WorkerId(1)) else { return Vec::new() };
        let reserved = store(&room).workers().unwrap().into_iter().flat_map(|worker| worker.reserved);
        reserved.filter(|reservation| !begun.contains(&reservation.run)).collect()
    };
    let free = wait_for("a moment at which jobs are reserved", || {
        reserved(&room);
        kill_process(pid, Signal::STOP).unwrap();
        stopped(pid);
        // In the middle of a transaction it would keep everybody waiting.
        let free = if is_free(&room) { free() } else { Vec::new() };
        if free.is_empty() {
            kill_process(pid, Signal::CONT).unwrap();
        }
        Some(free).filter(|free| !free.is_empty())
    });
    let held = free[0];
    let said = room.run(&["remove", &held.job.0.to_string()]);
    assert!(said.code == Some(2) && said.err.contains("is about to start"), "{said:?}");
    room.ok(&["remove", "3000"]);
    room.ok(&["pause", "q"]);
    let paused = store(&room).seq().unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    wait_for("it to give back what it has", || {
        store(&room).workers().unwrap().iter().all(|worker| worker.reserved.is_empty()).then_some(())
    });
    wait_for("what runs to end", || {
        store(&room).load().unwrap().queue(&"q".into()).unwrap().running.is_empty().then_some(())
    });
    // What had begun before is recorded now; of the rest nothing has started.
    for Reservation { job, .. } in free {
        assert_eq!(room.job(&job.0.to_string())["state"], json!("pending"), "{:?}", events(&room, paused));
    }
    room.ok(&["remove", &held.job.0.to_string()]);
    kill_process(pid, Signal::INT).unwrap();
    wait_for("the end", || worker.try_wait().unwrap());
}

#[test]
fn a_panic_while_something_is_recorded_ends_the_worker_and_the_next_one_goes_on() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no points at which it could panic");
        return;
    }
    let room = room(400);
    let mut elsewhere = 0;
    for nth in [10, 20, 30] {
        let mut worker = room.command(&["worker", "--exit-when-idle"]);
        let worker = worker.env("SETLIST_PANIC", format!("commit:{nth}")).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut worker = worker.spawn().unwrap();
        let code = wait_for("the worker to end", || worker.try_wait().unwrap()).code();
        let said = std::io::read_to_string(worker.stderr.take().unwrap()).unwrap();
        assert_eq!(code, Some(101), "{said}");
        elsewhere += usize::from(said.contains("'recorder'"));
    }
    assert!(elsewhere > 0, "this is about the thread that records");
    room.run(&["retry", "--failed"]);
    room.run(&["process", "--quiet"]);
    let listed = room.ok(&["list", "--json"]);
    assert_eq!(listed.lines().filter(|job| job.contains("\"succeeded\"")).count(), 400);
}
