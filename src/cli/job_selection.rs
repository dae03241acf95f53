//! The jobs that a command acts on: named ones, all of a queue (`queue/*`), and those that have a tag or match a query.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::entry_jobs::{jobs_of_entry, jobs_of_queue, several_jobs};
use super::error::{CliError, warn};
use super::job_args::JobFilterArgs;
use super::name_syntax::{all_jobs_of, is_name, is_number, list_names, suggestion, whole_queue};
use super::open_site::OpenSite;
use super::queue_or_job::QueueOrJob;
use crate::clock;
use crate::model::{Job, JobId, JobState, Phase, Query, QueueId, SiteState, UnknownName, WaitConditions};
use crate::text;

/// The jobs to which a command applies. Of `queue/*` and of a filter, it takes only these.
#[derive(Clone, Copy)]
pub(super) struct JobKind {
    /// What messages call one of them, and several.
    singular: &'static str,
    plural: &'static str,
    includes: fn(&Job) -> bool,
}

impl JobKind {
    pub(super) const ANY: Self = Self { singular: "job", plural: "jobs", includes: |_| true };
    pub(super) const PENDING: Self =
        Self { singular: "pending job", plural: "pending jobs", includes: |job| job.phase() == Phase::Pending };
    pub(super) const RUNNING: Self =
        Self { singular: "running job", plural: "running jobs", includes: |job| job.phase() == Phase::Running };
    pub(super) const FINISHED: Self =
        Self { singular: "finished job", plural: "finished jobs", includes: |job| job.phase() == Phase::Finished };
    pub(super) const UNFINISHED: Self = Self {
        singular: "pending or running job",
        plural: "pending or running jobs",
        includes: |job| job.phase() != Phase::Finished,
    };
    pub(super) const NOT_RUNNING: Self = Self {
        singular: "pending or finished job",
        plural: "pending or finished jobs",
        includes: |job| job.phase() != Phase::Running,
    };
    pub(super) const UNAPPROVED: Self =
        Self { singular: "job that needs approval", plural: "jobs that need approval", includes: needs_approval };
    /// Those that `retry` accepts: they are neither running nor about to run.
    pub(super) const RETRIABLE: Self =
        Self { singular: "job that could be retried", plural: "jobs that could be retried", includes: is_retriable };
}

fn needs_approval(job: &Job) -> bool {
    matches!(job.state, JobState::Pending { wait: WaitConditions { confirm: true, .. }, .. })
}

fn is_retriable(job: &Job) -> bool {
    match job.state {
        JobState::Running { .. } => false,
        JobState::Pending { requested, wait } => !requested || !wait.is_met(),
        JobState::Finished { .. } => true,
    }
}

/// The parsed options `--tag` and `--query`.
pub(super) struct SelectionFilter<'a> {
    args: &'a JobFilterArgs,
    query: Query,
}

impl<'a> SelectionFilter<'a> {
    /// Parses the options. Tags that none of the `jobs` has are errors, and so are queues that don't exist.
    pub(super) fn parse<'j>(
        args: &'a JobFilterArgs,
        site_state: &SiteState,
        jobs: impl Iterator<Item = &'j Job>,
    ) -> Result<Self, CliError> {
        let jobs = jobs.filter(|_| !args.is_empty());
        let tags = jobs.flat_map(|job| &job.definition.tags).map(String::as_str).collect();
        Self::with_tags(args, site_state, &tags)
    }

    /// Whether the options may name tags: then all tags are needed to check them.
    pub(super) fn names_tags(args: &JobFilterArgs) -> bool {
        !args.tag.is_empty() || args.query.as_deref().is_some_and(|query| query.contains("tag"))
    }

    /// Parses the options in a site whose jobs have these tags.
    pub(super) fn with_tags(
        args: &'a JobFilterArgs,
        site_state: &SiteState,
        tags: &BTreeSet<&str>,
    ) -> Result<Self, CliError> {
        let text = args.query.as_deref().unwrap_or_default();
        let query = Query::parse(text, clock::now()).map_err(|error| CliError::Usage(format!("--query: {error}")))?;
        let filter = Self { args, query };
        filter.reject_unknown_names(site_state, tags)?;
        Ok(filter)
    }

    fn reject_unknown_names(&self, site_state: &SiteState, tags: &BTreeSet<&str>) -> Result<(), CliError> {
        let unknown_tag = |tag: &str| {
            let known: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let hint = suggestion(tag, &known).unwrap_or_else(|| list_names("tag", &known));
            Err(CliError::Usage(text::sanitize_line(&format!("no job has the tag {tag:?}{hint}"))))
        };
        if let Some(tag) = self.args.tag.iter().find(|tag| !tags.contains(tag.as_str())) {
            return unknown_tag(tag);
        }
        match self.query.unknown_name(site_state, &tags.iter().copied()) {
            None => Ok(()),
            Some(UnknownName::Tag(tag)) => unknown_tag(&tag),
            Some(UnknownName::Queue(queue)) => {
                let known: Vec<String> = site_state.queues().iter().map(|(id, _)| id.to_string()).collect();
                let hint = suggestion(&queue, &known).unwrap_or_else(|| list_names("queue", &known));
                Err(CliError::Usage(text::sanitize_line(&format!("there is no queue {queue:?}{hint}"))))
            }
        }
    }

    pub(super) fn matches(&self, job: &Job) -> bool {
        let tags = &self.args.tag;
        let has_tag = tags.is_empty() || tags.iter().any(|tag| job.definition.tags.contains(tag));
        has_tag && self.query.matches(job)
    }

    /// The error for a filter that matches nothing.
    fn no_match(&self, what: &str) -> CliError {
        let mut options = Vec::new();
        if !self.args.tag.is_empty() {
            options.extend(["--tag".to_owned(), self.args.tag.join(",")]);
        }
        if let Some(query) = &self.args.query {
            options.extend(["--query".to_owned(), query.clone()]);
        }
        CliError::Usage(text::sanitize_line(&format!("no {what} matches {}", text::shell_command(&options))))
    }
}

