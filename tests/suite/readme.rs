//! What the README and the help topics show is true: the screen, the diagnosis and the key table come from the program,
//! the examples are valid, and the tour works.
//!
//! `UPDATE_README=1 cargo test --test suite readme::` writes the drawn parts anew.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use setlist::model::Outcome;
use setlist::tui::action::{Group, TABLE};

use crate::screen::harness::{ScreenHarness, failed, queue};
use crate::temp_site::TempSite;

const README: &str = "README.md";

pub(crate) fn help_topic(name: &str) -> String {
    format!("src/cli/help/{name}.md")
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Compares a part of a document, between `<!-- name -->` and `<!-- /name -->`, with what it should be.
#[track_caller]
fn shows(document: &str, name: &str, expected: &str) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (shown, after) = rest.split_once(&format!("<!-- /{name} -->\n")).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{before}<!-- {name} -->\n{expected}<!-- /{name} -->\n{after}")).unwrap();
    } else {
        assert_eq!(shown, expected, "the {name} of {document} is out of date: see the top of this file");
    }
}

/// The first block of code in this language after `mark`.
pub(crate) fn block(document: &str, mark: &str, language: &str) -> String {
    let text = read(document);
    let (_, after) = text.split_once(mark).unwrap();
    let (_, code) = after.split_once(&format!("```{language}\n")).unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_screen() {
    let jobs = [
        ("fetch", "Fetch sources"),
        ("lint", "Lint"),
        ("unit", "Unit tests"),
        ("e2e", "End-to-end tests"),
        ("docs", "Documentation"),
        ("package", "Package"),
        ("upload", "Upload"),
    ];
    let nightly = [("backup", "Back up"), ("report", "Report")];
    let mut harness = ScreenHarness::new(vec![queue("build", 2, 0, &jobs), queue("nightly", 1, 1, &nightly)], 80, 24);
    harness.keys("p");
    harness.run("build", 3, Outcome::Succeeded);
    harness.run("build", 8, failed("exit code 1"));
    let unit = harness.start("build");
    harness.advance_seconds(2);
    harness.start("build");
    harness.print(unit.1, "running 258 tests\n........................................ 40/258\n");
    harness.advance_seconds(5);
    shows(README, "screen", &format!("```text\n{}\n```\n", harness.text()));
}

#[test]
fn the_keys() {
    let mut table = String::from("| key | does |\n|---|---|\n");
    for group in [Group::Jobs, Group::Move, Group::Output, Group::Screen] {
        let mut entries = TABLE.iter().filter(|entry| entry.group == group).peekable();
        while let Some(entry) = entries.next() {
            let mut keys = entry.keys.to_vec();
            // Neighbouring rows with the same text share a line, as in the help.
            while let Some(next) = entries.next_if(|next| next.help == entry.help) {
                keys.extend(next.keys);
            }
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            let _ = writeln!(table, "| {} | {} |", keys.join(" "), entry.help);
        }
    }
    shows(&help_topic("keys"), "keys", &table);
}

#[test]
fn the_diagnosis() {
    let site =
        TempSite::with("queues:\n  build:\n    paralel: 2\n    jobs:\n      - {run: make, timeout: 10 parsecs}\n");
    let output = site.run(&["check", "jobs.yaml"]);
    assert_eq!(output.code, Some(2));
    shows(&help_topic("jobs.yaml"), "diagnosis", &format!("```text\n{}```\n", output.stderr));
}

#[test]
fn the_example_of_a_file_is_good() {
    for (document, mark) in [(README, "## jobs.yaml"), (&help_topic("jobs.yaml"), "# The file")] {
        let site = TempSite::with(&block(document, mark, "yaml"));
        assert_eq!(site.ok(&["check"]), "jobs.yaml: 2 queues, 5 jobs\n");
    }
}

#[test]
fn our_own_file_is_good() {
    let site =
        TempSite::with(&fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("jobs.yaml")).unwrap());
    site.ok(&["check"]);
}

#[test]
fn the_example_of_the_library_is_the_tested_one() {
    let lib = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let tested: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("//! ")).collect();
    let shown = block(README, "## As a library", "rust");
    for line in shown.lines().filter(|line| !line.is_empty()) {
        assert!(tested.contains(&line), "not in the example of lib.rs: {line}");
    }
}

#[test]
fn the_tour_can_be_walked() {
    let site = TempSite::empty();
    for line in block(README, "## Five minutes", "sh").lines() {
        let words = shlex::split(line.split(" #").next().unwrap()).unwrap();
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(args[0], "setlist", "{line}");
        let output = site.run(&args[1..]);
        // The screen needs a terminal, and is tested in one.
        let expected = if args.len() == 1 { 2 } else { 0 };
        assert_eq!(output.code, Some(expected), "{line}: {output:?}");
    }
}

