//! Text → [`Manifest`]: spans are kept, and every problem is reported at once.
//!
//! This module knows TOML and the reserved keys. It does not know which kinds there are: parameters stay [`Node`]s
//! (values with spans) until the plan substitutes axes and lowers them against a kind's schema.

mod axes;
mod canonical;
mod compile;
mod defaults;
mod excerpt;
mod expect;
mod field;
mod fields;
mod label;
mod lower;
mod node;
mod origin;
mod place;
mod problem;
mod read;
mod render;
mod schema;
mod settings;
mod shape;
mod spelling;
mod stages;
mod substitute;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod words;

use std::{path::PathBuf, sync::Arc};

pub use canonical::canonical_params;
pub use defaults::LeftOut;
pub use excerpt::visible;
pub use field::Path as FieldPath;
pub use fields::unknown;
pub use label::{encode_label, is_study_name};
pub use lower::{Lowering, lower_cell};
pub use node::{Base, Node, NodeValue, Span, Spanned};
pub use origin::{Origin, Written};
pub use problem::{Place, Problem, Problems};
pub use schema::schema;
pub use shape::Shape;
pub use spelling::suggest;
pub use substitute::{ROOM, Room, Scope};

/// A manifest's text, and where it came from.
#[derive(Debug)]
pub struct Text {
    /// As the user named it.
    pub path: PathBuf,
    pub content: String,
}

/// One study.
#[derive(Debug)]
pub struct Manifest {
    pub text: Arc<Text>,
    pub study: Study,
    /// Values for `${params.name}`, with `--set` applied.
    pub params: Vec<(Spanned<String>, Node)>,
    pub axes: Vec<Axis>,
    pub stages: Vec<StageDecl>,
    /// Names of stages that could not be understood: their problems are told, and what names them is no mistake.
    pub misread: Vec<String>,
    pub expects: Vec<Expect>,
    pub exports: Vec<Export>,
}

/// The `[study]` table.
#[derive(Debug)]
pub struct Study {
    pub name: Spanned<String>,
    pub question: Option<String>,
    pub seed: u64,
    /// Where the seed stands, if it is written.
    pub seed_at: Option<Span>,
}

/// A swept parameter.
#[derive(Debug)]
pub struct Axis {
    pub name: Spanned<String>,
    pub values: Vec<AxisValue>,
}

/// One value of an axis. The label of a scalar is its text; ids and folders write it with [`encode_label`].
#[derive(Debug)]
pub struct AxisValue {
    pub label: String,
    pub value: Node,
}

/// A `[stages.NAME]` table.
#[derive(Debug)]
pub struct StageDecl {
    pub name: Spanned<String>,
    pub kind: Spanned<String>,
    pub over: Vec<Spanned<String>>,
    pub inputs: Vec<InputDecl>,
    pub title: Option<String>,
    /// What its outcome says of the study's validity: it is a control, and no result.
    pub control: Option<String>,
    /// Everything that is not reserved: a table node.
    pub params: Node,
    /// Its `over` or its `inputs` could not be understood: what is here of them is not all, and its cells are not known.
    pub is_partial: bool,
}

/// One key of a stage's `inputs`.
#[derive(Debug)]
pub struct InputDecl {
    pub port: Spanned<String>,
    pub wires: Vec<Spanned<Wire>>,
    /// Written as a list, which only a port declared `many` takes.
    pub listed: bool,
}

/// `"stage"` (its first output) or `"stage.port"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    pub stage: String,
    pub port: Option<String>,
}

/// An `[[expect]]` table: a regression number with a tolerance and its source.
#[derive(Debug)]
pub struct Expect {
    /// `stage`, `stage.port`, `stage.port.column`, or deeper into a record: split at the dots.
    pub that: Spanned<Vec<String>>,
    /// Axis labels that pick one cell.
    pub cell: Vec<(Spanned<String>, Spanned<String>)>,
    /// Column values (or axis positions of a tensor) that pick rows.
    pub r#where: Vec<(Spanned<String>, Node)>,
    pub equals: Node,
    pub within: Option<f64>,
    pub within_relative: Option<f64>,
    /// Digest of the weights this holds for: `blake3:…`.
    pub weights: Option<Spanned<String>>,
    pub source: Option<String>,
    /// Its `cell` could not be understood: which cell is meant is not known.
    pub is_partial: bool,
}

/// One line of `[export]`: a path and what to write there.
#[derive(Debug)]
pub struct Export {
    pub path: Spanned<String>,
    pub what: Spanned<Wire>,
}
