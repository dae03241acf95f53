//! Where a worker runs: recorded when it registers, so that a later process knows whether it can see the worker's jobs.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::private_files::read_to_string;
use super::state_dir::StateDir;
use crate::model::WorkerId;

/// Where a process of a site runs. Each part is `None` where it is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerOrigin {
    /// Its PID namespace: a container has its own.
    pub pid_namespace: Option<String>,
    /// The boot of the machine.
    pub boot_id: Option<String>,
    /// The machine.
    pub machine_id: Option<String>,
    /// Device and inode of the state directory: a copy of the site has others.
    pub state_dir: Option<String>,
}

/// The namespace of the whole machine, which sees the processes of all others.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

impl StateDir {
    /// Where this process runs.
    pub fn origin(&self) -> WorkerOrigin {
        let directory = fs::metadata(self.path()).ok();
        WorkerOrigin {
            pid_namespace: pid_namespace(),
            boot_id: boot_id(),
            machine_id: fs::read_to_string("/etc/machine-id").ok().map(|id| id.trim().to_owned()),
            state_dir: directory.map(|directory| format!("{}:{}", directory.dev(), directory.ino())),
        }
    }

    /// Where `worker` ran. All parts are `None` if its file is gone.
    pub fn worker_origin(&self, worker: WorkerId) -> WorkerOrigin {
        let text = read_to_string(&self.worker_file(worker)).unwrap_or_default();
        let mut lines = text.lines().skip(1);
        let pid_namespace = lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
        let mut rest = lines.next().unwrap_or_default().split(' ').map(known);
        let mut next = || rest.next().flatten();
        WorkerOrigin { pid_namespace, boot_id: next(), machine_id: next(), state_dir: next() }
    }
}

impl WorkerOrigin {
    /// The second and third line of a worker's file.
    pub(super) fn lines(&self) -> String {
        let part = |part: &Option<String>| part.as_deref().unwrap_or(UNKNOWN).to_owned();
        let rest = [part(&self.boot_id), part(&self.machine_id), part(&self.state_dir)];
        format!("{}\n{}\n", self.pid_namespace.as_deref().unwrap_or_default(), rest.join(" "))
    }

    /// Whether the process runs in the PID namespace of the whole machine.
    pub fn sees_whole_machine(&self) -> bool {
        self.pid_namespace.as_deref() == Some(INITIAL_PID_NAMESPACE)
    }
}

/// Written for an unknown part in a worker's file.
const UNKNOWN: &str = "-";

fn known(part: &str) -> Option<String> {
    (!part.is_empty() && part != UNKNOWN).then(|| part.to_owned())
}

/// The PID namespace of this process.
pub(super) fn pid_namespace() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned())
}

/// The id of the current boot.
pub(super) fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim_end().to_owned())
}
