//! Ten questions about a night of 25 queues and 5,000 runs, each answered with at most three keys.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use setlist::model::{
    Cause, CauseKind, Command, DesiredQueue, JobRef, MatrixValues, Need, Outcome, OutcomeCondition, RunReport,
    SchedulingOptions, TreeUsage, Usage, Value,
};
use setlist::store::log::{DiffLine, LineEquality, OutputDiff};
use setlist::tui::keys::KeyPress;
use setlist::tui::message::Message;

use crate::readme::{help_topic, read};

use super::harness::{ScreenHarness, failed, queue};

const JOBS: usize = 200;
/// In the order of the tabs. All jobs of the first 23 have finished in the morning.
const QUEUES: [&str; 25] = [
    "etl", "billing", "cache", "certs", "crawl", "deploy", "docs", "encode", "feeds", "geo", "images", "invoices",
    "mail", "media", "metrics", "mirror", "nightly", "orders", "search", "stats", "sweep", "tiles", "video", "backup",
    "archive",
];
const WEEK_SECONDS: i64 = 7 * 24 * 3_600;
const ERROR: &str = "connection to db-7 refused";

/// What a run of the night does.
struct NightRun {
    seconds: i64,
    mebibytes: u64,
    output: String,
    outcome: Outcome,
    value: Option<Value>,
}

impl NightRun {
    fn of(queue: &str, nth: usize) -> Self {
        let spread = (nth * 7 + queue.len() * 3) % 5;
        let usual = Self {
            seconds: 4 + i64::try_from(spread).unwrap(),
            mebibytes: 20 + u64::try_from(nth % 30).unwrap(),
            output: String::new(),
            outcome: Outcome::Succeeded,
            value: None,
        };
        match (queue, nth) {
            ("etl", 50) => {
                Self { output: format!("reading orders\n{ERROR}\n"), outcome: failed("exit code 7"), ..usual }
            }
            ("mail", 11) => Self { output: format!("retrying: {ERROR}\n"), ..usual },
            ("video" | "cache", 120) => Self { outcome: failed("exit code 1"), ..usual },
            ("media", 123) => Self { seconds: 11_820, ..usual },
            ("search", 77) => Self { mebibytes: 48 << 10, ..usual },
            ("sweep", 142) => Self { value: Some(json!({"loss": 0.017})), ..usual },
            ("sweep", _) => {
                Self { value: Some(json!({"loss": 0.2 + f64::from(u32::try_from(nth).unwrap())})), ..usual }
            }
            _ => usual,
        }
    }

    fn report(&self) -> RunReport {
        let usage = Usage {
            user: Duration::from_secs(1),
            system: Duration::ZERO,
            peak_memory: self.mebibytes << 20,
            is_peak_bound: false,
            io: None,
            tree: TreeUsage::default(),
        };
        let cause = self.output.contains(ERROR).then(|| Box::new(Cause::new(CauseKind::Exited, ERROR)));
        let cause = cause.filter(|_| self.outcome != Outcome::Succeeded);
        RunReport {
            cause,
            usage: Some(Box::new(usage)),
            value: self.value.clone(),
            ..RunReport::new(self.outcome.clone())
        }
    }
}

fn name(nth: usize) -> String {
    format!("job-{nth:03}")
}

/// `etl/job-051` needs 050 and is needed by 052. The jobs of `sweep` are a matrix.
fn queues() -> Vec<DesiredQueue> {
    let names: Vec<String> = (0..JOBS).map(name).collect();
    let jobs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &**name)).collect();
    let mut queues: Vec<DesiredQueue> = QUEUES.iter().zip(0..).map(|(id, order)| queue(id, 1, order, &jobs)).collect();
    for nth in [51, 52] {
        let need = JobRef::Named("etl".into(), Arc::from(name(nth - 1)));
        let needs = vec![Need { job: need, on: OutcomeCondition::Success }];
        let scheduling = SchedulingOptions { needs, ..SchedulingOptions::default() };
        Arc::make_mut(&mut queues[0].jobs[nth]).scheduling = Arc::new(scheduling);
    }
    let sweep = queues.iter_mut().find(|queue| queue.id.as_str() == "sweep").unwrap();
    for (nth, job) in sweep.jobs.iter_mut().enumerate() {
        let values = vec![("seed".into(), nth.to_string().into())];
        Arc::make_mut(job).matrix =
            Some(Arc::new(MatrixValues { entry: "train".into(), values, is_item: false, version: None }));
    }
    queues
}

