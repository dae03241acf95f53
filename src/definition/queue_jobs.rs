//! Reads the jobs of one queue: names them and builds their definitions, except for their needs.

use std::ops::Range;
use std::sync::Arc;

use super::digest;
use super::interner::Interner;
use super::item_sources::ItemSources;
use super::items::{Item, ItemProducer, Items};
use super::job::{InheritedScope, JobEntry};
use super::job_names::{self, JobNames};
use super::job_variant::{self, JobVariant};
use super::matrix::{Combination, Matrix};
use super::matrix_placeholders;
use super::needs::{NeedPlace, UnresolvedNeed};
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind};
use super::spelling::quoted;
use super::value_path::ValuePath;
use crate::model::{Call, Definition, DesiredQueue, QueueId, QueueSettings};

/// A queue with its jobs.
pub(super) struct ParsedQueue {
    pub(super) id: QueueId,
    pub(super) settings: QueueSettings,
    /// Whether the jobs are listed directly under the queue's name rather than under `jobs`.
    pub(super) is_bare_list: bool,
    /// Whether it may have jobs that could not be read.
    pub(super) may_be_incomplete: bool,
    pub(super) jobs: Vec<ParsedJob>,
    /// The entries that define several jobs.
    pub(super) groups: Vec<JobGroup>,
}

/// An entry that defines several jobs.
pub(super) struct JobGroup {
    /// Its name.
    pub(super) name: Arc<str>,
    /// The range of its jobs in the queue.
    pub(super) jobs: Range<u32>,
    /// Its index in the queue.
    pub(super) entry_index: usize,
    /// The job whose value its items are.
    pub(super) producer: Option<ItemProducer>,
    /// Without jobs, what they would need, as far as that doesn't depend on an item.
    pub(super) template_needs: Vec<UnresolvedNeed>,
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
        Self { id, settings, is_bare_list, may_be_incomplete: false, jobs: Vec::new(), groups: Vec::new() }
    }

    /// Reads the entries of the queue.
    pub(super) fn read(
        &mut self,
        items: &[Node<'_>],
        scope: &InheritedScope,
        path: &ValuePath<'_>,
        interner: &mut Interner,
        sources: &mut ItemSources<'_>,
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
            let fields = [Combination::FIELD, Item::FIELD].map(|field| node.get(field));
            match fields {
                [None, None] => self.jobs.extend(reader.read_job(node, names.name_entry(node))),
                [Some(_), None] => {
                    matrix_placeholders::reject_others(node, Combination::FIELD, reader.path, reader.problems);
                    let matrix = Matrix::read(node, reader.path, reader.problems);
                    let variants = matrix.as_ref().map(|matrix| (matrix.len(), matrix.combinations()));
                    self.read_variants(node, (variants, None), &mut names, &mut reader);
                }
                [None, Some(each)] => {
                    matrix_placeholders::reject_others(node, Item::FIELD, reader.path, reader.problems);
                    let items = Items::read(each, &reader.path.key(Item::FIELD), &self.id, sources, reader.problems);
                    let variants = items.as_ref().map(|items| (items.len(), items.iter()));
                    let producer = items.as_ref().and_then(Items::producer);
                    self.read_variants(node, (variants, producer), &mut names, &mut reader);
                }
                [Some(matrix), Some(each)] => {
                    let path = reader.path.key(Item::FIELD);
                    let problem = Problem::new(each.id, &path, "a job can't have both `matrix` and `for_each`");
                    let problem = problem.with_related(matrix.id, "conflicts with this");
                    reader
                        .problems
                        .add(problem.hint("write the combinations as maps: `for_each: [{os: linux, n: 1}]`"));
                    let none = None::<(usize, std::iter::Empty<Item<'_>>)>;
                    self.read_variants(node, (none, None), &mut names, &mut reader);
                }
            }
        }
    }

    /// Reads an entry that defines several jobs: their number, and each of them, with the job that returned their items.
    /// `None` if the field that defines them has errors.
    fn read_variants<V: JobVariant>(
        &mut self,
        node: &Node<'_>,
        (variants, producer): (Option<(usize, impl Iterator<Item = V>)>, Option<&ItemProducer>),
        names: &mut JobNames,
        reader: &mut EntryReader<'_, '_>,
    ) {
        let Some(base) = names.name_entry(node) else {
            reader.read_job(node, None);
            return;
        };
        let Some((count, variants)) = variants else {
            self.jobs.push(ParsedJob {
                name: base,
                entry_index: reader.entry_index,
                definition: None,
                needs: Vec::new(),
            });
            return;
        };
        let mut template_needs = if count == 0 { reader.read_template::<V>(node) } else { Vec::new() };
        let start = self.jobs.len();
        match reader.read_variants(node, (count, variants), &base, names) {
            Some(jobs) => self.jobs.extend(jobs),
            None => self.may_be_incomplete = true,
        }
        if let Some(ItemProducer { text, id }) = producer {
            let of_jobs = self.jobs[start..].iter_mut().map(|job| &mut job.needs);
            for needs in of_jobs.chain([&mut template_needs]) {
                needs.push(UnresolvedNeed::implied(text.clone(), *id, NeedPlace::Items));
            }
        }
        let number = |nth: usize| u32::try_from(nth).unwrap_or(u32::MAX);
        self.groups.push(JobGroup {
            name: base,
            jobs: number(start)..number(self.jobs.len()),
            entry_index: reader.entry_index,
            producer: producer.cloned(),
            template_needs,
        });
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
        let jobs: Vec<_> = self.jobs.into_iter().filter_map(|job| job.definition).collect();
        let has_snapshots = jobs.iter().any(|job| job.runs_on_snapshot());
        DesiredQueue { id: self.id, settings: QueueSettings { has_snapshots, ..self.settings }, jobs }
    }
}

