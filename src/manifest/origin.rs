//! Where the value of a field was written: in its stage, or behind the `${…}` that stands there.
//!
//! Substitution moves a value to the place of its use, because that is where a mistake is told; who asks what changed
//! wants the place where the value itself stands.

use serde::Serialize;

use super::{
    Axis, AxisValue, Base, Manifest, Node, NodeValue, Scope, Span, StageDecl, excerpt,
    field::{Path, Step},
    template::{Piece, pieces},
};

/// The line where a value stands, and in which part of the study.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Written {
    /// From 1.
    pub line: usize,
    #[serde(flatten)]
    pub by: Origin,
}

/// Who says what a value is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "by", content = "name", rename_all = "kebab-case")]
pub enum Origin {
    Stage,
    /// A line of `[params]`.
    Param(String),
    /// `--set NAME=…`; the line is that of the value it stands for.
    Set(String),
    Axis(String),
    /// The study's seed, where a stage has none of its own.
    StudySeed,
}

impl Manifest {
    /// The line of a byte of the text, from 1.
    pub fn line(&self, span: &Span) -> usize {
        excerpt::position(&self.text.content, span.start).0
    }

    /// Where the field of a stage, in the cell of these axis values, was written; for one that was left out, where it
    /// would stand.
    pub fn written(&self, stage: &StageDecl, cell: &[(&Axis, &AxisValue)], path: &Path) -> Written {
        let scope = Scope { params: &self.params, axes: &self.axes, cell };
        let mut here = Here { node: &stage.params, span: &stage.name.span, by: Origin::Stage };
        for step in &path.0 {
            here = here.behind(&scope);
            match here.node.step(step) {
                Some(node) => here = Here { node, span: &node.span, ..here },
                None => return Written { line: self.line(here.span), by: here.by },
            }
        }
        let here = here.behind(&scope);
        Written { line: self.line(here.span), by: here.by }
    }

    /// Where `study.seed` stands, or would.
    pub fn written_seed(&self) -> Written {
        let span = self.study.seed_at.as_ref().unwrap_or(&self.study.name.span);
        Written { line: self.line(span), by: Origin::StudySeed }
    }
}

struct Here<'a> {
    node: &'a Node,
    span: &'a Span,
    by: Origin,
}

impl<'a> Here<'a> {
    /// The value that a reference leads to; of a text made of several, the text itself.
    fn behind(self, scope: &Scope<'a>) -> Self {
        let NodeValue::String(text) = &self.node.value else { return self };
        let pieces = pieces(text).unwrap_or_default();
        let mut names = pieces.iter().filter_map(|piece| match piece {
            Piece::Reference { name, .. } => Some(name.as_str()),
            Piece::Text(_) => None,
        });
        let (Some(name), None) = (names.next(), names.next()) else { return self };
        // A plan has no reference that leads nowhere.
        let Ok(node) = scope.find(name, self.node.span.clone()) else { return self };
        let mut parts = name.split('.');
        let by = match (parts.next(), parts.next()) {
            (Some("params"), Some(param)) if node.base == Base::WorkingDir => Origin::Set(param.to_owned()),
            (Some("params"), Some(param)) => Origin::Param(param.to_owned()),
            (axis, _) => Origin::Axis(axis.unwrap_or_default().to_owned()),
        };
        Self { node, span: &node.span, by }
    }
}

impl Node {
    /// Whether a field is written here, as itself or as a reference.
    pub fn has(&self, path: &Path) -> bool {
        path.0.iter().try_fold(self, |node, step| node.step(step)).is_some()
    }

    fn step(&self, step: &Step) -> Option<&Node> {
        match (step, &self.value) {
            (Step::Key(key), _) => self.get(key),
            (Step::At(position), NodeValue::Array(items)) => items.get(*position),
            (Step::At(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUDY: &str = r#"[study]
name = "s"

[params]
edit = { site = "z", layers = [0] }
std  = 0.1

[axes]
sigma = { low = 0.1, high = 0.2 }

[stages.forward]
kind  = "forward"
over  = ["sigma"]
edits = [
    { site = "${params.edit.site}", std = "${sigma}" },
    { site = "q", std = "${params.std}", as = "a ${sigma} b ${params.std}", text = "at ${sigma}" },
]
"#;

    /// The line and the origin of a field in the cell `sigma=high`.
    fn written(sets: &[&str], path: Path) -> (usize, Origin) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.toml");
        std::fs::write(&file, STUDY).unwrap();
        let sets: Vec<_> = sets.iter().map(|&set| set.to_owned()).collect();
        let (manifest, problems) = Manifest::recover(&file, &sets);
        let manifest = manifest.unwrap_or_else(|| panic!("{problems}"));
        let axis = &manifest.axes[0];
        let written = manifest.written(&manifest.stages[0], &[(axis, &axis.values[1])], &path);
        (written.line, written.by)
    }

    #[test]
    fn a_value_is_found_behind_its_reference() {
        let edit = |at: usize, key: &str| Path::default().key("edits").at(at).key(key);
        assert_eq!(written(&[], edit(0, "site")), (5, Origin::Param("edit".into())));
        assert_eq!(written(&[], edit(0, "std")), (9, Origin::Axis("sigma".into())));
        assert_eq!(written(&[], edit(1, "site")), (16, Origin::Stage));
        assert_eq!(written(&[], edit(1, "text")), (9, Origin::Axis("sigma".into())), "the only part that can change");
        assert_eq!(written(&[], edit(1, "as")), (16, Origin::Stage), "two references: the text itself");
        assert_eq!(written(&["std=0.5"], edit(1, "std")), (6, Origin::Set("std".into())));
    }

    #[test]
    fn a_field_that_is_left_out_would_stand_in_its_table() {
        let edit = Path::default().key("edits").at(0).key("layers");
        assert_eq!(written(&[], edit), (15, Origin::Stage));
        assert_eq!(written(&[], Path::default().key("capture")), (11, Origin::Stage));
    }
}
