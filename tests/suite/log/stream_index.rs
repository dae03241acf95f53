//! The stream index of a log: the stream and time of output, the size of the index, and what crashes and full disks
//! leave of it.

use std::fs;
use std::path::Path;
use std::thread;

use proptest::prelude::*;
use setlist::model::Stream;
use setlist::store::log::{LogReader, LogWriter, OutputOrigin, OutputSpan, recover};

use super::{LIMIT, MIN_LIMIT, RUN, at, lines, names, reader, writer};
use crate::rng::cases;

/// How many permanent entries the smallest log has, and how many in its ring.
const CAPACITY: usize = 256;

fn from(stream: Stream, millis: i64) -> OutputOrigin {
    OutputOrigin { stream, at: at(millis) }
}

/// All spans, in order.
fn known(reader: &mut LogReader) -> Vec<OutputSpan> {
    let len = reader.len().unwrap();
    let mut stretches = Vec::new();
    let mut offset = 0;
    while offset < len {
        let stretch = reader.span_at(offset);
        assert!(stretch.start <= offset && offset < stretch.end, "{stretch:?} is not around {offset}");
        offset = stretch.end;
        stretches.push(stretch);
    }
    stretches
}

fn span(start: u64, end: u64, origin: impl Into<Option<OutputOrigin>>) -> OutputSpan {
    OutputSpan { start, end, origin: origin.into() }
}

/// A log of the smallest limit with `count` bytes that alternate between the streams, one in each millisecond.
fn alternating(folder: &Path, count: usize) -> LogWriter {
    let mut log = LogWriter::new(folder.to_owned(), RUN, MIN_LIMIT);
    (0..count).for_each(|nth| alternate(&mut log, nth));
    log
}

fn alternate(log: &mut LogWriter, nth: usize) {
    let origin = alternation(nth);
    log.write(origin.stream, b"x", origin.at).unwrap();
}

fn alternation(nth: usize) -> OutputOrigin {
    let stream = if nth.is_multiple_of(2) { Stream::Out } else { Stream::Err };
    from(stream, i64::try_from(nth).unwrap())
}

#[test]
fn streams_and_times_are_known_during_and_after_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = writer(folder.path());
    let mut follower = reader(folder.path());
    log.write(Stream::Out, b"out\n", at(0)).unwrap();
    assert_eq!(known(&mut follower), [span(0, u64::MAX, from(Stream::Out, 0))]);
    log.write(Stream::Err, b"err\n", at(0)).unwrap();
    log.write(Stream::Err, b"later\n", at(1_500)).unwrap();
    let all = [
        span(0, 4, from(Stream::Out, 0)),
        span(4, 8, from(Stream::Err, 0)),
        span(8, u64::MAX, from(Stream::Err, 1_500)),
    ];
    assert_eq!(known(&mut follower), all);
    log.finish().unwrap();
    assert_eq!(known(&mut follower), all);
    assert_eq!(known(&mut reader(folder.path())), all);
    assert!(follower.has_stream_index());
}

#[test]
fn output_in_the_same_millisecond_or_line_shares_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = writer(folder.path());
    for (millis, text) in [(0, "a\n"), (0, "b\n"), (1, "c"), (2, "."), (3, "."), (4, "\n"), (5, "d\n")] {
        log.write(Stream::Out, text.as_bytes(), at(millis)).unwrap();
    }
    let out = |millis| from(Stream::Out, millis);
    let all = [span(0, 4, out(0)), span(4, 8, out(1)), span(8, u64::MAX, out(5))];
    assert_eq!(known(&mut reader(folder.path())), all);
}

#[test]
fn a_log_without_index_has_unknown_origins() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!reader(folder.path()).has_stream_index());
    fs::write(folder.path().join("7.log"), "old\n").unwrap();
    for damaged in [None, Some(&b""[..]), Some(b"SLM"), Some(&[0; 160]), Some(b"something else that is long enough")] {
        if let Some(damaged) = damaged {
            fs::write(folder.path().join("7.marks"), damaged).unwrap();
        }
        let mut reader = reader(folder.path());
        assert_eq!(known(&mut reader), [OutputSpan::UNKNOWN]);
        assert!(!reader.has_stream_index());
    }
}

