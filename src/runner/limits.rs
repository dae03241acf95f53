//! The umask and the limits of runs, which are those of the user who has requested them.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;
use rustix::fs::Mode;
use rustix::process::{
    Resource, Rlimit, geteuid, getpriority_process, getrlimit, setpriority_process, setrlimit, umask,
};

use super::cgroup::keepable_here;
use crate::model::{Environment, Limits};
use crate::text;

/// Said where a limit is kept by cgroups only.
const NO_CGROUP: &str = " without a cgroup of the run (see `setlist help failures`)";
/// The processor time between the soft and the hard limit.
pub(super) const CPU_GRACE: Duration = Duration::from_secs(5);

/// The soft limits that runs get, by their names in `limits.conf`. Not that on file locks, which identifies runs.
pub(super) const LIMITS: [(&str, Resource); 10] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("memlock", Resource::Memlock),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("stack", Resource::Stack),
];

/// Calls `spawn` with the umask of this environment, so that the child inherits it.
pub(super) fn with_umask<T>(environment: Option<&Environment>, spawn: impl FnOnce() -> T) -> T {
    let Some(mask) = environment.and_then(|environment| environment.umask) else { return spawn() };
    unshare_umask();
    let own = umask(Mode::from_raw_mode(mask));
    let spawned = spawn();
    umask(own);
    spawned
}

/// Gives this thread a umask of its own, so that files which other threads create meanwhile keep that of the process.
fn unshare_umask() {
    thread_local! {
        static IS_UNSHARED: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_UNSHARED.replace(true) {
        // Where it is not allowed, the umask is the right one for the child anyway.
        #[cfg(target_os = "linux")]
        let _ = unshare(CloneFlags::CLONE_FS);
    }
}

/// The soft and the hard limit that a job sets for a resource.
fn limits_of(limits: &Limits, name: &str) -> Option<(u64, u64)> {
    // A process that ignores XCPU at the soft limit is killed at the hard one.
    let cpu_time = limits.cpu_time.map(|time| (time.as_secs(), time.saturating_add(CPU_GRACE).as_secs()));
    let both = |limit: Option<u64>| limit.map(|limit| (limit, limit));
    match name {
        "data" => both(limits.memory),
        "cpu" => cpu_time,
        "nofile" => both(limits.open_files),
        "nproc" => both(limits.processes),
        "fsize" => both(limits.file_size),
        _ => None,
    }
}

/// A limit, lowered to what the hard limit allows.
fn at_most(limit: Rlimit, maximum: Option<u64>) -> Rlimit {
    let lower = |limit: Option<u64>| match (limit, maximum) {
        (Some(limit), Some(maximum)) => Some(limit.min(maximum)),
        (limit, maximum) => limit.or(maximum),
    };
    Rlimit { current: lower(limit.current), maximum: lower(limit.maximum) }
}

/// What this machine can't keep of the limits of a job, in words.
pub fn unkeepable_limits(limits: &Limits) -> Vec<String> {
    if limits.is_empty() {
        return Vec::new();
    }
    let mut problems = unkept_limits(limits, &keepable_here(limits));
    if !cfg!(target_os = "linux") && limits.memory.is_some() {
        problems.push("this system does not limit the memory of processes".to_owned());
    }
    if let Some((memory, total)) = limits.memory.zip(total_memory()).filter(|(memory, total)| memory > total) {
        let (memory, total) = (text::bytes(memory), text::bytes(total));
        problems.push(format!("the memory limit of {memory} is more than this machine has, {total}"));
    }
    let hard = getrlimit(Resource::Nofile).maximum;
    if let Some((wanted, hard)) = limits.open_files.zip(hard).filter(|(wanted, hard)| wanted > hard) {
        problems.push(format!("the limit of {wanted} open files is more than {hard}, the hard limit (ulimit -H -n)"));
    }
    problems
}

/// What is not kept of these limits where the cgroup of the run keeps `by_cgroup`, in words.
pub(super) fn unkept_limits(limits: &Limits, by_cgroup: &Limits) -> Vec<String> {
    let mut problems = Vec::new();
    let hard = getrlimit(Resource::Nproc).maximum;
    match limits.processes.filter(|_| by_cgroup.processes.is_none()) {
        Some(_) if geteuid().is_root() => {
            problems.push(format!("the limit on processes has no effect for root{NO_CGROUP}"));
        }
        Some(wanted) if hard.is_some_and(|hard| wanted > hard) => {
            let (wanted, hard) = (text::count_noun(wanted, "process"), hard.unwrap_or_default());
            problems.push(format!("the limit of {wanted} is more than {hard}, the hard limit (ulimit -H -u)"));
        }
        _ => {}
    }
    if let Some(thousandths) = limits.millicpus.filter(|_| by_cgroup.millicpus.is_none()) {
        let processors = own_processors();
        if processors.is_empty() {
            problems.push("this system does not limit the processors of a job".to_owned());
        } else if thousandths % 1000 != 0 {
            let (cpus, whole) = (Limits::cpus_text(thousandths), thousandths.div_ceil(1000));
            problems.push(format!("the limit of {cpus} processors becomes {whole}{NO_CGROUP}"));
        }
    }
    if let Some(nice) = limits.nice.filter(|nice| i32::from(*nice) < least_nice()) {
        problems
            .push(format!("a niceness of {nice} is only for privileged users; here it is at least {}", least_nice()));
    }
    problems
}

/// The lowest niceness that a child of this process may have.
fn least_nice() -> i32 {
    if geteuid().is_root() {
        return -20;
    }
    // The limit is 20 minus the niceness.
    let raised =
        getrlimit(Resource::Nice).current.and_then(|limit| i32::try_from(limit).ok()).map_or(-20, |limit| 20 - limit);
    raised.min(getpriority_process(None).unwrap_or_default())
}

/// The processors that this process may use, by number. Empty where that is unknown.
fn own_processors() -> Vec<usize> {
    #[cfg(target_os = "linux")]
    if let Ok(set) = sched_getaffinity(Pid::from_raw(0)) {
        return (0..CpuSet::count()).filter(|number| set.is_set(*number).unwrap_or_default()).collect();
    }
    Vec::new()
}

/// So many of the processors that this process may use, from the `start`th on; `None` if these are not more.
#[cfg(target_os = "linux")]
fn some_processors(thousandths: u32, start: u64) -> Option<CpuSet> {
    let processors = own_processors();
    let wanted = usize::try_from(thousandths.div_ceil(1000)).unwrap_or(usize::MAX);
    let start = usize::try_from(start % u64::try_from(processors.len().max(1)).ok()?).ok()?;
    let mut set = CpuSet::new();
    for number in processors.iter().cycle().skip(start).take(wanted) {
        set.set(*number).ok()?;
    }
    (wanted < processors.len()).then_some(set)
}

/// Where the processors of the next run start, which uses so many thousandths.
#[cfg(target_os = "linux")]
fn next_start(thousandths: u32) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(u64::from(thousandths.div_ceil(1000)), Ordering::Relaxed)
}

