//! What commands say while their server is away, or breaks the connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use setlist::store::ServerAddress;

use super::own_server::OwnServer;
use super::temp_site::{CommandOutput, TempSite, wait_until_stopped};
use super::two_machines::Machine;

const JOBS: &str = "queues: {work: {jobs: [{id: one, run: 'true'}]}}";

/// A port on which nothing listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a command says that can't use its server.
#[track_caller]
fn complaint(site: &TempSite, url: &str, args: &[&str]) -> String {
    let mut command = site.command(args);
    command.env("SETLIST_ANSWER_TIMEOUT", "1000");
    if args[0] != "store" {
        command.env("SETLIST_STORE", url);
    }
    let output = CommandOutput::from_output(&command.output().unwrap());
    assert_eq!((output.code, &*output.stdout), (Some(3), ""), "{args:?}: {output:?}");
    let said = output.stderr.strip_prefix("setlist: ").unwrap_or_else(|| panic!("{args:?}: {output:?}"));
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    said.trim_end().to_owned()
}

#[test]
fn all_commands_say_that_their_server_is_away() {
    let site = TempSite::with(JOBS);
    let port = closed_port();
    let url = format!("postgres://app@127.0.0.1:{port}/jobs?site=a");
    let expected = format!(
        "can't reach PostgreSQL at 127.0.0.1:{port}, database jobs: connection refused; is the server running, and is the \
         port right?"
    );
    let commands: [&[&str]; 12] = [
        &["list"],
        &["add", "work", "--", "true"],
        &["status"],
        &["show", "work/one"],
        &["log", "work/one"],
        &["process"],
        &["start", "work"],
        &["wait", "work/one"],
        &["worker"],
        &["workers"],
        &["store", "copy", ".", &url],
        &["store", "copy", &url, "elsewhere"],
    ];
    std::fs::create_dir(site.join("elsewhere")).unwrap();
    site.ok(&["list"]);
    for args in commands {
        assert_eq!(complaint(&site, &url, args), expected, "{args:?}");
    }
}

#[test]
fn the_reason_and_what_to_do_are_said() {
    let site = TempSite::with(JOBS);
    let status = |address: &str| complaint(&site, &format!("postgres://app@{address}"), &["status"]);
    let said = status("no-such-host.invalid/jobs?site=a");
    let place = "can't reach PostgreSQL at no-such-host.invalid:5432, database jobs: ";
    assert!(said.starts_with(&format!("{place}the name of the host can't be looked up (")), "{said}");
    assert!(said.ends_with("); check the address"), "{said}");

    let said = status("/jobs?host=/no/such/folder&site=a");
    let place = "can't reach PostgreSQL at /no/such/folder/.s.PGSQL.5432, database jobs: ";
    assert_eq!(said, format!("{place}there is no such socket; is the server running on this machine?"));

    let said = status("/jobs?site=a");
    assert!(said.contains("the address has no host; write `postgres://USER@HOST/DATABASE?site=NAME`"), "{said}");

    let (first, second) = (closed_port(), closed_port());
    let said = status(&format!("127.0.0.1:{first},[::1]:{second}/jobs?site=a"));
    assert!(said.contains(&format!("PostgreSQL at 127.0.0.1:{first} or [::1]:{second}, database jobs")), "{said}");

    // The kernel accepts the connection.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let said = status(&format!("127.0.0.1:{port}/jobs?connect_timeout=1&site=a"));
    let reason = "no answer within 2s; does PostgreSQL listen there, or is it overloaded or cut off?";
    assert_eq!(said, format!("can't reach PostgreSQL at 127.0.0.1:{port}, database jobs: {reason}"));
}

#[test]
fn another_kind_of_server_is_recognized() {
    let site = TempSite::with(JOBS);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = ["HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"];
    // It ends with the process.
    thread::spawn(move || {
        for (client, answer) in listener.incoming().flatten().zip(answers) {
            let _ = (&client).write_all(answer.as_bytes());
            let _ = client.shutdown(Shutdown::Write);
            // Until the client gives up.
            let _ = (&client).read_to_end(&mut Vec::new());
        }
    });
    let url = format!("postgres://app@127.0.0.1:{port}/jobs?site=a");
    for answer in answers {
        let said = complaint(&site, &url, &["status"]);
        assert!(said.contains(&format!(" PostgreSQL at 127.0.0.1:{port}, database jobs: ")), "{said}");
        assert!(said.contains("check the host") && said.contains("the port"), "{answer}: {said}");
    }
}

/// A machine whose site is on a server of its own.
fn machine(server: &OwnServer) -> Machine {
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=app&sslmode=disable", server.port);
    Machine { site: TempSite::with(JOBS), address: ServerAddress::parse(&url).unwrap() }
}

