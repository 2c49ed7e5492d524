//! `[[expect]]` and `[export]`: what a study promises, and what it hands out.

use std::collections::BTreeSet;

use super::{
    Axis, Expect, Export, Node, NodeValue, Problem, Spanned,
    fields::{self, Fields},
    label::is_name,
    spelling::suggest,
    stages::wire,
};

/// All expectations that could be understood.
pub fn read(node: Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Vec<Expect> {
    let Some(items) = fields::list(node, problems) else { return vec![] };
    items.into_iter().filter_map(|item| expect(item, axes, problems)).collect()
}

fn expect(node: Node, axes: &[Axis], problems: &mut Vec<Problem>) -> Option<Expect> {
    let mut fields = Fields::of(node, problems)?;
    let that = fields.required("that", "what is compared: \"stage.port.column\"");
    let that = that.and_then(|text| that_path(text, fields.problems));
    let before = fields.problems.len();
    let cell = fields.table("cell").unwrap_or_default();
    let cell = cell.into_iter().filter_map(|entry| label(entry, axes, fields.problems)).collect();
    let is_partial = fields.problems.len() > before;
    let r#where = fields.table("where").unwrap_or_default();
    let r#where = r#where.into_iter().filter_map(|entry| condition(entry, fields.problems)).collect();
    let equals = fields.take("equals");
    match &equals {
        Some(node) => check_equals(node, fields.problems),
        None => fields.missing("equals", "the number, text or list that is expected"),
    }
    let within = fields.tolerance("within");
    let within_relative = fields.tolerance("within-relative");
    let weights = fields.string("weights").filter(|digest| check_digest(digest, fields.problems));
    let models = fields.take("model").map(|node| models(node, fields.problems));
    let source = fields.string("source").map(|text| text.value);
    check_tolerance(equals.as_ref(), within.or(within_relative), &mut fields);
    fields.finish("key in [[expect]]");
    Some(Expect {
        that: that?,
        cell,
        r#where,
        equals: equals?,
        within,
        within_relative,
        weights,
        models,
        source,
        is_partial,
    })
}

/// `stage.port.column` or deeper, split at the dots.
fn that_path(text: Spanned<String>, problems: &mut Vec<Problem>) -> Option<Spanned<Vec<String>>> {
    // The two dots of a range (`tokens.new.0..12`) do not split.
    let parts: Vec<_> = text.value.replace("..", "\0").split('.').map(|part| part.replace('\0', "..")).collect();
    if !is_name(&parts[0]) || parts.iter().any(String::is_empty) {
        let message = format!("expected \"stage.port.column\", found {:?}", text.value);
        problems.push(
            Problem::new(text.span, message)
                .help("as in \"ranking.avg_synergy\": a stage, then one of its outputs or columns"),
        );
        return None;
    }
    Some(Spanned { span: text.span, value: parts })
}

/// An axis and one of its labels, which may be written as the value it stands for.
fn label(
    (axis, node): (Spanned<String>, Node),
    axes: &[Axis],
    problems: &mut Vec<Problem>,
) -> Option<(Spanned<String>, Spanned<String>)> {
    let Some(known) = axes.iter().find(|known| known.name.value == axis.value) else {
        let names = axes.iter().map(|axis| axis.name.value.as_str());
        let problem = Problem::new(axis.span.clone(), format!("there is no axis `{}`", axis.value));
        problems.push(problem.help(suggest(&axis.value, "axes", names).unwrap_or_default()));
        return None;
    };
    let Some(label) = node.scalar_text() else {
        problems.push(Problem::expected("a label of the axis", &node));
        return None;
    };
    let labels = known.values.iter().map(|value| value.label.as_str());
    if !labels.clone().any(|known| known == label) {
        let problem = Problem::new(node.span.clone(), format!("the axis `{}` has no label `{label}`", axis.value));
        problems.push(problem.help(suggest(&label, "labels", labels).unwrap_or_default()));
        return None;
    }
    Some((axis, Spanned { span: node.span, value: label }))
}

fn condition((name, node): (Spanned<String>, Node), problems: &mut Vec<Problem>) -> Option<(Spanned<String>, Node)> {
    if node.scalar_text().is_none() {
        problems.push(Problem::expected("one value of the column", &node));
        return None;
    }
    Some((name, node))
}

fn check_equals(node: &Node, problems: &mut Vec<Problem>) {
    match &node.value {
        NodeValue::Table(_) => problems.push(Problem::expected("a value or a list of values", node)),
        NodeValue::Array(items) => items.iter().for_each(|item| check_equals(item, problems)),
        _ => {}
    }
}

/// A tolerance says nothing about text.
fn check_tolerance(equals: Option<&Node>, tolerance: Option<f64>, fields: &mut Fields) {
    if let (Some(equals), Some(_)) = (equals, tolerance)
        && !numeric(equals)
    {
        let message = format!("a tolerance needs numbers to compare, and `equals` is {}", equals.describe());
        fields.problems.push(Problem::new(equals.span.clone(), message).help("leave the tolerance out"));
    }
}

fn numeric(node: &Node) -> bool {
    match &node.value {
        NodeValue::Array(items) => items.iter().all(numeric),
        _ => node.as_f64().is_some(),
    }
}

fn check_digest(digest: &Spanned<String>, problems: &mut Vec<Problem>) -> bool {
    let hex = digest.value.strip_prefix("blake3:");
    let ok = hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    if !ok {
        let message = format!("expected `blake3:` and 64 hexadecimal digits, found {:?}", digest.value);
        let problem = Problem::new(digest.span.clone(), message);
        problems.push(problem.help("`assay show` prints the digest of a stage's weights"));
    }
    ok
}

/// One model, or all of several that a stage rests on.
fn models(node: Node, problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let span = node.span.clone();
    let items = match node.value {
        NodeValue::Array(items) => items,
        _ => vec![node],
    };
    if items.is_empty() {
        problems.push(Problem::new(span, "no model is named").help("leave `model` out of what holds for any"));
    }
    items.into_iter().filter_map(|item| fields::string(item, problems)).map(|name| name.value).collect()
}

/// `[export]`: a path for each artifact that is wanted under a name of its own.
pub fn exports(node: Node, problems: &mut Vec<Problem>) -> Vec<Export> {
    let Some(entries) = fields::table(node, problems) else { return vec![] };
    let export = |(path, node): (Spanned<String>, Node)| {
        if path.value.is_empty() {
            problems.push(Problem::new(path.span.clone(), "the path to export to is empty"));
        }
        wire(node, problems).map(|what| Export { path, what })
    };
    entries.into_iter().filter_map(export).collect()
}
