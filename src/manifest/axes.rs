//! `[axes]`: swept parameters and the labels of their values.

use std::collections::HashSet;

use super::{Axis, AxisValue, Node, NodeValue, Problem, Span, Spanned, fields, label::is_name, substitute::literal};

/// All axes, in the order of the text. One that is wrong is there with the values that are right.
pub fn read(node: Node, problems: &mut Vec<Problem>) -> Vec<Axis> {
    let Some(entries) = fields::table(node, problems) else { return vec![] };
    entries.into_iter().map(|(name, node)| axis(name, node, problems)).collect()
}

fn axis(name: Spanned<String>, node: Node, problems: &mut Vec<Problem>) -> Axis {
    check_name(&name, problems);
    let values = match node.value {
        NodeValue::Array(items) if items.is_empty() => no_values(&name, node.span, problems),
        NodeValue::Table(entries) if entries.is_empty() => no_values(&name, node.span, problems),
        NodeValue::Array(items) => items.into_iter().filter_map(|item| scalar(item, problems)).collect(),
        NodeValue::Table(entries) => entries.into_iter().map(|entry| labelled(entry, problems)).collect(),
        _ => {
            problems.push(Problem::expected("a list of values, or a table of label = value", &node));
            vec![]
        }
    };
    let values = with_good_labels(&name, values, problems);
    Axis { name, values }
}

fn no_values(name: &Spanned<String>, span: Span, problems: &mut Vec<Problem>) -> Vec<Labelled> {
    let problem = Problem::new(span, format!("the axis `{}` has no values", name.value));
    problems.push(problem.help("a stage over it would have no cells: give it values, or remove it"));
    vec![]
}

fn check_name(name: &Spanned<String>, problems: &mut Vec<Problem>) {
    if name.value == "params" {
        let problem = Problem::new(name.span.clone(), "an axis cannot be called `params`");
        problems.push(problem.help("`${params.x}` refers to [params]"));
    } else if !is_name(&name.value) {
        problems.push(bad_name("an axis", name));
    }
}

/// A name of an axis, a parameter or a stage that ids could not hold.
pub fn bad_name(what: &str, name: &Spanned<String>) -> Problem {
    Problem::new(name.span.clone(), format!("{} cannot be the name of {what}", super::node::quoted(&name.value)))
        .help("a name is made of letters, digits, `_` and `-`")
}

/// A value and where its label stands.
type Labelled = (Span, AxisValue);

fn scalar(item: Node, problems: &mut Vec<Problem>) -> Option<Labelled> {
    let span = item.span.clone();
    let value = literal(item, "an axis value", problems);
    match value.scalar_text() {
        Some(label) => Some((span, AxisValue { label, value })),
        None => {
            let problem = Problem::new(span, format!("{} needs a label", value.describe()));
            problems.push(problem.help("write the axis as a table: { label = value, … }"));
            None
        }
    }
}

fn labelled((label, node): (Spanned<String>, Node), problems: &mut Vec<Problem>) -> Labelled {
    (label.span, AxisValue { label: label.value, value: literal(node, "an axis value", problems) })
}

/// The values whose labels tell them apart.
fn with_good_labels(name: &Spanned<String>, values: Vec<Labelled>, problems: &mut Vec<Problem>) -> Vec<AxisValue> {
    let mut good: Vec<AxisValue> = vec![];
    let mut seen = HashSet::new();
    for (span, value) in values {
        if value.label.is_empty() {
            let problem = Problem::new(span, "a label cannot be empty");
            problems.push(problem.help("write the axis as a table: { label = value, … }"));
        } else if !seen.insert(value.label.clone()) {
            let message = format!("the axis `{}` has the label `{}` twice", name.value, value.label);
            problems.push(Problem::new(span, message).help("each cell needs labels of its own"));
        } else {
            good.push(value);
        }
    }
    good
}
