//! A cgroup (version 2) for each run, where this process may create one.
//!
//! Unlike its [`RunTag`], a process can't leave its cgroup: `su -` and `sudo -i` reset the environment and the limits, and
//! `setsid` the session, but what they start stays in the cgroup. Where there is none, the tag finds the processes.
//!
//! The process of a run whose limits its cgroup keeps enters it before its first instruction. The others are moved into
//! theirs when they have lasted for a while; see [`cgroup_entry`](super::cgroup_entry).

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::cgroup_controllers::{Controllers, WORKERS, set_limits, write};
use super::run_tag::RunTag;
use crate::model::{DiskUsage, Limits};

/// Creates the cgroups of runs below one folder.
#[derive(Debug)]
pub(super) struct Cgroups {
    folder: PathBuf,
    /// What they control.
    controllers: Controllers,
}

/// The cgroup of one run. Dropping it removes the cgroup unless background processes of the run are in it.
#[derive(Debug)]
pub(super) struct RunCgroup {
    folder: PathBuf,
    /// What its processes used before they were moved into it.
    used_before: Mutex<EarlierUsage>,
}

/// A cgroup that keeps limits of a run, for a process that has to be started in it.
pub(super) struct LimitedCgroup {
    pub(super) cgroup: RunCgroup,
    /// The limits that it keeps.
    pub(super) kept: Limits,
    /// A process enters it by writing `0`.
    pub(super) processes: File,
}

/// What the processes of a cgroup have used so far, as far as it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CgroupUsage {
    /// Processor time in user mode and in the kernel.
    pub(super) cpu: Option<(Duration, Duration)>,
    pub(super) peak_memory: Option<u64>,
    pub(super) io: Option<DiskUsage>,
}

/// What processes used before they were moved into a cgroup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EarlierUsage {
    pub(super) user: Duration,
    pub(super) system: Duration,
    pub(super) io: DiskUsage,
}

/// The names of the cgroups of runs start with this.
const PREFIX: &str = "setlist-run-";
/// An empty cgroup that is older was left by a run that has ended.
const MIN_AGE: Duration = Duration::from_secs(60);
/// How deep cgroups are nested at most when they are searched.
const MAX_DEPTH: usize = 12;

impl Cgroups {
    /// The cgroups below that of this process. `None` where it may not create any.
    pub(super) fn of_this_process() -> Option<Self> {
        let mut cgroups = Self::in_folder(base_folder()?)?;
        cgroups.controllers = Controllers::enable_in(&cgroups.folder, process::id());
        Some(cgroups)
    }

    /// Cgroups below this folder, without those that earlier runs have left empty. `None` if it can't be written to.
    fn in_folder(folder: PathBuf) -> Option<Self> {
        if !can_create_in(&folder) {
            return None;
        }
        // A cgroup with processes is kept, and so is one in which a run of another worker is about to start.
        run_folders(&folder).filter(|earlier| is_older_than(earlier, MIN_AGE)).for_each(|earlier| remove(&earlier, 0));
        Some(Self { folder, controllers: Controllers::default() })
    }

    /// A cgroup that keeps the limits of a run, as far as cgroups can here. `None` if it would keep none.
    pub(super) fn limited(&self, tag: &RunTag, limits: &Limits) -> Option<LimitedCgroup> {
        let keepable = self.controllers.keepable(limits);
        if keepable.is_empty() {
            return None;
        }
        let cgroup = RunCgroup::create_in(&self.folder, tag)?;
        let kept = set_limits(&cgroup.folder, &keepable);
        let processes = File::options().write(true).open(cgroup.folder.join("cgroup.procs")).ok()?;
        (!kept.is_empty()).then_some(LimitedCgroup { cgroup, kept, processes })
    }
}

impl RunCgroup {
    /// An empty cgroup for a run of this process, which may have been moved itself, below that of the run that started it.
    /// `None` if it can't be created.
    pub(super) fn create(tag: &RunTag) -> Option<Self> {
        Self::create_in(&base_folder()?, tag)
    }

    fn create_in(folder: &Path, tag: &RunTag) -> Option<Self> {
        let cgroup = Self { folder: folder.join(folder_name(tag)), used_before: Mutex::default() };
        fs::create_dir(&cgroup.folder).ok()?;
        Some(cgroup)
    }

