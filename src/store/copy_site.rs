//! Copies a site with its history from one store into another, and checks the copy.

use chrono::{DateTime, Utc};

use super::backend::Store;
use super::error::StoreError;
use super::log::{LogReader, LogWriter, omission_notice};
use super::site_export::SiteExport;
use crate::crash;
use crate::model::{DuePage, JobId, Phase, RemovalReason, RunId, Stream};
use crate::stable_hash;

/// How much output is read at once.
const BUFFER_LEN: usize = 256 * 1024;
/// The limit of a copied log: what the source has is bounded already.
const LOG_LIMIT: u64 = 1 << 40;

/// What a copy holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// How many jobs, including removed ones.
    pub jobs: usize,
    /// How many runs.
    pub runs: usize,
    /// How many bytes of output.
    pub output: u64,
    /// A hash of all of it.
    pub hash: u64,
}

/// Why a site is not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Workers are registered in the source.
    #[error("worker {0} is registered there: `setlist drain {0} --wait` lets it finish first")]
    Worker(u64),
    /// Nothing was ever stored in the source; its name may be mistyped.
    #[error("the site is empty; nothing was copied")]
    Empty,
    /// Another process has changed the source.
    #[error("it was changed while it was copied; copy it again into another target")]
    Changed,
    /// The copy differs.
    #[error("the copy is not the same: {0}")]
    Different(String),
}

/// Reads all of a site but its output.
fn read_site(store: &mut dyn Store) -> Result<SiteExport, StoreError> {
    let state = store.load()?;
    let by_user: Vec<JobId> = store.removed_jobs()?.into_iter().map(|job| job.id).collect();
    let mut content = SiteExport {
        queues: store.queues()?,
        pools: state.pool_sizes().clone(),
        schedules: store.schedules()?,
        expectations: store.expectations()?,
        counters: state.counters(),
        ..SiteExport::default()
    };
    for id in (1..=content.counters.job).map(JobId) {
        let Some(job) = store.job(id)? else { continue };
        let reason = if state.job(id).is_some() {
            None
        } else if by_user.contains(&id) {
            Some(RemovalReason::User)
        } else if job.definition.digest.is_some() {
            Some(RemovalReason::NotInFile)
        } else {
            Some(RemovalReason::Expired)
        };
        // Most jobs have run once.
        if job.attempts > 1 {
            let last = job.last_run.as_ref().map(|run| run.id);
            let earlier = store.runs(id)?.into_iter().filter(|run| Some(run.id) != last);
            content.earlier_runs.extend(earlier.map(|run| (id, run)));
        }
        content.jobs.push((job, reason));
    }
    for target in store.recorded_targets()? {
        let page = DuePage { limit: usize::MAX, oldest_first: true, ..DuePage::default() };
        let records = store.due_records(&target, &page)?;
        content.due_records.push((target, records));
    }
    Ok(content)
}

/// Refuses a site with workers: it would change while it is copied.
pub fn refuse_workers(from: &mut dyn Store) -> Result<(), CopyError> {
    from.workers()?.first().map_or(Ok(()), |worker| Err(CopyError::Worker(worker.id.0)))
}

/// Copies all that `from` has into `to`, which has to be empty.
pub fn copy_site(from: &mut dyn Store, to: &mut dyn Store, now: DateTime<Utc>) -> Result<(), CopyError> {
    let seq = from.last_seq()?;
    if seq == 0 {
        return Err(CopyError::Empty);
    }
    let content = read_site(from)?;
    if content.jobs.iter().any(|(job, _)| job.phase() == Phase::Running) {
        return Err(CopyError::Different("a job is running although no worker is registered".to_owned()));
    }
    to.import(&content, now)?;
    crash::point("import");
    for run in content.runs() {
        copy_output(from, to, run)?;
        crash::point("output");
    }
    if from.last_seq()? != seq || !from.workers()?.is_empty() {
        return Err(CopyError::Changed);
    }
    Ok(())
}

