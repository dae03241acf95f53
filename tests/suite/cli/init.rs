//! `setlist init`: what it writes, and the templates.

use std::fs;
use std::path::PathBuf;

use crate::temp_site::TempSite;

fn examples() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    // A folder of examples is no template.
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let mut files: Vec<_> = files
        .map(|file| (file.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(file).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_template_is_the_very_file_of_examples() {
    for (name, text) in examples() {
        let site = TempSite::empty();
        site.ok(&["init", "--from", &name]);
        assert_eq!(site.read("jobs.yaml"), text, "{name}");
        site.ok(&["check"]);
        let again = site.run(&["init", "--from", &name]);
        assert!(again.code == Some(2) && again.stderr.contains("already exists"), "{again:?}");
    }
}

#[test]
fn the_list_has_every_template_with_what_it_is_for() {
    let site = TempSite::empty();
    let list = site.ok(&["init", "--list"]);
    assert!(!site.join("jobs.yaml").exists());
    let mut listed: Vec<&str> = list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!(listed, examples().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    assert!(list.contains("backup        A backup of several folders with restic"), "{list}");
    assert!(list.lines().all(|line| line.ends_with('.')), "each first line is a sentence: {list}");
    assert!(list.lines().all(|line| line.chars().count() <= 125 && line.chars().count() > 25), "{list}");
}

#[test]
fn the_programs_that_a_template_needs_are_named() {
    let site = TempSite::empty();
    let list = site.ok(&["init", "--list"]);
    assert!(list.contains(" Needs ffmpeg.\n"), "{list}");
    fs::create_dir(site.join("bin")).unwrap();
    site.script("bin/restic", "true");
    let output = site.command(&["init", "--from", "backup"]).env("PATH", site.join("bin")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "setlist: not installed here: logger\n");
    // The template also says what to put in its place.
    for (name, text) in examples() {
        assert!(text.contains("\n# Needs: ") || text.contains("\n# It runs `"), "{name}");
    }
}

#[test]
fn an_unknown_template_is_an_error_that_names_them() {
    let site = TempSite::empty();
    let output = site.run(&["init", "--from", "bakup"]);
    assert!(output.code == Some(2) && output.stderr.contains("did you mean \"backup\"?"), "{output:?}");
    let output = site.run(&["init", "--from", "zzz"]);
    assert!(
        output.stderr.contains("the templates are backup, encode, sweep, gpus, release, version, data-load,"),
        "{output:?}"
    );
    assert!(output.stderr.contains("setlist init --list") && !site.join("jobs.yaml").exists(), "{output:?}");
}

#[test]
fn a_bare_file_has_an_empty_queue() {
    let site = TempSite::empty();
    assert!(site.ok(&["init", "--bare"]).starts_with("wrote jobs.yaml; add jobs to it"));
    assert_eq!(site.ok(&["check"]), "jobs.yaml: 1 queue, 0 jobs\n");
    assert_eq!(site.ok(&["list"]), "");
    site.ok(&["add", "default", "--save", "true"]);
    assert_eq!(site.ok(&["check"]), "jobs.yaml: 1 queue, 1 job\n");
    assert_eq!(site.run(&["init", "--bare", "--from", "backup"]).code, Some(2));
}
