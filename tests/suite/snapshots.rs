//! `snapshot: git`: jobs that run on the files of their repository as they were when they were requested.

mod rules;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, TempSite, wait_for};

/// What a test itself puts beside the files.
const IGNORED: &str = "/state-home/\n/config/\n/ignored\n/go\n/global\n";

/// Runs git as a user would, without the settings of this machine; returns what it prints.
#[track_caller]
fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]).args(args);
    let output = CommandOutput::from_output(&command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap());
    assert_eq!(output.code, Some(0), "git {args:?}: {output:?}");
    output.stdout.trim_end().to_owned()
}

/// A site in a repository with one commit of its files.
fn repository(jobs: &str) -> TempSite {
    let site = TempSite::with(jobs);
    site.write(".gitignore", IGNORED);
    site.write("code", "committed\n");
    site.write("gone", "");
    site.write("ignored", "");
    git(site.path(), &["init", "--quiet", "--initial-branch", "main"]);
    commit(&site);
    site
}

fn commit(site: &TempSite) {
    git(site.path(), &["add", "--all"]);
    git(site.path(), &["commit", "--quiet", "--message", "all"]);
}

/// The folders of runs that have a worktree.
fn worktrees(site: &TempSite) -> Vec<String> {
    let entries = fs::read_dir(site.join(".setlist/snapshots")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lock").collect()
}

/// How many working trees the repository has besides its own.
fn linked_worktrees(site: &TempSite) -> usize {
    git(site.path(), &["worktree", "list"]).lines().count() - 1
}

/// The commits that are kept.
fn refs(site: &TempSite) -> Vec<String> {
    let refs = git(site.path(), &["for-each-ref", "--format=%(objectname)", "refs/setlist/"]);
    refs.lines().map(str::to_owned).collect()
}

/// A job that holds the only slot of its queue until the test lets it end, and a job with a snapshot.
const HELD: &str = "\
queues:
  q:
    - {id: hold, run: 'until [ -e go ]; do sleep 0.01; done'}
    - {id: train, snapshot: git, run: 'cat code; ls; git status --short'}
";

#[test]
fn a_job_runs_on_the_files_of_its_request_uncommitted_changes_included() {
    let site = repository(HELD);
    site.write("code", "changed\n");
    site.write("new", "");
    fs::remove_file(site.join("gone")).unwrap();
    let status = git(site.path(), &["status", "--short"]);
    site.ok(&["start", "q"]);
    site.wait_until("q/hold", |job| job["state"] == "running");
    assert_eq!(git(site.path(), &["status", "--short"]), status, "the index is as it was");
    site.write("code", "changed again\n");
    fs::remove_file(site.join("new")).unwrap();
    site.write("later", "");
    site.write("go", "");
    let job = site.wait_until("q/train", |job| job["state"] == "finished");
    assert_eq!(site.ok(&["log", "q/train"]), "changed\ncode\njobs.yaml\nnew\n", "{job}");
    let snapshot = &job["runs"][0]["snapshot"];
    assert_eq!((&snapshot["branch"], &snapshot["uncommitted_changes"]), (&json!("main"), &json!(true)), "{snapshot}");
    assert_eq!(snapshot["taken_at_start"], json!(false));
    let id = snapshot["commit"].as_str().unwrap();
    assert_eq!(git(site.path(), &["show", &format!("{id}:code")]), "changed");
    assert_eq!(git(site.path(), &["rev-parse", &format!("{id}^")]), git(site.path(), &["rev-parse", "HEAD"]));
    let shown = site.ok(&["show", "q/train"]);
    let described = format!("{} of main, with uncommitted changes\n", &id[..10]);
    assert!(shown.contains(&format!("  snapshot  git: {described}")), "{shown}");
    assert!(shown.contains(&format!("on {described}")), "{shown}");
    wait_for("the worktree to be removed", || worktrees(&site).is_empty().then_some(()));
    assert_eq!((linked_worktrees(&site), refs(&site)), (0, vec![id.to_owned()]));
    assert_eq!(site.read("code"), "changed again\n");
}

#[test]
fn unchanged_files_are_the_commit_that_is_checked_out() {
    let site = repository(
        "queues: {q: [{id: a, snapshot: git, run: 'echo $SETLIST_SNAPSHOT; git rev-parse HEAD; git describe --always'}]}\n",
    );
    for _ in 0..2 {
        site.ok(&["process", "--again"]);
        let head = git(site.path(), &["rev-parse", "HEAD"]);
        let short = git(site.path(), &["rev-parse", "--short", "HEAD"]);
        assert_eq!(site.ok(&["log", "q/a"]), format!("{head}\n{head}\n{short}\n"));
        assert_eq!(site.job("q/a")["snapshot"]["uncommitted_changes"], json!(false));
        assert_eq!(refs(&site), [head]);
    }
    // The same changes are the same commit.
    site.write("code", "changed\n");
    let taken = |args: &[&str]| {
        site.ok(args);
        site.job("q/a")["snapshot"]["commit"].clone()
    };
    assert_eq!(taken(&["process", "--again"]), taken(&["process", "--again"]));
}

#[test]
fn runs_at_the_same_time_have_worktrees_of_their_own() {
    let site = repository(
        "queues: {q: {parallel: 3, snapshot: git, jobs: [{for_each: 1..3, id: w, \
         run: 'echo $SETLIST_ITEM >>code; cat code; pwd; touch \"$SETLIST_SITE/up-$SETLIST_ITEM\"; \
         until [ -e \"$SETLIST_SITE/go\" ]; do sleep 0.01; done; cat code'}]}}\n",
    );
    site.ok(&["start", "q"]);
    let all_run = || (1..=3).all(|item| site.join(&format!("up-{item}")).exists()).then_some(());
    wait_for("all of them", all_run);
    assert_eq!((worktrees(&site).len(), linked_worktrees(&site)), (3, 3));
    site.write("go", "");
    site.ok(&["wait", "q"]);
    let mut places = Vec::new();
    for item in 1..=3 {
        let log = site.ok(&["log", &format!("q/w[{item}]")]);
        let lines: Vec<&str> = log.lines().collect();
        let item = item.to_string();
        assert_eq!([lines[0], lines[1], lines[3], lines[4]], ["committed", &item, "committed", &item], "{log}");
        places.push(lines[2].to_owned());
    }
    places.dedup();
    assert_eq!(places.len(), 3, "{places:?}");
    assert_eq!(site.read("code"), "committed\n");
    wait_for("the worktrees to be removed", || worktrees(&site).is_empty().then_some(()));
    assert_eq!(linked_worktrees(&site), 0);
}

#[test]
fn a_site_may_be_a_subfolder_of_the_repository() {
    let outer = TempSite::empty();
    git(outer.path(), &["init", "--quiet"]);
    fs::create_dir_all(outer.join("sub/src")).unwrap();
    outer.write(".gitignore", "state-home/\nconfig/\n");
    outer.write("sub/jobs.yaml", &format!(
        "defaults: {{snapshot: git, env_file: env}}\nqueues:\n  q:\n    - {{id: a, cwd: src, run: 'cat file; echo $FROM_FILE; cat ../../top'}}\n    \
         - {{id: b, run: 'pwd; echo $SETLIST_SITE'}}\n    - {{id: c, cwd: '{}/sub/src', run: cat file}}\n    \
         - {{id: d, run: '{} add later -- true'}}\n",
        outer.path().display(),
        crate::temp_site::SETLIST,
    ));
    outer.write("sub/src/file", "old\n");
    outer.write("sub/env", "FROM_FILE=old\n");
    outer.write("top", "top\n");
    let run = |args: &[&str]| {
        let mut command = outer.command(args);
        CommandOutput::from_output(&command.current_dir(outer.join("sub")).output().unwrap())
    };
    let processed = run(&["process"]);
    assert_eq!(processed.code, Some(0), "{processed:?}");
    assert_eq!(run(&["log", "q/a"]).stdout, "old\nold\ntop\n");
    let place = run(&["log", "q/b"]).stdout;
    let (pwd, site_dir) = place.trim_end().split_once('\n').unwrap();
    assert!(Path::new(pwd).starts_with(outer.join("sub/.setlist/snapshots")), "{place}");
    assert!(pwd.ends_with("/sub"), "{place}");
    assert_eq!(Path::new(site_dir), outer.join("sub"));
    assert_eq!(run(&["log", "q/c"]).stdout, "old\n", "an absolute path in the repository");
    assert!(run(&["list", "later"]).stdout.contains("true"), "setlist in the job uses the site");
}

#[test]
fn an_added_job_has_the_files_of_then_and_a_retry_those_of_now() {
    let site = repository("queues: {q: [{id: later, run: 'true'}]}\n");
    site.write("code", "added\n");
    site.ok(&["add", "--snapshot", "q", "--", "cat", "code"]);
    assert_eq!(site.job("2")["snapshot"]["branch"], json!("main"), "it is known while the job waits");
    site.write("code", "edited\n");
    site.ok(&["process", "q"]);
    assert_eq!(site.ok(&["log", "2"]), "added\n");
    site.ok(&["retry", "2"]);
    site.ok(&["wait", "2"]);
    assert_eq!(site.ok(&["log", "2"]), "edited\n");
    site.write("code", "reset\n");
    site.ok(&["reset", "2"]);
    site.write("code", "later\n");
    site.ok(&["process", "q"]);
    assert_eq!(site.ok(&["log", "2"]), "reset\n");
    let diff = site.run(&["log", "--diff", "2"]).stdout;
    let id = site.job("2")["snapshot"]["commit"].as_str().unwrap()[..10].to_owned();
    assert!(diff.lines().nth(1).unwrap().ends_with(&format!("  on {id}")), "{diff}");
}

#[test]
fn an_automatic_retry_has_the_files_of_the_first_attempt() {
    let site = repository(
        "queues: {q: [{id: a, snapshot: git, retry: {max: 1, delay: 1ms}, \
         run: 'cat code; echo edited >\"$SETLIST_SITE/code\"; test $SETLIST_ATTEMPT = 2'}]}\n",
    );
    site.ok(&["process"]);
    assert_eq!(site.ok(&["log", "q/a"]), "committed\n");
    let job = site.job("q/a");
    assert_eq!(job["run_count"], json!(2));
    assert_eq!(job["runs"][0]["snapshot"]["commit"], job["runs"][1]["snapshot"]["commit"]);
}

#[test]
fn a_scheduled_job_has_the_files_of_its_due_time() {
    let site = repository(
        "queues: {q: [{id: hold, run: 'until [ -e go ]; do sleep 0.01; done'}, \
         {id: due, snapshot: git, schedule: '@every 1s', run: cat code}]}\n",
    );
    let mut worker = site.command(&["worker"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let workers = || fs::read_dir(site.join(".setlist/workers")).map_or(0, Iterator::count);
    wait_for("the worker", || (workers() == 1).then_some(()));
    site.ok(&["start", "q"]);
    site.wait_until("q/hold", |job| job["state"] == "running");
    site.write("code", "due\n");
    let pending = site.wait_until("q/due", |job| job["state"] == "pending" && job["snapshot"].is_object());
    site.write("code", "too late\n");
    site.write("go", "");
    let before = pending["run_count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap();
    let ran = site.wait_until("q/due", |job| job["runs"].as_array().unwrap().len() > before);
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
    let snapshot = &ran["runs"][before]["snapshot"];
    assert_eq!(snapshot["commit"], pending["snapshot"]["commit"]);
    assert_eq!(snapshot["taken_at_start"], json!(false));
    wait_for("its processes to end", || site.processes().is_empty().then_some(()));
}

#[test]
fn a_killed_worker_leaves_no_worktree() {
    let site = repository(
        "queues: {q: [{id: a, snapshot: git, run: 'touch \"$SETLIST_SITE/go\"; touch written; sleep 300'}]}\n",
    );
    site.ok(&["start", "q"]);
    wait_for("the job", || site.join("go").exists().then_some(()));
    assert_eq!((worktrees(&site).len(), linked_worktrees(&site)), (1, 1));
    let commit = site.job("q/a")["snapshot"]["commit"].clone();
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    let job = site.wait_until("q/a", |job| job["outcome"] == "interrupted");
    assert_eq!((worktrees(&site), linked_worktrees(&site)), (Vec::new(), 0));
    assert_eq!(job["runs"][0]["snapshot"]["commit"], commit);
}

#[test]
fn a_job_that_is_cancelled_leaves_no_worktree() {
    let site = repository(
        "queues: {q: [{id: a, snapshot: git, run: 'mkdir -p deep/er; chmod a-w deep; touch \"$SETLIST_SITE/go\"; sleep 300'}]}\n",
    );
    site.ok(&["start", "q"]);
    wait_for("the job", || site.join("go").exists().then_some(()));
    site.ok(&["cancel", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == "cancelled");
    wait_for("the worktree to be removed", || worktrees(&site).is_empty().then_some(()));
    assert_eq!(linked_worktrees(&site), 0);
}

#[test]
fn refs_are_removed_with_the_records_that_name_them() {
    let site = repository("queues: {q: {keep: {runs: 1}, jobs: [{id: a, snapshot: git, run: 'true'}]}}\n");
    let mut commits: Vec<Value> = Vec::new();
    for text in ["one\n", "two\n", "three\n"] {
        site.write("code", text);
        site.ok(&["process", "--again"]);
        commits.push(site.job("q/a")["snapshot"]["commit"].clone());
    }
    assert_eq!(refs(&site).len(), 3);
    let state = setlist::store::StateDir::new(site.join(".setlist"));
    let paths = setlist::site::SitePaths {
        file: site.join("jobs.yaml"),
        state: state.clone(),
        program: crate::temp_site::SETLIST.into(),
    };
    let mut store = setlist::site::open_store(&state).unwrap();
    setlist::site::forget_unused_snapshots(store.as_mut(), &paths).unwrap();
    assert_eq!(refs(&site).len(), 3, "all runs are on record");
    store.prune(chrono::Utc::now()).unwrap();
    setlist::site::forget_unused_snapshots(store.as_mut(), &paths).unwrap();
    assert_eq!(json!(refs(&site)), json!([commits[2]]));
    git(site.path(), &["update-ref", "refs/setlist/another-site/x", "HEAD"]);
    setlist::site::forget_unused_snapshots(store.as_mut(), &paths).unwrap();
    assert_eq!(refs(&site).len(), 2, "those of other sites are kept");
}
