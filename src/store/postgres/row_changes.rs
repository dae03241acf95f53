//! Which rows a transaction changes, and the statements that write them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::fetch::id_list;
use super::job_columns::{self, count_values, need_rows};
use super::known_part::KnownPart;
use super::site_frame::KEPT_TABLES;
use super::sql_text::{insert, json, json_or_null, literal, nanos};
use crate::model::{
    Counters, DueRecord, Event, EventRecord, JobId, MAX_DUE_RECORDS, QueueId, QueueMode, QueueSettings, RemovalReason,
    Run, RunId, ScheduleTarget, SiteState, StateReader, WorkerId,
};
use crate::store::backend::MIN_RETAINED_EVENTS;

/// How many events are recorded between two deletions of old ones.
const EVENTS_PER_PRUNE: u64 = 1_000;

/// The rows that the events of a transaction change.
#[derive(Default)]
pub(super) struct RowChanges {
    pub(super) events: Vec<EventRecord>,
    queues: BTreeSet<QueueId>,
    workers: BTreeSet<WorkerId>,
    jobs: BTreeSet<JobId>,
    /// Jobs that were added with needs.
    with_needs: BTreeSet<JobId>,
    /// Jobs that have other needs now.
    with_other_needs: BTreeSet<JobId>,
    /// Runs that are followed by another one.
    earlier_runs: Vec<(JobId, Run)>,
    schedules: BTreeSet<ScheduleTarget>,
    expectations: BTreeSet<ScheduleTarget>,
    due_times: BTreeMap<ScheduleTarget, BTreeSet<DateTime<Utc>>>,
    /// Runs with a terminal that have ended.
    ended_terminals: Vec<RunId>,
    /// Whether values have left the site that must not remain in the database.
    has_removed_secrets: bool,
    /// Whether the version of the file or the pools have changed.
    has_other_file: bool,
}

impl RowChanges {
    /// Records an event that is about to be applied to `state`.
    pub(super) fn record(&mut self, state: &SiteState, record: &EventRecord) {
        match &record.event {
            Event::QueueDefined { queue, settings } => {
                let hook_env = |settings: &QueueSettings| settings.on_overdue.as_ref().map(|hook| hook.env.clone());
                let before = state.queue(queue).and_then(|queue| hook_env(&queue.settings));
                let before = before.filter(|env| !env.is_empty());
                self.has_removed_secrets |= before.is_some() && before != hook_env(settings);
                self.queues.insert(queue.clone());
            }
            Event::ModeChanged { queue, mode } => {
                if *mode == QueueMode::Paused {
                    self.jobs.extend(state.requested_jobs(queue));
                }
                self.queues.insert(queue.clone());
            }
            Event::QueueRequested { queue, .. } => _ = self.queues.insert(queue.clone()),
            Event::Added { job } | Event::Restored { job } => {
                self.with_needs.extend((!job.needs.is_empty()).then_some(job.id));
                self.jobs.insert(job.id);
            }
            Event::PoolsDefined { .. } | Event::FileApplied { .. } => self.has_other_file = true,
            Event::WorkerJoined { worker } => _ = self.workers.insert(worker.id),
            Event::Reserved { worker, .. } | Event::WorkerDraining { worker } | Event::WorkerLeft { worker } => {
                self.workers.insert(*worker);
            }
            Event::ScheduleChanged { state } => _ = self.schedules.insert(state.target.clone()),
            Event::ScheduleEnded { target } => _ = self.schedules.insert(target.clone()),
            Event::ExpectationChanged { state } => _ = self.expectations.insert(state.target.clone()),
            Event::ExpectationEnded { target } => _ = self.expectations.insert(target.clone()),
            Event::DueRecorded { target, records } => {
                self.due_times.entry(target.clone()).or_default().extend(records.iter().map(|record| record.due));
            }
            Event::DueWithdrawn { target, after } => {
                let later = state.due_records(target).map(|record| record.due).filter(|due| due > after);
                self.due_times.entry(target.clone()).or_default().extend(later);
            }
            event => self.record_job_event(state, event),
        }
        self.events.push(record.clone());
    }

