//! The jobs of one queue: named, read, and defined as far as they can be before all others are known.

use std::ops::Range;
use std::sync::Arc;

use super::blanks;
use super::digest;
use super::job::{Around, Entry};
use super::matrix::{self, Matrix};
use super::names::{self, Names};
use super::needs::Written;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::shared::Shared;
use super::tree::Node;
use super::words::quoted;
use crate::model::{Call, Definition, QueueId, QueuePlan, Settings};

/// A queue with its jobs.
pub(super) struct Section {
    pub(super) id: QueueId,
    pub(super) settings: Settings,
    /// Whether its jobs stand right under its name, not under `jobs`.
    pub(super) bare: bool,
    /// Whether it may have jobs that can't be read.
    pub(super) unsure: bool,
    pub(super) jobs: Vec<Slot>,
    /// The jobs of each matrix, by their common name.
    pub(super) groups: Vec<(Arc<str>, Range<u32>)>,
}

/// A job in its place.
pub(super) struct Slot {
    pub(super) name: Arc<str>,
    /// Which entry of the queue defines it.
    pub(super) item: usize,
    /// None where something is wrong with it.
    pub(super) definition: Option<Arc<Definition>>,
    pub(super) needs: Vec<Written>,
}

impl Section {
    /// A queue without jobs.
    pub(super) fn new(id: QueueId, settings: Settings, bare: bool) -> Self {
        Self { id, settings, bare, unsure: false, jobs: Vec::new(), groups: Vec::new() }
    }

