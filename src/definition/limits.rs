//! Reads `limits`: what a run may use.

use std::time::Duration;

use super::fields::LimitField;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::Limits;

const NONE_HINT: &str = "use `none` for no limit";

/// The smallest memory limit: no program starts with less.
const MIN_MEMORY_BYTES: u64 = 1 << 20;

/// The smallest and the largest number of processors.
const MIN_CPUS: f64 = 0.01;
const MAX_CPUS: f64 = 100_000.0;

/// The limits set at one level. `None` where the level doesn't set a limit.
#[derive(Clone, Copy, Default)]
pub(super) struct LimitFields {
    memory: Option<Override<u64>>,
    cpu_time: Option<Override<Duration>>,
    open_files: Option<Override<u64>>,
    processes: Option<Override<u64>>,
    file_size: Option<Override<u64>>,
    millicpus: Option<Override<u32>>,
    nice: Option<Override<i8>>,
}

impl LimitFields {
    /// No limits, whatever the outer level sets.
    const UNLIMITED: Self = Self {
        memory: Some(Override::Clear),
        cpu_time: Some(Override::Clear),
        open_files: Some(Override::Clear),
        processes: Some(Override::Clear),
        file_size: Some(Override::Clear),
        millicpus: Some(Override::Clear),
        nice: Some(Override::Clear),
    };

    /// Reads a map of limits, or `none`.
    pub(super) fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Self {
        if is_none(node) {
            return Self::UNLIMITED;
        }
        let mut limits = Self::default();
        let entries = value::map(node, path, "`none`, or a map of limits such as `memory`", problems);
        for entry in entries.unwrap_or_default() {
            let (node, path) = (&entry.value, &path.key(&entry.key.text));
            match LimitField::from_name(&entry.key.text) {
                Some(LimitField::Memory) => limits.memory = read_limit(node, path, problems, read_memory),
                Some(LimitField::CpuTime) => limits.cpu_time = read_limit(node, path, problems, read_cpu_time),
                Some(LimitField::OpenFiles) => limits.open_files = read_limit(node, path, problems, read_count),
                Some(LimitField::Processes) => limits.processes = read_limit(node, path, problems, read_count),
                Some(LimitField::FileSize) => limits.file_size = read_limit(node, path, problems, value::size),
                Some(LimitField::Cpus) => limits.millicpus = read_limit(node, path, problems, read_cpus),
                Some(LimitField::Nice) => limits.nice = read_limit(node, path, problems, read_nice),
                None => unknown_fields::report_in(entry, LimitField::ALL, path, problems),
            }
        }
        limits
    }

    /// Fills unset limits from the outer level.
    pub(super) fn inherit_from(self, outer: Self) -> Self {
        Self {
            memory: self.memory.or(outer.memory),
            cpu_time: self.cpu_time.or(outer.cpu_time),
            open_files: self.open_files.or(outer.open_files),
            processes: self.processes.or(outer.processes),
            file_size: self.file_size.or(outer.file_size),
            millicpus: self.millicpus.or(outer.millicpus),
            nice: self.nice.or(outer.nice),
        }
    }

    /// The limits of a job.
    pub(super) fn limits(self) -> Limits {
        Limits {
            memory: self.memory.and_then(Override::into_option),
            cpu_time: self.cpu_time.and_then(Override::into_option),
            open_files: self.open_files.and_then(Override::into_option),
            processes: self.processes.and_then(Override::into_option),
            file_size: self.file_size.and_then(Override::into_option),
            millicpus: self.millicpus.and_then(Override::into_option),
            nice: self.nice.and_then(Override::into_option),
        }
    }
}

fn is_none(node: &Node<'_>) -> bool {
    matches!(&node.kind, NodeKind::Scalar(ScalarType::Text, text) if text == "none")
}

fn read_limit<T>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
    read: impl FnOnce(&Node<'_>, &ValuePath<'_>, &mut Problems) -> Option<T>,
) -> Option<Override<T>> {
    if is_none(node) { Some(Override::Clear) } else { read(node, path, problems).map(Override::Set) }
}

fn read_memory(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u64> {
    let bytes = value::size(node, path, problems)?;
    if bytes < MIN_MEMORY_BYTES {
        problems.add(Problem::new(node.id, path, "a memory limit must be at least 1MiB").hint(NONE_HINT));
        return None;
    }
    Some(bytes)
}

/// Reads a duration of at least a second. Limits count whole seconds, so it is rounded up.
fn read_cpu_time(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Duration> {
    let duration = value::duration(node, path, problems)?;
    if duration.is_zero() {
        problems.add(Problem::new(node.id, path, "a limit on processor time must be at least 1s").hint(NONE_HINT));
        return None;
    }
    Some(Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)))
}

fn read_count(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u64> {
    value::integer(node, path, 1, i64::from(u32::MAX), problems).and_then(|count| u64::try_from(count).ok())
}

/// Reads a number of processors in thousandths, such as `2` or `0.5`.
fn read_cpus(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u32> {
    let NodeKind::Scalar(ScalarType::Integer | ScalarType::Decimal, digits) = &node.kind else {
        return value::unexpected(node, path, "a number of processors", problems);
    };
    let cpus = digits.parse().ok().filter(|cpus: &f64| (MIN_CPUS..=MAX_CPUS).contains(cpus));
    if cpus.is_none() {
        let message =
            format!("expected a number of processors from {MIN_CPUS} to {MAX_CPUS}, found {}", quoted(digits));
        problems.add(Problem::new(node.id, path, message).hint(NONE_HINT));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    cpus.map(|cpus| (cpus * 1000.0).round() as u32)
}

fn read_nice(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<i8> {
    value::integer(node, path, -20, 19, problems).and_then(|nice| i8::try_from(nice).ok())
}
