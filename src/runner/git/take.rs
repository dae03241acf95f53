//! Makes a commit of the files of a working tree as they are now, without changing the tree, its index or its branches.
//!
//! Nothing of the repository runs meanwhile: no hook, no file system monitor and no filter. What a filter would have changed
//! is recorded as it is in the file, which is also what the job finds.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use super::{Repository, run_git, show};
use crate::model::Snapshot;
use crate::text;

/// How much the files may take together that are neither in the repository nor ignored.
const MAX_UNTRACKED: u64 = 1 << 30;

/// Who makes the commits.
const IDENTITY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "setlist"),
    ("GIT_AUTHOR_EMAIL", "setlist@localhost"),
    ("GIT_COMMITTER_NAME", "setlist"),
    ("GIT_COMMITTER_EMAIL", "setlist@localhost"),
];

const MESSAGE: &str = "Files of a job that Setlist runs";

/// Where refs keep the commits of a site, and where it keeps temporary files.
#[derive(Clone, Debug)]
pub struct SnapshotPlace {
    /// The id of the site, which is part of the names of its refs.
    pub site_id: String,
    /// A private folder for temporary files.
    pub folder: PathBuf,
    /// The name of this machine.
    pub host: String,
}

impl SnapshotPlace {
    /// The start of the names of its refs.
    fn prefix(&self) -> String {
        format!("refs/setlist/{}/", self.site_id)
    }

    /// The name of the ref that keeps a commit.
    pub(super) fn ref_name(&self, commit: &str) -> String {
        format!("{}{commit}", self.prefix())
    }
}

/// The commit that is checked out.
struct Head {
    commit: String,
    tree: String,
    /// Its time, in seconds.
    time: String,
}

/// Records the files of the repository that has `folder`, as they are now. A ref keeps the commit.
pub fn take_snapshot(folder: &Path, place: &SnapshotPlace, now: DateTime<Utc>) -> Result<Snapshot, String> {
    let repository = Repository::find(folder)?;
    let head = repository.head()?;
    let branch = repository.line(&["symbolic-ref", "--short", "--quiet", "HEAD"])?;
    repository.check_untracked()?;
    let index = TemporaryIndex::copy_of(&repository, &place.folder)?;
    let tree = repository.write_tree(&index)?;
    drop(index);
    let (commit, has_changes) = match head {
        Some(head) if head.tree == tree => (head.commit, false),
        head => (repository.commit(&tree, head.as_ref())?, true),
    };
    repository.keep(&place.ref_name(&commit), &commit)?;
    let Repository { top, .. } = repository;
    Ok(Snapshot { commit, repository: top, branch, has_changes, at: now, host: place.host.clone(), at_start: false })
}

/// Removes the refs of a site in the repository that has `folder`, except those of these commits.
pub fn remove_refs_except(folder: &Path, place: &SnapshotPlace, in_use: &BTreeSet<String>) {
    // Where there is no repository, nothing is kept.
    let Ok(repository) = Repository::find(folder) else { return };
    let prefix = place.prefix();
    let Ok(found) = repository.git(&["for-each-ref", "--format=%(refname)", &prefix].map(OsStr::new)) else { return };
    let found = String::from_utf8_lossy(&found).into_owned();
    let is_unused = |name: &&str| name.strip_prefix(&prefix).is_some_and(|commit| !in_use.contains(commit));
    for name in found.lines().filter(is_unused) {
        if let Err(error) = repository.git(&["update-ref", "-d", name].map(OsStr::new)) {
            tracing::warn!("can't remove {name}: {error}");
        }
    }
}

impl Repository {
    /// What is checked out; none in a repository without commits.
    fn head(&self) -> Result<Option<Head>, String> {
        let is_born = self.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?.is_some();
        if !is_born {
            return Ok(None);
        }
        let args = ["rev-list", "--max-count=1", "--format=%H %T %ct", "HEAD"].map(OsStr::new);
        let text = String::from_utf8_lossy(&self.git(&args)?).into_owned();
        let words: Vec<&str> = text.lines().nth(1).unwrap_or_default().split(' ').collect();
        let [commit, tree, time] = words[..] else {
            return Err(format!("{}: git describes HEAD as {text:?}", show(&self.top)));
        };
        Ok(Some(Head { commit: commit.to_owned(), tree: tree.to_owned(), time: time.to_owned() }))
    }