/// The screen as it opens in the morning after the night, with `etl` also run a week before.
fn morning(width: u16, height: u16) -> ScreenHarness {
    let mut harness = ScreenHarness::new(queues(), width, height);
    harness.process("etl");
    for nth in 0..JOBS {
        let started = harness.start("etl");
        harness.advance_seconds(5);
        if nth == 50 {
            harness.print(started.1, "reading orders\n12 orders\n");
        }
        harness.end(started, Outcome::Succeeded);
    }
    harness.advance_seconds(WEEK_SECONDS);
    let etl: Vec<_> =
        harness.screen.queue().site().read(|site| site.queue(&"etl".into()).unwrap().finished.clone().into());
    let again: Vec<Command> = etl.into_iter().map(|job| Command::Reset { job }).collect();
    harness.execute_elsewhere(&again);
    for queue in QUEUES {
        harness.process(queue);
    }
    // One job of each queue after the other, as if they ran side by side. Two queues have not finished.
    for nth in 0..JOBS {
        for queue in QUEUES {
            let is_late = (queue == "backup" && nth >= 100) || (queue == "archive" && nth >= 190);
            if is_late || (queue == "etl" && nth >= 198) {
                continue;
            }
            let started = harness.start(queue);
            // The jobs that need the failed one are left out.
            let nth = if queue == "etl" && nth > 50 { nth + 2 } else { nth };
            let run = NightRun::of(queue, nth);
            harness.advance_seconds(run.seconds);
            if !run.output.is_empty() {
                harness.print(started.1, &run.output);
            }
            harness.end_report(started, run.report());
        }
    }
    harness.start("backup");
    harness.start("archive");
    harness
}

/// The questions with their keys, as `setlist help keys` has them.
const QUESTIONS: [(&str, &str); 10] = [
    ("Which queue ends last?", "bcc"),
    ("What was the slowest?", "0c"),
    ("What used the most memory?", "0cc"),
    ("What failed first?", "0FG"),
    ("Where does this error occur elsewhere?", "<^f><Enter>"),
    ("What does the output say that the run before didn't?", "="),
    ("What is blocked by what?", "m"),
    ("What waited for what?", "s"),
    ("What has changed since last week?", ","),
    ("Which run had the best value?", "0V"),
];

/// Presses the keys that answer a question, at most three.
#[track_caller]
fn ask(harness: &mut ScreenHarness, question: &str) -> String {
    let (_, keys) = QUESTIONS.iter().find(|(asked, _)| *asked == question).unwrap();
    let pressed = KeyPress::parse_sequence(keys).unwrap();
    assert!(pressed.len() <= 3, "{keys}");
    harness.keys(keys).text()
}

#[test]
fn the_help_has_the_questions_and_their_keys() {
    let help = read(&help_topic("keys"));
    for (question, keys) in QUESTIONS {
        let keys: Vec<String> = KeyPress::parse_sequence(keys).unwrap().iter().map(|key| format!("`{key}`")).collect();
        let row = format!("| {question} | {} |", keys.join(" "));
        assert!(help.contains(&row), "{row}");
    }
}

/// The first row below the line that contains `heading`.
#[track_caller]
fn first_below(text: &str, heading: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains(heading));
    assert!(lines.next().is_some(), "{heading} in\n{text}");
    lines.next().unwrap_or_default().to_owned()
}

