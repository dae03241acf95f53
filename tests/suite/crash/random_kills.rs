//! Processes are killed at random times. `SETLIST_SOAK` sets how often.

use std::process::Child;
use std::time::Duration;

use rustix::process::Signal;

use super::crash_site::{CrashSite, KINDS};
use crate::rng::{TestRng, iterations};
use crate::terminal::Terminal;

/// The number of kills in a normal run.
const KILLS: usize = 50;
/// A new site is created after this many jobs.
const MAX_JOBS_PER_SITE: usize = 400;

/// A process that uses the site.
enum Actor {
    /// Killed within this many microseconds if it runs that long.
    Command(Child, usize),
    Screen(Box<Terminal>),
}

#[test]
fn random_kills_lose_nothing_and_repeat_nothing() {
    let wanted = iterations(KILLS);
    let mut rng = TestRng::new();
    let mut scene = CrashSite::new();
    let (mut killed, mut episodes, mut jobs) = (0, 0, 0);
    while killed < wanted {
        killed += episode(&mut scene, &mut rng);
        episodes += 1;
        jobs = scene.jobs().len();
        if jobs > MAX_JOBS_PER_SITE {
            scene = CrashSite::new();
        }
    }
    println!("{killed} kills in {episodes} episodes; the last site had {jobs} jobs");
}

/// Adds some work, kills some actors one after another, then all that are left; returns how many were killed.
fn episode(scene: &mut CrashSite, rng: &mut TestRng) -> usize {
    let kinds = kinds(rng);
    let queue = *rng.pick(&["wide", "narrow"]);
    let known = scene.add(queue, &kinds);
    let mut actors = vec![Actor::Command(scene.start("", &["process"]), 60_000)];
    for _ in 0..rng.in_range(0..4) {
        let actor = actor(scene, rng, &known);
        actors.insert(rng.in_range(0..actors.len() + 1), actor);
    }
    let mut killed = 0;
    for actor in actors {
        killed += usize::from(end(actor, scene, rng));
    }
    killed += scene.kill_workers();
    scene.check();
    scene.drain();
    killed
}

fn kinds(rng: &mut TestRng) -> Vec<&'static str> {
    (0..rng.in_range(1..6)).map(|_| *rng.pick(&KINDS)).collect()
}

fn actor(scene: &mut CrashSite, rng: &mut TestRng, known: &[u64]) -> Actor {
    let short = 12_000;
    match rng.in_range(0..8) {
        0 => Actor::Command(scene.start("", &["worker"]), 60_000),
        1 => Actor::Command(scene.start("", &["process", "wide"]), 60_000),
        2 => Actor::Command(scene.start("", &["retry", "--failed"]), short),
        3 => Actor::Command(scene.start_cancelling(*rng.pick(known)), short),
        4 => Actor::Command(scene.start("", &["status"]), short),
        5 => {
            let mut screen = Terminal::open(&scene.site, &[]);
            screen.keys("P");
            Actor::Screen(Box::new(screen))
        }
        _ => {
            let (queue, kinds) = (*rng.pick(&["wide", "narrow"]), kinds(rng));
            let now: &[&str] = if rng.one_in(2) { &["--now"] } else { &[] };
            Actor::Command(scene.start_adding("", queue, &kinds, now), short)
        }
    }
}

/// Waits for a random time and kills an actor; returns whether it was still running.
fn end(actor: Actor, scene: &mut CrashSite, rng: &mut TestRng) -> bool {
    let go_on = |micros: usize| std::thread::park_timeout(Duration::from_micros(micros as u64));
    match actor {
        Actor::Command(mut child, most) => {
            go_on(rng.in_range(0..most));
            child.kill().unwrap();
            scene.wait_and_record(child).code.is_none()
        }
        Actor::Screen(mut screen) => {
            go_on(rng.in_range(0..150_000));
            screen.signal(Signal::KILL);
            screen.child.wait().unwrap();
            true
        }
    }
}
