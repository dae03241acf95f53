//! Reads the whole file: its defaults and queues.

use super::dependencies;
use super::expect;
use super::fields::{FieldScope, FileField, InheritableQueueField, QueueField};
use super::inherited_fields::InheritedFields;
use super::input_check;
use super::inputs::InputFields;
use super::interner::Interner;
use super::item_sources::ItemSources;
use super::job::InheritedScope;
use super::keep::KeepLimits;
use super::matrix_placeholders;
use super::pass_env;
use super::pool_check;
use super::pool_keys;
use super::pools::{self, Pools};
use super::problems::{Problem, Problems};
use super::queue_jobs::{self, ParsedQueue};
use super::schedule;
use super::script_variables;
use super::spanned_value::{self, Node, NodeKind};
use super::unique_field;
use super::unknown_fields;
use super::value;
use super::value_check;
use super::value_path::ValuePath;
use crate::model::{Definition, DesiredState, OnFailure, QueueId, QueueSettings};

/// The keywords of `on_failure`.
pub(super) const ON_FAILURE_VALUES: [(&str, OnFailure); 2] =
    [("continue", OnFailure::Continue), ("stop", OnFailure::Stop)];

/// What the texts of a file may have. Most have none, and need no check.
#[derive(Clone, Copy)]
pub(super) struct MayHave {
    /// Placeholders for values or inputs.
    pub(super) placeholders: bool,
    /// Variables in scripts that are always empty.
    pub(super) empty_variables: bool,
}

/// Reads the queues of a resolved file. The version is empty, except for items from elsewhere. Incomplete if problems are
/// reported.
pub(super) fn read_queues(
    root: &Node<'_>,
    sources: &mut ItemSources<'_>,
    may_have: MayHave,
    problems: &mut Problems,
) -> DesiredState {
    let top = ValuePath::Top;
    // What an included file with errors would define is missing.
    let is_incomplete = root.get("include").is_some() && !problems.is_empty();
    let mut defaults = LevelSettings::default();
    let Some(entries) = value::map(root, &top, "a map with `queues`", problems) else {
        return DesiredState::default();
    };
    let (mut pools, mut inputs, mut secrets) = (Pools::default(), InputFields::default(), None);
    for entry in entries {
        let path = top.key(&entry.key.text);
        match FileField::from_name(&entry.key.text) {
            Some(FileField::Defaults) => defaults = read_defaults(&entry.value, &path, problems),
            Some(FileField::Secrets) => secrets = pass_env::read_names(&entry.value, &path, problems),
            Some(FileField::Inputs) => inputs = InputFields::read(&entry.value, &path, problems),
            Some(FileField::Pools) => pools = pools::read_pools(&entry.value, &path, problems),
            // Included files have joined the tree.
            Some(FileField::Queues | FileField::Include) => {}
            // Reserved for anchors.
            None if entry.key.text.starts_with("x-") => {}
            None => unknown_fields::report(entry, FieldScope::Top, &path, problems),
        }
    }
    defaults.inherited.secrets = secrets.map(Into::into);
    let Some(node) = root.get("queues") else {
        if !is_incomplete {
            let problem = Problem::new(root.id, &top, "missing `queues`");
            problems.add(problem.expected("expected `queues: {NAME: [SCRIPT]}`"));
        }
        return DesiredState::default();
    };
    let path = top.key("queues");
    let entries = value::map(node, &path, "a map of queues", problems).unwrap_or_default();
    let interner = &mut Interner::new();
    let queues = entries.iter().enumerate();
    let mut sections: Vec<ParsedQueue> = Vec::with_capacity(entries.len());
    for (order, entry) in queues {
        let section = read_queue(entry, order, (&defaults, &inputs), &path, (interner, sources), problems);
        check_expect(&entry.value, &section, &path.key(&entry.key.text), problems);
        sections.push(section);
    }
    if is_incomplete {
        return DesiredState::default();
    }
    dependencies::resolve(&mut sections, interner, problems);
    if interner.has_uses {
        pool_check::check_uses(root, &sections, &pools.sizes, problems);
        pool_keys::fill_in_keys(root, &mut sections, &pools.keys, interner, problems);
    }
    if may_have.placeholders {
        value_check::check_values(root, &sections, problems);
    }
    input_check::check_inputs(root, &sections, may_have.placeholders, problems);
    if interner.has_unique_keys {
        unique_field::check_unique_keys(root, &sections, problems);
    }
    if may_have.empty_variables && problems.is_empty() {
        sources.warnings.extend(script_variables::warnings(root, &sections));
    }
    let queues = sections.into_iter().map(ParsedQueue::into_desired).collect();
    DesiredState {
        version: sources.version_suffix(),
        queues,
        pools: pools.sizes,
        values: sources.values_read(),
        arrivals: sources.arrivals(),
    }
}

