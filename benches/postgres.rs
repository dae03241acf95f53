//! P11: jobs that are added, claimed and ended per second on a `PostgreSQL` server of its own, with 1 to 8 workers, one at a time and in
//! batches, beside `pgbench` with the same statements; with 1,000 and with more pending jobs (`PENDING=1000000`).
//!
//! `cargo bench --bench postgres`. The server keeps its defaults, so that each commit is on disk.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use setlist::model::{
    self, Definition, DesiredQueue, DesiredState, Event, JobId, Outcome, QueueSettings, RunId, RunReport, Script,
    WorkerId, WorkerOptions,
};
use setlist::store::{PostgresStore, ServerAddress, StateDir, Store};
use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const WORKERS: [usize; 4] = [1, 2, 4, 8];
/// How many jobs are claimed in one transaction.
const BATCHES: [usize; 2] = [1, 8];
/// How long each variant is measured.
const TIME: Duration = Duration::from_secs(3);
/// How many jobs are added in one transaction.
const ADDED_AT_ONCE: usize = 20_000;

struct Server {
    folder: TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    process: Option<Child>,
}

fn main() -> Result {
    let Some(server) = Server::start()? else {
        println!("P11 skipped: `initdb` was not found");
        return Ok(());
    };
    let more = env::var("PENDING").map_or(Ok(100_000), |text| text.parse())?;
    println!("P11 jobs added, claimed and ended per second, {} s each", TIME.as_secs());
    println!("    {:<26}{}", "workers", WORKERS.map(|count| format!("{count:>8}")).concat());
    for pending in [1_000, more] {
        let address = server.site(&format!("pending-{pending}"))?;
        fill(&address, server.folder.path(), pending)?;
        for batch in BATCHES {
            let mut rates = String::new();
            for workers in WORKERS {
                write!(rates, "{:>8.0}", rate(&address, server.folder.path(), workers, batch)?)?;
            }
            println!("    {:<26}{rates}", format!("{pending} pending, by {batch}"));
        }
    }
    for batch in BATCHES {
        let mut rates = String::new();
        for workers in WORKERS {
            write!(rates, "{:>8.0}", server.pgbench(workers, batch)?)?;
        }
        println!("    {:<26}{rates}", format!("pgbench, by {batch}"));
    }
    Ok(())
}

