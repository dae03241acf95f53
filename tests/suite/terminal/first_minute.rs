//! The first minute: an empty folder, an example, and the first keys.

use portable_pty::CommandBuilder;

use super::Terminal;
use crate::temp_site::{SETLIST, TempSite};

#[test]
fn an_empty_folder_gets_an_example_that_runs_at_the_first_key() {
    let site = TempSite::empty();
    let mut screen = Terminal::run_first(&site, CommandBuilder::new(SETLIST));
    screen.wait_for_text("Write an example with a few harmless jobs there and open it? [Y/n]");
    screen.keys("\r");
    screen.wait_for_text("p starts this queue");
    assert!(site.read("jobs.yaml").contains("hello:"));
    screen.keys("p");
    screen.wait_for_text("Enter shows the output");
    screen.wait_until("a job that ran", |text| text.contains('✓'));
    screen.keys("q");
    screen.wait_for_exit();
    assert_eq!(site.read("state-home/setlist/used-hints").lines().next(), Some("process"));
    // Not again.
    let mut screen = Terminal::run_first(&site, CommandBuilder::new(SETLIST));
    let text = screen.wait_for_text("Enter shows the output");
    assert!(!text.contains("p starts this queue"), "{text}");
    screen.keys("q");
    screen.wait_for_exit();
}

#[test]
fn without_consent_nothing_is_written() {
    let site = TempSite::empty();
    let mut screen = Terminal::run_first(&site, CommandBuilder::new(SETLIST));
    screen.wait_for_text("[Y/n]");
    screen.keys("n\r");
    screen.wait_for_text("`setlist init` writes one");
    assert!(!screen.wait_for_exit().success());
    assert!(!site.join("jobs.yaml").exists());
}