#[test]
fn the_demo_shows_every_field() {
    let topic = read(&help_topic("jobs.yaml"));
    let demo = read("jobs.yaml");
    setlist::definition::parse("jobs.yaml", &demo).unwrap();
    let (_, demo) = demo.split_once("\n  demo:\n").unwrap();
    let (demo, _) = demo.split_once("\n  check:\n").unwrap();
    let (_, table) = topic.split_once("| field of a job |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let fields = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    // A schedule would start a job without being asked, and leave a worker, as would an expectation.
    let fields = fields.filter(|field| !matches!(*field, "schedule" | "expect" | "on_overdue"));
    let fields = fields.filter(|field| !field.contains(' '));
    for field in fields.chain(["parallel", "keep"]) {
        assert!(demo.contains(&format!("{field}: ")) || demo.contains(&format!("{field}:\n")), "{field}");
    }
}

/// The tables of the topic: for each tool, the commands by task.
fn commands_of_tools() -> Vec<(String, Vec<(String, String)>)> {
    let topic = read(&help_topic("other-tools"));
    let tables = topic.split("| task | ").skip(1).map(|table| {
        let (tool, rows) = table.split_once(" |\n|---|---|\n").unwrap();
        let rows = rows.lines().take_while(|line| line.starts_with('|')).map(|row| {
            let (task, command) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
            (task.to_owned(), command.trim_matches('`').replace("\\|", "|"))
        });
        (tool.to_owned(), rows.collect())
    });
    tables.collect()
}

#[test]
fn the_words_beside_other_tools_are_counted() {
    let tools = commands_of_tools();
    assert_eq!(tools.len(), 5);
    let words = |command: &str| command.split_whitespace().filter(|word| !["|", "&"].contains(word)).count();
    let mut table =
        String::from("| task | Setlist | words | ts | pueue | parallel | cron |\n|---|---|--:|--:|--:|--:|--:|\n");
    for (task, command) in &tools[0].1 {
        let of_tool = |(_, rows): &(String, Vec<(String, String)>)| {
            let found = rows.iter().find(|(other, _)| other == task);
            found.map_or_else(|| "–".to_owned(), |(_, command)| words(command).to_string())
        };
        let others: Vec<String> = tools[1..].iter().map(of_tool).collect();
        let _ = writeln!(table, "| {task} | `{command}` | {} | {} |", words(command), others.join(" | "));
    }
    shows(README, "words", &table);
    let tasks: Vec<&String> = tools[0].1.iter().map(|(task, _)| task).collect();
    assert!(tools.iter().flat_map(|(_, rows)| rows).all(|(task, _)| tasks.contains(&task)), "{tools:?}");
}

#[test]
fn what_is_typed_in_setlist_works() {
    let site = TempSite::with("queues: {}\n");
    fs::create_dir(site.join("bin")).unwrap();
    site.script("bin/make", "echo made");
    site.script("bin/notify-send", "echo \"$1\" > notified");
    let lines: Vec<String> = (1..200).map(|n| format!("echo {n}")).chain(["echo broken; exit 3".to_owned()]).collect();
    site.write("list.txt", &(lines.join("\n") + "\n"));
    let commands = commands_of_tools().remove(0).1;
    let typed = |task: &str, code: i32| {
        let (_, command) = commands.iter().find(|(known, _)| known == task).unwrap();
        let mut shell = std::process::Command::new("sh");
        site.set_environment(&mut shell);
        let program = std::path::Path::new(crate::temp_site::SETLIST).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        shell.env("PATH", format!("{}:{}:{path}", site.join("bin").display(), program.display()));
        let output = shell.args(["-c", command]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    typed("one command", 0);
    assert_eq!(typed("200 from a file", 0).lines().count(), 200);
    // One of them fails.
    typed("wait", 1);
    let list = site.ok(&["list", "--json"]);
    assert_eq!(list.matches("\"succeeded\"").count(), 1 + 199, "{list}");
    assert_eq!(typed("output of the failed one", 0), "broken\n");
    typed("notify", 0);
    crate::temp_site::wait_for("the notification", || (site.read("notified") == "succeeded\n").then_some(()));
    site.script("bin/make", "sleep 1000");
    typed("one command", 0);
    site.wait_until("@last", |job| job["state"] == "running");
    typed("kill", 0);
    site.wait_until("@last", |job| job["outcome"] == "cancelled");
    assert_eq!(typed("change parallelism", 0), "work  runs up to 3 jobs at once\n");
    typed("tail several", 0);
    assert_eq!(commands.len(), 8);
}

#[test]
fn every_topic_is_printed_and_has_a_manual_page() {
    let site = TempSite::empty();
    let list = site.ok(&["help"]);
    let (_, topics) = list.split_once("Topics (`setlist help TOPIC`):\n").unwrap();
    let names: Vec<&str> = topics.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let in_folder = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/help")).unwrap().count();
    assert_eq!(names.len(), in_folder, "{names:?}");
    site.ok(&["man", "--dir", "share/man1"]);
    let readme = read(README);
    for name in names {
        let text = site.ok(&["help", name]);
        assert!(!text.contains("```") && !text.contains("<!--") && !text.contains("|---"), "{text}");
        assert!(
            text.lines().filter(|line| !line.starts_with("    ")).all(|line| line.chars().count() <= 125),
            "{text}"
        );
        assert!(site.ok(&["man", name]).contains(".SH DESCRIPTION"), "{name}");
        assert!(site.join(&format!("share/man7/setlist-{name}.7")).exists(), "{name}");
        assert!(readme.contains(&format!("[`setlist help {name}`](src/cli/help/{name}.md)")), "{name}");
    }
    // A command's help is the same as with --help, and a wrong name gets the right one.
    assert_eq!(site.ok(&["help", "wait"]), site.ok(&["wait", "--help"]));
    for (wrong, right) in [
        ("filter", "help filters"),
        ("kill", "cancel --kill"),
        ("parallell", "help parallel`"),
        ("zzz", "what-happens"),
    ] {
        let output = site.run(&["help", wrong]);
        assert!(output.code == Some(2) && output.stderr.contains(right), "{output:?}");
    }
}

#[test]
fn the_fields_of_json_are_documented() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    let topic = site.ok(&["help", "json"]);
    let words: Vec<&str> = topic.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for args in [&["show", "q/a", "--json"][..], &["status", "--json"]] {
        let object: serde_json::Value = serde_json::from_str(&site.ok(args)).unwrap();
        for field in object.as_object().unwrap().keys() {
            assert!(words.contains(&field.as_str()), "{field} is not documented");
        }
    }
}

/// The file in which the commands of the topic `from` are run.
const BEFORE: &str = "\
queues:
  build:
    inputs: {CFLAGS: -O1}
    jobs:
      - {id: configure, run: 'true'}
      - {id: app, run: touch app, needs: configure, sources: main.c, outputs: app}
";

/// A file with these fields of a job, of a queue or of the file.
fn file_with(fields: &str, place: &str) -> String {
    let run = if ["run:", "command:"].iter().any(|field| fields.contains(field)) { "" } else { "run: 'true', " };
    let job = if place.contains("of") { "" } else { fields };
    let queue = if place.contains("of a queue") { format!("    {fields}\n") } else { String::new() };
    let file = if place.contains("of the file") && !fields.starts_with("uses") { fields } else { "" };
    format!(
        "{file}\npools: {{gpu: 2}}\nqueues:\n  q:\n{queue}    jobs:\n      - {{id: build, run: echo built}}\n      \
         - {{id: x, {run}{}}}\n",
        if fields.starts_with("uses") { fields } else { job }
    )
}

/// Every line of the topic works: its commands, one after the other, and its fields, each in a file of its own.
#[test]
fn what_does_the_same_as_another_tool_works() {
    let topic = read(&help_topic("from"));
    let rows = topic.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| in ")).map(|line| {
        let cells = line.trim_matches(['|', ' ']).split(" | ").collect::<Vec<_>>();
        assert_eq!(cells.len(), 2, "{line}");
        cells[1].to_owned()
    });
    let shell = |site: &TempSite, command: &str| {
        let mut shell = std::process::Command::new("sh");
        site.set_environment(&mut shell);
        let program = std::path::Path::new(crate::temp_site::SETLIST).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        shell.env("PATH", format!("{}:{}:{path}", site.join("bin").display(), program.display()));
        shell.args(["-c", command]).output().unwrap()
    };
    let prepare = |file: &str| {
        let site = TempSite::with(file);
        fs::create_dir(site.join("bin")).unwrap();
        fs::create_dir(site.join("web")).unwrap();
        site.script("bin/make", "echo made");
        site.script("bin/notify-send", "echo \"$1\" >> notified");
        for (name, text) in [("list.txt", "echo 1\necho 2\n"), ("main.c", ""), ("report.txt", ""), ("a.log", "log")] {
            site.write(name, text);
        }
        site.write("shared.yaml", "queues: {shared: ['true']}\n");
        site
    };
    let site = prepare(BEFORE);
    let (mut commands, mut files) = (0, 0);
    for row in rows {
        let parts: Vec<&str> = row.split('`').collect();
        let place = parts.iter().skip(2).step_by(2).copied().collect::<String>();
        for code in parts.iter().skip(1).step_by(2) {
            if code.starts_with("setlist ") {
                let output = shell(&site, code);
                assert!(output.status.success(), "{code}: {output:?}");
                commands += 1;
            } else if !code.starts_with("pools:") {
                let own = prepare(&file_with(code, &place));
                own.ok(&["check"]);
                // A job with a schedule waits for its time.
                if !code.starts_with("schedule:") {
                    let output = own.run(&["process", "--yes", "--quiet"]);
                    assert_eq!(output.code, Some(0), "{code}: {output:?}");
                }
                files += 1;
            }
        }
    }
    assert!(commands >= 40 && files >= 25, "{commands} commands, {files} files");
    // One of the jobs may still be running.
    site.run(&["wait", "--timeout", "30s"]);
}
