//! A `jobs.yaml` that is not a plain file: links, hard links, pipes, files of others and read-only files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Child, Stdio};

use rustix::fs::{CWD, FileType, mknodat};

use crate::temp_site::{TempSite, wait_for, wait_until_stopped};

const GATED: &str = "queues:\n  q:\n    parallel: 2\n    jobs:\n      - {id: gate, run: 'touch started; while [ ! -e go ]; do sleep 0.01; done'}\n";

/// Processes the queue `q` until the file `go` exists.
fn process(site: &TempSite) -> Child {
    let child = site.command(&["process", "q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first job", || site.join("started").exists().then_some(()));
    child
}

fn add(site: &TempSite) {
    site.ok(&["add", "q", "--save", "--", "true"]);
    assert!(site.read("jobs.yaml").contains("command: [\"true\"]"), "{}", site.read("jobs.yaml"));
}

#[test]
fn a_link_to_a_missing_file_is_called_so_and_the_name_of_a_folder_stays_on_its_line() {
    let site = TempSite::empty();
    symlink("/nowhere/jobs.yaml", site.join("jobs.yaml")).unwrap();
    for command in [&["list"][..], &["-f", "jobs.yaml", "list"]] {
        let refused = site.run(command);
        let expected = "jobs.yaml is a link to /nowhere/jobs.yaml, which does not exist\n";
        assert!(refused.code == Some(2) && refused.stderr.ends_with(expected), "{refused:?}");
    }
    fs::create_dir(site.join("a\nb")).unwrap();
    site.write("a\nb/jobs.yaml", "queues: {q: [{rum: a}]}\n");
    let refused = site.run(&["-f", "a\nb/jobs.yaml", "check"]);
    assert!(
        refused.stderr.lines().any(|line| line.contains("--> ") && line.ends_with("jobs.yaml:1:15")),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains("a\nb"), "{refused:?}");
}

#[test]
fn a_change_of_the_target_of_a_link_is_noticed() {
    let site = TempSite::empty();
    for version in ["v1", "v2"] {
        fs::create_dir(site.join(version)).unwrap();
        site.write(&format!("{version}/jobs.yaml"), GATED);
    }
    symlink("v1", site.join("..data")).unwrap();
    symlink("..data/jobs.yaml", site.join("jobs.yaml")).unwrap();
    let mut process = process(&site);
    // The target is edited.
    site.write("v1/jobs.yaml", &format!("{GATED}      - touch edited\n"));
    wait_for("the edited target", || site.join("edited").exists().then_some(()));
    // A link on the way is replaced, as Kubernetes does.
    site.write("v2/jobs.yaml", &format!("{GATED}      - touch edited\n      - touch swapped\n"));
    symlink("v2", site.join("..next")).unwrap();
    fs::rename(site.join("..next"), site.join("..data")).unwrap();
    wait_for("the replaced link", || site.join("swapped").exists().then_some(()));
    // The new target is edited.
    site.write("v2/jobs.yaml", &format!("{GATED}      - touch edited\n      - touch swapped\n      - touch again\n"));
    wait_for("the edited new target", || site.join("again").exists().then_some(()));
    site.write("go", "");
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_pipe_or_a_folder_in_place_of_the_file_blocks_nothing() {
    let site = TempSite::with(GATED);
    let mut process = process(&site);
    fs::remove_file(site.join("jobs.yaml")).unwrap();
    mknodat(CWD, site.join("jobs.yaml"), FileType::Fifo, 0o600.into(), 0).unwrap();
    let file = site.join("jobs.yaml").display().to_string();
    for args in [&["check"][..], &["list"], &["status"], &["add", "q", "--save", "--", "true"]] {
        let mut child = site.command(&[&["-f", &file], args].concat());
        let child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 2 | 3)), "{args:?}: {output:?}");
        assert!(args != ["check"] || String::from_utf8_lossy(&output.stderr).contains("not a regular file"));
    }
    site.write("go", "");
    assert!(process.wait().unwrap().success());
    fs::remove_file(site.join("jobs.yaml")).unwrap();
    fs::create_dir(site.join("jobs.yaml")).unwrap();
    let check = site.run(&["check", &file]);
    assert!(check.code == Some(2) && check.stderr.contains("not a regular file"), "{check:?}");
}

#[test]
fn saving_keeps_the_mode_the_owner_and_the_links() {
    let site = TempSite::empty();
    fs::create_dir(site.join("dotfiles")).unwrap();
    let target = site.join("dotfiles/jobs.yaml");
    site.write("dotfiles/jobs.yaml", "queues:\n  q: []\n");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("dotfiles/jobs.yaml", site.join("jobs.yaml")).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&target, Some(4711), Some(4712)).unwrap();
    } else {
        eprintln!("SKIPPED: only root can give a file to another user");
    }
    let before = target.metadata().unwrap();
    // A file of another user is refused unless it is named.
    let file = site.join("jobs.yaml").display().to_string();
    site.ok(&["-f", &file, "add", "q", "--save", "--", "true"]);
    let after = target.metadata().unwrap();
    assert!(site.join("jobs.yaml").is_symlink() && site.read("dotfiles/jobs.yaml").contains("command: [\"true\"]"));
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));

    let site = TempSite::with("queues:\n  q: []\n");
    fs::hard_link(site.join("jobs.yaml"), site.join("other.yaml")).unwrap();
    add(&site);
    assert_eq!(site.read("other.yaml"), site.read("jobs.yaml"));
}

