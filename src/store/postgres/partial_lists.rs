//! Parts of a site for those who look at it: named jobs, pages of lists, and what the status of queues depends on.

use std::collections::BTreeSet;

use super::connection::PostgresStore;
use super::fetch::{JOB_ROW, SiteFetch, in_phase};
use super::job_columns::{rank, settled};
use super::partial_site::PartialSite;
use super::queue_totals::QueueTotals;
use super::sql_text::{json, literal, nanos, number, text};
use crate::model::{
    Job, JobCounts, JobId, JobState, Phase, QueueId, QueueInfo, QueueMode, ScheduleTarget, SiteState, StateReader,
    jobs_ahead,
};
use crate::store::backend::{FIRST_ROWS, JobListPage, JobName, LISTED_PHASES, ListPosition, SiteOverview};
use crate::store::error::StoreError;

impl PostgresStore {
    /// All queues, and of the jobs only the named ones with those that they need.
    pub(super) fn part(&mut self, wanted: &[JobName<'_>]) -> Result<SiteState, StoreError> {
        let mut fetches = Vec::new();
        let numbers = wanted.iter().filter_map(|name| if let JobName::Number(id) = name { Some(*id) } else { None });
        let numbers: Vec<JobId> = numbers.collect();
        fetches.extend((!numbers.is_empty()).then_some(SiteFetch::Jobs(numbers)));
        fetches.extend(wanted.iter().filter_map(|name| match name {
            JobName::Number(_) => None,
            JobName::InQueue(queue, name) => Some(SiteFetch::Names(vec![((*queue).into(), (*name).to_owned())])),
            JobName::InAnyQueue(name) => {
                Some(SiteFetch::Matching(format!("j.name = {} AND j.removed IS NULL", literal(name))))
            }
        }));
        self.read(&fetches, |site| {
            let needed: BTreeSet<JobId> =
                site.known().state.jobs().flat_map(|job| &job.needs).map(|need| need.job).collect();
            site.ensure_jobs(needed)?;
            Ok(site.known().state.to_copy())
        })
    }

    /// What the status of queues depends on.
    pub(super) fn overview(&mut self) -> Result<SiteOverview, StoreError> {
        self.read(&status_fetches(), |site| {
            add_status(site)?;
            let known = site.known();
            let counts = known.stored_totals.iter().map(|(queue, totals)| (queue.clone(), totals.counts()));
            let counts = counts.filter(|(_, counts)| !counts.is_empty()).collect();
            Ok(SiteOverview { state: known.state.to_copy(), counts })
        })
    }

    /// The lists of all queues, the jobs that the status of queues depends on, and those at the ends of the lists of one
    /// queue. `None` if there are fewer jobs than `min_jobs`.
    pub(super) fn first_rows(
        &mut self,
        shown: Option<&QueueId>,
        min_jobs: usize,
    ) -> Result<Option<SiteState>, StoreError> {
        self.read(&status_fetches(), |site| {
            let counts: Vec<JobCounts> = site.known().stored_totals.values().map(QueueTotals::counts).collect();
            if counts.iter().map(|queue| queue.pending + queue.running + queue.finished).sum::<usize>() < min_jobs {
                return Ok(None);
            }
            add_status(site)?;
            let queues = StateReader::queues(site)?;
            let shown = shown.or(queues.first().map(|queue| &queue.id));
            let lists = all_lists(site, &queues)?;
            let of_shown = lists.iter().filter(|(queue, ..)| shown == Some(queue));
            let visible = of_shown.flat_map(|(_, _, ids)| {
                ids[..ids.len().min(FIRST_ROWS)].iter().chain(&ids[ids.len().saturating_sub(FIRST_ROWS)..])
            });
            site.ensure_jobs(visible.copied())?;
            let known: Vec<JobId> = site.known().state.jobs().map(|job| job.id).collect();
            add_context(site, &known)?;
            let known = site.known();
            let mut state = known.state.to_copy();
            for (queue, phase, ids) in lists {
                let failed = known.stored_totals.get(&queue).map_or(0, |totals| totals.counts().failed);
                state.set_list(&queue, phase, ids, failed);
            }
            Ok(Some(state))
        })
    }

    /// The jobs of queues from a place on, at most `limit` of them.
    pub(super) fn page(
        &mut self,
        queues: &[QueueId],
        from: &ListPosition,
        limit: usize,
    ) -> Result<JobListPage, StoreError> {
        self.read(&[], |site| {
            let (mut listed, mut next): (Vec<JobId>, _) = (Vec::new(), None);
            'queues: for (nth, queue) in queues.iter().enumerate().skip(from.queue) {
                let mut after = from.after.as_deref().filter(|_| nth == from.queue);
                let totals = site.known().stored_totals.get(queue).copied().unwrap_or_default();
                for phase in LISTED_PHASES {
                    if after.is_some_and(|after| after.phase() != phase) || totals.in_phase(phase) == 0 {
                        continue;
                    }
                    let left = limit - listed.len();
                    listed.extend(site.listed(&page_sql(site.site, queue, phase, after.take(), left))?);
                    if listed.len() == limit {
                        let last = listed.last().and_then(|id| site.known().state.job(*id).cloned());
                        next = Some(ListPosition { queue: nth, after: last.map(Box::new) });
                        break 'queues;
                    }
                }
            }
            add_context(site, &listed)?;
            Ok(JobListPage { state: site.known().state.to_copy(), jobs: listed, next })
        })
    }
}

