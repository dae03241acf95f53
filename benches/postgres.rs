//! P11: jobs that are added, claimed and ended per second on a `PostgreSQL` server of its own, with 1 to 8 workers, one at a time and in
//! batches, beside `pgbench` with the same statements; with 1,000 and with more pending jobs (`PENDING=1000000`); while a
//! snapshot is held open elsewhere, and while 20 screens follow.
//!
//! `cargo bench --bench postgres`. The server keeps its defaults, so that each commit is on disk. With `-- workers`, 100
//! workers (`WORKERS`) claim and end all of 200,000 jobs (`JOBS`), and the figures tell what bounds them.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
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
/// How many jobs are claimed and ended while a snapshot is held open.
const JOBS_UNDER_SNAPSHOT: usize = 80_000;
/// How many screens follow.
const SCREENS: usize = 20;
/// How often the server is asked what its connections wait for.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

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
    if env::args().any(|argument| argument == "workers") {
        return many_workers(&server);
    }
    let more = number("PENDING", 100_000)?;
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
    let followed = server.site("pending-1000")?;
    println!("    {:<26}{:>8.0}", format!("{SCREENS} screens, 1 by 8"), with_screens(&server, &followed, 1)?);
    println!("    {:<26}{:>8.0}", format!("{SCREENS} screens, 4 by 8"), with_screens(&server, &followed, 4)?);
    for is_held in [false, true] {
        let address = server.site(&format!("snapshot-{is_held}"))?;
        fill(&address, server.folder.path(), 10_000)?;
        let name = if is_held { "a snapshot is held open" } else { "no snapshot" };
        println!("    {name:<26}{} ms for a claim and end by 8", under_snapshot(&server, &address, is_held)?);
    }
    // It fills the tables of a site with rows that are no jobs.
    for batch in BATCHES {
        let mut rates = String::new();
        for workers in WORKERS {
            write!(rates, "{:>8.0}", server.pgbench(workers, batch)?)?;
        }
        println!("    {:<26}{rates}", format!("pgbench, by {batch}"));
    }
    Ok(())
}

/// A number in a variable.
fn number(variable: &str, default: usize) -> Result<usize> {
    Ok(env::var(variable).map_or(Ok(default), |text| text.parse())?)
}

/// The rate while screens follow the events.
fn with_screens(server: &Server, address: &ServerAddress, workers: usize) -> Result<f64> {
    let (has_ended, local) = (AtomicBool::new(false), server.folder.path());
    thread::scope(|scope| {
        let screens: Vec<_> = (0..SCREENS).map(|_| scope.spawn(|| follow(address, local, &has_ended))).collect();
        let rate = rate(address, local, workers, 8);
        has_ended.store(true, Ordering::Relaxed);
        screens.into_iter().try_for_each(|screen| screen.join().map_err(|_| "a screen has panicked")?)?;
        rate
    })
}

fn follow(address: &ServerAddress, local: &Path, has_ended: &AtomicBool) -> Result {
    let mut store = PostgresStore::open(address, &StateDir::new(local))?;
    let (notify, notified) = sync_channel(1);
    let _subscription = store.subscribe(Arc::new(move || _ = notify.try_send(())))?;
    let mut state = store.load()?;
    while !has_ended.load(Ordering::Relaxed) {
        match store.events_after(state.seq())? {
            Some(events) => events.iter().for_each(|event| state.apply(event)),
            None => state = store.load()?,
        }
        // It may be the last one.
        let _ = notified.recv_timeout(Duration::from_millis(200));
    }
    Ok(())
}

