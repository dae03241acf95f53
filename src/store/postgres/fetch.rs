//! What a transaction reads of the jobs of a site, and the statements for it.

use chrono::{DateTime, Utc};

use super::job_columns::has_phase;
use super::sql_text::{json, literal, nanos};
use crate::model::{JobId, LabelSet, Phase, QueueId, RunId, ScheduleTarget, WorkerId};

/// The columns from which a job becomes known.
pub(super) const JOB_ROW: &str = "j.id, j.removed, j.body, j.pending_needs, j.failed_needs";

/// Rank, position and number of a pending job.
pub(super) type PendingKey = (i64, i64, JobId);

/// Which next jobs of a queue are asked for: those with this code which don't need one of these sets of labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NextKind {
    pub(super) queue: QueueId,
    pub(super) code: i64,
    pub(super) excluded: Vec<LabelSet>,
}

/// Something to read.
#[derive(Clone, Debug)]
pub(super) enum SiteFetch {
    /// Jobs by number.
    Jobs(Vec<JobId>),
    /// The jobs that need these.
    Dependents(Vec<JobId>),
    /// The next jobs of a queue: from a place on that the database knows, or else behind one.
    Next { kind: NextKind, after: Option<PendingKey>, limit: usize },
    /// All jobs with a condition.
    Matching(String),
    /// The jobs with these keys that are not finished.
    UniqueKeys(Vec<String>),
    /// The jobs with these names, also removed ones.
    Names(Vec<(QueueId, String)>),
    /// The last job of a queue, also a removed one.
    LastOf(QueueId),
    /// The recorded due times after a time.
    DueAfter(ScheduleTarget, DateTime<Utc>),
}

/// The condition for the jobs that a worker runs; it has none before this run.
pub(super) fn run_by(worker: WorkerId, from: RunId) -> String {
    format!("j.worker = {} AND j.run >= {} AND {}", worker.0, from.0, in_phase(Phase::Running))
}

/// The condition for the jobs in a phase.
pub(super) fn in_phase(phase: Phase) -> String {
    format!("j.{} AND j.removed IS NULL", has_phase(phase))
}

/// The condition for the jobs of a queue that are in the file.
pub(super) fn in_file(queue: &QueueId) -> String {
    format!("j.queue = {} AND j.flags & 16 != 0", json(queue))
}

/// Numbers of jobs as a list.
pub(super) fn id_list<'i>(ids: impl IntoIterator<Item = &'i JobId>) -> String {
    ids.into_iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(", ")
}

impl SiteFetch {
    /// The statement that reads it.
    pub(super) fn sql(&self, site: i32) -> String {
        let jobs =
            |condition: &str| format!("SELECT {JOB_ROW} FROM setlist.jobs j WHERE j.site = {site} AND {condition}");
        match self {
            Self::Jobs(ids) => jobs(&format!("j.id IN ({})", id_list(ids))),
            Self::Matching(condition) => jobs(condition),
            Self::UniqueKeys(keys) => {
                let keys = keys.iter().map(|key| literal(key)).collect::<Vec<_>>().join(", ");
                jobs(&format!(
                    "j.unique_key IN ({keys}) AND j.unique_key IS NOT NULL AND j.state > 0 AND j.removed IS NULL"
                ))
            }
            Self::Names(names) => {
                let rows = names.iter().map(|(queue, name)| format!("({}, {})", literal(name), json(queue)));
                jobs(&format!("j.name IS NOT NULL AND (j.name, j.queue) IN ({})", rows.collect::<Vec<_>>().join(", ")))
            }
            Self::Dependents(ids) => format!(
                "SELECT n.needed, n.required, d.id, d.queue, d.state, d.flags, d.pending_needs, d.failed_needs, \
                 d.removed IS NOT NULL FROM setlist.needs n JOIN setlist.jobs d ON d.site = n.site AND d.id = n.job \
                 WHERE n.site = {site} AND n.needed IN ({}) ORDER BY n.needed, n.job",
                id_list(ids)
            ),
            Self::Next { kind, after, limit } => {
                let NextKind { queue, code, excluded } = kind;
                let queue = json(queue);
                let from = if let Some((rank, position, id)) = after {
                    format!("(j.rank, j.position, j.id) > ({rank}, {position}, {})", id.0)
                } else {
                    let state = if *code == 4 { "requested" } else { "ready" };
                    format!(
                        "(j.rank, j.position) >= (SELECT coalesce({state}_rank, -9223372036854775808), \
                         coalesce({state}_position, -9223372036854775808) FROM setlist.queue_totals \
                         WHERE site = {site} AND queue = {queue} ORDER BY seq DESC LIMIT 1)"
                    )
                };
                let excluded = excluded.iter().map(json).collect::<Vec<_>>().join(", ");
                let excluded = match excluded.as_str() {
                    "" => String::new(),
                    some => format!("AND coalesce(j.labels, '[]') NOT IN ({some})"),
                };
                jobs(&format!(
                    "j.queue = {queue} AND j.state = {code} AND j.state >= 4 AND j.removed IS NULL AND {from} {excluded} \
                     ORDER BY j.rank, j.position, j.id LIMIT {limit}"
                ))
            }
            Self::LastOf(queue) => format!(
                "SELECT position, id FROM setlist.jobs WHERE site = {site} AND queue = {} \
                 ORDER BY position DESC, id DESC LIMIT 1",
                json(queue)
            ),
            Self::DueAfter(target, after) => format!(
                "SELECT body FROM setlist.due_times WHERE site = {site} AND target = {} AND due > {}",
                json(target),
                nanos(*after)
            ),
        }
    }
}
