//! Named points at which a test can have this process killed, as if from outside, or have it panic. A release build has
//! none.
//!
//! `SETLIST_CRASH=claimed` kills the first process that comes to the point of that name; `claimed:3` does so when it
//! comes there for the third time. `SETLIST_PANIC` is the same for a panic.

/// The process is at this point: if it is the one that was named, this is the end.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;

    static KILL: LazyLock<Option<Wanted>> = LazyLock::new(|| Wanted::in_variable("SETLIST_CRASH"));
    static PANIC: LazyLock<Option<Wanted>> = LazyLock::new(|| Wanted::in_variable("SETLIST_PANIC"));
    if KILL.as_ref().is_some_and(|wanted| wanted.is(name)) {
        // Nobody survives this, so nobody is there to hear of an error.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    assert!(!PANIC.as_ref().is_some_and(|wanted| wanted.is(name)), "a test wanted a panic when {name}");
}

/// The process is at this point, which means nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_name: &str) {}

/// A point that was named, and how often it is passed unharmed.
#[cfg(debug_assertions)]
struct Wanted {
    name: String,
    times: std::sync::atomic::AtomicU32,
}

#[cfg(debug_assertions)]
impl Wanted {
    fn in_variable(variable: &str) -> Option<Self> {
        let wanted = std::env::var(variable).ok()?;
        let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some(Self { name: name.to_owned(), times: times.parse::<u32>().ok()?.into() })
    }

    fn is(&self, name: &str) -> bool {
        self.name == name && self.times.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1
    }
}
