//! Shares equal options between jobs, because a site with 100,000 jobs is held in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher};
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
    /// By their hashes. Of different options with the same hash, the first are shared.
    known: HashMap<u64, Arc<T>, RandomState>,
    /// Those that were shared last: the jobs of a file usually have the options of the job before.
    last: Arc<T>,
}

impl<T: PartialEq> SharedOptions<T>
where
    for<'a> ByValue<'a, T>: Hash,
{
    fn new(default: Arc<T>) -> Self {
        let mut known = HashMap::with_hasher(RandomState::default());
        known.insert(known.hasher().hash_one(ByValue(&*default)), Arc::clone(&default));
        Self { known, last: default }
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
            let hash = self.known.hasher().hash_one(ByValue(&new));
            let known = self.known.entry(hash);
            self.last = match known {
                Entry::Occupied(known) if **known.get() == new => Arc::clone(known.get()),
                Entry::Occupied(_) => Arc::new(new),
                Entry::Vacant(free) => Arc::clone(free.insert(Arc::new(new))),
            };
        }
        Arc::clone(&self.last)
    }
}

/// Options that are hashed by value.
struct ByValue<'a, T>(&'a T);

impl Hash for ByValue<'_, ExecOptions> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ExecOptions { env, env_files, pass_env, cwd, stdin, timeout, grace, ok_codes, pty, log_limit, .. } = self.0;
        (env, env_files, pass_env, cwd, stdin, timeout, grace, ok_codes, pty, log_limit).hash(state);
        let ExecOptions { limits, conditions, files, snapshot, stall, on_finish, on_stall, on_overdue, .. } = self.0;
        (limits, conditions, files, snapshot, stall, on_finish, on_stall, on_overdue).hash(state);
    }
}

impl Hash for ByValue<'_, SchedulingOptions> {
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
        } = self.0;
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
