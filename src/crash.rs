//! Named crash points at which a test can kill or suspend this process or make it panic. Release builds have none.
//!
//! `SETLIST_CRASH=claimed` kills the process when it reaches the point `claimed`; `claimed:3` when it reaches it for the
//! third time. `SETLIST_STOP` suspends it instead, and `SETLIST_PANIC` makes it panic.

use std::time::Duration;

use chrono::TimeDelta;

/// Marks a crash point.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;

    static KILL: LazyLock<Option<CrashRequest>> = LazyLock::new(|| CrashRequest::from_env("SETLIST_CRASH"));
    static STOP: LazyLock<Option<CrashRequest>> = LazyLock::new(|| CrashRequest::from_env("SETLIST_STOP"));
    static PANIC: LazyLock<Option<CrashRequest>> = LazyLock::new(|| CrashRequest::from_env("SETLIST_PANIC"));
    if KILL.as_ref().is_some_and(|request| request.triggers(name)) {
        // The process is killed, so an error can't be handled.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    if STOP.as_ref().is_some_and(|request| request.triggers(name)) {
        // If this fails, the test times out.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    }
    assert!(!PANIC.as_ref().is_some_and(|request| request.triggers(name)), "a test requested a panic at {name}");
}

/// A duration, or what a test has set it to with this variable, in milliseconds.
#[cfg(debug_assertions)]
pub(crate) fn shortened(variable: &str, usual: Duration) -> Duration {
    let wanted = std::env::var(variable).ok().and_then(|text| text.parse().ok());
    wanted.map_or(usual, Duration::from_millis)
}

/// A duration, which nothing changes in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn shortened(_variable: &str, usual: Duration) -> Duration {
    usual
}

/// How many seconds a test lets the clock of this process be ahead.
#[cfg(debug_assertions)]
pub(crate) fn clock_offset() -> TimeDelta {
    static OFFSET: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| {
        std::env::var("SETLIST_CLOCK_OFFSET").ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    });
    TimeDelta::try_seconds(*OFFSET).unwrap_or_default()
}

/// Zero in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn clock_offset() -> TimeDelta {
    TimeDelta::zero()
}

/// Whether a test wants the kernel to kill this process when a write exceeds `ulimit -f`, which tears the write.
pub(crate) fn is_file_size_limit_fatal() -> bool {
    cfg!(debug_assertions) && std::env::var_os("SETLIST_CRASH").is_some_and(|name| name == "file-size-limit")
}

/// Marks a crash point, which does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &str) {}

/// A requested crash point, and at which visit it triggers.
#[cfg(debug_assertions)]
struct CrashRequest {
    name: String,
    remaining_visits: std::sync::atomic::AtomicU32,
}

#[cfg(debug_assertions)]
impl CrashRequest {
    fn from_env(variable: &str) -> Option<Self> {
        let value = std::env::var(variable).ok()?;
        let (name, visits) = value.split_once(':').unwrap_or((&value, "1"));
        Some(Self { name: name.to_owned(), remaining_visits: visits.parse::<u32>().ok()?.into() })
    }

    fn triggers(&self, name: &str) -> bool {
        self.name == name && self.remaining_visits.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1
    }
}

/// Whether the operation of this name has to fail now, as if the system had refused it: `SETLIST_FAIL=spawn:2` makes the
/// second one fail.
#[cfg(debug_assertions)]
pub(crate) fn fails(name: &str) -> bool {
    use std::sync::LazyLock;

    static FAIL: LazyLock<Option<CrashRequest>> = LazyLock::new(|| CrashRequest::from_env("SETLIST_FAIL"));
    FAIL.as_ref().is_some_and(|wanted| wanted.triggers(name))
}

/// Never in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn fails(_name: &str) -> bool {
    false
}
