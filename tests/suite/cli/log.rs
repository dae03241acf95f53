//! `setlist log`: one stream or both, with times or without, of what was kept.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use chrono::{DateTime, FixedOffset};
use rusqlite::{Connection, Row};
use serde_json::{Value, json};
use setlist::model::{RunId, Stream};
use setlist::store::log::{LogWriter, delete_output};

use crate::temp_site::{CommandOutput, TempSite};

/// What comes from both streams, in pieces that end anywhere.
const BOTH: &str = "\
queues:
  q:
    - {id: a, run: 'printf \"one\\ntw\"; printf \"E1\\n\\033[31mE\" >&2; printf \"o\\n\"; printf \"2\" >&2; exit 3'}
";

fn ran() -> TempSite {
    let site = TempSite::with(BOTH);
    assert_eq!(site.run(&["process"]).code, Some(1));
    site
}

/// Same with the output in files, as earlier versions left it.
fn ran_with_files() -> TempSite {
    let site = ran();
    let db = Connection::open(site.join(".setlist/state.db")).unwrap();
    let read = |row: &Row<'_>| Ok([row.get::<_, Vec<u8>>(0)?, row.get(1)?]);
    let parts = db.query_row("DELETE FROM outputs WHERE run = 1 RETURNING head, marks", (), read).unwrap();
    for (part, bytes) in ["log", "marks"].iter().zip(parts) {
        fs::write(site.join(&format!(".setlist/logs/1.{part}")), bytes).unwrap();
    }
    site
}

/// Lines apart from their times, of which the last field is the line itself.
fn timed(text: &str) -> Vec<(DateTime<FixedOffset>, &str)> {
    let parse = |line: &'_ str| -> (DateTime<FixedOffset>, usize) {
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), 29, "{line:?}");
        (time.parse().unwrap_or_else(|error| panic!("{line:?}: {error}")), line.len() - rest.len())
    };
    text.lines().map(|line| (parse(line).0, &line[parse(line).1..])).collect()
}

fn time(value: &Value) -> DateTime<FixedOffset> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn each_stream_can_be_printed_alone() {
    let site = ran();
    let bytes = |args: &[&str]| {
        let output = site.command(args).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        output.stdout
    };
    assert_eq!(bytes(&["log", "q/a", "--stderr"]), b"E1\n\x1b[31mE2");
    assert_eq!(bytes(&["log", "q/a", "--stdout"]), b"one\ntwo\n");
    assert_eq!(bytes(&["log", "q/a"]).len(), 18);
    assert_eq!(bytes(&["log", "q/a", "--stderr", "--run", "1"]), b"E1\n\x1b[31mE2");
    let both = site.run(&["log", "q/a", "--stderr", "--stdout"]);
    assert_eq!(both.code, Some(2), "{both:?}");
}

#[test]
fn timestamps_precede_each_line_in_local_time() {
    let site = ran();
    let job = site.job("q/a");
    let printed = CommandOutput::from_output(
        &site.command(&["log", "q/a", "-t", "--stdout"]).env("TZ", "XST-05:30").output().unwrap(),
    );
    let lines = timed(&printed.stdout);
    assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), ["one", "two"]);
    for (at, line) in lines {
        assert_eq!(at.offset().local_minus_utc(), 19_800);
        assert!(time(&job["started_at"]).timestamp_millis() <= at.timestamp_millis(), "{line} at {at}: {job}");
        assert!(at <= time(&job["runs"][0]["ended_at"]), "{line} at {at}: {job}");
    }
    let both = site.ok(&["log", "q/a", "--timestamps", "--stderr"]);
    assert_eq!(timed(&both).iter().map(|line| line.1).collect::<Vec<_>>(), ["E1", "\x1b[31mE2"]);
    assert_eq!(
        timed(&site.ok(&["log", "q/a", "-t"])).iter().map(|line| line.1).collect::<Vec<_>>().join("\n").len(),
        18
    );
}