    /// Adds runs that are followed by another one.
    pub(super) fn add_earlier_runs(&mut self, runs: &[(JobId, Run)]) {
        self.earlier_runs.extend(runs.iter().cloned());
    }

    fn record_job_event(&mut self, state: &SiteState, event: &Event) {
        let Some((id, job)) = event.job().and_then(|id| Some((id, state.job(id)?))) else { return };
        let env = job.definition.env().filter(|env| !env.is_empty());
        match event {
            Event::Started { run, .. } => {
                self.earlier_runs.extend(job.last_run_with_value().map(|earlier| (id, earlier)));
                if state.workers().any(|worker| worker.id == run.worker && worker.has_reserved(id)) {
                    self.workers.insert(run.worker);
                }
            }
            Event::Redefined { definition, .. } => {
                self.has_removed_secrets |= env.is_some() && env != definition.env();
                self.with_other_needs.insert(id);
            }
            Event::Ended { run, .. } if job.script().is_some_and(|script| script.exec.pty) => {
                self.ended_terminals.push(*run);
            }
            Event::Removed { reason: RemovalReason::NotInFile, .. } => self.has_removed_secrets |= env.is_some(),
            _ => {}
        }
        self.jobs.insert(id);
    }

    /// Which of the tables that connections keep have changed.
    pub(super) fn changed_tables(&self) -> [bool; 4] {
        [!self.queues.is_empty(), !self.workers.is_empty(), !self.schedules.is_empty(), !self.expectations.is_empty()]
    }

    /// The statements that write the changes; `known` has all events applied.
    pub(super) fn to_sql(&self, site: i32, known: &KnownPart) -> String {
        let (mut sql, state) = (String::new(), &known.state);
        self.write_jobs(site, known, &mut sql);
        self.write_needs(site, known, &mut sql);
        self.write_queues_and_workers(site, state, &mut sql);
        self.write_schedules(site, state, &mut sql);
        self.write_due_times(site, state, &mut sql);
        let run = |(job, run): &(JobId, Run)| {
            let ended = run.end.as_ref().map_or_else(|| "NULL".to_owned(), |end| nanos(end.at).to_string());
            let value = json_or_null(run.end.as_ref().and_then(|end| end.value.as_ref()));
            format!("{site}, {}, {}, {ended}, {}, {value}", job.0, run.id.0, json(run))
        };
        insert("runs", &self.earlier_runs.iter().map(run).collect::<Vec<_>>(), "", &mut sql);
        for run in &self.ended_terminals {
            // A failure to write to a string is impossible.
            let _ = write!(sql, "DELETE FROM setlist.terminals WHERE site = {site} AND run = {};", run.0);
        }
        self.write_site(site, state, &mut sql);
        let seq = state.seq();
        let totals = known.changed_totals();
        let totals =
            totals.iter().map(|(queue, totals)| format!("{site}, {}, {seq}, {}", json(queue), totals.values()));
        insert("queue_totals", &totals.collect::<Vec<_>>(), "", &mut sql);
        self.write_events(site, state.counters(), &mut sql);
        sql
    }

    /// Writes what has changed in the row of the site. It is seldom, see the table of totals.
    fn write_site(&self, site: i32, state: &SiteState, sql: &mut String) {
        let seq = state.seq();
        let changed = KEPT_TABLES.iter().zip(self.changed_tables()).filter(|(_, is_changed)| *is_changed);
        let mut columns: Vec<String> = changed.map(|(table, _)| format!("{table}_seq = {seq}")).collect();
        if self.has_other_file {
            columns.push(format!("file_version = {}", json_or_null(state.file_version().as_ref())));
            columns.push(format!("pools = {}", json(state.pool_sizes())));
        }
        if !columns.is_empty() {
            // A failure to write to a string is impossible.
            let _ = write!(sql, "UPDATE setlist.sites SET {} WHERE id = {site};", columns.join(", "));
        }
    }