/// Returns the id of the node that defines the job `queue/name`.
pub(super) fn find_entry(root: &Node<'_>, queue: &str, name: &str) -> Option<u32> {
    let queue = root.get("queues")?.get(queue)?;
    let NodeKind::List(items) = &queue.get("jobs").unwrap_or(queue).kind else { return None };
    queue_jobs::find_entry(items, name)
}

/// Returns the id of the key of a field that this entry of a queue has, or that it inherits.
pub(super) fn find_field(root: &Node<'_>, queue: &str, entry: u32, field: &[&str]) -> Option<u32> {
    let queue = root.get("queues")?.get(queue)?;
    let NodeKind::List(items) = &queue.get("jobs").unwrap_or(queue).kind else { return None };
    let entry = items.iter().find(|item| item.id == entry);
    [entry, Some(queue), root.get("defaults")].into_iter().flatten().find_map(|level| key_of(level, field))
}

/// The id of the last key of a path.
fn key_of(node: &Node<'_>, path: &[&str]) -> Option<u32> {
    let NodeKind::Map(entries) = &node.kind else { return None };
    let (first, rest) = path.split_first()?;
    let entry = entries.iter().find(|entry| entry.key.text == *first)?;
    if rest.is_empty() { Some(entry.key.id) } else { key_of(&entry.value, rest) }
}

/// The settings of one level, `defaults` or a queue, and the fields that its jobs inherit.
#[derive(Clone, Default)]
struct LevelSettings {
    title: String,
    parallel: Option<u32>,
    on_failure: Option<OnFailure>,
    keep: KeepLimits,
    inherited: InheritedFields,
}

impl LevelSettings {
    /// Reads a field if it belongs to every level. Returns whether it does.
    fn read_field(
        &mut self,
        entry: &spanned_value::MapEntry<'_>,
        path: &ValuePath<'_>,
        problems: &mut Problems,
    ) -> bool {
        match InheritableQueueField::from_name(&entry.key.text) {
            Some(InheritableQueueField::Parallel) => {
                let number = value::integer(&entry.value, path, 1, i64::from(u32::MAX), problems);
                self.parallel = number.and_then(|number| u32::try_from(number).ok());
            }
            Some(InheritableQueueField::OnFailure) => {
                self.on_failure = value::keyword(&entry.value, path, &ON_FAILURE_VALUES, problems);
            }
            Some(InheritableQueueField::Keep) => self.keep = KeepLimits::read(&entry.value, path, problems),
            None => return self.inherited.read_field(entry, path, problems),
        }
        true
    }
}

