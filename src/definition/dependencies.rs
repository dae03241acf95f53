//! Resolves needs when all queues are read: finds the needed jobs, rejects cycles and completes the definitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::cycles::{Cycle, Edge, NeedGraph};
use super::interner::Interner;
use super::job_lookup::JobLookup;
use super::needs::UnresolvedNeed;
use super::problems::{Problem, Problems};
use super::queue_jobs::{ParsedJob, ParsedQueue};
use super::spelling::{join_list, quoted};
use super::value_path::ValuePath;
use crate::model::{JobRef, Need, SchedulingOptions};
use crate::text::count_noun;

/// The maximum number of needs in a file.
const MAX_NEEDS: usize = 1_000_000;
const TOO_MANY_NEEDS: &str = "the jobs of this file have more than 1,000,000 needs in total";
const TOO_MANY_NEEDS_HINT: &str = "let one job need the many, and the others need that one";

/// The maximum number of jobs of a cycle named in the message.
const MAX_NAMED_JOBS: usize = 4;

/// Resolves the needs of all jobs and adds them to the definitions.
pub(super) fn resolve(queues: &mut [ParsedQueue], interner: &mut Interner, problems: &mut Problems) {
    if queues.iter().flat_map(|queue| &queue.jobs).all(|dependent| dependent.needs.is_empty()) {
        return;
    }
    let graph = build_graph(queues, problems);
    for cycle in graph.cycles() {
        if let Some(problem) = cycle_problem(queues, &cycle) {
            problems.add(problem);
        }
    }
    if !problems.is_empty() {
        return;
    }
    let targets = queues.iter().flat_map(|queue| {
        queue.jobs.iter().map(|dependent| JobRef::Named(queue.id.clone(), Arc::clone(&dependent.name)))
    });
    let targets: Vec<JobRef> = targets.collect();
    for (job, dependent) in (0..).zip(queues.iter_mut().flat_map(|queue| &mut queue.jobs)) {
        let needs = graph.needs_of(job).iter();
        let needs = needs
            .map(|edge| Need { job: targets[edge.to as usize].clone(), on: dependent.needs[edge.need as usize].on });
        let needs: Vec<Need> = needs.collect();
        if let Some(definition) = dependent.definition.as_mut().filter(|_| !needs.is_empty()) {
            let options = interner.scheduling_options(SchedulingOptions { needs, ..(*definition.scheduling).clone() });
            Arc::make_mut(definition).scheduling = options;
        }
    }
}

/// Builds the graph of needs. The jobs of an entry share their needs, so an invalid need is reported once.
fn build_graph(queues: &[ParsedQueue], problems: &mut Problems) -> NeedGraph {
    let mut lookup = JobLookup::new(queues);
    let mut reported = HashSet::new();
    let mut graph = NeedGraph::default();
    let mut job = 0;
    for queue in queues {
        for dependent in &queue.jobs {
            let mut edges = NeedEdges { queue, dependent, job, edges: Vec::new(), first_needs: HashMap::default() };
            for (need, unresolved) in (0..).zip(&dependent.needs) {
                if let Err(problem) = edges.add_need(need, unresolved, &mut lookup)
                    && reported.insert(unresolved.id)
                {
                    problems.add(*problem);
                }
            }
            graph.push(edges.edges);
            if graph.len() > MAX_NEEDS {
                let problem = dependent.needs.last().map(|last| last.problem(queue, dependent, TOO_MANY_NEEDS));
                problems.add(problem.unwrap_or_else(|| Problem::in_file(TOO_MANY_NEEDS)).hint(TOO_MANY_NEEDS_HINT));
                return NeedGraph::default();
            }
            job += 1;
        }
    }
    graph
}

/// The needs of one job.
struct NeedEdges<'a> {
    queue: &'a ParsedQueue,
    dependent: &'a ParsedJob,
    job: u32,
    edges: Vec<Edge>,
    /// The first need of each job, filled when there are many.
    first_needs: HashMap<u32, u32, RandomState>,
}

