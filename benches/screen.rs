//! P3 to P6: time to the first frame, time from a key to its frame, wake-ups and output while idle, and memory.
//!
//! `cargo bench --bench screen`, or a part: `cargo bench --bench screen -- P4-short`; `P4-million` presses keys while
//! 1,000,000 jobs are loaded, and `bytes` is what a busy screen writes. The screen runs in a pseudo-terminal of 120x40 on a
//! site that has been reconciled before.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use screen_process::ScreenProcess;
use tempfile::TempDir;

#[path = "support/kept_site.rs"]
mod kept_site;
#[path = "support/screen_process.rs"]
mod screen_process;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
const ROUNDS: usize = 5;
/// How long the idle screen is observed.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// How many keys are pressed.
const KEY_COUNT: usize = 500;
/// The time between two keys.
const KEY_INTERVAL: Duration = Duration::from_millis(20);
/// The scripts of the four jobs: usual lines; two bytes per line; and one write per line, which saturates the processors.
const FLOODS: [(&str, &str); 3] =
    [("P4", "yes what a flood prints"), ("P4-short", "yes"), ("P4-shell", "while :; do echo x; done")];
/// What each frame begins with.
const FRAME_START: &[u8] = b"\x1b[?2026h";

fn main() -> Result {
    let selected: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_selected =
        |names: &[&str]| selected.is_empty() || selected.iter().any(|name| names.contains(&name.as_str()));
    if is_selected(&["P3", "P5", "P6"]) {
        start_idle_and_memory()?;
    }
    if is_selected(&["bytes"]) {
        bytes_of_a_busy_screen()?;
    }
    if is_selected(&["P4", "P4-million"]) {
        key_to_frame_of_a_long_site()?;
    }
    for (name, run) in FLOODS {
        if is_selected(&["P4", name]) {
            key_to_frame(name, run)?;
        }
    }
    Ok(())
}

fn start_idle_and_memory() -> Result {
    for (jobs, first_frame, memory) in [(1_000, 20, 15), (100_000, 120, 80), (1_000_000, 400, 400)] {
        // A file of a million jobs would be too long.
        let folder = if jobs > 100_000 {
            SiteFolder::Kept(kept_site::kept_site(jobs, 0)?)
        } else {
            SiteFolder::New(site("", jobs)?)
        };
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(ScreenProcess::open(folder.path())?.first_frame);
        }
        times.sort();
        let (time, best) = (milliseconds(times[ROUNDS / 2]), milliseconds(times[0]));
        println!("P3  {jobs:>7} jobs: start to first frame {time:>6.1} ms, best {best:.1}   (at most {first_frame})");

        let mut screen = ScreenProcess::open(folder.path())?;
        thread::sleep(Duration::from_secs(2));
        let resident = screen.resident_mebibytes()?;
        println!("P6  {jobs:>7} jobs: resident {resident:>6.1} MiB   (at most {memory})");

        let (wake_ups, _) = (screen.wake_ups()?, screen.drain_output());
        thread::sleep(IDLE_TIME);
        let rate = f64::from(screen.wake_ups()? - wake_ups) / IDLE_TIME.as_secs_f64();
        let bytes = screen.drain_output();
        println!("P5  {jobs:>7} jobs: idle {rate:.1} wake-ups a second, {bytes} bytes in 10 s   (at most 0; 0)");
    }
    Ok(())
}

