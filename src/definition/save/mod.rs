//! Writes jobs that were added by hand into a `jobs.yaml`, and disturbs nothing there: text is put in at one place, the
//! file is read back, and it has to say what it said before and the new jobs besides.

mod entry;
mod insert;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::Diagnostics;
use super::digest;
use super::file::{self, Error};
use super::problems::Problems;
use super::source::Source;
use super::tree::Kind;
use crate::model::{Call, Definition, Need, Plan, QueueId, QueuePlan, Target};

/// Why jobs were not written into a file. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file can't be read, or has errors already.
    #[error(transparent)]
    File(#[from] Error),
    /// A job needs one that has no name.
    #[error("it needs {0}, which stands in no jobs.yaml")]
    Unnamed(Target),
    /// A job calls a function.
    #[error("a function can't be written into a file")]
    Function,
    /// There is no place where it would change nothing else.
    #[error("{} can't take it without something else changing; by hand it is\n{entry}", path.display())]
    NoPlace {
        /// Which file.
        path: PathBuf,
        /// What would have to be written.
        entry: String,
    },
    /// Somebody else has refused it.
    #[error("{0}")]
    Refused(String),
    /// The file can't be written.
    #[error("can't write {}: {source}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// The text of a file with jobs in it, and the jobs as it has them.
pub type Written = (String, Vec<Arc<Definition>>);

/// How often somebody else may write the file meanwhile.
const PATIENCE: usize = 10;

/// Writes jobs behind the others of a queue, which is made if the file has none of that name. Paths in the jobs that
/// lie in the file's folder are written as seen from there. Returns the jobs as they stand in the file: named, with what
/// they inherit.
pub fn save(path: &Path, queue: &QueueId, jobs: &[Definition]) -> Result<Vec<Arc<Definition>>, SaveError> {
    save_announced(path, queue, jobs, |_| Ok(()))
}

/// The same; `announce` is told of the jobs as they will stand in the file before anybody can read it there.
pub fn save_announced(
    path: &Path,
    queue: &QueueId,
    jobs: &[Definition],
    mut announce: impl FnMut(&[Arc<Definition>]) -> Result<(), String>,
) -> Result<Vec<Arc<Definition>>, SaveError> {
    // What is replaced is the file, not a link to it.
    let unwritable = |source| SaveError::Unwritable { path: path.to_owned(), source };
    let real = path.canonicalize().map_err(|_| Error::Missing(path.to_owned()))?;
    let home = path.parent().unwrap_or(Path::new("."));
    let jobs: Vec<Definition> = jobs.iter().map(|job| seen_from(home, job)).collect();
    // Others like this one wait. Where folders can't be locked, the one who is first wins.
    let folder = File::open(real.parent().unwrap_or(Path::new("."))).map_err(unwritable)?;
    let _ = folder.lock();
    for _ in 0..PATIENCE {
        let (stamp, name, text) = file::text(path)?;
        let Some((text, saved)) = with_jobs(&name, &text, queue, &jobs)? else {
            let entry = jobs.iter().filter_map(|job| entry::of(job, queue.as_str()));
            let entry = entry.flat_map(|entry| entry::in_blocks(&entry, "")).collect::<Vec<_>>().join("\n");
            return Err(SaveError::NoPlace { path: path.to_owned(), entry });
        };
        announce(&saved).map_err(SaveError::Refused)?;
        if replace(&real, &stamp, text.as_bytes()).map_err(unwritable)? {
            return Ok(saved);
        }
    }
    Err(unwritable(io::Error::other("somebody keeps writing it")))
}

/// The text of a file called `name` with these jobs in it, if there is a place for them, and the jobs as it has them.
pub fn with_jobs(name: &str, text: &str, queue: &QueueId, jobs: &[Definition]) -> Result<Option<Written>, SaveError> {
    let before = present(name, text).map_err(Error::from)?;
    // Where everything else says where jobs run, these say that they run in the file's folder.
    let here: Vec<Definition> = jobs.iter().map(at_home).collect();
    for jobs in [jobs, &here] {
        let mut items = Vec::with_capacity(jobs.len());
        for job in jobs {
            if let Some(Need { job, .. }) = job.terms.needs.iter().find(|need| matches!(need.job, Target::Number(_))) {
                return Err(SaveError::Unnamed(job.clone()));
            }
            let item = entry::of(job, queue.as_str()).ok_or(SaveError::Function)?;
            if !says(&item, job) {
                return Ok(None);
            }
            items.push(item);
        }
        for text in insert::candidates(text, queue.as_str(), &items) {
            let Ok(plan) = super::parse(name, &text) else { continue };
            if let Some(added) = added(&before, &plan, queue)
                && added.len() == jobs.len()
                && added.iter().zip(jobs).zip(&items).all(|((added, job), item)| is(added, job, item))
            {
                let added = added.to_vec();
                return Ok(Some((text, added)));
            }
        }
    }
    Ok(None)
}

/// What the file says now; one that has no queues yet, as if it said so.
fn present(name: &str, text: &str) -> Result<Plan, Diagnostics> {
    super::parse(name, text).or_else(|wrong| super::parse(name, &format!("{text}\nqueues: {{}}\n")).map_err(|_| wrong))
}

/// The jobs that are new in a queue, if nothing else is.
fn added<'p>(before: &Plan, after: &'p Plan, queue: &QueueId) -> Option<&'p [Arc<Definition>]> {
    let known = after.queues.iter().zip(&before.queues).all(|(after, before)| {
        let same = after.id == before.id && after.settings == before.settings;
        let kept = after.jobs.get(..before.jobs.len()) == Some(&before.jobs);
        same && kept && (after.id == *queue || after.jobs.len() == before.jobs.len())
    });
    let mut more = after.queues.iter().skip(before.queues.len());
    let target: &QueuePlan = after.queues.iter().find(|known| known.id == *queue)?;
    let old = before.queues.iter().find(|known| known.id == *queue).map_or(0, |known| known.jobs.len());
    let complete = after.queues.len() >= before.queues.len() && more.all(|new| new.id == *queue);
    (known && complete).then(|| &target.jobs[old..])
}

