//! Completion in real shells: a name is completed quoted or not at all, so that Tab and Enter never run it.

use std::path::Path;
use std::process::Command;

use portable_pty::CommandBuilder;

use crate::temp_site::{SETLIST, TempSite, wait_for};
use crate::terminal::Terminal;

/// Names that would run a command if a shell inserted them unquoted, the first words of which differ.
const JOBS: &str = r#"
queues:
  safe:
    jobs:
      - {id: "deploy;touch${IFS}injected", run: "true"}
      - {id: "publish$(touch${IFS}injected)", run: "true"}
      - {id: "build`touch${IFS}injected`", run: "true"}
      - {id: "it's|touch&injected>injected", run: "true"}
      - {id: "star*?[a-z]{x,y}\"~#!\\", run: "true"}
      - {id: "über-grüße", run: "true"}
"#;

/// A shell with the arguments that keep it from reading the user's settings, and the lines that set up completion.
struct Shell {
    name: &'static str,
    args: &'static [&'static str],
    set_up: &'static str,
    /// Completes a word, and accepts the candidate.
    complete: &'static str,
}

const SHELLS: [Shell; 4] = [
    Shell {
        name: "bash",
        args: &["--norc", "--noprofile", "-i"],
        set_up: "source <(setlist completions bash)\nbind 'set enable-bracketed-paste off'\n",
        complete: "\t",
    },
    Shell {
        name: "zsh",
        args: &["-f", "-i"],
        set_up: "autoload -Uz compinit; compinit -u -D\nsource <(setlist completions zsh)\n",
        complete: "\t",
    },
    Shell { name: "fish", args: &["--no-config", "-i"], set_up: "setlist completions fish | source\n", complete: "\t" },
    Shell { name: "elvish", args: &["-norc"], set_up: "eval (setlist completions elvish | slurp)\n", complete: "\t\n" },
];

/// Types each of these words in a shell, then Tab and Enter; returns what the terminal was sent.
fn complete_and_run(site: &TempSite, shell: &Shell, words: &[&str]) -> String {
    let mut command = CommandBuilder::new(shell.name);
    command.args(shell.args);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", Path::new(SETLIST).parent().unwrap().display()));
    command.env("HOME", site.path());
    command.env("PS1", "ready> ");
    let mut terminal = Terminal::run(site, command);
    terminal.keys(shell.set_up);
    let marked = |nth: usize| format!("done-{nth}");
    // The mark is typed in two parts, so that it appears only when the line is run.
    terminal.keys("echo done\"\"-0\n");
    terminal.wait_until("the shell to be set up", |_| terminal.raw().contains(&marked(0)));
    for (nth, word) in words.iter().enumerate() {
        terminal.keys(&format!("setlist {word}{}\n", shell.complete));
        terminal.keys(&format!("echo done\"\"-{}\n", nth + 1));
        terminal.wait_until(word, |_| terminal.raw().contains(&marked(nth + 1)));
    }
    let raw = terminal.raw();
    terminal.keys("exit\n");
    wait_for("the shell to leave", || terminal.child.try_wait().unwrap());
    raw
}

#[test]
fn a_name_is_never_run_by_completing_it() {
    for shell in &SHELLS {
        if Command::new(shell.name).arg("-c").arg("exit").output().is_err() {
            eprintln!("SKIPPED: {} is not installed", shell.name);
            continue;
        }
        let site = TempSite::with(JOBS);
        site.write("evil;touch${IFS}injected.yaml", JOBS);
        let words =
            ["log safe/de", "log safe/pu", "log safe/bu", "log safe/it", "log safe/st", "log safe/ü", "check ev"];
        let raw = complete_and_run(&site, shell, &words);
        assert!(!site.join("injected").exists() && !site.join("injected.yaml").exists(), "{}: {raw}", shell.name);
        // Each is completed to the name as it is: the program finds it.
        let has_not_run = raw.matches("has not run yet").count();
        assert_eq!(has_not_run, 6, "{}: {raw}", shell.name);
        assert!(raw.contains("injected.yaml: 1 queue, 6 jobs"), "{}: {raw}", shell.name);
    }
}

/// The names share a part with characters that are quoted: the second Tab completes what the first one inserted.
#[test]
fn bash_completes_behind_what_it_has_quoted() {
    let site = TempSite::with("queues: {files: [{id: lines, for_each: [alpha, beta], run: 'true'}]}\n");
    let raw = complete_and_run(&site, &SHELLS[0], &["log files/li\ta"]);
    assert!(raw.contains("files/lines[alpha] has not run yet"), "{raw}");
}
