//! The graph as Mermaid, which GitHub, notebooks and most wikis draw.

use std::fmt::Write;

use super::Graph;

/// Fill and line of each state's class, legible on light and on dark pages.
const CLASSES: &str = "\
classDef default fill:#f4f4f0,stroke:#77756e,color:#1d1d1b
classDef cached fill:#e3ecf5,stroke:#3f6f9f,color:#14293d
classDef run fill:#fdf0d5,stroke:#a36b00,color:#3d2800
classDef unknown fill:#f4f4f0,stroke:#77756e,color:#1d1d1b,stroke-dasharray:4 3
";

/// A Mermaid flow chart. Nothing in a name can end a label: see [`escaped`].
pub fn mermaid(graph: &Graph) -> String {
    let mut text = "flowchart TD\n".to_owned();
    let mut line = |line: String| {
        // A string takes all that is written to it.
        let _ = writeln!(text, "    {line}");
    };
    for (index, node) in graph.nodes.iter().enumerate() {
        let cells = node.cells_text().map_or(String::new(), |cells| format!("<br/>{}", escaped(&cells)));
        let (name, kind) = (escaped(&node.name), escaped(&node.kind));
        line(format!("n{index}[\"<b>{name}</b><br/>{kind}{cells}\"]:::{}", node.state()));
    }
    for edge in &graph.edges {
        let ports: Vec<_> = edge.ports.iter().map(|port| escaped(port)).collect();
        line(format!("n{} -->|\"{}\"| n{}", edge.from, ports.join(", "), edge.to));
    }
    CLASSES.lines().for_each(|class| line(class.to_owned()));
    text
}

/// Text inside quotes: everything that Mermaid or HTML gives a meaning to, as Mermaid's entity codes; control
/// characters, which could end a line or reach a terminal, as spaces.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '<' | '>' | '&' | '|' | '`' | ';' | '\\' => {
                let _ = write!(out, "#{};", character as u32);
            }
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Edge, Node};

    #[test]
    fn a_label_cannot_end_its_quotes() {
        let hostile = "a\"]:::x;\nb --> c <script>\u{1b}[2J";
        let node = |name: &str| Node {
            name: name.into(),
            kind: "k".into(),
            axes: vec![],
            cells: 1,
            states: vec![("cached", 1)],
        };
        let graph = Graph {
            nodes: vec![node("plain"), node(hostile)],
            edges: vec![Edge { from: 0, to: 1, ports: vec!["p|\"".into()] }],
        };
        let text = mermaid(&graph);
        assert_eq!(text.lines().count(), 1 + 2 + 1 + 4, "{text}");
        let line = text.lines().nth(2).unwrap();
        assert_eq!(line.matches('"').count(), 2, "{line}");
        assert!(!text.contains('\u{1b}') && !line.contains("<script"), "{text}");
        assert!(text.contains("|\"p#124;#34;\"|"), "{text}");
    }
}
