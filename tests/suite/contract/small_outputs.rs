//! The output of runs that print little: it moves from files into the database with the end of the run.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::model::{Command, JobId, Outcome, Retention, RunId, Stream};
use setlist::store::log::{LogReader, OutputOrigin};
use setlist::store::{PruneReport, Store};

use super::retention::{days, site};
use super::{BackendSite, claim, join, report, started};

/// Everything is kept.
const ALL: Retention = Retention { max_runs: None, max_age_seconds: None, max_output_bytes: None };

/// Starts the job of the site; returns its run, which has printed this.
fn start(store: &mut dyn Store, printed: &[(Stream, &[u8])], now: DateTime<Utc>) -> RunId {
    let worker = join(store);
    let commands = [Command::Run { job: JobId(1), force: false }, claim(worker)];
    let (_, run) = started(&store.execute(&commands, now).unwrap()[1]).unwrap();
    let mut log = store.log_writer(run, 1 << 20);
    for (stream, bytes) in printed {
        log.write(*stream, bytes, now).unwrap();
    }
    log.finish().unwrap();
    run
}

fn end(store: &mut dyn Store, run: RunId, now: DateTime<Utc>) {
    assert!(store.execute(&[report(JobId(1), run, Outcome::Succeeded)], now).unwrap()[0].is_ok());
}

/// Runs the job, which prints this.
fn run(store: &mut dyn Store, printed: &[u8], now: DateTime<Utc>) -> RunId {
    let run = start(store, &[(Stream::Out, printed)], now);
    end(store, run, now);
    run
}

/// The files in the folder of logs whose names tell a run.
fn files(backend: &BackendSite) -> Vec<String> {
    let entries = fs::read_dir(backend.state_dir().logs()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn text(mut reader: LogReader) -> String {
    let mut buffer = vec![0; 1 << 16];
    let len = reader.read_at(0, &mut buffer).unwrap().len;
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

#[test]
fn a_small_output_is_a_row_once_its_run_has_ended() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, ALL);
    let printed: [(Stream, &[u8]); 2] = [(Stream::Out, b"one\n"), (Stream::Err, b"two\n")];
    let run = start(&mut *store, &printed, days(1));
    assert_eq!(files(&backend), ["1.log", "1.marks"]);
    // One reader has read all, one has opened the file, and one has done neither.
    let mut readers = [0; 3].map(|_| store.log_reader(run));
    let mut buffer = [0; 3];
    readers[0].read_at(0, &mut [0; 100]).unwrap();
    readers[0].span_at(5);
    readers[1].read_at(0, &mut buffer).unwrap();
    end(&mut *store, run, days(1));
    assert_eq!(files(&backend), [""; 0]);

    let origin = |stream| Some(OutputOrigin { stream, at: days(1) });
    for reader in readers.iter_mut().chain([&mut backend.connect().log_reader(run)]) {
        let chunk = reader.read_at(2, &mut buffer).unwrap();
        assert_eq!((chunk.offset, chunk.len, &buffer), (2, 3, b"e\nt"));
        assert_eq!((reader.len().unwrap(), reader.read_at(8, &mut buffer).unwrap().len), (8, 0));
        assert_eq!((reader.span_at(3).origin, reader.span_at(4).origin), (origin(Stream::Out), origin(Stream::Err)));
        assert!(reader.has_stream_index() && !reader.is_deleted().unwrap());
        assert_eq!((reader.deletion_notice().unwrap(), reader.dropped_lines().unwrap()), (None, None));
        assert_eq!(text(reader.reopen()), "one\ntwo\n");
    }
    assert_eq!(backend.connect().prune(days(99)).unwrap(), PruneReport::default());
    assert_eq!(text(store.log_reader(run)), "one\ntwo\n");
}

#[test]
fn a_large_output_and_one_without_an_end_stay_in_their_files() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, ALL);
    let large = run(&mut *store, &b"many lines\n".repeat(1000), days(1));
    assert_eq!(files(&backend), ["1.log", "1.marks"]);
    let running = start(&mut *store, &[(Stream::Out, b"printed\n")], days(1));
    store.prune(days(99)).unwrap();
    assert_eq!(files(&backend), ["1.log", "1.marks", "2.log", "2.marks"]);
    assert_eq!((text(store.log_reader(large)).len(), text(store.log_reader(running))), (11_000, "printed\n".into()));
}

