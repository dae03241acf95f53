//! Jobs with thousands of needs, and chains of thousands of jobs. Quadratic time would take minutes here.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use setlist::Command;
use setlist::model::{
    Definition, Event, JobId, JobRef, Need, Outcome, OutcomeCondition, Phase, QueueId, QueueMode, Refusal, RunReport,
    SchedulingOptions, Script, Site, WorkerId, WorkerOptions,
};

/// A site in memory with a worker and one queue.
struct Graph {
    site: Site,
    now: DateTime<Utc>,
}

impl Graph {
    /// `count` jobs; `needs` returns the ids of the jobs that a job needs.
    fn new(count: u64, needs: impl Fn(u64) -> Vec<u64>) -> Self {
        let mut graph = Self { site: Site::new(), now: DateTime::UNIX_EPOCH };
        let definition = |id: u64| {
            let need = |id: u64| Need { job: JobRef::Number(JobId(id)), on: OutcomeCondition::Success };
            let needs = needs(id).into_iter().map(need).collect();
            let scheduling = Arc::new(SchedulingOptions { needs, ..SchedulingOptions::default() });
            Arc::new(Definition { scheduling, ..Definition::new(Script::shell("true")) })
        };
        for id in 1..=count {
            graph.submit(&Command::Add { queue: queue(), jobs: vec![definition(id)] });
        }
        graph.submit(&Command::Join {
            host: "here".to_owned(),
            pid: 1,
            queues: None,
            options: WorkerOptions::default(),
        });
        graph
    }

    fn submit(&mut self, command: &Command) -> Vec<Event> {
        self.try_submit(command).unwrap()
    }

    fn try_submit(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        self.now += TimeDelta::milliseconds(1);
        self.site.submit(command, self.now)
    }

    /// Processes the queue; returns the order in which the jobs started.
    fn process(&mut self) -> Vec<u64> {
        self.submit(&Command::Process { queue: queue() });
        let mut order = Vec::new();
        while self.site.get_queue(queue()).read(|queue, _| queue.mode) == QueueMode::Processing {
            let events = self.submit(&Command::Claim { worker: WorkerId(1), queues: None });
            let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
            let (job, run, report) = (*job, run.id, RunReport::from(Ok(None)));
            self.submit(&Command::EndRun { job, run, report, on_failure: None });
            order.push(job.0);
        }
        order
    }

    fn reset(&mut self) {
        for job in self.site.get_queue(queue()).read(|queue, _| queue.jobs_in(Phase::Finished).clone()) {
            self.submit(&Command::Reset { job });
        }
    }
}

fn queue() -> QueueId {
    "q".into()
}

/// Processes the graph twice, with a reset between.
#[track_caller]
fn assert_runs_in_order(mut graph: Graph, count: u64) {
    let expected: Vec<u64> = (1..=count).collect();
    assert_eq!(graph.process(), expected);
    graph.reset();
    assert_eq!(graph.process(), expected);
}

#[test]
fn a_chain_is_processed_and_reset() {
    assert_runs_in_order(Graph::new(20_000, |id| (1..id).next_back().into_iter().collect()), 20_000);
}

#[test]
fn a_job_with_thousands_of_needs_waits_for_all_of_them() {
    let needs = |id| if id == 5_001 { (1..5_001).collect() } else { Vec::new() };
    assert_runs_in_order(Graph::new(5_001, needs), 5_001);
}

#[test]
fn layers_with_all_edges_between_neighbours_run_one_after_the_other() {
    let needs = |id: u64| {
        let layer = (id - 1) / 50;
        if layer == 0 { Vec::new() } else { ((layer - 1) * 50 + 1..=layer * 50).collect() }
    };
    assert_runs_in_order(Graph::new(500, needs), 500);
}

#[test]
fn a_job_with_thousands_of_needs_is_skipped_once_and_runs_when_they_succeed_later() {
    let needs = |id| if id == 2_001 { (1..2_001).collect() } else { Vec::new() };
    let mut graph = Graph::new(2_001, needs);
    graph.submit(&Command::Process { queue: queue() });
    let mut skipped = 0;
    for _ in 1..=2_000 {
        let events = graph.submit(&Command::Claim { worker: WorkerId(1), queues: None });
        let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
        let (job, run, report) = (*job, run.id, RunReport::new(Outcome::Interrupted));
        let ended = graph.submit(&Command::EndRun { job, run, report, on_failure: None });
        skipped += ended.iter().filter(|event| matches!(event, Event::Skipped { .. })).count();
    }
    assert_eq!(skipped, 1, "the first failure decides");
    for id in 1..=2_000 {
        graph.submit(&Command::Run { job: JobId(id), force: false });
    }
    let mut started = Vec::new();
    while let Ok(events) = graph.try_submit(&Command::Claim { worker: WorkerId(1), queues: None }) {
        let [Event::Started { job, run }] = &events[..] else { panic!("{events:?}") };
        let (job, run, report) = (*job, run.id, RunReport::from(Ok(None)));
        graph.submit(&Command::EndRun { job, run, report, on_failure: None });
        started.push(job.0);
    }
    assert_eq!(started, (1..=2_001).collect::<Vec<_>>(), "the last success makes it run");
}
