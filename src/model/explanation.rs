//! Why a job does not run now, by the same functions that decide it: what it waits for, and who holds that.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::start::next_values;
use super::value_placeholders::fill;
use super::{
    Definition, InputValues, Job, JobState, NeedStatus, NeededState, Outcome, OutcomeCondition, QueueMode,
    ResolvedNeed, RunInputs, SiteState, WaitReason, WorkerId,
};

/// Why a job does not run now, or what holds it up if it was requested.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What a pending job waits for.
    pub waiting: Option<WaitReason>,
    /// What a request for the job would have to wait for.
    pub requirements: Vec<WaitReason>,
    /// The jobs that it needs, in the order of its definition.
    pub needs: Vec<ExplainedNeed>,
    /// The running jobs that hold what it waits for, slots or units of a pool, oldest first.
    pub holders: Vec<Holder>,
    /// The pending jobs that keep free slots of its queue, where it waits for one of these, and what they wait for.
    pub ahead: Vec<(String, WaitReason)>,
    /// The workers that could run it, where it waits for free slots of one of them; empty where it waits for its queue.
    pub full_workers: Vec<WorkerId>,
    /// The jobs that stopped its queue, where it waits for that.
    pub stopped_by: Vec<String>,
}

/// A job that another one needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedNeed {
    /// Its path.
    pub job: String,
    /// The required outcome.
    pub on: OutcomeCondition,
    /// Its phase or its outcome, as one word.
    pub state: &'static str,
    /// Since when it runs or waits, or when it finished.
    pub since: DateTime<Utc>,
    /// What it waits for itself.
    pub waiting: Option<WaitReason>,
    /// Whether it finished as required; none if it has not finished.
    pub is_met: Option<bool>,
}

/// A running job that holds what another one waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its path.
    pub job: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl SiteState {
    /// Explains why a job does not run now.
    pub fn explain(&self, job: &Job) -> Explanation {
        let waiting = self.wait_reason(job);
        let full_workers = match &waiting {
            Some(WaitReason::FreeSlot) if self.has_free_slots(job) => self.full_workers(job),
            _ => Vec::new(),
        };
        let holders = match &waiting {
            Some(WaitReason::FreeSlot) if full_workers.is_empty() => self.slot_holders(job),
            Some(WaitReason::FreeSlot) => self.jobs_of_workers(&full_workers),
            Some(WaitReason::Pool { .. }) => self.missing_pool(job).map(|(_, holders)| holders).unwrap_or_default(),
            _ => Vec::new(),
        };
        let holder = |holder: &Job| Some(Holder { job: holder.path(), since: holder.last_run.as_ref()?.started });
        let ahead = match &waiting {
            Some(WaitReason::FreeSlot) if full_workers.is_empty() => self.jobs_with_slots_before(job),
            _ => Vec::new(),
        };
        let stopped_by = match waiting {
            Some(WaitReason::QueueStopped) => self.stopped_by(&job.queue).map(Job::path).collect(),
            _ => Vec::new(),
        };
        Explanation {
            requirements: if matches!(job.state, JobState::Running { .. }) {
                Vec::new()
            } else {
                self.unmet_requirements(job)
            },
            needs: self.explained_needs(job),
            holders: holders.into_iter().filter_map(holder).collect(),
            ahead: ahead
                .iter()
                .filter_map(|job| Some((job.path(), self.wait_reason(job)?)))
                .filter(|(_, waiting)| *waiting != WaitReason::FreeSlot)
                .collect(),
            full_workers,
            stopped_by,
            waiting,
        }
    }

    /// The definition of a job with the values that its next run would get, and the values of its inputs.
    pub fn next_definition(&self, job: &Job) -> (Arc<Definition>, InputValues) {
        let Ok(RunInputs { filled, inputs, .. }) = next_values(self, job);
        let definition =
            if filled.is_empty() { Arc::clone(&job.definition) } else { Arc::new(fill(&job.definition, &filled)) };
        (definition, inputs)
    }

    /// The running jobs of the queue of a job, oldest first.
    fn slot_holders(&self, job: &Job) -> Vec<&Job> {
        let is_processed =
            self.queue(&job.queue).filter(|queue| job.is_requested() || queue.mode == QueueMode::Processing);
        is_processed.into_iter().flat_map(|queue| &queue.running).filter_map(|id| self.job(*id)).collect()
    }

    /// The running jobs of workers, oldest first.
    fn jobs_of_workers(&self, workers: &[WorkerId]) -> Vec<&Job> {
        let running = self.queues().into_iter().flat_map(|(_, queue)| &queue.running).filter_map(|id| self.job(*id));
        let started = |job: &Job| job.last_run.as_ref().map(|run| run.started);
        let is_theirs = |job: &&Job| job.last_run.as_ref().is_some_and(|run| workers.contains(&run.worker));
        let mut jobs: Vec<&Job> = running.filter(is_theirs).collect();
        jobs.sort_by_key(|job| started(job));
        jobs
    }

    fn explained_needs(&self, job: &Job) -> Vec<ExplainedNeed> {
        let explain = |need: &ResolvedNeed| {
            let needed = self.job(need.job)?;
            let since = match &needed.state {
                JobState::Pending { .. } => needed.enqueued,
                JobState::Running { .. } => needed.last_run.as_ref()?.started,
                JobState::Finished { at, .. } => *at,
            };
            Some(ExplainedNeed {
                job: needed.path(),
                on: need.on,
                state: needed.outcome().map_or(needed.phase().as_str(), Outcome::as_str),
                since,
                waiting: self.wait_reason(needed),
                is_met: match NeededState::of(&needed.state, false).status(need.on) {
                    NeedStatus::Met => Some(true),
                    NeedStatus::Failed => Some(false),
                    NeedStatus::Pending => None,
                },
            })
        };
        job.needs.iter().filter_map(explain).collect()
    }
}