/// The running and the unconfirmed jobs, on which the status of queues depends.
fn status_fetches() -> [SiteFetch; 2] {
    let unconfirmed = format!("j.flags & 4 != 0 AND {}", in_phase(Phase::Pending));
    [SiteFetch::Matching(in_phase(Phase::Running)), SiteFetch::Matching(unconfirmed)]
}

/// Reads the other jobs that the status of queues depends on.
fn add_status(site: &PartialSite<'_>) -> Result<(), StoreError> {
    let mut fetches = Vec::new();
    for queue in StateReader::queues(site)? {
        fetches.extend(of_status(site, &queue));
    }
    let schedules = StateReader::schedules(site)?.into_iter().map(|state| state.target);
    let expectations = StateReader::expectations(site)?.into_iter().map(|state| state.target);
    let of_job = |target| if let ScheduleTarget::Job(id) = target { Some(id) } else { None };
    let jobs: Vec<JobId> = schedules.chain(expectations).filter_map(of_job).collect();
    fetches.extend((!jobs.is_empty()).then_some(SiteFetch::Jobs(jobs)));
    site.fetch(&fetches)
}

/// The numbers of the jobs in the lists of queues, by queue and phase.
fn all_lists(site: &PartialSite<'_>, queues: &[QueueInfo]) -> Result<Vec<(QueueId, Phase, Vec<JobId>)>, StoreError> {
    let lists = || queues.iter().flat_map(|queue| LISTED_PHASES.map(|phase| (queue.id.clone(), phase)));
    // One text for each list is much less than a row for each job.
    let list_sql = |(nth, (queue, phase)): (usize, (QueueId, Phase))| {
        format!(
            "SELECT {nth}, (SELECT string_agg(id::text, ' ') FROM (SELECT j.id FROM setlist.jobs j \
             WHERE j.site = {} AND j.queue = {} AND {} ORDER BY {}) list)",
            site.site,
            json(&queue),
            in_phase(phase),
            list_order(phase)
        )
    };
    let sql: Vec<String> = lists().enumerate().map(list_sql).collect();
    let rows = if sql.is_empty() { Vec::new() } else { site.rows(&sql.join(" UNION ALL "))? };
    let mut ids = vec![Vec::new(); sql.len()];
    for row in &rows {
        let numbers = text(row, 1)?.unwrap_or_default().split_ascii_whitespace().map(str::parse);
        let numbers = numbers.map(|number| number.map(JobId)).collect::<Result<_, _>>();
        let nth: usize = number(row, 0)?;
        let list = ids.get_mut(nth).zip(numbers.ok());
        let (list, numbers) =
            list.ok_or_else(|| StoreError::UnreadableRow { reason: "not a list of jobs".to_owned() })?;
        *list = numbers;
    }
    Ok(lists().zip(ids).map(|((queue, phase), ids)| (queue, phase, ids)).collect())
}

/// The order of the list of a phase.
fn list_order(phase: Phase) -> &'static str {
    match phase {
        Phase::Finished => "j.settled, j.run, j.id",
        Phase::Running => "j.started, j.run, j.id",
        Phase::Pending => "j.rank, j.position, j.id",
    }
}

