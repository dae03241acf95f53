//! Fuzzing: whatever comes, nothing panics, nothing hangs, and nothing gets through that must not.
//!
//! Neither cargo-fuzz, which needs a nightly compiler and a second crate, nor bolero, which without one feeds plain
//! tests with bytes of no shape, few of which get past the beginning of a format. Our own files, cut, spliced and
//! flipped, get further. `SETLIST_SOAK` says how often, and the dice say what.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;

use chrono::DateTime;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use rusqlite::Connection;
use rusqlite::types::Value;
use setlist::definition;
use setlist::model::{RunId, Stream, WindowSize};
use setlist::store::log::{LogReader, LogWriter, mend};
use setlist::store::{Folder, StoreError};
use setlist::tui::output::{Output, Printer, Scroll, Terminal, coloured, plain};
use setlist::tui::text;
use tempfile::TempDir;

use crate::damage::{Site, use_site};
use crate::definition::anything;
use crate::dice::{Dice, often};
use crate::output::growing::{Log, look};
use crate::room::PATIENCE;

/// How often a target is tried in a normal run of the tests.
const ROUNDS: usize = 200;

/// Tries a target on one input after another until it has been enough. An input on which it panics, or that it is not
/// done with in time, is printed.
fn fuzz(mut input: impl FnMut(&mut Dice) -> Vec<u8>, target: impl Fn(&[u8]) + Send + 'static) {
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
    let mut dice = Dice::new();
    for round in 0..often(ROUNDS) {
        let input = input(&mut dice);
        send.send(input.clone()).unwrap();
        let survived = results.recv_timeout(PATIENCE);
        assert_eq!(survived, Ok(true), "in round {round}, on {:?}", input.escape_ascii().to_string());
    }
}

/// One of our own files with some changes, which are often a word that means something.
fn mutant(dice: &mut Dice, corpus: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = dice.pick(corpus).to_vec();
    for _ in 0..1 << dice.below(0..5) {
        let at = dice.below(0..bytes.len() + 1);
        let until = (at + (1 << dice.below(0..8))).min(bytes.len());
        match dice.below(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(0..8),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let piece = bytes[at..until].repeat(1 << dice.below(0..6));
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = dice.pick(corpus);
                let from = dice.below(0..other.len() + 1);
                let piece = other[from..(from + until - at).min(other.len())].to_vec();
                bytes.splice(at..until, piece);
            }
            4 => bytes.truncate(at),
            _ => {
                let word = dice.pick(words).to_vec();
                bytes.splice(at..if dice.one_in(2) { at } else { until }, word);
            }
        }
    }
    bytes.truncate(64 << 10);
    bytes
}

#[test]
fn any_jobs_yaml() {
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
        |dice| mutant(dice, &FILES, &WORDS),
        move |bytes| {
            anything::checked(&String::from_utf8_lossy(bytes));
            // As bytes, from a file.
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

/// What a job writes, as it comes to a terminal.
#[test]
fn any_output() {
    fuzz(
        |dice| mutant(dice, &OUTPUT, &ESCAPES),
        |bytes| {
            assert_eq!(steering(&plain(bytes)), None);
            let colours = coloured(bytes);
            assert_eq!(steering(&without_colours(&colours)), None, "{colours:?}");
            assert_eq!(plain(colours.as_bytes()), plain(bytes));
            // A line of a list, a title or a value.
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(steering(&text::plain_line(&text)), None);
            // In pieces it is the same.
            let (mut pieces, mut printer) = (String::new(), Printer::coloured());
            bytes.chunks(7).for_each(|piece| printer.push(piece, &mut pieces));
            printer.finish(&mut pieces);
            assert_eq!(pieces, colours);
        },
    );
}

/// What a job writes, as the panes draw it: of a job in a terminal or not, for windows of any size.
#[test]
fn any_output_drawn() {
    fuzz(
        |dice| {
            let sizes = [256, 90, 256, 90].map(|most| u8::try_from(dice.below(0..most)).unwrap());
            let mut input = sizes.to_vec();
            input.extend(mutant(dice, &OUTPUT, &ESCAPES));
            input
        },
        |input| {
            let ([columns, rows, other, fewer], bytes) = input.split_first_chunk::<4>().unwrap();
            let [columns, rows, other, fewer] = [columns, rows, other, fewer].map(|size| u16::from(*size));
            let (first, second) = bytes.split_at(bytes.len() / 2);
            let area = Rect::new(0, 0, columns, rows);
            let log = Log::of(first);
            log.resized(other, fewer);
            let mut terminal = Terminal::new(log.clone(), WindowSize { columns, rows });
            let mut output = Output::new(log.clone());
            log.append(second);
            for scroll in [Scroll::End, Scroll::Rows(-3), Scroll::Home] {
                while terminal.refresh() {}
                while output.refresh() {}
                let mut buffer = Buffer::empty(area);
                terminal.draw(area, &mut buffer, &look());
                assert_eq!(harmful(&buffer), None);
                let mut buffer = Buffer::empty(area);
                output.draw(area, &mut buffer, &look());
                assert_eq!(harmful(&buffer), None);
                terminal.scroll(scroll);
                output.scroll(scroll);
                output.toggle_wrap();
            }
            terminal.resize(WindowSize { columns: other, rows: fewer }, true);
            while terminal.refresh() {}
            assert!(terminal.in_view().iter().all(|line| steering(line).is_none()));
        },
    );
}

/// A cell that would steer the terminal.
fn harmful(buffer: &Buffer) -> Option<&str> {
    buffer.content.iter().map(Cell::symbol).find(|symbol| symbol.chars().any(char::is_control))
}

/// The first character with which a terminal would be steered.
fn steering(text: &str) -> Option<char> {
    text.chars().find(|character| character.is_control() && *character != '\n')
}

/// Takes out what sets colours and attributes, and nothing else.
fn without_colours(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, sequence)) = rest.split_once("\x1b[") {
        plain += before;
        let digits = sequence.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match digits.strip_prefix('m') {
            Some(behind) => rest = behind,
            None => return plain + "\x1b" + sequence,
        }
    }
    plain + rest
}

