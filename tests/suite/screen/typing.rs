//! Typing into a job: where keys go, and the messages shown.

use setlist::model::{JobId, Outcome, RunId, TerminalInput, WindowSize};
use setlist::store::{Store, TerminalInputReader};
use setlist::tui::message::Message;

use super::harness::{ScreenHarness, queue, with_pty};

const JOBS: [(&str, &str); 2] = [("ask", "Asks"), ("next", "Next")];

/// A `pty` job that asks for a name, and the worker's end of its terminal input.
struct Scene {
    harness: ScreenHarness,
    job: (JobId, RunId),
    line: TerminalInputReader,
}

impl Scene {
    fn new() -> Self {
        let mut harness = ScreenHarness::new(vec![with_pty(queue("q", 1, 0, &JOBS))], 80, 24);
        harness.process("q");
        let job = harness.start("q");
        let line = harness.store.terminal_inputs().open_reader(job.1).unwrap();
        harness.set_pty_size(job.1, 79, 8);
        harness.append_output(job.1, "name? ");
        Self { harness, job, line }
    }

    /// The input that the job received since the last call.
    fn typed(&mut self) -> String {
        let typed = self.line.read().into_iter().filter_map(|typed| match typed {
            TerminalInput::Bytes(bytes) => Some(bytes),
            TerminalInput::Size(_) => None,
        });
        String::from_utf8(typed.flatten().collect()).unwrap()
    }

    fn sizes(&mut self) -> Vec<WindowSize> {
        let typed = self.line.read().into_iter();
        typed.filter_map(|typed| if let TerminalInput::Size(size) = typed { Some(size) } else { None }).collect()
    }
}

#[test]
fn keys_go_to_the_job_until_the_escape_key() {
    let mut scene = Scene::new();
    scene.harness.keys("i");
    let text = scene.harness.text();
    assert!(text.contains(" TYPING ") && text.contains("name?"), "{text}");
    assert!(text.lines().last().unwrap().contains("^z"), "the way out is shown:\n{text}");
    scene.harness.keys("qp<Esc><^c>?<Up><Enter>");
    assert_eq!(scene.typed(), "qp\x1b\x03?\x1b[A\r");
    assert_eq!(scene.harness.exit_reason, None);
    scene.harness.send(Message::Paste("two\nlines".to_owned()));
    assert_eq!(scene.typed(), "two\rlines");
    scene.harness.append_output(scene.job.1, "\x1b[?1h\x1b[?2004h");
    scene.harness.keys("<Up>");
    scene.harness.send(Message::Paste("a\nb".to_owned()));
    assert_eq!(scene.typed(), "\x1bOA\x1b[200~a\nb\x1b[201~");
    scene.harness.keys("<^z>");
    let text = scene.harness.text();
    assert!(!text.contains("TYPING"), "{text}");
    scene.harness.keys("?");
    assert_eq!(scene.typed(), "");
    assert!(scene.harness.text().contains("─ Help ─"), "{}", scene.harness.text());
}

#[test]
fn the_previous_focus_is_restored() {
    for (before, zoomed) in [("", false), ("<Enter>", true)] {
        let mut scene = Scene::new();
        scene.harness.keys(before);
        let focus = scene.harness.screen.lists().focus();
        scene.harness.keys("i");
        assert!(scene.harness.screen.lists().focus().output);
        assert_eq!(!scene.harness.text().contains("Pending"), zoomed);
        scene.harness.keys("x<^z>");
        assert_eq!(scene.harness.screen.lists().focus(), focus);
    }
}

#[test]
fn keys_are_dropped_after_the_run_has_ended() {
    let mut scene = Scene::new();
    scene.harness.keys("i");
    scene.harness.end(scene.job, Outcome::Succeeded);
    assert!(scene.harness.text().contains(" ENDED "), "{}", scene.harness.text());
    // These keys were meant for the job, not for the screen.
    scene.harness.keys("qd<Enter>p");
    assert_eq!(scene.harness.exit_reason, None);
    assert!(scene.harness.text().contains(" ENDED "), "{}", scene.harness.text());
    scene.harness.keys("<Esc>");
    assert!(!scene.harness.text().contains(" ENDED "), "{}", scene.harness.text());
    scene.harness.keys("i");
    assert_eq!(scene.harness.message(), "#1 has finished. Press r to run it again.");
}

#[test]
fn a_job_that_takes_no_input_says_why() {
    let mut scene = Scene::new();
    scene.harness.keys("<S-Tab>");
    let pending = scene.harness.selected_job_name();
    scene.harness.keys("i");
    assert_eq!(
        (pending.as_deref(), scene.harness.message().as_str()),
        (Some("next"), "#2 is not running yet. Press r to run it now.")
    );
    let mut harness = ScreenHarness::new(vec![queue("q", 1, 0, &JOBS)], 80, 24);
    harness.process("q");
    harness.start("q");
    harness.keys("i");
    assert_eq!(harness.message(), "#1 has no terminal. Set `pty: true` in jobs.yaml.");
    let mut empty = ScreenHarness::new(vec![queue("q", 1, 0, &[])], 80, 24);
    empty.keys("i");
    assert_eq!(empty.message(), "No job is selected.");
}

#[test]
fn input_that_is_not_read_is_reported() {
    let mut scene = Scene::new();
    scene.harness.keys("i");
    drop(scene.line);
    scene.harness.keys("x");
    assert_eq!(scene.harness.message(), "#1 can't be reached.");
}

#[test]
fn the_job_gets_the_size_of_its_pane() {
    let mut scene = Scene::new();
    let output = |scene: &Scene| {
        let area = scene.harness.screen.layout().output_text();
        WindowSize { columns: area.width, rows: area.height }
    };
    assert_eq!(scene.sizes(), [output(&scene)]);
    assert_eq!(scene.harness.store.terminal_inputs().last_size(), output(&scene), "later runs start with it");
    scene.harness.resize(120, 40);
    assert_eq!(scene.sizes(), [output(&scene)]);
    scene.harness.keys("<Enter>");
    assert_eq!(scene.sizes(), [output(&scene)]);
    scene.harness.keys("jk?<Esc>");
    assert_eq!(scene.sizes(), [], "nothing has changed");
    // Another screen may have set another size since.
    scene.harness.keys("i");
    assert_eq!(scene.sizes(), [output(&scene)]);
}

#[test]
fn the_last_screen_of_a_run_stays() {
    let mut scene = Scene::new();
    scene.harness.append_output(scene.job.1, "you\r\n\x1b[1mhello you\x1b[0m\r\n");
    assert!(scene.harness.text().contains("\n name? you\n hello you\n"), "{}", scene.harness.text());
    scene.harness.end(scene.job, Outcome::Succeeded);
    assert!(scene.harness.text().contains("\n name? you\n hello you\n"), "{}", scene.harness.text());
}

#[test]
fn a_job_that_can_be_reached_again_is_not_said_to_be_out_of_reach() {
    let mut scene = Scene::new();
    scene.harness.keys("ia");
    assert_eq!(scene.typed(), "a");
    let Scene { mut harness, job, line } = scene;
    drop(line);
    harness.keys("b");
    assert!(harness.text().contains("#1 can't be reached."), "{}", harness.text());
    let line = harness.store.terminal_inputs().open_reader(job.1).unwrap();
    let mut scene = Scene { harness, job, line };
    // The pipe is found to be broken once.
    scene.harness.keys("cd");
    assert!(scene.typed().ends_with('d'));
    assert!(!scene.harness.text().contains("can't be reached"), "{}", scene.harness.text());
}