/// The jobs besides the running and the unconfirmed ones that the status of a queue depends on.
fn of_status(site: &PartialSite<'_>, queue: &QueueInfo) -> Vec<SiteFetch> {
    let known = site.known();
    let Some(totals) = known.stored_totals.get(&queue.id) else { return Vec::new() };
    let id = json(&queue.id);
    let first = |codes: &str, columns: &str, condition: &str, order: &str| {
        SiteFetch::Matching(format!(
            "j.id = ANY(ARRAY(SELECT {columns} FROM setlist.jobs WHERE site = {} AND queue = {id} AND {codes} \
             AND state >= 4 AND removed IS NULL {condition} ORDER BY {order}))",
            site.site
        ))
    };
    let mut fetches = Vec::new();
    if totals.running == 0 && queue.mode == QueueMode::Processing && totals.has_unblocked() {
        let startable = "state BETWEEN 4 AND 7";
        // Of those that need the same labels, the first one of each readiness is enough.
        let labels = "AND labels IS NOT NULL";
        fetches.push(first(startable, "DISTINCT ON (state, labels) id", labels, "state, labels, rank, position"));
        fetches.push(first(startable, "id", "AND labels IS NULL", "state, rank, position, id LIMIT 1"));
    }
    if known.state.awaiting_approval(&queue.id).next().is_some() {
        // Any of the readiest states comes before those that wait for approval.
        let codes = 4..=8;
        fetches.extend(codes.map(|code| first(&format!("state = {code}"), "id", "", "rank, position, id LIMIT 1")));
    }
    if queue.mode == QueueMode::Stopped {
        fetches.push(SiteFetch::Matching(format!(
            "j.queue = {id} AND j.flags & 32 != 0 AND {}",
            in_phase(Phase::Pending)
        )));
    }
    fetches
}

/// The statement that reads the next jobs of a queue in one phase, in the order of the list.
fn page_sql(site: i32, queue: &QueueId, phase: Phase, after: Option<&Job>, limit: usize) -> String {
    let run = |job: &Job| job.last_run.as_ref().map_or((0, 0), |run| (nanos(run.started), run.id.0.cast_signed()));
    let behind = |key: &str, place: Option<(i64, i64, JobId)>| {
        place.map(|(a, b, id)| format!("AND ({key}) > ({a}, {b}, {})", id.0)).unwrap_or_default()
    };
    let queue = json(queue);
    let key = list_order(phase);
    let place = match phase {
        Phase::Finished => after.map(|job| (settled(job), run(job).1, job.id)),
        Phase::Running => after.map(|job| (run(job).0, run(job).1, job.id)),
        Phase::Pending => {
            // The index has them by what they wait for.
            let behind = behind(key, after.map(|job| (rank(job), job.position, job.id)));
            return format!(
                "SELECT {JOB_ROW} FROM (VALUES (4), (5), (6), (7), (8)) codes (code) CROSS JOIN LATERAL (SELECT * FROM \
                 setlist.jobs j WHERE j.site = {site} AND j.queue = {queue} AND j.state = codes.code AND j.state >= 4 \
                 AND j.removed IS NULL {behind} ORDER BY {key} LIMIT {limit}) j ORDER BY {key} LIMIT {limit}"
            );
        }
    };
    format!(
        "SELECT {JOB_ROW} FROM setlist.jobs j WHERE j.site = {site} AND j.queue = {queue} AND {} {} \
         ORDER BY {key} LIMIT {limit}",
        in_phase(phase),
        behind(key, place)
    )
}

/// Reads the jobs that decide why those of a page wait: what they need, and the jobs that get units of pools or slots of
/// workers before them.
fn add_context(site: &PartialSite<'_>, listed: &[JobId]) -> Result<(), StoreError> {
    let (mut needed, mut waits_for_units) = (BTreeSet::new(), false);
    for job in listed.iter().filter_map(|id| site.known().state.job(*id).cloned()) {
        if matches!(job.state, JobState::Pending { wait, .. } if wait.needs) {
            needed.extend(job.needs.iter().map(|need| need.job));
        }
        let scheduling = &job.definition.scheduling;
        waits_for_units |=
            job.phase() == Phase::Pending && !(scheduling.uses.is_empty() && scheduling.runs_on.is_empty());
    }
    site.ensure_jobs(needed)?;
    if waits_for_units {
        // They become known.
        jobs_ahead(site)?;
    }
    Ok(())
}