/// Whether an entry says just what the job is.
fn says(item: &Value, job: &Definition) -> bool {
    let mut bare = item.clone();
    if let Value::Object(fields) = &mut bare {
        fields.remove("needs");
    }
    let lines = entry::in_blocks(&bare, "  ").join("\n");
    let Ok(plan) = super::parse("", &format!("queues:\n q:\n{lines}\n")) else { return false };
    let [QueuePlan { jobs, .. }] = &plan.queues[..] else { return false };
    let [read] = &jobs[..] else { return false };
    without_needs(read) == without_needs(job)
}

/// A definition as it is whatever it is called and needs.
fn without_needs(job: &Definition) -> Definition {
    let mut job = Definition { name: None, digest: None, ..job.clone() };
    Arc::make_mut(&mut job.terms).needs.clear();
    job
}

/// Whether a job of the file is this one: its entry is, and it runs in the same folder.
fn is(added: &Definition, job: &Definition, item: &Value) -> bool {
    let text = entry::in_brackets(&Value::Array(vec![item.clone()]));
    let source = Source::new(&text);
    let Some(Kind::List(items)) = super::tree(&source, &mut Problems::default()).map(|node| node.kind) else {
        return false;
    };
    let same = items.first().is_some_and(|node| added.digest == Some(digest::of_entry(node)));
    same && added.terms.needs == job.terms.needs && folder(added) == folder(job)
}

fn folder(job: &Definition) -> &Path {
    let cwd = if let Call::Script(script) = &job.call { script.setup.cwd.as_deref() } else { None };
    cwd.unwrap_or(Path::new("."))
}

/// The job with its folder written out.
fn at_home(job: &Definition) -> Definition {
    let mut job = job.clone();
    if let Call::Script(script) = &mut job.call
        && script.setup.cwd.is_none()
    {
        script.setup_mut().cwd = Some(".".into());
    }
    job
}

/// The job with its paths as seen from the file's folder.
fn seen_from(home: &Path, job: &Definition) -> Definition {
    let mut job = Definition { name: None, digest: None, ..job.clone() };
    if let Call::Script(script) = &mut job.call {
        let setup = script.setup_mut();
        // A working directory is told without the links on the way to it.
        let homes = [Some(home.to_owned()), home.canonicalize().ok()];
        let near = |path: &PathBuf| {
            let inside = homes.iter().flatten().find_map(|home| path.strip_prefix(home).ok());
            inside.unwrap_or(path).to_owned()
        };
        setup.cwd = setup.cwd.as_ref().map(near).filter(|path| !path.as_os_str().is_empty());
        setup.env_files = setup.env_files.iter().map(near).collect();
    }
    job
}

/// Puts another text in a file's place, if that is still the version of `stamp`; tells whether it was.
fn replace(path: &Path, stamp: &str, text: &[u8]) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    let draft = Draft(folder.join(format!(".jobs.yaml.{}", std::process::id())));
    // One of the same number was left by a process that has died.
    let _ = fs::remove_file(&draft.0);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0)?;
    file.write_all(text)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    if file::stamp(path)? != stamp {
        return Ok(false);
    }
    fs::rename(&draft.0, path)?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

/// A file that is not yet what it will be; removed unless it has become that.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It is there no more when all is well.
        let _ = fs::remove_file(&self.0);
    }
}