    /// Moves a process into it that has used so much by now.
    pub(super) fn add(&self, pid: i32, used: &EarlierUsage) -> io::Result<()> {
        self.used_before().add(used);
        // From then on, the cgroup counts.
        move_to(&self.folder, pid)
    }

    fn used_before(&self) -> MutexGuard<'_, EarlierUsage> {
        self.used_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of the processes in it.
    pub(super) fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        read_processes(&self.folder, 0, &mut pids);
        pids
    }

    /// How many of its processes the kernel has killed for memory, and whether it has reached a limit of its own or of a
    /// cgroup below it. 0 where its memory is not counted.
    pub(super) fn oom_events(&self) -> (u64, bool) {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        let count = |name| {
            let line = events.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
        };
        (count("oom_kill"), count("oom") > 0)
    }

    /// Whether a process is in it or, if it has ended and was not waited for, was.
    pub(super) fn has(&self, pid: i32) -> bool {
        path_of(pid).is_some_and(|path| path.file_name() == self.folder.file_name())
    }

    /// What its processes have used so far. Where it counts, that includes what they used before they were in it.
    pub(super) fn usage(&self) -> CgroupUsage {
        let read = |name| fs::read_to_string(self.folder.join(name)).ok();
        let before = self.used_before();
        let cpu = read("cpu.stat").as_deref().and_then(parse_cpu);
        let io = read("io.stat").as_deref().map(parse_io);
        CgroupUsage {
            cpu: cpu.map(|(user, system)| (user.saturating_add(before.user), system.saturating_add(before.system))),
            peak_memory: read("memory.peak").and_then(|peak| peak.trim().parse().ok()),
            io: io.map(|io| sum(io, before.io)),
        }
    }

    /// Kills all processes in it at once, so that none can fork meanwhile.
    pub(super) fn kill(&self) {
        // Fails on kernels before 5.14; then the processes are killed one by one.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }
}

impl EarlierUsage {
    fn add(&mut self, more: &Self) {
        self.user = self.user.saturating_add(more.user);
        self.system = self.system.saturating_add(more.system);
        self.io = sum(self.io, more.io);
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
    if let Some((outside, own)) = outside.zip(i32::try_from(process::id()).ok()) {
        let _ = move_out_to(outside, own);
    }
}

/// Whether a process is in the cgroup of this process.
pub(super) fn is_beside_this_process(pid: i32) -> bool {
    let own = i32::try_from(process::id()).ok().and_then(path_of);
    own.is_some() && path_of(pid) == own
}

/// Moves a process out of the cgroup of a run, back to this process.
pub(super) fn move_back(pid: i32) {
    if let Some(folder) = base_folder() {
        let _ = move_out_to(&folder, pid);
    }
}

/// Moves a process from the cgroup of a run to the one above it, or to that of workers where the one above passes
/// controllers on and can't have processes.
fn move_out_to(folder: &Path, pid: i32) -> io::Result<()> {
    move_to(&folder.join(WORKERS), pid).or_else(|_| move_to(folder, pid))
}

/// Whether this process may create cgroups below that of this folder.
fn can_create_in(folder: &Path) -> bool {
    let probe = folder.join(format!("{PREFIX}probe-{}", process::id()));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok()
}

fn is_older_than(folder: &Path, age: Duration) -> bool {
    let modified = fs::metadata(folder).and_then(|folder| folder.modified()).ok();
    modified.and_then(|modified| modified.elapsed().ok()).is_some_and(|passed| passed > age)
}

/// The folder for the cgroups of runs: that of this process's cgroup, or of the one above if it is that of workers.
fn base_folder() -> Option<PathBuf> {
    let own = own_folder()?;
    match own.file_name() {
        Some(name) if name == WORKERS => own.parent().map(Path::to_owned),
        _ => Some(own),
    }
}

/// Which limits the cgroups of runs would keep for a worker that is started like this process.
pub(super) fn keepable_here(limits: &Limits) -> Limits {
    static CONTROLLERS: OnceLock<Controllers> = OnceLock::new();
    let find = || {
        let folder = base_folder().filter(|folder| can_create_in(folder));
        folder.map(|folder| Controllers::possible_in(&folder, process::id())).unwrap_or_default()
    };
    CONTROLLERS.get_or_init(find).keepable(limits)
}

/// Parses `cpu.stat`: `usage_usec 5`, `user_usec 3`, `system_usec 2`.
fn parse_cpu(text: &str) -> Option<(Duration, Duration)> {
    let micros = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value?.trim().parse().ok().map(Duration::from_micros)
    };
    Some((micros("user_usec")?, micros("system_usec")?))
}