    /// Reads the entries of the queue.
    pub(super) fn read(
        &mut self,
        items: &[Node<'_>],
        around: &Around,
        path: &Path<'_>,
        shared: &mut Shared,
        problems: &mut Problems,
    ) {
        let mut names = Names::for_jobs(items.len());
        for (item, first) in take_written(items, &mut names) {
            let Some((name, id)) = names::written(&items[item]) else { continue };
            let item = path.item(item);
            let problem = Problem::new(id, &item.key("id"), format!("two jobs have the id {}", quoted(name)));
            problems.add(problem.also(first, "the other one"));
        }
        self.jobs.reserve(items.len());
        for (item, node) in items.iter().enumerate() {
            let mut reader = Reader { item, around, path: &path.item(item), shared, problems };
            match node.get("matrix") {
                None => self.jobs.extend(reader.job(node, names.of(node))),
                Some(_) => self.matrix(node, &mut names, &mut reader),
            }
        }
    }

    /// Reads an entry that makes several jobs.
    fn matrix(&mut self, node: &Node<'_>, names: &mut Names, reader: &mut Reader<'_, '_>) {
        let matrix = Matrix::of(node, reader.path, reader.problems);
        let Some(base) = names.of(node) else {
            reader.job(node, None);
            return;
        };
        let Some(matrix) = matrix else {
            self.jobs.push(Slot { name: base, item: reader.item, definition: None, needs: Vec::new() });
            return;
        };
        let start = self.jobs.len();
        match reader.combinations(node, &matrix, &base, names) {
            Some(slots) => self.jobs.extend(slots),
            None => self.unsure = true,
        }
        let number = |nth: usize| u32::try_from(nth).unwrap_or(u32::MAX);
        self.groups.push((base, number(start)..number(self.jobs.len())));
    }

    /// The queue as the file says.
    pub(super) fn plan(self) -> QueuePlan {
        let jobs = self.jobs.into_iter().filter_map(|slot| slot.definition).collect();
        QueuePlan { id: self.id, settings: self.settings, jobs }
    }
}

/// The number of the entry among `items` that defines the job of this name.
pub(super) fn entry_of(items: &[Node<'_>], name: &str) -> Option<u32> {
    let mut names = Names::default();
    take_written(items, &mut names);
    let found = items.iter().find(|node| {
        let Some(base) = names.of(node) else { return false };
        let matrix = node.get("matrix").and_then(|_| Matrix::of(node, &Path::Top, &mut Problems::default()));
        match matrix {
            // All names are made, found or not: those of the entries behind depend on them.
            Some(matrix) => matrix.combinations().filter(|one| *names.claim(&one.name(&base)) == *name).count() > 0,
            None => *base == *name,
        }
    });
    found.map(|node| node.id)
}

/// Takes the names as written, before any is made; finds the entries whose name another one has, with the number of the
/// value that says so there.
fn take_written(items: &[Node<'_>], names: &mut Names) -> Vec<(usize, u32)> {
    let mut twice = Vec::new();
    for (item, node) in items.iter().enumerate() {
        let Some((name, id)) = names::written(node) else { continue };
        twice.extend(names.take(name, id).map(|first| (item, first)));
    }
    twice
}

/// Reads one entry.
struct Reader<'r, 'p> {
    item: usize,
    around: &'r Around,
    path: &'r Path<'p>,
    shared: &'r mut Shared,
    problems: &'r mut Problems,
}

impl Reader<'_, '_> {
    /// A job of its own. One without a name has nothing to be named after, and nothing to run.
    fn job(&mut self, node: &Node<'_>, name: Option<Arc<str>>) -> Option<Slot> {
        blanks::none_in_fields(node, self.path, self.problems);
        let entry = Entry::read(node, self.path, self.problems);
        let mut slot = Slot { name: name?, item: self.item, definition: None, needs: Vec::new() };
        if let Some(mut entry) = entry {
            slot.needs = std::mem::take(&mut entry.needs);
            let full = || self.problems.add(too_much_inherited(node, self.path));
            if !self.shared.inherit(entry.inherits(self.around), full) {
                return Some(slot);
            }
            let mut definition = entry.define(Arc::clone(&slot.name), self.around, self.shared);
            definition.digest = Some(digest::of_entry(node));
            slot.definition = Some(definition.into());
        }
        Some(slot)
    }

    /// The jobs of a matrix, if there is room for them. When one of them is wrong, so are most others: nothing is said of
    /// them.
    fn combinations(&mut self, node: &Node<'_>, matrix: &Matrix, base: &str, names: &mut Names) -> Option<Vec<Slot>> {
        let before = self.problems.count();
        let told_apart = matrix::tells_apart(node);
        let weight = matrix::weight(node) + self.around.weight();
        if !self.shared.take_room(weight.saturating_mul(matrix.len())) {
            let message = "with these, the jobs of the matrices in this file take more than 64 MiB";
            self.problems.add(Problem::new(node.id, self.path, message).hint("a long script may stand in a file"));
            return None;
        }
        let mut slots = Vec::with_capacity(matrix.len());
        for combination in matrix.combinations() {
            let name = names.claim(&combination.name(base));
            let mut slot = Slot { name, item: self.item, definition: None, needs: Vec::new() };
            if self.problems.count() == before {
                let filled = combination.fill(node, self.path, self.problems);
                if let Some(mut entry) = Entry::read(&filled, self.path, self.problems) {
                    combination.variables().for_each(|(name, value)| entry.add_variable(name, value));
                    slot.needs = std::mem::take(&mut entry.needs);
                    let mut definition = entry.define(Arc::clone(&slot.name), self.around, self.shared);
                    if !told_apart {
                        definition.title = format!("{} ({combination})", label(&definition));
                    }
                    definition.digest = Some(digest::of_combination(node, &combination));
                    slot.definition = Some(definition.into());
                }
            }
            slots.push(slot);
        }
        Some(slots)
    }
}

fn too_much_inherited(node: &Node<'_>, path: &Path<'_>) -> Problem {
    let message = "with this one, what the jobs of this file inherit takes more than 256 MiB";
    Problem::new(node.id, path, message).hint("many variables may stand in a file: see `env_file`")
}

/// What a job is called where it is shown.
fn label(definition: &Definition) -> String {
    match &definition.call {
        Call::Script(script) if definition.title.is_empty() => script.first_line(),
        _ => definition.title.clone(),
    }
}
