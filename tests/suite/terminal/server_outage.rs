//! A screen whose server is stopped and started.

use std::fs;
use std::process::Stdio;

use chrono::{DateTime, Utc};
use setlist::store::ServerAddress;

use super::Terminal;
use crate::own_server::OwnServer;
use crate::temp_site::{CommandOutput, TempSite, wait_for};
use crate::two_machines::{Machine, RunningWorker, machines};

const JOBS: &str = "\
queues:
  work:
    - {id: one, title: First one, run: 'true'}
    - {id: two, title: Second one, run: 'echo the second has run'}
    - {id: three, title: Third one, run: 'true'}
";

/// The line of the screen with the cursor.
fn selected(screen: &str) -> &str {
    screen.lines().find(|line| line.contains('›')).unwrap_or("")
}

#[test]
fn a_screen_reconnects_to_its_server_and_answers_keys_meanwhile() {
    let Some(mut server) = OwnServer::start_with(&[], |_| ()) else { return };
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=app&sslmode=disable", server.port);
    let machine = Machine { site: TempSite::with(JOBS), address: ServerAddress::parse(&url).unwrap() };
    let mut screen = Terminal::open(&machine.site, &["--store", &url]);
    screen.wait_for_text("Third one");
    screen.keys("j");
    screen.wait_until("the second job", |text| selected(text).contains("Second one"));
    server.stop();
    let text = screen.wait_for_text("reconnecting to 127.0.0.1 since ");
    assert!(text.contains("Third one") && selected(&text).contains("Second one"), "{text}");
    // It can still be used, and says what became of a request.
    screen.keys("r");
    screen.wait_for_text("127.0.0.1 can't be reached; nothing was changed.");
    screen.keys("a");
    screen.wait_for_text("add to work: ");
    screen.keys("echo kept\r!");
    screen.wait_for_text("add to work: echo kept!   127.0.0.1 can't be reached");
    screen.keys("\x1b");
    screen.wait_until("the lists", |text| !text.contains("add to work"));
    screen.keys("j");
    screen.wait_until("the third job", |text| selected(text).contains("Third one"));
    screen.keys("k");
    server.start();
    let text = screen.wait_for_text("127.0.0.1 is connected again.");
    assert!(!text.contains("reconnecting") && selected(&text).contains("Second one"), "{text}");
    assert!(text.contains("Pending 3"), "nothing was queued: {text}");
    // What others change shows again.
    let worker = machine.worker(&[]);
    screen.keys("r");
    screen.wait_for_text("the second has run");
    screen.wait_for_text("Finished 1");
    machine.wait_for_job("work/two", "succeeded");
    worker.stop();
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
}

#[test]
fn commands_that_follow_a_site_wait_for_its_server() {
    let Some(mut server) = OwnServer::start_with(&[], |_| ()) else { return };
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=app&sslmode=disable", server.port);
    let jobs = "queues: {work: {jobs: [{id: slow, run: 'while [ ! -e go ]; do sleep 0.05; done; echo over'}]}}";
    let machine = Machine { site: TempSite::with(jobs), address: ServerAddress::parse(&url).unwrap() };
    let worker = machine.worker(&[]);
    machine.ok(&["start", "work"]);
    machine.wait_for_job("work/slow", "running");
    let start = |args: &[&str]| machine.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Each listens on a connection of its own, as the worker does; that is asked nothing after it was made.
    let listeners = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_walfile_name%' AND state = 'idle' \
                     AND state_change < clock_timestamp() - interval '0.5 s'";
    let mut client = server.client().unwrap();
    let mut listeners = || client.query_one(listeners, &[]).unwrap().get::<_, i64>(0);
    let (wait, log) = (start(&["wait", "work/slow"]), start(&["log", "-f", "work/slow"]));
    wait_for("the followers", || (listeners() >= 3).then_some(()));
    let mut timed = start(&["wait", "--timeout", "2s", "work/slow"]);
    wait_for("another one", || (listeners() >= 4 || timed.try_wait().unwrap().is_some()).then_some(()));
    server.stop();
    let timed = CommandOutput::from_output(&timed.wait_with_output().unwrap());
    assert!(timed.code == Some(1) && timed.stderr.contains("timed out: work/slow is not finished"), "{timed:?}");
    machine.site.write("go", "");
    server.start();
    for command in [wait, log] {
        let output = CommandOutput::from_output(&command.wait_with_output().unwrap());
        assert_eq!(output.code, Some(0), "{output:?}");
        let said = |text: &str| output.stderr.matches(text).count();
        assert_eq!(said("127.0.0.1 can't be reached; trying again"), 1, "{output:?}");
        assert_eq!(said("127.0.0.1 can be reached again"), 1, "{output:?}");
        assert!(output.stdout.contains("over"), "{output:?}");
    }
    worker.stop();
}

#[test]
fn a_run_that_ends_during_an_outage_has_the_time_of_its_end() {
    let Some(mut server) = OwnServer::start_with(&[], |_| ()) else { return };
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=app&sslmode=disable", server.port);
    let jobs = "queues: {work: {jobs: [{id: slow, run: 'while [ ! -e go ]; do sleep 0.05; done'}]}}";
    let machine = Machine { site: TempSite::with(jobs), address: ServerAddress::parse(&url).unwrap() };
    let log = machine.site.join("worker.log");
    let worker = RunningWorker::start_logged(machine.command(&["worker"]), &log);
    machine.ok(&["start", "work"]);
    machine.wait_for_job("work/slow", "running");
    server.stop();
    machine.site.write("go", "");
    // The run has ended when the end of its output is to be sent.
    wait_for("the end", || fs::read_to_string(&log).unwrap().contains("can't send output").then_some(()));
    let restarted = Utc::now();
    server.start();
    machine.wait_for_job("work/slow", "succeeded");
    let job: serde_json::Value = serde_json::from_str(&machine.ok(&["show", "work/slow", "--json"])).unwrap();
    let finished = job["executed_at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok()).unwrap();
    assert!(finished < restarted, "{finished}, but the server was away until {restarted}");
    worker.stop();
}

#[test]
fn what_is_typed_reaches_a_job_on_another_machine() {
    let jobs = "queues:\n  work:\n    - {id: ask, title: Asks, pty: true, run: 'printf \"name? \"; read name; echo \"hello $name\"'}\n";
    let Some([here, there]) = machines::<2>(jobs) else { return };
    here.ok(&["start", "work"]);
    let worker = there.worker(&[]);
    let url = here.address.to_string();
    let mut screen = Terminal::open(&here.site, &["--store", &url]);
    screen.wait_for_text("name?");
    screen.keys("i");
    screen.wait_for_text("TYPING");
    screen.keys("qé\x1b[200~日本\x1b[201~\x7f\x15quit\r");
    screen.wait_for_text("hello quit");
    screen.keys("\x1a");
    here.wait_for_job("work/ask", "succeeded");
    screen.keys("q");
    assert!(screen.wait_for_exit().success());
    worker.stop();
}
