//! The whole file: defaults and queues, checked and made into a plan.

use super::blanks;
use super::field::{self, OfFile, OfQueue, Place, QueueInherits};
use super::inherit::Inherited;
use super::job::Around;
use super::keep::Limits;
use super::needs;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::section::{self, Section};
use super::shared::Shared;
use super::tree::{self, Kind, Node};
use super::value;
use crate::model::{OnFailure, QueueId, QueuePlan, Settings};

/// What a failure does to a queue, in words.
pub(super) const ON_FAILURE: [(&str, OnFailure); 2] = [("continue", OnFailure::Continue), ("stop", OnFailure::Stop)];

/// The queues that the resolved file defines. All that is wrong is reported; then the queues are not complete.
pub(super) fn queues(root: &Node<'_>, problems: &mut Problems) -> Vec<QueuePlan> {
    let top = Path::Top;
    let mut defaults = Level::default();
    let Some(entries) = value::map(root, &top, "a map with `queues`", problems) else { return Vec::new() };
    for entry in entries {
        let path = top.key(&entry.key.text);
        match OfFile::of(&entry.key.text) {
            Some(OfFile::Defaults) => defaults = self::defaults(&entry.value, &path, problems),
            Some(OfFile::Queues) => {}
            // A place for anchors that is no queue.
            None if entry.key.text.starts_with("x-") => {}
            None => field::unknown(entry, Place::Top, &path, problems),
        }
    }
    let Some(node) = root.get("queues") else {
        problems
            .add(Problem::new(root.id, &top, "there are no `queues`").expected("expected `queues: {NAME: [SCRIPT]}`"));
        return Vec::new();
    };
    let path = top.key("queues");
    let entries = value::map(node, &path, "a map of queues", problems).unwrap_or_default();
    let shared = &mut Shared::new();
    let queues = entries.iter().enumerate();
    let mut sections: Vec<Section> =
        queues.map(|(order, entry)| queue(entry, order, &defaults, &path, shared, problems)).collect();
    needs::resolve(&mut sections, shared, problems);
    sections.into_iter().map(Section::plan).collect()
}

/// The number of the value that defines the job `queue/name`.
pub(super) fn entry_of(root: &Node<'_>, queue: &str, name: &str) -> Option<u32> {
    let queue = root.get("queues")?.get(queue)?;
    let Kind::List(items) = &queue.get("jobs").unwrap_or(queue).kind else { return None };
    section::entry_of(items, name)
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
        match QueueInherits::of(&entry.key.text) {
            Some(QueueInherits::Parallel) => {
                let number = value::whole(&entry.value, path, 1, i64::from(u32::MAX), problems);
                self.parallel = number.and_then(|number| u32::try_from(number).ok());
            }
            Some(QueueInherits::OnFailure) => self.on_failure = value::word(&entry.value, path, &ON_FAILURE, problems),
            Some(QueueInherits::Keep) => self.keep = Limits::read(&entry.value, path, problems),
            None => return self.inherited.take(entry, path, problems),
        }
        true
    }
}

fn defaults(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Level {
    let mut level = Level::default();
    blanks::none_in_fields(node, path, problems);
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
) -> Section {
    let path = path.key(&entry.key.text);
    let mut level = Level::default();
    let mut items = None;
    let bare = matches!(entry.value.kind, Kind::List(_));
    match &entry.value.kind {
        Kind::Map(entries) => {
            blanks::none_in_fields(&entry.value, &path, problems);
            for entry in entries {
                let path = path.key(&entry.key.text);
                match OfQueue::of(&entry.key.text) {
                    Some(OfQueue::Title) => {
                        level.title = value::text(&entry.value, &path, problems).unwrap_or_default();
                    }
                    Some(OfQueue::Jobs) => items = Some(&entry.value),
                    None if level.take(entry, &path, problems) => {}
                    None => field::unknown(entry, Place::Queue, &path, problems),
                }
            }
        }
        _ => items = Some(&entry.value),
    }
    let settings = Settings {
        title: level.title,
        parallel: level.parallel.or(defaults.parallel).unwrap_or(1),
        on_failure: level.on_failure.or(defaults.on_failure).unwrap_or_default(),
        keep: level.keep.over(defaults.keep),
        declared: true,
        order: u32::try_from(order).unwrap_or(u32::MAX),
    };
    let mut section = Section::new(QueueId::from(&*entry.key.text), settings, bare);
    let Some(node) = items else { return section };
    let named = matches!(entry.value.kind, Kind::Map(_));
    let path = if named { path.key("jobs") } else { path };
    if let Kind::List(items) = &node.kind {
        let around = Around::new(level.inherited.over(&defaults.inherited), shared);
        section.read(items, &around, &path, shared, problems);
    } else {
        if node.text().is_some_and(|text| text.starts_with('-')) {
            let problem = Problem::new(node.id, &path, "expected a list of jobs, found text");
            problems.add(problem.hint("an item of a list starts with a `-` and a space"));
            section.unsure = true;
            return section;
        }
        let expected = if named { "a list of jobs" } else { "a list of jobs or a map of the queue's fields" };
        section.unsure = value::unexpected(node, &path, expected, problems).unwrap_or(true);
    }
    section
}
