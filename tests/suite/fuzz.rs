//! Fuzz tests: no input may panic, hang or get past a check.
//!
//! cargo-fuzz needs a nightly compiler and a second crate. bolero without it feeds tests with random bytes that rarely
//! get past the start of a format. Mutations of our own files get further. `SETLIST_SOAK` sets the number of runs;
//! inputs are pseudorandom.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;

use chrono::{DateTime, Utc};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use rusqlite::Connection;
use rusqlite::types::Value;
use setlist::definition;
use setlist::model::{Outcome, Query, RunId, RunReport, Stream, WaitReason, WindowSize};
use setlist::store::log::{LogReader, LogWriter, recover};
use setlist::store::{StateDir, StoreError};
use setlist::text;
use setlist::tui::output::{LogView, Scroll, StreamSanitizer, TerminalView, sanitize_coloured, sanitize_plain};
use tempfile::TempDir;

use crate::damage::{SiteFiles, exercise};
use crate::definition::arbitrary_input;
use crate::output::memory_log::{MemoryLog, styles};
use crate::rng::{TestRng, iterations};
use crate::temp_site::WAIT_TIMEOUT;

/// The number of runs per target in a normal test run.
const RUNS_PER_TARGET: usize = 200;

/// Runs a target on one input after another. Prints an input that panics or takes too long.
fn fuzz(mut input: impl FnMut(&mut TestRng) -> Vec<u8>, target: impl Fn(&[u8]) + Send + 'static) {
    let (send, inputs) = channel::<Vec<u8>>();
    let (done, results) = channel();
    thread::spawn(move || {
        for input in inputs {
            let survived = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
            if done.send(survived).is_err() {
                break;
            }
        }
    });
    let mut rng = TestRng::new();
    for round in 0..iterations(RUNS_PER_TARGET) {
        let input = input(&mut rng);
        send.send(input.clone()).unwrap();
        let survived = results.recv_timeout(WAIT_TIMEOUT);
        assert_eq!(survived, Ok(true), "in round {round}, on {:?}", input.escape_ascii().to_string());
    }
}

/// Mutates one of our own files, often by inserting a keyword.
fn mutate(rng: &mut TestRng, corpus: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = rng.pick(corpus).to_vec();
    for _ in 0..1 << rng.in_range(0..5) {
        let at = rng.in_range(0..bytes.len() + 1);
        let until = (at + (1 << rng.in_range(0..8))).min(bytes.len());
        match rng.in_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.in_range(0..8),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let piece = bytes[at..until].repeat(1 << rng.in_range(0..6));
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = rng.pick(corpus);
                let from = rng.in_range(0..other.len() + 1);
                let piece = other[from..(from + until - at).min(other.len())].to_vec();
                bytes.splice(at..until, piece);
            }
            4 => bytes.truncate(at),
            _ => {
                let word = rng.pick(words).to_vec();
                bytes.splice(at..if rng.one_in(2) { at } else { until }, word);
            }
        }
    }
    bytes.truncate(64 << 10);
    bytes
}

