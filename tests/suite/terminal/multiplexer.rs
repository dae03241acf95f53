//! The screen inside of tmux.

use portable_pty::CommandBuilder;

use super::{THREE, Terminal};
use crate::temp_site::{SETLIST, TempSite};

#[test]
fn copied_text_goes_through_tmux() {
    let site = TempSite::with(THREE);
    site.script("tmux", "echo \"$@\" >arguments; cat >copied");
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", &format!("TMUX=here PATH=\"$PWD:$PATH\" exec {SETLIST}")]);
    let mut screen = Terminal::run(&site, command);
    screen.wait_for_text("Goes well");
    screen.keys("y");
    screen.wait_for_text("Copied work/good");
    assert_eq!((site.read("arguments").trim(), site.read("copied").as_str()), ("load-buffer -w -", "work/good"));
    assert!(!screen.raw().contains("]52;"), "tmux sets the clipboard itself");
    screen.keys("q");
    screen.wait_for_exit();
}
