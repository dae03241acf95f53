//! How the screen behaves towards the terminal: it writes only what is new, and gives back all it took.

use std::fs;

use portable_pty::CommandBuilder;
use rustix::process::Signal;

use crate::room::{Room, SETLIST, wait_for};
use crate::terminal::Terminal;

const TWO: &str = "\
queues:
  work:
    - {id: good, title: Goes well, run: echo all is well}
    - {id: other, title: Other one, run: echo the end}
";

/// How many bytes a process has read so far, from whatever.
fn read_by(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap()
}

#[test]
fn nothing_is_drawn_when_nothing_changed() {
    let room = Room::with(TWO);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Goes well");
    // The first of these may have something to show still; the others have not.
    screen.keys("k");
    let pid = screen.child.process_id().unwrap();
    let mut frames = 0;
    for nth in 0..10 {
        let read = read_by(pid);
        screen.keys("k");
        wait_for("the key to be read", || (read_by(pid) > read).then_some(()));
        if nth == 2 {
            frames = screen.raw().matches("\x1b[?2026h").count();
        }
    }
    screen.keys("j");
    screen.until("the cursor on the second job", |_| screen.raw().matches("\x1b[?2026h").count() > frames);
    screen.keys("?");
    screen.until_shows("Help");
    let drawn = screen.raw().matches("\x1b[?2026h").count() - frames;
    assert!(drawn <= 2, "{drawn} frames for two keys that changed something");
    screen.signal(Signal::TERM);
    screen.ended();
}

#[test]
fn every_frame_comes_in_one_piece() {
    let room = Room::with(TWO);
    let mut screen = Terminal::open(&room, &[]);
    screen.until_shows("Goes well");
    screen.keys("p");
    screen.until_shows("Finished 2");
    screen.keys("q");
    screen.until("the end", |_| screen.taken().is_empty());
    let raw = screen.raw();
    screen.ended();
    let frames: Vec<&str> = raw.split("\x1b[?2026l").collect();
    assert!(frames.len() > 3, "{raw:?}");
    for between in &frames[1..frames.len() - 2] {
        assert!(between.starts_with("\x1b[?2026h"), "written between two frames: {between:?}");
    }
}

#[test]
fn it_is_suspended_and_comes_back_whole() {
    let room = Room::with(TWO);
    let mut shell = CommandBuilder::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    shell.env("PS1", "ready> ");
    let mut shell = Terminal::run(&room, shell);
    shell.until_shows("ready>");
    shell.keys(&format!("{SETLIST}\n"));
    shell.until_shows("Goes well");
    assert_eq!(shell.taken(), ["alternate screen", "hidden cursor", "bracketed paste", "mouse"]);
    shell.keys("\x1a");
    shell.until_shows("Stopped");
    // The shell marks pasted text by itself.
    assert!(shell.taken().iter().all(|taken| *taken == "bracketed paste"), "{:?}", shell.taken());
    shell.keys("fg\n");
    shell.until_shows("Goes well");
    shell.keys("p");
    shell.until_shows("Finished 2");
    assert_eq!(shell.taken(), ["alternate screen", "hidden cursor", "bracketed paste", "mouse"]);
    shell.keys("q");
    // Before the prompt is back, what is typed may still go to the screen.
    shell.until("the prompt", |text| text.trim_end().ends_with("ready>") && !text.contains("Goes well"));
    shell.keys("exit\n");
    wait_for("the shell to leave", || shell.child.try_wait().unwrap());
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_told() {
    let room = Room::with(TWO);
    let mut command = CommandBuilder::new(SETLIST);
    command.env("SETLIST_PANIC", "woken");
    let mut screen = Terminal::run(&room, command);
    // Anything may wake it, even before a key does.
    screen.keys("j");
    screen.until_shows("a test wanted a panic when woken");
    assert!(screen.raw().contains("\x1b[?1049h"), "the terminal was taken before");
    assert!(!screen.ended().success());
}

#[test]
fn a_terminal_that_vanishes_ends_the_screen() {
    let room = Room::with(TWO);
    let mut between = CommandBuilder::new("script");
    between.args(["-qec", SETLIST, "/dev/null"]);
    let mut between = Terminal::run(&room, between);
    between.until_shows("Goes well");
    let pid = between.child.process_id().unwrap();
    let screen = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().to_owned();
    assert!(fs::read_to_string(format!("/proc/{screen}/comm")).unwrap().contains("setlist"));
    // With it goes the terminal that it made, and nobody says goodbye.
    between.signal(Signal::KILL);
    wait_for("the screen to leave", || (!fs::exists(format!("/proc/{screen}")).unwrap()).then_some(()));
    between.child.wait().unwrap();
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let room = Room::with(TWO);
        let screen = Terminal::open(&room, &[]);
        screen.until_shows("Goes well");
        screen.signal(signal);
        screen.ended();
    }
}

#[test]
fn the_mouse_selects_in_a_real_terminal_until_it_is_let_go() {
    let room = Room::with(TWO);
    let mut screen = Terminal::open(&room, &[]);
    let text = screen.until_shows("Other one");
    let row = text.lines().position(|line| line.contains("Other one")).unwrap() + 1;
    // The first button, pressed and let go, as a terminal tells of it.
    screen.keys(&format!("\x1b[<0;10;{row}M\x1b[<0;10;{row}m"));
    screen.keys("y");
    screen.until_shows("copied work/other");
    screen.keys("M");
    screen.until("the mouse to be let go", |_| !screen.taken().contains(&"mouse"));
    screen.keys("q");
    screen.ended();
}
