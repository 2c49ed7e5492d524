//! Networks: nodes in their layers, edges between them.

use super::*;

pub fn edges() -> Artifact {
    let ends = [("L0H0", "L1H1", 0.9), ("L0H1", "L0H0", 0.4), ("L1H0", "L2H1", 0.1), ("L2H0", "L0H1", 0.6)];
    let table = Table::default()
        .with("source", Values::Text(ends.iter().map(|edge| edge.0.to_owned()).collect()))
        .with("target", Values::Text(ends.iter().map(|edge| edge.1.to_owned()).collect()))
        .with("weight", Values::Float(ends.iter().map(|edge| edge.2).collect()));
    Artifact::Table(table)
}

fn nodes() -> Artifact {
    let names = ["L0H0", "L0H1", "L1H0", "L1H1", "L2H0", "L2H1", "L3H0"];
    let table = Table::default()
        .with("node", Values::Text(names.map(String::from).to_vec()))
        .with("community", Values::Int((0..7).map(|i| Some(i % 3)).collect()));
    Artifact::Table(table)
}

#[test]
fn a_network_is_nodes_in_their_layers_and_bent_edges() {
    let plain = json!({
        "chart": "network",
        "series": [{ "from": "edges", "x": "source", "y": "target", "value": "weight" }],
    });
    let svg = draw(plain.clone(), &[("edges", edges())]).unwrap();
    assert_eq!((count(&svg, "<polyline"), count(&svg, "<circle")), (4, 2 * 6));
    assert!(svg.contains(">L2H1<") && !svg.contains("community"));
    let mut colored = plain;
    let nodes_series = json!({ "from": "nodes", "x": "node", "split": "community" });
    colored["series"].as_array_mut().unwrap().push(nodes_series);
    let svg = draw(colored, &[("edges", edges()), ("nodes", nodes())]).unwrap();
    assert_eq!(count(&svg, "<circle"), 2 * 7 + 3, "a node without edges too, and the legend");
    assert!(svg.contains(">community 2<") && svg.contains(">L3H0<"));
}
