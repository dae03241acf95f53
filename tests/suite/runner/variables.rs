//! Files of variables: read when a run starts, laid under what the script says itself, and told of by place only.

use super::*;

/// A launch in a folder with these files, of a script that names them.
fn with_files(files: &[(&str, &str)], env: &[(&str, Option<&str>)], text: &str) -> (tempfile::TempDir, Launch) {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::default();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
        setup.env_files.push(PathBuf::from(name));
    }
    setup.env = env.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    let launch = Launch { folder: folder.path().to_owned(), ..of(Script::shell(text).with(setup)) };
    (folder, launch)
}

fn printed(launch: Launch) -> String {
    let (report, text) = ran(launch);
    assert_eq!(report.outcome, Outcome::Succeeded);
    text
}

fn why(launch: Launch) -> String {
    let (report, text) = ran(launch);
    assert_eq!((failure(&report).0, &*text), (FailureKind::NotStarted, ""));
    failure(&report).1.to_owned()
}

#[test]
fn files_of_variables_are_laid_under_the_scripts_own() {
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
fn a_path_in_a_file_finds_programs() {
    let (folder, launch) = with_files(&[(".env", "PATH=bin:/usr/bin:/bin")], &[], "");
    fs::create_dir(folder.path().join("bin")).unwrap();
    let program = folder.path().join("bin/greet");
    fs::write(&program, "#!/bin/sh\necho hi\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let setup = Setup { env_files: vec![".env".into()], ..Setup::default() };
    let launch = Launch { definition: Definition::new(Script::command(["greet"]).with(setup)).into(), ..launch };
    assert_eq!(printed(launch), "hi\n");
}

#[test]
fn a_file_is_read_anew_for_every_run() {
    let (folder, launch) = with_files(&[(".env", "A=1")], &[], "echo $A");
    assert_eq!(printed(again(&launch)), "1\n");
    fs::write(folder.path().join(".env"), "A=2").unwrap();
    assert_eq!(printed(launch), "2\n");
}

#[test]
fn a_file_that_cannot_be_read_keeps_the_run_from_starting() {
    let (folder, launch) = with_files(&[(".env", "A=1\n\n# A comment.\nB C=secret\nD=4\n")], &[], "echo ran");
    let path = folder.path().join(".env").display().to_string();
    assert_eq!(why(again(&launch)), format!("{path}, line 4: not NAME=value (env_file)"));
    for (text, line) in [("A=1\nB=\"open\nC=2\n", 2), ("A='a\nb'\nB", 3), ("A=\0", 1), ("=x", 1), ("\n\nA=b c d", 3)] {
        fs::write(folder.path().join(".env"), text).unwrap();
        assert_eq!(why(again(&launch)), format!("{path}, line {line}: not NAME=value (env_file)"), "{text:?}");
    }
    fs::write(folder.path().join(".env"), b"A=\xff").unwrap();
    assert_eq!(why(again(&launch)), format!("{path} (env_file): it is no UTF-8 text"));
    fs::remove_file(folder.path().join(".env")).unwrap();
    assert_eq!(why(again(&launch)), format!("{path} (env_file): no such file or directory"));
    fs::create_dir(folder.path().join(".env")).unwrap();
    assert_eq!(why(launch), format!("{path} (env_file): it is no regular file"));
}

/// The same once more.
fn again(launch: &Launch) -> Launch {
    Launch {
        definition: launch.definition.clone(),
        folder: launch.folder.clone(),
        env: launch.env.clone(),
        mark: launch.mark.clone(),
        value_file: launch.value_file.clone(),
        terminal: Terminal::default(),
    }
}
