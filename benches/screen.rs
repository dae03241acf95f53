//! P3, P5 and P6: how soon the screen shows something, what it costs when nothing happens, and its memory.
//!
//! `cargo bench --bench screen`; the screen runs in a pseudo-terminal of 120x40 on a file that was read before.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const ROUNDS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    for (jobs, first_frame, memory) in [(1_000, 50, 20), (100_000, 200, 100)] {
        let room = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        prepare(room.path(), jobs)?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(Screen::open(room.path())?.first_frame);
        }
        times.sort();
        let time = 1_000.0 * times[ROUNDS / 2].as_secs_f64();
        println!("P3  {jobs:>7} jobs: start to first frame {time:>6.1} ms   (at most {first_frame})");

        let screen = Screen::open(room.path())?;
        thread::sleep(Duration::from_secs(2));
        let resident = screen.resident()?;
        println!("P6  {jobs:>7} jobs: resident {resident:>6.1} MiB   (at most {memory})");

        let (wakes, _) = (screen.wake_ups()?, screen.written());
        thread::sleep(IDLE);
        let rate = f64::from(screen.wake_ups()? - wakes) / IDLE.as_secs_f64();
        let bytes = screen.written();
        println!("P5  {jobs:>7} jobs: idle {rate:.1} wake-ups a second, {bytes} bytes in 10 s   (at most 1; 0)");
    }
    Ok(())
}

fn prepare(room: &Path, jobs: usize) -> Result<(), Box<dyn Error>> {
    let mut file = String::from("queues:\n  q:\n    parallel: 2\n    jobs:\n");
    for nth in 0..jobs {
        writeln!(file, "      - {{id: job-{nth}, title: The job number {nth}, command: [echo, \"{nth}\"]}}")?;
    }
    fs::write(room.join("jobs.yaml"), file)?;
    let setlist = env!("CARGO_BIN_EXE_setlist");
    let status = Command::new(setlist).arg("status").current_dir(room).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("setlist status: {status}").into()) }
}

/// The screen in a terminal of its own; killed when dropped.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    first_frame: Duration,
    _terminal: Box<dyn MasterPty + Send>,
}

impl Screen {
    fn open(room: &Path) -> Result<Self, Box<dyn Error>> {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_setlist"));
        command.cwd(room);
        command.env("TERM", "xterm-256color");
        let mut reader = pair.master.try_clone_reader()?;
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(len @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        let began = Instant::now();
        let child = pair.slave.spawn_command(command)?;
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("Pending") {
            seen.extend(output.recv_timeout(Duration::from_secs(30))?);
        }
        Ok(Self { child, output, first_frame: began.elapsed(), _terminal: pair.master })
    }

    /// How many bytes have been drawn since the last call.
    fn written(&self) -> usize {
        self.output.try_iter().map(|bytes| bytes.len()).sum()
    }

    fn resident(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        Ok(f64::from(field(&status, "VmRSS:")?) / 1_024.0)
    }

    /// How often any of its threads has been woken.
    fn wake_ups(&self) -> Result<u32, Box<dyn Error>> {
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

fn field(status: &str, name: &str) -> Result<u32, Box<dyn Error>> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(line.split_whitespace().next().ok_or("empty field")?.parse()?)
}
