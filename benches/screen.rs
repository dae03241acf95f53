//! P3 to P6: how soon the screen shows something, how soon it answers a key, what it costs when nothing happens, and its
//! memory.
//!
//! `cargo bench --bench screen`, or only some of it: `cargo bench --bench screen -- P4-short`. The screen runs in a
//! pseudo-terminal of 120x40 on a file that was read before.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const SETLIST: &str = env!("CARGO_BIN_EXE_setlist");
const ROUNDS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);
/// How often a key is pressed, and how long after the last.
const KEYS: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);
/// What four jobs do at once: lines as tools print them; two bytes a line as fast as they come; and a line for each
/// write, which leaves nobody a processor.
const FLOODS: [(&str, &str); 3] =
    [("P4", "yes what a flood prints"), ("P4-short", "yes"), ("P4-shell", "while :; do echo x; done")];
/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(30);

fn main() -> Result {
    let wanted: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |names: &[&str]| wanted.is_empty() || wanted.iter().any(|name| names.contains(&name.as_str()));
    if wants(&["P3", "P5", "P6"]) {
        start_idle_and_memory()?;
    }
    for (name, run) in FLOODS {
        if wants(&["P4", name]) {
            key_to_frame(name, run)?;
        }
    }
    Ok(())
}

fn start_idle_and_memory() -> Result {
    for (jobs, first_frame, memory) in [(1_000, 50, 20), (100_000, 200, 100)] {
        let room = site("", jobs)?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(Screen::open(room.path())?.first_frame);
        }
        times.sort();
        let (time, best) = (milliseconds(times[ROUNDS / 2]), milliseconds(times[0]));
        println!("P3  {jobs:>7} jobs: start to first frame {time:>6.1} ms, best {best:.1}   (at most {first_frame})");

        let mut screen = Screen::open(room.path())?;
        thread::sleep(Duration::from_secs(2));
        let resident = screen.resident()?;
        println!("P6  {jobs:>7} jobs: resident {resident:>6.1} MiB   (at most {memory})");

        let (wakes, _) = (screen.wake_ups()?, screen.drawn());
        thread::sleep(IDLE);
        let rate = f64::from(screen.wake_ups()? - wakes) / IDLE.as_secs_f64();
        let bytes = screen.drawn();
        println!("P5  {jobs:>7} jobs: idle {rate:.1} wake-ups a second, {bytes} bytes in 10 s   (at most 1; 0)");
    }
    Ok(())
}

/// Moves up and down among four jobs that print as fast as they can, above 100,000 that wait. Each key moves the cursor
/// and shows what another job prints.
fn key_to_frame(name: &str, run: &str) -> Result {
    let mut floods = String::new();
    for nth in 1..=4 {
        writeln!(floods, "      - {{id: flood-{nth}, title: Flood {nth}, run: \"{run}\"}}")?;
    }
    let room = site(&floods, 100_000)?;
    let worker = Command::new(SETLIST).args(["process", "q"]).current_dir(room.path()).stdout(Stdio::null()).spawn()?;
    let worker = Worker(worker);
    while !fs::read_dir(room.path().join(".setlist/logs"))?.any(|log| log.is_ok_and(|log| log.file_name() == "4.log")) {
        thread::sleep(PAUSE);
    }
    let mut screen = Screen::open(room.path())?;
    screen.until("Output · Flood 1")?;
    let (median, most) = screen.answers(|nth| match nth % 2 {
        0 => (b"j", "Output · Flood 2"),
        _ => (b"k", "Output · Flood 1"),
    })?;
    println!(
        "{name:<8} 100000 jobs, four times `{run}`: key to frame {median:.1} ms, 99 of 100 in {most:.1} ms   (at most 16)"
    );
    drop(screen);
    // What a key takes to a program that does nothing but repeat it, beside the same floods.
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", "stty raw -echo; printf ready; exec cat"]);
    let mut echo = Screen::start(command)?;
    echo.until("ready")?;
    let (median, most) = echo.answers(|nth| match nth % 2 {
        0 => (b"\rj", "j"),
        _ => (b"\rk", "k"),
    })?;
    println!("         beside the same floods, a key through `cat` {median:.1} ms, 99 of 100 in {most:.1} ms");
    drop(worker);
    Ok(())
}

