//! Resolves needs when all queues are read: finds the needed jobs, rejects cycles and completes the definitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::cycles::{Cycle, Edge, NeedGraph};
use super::interner::Interner;
use super::items::ItemProducer;
use super::job_lookup::{JobLookup, UnknownJob};
use super::needs::{NeedPlace, UnresolvedNeed};
use super::problems::{Problem, Problems};
use super::queue_jobs::{JobGroup, ParsedJob, ParsedQueue};
use super::spelling::{join_list, quoted};
use super::value_path::ValuePath;
use crate::model::{JobRef, Need, OutcomeCondition, SchedulingOptions};
use crate::text::count_noun;

/// The maximum number of needs in a file.
const MAX_NEEDS: usize = 1_000_000;
const TOO_MANY_NEEDS: &str = "the jobs of this file have more than 1,000,000 needs in total";
const TOO_MANY_NEEDS_HINT: &str = "let one job need the many, and the others need that one";

/// The maximum number of jobs of a cycle named in the message.
const MAX_NAMED_JOBS: usize = 4;

/// Resolves the needs of all jobs and adds them to the definitions.
pub(super) fn resolve(queues: &mut [ParsedQueue], interner: &mut Interner, problems: &mut Problems) {
    let has_values = queues.iter().flat_map(|queue| &queue.groups).any(|group| group.producer.is_some());
    if !has_values && queues.iter().flat_map(|queue| &queue.jobs).all(|dependent| dependent.needs.is_empty()) {
        return;
    }
    let (graph, producers) = build_graph(queues, problems);
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
        let needs = needs.map(|edge| Need { job: targets[edge.to as usize].clone(), on: condition(edge, dependent) });
        let needs: Vec<Need> = needs.collect();
        let item_entries = producers.get(&job).cloned().unwrap_or_default();
        let has_more = !needs.is_empty() || !item_entries.is_empty();
        if let Some(definition) = dependent.definition.as_mut().filter(|_| has_more) {
            let options = SchedulingOptions { needs, item_entries, ..(*definition.scheduling).clone() };
            let options = interner.scheduling_options(options);
            Arc::make_mut(definition).scheduling = options;
        }
    }
}

/// The required outcome of a need.
fn condition(edge: &Edge, dependent: &ParsedJob) -> OutcomeCondition {
    match dependent.needs[edge.need as usize].on {
        // The failure of the items is required, not that of the job that returns them.
        OutcomeCondition::Failure if edge.is_implied => OutcomeCondition::Success,
        on => on,
    }
}

/// The entries that define a job for each item of the list that a job returns, by the number of that job.
type Producers = HashMap<u32, Vec<Arc<str>>>;

/// Finds the jobs that return the items of entries.
fn find_producers(
    queues: &[ParsedQueue],
    lookup: &mut JobLookup<'_>,
    reported: &mut HashSet<u32>,
    problems: &mut Problems,
) -> Producers {
    let mut producers = Producers::new();
    for queue in queues {
        for group in &queue.groups {
            let Some(ItemProducer { text, id }) = &group.producer else { continue };
            let path = |message: &str| {
                queue.with_paths(group.entry_index, |_, entry| {
                    Problem::new(*id, &entry.key("for_each").key("value"), message)
                })
            };
            if let Some(job) = lookup.find_producer(queue, group) {
                producers.entry(job).or_default().push(format!("{}/{}", queue.id, group.name).into());
                continue;
            }
            let problem = match lookup.find(queue, text) {
                Ok(_) => path(&format!("{} is not one job", quoted(text)))
                    .hint("let one job return the list of all items".to_owned()),
                Err(None) => continue,
                Err(Some(UnknownJob { message, hint })) => match hint {
                    Some(hint) => path(&message).hint(hint),
                    None => path(&message),
                },
            };
            if reported.insert(*id) {
                problems.add(problem);
            }
        }
    }
    producers
}

/// Builds the graph of needs. The jobs of an entry share their needs, so an invalid need is reported once.
fn build_graph(queues: &[ParsedQueue], problems: &mut Problems) -> (NeedGraph, Producers) {
    let mut lookup = JobLookup::new(queues);
    let mut reported = HashSet::new();
    let producers = find_producers(queues, &mut lookup, &mut reported, problems);
    let mut graph = NeedGraph::default();
    let mut job = 0;
    for queue in queues {
        for dependent in &queue.jobs {
            let mut edges = NeedEdges {
                queue,
                needs: &dependent.needs,
                name: &dependent.name,
                entry_index: dependent.entry_index,
                job,
                edges: Vec::new(),
                positions: HashMap::default(),
            };
            for (need, unresolved) in (0..).zip(&dependent.needs) {
                if let Err(problem) = edges.add_need(need, unresolved, &mut lookup)
                    && reported.insert(unresolved.id)
                {
                    problems.add(*problem);
                }
            }
            graph.push(edges.edges);
            if graph.len() > MAX_NEEDS {
                let problem =
                    dependent.needs.last().map(|last| last.problem(queue, dependent.entry_index, TOO_MANY_NEEDS));
                problems.add(problem.unwrap_or_else(|| Problem::in_file(TOO_MANY_NEEDS)).hint(TOO_MANY_NEEDS_HINT));
                return (NeedGraph::default(), producers);
            }
            job += 1;
        }
        for group in &queue.groups {
            check_template(queue, group, &mut lookup, &mut reported, problems);
        }
    }
    (graph, producers)
}

