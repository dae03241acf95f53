//! A cgroup (version 2) for each run, where this process may create one.
//!
//! Unlike its [`RunTag`], a process can't leave its cgroup: `su -` and `sudo -i` reset the environment and the limits, and
//! `setsid` the session, but what they start stays in the cgroup. Where there is none, the tag finds the processes.
//!
//! Moving into a cgroup costs up to as much as starting a process. So a worker whose runs end within a few milliseconds
//! does without, until they take longer.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use super::run_tag::RunTag;

/// Creates the cgroups of runs below one folder.
#[derive(Debug)]
pub(super) struct Cgroups {
    folder: PathBuf,
    /// The recent average duration of a run.
    average: Option<Duration>,
}

/// The cgroup of one run. Dropping it removes the cgroup unless background processes of the run are in it.
#[derive(Debug)]
pub(super) struct RunCgroup {
    folder: PathBuf,
}

/// The names of the cgroups of runs start with this.
const PREFIX: &str = "setlist-run-";
/// Runs that take less than this on average get no cgroup.
const MIN_AVERAGE: Duration = Duration::from_millis(20);
/// How deep cgroups are nested at most when they are searched.
const MAX_DEPTH: usize = 12;

impl Cgroups {
    /// The cgroups below that of this process. `None` where it may not create any.
    pub(super) fn of_this_process() -> Option<Self> {
        Self::in_folder(own_folder()?)
    }

    /// Cgroups below this folder, without those that earlier runs have left empty. `None` if it can't be written to.
    fn in_folder(folder: PathBuf) -> Option<Self> {
        let probe = folder.join(format!("{PREFIX}probe-{}", process::id()));
        fs::create_dir(&probe).ok()?;
        // Also removes the probe. A cgroup with processes is kept.
        run_folders(&folder).for_each(|earlier| remove(&earlier, 0));
        Some(Self { folder, average: None })
    }

    /// Calls `spawn`, and returns what it returns, with the cgroup in which its child starts. This process enters the cgroup
    /// meanwhile: if the child were moved afterwards, it could have forked before.
    pub(super) fn spawn_in<T>(&self, tag: &RunTag, spawn: impl FnOnce() -> T) -> (T, Option<RunCgroup>) {
        let cgroup = self.enter(tag);
        let spawned = spawn();
        // If this process can't return, the cgroup is not used: it must not be killed with it.
        let cgroup = cgroup.filter(|_| move_this_process_to(&self.folder).is_ok());
        (spawned, cgroup)
    }

    fn enter(&self, tag: &RunTag) -> Option<RunCgroup> {
        if self.average.is_some_and(|average| average < MIN_AVERAGE) {
            return None;
        }
        let cgroup = RunCgroup { folder: self.folder.join(folder_name(tag)) };
        fs::create_dir(&cgroup.folder).ok()?;
        // If it fails, dropping the cgroup removes it.
        move_this_process_to(&cgroup.folder).ok()?;
        Some(cgroup)
    }

    /// Takes the duration of a run that has ended into account.
    pub(super) fn note_duration(&mut self, duration: Duration) {
        self.average = Some(self.average.map_or(duration, |average| (average * 7 + duration) / 8));
    }
}

impl RunCgroup {
    /// The ids of the processes in it.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        read_processes(&self.folder, 0, &mut pids);
        pids
    }

    /// How many of its processes the kernel has killed at its memory limit or that of a cgroup below it. 0 where its memory
    /// is not counted.
    pub(super) fn oom_kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or_default()
    }

    /// Kills all processes in it at once, so that none can fork meanwhile.
    pub(super) fn kill(&self) {
        // Fails on kernels before 5.14; then the processes are killed one by one.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        // The next worker removes it if background processes are in it now.
        remove(&self.folder, 0);
    }
}

/// The cgroups of runs with these tags, wherever they are, for a process that did not start them. They are kept when they
/// are dropped by the caller only if processes remain.
pub(super) fn find(tags: &[RunTag]) -> Vec<RunCgroup> {
    let names: HashSet<String> = tags.iter().map(folder_name).collect();
    let mut found = Vec::new();
    if let Some(mount) = mount() {
        search(&mount.point, 0, &names, &mut found);
    }
    found
}

/// Leaves the cgroup of the run that started this process, if any.
pub(super) fn leave_run() {
    let Some(folder) = own_folder().filter(|folder| is_run_folder(folder)) else { return };
    let outside = folder.ancestors().find(|folder| !is_run_folder(folder));
    if let Some(outside) = outside {
        let _ = move_this_process_to(outside);
    }
}

