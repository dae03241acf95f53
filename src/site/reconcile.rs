//! Reconciles a site with its `jobs.yaml`.
//!
//! Where a server has the site, several machines have copies of the file, of which one is in force. A machine replaces it
//! only if it has published it, or has seen that its own copy is the same; then a change of the copy is meant.

use chrono::SecondsFormat;

use super::site_paths::{SitePaths, hostname};
use super::user::user_name;
use crate::definition;
use crate::model::{Command, DesiredQueue, DesiredState, Event};
use crate::stable_hash::stable_hash;
use crate::store::{Store, StoreError};

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
}

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
    Ok(match definition::read(&paths.file) {
        Ok(desired) => match apply_file(store, paths, desired, Publishing::SameCopy)? {
            AppliedFile::Applied(events) => Reconciled { file_error: None, events },
            AppliedFile::OtherInForce(published) => {
                failed(definition::Error::NotInForce { path: paths.file.clone(), published })
            }
        },
        Err(error) => failed(error),
    })
}

/// Makes the site what this version of its file describes.
pub fn apply_file(
    store: &mut dyn Store,
    paths: &SitePaths,
    mut desired: DesiredState,
    publishing: Publishing,
) -> Result<AppliedFile, StoreError> {
    let now = store.clock().now();
    let hash = if paths.state.is_on_server() {
        let hash = format!("{:016x}", content_hash(&desired));
        let in_force = store.file_version()?;
        let (hash_in_force, published) =
            in_force.as_deref().map(|version| version.split_once(' ').unwrap_or((version, ""))).unzip();
        if hash_in_force == Some(&hash) {
            paths.state.record_published(&hash)?;
            return Ok(AppliedFile::Applied(Vec::new()));
        }
        let last_seen = paths.state.last_published();
        // An empty version is that of a file of which a part has to wait for a running job.
        let is_later = hash_in_force
            .is_none_or(|hash| Some(hash) == last_seen.as_deref() || hash.is_empty() && last_seen.is_some());
        if publishing == Publishing::SameCopy && !is_later {
            return Ok(AppliedFile::OtherInForce(published.unwrap_or_default().to_owned()));
        }
        let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        desired.version = format!("{hash} by {} on {} at {at} from {}", user_name(), hostname(), paths.file.display());
        Some(hash)
    } else {
        None
    };
    let results = store.execute(&[Command::Reconcile(Box::new(desired))], now)?;
    if let Some(hash) = hash {
        paths.state.record_published(&hash)?;
    }
    Ok(AppliedFile::Applied(results.into_iter().flatten().flatten().collect()))
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
