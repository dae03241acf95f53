//! Input from screens to runs in pseudo-terminals, for every backend.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use setlist::model::{RunId, TerminalInput, WindowSize};
use setlist::store::{PostgresStore, StateDir, Store, TerminalInputError, TerminalInputReader, TerminalInputWriter};
use tempfile::TempDir;

use super::BackendSite;
use crate::postgres_server;
use crate::temp_site::wait_for;

const RUN: RunId = RunId(7);

fn size(columns: u16, rows: u16) -> WindowSize {
    WindowSize { columns, rows }
}

/// All available input, with adjacent bytes joined.
fn all(reader: &mut TerminalInputReader) -> Vec<TerminalInput> {
    let mut all: Vec<TerminalInput> = Vec::new();
    loop {
        let more = reader.read();
        if more.is_empty() {
            return all;
        }
        for typed in more {
            match (all.last_mut(), typed) {
                (Some(TerminalInput::Bytes(before)), TerminalInput::Bytes(bytes)) => before.extend(bytes),
                (_, typed) => all.push(typed),
            }
        }
    }
}

#[test]
fn input_of_several_screens_does_not_mix() {
    for backend in [BackendSite::memory(), BackendSite::sqlite()] {
        let mut reader = backend.connect().terminal_inputs().open_reader(RUN).unwrap();
        assert_eq!(reader.read(), []);
        let (mut one, mut other) =
            (backend.connect().terminal_inputs().writer(RUN), backend.connect().terminal_inputs().writer(RUN));
        one.send(b"first").unwrap();
        other.resize(size(100, 30)).unwrap();
        other.resize(size(90, 20)).unwrap();
        let long = vec![b'x'; 20_000];
        one.send(&long).unwrap();
        drop(one);
        let expected = [
            TerminalInput::Bytes(b"first".to_vec()),
            TerminalInput::Size(size(100, 30)),
            TerminalInput::Size(size(90, 20)),
            TerminalInput::Bytes(long),
        ];
        assert_eq!(all(&mut reader), expected);
        other.send(b"still there").unwrap();
        assert_eq!(all(&mut reader), [TerminalInput::Bytes(b"still there".to_vec())]);
    }
}

#[test]
fn sending_input_never_blocks() {
    for backend in [BackendSite::memory(), BackendSite::sqlite()] {
        let lines = backend.connect().terminal_inputs();
        let mut writer = lines.writer(RUN);
        assert_eq!(writer.send(b"too soon"), Err(TerminalInputError::NotConnected));
        let mut reader = lines.open_reader(RUN).unwrap();
        let piece = [b'x'; 400];
        let full = (0..100_000).find_map(|_| writer.send(&piece).err());
        assert_eq!(full, Some(TerminalInputError::BufferFull));
        assert_eq!(lines.writer(RunId(8)).send(b"another run"), Err(TerminalInputError::NotConnected));
        assert!(all(&mut reader).len() == 1);
        writer.send(b"again").unwrap();
        assert_eq!(all(&mut reader), [TerminalInput::Bytes(b"again".to_vec())]);
        drop(reader);
        assert_eq!(writer.send(b"too late"), Err(TerminalInputError::NotConnected));
        assert_eq!(writer.resize(size(1, 1)), Err(TerminalInputError::NotConnected));
    }
}

#[test]
fn the_last_terminal_size_is_stored() {
    for backend in [BackendSite::memory(), BackendSite::sqlite()] {
        let lines = backend.connect().terminal_inputs();
        assert_eq!(lines.last_size(), size(80, 24));
        lines.record_size(size(132, 50)).unwrap();
        lines.record_size(size(99, 33)).unwrap();
        assert_eq!(backend.connect().terminal_inputs().last_size(), size(99, 33));
    }
}

type BoxedStore = Box<dyn Store>;

/// For each backend, the connection of a worker and that of a screen; where a server has the site, of another machine.
fn worker_and_screen() -> Vec<(BoxedStore, BoxedStore, TempDir)> {
    let here = |backend: BackendSite| (backend.connect(), backend.connect(), backend.into_folder());
    let mut pairs = vec![here(BackendSite::memory()), here(BackendSite::sqlite())];
    pairs.extend(postgres_server::new_site().map(|address| {
        let folder = TempDir::new().unwrap();
        let open = |name: &str| {
            let local = StateDir::new(folder.path().join(name));
            local.create().unwrap();
            Box::new(PostgresStore::open(&address, &local).unwrap()) as Box<dyn Store>
        };
        (open("worker"), open("screen"), folder)
    }));
    pairs
}

