//! A `PostgreSQL` server of one test, reached through TCP, that the test stops and starts.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use postgres::{Client, NoTls};
use tempfile::TempDir;

use super::postgres_server::{find_programs, readable_temp_dir, unprivileged_user};
use super::temp_site::wait_for;

/// Runs a server until standard input is closed, at the latest by the end of the test's process.
const GUARD: &str = "\"$@\" >>\"$LOG\" 2>&1 & read -r _; kill -QUIT $!; wait $!";

pub(crate) struct OwnServer {
    folder: TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
    options: Vec<String>,
    guard: Option<Child>,
}

impl OwnServer {
    /// Starts a server with these settings, after `prepare` has changed its data folder. None if none is installed.
    pub(crate) fn start_with(options: &[&str], prepare: impl FnOnce(&Path)) -> Option<Self> {
        let programs = find_programs()?;
        let folder = new_folder();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { folder, programs, port: 0, options, guard: None };
        let made = server
            .command("initdb")
            .args(["--username=setlist", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        prepare(&server.data());
        // What the test has added belongs to the user of the server.
        if let Some((uid, gid)) = unprivileged_user() {
            for entry in fs::read_dir(server.data()).unwrap() {
                chown(entry.unwrap().path(), Some(uid), Some(gid)).unwrap();
            }
        }
        server.port = free_port();
        server.start();
        Some(server)
    }

    pub(crate) fn start(&mut self) {
        assert!(self.guard.is_none());
        let mut guard = self.command("sh");
        guard.args(["-c", GUARD, "guard"]).arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        guard.arg("-k").arg(self.folder.path());
        let port = format!("port={}", self.port);
        let settings = [&port[..], "listen_addresses=127.0.0.1", "max_connections=100", "shared_buffers=16MB"];
        for setting in settings.into_iter().chain(self.options.iter().map(String::as_str)) {
            guard.args(["-c", setting]);
        }
        guard.env("LOG", self.folder.path().join("log")).stdin(Stdio::piped()).process_group(0);
        self.guard = Some(guard.spawn().unwrap());
        wait_for("the server", || self.client());
    }

    /// Starts a server that follows this one until it is promoted.
    pub(crate) fn start_standby(&self) -> Self {
        let folder = new_folder();
        let mut standby = Self {
            folder,
            programs: self.programs.clone(),
            port: free_port(),
            options: self.options.clone(),
            guard: None,
        };
        let copied = standby
            .command("pg_basebackup")
            .args(["--username=setlist", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--host"])
            .arg(self.folder.path())
            .args(["--port", &self.port.to_string(), "--pgdata"])
            .arg(standby.data())
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        standby.start();
        standby
    }

    /// Stops the server at once: its connections break.
    pub(crate) fn stop(&mut self) {
        let mut guard = self.guard.take().unwrap();
        drop(guard.stdin.take());
        guard.wait().unwrap();
    }

    /// A connection of the test, through the socket.
    pub(crate) fn client(&self) -> Option<Client> {
        let parameters =
            format!("user=setlist dbname=postgres port={} host={}", self.port, self.folder.path().display());
        Client::connect(&parameters, NoTls).ok()
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = Command::new(if path.exists() { path } else { program.into() });
        if let Some((uid, gid)) = unprivileged_user() {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.folder.path());
        command
    }
}

/// A folder of the server's user.
pub(crate) fn new_folder() -> TempDir {
    let folder = TempDir::with_prefix_in("setlist-pg", readable_temp_dir()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    if let Some((uid, gid)) = unprivileged_user() {
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
    }
    folder
}

/// It stays free until the server takes it, unless another process is faster.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.stop();
        }
    }
}
