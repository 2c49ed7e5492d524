//! The order of stages: each after those that its inputs name. Wires to stages that do not exist and cycles are
//! reported here, a cycle with its path.

use std::collections::{BTreeMap, HashMap, HashSet};

use petgraph::{
    Direction,
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
};

use super::unknown;
use crate::manifest::{Manifest, Problem};

/// Indices of the manifest's stages, each after all it depends on. Stages on a cycle are left out.
pub fn stages(manifest: &Manifest, problems: &mut Vec<Problem>) -> Vec<usize> {
    let mut graph = dependencies(manifest, problems);
    let cycles = cycles(&graph);
    problems.extend(cycles.iter().map(|cycle| describe(manifest, &graph, cycle)));
    let on_cycles: HashSet<usize> = cycles.into_iter().flatten().collect();
    graph.retain_nodes(|graph, node| !on_cycles.contains(&graph[node]));
    in_order(&graph)
}

/// The stages of a graph without cycles, each after all it depends on, otherwise as they stand in the manifest.
fn in_order(graph: &DiGraph<usize, ()>) -> Vec<usize> {
    let upstream = |node| graph.neighbors_directed(node, Direction::Incoming).count();
    let mut missing: HashMap<NodeIndex, usize> = graph.node_indices().map(|node| (node, upstream(node))).collect();
    let mut ready: BTreeMap<usize, NodeIndex> =
        graph.node_indices().filter(|node| missing[node] == 0).map(|node| (graph[node], node)).collect();
    let mut order = Vec::with_capacity(graph.node_count());
    while let Some((stage, node)) = ready.pop_first() {
        order.push(stage);
        for next in graph.neighbors(node) {
            let missing = missing.get_mut(&next).expect("every node was counted");
            *missing -= 1;
            if *missing == 0 {
                ready.insert(graph[next], next);
            }
        }
    }
    order
}

fn dependencies(manifest: &Manifest, problems: &mut Vec<Problem>) -> DiGraph<usize, ()> {
    let mut graph = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..manifest.stages.len()).map(|stage| graph.add_node(stage)).collect();
    let by_name: HashMap<&str, usize> =
        manifest.stages.iter().enumerate().map(|(i, stage)| (stage.name.value.as_str(), i)).collect();
    for (i, stage) in manifest.stages.iter().enumerate() {
        for wire in stage.inputs.iter().flat_map(|input| &input.wires) {
            match by_name.get(wire.value.stage.as_str()) {
                Some(&upstream) => {
                    graph.update_edge(nodes[upstream], nodes[i], ());
                }
                None if manifest.misread.contains(&wire.value.stage) => {}
                None => {
                    let names = manifest.stages.iter().map(|stage| stage.name.value.as_str());
                    problems.push(unknown(wire.span.clone(), "stage", &wire.value.stage, names));
                }
            }
        }
    }
    graph
}

/// The stages of each cycle.
fn cycles(graph: &DiGraph<usize, ()>) -> Vec<Vec<usize>> {
    let is_cycle = |component: &Vec<NodeIndex>| component.len() > 1 || graph.contains_edge(component[0], component[0]);
    kosaraju_scc(graph)
        .into_iter()
        .filter(is_cycle)
        .map(|component| component.into_iter().map(|node| graph[node]).collect())
        .collect()
}

fn describe(manifest: &Manifest, graph: &DiGraph<usize, ()>, members: &[usize]) -> Problem {
    const SHOWN: usize = 12;
    let path = walk(graph, members);
    let mut names: Vec<_> =
        path.iter().take(SHOWN).map(|&stage| format!("`{}`", manifest.stages[stage].name.value)).collect();
    if path.len() > SHOWN {
        names.push("…".to_owned());
    }
    let first = &manifest.stages[path[0]];
    Problem::new(first.name.span.clone(), format!("these stages wait for each other: {}", names.join(" → ")))
        .help("an arrow leads from a stage to one that takes its output; take one of them out of `inputs`")
}

/// A closed path through the members of a cycle, from the one that stands first in the manifest.
fn walk(graph: &DiGraph<usize, ()>, members: &[usize]) -> Vec<usize> {
    let members: HashSet<usize> = members.iter().copied().collect();
    let first = *members.iter().min().expect("a cycle has members");
    let mut path = vec![first];
    let mut places = HashMap::from([(first, 0)]);
    loop {
        // A stage is the node of its own number.
        let here = NodeIndex::new(path[path.len() - 1]);
        let mut next: Vec<_> =
            graph.neighbors(here).map(|n| graph[n]).filter(|stage| members.contains(stage)).collect();
        next.sort_unstable();
        // Close the path as soon as it can be closed; else go where it has not been.
        if let Some(&step) = next.iter().find(|stage| places.contains_key(stage)) {
            path.push(step);
            return path.split_off(places[&step]);
        }
        let step = *next.first().expect("a member of a cycle leads to another");
        places.insert(step, path.len());
        path.push(step);
    }
}