/// Any value in any column of what is stored.
#[test]
fn any_record() {
    let home = TempDir::new().unwrap();
    let site = Site::without_log();
    let lay = move |dice: &mut Dice| {
        let folder = Folder::new(home.path().join("state"));
        site.lay(&folder);
        let changes: Vec<String> = (0..1 << dice.below(0..3)).map(|_| change(dice, &folder)).collect();
        let path = folder.path().to_str().unwrap();
        format!("{path}\n{}", changes.join("\n")).into_bytes()
    };
    fuzz(lay, |input| {
        let input = std::str::from_utf8(input).unwrap();
        let folder = Folder::new(Path::new(input.lines().next().unwrap()));
        if let Err(error) = use_site(&folder) {
            let said = error.to_string();
            assert!(matches!(error, StoreError::Unreadable { .. } | StoreError::Behind { .. }), "{said}");
            assert!(said.contains(folder.database().to_str().unwrap()), "{said}");
        }
    });
}

/// Puts something else in a place of the database; tells what.
fn change(dice: &mut Dice, folder: &Folder) -> String {
    let db = Connection::open(folder.database()).unwrap();
    let tables = ["site", "queues", "workers", "jobs", "jobs", "jobs", "definitions", "definitions", "runs", "events"];
    let table = dice.pick(&tables);
    let names = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
    let column = dice.pick(&columns);
    let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).unwrap();
    let row = dice.below(0..usize::try_from(rows).unwrap().max(1));
    let sql = format!("SELECT {column} FROM {table} LIMIT 1 OFFSET {row}");
    let Ok(old) = db.query_row(&sql, (), |row| row.get::<_, Value>(0)) else { return "nothing there".to_owned() };
    let new = other(dice, &old);
    let said = format!("{table}.{column}: {old:?} to {new:?}");
    let sql = format!("UPDATE OR IGNORE {table} SET {column} = ?1 WHERE {column} IS ?2");
    // Some must not be null, some must be a number: those stay as they are.
    let _ = db.execute(&sql, (new, old));
    said
}

fn other(dice: &mut Dice, old: &Value) -> Value {
    match (old, dice.below(0..6)) {
        (_, 0) => Value::Null,
        (_, 1) => Value::Integer(*dice.pick(&[0, -1, 1, 7, 99, i64::MAX, i64::MIN, 1 << 32, i64::MAX - 1])),
        (_, 2) => Value::Real(*dice.pick(&[0.5, -1e308, f64::INFINITY])),
        (_, 3) => Value::Blob(vec![0xff, 0, 1]),
        (Value::Text(text), _) => {
            let words: [&[u8]; 8] = [b"{", b"}", b"\"", b"null", b"-1", b"99999999999999999999", b"[", b"\\u0000"];
            Value::Text(String::from_utf8_lossy(&mutant(dice, &[text.as_bytes(), b"{\"a\":1}"], &words)).into_owned())
        }
        (Value::Integer(number), _) => Value::Integer(number ^ (1 << dice.below(0..64))),
        _ => Value::Text(dice.pick(&["", "{}", "[1]", "\"x\"", "{\"kind\":3}", "x"]).to_string()),
    }
}

/// The files of a log.
#[test]
fn any_log() {
    const RUN: RunId = RunId(7);
    let home = TempDir::new().unwrap();
    let folder = home.path().to_owned();
    let mut whole = Vec::new();
    // A short one, one with a tail as it grows, and one that has been put together.
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
        move |dice: &mut Dice| {
            let mut files = dice.pick(&whole).clone();
            let damaged = dice.below(0..3);
            if let Some(bytes) = &mut files[damaged] {
                *bytes = mutant(
                    dice,
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
        let mended = mend(&folder, RUN);
        read_all(&folder, RUN);
        // What can't be mended is named, and left as it is.
        if let Err(error) = mended {
            assert!(error.to_string().contains("/7."), "{error}");
        }
    });
}

/// Reads a log to its end, in order, with what is known of each piece.
fn read_all(folder: &Path, run: RunId) {
    let mut reader = LogReader::new(folder.to_owned(), run);
    let (mut offset, mut buffer) = (0, [0; 4096]);
    let _ = (reader.len(), reader.is_marked());
    while let Ok(piece) = reader.read_at(offset, &mut buffer)
        && piece.len > 0
    {
        assert!(piece.offset >= offset, "it goes back");
        let end = piece.offset + piece.len as u64;
        offset = piece.offset;
        while offset < end {
            let stretch = reader.stretch_at(offset);
            assert!(stretch.start <= offset && offset < stretch.end, "{stretch:?} is not around {offset}");
            offset = stretch.end.min(end);
        }
    }
}