/// A site whose file was read: one queue of these jobs, and so many more.
fn site(first: &str, jobs: usize) -> Result<TempDir> {
    let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut file = format!("queues:\n  q:\n    parallel: 4\n    jobs:\n{first}");
    for nth in 0..jobs {
        writeln!(file, "      - {{id: job-{nth}, title: The job number {nth}, command: [echo, \"{nth}\"]}}")?;
    }
    fs::write(room.path().join("jobs.yaml"), file)?;
    let status = Command::new(SETLIST).arg("status").current_dir(room.path()).stdout(Stdio::null()).status()?;
    // What was written for so many jobs is on the disk before anything is timed.
    let synced = Command::new("sync").status()?;
    if status.success() && synced.success() { Ok(room) } else { Err(format!("setlist status: {status}").into()) }
}

/// A worker in the foreground; it is told to leave when dropped, and stops its jobs first.
struct Worker(std::process::Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The screen in a terminal of its own; killed when dropped.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    shown: vt100::Parser,
    first_frame: Duration,
    _terminal: Box<dyn MasterPty + Send>,
}

impl Screen {
    fn open(room: &Path) -> Result<Self> {
        let mut command = CommandBuilder::new(SETLIST);
        command.cwd(room);
        let began = Instant::now();
        let mut screen = Self::start(command)?;
        screen.until("Pending")?;
        screen.first_frame = began.elapsed();
        Ok(screen)
    }

    /// Starts a program in a terminal.
    fn start(mut command: CommandBuilder) -> Result<Self> {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        command.env("TERM", "xterm-256color");
        let (mut reader, keys) = (pair.master.try_clone_reader()?, pair.master.take_writer()?);
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(len @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        let child = pair.slave.spawn_command(command)?;
        let (rows, cols) = NonZero::new(size.rows).zip(NonZero::new(size.cols)).ok_or("no room")?;
        let (shown, first_frame) = (vt100::Parser::new(rows, cols, 0), Duration::ZERO);
        Ok(Self { child, keys, output, shown, first_frame, _terminal: pair.master })
    }

    /// Presses keys, each of which makes it show something else; how long that takes in milliseconds, the median and
    /// what 99 of 100 don't exceed.
    fn answers<const N: usize>(
        &mut self,
        key: impl Fn(usize) -> (&'static [u8; N], &'static str),
    ) -> Result<(f64, f64)> {
        let mut times = Vec::with_capacity(KEYS);
        for nth in 0..KEYS {
            thread::sleep(PAUSE);
            self.drawn();
            let (key, shown) = key(nth);
            let began = Instant::now();
            self.keys.write_all(key)?;
            self.until(shown)?;
            times.push(began.elapsed());
        }
        times.sort();
        Ok((milliseconds(times[KEYS / 2]), milliseconds(times[KEYS * 99 / 100])))
    }

    /// Waits until it shows this.
    fn until(&mut self, text: &str) -> Result {
        while !self.shown.screen().contents().contains(text) {
            let drawn = self.output.recv_timeout(LONG)?;
            self.shown.process(&drawn);
        }
        Ok(())
    }

    /// How many bytes have been drawn since the last call.
    fn drawn(&mut self) -> usize {
        let mut sum = 0;
        for bytes in self.output.try_iter() {
            sum += bytes.len();
            self.shown.process(&bytes);
        }
        sum
    }

    fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        Ok(f64::from(field(&status, "VmRSS:")?) / 1_024.0)
    }

    /// How often any of its threads has been woken.
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

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field(status: &str, name: &str) -> Result<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(line.split_whitespace().next().ok_or("empty field")?.parse()?)
}

fn milliseconds(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}
