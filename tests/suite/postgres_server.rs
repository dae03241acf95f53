//! A `PostgreSQL` server for the tests, started once for all of them. It ends with this process, however that ends.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postgres::{Client, NoTls};
use setlist::store::{PostgresStore, ServerAddress, StateDir};
use tempfile::TempDir;

use super::temp_site::wait_for;

/// The running server.
struct Server {
    /// The folder of the socket.
    socket: PathBuf,
    /// The server stops when this is closed, at the latest by the end of the process.
    _open: ChildStdin,
}

/// Runs the server until standard input is closed, then stops it and removes its folder.
const GUARD: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=400 -c fsync=off -c full_page_writes=off \
  -c shared_buffers=64MB -c autovacuum=off >"$2/log" 2>&1 &
read -r _
kill -QUIT $!
wait $!
rm -rf "$2"
"#;

static SERVER: OnceLock<Option<Server>> = OnceLock::new();

/// The address of a new, empty site. None if no server is installed, which is said on standard error.
pub(crate) fn new_site() -> Option<ServerAddress> {
    static SITES: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(start).as_ref()?;
    let site = SITES.fetch_add(1, Ordering::Relaxed);
    Some(ServerAddress::parse(&url(&server.socket, &format!("site-{site}"))).unwrap())
}

/// Lets time pass for the leases of workers of a site, by moving them into the past.
pub(crate) fn pass(address: &ServerAddress, time: Duration) {
    let mut client = client();
    let interval = format!("interval '{} milliseconds'", time.as_millis());
    let sql = format!(
        "UPDATE setlist.workers SET renewed = renewed - {interval}, overdue = overdue - {interval} \
         WHERE site = (SELECT id FROM setlist.sites WHERE name = '{}')",
        address.site()
    );
    client.batch_execute(&sql).unwrap();
}

/// A connection of a test to the database with all sites.
pub(crate) fn client() -> Client {
    Client::connect(&format!("user=setlist dbname=postgres host={}", socket().display()), NoTls).unwrap()
}

/// The folder of the server's socket.
pub(crate) fn socket() -> PathBuf {
    SERVER.get_or_init(start).as_ref().unwrap().socket.clone()
}

/// The address of a site on a server with this socket.
pub(crate) fn url(socket: &Path, site: &str) -> String {
    format!("postgres://setlist@/postgres?host={}&site={site}", socket.display())
}

#[expect(clippy::zombie_processes, reason = "the server ends after this process")]
fn start() -> Option<Server> {
    let Some(programs) = find_programs() else {
        // Written past the capture of the test's output.
        let _ = io::stderr().write_all(b"\nSKIPPED: the tests with PostgreSQL, because `initdb` was not found\n");
        return None;
    };
    let folder = TempDir::with_prefix_in("setlist-pg", readable_temp_dir()).unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let user = unprivileged_user();
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).unwrap();
    }
    let command = |program: &Path| {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(&folder);
        command
    };
    let made = command(&programs.join("initdb"))
        .args(["--username=setlist", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
        .arg(folder.join("data"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut guard = command(Path::new("sh"))
        .args(["-c", GUARD, "guard"])
        .args([&programs, &folder])
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let address = ServerAddress::parse(&url(&folder, "first")).unwrap();
    wait_for("the server", || PostgresStore::open(&address, &StateDir::new(&folder)).ok());
    Some(Server { socket: folder, _open: guard.stdin.take().unwrap() })
}

/// A folder for temporary files that the user of a server can enter. Its path is short, because that of a socket is limited.
pub(crate) fn readable_temp_dir() -> PathBuf {
    let temp = std::env::temp_dir();
    let is_open = |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o001 != 0);
    if temp.ancestors().all(is_open) { temp } else { PathBuf::from("/tmp") }
}

/// The folder with the programs of the server.
pub(crate) fn find_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("initdb"));
    let found = found.filter_map(|program| program.canonicalize().ok()?.parent().map(Path::to_owned));
    let versions = ["/usr/lib/postgresql", "/usr/libexec/postgresql", "/opt/postgresql"].map(fs::read_dir);
    let versions = versions.into_iter().flatten().flatten().flatten().map(|version| version.path().join("bin"));
    found.chain(versions).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// The user and group to run the server as, if this process runs as root, which it refuses.
pub(crate) fn unprivileged_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
        ids.next().zip(ids.next())
    };
    user("postgres").or_else(|| user("nobody"))
}
