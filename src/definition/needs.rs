//! What jobs need: read where a job says it, and resolved when the jobs of all queues are known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::circle::{Circle, Edge, Graph};
use super::field::{self, OfNeed};
use super::lookup::Lookup;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::section::{Section, Slot};
use super::shared::Shared;
use super::tree::{Kind, Node};
use super::value;
use super::words::{listed, quoted};
use crate::model::{Need, On, Target, Terms};

/// A file in which jobs need more others than this, all taken together, is refused.
const MOST: usize = 1_000_000;
const TOO_MANY: &str = "the jobs of this file need more than 1,000,000 others, all taken together";
const GATHER: &str = "let one job need many, and the others that one";

/// So many jobs of a circle are named in a sentence.
const NAMED: usize = 4;

/// How a job has to finish, in words.
pub(super) const ON: [(&str, On); 3] = [("success", On::Success), ("failure", On::Failure), ("finish", On::Finish)];

/// A need as written.
pub(super) struct Written {
    /// The job, as this one names it.
    text: String,
    on: On,
    /// The number of the value that names the job.
    id: u32,
    /// Which of a list it is.
    nth: Option<usize>,
    /// Whether it is named under `job`.
    keyed: bool,
}

/// Reads a need or a list of them.
pub(super) fn read(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Vec<Written> {
    let Kind::List(items) = &node.kind else { return need(node, None, path, problems).into_iter().collect() };
    let items = items.iter().enumerate();
    items.filter_map(|(nth, node)| need(node, Some(nth), &path.item(nth), problems)).collect()
}

fn need(node: &Node<'_>, nth: Option<usize>, path: &Path<'_>, problems: &mut Problems) -> Option<Written> {
    let Kind::Map(entries) = &node.kind else {
        if !matches!(node.kind, Kind::Scalar(..)) {
            return value::unexpected(node, path, "a job's name, or a map of `job` and `on`", problems);
        }
        let text = value::filled(node, path, "the name", problems)?;
        return Some(Written { text, on: On::Success, id: node.id, nth, keyed: false });
    };
    let (mut job, mut on) = (None, On::Success);
    for entry in entries {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match OfNeed::of(&entry.key.text) {
            Some(OfNeed::Job) => job = Some((node.id, value::filled(node, path, "the name", problems))),
            Some(OfNeed::On) => on = value::word(node, path, &ON, problems).unwrap_or_default(),
            None => field::unknown_among(entry, OfNeed::ALL, path, problems),
        }
    }
    let Some((id, text)) = job else {
        let problem = Problem::new(node.id, path, "this need doesn't say which job is needed");
        problems.add(problem.expected("expected `job`: a name, or `queue/name`"));
        return None;
    };
    Some(Written { text: text?, on, id, nth, keyed: true })
}

/// Finds the jobs that are needed, and writes them into the terms of those that need them.
pub(super) fn resolve(sections: &mut [Section], shared: &mut Shared, problems: &mut Problems) {
    if sections.iter().flat_map(|section| &section.jobs).all(|slot| slot.needs.is_empty()) {
        return;
    }
    let graph = graph(sections, problems);
    for circle in graph.circles() {
        if let Some(problem) = wait_for_one_another(sections, &circle) {
            problems.add(problem);
        }
    }
    if !problems.is_empty() {
        return;
    }
    let targets = sections
        .iter()
        .flat_map(|section| section.jobs.iter().map(|slot| Target::Named(section.id.clone(), Arc::clone(&slot.name))));
    let targets: Vec<Target> = targets.collect();
    for (job, slot) in (0..).zip(sections.iter_mut().flat_map(|section| &mut section.jobs)) {
        let needs = graph.from(job).iter();
        let needs =
            needs.map(|edge| Need { job: targets[edge.to as usize].clone(), on: slot.needs[edge.need as usize].on });
        let needs: Vec<Need> = needs.collect();
        if let Some(definition) = slot.definition.as_mut().filter(|_| !needs.is_empty()) {
            let terms = shared.terms(Terms { needs, ..(*definition.terms).clone() });
            Arc::make_mut(definition).terms = terms;
        }
    }
}

/// Who needs whom. What is wrong with a need is told once, though the jobs of a matrix have it in common.
fn graph(sections: &[Section], problems: &mut Problems) -> Graph {
    let mut lookup = Lookup::new(sections);
    let mut wrong = HashSet::new();
    let mut graph = Graph::default();
    let mut job = 0;
    for section in sections {
        for slot in &section.jobs {
            let mut edges = Edges { section, slot, job, list: Vec::new(), known: HashMap::default() };
            for (need, written) in (0..).zip(&slot.needs) {
                if let Err(problem) = edges.add(need, written, &mut lookup)
                    && wrong.insert(written.id)
                {
                    problems.add(*problem);
                }
            }
            graph.push(edges.list);
            if graph.len() > MOST {
                let problem = slot.needs.last().map(|last| last.problem(section, slot, TOO_MANY));
                problems.add(problem.unwrap_or_else(|| Problem::in_file(TOO_MANY)).hint(GATHER));
                return Graph::default();
            }
            job += 1;
        }
    }
    graph
}

/// What one job needs.
struct Edges<'a> {
    section: &'a Section,
    slot: &'a Slot,
    job: u32,
    list: Vec<Edge>,
    /// By which of its needs a job is needed already, once there are many.
    known: HashMap<u32, u32, RandomState>,
}