#[test]
fn following_knows_streams_and_times_too() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'echo no; printf first >&2; while [ ! -e go ]; do sleep 0.01; done; echo no; echo last >&2'}\n",
    );
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    let mut follower = site.command(&["log", "-f", "-t", "--stderr", "q/a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(follower.stdout.take().unwrap());
    let mut begun = vec![0; 35];
    output.read_exact(&mut begun).unwrap();
    assert!(begun.ends_with(b" first"), "a line is seen before its end");
    site.write("go", "");
    let mut rest = String::new();
    output.read_line(&mut rest).unwrap();
    assert_eq!(rest, "last\n");
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn missing_information_of_an_old_log_is_reported() {
    let site = ran_with_files();
    fs::remove_file(site.join(".setlist/logs/1.marks")).unwrap();
    let output = site.run(&["log", "q/a", "--stderr"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""));
    assert!(
        output.stderr.contains("the streams of this log are unknown (it may be from an older setlist); without --stderr, all output is printed"),
        "{output:?}"
    );
    let output = site.run(&["log", "q/a", "--timestamps"]);
    assert!(output.stderr.contains("the times of this log are unknown"), "{output:?}");
    assert!(output.stdout.lines().all(|line| line.starts_with(&format!("{:<30}", "-"))), "{output:?}");
    assert_eq!(output.stdout.lines().map(|line| line[30..].len()).sum::<usize>(), 15);
    assert_eq!(site.run(&["log", "q/a"]).stderr, "");
}

#[test]
fn omitted_output_is_reported_in_its_place() {
    let site = ran();
    let folder = site.join(".setlist/logs");
    let mut log = LogWriter::new(folder.clone(), RunId(1), 4096);
    let now = chrono::Utc::now();
    log.write(Stream::Err, b"first\n", now).unwrap();
    log.write(Stream::Out, &b"x".repeat(1 << 20), now).unwrap();
    log.write(Stream::Err, b"\nlast\n", now).unwrap();
    log.finish().unwrap();
    let whole = site.ok(&["log", "q/a"]);
    let omitted = whole.lines().nth(2).unwrap();
    assert!(omitted.starts_with("[setlist: 102") && omitted.ends_with(" KiB omitted]"), "{omitted}");
    let said = site.run(&["log", "q/a"]).stderr;
    assert!(
        said.starts_with("setlist: q/a: 102") && said.ends_with(" KiB of the output were not kept (`log_limit`)\n"),
        "{said}"
    );
    assert!(site.ok(&["show", "q/a"]).contains(" KiB were not kept (`log_limit`)\n"));
    assert!(whole == fs::read_to_string(folder.join("1.log")).unwrap(), "it is not as in the file");
    let output = site.run(&["log", "q/a", "--stderr"]);
    assert_eq!(output.stdout, "first\n\nlast\n");
    assert!(output.stderr.contains(" KiB of output, of both streams, were not kept"), "{output:?}");
    let timed = site.ok(&["log", "q/a", "-t"]);
    assert_eq!(timed.lines().nth(2), Some(format!("{:<30}{omitted}", "-").as_str()));
}

#[test]
fn torn_output_is_omitted_and_reported() {
    let site = ran_with_files();
    let path = site.join(".setlist/logs/1.marks");
    let mut marks = fs::read(&path).unwrap();
    let len = marks.len();
    marks[len - 16..].fill(0);
    fs::write(&path, marks).unwrap();
    let output = site.run(&["log", "q/a", "--stderr"]);
    assert_eq!(output.code, Some(0));
    assert!(output.stderr.contains("were omitted: their stream is unknown"), "{output:?}");
}

#[test]
fn deleted_output_is_reported_with_its_date() {
    let site = TempSite::with("queues: {q: ['seq 2000']}\n");
    site.ok(&["process"]);
    let at = "2026-11-22T12:00:00Z".parse().unwrap();
    delete_output(&site.join(".setlist/logs"), RunId(1), at).unwrap().unwrap();
    let line = "[setlist: 8.7 KiB of output deleted on 2026-11-22 to make room]\n";
    let output = |args: &[&str]| {
        let output = site.run(args);
        assert_eq!(output.code, Some(0));
        (output.stdout, output.stderr)
    };
    assert_eq!(output(&["log", "1"]), (line.to_owned(), String::new()));
    assert_eq!(output(&["log", "1", "-t"]), (format!("{:<30}{line}", "-"), String::new()));
    assert_eq!(output(&["log", "1", "--stderr", "-t"]), (String::new(), format!("setlist: {line}")));
}

#[test]
fn a_word_says_that_there_is_nothing_to_print() {
    let site = TempSite::with("queues: {q: [{id: a, run: echo same}]}\n");
    site.ok(&["process", "--quiet"]);
    let followed = site.run(&["log", "-f", "q"]);
    let said = "setlist: q: nothing is running; `setlist log q` prints the output of all its jobs\n";
    assert_eq!((followed.code, &*followed.stdout, &*followed.stderr), (Some(0), "", said));
    site.ok(&["retry", "q/a"]);
    site.ok(&["wait", "q/a"]);
    let compared = site.run(&["log", "--diff", "q/a"]);
    let said = "setlist: q/a: the output of run 2 is the same as that of run 1\n";
    assert_eq!((compared.code, &*compared.stdout, &*compared.stderr), (Some(0), "", said));
}
