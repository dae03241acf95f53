//! The needs of a job in both directions, or those of a queue from its first jobs on, as a tree.

use std::collections::{HashSet, VecDeque};

use crate::model::{Job, JobId, OutcomeCondition, Phase, QueueId, SiteState};

use super::action::Action;
use super::keys::{KeyCode, KeyPress};
use super::page_context::{PageContext, PageResponse, next_row, scrolled_to};

/// How many lines the tree has at most.
const MAX_LINES: usize = 1_000;
/// How many jobs of a queue are looked at for a start.
const MAX_JOBS: usize = 20_000;
/// How many blocked jobs are counted.
pub(super) const MAX_BLOCKED: usize = 500;

/// The tree, one of its jobs selected.
#[derive(Debug)]
pub(super) struct NeedsGraph {
    /// The queue whose tree is shown in place of that of a job.
    pub(super) queue: QueueId,
    /// The job whose needs are shown; `None` for those of the queue.
    pub(super) root: Option<JobId>,
    /// The job with which it was opened.
    home: Option<JobId>,
    pub(super) selected: Option<JobId>,
    /// The selected line, where the job is in several.
    line: usize,
    /// The first visible line.
    pub(super) offset: usize,
}

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GraphLine {
    pub(super) node: GraphNode,
    /// For each level whether more follows on it; the last one is that of the line itself.
    pub(super) branches: Vec<bool>,
}

/// What a line shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GraphNode {
    /// A text above a part of the tree.
    Heading(&'static str),
    /// A job, and the outcome that one of the two jobs requires of the other.
    Job(JobId, OutcomeCondition),
    /// A job that is drawn above, with what follows from it.
    Above(JobId),
    /// The tree is longer than what is drawn.
    More,
}

/// The jobs next to a job in one direction.
type Neighbours<'a> = dyn Fn(&Job) -> Vec<(JobId, OutcomeCondition)> + 'a;

impl GraphLine {
    /// The job of the line.
    pub(super) fn job(&self) -> Option<JobId> {
        match self.node {
            GraphNode::Job(job, _) | GraphNode::Above(job) => Some(job),
            GraphNode::Heading(_) | GraphNode::More => None,
        }
    }
}

impl NeedsGraph {
    /// The needs of a job of this queue, or those of the queue.
    pub(super) fn new(queue: QueueId, root: Option<JobId>) -> Self {
        Self { queue, root, home: root, selected: root, line: 0, offset: 0 }
    }

