//! `setlist --plain`: a line for each change, for screen readers.

use super::Terminal;
use crate::temp_site::TempSite;

const SITE: &str = "\
queues:
  q:
    on_failure: continue
    jobs:
      - {id: a, title: First, run: 'echo hello from a'}
      - {id: b, title: Second, run: 'exit 3'}
  other: [{id: c, title: Third, run: 'true'}]
";

/// Waits until this was written.
#[track_caller]
fn wait_for(terminal: &Terminal, text: &str) {
    terminal.wait_until(text, |_| terminal.raw().contains(text));
}

#[test]
fn each_change_is_a_line_and_nothing_is_drawn() {
    let site = TempSite::with(SITE);
    let mut terminal = Terminal::open(&site, &["--plain"]);
    wait_for(&terminal, "Setlist, a line for each change. ? lists the keys, q quits.\r\n");
    wait_for(&terminal, "Queue q, idle.\r\n");
    wait_for(&terminal, "pending 1 of 2: First, pending.\r\n");
    terminal.keys("j");
    wait_for(&terminal, "pending 2 of 2: Second, pending.\r\n");
    terminal.keys("k");
    terminal.keys("p");
    for line in
        ["Processing q.", "Queue q, processing.", "q/a has started.", "q/a succeeded after ", "q/b failed after "]
    {
        wait_for(&terminal, line);
    }
    wait_for(&terminal, ": exit code 3.\r\n");
    terminal.keys("]");
    wait_for(&terminal, "Queue other, idle.\r\npending 1 of 1: Third, pending.\r\n");
    terminal.keys("q");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 0);
    let raw = terminal.raw();
    assert!(!raw.contains(['\x1b', '─', '│', '┌']), "no escape sequences and no boxes: {raw:?}");
}

#[test]
fn the_output_is_printed_when_it_has_the_focus() {
    let site = TempSite::with(SITE);
    site.run(&["process", "--quiet"]);
    let mut terminal = Terminal::open(&site, &["--plain"]);
    wait_for(&terminal, "finished 1 of 2: Second, failed: exit code 3.\r\n");
    terminal.keys("j");
    wait_for(&terminal, "finished 2 of 2: First, succeeded.\r\n");
    terminal.keys("C");
    wait_for(&terminal, "History: q/a, run 1, succeeded, took ");
    terminal.keys("CW");
    wait_for(&terminal, "Workers: no worker is running.\r\n");
    terminal.keys("W\r");
    wait_for(&terminal, "Output of q/a: First, succeeded.\r\n");
    wait_for(&terminal, "hello from a\r\n");
    terminal.keys("q");
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 0);
}
