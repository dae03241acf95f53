//! Runs git for snapshots: makes a commit of the files of a working tree, and checks it out for a run.

mod take;
mod worktree;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

pub use take::{SnapshotPlace, remove_refs_except, take_snapshot};
pub use worktree::{Worktree, WorktreeRequest, check_out, remove_worktree_record};

use super::os_error::describe_os_error;
use crate::text;

/// The variables with which git overrides where a repository is. Those of the process that made a request, such as a hook of
/// git, name its own repository.
const REPOSITORY_VARIABLES: [&str; 9] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
];

/// Settings that keep git from running anything but itself, and from stopping because of how lines end.
const SETTINGS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.safecrlf=false",
    "advice.addEmbeddedRepo=false",
    "add.ignoreErrors=false",
    "i18n.commitEncoding=UTF-8",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// Runs git and notes how it has ended. A worker waits for all of its children, so that its own status may be lost.
const WRAPPER: &str = r#""$@"; printf '\n%s' "$?" >&2"#;

/// The status of a shell that has not found a program.
const NOT_FOUND: i32 = 127;

/// Whether a variable tells git which repository to use.
pub fn names_git_repository(name: &OsStr) -> bool {
    REPOSITORY_VARIABLES.iter().any(|known| name == *known)
}

/// A repository with a working tree.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// The top folder of the working tree.
    top: PathBuf,
    /// The folder that was asked for, from there.
    inside: PathBuf,
}

/// How git has ended.
struct GitOutput {
    status: i32,
    out: Vec<u8>,
    err: String,
}

impl Repository {
    /// The repository that has a folder, which may not exist any more.
    fn find(folder: &Path) -> Result<Self, String> {
        let mut existing = normalized(folder);
        let mut rest = PathBuf::new();
        let start = loop {
            if let Ok(start) = existing.canonicalize() {
                break start;
            }
            let Some(name) = existing.file_name() else { break PathBuf::from("/") };
            rest = Path::new(name).join(rest);
            existing.pop();
        };
        let found = run_git(&start, &[], &["rev-parse", "--show-toplevel"].map(OsStr::new))?;
        if found.status != 0 {
            return Err(describe_missing_repository(folder, &found));
        }
        let top = PathBuf::from(OsString::from_vec(found.out.trim_ascii_end().to_vec()));
        let inside = start.join(rest);
        let inside = inside.strip_prefix(&top).map_err(|_| {
            format!("{} is in the folder of git's own files, not among those of the repository", show(folder))
        })?;
        Ok(Self { inside: inside.to_owned(), top })
    }

    /// Runs git here; the error says why it has failed.
    fn git(&self, args: &[&OsStr]) -> Result<Vec<u8>, String> {
        self.git_with(&[], args)
    }

    /// Same with variables.
    fn git_with(&self, variables: &[(&str, &OsStr)], args: &[&OsStr]) -> Result<Vec<u8>, String> {
        let output = run_git(&self.top, variables, args)?;
        if output.status == 0 { Ok(output.out) } else { Err(self.describe(&output)) }
    }

    /// What git says about a failure.
    fn describe(&self, output: &GitOutput) -> String {
        format!("{}: {}", show(&self.top), output.reason())
    }

    /// The first line that git prints, if it succeeds.
    fn line(&self, args: &[&str]) -> Result<Option<String>, String> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let output = run_git(&self.top, &[], &args)?;
        let text = String::from_utf8_lossy(&output.out);
        Ok(text.lines().next().filter(|_| output.status == 0).map(str::to_owned))
    }
}

impl GitOutput {
    /// Why git has failed: its first error, which names what it is about.
    fn reason(&self) -> String {
        let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("fatal: ");
        let line = self.err.lines().find(is_error).or_else(|| self.err.lines().rfind(|line| !line.trim().is_empty()));
        let line = line.unwrap_or("git failed without a message").trim();
        let line = line.strip_prefix("error: ").or_else(|| line.strip_prefix("fatal: ")).unwrap_or(line);
        text::sanitize_line(line)
    }
}

/// Runs git in a folder with these variables. The variables of this process that name a repository don't count.
fn run_git(folder: &Path, variables: &[(&str, &OsStr)], args: &[&OsStr]) -> Result<GitOutput, String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WRAPPER, "sh", "git", "--no-pager", "-C"]).arg(folder);
    command.args(SETTINGS.iter().flat_map(|setting| ["-c", *setting]));
    command.args(args);
    env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.envs([("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0")]);
    command.envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error| format!("can't run git: {}", describe_os_error(&error));
    let mut child = command.spawn().map_err(failed)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut err)));
        let read = stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut out));
        // A thread that only reads doesn't panic.
        read.and(errors.join().unwrap_or(Ok(0)))
    })
    .map_err(failed)?;
    // Fails if the worker has waited for it.
    let _ = child.wait();
    let err = String::from_utf8_lossy(&err);
    let (err, status) = err.rsplit_once('\n').unwrap_or_default();
    match status.parse() {
        Ok(NOT_FOUND) => Err("git is not installed: no `git` in PATH".to_owned()),
        Ok(status) => Ok(GitOutput { status, out, err: err.to_owned() }),
        Err(_) => Err("git was killed".to_owned()),
    }
}

/// Why a folder has no repository whose files can be recorded, and what to do.
fn describe_missing_repository(folder: &Path, output: &GitOutput) -> String {
    let shown = show(folder);
    if output.err.contains("not a git repository") {
        format!("{shown} is not in a git repository: run `git init` there, or remove `snapshot`")
    } else if output.err.contains("must be run in a work tree") {
        format!("the git repository of {shown} has no working tree")
    } else if output.err.contains("dubious ownership") {
        format!(
            "the git repository of {shown} belongs to another user: if you trust it, `git config --global --add \
             safe.directory {shown}`"
        )
    } else {
        format!("{shown}: {}", output.reason())
    }
}

/// A path without `.` and `..`, as far as these can be resolved without looking at links.
fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

fn show(path: &Path) -> String {
    text::sanitize_line(&path.to_string_lossy())
}
