//! Imports the state of pueue: its `state.json`, as versions 1 to 4 write it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use super::draft::{DraftJob, ImportDraft, Place};
use crate::text::count_noun;

/// What to take from a state.
#[derive(Clone, Copy, Debug)]
pub(super) struct PueueSelection {
    /// Whether to take the tasks that have finished, too.
    pub(super) finished: bool,
    /// Whether to take the environments of the tasks.
    pub(super) environments: bool,
}

/// The part of a state that matters.
#[derive(Deserialize)]
struct PueueState {
    tasks: BTreeMap<u64, PueueTask>,
    #[serde(default)]
    groups: BTreeMap<String, PueueGroup>,
}

/// A group. Before version 2, it was only its status.
#[derive(Deserialize)]
#[serde(untagged)]
enum PueueGroup {
    Full { status: String, parallel_tasks: u32 },
    Status(String),
}

#[derive(Deserialize)]
struct PueueTask {
    /// As typed; `command` has aliases replaced.
    command: String,
    path: String,
    #[serde(default)]
    envs: HashMap<String, String>,
    #[serde(default = "default_group")]
    group: String,
    #[serde(default)]
    dependencies: Vec<u64>,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    label: Option<String>,
    /// A word, or a map with a word: version 4 adds times to all of them.
    status: Value,
}

