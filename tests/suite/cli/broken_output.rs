//! Outputs that are full or closed, and command lines that make no sense.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::{CommandOutput, TempSite, wait_for};

const SITE: &str = "queues: {q: [{id: a, run: echo done}, {id: b, run: 'true'}]}\n";

fn full(site: &TempSite, args: &[&str]) -> CommandOutput {
    let out = OpenOptions::new().write(true).open("/dev/full").unwrap();
    CommandOutput::from_output(&site.command(args).stdout(out).output().unwrap())
}

#[test]
fn a_full_output_is_an_error_after_the_command_is_carried_out() {
    let site = TempSite::with(SITE);
    let no_room = "setlist: cannot write the output: No space left on device (os error 28)\n";
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["status"],
        &["check"],
        &["schema"],
        &["--help"],
        &["add", "--help"],
        &["--version"],
        &["completions", "bash"],
        &["man"],
        &["show", "q/a"],
        &["process", "--dry-run"],
    ] {
        let output = full(&site, args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(1), no_room), "{args:?}");
    }
    let added = full(&site, &["add", "q", "--", "true"]);
    let done = "setlist: what was asked for has been done all the same: don't repeat it\n";
    assert_eq!((added.code, added.stderr), (Some(1), format!("{no_room}{done}")));
    assert_eq!(site.ok(&["list"]).lines().count(), 3, "the job was added");
    assert_eq!(full(&site, &["retry", "q/a"]).code, Some(1));
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(full(&site, &["log", "q/a"]).code, Some(1));
    // The exit code is that of the jobs.
    let processed = full(&site, &["process"]);
    assert_eq!(processed.code, Some(0));
    assert!(processed.stderr.contains("cannot write the output: No space left on device"), "{processed:?}");
    assert_eq!(site.job("q/b")["outcome"], json!("succeeded"), "it is processed all the same");
    assert_eq!(full(&site, &["run", "--follow", "sh", "-c", "echo printed; exit 7"]).code, Some(7));
}

#[test]
fn a_reader_that_stops_reading_holds_back_no_job() {
    // More lines than a pipe holds.
    let name = "j".repeat(180);
    let job = format!("{{id: {name}, for_each: 1..400, command: ['true']}}");
    let site = TempSite::with(&format!("queues: {{q: {{parallel: 4, jobs: [{job}]}}}}\n"));
    let last = format!("q/{name}[400]");
    let start = |args: &[&str]| site.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut process = start(&["process"]);
    site.wait_until(&last, |job| job["outcome"] == json!("succeeded"));
    let mut printed = String::new();
    process.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!((process.wait().unwrap().code(), printed.lines().count()), (Some(0), 401));
    // A signal ends the command, although its output is not read.
    let mut process = start(&["process", "--again"]);
    site.wait_until(&last, |job| job["run_count"] == json!(2) && job["outcome"] == json!("succeeded"));
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130));
    let jobs = site.ok(&["list", "--json"]);
    assert_eq!(jobs.lines().filter(|job| job.contains("\"outcome\":\"succeeded\"")).count(), 400);
}

#[test]
fn a_closed_pipe_ends_output_without_an_error() {
    let site = TempSite::with(SITE);
    let many = "echo again\n".repeat(5_000);
    let mut add = site.command(&["add", "q", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(many.as_bytes()).unwrap();
    assert!(add.wait().unwrap().success());
    for args in ["list", "list --json", "process --dry-run", "--help", "schema", "man"] {
        let shell = format!("set -o pipefail; \"$SETLIST\" {args} | head -1");
        let mut command = std::process::Command::new("bash");
        site.set_environment(&mut command);
        let printed = command.args(["-c", &shell]).env("SETLIST", crate::temp_site::SETLIST).output().unwrap();
        let printed = CommandOutput::from_output(&printed);
        assert_eq!(
            (printed.code, printed.stderr.as_str(), printed.stdout.lines().count()),
            (Some(0), "", 1),
            "{args}: {printed:?}"
        );
    }
}

#[test]
fn all_invalid_lines_are_reported() {
    let site = TempSite::with(SITE);
    let add = |text: &[u8]| {
        let mut command = site.command(&["add", "q", "--stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        CommandOutput::from_output(&child.wait_with_output().unwrap())
    };
    let output = add(b"echo a\n\xff\n\necho \0\n  echo b");
    let expected = "setlist: nothing was added\nline 2: not valid UTF-8\nline 4: a script can't contain a NUL byte\n";
    assert_eq!((output.code, output.stderr.as_str()), (Some(2), expected));
    let output = add(&b"\xff\n".repeat(13));
    assert!(output.stderr.ends_with("line 10: not valid UTF-8\n3 more lines are invalid\n"), "{output:?}");
    assert_eq!(site.ok(&["list"]).lines().count(), 2);
    assert_eq!(add(b"echo a\n\n  echo b").stdout, "#3\n#4\n");
}

/// More is coming than there is room for: it is refused before it is all read.
#[test]
fn an_endless_input_is_refused() {
    let site = TempSite::with(SITE);
    for (line, last) in [("echo endless\n", 250_001), ("endless ", 1)] {
        let mut command = site.command(&["add", "q", "--stdin"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let text = line.repeat(10_000);
        while input.write_all(text.as_bytes()).is_ok() {}
        let output = CommandOutput::from_output(&child.wait_with_output().unwrap());
        assert_eq!(output.code, Some(2));
        let expected = format!("line {last}: too much input: at most 250000 jobs and 64 MiB can be added at once");
        assert!(output.stderr.contains(&expected), "{output:?}");
    }
    assert_eq!(site.ok(&["list"]).lines().count(), 2);
}

/// As packages install it: zsh reads the file when completion is first asked for.
#[test]
fn zsh_completes_at_the_first_key() {
    let site = TempSite::with(SITE);
    if !std::path::Path::new("/usr/bin/zsh").exists() {
        return;
    }
    std::fs::create_dir(site.join("functions")).unwrap();
    site.write("functions/_setlist", &site.ok(&["completions", "zsh"]));
    let script = "\
zmodload zsh/zpty
zpty z 'zsh -f -i'
zpty -w z 'fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D; PS1=; print -r re\"\"ady'
zpty -r -m z seen '*ready*'
zpty -w -n z $'setlist show q\\t'
zpty -r -m z seen '*show q/*'
print -r -- \"$seen\" > seen
zpty -d z
";
    let path = format!(
        "{}:{}",
        std::path::Path::new(crate::temp_site::SETLIST).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = std::process::Command::new("zsh");
    site.set_environment(&mut command);
    let mut child = command
        .args(["-f", "-c", script])
        .env("PATH", path)
        .env("TERM", "xterm")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("zsh to complete", || child.try_wait().unwrap());
    assert!(site.read("seen").contains("show q/"), "{:?}", site.read("seen"));
}
