//! `assay graph`: the study as Mermaid and as SVG.

use std::fs;

use crate::sandbox::Sandbox;

const HEAD: &str = r#"
[study]
name = "swept"

[axes]
tau  = [1, 2]
ties = ["index", "difference"]
"#;

const RANKING: &str = r#"
[stages.ranking]
kind   = "rank"
over   = ["tau", "ties"]
inputs = { sts = "phiid.sts", rtr = "phiid.rtr" }
ties   = "${ties}"
"#;

fn swept() -> Sandbox {
    Sandbox::small(HEAD, RANKING)
}

#[test]
fn a_graph_shows_stages_axes_ports_and_what_is_cached() {
    let sandbox = swept();
    sandbox.run(&["phiid"]);
    let graph = sandbox.assay(&["graph", "study.toml"]);
    assert_eq!(graph.code, Some(0), "{}", graph.stderr);
    let expected = r#"flowchart TD
    n0["<b>activations</b><br/>load-tensor"]:::cached
    n1["<b>phiid</b><br/>phiid<br/>×2 (tau)"]:::cached
    n2["<b>ranking</b><br/>rank<br/>×4 (tau × ties)"]:::run
    n0 -->|"tensor"| n1
    n1 -->|"rtr, sts"| n2
    classDef"#;
    assert!(graph.stdout.starts_with(expected), "{}", graph.stdout);
    assert_eq!(graph.stdout, sandbox.assay(&["graph", "study.toml"]).stdout);
}

#[test]
fn cells_are_drawn_one_by_one_where_that_is_asked_for() {
    let sandbox = swept();
    let cells = sandbox.assay(&["graph", "study.toml", "--cells"]).stdout;
    assert!(cells.contains("<b>ranking[tau=2,ties=difference]</b>"), "{cells}");
    assert_eq!(cells.matches("-->").count(), 2 + 4, "each cell has its own edges: {cells}");
}

#[test]
fn a_drawing_is_written_whole_into_a_file() {
    let sandbox = swept();
    let run = sandbox.assay(&["graph", "study.toml", "--format", "svg", "-o", "graph.svg"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    let svg = fs::read_to_string(sandbox.path("graph.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
    for text in [">phiid<", ">rank ×4 (tau × ties)<", ">rtr, sts<", "class=\"node run\""] {
        assert!(svg.contains(text), "{text} is missing: {svg}");
    }
    let nowhere = sandbox.assay(&["graph", "study.toml", "-o", "study.toml/graph.mmd"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("cannot write study.toml/graph.mmd"), "{}", nowhere.stderr);
}

#[test]
fn too_many_nodes_are_refused_as_a_drawing_and_given_as_text() {
    let labels: Vec<String> = (1..=201).map(|tau| tau.to_string()).collect();
    let sandbox = swept();
    sandbox.edit("tau  = [1, 2]", &format!("tau  = [{}]", labels.join(", ")));
    let refused = sandbox.assay(&["graph", "study.toml", "--cells", "--format", "svg"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("604 nodes are too many"), "{}", refused.stderr);
    assert!(refused.stderr.contains("leave out --cells"), "{}", refused.stderr);
    assert_eq!(sandbox.assay(&["graph", "study.toml", "--format", "svg"]).code, Some(0));
    assert_eq!(sandbox.assay(&["graph", "study.toml", "--cells"]).stdout.lines().count(), 1 + 604 + 603 + 4);
}