/// Returns the id of the node that defines the job `name`.
pub(super) fn find_entry(items: &[Node<'_>], name: &str) -> Option<u32> {
    let mut names = JobNames::default();
    reserve_ids(items, &mut names);
    let found = items.iter().find(|node| {
        let Some(base) = names.name_entry(node) else { return false };
        if node.get(Item::FIELD).is_some() {
            let key = name.strip_prefix(&*base).and_then(|key| key.strip_prefix('[')?.strip_suffix(']'));
            return key.is_some();
        }
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
        matrix_placeholders::reject_in_fields(node, self.path, self.problems);
        let entry = JobEntry::read(node, self.path, self.problems);
        let mut job = ParsedJob { name: name?, entry_index: self.entry_index, definition: None, needs: Vec::new() };
        if let Some(mut entry) = entry {
            entry.check_with_inherited(node, self.scope, self.path, self.problems);
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

    /// Checks an entry that defines no jobs now, as far as that is possible without an item. Returns its needs.
    fn read_template<V: JobVariant>(&mut self, node: &Node<'_>) -> Vec<UnresolvedNeed> {
        let NodeKind::Map(fields) = &node.kind else { return Vec::new() };
        let depends_on_item = |field: &&MapEntry<'_>| {
            field.key.text == V::FIELD
                || (!matches!(&*field.key.text, "run" | "command" | "title")
                    && field.value.contains_text(&|text| V::find_placeholder(text).is_some()))
        };
        let fields = fields.iter().filter(|field| !depends_on_item(field)).cloned().collect();
        let template = Node { id: node.id, kind: NodeKind::Map(fields) };
        JobEntry::read(&template, self.path, self.problems).map(|entry| entry.needs).unwrap_or_default()
    }

    /// Reads the jobs of an entry that defines several. Returns `None` if they take too much memory. Stops checking after
    /// the first error, because the other jobs usually have the same one.
    fn read_variants<V: JobVariant>(
        &mut self,
        node: &Node<'_>,
        (count, variants): (usize, impl Iterator<Item = V>),
        base: &Arc<str>,
        names: &mut JobNames,
    ) -> Option<Vec<ParsedJob>> {
        let before = self.problems.count();
        let has_distinct_labels = job_variant::has_distinct_labels::<V>(node);
        let memory_size = job_variant::job_memory_size::<V>(node) + self.scope.memory_size();
        if !self.interner.reserve_unshared(memory_size.saturating_mul(count)) {
            let message = format!("the `{}` jobs of this file take more than 64 MiB of memory", V::FIELD);
            self.problems.add(Problem::new(node.id, self.path, message).hint("move long scripts to files"));
            return None;
        }
        let mut jobs = Vec::with_capacity(count);
        for variant in variants {
            let name = names.reserve_unique(&variant.name(base));
            let mut job = ParsedJob { name, entry_index: self.entry_index, definition: None, needs: Vec::new() };
            if self.problems.count() == before {
                let filled = job_variant::substitute(&variant, node, self.path, self.problems);
                if let Some(mut entry) = JobEntry::read(&filled, self.path, self.problems) {
                    entry.check_with_inherited(&filled, self.scope, self.path, self.problems);
                    variant.variables().into_iter().for_each(|(name, value)| entry.add_variable(name, value));
                    job.needs = std::mem::take(&mut entry.needs);
                    let mut definition = entry.into_definition(Arc::clone(&job.name), self.scope, self.interner);
                    if !has_distinct_labels {
                        definition.title = variant.title(&definition.title, &label(&definition)).into();
                    }
                    definition.matrix = Some(Arc::new(variant.parameters(base)));
                    definition.digest = Some(variant.digest(node));
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
        _ => definition.title.to_string(),
    }
}