#[test]
fn a_change_that_may_have_been_made_is_called_so() {
    let Some(mut server) = OwnServer::start_with(&[], |_| ()) else { return };
    let machine = machine(&server);
    machine.ok(&["status"]);
    let add = || {
        let mut command = machine.command(&["add", "work", "--", "true"]);
        command.env("SETLIST_STOP", "commit").stdout(Stdio::piped()).stderr(Stdio::piped());
        let add = command.spawn().unwrap();
        wait_until_stopped(add.id());
        add
    };
    let go_on = |add: &std::process::Child| kill_process(Pid::from_child(add), Signal::CONT).unwrap();
    let jobs = || machine.ok(&["list", "work"]).lines().count();

    // The server is back when the command finds out: it makes the change once.
    let adding = add();
    server.stop();
    server.start();
    go_on(&adding);
    let added = CommandOutput::from_output(&adding.wait_with_output().unwrap());
    assert_eq!((added.code, &*added.stdout, &*added.stderr), (Some(0), "#2\n", ""));
    assert_eq!(jobs(), 2);

    // It stays away.
    let adding = add();
    server.stop();
    go_on(&adding);
    let unknown = CommandOutput::from_output(&adding.wait_with_output().unwrap());
    assert_eq!((unknown.code, &*unknown.stdout), (Some(3), ""), "{unknown:?}");
    let expected = format!(
        "setlist: the connection broke during a change, which may or may not have been made; look at the site before you \
         repeat it (can't reach PostgreSQL at 127.0.0.1:{}, database postgres: connection refused; ",
        server.port
    );
    assert!(unknown.stderr.starts_with(&expected), "{unknown:?}");
    server.start();
    assert_eq!(jobs(), 2, "the server was stopped before the commit");
}

#[test]
fn the_numbers_of_added_jobs_are_printed_if_the_server_is_lost_afterwards() {
    let Some(mut server) = OwnServer::start_with(&[], |_| ()) else { return };
    let machine = machine(&server);
    machine.ok(&["status"]);
    let mut command = machine.command(&["add", "work", "--now", "--", "true"]);
    command.env("SETLIST_STOP", "committed").stdout(Stdio::piped()).stderr(Stdio::piped());
    let add = command.spawn().unwrap();
    wait_until_stopped(add.id());
    server.stop();
    kill_process(Pid::from_child(&add), Signal::CONT).unwrap();
    let output = CommandOutput::from_output(&add.wait_with_output().unwrap());
    assert_eq!((output.code, &*output.stdout), (Some(3), "#2\n"), "{output:?}");
    assert!(output.stderr.contains("can't reach PostgreSQL"), "{output:?}");
    server.start();
    assert_eq!(machine.ok(&["list", "work"]).lines().count(), 2);
}

#[test]
fn a_standby_is_not_used() {
    let Some(server) = OwnServer::start_with(&["fsync=off"], |_| ()) else { return };
    let (site, standby) = (TempSite::with(JOBS), server.start_standby());
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=app", standby.port);
    let said = complaint(&site, &url, &["status"]);
    let reason = "it is a standby, which can't be changed; name its primary in the address, or both (`HOST1,HOST2`)";
    assert_eq!(said, format!("can't reach PostgreSQL at 127.0.0.1:{}, database postgres: {reason}", standby.port));
}

#[test]
fn a_server_that_is_too_old_is_not_used() {
    let Some(server) = OwnServer::start_with(&["fsync=off"], |_| ()) else { return };
    let version: String = server.client().unwrap().query_one("SHOW server_version_num", &[]).unwrap().get(0);
    let older = format!("13{}", &version[2..]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), server.port);
    // It ends with the process.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", behind)).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || forward(from, to, None));
            let names = (version.clone(), older.clone());
            thread::spawn(move || forward(server, client, Some(&names)));
        }
    });
    let site = TempSite::with(JOBS);
    let url = format!("postgres://setlist@127.0.0.1:{port}/postgres?site=app&sslmode=disable");
    let said = complaint(&site, &url, &["status"]);
    let reason = "it is version 13, and setlist needs 14 or later";
    assert_eq!(said, format!("can't use PostgreSQL at 127.0.0.1:{port}, database postgres: {reason}"));
}

/// Copies bytes until an end is closed, with a text replaced by one of the same length.
fn forward(mut from: TcpStream, mut to: TcpStream, replaced: Option<&(String, String)>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..length];
        if let Some((text, other)) = replaced
            && let Some(at) = memchr::memmem::find(bytes, text.as_bytes())
        {
            bytes[at..at + text.len()].copy_from_slice(other.as_bytes());
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
