//! Named points at which a test can have this process killed, as if from outside. A release build has none.
//!
//! `SETLIST_CRASH=claimed` kills the first process that comes to the point of that name; `claimed:3` does so when it
//! comes there for the third time.

/// The process is at this point: if it is the one that was named, this is the end.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("SETLIST_CRASH").ok()?;
        let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), AtomicU32::new(times.parse().ok()?)))
    });
    if let Some((wanted, times)) = wanted
        && *wanted == *name
        && times.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // Nobody survives this, so nobody is there to hear of an error.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// The process is at this point, which means nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &str) {}
