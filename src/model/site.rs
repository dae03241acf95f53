//! Sites: nested sets of queues.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, Utc};

use super::decide::decide;
use super::{Command, DecideError, Event, EventRecord, Refusal, SiteState, perform};

/// A set of queues. Cheap to clone: all clones refer to the same site, and any thread may use them.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    name: String,
    parent: Option<Site>,
    state: RwLock<SiteState>,
}

impl Site {
    /// A site without name and parent.
    pub fn new() -> Self {
        Self::with_state(SiteState::default(), "")
    }

    /// A site with this state and name; the name of a stored site is the path of its file.
    pub fn with_state(state: SiteState, name: impl Into<String>) -> Self {
        Self(Arc::new(Inner { name: name.into(), parent: None, state: RwLock::new(state) }))
    }

    /// A new site nested in this one. Queues are looked up there first, then here.
    #[must_use]
    pub fn nested(&self, name: impl Into<String>) -> Self {
        let state = RwLock::default();
        Self(Arc::new(Inner { name: name.into(), parent: Some(self.clone()), state }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The site that it is nested in.
    pub fn parent(&self) -> Option<&Site> {
        self.0.parent.as_ref()
    }

    /// Reads the state under a lock; `read` must not submit commands.
    pub fn read<T>(&self, read: impl FnOnce(&SiteState) -> T) -> T {
        read(&self.state())
    }

    /// Checks whether a command would be accepted at the time `now`, without changing anything.
    pub fn check(&self, command: &Command, now: DateTime<Utc>) -> Result<(), Refusal> {
        match decide(&*self.state(), command, now) {
            Ok(_) => Ok(()),
            Err(DecideError::Refused(refusal)) => Err(refusal),
            Err(DecideError::Read(never)) => match never {},
        }
    }

    /// Decides a command and applies its events in one step; returns the events.
    pub fn submit(&self, command: &Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
        self.submit_mapped(command, now, |event| event)
    }

    /// Like [`submit`](Self::submit), but maps each event before it is applied.
    pub(super) fn submit_mapped(
        &self,
        command: &Command,
        now: DateTime<Utc>,
        map: impl Fn(Event) -> Event,
    ) -> Result<Vec<Event>, Refusal> {
        let mut state = self.state_mut();
        let apply = |state: &mut SiteState, events: Vec<Event>| {
            let first = state.seq() + 1;
            state.reserve_capacity(&events);
            let apply = |(seq, event)| {
                let record = EventRecord { seq, at: now, event: map(event) };
                state.apply(&record);
                record.event
            };
            Ok((first..).zip(events).map(apply).collect())
        };
        perform(&mut *state, command, now, apply).map_err(|error| match error {
            DecideError::Refused(refusal) => refusal,
            DecideError::Read(never) => match never {},
        })
    }

    /// Applies events from a store. A copy that follows a stored site changes only through this.
    pub fn apply_records(&self, records: &[EventRecord]) {
        let mut state = self.state_mut();
        state.reserve_capacity(records.iter().map(|record| &record.event));
        for record in records {
            state.apply(record);
        }
    }

    /// Replaces the state, when a follower has to reload the site.
    pub fn replace_state(&self, state: SiteState) {
        *self.state_mut() = state;
    }

    // Events are applied completely before anything else can panic, so the state behind a poisoned lock is consistent.
    fn state(&self) -> RwLockReadGuard<'_, SiteState> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, SiteState> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Site {
    /// Compares identity, not content.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Site {}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("name", &self.name()).field("parent", &self.parent()).finish_non_exhaustive()
    }
}
