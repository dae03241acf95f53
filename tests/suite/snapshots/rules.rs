//! What a snapshot refuses, and what it doesn't run.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{IGNORED, commit, git, linked_worktrees, repository, worktrees};
use crate::temp_site::TempSite;

const ONE: &str = "queues: {q: [{id: a, snapshot: git, run: cat code}]}\n";

#[test]
fn nothing_of_the_repository_runs_when_a_snapshot_is_made() {
    let site = repository(ONE);
    site.script("global", "echo \"$@\" >>\"$RAN\"; cat");
    let program = site.join("global");
    let program = program.to_str().unwrap();
    site.write(".gitattributes", "code filter=spy\n*.txt filter=spy\n");
    site.write("note.txt", "note\n");
    commit(&site);
    for hook in ["post-index-change", "reference-transaction", "post-checkout", "pre-commit", "post-commit"] {
        site.script(&format!(".git/hooks/{hook}"), &format!("echo hook {hook} >>\"$RAN\""));
    }
    git(site.path(), &["config", "core.fsmonitor", &format!("{program} fsmonitor")]);
    for field in ["clean", "smudge"] {
        git(site.path(), &["config", &format!("filter.spy.{field}"), &format!("{program} {field}")]);
    }
    git(site.path(), &["config", "filter.spy.required", "true"]);
    site.write("code", "changed\n");
    let ran = site.join("ignored");
    let run = |args: &[&str]| {
        let mut command = site.command(args);
        // As in a hook of git.
        command.env("RAN", &ran).env("GIT_DIR", "/nowhere").env("GIT_INDEX_FILE", "/nowhere").env("GIT_WORK_TREE", "/");
        let status = command.status().unwrap();
        assert!(status.success(), "{args:?}");
    };
    run(&["add", "--snapshot", "later", "--", "sh", "-c", "cat code; git rev-parse HEAD"]);
    assert_eq!(site.read("ignored"), "");
    let commit = site.job("later/#2")["snapshot"]["commit"].as_str().unwrap().to_owned();
    assert_eq!(git(site.path(), &["show", &format!("{commit}:code")]), "changed");
    run(&["process", "later"]);
    assert_eq!(site.ok(&["log", "2"]), format!("changed\n{commit}\n"));
    assert!(!site.read("ignored").contains("hook"), "{}", site.read("ignored"));
    assert!(site.read("ignored").contains("smudge"), "filters run when it is checked out");
}

#[test]
fn a_request_without_a_repository_is_refused() {
    let site = TempSite::with("queues: {q: [{id: a, snapshot: git, run: 'true'}], r: [{id: b, run: 'true'}]}\n");
    let path = site.path().display().to_string();
    let refused = site.run(&["process", "q"]);
    assert_ne!(refused.code, Some(0));
    let why =
        format!("can't take a snapshot: {path} is not in a git repository: run `git init` there, or remove `snapshot`");
    assert!(refused.stderr.contains(&why), "{refused:?}");
    assert_eq!(site.job("q/a")["run_count"], json!(0));
    site.ok(&["process", "r"]);
    for args in [&["retry", "q/a"][..], &["add", "--snapshot", "later", "--", "true"]] {
        let refused = site.run(args);
        assert!(refused.code != Some(0) && refused.stderr.contains(&why), "{args:?}: {refused:?}");
    }
}

#[test]
fn each_reason_is_named() {
    let site = repository(ONE);
    let refused = |why: &str| {
        let output = site.run(&["process"]);
        assert!(output.code != Some(0) && output.stderr.contains(why), "{why}: {output:?}");
    };
    let huge = File::create(site.join("huge")).unwrap();
    huge.set_len(2 << 30).unwrap();
    refused("has 2.0 GiB of files that git neither knows nor ignores, such as huge (2.0 GiB): add them to .gitignore");
    fs::remove_file(site.join("huge")).unwrap();
    fs::create_dir(site.join("inner")).unwrap();
    git(&site.join("inner"), &["init", "--quiet"]);
    refused("'inner/' does not have a commit checked out");
    fs::remove_dir_all(site.join("inner")).unwrap();
    git(site.path(), &["config", "core.bare", "true"]);
    refused("has no working tree");
    git(site.path(), &["config", "core.bare", "false"]);
    let empty = site.join("config");
    fs::create_dir_all(&empty).unwrap();
    let without_git = site.command(&["process"]).env("PATH", &empty).output().unwrap();
    let text = String::from_utf8_lossy(&without_git.stderr).into_owned();
    assert!(text.contains("git is not installed: no `git` in PATH"), "{text}");
    if !rustix::process::getuid().is_root() {
        fs::set_permissions(site.join("code"), PermissionsExt::from_mode(0o000)).unwrap();
        site.write("gone", "changed");
        refused("Permission denied");
    }
}

