//! Communities by Louvain's method (Blondel and others, 2008): each node moves to the neighbouring community where
//! modularity gains most, until none gains; then communities become nodes, and so on.

use super::Graph;

/// What a move must gain, as a part of all weight: less is rounding.
const GAIN: f64 = 1e-12;

/// A graph whose nodes are communities: their edges, and the weight inside each (twice, as both ends count).
struct Coarse {
    neighbours: Vec<Vec<(usize, f64)>>,
    inside: Vec<f64>,
}

/// Each node's community; the largest has number 0, equal ones go by their first node. `order` gives the order in which
/// so many nodes are looked at.
///
/// # Panics
/// Where `order` does not name each of them once.
pub fn communities(graph: &Graph, mut order: impl FnMut(usize) -> Vec<usize>) -> Vec<usize> {
    let mut membership: Vec<usize> = (0..graph.nodes()).collect();
    let mut coarse = Coarse { neighbours: graph.neighbours.clone(), inside: vec![0.0; graph.nodes()] };
    loop {
        let nodes = coarse.inside.len();
        let (community, moved) = coarse.moved(&order(nodes));
        if !moved {
            return by_size(&membership);
        }
        let community = renumbered(&community);
        membership.iter_mut().for_each(|own| *own = community[*own]);
        coarse = coarse.merged(&community);
    }
}

impl Coarse {
    fn strengths(&self) -> Vec<f64> {
        let outside = |edges: &Vec<(usize, f64)>| edges.iter().map(|(_, weight)| weight).sum::<f64>();
        self.neighbours.iter().zip(&self.inside).map(|(edges, inside)| outside(edges) + inside).collect()
    }

    /// Each node's community when no move gains any more, and whether any did.
    fn moved(&self, order: &[usize]) -> (Vec<usize>, bool) {
        let nodes = self.inside.len();
        assert_eq!(order.len(), nodes, "each node is looked at");
        let strengths = self.strengths();
        let all: f64 = strengths.iter().sum();
        let mut community: Vec<usize> = (0..nodes).collect();
        let mut total = strengths.clone(); // of each community
        let mut towards = vec![0.0; nodes]; // a node's weight towards each community
        let (mut any, mut again) = (false, true);
        while again {
            again = false;
            for &node in order {
                let own = community[node];
                total[own] -= strengths[node];
                self.neighbours[node].iter().for_each(|&(other, weight)| towards[community[other]] += weight);
                let gain = |to: usize| towards[to] - total[to] * strengths[node] / all;
                let mut best = own;
                for &(other, _) in &self.neighbours[node] {
                    let to = community[other];
                    if gain(to) > gain(best) + GAIN * all {
                        best = to;
                    }
                }
                self.neighbours[node].iter().for_each(|&(other, _)| towards[community[other]] = 0.0);
                total[best] += strengths[node];
                community[node] = best;
                (any, again) = (any || best != own, again || best != own);
            }
        }
        (community, any)
    }

    /// The graph whose nodes are these communities.
    fn merged(&self, community: &[usize]) -> Self {
        let count = community.iter().max().map_or(0, |largest| largest + 1);
        let mut inside = vec![0.0; count];
        let mut weights: Vec<std::collections::BTreeMap<usize, f64>> = vec![Default::default(); count];
        for (node, edges) in self.neighbours.iter().enumerate() {
            let own = community[node];
            inside[own] += self.inside[node];
            for &(other, weight) in edges {
                match community[other] {
                    to if to == own => inside[own] += weight,
                    to => *weights[own].entry(to).or_default() += weight,
                }
            }
        }
        Self { neighbours: weights.into_iter().map(|edges| edges.into_iter().collect()).collect(), inside }
    }
}

/// Communities numbered from 0, in the order in which they first come.
fn renumbered(community: &[usize]) -> Vec<usize> {
    let mut seen: Vec<usize> = vec![];
    community
        .iter()
        .map(|own| {
            seen.iter().position(|other| other == own).unwrap_or_else(|| {
                seen.push(*own);
                seen.len() - 1
            })
        })
        .collect()
}

fn by_size(membership: &[usize]) -> Vec<usize> {
    let membership = renumbered(membership);
    let count = membership.iter().max().map_or(0, |largest| largest + 1);
    let mut sizes = vec![0; count];
    membership.iter().for_each(|&own| sizes[own] += 1);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&own| std::cmp::Reverse(sizes[own])); // stable
    let mut number = vec![0; count];
    order.into_iter().enumerate().for_each(|(new, old)| number[old] = new);
    membership.into_iter().map(|own| number[own]).collect()
}
