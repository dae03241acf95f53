//! Floor 1: `jobs.yaml` read into the model, with diagnostics for all that is wrong with it.
//!
//! [`parse`] goes in three steps: the text becomes a `tree` whose values know where they stand, merge keys and
//! duplicates are `resolve`d, and the fields are checked and become a [`Plan`], in which at last jobs find those that
//! they need. Problems are collected on the way and turned into [`Diagnostics`] at the end, so that all of a file's
//! errors are told at once.

mod blanks;
mod circle;
mod diagnostic;
mod digest;
pub(crate) mod document;
mod field;
mod file;
mod find;
mod hook;
mod inherit;
mod job;
mod keep;
mod lookup;
mod matrix;
mod names;
mod needs;
mod nesting;
mod path;
mod plan;
mod problems;
mod resolve;
mod retry;
pub mod save;
mod schema;
mod section;
mod shared;
mod source;
mod syntax;
mod tree;
mod value;
mod words;
pub mod written;

pub use diagnostic::{Diagnostic, Diagnostics, Related, Snippet};
pub use file::{Error, LARGEST, read, stamp};
pub use find::{CONFIG_NAME, FILE_NAME, find, find_all, own, own_config};
pub use schema::schema;

use problems::{Problem, Problems};
use source::Source;

use crate::model::{Plan, QueuePlan};

/// A short commented `jobs.yaml` to start from; its jobs harm nothing.
pub const STARTER: &str = include_str!("starter.yaml");

/// Checks the text of a file called `name` in messages. The plan has no stamp: it is of no file's version.
pub fn parse(name: &str, text: &str) -> Result<Plan, Diagnostics> {
    let source = Source::new(text);
    let mut problems = Problems::default();
    let queues = check(&source, &mut problems);
    if problems.is_empty() { Ok(Plan { stamp: String::new(), queues }) } else { Err(problems.locate(name, &source)) }
}

/// The line, from 1, on which the entry of the job `queue/name` starts. A file with errors is searched as far as it
/// can be read.
pub fn line_of(text: &str, queue: &str, name: &str) -> Option<usize> {
    let source = Source::new(text);
    let entry = plan::entry_of(&tree(&source, &mut Problems::default())?, queue, name)?;
    let (_, place) = tree::read(&source, &[entry]).ok()?.places.into_iter().find(|(id, _)| *id == entry)?;
    Some(source.line_number(source.line_around(place.start).start))
}

fn check(source: &Source<'_>, problems: &mut Problems) -> Vec<QueuePlan> {
    tree(source, problems).map(|root| plan::queues(&root, problems)).unwrap_or_default()
}

/// The text as a resolved tree, if it can be read at all.
fn tree<'s>(source: &Source<'s>, problems: &mut Problems) -> Option<tree::Node<'s>> {
    if source.text.len() as u64 > LARGEST {
        let problem = Problem::in_file(format!("the file is larger than {} MiB", LARGEST / (1024 * 1024)));
        problems.add(problem.hint(syntax::FEWER));
        return None;
    }
    if let Some(excess) = nesting::excess(source.text) {
        problems.add(excess.problem());
        return None;
    }
    match tree::read(source, &[]) {
        Ok(reading) => {
            let mut root = reading.root;
            problems.marks = reading.marks;
            resolve::resolve(&mut root, &path::Path::Top, problems);
            Some(root)
        }
        Err(fault) => {
            problems.add(syntax::problem(&fault, source));
            None
        }
    }
}
