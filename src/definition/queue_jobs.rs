//! Reads the jobs of one queue: names them and builds their definitions, except for their needs.

use std::ops::Range;
use std::sync::Arc;

use super::digest;
use super::interner::Interner;
use super::job::{InheritedScope, JobEntry};
use super::job_names::{self, JobNames};
use super::matrix::{self, Matrix};
use super::needs::UnresolvedNeed;
use super::placeholders;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::quoted;
use super::value_path::ValuePath;
use crate::model::{Call, Definition, DesiredQueue, MatrixValues, QueueId, QueueSettings};

/// A queue with its jobs.
pub(super) struct ParsedQueue {
    pub(super) id: QueueId,
    pub(super) settings: QueueSettings,
    /// Whether the jobs are listed directly under the queue's name rather than under `jobs`.
    pub(super) is_bare_list: bool,
    /// Whether it may have jobs that could not be read.
    pub(super) may_be_incomplete: bool,
    pub(super) jobs: Vec<ParsedJob>,
    /// The range of jobs of each matrix, by its base name.
    pub(super) matrices: Vec<(Arc<str>, Range<u32>)>,
}

/// A job of a queue.
pub(super) struct ParsedJob {
    pub(super) name: Arc<str>,
    /// The index of the entry that defines it.
    pub(super) entry_index: usize,
    /// `None` if the entry has errors.
    pub(super) definition: Option<Arc<Definition>>,
    pub(super) needs: Vec<UnresolvedNeed>,
}

impl ParsedQueue {
    /// Creates a queue without jobs.
    pub(super) fn new(id: QueueId, settings: QueueSettings, is_bare_list: bool) -> Self {
        Self { id, settings, is_bare_list, may_be_incomplete: false, jobs: Vec::new(), matrices: Vec::new() }
    }

    /// Reads the entries of the queue.
    pub(super) fn read(
        &mut self,
        items: &[Node<'_>],
        scope: &InheritedScope,
        path: &ValuePath<'_>,
        interner: &mut Interner,
        problems: &mut Problems,
    ) {
        let mut names = JobNames::for_jobs(items.len());
        for (item, first) in reserve_ids(items, &mut names) {
            let Some((name, id)) = job_names::explicit_id(&items[item]) else { continue };
            let item = path.item(item);
            let problem = Problem::new(id, &item.key("id"), format!("duplicate id {}", quoted(name)));
            problems.add(problem.with_related(first, "first used here"));
        }
        self.jobs.reserve(items.len());
        for (item, node) in items.iter().enumerate() {
            let mut reader = EntryReader { entry_index: item, scope, path: &path.item(item), interner, problems };
            match node.get("matrix") {
                None => self.jobs.extend(reader.read_job(node, names.name_entry(node))),
                Some(_) => self.read_matrix(node, &mut names, &mut reader),
            }
        }
    }

    /// Reads an entry that defines several jobs.
    fn read_matrix(&mut self, node: &Node<'_>, names: &mut JobNames, reader: &mut EntryReader<'_, '_>) {
        placeholders::reject_unknown(node, reader.path, reader.problems);
        let matrix = Matrix::read(node, reader.path, reader.problems);
        let Some(base) = names.name_entry(node) else {
            reader.read_job(node, None);
            return;
        };
        let Some(matrix) = matrix else {
            self.jobs.push(ParsedJob {
                name: base,
                entry_index: reader.entry_index,
                definition: None,
                needs: Vec::new(),
            });
            return;
        };
        let start = self.jobs.len();
        match reader.read_combinations(node, &matrix, &base, names) {
            Some(jobs) => self.jobs.extend(jobs),
            None => self.may_be_incomplete = true,
        }
        let number = |nth: usize| u32::try_from(nth).unwrap_or(u32::MAX);
        self.matrices.push((base, number(start)..number(self.jobs.len())));
    }

    /// The nodes of its entries.
    pub(super) fn entry_nodes<'n, 's>(&self, root: &'n Node<'s>) -> Option<&'n [Node<'s>]> {
        let queue = root.get("queues")?.get(self.id.as_str())?;
        let list = if self.is_bare_list { queue } else { queue.get("jobs")? };
        if let NodeKind::List(entries) = &list.kind { Some(entries) } else { None }
    }

    /// Calls `then` with the paths of the queue and of an entry.
    pub(super) fn with_paths<T>(
        &self,
        entry_index: usize,
        then: impl FnOnce(&ValuePath<'_>, &ValuePath<'_>) -> T,
    ) -> T {
        let top = ValuePath::Top;
        let queues = top.key("queues");
        let queue = queues.key(self.id.as_str());
        let jobs = if self.is_bare_list { queue } else { queue.key("jobs") };
        then(&queue, &jobs.item(entry_index))
    }

    /// Converts the queue to the part of the model that it defines.
    pub(super) fn into_desired(self) -> DesiredQueue {
        let jobs = self.jobs.into_iter().filter_map(|job| job.definition).collect();
        DesiredQueue { id: self.id, settings: self.settings, jobs }
    }
}

