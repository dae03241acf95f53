//! How screens reach a run in a pseudo-terminal, whatever the site is kept in.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use setlist::model::{RunId, Typed, WindowSize};
use setlist::store::{LineReader, Unreachable};

use super::Place;

const RUN: RunId = RunId(7);

fn size(columns: u16, rows: u16) -> WindowSize {
    WindowSize { columns, rows }
}

/// All that has come, pieces of text put together.
fn all(reader: &mut LineReader) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    loop {
        let more = reader.read();
        if more.is_empty() {
            return all;
        }
        for typed in more {
            match (all.last_mut(), typed) {
                (Some(Typed::Bytes(before)), Typed::Bytes(bytes)) => before.extend(bytes),
                (_, typed) => all.push(typed),
            }
        }
    }
}

#[test]
fn what_several_screens_type_reaches_the_run_whole() {
    for place in [Place::memory(), Place::sqlite()] {
        let mut reader = place.connect().lines().reader(RUN).unwrap();
        assert_eq!(reader.read(), []);
        let (mut one, mut other) = (place.connect().lines().writer(RUN), place.connect().lines().writer(RUN));
        one.send(b"first").unwrap();
        other.resize(size(100, 30)).unwrap();
        other.resize(size(90, 20)).unwrap();
        let long = vec![b'x'; 20_000];
        one.send(&long).unwrap();
        drop(one);
        let expected = [
            Typed::Bytes(b"first".to_vec()),
            Typed::Size(size(100, 30)),
            Typed::Size(size(90, 20)),
            Typed::Bytes(long),
        ];
        assert_eq!(all(&mut reader), expected);
        other.send(b"still there").unwrap();
        assert_eq!(all(&mut reader), [Typed::Bytes(b"still there".to_vec())]);
    }
}

#[test]
fn nobody_waits_for_a_run_that_is_not_there_or_does_not_read() {
    for place in [Place::memory(), Place::sqlite()] {
        let lines = place.connect().lines();
        let mut writer = lines.writer(RUN);
        assert_eq!(writer.send(b"too soon"), Err(Unreachable::Gone));
        let mut reader = lines.reader(RUN).unwrap();
        let piece = [b'x'; 400];
        let full = (0..100_000).find_map(|_| writer.send(&piece).err());
        assert_eq!(full, Some(Unreachable::Full));
        assert_eq!(lines.writer(RunId(8)).send(b"another run"), Err(Unreachable::Gone));
        assert!(all(&mut reader).len() == 1);
        writer.send(b"again").unwrap();
        assert_eq!(all(&mut reader), [Typed::Bytes(b"again".to_vec())]);
        drop(reader);
        assert_eq!(writer.send(b"too late"), Err(Unreachable::Gone));
        assert_eq!(writer.resize(size(1, 1)), Err(Unreachable::Gone));
    }
}

#[test]
fn the_size_that_was_shown_last_is_kept() {
    for place in [Place::memory(), Place::sqlite()] {
        let lines = place.connect().lines();
        assert_eq!(lines.size(), size(80, 24));
        lines.set_size(size(132, 50)).unwrap();
        lines.set_size(size(99, 33)).unwrap();
        assert_eq!(place.connect().lines().size(), size(99, 33));
    }
}

/// Where a line is, which is nobody's business but a test's.
fn path(place: &Place) -> PathBuf {
    place.folder().lines().join(RUN.to_string())
}

#[test]
fn a_line_is_private_and_goes_with_the_run() {
    let place = Place::sqlite();
    let lines = place.connect().lines();
    let reader = lines.reader(RUN).unwrap();
    let pipe = fs::metadata(path(&place)).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!(pipe.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(place.folder().lines()).unwrap().permissions().mode() & 0o777, 0o700);
    drop(reader);
    assert!(!path(&place).exists());
}

#[test]
fn what_is_typed_is_never_written_to_a_file() {
    let place = Place::sqlite();
    let lines = place.connect().lines();
    // What a worker that was killed has left, or what somebody has put there.
    drop(lines.reader(RUN).unwrap());
    fs::write(path(&place), "").unwrap();
    assert_eq!(lines.writer(RUN).send(b"secret"), Err(Unreachable::Gone));
    assert_eq!(fs::read_to_string(path(&place)).unwrap(), "");
    let mut reader = lines.reader(RUN).unwrap();
    lines.writer(RUN).send(b"x").unwrap();
    assert_eq!(all(&mut reader), [Typed::Bytes(b"x".to_vec())]);
}