    /// The lines of the tree.
    pub(super) fn lines(&self, site: &SiteState) -> Vec<GraphLine> {
        let needs = |job: &Job| job.needs.iter().map(|need| (need.job, need.on)).collect::<Vec<_>>();
        let dependents = |job: &Job| {
            let on = |other: &Job| other.needs.iter().find(|need| need.job == job.id).map(|need| need.on);
            site.dependents_of(job.id).map(|other| (other.id, on(other).unwrap_or_default())).collect::<Vec<_>>()
        };
        let mut lines = Vec::new();
        let heading = |text| GraphLine { node: GraphNode::Heading(text), branches: Vec::new() };
        let Some(job) = self.root.and_then(|id| site.job(id)) else {
            let roots = self.roots(site);
            let roots = roots.into_iter().map(|id| (id, OutcomeCondition::Success)).collect();
            add_tree(site, roots, &dependents, &mut HashSet::new(), &mut lines);
            return lines;
        };
        let root = GraphNode::Job(job.id, OutcomeCondition::Success);
        lines.push(GraphLine { node: root, branches: Vec::new() });
        for (title, none, neighbours) in [
            ("needs", "needs no other job", &needs as &Neighbours<'_>),
            ("is needed by", "is needed by no other job", &dependents),
        ] {
            let next = neighbours(job);
            lines.push(heading(if next.is_empty() { none } else { title }));
            add_tree(site, next, neighbours, &mut HashSet::from([job.id]), &mut lines);
        }
        lines
    }

    /// The jobs of the queue that need no other job of it, but are needed, or need one of another queue.
    fn roots(&self, site: &SiteState) -> Vec<JobId> {
        let Some(queue) = site.queue(&self.queue) else { return Vec::new() };
        let all = [Phase::Finished, Phase::Running, Phase::Pending].into_iter().flat_map(|phase| queue.jobs_in(phase));
        let is_root = |job: &&Job| {
            let needs_own =
                job.needs.iter().any(|need| site.job(need.job).is_some_and(|other| other.queue == job.queue));
            !needs_own && (!job.needs.is_empty() || site.dependents_of(job.id).next().is_some())
        };
        let mut roots: Vec<&Job> = all.take(MAX_JOBS).filter_map(|id| site.job(*id)).filter(is_root).collect();
        roots.sort_by_key(|job| (job.position, job.id));
        roots.into_iter().map(|job| job.id).collect()
    }

    /// The index of the selected line.
    pub(super) fn selected_line(&self, lines: &[GraphLine]) -> usize {
        let is_selected = |line: &GraphLine| line.job().is_some() && line.job() == self.selected;
        if lines.get(self.line).is_some_and(is_selected) {
            return self.line;
        }
        lines.iter().position(is_selected).unwrap_or(0)
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, action: Option<Action>, context: &PageContext<'_>) -> PageResponse {
        let lines = self.lines(context.site);
        let row = self.selected_line(&lines);
        if let Some(next) = next_row(key, action, row, visible_rows(context.height), lines.len()) {
            self.select(next, row, &lines);
            return PageResponse::KeepOpen;
        }
        match (key.code, action) {
            (KeyCode::Enter, _) => {
                if let Some(job) = lines.get(row).and_then(GraphLine::job) {
                    return PageResponse::GoTo(job);
                }
            }
            (KeyCode::Tab | KeyCode::BackTab, _) => {
                self.root = if self.root.is_some() { None } else { self.selected.or(self.home) };
                self.offset = 0;
            }
            (KeyCode::Right, _) | (_, Some(Action::NextPane)) => {
                if self.selected.is_some() {
                    (self.root, self.offset) = (self.selected, 0);
                }
            }
            (_, Some(action)) => return PageResponse::Perform(action),
            (_, None) => {}
        }
        PageResponse::KeepOpen
    }

    /// Selects a line, or the next one with a job in the same direction.
    fn select(&mut self, next: usize, from: usize, lines: &[GraphLine]) {
        let has_job = |line: &usize| lines.get(*line).is_some_and(|line| line.job().is_some());
        let (mut after, mut before) = (next..lines.len(), (0..=next).rev());
        let found = if next >= from {
            after.find(has_job).or_else(|| before.find(has_job))
        } else {
            before.find(has_job).or_else(|| after.find(has_job))
        };
        if let Some(line) = found {
            (self.line, self.selected) = (line, lines[line].job());
        }
    }

    /// Selects a visible line; returns whether it was selected before.
    pub(super) fn click(&mut self, row: usize, context: &PageContext<'_>) -> bool {
        let lines = self.lines(context.site);
        let clicked = self.offset + row;
        let Some(job) = lines.get(clicked).and_then(GraphLine::job) else { return false };
        let was_selected = self.selected_line(&lines) == clicked;
        (self.line, self.selected) = (clicked, Some(job));
        was_selected
    }

    /// Keeps the selected line visible.
    pub(super) fn sync(&mut self, context: &PageContext<'_>) {
        let lines = self.lines(context.site);
        let row = self.selected_line(&lines);
        self.selected = lines.get(row).and_then(GraphLine::job).or(self.selected);
        let (visible, count) = (visible_rows(context.height), lines.len());
        // What follows without a job of its own is visible, too.
        let tail = lines.iter().skip(row + 1).take_while(|line| line.job().is_none()).count();
        let offset = scrolled_to(row + tail, self.offset, visible, count);
        self.offset = scrolled_to(row, offset, visible, count);
    }
}

/// The lines of a body of this height.
pub(super) fn visible_rows(height: u16) -> usize {
    usize::from(height.saturating_sub(1))
}

/// Adds the tree of these jobs, each once: where a job comes up again, it is referred to.
fn add_tree(
    site: &SiteState,
    first: Vec<(JobId, OutcomeCondition)>,
    neighbours: &Neighbours<'_>,
    seen: &mut HashSet<JobId>,
    lines: &mut Vec<GraphLine>,
) {
    // Without recursion: a chain of needs may be long.
    let mut levels: Vec<VecDeque<(JobId, OutcomeCondition)>> = vec![first.into()];
    while let Some(level) = levels.last_mut() {
        let Some((id, on)) = level.pop_front() else {
            levels.pop();
            continue;
        };
        let branches = levels.iter().map(|level| !level.is_empty()).collect();
        if lines.len() >= MAX_LINES {
            lines.push(GraphLine { node: GraphNode::More, branches });
            return;
        }
        let next = site.job(id).map(neighbours).unwrap_or_default();
        if seen.insert(id) {
            lines.push(GraphLine { node: GraphNode::Job(id, on), branches });
            levels.push(next.into());
        } else if next.is_empty() {
            lines.push(GraphLine { node: GraphNode::Job(id, on), branches });
        } else {
            lines.push(GraphLine { node: GraphNode::Above(id), branches });
        }
    }
}

/// How many unfinished or skipped jobs wait for this job, directly or not; counted up to [`MAX_BLOCKED`].
pub(super) fn blocked_count(site: &SiteState, job: &Job) -> usize {
    let (mut seen, mut next) = (HashSet::from([job.id]), VecDeque::from([job.id]));
    while let Some(id) = next.pop_front() {
        for other in site.dependents_of(id) {
            let waits = other.phase() == Phase::Pending || other.outcome().is_some_and(|end| end.skip_kind().is_some());
            if waits && seen.insert(other.id) {
                next.push_back(other.id);
            }
            if seen.len() > MAX_BLOCKED {
                return MAX_BLOCKED;
            }
        }
    }
    seen.len() - 1
}