impl OpenSite {
    /// Finds jobs, without duplicates: the named ones that pass the filter, or without names all of the kind that do. It is
    /// an error if a filter matches none.
    pub(super) fn select_jobs(
        &mut self,
        names: &[String],
        filter: &JobFilterArgs,
        kind: JobKind,
    ) -> Result<Vec<Job>, CliError> {
        let site_state = self.state_for(names, filter)?;
        self.select_jobs_from(&site_state, names, filter, kind)
    }

    /// Same from a loaded state.
    pub(super) fn select_jobs_from(
        &mut self,
        site_state: &SiteState,
        names: &[String],
        filter: &JobFilterArgs,
        kind: JobKind,
    ) -> Result<Vec<Job>, CliError> {
        let selection = SelectionFilter::parse(filter, site_state, site_state.jobs())?;
        let of_kind = |queues: Vec<QueueId>| -> Vec<Job> {
            let jobs = queues.iter().flat_map(|queue| jobs_of_queue(site_state, queue));
            jobs.filter(|job| (kind.includes)(job)).cloned().collect()
        };
        let mut jobs = Vec::with_capacity(names.len());
        for name in names {
            match whole_queue(name) {
                Some(queue) => jobs.extend(of_kind(self.queues(site_state, &[queue.to_owned()])?)),
                None => match jobs_of_entry(site_state, name) {
                    of_entry if of_entry.is_empty() => jobs.push(self.job_in(site_state, name)?),
                    of_entry => jobs.extend(of_entry.into_iter().filter(|job| (kind.includes)(job)).cloned()),
                },
            }
        }
        if names.is_empty() {
            jobs = of_kind(self.queues(site_state, &[])?);
        }
        let mut seen = HashSet::new();
        jobs.retain(|job| selection.matches(job) && seen.insert(job.id));
        if jobs.is_empty() && !filter.is_empty() {
            return Err(selection.no_match(kind.singular));
        }
        if jobs.is_empty() {
            let places: Vec<&str> = names.iter().map(|name| whole_queue(name).unwrap_or(name)).collect();
            warn(&text::sanitize_line(&format!("there are no {} in {}", kind.plural, places.join(", "))));
        }
        Ok(jobs)
    }

    /// Finds the one job that is named, or that passes the filter.
    pub(super) fn select_one_job(&mut self, name: &[String], filter: &JobFilterArgs) -> Result<Job, CliError> {
        let site_state = self.state_for(name, filter)?;
        if let Some(name) = name.first()
            && filter.is_empty()
            && is_name(name)
            && self.job_by_name(&site_state, name).is_err()
            && site_state.queue(&QueueId::from(name.as_str())).is_some()
        {
            let status = text::shell_command(&["setlist".to_owned(), "status".to_owned(), name.clone()]);
            let list = text::shell_command(&["setlist".to_owned(), "list".to_owned(), name.clone()]);
            let message = format!("{name:?} is a queue; `{status}` shows it, `{list}` its jobs");
            return Err(CliError::Usage(text::sanitize_line(&message)));
        }
        let jobs = self.select_jobs_from(&site_state, name, filter, JobKind::ANY)?;
        if let [job] = &jobs[..] {
            return Ok(job.clone());
        }
        Err(several_jobs("expected one job, found", &jobs.iter().collect::<Vec<_>>()))
    }