/// Milliseconds for each transaction that claims and ends jobs, of each quarter of all.
fn under_snapshot(server: &Server, address: &ServerAddress, is_held: bool) -> Result<String> {
    let mut holder = server.client()?;
    if is_held {
        holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM setlist.format")?;
    }
    let mut store = PostgresStore::open(address, &StateDir::new(server.folder.path()))?;
    let worker = join(&mut store)?;
    let (mut times, mut runs) = (String::new(), Vec::new());
    for _ in 0..4 {
        let begun = Instant::now();
        let transactions = JOBS_UNDER_SNAPSHOT / 4 / 8;
        for _ in 0..transactions {
            runs = claim_and_end(&mut store, worker, 8, &runs)?;
        }
        let each = begun.elapsed() / u32::try_from(transactions)?;
        write!(times, "{:>8.2}", each.as_secs_f64() * 1_000.0)?;
    }
    Ok(times)
}

/// Many workers claim and end all jobs of a site.
fn many_workers(server: &Server) -> Result {
    let (workers, jobs) = (number("WORKERS", 100)?, number("JOBS", 200_000)?);
    let (address, local) = (server.site("workers")?, server.folder.path());
    let begun = Instant::now();
    fill(&address, local, jobs)?;
    println!("{jobs} jobs added in {:.1} s, {} MiB at most", begun.elapsed().as_secs_f64(), peak_mebibytes()?);
    let before = processor_seconds(&["self".to_owned()])?;
    let (ended, joined) = (AtomicUsize::new(0), Barrier::new(workers + 1));
    let (done, begun) = (Barrier::new(workers + 1), Instant::now());
    let work = || -> Result {
        let mut store = PostgresStore::open(&address, &StateDir::new(local))?;
        let worker = join(&mut store)?;
        joined.wait();
        let mut runs = Vec::new();
        loop {
            runs = claim_and_end_only(&mut store, worker, 8, &runs)?;
            ended.fetch_add(runs.len(), Ordering::Relaxed);
            if runs.is_empty() {
                // Their connections stay open until they were looked at.
                done.wait();
                done.wait();
                return execute(&mut store, &[model::Command::Leave { worker, queues: Some(Vec::new()) }]).map(drop);
            }
        }
    };
    let mut waits = BTreeMap::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        joined.wait();
        println!("{workers} workers joined after {:.1} s", begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let mut client = server.client()?;
        while ended.load(Ordering::Relaxed) < jobs && threads.iter().any(|thread| !thread.is_finished()) {
            thread::park_timeout(SAMPLE_INTERVAL);
            sample(&mut client, &mut waits)?;
        }
        done.wait();
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let rate = ended.load(Ordering::Relaxed) as f64 / seconds;
        println!("{} jobs claimed and ended in {seconds:.1} s, {rate:.0} a second", ended.load(Ordering::Relaxed));
        let own = processor_seconds(&["self".to_owned()])? - before;
        println!("processor seconds: {own:.0} of the workers, {:.0} of the server", server.processor_seconds()?);
        println!("{} MiB at most in {workers} workers", peak_mebibytes()?);
        let total: u32 = waits.values().sum();
        for (wait, count) in &waits {
            println!("    {wait:<40}{:>6.1} % of the connections", f64::from(*count) * 100.0 / f64::from(total.max(1)));
        }
        done.wait();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a worker has panicked")?)
    })
}

/// Counts what connections wait for.
fn sample(client: &mut Client, waits: &mut BTreeMap<String, u32>) -> Result {
    let sql = "SELECT state || coalesce(', ' || wait_event_type || ' ' || wait_event, ', at work'), count(*)::int \
               FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid != pg_backend_pid() GROUP BY 1";
    for row in client.query(sql, &[])? {
        let (wait, count): (Option<String>, i32) = (row.get(0), row.get(1));
        *waits.entry(wait.unwrap_or_default()).or_default() += u32::try_from(count)?;
    }
    Ok(())
}

