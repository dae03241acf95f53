//! Typing into a job: who gets the keys, and what the person is told.

use setlist::model::{JobId, Outcome, RunId, Typed, WindowSize};
use setlist::store::{LineReader, Store};
use setlist::tui::wake::Wake;

use super::stage::{Stage, queue, with_pty};

const JOBS: [(&str, &str); 2] = [("ask", "Asks"), ("next", "Next")];

/// A job in a terminal that asks for a name, and the worker's end of the line to it.
struct Scene {
    stage: Stage,
    job: (JobId, RunId),
    line: LineReader,
}

impl Scene {
    fn new() -> Self {
        let mut stage = Stage::new(vec![with_pty(queue("q", 1, 0, &JOBS))], 80, 24);
        stage.process("q");
        let job = stage.start("q");
        let line = stage.store.lines().reader(job.1).unwrap();
        stage.in_terminal(job.1, 79, 8);
        stage.says(job.1, "name? ");
        Self { stage, job, line }
    }

    /// What has reached the job since this was asked last.
    fn typed(&mut self) -> String {
        let typed = self.line.read().into_iter().filter_map(|typed| match typed {
            Typed::Bytes(bytes) => Some(bytes),
            Typed::Size(_) => None,
        });
        String::from_utf8(typed.flatten().collect()).unwrap()
    }

    fn sizes(&mut self) -> Vec<WindowSize> {
        let typed = self.line.read().into_iter();
        typed.filter_map(|typed| if let Typed::Size(size) = typed { Some(size) } else { None }).collect()
    }
}

#[test]
fn keys_go_to_the_job_until_the_way_out() {
    let mut scene = Scene::new();
    scene.stage.keys("i");
    let text = scene.stage.text();
    assert!(text.contains(" TYPING ") && text.contains("name?"), "{text}");
    assert!(text.lines().last().unwrap().contains("^z"), "the way out is shown:\n{text}");
    scene.stage.keys("qp<Esc><^c>?<Up><Enter>");
    assert_eq!(scene.typed(), "qp\x1b\x03?\x1b[A\r");
    assert_eq!(scene.stage.left, None);
    scene.stage.wake(Wake::Paste("two\nlines".to_owned()));
    assert_eq!(scene.typed(), "two\rlines");
    scene.stage.says(scene.job.1, "\x1b[?1h\x1b[?2004h");
    scene.stage.keys("<Up>");
    scene.stage.wake(Wake::Paste("a\nb".to_owned()));
    assert_eq!(scene.typed(), "\x1bOA\x1b[200~a\nb\x1b[201~");
    scene.stage.keys("<^z>");
    let text = scene.stage.text();
    assert!(!text.contains("TYPING"), "{text}");
    scene.stage.keys("?");
    assert_eq!(scene.typed(), "");
    assert!(scene.stage.text().contains("─ Help ─"), "{}", scene.stage.text());
}

#[test]
fn the_focus_comes_back_to_where_it_was() {
    for (before, zoomed) in [("", false), ("<Enter>", true)] {
        let mut scene = Scene::new();
        scene.stage.keys(before);
        let focus = scene.stage.screen.lists().focus();
        scene.stage.keys("i");
        assert!(scene.stage.screen.lists().focus().output);
        assert_eq!(!scene.stage.text().contains("Pending"), zoomed);
        scene.stage.keys("x<^z>");
        assert_eq!(scene.stage.screen.lists().focus(), focus);
    }
}

#[test]
fn keys_go_nowhere_when_the_run_has_ended_meanwhile() {
    let mut scene = Scene::new();
    scene.stage.keys("i");
    scene.stage.end(scene.job, Outcome::Succeeded);
    assert!(scene.stage.text().contains(" ENDED "), "{}", scene.stage.text());
    // They were meant for the job, not for the screen.
    scene.stage.keys("qd<Enter>p");
    assert_eq!(scene.stage.left, None);
    assert!(scene.stage.text().contains(" ENDED "), "{}", scene.stage.text());
    scene.stage.keys("<Esc>");
    assert!(!scene.stage.text().contains(" ENDED "), "{}", scene.stage.text());
    scene.stage.keys("i");
    assert_eq!(scene.stage.message(), "#1 has ended; r runs it again");
}

#[test]
fn what_can_not_be_typed_into_says_why() {
    let mut scene = Scene::new();
    scene.stage.keys("<S-Tab>");
    let pending = scene.stage.chosen();
    scene.stage.keys("i");
    assert_eq!(
        (pending.as_deref(), scene.stage.message().as_str()),
        (Some("next"), "#2 doesn't run yet; r runs it now")
    );
    let mut stage = Stage::new(vec![queue("q", 1, 0, &JOBS)], 80, 24);
    stage.process("q");
    stage.start("q");
    stage.keys("i");
    assert_eq!(stage.message(), "#1 has no terminal; `pty: true` in jobs.yaml gives it one");
    let mut empty = Stage::new(vec![queue("q", 1, 0, &[])], 80, 24);
    empty.keys("i");
    assert_eq!(empty.message(), "no job is selected");
}

#[test]
fn a_line_that_nobody_reads_is_told() {
    let mut scene = Scene::new();
    scene.stage.keys("i");
    drop(scene.line);
    scene.stage.keys("x");
    assert_eq!(scene.stage.message(), "#1: it can't be reached");
}

#[test]
fn the_job_is_told_how_large_it_is_shown() {
    let mut scene = Scene::new();
    let output = |scene: &Scene| {
        let area = scene.stage.screen.layout().output_text();
        WindowSize { columns: area.width, rows: area.height }
    };
    assert_eq!(scene.sizes(), [output(&scene)]);
    assert_eq!(scene.stage.store.lines().size(), output(&scene), "runs to come begin with it");
    scene.stage.resize(120, 40);
    assert_eq!(scene.sizes(), [output(&scene)]);
    scene.stage.keys("<Enter>");
    assert_eq!(scene.sizes(), [output(&scene)]);
    scene.stage.keys("jk?<Esc>");
    assert_eq!(scene.sizes(), [], "nothing has changed");
    // Another screen may have shown it since.
    scene.stage.keys("i");
    assert_eq!(scene.sizes(), [output(&scene)]);
}

#[test]
fn the_end_of_a_run_leaves_the_last_picture() {
    let mut scene = Scene::new();
    scene.stage.says(scene.job.1, "you\r\n\x1b[1mhello you\x1b[0m\r\n");
    assert!(scene.stage.text().contains("\n name? you\n hello you\n"), "{}", scene.stage.text());
    scene.stage.end(scene.job, Outcome::Succeeded);
    assert!(scene.stage.text().contains("\n name? you\n hello you\n"), "{}", scene.stage.text());
}
