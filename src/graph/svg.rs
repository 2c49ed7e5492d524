//! The graph as SVG: alone in a file, or inside the report. Colours come from classes, so that the drawing follows the
//! page between light and dark.

use std::fmt::Write;

use super::{
    Graph, Node,
    layout::{Layout, Wanted, layout},
};
use crate::markup::escaped;

/// The style of a drawing: the report has it in its own style sheet.
pub const STYLE: &str = include_str!("graph.css");

const HEIGHT: f64 = 62.0;
const ROW: f64 = 124.0;
const MARGIN: f64 = 12.0;
/// Widths of a character in the sizes of text, wide enough for any font that a reader has.
const NAME_CHARACTER: f64 = 8.6;
const SMALL_CHARACTER: f64 = 6.3;
const PORT_CHARACTER: f64 = 5.9;
const NARROWEST: f64 = 112.0;
const WIDEST: f64 = 230.0;

/// The drawing as a file of its own.
pub fn standalone(graph: &Graph) -> String {
    let drawing = drawing(graph, "The graph of the study");
    let style = format!("<style>\n{STYLE}</style>\n");
    // The style goes behind the opening tag.
    drawing.replacen("\n", &format!("\n{style}"), 1)
}

/// The drawing as an element; `label` is what a screen reader says.
pub fn drawing(graph: &Graph, label: &str) -> String {
    let widths: Vec<f64> = (0..graph.nodes.len()).map(|node| width(graph, node)).collect();
    let edges: Vec<(usize, usize)> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let layout = layout(&Wanted { widths: &widths, edges: &edges });
    let (w, h) = (layout.width + 2.0 * MARGIN, layout.count as f64 * ROW - (ROW - HEIGHT) + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" width=\"{w:.0}\" height=\"{h:.0}\" \
         viewBox=\"0 0 {w:.0} {h:.0}\" style=\"--width:{w:.0}px\" role=\"img\" aria-label=\"{}\">\n",
        escaped(label)
    );
    // A string takes all that is written to it, here and below.
    let arrivals = arrivals(graph, &layout, &widths);
    for (index, edge) in graph.edges.iter().enumerate() {
        let line = path(&layout, (edge.from, edge.to), index, arrivals[index].0);
        let _ = writeln!(svg, "<path class=\"edge\" d=\"{line}\"/>");
    }
    for (edge, &(x, room)) in graph.edges.iter().zip(&arrivals) {
        let end = top(&layout, edge.to);
        let _ = writeln!(
            svg,
            "<path class=\"tip\" d=\"M{x:.1} {end:.1}l-3.5 -7h7z\"/>\
             <text class=\"port\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            end - 12.0,
            clipped(&edge.ports.join(", "), room, PORT_CHARACTER)
        );
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        draw_node(&mut svg, node, layout.x[index] + MARGIN, top(&layout, index), widths[index]);
    }
    svg + "</svg>\n"
}

fn top(layout: &Layout, node: usize) -> f64 {
    layout.rows[node] as f64 * ROW + MARGIN
}

/// Wide enough for its texts, and for the names of what arrives, side by side.
fn width(graph: &Graph, index: usize) -> f64 {
    let node = &graph.nodes[index];
    let arriving = graph.edges.iter().filter(|edge| edge.to == index);
    let names: Vec<usize> = arriving.map(|edge| edge.ports.join(", ").chars().count() + 2).collect();
    let lines = [
        (names.iter().max().unwrap_or(&0) * names.len()) as f64 * PORT_CHARACTER - 28.0,
        node.name.chars().count() as f64 * NAME_CHARACTER,
        second_line(node).chars().count() as f64 * SMALL_CHARACTER,
        (node.state_text().chars().count() + 2) as f64 * SMALL_CHARACTER,
    ];
    (lines.into_iter().fold(0.0, f64::max) + 28.0).clamp(NARROWEST, WIDEST)
}

/// `generate`; over axes, `forward ×60 (region × sigma × seed)`.
fn second_line(node: &Node) -> String {
    node.cells_text().map_or(node.kind.clone(), |cells| format!("{} {cells}", node.kind))
}