/// The memory of this machine, in bytes.
fn total_memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))?;
    total.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of a run that differ from those of this process.
#[derive(Debug, Default)]
pub(super) struct ChildLimits {
    resources: Vec<(Resource, Rlimit)>,
    nice: Option<i32>,
    #[cfg(target_os = "linux")]
    processors: Option<CpuSet>,
    /// Of the cgroup that keeps other limits: the process enters it.
    cgroup: Option<File>,
}

impl ChildLimits {
    /// The limits of the job, and the soft limits of this environment, as far as the hard limits allow. `open_files` is
    /// the soft limit on open files of a run without an environment.
    pub(super) fn new(environment: Option<&Environment>, open_files: Option<u64>, limits: &Limits) -> Self {
        let resources = Self::resources(environment, open_files, limits);
        let nice = limits.nice.map(|nice| i32::from(nice).max(least_nice()));
        // Those of a run are beside each other, and those of different runs are spread.
        #[cfg(target_os = "linux")]
        let processors = limits.millicpus.and_then(|thousandths| some_processors(thousandths, next_start(thousandths)));
        Self {
            resources,
            nice,
            #[cfg(target_os = "linux")]
            processors,
            cgroup: None,
        }
    }

    /// Lets the process enter a cgroup, into whose list of processes it writes itself.
    #[must_use]
    pub(super) fn in_cgroup(self, processes: File) -> Self {
        Self { cgroup: Some(processes), ..self }
    }

    fn resources(
        environment: Option<&Environment>,
        open_files: Option<u64>,
        limits: &Limits,
    ) -> Vec<(Resource, Rlimit)> {
        let wanted_of = |name: &str, own: Rlimit| {
            let requested = environment.and_then(|environment| {
                let (_, limit) = environment.soft_limits.iter().find(|(known, _)| known == name)?;
                Some(*limit)
            });
            requested.unwrap_or(if name == "nofile" { open_files } else { own.current })
        };
        let changed = LIMITS.into_iter().filter_map(|(name, resource)| {
            let own = getrlimit(resource);
            if let Some((soft, hard)) = limits_of(limits, name) {
                let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
                return Some((resource, at_most(limit, own.maximum)));
            }
            let current = match (wanted_of(name, own), own.maximum) {
                (Some(wanted), Some(maximum)) => Some(wanted.min(maximum)),
                (wanted, maximum) => wanted.or(maximum),
            };
            (current != own.current).then_some((resource, Rlimit { current, ..own }))
        });
        changed.collect()
    }

    fn is_empty(&self) -> bool {
        #[cfg(target_os = "linux")]
        if self.processors.is_some() {
            return false;
        }
        self.resources.is_empty() && self.nice.is_none() && self.cgroup.is_none()
    }

    /// Sets the limits in the process that this command starts, before its first instruction. Without limits nothing is
    /// set, because std then uses the faster `posix_spawn`.
    pub(super) fn apply_to(self, command: &mut Command) {
        if self.is_empty() {
            return;
        }
        let set_limits = move || {
            if let Some(mut processes) = self.cgroup.as_ref() {
                // 0 stands for the process that writes it. Whether it is there is checked afterwards.
                let _ = processes.write_all(b"0");
            }
            #[cfg(target_os = "linux")]
            if let Some(processors) = &self.processors {
                let _ = sched_setaffinity(Pid::from_raw(0), processors);
            }
            if let Some(nice) = self.nice {
                let _ = setpriority_process(None, nice);
            }
            for (resource, limit) in &self.resources {
                // The soft limit is not above the hard one, which is not raised, so this can't fail.
                let _ = setrlimit(*resource, *limit);
            }
            Ok(())
        };
        #[expect(
            unsafe_code,
            reason = "std has no safe way to set a limit between fork and exec; set from outside \
                                        after that, it would come too late for the first instructions"
        )]
        // SAFETY: the closure only makes system calls, and allocates and locks nothing.
        unsafe {
            command.pre_exec(set_limits);
        }
    }
}
