//! Reconciles a site with its `jobs.yaml`.
//!
//! Where a server has the site, several machines have copies of the file, of which one is in force. A machine replaces it
//! only if it has published it, or has seen that its own copy is the same; then a change of the copy is meant.

use std::{io, slice};

use chrono::SecondsFormat;

use super::site_paths::{SitePaths, hostname};
use super::user::user_name;
use crate::crash;
use crate::definition;
use crate::model::{Command, DesiredQueue, DesiredState, Event, QueueId, Refusal, Value};
use crate::stable_hash::stable_hash;
use crate::store::{JobName, Store, StoreError};

/// Which file may replace the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishing {
    /// A later version of the same copy.
    SameCopy,
    /// Any file: the user has said so.
    AnyFile,
}

/// What came of applying a file.
pub enum AppliedFile {
    /// The site is as the file describes it, by these events.
    Applied(Vec<Event>),
    /// Another copy is in force, which was published like this.
    OtherInForce(String),
    /// The file had to be read again, and has errors now.
    Unreadable(definition::Error),
}

/// What applying a file takes.
pub enum FileChange {
    /// This command, which puts a file of this hash in force where a server has the site.
    Reconcile(Box<DesiredState>, Option<String>),
    /// Nothing: the same file is in force.
    AlreadyInForce,
    /// Another copy is in force, which was published like this.
    OtherInForce(String),
}

/// A file and what `check` warns about, or its errors.
pub type FileContent = Result<(DesiredState, Vec<String>), definition::Error>;

/// How often a file is read again because a job has returned another list meanwhile.
const MAX_READ_ATTEMPTS: usize = 10;

/// What a reading of `jobs.yaml` gave.
#[derive(Default)]
pub struct Reconciled {
    /// The errors of the file; a file with errors changes nothing.
    pub file_error: Option<definition::Error>,
    /// What has changed.
    pub events: Vec<Event>,
}

/// Reconciles the site with its file if the file, or the items of `for_each` that it takes from elsewhere, have changed since
/// it was last applied.
pub fn reconcile_with_file(store: &mut dyn Store, paths: &SitePaths) -> Result<Reconciled, StoreError> {
    let version = definition::file_version(&paths.file).ok();
    if version.is_some() && version == store.file_version()? {
        return Ok(Reconciled::default());
    }
    let failed = |error| Reconciled { file_error: Some(error), events: Vec::new() };
    Ok(match read_file(store, paths)? {
        Ok((desired, _)) => match apply_file(store, paths, desired, Publishing::SameCopy)? {
            AppliedFile::Applied(events) => Reconciled { file_error: None, events },
            AppliedFile::OtherInForce(published) => {
                failed(definition::Error::NotInForce { path: paths.file.clone(), published })
            }
            AppliedFile::Unreadable(error) => failed(error),
        },
        Err(error) => failed(error),
    })
}

/// Reads the file of a site. The lists that its jobs have returned are those of the store.
pub fn read_file(store: &mut dyn Store, paths: &SitePaths) -> Result<FileContent, StoreError> {
    read_file_with(store, paths, |_, _| None)
}

/// Like [`read_file`], with these values of jobs before those of the store.
pub fn read_file_with(
    store: &mut dyn Store,
    paths: &SitePaths,
    newer: impl Fn(&str, &str) -> Option<Value>,
) -> Result<FileContent, StoreError> {
    let mut failed = None;
    let mut value = |queue: &str, name: &str| {
        newer(queue, name).or_else(|| {
            let part = store.load_part(&[JobName::InQueue(queue, name)]).map_err(|error| failed = Some(error)).ok()?;
            part.job_named(&QueueId::from(queue), name)?.value.as_deref().cloned()
        })
    };
    let content = definition::read_with_values(&paths.file, &mut value);
    failed.map_or(Ok(content), Err)
}

