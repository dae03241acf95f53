//! Checks the use of inputs when all queues are read: placeholders name inputs of their queue and are not in scripts, and
//! what a schedule starts needs no value from a user.

use std::collections::HashSet;

use super::problems::{Problem, Problems};
use super::queue_jobs::ParsedQueue;
use super::spanned_value::Node;
use super::spelling::{closest_name, quoted};
use super::value_check::{Mistake, place, shell_scripts};
use super::value_path::ValuePath;
use crate::model::{Definition, InputDeclaration, InputPlaceholder, for_each_text, input_placeholder, input_variable};

/// Reports placeholders that can't be filled in, and schedules whose jobs would wait for a value.
pub(super) fn check_inputs(
    root: &Node<'_>,
    queues: &[ParsedQueue],
    may_have_placeholders: bool,
    problems: &mut Problems,
) {
    let mut reported = HashSet::new();
    for queue in queues {
        let declared = &queue.settings.inputs;
        for job in queue.jobs.iter().filter(|_| may_have_placeholders) {
            let Some(definition) = &job.definition else { continue };
            for Mistake { placeholder, message, hint } in mistakes(definition, declared) {
                if let Some(problem) = place(root, queue, job, &placeholder, &message, &mut reported) {
                    problems.add(problem.hint(hint));
                }
            }
        }
        check_schedules(root, queue, problems);
    }
}

/// The placeholders of a definition that are wrong.
fn mistakes(definition: &Definition, declared: &[InputDeclaration]) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut reject_script = |text: &str| {
        found.extend(InputPlaceholder::find_all(text).map(|placeholder| Mistake {
            placeholder: placeholder.text.to_owned(),
            message: format!(
                "{} isn't allowed in a script, where the value would run as code",
                quoted(placeholder.text)
            ),
            hint: format!("use `\"${}\"`: inputs are in the job's environment", input_variable(placeholder.name)),
        }));
    };
    shell_scripts(definition).into_iter().for_each(&mut reject_script);
    for_each_text(definition, &mut |text| {
        let is_unknown = |found: &InputPlaceholder<'_>| declared.iter().all(|input| *input.name != *found.name);
        found.extend(InputPlaceholder::find_all(text).filter(is_unknown).map(|placeholder| {
            let name = placeholder.name;
            let hint = match closest_name(name, declared.iter().map(|input| &*input.name)) {
                Some(known) => format!("did you mean `{}`?", input_placeholder(known)),
                None => format!("add it to the queue, or at the top of the file: `inputs: {{{name}: DEFAULT}}`"),
            };
            Mistake { placeholder: placeholder.text.to_owned(), message: format!("no input {}", quoted(name)), hint }
        }));
    });
    found
}

/// Reports the schedule of a queue, or of one of its jobs, if an input has no default.
fn check_schedules(root: &Node<'_>, queue: &ParsedQueue, problems: &mut Problems) {
    let Some(input) = queue.settings.inputs.iter().find(|input| input.default.is_none()) else { return };
    let message = format!("the input {} has no default, and a schedule can't ask for a value", quoted(&input.name));
    let hint = format!("give it a default: `inputs: {{{}: {{default: …}}}}`", input.name);
    let top = ValuePath::Top;
    let queues = top.key("queues");
    let path = queues.key(queue.id.as_str());
    let node = root.get("queues").and_then(|queues| queues.get(queue.id.as_str()));
    if let Some(schedule) = node.and_then(|node| node.get("schedule"))
        && queue.settings.schedule.is_some()
    {
        problems.add(Problem::new(schedule.id, &path.key("schedule"), message).hint(hint));
        return;
    }
    let scheduled = queue
        .jobs
        .iter()
        .find(|job| job.definition.as_ref().is_some_and(|definition| definition.scheduling.schedule.is_some()));
    let Some(job) = scheduled else { return };
    let entry = queue.entry_nodes(root).and_then(|entries| entries.get(job.entry_index));
    if let Some(schedule) = entry.and_then(|entry| entry.get("schedule")) {
        let problem = queue
            .with_paths(job.entry_index, |_, job_path| Problem::new(schedule.id, &job_path.key("schedule"), message));
        problems.add(problem.hint(hint));
    }
}
