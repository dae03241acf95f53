//! Reading files, their versions, and finding them.

use std::fs;

use setlist::definition::{self, Error};

use super::*;

#[test]
fn reading_a_file_returns_its_stamp() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    assert!(matches!(definition::read(&file), Err(Error::Missing(path)) if path == file));
    assert!(matches!(definition::read(folder.path()), Err(Error::Unreadable { .. })));
    assert!(definition::file_version(&file).is_err());

    fs::write(&file, "queues: {q: [a]}").unwrap();
    let plan = definition::read(&file).unwrap();
    assert_eq!(plan.version, definition::file_version(&file).unwrap());
    assert_eq!(job_names(&plan, 0), ["a"]);

    let saved = folder.path().join("saved");
    fs::write(&saved, "queues: {q: [b]}").unwrap();
    fs::rename(&saved, &file).unwrap();
    assert_ne!(
        plan.version,
        definition::file_version(&file).unwrap(),
        "another file of the same length has another stamp"
    );

    fs::write(&file, "queues: [").unwrap();
    let Err(Error::Invalid(diagnostics)) = definition::read(&file) else { panic!() };
    assert_eq!(diagnostics.name, file.display().to_string());

    fs::write(&file, b"queues:\n  q: [\"\xff\"]\n").unwrap();
    let error = definition::read(&file).unwrap_err().to_string();
    assert!(error.ends_with("jobs.yaml:2:8: the file isn't valid UTF-8"), "{error}");

    for mark in [[0xff, 0xfe], [0xfe, 0xff]] {
        fs::write(&file, mark).unwrap();
        let error = definition::read(&file).unwrap_err().to_string();
        assert!(error.ends_with("jobs.yaml:1:1: the file is UTF-16, not UTF-8"), "{error}");
    }
    fs::write(&file, "\u{feff}queues: {q: [a]}").unwrap();
    assert_eq!(job_names(&definition::read(&file).unwrap(), 0), ["a"], "a UTF-8 byte order mark is ignored");
}

#[test]
fn the_nearest_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (outer, inner) = (folder.path().join("jobs.yaml"), folder.path().join("a/jobs.yaml"));
    fs::create_dir_all(folder.path().join("a/b/jobs.yaml")).unwrap();
    fs::write(&outer, "").unwrap();
    fs::write(&inner, "").unwrap();
    let deep = folder.path().join("a/b");
    assert_eq!(definition::find(&deep), Some(inner.clone()), "a folder with that name is ignored");
    assert_eq!(definition::find(folder.path()), Some(outer.clone()));
    assert_eq!(definition::find_all(&deep)[..2], [inner, outer]);
}

#[test]
fn the_line_of_a_field_is_found_where_the_job_has_or_inherits_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.yaml");
    let yaml = "defaults:\n  timeout: 1h\nqueues:\n  q:\n    stall: 1m\n    jobs:\n      - id: a\n        run: |\n          one\n        limits:\n          cpus: 1\n          memory: 4GiB\n      - {id: b, command: [x], timeout: 5m}\n";
    fs::write(&file, yaml).unwrap();
    let line = |name, field: &[&str]| definition::field_place_in_file(&file, "q", name, field).map(|(_, line)| line);
    assert_eq!(line("a", &["limits", "memory"]), Some(12));
    assert_eq!(line("a", &["run"]), Some(8));
    assert_eq!(line("a", &["timeout"]), Some(2), "that of the defaults");
    assert_eq!(line("a", &["stall"]), Some(5), "that of the queue");
    assert_eq!(line("b", &["timeout"]), Some(13));
    assert_eq!(line("a", &["cwd"]), Some(7), "the job, as it has no such field");
    assert_eq!(line("none", &["cwd"]), None);
}

#[test]
fn line_of_finds_a_job() {
    let yaml = "queues:\n  q:\n    jobs:\n      - a\n      - id: x\n        run: b\n      -\n        run: a\n      - tiemout: 1\n        run: c\n  bare: [d,\n    [], e]\n";
    let line = |queue, name| definition::line_of(yaml, queue, name);
    assert_eq!(
        [line("q", "a"), line("q", "x"), line("q", "a-2"), line("q", "c")],
        [Some(4), Some(5), Some(8), Some(9)]
    );
    assert_eq!([line("bare", "d"), line("bare", "e")], [Some(11), Some(12)]);
    assert_eq!([line("q", "missing"), line("nowhere", "a")], [None, None]);
    assert_eq!(definition::line_of("queues: [", "q", "a"), None);
}
