//! Adds jobs to a `jobs.yaml` without changing anything else in it. The text is inserted at one place and read back; it
//! must define the same as before plus the new jobs.

mod entry;
mod insert;
mod replace;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::Diagnostics;
use super::digest;
use super::file_text::{self, Error};
use super::parse::{file_of_queue, parse};
use super::problems::Problems;
use super::root::parse_root;
use super::source::Source;
use super::spanned_value::NodeKind;
use crate::model::{Call, Definition, DesiredQueue, DesiredState, JobRef, Need, QueueId, QueueSettings};

/// Why jobs could not be added. The file is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file can't be read or has errors.
    #[error(transparent)]
    File(#[from] Error),
    /// A job needs another job that has no name.
    #[error("it needs {0}, which isn't in a jobs.yaml")]
    UnnamedNeed(JobRef),
    /// A job calls a function.
    #[error("a job that calls a function can't be saved to a file")]
    Function,
    /// The queue is in a file that is included.
    #[error("the queue {queue} is in {}, which {} includes; add it there yourself:\n{entry}", file.display(), path.display())]
    Included {
        /// The queue.
        queue: QueueId,
        /// The file that has it.
        file: PathBuf,
        /// The path of the file.
        path: PathBuf,
        /// The text to add manually.
        entry: String,
    },
    /// No insertion point leaves the rest unchanged.
    #[error("can't add this to {} without changing other jobs; add it yourself:\n{entry}", path.display())]
    NoInsertionPoint {
        /// The path of the file.
        path: PathBuf,
        /// The text to add manually.
        entry: String,
    },
    /// The caller rejected the change.
    #[error("{0}")]
    Rejected(String),
    /// The file can't be written.
    #[error("can't write {}: {source}", path.display())]
    Unwritable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The lines of a job as an item of a block list that is indented by `pad`.
pub fn item_lines(fields: &Value, pad: &str) -> Vec<String> {
    entry::to_block_lines(fields, pad)
}

/// The lines of a field of a block map that is indented by `pad`.
pub fn field_lines(name: &str, value: &Value, pad: &str) -> Vec<String> {
    entry::to_field_lines(name, value, pad)
}

/// The new text of the file, and the added jobs as defined in it.
pub type SavedText = (String, Vec<Arc<Definition>>);

/// How many times the file may change while it is being edited.
const MAX_ATTEMPTS: usize = 10;

/// Appends jobs to a queue, which is created if necessary. Other processes may do so at the same time: the first one wins,
/// and the others read the file again. Hold a [`SaveLock`](crate::store::SaveLock) to wait for them instead.
/// Paths inside the file's folder become relative to it.
/// Returns the jobs as defined in the file: named, and with inherited values.
pub fn save(path: &Path, queue: &QueueId, jobs: &[Definition]) -> Result<Vec<Arc<Definition>>, SaveError> {
    save_with_announcement(path, queue, jobs, |_| Ok(()))
}

/// Like [`save`], but calls `announce` with the jobs before the file is replaced.
pub fn save_with_announcement(
    path: &Path,
    queue: &QueueId,
    jobs: &[Definition],
    mut announce: impl FnMut(&[Arc<Definition>]) -> Result<(), String>,
) -> Result<Vec<Arc<Definition>>, SaveError> {
    let unwritable = |source| SaveError::Unwritable { path: path.to_owned(), source };
    let target_path = replace::writable_target(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SaveError::File(Error::Missing(path.to_owned())),
        _ => unwritable(source),
    })?;
    let base = path.parent().unwrap_or(Path::new("."));
    let jobs: Vec<Definition> = jobs.iter().map(|job| relative_to(base, job)).collect();
    for _ in 0..MAX_ATTEMPTS {
        let (version, name, text) = file_text::read_text(path)?;
        let Some((text, saved)) = with_jobs(&name, &text, queue, &jobs)? else {
            let entry = jobs.iter().filter_map(|job| entry::to_value(job, queue.as_str()));
            let entry = entry.flat_map(|entry| entry::to_block_lines(&entry, "")).collect::<Vec<_>>().join("\n");
            let path = path.to_owned();
            return Err(match file_of_queue(&path, &text, queue.as_str()) {
                Some(file) => SaveError::Included { queue: queue.clone(), file, path, entry },
                None => SaveError::NoInsertionPoint { path, entry },
            });
        };
        announce(&saved).map_err(SaveError::Rejected)?;
        if replace::replace(&target_path, &version, text.as_bytes()).map_err(unwritable)? {
            return Ok(saved);
        }
    }
    Err(unwritable(io::Error::other("the file keeps changing")))
}

/// Removes what killed processes have left beside the file.
pub fn remove_stale_drafts(path: &Path) {
    // Without the file, there is no folder to look into.
    if let Some(folder) = path.canonicalize().ok().as_deref().and_then(Path::parent) {
        replace::remove_stale_drafts(folder);
    }
}

