//! Logs of runs: what is kept, and what readers see while a log grows and after it has ended.

mod stream_index;
mod terminal_sizes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use setlist::model::{RunId, Stream};
use setlist::store::log::{LogReader, LogWriter, WatchedRuns, delete_output, recover};

const RUN: RunId = RunId(7);
const LIMIT: u64 = 64 * 1024;
/// The smallest limit of a log.
const MIN_LIMIT: u64 = 4096;

/// A time relative to a fixed start.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_000_000_000 + millis).unwrap()
}

fn writer(folder: &Path) -> LogWriter {
    LogWriter::new(folder.to_owned(), RUN, LIMIT)
}

fn reader(folder: &Path) -> LogReader {
    LogReader::new(folder.to_owned(), RUN)
}

/// Numbered lines from `from` to `to`.
fn lines(from: usize, to: usize) -> Vec<u8> {
    (from..to).flat_map(|number| format!("line {number:08}\n").into_bytes()).collect()
}

/// All chunks from `offset` on; contiguous ones are joined.
fn read_from(reader: &mut LogReader, mut offset: u64) -> Vec<(u64, Vec<u8>)> {
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut buffer = vec![0; 5000];
    loop {
        let piece = reader.read_at(offset, &mut buffer).unwrap();
        if piece.len == 0 {
            return pieces;
        }
        let bytes = &buffer[..piece.len];
        match pieces.last_mut() {
            Some((start, held)) if *start + held.len() as u64 == piece.offset => held.extend_from_slice(bytes),
            _ => pieces.push((piece.offset, bytes.to_vec())),
        }
        offset = piece.offset + piece.len as u64;
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // It belongs to all runs.
    names.retain(|name| name != ".printed");
    names.sort();
    names
}

fn on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    names(folder).iter().map(|name| fs::metadata(folder.join(name)).unwrap().blocks() * 512).sum()
}

#[test]
fn a_run_without_output_has_no_files() {
    let site = tempfile::tempdir().unwrap();
    let folder = site.path().join("logs");
    writer(&folder).finish().unwrap();
    assert!(!folder.exists());
    assert_eq!(reader(&folder).len().unwrap(), 0);
    assert_eq!(read_from(&mut reader(&folder), 0), []);
}

#[test]
fn a_short_log_is_one_private_file_with_what_was_written() {
    let site = tempfile::tempdir().unwrap();
    let folder = site.path().join("logs");
    let mut log = writer(&folder);
    log.write(Stream::Out, b"out\n", at(0)).unwrap();
    log.write(Stream::Err, b"err \xff\n", at(0)).unwrap();
    let mut reader = reader(&folder);
    assert_eq!(read_from(&mut reader, 0), [(0, b"out\nerr \xff\n".to_vec())]);
    log.finish().unwrap();
    assert_eq!(reader.len().unwrap(), 10);
    assert_eq!(names(&folder), ["7.log", "7.marks"]);
    assert_eq!(fs::read(folder.join("7.log")).unwrap(), b"out\nerr \xff\n");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["7.log", "7.marks"] {
        assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn output_within_the_limit_is_kept_completely() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let all = lines(0, 4000);
    assert!(all.len() as u64 > LIMIT / 2);
    let mut log = writer(folder);
    for piece in all.chunks(777) {
        log.write(Stream::Out, piece, at(0)).unwrap();
    }
    let mut follower = reader(folder);
    assert_eq!(read_from(&mut follower, 0), [(0, all.clone())]);
    log.finish().unwrap();
    assert_eq!(fs::read(folder.join("7.log")).unwrap(), all);
    assert_eq!(names(folder), ["7.log", "7.marks"]);
    assert_eq!(read_from(&mut follower, 0), [(0, all.clone())]);
    assert_eq!(read_from(&mut reader(folder), 0), [(0, all.clone())]);
    assert_eq!(follower.len().unwrap(), all.len() as u64);
}

#[test]
fn head_and_tail_of_a_long_log_are_kept_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let all = lines(0, 100_000);
    let mut log = writer(folder);
    for piece in all.chunks(10_000) {
        log.write(Stream::Out, piece, at(0)).unwrap();
        assert!(on_disk(folder) <= LIMIT + 8192, "{} bytes on disk", on_disk(folder));
    }
    let growing = read_from(&mut reader(folder), 0);
    log.finish().unwrap();
    assert!(on_disk(folder) <= LIMIT + 8192);

    let finished = read_from(&mut reader(folder), 0);
    let half = usize::try_from(LIMIT / 2).unwrap();
    for pieces in [&growing, &finished] {
        let [(0, head), (start, tail)] = &pieces[..] else { panic!("one gap, not {} pieces", pieces.len()) };
        assert_eq!(head, &all[..half]);
        let start = usize::try_from(*start).unwrap();
        assert_eq!(tail, &all[start..], "offsets are those of the whole output");
        assert!(tail.len() > half / 2);
    }
    assert!(finished[1].1.starts_with(b"line "), "the tail starts with a whole line");
    assert_eq!(reader(folder).len().unwrap(), all.len() as u64);

    let file = String::from_utf8(fs::read(folder.join("7.log")).unwrap()).unwrap();
    let marks: Vec<_> = file.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(marks, ["[setlist: 1.2 MiB omitted]"]);
    assert!(file.ends_with("line 00099999\n"));
    let mut offset = 0;
    let mut buffer = [0; 100];
    while offset < 2000 {
        let piece = reader(folder).read_at(offset + LIMIT, &mut buffer).unwrap();
        assert_eq!(piece.offset, finished[1].0, "what is asked for in the gap starts behind it");
        offset += 500;
    }
}