/// Makes the site what this version of its file describes.
pub fn apply_file(
    store: &mut dyn Store,
    paths: &SitePaths,
    desired: DesiredState,
    publishing: Publishing,
) -> Result<AppliedFile, StoreError> {
    let mut desired = desired;
    for _ in 0..MAX_READ_ATTEMPTS {
        let in_force = store.file_version()?;
        let (plan, hash) = match plan_change(store, paths, desired, publishing)? {
            FileChange::Reconcile(plan, hash) => (plan, hash),
            FileChange::AlreadyInForce => return Ok(AppliedFile::Applied(Vec::new())),
            FileChange::OtherInForce(published) => return Ok(AppliedFile::OtherInForce(published)),
        };
        let now = store.clock().now();
        crash::point("publish");
        let command = match &hash {
            Some(_) => Command::ReplaceFile { in_force, plan },
            None => Command::Reconcile(plan),
        };
        let results = store.execute(slice::from_ref(&command), now)?;
        if results.iter().any(|result| matches!(result, Err(Refusal::FileReplaced))) {
            // Another machine was faster.
            let (Command::ReplaceFile { plan, .. } | Command::Reconcile(plan)) = command else { break };
            desired = *plan;
            continue;
        }
        if !results.iter().any(|result| matches!(result, Err(Refusal::FileOutdated(_)))) {
            if let Some(hash) = hash {
                paths.state.record_published(&hash)?;
            }
            return Ok(AppliedFile::Applied(results.into_iter().flatten().flatten().collect()));
        }
        // A job has returned another list meanwhile, or the file was read without the store.
        desired = match read_file(store, paths)? {
            Ok((desired, _)) => desired,
            Err(error) => return Ok(AppliedFile::Unreadable(error)),
        };
    }
    let source = io::Error::other("it, or a list that a job returns, keeps changing");
    Ok(AppliedFile::Unreadable(definition::Error::Unreadable { path: paths.file.clone(), source }))
}

/// What makes the site what this version of its file describes.
pub fn plan_change(
    store: &mut dyn Store,
    paths: &SitePaths,
    mut desired: DesiredState,
    publishing: Publishing,
) -> Result<FileChange, StoreError> {
    if !paths.state.is_on_server() {
        return Ok(FileChange::Reconcile(Box::new(desired), None));
    }
    let hash = format!("{:016x}", content_hash(&desired));
    let in_force = store.file_version()?;
    let (hash_in_force, published) =
        in_force.as_deref().map(|version| version.split_once(' ').unwrap_or((version, ""))).unzip();
    if hash_in_force == Some(&hash) {
        paths.state.record_published(&hash)?;
        return Ok(FileChange::AlreadyInForce);
    }
    let last_seen = paths.state.last_published();
    // An empty version is that of a file of which a part has to wait for a running job.
    let is_later =
        hash_in_force.is_none_or(|hash| Some(hash) == last_seen.as_deref() || hash.is_empty() && last_seen.is_some());
    if publishing == Publishing::SameCopy && !is_later {
        return Ok(FileChange::OtherInForce(published.unwrap_or_default().to_owned()));
    }
    let at = store.clock().now().to_rfc3339_opts(SecondsFormat::Secs, true);
    desired.version = format!("{hash} by {} on {} at {at} from {}", user_name(), hostname(), paths.file.display());
    Ok(FileChange::Reconcile(Box::new(desired), Some(hash)))
}

/// The same for all copies of a file.
fn content_hash(desired: &DesiredState) -> u64 {
    let queue = |queue: &DesiredQueue| {
        let jobs: Vec<_> = queue.jobs.iter().map(|job| serde_json::to_string(&**job).unwrap_or_default()).collect();
        let settings = serde_json::to_string(&queue.settings).unwrap_or_default();
        format!("{:?} {settings} {jobs:?}", queue.id)
    };
    let content: Vec<String> = desired.queues.iter().map(queue).collect();
    let pools = serde_json::to_string(&desired.pools).unwrap_or_default();
    stable_hash(content.iter().flat_map(|queue| queue.bytes()).chain(pools.bytes()))
}
