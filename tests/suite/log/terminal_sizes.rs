//! The sizes of a run's terminal.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};

use proptest::prelude::*;
use setlist::model::{Stream, WindowSize};
use setlist::store::log::{delete_log, delete_output, log_sizes};
use setlist::tui::output::TerminalView;

use super::{RUN, at, names, reader, writer};

fn size(columns: u16, rows: u16) -> WindowSize {
    WindowSize { columns, rows }
}

/// Writes the sizes file of a run that has printed `hello`.
fn written(folder: &std::path::Path, bytes: &[u8]) {
    let mut log = writer(folder);
    log.write(Stream::Out, b"hello", at(0)).unwrap();
    log.finish().unwrap();
    fs::write(folder.join("7.sizes"), bytes).unwrap();
}

#[test]
fn sizes_apply_from_an_offset_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut log = writer(folder);
    let reader = reader(folder);
    log.resize(size(80, 24));
    log.resize(size(100, 30));
    assert_eq!(
        (names(folder).len(), reader.terminal_sizes()),
        (0, Vec::new()),
        "nothing is made before there is output"
    );
    log.write(Stream::Out, b"hello", at(0)).unwrap();
    assert_eq!(reader.terminal_sizes(), [(0, size(100, 30))]);
    log.resize(size(60, 20));
    log.resize(size(61, 20));
    log.write(Stream::Out, b"you", at(1)).unwrap();
    log.resize(size(62, 20));
    let all = [(0, size(100, 30)), (5, size(61, 20)), (8, size(62, 20))];
    assert_eq!(reader.terminal_sizes(), all);
    log.finish().unwrap();
    assert_eq!(reader.terminal_sizes(), all);
    assert_eq!(names(folder), ["7.log", "7.marks", "7.sizes"]);
    assert_eq!(fs::metadata(folder.join("7.sizes")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_run_without_a_terminal_has_no_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = writer(folder.path());
    log.write(Stream::Out, b"hello", at(0)).unwrap();
    log.finish().unwrap();
    assert_eq!(names(folder.path()), ["7.log", "7.marks"]);
    assert_eq!(reader(folder.path()).terminal_sizes(), []);
}

#[test]
fn the_number_of_size_records_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = writer(folder.path());
    log.resize(size(1, 1));
    for columns in 1..3000 {
        log.write(Stream::Out, b"x", at(0)).unwrap();
        log.resize(size(columns % 200 + 1, 24));
    }
    assert!(fs::metadata(folder.path().join("7.sizes")).unwrap().len() <= 16 * 1024);
    let sizes = reader(folder.path()).terminal_sizes();
    assert_eq!(sizes.first(), Some(&(0, size(1, 1))));
    assert_eq!(sizes.last(), Some(&(2999, size(2999 % 200 + 1, 24))), "the last one is what a live run prints for");
}

#[test]
fn sizes_are_deleted_with_the_log() {
    for gone in ["discarded", "erased"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        written(folder, &[0; 160]);
        let all: u64 = names(folder).iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum();
        assert_eq!(log_sizes(folder).unwrap()[&RUN], all);
        let freed = if gone == "erased" { delete_log(folder, RUN) } else { delete_output(folder, RUN, at(0)) };
        let left = fs::metadata(folder.join("7.log")).map_or(0, |log| log.len());
        assert_eq!(freed.unwrap(), Some(all - left), "{gone}");
        assert_eq!(names(folder), if gone == "erased" { &[][..] } else { &["7.log"] });
        assert_eq!(reader(folder).terminal_sizes(), []);
    }
}

#[test]
fn a_damaged_sizes_file_loses_sizes_only() {
    let record = |offset: u64, columns: u16, rows: u16| {
        let mut record = [0; 16];
        record[..8].copy_from_slice(&offset.to_le_bytes());
        record[8..10].copy_from_slice(&columns.to_le_bytes());
        record[10..12].copy_from_slice(&rows.to_le_bytes());
        record
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bytes = [
        record(0, 80, 24),
        record(2, u16::MAX, u16::MAX),
        record(3, 0, 5),
        record(4, 90, 24),
        record(1, 70, 24),
        record(4, 60, 24),
        record(u64::MAX, 50, 24),
    ];
    written(folder, &[bytes.as_flattened(), b"torn"].concat());
    assert_eq!(reader(folder).terminal_sizes(), [(0, size(80, 24)), (4, size(90, 24)), (u64::MAX, size(50, 24))]);
    fs::remove_file(folder.join("7.sizes")).unwrap();
    fs::create_dir(folder.join("7.sizes")).unwrap();
    assert_eq!(reader(folder).terminal_sizes(), []);
    let mut terminal = TerminalView::new(reader(folder), size(80, 24));
    while terminal.refresh() {}
    assert!(!terminal.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The output can be read whatever the file contains.
    #[test]
    fn any_sizes_file_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..600), at in 0_u64..600) {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &[0, 0, 0, 0, 0, 0, 0, 0, 80, 0, 24, 0, 0, 0, 0, 0].repeat(20));
        fs::OpenOptions::new().write(true).open(folder.path().join("7.sizes")).unwrap().write_all_at(&bytes, at).unwrap();
        for (columns, rows) in [(80, 24), (1, 1)] {
            let mut terminal = TerminalView::new(reader(folder.path()), size(columns, rows));
            terminal.resize(size(columns, rows), columns == 80);
            while terminal.refresh() {}
            prop_assert!(!terminal.is_empty());
        }
        let sizes = reader(folder.path()).terminal_sizes();
        prop_assert!(sizes.is_sorted_by(|one, next| one.0 < next.0));
    }
}
