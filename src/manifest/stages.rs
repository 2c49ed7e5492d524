//! `[stages]`: the reserved keys of a stage; all other keys are its parameters, and stay nodes.

use super::{
    Axis, InputDecl, Node, NodeValue, Problem, Spanned, StageDecl, Wire,
    axes::bad_name,
    fields::{self, Fields},
    label::is_name,
    spelling::suggest,
};

/// The keys of a stage that are no parameters.
pub const RESERVED: [&str; 6] = ["kind", "over", "inputs", "title", "control", "resources"];

/// All stages, in the order of the text, and the names of those that could not be understood.
pub fn read(node: Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Option<(Vec<StageDecl>, Vec<String>)> {
    let mut stages = vec![];
    let mut misread = vec![];
    for (name, node) in fields::table(node, problems)? {
        let called = name.value.clone();
        match stage(name, node, axes, problems) {
            Some(stage) => stages.push(stage),
            None => misread.push(called),
        }
    }
    Some((stages, misread))
}

fn stage(name: Spanned<String>, node: Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Option<StageDecl> {
    if !is_name(&name.value) {
        problems.push(bad_name("a stage", &name));
    }
    let base = node.base;
    let mut fields = Fields::of(node, problems)?;
    let kind = fields.required("kind", "every stage has one: `assay stages` lists them");
    let before = fields.problems.len();
    let over = fields.list("over").map_or(vec![], |items| over(items, axes, fields.problems));
    let inputs = fields.table("inputs").map_or(vec![], |entries| inputs(entries, fields.problems));
    let is_partial = fields.problems.len() > before;
    let title = fields.string("title").map(|title| title.value);
    let control = fields.string("control").map(|control| control.value);
    // Hints for a cluster, never part of a key: a table, or a mistake.
    fields.table("resources");
    let span = fields.span.clone();
    let params = Node { span, value: NodeValue::Table(fields.rest()), base };
    Some(StageDecl { name, kind: kind?, over, inputs, title, control, params, is_partial })
}

/// The axes of a stage, each of them known and there once.
fn over(items: Vec<Node>, axes: &[Axis], problems: &mut Vec<Problem>) -> Vec<Spanned<String>> {
    let mut over: Vec<Spanned<String>> = vec![];
    for item in items {
        let Some(name) = fields::string(item, problems) else { continue };
        let known = axes.iter().map(|axis| axis.name.value.as_str());
        if over.iter().any(|other| other.value == name.value) {
            let problem = Problem::new(name.span.clone(), format!("the axis `{}` is in `over` twice", name.value));
            problems.push(problem.help("name it once"));
            continue;
        } else if !known.clone().any(|axis| axis == name.value) {
            let problem = Problem::new(name.span.clone(), format!("there is no axis `{}`", name.value));
            problems.push(problem.help(suggest(&name.value, "axes", known).unwrap_or("add it to [axes]".into())));
            continue;
        }
        over.push(name);
    }
    over
}

fn inputs(entries: Vec<(Spanned<String>, Node)>, problems: &mut Vec<Problem>) -> Vec<InputDecl> {
    entries.into_iter().map(|(port, node)| input(port, node, problems)).collect()
}

fn input(port: Spanned<String>, node: Node, problems: &mut Vec<Problem>) -> InputDecl {
    let (listed, items) = match node.value {
        NodeValue::Array(items) if items.is_empty() => {
            let problem = Problem::new(node.span, format!("the list for the input `{}` is empty", port.value));
            problems.push(problem.help("name a stage, or leave the input out"));
            (true, items)
        }
        NodeValue::Array(items) => (true, items),
        _ => (false, vec![node]),
    };
    let wires = items.into_iter().filter_map(|item| wire(item, problems)).collect();
    InputDecl { port, wires, listed }
}

/// `"stage"` or `"stage.port"`.
pub fn wire(node: Node, problems: &mut Vec<Problem>) -> Option<Spanned<Wire>> {
    let text = match &node.value {
        NodeValue::String(text) => text,
        _ => {
            problems.push(Problem::expected("\"stage\" or \"stage.port\"", &node));
            return None;
        }
    };
    let (stage, port) = match text.split_once('.') {
        Some((stage, port)) => (stage, Some(port)),
        None => (text.as_str(), None),
    };
    if !is_name(stage) || port == Some("") {
        problems.push(Problem::expected("\"stage\" or \"stage.port\"", &node));
        return None;
    }
    let wire = Wire { stage: stage.to_owned(), port: port.map(str::to_owned) };
    Some(Spanned { span: node.span, value: wire })
}