#[test]
fn one_write_may_be_larger_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let all = lines(0, 50_000);
    let mut log = writer(folder.path());
    log.write(Stream::Out, &all, at(0)).unwrap();
    log.finish().unwrap();
    let pieces = read_from(&mut reader(folder.path()), 0);
    assert_eq!(pieces.len(), 2);
    for (start, bytes) in pieces {
        let start = usize::try_from(start).unwrap();
        assert_eq!(bytes, all[start..start + bytes.len()]);
    }
}

/// Reads the log of `run` until `all` has been written, and checks that only parts of it are read, in order. Meanwhile
/// other, new readers read the parts most at risk: the end of the head and the oldest bytes of the tail. The error is
/// the offset of a wrong read.
fn follow(folder: &Path, run: RunId, all: &[u8]) -> Result<(), u64> {
    let mut buffer = vec![0; 9000];
    let mut read = |reader: &mut LogReader, offset| {
        let piece = reader.read_at(offset, &mut buffer).unwrap();
        let start = usize::try_from(piece.offset).unwrap();
        let sound = piece.offset >= offset && all.get(start..start + piece.len) == Some(&buffer[..piece.len]);
        if sound { Ok(piece) } else { Err(piece.offset) }
    };
    let mut reader = LogReader::new(folder.to_owned(), run);
    let mut offset = 0;
    while offset < all.len() as u64 {
        let piece = read(&mut reader, offset)?;
        offset = piece.offset + piece.len as u64;
        for danger in [MIN_LIMIT / 2 - 50, MIN_LIMIT / 2] {
            read(&mut LogReader::new(folder.to_owned(), run), danger)?;
        }
    }
    Ok(())
}

/// Bytes are replaced and moved while others read. A race can't be forced, so there are many logs, most of them short.
#[test]
fn followers_read_exactly_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let together = Barrier::new(3);
    let long = lines(0, 4_000);
    let rounds: Vec<(RunId, &[u8], usize)> = (0..300)
        .map(|round| match round % 10 {
            0 => (RunId(round), &long[..], 100),
            _ => (RunId(round), &long[..6_000], 6_000),
        })
        .collect();
    std::thread::scope(|scope| {
        // A reader that has failed keeps reading, because the others wait for it.
        let followers = [(); 2].map(|()| {
            scope.spawn(|| {
                let seen = rounds.iter().map(|(run, all, _)| {
                    together.wait();
                    (*run, follow(folder, *run, all))
                });
                seen.filter(|(_, seen)| seen.is_err()).collect::<Vec<_>>()
            })
        });
        for (run, all, at_once) in &rounds {
            together.wait();
            let mut writer = LogWriter::new(folder.to_owned(), *run, MIN_LIMIT);
            for piece in all.chunks(*at_once) {
                writer.write(Stream::Out, piece, at(0)).unwrap();
            }
            writer.finish().unwrap();
        }
        for follower in followers {
            assert_eq!(follower.join().unwrap(), [], "runs and the offsets of what is not theirs");
        }
    });
}

#[test]
fn followers_are_notified_of_output_even_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = reader(folder.path());
    let (sender, rings) = channel();
    let _listener = reader.subscribe(Arc::new(move || sender.send(()).unwrap_or_default())).unwrap();
    let mut log = writer(folder.path());
    let mut expected = Vec::new();
    for text in [b"first\n".as_slice(), &lines(0, 3000), &lines(3000, 9000)] {
        log.write(Stream::Out, text, at(0)).unwrap();
        expected.extend_from_slice(text);
        while reader.len().unwrap() < expected.len() as u64 {
            rings.recv_timeout(Duration::from_secs(30)).expect("a ring for every change");
        }
        // Notifications for this write are not taken for those of the next.
        while rings.try_recv().is_ok() {}
    }
    fs::write(folder.path().join("8.log"), "of another run").unwrap();
    log.finish().unwrap();
    rings.recv_timeout(Duration::from_secs(30)).expect("a ring for the end of a long log");
}

