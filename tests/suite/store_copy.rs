//! Copying a site between a folder and a server.

use std::collections::BTreeMap;
use std::fs;

use setlist::store::ServerAddress;

use super::postgres_server;
use super::temp_site::TempSite;

const JOBS: &str = r#"
pools: {disk: 2}
queues:
  build:
    parallel: 2
    keep: {runs: 50}
    jobs:
      - {id: talk, run: 'echo "out $RANDOM"; echo err >&2; seq 3000', uses: disk}
      - {id: fail, run: 'echo no; exit 3'}
      - {id: after, needs: talk, run: 'echo "{\"a\": 1}"'}
      - {id: gpu, runs_on: gpu, run: 'true'}
  nightly:
    schedule: '0 3 * * *'
    expect: {within: 26h}
    jobs: [{id: later, run: 'true', confirm: Really?}]
"#;

/// A site with some history.
fn site() -> TempSite {
    let site = TempSite::with(JOBS);
    site.run(&["process", "build"]);
    // Otherwise the worker of the schedule may start what is added.
    site.ok(&["pause", "build"]);
    site.ok(&["add", "build", "--", "echo", "it's\tquoted"]);
    site.ok(&["add", "build", "--", "true"]);
    site.ok(&["remove", "#7"]);
    site.run(&["process", "build", "--again", "--resume"]);
    site.ok(&["pause", "nightly"]);
    // A worker for the schedule may have been started.
    for worker in site.run(&["workers", "--json"]).stdout.lines() {
        let worker: serde_json::Value = serde_json::from_str(worker).unwrap();
        site.ok(&["drain", &worker["worker"].to_string(), "--wait"]);
    }
    site
}

/// What a site holds: its jobs, their runs and output. Not the bytes of its database: the library moves what was committed into the
/// file when the last process closes it.
fn contents(site: &TempSite) -> (String, String, BTreeMap<String, Vec<u8>>) {
    let logs = fs::read_dir(site.join(".setlist/logs")).unwrap().map(|entry| entry.unwrap());
    let logs = logs.map(|entry| (entry.file_name().display().to_string(), fs::read(entry.path()).unwrap())).collect();
    (site.ok(&["list", "--json"]), site.ok(&["history", "build", "--json"]), logs)
}

fn on_server(site: &TempSite, address: &ServerAddress, args: &[&str]) -> super::temp_site::CommandOutput {
    let output = site.command(args).env("SETLIST_STORE", address.to_string()).output().unwrap();
    super::temp_site::CommandOutput::from_output(&output)
}

#[test]
fn a_folder_without_a_state_is_named() {
    let site = TempSite::with("queues: {}");
    let output = site.run(&["store", "copy", ".", "postgres://u@127.0.0.1:1/none?site=a"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains(".setlist holds no state of a site"), "{}", output.stderr);
}

#[test]
fn a_site_is_copied_to_a_server_and_back() {
    let Some(address) = postgres_server::new_site() else { return };
    let site = site();
    let before = contents(&site);
    let url = address.to_string();
    let copied = site.ok(&["store", "copy", ".", &url]);
    assert!(copied.contains("copied 7 jobs, ") && copied.contains("compared: "), "{copied}");
    assert!(contents(&site) == before, "the source is untouched");
    let (here, there) = (site.ok(&["list", "--json"]), on_server(&site, &address, &["list", "--json"]));
    assert_eq!(here, there.stdout, "{there:?}");
    for job in ["build/talk", "build/fail"] {
        let there = on_server(&site, &address, &["log", job]);
        assert_eq!(site.ok(&["log", job]), there.stdout);
    }
    // It is not empty now.
    let refused = site.run(&["store", "copy", ".", &url]);
    assert!(refused.code == Some(2) && refused.stderr.contains("holds a site already"), "{refused:?}");

    let back = TempSite::with(JOBS);
    let returned = back.ok(&["store", "copy", &url, "."]);
    let hash = |text: &str| text.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    assert_eq!(hash(&copied), hash(&returned));
    assert_eq!(here, back.ok(&["list", "--json"]));
    assert_eq!(site.ok(&["log", "build/talk"]), back.ok(&["log", "build/talk"]));
    back.ok(&["restore", "#7"]);
    let refused = back.run(&["store", "copy", &url, "."]);
    assert!(refused.code == Some(2) && refused.stderr.contains("holds a site already"), "{refused:?}");
    // Both can be used.
    assert_eq!(
        on_server(&site, &address, &["process", "build", "--again"]).code,
        back.run(&["process", "build", "--again"]).code
    );
}

#[test]
fn an_interrupted_copy_is_refused() {
    let Some(address) = postgres_server::new_site() else { return };
    let site = site();
    let url = address.to_string();
    for point in ["import", "output"] {
        let address = postgres_server::new_site().unwrap();
        let killed =
            site.command(&["store", "copy", ".", &address.to_string()]).env("SETLIST_CRASH", point).output().unwrap();
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
        let refused = on_server(&site, &address, &["list"]);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.stderr.contains("incomplete copy"), "{refused:?}");
    }
    site.ok(&["store", "copy", ".", &url]);
    for point in ["import", "output"] {
        let target = TempSite::with(JOBS);
        let killed = target.command(&["store", "copy", &url, "."]).env("SETLIST_CRASH", point).output().unwrap();
        assert_eq!(killed.status.code(), None, "{point}: {killed:?}");
        for args in [&["list"][..], &["store", "copy", &url, "."]] {
            let refused = target.run(args);
            assert_eq!(refused.code, Some(3), "{refused:?}");
            assert!(refused.stderr.contains("incomplete copy"), "{refused:?}");
        }
    }
}

#[test]
fn a_site_with_workers_is_not_copied() {
    let Some(address) = postgres_server::new_site() else { return };
    let site = TempSite::with("queues: {build: {jobs: [{id: wait, run: 'cat fifo'}]}}");
    assert!(std::process::Command::new("mkfifo").arg(site.join("fifo")).status().unwrap().success());
    site.ok(&["start", "build"]);
    site.wait_until("build/wait", |job| job["state"] == "running");
    let refused = site.run(&["store", "copy", ".", &address.to_string()]);
    assert!(refused.code == Some(2) && refused.stderr.contains("`setlist drain 1 --wait`"), "{refused:?}");
    assert_eq!(on_server(&site, &address, &["list"]).code, Some(0), "nothing was begun");
    fs::write(site.join("fifo"), "").unwrap();
    site.wait_until("build/wait", |job| job["state"] == "finished");
    let empty = postgres_server::new_site().unwrap();
    let refused = site.run(&["store", "copy", &empty.to_string(), "copy"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("the site is empty"), "{refused:?}");
    assert!(!site.join("copy").exists(), "nothing was begun");
    let refused = site.run(&["store", "copy", ".", "/elsewhere"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("has to be a folder"), "{refused:?}");
}
