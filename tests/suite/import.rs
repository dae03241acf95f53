//! `setlist import`: what a `jobs.yaml` that was made from a crontab, a Procfile or pueue's state says, and what is
//! reported as not carried over.

mod crontab_shapes;
mod crontabs;
mod procfiles;
mod pueue_states;

use crate::temp_site::{CommandOutput, TempSite};

/// Imports a text as this kind of file into `jobs.yaml`, which must be valid, and returns the messages.
#[track_caller]
fn import(site: &TempSite, kind: &str, text: &str, options: &[&str]) -> String {
    site.write("input", text);
    let output = site.run(&[&["import", kind, "input", "-o", "jobs.yaml", "--force"], options].concat());
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{output:?}");
    site.ok(&["check"]);
    output.stderr
}

/// Imports a text of which nothing remains.
#[track_caller]
fn refused(site: &TempSite, kind: &str, text: &str, options: &[&str]) -> CommandOutput {
    site.write("input", text);
    let output = site.run(&[&["import", kind, "input"], options].concat());
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    output
}

#[test]
fn a_file_is_overwritten_only_with_force() {
    let site = TempSite::with("queues: {}\n");
    site.write("Procfile", "web: ./web\n");
    let output = site.run(&["import", "procfile", "-o", "jobs.yaml"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (Some(2), "setlist: jobs.yaml already exists; --force overwrites it\n")
    );
    assert_eq!(site.read("jobs.yaml"), "queues: {}\n");
    site.ok(&["import", "procfile", "-o", "jobs.yaml", "--force"]);
    assert!(site.read("jobs.yaml").contains("run: ./web"));
    let left: Vec<_> = std::fs::read_dir(site.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no temporary file: {left:?}");
    // Without -o, the text is printed and nothing is written.
    let printed = site.ok(&["import", "procfile", "Procfile"]);
    assert_eq!(printed, site.read("jobs.yaml"));
}

#[test]
fn a_link_is_never_followed_to_make_a_file() {
    let site = TempSite::empty();
    site.write("Procfile", "web: ./web\n");
    std::os::unix::fs::symlink(site.join("elsewhere"), site.join("jobs.yaml")).unwrap();
    let output = site.run(&["import", "procfile", "-o", "jobs.yaml"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(!site.join("elsewhere").exists());
}

#[test]
fn options_for_another_kind_of_file_are_refused() {
    let site = TempSite::empty();
    for (args, message) in [
        (&["import", "pueue", "-", "--system"][..], "--system is only for a crontab"),
        (&["import", "crontab", "-", "--finished"], "--finished is only for pueue"),
        (&["import", "procfile", "-", "--environments"], "--environments is only for pueue"),
    ] {
        let output = site.run(args);
        assert_eq!((output.code, output.stderr), (Some(2), format!("setlist: {message}\n")));
    }
    let missing = site.run(&["import", "procfile"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("cannot read Procfile"), "{missing:?}");
}
