//! Anything is killed at any moment. `SETLIST_SOAK` says how often; the dice say when.

use std::process::Child;
use std::time::Duration;

use rustix::process::Signal;

use super::scene::{KINDS, Scene};
use crate::dice::{Dice, often};
use crate::terminal::Terminal;

/// How many kills there are in a normal run.
const KILLS: usize = 50;
/// After so many jobs a new site is begun.
const OLD: usize = 400;

/// Somebody who does something with the site.
enum Actor {
    /// Who is killed within this many microseconds, if it lasts so long.
    Command(Child, usize),
    Screen(Box<Terminal>),
}

#[test]
fn whatever_is_killed_nothing_is_lost_and_nothing_runs_twice() {
    let wanted = often(KILLS);
    let mut dice = Dice::new();
    let mut scene = Scene::new();
    let (mut killed, mut episodes, mut jobs) = (0, 0, 0);
    while killed < wanted {
        killed += episode(&mut scene, &mut dice);
        episodes += 1;
        jobs = scene.jobs().len();
        if jobs > OLD {
            scene = Scene::new();
        }
    }
    println!("{killed} kills in {episodes} episodes; the last site had {jobs} jobs");
}

/// Some work, some actors who are killed one after another, and then all that are left. Tells how many were killed.
fn episode(scene: &mut Scene, dice: &mut Dice) -> usize {
    let kinds = kinds(dice);
    let queue = *dice.pick(&["wide", "narrow"]);
    let known = scene.add(queue, &kinds);
    let mut actors = vec![Actor::Command(scene.start("", &["process"]), 60_000)];
    for _ in 0..dice.below(0..4) {
        let actor = actor(scene, dice, &known);
        actors.insert(dice.below(0..actors.len() + 1), actor);
    }
    let mut killed = 0;
    for actor in actors {
        killed += usize::from(end(actor, scene, dice));
    }
    killed += scene.kill_workers();
    scene.check();
    scene.drain();
    killed
}

fn kinds(dice: &mut Dice) -> Vec<&'static str> {
    (0..dice.below(1..6)).map(|_| *dice.pick(&KINDS)).collect()
}

fn actor(scene: &mut Scene, dice: &mut Dice, known: &[u64]) -> Actor {
    let short = 12_000;
    match dice.below(0..8) {
        0 => Actor::Command(scene.start("", &["worker"]), 60_000),
        1 => Actor::Command(scene.start("", &["process", "wide"]), 60_000),
        2 => Actor::Command(scene.start("", &["retry", "--failed"]), short),
        3 => Actor::Command(scene.start_cancelling(*dice.pick(known)), short),
        4 => Actor::Command(scene.start("", &["status"]), short),
        5 => {
            let mut screen = Terminal::open(&scene.room, &[]);
            screen.keys("P");
            Actor::Screen(Box::new(screen))
        }
        _ => {
            let (queue, kinds) = (*dice.pick(&["wide", "narrow"]), kinds(dice));
            let now: &[&str] = if dice.one_in(2) { &["--now"] } else { &[] };
            Actor::Command(scene.start_adding("", queue, &kinds, now), short)
        }
    }
}

/// Lets an actor go on for a while and kills it. Tells whether it was still there.
fn end(actor: Actor, scene: &mut Scene, dice: &mut Dice) -> bool {
    let go_on = |micros: usize| std::thread::park_timeout(Duration::from_micros(micros as u64));
    match actor {
        Actor::Command(mut child, most) => {
            go_on(dice.below(0..most));
            child.kill().unwrap();
            scene.hear(child).code.is_none()
        }
        Actor::Screen(mut screen) => {
            go_on(dice.below(0..150_000));
            screen.signal(Signal::KILL);
            screen.child.wait().unwrap();
            true
        }
    }
}