#[test]
fn the_index_is_bounded_and_covers_beginning_and_end() {
    let folder = tempfile::tempdir().unwrap();
    for count in
        [100, 2 * CAPACITY - 1, 2 * CAPACITY, 2 * CAPACITY + 1, 3 * CAPACITY - 1, 3 * CAPACITY, 3 * CAPACITY + 1, 4000]
    {
        let log = alternating(folder.path(), count);
        for ended in [false, true] {
            let mut reader = reader(folder.path());
            let known: Vec<_> = (0..count).map(|nth| reader.span_at(nth as u64).origin).collect();
            let all: Vec<_> = (0..count).map(|nth| Some(alternation(nth))).collect();
            if count <= 2 * CAPACITY {
                assert_eq!(known, all);
            } else {
                let (first, rest) = known.split_at(CAPACITY - 1);
                let (gap, last) = rest.split_at(count - CAPACITY - first.len());
                assert_eq!(first, &all[..first.len()]);
                assert!(gap.iter().all(Option::is_none), "{count}: {gap:?}");
                assert_eq!(last, &all[count - CAPACITY..]);
            }
            if !ended {
                recover(folder.path(), RUN).unwrap();
            }
        }
        let marks = fs::metadata(folder.path().join("7.marks")).unwrap().len();
        assert!(marks <= (2 * CAPACITY as u64 + 1) * 16, "{marks} bytes");
        drop(log);
    }
}

#[test]
fn a_flood_of_output_has_few_entries() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = writer(folder.path());
    let all = lines(0, 100_000);
    for (nth, piece) in (0..).zip(all.chunks(1000)) {
        log.write(Stream::Out, piece, at(nth / 10)).unwrap();
    }
    log.finish().unwrap();
    let marks = fs::metadata(folder.path().join("7.marks")).unwrap().len();
    assert!(marks < LIMIT / 16, "{marks} bytes");
}

#[test]
fn torn_entries_have_unknown_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("7.marks");
    drop(alternating(folder.path(), 20));
    let whole = fs::read(&path).unwrap();
    let seen = || {
        let mut reader = reader(folder.path());
        (0..20).map(|nth| reader.span_at(nth).origin).collect::<Vec<_>>()
    };
    let all = seen();
    assert_eq!(all, (0..20).map(|nth| Some(alternation(nth))).collect::<Vec<_>>());
    // The last entry is incomplete; its bytes were not written either.
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(seen()[..19], all[..19]);
    // A page that was not written to the disk is read as zeros.
    for torn in 0..20 {
        let mut damaged = whole.clone();
        damaged[(torn + 1) * 16..].fill(0);
        fs::write(&path, damaged).unwrap();
        let seen = seen();
        let sure = torn.saturating_sub(1);
        assert_eq!(seen[..sure], all[..sure]);
        assert!(seen[sure..].iter().all(Option::is_none), "{torn}: {seen:?}");
    }
    // A damaged entry hides the origin of its span and of the one before.
    for bad in 0..20 {
        for byte in 0..16 {
            let mut damaged = whole.clone();
            damaged[(bad + 1) * 16 + byte] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            for (nth, (seen, was)) in seen().iter().zip(&all).enumerate() {
                assert!(seen.is_none() || seen == was, "{nth}, with mark {bad} bad: {seen:?}");
            }
        }
    }
}

#[test]
fn the_index_of_a_dead_worker_is_correct() {
    let folder = tempfile::tempdir().unwrap();
    let all = lines(0, 100_000);
    let mut log = writer(folder.path());
    for (nth, piece) in (0..).zip(all.chunks(1400)) {
        let stream = if nth % 3 == 0 { Stream::Err } else { Stream::Out };
        log.write(stream, piece, at(nth)).unwrap();
    }
    drop(log);
    let before = known(&mut reader(folder.path()));
    recover(folder.path(), RUN).unwrap();
    let mut mended = reader(folder.path());
    assert_eq!(known(&mut mended), before);
    let mut buffer = [0; 14];
    let last = all.len() as u64 - 14;
    let piece = mended.read_at(last, &mut buffer).unwrap();
    assert_eq!((piece.offset, &buffer), (last, b"line 00099999\n"));
    assert_eq!(mended.span_at(last).origin, Some(from(Stream::Err, 999)));
}

#[test]
fn entries_that_cannot_be_written_do_not_affect_output() {
    let folder = tempfile::tempdir().unwrap();
    let marks = folder.path().join("7.marks");
    let mut log = writer(folder.path());
    fs::create_dir(&marks).unwrap();
    log.write(Stream::Out, b"one\n", at(0)).unwrap();
    log.write(Stream::Err, b"two\n", at(1)).unwrap();
    let mut follower = reader(folder.path());
    assert_eq!(known(&mut follower), [OutputSpan::UNKNOWN]);
    fs::remove_dir(&marks).unwrap();
    log.write(Stream::Err, b"three\n", at(2)).unwrap();
    let all = [span(0, 8, None), span(8, u64::MAX, from(Stream::Err, 2))];
    assert_eq!(known(&mut follower), all);
    log.finish().unwrap();
    assert_eq!(known(&mut reader(folder.path())), all);
    assert_eq!(fs::read(folder.path().join("7.log")).unwrap(), b"one\ntwo\nthree\n");
}

