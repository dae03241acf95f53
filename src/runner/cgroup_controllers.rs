//! Which resources the cgroups of runs control: memory, processors, processes and disks.
//!
//! A cgroup has the files of a controller only if its parent passes the controller on, which a parent with processes of
//! its own can't do, except for the root of the hierarchy. So a worker that is alone in its cgroup, as under systemd with
//! `Delegate=yes`, moves into one below it, beside those of its runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::model::Limits;

/// The name of the cgroup that workers move into.
pub(super) const WORKERS: &str = "setlist-workers";

/// The time in which a cgroup may use its share of the processors, in microseconds.
const CPU_PERIOD_MICROS: u64 = 100_000;
/// The kernel refuses less processor time than this in each period.
const MIN_CPU_QUOTA_MICROS: u64 = 1_000;

/// Controllers that a cgroup passes on to those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent of each other; any of them may be missing")]
pub(super) struct Controllers {
    pub(super) memory: bool,
    pub(super) cpu: bool,
    pub(super) pids: bool,
    pub(super) io: bool,
}

impl Controllers {
    fn parse(names: &str) -> Self {
        let has = |name| names.split_whitespace().any(|known| known == name);
        Self { memory: has("memory"), cpu: has("cpu"), pids: has("pids"), io: has("io") }
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.memory, "memory"), (self.cpu, "cpu"), (self.pids, "pids"), (self.io, "io")];
        all.into_iter().filter_map(|(is_on, name)| is_on.then_some(name))
    }

    fn without(self, others: Self) -> Self {
        Self {
            memory: self.memory && !others.memory,
            cpu: self.cpu && !others.cpu,
            pids: self.pids && !others.pids,
            io: self.io && !others.io,
        }
    }

    /// Those that the cgroup of this folder passes on.
    pub(super) fn enabled_in(folder: &Path) -> Self {
        Self::read(folder, "cgroup.subtree_control")
    }

    /// Those that it would pass on after [`enable_in`](Self::enable_in), without a change.
    pub(super) fn possible_in(folder: &Path, pid: u32) -> Self {
        let available = Self::read(folder, "cgroup.controllers");
        if is_root(folder) || is_alone_in(folder, pid) { available } else { Self::enabled_in(folder) }
    }

    fn read(folder: &Path, file: &str) -> Self {
        Self::parse(&fs::read_to_string(folder.join(file)).unwrap_or_default())
    }

    /// Makes the cgroup of this folder pass on all that it has. The process `pid` moves to [`WORKERS`] below it if it is
    /// alone in it. Returns what it passes on then.
    pub(super) fn enable_in(folder: &Path, pid: u32) -> Self {
        let enabled = Self::enabled_in(folder);
        let missing = Self::possible_in(folder, pid).without(enabled);
        if missing == Self::default() || (!is_root(folder) && !make_room(folder, pid)) {
            return enabled;
        }
        for name in missing.names() {
            // One by one: the kernel takes all of a line or nothing.
            let _ = write(&folder.join("cgroup.subtree_control"), &format!("+{name}"));
        }
        Self::enabled_in(folder)
    }

    /// The limits that cgroups keep with these controllers.
    pub(super) fn keepable(self, limits: &Limits) -> Limits {
        Limits {
            memory: limits.memory.filter(|_| self.memory),
            millicpus: limits.millicpus.filter(|_| self.cpu),
            processes: limits.processes.filter(|_| self.pids),
            ..Limits::default()
        }
    }
}

