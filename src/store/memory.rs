//! A site that is kept nowhere but in this process: for tests, and for whoever wants a worker without a file.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use chrono::{DateTime, Utc};

use super::log::{LogReader, LogWriter, keep_hook_end};
use super::{Answer, Gate, KEPT_EVENTS, Lines, Listener, Pruned, Ring, Store, StoreError, Timed, Transacted};
use crate::model::{
    Command, Event, HookEnd, Job, JobId, Keep, Ledger, QueueView, Recorded, Run, RunId, Site, View, Worker, WorkerId,
};

/// A connection to a site in memory. Clones are connections to the same site.
#[derive(Clone)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
    logs: PathBuf,
}

#[derive(Default)]
struct Kept {
    site: Site,
    events: VecDeque<Recorded>,
    runs: BTreeMap<JobId, Vec<Run>>,
    listeners: Vec<Weak<SyncSender<()>>>,
}

impl Memory {
    /// An empty site. What its runs print goes to files in the folder `logs` all the same.
    pub fn new(logs: impl Into<PathBuf>) -> Self {
        Self { kept: Arc::default(), logs: logs.into() }
    }

    // Whoever panics while holding the lock has not left a change half made: the site makes each one whole.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn transact(&mut self, commands: &[Timed<'_>]) -> Result<Transacted, StoreError> {
        let mut kept = self.kept();
        let before = kept.seq();
        let answers: Vec<_> = commands.iter().map(|(command, at)| kept.perform(command, *at)).collect();
        if kept.seq() != before {
            kept.ring();
        }
        let taken_up = answers.iter().flatten().flatten().flat_map(|event| match event {
            Event::Started { job, .. } => vec![*job],
            Event::Reserved { jobs, .. } => jobs.iter().map(|reservation| reservation.job).collect(),
            _ => Vec::new(),
        });
        let taken_up = taken_up.filter_map(|job| kept.site.read(|ledger| ledger.job(job).cloned())).collect();
        Ok(Transacted { before, answers, taken_up })
    }

    fn gate(&self) -> Result<Option<Gate>, StoreError> {
        Ok(None)
    }

    fn load(&mut self) -> Result<Ledger, StoreError> {
        Ok(self.kept().site.read(Ledger::clone))
    }

    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<Recorded>>, StoreError> {
        let kept = self.kept();
        let known = kept.events.front().map_or(1, |event| event.seq)..=kept.seq() + 1;
        let news = kept.events.iter().skip_while(|event| event.seq <= seq).cloned();
        Ok(known.contains(&(seq + 1)).then(|| news.collect()))
    }

    fn queues(&mut self) -> Result<Vec<QueueView>, StoreError> {
        Ok(self.kept().site.read(|ledger| View::queues(ledger).unwrap_or_else(|never| match never {})))
    }

    fn workers(&mut self) -> Result<Vec<Worker>, StoreError> {
        Ok(self.kept().site.read(|ledger| ledger.workers().cloned().collect()))
    }

    fn run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        Ok(self.kept().site.read(|ledger| View::run_by(ledger, worker).unwrap_or_else(|never| match never {})))
    }

    fn stamp(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.kept().site.read(|ledger| ledger.stamp().map(str::to_owned)))
    }

    fn seq(&mut self) -> Result<u64, StoreError> {
        Ok(self.kept().seq())
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let find = |ledger: &Ledger| match ledger.job(id) {
            Some(job) => Some(job.clone()),
            None => ledger.removed(id).unwrap_or_else(|never| match never {}),
        };
        Ok(self.kept().site.read(find))
    }

    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError> {
        Ok(self.kept().runs.get(&job).cloned().unwrap_or_default())
    }

    fn prune(&mut self, now: DateTime<Utc>) -> Result<Pruned, StoreError> {
        // Refused when there is nothing of the kind.
        let retired = self.execute(&[Command::Retire], now)?.remove(0);
        let mut pruned = Pruned { jobs: retired.map_or(0, |events| events.len()), ..Pruned::default() };
        let mut kept = self.kept();
        let keeps: BTreeMap<JobId, Keep> = kept.site.read(|ledger| {
            let keep = |job: &Job| Some((job.id, ledger.queue(&job.queue)?.settings.keep));
            ledger.jobs().filter_map(keep).collect()
        });
        for (job, runs) in &mut kept.runs {
            let Some(keep) = keeps.get(job) else { continue };
            let count = runs.len();
            let most = keep.runs.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)).max(1);
            let before = keep.before(now);
            let mut nth = count;
            runs.retain(|run| {
                let place = nth;
                nth -= 1;
                let ended = run.ending.as_ref().map(|ending| ending.at);
                let old = place > 1 && before.zip(ended).is_some_and(|(before, ended)| ended < before);
                ended.is_none() || (place <= most && !old)
            });
            pruned.runs += count - runs.len();
        }
        Ok(pruned)
    }

    fn another(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn log(&self, run: RunId) -> LogReader {
        LogReader::new(self.logs.clone(), run)
    }

    fn keep_hook_end(&mut self, run: RunId, end: &HookEnd) -> Result<(), StoreError> {
        keep_hook_end(&self.logs, run, end)?;
        self.kept().ring();
        Ok(())
    }

    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter {
        LogWriter::new(self.logs.clone(), run, limit)
    }

    fn lines(&self) -> Lines {
        Lines::new(self.logs.join("lines"))
    }

    fn listen(&self, ring: Ring) -> Result<Listener, StoreError> {
        // One ring may wait while another is under way: enough, since it is the later one that sees every change.
        let (wake, woken) = sync_channel(1);
        let wake = Arc::new(wake);
        self.kept().listeners.push(Arc::downgrade(&wake));
        thread::spawn(move || woken.iter().for_each(|()| ring()));
        Ok(Listener::holding(wake))
    }
}

impl Kept {
    fn seq(&self) -> u64 {
        self.site.read(Ledger::seq)
    }

    fn perform(&mut self, command: &Command, now: DateTime<Utc>) -> Answer {
        let first = self.seq() + 1;
        let events = self.site.submit(command, now)?;
        for (seq, event) in (first..).zip(&events) {
            self.keep_run(event);
            self.events.push_back(Recorded { seq, at: now, event: event.clone() });
        }
        let last = self.seq();
        while self.events.front().is_some_and(|event| event.seq + KEPT_EVENTS <= last) {
            self.events.pop_front();
        }
        Ok(events)
    }

    /// Every run is kept as it stood when it was its job's latest.
    fn keep_run(&mut self, event: &Event) {
        let (Event::Started { job, .. } | Event::Ended { job, .. }) = event else { return };
        let Some(run) = self.site.read(|ledger| ledger.job(*job)?.last_run.clone()) else { return };
        let runs = self.runs.entry(*job).or_default();
        match runs.last_mut().filter(|last| last.id == run.id) {
            Some(last) => *last = *run,
            None => runs.push(*run),
        }
    }

    fn ring(&mut self) {
        self.listeners.retain(|listener| match listener.upgrade() {
            Some(wake) => {
                // A full channel means that a ring is on its way.
                let _ = wake.try_send(());
                true
            }
            None => false,
        });
    }
}