#[test]
fn a_refused_end_moves_nothing() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, ALL);
    let run = start(&mut *store, &[(Stream::Out, b"printed\n")], days(1));
    let other = report(JobId(7), run, Outcome::Succeeded);
    assert!(store.execute(&[other], days(1)).unwrap()[0].is_err());
    assert_eq!(files(&backend), ["1.log", "1.marks"]);
}

/// Those of an older version, of runs with a hook, of interrupted runs, and what a killed process has left.
#[test]
fn small_logs_that_are_left_move_when_the_site_is_pruned() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, ALL);
    let logs = backend.state_dir().logs();
    let old = run(&mut *store, b"", days(1));
    fs::write(logs.join("1.log"), "of an old run\n").unwrap();
    let killed = start(&mut *store, &[(Stream::Err, b"kept\n")], days(1));
    for name in ["2.log", "2.marks"] {
        fs::copy(logs.join(name), logs.join(format!("{name}.copy"))).unwrap();
    }
    end(&mut *store, killed, days(1));
    for name in ["2.log", "2.marks"] {
        fs::rename(logs.join(format!("{name}.copy")), logs.join(name)).unwrap();
    }
    // A run of another site, which was lost.
    fs::write(logs.join("77.log"), "unknown\n").unwrap();

    store.prune(days(1) + TimeDelta::hours(23)).unwrap();
    assert_eq!(files(&backend), ["1.log", "2.log", "2.marks", "77.log"], "a hook may read them");
    store.prune(days(3)).unwrap();
    assert_eq!(files(&backend), ["77.log"]);
    assert_eq!(text(store.log_reader(old)), "of an old run\n");
    let mut reader = store.log_reader(killed);
    assert_eq!(reader.span_at(0).origin.map(|origin| origin.stream), Some(Stream::Err));
    assert_eq!(text(reader), "kept\n");
}

#[test]
fn retention_deletes_stored_output_with_its_run() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_runs: Some(1), ..ALL });
    let first = run(&mut *store, b"first\n", days(0));
    let second = run(&mut *store, b"second\n", days(1));
    let mut reader = store.log_reader(first);
    assert_eq!(reader.len().unwrap(), 6);
    let PruneReport { runs, bytes, .. } = store.prune(days(2)).unwrap();
    assert!(runs == 1 && bytes > 6, "{runs} runs with {bytes} bytes");
    assert!(reader.is_deleted().unwrap() && store.log_reader(first).is_deleted().unwrap());
    assert_eq!((text(store.log_reader(first)), text(store.log_reader(second))), (String::new(), "second\n".into()));
}

#[test]
fn stored_output_is_replaced_by_a_notice_when_there_is_too_much() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, Retention { max_output_bytes: Some(2_700), ..ALL });
    let runs: Vec<RunId> = (0..3).map(|day| run(&mut *store, &[b'x'; 1_000], days(day))).collect();
    assert_eq!(files(&backend), [""; 0]);
    assert!(store.prune(days(3)).unwrap().bytes > 900);
    let notice = store.log_reader(runs[0]).deletion_notice().unwrap().unwrap();
    assert!(notice.starts_with("[setlist: 1.0 KiB of output deleted on "), "{notice}");
    assert!(runs[1..].iter().all(|run| text(store.log_reader(*run)).len() == 1_000), "the others are whole");
    assert_eq!(store.prune(days(4)).unwrap(), PruneReport::default());
}

#[test]
fn many_small_outputs_take_little_space() {
    let backend = BackendSite::sqlite();
    let mut store = site(&backend, ALL);
    let size = |path| fs::metadata(path).unwrap().len();
    let database = backend.state_dir().database();
    let checkpoint = || {
        let other = rusqlite::Connection::open(&database).unwrap();
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
        size(&database)
    };
    let empty = checkpoint();
    (0..300).for_each(|_| _ = run(&mut *store, b"", days(1)));
    let silent = checkpoint();
    (0..300).for_each(|_| _ = run(&mut *store, &[b'x'; 100], days(1)));
    let of_output = checkpoint() - silent - (silent - empty);
    assert!(of_output < 300 * (100 + 200), "{of_output} bytes for 300 outputs of 100 bytes");
    assert_eq!(files(&backend), [""; 0]);
}
