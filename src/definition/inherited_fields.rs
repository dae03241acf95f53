//! Fields that jobs inherit from their queue, and both from `defaults`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fields::InheritableJobField;
use super::limits::LimitFields;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::value_path::ValuePath;
use super::{hook, labels, pass_env, pools, program, retry, stall, start_checks, units, value};
use crate::model::{
    ExecOptions, Expectation, Hook, NotBefore, PassEnv, PoolUse, QueueHook, RetryPolicy, Schedule, SchedulingOptions,
    SnapshotKind, StallPolicy,
};

/// The inheritable fields of one level. `None` where the level doesn't set a field.
#[derive(Clone, Default)]
pub(super) struct InheritedFields {
    /// Merged by name across levels. All other fields but `limits` replace the outer value.
    pub(super) env: BTreeMap<String, Option<String>>,
    env_files: Option<Vec<PathBuf>>,
    pass_env: Option<PassEnv>,
    /// Those of the file, which only the defaults have.
    pub(super) secrets: Option<Arc<[String]>>,
    pub(super) shell: Option<Arc<Vec<String>>>,
    cwd: Option<PathBuf>,
    snapshot: Option<Override<SnapshotKind>>,
    timeout: Option<Override<Duration>>,
    grace: Option<Duration>,
    retry: Option<RetryPolicy>,
    /// A zero delay means `none`.
    after: Option<NotBefore>,
    priority: Option<i32>,
    weight: Option<u32>,
    runs_on: Option<Vec<Arc<str>>>,
    uses: Option<Vec<PoolUse>>,
    mutex: Option<Override<PoolUse>>,
    ok_codes: Option<Arc<[i32]>>,
    pty: Option<bool>,
    log_limit: Option<u64>,
    /// Merged by limit across levels.
    limits: LimitFields,
    on_finish: Option<Override<Arc<Hook>>>,
    stall: Option<Override<StallPolicy>>,
    on_stall: Option<Override<Arc<Hook>>>,
    on_overdue: Option<Override<Arc<Hook>>>,
    pub(super) tags: Option<Vec<String>>,
}