fn read_defaults(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> LevelSettings {
    let mut level = LevelSettings::default();
    matrix_placeholders::reject_in_fields(node, path, problems);
    for entry in value::map(node, path, "a map of fields", problems).unwrap_or_default() {
        let path = path.key(&entry.key.text);
        if !level.read_field(entry, &path, problems) {
            unknown_fields::report(entry, FieldScope::Defaults, &path, problems);
        }
    }
    level
}

fn read_queue(
    entry: &spanned_value::MapEntry<'_>,
    order: usize,
    (defaults, file_inputs): (&LevelSettings, &InputFields),
    path: &ValuePath<'_>,
    (interner, sources): (&mut Interner, &mut ItemSources<'_>),
    problems: &mut Problems,
) -> ParsedQueue {
    let path = path.key(&entry.key.text);
    if entry.key.invalid.is_none()
        && let Some(reason) = QueueId::invalid_name_reason(&entry.key.text)
    {
        problems.add(Problem::new(entry.key.id, &path, reason));
    }
    let mut level = LevelSettings::default();
    let mut items = None;
    let (mut queue_schedule, mut queue_expect, mut inputs) = (None, None, InputFields::default());
    let is_bare_list = matches!(entry.value.kind, NodeKind::List(_));
    match &entry.value.kind {
        NodeKind::Map(entries) => {
            matrix_placeholders::reject_in_fields(&entry.value, &path, problems);
            for entry in entries {
                let path = path.key(&entry.key.text);
                match QueueField::from_name(&entry.key.text) {
                    Some(QueueField::Title) => {
                        level.title = value::text(&entry.value, &path, problems).unwrap_or_default();
                    }
                    Some(QueueField::Schedule) => {
                        queue_schedule = schedule::read_schedule(&entry.value, &path, problems);
                    }
                    Some(QueueField::Expect) => {
                        queue_expect = expect::read_expect(&entry.value, &path, problems);
                    }
                    Some(QueueField::Inputs) => inputs = InputFields::read(&entry.value, &path, problems),
                    Some(QueueField::Jobs) => items = Some(&entry.value),
                    None if level.read_field(entry, &path, problems) => {}
                    // For anchors, as at the top of the file.
                    None if entry.key.text.starts_with("x-") => {}
                    None => unknown_fields::report(entry, FieldScope::Queue, &path, problems),
                }
            }
        }
        _ => items = Some(&entry.value),
    }
    let inherited = level.inherited.inherit_from(&defaults.inherited);
    let on_overdue = queue_expect.as_ref().and_then(|_| inherited.overdue_hook());
    let settings = QueueSettings {
        parallel_override: None,
        title: level.title,
        parallel: level.parallel.or(defaults.parallel).unwrap_or(1),
        on_failure: level.on_failure.or(defaults.on_failure).unwrap_or_default(),
        retention: level.keep.inherit_from(defaults.keep),
        schedule: queue_schedule,
        expect: queue_expect,
        on_overdue,
        inputs: inputs.inherit_from(file_inputs),
        // Known when its jobs are.
        has_snapshots: false,
        is_in_file: true,
        order: u32::try_from(order).unwrap_or(u32::MAX),
    };
    let mut section = ParsedQueue::new(QueueId::from(&*entry.key.text), settings, is_bare_list);
    let Some(node) = items else { return section };
    let named = matches!(entry.value.kind, NodeKind::Map(_));
    let path = if named { path.key("jobs") } else { path };
    if let NodeKind::List(items) = &node.kind {
        let scope = InheritedScope::new(inherited, interner);
        section.read(items, &scope, &path, interner, sources, problems);
    } else {
        if node.text().is_some_and(|text| text.starts_with('-')) {
            let problem = Problem::new(node.id, &path, "expected a list of jobs, found text");
            problems.add(problem.hint("start each list item with `-` and a space"));
            section.may_be_incomplete = true;
            return section;
        }
        let expected = if named { "a list of jobs" } else { "a list of jobs or a map of the queue's fields" };
        section.may_be_incomplete = value::unexpected(node, &path, expected, problems).unwrap_or(true);
    }
    section
}

/// Reports an expectation of a queue that can't be kept, and a hook for one that there isn't.
fn check_expect(node: &Node<'_>, section: &ParsedQueue, path: &ValuePath<'_>, problems: &mut Problems) {
    let definitions = || section.jobs.iter().map(|job| job.definition.as_deref());
    let (Some(expectation), Some(expect)) = (&section.settings.expect, node.get("expect")) else {
        let is_hook = matches!(node.get("on_overdue"), Some(hook) if hook.text().is_none_or(|text| text != "none"));
        let expects = |job: Option<&Definition>| job.is_none_or(|job| job.scheduling.expect.is_some());
        if is_hook && node.get("expect").is_none() && !section.may_be_incomplete && !definitions().any(expects) {
            expect::report_useless_hook(node, path, problems);
        }
        return;
    };
    let path = path.key("expect");
    let is_part = |job: Option<&Definition>| job.is_none_or(|job| job.scheduling.schedule.is_none());
    if !section.may_be_incomplete && !definitions().any(is_part) {
        let (message, hint) = if section.jobs.is_empty() {
            ("nothing could succeed: the queue has no jobs", "add jobs, or remove `expect`")
        } else {
            ("nothing could succeed: all jobs have a schedule of their own", "move `expect` to the jobs")
        };
        problems.add(Problem::new(expect.id, &path, message).hint(hint));
    } else if let (Some(schedule), Some(scheduled)) = (&section.settings.schedule, node.get("schedule")) {
        expect::check_schedule((&**expectation, expect.id), (&**schedule, scheduled.id), &path, problems);
    }
}
