//! Terminal conventions: the screen draws only changes, in whole frames, and resets every mode it sets.

use std::fs;

use portable_pty::CommandBuilder;
use rustix::process::Signal;

use crate::temp_site::{SETLIST, TempSite, wait_for};
use crate::terminal::Terminal;

const TWO: &str = "\
queues:
  work:
    - {id: good, title: Goes well, run: echo all is well}
    - {id: other, title: Other one, run: echo the end}
";

/// The number of bytes that a process has read so far.
fn read_by(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap()
}

#[test]
fn nothing_is_drawn_when_nothing_changed() {
    let site = TempSite::with(TWO);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Goes well");
    // The first key may still cause a frame; the others must not.
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
    screen.wait_until("the cursor on the second job", |_| screen.raw().matches("\x1b[?2026h").count() > frames);
    screen.keys("?");
    screen.wait_for_text("Help");
    let drawn = screen.raw().matches("\x1b[?2026h").count() - frames;
    assert!(drawn <= 2, "{drawn} frames for two keys that changed something");
    screen.signal(Signal::TERM);
    screen.wait_for_exit();
}

#[test]
fn every_frame_is_a_synchronized_update() {
    let site = TempSite::with(TWO);
    let mut screen = Terminal::open(&site, &[]);
    screen.wait_for_text("Goes well");
    screen.keys("p");
    screen.wait_for_text("Finished 2");
    screen.keys("q");
    screen.wait_until("the end", |_| screen.enabled_modes().is_empty());
    let raw = screen.raw();
    screen.wait_for_exit();
    let frames: Vec<&str> = raw.split("\x1b[?2026l").collect();
    assert!(frames.len() > 3, "{raw:?}");
    for between in &frames[1..frames.len() - 2] {
        assert!(between.starts_with("\x1b[?2026h"), "written between two frames: {between:?}");
    }
}

#[test]
fn it_suspends_and_resumes() {
    let site = TempSite::with(TWO);
    let mut shell = CommandBuilder::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    shell.env("PS1", "ready> ");
    let mut shell = Terminal::run(&site, shell);
    shell.wait_for_text("ready>");
    shell.keys(&format!("{SETLIST}\n"));
    shell.wait_for_text("Goes well");
    assert_eq!(shell.enabled_modes(), ["alternate screen", "hidden cursor", "bracketed paste", "mouse"]);
    shell.keys("\x1a");
    shell.wait_for_text("Stopped");
    // The shell itself sets bracketed paste.
    assert!(shell.enabled_modes().iter().all(|taken| *taken == "bracketed paste"), "{:?}", shell.enabled_modes());
    shell.keys("fg\n");
    shell.wait_for_text("Goes well");
    shell.keys("p");
    shell.wait_for_text("Finished 2");
    assert_eq!(shell.enabled_modes(), ["alternate screen", "hidden cursor", "bracketed paste", "mouse"]);
    shell.keys("q");
    // Until the prompt is back, keys may still go to the screen.
    shell.wait_until("the prompt", |text| text.trim_end().ends_with("ready>") && !text.contains("Goes well"));
    shell.keys("exit\n");
    wait_for("the shell to leave", || shell.child.try_wait().unwrap());
}

#[test]
fn a_panic_resets_the_terminal_and_is_printed() {
    let site = TempSite::with(TWO);
    let mut command = CommandBuilder::new(SETLIST);
    command.env("SETLIST_PANIC", "woken");
    let mut screen = Terminal::run(&site, command);
    // Any message makes it panic, perhaps before the key.
    screen.keys("j");
    screen.wait_for_text("a test requested a panic at woken");
    assert!(screen.raw().contains("\x1b[?1049h"), "the alternate screen was on before");
    assert!(!screen.wait_for_exit().success());
}

#[test]
fn the_screen_exits_when_its_terminal_disappears() {
    let site = TempSite::with(TWO);
    let mut between = CommandBuilder::new("script");
    between.args(["-qec", SETLIST, "/dev/null"]);
    let mut between = Terminal::run(&site, between);
    between.wait_for_text("Goes well");
    let pid = between.child.process_id().unwrap();
    let screen = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().to_owned();
    assert!(fs::read_to_string(format!("/proc/{screen}/comm")).unwrap().contains("setlist"));
    // Its terminal disappears with it, without any signal to the screen.
    between.signal(Signal::KILL);
    wait_for("the screen to leave", || (!fs::exists(format!("/proc/{screen}")).unwrap()).then_some(()));
    between.child.wait().unwrap();
}

#[test]
fn signals_reset_the_terminal() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let site = TempSite::with(TWO);
        let screen = Terminal::open(&site, &[]);
        screen.wait_for_text("Goes well");
        screen.signal(signal);
        screen.wait_for_exit();
    }
}

#[test]
fn the_mouse_selects_in_a_real_terminal_until_it_is_released() {
    let site = TempSite::with(TWO);
    let mut screen = Terminal::open(&site, &[]);
    let text = screen.wait_for_text("Other one");
    let row = text.lines().position(|line| line.contains("Other one")).unwrap() + 1;
    // The first button, pressed and released, as a terminal reports it.
    screen.keys(&format!("\x1b[<0;10;{row}M\x1b[<0;10;{row}m"));
    screen.keys("y");
    screen.wait_for_text("Copied work/other");
    screen.keys("M");
    screen.wait_until("the mouse to be released", |_| !screen.enabled_modes().contains(&"mouse"));
    screen.keys("q");
    screen.wait_for_exit();
}
