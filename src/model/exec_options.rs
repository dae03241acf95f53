//! Execution options of a script: environment, working directory, timeouts and limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use super::{Conditions, FileRules, Hook, Limits, PassEnv, SnapshotKind, StallPolicy};

/// How a script is executed. Inherited fields (a queue's `env`, the file's `defaults`) are already merged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecOptions {
    /// Variables set on top of the environment that the job is requested with and the `env_files`; `None` unsets one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Files with more variables, relative to the site's folder. They are read when the job starts, never stored, and
    /// later files override earlier ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<PathBuf>,
    /// Which variables it gets of the user who has requested it.
    #[serde(skip_serializing_if = "PassEnv::is_all")]
    pub pass_env: PassEnv,
    /// Variables whose values are masked in its output, its value and its errors.
    #[serde(skip_serializing_if = "no_names")]
    pub secrets: Arc<[String]>,
    /// The working directory, relative to the site's folder, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Which files it runs on; by default those in its working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotKind>,
    /// Text for standard input, which is empty by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// How long it may run before its process group gets SIGTERM; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none", with = "millis::optional")]
    pub timeout: Option<Duration>,
    /// When it counts as stalled because it prints nothing; never by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<StallPolicy>,
    /// The time between SIGTERM and SIGKILL.
    #[serde(skip_serializing_if = "is_default_grace", with = "millis")]
    pub grace: Duration,
    /// The exit codes that mean success.
    #[serde(skip_serializing_if = "is_default_ok_codes")]
    pub ok_codes: Arc<[i32]>,
    /// Whether it runs in a pseudo-terminal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pty: bool,
    /// How many bytes of output are kept per run: the head and the tail.
    #[serde(skip_serializing_if = "is_default_log_limit")]
    pub log_limit: u64,
    /// What it may use.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// The commands that decide whether it runs when its turn comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Arc<Conditions>>,
    /// Its sources and outputs, which decide whether it is up to date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Arc<FileRules>>,
    /// The hook that runs after the job finishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_finish: Option<Arc<Hook>>,
    /// The hook that runs when a run stalls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stall: Option<Arc<Hook>>,
    /// The hook that runs when the job is overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_overdue: Option<Arc<Hook>>,
}

impl ExecOptions {
    /// The default options, shared by all jobs that use them.
    pub fn shared_default() -> Arc<Self> {
        static DEFAULT: LazyLock<Arc<ExecOptions>> = LazyLock::new(Arc::default);
        Arc::clone(&DEFAULT)
    }

    /// Whether a program runs the same with `other`: only limits and hooks may differ.
    pub(super) fn runs_same_as(&self, other: &Self) -> bool {
        self.env == other.env
            && self.env_files == other.env_files
            && self.pass_env == other.pass_env
            && self.cwd == other.cwd
            && self.snapshot == other.snapshot
            && self.stdin == other.stdin
            && self.pty == other.pty
    }

    /// How long a condition of the job may take.
    pub fn condition_timeout(&self) -> Duration {
        self.timeout.map_or(Conditions::TIMEOUT, |timeout| timeout.min(Conditions::TIMEOUT))
    }

    /// The default time between SIGTERM and SIGKILL.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// The default limit on the output kept per run, in bytes.
    pub const DEFAULT_LOG_LIMIT: u64 = 16 << 20;

    /// The default exit codes that mean success.
    pub fn default_ok_codes() -> Arc<[i32]> {
        static ZERO: LazyLock<Arc<[i32]>> = LazyLock::new(|| [0].into());
        Arc::clone(&ZERO)
    }
}

impl Default for ExecOptions {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            env_files: Vec::new(),
            pass_env: PassEnv::All,
            secrets: Arc::default(),
            cwd: None,
            snapshot: None,
            stdin: None,
            timeout: None,
            stall: None,
            grace: Self::DEFAULT_GRACE,
            ok_codes: Self::default_ok_codes(),
            pty: false,
            log_limit: Self::DEFAULT_LOG_LIMIT,
            limits: Limits::default(),
            conditions: None,
            files: None,
            on_finish: None,
            on_stall: None,
            on_overdue: None,
        }
    }
}

fn no_names(names: &[String]) -> bool {
    names.is_empty()
}

fn is_default_grace(grace: &Duration) -> bool {
    *grace == ExecOptions::DEFAULT_GRACE
}

fn is_default_ok_codes(codes: &[i32]) -> bool {
    codes == [0]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_default_log_limit(limit: &u64) -> bool {
    *limit == ExecOptions::DEFAULT_LOG_LIMIT
}
