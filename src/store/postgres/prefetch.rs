//! What the commands of a transaction will ask for, as far as it is known before: all of it in the first message.

use std::collections::BTreeSet;

use super::fetch::{NextKind, SiteFetch, in_file, run_by};
use super::job_columns::readiness_code;
use super::site_frame::SiteFrame;
use crate::model::{Command, JobId, JobRef, QueueId, Readiness, StateReader, WorkerId};
use crate::store::backend::TimedCommand;

/// Of how many queues the next jobs are asked for. Others are asked for when their turn comes.
const MAX_QUEUES: usize = 4;

/// Collects what to ask for.
#[derive(Default)]
struct Prefetch {
    jobs: BTreeSet<JobId>,
    needed: BTreeSet<JobId>,
    keys: BTreeSet<String>,
    names: BTreeSet<(QueueId, String)>,
    last_of: BTreeSet<QueueId>,
    in_file: BTreeSet<QueueId>,
    claims: usize,
    claimants: BTreeSet<WorkerId>,
    /// The queues of a claim; `None` if it is for all.
    claimed_queues: Option<Vec<QueueId>>,
}

/// What to ask for before these commands.
pub(super) fn prefetch(commands: &[TimedCommand<'_>], frame: Option<&SiteFrame>) -> Vec<SiteFetch> {
    let mut wanted = Prefetch::default();
    for (command, _) in commands {
        wanted.add(command.requested());
    }
    wanted.into_fetches(frame)
}

impl Prefetch {
    fn add(&mut self, command: &Command) {
        match command {
            Command::EndRun { job, .. } => {
                self.jobs.insert(*job);
                self.needed.insert(*job);
            }
            Command::Run { job, .. }
            | Command::RunFailed { job, .. }
            | Command::Reset { job }
            | Command::Cancel { job, .. }
            | Command::Start { job, .. }
            | Command::RecordStall { job, .. }
            | Command::RecordSnapshot { job, .. } => _ = self.jobs.insert(*job),
            Command::Remove { jobs } | Command::PruneJobs { jobs } => {
                self.jobs.extend(jobs);
                self.needed.extend(jobs);
            }
            Command::Restore { jobs } | Command::Move { jobs, .. } | Command::Transfer { jobs, .. } => {
                self.jobs.extend(jobs);
            }
            Command::Add { queue, jobs } => {
                self.last_of.insert(queue.clone());
                for scheduling in jobs.iter().map(|job| &job.scheduling) {
                    self.keys.extend(scheduling.unique.as_deref().map(str::to_owned));
                    for need in &scheduling.needs {
                        match &need.job {
                            JobRef::Number(id) => _ = self.jobs.insert(*id),
                            JobRef::Named(queue, name) => _ = self.names.insert((queue.clone(), name.to_string())),
                        }
                    }
                }
            }
            Command::Reconcile(plan) | Command::ReplaceFile { plan, .. } => {
                self.in_file.extend(plan.queues.iter().map(|queue| queue.id.clone()));
                self.last_of.extend(plan.queues.iter().map(|queue| queue.id.clone()));
            }
            Command::Claim { worker, queues } => {
                self.claims += 1;
                self.claimants.insert(*worker);
                self.claimed_queues.clone_from(queues);
            }
            _ => {}
        }
    }

    fn into_fetches(self, frame: Option<&SiteFrame>) -> Vec<SiteFetch> {
        let mut fetches = Vec::new();
        let list = |ids: BTreeSet<JobId>| ids.into_iter().collect::<Vec<_>>();
        fetches.extend((!self.jobs.is_empty()).then(|| SiteFetch::Jobs(list(self.jobs))));
        fetches.extend((!self.needed.is_empty()).then(|| SiteFetch::Dependents(list(self.needed))));
        fetches.extend((!self.keys.is_empty()).then(|| SiteFetch::UniqueKeys(self.keys.into_iter().collect())));
        fetches.extend((!self.names.is_empty()).then(|| SiteFetch::Names(self.names.into_iter().collect())));
        fetches.extend(self.last_of.into_iter().map(SiteFetch::LastOf));
        fetches.extend(self.in_file.iter().map(|queue| SiteFetch::Matching(in_file(queue))));
        let Some(frame) = frame else { return fetches };
        for worker in self.claimants.into_iter().take(1) {
            let info = StateReader::worker(&frame.state, worker).unwrap_or_else(|never| match never {});
            if info.is_some_and(|info| info.options.slots.is_some()) {
                let from = frame.first_runs.get(&worker).copied().unwrap_or_default();
                fetches.push(SiteFetch::Matching(run_by(worker, from)));
            }
        }
        if self.claims > 0 {
            let queues = StateReader::queues(&frame.state).unwrap_or_else(|never| match never {});
            let is_served = |queue: &QueueId| self.claimed_queues.as_ref().is_none_or(|served| served.contains(queue));
            let next = queues.into_iter().filter(|queue| is_served(&queue.id)).flat_map(|queue| {
                let totals = frame.totals.get(&queue.id).copied().unwrap_or_default();
                let requested = (totals.requested > 0).then_some(Readiness::Requested);
                let ready = (totals.ready > 0 && queue.is_processing()).then_some(Readiness::Ready);
                requested.into_iter().chain(ready).map(move |readiness| NextKind {
                    queue: queue.id.clone(),
                    code: readiness_code(readiness),
                    excluded: Vec::new(),
                })
            });
            // One more, so that the place of the first one that is left is known.
            let limit = self.claims + 1;
            fetches.extend(next.take(MAX_QUEUES).map(|kind| SiteFetch::Next { kind, after: None, limit }));
        }
        fetches
    }
}
