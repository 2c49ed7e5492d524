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
