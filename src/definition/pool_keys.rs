//! Pools by key: `pools: {api: {per: customer, size: 3}}` has three units for each customer.
//!
//! The key of a job is the value that it has under that name: of its matrix or item, of its `kwargs`, or of an input. It
//! becomes a part of the name of the pool that the job uses, such as `api[acme]`. That of an input is filled in when the
//! turn of the job is decided.

use std::collections::HashSet;
use std::sync::Arc;

use super::interner::Interner;
use super::pool_check::place;
use super::pools::PoolKeys;
use super::problems::Problems;
use super::queue_jobs::ParsedQueue;
use super::spanned_value::Node;
use super::spelling::quoted;
use crate::model::{Definition, InputDeclaration, PoolUse, SchedulingOptions, plain_text};

/// Fills in the keys of the pools that jobs use. Reports jobs without a key.
pub(super) fn fill_in_keys(
    root: &Node<'_>,
    queues: &mut [ParsedQueue],
    keys: &PoolKeys,
    interner: &mut Interner,
    problems: &mut Problems,
) {
    if keys.is_empty() {
        return;
    }
    let mut mistakes = Vec::new();
    for (nth, queue) in queues.iter_mut().enumerate() {
        let inputs = Arc::clone(&queue.settings.inputs);
        for job in &mut queue.jobs {
            let Some(definition) = &mut job.definition else { continue };
            if !definition.scheduling.uses.iter().any(|wanted| is_keyed(wanted, keys)) {
                continue;
            }
            let mut uses = definition.scheduling.uses.clone();
            for wanted in uses.iter_mut().filter(|wanted| is_keyed(wanted, keys)) {
                match find_key(definition, &inputs, &keys[&wanted.pool]) {
                    Ok(key) => *wanted = wanted.with_key(&key),
                    Err(mistake) => mistakes.push((nth, job.entry_index, wanted.clone(), mistake)),
                }
            }
            let scheduling = SchedulingOptions { uses, ..(*definition.scheduling).clone() };
            Arc::make_mut(definition).scheduling = interner.scheduling_options(scheduling);
        }
    }
    let mut reported = HashSet::new();
    for (nth, entry_index, wanted, (message, hint)) in mistakes {
        let problem = place(root, &queues[nth], entry_index, &wanted, &message, &mut reported);
        if let Some(problem) = problem {
            problems.add(problem.hint(hint));
        }
    }
}

fn is_keyed(wanted: &PoolUse, keys: &PoolKeys) -> bool {
    !wanted.mutex && keys.contains_key(&wanted.pool)
}

/// The key of a job, or the placeholder of the input that has it; or what is wrong, and what to write instead.
fn find_key(definition: &Definition, inputs: &[InputDeclaration], name: &str) -> Result<String, (String, String)> {
    let parameters = definition.matrix.as_deref();
    if let Some(value) = parameters.and_then(|values| values.get(name).or_else(|| values.get(&format!("item.{name}"))))
    {
        return Ok(value.to_owned());
    }
    if let Some(value) = definition.arguments.kwargs.get(name).filter(|value| !value.is_null()) {
        let value = plain_text(value);
        let is_input = value.strip_prefix("${inputs.").and_then(|rest| rest.strip_suffix('}')).is_some();
        if value.contains("${") && !is_input {
            let message = format!("the key {} must be known before the job starts", quoted(name));
            return Err((message, format!("write a value, or `${{inputs.{name}}}`, in `kwargs`")));
        }
        return Ok(value.into_owned());
    }
    match inputs.iter().find(|input| *input.name == *name) {
        Some(input) if input.is_secret() => {
            Err((format!("the secret input {} can't be a key", quoted(name)), "its value would be shown".to_owned()))
        }
        Some(_) => Ok(format!("${{inputs.{name}}}")),
        None => Err((
            format!("the pool is per {}, which the job doesn't have", quoted(name)),
            format!("add it to the job: `kwargs: {{{name}: …}}`, an item or a matrix with it, or an input"),
        )),
    }
}
