//! Checks that no two jobs of a file have the same `unique` key.

use std::collections::HashMap;
use std::sync::Arc;

use super::problems::{Problem, Problems};
use super::queue_jobs::ParsedQueue;
use super::spanned_value::Node;
use super::spelling::quoted;

/// Reports keys that several jobs have.
pub(super) fn check_unique_keys(root: &Node<'_>, queues: &[ParsedQueue], problems: &mut Problems) {
    let mut first: HashMap<Arc<str>, u32> = HashMap::new();
    for queue in queues {
        for job in &queue.jobs {
            let key = job.definition.as_ref().and_then(|definition| definition.scheduling.unique.clone());
            let node = || queue.entry_nodes(root)?.get(job.entry_index)?.get("unique");
            let Some((key, node)) = key.and_then(|key| Some((key, node()?))) else { continue };
            let problem = |message: String| {
                queue.with_paths(job.entry_index, |_, path| Problem::new(node.id, &path.key("unique"), message))
            };
            let problem = match first.get(&key) {
                Some(other) if *other == node.id => {
                    let problem = problem(format!("all jobs of this entry have the key {}", quoted(&key)));
                    problem.hint("add what they differ in: `${matrix.NAME}` or `${item}`")
                }
                Some(other) => {
                    problem(format!("duplicate key {}", quoted(&key))).with_related(*other, "first used here")
                }
                None => {
                    first.insert(key, node.id);
                    continue;
                }
            };
            problems.add(problem);
        }
    }
}