/// The highest memory of this process.
fn peak_mebibytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no memory in the status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// The processor time of processes; those that have ended count as nothing.
fn processor_seconds(processes: &[String]) -> Result<f64> {
    let mut ticks = 0;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        ticks +=
            fields.iter().skip(11).take(2).map(|field| field.parse::<u32>()).sum::<std::result::Result<u32, _>>()?;
    }
    Ok(f64::from(ticks) / 100.0)
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
        command
            .args(["-c", "listen_addresses=", "-c", "log_min_messages=fatal", "-c", "max_connections=400"])
            .stderr(Stdio::null());
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

    fn client(&self) -> Result<Client> {
        let options = format!("user=setlist dbname=postgres host={}", self.folder.path().display());
        Ok(Client::connect(&options, NoTls)?)
    }

    /// The processor time of its connections that are open.
    fn processor_seconds(&self) -> Result<f64> {
        let own = self.process.as_ref().map(|process| process.id().to_string()).unwrap_or_default();
        let mut connections = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent =
                stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1).unwrap_or_default().to_owned();
            if parent == own {
                connections.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        processor_seconds(&connections)
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
            .args([
                "-U",
                "setlist",
                "-T",
                &TIME.as_secs().to_string(),
                "-c",
                &clients.to_string(),
                "-j",
                "2",
                "-D",
                "n=2",
            ])
            .args(["-D", &format!("run_id={clients}{batch}"), "-f"])
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
    let body = format!("'{{\"id\":1,\"body\":\"{}\"}}'", "x".repeat(600));
    let rows = |count: usize, row: &dyn Fn(usize) -> String| (0..count).map(row).collect::<Vec<_>>().join(", ");
    // Those that end are those that were claimed before.
    let job = |nth: usize| {
        let (kind, nth) = (nth / batch, nth % batch);
        let state = [0, 5, 1][kind];
        format!(
            "(:site, 100000000 + :client_id * 1000000 + {}, '\"build\"', {body}, 0, {state}, {nth}, 1, 1)",
            if kind == 1 {
                format!(":n * {batch} + {nth}")
            } else {
                format!("(:n - {}) * {batch} + {nth}", 2 - kind / 2)
            }
        )
    };
    let jobs = rows(3 * batch, &job);
    let ids = rows(batch, &|nth| format!("100000000 + :client_id * 1000000 + (:n - 2) * {batch} + {nth}"));
    let events = rows(3 * batch, &|nth| format!("(:site, :seq + {}, 0, {body}, 1, 1, 1)", nth + 1));
    let row = "j.id, j.removed, j.body, j.pending_needs, j.failed_needs FROM setlist.jobs j WHERE j.site = :site";
    let from = "SELECT coalesce(ready_rank, -1), coalesce(ready_position, -1) FROM setlist.queue_totals";
    format!(
        "\\set n :n + 1\n\
         SELECT id AS site FROM setlist.sites WHERE name = 'pending-1000' \\gset\n\
         BEGIN\\; SET LOCAL idle_in_transaction_session_timeout = 10000\\; SET LOCAL lock_timeout = '60s'\\; \
         SELECT pg_advisory_xact_lock(1, 1)\\; \
         SELECT q.id, t.* FROM setlist.queues q CROSS JOIN LATERAL (SELECT * FROM setlist.queue_totals t WHERE t.site = q.site \
         AND t.queue = q.id ORDER BY t.seq DESC LIMIT 1) t WHERE q.site = :site\\; \
         SELECT {row} AND j.id IN ({ids})\\; \
         SELECT n.needed, d.id FROM setlist.needs n JOIN setlist.jobs d ON d.site = n.site AND d.id = n.job \
         WHERE n.site = :site AND n.needed IN ({ids})\\; \
         SELECT position, id FROM setlist.jobs WHERE site = :site AND queue = '\"build\"' ORDER BY position DESC, id DESC \
         LIMIT 1\\; \
         SELECT {row} AND j.queue = '\"build\"' AND j.state = 5 AND j.state >= 4 AND j.removed IS NULL \
         AND (j.rank, j.position) >= ({from} WHERE site = :site AND queue = '\"build\"' ORDER BY seq DESC LIMIT 1) \
         ORDER BY j.rank, j.position, j.id LIMIT {more}\\; \
         SELECT clock_timestamp(), s.*, e.seq FROM setlist.sites s LEFT JOIN LATERAL (SELECT seq, job, run, worker \
         FROM setlist.events WHERE site = s.id ORDER BY seq DESC LIMIT 1) e ON true WHERE s.id = :site \\gset\n\
         INSERT INTO setlist.jobs (site, id, queue, body, settled, state, position, run, worker) VALUES {jobs} \
         ON CONFLICT (site, id) DO UPDATE SET body = excluded.body, state = excluded.state, run = excluded.run\\; \
         INSERT INTO setlist.queue_totals VALUES (:site, '\"build\"', :seq + {last}, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0)\\; \
         INSERT INTO setlist.events VALUES {events}\\; \
         INSERT INTO setlist.clients VALUES (:site, 'bench' || :client_id || :run_id, :n)\\; COMMIT\\; NOTIFY setlist_0, '1';\n",
        more = batch + 1,
        last = 3 * batch
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
    let (joined, jobs) = (Barrier::new(workers), AtomicUsize::new(0));
    thread::scope(|scope| {
        let work = || -> Result {
            let mut store = PostgresStore::open(address, &StateDir::new(local))?;
            let worker = join(&mut store)?;
            joined.wait();
            let until = Instant::now() + TIME;
            let mut runs = Vec::new();
            while Instant::now() < until {
                runs = claim_and_end(&mut store, worker, batch, &runs)?;
                jobs.fetch_add(runs.len(), Ordering::Relaxed);
            }
            claim_and_end(&mut store, worker, 0, &runs)?;
            execute(&mut store, &[model::Command::Leave { worker, queues: Some(Vec::new()) }]).map(drop)
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a worker has panicked")?)
    })?;
    let jobs = u32::try_from(jobs.into_inner())?;
    Ok(f64::from(jobs) / TIME.as_secs_f64())
}

/// Registers a worker.
fn join(store: &mut PostgresStore) -> Result<WorkerId> {
    let options = WorkerOptions::default();
    let join = model::Command::Join { host: "bench".to_owned(), pid: 1, queues: None, options };
    let joined_as = execute(store, &[join])?.into_iter().find_map(|event| match event {
        Event::WorkerJoined { worker } => Some(worker.id),
        _ => None,
    });
    Ok(joined_as.ok_or("not joined")?)
}

/// Ends runs and claims others, as many as there are, in one transaction.
fn claim_and_end_only(
    store: &mut PostgresStore,
    worker: WorkerId,
    batch: usize,
    ended: &[(JobId, RunId)],
) -> Result<Vec<(JobId, RunId)>> {
    let claim = (0..batch).map(|_| model::Command::Claim { worker, queues: None });
    let commands: Vec<_> = ended.iter().map(end_run).chain(claim).collect();
    // A claim is refused where nothing is left.
    let answers = store.execute(&commands, store.clock().now())?;
    Ok(started(answers.into_iter().flatten().flatten()))
}

fn end_run((job, run): &(JobId, RunId)) -> model::Command {
    let report = RunReport::new(Outcome::Succeeded);
    model::Command::EndRun { job: *job, run: *run, report, on_failure: None }
}

/// The runs that events have started.
fn started(events: impl Iterator<Item = Event>) -> Vec<(JobId, RunId)> {
    let started = events.filter_map(|event| match event {
        Event::Started { job, run } => Some((job, run.id)),
        _ => None,
    });
    started.collect()
}

/// Ends runs, adds as many jobs, and claims others, in one transaction.
fn claim_and_end(
    store: &mut PostgresStore,
    worker: WorkerId,
    batch: usize,
    ended: &[(JobId, RunId)],
) -> Result<Vec<(JobId, RunId)>> {
    let job = Arc::new(Definition::new(Script::shell("true")));
    let add = model::Command::Add { queue: "build".into(), jobs: vec![job; ended.len()] };
    let add = (!ended.is_empty()).then_some(add);
    let claim = (0..batch).map(|_| model::Command::Claim { worker, queues: None });
    let commands: Vec<_> = ended.iter().map(end_run).chain(add).chain(claim).collect();
    Ok(started(execute(store, &commands)?.into_iter()))
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
