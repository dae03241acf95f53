//! In what surroundings a program runs, and within which limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Hook;

/// How a script is run. Inherited fields (a queue's `env`, the file's `defaults`) are already merged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setup {
    /// Variables laid over the worker's environment and that of the `env_files`; `None` removes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
    /// Files with more variables, relative to the site's folder; read when the job starts, later ones over earlier
    /// ones, and never kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<PathBuf>,
    /// Working directory, relative to the site's folder, which is also the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Text for standard input; nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// After this long the process group gets TERM; never by default.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_millis")]
    pub timeout: Option<Duration>,
    /// From TERM to KILL.
    #[serde(skip_serializing_if = "is_default_grace", with = "millis")]
    pub grace: Duration,
    /// Exit codes that are a success.
    #[serde(skip_serializing_if = "is_default_ok_codes")]
    pub ok_codes: Arc<[i32]>,
    /// Whether it runs in a pseudo-terminal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pty: bool,
    /// How many bytes of output are kept per run, the head and the tail.
    #[serde(skip_serializing_if = "is_default_log_limit")]
    pub log_limit: u64,
    /// What is run when the job has finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_finish: Option<Arc<Hook>>,
}

impl Setup {
    /// The setup of a job that says nothing of it. All that say nothing share one.
    pub fn plain() -> Arc<Self> {
        static PLAIN: LazyLock<Arc<Setup>> = LazyLock::new(Arc::default);
        Arc::clone(&PLAIN)
    }

    /// From TERM to KILL when nothing else is said.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// How many bytes of output are kept per run when nothing else is said.
    pub const DEFAULT_LOG_LIMIT: u64 = 16 << 20;

    /// The exit codes that are a success when nothing else is said.
    pub fn default_ok_codes() -> Arc<[i32]> {
        static ZERO: LazyLock<Arc<[i32]>> = LazyLock::new(|| [0].into());
        Arc::clone(&ZERO)
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            env_files: Vec::new(),
            cwd: None,
            stdin: None,
            timeout: None,
            grace: Self::DEFAULT_GRACE,
            ok_codes: Self::default_ok_codes(),
            pty: false,
            log_limit: Self::DEFAULT_LOG_LIMIT,
            on_finish: None,
        }
    }
}

fn is_default_grace(grace: &Duration) -> bool {
    *grace == Setup::DEFAULT_GRACE
}

fn is_default_ok_codes(codes: &[i32]) -> bool {
    codes == [0]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_default_log_limit(limit: &u64) -> bool {
    *limit == Setup::DEFAULT_LOG_LIMIT
}

pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::model) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::millis::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
