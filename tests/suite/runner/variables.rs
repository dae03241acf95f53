//! Env files: read when a run starts, overridden by the variables of the script, and never quoted in errors.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use setlist::model::Environment;
use setlist::runner::{VariableSource, list_variables};

use super::*;

/// Launches a script that uses these env files.
fn with_files(files: &[(&str, &str)], env: &[(&str, Option<&str>)], text: &str) -> (tempfile::TempDir, Launch) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ExecOptions::default();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
        options.env_files.push(PathBuf::from(name));
    }
    options.env = env.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    let launch = Launch { folder: folder.path().to_owned(), ..of(Script::shell(text).with_exec(options)) };
    (folder, launch)
}

fn printed(launch: Launch) -> String {
    let (report, text) = ran(launch);
    assert_eq!(report.outcome, Outcome::Succeeded);
    text
}

fn start_error(launch: Launch) -> String {
    let (report, text) = ran(launch);
    assert_eq!((failure(&report).0, &*text), (FailureKind::NotStarted, ""));
    failure(&report).1.to_owned()
}

#[test]
fn variables_of_the_script_override_those_of_its_env_files() {
    let first =
        "# Ours.\nA=first\nB=first\nexport C='$A # no comment' # a comment\nD=\"two\nlines\"\nGONE=x\nHOME=/nowhere";
    let second = "\u{feff}B=second\r\nE=${B}nd  ";
    let (_folder, launch) = with_files(
        &[(".env", first), ("b.env", second)],
        &[("A", Some("own")), ("GONE", None)],
        r#"printf '%s|' "$A" "$B" "$C" "$D" "$E" "${GONE-gone}" "$HOME""#,
    );
    assert_eq!(printed(launch), "own|second|$A # no comment|two\nlines|${B}nd|gone|/nowhere|");
}

