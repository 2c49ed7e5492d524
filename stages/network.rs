//! `network`: the graph of the strongest pairs, and what it is like as a network.
//!
//! It draws nothing (`plot` does) and decides nothing about nodes (`rank` does).

use assay_cache::{Artifact, Table, Tensor, Values, finite};
use ndarray::{Array2, Ix2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Purpose, Seed, Stage, below,
    metrics::{
        network::{Graph, communities, strongest},
        summary,
    },
    rng, shuffle,
};

/// Is what pairs have in common spread over all nodes, or does it fall into parts?
///
/// The strongest pairs of a symmetric matrix over nodes are the edges of a graph. Its global efficiency is the mean over
/// pairs of one over their distance in edges: high where everything is near to everything. Its modularity (Newman's) is
/// the part of the edges inside communities, less what chance puts there: high where the graph falls into parts.
/// Communities are sought by Louvain's method from several random orders, and the best division is kept.
///
/// Outputs: `measures` (nodes, pairs, edges, threshold: the weakest edge, components, isolated: nodes without edges,
/// global_efficiency, clustering, modularity, communities; with `random-graphs` also `random`: mean and std of
/// efficiency, clustering and modularity over graphs of the same degrees); `nodes` (index, node, degree, strength,
/// community: 0 is the largest); `edges` (a, b: indices of nodes, node_a, node_b, weight, inside: both of one
/// community).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// The part of all pairs that are edges, the strongest first.
    #[serde(default = "tenth")]
    pub density: f64,
    /// Whether communities and modularity go by the weights of edges; otherwise each edge counts as one. Weights may not
    /// be negative then.
    #[serde(default)]
    pub weighted: bool,
    /// Random orders from which communities are sought.
    #[serde(default = "ten")]
    pub tries: usize,
    /// Random graphs in which every node has as many edges, to compare with.
    #[serde(default)]
    pub random_graphs: usize,
    /// What orders and random graphs depend on.
    pub seed: Seed,
}

/// What is measured of the graph, and of random ones.
struct Measured {
    efficiency: f64,
    clustering: f64,
    modularity: f64,
    community: Vec<usize>,
}

const NODES: [&str; 5] = ["index", "node", "degree", "strength", "community"];
const EDGES: [&str; 6] = ["a", "b", "node_a", "node_b", "weight", "inside"];

fn tenth() -> f64 {
    0.1
}

fn ten() -> usize {
    10
}

