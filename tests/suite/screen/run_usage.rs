//! What running jobs use: in the list where there is room, and in the details.

use std::time::Duration;

use setlist::model::LiveUsage;
use setlist::tui::message::Message;

use super::harness::{ScreenHarness, queue};

fn usage() -> LiveUsage {
    LiveUsage { cpu: Duration::from_millis(3200), cpu_percent: Some(185), memory: 120 << 20, processes: 3 }
}

#[test]
fn the_list_and_the_details_show_it_while_a_job_runs() {
    let jobs = [("a", "Encode the film"), ("b", "Encode another film")];
    let mut harness = ScreenHarness::new(vec![queue("films", 2, 0, &jobs)], 200, 60);
    harness.process("films");
    let (first, second) = (harness.start("films"), harness.start("films"));
    harness.append_output(first.1, "frame 1\n");
    harness.advance_seconds(1);
    harness.send(Message::UsageSeen([(first.1, usage())].into()));
    let text = harness.text();
    let row = |name: &str| {
        text.lines()
            .find(|line| line.contains('▸') && line.contains(name))
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    assert!(row("Encode the film").contains("185% CPU   120 MiB      8 B out"), "{text}");
    assert!(!row("Encode another film").contains("CPU"), "nothing is known of it:\n{text}");
    let end = |name: &str| row(name).find(" out ").map(|at| row(name)[..at].chars().count());
    assert_eq!(end("Encode the film"), end("Encode another film"), "{text}");
    assert!(text.contains("Uses   185% CPU, 120 MiB memory, 8 B output"), "{text}");
    harness.end(first, setlist::model::Outcome::Succeeded);
    harness.end(second, setlist::model::Outcome::Succeeded);
    assert!(!harness.text().contains("185%"), "{}", harness.text());
}

#[test]
fn short_titles_leave_room_for_it_beside_a_script_that_has_none() {
    let script = "x".repeat(90);
    for (title, width, height) in [("Idle", 120, 40), (&*script, 200, 60)] {
        let mut harness = ScreenHarness::new(vec![queue("q", 2, 0, &[("a", "Spin"), ("b", title)])], width, height);
        harness.process("q");
        let runs = [harness.start("q").1, harness.start("q").1];
        harness.send(Message::UsageSeen(runs.map(|run| (run, usage())).into()));
        let text = harness.text();
        let row = text.lines().find(|line| line.contains('▸') && line.contains("Spin")).unwrap();
        assert!(row.contains("185% CPU   120 MiB"), "{width}x{height}:\n{text}");
    }
}

#[test]
fn a_title_is_not_cut_for_it() {
    let title = "A long title that leaves no room for other columns";
    for (width, height) in [(80, 24), (120, 40), (200, 60), (250, 80)] {
        let mut harness = ScreenHarness::new(vec![queue("q", 1, 0, &[("a", title)])], width, height);
        harness.process("q");
        let (_, run) = harness.start("q");
        harness.send(Message::UsageSeen([(run, usage())].into()));
        let text = harness.text();
        let is_row = |line: &&str| line.contains('▸') && line.contains("A long title");
        let row = text.lines().find(is_row).unwrap_or_else(|| panic!("{text}"));
        assert!(row.contains(title) || !row.contains("CPU"), "{width}x{height}:\n{text}");
        assert!(row.contains(title) || width == 80, "{width}x{height}:\n{text}");
        if width < 200 {
            harness.keys("v");
            let text = harness.text();
            assert!(text.contains("185% CPU"), "{width}x{height}:\n{text}");
        }
    }
}
