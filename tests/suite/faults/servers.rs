//! Servers that stop and start, and a standby that takes over.

use std::sync::Arc;
use std::thread;

use chrono::Utc;
use setlist::model::{Command, Definition, Script};
use setlist::store::{PostgresStore, ServerAddress, StateDir, Store};
use tempfile::TempDir;

use super::queue::{FaultyQueue, check};
use super::setlist_queue::SetlistQueue;
use crate::own_server::OwnServer;

use crate::temp_site::wait_for;

const OPTIONS: [&str; 2] = ["fsync=off", "max_wal_senders=4"];

#[test]
fn a_server_stops_and_starts_while_jobs_are_added_and_run() {
    let Some(mut server) = OwnServer::start_with(&OPTIONS, |_| {}) else { return };
    let url = format!("postgres://setlist@127.0.0.1:{}/postgres?site=a&sslmode=disable", server.port);
    let queue = SetlistQueue::new(2, ServerAddress::parse(&url).unwrap(), server.socket());
    let mut workers = [queue.start_worker(0), queue.start_worker(1)];
    let long = queue.add_long();
    let mut added = vec![long];
    for _ in 0..2 {
        added.extend(thread::scope(|scope| {
            let adding = scope.spawn(|| (0..8).filter_map(|_| queue.add()).collect::<Vec<_>>());
            server.stop();
            server.start();
            adding.join().unwrap()
        }));
        added.push(queue.add().unwrap());
    }
    queue.effects().finish();
    check(&queue, &added, "restarts");
    assert!(workers.iter_mut().all(super::setlist_queue::WorkerProcess::is_alive), "{}", queue.diagnostics());
    assert_eq!(queue.records()[&long].runs.len(), 1, "it ran through both restarts");
}

#[test]
fn a_standby_takes_over() {
    let Some(mut primary) = OwnServer::start_with(&OPTIONS, |_| {}) else { return };
    let standby = primary.start_standby();
    let mut client = primary.client().unwrap();
    let mut is_streaming =
        || !client.query("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'", &[]).unwrap().is_empty();
    wait_for("the standby to follow", || is_streaming().then_some(()));
    // What is acknowledged is on both.
    for sql in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
        client.batch_execute(sql).unwrap();
    }
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port);
    let address = ServerAddress::parse(&format!("postgres://setlist@{hosts}/postgres?site=a&sslmode=disable")).unwrap();
    let mut queue = SetlistQueue::new(2, address.clone(), primary.socket());
    queue.machines.iter_mut().for_each(|machine| machine.address = address.clone());
    let mut workers = [queue.start_worker(0), queue.start_worker(1)];
    let long = queue.add_long();
    let mut added: Vec<u64> = (0..3).map(|_| queue.add().unwrap()).chain([long]).collect();
    wait_for("the long job", || queue.effects().read().iter().any(|(job, _)| *job == long).then_some(()));
    drop(client);
    primary.stop();
    assert_eq!(queue.add(), None, "no server can be written");
    let promoted = standby.client().unwrap().query_one("SELECT pg_promote()", &[]).unwrap();
    assert!(promoted.get::<_, bool>(0));
    added.push(queue.add().unwrap());
    queue.effects().finish();
    check(&queue, &added, "failover");
    assert!(workers.iter_mut().all(super::setlist_queue::WorkerProcess::is_alive), "{}", queue.diagnostics());
    assert_eq!(queue.records()[&long].runs.len(), 1, "it ran through the failover");
}

/// A standby that has not got the last changes takes over, and others follow under their numbers.
#[test]
fn a_client_notices_that_changes_were_lost_in_a_failover() {
    let Some(mut primary) = OwnServer::start_with(&OPTIONS, |_| {}) else { return };
    let first = primary.port;
    let hosts = |port| format!("127.0.0.1:{first},127.0.0.1:{port}");
    let folder = TempDir::new().unwrap();
    let now = Utc::now();
    let add = |store: &mut PostgresStore, title: &str| {
        let job = Definition { title: title.into(), ..Definition::new(Script::shell("true")) };
        let add = Command::Add { queue: "build".into(), jobs: vec![Arc::new(job)] };
        store.execute(&[add], now).unwrap().remove(0).unwrap();
    };
    let open = |port| {
        let url = format!("postgres://setlist@{}/postgres?site=a&sslmode=disable", hosts(port));
        PostgresStore::open(&ServerAddress::parse(&url).unwrap(), &StateDir::new(folder.path())).unwrap()
    };
    add(&mut open(primary.port), "kept");
    let standby = primary.start_standby();
    // It stops following before the next change.
    let mut client = standby.client().unwrap();
    client.batch_execute("ALTER SYSTEM SET primary_conninfo = ''").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let mut sender = primary.client().unwrap();
    wait_for("the standby to stop", || {
        sender.query("SELECT 1 FROM pg_stat_replication", &[]).unwrap().is_empty().then_some(())
    });
    let mut store = open(standby.port);
    add(&mut store, "lost");
    let seq = store.load().unwrap().seq();
    assert_eq!(store.events_after(seq).unwrap(), Some(Vec::new()));
    drop(sender);
    primary.stop();
    client.query_one("SELECT pg_promote()", &[]).unwrap();
    let mut other = open(standby.port);
    for title in ["other", "another", "third"] {
        add(&mut other, title);
    }
    assert_eq!(store.events_after(seq).unwrap(), None, "its events are not those that follow");
    let titles = |store: &mut PostgresStore| {
        let mut titles: Vec<_> = store.load().unwrap().jobs().map(|job| job.title().to_owned()).collect();
        titles.sort();
        titles
    };
    assert_eq!(titles(&mut store), titles(&mut other));
    assert_eq!(titles(&mut store), ["another", "kept", "other", "third"]);
}