impl Server {
    fn start() -> Result<Option<Self>> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let Some(programs) =
            versions.map(|version| version.path().join("bin")).find(|path| path.join("initdb").exists())
        else {
            return Ok(None);
        };
        let folder = TempDir::with_prefix_in("setlist-bench", "/tmp")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let owner = unprivileged_user()?;
        if let Some((uid, gid)) = owner {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let mut server = Self { folder, programs, owner, process: None };
        let data = server.folder.path().join("data");
        let initdb = ["--username=setlist", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"];
        if !server.command("initdb").args(initdb).arg(&data).stdout(Stdio::null()).status()?.success() {
            return Err("initdb failed".into());
        }
        let mut command = server.command("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(server.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "log_min_messages=fatal"]).stderr(Stdio::null());
        server.process = Some(command.spawn()?);
        let until = Instant::now() + Duration::from_secs(30);
        while PostgresStore::open(&server.site("first")?, &StateDir::new(server.folder.path())).is_err() {
            if Instant::now() > until {
                return Err("the server does not start".into());
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        Ok(Some(server))
    }

    fn site(&self, name: &str) -> Result<ServerAddress> {
        Ok(ServerAddress::parse(&format!(
            "postgres://setlist@/postgres?host={}&site={name}",
            self.folder.path().display()
        ))?)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.folder.path());
        command
    }

    /// Runs the statements of the worker in `pgbench`; returns how many jobs are claimed and ended per second.
    fn pgbench(&self, clients: usize, batch: usize) -> Result<f64> {
        let script = self.folder.path().join("script.sql");
        fs::write(&script, pgbench_script(batch))?;
        let output = self
            .command("pgbench")
            .args(["-n", "-M", "simple", "-h"])
            .arg(self.folder.path())
            .args(["-U", "setlist", "-T", &TIME.as_secs().to_string(), "-c", &clients.to_string(), "-j", "2", "-f"])
            .arg(&script)
            .arg("postgres")
            .stderr(Stdio::null())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find(|line| line.starts_with("tps = ")).ok_or("pgbench reports no rate")?;
        let transactions: f64 = line.split(' ').nth(2).ok_or("pgbench reports no rate")?.parse()?;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        Ok(transactions * batch as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended.
            let _ = (process.kill(), process.wait());
        }
    }
}

/// The two messages of a transaction that records the ends of some runs, adds as many jobs and claims as many.
fn pgbench_script(batch: usize) -> String {
    let site = "(SELECT id FROM setlist.sites WHERE name = 'pending-1000')";
    let body = format!("'{{\"id\":1,\"body\":\"{}\"}}'", "x".repeat(600));
    let rows = |count: usize, row: &dyn Fn(usize) -> String| (0..count).map(row).collect::<Vec<_>>().join(", ");
    let jobs = rows(3 * batch, &|nth| format!("(:site, {}, '\"build\"', NULL, 0, {body})", nth + 1));
    let events = rows(3 * batch, &|nth| format!("(:site, :seq + {}, 0, {body})", nth + 1));
    format!(
        "SELECT id AS site FROM setlist.sites WHERE name = 'pending-1000' \\gset\n\
         BEGIN\\; SELECT pg_advisory_xact_lock(1, 1)\\; \
         SELECT seq, generation, clock_timestamp(), job, run, worker, file_version, pools FROM setlist.sites WHERE id = :site\\; \
         SELECT seq, at, body FROM setlist.events WHERE site = :site AND seq > \
         (SELECT seq - {batch} FROM setlist.sites WHERE id = :site) ORDER BY seq;\n\
         SELECT seq FROM setlist.sites WHERE id = :site \\gset\n\
         INSERT INTO setlist.jobs VALUES {jobs} ON CONFLICT (site, id) DO UPDATE SET body = excluded.body\\; \
         UPDATE setlist.sites SET seq = seq + {more} WHERE id = {site}\\; \
         INSERT INTO setlist.events VALUES {events}\\; \
         INSERT INTO setlist.clients VALUES (:site, 'bench' || :client_id, 1) ON CONFLICT (site, id) DO UPDATE SET \
         transaction = excluded.transaction, at = clock_timestamp()\\; COMMIT\\; NOTIFY setlist_0, '1';\n",
        more = 3 * batch
    )
}

/// Fills a site with pending jobs.
fn fill(address: &ServerAddress, local: &Path, pending: usize) -> Result {
    let mut store = PostgresStore::open(address, &StateDir::new(local))?;
    let now = store.clock().now();
    let settings = QueueSettings { parallel: 10_000.try_into()?, ..QueueSettings::default() };
    let queues = vec![DesiredQueue { id: "build".into(), settings, jobs: Vec::new() }];
    let desired = DesiredState { version: "bench".to_owned(), queues, ..DesiredState::default() };
    execute(&mut store, &[model::Command::Reconcile(Box::new(desired))])?;
    let job = Arc::new(Definition::new(Script::shell("true")));
    let mut left = pending;
    while left > 0 {
        let jobs = vec![Arc::clone(&job); left.min(ADDED_AT_ONCE)];
        left -= jobs.len();
        store.execute(&[model::Command::Add { queue: "build".into(), jobs }], now)?.remove(0)?;
    }
    execute(&mut store, &[model::Command::Process { queue: "build".into() }])?;
    Ok(())
}

fn execute(store: &mut PostgresStore, commands: &[model::Command]) -> Result<Vec<Event>> {
    let answers = store.execute(commands, store.clock().now())?;
    let events = answers.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(events.into_iter().flatten().collect())
}

/// How many jobs workers claim and end per second.
fn rate(address: &ServerAddress, local: &Path, workers: usize, batch: usize) -> Result<f64> {
    let (joined, jobs) = (std::sync::Barrier::new(workers), std::sync::atomic::AtomicUsize::new(0));
    thread::scope(|scope| {
        let work = || -> Result {
            let mut store = PostgresStore::open(address, &StateDir::new(local))?;
            let join = model::Command::Join {
                host: "bench".to_owned(),
                pid: 1,
                queues: None,
                options: WorkerOptions::default(),
            };
            let joined_as = execute(&mut store, &[join])?.into_iter().find_map(|event| match event {
                Event::WorkerJoined { worker } => Some(worker.id),
                _ => None,
            });
            let worker = joined_as.ok_or("not joined")?;
            joined.wait();
            let until = Instant::now() + TIME;
            let mut runs = Vec::new();
            while Instant::now() < until {
                runs = claim_and_end(&mut store, worker, batch, &runs)?;
                jobs.fetch_add(runs.len(), std::sync::atomic::Ordering::Relaxed);
            }
            claim_and_end(&mut store, worker, 0, &runs)?;
            execute(&mut store, &[model::Command::Leave { worker, queues: None }]).map(drop)
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a worker has panicked")?)
    })?;
    let jobs = u32::try_from(jobs.into_inner())?;
    Ok(f64::from(jobs) / TIME.as_secs_f64())
}

/// Ends runs, adds as many jobs, and claims others, in one transaction.
fn claim_and_end(
    store: &mut PostgresStore,
    worker: WorkerId,
    batch: usize,
    ended: &[(JobId, RunId)],
) -> Result<Vec<(JobId, RunId)>> {
    let end = |(job, run): &(JobId, RunId)| model::Command::EndRun {
        job: *job,
        run: *run,
        report: RunReport::new(Outcome::Succeeded),
        on_failure: None,
    };
    let job = Arc::new(Definition::new(Script::shell("true")));
    let add = model::Command::Add { queue: "build".into(), jobs: vec![job; ended.len()] };
    let add = (!ended.is_empty()).then_some(add);
    let claim = (0..batch).map(|_| model::Command::Claim { worker, queues: None });
    let commands: Vec<_> = ended.iter().map(end).chain(add).chain(claim).collect();
    let events = execute(store, &commands)?;
    let started = events.into_iter().filter_map(|event| match event {
        Event::Started { job, run } => Some((job, run.id)),
        _ => None,
    });
    Ok(started.collect())
}

/// The user and group to run the server as, if this process runs as root, which it refuses.
fn unprivileged_user() -> Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.permissions().mode() == 0 || !is_root()? {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).ok_or("the user `postgres` is missing")?;
    let mut ids = line.split(':').skip(2).map(str::parse);
    Ok(Some((ids.next().ok_or("no user id")??, ids.next().ok_or("no group id")??)))
}

fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok(status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}
