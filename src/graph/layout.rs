//! Where the nodes of a graph stand: layers from top to bottom, few crossings, short edges (Sugiyama, Tagawa and
//! Toda 1981, with barycentres).
//!
//! A layer that is too wide becomes several rows. Edges that leave one node share a trunk of bends on their way down,
//! so that a model which everything reads is one line with twigs and not a bundle. Everything is deterministic.

use std::collections::BTreeMap;

/// What is to be laid out: the width of each node, and edges that lead from earlier nodes to later ones.
pub struct Wanted<'a> {
    pub widths: &'a [f64],
    pub edges: &'a [(usize, usize)],
}

/// A layout: for each node its row and the middle of it, for each edge the points it runs through.
pub struct Layout {
    pub rows: Vec<usize>,
    pub x: Vec<f64>,
    /// For each edge, the bends between its ends: row and x.
    pub bends: Vec<Vec<(usize, f64)>>,
    pub width: f64,
    pub count: usize,
}

/// More nodes than this do not stand in one row.
const MOST_IN_A_ROW: usize = 5;

/// The space between two nodes of a row, and what a bend takes.
const GAP: f64 = 28.0;
const BEND: f64 = 6.0;

const SWEEPS: usize = 24;

/// Lays a graph out.
pub fn layout(wanted: &Wanted) -> Layout {
    let rows = rows(wanted);
    let mut web = Web::of(wanted, &rows);
    web.untangle();
    let x = web.place();
    let nodes = wanted.widths.len();
    let left = (0..x.len()).map(|i| x[i] - web.widths[i] / 2.0).fold(f64::INFINITY, f64::min);
    let right = (0..x.len()).map(|i| x[i] + web.widths[i] / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let bends = wanted.edges.iter().map(|edge| web.bends(*edge, &rows, &x, left)).collect();
    Layout {
        x: x[..nodes].iter().map(|x| x - left).collect(),
        bends,
        width: if nodes == 0 { 0.0 } else { right - left },
        count: rows.iter().max().map_or(0, |last| last + 1),
        rows,
    }
}

/// The row of each node: below all that it depends on; a node that depends on nothing, just above what needs it.
fn rows(wanted: &Wanted) -> Vec<usize> {
    let nodes = wanted.widths.len();
    let mut layer = vec![0; nodes];
    // Edges lead from earlier nodes to later ones, so one pass in the order of their ends settles each.
    let mut edges = wanted.edges.to_vec();
    edges.sort_by_key(|&(from, to)| (to, from));
    for &(from, to) in &edges {
        layer[to] = layer[to].max(layer[from] + 1);
    }
    for node in 0..nodes {
        let below = edges.iter().filter(|(from, _)| *from == node).map(|&(_, to)| layer[to]).min();
        if let (Some(below), false) = (below, edges.iter().any(|&(_, to)| to == node)) {
            layer[node] = below - 1;
        }
    }
    split(&layer)
}

/// Layers of many nodes become several rows, evenly filled.
fn split(layer: &[usize]) -> Vec<usize> {
    let mut members = BTreeMap::<usize, Vec<usize>>::new();
    layer.iter().enumerate().for_each(|(node, layer)| members.entry(*layer).or_default().push(node));
    let mut rows = vec![0; layer.len()];
    let mut row = 0;
    for nodes in members.values() {
        let parts = nodes.len().div_ceil(MOST_IN_A_ROW);
        for part in nodes.chunks(nodes.len().div_ceil(parts)) {
            part.iter().for_each(|&node| rows[node] = row);
            row += 1;
        }
    }
    rows
}

/// Nodes and bends (which come after the nodes), row by row, and the links between neighbouring rows.
struct Web {
    widths: Vec<f64>,
    /// The members of each row, from left to right.
    order: Vec<Vec<usize>>,
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    /// The bend of the trunk that leaves a node, by node and row.
    trunk: BTreeMap<(usize, usize), usize>,
}

impl Web {
    fn of(wanted: &Wanted, rows: &[usize]) -> Self {
        let count = rows.iter().max().map_or(0, |last| last + 1);
        let nodes = wanted.widths.len();
        let mut web = Self {
            widths: wanted.widths.to_vec(),
            order: vec![vec![]; count],
            above: vec![vec![]; nodes],
            below: vec![vec![]; nodes],
            trunk: BTreeMap::new(),
        };
        rows.iter().enumerate().for_each(|(node, row)| web.order[*row].push(node));
        for &(from, to) in wanted.edges {
            let last = (rows[from] + 1..rows[to]).fold(from, |last, row| web.bend(from, last, row));
            web.link(last, to);
        }
        web
    }

    /// The bend in this row of the trunk that leaves `from`; `last` is the one above it.
    fn bend(&mut self, from: usize, last: usize, row: usize) -> usize {
        if let Some(bend) = self.trunk.get(&(from, row)) {
            return *bend;
        }
        let bend = self.widths.len();
        self.widths.push(BEND);
        self.above.push(vec![]);
        self.below.push(vec![]);
        // In the middle to begin with: a trunk at an edge would drag the rows below it to that side.
        let middle = self.order[row].len() / 2;
        self.order[row].insert(middle, bend);
        self.trunk.insert((from, row), bend);
        self.link(last, bend);
        bend
    }

    fn link(&mut self, upper: usize, lower: usize) {
        self.below[upper].push(lower);
        self.above[lower].push(upper);
    }

    /// Orders each row by the mean place of its neighbours, downwards and upwards in turn, and keeps the best order.
    fn untangle(&mut self) {
        let (mut best, mut fewest) = (self.order.clone(), self.crossings());
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let rows: Vec<usize> =
                if down { (1..self.order.len()).collect() } else { (0..self.order.len()).rev().skip(1).collect() };
            for row in rows {
                self.sort_row(row, down);
            }
            let crossings = self.crossings();
            if crossings < fewest {
                (best, fewest) = (self.order.clone(), crossings);
            }
        }
        self.order = best;
    }

    fn sort_row(&mut self, row: usize, down: bool) {
        let place = self.places();
        let neighbours = if down { &self.above } else { &self.below };
        let centre = |node: usize| match neighbours[node].as_slice() {
            [] => place[node],
            near => near.iter().map(|&node| place[node]).sum::<f64>() / near.len() as f64,
        };
        let mut members = self.order[row].clone();
        members.sort_by(|&a, &b| centre(a).total_cmp(&centre(b)));
        self.order[row] = members;
    }

    /// How far along its row each member stands, from 0 to 1, so that rows of different lengths compare.
    fn places(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.widths.len()];
        for row in &self.order {
            row.iter().enumerate().for_each(|(i, &node)| places[node] = (i as f64 + 0.5) / row.len() as f64);
        }
        places
    }

    fn crossings(&self) -> usize {
        let mut position = vec![0; self.widths.len()];
        self.order.iter().for_each(|row| row.iter().enumerate().for_each(|(i, &node)| position[node] = i));
        let crossed = |row: &Vec<usize>| {
            let links: Vec<(usize, usize)> = row
                .iter()
                .flat_map(|&node| self.below[node].iter().map(move |&below| (node, below)))
                .map(|(upper, lower)| (position[upper], position[lower]))
                .collect();
            let crosses = |a: &(usize, usize), b: &(usize, usize)| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1);
            (1..links.len()).map(|i| links[..i].iter().filter(|other| crosses(&links[i], other)).count()).sum::<usize>()
        };
        self.order.iter().map(crossed).sum()
    }

    /// The middle of each member: as near to the mean of its neighbours as its row allows.
    fn place(&self) -> Vec<f64> {
        let mut x = vec![0.0; self.widths.len()];
        for row in &self.order {
            let offsets = self.offsets(row);
            let middle = offsets.last().map_or(0.0, |last| last / 2.0);
            row.iter().zip(offsets).for_each(|(&node, offset)| x[node] = offset - middle);
        }
        for sweep in 0..SWEEPS {
            let rows: Vec<usize> =
                if sweep % 2 == 0 { (0..self.order.len()).collect() } else { (0..self.order.len()).rev().collect() };
            for row in rows {
                self.settle(row, &mut x);
            }
        }
        x
    }

    fn settle(&self, row: usize, x: &mut [f64]) {
        let members = &self.order[row];
        let wish = |node: usize| {
            let near: Vec<f64> = self.above[node].iter().chain(&self.below[node]).map(|&other| x[other]).collect();
            if near.is_empty() { x[node] } else { near.iter().sum::<f64>() / near.len() as f64 }
        };
        let offsets = self.offsets(members);
        let wishes: Vec<f64> = members.iter().zip(&offsets).map(|(&node, offset)| wish(node) - offset).collect();
        for ((&node, offset), place) in members.iter().zip(&offsets).zip(ascending(&wishes)) {
            x[node] = place + offset;
        }
    }

    /// The least distance of each member from the first.
    fn offsets(&self, members: &[usize]) -> Vec<f64> {
        let mut offsets: Vec<f64> = vec![];
        for (i, &node) in members.iter().enumerate() {
            offsets.push(match i {
                0 => 0.0,
                _ => offsets[i - 1] + (self.widths[members[i - 1]] + self.widths[node]) / 2.0 + GAP,
            });
        }
        offsets
    }

    fn bends(&self, (from, to): (usize, usize), rows: &[usize], x: &[f64], left: f64) -> Vec<(usize, f64)> {
        (rows[from] + 1..rows[to]).map(|row| (row, x[self.trunk[&(from, row)]] - left)).collect()
    }
}