#[test]
fn notifications_are_rate_limited() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = reader(folder.path());
    let (sender, rings) = channel();
    let _listener = reader.subscribe(Arc::new(move || sender.send(()).unwrap_or_default())).unwrap();
    let (mut log, start) = (writer(folder.path()), Instant::now());
    let mut written = 0;
    for number in 0..20_000 {
        let line = lines(number, number + 1);
        log.write(Stream::Out, &line, at(0)).unwrap();
        written += line.len() as u64;
    }
    let mut count = 0;
    while reader.len().unwrap() < written || count == 0 {
        rings.recv_timeout(Duration::from_secs(30)).expect("a ring for the last change");
        count += 1;
    }
    count += rings.try_iter().count() as u128;
    let elapsed = start.elapsed();
    // Every ten milliseconds, and at once for the first.
    assert!(count <= elapsed.as_millis() / 10 + 2, "{count} notifications in {elapsed:?}");
}

#[test]
fn a_subscription_can_switch_to_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let watched = WatchedRuns::default();
    watched.set([RUN]).unwrap();
    let (sender, rings) = channel();
    let ring = Arc::new(move || sender.send(()).unwrap_or_default());
    let _listener = reader(folder.path()).subscribe_to(&watched, ring).unwrap();
    for run in [8, 9] {
        let (mut log, mut reader) = (
            LogWriter::new(folder.path().to_owned(), RunId(run), LIMIT),
            LogReader::new(folder.path().to_owned(), RunId(run)),
        );
        log.write(Stream::Out, b"before\n", at(0)).unwrap();
        watched.set([RunId(run)]).unwrap();
        while rings.try_recv().is_ok() {}
        log.write(Stream::Out, b"after\n", at(0)).unwrap();
        rings.recv_timeout(Duration::from_secs(30)).expect("a ring for the other run");
        assert_eq!(reader.len().unwrap(), 13);
    }
}

#[test]
fn lost_output_is_reported_in_the_log() {
    let site = tempfile::tempdir().unwrap();
    let folder = site.path().join("logs");
    // A file in place of the directory: writing fails until it is removed.
    fs::write(&folder, "").unwrap();
    let mut log = writer(&folder);
    let error = log.write(Stream::Out, b"lost\n", at(0)).unwrap_err();
    assert!(error.to_string().contains("7.log"), "{error}");
    fs::remove_file(&folder).unwrap();
    log.write(Stream::Out, b"kept\n", at(0)).unwrap();
    log.finish().unwrap();
    let text = fs::read_to_string(folder.join("7.log")).unwrap();
    assert!(text.contains("[setlist: 5 B lost: "), "{text}");
    assert!(text.ends_with("]\nkept\n"), "{text}");
}

#[test]
fn the_log_of_a_dead_worker_is_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let all = lines(0, 100_000);
    let mut log = writer(folder);
    log.write(Stream::Out, &all, at(0)).unwrap();
    drop(log);
    recover(folder, RUN).unwrap();
    let whole = fs::read(folder.join("7.log")).unwrap();
    assert!(whole.ends_with(b"line 00099999\n"));
    recover(folder, RUN).unwrap();
    assert_eq!(fs::read(folder.join("7.log")).unwrap(), whole, "twice does no harm");
    recover(folder, RunId(8)).unwrap();
    assert_eq!(read_from(&mut reader(folder), 0).len(), 2);
}

#[test]
fn a_log_of_the_same_number_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = writer(folder.path());
    log.write(Stream::Out, &lines(0, 100_000), at(0)).unwrap();
    log.finish().unwrap();
    let mut log = writer(folder.path());
    log.write(Stream::Out, b"new\n", at(0)).unwrap();
    assert_eq!(read_from(&mut reader(folder.path()), 0), [(0, b"new\n".to_vec())]);
    log.finish().unwrap();
}

#[test]
fn output_is_not_deleted_while_it_is_written_or_read() {
    let folder = tempfile::tempdir().unwrap();
    let give_up = || delete_output(folder.path(), RUN, at(0)).unwrap().is_some();
    let mut log = writer(folder.path());
    log.write(Stream::Out, b"begun\n", at(0)).unwrap();
    assert!(!give_up());
    log.write(Stream::Out, &lines(0, 10_000), at(0)).unwrap();
    log.finish().unwrap();
    let mut looking = reader(folder.path());
    assert_eq!(looking.deletion_notice().unwrap(), None);
    assert!(!give_up());
    drop(looking);
    assert!(give_up());
    assert_eq!(names(folder.path()), ["7.log"]);
    let farewell = reader(folder.path()).deletion_notice().unwrap().unwrap();
    assert!(farewell.starts_with("[setlist: ") && farewell.ends_with(" to make room]"), "{farewell}");
}