#[test]
fn a_read_only_file_is_refused() {
    let site = TempSite::with("queues: {q: []}\n");
    fs::set_permissions(site.join("jobs.yaml"), fs::Permissions::from_mode(0o444)).unwrap();
    let output = site.run(&["add", "q", "--save", "--", "true"]);
    assert!(output.code == Some(2) && output.stderr.contains("it is read-only"), "{output:?}");
    assert_eq!(site.read("jobs.yaml"), "queues: {q: []}\n");
    assert_eq!(site.ok(&["list"]), "");
}

#[test]
fn drafts_of_killed_processes_are_removed() {
    let site = TempSite::with("queues:\n  q: []\n");
    site.write(".jobs.yaml.123456", "queues:");
    site.write(".jobs.yaml.backup", "mine");
    add(&site);
    assert!(!site.join(".jobs.yaml.123456").exists() && site.join(".jobs.yaml.backup").exists());
    let drafts = fs::read_dir(site.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(drafts.filter(|name| name.to_string_lossy().starts_with(".jobs.yaml.")).count(), 1);
}

/// `add --save` at the point at which the new text is written, but the file is not replaced.
fn saving(site: &TempSite, variable: &str) -> Child {
    let mut command = site.command(&["add", "q", "--save", "--", "true"]);
    command.env(variable, "draft").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn the_draft_of_a_killed_process_is_removed_by_the_next_command() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no points at which a test can interfere");
        return;
    }
    let drafts = |site: &TempSite| {
        let names = fs::read_dir(site.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".jobs.yaml.")).count()
    };
    let site = TempSite::with("queues:\n  q: []\n");
    assert_eq!(saving(&site, "SETLIST_CRASH").wait().unwrap().code(), None);
    assert_eq!(drafts(&site), 1);
    site.ok(&["list"]);
    assert_eq!((drafts(&site), &site.read("jobs.yaml")[..]), (0, "queues:\n  q: []\n"));
    add(&site);
}

#[test]
fn saving_locks_only_what_other_users_can_not_lock() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no points at which a test can interfere");
        return;
    }
    let site = TempSite::with("queues:\n  q: []\n");
    let mut first = saving(&site, "SETLIST_STOP");
    wait_until_stopped(first.id());
    for path in [site.path().to_owned(), site.join("jobs.yaml")] {
        fs::File::open(&path).unwrap().try_lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    // A process of the same user waits for the first one, and says so.
    let mut second = site.command(&["add", "q", "--save", "--", "false"]);
    let mut second = second.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(second.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("setlist: waiting for process {} (setlist add), which is stopped\n", first.id()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&first), rustix::process::Signal::CONT).unwrap();
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    let file = site.read("jobs.yaml");
    assert!(file.contains("[\"true\"]") && file.contains("[\"false\"]"), "{file}");
}

#[test]
fn check_warns_of_what_is_missing_on_this_machine() {
    let site = TempSite::with(
        "queues:
  q:
    - {id: cwd, run: a, cwd: nowhere}
    - {id: env, run: a, env_file: [jobs.yaml, .env]}
    - {id: shell, run: a, shell: [no-such-shell, -c]}
    - {id: fine, run: a, cwd: '~', shell: sh}
",
    );
    let check = site.run(&["check"]);
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), "jobs.yaml: 1 queue, 4 jobs\n"));
    let warnings = [
        "setlist: warning: q/cwd: the working directory nowhere does not exist",
        "setlist: warning: q/env: the env_file .env does not exist",
        "setlist: warning: q/shell: the shell no-such-shell is not installed",
    ];
    assert_eq!(check.stderr.lines().collect::<Vec<_>>(), warnings);
    let names = TempSite::with(
        "queues: {'1': [a], '@last': [a], a/b: [a], a b: [{id: x, run: 'true', confirm: 'yes'}], fine-1: [a]}\n",
    );
    let check = names.run(&["check"]);
    let warnings = [
        "setlist: warning: the queue \"1\": commands take a number for that of a job; choose another name",
        "setlist: warning: the queue \"@last\": commands take a name with `@` for a special word, such as `@last`; choose another name",
        "setlist: warning: the queue \"a/b\": commands take a name with `/` for that of a job; choose another name",
        "setlist: warning: the queue \"a b\": a name with spaces has to be quoted in commands; choose another name",
        "setlist: warning: a b/x: `confirm` asks the question \"yes\"; did you mean `confirm: true`?",
    ];
    assert_eq!((check.code, check.stderr.lines().collect::<Vec<_>>()), (Some(0), warnings.to_vec()));
    let tag = site.run(&["list", "--tag", "nightly"]);
    assert_eq!(
        (tag.code, tag.stderr.as_str()),
        (Some(2), "setlist: no job has the tag \"nightly\"; there are no tags\n")
    );
    let query = site.run(&["list", "-q", "bogus:1"]);
    assert!(query.code == Some(2) && query.stderr.contains("unknown field `bogus:`"), "{query:?}");
}
