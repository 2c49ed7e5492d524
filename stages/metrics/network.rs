//! Graphs of the strongest pairs, and what networks are measured by: how near everything is to everything, and how far
//! it falls into parts.
//!
//! Efficiency and clustering are of edges as such, modularity of edges or of their weights. What is random (the order in
//! which communities are sought, which edges change places) comes from the caller.

mod communities;

use std::collections::{HashSet, VecDeque};

use ndarray::ArrayView2;

pub use communities::communities;

/// An undirected graph without loops.
#[derive(Clone, PartialEq, Debug)]
pub struct Graph {
    /// (a, b, weight), each pair once.
    pub edges: Vec<(usize, usize, f64)>,
    /// The neighbours of each node, and the weight of the edge there.
    pub neighbours: Vec<Vec<(usize, f64)>>,
}

impl Graph {
    /// # Panics
    /// Where an edge leads to a node that there is not.
    pub fn new(nodes: usize, edges: Vec<(usize, usize, f64)>) -> Self {
        let mut neighbours = vec![vec![]; nodes];
        for &(a, b, weight) in &edges {
            neighbours[a].push((b, weight));
            neighbours[b].push((a, weight));
        }
        Self { edges, neighbours }
    }

    pub fn nodes(&self) -> usize {
        self.neighbours.len()
    }

    /// The same edges, each of weight 1.
    pub fn unweighted(&self) -> Self {
        Self::new(self.nodes(), self.edges.iter().map(|&(a, b, _)| (a, b, 1.0)).collect())
    }

    /// How many edges each node has.
    pub fn degrees(&self) -> Vec<usize> {
        self.neighbours.iter().map(Vec::len).collect()
    }

    /// The sum of the weights of each node's edges.
    pub fn strengths(&self) -> Vec<f64> {
        self.neighbours.iter().map(|edges| edges.iter().map(|(_, weight)| weight).sum()).collect()
    }

    /// How far every node is from one, in edges; none where no path leads there.
    fn distances(&self, from: usize) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.nodes()];
        distances[from] = Some(0);
        let mut next = VecDeque::from([(from, 0)]);
        while let Some((node, distance)) = next.pop_front() {
            for &(other, _) in &self.neighbours[node] {
                if distances[other].is_none() {
                    distances[other] = Some(distance + 1);
                    next.push_back((other, distance + 1));
                }
            }
        }
        distances
    }

    /// The mean over all pairs of nodes of one over their distance, 0 where no path joins them. A graph of fewer than two
    /// nodes has none: NaN.
    pub fn global_efficiency(&self) -> f64 {
        let near = |from: usize| -> f64 {
            self.distances(from).into_iter().flatten().filter(|&far| far > 0).map(|far| 1.0 / far as f64).sum()
        };
        let pairs = self.nodes() * self.nodes().saturating_sub(1);
        (0..self.nodes()).map(near).sum::<f64>() / pairs as f64
    }

    /// The mean over nodes of the part of their neighbours' pairs that are joined; 0 for a node of fewer than two.
    pub fn clustering(&self) -> f64 {
        let joined: HashSet<(usize, usize)> = self.edges.iter().flat_map(|&(a, b, _)| [(a, b), (b, a)]).collect();
        let of = |own: &Vec<(usize, f64)>| {
            let pairs = own.iter().enumerate().flat_map(|(i, a)| own[..i].iter().map(move |b| (a.0, b.0)));
            let (closed, all) =
                pairs.fold((0, 0), |(closed, all), pair| (closed + usize::from(joined.contains(&pair)), all + 1));
            if all == 0 { 0.0 } else { f64::from(closed as u32) / f64::from(all as u32) }
        };
        self.neighbours.iter().map(of).sum::<f64>() / self.nodes() as f64
    }

    /// The parts that no path joins.
    pub fn components(&self) -> usize {
        let mut seen = vec![false; self.nodes()];
        let mut count = 0;
        for node in 0..self.nodes() {
            if !seen[node] {
                count += 1;
                self.distances(node)
                    .iter()
                    .enumerate()
                    .filter(|(_, far)| far.is_some())
                    .for_each(|(i, _)| seen[i] = true);
            }
        }
        count
    }

    /// Newman's modularity of a partition (each node's community): the part of the weight that lies inside communities,
    /// less what would lie there at random with the same strengths. Without edges it is not defined: NaN.
    pub fn modularity(&self, community: &[usize]) -> f64 {
        let count = community.iter().max().map_or(0, |largest| largest + 1);
        let (mut inside, mut total) = (vec![0.0; count], vec![0.0; count]);
        for (node, strength) in self.strengths().into_iter().enumerate() {
            total[community[node]] += strength;
        }
        for &(a, b, weight) in self.edges.iter().filter(|(a, b, _)| community[*a] == community[*b]) {
            debug_assert_ne!(a, b, "no loops");
            inside[community[a]] += weight;
        }
        let all: f64 = self.edges.iter().map(|(_, _, weight)| weight).sum();
        inside.iter().zip(&total).map(|(inside, total)| inside / all - (total / (2.0 * all)).powi(2)).sum()
    }

    /// A random graph in which every node has as many edges as here: pairs of edges exchange an end, ten times as often
    /// as there are edges, where that makes neither a loop nor an edge twice. `below` gives a random number below its
    /// argument.
    pub fn rewired(&self, mut below: impl FnMut(u64) -> u64) -> Self {
        let mut edges = self.edges.clone();
        let ordered = |a: usize, b: usize| (a.min(b), a.max(b));
        let mut joined: HashSet<(usize, usize)> = edges.iter().map(|&(a, b, _)| ordered(a, b)).collect();
        let count = edges.len() as u64;
        for _ in 0..if count < 2 { 0 } else { 10 * count } {
            let (one, two) = (below(count) as usize, below(count) as usize);
            let ((a, b, _), (mut c, mut d, _)) = (edges[one], edges[two]);
            if below(2) == 1 {
                std::mem::swap(&mut c, &mut d);
            }
            let (first, second) = (ordered(a, d), ordered(c, b));
            if a == d || c == b || first == second || joined.contains(&first) || joined.contains(&second) {
                continue;
            }
            joined.remove(&ordered(a, b));
            joined.remove(&ordered(c, d));
            joined.extend([first, second]);
            (edges[one].0, edges[one].1) = (a, d);
            (edges[two].0, edges[two].1) = (c, b);
        }
        Self::new(self.nodes(), edges)
    }
}

/// The strongest pairs of a symmetric matrix: the part `density` of those that are numbers, rounded, the larger first
/// and equal ones in the order of the rows; and how many pairs are numbers. Its upper half is read, without the diagonal.
///
/// # Panics
/// Where the matrix is not square, or `density` not from 0 to 1.
pub fn strongest(matrix: ArrayView2<f64>, density: f64) -> (Vec<(usize, usize, f64)>, usize) {
    assert!(matrix.is_square() && (0.0..=1.0).contains(&density), "a part of the pairs of a square matrix");
    let nodes = matrix.nrows();
    let mut pairs: Vec<_> = (0..nodes)
        .flat_map(|a| (a + 1..nodes).map(move |b| (a, b)))
        .map(|(a, b)| (a, b, matrix[[a, b]]))
        .filter(|(_, _, weight)| !weight.is_nan())
        .collect();
    let count = pairs.len();
    pairs.sort_by(|x, y| y.2.total_cmp(&x.2)); // stable
    pairs.truncate((density * count as f64).round() as usize);
    (pairs, count)
}

#[cfg(test)]
mod tests;
