//! A `jobs.yaml` that is being made from the file of another tool, and what could not be carried over.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::definition::{self, Diagnostic, save};

/// Fields that are written once for a queue if all its jobs have the same value.
const COMMON_FIELDS: [&str; 5] = ["shell", "cwd", "pass_env", "env_file", "on_finish"];

/// The name of a file that exists only to be checked.
const CHECKED_NAME: &str = "jobs.yaml";

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct ImportDraft {
    /// The comment at the top, in lines.
    pub(super) header: Vec<String>,
    pub(super) queues: Vec<DraftQueue>,
    /// What the user should know, in the order of the file.
    pub(super) notes: Vec<Note>,
}

/// A queue to write.
#[derive(Debug, Default)]
pub(super) struct DraftQueue {
    pub(super) name: String,
    pub(super) title: String,
    /// How many jobs run at the same time; 0 means all of them.
    pub(super) parallel: u32,
    pub(super) jobs: Vec<DraftJob>,
    /// Comments after the last job.
    pub(super) trailing_comments: Vec<String>,
}

/// A job to write.
#[derive(Debug, Default)]
pub(super) struct DraftJob {
    /// Lines of comment above it.
    pub(super) comments: Vec<String>,
    /// Its fields but `env`, in the order in which they are written.
    pub(super) fields: Map<String, Value>,
    pub(super) env: BTreeMap<String, String>,
    /// Where it was found.
    pub(super) place: Place,
}

/// A place in the file that is imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// The file as a whole.
    #[default]
    File,
    /// A line, from 1.
    Line(usize),
    /// A task of pueue, by its number.
    Task(u64),
}

/// What the user should know about a place in the file.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) place: Place,
    /// Whether something was left out.
    pub(super) is_refusal: bool,
    pub(super) text: String,
}

impl ImportDraft {
    /// Notes that something was not carried over: what, and what to do instead.
    pub(super) fn refuse(&mut self, place: Place, text: impl Into<String>) {
        self.notes.push(Note { place, is_refusal: true, text: text.into() });
    }

    /// Notes that something was carried over with a difference.
    pub(super) fn note(&mut self, place: Place, text: impl Into<String>) {
        self.notes.push(Note { place, is_refusal: false, text: text.into() });
    }

    /// The queue with this name, which is created if necessary.
    pub(super) fn queue(&mut self, name: &str, title: &str) -> &mut DraftQueue {
        let at = self.queues.iter().position(|queue| queue.name == name).unwrap_or_else(|| {
            self.queues.push(DraftQueue { name: name.to_owned(), title: title.to_owned(), ..DraftQueue::default() });
            self.queues.len() - 1
        });
        &mut self.queues[at]
    }

    /// How many jobs there are.
    pub(super) fn job_count(&self) -> usize {
        self.queues.iter().map(|queue| queue.jobs.len()).sum()
    }

    /// Leaves out jobs that a `jobs.yaml` can't have, with the reason.
    pub(super) fn refuse_invalid_jobs(&mut self) {
        let mut refused = Vec::new();
        for queue in &mut self.queues {
            queue.jobs.retain(|job| match job.error() {
                Some(error) => {
                    refused.push((job.place, error));
                    false
                }
                None => true,
            });
        }
        self.queues.retain(|queue| !queue.jobs.is_empty());
        for (place, error) in refused {
            self.refuse(place, format!("not carried over: {error}"));
        }
        self.notes.sort_by_key(|note| note.place.order());
    }

    /// The text of the `jobs.yaml`.
    pub(super) fn to_yaml(&self) -> String {
        let mut lines: Vec<String> = self.header.iter().map(|line| comment(line, "")).collect();
        lines.push("queues:".to_owned());
        for (nth, queue) in self.queues.iter().enumerate() {
            if nth > 0 {
                lines.push(String::new());
            }
            queue.write(&mut lines);
        }
        lines.join("\n") + "\n"
    }
}