    /// Finds removed jobs, without duplicates.
    pub(super) fn select_removed_jobs(
        &mut self,
        names: &[String],
        filter: &JobFilterArgs,
    ) -> Result<Vec<Job>, CliError> {
        if filter.is_empty() && !names.iter().any(|name| is_name(name)) {
            let site_state = self.state_of(names)?;
            let mut jobs = Vec::with_capacity(names.len());
            for name in names {
                jobs.push(self.job_to_restore(&site_state, name)?);
            }
            let mut seen = HashSet::new();
            jobs.retain(|job| seen.insert(job.id));
            return Ok(jobs);
        }
        let site_state = self.site_state()?;
        let removed = self.store.removed_jobs()?;
        let selection = SelectionFilter::parse(filter, &site_state, removed.iter())?;
        let mut jobs: Vec<Job> = Vec::new();
        for name in names {
            match whole_queue(name) {
                Some(queue) => jobs.extend(removed.iter().filter(|job| job.queue.as_str() == queue).cloned()),
                None if is_name(name) => jobs.push(self.removed_job(&site_state, &removed, name)?),
                None => jobs.push(self.job_to_restore(&site_state, name)?),
            }
        }
        if names.is_empty() {
            jobs.clone_from(&removed);
        }
        let mut seen = HashSet::new();
        jobs.retain(|job| selection.matches(job) && seen.insert(job.id));
        if jobs.is_empty() && !filter.is_empty() {
            return Err(selection.no_match("removed job"));
        }
        if jobs.is_empty() {
            warn(&text::sanitize_line(&format!("no job was removed from {}", names.join(", ").replace("/*", ""))));
        }
        Ok(jobs)
    }

    /// Finds a removed job: `queue/name`, or a name that is unique among removed jobs.
    fn removed_job(&self, site_state: &SiteState, removed: &[Job], name: &str) -> Result<Job, CliError> {
        let is_meant = |job: &&Job| job.path() == name || job.name() == Some(name);
        let mut found: Vec<&Job> = removed.iter().filter(is_meant).collect();
        // Of jobs of the same name, the one that was added last.
        found.dedup_by(|later, earlier| {
            let same = later.path() == earlier.path();
            if same {
                *earlier = *later;
            }
            same
        });
        match found[..] {
            [job] => Ok(job.clone()),
            [] if self.job_by_name(site_state, name).is_ok() => {
                Err(CliError::Usage(text::sanitize_line(&format!("{name} was not removed"))))
            }
            [] => {
                let paths: Vec<String> = removed.iter().map(Job::path).collect();
                let hint = suggestion(name, &paths).unwrap_or_default();
                Err(CliError::Usage(text::sanitize_line(&format!("there is no removed job {name:?}{hint}"))))
            }
            _ => {
                let paths: Vec<String> = found.iter().map(|job| job.path()).collect();
                let message = format!("{name:?} is the name of several removed jobs; use {}", paths.join(" or "));
                Err(CliError::Usage(text::sanitize_line(&message)))
            }
        }
    }

    /// The queues and jobs to wait for or to print; with a filter, the jobs of these that pass it.
    pub(super) fn select_targets(
        &mut self,
        site_state: &SiteState,
        names: &[String],
        filter: &JobFilterArgs,
    ) -> Result<Vec<QueueOrJob>, CliError> {
        if filter.is_empty() {
            return self.targets(site_state, names);
        }
        let names = expand_queues(site_state, names);
        let jobs = self.select_jobs_from(site_state, &names, filter, JobKind::ANY)?;
        Ok(jobs.into_iter().map(|job| QueueOrJob::Job(job.id)).collect())
    }

    /// The state that is needed to find these jobs: jobs given by number are found without it.
    pub(super) fn state_for(&mut self, names: &[String], filter: &JobFilterArgs) -> Result<SiteState, CliError> {
        let is_needed = !filter.is_empty() || names.is_empty() || names.iter().any(|name| !is_number(name));
        match is_needed {
            true if filter.is_empty() => self.state_of(names),
            true => self.site_state(),
            false => Ok(SiteState::default()),
        }
    }
}

/// Separates the names of queues from those of jobs. A name that could mean either is an error.
pub(super) fn separate_queues(
    site_state: &SiteState,
    names: &[String],
) -> Result<(Vec<QueueId>, Vec<String>), CliError> {
    let (mut queues, mut others) = (Vec::new(), Vec::new());
    for name in names {
        let queue = QueueId::from(name.as_str());
        if !is_name(name) || site_state.queue(&queue).is_none() {
            others.push(name.clone());
            continue;
        }
        if let Some(job) = site_state.jobs().find(|job| job.name() == Some(name.as_str())) {
            let all = all_jobs_of(&queue);
            let message = format!("{name:?} is a queue and a job; write {all} or {}", job.path());
            return Err(CliError::Usage(text::sanitize_line(&message)));
        }
        if !queues.contains(&queue) {
            queues.push(queue);
        }
    }
    Ok((queues, others))
}

/// Replaces the names of queues by `queue/*`.
pub(super) fn expand_queues(site_state: &SiteState, names: &[String]) -> Vec<String> {
    let is_queue = |name: &str| is_name(name) && site_state.queue(&QueueId::from(name)).is_some();
    names.iter().map(|name| if is_queue(name) { format!("{name}/*") } else { name.clone() }).collect()
}

/// Sorts jobs in the order in which they can be cancelled: pending jobs first, so that they don't start in place of the
/// running ones, and what needs a job before that job, so that it isn't skipped.
pub(super) fn sort_for_cancelling(site_state: &SiteState, jobs: &mut [Job]) {
    let order = site_state.needed_first(&jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    let rank: HashMap<JobId, usize> = order.into_iter().rev().zip(0..).collect();
    jobs.sort_by_key(|job| (job.phase() == Phase::Running, rank.get(&job.id).copied()));
}