/// Returns the id of the node that defines the job `name`.
pub(super) fn find_entry(items: &[Node<'_>], name: &str) -> Option<u32> {
    let mut names = JobNames::default();
    reserve_ids(items, &mut names);
    let found = items.iter().find(|node| {
        let Some(base) = names.name_entry(node) else { return false };
        let matrix = node.get("matrix").and_then(|_| Matrix::read(node, &ValuePath::Top, &mut Problems::default()));
        match matrix {
            // Claim all names: the names of later entries depend on them.
            Some(matrix) => {
                matrix.combinations().filter(|one| *names.reserve_unique(&one.name(&base)) == *name).count() > 0
            }
            None => *base == *name,
        }
    });
    found.map(|node| node.id)
}

/// Reserves all explicit ids before names are generated. Returns the indexes of entries whose id is a duplicate, with
/// the id of the node that had it first.
fn reserve_ids(items: &[Node<'_>], names: &mut JobNames) -> Vec<(usize, u32)> {
    let mut duplicates = Vec::new();
    for (item, node) in items.iter().enumerate() {
        let Some((name, id)) = job_names::explicit_id(node) else { continue };
        duplicates.extend(names.reserve(name, id).map(|first| (item, first)));
    }
    duplicates
}

/// Reads one entry.
struct EntryReader<'r, 'p> {
    entry_index: usize,
    scope: &'r InheritedScope,
    path: &'r ValuePath<'p>,
    interner: &'r mut Interner,
    problems: &'r mut Problems,
}

impl EntryReader<'_, '_> {
    /// Reads an entry that defines one job. Without a name it has nothing to run, so there is no job.
    fn read_job(&mut self, node: &Node<'_>, name: Option<Arc<str>>) -> Option<ParsedJob> {
        placeholders::reject_in_fields(node, self.path, self.problems);
        let entry = JobEntry::read(node, self.path, self.problems);
        let mut job = ParsedJob { name: name?, entry_index: self.entry_index, definition: None, needs: Vec::new() };
        if let Some(mut entry) = entry {
            entry.check_stall_hook(node, self.scope, self.path, self.problems);
            job.needs = std::mem::take(&mut entry.needs);
            let full = || self.problems.add(inherited_limit_problem(node, self.path));
            if !self.interner.reserve_inherited(entry.inherited_memory_size(self.scope), full) {
                return Some(job);
            }
            let mut definition = entry.into_definition(Arc::clone(&job.name), self.scope, self.interner);
            definition.digest = Some(digest::entry_digest(node));
            job.definition = Some(definition.into());
        }
        Some(job)
    }

    /// Reads the jobs of a matrix. Returns `None` if they take too much memory. Stops checking after the first error,
    /// because the other combinations usually have the same one.
    fn read_combinations(
        &mut self,
        node: &Node<'_>,
        matrix: &Matrix,
        base: &Arc<str>,
        names: &mut JobNames,
    ) -> Option<Vec<ParsedJob>> {
        let before = self.problems.count();
        let has_distinct_labels = matrix::has_distinct_labels(node);
        let memory_size = matrix::job_memory_size(node) + self.scope.memory_size();
        if !self.interner.reserve_unshared(memory_size.saturating_mul(matrix.len())) {
            let message = "the matrix jobs of this file take more than 64 MiB of memory";
            self.problems.add(Problem::new(node.id, self.path, message).hint("move long scripts to files"));
            return None;
        }
        let mut jobs = Vec::with_capacity(matrix.len());
        for combination in matrix.combinations() {
            let name = names.reserve_unique(&combination.name(base));
            let mut job = ParsedJob { name, entry_index: self.entry_index, definition: None, needs: Vec::new() };
            if self.problems.count() == before {
                let filled = combination.substitute(node, self.path, self.problems);
                if let Some(mut entry) = JobEntry::read(&filled, self.path, self.problems) {
                    entry.check_stall_hook(&filled, self.scope, self.path, self.problems);
                    combination.variables().for_each(|(name, value)| entry.add_variable(name, value));
                    job.needs = std::mem::take(&mut entry.needs);
                    let mut definition = entry.into_definition(Arc::clone(&job.name), self.scope, self.interner);
                    if !has_distinct_labels {
                        definition.title = combination.title(&definition.title, &label(&definition));
                    }
                    definition.matrix =
                        Some(Arc::new(MatrixValues { entry: Arc::clone(base), values: combination.shared_values() }));
                    definition.digest = Some(digest::combination_digest(node, &combination));
                    job.definition = Some(definition.into());
                }
            }
            jobs.push(job);
        }
        Some(jobs)
    }
}

fn inherited_limit_problem(node: &Node<'_>, path: &ValuePath<'_>) -> Problem {
    let message = "the inherited values of the jobs of this file take more than 256 MiB of memory";
    Problem::new(node.id, path, message).hint("move variables to a file: see `env_file`")
}

/// The label of a job on the screen.
fn label(definition: &Definition) -> String {
    match &definition.call {
        Call::Script(script) if definition.title.is_empty() => script.first_line(),
        _ => definition.title.clone(),
    }
}