impl Place {
    fn order(self) -> u64 {
        match self {
            Self::File => 0,
            Self::Line(line) => u64::try_from(line).unwrap_or(u64::MAX),
            Self::Task(task) => task,
        }
    }
}

impl DraftQueue {
    fn write(&self, lines: &mut Vec<String>) {
        const PAD: &str = "    ";
        lines
            .extend(save::field_lines(&self.name, &Value::Null, "  ").iter().map(|line| line.replacen(" null", "", 1)));
        let mut fields: Vec<(&str, Value)> = vec![("title", json!(self.title))];
        let parallel =
            if self.parallel == 0 { u32::try_from(self.jobs.len()).unwrap_or(u32::MAX) } else { self.parallel };
        if parallel > 1 {
            fields.push(("parallel", json!(parallel)));
        }
        let common: Vec<&str> = COMMON_FIELDS.into_iter().filter(|name| self.common_field(name).is_some()).collect();
        fields.extend(common.iter().filter_map(|name| Some((*name, self.common_field(name)?.clone()))));
        for (name, value) in &fields {
            lines.extend(save::field_lines(name, value, PAD));
        }
        let common_env = self.common_env();
        if !common_env.is_empty() {
            lines.push(format!("{PAD}env:"));
            for (name, value) in &common_env {
                lines.extend(save::field_lines(name, &json!(value), "      "));
            }
        }
        lines.push(format!("{PAD}jobs:"));
        for (nth, job) in self.jobs.iter().enumerate() {
            if nth > 0 {
                lines.push(String::new());
            }
            lines.extend(job.comments.iter().map(|line| comment(line, "      ")));
            let entry = job.entry(&common, &common_env);
            lines.extend(save::item_lines(&Value::Object(entry), "      "));
        }
        if !self.trailing_comments.is_empty() {
            lines.push(String::new());
            lines.extend(self.trailing_comments.iter().map(|line| comment(line, "      ")));
        }
    }

    /// The value that all jobs have in a field.
    fn common_field(&self, name: &str) -> Option<&Value> {
        let value = self.jobs.first()?.fields.get(name)?;
        self.jobs.iter().all(|job| job.fields.get(name) == Some(value)).then_some(value)
    }

    /// The variables that have the same value in all jobs.
    fn common_env(&self) -> BTreeMap<String, String> {
        let Some(first) = self.jobs.first() else { return BTreeMap::new() };
        let is_common =
            |(name, value): &(&String, &String)| self.jobs.iter().all(|job| job.env.get(*name) == Some(*value));
        first.env.iter().filter(is_common).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl DraftJob {
    /// Sets a field.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// Its entry, without what its queue already says.
    fn entry(&self, common: &[&str], common_env: &BTreeMap<String, String>) -> Map<String, Value> {
        let own = |(name, _): &(&String, &Value)| !common.contains(&name.as_str());
        let mut entry: Map<_, _> =
            self.fields.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect();
        let env: Map<_, _> =
            self.env.iter().filter(|(name, _)| !common_env.contains_key(*name)).map(variable).collect();
        if !env.is_empty() {
            entry.insert("env".to_owned(), Value::Object(env));
        }
        entry
    }

    /// Why a `jobs.yaml` can't have this job. Which jobs it needs is not looked at.
    fn error(&self) -> Option<String> {
        let mut entry = self.entry(&["needs"], &BTreeMap::new());
        entry.entry("title").or_insert_with(|| json!("job"));
        let lines = save::item_lines(&Value::Object(entry), "  ").join("\n");
        let Diagnostic { message, hint, .. } =
            definition::parse(CHECKED_NAME, &format!("queues:\n  q:\n{lines}\n")).err()?.errors.into_iter().next()?;
        Some(match hint {
            Some(hint) => format!("{message}; {hint}"),
            None => message,
        })
    }
}

fn variable((name, value): (&String, &String)) -> (String, Value) {
    (name.clone(), json!(value))
}

/// A line of comment. Characters that YAML forbids are left out.
fn comment(line: &str, pad: &str) -> String {
    let text: String = line.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
    format!("{pad}# {text}").trim_end().to_owned()
}