/// Checks what the jobs of an entry would need that has none now.
fn check_template(
    queue: &ParsedQueue,
    group: &JobGroup,
    lookup: &mut JobLookup<'_>,
    reported: &mut HashSet<u32>,
    problems: &mut Problems,
) {
    let JobGroup { name, entry_index, template_needs, .. } = group;
    let edges = Vec::new();
    let mut checked = NeedEdges {
        queue,
        needs: template_needs,
        name,
        entry_index: *entry_index,
        job: u32::MAX,
        edges,
        positions: HashMap::default(),
    };
    for (need, unresolved) in (0..).zip(template_needs) {
        if let Err(problem) = checked.add_need(need, unresolved, lookup)
            && reported.insert(unresolved.id)
        {
            problems.add(*problem);
        }
    }
}

/// The needs of one job.
struct NeedEdges<'a> {
    queue: &'a ParsedQueue,
    needs: &'a [UnresolvedNeed],
    /// Its name.
    name: &'a str,
    entry_index: usize,
    job: u32,
    edges: Vec<Edge>,
    /// The position of the edge to each job, filled when there are many.
    positions: HashMap<u32, usize, RandomState>,
}

impl NeedEdges<'_> {
    fn add_need(
        &mut self,
        need: u32,
        unresolved: &UnresolvedNeed,
        lookup: &mut JobLookup<'_>,
    ) -> Result<(), Box<Problem>> {
        let (queue, entry_index) = (self.queue, self.entry_index);
        let problem = |message: &str| unresolved.problem(queue, entry_index, message);
        if let Some((of, group)) = lookup.entry_of_item(self.queue, &unresolved.text)
            && self.producer(lookup) != lookup.find_producer(of, group)
        {
            let message = format!("an item of {} isn't known before its list", quoted(&group.name));
            let of_all =
                if of.id == self.queue.id { group.name.to_string() } else { format!("{}/{}", of.id, group.name) };
            return Err(problem(&message).hint(format!("need all of them: `{of_all}`")).into());
        }
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
            let problem = problem(&format!("{} needs itself", quoted(self.name)));
            return Err(if many {
                problem
                    .hint(format!("{} means all jobs of its `matrix` or `for_each`", quoted(&unresolved.text)))
                    .into()
            } else {
                problem.into()
            });
        }
        for to in jobs {
            self.add_edge(Edge { to, need, is_implied: unresolved.is_implied }, unresolved)?;
        }
        // All items are known when the job that returns them has succeeded.
        for (of, group) in lookup.entries_of_values(self.queue, &unresolved.text) {
            match lookup.find_producer(of, group) {
                Some(to) if to == self.job => {
                    let message = format!("{} needs itself", quoted(self.name));
                    let hint = format!("{} has a job for each item that it returns", quoted(&group.name));
                    return Err(problem(&message).hint(hint).into());
                }
                Some(to) => self.add_edge(Edge { to, need, is_implied: true }, unresolved)?,
                None => {}
            }
        }
        Ok(())
    }

    /// The job that returns the item of this one.
    fn producer(&self, lookup: &JobLookup<'_>) -> Option<u32> {
        let is_of = |group: &&JobGroup| group.entry_index == self.entry_index;
        lookup.find_producer(self.queue, self.queue.groups.iter().find(is_of)?)
    }

    fn add_edge(&mut self, edge: Edge, unresolved: &UnresolvedNeed) -> Result<(), Box<Problem>> {
        if let Some(position) = self.position(edge.to) {
            let first = &mut self.edges[position];
            let first_need = &self.needs[first.need as usize];
            if !edge.is_implied && first.is_implied {
                *first = edge;
            } else if !edge.is_implied {
                let message = format!("duplicate need {}", quoted(&unresolved.text));
                let problem = unresolved.problem(self.queue, self.entry_index, &message);
                return Err(problem.with_related(first_need.id, "first used here").into());
            } else if unresolved.is_implied && first_need.on != OutcomeCondition::Success {
                let message = format!("{} must succeed: its value is the list of items", quoted(&first_need.text));
                return Err(first_need.problem(self.queue, self.entry_index, &message).into());
            }
            return Ok(());
        }
        if !self.positions.is_empty() {
            self.positions.insert(edge.to, self.edges.len());
        }
        self.edges.push(edge);
        Ok(())
    }

    /// Returns the position of the edge to a job.
    fn position(&mut self, job: u32) -> Option<usize> {
        // Most jobs have so few needs that a linear search is faster than hashing.
        if self.edges.len() <= 16 {
            return self.edges.iter().position(|edge| edge.to == job);
        }
        if self.positions.is_empty() {
            self.positions.extend(self.edges.iter().enumerate().map(|(position, edge)| (edge.to, position)));
        }
        self.positions.get(&job).copied()
    }
}

impl UnresolvedNeed {
    /// Creates a problem at the name of the needed job.
    fn problem(&self, queue: &ParsedQueue, entry_index: usize, message: &str) -> Problem {
        let top = ValuePath::Top;
        let queues = top.key("queues");
        let queue_path = queues.key(queue.id.as_str());
        let jobs = if queue.is_bare_list { queue_path } else { queue_path.key("jobs") };
        let job = jobs.item(entry_index);
        let NeedPlace::Needs { list_index, has_job_key } = self.place else {
            return Problem::new(self.id, &job.key("for_each").key("value"), message);
        };
        let needs = job.key("needs");
        let item = list_index.map_or(needs, |index| needs.item(index));
        let path = if has_job_key { item.key("job") } else { item };
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
    let problem = unresolved.problem(queue, dependent.entry_index, &message).expected(label);
    Some(
        edges
            .fold(problem, |problem, (.., unresolved, label)| problem.with_related(unresolved.id, label))
            .hint("remove one of these needs"),
    )
}