/// What a status means for an import.
enum TaskState {
    /// It waits for its turn.
    Queued,
    /// It waits for the user, or for a time.
    Stashed(Option<String>),
    /// It has been started; the word says how it is now.
    Started(&'static str),
    /// It has finished, with success or not.
    Finished(bool),
    /// It is being edited.
    Locked,
    Unknown,
}

fn default_group() -> String {
    "default".to_owned()
}

/// Reads a state. The error says what is wrong with the file.
pub(super) fn import(text: &[u8], source: &str, selection: PueueSelection) -> Result<ImportDraft, String> {
    if text.starts_with(&[0x1f, 0x8b]) {
        return Err("the state is compressed; use `gunzip -c state.json.gz | setlist import pueue -`".to_owned());
    }
    let state: PueueState =
        serde_json::from_slice(text).map_err(|error| format!("this is not the state.json of pueue: {error}"))?;
    let mut draft = ImportDraft::default();
    let is_taken = |task: &PueueTask| match TaskState::of(&task.status) {
        TaskState::Finished(_) => selection.finished,
        TaskState::Unknown => false,
        _ => true,
    };
    let mut left_out = 0;
    for (id, task) in &state.tasks {
        if is_taken(task) {
            add_task(*id, task, &state, selection, &is_taken, &mut draft);
        } else if let TaskState::Finished(false) = TaskState::of(&task.status) {
            draft.refuse(Place::Task(*id), "not carried over: it has failed; `--finished` takes finished tasks, too");
        } else if let TaskState::Unknown = TaskState::of(&task.status) {
            draft.refuse(Place::Task(*id), format!("not carried over: unknown status {}", task.status));
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let tasks = count_noun(left_out, "task");
        draft.note(Place::File, format!("{tasks} that succeeded left out; `--finished` takes finished tasks, too"));
    }
    if !selection.environments && draft.job_count() > 0 {
        draft.note(
            Place::File,
            "the environments of the tasks are left out, because they may hold secrets: jobs run with yours; \
             `--environments` takes them",
        );
    }
    set_groups(&state, &mut draft);
    draft.header = [
        &*format!("Imported from {source} by `setlist import pueue`."),
        "",
        "`p` on the screen or `setlist process` runs a queue. Remove the tasks from pueue (`pueue remove`, `pueue reset`) when you",
        "use this file, or they run twice.",
    ]
    .map(str::to_owned)
    .to_vec();
    Ok(draft)
}

/// Sets how many jobs of a queue run at the same time, and says which groups are paused.
fn set_groups(state: &PueueState, draft: &mut ImportDraft) {
    let mut notes = Vec::new();
    for queue in &mut draft.queues {
        queue.parallel = 1;
        let Some(group) = state.groups.get(&queue.title) else { continue };
        let (PueueGroup::Full { status, .. } | PueueGroup::Status(status)) = group;
        if let PueueGroup::Full { parallel_tasks, .. } = group {
            // With 0, pueue runs all of them.
            queue.parallel = *parallel_tasks;
        }
        if status == "Paused" {
            notes.push(format!("group {} is paused; `setlist pause {}` does that here", queue.title, queue.name));
        }
    }
    for text in notes {
        draft.note(Place::File, text);
    }
}

fn add_task(
    id: u64,
    task: &PueueTask,
    state: &PueueState,
    selection: PueueSelection,
    is_taken: &impl Fn(&PueueTask) -> bool,
    draft: &mut ImportDraft,
) {
    let place = Place::Task(id);
    let mut job = DraftJob { place, ..DraftJob::default() };
    job.set("id", job_name(id));
    if let Some(label) = task.label.as_ref().filter(|label| !label.trim().is_empty()) {
        job.set("title", json!(label));
    }
    job.set("run", task.command.clone());
    job.set("shell", json!(["sh", "-c"]));
    job.set("cwd", task.path.clone());
    if task.priority != 0 {
        job.set("priority", task.priority);
    }
    match TaskState::of(&task.status) {
        TaskState::Stashed(Some(time)) => job.set("after", time),
        TaskState::Stashed(None) => {
            job.set("confirm", "This task was stashed. Run it?");
            draft.note(place, "it is stashed: as a job, it waits for approval (`y` on the screen, `setlist approve`)");
        }
        TaskState::Started(how) => {
            draft.note(
                place,
                format!("it is {how}, and starts from the beginning here; let it end there, or remove one"),
            );
        }
        TaskState::Locked => draft.note(place, "it is being edited; what is saved is carried over"),
        TaskState::Queued | TaskState::Finished(_) | TaskState::Unknown => {}
    }
    let mut needs = Vec::new();
    for needed in &task.dependencies {
        match state.tasks.get(needed) {
            Some(other) if is_taken(other) && other.group == task.group => needs.push(json!(job_name(*needed))),
            Some(other) if is_taken(other) => {
                needs.push(json!(format!("{}/{}", queue_name(&other.group), job_name(*needed))));
            }
            Some(other) if matches!(TaskState::of(&other.status), TaskState::Finished(true)) => {}
            _ => draft.refuse(place, format!("its dependency {needed} is not carried over; it doesn't wait for it")),
        }
    }
    if !needs.is_empty() {
        job.set("needs", needs);
    }
    if selection.environments {
        job.set("pass_env", "none");
        job.env = task.envs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    draft.queue(&queue_name(&task.group), &task.group).jobs.push(job);
}

fn job_name(id: u64) -> String {
    format!("task-{id}")
}

/// The name of a group as that of a queue, which is typed on the command line.
fn queue_name(group: &str) -> String {
    let name: String =
        group.chars().map(|c| if c.is_whitespace() || c.is_control() || c == '/' { '-' } else { c }).collect();
    let name = name.trim_start_matches(['-', '#', '@']);
    if name.is_empty() { default_group() } else { name.to_owned() }
}

impl TaskState {
    fn of(status: &Value) -> Self {
        let (word, details) = match status {
            Value::String(word) => (word.as_str(), &Value::Null),
            Value::Object(map) => match map.iter().next() {
                Some((word, details)) => (word.as_str(), details),
                None => return Self::Unknown,
            },
            _ => return Self::Unknown,
        };
        match word {
            "Queued" => Self::Queued,
            "Stashed" => Self::Stashed(details["enqueue_at"].as_str().map(str::to_owned)),
            "Running" => Self::Started("running"),
            "Paused" => Self::Started("paused"),
            "Locked" => Self::Locked,
            "Done" => {
                // Version 4 has a map with the result, earlier ones the result itself.
                let result = details.get("result").unwrap_or(details);
                Self::Finished(result == "Success")
            }
            _ => Self::Unknown,
        }
    }
}
