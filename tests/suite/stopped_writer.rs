//! A process that is suspended while it writes: others can read, and say whom they wait for when they write.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::temp_site::{TempSite, wait_for};

#[test]
fn readers_do_not_wait_for_a_stopped_writer_and_writers_say_that_it_is_stopped() {
    if !cfg!(debug_assertions) {
        return;
    }
    let site = TempSite::with("queues:\n  q: [\"true\"]\n");
    site.ok(&["process"]);
    let mut stopped = site.command(&["add", "q", "--", "true"]).env("SETLIST_STOP", "commit").spawn().unwrap();
    let pid = Pid::from_child(&stopped);
    let is_stopped = || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')).then_some(())
    };
    wait_for("the writer to stop", is_stopped);
    for args in [&["status"][..], &["list"], &["show", "1"], &["log", "1"]] {
        let output = site.run(args);
        assert!(output.code == Some(0) && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    let mut waiting = site.command(&["add", "q", "--", "true"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("setlist: waiting for process {pid} (setlist add), which is stopped\n"));
    kill_process(pid, Signal::CONT).unwrap();
    assert!(stopped.wait().unwrap().success() && waiting.wait().unwrap().success());
    assert_eq!(site.ok(&["list", "--json"]).lines().count(), 3);
}