/// Sets these limits on the cgroup of a run. Returns those that it keeps.
pub(super) fn set_limits(folder: &Path, limits: &Limits) -> Limits {
    let set = |file: &str, value: String| write(&folder.join(file), &value).is_ok();
    let memory = limits.memory.filter(|bytes| set("memory.max", bytes.to_string()));
    if memory.is_some() {
        // Swapping would let it exceed the limit. Systems without swap don't have the file.
        let _ = write(&folder.join("memory.swap.max"), "0");
        // The kernel ends all of the run, not only the largest process, without which the rest may hang or go on.
        let _ = write(&folder.join("memory.oom.group"), "1");
    }
    let millicpus = limits.millicpus.filter(|thousandths| {
        let quota = (u64::from(*thousandths) * CPU_PERIOD_MICROS / 1000).max(MIN_CPU_QUOTA_MICROS);
        set("cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))
    });
    let processes = limits.processes.filter(|count| set("pids.max", count.to_string()));
    Limits { memory, processes, millicpus, ..Limits::default() }
}

/// Only the root of the hierarchy has no type. It may have processes beside the cgroups below it.
fn is_root(folder: &Path) -> bool {
    folder.join("cgroup.controllers").exists() && !folder.join("cgroup.type").exists()
}

fn is_alone_in(folder: &Path, pid: u32) -> bool {
    let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    processes.lines().all(|line| line.parse() == Ok(pid))
}

/// Moves this process out of the way. It stays there: no cgroup with processes passes controllers on.
fn make_room(folder: &Path, pid: u32) -> bool {
    let workers = folder.join(WORKERS);
    let created = fs::create_dir(&workers);
    let exists = created.as_ref().map_or_else(|error| error.kind() == io::ErrorKind::AlreadyExists, |()| true);
    exists && write(&workers.join("cgroup.procs"), &pid.to_string()).is_ok()
}

/// Writes to a file of a cgroup. Not created if it is missing: then the folder is not a cgroup, or lacks the controller.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 77;

    /// A folder with these files in place of a cgroup, with those that setlist-workers has.
    fn cgroup(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join(WORKERS)).unwrap();
        fs::write(folder.path().join(WORKERS).join("cgroup.procs"), "").unwrap();
        folder
    }

    fn read(folder: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(folder.path().join(name)).unwrap()
    }

    #[test]
    fn a_worker_that_is_alone_makes_room_and_passes_controllers_on() {
        let delegated = cgroup(&[
            ("cgroup.controllers", "cpuset cpu io memory pids\n"),
            ("cgroup.subtree_control", ""),
            ("cgroup.type", "domain\n"),
            ("cgroup.procs", "77\n"),
        ]);
        let all = Controllers { memory: true, cpu: true, pids: true, io: true };
        assert_eq!(Controllers::possible_in(delegated.path(), PID), all);
        assert_eq!(read(&delegated, "cgroup.subtree_control"), "", "nothing has changed yet");
        Controllers::enable_in(delegated.path(), PID);
        assert_eq!(read(&delegated, "setlist-workers/cgroup.procs"), "77");
        // A plain file keeps only the last line that was written at its beginning.
        assert!(read(&delegated, "cgroup.subtree_control").starts_with("+io"));
    }

    #[test]
    fn a_cgroup_with_other_processes_stays_as_it_is() {
        let shared = cgroup(&[
            ("cgroup.controllers", "memory pids\n"),
            ("cgroup.subtree_control", "pids\n"),
            ("cgroup.type", "domain\n"),
            ("cgroup.procs", "1\n77\n"),
        ]);
        let pids = Controllers { pids: true, ..Controllers::default() };
        assert_eq!(Controllers::possible_in(shared.path(), PID), pids);
        assert_eq!(Controllers::enable_in(shared.path(), PID), pids);
        assert_eq!(read(&shared, "cgroup.subtree_control"), "pids\n");
        assert_eq!(read(&shared, "setlist-workers/cgroup.procs"), "");
        let root =
            cgroup(&[("cgroup.controllers", "memory\n"), ("cgroup.subtree_control", ""), ("cgroup.procs", "1\n")]);
        Controllers::enable_in(root.path(), PID);
        assert_eq!(read(&root, "cgroup.subtree_control"), "+memory", "the root may have processes");
        assert_eq!(read(&root, "setlist-workers/cgroup.procs"), "");
    }

    #[test]
    fn limits_are_written_to_the_files_that_are_there() {
        let wanted = Limits {
            memory: Some(4 << 30),
            millicpus: Some(2500),
            processes: Some(20),
            open_files: Some(9),
            ..Limits::default()
        };
        let files = ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"];
        let run = cgroup(&files.map(|name| (name, "")));
        let kept = set_limits(run.path(), &wanted);
        assert_eq!(kept, Limits { open_files: None, ..wanted }, "open files are no matter of cgroups");
        let written = files.map(|name| read(&run, name));
        assert_eq!(written, ["4294967296", "0", "1", "250000 100000", "20"]);
        let without_memory = cgroup(&[("cpu.max", ""), ("pids.max", "")]);
        let kept = set_limits(without_memory.path(), &Limits { millicpus: Some(10), ..wanted });
        assert_eq!((kept.memory, kept.processes), (None, Some(20)));
        assert_eq!(read(&without_memory, "cpu.max"), "1000 100000");
        let pids = Controllers { pids: true, ..Controllers::default() };
        assert_eq!(pids.keepable(&wanted), Limits { processes: Some(20), ..Limits::default() });
    }
}