#[test]
fn jobs_yaml_with_arbitrary_changes() {
    const FILES: [&[u8]; 4] = [
        include_bytes!("../../jobs.yaml"),
        definition::STARTER.as_bytes(),
        b"defaults: &d {timeout: 1h, env: {A: '1', B: ~}}\nqueues:\n  a: &q\n    <<: *d\n    title: \"x\\u00e9\\n\"\n    parallel: 2\n    \
          on_failure: stop\n    keep: {runs: 3, days: 4}\n    jobs:\n      - run: |\n          echo a\n          echo b\n        \
          args: [1, 1.50, true, ~]\n        kwargs: {x: [1], y: {z: ~}}\n  b: *q\n",
        b"queues:\n  q:\n    - {id: a, command: [echo, 'a b'], ok_codes: [0, 3], tags: [x, y], grace: 5s, after: 10m}\n    \
          - {id: b, run: 'true', needs: [a, {job: q/a, on: finish}], retry: {max: 3, delay: 1s, backoff: 2, on: [timeout, 7]}}\n    \
          - {title: Same, run: >-\n        folded, stdin: \"\\0\", cwd: .., shell: [sh, -c], priority: -5, weight: 2, confirm: sure?}\n",
    ];
    const WORDS: [&[u8]; 30] = [
        b"queues:",
        b"jobs:",
        b"run:",
        b"- ",
        b"\n",
        b"\n  ",
        b"  ",
        b"{",
        b"}",
        b"[",
        b"]",
        b": ",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!int ",
        b"|\n",
        b">",
        b"'",
        b"\"",
        b"#",
        b"\t",
        b"~",
        b"-1",
        b"99999999999999999999",
        b"1e309",
        b"\xff",
        "\u{feff}".as_bytes(),
        "\u{2028}é".as_bytes(),
        b"---\n",
    ];
    let home = TempDir::new().unwrap();
    let path = home.path().join("jobs.yaml");
    fuzz(
        |rng| mutate(rng, &FILES, &WORDS),
        move |bytes| {
            arbitrary_input::check_invariants(&String::from_utf8_lossy(bytes));
            // Read as bytes from a file.
            fs::write(&path, bytes).unwrap();
            let _ = definition::read(&path);
        },
    );
}

const OUTPUT: [&[u8]; 6] = [
    b"\x1b[1;31merror\x1b[0m: \x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[m\r\n 10%\r\x1b[K 20%\x1b[2K\x1b[1G100%\n",
    b"\x1b]0;title\x07\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\\x1b]52;c;AAAA\x07\x1b]9;4;1;50\x1b\\\n",
    b"\x1bPq#0;2;0;0;0#0~~\x1b\\\x1b_Gi=1;AAAA\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\\x1bc\x1b7\x1b8\x1b(0\x1b=\x1b[?1049h\x1b[6n\n",
    "日本語 e\u{301}\u{301} 👨\u{200d}👩\u{200d}👧 \u{202e}rtl\u{202c} \u{9b}31m \u{feff}\u{e0041}\n".as_bytes(),
    b"plain text, a tab\tand \x08backspaces\x08\x08 and bells\x07 and \xff\xfe\xc3( no UTF-8\n\n\n",
    b"\x1b[38:2::1:2:3m\x1b[4:3m\x1b[58;5;9m\x1b[;;;;m\x1b[99999999999999999999m\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17mx\n",
];
const ESCAPES: [&[u8]; 20] = [
    b"\x1b",
    b"\x1b[",
    b"\x1b]",
    b"\x1bP",
    b"\x1b_",
    b"\x1b\\",
    b"\x07",
    b"\x9b",
    b"\xc2\x9b",
    b"\xc2\x90",
    b";",
    b":",
    b"m",
    b"\r",
    b"\n",
    b"\x08",
    b"\x7f",
    b"\x00",
    b"\x1b[1m",
    "\u{301}".as_bytes(),
];

/// The output of a job as sent to a terminal.
#[test]
fn arbitrary_output_is_sanitised() {
    fuzz(
        |rng| mutate(rng, &OUTPUT, &ESCAPES),
        |bytes| {
            assert_eq!(find_control_char(&sanitize_plain(bytes)), None);
            let colours = sanitize_coloured(bytes);
            assert_eq!(find_control_char(&strip_sgr(&colours)), None, "{colours:?}");
            assert_eq!(sanitize_plain(colours.as_bytes()), sanitize_plain(bytes));
            // A list row, a title or a value.
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(find_control_char(&text::sanitize_line(&text)), None);
            // The result is the same if the output arrives in pieces.
            let (mut pieces, mut printer) = (String::new(), StreamSanitizer::coloured());
            bytes.chunks(7).for_each(|piece| printer.push(piece, &mut pieces));
            printer.finish(&mut pieces);
            assert_eq!(pieces, colours);
        },
    );
}

