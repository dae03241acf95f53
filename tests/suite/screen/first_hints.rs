//! The keys that are hinted until they have been used.

use setlist::model::Outcome;
use setlist::tui::first_hints::FirstHints;

use super::harness::{ScreenHarness, queue};

#[test]
fn three_keys_are_hinted_until_each_was_used_on_any_site() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("setlist/used-hints");
    let open = || {
        let hints = FirstHints::remembered_in(Some(file.clone()));
        ScreenHarness::with_hints(vec![queue("build", 1, 0, &[("a", "A"), ("b", "B")])], hints)
    };
    let mut harness = open();
    assert_eq!(harness.message(), "p starts this queue · Enter shows the output · ? shows all keys");
    harness.keys("p");
    assert_eq!(harness.message(), "Processing build.");
    harness.advance_seconds(60);
    assert_eq!(harness.keys("j").message(), "Enter shows the output · ? shows all keys");
    // On another site, and after a restart.
    let mut harness = open();
    assert_eq!(harness.message(), "Enter shows the output · ? shows all keys");
    harness.keys("?<Esc>");
    assert_eq!(harness.message(), "Enter shows the output");
    harness.keys("<Enter><Esc>");
    assert_eq!(harness.message(), "#1 build/a · pending");
    assert_eq!(open().message(), "#1 build/a · pending");
}

#[test]
fn hints_that_are_not_true_now_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let hints = FirstHints::remembered_in(Some(dir.path().join("used-hints")));
    let mut harness = ScreenHarness::with_hints(vec![queue("build", 1, 0, &[("a", "A"), ("b", "B")])], hints);
    // Details have no output to open, and the output is full screen already.
    assert_eq!(harness.keys("v").message(), "p starts this queue · ? shows all keys");
    assert_eq!(harness.keys("v<Tab><Tab><Tab>z").message(), "p starts this queue · ? shows all keys");
    harness.keys("z<Tab>");
    // It would pause a queue that is being processed, and a queue without pending jobs can't be.
    harness.process("build");
    assert_eq!(harness.message(), "Enter shows the output · ? shows all keys");
    harness.run("build", 1, Outcome::Succeeded);
    harness.run("build", 1, Outcome::Succeeded);
    harness.advance_seconds(60);
    assert_eq!(harness.keys("j").message(), "Enter shows the output · ? shows all keys");
}