/// Compares all that two stores have. `to` must be another connection than the one that was copied to.
pub fn compare_sites(from: &mut dyn Store, to: &mut dyn Store) -> Result<CopyReport, CopyError> {
    let (content, copied) = (read_site(from)?, read_site(to)?);
    let runs: Vec<RunId> = content.runs().collect();
    let (expected, found) = (content.parts(), copied.parts());
    let names = expected.keys().chain(found.keys());
    if let Some(name) = names.into_iter().find(|name| expected.get(*name) != found.get(*name)) {
        return Err(CopyError::Different(name.clone()));
    }
    let mut report = CopyReport { jobs: content.jobs.len(), runs: runs.len(), ..CopyReport::default() };
    report.hash = expected
        .iter()
        .fold(stable_hash::EMPTY, |hash, (name, value)| stable_hash::extend(hash, format!("{name} {value}\n").bytes()));
    for run in runs {
        let (expected, found) = (OutputDigest::read(from.log_reader(run))?, OutputDigest::read(to.log_reader(run))?);
        if expected != found {
            return Err(CopyError::Different(format!("the output of run {run}")));
        }
        report.output += expected.len;
        let line = format!("output {run} {} {:016x}\n", expected.len, expected.hash);
        report.hash = stable_hash::extend(report.hash, line.bytes());
    }
    Ok(report)
}

/// Copies what a run has printed, in the order of its arrival.
fn copy_output(from: &dyn Store, to: &mut dyn Store, run: RunId) -> Result<(), StoreError> {
    let mut reader = from.log_reader(run);
    let mut writer: Option<LogWriter> = None;
    for_each_part(&mut reader, |stream, at, bytes| {
        writer.get_or_insert_with(|| to.log_writer(run, LOG_LIMIT)).write(stream, bytes, at)
    })?;
    writer.map_or(Ok(()), LogWriter::finish)
}

/// What is compared of the output of a run.
#[derive(PartialEq, Eq)]
struct OutputDigest {
    len: u64,
    hash: u64,
}

impl OutputDigest {
    fn read(mut reader: LogReader) -> Result<Self, StoreError> {
        let (mut len, mut hash) = (0, 0);
        let mut last: Option<(Stream, DateTime<Utc>)> = None;
        for_each_part(&mut reader, |stream, at, bytes| {
            len += bytes.len() as u64;
            // Where one part ends and the next begins may differ; where the stream or the time changes, may not.
            if last != Some((stream, at)) {
                last = Some((stream, at));
                hash = stable_hash::stable_hash(format!("{hash:016x} {stream:?} {at}").bytes());
            }
            hash = stable_hash::extend(hash, bytes.iter().copied());
            Ok(())
        })?;
        Ok(Self { len, hash })
    }
}

/// Reads the output of a run: parts of one stream and time. A line stands for output that was dropped.
fn for_each_part(
    reader: &mut LogReader,
    mut take: impl FnMut(Stream, DateTime<Utc>, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    reader.prefetch();
    reader.fetch_rest();
    let mut buffer = vec![0; BUFFER_LEN];
    let mut next = 0;
    loop {
        let chunk = reader.read_at(next, &mut buffer)?;
        if chunk.len == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..chunk.len];
        let mut offset = chunk.offset;
        if offset > next {
            let at = reader.span_at(offset).origin.map_or(DateTime::UNIX_EPOCH, |origin| origin.at);
            take(Stream::Out, at, format!("\n{}\n", omission_notice(offset - next)).as_bytes())?;
        }
        while !rest.is_empty() {
            let span = reader.span_at(offset);
            let len = usize::try_from(span.end.saturating_sub(offset)).unwrap_or(usize::MAX).clamp(1, rest.len());
            let (part, later) = rest.split_at(len);
            let (stream, at) = span.origin.map_or((Stream::Out, DateTime::UNIX_EPOCH), |it| (it.stream, it.at));
            take(stream, at, part)?;
            offset += len as u64;
            rest = later;
        }
        next = offset;
    }
}