/// The ascending sequence nearest to `wishes` in least squares: neighbours that disagree pool (isotonic regression).
fn ascending(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = vec![];
    for &wish in wishes {
        pools.push((wish, 1));
        while let [.., (before, n), (last, m)] = pools[..]
            && before > last
        {
            pools.truncate(pools.len() - 2);
            pools.push(((before * n as f64 + last * m as f64) / (n + m) as f64, n + m));
        }
    }
    pools.into_iter().flat_map(|(value, count)| std::iter::repeat_n(value, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nodes: usize, edges: &[(usize, usize)]) -> Layout {
        layout(&Wanted { widths: &vec![100.0; nodes], edges })
    }

    #[test]
    fn neighbours_that_disagree_pool() {
        assert_eq!(ascending(&[1.0, 3.0, 2.0, 5.0]), [1.0, 2.5, 2.5, 5.0]);
        assert_eq!(ascending(&[3.0, 2.0, 1.0]), [2.0; 3]);
    }

    #[test]
    fn a_node_stands_below_what_it_needs_and_a_source_just_above_what_needs_it() {
        let layout = of(5, &[(0, 1), (1, 2), (2, 4), (3, 4)]);
        assert_eq!(layout.rows, [0, 1, 2, 2, 3]);
    }

    #[test]
    fn nodes_of_a_row_do_not_overlap_and_wide_layers_wrap() {
        let edges: Vec<_> = (1..=13).map(|node| (0, node)).collect();
        let layout = of(14, &edges);
        assert!(layout.count == 4 && layout.width < 800.0, "{} rows, {} wide", layout.count, layout.width);
        for a in 0..14 {
            for b in 0..a {
                assert!(layout.rows[a] != layout.rows[b] || (layout.x[a] - layout.x[b]).abs() >= 100.0, "{a} and {b}");
            }
        }
    }

    #[test]
    fn crossings_that_need_not_be_are_none() {
        // Two chains whose second nodes come in the wrong order.
        let wanted = Wanted { widths: &[100.0; 6], edges: &[(0, 3), (1, 2), (2, 5), (3, 4)] };
        let mut web = Web::of(&wanted, &rows(&wanted));
        assert!(web.crossings() > 0);
        web.untangle();
        assert_eq!(web.crossings(), 0);
    }

    #[test]
    fn edges_of_one_node_share_their_way_down() {
        let layout = of(4, &[(0, 1), (1, 2), (2, 3), (0, 2), (0, 3)]);
        assert_eq!(layout.bends[3], layout.bends[4][..1]);
        assert_eq!(layout.bends[4].len(), 2);
    }

    #[test]
    fn an_empty_graph_has_no_size() {
        let layout = of(0, &[]);
        assert_eq!((layout.width, layout.count), (0.0, 0));
    }
}