    fn write_jobs(&self, site: i32, known: &KnownPart, sql: &mut String) {
        let row = |id: &JobId| {
            let (job, reason) = match known.state.job(*id) {
                Some(job) => (job, None),
                None => known.state.removed_with_reason(*id).map(|(job, reason)| (job, Some(reason)))?,
            };
            let counts = count_values(known.counts(*id).unwrap_or_default());
            Some(format!("{site}, {}, {}, {counts}", job.id.0, job_columns::values(job, reason)))
        };
        let columns = [job_columns::COLUMNS.as_slice(), &["pending_needs", "failed_needs"]].concat();
        let update =
            columns.iter().map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ");
        let table = format!("jobs (site, id, {})", columns.join(", "));
        let rows = self.jobs.iter().filter_map(row).collect::<Vec<_>>();
        insert(&table, &rows, &format!("ON CONFLICT (site, id) DO UPDATE SET {update}"), sql);
    }

    /// Writes which jobs need which, and how many needs of other jobs are met now.
    fn write_needs(&self, site: i32, known: &KnownPart, sql: &mut String) {
        if !self.with_other_needs.is_empty() {
            let jobs = id_list(&self.with_other_needs);
            // A failure to write to a string is impossible.
            let _ = write!(sql, "DELETE FROM setlist.needs WHERE site = {site} AND job IN ({jobs});");
        }
        let find = |id: &JobId| known.state.job(*id).or_else(|| Some(known.state.removed_with_reason(*id)?.0));
        let jobs = self.with_needs.union(&self.with_other_needs).filter_map(find);
        let rows: Vec<String> = jobs.flat_map(|job| need_rows(job).map(|row| format!("{site}, {row}"))).collect();
        insert("needs", &rows, "ON CONFLICT DO NOTHING", sql);
        let others = known.count_changes().filter(|(job, _)| !self.jobs.contains(job));
        let others: Vec<String> =
            others.map(|(job, (pending, failed))| format!("({}::bigint, {pending}, {failed})", job.0)).collect();
        for chunk in others.chunks(10_000) {
            // A failure to write to a string is impossible.
            let _ = write!(
                sql,
                "UPDATE setlist.jobs j SET pending_needs = j.pending_needs + c.pending, failed_needs = j.failed_needs + \
                 c.failed FROM (VALUES {}) c (id, pending, failed) WHERE j.site = {site} AND j.id = c.id;",
                chunk.join(", ")
            );
        }
    }

    fn write_queues_and_workers(&self, site: i32, state: &SiteState, sql: &mut String) {
        let row = |id: &QueueId| {
            let queue = state.queue(id)?;
            let (settings, mode) = (json(&queue.settings), json(&queue.mode));
            let (environment, inputs) = (json_or_null(queue.environment.as_ref()), json_or_null(queue.inputs.as_ref()));
            Some(format!("{site}, {}, {settings}, {mode}, {environment}, {inputs}", json(id)))
        };
        let update = "ON CONFLICT (site, id) DO UPDATE SET settings = excluded.settings, mode = excluded.mode, \
                      environment = excluded.environment, inputs = excluded.inputs";
        insert("queues", &self.queues.iter().filter_map(row).collect::<Vec<_>>(), update, sql);
        for id in &self.workers {
            let worker = StateReader::worker(state, *id).unwrap_or_else(|never| match never {});
            let (id, worker) = (id.0, worker.as_ref());
            let statement = worker.map_or_else(
                || format!("DELETE FROM setlist.workers WHERE site = {site} AND id = {id};"),
                |worker| {
                    let body = json(worker);
                    format!(
                        "INSERT INTO setlist.workers (site, id, body) VALUES ({site}, {id}, {body}) \
                         ON CONFLICT (site, id) DO UPDATE SET body = excluded.body; \
                         INSERT INTO setlist.worker_machines VALUES ({site}, {id}, {}) \
                         ON CONFLICT (site, id) DO UPDATE SET machine = excluded.machine;",
                        literal(&worker.host)
                    )
                },
            );
            sql.push_str(&statement);
        }
    }