/// How many bytes the screen writes while four jobs print as fast as they can, and when a key moves the cursor.
fn bytes_of_a_busy_screen() -> Result {
    let (_folder, _worker, mut screen) = beside_four_floods(FLOODS[0].1, 20)?;
    screen.wait_for_text("a flood prints")?;
    for (what, keys) in [("output of one", ""), ("tiles of four", "T")] {
        screen.keys.write_all(keys.as_bytes())?;
        thread::sleep(Duration::from_secs(1));
        screen.drain_output();
        let (start, mut bytes, mut writes) = (Instant::now(), 0_usize, 0_u32);
        while start.elapsed() < IDLE_TIME {
            if let Ok(written) = screen.output.recv_timeout(KEY_INTERVAL) {
                bytes += written.len();
                // A frame is marked as a synchronized update.
                writes +=
                    u32::try_from(written.windows(FRAME_START.len()).filter(|part| *part == FRAME_START).count())?;
                screen.parser.process(&written);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let per_frame = f64::from(u32::try_from(bytes)?) / f64::from(writes.max(1));
        println!(
            "bytes    120x40, four times `{}`, {what}: {:.0} frames a second, {per_frame:.0} bytes a frame, {:.1} KiB a second",
            FLOODS[0].1,
            f64::from(writes) / seconds,
            f64::from(u32::try_from(bytes)?) / 1_024.0 / seconds
        );
    }
    Ok(())
}

/// Moves the cursor between four jobs that print as fast as they can, above 100,000 pending jobs. Each key shows the
/// output of another job.
fn key_to_frame(name: &str, run: &str) -> Result {
    let (_folder, _worker, mut screen) = beside_four_floods(run, 100_000)?;
    let (median, p99) = screen.key_latency(|nth| match nth % 2 {
        0 => (b"k", "Output · q/flood-3"),
        _ => (b"j", "Output · q/flood-4"),
    })?;
    println!("{name:<8} 100000 jobs, four times `{run}`: key to frame {median:.1} ms, p99 {p99:.1} ms   (at most 16)");
    drop(screen);
    // For comparison: a key through a program that only echoes it, beside the same floods.
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", "stty raw -echo; printf ready; exec cat"]);
    let mut echo = ScreenProcess::start(command)?;
    echo.wait_for_text("ready")?;
    let (median, p99) = echo.key_latency(|nth| match nth % 2 {
        0 => (b"\rj", "j"),
        _ => (b"\rk", "k"),
    })?;
    println!("         beside the same floods, a key through `cat` {median:.1} ms, p99 {p99:.1} ms");
    Ok(())
}

/// A screen over four jobs that print as fast as they can, above `jobs` pending ones.
fn beside_four_floods(run: &str, jobs: usize) -> Result<(TempDir, ForegroundWorker, ScreenProcess)> {
    let mut floods = String::new();
    for nth in 1..=4 {
        writeln!(floods, "      - {{id: flood-{nth}, title: Flood {nth}, run: \"{run}\"}}")?;
    }
    let folder = site(&floods, jobs)?;
    let worker =
        Command::new(SETLIST).args(["process", "q"]).current_dir(folder.path()).stdout(Stdio::null()).spawn()?;
    let worker = ForegroundWorker(worker);
    while !fs::read_dir(folder.path().join(".setlist/logs"))?.any(|log| log.is_ok_and(|log| log.file_name() == "4.log"))
    {
        thread::sleep(KEY_INTERVAL);
    }
    let mut screen = ScreenProcess::open(folder.path())?;
    // The screen follows the job that has started last.
    screen.wait_for_text("Output · q/flood-4")?;
    Ok((folder, worker, screen))
}

/// Moves the cursor between two of 1,000,000 jobs, from the first frame on: most jobs are loaded meanwhile. Then marks all of
/// them.
fn key_to_frame_of_a_long_site() -> Result {
    let jobs = 1_000_000;
    let mut screen = ScreenProcess::open(&kept_site::kept_site(jobs, 0)?)?;
    let (median, p99) = screen.key_latency(|nth| match nth % 2 {
        0 => (b"j", "kept/#2 "),
        _ => (b"k", "kept/#1 "),
    })?;
    println!(
        "P4-million {jobs} jobs, from the first frame on: key to frame {median:.1} ms, p99 {p99:.1} ms   (at most 16)"
    );
    let (median, p99) = screen.key_latency(|nth| match nth % 2 {
        0 => (b"*", "1,000,000 marked"),
        _ => (b"*", "Pending 1,000,000 ─"),
    })?;
    println!("P4-million all jobs are marked or unmarked: {median:.1} ms, p99 {p99:.1} ms   (at most 16)");
    screen.keys.write_all(b"*")?;
    screen.wait_for_text("1,000,000 marked")?;
    let (median, p99) = screen.key_latency(|nth| match nth % 2 {
        0 => (b"j", "kept/#2 "),
        _ => (b"k", "kept/#1 "),
    })?;
    println!("P4-million all jobs are marked: key to frame {median:.1} ms, p99 {p99:.1} ms   (at most 16)");
    Ok(())
}

/// A reconciled site with one queue: the jobs in `first`, then `jobs` more.
fn site(first: &str, jobs: usize) -> Result<TempDir> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut file = format!("queues:\n  q:\n    parallel: 4\n    jobs:\n{first}");
    for nth in 0..jobs {
        writeln!(file, "      - {{id: job-{nth}, title: The job number {nth}, command: [echo, \"{nth}\"]}}")?;
    }
    fs::write(folder.path().join("jobs.yaml"), file)?;
    let status = Command::new(SETLIST).arg("status").current_dir(folder.path()).stdout(Stdio::null()).status()?;
    // Flush the disk, so that writes for the jobs don't disturb the measurement.
    let synced = Command::new("sync").status()?;
    if status.success() && synced.success() { Ok(folder) } else { Err(format!("setlist status: {status}").into()) }
}

/// The folder of a site.
enum SiteFolder {
    New(TempDir),
    /// One that is kept for later benches.
    Kept(PathBuf),
}

impl SiteFolder {
    fn path(&self) -> &Path {
        match self {
            Self::New(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

/// A worker in the foreground. Dropping it stops its jobs and terminates it.
struct ForegroundWorker(std::process::Child);

impl Drop for ForegroundWorker {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

impl ScreenProcess {
    /// Presses keys and waits for the text that each one makes it show. Returns the median and the 99th percentile in
    /// milliseconds.
    fn key_latency<const N: usize>(
        &mut self,
        key: impl Fn(usize) -> (&'static [u8; N], &'static str),
    ) -> Result<(f64, f64)> {
        let mut times = Vec::with_capacity(KEY_COUNT);
        for nth in 0..KEY_COUNT {
            thread::sleep(KEY_INTERVAL);
            self.drain_output();
            let (key, expected) = key(nth);
            let start = Instant::now();
            self.keys.write_all(key)?;
            self.wait_for_text(expected)?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok((milliseconds(times[KEY_COUNT / 2]), milliseconds(times[KEY_COUNT * 99 / 100])))
    }

    /// Reads the output so far; returns how many bytes it has.
    fn drain_output(&mut self) -> usize {
        let mut sum = 0;
        for bytes in self.output.try_iter() {
            sum += bytes.len();
            self.parser.process(&bytes);
        }
        sum
    }

    fn resident_mebibytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        Ok(f64::from(field(&status, "VmRSS:")?) / 1_024.0)
    }

    /// The number of times that its threads have been woken.
    fn wake_ups(&self) -> Result<u32> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            sum += field(&fs::read_to_string(thread?.path().join("status"))?, "voluntary_ctxt_switches:")?;
        }
        Ok(sum)
    }

    fn pid(&self) -> u32 {
        self.child.process_id().unwrap_or_default()
    }
}

fn field(status: &str, name: &str) -> Result<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(line.split_whitespace().next().ok_or("empty field")?.parse()?)
}

fn milliseconds(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}
