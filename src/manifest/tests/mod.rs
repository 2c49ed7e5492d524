//! What a manifest may say and what it must not: data beside this file, and properties.

mod kinds;
mod lowering;
mod mistakes;
mod reading;
mod substitution;

use std::{path::Path, sync::Arc};

use super::{Lowering, Manifest, Node, Problem, Problems, ROOM, Room, Scope, Shape, Text, lower_cell, syntax};

/// A table node from its text.
fn node(text: &str) -> Node {
    let mut problems = vec![];
    let node = syntax::document(text, &mut problems);
    assert_eq!(problems, []);
    node.expect("the text is TOML")
}

fn lowering(folder: &Path) -> Lowering {
    Lowering { manifest_dir: folder.to_owned(), working_dir: folder.join("elsewhere"), seed: 42 }
}

/// A manifest in a folder of its own, read with `--set`s.
pub fn read(text: &str, sets: &[&str]) -> Result<Manifest, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.toml");
    std::fs::write(&path, text).unwrap();
    read_file(&path, sets)
}

fn read_file(path: &Path, sets: &[&str]) -> Result<Manifest, Problems> {
    match Manifest::recover(path, &sets.iter().map(|set| set.to_string()).collect::<Vec<_>>()) {
        (Some(manifest), problems) if problems.list.is_empty() => Ok(manifest),
        (_, problems) => Err(problems),
    }
}

/// The messages of what is wrong with a manifest.
fn wrong(text: &str) -> Vec<String> {
    match read(text, &[]) {
        Ok(_) => vec![],
        Err(problems) => problems.list.into_iter().map(|problem| problem.message).collect(),
    }
}

/// The problems of every layer of this module, with the first cell of each stage lowered as its test kind.
fn all_problems(manifest: Option<&Manifest>, problems: Problems, name: &str) -> Problems {
    let mut list = problems.list;
    for stage in manifest.iter().flat_map(|manifest| &manifest.stages) {
        list.extend(stage_problems(manifest.expect("it has stages"), stage));
    }
    let text = Text { path: name.into(), content: problems.text.content.clone() };
    Problems::new(Arc::new(text), list)
}

fn stage_problems(manifest: &Manifest, stage: &super::StageDecl) -> Vec<Problem> {
    let over = |name: &str| stage.over.iter().any(|axis| axis.value == name);
    let axes = manifest.axes.iter().filter(|axis| over(&axis.name.value));
    let cell: Option<Vec<_>> = axes.map(|axis| Some((axis, axis.values.first()?))).collect();
    let Some(cell) = cell else { return vec![] };
    let scope = Scope { params: &manifest.params, axes: &manifest.axes, cell: &cell };
    let schema = kinds::schema(&stage.kind.value).expect("manifests of tests name kinds of tests");
    let at = lowering(Path::new("/nowhere"));
    lower_cell(&stage.params, &scope, &Shape::of(&schema), &at, &mut Room::of(ROOM)).err().unwrap_or_default()
}
