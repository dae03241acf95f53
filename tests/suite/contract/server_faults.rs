//! Faults of the connection to a server: what was acknowledged has happened, and happened once.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use setlist::model::{Command, Event, JobId};
use setlist::store::{PostgresStore, ServerAddress, StateDir, Store, StoreError};
use tempfile::TempDir;

use super::subscriptions::subscribe;
use super::{TIMEOUT, accept, add, claim, join, process, queue, started};
use crate::postgres_server;

/// Where a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Before a message with this text reaches the server.
    Before(&'static str),
    /// After a message with this text was answered, and before the answer reaches the client.
    After(&'static str),
}

/// A site behind a proxy that can break connections.
struct CutSite {
    address: ServerAddress,
    direct: ServerAddress,
    folder: TempDir,
    cut: Arc<Mutex<Option<Cut>>>,
    cuts: Arc<AtomicUsize>,
    /// Both ends of all connections.
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl CutSite {
    fn new() -> Option<Self> {
        let direct = postgres_server::new_site()?;
        let folder = TempDir::with_prefix("setlist-cut").unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let site = Self {
            address: ServerAddress::parse(&postgres_server::url(folder.path(), direct.site())).unwrap(),
            direct,
            folder,
            cut: Arc::default(),
            cuts: Arc::default(),
            connections: Arc::default(),
        };
        let (cut, cuts, connections) = (Arc::clone(&site.cut), Arc::clone(&site.cuts), Arc::clone(&site.connections));
        let server = postgres_server::socket().join(".s.PGSQL.5432");
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (cut, cuts) = (Arc::clone(&cut), Arc::clone(&cuts));
                forward(&client, &server, &connections, cut, cuts);
            }
        });
        Some(site)
    }

    fn connect(&self) -> PostgresStore {
        PostgresStore::open(&self.address, &self.local()).unwrap()
    }

    /// A connection past the proxy.
    fn connect_directly(&self) -> PostgresStore {
        PostgresStore::open(&self.direct, &self.local()).unwrap()
    }

    fn local(&self) -> StateDir {
        StateDir::new(self.folder.path())
    }

    /// Breaks the next connection there.
    fn cut(&self, cut: Cut) {
        *self.cut.lock().unwrap() = Some(cut);
    }

    fn break_all(&self) {
        for end in self.connections.lock().unwrap().drain(..) {
            // It may have ended before.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Forwards messages between a client and the server. Both send a message only when the other has nothing more to say, so
/// what is read at once belongs together as far as its text matters here.
fn forward(
    client: &UnixStream,
    server: &Path,
    connections: &Mutex<Vec<UnixStream>>,
    cut: Arc<Mutex<Option<Cut>>>,
    cuts: Arc<AtomicUsize>,
) {
    let server = UnixStream::connect(server).unwrap();
    connections.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
    let swallows = Arc::new(AtomicUsize::new(0));
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (swallowing, counted) = (Arc::clone(&swallows), Arc::clone(&cuts));
    thread::spawn(move || {
        pump(&mut from, &mut to, |bytes| {
            let mut cut = cut.lock().unwrap();
            let has = |text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
            match *cut {
                Some(Cut::Before(text)) if has(text) => {
                    *cut = None;
                    counted.fetch_add(1, Ordering::SeqCst);
                    false
                }
                Some(Cut::After(text)) if has(text) => {
                    *cut = None;
                    swallowing.store(1, Ordering::SeqCst);
                    true
                }
                _ => true,
            }
        });
    });
    let (mut from, mut to) = (server, client.try_clone().unwrap());
    thread::spawn(move || {
        pump(&mut from, &mut to, |_| {
            let passes = swallows.load(Ordering::SeqCst) == 0;
            cuts.fetch_add(usize::from(!passes), Ordering::SeqCst);
            passes
        });
    });
}

/// Copies bytes until an end is closed or something must not pass; then closes both ends.
fn pump(from: &mut UnixStream, to: &mut UnixStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn titles(store: &mut dyn Store) -> Vec<String> {
    let state = store.load().unwrap();
    let mut jobs: Vec<_> = state.jobs().map(|job| (job.id, job.title().to_owned())).collect();
    jobs.sort();
    jobs.into_iter().map(|(_, title)| title).collect()
}

#[test]
fn a_change_is_made_once_wherever_the_connection_breaks() {
    let Some(site) = CutSite::new() else { return };
    let mut store = site.connect();
    accept(&mut store, add(1));
    let cuts = [Cut::Before("BEGIN"), Cut::After("BEGIN"), Cut::Before("COMMIT"), Cut::After("COMMIT")];
    for (nth, cut) in (1..).zip(cuts) {
        site.cut(cut);
        let events = accept(&mut store, add(1));
        assert!(matches!(&events[..], [Event::Added { job }] if job.id == JobId(nth + 1)), "{cut:?}: {events:?}");
        assert_eq!(site.cuts.load(Ordering::SeqCst), usize::try_from(nth).unwrap(), "{cut:?}");
        let expected = vec!["job 1"; usize::try_from(nth).unwrap() + 1];
        assert_eq!(titles(&mut site.connect_directly()), expected, "{cut:?}");
        assert_eq!(titles(&mut store), expected, "{cut:?}");
    }
}

#[test]
fn a_claim_whose_answer_was_lost_is_answered_once_known() {
    let Some(site) = CutSite::new() else { return };
    let mut store = site.connect();
    accept(&mut store, add(3));
    accept(&mut store, process());
    let worker = join(&mut store);
    for (nth, cut) in (1..).zip([Cut::After("COMMIT"), Cut::Before("COMMIT")]) {
        site.cut(cut);
        let command = claim(worker);
        let report = store.transact(&[(&command, super::at(0))]).unwrap();
        let (job, run) = started(&report.results[0]).unwrap();
        assert_eq!(job, JobId(nth), "{cut:?}");
        assert_eq!(report.claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
        let end = super::report(job, run, setlist::model::Outcome::Succeeded);
        accept(&mut site.connect_directly(), end);
    }
    let state = site.connect_directly().load().unwrap();
    assert_eq!(state.queue(&queue()).unwrap().finished.len(), 2);
    assert!(state.jobs().all(|job| job.attempts <= 1));
}

#[test]
fn an_unreachable_server_is_an_error_and_nothing_is_changed() {
    let Some(site) = CutSite::new() else { return };
    let mut store = site.connect();
    accept(&mut store, add(1));
    let socket: PathBuf = site.folder.path().join(".s.PGSQL.5432");
    let moved = socket.with_extension("away");
    std::fs::rename(&socket, &moved).unwrap();
    site.break_all();
    let error = store.execute(&[add(1)], super::at(0)).unwrap_err();
    assert!(
        matches!(&error, StoreError::Unreachable { server, .. } if server.contains("database postgres")),
        "{error}"
    );
    assert!(matches!(store.load(), Err(StoreError::Unreachable { .. })));
    std::fs::rename(&moved, &socket).unwrap();
    assert_eq!(titles(&mut store), ["job 1"], "it connects again by itself");
    accept(&mut store, add(1));
}

#[test]
fn a_follower_is_notified_again_after_its_connection_broke() {
    let Some(site) = CutSite::new() else { return };
    let (_subscription, notifications) = subscribe(&site.connect());
    site.break_all();
    notifications.recv_timeout(TIMEOUT).expect("something may have changed meanwhile");
    let mut store = site.connect_directly();
    // Changes until the listener is connected again: then one of them notifies it without the others.
    let is_notified = || {
        accept(&mut store, add(1));
        notifications.try_iter().next()
    };
    crate::temp_site::wait_for("a notification", is_notified);
}

#[test]
fn sites_in_one_database_are_separate() {
    let (Some(one), Some(other)) = (CutSite::new(), CutSite::new()) else { return };
    let mut store = one.connect();
    accept(&mut store, add(1));
    accept(&mut other.connect(), Command::Add { queue: "other".into(), jobs: vec![super::definition("elsewhere")] });
    assert_eq!(titles(&mut one.connect()), ["job 1"]);
    assert_eq!(titles(&mut other.connect()), ["elsewhere"], "sites share the tables, but nothing else");
    assert!(one.connect().load().unwrap().queue(&"other".into()).is_none());
}
