//! Named, typed inputs and outputs, and the facts that flow along edges at plan time.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::Resolved;

/// What stands in a port: an artifact kind and, for a tensor, its ordered axis names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortType {
    /// `tensor`, `table`, `record`, `figure`, `model`, `weights`, `prompts` or `tokens`.
    pub kind: &'static str,
    pub axes: Vec<String>,
}

/// What an input port takes: any of these types. A tensor type without axes takes any tensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accept(pub Vec<PortType>);

/// What is known at plan time of what will stand in a port: family, layers, heads, sites, labels. Facts belong to
/// the stages that write and read them; the engine only carries them.
pub type Facts = Value;

/// An input that a stage declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputPort {
    pub name: String,
    pub accept: Accept,
    /// Takes several, gathered over axes or listed.
    pub many: bool,
    pub optional: bool,
}

/// An output that a stage declares. The first one is what `"stage"` without a port means.
#[derive(Clone, PartialEq, Debug)]
pub struct OutputPort {
    pub name: String,
    pub ty: PortType,
    pub facts: Facts,
}

/// The ports of a stage with given parameters.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ports {
    pub inputs: Vec<InputPort>,
    pub outputs: Vec<OutputPort>,
}

/// What arrives at an input port, as far as it is known at plan time.
#[derive(Clone, PartialEq, Debug)]
pub struct Arrived {
    /// The id of the stage and its port, for messages and default titles: `rank.ranking`.
    pub from: String,
    pub ty: PortType,
    pub facts: Facts,
}

/// All that a stage is given at plan time.
#[derive(Clone, Debug, Default)]
pub struct Given<'a> {
    /// What arrives at each port that the manifest wires. A port whose upstream is not known yet (its model is not
    /// fetched, or it has a mistake of its own) is listed in `unknown` instead.
    pub inputs: BTreeMap<String, Vec<Arrived>>,
    pub unknown: Vec<String>,
    /// The stage's own files, where they are at hand.
    pub files: Option<&'a Resolved>,
}

/// Something wrong with a stage's parameters or inputs that types alone do not tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Where: a path into the stage's table, such as `capture[0].site` or `inputs.model`.
    pub at: String,
    pub message: String,
    /// What to do, or the choices there are.
    pub help: Option<String>,
}

impl PortType {
    pub fn of(kind: &'static str) -> Self {
        Self { kind, axes: vec![] }
    }

    pub fn tensor(axes: &[&str]) -> Self {
        Self { kind: "tensor", axes: axes.iter().map(|axis| (*axis).to_owned()).collect() }
    }
}

impl fmt::Display for PortType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.axes.is_empty() { Ok(()) } else { write!(f, "[{}]", self.axes.join(", ")) }
    }
}

impl Accept {
    pub fn takes(&self, ty: &PortType) -> bool {
        self.0.iter().any(|accepted| accepted.kind == ty.kind && (accepted.axes.is_empty() || accepted.axes == ty.axes))
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.0.iter().map(PortType::to_string).collect();
        f.write_str(&types.join(" or "))
    }
}

impl InputPort {
    /// A required port that takes one artifact of one type.
    pub fn one(name: &str, ty: PortType) -> Self {
        Self { name: name.to_owned(), accept: Accept(vec![ty]), many: false, optional: false }
    }

    /// A required port that takes several artifacts of one type.
    pub fn many(name: &str, ty: PortType) -> Self {
        Self { many: true, ..Self::one(name, ty) }
    }

    pub fn or(mut self, ty: PortType) -> Self {
        self.accept.0.push(ty);
        self
    }

    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

impl OutputPort {
    pub fn new(name: &str, ty: PortType) -> Self {
        Self { name: name.to_owned(), ty, facts: Value::Null }
    }

    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = facts;
        self
    }
}

impl Mistake {
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into(), help: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Given<'_> {
    /// What arrives at `port`, if one thing does and it is known.
    pub fn one(&self, port: &str) -> Option<&Arrived> {
        self.inputs.get(port).and_then(|arrived| arrived.first())
    }
}
