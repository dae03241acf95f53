//! Kills by the kernel in the middle of a write: a file size limit truncates the write that exceeds it, and the next
//! one is fatal. This tears the write-ahead log, or the database during a checkpoint.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use super::crash_site::CrashSite;
use crate::rng::TestRng;
use crate::temp_site::SETLIST;

/// The shell's limit is in blocks of this many bytes.
const BLOCK: usize = 512;

/// The program, to be killed when a file exceeds this many blocks.
fn limited(scene: &CrashSite, blocks: usize, args: &[&str]) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c 0; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &blocks.to_string(), SETLIST]);
    scene.site.set_environment(&mut command);
    command.env("SETLIST_CRASH", "file-size-limit");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The size of a state file in blocks.
fn blocks(scene: &CrashSite, name: &str) -> usize {
    let length = fs::metadata(scene.site.join(".setlist").join(name)).map_or(0, |file| file.len());
    usize::try_from(length).unwrap() / BLOCK
}

#[test]
fn torn_writes_keep_earlier_changes() {
    let mut rng = TestRng::new();
    for held_open in [false, true] {
        let mut scene = CrashSite::new();
        // While another process has the site open, there is no checkpoint at the end, so the log keeps growing.
        let other = held_open.then(|| scene.start("", &["worker", "narrow"]));
        let mut torn = 0;
        for _ in 0..30 {
            let (log, base) = (blocks(&scene, "state.db-wal"), blocks(&scene, "state.db"));
            let limit = match rng.in_range(0..3) {
                0 => base.saturating_sub(rng.in_range(0..60)),
                _ => log + rng.in_range(0..90),
            };
            let args = scene.batch(3);
            let mut child = limited(&scene, limit, &["add", "wide", "--stdin", "--tag", &args]);
            // It may have been killed already.
            let _ = child.stdin.take().unwrap().write_all(b"sh ./job.sh quick\n".repeat(3).as_slice());
            torn += usize::from(scene.wait_and_record(child).code.is_none());
            if !held_open {
                scene.check();
            }
        }
        assert!(torn > 5, "only {torn} were killed");
        drop(other.map(|mut other| other.kill()));
        scene.kill_workers();
        scene.check();
        scene.drain();
    }
}
