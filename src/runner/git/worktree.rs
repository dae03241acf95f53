//! Checks out a snapshot for one run, in a worktree of the repository, and removes what git knows of it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::take::{SnapshotPlace, take_snapshot};
use super::{Repository, run_git, show};
use crate::model::Snapshot;

/// The file beside a worktree with the top folder of its repository.
const RECORD: &str = "repository";

/// What to check out.
#[derive(Clone, Debug)]
pub struct WorktreeRequest {
    /// The working directory of the job, among the files of the repository.
    pub working_folder: PathBuf,
    /// The snapshot that was made when the job was requested.
    pub snapshot: Option<Snapshot>,
    /// The folder of the run, in which the worktree is made. It must not exist.
    pub run_folder: PathBuf,
    /// Variables by which the processes of the run are found.
    pub tags: Vec<(String, OsString)>,
    /// Where the snapshots of the site are kept.
    pub place: SnapshotPlace,
    /// The present time.
    pub now: DateTime<Utc>,
}

/// A snapshot that was checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// What was checked out.
    pub snapshot: Snapshot,
    /// Where in it the job runs.
    pub working_folder: PathBuf,
    /// Whether the snapshot was made for it, because the job had none.
    pub is_new: bool,
}

/// Checks out the snapshot of a job for a run. A job without one gets the files as they are now.
pub fn check_out(request: WorktreeRequest) -> Result<Worktree, String> {
    let WorktreeRequest { working_folder, snapshot, run_folder, tags, place, now } = request;
    let repository = Repository::find(&working_folder)?;
    // The job may have moved to another repository since.
    let is_of_other = |known: &Snapshot| known.host == place.host && known.repository != repository.top;
    let (snapshot, is_new) = match snapshot {
        Some(known) if repository.has(&known.commit)? => (known, false),
        Some(known) if !is_of_other(&known) => return Err(missing_commit(&known, &repository, &place)),
        _ => (Snapshot { at_start: true, ..take_snapshot(&working_folder, &place, now)? }, true),
    };
    repository.keep(&place.ref_name(&snapshot.commit), &snapshot.commit)?;
    let failed = |error| format!("can't make a folder for the snapshot ({}): {error}", show(&run_folder));
    fs::create_dir(&run_folder).map_err(failed)?;
    fs::write(run_folder.join(RECORD), repository.top.as_os_str().as_bytes()).map_err(failed)?;
    // Some tools name things after this folder.
    let name = repository.top.file_name().filter(|name| *name != RECORD).unwrap_or(OsStr::new("tree"));
    let top = run_folder.join(name);
    let tags: Vec<(&str, &OsStr)> = tags.iter().map(|(name, value)| (&**name, value.as_os_str())).collect();
    let args = ["worktree", "add", "--quiet", "--detach"].map(OsStr::new);
    let args: Vec<&OsStr> = args.into_iter().chain([top.as_os_str(), OsStr::new(&snapshot.commit)]).collect();
    repository.git_with(&tags, &args)?;
    let working_folder = top.join(&repository.inside);
    if !working_folder.is_dir() {
        return Err(format!(
            "{} is not in the snapshot {}: git keeps no folders that are empty or ignored",
            show(&repository.inside),
            snapshot.short_id()
        ));
    }
    Ok(Worktree { snapshot, working_folder, is_new })
}

/// Makes the repository forget the worktree in the folder of a run. Its files are not touched.
pub fn remove_worktree_record(run_folder: &Path, now_in: &Path) {
    let Ok(top) = fs::read(now_in.join(RECORD)) else { return };
    let top = Path::new(OsStr::from_bytes(&top));
    let Some(name) = top.file_name() else { return };
    let worktree = run_folder.join(if name == RECORD { OsStr::new("tree") } else { name });
    let args = ["worktree", "remove", "--force", "--force"].map(OsStr::new);
    let args: Vec<&OsStr> = args.into_iter().chain([worktree.as_os_str()]).collect();
    // Fails if it was not complete, or the repository is gone.
    let _ = run_git(top, &[], &args);
}

impl Repository {
    fn has(&self, commit: &str) -> Result<bool, String> {
        let object = format!("{commit}^{{commit}}");
        let output = run_git(&self.top, &[], &["cat-file", "-e", &object].map(OsStr::new))?;
        Ok(output.status == 0)
    }
}

/// Says that a commit is missing, and how to get it.
fn missing_commit(known: &Snapshot, repository: &Repository, place: &SnapshotPlace) -> String {
    let (id, there, here) = (known.short_id(), show(&known.repository), show(&repository.top));
    if known.host == place.host {
        return format!("the snapshot {id} is no longer in {here}; `setlist retry` makes another one");
    }
    format!(
        "the snapshot {id} is in {there} on {}, and not in {here} on {}: bind the job to that machine with `runs_on`, or \
         `git fetch {}:{there} 'refs/setlist/*:refs/setlist/*'` here",
        known.host, place.host, known.host
    )
}