    fn write_schedules(&self, site: i32, state: &SiteState, sql: &mut String) {
        let schedules = self.schedules.iter().map(|target| (target, state.schedule(target).map(json)));
        let expectations = self.expectations.iter().map(|target| (target, state.expectation(target).map(json)));
        let tables = schedules.map(|row| ("schedules", row)).chain(expectations.map(|row| ("expectations", row)));
        for (table, (target, body)) in tables {
            let target = json(target);
            let statement = match body {
                Some(body) => format!(
                    "INSERT INTO setlist.{table} VALUES ({site}, {target}, {body}) \
                     ON CONFLICT (site, target) DO UPDATE SET state = excluded.state;"
                ),
                None => format!("DELETE FROM setlist.{table} WHERE site = {site} AND target = {target};"),
            };
            sql.push_str(&statement);
        }
    }

    fn write_due_times(&self, site: i32, state: &SiteState, sql: &mut String) {
        for (target, changed) in &self.due_times {
            let present: BTreeMap<_, &DueRecord> = state
                .due_records(target)
                .filter(|record| changed.contains(&record.due))
                .map(|record| (record.due, record))
                .collect();
            let target = json(target);
            let row = |record: &&DueRecord| format!("{site}, {target}, {}, {}", nanos(record.due), json(record));
            let update = "ON CONFLICT (site, target, due) DO UPDATE SET body = excluded.body";
            insert("due_times", &present.values().map(row).collect::<Vec<_>>(), update, sql);
            let gone = changed.iter().filter(|due| !present.contains_key(due)).map(|due| nanos(*due).to_string());
            let gone = gone.collect::<Vec<_>>();
            let condition = if gone.is_empty() { String::new() } else { format!("OR due IN ({})", gone.join(", ")) };
            // The oldest ones beyond the limit go as well.
            let _ = write!(
                sql,
                "DELETE FROM setlist.due_times WHERE site = {site} AND target = {target} AND (due <= (SELECT due FROM \
                 setlist.due_times WHERE site = {site} AND target = {target} ORDER BY due DESC LIMIT 1 \
                 OFFSET {MAX_DUE_RECORDS}) {condition});"
            );
        }
    }

    fn write_events(&self, site: i32, counters: Counters, sql: &mut String) {
        let Counters { seq: last, job, run, worker } = counters;
        // Older ones would be deleted at once.
        let recent = self.events.iter().filter(|event| event.seq + MIN_RETAINED_EVENTS > last);
        let row = |event: &EventRecord| {
            format!("{site}, {}, {}, {}, {job}, {run}, {worker}", event.seq, nanos(event.at), json(&event.event))
        };
        insert("events", &recent.map(row).collect::<Vec<_>>(), "", sql);
        let before = self.events.first().map_or(last, |event| event.seq).saturating_sub(1);
        let mut delete = |from: u64, until: u64| {
            let _ = write!(sql, "DELETE FROM setlist.events WHERE site = {site} AND seq > {from} AND seq <= {until};");
        };
        if last / EVENTS_PER_PRUNE != before / EVENTS_PER_PRUNE {
            // All before these were deleted by the last transaction that did this: they are not looked for again, since
            // entries of deleted rows stay in the index while a snapshot is held open.
            let deleted = before - before % EVENTS_PER_PRUNE;
            delete(deleted.saturating_sub(MIN_RETAINED_EVENTS), last.saturating_sub(MIN_RETAINED_EVENTS));
        }
        if self.has_removed_secrets {
            // Earlier events have the values too. A follower that needs one of them loads the site again.
            delete(0, before);
        }
        if last / EVENTS_PER_PRUNE != before / EVENTS_PER_PRUNE {
            let _ = write!(
                sql,
                "DELETE FROM setlist.queue_totals t WHERE t.site = {site} AND t.seq < {last} AND EXISTS (SELECT 1 FROM \
                 setlist.queue_totals n WHERE n.site = {site} AND n.queue = t.queue AND n.seq > t.seq);"
            );
        }
    }
}