impl NeedEdges<'_> {
    fn add_need(
        &mut self,
        need: u32,
        unresolved: &UnresolvedNeed,
        lookup: &mut JobLookup<'_>,
    ) -> Result<(), Box<Problem>> {
        let problem = |message: &str| unresolved.problem(self.queue, self.dependent, message);
        let found = lookup.find(self.queue, &unresolved.text);
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
            let problem = problem(&format!("{} needs itself", quoted(&self.dependent.name)));
            return Err(if many {
                problem
                    .hint(format!("{} means all jobs of its `matrix` or `for_each`", quoted(&unresolved.text)))
                    .into()
            } else {
                problem.into()
            });
        }
        for to in jobs {
            if let Some(first) = self.first_need(to) {
                let first = &self.dependent.needs[first as usize];
                let problem = problem(&format!("duplicate need {}", quoted(&unresolved.text)));
                return Err(problem.with_related(first.id, "first used here").into());
            }
            self.edges.push(Edge { to, need });
            if !self.first_needs.is_empty() {
                self.first_needs.insert(to, need);
            }
        }
        Ok(())
    }

    /// Returns the need that already names a job.
    fn first_need(&mut self, job: u32) -> Option<u32> {
        // Most jobs have so few needs that a linear search is faster than hashing.
        if self.edges.len() <= 16 {
            return self.edges.iter().find(|edge| edge.to == job).map(|edge| edge.need);
        }
        if self.first_needs.is_empty() {
            self.first_needs.extend(self.edges.iter().map(|edge| (edge.to, edge.need)));
        }
        self.first_needs.get(&job).copied()
    }
}

impl UnresolvedNeed {
    /// Creates a problem at the name of the needed job.
    fn problem(&self, queue: &ParsedQueue, dependent: &ParsedJob, message: &str) -> Problem {
        let top = ValuePath::Top;
        let queues = top.key("queues");
        let queue_path = queues.key(queue.id.as_str());
        let jobs = if queue.is_bare_list { queue_path } else { queue_path.key("jobs") };
        let job = jobs.item(dependent.entry_index);
        let needs = job.key("needs");
        let item = self.list_index.map_or(needs, |index| needs.item(index));
        let path = if self.has_job_key { item.key("job") } else { item };
        Problem::new(self.id, &path, message)
    }
}

fn cycle_problem(queues: &[ParsedQueue], cycle: &Cycle) -> Option<Problem> {
    let slots: HashMap<u32, (&ParsedQueue, &ParsedJob)> = {
        let in_cycle: HashSet<u32> = cycle.edges.iter().flat_map(|(from, edge)| [*from, edge.to]).collect();
        let all = queues.iter().flat_map(|queue| queue.jobs.iter().map(move |dependent| (queue, dependent)));
        (0..).zip(all).filter(|(job, _)| in_cycle.contains(job)).collect()
    };
    let spans_queues = slots.values().any(|(queue, _)| queue.id != slots[&cycle.edges[0].0].0.id);
    let name = |job: u32| {
        let (queue, dependent) = slots[&job];
        if spans_queues { quoted(&format!("{}/{}", queue.id, dependent.name)) } else { quoted(&dependent.name) }
    };
    let describe_edge = |(from, edge): &(u32, Edge)| {
        let (queue, dependent) = slots[from];
        (queue, dependent, &dependent.needs[edge.need as usize], format!("{} needs {}", name(*from), name(edge.to)))
    };
    let message = if cycle.length <= MAX_NAMED_JOBS {
        let names: Vec<String> = cycle.edges.iter().map(|(from, _)| name(*from)).collect();
        format!("dependency cycle between {}", join_list(&names, "and"))
    } else {
        format!("dependency cycle of {}", count_noun(cycle.length, "job"))
    };
    let mut edges = cycle.edges.iter().map(describe_edge);
    let (queue, dependent, unresolved, label) = edges.next()?;
    let problem = unresolved.problem(queue, dependent, &message).expected(label);
    Some(
        edges
            .fold(problem, |problem, (.., unresolved, label)| problem.with_related(unresolved.id, label))
            .hint("remove one of these needs"),
    )
}
