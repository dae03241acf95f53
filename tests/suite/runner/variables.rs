//! Env files: read when a run starts, overridden by the variables of the script, and never quoted in errors.

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
    assert_eq!(printed(launch), "own|second|$A # no comment|two\nlines|secondnd|gone|/nowhere|");
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
fn an_invalid_env_file_fails_the_start() {
    let (folder, launch) = with_files(&[(".env", "A=1\n\n# A comment.\nB C=secret\nD=4\n")], &[], "echo ran");
    let path = folder.path().join(".env").display().to_string();
    assert_eq!(start_error(relaunch(&launch)), format!("{path}, line 4: not NAME=value (env_file)"));
    for (text, line) in [("A=1\nB=\"open\nC=2\n", 2), ("A='a\nb'\nB", 3), ("A=\0", 1), ("=x", 1), ("\n\nA=b c d", 3)] {
        fs::write(folder.path().join(".env"), text).unwrap();
        assert_eq!(
            start_error(relaunch(&launch)),
            format!("{path}, line {line}: not NAME=value (env_file)"),
            "{text:?}"
        );
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
        env: launch.env.clone(),
        tag: launch.tag.clone(),
        value_file: launch.value_file.clone(),
        pty: PtyOptions::default(),
    }
}