impl Edges<'_> {
    fn add(&mut self, need: u32, written: &Written, lookup: &mut Lookup<'_>) -> Result<(), Box<Problem>> {
        let problem = |message: &str| written.problem(self.section, self.slot, message);
        let found = lookup.find(self.section, &written.text);
        let jobs = match found {
            Ok(jobs) => jobs,
            Err(None) => return Ok(()),
            Err(Some(unknown)) => {
                let problem = problem(&unknown.message);
                return Err(match unknown.hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                }
                .into());
            }
        };
        if jobs.contains(&self.job) {
            let many = jobs.len() > 1;
            let problem = problem(&format!("{} needs itself", quoted(&self.slot.name)));
            return Err(if many {
                problem.hint(format!("{} means all jobs of its matrix", quoted(&written.text))).into()
            } else {
                problem.into()
            });
        }
        for to in jobs {
            if let Some(first) = self.known(to) {
                let first = &self.slot.needs[first as usize];
                let problem = problem(&format!("{} is needed twice", quoted(&written.text)));
                return Err(problem.also(first.id, "first here").into());
            }
            self.list.push(Edge { to, need });
            if !self.known.is_empty() {
                self.known.insert(to, need);
            }
        }
        Ok(())
    }

    /// By which of its needs a job is needed already, if it is.
    fn known(&mut self, job: u32) -> Option<u32> {
        // Most jobs need so few that looking at every one is cheaper than hashing.
        if self.list.len() <= 16 {
            return self.list.iter().find(|edge| edge.to == job).map(|edge| edge.need);
        }
        if self.known.is_empty() {
            self.known.extend(self.list.iter().map(|edge| (edge.to, edge.need)));
        }
        self.known.get(&job).copied()
    }
}

impl Written {
    /// At the value that names the job.
    fn problem(&self, section: &Section, slot: &Slot, message: &str) -> Problem {
        let (top, queue) = (Path::Top, section.id.as_str());
        let (queues, jobs) = (top.key("queues"), "jobs");
        let queue = queues.key(queue);
        let jobs = if section.bare { queue } else { queue.key(jobs) };
        let job = jobs.item(slot.item);
        let needs = job.key("needs");
        let item = self.nth.map_or(needs, |nth| needs.item(nth));
        let path = if self.keyed { item.key("job") } else { item };
        Problem::new(self.id, &path, message)
    }
}

fn wait_for_one_another(sections: &[Section], circle: &Circle) -> Option<Problem> {
    let slots: HashMap<u32, (&Section, &Slot)> = {
        let wanted: HashSet<u32> = circle.edges.iter().flat_map(|(from, edge)| [*from, edge.to]).collect();
        let all = sections.iter().flat_map(|section| section.jobs.iter().map(move |slot| (section, slot)));
        (0..).zip(all).filter(|(job, _)| wanted.contains(job)).collect()
    };
    let across = slots.values().any(|(section, _)| section.id != slots[&circle.edges[0].0].0.id);
    let name = |job: u32| {
        let (section, slot) = slots[&job];
        if across { quoted(&format!("{}/{}", section.id, slot.name)) } else { quoted(&slot.name) }
    };
    let told = |(from, edge): &(u32, Edge)| {
        let (section, slot) = slots[from];
        (section, slot, &slot.needs[edge.need as usize], format!("{} needs {}", name(*from), name(edge.to)))
    };
    let message = if circle.length <= NAMED {
        let names: Vec<String> = circle.edges.iter().map(|(from, _)| name(*from)).collect();
        format!("{} wait for one another", listed(&names, "and"))
    } else {
        format!("{} jobs wait for one another in a circle", circle.length)
    };
    let mut edges = circle.edges.iter().map(told);
    let (section, slot, written, label) = edges.next()?;
    let problem = written.problem(section, slot, &message).expected(label);
    Some(
        edges
            .fold(problem, |problem, (.., written, label)| problem.also(written.id, label))
            .hint("leave out one of these needs"),
    )
}