/// Durations and times, in files, options and filters, at any time of the clock.
#[test]
fn arbitrary_durations_and_times() {
    const TEXTS: [&[u8]; 12] = [
        b"90",
        b"1h 30min",
        b"2days 4h",
        b"99999999999y",
        b"18446744073709551615s",
        b"18446744073709551615",
        b"0.5s",
        b"1M",
        b"2026-03-29 02:30",
        b"1969-12-31T23:59:59Z",
        b"9999-12-31",
        b"+262142-12-31T23:59:59Z",
    ];
    const UNITS: [&[u8]; 14] =
        [b"ns", b"us", b"ms", b"s", b"m", b"min", b"h", b"d", b"w", b"M", b"months", b"y", b"-", b"99999999"];
    let times = [
        DateTime::UNIX_EPOCH,
        DateTime::from_timestamp(-2_000_000_000, 0).unwrap(),
        DateTime::from_timestamp(1_800_000_000, 999_999_999).unwrap(),
        DateTime::<Utc>::MIN_UTC,
        DateTime::<Utc>::MAX_UTC,
    ];
    fuzz(
        |rng| mutate(rng, &TEXTS, &UNITS),
        move |bytes| {
            let input = String::from_utf8_lossy(bytes);
            if let Ok(duration) = text::parse_duration(&input) {
                assert!(!text::duration(duration).is_empty() && !text::time_left(duration).is_empty());
            }
            let quoted = serde_json::to_string(&input).unwrap();
            let file = format!(
                "queues: {{q: [{{run: a, after: {quoted}}}, {{run: a, timeout: {quoted}}}, {{run: a, grace: {quoted}}}, \
                 {{run: a, retry: {{max: 9, delay: {quoted}, backoff: 3}}}}]}}\n"
            );
            let whole = definition::parse("jobs.yaml", &file);
            let parts = file.match_indices("{run").filter_map(|(at, _)| {
                let end = at + file[at..].find("}, {run").map_or_else(|| file[at..].len() - 3, |len| len + 1);
                definition::parse("jobs.yaml", &format!("queues: {{q: [{}]}}\n", &file[at..end])).ok()
            });
            for job in parts.chain(whole).flat_map(|desired| desired.queues).flat_map(|queue| queue.jobs) {
                for now in times {
                    let start = job.scheduling.earliest_start(now);
                    assert!(start.is_none_or(|start| start >= now || start.timestamp() >= 0), "{start:?}");
                    for attempt in [0, 1, 8, u32::MAX] {
                        let failed = RunReport::new(Outcome::Interrupted);
                        let _ = (
                            job.scheduling.retry.delay(attempt),
                            job.scheduling.retry.next_attempt_at(attempt, &failed, now),
                        );
                    }
                    let _ = start.map(|start| WaitReason::Time(start).describe(now));
                }
            }
            for now in times {
                for field in ["since", "before", "took"] {
                    // An error says what is expected.
                    if let Err(error) = Query::parse(&format!("{field}:{input}"), now) {
                        assert!(!error.to_string().is_empty());
                    }
                }
            }
        },
    );
}

/// The output of a job as drawn in panes of any size, with and without a pseudo-terminal.
#[test]
fn arbitrary_output_is_drawn() {
    fuzz(
        |rng| {
            let sizes = [256, 90, 256, 90].map(|most| u8::try_from(rng.in_range(0..most)).unwrap());
            let mut input = sizes.to_vec();
            input.extend(mutate(rng, &OUTPUT, &ESCAPES));
            input
        },
        |input| {
            let ([columns, rows, other, fewer], bytes) = input.split_first_chunk::<4>().unwrap();
            let [columns, rows, other, fewer] = [columns, rows, other, fewer].map(|size| u16::from(*size));
            let (first, second) = bytes.split_at(bytes.len() / 2);
            let area = Rect::new(0, 0, columns, rows);
            let log = MemoryLog::of(first);
            log.resize(other, fewer);
            let mut terminal = TerminalView::new(log.clone(), WindowSize { columns, rows });
            let mut output = LogView::new(log.clone());
            log.append(second);
            for scroll in [Scroll::End, Scroll::Rows(-3), Scroll::Home] {
                while terminal.refresh() {}
                while output.refresh() {}
                let mut buffer = Buffer::empty(area);
                terminal.draw(area, &mut buffer, &styles());
                assert_eq!(find_control_cell(&buffer), None);
                let mut buffer = Buffer::empty(area);
                output.draw(area, &mut buffer, &styles());
                assert_eq!(find_control_cell(&buffer), None);
                terminal.scroll(scroll);
                output.scroll(scroll);
                output.toggle_wrap();
            }
            terminal.resize(WindowSize { columns: other, rows: fewer }, true);
            while terminal.refresh() {}
            assert!(terminal.visible_text().iter().all(|line| find_control_char(line).is_none()));
        },
    );
}