#[test]
fn programs_are_found_in_the_path_of_an_env_file() {
    let (folder, launch) = with_files(&[(".env", "PATH=bin:/usr/bin:/bin")], &[], "");
    fs::create_dir(folder.path().join("bin")).unwrap();
    let program = folder.path().join("bin/greet");
    fs::write(&program, "#!/bin/sh\necho hi\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = ExecOptions { env_files: vec![".env".into()], ..ExecOptions::default() };
    let launch = Launch { definition: Definition::new(Script::command(["greet"]).with_exec(options)).into(), ..launch };
    assert_eq!(printed(launch), "hi\n");
}

#[test]
fn env_files_are_read_for_every_run() {
    let (folder, launch) = with_files(&[(".env", "A=1")], &[], "echo $A");
    assert_eq!(printed(relaunch(&launch)), "1\n");
    fs::write(folder.path().join(".env"), "A=2").unwrap();
    assert_eq!(printed(launch), "2\n");
}

#[test]
fn values_of_env_files_are_literal() {
    let (_folder, launch) = with_files(&[(".env", "A=abc$HOME\nB=pa$$word")], &[], r#"printf '%s|' "$A" "$B""#);
    assert_eq!(printed(launch), "abc$HOME|pa$$word|");
}

#[test]
fn a_pipe_as_env_file_fails_the_start() {
    let (folder, launch) = with_files(&[(".env", "")], &[], "echo ran");
    let path = folder.path().join(".env");
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(start_error(launch), format!("{} (env_file): not a regular file", path.display()));
}

#[test]
fn a_leading_tilde_is_the_home_folder() {
    let (folder, launch) = with_files(&[("own.env", "A=home")], &[], "echo \"$A $PWD\"");
    let home = folder.path().canonicalize().unwrap();
    fs::create_dir(home.join("work")).unwrap();
    let options =
        ExecOptions { cwd: Some("~/work".into()), env_files: vec!["~/own.env".into()], ..ExecOptions::default() };
    let script = Job::from_definition(Arc::clone(&launch.definition)).script().cloned().unwrap();
    let launch = Launch {
        definition: Definition::new(script.with_exec(options)).into(),
        folder: "/".into(),
        env: vec![("HOME".to_owned(), home.clone().into())],
        ..launch
    };
    assert_eq!(printed(launch), format!("home {}/work\n", home.display()));
}

#[test]
fn an_invalid_env_file_fails_the_start() {
    let (folder, launch) = with_files(&[(".env", "A=1\n\n# A comment.\nB C=secret\nD=4\n")], &[], "echo ran");
    let path = folder.path().join(".env").display().to_string();
    let reason = "a name can't contain spaces";
    assert_eq!(start_error(relaunch(&launch)), format!("{path}, line 4: {reason} (env_file)"));
    for (text, line, reason) in [
        ("A=1\nB=\"secret\nC=2\n", 2, "the quote is not closed"),
        ("A='a\nb'\nB", 3, "missing `=` after the name"),
        ("A=\0", 1, "a NUL character can't be passed to a program"),
        ("\n\nA=secret c d", 3, "a value with spaces needs quotes"),
        ("A=sec\\ret", 1, "a value with a backslash needs single quotes"),
    ] {
        fs::write(folder.path().join(".env"), text).unwrap();
        assert_eq!(start_error(relaunch(&launch)), format!("{path}, line {line}: {reason} (env_file)"), "{text:?}");
    }
    fs::write(folder.path().join(".env"), b"A=\xff").unwrap();
    assert_eq!(start_error(relaunch(&launch)), format!("{path} (env_file): not UTF-8 text"));
    fs::remove_file(folder.path().join(".env")).unwrap();
    assert_eq!(start_error(relaunch(&launch)), format!("{path} (env_file): no such file or directory"));
    fs::create_dir(folder.path().join(".env")).unwrap();
    assert_eq!(start_error(launch), format!("{path} (env_file): not a regular file"));
}

/// A copy of the launch.
fn relaunch(launch: &Launch) -> Launch {
    Launch {
        definition: launch.definition.clone(),
        folder: launch.folder.clone(),
        environment: None,
        env: launch.env.clone(),
        tag: launch.tag.clone(),
        value_file: launch.value_file.clone(),
        secrets: Vec::new(),
        pty: PtyOptions::default(),
    }
}

/// The variables that a run of this launch has.
fn variables_of_process(launch: Launch) -> BTreeMap<OsString, OsString> {
    let (report, text) = ran(launch);
    assert_eq!(report.outcome, Outcome::Succeeded);
    let split = |variable: &str| variable.split_once('=').map(|(name, value)| (name.into(), value.into()));
    text.split('\0').filter_map(split).collect()
}

#[test]
fn the_listed_variables_are_those_that_the_process_gets() {
    for pty in [false, true] {
        let (folder, launch) = with_files(&[("first.env", "A=file\nB=file\nC=file\nD=file")], &[], "");
        let inherited = ["A", "B", "E", "F", "COLUMNS", "TERM", "NOTIFY_SOCKET", "INVOCATION_ID", "LISTEN_FDS"];
        let mut variables: Vec<_> = inherited.map(|name| (name.into(), "inherited".into())).into();
        variables.push(("PATH".into(), "/usr/bin:/bin".into()));
        let options = ExecOptions {
            env: [("B", Some("own")), ("C", None), ("D", Some("own")), ("F", None), ("LISTEN_FDS", Some("own"))]
                .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
                .into(),
            env_files: vec!["first.env".into()],
            pty,
            ..ExecOptions::default()
        };
        let launch = Launch {
            definition: Definition::new(Script::command(["env", "-0"]).with_exec(options)).into(),
            environment: Some(Arc::new(Environment { variables, ..Environment::default() })),
            env: vec![("D".to_owned(), "run".into()), ("E".to_owned(), "run".into())],
            ..launch
        };
        let listed = list_variables(&launch).unwrap();
        let source = |name: &str| listed.iter().find(|variable| variable.name == name).map(|found| &found.source);
        let first_file = folder.path().join("first.env");
        assert_eq!(source("A"), Some(&VariableSource::EnvFile(first_file)));
        assert_eq!(source("C"), Some(&VariableSource::Definition), "a variable that is unset is listed");
        assert_eq!((source("D"), source("PATH")), (Some(&VariableSource::Run), Some(&VariableSource::Inherited)));
        let set = listed.into_iter().filter_map(|variable| Some((variable.name, variable.value?))).collect();
        let got = variables_of_process(launch);
        assert_eq!(got, set, "pty: {pty}");
        for name in ["NOTIFY_SOCKET", "INVOCATION_ID"] {
            assert!(!got.contains_key(OsStr::new(name)), "{name} belongs to the service manager");
        }
        assert_eq!(got[OsStr::new("LISTEN_FDS")], "own", "a job may set such a variable itself");
    }
}

#[test]
fn variables_of_a_service_manager_are_not_inherited_from_this_process() {
    // The test sets them for another process, which runs this test alone.
    let name = "runner::variables::variables_of_a_service_manager_are_not_inherited_from_this_process";
    if std::env::var_os("INVOCATION_ID").is_some_and(|value| value == "of this test") {
        let (_folder, launch) = with_files(&[], &[], "echo ${INVOCATION_ID-unset} ${NOTIFY_SOCKET-unset} $OTHER");
        assert_eq!(printed(Launch { environment: None, ..launch }), "unset unset passed\n");
        return;
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args([name, "--exact"]).env("INVOCATION_ID", "of this test").env("NOTIFY_SOCKET", "/none");
    let output = alone.env("OTHER", "passed").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
