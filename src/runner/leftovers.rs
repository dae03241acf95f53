//! What is left of runs whose worker died: processes that still carry its mark in their environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How often to look again for what was started while we looked.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 20;

/// Kills every process of this user whose environment has all of these variables, wherever it has moved itself: a
/// session or a group of its own hides nothing. Returns how many there were; none where the system can't tell.
#[cfg(target_os = "linux")]
pub fn kill_leftovers(marks: &[(&str, &OsStr)]) -> usize {
    let marks: Vec<Vec<u8>> =
        marks.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect();
    let mut killed = 0;
    for _ in 0..ROUNDS {
        match sweep(&marks) {
            0 => break,
            more => killed += more,
        }
    }
    killed
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub fn kill_leftovers(_marks: &[(&str, &OsStr)]) -> usize {
    0
}

#[cfg(target_os = "linux")]
fn sweep(marks: &[Vec<u8>]) -> usize {
    use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
    let killed = pids.filter(|pid| *pid != getpid()).filter_map(|pid| {
        // Held before the look, so that the signal can't reach another process that has got the number since.
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let marked = marks.iter().all(|mark| environment.split(|byte| *byte == 0).any(|variable| variable == mark));
        (marked && pidfd_send_signal(process, Signal::KILL).is_ok()).then_some(())
    });
    killed.count()
}
