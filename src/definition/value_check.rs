//! Checks placeholders for the values of needed jobs when all queues are read: the job must be in `needs`, and the
//! placeholder not in a script.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::problems::{Problem, Problems};
use super::queue_jobs::{ParsedJob, ParsedQueue};
use super::spanned_value::{Node, NodeKind};
use super::spelling::{closest_name, quoted};
use super::value_path::ValuePath;
use crate::model::{
    Call, Definition, Interpreter, JobRef, Program, ValuePlaceholder, for_each_text, script_words, variable_name,
};

/// Whether the text of a file may have placeholders for values or inputs: most have none, and need no check. An escape may
/// hide one.
pub(super) fn may_have_placeholders(text: &str) -> bool {
    ["needs.", "inputs.", ".value", "\\"].into_iter().any(|part| text.contains(part))
}

/// Reports placeholders that can't be filled in.
pub(super) fn check_values(root: &Node<'_>, queues: &[ParsedQueue], problems: &mut Problems) {
    let mut reported = HashSet::new();
    for queue in queues {
        let names = OnceCell::new();
        let is_job = |name: &str| {
            names.get_or_init(|| queue.jobs.iter().map(|job| &*job.name).collect::<HashSet<&str>>()).contains(name)
        };
        for job in &queue.jobs {
            let Some(definition) = &job.definition else { continue };
            for Mistake { placeholder, message, hint } in mistakes(definition, job, queue, &is_job) {
                if let Some(problem) = place(root, queue, job, &placeholder, &message, &mut reported) {
                    problems.add(problem.hint(hint));
                }
            }
        }
    }
}

/// A placeholder that is wrong.
pub(super) struct Mistake {
    /// As it is written.
    pub(super) placeholder: String,
    /// What is wrong with it.
    pub(super) message: String,
    /// What to write instead.
    pub(super) hint: String,
}

/// The placeholders of a definition that are wrong.
fn mistakes(
    definition: &Definition,
    job: &ParsedJob,
    queue: &ParsedQueue,
    is_job: &dyn Fn(&str) -> bool,
) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut reject_script = |text: &str| {
        found.extend(ValuePlaceholder::find_all(text).map(|placeholder| {
            let message =
                format!("{} isn't allowed in a script, where the value would run as code", quoted(placeholder.text));
            let name = variable_name("SETLIST_NEEDS_", placeholder.job);
            Mistake {
                placeholder: placeholder.text.to_owned(),
                message,
                hint: format!("use `\"${name}\"`: the values of needed jobs are in the job's environment"),
            }
        }));
    };
    shell_scripts(definition).into_iter().for_each(&mut reject_script);
    for_each_text(definition, &mut |text| {
        for placeholder in
            ValuePlaceholder::find_all(text).filter(|found| !is_needed(found.job, definition, job, queue))
        {
            found.push(not_needed(&placeholder, definition, job));
        }
        found.extend(values_without_needs(text).filter(|(_, name)| is_job(name) || is_named_need(name, job)).map(
            |(placeholder, name)| {
                let filled = format!("${{needs.{}", &placeholder[2..]);
                let hint = if is_needed(name, definition, job, queue) {
                    format!("write {}", quoted(&filled))
                } else {
                    format!("write {}, and add `needs: [{name}]`", quoted(&filled))
                };
                Mistake {
                    placeholder: placeholder.to_owned(),
                    message: format!("{} would not be replaced", quoted(placeholder)),
                    hint,
                }
            },
        ));
    });
    found
}

/// Whether a job names another one in its `needs`.
fn is_named_need(name: &str, job: &ParsedJob) -> bool {
    job.needs.iter().any(|need| need.text == name)
}

/// Placeholders such as `${build.value}`, and the name in each.
fn values_without_needs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    // Most texts have no `$`.
    let has_any = memchr::memchr(b'$', text.as_bytes()).is_some();
    let starts = has_any.then(|| memchr::memmem::find_iter(text.as_bytes(), "${")).into_iter().flatten();
    starts.filter_map(|start| {
        let inside = &text[start + 2..];
        let end = inside.find(['}', '$']).filter(|end| inside[*end..].starts_with('}'))?;
        let placeholder = &text[start..=start + 2 + end];
        let (name, after) = placeholder[2..].split_once(".value")?;
        (after.starts_with(['.', '}']) && !name.is_empty()).then_some((placeholder, name))
    })
}