/// Returns a cell that would control the terminal.
fn find_control_cell(buffer: &Buffer) -> Option<&str> {
    buffer.content.iter().map(Cell::symbol).find(|symbol| symbol.chars().any(char::is_control))
}

/// Returns the first character that would control a terminal.
fn find_control_char(text: &str) -> Option<char> {
    text.chars().find(|character| character.is_control() && *character != '\n')
}

/// Removes the sequences that set colours and attributes.
fn strip_sgr(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, sequence)) = rest.split_once("\x1b[") {
        plain += before;
        let digits = sequence.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match digits.strip_prefix('m') {
            Some(after) => rest = after,
            None => return plain + "\x1b" + sequence,
        }
    }
    plain + rest
}

/// Any value in any column of the database.
#[test]
fn arbitrary_values_in_the_database() {
    let home = TempDir::new().unwrap();
    let site = SiteFiles::without_log();
    let lay = move |rng: &mut TestRng| {
        let folder = StateDir::new(home.path().join("state"));
        site.write_to(&folder);
        let changes: Vec<String> = (0..1 << rng.in_range(0..3)).map(|_| corrupt_value(rng, &folder)).collect();
        let path = folder.path().to_str().unwrap();
        format!("{path}\n{}", changes.join("\n")).into_bytes()
    };
    fuzz(lay, |input| {
        let input = std::str::from_utf8(input).unwrap();
        let folder = StateDir::new(Path::new(input.lines().next().unwrap()));
        if let Err(error) = exercise(&folder) {
            let output = error.to_string();
            assert!(matches!(error, StoreError::Unreadable { .. } | StoreError::MissingChanges { .. }), "{output}");
            assert!(output.contains(folder.database().to_str().unwrap()), "{output}");
        }
    });
}

/// Replaces a value in the database. Returns a description of the change.
fn corrupt_value(rng: &mut TestRng, folder: &StateDir) -> String {
    let db = Connection::open(folder.database()).unwrap();
    let tables = ["site", "queues", "workers", "jobs", "jobs", "jobs", "definitions", "definitions", "runs", "events"];
    let table = rng.pick(&tables);
    let names = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
    let column = rng.pick(&columns);
    let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap();
    let row = rng.in_range(0..usize::try_from(rows).unwrap().max(1));
    let sql = format!("SELECT {column} FROM {table} LIMIT 1 OFFSET {row}");
    let Ok(old) = db.query_row(&sql, (), |row| row.get::<_, Value>(0)) else { return "nothing there".to_owned() };
    let new = other_value(rng, &old);
    let output = format!("{table}.{column}: {old:?} to {new:?}");
    let sql = format!("UPDATE OR IGNORE {table} SET {column} = ?1 WHERE {column} IS ?2");
    // NOT NULL and CHECK constraints keep some values as they are.
    let _ = db.execute(&sql, (new, old));
    output
}

