//! Taking something out of the screen: what is copied, what the pager is opened on, and what the person is told.

use std::sync::Arc;

use setlist::model::{Definition, Outcome, Script};
use setlist::tui::wake::Wake;

use super::stage::{Stage, queue, with_pty};

/// A job that has printed something; the cursor is on it.
fn stage(text: &str) -> Stage {
    let mut stage = Stage::new(vec![queue("build", 1, 0, &[("a", "Alpha"), ("b", "Beta")])], 80, 24);
    stage.process("build");
    let started = stage.start("build");
    stage.print(started.1, text);
    stage.end(started, Outcome::Succeeded);
    stage
}

#[test]
fn in_the_lists_it_is_the_name_and_the_command() {
    let mut stage = stage("hello\n");
    stage.keys("y");
    assert_eq!(
        (stage.copied.pop().as_deref(), stage.message().as_str()),
        (Some("build/a"), "copied build/a; Y copies the command")
    );
    stage.keys("Y");
    assert_eq!(
        (stage.copied.pop().as_deref(), stage.message().as_str()),
        (Some("./a.sh"), "copied the script of build/a")
    );
    let mut queues = vec![queue("q", 1, 0, &[("a", "")])];
    let mut command = Definition::new(Script::command(["echo", "it's", "", "a b", "--x=1"]));
    command.digest = Some(1);
    queues[0].jobs = vec![Arc::new(command)];
    let mut stage = Stage::new(queues, 80, 24);
    stage.keys("y");
    assert_eq!(stage.copied.pop().as_deref(), Some("1"), "a job without a name has its number");
    stage.keys("Y");
    assert_eq!(stage.copied.pop().as_deref(), Some(r"echo 'it'\''s' '' 'a b' --x=1"));
    let mut empty = Stage::new(vec![queue("q", 1, 0, &[])], 80, 24);
    for keys in ["y", "Y", "o"] {
        empty.keys(keys);
        assert_eq!((empty.message().as_str(), empty.copied.len(), empty.pages), ("no job is selected", 0, 0));
    }
}

#[test]
fn in_the_output_it_is_what_is_in_view_or_found() {
    let text = (0..40).fold(String::new(), |text, n| text + "\x1b[32mline\x1b[0m " + &n.to_string() + "  \n");
    let mut stage = stage(&text);
    stage.keys("<Tab>g");
    assert!(stage.screen.lists().focus().output);
    let shown = stage.text().lines().filter(|row| row.starts_with(" line ")).count();
    stage.keys("y");
    let said = stage.message();
    let copied = stage.copied.pop().expect(&said);
    assert_eq!(copied.lines().count(), shown);
    assert!(copied.starts_with("line 0\nline 1\n"), "{copied:?}");
    assert_eq!(stage.message(), format!("copied {shown} lines of the output"));
    stage.keys("/17<Enter>y");
    assert_eq!((stage.copied.pop().as_deref(), stage.message().as_str()), (Some("line 17"), "copied the line found"));
    stage.keys("Y");
    assert_eq!(stage.copied.pop().unwrap().lines().count(), 40);
    assert_eq!(stage.message(), "copied all output, 40 lines");
}

#[test]
fn what_is_too_much_is_not_copied() {
    let mut stage = stage(&"0123456789\n".repeat(40_000));
    stage.keys("<Enter>Y");
    assert_eq!(stage.message(), "that is 429 KiB of output, too much to copy; o opens it");
    assert_eq!(stage.copied.len(), 0);
    stage.keys("o");
    assert_eq!(stage.pages, 1);
}

#[test]
fn a_terminal_is_copied_as_it_is_seen() {
    let mut stage = Stage::new(vec![with_pty(queue("q", 1, 0, &[("a", "")]))], 80, 24);
    stage.process("q");
    let (_, run) = stage.start("q");
    let width = usize::from(stage.screen.layout().output_text().width);
    stage.in_terminal(run, u16::try_from(width).unwrap(), 8);
    stage.says(run, &format!("\x1b[31mfirst\x1b[0m\r\n[#  ]\r[###]\r\n{}end\r\n", "x".repeat(width)));
    stage.keys("<Enter>y");
    let copied = stage.copied.pop().unwrap();
    assert_eq!(copied, format!("first\n[###]\n{}end", "x".repeat(width)), "a wrapped line is one");
}

#[test]
fn the_pager_opens_on_what_has_been_printed() {
    let mut stage = stage("hello\n");
    stage.keys("o");
    assert_eq!(stage.pages, 1);
    stage.keys("<Tab><Tab>");
    assert_eq!(stage.chosen().as_deref(), Some("b"));
    stage.keys("o");
    assert_eq!((stage.message().as_str(), stage.pages), ("#2 has not run yet", 1));
    stage.start("build");
    stage.wake(Wake::Tick);
    stage.keys("o");
    assert_eq!((stage.message().as_str(), stage.pages), ("#2 has printed nothing", 1));
}
