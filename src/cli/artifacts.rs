//! What the runs of a job have left in `$SETLIST_ARTIFACTS`, for `setlist show`.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::error::CliError;
use crate::model::{Run, RunId};
use crate::store::job_folders::{ArtifactList, list_artifacts};
use crate::store::{StateDir, Store};
use crate::text::{self, count_noun};

/// How many files of a run are printed.
const MAX_PRINTED: usize = 20;

/// The artifacts of a run.
pub(super) struct RunArtifacts {
    run: RunId,
    attempt: u32,
    folder: PathBuf,
    list: ArtifactList,
    /// The other machine that has them, and how to copy them.
    elsewhere: Option<(String, String)>,
}

impl RunArtifacts {
    /// The artifacts of these runs, of those that have some: on this machine, or else on another one.
    pub(super) fn find(runs: &[Run], state: &StateDir, store: &mut dyn Store) -> Result<Vec<Self>, CliError> {
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        let mut announced = store.announced_artifacts(&ids)?;
        let mut found = Vec::new();
        for run in runs {
            let folder = state.artifacts_of(run.id);
            let list = list_artifacts(&folder);
            let (run, attempt) = (run.id, run.attempt);
            if list.count > 0 {
                found.push(Self { run, attempt, folder, list, elsewhere: None });
            } else if let Some(remote) = announced.remove(&run) {
                let elsewhere = Some((remote.machine.clone(), remote.copy_command()));
                found.push(Self { run, attempt, folder: remote.folder.into(), list: remote.list, elsewhere });
            }
        }
        Ok(found)
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> Value {
        let file = |(path, bytes): &(PathBuf, u64)| json!({"path": path.to_string_lossy(), "bytes": bytes});
        json!({
            "run_id": self.run.0,
            "machine": self.elsewhere.as_ref().map(|(machine, _)| machine),
            "folder": self.folder.to_string_lossy(),
            "count": self.list.count,
            "bytes": self.list.bytes,
            "files": self.list.files.iter().map(file).collect::<Vec<_>>(),
        })
    }

    /// Prints the folder and its files.
    pub(super) fn print(&self, out: &mut impl Write) -> Result<(), CliError> {
        let ArtifactList { files, count, bytes } = &self.list;
        let (folder, size) = (self.folder.to_string_lossy(), text::bytes(*bytes));
        let summary =
            format!("run {}  {}  {}, {size}", self.attempt, text::sanitize_line(&folder), count_noun(*count, "file"));
        writeln!(out, "  artifacts {summary}")?;
        if let Some((machine, copy)) = &self.elsewhere {
            let (machine, copy) = (text::sanitize_line(machine), text::sanitize_line(copy));
            writeln!(out, "  {:<9} on {machine}: `{copy}` copies them", "")?;
        }
        for (path, bytes) in files.iter().take(MAX_PRINTED) {
            let size = text::bytes(*bytes);
            writeln!(out, "  {:<9} {}  {size}", "", text::sanitize_line(&path.to_string_lossy()))?;
        }
        let more = count.saturating_sub(MAX_PRINTED);
        if more > 0 {
            writeln!(out, "  {:<9} {}", "", count_noun(more, "more file"))?;
        }
        Ok(())
    }
}
