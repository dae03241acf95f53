//! `setlist log`: one stream or both, with times or without, of what was kept.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};
use setlist::model::{RunId, Stream};
use setlist::store::log::{LogWriter, discard};

use crate::room::{Room, Said};

/// What comes from both streams, in pieces that end anywhere.
const BOTH: &str = "\
queues:
  q:
    - {id: a, run: 'printf \"one\\ntw\"; printf \"E1\\n\\033[31mE\" >&2; printf \"o\\n\"; printf \"2\" >&2; exit 3'}
";

fn ran() -> Room {
    let room = Room::with(BOTH);
    assert_eq!(room.run(&["process"]).code, Some(1));
    room
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
fn each_stream_can_be_had_alone() {
    let room = ran();
    let bytes = |args: &[&str]| {
        let output = room.command(args).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        output.stdout
    };
    assert_eq!(bytes(&["log", "q/a", "--stderr"]), b"E1\n\x1b[31mE2");
    assert_eq!(bytes(&["log", "q/a", "--stdout"]), b"one\ntwo\n");
    assert_eq!(bytes(&["log", "q/a"]).len(), 18);
    assert_eq!(bytes(&["log", "q/a", "--stderr", "--run", "1"]), b"E1\n\x1b[31mE2");
    let both = room.run(&["log", "q/a", "--stderr", "--stdout"]);
    assert_eq!(both.code, Some(2), "{both:?}");
}

#[test]
fn timestamps_stand_before_each_line_in_local_time() {
    let room = ran();
    let job = room.job("q/a");
    let said = Said::of(&room.command(&["log", "q/a", "-t", "--stdout"]).env("TZ", "XST-05:30").output().unwrap());
    let lines = timed(&said.out);
    assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), ["one", "two"]);
    for (at, line) in lines {
        assert_eq!(at.offset().local_minus_utc(), 19_800);
        assert!(time(&job["started_at"]).timestamp_millis() <= at.timestamp_millis(), "{line} at {at}: {job}");
        assert!(at <= time(&job["runs"][0]["ended_at"]), "{line} at {at}: {job}");
    }
    let both = room.ok(&["log", "q/a", "--timestamps", "--stderr"]);
    assert_eq!(timed(&both).iter().map(|line| line.1).collect::<Vec<_>>(), ["E1", "\x1b[31mE2"]);
    assert_eq!(
        timed(&room.ok(&["log", "q/a", "-t"])).iter().map(|line| line.1).collect::<Vec<_>>().join("\n").len(),
        18
    );
}

#[test]
fn following_knows_streams_and_times_too() {
    let room = Room::with(
        "queues:\n  q:\n    - {id: a, run: 'echo no; printf first >&2; while [ ! -e go ]; do sleep 0.01; done; echo no; echo last >&2'}\n",
    );
    room.ok(&["retry", "q/a"]);
    room.until("q/a", |job| job["state"] == json!("running"));
    let mut follower = room.command(&["log", "-f", "-t", "--stderr", "q/a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(follower.stdout.take().unwrap());
    let mut begun = vec![0; 35];
    output.read_exact(&mut begun).unwrap();
    assert!(begun.ends_with(b" first"), "a line is seen before its end");
    room.write("go", "");
    let mut rest = String::new();
    output.read_line(&mut rest).unwrap();
    assert_eq!(rest, "last\n");
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "last\n");
    assert!(follower.wait().unwrap().success());
}

#[test]
fn of_an_old_log_it_says_what_is_not_known() {
    let room = ran();
    fs::remove_file(room.join(".setlist/logs/1.marks")).unwrap();
    let said = room.run(&["log", "q/a", "--stderr"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert!(said.err.contains("what is standard error isn't known; without --stderr all of it is printed"), "{said:?}");
    let said = room.run(&["log", "q/a", "--timestamps"]);
    assert!(said.err.contains("times aren't known"), "{said:?}");
    assert!(said.out.lines().all(|line| line.starts_with(&format!("{:<30}", "-"))), "{said:?}");
    assert_eq!(said.out.lines().map(|line| line[30..].len()).sum::<usize>(), 15);
    assert_eq!(room.run(&["log", "q/a"]).err, "");
}

#[test]
fn what_was_not_kept_is_told_where_it_was() {
    let room = ran();
    let folder = room.join(".setlist/logs");
    let mut log = LogWriter::new(folder.clone(), RunId(1), 4096);
    let now = chrono::Utc::now();
    log.write(Stream::Err, b"first\n", now).unwrap();
    log.write(Stream::Out, &b"x".repeat(1 << 20), now).unwrap();
    log.write(Stream::Err, b"\nlast\n", now).unwrap();
    log.finish().unwrap();
    let whole = room.ok(&["log", "q/a"]);
    let omitted = whole.lines().nth(2).unwrap();
    assert!(omitted.starts_with("[setlist: 102") && omitted.ends_with(" KiB omitted]"), "{omitted}");
    assert!(whole == fs::read_to_string(folder.join("1.log")).unwrap(), "it is not as in the file");
    let said = room.run(&["log", "q/a", "--stderr"]);
    assert_eq!(said.out, "first\n\nlast\n");
    assert!(said.err.contains(" KiB of the output, of both streams, were not kept"), "{said:?}");
    let timed = room.ok(&["log", "q/a", "-t"]);
    assert_eq!(timed.lines().nth(2), Some(format!("{:<30}{omitted}", "-").as_str()));
}

#[test]
fn what_is_torn_is_left_out_and_said() {
    let room = ran();
    let path = room.join(".setlist/logs/1.marks");
    let mut marks = fs::read(&path).unwrap();
    let len = marks.len();
    marks[len - 16..].fill(0);
    fs::write(&path, marks).unwrap();
    let said = room.run(&["log", "q/a", "--stderr"]);
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("are left out: it isn't known from which stream they came"), "{said:?}");
}

#[test]
fn of_deleted_output_it_says_when_it_went() {
    let room = Room::with("queues: {q: ['seq 1000']}\n");
    room.ok(&["process"]);
    let at = "2026-11-22T12:00:00Z".parse().unwrap();
    discard(&room.join(".setlist/logs"), RunId(1), at).unwrap().unwrap();
    let line = "[setlist: 3.8 KiB of output deleted on 2026-11-22 to make room]\n";
    let said = |args: &[&str]| {
        let said = room.run(args);
        assert_eq!(said.code, Some(0));
        (said.out, said.err)
    };
    assert_eq!(said(&["log", "1"]), (line.to_owned(), String::new()));
    assert_eq!(said(&["log", "1", "-t"]), (format!("{:<30}{line}", "-"), String::new()));
    assert_eq!(said(&["log", "1", "--stderr", "-t"]), (String::new(), format!("setlist: {line}")));
}