/// Adds the jobs to the text of the file `name`. Returns `None` if no insertion point works.
pub fn with_jobs(name: &str, text: &str, queue: &QueueId, jobs: &[Definition]) -> Result<Option<SavedText>, SaveError> {
    let before = parse_current(name, text).map_err(Error::from)?;
    // If the file sets `cwd` for all jobs, these need an explicit one.
    let with_cwd: Vec<Definition> = jobs.iter().map(with_explicit_cwd).collect();
    for jobs in [jobs, &with_cwd] {
        let mut items = Vec::with_capacity(jobs.len());
        for job in jobs {
            if let Some(Need { job, .. }) =
                job.scheduling.needs.iter().find(|need| matches!(need.job, JobRef::Number(_)))
            {
                return Err(SaveError::UnnamedNeed(job.clone()));
            }
            let item = entry::to_value(job, queue.as_str()).ok_or(SaveError::Function)?;
            if !round_trips(&item, job) {
                return Ok(None);
            }
            items.push(item);
        }
        for text in insert::candidates(text, queue.as_str(), &items) {
            let Ok(desired) = parse(name, &text) else { continue };
            if let Some(added) = added_jobs(&before, &desired, queue)
                && added.len() == jobs.len()
                && added.iter().zip(jobs).zip(&items).all(|((added, job), item)| is_same_job(added, job, item))
            {
                let added = added.to_vec();
                return Ok(Some((text, added)));
            }
        }
    }
    Ok(None)
}

/// Parses the current text. A file without queues counts as having an empty map of queues.
fn parse_current(name: &str, text: &str) -> Result<DesiredState, Diagnostics> {
    parse(name, text).or_else(|error| parse(name, &format!("{text}\nqueues: {{}}\n")).map_err(|_| error))
}

/// Returns the jobs added to a queue, if nothing else changed.
fn added_jobs<'p>(before: &DesiredState, after: &'p DesiredState, queue: &QueueId) -> Option<&'p [Arc<Definition>]> {
    let unchanged = after.queues.iter().zip(&before.queues).all(|(after, before)| {
        // The new jobs may be the first with a snapshot.
        let settings = QueueSettings { has_snapshots: after.settings.has_snapshots, ..before.settings.clone() };
        let same_queue = after.id == before.id && after.settings == settings;
        let kept = after.jobs.get(..before.jobs.len()) == Some(&before.jobs);
        same_queue && kept && (after.id == *queue || after.jobs.len() == before.jobs.len())
    });
    let mut new_queues = after.queues.iter().skip(before.queues.len());
    let target: &DesiredQueue = after.queues.iter().find(|other| other.id == *queue)?;
    let old_count = before.queues.iter().find(|other| other.id == *queue).map_or(0, |other| other.jobs.len());
    let complete = after.queues.len() >= before.queues.len() && new_queues.all(|new| new.id == *queue);
    (unchanged && complete).then(|| &target.jobs[old_count..])
}

/// Whether an entry defines exactly this job.
fn round_trips(item: &Value, job: &Definition) -> bool {
    let mut entry_without_needs = item.clone();
    if let Value::Object(fields) = &mut entry_without_needs {
        fields.remove("needs");
    }
    let lines = entry::to_block_lines(&entry_without_needs, "  ").join("\n");
    let Ok(desired) = parse("", &format!("queues:\n q:\n{lines}\n")) else { return false };
    let [DesiredQueue { jobs, .. }] = &desired.queues[..] else { return false };
    let [parsed] = &jobs[..] else { return false };
    without_needs(parsed) == without_needs(job)
}

/// Returns the definition without its name, digest and needs.
fn without_needs(job: &Definition) -> Definition {
    let mut job = Definition { name: None, digest: None, matrix: None, ..job.clone() };
    Arc::make_mut(&mut job.scheduling).needs.clear();
    job
}

/// Whether a job of the file is the one that was added: it has the same entry and working directory.
fn is_same_job(added: &Definition, job: &Definition, item: &Value) -> bool {
    let text = entry::to_flow(&Value::Array(vec![item.clone()]));
    let source = Source::new(&text);
    let Some(NodeKind::List(items)) = parse_root(&source, &mut Problems::default()).map(|node| node.kind) else {
        return false;
    };
    let same_entry = items.first().is_some_and(|node| added.digest == Some(digest::entry_digest(node)));
    same_entry && added.scheduling.needs == job.scheduling.needs && working_dir(added) == working_dir(job)
}

fn working_dir(job: &Definition) -> &Path {
    let cwd = if let Call::Script(script) = &job.call { script.exec.cwd.as_deref() } else { None };
    cwd.unwrap_or(Path::new("."))
}

/// Returns the job with its working directory set.
fn with_explicit_cwd(job: &Definition) -> Definition {
    let mut job = job.clone();
    if let Call::Script(script) = &mut job.call
        && script.exec.cwd.is_none()
    {
        script.exec_mut().cwd = Some(".".into());
    }
    job
}

/// Returns the job with paths relative to the file's folder.
fn relative_to(base: &Path, job: &Definition) -> Definition {
    let mut job = Definition { name: None, digest: None, matrix: None, ..job.clone() };
    if let Call::Script(script) = &mut job.call {
        let exec = script.exec_mut();
        // A working directory may be given with symbolic links resolved.
        let bases = [Some(base.to_owned()), base.canonicalize().ok()];
        let relative = |path: &PathBuf| {
            match bases.iter().flatten().find_map(|base| path.strip_prefix(base).ok()) {
                // A file may be called `~`, which is expanded only at the start of a path.
                Some(inside) if inside.to_string_lossy().starts_with('~') => Path::new(".").join(inside),
                Some(inside) => inside.to_owned(),
                None => path.clone(),
            }
        };
        exec.cwd = exec.cwd.as_ref().map(relative).filter(|path| !path.as_os_str().is_empty());
        exec.env_files = exec.env_files.iter().map(relative).collect();
    }
    job
}