impl InheritedFields {
    /// Reads a field if it is inheritable; `path` is the field's path. Returns whether it is.
    pub(super) fn read_field(&mut self, entry: &MapEntry<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> bool {
        let node = &entry.value;
        let Some(field) = InheritableJobField::from_name(&entry.key.text) else { return false };
        match field {
            InheritableJobField::EnvFile => self.env_files = read_env_files(node, path, problems),
            InheritableJobField::PassEnv => self.pass_env = pass_env::read_pass_env(node, path, problems),
            InheritableJobField::Env => self.env = value::env_variables(node, path, problems).unwrap_or_default(),
            InheritableJobField::Shell => self.shell = program::read_shell(node, path, problems).map(Into::into),
            InheritableJobField::Cwd => self.cwd = read_path(node, path, problems),
            InheritableJobField::Snapshot => self.snapshot = start_checks::read_snapshot(node, path, problems),
            InheritableJobField::Timeout => self.timeout = read_timeout(node, path, problems),
            InheritableJobField::Grace => self.grace = value::duration(node, path, problems),
            InheritableJobField::Retry => self.retry = retry::read_retry(node, path, problems),
            InheritableJobField::After => self.after = read_after(node, path, problems),
            InheritableJobField::Priority => {
                self.priority = read_integer(node, path, i32::MIN.into()..=i32::MAX.into(), problems);
            }
            InheritableJobField::Weight => self.weight = read_integer(node, path, 1..=u32::MAX.into(), problems),
            InheritableJobField::RunsOn => self.runs_on = labels::read_labels(node, path, problems),
            InheritableJobField::Uses => self.uses = pools::read_uses(node, path, problems),
            InheritableJobField::Mutex => self.mutex = pools::read_mutex(node, path, problems),
            InheritableJobField::OkCodes => self.ok_codes = read_ok_codes(node, path, problems).map(Into::into),
            InheritableJobField::Pty => self.pty = value::boolean(node, path, problems),
            InheritableJobField::LogLimit => self.log_limit = read_log_limit(node, path, problems),
            InheritableJobField::Limits => self.limits = LimitFields::read(node, path, problems),
            InheritableJobField::OnFinish => self.on_finish = hook::read_hook("on_finish", node, path, problems),
            InheritableJobField::Stall => self.stall = stall::read_stall(node, path, problems),
            InheritableJobField::OnStall => self.on_stall = hook::read_hook("on_stall", node, path, problems),
            InheritableJobField::OnOverdue => self.on_overdue = hook::read_hook("on_overdue", node, path, problems),
            InheritableJobField::Tags => {
                self.tags = value::list(node, path, "a list of tags", problems, |node, path, problems| {
                    value::non_empty_text(node, path, "the tag", problems)
                });
            }
        }
        true
    }

    /// Whether a field is inheritable.
    pub(super) fn is_inheritable(entry: &MapEntry<'_>) -> bool {
        InheritableJobField::from_name(&entry.key.text).is_some()
    }

    /// Adds a variable, unless this level sets it.
    pub(super) fn add_variable(&mut self, name: String, value: String) {
        self.env.entry(name).or_insert(Some(value));
    }

    /// Fills unset fields from the outer level.
    pub(super) fn inherit_from(mut self, outer: &Self) -> Self {
        for (name, value) in &outer.env {
            if !self.env.contains_key(name) {
                self.env.insert(name.clone(), value.clone());
            }
        }
        Self {
            env: self.env,
            env_files: self.env_files.or_else(|| outer.env_files.clone()),
            pass_env: self.pass_env.or_else(|| outer.pass_env.clone()),
            secrets: self.secrets.or_else(|| outer.secrets.clone()),
            shell: self.shell.or_else(|| outer.shell.clone()),
            cwd: self.cwd.or_else(|| outer.cwd.clone()),
            snapshot: self.snapshot.or(outer.snapshot),
            timeout: self.timeout.or(outer.timeout),
            grace: self.grace.or(outer.grace),
            retry: self.retry.or_else(|| outer.retry.clone()),
            after: self.after.or(outer.after),
            priority: self.priority.or(outer.priority),
            weight: self.weight.or(outer.weight),
            runs_on: self.runs_on.or_else(|| outer.runs_on.clone()),
            uses: self.uses.or_else(|| outer.uses.clone()),
            mutex: self.mutex.or_else(|| outer.mutex.clone()),
            ok_codes: self.ok_codes.or_else(|| outer.ok_codes.clone()),
            pty: self.pty.or(outer.pty),
            log_limit: self.log_limit.or(outer.log_limit),
            limits: self.limits.inherit_from(outer.limits),
            on_finish: self.on_finish.or_else(|| outer.on_finish.clone()),
            stall: self.stall.or(outer.stall),
            on_stall: self.on_stall.or_else(|| outer.on_stall.clone()),
            on_overdue: self.on_overdue.or_else(|| outer.on_overdue.clone()),
            tags: self.tags.or_else(|| outer.tags.clone()),
        }
    }

    /// The approximate memory size of a copy, in bytes.
    pub(super) fn memory_size(&self) -> usize {
        let variables = self.env.iter();
        let variables =
            variables.map(|(name, value)| 2 * size_of::<String>() + name.len() + value.as_ref().map_or(0, String::len));
        let files = self.env_files.iter().flatten();
        let files = files.map(|file| size_of::<PathBuf>() + file.as_os_str().len());
        let passed = if let Some(PassEnv::Names(names)) = &self.pass_env { &names[..] } else { &[] };
        let passed = passed.iter().map(|name| size_of::<String>() + name.len());
        let uses = self.uses.iter().flatten().map(|wanted| size_of::<PoolUse>() + wanted.pool.len());
        let labels = self.runs_on.iter().flatten().map(|label| size_of::<Arc<str>>() + label.len());
        variables.chain(labels).chain(files).chain(passed).chain(uses).sum::<usize>() + self.tags_memory_size()
    }

    /// The approximate memory size of the tags, in bytes.
    pub(super) fn tags_memory_size(&self) -> usize {
        self.tags.iter().flatten().map(|tag| size_of::<String>() + tag.len()).sum()
    }

    /// The execution options of a job with this standard input, with defaults for unset fields.
    pub(super) fn exec_options(&self, stdin: Option<String>) -> ExecOptions {
        let defaults = ExecOptions::shared_default();
        ExecOptions {
            env: self.env.clone(),
            env_files: self.env_files.clone().unwrap_or_default(),
            pass_env: self.pass_env.clone().unwrap_or_default(),
            secrets: self.secrets.clone().unwrap_or_default(),
            cwd: self.cwd.clone(),
            snapshot: self.snapshot.and_then(Override::into_option),
            stdin,
            timeout: self.timeout.and_then(Override::into_option),
            grace: self.grace.unwrap_or(defaults.grace),
            ok_codes: self.ok_codes.clone().unwrap_or_else(ExecOptions::default_ok_codes),
            pty: self.pty.unwrap_or(defaults.pty),
            log_limit: self.log_limit.unwrap_or(defaults.log_limit),
            limits: self.limits.limits(),
            conditions: None,
            files: None,
            on_finish: self.on_finish.clone().and_then(Override::into_option),
            stall: self.stall.and_then(Override::into_option),
            on_stall: self.on_stall.clone().and_then(Override::into_option),
            on_overdue: self.on_overdue.clone().and_then(Override::into_option),
        }
    }

    /// The hook for an overdue queue whose fields these are, with the variables that it sets.
    pub(super) fn overdue_hook(&self) -> Option<Arc<QueueHook>> {
        let hook = self.on_overdue.clone().and_then(Override::into_option)?;
        Some(Arc::new(QueueHook { hook, env: self.env.clone() }))
    }

    /// Whether this level itself sets a hook for what is overdue.
    pub(super) fn has_overdue_hook(&self) -> bool {
        matches!(self.on_overdue, Some(Override::Set(_)))
    }

    /// Whether a job of this level runs on a snapshot.
    pub(super) fn has_snapshot(&self, outer: &Self) -> bool {
        matches!(self.snapshot.or(outer.snapshot), Some(Override::Set(_)))
    }

    /// Whether this level itself sets a hook for stalled runs, and whether it has none that could stall.
    pub(super) fn has_useless_stall_hook(&self, outer: &Self) -> bool {
        let is_set = matches!(self.on_stall, Some(Override::Set(_)));
        is_set && self.stall.or(outer.stall).and_then(Override::into_option).is_none()
    }

    /// The scheduling options of a job with this confirmation question, schedule and expectation, with defaults for unset fields and
    /// without needs.
    pub(super) fn scheduling_options(
        &self,
        confirm: Option<String>,
        schedule: Option<Arc<Schedule>>,
        expect: Option<Arc<Expectation>>,
    ) -> SchedulingOptions {
        let mutex = self.mutex.clone().and_then(Override::into_option);
        SchedulingOptions {
            needs: Vec::new(),
            after: self.after.filter(|after| *after != NotBefore::Delay(Duration::ZERO)),
            priority: self.priority.unwrap_or_default(),
            weight: self.weight.unwrap_or(1),
            retry: self.retry.clone().unwrap_or_else(RetryPolicy::never),
            confirm,
            schedule,
            uses: self.uses.iter().flatten().cloned().chain(mutex).collect(),
            runs_on: self.runs_on.clone().unwrap_or_default(),
            unique: None,
            expect,
            item_entries: Vec::new(),
        }
    }
}

/// Reads a positive duration or `none`.
fn read_timeout(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Override<Duration>> {
    if matches!(&node.kind, NodeKind::Scalar(ScalarType::Text, text) if text == "none") {
        return Some(Override::Clear);
    }
    let limit = value::duration(node, path, problems)?;
    if limit.is_zero() {
        let problem = Problem::new(node.id, path, "a timeout must be at least 1ms");
        problems.add(problem.hint("use `none` for no timeout"));
        return None;
    }
    Some(Override::Set(limit))
}

/// Reads a delay, a time or `none`, which is a zero delay.
fn read_after(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<NotBefore> {
    if matches!(&node.kind, NodeKind::Scalar(ScalarType::Text, text) if text == "none") {
        return Some(NotBefore::Delay(Duration::ZERO));
    }
    value::after(node, path, problems)
}

fn read_integer<T: TryFrom<i64>>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    range: RangeInclusive<i64>,
    problems: &mut Problems,
) -> Option<T> {
    value::integer(node, path, *range.start(), *range.end(), problems).and_then(|number| T::try_from(number).ok())
}

fn read_log_limit(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u64> {
    let limit = value::size(node, path, problems)?;
    units::check_log_limit(limit).map_err(|reason| problems.add(Problem::new(node.id, path, reason))).ok()
}

/// Reads a path. It may start with `~`, which is expanded when a run starts.
fn read_path(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<PathBuf> {
    if matches!(node.kind, NodeKind::Null) {
        let problem = Problem::new(node.id, path, "expected a path, found nothing");
        problems.add(problem.hint("write `'~'` for the home folder"));
        return None;
    }
    let text = value::non_empty_text(node, path, "the path", problems)?;
    if let Some(variable) = variable_in(&text) {
        let problem = Problem::new(node.id, path, format!("the variable {} is not expanded here", quoted(variable)));
        problems.add(problem.hint("write `~` for the home folder, or change the folder in the script"));
        return None;
    }
    let first = text.split('/').next().unwrap_or_default();
    if first.len() > 1 && first.starts_with('~') {
        let problem = Problem::new(node.id, path, format!("the home folder of another user: {}", quoted(first)));
        problems.add(problem.hint(format!("only `~/` is expanded; for a folder with this name write `./{first}`")));
        return None;
    }
    Some(text.into())
}

/// Finds an environment variable in a path: `$HOME`, `${HOME}`.
fn variable_in(path: &str) -> Option<&str> {
    let start = path.find('$')?;
    let name = path[start + 1..].trim_start_matches('{');
    let end = name.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(name.len());
    let braces = usize::from(path[start + 1..].starts_with('{'));
    (end > 0).then(|| &path[start..(start + 1 + end + 2 * braces).min(path.len())])
}

/// Reads a path or a list of paths.
fn read_env_files(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<PathBuf>> {
    match node.kind {
        NodeKind::Scalar(..) => read_path(node, path, problems).map(|file| vec![file]),
        _ => value::list(node, path, "a path or a list of paths", problems, read_path),
    }
}

fn read_ok_codes(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<i32>> {
    let codes = value::list(node, path, "a list of exit codes", problems, |node, path, problems| {
        value::integer(node, path, 0, 255, problems).and_then(|code| i32::try_from(code).ok())
    })?;
    if matches!(&node.kind, NodeKind::List(items) if items.is_empty()) {
        problems.add(Problem::new(node.id, path, "`ok_codes` must not be empty"));
        return None;
    }
    Some(codes)
}