impl Stage for Network {
    const KIND: &'static str = "network";
    const VERSION: &'static [(&'static str, u32)] = &[("network", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut mistakes = vec![];
        if !(0.0 < self.density && self.density <= 1.0) {
            mistakes.push(Mistake::new("density", "the part of the pairs is above 0 and at most 1").help("write 0.1"));
        }
        if self.tries == 0 {
            mistakes.push(Mistake::new("tries", "communities are sought from one order at least"));
        }
        let axes = given.one("matrix").map_or(&[][..], |arrived| arrived.ty.axes.as_slice());
        if !axes.is_empty() && axes.len() != 2 {
            let message = format!("a matrix has two axes, not {}", axes.join(", "));
            mistakes.push(Mistake::new("inputs.matrix", message));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let table = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        Ok(Ports {
            inputs: vec![InputPort::one("matrix", PortType::of("tensor"))],
            outputs: vec![
                OutputPort::new("measures", PortType::of("record")),
                table("nodes", &NODES),
                table("edges", &EDGES),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (tensor, matrix) = symmetric(inputs)?;
        let (edges, pairs) = strongest(matrix.view(), self.density);
        if edges.is_empty() {
            let all = matrix.nrows();
            let message = format!("none of the {pairs} pairs of {all} nodes is an edge: raise `density`");
            return Err(Failure::fatal(message));
        }
        if self.weighted && edges.iter().any(|(_, _, weight)| *weight < 0.0) {
            let help = "leave `weighted` out, or lower `density`";
            return Err(Failure::fatal(format!("a weight among the edges is negative: {help}")));
        }
        let graph = Graph::new(matrix.nrows(), edges);
        let measured = self.measured(&graph, 0);
        let random = self.random(&graph, ctx)?;
        let labels: Vec<String> = match &tensor.axes[0].labels {
            Some(labels) => labels.clone(),
            None => (0..graph.nodes()).map(|node| node.to_string()).collect(),
        };
        let edges = edge_table(&graph, &labels, &measured.community, tensor.unit.as_deref());
        Ok(Outputs::default()
            .with("measures", Artifact::Record(record(&graph, pairs, &measured, &random)))
            .with("nodes", Artifact::Table(node_table(&graph, labels, &measured.community, tensor.unit.as_deref())))
            .with("edges", Artifact::Table(edges)))
    }
}

impl Network {
    /// The measures of graph number `number`: 0 is the graph itself, the others are random.
    fn measured(&self, graph: &Graph, number: u64) -> Measured {
        let shape = if self.weighted { graph.clone() } else { graph.unweighted() };
        let division = |attempt: usize| {
            let mut rng = rng(self.seed.0, Purpose::Communities, &[number, attempt as u64]);
            let community = communities(&shape, |nodes| {
                let mut order: Vec<usize> = (0..nodes).collect();
                shuffle(&mut order, &mut rng);
                order
            });
            (shape.modularity(&community), community)
        };
        let first = division(0);
        let better = |best: (f64, Vec<usize>), next: (f64, Vec<usize>)| if next.0 > best.0 { next } else { best };
        let (modularity, community) = (1..self.tries).map(division).fold(first, better);
        let (efficiency, clustering) = (graph.global_efficiency(), graph.clustering());
        Measured { efficiency, clustering, modularity, community }
    }

    fn random(&self, graph: &Graph, ctx: &dyn Ctx) -> Result<Vec<Measured>, Failure> {
        let one = |number: usize| {
            ctx.go_on()?;
            let mut rng = rng(self.seed.0, Purpose::Rewiring, &[number as u64]);
            let measured = self.measured(&graph.rewired(|bound| below(bound, &mut rng)), number as u64 + 1);
            ctx.progress(number as u64 + 1, self.random_graphs as u64, "random graphs");
            Ok(measured)
        };
        (0..self.random_graphs).map(one).collect()
    }
}

/// The matrix that came, if it is one of undirected pairs.
fn symmetric(inputs: &Inputs) -> Result<(&Tensor, Array2<f64>), Failure> {
    let tensor = inputs.tensor("matrix")?;
    let square = tensor.data.to_f64().into_dimensionality::<Ix2>().ok().filter(|matrix| matrix.is_square());
    let Some(matrix) = square else {
        let shape = tensor.shape();
        return Err(Failure::fatal(format!("`matrix` is of shape {shape:?}; expected a square matrix of nodes")));
    };
    for ((a, b), &value) in matrix.indexed_iter() {
        let other = matrix[[b, a]];
        if (value - other).abs() > 1e-9 * value.abs().max(other.abs()) || value.is_nan() != other.is_nan() {
            let message = format!("`matrix` has {value} at [{a}, {b}] and {other} at [{b}, {a}]: pairs are undirected");
            return Err(Failure::fatal(message));
        }
    }
    Ok((tensor, matrix))
}

fn record(graph: &Graph, pairs: usize, own: &Measured, random: &[Measured]) -> Value {
    let isolated = graph.degrees().into_iter().filter(|degree| *degree == 0).count();
    let mut record = json!({
        "nodes": graph.nodes(),
        "pairs": pairs,
        "edges": graph.edges.len(),
        "threshold": graph.edges.last().map(|edge| finite(edge.2)),
        "components": graph.components(),
        "isolated": isolated,
        "global_efficiency": finite(own.efficiency),
        "clustering": finite(own.clustering),
        "modularity": finite(own.modularity),
        "communities": own.community.iter().max().map_or(0, |largest| largest + 1),
    });
    if !random.is_empty() {
        let spread = |of: fn(&Measured) -> f64| {
            let values: Vec<f64> = random.iter().map(of).collect();
            json!({ "mean": finite(summary::mean(&values)), "std": finite(summary::std(&values)) })
        };
        let random: Map<String, Value> = [
            ("graphs".to_owned(), json!(random.len())),
            ("global_efficiency".to_owned(), spread(|measured| measured.efficiency)),
            ("clustering".to_owned(), spread(|measured| measured.clustering)),
            ("modularity".to_owned(), spread(|measured| measured.modularity)),
        ]
        .into_iter()
        .collect();
        record["random"] = Value::Object(random);
    }
    record
}

fn node_table(graph: &Graph, labels: Vec<String>, community: &[usize], unit: Option<&str>) -> Table {
    let integers = |values: &[usize]| Values::Int(values.iter().map(|value| Some(*value as i64)).collect());
    let table = Table::default()
        .with("index", integers(&(0..graph.nodes()).collect::<Vec<_>>()))
        .with("node", Values::Text(labels))
        .with("degree", integers(&graph.degrees()))
        .with("strength", Values::Float(graph.strengths()));
    with_unit(table, unit).with("community", integers(community))
}

fn edge_table(graph: &Graph, labels: &[String], community: &[usize], unit: Option<&str>) -> Table {
    let integers = |end: fn(&(usize, usize, f64)) -> usize| {
        Values::Int(graph.edges.iter().map(|edge| Some(end(edge) as i64)).collect())
    };
    let names = |end: fn(&(usize, usize, f64)) -> usize| {
        Values::Text(graph.edges.iter().map(|edge| labels[end(edge)].clone()).collect())
    };
    let table = Table::default()
        .with("a", integers(|edge| edge.0))
        .with("b", integers(|edge| edge.1))
        .with("node_a", names(|edge| edge.0))
        .with("node_b", names(|edge| edge.1))
        .with("weight", Values::Float(graph.edges.iter().map(|edge| edge.2).collect()));
    let inside = graph.edges.iter().map(|edge| community[edge.0] == community[edge.1]).collect();
    with_unit(table, unit).with("inside", Values::Bool(inside))
}

fn with_unit(table: Table, unit: Option<&str>) -> Table {
    match unit {
        Some(unit) => table.unit(unit),
        None => table,
    }
}

#[cfg(test)]
mod tests;