fn move_this_process_to(folder: &Path) -> io::Result<()> {
    // Not created if it is missing: then the folder is no cgroup.
    let mut processes = File::options().write(true).open(folder.join("cgroup.procs"))?;
    processes.write_all(process::id().to_string().as_bytes())
}

/// Where the hierarchy is mounted.
struct Mount {
    point: PathBuf,
    /// The cgroup that the mount point shows.
    root: PathBuf,
}

fn mount() -> Option<Mount> {
    parse_mount(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// Parses `/proc/self/mountinfo`: `35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw`.
fn parse_mount(mountinfo: &str) -> Option<Mount> {
    mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        file_system.starts_with("cgroup2 ").then(|| Mount { point: point.into(), root: root.into() })
    })
}

/// The folder of this process's cgroup.
fn own_folder() -> Option<PathBuf> {
    own_folder_in(&mount()?, &fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The same, from `/proc/self/cgroup`: `0::/user.slice/session-3.scope`. `None` if it is outside of the mount.
fn own_folder_in(mount: &Mount, cgroups: &str) -> Option<PathBuf> {
    let path = Path::new(cgroups.lines().find_map(|line| line.strip_prefix("0::"))?);
    let below = path.strip_prefix(&mount.root).or_else(|_| path.strip_prefix("/")).ok()?;
    (!below.starts_with("..")).then(|| mount.point.join(below))
}

fn folder_name(tag: &RunTag) -> String {
    format!("{PREFIX}{:016x}", tag.number())
}

fn is_run_folder(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn run_folders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    folders(folder).filter(|folder| is_run_folder(folder))
}

/// Removes a cgroup and those of a worker that ran in it, except for cgroups with processes.
fn remove(folder: &Path, depth: usize) {
    if depth < MAX_DEPTH {
        run_folders(folder).for_each(|below| remove(&below, depth + 1));
    }
    let _ = fs::remove_dir(folder);
}

fn search(folder: &Path, depth: usize, names: &HashSet<String>, found: &mut Vec<RunCgroup>) {
    for below in folders(folder) {
        let is_wanted = below.file_name().and_then(OsStr::to_str).is_some_and(|name| names.contains(name));
        if depth < MAX_DEPTH {
            search(&below, depth + 1, names, found);
        }
        if is_wanted {
            found.push(RunCgroup { folder: below });
        }
    }
}

fn read_processes(folder: &Path, depth: usize, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    if depth < MAX_DEPTH {
        folders(folder).for_each(|below| read_processes(&below, depth + 1, pids));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
24 1 0:22 / /proc rw - proc proc rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw
36 35 0:31 /docker/abc /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn the_cgroup_of_this_process_is_found_below_the_mount() {
        let mount = parse_mount(MOUNTS).unwrap();
        for (cgroups, folder) in [
            ("1:name=systemd:/x\n0::/docker/abc/job\n", Some("/sys/fs/cgroup/unified/job")),
            ("0::/docker/abc\n", Some("/sys/fs/cgroup/unified/")),
            ("0::/user.slice\n", Some("/sys/fs/cgroup/unified/user.slice")),
            ("0::/../elsewhere\n", None),
            ("1:name=systemd:/x\n", None),
        ] {
            assert_eq!(own_folder_in(&mount, cgroups).as_deref(), folder.map(Path::new), "{cgroups}");
        }
        assert!(parse_mount("24 1 0:22 / /proc rw - proc proc rw\n").is_none());
    }

    #[test]
    fn only_writable_hierarchies_are_used_and_short_runs_get_no_cgroup() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("setlist-run-left/setlist-run-nested")).unwrap();
        let mut cgroups = Cgroups::in_folder(folder.path().to_owned()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "empty cgroups of earlier runs are removed");
        let tag = RunTag::new(&[("SETLIST_TAG", OsStr::new("site/boot/run-1"))]);
        // A plain folder has no `cgroup.procs`, so the run starts without a cgroup, and none is left.
        let (spawned, cgroup) = cgroups.spawn_in(&tag, || 7);
        assert!(spawned == 7 && cgroup.is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        for _ in 0..20 {
            cgroups.note_duration(Duration::from_millis(1));
        }
        assert!(cgroups.average.is_some_and(|average| average < MIN_AVERAGE));
        assert!(Cgroups::in_folder(folder.path().join("missing")).is_none());
    }
}
