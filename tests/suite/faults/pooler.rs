//! A pooler between the workers and the server, which gives each transaction another connection.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use setlist::store::ServerAddress;
use tempfile::TempDir;

use super::queue::{FaultyQueue, check};
use super::setlist_queue::SetlistQueue;
use crate::own_server::new_folder;
use crate::postgres_server::{self, unprivileged_user};
use crate::temp_site::wait_for;

/// Runs the pooler until standard input is closed, at the latest by the end of the test's process.
const GUARD: &str = "\"$@\" >/dev/null 2>&1 & read -r _; kill -TERM $!; wait $!";

struct Pooler {
    folder: TempDir,
    guard: Child,
}

impl Pooler {
    /// Starts a pooler in front of the server with this socket; none if it is not installed.
    fn start(server: &Path) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let Some(program) = folders.find_map(|folder| Some(folder.join("pgbouncer")).filter(|path| path.exists()))
        else {
            eprintln!("SKIPPED: the test with a pooler, because `pgbouncer` was not found");
            return None;
        };
        let folder = new_folder();
        let config = format!(
            "[databases]\n* = host={} port=5432 user=setlist\n\
             [pgbouncer]\npool_mode = transaction\nauth_type = any\nunix_socket_dir = {here}\nlisten_port = 5432\n\
             default_pool_size = 4\nlogfile = {here}/log\n",
            server.display(),
            here = folder.path().display()
        );
        fs::write(folder.path().join("config"), config).unwrap();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(program).arg(folder.path().join("config"));
        if let Some((uid, gid)) = unprivileged_user() {
            guard.uid(uid).gid(gid);
            std::os::unix::fs::chown(folder.path().join("config"), Some(uid), Some(gid)).unwrap();
        }
        let guard = guard.current_dir(folder.path()).stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        let socket = folder.path().join(".s.PGSQL.5432");
        wait_for("the pooler", || socket.exists().then_some(()));
        Some(Self { folder, guard })
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It ends with its pooler.
        let _ = self.guard.wait();
    }
}

#[test]
fn behind_a_pooler_a_worker_looks_for_changes_and_says_so() {
    let Some(mut queue) = SetlistQueue::on_shared_server(1) else { return };
    let Some(pooler) = Pooler::start(&postgres_server::socket()) else { return };
    let address = postgres_server::url(pooler.folder.path(), queue.direct.address.site());
    queue.machines[0].address = ServerAddress::parse(&address).unwrap();
    let mut worker = queue.start_worker(0);
    worker.wait_for_log("", "looking for changes each second instead");
    let added: Vec<u64> = (0..3).map(|_| queue.add().unwrap()).collect();
    check(&queue, &added, "pooler");
    assert!(worker.is_alive());
}
