//! The whole file: defaults and queues, checked and made into a plan.

use std::collections::HashMap;
use std::sync::Arc;

use super::field::{self, Place};
use super::inherit::Inherited;
use super::job::{Around, Entry};
use super::keep::Limits;
use super::names::Names;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::shared::Shared;
use super::tree::{self, Kind, Node};
use super::value;
use super::words::quoted;
use crate::model::{OnFailure, QueueId, QueuePlan, Settings};

/// The queues that the resolved file defines. All that is wrong is reported; then the queues are not complete.
pub(super) fn queues(root: &Node<'_>, problems: &mut Problems) -> Vec<QueuePlan> {
    let top = Path::Top;
    let mut defaults = Level::default();
    let Some(entries) = value::map(root, &top, "a map with `queues`", problems) else { return Vec::new() };
    for entry in entries {
        let path = top.key(&entry.key.text);
        match &*entry.key.text {
            "defaults" => defaults = self::defaults(&entry.value, &path, problems),
            "queues" => {}
            // A place for anchors that is no queue.
            name if name.starts_with("x-") => {}
            _ => field::unknown(entry, Place::Top, &path, problems),
        }
    }
    let Some(node) = root.get("queues") else {
        problems
            .add(Problem::new(root.id, &top, "there are no `queues`").expected("expected `queues: {NAME: [SCRIPT]}`"));
        return Vec::new();
    };
    let path = top.key("queues");
    let entries = value::map(node, &path, "a map of queues", problems).unwrap_or_default();
    let queues = entries.iter().enumerate();
    let shared = &mut Shared::new();
    queues.filter_map(|(order, entry)| queue(entry, order, &defaults, &path, shared, problems)).collect()
}

/// The number of the value that defines the job `queue/name`.
pub(super) fn entry_of(root: &Node<'_>, queue: &str, name: &str) -> Option<u32> {
    let queue = root.get("queues")?.get(queue)?;
    let Kind::List(items) = &queue.get("jobs").unwrap_or(queue).kind else { return None };
    let problems = &mut Problems::default();
    let entries = items.iter().filter_map(|node| Some((node.id, Entry::read(node, &Path::Top, problems)?)));
    let entries: Vec<(u32, Entry)> = entries.collect();
    let mut names = Names::default();
    entries.iter().filter_map(|(_, entry)| entry.id.as_ref()).for_each(|(name, _)| names.take(name));
    entries.iter().find(|(_, entry)| *entry.name(&mut names) == *name).map(|(id, _)| *id)
}

/// What `defaults` or a queue says for all jobs in it, and for itself.
#[derive(Clone, Default)]
struct Level {
    title: String,
    parallel: Option<u32>,
    on_failure: Option<OnFailure>,
    keep: Limits,
    inherited: Inherited,
}

impl Level {
    /// Takes a field, if it is one of these. Tells whether it was.
    fn take(&mut self, entry: &tree::Entry<'_>, path: &Path<'_>, problems: &mut Problems) -> bool {
        match &*entry.key.text {
            "parallel" => {
                let number = value::whole(&entry.value, path, 1, i64::from(u32::MAX), problems);
                self.parallel = number.and_then(|number| u32::try_from(number).ok());
            }
            "on_failure" => {
                let words = [("continue", OnFailure::Continue), ("stop", OnFailure::Stop)];
                self.on_failure = value::word(&entry.value, path, &words, problems);
            }
            "keep" => self.keep = Limits::read(&entry.value, path, problems),
            _ => return self.inherited.take(entry, path, problems),
        }
        true
    }
}

fn defaults(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Level {
    let mut level = Level::default();
    for entry in value::map(node, path, "a map of fields", problems).unwrap_or_default() {
        let path = path.key(&entry.key.text);
        if !level.take(entry, &path, problems) {
            field::unknown(entry, Place::Defaults, &path, problems);
        }
    }
    level
}

fn queue(
    entry: &tree::Entry<'_>,
    order: usize,
    defaults: &Level,
    path: &Path<'_>,
    shared: &mut Shared,
    problems: &mut Problems,
) -> Option<QueuePlan> {
    let path = path.key(&entry.key.text);
    let mut level = Level::default();
    let mut plans = Vec::new();
    let around =
        |level: &Level, shared: &mut Shared| Around::new(level.inherited.clone().over(&defaults.inherited), shared);
    match &entry.value.kind {
        Kind::List(items) => plans = jobs(items, &around(&level, shared), &path, shared, problems),
        Kind::Map(entries) => {
            let mut items = None;
            for entry in entries {
                let path = path.key(&entry.key.text);
                match &*entry.key.text {
                    "title" => level.title = value::text(&entry.value, &path, problems).unwrap_or_default(),
                    "jobs" => items = Some(&entry.value),
                    _ if level.take(entry, &path, problems) => {}
                    _ => field::unknown(entry, Place::Queue, &path, problems),
                }
            }
            let path = path.key("jobs");
            match items.map(|node| (node, &node.kind)) {
                Some((_, Kind::List(items))) => plans = jobs(items, &around(&level, shared), &path, shared, problems),
                Some((node, _)) => value::unexpected(node, &path, "a list of jobs", problems)?,
                None => {}
            }
        }
        _ => value::unexpected(&entry.value, &path, "a list of jobs or a map of the queue's fields", problems)?,
    }
    let settings = Settings {
        title: level.title,
        parallel: level.parallel.or(defaults.parallel).unwrap_or(1),
        on_failure: level.on_failure.or(defaults.on_failure).unwrap_or_default(),
        keep: level.keep.over(defaults.keep),
        declared: true,
        order: u32::try_from(order).unwrap_or(u32::MAX),
    };
    Some(QueuePlan { id: QueueId::from(&*entry.key.text), settings, jobs: plans })
}

fn jobs(
    items: &[Node<'_>],
    around: &Around,
    path: &Path<'_>,
    shared: &mut Shared,
    problems: &mut Problems,
) -> Vec<Arc<crate::model::Definition>> {
    let entries = items.iter().enumerate();
    let entries: Vec<(usize, Entry)> =
        entries.filter_map(|(index, node)| Some((index, Entry::read(node, &path.item(index), problems)?))).collect();
    let mut names = Names::default();
    let mut written: HashMap<Arc<str>, u32> = HashMap::new();
    for (index, entry) in &entries {
        let Some((name, value)) = &entry.id else { continue };
        names.take(name);
        if let Some(first) = written.insert(Arc::clone(name), *value) {
            let item = path.item(*index);
            let problem = Problem::new(*value, &item.key("id"), format!("two jobs have the id {}", quoted(name)));
            problems.add(problem.also(first, "the other one"));
        }
    }
    entries
        .into_iter()
        .map(|(_, entry)| {
            let name = entry.name(&mut names);
            Arc::new(entry.define(name, around, shared))
        })
        .collect()
}