#[test]
fn input_from_any_machine_arrives_in_order_and_only_while_the_run_has_a_terminal() {
    for (worker, screen, _folder) in worker_and_screen() {
        let mut writer = screen.terminal_inputs().writer(RUN);
        let fails_with =
            |writer: &mut TerminalInputWriter, bytes: &[u8]| wait_for("a failure", || writer.send(bytes).err());
        assert_eq!(fails_with(&mut writer, b"too soon"), TerminalInputError::NotConnected);
        let mut reader = worker.terminal_inputs().open_reader(RUN).unwrap();
        let long: Vec<u8> = (0..20_000).map(|nth| b'a' + u8::try_from(nth % 26).unwrap()).collect();
        // On another machine, the terminal is known after a moment.
        let mut received = Vec::new();
        wait_for("a first byte", || {
            let _ = writer.send(b"x");
            received.extend(all(&mut reader));
            (!received.is_empty()).then_some(())
        });
        writer.send(b"|first").unwrap();
        writer.resize(size(100, 30)).unwrap();
        writer.send(&long).unwrap();
        wait_for("all of it", || {
            received.extend(all(&mut reader));
            let bytes =
                received.iter().map(|input| if let TerminalInput::Bytes(bytes) = input { bytes.len() } else { 0 });
            (bytes.sum::<usize>() >= long.len() + 6).then_some(())
        });
        let resized = received.iter().position(|input| *input == TerminalInput::Size(size(100, 30))).unwrap();
        let bytes = |inputs: &[TerminalInput]| -> Vec<u8> {
            let bytes = |input: &TerminalInput| {
                if let TerminalInput::Bytes(bytes) = input { bytes.clone() } else { Vec::new() }
            };
            inputs.iter().flat_map(bytes).collect()
        };
        let before = bytes(&received[..resized]);
        assert!(before.ends_with(b"x|first"), "{before:?}");
        assert_eq!(bytes(&received[resized..]), long);
        // A job that does not read what is typed.
        let full = wait_for("a failure", || (0..2_000).find_map(|_| writer.send(&[b'y'; 400]).err()));
        assert_eq!(full, TerminalInputError::BufferFull);
        drop(reader);
        wait_for("the end", || (writer.send(b"too late") == Err(TerminalInputError::NotConnected)).then_some(()));
    }
}

#[test]
fn input_is_not_kept_on_the_server() {
    let Some(address) = postgres_server::new_site() else { return };
    let folder = TempDir::new().unwrap();
    let open = |name: &str| {
        let local = StateDir::new(folder.path().join(name));
        local.create().unwrap();
        PostgresStore::open(&address, &local).unwrap()
    };
    let (worker, screen) = (open("worker"), open("screen"));
    let mut reader = worker.terminal_inputs().open_reader(RUN).unwrap();
    let mut writer = screen.terminal_inputs().writer(RUN);
    wait_for("the input", || {
        let _ = writer.send(b"secret");
        (!all(&mut reader).is_empty()).then_some(())
    });
    let mut client = postgres_server::client();
    let site = format!("(SELECT id FROM setlist.sites WHERE name = '{}')", address.site());
    let mut count = |table: &str| -> i64 {
        client.query_one(&format!("SELECT count(*) FROM setlist.{table} WHERE site = {site}"), &[]).unwrap().get(0)
    };
    wait_for("an empty table", || {
        all(&mut reader);
        (count("terminal_input") == 0).then_some(())
    });
    assert_eq!(count("terminals"), 1);
    drop(reader);
    wait_for("the end of the terminal", || (count("terminals") == 0).then_some(()));
}

/// The path of a run's pipe.
fn path(backend: &BackendSite) -> PathBuf {
    backend.state_dir().terminal_inputs().join(RUN.to_string())
}

#[test]
fn an_input_pipe_is_private_and_removed_after_the_run() {
    let backend = BackendSite::sqlite();
    let lines = backend.connect().terminal_inputs();
    let reader = lines.open_reader(RUN).unwrap();
    let pipe = fs::metadata(path(&backend)).unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!(pipe.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(backend.state_dir().terminal_inputs()).unwrap().permissions().mode() & 0o777, 0o700);
    drop(reader);
    assert!(!path(&backend).exists());
}

#[test]
fn input_is_never_written_to_a_regular_file() {
    let backend = BackendSite::sqlite();
    let lines = backend.connect().terminal_inputs();
    // Left by a killed worker, or created by another program.
    drop(lines.open_reader(RUN).unwrap());
    fs::write(path(&backend), "").unwrap();
    assert_eq!(lines.writer(RUN).send(b"secret"), Err(TerminalInputError::NotConnected));
    assert_eq!(fs::read_to_string(path(&backend)).unwrap(), "");
    let mut reader = lines.open_reader(RUN).unwrap();
    lines.writer(RUN).send(b"x").unwrap();
    assert_eq!(all(&mut reader), [TerminalInput::Bytes(b"x".to_vec())]);
}