fn draw_node(svg: &mut String, node: &Node, x: f64, y: f64, width: f64) {
    let left = x - width / 2.0;
    let room = width - 24.0;
    let state = node.state();
    let full = escaped(&format!("{}: {}, {}", node.name, second_line(node), node.state_text()));
    let _ = writeln!(
        svg,
        "<g class=\"node {state}\"><title>{full}</title>\
         <rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"6\"/>\
         <path class=\"mark\" d=\"M{left:.1} {:.1}a6 6 0 0 1 6 -6v{HEIGHT}a6 6 0 0 1 -6 -6z\"/>\
         <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"kind\" x=\"{1:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"state\" x=\"{1:.1}\" y=\"{:.1}\">{}</text></g>",
        y + 6.0,
        left + 14.0,
        y + 20.0,
        clipped(&node.name, room, NAME_CHARACTER),
        y + 36.0,
        clipped(&second_line(node), room, SMALL_CHARACTER),
        y + 52.0,
        clipped(&node.state_text(), room, SMALL_CHARACTER),
    );
}

/// As much of a text as fits, escaped.
fn clipped(text: &str, room: f64, character: f64) -> String {
    let fits = (room / character).max(1.0) as usize;
    match text.chars().count() {
        length if length <= fits => escaped(text),
        _ => escaped(&text.chars().take(fits - 1).chain(['…']).collect::<String>()),
    }
}

/// For each edge, where it enters its node and how wide its label may be: in the order in which edges come from the
/// left, so that none crosses another at the end.
fn arrivals(graph: &Graph, layout: &Layout, widths: &[f64]) -> Vec<(f64, f64)> {
    let comes_from = |edge: usize| layout.bends[edge].last().map_or(layout.x[graph.edges[edge].from], |bend| bend.1);
    let mut arrivals = vec![(0.0, 0.0); graph.edges.len()];
    for (node, middle) in layout.x.iter().enumerate() {
        let mut edges: Vec<usize> = (0..graph.edges.len()).filter(|&edge| graph.edges[edge].to == node).collect();
        edges.sort_by(|&a, &b| comes_from(a).total_cmp(&comes_from(b)));
        let slot = widths[node] / edges.len().max(1) as f64;
        let first = middle + MARGIN - slot * edges.len() as f64 / 2.0;
        for (i, &edge) in edges.iter().enumerate() {
            arrivals[edge] = (first + slot * (i as f64 + 0.5), slot);
        }
    }
    arrivals
}

/// A line from the foot of one node through the bends to the head of another.
fn path(layout: &Layout, (from, to): (usize, usize), edge: usize, end: f64) -> String {
    let (mut x, mut y) = (layout.x[from] + MARGIN, top(layout, from) + HEIGHT);
    let mut path = format!("M{x:.1} {y:.1}");
    let mut reach = |to_x: f64, to_y: f64| {
        let half = (y + to_y) / 2.0;
        let _ = write!(path, "C{x:.1} {half:.1} {to_x:.1} {half:.1} {to_x:.1} {to_y:.1}");
        (x, y) = (to_x, to_y);
    };
    for &(row, bend) in &layout.bends[edge] {
        let above = row as f64 * ROW + MARGIN;
        reach(bend + MARGIN, above);
        reach(bend + MARGIN, above + HEIGHT);
    }
    reach(end, top(layout, to) - 6.0);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Edge;

    fn node(name: &str) -> Node {
        Node { name: name.into(), kind: "rank".into(), axes: vec![], cells: 1, states: vec![("cached", 1)] }
    }

    #[test]
    fn names_are_text_and_the_same_graph_is_the_same_drawing() {
        let graph = || Graph {
            nodes: vec![node("a</title><script>alert(1)</script>"), node("b")],
            edges: vec![Edge { from: 0, to: 1, ports: vec!["<x>".into()] }],
        };
        let svg = standalone(&graph());
        assert_eq!(svg, standalone(&graph()));
        assert!(!svg.contains("<script") && !svg.contains("<x>"), "{svg}");
        assert_eq!(svg.matches("<style>").count(), 1);
        assert!(svg.contains("&lt;x&gt;"));
    }

    #[test]
    fn a_text_that_does_not_fit_says_so() {
        assert_eq!(clipped("abcdefgh", 40.0, 8.0), "abcd…");
        assert_eq!(clipped("abc", 40.0, 8.0), "abc");
    }
}
