//! The graph of a study: stages (or cells) and what flows between them, as Mermaid, as SVG, and in the report.
//!
//! The same plan and the same states give the same bytes. The layout is ours (`layout.rs`), so that the drawing needs
//! no other program and no network.

mod layout;
mod mermaid;
mod svg;

use std::collections::BTreeMap;

pub use mermaid::mermaid;
pub use svg::{STYLE, drawing, standalone};

use crate::plan::Plan;

/// Nodes in the order of the plan, and an edge for each pair of nodes between which something flows.
#[derive(Debug, PartialEq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// A stage, or one cell of it.
#[derive(Debug, PartialEq)]
pub struct Node {
    pub name: String,
    pub kind: String,
    /// The axes whose values its cells are, and how many cells there are; one where there are no axes.
    pub axes: Vec<String>,
    pub cells: usize,
    /// How many of its cells are in each state, by the state's word, the gravest first.
    pub states: Vec<(&'static str, usize)>,
}

/// What flows from one node to another: output ports by name.
#[derive(Debug, PartialEq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub ports: Vec<String>,
}

/// What is drawn as a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    Stages,
    Cells,
}

/// The words for a cell's state, the gravest first: the colour of a stage is that of its gravest cell.
const GRAVITY: [&str; 12] = [
    "failed",
    "stopped",
    "running",
    "skipped",
    "waiting",
    "unknown",
    "run",
    "ran",
    "reproduced",
    "same",
    "cached",
    "unwanted",
];

impl Graph {
    /// The graph of a plan; `state` is the word for where a cell stands.
    pub fn of(plan: &Plan, grain: Grain, state: impl Fn(usize) -> &'static str) -> Self {
        let mut nodes: Vec<Node> = vec![];
        let mut of_stage = BTreeMap::new();
        let mut node_of = vec![];
        for (index, cell) in plan.cells.iter().enumerate() {
            let fresh = nodes.len();
            let node = match grain {
                Grain::Stages => *of_stage.entry(cell.stage).or_insert(fresh),
                Grain::Cells => fresh,
            };
            if node == fresh {
                nodes.push(match grain {
                    Grain::Stages => Node::new(plan.stage_name(cell), cell.kind.name, axes(&cell.labels)),
                    Grain::Cells => Node::new(&cell.id, cell.kind.name, vec![]),
                });
            }
            nodes[node].cells += 1;
            nodes[node].count(state(index));
            node_of.push(node);
        }
        let edges = edges(plan, &node_of);
        Self { nodes, edges }
    }
}

fn axes(labels: &[(String, String)]) -> Vec<String> {
    labels.iter().map(|(axis, _)| axis.clone()).collect()
}

fn edges(plan: &Plan, node_of: &[usize]) -> Vec<Edge> {
    let mut ports = BTreeMap::<(usize, usize), Vec<String>>::new();
    for (index, cell) in plan.cells.iter().enumerate() {
        for from in cell.inputs.values().flat_map(assay_cache::Slot::items) {
            let names = ports.entry((node_of[from.cell], node_of[index])).or_default();
            if !names.contains(&from.port) {
                names.push(from.port.clone());
            }
        }
    }
    ports.into_iter().map(|((from, to), ports)| Edge { from, to, ports }).collect()
}

impl Node {
    fn new(name: &str, kind: &str, axes: Vec<String>) -> Self {
        Self { name: name.to_owned(), kind: kind.to_owned(), axes, cells: 0, states: vec![] }
    }

    fn count(&mut self, state: &'static str) {
        match self.states.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => {
                self.states.push((state, 1));
                let gravity = |word: &str| GRAVITY.iter().position(|known| *known == word);
                self.states.sort_by_key(|(word, _)| gravity(word).unwrap_or(GRAVITY.len()));
            }
        }
    }

    /// The state that its colour tells: that of its gravest cell.
    pub fn state(&self) -> &'static str {
        self.states.first().map_or("unknown", |(word, _)| word)
    }

    /// `cached`; of several cells, `2 ran, 58 cached`.
    pub fn state_text(&self) -> String {
        match self.states.as_slice() {
            [(word, 1)] => (*word).to_owned(),
            states => states.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", "),
        }
    }

    /// `×60 (region × sigma × seed)`; nothing without axes.
    pub fn cells_text(&self) -> Option<String> {
        (!self.axes.is_empty()).then(|| format!("×{} ({})", self.cells, self.axes.join(" × ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_cell_gives_the_colour_and_all_are_counted() {
        let mut node = Node::new("treated", "forward", vec!["region".into(), "sigma".into()]);
        node.cells = 60;
        ["cached", "ran", "cached", "failed"].into_iter().for_each(|state| node.count(state));
        assert_eq!(node.state(), "failed");
        assert_eq!(node.state_text(), "1 failed, 1 ran, 2 cached");
        assert_eq!(node.cells_text().unwrap(), "×60 (region × sigma)");
    }
}