#[test]
fn a_snapshot_that_is_gone_and_a_folder_that_is_not_in_it_fail_the_run() {
    let site = repository(
        "queues: {q: [{id: a, snapshot: git, run: cat code}], r: [{id: b, snapshot: git, cwd: build, run: pwd}]}\n",
    );
    site.write("code", "changed\n");
    site.ok(&["add", "--snapshot", "later", "--", "cat", "code"]);
    let commit = site.job("3")["snapshot"]["commit"].as_str().unwrap().to_owned();
    let name = git(site.path(), &["for-each-ref", "--format=%(refname)", "refs/setlist/"]);
    git(site.path(), &["update-ref", "-d", &name]);
    git(site.path(), &["prune", "--expire=now"]);
    assert_eq!(site.run(&["process", "later"]).code, Some(1));
    let error = site.job("3")["error"].as_str().unwrap().to_owned();
    let known = format!("can't use the snapshot: the snapshot {} is no longer in ", &commit[..10]);
    assert!(error.starts_with(&known) && error.ends_with("`setlist retry` makes another one"), "{error}");
    site.ok(&["retry", "3"]);
    site.ok(&["wait", "3"]);
    fs::create_dir(site.join("build")).unwrap();
    assert_eq!(site.run(&["process", "r"]).code, Some(1));
    let error = site.job("r/b")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("build is not in the snapshot ") && error.contains("empty or ignored"), "{error}");
    assert_eq!((worktrees(&site).len(), linked_worktrees(&site)), (0, 0));
}

#[test]
fn repositories_of_all_kinds_have_snapshots() {
    let site = TempSite::with(ONE);
    site.write(".gitignore", IGNORED);
    git(site.path(), &["init", "--quiet", "--initial-branch", "fresh"]);
    site.write("code", "first\n");
    site.ok(&["process"]);
    assert_eq!(site.ok(&["log", "q/a"]), "first\n", "without a commit");
    assert_eq!(site.job("q/a")["snapshot"]["branch"], json!("fresh"));
    commit(&site);
    git(site.path(), &["checkout", "--quiet", "--detach"]);
    site.ok(&["process", "--again"]);
    assert_eq!(site.job("q/a")["snapshot"]["branch"], json!(null), "without a branch");
    git(site.path(), &["checkout", "--quiet", "-b", "theirs"]);
    site.write("code", "theirs\n");
    commit(&site);
    git(site.path(), &["checkout", "--quiet", "fresh"]);
    site.write("code", "ours\n");
    commit(&site);
    let merge = std::process::Command::new("git")
        .current_dir(site.path())
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "merge", "--quiet", "theirs"])
        .output()
        .unwrap();
    assert!(!merge.status.success(), "they conflict");
    site.ok(&["process", "--again"]);
    assert!(site.ok(&["log", "q/a"]).contains("<<<<<<< HEAD\nours\n"), "with a conflict, as it is in the file");
    git(site.path(), &["merge", "--abort"]);
    git(site.path(), &["sparse-checkout", "set", "--no-cone", "/code", "/jobs.yaml"]);
    site.ok(&["process", "--again"]);
    assert_eq!(site.ok(&["log", "q/a"]), "ours\n", "with a sparse checkout");
}

#[test]
fn outputs_in_the_worktree_and_other_values_are_errors() {
    let site = TempSite::with(
        "defaults: {snapshot: git}\nqueues:\n  q:\n    - {id: a, outputs: out.bin, run: 'true'}\n    \
         - {id: b, outputs: /data/out.bin, run: 'true'}\n    - {id: c, outputs: o, snapshot: none, run: 'true'}\n    \
         - {id: d, snapshot: hg, run: 'true'}\n",
    );
    let checked = site.run(&["check"]);
    let expected = "`out.bin` would be in the worktree of the `snapshot`, which is removed";
    assert!(checked.stderr.contains(expected) || checked.stdout.contains(expected), "{checked:?}");
    let all = checked.stdout + &checked.stderr;
    assert!(all.contains("$SETLIST_ARTIFACTS") && all.contains("jobs.yaml:4:"), "{all}");
    assert!(all.contains("`git` or `none`"), "{all}");
    assert_eq!(all.matches("would be in the worktree").count(), 1, "{all}");
}

#[test]
fn conditions_and_sources_look_at_the_snapshot() {
    let site =
        repository("queues: {q: [{id: a, snapshot: git, if: test -e only-then, sources: code, run: 'cat code'}]}\n");
    site.write("only-then", "");
    site.ok(&["process"]);
    assert_eq!(site.ok(&["log", "q/a"]), "committed\n");
    site.ok(&["process", "--again"]);
    assert_eq!(site.job("q/a")["skipped_by"], json!("up_to_date"), "another worktree has the same sources");
    site.write("code", "changed\n");
    site.ok(&["process", "--again"]);
    assert_eq!(site.ok(&["log", "q/a"]), "changed\n");
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
}