#[test]
fn the_index_of_a_run_of_the_same_number_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    alternating(folder.path(), 1000).finish().unwrap();
    let mut log = writer(folder.path());
    log.write(Stream::Err, b"new\n", at(5)).unwrap();
    assert_eq!(known(&mut reader(folder.path())), [span(0, u64::MAX, from(Stream::Err, 5))]);
    log.finish().unwrap();
    assert_eq!(names(folder.path()), ["7.log", "7.marks"]);
}

#[test]
fn lost_output_is_reported_as_standard_error() {
    let site = tempfile::tempdir().unwrap();
    let folder = site.path().join("logs");
    fs::write(&folder, "").unwrap();
    let mut log = writer(&folder);
    log.write(Stream::Out, b"lost\n", at(0)).unwrap_err();
    fs::remove_file(&folder).unwrap();
    log.write(Stream::Out, b"kept\n", at(9)).unwrap();
    let len = log_len(&folder);
    let all = [span(0, len - 5, from(Stream::Err, 0)), span(len - 5, u64::MAX, from(Stream::Out, 9))];
    assert_eq!(known(&mut reader(&folder)), all);
}

fn log_len(folder: &Path) -> u64 {
    fs::metadata(folder.join("7.log")).unwrap().len()
}

/// Entries are replaced while others read. A reader may miss some, but never takes one for another.
#[test]
fn followers_never_get_a_wrong_origin() {
    let folder = tempfile::tempdir().unwrap();
    let count = 40_000;
    let mut log = alternating(folder.path(), 1);
    thread::scope(|scope| {
        let followers = [(); 2].map(|()| {
            scope.spawn(|| {
                let (mut reader, mut right) = (reader(folder.path()), 0);
                let mut offset = 0;
                while offset + 1 < count as u64 {
                    let len = reader.len().unwrap();
                    // The newest, and one that is just being replaced.
                    for offset in [len - 1, len.saturating_sub(CAPACITY as u64 + 2), offset.min(len - 1)] {
                        let origin = reader.span_at(offset).origin;
                        let was = alternation(usize::try_from(offset).unwrap());
                        assert!(origin.is_none_or(|origin| origin == was), "{origin:?} at {offset}, not {was:?}");
                        right += usize::from(origin.is_some());
                    }
                    offset = len - 1;
                }
                right
            })
        });
        (1..count).for_each(|nth| alternate(&mut log, nth));
        for follower in followers {
            assert!(follower.join().unwrap() > 0);
        }
    });
}

#[derive(Clone, Debug)]
struct Chunk {
    stream: Stream,
    text: String,
    pause: i64,
}

fn chunks() -> impl Strategy<Value = Vec<Chunk>> {
    let stream = prop_oneof![3 => Just(Stream::Out), 1 => Just(Stream::Err)];
    let chunk = (stream, "([a-c]{0,5}\n?){0,4}", prop_oneof![2 => Just(0_i64), 1 => 0..3_i64]);
    proptest::collection::vec(chunk.prop_map(|(stream, text, pause)| Chunk { stream, text, pause }), 0..200)
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn every_byte_has_its_stream_and_every_line_its_time(chunks in chunks(), looks in 1_usize..50) {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::new(folder.path().to_owned(), RUN, 1 << 20);
        let mut follower = reader(folder.path());
        let (mut origins, mut text, mut now) = (Vec::new(), Vec::new(), 0);
        for (nth, chunk) in chunks.iter().enumerate() {
            now += chunk.pause;
            log.write(chunk.stream, chunk.text.as_bytes(), at(now)).unwrap();
            text.extend_from_slice(chunk.text.as_bytes());
            origins.resize(text.len(), Some(from(chunk.stream, now)));
            if nth % looks == 0 && let Some(last) = text.len().checked_sub(1) {
                let origin = follower.span_at(last as u64).origin;
                prop_assert_eq!(origin.map(|origin| origin.stream), origins[last].map(|origin| origin.stream));
            }
        }
        log.finish().unwrap();
        for (offset, origin) in origins.into_iter().enumerate() {
            let known = follower.span_at(offset as u64).origin;
            if offset == 0 || text[offset - 1] == b'\n' {
                prop_assert_eq!(known, origin, "at {}", offset);
            } else {
                prop_assert_eq!(known.map(|known| known.stream), origin.map(|origin| origin.stream), "at {}", offset);
            }
        }
    }
}