fn other_value(rng: &mut TestRng, old: &Value) -> Value {
    match (old, rng.in_range(0..6)) {
        (_, 0) => Value::Null,
        (_, 1) => Value::Integer(*rng.pick(&[0, -1, 1, 7, 99, i64::MAX, i64::MIN, 1 << 32, i64::MAX - 1])),
        (_, 2) => Value::Real(*rng.pick(&[0.5, -1e308, f64::INFINITY])),
        (_, 3) => Value::Blob(vec![0xff, 0, 1]),
        (Value::Text(text), _) => {
            let words: [&[u8]; 8] = [b"{", b"}", b"\"", b"null", b"-1", b"99999999999999999999", b"[", b"\\u0000"];
            Value::Text(String::from_utf8_lossy(&mutate(rng, &[text.as_bytes(), b"{\"a\":1}"], &words)).into_owned())
        }
        (Value::Integer(number), _) => Value::Integer(number ^ (1 << rng.in_range(0..64))),
        _ => Value::Text(rng.pick(&["", "{}", "[1]", "\"x\"", "{\"kind\":3}", "x"]).to_string()),
    }
}

/// The files of a log.
#[test]
fn arbitrary_log_files() {
    const RUN: RunId = RunId(7);
    let home = TempDir::new().unwrap();
    let folder = home.path().to_owned();
    let mut whole = Vec::new();
    // A short log, a growing log with a tail, and a compacted log.
    for (lines, finished) in [(20, true), (2_000, false), (2_000, true)] {
        let mut writer = LogWriter::new(folder.clone(), RUN, 8 << 10);
        for line in 0..lines {
            let stream = if line % 3 == 0 { Stream::Err } else { Stream::Out };
            let at = DateTime::from_timestamp_millis(1_000 * line).unwrap();
            writer.write(stream, format!("line {line}\n").as_bytes(), at).unwrap();
        }
        if finished {
            writer.finish().unwrap();
        } else {
            drop(writer);
        }
        whole.push(["7.log", "7.tail", "7.marks"].map(|name| fs::read(folder.join(name)).ok()));
        for entry in fs::read_dir(&folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    let lay = {
        let folder = folder.clone();
        move |rng: &mut TestRng| {
            let mut files = rng.pick(&whole).clone();
            let damaged = rng.in_range(0..3);
            if let Some(bytes) = &mut files[damaged] {
                *bytes = mutate(
                    rng,
                    &[&bytes.clone(), b"SLMARKS1"],
                    &[b"\0\0\0\0\0\0\0\0", b"\xff\xff\xff\xff", b"SLMARKS1"],
                );
            }
            for (name, bytes) in ["7.log", "7.tail", "7.marks"].iter().zip(&files) {
                match bytes {
                    Some(bytes) => fs::write(folder.join(name), bytes).unwrap(),
                    None => drop(fs::remove_file(folder.join(name))),
                }
            }
            format!("file {damaged}: ")
                .into_bytes()
                .into_iter()
                .chain(files[damaged].clone().unwrap_or_default())
                .collect()
        }
    };
    fuzz(lay, move |_| {
        read_all(&folder, RUN);
        let recovered = recover(&folder, RUN);
        read_all(&folder, RUN);
        // A damaged log that can't be recovered is reported and left unchanged.
        if let Err(error) = recovered {
            assert!(error.to_string().contains("/7."), "{error}");
        }
    });
}

/// Reads a log from start to end with the metadata of each piece.
fn read_all(folder: &Path, run: RunId) {
    let mut reader = LogReader::new(folder.to_owned(), run);
    let (mut offset, mut buffer) = (0, [0; 4096]);
    let _ = (reader.len(), reader.has_stream_index());
    while let Ok(piece) = reader.read_at(offset, &mut buffer)
        && piece.len > 0
    {
        assert!(piece.offset >= offset, "offsets must not decrease");
        let end = piece.offset + piece.len as u64;
        offset = piece.offset;
        while offset < end {
            let stretch = reader.span_at(offset);
            assert!(stretch.start <= offset && offset < stretch.end, "{stretch:?} is not around {offset}");
            offset = stretch.end.min(end);
        }
    }
}
