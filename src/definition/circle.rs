//! Finds jobs that wait for one another in a circle. A file may chain 100,000 jobs, so nothing here recurs or looks at
//! an edge twice.

/// So many circles are looked for.
const MOST_CIRCLES: usize = 100;

/// So many edges of one are told.
const MOST_EDGES: usize = 50;

/// Which jobs need which; jobs are numbers from 0.
#[derive(Default)]
pub(super) struct Graph {
    edges: Vec<Edge>,
    /// Where the edges of each job end.
    ends: Vec<usize>,
}

/// That a job needs another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The job that is needed.
    pub(super) to: u32,
    /// Which of the needs of the job it is.
    pub(super) need: u32,
}

/// Jobs of which each needs the next, and the last the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Circle {
    /// How many there are.
    pub(super) length: usize,
    /// The jobs with what they need, from the first of the file on; not all of a very long circle.
    pub(super) edges: Vec<(u32, Edge)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    /// On the way, at this depth.
    At(u32),
    Done,
}

impl Graph {
    /// Adds what the next job needs.
    pub(super) fn push(&mut self, edges: impl IntoIterator<Item = Edge>) {
        self.edges.extend(edges);
        self.ends.push(self.edges.len());
    }

    /// How many edges there are.
    pub(super) fn len(&self) -> usize {
        self.edges.len()
    }

    /// What a job needs.
    pub(super) fn from(&self, job: u32) -> &[Edge] {
        let end = |job: usize| self.ends.get(job).copied().unwrap_or(self.edges.len());
        let job = job as usize;
        let start = job.checked_sub(1).map_or(0, end);
        &self.edges[start..end(job)]
    }

    /// The circles: at least one, if there is any.
    pub(super) fn circles(&self) -> Vec<Circle> {
        let mut circles = Vec::new();
        let mut seen = vec![Seen::Not; self.ends.len()];
        // The way from where the search started, with the edge that is followed next.
        let mut way: Vec<(u32, usize)> = Vec::new();
        for start in (0..).take(self.ends.len()) {
            self.enter(start, &mut seen, &mut way);
            while let Some((job, next)) = way.last_mut() {
                let Some(edge) = self.from(*job).get(*next) else {
                    seen[*job as usize] = Seen::Done;
                    way.pop();
                    continue;
                };
                *next += 1;
                match seen[edge.to as usize] {
                    Seen::Not => self.enter(edge.to, &mut seen, &mut way),
                    Seen::At(depth) => circles.push(self.circle(&way[depth as usize..])),
                    Seen::Done => {}
                }
                if circles.len() == MOST_CIRCLES {
                    return circles;
                }
            }
        }
        circles
    }

    fn enter(&self, job: u32, seen: &mut [Seen], way: &mut Vec<(u32, usize)>) {
        if seen[job as usize] != Seen::Not {
            return;
        }
        // Most jobs need nothing.
        if self.from(job).is_empty() {
            seen[job as usize] = Seen::Done;
            return;
        }
        seen[job as usize] = Seen::At(u32::try_from(way.len()).unwrap_or(u32::MAX));
        way.push((job, 0));
    }

    fn circle(&self, way: &[(u32, usize)]) -> Circle {
        let first = way.iter().enumerate().min_by_key(|(_, (job, _))| *job).map_or(0, |(at, _)| at);
        let from_first = way[first..].iter().chain(&way[..first]).take(MOST_EDGES);
        let edges = from_first.map(|(job, next)| (*job, self.from(*job)[next - 1])).collect();
        Circle { length: way.len(), edges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(needs: &[&[u32]]) -> Vec<Vec<u32>> {
        let mut graph = Graph::default();
        for needs in needs {
            graph.push((0..).zip(*needs).map(|(need, to)| Edge { to: *to, need }));
        }
        let jobs = |circle: &Circle| circle.edges.iter().map(|(from, _)| *from).collect();
        graph.circles().iter().map(jobs).collect()
    }

    #[test]
    fn circles_are_found_from_their_first_job_on() {
        assert!(circles(&[]).is_empty());
        assert!(circles(&[&[1, 2], &[2], &[3], &[]]).is_empty());
        assert_eq!(circles(&[&[1], &[0]]), [[0, 1]]);
        assert_eq!(circles(&[&[], &[3], &[1], &[2]]), [[1, 3, 2]]);
        assert_eq!(circles(&[&[2], &[2, 0], &[1]]), [vec![1, 2], vec![0, 2, 1]]);
        assert_eq!(circles(&[&[1], &[0, 2], &[1, 3], &[3]]), [vec![0, 1], vec![1, 2], vec![3]]);
    }
}