/// What is wrong with a placeholder for a job that is not needed as one job.
fn not_needed(placeholder: &ValuePlaceholder<'_>, definition: &Definition, job: &ParsedJob) -> Mistake {
    let (name, text) = (placeholder.job, quoted(placeholder.text));
    let needed = job.needs.iter().map(|need| need.text.as_str());
    let (message, hint) = if definition.name.as_deref() == Some(name) {
        let message = format!("{text} is the value of the job itself, which has none before it ends");
        (message, "use the value of a job that it needs".to_owned())
    } else if needed.clone().any(|known| known == name) {
        let message = format!("{text} is not the value of one job: {} means several", quoted(name));
        (message, format!("add one of them to `needs`, and use its value: {}", quoted(&format!("{name}[…]"))))
    } else {
        let hint = match closest_name(name, needed) {
            Some(known) => format!("did you mean {}?", quoted(&placeholder.text.replacen(name, known, 1))),
            None => format!("add it: `needs: [{name}]`"),
        };
        (format!("{text} is the value of a job that is not in `needs`"), hint)
    };
    Mistake { placeholder: placeholder.text.to_owned(), message, hint }
}

/// The texts that a shell runs for a job, with those of its conditions: a value in them would run as code.
pub(super) fn shell_scripts(definition: &Definition) -> Vec<&str> {
    let Call::Script(script) = &definition.call else { return Vec::new() };
    let conditions = script.exec.conditions.iter().flat_map(|conditions| conditions.programs());
    let programs = std::iter::once(&script.program).chain(conditions.map(|(_, program)| program));
    programs.flat_map(scripts_of).collect()
}

fn scripts_of(program: &Program) -> Vec<&str> {
    match program {
        Program::Run { text, shell } if shell.first().is_some_and(|shell| is_unix_shell(shell)) => vec![text.as_str()],
        // The language of the script may use the same syntax.
        Program::Run { .. } => Vec::new(),
        Program::Command(words) => script_words(words).into_iter().map(|nth| words[nth].as_str()).collect(),
    }
}

fn is_unix_shell(shell: &str) -> bool {
    Interpreter::from_program(shell).is_some_and(Interpreter::is_unix_shell)
}

/// Whether a job needs the job with this name. If needs could not be resolved, because of other errors, names are compared
/// as they are written.
fn is_needed(name: &str, definition: &Definition, job: &ParsedJob, queue: &ParsedQueue) -> bool {
    let is_same = |queue_id: &str, other: &str| {
        (queue_id == queue.id.as_str() && other == name) || name.rsplit_once('/') == Some((queue_id, other))
    };
    let resolved = &definition.scheduling.needs;
    if resolved.is_empty() {
        return job.needs.iter().any(|need| {
            let (queue_id, other) = need.text.rsplit_once('/').unwrap_or((queue.id.as_str(), &need.text));
            is_same(queue_id, other)
        });
    }
    resolved.iter().any(|need| match &need.job {
        JobRef::Named(queue_id, other) => is_same(queue_id.as_str(), other),
        JobRef::Number(_) => false,
    })
}

/// The problem with a placeholder, at the text that has it: of the job, its queue or the defaults. `None` if that place was
/// reported already.
pub(super) fn place(
    root: &Node<'_>,
    queue: &ParsedQueue,
    job: &ParsedJob,
    placeholder: &str,
    message: &str,
    reported: &mut HashSet<u32>,
) -> Option<Problem> {
    let entry = queue.entry_nodes(root)?.get(job.entry_index)?;
    let (queue_node, defaults_node) = (root.get("queues")?.get(queue.id.as_str())?, root.get("defaults"));
    let (id, problem) = queue.with_paths(job.entry_index, |queue_path, job_path| {
        let defaults_path = ValuePath::Top.key("defaults");
        find_text(entry, job_path, placeholder, message)
            .or_else(|| find_text(queue_node, queue_path, placeholder, message))
            .or_else(|| find_text(defaults_node?, &defaults_path, placeholder, message))
            // The text of a job of a matrix is not in the file.
            .unwrap_or_else(|| (entry.id, Problem::new(entry.id, job_path, message)))
    });
    reported.insert(id).then_some(problem)
}

/// The first text that contains a placeholder, in a map of fields without its jobs.
fn find_text(node: &Node<'_>, path: &ValuePath<'_>, placeholder: &str, message: &str) -> Option<(u32, Problem)> {
    match &node.kind {
        NodeKind::Scalar(_, text) => {
            text.contains(placeholder).then(|| (node.id, Problem::new(node.id, path, message)))
        }
        NodeKind::List(items) => {
            items.iter().enumerate().find_map(|(nth, item)| find_text(item, &path.item(nth), placeholder, message))
        }
        NodeKind::Map(entries) => entries
            .iter()
            .filter(|entry| entry.key.text != "jobs")
            .find_map(|entry| find_text(&entry.value, &path.key(&entry.key.text), placeholder, message)),
        _ => None,
    }
}
