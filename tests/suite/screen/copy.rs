//! Copying from the screen and opening the pager.

use std::sync::Arc;

use setlist::model::{Definition, Outcome, Script};
use setlist::tui::message::Message;

use super::harness::{ScreenHarness, queue, with_pty};

/// A selected job that has printed something.
fn harness(text: &str) -> ScreenHarness {
    let mut harness = ScreenHarness::new(vec![queue("build", 1, 0, &[("a", "Alpha"), ("b", "Beta")])], 80, 24);
    harness.process("build");
    let started = harness.start("build");
    harness.print(started.1, text);
    harness.end(started, Outcome::Succeeded);
    harness
}

#[test]
fn in_the_lists_the_name_and_the_command_are_copied() {
    let mut harness = harness("hello\n");
    harness.keys("y");
    assert_eq!(
        (harness.copied.pop().as_deref(), harness.message().as_str()),
        (Some("build/a"), "Copied build/a. Press Y to copy the command.")
    );
    harness.keys("Y");
    assert_eq!(
        (harness.copied.pop().as_deref(), harness.message().as_str()),
        (Some("./a.sh"), "Copied the script of build/a.")
    );
    let mut queues = vec![queue("q", 1, 0, &[("a", "")])];
    let mut command = Definition::new(Script::command(["echo", "it's", "", "a b", "--x=1"]));
    command.digest = Some(1);
    queues[0].jobs = vec![Arc::new(command)];
    let mut harness = ScreenHarness::new(queues, 80, 24);
    harness.keys("y");
    assert_eq!(harness.copied.pop().as_deref(), Some("1"), "a job without a name is copied as its number");
    harness.keys("Y");
    assert_eq!(harness.copied.pop().as_deref(), Some(r#"echo "it's" '' 'a b' '--x=1'"#));
    let mut empty = ScreenHarness::new(vec![queue("q", 1, 0, &[])], 80, 24);
    for keys in ["y", "Y", "o"] {
        empty.keys(keys);
        assert_eq!((empty.message().as_str(), empty.copied.len(), empty.pager_opens), ("No job is selected.", 0, 0));
    }
}

#[test]
fn in_the_output_the_visible_text_or_the_match_is_copied() {
    let text = (0..40).fold(String::new(), |text, n| text + "\x1b[32mline\x1b[0m " + &n.to_string() + "  \n");
    let mut harness = harness(&text);
    harness.keys("<Tab>g");
    assert!(harness.screen.lists().focus().output);
    let shown = harness.text().lines().filter(|row| row.starts_with(" line ")).count();
    harness.keys("y");
    let printed = harness.message();
    let copied = harness.copied.pop().expect(&printed);
    assert_eq!(copied.lines().count(), shown);
    assert!(copied.starts_with("line 0\nline 1\n"), "{copied:?}");
    assert_eq!(harness.message(), format!("Copied {shown} lines of the output."));
    harness.keys("/17<Enter>y");
    assert_eq!(
        (harness.copied.pop().as_deref(), harness.message().as_str()),
        (Some("line 17"), "Copied the matching line.")
    );
    harness.keys("Y");
    assert_eq!(harness.copied.pop().unwrap().lines().count(), 40);
    assert_eq!(harness.message(), "Copied the whole output, 40 lines.");
}

#[test]
fn too_much_text_is_not_copied() {
    let mut harness = harness(&"0123456789\n".repeat(40_000));
    harness.keys("<Enter>Y");
    assert_eq!(harness.message(), "The output is too large to copy (429 KiB). Press o to open it in a pager.");
    assert_eq!(harness.copied.len(), 0);
    harness.keys("o");
    assert_eq!(harness.pager_opens, 1);
}

#[test]
fn a_terminal_is_copied_as_it_is_drawn() {
    let mut harness = ScreenHarness::new(vec![with_pty(queue("q", 1, 0, &[("a", "")]))], 80, 24);
    harness.process("q");
    let (_, run) = harness.start("q");
    let width = usize::from(harness.screen.layout().output_text().width);
    harness.set_pty_size(run, u16::try_from(width).unwrap(), 8);
    harness.append_output(run, &format!("\x1b[31mfirst\x1b[0m\r\n[#  ]\r[###]\r\n{}end\r\n", "x".repeat(width)));
    harness.keys("<Enter>y");
    let copied = harness.copied.pop().unwrap();
    assert_eq!(copied, format!("first\n[###]\n{}end", "x".repeat(width)), "a wrapped line is copied as one line");
}

#[test]
fn the_artifacts_of_the_shown_run_can_be_opened() {
    let mut harness = harness("hello\n");
    harness.keys("O");
    assert_eq!(harness.artifacts_opened.len(), 1);
    harness.keys("<Tab><Tab>O");
    assert_eq!((harness.message().as_str(), harness.artifacts_opened.len()), ("#2 has not run yet.", 1));
}

#[test]
fn the_pager_opens_if_there_is_output() {
    let mut harness = harness("hello\n");
    harness.keys("o");
    assert_eq!(harness.pager_opens, 1);
    harness.keys("<Tab><Tab>");
    assert_eq!(harness.selected_job_name().as_deref(), Some("b"));
    harness.keys("o");
    assert_eq!((harness.message().as_str(), harness.pager_opens), ("#2 has not run yet.", 1));
    harness.start("build");
    harness.send(Message::Tick);
    harness.keys("o");
    assert_eq!((harness.message().as_str(), harness.pager_opens), ("#2 has printed nothing.", 1));
}
