//! Finds cycles of needs. A file may chain 100,000 jobs, so the search is iterative and follows each edge once.

/// The maximum number of cycles found.
const MAX_CYCLES: usize = 100;

/// The maximum number of edges of a cycle reported.
const MAX_CYCLE_EDGES: usize = 50;

/// The needs of all jobs. Jobs are numbered from 0.
#[derive(Default)]
pub(super) struct NeedGraph {
    edges: Vec<Edge>,
    /// The end of each job's edges.
    edge_ends: Vec<usize>,
}

/// A need of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The needed job.
    pub(super) to: u32,
    /// The index of the need in the job's needs.
    pub(super) need: u32,
    /// Whether it is the job that returns the items of what is needed.
    pub(super) is_implied: bool,
}

/// Jobs that each need the next, and the last the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    /// The number of jobs.
    pub(super) length: usize,
    /// The jobs with their edges, starting with the first job of the file. Truncated if the cycle is very long.
    pub(super) edges: Vec<(u32, Edge)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum VisitState {
    Unvisited,
    /// On the current path, at this depth.
    OnPath(u32),
    Done,
}

impl NeedGraph {
    /// Adds the needs of the next job.
    pub(super) fn push(&mut self, edges: impl IntoIterator<Item = Edge>) {
        self.edges.extend(edges);
        self.edge_ends.push(self.edges.len());
    }

    /// The number of edges.
    pub(super) fn len(&self) -> usize {
        self.edges.len()
    }

    /// The needs of a job.
    pub(super) fn needs_of(&self, job: u32) -> &[Edge] {
        let end = |job: usize| self.edge_ends.get(job).copied().unwrap_or(self.edges.len());
        let job = job as usize;
        let start = job.checked_sub(1).map_or(0, end);
        &self.edges[start..end(job)]
    }

    /// Finds cycles: at least one if there are any.
    pub(super) fn cycles(&self) -> Vec<Cycle> {
        let mut cycles = Vec::new();
        let mut visited = vec![VisitState::Unvisited; self.edge_ends.len()];
        // The path from the start of the search, with the index of the next edge of each job.
        let mut path: Vec<(u32, usize)> = Vec::new();
        for start in (0..).take(self.edge_ends.len()) {
            self.visit(start, &mut visited, &mut path);
            while let Some((job, next)) = path.last_mut() {
                let Some(edge) = self.needs_of(*job).get(*next) else {
                    visited[*job as usize] = VisitState::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match visited[edge.to as usize] {
                    VisitState::Unvisited => self.visit(edge.to, &mut visited, &mut path),
                    VisitState::OnPath(depth) => cycles.push(self.cycle(&path[depth as usize..])),
                    VisitState::Done => {}
                }
                if cycles.len() == MAX_CYCLES {
                    return cycles;
                }
            }
        }
        cycles
    }

    fn visit(&self, job: u32, visited: &mut [VisitState], path: &mut Vec<(u32, usize)>) {
        if visited[job as usize] != VisitState::Unvisited {
            return;
        }
        // Most jobs need nothing.
        if self.needs_of(job).is_empty() {
            visited[job as usize] = VisitState::Done;
            return;
        }
        visited[job as usize] = VisitState::OnPath(u32::try_from(path.len()).unwrap_or(u32::MAX));
        path.push((job, 0));
    }

    fn cycle(&self, path: &[(u32, usize)]) -> Cycle {
        let first = path.iter().enumerate().min_by_key(|(_, (job, _))| *job).map_or(0, |(at, _)| at);
        let from_first = path[first..].iter().chain(&path[..first]).take(MAX_CYCLE_EDGES);
        let edges = from_first.map(|(job, next)| (*job, self.needs_of(*job)[next - 1])).collect();
        Cycle { length: path.len(), edges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles(needs: &[&[u32]]) -> Vec<Vec<u32>> {
        let mut graph = NeedGraph::default();
        for needs in needs {
            graph.push((0..).zip(*needs).map(|(need, to)| Edge { to: *to, need, is_implied: false }));
        }
        let jobs = |cycle: &Cycle| cycle.edges.iter().map(|(from, _)| *from).collect();
        graph.cycles().iter().map(jobs).collect()
    }

    #[test]
    fn cycles_start_with_their_first_job() {
        assert!(cycles(&[]).is_empty());
        assert!(cycles(&[&[1, 2], &[2], &[3], &[]]).is_empty());
        assert_eq!(cycles(&[&[1], &[0]]), [[0, 1]]);
        assert_eq!(cycles(&[&[], &[3], &[1], &[2]]), [[1, 3, 2]]);
        assert_eq!(cycles(&[&[2], &[2, 0], &[1]]), [vec![1, 2], vec![0, 2, 1]]);
        assert_eq!(cycles(&[&[1], &[0, 2], &[1, 3], &[3]]), [vec![0, 1], vec![1, 2], vec![3]]);
    }
}