#[track_caller]
fn assert_has(line: &str, parts: &[&str], text: &str) {
    for part in parts {
        assert!(line.contains(part), "{part} in {line:?} of\n{text}");
    }
}

#[test]
fn ten_questions_are_answered_with_three_keys_each() {
    let mut harness = morning(120, 40);
    let text = harness.text();
    assert!(text.contains("─ Queues 25"), "it opens with the overview: {text}");
    harness.keys("<Esc>");

    let text = ask(&mut harness, "Which queue ends last?");
    assert_has(&text, &["most time left first"], &text);
    assert_has(&first_below(&text, " Queue "), &["backup", "~"], &text);

    let text = ask(&mut harness, "What was the slowest?");
    assert_has(&first_below(&text, "Finished"), &["media ", " job-123", "3h 17m"], &text);

    harness.keys("cccccc");
    let text = ask(&mut harness, "What used the most memory?");
    assert_has(&first_below(&text, "Finished"), &["search ", " job-077", "48 GiB"], &text);
    harness.keys("ccccc");

    let text = ask(&mut harness, "What failed first?");
    let finished: Vec<&str> = text.lines().skip_while(|line| !line.contains("─ Finished")).skip(1).take(3).collect();
    assert_has(finished[2], &["›", "etl ", " job-050", "exit code 7"], &text);

    ask(&mut harness, "Where does this error occur elsewhere?");
    let text = harness.wait_for_text("2 lines");
    assert_has(&text, &["mail/job-011:1:1", "etl/job-050:2:2"], &text);
    harness.keys("<Esc>");

    ask(&mut harness, "What does the output say that the run before didn't?");
    let [mut old, mut new] = harness.compared.take().unwrap();
    let diff = OutputDiff::new(&mut old, &mut new, LineEquality::Exact).unwrap();
    let mut lines = Vec::new();
    diff.visit_lines(&mut old, &mut new, &mut |line| {
        match line {
            DiffLine::Removed(line) => lines.push(format!("-{line}")),
            DiffLine::Added(line) => lines.push(format!("+{line}")),
            DiffLine::Group { .. } | DiffLine::Same(_) => {}
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(lines, ["-12 orders".to_owned(), format!("+{ERROR}")]);

    let text = ask(&mut harness, "What is blocked by what?");
    assert_has(&text, &["─ Needs · job etl/job-050", "blocks 2 jobs", "job-051", "job-052"], &text);
    harness.keys("<Esc>F");

    let text = ask(&mut harness, "What waited for what?");
    assert_has(&text, &["─ Timeline · all queues", "Critical path"], &text);
    harness.keys("<Esc>");

    let text = ask(&mut harness, "What has changed since last week?");
    assert_has(&text, &["─ Changes · since 1 week ago · all queues", "1 fail now"], &text);
    assert_has(&first_below(&text, "Change  "), &["✗", "etl/job-050", "fails now", "5.0s", "exit code 7"], &text);
    harness.keys("<Esc>");

    // Which run had the best value?
    let text = ask(&mut harness, "Which run had the best value?");
    assert_has(&text, &["─ Results · sweep/train", "lowest loss first"], &text);
    assert_has(&first_below(&text, "seed"), &["142", "0.017"], &text);
}

#[test]
fn keys_that_are_typed_right_after_a_filter_act_on_what_it_finds() {
    let mut harness =
        ScreenHarness::new(vec![queue("line", 1, 0, &[("a", "One"), ("b", "Two"), ("c", "Three")])], 120, 40);
    harness.process("line");
    for job in 0..2 {
        harness.run("line", 30 + job, failed("exit code 1"));
    }
    harness.start("line");
    for key in KeyPress::parse_sequence("0FG").unwrap() {
        harness.screen.handle(Message::Key(key), harness.now);
    }
    harness.send(Message::Tick);
    let text = harness.text();
    assert!(text.lines().any(|line| line.starts_with("›✗") && line.contains("One")), "{text}");
}
