//! How long tools take to react: from a command to the first instruction of its job, from the end of a job to the start of
//! the next, and from the end of a job to the screen, or to a command that waits for it.
//!
//! `cargo bench --bench latency`, or a part: `-- start`, `-- next`, `-- end`. Beside Setlist, which records each job durably,
//! there are `xargs`, and task-spooler and GNU parallel where they are installed. The jobs are this program itself: it
//! writes when it starts and when it ends.

use std::env;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use screen_process::ScreenProcess;
use tempfile::TempDir;

#[path = "support/screen_process.rs"]
mod screen_process;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

type Part = fn(&[Tool]) -> Result;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
/// start, end: how often each tool is asked.
const ROUNDS: usize = 60;
/// next: how many jobs follow each other.
const JOBS: usize = 300;
/// end: how long the jobs take, so that others wait for them, in milliseconds.
const JOB_TIME: &str = "150";
/// The first argument of this program when it is a job.
const JOB_ARG: &str = "run-as-job";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    Bare,
    Setlist,
    Xargs,
    TaskSpooler,
    Parallel,
}

impl Tool {
    const ALL: [Self; 5] = [Self::Bare, Self::Setlist, Self::Xargs, Self::TaskSpooler, Self::Parallel];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare spawn",
            Self::Setlist => "setlist, durable",
            Self::Xargs => "xargs",
            Self::TaskSpooler => "task-spooler",
            Self::Parallel => "GNU parallel",
        }
    }

    fn is_installed(self) -> bool {
        let program = match self {
            Self::TaskSpooler => "tsp",
            Self::Parallel => "parallel",
            _ => return true,
        };
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    }
}

fn main() -> Result {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [JOB_ARG, times, millis] = args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return run_as_job(Path::new(times), millis);
    }
    let selected: Vec<String> = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
    let (tools, missing): (Vec<Tool>, Vec<Tool>) = Tool::ALL.into_iter().partition(|tool| tool.is_installed());
    for tool in missing {
        println!("{} is not installed", tool.name());
    }
    let parts: [(&str, Part); 3] = [("start", command_to_start), ("next", end_to_next), ("end", end_to_notice)];
    for (name, part) in parts {
        if selected.is_empty() || selected.iter().any(|selected| selected == name) {
            part(&tools)?;
        }
    }
    Ok(())
}

/// Writes when it started and when it ends, in nanoseconds.
fn run_as_job(times: &Path, millis: &str) -> Result {
    let started = now()?;
    thread::sleep(Duration::from_millis(millis.parse()?));
    let mut file = OpenOptions::new().create(true).append(true).open(times)?;
    Ok(file.write_all(format!("{started} {}\n", now()?).as_bytes())?)
}

fn command_to_start(tools: &[Tool]) -> Result {
    println!("from a command to the first instruction of its job, {ROUNDS} rounds");
    let bench = Bench::new()?;
    let _worker = bench.worker()?;
    let mut times = vec![Vec::new(); tools.len()];
    for _ in 0..ROUNDS {
        for (times, tool) in times.iter_mut().zip(tools) {
            bench.forget_jobs()?;
            let asked = now()?;
            bench.request(*tool, "0")?.wait()?;
            let (started, _) = bench.wait_for_jobs(1)?[0];
            times.push(started.saturating_sub(asked));
        }
    }
    print_all(tools, times);
    Ok(())
}

fn end_to_next(tools: &[Tool]) -> Result {
    println!("from the end of a job to the first instruction of the next, {JOBS} jobs, one at a time");
    let bench = Bench::new()?;
    let job = bench.job_words("0").join(" ");
    let mut times = Vec::new();
    for tool in tools {
        bench.forget_jobs()?;
        match tool {
            Tool::Bare => {
                for _ in 0..JOBS {
                    bench.request(*tool, "0")?.wait()?;
                }
            }
            Tool::Setlist => {
                let jobs = format!("      - {{command: [{}]}}\n", bench.job_words("'0'").join(", ")).repeat(JOBS);
                bench.write_file(&format!("queues:\n  q:\n    jobs:\n{jobs}"))?;
                run(&mut bench.setlist(&["process", "q", "--quiet"]))?;
            }
            Tool::Xargs => {
                run(&mut bench.shell(&format!("seq {JOBS} | xargs -I{{}} -P1 {job}")))?;
            }
            Tool::Parallel => {
                run(&mut bench.shell(&format!("seq {JOBS} | parallel --will-cite -j1 -n0 {job}")))?;
            }
            Tool::TaskSpooler => run(&mut bench.shell(&format!(
                "tsp -S 1; tsp -n sleep 2; for i in $(seq {JOBS}); do tsp -n {job}; done; tsp -w; tsp -C"
            )))?,
        }
        let jobs = bench.wait_for_jobs(JOBS)?;
        times.push(jobs.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].1)).collect());
    }
    print_all(tools, times);
    Ok(())
}

