//! Finds jobs by the names that others have for them, and says what was probably meant when there is none.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::names::slug_of;
use super::section::Section;
use super::words::{closest, quoted};

/// So many names are compared with misspelt ones, all taken together.
const PATIENCE: usize = 200_000;

/// The jobs of a file by name. They are numbered in the file's order.
pub(super) struct Lookup<'a> {
    sections: &'a [Section],
    queues: HashMap<&'a str, Queue<'a>>,
    patience: usize,
}

struct Queue<'a> {
    section: &'a Section,
    /// Its jobs by name; those of a matrix also by their common one.
    jobs: HashMap<&'a str, Range<u32>, RandomState>,
}

/// That there is no job of a name.
pub(super) struct Unknown {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(sections: &'a [Section]) -> Self {
        let mut first = 0;
        let mut queues = HashMap::new();
        for section in sections {
            let mut jobs: HashMap<&str, Range<u32>, RandomState> = HashMap::default();
            jobs.reserve(section.jobs.len());
            jobs.extend((first..).zip(&section.jobs).map(|(number, slot)| (&*slot.name, number..number + 1)));
            jobs.extend(section.groups.iter().map(|(name, group)| (&**name, first + group.start..first + group.end)));
            first += u32::try_from(section.jobs.len()).unwrap_or(u32::MAX);
            queues.insert(section.id.as_str(), Queue { section, jobs });
        }
        Self { sections, queues, patience: PATIENCE }
    }

    /// The jobs that `text` means in a queue: `name`, or `queue/name`. Nothing is said when nobody can know, because the
    /// queue that should have them can't be read.
    pub(super) fn find(&mut self, section: &Section, text: &str) -> Result<Range<u32>, Option<Unknown>> {
        let (queue, name) = text.rsplit_once('/').unwrap_or((section.id.as_str(), text));
        let Some(known) = self.queues.get(queue) else {
            let queues = self.sections.iter().map(|section| section.id.as_str());
            let hint = closest(queue, queues).map(|meant| format!("did you mean `{meant}/{name}`?"));
            return Err(Some(Unknown { message: format!("there is no queue {}", quoted(queue)), hint }));
        };
        match known.jobs.get(name) {
            Some(jobs) => Ok(jobs.clone()),
            None if known.section.unsure => Err(None),
            None => {
                let message = if text.contains('/') {
                    format!("there is no job {} in the queue {}", quoted(name), quoted(queue))
                } else {
                    format!("there is no job {} in this queue", quoted(name))
                };
                let hint = if text.contains('/') {
                    self.like(queue, name).map(|meant| format!("did you mean `{queue}/{meant}`?"))
                } else {
                    self.hint(queue, name)
                };
                Err(Some(Unknown { message, hint }))
            }
        }
    }

    /// What to write instead of a name that a queue doesn't have.
    fn hint(&mut self, queue: &str, name: &str) -> Option<String> {
        if name.trim_start_matches('#').bytes().all(|byte| byte.is_ascii_digit()) {
            return Some("jobs of this file are needed by name".to_owned());
        }
        let others = |section: &&Section| section.id.as_str() != queue;
        let has = |section: &&Section| self.queues[section.id.as_str()].jobs.contains_key(name);
        if let Some(other) = self.sections.iter().filter(others).find(has) {
            return Some(format!("write `{}/{name}`", other.id));
        }
        if let Some(meant) = self.like(queue, name) {
            return Some(format!("did you mean `{meant}`?"));
        }
        let others = self.sections.iter().filter(others).map(|section| section.id.as_str());
        let others: Vec<&str> = others.collect();
        others.into_iter().find_map(|queue| Some(format!("did you mean `{queue}/{}`?", self.like(queue, name)?)))
    }

    /// A name of a queue's job that differs little, or that is made from what was written.
    fn like(&mut self, queue: &str, name: &str) -> Option<&'a str> {
        let known = self.queues.get(queue)?;
        let made = slug_of(name);
        if let Some((meant, _)) = known.jobs.get_key_value(&*made) {
            return Some(meant);
        }
        let section = known.section;
        self.patience = self.patience.checked_sub(section.jobs.len())?;
        let names = section.jobs.iter().map(|slot| &*slot.name);
        closest(&made, names.chain(section.groups.iter().map(|(name, _)| &**name)))
    }
}