    /// Refuses to copy very large files into the repository that someone has forgotten to ignore.
    fn check_untracked(&self) -> Result<(), String> {
        let args = ["ls-files", "--others", "--exclude-standard", "-z"].map(OsStr::new);
        let names = self.git(&args)?;
        let (mut total, mut largest) = (0, (0, OsString::new()));
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let path = self.top.join(OsStr::from_bytes(name));
            let size = fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
            total += size;
            if size > largest.0 {
                largest = (size, OsString::from_vec(name.to_vec()));
            }
        }
        if total <= MAX_UNTRACKED {
            return Ok(());
        }
        let (size, name) = largest;
        Err(format!(
            "{} has {} of files that git neither knows nor ignores, such as {} ({}): add them to .gitignore, or commit them",
            show(&self.top),
            text::bytes(total),
            show(Path::new(&name)),
            text::bytes(size),
        ))
    }

    /// Writes the files of the working tree as a tree of git; returns its id.
    fn write_tree(&self, index: &TemporaryIndex) -> Result<String, String> {
        let index = [("GIT_INDEX_FILE", index.path.as_os_str()), ("GIT_NO_LAZY_FETCH", OsStr::new("1"))];
        let filters = self.filters_off()?;
        let without_filters = |args: &[&'static str]| -> Result<Vec<u8>, String> {
            let args = args.iter().map(OsStr::new);
            let args: Vec<&OsStr> = filters.iter().map(OsString::as_os_str).chain(args).collect();
            self.git_with(&index, &args)
        };
        without_filters(&["add", "--all", "--", ".", ":(exclude,glob)**/.setlist/**"])?;
        // It looks again at files that have just changed.
        let tree = without_filters(&["write-tree", "--missing-ok"])?;
        Ok(String::from_utf8_lossy(tree.trim_ascii_end()).into_owned())
    }

    /// Options that turn off all filters, which are commands of the repository or the user.
    fn filters_off(&self) -> Result<Vec<OsString>, String> {
        let args = ["config", "--null", "--name-only", "--get-regexp", r"^filter\."].map(OsStr::new);
        // Fails if there is none.
        let names = run_git(&self.top, &[], &args)?.out;
        let mut drivers = BTreeSet::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let end = name.iter().rposition(|byte| *byte == b'.').unwrap_or_default();
            drivers.insert(&name[..end]);
        }
        let mut options = Vec::new();
        for driver in drivers {
            if driver.contains(&b'=') {
                let name = text::sanitize_line(&String::from_utf8_lossy(driver));
                return Err(format!("{}: {name} has `=` in its name, so it can't be turned off", show(&self.top)));
            }
            for field in [".clean=", ".smudge=", ".process=", ".required=false"] {
                options.extend(["-c".into(), OsString::from_vec([driver, field.as_bytes()].concat())]);
            }
        }
        Ok(options)
    }

    /// Makes a commit, with the same id whenever the tree and the commit before it are the same.
    fn commit(&self, tree: &str, head: Option<&Head>) -> Result<String, String> {
        let date = OsString::from(format!("@{} +0000", head.map_or("0", |head| &head.time)));
        let mut variables: Vec<(&str, &OsStr)> =
            IDENTITY.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect();
        variables.extend([("GIT_AUTHOR_DATE", &*date), ("GIT_COMMITTER_DATE", &*date)]);
        let parent = head.map(|head| ["-p", &head.commit]);
        let args = ["commit-tree", "-m", MESSAGE].into_iter().chain(parent.into_iter().flatten()).chain([tree]);
        let args: Vec<&OsStr> = args.map(OsStr::new).collect();
        let commit = self.git_with(&variables, &args)?;
        Ok(String::from_utf8_lossy(commit.trim_ascii_end()).into_owned())
    }

    /// Keeps a commit from being removed by git.
    pub(super) fn keep(&self, ref_name: &str, commit: &str) -> Result<(), String> {
        self.git(&["update-ref", ref_name, commit].map(OsStr::new)).map(drop)
    }
}

/// A copy of the index, which knows which files have not changed.
struct TemporaryIndex {
    path: PathBuf,
}

impl TemporaryIndex {
    fn copy_of(repository: &Repository, folder: &Path) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let args = ["rev-parse", "--git-path", "index"].map(OsStr::new);
        let original = repository.git(&args)?;
        let original = repository.top.join(OsStr::from_bytes(original.trim_ascii_end()));
        let name = format!("index-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let copy = Self { path: folder.join(name) };
        // An earlier process of this number may have left one.
        let _ = fs::remove_file(&copy.path);
        match copy_file(&original, &copy.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(copy),
            Err(error) => Err(format!("{}: {error}", show(&original))),
            Ok(()) => Ok(copy),
        }
    }
}

impl Drop for TemporaryIndex {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.path.with_extension("lock"));
    }
}

/// Copies a file with its time, by which git knows which files may have changed after it had read them.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut original = File::open(from)?;
    let modified = original.metadata()?.modified()?;
    let mut copy = File::create_new(to)?;
    io::copy(&mut original, &mut copy)?;
    copy.set_modified(modified)
}
