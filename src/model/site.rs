//! A site: one set of queues. Sites nest, and [`get_queue`] finds a queue or makes it.

use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, Utc};

use super::{Command, Event, Ledger, Queue, QueueId, Recorded, Refusal, Undecided, decide, perform};

/// The queue of that name in this process's own site; created if it isn't there. Any text is a name.
pub fn get_queue(id: impl Into<QueueId>) -> Queue {
    static SITE: LazyLock<Site> = LazyLock::new(Site::new);
    SITE.get_queue(id)
}

/// One set of queues. Cheap to clone; every clone is the same site, and all of them may be used by many threads.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    name: String,
    parent: Option<Site>,
    ledger: RwLock<Ledger>,
}

impl Site {
    /// A site of its own, without a name or a parent.
    pub fn new() -> Self {
        Self::holding(Ledger::default(), "")
    }

    /// A site with what `ledger` holds, called `name`: for one that is stored, the path of its file.
    pub fn holding(ledger: Ledger, name: impl Into<String>) -> Self {
        Self(Arc::new(Inner { name: name.into(), parent: None, ledger: RwLock::new(ledger) }))
    }

    /// A new site inside this one: it is searched first, then this one.
    #[must_use]
    pub fn nested(&self, name: impl Into<String>) -> Self {
        let ledger = RwLock::default();
        Self(Arc::new(Inner { name: name.into(), parent: Some(self.clone()), ledger }))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The site around it.
    pub fn parent(&self) -> Option<&Site> {
        self.0.parent.as_ref()
    }

    /// The queue of that name: the one of the nearest site that has it, else a new one here.
    /// [`Queue::site`] tells the owner.
    pub fn get_queue(&self, id: impl Into<QueueId>) -> Queue {
        let id = id.into();
        let mut site = Some(self);
        while let Some(here) = site {
            if here.read(|ledger| ledger.queue(&id).is_some()) {
                return Queue::in_site(here.clone(), id);
            }
            site = here.parent();
        }
        // Two threads may both get here; opening a queue that is there changes nothing. Nor does it matter when it is
        // opened, so that this needs no clock.
        let opened = self.submit(&Command::Open { queue: id.clone() }, DateTime::UNIX_EPOCH);
        debug_assert!(opened.is_ok(), "opening a queue is never refused");
        Queue::in_site(self.clone(), id)
    }

    /// Looks at the site, which can't be changed meanwhile; `look` must not ask for a change either.
    pub fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger())
    }

    /// Whether a command would be accepted at the time `now`: it is decided, and nothing changes.
    pub fn would(&self, command: &Command, now: DateTime<Utc>) -> Result<(), Refusal> {
        match decide(&*self.ledger(), command, now) {
            Ok(_) => Ok(()),
            Err(Undecided::Refused(refusal)) => Err(refusal),
            Err(Undecided::View(never)) => match never {},
        }
    }

    /// Decides a command and applies its events, both at once for every other thread; returns the events.
    pub fn submit(&self, command: &Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
        self.submit_with(command, now, |event| event)
    }

    /// The same, with each event passed through `change` before it is applied.
    pub(super) fn submit_with(
        &self,
        command: &Command,
        now: DateTime<Utc>,
        change: impl Fn(Event) -> Event,
    ) -> Result<Vec<Event>, Refusal> {
        let mut ledger = self.ledger_mut();
        let apply = |ledger: &mut Ledger, events: Vec<Event>| {
            let first = ledger.seq() + 1;
            ledger.make_room(&events);
            let apply = |(seq, event)| {
                let recorded = Recorded { seq, at: now, event: change(event) };
                ledger.apply(&recorded);
                recorded.event
            };
            Ok((first..).zip(events).map(apply).collect())
        };
        perform(&mut *ledger, command, now, apply).map_err(|undecided| match undecided {
            Undecided::Refused(refusal) => refusal,
            Undecided::View(never) => match never {},
        })
    }

    /// Applies what has happened elsewhere: a copy that follows a stored site is kept by this alone.
    pub fn follow(&self, news: &[Recorded]) {
        let mut ledger = self.ledger_mut();
        ledger.make_room(news.iter().map(|recorded| &recorded.event));
        for recorded in news {
            ledger.apply(recorded);
        }
    }

    /// Replaces all that is known of the site, when a follower has to load it anew.
    pub fn replace(&self, ledger: Ledger) {
        *self.ledger_mut() = ledger;
    }

    // Every change is applied whole before anything else can panic, so a poisoned lock still guards a sound ledger.
    fn ledger(&self) -> RwLockReadGuard<'_, Ledger> {
        self.0.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger_mut(&self) -> RwLockWriteGuard<'_, Ledger> {
        self.0.ledger.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Site {
    /// The same site, not one with equal queues.
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
