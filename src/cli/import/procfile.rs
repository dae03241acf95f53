//! Imports a Procfile, as foreman reads it: a process per line, all of which run at the same time.

use std::path::Path;

use serde_json::json;

use super::draft::{DraftJob, ImportDraft, Place};

/// The queue of the processes.
const QUEUE: &str = "app";

/// The port of the first process, and the distance to that of the next one.
const FIRST_PORT: u32 = 5000;
const PORT_STEP: u32 = 100;

/// Reads a Procfile. `env_file` is the `.env` beside it, if there is one; `folder` is where its processes run, unless that
/// is the folder of the new file.
pub(super) fn import(text: &[u8], source: &str, env_file: Option<&Path>, folder: Option<&Path>) -> ImportDraft {
    let mut draft = ImportDraft::default();
    let mut names: Vec<String> = Vec::new();
    let mut comments = Vec::new();
    for (nth, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let place = Place::Line(nth + 1);
        let Ok(line) = str::from_utf8(line) else {
            draft.refuse(place, "not carried over: the line is not UTF-8; convert it");
            continue;
        };
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            comments.push(comment.trim().to_owned());
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let Some((name, command)) = parse_process(line) else {
            draft.refuse(
                place,
                "not carried over: expected `NAME: COMMAND`, with letters, digits, `_` and `-` in the name",
            );
            continue;
        };
        if names.contains(&name.to_owned()) {
            draft.refuse(place, format!("not carried over: there is a process `{name}` above; rename one of them"));
            continue;
        }
        if name == "release" {
            draft.note(place, "Heroku runs `release` before the others; for that, add `needs: release` to them");
        }
        let index = u32::try_from(names.len()).unwrap_or_default();
        names.push(name.to_owned());
        let mut job = DraftJob { place, comments: std::mem::take(&mut comments), ..DraftJob::default() };
        // A number is not a valid id.
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) || name.starts_with('-');
        job.set("id", if is_number { format!("process-{name}") } else { name.to_owned() });
        job.set("run", command);
        job.set("shell", json!(["/bin/sh", "-c"]));
        job.env.insert("PORT".to_owned(), (FIRST_PORT + PORT_STEP * index).to_string());
        if let Some(file) = env_file {
            job.set("env_file", json!(file));
        }
        if let Some(folder) = folder {
            job.set("cwd", json!(folder));
        }
        draft.queue(QUEUE, "Processes of the Procfile").jobs.push(job);
    }
    if let Some(queue) = draft.queues.last_mut() {
        queue.trailing_comments = comments;
    }
    let port = format!("`PORT` is that of foreman: {FIRST_PORT}, and {PORT_STEP} more for each further process");
    draft.note(Place::File, format!("{port}; change `env` if you use others"));
    draft.header = [
        &*format!("Imported from {source} by `setlist import procfile`."),
        "",
        "`setlist process app` runs all processes, and Ctrl-C stops them; `p` on the screen runs them in the background.",
        "Unlike with foreman, the others keep running when one of them ends. To start one again whenever it fails, add",
        "`retry: {max: 1000000, delay: 1s, max_delay: 1m}` to it.",
    ]
    .map(str::to_owned)
    .to_vec();
    draft
}

/// Parses `NAME: COMMAND`.
fn parse_process(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let command = command.trim();
    (!name.is_empty() && name.chars().all(is_name) && !command.is_empty()).then_some((name, command))
}
