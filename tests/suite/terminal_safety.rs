//! Whatever names, paths, titles and messages contain, the command line prints no escape sequences, control characters or
//! changes of direction.

use std::fs;
use std::path::Path;
use std::process::Command;

use setlist::text;

use crate::temp_site::{CommandOutput, SETLIST, TempSite};

/// A window title, a cursor move, a C1 control sequence, a change of direction and an invisible character.
const HOSTILE: &str = "a\u{1b}]0;title\u{7}b\u{1b}[2Jc\u{9b}31md\u{202e}e\u{200b}f";

fn run(site: &TempSite, folder: &Path, args: &[&str]) -> CommandOutput {
    let mut command = Command::new(SETLIST);
    site.set_environment(&mut command);
    command.current_dir(folder).args(args);
    CommandOutput::from_output(&command.output().unwrap())
}

/// Asserts that nothing printed is interpreted by a terminal.
#[track_caller]
fn assert_safe(args: &[&str], output: &CommandOutput) {
    for stream in [&output.stdout, &output.stderr] {
        let unsafe_char = stream.chars().find(|c| *c != '\n' && (c.is_control() || text::cells(*c).is_none()));
        assert_eq!(unsafe_char, None, "setlist {args:?}: {stream:?}");
    }
}

/// A text as a double-quoted YAML scalar in which everything unusual is escaped.
fn quoted(text: &str) -> String {
    let escaped = |c: char| {
        if c == ' ' || c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) }
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[test]
fn diagnostics_are_safe() {
    for jobs in [
        format!("queues:\n  q:\n    - {{{}: x, run: x}}\n", quoted(HOSTILE)),
        format!("queues:\n  q:\n    - {{id: a, run: x, needs: {}}}\n", quoted(HOSTILE)),
        format!("queues:\n  q:\n    - {{id: a, run: x, timeout: {}}}\n", quoted(HOSTILE)),
        format!("queues:\n  q:\n    - {{id: a, run: x, env_file: {}}}\n", quoted(HOSTILE)),
        format!("queues:\n  q: [ # {}\u{85}\n", HOSTILE.replace('\u{7}', "")),
        "queues:\n  q: [x\u{9b}31m, \u{202e}y]\n  ]".to_owned(),
    ] {
        let site = TempSite::with(&jobs);
        for args in [&["check"][..], &["check", "--json"], &["list"], &["process"]] {
            assert_safe(args, &site.run(args));
        }
    }
}

#[test]
fn the_names_of_folders_are_safe() {
    let site = TempSite::empty();
    let folder = site.join(&HOSTILE.replace('/', ""));
    fs::create_dir(&folder).unwrap();
    for args in [
        &["status"][..],
        &["process"],
        &["init"],
        &["init"],
        &["check"],
        &["status", "--all"],
        &["worker", "--exit-when-idle"],
    ] {
        assert_safe(args, &run(&site, &folder, args));
    }
    fs::write(folder.join("jobs.yaml"), "queues: 7\n").unwrap();
    for args in [
        &["status"][..],
        &["check"],
        &["add", "q", "--", "true"],
        &["show", "x"],
        &["-f", HOSTILE, "list"],
        &["-f", HOSTILE, "check"],
    ] {
        assert_safe(args, &run(&site, &folder, args));
    }
}

#[test]
fn titles_names_values_and_the_last_lines_of_hooks_are_safe() {
    let hook = "printf 'x\\033]0;t\\007y\\302\\233 31m\\342\\200\\256z\\n'; exit 3";
    let jobs = format!(
        "queues:\n  q:\n    title: {title}\n    jobs:\n      - {{id: a, title: {title}, run: {run}, \
         tags: [{title}], on_finish: {hook}, env: {{X: {title}}}}}\n      - {{id: b, run: {title}}}\n",
        title = quoted(HOSTILE),
        hook = quoted(hook),
        run = quoted("printf 'v\\033[2Jw\\302\\233x'"),
    );
    let site = TempSite::with(&jobs);
    for args in [
        &["check"][..],
        &["list"],
        &["process", "--dry-run"],
        &["process"],
        &["list"],
        &["show", "a"],
        &["show", "b"],
        &["status"],
        &["retry", HOSTILE],
        &["status", HOSTILE],
        &["add", "q", "--", "echo", HOSTILE],
        &["add", "--title", HOSTILE, "q", "--", "true"],
        &["list", "--json"],
        &["list", "-q", HOSTILE],
        &["move", HOSTILE, "--first"],
        &["wait", HOSTILE],
        &["log", HOSTILE],
        &[HOSTILE],
        &["process", HOSTILE],
    ] {
        assert_safe(args, &site.run(args));
    }
    let title = site.job("a")["title"].clone();
    assert_eq!(title, HOSTILE, "JSON keeps the exact text");
    let log = site.read(".setlist/worker.log");
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log:?}");
}

#[test]
fn the_command_line_prints_only_through_safe_output() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "rs") || file.ends_with("safe_output.rs") {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap().replace("rustix::stdio", "");
        for bypass in ["io::stdout", "io::stderr", "println!", "print!(", "dbg!", "/dev/tty"] {
            assert!(!source.contains(bypass), "{} uses {bypass}: use safe_output", file.display());
        }
    }
}
