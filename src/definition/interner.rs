//! Shares equal options between jobs, because a site with 100,000 jobs is held in memory.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::model::{ExecOptions, RetryPolicy, SchedulingOptions};

/// The maximum memory of the jobs of all matrices, whose differing values can't be shared. As much as a large file.
const MAX_UNSHARED_BYTES: usize = 64 << 20;

/// The maximum memory of the jobs' copies of inherited values: about thirty variables for each of 100,000 jobs.
const MAX_INHERITED_BYTES: usize = 256 << 20;

/// The options shared by the jobs of a file.
pub(super) struct Interner {
    exec_options: SharedOptions<ExecOptions>,
    scheduling_options: SharedOptions<SchedulingOptions>,
    /// Whether jobs use pools.
    pub(super) has_uses: bool,
    /// Whether jobs have unique keys.
    pub(super) has_unique_keys: bool,
    unshared_left: usize,
    /// `None` once exceeded.
    inherited_left: Option<usize>,
}

impl Interner {
    /// Creates an interner with the default options.
    pub(super) fn new() -> Self {
        Self {
            exec_options: SharedOptions::new(ExecOptions::shared_default()),
            scheduling_options: SharedOptions::new(SchedulingOptions::shared_default()),
            has_uses: false,
            has_unique_keys: false,
            unshared_left: MAX_UNSHARED_BYTES,
            inherited_left: Some(MAX_INHERITED_BYTES),
        }
    }

    /// Reserves memory that can't be shared. Returns whether it is available.
    pub(super) fn reserve_unshared(&mut self, bytes: usize) -> bool {
        let left = self.unshared_left.checked_sub(bytes);
        self.unshared_left = left.unwrap_or(self.unshared_left);
        left.is_some()
    }

    /// Reserves memory for inherited values of one job. Returns whether it is available, and calls `on_first_overflow`
    /// the first time it isn't.
    pub(super) fn reserve_inherited(&mut self, bytes: usize, on_first_overflow: impl FnOnce()) -> bool {
        let Some(bytes_left) = self.inherited_left else { return false };
        self.inherited_left = bytes_left.checked_sub(bytes);
        if self.inherited_left.is_none() {
            on_first_overflow();
        }
        self.inherited_left.is_some()
    }

    /// Returns the shared copy of these options.
    pub(super) fn exec_options(&mut self, options: ExecOptions) -> Arc<ExecOptions> {
        self.exec_options.share(options)
    }

    /// Returns the shared copy of these options.
    pub(super) fn scheduling_options(&mut self, options: SchedulingOptions) -> Arc<SchedulingOptions> {
        self.has_uses |= !options.uses.is_empty();
        self.has_unique_keys |= options.unique.is_some();
        if options.needs.is_empty() {
            self.scheduling_options.share(options)
        } else {
            self.scheduling_options.share_with_last(options)
        }
    }
}

/// Options of one kind, of which equal ones are shared.
struct SharedOptions<T> {
    known: HashSet<ByValue<T>, RandomState>,
    /// Those that were shared last: the jobs of a file usually have the options of the job before.
    last: Arc<T>,
}

impl<T: PartialEq> SharedOptions<T>
where
    ByValue<T>: Hash,
{
    fn new(default: Arc<T>) -> Self {
        Self { known: HashSet::from_iter([ByValue(Arc::clone(&default))]), last: default }
    }

    /// Shares options that few jobs have, but then jobs in a row: they are not looked up.
    fn share_with_last(&mut self, new: T) -> Arc<T> {
        if *self.last != new {
            self.last = Arc::new(new);
        }
        Arc::clone(&self.last)
    }

    fn share(&mut self, new: T) -> Arc<T> {
        if *self.last != new {
            let new = ByValue(Arc::new(new));
            let known = self.known.get(&new).map(|ByValue(known)| Arc::clone(known));
            self.last = known.unwrap_or_else(|| {
                let shared = Arc::clone(&new.0);
                self.known.insert(new);
                shared
            });
        }
        Arc::clone(&self.last)
    }
}

/// Compares by value.
struct ByValue<T>(Arc<T>);

impl<T: PartialEq> PartialEq for ByValue<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

// `backoff` is never NaN, so equality is reflexive.
impl<T: PartialEq> Eq for ByValue<T> {}

impl Hash for ByValue<ExecOptions> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ExecOptions { env, env_files, pass_env, cwd, stdin, timeout, grace, ok_codes, pty, log_limit, .. } =
            &*self.0;
        (env, env_files, pass_env, cwd, stdin, timeout, grace, ok_codes, pty, log_limit).hash(state);
        let ExecOptions { limits, conditions, files, stall, on_finish, on_stall, on_overdue, .. } = &*self.0;
        (limits, conditions, files, stall, on_finish, on_stall, on_overdue).hash(state);
    }
}

impl Hash for ByValue<SchedulingOptions> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let SchedulingOptions {
            // Options with needs are not looked up.
            needs: _,
            after,
            priority,
            weight,
            retry,
            confirm,
            schedule,
            expect,
            uses,
            unique,
            item_entries,
            runs_on,
        } = &*self.0;
        // These fields are enough to distinguish jobs.
        let RetryPolicy { max, delay, .. } = retry;
        (
            after.is_some(),
            priority,
            weight,
            max,
            delay,
            confirm,
            schedule,
            expect.is_some(),
            uses,
            unique,
            item_entries,
            runs_on,
        )
            .hash(state);
    }
}
