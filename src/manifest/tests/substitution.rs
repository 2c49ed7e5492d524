//! `${…}` in a stage's parameters.

use super::{node, read};
use crate::manifest::{
    Base, Manifest, Node, NodeValue, Problem, ROOM, Room, Scope, lower::lower, substitute::substitute,
};

const STUDY: &str = r#"
[study]
name = "s"
[params]
model = "gpt2"
layers = [1, 2]
[axes]
sigma = [0.5, 1e-5]
size = { small = { width = 8, name = "s" }, big = { width = 16, name = "b" } }
seed = [1]
[stages.a]
kind = "x"
over = ["sigma", "size"]
"#;

fn in_cell(manifest: &Manifest, text: &str) -> (Node, Vec<Problem>) {
    let cell: Vec<_> = manifest.axes.iter().take(2).map(|axis| (axis, &axis.values[axis.values.len() - 1])).collect();
    let scope = Scope { params: &manifest.params, axes: &manifest.axes, cell: &cell };
    substitute(&node(text), &scope, &mut Room::of(ROOM))
}

fn value(text: &str) -> NodeValue {
    let (node, problems) = in_cell(&read(STUDY, &[]).unwrap(), &format!("x = {text}"));
    assert_eq!(problems, []);
    node.get("x").unwrap().value.clone()
}

fn wrong(text: &str) -> Vec<(String, String, String)> {
    let text = format!("x = {text}");
    let (_, problems) = in_cell(&read(STUDY, &[]).unwrap(), &text);
    problems.into_iter().map(|p| (text[p.span].to_owned(), p.message, p.help.unwrap_or_default())).collect()
}

#[test]
fn alone_in_a_string_a_value_keeps_its_type() {
    assert_eq!(value("\"${sigma}\""), NodeValue::Float(1e-5));
    assert_eq!(value("\"${size.width}\""), NodeValue::Integer(16));
    assert!(matches!(value("\"${params.layers}\""), NodeValue::Array(items) if items.len() == 2));
    assert!(matches!(value("\"${size}\""), NodeValue::Table(_)));
}

#[test]
fn inside_a_string_scalars_are_written_out() {
    let text = |text: &str| NodeValue::String(text.into());
    assert_eq!(value("\"${params.model}-${size.name}-${sigma}\""), text("gpt2-b-1e-5"));
    assert_eq!(value("\" ${size.width}\""), text(" 16"));
    assert_eq!(value("\"$${sigma} costs $5\""), text("${sigma} costs $5"));
}

#[test]
fn any_depth_is_reached_and_spans_stay_where_they_are_used() {
    let manifest = read(STUDY, &[]).unwrap();
    let text = "x = [{ y = \"${params.layers}\" }]";
    let (node, _) = in_cell(&manifest, text);
    assert_eq!(&text[node.span_at("x[0].y[1]")], "\"${params.layers}\"");
}

#[test]
fn mistakes_point_at_the_reference() {
    assert_eq!(
        wrong("\"a ${sigm}\""),
        [(
            "${sigm}".into(),
            "`sigm` is not an axis of this study".into(),
            "did you mean `sigma`? (axes: sigma, size, seed)".into()
        )]
    );
    assert_eq!(wrong("\"${model}\"")[0].2, "a parameter is written `${params.model}`");
    assert_eq!(
        wrong("\"${seed}\"")[0].2,
        "add it: over = [\"sigma\", \"size\", \"seed\"]",
        "an axis that is not in `over`"
    );
    assert_eq!(wrong("\"${params.modle}\"")[0].2, "did you mean `model`? (parameters: model, layers)");
    assert_eq!(wrong("\"${size.wdith}\"")[0].1, "`size` has no field `wdith`");
    assert_eq!(wrong("\"${sigma.x}\"")[0].1, "`sigma` is no table: it has no field `x`");
    assert_eq!(wrong("\"x${size}\"")[0].1, "`${size}` is a table, which cannot stand inside a string");
    assert_eq!(wrong("\"x${size\"")[0].0, "${size");
    assert_eq!(wrong("\"${}\"")[0].1, "`` is not an axis of this study");
    assert_eq!(wrong("\"${params}\"")[0].1, "there is no parameter `` in [params]");
}

#[test]
fn escapes_in_the_source_widen_the_span_to_the_string() {
    assert_eq!(wrong(r#""\t${nope}""#)[0].0, r#""\t${nope}""#);
}

#[test]
fn what_is_set_is_relative_to_the_working_directory_wherever_it_is_used() {
    let manifest = read(STUDY, &["model=here"]).unwrap();
    let base = |text: &str| in_cell(&manifest, &format!("x = {text}")).0.get("x").unwrap().base;
    assert_eq!(base("\"${params.model}\""), Base::WorkingDir);
    assert_eq!(base("\"${params.model}/a.txt\""), Base::WorkingDir);
    assert_eq!(base("\"prompts/${params.model}\""), Base::ManifestDir);
    assert_eq!(base("\"${size.name}\""), Base::ManifestDir);
}

#[test]
fn what_does_not_fit_is_told_once_where_it_stands() {
    let manifest = read(STUDY, &[]).unwrap();
    let scope = Scope { params: &manifest.params, axes: &manifest.axes, cell: &[] };
    let text = "x = [\"${params.layers}\", \"${params.model}\", \"${params.layers}\", \"a ${params.model}\"]";
    let expanded = |bytes: usize| {
        let mut room = Room::of(bytes);
        let (_, problems) = substitute(&node(text), &scope, &mut room);
        assert_eq!(room.is_spent, !problems.is_empty());
        problems.into_iter().map(|problem| text[problem.span].to_owned()).collect::<Vec<_>>()
    };
    // A list of two is three nodes, a text alone one and its letters, a joined one its letters.
    let (one, list) = (size_of::<Node>(), 3 * size_of::<Node>());
    assert_eq!(expanded(2 * list + one + 4 + 6), [""; 0]);
    assert_eq!(expanded(2 * list + one + 4 + 5), ["\"a ${params.model}\""]);
    assert_eq!(expanded(2 * list), ["${params.layers}"]);
    assert_eq!(expanded(0), ["${params.layers}"]);
}

#[test]
fn a_thousand_cells_share_their_problems() {
    let manifest = read(STUDY, &[]).unwrap();
    let shape = crate::manifest::Shape::of(&super::kinds::schema("load").unwrap());
    let at = super::lowering(std::path::Path::new("/nowhere"));
    let cells = (0..1000).flat_map(|_| {
        let (params, mut problems) = in_cell(&manifest, "source = \"${params.model}\"\ndtype = \"${sgma}\"");
        problems.extend(lower(&params, &shape, &at).err().unwrap_or_default());
        problems
    });
    let problems = crate::manifest::Problems::new(manifest.text.clone(), cells.collect());
    assert_eq!(problems.list.len(), 2);
}