fn end_to_notice(tools: &[Tool]) -> Result {
    println!("from the end of a job to a command that waits for it, and to the screen, {ROUNDS} rounds");
    let bench = Bench::new()?;
    let _worker = bench.worker()?;
    let mut times = vec![Vec::new(); tools.len()];
    let mut on_screen = Vec::new();
    run(&mut bench.setlist(&["run", "true"]))?;
    let mut screen = ScreenProcess::open(bench.path())?;
    for round in 0..ROUNDS {
        for (times, tool) in times.iter_mut().zip(tools) {
            bench.forget_jobs()?;
            let mut request = bench.request(*tool, JOB_TIME)?;
            match tool {
                // These exit at the end of their job.
                Tool::Bare | Tool::Xargs | Tool::Parallel => drop(request.wait()?),
                Tool::TaskSpooler => {
                    request.wait()?;
                    run(&mut bench.shell("tsp -w"))?;
                }
                Tool::Setlist => {
                    request.wait()?;
                    run(&mut bench.setlist(&["wait", "@last"]))?;
                }
            }
            let noticed = now()?;
            times.push(noticed.saturating_sub(bench.wait_for_jobs(1)?[0].1));
        }
        // On the screen, one more job has finished: those above and these, and the first.
        bench.forget_jobs()?;
        bench.request(Tool::Setlist, JOB_TIME)?.wait()?;
        screen.wait_for_text(&format!("Finished {}", 2 * round + 3))?;
        let shown = now()?;
        on_screen.push(shown.saturating_sub(bench.wait_for_jobs(1)?[0].1));
    }
    print_all(tools, times);
    print_line("setlist, screen", on_screen);
    Ok(())
}

/// A site, and the place where jobs write their times.
struct Bench(TempDir);

impl Bench {
    fn new() -> Result<Self> {
        let bench = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?);
        bench.write_file("queues: {adhoc: {jobs: []}}\n")?;
        run(&mut bench.setlist(&["status"]))?;
        run(&mut Command::new("sync"))?;
        Ok(bench)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn times(&self) -> PathBuf {
        self.path().join("times")
    }

    fn write_file(&self, file: &str) -> Result {
        Ok(fs::write(self.path().join("jobs.yaml"), file)?)
    }

    fn setlist(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SETLIST);
        command.args(args).current_dir(self.path());
        command
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        // Task-spooler has a server for each socket.
        command.args(["-c", script]).current_dir(self.path()).env("TS_SOCKET", self.path().join("socket"));
        command
    }

    /// A worker that runs what is requested.
    fn worker(&self) -> Result<Worker> {
        let child =
            self.setlist(&["worker"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Worker(child))
    }

    /// The command of a job that takes some milliseconds.
    fn job_words(&self, millis: &str) -> Vec<String> {
        let program = env::current_exe().unwrap_or_default();
        vec![program.display().to_string(), JOB_ARG.to_owned(), self.times().display().to_string(), millis.to_owned()]
    }

    /// Asks a tool to run a job.
    fn request(&self, tool: Tool, millis: &str) -> Result<Child> {
        let words = self.job_words(millis);
        let job = words.join(" ");
        let mut command = match tool {
            Tool::Bare => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
            Tool::Setlist => {
                let mut command = Command::new(SETLIST);
                command.arg("run").arg("--").args(&words).current_dir(self.path());
                command
            }
            Tool::Xargs => self.shell(&format!("echo {job} | xargs env")),
            Tool::TaskSpooler => self.shell(&format!("exec tsp -n {job}")),
            Tool::Parallel => self.shell(&format!("exec parallel --will-cite -n0 {job} ::: 1")),
        };
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    fn forget_jobs(&self) -> Result {
        Ok(fs::write(self.times(), "")?)
    }

    /// When each of the jobs started and ended, in the order of their starts, once there are so many.
    fn wait_for_jobs(&self, count: usize) -> Result<Vec<(u64, u64)>> {
        loop {
            let written = fs::read_to_string(self.times())?;
            if written.lines().count() >= count && written.ends_with('\n') {
                let parse = |line: &str| {
                    let (started, ended) = line.split_once(' ').ok_or("half a line")?;
                    Ok((started.parse()?, ended.parse()?))
                };
                let mut jobs = written.lines().map(parse).collect::<Result<Vec<(u64, u64)>>>()?;
                jobs.sort_unstable();
                return Ok(jobs);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Ends the server of task-spooler, if it runs.
        let _ = run(&mut self.shell("tsp -K"));
    }
}

/// A worker in the foreground. Dropping it terminates it.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Result {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

fn now() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

fn print_all(tools: &[Tool], times: Vec<Vec<u64>>) {
    for (tool, times) in tools.iter().zip(times) {
        print_line(tool.name(), times);
    }
}

fn print_line(name: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let millis = |nth: usize| Duration::from_nanos(times[nth]).as_secs_f64() * 1_000.0;
    println!("    {name:<18} {:>7.2} ms, p99 {:>7.2} ms", millis(times.len() / 2), millis(times.len() * 99 / 100));
}
