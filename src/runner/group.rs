//! Process groups: signals to all of one, and who is left in it.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, kill_process_group};

/// Sends a signal to every process of the group. Its leader must not have been waited for, or the number may be
/// somebody else's.
pub(super) fn signal(group: Pid, signal: Signal) {
    // That nobody is left to get it, or that somebody may not be sent it, can't be helped.
    let _ = kill_process_group(group, signal);
}

/// The processes of the group that still live; each descriptor becomes readable when its process ends. Empty where
/// the system can't tell.
#[cfg(target_os = "linux")]
pub(super) fn survivors(group: Pid) -> Vec<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};

    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let pid = Pid::from_raw(name.to_str()?.parse().ok()?)?;
            let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
            lives_in(&String::from_utf8_lossy(&stat), group).then(|| pidfd_open(pid, PidfdFlags::empty()).ok())?
        })
        .collect()
}

/// See above: elsewhere the group is killed when its leader is gone.
#[cfg(not(target_os = "linux"))]
pub(super) fn survivors(_group: Pid) -> Vec<OwnedFd> {
    Vec::new()
}

/// Whether a line of `/proc/PID/stat` is of a process of the group that is not a zombie.
#[cfg(target_os = "linux")]
fn lives_in(stat: &str, group: Pid) -> bool {
    // `7 (name) S 1 42 …`: the name may hold anything, brackets too.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next();
    let pgrp = fields.nth(1).and_then(|field| field.parse().ok());
    !matches!(state, None | Some("Z" | "X")) && pgrp == Some(group.as_raw_pid())
}