/// Parses `io.stat`, which has a line for each disk: `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`.
fn parse_io(text: &str) -> DiskUsage {
    let sum = |name: &str| {
        let fields = text.split_whitespace().filter_map(|field| field.strip_prefix(name)?.parse::<u64>().ok());
        fields.fold(0, u64::saturating_add)
    };
    DiskUsage { read: sum("rbytes="), written: sum("wbytes=") }
}

fn sum(one: DiskUsage, two: DiskUsage) -> DiskUsage {
    DiskUsage { read: one.read.saturating_add(two.read), written: one.written.saturating_add(two.written) }
}

fn move_to(folder: &Path, pid: i32) -> io::Result<()> {
    write(&folder.join("cgroup.procs"), &pid.to_string())
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

/// The cgroup of a process, from the root of the hierarchy.
fn path_of(pid: i32) -> Option<PathBuf> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    cgroups.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
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
            found.push(RunCgroup { folder: below, used_before: Mutex::default() });
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
    fn only_writable_hierarchies_are_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("setlist-run-left/setlist-run-nested")).unwrap();
        assert!(Cgroups::in_folder(folder.path().to_owned()).is_some());
        assert!(folder.path().join("setlist-run-left").exists(), "a run of another worker may be about to start in it");
        let left = File::open(folder.path().join("setlist-run-left")).unwrap();
        left.set_modified(std::time::SystemTime::now() - 2 * MIN_AGE).unwrap();
        let cgroups = Cgroups::in_folder(folder.path().to_owned()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "empty cgroups of earlier runs are removed");
        let tag = RunTag::new(&[("SETLIST_TAG", OsStr::new("site/boot/run-1"))]);
        // A plain folder has no `cgroup.procs`, so no process can be moved there, and none is left.
        let cgroup = RunCgroup::create_in(folder.path(), &tag).unwrap();
        assert!(cgroup.add(1, &EarlierUsage::default()).is_err());
        assert!(RunCgroup::create_in(folder.path(), &tag).is_none(), "it exists");
        drop(cgroup);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Cgroups::in_folder(folder.path().join("missing")).is_none());
        // Without controllers, a run with limits gets no cgroup for them.
        assert!(cgroups.limited(&tag, &Limits { memory: Some(1 << 30), ..Limits::default() }).is_none());
    }

    #[test]
    fn the_usage_of_a_cgroup_is_read_as_far_as_it_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cpu.stat"), "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 0\n")
            .unwrap();
        fs::write(folder.path().join("io.stat"), "8:0 rbytes=4096 wbytes=1 rios=1 wios=0\n8:16 rbytes=1 wbytes=2\n")
            .unwrap();
        let cgroup_of = |folder| RunCgroup { folder, used_before: Mutex::default() };
        let cgroup = cgroup_of(folder.path().to_owned());
        let cpu = |user, system| Some((Duration::from_millis(user), Duration::from_millis(system)));
        let io = |read, written| Some(DiskUsage { read, written });
        assert_eq!(cgroup.usage(), CgroupUsage { cpu: cpu(3, 2), peak_memory: None, io: io(4097, 3) });
        fs::write(folder.path().join("memory.peak"), "1048576\n").unwrap();
        assert_eq!(cgroup.usage().peak_memory, Some(1 << 20));
        // Two processes were moved into it.
        fs::write(folder.path().join("cgroup.procs"), "").unwrap();
        for millis in [900, 50] {
            let (user, io) = (Duration::from_millis(millis), DiskUsage { read: millis, written: 0 });
            cgroup.add(1, &EarlierUsage { user, system: Duration::from_millis(1), io }).unwrap();
        }
        let usage = cgroup.usage();
        assert_eq!((usage.cpu, usage.io, usage.peak_memory), (cpu(953, 4), io(5047, 3), Some(1 << 20)));
        assert_eq!(cgroup_of(folder.path().join("none")).usage(), CgroupUsage::default());
    }
}
